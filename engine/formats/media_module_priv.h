/* media_module_priv.h - what the files of tubelet_media.so share. */
#pragma once

#include <libavformat/avformat.h>

#include "formats/media_module.h"

/* Set status and sentence through the host. Returns `status`. */
tb_status tbi_media_fail(tb_err *err, tb_status status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for a code of FFmpeg's: AVERROR(ENOMEM) becomes TB_ENOMEM, all others `status`; appends
 * what FFmpeg calls it. */
tb_status tbi_media_fail_av(tb_err *err, tb_status status, int code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

tb_status tbi_media_probe(const char *path, tb_media_facts *facts, tb_err *err);
tb_status tbi_media_read(const char *path, int64_t first, int64_t max_frames,
                         const tb_media_sink *sink, const atomic_bool *cancel, tb_err *err);
tb_status tbi_media_tag(const uint8_t *file, size_t size, const char *const *tags, uint8_t **data,
                        size_t *out_size, tb_err *err);
tb_status tbi_media_encode(const tb_media_encoding *e, uint8_t **data, size_t *size, tb_err *err);

/* A file in memory that can be written, read and sought by any number of AVIOContexts. */
typedef struct tbi_media_memory {
    uint8_t *data; /* av_malloc */
    size_t size, cap;
} tbi_media_memory;

/* NULL when memory runs out. Freed by tbi_media_memory_close; `m` must outlive it. */
AVIOContext *tbi_media_memory_open(tbi_media_memory *m, bool write);
void tbi_media_memory_close(AVIOContext **io);

/* 255 x, truncated, clamped; NaN is 0. pixels [height,width,channels] into rows of out that are
 * `stride` bytes apart; the picture is grown to out_width x out_height by repeating its last column
 * and row.
 */
void tbi_media_quantise(const float *pixels, int64_t width, int64_t height, int channels,
                        int64_t out_width, int64_t out_height, uint8_t *out, int64_t stride);

/* At most 256 colours for a whole animation, and the nearest of them for every colour. */
typedef struct tbi_media_palette tbi_media_palette;
tbi_media_palette *tbi_media_palette_new(void); /* NULL: no memory */
void tbi_media_palette_free(tbi_media_palette *p);
void tbi_media_palette_count(tbi_media_palette *p, const uint8_t *rgb, int64_t width,
                             int64_t height, int64_t stride);
void tbi_media_palette_build(tbi_media_palette *p);
/* indices: rows `out_stride` bytes apart; colours: 256 entries 0xAARRGGBB. */
void tbi_media_palette_map(const tbi_media_palette *p, const uint8_t *rgb, int64_t width,
                           int64_t height, int64_t stride, uint8_t *indices, int64_t out_stride,
                           uint32_t *colours);
