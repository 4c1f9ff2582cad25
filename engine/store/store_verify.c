/* store_verify.c - everything looked at: SQLite's own check, every row's hash, every blob's bytes.
 */
#include "store/store_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { SOUND = 0, CORRUPT = 1, MISSING = 2, UNREADABLE = 3 };

typedef struct tally {
    uint64_t checked, corrupt, missing;
    bool unreadable;
} tally;

static void integrity(tbi_db *d, tally *t)
{
    sqlite3_stmt *q = tbi_db_stmt(d, TBI_Q_INTEGRITY, NULL);
    bool row = false;
    if (!q || tbi_db_row(d, q, &row, NULL) != TB_OK || !row) {
        t->unreadable = true;
        return;
    }
    const char *text = (const char *)sqlite3_column_text(q, 0);
    t->corrupt += !text || strcmp(text, "ok") != 0;
    sqlite3_reset(q);
}

/* All keys (32 bytes each) or digests (16) that the statement gives, in one buffer. */
static uint8_t *collect(tbi_db *d, tbi_sql sql, size_t width, size_t *count, tally *t)
{
    sqlite3_stmt *q = tbi_db_stmt(d, sql, NULL);
    uint8_t *all = NULL;
    size_t cap = 0;
    bool row = q != NULL;
    *count = 0;
    t->unreadable |= q == NULL;
    while (row) {
        if (tbi_db_row(d, q, &row, NULL) != TB_OK) {
            t->unreadable = true;
            break;
        }
        if (!row)
            break;
        if (sqlite3_column_bytes(q, 0) != (int)width) {
            t->corrupt++;
            continue;
        }
        TB_GROW(all, cap, (*count + 1) * width);
        memcpy(all + *count * width, sqlite3_column_blob(q, 0), width);
        (*count)++;
    }
    return all;
}

static void check_row(tb_store *s, const tb_key *key, tally *t)
{
    tbi_row row;
    bool broken = false;
    tbi_reader *r = tbi_reader_take(s, NULL);
    if (!r) {
        t->unreadable = true;
        return;
    }
    tbi_row_find(&r->cache, key, false, &row, &broken, NULL);
    tbi_reader_give(r);
    t->checked++;
    t->corrupt += broken;
    if (broken)
        tbi_forget(s, key, NULL);
}

static void check_blob(tb_store *s, const tb_digest *d, tally *t)
{
    const tb_key none = { 0 };
    const tb_status st = tbi_blob_check(s, d, NULL);
    t->checked++;
    t->corrupt += st == TB_EFORMAT;
    t->missing += st == TB_ENOTFOUND;
    t->unreadable |= st != TB_OK && st != TB_EFORMAT && st != TB_ENOTFOUND;
    if (st == TB_EFORMAT || st == TB_ENOTFOUND)
        tbi_forget(s, &none, d);
}

static tb_status look(tb_store *s, tally *t, tb_err *err)
{
    size_t keys = 0, digests = 0;
    tbi_reader *r = tbi_reader_take(s, err);
    if (!r)
        return TB_ESTORE;
    integrity(&r->cache, t);
    integrity(&r->runs, t);
    uint8_t *key = collect(&r->cache, TBI_Q_ALL_KEYS, sizeof(tb_key), &keys, t);
    uint8_t *digest = collect(&r->cache, TBI_Q_ALL_BLOBS, sizeof(tb_digest), &digests, t);
    tbi_reader_note(s, r);
    tbi_reader_give(r);
    for (size_t i = 0; i < keys; i++)
        check_row(s, (const tb_key *)(key + i * sizeof(tb_key)), t);
    for (size_t i = 0; i < digests; i++)
        check_blob(s, (const tb_digest *)(digest + i * sizeof(tb_digest)), t);
    free(key);
    free(digest);
    return TB_OK;
}

tb_status tb_store_verify(tb_store *s, int *exit_code, uint64_t *checked, uint64_t *corrupt,
                          uint64_t *missing, tb_err *err)
{
    tally t = { 0 };
    TB_TRY(look(s, &t, err));
    if (!s->read_only)
        TB_TRY(tb_store_flush(s, err));
    if (exit_code)
        *exit_code = t.unreadable ? UNREADABLE : t.corrupt ? CORRUPT : t.missing ? MISSING : SOUND;
    if (checked)
        *checked = t.checked;
    if (corrupt)
        *corrupt = t.corrupt;
    if (missing)
        *missing = t.missing;
    return TB_OK;
}
