/* workflow_links.c - following links through everything that only passes them on. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "graph/workflow_internal.h"

#define MAX_HOPS 10000

/* A row of the table of links: an array, or since version 1 an object. */
typedef struct link_row {
    char origin[TBI_ID], target[TBI_ID];
    int slot, target_slot;
} link_row;

static int small_int(const json_t *j)
{
    const json_int_t v = json_integer_value(j);
    return json_is_integer(j) && v >= 0 && v <= 100000 ? (int)v : -1;
}

static bool read_row(const json_t *j, link_row *row)
{
    static const char *const fields[] = { "origin_id", "origin_slot", "target_id", "target_slot" };
    const json_t *part[4];
    for (size_t i = 0; i < 4; i++)
        part[i] = json_is_array(j) ? json_array_get(j, i + 1) : json_object_get(j, fields[i]);
    tbi_id(part[0], row->origin);
    tbi_id(part[2], row->target);
    row->slot = small_int(part[1]);
    row->target_slot = small_int(part[3]);
    return *row->origin && row->slot >= 0;
}

/* ---------------------------------------------------------------------------- nodes that pass on
 */

static bool is_one_of(const char *type, const char *const *names)
{
    for (; *names; names++)
        if (strcmp(type, *names) == 0)
            return true;
    return false;
}

static bool is_reroute(const char *type)
{
    static const char *const names[] = { "Reroute", "Reroute (rgthree)", "ReroutePrimitive|pysssss",
                                         "SetNode", NULL };
    return is_one_of(type, names);
}

static const json_t *input_link(const json_t *node, size_t i)
{
    return json_object_get(json_array_get(json_object_get(node, "inputs"), i), "link");
}

static const char *text_of(const json_t *j, const char *field)
{
    const char *s = json_string_value(json_object_get(j, field));
    return s ? s : "";
}

/* A bypassed node gives the link of its input of that output's type: the same place first. */
static const json_t *bypass_link(const json_t *node, int slot)
{
    const json_t *inputs = json_object_get(node, "inputs");
    const char *type =
        text_of(json_array_get(json_object_get(node, "outputs"), (size_t)slot), "type");
    size_t i;
    json_t *in;
    const json_t *same = json_array_get(inputs, (size_t)slot);
    if (same && strcmp(text_of(same, "type"), type) == 0)
        return json_object_get(same, "link");
    json_array_foreach(inputs, i, in)
    {
        if (strcmp(text_of(in, "type"), type) == 0)
            return json_object_get(in, "link");
    }
    return NULL;
}

static const json_t *first_value(const json_t *node)
{
    return json_array_get(json_object_get(node, "widgets_values"), 0);
}

/* The SetNode of a GetNode's name, here or in a drawing around; moves *s to its scope. */
static const json_t *set_node(const tbi_scope **s, const json_t *get)
{
    const char *name = json_string_value(first_value(get));
    for (const tbi_scope *at = *s; name && at; at = at->parent) {
        const int64_t i = tb_map_get(at->setters, name);
        if (i >= 0) {
            *s = at;
            return json_array_get(at->nodes, (size_t)i);
        }
    }
    return NULL;
}

/* ------------------------------------------------------------------------------------ following */

/* Where we are: a link of a scope, and where it comes from. */
typedef struct walk {
    const tb_types *types;
    const tbi_scope *s;
    const json_t *link; /* NULL: nothing more to follow */
    tbi_source *source;
} walk;

static void found(walk *w, tbi_source_kind kind, const json_t *node, int slot,
                  const json_t *literal)
{
    *w->source = (tbi_source){ kind, literal, w->s, node, slot };
    w->link = NULL;
}

