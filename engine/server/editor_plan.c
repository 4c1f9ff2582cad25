/* editor_plan.c - what is wrong with a document, and what a run of it would do. */
#include "server/editor_internal.h"

static void check(tbs_task *t)
{
    tbs_world w;
    tb_err_list errors = { 0 };
    const json_t *document = tbs_document_of(t->in, &t->err);
    if (document && tbs_world_open(&w, t, document, &t->err) == TB_OK) {
        tbs_document_check(document, w.types, &errors);
        t->answer = json_pack("{so}", "errors", tbs_errors_json(&errors));
    }
    if (document)
        tbs_world_close(&w);
    tb_err_list_free(&errors);
}

void tbs_post_check(void *ctx, tb_request *q)
{
    tbs_task_run(q, tbs_task_new(sizeof(tbs_task), ctx, q, true, check));
}

enum { MAX_LOOKED_UP = 5000 };

/* Results that are in the store, also those the plan does not come to, as what they feed is there
 * as well: an editor shows them. Cached ones that are not here are in memory only. Nobody waits for
 * more than these. */
static json_t *stored_results(const tb_server *s, const tb_run *r, const json_t *expanded)
{
    json_t *stored = json_array(), *node;
    tb_store *store = tb_engine_store(s->engine);
    const char *id;
    json_object_foreach((json_t *)(uintptr_t)expanded, id, node)
    {
        tb_key key;
        char hex[TB_KEY_HEX];
        if (!store || json_object_size(expanded) > MAX_LOOKED_UP || !tb_run_key(r, id, &key) ||
            !tb_store_has(store, &key, NULL))
            continue;
        json_array_append_new(stored, json_pack("{ss sO ss}", "node", id, "type",
                                                json_object_get(node, "class_type"), "key",
                                                tb_key_hex(&key, hex)));
    }
    return stored;
}

/* Errors of the graph are an answer, too: an editor asks while it is being drawn. */
static json_t *plan_json(const tb_server *s, const tb_run *r, const tb_err_list *errors)
{
    tb_plan_summary summary;
    if (!r)
        return json_pack("{sn s[] s[] s{} so}", "summary", "nodes", "stored", "expanded", "errors",
                         tbs_errors_json(errors));
    tb_run_summary(r, &summary);
    json_t *rows = tb_run_plan(r), *expanded = tb_run_expanded(r);
    json_t *stored = stored_results(s, r, expanded);
    return json_pack("{so so so so s[]}", "summary", tbs_summary_json(s, &summary), "nodes", rows,
                     "stored", stored, "expanded", expanded, "errors");
}

static void plan(tbs_task *t)
{
    tbs_world w;
    tb_err_list errors = { 0 };
    tb_err err = TB_ERR_INIT;
    const json_t *document = tbs_document_of(t->in, &t->err);
    const json_t *until = tbs_field(t->in, "until", JSON_STRING, &t->err);
    const json_t *no_cache = tbs_field(t->in, "no_cache", JSON_TRUE, &t->err);
    if (t->err.status != TB_OK)
        return;
    if (tbs_world_open(&w, t, document, &t->err) == TB_OK) {
        tb_run *r = tbs_document_plan(t->server, &w, document, json_string_value(until),
                                      json_is_true(no_cache), &errors, &err);
        t->answer = plan_json(t->server, r, &errors);
        tb_run_drop(&r);
    }
    tbs_world_close(&w);
    tb_err_list_free(&errors);
}

void tbs_post_plan(void *ctx, tb_request *q)
{
    tbs_task_run(q, tbs_task_new(sizeof(tbs_task), ctx, q, true, plan));
}
