/* kernels.h - the inner loops, once per instruction set.
 *
 * kernels_body.h is compiled for each set over a small vector layer (vec_*.h). The functions run on
 * one thread and touch only what they are given. `n` is never a multiple of anything unless said;
 * nothing is read or written beyond it.
 *
 * Products sum over k in ascending order with one accumulator per element (fused multiply-add on
 * avx2 and avx512). So a row's result does not depend on the rows beside it, on blocks, or on
 * threads.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "compute/compute.h"

/* Raise when the bytes a kernel gives change; part of the numeric class. */
#define TBI_KERNELS_VERSION 1

enum { TBI_MAX_NR = 32, TBI_LINE_BYTES = 64 }; /* columns of a panel at most; a cache line */

/* acc[rows][ld_acc] (+)= sum over segments s and k < k_seg of a[r * lda + seg[s] + k] * panel[s *
 * k_seg + k][0..cols). rows <= mr, cols <= nr; columns up to the next whole vector are written too.
 */
typedef struct tbi_tile {
    int rows, cols;
    const float *a;
    int64_t lda;
    const int64_t *seg;
    int segs;
    int64_t k_seg;
    const float *panel; /* [segs * k_seg][nr] */
    const void *ahead;  /* what will be read soon: a cache line of it is fetched for each k; may be
                           past the end */
    float *acc;
    int64_t ld_acc;
    bool first; /* acc is overwritten */
} tbi_tile;

/* A tile's way from the accumulators to memory; pointers stand at the tile's first row and column.
 */
typedef struct tbi_tile_out {
    int64_t rows, cols;
    const float *acc; /* [rows][ld_acc] */
    int64_t ld_acc;
    const float *bias; /* [cols] or NULL */
    tb_act act;
    const float *gate; /* [cols] or NULL */
    int64_t gate_stride;
    const float *residual; /* like y, or NULL */
    float *y;
    int64_t ldy;
} tbi_tile_out;

/* One row of online softmax: scores in, weights out. */
typedef struct tbi_softmax_row {
    float *s; /* [n] scores, then exp(score - max); written up to the next whole vector */
    int64_t n;
    float scale;
    const float *bias; /* [n] or NULL */
    float last_count;  /* weight of element n-1 */
    float *max, *sum;  /* running, max in units of log2; start with -inf and 0 */
    float *o;          /* [d] running output, rescaled to the new maximum; NULL: none yet */
    int64_t d;
} tbi_softmax_row;

typedef struct tbi_kernels {
    const char *name;
    int mr, nr; /* rows and columns of a tile; a panel of B is [k][nr] */

    void (*tile)(const tbi_tile *t);
    void (*tile_out)(const tbi_tile_out *t);
    /* panel[k][nr] from rows b[cols][ldb] (transposing), the rest of the nr columns zero. */
    void (*pack_rows)(const float *b, int64_t ldb, int64_t cols, int64_t k, float *panel);
    /* panel[k][nr] from b[k][ldb]. */
    void (*pack_cols)(const float *b, int64_t ldb, int64_t cols, int64_t k, float *panel);
    /* The same for 16-bit numbers, whatever they mean, from any column of a panel on; the columns
     * beside stay as they are. */
    void (*pack_rows_16)(const uint16_t *b, int64_t ldb, int64_t cols, int64_t k, uint16_t *panel);
    /* n halves or bfloats as the f32 they stand for, exactly; n is a multiple of nr. */
    void (*expand_f16)(const uint16_t *x, int64_t n, float *y);
    void (*expand_bf16)(const uint16_t *x, int64_t n, float *y);

    /* q[k] = round(x[k] * 127 / max|x|) + 128 and *scale = max|x| / 127, 0 for zeros and all but
     * zeros, NaN when x has a NaN or an infinity. q is written up to the next whole vector. */
    void (*quantise)(const float *x, int64_t n, uint8_t *q, float *scale);

    void (*layernorm)(const float *x, int64_t n, float eps, const float *scale, bool plus_one,
                      const float *shift, float *y);
    void (*rmsnorm)(const float *x, int64_t n, float eps, const float *weight, float *y);
    void (*channel_norm)(const float *x, int64_t n, const float *gamma, bool silu, float *y);
    void (*activate)(tb_act act, const float *x, int64_t n, float *y);
    void (*mul)(const float *a, const float *b, int64_t n, float *y);
    void (*axpy)(float s, const float *x, int64_t n, float *y);
    /* x[pairs][2] rotated by cos_sin[pairs][2], in place. */
    void (*rotate)(float *x, const float *cos_sin, int64_t pairs);
    void (*softmax)(const tbi_softmax_row *r);
    void (*scale)(float s, const float *x, int64_t n, float *y);
    /* y[cols][ldy] = x[rows][ldx] transposed. */
    void (*transpose)(const float *x, int64_t ldx, int64_t rows, int64_t cols, float *y,
                      int64_t ldy);
} tbi_kernels;

extern const tbi_kernels tbi_kernels_plain;
#ifdef __x86_64__
extern const tbi_kernels tbi_kernels_avx2;
extern const tbi_kernels tbi_kernels_avx512;
#endif
