/* store_gc.c - keeping below the cap: eviction, leftovers, the ballast.
 *
 * Order of leaving: results not marked `keep` first, then by (time since last use, in uses of the
 * store) x bytes / cost: long unused, large and cheap to compute again. Pinned ones and those of
 * live runs stay. Rows go first, files after the commit, and only if no process stored them again
 * meanwhile.
 */
#include "store/store_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

#define EVICT_CHUNK     256 /* results a transaction: other processes wait no longer than that */
#define STRAY_AGE_S     3600
#define QUARANTINE_S    (7 * 24 * 3600)
#define SWEEP_PERIOD_MS ((int64_t)24 * 3600 * 1000)
#define RUNS_KEPT       1000

/* ---------------------------------------------------------------------------------- protection */

static tb_status protect_key(tb_store *s, const tb_key *key, tb_err *err)
{
    sqlite3_stmt *q = tbi_db_stmt(&s->cache, TBI_Q_LIVE_KEY, err);
    if (!q)
        return TB_ESTORE;
    tbi_bind_key(q, 1, key);
    return tbi_db_run(&s->cache, q, err);
}

static tb_status protect_run(tb_store *s, int64_t run, tb_err *err)
{
    sqlite3_stmt *q = tbi_db_stmt(&s->cache, TBI_Q_LIVE_RUN, err);
    if (!q)
        return TB_ESTORE;
    sqlite3_bind_int64(q, 1, run);
    TB_TRY(tbi_db_run(&s->cache, q, err));
    if (!(q = tbi_db_stmt(&s->runs, TBI_Q_NODE_KEYS, err)))
        return TB_ESTORE;
    sqlite3_bind_int64(q, 1, run);
    for (bool row = true; row;) {
        tb_key key;
        TB_TRY(tbi_db_row(&s->runs, q, &row, err));
        if (row && tbi_column_key(q, 0, &key)) {
            const tb_status st = protect_key(s, &key, err);
            if (st != TB_OK) {
                sqlite3_reset(q);
                return st;
            }
        }
    }
    return TB_OK;
}

/* Fills temp.live_run and temp.live_key with what running graphs made or read. */
static tb_status protect_live(tb_store *s, tb_err *err)
{
    int64_t *ids = NULL;
    size_t count = 0;
    TB_TRY(
        tbi_db_exec(&s->cache,
                    "CREATE TEMP TABLE IF NOT EXISTS live_run(id INTEGER PRIMARY KEY);"
                    "CREATE TEMP TABLE IF NOT EXISTS live_key(key BLOB PRIMARY KEY) WITHOUT ROWID;"
                    "DELETE FROM live_run; DELETE FROM live_key",
                    err));
    TB_TRY(tbi_live_runs(&s->runs, &ids, &count, err));
    tb_status st = TB_OK;
    for (size_t i = 0; i < count && st == TB_OK; i++)
        st = protect_run(s, ids[i], err);
    free(ids);
    if (st == TB_OK)
        st = tbi_db_exec(
            &s->cache,
            "INSERT OR IGNORE INTO live_key SELECT target FROM alias WHERE kind=0 AND key IN "
            "(SELECT key FROM live_key)",
            err);
    return st;
}

/* ------------------------------------------------------------------------------------ eviction */

static tb_status candidates(tb_store *s, int64_t ids[EVICT_CHUNK], int *count, tb_err *err)
{
    sqlite3_stmt *q = tbi_db_stmt(&s->cache, TBI_Q_EVICT, err);
    bool row = true;
    *count = 0;
    if (!q)
        return TB_ESTORE;
    sqlite3_bind_int64(q, 1, s->now.used);
    sqlite3_bind_int(q, 2, EVICT_CHUNK);
    while (row && *count < EVICT_CHUNK) {
        TB_TRY(tbi_db_row(&s->cache, q, &row, err));
        if (row)
            ids[(*count)++] = sqlite3_column_int64(q, 0);
    }
    sqlite3_reset(q);
    return TB_OK;
}

static tb_status evict_rows(tb_store *s, int64_t target, int *evicted, tb_err *err)
{
    int64_t ids[EVICT_CHUNK];
    int count = 0;
    TB_TRY(tbi_counters_load(&s->cache, &s->now, err));
    TB_TRY(candidates(s, ids, &count, err));
    for (*evicted = 0; *evicted < count && s->now.bytes > target; (*evicted)++)
        TB_TRY(tbi_row_drop(s, ids[*evicted], err));
    TB_TRY(tbi_counters_store(&s->cache, &s->now, err));
    TBI_SITE("gc-before-commit");
    return tbi_db_commit(&s->cache, err);
}

static tb_status evict_chunk(tb_store *s, int64_t target, int *evicted, tb_err *err)
{
    *evicted = 0;
    tb_status st = tbi_db_begin(&s->cache, err);
    if (st == TB_OK)
        st = evict_rows(s, target, evicted, err);
    if (st != TB_OK) {
        tbi_db_rollback(&s->cache);
        s->doomed.count = 0;
        return st;
    }
    TBI_SITE("gc-before-unlink");
    return tbi_unlink_doomed(s, err);
}

