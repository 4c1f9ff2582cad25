/* tensor_blocks.c - GGML's quantised blocks to f32, from the layout of its block structs
 * (ggml-common.h of ggml-org/ggml).
 *
 * A block is numbers of few bits and their scale d, an IEEE half; the "_1" and "_K" kinds have an
 * offset m as well. K-blocks of 256 share one d (and one dmin) that sub-blocks of 16 or 32 multiply
 * by scales of few bits. Products are formed in the order of GGML's own code, so that the numbers
 * are the same to the last bit.
 */
#include "compute/tensor_blocks.h"

#include "compute/tensor_numbers.h"

enum { BLOCK = 32, SUPER = 256 };

static float half_at(const uint8_t *p)
{
    return tbi_half_to_float((uint16_t)(p[0] | p[1] << 8));
}

/* ------------------------------------------------------------------------------- blocks of 32 */

/* Element j of 32 that are stored in 16 bytes: the low halves first, then the high ones. */
static int nibble(const uint8_t *q, int j)
{
    return j < BLOCK / 2 ? q[j] & 15 : q[j - BLOCK / 2] >> 4;
}

/* d, [m,] [fifth bits,] low four bits. */
static void decode_q4_0(const uint8_t *b, float *out)
{
    const float d = half_at(b);
    for (int j = 0; j < BLOCK; j++)
        out[j] = d * (float)(nibble(b + 2, j) - 8);
}

static void decode_q4_1(const uint8_t *b, float *out)
{
    const float d = half_at(b), m = half_at(b + 2);
    for (int j = 0; j < BLOCK; j++)
        out[j] = d * (float)nibble(b + 4, j) + m;
}

static int fifth_bit(const uint8_t *bits, int j)
{
    return (bits[j / 8] >> j % 8 & 1) << 4;
}

static void decode_q5_0(const uint8_t *b, float *out)
{
    const float d = half_at(b);
    for (int j = 0; j < BLOCK; j++)
        out[j] = d * (float)((nibble(b + 6, j) | fifth_bit(b + 2, j)) - 16);
}

static void decode_q5_1(const uint8_t *b, float *out)
{
    const float d = half_at(b), m = half_at(b + 2);
    for (int j = 0; j < BLOCK; j++)
        out[j] = d * (float)(nibble(b + 8, j) | fifth_bit(b + 4, j)) + m;
}

static void decode_q8_0(const uint8_t *b, float *out)
{
    const float d = half_at(b);
    for (int j = 0; j < BLOCK; j++)
        out[j] = d * (float)(int8_t)b[2 + j];
}

/* The 16 levels of the IQ4 kinds, denser around 0. */
static const int8_t iq4_levels[16] = { -127, -104, -83, -65, -49, -35, -22, -10,
                                       1,    13,   25,  38,  53,  69,  89,  113 };

static void decode_iq4_nl(const uint8_t *b, float *out)
{
    const float d = half_at(b);
    for (int j = 0; j < BLOCK; j++)
        out[j] = d * (float)iq4_levels[nibble(b + 2, j)];
}

/* ------------------------------------------------------------------------------ blocks of 256 */

/* Sixteen elements from a multiple of 16 on: their bytes, and by how much each is shifted down.
 * Inner loops over one such run are what a compiler makes vectors of. */
typedef struct run {
    const uint8_t *p;
    int shift;
} run;

enum { RUN = 16 };

/* Two bits each: 32 bytes hold 128 elements, 32 in each pair of bits. */
static run pairs(const uint8_t *q, int i)
{
    return (run){ q + i / 128 * 32 + i % 32, i % 128 / 32 * 2 };
}

/* scales [16] (low half: scale, high half: offset), two bits [64], d, dmin. */
static void decode_q2_k(const uint8_t *b, float *out)
{
    const float d = half_at(b + 80), dmin = half_at(b + 82);
    for (int i = 0; i < SUPER; i += RUN) {
        const uint8_t s = b[i / RUN];
        const float scale = d * (float)(s & 15), offset = dmin * (float)(s >> 4);
        const run q = pairs(b + 16, i);
        for (int l = 0; l < RUN; l++)
            out[i + l] = scale * (float)(q.p[l] >> q.shift & 3) - offset;
    }
}

/* Six bits of scale j: four in one of 8 bytes, two in one of the 4 behind them. */
static int q3_scale(const uint8_t *s, int j)
{
    return ((s[j % 8] >> j / 8 * 4 & 15) | (s[8 + j % 4] >> j / 4 * 2 & 3) << 4) - 32;
}

