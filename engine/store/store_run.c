/* store_run.c - the journal: which runs there were, who owned them, and how far they came. */
#include "store/store_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

/* --------------------------------------------------------------------------------- beginning */

typedef struct begin_op {
    tbi_op op;
    const char *title, *document; /* borrowed: the caller waits */
    int64_t *id;
} begin_op;

static tb_status begin_apply(tb_store *s, tbi_op *op, tb_err *err)
{
    const begin_op *b = (begin_op *)op;
    sqlite3_stmt *q = tbi_db_stmt(&s->runs, TBI_Q_RUN_NEW, err);
    if (!q)
        return TB_ESTORE;
    sqlite3_bind_int64(q, 1, tb_clock_wall_ms());
    tbi_bind_text(q, 2, b->title);
    tbi_bind_text(q, 3, b->document);
    sqlite3_bind_int64(q, 4, s->self.pid);
    sqlite3_bind_int64(q, 5, s->self.start);
    tbi_bind_text(q, 6, s->self.boot);
    TB_TRY(tbi_db_run(&s->runs, q, err));
    *b->id = sqlite3_last_insert_rowid(s->runs.db);
    return TB_OK;
}

static const tbi_op_class begin_class = { TBI_IN_RUNS, NULL, begin_apply, NULL };

tb_status tb_store_run_begin(tb_store *s, const char *title, const char *document, uint64_t *run,
                             tb_err *err)
{
    int64_t id = 0;
    begin_op *b = tb_xcalloc(1, sizeof *b);
    b->op.class = &begin_class;
    b->title = title;
    b->document = document;
    b->id = &id;
    const tb_status st = tbi_submit_wait(s, &b->op, err);
    *run = (uint64_t)id;
    return st;
}

/* ------------------------------------------------------------------------------------- nodes */

typedef struct node_op {
    tbi_op op;
    int64_t run, at_ms;
    char *node, *type; /* owned */
    char state[12];
    tb_key key;
    bool has_key;
    double ms;
} node_op;

static tb_status node_apply(tb_store *s, tbi_op *op, tb_err *err)
{
    const node_op *n = (node_op *)op;
    sqlite3_stmt *q = tbi_db_stmt(&s->runs, TBI_Q_NODE_SET, err);
    if (!q)
        return TB_ESTORE;
    sqlite3_bind_int64(q, 1, n->run);
    tbi_bind_text(q, 2, n->node);
    tbi_bind_text(q, 3, n->type);
    if (n->has_key)
        tbi_bind_key(q, 4, &n->key);
    tbi_bind_text(q, 5, n->state);
    sqlite3_bind_double(q, 6, n->ms);
    sqlite3_bind_int64(q, 7, n->at_ms);
    return tbi_db_run(&s->runs, q, err);
}

static void node_finish(tb_store *s, tbi_op *op)
{
    (void)s;
    node_op *n = (node_op *)op;
    free(n->node);
    free(n->type);
}

static const tbi_op_class node_class = { TBI_IN_RUNS, NULL, node_apply, node_finish };

void tb_store_run_node(tb_store *s, uint64_t run, const char *node, const char *type,
                       const tb_key *key, const char *state, double ms)
{
    node_op *n = tb_xcalloc(1, sizeof *n);
    n->op.class = &node_class;
    n->run = (int64_t)run;
    n->at_ms = tb_clock_wall_ms();
    n->node = tb_xstrdup(node);
    n->type = type ? tb_xstrdup(type) : NULL;
    strncpy(n->state, state, sizeof n->state - 1);
    n->has_key = key != NULL;
    if (key)
        n->key = *key;
    n->ms = ms;
    tbi_submit(s, &n->op);
}

/* ------------------------------------------------------------------------------------ ending */

typedef struct end_op {
    tbi_op op;
    int64_t run;
    const char *status, *error; /* borrowed: the caller waits */
} end_op;

static tb_status status_of(tb_store *s, int64_t run, char out[16], tb_err *err)
{
    sqlite3_stmt *q = tbi_db_stmt(&s->runs, TBI_Q_RUN_STATUS, err);
    bool row = false;
    if (!q)
        return TB_ESTORE;
    sqlite3_bind_int64(q, 1, run);
    TB_TRY(tbi_db_row(&s->runs, q, &row, err));
    const char *text = row ? (const char *)sqlite3_column_text(q, 0) : NULL;
    strncpy(out, text ? text : "", 15);
    sqlite3_reset(q);
    return row ? TB_OK : tb_err_set(err, TB_ENOTFOUND, "there is no run %lld", (long long)run);
}

