/* queue_look.c - what a worker finds in the plan of a prompt: above all which of its nodes will not
 * run, for they or what they feed is stored.
 *
 * The plan stops at stored results: what is behind them is not in it, and counts as cached too. A
 * branch that nobody asks for (behind a switch) is not in it either, and does not count. Trivial
 * nodes are never stored; one that an earlier prompt has run gives the same again and counts as
 * cached, as it would in ComfyUI.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "server/queue_internal.h"

enum { OUT, RUNS, CACHED };
enum {
    SEEN_MOST = 100000,   /* keys remembered; then all are forgotten */
    EXPANDED_MOST = 10000 /* nodes of a graph that somebody can look at */
};

/* ------------------------------------------------------------------------------ trivial nodes */

static bool is_trivial(const tb_run *run, const json_t *row)
{
    const char *type = json_string_value(json_object_get(row, "type"));
    const tb_type *t = type ? tb_types_find(tb_run_types(run), type) : NULL;
    return t && t->def->flags & (TB_NODE_INLINE | TB_NODE_FORGET);
}

/* Keys of the trivial nodes; what hangs on data of the run has none yet. New reference. */
static json_t *trivial_keys(const tb_run *run, const json_t *rows)
{
    json_t *keys = json_array(), *row;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)rows, i, row)
    {
        tb_key key;
        if (is_trivial(run, row) &&
            tb_run_key(run, json_string_value(json_object_get(row, "node")), &key))
            json_array_append(keys, json_object_get(row, "key"));
    }
    return keys;
}

void tbs_queue_remember(tb_queue *q, const tbs_look *l)
{
    json_t *key;
    size_t i;
    pthread_mutex_lock(&q->look);
    if (q->seen && tb_map_count(q->seen) > SEEN_MOST)
        tb_map_free(&q->seen);
    if (!q->seen)
        q->seen = tb_map_new();
    json_array_foreach(l->trivial, i, key)
    {
        tb_map_set(q->seen, json_string_value(key), 1);
    }
    pthread_mutex_unlock(&q->look);
}

static bool is_seen(tb_queue *q, const char *key)
{
    pthread_mutex_lock(&q->look);
    const bool seen = q->seen && tb_map_get(q->seen, key) >= 0;
    pthread_mutex_unlock(&q->look);
    return seen;
}

static bool will_run(tb_queue *q, const tb_prompt *p, const tb_run *run, const json_t *row)
{
    const char *state = json_string_value(json_object_get(row, "state"));
    const char *key = json_string_value(json_object_get(row, "key"));
    if (state[0] == 'c')
        return false;
    return p->no_cache || !is_trivial(run, row) || !is_seen(q, key);
}

/* ------------------------------------------------------------------------------------- the walk */

/* A graph with the state of each node: the expanded one, or the client's. */
typedef struct states {
    const json_t *graph;
    tb_map *index; /* id -> place */
    const char **ids;
    unsigned char *state;
    int *stack;
    int count;
} states;

static states states_of(const json_t *graph)
{
    const size_t room = json_object_size(graph) + 1;
    states s = { .graph = graph, .index = tb_map_new() };
    const char *id;
    json_t *node;
    s.ids = tb_xcalloc(room, sizeof *s.ids);
    s.state = tb_xcalloc(room, 1);
    s.stack = tb_xcalloc(room, sizeof *s.stack);
    json_object_foreach((json_t *)(uintptr_t)graph, id, node)
    {
        s.ids[s.count] = id;
        tb_map_set(s.index, id, s.count++);
    }
    return s;
}

static void states_free(states *s)
{
    tb_map_free(&s->index);
    free(s->ids);
    free(s->state);
    free(s->stack);
}

static void mark(states *s, const char *id, int state)
{
    const int64_t at = id ? tb_map_get(s->index, id) : -1;
    if (at >= 0 && (state == RUNS || s->state[at] == OUT))
        s->state[at] = (unsigned char)state;
}

