/* tensor_numbers.h - small floating-point formats to f32, exactly. For compute/ only. */
#pragma once

#include <stdint.h>

/* IEEE 754 half: exact, subnormals and NaN included. */
static inline float tbi_half_to_float(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exp = h >> 10 & 31u, man = h & 0x3ffu;
    union {
        uint32_t u;
        float f;
    } v = { .u = sign | (exp + 112) << 23 | man << 13 };
    if (exp == 31)
        v.u = sign | 0x7f800000u | man << 13;
    else if (exp == 0) {
        v.f = (float)man * 0x1p-24f;
        v.u |= sign;
    }
    return v.f;
}

/* bfloat16: the upper half of a single. */
static inline float tbi_bfloat_to_float(uint16_t h)
{
    union {
        uint32_t u;
        float f;
    } v = { .u = (uint32_t)h << 16 };
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
    union {
        uint32_t u;
        float f;
    } v = { .u = sign | (exp + 120) << 23 | man << 20 };
    if (exp == 15 && man == 7)
        v.u = sign | 0x7fc00000u;
    else if (exp == 0) {
        v.f = (float)man * 0x1p-9f;
        v.u |= sign;
    }
    return v.f;
}
