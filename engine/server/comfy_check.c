/* comfy_check.c - which outputs of a prompt can run, and why the others cannot: section 3.
 *
 * Outputs that are in order run although others are not. The engine's own check finds the errors;
 * here they get ComfyUI's words.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "graph/program.h"
#include "server/comfy_internal.h"

enum { MOST_DEPENDENTS = 256, MOST_ROUNDS = 64 }; /* bounds on the work a broken graph can make */

json_t *tbs_prompt_error(const char *type, const char *message, const char *details)
{
    return json_pack("{sssssss{}}", "type", type, "message", message, "details", details,
                     "extra_info");
}

void tbs_verdict_clear(tbs_verdict *v)
{
    json_decref(v->error);
    json_decref(v->node_errors);
    json_decref(v->outputs);
    json_decref(v->graph);
    *v = (tbs_verdict){ 0 };
}

/* ------------------------------------------------------------------------- classes and outputs */

static const char *title_of(const json_t *node, const char *otherwise)
{
    const char *title = json_string_value(json_object_get(json_object_get(node, "_meta"), "title"));
    return title ? title : otherwise;
}

/* Muted or bypassed, as in a file of ComfyUI's editor. */
static bool is_off(const json_t *node)
{
    return json_is_string(json_object_get(json_object_get(node, "_meta"), "mode"));
}

static json_t *class_error(const tb_types *types, const char *id, const json_t *node)
{
    const char *class = json_string_value(json_object_get(node, "class_type"));
    char message[400], details[300], hint[200] = "";
    if (class && (tb_types_find(types, class) || is_off(node)))
        return NULL;
    const char *near = class ? tb_types_nearest(types, class) : NULL;
    if (class)
        snprintf(message, sizeof message, "Cannot execute because node %.300s does not exist.",
                 class);
    else
        snprintf(message, sizeof message,
                 "Cannot execute because a node is missing the class_type property.");
    if (near)
        snprintf(hint, sizeof hint, "Did you mean '%.150s'?", near);
    else if (class)
        snprintf(hint, sizeof hint, "Define it in a Lua file given with --nodes.");
    snprintf(details, sizeof details, "Node ID '#%.255s'", id);
    json_t *e = tbs_prompt_error("invalid_prompt", message, details);
    json_t *info = json_object_get(e, "extra_info");
    json_object_set_new(info, "node_id", json_string(id));
    json_object_set_new(info, "class_type", class ? json_string(class) : json_null());
    json_object_set_new(info, "node_title", json_string(title_of(node, class ? class : id)));
    if (*hint)
        json_object_set_new(info, "hint", json_string(hint));
    const json_t *pack = json_object_get(json_object_get(node, "_meta"), "pack");
    if (json_is_string(pack))
        json_object_set(info, "pack", (json_t *)(uintptr_t)pack);
    return e;
}

static bool among(const json_t *ids, const char *id)
{
    size_t i;
    json_t *one;
    json_array_foreach(ids, i, one)
    {
        if (json_is_string(one) && strcmp(json_string_value(one), id) == 0)
            return true;
    }
    return false;
}

/* The first is the error, as in ComfyUI; its extra_info lists all. */
static void add_missing(tbs_verdict *v, json_t *error_take)
{
    const json_t *info = json_object_get(error_take, "extra_info");
    json_t *copy = json_copy((json_t *)(uintptr_t)info);
    if (!v->error) {
        v->error = json_incref(error_take);
        json_object_set_new(json_object_get(v->error, "extra_info"), "missing", json_array());
    }
    json_array_append_new(json_object_get(json_object_get(v->error, "extra_info"), "missing"),
                          copy);
    json_decref(error_take);
}

/* The output nodes, or NULL with v->error. */
static json_t *find_outputs(const tb_types *types, const json_t *graph, const json_t *only,
                            tbs_verdict *v)
{
    json_t *outputs = json_array(), *node;
    const char *id;
    json_object_foreach((json_t *)(uintptr_t)graph, id, node)
    {
        json_t *missing = class_error(types, id, node);
        if (missing) {
            add_missing(v, missing);
            continue;
        }
        const tb_type *t =
            tb_types_find(types, json_string_value(json_object_get(node, "class_type")));
        if (t && t->def->flags & TB_NODE_TARGET && (!only || among(only, id)))
            json_array_append_new(outputs, json_string(id));
    }
    if (!v->error && json_array_size(outputs) == 0)
        v->error = tbs_prompt_error("prompt_no_outputs", "Prompt has no outputs", "");
    if (!v->error)
        return outputs;
    json_decref(outputs);
    return NULL;
}

