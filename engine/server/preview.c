/* preview.c - the pictures in a value: found, taken from it, made small, encoded. */
#include "server/preview.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "formats/media.h"
#include "formats/sheet.h"
#include "models/latent_rgb.h"

#define MAX_SIDE     512 /* pixels, as ComfyUI's previews */
#define LATENT_SCALE 8   /* pixels a cell of a latent is shown as */
#define STILL_FPS    16  /* frames of an IMAGE have no rate of their own */
#define LATENT_FPS   4   /* a latent frame stands for four of them */
#define JPEG_QUALITY 90
#define GIF_RATE     50 /* frames a second: browsers slow down what is faster */

typedef enum kind { NOTHING, LATENT, IMAGE, MASK, MEDIA } kind;

/* What can be seen of a value; all borrowed. */
typedef struct sight {
    kind kind;
    const tb_tensor
        *tensor; /* LATENT f32 [C,T,H,W], IMAGE [N,H,W,3], MASK [N,H,W], MEDIA u8 bytes */
    double fps;
    tb_latent_rgb map; /* LATENT */
} sight;

/* ------------------------------------------------------------------------------------- finding */

static bool is_f32(const tb_tensor *t, int rank)
{
    return t && tb_tensor_dtype(t) == TB_F32 && tb_tensor_shape(t)->n == rank &&
           tb_tensor_count(t) > 0;
}

static bool read_numbers(const tb_value *list, float *out, int n)
{
    if (!list || tb_value_kind(list) != TB_LIST || tb_list_count(list) != n)
        return false;
    for (int i = 0; i < n; i++) {
        const tb_value *v = tb_list_at(list, i);
        if (tb_value_kind(v) != TB_FLOAT && tb_value_kind(v) != TB_INT)
            return false;
        out[i] = (float)tb_value_as_float(v);
    }
    return true;
}

/* The latent's own map: factors row by row, then the bias; else that of the public model. */
static tb_latent_rgb map_of(const tb_value *record, int64_t channels)
{
    float n[3 * (TB_LATENT_RGB_CHANNELS + 1)];
    tb_latent_rgb m = { 0 };
    if (channels > TB_LATENT_RGB_CHANNELS)
        return m;
    if (read_numbers(tb_record_get(record, "latent_rgb"), n, 3 * ((int)channels + 1))) {
        m.channels = channels;
        memcpy(m.factors, n, (size_t)channels * sizeof *m.factors);
        memcpy(m.bias, n + 3 * channels, sizeof m.bias);
        return m;
    }
    return tb_latent_rgb_public(channels) ? *tb_latent_rgb_public(channels) : m;
}

/* While noise is left, what the last step took for the clean latent shows more than its state. */
static sight see_latent(const tb_value *record)
{
    const tb_tensor *samples = tb_record_tensor(record, "samples"),
                    *x0 = tb_record_tensor(record, "x0");
    const tb_value *state = tb_record_get(record, "state");
    const bool partial = state && tb_value_kind(state) == TB_STRING &&
                         strcmp(tb_value_as_string(state), "partial") == 0;
    const tb_tensor *t = partial && is_f32(x0, 4) ? x0 : samples;
    sight s = { NOTHING };
    if (!is_f32(t, 4))
        return s;
    s.map = map_of(record, tb_tensor_dim(t, 0));
    if (s.map.channels) {
        s.kind = LATENT;
        s.tensor = t;
        s.fps = LATENT_FPS;
    }
    return s;
}

static sight see_tensor(const tb_tensor *t, double fps)
{
    const kind k = is_f32(t, 4) && tb_tensor_dim(t, 3) == 3 ? IMAGE : is_f32(t, 3) ? MASK : NOTHING;
    return (sight){ .kind = k, .tensor = t, .fps = fps };
}

static sight see_file(const tb_value *record)
{
    const tb_value *name = tb_record_get(record, "name");
    const tb_tensor *bytes = tb_record_tensor(record, "bytes");
    const bool media = name && tb_value_kind(name) == TB_STRING &&
                       tb_media_format_of(tb_value_as_string(name)) &&
                       tb_tensor_dtype(bytes) == TB_U8 && tb_tensor_count(bytes) > 0;
    return (sight){ .kind = media ? MEDIA : NOTHING, .tensor = bytes };
}

