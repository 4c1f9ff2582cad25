/* graph.c - the graph document and its JSON. */
#include "graph/graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"

#define NAME_MAX_BYTES 255

struct tb_graph {
    tb_graph_node *nodes;
    int count;
    size_t cap;
    tb_map *index; /* id -> position */
};

tb_graph *tb_graph_new(void)
{
    tb_graph *g = tb_xcalloc(1, sizeof *g);
    g->index = tb_map_new();
    return g;
}

static void link_clear(tb_link *l)
{
    json_decref(l->literal);
    free(l->src);
    l->literal = NULL;
    l->src = NULL;
}

void tb_graph_free(tb_graph **gp)
{
    tb_graph *g = *gp;
    if (!g)
        return;
    for (int i = 0; i < g->count; i++) {
        tb_graph_node *n = &g->nodes[i];
        for (int k = 0; k < n->input_count; k++) {
            link_clear(&n->inputs[k]);
            free(n->inputs[k].name);
        }
        free(n->inputs);
        free(n->id);
        free(n->type);
        free(n->origin);
        json_decref(n->meta);
    }
    free(g->nodes);
    tb_map_free(&g->index);
    free(g);
    *gp = NULL;
}

int tb_graph_count(const tb_graph *g)
{
    return g->count;
}

const tb_graph_node *tb_graph_at(const tb_graph *g, int i)
{
    return &g->nodes[i];
}

int tb_graph_find(const tb_graph *g, const char *id)
{
    return (int)tb_map_get(g->index, id);
}

int tb_graph_add(tb_graph *g, const char *id, const char *type, const char *origin,
                 const json_t *meta, tb_err *err)
{
    const size_t n = strlen(id);
    if (n == 0 || n > NAME_MAX_BYTES || strlen(type) > NAME_MAX_BYTES) {
        tb_err_set(err, TB_EINVAL,
                   "a node's id and type must have 1..%d bytes, got '%.40s' and '%.40s'",
                   NAME_MAX_BYTES, id, type);
        return -1;
    }
    if (tb_graph_find(g, id) >= 0) {
        tb_err_set(err, TB_EINVAL, "two nodes have the id '%s'; give one of them another id", id);
        return -1;
    }
    if (g->count >= TB_GRAPH_MAX_NODES) {
        tb_err_set(err, TB_ELIMIT, "the graph has more than %d nodes", TB_GRAPH_MAX_NODES);
        return -1;
    }
    TB_GROW(g->nodes, g->cap, g->count + 1);
    g->nodes[g->count] = (tb_graph_node){
        .id = tb_xstrdup(id),
        .type = tb_xstrdup(type),
        .origin = origin && *origin ? tb_xstrdup(origin) : NULL,
        .meta = meta ? json_deep_copy(meta) : NULL,
    };
    tb_map_set(g->index, id, g->count);
    return g->count++;
}

void tb_graph_default_origin(tb_graph *g, int i, const char *origin)
{
    if (!g->nodes[i].origin && origin)
        g->nodes[i].origin = tb_xstrdup(origin);
}

static tb_link *input_slot(tb_graph *g, int i, const char *name)
{
    tb_graph_node *n = &g->nodes[i];
    for (int k = 0; k < n->input_count; k++)
        if (strcmp(n->inputs[k].name, name) == 0) {
            link_clear(&n->inputs[k]);
            return &n->inputs[k];
        }
    TB_GROW(n->inputs, n->input_cap, n->input_count + 1);
    n->inputs[n->input_count] = (tb_link){ .name = tb_xstrdup(name) };
    return &n->inputs[n->input_count++];
}

void tb_graph_set_literal_take(tb_graph *g, int i, const char *name, json_t *literal)
{
    input_slot(g, i, name)->literal = literal;
}

void tb_graph_set_link(tb_graph *g, int i, const char *name, const char *src, int slot)
{
    tb_link *l = input_slot(g, i, name);
    l->src = tb_xstrdup(src);
    l->slot = slot;
}

bool tb_json_is_link(const json_t *v)
{
    return json_is_array(v) && json_array_size(v) == 2 && json_is_string(json_array_get(v, 0)) &&
           json_is_integer(json_array_get(v, 1));
}

