/* store_schema.c - the two database files: made, recognised, set aside.
 *
 * A file is judged through an immutable connection, which reads the main file only and creates
 * nothing beside it, so that a foreign or newer file stays as it was. (A plain open() and close()
 * would drop the POSIX locks of other connections of this process.) New files are made under
 * another name and renamed.
 */
#include "store/store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

/* result.used orders by last use (a counter, no clock); keep: evicted last; run: protected while it
 * lives. alias.kind: 0 a second key of a result, 1 its content key. */
static const char cache_schema[] =
    "CREATE TABLE meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    "INSERT INTO meta VALUES('bytes',0),('used',0),('boot',''),('swept_ms',0);"
    "CREATE TABLE result(id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, type TEXT NOT NULL,"
    " manifest TEXT NOT NULL, bytes INTEGER NOT NULL, cost_ms REAL NOT NULL, created_ms INTEGER "
    "NOT NULL,"
    " used_ms INTEGER NOT NULL, used INTEGER NOT NULL, pinned INTEGER NOT NULL, keep INTEGER NOT "
    "NULL,"
    " run INTEGER NOT NULL, checksum BLOB NOT NULL);"
    "CREATE TABLE blob(id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, size INTEGER NOT NULL, "
    "data BLOB);"
    "CREATE TABLE result_blob(result INTEGER NOT NULL REFERENCES result(id) ON DELETE CASCADE,"
    " digest BLOB NOT NULL, PRIMARY KEY(result,digest)) WITHOUT ROWID;"
    "CREATE INDEX result_blob_digest ON result_blob(digest);"
    "CREATE TABLE alias(kind INTEGER NOT NULL, key BLOB NOT NULL, target BLOB NOT NULL"
    " REFERENCES result(key) ON DELETE CASCADE, checksum BLOB NOT NULL, PRIMARY KEY(kind,key)) "
    "WITHOUT ROWID;"
    "CREATE INDEX alias_target ON alias(target);"
    "CREATE TABLE cost(signature TEXT PRIMARY KEY, n INTEGER NOT NULL, mean_ms REAL NOT NULL) "
    "WITHOUT ROWID;"
    "CREATE TABLE file(path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, inode INTEGER, "
    "device INTEGER,"
    " digest BLOB, checksum BLOB) WITHOUT ROWID;";

static const char runs_schema[] =
    "CREATE TABLE run(id INTEGER PRIMARY KEY AUTOINCREMENT, status TEXT NOT NULL, started_ms "
    "INTEGER NOT NULL,"
    " ended_ms INTEGER NOT NULL, title TEXT, document TEXT, error TEXT, pid INTEGER NOT NULL,"
    " pid_start INTEGER NOT NULL, boot TEXT NOT NULL);"
    "CREATE TABLE run_node(run INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE, node TEXT "
    "NOT NULL,"
    " type TEXT, key BLOB, state TEXT NOT NULL, ms REAL, updated_ms INTEGER, PRIMARY "
    "KEY(run,node)) WITHOUT ROWID;";

typedef struct file_kind {
    const char *name;
    int app_id, version;
    const char *schema, *more;
} file_kind;

static const file_kind kinds[2] = {
    { "cache.db", TBI_CACHE_APP_ID, TBI_CACHE_VERSION, cache_schema, "" },
    { "runs.db", TBI_RUNS_APP_ID, TBI_RUNS_VERSION, runs_schema, tbi_prompt_schema },
};

typedef enum verdict { ABSENT, OURS, NEWER, FOREIGN, UNREADABLE } verdict;

/* file:PATH?immutable=1 with the characters that mean something in a URI escaped */
static char *immutable_uri(const char *path)
{
    tb_str u = TB_STR_INIT;
    tb_str_add(&u, "file:");
    for (const char *p = path; *p; p++)
        if (strchr("%?# ", *p))
            tb_str_addf(&u, "%%%02x", (unsigned)(unsigned char)*p);
        else
            tb_str_addn(&u, p, 1);
    tb_str_add(&u, "?immutable=1");
    return tb_str_take(&u);
}

static int query_int(sqlite3 *db, const char *sql, int64_t *v)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
    if (rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW)
        *v = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return rc == SQLITE_ROW ? SQLITE_OK : rc;
}

