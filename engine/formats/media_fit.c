/* media_fit.c - bring pictures to a size whose aspect may differ from theirs. */
#include <math.h>
#include <string.h>

#include "formats/media.h"

static int64_t scaled(int64_t side, double ratio)
{
    const int64_t n = (int64_t)llrint((double)side * ratio);
    return n < 1 ? 1 : n;
}

void tb_media_fit_size(int64_t *width, int64_t *height, int64_t wanted_width, int64_t wanted_height)
{
    const int64_t w = *width, h = *height;
    if (wanted_width || wanted_height) {
        *width = wanted_width ? wanted_width : scaled(w, (double)wanted_height / (double)h);
        *height = wanted_height ? wanted_height : scaled(h, (double)wanted_width / (double)w);
    }
}

/* Copy the middle of `from` into the middle of `to`, where they overlap. */
static void copy_middle(const tb_tensor *from, tb_tensor *to)
{
    const int64_t fh = tb_tensor_dim(from, 1), fw = tb_tensor_dim(from, 2),
                  c = tb_tensor_dim(from, 3);
    const int64_t th = tb_tensor_dim(to, 1), tw = tb_tensor_dim(to, 2);
    const int64_t h = fh < th ? fh : th, w = fw < tw ? fw : tw;
    float *out = tb_tensor_f32_mut(to);
    for (int64_t f = 0; f < tb_tensor_dim(from, 0); f++)
        for (int64_t y = 0; y < h; y++)
            memcpy(out + ((f * th + (th - h) / 2 + y) * tw + (tw - w) / 2) * c,
                   tb_tensor_f32(from) + ((f * fh + (fh - h) / 2 + y) * fw + (fw - w) / 2) * c,
                   (size_t)(w * c) * sizeof *out);
}

static void clamp(tb_tensor *t)
{
    float *p = tb_tensor_f32_mut(t);
    for (int64_t i = 0; i < tb_tensor_count(t); i++)
        p[i] = p[i] < 0 ? 0 : p[i] > 1 ? 1 : p[i];
}

tb_tensor *tb_media_fit(const tb_tensor *images, int64_t width, int64_t height, const char *fit,
                        const char *filter, tb_err *err)
{
    const int64_t n = tb_tensor_dim(images, 0), h = tb_tensor_dim(images, 1),
                  w = tb_tensor_dim(images, 2);
    int64_t to_w = w, to_h = h;
    tb_media_fit_size(&to_w, &to_h, width, height);
    if (to_w == w && to_h == h)
        return tb_tensor_ref(images);
    const double rx = (double)to_w / (double)w, ry = (double)to_h / (double)h;
    const bool crop = strcmp(fit, "crop") == 0, stretch = !crop && strcmp(fit, "pad") != 0;
    const double ratio = crop ? fmax(rx, ry) : fmin(rx, ry);
    const int64_t mid_w = stretch ? to_w : scaled(w, ratio),
                  mid_h = stretch ? to_h : scaled(h, ratio);
    tb_tensor *mid = tb_media_resize(images, mid_w, mid_h, filter, err);
    if (!mid)
        return NULL;
    tb_tensor *out = NULL;
    if (mid_w != to_w || mid_h != to_h) {
        out = tb_tensor_new_zero(TB_F32, &TB_SHAPE(n, to_h, to_w, tb_tensor_dim(images, 3)), err);
        if (out)
            copy_middle(mid, out);
        tb_tensor_unref(&mid);
    } else {
        out = mid;
    }
    if (out)
        clamp(out);
    return out;
}