static sight see(const tb_value *v)
{
    if (tb_value_kind(v) == TB_LIST && tb_list_count(v))
        return see(tb_list_at(v, tb_list_count(v) - 1));
    if (tb_value_kind(v) == TB_TENSOR)
        return see_tensor(tb_value_as_tensor(v), STILL_FPS);
    if (tb_record_tensor(v, "samples"))
        return see_latent(v);
    if (tb_record_tensor(v, "bytes"))
        return see_file(v);
    const tb_value *fps = tb_record_get(v, "fps");
    const bool rate = fps && (tb_value_kind(fps) == TB_FLOAT || tb_value_kind(fps) == TB_INT) &&
                      tb_value_as_float(fps) > 0;
    return see_tensor(tb_record_tensor(v, "images"), rate ? tb_value_as_float(fps) : STILL_FPS);
}

static sight first_sight(tb_value *const *outputs, int count)
{
    sight s = { NOTHING };
    for (int k = 0; k < count && s.kind == NOTHING; k++)
        s = see(outputs[k]);
    return s;
}

bool tb_preview_possible(tb_value *const *outputs, int count)
{
    return first_sight(outputs, count).kind != NOTHING;
}

/* ------------------------------------------------------------------------- files, in memory only
 */

typedef struct memory_file {
    int fd;
    char path[40];
} memory_file;

static tb_status open_memory(const tb_tensor *bytes, memory_file *f, tb_err *err)
{
    const char *data = tb_tensor_data(bytes);
    size_t left = tb_tensor_bytes(bytes);
    f->fd = memfd_create("tubelet-preview", MFD_CLOEXEC);
    while (f->fd >= 0 && left) {
        const ssize_t n = write(f->fd, data, left);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        data += n;
        left -= (size_t)n;
    }
    if (f->fd < 0 || left) {
        tb_err_errno(err, errno, "cannot hold a file of %zu bytes for its preview",
                     tb_tensor_bytes(bytes));
        if (f->fd >= 0)
            close(f->fd);
        return TB_EIO;
    }
    snprintf(f->path, sizeof f->path, "/proc/self/fd/%d", f->fd);
    return TB_OK;
}

/* ------------------------------------------------------------------------------- animated WebP */

