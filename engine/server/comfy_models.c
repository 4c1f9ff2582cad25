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

/* __metadata__ of a safetensors file: 8 bytes of length, little endian, then JSON. NULL: none. */
static json_t *metadata_of(const char *path)
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
    json_t *metadata = path ? metadata_of(path) : NULL;
    free(path);
    if (metadata)
        tb_reply_json_take(q, 200, metadata);
    else
        reply_missing(q);
}
