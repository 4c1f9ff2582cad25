/* queue_rows.c - prompts as rows of the store, and rows of the past as ComfyUI's history.
 *
 * A row holds what was asked for (request) and what became of it (result) as JSON. Rows are read
 * back with distrust: what does not fit is left out or replaced, never believed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "server/queue_internal.h"

static const char *const state_names[] = {
    [TB_PROMPT_PENDING] = "pending", [TB_PROMPT_RUNNING] = "running",   [TB_PROMPT_DONE] = "done",
    [TB_PROMPT_FAILED] = "failed",   [TB_PROMPT_CANCELED] = "canceled",
};

const char *tb_prompt_state_name(tb_prompt_state state)
{
    return state_names[state];
}

static tb_prompt_state state_of(const char *name)
{
    for (int i = 0; i < (int)(sizeof state_names / sizeof *state_names); i++)
        if (strcmp(state_names[i], name) == 0)
            return (tb_prompt_state)i;
    return TB_PROMPT_FAILED;
}

/* Keys stay in their order, integers and reals apart. */
static char *text_of(const json_t *j)
{
    return json_dumps(j, JSON_COMPACT | JSON_REAL_PRECISION(17));
}

static void set(json_t *o, const char *name, json_t *v)
{
    if (v)
        json_object_set(o, name, v);
}

/* --------------------------------------------------------------------------------- to a row */

static char *request_text(const tb_prompt *p)
{
    json_t *o = json_object();
    set(o, "graph", p->graph);
    set(o, "document", p->document);
    set(o, "extra_data", p->extra_data);
    set(o, "outputs", p->outputs);
    if (p->no_cache)
        json_object_set_new(o, "no_cache", json_true());
    char *text = text_of(o);
    json_decref(o);
    return text;
}

static json_t *error_json(const tb_err *e)
{
    return json_pack("{sissssssss}", "status", (int)e->status, "node", e->node, "input", e->input,
                     "origin", e->origin, "message", e->message);
}

static char *result_text(const tb_prompt *p)
{
    json_t *o = json_object();
    set(o, "ui", p->ui);
    set(o, "messages", p->messages);
    set(o, "cached", p->cached);
    set(o, "executed", p->executed);
    if (p->err.status != TB_OK)
        json_object_set_new(o, "error", error_json(&p->err));
    char *text = text_of(o);
    json_decref(o);
    return text;
}

static char *copy(const char *s)
{
    return s ? tb_xstrdup(s) : NULL;
}

tb_prompt_row tbs_row_of(const tb_prompt *p, bool request)
{
    tb_prompt_row r = {
        .id = copy(p->id),
        .client_id = copy(p->client_id),
        .title = copy(p->title),
        .number = p->number,
        .numbered = p->numbered,
        .created_ms = p->created_ms,
        .started_ms = p->started_ms,
        .ended_ms = p->ended_ms,
        .run = p->run_id,
        .request = request ? request_text(p) : NULL,
        .result = p->ended_ms ? result_text(p) : NULL,
    };
    snprintf(r.state, sizeof r.state, "%s", state_names[p->state]);
    return r;
}

/* ------------------------------------------------------------------------------- from a row */

static json_t *parse(const char *text)
{
    json_t *j = text ? tb_json_parse(text, strlen(text), "a stored prompt", NULL) : NULL;
    if (json_is_object(j))
        return j;
    json_decref(j);
    return NULL;
}

static json_t *member(const json_t *o, const char *name, json_type type, json_t *otherwise)
{
    json_t *v = json_object_get(o, name);
    if (!v || json_typeof(v) != type)
        return otherwise;
    json_decref(otherwise);
    return json_incref(v);
}

static void copy_text(char *to, size_t n, const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    snprintf(to, n, "%s", s ? s : "");
}

static void error_from_json(tb_err *err, const json_t *o)
{
    const json_int_t status = json_integer_value(json_object_get(o, "status"));
    if (!json_is_object(o))
        return;
    err->status = status > TB_OK && status <= TB_EINTERNAL ? (tb_status)status : TB_EINTERNAL;
    copy_text(err->node, sizeof err->node, o, "node");
    copy_text(err->input, sizeof err->input, o, "input");
    copy_text(err->origin, sizeof err->origin, o, "origin");
    copy_text(err->message, sizeof err->message, o, "message");
}

void tbs_prompt_from_row(tb_prompt *p, const tb_prompt_row *r)
{
    json_t *request = parse(r->request), *result = parse(r->result);
    *p = (tb_prompt){
        .id = tb_xstrdup(r->id ? r->id : ""),
        .client_id = copy(r->client_id),
        .title = tb_xstrdup(r->title ? r->title : ""),
        .number = r->number,
        .numbered = r->numbered,
        .state = state_of(r->state),
        .no_cache = json_is_true(json_object_get(request, "no_cache")),
        .graph = member(request, "graph", JSON_OBJECT, json_object()),
        .document = member(request, "document", JSON_OBJECT, json_object()),
        .extra_data = member(request, "extra_data", JSON_OBJECT, NULL),
        .outputs = member(request, "outputs", JSON_ARRAY, json_array()),
        .created_ms = r->created_ms,
        .started_ms = r->started_ms,
        .ended_ms = r->ended_ms,
        .run_id = r->run,
        .ui = member(result, "ui", JSON_OBJECT, json_object()),
        .messages = member(result, "messages", JSON_ARRAY, json_array()),
        .cached = member(result, "cached", JSON_ARRAY, json_array()),
        .executed = member(result, "executed", JSON_ARRAY, json_array()),
    };
    error_from_json(&p->err, json_object_get(result, "error"));
    if (!json_object_size(json_object_get(p->document, "graph")) && p->err.status == TB_OK)
        tb_err_set(&p->err, TB_EFORMAT,
                   "the stored prompt is damaged and cannot be run; queue it again");
    json_decref(request);
    json_decref(result);
}

