/* int8_avx2.c - the int8 product on AVX2: |a| times w with a's sign, in pairs of bytes. 127 * 127 *
 * 2 fits into 16 bits, so nothing saturates. */
#include "compute/cpu/int8.h"

#ifdef __x86_64__
#include <immintrin.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

enum { MR = 4, HALF = TBI_INT8_NR / 2 };

INLINE __m256i four_of(const uint8_t *a)
{
    int32_t x;
    memcpy(&x, a, sizeof x);
    return _mm256_xor_si256(_mm256_set1_epi32(x), _mm256_set1_epi8(-128));
}

/* Columns [16 * half, 16 * half + 16). */
INLINE void half_rows(const int rows, const int half, const tbi_int8_tile *t)
{
    const __m256i ones = _mm256_set1_epi16(1);
    const uint8_t *a = t->a;
    const int8_t *w = t->panel + 4 * HALF * half;
    __m256i sum[MR][2];
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++)
        sum[r][0] = sum[r][1] = _mm256_setzero_si256();
    for (int64_t k = 0; k < t->fours; k++, a += 4, w += 4 * TBI_INT8_NR) {
        const __m256i w0 = _mm256_loadu_si256((const __m256i *)(const void *)w),
                      w1 = _mm256_loadu_si256((const __m256i *)(const void *)(w + 32));
#pragma GCC unroll 4
        for (int r = 0; r < rows; r++) {
            const __m256i x = four_of(a + r * t->lda), size = _mm256_abs_epi8(x);
            const __m256i p0 = _mm256_maddubs_epi16(size, _mm256_sign_epi8(w0, x)),
                          p1 = _mm256_maddubs_epi16(size, _mm256_sign_epi8(w1, x));
            sum[r][0] = _mm256_add_epi32(sum[r][0], _mm256_madd_epi16(p0, ones));
            sum[r][1] = _mm256_add_epi32(sum[r][1], _mm256_madd_epi16(p1, ones));
        }
    }
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) {
        const __m256 scale = _mm256_set1_ps(t->row_scale[r]);
        for (int j = 0; j < 2; j++) {
            const int c = HALF * half + 8 * j;
            const __m256 y = _mm256_mul_ps(_mm256_cvtepi32_ps(sum[r][j]), scale);
            _mm256_storeu_ps(t->acc + r * TBI_INT8_NR + c,
                             _mm256_mul_ps(y, _mm256_loadu_ps(t->col_scale + c)));
        }
    }
}

INLINE void both_halves(const int rows, const tbi_int8_tile *t)
{
    half_rows(rows, 0, t);
    half_rows(rows, 1, t);
}

static void tile(const tbi_int8_tile *t)
{
    switch (t->rows) {
    case 1: both_halves(1, t); break;
    case 2: both_halves(2, t); break;
    case 3: both_halves(3, t); break;
    default: both_halves(4, t); break;
    }
}

const tbi_int8_kernels tbi_int8_avx2 = { .name = "avx2", .mr = MR, .tile = tile };
#endif
