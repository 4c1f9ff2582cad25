/* blas.h - OpenBLAS, opened when it is first wanted. */
#pragma once

#include "base/err.h"

enum {
    TBI_BLAS_ROW_MAJOR = 101,
    TBI_BLAS_NO_TRANS = 111,
    TBI_BLAS_TRANS = 112
}; /* CBLAS's own numbers */

typedef struct tbi_blas {
    void (*sgemm)(int order, int trans_a, int trans_b, int m, int n, int k, float alpha,
                  const float *a, int lda, const float *b, int ldb, float beta, float *c, int ldc);
    const char *core;   /* what it really runs with: "SkylakeX" */
    const char *config; /* its version text */
} tbi_blas;

/* Put the core type and one thread into the environment, where the library looks when it is opened.
 * Call before other threads run; the user's own setting stays. */
void tbi_blas_prepare(void);
/* Opens libopenblas.so.0, or the library TUBELET_OPENBLAS names, once per process. TB_ENOTFOUND
 * names the package that brings it. Any thread. */
const tbi_blas *tbi_blas_open(tb_err *err);
