/* workflow.h - the file that ComfyUI's editor saves, as a document.
 *
 * That file describes a drawing: nodes with positions, widget values by place instead of by name, a
 * table of links, nodes that only carry links or values (Reroute, PrimitiveNode, Get and Set
 * nodes), notes, groups, and subgraphs that are drawn once and used often. Versions 0.4 and 1.0 are
 * read.
 *
 * Memory:  results are new references; nothing is kept.
 * Limits:  100,000 nodes with those of subgraphs, 16 subgraphs inside each other.
 */
#pragma once

#include <stdbool.h>

#include "graph/types.h"

/* Is it such a file? */
bool tb_is_workflow(const json_t *j);

/* { "graph": {...}, "view": {"groups": [...]} } with what stands for something else resolved: ids
 * are those of the file, "12:3" for node 3 of the subgraph that node 12 uses. Titles, places,
 * colours and modes are in _meta; muted and bypassed nodes stay as such. A node whose type is not
 * known stays, too, with its values in _meta where they have no names, for the check of the graph
 * to name it. Warnings (sentences; may be NULL) tell of values that had no place. NULL with one
 * sentence when links lead nowhere or in a circle, or the file is malformed. */
json_t *tb_workflow_to_document(const tb_types *types, const json_t *workflow, json_t *warnings,
                                tb_err *err);
