/* queue.c - pending prompts in order, and who is told of them. */
#include "server/queue_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

/* ------------------------------------------------------------------------------------- entries */

void tbs_entry_free(tbs_entry **ep)
{
    tbs_entry *e = *ep;
    if (!e)
        return;
    tbs_prompt_clear(&e->p);
    tb_map_free(&e->ran);
    tbs_look_clear(&e->look);
    free(e->current);
    free(e);
    *ep = NULL;
}

typedef struct leaving {
    uv_work_t work;
    void (*free_it)(void *thing);
    void *thing;
} leaving;

static void free_thing(uv_work_t *work)
{
    const leaving *l = work->data;
    l->free_it(l->thing);
}

static void thing_freed(uv_work_t *work, int status)
{
    (void)status; /* never canceled */
    free(work->data);
}

void tbs_queue_free_later(tb_queue *q, void (*free_it)(void *thing), void *thing)
{
    leaving *l = tb_xcalloc(1, sizeof *l);
    *l = (leaving){ .free_it = free_it, .thing = thing };
    l->work.data = l;
    uv_queue_work(tb_engine_loop(q->engine), &l->work, free_thing, thing_freed);
}

static bool before(const tbs_entry *a, const tbs_entry *b)
{
    if (a->resumed != b->resumed)
        return a->resumed;
    if (a->p.number < b->p.number || a->p.number > b->p.number)
        return a->p.number < b->p.number;
    return a->age < b->age;
}

static void insert(tb_queue *q, tbs_entry *e)
{
    tbs_entry **at = &q->first;
    e->age = ++q->age;
    while (*at && before(*at, e))
        at = &(*at)->next;
    e->next = *at;
    *at = e;
}

static tbs_entry **place_of(tb_queue *q, const char *id)
{
    tbs_entry **at = &q->first;
    while (*at && strcmp((*at)->p.id, id) != 0)
        at = &(*at)->next;
    return at;
}

void tbs_queue_tell(tb_queue *q, tb_queue_event_kind kind, tbs_entry *e, const tb_event *event)
{
    for (size_t i = 0; i < q->listener_count && !q->closing; i++)
        q->listeners[i].fn(q->listeners[i].ctx, kind, &e->p, event);
}

/* ------------------------------------------------------------------------------- begin and end */

static void on_kick(uv_timer_t *t)
{
    tbs_queue_run_next(t->data);
}

void tbs_queue_kick(tb_queue *q)
{
    if (q->started && q->first && tbs_queue_has_room(q) && !q->closing)
        uv_timer_start(&q->kick, on_kick, 0, 0);
}

/* What was pending or running, in order of arrival. */
static void take_rows(tb_queue *q, const tb_prompt_row *rows, int count)
{
    for (int i = 0; i < count; i++) {
        tbs_entry *e = tb_xcalloc(1, sizeof *e);
        e->queue = q;
        tbs_prompt_from_row(&e->p, &rows[i]);
        e->resumed = e->p.state == TB_PROMPT_RUNNING;
        if (e->p.state == TB_PROMPT_RUNNING)
            e->p.state = TB_PROMPT_PENDING;
        if (!e->p.numbered)
            q->counter = fmax(q->counter, fabs(e->p.number) + 1);
        insert(q, e);
    }
}

tb_queue *tb_queue_new(tb_engine *engine, tb_err *err)
{
    tb_store *store = tb_engine_store(engine);
    tb_prompt_row *rows = NULL;
    int count = 0;
    if (!store) {
        tb_err_set(err, TB_ESTORE,
                   "the queue is kept in the store, and there is none; give it a folder that can "
                   "be written with --store or TUBELET_STORE");
        return NULL;
    }
    if (tb_store_prompts(store, &rows, &count, err) != TB_OK)
        return NULL;
    tb_queue *q = tb_xcalloc(1, sizeof *q);
    q->engine = engine;
    q->store = store;
    q->writing_end = &q->writing;
    pthread_mutex_init(&q->look, NULL);
    uv_timer_init(tb_engine_loop(engine), &q->kick);
    q->kick.data = q;
    take_rows(q, rows, count);
    tb_prompt_rows_free(&rows, count);
    return q;
}

void tb_queue_set_hooks(tb_queue *q, const tb_queue_hooks *h)
{
    q->hooks = *h;
}

void tb_queue_start(tb_queue *q)
{
    q->started = true;
    tbs_queue_kick(q);
}

static void on_closed(uv_handle_t *h)
{
    free(h->data);
}

void tb_queue_free(tb_queue **qp)
{
    tb_queue *q = *qp;
    if (!q)
        return;
    q->closing = true;
    uv_timer_stop(&q->kick);
    for (tbs_entry *e = q->running; e; e = e->next_running)
        if (e->p.run)
            tb_run_cancel(e->p.run);
    while (q->running || q->writing)
        uv_run(tb_engine_loop(q->engine), UV_RUN_ONCE);
    for (tbs_entry *e = q->first, *next; e; e = next) {
        next = e->next;
        tbs_entry_free(&e);
    }
    free(q->listeners);
    tb_map_free(&q->seen);
    pthread_mutex_destroy(&q->look);
    uv_close((uv_handle_t *)&q->kick, on_closed);
    *qp = NULL;
}

