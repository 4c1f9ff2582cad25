/* latent_file.h - the scale of latents in ComfyUI's files.
 *
 * A .latent file is safetensors with "latent_tensor" [B,C,T,H,W] ([B,C,H,W] for pictures) as
 * ComfyUI hands latents from node to node: in the scale of the VAE, z = x std + mean, while ours
 * are x, normalised. Zeros stay zeros: an empty latent is empty on both sides. Files without
 * "latent_format_version_0" are older and 0.18215 times as large as they should be.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define TB_LATENT_TENSOR  "latent_tensor"
#define TB_LATENT_VERSION "latent_format_version_0"

/* One latent [channels][plane], in place: out of our scale into the file's, or back. Channels of no
 * public model are left as they are. */
void tb_latent_to_file(float *x, int64_t channels, int64_t plane);
void tb_latent_from_file(float *x, int64_t channels, int64_t plane);
