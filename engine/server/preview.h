/* preview.h - what a person sees of a value: a small picture of a latent, an image or a video.
 *
 * Latents are shown by a linear map from channels to red, green and blue, so a preview costs no
 * decoding. Threads: each call stands alone; call from a worker.
 */
#pragma once

#include "graph/value.h"

typedef struct tb_preview_options {
    int64_t frame;      /* of the video or latent; -1: the middle one; -2: all, as one animation */
    int columns, rows;  /* > 0: a contact sheet of so many frames, spread from first to last */
    int max_side;       /* of a frame, in pixels; 0: 512 */
    int min_side;       /* smaller frames are enlarged by a whole factor; 0: only latents are */
    const char *format; /* "jpg", "png", "webp", "gif"; all frames need one of the last two */
} tb_preview_options;

/* Is there something to see in these outputs (LIST values, one an output)? Cheap. */
bool tb_preview_possible(tb_value *const *outputs, int count);
/* How many frames it has; 0: nothing to see. */
int64_t tb_preview_frames(tb_value *const *outputs, int count);
/* The file's bytes, u8; of the first output that can be seen, its last element. NULL on error. */
tb_tensor *tb_preview_encode(tb_value *const *outputs, int count, const tb_preview_options *o,
                             tb_err *err);