/* The counter is kept beside the rows; should it ever be wrong (a flipped bit), this mends it. */
static tb_status recount(tb_store *s, tb_err *err)
{
    bool row = false;
    TB_TRY(tbi_db_begin(&s->cache, err));
    sqlite3_stmt *q = tbi_db_stmt(&s->cache, TBI_Q_TOTAL, err);
    tb_status st = q ? tbi_db_row(&s->cache, q, &row, err) : TB_ESTORE;
    if (st == TB_OK)
        st = tbi_counters_load(&s->cache, &s->now, err);
    if (st == TB_OK) {
        s->now.bytes = sqlite3_column_int64(q, 0);
        st = tbi_counters_store(&s->cache, &s->now, err);
    }
    if (q)
        sqlite3_reset(q);
    if (st == TB_OK)
        return tbi_db_commit(&s->cache, err);
    tbi_db_rollback(&s->cache);
    return st;
}

tb_status tbi_evict(tb_store *s, int64_t target, tb_err *err)
{
    int evicted = 1;
    TB_TRY(protect_live(s, err));
    TB_TRY(tbi_counters_load(&s->cache, &s->now, err));
    while (s->now.bytes > target && evicted)
        TB_TRY(evict_chunk(s, target, &evicted, err));
    if (!evicted || s->now.bytes < 0)
        TB_TRY(recount(s, err));
    return tbi_db_exec(&s->cache, "PRAGMA incremental_vacuum(4096)", err);
}

static tb_status unlink_unused(tb_store *s, const tb_digest *d, tb_err *err)
{
    sqlite3_stmt *q = tbi_db_stmt(&s->cache, TBI_Q_BLOB_SIZE, err);
    bool used = false;
    if (!q)
        return TB_ESTORE;
    tbi_bind_digest(q, 1, d);
    TB_TRY(tbi_db_row(&s->cache, q, &used, err));
    sqlite3_reset(q);
    if (used)
        return TB_OK;
    char *path = tbi_blob_path(s, d);
    unlink(path);
    free(path);
    return TB_OK;
}

/* Under the write lock, where no other process can be between finding a file there and naming it.
 */
tb_status tbi_unlink_doomed(tb_store *s, tb_err *err)
{
    tb_status st = TB_OK;
    if (!s->doomed.count)
        return TB_OK;
    st = tbi_db_begin(&s->cache, err);
    for (size_t i = 0; i < s->doomed.count && st == TB_OK; i++)
        st = unlink_unused(s, &s->doomed.items[i].digest, err);
    tbi_db_rollback(&s->cache);
    s->doomed.count = 0;
    return st;
}

/* ------------------------------------------------------------------------------------- ballast */

static bool has_space(const tb_store *s, uint64_t bytes)
{
    struct statvfs v;
    return statvfs(s->path, &v) == 0 && (uint64_t)v.f_bavail * v.f_frsize >= bytes;
}

static void fill_ballast(tb_store *s)
{
    char *path = tbi_path(s, "ballast");
    const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    s->no_ballast = fd < 0 || posix_fallocate(fd, 0, TBI_BALLAST_BYTES) != 0;
    if (fd >= 0)
        close(fd);
    if (s->no_ballast)
        unlink(path);
    free(path);
}

void tbi_ballast_make(tb_store *s)
{
    char *path = tbi_path(s, "ballast");
    struct stat sb;
    s->no_ballast = stat(path, &sb) != 0 || sb.st_size != TBI_BALLAST_BYTES;
    if (s->no_ballast && has_space(s, 2 * TBI_BALLAST_BYTES))
        fill_ballast(s);
    free(path);
}

static bool drop_ballast(tb_store *s)
{
    char *path = tbi_path(s, "ballast");
    const bool dropped = unlink(path) == 0;
    s->no_ballast = true;
    free(path);
    return dropped;
}

/* With a full disk even DELETE needs log space, hence the ballast. */
bool tbi_make_room(tb_store *s, uint64_t incoming, bool journal)
{
    const int64_t before = s->now.bytes, wanted = (int64_t)incoming + 2 * TBI_BALLAST_BYTES;
    const bool dropped = drop_ballast(s);
    tb_err err = TB_ERR_INIT;
    tb_status st = tbi_evict(s, before > wanted ? before - wanted : 0, &err);
    if (st == TB_EFULL && tbi_full_while_open(s))
        st = tbi_evict(s, before > wanted ? before - wanted : 0, NULL);
    if (st == TB_OK)
        tbi_db_exec(&s->cache, "PRAGMA wal_checkpoint(TRUNCATE)", NULL);
    const bool freed = s->now.bytes < before;
    if (!journal || freed)
        fill_ballast(s);
    return freed || (journal && dropped);
}

