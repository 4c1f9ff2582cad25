/* graph.h - the graph document: nodes by id, each input a literal or a link.
 *
 * The JSON is the API format of ComfyUI (specs: comfyui-api.md 1):
 *   { "<id>": { "class_type": type, "inputs": { name: literal | ["<id>", slot] },
 *               "_meta": { "title", "origin", "mode", ... }, "no_cache": true } }
 * A literal list is wrapped: { "__value__": [...] }. `mode` "mute" takes a node and all that hangs
 * on it out; "bypass" replaces its outputs by its inputs of the same type (resolved when the graph
 * is compiled).
 *
 * Memory:  a tb_graph owns all its texts and literals.
 * Threads: one at a time.
 * Limits:  100,000 nodes when read from JSON, ids and types up to 255 bytes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/json.h"

#define TB_GRAPH_MAX_NODES 100000

typedef struct tb_link {
    char *name;      /* input name */
    json_t *literal; /* NULL: a link */
    char *src;       /* link: the producer's id; NULL: a literal */
    int slot;        /* link: the producer's output */
} tb_link;

typedef struct tb_graph_node {
    char *id, *type;
    char *origin;  /* "file:line", or NULL */
    json_t *meta;  /* the whole _meta object, or NULL */
    bool no_cache; /* its result is not kept for later runs */
    tb_link *inputs;
    int input_count;
    size_t input_cap;
} tb_graph_node;

typedef struct tb_graph tb_graph;

tb_graph *tb_graph_new(void);
void tb_graph_free(tb_graph **g);
int tb_graph_count(const tb_graph *g);
/* Borrowed; valid until the next tb_graph_add. */
const tb_graph_node *tb_graph_at(const tb_graph *g, int i);
int tb_graph_find(const tb_graph *g, const char *id); /* index or -1 */

/* Index of the new node; -1 with TB_EINVAL when the id is taken, empty or too long. origin and meta
 * may be NULL. */
int tb_graph_add(tb_graph *g, const char *id, const char *type, const char *origin,
                 const json_t *meta, tb_err *err);
/* The place of node i, unless it has one of its own; origin may be NULL. */
void tb_graph_default_origin(tb_graph *g, int i, const char *origin);
/* Set or replace an input of node i. The literal is consumed. */
void tb_graph_set_literal_take(tb_graph *g, int i, const char *name, json_t *literal);
void tb_graph_set_link(tb_graph *g, int i, const char *name, const char *src, int slot);

/* Add all nodes of a document. Stops at the first malformed node. */
tb_status tb_graph_read(tb_graph *g, const json_t *document, tb_err *err);
/* New reference. */
json_t *tb_graph_to_json(const tb_graph *g);

/* Is this an input's link, ["id", slot]? */
bool tb_json_is_link(const json_t *v);

/* ------------------------------------------------------------------------------------- errors */

/* All that is wrong with a graph. */
typedef struct tb_err_list {
    tb_err *items;
    char (*types)[64]; /* the node's type, or "" */
    int count;
    size_t cap, types_cap;
} tb_err_list;
void tb_err_list_add(tb_err_list *l, const tb_err *err, const char *type);
void tb_err_list_free(tb_err_list *l);
