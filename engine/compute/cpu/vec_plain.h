/* vec_plain.h - the vector layer with vectors of one number. */
#pragma once

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "compute/tensor_numbers.h"

enum { VW = 1, MR = 4, NV = 8 };

typedef float vf;

static inline vf v_set1(float a)
{
    return a;
}
static inline vf v_load(const float *p)
{
    return *p;
}
/* A whole number 0..255; NaN gives any. */
static inline void v_store_u8(uint8_t *p, vf v)
{
    *p = v >= 0 && v <= 255 ? (uint8_t)v : 0;
}
/* VW halves, VW bfloats. */
static inline vf v_load_f16(const uint16_t *p)
{
    return tbi_half_to_float(*p);
}
static inline vf v_load_bf16(const uint16_t *p)
{
    return tbi_bfloat_to_float(*p);
}
static inline vf v_load_n(const float *p, int64_t n)
{
    return n > 0 ? *p : 0;
}
static inline void v_store(float *p, vf v)
{
    *p = v;
}
static inline void v_store_n(float *p, vf v, int64_t n)
{
    if (n > 0)
        *p = v;
}
/* The first n of v, then `rest`. */
static inline vf v_first(vf v, int64_t n, vf rest)
{
    return n > 0 ? v : rest;
}
static inline vf v_add(vf a, vf b)
{
    return a + b;
}
static inline vf v_sub(vf a, vf b)
{
    return a - b;
}
static inline vf v_mul(vf a, vf b)
{
    return a * b;
}
static inline vf v_div(vf a, vf b)
{
    return a / b;
}
static inline vf v_fma(vf a, vf b, vf c)
{
    return a * b + c;
}
/* b where the two do not compare. */
static inline vf v_max(vf a, vf b)
{
    return a > b ? a : b;
}
static inline vf v_min(vf a, vf b)
{
    return a < b ? a : b;
}
static inline vf v_round(vf a)
{
    return nearbyintf(a);
}
/* a where x < 0, else b. */
static inline vf v_if_negative(vf x, vf a, vf b)
{
    return x < 0 ? a : b;
}
static inline float power_of_two(int32_t n)
{
    const uint32_t bits = (uint32_t)(n + 127) << 23;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}
/* p * 2^n for whole |n| <= 250, in two steps so that it may leave the normal range. */
static inline vf v_scale2(vf p, vf n)
{
    if (n != n)
        return n;
    const int32_t i = (int32_t)n, half = i / 2;
    return p * power_of_two(half) * power_of_two(i - half);
}
static inline float v_sum(vf a)
{
    return a;
}
static inline float v_peak(vf a)
{
    return a;
}
/* Rows become columns, in place. */
static inline void v_transpose(vf r[VW])
{
    (void)r;
}