/* third bits [32] (1: nothing to take off), two bits [64], scales [12], d. */
static void decode_q3_k(const uint8_t *b, float *out)
{
    const float d = half_at(b + 108);
    for (int i = 0; i < SUPER; i += RUN) {
        const float scale = d * (float)q3_scale(b + 96, i / RUN);
        const run q = pairs(b + 32, i), third = { b + i % 32, i / 32 };
        for (int l = 0; l < RUN; l++)
            out[i + l] =
                scale * (float)((q.p[l] >> q.shift & 3) + (third.p[l] >> third.shift & 1) * 4 - 4);
    }
}

/* Eight scales and eight offsets of six bits in 12 bytes: the first four of each whole, the upper
 * bits of the others above those. */
static int k4_scale(const uint8_t *s, int j)
{
    return j < 4 ? s[j] & 63 : (s[j + 4] & 15) | s[j - 4] >> 6 << 4;
}

static int k4_offset(const uint8_t *s, int j)
{
    return j < 4 ? s[j + 4] & 63 : s[j + 4] >> 4 | s[j] >> 6 << 4;
}

/* d, dmin, scales [12], [fifth bits [32],] low four bits [128]: 64 elements in 32 bytes. */
static void decode_k45(const uint8_t *b, const uint8_t *fifth, const uint8_t *q, float *out)
{
    const float d = half_at(b), dmin = half_at(b + 2);
    for (int j = 0; j < SUPER / 32; j++) {
        const float scale = d * (float)k4_scale(b + 4, j);
        const float offset = dmin * (float)k4_offset(b + 4, j);
        for (int l = 0; l < 32; l++) {
            const int low = q[j / 2 * 32 + l] >> j % 2 * 4 & 15;
            const int high = fifth ? (fifth[l] >> j & 1) << 4 : 0;
            out[j * 32 + l] = scale * (float)(low | high) - offset;
        }
    }
}

static void decode_q4_k(const uint8_t *b, float *out)
{
    decode_k45(b, NULL, b + 16, out);
}

static void decode_q5_k(const uint8_t *b, float *out)
{
    decode_k45(b, b + 16, b + 48, out);
}

/* low four bits [128]: 128 elements in 64 bytes; high two bits [64], scales [16] of int8, d. */
static void decode_q6_k(const uint8_t *b, float *out)
{
    const float d = half_at(b + 208);
    for (int i = 0; i < SUPER; i += RUN) {
        const float scale = d * (float)(int8_t)b[192 + i / RUN];
        const run low = { b + i / 128 * 64 + i % 64, i % 128 / 64 * 4 }, high = pairs(b + 128, i);
        for (int l = 0; l < RUN; l++)
            out[i + l] =
                scale *
                (float)(((low.p[l] >> low.shift & 15) | (high.p[l] >> high.shift & 3) << 4) - 32);
    }
}

/* d, high two bits of eight scales, their low four bits [4], levels [128]. */
static void decode_iq4_xs(const uint8_t *b, float *out)
{
    const float d = half_at(b);
    const int high = b[2] | b[3] << 8;
    for (int j = 0; j < SUPER / BLOCK; j++) {
        const int scale = (b[4 + j / 2] >> j % 2 * 4 & 15) | (high >> 2 * j & 3) << 4;
        const float dl = d * (float)(scale - 32);
        for (int l = 0; l < BLOCK; l++)
            out[j * BLOCK + l] = dl * (float)iq4_levels[nibble(b + 8 + 16 * j, l)];
    }
}

tbi_block_decode tbi_block_decoder(tb_dtype dtype)
{
    static const tbi_block_decode decoders[TB_DTYPE_COUNT] = {
        [TB_Q4_0] = decode_q4_0, [TB_Q4_1] = decode_q4_1,     [TB_Q5_0] = decode_q5_0,
        [TB_Q5_1] = decode_q5_1, [TB_Q8_0] = decode_q8_0,     [TB_Q2_K] = decode_q2_k,
        [TB_Q3_K] = decode_q3_k, [TB_Q4_K] = decode_q4_k,     [TB_Q5_K] = decode_q5_k,
        [TB_Q6_K] = decode_q6_k, [TB_IQ4_NL] = decode_iq4_nl, [TB_IQ4_XS] = decode_iq4_xs,
    };
    return decoders[dtype];
}
