/* tensor.h - n-dimensional arrays shared between nodes.
 *
 * Audience: node authors and the engine.
 * Memory:   refcounted; read-only once published. _new and _ref give the caller one reference.
 * Threads:  the count is atomic; data may be written only while the writer holds the only
 * reference. Layout:   contiguous, row-major, outermost dimension first, 64-byte aligned.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define TB_MAX_DIMS 8

/* Code, elements in a block, bytes of a block, name. Up to F8_E5M2 an element is a block of its own
 * and the names are safetensors'. The rest are GGML's quantised blocks under GGML's names: weights
 * as files hold them, read by tb_tensor_read_f32 and tb_tensor_to_f32 alone. */
#define TB_DTYPE_LIST(X)           \
    X(TB_F32, 1, 4, "F32")         \
    X(TB_F16, 1, 2, "F16")         \
    X(TB_BF16, 1, 2, "BF16")       \
    X(TB_F64, 1, 8, "F64")         \
    X(TB_U8, 1, 1, "U8")           \
    X(TB_I8, 1, 1, "I8")           \
    X(TB_I32, 1, 4, "I32")         \
    X(TB_I64, 1, 8, "I64")         \
    X(TB_BOOL, 1, 1, "BOOL")       \
    X(TB_I16, 1, 2, "I16")         \
    X(TB_F8_E4M3, 1, 1, "F8_E4M3") \
    X(TB_F8_E5M2, 1, 1, "F8_E5M2") \
    X(TB_Q4_0, 32, 18, "Q4_0")     \
    X(TB_Q4_1, 32, 20, "Q4_1")     \
    X(TB_Q5_0, 32, 22, "Q5_0")     \
    X(TB_Q5_1, 32, 24, "Q5_1")     \
    X(TB_Q8_0, 32, 34, "Q8_0")     \
    X(TB_Q2_K, 256, 84, "Q2_K")    \
    X(TB_Q3_K, 256, 110, "Q3_K")   \
    X(TB_Q4_K, 256, 144, "Q4_K")   \
    X(TB_Q5_K, 256, 176, "Q5_K")   \
    X(TB_Q6_K, 256, 210, "Q6_K")   \
    X(TB_IQ4_NL, 32, 18, "IQ4_NL") \
    X(TB_IQ4_XS, 256, 136, "IQ4_XS")

typedef enum tb_dtype {
#define X(code, block, size, name) code,
    TB_DTYPE_LIST(X)
#undef X
        TB_DTYPE_COUNT
} tb_dtype;

typedef struct tb_shape {
    int n; /* 0..TB_MAX_DIMS; 0 is a scalar */
    int64_t d[TB_MAX_DIMS];
} tb_shape;

#define TB_SHAPE(...)                                                              \
    ((tb_shape){ .n = (int)(sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)), \
                 .d = { __VA_ARGS__ } })

typedef struct tb_tensor tb_tensor;

/* New, uninitialised. NULL with TB_ENOMEM (naming the bytes wanted) or TB_EINVAL (a dimension < 0,
 * a size that overflows, or elements that do not fill whole blocks). */
tb_tensor *tb_tensor_new(tb_dtype dtype, const tb_shape *shape, tb_err *err);
tb_tensor *tb_tensor_new_zero(tb_dtype dtype, const tb_shape *shape, tb_err *err);

/* Bytes that somebody else owns (a mapped file, shared memory): release(owner) when the last
 * reference goes. Read-only. */
tb_tensor *tb_tensor_wrap(tb_dtype dtype, const tb_shape *shape, const void *data,
                          void (*release)(void *owner), void *owner, tb_err *err);

/* Says that the bytes wrapped are those of a mapped file: tb_tensor_forget may let them go. */
void tb_tensor_set_mapped(tb_tensor *t);
/* The pages of elements from..from+count of a mapped file, and those they share with neighbours,
 * leave the process; whoever reads them again finds them as before. from is a multiple of a block.
 * Nothing happens to other tensors. Any thread. */
void tb_tensor_forget_part(const tb_tensor *t, int64_t from, int64_t count);
/* All of them. */
void tb_tensor_forget(const tb_tensor *t);

/* The same data under another shape of equal element count; shares memory. */
tb_tensor *tb_tensor_view(const tb_tensor *t, const tb_shape *shape, tb_err *err);

tb_tensor *tb_tensor_ref(const tb_tensor *t);
/* Drop the caller's reference and set *t to NULL. *t may already be NULL. */
void tb_tensor_unref(tb_tensor **t);

tb_dtype tb_tensor_dtype(const tb_tensor *t);
const tb_shape *tb_tensor_shape(const tb_tensor *t);
int64_t tb_tensor_dim(const tb_tensor *t, int i); /* i < 0 counts from the end; 1 beyond the rank */
int64_t tb_tensor_count(const tb_tensor *t);      /* elements */
size_t tb_tensor_bytes(const tb_tensor *t);

/* Typed read access; the caller has checked the dtype (asserted). */
const void *tb_tensor_data(const tb_tensor *t);
const float *tb_tensor_f32(const tb_tensor *t);
const uint8_t *tb_tensor_u8(const tb_tensor *t);
/* Write access; asserts that this is the only reference and that the memory is ours. */
void *tb_tensor_data_mut(tb_tensor *t);
float *tb_tensor_f32_mut(tb_tensor *t);

/* ------------------------------------------------------------------------------- reading as f32 */

/* Elements from..from+count of any dtype, in row-major order and within the tensor (asserted), as
 * f32 times their scale: the one place where stored weights become numbers. out [count]. Any
 * thread. */
void tb_tensor_read_f32(const tb_tensor *t, int64_t from, int64_t count, float *out);
/* The whole of it; a new reference to the same tensor if it is f32 already. */
tb_tensor *tb_tensor_to_f32(const tb_tensor *t, tb_err *err);
/* The same data, its numbers multiplied by `scale` when they are read as f32: one factor for all,
 * or one for each index of the first dimension. f32 data is multiplied here and now. New reference;
 * NULL with TB_EINVAL when the factors are of another count, or the tensor has a scale already. */
tb_tensor *tb_tensor_scaled(const tb_tensor *t, const tb_tensor *scale, tb_err *err);
/* Its factors, f32; borrowed; NULL: none. */
const tb_tensor *tb_tensor_scale(const tb_tensor *t);

/* Bytes of an element; of a block where elements come in blocks. */
size_t tb_dtype_size(tb_dtype dtype);
/* Elements in a block: 1, 32 or 256. */
int64_t tb_dtype_block(tb_dtype dtype);
const char *tb_dtype_name(tb_dtype dtype);
/* Of dtypes whose elements stand alone; -1 when the name is unknown or a block's. */
int tb_dtype_parse(const char *name);

bool tb_shape_eq(const tb_shape *a, const tb_shape *b);
/* Product of the dimensions, or -1 when one is negative or the product overflows 2^62. */
int64_t tb_shape_count(const tb_shape *s);
/* "[16,5,8,8]" into buf, which is returned. */
char *tb_shape_text(const tb_shape *s, char *buf, size_t n);