/* An input's JSON into the graph; arrays that are no link are refused, as they are ambiguous. */
static tb_status read_input(tb_graph *g, int i, const char *name, json_t *v, tb_err *err)
{
    if (tb_json_is_link(v)) {
        const json_int_t slot = json_integer_value(json_array_get(v, 1));
        tb_graph_set_link(g, i, name, json_string_value(json_array_get(v, 0)),
                          slot < 0 || slot > 9999 ? -1 : (int)slot);
        return TB_OK;
    }
    if (json_is_array(v)) {
        const tb_graph_node *n = &g->nodes[i];
        tb_err_where(err, n->id, name, n->origin);
        tb_err_set(
            err, TB_EINVAL,
            "input '%s' must be a value or a link [\"node id\", output]; a list of values is "
            "written {\"__value__\": [...]}",
            name);
        tb_err_reason(err, "bad_linked_input");
        return TB_EINVAL;
    }
    tb_graph_set_literal_take(g, i, name, json_incref(v));
    return TB_OK;
}

static tb_status read_node(tb_graph *g, const char *id, const json_t *node, tb_err *err)
{
    const char *type = json_string_value(json_object_get(node, "class_type"));
    const json_t *meta = json_object_get(node, "_meta"), *inputs = json_object_get(node, "inputs");
    const char *origin = json_string_value(json_object_get(meta, "origin"));
    if (!type || (inputs && !json_is_object(inputs))) {
        tb_err_where(err, id, NULL, origin);
        tb_err_set(err, TB_EINVAL,
                   "a node must be an object with \"class_type\" (text) and \"inputs\" (object)");
        tb_err_reason(err, "missing_node_type");
        return TB_EINVAL;
    }
    const int i = tb_graph_add(g, id, type, origin, meta, err);
    if (i < 0)
        return err->status;
    g->nodes[i].no_cache = json_is_true(json_object_get(node, "no_cache"));
    const char *name;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)inputs, name, v)
        TB_TRY(read_input(g, i, name, v, err));
    return TB_OK;
}

tb_status tb_graph_read(tb_graph *g, const json_t *document, tb_err *err)
{
    if (!json_is_object(document))
        return tb_err_set(
            err, TB_EINVAL,
            "a graph must be an object of nodes by id, as \"Export (API)\" writes it");
    if (json_object_size(document) + (size_t)g->count > TB_GRAPH_MAX_NODES)
        return tb_err_set(err, TB_ELIMIT, "the graph has %zu nodes; at most %d are accepted",
                          json_object_size(document), TB_GRAPH_MAX_NODES);
    const char *id;
    json_t *node;
    json_object_foreach((json_t *)(uintptr_t)document, id, node)
        TB_TRY(read_node(g, id, node, err));
    return TB_OK;
}

json_t *tb_graph_to_json(const tb_graph *g)
{
    json_t *document = json_object();
    for (int i = 0; i < g->count; i++) {
        const tb_graph_node *n = &g->nodes[i];
        json_t *inputs = json_object();
        for (int k = 0; k < n->input_count; k++) {
            const tb_link *l = &n->inputs[k];
            json_object_set_new(inputs, l->name,
                                l->src ? json_pack("[si]", l->src, l->slot)
                                       : json_incref(l->literal));
        }
        json_t *node = json_pack("{ssso}", "class_type", n->type, "inputs", inputs);
        if (n->meta)
            json_object_set(node, "_meta", n->meta);
        if (n->no_cache)
            json_object_set_new(node, "no_cache", json_true());
        json_object_set_new(document, n->id, node);
    }
    return document;
}

void tb_err_list_add(tb_err_list *l, const tb_err *err, const char *type)
{
    TB_GROW(l->items, l->cap, l->count + 1);
    TB_GROW(l->types, l->types_cap, l->count + 1);
    l->items[l->count] = *err;
    snprintf(l->types[l->count], sizeof l->types[0], "%s", type ? type : "");
    l->count++;
}

void tb_err_list_free(tb_err_list *l)
{
    free(l->items);
    free(l->types);
    *l = (tb_err_list){ 0 };
}
