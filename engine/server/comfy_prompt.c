/* comfy_prompt.c - POST /prompt: from a client's graph to a place in the queue. 2.1, 2.2. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "graph/workflow.h"
#include "server/comfy_internal.h"
#include "server/comfy_routes.h"

static void refuse_take(tb_request *q, json_t *error, json_t *node_errors)
{
    tb_reply_json_take(q, 400,
                       json_pack("{soso}", "error", error, "node_errors",
                                 node_errors ? node_errors : json_object()));
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

static void enqueue(tb_server *s, tb_request *q, const json_t *body, json_t *graph, tbs_verdict *v)
{
    char *client_id = text_of(json_object_get(body, "client_id"));
    json_t *extra = extra_data_of(body, client_id), *document = document_of(v);
    tb_err err = TB_ERR_INIT;
    tb_prompt_request r = {
        .graph = graph,
        .document = document,
        .extra_data = extra,
        .outputs = v->outputs,
        .id = json_string_value(json_object_get(body, "prompt_id")),
        .client_id = client_id,
        .front = json_is_true(json_object_get(body, "front")),
    };
    r.numbered = number_of(body, &r.number);
    const tb_prompt *p = tb_queue_add(s->queue, &r, &err);
    if (p)
        tb_reply_json_take(
            q, 200,
            json_pack("{sssosO}", "prompt_id", p->id, "number",
                      p->numbered ? json_real(p->number) : json_integer((json_int_t)p->number),
                      "node_errors", v->node_errors));
    else if (err.status == TB_EINVAL)
        refuse_take(q, tbs_prompt_error("invalid_prompt_id", err.message, ""), NULL);
    else
        tb_reply_error(q, &err);
    json_decref(extra);
    json_decref(document);
    free(client_id);
}

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

static void take_graph(tb_server *s, tb_request *q, const tb_types *types, const json_t *body,
                       json_t *graph, const json_t *refused)
{
    tbs_verdict v = { 0 };
    const json_t *only = json_object_get(body, "partial_execution_targets");
    if (!id_is_sound(body)) {
        refuse_take(q,
                    tbs_prompt_error("invalid_prompt_id", "prompt_id must be a valid UUID",
                                     "prompt_id must be a text of 1 to 255 bytes"),
                    NULL);
        return;
    }
    tbs_check_prompt(types, graph, json_is_array(only) ? only : NULL, refused, &v);
    if (v.error)
        refuse_take(q, json_incref(v.error), json_incref(v.node_errors));
    else
        enqueue(s, q, body, graph, &v);
    tbs_verdict_clear(&v);
}

/* A prompt whose nodes are asked what they say to it. */
typedef struct asked_prompt {
    tb_server *server;
    const tb_types *types;
    json_t *body, *graph, *refused;
    tb_err err;
} asked_prompt;

static void ask_nodes(void *arg)
{
    asked_prompt *a = arg;
    a->refused = tbs_validate(a->server, a->types, a->graph, &a->err);
}

static void take_asked(tb_request *q, void *arg)
{
    asked_prompt *a = arg;
    if (a->refused)
        take_graph(a->server, q, a->types, a->body, a->graph, a->refused);
    else
        tb_reply_error(q, &a->err);
    json_decref(a->body);
    json_decref(a->graph);
    json_decref(a->refused);
    free(a);
}

static void ask_first(tb_server *s, tb_request *q, const tb_types *types, json_t *body,
                      json_t *graph)
{
    asked_prompt *a = tb_xcalloc(1, sizeof *a);
    *a = (asked_prompt){
        .server = s, .types = types, .body = json_incref(body), .graph = json_incref(graph)
    };
    tb_web_work(q, ask_nodes, take_asked, a);
}

static void take_prompt(tb_server *s, tb_request *q, json_t *body, json_t *prompt)
{
    tb_err err = TB_ERR_INIT;
    const tb_types *types = tbs_types(s, &err);
    if (!types) {
        tb_reply_error(q, &err);
        return;
    }
    json_t *graph = graph_of(types, body, prompt, &err);
    if (graph && tbs_wants_validation(types, graph))
        ask_first(s, q, types, body, graph);
    else if (graph)
        take_graph(s, q, types, body, graph, NULL);
    else
        refuse_take(q, tbs_prompt_error("invalid_prompt", err.message, ""), NULL);
    json_decref(graph);
}

void tbs_post_prompt(void *ctx, tb_request *q)
{
    size_t n = 0;
    tb_err err = TB_ERR_INIT;
    const char *text = tb_request_body(q, &n);
    json_t *body = n ? tbs_parse_unsigned(text, n, &err) : json_object();
    if (!body) {
        refuse_take(q, tbs_prompt_error("invalid_prompt", err.message, ""), NULL);
        return;
    }
    json_t *graph = json_object_get(body, "prompt");
    if (!graph)
        refuse_take(q, tbs_prompt_error("no_prompt", "No prompt provided", "No prompt provided"),
                    NULL);
    else if (!json_is_object(graph))
        refuse_take(
            q,
            tbs_prompt_error("invalid_prompt", "The prompt must be an object of nodes by id", ""),
            NULL);
    else
        take_prompt(ctx, q, body, graph);
    json_decref(body);
}

void tbs_get_prompt(void *ctx, tb_request *q)
{
    const tb_server *s = ctx;
    tb_reply_json_take(
        q, 200, json_pack("{s{si}}", "exec_info", "queue_remaining", tb_queue_remaining(s->queue)));
}
