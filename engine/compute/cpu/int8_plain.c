/* int8_plain.c - the int8 product in plain C: the reference of the others, and every other
 * processor's. */
#include "compute/cpu/int8.h"

static void tile(const tbi_int8_tile *t)
{
    for (int r = 0; r < t->rows; r++) {
        int32_t sum[TBI_INT8_NR] = { 0 };
        const uint8_t *a = t->a + r * t->lda;
        const int8_t *w = t->panel;
        for (int64_t k = 0; k < t->fours; k++, a += 4, w += 4 * TBI_INT8_NR) {
            const int32_t x[4] = { a[0] - 128, a[1] - 128, a[2] - 128, a[3] - 128 };
            for (int c = 0; c < TBI_INT8_NR; c++)
                sum[c] += x[0] * w[4 * c] + x[1] * w[4 * c + 1] + x[2] * w[4 * c + 2] +
                          x[3] * w[4 * c + 3];
        }
        for (int c = 0; c < TBI_INT8_NR; c++)
            t->acc[r * TBI_INT8_NR + c] = (float)sum[c] * t->row_scale[r] * t->col_scale[c];
    }
}

const tbi_int8_kernels tbi_int8_plain = { .name = "plain", .mr = 4, .tile = tile };
