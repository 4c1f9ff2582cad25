/* comfy_events.c - what happens in the queue as frames for ComfyUI's clients, in its order:
 * section 4.
 *
 * An expanded node is announced itself when the first of its inner nodes begins, then each of those
 * by its own id with display_node naming it.
 */
#include "server/comfy_internal.h"

static void send_last_message(tbs_comfy *c, const tb_prompt *p, tbs_reach reach)
{
    const json_t *m = json_array_get(p->messages, json_array_size(p->messages) - 1);
    tbs_comfy_send(c, p, reach, json_string_value(json_array_get(m, 0)),
                   json_incref(json_array_get(m, 1)));
}

static void send_executing(tbs_comfy *c, const tb_prompt *p, const char *node, const char *display)
{
    tbs_comfy_send(
        c, p, TBS_OWNER, "executing",
        json_pack("{ssssss}", "node", node, "display_node", display, "prompt_id", p->id));
}

static void begin_node(tbs_comfy *c, tb_prompt *p, const char *node)
{
    const char *display = tb_prompt_display_node(p, node);
    if (tb_prompt_is_cached(p, display)) /* a trivial node, which gives the same again */
        return;
    if (tbs_progress_start(c, p, display))
        send_executing(c, p, display, display);
    if (tbs_progress_start(c, p, node))
        send_executing(c, p, node, display);
}

/* All files of a node in one frame. */
static void tell_delivered(tbs_comfy *c, tb_prompt *p)
{
    const char **waiting = tbs_progress_delivered(p), *node = *waiting;
    if (!node)
        return;
    *waiting = NULL;
    json_t *output = json_object_get(p->ui, node);
    tbs_comfy_send(c, p, TBS_OWNER, "executed",
                   json_pack("{sssssOss}", "node", node, "display_node", node, "output",
                             output ? output : json_null(), "prompt_id", p->id));
    if (!tbs_progress_begun(p, node)) /* its result was stored: it only delivered */
        tbs_progress_finish(c, p, node);
}

static void delivered(tbs_comfy *c, tb_prompt *p, const char *node)
{
    const char *display = tb_prompt_display_node(p, node);
    if (*tbs_progress_delivered(p) != display)
        tell_delivered(c, p);
    *tbs_progress_delivered(p) = display;
    if (!uv_is_active((uv_handle_t *)&c->later))
        uv_timer_start(&c->later, tbs_comfy_on_later, 0, 0);
}

void tbs_comfy_on_later(uv_timer_t *t)
{
    tbs_comfy *c = t->data;
    tb_prompt *p;
    for (int i = 0; c->server && (p = tb_queue_running(c->server->queue, i)); i++) {
        tell_delivered(c, p);
        tbs_progress_flush(c, p);
    }
}

/* An output node that shows text has its result. */
static void tell_text(tbs_comfy *c, tb_prompt *p, const tb_event *ev)
{
    const tb_type *t = tb_types_find(tb_run_types(p->run), ev->type);
    const json_t *ui = json_object_get(p->ui, tb_prompt_display_node(p, ev->node));
    if (t && t->def->flags & TB_NODE_TARGET && json_object_get(ui, "text"))
        delivered(c, p, ev->node);
}

/* An error to look at, but the prompt goes on and its history does not know of it. */
static void tell_blocked(tbs_comfy *c, const tb_prompt *p, const tb_event *ev)
{
    json_t *message = json_sprintf("Execution Blocked: %s", ev->text);
    tbs_comfy_send(c, p, TBS_OWNER_OR_ALL, "execution_error",
                   json_pack("{sssssssOsosss[]s[]s[]}", "prompt_id", p->id, "node_id", ev->node,
                             "node_type", ev->type, "executed", p->executed, "exception_message",
                             message ? message : json_string("Execution Blocked"), "exception_type",
                             "ExecutionBlocked", "traceback", "current_inputs", "current_outputs"));
}

static void on_run(tbs_comfy *c, tb_prompt *p, const tb_event *ev)
{
    if (ev->kind == TB_EV_DELIVERED) {
        delivered(c, p, ev->node);
        return;
    }
    tell_delivered(c, p);
    switch (ev->kind) {
    case TB_EV_PLANNED:
        tbs_progress_planned(p);
        send_last_message(c, p, TBS_OWNER);
        break;
    case TB_EV_STARTED: begin_node(c, p, ev->node); break;
    case TB_EV_FINISHED:
        begin_node(c, p, ev->node);
        if (tbs_progress_begun(p, ev->node))
            tbs_progress_finish(c, p, ev->node);
        tbs_preview_node(c, p, ev);
        tell_text(c, p, ev);
        break;
    case TB_EV_CACHED:
        if (tbs_progress_begun(p, ev->node))
            tbs_progress_finish(c, p, ev->node);
        tell_text(c, p, ev);
        break;
    case TB_EV_BLOCKED: tell_blocked(c, p, ev); break;
    case TB_EV_PROGRESS: tbs_progress_share(c, p, ev->node, ev->share); break;
    case TB_EV_DELIVERED:
    case TB_EV_FAILED:
    case TB_EV_STORED:
    case TB_EV_WARNING:
    case TB_EV_END: break;
    }
}

static void started(tbs_comfy *c, tb_prompt *p)
{
    p->progress = tbs_progress_new();
    tbs_comfy_send_status(c);
    send_last_message(c, p, TBS_OWNER);
}

static void free_progress(void *progress)
{
    tbs_progress *g = progress;
    tbs_progress_free(&g);
}

static void ended(tbs_comfy *c, tb_prompt *p)
{
    const bool all_know = p->state == TB_PROMPT_CANCELED;
    tell_delivered(c, p);
    if (p->state == TB_PROMPT_DONE)
        tbs_progress_finish_all(c, p);
    tbs_progress_flush(c, p);
    send_last_message(c, p, all_know ? TBS_OWNER_OR_ALL : TBS_OWNER);
    tbs_comfy_send_status(c);
    tbs_comfy_send(c, p, TBS_OWNER, "executing",
                   json_pack("{snsnss}", "node", "display_node", "prompt_id", p->id));
    tbs_queue_free_later(c->server->queue, free_progress, p->progress);
    p->progress = NULL;
}

void tbs_comfy_on_queue(void *ctx, tb_queue_event_kind kind, tb_prompt *p, const tb_event *ev)
{
    tb_server *s = ctx;
    tbs_comfy *c = s->comfy;
    if (!c)
        return;
    switch (kind) {
    case TB_QUEUE_ADDED:
    case TB_QUEUE_REMOVED: tbs_comfy_send_status(c); break;
    case TB_QUEUE_STARTED: started(c, p); break;
    case TB_QUEUE_RUN: on_run(c, p, ev); break;
    case TB_QUEUE_ENDED:
        ended(c, p);
        tbs_comfy_free_asked(s);
        break;
    }
}
