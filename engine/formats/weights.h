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
int tb_weights_count(const tb_weights *w);
/* Of all tensors once they are f32; a file of several parts counts whole. */
int64_t tb_weights_f32_bytes(const tb_weights *w);
const char *tb_weights_name(const tb_weights *w, int i);
const tb_tensor *tb_weights_at(const tb_weights *w, int i);
/* The config.json beside the file or in the folder; borrowed; NULL if there is none. */
const json_t *tb_weights_config(const tb_weights *w);
/* Files behind it, for digests. */
int tb_weights_file_count(const tb_weights *w);
const char *tb_weights_file(const tb_weights *w, int i);

/* The files of weights that lie in a folder, sorted: indexes, and files that are no shard of a set.
 * *files becomes an array of *count strings; the caller frees each and the array. */
tb_status tb_weights_list(const char *folder, char ***files, int *count, tb_err *err);
/* "a PyTorch file" or "a GGUF file" when the name says so, else NULL. Static string. */
const char *tb_weights_other(const char *file);
