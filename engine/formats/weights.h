/* weights.h - the named tensors of one model part, from one file or several shards.
 *
 * PATH is a file of weights, a sharded set named by its index (*.index.json), or a folder that
 * holds either. Files are safetensors, GGUF, or torch.save's .pth, .pt, .bin, .ckpt; what a file is
 * tell its first bytes. Known prefixes ("model.diffusion_model.", "vae.",
 * "text_encoders.umt5xxl.transformer.") are dropped. Factors of scaled fp8 weights are no tensors
 * of their own: they are their weights' tb_tensor_scale.
 *
 * Memory:  files stay mapped, tensors in their storage type (tb_tensor_read_f32), until the last
 *          reference to one of their tensors is gone.
 */
#pragma once

#include "base/json.h"
#include "compute/tensor.h"

typedef struct tb_weights tb_weights;

/* Hears what a model wants of its weights and does not find: a sentence for each tensor, lent for
 * the call. */
typedef struct tb_weights_lack {
    void (*say)(void *ctx, const char *sentence);
    void *ctx;
} tb_weights_lack;

tb_weights *tb_weights_open(const char *path, tb_err *err);
void tb_weights_close(tb_weights **w);
const char *tb_weights_path(const tb_weights *w);
bool tb_weights_has(const tb_weights *w, const char *name);
/* Borrowed; NULL with TB_ENOTFOUND (file, nearest name). */
const tb_tensor *tb_weights_get(const tb_weights *w, const char *name, tb_err *err);
/* The same, and the shape must be this one (-1 in a dimension: any). Ranks may differ when the
 * element counts agree (1x1 kernels). */
const tb_tensor *tb_weights_want(const tb_weights *w, const char *name, const tb_shape *shape,
                                 tb_err *err);
/* The same as a copy in f32, which is the caller's. */
tb_tensor *tb_weights_want_f32(const tb_weights *w, const char *name, const tb_shape *shape,
                               tb_err *err);
int tb_weights_count(const tb_weights *w);
/* 1 + the highest N of the names that begin with "PREFIX<N>."; 0: there is none. */
int64_t tb_weights_blocks(const tb_weights *w, const char *prefix);
const char *tb_weights_name(const tb_weights *w, int i);
const tb_tensor *tb_weights_at(const tb_weights *w, int i);
/* The config.json beside the file or in the folder; borrowed; NULL if there is none. */
const json_t *tb_weights_config(const tb_weights *w);
/* Files behind it, for digests. */
int tb_weights_file_count(const tb_weights *w);
const char *tb_weights_file(const tb_weights *w, int i);

/* Every tensor of one file, a shard being one, under its full name, factors and all, in the order
 * of the file. `t` is lent for the call; the reading ends when it fails. TB_EFORMAT when the file
 * is damaged, which may be found behind some tensors. */
typedef tb_status (*tb_weights_visit)(void *ctx, const char *name, const tb_tensor *t, tb_err *err);
tb_status tb_weights_each(const char *file, tb_weights_visit visit, void *ctx, tb_err *err);

/* The files of weights that lie in a folder, sorted: indexes, and files that are no shard of a set.
 * *files becomes an array of *count strings; the caller frees each and the array. */
tb_status tb_weights_list(const char *folder, char ***files, int *count, tb_err *err);
/* Is it the name of an index of shards, or of one shard of several? */
bool tb_weights_is_index(const char *file);
bool tb_weights_is_shard(const char *file);
/* "a PyTorch file" or "a GGUF file" when the name says so, else NULL. Static string. */
const char *tb_weights_other(const char *file);