/* -------------------------------------------------------------------------------- node errors */

typedef struct check {
    const tb_types *types;
    json_t *graph; /* as sent */
    tbs_needs *needs;
    json_t *outputs; /* that are left */
    json_t *bad;     /* outputs that were dropped */
    const json_t *refused;
    tbs_verdict *v;
} check;

/* What is told of a node with errors. Borrowed. */
static json_t *entry_of(check *c, const char *id)
{
    json_t *entry = json_object_get(c->v->node_errors, id);
    if (!entry) {
        entry = json_pack("{s[]s[]sO}", "errors", "dependent_outputs", "class_type",
                          json_object_get(json_object_get(c->graph, id), "class_type"));
        json_object_set_new(c->v->node_errors, id, entry);
    }
    return entry;
}

/* Each node with errors is told which outputs it spoils. */
static void tell_dependents(check *c, const char *node)
{
    json_t *entry = json_object_get(c->v->node_errors, node);
    json_t *told = json_object_get(entry, "dependent_outputs");
    if (json_array_size(told))
        return; /* by an earlier error of the same node */
    json_object_set_new(entry, "dependent_outputs",
                        tbs_needs_affected(c->needs, &node, 1, c->outputs));
}

/* A cycle is an error of each of its nodes. */
static void add_cycle(check *c, const json_t *error)
{
    const json_t *ids = json_object_get(json_object_get(error, "extra_info"), "cycle_nodes");
    size_t i;
    json_t *id;
    json_array_foreach(ids, i, id)
    {
        json_t *own = json_deep_copy(error), *entry = entry_of(c, json_string_value(id));
        json_object_set(json_object_get(own, "extra_info"), "node_id", id);
        json_array_append_new(json_object_get(entry, "errors"), own);
        tell_dependents(c, json_string_value(id));
    }
}

static void add_error(check *c, const tb_err *err)
{
    json_t *error = tbs_node_error(c->types, c->graph, c->needs, err);
    if (err->reason && strcmp(err->reason, "dependency_cycle") == 0)
        add_cycle(c, error);
    else
        json_array_append(json_object_get(entry_of(c, err->node), "errors"), error);
    json_decref(error);
}

/* Outputs that need one of the nodes with errors leave. */
static void drop_outputs(check *c, const tb_err_list *errors)
{
    const char **nodes = tb_xcalloc((size_t)errors->count + 1, sizeof *nodes);
    json_t *left = json_array(), *output;
    size_t i, k = 0;
    for (int e = 0; e < errors->count; e++)
        nodes[e] = errors->items[e].node;
    for (int e = 0; e < errors->count && e < MOST_DEPENDENTS; e++)
        tell_dependents(c, nodes[e]);
    json_t *bad = tbs_needs_affected(c->needs, nodes, errors->count, c->outputs);
    json_array_foreach(c->outputs, i, output)
    {
        if (json_array_get(bad, k) == output) /* both are in the same order */
            k++;
        else
            json_array_append(left, output);
    }
    json_array_extend(c->bad, bad);
    json_decref(bad);
    json_decref(c->outputs);
    c->outputs = left;
    free(nodes);
}

/* Errors of what the outputs need; TB_OK: none. */
static tb_status check_part(check *c, json_t *part, tb_err_list *errors, tb_err *err)
{
    tb_graph *g = tb_graph_new();
    tb_status st = tb_graph_read(g, part, err);
    tb_program *program = tb_program_new(g, c->types);
    program->lenient = program->exact = true;
    if (st == TB_OK && tb_program_check(program, errors))
        st = errors->items[0].status;
    tb_program_free(&program);
    return st;
}

