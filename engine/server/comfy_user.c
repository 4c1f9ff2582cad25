/* comfy_user.c - what the original front end keeps on the server: settings, and files of its own,
 * below user/ of the base folder. 2.15.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "server/comfy_internal.h"
#include "server/comfy_routes.h"

enum { MAX_SETTINGS = 8 << 20, MAX_DEPTH = 16 };

/* ------------------------------------------------------------------------------------- settings */

static char *settings_path(const tb_server *s)
{
    return tb_fs_join(s->base_dir, "user/settings.json");
}

/* New reference; {} when there are none. */
static json_t *load_settings(const tb_server *s)
{
    char *path = settings_path(s);
    json_t *j = tb_json_load(path, MAX_SETTINGS, NULL);
    free(path);
    if (json_is_object(j))
        return j;
    json_decref(j);
    return json_object();
}

/* Stores and replies; consumes j. */
static void save_settings_take(const tb_server *s, tb_request *q, json_t *j)
{
    tb_err err = TB_ERR_INIT;
    char *path = settings_path(s), *text = tb_json_pretty(j);
    if (tb_fs_write(path, text, strlen(text), false, &err) == TB_OK)
        tb_reply_empty(q, 200);
    else
        tb_reply_error(q, &err);
    free(path);
    free(text);
    json_decref(j);
}

void tbs_get_settings(void *ctx, tb_request *q)
{
    tb_reply_json_take(q, 200, load_settings(ctx));
}

void tbs_get_setting(void *ctx, tb_request *q)
{
    json_t *all = load_settings(ctx), *one = json_object_get(all, tb_request_rest(q));
    tb_reply_json_take(q, 200, one ? json_incref(one) : json_null());
    json_decref(all);
}

void tbs_post_settings(void *ctx, tb_request *q)
{
    json_t *body = tb_request_json(q);
    if (!body)
        return;
    json_t *all = load_settings(ctx);
    json_object_update(all, body);
    json_decref(body);
    save_settings_take(ctx, q, all);
}

void tbs_post_setting(void *ctx, tb_request *q)
{
    json_t *body = tb_request_json(q);
    if (!body)
        return;
    json_t *all = load_settings(ctx);
    json_object_set_new(all, tb_request_rest(q), body);
    save_settings_take(ctx, q, all);
}

/* ---------------------------------------------------------------------------------------- files */

static char *files_root(const tb_server *s)
{
    return tb_fs_join(s->base_dir, "user/default");
}

/* A path below the folder of files, or NULL; *status says why. */
static char *file_path(const tb_server *s, const char *name, bool must_exist, int *status)
{
    tb_err err = TB_ERR_INIT;
    char *root = files_root(s), *path = NULL;
    if (tb_fs_mkdirs(root, &err) == TB_OK)
        path = tbs_path_below(root, name, must_exist, &err);
    *status = err.status == TB_ENOTFOUND ? 404 : err.status == TB_EINVAL ? 403 : 500;
    free(root);
    return path;
}

static json_t *file_info(const char *path, const char *name)
{
    struct stat sb = { 0 };
    stat(path, &sb);
    return json_pack("{sssIsIsI}", "path", name, "size", (json_int_t)sb.st_size, "modified",
                     (json_int_t)sb.st_mtim.tv_sec * 1000, "created",
                     (json_int_t)sb.st_ctim.tv_sec * 1000);
}

static bool is_true(const char *text)
{
    return text && (strcmp(text, "true") == 0 || strcmp(text, "1") == 0);
}

typedef struct listing {
    bool recurse, split, full;
    json_t *rows;
} listing;

static void list_folder(listing *l, const char *dir, const char *prefix, int depth);

static void list_entry(listing *l, const char *path, const char *name, int depth)
{
    struct stat sb;
    if (lstat(path, &sb) != 0)
        return;
    if (S_ISDIR(sb.st_mode) && l->recurse && depth < MAX_DEPTH)
        list_folder(l, path, name, depth + 1);
    if (!S_ISREG(sb.st_mode))
        return;
    json_t *row = l->full    ? file_info(path, name)
                  : l->split ? json_pack("[s]", name)
                             : json_string(name);
    json_array_append_new(l->rows, row);
}

/* prefix: the folder's name below the one asked for, or "". */
static void list_folder(listing *l, const char *dir, const char *prefix, int depth)
{
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));) {
        if (*e->d_name == '.')
            continue;
        char *path = tb_fs_join(dir, e->d_name);
        char *name = tb_xasprintf("%s%s%s", prefix, *prefix ? "/" : "", e->d_name);
        list_entry(l, path, name, depth);
        free(path);
        free(name);
    }
    if (d)
        closedir(d);
}