void tbs_prompt_clear(tb_prompt *p)
{
    free(p->id);
    free(p->client_id);
    free(p->title);
    json_decref(p->graph);
    json_decref(p->document);
    json_decref(p->extra_data);
    json_decref(p->outputs);
    json_decref(p->ui);
    json_decref(p->messages);
    json_decref(p->cached);
    json_decref(p->executed);
    *p = (tb_prompt){ 0 };
}

void tb_prompt_free(tb_prompt **p)
{
    if (*p)
        tbs_prompt_clear(*p);
    free(*p);
    *p = NULL;
}

void tb_prompts_free(tb_prompt ***list, int count)
{
    for (int i = 0; i < count; i++)
        tb_prompt_free(&(*list)[i]);
    free(*list);
    *list = NULL;
}

static tb_prompt *prompt_of(const tb_prompt_row *r)
{
    tb_prompt *p = tb_xcalloc(1, sizeof *p);
    tbs_prompt_from_row(p, r);
    return p;
}

/* ------------------------------------------------------------------------------------- history */

tb_prompt *tb_queue_stored(tb_queue *q, const char *id, tb_err *err)
{
    tb_prompt_row row = { 0 };
    if (tb_store_prompt_get(q->store, id, &row, err) != TB_OK)
        return NULL;
    tb_prompt *p = prompt_of(&row);
    tb_prompt_row_clear(&row);
    return p;
}

tb_prompt *tb_queue_past(tb_queue *q, const char *id, tb_err *err)
{
    tb_prompt *p = tb_queue_stored(q, id, err);
    if (!p || p->ended_ms)
        return p;
    tb_err_set(err, TB_ENOTFOUND, "the prompt '%s' has not ended", id);
    tb_prompt_free(&p);
    return NULL;
}

tb_status tb_queue_past_list(tb_queue *q, int64_t limit, int64_t skip, tb_prompt ***list,
                             int *count, tb_err *err)
{
    tb_prompt_row *rows = NULL;
    int64_t all = 0;
    *list = NULL;
    *count = 0;
    TB_TRY(tb_store_prompt_history_count(q->store, &all, err));
    const int64_t left = all > skip ? all - skip : 0;
    const int64_t n = limit < 0 || limit > left ? left : limit;
    if (n == 0)
        return TB_OK;
    TB_TRY(tb_store_prompt_history(q->store, n, left - n, &rows, count, err));
    *list = tb_xcalloc((size_t)*count + 1, sizeof **list);
    for (int i = 0; i < *count; i++)
        (*list)[i] = prompt_of(&rows[*count - 1 - i]);
    tb_prompt_rows_free(&rows, *count);
    return TB_OK;
}

/* Who each node with an output is; nodes of the client's graph are nobody's children. */
static json_t *meta_of(const json_t *ui)
{
    json_t *meta = json_object(), *value;
    const char *id;
    json_object_foreach((json_t *)(uintptr_t)ui, id, value)
    {
        json_object_set_new(meta, id,
                            json_pack("{sssssnss}", "node_id", id, "display_node", id,
                                      "parent_node", "real_node_id", id));
    }
    return meta;
}

static json_t *history_entry(const tb_prompt *p)
{
    const bool done = p->state == TB_PROMPT_DONE;
    json_t *number = p->numbered ? json_real(p->number) : json_integer((json_int_t)p->number);
    json_t *extra = p->extra_data ? json_incref(p->extra_data) : json_object();
    return json_pack("{s[osOoO]sOs{sssbsO}so}", "prompt", number, p->id, p->graph, extra,
                     p->outputs, "outputs", p->ui, "status", "status_str",
                     done ? "success" : "error", "completed", done, "messages", p->messages, "meta",
                     meta_of(p->ui));
}

static void add_entry(json_t *all, const tb_prompt_row *r)
{
    tb_prompt p;
    tbs_prompt_from_row(&p, r);
    json_object_set_new(all, p.id, history_entry(&p));
    tbs_prompt_clear(&p);
}

json_t *tb_queue_history(tb_queue *q, int64_t limit, int64_t offset, tb_err *err)
{
    tb_prompt_row *rows = NULL;
    int64_t all = 0;
    int count = 0;
    if (tb_store_prompt_history_count(q->store, &all, err) != TB_OK)
        return NULL;
    if (offset < 0)
        offset = limit >= 0 && all > limit ? all - limit : 0;
    if (tb_store_prompt_history(q->store, limit, offset, &rows, &count, err) != TB_OK)
        return NULL;
    json_t *o = json_object();
    for (int i = 0; i < count; i++)
        add_entry(o, &rows[i]);
    tb_prompt_rows_free(&rows, count);
    return o;
}

json_t *tb_queue_history_of(tb_queue *q, const char *id, tb_err *err)
{
    tb_prompt_row row = { 0 };
    tb_err own = TB_ERR_INIT;
    json_t *o = json_object();
    const tb_status st = tb_store_prompt_get(q->store, id, &row, &own);
    if (st != TB_OK && st != TB_ENOTFOUND) {
        json_decref(o);
        tb_err_set(err, st, "%s", own.message);
        return NULL;
    }
    if (st == TB_OK && row.ended_ms)
        add_entry(o, &row);
    tb_prompt_row_clear(&row);
    return o;
}

void tb_queue_history_remove(tb_queue *q, const char *id)
{
    tb_store_prompt_remove(q->store, id, true);
}
