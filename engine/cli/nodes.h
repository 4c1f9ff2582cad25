/* nodes.h - what the page of a node in the terminal and the one in docs/nodes.md say alike. */
#pragma once

#include "base/str.h"
#include "graph/types.h"

/* "sampling"; "other" where the node names none. */
const char *cli_node_category(const tb_type *t);
/* "written in C; an output node"; returns buf. */
char *cli_node_kind(const tb_type *t, char *buf, size_t n);
/* "0..100 steps", "euler | heun", or nothing. */
void cli_node_range(const tb_input_def *d, tb_str *out);
/* "20", "\"out.mp4\"", "optional", "required". */
void cli_node_default(const tb_input_def *d, char *buf, size_t n);
/* All types by category, then name; tb_types_count of them. Freed by free(). */
const tb_type **cli_nodes_sorted(const tb_types *types);

/* The reference page of all nodes, or the section of one, in Markdown on stdout. */
void cli_nodes_markdown(const tb_types *types);
void cli_node_markdown(const tb_type *t);
