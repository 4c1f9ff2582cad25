/* queue_cached.c - which nodes of a prompt will not run, for they or what they feed is stored.
 *
 * The plan stops at stored results: what is behind them is not in it, and counts as cached too. A
 * branch that nobody asks for (behind a switch) is not in it either, and does not count.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "server/queue_internal.h"

enum { OUT, RUNS, CACHED };

typedef struct walk {
    const tb_prompt *p;
    const json_t *graph; /* of the document that runs */
    tb_map *index;       /* id -> place in the graph */
    const char **ids;
    unsigned char *state;
    int *stack;
    int depth;
} walk;

/* The plan's rows, each for the node of the graph that stands for it: what runs in part, runs. */
static void mark_planned(walk *w)
{
    json_t *rows = tb_run_plan(w->p->run), *row;
    size_t i;
    json_array_foreach(rows, i, row)
    {
        const char *id = json_string_value(json_object_get(row, "node"));
        const char *state = json_string_value(json_object_get(row, "state"));
        const int64_t at = tb_map_get(w->index, tb_prompt_display_node(w->p, id));
        if (at < 0)
            continue;
        const bool cached = state[0] == 'c';
        if (!cached)
            w->state[at] = RUNS;
        else if (w->state[at] == OUT)
            w->state[at] = CACHED;
    }
    json_decref(rows);
}

/* Everything a cached node was made from that does not run. */
static void mark_behind(walk *w, int from)
{
    w->stack[w->depth++] = from;
    while (w->depth) {
        const json_t *node = json_object_get(w->graph, w->ids[w->stack[--w->depth]]);
        json_t *value;
        const char *name;
        json_object_foreach(json_object_get(node, "inputs"), name, value)
        {
            const char *src =
                tb_json_is_link(value) ? json_string_value(json_array_get(value, 0)) : NULL;
            const int64_t at = src ? tb_map_get(w->index, src) : -1;
            if (at < 0 || w->state[at] != OUT)
                continue;
            w->state[at] = CACHED;
            w->stack[w->depth++] = (int)at;
        }
    }
}

json_t *tbs_cached_nodes(const tb_prompt *p)
{
    walk w = { .p = p, .graph = json_object_get(p->document, "graph"), .index = tb_map_new() };
    const size_t count = json_object_size(w.graph);
    w.ids = tb_xcalloc(count + 1, sizeof *w.ids);
    w.state = tb_xcalloc(count + 1, 1);
    w.stack = tb_xcalloc(count + 1, sizeof *w.stack);
    int n = 0;
    const char *id;
    json_t *node;
    json_object_foreach((json_t *)(uintptr_t)w.graph, id, node)
    {
        w.ids[n] = id;
        tb_map_set(w.index, id, n++);
    }
    mark_planned(&w);
    for (int i = 0; i < n; i++)
        if (w.state[i] == CACHED)
            mark_behind(&w, i);
    json_t *list = json_array();
    for (int i = 0; i < n; i++)
        if (w.state[i] == CACHED)
            json_array_append_new(list, json_string(w.ids[i]));
    free(w.ids);
    free(w.state);
    free(w.stack);
    tb_map_free(&w.index);
    return list;
}
