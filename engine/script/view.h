/* view.h - how an editor draws a graph, kept in its Lua file apart from the nodes.
 *
 *     tb.graph { build = ..., view = { nodes = { id = { pos = { x, y }, size = { w, h }, ... } },
 *                                      groups = { { title = ..., box = { x, y, w, h } } }, ... } }
 *
 * In a document the fields of `nodes` stand in _meta of each node, the others in "view". So a node
 * that is moved changes one line of the view, and none of the program.
 */
#pragma once

#include <stdbool.h>

#include "base/json.h"
#include "base/str.h"

/* Does this field of _meta say how a node is drawn, and nothing else? */
bool tbi_view_field(const char *name);

/* One row of view.nodes to come: the drawn fields of a node's _meta, or NULL. New reference. */
json_t *tbi_view_of_meta(const json_t *meta);

/* Append "  view = {...},\n", or nothing when there is nothing to say. `nodes` holds what
 * tbi_view_of_meta gave, by id, in the order of writing; view is the document's, or NULL. */
tb_status tbi_view_write(tb_str *b, const json_t *nodes, const json_t *view, tb_err *err);

/* The other way: spread the table over the nodes of the document's graph, which keep what they
 * have; what is left becomes its "view". Rows of nodes that are not there are dropped. */
void tbi_view_apply(const json_t *table, json_t *document);
