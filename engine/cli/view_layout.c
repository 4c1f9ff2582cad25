/* view_layout.c - places the boxes of a view, after Sugiyama, Tagawa and Toda (1981): layers by
 * longest path, order within a layer by the mean of the neighbours, then positions pulled towards
 * straight links. A link that crosses layers gets a point in each of them, which is placed like a
 * thin box.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "cli/view.h"

enum { ORDER_SWEEPS = 12, PULL_SWEEPS = 30, POINT_HEIGHT = 8 };

/* The first items are the boxes, in their order; the others are points of long links. */
typedef struct item {
    int layer;
    double y, height;
    double sum, weight; /* of where the neighbours would like it */
} item;

/* A link, or the part of one between neighbouring layers; ya, yb from the tops of the items. */
typedef struct segment {
    int a, b;
    double ya, yb;
} segment;

/* The items of a layer from top to bottom. */
typedef struct slot {
    int item;
    double wish;
} slot;

typedef struct row {
    slot *slots;
    int count;
    size_t cap;
} row;

typedef struct layout {
    cli_view *view;
    item *items;
    int item_count;
    size_t item_cap;
    segment *segments;
    int segment_count;
    size_t segment_cap;
    row *rows; /* one a layer */
} layout;

double cli_port_y(int port)
{
    return CLI_BOX_HEAD + CLI_ROW * (port + 0.5);
}

/* -------------------------------------------------------------------------------------- layers */

/* Longest path from the sources; boxes on a cycle stay where they were reached. */
static void assign_layers(cli_view *v)
{
    const size_t n = (size_t)v->box_count + 1;
    int *waiting = tb_xcalloc(n, sizeof *waiting), *queue = tb_xcalloc(n, sizeof *queue);
    int *head = tb_xcalloc(n, sizeof *head),
        *next = tb_xcalloc((size_t)v->edge_count + 1, sizeof *next);
    int done = 0, found = 0;
    for (int e = 0; e < v->edge_count; e++) { /* lists of leaving links; numbers from 1, 0 ends */
        waiting[v->edges[e].to]++;
        next[e] = head[v->edges[e].from];
        head[v->edges[e].from] = e + 1;
    }
    for (int b = 0; b < v->box_count; b++)
        if (!waiting[b])
            queue[found++] = b;
    for (; done < found; done++) {
        const cli_box *from = &v->boxes[queue[done]];
        for (int e = head[queue[done]]; e; e = next[e - 1]) {
            cli_box *to = &v->boxes[v->edges[e - 1].to];
            to->layer = to->layer > from->layer + 1 ? to->layer : from->layer + 1;
            if (--waiting[v->edges[e - 1].to] == 0)
                queue[found++] = v->edges[e - 1].to;
        }
    }
    free(waiting);
    free(queue);
    free(head);
    free(next);
}

/* Boxes without inputs stand right before their first reader. */
static void move_sources(cli_view *v)
{
    int *nearest = tb_xcalloc((size_t)v->box_count + 1, sizeof *nearest);
    bool *fed = tb_xcalloc((size_t)v->box_count + 1, sizeof *fed);
    for (int e = 0; e < v->edge_count; e++) {
        const int layer = v->boxes[v->edges[e].to].layer;
        int *n = &nearest[v->edges[e].from];
        *n = *n == 0 || layer < *n ? layer : *n;
        fed[v->edges[e].to] = true;
    }
    for (int b = 0; b < v->box_count; b++) {
        if (!fed[b] && nearest[b] > 0)
            v->boxes[b].layer = nearest[b] - 1;
        v->layers = v->boxes[b].layer >= v->layers ? v->boxes[b].layer + 1 : v->layers;
    }
    free(nearest);
    free(fed);
}

/* -------------------------------------------------------------------------- items and segments */

static int add_item(layout *l, int layer, double height)
{
    TB_GROW(l->items, l->item_cap, l->item_count + 1);
    l->items[l->item_count] = (item){ .layer = layer, .height = height };
    return l->item_count++;
}

static void add_segment(layout *l, int a, double ya, int b, double yb)
{
    TB_GROW(l->segments, l->segment_cap, l->segment_count + 1);
    l->segments[l->segment_count++] = (segment){ a, b, ya, yb };
}

static void add_edge(layout *l, cli_edge *e)
{
    const cli_box *from = &l->view->boxes[e->from], *to = &l->view->boxes[e->to];
    int at = e->from;
    double y = cli_port_y(e->out);
    e->via_count = to->layer - from->layer - 1;
    e->via_count = e->via_count > 0 ? e->via_count : 0;
    e->via = tb_xcalloc((size_t)e->via_count + 1, sizeof *e->via);
    for (int i = 0; i < e->via_count; i++) {
        const int point = add_item(l, from->layer + 1 + i, POINT_HEIGHT);
        add_segment(l, at, y, point, POINT_HEIGHT / 2.0);
        at = point;
        y = POINT_HEIGHT / 2.0;
    }
    add_segment(l, at, y, e->to, cli_port_y(e->in));
}

static void make_items(layout *l)
{
    cli_view *v = l->view;
    for (int b = 0; b < v->box_count; b++) {
        cli_box *box = &v->boxes[b];
        const int rows = box->in.count > box->out.count ? box->in.count : box->out.count;
        box->width = CLI_BOX_WIDTH;
        box->height = CLI_BOX_HEAD + CLI_ROW * rows + CLI_BOX_FOOT;
        add_item(l, box->layer, box->height);
    }
    for (int e = 0; e < v->edge_count; e++)
        add_edge(l, &v->edges[e]);
    l->rows = tb_xcalloc((size_t)v->layers + 1, sizeof *l->rows);
    for (int i = 0; i < l->item_count; i++) {
        row *r = &l->rows[l->items[i].layer];
        TB_GROW(r->slots, r->cap, r->count + 1);
        r->slots[r->count++] = (slot){ .item = i };
    }
}