/* Everything a cached node was made from that does not run. */
static void mark_behind(states *s, int from)
{
    int depth = 0;
    s->stack[depth++] = from;
    while (depth) {
        const json_t *node = json_object_get(s->graph, s->ids[s->stack[--depth]]);
        json_t *value;
        const char *name;
        json_object_foreach(json_object_get(node, "inputs"), name, value)
        {
            const char *src =
                tb_json_is_link(value) ? json_string_value(json_array_get(value, 0)) : NULL;
            const int64_t at = src ? tb_map_get(s->index, src) : -1;
            if (at < 0 || s->state[at] != OUT)
                continue;
            s->state[at] = CACHED;
            s->stack[depth++] = (int)at;
        }
    }
}

static void mark_all_behind(states *s)
{
    for (int i = 0; i < s->count; i++)
        if (s->state[i] == CACHED)
            mark_behind(s, i);
}

/* What runs in part, runs. */
static void mark_displayed(const tb_prompt *p, const states *inner, states *own)
{
    for (int i = 0; i < inner->count; i++)
        if (inner->state[i] != OUT)
            mark(own, tb_prompt_display_node(p, inner->ids[i]), inner->state[i]);
}

/* Its result is not kept: nothing of it is in a cache, though nobody needs it now. */
static bool is_forgotten(const json_t *graph, const char *id)
{
    return json_is_true(json_object_get(json_object_get(graph, id), "no_cache"));
}

/* New reference. */
static json_t *cached_nodes(tb_queue *q, const tb_prompt *p, const tb_run *run, json_t *rows)
{
    json_t *expanded = tb_run_expanded(run), *spare = tb_run_spare(run), *row;
    states inner = states_of(expanded), own = states_of(json_object_get(p->document, "graph"));
    json_t *list = json_array();
    size_t i;
    json_array_foreach(rows, i, row)
    {
        mark(&inner, json_string_value(json_object_get(row, "node")),
             will_run(q, p, run, row) ? RUNS : CACHED);
    }
    json_array_foreach(spare, i, row)
    {
        mark(&inner, json_string_value(row), CACHED);
    }
    mark_all_behind(&inner);
    mark_displayed(p, &inner, &own);
    mark_all_behind(&own);
    for (int k = 0; k < own.count; k++)
        if (own.state[k] == CACHED && !is_forgotten(own.graph, own.ids[k]))
            json_array_append_new(list, json_string(own.ids[k]));
    states_free(&inner);
    states_free(&own);
    json_decref(spare);
    json_decref(expanded);
    return list;
}

/* ----------------------------------------------------------------------------------- the whole */

typedef struct shown {
    const tb_prompt *p;
    json_t *ids;
} shown;

static void show_node(void *ctx, const char *id, const char *type)
{
    const shown *w = ctx;
    json_object_set_new(w->ids, id, json_pack("[ss]", type, tb_prompt_display_node(w->p, id)));
}

static json_t *expanded_nodes(const tb_prompt *p, const tb_run *run)
{
    tb_plan_summary plan;
    tb_run_summary(run, &plan);
    if (plan.nodes_total > EXPANDED_MOST || json_object_size(p->graph) > EXPANDED_MOST)
        return NULL;
    shown w = { .p = p, .ids = json_object() };
    tb_run_each_node(run, show_node, &w);
    return w.ids;
}

static tb_map *set_of(const json_t *ids)
{
    tb_map *set = tb_map_new();
    json_t *id;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)ids, i, id)
    {
        tb_map_set(set, json_string_value(id), 1);
    }
    return set;
}

tbs_look tbs_look_at(tb_queue *q, const tb_prompt *p, const tb_run *run)
{
    json_t *rows = tb_run_plan(run), *cached = cached_nodes(q, p, run, rows);
    return (tbs_look){ .cached = cached,
                       .held = set_of(cached),
                       .plan = rows,
                       .expanded = expanded_nodes(p, run),
                       .trivial = trivial_keys(run, rows) };
}

void tbs_look_clear(tbs_look *l)
{
    json_decref(l->cached);
    tb_map_free(&l->held);
    json_decref(l->plan);
    json_decref(l->expanded);
    json_decref(l->trivial);
    *l = (tbs_look){ 0 };
}
