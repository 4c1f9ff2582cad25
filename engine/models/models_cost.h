/* models_cost.h - how much work a model is: floating-point operations, from names and shapes alone.
 *
 * A multiplication with its addition counts as two. Sizes are those of latents [f][h][w].
 */
#pragma once

#include "models/models.h"

/* One evaluation of the transformer, the text's keys and values being there already. */
double tb_model_dit_flop(const tb_dit_sizes *s, int64_t f, int64_t h, int64_t w);
/* A prompt of so many tokens. */
double tb_model_text_flop(const tb_umt5_config *k, int64_t tokens);
/* A picture, up to the last block. */
double tb_model_image_flop(const tb_clip_vision_config *k);
/* Decoding a whole latent, or encoding the video that it stands for; 0: that half is not there. */
double tb_model_vae_flop(const tb_weights *w, bool encode, int64_t f, int64_t h, int64_t width);