static verdict judge(const char *path, const file_kind *k, int64_t *version)
{
    struct stat sb;
    if (stat(path, &sb) != 0 || sb.st_size == 0)
        return ABSENT;
    if (!S_ISREG(sb.st_mode))
        return FOREIGN;
    char *uri = immutable_uri(path);
    sqlite3 *db = NULL;
    int64_t id = 0;
    int rc = sqlite3_open_v2(uri, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX,
                             NULL);
    if (rc == SQLITE_OK)
        rc = query_int(db, "PRAGMA application_id", &id);
    if (rc == SQLITE_OK)
        rc = query_int(db, "PRAGMA user_version", version);
    sqlite3_close(db);
    free(uri);
    if (rc != SQLITE_OK)
        return UNREADABLE;
    if (id != k->app_id)
        return FOREIGN;
    return *version > k->version ? NEWER : OURS;
}

static tb_status sync_path(const char *path, int flags, tb_err *err)
{
    const int fd = open(path, flags | O_CLOEXEC);
    const int e = fd < 0 || fsync(fd) != 0 ? errno : 0;
    if (fd >= 0)
        close(fd);
    if (e == ENOSPC || e == EDQUOT)
        return tbi_full(path, err);
    return e ? tb_err_errno(err, e, "cannot sync '%s'", path) : TB_OK;
}

/* Nobody knows the file yet, so SQLite need not guard it against a crash: it is synced once, as a
 * whole, before it gets its name. */
static tb_status fill(tbi_db *d, const file_kind *k, tb_err *err)
{
    char *sql = tb_xasprintf(
        "PRAGMA page_size=16384; PRAGMA auto_vacuum=INCREMENTAL; PRAGMA synchronous=OFF;"
        "PRAGMA journal_mode=MEMORY; BEGIN IMMEDIATE; PRAGMA application_id=%d;"
        "PRAGMA user_version=%d; %s%s COMMIT; PRAGMA journal_mode=WAL;",
        k->app_id, k->version, k->schema, k->more);
    const int rc = sqlite3_exec(d->db, sql, NULL, NULL, NULL);
    free(sql);
    return rc == SQLITE_OK ? TB_OK : tbi_db_error(d, rc, err);
}

