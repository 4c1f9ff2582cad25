/* editor_graphs.c - graphs on disk: what there is, one of them, saving. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/mem.h"
#include "server/editor_internal.h"

enum { MAX_FILES = 2000, MAX_FOLDERS = 200, MAX_DEPTH = 8, MAX_BYTES = 64 << 20 };

/* ---------------------------------------------------------------------------------------- list */

bool tbs_is_graph_name(const char *name)
{
    const char *ext = tb_fs_extension(name);
    return *tb_fs_basename(name) != '.' && (strcmp(ext, "lua") == 0 || strcmp(ext, "json") == 0);
}

static int64_t modified_ms(const struct stat *st)
{
    return (int64_t)st->st_mtim.tv_sec * 1000 + st->st_mtim.tv_nsec / 1000000;
}

/* Folders that hold no graphs of the user's. */
static bool is_elsewhere(const tb_server *s, const char *path)
{
    char *models = tb_fs_join(s->base_dir, "models");
    const bool same = strcmp(path, s->input_dir) == 0 || strcmp(path, s->output_dir) == 0 ||
                      strcmp(path, s->temp_dir) == 0 || strcmp(path, models) == 0;
    free(models);
    return same || strcmp(tb_fs_basename(path), "node_modules") == 0;
}

typedef struct walk {
    const tb_server *s;
    tbs_visit_fn visit;
    void *ctx;
    int files, folders;
} walk;

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void walk_folder(walk *w, const char *dir, int depth);

/* Links are not followed. */
static void walk_entry(walk *w, const char *path, const char *name, int depth)
{
    struct stat st;
    if (*name == '.' || lstat(path, &st) != 0)
        return;
    if (S_ISREG(st.st_mode) && tbs_is_graph_name(name) && w->files++ < MAX_FILES)
        w->visit(w->ctx, path, &st);
    if (S_ISDIR(st.st_mode) && depth < MAX_DEPTH && !is_elsewhere(w->s, path) &&
        w->folders++ < MAX_FOLDERS) {
        w->visit(w->ctx, path, &st);
        walk_folder(w, path, depth + 1);
    }
}

static void walk_folder(walk *w, const char *dir, int depth)
{
    struct dirent **entries;
    const int n = scandir(dir, &entries, NULL, by_name);
    for (int i = 0; i < n; i++) {
        char *path = tb_fs_join(dir, entries[i]->d_name);
        walk_entry(w, path, entries[i]->d_name, depth);
        free(path);
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
}

void tbs_graphs_walk(const tb_server *s, tbs_visit_fn visit, void *ctx)
{
    walk w = { .s = s, .visit = visit, .ctx = ctx };
    walk_folder(&w, s->graphs_dir, 0);
}

typedef struct listing {
    const tb_server *s;
    json_t *files;
} listing;

static void list_file(void *ctx, const char *path, const struct stat *st)
{
    const listing *l = ctx;
    if (S_ISDIR(st->st_mode))
        return;
    json_t *file = json_pack("{ss ss sI sI}", "path", path + strlen(l->s->graphs_dir) + 1, "kind",
                             tb_fs_extension(path), "bytes", (json_int_t)st->st_size, "modified_ms",
                             (json_int_t)modified_ms(st));
    if (file) /* a name that is not UTF-8 cannot be told of */
        json_array_append_new(l->files, file);
}

static void list(tbs_task *t)
{
    listing l = { .s = t->server, .files = json_array() };
    tbs_graphs_walk(t->server, list_file, &l);
    t->answer = json_pack("{ss so}", "root", t->server->graphs_dir, "graphs", l.files);
}

void tbs_get_graphs(void *ctx, tb_request *q)
{
    tbs_task_run(q, tbs_task_new(sizeof(tbs_task), ctx, q, false, list));
}

/* ----------------------------------------------------------------------------------------- one */

typedef struct graph_task {
    tbs_task t;
    char *name;
} graph_task;

static void clear_graph(tbs_task *t)
{
    free(((graph_task *)t)->name);
}

static void etag_of(const char *data, size_t n, char etag[TB_DIGEST_HEX])
{
    const tb_digest d = tb_digest_of(data, n);
    tb_digest_hex(&d, etag);
}

tb_status tbs_etag(const char *path, char etag[TB_DIGEST_HEX], tb_err *err)
{
    char *data;
    size_t n;
    TB_TRY(tb_fs_read(path, MAX_BYTES, &data, &n, err));
    etag_of(data, n, etag);
    free(data);
    return TB_OK;
}

static char *graph_path(const graph_task *g, bool must_exist, tb_err *err)
{
    if (tbs_is_graph_name(g->name))
        return tbs_path_below(g->t.server->graphs_dir, g->name, must_exist, err);
    tb_err_set(err, TB_EINVAL, "a graph is a .lua or .json file, got '%s'", g->name);
    return NULL;
}

/* What a file says: {doc, params, values, document, errors, from}. */
static json_t *read_graph(const graph_task *g, const char *path, const char *text, size_t n,
                          tb_err *err)
{
    const char *from = "";
    if (strcmp(tb_fs_extension(path), "lua") == 0)
        return tbs_lua_build(&g->t, path, text, true, NULL, err);
    json_t *j = tb_json_parse(text, n, g->name, err);
    json_t *document = j ? tbs_document_read(&g->t, j, g->name, &from, NULL, err) : NULL;
    json_decref(j);
    return document ? json_pack("{ss s[] s{} so s[] ss}", "doc", "", "params", "values", "document",
                                document, "errors", "from", from)
                    : NULL;
}

/* Would saving the document over the file keep all of it? */
static bool is_saved(const tbs_task *t, const json_t *answer, const char *path, const char *text)
{
    tb_err err = TB_ERR_INIT;
    const json_t *document = json_object_get(answer, "document");
    const char *from = json_string_value(json_object_get(answer, "from"));
    if (strcmp(tb_fs_extension(path), "lua") != 0)
        return from && strcmp(from, "workflow") != 0;
    if (!json_is_object(document) || json_array_size(json_object_get(answer, "params")) > 0)
        return false;
    char *lua =
        tbs_document_to_lua(t, document, json_string_value(json_object_get(answer, "doc")), &err);
    const bool same = lua && strcmp(lua, text) == 0;
    free(lua);
    return same;
}

/* A file that cannot be read as a graph is shown with its source, and what is wrong with it. */
static json_t *or_errors(json_t *answer, tb_err *err)
{
    if (answer)
        return answer;
    const tb_err cause = *err;
    tb_err_clear(err);
    return json_pack("{ss s[] s{} sn s[o]}", "doc", "", "params", "values", "document", "errors",
                     tbs_error_json(&cause, NULL));
}

static void describe(graph_task *g, const char *path, const char *text, size_t n)
{
    char etag[TB_DIGEST_HEX];
    struct stat st;
    json_t *source = json_stringn(text, n);
    tbs_task *t = &g->t;
    if (!source) {
        tb_err_set(&t->err, TB_EFORMAT, "%s is not text in UTF-8", g->name);
        return;
    }
    etag_of(text, n, etag);
    t->answer = or_errors(read_graph(g, path, text, n, &t->err), &t->err);
    json_object_set_new(t->answer, "saved", json_boolean(is_saved(t, t->answer, path, text)));
    json_object_del(t->answer, "from");
    json_object_set_new(t->answer, "path", json_string(g->name));
    json_object_set_new(t->answer, "kind", json_string(tb_fs_extension(path)));
    json_object_set_new(t->answer, "etag", json_string(etag));
    json_object_set_new(t->answer, "modified_ms",
                        json_integer(stat(path, &st) == 0 ? modified_ms(&st) : 0));
    json_object_set_new(t->answer, "source", source);
}

static void get(tbs_task *t)
{
    graph_task *g = (graph_task *)t;
    char *path = graph_path(g, true, &t->err), *text = NULL;
    size_t n = 0;
    if (path && tb_fs_read(path, MAX_BYTES, &text, &n, &t->err) == TB_OK)
        describe(g, path, text, n);
    free(text);
    free(path);
}

void tbs_get_graph(void *ctx, tb_request *q)
{
    graph_task *g = tbs_task_new(sizeof *g, ctx, q, false, get);
    g->name = tb_xstrdup(tb_request_rest(q));
    g->t.clear = clear_graph;
    tbs_task_run(q, &g->t);
}

/* ---------------------------------------------------------------------------------------- save */

/* A document of only a graph is written as one: the API format, which other programs read. */
static char *to_json(const json_t *document)
{
    json_t *kept = json_copy((json_t *)(uintptr_t)document);
    const char *const parts[] = { "targets", "script", "view" };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const json_t *v = json_object_get(kept, parts[i]);
        if (!json_object_size(v) && !json_array_size(v))
            json_object_del(kept, parts[i]);
    }
    char *text = tb_json_pretty(json_object_size(kept) > 1 ? kept : json_object_get(kept, "graph"));
    char *line = tb_xasprintf("%s\n", text);
    free(text);
    json_decref(kept);
    return line;
}