/* ------------------------------------------------------------------------------------ leftovers */

static bool is_older(int dir, const char *name, time_t seconds)
{
    struct stat sb;
    return fstatat(dir, name, &sb, AT_SYMLINK_NOFOLLOW) == 0 && time(NULL) - sb.st_mtime > seconds;
}

static void sweep_folder(tb_store *s, unsigned at)
{
    char *path = tbi_path(s, "objects/%02x", at);
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));) {
        tb_digest digest;
        if (tb_digest_parse(&digest, e->d_name) && is_older(dirfd(d), e->d_name, STRAY_AGE_S)) {
            TB_GROW(s->doomed.items, s->doomed.cap, s->doomed.count + 1);
            s->doomed.items[s->doomed.count++] = (tbi_blob){ .digest = digest };
        }
    }
    if (d)
        closedir(d);
    free(path);
    tbi_unlink_doomed(s, NULL);
}

static void sweep_quarantine(tb_store *s)
{
    char *path = tbi_path(s, "quarantine");
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));)
        if (e->d_name[0] != '.' && is_older(dirfd(d), e->d_name, QUARANTINE_S))
            unlinkat(dirfd(d), e->d_name, 0);
    if (d)
        closedir(d);
    free(path);
}

static void set_swept(tb_store *s)
{
    sqlite3_stmt *q = tbi_db_stmt(&s->cache, TBI_Q_META_SET, NULL);
    if (!q || tbi_db_begin(&s->cache, NULL) != TB_OK)
        return;
    tbi_bind_text(q, 1, "swept_ms");
    sqlite3_bind_int64(q, 2, tb_clock_wall_ms());
    tbi_db_run(&s->cache, q, NULL);
    tbi_db_commit(&s->cache, NULL);
}

bool tbi_sweep_step(tb_store *s)
{
    if (s->sweep_at >= 256)
        return false;
    sweep_folder(s, (unsigned)s->sweep_at++);
    if (s->sweep_at < 256)
        return true;
    sweep_quarantine(s);
    set_swept(s);
    return false;
}

void tbi_sweep_plan(tb_store *s)
{
    sqlite3_stmt *q = tbi_db_stmt(&s->cache, TBI_Q_META, NULL);
    bool row = false;
    s->sweep_at = 256;
    if (!q)
        return;
    tbi_bind_text(q, 1, "swept_ms");
    const int64_t now = tb_clock_wall_ms();
    if (tbi_db_row(&s->cache, q, &row, NULL) == TB_OK && row) {
        const int64_t last = sqlite3_column_int64(q, 0);
        if (now - last > SWEEP_PERIOD_MS || last > now)
            s->sweep_at = 0;
    }
    sqlite3_reset(q);
}

/* ----------------------------------------------------------------------------------- on demand */

typedef struct gc_op {
    tbi_op op;
    uint64_t target;
    uint64_t *freed;
} gc_op;

static tb_status prune_runs(tb_store *s, tb_err *err)
{
    TB_TRY(tbi_db_begin(&s->runs, err));
    sqlite3_stmt *q = tbi_db_stmt(&s->runs, TBI_Q_RUN_PRUNE, err);
    tb_status st = q ? TB_OK : TB_ESTORE;
    if (q) {
        sqlite3_bind_int(q, 1, RUNS_KEPT);
        tbi_bind_text(q, 2, s->self.boot);
        st = tbi_db_run(&s->runs, q, err);
    }
    if (st == TB_OK)
        return tbi_db_commit(&s->runs, err);
    tbi_db_rollback(&s->runs);
    return st;
}

static tb_status gc_apply(tb_store *s, tbi_op *op, tb_err *err)
{
    const gc_op *g = (gc_op *)op;
    TB_TRY(recount(s, err));
    const int64_t before = s->now.bytes;
    TB_TRY(tbi_evict(s, (int64_t)(g->target < s->cap ? g->target : s->cap), err));
    *g->freed = before > s->now.bytes ? (uint64_t)(before - s->now.bytes) : 0;
    tbi_temp_sweep(s);
    for (s->sweep_at = 0; tbi_sweep_step(s);) {}
    TB_TRY(prune_runs(s, err));
    tbi_ballast_make(s);
    tbi_db_exec(&s->cache, "PRAGMA wal_checkpoint(TRUNCATE)", NULL);
    return TB_OK;
}

static const tbi_op_class gc_class = { TBI_ALONE, NULL, gc_apply, NULL };

tb_status tb_store_gc(tb_store *s, uint64_t target_bytes, uint64_t *freed, tb_err *err)
{
    uint64_t n = 0;
    gc_op *g = tb_xcalloc(1, sizeof *g);
    g->op.class = &gc_class;
    g->target = target_bytes;
    g->freed = &n;
    const tb_status st = tbi_submit_wait(s, &g->op, err);
    if (freed)
        *freed = n;
    return st;
}