void tbs_get_userdata_list(void *ctx, tb_request *q)
{
    const char *asked = tb_request_query(q, "dir");
    int status = 404;
    if (!asked || !*asked) {
        tb_reply_empty(q, 400);
        return;
    }
    char *dir = file_path(ctx, asked, true, &status);
    if (!dir || !tb_fs_is_dir(dir)) {
        free(dir);
        tb_reply_empty(q, status == 403 ? 403 : 404);
        return;
    }
    listing l = { .recurse = is_true(tb_request_query(q, "recurse")),
                  .split = is_true(tb_request_query(q, "split")),
                  .full = is_true(tb_request_query(q, "full_info")),
                  .rows = json_array() };
    list_folder(&l, dir, "", 0);
    free(dir);
    tb_reply_json_take(q, 200, l.rows);
}

/* What stands in one folder: [{name, path, type, size?, modified?}]. */
static json_t *folder_rows(const char *dir, const char *prefix)
{
    json_t *rows = json_array();
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));) {
        struct stat sb;
        char *full = tb_fs_join(dir, e->d_name);
        char *path = tb_xasprintf("%s%s%s", prefix, *prefix ? "/" : "", e->d_name);
        if (*e->d_name == '.' || lstat(full, &sb) != 0)
            ;
        else if (S_ISDIR(sb.st_mode))
            json_array_append_new(
                rows, json_pack("{ssssss}", "name", e->d_name, "path", path, "type", "directory"));
        else if (S_ISREG(sb.st_mode))
            json_array_append_new(rows,
                                  json_pack("{sssssssIsI}", "name", e->d_name, "path", path, "type",
                                            "file", "size", (json_int_t)sb.st_size, "modified",
                                            (json_int_t)sb.st_mtim.tv_sec * 1000));
        free(path);
        free(full);
    }
    if (d)
        closedir(d);
    return rows;
}

void tbs_get_userdata_folder(void *ctx, tb_request *q)
{
    const char *asked = tb_request_query(q, "path");
    int status = 404;
    char *dir = asked && *asked ? file_path(ctx, asked, true, &status) : files_root(ctx);
    if (dir && tb_fs_is_dir(dir))
        tb_reply_json_take(q, 200, folder_rows(dir, asked ? asked : ""));
    else
        tb_reply_empty(q, status == 403 ? 403 : 404);
    free(dir);
}

void tbs_get_userdata(void *ctx, tb_request *q)
{
    int status = 404;
    char *path = file_path(ctx, tb_request_rest(q), true, &status);
    if (path)
        tb_reply_file(q, path, NULL, tb_fs_basename(tb_request_rest(q)));
    else
        tb_reply_empty(q, status);
    free(path);
}

/* A file takes a place; replies. */
static void put_file(tb_request *q, const char *from, const char *to, const char *name)
{
    tb_err err = TB_ERR_INIT;
    const char *overwrite = tb_request_query(q, "overwrite");
    if (overwrite && !is_true(overwrite) && tb_fs_is_file(to)) {
        tb_reply_text(q, 409, "File already exists");
        return;
    }
    char *dir = tb_fs_dirname(to);
    if (tb_fs_mkdirs(dir, &err) == TB_OK && rename(from, to) != 0)
        tb_err_errno(&err, errno, "cannot write '%s'", name);
    free(dir);
    if (err.status != TB_OK)
        tb_reply_error(q, &err);
    else if (is_true(tb_request_query(q, "full_info")))
        tb_reply_json_take(q, 200, file_info(to, name));
    else
        tb_reply_json_take(q, 200, json_string(name));
}

/* FILE/move/DEST */
static void move_file(const tb_server *s, tb_request *q, const char *rest, const char *move)
{
    int status = 404;
    const char *name = move + strlen("/move/");
    char *source = tb_xstrndup(rest, (size_t)(move - rest));
    char *from = file_path(s, source, true, &status);
    char *to = from ? file_path(s, name, false, &status) : NULL;
    if (to)
        put_file(q, from, to, name);
    else
        tb_reply_empty(q, status);
    free(source);
    free(from);
    free(to);
}

void tbs_post_userdata(void *ctx, tb_request *q)
{
    const char *rest = tb_request_rest(q), *move = strstr(rest, "/move/");
    const char *body = tb_request_file(q);
    int status = 400;
    if (move) {
        move_file(ctx, q, rest, move);
        return;
    }
    char *path = body ? file_path(ctx, rest, false, &status) : NULL;
    if (path)
        put_file(q, body, path, rest);
    else
        tb_reply_empty(q, status);
    free(path);
}

void tbs_delete_userdata(void *ctx, tb_request *q)
{
    int status = 404;
    char *path = file_path(ctx, tb_request_rest(q), true, &status);
    tb_reply_empty(q, path && unlink(path) == 0 ? 204 : path ? 404 : status);
    free(path);
}
