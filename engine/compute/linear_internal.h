/* linear_internal.h - what linear.c and linear_int8.c share. */
#pragma once

#include "compute/compute_internal.h"

/* Weights of int8: one scale for each output. */
typedef struct tbi_int8 {
    int64_t in, out, count; /* panels */
    int64_t row;            /* bytes of a row of activations */
    size_t bytes;
    int8_t *panels; /* [count][row / 4][32][4] */
    float *scale;   /* [count * 32] */
    int32_t *minus; /* [count * 32]: see cpu/int8.h */
} tbi_int8;

struct tb_linear {
    int64_t in, out;
    tbi_panels panels; /* no data when the weights are int8 */
    tbi_int8 *int8;    /* NULL when they are not */
    float *bias;       /* [out] or NULL */
};

/* One call of tb_linear_run. */
typedef struct tbi_linear_job {
    tb_compute *c;
    const tb_linear *l;
    const float *x;
    float *y;
    int64_t rows, ldx, ldy;
    tb_epilogue e;
    int64_t row_blocks, groups, k_blocks;
} tbi_linear_job;

/* A tile from the accumulators [rows][nr] to y, through bias and epilogue. */
void tbi_linear_store(const tbi_linear_job *j, const float *acc, int nr, int64_t row, int64_t rows,
                      int64_t panel);

/* Is it held as it is in its file? 16-bit floats are, unless a factor comes with them. */
bool tbi_stays(const tb_tensor *t);

/* Owned by the caller. NULL with TB_ENOMEM. */
tbi_int8 *tbi_int8_new(tb_compute *c, int count, const tb_tensor *const *weights, int64_t out,
                       int64_t in, tb_err *err);
void tbi_int8_free(tbi_int8 **w);
void tbi_int8_run(tbi_linear_job *j);
