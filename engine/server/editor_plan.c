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

/* Errors of the graph are an answer, too: an editor asks while it is being drawn. */
static json_t *plan_json(const tb_server *s, const tb_run *r, const tb_err_list *errors)
{
    tb_plan_summary summary;
    if (!r)
        return json_pack("{sn s[] s{} so}", "summary", "nodes", "expanded", "errors",
                         tbs_errors_json(errors));
    tb_run_summary(r, &summary);
    return json_pack("{so so so s[]}", "summary", tbs_summary_json(s, &summary), "nodes",
                     tb_run_plan(r), "expanded", tb_run_expanded(r), "errors");
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
