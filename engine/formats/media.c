/* media.c - opens the media module on first use and speaks to it; frames to tensors and back. */
#include "formats/media.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include "formats/media_meta.h"
#include "formats/media_module.h"

#define MODULE "tubelet_media.so"

enum { MAX_SIDE = 16384 };

/* ----------------------------------------------------------------------------------- the module */

static const tb_media_host host = { .err_setv = tb_err_setv };
static pthread_once_t once = PTHREAD_ONCE_INIT;
static const tb_media_table *table; /* written once */
static tb_err table_err;            /* why there is none */

/* Debian names its packages after the library: libavformat.so.59 is in libavformat59. */
static bool missing_package(const char *reason, char *package, size_t n)
{
    char name[64];
    int major;
    if (sscanf(reason, "%63[a-z].so.%d:", name, &major) != 2 || !tb_str_starts(name, "lib"))
        return false;
    snprintf(package, n, "%s%d", name, major);
    return true;
}

static void explain(const char *path, const char *reason)
{
    char package[100];
    if (missing_package(reason, package, sizeof package))
        tb_err_set(
            &table_err, TB_ENOTFOUND,
            "pictures and videos need FFmpeg's libraries, and %s is not installed; install them "
            "with: apt-get install %s (and libavcodec, libavformat, libswscale of the same FFmpeg)",
            package, package);
    else
        tb_err_set(&table_err, TB_EIO, "cannot open '%s': %s", path, reason);
}

static bool try_open(const char *path)
{
    if (!tb_fs_is_file(path))
        return false;
    void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!lib) {
        explain(path, dlerror());
        return true;
    }
    const tb_media_table *(*open_module)(const tb_media_host *);
    *(void **)&open_module = dlsym(lib, "tb_media_module_open"); /* POSIX's way to cast it */
    const tb_media_table *t = open_module ? open_module(&host) : NULL;
    if (t && t->abi == TB_MEDIA_ABI)
        table = t;
    else
        tb_err_set(&table_err, TB_EIO,
                   "'%s' belongs to another version of tubelet; build both anew", path);
    return true;
}

static void open_once(void)
{
    static const char *const places[] = { MODULE, "../lib/tubelet/" MODULE, "../" MODULE };
    const char *chosen = getenv("TUBELET_MEDIA");
    if (chosen && *chosen) {
        if (!try_open(chosen))
            tb_err_set(&table_err, TB_ENOTFOUND,
                       "TUBELET_MEDIA names '%s', but there is no such file", chosen);
        return;
    }
    char *dir = tb_fs_exe_dir();
    bool found = false;
    for (size_t i = 0; i < sizeof places / sizeof *places && !found; i++) {
        char *path = tb_fs_join(dir, places[i]);
        found = try_open(path);
        free(path);
    }
    if (!found)
        tb_err_set(&table_err, TB_ENOTFOUND,
                   "pictures and videos need " MODULE
                   ", which is not beside the program in '%s'; build "
                   "it with cmake --build, or set TUBELET_MEDIA to where it is",
                   dir);
    free(dir);
}

static const tb_media_table *module(tb_err *err)
{
    pthread_once(&once, open_once);
    if (!table)
        tb_err_set(err, table_err.status, "%s", table_err.message);
    return table;
}

const char *tb_media_version(tb_err *err)
{
    const tb_media_table *m = module(err);
    return m ? m->version() : NULL;
}

/* -------------------------------------------------------------------------------------- probing */

/* EXIF's name for so many quarter turns clockwise. */
static int orientation_of(int quarter_turns)
{
    static const int names[] = { 1, 6, 3, 8 };
    return names[quarter_turns & 3];
}

/* Upright size; orientations from 5 on lie on their side. */
static void set_size(tb_media_info *info, int64_t width, int64_t height, int orientation)
{
    info->width = orientation >= 5 ? height : width;
    info->height = orientation >= 5 ? width : height;
}

/* Texts in the file's own places come first. */
static void take_texts(const tb_media_table *m, const tb_media_facts *f, tb_media_info *info)
{
    static const char *const keys[TB_MEDIA_KEY_COUNT] = TB_MEDIA_KEYS;
    for (int i = 0; i < TB_MEDIA_KEY_COUNT; i++) {
        json_t *text = f->texts[i] ? json_string(f->texts[i]) : NULL; /* NULL also: no UTF-8 */
        if (text && !info->texts)
            info->texts = json_object();
        if (text && !json_object_get(info->texts, keys[i]))
            json_object_set(info->texts, keys[i], text);
        json_decref(text);
        m->release(f->texts[i]);
    }
}

