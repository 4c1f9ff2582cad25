/* queue_write.c - rows that somebody waits for are written on a worker, one after the other. */
#include "server/queue_internal.h"

static void write_row(uv_work_t *work)
{
    tb_queue *q = work->data;
    tbs_entry *e = q->writing;
    const bool new = e->p.ended_ms == 0;
    tb_prompt_row row = tbs_row_of(&e->p, new);
    e->write_err = TB_ERR_INIT;
    if (new)
        tb_store_prompt_add(q->store, &row, &e->write_err);
    else
        tb_store_prompt_set(q->store, &row, true, &e->write_err);
    tb_prompt_row_clear(&row);
    if (e->p.state == TB_PROMPT_DONE)
        tbs_queue_remember(q, &e->look);
}

static void written(uv_work_t *work, int status);

static void write_first(tb_queue *q)
{
    q->write.data = q;
    uv_queue_work(tb_engine_loop(q->engine), &q->write, write_row, written);
}

static void written(uv_work_t *work, int status)
{
    tb_queue *q = work->data;
    tbs_entry *e = q->writing;
    (void)status; /* never canceled */
    q->writing = e->next;
    e->next = NULL;
    if (q->writing)
        write_first(q);
    else
        q->writing_end = &q->writing;
    if (e->p.ended_ms)
        tbs_queue_ended(q, e);
    else
        tbs_queue_added(q, e);
}

void tbs_queue_write(tb_queue *q, tbs_entry *e)
{
    const bool idle = !q->writing;
    *q->writing_end = e;
    q->writing_end = &e->next;
    if (idle)
        write_first(q);
}
