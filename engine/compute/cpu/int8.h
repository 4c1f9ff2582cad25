/* int8.h - the inner loops of the int8 linears, once per instruction set.
 *
 * Integers are exact: every set gives the same sums, and from them the same floats, as each float
 * operation below is one rounding that all sets do alike. Panels and rows have one layout for all,
 * so that weights packed for one set serve the others.
 */
#pragma once

#include <stdint.h>

enum {
    TBI_INT8_NR = 32,
    TBI_INT8_ROW = 64
}; /* columns of a panel; rows are multiples of 64 bytes */

/* acc[r][c] = (sum over k of (a[r][k] - 128) * w[k][c]) * row_scale[r] * col_scale[c]. Sums must
 * fit into 32 bits: k at most TBI_INT8_K_MOST. */
typedef struct tbi_int8_tile {
    int rows;         /* <= mr */
    int64_t fours;    /* k in groups of four, the last filled with weights of zero */
    const uint8_t *a; /* [rows][lda], numbers -127..127 with 128 added */
    int64_t lda;
    const int8_t *panel;  /* [fours][32][4], -127..127 */
    const int32_t *minus; /* [32]: 128 times the sum of a column */
    const float *row_scale, *col_scale;
    const void *ahead; /* what will be read soon: 128 bytes of it are fetched for each four */
    float *acc;        /* [rows][32] */
} tbi_int8_tile;

#define TBI_INT8_K_MOST ((int64_t)1 << 16)

typedef struct tbi_int8_kernels {
    const char *name;
    int mr;
    void (*tile)(const tbi_int8_tile *t);
} tbi_int8_kernels;

extern const tbi_int8_kernels tbi_int8_plain;
#ifdef __x86_64__
extern const tbi_int8_kernels tbi_int8_avx2;
extern const tbi_int8_kernels tbi_int8_vnni;
#endif