static tb_status probe_module(const char *path, tb_media_info *info, int *orientation, tb_err *err)
{
    const tb_media_table *m = module(err);
    if (!m)
        return table_err.status;
    tb_media_facts f;
    const tb_status st = m->probe(path, &f, err);
    if (f.quarter_turns)
        *orientation = orientation_of(f.quarter_turns);
    set_size(info, f.width, f.height, *orientation);
    info->frames = f.frames;
    info->fps = f.fps;
    take_texts(m, &f, info);
    return st;
}

static tb_status probe(const char *path, tb_media_info *info, int *orientation, tb_err *err)
{
    const tbi_media_meta meta = tbi_media_meta_read(path);
    *info = (tb_media_info){ .texts = meta.texts, .frames = 1 };
    *orientation = meta.orientation;
    set_size(info, meta.width, meta.height, meta.orientation);
    if (meta.width > 0 && meta.height > 0)
        return TB_OK;
    const tb_status st = probe_module(path, info, orientation, err);
    if (st != TB_OK) {
        json_decref(info->texts);
        *info = (tb_media_info){ 0 };
    }
    return st;
}

tb_status tb_media_probe(const char *path, tb_media_info *info, tb_err *err)
{
    int orientation;
    return probe(path, info, &orientation, err);
}

/* -------------------------------------------------------------------------------------- reading */

/* Upright frames as they arrive, 8 bits a channel. */
typedef struct collector {
    int orientation;
    int channels;
    int64_t frames, width, height; /* upright */
    int64_t spread;                /* keep so many, spread over all; 0: every one */
    int64_t total, seen;           /* for `spread`: frames of the file, and those that came */
    uint8_t *pixels;               /* tb_mem_alloc */
    size_t cap;
} collector;

static tb_status reserve(collector *c, size_t bytes, tb_err *err)
{
    if (bytes <= c->cap)
        return TB_OK;
    size_t cap = c->cap * 2 > bytes ? c->cap * 2 : bytes;
    uint8_t *pixels = tb_mem_alloc(cap);
    if (!pixels)
        pixels = tb_mem_alloc(cap = bytes);
    if (!pixels)
        return tb_err_set(
            err, TB_ENOMEM, "no memory for %lld frames of %lldx%lld (%zu bytes); read fewer frames",
            (long long)c->frames + 1, (long long)c->width, (long long)c->height, bytes);
    if (c->frames)
        memcpy(pixels, c->pixels, (size_t)(c->frames * c->width * c->height * c->channels));
    tb_mem_free(c->pixels);
    c->pixels = pixels;
    c->cap = cap;
    return TB_OK;
}

/* EXIF orientation: 5..8 swap the axes; then 2, 3, 7, 8 mirror the stored columns and 3, 4, 6, 7
 * the rows. */
static void turn(const collector *c, const uint8_t *pixels, int64_t stride, uint8_t *out)
{
    const int n = c->channels;
    const int o = c->orientation;
    const bool swap = o >= 5, mirror_x = o == 2 || o == 3 || o == 7 || o == 8;
    const bool mirror_y = o == 3 || o == 4 || o == 6 || o == 7;
    const int64_t w = swap ? c->height : c->width, h = swap ? c->width : c->height;
    for (int64_t y = 0; y < c->height; y++)
        for (int64_t x = 0; x < c->width; x++, out += n) {
            const int64_t u = swap ? y : x, v = swap ? x : y;
            memcpy(out,
                   pixels + (mirror_y ? h - 1 - v : v) * stride + n * (mirror_x ? w - 1 - u : u),
                   (size_t)n);
        }
}

static tb_status collect(void *ctx, int64_t width, int64_t height, const uint8_t *pixels,
                         int64_t stride, tb_err *err)
{
    collector *c = ctx;
    if (c->spread && c->seen++ != tb_media_spread(c->total, c->spread, c->frames))
        return TB_OK;
    c->width = c->orientation >= 5 ? height : width;
    c->height = c->orientation >= 5 ? width : height;
    const size_t row = (size_t)(width * c->channels), frame = row * (size_t)height;
    TB_TRY(reserve(c, (size_t)(c->frames + 1) * frame, err));
    uint8_t *to = c->pixels + (size_t)c->frames * frame;
    if (c->orientation == 1)
        for (int64_t y = 0; y < height; y++)
            memcpy(to + (size_t)y * row, pixels + y * stride, row);
    else
        turn(c, pixels, stride, to);
    c->frames++;
    return TB_OK;
}

