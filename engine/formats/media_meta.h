/* media_meta.h - what stands in picture files beside the pixels: the graph that made them, and
 * which way is up.
 *
 * PNG    text chunk "prompt" (tEXt, or iTXt when it is not ASCII), as ComfyUI
 * WebP   EXIF tag 0x0110 "prompt:...", as ComfyUI
 * JPEG   comment segments "prompt:...", continued by "prompt+..."
 * GIF    comment "prompt:..."
 * MP4 and WebM carry their tags through FFmpeg's muxers.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef struct tbi_media_meta {
    char *graph;     /* or NULL; freed by the caller */
    int orientation; /* EXIF's 1..8; 1: as stored */
} tbi_media_meta;

/* Cannot fail: a file that is not understood has no graph and stands upright. */
tbi_media_meta tbi_media_meta_read(const char *path);

/* A copy of the file with the graph inside; freed by free(). NULL: this format has no place for it
 * here. width, height: of the picture. */
uint8_t *tbi_media_meta_embed(const char *format, const uint8_t *file, size_t size, int64_t width,
                              int64_t height, const char *graph, size_t *out_size);
