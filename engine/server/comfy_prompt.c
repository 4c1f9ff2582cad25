/* comfy_prompt.c - POST /prompt: from a client's graph to a place in the queue. 2.1, 2.2. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "graph/program.h"
#include "graph/workflow.h"
#include "server/comfy_internal.h"
#include "server/comfy_routes.h"

/* A prompt on its way into the queue: looked at on a worker, added on the loop. */
typedef struct post {
    tb_server *server;
    tb_request *request; /* the loop's */
    const char *text;    /* its body, borrowed */
    size_t bytes;
    json_t *body, *graph, *extra, *document;
    char *client_id;
    tbs_verdict verdict;
    json_t *refusal; /* for a 400; NULL: none */
    tb_err err;      /* of ours */
} post;

static void refuse(post *t, const char *type, const char *message, const char *details)
{
    t->refusal = tbs_prompt_error(type, message, details);
}

/* As sent, without what must not be told on, with the client's id. New reference. */
static json_t *extra_data_of(const json_t *body, const char *client_id)
{
    const json_t *sent = json_object_get(body, "extra_data");
    json_t *extra = json_is_object(sent) ? json_copy((json_t *)(uintptr_t)sent) : json_object();
    json_object_del(extra, "auth_token_comfy_org");
    json_object_del(extra, "api_key_comfy_org");
    if (client_id)
        json_object_set_new(extra, "client_id", json_string(client_id));
    json_object_set_new(extra, "create_time", json_integer(tb_clock_wall_ms()));
    return extra;
}

static bool number_of(const json_t *body, double *number)
{
    const json_t *v = json_object_get(body, "number");
    char *end = NULL;
    if (json_is_number(v)) {
        *number = json_number_value(v);
        return true;
    }
    if (!json_is_string(v) || !*json_string_value(v))
        return false;
    *number = strtod(json_string_value(v), &end);
    return *end == 0;
}

/* Client ids may be numbers in JSON. */
static char *text_of(const json_t *v)
{
    return json_is_string(v)   ? tb_xstrdup(json_string_value(v))
           : json_is_number(v) ? json_dumps(v, JSON_ENCODE_ANY)
                               : NULL;
}

/* What the engine runs. */
static json_t *document_of(const tbs_verdict *v)
{
    return json_pack("{sOsOsb}", "graph", v->graph, "targets", v->outputs, "lenient", 1);
}

/* ----------------------------------------------------------------------------------- the worker */

/* A prompt_id has to be a short text; null counts as none. */
static bool id_is_sound(const json_t *body)
{
    const json_t *id = json_object_get(body, "prompt_id");
    const size_t n = json_string_length(id);
    return !id || json_is_null(id) || (n > 0 && n < 256 && strlen(json_string_value(id)) == n);
}

/* The graph of a prompt: as it is, or made from the file that ComfyUI's editor saves, which is then
 * kept as the workflow of the prompt. New reference; NULL on error. */
static json_t *graph_of(const tb_types *types, json_t *body, json_t *prompt, tb_err *err)
{
    if (!tb_is_workflow(prompt))
        return json_incref(prompt);
    json_t *document = tb_workflow_to_document(types, prompt, NULL, err);
    json_t *graph = json_incref(json_object_get(document, "graph"));
    json_decref(document);
    if (graph && !json_object_get(body, "extra_data"))
        json_object_set_new(body, "extra_data",
                            json_pack("{s{sO}}", "extra_pnginfo", "workflow", prompt));
    return graph;
}

static bool has_type(const json_t *v, const char *type)
{
    return strcmp(type, "INT") == 0       ? json_is_integer(v) || tb_json_long_int(v)
           : strcmp(type, "FLOAT") == 0   ? json_is_real(v)
           : strcmp(type, "STRING") == 0  ? json_is_string(v)
           : strcmp(type, "BOOLEAN") == 0 ? json_is_boolean(v)
                                          : true;
}

/* Literals become what the class declares, here as in the queue and the history. */
static void settle_literals(const tb_type *type, json_t *inputs)
{
    for (int i = 0; i < type->input_count; i++) {
        const tb_input_def *in = &type->def->inputs[i];
        const json_t *v = json_object_get(inputs, in->name);
        if (!v || json_is_array(v) || json_is_object(v) || has_type(v, in->type))
            continue;
        tb_value *given = tb_value_from_json(v, NULL, NULL, NULL);
        tb_value *settled = given ? tb_input_convert(in, given, true, NULL) : NULL;
        if (settled && tb_value_kind(settled) != TB_NONE)
            json_object_set_new(inputs, in->name, tb_value_to_json(settled, NULL, NULL, NULL));
        tb_value_unref(&settled);
        tb_value_unref(&given);
    }
}

