/* clip_vision.h - the vision tower of CLIP (arXiv 2103.00020), a ViT (arXiv 2010.11929): a picture
 * as the tokens before the last block, which Wan2.1's image-to-video transformers read.
 *
 * Memory:  nothing is held between runs: each packs a block, uses it, drops it and lets its pages
 *          of the file go (ViT-H/14 in f16: 39 MB at a time, not 1.2 GB).
 * Threads: one at a time per tb_compute.
 */
#pragma once

#include "compute/compute.h"
#include "formats/weights.h"

typedef struct tb_clip_vision tb_clip_vision;
typedef struct tb_clip_vision_config {
    int64_t dim, ffn_dim, heads, layers;
    int64_t patch, image; /* pixels a side, of a patch and of the picture */
    int64_t tokens;       /* one a patch, and the class token before them */
    int64_t layer_bytes;  /* of the linears of one block once packed; 0: as f32 */
    tb_act act;
    float eps;
} tb_clip_vision_config;

/* Hugging Face's names (also ComfyUI's clip_vision_h.safetensors), OpenCLIP's and those of Wan's
 * own file; a text tower beside it is not looked at. Of the config.json beside it, heads,
 * activation and epsilon are read where it is that of a CLIP; else ViT-L/14 and smaller have quick
 * GELU and heads of 64, larger ones and Wan's GELU and 16 heads. `w` may be closed afterwards. */
tb_clip_vision *tb_clip_vision_open(const tb_weights *w, tb_err *err);
void tb_clip_vision_close(tb_clip_vision **m);
const tb_clip_vision_config *tb_clip_vision_config_of(const tb_clip_vision *m);
/* Are there names of such a tower? */
bool tb_clip_vision_is(const tb_weights *w);
/* Sizes from names, shapes and config alone. TB_EFORMAT when this is no such tower. */
tb_status tb_clip_vision_read_config(const tb_weights *w, tb_clip_vision_config *k, tb_err *err);
/* Hold the names and shapes that opening asks for against those that are there; reads no weight. */
void tb_clip_vision_check(const tb_weights *w, const tb_weights_lack *lack);
/* Bytes of packed weights held while it runs: of one block. */
size_t tb_clip_vision_weights(const tb_clip_vision_config *k);
/* Bytes that running a picture takes, those weights among them. */
size_t tb_clip_vision_memory(const tb_clip_vision_config *k);

/* A picture for the tower, as ComfyUI's clip_preprocess makes it: bicubic with the kernel widened
 * where it shrinks; the short side to `size` and the middle cut out (crop), or both sides to `size`
 * whatever the aspect, as Wan's own program does (which does not widen the kernel); rounded to 8
 * bits; CLIP's mean and deviation. The processor of transformers (diffusers) does the same but
 * rounds a long side down, not to the nearest. image: f32 [n,H,W,3], 0..1, of which the first is
 * taken. out [3][size][size]. */
tb_status tb_clip_vision_pixels(const tb_tensor *image, bool crop, int64_t size, float *out,
                                tb_err *err);

/* pixels [3][image][image], normalised -> out [tokens][dim], the stream before the last block
 * (hidden_states[-2]), not normed. cancel may be NULL; polled a block. */
tb_status tb_clip_vision_run(const tb_clip_vision *m, tb_compute *c, const float *pixels,
                             float *out, const atomic_bool *cancel, tb_err *err);
