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

/* code, bytes an element, name as in safetensors */
#define TB_DTYPE_LIST(X)  \
    X(TB_F32, 4, "F32")   \
    X(TB_F16, 2, "F16")   \
    X(TB_BF16, 2, "BF16") \
    X(TB_F64, 8, "F64")   \
    X(TB_U8, 1, "U8")     \
    X(TB_I8, 1, "I8")     \
    X(TB_I32, 4, "I32")   \
    X(TB_I64, 8, "I64")   \
    X(TB_BOOL, 1, "BOOL")

typedef enum tb_dtype {
#define X(code, size, name) code,
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
 * or a size that overflows). */
tb_tensor *tb_tensor_new(tb_dtype dtype, const tb_shape *shape, tb_err *err);
tb_tensor *tb_tensor_new_zero(tb_dtype dtype, const tb_shape *shape, tb_err *err);

/* Bytes that somebody else owns (a mapped file, shared memory): release(owner) when the last
 * reference goes. Read-only. */
tb_tensor *tb_tensor_wrap(tb_dtype dtype, const tb_shape *shape, const void *data,
                          void (*release)(void *owner), void *owner, tb_err *err);

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

/* Any numeric dtype to f32; a new reference to the same tensor if it is f32 already. */
tb_tensor *tb_tensor_to_f32(const tb_tensor *t, tb_err *err);

size_t tb_dtype_size(tb_dtype dtype);
const char *tb_dtype_name(tb_dtype dtype);
/* -1 when the name is unknown. */
int tb_dtype_parse(const char *name);

bool tb_shape_eq(const tb_shape *a, const tb_shape *b);
/* Product of the dimensions, or -1 when one is negative or the product overflows 2^62. */
int64_t tb_shape_count(const tb_shape *s);
/* "[16,5,8,8]" into buf, which is returned. */
char *tb_shape_text(const tb_shape *s, char *buf, size_t n);
