/* editor_runs.c - runs as the editor sees them: prompts of the queue and of the history, with what
 * the store knows of their runs. */
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include "server/editor_internal.h"

enum { LIMIT = 50, MOST = 1000 };

/* ---------------------------------------------------------------------------------------- files */

static const char *kind_of(const char *filename, bool animated)
{
    static const char *const videos[] = { "mp4", "webm", "mkv", "mov", "m4v" };
    static const char *const images[] = { "png", "jpg", "jpeg", "webp" };
    const char *ext = tb_fs_extension(filename);
    for (size_t i = 0; i < sizeof videos / sizeof *videos; i++)
        if (strcmp(ext, videos[i]) == 0)
            return "video";
    for (size_t i = 0; i < sizeof images / sizeof *images; i++)
        if (strcmp(ext, images[i]) == 0)
            return animated ? "animation" : "image";
    return strcmp(ext, "gif") == 0           ? "animation"
           : strcmp(ext, "safetensors") == 0 ? "tensors"
                                             : "file";
}

static void add_encoded(tb_str *b, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        const bool plain = (*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') ||
                           (*p >= 'A' && *p <= 'Z') || strchr("-_.~", *p);
        if (plain)
            tb_str_addn(b, p, 1);
        else
            tb_str_addf(b, "%%%02X", *p);
    }
}

static const char *text_of(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "";
}

json_t *tbs_file_json_take(const char *node, json_t *entry, bool animated)
{
    tb_str url = TB_STR_INIT;
    const char *filename = text_of(entry, "filename");
    tb_str_add(&url, "/view?filename=");
    add_encoded(&url, filename);
    tb_str_add(&url, "&subfolder=");
    add_encoded(&url, text_of(entry, "subfolder"));
    tb_str_add(&url, "&type=");
    add_encoded(&url, text_of(entry, "type"));
    json_object_set_new(entry, "node", json_string(node));
    json_object_set_new(entry, "kind", json_string(kind_of(filename, animated)));
    json_object_set_new(entry, "url", json_string(url.s));
    tb_str_free(&url);
    return entry;
}

void tbs_file_set_key(json_t *file, const char *hex)
{
    char url[160];
    snprintf(url, sizeof url, "/api/tubelet/results/%s/file?output=0", hex);
    json_object_set_new(file, "key", json_string(hex));
    json_object_set_new(file, "result_url", json_string(url));
}

/* Every list of files in the UI objects, whatever it is called. */
static json_t *files_of(const json_t *ui)
{
    json_t *files = json_array(), *outputs, *list, *entry;
    const char *node, *name;
    size_t i;
    json_object_foreach((json_t *)(uintptr_t)ui, node, outputs)
    {
        const bool animated = json_is_true(json_array_get(json_object_get(outputs, "animated"), 0));
        json_object_foreach(outputs, name, list) json_array_foreach(
            list, i, entry) if (json_is_string(json_object_get(entry, "filename")))
            json_array_append_new(files, tbs_file_json_take(node, json_copy(entry), animated));
    }
    return files;
}

/* ----------------------------------------------------------------------------------------- run */

static json_t *error_of(const tb_prompt *p)
{
    const json_t *node = json_object_get(p->graph, tb_prompt_display_node(p, p->err.node));
    return tbs_error_json(&p->err, json_string_value(json_object_get(node, "class_type")));
}

json_t *tbs_run_json(const tb_prompt *p)
{
    json_t *o =
        json_pack("{ss sI so ss sI sI sI si si si so}", "prompt_id", p->id, "run",
                  (json_int_t)p->run_id, "title", tbs_text_json(p->title ? p->title : ""), "state",
                  tb_prompt_state_name(p->state), "created_ms", (json_int_t)p->created_ms,
                  "started_ms", (json_int_t)p->started_ms, "ended_ms", (json_int_t)p->ended_ms,
                  "nodes_total", 0, "nodes_cached", 0, "nodes_run", 0, "outputs", files_of(p->ui));
    json_object_set_new(o, "number",
                        p->numbered ? json_real(p->number) : json_integer((json_int_t)p->number));
    if (p->state == TB_PROMPT_FAILED)
        json_object_set_new(o, "error", error_of(p));
    return o;
}

void tbs_run_set_counts(json_t *run, int total, int cached, int ran)
{
    json_object_set_new(run, "nodes_total", json_integer(total));
    json_object_set_new(run, "nodes_cached", json_integer(cached));
    json_object_set_new(run, "nodes_run", json_integer(ran));
}

