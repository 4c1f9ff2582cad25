/* store_full.c - a disk that is full to the last byte, and no ballast to give up: then not even a
 * row can be deleted, nor the store be opened, for the log and its index need space. So files of
 * results go first, their rows after. A row without its file is a miss, should it stay.
 */
#include "store/store_internal.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"

enum { ENOUGH = 1 << 20 }; /* bytes, to open or to delete rows; more is evicted in due order */

/* Not of pinned results nor of live runs, and not shared with them; least recently used first. */
static const char victims[] =
    "SELECT r.id, b.digest FROM result r JOIN result_blob l ON l.result=r.id "
    "JOIN blob b ON b.digest=l.digest WHERE b.data IS NULL AND NOT EXISTS ("
    "SELECT 1 FROM result_blob o JOIN result p ON p.id=o.result WHERE o.digest=b.digest AND "
    "(p.pinned OR p.run IN (SELECT id FROM live_run) OR p.key IN (SELECT key FROM live_key))) "
    "ORDER BY r.keep, r.used";

static const char live_tables[] =
    "PRAGMA temp_store=MEMORY;"
    "CREATE TEMP TABLE IF NOT EXISTS live_run(id INTEGER PRIMARY KEY);"
    "CREATE TEMP TABLE IF NOT EXISTS live_key(key BLOB PRIMARY KEY) WITHOUT ROWID";

static uint64_t remove_blob(const tb_store *s, const tb_digest *digest)
{
    char *path = tbi_blob_path(s, digest);
    struct stat st;
    const bool removed = stat(path, &st) == 0 && unlink(path) == 0;
    free(path);
    return removed ? (uint64_t)st.st_blocks * 512 : 0;
}

static void note_row(tbi_ids *gone, int64_t id)
{
    for (size_t i = 0; i < gone->count; i++)
        if (gone->items[i] == id)
            return;
    TB_GROW(gone->items, gone->cap, gone->count + 1);
    gone->items[gone->count++] = id;
}

/* db has the tables of live runs and keys. */
static void remove_files(const tb_store *s, sqlite3 *db, tbi_ids *gone)
{
    sqlite3_stmt *q = NULL;
    uint64_t freed = 0;
    if (sqlite3_prepare_v2(db, victims, -1, &q, NULL) != SQLITE_OK)
        return;
    while (freed < ENOUGH && sqlite3_step(q) == SQLITE_ROW) {
        tb_digest digest;
        if (!tbi_column_digest(q, 1, &digest))
            continue;
        freed += remove_blob(s, &digest);
        note_row(gone, sqlite3_column_int64(q, 0));
    }
    sqlite3_finalize(q);
}

tb_status tbi_rows_drop(tb_store *s, const tbi_ids *ids, tb_err *err)
{
    TB_TRY(tbi_db_begin(&s->cache, err));
    tb_status st = tbi_counters_load(&s->cache, &s->now, err);
    for (size_t i = 0; i < ids->count && st == TB_OK; i++)
        st = tbi_row_drop(s, ids->items[i], err);
    if (st == TB_OK)
        st = tbi_counters_store(&s->cache, &s->now, err);
    if (st == TB_OK)
        st = tbi_db_commit(&s->cache, err);
    else
        tbi_db_rollback(&s->cache);
    if (st == TB_OK)
        return tbi_unlink_doomed(s, err);
    s->doomed.count = 0;
    return st;
}

/* Alone, SQLite keeps the log's index in memory; with others, there is one already. */
void tbi_full_before_open(const tb_store *s, tbi_ids *gone)
{
    char *path = tb_fs_join(s->path, "cache.db");
    sqlite3 *db = NULL;
    int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, "PRAGMA locking_mode=EXCLUSIVE", NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, live_tables, NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        remove_files(s, db, gone);
    sqlite3_close(db);
    free(path);
}

bool tbi_full_while_open(tb_store *s)
{
    tbi_ids gone = { 0 };
    if (tbi_db_exec(&s->cache, live_tables, NULL) == TB_OK)
        remove_files(s, s->cache.db, &gone);
    const bool freed = gone.count && tbi_rows_drop(s, &gone, NULL) == TB_OK;
    free(gone.items);
    return freed;
}
