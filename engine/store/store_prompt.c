/* store_prompt.c - rows of the server's queue and history. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/store_internal.h"

enum { HISTORY_MOST = 10000 };

static char *copy(const char *s)
{
    return s ? tb_xstrdup(s) : NULL;
}

void tb_prompt_row_clear(tb_prompt_row *r)
{
    free(r->id);
    free(r->client_id);
    free(r->title);
    free(r->request);
    free(r->result);
    *r = (tb_prompt_row){ 0 };
}

void tb_prompt_rows_free(tb_prompt_row **rows, int count)
{
    for (int i = 0; i < count; i++)
        tb_prompt_row_clear(&(*rows)[i]);
    free(*rows);
    *rows = NULL;
}

/* ------------------------------------------------------------------------------------- writing */

typedef struct prompt_op {
    tbi_op op;
    tb_prompt_row row; /* owned */
    bool history, all; /* of a removal */
} prompt_op;

static prompt_op *new_op(const tbi_op_class *class, const tb_prompt_row *r)
{
    prompt_op *p = tb_xcalloc(1, sizeof *p);
    p->op.class = class;
    p->row = *r;
    p->row.id = copy(r->id);
    p->row.client_id = copy(r->client_id);
    p->row.title = copy(r->title);
    p->row.request = copy(r->request);
    p->row.result = copy(r->result);
    return p;
}

static void prompt_finish(tb_store *s, tbi_op *op)
{
    (void)s;
    tb_prompt_row_clear(&((prompt_op *)op)->row);
}

static tb_status add_apply(tb_store *s, tbi_op *op, tb_err *err)
{
    const tb_prompt_row *r = &((prompt_op *)op)->row;
    sqlite3_stmt *q = tbi_db_stmt(&s->runs, TBI_Q_PROMPT_ADD, err);
    if (!q)
        return TB_ESTORE;
    tbi_bind_text(q, 1, r->id);
    tbi_bind_text(q, 2, r->state);
    sqlite3_bind_double(q, 3, r->number);
    sqlite3_bind_int(q, 4, r->numbered);
    tbi_bind_text(q, 5, r->client_id);
    tbi_bind_text(q, 6, r->title);
    sqlite3_bind_int64(q, 7, r->created_ms);
    tbi_bind_text(q, 8, r->request);
    return tbi_db_run(&s->runs, q, err);
}

static tb_status prune(tb_store *s, tb_err *err)
{
    sqlite3_stmt *q = tbi_db_stmt(&s->runs, TBI_Q_PROMPT_PRUNE, err);
    if (!q)
        return TB_ESTORE;
    sqlite3_bind_int(q, 1, HISTORY_MOST);
    return tbi_db_run(&s->runs, q, err);
}

static tb_status set_apply(tb_store *s, tbi_op *op, tb_err *err)
{
    const tb_prompt_row *r = &((prompt_op *)op)->row;
    sqlite3_stmt *q = tbi_db_stmt(&s->runs, TBI_Q_PROMPT_SET, err);
    if (!q)
        return TB_ESTORE;
    tbi_bind_text(q, 1, r->id);
    tbi_bind_text(q, 2, r->state);
    sqlite3_bind_int64(q, 3, r->started_ms);
    sqlite3_bind_int64(q, 4, r->ended_ms);
    sqlite3_bind_int64(q, 5, (sqlite3_int64)r->run);
    tbi_bind_text(q, 6, r->result);
    TB_TRY(tbi_db_run(&s->runs, q, err));
    return r->ended_ms ? prune(s, err) : TB_OK;
}

static tb_status remove_apply(tb_store *s, tbi_op *op, tb_err *err)
{
    const prompt_op *p = (prompt_op *)op;
    sqlite3_stmt *q = tbi_db_stmt(&s->runs, p->all ? TBI_Q_PROMPT_CLEAR : TBI_Q_PROMPT_DROP, err);
    if (!q)
        return TB_ESTORE;
    if (!p->all)
        tbi_bind_text(q, 1, p->row.id);
    sqlite3_bind_int(q, p->all ? 1 : 2, p->history);
    return tbi_db_run(&s->runs, q, err);
}

static const tbi_op_class add_class = { TBI_IN_RUNS, NULL, add_apply, prompt_finish };
static const tbi_op_class set_class = { TBI_IN_RUNS, NULL, set_apply, prompt_finish };
static const tbi_op_class remove_class = { TBI_IN_RUNS, NULL, remove_apply, prompt_finish };

tb_status tb_store_prompt_add(tb_store *s, const tb_prompt_row *r, tb_err *err)
{
    return tbi_submit_wait(s, &new_op(&add_class, r)->op, err);
}

tb_status tb_store_prompt_set(tb_store *s, const tb_prompt_row *r, bool wait, tb_err *err)
{
    tb_prompt_row changed = *r;
    changed.request = NULL;
    prompt_op *p = new_op(&set_class, &changed);
    if (wait)
        return tbi_submit_wait(s, &p->op, err);
    tbi_submit(s, &p->op);
    return TB_OK;
}

