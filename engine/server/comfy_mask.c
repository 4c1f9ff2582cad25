/* comfy_mask.c - POST /upload/mask: the alpha of an uploaded picture put into one of ours. 2.8. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "formats/media.h"
#include "server/comfy_internal.h"
#include "server/comfy_routes.h"

typedef struct mask_job {
    tb_server *server;
    char *original, *mask; /* paths; `mask` is the form's temporary file */
    char *made;            /* the picture that was made, beside it */
    tb_err err;
} mask_job;

static tb_status check_sizes(const tb_tensor *picture, const tb_tensor *mask, tb_err *err)
{
    if (tb_shape_eq(tb_tensor_shape(picture), tb_tensor_shape(mask)))
        return TB_OK;
    return tb_err_set(err, TB_EINVAL,
                      "the mask must be %lldx%lld pixels as its picture, got %lldx%lld",
                      (long long)tb_tensor_dim(picture, 2), (long long)tb_tensor_dim(picture, 1),
                      (long long)tb_tensor_dim(mask, 2), (long long)tb_tensor_dim(mask, 1));
}

/* Both [1,H,W,4]. */
static void put_alpha(tb_tensor *picture, const tb_tensor *mask)
{
    float *to = tb_tensor_f32_mut(picture);
    const float *from = tb_tensor_f32(mask);
    for (int64_t i = 3; i < tb_tensor_count(picture); i += 4)
        to[i] = from[i];
}

static tb_status write_png(const tb_tensor *rgba, const json_t *texts, const char *path,
                           tb_err *err)
{
    tb_tensor *png = tb_media_encode(rgba, &(tb_media_options){ .format = "png" }, NULL, err);
    tb_tensor *file = png && texts ? tb_media_embed(png, "png", texts, err) : tb_tensor_ref(png);
    const tb_status st =
        file ? tb_fs_write(path, tb_tensor_data(file), tb_tensor_bytes(file), false, err)
             : err->status;
    tb_tensor_unref(&file);
    tb_tensor_unref(&png);
    return st;
}

static void make(void *arg)
{
    mask_job *j = arg;
    bool has_alpha;
    tb_media_info info = { 0 };
    tb_tensor *picture = NULL, *mask = NULL;
    if (tb_media_probe(j->original, &info, &j->err) == TB_OK)
        picture = tb_media_read_rgba(j->original, &has_alpha, NULL, &j->err);
    if (picture)
        mask = tb_media_read_rgba(j->mask, &has_alpha, NULL, &j->err);
    if (mask && check_sizes(picture, mask, &j->err) == TB_OK) {
        put_alpha(picture, mask);
        j->made = tb_xasprintf("%s.png", j->mask);
        write_png(picture, info.texts, j->made, &j->err);
    }
    tb_tensor_unref(&picture);
    tb_tensor_unref(&mask);
    json_decref(info.texts);
}

static void made(tb_request *q, void *arg)
{
    mask_job *j = arg;
    if (j->err.status == TB_OK)
        tbs_upload_reply(j->server, q, j->made);
    else
        tb_reply_error(q, &j->err);
    if (j->made)
        unlink(j->made); /* gone already unless it was held */
    free(j->made);
    free(j->original);
    free(j->mask);
    free(j);
}

static const char *text_of(const json_t *o, const char *name, const char *otherwise)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s && *s ? s : otherwise;
}

/* The file that {"filename", "subfolder", "type"} names; NULL: none of ours. */
static char *original_of(const tb_server *s, const char *reference)
{
    json_t *o = reference ? json_loads(reference, 0, NULL) : NULL;
    char *name = tb_xstrdup(text_of(o, "filename", ""));
    const char *own = tbs_type_in_name(name);
    char *path = !*name || *name == '/' || strstr(name, "..")
                     ? NULL
                     : tbs_file_path(s, own ? own : text_of(o, "type", "output"),
                                     text_of(o, "subfolder", ""), name, true, NULL);
    free(name);
    json_decref(o);
    return path;
}

void tbs_post_upload_mask(void *ctx, tb_request *q)
{
    const tb_part *file = tb_request_part(q, "image"), *ref = tb_request_part(q, "original_ref");
    char *original = original_of(ctx, ref ? ref->value : NULL);
    if (!original || !file || !file->path || !file->filename || !*file->filename) {
        tb_reply_empty(q, 400);
        free(original);
        return;
    }
    mask_job *j = tb_xcalloc(1, sizeof *j);
    *j = (mask_job){ .server = ctx, .original = original, .mask = tb_xstrdup(file->path) };
    tb_web_work(q, make, made, j);
}
