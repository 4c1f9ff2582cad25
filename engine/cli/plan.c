/* plan.c - `tubelet plan`: what a run would do, before it is paid for. */
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/session.h"

/* -------------------------------------------------------------------------------- the sentence */

void cli_plan_sentence(const tb_plan_summary *s, char *buf, size_t n)
{
    char time[40], text[80] = "time unknown", bytes[40];
    if (s->nodes_run == 0 && s->nodes_unknown == 0) {
        snprintf(buf, n, "Everything is stored already; nothing will run.");
        return;
    }
    if (s->seconds >= 0 && (s->seconds > 0 || s->seconds_complete))
        snprintf(text, sizeof text, "%s %s", s->seconds_complete ? "about" : "more than",
                 tb_str_seconds(s->seconds, time, sizeof time));
    int used = snprintf(buf, n, "%d of %d nodes will run, %s, peak %s", s->nodes_run,
                        s->nodes_total, text, tb_str_bytes(s->peak_bytes, bytes, sizeof bytes));
    if (s->nodes_unknown && used > 0 && (size_t)used < n)
        used += snprintf(buf + used, n - (size_t)used, "; %d depend on data of the run",
                         s->nodes_unknown);
    if (used > 0 && (size_t)used < n)
        snprintf(buf + used, n - (size_t)used, ".");
}

json_t *cli_plan_json(const tb_plan_summary *s, const json_t *plan)
{
    json_t *j = json_pack("{si si si si sb sI}", "nodes_total", s->nodes_total, "nodes_cached",
                          s->nodes_cached, "nodes_run", s->nodes_run, "nodes_unknown",
                          s->nodes_unknown, "seconds_complete", (int)s->seconds_complete,
                          "peak_bytes", (json_int_t)s->peak_bytes);
    json_object_set_new(j, "seconds", s->seconds >= 0 ? json_real(s->seconds) : json_null());
    if (plan)
        json_object_set_new(j, "nodes", json_deep_copy(plan));
    return j;
}

/* ----------------------------------------------------------------------------------- the table */

/* One line: a node, or all nodes of a scope. */
typedef struct line {
    const char *node, *type, *shape;
    int count;    /* nodes */
    size_t scope; /* bytes of `node` that name the scope; 0: a single node */
    double seconds;
    int timed;    /* nodes whose time is known */
    bool waits;   /* waits: hangs on data of the run */
    double bytes; /* the largest output */
} line;

typedef struct lines {
    line *items;
    size_t count, cap;
    tb_map *by_scope;
} lines;

static line *line_for(lines *l, const char *node, bool all)
{
    const char *slash = all ? NULL : strchr(node, '/');
    if (slash) {
        char *scope = tb_xstrndup(node, (size_t)(slash - node));
        const int64_t i = tb_map_get(l->by_scope, scope);
        if (i < 0)
            tb_map_set(l->by_scope, scope, (int64_t)l->count);
        free(scope);
        if (i >= 0)
            return &l->items[i];
    }
    TB_GROW(l->items, l->cap, l->count + 1);
    l->items[l->count] = (line){ .node = node, .scope = slash ? (size_t)(slash - node) : 0 };
    return &l->items[l->count++];
}

static void add_node(lines *l, const json_t *j, bool all)
{
    const char *node = json_string_value(json_object_get(j, "node"));
    const char *state = json_string_value(json_object_get(j, "state"));
    if (!node || !state || strcmp(state, "cached") == 0)
        return;
    line *n = line_for(l, node, all);
    const json_t *seconds = json_object_get(j, "seconds");
    const bool known = json_is_number(seconds) && json_number_value(seconds) >= 0;
    const double bytes = json_number_value(json_object_get(j, "bytes"));
    n->count++;
    n->type = json_string_value(json_object_get(j, "type"));
    n->shape = json_string_value(json_object_get(j, "shape"));
    n->seconds += known ? json_number_value(seconds) : 0;
    n->timed += known;
    n->waits |= strcmp(state, "unknown") == 0;
    n->bytes = bytes > n->bytes ? bytes : n->bytes;
}

static void print_line(cli_table *t, const line *n)
{
    char text[64];
    if (n->scope && n->count > 1)
        cli_table_addf(t, "  %.*s (%d nodes)", (int)n->scope, n->node, n->count);
    else
        cli_table_addf(t, "  %s", n->node);
    cli_table_add(t, n->scope && n->count > 1 ? "" : n->type);
    if (n->waits || !n->timed)
        cli_table_add(t, n->waits ? "depends" : "unknown");
    else
        cli_table_addf(t, "%s%s", n->timed < n->count ? "> " : "",
                       tb_str_seconds(n->seconds, text, sizeof text));
    cli_table_add(t, n->bytes > 0 ? tb_str_bytes((unsigned long long)n->bytes, text, sizeof text)
                                  : "");
    cli_table_add(t, n->scope && n->count > 1 ? "" : n->shape);
}

void cli_plan_table(const json_t *plan, bool all)
{
    static const char *const head[] = { "  node", "type", "time", "output", "shape" };
    lines l = { .by_scope = tb_map_new() };
    cli_table t = { .columns = 5, .right = 1 << 2 | 1 << 3 };
    size_t i;
    json_t *j;
    json_array_foreach(plan, i, j) add_node(&l, j, all);
    for (size_t k = 0; k < 5 && l.count; k++)
        cli_table_add(&t, head[k]);
    for (size_t k = 0; k < l.count; k++)
        print_line(&t, &l.items[k]);
    if (l.count)
        putchar('\n');
    cli_table_print(&t, stdout, true);
    tb_map_free(&l.by_scope);
    free(l.items);
}

/* --------------------------------------------------------------------------------- the command */

static int run(cli_args *args)
{
    return cli_run_graph(args, true);
}

static const cli_option options[] = {
    CLI_GRAPH_OPTIONS,
    { "all", NULL, "Every node on a line of its own, instead of one line a scope." },
    CLI_ENGINE_OPTIONS,
    { 0 },
};

const cli_command cli_plan = {
    .name = "plan",
    .operands = "GRAPH",
    .summary = "Say what a run would compute, how long it takes and the memory it needs",
    .detail =
        "Takes what 'tubelet run' takes. Times are those measured when like nodes ran before.",
    .options = options,
    .examples = { "tubelet plan graphs/text_to_video.lua --steps 30",
                  "tubelet plan graphs/text_to_video.lua --all --json" },
    .max_operands = 1,
    .takes_graph = true,
    .run = run,
};
