/* editor_events.c - what happens, told to the editor's clients over a WebSocket (docs/api.md,
 * Events).
 *
 * Changes are gathered and sent 20 times a second, or sooner when they are many; whatever depends
 * on their order (an end after the last node) flushes them first. All clients get the same frames
 * with the same seq.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "server/editor_events.h"

enum { FRAME_MS = 50, FRAME_MOST = 250 };

/* ---------------------------------------------------------------------------------------- send */

static void send_frame(struct tbs_events *v, json_t *frame)
{
    char *text = v->clients ? json_dumps(frame, JSON_COMPACT) : NULL;
    for (tbs_client *c = v->clients; c && text; c = c->next)
        tb_socket_text(c->socket, text, strlen(text));
    free(text);
}

void tbs_events_send_take(tb_server *s, const char *type, json_t *fields)
{
    struct tbs_events *v = s->editor->events;
    json_object_set_new(fields, "seq", json_integer(++v->seq));
    json_object_set_new(fields, "type", json_string(type));
    send_frame(v, fields);
    json_decref(fields);
}

static void flush_nodes(tb_server *s, tb_prompt *p)
{
    if (!p->live || !json_object_size(p->live->changed))
        return;
    json_t *nodes = p->live->changed;
    p->live->changed = json_object();
    tbs_events_send_take(s, "nodes", json_pack("{ss so}", "prompt_id", p->id, "nodes", nodes));
}

static void flush(tb_server *s)
{
    struct tbs_events *v = s->editor->events;
    tb_prompt *p;
    if (v->queue_changed) {
        v->queue_changed = false;
        tbs_events_send_take(s, "queue", json_pack("{so}", "queue", tbs_queue_json(s)));
    }
    for (int i = 0; (p = tb_queue_running(s->queue, i)); i++)
        flush_nodes(s, p);
}

static void on_timer(uv_timer_t *timer)
{
    flush(timer->data);
}

static void soon(tb_server *s)
{
    struct tbs_events *v = s->editor->events;
    if (!uv_is_active((uv_handle_t *)v->timer))
        uv_timer_start(v->timer, on_timer, FRAME_MS, 0);
}

/* ------------------------------------------------------------------------------------- the run */

static struct tbs_live *live_new(void)
{
    struct tbs_live *l = tb_xcalloc(1, sizeof *l);
    l->nodes = json_object();
    l->changed = json_object();
    l->files = json_array();
    return l;
}

static void live_free(struct tbs_live **lp)
{
    struct tbs_live *l = *lp;
    if (!l)
        return;
    json_decref(l->nodes);
    json_decref(l->changed);
    json_decref(l->files);
    free(l);
    *lp = NULL;
}

static void free_live(void *live)
{
    struct tbs_live *l = live;
    live_free(&l);
}

static void set_node(tb_server *s, const tb_prompt *p, const char *node, const char *state,
                     const char *field, double n)
{
    json_t *o = json_pack("{ss}", "state", state);
    if (field)
        json_object_set_new(o, field, json_real(n));
    json_object_set(p->live->nodes, node, o);
    json_object_set_new(p->live->changed, node, o);
    if (json_object_size(p->live->changed) >= FRAME_MOST)
        flush(s);
    else
        soon(s);
}

static void planned(tb_server *s, const tb_prompt *p, const tb_plan_summary *plan)
{
    p->live->planned = true;
    p->live->summary = *plan;
    flush(s);
    json_t *fields = json_pack("{ss so}", "prompt_id", p->id, "summary", tbs_summary_json(s, plan));
    json_object_set_new(fields, "expanded", p->expanded ? json_incref(p->expanded) : json_null());
    tbs_events_send_take(s, "planned", fields);
}

static void delivered(tb_server *s, const tb_prompt *p, const tb_event *e)
{
    char hex[TB_KEY_HEX];
    tb_key key;
    json_t *entry = tbs_file_entry(s, e->path);
    if (!entry)
        return;
    json_t *file = tbs_file_json_take(tb_prompt_display_node(p, e->node), entry,
                                      e->file_kind && strcmp(e->file_kind, "animation") == 0);
    if (tb_engine_store(s->engine) && tb_run_key(p->run, e->node, &key))
        tbs_file_set_key(file, tb_key_hex(&key, hex));
    json_array_append(p->live->files, file);
    flush(s);
    tbs_events_send_take(s, "delivered", json_pack("{ss so}", "prompt_id", p->id, "file", file));
}

