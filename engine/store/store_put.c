/* store_put.c - results and second keys on their way into the store. Publishing is idempotent. */
#include "store/store_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

typedef struct put_op {
    tbi_op op;
    tb_key content_key;
    bool has_content;
    char *signature; /* owned; NULL */
    int64_t run;
    bool keep;
    tb_value **outputs;
    int count;
    void (*done)(void *ctx, tb_status st, const tb_err *err);
    void *ctx;
    /* made by prepare */
    tb_result_info info;
    char *manifest;
    tbi_blob_list blobs;
} put_op;

static void collect_large(const put_op *p, tb_store *s, tbi_blob_list *missing)
{
    for (size_t i = 0; i < p->blobs.count; i++) {
        const tbi_blob *b = &p->blobs.items[i];
        if (b->size <= TBI_INLINE_MAX || tbi_blob_present(s, &b->digest, b->size))
            continue;
        TB_GROW(missing->items, missing->cap, missing->count + 1);
        missing->items[missing->count++] = *b;
    }
}

/* Large blobs that are not there yet. The writer syncs their folders, once for all of a batch. */
static tb_status write_files(tb_store *s, const put_op *p, tb_err *err)
{
    tbi_blob_list missing = { 0 };
    tb_status st = TB_OK;
    collect_large(p, s, &missing);
    for (size_t i = 0; i < missing.count && st == TB_OK; i++)
        st = tbi_blob_write(s, &missing.items[i], err);
    free(missing.items);
    return st;
}

static tb_status put_prepare(tb_store *s, tbi_op *op, tb_err *err)
{
    put_op *p = (put_op *)op;
    p->manifest = tbi_manifest_write(p->outputs, p->count, &p->blobs, err);
    if (!p->manifest)
        return TB_EINVAL;
    p->info.created_ms = tb_clock_wall_ms();
    for (size_t i = 0; i < p->blobs.count; i++)
        p->info.bytes += p->blobs.items[i].size;
    op->incoming = p->info.bytes + TBI_ROW_OVERHEAD + strlen(p->manifest);
    tb_status st = write_files(s, p, err);
    if (st == TB_EFULL && tbi_make_room(s, op->incoming, false)) {
        tb_err_clear(err);
        st = write_files(s, p, err);
    }
    return st;
}

static tb_status blob_known(tb_store *s, const tb_digest *d, bool *known, tb_err *err)
{
    sqlite3_stmt *q = tbi_db_stmt(&s->cache, TBI_Q_BLOB_SIZE, err);
    if (!q)
        return TB_ESTORE;
    tbi_bind_digest(q, 1, d);
    TB_TRY(tbi_db_row(&s->cache, q, known, err));
    sqlite3_reset(q);
    return TB_OK;
}

static tb_status store_blob(tb_store *s, const tbi_blob *b, tb_err *err)
{
    bool known = false;
    TB_TRY(blob_known(s, &b->digest, &known, err));
    if (known)
        return TB_OK;
    sqlite3_stmt *q = tbi_db_stmt(&s->cache, TBI_Q_BLOB_NEW, err);
    if (!q)
        return TB_ESTORE;
    tbi_bind_digest(q, 1, &b->digest);
    sqlite3_bind_int64(q, 2, (sqlite3_int64)b->size);
    if (b->size <= TBI_INLINE_MAX)
        sqlite3_bind_blob(q, 3, b->size ? b->data : "", (int)b->size, SQLITE_STATIC);
    s->now.bytes += (int64_t)b->size;
    return tbi_db_run(&s->cache, q, err);
}

static tb_status link_blob(tb_store *s, int64_t result, const tb_digest *d, tb_err *err)
{
    sqlite3_stmt *q = tbi_db_stmt(&s->cache, TBI_Q_LINK_NEW, err);
    if (!q)
        return TB_ESTORE;
    sqlite3_bind_int64(q, 1, result);
    tbi_bind_digest(q, 2, d);
    return tbi_db_run(&s->cache, q, err);
}

