/* comfy_preview.c - small pictures of what a sampling node has made so far: section 4.1.
 *
 * Encoded on libuv's pool, one at a time: while one is being made, newer ones are left out.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "server/comfy_internal.h"
#include "server/preview.h"

enum { PREVIEW_IMAGE = 1, PREVIEW_WITH_METADATA = 4, JPEG_IMAGE = 1, MAX_SIDE = 512 };

struct tbs_preview_job {
    uv_work_t work;
    tbs_comfy *comfy; /* NULL: nobody waits for it any more */
    char *prompt_id, *node, *display;
    tb_value **outputs; /* references */
    int count;
    tb_tensor *picture;
};

static void job_free(tbs_preview_job *j)
{
    for (int i = 0; i < j->count; i++)
        tb_value_unref(&j->outputs[i]);
    tb_tensor_unref(&j->picture);
    free(j->outputs);
    free(j->prompt_id);
    free(j->node);
    free(j->display);
    free(j);
}

static void encode(uv_work_t *w)
{
    tbs_preview_job *j = w->data;
    const tb_preview_options o = { .frame = -1, .max_side = MAX_SIDE, .format = "jpg" };
    j->picture = tb_preview_encode(j->outputs, j->count, &o, NULL);
}

/* ---------------------------------------------------------------------------------------- frames
 */

static void add_u32(tb_str *s, size_t v)
{
    const unsigned char b[4] = { (unsigned char)(v >> 24), (unsigned char)(v >> 16),
                                 (unsigned char)(v >> 8), (unsigned char)v };
    tb_str_addn(s, b, sizeof b);
}

static void add_picture(tb_str *s, const tb_tensor *picture)
{
    tb_str_addn(s, tb_tensor_data(picture), tb_tensor_bytes(picture));
}

static tb_str plain_frame(const tbs_preview_job *j)
{
    tb_str s = TB_STR_INIT;
    add_u32(&s, PREVIEW_IMAGE);
    add_u32(&s, JPEG_IMAGE);
    add_picture(&s, j->picture);
    return s;
}

static tb_str named_frame(const tbs_preview_job *j)
{
    tb_str s = TB_STR_INIT;
    json_t *meta = json_pack("{ssssssssssss}", "node_id", j->node, "prompt_id", j->prompt_id,
                             "display_node_id", j->display, "parent_node_id", j->display,
                             "real_node_id", j->display, "image_type", "image/jpeg");
    char *text = json_dumps(meta, JSON_COMPACT);
    add_u32(&s, PREVIEW_WITH_METADATA);
    add_u32(&s, strlen(text));
    tb_str_add(&s, text);
    add_picture(&s, j->picture);
    free(text);
    json_decref(meta);
    return s;
}

static void send_picture(tbs_comfy *c, const tb_prompt *p, const tbs_preview_job *j)
{
    tb_str plain = plain_frame(j), named = named_frame(j);
    char *slot = tb_xasprintf("preview %s", j->display);
    for (const tbs_client *k = c->clients; k; k = k->next) {
        const tb_str *s = k->previews_named ? &named : &plain;
        if (tbs_client_reached(k, p, TBS_OWNER_OR_ALL))
            tb_socket_binary(k->socket, slot, s->s, s->len);
    }
    free(slot);
    tb_str_free(&plain);
    tb_str_free(&named);
}

static void encoded(uv_work_t *w, int status)
{
    tbs_preview_job *j = w->data;
    tbs_comfy *c = j->comfy;
    const tb_prompt *p = c ? tb_queue_find(c->server->queue, j->prompt_id) : NULL;
    (void)status;
    if (c)
        c->seen = NULL;
    if (p && j->picture)
        send_picture(c, p, j);
    job_free(j);
}

void tbs_preview_abandon(tbs_comfy *c)
{
    if (c->seen)
        c->seen->comfy = NULL;
    c->seen = NULL;
}

/* extra_data.preview_method: all but "none" are one here, the latents as colours. */
static bool are_wanted(const tb_prompt *p)
{
    const char *method = json_string_value(json_object_get(p->extra_data, "preview_method"));
    return !method || strcmp(method, "none") != 0;
}

/* Of inner nodes: those are the steps of something longer. */
void tbs_preview_node(tbs_comfy *c, tb_prompt *p, const tb_event *ev)
{
    const char *display = tb_prompt_display_node(p, ev->node);
    if (c->seen || !are_wanted(p) || strcmp(display, ev->node) == 0 ||
        !tbs_anyone_reached(c, p, TBS_OWNER_OR_ALL) ||
        !tb_preview_possible(ev->outputs, ev->output_count))
        return;
    tbs_preview_job *j = tb_xcalloc(1, sizeof *j);
    j->work.data = j;
    j->comfy = c;
    j->prompt_id = tb_xstrdup(p->id);
    j->node = tb_xstrdup(ev->node);
    j->display = tb_xstrdup(display);
    j->count = ev->output_count;
    j->outputs = tb_xcalloc((size_t)j->count + 1, sizeof *j->outputs);
    for (int i = 0; i < j->count; i++)
        j->outputs[i] = tb_value_ref(ev->outputs[i]);
    c->seen = j;
    uv_queue_work(tb_engine_loop(c->server->engine), &j->work, encode, encoded);
}
