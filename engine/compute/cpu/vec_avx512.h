/* vec_avx512.h - the vector layer on AVX-512 F, DQ, BW, VL. See vec_plain.h for what the functions
 * mean. */
#pragma once

#include <immintrin.h>
#include <stdint.h>

enum { VW = 16, MR = 14, NV = 2 };

typedef __m512 vf;

static inline vf v_set1(float a)
{
    return _mm512_set1_ps(a);
}
static inline __mmask16 v_mask(int64_t n)
{
    const int bits = n < VW ? 0xffff >> (VW - n) : 0xffff;
    return (__mmask16)bits;
}
static inline vf v_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
static inline void v_store_u8(uint8_t *p, vf v)
{
    _mm_storeu_si128((__m128i *)(void *)p, _mm512_cvtusepi32_epi8(_mm512_cvtps_epu32(v)));
}
static inline vf v_load_f16(const uint16_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
static inline vf v_load_bf16(const uint16_t *p)
{
    const __m512i wide =
        _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}
static inline vf v_load_n(const float *p, int64_t n)
{
    return _mm512_maskz_loadu_ps(v_mask(n), p);
}
static inline void v_store(float *p, vf v)
{
    _mm512_storeu_ps(p, v);
}
static inline void v_store_n(float *p, vf v, int64_t n)
{
    _mm512_mask_storeu_ps(p, v_mask(n), v);
}
static inline vf v_first(vf v, int64_t n, vf rest)
{
    return _mm512_mask_blend_ps(v_mask(n), rest, v);
}
static inline vf v_add(vf a, vf b)
{
    return _mm512_add_ps(a, b);
}
static inline vf v_sub(vf a, vf b)
{
    return _mm512_sub_ps(a, b);
}
static inline vf v_mul(vf a, vf b)
{
    return _mm512_mul_ps(a, b);
}
static inline vf v_div(vf a, vf b)
{
    return _mm512_div_ps(a, b);
}
static inline vf v_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}
static inline vf v_max(vf a, vf b)
{
    return _mm512_max_ps(a, b);
}
static inline vf v_min(vf a, vf b)
{
    return _mm512_min_ps(a, b);
}
static inline vf v_round(vf a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
static inline vf v_if_negative(vf x, vf a, vf b)
{
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ), b, a);
}
static inline vf v_scale2(vf p, vf n)
{
    return _mm512_scalef_ps(p, n);
}
static inline float v_sum(vf a)
{
    const __m256 q = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 h = _mm_add_ps(_mm256_castps256_ps128(q), _mm256_extractf128_ps(q, 1));
    h = _mm_add_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_add_ss(h, _mm_movehdup_ps(h)));
}
static inline float v_peak(vf a)
{
    const __m256 q = _mm256_max_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 h = _mm_max_ps(_mm256_castps256_ps128(q), _mm256_extractf128_ps(q, 1));
    h = _mm_max_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_max_ss(h, _mm_movehdup_ps(h)));
}
#define V_HAS_ROTATE 1
static inline vf v_rotate(vf x, vf cs)
{
    const vf swapped = _mm512_permute_ps(x, 0xb1);
    return _mm512_fmaddsub_ps(x, _mm512_moveldup_ps(cs),
                              _mm512_mul_ps(swapped, _mm512_movehdup_ps(cs)));
}
static inline void v_transpose(vf r[VW])
{
    vf t[16];
    /* Four rows at a time: t[4g + c] holds columns c, c+4, c+8, c+12 of rows 4g..4g+3, one a lane
     * of 128 bits. */
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4) {
        const vf a = _mm512_unpacklo_ps(r[i], r[i + 1]), b = _mm512_unpackhi_ps(r[i], r[i + 1]);
        const vf c = _mm512_unpacklo_ps(r[i + 2], r[i + 3]),
                 d = _mm512_unpackhi_ps(r[i + 2], r[i + 3]);
        t[i] = _mm512_shuffle_ps(a, c, 0x44);
        t[i + 1] = _mm512_shuffle_ps(a, c, 0xee);
        t[i + 2] = _mm512_shuffle_ps(b, d, 0x44);
        t[i + 3] = _mm512_shuffle_ps(b, d, 0xee);
    }
#pragma GCC unroll 4
    for (int c = 0; c < 4; c++) {
        const vf a = _mm512_shuffle_f32x4(t[c], t[c + 4], 0x88),
                 b = _mm512_shuffle_f32x4(t[c], t[c + 4], 0xdd);
        const vf d = _mm512_shuffle_f32x4(t[c + 8], t[c + 12], 0x88),
                 e = _mm512_shuffle_f32x4(t[c + 8], t[c + 12], 0xdd);
        r[c] = _mm512_shuffle_f32x4(a, d, 0x88);
        r[c + 4] = _mm512_shuffle_f32x4(b, e, 0x88);
        r[c + 8] = _mm512_shuffle_f32x4(a, d, 0xdd);
        r[c + 12] = _mm512_shuffle_f32x4(b, e, 0xdd);
    }
}
