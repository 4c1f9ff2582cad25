/* tensor_numbers.h - small floating-point formats to f32, exactly. For compute/ only. */
#pragma once

#include <stdint.h>

typedef union tbi_float_bits {
    uint32_t u;
    float f;
} tbi_float_bits;

/* IEEE 754 half: exact, subnormals and NaN included. Without branches, for vectors: below the
 * normal numbers the mantissa counts in steps of 2^-24, which a difference of two normal singles
 * says exactly. */
static inline float tbi_half_to_float(uint16_t h)
{
    const uint32_t size = h & 0x7fffu, top = size >= 0x7c00u ? 112u << 23 : 0;
    const tbi_float_bits low = { .u = (113u << 23) + (size << 13) };
    tbi_float_bits v = { .u = (size << 13) + (112u << 23) + top };
    v.f = size < 0x400u ? low.f - 0x1p-14f : v.f;
    v.u |= (uint32_t)(h & 0x8000u) << 16;
    return v.f;
}

/* bfloat16: the upper half of a single. */
static inline float tbi_bfloat_to_float(uint16_t h)
{
    const tbi_float_bits v = { .u = (uint32_t)h << 16 };
    return v.f;
}

/* FP8 of 5 exponent bits: the upper half of an IEEE half (arXiv 2209.05433). */
static inline float tbi_e5m2_to_float(uint8_t c)
{
    return tbi_half_to_float((uint16_t)(c << 8));
}

/* FP8 of 4 exponent bits, bias 7, without infinities: S.1111.111 is NaN, 448 the largest
 * (arXiv 2209.05433, "E4M3"; torch calls it float8_e4m3fn). */
static inline float tbi_e4m3_to_float(uint8_t c)
{
    const uint32_t sign = (uint32_t)(c & 0x80u) << 24, exp = c >> 3 & 15u, man = c & 7u;
    tbi_float_bits v = { .u = sign | (exp + 120) << 23 | man << 20 };
    if (exp == 15 && man == 7)
        v.u = sign | 0x7fc00000u;
    else if (exp == 0) {
        v.f = (float)man * 0x1p-9f;
        v.u |= sign;
    }
    return v.f;
}
