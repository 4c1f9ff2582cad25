/* set.c - `--set node.input=value`. */
#include "cli/set.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "graph/graph.h"

/* The parts of "sample.steps=12". */
typedef struct assignment {
    char *node, *input;
    const char *value; /* borrowed */
} assignment;

static tb_status split(const char *text, assignment *a, tb_err *err)
{
    const char *equals = strchr(text, '=');
    const char *dot = equals ? memrchr(text, '.', (size_t)(equals - text)) : NULL;
    if (!dot || dot == text || dot + 1 == equals)
        return tb_err_set(err, TB_EUSAGE, "--set must be NODE.INPUT=VALUE, got '%s'", text);
    *a = (assignment){ tb_xstrndup(text, (size_t)(dot - text)),
                       tb_xstrndup(dot + 1, (size_t)(equals - dot - 1)), equals + 1 };
    return TB_OK;
}

static tb_status unknown_node(const json_t *graph, const char *name, tb_err *err)
{
    cli_nearest n = { .word = name };
    const char *id;
    json_t *node;
    json_object_foreach((json_t *)(uintptr_t)graph, id, node) cli_nearest_offer(&n, id);
    const char *best = cli_nearest_name(&n);
    if (best)
        return tb_err_set(err, TB_EINVAL, "--set: the graph has no node '%s', did you mean '%s'?",
                          name, best);
    return tb_err_set(err, TB_EINVAL,
                      "--set: the graph has no node '%s'; 'tubelet graph FILE --as lua' shows them",
                      name);
}

static tb_status unknown_input(const tb_type *t, const assignment *a, tb_err *err)
{
    cli_nearest n = { .word = a->input };
    for (int i = 0; i < t->input_count; i++)
        cli_nearest_offer(&n, t->def->inputs[i].name);
    const char *best = cli_nearest_name(&n);
    if (best)
        return tb_err_set(err, TB_EINVAL,
                          "--set: node '%s' (%s) has no input '%s', did you mean '%s'?", a->node,
                          t->def->name, a->input, best);
    return tb_err_set(err, TB_EINVAL,
                      "--set: node '%s' (%s) has no input '%s'; 'tubelet nodes %s' lists them",
                      a->node, t->def->name, a->input, t->def->name);
}

/* Texts stay texts; everything else is read as JSON where it is JSON, so that 5, 5.0, true and a
 * link
 * ["node", 0] keep their kinds. Validation refuses what does not fit. */
static json_t *literal_of(const char *value, const tb_input_def *d)
{
    const bool text = d && (strcmp(d->type, "STRING") == 0 || strcmp(d->type, "COMBO") == 0);
    json_t *j = json_loads(value, JSON_DECODE_ANY, NULL);
    if (j && (!text || tb_json_is_link(j)))
        return j;
    json_decref(j);
    return json_string(value);
}

static tb_status apply(cli_source *s, const assignment *a, tb_err *err)
{
    json_t *graph = json_object_get(s->document, "graph");
    json_t *node = json_object_get(graph, a->node);
    if (!node)
        return unknown_node(graph, a->node, err);
    const tb_types *types = cli_source_types(s, err);
    if (!types)
        return err->status;
    const char *class_type = json_string_value(json_object_get(node, "class_type"));
    const tb_type *t = class_type ? tb_types_find(types, class_type) : NULL;
    const int i = t ? tb_type_input(t, a->input) : -1;
    if (t && i < 0)
        return unknown_input(t, a, err);
    json_t *inputs = json_object_get(node, "inputs");
    if (!json_is_object(inputs)) {
        inputs = json_object();
        json_object_set_new(node, "inputs", inputs);
    }
    json_object_set_new(inputs, a->input, literal_of(a->value, t ? &t->def->inputs[i] : NULL));
    return TB_OK;
}

tb_status cli_set(cli_source *s, const char *text, tb_err *err)
{
    assignment a = { 0 };
    TB_TRY(split(text, &a, err));
    const tb_status st = apply(s, &a, err);
    free(a.node);
    free(a.input);
    return st;
}
