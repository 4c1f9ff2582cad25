/* tensor_ops.c - cut, join and mix whole tensors. */
#include "models/tensor_ops.h"

#include <math.h>
#include <string.h>

/* A tensor as [outer][axis][inner], for copies along the axis. */
typedef struct split {
    size_t outer, axis, inner_bytes;
} split;

static split split_at(const tb_tensor *t, int axis)
{
    split s = { 1, (size_t)tb_tensor_dim(t, axis), tb_dtype_size(tb_tensor_dtype(t)) };
    for (int i = 0; i < axis; i++)
        s.outer *= (size_t)tb_tensor_dim(t, i);
    for (int i = axis + 1; i < tb_tensor_shape(t)->n; i++)
        s.inner_bytes *= (size_t)tb_tensor_dim(t, i);
    return s;
}

tb_status tb_shape_slice(tb_shape *shape, int axis, const char *axis_name, int64_t start,
                         int64_t count, tb_err *err)
{
    const int64_t size = shape->d[axis];
    if (start < -size || start >= size)
        return tb_err_set(err, TB_EINVAL, "start must be %lld..%lld for %lld along %s, got %lld",
                          -(long long)size, (long long)size - 1, (long long)size, axis_name,
                          (long long)start);
    const int64_t from = start < 0 ? start + size : start, left = size - from;
    if (count < 0 || count > left)
        return tb_err_set(
            err, TB_EINVAL, "count must be 0..%lld from %lld of %lld along %s on, got %lld",
            (long long)left, (long long)from, (long long)size, axis_name, (long long)count);
    shape->d[axis] = count ? count : left;
    return TB_OK;
}

tb_tensor *tb_tensor_slice(const tb_tensor *t, int axis, const char *axis_name, int64_t start,
                           int64_t count, tb_err *err)
{
    tb_shape shape = *tb_tensor_shape(t);
    if (tb_shape_slice(&shape, axis, axis_name, start, count, err) != TB_OK)
        return NULL;
    const int64_t from = start < 0 ? start + tb_tensor_dim(t, axis) : start;
    tb_tensor *out = tb_tensor_new(tb_tensor_dtype(t), &shape, err);
    if (!out)
        return NULL;
    const split s = split_at(t, axis);
    const size_t run = (size_t)shape.d[axis] * s.inner_bytes;
    const char *p = (const char *)tb_tensor_data(t) + (size_t)from * s.inner_bytes;
    char *q = tb_tensor_data_mut(out);
    for (size_t i = 0; i < s.outer; i++)
        memcpy(q + i * run, p + i * s.axis * s.inner_bytes, run);
    return out;
}

tb_tensor *tb_tensor_ring(const tb_tensor *t, int axis, int64_t start, int64_t count, tb_err *err)
{
    const int64_t size = tb_tensor_dim(t, axis), from = (start % size + size) % size;
    tb_shape shape = *tb_tensor_shape(t);
    shape.d[axis] = count;
    tb_tensor *out = tb_tensor_new(tb_tensor_dtype(t), &shape, err);
    if (!out)
        return NULL;
    const split s = split_at(t, axis);
    const char *p = tb_tensor_data(t);
    char *q = tb_tensor_data_mut(out);
    for (size_t o = 0; o < s.outer; o++)
        for (int64_t i = 0; i < count; i++, q += s.inner_bytes)
            memcpy(q, p + (o * s.axis + (size_t)((from + i) % size)) * s.inner_bytes,
                   s.inner_bytes);
    return out;
}

static void release_owner(void *owner)
{
    tb_tensor *t = owner;
    tb_tensor_unref(&t);
}

tb_tensor *tb_tensor_item(const tb_tensor *t, int64_t i, tb_err *err)
{
    tb_shape shape = *tb_tensor_shape(t);
    const size_t bytes = tb_tensor_bytes(t) / (size_t)shape.d[0];
    shape.d[0] = 1;
    return tb_tensor_wrap(tb_tensor_dtype(t), &shape,
                          (const char *)tb_tensor_data(t) + (size_t)i * bytes, release_owner,
                          tb_tensor_ref(t), err);
}

/* Equal apart from one axis? */
static bool joins(const tb_tensor *a, const tb_tensor *b, int axis)
{
    tb_shape s = *tb_tensor_shape(a);
    const tb_shape *o = tb_tensor_shape(b);
    if (s.n != o->n || tb_tensor_dtype(a) != tb_tensor_dtype(b))
        return false;
    s.d[axis] = o->d[axis];
    return tb_shape_eq(&s, o);
}

static void *differ(const tb_tensor *a, const tb_tensor *b, const char *what, tb_err *err)
{
    char ta[100], tb[100];
    tb_err_set(err, TB_EINVAL, "%s, got %s %s and %s %s", what, tb_dtype_name(tb_tensor_dtype(a)),
               tb_shape_text(tb_tensor_shape(a), ta, sizeof ta), tb_dtype_name(tb_tensor_dtype(b)),
               tb_shape_text(tb_tensor_shape(b), tb, sizeof tb));
    return NULL;
}