static char *written(const graph_task *g, tb_err *err)
{
    const json_t *document = tbs_document_of(g->t.in, err);
    const json_t *doc = tbs_field(g->t.in, "doc", JSON_STRING, err);
    if (!document || err->status != TB_OK)
        return NULL;
    if (strcmp(tb_fs_extension(g->name), "json") == 0)
        return to_json(document);
    return tbs_document_to_lua(&g->t, document, json_string_value(doc), err);
}

/* The file must be what the client has seen: with etag, that one; without, none. */
static void check_etag(graph_task *g, const char *path)
{
    tbs_task *t = &g->t;
    char now[TB_DIGEST_HEX] = "";
    tb_err err = TB_ERR_INIT;
    const json_t *etag = tbs_field(t->in, "etag", JSON_STRING, &t->err);
    const tb_status st = tbs_etag(path, now, &err);
    if (t->err.status != TB_OK)
        return;
    if (st != TB_OK && st != TB_ENOTFOUND)
        t->err = err;
    else if (!etag && st == TB_OK)
        tbs_task_conflict(t, "exists", "there is a file %s already", g->name);
    else if (etag && st == TB_ENOTFOUND)
        tbs_task_conflict(t, "changed", "%s is no longer there", g->name);
    else if (etag && strcmp(json_string_value(etag), now) != 0)
        tbs_task_conflict(t, "changed", "%s was changed by another program", g->name);
}

static void put(tbs_task *t)
{
    graph_task *g = (graph_task *)t;
    char etag[TB_DIGEST_HEX];
    char *text = written(g, &t->err);
    char *path = text ? graph_path(g, false, &t->err) : NULL;
    if (path) {
        pthread_mutex_lock(&t->server->editor->saving);
        check_etag(g, path);
        if (t->err.status == TB_OK)
            tb_fs_write(path, text, strlen(text), true, &t->err);
        pthread_mutex_unlock(&t->server->editor->saving);
    }
    if (path && t->err.status == TB_OK) {
        etag_of(text, strlen(text), etag);
        t->answer = json_pack("{ss ss}", "path", g->name, "etag", etag);
    }
    free(text);
    free(path);
}

void tbs_put_graph(void *ctx, tb_request *q)
{
    graph_task *g = tbs_task_new(sizeof *g, ctx, q, true, put);
    g->name = tb_xstrdup(tb_request_rest(q));
    g->t.clear = clear_graph;
    tbs_task_run(q, &g->t);
}
