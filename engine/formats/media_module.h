/* media_module.h - the seam between libtubelet and tubelet_media.so.
 *
 * The module is linked to FFmpeg's libraries and to nothing of ours: what it needs from the library
 * comes through tb_media_host, what it offers goes back as one table of functions. Paths, sizes and
 * options have been checked by media.c before a function of the table is called.
 */
#pragma once

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define TB_MEDIA_ABI 2

/* The keys of the texts that are read out of files. */
#define TB_MEDIA_KEYS                \
    {                                \
        "prompt", "workflow", "view" \
    }
enum { TB_MEDIA_KEY_COUNT = 3 };

typedef struct tb_media_host {
    tb_status (*err_setv)(tb_err *err, tb_status status, const char *fmt, va_list ap);
} tb_media_host;

typedef struct tb_media_facts {
    int64_t frames, width, height; /* as stored; frames = -1: unknown */
    double fps;                    /* 0: a picture */
    int quarter_turns; /* clockwise, 0..3: how the picture is to be turned for display */
    char *texts[TB_MEDIA_KEY_COUNT]; /* the tags of those names, or NULL; freed by table->release */
} tb_media_facts;

/* Receives decoded frames, in order: 8-bit RGB or RGBA, rows `stride` bytes apart, all of the same
 * size. */
typedef struct tb_media_sink {
    tb_status (*frame)(void *ctx, int64_t width, int64_t height, const uint8_t *pixels,
                       int64_t stride, tb_err *err);
    void *ctx;
    bool *has_alpha; /* NULL: RGB is wanted; else RGBA, and it becomes whether the file has alpha */
} tb_media_sink;

typedef struct tb_media_encoding {
    const float *pixels; /* [frames,height,width,channels] */
    int64_t frames, width, height;
    int channels;       /* 3, or 4 where the format is "png" or "webp" */
    const char *format; /* as in tb_media_options */
    double fps;
    int quality; /* 0: default, else 1..100 */
    const atomic_bool *cancel;
} tb_media_encoding;

typedef struct tb_media_table {
    int abi;
    const char *(*version)(void); /* static */
    tb_status (*probe)(const char *path, tb_media_facts *facts, tb_err *err);
    /* Frames first .. first + max_frames - 1 (max_frames = 0: to the end) into the sink. */
    tb_status (*read)(const char *path, int64_t first, int64_t max_frames,
                      const tb_media_sink *sink, const atomic_bool *cancel, tb_err *err);
    /* *data is freed by release. */
    tb_status (*encode)(const tb_media_encoding *e, uint8_t **data, size_t *size, tb_err *err);
    /* The WebM file with tags inside: key, text, ..., NULL. *data is freed by release. */
    tb_status (*tag)(const uint8_t *file, size_t size, const char *const *tags, uint8_t **data,
                     size_t *out_size, tb_err *err);
    void (*release)(void *p);
} tb_media_table;

/* The one symbol that is looked up. `host` must stay valid. */
const tb_media_table *tb_media_module_open(const tb_media_host *host);
