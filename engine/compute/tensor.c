/* tensor.c - refcounted arrays: owned, wrapped or viewed. */
#include "compute/tensor.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "compute/tensor_numbers.h"

struct tb_tensor {
    atomic_int refs;
    tb_dtype dtype;
    tb_shape shape;
    int64_t count;
    const void *data;
    void *own;               /* data, when it came from tb_mem_alloc */
    void (*release)(void *); /* for wrapped memory */
    void *owner;
    bool mapped;      /* a file's pages */
    tb_tensor *scale; /* f32: one factor, or one for each index of the first dimension; NULL: 1 */
};

static const struct {
    int64_t block;
    size_t size;
    const char *name;
} dtype_tab[] = {
#define X(code, block, size, name) [code] = { block, size, name },
    TB_DTYPE_LIST(X)
#undef X
};

size_t tb_dtype_size(tb_dtype dtype)
{
    return dtype_tab[dtype].size;
}

int64_t tb_dtype_block(tb_dtype dtype)
{
    return dtype_tab[dtype].block;
}

const char *tb_dtype_name(tb_dtype dtype)
{
    return dtype_tab[dtype].name;
}

int tb_dtype_parse(const char *name)
{
    for (int i = 0; i < TB_DTYPE_COUNT; i++)
        if (dtype_tab[i].block == 1 && strcmp(dtype_tab[i].name, name) == 0)
            return i;
    return -1;
}

bool tb_shape_eq(const tb_shape *a, const tb_shape *b)
{
    return a->n == b->n && memcmp(a->d, b->d, (size_t)a->n * sizeof a->d[0]) == 0;
}

int64_t tb_shape_count(const tb_shape *s)
{
    int64_t n = 1;
    for (int i = 0; i < s->n; i++)
        if (s->d[i] < 0 || __builtin_mul_overflow(n, s->d[i], &n) || n > (INT64_C(1) << 62))
            return -1;
    return n;
}

char *tb_shape_text(const tb_shape *s, char *buf, size_t n)
{
    size_t at = (size_t)snprintf(buf, n, "[");
    for (int i = 0; i < s->n && at < n; i++)
        at += (size_t)snprintf(buf + at, n - at, i ? ",%lld" : "%lld", (long long)s->d[i]);
    if (at < n)
        snprintf(buf + at, n - at, "]");
    return buf;
}

static tb_tensor *make(tb_dtype dtype, const tb_shape *shape, tb_err *err)
{
    char text[128];
    const int64_t count = tb_shape_count(shape);
    if (count < 0 || count > INT64_MAX / 16 || count % tb_dtype_block(dtype)) {
        tb_err_set(err, TB_EINVAL, "a tensor of shape %s and dtype %s is not possible",
                   tb_shape_text(shape, text, sizeof text), tb_dtype_name(dtype));
        return NULL;
    }
    tb_tensor *t = tb_xcalloc(1, sizeof *t);
    atomic_init(&t->refs, 1);
    t->dtype = dtype;
    t->shape = *shape;
    t->count = count;
    return t;
}

tb_tensor *tb_tensor_new(tb_dtype dtype, const tb_shape *shape, tb_err *err)
{
    tb_tensor *t = make(dtype, shape, err);
    if (!t)
        return NULL;
    t->own = tb_mem_alloc(tb_tensor_bytes(t));
    if (!t->own) {
        char text[128];
        tb_err_set(
            err, TB_ENOMEM,
            "no memory for a tensor of shape %s (%zu bytes); close other programs or choose a "
            "smaller size",
            tb_shape_text(shape, text, sizeof text), tb_tensor_bytes(t));
        free(t);
        return NULL;
    }
    t->data = t->own;
    return t;
}

tb_tensor *tb_tensor_new_zero(tb_dtype dtype, const tb_shape *shape, tb_err *err)
{
    tb_tensor *t = tb_tensor_new(dtype, shape, err);
    if (t)
        memset(t->own, 0, tb_tensor_bytes(t));
    return t;
}

tb_tensor *tb_tensor_wrap(tb_dtype dtype, const tb_shape *shape, const void *data,
                          void (*release)(void *owner), void *owner, tb_err *err)
{
    tb_tensor *t = make(dtype, shape, err);
    if (!t)
        return NULL;
    t->data = data;
    t->release = release;
    t->owner = owner;
    return t;
}

void tb_tensor_set_mapped(tb_tensor *t)
{
    assert(!t->own);
    t->mapped = true;
}

void tb_tensor_forget_part(const tb_tensor *t, int64_t from, int64_t count)
{
    const int64_t block = tb_dtype_block(t->dtype);
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), size = tb_dtype_size(t->dtype);
    const uintptr_t first = (uintptr_t)t->data + (uintptr_t)(from / block) * size,
                    begin = first / page * page;
    const size_t bytes = first - begin + (size_t)(count / block) * size;
    if (t->mapped && bytes)
        madvise((void *)begin, bytes, MADV_DONTNEED);
}