static tb_status end_apply(tb_store *s, tbi_op *op, tb_err *err)
{
    const end_op *e = (end_op *)op;
    char now[16] = "";
    TB_TRY(status_of(s, e->run, now, err));
    if (strcmp(now, e->status) == 0)
        return TB_OK;
    if (strcmp(now, "running") != 0)
        return tb_err_set(err, TB_EINVAL, "run %lld is %s already and cannot become %s",
                          (long long)e->run, now, e->status);
    sqlite3_stmt *q = tbi_db_stmt(&s->runs, TBI_Q_RUN_END, err);
    if (!q)
        return TB_ESTORE;
    sqlite3_bind_int64(q, 1, e->run);
    tbi_bind_text(q, 2, e->status);
    tbi_bind_text(q, 3, e->error);
    sqlite3_bind_int64(q, 4, tb_clock_wall_ms());
    s->evict_again = 0; /* its results may leave now */
    return tbi_db_run(&s->runs, q, err);
}

static const tbi_op_class end_class = { TBI_IN_RUNS, NULL, end_apply, NULL };

tb_status tb_store_run_end(tb_store *s, uint64_t run, const char *status, const char *error,
                           tb_err *err)
{
    if (strcmp(status, "done") != 0 && strcmp(status, "failed") != 0 &&
        strcmp(status, "canceled") != 0)
        return tb_err_set(err, TB_EINVAL, "a run ends as done, failed or canceled, not as '%s'",
                          status);
    end_op *e = tb_xcalloc(1, sizeof *e);
    e->op.class = &end_class;
    e->run = (int64_t)run;
    e->status = status;
    e->error = error;
    return tbi_submit_wait(s, &e->op, err);
}

/* ----------------------------------------------------------------------------------- reading */

void tb_run_info_clear(tb_run_info *r)
{
    free(r->title);
    free(r->document);
    free(r->error);
    *r = (tb_run_info){ 0 };
}

static char *text_column(sqlite3_stmt *q, int at)
{
    const char *t = (const char *)sqlite3_column_text(q, at);
    return t ? tb_xstrdup(t) : NULL;
}

static tbi_owner owner_columns(sqlite3_stmt *q, int at)
{
    tbi_owner o = { .pid = sqlite3_column_int64(q, at), .start = sqlite3_column_int64(q, at + 1) };
    const char *boot = (const char *)sqlite3_column_text(q, at + 2);
    strncpy(o.boot, boot ? boot : "", sizeof o.boot - 1);
    return o;
}

/* Columns of TBI_RUN_COLUMNS and the document. */
static void read_run(sqlite3_stmt *q, tb_run_info *r)
{
    const char *status = (const char *)sqlite3_column_text(q, 1);
    *r = (tb_run_info){
        .id = (uint64_t)sqlite3_column_int64(q, 0),
        .started_ms = sqlite3_column_int64(q, 2),
        .ended_ms = sqlite3_column_int64(q, 3),
        .title = text_column(q, 4),
        .error = text_column(q, 5),
        .document = text_column(q, 9),
    };
    strncpy(r->status, status ? status : "", sizeof r->status - 1);
    const tbi_owner owner = owner_columns(q, 6);
    if (strcmp(r->status, "running") == 0 && !tbi_owner_alive(&owner))
        snprintf(r->status, sizeof r->status, "interrupted");
}

static tb_status count_nodes(tbi_db *runs, tb_run_info *r, tb_err *err)
{
    sqlite3_stmt *q = tbi_db_stmt(runs, TBI_Q_NODE_COUNT, err);
    bool row = false;
    if (!q)
        return TB_ESTORE;
    sqlite3_bind_int64(q, 1, (sqlite3_int64)r->id);
    TB_TRY(tbi_db_row(runs, q, &row, err));
    r->nodes_total = row ? sqlite3_column_int(q, 0) : 0;
    r->nodes_cached = row ? sqlite3_column_int(q, 1) : 0;
    r->nodes_done = row ? r->nodes_cached + sqlite3_column_int(q, 2) : 0;
    sqlite3_reset(q);
    return TB_OK;
}

static tb_status list_runs(tbi_db *runs, int limit, tb_run_info **list, int *count, tb_err *err)
{
    sqlite3_stmt *q = tbi_db_stmt(runs, TBI_Q_RUN_LIST, err);
    size_t cap = 0;
    bool row = true;
    if (!q)
        return TB_ESTORE;
    sqlite3_bind_int(q, 1, limit > 0 ? limit : -1);
    while (row) {
        TB_TRY(tbi_db_row(runs, q, &row, err));
        if (!row)
            break;
        TB_GROW(*list, cap, *count + 1);
        read_run(q, &(*list)[(*count)++]);
    }
    for (int i = 0; i < *count; i++)
        TB_TRY(count_nodes(runs, &(*list)[i], err));
    return TB_OK;
}

