/* store_result.c - rows of results: found, checked, dropped; second names. */
#include "store/store_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* What never changes in a row. Blob hashes are in the manifest. */
tb_digest tbi_row_checksum(const tb_result_info *info, const char *manifest)
{
    struct {
        tb_key key;
        tb_digest manifest;
        char type[64];
        uint64_t bytes;
        double cost_ms;
        int64_t created_ms;
    } all;
    memset(&all, 0, sizeof all);
    all.key = info->key;
    all.manifest = tb_digest_of(manifest, strlen(manifest));
    snprintf(all.type, sizeof all.type, "%s", info->type);
    all.bytes = info->bytes;
    all.cost_ms = info->cost_ms;
    all.created_ms = info->created_ms;
    return tb_digest_of(&all, sizeof all);
}

tb_digest tbi_alias_checksum(int kind, const tb_key *key, const tb_key *target)
{
    uint8_t all[1 + 2 * sizeof key->b];
    all[0] = (uint8_t)kind;
    memcpy(all + 1, key->b, sizeof key->b);
    memcpy(all + 1 + sizeof key->b, target->b, sizeof target->b);
    return tb_digest_of(all, sizeof all);
}

/* Columns of TBI_Q_RESULT. false: the row does not fit its checksum. */
static bool read_row(sqlite3_stmt *q, const tb_key *key, bool manifest, tbi_row *row)
{
    const char *type = (const char *)sqlite3_column_text(q, 2),
               *text = (const char *)sqlite3_column_text(q, 3);
    tb_digest want, got;
    *row = (tbi_row){ .id = sqlite3_column_int64(q, 0) };
    row->info = (tb_result_info){
        .bytes = (uint64_t)sqlite3_column_int64(q, 4),
        .cost_ms = sqlite3_column_double(q, 5),
        .created_ms = sqlite3_column_int64(q, 6),
        .used_ms = sqlite3_column_int64(q, 7),
        .pinned = sqlite3_column_int(q, 8) != 0,
    };
    if (!type || !text || !tbi_column_key(q, 1, &row->info.key) || !tbi_column_digest(q, 9, &want))
        return false;
    snprintf(row->info.type, sizeof row->info.type, "%s", type);
    got = tbi_row_checksum(&row->info, text);
    if (!tb_digest_eq(&got, &want) || !tb_key_eq(key, &row->info.key))
        return false;
    if (manifest)
        row->manifest = tb_xstrdup(text);
    return true;
}

static tb_status find_exact(tbi_db *cache, const tb_key *key, bool manifest, tbi_row *row,
                            bool *broken, tb_err *err)
{
    sqlite3_stmt *q = tbi_db_stmt(cache, TBI_Q_RESULT, err);
    bool there = false;
    if (!q)
        return TB_ESTORE;
    tbi_bind_key(q, 1, key);
    TB_TRY(tbi_db_row(cache, q, &there, err));
    if (!there)
        return tb_err_set(err, TB_ENOTFOUND, "no result is stored under this key");
    const bool sound = read_row(q, key, manifest, row);
    sqlite3_reset(q);
    if (sound)
        return TB_OK;
    if (broken)
        *broken = true;
    return tb_err_set(err, TB_ENOTFOUND, "the result stored under this key is damaged");
}

tb_status tbi_row_find(tbi_db *cache, const tb_key *key, bool manifest, tbi_row *row, bool *broken,
                       tb_err *err)
{
    bool bad = false;
    tb_key target;
    *row = (tbi_row){ 0 };
    tb_status st = find_exact(cache, key, manifest, row, &bad, NULL);
    if (st == TB_ENOTFOUND && !bad &&
        tbi_alias_find(cache, TBI_ALIAS_KEY, key, &target, NULL) == TB_OK)
        st = find_exact(cache, &target, manifest, row, &bad, NULL);
    if (broken)
        *broken = bad;
    return st == TB_OK ? st : tb_err_set(err, st, "no sound result is stored under this key");
}

tb_status tbi_alias_find(tbi_db *cache, int kind, const tb_key *key, tb_key *target, tb_err *err)
{
    sqlite3_stmt *q = tbi_db_stmt(cache, TBI_Q_ALIAS, err);
    bool there = false;
    tb_digest want;
    if (!q)
        return TB_ESTORE;
    sqlite3_bind_int(q, 1, kind);
    tbi_bind_key(q, 2, key);
    TB_TRY(tbi_db_row(cache, q, &there, err));
    bool sound = there && tbi_column_key(q, 0, target) && tbi_column_digest(q, 1, &want);
    sqlite3_reset(q);
    if (sound) {
        const tb_digest got = tbi_alias_checksum(kind, key, target);
        sound = tb_digest_eq(&got, &want);
    }
    return sound ? TB_OK : tb_err_set(err, TB_ENOTFOUND, "no result has this second key");
}