void tb_tensor_forget(const tb_tensor *t)
{
    tb_tensor_forget_part(t, 0, tb_tensor_count(t));
}

static void release_view(void *owner)
{
    tb_tensor *t = owner;
    tb_tensor_unref(&t);
}

tb_tensor *tb_tensor_view(const tb_tensor *t, const tb_shape *shape, tb_err *err)
{
    if (tb_shape_count(shape) != t->count) {
        char a[128], b[128];
        tb_err_set(err, TB_EINVAL, "a tensor of shape %s cannot be seen as %s",
                   tb_shape_text(&t->shape, a, sizeof a), tb_shape_text(shape, b, sizeof b));
        return NULL;
    }
    tb_tensor *from = tb_tensor_ref(t);
    tb_tensor *view = tb_tensor_wrap(t->dtype, shape, t->data, release_view, from, err);
    if (!view) {
        tb_tensor_unref(&from);
        return NULL;
    }
    view->mapped = t->mapped;
    if (t->scale)
        view->scale = tb_tensor_ref(t->scale);
    return view;
}

static tb_tensor *multiplied(const tb_tensor *t, const tb_tensor *scale, tb_err *err)
{
    tb_tensor *r = tb_tensor_new(TB_F32, &t->shape, err);
    const int64_t each = t->count / (scale->count ? scale->count : 1);
    const float *from = t->data, *factor = scale->data;
    float *out = r ? r->own : NULL;
    for (int64_t i = 0; out && i < t->count; i++)
        out[i] = from[i] * factor[i / each];
    return r;
}

tb_tensor *tb_tensor_scaled(const tb_tensor *t, const tb_tensor *scale, tb_err *err)
{
    if (t->scale || (scale->count != 1 && scale->count != tb_tensor_dim(t, 0))) {
        char a[128], b[128];
        tb_err_set(err, TB_EINVAL, "a tensor of shape %s cannot have %sfactors of shape %s",
                   tb_shape_text(&t->shape, a, sizeof a), t->scale ? "more " : "",
                   tb_shape_text(&scale->shape, b, sizeof b));
        return NULL;
    }
    tb_tensor *factors = tb_tensor_to_f32(scale, err), *r = NULL;
    if (factors)
        r = t->dtype == TB_F32 ? multiplied(t, factors, err) : tb_tensor_view(t, &t->shape, err);
    if (r && t->dtype != TB_F32)
        r->scale = tb_tensor_ref(factors);
    tb_tensor_unref(&factors);
    return r;
}

const tb_tensor *tb_tensor_scale(const tb_tensor *t)
{
    return t->scale;
}

tb_tensor *tb_tensor_ref(const tb_tensor *t)
{
    tb_tensor *m = (tb_tensor *)(uintptr_t)t; /* the count is not part of the value */
    atomic_fetch_add(&m->refs, 1);
    return m;
}

void tb_tensor_unref(tb_tensor **tp)
{
    tb_tensor *t = *tp;
    *tp = NULL;
    if (!t || atomic_fetch_sub(&t->refs, 1) != 1)
        return;
    tb_mem_free(t->own);
    if (t->release)
        t->release(t->owner);
    tb_tensor_unref(&t->scale);
    free(t);
}

tb_dtype tb_tensor_dtype(const tb_tensor *t)
{
    return t->dtype;
}

const tb_shape *tb_tensor_shape(const tb_tensor *t)
{
    return &t->shape;
}

int64_t tb_tensor_dim(const tb_tensor *t, int i)
{
    const int at = i < 0 ? t->shape.n + i : i;
    return at >= 0 && at < t->shape.n ? t->shape.d[at] : 1;
}

int64_t tb_tensor_count(const tb_tensor *t)
{
    return t->count;
}

size_t tb_tensor_bytes(const tb_tensor *t)
{
    return (size_t)(t->count / tb_dtype_block(t->dtype)) * tb_dtype_size(t->dtype);
}

const void *tb_tensor_data(const tb_tensor *t)
{
    return t->data;
}

const float *tb_tensor_f32(const tb_tensor *t)
{
    assert(t->dtype == TB_F32);
    return t->data;
}

const uint8_t *tb_tensor_u8(const tb_tensor *t)
{
    assert(t->dtype == TB_U8);
    return t->data;
}

void *tb_tensor_data_mut(tb_tensor *t)
{
    assert(t->own && atomic_load(&t->refs) == 1);
    return t->own;
}

float *tb_tensor_f32_mut(tb_tensor *t)
{
    assert(t->dtype == TB_F32);
    return tb_tensor_data_mut(t);
}