void tb_store_prompt_remove(tb_store *s, const char *id, bool history)
{
    prompt_op *p = new_op(&remove_class, &(tb_prompt_row){ 0 });
    p->row.id = copy(id);
    p->history = history;
    p->all = !id;
    tbi_submit(s, &p->op);
}

/* ------------------------------------------------------------------------------------- reading */

static char *text_at(sqlite3_stmt *q, int at)
{
    return copy((const char *)sqlite3_column_text(q, at));
}

/* Columns of TBI_PROMPT_COLUMNS. */
static void read_row(sqlite3_stmt *q, tb_prompt_row *r)
{
    const char *state = (const char *)sqlite3_column_text(q, 1);
    *r = (tb_prompt_row){
        .id = text_at(q, 0),
        .number = sqlite3_column_double(q, 2),
        .numbered = sqlite3_column_int(q, 3) != 0,
        .client_id = text_at(q, 4),
        .title = text_at(q, 5),
        .created_ms = sqlite3_column_int64(q, 6),
        .started_ms = sqlite3_column_int64(q, 7),
        .ended_ms = sqlite3_column_int64(q, 8),
        .run = (uint64_t)sqlite3_column_int64(q, 9),
        .request = text_at(q, 10),
        .result = text_at(q, 11),
    };
    strncpy(r->state, state ? state : "", sizeof r->state - 1);
}

/* All rows of a bound query. */
static tb_status read_rows(tbi_db *d, sqlite3_stmt *q, tb_prompt_row **rows, int *count,
                           tb_err *err)
{
    size_t cap = 0;
    for (;;) {
        bool row = false;
        TB_TRY(tbi_db_row(d, q, &row, err));
        if (!row)
            return TB_OK;
        TB_GROW(*rows, cap, *count + 1);
        read_row(q, &(*rows)[(*count)++]);
    }
}

static tb_status query(tb_store *s, tbi_sql sql, int64_t limit, int64_t offset,
                       tb_prompt_row **rows, int *count, tb_err *err)
{
    *rows = NULL;
    *count = 0;
    tbi_reader *r = tbi_reader_take(s, err);
    if (!r)
        return TB_ESTORE;
    sqlite3_stmt *q = tbi_db_stmt(&r->runs, sql, err);
    if (q && sql == TBI_Q_PROMPT_PAST) {
        sqlite3_bind_int64(q, 1, limit);
        sqlite3_bind_int64(q, 2, offset);
    }
    const tb_status st = q ? read_rows(&r->runs, q, rows, count, err) : TB_ESTORE;
    tbi_reader_give(r);
    if (st != TB_OK) {
        tb_prompt_rows_free(rows, *count);
        *count = 0;
    }
    return st;
}

tb_status tb_store_prompts(tb_store *s, tb_prompt_row **rows, int *count, tb_err *err)
{
    return query(s, TBI_Q_PROMPT_LIVE, 0, 0, rows, count, err);
}

tb_status tb_store_prompt_history(tb_store *s, int64_t limit, int64_t offset, tb_prompt_row **rows,
                                  int *count, tb_err *err)
{
    return query(s, TBI_Q_PROMPT_PAST, limit < 0 ? -1 : limit, offset, rows, count, err);
}

tb_status tb_store_prompt_history_count(tb_store *s, int64_t *count, tb_err *err)
{
    *count = 0;
    tbi_reader *r = tbi_reader_take(s, err);
    if (!r)
        return TB_ESTORE;
    bool row = false;
    sqlite3_stmt *q = tbi_db_stmt(&r->runs, TBI_Q_PROMPT_COUNT, err);
    const tb_status st = q ? tbi_db_row(&r->runs, q, &row, err) : TB_ESTORE;
    if (row) {
        *count = sqlite3_column_int64(q, 0);
        sqlite3_reset(q);
    }
    tbi_reader_give(r);
    return st;
}

tb_status tb_store_prompt_get(tb_store *s, const char *id, tb_prompt_row *found, tb_err *err)
{
    *found = (tb_prompt_row){ 0 };
    tbi_reader *r = tbi_reader_take(s, err);
    if (!r)
        return TB_ESTORE;
    bool row = false;
    sqlite3_stmt *q = tbi_db_stmt(&r->runs, TBI_Q_PROMPT_GET, err);
    if (q)
        tbi_bind_text(q, 1, id);
    const tb_status st = q ? tbi_db_row(&r->runs, q, &row, err) : TB_ESTORE;
    if (row) {
        read_row(q, found);
        sqlite3_reset(q);
    }
    tbi_reader_give(r);
    if (st == TB_OK && !row)
        return tb_err_set(err, TB_ENOTFOUND, "there is no prompt '%s'", id);
    return st;
}
