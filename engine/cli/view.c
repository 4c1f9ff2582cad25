/* view.c - from a graph document to boxes, ports and links. */
#include "cli/view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "graph/graph.h"

typedef struct builder {
    cli_view *view;
    const json_t *graph;
    const tb_types *types;
    int depth;
    tb_map *by_id; /* box id -> index */
} builder;

/* Bytes of the box's id inside a node's id: all of it, or its first `depth` parts. */
static size_t box_length(const char *id, int depth)
{
    const char *p = id;
    for (int i = 0; i < depth; i++) {
        const char *slash = strchr(p, '/');
        if (!slash)
            return strlen(id);
        p = slash + 1;
    }
    return (size_t)(p - id) - 1;
}

static int box_of(builder *b, const char *id)
{
    char *name = tb_xstrndup(id, box_length(id, b->depth));
    int64_t i = tb_map_get(b->by_id, name);
    if (i < 0) {
        cli_view *v = b->view;
        i = v->box_count;
        TB_GROW(v->boxes, v->box_cap, v->box_count + 1);
        v->boxes[v->box_count++] = (cli_box){ .id = tb_xstrdup(name), .type = tb_xstrdup("") };
        tb_map_set(b->by_id, name, i);
    }
    free(name);
    return (int)i;
}

static const tb_type *type_of(const builder *b, const json_t *node)
{
    const char *name = json_string_value(json_object_get(node, "class_type"));
    return name ? tb_types_find(b->types, name) : NULL;
}

static int port_add(cli_ports *l, const char *name, const char *type, const char *source)
{
    for (int i = 0; i < l->count; i++) {
        const cli_port *p = &l->items[i];
        if (source ? p->source && strcmp(p->source, source) == 0
                   : !p->source && strcmp(p->name, name) == 0)
            return i;
    }
    TB_GROW(l->items, l->cap, l->count + 1);
    l->items[l->count] = (cli_port){ .name = tb_xstrdup(name),
                                     .type = tb_xstrdup(type ? type : "*"),
                                     .source = source ? tb_xstrdup(source) : NULL };
    return l->count++;
}

static char *literal_text(const json_t *v)
{
    const json_t *list = json_object_get(v, "__value__");
    return json_is_string(v) ? tb_xstrdup(json_string_value(v))
                             : tb_json_canonical(list ? list : v);
}

/* The producer's port: its output by name when the type is known; inside a folded scope by node
 * too. */
static int out_port(builder *b, int box, const char *node_id, int slot)
{
    const json_t *node = json_object_get(b->graph, node_id);
    const tb_type *t = type_of(b, node);
    char number[24], source[300];
    snprintf(number, sizeof number, "%d", slot);
    snprintf(source, sizeof source, "%s:%d", node_id, slot);
    const bool known = t && slot < t->output_count;
    return port_add(&b->view->boxes[box].out, known ? t->def->outputs[slot].name : number,
                    known ? t->def->outputs[slot].type : NULL, source);
}

static void add_link(builder *b, int to, const char *input, const json_t *link)
{
    const char *source = json_string_value(json_array_get(link, 0));
    const int slot = (int)json_integer_value(json_array_get(link, 1));
    if (!json_object_get(b->graph, source) || slot < 0)
        return;
    const int from = box_of(b, source);
    if (from == to)
        return;
    cli_view *v = b->view;
    const int out = out_port(b, from, source, slot);
    char *key = v->boxes[to].nodes > 1 ? tb_xasprintf("%s:%d", source, slot) : NULL;
    const int before = v->boxes[to].in.count;
    const int in = port_add(&v->boxes[to].in, input, v->boxes[from].out.items[out].type, key);
    free(key);
    if (in < before && v->boxes[to].nodes > 1)
        return;
    TB_GROW(v->edges, v->edge_cap, v->edge_count + 1);
    v->edges[v->edge_count++] = (cli_edge){ .from = from, .out = out, .to = to, .in = in };
}

static void count_node(builder *b, const char *id, const json_t *node)
{
    const int index = box_of(b, id);
    cli_box *box = &b->view->boxes[index];
    const tb_type *t = type_of(b, node);
    const char *type = json_string_value(json_object_get(node, "class_type"));
    box->nodes++;
    box->target |= t && t->def->flags & TB_NODE_TARGET;
    free(box->type);
    box->type = tb_xstrdup(box->nodes == 1 && strcmp(box->id, id) == 0 && type ? type : "");
}

static void add_inputs(builder *b, const char *id, const json_t *node)
{
    const int box = box_of(b, id);
    json_t *inputs = json_object_get(node, "inputs"), *value;
    const char *name;
    json_object_foreach(inputs, name, value)
    {
        if (tb_json_is_link(value)) {
            add_link(b, box, name, value);
        } else if (b->view->boxes[box].nodes == 1) {
            cli_ports *in = &b->view->boxes[box].in;
            const int port = port_add(in, name, NULL, NULL);
            free(in->items[port].value);
            in->items[port].value = literal_text(value);
        }
    }
}

/* A single node shows all its outputs, a scope only those that are read outside. */
static void add_outputs(builder *b, const char *id, const json_t *node)
{
    const tb_type *t = type_of(b, node);
    const int box = box_of(b, id);
    if (b->view->boxes[box].nodes > 1)
        return;
    for (int i = 0; t && i < t->output_count; i++)
        out_port(b, box, id, i);
}

cli_view *cli_view_new(const json_t *graph, const tb_types *types, int depth)
{
    builder b = { .view = tb_xcalloc(1, sizeof *b.view),
                  .graph = graph,
                  .types = types,
                  .depth = depth,
                  .by_id = tb_map_new() };
    json_t *g = (json_t *)(uintptr_t)graph, *node;
    const char *id;
    json_object_foreach(g, id, node) count_node(&b, id, node);
    json_object_foreach(g, id, node) add_outputs(&b, id, node);
    json_object_foreach(g, id, node) add_inputs(&b, id, node);
    tb_map_free(&b.by_id);
    return b.view;
}

static void ports_clear(cli_ports *l)
{
    for (int i = 0; i < l->count; i++) {
        free(l->items[i].name);
        free(l->items[i].type);
        free(l->items[i].value);
        free(l->items[i].source);
    }
    free(l->items);
}

void cli_view_free(cli_view **vp)
{
    cli_view *v = *vp;
    if (!v)
        return;
    for (int i = 0; i < v->box_count; i++) {
        ports_clear(&v->boxes[i].in);
        ports_clear(&v->boxes[i].out);
        free(v->boxes[i].id);
        free(v->boxes[i].type);
    }
    for (int i = 0; i < v->edge_count; i++)
        free(v->edges[i].via);
    free(v->boxes);
    free(v->edges);
    free(v->layer_x);
    free(v);
    *vp = NULL;
}