/* The journal's row of the node, or of the one inside that delivers for it. */
static const json_t *row_of(const json_t *rows, const char *node, const tb_types *types)
{
    const size_t n = strlen(node);
    const json_t *inside = NULL;
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        const char *id = text_of(row, "node");
        const tb_type *type = tb_types_find(types, text_of(row, "type"));
        if (strcmp(id, node) == 0)
            return row;
        if (strncmp(id, node, n) == 0 && id[n] == '/' && type && type->def->flags & TB_NODE_TARGET)
            inside = row;
    }
    return inside;
}

void tbs_run_enrich(const tbs_task *t, json_t *run, uint64_t run_id)
{
    tb_run_info info;
    tb_store *store = tb_engine_store(t->server->engine);
    json_t *outputs = json_object_get(run, "outputs"), *rows, *file;
    size_t i;
    if (!store || !run_id)
        return;
    if (tb_store_run_get(store, run_id, &info, NULL) == TB_OK) {
        tbs_run_set_counts(run, info.nodes_total, info.nodes_cached,
                           info.nodes_done - info.nodes_cached);
        tb_run_info_clear(&info);
    }
    rows = json_array_size(outputs) ? tb_store_run_nodes(store, run_id, NULL) : NULL;
    json_array_foreach(outputs, i, file)
    {
        const json_t *row = row_of(rows, text_of(file, "node"), t->types);
        const char *key = json_string_value(json_object_get(row, "key"));
        if (key)
            tbs_file_set_key(file, key);
    }
    json_decref(rows);
}

json_t *tbs_queue_json(tb_server *s)
{
    json_t *list = json_array();
    const tb_prompt *p;
    for (int i = 0; (p = tb_queue_running(s->queue, i)); i++)
        json_array_append_new(list, tbs_live_json(s, p));
    for (int i = 0; (p = tb_queue_pending(s->queue, i)); i++) {
        json_t *run = tbs_live_json(s, p);
        json_object_set_new(run, "position", json_integer(i + 1));
        json_array_append_new(list, run);
    }
    return list;
}

/* ---------------------------------------------------------------------------------------- list */

typedef struct list_task {
    tbs_task t;
    json_t *live;
    int64_t limit, before;
} list_task;

static void clear_list(tbs_task *t)
{
    json_decref(((list_task *)t)->live);
}

/* How many of the newest ended at `before` or later; they ended in this order. */
static int64_t count_since(tb_queue *queue, int64_t before, tb_err *err)
{
    int64_t low = 0, high = 1 << 24;
    while (low < high && err->status == TB_OK) {
        tb_prompt **found;
        int n;
        const int64_t mid = (low + high) / 2;
        if (tb_queue_past_list(queue, 1, mid, &found, &n, err) != TB_OK)
            break;
        if (n && found[0]->ended_ms >= before)
            low = mid + 1;
        else
            high = mid;
        tb_prompts_free(&found, n);
    }
    return low;
}

static void list(tbs_task *t)
{
    list_task *l = (list_task *)t;
    tb_queue *queue = t->server->queue;
    tb_prompt **past;
    int n;
    const int64_t skip = l->before ? count_since(queue, l->before, &t->err) : 0;
    if (t->err.status != TB_OK ||
        tb_queue_past_list(queue, l->limit + 1, skip, &past, &n, &t->err) != TB_OK)
        return;
    json_t *runs = l->before ? json_array() : json_incref(l->live);
    for (int i = 0; i < n && i < l->limit; i++) {
        json_t *run = tbs_run_json(past[i]);
        tbs_run_enrich(t, run, past[i]->run_id);
        json_array_append_new(runs, run);
    }
    t->answer = json_pack("{so sb}", "runs", runs, "more", n > l->limit);
    tb_prompts_free(&past, n);
}

void tbs_get_runs(void *ctx, tb_request *q)
{
    tb_server *s = ctx;
    list_task *l = tbs_task_new(sizeof *l, s, q, false, list);
    l->limit = tb_request_query_int(q, "limit", LIMIT);
    l->before = tb_request_query_int(q, "before", 0);
    l->live = tbs_queue_json(s);
    l->t.clear = clear_list;
    if (l->limit < 1 || l->limit > MOST)
        tb_err_set(&l->t.err, TB_EINVAL, "limit must be 1..%d, got %lld", MOST,
                   (long long)l->limit);
    tbs_task_run(q, &l->t);
}

/* ----------------------------------------------------------------------------------------- one */

