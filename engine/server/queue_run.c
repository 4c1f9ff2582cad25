/* queue_run.c - a prompt that runs: from submission to its place in the history. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "server/queue_internal.h"

/* How far it is; nobody waits for it. */
static void note_state(tb_queue *q, const tb_prompt *p)
{
    tb_prompt_row row = tbs_row_of(p, false);
    tb_store_prompt_set(q->store, &row, false, NULL);
    tb_prompt_row_clear(&row);
}

/* ---------------------------------------------------------------------------------------- over */

/* The entry is in the history before anybody is told. */
static void finish(tb_queue *q, tbs_entry *e, tb_prompt_state state)
{
    tb_prompt *p = &e->p;
    p->state = state;
    p->ended_ms = tb_clock_wall_ms();
    p->run = NULL;
    tbs_message_end(e, p);
    tbs_queue_write(q, e);
}

static void leave_running(tb_queue *q, const tbs_entry *e)
{
    tbs_entry **at = &q->running;
    while (*at != e)
        at = &(*at)->next_running;
    *at = e->next_running;
}

static void free_entry(void *entry)
{
    tbs_entry *e = entry;
    tbs_entry_free(&e);
}

void tbs_queue_ended(tb_queue *q, tbs_entry *e)
{
    if (e->write_err.status != TB_OK)
        tb_log(TB_LOG_WARN, "the prompt %s could not be written to the store: %s", e->p.id,
               e->write_err.message);
    leave_running(q, e);
    tbs_queue_tell(q, TB_QUEUE_ENDED, e, NULL);
    tbs_queue_free_later(q, free_entry, e);
    tbs_queue_kick(q);
}

/* The server stops: "running" stays in the store, and the next server goes on with it. */
static void leave(tb_queue *q, tbs_entry *e)
{
    leave_running(q, e);
    tbs_entry_free(&e);
}

static void ended(tb_queue *q, tbs_entry *e, const tb_event *ev)
{
    if (ev->status == TB_ECANCELED && !e->interrupted) {
        leave(q, e);
        return;
    }
    if (ev->err)
        e->p.err = *ev->err;
    finish(q, e,
           ev->status == TB_OK          ? TB_PROMPT_DONE
           : ev->status == TB_ECANCELED ? TB_PROMPT_CANCELED
                                        : TB_PROMPT_FAILED);
}

/* -------------------------------------------------------------------------------------- events */

static void on_plan(void *ctx, const tb_run *run)
{
    tbs_entry *e = ctx;
    e->look = tbs_look_at(e->queue, &e->p, run);
}

static void planned(tb_queue *q, tbs_entry *e)
{
    tb_prompt *p = &e->p;
    json_decref(p->cached);
    p->run_id = tb_run_id(p->run);
    p->cached = json_incref(e->look.cached);
    p->plan = e->look.plan;
    p->expanded = e->look.expanded;
    tbs_message_cached(p);
    note_state(q, p);
}

static void free_json(void *j)
{
    json_decref(j);
}

/* They are large, and nobody needs them any more. */
static void forget_plan(tb_queue *q, tbs_entry *e)
{
    tbs_queue_free_later(q, free_json, e->look.plan);
    tbs_queue_free_later(q, free_json, e->look.expanded);
    e->look.plan = e->look.expanded = e->p.plan = e->p.expanded = NULL;
}

bool tb_prompt_is_cached(const tb_prompt *p, const char *node)
{
    const tbs_entry *e = (const tbs_entry *)p; /* its first member */
    return e->look.held && tb_map_get(e->look.held, node) >= 0;
}

static void ran(tbs_entry *e, const char *node)
{
    const char *shown = tb_prompt_display_node(&e->p, node);
    if (!shown || tb_prompt_is_cached(&e->p, shown) || tb_map_get(e->ran, shown) >= 0)
        return;
    tb_map_set(e->ran, shown, 1);
    json_array_append_new(e->p.executed, json_string(shown));
}

/* The list of that name in the UI object of a node, made if it is not there. Borrowed. */
static json_t *ui_list(tb_prompt *p, const char *node, const char *name)
{
    json_t *ui = json_object_get(p->ui, node);
    if (!ui) {
        ui = json_object();
        json_object_set_new(p->ui, node, ui);
    }
    if (!json_object_get(ui, name))
        json_object_set_new(ui, name, json_array());
    return json_object_get(ui, name);
}

static void delivered(tb_queue *q, tbs_entry *e, const tb_event *ev)
{
    const char *node = tb_prompt_display_node(&e->p, ev->node);
    json_t *file = q->hooks.file ? q->hooks.file(q->hooks.ctx, ev->path) : NULL;
    if (!file)
        return;
    json_array_append_new(ui_list(&e->p, node, "images"), file);
    json_t *ui = json_object_get(e->p.ui, node);
    if (strcmp(ev->file_kind, "video") == 0 || strcmp(ev->file_kind, "animation") == 0)
        json_object_set_new(ui, "animated", json_pack("[b]", 1));
}

