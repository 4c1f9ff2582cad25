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
    int *stack, *from;                   /* from: the node that needs this one, on the walk */
    int *user_start, *user_fill, *users; /* see index_users; NULL until needed */
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
    free(n->user_start);
    free(n->user_fill);
    free(n->users);
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

/* -------------------------------------------------------------------- the other way round */

/* Calls fn for every link between nodes of the graph: `to` reads `from`. */
static void each_link(tbs_needs *n, void (*fn)(tbs_needs *n, int from, int to))
{
    for (int to = 0; to < n->count; to++) {
        const char *name;
        json_t *value;
        json_object_foreach(json_object_get(n->nodes[to], "inputs"), name, value)
        {
            const char *src =
                tb_json_is_link(value) ? json_string_value(json_array_get(value, 0)) : NULL;
            const int from = src ? (int)tb_map_get(n->index, src) : -1;
            if (from >= 0)
                fn(n, from, to);
        }
    }
}

static void count_user(tbs_needs *n, int from, int to)
{
    (void)to;
    n->user_start[from + 1]++;
}

static void put_user(tbs_needs *n, int from, int to)
{
    n->users[n->user_start[from] + n->user_fill[from]++] = to;
}

/* Readers of node i: users[user_start[i]] up to users[user_start[i + 1]]. */
static void index_users(tbs_needs *n)
{
    if (n->users)
        return;
    n->user_start = tb_xcalloc((size_t)n->count + 2, sizeof *n->user_start);
    n->user_fill = tb_xcalloc((size_t)n->count + 1, sizeof *n->user_fill);
    each_link(n, count_user);
    for (int i = 0; i < n->count; i++)
        n->user_start[i + 1] += n->user_start[i];
    n->users = tb_xcalloc((size_t)n->user_start[n->count] + 1, sizeof *n->users);
    each_link(n, put_user);
}

/* Mark what needs one of the nodes. */
static void mark_users(tbs_needs *n, const char *const *nodes, int count)
{
    int depth = 0;
    memset(n->seen, 0, (size_t)n->count);
    for (int i = 0; i < count; i++) {
        const int at = (int)tb_map_get(n->index, nodes[i]);
        if (at < 0 || n->seen[at])
            continue;
        n->seen[at] = 1;
        n->stack[depth++] = at;
    }
    while (depth) {
        const int at = n->stack[--depth];
        for (int u = n->user_start[at]; u < n->user_start[at + 1]; u++) {
            const int to = n->users[u];
            if (n->seen[to])
                continue;
            n->seen[to] = 1;
            n->stack[depth++] = to;
        }
    }
}

json_t *tbs_needs_affected(tbs_needs *n, const char *const *nodes, int count, const json_t *outputs)
{
    json_t *affected = json_array(), *id;
    size_t i;
    index_users(n);
    mark_users(n, nodes, count);
    json_array_foreach(outputs, i, id)
    {
        const int64_t at = tb_map_get(n->index, json_string_value(id));
        if (at >= 0 && n->seen[at])
            json_array_append(affected, id);
    }
    return affected;
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
