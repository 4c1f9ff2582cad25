/* sheet.c - frames laid out for people. */
#include "formats/sheet.h"

#include <math.h>
#include <string.h>

#include "formats/media.h"

enum { GAP = 2 }; /* pixels between two rows, or two videos */
static const float dark = 0.1f;

static int64_t rows_of(const tb_tensor *t)
{
    return tb_tensor_dim(t, 1);
}

static int64_t columns_of(const tb_tensor *t)
{
    return tb_tensor_dim(t, 2);
}

/* --------------------------------------------------------------------------------------- sizes */

int tb_sheet_factor(int64_t width, int64_t height, int64_t side)
{
    const int64_t longer = width > height ? width : height;
    return longer > 0 && longer < side ? (int)((side + longer - 1) / longer) : 1;
}

static int64_t scaled(int64_t n, double scale)
{
    return (double)n * scale < 1 ? 1 : (int64_t)lround((double)n * scale);
}

tb_tensor *tb_sheet_scaled(const tb_tensor *images, double scale, tb_err *err)
{
    const int64_t w = scaled(columns_of(images), scale), h = scaled(rows_of(images), scale);
    const char *filter = scale == floor(scale) ? "nearest" : scale < 1 ? "area" : "bilinear";
    return tb_media_resize(images, w, h, filter, err);
}

/* --------------------------------------------------------------------------------------- layout */

static tb_tensor *new_dark(int64_t frames, int64_t height, int64_t width, tb_err *err)
{
    tb_tensor *t = tb_tensor_new(TB_F32, &TB_SHAPE(frames, height, width, 3), err);
    for (int64_t i = 0; t && i < tb_tensor_count(t); i++)
        tb_tensor_f32_mut(t)[i] = dark;
    return t;
}

/* Frame `from` of images into frame `at` of the sheet, its upper left corner at x, y. */
static void put(tb_tensor *sheet, int64_t at, int64_t x, int64_t y, const tb_tensor *images,
                int64_t from)
{
    const int64_t h = rows_of(images), w = columns_of(images), width = columns_of(sheet);
    for (int64_t row = 0; row < h; row++)
        memcpy(tb_tensor_f32_mut(sheet) + ((at * rows_of(sheet) + y + row) * width + x) * 3,
               tb_tensor_f32(images) + (from * h + row) * w * 3, (size_t)w * 3 * sizeof(float));
}

tb_tensor *tb_sheet_rows(tb_tensor *const *rows, int count, tb_err *err)
{
    int64_t width = 0, height = (count - 1) * GAP, y = 0;
    for (int i = 0; i < count; i++) {
        const int64_t w = tb_tensor_dim(rows[i], 0) * columns_of(rows[i]);
        width = w > width ? w : width;
        height += rows_of(rows[i]);
    }
    tb_tensor *sheet = new_dark(1, height, width, err);
    for (int i = 0; sheet && i < count; y += rows_of(rows[i++]) + GAP)
        for (int64_t f = 0; f < tb_tensor_dim(rows[i], 0); f++)
            put(sheet, 0, f * columns_of(rows[i]), y, rows[i], f);
    return sheet;
}

tb_tensor *tb_sheet_grid(const tb_tensor *images, int64_t columns, tb_err *err)
{
    const int64_t n = tb_tensor_dim(images, 0), w = columns_of(images), h = rows_of(images);
    const int64_t down = (n + columns - 1) / columns, across = (n + down - 1) / down;
    tb_tensor *sheet = new_dark(1, down * h, across * w, err);
    for (int64_t i = 0; sheet && i < n; i++)
        put(sheet, 0, i % across * w, i / across * h, images, i);
    return sheet;
}

/* ------------------------------------------------------------------------------------- in time */

/* The frame of a video that is seen at a moment. */
static int64_t frame_at(const tb_tensor *video, double fps, double seconds)
{
    const int64_t last = tb_tensor_dim(video, 0) - 1;
    const double at = floor(seconds * fps + 1e-6);
    return at < (double)last ? (int64_t)at : last;
}

static double seconds_of(const tb_tensor *video, double fps)
{
    return fps > 0 ? (double)tb_tensor_dim(video, 0) / fps : 0;
}

tb_tensor *tb_sheet_beside(tb_tensor *const *videos, const double *fps, int count, double limit,
                           double *rate, tb_err *err)
{
    int64_t width = (count - 1) * GAP, height = 0;
    double seconds = 0;
    *rate = 0;
    for (int i = 0; i < count; i++) {
        width += columns_of(videos[i]);
        height = rows_of(videos[i]) > height ? rows_of(videos[i]) : height;
        seconds = fmax(seconds, seconds_of(videos[i], fps[i]));
        *rate = fmin(limit, fmax(*rate, fps[i]));
    }
    *rate = *rate > 0 ? *rate : 1;
    const int64_t frames = (int64_t)fmax(1, ceil(seconds * *rate - 1e-6));
    tb_tensor *out = new_dark(frames, height, width, err);
    for (int64_t f = 0; out && f < frames; f++)
        for (int64_t i = 0, x = 0; i < count; x += columns_of(videos[i++]) + GAP)
            put(out, f, x, (height - rows_of(videos[i])) / 2, videos[i],
                frame_at(videos[i], fps[i], (double)f / *rate));
    return out;
}
