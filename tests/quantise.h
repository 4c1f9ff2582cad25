/* quantise.h - plain code that makes weights small, and says what they became: for tests, the
 * simplest rounding that a format allows (GGML's own searches are better by a few per cent). */
#pragma once

#include "compute/tensor.h"
#include "test.h"

/* A small float of sign, exponent and mantissa bits, to nearest even; beyond `max` it is clamped.
 * Returns its code, *value what it means. */
static inline uint32_t small_float(float x, int exp_bits, int man_bits, double max, float *value)
{
    const int bias = (1 << (exp_bits - 1)) - 1;
    const double a = fabs((double)x) > max ? max : fabs((double)x);
    int e = 1 - bias;
    if (a > 0 && ilogb(a) > e)
        e = ilogb(a);
    const double q = nearbyint(ldexp(a, man_bits - e)); /* may be one power too many: still right */
    *value = copysignf((float)ldexp(q, e - man_bits), x);
    const uint32_t sign = signbit(x) ? 1u << (exp_bits + man_bits) : 0;
    return sign | (uint32_t)((e + bias - 1) * (1 << man_bits) + (int)q);
}

static inline uint32_t float_code(tb_dtype dtype, float x, float *value)
{
    switch ((int)dtype) {
    case TB_F16: return small_float(x, 5, 10, 65504, value);
    case TB_BF16: return small_float(x, 8, 7, 3.3895e38, value);
    case TB_F8_E4M3: return small_float(x, 4, 3, 448, value);
    default: return small_float(x, 5, 2, 57344, value);
    }
}

/* An IEEE half at `p`; returns the number that it holds. */
static inline float put_half(uint8_t *p, float x)
{
    float value;
    const uint32_t code = float_code(TB_F16, x, &value);
    p[0] = (uint8_t)code;
    p[1] = (uint8_t)(code >> 8);
    return value;
}

static inline int clamp_round(float x, int least, int most)
{
    const float r = nearbyintf(x);
    return !(r > (float)least) ? least : r < (float)most ? (int)r : most;
}

static inline float largest(const float *x, int n)
{
    float m = 0;
    for (int i = 0; i < n; i++)
        m = fabsf(x[i]) > m ? fabsf(x[i]) : m;
    return m;
}

static inline float ratio(float a, float b)
{
    return b != 0 ? a / b : 0;
}

/* ------------------------------------------------------------------------------- blocks of 32 */

static inline void put_nibble(uint8_t *q, int j, int v)
{
    q[j % 16] |= (uint8_t)(v << (j < 16 ? 0 : 4));
}

/* Q4_0, Q4_1, Q5_0, Q5_1: `bits` a number, with an offset or symmetric around 0. */
static inline void quantise_45(const float *x, int bits, bool offset, uint8_t *b, float *hat)
{
    const int half = 1 << (bits - 1), most = 2 * half - 1, high = offset ? 4 : 2;
    float low = 0, up = 0;
    for (int j = 0; j < 32; j++) {
        low = x[j] < low ? x[j] : low;
        up = x[j] > up ? x[j] : up;
    }
    const float d =
        put_half(b, offset ? (up - low) / (float)most : largest(x, 32) / (float)(half - 1));
    const float m = offset ? put_half(b + 2, low) : 0;
    uint8_t *q4 = b + high + (bits == 5 ? 4 : 0);
    for (int j = 0; j < 32; j++) {
        const int q = offset ? clamp_round(ratio(x[j] - m, d), 0, most)
                             : clamp_round(ratio(x[j], d), -half, half - 1) + half;
        put_nibble(q4, j, q & 15);
        if (bits == 5)
            b[high + j / 8] |= (uint8_t)((q >> 4) << j % 8);
        hat[j] = offset ? d * (float)q + m : d * (float)(q - half);
    }
}

static inline void quantise_8(const float *x, uint8_t *b, float *hat)
{
    const float d = put_half(b, largest(x, 32) / 127);
    for (int j = 0; j < 32; j++) {
        const int q = clamp_round(ratio(x[j], d), -127, 127);
        b[2 + j] = (uint8_t)q;
        hat[j] = d * (float)q;
    }
}

static inline int nearest_level(float v)
{
    static const int level[16] = { -127, -104, -83, -65, -49, -35, -22, -10,
                                   1,    13,   25,  38,  53,  69,  89,  113 };
    int best = 0;
    for (int i = 1; i < 16; i++)
        if (fabsf(v - (float)level[i]) < fabsf(v - (float)level[best]))
            best = i;
    return best;
}

