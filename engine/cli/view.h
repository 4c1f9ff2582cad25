/* view.h - a graph as a picture shows it: boxes with ports, scopes folded, links between ports.
 *
 * Memory: a cli_view owns all its texts.
 * Units:  layout is in SVG user units (pixels); x grows to the right, y downwards.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/json.h"
#include "graph/types.h"

typedef struct cli_port {
    char *name;
    char *type;   /* port type, "*" when it is not known */
    char *value;  /* a literal as text; NULL: a link */
    char *source; /* folded inputs: the producer, so that one source is one port; NULL */
} cli_port;

typedef struct cli_ports {
    cli_port *items;
    int count;
    size_t cap;
} cli_ports;

typedef struct cli_box {
    char *id;   /* node id, or the scope's */
    char *type; /* node type; "" for a scope */
    int nodes;  /* 1, or how many are folded */
    bool target;
    cli_ports in, out;
    int layer, order;
    double x, y, width, height;
} cli_box;

typedef struct cli_edge {
    int from, out, to, in; /* boxes and ports */
    double *via;           /* y of the points between the layers it crosses */
    int via_count;
} cli_edge;

typedef struct cli_view {
    cli_box *boxes;
    int box_count;
    size_t box_cap;
    cli_edge *edges;
    int edge_count;
    size_t edge_cap;
    double *layer_x; /* left side of each layer */
    int layers;
    double width, height;
} cli_view;

/* Ids with more than `depth` parts ("a/b/c" has three) are folded into their first `depth` parts.
 */
cli_view *cli_view_new(const json_t *graph, const tb_types *types, int depth);
void cli_view_free(cli_view **v);

/* Where the middle of a port is, measured from the top of its box. */
double cli_port_y(int port);
/* Layers from left to right, few crossings, straight links where possible. Fills x, y, via. */
void cli_view_layout(cli_view *v);
/* To stdout. */
void cli_view_svg(const cli_view *v);
void cli_view_dot(const cli_view *v);

enum {
    CLI_BOX_HEAD = 40,
    CLI_ROW = 18,
    CLI_BOX_FOOT = 8,
    CLI_BOX_WIDTH = 196,
    CLI_GAP_X = 64,
    CLI_GAP_Y = 22,
    CLI_MARGIN = 24
};
