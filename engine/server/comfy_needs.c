/* comfy_needs.c - a graph in JSON as nodes and the nodes they need. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "graph/graph.h"
#include "server/comfy_internal.h"

struct tbs_needs {
    const json_t *graph;
    tb_map *index; /* id -> place */
    const char **ids;
    json_t **nodes; /* borrowed */
    int count;
    unsigned char *seen;
    int *stack, *from; /* from: the node that needs this one, on the walk */
};

tbs_needs *tbs_needs_new(const json_t *graph)
{
    tbs_needs *n = tb_xcalloc(1, sizeof *n);
    const size_t count = json_object_size(graph) + 1;
    const char *id;
    json_t *node;
    n->graph = graph;
    n->index = tb_map_new();
    n->ids = tb_xcalloc(count, sizeof *n->ids);
    n->nodes = tb_xcalloc(count, sizeof *n->nodes);
    n->seen = tb_xcalloc(count, 1);
    n->stack = tb_xcalloc(count, sizeof *n->stack);
    n->from = tb_xcalloc(count, sizeof *n->from);
    json_object_foreach((json_t *)(uintptr_t)graph, id, node)
    {
        tb_map_set(n->index, id, n->count);
        n->ids[n->count] = id;
        n->nodes[n->count++] = node;
    }
    return n;
}

void tbs_needs_free(tbs_needs **np)
{
    tbs_needs *n = *np;
    if (!n)
        return;
    tb_map_free(&n->index);
    free(n->ids);
    free(n->nodes);
    free(n->seen);
    free(n->stack);
    free(n->from);
    free(n);
    *np = NULL;
}

/* Mark what `root` needs; stops at `stop` (-1: nowhere). True when that was reached. */
static bool walk(tbs_needs *n, int root, int stop)
{
    int depth = 0;
    n->stack[depth++] = root;
    n->seen[root] = 1;
    while (depth) {
        const int at = n->stack[--depth];
        const char *name;
        json_t *value;
        json_object_foreach(json_object_get(n->nodes[at], "inputs"), name, value)
        {
            const char *src =
                tb_json_is_link(value) ? json_string_value(json_array_get(value, 0)) : NULL;
            const int to = src ? (int)tb_map_get(n->index, src) : -1;
            if (to >= 0 && to == stop) {
                n->from[to] = at;
                return true;
            }
            if (to < 0 || n->seen[to])
                continue;
            n->seen[to] = 1;
            n->from[to] = at;
            n->stack[depth++] = to;
        }
    }
    return false;
}

bool tbs_needs_node(tbs_needs *n, const char *node, const char *other)
{
    const int64_t a = tb_map_get(n->index, node), b = tb_map_get(n->index, other);
    if (a < 0 || b < 0)
        return false;
    memset(n->seen, 0, (size_t)n->count);
    return a == b || walk(n, (int)a, (int)b);
}

json_t *tbs_needs_part(tbs_needs *n, const json_t *ids)
{
    size_t i;
    json_t *id;
    memset(n->seen, 0, (size_t)n->count);
    json_array_foreach(ids, i, id)
    {
        const int64_t at = tb_map_get(n->index, json_string_value(id));
        if (at >= 0 && !n->seen[at])
            walk(n, (int)at, -1);
    }
    json_t *part = json_object();
    for (int k = 0; k < n->count; k++)
        if (n->seen[k])
            json_object_set(part, n->ids[k], n->nodes[k]);
    return part;
}

json_t *tbs_needs_cycle(tbs_needs *n, const char *node)
{
    const int64_t root = tb_map_get(n->index, node);
    memset(n->seen, 0, (size_t)n->count);
    if (root < 0 || !walk(n, (int)root, (int)root))
        return NULL;
    json_t *ids = json_pack("[s]", node);
    int at = n->from[root];
    for (; at != (int)root; at = n->from[at])
        json_array_insert_new(ids, 0, json_string(n->ids[at]));
    json_array_insert_new(ids, 0, json_string(node));
    return ids;
}
