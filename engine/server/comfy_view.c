/* comfy_view.c - GET /view: a file of ours, as it is or as a smaller picture. 2.7. */
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "formats/media.h"
#include "server/comfy_internal.h"
#include "server/comfy_routes.h"

enum { DEFAULT_QUALITY = 90 };

const char *tbs_type_in_name(char *name)
{
    static const char *const types[] = { "output", "input", "temp" };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        char suffix[16];
        snprintf(suffix, sizeof suffix, " [%s]", types[i]);
        if (!tb_str_ends(name, suffix))
            continue;
        name[strlen(name) - strlen(suffix)] = 0;
        return types[i];
    }
    return NULL;
}

static const char *or_empty(const char *s)
{
    return s ? s : "";
}

/* ------------------------------------------------------------------------------------- pictures */

typedef struct picture {
    char *path;
    const char *format; /* static */
    int quality;
    enum { AS_IT_IS, COLOUR_ONLY, ALPHA_ONLY } channels;
    tb_tensor *bytes;
    tb_err err;
} picture;

/* The alpha alone, on black. */
static tb_tensor *alpha_alone_take(tb_tensor *rgba)
{
    float *p = rgba ? tb_tensor_f32_mut(rgba) : NULL;
    for (int64_t i = 0; p && i < tb_tensor_count(rgba); i += 4)
        p[i] = p[i + 1] = p[i + 2] = 0;
    return rgba;
}

static tb_tensor *read_picture(picture *v)
{
    bool has_alpha = false;
    if (v->channels == COLOUR_ONLY || strcmp(v->format, "jpg") == 0)
        return tb_media_read(v->path, 0, 1, NULL, NULL, &v->err);
    tb_tensor *rgba = tb_media_read_rgba(v->path, &has_alpha, NULL, &v->err);
    if (v->channels == ALPHA_ONLY)
        return alpha_alone_take(rgba);
    if (!rgba || has_alpha)
        return rgba;
    tb_tensor_unref(&rgba);
    return tb_media_read(v->path, 0, 1, NULL, NULL, &v->err);
}

static void make_picture(void *arg)
{
    picture *v = arg;
    tb_tensor *images = read_picture(v);
    if (images)
        v->bytes = tb_media_encode(
            images, &(tb_media_options){ .format = v->format, .quality = v->quality, .fps = 1 },
            NULL, &v->err);
    tb_tensor_unref(&images);
}

static void picture_made(tb_request *q, void *arg)
{
    picture *v = arg;
    char mime[24];
    snprintf(mime, sizeof mime, "image/%s", strcmp(v->format, "jpg") == 0 ? "jpeg" : v->format);
    if (v->bytes)
        tb_reply_bytes(q, mime, NULL, tb_tensor_data(v->bytes), tb_tensor_bytes(v->bytes));
    else
        tb_reply_error(q, &v->err);
    tb_tensor_unref(&v->bytes);
    free(v->path);
    free(v);
}

/* "webp;80" */
static const char *preview_of(const char *wanted, bool with_alpha, int *quality)
{
    const char *semicolon = strchr(wanted, ';');
    const size_t n = semicolon ? (size_t)(semicolon - wanted) : strlen(wanted);
    const int q = semicolon ? atoi(semicolon + 1) : DEFAULT_QUALITY;
    *quality = q >= 1 && q <= 100 ? q : DEFAULT_QUALITY;
    return n == 4 && strncmp(wanted, "jpeg", n) == 0 && !with_alpha ? "jpg" : "webp";
}

static void reply_picture(tb_request *q, char *path_take, const char *channel, const char *format,
                          int quality)
{
    picture *v = tb_xcalloc(1, sizeof *v);
    *v = (picture){ .path = path_take, .format = format, .quality = quality };
    v->channels = strcmp(channel, "rgb") == 0                               ? COLOUR_ONLY
                  : strcmp(channel, "a") == 0 && strcmp(format, "png") == 0 ? ALPHA_ONLY
                                                                            : AS_IT_IS;
    tb_web_work(q, make_picture, picture_made, v);
}

void tbs_reply_picture(tb_request *q, char *path_take, const char *format, int quality)
{
    reply_picture(q, path_take, "", format, quality);
}

/* Replies; takes the path. */
static void reply_view(tb_request *q, char *path, const char *name)
{
    const char *preview = tb_request_query(q, "preview");
    const char *channel = or_empty(tb_request_query(q, "channel"));
    const char *as_is = tb_media_format_of(path);
    int quality = 0;
    if (as_is && preview) {
        const char *format = preview_of(preview, strchr(channel, 'a') != NULL, &quality);
        tb_reply_name(q, name);
        reply_picture(q, path, channel, format, quality);
        return;
    }
    if (as_is && (strcmp(channel, "rgb") == 0 || strcmp(channel, "a") == 0)) {
        tb_reply_name(q, name);
        reply_picture(q, path, channel, "png", 0);
        return;
    }
    tb_reply_file(q, path, NULL, name);
    free(path);
}

/* --------------------------------------------------------------------------------------- routes */

/* 403: the subfolder leads out; 400: the name does, or the type is none; 404: no such file. */
static int status_of(const tb_server *s, const char *type, const char *subfolder, tb_status st)
{
    if (st == TB_ENOTFOUND)
        return 404;
    char *folder = *subfolder ? tbs_file_path(s, type, "", subfolder, false, NULL) : NULL;
    const int status = *subfolder && !folder ? 403 : 400;
    free(folder);
    return status;
}

void tbs_get_view(void *ctx, tb_request *q)
{
    const tb_server *s = ctx;
    const char *asked = tb_request_query(q, "filename");
    tb_err err = TB_ERR_INIT;
    if (!asked || !*asked) {
        tb_reply_empty(q, asked ? 400 : 404);
        return;
    }
    char *name = tb_xstrdup(asked);
    const char *own = tbs_type_in_name(name), *type = own ? own : tb_request_query(q, "type");
    const char *subfolder = or_empty(tb_request_query(q, "subfolder"));
    type = type ? type : "output";
    char *path = *name == '/' || strstr(name, "..")
                     ? NULL
                     : tbs_file_path(s, type, subfolder, name, true, &err);
    if (path)
        reply_view(q, path, tb_fs_basename(name));
    else
        tb_reply_empty(q, err.status == TB_OK ? 400 : status_of(s, type, subfolder, err.status));
    free(name);
}
