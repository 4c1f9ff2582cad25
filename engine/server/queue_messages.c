/* queue_messages.c - what a client is told of a prompt, and its history keeps: comfyui-api.md 4. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "server/queue_internal.h"

const char *tb_prompt_display_node(const tb_prompt *p, const char *node)
{
    char id[512];
    const size_t n = node ? strlen(node) : 0;
    if (n == 0 || n >= sizeof id)
        return node;
    memcpy(id, node, n + 1);
    for (char *end = id + n; end; end = strrchr(id, '/')) {
        *end = 0;
        void *at = json_object_iter_at(p->graph, id);
        if (at)
            return json_object_iter_key(at);
    }
    return node;
}

static void add(tb_prompt *p, const char *event, json_t *data)
{
    json_object_set_new(data, "prompt_id", json_string(p->id));
    json_object_set_new(data, "timestamp", json_integer(tb_clock_wall_ms()));
    json_array_append_new(p->messages, json_pack("[so]", event, data));
}

void tbs_message_start(tb_prompt *p)
{
    add(p, "execution_start", json_object());
}

void tbs_message_cached(tb_prompt *p)
{
    add(p, "execution_cached", json_pack("{sO}", "nodes", p->cached));
}

/* -------------------------------------------------------------------------------------- failure */

static const char *exception_of(const tb_err *err)
{
    if (err->reason && strcmp(err->reason, "dependency_cycle") == 0)
        return "graph.DependencyCycleError";
    switch (err->status) {
    case TB_EINVAL: return "ValueError";
    case TB_ENOTFOUND: return "FileNotFoundError";
    case TB_ENOMEM:
    case TB_ELIMIT: return "MemoryError";
    case TB_EIO:
    case TB_EFULL:
    case TB_EFORMAT: return "OSError";
    case TB_OK:
    case TB_EUSAGE:
    case TB_ESCRIPT:
    case TB_ESTORE:
    case TB_ECANCELED:
    case TB_EINTERNAL: break;
    }
    return "RuntimeError";
}

/* The literals of a node of the graph, each as a list of one: numbers and texts as they are. */
static json_t *literals_of(const json_t *node)
{
    json_t *texts = json_object(), *value;
    const char *name;
    json_object_foreach(json_object_get(node, "inputs"), name, value)
    {
        if (tb_json_is_link(value))
            continue;
        const bool plain = !json_is_object(value) && !json_is_array(value);
        char *text = plain || tb_json_long_int(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY);
        json_object_set_new(texts, name, text ? json_pack("[s]", text) : json_pack("[O]", value));
        free(text);
    }
    return texts;
}

/* Where in a script it happened, and the whole sentence. */
static json_t *traceback(const tb_err *err, const char *type)
{
    char text[1400];
    return json_pack("[s]", tb_err_text(err, type, text, sizeof text));
}

/* Node, its type, and what had run: common to errors and interruptions. */
static json_t *where(const tb_prompt *p, const char *node)
{
    const char *shown = node && *node ? tb_prompt_display_node(p, node) : NULL;
    const json_t *type =
        json_object_get(json_object_get(p->graph, shown ? shown : ""), "class_type");
    json_t *o = json_object(), *ran = json_array(), *id;
    size_t i;
    json_array_foreach(p->executed, i, id)
    {
        if (!shown ||
            strcmp(json_string_value(id), shown) != 0) /* that one has not come to its end */
            json_array_append(ran, id);
    }
    json_object_set_new(o, "node_id", shown ? json_string(shown) : json_null());
    json_object_set_new(o, "node_type", type ? json_string(json_string_value(type)) : json_null());
    json_object_set_new(o, "executed", ran);
    return o;
}

static json_t *error_data(const tb_prompt *p)
{
    json_t *o = where(p, p->err.node);
    const char *shown = json_string_value(json_object_get(o, "node_id"));
    const char *type = json_string_value(json_object_get(o, "node_type"));
    char *message = tb_xasprintf("%s\n", p->err.message);
    json_object_set_new(o, "exception_message", json_string(message));
    json_object_set_new(o, "exception_type", json_string(exception_of(&p->err)));
    json_object_set_new(o, "traceback", traceback(&p->err, type));
    json_object_set_new(o, "current_inputs",
                        literals_of(json_object_get(p->graph, shown ? shown : "")));
    json_object_set(o, "current_outputs", p->cached);
    free(message);
    return o;
}

void tbs_message_end(const tbs_entry *e, tb_prompt *p)
{
    if (p->state == TB_PROMPT_DONE)
        add(p, "execution_success", json_object());
    else if (p->state == TB_PROMPT_CANCELED)
        add(p, "execution_interrupted", where(p, e->current));
    else
        add(p, "execution_error", error_data(p));
}