static inline int level_of(int i)
{
    return (
        const int[]){ -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113 }[i];
}

static inline void quantise_iq4_nl(const float *x, uint8_t *b, float *hat)
{
    const float d = put_half(b, largest(x, 32) / 113);
    for (int j = 0; j < 32; j++) {
        const int i = nearest_level(ratio(x[j], d));
        put_nibble(b + 2, j, i);
        hat[j] = d * (float)level_of(i);
    }
}

/* ------------------------------------------------------------------------------ blocks of 256 */

/* Scales and offsets of sub-blocks: numbers q of 0..most as x = scale * q - offset. */
typedef struct subs {
    int scale[16], offset[16];
    float d, dmin;
} subs;

static inline subs sub_scales(const float *x, int n, int most, int most_scale, uint8_t *at_d,
                              uint8_t *at_dmin)
{
    float low[16], scale[16], d = 0, dmin = 0;
    subs s;
    for (int j = 0; j < 256 / n; j++) {
        float up = 0;
        low[j] = 0;
        for (int i = j * n; i < (j + 1) * n; i++) {
            low[j] = x[i] < low[j] ? x[i] : low[j];
            up = x[i] > up ? x[i] : up;
        }
        scale[j] = (up - low[j]) / (float)most;
        d = scale[j] > d ? scale[j] : d;
        dmin = -low[j] > dmin ? -low[j] : dmin;
    }
    s.d = put_half(at_d, d / (float)most_scale);
    s.dmin = put_half(at_dmin, dmin / (float)most_scale);
    for (int j = 0; j < 256 / n; j++) {
        s.scale[j] = clamp_round(ratio(scale[j], s.d), 0, most_scale);
        s.offset[j] = clamp_round(ratio(-low[j], s.dmin), 0, most_scale);
    }
    return s;
}

static inline int sub_number(const subs *s, int j, float x, int most, float *hat)
{
    const float scale = s->d * (float)s->scale[j], offset = s->dmin * (float)s->offset[j];
    const int q = clamp_round(ratio(x + offset, scale), 0, most);
    *hat = scale * (float)q - offset;
    return q;
}

static inline void quantise_2k(const float *x, uint8_t *b, float *hat)
{
    const subs s = sub_scales(x, 16, 3, 15, b + 80, b + 82);
    for (int j = 0; j < 16; j++)
        b[j] = (uint8_t)(s.scale[j] | s.offset[j] << 4);
    for (int i = 0; i < 256; i++) {
        const int q = sub_number(&s, i / 16, x[i], 3, &hat[i]);
        b[16 + i / 128 * 32 + i % 32] |= (uint8_t)(q << i % 128 / 32 * 2);
    }
}

static inline void quantise_45k(const float *x, int bits, uint8_t *b, float *hat)
{
    const int most = (1 << bits) - 1;
    const subs s = sub_scales(x, 32, most, 63, b, b + 2);
    uint8_t *p = b + 4, *fifth = b + 16, *q4 = b + (bits == 5 ? 48 : 16);
    for (int j = 0; j < 4; j++) {
        p[j] = (uint8_t)(s.scale[j] | s.scale[j + 4] >> 4 << 6);
        p[j + 4] = (uint8_t)(s.offset[j] | s.offset[j + 4] >> 4 << 6);
        p[j + 8] = (uint8_t)((s.scale[j + 4] & 15) | (s.offset[j + 4] & 15) << 4);
    }
    for (int i = 0; i < 256; i++) {
        const int j = i / 32, q = sub_number(&s, j, x[i], most, &hat[i]);
        q4[j / 2 * 32 + i % 32] |= (uint8_t)((q & 15) << j % 2 * 4);
        if (bits == 5)
            fifth[i % 32] |= (uint8_t)((q >> 4) << j);
    }
}

/* Symmetric sub-blocks of `n`: x = d * scale * q. The scales of sub-blocks, whose largest is
 * most_scale. */
static inline float even_scales(const float *x, int n, int most, int most_scale, uint8_t *at_d,
                                int *scale)
{
    float d = 0;
    for (int j = 0; j < 256 / n; j++) {
        const float s = largest(x + j * n, n) / (float)most;
        d = s > d ? s : d;
    }
    d = put_half(at_d, d / (float)most_scale);
    for (int j = 0; j < 256 / n; j++)
        scale[j] = clamp_round(ratio(largest(x + j * n, n) / (float)most, d), 0, most_scale);
    return d;
}