static void failed(tb_server *s, const tb_prompt *p, const tb_event *e)
{
    if (e->node)
        set_node(s, p, e->node, "failed", NULL, 0);
    flush(s);
    tbs_events_send_take(
        s, "failed",
        json_pack("{ss so}", "prompt_id", p->id, "error", tbs_error_json(e->err, e->type)));
}

static void on_run(tb_server *s, tb_prompt *p, const tb_event *e)
{
    switch (e->kind) {
    case TB_EV_PLANNED: planned(s, p, e->plan); break;
    case TB_EV_CACHED: set_node(s, p, e->node, "cached", NULL, 0); break;
    case TB_EV_STARTED: set_node(s, p, e->node, "running", NULL, 0); break;
    case TB_EV_PROGRESS: set_node(s, p, e->node, "running", "share", e->share); break;
    case TB_EV_FINISHED: set_node(s, p, e->node, "done", "ms", e->ms); break;
    case TB_EV_DELIVERED: delivered(s, p, e); break;
    case TB_EV_FAILED: failed(s, p, e); break;
    case TB_EV_BLOCKED:
    case TB_EV_WARNING:
        tbs_events_send_take(s, "warning", json_pack("{so}", "text", tbs_text_json(e->text)));
        break;
    case TB_EV_END:
        if (e->plan)
            p->live->summary = *e->plan;
        break;
    case TB_EV_STORED: break;
    }
    if (e->outputs && s->editor->events->clients &&
        (e->kind == TB_EV_FINISHED || e->kind == TB_EV_CACHED))
        tbs_previews_offer(s, p, e);
}

json_t *tbs_live_json(tb_server *s, const tb_prompt *p)
{
    json_t *run = tbs_run_json(p);
    const struct tbs_live *l = p->live;
    if (p->ended_ms && tb_queue_find(s->queue, p->id) == p) { /* over when that is durable */
        json_object_set_new(run, "state", json_string(tb_prompt_state_name(TB_PROMPT_RUNNING)));
        json_object_set_new(run, "ended_ms", json_integer(0));
        json_object_del(run, "error");
    }
    if (!l)
        return run;
    json_object_set_new(run, "outputs", json_deep_copy(l->files));
    if (l->planned)
        tbs_run_set_counts(run, l->summary.nodes_total, l->summary.nodes_cached,
                           l->summary.nodes_run);
    return run;
}

static void ended(tb_server *s, tb_prompt *p)
{
    flush(s);
    flush_nodes(s, p); /* it has left the queue */
    tbs_events_send_take(s, "ended",
                         json_pack("{ss so}", "prompt_id", p->id, "run", tbs_live_json(s, p)));
    tbs_queue_free_later(s->queue, free_live, p->live);
    p->live = NULL;
}

static void on_queue(void *ctx, tb_queue_event_kind kind, tb_prompt *p, const tb_event *event)
{
    tb_server *s = ctx;
    if (!s->editor) /* the server stops */
        return;
    struct tbs_events *v = s->editor->events;
    if (kind == TB_QUEUE_RUN) {
        on_run(s, p, event);
        return;
    }
    v->queue_changed = true;
    soon(s);
    if (kind == TB_QUEUE_STARTED)
        p->live = live_new();
    else if (kind == TB_QUEUE_ENDED)
        ended(s, p);
}

/* ------------------------------------------------------------------------------------- clients */

static json_t *running_json(tb_server *s)
{
    json_t *list = json_array();
    const tb_prompt *p;
    for (int i = 0; (p = tb_queue_running(s->queue, i)); i++) {
        json_t *o =
            json_pack("{ss so}", "prompt_id", p->id, "nodes", json_deep_copy(p->live->nodes));
        if (p->live->planned)
            json_object_set_new(o, "summary", tbs_summary_json(s, &p->live->summary));
        json_array_append_new(list, o);
    }
    return list;
}

