/* int8_vnni.c - the int8 product on AVX-512 VNNI. vpdpbusd multiplies unsigned bytes with signed
 * ones: activations come with 128 added, and what that adds is taken off at the start. */
#include "compute/cpu/int8.h"

#ifdef __x86_64__
#include <immintrin.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

enum { MR = 14, HALF = TBI_INT8_NR / 2 };

INLINE __m512i load(const void *p)
{
    return _mm512_loadu_si512(p);
}

INLINE __m512i four_of(const uint8_t *a)
{
    int32_t x;
    memcpy(&x, a, sizeof x);
    return _mm512_set1_epi32(x);
}

/* sum += x w. GCC 12 copies the sums around its intrinsic for this, at half the speed. */
INLINE __m512i dot(__m512i sum, __m512i x, __m512i w)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w));
    return sum;
}

/* Rows are found from three pointers in steps of lda: one for each would be more than there are
 * registers, and the compiler is kept from making them. */
INLINE void tile_rows(const int rows, const tbi_int8_tile *t)
{
    const int64_t lda = t->lda;
    const uint8_t *p[3] = { t->a, t->a + (rows > 5 ? 5 * lda : 0),
                            t->a + (rows > 10 ? 10 * lda : 0) };
    const int8_t *w = t->panel;
    const char *ahead = t->ahead;
    const __m512i none = _mm512_setzero_si512();
    const __m512i start[2] = { _mm512_sub_epi32(none, load(t->minus)),
                               _mm512_sub_epi32(none, load(t->minus + HALF)) };
    __m512i sum[MR][2];
#pragma GCC unroll 14
    for (int r = 0; r < rows; r++) {
        sum[r][0] = start[0];
        sum[r][1] = start[1];
    }
    for (int64_t k = 0; k < t->fours; k++) {
        const __m512i w0 = load(w), w1 = load(w + 4 * HALF);
#pragma GCC unroll 14
        for (int r = 0; r < rows; r++) {
            const __m512i x = four_of(p[r / 5] + (r % 5) * lda);
            sum[r][0] = dot(sum[r][0], x, w0);
            sum[r][1] = dot(sum[r][1], x, w1);
        }
        __builtin_prefetch(ahead, 0, 2);
        __builtin_prefetch(ahead + 64, 0, 2);
        ahead += 4 * TBI_INT8_NR;
        w += 4 * TBI_INT8_NR;
        p[0] += 4;
        p[1] += 4;
        p[2] += 4;
        __asm__("" : "+r"(p[0]), "+r"(p[1]), "+r"(p[2]));
    }
    const __m512 scale[2] = { _mm512_loadu_ps(t->col_scale), _mm512_loadu_ps(t->col_scale + HALF) };
#pragma GCC unroll 14
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 2
        for (int j = 0; j < 2; j++) {
            const __m512 y =
                _mm512_mul_ps(_mm512_cvtepi32_ps(sum[r][j]), _mm512_set1_ps(t->row_scale[r]));
            _mm512_storeu_ps(t->acc + r * TBI_INT8_NR + j * HALF, _mm512_mul_ps(y, scale[j]));
        }
    }
}

/* One instance for each number of rows, so that the sums are registers. */
#define CASE(n) \
    case n: tile_rows(n, t); break

static void tile(const tbi_int8_tile *t)
{
    switch (t->rows) {
        CASE(1);
        CASE(2);
        CASE(3);
        CASE(4);
        CASE(5);
        CASE(6);
        CASE(7);
        CASE(8);
        CASE(9);
        CASE(10);
        CASE(11);
        CASE(12);
        CASE(13);
        CASE(14);
    default: break;
    }
}
#undef CASE

const tbi_int8_kernels tbi_int8_vnni = { .name = "vnni", .mr = MR, .tile = tile };
#endif
