/* store_cost.c - what nodes cost before, by type and size: the plan's seconds. */
#include <stdlib.h>

#include "base/mem.h"
#include "store/store_internal.h"

tb_status tbi_cost_add(tb_store *s, const char *signature, double ms, tb_err *err)
{
    sqlite3_stmt *q = tbi_db_stmt(&s->cache, TBI_Q_COST_ADD, err);
    if (!q)
        return TB_ESTORE;
    tbi_bind_text(q, 1, signature);
    sqlite3_bind_double(q, 2, ms);
    return tbi_db_run(&s->cache, q, err);
}

typedef struct cost_op {
    tbi_op op;
    char *signature;
    double ms;
} cost_op;

static tb_status cost_apply(tb_store *s, tbi_op *op, tb_err *err)
{
    const cost_op *c = (cost_op *)op;
    return tbi_cost_add(s, c->signature, c->ms, err);
}

static void cost_finish(tb_store *s, tbi_op *op)
{
    (void)s;
    free(((cost_op *)op)->signature);
}

static const tbi_op_class cost_class = { TBI_IN_CACHE, NULL, cost_apply, cost_finish };

void tb_store_note_cost(tb_store *s, const char *signature, double ms)
{
    cost_op *c = tb_xcalloc(1, sizeof *c);
    c->op.class = &cost_class;
    c->op.answered = true; /* a prediction that is not written is only a worse prediction */
    c->signature = tb_xstrdup(signature);
    c->ms = ms;
    tbi_submit(s, &c->op);
}

double tb_store_predict_ms(tb_store *s, const char *signature)
{
    tbi_reader *r = tbi_reader_take(s, NULL);
    if (!r)
        return -1;
    sqlite3_stmt *q = tbi_db_stmt(&r->cache, TBI_Q_COST, NULL);
    double ms = -1;
    bool row = false;
    if (q) {
        tbi_bind_text(q, 1, signature);
        if (tbi_db_row(&r->cache, q, &row, NULL) == TB_OK && row)
            ms = sqlite3_column_double(q, 0);
        sqlite3_reset(q);
    }
    tbi_reader_note(s, r);
    tbi_reader_give(r);
    return ms;
}