static void settle(const tb_types *types, const json_t *graph)
{
    const char *id;
    json_t *node;
    json_object_foreach((json_t *)(uintptr_t)graph, id, node)
    {
        const char *class = json_string_value(json_object_get(node, "class_type"));
        const tb_type *type = class ? tb_types_find(types, class) : NULL;
        if (type)
            settle_literals(type, json_object_get(node, "inputs"));
    }
}

static void check(post *t, const tb_types *types)
{
    const json_t *only = json_object_get(t->body, "partial_execution_targets");
    if (!id_is_sound(t->body)) {
        refuse(t, "invalid_prompt_id", "prompt_id must be a valid UUID",
               "prompt_id must be a text of 1 to 255 bytes");
        return;
    }
    json_t *refused = tbs_wants_validation(types, t->graph)
                          ? tbs_validate(t->server, types, t->graph, &t->err)
                          : NULL;
    if (t->err.status == TB_OK)
        tbs_check_prompt(types, t->graph, json_is_array(only) ? only : NULL, refused, &t->verdict);
    json_decref(refused);
    t->refusal = json_incref(t->verdict.error);
    if (t->refusal || t->err.status != TB_OK)
        return;
    settle(types, t->verdict.graph);
    t->client_id = text_of(json_object_get(t->body, "client_id"));
    t->extra = extra_data_of(t->body, t->client_id);
    t->document = document_of(&t->verdict);
}

static void look(void *arg)
{
    post *t = arg;
    tb_err err = TB_ERR_INIT;
    t->body = t->bytes ? tb_json_parse(t->text, t->bytes, "the body", &err) : json_object();
    json_t *prompt = json_object_get(t->body, "prompt");
    const tb_types *types;
    if (!t->body)
        refuse(t, "invalid_prompt", err.message, "");
    else if (!prompt)
        refuse(t, "no_prompt", "No prompt provided", "No prompt provided");
    else if (!json_is_object(prompt))
        refuse(t, "invalid_prompt", "The prompt must be an object of nodes by id", "");
    else if ((types = tbs_types(t->server, &t->err)) != NULL) {
        t->graph = graph_of(types, t->body, prompt, &err);
        if (t->graph)
            check(t, types);
        else
            refuse(t, "invalid_prompt", err.message, "");
    }
}

/* ------------------------------------------------------------------------------------ the loop */

static void clear(post *t)
{
    json_decref(t->body);
    json_decref(t->graph);
    json_decref(t->extra);
    json_decref(t->document);
    json_decref(t->refusal);
    tbs_verdict_clear(&t->verdict);
    free(t->client_id);
    free(t);
}

static void reply_refusal(const post *t)
{
    const json_t *nodes = t->verdict.node_errors;
    tb_reply_json_take(t->request, 400,
                       json_pack("{sOso}", "error", t->refusal, "node_errors",
                                 nodes ? json_incref((json_t *)(uintptr_t)nodes) : json_object()));
}

static void added(void *ctx, tb_prompt *p, const tb_err *err)
{
    post *t = ctx;
    if (p)
        tb_reply_json_take(
            t->request, 200,
            json_pack("{sssosO}", "prompt_id", p->id, "number",
                      p->numbered ? json_real(p->number) : json_integer((json_int_t)p->number),
                      "node_errors", t->verdict.node_errors));
    else
        tb_reply_error(t->request, err);
    clear(t);
}

static tb_status enqueue(post *t)
{
    tb_prompt_request r = {
        .graph = t->graph,
        .document = t->document,
        .extra_data = t->extra,
        .outputs = t->verdict.outputs,
        .id = json_string_value(json_object_get(t->body, "prompt_id")),
        .client_id = t->client_id,
        .no_cache = t->server->o.no_cache,
        .front = tbs_is_truthy(json_object_get(t->body, "front")),
    };
    r.numbered = number_of(t->body, &r.number);
    return tb_queue_add(t->server->queue, &r, added, t, &t->err);
}

static void looked_at(tb_request *q, void *arg)
{
    post *t = arg;
    if (!t->refusal && t->err.status == TB_OK) {
        if (enqueue(t) == TB_OK)
            return;
        tb_reply_json_take(q, 409, json_pack("{ss}", "error", "prompt_id already exists"));
        clear(t);
        return;
    }
    if (t->refusal)
        reply_refusal(t);
    else
        tb_reply_error(q, &t->err);
    clear(t);
}

void tbs_post_prompt(void *ctx, tb_request *q)
{
    post *t = tb_xcalloc(1, sizeof *t);
    *t = (post){ .server = ctx, .request = q };
    t->text = tb_request_body(q, &t->bytes);
    tb_web_work(q, look, looked_at, t);
}

void tbs_get_prompt(void *ctx, tb_request *q)
{
    const tb_server *s = ctx;
    tb_reply_json_take(
        q, 200, json_pack("{s{si}}", "exec_info", "queue_remaining", tb_queue_remaining(s->queue)));
}