static tb_tensor *to_tensor(const collector *c, tb_err *err)
{
    tb_tensor *t =
        tb_tensor_new(TB_F32, &TB_SHAPE(c->frames, c->height, c->width, c->channels), err);
    if (!t)
        return NULL;
    float *to = tb_tensor_f32_mut(t);
    for (int64_t i = 0; i < tb_tensor_count(t); i++)
        to[i] = (float)c->pixels[i] / 255.0F;
    return t;
}

/* c: which frames are kept, and 3 or 4 channels (has_alpha is not NULL then). */
static tb_tensor *read_frames(collector c, const char *path, int64_t first, int64_t max_frames,
                              double *fps, bool *has_alpha, const atomic_bool *cancel, tb_err *err)
{
    const tb_media_table *m = module(err);
    tb_media_info info;
    tb_tensor *t = NULL;
    if (!m || probe(path, &info, &c.orientation, err) != TB_OK)
        return NULL;
    json_decref(info.texts);
    c.total = info.frames > 0 ? info.frames : 1;
    c.spread = c.spread < c.total ? c.spread : c.total;
    if (fps)
        *fps = info.fps;
    const tb_media_sink sink = { .frame = collect, .ctx = &c, .has_alpha = has_alpha };
    if (m->read(path, first, max_frames, &sink, cancel, err) != TB_OK)
        goto done;
    if (c.frames)
        t = to_tensor(&c, err);
    else
        tb_err_set(err, TB_EINVAL, "'%s' has no frame %lld; it ends before", path,
                   (long long)first);
done:
    tb_mem_free(c.pixels);
    return t;
}

tb_tensor *tb_media_read(const char *path, int64_t first, int64_t max_frames, double *fps,
                         const atomic_bool *cancel, tb_err *err)
{
    return read_frames((collector){ .channels = 3 }, path, first, max_frames, fps, NULL, cancel,
                       err);
}

int64_t tb_media_spread(int64_t frames, int64_t count, int64_t i)
{
    return count > 1 ? i * (frames - 1) / (count - 1) : 0;
}

tb_tensor *tb_media_read_spread(const char *path, int64_t count, const atomic_bool *cancel,
                                tb_err *err)
{
    return read_frames((collector){ .channels = 3, .spread = count }, path, 0, 0, NULL, NULL,
                       cancel, err);
}

tb_tensor *tb_media_read_rgba(const char *path, bool *has_alpha, const atomic_bool *cancel,
                              tb_err *err)
{
    bool found = false;
    tb_tensor *t = read_frames((collector){ .channels = 4 }, path, 0, 1, NULL, &found, cancel, err);
    *has_alpha = found;
    return t;
}

/* -------------------------------------------------------------------------------------- writing */

const char *tb_media_format_of(const char *path)
{
    static const char *const formats[] = { "mp4", "webm", "gif", "webp", "png", "jpg", "apng" };
    const char *extension = tb_fs_extension(path);
    if (strcasecmp(extension, "jpeg") == 0)
        return "jpg";
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (strcasecmp(extension, formats[i]) == 0)
            return formats[i];
    return NULL;
}

static bool is_still(const char *format)
{
    return strcmp(format, "png") == 0 || strcmp(format, "jpg") == 0;
}

static bool holds_alpha(const char *format)
{
    return format && (strcmp(format, "png") == 0 || strcmp(format, "webp") == 0);
}

static tb_status check_images(const tb_tensor *images, const char *format, tb_err *err)
{
    const tb_shape *s = tb_tensor_shape(images);
    char text[100];
    if (tb_tensor_dtype(images) != TB_F32 || s->n != 4 || s->d[0] < 1 ||
        !(s->d[3] == 3 || (s->d[3] == 4 && holds_alpha(format))))
        return tb_err_set(err, TB_EINVAL, "pictures must be f32 [frames,height,width,3], got %s %s",
                          tb_dtype_name(tb_tensor_dtype(images)),
                          tb_shape_text(s, text, sizeof text));
    if (s->d[1] < 1 || s->d[2] < 1 || s->d[1] > MAX_SIDE || s->d[2] > MAX_SIDE)
        return tb_err_set(err, TB_EINVAL,
                          "the sides of a picture must be 1..%d pixels, got %lldx%lld", MAX_SIDE,
                          (long long)s->d[2], (long long)s->d[1]);
    return TB_OK;
}