/* ------------------------------------------------------------------------------------ dropping */

static tb_status drop_blob(tb_store *s, const tb_digest *d, tb_err *err)
{
    sqlite3_stmt *q = tbi_db_stmt(&s->cache, TBI_Q_LINKED, err);
    bool row = false;
    if (!q)
        return TB_ESTORE;
    tbi_bind_digest(q, 1, d);
    TB_TRY(tbi_db_row(&s->cache, q, &row, err));
    sqlite3_reset(q);
    if (row)
        return TB_OK;
    if (!(q = tbi_db_stmt(&s->cache, TBI_Q_BLOB_SIZE, err)))
        return TB_ESTORE;
    tbi_bind_digest(q, 1, d);
    TB_TRY(tbi_db_row(&s->cache, q, &row, err));
    if (!row)
        return TB_OK;
    s->now.bytes -= sqlite3_column_int64(q, 0);
    if (sqlite3_column_int(q, 1)) {
        TB_GROW(s->doomed.items, s->doomed.cap, s->doomed.count + 1);
        s->doomed.items[s->doomed.count++] = (tbi_blob){ .digest = *d };
    }
    sqlite3_reset(q);
    if (!(q = tbi_db_stmt(&s->cache, TBI_Q_BLOB_DROP, err)))
        return TB_ESTORE;
    tbi_bind_digest(q, 1, d);
    return tbi_db_run(&s->cache, q, err);
}

static tb_status links_of(tb_store *s, int64_t id, tb_digest **list, size_t *count, tb_err *err)
{
    sqlite3_stmt *q = tbi_db_stmt(&s->cache, TBI_Q_LINKS, err);
    size_t cap = 0;
    bool row = q != NULL;
    tb_status st = q ? TB_OK : TB_ESTORE;
    *list = NULL;
    *count = 0;
    if (q)
        sqlite3_bind_int64(q, 1, id);
    while (row && (st = tbi_db_row(&s->cache, q, &row, err)) == TB_OK && row) {
        TB_GROW(*list, cap, *count + 1);
        *count += tbi_column_digest(q, 0, &(*list)[*count]);
    }
    return st;
}

static tb_status row_overhead(tb_store *s, int64_t id, int64_t *bytes, tb_err *err)
{
    sqlite3_stmt *q = tbi_db_stmt(&s->cache, TBI_Q_RESULT_SIZE, err);
    bool row = false;
    if (!q)
        return TB_ESTORE;
    sqlite3_bind_int64(q, 1, id);
    TB_TRY(tbi_db_row(&s->cache, q, &row, err));
    *bytes = row ? TBI_ROW_OVERHEAD + sqlite3_column_int64(q, 0) : 0;
    sqlite3_reset(q);
    return TB_OK;
}

tb_status tbi_row_drop(tb_store *s, int64_t id, tb_err *err)
{
    tb_digest *blobs = NULL;
    size_t count = 0;
    int64_t overhead = 0;
    tb_status st = links_of(s, id, &blobs, &count, err);
    if (st == TB_OK)
        st = row_overhead(s, id, &overhead, err);
    sqlite3_stmt *q = st == TB_OK ? tbi_db_stmt(&s->cache, TBI_Q_RESULT_DROP, err) : NULL;
    if (q) {
        sqlite3_bind_int64(q, 1, id);
        st = tbi_db_run(&s->cache, q, err);
        s->now.bytes -= overhead;
    }
    for (size_t i = 0; i < count && st == TB_OK && q; i++)
        st = drop_blob(s, &blobs[i], err);
    free(blobs);
    return st == TB_OK && !q ? TB_ESTORE : st;
}

/* ---------------------------------------------------------------------------------- forgetting */

typedef struct forget_op {
    tbi_op op;
    tb_key key;
    tb_digest blob;
    bool has_blob;
} forget_op;

/* Another process may have stored the bytes again since the damage was met. */
static tb_status forget_prepare(tb_store *s, tbi_op *op, tb_err *err)
{
    const forget_op *f = (forget_op *)op;
    tb_err why = TB_ERR_INIT;
    if (!f->has_blob)
        return TB_OK;
    const tb_status st = tbi_blob_check(s, &f->blob, &why);
    if (st == TB_ENOTFOUND || st == TB_EFORMAT)
        return TB_OK;
    return st == TB_OK ? tb_err_set(err, TB_EINVAL, "the bytes are sound again")
                       : tb_err_set(err, st, "%s", why.message);
}