/* Lists in inputs that are no links: the engine would take them for literals. */
static void check_lists(const json_t *part, tb_err_list *errors)
{
    const char *id, *name;
    json_t *node, *value;
    json_object_foreach((json_t *)(uintptr_t)part, id, node)
    {
        json_object_foreach(json_object_get(node, "inputs"), name, value)
        {
            tb_err err = TB_ERR_INIT;
            if (!json_is_array(value) || tb_json_is_link(value))
                continue;
            tb_err_set(&err, TB_EINVAL, "%.60s must be a link [node, output] or a value", name);
            tb_err_reason(&err, "bad_linked_input");
            tb_err_where(&err, id, name, NULL);
            tb_err_list_add(errors, &err, NULL);
        }
    }
}

/* What nodes in Lua say themselves. */
static void add_refused(const check *c, const json_t *part, tb_err_list *errors)
{
    const char *id;
    json_t *list, *one;
    size_t i;
    json_object_foreach((json_t *)(uintptr_t)c->refused, id, list)
    {
        json_array_foreach(json_object_get(part, id) ? list : NULL, i, one)
        {
            tb_err err = TB_ERR_INIT;
            const char *reason = json_string_value(json_object_get(one, "reason"));
            tb_err_set(&err, TB_EINVAL, "%s", json_string_value(json_object_get(one, "message")));
            tb_err_reason(&err, *reason == 'c' ? "custom_validation_failed"
                                               : "exception_during_validation");
            tb_err_where(&err, id, json_string_value(json_object_get(one, "input")), NULL);
            tb_err_list_add(errors, &err, NULL);
        }
    }
}

static void failed_outputs(check *c)
{
    tb_str lines = TB_STR_INIT;
    size_t i, k;
    json_t *output, *e;
    json_array_foreach(c->bad, i, output)
    {
        const json_t *own = json_object_get(c->v->node_errors, json_string_value(output));
        json_array_foreach(json_object_get(own, "errors"), k, e)
        {
            tb_str_addf(&lines, "%s%s: %s", lines.len ? "\n" : "",
                        json_string_value(json_object_get(e, "message")),
                        json_string_value(json_object_get(e, "details")));
        }
    }
    c->v->error = tbs_prompt_error("prompt_outputs_failed_validation",
                                   "Prompt outputs failed validation", lines.s ? lines.s : "");
    tb_str_free(&lines);
}

/* One look at what is left: true when it has to be looked at again. */
static bool check_once(check *c)
{
    tb_err_list errors = { 0 };
    tb_err err = TB_ERR_INIT;
    json_t *part = tbs_needs_part(c->needs, c->outputs);
    check_lists(part, &errors);
    tb_status st = errors.count ? TB_EINVAL : check_part(c, part, &errors, &err);
    add_refused(c, part, &errors);
    st = st == TB_OK && errors.count ? TB_EINVAL : st;
    if (st == TB_OK)
        c->v->graph = json_incref(part);
    else if (!errors.count)
        c->v->error = tbs_prompt_error("invalid_prompt", err.message, "");
    for (int i = 0; i < errors.count; i++)
        add_error(c, &errors.items[i]);
    const bool dropped = errors.count > 0;
    if (dropped)
        drop_outputs(c, &errors);
    json_decref(part);
    tb_err_list_free(&errors);
    return dropped && json_array_size(c->outputs);
}

void tbs_check_prompt(const tb_types *types, json_t *graph, const json_t *only,
                      const json_t *refused, tbs_verdict *v)
{
    *v = (tbs_verdict){ .node_errors = json_object() };
    json_t *outputs = find_outputs(types, graph, only, v);
    if (!outputs)
        return;
    check c = { .types = types,
                .graph = graph,
                .needs = tbs_needs_new(graph),
                .outputs = outputs,
                .bad = json_array(),
                .refused = refused,
                .v = v };
    /* a second look finds cycles, one at a time; nobody needs to be told of hundreds */
    for (int round = 0; check_once(&c); round++)
        if (round == MOST_ROUNDS) {
            json_array_extend(c.bad, c.outputs);
            json_array_clear(c.outputs);
            break;
        }
    if (!v->error && json_array_size(c.outputs) == 0)
        failed_outputs(&c);
    v->outputs = c.outputs;
    json_decref(c.bad);
    tbs_needs_free(&c.needs);
}
