/* wan_dit.h - the Wan2.1 / Wan2.2 video diffusion transformer (arXiv 2503.20314; DiT, arXiv
 * 2212.09748).
 *
 * Original and diffusers names; text-to-video, image-to-video (CLIP branch) and per-token
 * timesteps.
 */
#pragma once

#include "compute/compute.h"
#include "formats/weights.h"
#include "models/lora.h"

typedef struct tb_wan_dit tb_wan_dit;
typedef struct tb_wan_dit_config {
    int64_t dim, ffn_dim, heads, layers, in_dim, out_dim, text_dim, text_len, freq_dim;
    int64_t image_dim;  /* CLIP features' width; 0: no image branch */
    int64_t image_rows; /* how many of them have positions, two images' (FLF2V); 0: any number */
    float eps;
} tb_wan_dit_config;

/* Converts the weights; `w` may be closed afterwards. The config.json beside them is read (original
 * and diffusers keys); what it does not say follows from tensor shapes, and heads of 128. */
tb_wan_dit *tb_wan_dit_open(tb_compute *c, const tb_weights *w, tb_err *err);
/* The same with a configuration from elsewhere; NULL: shapes alone. */
tb_wan_dit *tb_wan_dit_open_config(tb_compute *c, const tb_weights *w, const json_t *config,
                                   tb_err *err);
/* And with LoRAs merged into the weights, in this order; they may be closed afterwards. */
tb_wan_dit *tb_wan_dit_open_merged(tb_compute *c, const tb_weights *w, const json_t *config,
                                   const tb_lora_use *loras, int count, tb_err *err);
/* Hold the names and shapes that opening asks for against those that are there; reads no weight. */
void tb_wan_dit_check(const tb_weights *w, const tb_weights_lack *lack);
void tb_wan_dit_close(tb_wan_dit **m);
const tb_wan_dit_config *tb_wan_dit_config_of(const tb_wan_dit *m);
size_t tb_wan_dit_bytes(const tb_wan_dit *m);
/* Rows of image features that are reckoned with: 257, those of ViT-H/14, where there are positions
 * for any number; 0 without an image branch. */
int64_t tb_wan_dit_image_rows(int64_t image_dim, int64_t image_rows);
/* Bytes a forward pass of this latent size needs beside the weights, with what is kept between
 * passes: the keys and values of one text of full length and of an image, and the angles of the
 * grid.
 */
size_t tb_wan_dit_scratch(const tb_wan_dit_config *k, int64_t f, int64_t h, int64_t w);

typedef struct tb_wan_dit_input {
    int64_t f, h, w;    /* latent frames, rows, columns; h and w even */
    const float *x;     /* [out_dim][f][h][w]: the noisy latent */
    const float *extra; /* [in_dim - out_dim][f][h][w]: mask and known latents; NULL: zeros */
    const float *t;     /* timestep 0..1000; one number, or one per token */
    int64_t t_count;    /* 1 or f * h/2 * w/2 */
    const float *text;  /* [text_rows][text_dim], without padding */
    int64_t text_rows;  /* <= text_len */
    const float *image; /* [image_rows][image_dim] CLIP features, or NULL */
    int64_t image_rows; /* <= that of the config, where it is not 0 */
    uint64_t skip;      /* bit i: block i (0..63) is left out (skip-layer guidance) */
} tb_wan_dit_input;

/* Runs all inputs as one packed sequence with attention inside each (NaViT, arXiv 2307.06304);
 * neighbours that skip other blocks run apart.
 * Velocity out[i] [out_dim][f][h][w] for each of `count` inputs. Cross-attention keys and values of
 * a text are kept for later steps. Ends soon after *cancel is set; progress(ctx, share) per block,
 * or NULL.
 */
tb_status tb_wan_dit_run(tb_wan_dit *m, tb_compute *c, int count, const tb_wan_dit_input *in,
                         float *const *out, const atomic_bool *cancel,
                         void (*progress)(void *ctx, double share), void *ctx, tb_err *err);