static void opened(void *ctx, tb_socket *socket, const char *query)
{
    tb_server *s = ctx;
    struct tbs_events *v = s->editor->events;
    tbs_client *c = tb_xcalloc(1, sizeof *c);
    (void)query;
    c->socket = socket;
    c->next = v->clients;
    v->clients = c;
    tb_socket_json_take(socket, json_pack("{sI ss ss so so}", "seq", (json_int_t)v->seq, "type",
                                          "snapshot", "server", v->server_id, "queue",
                                          tbs_queue_json(s), "running", running_json(s)));
}

static void closed(void *ctx, tb_socket *socket)
{
    tb_server *s = ctx;
    for (tbs_client **at = &s->editor->events->clients; *at; at = &(*at)->next)
        if ((*at)->socket == socket) {
            tbs_client *c = *at;
            *at = c->next;
            free(c);
            return;
        }
}

/* Clients have nothing to say. */
static void ignore(void *ctx, tb_socket *socket, const char *text, size_t n)
{
    (void)ctx;
    (void)socket;
    (void)text;
    (void)n;
}

const tb_endpoint tbs_editor_endpoint = {
    .path = "/api/tubelet/events",
    .protocol = "events",
    .opened = opened,
    .text = ignore,
    .closed = closed,
};

/* ----------------------------------------------------------------------------------------- log */

/* Any thread, under the log's lock. */
static void on_log(void *ctx, tb_log_level level, const char *line)
{
    static const char *const names[] = { "debug", "info", "warning" };
    struct tbs_events *v = ctx;
    json_t *o = json_pack("{ss so sI}", "level", names[level], "text", tbs_text_json(line),
                          "time_ms", (json_int_t)tb_clock_wall_ms());
    pthread_mutex_lock(&v->lock);
    json_array_append_new(v->lines, o);
    pthread_mutex_unlock(&v->lock);
    uv_async_send(v->wake);
}

static void tell_lines(uv_async_t *wake)
{
    tb_server *s = wake->data;
    struct tbs_events *v = s->editor->events;
    size_t i;
    json_t *line;
    pthread_mutex_lock(&v->lock);
    json_t *lines = v->lines;
    v->lines = json_array();
    pthread_mutex_unlock(&v->lock);
    json_array_foreach(lines, i, line)
    {
        tbs_comfy_log(s, line);
        tbs_events_send_take(s, "log", json_incref(line));
    }
    json_decref(lines);
}

/* ------------------------------------------------------------------------------- open and close */

static void free_handle(uv_handle_t *h)
{
    free(h);
}

void tbs_events_open(tb_server *s)
{
    struct tbs_events *v = tb_xcalloc(1, sizeof *v);
    uint64_t random = 0;
    uv_random(NULL, NULL, &random, sizeof random, 0, NULL);
    snprintf(v->server_id, sizeof v->server_id, "%016llx", (unsigned long long)random);
    s->editor->events = v;
    v->lines = json_array();
    pthread_mutex_init(&v->lock, NULL);
    v->timer = tb_xcalloc(1, sizeof *v->timer);
    v->wake = tb_xcalloc(1, sizeof *v->wake);
    uv_timer_init(tb_engine_loop(s->engine), v->timer);
    uv_async_init(tb_engine_loop(s->engine), v->wake, tell_lines);
    uv_unref((uv_handle_t *)v->timer);
    uv_unref((uv_handle_t *)v->wake);
    v->timer->data = v->wake->data = s;
    tb_queue_listen(s->queue, on_queue, s);
    tb_log_set_listener(on_log, v);
}

void tbs_events_close(tb_server *s)
{
    struct tbs_events *v = s->editor->events;
    tb_prompt *p;
    tb_log_set_listener(NULL, NULL);
    tbs_previews_close(s);
    for (int i = 0; (p = tb_queue_running(s->queue, i)); i++)
        live_free(&p->live);
    json_decref(v->lines);
    uv_close((uv_handle_t *)v->timer, free_handle);
    uv_close((uv_handle_t *)v->wake, free_handle);
    pthread_mutex_destroy(&v->lock);
    while (v->clients) {
        tbs_client *c = v->clients;
        v->clients = c->next;
        free(c);
    }
    free(v);
    s->editor->events = NULL;
}
