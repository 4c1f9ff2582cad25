/* latent_rgb.h - latents as small pictures: a linear map from channels to red, green and blue.
 *
 * A preview that needs no decoding: each cell of the latent becomes one pixel, about the mean
 * colour of the pixels it stands for.
 *
 * Threads: no state.
 */
#pragma once

#include "base/err.h"
#include "base/json.h"
#include "compute/tensor.h"

enum { TB_LATENT_RGB_CHANNELS = 64 }; /* at most */

typedef struct tb_latent_rgb {
    int64_t channels;                         /* 0: no map is known */
    float factors[TB_LATENT_RGB_CHANNELS][3]; /* colour = bias + factors * latent, -1..1 */
    float bias[3];
} tb_latent_rgb;

/* The map in a VAE's config.json: "latent_rgb_factors" [channels][3] and "latent_rgb_bias" [3], for
 * normalised latents. channels = 0 when it has none that fits. config may be NULL. */
tb_latent_rgb tb_latent_rgb_read(const json_t *config, int64_t channels);
/* The map of the public VAE with so many channels: 16 Wan2.1, 48 Wan2.2; else channels = 0. */
const tb_latent_rgb *tb_latent_rgb_public(int64_t channels);

/* Frames first .. first + count - 1 of f32 [C,T,H,W] as f32 [count,H,W,3], 0..1. NULL on error. */
tb_tensor *tb_latent_rgb_apply(const tb_latent_rgb *m, const tb_tensor *latent, int64_t first,
                               int64_t count, tb_err *err);
