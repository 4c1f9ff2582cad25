/* workflow_values.c - widget values, which the file keeps by place, under the names of inputs.
 *
 * Behind some values stands one more: what to do with a seed after each run, or the button of an
 * upload. Neither is an input.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "graph/program.h"
#include "graph/workflow_internal.h"

static bool is_control(const json_t *v)
{
    static const char *const words[] = { "fixed", "increment", "decrement", "randomize",
                                         "increment-wrap" };
    const char *s = json_string_value(v);
    for (size_t i = 0; s && i < sizeof words / sizeof *words; i++)
        if (strcmp(s, words[i]) == 0)
            return true;
    return false;
}

/* A literal list would be read as a link. */
void tbi_set_literal(json_t *inputs, const char *name, const json_t *value)
{
    json_t *v = (json_t *)(uintptr_t)value;
    if (json_is_array(v))
        json_object_set_new(inputs, name, json_pack("{sO}", "__value__", v));
    else if (v && !json_is_null(v))
        json_object_set(inputs, name, v);
}

static void by_name(const tb_type *type, const json_t *values, json_t *inputs)
{
    const char *name;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)values, name, v)
    {
        const int at = tb_type_input(type, name);
        if (at >= 0 && tb_input_is_scalar(&type->def->inputs[at]))
            tbi_set_literal(inputs, name, v);
    }
}

/* How many of the values are left over. */
static size_t by_place(const tb_type *type, const json_t *values, json_t *inputs)
{
    const size_t n = json_array_size(values);
    size_t at = 0, widgets = 0;
    for (int i = 0; i < type->input_count; i++)
        widgets += tb_input_is_scalar(&type->def->inputs[i]);
    for (int i = 0; i < type->input_count && at < n; i++) {
        const tb_input_def *in = &type->def->inputs[i];
        if (!tb_input_is_scalar(in))
            continue;
        tbi_set_literal(inputs, in->name, json_array_get(values, at++));
        widgets--;
        const bool spare = n - at > widgets;
        const json_t *next = json_array_get(values, at);
        if (is_control(next) ? tb_input_is_seed(in) || spare : spare && in->flags & TB_IN_UPLOAD)
            at++;
    }
    return n - at;
}

/* Without a type only the names of inputs that were widgets are known. */
static void by_declared(const json_t *node, const json_t *values, json_t *inputs)
{
    size_t i, at = 0;
    json_t *in;
    json_array_foreach(json_object_get(node, "inputs"), i, in)
    {
        const char *name =
            json_string_value(json_object_get(json_object_get(in, "widget"), "name"));
        if (!name)
            continue;
        tbi_set_literal(inputs, name, json_array_get(values, at++));
        if (is_control(json_array_get(values, at)))
            at++;
    }
}

/* ----------------------------------------------------------------------------------- subgraphs */

/* properties.proxyWidgets of a use of a subgraph: [[inner node, widget], ...], in the order of its
 * own values. */
static const json_t *proxies_of(const tbi_scope *s)
{
    return json_object_get(json_object_get(s->instance, "properties"), "proxyWidgets");
}

static const json_t *proxied_value(const tbi_scope *s, const char *node, const char *widget);

/* The i-th own value of a use; the drawing around may hold another in its stead. */
static const json_t *own_value(const tbi_scope *s, size_t i, const char *widget)
{
    char id[TBI_ID];
    const json_t *v = NULL;
    if (s->parent && s->parent->instance)
        v = proxied_value(s->parent, tbi_id(json_object_get(s->instance, "id"), id), widget);
    if (!v)
        v = json_array_get(json_object_get(s->instance, "widgets_values"), i);
    return v && !json_is_null(v) ? v : NULL;
}

static const json_t *proxied_value(const tbi_scope *s, const char *node, const char *widget)
{
    const json_t *list = proxies_of(s);
    size_t i;
    json_t *pair;
    json_array_foreach(list, i, pair)
    {
        char id[TBI_ID];
        const char *name = json_string_value(json_array_get(pair, 1));
        if (name && strcmp(name, widget) == 0 &&
            strcmp(tbi_id(json_array_get(pair, 0), id), node) == 0)
            return own_value(s, i, widget);
    }
    return NULL;
}

const json_t *tbi_instance_value(const tbi_scope *s, const char *input)
{
    size_t i, at = 0;
    json_t *in;
    if (proxies_of(s))
        return proxied_value(s, "-1", input);
    json_array_foreach(json_object_get(s->instance, "inputs"), i, in)
    {
        const char *name = json_string_value(json_object_get(in, "name"));
        if (!json_is_object(json_object_get(in, "widget")))
            continue;
        if (name && strcmp(name, input) == 0)
            return own_value(s, at, input);
        at++;
    }
    return NULL;
}

/* ------------------------------------------------------------------------------------- the node */

static void proxied(const tb_type *type, const tbi_scope *s, const json_t *node, json_t *inputs)
{
    char id[TBI_ID];
    tbi_id(json_object_get(node, "id"), id);
    for (int i = 0; s->instance && i < type->input_count; i++)
        if (tb_input_is_scalar(&type->def->inputs[i]))
            tbi_set_literal(inputs, type->def->inputs[i].name,
                            proxied_value(s, id, type->def->inputs[i].name));
}

void tbi_widget_values(const tb_type *type, const tbi_scope *s, const json_t *node, json_t *inputs,
                       json_t *warnings)
{
    const json_t *values = json_object_get(node, "widgets_values");
    size_t spare = 0;
    if (!type)
        by_declared(node, values, inputs);
    else if (json_is_object(values))
        by_name(type, values, inputs);
    else
        spare = by_place(type, values, inputs);
    if (type)
        proxied(type, s, node, inputs);
    if (!spare || !warnings)
        return;
    char name[400];
    char *text =
        tb_xasprintf("%s: %zu of its values are of widgets that tubelet's node does not have",
                     tbi_node_name(s, node, name, sizeof name), spare);
    json_array_append_new(warnings, json_string(text));
    free(text);
}