static size_t le32(const uint8_t *p)
{
    return (size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;
}

/* The chunks of the first frame of an animated WebP, which FFmpeg cannot read; *size their bytes.
 * NULL: bytes are something else. */
static const uint8_t *webp_frame(const tb_tensor *bytes, size_t *size)
{
    enum { RIFF_HEADER = 12, CHUNK_HEADER = 8, FRAME_HEADER = 16 };
    const uint8_t *p = tb_tensor_data(bytes);
    const size_t n = tb_tensor_bytes(bytes);
    if (n < RIFF_HEADER || memcmp(p, "RIFF", 4) != 0 || memcmp(p + 8, "WEBP", 4) != 0)
        return NULL;
    for (size_t at = RIFF_HEADER; at + CHUNK_HEADER <= n;) {
        const size_t len = le32(p + at + 4);
        if (len > n - at - CHUNK_HEADER)
            return NULL;
        if (memcmp(p + at, "ANMF", 4) == 0 && len > FRAME_HEADER) {
            *size = len - FRAME_HEADER;
            return p + at + CHUNK_HEADER + FRAME_HEADER;
        }
        at += CHUNK_HEADER + len + (len & 1);
    }
    return NULL;
}

/* A still WebP of that frame. */
static tb_tensor *webp_still(const uint8_t *chunks, size_t size, tb_err *err)
{
    tb_tensor *t = tb_tensor_new(TB_U8, &TB_SHAPE((int64_t)size + 12), err);
    if (!t)
        return NULL;
    uint8_t *p = tb_tensor_data_mut(t);
    const size_t riff = size + 4;
    const uint8_t head[12] = { 'R',
                               'I',
                               'F',
                               'F',
                               (uint8_t)riff,
                               (uint8_t)(riff >> 8),
                               (uint8_t)(riff >> 16),
                               (uint8_t)(riff >> 24),
                               'W',
                               'E',
                               'B',
                               'P' };
    memcpy(p, head, sizeof head);
    memcpy(p + sizeof head, chunks, size);
    return t;
}

static int64_t media_frames(const tb_tensor *bytes, double *fps)
{
    tb_media_info info = { 0 };
    memory_file f;
    size_t size;
    if (webp_frame(bytes, &size))
        return 1; /* the others cannot be read */
    if (open_memory(bytes, &f, NULL) != TB_OK)
        return 0;
    const tb_status st = tb_media_probe(f.path, &info, NULL);
    close(f.fd);
    json_decref(info.texts);
    *fps = info.fps > 0 ? info.fps : STILL_FPS;
    return st != TB_OK ? 0 : info.frames > 0 ? info.frames : 1;
}

/* `spread`: count frames of all, from the first to the last; else those from `first` on. */
static tb_tensor *media_images(const tb_tensor *bytes, bool spread, int64_t first, int64_t count,
                               tb_err *err)
{
    memory_file f;
    size_t size;
    const uint8_t *frame = webp_frame(bytes, &size);
    tb_tensor *file = frame ? webp_still(frame, size, err) : tb_tensor_ref(bytes), *images = NULL;
    if (file && open_memory(file, &f, err) == TB_OK) {
        images = spread ? tb_media_read_spread(f.path, count, NULL, err)
                        : tb_media_read(f.path, first, count, NULL, NULL, err);
        close(f.fd);
    }
    tb_tensor_unref(&file);
    return images;
}

/* ------------------------------------------------------------------------------------- picture */

static int64_t frames_of(sight *s)
{
    switch (s->kind) {
    case NOTHING: break;
    case LATENT: return tb_tensor_dim(s->tensor, 1);
    case IMAGE:
    case MASK: return tb_tensor_dim(s->tensor, 0);
    case MEDIA: return media_frames(s->tensor, &s->fps);
    }
    return 0;
}

int64_t tb_preview_frames(tb_value *const *outputs, int count)
{
    sight s = first_sight(outputs, count);
    return frames_of(&s);
}

/* Frames of f32 [N,H,W,channels], 1 or 3, as [count,H,W,3]. */
static tb_tensor *some_frames(const tb_tensor *t, int channels, int64_t first, int64_t count,
                              tb_err *err)
{
    const int64_t h = tb_tensor_dim(t, 1), w = tb_tensor_dim(t, 2), n = count * h * w;
    tb_tensor *rgb = tb_tensor_new(TB_F32, &TB_SHAPE(count, h, w, 3), err);
    if (!rgb)
        return NULL;
    const float *from = tb_tensor_f32(t) + first * h * w * channels;
    float *to = tb_tensor_f32_mut(rgb);
    for (int64_t i = 0; i < n; i++)
        for (int k = 0; k < 3; k++)
            to[3 * i + k] = from[i * channels + (channels == 3 ? k : 0)];
    return rgb;
}

static tb_tensor *images_of(const sight *s, int64_t first, int64_t count, tb_err *err)
{
    switch (s->kind) {
    case NOTHING: break;
    case LATENT: return tb_latent_rgb_apply(&s->map, s->tensor, first, count, err);
    case IMAGE: return some_frames(s->tensor, 3, first, count, err);
    case MASK: return some_frames(s->tensor, 1, first, count, err);
    case MEDIA: return media_images(s->tensor, false, first, count, err);
    }
    return NULL;
}

/* `count` of all `frames`, from the first to the last. */
static tb_tensor *spread_of(const sight *s, int64_t frames, int64_t count, tb_err *err)
{
    tb_tensor *all = NULL;
    if (s->kind == MEDIA)
        return media_images(s->tensor, true, 0, count, err);
    for (int64_t i = 0; i < count && err->status == TB_OK; i++) {
        tb_tensor *one = images_of(s, tb_media_spread(frames, count, i), 1, err);
        if (one && !all)
            all = tb_tensor_new(
                TB_F32, &TB_SHAPE(count, tb_tensor_dim(one, 1), tb_tensor_dim(one, 2), 3), err);
        if (one && all)
            memcpy(tb_tensor_f32_mut(all) + i * tb_tensor_count(one), tb_tensor_f32(one),
                   tb_tensor_bytes(one));
        tb_tensor_unref(&one);
    }
    if (err->status != TB_OK)
        tb_tensor_unref(&all);
    return all;
}

/* Within max_side; latents are enlarged to about their pixels, what is small as it is asked for.
 * Consumes images. */
static tb_tensor *fit_take(tb_tensor *images, bool latent, const tb_preview_options *o, tb_err *err)
{
    if (!images)
        return NULL;
    const int64_t h = tb_tensor_dim(images, 1), w = tb_tensor_dim(images, 2), side = h > w ? h : w,
                  room = o->max_side > 0 ? o->max_side : MAX_SIDE,
                  full = side * (latent ? LATENT_SCALE : tb_sheet_factor(w, h, o->min_side)),
                  wanted = full < room ? full : room;
    const int64_t width = w * wanted / side, height = h * wanted / side;
    const char *filter = wanted <= side ? "area" : wanted % side || latent ? "bilinear" : "nearest";
    tb_tensor *fitted =
        tb_media_resize(images, width > 0 ? width : 1, height > 0 ? height : 1, filter, err);
    tb_tensor_unref(&images);
    return fitted;
}

/* Which frames the options mean. */
static tb_status choose(const tb_preview_options *o, int64_t frames, int64_t *first, int64_t *count,
                        tb_err *err)
{
    const bool all = o->frame == -2;
    if (o->frame < -2 || o->frame >= frames)
        return tb_err_set(err, TB_EINVAL, "frame must be 0..%lld, got %lld", (long long)frames - 1,
                          (long long)o->frame);
    if (all && frames > 1 && strcmp(o->format, "webp") != 0 && strcmp(o->format, "gif") != 0)
        return tb_err_set(err, TB_EINVAL,
                          "only webp and gif show all frames at once, got format '%s'", o->format);
    *first = all ? 0 : o->frame == -1 ? frames / 2 : o->frame;
    *count = all ? frames : 1;
    return TB_OK;
}

/* An animation that can be shown as it is. */
static bool is_animated(const sight *s)
{
    size_t size;
    return s->kind == MEDIA && webp_frame(s->tensor, &size);
}

/* What the options ask for, in the size they ask for. *fps falls where the format needs it. */
static tb_tensor *laid_out(const sight *s, int64_t frames, const tb_preview_options *o, double *fps,
                           tb_err *err)
{
    const int64_t most = (int64_t)o->columns * (o->rows > 0 ? o->rows : 1);
    int64_t first = 0, n = most < frames ? most : frames;
    if (!o->columns && choose(o, frames, &first, &n, err) != TB_OK)
        return NULL;
    tb_tensor *some = o->columns ? spread_of(s, frames, n, err) : images_of(s, first, n, err);
    tb_tensor *fitted = fit_take(some, s->kind == LATENT, o, err), *out = fitted;
    if (fitted && o->columns)
        out = tb_sheet_grid(fitted, o->columns, err);
    else if (fitted && strcmp(o->format, "gif") == 0)
        out = tb_sheet_beside(&fitted, &s->fps, 1, GIF_RATE, fps, err);
    if (out != fitted)
        tb_tensor_unref(&fitted);
    return out;
}

tb_tensor *tb_preview_encode(tb_value *const *outputs, int count, const tb_preview_options *o,
                             tb_err *err)
{
    sight s = first_sight(outputs, count);
    const int64_t frames = frames_of(&s);
    if (!frames) {
        tb_err_set(err, TB_ENOTFOUND, "there is nothing to see in this result");
        return NULL;
    }
    if (o->frame == -2 && !o->columns && strcmp(o->format, "webp") == 0 && is_animated(&s))
        return tb_tensor_ref(s.tensor);
    double fps = s.fps;
    tb_tensor *images = laid_out(&s, frames, o, &fps, err);
    if (!images)
        return NULL;
    const tb_media_options media = { .format = o->format,
                                     .fps = fps,
                                     .quality = strcmp(o->format, "jpg") == 0 ? JPEG_QUALITY : 0 };
    tb_tensor *bytes = tb_media_encode(images, &media, NULL, err);
    tb_tensor_unref(&images);
    return bytes;
}
