/* comfy_progress.c - how far each node of a running prompt is: progress and progress_state.
 *
 * ComfyUI repeats all nodes in each progress_state, which for n nodes is n^2; so it is sent to
 * clients that ask for it (progress_full). The others get at most one frame in 50 ms, with the
 * nodes that changed since the last one, or sooner when they are many: a frame of thousands would
 * hold the loop. A composite counts its denoising steps.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "server/comfy_internal.h"

enum {
    SHARES = 100,    /* value and max of a node that tells a share */
    FRAME_MOST = 250 /* nodes that changed in a frame */
};
static const double interval = 0.05;

typedef struct item {
    char *id;
    const char *display; /* of the prompt */
    double value, max;
    bool begun, over, dirty;
    bool share_told; /* `value` waits to be sent as `progress` */
    int inner;       /* of a composite: nodes of the plan that have not ended */
    bool steps;      /* value and max are denoising steps */
} item;

struct tbs_progress {
    item *items;
    int count;
    size_t cap;
    tb_map *by_id;
    const char *current; /* display node that began last */
    const char *delivered;
    double flushed; /* clock */
    int dirty;      /* items */
};

tbs_progress *tbs_progress_new(void)
{
    tbs_progress *g = tb_xcalloc(1, sizeof *g);
    g->by_id = tb_map_new();
    return g;
}

void tbs_progress_free(tbs_progress **gp)
{
    tbs_progress *g = *gp;
    for (int i = 0; g && i < g->count; i++)
        free(g->items[i].id);
    if (g) {
        free(g->items);
        tb_map_free(&g->by_id);
    }
    free(g);
    *gp = NULL;
}

const char *tbs_progress_current(const tb_prompt *p)
{
    return p->progress ? p->progress->current : NULL;
}

const char **tbs_progress_delivered(const tb_prompt *p)
{
    return &p->progress->delivered;
}

static item *find(tbs_progress *g, const char *id)
{
    const int64_t at = tb_map_get(g->by_id, id);
    return at < 0 ? NULL : &g->items[at];
}

static item *add(tbs_progress *g, const tb_prompt *p, const char *id)
{
    tb_map_set(g->by_id, id, g->count);
    TB_GROW(g->items, g->cap, g->count + 1);
    item *it = &g->items[g->count++];
    *it = (item){ .id = tb_xstrdup(id), .display = tb_prompt_display_node(p, id), .max = 1 };
    return it;
}

/* --------------------------------------------------------------------------------------- frames */

static json_t *state_of(const tb_prompt *p, const item *it)
{
    const bool inner = strcmp(it->id, it->display) != 0;
    return json_pack("{sfsfsssssssssoss}", "value", it->value, "max", it->max, "state",
                     it->over ? "finished" : "running", "node_id", it->id, "prompt_id", p->id,
                     "display_node_id", it->display, "parent_node_id",
                     inner ? json_string(it->display) : json_null(), "real_node_id", it->display);
}

/* Started nodes, or those of them that changed. */
static json_t *states(const tbs_progress *g, const tb_prompt *p, bool all)
{
    json_t *nodes = json_object();
    for (int i = 0; i < g->count; i++)
        if (all ? g->items[i].begun : g->items[i].dirty)
            json_object_set_new(nodes, g->items[i].id, state_of(p, &g->items[i]));
    return json_pack("{ssso}", "prompt_id", p->id, "nodes", nodes);
}

static void send_states(tbs_comfy *c, const tb_prompt *p, bool full)
{
    char *text = NULL;
    for (const tbs_client *k = c->clients; k; k = k->next) {
        if (k->progress_full != full || !tbs_client_reached(k, p, TBS_OWNER_OR_ALL))
            continue;
        if (!text) {
            json_t *frame =
                json_pack("{ssso}", "type", "progress_state", "data", states(p->progress, p, full));
            text = json_dumps(frame, JSON_COMPACT | JSON_REAL_PRECISION(17));
            json_decref(frame);
        }
        tb_socket_text(k->socket, text, strlen(text));
    }
    free(text);
}

static void send_value(tbs_comfy *c, const tb_prompt *p, item *it)
{
    it->share_told = false;
    tbs_comfy_send(c, p, TBS_OWNER_OR_ALL, "progress",
                   json_pack("{sfsfssss}", "value", it->value, "max", it->max, "prompt_id", p->id,
                             "node", it->display));
}

void tbs_progress_flush(tbs_comfy *c, tb_prompt *p)
{
    tbs_progress *g = p->progress;
    if (!g->dirty)
        return;
    for (int i = 0; i < g->count; i++)
        if (g->items[i].share_told)
            send_value(c, p, &g->items[i]);
    send_states(c, p, false);
    for (int i = 0; i < g->count; i++)
        g->items[i].dirty = false;
    g->dirty = 0;
    g->flushed = tb_clock_seconds();
}