static tb_status check_options(const tb_tensor *images, const char *format,
                               const tb_media_options *o, tb_err *err)
{
    if (!format)
        return tb_err_set(err, TB_EINVAL,
                          "format must be mp4, webm, gif, webp, png or jpg, got '%s'", o->format);
    if (o->quality < 0 || o->quality > 100)
        return tb_err_set(err, TB_EINVAL, "quality must be 0..100, got %d", o->quality);
    if (is_still(format) && tb_tensor_dim(images, 0) != 1)
        return tb_err_set(err, TB_EINVAL, "a %s file holds one picture, got %lld frames", format,
                          (long long)tb_tensor_dim(images, 0));
    if (!is_still(format) && !(o->fps >= 0.01 && o->fps <= 1000))
        return tb_err_set(err, TB_EINVAL, "fps must be 0.01..1000, got %g", o->fps);
    return TB_OK;
}

static tb_tensor *bytes_tensor(const void *data, size_t size, tb_err *err)
{
    tb_tensor *t = tb_tensor_new(TB_U8, &TB_SHAPE((int64_t)size), err);
    if (t)
        memcpy(tb_tensor_data_mut(t), data, size);
    return t;
}

static tb_tensor *tag_webm(const tb_tensor *file, const tbi_media_text *texts, int count,
                           tb_err *err)
{
    const char *tags[2 * TBI_MEDIA_TEXTS + 1] = { NULL };
    const tb_media_table *m = module(err);
    tb_tensor *t = NULL;
    uint8_t *data = NULL;
    size_t n = 0;
    if (!m)
        return NULL;
    for (int i = 0; i < count; i++) {
        tags[2 * i] = texts[i].key;
        tags[2 * i + 1] = texts[i].text;
    }
    if (m->tag(tb_tensor_u8(file), tb_tensor_bytes(file), tags, &data, &n, err) == TB_OK)
        t = bytes_tensor(data, n, err);
    m->release(data);
    return t;
}

static bool is_good_key(const char *key)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
    const size_t n = strlen(key);
    return n >= 1 && n <= 79 && strspn(key, good) == n;
}

/* The count of those that can be put into a file. */
static int choose_texts(const json_t *all, tbi_media_text texts[TBI_MEDIA_TEXTS])
{
    int count = 0;
    const char *key;
    json_t *text;
    json_object_foreach((json_t *)(uintptr_t)all, key, text)
    {
        if (count < TBI_MEDIA_TEXTS && json_is_string(text) && is_good_key(key))
            texts[count++] = (tbi_media_text){ key, json_string_value(text) };
    }
    return count;
}

tb_tensor *tb_media_embed(const tb_tensor *file, const char *format, const json_t *texts,
                          tb_err *err)
{
    tbi_media_text chosen[TBI_MEDIA_TEXTS];
    const int count = choose_texts(texts, chosen);
    tb_tensor *t = NULL;
    if (strcmp(format, "webm") == 0)
        return tag_webm(file, chosen, count, err);
    tb_str out = TB_STR_INIT;
    if (tbi_media_embed(&out, format, tb_tensor_u8(file), tb_tensor_bytes(file), chosen, count))
        t = bytes_tensor(out.s, out.len, err);
    else
        tb_err_set(err, TB_EFORMAT, "the graph cannot be put into these %zu bytes of %s",
                   tb_tensor_bytes(file), format);
    tb_str_free(&out);
    return t;
}

tb_tensor *tb_media_encode(const tb_tensor *images, const tb_media_options *o,
                           const atomic_bool *cancel, tb_err *err)
{
    char *name = tb_xasprintf("x.%s", o->format);
    const char *format = tb_media_format_of(name);
    const tb_media_table *m = NULL;
    tb_tensor *t = NULL;
    free(name);
    if (check_images(images, format, err) != TB_OK ||
        check_options(images, format, o, err) != TB_OK || !(m = module(err)))
        return NULL;
    const tb_media_encoding e = {
        .pixels = tb_tensor_f32(images),
        .channels = (int)tb_tensor_dim(images, 3),
        .frames = tb_tensor_dim(images, 0),
        .height = tb_tensor_dim(images, 1),
        .width = tb_tensor_dim(images, 2),
        .format = format,
        .fps = is_still(format) ? 25 : o->fps,
        .quality = o->quality,
        .cancel = cancel,
    };
    uint8_t *data = NULL;
    size_t size = 0;
    if (m->encode(&e, &data, &size, err) == TB_OK)
        t = bytes_tensor(data, size, err);
    m->release(data);
    return t;
}
