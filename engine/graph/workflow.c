/* workflow.c - from the drawing that ComfyUI's editor saves to a document. */
#include "graph/workflow.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "graph/graph.h"
#include "graph/workflow_internal.h"

enum { MAX_DEPTH = 16, MAX_TITLE = 60, MAX_PASSED = 5000000 };

#define GAP 120.0 /* between a drawing and a subgraph's below it */

bool tb_is_workflow(const json_t *j)
{
    return json_is_array(json_object_get(j, "nodes")) && !json_object_get(j, "class_type");
}

/* -------------------------------------------------------------------------------------- reading */

const char *tbi_id(const json_t *id, char buf[TBI_ID])
{
    const char *s = json_string_value(id);
    if (json_is_integer(id))
        snprintf(buf, TBI_ID, "%lld", (long long)json_integer_value(id));
    else
        snprintf(buf, TBI_ID, "%s", s && strlen(s) < TBI_ID ? s : "");
    return buf;
}

const char *tbi_node_type(const json_t *node)
{
    const char *s = json_string_value(json_object_get(node, "type"));
    return s ? s : "";
}

int tbi_node_mode(const json_t *node)
{
    const json_int_t mode = json_integer_value(json_object_get(node, "mode"));
    return mode == TBI_MODE_MUTE || mode == TBI_MODE_BYPASS ? (int)mode : 0;
}

/* Bytes of the first MAX_TITLE that end with a whole character. */
static int short_length(const char *s)
{
    size_t n = strlen(s);
    if (n <= MAX_TITLE)
        return (int)n;
    for (n = MAX_TITLE; n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80; n--)
        ;
    return (int)n;
}

const char *tbi_node_name(const tbi_scope *s, const json_t *node, char *buf, size_t n)
{
    char id[TBI_ID];
    const char *title = json_string_value(json_object_get(node, "title"));
    const char *type = tbi_node_type(node), *quote = title ? "'" : "";
    title = title ? title : "";
    snprintf(buf, n, "node %s%s%s%s%.*s%s (%.*s)", s->prefix,
             tbi_id(json_object_get(node, "id"), id), *quote ? " " : "", quote, short_length(title),
             title, quote, short_length(type), type);
    return buf;
}

/* A pair of numbers as [a, b] or {"0": a, "1": b}. */
static bool read_pair(const json_t *j, double *a, double *b)
{
    const json_t *x = json_is_array(j) ? json_array_get(j, 0) : json_object_get(j, "0");
    const json_t *y = json_is_array(j) ? json_array_get(j, 1) : json_object_get(j, "1");
    *a = json_number_value(x);
    *b = json_number_value(y);
    return json_is_number(x) && json_is_number(y);
}

/* --------------------------------------------------------------------------------------- scopes */

typedef struct conversion {
    const tb_types *types;
    const json_t *workflow;
    tb_map *definitions; /* id -> index in `subgraphs` */
    const json_t *subgraphs;
    json_t *graph, *groups, *warnings;
    int nodes, budget; /* of links followed */
    double bottom;     /* of all that is drawn so far */
} conversion;

static void scope_free(tbi_scope *s)
{
    if (!s)
        return;
    for (size_t i = 0; s->children && i < json_array_size(s->nodes); i++)
        scope_free(s->children[i]);
    free(s->children);
    free(s->prefix);
    tb_map_free(&s->by_id);
    tb_map_free(&s->link_by_id);
    tb_map_free(&s->setters);
    free(s);
}

static tb_status read_nodes(tbi_scope *s, tb_err *err)
{
    size_t i;
    json_t *node;
    char id[TBI_ID];
    json_array_foreach(s->nodes, i, node)
    {
        if (!*tbi_id(json_object_get(node, "id"), id) || !*tbi_node_type(node))
            return tb_err_set(err, TB_EFORMAT,
                              "the workflow's node number %zu has no id or no type", i + 1);
        if (tb_map_get(s->by_id, id) >= 0)
            return tb_err_set(err, TB_EFORMAT, "the workflow has two nodes with the id %s%s",
                              s->prefix, id);
        tb_map_set(s->by_id, id, (int64_t)i);
        const char *name =
            json_string_value(json_array_get(json_object_get(node, "widgets_values"), 0));
        if (name && strcmp(tbi_node_type(node), "SetNode") == 0)
            tb_map_set(s->setters, name, (int64_t)i);
    }
    return TB_OK;
}