/* NAME.new, whole and on the disk. */
static tb_status make_new(tb_store *s, const file_kind *k, tb_err *err)
{
    char *temp = tbi_path(s, "%s.new", k->name), *wal = tbi_path(s, "%s.new-wal", k->name);
    tbi_db d = { .store = s->path, .file = k->name };
    unlink(temp);
    unlink(wal); /* of one that was killed here */
    const int rc = sqlite3_open_v2(
        temp, &d.db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    tb_status st = rc == SQLITE_OK ? fill(&d, k, err) : tbi_db_error(&d, rc, err);
    sqlite3_close(d.db);
    TBI_SITE("create-before-sync");
    if (st == TB_OK)
        st = sync_path(temp, O_RDONLY, err);
    free(temp);
    free(wal);
    return st;
}

/* NAME.new becomes NAME; a log that lies there belongs to another file. */
static tb_status name_new(tb_store *s, const file_kind *k, tb_err *err)
{
    char *path = tbi_path(s, "%s", k->name), *temp = tbi_path(s, "%s.new", k->name);
    char *wal = tbi_path(s, "%s-wal", k->name), *shm = tbi_path(s, "%s-shm", k->name);
    unlink(wal);
    unlink(shm);
    TBI_SITE("create-before-rename");
    const tb_status st =
        rename(temp, path) == 0 ? TB_OK : tb_err_errno(err, errno, "cannot make '%s'", path);
    free(path);
    free(temp);
    free(wal);
    free(shm);
    return st;
}

/* Each file is whole when it is there; the folder is synced once for both. */
static tb_status create(tb_store *s, const bool wanted[2], tb_err *err)
{
    for (int i = 0; i < 2; i++)
        if (wanted[i])
            TB_TRY(make_new(s, &kinds[i], err));
    for (int i = 0; i < 2; i++) {
        if (wanted[i])
            TB_TRY(name_new(s, &kinds[i], err));
        TBI_SITE("create-after-rename");
    }
    return sync_path(s->path, O_RDONLY | O_DIRECTORY, err);
}

/* cache.db becomes cache.db.damaged-TIME, with its log; its objects stay and are found again by
 * name. */
static tb_status set_aside(tb_store *s, tb_err *err)
{
    char *from = tbi_path(s, "cache.db"), *wal = tbi_path(s, "cache.db-wal"),
         *shm = tbi_path(s, "cache.db-shm");
    char *to = tbi_path(s, "cache.db.damaged-%lld", (long long)tb_clock_wall_ms());
    char *wal_to = tb_xasprintf("%s-wal", to), *mark = tbi_path(s, "cache.db.suspect");
    tb_status st = TB_OK;
    rename(wal, wal_to);
    unlink(shm);
    TBI_SITE("set-aside");
    if (rename(from, to) != 0)
        st = tb_err_errno(err, errno, "cannot set the damaged '%s' aside", from);
    else
        tb_log(TB_LOG_WARN, "the cache '%s' was damaged; it is kept as '%s' and a new one was made",
               from, to);
    unlink(mark);
    free(from);
    free(wal);
    free(shm);
    free(to);
    free(wal_to);
    free(mark);
    return st;
}

static tb_status refuse(const tb_store *s, const file_kind *k, verdict v, int64_t version,
                        tb_err *err)
{
    if (v == NEWER)
        return tb_err_set(
            err, TB_ESTORE,
            "'%s/%s' was written by a newer tubelet (format %lld, this one knows %d); use that "
            "version, or another folder with TUBELET_STORE",
            s->path, k->name, (long long)version, k->version);
    if (v == FOREIGN)
        return tb_err_set(
            err, TB_ESTORE,
            "'%s/%s' is not a store of tubelet but another program's file; it was left as it is, "
            "choose another folder with TUBELET_STORE",
            s->path, k->name);
    return tb_err_set(
        err, TB_ESTORE,
        "the run journal '%s/%s' is damaged; move it away to go on without the history of runs",
        s->path, k->name);
}

/* The machine went down while the file was open: its log is there, and belongs to another boot. Or
 * an earlier process met damage. */
static bool is_suspect(tb_store *s, tbi_db *cache, bool had_log)
{
    char *mark = tbi_path(s, "cache.db.suspect");
    bool suspect = tb_fs_is_file(mark);
    sqlite3_stmt *st = tbi_db_stmt(cache, TBI_Q_META, NULL);
    bool row = false;
    if (st && had_log) {
        tbi_bind_text(st, 1, "boot");
        const tb_status got = tbi_db_row(cache, st, &row, NULL);
        const char *boot = row ? (const char *)sqlite3_column_text(st, 0) : NULL;
        suspect |= got != TB_OK || (boot && *boot && strcmp(boot, s->self.boot) != 0);
        sqlite3_reset(st);
    }
    unlink(mark);
    free(mark);
    return suspect || !st;
}

static bool is_sound(tbi_db *d)
{
    static const tbi_sql needed[] = { TBI_Q_RESULT, TBI_Q_BLOB, TBI_Q_ALIAS,
                                      TBI_Q_LINKS,  TBI_Q_COST, TBI_Q_FILE };
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++)
        if (!tbi_db_stmt(d, needed[i], NULL))
            return false;
    sqlite3_stmt *st = tbi_db_stmt(d, TBI_Q_QUICK, NULL);
    bool row = false;
    if (!st || tbi_db_row(d, st, &row, NULL) != TB_OK || !row)
        return false;
    const char *text = (const char *)sqlite3_column_text(st, 0);
    const bool ok = text && strcmp(text, "ok") == 0;
    sqlite3_reset(st);
    return ok;
}

/* Opened for writing, yet read-only: no permission, or a flipped bit in the format's version. */
static tb_status check_writable(tb_store *s, tbi_db *d, tb_err *err)
{
    if (s->read_only || sqlite3_db_readonly(d->db, "main") != 1)
        return TB_OK;
    char *path = tbi_path(s, "%s", d->file);
    const bool allowed = access(path, W_OK) == 0;
    free(path);
    d->damaged = allowed;
    return allowed
               ? tb_err_set(err, TB_ESTORE, "the file '%s/%s' of the store is damaged", s->path,
                            d->file)
               : tb_err_set(err, TB_ESTORE,
                            "the file '%s/%s' of the store may not be written by this user; choose "
                            "another folder with TUBELET_STORE",
                            s->path, d->file);
}

