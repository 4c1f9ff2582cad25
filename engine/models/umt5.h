/* umt5.h - the UMT5 text encoder (arXiv 2304.09151), encoder half, every layer with its own position bias. */
#pragma once

#include "compute/compute.h"
#include "formats/weights.h"

typedef struct tb_umt5 tb_umt5;
typedef struct tb_umt5_config {
    int64_t vocab, dim, heads, d_kv, d_ff, layers, buckets, max_distance;
    float eps;
} tb_umt5_config;

/* Original Wan, Hugging Face and GGUF names. Converts the weights; `w` may be closed afterwards. */
tb_umt5 *tb_umt5_open(tb_compute *c, const tb_weights *w, tb_err *err);
void tb_umt5_close(tb_umt5 **m);
const tb_umt5_config *tb_umt5_config_of(const tb_umt5 *m);
size_t tb_umt5_bytes(const tb_umt5 *m);

/* ids [n] without padding -> out [n][dim]. cancel may be NULL; polled per layer. `probe` (tests) is called
 * with the residual stream after each layer, or NULL. */
tb_status tb_umt5_run(const tb_umt5 *m, tb_compute *c, const int32_t *ids, int64_t n, float *out,
                      const atomic_bool *cancel, void (*probe)(void *ctx, int layer, const float *x), void *ctx,
                      tb_err *err);

/* Bucket of key index minus query index. */
int tb_umt5_bucket(int64_t rel, int64_t buckets, int64_t max_distance);
