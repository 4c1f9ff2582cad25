/* comfy_models.c - model files by kind: 2.14. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/mem.h"
#include "server/comfy_internal.h"
#include "server/comfy_routes.h"

enum { MAX_HEADER = 100 << 20 }; /* of a safetensors file, as its own library allows */

static const tb_folders *folders_of(const tb_server *s)
{
    return tb_engine_folders(s->engine);
}

static void reply_missing(tb_request *q)
{
    tb_reply_empty(q, 404);
}

void tbs_get_models(void *ctx, tb_request *q)
{
    (void)ctx;
    json_t *kinds = json_array();
    for (int i = 0; tb_folders_kind(i); i++)
        json_array_append_new(kinds, json_string(tb_folders_kind(i)));
    tb_reply_json_take(q, 200, kinds);
}

/* A kind of models, not one of the other folders. */
static const char *kind_of(const char *name)
{
    const char *kind = tb_folders_kind_of(name);
    for (int i = 0; kind && tb_folders_kind(i); i++)
        if (strcmp(tb_folders_kind(i), kind) == 0)
            return kind;
    return NULL;
}

void tbs_get_models_of(void *ctx, tb_request *q)
{
    const char *kind = kind_of(tb_request_rest(q));
    if (kind)
        tb_reply_json_take(q, 200, tb_folders_names(folders_of(ctx), kind));
    else
        reply_missing(q);
}

/* Without their extension. */
void tbs_get_embeddings(void *ctx, tb_request *q)
{
    json_t *names = json_array(), *name;
    size_t i;
    json_t *files = kind_of("embeddings") ? tb_folders_names(folders_of(ctx), "embeddings") : NULL;
    json_array_foreach(files, i, name)
    {
        const char *s = json_string_value(name), *ext = tb_fs_extension(s);
        json_array_append_new(names, json_stringn(s, *ext ? (size_t)(ext - 1 - s) : strlen(s)));
    }
    json_decref(files);
    tb_reply_json_take(q, 200, names);
}

void tbs_get_model_folders(void *ctx, tb_request *q)
{
    json_t *all = json_array();
    for (int i = 0; tb_folders_kind(i); i++)
        json_array_append_new(all,
                              json_pack("{ssso}", "name", tb_folders_kind(i), "folders",
                                        tb_folders_paths(folders_of(ctx), tb_folders_kind(i))));
    tb_reply_json_take(q, 200, all);
}

/* Which of the folders a file is in; 0: the first, or none of them. */
static int folder_index(const json_t *paths, const char *file)
{
    size_t i;
    json_t *path;
    json_array_foreach(paths, i, path)
    {
        if (tb_str_starts(file, json_string_value(path)))
            return (int)i;
    }
    return 0;
}

static json_t *model_row(const tb_folders *f, const char *kind, const json_t *paths,
                         const char *name)
{
    struct stat sb = { 0 };
    char *path = tb_folders_find(f, kind, name, NULL);
    if (path)
        stat(path, &sb);
    const int at = path ? folder_index(paths, path) : 0;
    free(path);
    return json_pack("{sssisfsfsI}", "name", name, "pathIndex", at, "modified",
                     (double)sb.st_mtim.tv_sec, "created", (double)sb.st_ctim.tv_sec, "size",
                     (json_int_t)sb.st_size);
}

void tbs_get_model_folder(void *ctx, tb_request *q)
{
    const tb_folders *f = folders_of(ctx);
    const char *kind = kind_of(tb_request_rest(q));
    json_t *rows = json_array(), *name;
    size_t i;
    if (!kind) {
        json_decref(rows);
        reply_missing(q);
        return;
    }
    json_t *names = tb_folders_names(f, kind), *paths = tb_folders_paths(f, kind);
    json_array_foreach(names, i, name)
    {
        json_array_append_new(rows, model_row(f, kind, paths, json_string_value(name)));
    }
    json_decref(names);
    json_decref(paths);
    tb_reply_json_take(q, 200, rows);
}

/* The picture that lies beside a model: "wan.png" of "wan.safetensors", or "wan.preview.png".
 * Owned; NULL: there is none. */
static char *picture_beside(const char *root, const char *name)
{
    static const char *const middles[] = { "", ".preview" };
    static const char *const formats[] = { "png", "jpg", "jpeg", "webp", "gif" };
    const char *extension = tb_fs_extension(name);
    const int stem = (int)(*extension ? (size_t)(extension - 1 - name) : strlen(name));
    char *found = NULL;
    for (size_t i = 0; !found && i < sizeof middles / sizeof *middles; i++)
        for (size_t k = 0; !found && k < sizeof formats / sizeof *formats; k++) {
            char *beside = tb_xasprintf("%.*s%s.%s", stem, name, middles[i], formats[k]);
            found = tbs_path_below(root, beside, true, NULL);
            free(beside);
        }
    return found;
}

/* KIND/INDEX/FILE: the folder of that index in the list of its kind. */
void tbs_get_model_preview(void *ctx, tb_request *q)
{
    const char *rest = tb_request_rest(q), *slash = strchr(rest, '/');
    const char *name = slash ? strchr(slash + 1, '/') : NULL;
    char *first = tb_xstrndup(rest, slash ? (size_t)(slash - rest) : strlen(rest));
    char *second = name ? tb_xstrndup(slash + 1, (size_t)(name - slash - 1)) : NULL;
    const char *kind = kind_of(first);
    json_t *paths = kind ? tb_folders_paths(folders_of(ctx), kind) : NULL;
    int64_t index = -1;
    tb_err err = TB_ERR_INIT;
    int status = 404;
    char *picture = NULL;
    if (kind && second && (!name[1] || !tbs_query_integer(second, &index))) {
        status = 400;
    } else if (second && index >= 0 && index < (int64_t)json_array_size(paths)) {
        const char *root = json_string_value(json_array_get(paths, (size_t)index));
        char *inside = tbs_path_below(root, name + 1, false, &err);
        picture = inside ? picture_beside(root, name + 1) : NULL;
        status = inside || err.status == TB_ENOTFOUND ? 404 : 403;
        free(inside);
    }
    if (picture)
        tbs_reply_picture(q, picture, "webp", 80);
    else
        tb_reply_empty(q, status);
    json_decref(paths);
    free(first);
    free(second);
}

json_t *tbs_file_metadata(const char *path)
{
    char *data = NULL;
    size_t n = 0;
    uint64_t length = 0;
    if (tb_fs_map(path, &data, &n, NULL) != TB_OK)
        return NULL;
    for (int i = 7; i >= 0 && n >= 8; i--)
        length = length << 8 | (unsigned char)data[i];
    json_t *header = NULL, *metadata = NULL;
    if (length && length <= MAX_HEADER && length <= n - 8)
        header = tb_json_parse(data + 8, (size_t)length, "the header", NULL);
    metadata = json_incref(json_object_get(header, "__metadata__"));
    json_decref(header);
    tb_fs_unmap(data, n);
    return metadata;
}

void tbs_get_view_metadata(void *ctx, tb_request *q)
{
    const char *name = tb_request_query(q, "filename"), *kind = kind_of(tb_request_rest(q));
    char *path = name && kind && tb_str_ends(name, ".safetensors")
                     ? tb_folders_find(folders_of(ctx), kind, name, NULL)
                     : NULL;
    json_t *metadata = path ? tbs_file_metadata(path) : NULL;
    free(path);
    if (metadata)
        tb_reply_json_take(q, 200, metadata);
    else
        reply_missing(q);
}
