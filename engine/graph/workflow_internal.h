/* workflow_internal.h - what the files of the conversion share.
 *
 * A scope is one drawing: the workflow itself, or one use of a subgraph. All JSON is borrowed from
 * the workflow.
 */
#pragma once

#include "base/map.h"
#include "graph/workflow.h"

enum { TBI_MODE_MUTE = 2, TBI_MODE_BYPASS = 4, TBI_ID = 96 };

/* Ends of the links of a subgraph's drawing. */
#define TBI_INPUT_NODE  "-10"
#define TBI_OUTPUT_NODE "-20"

typedef struct tbi_scope {
    struct tbi_scope *parent;
    const json_t *instance;   /* the parent's node that stands for this; NULL: the workflow */
    const json_t *definition; /* of the subgraph; NULL: the workflow */
    const json_t *nodes, *links;
    char *prefix;                         /* of its nodes' ids: "", "12:" */
    tb_map *by_id, *link_by_id, *setters; /* setters: of SetNodes by name */
    struct tbi_scope **children;          /* one a node; NULL: no subgraph */
    int mode;                             /* muted or bypassed with an outer node */
    double dx, dy;                        /* from its own drawing to the document's */
} tbi_scope;

/* Any id as text, "" when it is neither a number nor a short text. */
const char *tbi_id(const json_t *id, char buf[TBI_ID]);
const char *tbi_node_type(const json_t *node); /* "" when there is none */
int tbi_node_mode(const json_t *node);
/* Names a node in a sentence: node 12 'title' (type). */
const char *tbi_node_name(const tbi_scope *s, const json_t *node, char *buf, size_t n);

/* workflow_links.c: what is behind an input. */
typedef enum tbi_source_kind { TBI_NOTHING, TBI_LITERAL, TBI_OUTPUT } tbi_source_kind;
typedef struct tbi_source {
    tbi_source_kind kind;
    const json_t *literal;
    const tbi_scope *scope; /* of the node */
    const json_t *node;
    int slot;
} tbi_source;
/* Follow the link of an input (NULL, null: none) to a value or to a node that is one here. *budget
 * is lowered by the links passed. */
tb_status tbi_follow(const tb_types *types, const tbi_scope *s, const json_t *link, int *budget,
                     tbi_source *source, tb_err *err);

/* workflow_values.c: a literal of an input, a list wrapped; NULL and null set nothing. */
void tbi_set_literal(json_t *inputs, const char *name, const json_t *value);
/* Widget values by name into `inputs`. */
void tbi_widget_values(const tb_type *type, const tbi_scope *s, const json_t *node, json_t *inputs,
                       json_t *warnings);
/* The value of a use of a subgraph for its input of that name; NULL: it has none. */
const json_t *tbi_instance_value(const tbi_scope *s, const char *input);
