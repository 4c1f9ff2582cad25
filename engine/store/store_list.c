/* store_list.c - what is there: listings, prefixes, pins, totals. */
#include "store/store_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const struct {
    const char *name;
    tbi_sql sql;
} orders[] = {
    { "used", TBI_Q_LIST_USED },
    { "created", TBI_Q_LIST_CREATED },
    { "bytes", TBI_Q_LIST_BYTES },
    { "cost", TBI_Q_LIST_COST },
};

static tb_status order_of(const char *name, tbi_sql *sql, tb_err *err)
{
    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++)
        if (strcmp(orders[i].name, name) == 0) {
            *sql = orders[i].sql;
            return TB_OK;
        }
    return tb_err_set(err, TB_EINVAL,
                      "results are listed by used, created, bytes or cost, not by '%s'", name);
}

/* Columns of TBI_LIST_COLUMNS. */
static bool read_info(sqlite3_stmt *q, tb_result_info *info)
{
    const char *type = (const char *)sqlite3_column_text(q, 1);
    *info = (tb_result_info){
        .bytes = (uint64_t)sqlite3_column_int64(q, 2),
        .cost_ms = sqlite3_column_double(q, 3),
        .created_ms = sqlite3_column_int64(q, 4),
        .used_ms = sqlite3_column_int64(q, 5),
        .pinned = sqlite3_column_int(q, 6) != 0,
    };
    snprintf(info->type, sizeof info->type, "%s", type ? type : "");
    return tbi_column_key(q, 0, &info->key);
}

tb_status tb_store_list(tb_store *s, const char *order, int limit, tb_result_info **list,
                        int *count, tb_err *err)
{
    tbi_sql sql = TBI_Q_LIST_USED;
    size_t cap = 0;
    *list = NULL;
    *count = 0;
    TB_TRY(order_of(order, &sql, err));
    tbi_reader *r = tbi_reader_take(s, err);
    if (!r)
        return TB_ESTORE;
    sqlite3_stmt *q = tbi_db_stmt(&r->cache, sql, err);
    tb_status st = q ? TB_OK : TB_ESTORE;
    bool row = q != NULL;
    if (q)
        sqlite3_bind_int(q, 1, limit > 0 ? limit : -1);
    while (row && (st = tbi_db_row(&r->cache, q, &row, err)) == TB_OK && row) {
        TB_GROW(*list, cap, *count + 1);
        *count += read_info(q, &(*list)[*count]);
    }
    tbi_reader_note(s, r);
    tbi_reader_give(r);
    if (st != TB_OK) {
        free(*list);
        *list = NULL;
        *count = 0;
    }
    return st;
}

/* ------------------------------------------------------------------------------------ prefixes */

static bool prefix_range(const char *hex, tb_key *low, tb_key *high)
{
    char lo[TB_KEY_HEX], hi[TB_KEY_HEX];
    const size_t n = strlen(hex);
    if (n == 0 || n > 64)
        return false;
    memset(lo, '0', 64);
    memset(hi, 'f', 64);
    lo[64] = hi[64] = 0;
    memcpy(lo, hex, n);
    memcpy(hi, hex, n);
    return tb_key_parse(low, lo) && tb_key_parse(high, hi);
}

static tb_status keys_between(tbi_db *cache, const tb_key *low, const tb_key *high, tb_key *key,
                              int *n, tb_err *err)
{
    sqlite3_stmt *q = tbi_db_stmt(cache, TBI_Q_BY_PREFIX, err);
    bool row = true;
    *n = 0;
    if (!q)
        return TB_ESTORE;
    tbi_bind_key(q, 1, low);
    tbi_bind_key(q, 2, high);
    while (row) {
        TB_TRY(tbi_db_row(cache, q, &row, err));
        if (row && tbi_column_key(q, 0, key))
            (*n)++;
    }
    return TB_OK;
}

