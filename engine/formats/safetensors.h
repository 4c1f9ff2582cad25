/* safetensors.h - files of named tensors: length of the header, JSON header, raw data.
 *
 * Memory:  the file stays mapped until the last tensor taken from it is gone.
 *
 * Errors:  a file is checked before anything is believed: header at most 100 MB and inside the
 *          file, rank at most 8, products without overflow, ranges disjoint and covering. What
 *          fails is refused with one sentence; nothing outside the file is ever read.
 *
 * Threads: an open file may be read from any thread.
 */
#pragma once

#include "base/json.h"
#include "compute/tensor.h"

typedef struct tb_safetensors tb_safetensors;

tb_safetensors *tb_safetensors_open(const char *path, tb_err *err);
void tb_safetensors_close(tb_safetensors **f);
int tb_safetensors_count(const tb_safetensors *f);
const char *tb_safetensors_name(const tb_safetensors *f, int i);
tb_dtype tb_safetensors_dtype(const tb_safetensors *f, int i);
const tb_shape *tb_safetensors_shape(const tb_safetensors *f, int i);
/* The i-th tensor, over the mapped bytes. New reference. */
tb_tensor *tb_safetensors_tensor(const tb_safetensors *f, int i, tb_err *err);
/* By name; TB_ENOTFOUND naming the file and the nearest name it has. New reference. */
tb_tensor *tb_safetensors_get(const tb_safetensors *f, const char *name, tb_err *err);
/* The __metadata__ object, borrowed, or NULL. */
const json_t *tb_safetensors_metadata(const tb_safetensors *f);

/* The bytes of a whole file with texts (an object of strings) among its __metadata__, in place of
 * those of the same name; the tensors stay as they are. New tensor. */
tb_tensor *tb_safetensors_embed(const tb_tensor *file, const json_t *texts, tb_err *err);

/* Write beside, then rename. metadata: object of strings or NULL. */
tb_status tb_safetensors_write(const char *path, int count, const char *const *names,
                               const tb_tensor *const *tensors, const json_t *metadata,
                               tb_err *err);
/* The same into memory (for a FILE value). *data is freed by free(). */
tb_status tb_safetensors_encode(int count, const char *const *names,
                                const tb_tensor *const *tensors, const json_t *metadata,
                                char **data, size_t *size, tb_err *err);
