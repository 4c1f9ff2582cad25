/* expand.c - composites and nodes that answer with a subgraph. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "graph/program.h"

tb_arg tb_program_resolve(const tb_program *p, int src, int slot)
{
    tb_arg a = { .src = src, .slot = slot };
    while (a.src >= 0 && p->nodes[a.src].alias)
        a = p->nodes[a.src].alias[a.slot];
    return a;
}

/* Is the node one that will be replaced by others? */
static bool is_folded(const tb_pnode *n)
{
    return n->type->kind == TB_COMPOSITE && !n->alias && !n->muted;
}

bool tb_program_expandable(const tb_program *p, int i)
{
    const tb_pnode *n = &p->nodes[i];
    for (int k = 0; k < n->type->input_count; k++) {
        const unsigned flags = n->type->def->inputs[k].flags;
        if (!(flags & (TB_IN_LITERAL | TB_IN_RESOLVED)) || n->args[k].src < 0)
            continue;
        const int src = tb_program_resolve(p, n->args[k].src, n->args[k].slot).src;
        if (src >= 0 && (flags & TB_IN_LITERAL || is_folded(&p->nodes[src])))
            return false;
    }
    return true;
}

json_t *tb_program_inputs(const tb_program *p, int i, const tb_value *const *values)
{
    const tb_pnode *n = &p->nodes[i];
    json_t *o = json_object();
    for (int k = 0; k < n->type->input_count; k++) {
        const char *name = n->type->def->inputs[k].name;
        const tb_value *v = values && values[k] ? values[k] : n->args[k].literal;
        if (!v && n->args[k].src >= 0) {
            const tb_arg a = tb_program_resolve(p, n->args[k].src, n->args[k].slot);
            if (a.src >= 0)
                json_object_set_new(o, name, json_pack("[si]", tb_program_id(p, a.src), a.slot));
            v = a.literal;
        }
        json_t *j = v ? tb_value_to_json(v, NULL, NULL, NULL) : NULL;
        if (j)
            json_object_set_new(o, name, j);
    }
    return o;
}

static tb_status bad_answer(const tb_program *p, int i, tb_err *err)
{
    return tb_err_set(
        err, TB_ESCRIPT,
        "the expansion of '%s' must give one link or value for each of its %d outputs",
        tb_program_id(p, i), p->nodes[i].type->output_count);
}

static tb_status read_output(const tb_program *p, int i, const json_t *v, tb_arg *out, tb_err *err)
{
    *out = (tb_arg){ .src = -1 };
    if (!v || json_is_null(v))
        return bad_answer(p, i, err);
    if (!tb_json_is_link(v)) {
        out->literal = tb_value_from_json(v, NULL, NULL, err);
        return out->literal ? TB_OK : TB_ESCRIPT;
    }
    const char *id = json_string_value(json_array_get(v, 0));
    out->src = tb_graph_find(p->graph, id);
    out->slot = (int)json_integer_value(json_array_get(v, 1));
    if (out->src < 0 || out->src == i)
        return tb_err_set(err, TB_ESCRIPT,
                          "the expansion of '%s' answers with node '%s', which is not there",
                          tb_program_id(p, i), id);
    const tb_type *t = tb_types_find(p->types, tb_graph_at(p->graph, out->src)->type);
    return t && out->slot >= 0 && out->slot < t->output_count ? TB_OK : bad_answer(p, i, err);
}

tb_status tb_program_splice(tb_program *p, int i, const json_t *answer, tb_err *err)
{
    const json_t *outputs = json_object_get(answer, "outputs");
    const int want = p->nodes[i].type->output_count;
    if ((int)json_array_size(outputs) != want)
        return bad_answer(p, i, err);
    const int before = tb_graph_count(p->graph);
    TB_TRY(tb_graph_read(p->graph, json_object_get(answer, "graph"), err));
    for (int k = before; k < tb_graph_count(p->graph); k++) /* the user's line, not a library's */
        tb_graph_default_origin(p->graph, k, tb_program_origin(p, i));
    tb_arg *alias = tb_xcalloc((size_t)want + 1, sizeof *alias);
    for (int k = 0; k < want; k++) {
        const tb_status st = read_output(p, i, json_array_get(outputs, (size_t)k), &alias[k], err);
        if (st != TB_OK) {
            for (int j = 0; j <= k; j++)
                tb_value_unref(&alias[j].literal);
            free(alias);
            return st;
        }
    }
    p->nodes[i].alias = alias;
    p->nodes[i].deferred = false;
    return TB_OK;
}
