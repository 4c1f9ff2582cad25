/* store_migrate.c - an older runs.db becomes one of today: a copy beside it, then step by step.
 *
 * Runs under the folder's lock, before the writer starts. A step is one transaction that ends with
 * the new version number, so a process that dies in it leaves the old file, and the next one starts
 * the same step again. reliability.md 2.6.
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "store/store_internal.h"

/* age: order of arrival. place: order of ending; 0: has not ended. */
const char tbi_prompt_schema[] =
    "CREATE TABLE prompt(age INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, state "
    "TEXT NOT NULL, number REAL NOT NULL, numbered INTEGER NOT NULL, client TEXT, title TEXT,"
    " created_ms INTEGER NOT NULL, started_ms INTEGER NOT NULL, ended_ms INTEGER NOT NULL,"
    " run INTEGER NOT NULL, place INTEGER NOT NULL, request TEXT NOT NULL, result TEXT);"
    "CREATE INDEX prompt_place ON prompt(place);";

static const char *const steps[TBI_RUNS_VERSION] = { [1] = tbi_prompt_schema };

static tb_status version_of(tbi_db *d, int *version, tb_err *err)
{
    sqlite3_stmt *st = NULL;
    bool row = false;
    const int rc = sqlite3_prepare_v2(d->db, "PRAGMA user_version", -1, &st, NULL);
    if (rc != SQLITE_OK)
        return tbi_db_error(d, rc, err);
    const tb_status status = tbi_db_row(d, st, &row, err);
    *version = row ? sqlite3_column_int(st, 0) : 0;
    sqlite3_finalize(st);
    return status;
}

/* runs.db.format1: as it was, for the version that wrote it. */
static tb_status back_up(tb_store *s, int version, tb_err *err)
{
    char *path = tbi_path(s, "runs.db.format%d", version);
    sqlite3 *to = NULL;
    unlink(path); /* of a migration that was cut off */
    int rc = sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
    sqlite3_backup *b =
        rc == SQLITE_OK ? sqlite3_backup_init(to, "main", s->runs.db, "main") : NULL;
    if (b) {
        sqlite3_backup_step(b, -1);
        rc = sqlite3_backup_finish(b);
    } else if (rc == SQLITE_OK) {
        rc = sqlite3_errcode(to);
    }
    sqlite3_close(to);
    const tb_status st = rc == SQLITE_OK ? TB_OK
                         : rc == SQLITE_FULL
                             ? tbi_full(s->path, err)
                             : tb_err_set(err, TB_ESTORE,
                                          "cannot copy the run journal to '%s' "
                                          "before it is brought to a new format: %s",
                                          path, sqlite3_errstr(rc));
    free(path);
    return st;
}

static tb_status step(tbi_db *d, int version, tb_err *err)
{
    char *end = tb_xasprintf("PRAGMA user_version=%d", version + 1);
    tb_status st = tbi_db_begin(d, err);
    if (st == TB_OK)
        st = tbi_db_exec(d, steps[version], err);
    if (st == TB_OK)
        st = tbi_db_exec(d, end, err);
    TBI_SITE("migrate-before-commit");
    if (st == TB_OK)
        st = tbi_db_commit(d, err);
    tbi_db_rollback(d);
    free(end);
    return st;
}

tb_status tbi_runs_migrate(tb_store *s, tb_err *err)
{
    int version = 0;
    TB_TRY(version_of(&s->runs, &version, err));
    if (version >= TBI_RUNS_VERSION || version < 1)
        return TB_OK;
    TB_TRY(back_up(s, version, err));
    TBI_SITE("migrate-after-backup");
    tb_log(TB_LOG_INFO, "the run journal of '%s' is brought from format %d to %d", s->path, version,
           TBI_RUNS_VERSION);
    for (; version < TBI_RUNS_VERSION; version++)
        TB_TRY(step(&s->runs, version, err));
    /* into the file itself, where an older tubelet looks for the version */
    return tbi_db_exec(&s->runs, "PRAGMA wal_checkpoint(TRUNCATE)", err);
}