/* ---------------------------------------------------------------------------- order and height */

/* Where the neighbours would like each item's top: those on the left, on the right, or both. */
static void collect_wishes(layout *l, bool left, bool right)
{
    for (int i = 0; i < l->item_count; i++)
        l->items[i].sum = l->items[i].weight = 0;
    for (int s = 0; s < l->segment_count; s++) {
        const segment *g = &l->segments[s];
        item *a = &l->items[g->a], *b = &l->items[g->b];
        if (left) {
            b->sum += a->y + g->ya - g->yb;
            b->weight++;
        }
        if (right) {
            a->sum += b->y + g->yb - g->ya;
            a->weight++;
        }
    }
}

static double wish(const item *t)
{
    return t->weight > 0 ? t->sum / t->weight : t->y;
}

static int by_wish(const void *a, const void *b)
{
    const slot *x = a, *y = b;
    return x->wish < y->wish ? -1 : x->wish > y->wish ? 1 : x->item - y->item;
}

static void stack_row(layout *l, const row *r)
{
    double y = 0;
    for (int i = 0; i < r->count; i++) {
        l->items[r->slots[i].item].y = y;
        y += l->items[r->slots[i].item].height + CLI_GAP_Y;
    }
}

static void order_rows(layout *l)
{
    for (int k = 0; k < l->view->layers; k++)
        stack_row(l, &l->rows[k]);
    for (int sweep = 0; sweep < ORDER_SWEEPS; sweep++) {
        collect_wishes(l, sweep % 2 == 0, sweep % 2 == 1);
        for (int k = 0; k < l->view->layers; k++) {
            row *r = &l->rows[k];
            for (int i = 0; i < r->count; i++)
                r->slots[i].wish = wish(&l->items[r->slots[i].item]);
            qsort(r->slots, (size_t)r->count, sizeof *r->slots, by_wish);
            stack_row(l, r);
        }
    }
}

/* Nearer to the wishes, in the same order and without overlap: the mean of the placement that gives
 * way downwards and the one that gives way upwards. */
static void pull_row(layout *l, row *r)
{
    double edge = -1e18;
    for (int i = 0; i < r->count; i++) {
        const item *t = &l->items[r->slots[i].item];
        const double y = wish(t);
        r->slots[i].wish = y > edge ? y : edge;
        edge = r->slots[i].wish + t->height + CLI_GAP_Y;
    }
    edge = 1e18;
    for (int i = r->count - 1; i >= 0; i--) {
        item *t = &l->items[r->slots[i].item];
        const double room = edge - t->height - CLI_GAP_Y, y = wish(t);
        edge = y < room ? y : room;
        t->y = (r->slots[i].wish + edge) / 2;
    }
}

/* First between both neighbours, then after the left one only, which leaves chains straight. */
static void pull_rows(layout *l)
{
    const int after = l->view->layers < PULL_SWEEPS ? l->view->layers : PULL_SWEEPS;
    for (int sweep = 0; sweep < PULL_SWEEPS + after; sweep++) {
        const bool late = sweep >= PULL_SWEEPS;
        collect_wishes(l, late || sweep % 3 != 1, !late && sweep % 3 != 0);
        for (int k = 0; k < l->view->layers; k++)
            pull_row(l, &l->rows[k]);
    }
}

/* ------------------------------------------------------------------------------------- results */

static void write_back(layout *l)
{
    cli_view *v = l->view;
    double top = 1e18, bottom = 0;
    for (int i = 0; i < l->item_count; i++)
        top = l->items[i].y < top ? l->items[i].y : top;
    v->layer_x = tb_xcalloc((size_t)v->layers + 1, sizeof *v->layer_x);
    for (int k = 0; k < v->layers; k++)
        v->layer_x[k] = CLI_MARGIN + k * (double)(CLI_BOX_WIDTH + CLI_GAP_X);
    for (int b = 0; b < v->box_count; b++) {
        cli_box *box = &v->boxes[b];
        box->x = v->layer_x[box->layer];
        box->y = l->items[b].y - top + CLI_MARGIN;
        bottom = box->y + box->height > bottom ? box->y + box->height : bottom;
    }
    int point = v->box_count;
    for (int e = 0; e < v->edge_count; e++)
        for (int i = 0; i < v->edges[e].via_count; i++, point++) {
            const double y = l->items[point].y - top + CLI_MARGIN + POINT_HEIGHT / 2.0;
            v->edges[e].via[i] = y;
            bottom = y > bottom ? y : bottom;
        }
    v->width = 2 * CLI_MARGIN + v->layers * (double)(CLI_BOX_WIDTH + CLI_GAP_X) - CLI_GAP_X;
    v->height = bottom + CLI_MARGIN;
}

void cli_view_layout(cli_view *v)
{
    layout l = { .view = v };
    if (!v->box_count)
        return;
    assign_layers(v);
    move_sources(v);
    make_items(&l);
    order_rows(&l);
    pull_rows(&l);
    write_back(&l);
    for (int k = 0; k < v->layers; k++)
        free(l.rows[k].slots);
    free(l.rows);
    free(l.items);
    free(l.segments);
}
