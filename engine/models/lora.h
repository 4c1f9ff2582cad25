/* lora.h - low-rank changes to the weights of a Wan transformer (LoRA, arXiv 2106.09685), from the
 * files that are shared for it.
 *
 *     W' = W + strength * (alpha / rank) * up * down        up [out][rank], down [rank][in]
 *
 * A tensor is named PREFIX MODULE SUFFIX. Prefixes: "diffusion_model.", "transformer.",
 * "base_model.model.", "lora_unet_" and "lora_transformer_" (MODULE with '_' for '.'), or none.
 * MODULE is named as by Wan's authors or as in diffusers, whatever the transformer's own names are.
 *
 *     .lora_A.weight .lora_down.weight   down             .diff     difference of the weight
 *     .lora_B.weight .lora_up.weight     up               .diff_b   difference of the bias
 *     .alpha                             one number       .diff_m   of the module's modulation
 *     .lora_B.bias                       of the bias, scaled like up * down
 *
 * Without an alpha, that of the metadata of diffusers counts, else the scale is 1.
 *
 * Memory:  the file stays mapped while it is open; merging converts one target at a time.
 * Errors:  DoRA, LoHa, LoKr and other kinds, unequal ranks and targets of other shapes are refused
 *          with one sentence; targets that the transformer lacks are counted.
 */
#pragma once

#include "compute/compute.h"
#include "formats/weights.h"

typedef struct tb_lora tb_lora;

tb_lora *tb_lora_open(const char *path, tb_err *err);
void tb_lora_close(tb_lora **l);
/* Is it a safetensors file with tensors of a LoRA? */
bool tb_lora_recognise(const char *path);

/* A module of the transformer that a file changes. */
typedef struct tb_lora_target {
    const char *name;      /* as in the file, without the suffix; borrowed */
    const char *flat;      /* in one spelling: "blocks_3_self_attn_q"; borrowed */
    int64_t rank, in, out; /* 0 where only differences in full are given */
} tb_lora_target;
int tb_lora_count(const tb_lora *l);
tb_lora_target tb_lora_at(const tb_lora *l, int i);
/* Tensors for text encoders, which are left out. */
int tb_lora_left_out(const tb_lora *l);

/* How a file fits a transformer; `first` is a target that the transformer lacks, borrowed, or NULL.
 */
typedef struct tb_lora_fit {
    int matched, unmatched;
    const char *first;
} tb_lora_fit;
/* TB_EINVAL when no target is there, or one has another shape. Reads no weight. */
tb_status tb_lora_fit_to(const tb_lora *l, const tb_weights *w, tb_lora_fit *fit, tb_err *err);

/* For `tubelet model show`: { "path", "kind": "LoRA", "bytes", "for", "rank", "targets": count,
 * "kinds": ["self_attn_q", ...], "left_out": tensors for text encoders }. New reference. */
json_t *tb_lora_describe(const char *path, tb_err *err);

typedef struct tb_lora_use {
    const tb_lora *lora;
    double strength; /* 0: no change at all */
} tb_lora_use;
/* Merges into the tensor of that name. *t, of any numeric dtype, is replaced by a new f32 tensor
 * where one of them changes it, else it stays. */
tb_status tb_lora_merge(const tb_lora_use *uses, int count, tb_compute *c, const char *name,
                        tb_tensor **t, tb_err *err);
