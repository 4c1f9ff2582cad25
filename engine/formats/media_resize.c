/* media_resize.c - separable resampling of f32 pictures.
 *
 * When a picture shrinks, the kernel widens by the ratio, so that nothing aliases (as Pillow and
 * torch's antialias=True do). Pixel centres are at i + 0.5. Bicubic has a = -0.5, Lanczos has three
 * lobes.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "formats/media.h"

typedef struct filter {
    const char *name;
    double support;
    double (*weight)(double x);
} filter;

static double triangle(double x)
{
    x = fabs(x);
    return x < 1 ? 1 - x : 0;
}

/* Keys, "Cubic convolution interpolation for digital image processing", 1981. */
static double cubic(double x)
{
    x = fabs(x);
    if (x < 1)
        return (1.5 * x - 2.5) * x * x + 1;
    return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}

static double sinc(double x)
{
    const double a = x * 3.14159265358979323846;
    return x == 0 ? 1 : sin(a) / a;
}

static double lanczos3(double x)
{
    return fabs(x) < 3 ? sinc(x) * sinc(x / 3) : 0;
}

static const filter filters[] = {
    { "nearest", 0, NULL },  { "area", 0, NULL },        { "bilinear", 1, triangle },
    { "bicubic", 2, cubic }, { "lanczos", 3, lanczos3 },
};

/* For each output position: which input positions, and their weights (taps of them, unused ones 0).
 */
typedef struct table {
    int64_t taps;
    int64_t *first;
    float *weight; /* [out][taps] */
} table;

static void table_free(table *t)
{
    free(t->first);
    free(t->weight);
}

/* Weight of input pixel x for output pixel i, of whatever scale. */
static double weigh(const filter *f, double scale, int64_t i, int64_t x)
{
    const double lo = (double)i * scale, hi = lo + scale;
    if (f->weight)
        return f->weight(((double)x + 0.5 - (lo + hi) / 2) / (scale > 1 ? scale : 1));
    const double overlap = fmin(hi, (double)x + 1) - fmax(lo, (double)x);
    return overlap > 0 ? overlap : 0;
}

static void fill_row(table *t, const filter *f, double scale, int64_t i, int64_t in)
{
    const double centre = ((double)i + 0.5) * scale;
    const double reach = f->weight ? f->support * fmax(scale, 1) : scale / 2;
    float *w = t->weight + i * t->taps;
    int64_t lo = (int64_t)floor(centre - reach), hi = (int64_t)ceil(centre + reach);
    lo = lo < 0 ? 0 : lo > in - 1 ? in - 1 : lo;
    hi = hi > in ? in : hi <= lo ? lo + 1 : hi;
    double sum = 0;
    t->first[i] = lo;
    for (int64_t x = lo; x < hi; x++)
        sum += weigh(f, scale, i, x);
    for (int64_t x = lo; x < hi; x++)
        w[x - lo] = (float)(weigh(f, scale, i, x) / sum);
}

static table table_new(const filter *f, int64_t in, int64_t out)
{
    const double scale = (double)in / (double)out;
    const double reach = f->weight ? f->support * fmax(scale, 1) : scale / 2;
    table t = { .taps = strcmp(f->name, "nearest") == 0 ? 1 : (int64_t)(2 * ceil(reach)) + 2 };
    t.first = tb_xcalloc((size_t)out, sizeof *t.first);
    t.weight = tb_xcalloc((size_t)(out * t.taps), sizeof *t.weight);
    for (int64_t i = 0; i < out; i++) {
        if (t.taps > 1) {
            fill_row(&t, f, scale, i, in);
            continue;
        }
        const int64_t x = (int64_t)floor(((double)i + 0.5) * scale);
        t.first[i] = x < in ? x : in - 1;
        t.weight[i] = 1;
    }
    return t;
}

/* y[n][channels] = the weighted rows of x, whose successive items are `channels` apart. */
static void blend_row(const table *t, int64_t i, const float *x, int64_t step, int64_t limit,
                      float *y)
{
    const float *w = t->weight + i * t->taps;
    memset(y, 0, (size_t)step * sizeof *y);
    for (int64_t k = 0; k < t->taps && t->first[i] + k < limit; k++) {
        if (w[k] == 0)
            continue;
        const float *from = x + (t->first[i] + k) * step;
        for (int64_t c = 0; c < step; c++)
            y[c] += w[k] * from[c];
    }
}

static void resize_frames(const tb_tensor *images, tb_tensor *out, const table *tx, const table *ty,
                          float *rows)
{
    const int64_t n = tb_tensor_dim(images, 0), h = tb_tensor_dim(images, 1),
                  w = tb_tensor_dim(images, 2);
    const int64_t c = tb_tensor_dim(images, 3), oh = tb_tensor_dim(out, 1),
                  ow = tb_tensor_dim(out, 2);
    const float *from = tb_tensor_f32(images);
    float *to = tb_tensor_f32_mut(out);
    for (int64_t f = 0; f < n; f++) {
        for (int64_t y = 0; y < h; y++)
            for (int64_t x = 0; x < ow; x++)
                blend_row(tx, x, from + (f * h + y) * w * c, c, w, rows + (y * ow + x) * c);
        for (int64_t y = 0; y < oh; y++)
            blend_row(ty, y, rows, ow * c, h, to + (f * oh + y) * ow * c);
    }
}

static const filter *find_filter(const char *name)
{
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++)
        if (strcmp(filters[i].name, name) == 0)
            return &filters[i];
    return NULL;
}

static tb_status check(const tb_tensor *images, int64_t width, int64_t height, const filter *f,
                       const char *filter_name, tb_err *err)
{
    const tb_shape *s = tb_tensor_shape(images);
    char text[100];
    if (!f)
        return tb_err_set(err, TB_EINVAL,
                          "filter must be nearest, area, bilinear, bicubic or lanczos, got '%s'",
                          filter_name);
    if (s->n != 4 || tb_tensor_dtype(images) != TB_F32)
        return tb_err_set(
            err, TB_EINVAL,
            "pictures to resize must be f32 [frames,height,width,channels], got %s %s",
            tb_dtype_name(tb_tensor_dtype(images)), tb_shape_text(s, text, sizeof text));
    if (width < 1 || height < 1 || s->d[1] < 1 || s->d[2] < 1)
        return tb_err_set(
            err, TB_EINVAL, "cannot resize %lldx%lld to %lldx%lld: sides must be 1 or more",
            (long long)s->d[2], (long long)s->d[1], (long long)width, (long long)height);
    return TB_OK;
}

tb_tensor *tb_media_resize(const tb_tensor *images, int64_t width, int64_t height,
                           const char *filter_name, tb_err *err)
{
    const tb_shape *s = tb_tensor_shape(images);
    const filter *f = find_filter(filter_name);
    if (check(images, width, height, f, filter_name, err) != TB_OK)
        return NULL;
    if (s->d[2] == width && s->d[1] == height)
        return tb_tensor_ref(images);
    tb_tensor *out = tb_tensor_new(TB_F32, &TB_SHAPE(s->d[0], height, width, s->d[3]), err);
    tb_tensor *rows = out ? tb_tensor_new(TB_F32, &TB_SHAPE(s->d[1], width, s->d[3]), err) : NULL;
    if (!rows) {
        tb_tensor_unref(&out);
        return NULL;
    }
    table tx = table_new(f, s->d[2], width), ty = table_new(f, s->d[1], height);
    resize_frames(images, out, &tx, &ty, tb_tensor_f32_mut(rows));
    table_free(&tx);
    table_free(&ty);
    tb_tensor_unref(&rows);
    return out;
}
