/* tensor_read.c - elements of any dtype as f32: plain numbers, quantised blocks, scales. */
#include <assert.h>
#include <string.h>

#include "compute/tensor.h"
#include "compute/tensor_blocks.h"
#include "compute/tensor_numbers.h"

#define CONVERT(ctype, expr)                                      \
    do {                                                          \
        const ctype *p = (const ctype *)tb_tensor_data(t) + from; \
        for (int64_t i = 0; i < count; i++)                       \
            out[i] = (float)(expr);                               \
    } while (0)

/* One by one through a table of its 256 values. */
static void read_f8(const uint8_t *p, int64_t count, float (*value)(uint8_t), float *out)
{
    float table[256];
    for (int c = 0; c < 256; c++)
        table[c] = value((uint8_t)c);
    for (int64_t i = 0; i < count; i++)
        out[i] = table[p[i]];
}

static void read_plain(const tb_tensor *t, int64_t from, int64_t count, float *out)
{
    const uint8_t *bytes = (const uint8_t *)tb_tensor_data(t) + from;
    switch ((int)tb_tensor_dtype(t)) {
    case TB_F32: memcpy(out, tb_tensor_f32(t) + from, (size_t)count * sizeof *out); break;
    case TB_F16: CONVERT(uint16_t, tbi_half_to_float(p[i])); break;
    case TB_BF16: CONVERT(uint16_t, tbi_bfloat_to_float(p[i])); break;
    case TB_F64: CONVERT(double, p[i]); break;
    case TB_U8:
    case TB_BOOL: CONVERT(uint8_t, p[i]); break;
    case TB_I8: CONVERT(int8_t, p[i]); break;
    case TB_I16: CONVERT(int16_t, p[i]); break;
    case TB_I32: CONVERT(int32_t, p[i]); break;
    case TB_I64: CONVERT(int64_t, p[i]); break;
    case TB_F8_E4M3: read_f8(bytes, count, tbi_e4m3_to_float, out); break;
    case TB_F8_E5M2: read_f8(bytes, count, tbi_e5m2_to_float, out); break;
    default: assert(!"a block has a decoder");
    }
}

/* Blocks are decoded where they go; of the first and the last, which may be cut, the part asked
 * for is copied. */
static void read_blocks(const tb_tensor *t, tbi_block_decode decode, int64_t from, int64_t count,
                        float *out)
{
    float whole[256];
    const int64_t block = tb_dtype_block(tb_tensor_dtype(t));
    const size_t size = tb_dtype_size(tb_tensor_dtype(t));
    const uint8_t *at = (const uint8_t *)tb_tensor_data(t) + (size_t)(from / block) * size;
    for (int64_t skip = from % block; count > 0; skip = 0, at += size) {
        const int64_t n = block - skip < count ? block - skip : count;
        decode(at, n == block ? out : whole);
        if (n < block)
            memcpy(out, whole + skip, (size_t)n * sizeof *out);
        out += n;
        count -= n;
    }
}

static void multiply(const tb_tensor *t, const tb_tensor *scale, int64_t from, int64_t count,
                     float *out)
{
    const float *factor = tb_tensor_f32(scale);
    const int64_t each = tb_tensor_count(t) / tb_tensor_count(scale);
    for (int64_t i = 0; i < count; i++)
        out[i] *= factor[(from + i) / each];
}

void tb_tensor_read_f32(const tb_tensor *t, int64_t from, int64_t count, float *out)
{
    assert(from >= 0 && count >= 0 && count <= tb_tensor_count(t) - from);
    const tbi_block_decode decode = tbi_block_decoder(tb_tensor_dtype(t));
    if (count == 0)
        return;
    if (decode)
        read_blocks(t, decode, from, count, out);
    else
        read_plain(t, from, count, out);
    if (tb_tensor_scale(t))
        multiply(t, tb_tensor_scale(t), from, count, out);
}

tb_tensor *tb_tensor_to_f32(const tb_tensor *t, tb_err *err)
{
    if (tb_tensor_dtype(t) == TB_F32)
        return tb_tensor_ref(t);
    tb_tensor *r = tb_tensor_new(TB_F32, tb_tensor_shape(t), err);
    if (r)
        tb_tensor_read_f32(t, 0, tb_tensor_count(t), tb_tensor_f32_mut(r));
    return r;
}