static void read_links(tbi_scope *s)
{
    size_t i;
    json_t *link;
    char id[TBI_ID];
    json_array_foreach(s->links, i, link)
    {
        tbi_id(json_is_array(link) ? json_array_get(link, 0) : json_object_get(link, "id"), id);
        tb_map_set(s->link_by_id, id, (int64_t)i);
    }
}

static tb_status add_children(conversion *c, tbi_scope *s, int depth, tb_err *err);

/* The drawing `j` (the workflow or a subgraph) as used by a node of the parent. *out is set also on
 * failure, to be freed. */
static tb_status scope_new(conversion *c, tbi_scope *parent, const json_t *instance,
                           const json_t *j, int depth, tbi_scope **out, tb_err *err)
{
    char id[TBI_ID];
    tbi_scope *s = *out = tb_xcalloc(1, sizeof *s);
    s->parent = parent;
    s->instance = instance;
    s->definition = parent ? j : NULL;
    s->nodes = json_object_get(j, "nodes");
    s->links = json_object_get(j, "links");
    s->mode = parent && parent->mode ? parent->mode : tbi_node_mode(instance);
    s->by_id = tb_map_new();
    s->link_by_id = tb_map_new();
    s->setters = tb_map_new();
    s->prefix =
        parent ? tb_xasprintf("%s%s:", parent->prefix, tbi_id(json_object_get(instance, "id"), id))
               : tb_xstrdup("");
    s->children = tb_xcalloc(json_array_size(s->nodes) + 1, sizeof(tbi_scope *));
    c->nodes += (int)json_array_size(s->nodes);
    if (depth > MAX_DEPTH)
        return tb_err_set(
            err, TB_ELIMIT,
            "the workflow's subgraphs are nested more than %d deep, or one holds itself",
            MAX_DEPTH);
    if (json_array_size(s->nodes) > TB_GRAPH_MAX_NODES || c->nodes > TB_GRAPH_MAX_NODES)
        return tb_err_set(err, TB_ELIMIT, "the workflow has more than %d nodes",
                          TB_GRAPH_MAX_NODES);
    TB_TRY(read_nodes(s, err));
    read_links(s);
    return add_children(c, s, depth, err);
}

/* A bypassed use of a subgraph has no inside. */
static tb_status add_children(conversion *c, tbi_scope *s, int depth, tb_err *err)
{
    size_t i;
    json_t *node;
    json_array_foreach(s->nodes, i, node)
    {
        const int64_t at = tb_map_get(c->definitions, tbi_node_type(node));
        if (at >= 0 && tbi_node_mode(node) != TBI_MODE_BYPASS)
            TB_TRY(scope_new(c, s, node, json_array_get(c->subgraphs, (size_t)at), depth + 1,
                             &s->children[i], err));
    }
    return TB_OK;
}

static void read_definitions(conversion *c)
{
    size_t i;
    json_t *d;
    char id[TBI_ID];
    c->subgraphs = json_object_get(json_object_get(c->workflow, "definitions"), "subgraphs");
    json_array_foreach(c->subgraphs, i, d)
    {
        if (json_is_array(json_object_get(d, "nodes")) && *tbi_id(json_object_get(d, "id"), id))
            tb_map_set(c->definitions, id, (int64_t)i);
    }
}

/* --------------------------------------------------------------------------------------- places */

typedef struct box {
    double left, top, right, bottom;
} box;

static box bounds_of(const tbi_scope *s)
{
    box b = { INFINITY, INFINITY, -INFINITY, -INFINITY };
    size_t i;
    json_t *node;
    json_array_foreach(s->nodes, i, node)
    {
        double x, y, w = 0, h = 0;
        if (!read_pair(json_object_get(node, "pos"), &x, &y))
            continue;
        read_pair(json_object_get(node, "size"), &w, &h);
        b = (box){ fmin(b.left, x), fmin(b.top, y), fmax(b.right, x + w), fmax(b.bottom, y + h) };
    }
    return b.left > b.right ? (box){ 0, 0, 0, 0 } : b;
}

static void add_group(conversion *c, const char *title, const double at[4], const json_t *colour)
{
    char id[24];
    snprintf(id, sizeof id, "g%zu", json_array_size(c->groups) + 1);
    json_t *g = json_pack("{ss ss s[ffff]}", "id", id, "title", title ? title : "", "box", at[0],
                          at[1], at[2], at[3]);
    if (g && json_is_string(colour))
        json_object_set(g, "colour", (json_t *)(uintptr_t)colour);
    if (g)
        json_array_append_new(c->groups, g);
}