static tb_status open_cache(tb_store *s, bool had_log, tb_err *err)
{
    tb_err why = TB_ERR_INIT;
    tb_status st = tbi_db_open(&s->cache, s->path, "cache.db", s->read_only, &why);
    bool damaged = s->cache.damaged;
    if (st == TB_OK) {
        st = tbi_counters_load(&s->cache, &s->now, &why);
        if (st == TB_OK)
            st = check_writable(s, &s->cache, &why);
        damaged = s->cache.damaged;
        if (!s->read_only && is_suspect(s, &s->cache, had_log))
            damaged |= !is_sound(&s->cache);
    }
    if (!damaged || s->read_only)
        return st == TB_OK ? TB_OK : tb_err_set(err, st, "%s", why.message);
    tbi_db_close(&s->cache);
    TB_TRY(set_aside(s, err));
    TB_TRY(create(s, (bool[2]){ true, false }, err));
    TB_TRY(tbi_db_open(&s->cache, s->path, "cache.db", false, err));
    return tbi_counters_load(&s->cache, &s->now, err);
}

static tb_status open_runs(tb_store *s, tb_err *err)
{
    TB_TRY(tbi_db_open(&s->runs, s->path, "runs.db", s->read_only, err));
    if (!tbi_db_stmt(&s->runs, TBI_Q_RUN_LIVE, NULL) || !tbi_db_stmt(&s->runs, TBI_Q_NODES, NULL))
        return refuse(s, &kinds[1], UNREADABLE, 0, err);
    tb_err why = TB_ERR_INIT;
    const tb_status st = check_writable(s, &s->runs, &why);
    if (s->runs.damaged)
        return refuse(s, &kinds[1], UNREADABLE, 0, err);
    if (st != TB_OK)
        return tb_err_set(err, st, "%s", why.message);
    return s->read_only ? TB_OK : tbi_runs_migrate(s, err);
}

static tb_status make_missing(tb_store *s, const verdict v[2], tb_err *err)
{
    const bool wanted[2] = { v[0] == ABSENT, v[1] == ABSENT };
    if (!wanted[0] && !wanted[1])
        return TB_OK;
    if (s->read_only)
        return tb_err_set(err, TB_ENOTFOUND, "there is no store in '%s' yet", s->path);
    return create(s, wanted, err);
}

tb_status tbi_schema_prepare(tb_store *s, tb_err *err)
{
    verdict v[2];
    int64_t version[2] = { 0, 0 };
    for (int i = 0; i < 2; i++) {
        char *path = tbi_path(s, "%s", kinds[i].name);
        v[i] = judge(path, &kinds[i], &version[i]);
        free(path);
    }
    const bool ours =
        v[1] == OURS; /* a cache.db that is no SQLite file is ours only beside our runs.db */
    for (int i = 0; i < 2; i++) {
        if (v[i] == NEWER || v[i] == FOREIGN || (i == 1 && v[i] == UNREADABLE))
            return refuse(s, &kinds[i], v[i], version[i], err);
        if (v[i] == UNREADABLE && !ours)
            return refuse(s, &kinds[i], FOREIGN, 0, err);
    }
    if (v[0] == UNREADABLE && !s->read_only) {
        TB_TRY(set_aside(s, err));
        v[0] = ABSENT;
    }
    TB_TRY(make_missing(s, v, err));
    char *wal = tbi_path(s, "cache.db-wal");
    struct stat sb;
    const bool had_log = stat(wal, &sb) == 0 && sb.st_size > 0;
    free(wal);
    TB_TRY(open_cache(s, had_log, err));
    return open_runs(s, err);
}

/* statfs types of Linux, <linux/magic.h> and the file systems' own sources */
const char *tbi_network_fs(long type)
{
    static const struct {
        long type;
        const char *name;
    } tab[] = {
        { 0x6969, "NFS" },      { 0x517b, "SMB" },        { 0xff534d42, "CIFS" },
        { 0xfe534d42, "SMB" },  { 0x5346414f, "AFS" },    { 0x73757245, "Coda" },
        { 0x01021997, "9P" },   { 0x0bd00bd0, "Lustre" }, { 0x00c36400, "Ceph" },
        { 0x47504653, "GPFS" }, { 0x19830326, "BeeGFS" }, { 0x7461636f, "OCFS2" },
        { 0x01161970, "GFS2" }, { 0x564c, "NCP" },
    };
    for (size_t i = 0; i < sizeof tab / sizeof tab[0]; i++)
        if ((tab[i].type & 0xffffffff) == (type & 0xffffffff))
            return tab[i].name;
    return NULL;
}