void tbs_run_task_clear(tbs_task *t)
{
    tbs_run_task *r = (tbs_run_task *)t;
    free(r->id);
    json_decref(r->run);
    json_decref(r->document);
    json_decref(r->extra_data);
    json_decref(r->outputs);
    free(r->title);
}

tbs_run_task *tbs_run_task_new(tb_server *s, tb_request *q, const char *id, bool body,
                               void (*work)(tbs_task *t))
{
    tbs_run_task *r = tbs_task_new(sizeof *r, s, q, body, work);
    const tb_prompt *p = tb_queue_find(s->queue, id);
    r->id = tb_xstrdup(id);
    r->t.clear = tbs_run_task_clear;
    r->run = p ? tbs_live_json(s, p) : NULL;
    r->run_id = p ? p->run_id : 0;
    return r;
}

/* Also of a live prompt only what the store has is looked at here: the other is the loop's. */
bool tbs_run_task_find(tbs_run_task *r)
{
    tb_queue *queue = r->t.server->queue;
    tb_prompt *p =
        r->run ? tb_queue_stored(queue, r->id, &r->t.err) : tb_queue_past(queue, r->id, &r->t.err);
    if (!p)
        return false;
    r->no_cache = p->no_cache;
    r->title = p->title ? tb_xstrdup(p->title) : NULL;
    r->document = json_incref(p->document);
    r->extra_data = json_incref(p->extra_data);
    r->outputs = json_incref(p->outputs);
    if (!r->run) {
        r->run_id = p->run_id;
        r->run = tbs_run_json(p);
        tbs_run_enrich(&r->t, r->run, r->run_id);
    }
    tb_prompt_free(&p);
    return true;
}

/* What the run's graph expands to now; null when it cannot be planned any more. */
static json_t *expanded(tbs_run_task *r)
{
    tb_err_list errors = { 0 };
    tb_err err = TB_ERR_INIT;
    json_t *graph = NULL;
    tbs_world w;
    if (tbs_world_open(&w, &r->t, r->document, &err) == TB_OK) {
        tb_run *plan = tbs_document_plan(r->t.server, &w, r->document, NULL, false, &errors, &err);
        graph = plan ? tb_run_expanded(plan) : NULL;
        tb_run_drop(&plan);
    }
    tbs_world_close(&w);
    tb_err_list_free(&errors);
    return graph ? graph : json_null();
}

static void one(tbs_task *t)
{
    tbs_run_task *r = (tbs_run_task *)t;
    if (!tbs_run_task_find(r))
        return;
    tb_store *store = tb_engine_store(t->server->engine);
    json_t *nodes = store && r->run_id ? tb_store_run_nodes(store, r->run_id, &t->err) : NULL;
    t->answer = json_incref(r->run);
    json_object_set(t->answer, "document", r->document);
    json_object_set_new(t->answer, "expanded", expanded(r));
    json_object_set_new(t->answer, "nodes", nodes ? nodes : json_array());
}

/* "ID/steps" into its parts; *verb points behind the slash, or to "". */
static char *split(const char *rest, const char **verb)
{
    const size_t n = strcspn(rest, "/");
    *verb = rest[n] ? rest + n + 1 : "";
    return tb_xstrndup(rest, n);
}

static void no_such_route(tb_request *q)
{
    tb_err err = TB_ERR_INIT;
    tb_err_set(&err, TB_ENOTFOUND, "there is no %s %s", tb_request_method(q), tb_request_path(q));
    tb_reply_error(q, &err);
}

void tbs_get_run(void *ctx, tb_request *q)
{
    const char *verb;
    char *id = split(tb_request_rest(q), &verb);
    if (strcmp(verb, "steps") == 0)
        tbs_get_steps(ctx, q, id);
    else if (!*verb)
        tbs_task_run(q, &tbs_run_task_new(ctx, q, id, false, one)->t);
    else
        no_such_route(q);
    free(id);
}

/* --------------------------------------------------------------------------------------- queue */

static void added(void *ctx, tb_prompt *p, const tb_err *err)
{
    tb_request *q = ctx;
    if (!p) {
        tb_reply_error(q, err);
        return;
    }
    tb_reply_json_take(
        q, 200,
        json_pack("{ss so s[]}", "prompt_id", p->id, "number",
                  p->numbered ? json_real(p->number) : json_integer((json_int_t)p->number),
                  "errors"));
}

