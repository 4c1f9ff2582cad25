/* queue_script.c - a prompt that brings its own Lua: loaded on libuv's pool before it is submitted.
 *
 * Whatever the script does, the loop does not wait for it.
 */
#include "server/queue_internal.h"

bool tbs_queue_has_script(const tbs_entry *e)
{
    return json_is_object(json_object_get(e->p.document, "script"));
}

static void load(uv_work_t *work)
{
    tbs_entry *e = work->data;
    tb_err *err = &e->load_err;
    e->script = tb_script_start(err);
    if (!e->script ||
        tb_script_load_sources(e->script, json_object_get(e->p.document, "script"), err) != TB_OK)
        return;
    json_t *defined = tb_script_types(e->script, err);
    e->types = defined ? tb_engine_types_with(e->queue->engine, defined, err) : NULL;
    json_decref(defined);
}

static void loaded(uv_work_t *work, int status)
{
    tbs_entry *e = work->data;
    (void)status; /* never canceled */
    e->loading = false;
    tbs_queue_loaded(e->queue, e);
}

void tbs_queue_load_script(tb_queue *q, tbs_entry *e)
{
    e->queue = q;
    e->loading = true;
    e->load.data = e;
    uv_queue_work(tb_engine_loop(q->engine), &e->load, load, loaded);
}

void tbs_queue_drop_script(tb_queue *q)
{
    tb_script_stop(&q->old_script);
    tb_types_free(&q->old_types);
}

void tbs_queue_retire_script(tbs_entry *e)
{
    if (!e->queue)
        return;
    tbs_queue_drop_script(e->queue);
    e->queue->old_script = e->script;
    e->queue->old_types = e->types;
}