tb_status tb_store_key_of_prefix(tb_store *s, const char *hex, tb_key *key, tb_err *err)
{
    tb_key low, high;
    int n = 0;
    if (!prefix_range(hex, &low, &high))
        return tb_err_set(err, TB_EINVAL,
                          "'%s' is not the beginning of a key; keys are 64 digits 0-9 and a-f",
                          hex);
    tbi_reader *r = tbi_reader_take(s, err);
    if (!r)
        return TB_ESTORE;
    const tb_status st = keys_between(&r->cache, &low, &high, key, &n, err);
    tbi_reader_note(s, r);
    tbi_reader_give(r);
    if (st != TB_OK)
        return st;
    if (n == 0)
        return tb_err_set(err, TB_ENOTFOUND, "no stored result has a key that begins with '%s'",
                          hex);
    if (n > 1)
        return tb_err_set(err, TB_EINVAL,
                          "%d%s stored results have keys that begin with '%s'; give more digits", n,
                          n >= 100 ? " or more" : "", hex);
    return TB_OK;
}

/* ---------------------------------------------------------------------------------------- pins */

typedef struct pin_op {
    tbi_op op;
    tb_key key;
    bool pinned;
} pin_op;

static tb_status pin_apply(tb_store *s, tbi_op *op, tb_err *err)
{
    const pin_op *p = (pin_op *)op;
    tbi_row row;
    TB_TRY(tbi_row_find(&s->cache, &p->key, false, &row, NULL, err));
    sqlite3_stmt *q = tbi_db_stmt(&s->cache, TBI_Q_RESULT_PIN, err);
    if (!q)
        return TB_ESTORE;
    tbi_bind_key(q, 1, &row.info.key);
    sqlite3_bind_int(q, 2, p->pinned);
    s->evict_again = 0;
    return tbi_db_run(&s->cache, q, err);
}

static const tbi_op_class pin_class = { TBI_IN_CACHE, NULL, pin_apply, NULL };

tb_status tb_store_pin(tb_store *s, const tb_key *key, bool pinned, tb_err *err)
{
    pin_op *p = tb_xcalloc(1, sizeof *p);
    p->op.class = &pin_class;
    p->key = *key;
    p->pinned = pinned;
    return tbi_submit_wait(s, &p->op, err);
}

/* ------------------------------------------------------------------------------------- dropping */

typedef struct drop_op {
    tbi_op op;
    tb_key key;
} drop_op;

static tb_status drop_apply(tb_store *s, tbi_op *op, tb_err *err)
{
    tbi_row row;
    TB_TRY(tbi_row_find(&s->cache, &((drop_op *)op)->key, false, &row, NULL, err));
    return tbi_row_drop(s, row.id, err);
}

static const tbi_op_class drop_class = { TBI_IN_CACHE, NULL, drop_apply, NULL };

tb_status tb_store_drop(tb_store *s, const tb_key *key, tb_err *err)
{
    drop_op *d = tb_xcalloc(1, sizeof *d);
    d->op.class = &drop_class;
    d->key = *key;
    return tbi_submit_wait(s, &d->op, err);
}

/* -------------------------------------------------------------------------------------- totals */

static tb_status counts(tbi_reader *r, tb_store_stats *st, tb_err *err)
{
    tbi_counters c;
    bool row = false;
    sqlite3_stmt *q = tbi_db_stmt(&r->cache, TBI_Q_COUNTS, err);
    if (!q)
        return TB_ESTORE;
    TB_TRY(tbi_db_row(&r->cache, q, &row, err));
    st->results = (uint64_t)sqlite3_column_int64(q, 0);
    st->blobs = (uint64_t)sqlite3_column_int64(q, 1);
    st->pinned = (uint64_t)sqlite3_column_int64(q, 2);
    sqlite3_reset(q);
    TB_TRY(tbi_counters_load(&r->cache, &c, err));
    st->bytes = c.bytes > 0 ? (uint64_t)c.bytes : 0;
    if (!(q = tbi_db_stmt(&r->runs, TBI_Q_RUN_COUNT, err)))
        return TB_ESTORE;
    TB_TRY(tbi_db_row(&r->runs, q, &row, err));
    st->runs = (uint64_t)sqlite3_column_int64(q, 0);
    sqlite3_reset(q);
    return TB_OK;
}

tb_status tb_store_stat(tb_store *s, tb_store_stats *st, tb_err *err)
{
    *st = (tb_store_stats){ .cap_bytes = s->cap };
    tbi_reader *r = tbi_reader_take(s, err);
    if (!r)
        return TB_ESTORE;
    const tb_status status = counts(r, st, err);
    tbi_reader_note(s, r);
    tbi_reader_give(r);
    return status;
}
