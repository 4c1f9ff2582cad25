/* wan_vae.h - the causal 3D video autoencoders of Wan2.1 and Wan2.2, encoder and decoder.
 *
 * Streaming over latent frames with two cached frames per causal convolution; equal to the
 * whole-sequence form. Original and diffusers names. Latents at this interface are normalised: (mu
 * - mean) / std.
 */
#pragma once

#include "compute/compute.h"
#include "formats/weights.h"

typedef struct tb_wan_vae tb_wan_vae;
typedef struct tb_wan_vae_config {
    int64_t z, stride_t, stride_hw; /* latent channels; 4; 8 or 16 */
    int64_t dim, dec_dim, levels;
    int64_t patch;           /* 2: pixel patchify and level shortcuts (Wan2.2), 1: Wan2.1 */
    const float *mean, *std; /* [z] */
    bool has_encoder, has_decoder;
} tb_wan_vae_config;

/* What latents of the public models are shifted and scaled by, [z] each: Wan2.1 has z = 16, Wan2.2
 * 48. false: no public model has that many channels. */
bool tb_wan_vae_scale(int64_t z, const float **mean, const float **std);

/* w may hold only one half (encoder or decoder); the other then answers with an error. The
 * structure follows from the tensors; latents_mean and latents_std come from the config.json beside
 * them, else from the public models (z = 16: Wan2.1, z = 48: Wan2.2). `w` may be closed afterwards.
 */
tb_wan_vae *tb_wan_vae_open(tb_compute *c, const tb_weights *w, tb_err *err);
/* The same with a configuration from elsewhere; NULL: none. */
tb_wan_vae *tb_wan_vae_open_config(tb_compute *c, const tb_weights *w, const json_t *config,
                                   tb_err *err);
/* Hold the names and shapes that opening asks for against those that are there; reads no weight.
 * Behind a weight that is missing nothing is known, so that it is the last to be told. */
void tb_wan_vae_check(const tb_weights *w, const tb_weights_lack *lack);
void tb_wan_vae_close(tb_wan_vae **m);
const tb_wan_vae_config *tb_wan_vae_config_of(const tb_wan_vae *m);
size_t tb_wan_vae_bytes(const tb_wan_vae *m);

/* latent [z][f][h][w] -> frames one chunk at a time: sink(ctx, first_frame, count, pixels
 * [count][H][W][3] in -1..1, not clamped). The pixels are lent for the call. */
typedef tb_status (*tb_frame_sink)(void *ctx, int64_t first, int64_t count, const float *pixels,
                                   tb_err *err);
tb_status tb_wan_vae_decode(tb_wan_vae *m, tb_compute *c, const float *latent, int64_t f, int64_t h,
                            int64_t w, tb_frame_sink sink, void *ctx, const atomic_bool *cancel,
                            tb_err *err);

/* pixels [frames][H][W][3] in -1..1, frames = 4k+1, H and W multiples of stride_hw -> latent
 * [z][k+1][h][w]. */
tb_status tb_wan_vae_encode(tb_wan_vae *m, tb_compute *c, const float *pixels, int64_t frames,
                            int64_t height, int64_t width, float *latent, const atomic_bool *cancel,
                            tb_err *err);

/* The same in tiles that overlap by tile - stride (pixels; multiples of stride_hw; stride of half a
 * tile up to a tile), blended linearly: less memory, not byte-equal. */
tb_status tb_wan_vae_decode_tiled(tb_wan_vae *m, tb_compute *c, const float *latent, int64_t f,
                                  int64_t h, int64_t w, int64_t tile, int64_t stride, float *pixels,
                                  const atomic_bool *cancel, tb_err *err);
/* Bytes of caches and activations while a latent [z][f][h][w] is decoded, or made, about. */
size_t tb_wan_vae_scratch(const tb_wan_vae_config *k, bool encoding, int64_t f, int64_t h,
                          int64_t w);
