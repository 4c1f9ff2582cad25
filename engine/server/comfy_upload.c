/* comfy_upload.c - POST /upload/image: a file of the user's into one of our folders. 2.8. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/mem.h"
#include "server/comfy_internal.h"
#include "server/comfy_routes.h"

enum { MOST_COPIES = 100000 };

static const char *field(const tb_request *q, const char *name, const char *otherwise)
{
    const tb_part *p = tb_request_part(q, name);
    return p && p->value && *p->value ? p->value : otherwise;
}

static bool digest_of(const char *path, tb_digest *d)
{
    char *data = NULL;
    size_t n = 0;
    if (tb_fs_map(path, &data, &n, NULL) != TB_OK)
        return false;
    *d = tb_digest_of(data, n);
    tb_fs_unmap(data, n);
    return true;
}

static bool same_content(const char *a, const char *b)
{
    tb_digest da, db;
    return digest_of(a, &da) && digest_of(b, &db) && memcmp(da.b, db.b, sizeof da.b) == 0;
}

/* "name (2).png" */
static char *numbered(const char *name, int n)
{
    const char *ext = tb_fs_extension(name);
    const size_t stem = *ext ? (size_t)(ext - 1 - name) : strlen(name);
    return tb_xasprintf("%.*s (%d)%s", (int)stem, name, n, name + stem);
}

static tb_status move(const char *from, const char *to, tb_err *err)
{
    char *dir = tb_fs_dirname(to);
    const tb_status st = tb_fs_mkdirs(dir, err);
    free(dir);
    if (st != TB_OK)
        return st;
    return rename(from, to) == 0 ? TB_OK : tb_err_errno(err, errno, "cannot write '%s'", to);
}

typedef struct place {
    const tb_server *server;
    const char *type, *subfolder;
    bool overwrite;
    char *name; /* owned; as it is stored */
} place;

/* The file `path` under the name the client gave, under the same name if it holds the same, or
 * under a new one. */
static tb_status put(place *at, const char *path, const char *filename, tb_err *err)
{
    for (int n = 0; n < MOST_COPIES; n++) {
        free(at->name);
        at->name = n ? numbered(filename, n) : tb_xstrdup(filename);
        char *to = tbs_file_path(at->server, at->type, at->subfolder, at->name, false, err);
        if (!to)
            return err->status;
        const bool there = tb_fs_is_file(to) || tb_fs_is_dir(to);
        const bool same = there && !at->overwrite && same_content(to, path);
        const bool mine = !there || at->overwrite;
        const tb_status st = mine ? move(path, to, err) : TB_OK;
        free(to);
        if (mine || same)
            return st;
    }
    return tb_err_set(err, TB_EINVAL, "there are too many files called '%s'", filename);
}

void tbs_upload_reply(const tb_server *s, tb_request *q, const char *path)
{
    const char *overwrite = field(q, "overwrite", "");
    tb_err err = TB_ERR_INIT;
    place at = { .server = s,
                 .type = field(q, "type", "input"),
                 .subfolder = field(q, "subfolder", ""),
                 .overwrite = strcmp(overwrite, "true") == 0 || strcmp(overwrite, "1") == 0 };
    const tb_status st = put(&at, path, tb_request_part(q, "image")->filename, &err);
    if (st == TB_OK)
        tb_reply_json_take(
            q, 200,
            json_pack("{ssssss}", "name", at.name, "subfolder", at.subfolder, "type", at.type));
    else if (st == TB_EINVAL)
        tb_reply_empty(q, 400);
    else
        tb_reply_error(q, &err);
    free(at.name);
}

void tbs_post_upload_image(void *ctx, tb_request *q)
{
    const tb_part *file = tb_request_part(q, "image");
    if (file && file->path && file->filename && *file->filename)
        tbs_upload_reply(ctx, q, file->path);
    else
        tb_reply_empty(q, 400);
}