static void add_groups(conversion *c, const tbi_scope *s, const json_t *groups)
{
    size_t i;
    json_t *g;
    json_array_foreach(groups, i, g)
    {
        const json_t *b = json_object_get(g, "bounding");
        double at[4];
        if (json_array_size(b) != 4)
            continue;
        for (size_t k = 0; k < 4; k++)
            at[k] = json_number_value(json_array_get(b, k));
        at[0] += s->dx;
        at[1] += s->dy;
        add_group(c, json_string_value(json_object_get(g, "title")), at,
                  json_object_get(g, "color"));
    }
}

/* A subgraph is drawn below everything else, in a group of its name. */
static void place(conversion *c, tbi_scope *s)
{
    const box b = bounds_of(s);
    double x = 0, y = 0;
    if (!s->parent) {
        c->bottom = b.bottom;
        return;
    }
    read_pair(json_object_get(s->instance, "pos"), &x, &y);
    s->dx = x + s->parent->dx - b.left;
    s->dy = c->bottom + GAP - b.top;
    c->bottom += GAP + b.bottom - b.top;
    const json_t *title = json_object_get(s->instance, "title");
    if (!json_is_string(title))
        title = json_object_get(s->definition, "name");
    const double margin = 40;
    add_group(c, json_string_value(title),
              (double[]){ b.left + s->dx - margin, b.top + s->dy - 2 * margin,
                          b.right - b.left + 2 * margin, b.bottom - b.top + 3 * margin },
              NULL);
}

/* ---------------------------------------------------------------------------------------- nodes */

static void copy_meta(json_t *meta, const char *as, const json_t *value, bool wanted)
{
    if (wanted)
        json_object_set(meta, as, (json_t *)(uintptr_t)value);
}

/* What the check of the graph tells of a node that is not there, or of a model that is not. */
static void copy_source(json_t *meta, const json_t *node)
{
    const json_t *properties = json_object_get(node, "properties");
    const json_t *pack = json_object_get(properties, "cnr_id");
    const json_t *models = json_object_get(properties, "models");
    if (!json_is_string(pack))
        pack = json_object_get(properties, "aux_id"); /* one that is not in the registry */
    copy_meta(meta, "pack", pack,
              json_is_string(pack) && strcmp(json_string_value(pack), "comfy-core") != 0);
    copy_meta(meta, "models", models, json_array_size(models) > 0);
}

/* Values by place that have no names here, so that they are not lost. */
static void keep_values(json_t *meta, const json_t *node, const tb_type *type)
{
    const json_t *values = json_object_get(node, "widgets_values");
    copy_meta(meta, "values", values, !type && json_array_size(values) > 0);
}

static json_t *meta_of(const tbi_scope *s, const json_t *node)
{
    json_t *meta = json_object();
    const json_t *title = json_object_get(node, "title"), *colour = json_object_get(node, "color");
    const json_t *flags = json_object_get(node, "flags");
    const int mode = s->mode ? s->mode : tbi_node_mode(node);
    double a, b;
    copy_meta(meta, "title", title, json_is_string(title));
    if (read_pair(json_object_get(node, "pos"), &a, &b))
        json_object_set_new(meta, "pos", json_pack("[ff]", a + s->dx, b + s->dy));
    if (read_pair(json_object_get(node, "size"), &a, &b))
        json_object_set_new(meta, "size", json_pack("[ff]", a, b));
    copy_meta(meta, "collapsed", json_true(), json_is_true(json_object_get(flags, "collapsed")));
    copy_meta(meta, "pinned", json_true(), json_is_true(json_object_get(flags, "pinned")));
    copy_meta(meta, "colour", colour, json_is_string(colour));
    copy_source(meta, node);
    if (mode)
        json_object_set_new(meta, "mode", json_string(mode == TBI_MODE_MUTE ? "mute" : "bypass"));
    return meta;
}

