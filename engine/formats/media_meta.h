/* media_meta.h - what stands in picture files beside the pixels: the graph that made them and
 * other texts by key, and which way is up.
 *
 * For the key "prompt":
 * PNG    text chunk "prompt" (tEXt, or iTXt when it is not ASCII), as ComfyUI; its animations have
 *        the same in chunks "comf"
 * WebP   EXIF tag 0x0110 "prompt:...", as ComfyUI; the next keys in the tags before it
 * JPEG   comment segments "prompt:...", continued by "prompt+..."
 * GIF    comment "prompt:..."
 * MP4    moov/udta/meta, key "prompt"; WebM a tag of that name: both are read by FFmpeg's demuxers.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"
#include "base/str.h"

enum { TBI_EXIF_MODEL = 0x0110, TBI_EXIF_ORIENTATION = 0x0112 };

typedef struct tbi_media_meta {
    json_t *texts;         /* by key, or NULL; the caller's reference */
    int orientation;       /* EXIF's 1..8; 1: as stored */
    int64_t width, height; /* of a PNG or JPEG picture as stored; 0: ask a decoder */
} tbi_media_meta;

/* Cannot fail: a file that is not understood has no texts and stands upright. */
tbi_media_meta tbi_media_meta_read(const char *path);

/* A text and its key, both checked. */
typedef struct tbi_media_text {
    const char *key, *text;
} tbi_media_text;
enum { TBI_MEDIA_TEXTS = 16 }; /* as many as there may be in a file */

/* Append the file with the texts inside to `out`. False: there is no place for them, or not known
 * here. */
bool tbi_media_embed(tb_str *out, const char *format, const uint8_t *file, size_t size,
                     const tbi_media_text *texts, int count);
bool tbi_media_mp4_put(tb_str *out, const uint8_t *file, size_t size, const tbi_media_text *texts,
                       int count);

/* Where a GIF's blocks begin: behind the screen descriptor and its colour table. head: 13 bytes. */
static inline size_t tbi_gif_start(const uint8_t *head)
{
    return 13 + (head[10] & 0x80 ? (size_t)3 << ((head[10] & 7) + 1) : 0);
}