static tb_status forget_users(tb_store *s, const tb_digest *d, tb_err *err)
{
    sqlite3_stmt *q = tbi_db_stmt(&s->cache, TBI_Q_BLOB_USERS, err);
    int64_t ids[64]; /* more users of one damaged blob go with the next report */
    int n = 0;
    bool row = true;
    if (!q)
        return TB_ESTORE;
    tbi_bind_digest(q, 1, d);
    while (n < 64 && row) {
        TB_TRY(tbi_db_row(&s->cache, q, &row, err));
        if (row)
            ids[n++] = sqlite3_column_int64(q, 0);
    }
    sqlite3_reset(q);
    for (int i = 0; i < n; i++)
        TB_TRY(tbi_row_drop(s, ids[i], err));
    return n ? TB_OK : drop_blob(s, d, err);
}

static tb_status forget_apply(tb_store *s, tbi_op *op, tb_err *err)
{
    const forget_op *f = (forget_op *)op;
    tbi_row row;
    bool broken;
    if (f->has_blob)
        TB_TRY(forget_users(s, &f->blob, err));
    const tb_status st = tbi_row_find(&s->cache, &f->key, false, &row, &broken, NULL);
    if (broken || (st == TB_OK && f->has_blob))
        return tbi_row_drop(s, row.id, err);
    return TB_OK;
}

static const tbi_op_class forget_class = { TBI_IN_CACHE, forget_prepare, forget_apply, NULL };

void tbi_forget(tb_store *s, const tb_key *key, const tb_digest *blob)
{
    if (s->read_only)
        return;
    forget_op *f = tb_xcalloc(1, sizeof *f);
    f->op.class = &forget_class;
    f->op.answered = true; /* a reader that met damage has its miss already */
    f->key = *key;
    f->has_blob = blob != NULL;
    if (blob)
        f->blob = *blob;
    tbi_submit(s, &f->op);
}

/* ------------------------------------------------------------------------------------- reading */

bool tb_store_has(tb_store *s, const tb_key *key, tb_result_info *info)
{
    tbi_row row = { 0 };
    tbi_reader *r = tbi_reader_take(s, NULL);
    if (!r)
        return false;
    const bool there = tbi_row_find(&r->cache, key, false, &row, NULL, NULL) == TB_OK;
    tbi_reader_note(s, r);
    tbi_reader_give(r);
    if (there && info)
        *info = row.info;
    return there;
}

tb_status tb_store_get(tb_store *s, const tb_key *key, tb_value ***outputs, int *count, tb_err *err)
{
    tbi_row row = { 0 };
    bool broken = false;
    tb_digest bad;
    *outputs = NULL;
    *count = 0;
    tbi_reader *r = tbi_reader_take(s, err);
    if (!r)
        return TB_ESTORE;
    tb_status st = tbi_row_find(&r->cache, key, true, &row, &broken, NULL);
    tbi_reader_note(s, r);
    tbi_reader_give(r);
    if (broken)
        tbi_forget(s, key, NULL);
    if (st != TB_OK)
        return tb_err_set(err, TB_ENOTFOUND, "no result is stored under this key");
    tb_err why = TB_ERR_INIT;
    st = tbi_manifest_read(s, row.manifest, outputs, count, &bad, &why);
    free(row.manifest);
    if (st == TB_OK) {
        tbi_touch(s, &row.info.key);
        return TB_OK;
    }
    if (st != TB_ENOTFOUND && st != TB_EFORMAT)
        return tb_err_set(err, st, "%s", why.message);
    tbi_forget(s, &row.info.key, &bad);
    return tb_err_set(err, TB_ENOTFOUND, "the stored result is damaged: %s", why.message);
}

bool tb_store_find_content(tb_store *s, const tb_key *content_key, tb_key *key)
{
    tbi_reader *r = tbi_reader_take(s, NULL);
    if (!r)
        return false;
    tbi_row row;
    const bool there =
        tbi_alias_find(&r->cache, TBI_ALIAS_CONTENT, content_key, key, NULL) == TB_OK &&
        tbi_row_find(&r->cache, key, false, &row, NULL, NULL) == TB_OK;
    tbi_reader_note(s, r);
    tbi_reader_give(r);
    return there;
}
