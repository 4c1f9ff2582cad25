/* rest.c - nodes that take inputs their type does not declare. */
#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "graph/program.h"

enum { MAX_INPUTS = 64 };

struct tb_variant {
    tb_type type;
    tb_node_def def;
    tb_variant *next;
    tb_input_def inputs[]; /* names belong to the graph */
};

static bool is_rest(const tb_program *p, const tb_type *t, const tb_link *l)
{
    return (l->src || !p->lenient) && tb_type_input(t, l->name) < 0;
}

static tb_input_def rest_input(const tb_type *t, const char *name)
{
    return (tb_input_def){ .name = name,
                           .type = t->rest,
                           .flags = TB_IN_OPTIONAL,
                           .i_min = INT64_MIN,
                           .i_max = INT64_MAX,
                           .f_min = -DBL_MAX,
                           .f_max = DBL_MAX };
}

const tb_type *tb_program_variant(tb_program *p, const tb_type *t, const tb_graph_node *g)
{
    int more = 0;
    for (int k = 0; t->rest && k < g->input_count; k++)
        more += is_rest(p, t, &g->inputs[k]);
    if (!more || t->input_count + more > MAX_INPUTS)
        return t;
    const size_t count = (size_t)(t->input_count + more);
    tb_variant *v = tb_xcalloc(1, sizeof *v + (count + 1) * sizeof *v->inputs);
    if (t->input_count)
        memcpy(v->inputs, t->def->inputs, (size_t)t->input_count * sizeof *v->inputs);
    v->type = *t;
    v->def = *t->def;
    v->def.inputs = v->inputs;
    v->type.def = &v->def;
    for (int k = 0; k < g->input_count; k++)
        if (is_rest(p, t, &g->inputs[k]))
            v->inputs[v->type.input_count++] = rest_input(t, g->inputs[k].name);
    for (size_t k = 0; k < count; k++)
        v->inputs[k].offset = 8 * k; /* as in all types that a script defines */
    v->def.params_size = 8 * count;
    v->next = p->variants;
    p->variants = v;
    return &v->type;
}

void tb_variants_free(tb_variant **first)
{
    for (tb_variant *v = *first, *next; v; v = next) {
        next = v->next;
        free(v);
    }
    *first = NULL;
}
