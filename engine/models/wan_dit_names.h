/* wan_dit_names.h - what the modules of the Wan transformer are called: by its authors and in
 * diffusers. For models/ only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* id, name by its authors, name in diffusers; those from DIT_MODULATION on stand below
 * "blocks.N." */
#define DIT_NAME_LIST(X)                                                                \
    X(DIT_PATCH, "patch_embedding", "patch_embedding")                                  \
    X(DIT_TEXT_0, "text_embedding.0", "condition_embedder.text_embedder.linear_1")      \
    X(DIT_TEXT_2, "text_embedding.2", "condition_embedder.text_embedder.linear_2")      \
    X(DIT_TIME_0, "time_embedding.0", "condition_embedder.time_embedder.linear_1")      \
    X(DIT_TIME_2, "time_embedding.2", "condition_embedder.time_embedder.linear_2")      \
    X(DIT_TIME_PROJ, "time_projection.1", "condition_embedder.time_proj")               \
    X(DIT_IMAGE_0, "img_emb.proj.0", "condition_embedder.image_embedder.norm1")         \
    X(DIT_IMAGE_1, "img_emb.proj.1", "condition_embedder.image_embedder.ff.net.0.proj") \
    X(DIT_IMAGE_3, "img_emb.proj.3", "condition_embedder.image_embedder.ff.net.2")      \
    X(DIT_IMAGE_4, "img_emb.proj.4", "condition_embedder.image_embedder.norm2")         \
    X(DIT_IMAGE_POS, "img_emb.emb_pos", "condition_embedder.image_embedder.pos_embed")  \
    X(DIT_HEAD, "head.head", "proj_out")                                                \
    X(DIT_HEAD_MODULATION, "head.modulation", "scale_shift_table")                      \
    X(DIT_MODULATION, "modulation", "scale_shift_table")                                \
    X(DIT_SELF_Q, "self_attn.q", "attn1.to_q")                                          \
    X(DIT_SELF_K, "self_attn.k", "attn1.to_k")                                          \
    X(DIT_SELF_V, "self_attn.v", "attn1.to_v")                                          \
    X(DIT_SELF_O, "self_attn.o", "attn1.to_out.0")                                      \
    X(DIT_SELF_NORM_Q, "self_attn.norm_q", "attn1.norm_q")                              \
    X(DIT_SELF_NORM_K, "self_attn.norm_k", "attn1.norm_k")                              \
    X(DIT_NORM_3, "norm3", "norm2")                                                     \
    X(DIT_CROSS_Q, "cross_attn.q", "attn2.to_q")                                        \
    X(DIT_CROSS_K, "cross_attn.k", "attn2.to_k")                                        \
    X(DIT_CROSS_V, "cross_attn.v", "attn2.to_v")                                        \
    X(DIT_CROSS_O, "cross_attn.o", "attn2.to_out.0")                                    \
    X(DIT_CROSS_NORM_Q, "cross_attn.norm_q", "attn2.norm_q")                            \
    X(DIT_CROSS_NORM_K, "cross_attn.norm_k", "attn2.norm_k")                            \
    X(DIT_IMAGE_K, "cross_attn.k_img", "attn2.add_k_proj")                              \
    X(DIT_IMAGE_V, "cross_attn.v_img", "attn2.add_v_proj")                              \
    X(DIT_IMAGE_NORM_K, "cross_attn.norm_k_img", "attn2.norm_added_k")                  \
    X(DIT_FFN_0, "ffn.0", "ffn.net.0.proj")                                             \
    X(DIT_FFN_2, "ffn.2", "ffn.net.2")

typedef enum dit_name {
#define X(id, original, diffusers) id,
    DIT_NAME_LIST(X)
#undef X
        DIT_NAMES
} dit_name;

typedef enum dit_naming { DIT_ORIGINAL, DIT_DIFFUSERS } dit_naming;

enum { DIT_NAME_SIZE = 128 };

/* Static string, without "blocks.N.". */
const char *tbi_dit_name(dit_name name, dit_naming naming);

/* One spelling for all: the authors' name with '_' for every '.', so that the flat names of kohya's
 * files are understood, too. "blocks.3.attn1.to_q" and "blocks_3_self_attn_q" both become
 * "blocks_3_self_attn_q". Of `name` the first `n` bytes count; unknown names stay, but for the
 * dots. Cut at DIT_NAME_SIZE. Returns flat. */
char *tbi_dit_flat_name(const char *name, size_t n, char flat[DIT_NAME_SIZE]);
/* The same for the module of a tensor: its name without ".weight" or ".bias". True: it is the bias.
 */
bool tbi_dit_flat_module(const char *tensor, char flat[DIT_NAME_SIZE]);