static tb_status set_link(conversion *c, const tbi_scope *s, const json_t *in, json_t *inputs,
                          tb_err *err)
{
    char id[TBI_ID];
    tbi_source from;
    const char *name = json_string_value(json_object_get(in, "name"));
    const json_t *widget = json_object_get(json_object_get(in, "widget"), "name");
    if (json_is_string(widget))
        name = json_string_value(widget);
    TB_TRY(tbi_follow(c->types, s, json_object_get(in, "link"), &c->budget, &from, err));
    if (!name || from.kind == TBI_NOTHING)
        return TB_OK;
    if (from.kind == TBI_LITERAL) {
        tbi_set_literal(inputs, name, from.literal);
        return TB_OK;
    }
    char *full =
        tb_xasprintf("%s%s", from.scope->prefix, tbi_id(json_object_get(from.node, "id"), id));
    json_object_set_new(inputs, name, json_pack("[si]", full, from.slot));
    free(full);
    return TB_OK;
}

static tb_status add_node(conversion *c, const tbi_scope *s, const json_t *node,
                          const tb_type *type, tb_err *err)
{
    char id[TBI_ID];
    size_t i;
    json_t *in, *inputs = json_object();
    char *full = tb_xasprintf("%s%s", s->prefix, tbi_id(json_object_get(node, "id"), id));
    tb_status st = TB_OK;
    json_t *meta = meta_of(s, node);
    keep_values(meta, node, type);
    json_object_set_new(c->graph, full,
                        json_pack("{ss so so}", "class_type", tbi_node_type(node), "inputs", inputs,
                                  "_meta", meta));
    free(full);
    tbi_widget_values(type, s, node, inputs, c->warnings);
    json_array_foreach(json_object_get(node, "inputs"), i, in)
    {
        if (st == TB_OK)
            st = set_link(c, s, in, inputs, err);
    }
    if (st != TB_OK) {
        char name[400];
        tb_err_prefix(err, "%s: ", tbi_node_name(s, node, name, sizeof name));
    }
    return st;
}

/* Drawn, but nothing that runs. */
static bool is_virtual(const char *type)
{
    static const char *const names[] = {
        "Note",
        "MarkdownNote",
        "PrimitiveNode",
        "Reroute",
        "GetNode",
        "SetNode",
        "Reroute (rgthree)",
        "ReroutePrimitive|pysssss",
        "Label (rgthree)",
        "Bookmark (rgthree)",
        "Fast Groups Muter (rgthree)",
        "Fast Groups Bypasser (rgthree)",
        "Fast Muter (rgthree)",
        "Fast Bypasser (rgthree)",
        "Mute / Bypass Repeater (rgthree)",
        "Mute / Bypass Relay (rgthree)",
        "Node Collector (rgthree)",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(type, names[i]) == 0)
            return true;
    return false;
}

static tb_status add_scope(conversion *c, tbi_scope *s, tb_err *err)
{
    size_t i;
    json_t *node;
    place(c, s);
    add_groups(c, s, json_object_get(s->parent ? s->definition : c->workflow, "groups"));
    json_array_foreach(s->nodes, i, node)
    {
        const tb_type *type = tb_types_find(c->types, tbi_node_type(node));
        const bool subgraph = tb_map_get(c->definitions, tbi_node_type(node)) >= 0;
        if (type || !(subgraph || is_virtual(tbi_node_type(node))))
            TB_TRY(add_node(c, s, node, type, err));
    }
    for (i = 0; i < json_array_size(s->nodes); i++)
        if (s->children[i])
            TB_TRY(add_scope(c, s->children[i], err));
    return TB_OK;
}

json_t *tb_workflow_to_document(const tb_types *types, const json_t *workflow, json_t *warnings,
                                tb_err *err)
{
    conversion c = { .types = types,
                     .workflow = workflow,
                     .definitions = tb_map_new(),
                     .graph = json_object(),
                     .groups = json_array(),
                     .budget = MAX_PASSED,
                     .warnings = warnings };
    tbi_scope *root = NULL;
    read_definitions(&c);
    tb_status st = scope_new(&c, NULL, NULL, workflow, 0, &root, err);
    if (st == TB_OK)
        st = add_scope(&c, root, err);
    if (st == TB_OK && !json_object_size(c.graph))
        st = tb_err_set(err, TB_EFORMAT, "the workflow holds no node that could run");
    scope_free(root);
    tb_map_free(&c.definitions);
    json_t *document =
        st == TB_OK ? json_pack("{sO s{sO}}", "graph", c.graph, "view", "groups", c.groups) : NULL;
    json_decref(c.graph);
    json_decref(c.groups);
    return document;
}
