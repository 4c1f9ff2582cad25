/* queue_run.c - the prompt that runs: from submission to its place in the history. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "server/queue_internal.h"

static void save(tb_queue *q, const tb_prompt *p, bool wait)
{
    tb_err err = TB_ERR_INIT;
    tb_prompt_row row = tbs_row_of(p, false);
    if (tb_store_prompt_set(q->store, &row, wait, &err) != TB_OK)
        tb_log(TB_LOG_WARN, "the prompt %s could not be written to the store: %s", p->id,
               err.message);
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
    save(q, p, true);
    q->running = NULL;
    tbs_queue_tell(q, TB_QUEUE_ENDED, e, NULL);
    tbs_entry_free(&e);
    tbs_queue_kick(q);
}

/* The server stops: "running" stays in the store, and the next server goes on with it. */
static void leave(tb_queue *q, tbs_entry *e)
{
    q->running = NULL;
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
    else
        tbs_queue_remember(q, &e->p);
    finish(q, e,
           ev->status == TB_OK          ? TB_PROMPT_DONE
           : ev->status == TB_ECANCELED ? TB_PROMPT_CANCELED
                                        : TB_PROMPT_FAILED);
}

/* -------------------------------------------------------------------------------------- events */

static void planned(tb_queue *q, tbs_entry *e)
{
    size_t i;
    json_t *id;
    json_decref(e->p.cached);
    e->p.run_id = tb_run_id(e->p.run);
    e->p.cached = tbs_cached_nodes(q, &e->p);
    e->held = tb_map_new();
    json_array_foreach(e->p.cached, i, id)
    {
        tb_map_set(e->held, json_string_value(id), 1);
    }
    tbs_message_cached(&e->p);
    save(q, &e->p, false);
}

bool tb_prompt_is_cached(const tb_prompt *p, const char *node)
{
    const tbs_entry *e = (const tbs_entry *)p; /* its first member */
    return e->held && tb_map_get(e->held, node) >= 0;
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
    json_t *list = ui_list(&e->p, tb_prompt_display_node(&e->p, ev->node), "text");
    for (int i = 0; i < tb_list_count(ev->outputs[slot]); i++) {
        const tb_value *v = tb_list_at(ev->outputs[slot], i);
        if (tb_value_kind(v) == TB_STRING)
            json_array_append_new(list, json_string(tb_value_as_string(v)));
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
    case TB_EV_WARNING:
    case TB_EV_END: break;
    }
}

static void on_event(void *ctx, tb_run *run, const tb_event *ev)
{
    tb_queue *q = ctx;
    tbs_entry *e = q->running;
    (void)run;
    note(q, e, ev);
    tbs_queue_tell(q, TB_QUEUE_RUN, e, ev);
    if (ev->kind == TB_EV_END)
        ended(q, e, ev);
}

/* ----------------------------------------------------------------------------------- the start */

static tb_status submit(tb_queue *q, tbs_entry *e)
{
    tb_run_options o = { .document = e->p.document,
                         .title = e->p.title,
                         .no_cache = e->p.no_cache,
                         .resume = e->p.run_id,
                         .on_event = on_event,
                         .ctx = q };
    if (e->p.err.status != TB_OK) /* a damaged row */
        return e->p.err.status;
    if (q->hooks.prepare)
        q->hooks.prepare(q->hooks.ctx, &e->p, &o);
    if (e->types) {
        o.script = e->script;
        o.types = e->types;
    }
    e->p.run = tb_engine_submit(q->engine, &o, NULL, &e->p.err);
    return e->p.run ? TB_OK : e->p.err.status;
}

void tbs_queue_loaded(tb_queue *q, tbs_entry *e)
{
    if (q->closing) {
        leave(q, e);
    } else if (e->interrupted) {
        finish(q, e, TB_PROMPT_CANCELED);
    } else if (e->load_err.status != TB_OK) {
        e->p.err = e->load_err;
        finish(q, e, TB_PROMPT_FAILED);
    } else if (submit(q, e) != TB_OK) {
        finish(q, e, TB_PROMPT_FAILED);
    }
}

void tbs_queue_run_next(tb_queue *q)
{
    tbs_entry *e = q->first;
    if (!e || q->running || q->closing)
        return;
    tbs_queue_drop_script(q);
    q->first = e->next;
    e->next = NULL;
    q->running = e;
    e->ran = tb_map_new();
    e->p.state = TB_PROMPT_RUNNING;
    e->p.started_ms = tb_clock_wall_ms();
    tbs_message_start(&e->p);
    save(q, &e->p, false);
    tbs_queue_tell(q, TB_QUEUE_STARTED, e, NULL);
    if (tbs_queue_has_script(e))
        tbs_queue_load_script(q, e);
    else if (submit(q, e) != TB_OK)
        finish(q, e, TB_PROMPT_FAILED);
}