/* Something changed: tell it now, or with what else changes in the next 50 ms. */
static void changed(tbs_comfy *c, tb_prompt *p, item *it)
{
    tbs_progress *g = p->progress;
    g->dirty += !it->dirty;
    it->dirty = true;
    send_states(c, p, true);
    if (g->dirty >= FRAME_MOST) {
        tbs_progress_flush(c, p);
        return;
    }
    const double wait = g->flushed + interval - tb_clock_seconds();
    if (!uv_is_active((uv_handle_t *)&c->later))
        uv_timer_start(&c->later, tbs_comfy_on_later, wait > 0 ? (uint64_t)ceil(wait * 1000) : 0,
                       0);
}

/* -------------------------------------------------------------------------------------- changes */

/* Number of the denoising step a node ends, as in "sample/step_03/step": 4; 0: of none. */
static int step_of(const char *node)
{
    const char *end = node + strlen(node), *p = node;
    static const char tail[] = "/step";
    if (end - node < 5 || strcmp(end - 5, tail) != 0)
        return 0;
    const char *segment = NULL;
    while ((p = strstr(p, "/step_")))
        segment = p++;
    if (!segment)
        return 0;
    char *rest;
    const long n = strtol(segment + 6, &rest, 10);
    return rest == end - 5 && rest != segment + 6 && n >= 0 && n < 100000 ? (int)n + 1 : 0;
}

static bool is_inner(const item *it)
{
    return strcmp(it->id, it->display) != 0;
}

void tbs_progress_planned(tb_prompt *p)
{
    tbs_progress *g = p->progress;
    json_t *row;
    size_t i;
    json_array_foreach(p->plan, i, row)
    {
        const char *id = json_string_value(json_object_get(row, "node"));
        if (!strchr(id, '/')) /* not below another */
            continue;
        const char *display = tb_prompt_display_node(p, id);
        const int step = step_of(id);
        if (strcmp(id, display) == 0)
            continue;
        item *it = find(g, display);
        it = it ? it : add(g, p, display);
        it->steps |= step > 0;
        it->max = step > it->max ? step : it->max;
        const bool cached = json_string_value(json_object_get(row, "state"))[0] == 'c';
        it->inner += !cached;
        if (cached && step > it->value)
            it->value = step;
    }
}

bool tbs_progress_begun(const tb_prompt *p, const char *node)
{
    const item *it = find(p->progress, node);
    return it && it->begun;
}

bool tbs_progress_start(tbs_comfy *c, tb_prompt *p, const char *node)
{
    tbs_progress *g = p->progress;
    item *it = find(g, node);
    it = it ? it : add(g, p, node);
    if (it->begun)
        return false;
    it->begun = true;
    g->current = it->display;
    changed(c, p, it);
    return true;
}

void tbs_progress_share(tbs_comfy *c, tb_prompt *p, const char *node, double share)
{
    tbs_progress *g = p->progress;
    item *it = find(g, node), *shown = it ? find(g, it->display) : NULL;
    if (!it || it->over)
        return;
    if (shown && shown->steps) /* the composite counts steps; this is one of its nodes */
        shown = NULL;
    if (shown && shown != it) {
        shown->max = SHARES;
        shown->value = floor(share * SHARES);
        shown->share_told = shown->dirty = true;
    }
    it->max = SHARES;
    it->value = floor(share * SHARES);
    it->share_told = shown == it;
    changed(c, p, it);
}

static void finish(tbs_comfy *c, tb_prompt *p, item *it)
{
    it->begun = it->over = true;
    it->value = it->max;
    changed(c, p, it);
}

/* One node of a composite has ended. */
static void inner_ended(tbs_comfy *c, tb_prompt *p, const item *inner)
{
    item *it = find(p->progress, inner->display);
    const int step = step_of(inner->id);
    if (!it)
        return;
    if (step > it->value) {
        it->value = step;
        changed(c, p, it);
        send_value(c, p, it);
    }
    if (--it->inner == 0)
        finish(c, p, it);
}

void tbs_progress_finish(tbs_comfy *c, tb_prompt *p, const char *node)
{
    item *it = find(p->progress, node);
    it = it ? it : add(p->progress, p, node);
    if (it->over)
        return;
    finish(c, p, it);
    if (is_inner(it))
        inner_ended(c, p, it);
}

void tbs_progress_finish_all(tbs_comfy *c, tb_prompt *p)
{
    for (int i = 0; i < p->progress->count; i++)
        if (p->progress->items[i].begun && !p->progress->items[i].over)
            finish(c, p, &p->progress->items[i]);
}