static void add_prompt(tb_request *q, tbs_task *t)
{
    tbs_run_task *r = (tbs_run_task *)t;
    const tb_prompt_request request = {
        .graph = json_object_get(r->document, "graph"),
        .document = r->document,
        .extra_data = r->extra_data,
        .outputs = r->outputs,
        .client_id = json_string_value(json_object_get(r->extra_data, "client_id")),
        .title = r->title,
        .front = r->front,
        .no_cache = r->no_cache || t->server->o.no_cache,
    };
    if (tb_queue_add(t->server->queue, &request, added, q, &t->err) != TB_OK)
        tb_reply_error(q, &t->err);
}

/* Everything that is wrong is told at once, and nothing is queued then. */
static bool check(tbs_run_task *r)
{
    tbs_world w;
    tbs_task *t = &r->t;
    tb_err_list errors = { 0 };
    if (tbs_world_open(&w, t, r->document, &t->err) == TB_OK) {
        if (tbs_document_check(r->document, w.types, &errors) == 0) {
            r->outputs = tbs_document_outputs(r->document, w.types);
            if (json_array_size(r->outputs) == 0)
                tb_err_set(&t->err, TB_EINVAL,
                           "the graph has no output node; add one (mux, save_image, ...) or run "
                           "until a node");
        } else {
            t->err = errors.items[0];
            t->errors = tbs_errors_json(&errors);
        }
    }
    tbs_world_close(&w);
    tb_err_list_free(&errors);
    return t->err.status == TB_OK;
}

static bool flag(const json_t *in, const char *name, tb_err *err)
{
    return json_is_true(tbs_field(in, name, JSON_TRUE, err));
}

static void prepare(tbs_task *t)
{
    tbs_run_task *r = (tbs_run_task *)t;
    json_t *document = tbs_document_of(t->in, &t->err);
    const json_t *title = tbs_field(t->in, "title", JSON_STRING, &t->err),
                 *client = tbs_field(t->in, "client_id", JSON_STRING, &t->err);
    json_t *until = tbs_field(t->in, "until", JSON_STRING, &t->err);
    r->front = flag(t->in, "front", &t->err);
    r->no_cache = flag(t->in, "no_cache", &t->err);
    if (t->err.status != TB_OK)
        return;
    r->document = json_copy(document);
    if (until)
        json_object_set(r->document, "until", until);
    r->title = title ? tb_xstrdup(json_string_value(title)) : NULL;
    r->extra_data = json_object();
    if (client)
        json_object_set_new(r->extra_data, "client_id", json_copy((json_t *)(uintptr_t)client));
    check(r);
}

void tbs_post_runs(void *ctx, tb_request *q)
{
    tbs_run_task *r = tbs_task_new(sizeof *r, ctx, q, true, prepare);
    r->t.clear = tbs_run_task_clear;
    r->t.reply = add_prompt;
    tbs_task_run(q, &r->t);
}

static void again(tbs_task *t)
{
    tbs_run_task *r = (tbs_run_task *)t;
    tbs_run_task_find(r);
}

static void retry(tb_server *s, tb_request *q, const char *id)
{
    tbs_run_task *r = tbs_run_task_new(s, q, id, false, again);
    r->t.reply = add_prompt;
    tbs_task_run(q, &r->t);
}

static void cancel(tb_server *s, tb_request *q, const char *id)
{
    const bool canceled = tb_queue_remove(s->queue, id) || tb_queue_interrupt(s->queue, id);
    tb_reply_json_take(q, 200, json_pack("{sb}", "canceled", canceled));
}

void tbs_post_run(void *ctx, tb_request *q)
{
    const char *verb;
    char *id = split(tb_request_rest(q), &verb);
    if (strcmp(verb, "cancel") == 0)
        cancel(ctx, q, id);
    else if (strcmp(verb, "retry") == 0)
        retry(ctx, q, id);
    else if (strcmp(verb, "fork") == 0)
        tbs_post_fork(ctx, q, id);
    else
        no_such_route(q);
    free(id);
}

/* Gone when it is answered, not only when the writer comes to it. */
static void forget(tbs_task *t)
{
    tbs_run_task *r = (tbs_run_task *)t;
    tb_store *store = tb_engine_store(t->server->engine);
    if (r->run) {
        tbs_task_conflict(t, "busy", "the run is still %s; cancel it first",
                          text_of(r->run, "state"));
    } else if (tbs_run_task_find(r)) {
        tb_store_prompt_remove(store, r->id, true);
        tb_store_flush(store, &t->err);
    }
}

void tbs_delete_run(void *ctx, tb_request *q)
{
    tbs_task_run(q, &tbs_run_task_new(ctx, q, tb_request_rest(q), false, forget)->t);
}