static inline void quantise_3k(const float *x, uint8_t *b, float *hat)
{
    int scale[16];
    const float d = even_scales(x, 16, 4, 31, b + 108, scale);
    for (int j = 0; j < 16; j++) {
        const int s = scale[j] + 32;
        b[96 + j % 8] |= (uint8_t)((s & 15) << j / 8 * 4);
        b[104 + j % 4] |= (uint8_t)(s >> 4 << j / 4 * 2);
    }
    for (int i = 0; i < 256; i++) {
        const float s = d * (float)scale[i / 16];
        const int q = clamp_round(ratio(x[i], s), -4, 3) + 4;
        b[32 + i / 128 * 32 + i % 32] |= (uint8_t)((q & 3) << i % 128 / 32 * 2);
        b[i % 32] |= (uint8_t)(q >> 2 << i / 32);
        hat[i] = s * (float)(q - 4);
    }
}

static inline void quantise_6k(const float *x, uint8_t *b, float *hat)
{
    int scale[16];
    const float d = even_scales(x, 16, 32, 127, b + 208, scale);
    for (int j = 0; j < 16; j++)
        b[192 + j] = (uint8_t)scale[j];
    for (int i = 0; i < 256; i++) {
        const float s = d * (float)scale[i / 16];
        const int q = clamp_round(ratio(x[i], s), -32, 31) + 32;
        b[i / 128 * 64 + i % 64] |= (uint8_t)((q & 15) << i % 128 / 64 * 4);
        b[128 + i / 128 * 32 + i % 32] |= (uint8_t)(q >> 4 << i % 128 / 32 * 2);
        hat[i] = s * (float)(q - 32);
    }
}

static inline void quantise_iq4_xs(const float *x, uint8_t *b, float *hat)
{
    int scale[8];
    const float d = even_scales(x, 32, 113, 31, b, scale);
    for (int j = 0; j < 8; j++) {
        const int s = scale[j] + 32;
        b[2 + j / 4] |= (uint8_t)(s >> 4 << j % 4 * 2);
        b[4 + j / 2] |= (uint8_t)((s & 15) << j % 2 * 4);
    }
    for (int i = 0; i < 256; i++) {
        const float s = d * (float)scale[i / 32];
        const int q = nearest_level(ratio(x[i], s));
        put_nibble(b + 8 + i / 32 * 16, i % 32, q);
        hat[i] = s * (float)level_of(q);
    }
}

/* ---------------------------------------------------------------------------------- any of them */

static inline void quantise_block(tb_dtype dtype, const float *x, uint8_t *b, float *hat)
{
    memset(b, 0, tb_dtype_size(dtype));
    switch ((int)dtype) {
    case TB_Q4_0: quantise_45(x, 4, false, b, hat); break;
    case TB_Q4_1: quantise_45(x, 4, true, b, hat); break;
    case TB_Q5_0: quantise_45(x, 5, false, b, hat); break;
    case TB_Q5_1: quantise_45(x, 5, true, b, hat); break;
    case TB_Q8_0: quantise_8(x, b, hat); break;
    case TB_Q2_K: quantise_2k(x, b, hat); break;
    case TB_Q3_K: quantise_3k(x, b, hat); break;
    case TB_Q4_K: quantise_45k(x, 4, b, hat); break;
    case TB_Q5_K: quantise_45k(x, 5, b, hat); break;
    case TB_Q6_K: quantise_6k(x, b, hat); break;
    case TB_IQ4_NL: quantise_iq4_nl(x, b, hat); break;
    default: quantise_iq4_xs(x, b, hat); break;
    }
}

/* x [shape] in another storage type; hat [the same] becomes what it means there. New reference. */
static inline tb_tensor *quantise(tb_dtype dtype, const tb_shape *shape, const float *x, float *hat)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *t = tb_tensor_new(dtype, shape, &err);
    if (!t)
        fprintf(stderr, "%s\n", err.message);
    REQUIRE(t);
    uint8_t *b = tb_tensor_data_mut(t);
    const int64_t n = tb_tensor_count(t), block = tb_dtype_block(dtype);
    const size_t size = tb_dtype_size(dtype);
    for (int64_t i = 0; i < n; i += block) {
        uint32_t code = 0;
        if (block > 1) {
            quantise_block(dtype, x + i, b + (size_t)(i / block) * size, hat + i);
            continue;
        }
        if (dtype == TB_F32)
            memcpy(&code, &x[i], sizeof code), hat[i] = x[i];
        else
            code = float_code(dtype, x[i], &hat[i]);
        for (size_t k = 0; k < size; k++)
            b[(size_t)i * size + k] = (uint8_t)(code >> 8 * k);
    }
    return t;
}