void tb_queue_listen(tb_queue *q, tb_queue_fn fn, void *ctx)
{
    TB_GROW(q->listeners, q->listener_cap, q->listener_count + 1);
    q->listeners[q->listener_count++] = (tbs_listener){ fn, ctx };
}

/* ----------------------------------------------------------------------------- adding, removing */

/* Version 4 of RFC 9562: 122 random bits. */
static char *new_uuid(void)
{
    unsigned char b[16];
    uv_random(NULL, NULL, b, sizeof b, 0, NULL);
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    return tb_xasprintf("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
                        b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11],
                        b[12], b[13], b[14], b[15]);
}

static char *title_of(const tb_prompt_request *r)
{
    char text[64];
    if (r->title)
        return tb_xstrdup(r->title);
    const size_t n = json_object_size(r->graph);
    snprintf(text, sizeof text, "graph of %zu node%s", n, n == 1 ? "" : "s");
    return tb_xstrdup(text);
}

static double number_for(tb_queue *q, const tb_prompt_request *r)
{
    if (r->numbered)
        return r->number;
    const double n = q->counter++;
    return r->front ? -n : n;
}

static tbs_entry *new_entry(tb_queue *q, const tb_prompt_request *r)
{
    tbs_entry *e = tb_xcalloc(1, sizeof *e);
    e->p = (tb_prompt){
        .id = r->id ? tb_xstrdup(r->id) : new_uuid(),
        .client_id = r->client_id ? tb_xstrdup(r->client_id) : NULL,
        .title = title_of(r),
        .number = number_for(q, r),
        .numbered = r->numbered,
        .state = TB_PROMPT_PENDING,
        .no_cache = r->no_cache,
        .graph = json_incref(r->graph),
        .document = json_incref(r->document),
        .extra_data = json_incref(r->extra_data),
        .outputs = json_incref(r->outputs),
        .created_ms = tb_clock_wall_ms(),
        .ui = json_object(),
        .messages = json_array(),
        .cached = json_array(),
        .executed = json_array(),
    };
    e->queue = q;
    return e;
}

static const tbs_entry *being_added(const tb_queue *q, const char *id)
{
    for (const tbs_entry *e = q->writing; e; e = e->next)
        if (!e->p.ended_ms && strcmp(e->p.id, id) == 0)
            return e;
    return NULL;
}

tb_status tb_queue_add(tb_queue *q, const tb_prompt_request *r, tb_queue_added_fn added, void *ctx,
                       tb_err *err)
{
    if (r->id && (tb_queue_find(q, r->id) || being_added(q, r->id)))
        return tb_err_set(err, TB_EINVAL, "the prompt '%.100s' is in the queue already", r->id);
    tbs_entry *e = new_entry(q, r);
    e->added = added;
    e->added_ctx = ctx;
    tbs_queue_write(q, e);
    return TB_OK;
}

void tbs_queue_added(tb_queue *q, tbs_entry *e)
{
    const tb_err err = e->write_err;
    if (err.status != TB_OK) {
        e->added(e->added_ctx, NULL, &err);
        tbs_entry_free(&e);
        return;
    }
    insert(q, e);
    tbs_queue_tell(q, TB_QUEUE_ADDED, e, NULL);
    e->added(e->added_ctx, &e->p, NULL);
    tbs_queue_kick(q);
}

static void remove_at(tb_queue *q, tbs_entry **at)
{
    tbs_entry *e = *at;
    *at = e->next;
    tb_store_prompt_remove(q->store, e->p.id, false);
    tbs_queue_tell(q, TB_QUEUE_REMOVED, e, NULL);
    tbs_entry_free(&e);
}

bool tb_queue_remove(tb_queue *q, const char *id)
{
    tbs_entry **at = place_of(q, id);
    if (!*at)
        return false;
    remove_at(q, at);
    return true;
}

void tb_queue_clear(tb_queue *q)
{
    while (q->first)
        remove_at(q, &q->first);
}

bool tb_queue_interrupt(tb_queue *q, const char *id)
{
    bool any = false;
    for (tbs_entry *e = q->running; e; e = e->next_running) {
        if (e->p.ended_ms || (id && strcmp(e->p.id, id) != 0))
            continue;
        any = e->interrupted = true;
        if (e->p.run)
            tb_run_cancel(e->p.run);
    }
    return any;
}

/* ------------------------------------------------------------------------------------- looking */

tb_prompt *tb_queue_find(const tb_queue *q, const char *id)
{
    for (tbs_entry *e = q->running; e; e = e->next_running)
        if (strcmp(e->p.id, id) == 0)
            return &e->p;
    for (tbs_entry *e = q->first; e; e = e->next)
        if (strcmp(e->p.id, id) == 0)
            return &e->p;
    return NULL;
}

tb_prompt *tb_queue_pending(const tb_queue *q, int i)
{
    tbs_entry *e = q->first;
    while (e && i-- > 0)
        e = e->next;
    return e ? &e->p : NULL;
}

tb_prompt *tb_queue_running(const tb_queue *q, int i)
{
    tbs_entry *e = q->running;
    while (e && i-- > 0)
        e = e->next_running;
    return e ? &e->p : NULL;
}

int tb_queue_remaining(const tb_queue *q)
{
    int n = 0;
    for (const tbs_entry *e = q->running; e; e = e->next_running)
        n++;
    for (const tbs_entry *e = q->first; e; e = e->next)
        n++;
    return n;
}