tb_status tb_store_runs(tb_store *s, int limit, tb_run_info **list, int *count, tb_err *err)
{
    *list = NULL;
    *count = 0;
    tbi_reader *r = tbi_reader_take(s, err);
    if (!r)
        return TB_ESTORE;
    const tb_status st = list_runs(&r->runs, limit, list, count, err);
    tbi_reader_give(r);
    if (st == TB_OK)
        return TB_OK;
    for (int i = 0; i < *count; i++)
        tb_run_info_clear(&(*list)[i]);
    free(*list);
    *list = NULL;
    *count = 0;
    return st;
}

/* id 0: the first row that can be resumed, which a run somebody works on cannot */
static tb_status find_run(tbi_db *runs, uint64_t id, tb_run_info *info, tb_err *err)
{
    sqlite3_stmt *q = tbi_db_stmt(runs, id ? TBI_Q_RUN_GET : TBI_Q_RUN_OPEN, err);
    bool row = true;
    if (!q)
        return TB_ESTORE;
    if (id)
        sqlite3_bind_int64(q, 1, (sqlite3_int64)id);
    while (row) {
        TB_TRY(tbi_db_row(runs, q, &row, err));
        if (!row)
            break;
        read_run(q, info);
        if (id || strcmp(info->status, "running") != 0) {
            sqlite3_reset(q);
            return count_nodes(runs, info, err);
        }
        tb_run_info_clear(info);
    }
    return id ? tb_err_set(err, TB_ENOTFOUND, "there is no run %llu", (unsigned long long)id)
              : tb_err_set(err, TB_ENOTFOUND, "there is no unfinished run");
}

tb_status tb_store_run_get(tb_store *s, uint64_t id, tb_run_info *info, tb_err *err)
{
    *info = (tb_run_info){ 0 };
    tbi_reader *r = tbi_reader_take(s, err);
    if (!r)
        return TB_ESTORE;
    const tb_status st = find_run(&r->runs, id, info, err);
    tbi_reader_give(r);
    if (st != TB_OK)
        tb_run_info_clear(info);
    return st;
}

static json_t *node_row(sqlite3_stmt *q)
{
    char hex[TB_KEY_HEX] = "";
    tb_key key;
    if (tbi_column_key(q, 2, &key))
        tb_key_hex(&key, hex);
    json_t *row = json_object();
    const char *type = (const char *)sqlite3_column_text(q, 1),
               *state = (const char *)sqlite3_column_text(q, 3);
    json_object_set_new(row, "node", json_string((const char *)sqlite3_column_text(q, 0)));
    json_object_set_new(row, "type", type ? json_string(type) : json_null());
    json_object_set_new(row, "key", *hex ? json_string(hex) : json_null());
    json_object_set_new(row, "state", json_string(state ? state : ""));
    json_object_set_new(row, "ms", json_real(sqlite3_column_double(q, 4)));
    return row;
}

json_t *tb_store_run_nodes(tb_store *s, uint64_t id, tb_err *err)
{
    tbi_reader *r = tbi_reader_take(s, err);
    if (!r)
        return NULL;
    json_t *all = json_array();
    sqlite3_stmt *q = tbi_db_stmt(&r->runs, TBI_Q_NODES, err);
    bool row = q != NULL;
    tb_status st = q ? TB_OK : TB_ESTORE;
    if (q)
        sqlite3_bind_int64(q, 1, (sqlite3_int64)id);
    while (row && (st = tbi_db_row(&r->runs, q, &row, err)) == TB_OK && row)
        json_array_append_new(all, node_row(q));
    tbi_reader_give(r);
    if (st == TB_OK)
        return all;
    json_decref(all);
    return NULL;
}

tb_status tbi_live_runs(tbi_db *runs, int64_t **ids, size_t *count, tb_err *err)
{
    sqlite3_stmt *q = tbi_db_stmt(runs, TBI_Q_RUN_LIVE, err);
    size_t cap = 0;
    bool row = true;
    *ids = NULL;
    *count = 0;
    if (!q)
        return TB_ESTORE;
    while (row) {
        const tb_status st = tbi_db_row(runs, q, &row, err);
        if (st != TB_OK) {
            free(*ids);
            *ids = NULL;
            return st;
        }
        const tbi_owner owner = row ? owner_columns(q, 1) : (tbi_owner){ 0 };
        if (!row || !tbi_owner_alive(&owner))
            continue;
        TB_GROW(*ids, cap, *count + 1);
        (*ids)[(*count)++] = sqlite3_column_int64(q, 0);
    }
    return TB_OK;
}
