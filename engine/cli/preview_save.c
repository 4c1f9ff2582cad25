/* preview_save.c - contact sheets and GIFs of videos that are there. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/preview.h"
#include "formats/media.h"
#include "formats/sheet.h"

enum {
    SHEET_FRAMES = 8,
    SHEET_SIDE = 128, /* pixels; smaller frames are enlarged */
    GIF_SIDE = 256,
    GIF_RATE = 50 /* frames a second: browsers slow down what is faster */
};

static bool is_same_file(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* The format of the file that is to be written: one of `formats`, separated by '|'. */
static const char *format_of(const cli_look *look, const char *option, const char *path,
                             const char *formats, tb_err *err)
{
    const char *format = tb_media_format_of(path);
    if (!format || !strstr(formats, format)) {
        tb_err_set(err, TB_EUSAGE, "--%s must name a file of type %s, got '%s'", option, formats,
                   path);
        return NULL;
    }
    for (int i = 0; i < look->count; i++)
        if (is_same_file(path, look->paths[i])) {
            tb_err_set(err, TB_EUSAGE, "--%s would overwrite '%s'; choose another name", option,
                       look->paths[i]);
            return NULL;
        }
    return format;
}

/* Consumes images. */
static tb_tensor *enlarge_take(tb_tensor *images, double scale, int side, tb_err *err)
{
    if (!images)
        return NULL;
    if (scale <= 0)
        scale = tb_sheet_factor(tb_tensor_dim(images, 2), tb_tensor_dim(images, 1), side);
    tb_tensor *t = tb_sheet_scaled(images, scale, err);
    tb_tensor_unref(&images);
    return t;
}

static void drop(tb_tensor **list, int count)
{
    for (int i = 0; i < count; i++)
        tb_tensor_unref(&list[i]);
    free(list);
}

/* The file of a single video keeps its graph. */
static tb_tensor *embed_take(tb_tensor *file, const cli_look *look, const char *format, tb_err *err)
{
    tb_media_info info;
    if (!file || look->count != 1 || tb_media_probe(look->paths[0], &info, NULL) != TB_OK ||
        !info.texts)
        return file;
    tb_tensor *t = tb_media_embed(file, format, info.texts, err);
    json_decref(info.texts);
    tb_tensor_unref(&file);
    return t;
}

/* Consumes images, which may be NULL after an error. */
static tb_status write_take(tb_tensor *images, const cli_look *look, const tb_media_options *o,
                            const char *path, tb_err *err)
{
    tb_tensor *file = images ? tb_media_encode(images, o, NULL, err) : NULL;
    file = embed_take(file, look, o->format, err);
    tb_tensor_unref(&images);
    if (!file)
        return err->status;
    const tb_status st = tb_fs_write(path, tb_tensor_data(file), tb_tensor_bytes(file), false, err);
    tb_tensor_unref(&file);
    if (st == TB_OK)
        puts(path);
    return st;
}

tb_status cli_save_sheet(const cli_look *look, const char *path, tb_err *err)
{
    const char *format = format_of(look, "sheet", path, "png|jpg|webp", err);
    const int64_t frames = look->frames ? look->frames : SHEET_FRAMES;
    tb_tensor **rows = tb_xcalloc((size_t)look->count, sizeof *rows), *sheet = NULL;
    int n = 0;
    while (format && n < look->count && err->status == TB_OK) {
        tb_tensor *images = tb_media_read_spread(look->paths[n], frames, NULL, err);
        rows[n++] = enlarge_take(images, look->scale, SHEET_SIDE, err);
    }
    if (err->status == TB_OK)
        sheet = tb_sheet_rows(rows, n, err);
    drop(rows, n);
    return write_take(sheet, look, &(tb_media_options){ .format = format, .fps = 1 }, path, err);
}

tb_status cli_save_gif(const cli_look *look, const char *path, tb_err *err)
{
    tb_media_options o = { .format = format_of(look, "gif", path, "gif", err) };
    tb_tensor **videos = tb_xcalloc((size_t)look->count, sizeof *videos), *beside = NULL;
    double *fps = tb_xcalloc((size_t)look->count, sizeof *fps);
    int n = 0;
    while (o.format && n < look->count && err->status == TB_OK) {
        tb_tensor *images = tb_media_read(look->paths[n], 0, 0, &fps[n], NULL, err);
        videos[n++] = enlarge_take(images, look->scale, GIF_SIDE, err);
    }
    if (err->status == TB_OK)
        beside = tb_sheet_beside(videos, fps, n, GIF_RATE, &o.fps, err);
    drop(videos, n);
    free(fps);
    return write_take(beside, look, &o, path, err);
}