tb_tensor *tb_tensor_concat(const tb_tensor *const *t, int n, int axis, tb_err *err)
{
    tb_shape shape = *tb_tensor_shape(t[0]);
    for (int i = 1; i < n; i++) {
        if (!joins(t[0], t[i], axis))
            return differ(t[0], t[i], "what is joined must have the same size along all other axes",
                          err);
        shape.d[axis] += tb_tensor_dim(t[i], axis);
    }
    tb_tensor *out = tb_tensor_new(tb_tensor_dtype(t[0]), &shape, err);
    if (!out)
        return NULL;
    const split whole = split_at(out, axis);
    char *q = tb_tensor_data_mut(out);
    for (int i = 0; i < n; i++) {
        const split s = split_at(t[i], axis);
        const size_t run = s.axis * s.inner_bytes;
        const char *p = tb_tensor_data(t[i]);
        for (size_t o = 0; o < s.outer; o++)
            memcpy(q + o * whole.axis * whole.inner_bytes, p + o * run, run);
        q += run;
    }
    return out;
}

static tb_tensor *like(const tb_tensor *a, const tb_tensor *b, tb_err *err)
{
    if (tb_tensor_dtype(a) != TB_F32 || tb_tensor_dtype(b) != TB_F32 ||
        !tb_shape_eq(tb_tensor_shape(a), tb_tensor_shape(b)))
        return differ(a, b, "a and b must be f32 and have the same size", err);
    return tb_tensor_new(TB_F32, tb_tensor_shape(a), err);
}

static tb_tensor *weighted(const tb_tensor *a, const tb_tensor *b, double wa, double wb,
                           tb_err *err)
{
    tb_tensor *out = like(a, b, err);
    if (!out)
        return NULL;
    const float *x = tb_tensor_f32(a), *y = tb_tensor_f32(b), fa = (float)wa, fb = (float)wb;
    float *z = tb_tensor_f32_mut(out);
    for (int64_t i = 0; i < tb_tensor_count(out); i++)
        z[i] = fa * x[i] + fb * y[i];
    return out;
}

tb_tensor *tb_tensor_mix(const tb_tensor *a, const tb_tensor *b, double amount, tb_err *err)
{
    return weighted(a, b, 1 - amount, amount, err);
}

tb_tensor *tb_tensor_slerp(const tb_tensor *a, const tb_tensor *b, double amount, tb_err *err)
{
    double dot = 0, aa = 0, bb = 0;
    if (tb_tensor_dtype(a) == TB_F32 && tb_tensor_dtype(b) == TB_F32 &&
        tb_shape_eq(tb_tensor_shape(a), tb_tensor_shape(b)))
        for (int64_t i = 0; i < tb_tensor_count(a); i++) {
            const double x = (double)tb_tensor_f32(a)[i], y = (double)tb_tensor_f32(b)[i];
            dot += x * y;
            aa += x * x;
            bb += y * y;
        }
    const double cosine = aa > 0 && bb > 0 ? dot / sqrt(aa * bb) : 1;
    if (fabs(cosine) > 0.9995) /* nearly on one line: the arc is the chord */
        return tb_tensor_mix(a, b, amount, err);
    const double angle = acos(cosine);
    return weighted(a, b, sin((1 - amount) * angle) / sin(angle), sin(amount * angle) / sin(angle),
                    err);
}

tb_tensor *tb_tensor_mix_masked(const tb_tensor *a, const tb_tensor *b, const tb_tensor *mask,
                                double amount, tb_err *err)
{
    const tb_shape *s = tb_tensor_shape(a), *m = tb_tensor_shape(mask);
    if (s->n != 4 || m->n != 3 || (m->d[0] != 1 && m->d[0] != s->d[0]) || m->d[1] != s->d[1] ||
        m->d[2] != s->d[2] || tb_tensor_dtype(mask) != TB_F32)
        return differ(mask, a,
                      "mask must have one frame or as many as the pictures, and their size", err);
    tb_tensor *out = like(a, b, err);
    if (!out)
        return NULL;
    const int64_t plane = s->d[1] * s->d[2], channels = s->d[3];
    const float *x = tb_tensor_f32(a), *y = tb_tensor_f32(b), *w = tb_tensor_f32(mask);
    float *z = tb_tensor_f32_mut(out);
    for (int64_t i = 0; i < s->d[0] * plane; i++) {
        const float share = (float)amount * w[m->d[0] == 1 ? i % plane : i];
        for (int64_t c = i * channels; c < (i + 1) * channels; c++)
            z[c] = x[c] * (1 - share) + y[c] * share; /* exact at 0 and 1 */
    }
    return out;
}