/* Out of a subgraph, into what feeds its input k. */
static tb_status leave(walk *w, int k, tb_err *err)
{
    const json_t *inputs = json_object_get(w->s->definition, "inputs");
    const char *name = text_of(json_array_get(inputs, (size_t)k), "name");
    size_t i;
    json_t *in;
    if (!w->s->definition || !*name)
        return tb_err_set(
            err, TB_EFORMAT,
            "a link of the workflow comes from input %d of a subgraph, which has none "
            "of that number",
            k);
    json_array_foreach(json_object_get(w->s->instance, "inputs"), i, in)
    {
        if (strcmp(text_of(in, "name"), name) == 0 && json_is_number(json_object_get(in, "link"))) {
            w->link = json_object_get(in, "link");
            w->s = w->s->parent;
            return TB_OK;
        }
    }
    const json_t *value = tbi_instance_value(w->s, name);
    found(w, value ? TBI_LITERAL : TBI_NOTHING, NULL, 0, value);
    return TB_OK;
}

/* Into a subgraph, to what feeds its output k. Such a link has no input that names it. */
static void enter(walk *w, const tbi_scope *child, int k)
{
    size_t i;
    json_t *j;
    link_row row;
    json_array_foreach(child->links, i, j)
    {
        if (read_row(j, &row) && strcmp(row.target, TBI_OUTPUT_NODE) == 0 && row.target_slot == k) {
            w->s = child;
            w->link = json_is_array(j) ? json_array_get(j, 0) : json_object_get(j, "id");
            return;
        }
    }
    found(w, TBI_NOTHING, NULL, 0, NULL);
}

/* The origin is node i of the scope. */
static void pass(walk *w, int64_t i, int slot)
{
    const json_t *node = json_array_get(w->s->nodes, (size_t)i);
    const char *type = tbi_node_type(node);
    const int mode = w->s->mode ? w->s->mode : tbi_node_mode(node);
    const tbi_scope *child = w->s->children[i];
    const bool known = tb_types_find(w->types, type) != NULL;
    if (known || (!child && !mode && !is_reroute(type) && strcmp(type, "PrimitiveNode") != 0 &&
                  strcmp(type, "GetNode") != 0))
        found(w, TBI_OUTPUT, node, slot, NULL);
    else if (mode == TBI_MODE_MUTE)
        found(w, TBI_NOTHING, NULL, 0, NULL);
    else if (mode == TBI_MODE_BYPASS)
        w->link = bypass_link(node, slot);
    else if (child)
        enter(w, child, slot);
    else if (strcmp(type, "PrimitiveNode") == 0)
        found(w, first_value(node) ? TBI_LITERAL : TBI_NOTHING, NULL, 0, first_value(node));
    else {
        if (strcmp(type, "GetNode") == 0)
            node = set_node(&w->s, node);
        w->link = input_link(node, 0);
    }
}

static tb_status step(walk *w, tb_err *err)
{
    char id[TBI_ID];
    link_row row;
    tbi_id(w->link, id);
    const int64_t at = tb_map_get(w->s->link_by_id, id);
    const json_t *j = at < 0 ? NULL : json_array_get(w->s->links, (size_t)at);
    if (!j || !read_row(j, &row))
        return tb_err_set(err, TB_EFORMAT,
                          "the workflow's link %s is not in its table of links; open and save it "
                          "with ComfyUI again",
                          *id ? id : "without a number");
    if (strcmp(row.origin, TBI_INPUT_NODE) == 0 && w->s->parent)
        return leave(w, row.slot, err);
    const int64_t i = tb_map_get(w->s->by_id, row.origin);
    if (i < 0)
        return tb_err_set(err, TB_EFORMAT,
                          "the workflow's link %s comes from node %s%s, which is not there", id,
                          w->s->prefix, row.origin);
    pass(w, i, row.slot);
    return TB_OK;
}

tb_status tbi_follow(const tb_types *types, const tbi_scope *s, const json_t *link, int *budget,
                     tbi_source *source, tb_err *err)
{
    walk w = { types, s, link, source };
    *source = (tbi_source){ .kind = TBI_NOTHING };
    for (int hops = 0; w.link && !json_is_null(w.link); hops++) {
        if (hops == MAX_HOPS || --*budget <= 0)
            return tb_err_set(err, TB_EFORMAT,
                              "its links go round in a circle of nodes that only pass them on "
                              "(Reroute, Get, Set, subgraphs)");
        TB_TRY(step(&w, err));
    }
    return TB_OK;
}
