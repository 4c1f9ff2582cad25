/* comfy_queue.c - /queue, /interrupt, /history and /free: 2.3 to 2.5, 2.12. */
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "server/comfy_internal.h"
#include "server/comfy_routes.h"

static json_t *item_of(const tb_prompt *p)
{
    json_t *number = p->numbered ? json_real(p->number) : json_integer((json_int_t)p->number);
    json_t *extra = p->extra_data ? json_incref(p->extra_data) : json_object();
    return json_pack("[osOoO]", number, p->id, p->graph, extra, p->outputs);
}

/* Prompts do not change what is told of them: a worker may write it. */
static json_t *as_it_is(void *arg, tb_err *err)
{
    (void)err;
    return arg;
}

void tbs_get_queue(void *ctx, tb_request *q)
{
    const tb_server *s = ctx;
    const tb_prompt *p;
    json_t *running = json_array(), *pending = json_array();
    for (int i = 0; (p = tb_queue_running(s->queue, i)); i++)
        json_array_append_new(running, item_of(p));
    for (int i = 0; (p = tb_queue_pending(s->queue, i)); i++)
        json_array_append_new(pending, item_of(p));
    tb_reply_made(q, as_it_is,
                  json_pack("{soso}", "queue_running", running, "queue_pending", pending));
}

/* {"clear": true} and {"delete": [ids]}; `leave` is told one id, or NULL for all. */
static void clear_or_delete(tb_queue *queue, tb_request *q,
                            void (*leave)(tb_queue *queue, const char *id))
{
    json_t *body = tb_request_json(q), *id;
    size_t i;
    if (!body)
        return;
    if (tbs_is_truthy(json_object_get(body, "clear")))
        leave(queue, NULL);
    json_array_foreach(json_object_get(body, "delete"), i, id)
    {
        if (json_is_string(id))
            leave(queue, json_string_value(id));
    }
    json_decref(body);
    tb_reply_empty(q, 200);
}

static void leave_queue(tb_queue *queue, const char *id)
{
    if (id)
        tb_queue_remove(queue, id);
    else
        tb_queue_clear(queue);
}

void tbs_post_queue(void *ctx, tb_request *q)
{
    clear_or_delete(((tb_server *)ctx)->queue, q, leave_queue);
}

void tbs_post_interrupt(void *ctx, tb_request *q)
{
    tb_server *s = ctx;
    size_t n;
    const char *text = tb_request_body(q, &n);
    /* what is no JSON asks for nothing in particular: all that run are stopped */
    json_t *body = tb_json_parse(text, n, "the body", NULL);
    const char *id = json_string_value(json_object_get(body, "prompt_id"));
    tb_queue_interrupt(s->queue, id && *id ? id : NULL);
    json_decref(body);
    tb_reply_empty(q, 200);
}

/* What of the history is asked for. */
typedef struct part {
    tb_queue *queue;
    int64_t limit, offset;
    char *id; /* NULL: a list */
} part;

static json_t *read_history(void *arg, tb_err *err)
{
    part *w = arg;
    json_t *j = w->id ? tb_queue_history_of(w->queue, w->id, err)
                      : tb_queue_history(w->queue, w->limit, w->offset, err);
    free(w->id);
    free(w);
    return j;
}

static void reply_history(tb_server *s, tb_request *q, part wanted)
{
    part *w = tb_xcalloc(1, sizeof *w);
    *w = wanted;
    w->queue = s->queue;
    tb_reply_made(q, read_history, w);
}

/* An integer of the query as Python reads it, -1 when it is not there. false: it is something else,
 * and the client has been told. */
static bool read_integer(tb_request *q, const char *name, int64_t *v)
{
    const char *text = tb_request_query(q, name);
    *v = -1;
    if (!text || tbs_query_integer(text, v))
        return true;
    char *message = tb_xasprintf("%s must be an integer", name);
    tb_reply_json_take(q, 400, json_pack("{ss}", "error", message));
    free(message);
    return false;
}

void tbs_get_history(void *ctx, tb_request *q)
{
    int64_t limit, offset;
    if (!read_integer(q, "max_items", &limit) || !read_integer(q, "offset", &offset))
        return;
    if (limit < 0 && tb_request_query(q, "max_items"))
        limit = 0;
    /* an offset of 0 counts from the oldest only where there is a limit */
    if (offset < 0 || (offset == 0 && limit < 0))
        offset = -1;
    reply_history(ctx, q, (part){ .limit = limit, .offset = offset });
}

void tbs_get_history_of(void *ctx, tb_request *q)
{
    reply_history(ctx, q, (part){ .id = tb_xstrdup(tb_request_rest(q)) });
}

void tbs_post_history(void *ctx, tb_request *q)
{
    clear_or_delete(((tb_server *)ctx)->queue, q, tb_queue_history_remove);
}
