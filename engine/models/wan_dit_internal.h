/* wan_dit_internal.h - what the files of the Wan transformer share: weights, and what is kept of a
 * text. */
#pragma once

#include "base/hash.h"
#include "models/wan_dit.h"

typedef struct dit_affine {
    float *weight, *bias; /* [dim]; bias NULL for RMS norms */
} dit_affine;

typedef struct dit_block {
    float *modulation; /* [6][dim]: shift, scale, gate of attention, then of the feed-forward */
    tb_linear *qkv, *o;
    float *norm_q, *norm_k; /* [dim]: over all heads together */
    dit_affine norm3;       /* before cross attention (diffusers: norm2) */
    tb_linear *cross_q, *cross_kv, *cross_o;
    float *cross_norm_q, *cross_norm_k;
    tb_linear *image_kv; /* image-to-video models */
    float *image_norm_k;
    tb_linear *ffn_0, *ffn_2;
} dit_block;

/* Cross-attention keys and values of one prompt, for every layer. */
typedef struct dit_text {
    tb_digest digest;
    uint64_t used; /* number of the last run that used it */
    int64_t rows, image_rows;
    float pad_count; /* how often the last row stands for a padded one; 1: no padding */
    float *kv;       /* [layers][rows + image_rows][2 dim]: normalised keys, values */
    size_t bytes;
} dit_text;

typedef struct dit_grid {
    int64_t f, h, w; /* tokens */
    uint64_t used;
    float *cos_sin; /* [f*h*w][head_dim/2][2] */
} dit_grid;

/* Inputs that run as one sequence, at most; so many grids are kept, so that none in use is dropped.
 */
enum { DIT_PACK = 8 };

struct tb_wan_dit {
    tb_wan_dit_config k;
    int64_t head_dim;
    tb_linear *patch, *text_0, *text_2, *time_0, *time_2, *time_proj, *head;
    tb_linear *image_1, *image_3;
    dit_affine image_norm_in, image_norm_out;
    float *image_pos;       /* first-and-last-frame model: [image_rows][image_dim] */
    float *head_modulation; /* [2][dim] */
    dit_block *blocks;
    size_t bytes;

    uint64_t run; /* counts calls of tb_wan_dit_run */
    dit_text *texts;
    int text_count;
    dit_grid grids[DIT_PACK];
};

/* The kept keys and values of an input's text and image, computed when new. kv is lent until the
 * next run. */
tb_status tbi_wan_dit_text(tb_wan_dit *m, tb_compute *c, const tb_wan_dit_input *in, dit_text *out,
                           tb_err *err);
void tbi_wan_dit_drop_texts(tb_wan_dit *m);
/* Rotary angles of a token grid, kept. NULL on error. */
const float *tbi_wan_dit_rope(tb_wan_dit *m, int64_t f, int64_t h, int64_t w, tb_err *err);
