/* unneeded.c - nodes that lie about in a drawing: what no target needs may be unfinished. */
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "graph/program.h"

/* Marks the targets and all they are linked to, in the graph as it was written. */
static unsigned char *find_needed(const tb_program *p, const int *targets, int count)
{
    unsigned char *needed = tb_xcalloc((size_t)p->count + 1, 1);
    int *stack = tb_xcalloc((size_t)p->count + 1, sizeof *stack), depth = 0;
    for (int t = 0; t < count; t++)
        if (!needed[targets[t]])
            needed[targets[t]] = 1, stack[depth++] = targets[t];
    while (depth) {
        const tb_graph_node *g = tb_graph_at(p->graph, stack[--depth]);
        for (int k = 0; k < g->input_count; k++) {
            const int src = g->inputs[k].src ? tb_graph_find(p->graph, g->inputs[k].src) : -1;
            if (src >= 0 && !needed[src])
                needed[src] = 1, stack[depth++] = src;
        }
    }
    free(stack);
    return needed;
}

static void take_out(tb_pnode *n)
{
    for (int k = 0; n->args && k < n->type->input_count; k++) {
        tb_value_unref(&n->args[k].literal);
        n->args[k] = (tb_arg){ .src = -1 };
    }
    for (int k = 0; n->alias && k < n->type->output_count; k++)
        tb_value_unref(&n->alias[k].literal);
    free(n->alias);
    n->alias = NULL;
    n->muted = true;
}

/* May the error be forgotten: of a known type, drawn and not made by a script? */
static bool is_spare(const tb_program *p, const tb_err *e, const unsigned char *needed)
{
    const int at = tb_graph_find(p->graph, e->node);
    return at >= 0 && !needed[at] && p->nodes[at].type && !*e->origin;
}

static void tell(const tb_err *first, const char *type, int more)
{
    char text[1400];
    tb_err_text(first, *type ? type : NULL, text, sizeof text);
    if (more)
        tb_log(TB_LOG_WARN, "%s (and %d more); no output needs it, so it is left out", text, more);
    else
        tb_log(TB_LOG_WARN, "%s; no output needs it, so it is left out", text);
}

int tb_program_spare(tb_program *p, const int *targets, int count, tb_err_list *errors)
{
    unsigned char *needed = find_needed(p, targets, count);
    int left = 0;
    for (int i = 0; i < errors->count; i++)
        left += !is_spare(p, &errors->items[i], needed);
    if (left == 0 && errors->count) {
        tell(&errors->items[0], errors->types[0], errors->count - 1);
        errors->count = 0;
        for (int i = 0; i < p->count; i++)
            if (!needed[i] && p->nodes[i].type)
                take_out(&p->nodes[i]);
    }
    free(needed);
    return errors->count;
}