/* The texts an output node shows: its output `text`. */
static void shown(tbs_entry *e, const tb_event *ev)
{
    const tb_type *t = tb_types_find(tb_run_types(e->p.run), ev->type);
    const int slot = t && t->def->flags & TB_NODE_TARGET ? tb_type_output(t, "text") : -1;
    if (slot < 0 || slot >= ev->output_count || strcmp(t->def->outputs[slot].type, "STRING") != 0)
        return;
    const char *node = tb_prompt_display_node(&e->p, ev->node);
    for (int i = 0; i < tb_list_count(ev->outputs[slot]); i++) {
        const tb_value *v = tb_list_at(ev->outputs[slot], i);
        if (tb_value_kind(v) == TB_STRING)
            json_array_append_new(ui_list(&e->p, node, "text"), json_string(tb_value_as_string(v)));
    }
}

static void note(tb_queue *q, tbs_entry *e, const tb_event *ev)
{
    switch (ev->kind) {
    case TB_EV_PLANNED: planned(q, e); break;
    case TB_EV_STARTED:
        free(e->current);
        e->current = tb_xstrdup(ev->node);
        break;
    case TB_EV_FINISHED:
        ran(e, ev->node);
        shown(e, ev);
        break;
    case TB_EV_CACHED: shown(e, ev); break;
    case TB_EV_DELIVERED: delivered(q, e, ev); break;
    case TB_EV_PROGRESS:
    case TB_EV_FAILED:
    case TB_EV_STORED:
    case TB_EV_BLOCKED:
    case TB_EV_WARNING:
    case TB_EV_END: break;
    }
}

static void on_event(void *ctx, tb_run *run, const tb_event *ev)
{
    tbs_entry *e = ctx;
    tb_queue *q = e->queue;
    (void)run;
    note(q, e, ev);
    tbs_queue_tell(q, TB_QUEUE_RUN, e, ev);
    if (ev->kind == TB_EV_PLANNED)
        forget_plan(q, e);
    if (ev->kind == TB_EV_END)
        ended(q, e, ev);
}

/* ----------------------------------------------------------------------------------- the start */

/* A run that is being made of a prompt. */
typedef struct making {
    uv_work_t work;
    tb_queue *queue;
    tbs_entry *entry;
    tb_run *run;
    tb_err err;
} making;

static void make_run(uv_work_t *work)
{
    making *m = work->data;
    const tb_queue *q = m->queue;
    const tb_prompt *p = &m->entry->p;
    tb_run_options o = { .document = p->document,
                         .title = p->title,
                         .no_cache = p->no_cache,
                         .resume = p->run_id,
                         .on_plan = on_plan,
                         .on_event = on_event,
                         .ctx = m->entry };
    if (q->hooks.prepare)
        q->hooks.prepare(q->hooks.ctx, p, &o);
    m->run = tb_engine_make(q->engine, &o, NULL, &m->err);
}

static void made(uv_work_t *work, int status)
{
    making *m = work->data;
    tb_queue *q = m->queue;
    tbs_entry *e = m->entry;
    tb_run *run = m->run;
    const tb_err err = m->err;
    (void)status; /* never canceled */
    free(m);
    if (run && !q->closing && !e->interrupted) {
        e->p.run = run;
        tb_engine_add_take(q->engine, run);
        return;
    }
    tb_run_drop(&run);
    e->p.err = err;
    if (e->interrupted)
        tb_err_set(&e->p.err, TB_ECANCELED, "stopped on request");
    if (e->interrupted || err.status != TB_OK)
        finish(q, e, e->interrupted ? TB_PROMPT_CANCELED : TB_PROMPT_FAILED);
    else
        leave(q, e);
}

static void submit(tb_queue *q, tbs_entry *e)
{
    making *m = tb_xcalloc(1, sizeof *m);
    *m = (making){ .queue = q, .entry = e };
    m->work.data = m;
    uv_queue_work(tb_engine_loop(q->engine), &m->work, make_run, made);
}

bool tbs_queue_has_room(const tb_queue *q)
{
    return !tb_queue_running(q, tb_engine_runs_at_once(q->engine) - 1);
}

void tbs_queue_run_next(tb_queue *q)
{
    tbs_entry *e = q->first, **end = &q->running;
    if (!e || !tbs_queue_has_room(q) || q->closing)
        return;
    q->first = e->next;
    e->next = NULL;
    while (*end)
        end = &(*end)->next_running;
    *end = e;
    e->ran = tb_map_new();
    e->p.state = TB_PROMPT_RUNNING;
    e->p.started_ms = tb_clock_wall_ms();
    tbs_message_start(&e->p);
    note_state(q, &e->p);
    tbs_queue_tell(q, TB_QUEUE_STARTED, e, NULL);
    if (e->p.err.status == TB_OK)
        submit(q, e);
    else /* a damaged row */
        finish(q, e, TB_PROMPT_FAILED);
    tbs_queue_kick(q);
}
