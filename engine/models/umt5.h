/* umt5.h - the UMT5 text encoder (arXiv 2304.09151): T5's encoder half, every layer with its own
 * position bias.
 *
 * Memory:  layers are packed once (16-bit weights stay so, all others become f32) when all of them
 *          fit into TB_UMT5_RESIDENT bytes; else each run packs a layer, uses it, drops it and lets
 *          its pages of the file go (UMT5-XXL in bf16: 0.4 GB at a time, not 9).
 *          The table of token vectors stays mapped in its file's dtype.
 * Threads: one at a time per tb_compute.
 */
#pragma once

#include "compute/compute.h"
#include "formats/weights.h"

#define TB_UMT5_RESIDENT ((size_t)4 << 30)

typedef struct tb_umt5 tb_umt5;
typedef struct tb_umt5_config {
    int64_t vocab, dim, heads, d_kv, d_ff, layers, buckets, max_distance;
    int64_t layer_bytes; /* of the linears of one layer once packed; 0: as f32 */
    float eps;
} tb_umt5_config;

/* Original Wan, Hugging Face and GGUF names. `w` may be closed afterwards. */
tb_umt5 *tb_umt5_open(tb_compute *c, const tb_weights *w, tb_err *err);
/* The same with another limit than TB_UMT5_RESIDENT. */
tb_umt5 *tb_umt5_open_within(tb_compute *c, const tb_weights *w, size_t resident_bytes,
                             tb_err *err);
/* Hold the names and shapes that opening asks for against those that are there; reads no weight. */
void tb_umt5_check(const tb_weights *w, const tb_weights_lack *lack);
void tb_umt5_close(tb_umt5 **m);
const tb_umt5_config *tb_umt5_config_of(const tb_umt5 *m);
/* Sizes from names and shapes alone. TB_EFORMAT when this is no UMT5 encoder. */
tb_status tb_umt5_read_config(const tb_weights *w, tb_umt5_config *k, tb_err *err);
/* Bytes of converted weights held between runs. */
size_t tb_umt5_bytes(const tb_umt5 *m);
/* Bytes of packed weights held while it runs: of all layers, or of one at a time. */
size_t tb_umt5_weights(const tb_umt5_config *k);
/* Bytes that running a text of so many tokens takes, the weights held meanwhile among them. */
size_t tb_umt5_memory(const tb_umt5_config *k, int64_t tokens);

/* ids [n] without padding, n >= 1 -> out [n][dim]. cancel may be NULL; polled per layer. `probe`
 * (tests) is called with the residual stream [n][dim] after each layer, or NULL. */
tb_status tb_umt5_run(const tb_umt5 *m, tb_compute *c, const int32_t *ids, int64_t n, float *out,
                      const atomic_bool *cancel,
                      void (*probe)(void *ctx, int layer, const float *x), void *ctx, tb_err *err);

/* Bucket of key index minus query index: exact for small distances, logarithmic up to max_distance,
 * half of the buckets for each direction. */
int tb_umt5_bucket(int64_t rel, int64_t buckets, int64_t max_distance);
