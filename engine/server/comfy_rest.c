/* comfy_rest.c - small answers that clients and the original front end look for: 2.12, 2.15, 2.16.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/mem.h"
#include "server/comfy_internal.h"
#include "server/comfy_routes.h"

bool tbs_is_truthy(const json_t *v)
{
    if (json_is_number(v))
        return json_number_value(v) != 0;
    return json_is_true(v) || json_string_length(v) || json_array_size(v) || json_object_size(v);
}

bool tbs_query_integer(const char *text, int64_t *v)
{
    char *end;
    errno = 0;
    const long long n = strtoll(text, &end, 10);
    end += strspn(end, " \t\r\n");
    if (end == text || *end || errno)
        return false;
    *v = n;
    return true;
}

void tbs_get_empty_list(void *ctx, tb_request *q)
{
    (void)ctx;
    tb_reply_json_take(q, 200, json_array());
}

void tbs_get_empty_object(void *ctx, tb_request *q)
{
    (void)ctx;
    tb_reply_json_take(q, 200, json_object());
}

void tbs_comfy_free_asked(tb_server *s)
{
    tbs_comfy *c = s->comfy;
    if (tb_queue_running(s->queue, 0) || !(c->free_results || c->free_models))
        return;
    tb_engine_release(s->engine, c->free_results, c->free_models);
    c->free_results = c->free_models = false;
}

/* Results on disk stay: they take no memory. */
void tbs_post_free(void *ctx, tb_request *q)
{
    tb_server *s = ctx;
    json_t *body = tb_request_json(q);
    if (!body)
        return;
    s->comfy->free_results |= tbs_is_truthy(json_object_get(body, "free_memory"));
    s->comfy->free_models |= tbs_is_truthy(json_object_get(body, "unload_models"));
    json_decref(body);
    tbs_comfy_free_asked(s);
    tb_reply_empty(q, 200);
}

void tbs_get_users(void *ctx, tb_request *q)
{
    (void)ctx;
    tb_reply_json_take(q, 200, json_pack("{sssb}", "storage", "server", "migrated", 1));
}

void tbs_get_folder_paths(void *ctx, tb_request *q)
{
    const tb_server *s = ctx;
    json_t *all = json_object();
    for (int i = 0; tb_folders_kind(i); i++)
        json_object_set_new(all, tb_folders_kind(i),
                            tb_folders_paths(tb_engine_folders(s->engine), tb_folders_kind(i)));
    tb_reply_json_take(q, 200, all);
}

/* --------------------------------------------------------------------------------------- files */

typedef struct found {
    char *name; /* owned */
    struct timespec changed;
} found;

static int newest_first(const void *a, const void *b)
{
    const found *x = a, *y = b;
    if (x->changed.tv_sec != y->changed.tv_sec)
        return x->changed.tv_sec < y->changed.tv_sec ? 1 : -1;
    if (x->changed.tv_nsec != y->changed.tv_nsec)
        return x->changed.tv_nsec < y->changed.tv_nsec ? 1 : -1;
    return strcmp(x->name, y->name);
}

/* Plain files of a folder, newest first: "name [type]". */
static json_t *files_of(const char *dir, const char *type)
{
    found *items = NULL;
    size_t count = 0, cap = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));) {
        struct stat sb;
        char *path = tb_fs_join(dir, e->d_name);
        if (*e->d_name != '.' && lstat(path, &sb) == 0 && S_ISREG(sb.st_mode)) {
            TB_GROW(items, cap, count + 1);
            items[count++] = (found){ tb_xstrdup(e->d_name), sb.st_mtim };
        }
        free(path);
    }
    if (d)
        closedir(d);
    if (count)
        qsort(items, count, sizeof *items, newest_first);
    json_t *names = json_array();
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(names, json_sprintf("%s [%s]", items[i].name, type));
        free(items[i].name);
    }
    free(items);
    return names;
}

void tbs_get_files(void *ctx, tb_request *q)
{
    const tb_server *s = ctx;
    const char *type = tb_request_rest(q);
    const char *dir = strcmp(type, "output") == 0  ? s->output_dir
                      : strcmp(type, "input") == 0 ? s->input_dir
                      : strcmp(type, "temp") == 0  ? s->temp_dir
                                                   : NULL;
    if (dir)
        tb_reply_json_take(q, 200, files_of(dir, type));
    else
        tb_reply_empty(q, 400);
}