static tb_status insert_row(tb_store *s, const put_op *p, tb_err *err)
{
    const tb_digest sum = tbi_row_checksum(&p->info, p->manifest);
    sqlite3_stmt *q = tbi_db_stmt(&s->cache, TBI_Q_RESULT_NEW, err);
    if (!q)
        return TB_ESTORE;
    tbi_bind_key(q, 1, &p->info.key);
    tbi_bind_text(q, 2, p->info.type);
    tbi_bind_text(q, 3, p->manifest);
    sqlite3_bind_int64(q, 4, (sqlite3_int64)p->info.bytes);
    sqlite3_bind_double(q, 5, p->info.cost_ms);
    sqlite3_bind_int64(q, 6, p->info.created_ms);
    sqlite3_bind_int64(q, 7, ++s->now.used);
    sqlite3_bind_int(q, 8, p->keep);
    sqlite3_bind_int64(q, 9, p->run);
    tbi_bind_digest(q, 10, &sum);
    s->now.bytes += TBI_ROW_OVERHEAD + (int64_t)strlen(p->manifest);
    return tbi_db_run(&s->cache, q, err);
}

static tb_status set_alias(tb_store *s, int kind, const tb_key *key, const tb_key *target,
                           tb_err *err)
{
    const tb_digest sum = tbi_alias_checksum(kind, key, target);
    sqlite3_stmt *q = tbi_db_stmt(&s->cache, TBI_Q_ALIAS_SET, err);
    if (!q)
        return TB_ESTORE;
    sqlite3_bind_int(q, 1, kind);
    tbi_bind_key(q, 2, key);
    tbi_bind_key(q, 3, target);
    tbi_bind_digest(q, 4, &sum);
    return tbi_db_run(&s->cache, q, err);
}

/* Between prepare and here another process may have evicted the file. Under the write lock it
 * cannot. */
static tb_status ensure_files(tb_store *s, const put_op *p, tb_err *err)
{
    for (size_t i = 0; i < p->blobs.count; i++)
        if (p->blobs.items[i].size > TBI_INLINE_MAX &&
            !tbi_blob_present(s, &p->blobs.items[i].digest, p->blobs.items[i].size))
            TB_TRY(write_files(s, p, err));
    return tbi_blobs_sync(s, err);
}

static tb_status check_cap(tb_store *s, const put_op *p, tb_err *err)
{
    if ((uint64_t)s->now.bytes + p->op.incoming <= s->cap)
        return TB_OK;
    char used[32], cap[32], need[32];
    return tb_err_set(
        err, TB_EFULL,
        "the store '%s' holds %s of at most %s, all pinned or in use, and %s more do not fit; "
        "unpin results, or free disk space: the store takes at most a tenth of what is free",
        s->path, tb_str_bytes((unsigned long long)s->now.bytes, used, sizeof used),
        tb_str_bytes(s->cap, cap, sizeof cap), tb_str_bytes(p->op.incoming, need, sizeof need));
}

static tb_status put_again(tb_store *s, const put_op *p, const tbi_row *row, tb_err *err)
{
    if (strcmp(row->manifest, p->manifest) != 0) {
        char hex[TB_KEY_HEX];
        return tb_err_set(
            err, TB_EINTERNAL,
            "non-deterministic node: '%s' gave other bytes for key %.12s than before; the first "
            "result is kept",
            p->info.type, tb_key_hex(&p->info.key, hex));
    }
    TB_TRY(ensure_files(s, p, err));
    for (size_t i = 0; i < p->blobs.count; i++) /* repairs rows lost behind our back */
        TB_TRY(store_blob(s, &p->blobs.items[i], err));
    return TB_OK;
}

static tb_status put_new(tb_store *s, const put_op *p, tb_err *err)
{
    TB_TRY(check_cap(s, p, err));
    TB_TRY(ensure_files(s, p, err));
    for (size_t i = 0; i < p->blobs.count; i++)
        TB_TRY(store_blob(s, &p->blobs.items[i], err));
    TB_TRY(insert_row(s, p, err));
    const int64_t id = sqlite3_last_insert_rowid(s->cache.db);
    for (size_t i = 0; i < p->blobs.count; i++)
        TB_TRY(link_blob(s, id, &p->blobs.items[i].digest, err));
    if (p->signature)
        TB_TRY(tbi_cost_add(s, p->signature, p->info.cost_ms, err));
    return p->has_content ? set_alias(s, TBI_ALIAS_CONTENT, &p->content_key, &p->info.key, err)
                          : TB_OK;
}

