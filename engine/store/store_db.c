/* store_db.c - a SQLite connection with its statements, and what its errors mean. */
#include "store/store_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"

#define BUSY_TIMEOUT_MS 5000
#define BEGIN_LIMIT_S   60.0

static const char *const sql_tab[] = {
#define X(id, text) [id] = text,
    TBI_SQL_LIST(X)
#undef X
};

tb_status tbi_full(const char *store, tb_err *err)
{
    return tb_err_set(
        err, TB_EFULL,
        "the disk that holds the store '%s' is full; free some space, or set TUBELET_STORE "
        "to a folder on another disk",
        store);
}

static bool is_full(tbi_db *d, int code)
{
    const int primary = code & 0xff;
    if (primary == SQLITE_FULL)
        return true;
    const int e = primary == SQLITE_IOERR && d->db ? sqlite3_system_errno(d->db) : 0;
    return e == ENOSPC || e == EDQUOT || e == EFBIG;
}

tb_status tbi_db_error(tbi_db *d, int code, tb_err *err)
{
    const int primary = code & 0xff;
    d->failed = true;
    if (is_full(d, code))
        return tbi_full(d->store, err);
    if (primary == SQLITE_NOMEM)
        return tb_err_set(err, TB_ENOMEM, "no memory left to use the store '%s'", d->store);
    if (primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB) {
        d->damaged = true;
        return tb_err_set(err, TB_ESTORE, "the file '%s/%s' of the store is damaged", d->store,
                          d->file);
    }
    if (primary == SQLITE_BUSY || primary == SQLITE_LOCKED)
        return tb_err_set(
            err, TB_ESTORE,
            "another process has kept the store '%s' locked for over %.0f s; end it and "
            "try again",
            d->store, BEGIN_LIMIT_S);
    return tb_err_set(err, TB_ESTORE, "the file '%s/%s' of the store cannot be used: %s", d->store,
                      d->file, d->db ? sqlite3_errmsg(d->db) : sqlite3_errstr(code));
}

static tb_status configure(tbi_db *d, bool read_only, tb_err *err)
{
    const bool durable = strcmp(d->file, "runs.db") == 0;
    sqlite3_extended_result_codes(d->db, 1);
    sqlite3_busy_timeout(d->db, BUSY_TIMEOUT_MS);
    sqlite3_db_config(d->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(d->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(d->db, SQLITE_DBCONFIG_ENABLE_FKEY, 1, NULL);
    TB_TRY(tbi_db_exec(d, "PRAGMA temp_store=MEMORY; PRAGMA cell_size_check=ON", err));
    if (read_only)
        return TB_OK;
    return tbi_db_exec(d,
                       durable ? "PRAGMA synchronous=FULL; PRAGMA journal_size_limit=16777216"
                               : "PRAGMA synchronous=NORMAL; PRAGMA journal_size_limit=67108864",
                       err);
}

tb_status tbi_db_open(tbi_db *d, const char *store, const char *file, bool read_only, tb_err *err)
{
    char *path = tb_fs_join(store, file);
    const int flags =
        (read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE) | SQLITE_OPEN_NOMUTEX;
    *d = (tbi_db){ .store = store, .file = file };
    const int rc = sqlite3_open_v2(path, &d->db, flags, NULL);
    free(path);
    tb_status st = rc == SQLITE_OK ? configure(d, read_only, err) : tbi_db_error(d, rc, err);
    if (st != TB_OK) {
        const bool damaged = d->damaged;
        tbi_db_close(d);
        d->damaged = damaged;
    }
    d->failed = false;
    return st;
}

void tbi_db_close(tbi_db *d)
{
    for (int i = 0; i < TBI_SQL_COUNT; i++)
        sqlite3_finalize(d->st[i]);
    sqlite3_close(d->db);
    *d = (tbi_db){ .store = d->store, .file = d->file };
}

tb_status tbi_db_exec(tbi_db *d, const char *sql, tb_err *err)
{
    const int rc = sqlite3_exec(d->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? TB_OK : tbi_db_error(d, rc, err);
}

sqlite3_stmt *tbi_db_stmt(tbi_db *d, tbi_sql id, tb_err *err)
{
    if (!d->st[id]) {
        const int rc =
            sqlite3_prepare_v3(d->db, sql_tab[id], -1, SQLITE_PREPARE_PERSISTENT, &d->st[id], NULL);
        if (rc != SQLITE_OK) {
            tbi_db_error(d, rc, err);
            d->damaged |=
                rc == SQLITE_ERROR; /* our text is right, so a table is missing or altered */
            return NULL;
        }
    }
    sqlite3_reset(d->st[id]);
    sqlite3_clear_bindings(d->st[id]);
    return d->st[id];
}

tb_status tbi_db_row(tbi_db *d, sqlite3_stmt *st, bool *row, tb_err *err)
{
    const int rc = sqlite3_step(st);
    *row = rc == SQLITE_ROW;
    if (rc == SQLITE_ROW)
        return TB_OK;
    const tb_status status = rc == SQLITE_DONE ? TB_OK : tbi_db_error(d, rc, err);
    sqlite3_reset(st);
    return status;
}

tb_status tbi_db_run(tbi_db *d, sqlite3_stmt *st, tb_err *err)
{
    bool row;
    const tb_status status = tbi_db_row(d, st, &row, err);
    sqlite3_reset(st);
    return status;
}

tb_status tbi_db_begin(tbi_db *d, tb_err *err)
{
    const double start = tb_clock_seconds();
    int rc;
    d->failed = false;
    do
        rc = sqlite3_exec(d->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    while ((rc & 0xff) == SQLITE_BUSY && tb_clock_seconds() - start < BEGIN_LIMIT_S);
    return rc == SQLITE_OK ? TB_OK : tbi_db_error(d, rc, err);
}

tb_status tbi_db_commit(tbi_db *d, tb_err *err)
{
    const tb_status st = tbi_db_exec(d, "COMMIT", err);
    if (st != TB_OK)
        tbi_db_rollback(d);
    return st;
}

void tbi_db_rollback(tbi_db *d)
{
    if (!sqlite3_get_autocommit(d->db))
        sqlite3_exec(d->db, "ROLLBACK", NULL, NULL, NULL);
}

void tbi_bind_key(sqlite3_stmt *st, int at, const tb_key *k)
{
    sqlite3_bind_blob(st, at, k->b, sizeof k->b, SQLITE_TRANSIENT);
}

void tbi_bind_digest(sqlite3_stmt *st, int at, const tb_digest *d)
{
    sqlite3_bind_blob(st, at, d->b, sizeof d->b, SQLITE_TRANSIENT);
}

void tbi_bind_text(sqlite3_stmt *st, int at, const char *s)
{
    if (s)
        sqlite3_bind_text(st, at, s, -1, SQLITE_STATIC);
}

bool tbi_column_key(sqlite3_stmt *st, int at, tb_key *k)
{
    if (sqlite3_column_bytes(st, at) != (int)sizeof k->b)
        return false;
    memcpy(k->b, sqlite3_column_blob(st, at), sizeof k->b);
    return true;
}

bool tbi_column_digest(sqlite3_stmt *st, int at, tb_digest *d)
{
    if (sqlite3_column_bytes(st, at) != (int)sizeof d->b)
        return false;
    memcpy(d->b, sqlite3_column_blob(st, at), sizeof d->b);
    return true;
}
