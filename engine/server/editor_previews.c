/* editor_previews.c - pictures of what a run has made, for the editor's clients.
 *
 * A worker encodes one at a time. What finishes meanwhile waits, the newest of each node of the
 * submitted graph: a sampler shows its last step, not all of them late.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "server/editor_events.h"
#include "server/preview.h"

enum { MOST = 32, SIDE = 512, KIND_JPEG = 1, HEADER = 8, VERSION = 1 };

typedef struct offer {
    char *display, *node;
    uint32_t run;
    tb_value **outputs;
    int count;
} offer;

struct tbs_previews {
    tb_server *server;
    offer waiting[MOST]; /* in the order they came */
    int count;
    bool encoding;
    offer current;
    tb_tensor *picture; /* NULL: there is none */
    uv_work_t work;
};

static void clear(offer *o)
{
    for (int i = 0; i < o->count; i++)
        tb_value_unref(&o->outputs[i]);
    free(o->outputs);
    free(o->display);
    free(o->node);
    *o = (offer){ 0 };
}

static void encode(uv_work_t *work)
{
    struct tbs_previews *v = work->data;
    tb_err err = TB_ERR_INIT; /* without a picture there is nothing to tell */
    v->picture = tb_preview_encode(
        v->current.outputs, v->current.count,
        &(tb_preview_options){ .frame = -1, .max_side = SIDE, .format = "jpg" }, &err);
}

static void send_picture(const struct tbs_previews *v)
{
    const offer *o = &v->current;
    const size_t id = strlen(o->node), n = tb_tensor_bytes(v->picture);
    unsigned char *frame = tb_xcalloc(HEADER + id + n, 1);
    frame[0] = VERSION;
    frame[1] = KIND_JPEG;
    frame[2] = (unsigned char)(id >> 8);
    frame[3] = (unsigned char)id;
    for (int i = 0; i < 4; i++)
        frame[4 + i] = (unsigned char)(o->run >> (24 - 8 * i));
    memcpy(frame + HEADER, o->node, id);
    memcpy(frame + HEADER + id, tb_tensor_data(v->picture), n);
    for (tbs_client *c = v->server->editor->events->clients; c; c = c->next)
        tb_socket_binary(c->socket, o->display, frame, HEADER + id + n);
    free(frame);
}

static void next(struct tbs_previews *v);

static void encoded(uv_work_t *work, int status)
{
    struct tbs_previews *v = work->data;
    (void)status; /* never canceled */
    v->encoding = false;
    if (v->picture)
        send_picture(v);
    tb_tensor_unref(&v->picture);
    clear(&v->current);
    next(v);
}

static void next(struct tbs_previews *v)
{
    if (v->encoding || !v->count)
        return;
    v->current = v->waiting[0];
    memmove(v->waiting, v->waiting + 1, (size_t)--v->count * sizeof *v->waiting);
    v->encoding = true;
    v->work.data = v;
    uv_queue_work(tb_engine_loop(v->server->engine), &v->work, encode, encoded);
}

/* The place of this node's picture; the oldest makes room. */
static offer *place(struct tbs_previews *v, uint32_t run, const char *display)
{
    for (int i = 0; i < v->count; i++)
        if (v->waiting[i].run == run && strcmp(v->waiting[i].display, display) == 0) {
            clear(&v->waiting[i]);
            return &v->waiting[i];
        }
    if (v->count == MOST) {
        clear(&v->waiting[0]);
        memmove(v->waiting, v->waiting + 1, (size_t)--v->count * sizeof *v->waiting);
    }
    return &v->waiting[v->count++];
}

void tbs_previews_offer(tb_server *s, const tb_prompt *p, const tb_event *e)
{
    struct tbs_events *events = s->editor->events;
    struct tbs_previews *v = events->previews;
    if (!tb_preview_possible(e->outputs, e->output_count))
        return;
    if (!v) {
        events->previews = v = tb_xcalloc(1, sizeof *v);
        v->server = s;
    }
    const char *display = tb_prompt_display_node(p, e->node);
    offer *o = place(v, (uint32_t)p->run_id, display);
    *o = (offer){ .display = tb_xstrdup(display),
                  .node = tb_xstrdup(e->node),
                  .run = (uint32_t)p->run_id,
                  .outputs = tb_xcalloc((size_t)e->output_count, sizeof *o->outputs),
                  .count = e->output_count };
    for (int i = 0; i < e->output_count; i++)
        o->outputs[i] = tb_value_ref(e->outputs[i]);
    next(v);
}

void tbs_previews_close(tb_server *s)
{
    struct tbs_previews *v = s->editor->events->previews;
    if (!v)
        return;
    while (v->count)
        clear(&v->waiting[--v->count]);
    while (v->encoding)
        uv_run(tb_engine_loop(s->engine), UV_RUN_ONCE);
    free(v);
    s->editor->events->previews = NULL;
}
