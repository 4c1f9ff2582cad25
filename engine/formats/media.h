/* media.h - pictures and videos through FFmpeg's libraries.
 *
 * FFmpeg's libraries are slow to link at start, so they sit in a module (tubelet_media.so, beside
 * the program) that is opened on first use. Writing is deterministic: same frames, same options,
 * same bytes.
 *
 * Threads: each call stands alone; call from a worker.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/json.h"
#include "compute/tensor.h"

typedef struct tb_media_info {
    int64_t frames, width, height; /* frames = 1 for a picture; -1 when the file does not say */
    double fps;                    /* 0 for a picture */
    json_t *texts;                 /* what is embedded: JSON texts by key, of "prompt" (the graph),
                                      "workflow" (ComfyUI's drawing of it), "view" (ours); NULL: none.
                                      The caller's reference */
} tb_media_info;

/* Look at a file without decoding it. The size is that of the upright picture, as tb_media_read
 * gives it. */
tb_status tb_media_probe(const char *path, tb_media_info *info, tb_err *err);

/* Decode to f32 [frames,H,W,3], 0..1; at most max_frames (0: all) from frame `first` on. fps may be
 * NULL. */
tb_tensor *tb_media_read(const char *path, int64_t first, int64_t max_frames, double *fps,
                         const atomic_bool *cancel, tb_err *err);

/* The place of the i-th of `count` frames that are spread evenly from the first to the last of
 * `frames`; count <= frames. */
int64_t tb_media_spread(int64_t frames, int64_t count, int64_t i);

/* At most `count` frames, spread evenly from the first to the last, as tb_media_read gives them.
 * All are decoded, one after the other, and only these are held. */
tb_tensor *tb_media_read_spread(const char *path, int64_t count, const atomic_bool *cancel,
                                tb_err *err);

/* The picture, or the first frame, as f32 [1,H,W,4] with its alpha, 0 see-through .. 1. *has_alpha:
 * does the file have one? Else it is 1 everywhere. */
tb_tensor *tb_media_read_rgba(const char *path, bool *has_alpha, const atomic_bool *cancel,
                              tb_err *err);

typedef struct tb_media_options {
    const char
        *format; /* "mp4" (H.264), "webm" (VP9), "gif", "png", "jpg", "webp" (animated), "apng"
                  */
    double fps;
    int quality; /* 1 worst .. 100 best; 0: the default of the format */
} tb_media_options;

/* The format of a path by its extension ("mp4", "webm", "gif", "png", "jpg" also for .jpeg,
 * "webp"), or NULL when files of that name cannot be written. Static string. */
const char *tb_media_format_of(const char *path);

/* Encode f32 [frames,H,W,3] (clamped; 8 bits by truncation of 255 x, as ComfyUI) into memory. "png"
 * and "jpg" take one frame; "png" and "webp" also [frames,H,W,4] with alpha. u8 tensor with the
 * file's bytes, new reference. Odd sizes are padded by repeating the edge where the codec needs
 * even ones. */
tb_tensor *tb_media_encode(const tb_tensor *images, const tb_media_options *o,
                           const atomic_bool *cancel, tb_err *err);

/* The bytes of a finished file of that format ("mp4", ...) with texts put inside, in their order:
 * new tensor. texts: an object of strings; keys are 1..79 letters, digits, '_', '-' or '.', and
 * others are left out, as are those beyond the 16th. Every format has a place for them. Apart from
 * WebM this needs no FFmpeg, so that a stored result is delivered at once. */
tb_tensor *tb_media_embed(const tb_tensor *file, const char *format, const json_t *texts,
                          tb_err *err);

/* Resize f32 [frames,H,W,C]; filter: "nearest", "bilinear", "bicubic", "area", "lanczos". Bicubic
 * and lanczos may leave the range of their input. The same tensor when the size is right already.
 */
tb_tensor *tb_media_resize(const tb_tensor *images, int64_t width, int64_t height,
                           const char *filter, tb_err *err);

/* Resize pictures as a user wants them: width or height 0 follows from the other (both 0: as is).
 * fit: "stretch", "crop" (fill, cut what is over, around the centre), "pad" (all of it, black
 * borders). The result stays within 0..1. */
tb_tensor *tb_media_fit(const tb_tensor *images, int64_t width, int64_t height, const char *fit,
                        const char *filter, tb_err *err);
/* The size that tb_media_fit gives to pictures of that width and height. */
void tb_media_fit_size(int64_t *width, int64_t *height, int64_t wanted_width,
                       int64_t wanted_height);

/* "libavcodec 59.37.100, ..." or NULL with the reason the module cannot be opened. Static string.
 */
const char *tb_media_version(tb_err *err);