static tb_status put_apply(tb_store *s, tbi_op *op, tb_err *err)
{
    const put_op *p = (put_op *)op;
    tbi_row row;
    bool broken;
    tb_status st = tbi_row_find(&s->cache, &p->info.key, true, &row, &broken, NULL);
    if (st == TB_OK)
        st = put_again(s, p, &row, err);
    else if (st == TB_ENOTFOUND) {
        st = broken ? tbi_row_drop(s, row.id, err) : TB_OK;
        if (st == TB_OK)
            st = put_new(s, p, err);
    } else
        tb_err_set(err, st, "the store '%s' cannot be read", s->path);
    free(row.manifest);
    return st;
}

static void put_finish(tb_store *s, tbi_op *op)
{
    (void)s;
    put_op *p = (put_op *)op;
    const tb_err none = TB_ERR_INIT;
    if (p->done)
        p->done(p->ctx, op->status, op->err ? op->err : &none);
    for (int i = 0; i < p->count; i++)
        tb_value_unref(&p->outputs[i]);
    free(p->outputs);
    free(p->signature);
    free(p->manifest);
    free(p->blobs.items);
}

static const tbi_op_class put_class = { TBI_IN_CACHE, put_prepare, put_apply, put_finish };

static bool is_zero(const tb_key *k)
{
    const tb_key zero = { 0 };
    return tb_key_eq(k, &zero);
}

void tb_store_put(tb_store *s, const tb_store_put_args *a, tb_value *const *outputs, int count,
                  void (*done)(void *ctx, tb_status st, const tb_err *err), void *ctx)
{
    put_op *p = tb_xcalloc(1, sizeof *p);
    p->op.class = &put_class;
    p->op.answered = done != NULL;
    p->info.key = a->key;
    p->info.cost_ms = a->cost_ms;
    snprintf(p->info.type, sizeof p->info.type, "%s", a->type ? a->type : "");
    p->content_key = a->content_key;
    p->has_content = !is_zero(&a->content_key);
    p->signature = a->signature ? tb_xstrdup(a->signature) : NULL;
    p->run = (int64_t)a->run;
    p->keep = a->keep;
    p->done = done;
    p->ctx = ctx;
    p->count = count;
    p->outputs = tb_xcalloc((size_t)count, sizeof(tb_value *));
    for (int i = 0; i < count; i++) {
        p->outputs[i] = tb_value_ref(outputs[i]);
        p->op.bytes += tb_value_bytes(outputs[i]);
    }
    tbi_submit(s, &p->op);
}

/* --------------------------------------------------------------------------------- second keys */

typedef struct alias_op {
    tbi_op op;
    tb_key new_key, existing;
} alias_op;

static tb_status alias_apply(tb_store *s, tbi_op *op, tb_err *err)
{
    const alias_op *a = (alias_op *)op;
    tbi_row row;
    if (tbi_row_find(&s->cache, &a->new_key, false, &row, NULL, NULL) == TB_OK)
        return TB_OK;
    const tb_status st = tbi_row_find(&s->cache, &a->existing, false, &row, NULL, err);
    return st == TB_OK ? set_alias(s, TBI_ALIAS_KEY, &a->new_key, &row.info.key, err) : st;
}

static const tbi_op_class alias_class = { TBI_IN_CACHE, NULL, alias_apply, NULL };

void tb_store_alias(tb_store *s, const tb_key *new_key, const tb_key *existing, uint64_t run)
{
    (void)run; /* the journal of the run names the new key, which protects what it leads to */
    alias_op *a = tb_xcalloc(1, sizeof *a);
    a->op.class = &alias_class;
    a->op.answered = true; /* a result evicted meanwhile has no second key: a miss, as without it */
    a->new_key = *new_key;
    a->existing = *existing;
    tbi_submit(s, &a->op);
}
