/* store_open.c - opening and closing a store; connections for readers; who owns a run. */
#include "store/store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"

#define DEFAULT_CAP ((uint64_t)10 << 30)

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
void tbi_site(const char *name)
{
    const char *at = getenv("TUBELET_ABORT_AT");
    if (at && strcmp(at, name) == 0)
        kill(getpid(), SIGKILL);
}
#endif

char *tbi_path(const tb_store *s, const char *fmt, ...)
{
    char name[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    return tb_xasprintf("%s/%s", s->path, name);
}

bool tbi_usable(const tb_store *s)
{
    return s->pid == getpid();
}

/* ------------------------------------------------------------------------------------- owners */

/* Field 22 of /proc/PID/stat; the name in field 2 may hold spaces and parentheses. -1: no such
 * process. */
static int64_t process_start(int64_t pid)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return -1;
    const size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = 0;
    char *p = strrchr(text, ')');
    for (int field = 2; p && field < 22; field++)
        p = strchr(p + 1, ' ');
    return p ? strtoll(p + 1, NULL, 10) : -1;
}

static void boot_id(char out[40])
{
    FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
    out[0] = 0;
    if (f && fgets(out, 40, f))
        out[strcspn(out, "\n")] = 0;
    if (f)
        fclose(f);
}

void tbi_owner_self(tbi_owner *o)
{
    o->pid = getpid();
    o->start = process_start(o->pid);
    boot_id(o->boot);
}

bool tbi_owner_alive(const tbi_owner *o)
{
    char boot[40];
    boot_id(boot);
    return strcmp(boot, o->boot) == 0 && process_start(o->pid) == o->start;
}

/* ------------------------------------------------------------------------------------ readers */

static tb_status open_reader(tb_store *s, tbi_reader *r, tb_err *err)
{
    if (!r->cache.db)
        TB_TRY(tbi_db_open(&r->cache, s->path, "cache.db", true, err));
    if (!r->runs.db)
        TB_TRY(tbi_db_open(&r->runs, s->path, "runs.db", true, err));
    return TB_OK;
}

tbi_reader *tbi_reader_take(tb_store *s, tb_err *err)
{
    if (!tbi_usable(s)) {
        tb_err_set(err, TB_EINTERNAL,
                   "a store cannot be used in a forked process; open it again there");
        return NULL;
    }
    tbi_reader *r = NULL;
    for (int i = 0; i < TBI_READERS && !r; i++)
        if (pthread_mutex_trylock(&s->readers[i].lock) == 0)
            r = &s->readers[i];
    if (!r) {
        r = &s->readers[0];
        pthread_mutex_lock(&r->lock);
    }
    if (open_reader(s, r, err) == TB_OK)
        return r;
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

void tbi_reader_give(tbi_reader *r)
{
    pthread_mutex_unlock(&r->lock);
}

void tbi_reader_note(tb_store *s, tbi_reader *r)
{
    if (r->cache.damaged)
        tbi_mark_damaged(s, "a page of cache.db is malformed");
    r->cache.damaged = r->cache.failed = false;
}

void tbi_mark_damaged(tb_store *s, const char *why)
{
    char *mark = tbi_path(s, "cache.db.suspect");
    const int fd = s->read_only ? -1 : open(mark, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd >= 0) {
        tb_log(TB_LOG_WARN, "the store '%s' is damaged: %s; it is checked when it is opened next",
               s->path, why);
        close(fd);
    }
    free(mark);
}

/* ------------------------------------------------------------------------------------ opening */

static char *choose_path(const char *path)
{
    const char *env = getenv("TUBELET_STORE");
    if (path)
        return tb_xstrdup(path);
    return env && *env ? tb_xstrdup(env) : tb_fs_cache_dir();
}

bool tb_store_exists(const char *path)
{
    char *dir = choose_path(path), *db = tb_fs_join(dir, "cache.db");
    const bool there = tb_fs_is_file(db);
    free(dir);
    free(db);
    return there;
}

static tb_status make_store_folder(const char *path, tb_err *err)
{
    tb_err own = TB_ERR_INIT;
    const tb_status st = tb_fs_mkdirs(path, &own);
    if (st == TB_OK)
        return TB_OK;
    return tb_err_set(err, st == TB_EFULL ? st : TB_ESTORE,
                      "the store cannot be made: %s; name another folder with --store or "
                      "TUBELET_STORE",
                      own.message);
}

static tb_status settle_path(tb_store *s, tb_err *err)
{
    if (s->read_only && !tb_fs_is_dir(s->path))
        return tb_err_set(err, TB_ENOTFOUND, "there is no store in '%s' yet", s->path);
    if (!s->read_only)
        TB_TRY(make_store_folder(s->path, err));
    char *real = realpath(s->path, NULL);
    if (!real)
        return tb_err_errno(err, errno, "cannot use '%s' as a store", s->path);
    free(s->path);
    s->path = real;
    struct statfs fs;
    if (statfs(s->path, &fs) != 0)
        return tb_err_errno(err, errno, "cannot use '%s' as a store", s->path);
    const char *net = tbi_network_fs((long)fs.f_type);
    if (net)
        return tb_err_set(
            err, TB_ESTORE,
            "the store '%s' is on a network file system (%s), where databases get damaged; "
            "choose a folder on a local disk with TUBELET_STORE",
            s->path, net);
    return TB_OK;
}

static tb_status make_folders(tb_store *s, tb_err *err)
{
    static const char *const names[] = { "objects", "tmp", "quarantine" };
    tb_status st = TB_OK;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && st == TB_OK; i++) {
        char *dir = tbi_path(s, "%s", names[i]);
        st = tb_fs_mkdirs(dir, err);
        free(dir);
    }
    return st;
}

/* One process at a time makes, judges and repairs files; the lock ends with its process. */
static tb_status open_files(tb_store *s, tb_err *err)
{
    if (s->read_only)
        return tbi_schema_prepare(s, err);
    char *path = tbi_path(s, "lock");
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    tb_status st = fd < 0 ? tb_err_errno(err, errno, "cannot use '%s' as a store", s->path) : TB_OK;
    while (st == TB_OK && flock(fd, LOCK_EX) != 0)
        if (errno != EINTR)
            st = tb_err_errno(err, errno, "cannot lock '%s'", path);
    if (st == TB_OK)
        st = tbi_schema_prepare(s, err);
    if (st == TB_OK)
        st = make_folders(s, err);
    if (fd >= 0)
        close(fd);
    free(path);
    return st;
}

static tb_status open_again(tb_store *s, tb_err *full)
{
    tbi_db_close(&s->cache);
    tbi_db_close(&s->runs);
    *full = TB_ERR_INIT;
    return open_files(s, full);
}

static bool give_ballast(const tb_store *s)
{
    char *ballast = tbi_path(s, "ballast");
    const bool given = unlink(ballast) == 0;
    free(ballast);
    return given;
}

/* A store on a full disk opens, too: the log's index needs a little space, which the ballast holds,
 * or else files of results. */
static tb_status open_on_full_disk(tb_store *s, tb_err *err)
{
    tb_err full = TB_ERR_INIT;
    tb_status st = open_files(s, &full);
    if (st == TB_EFULL && !s->read_only && give_ballast(s))
        st = open_again(s, &full);
    if (st == TB_EFULL && !s->read_only) {
        tbi_ids gone = { 0 };
        tbi_full_before_open(s, &gone);
        st = gone.count ? open_again(s, &full) : st;
        if (st == TB_OK)
            tbi_rows_drop(s, &gone, NULL);
        free(gone.items);
    }
    return st == TB_OK ? TB_OK : tb_err_set(err, st, "%s", full.message);
}

static uint64_t default_cap(const tb_store *s)
{
    struct statvfs v;
    if (statvfs(s->path, &v) != 0)
        return DEFAULT_CAP;
    const uint64_t room = (uint64_t)v.f_bavail * v.f_frsize + (uint64_t)s->now.bytes;
    return room / 10 < DEFAULT_CAP ? room / 10 : DEFAULT_CAP;
}

static tb_store *make(const tb_store_options *o)
{
    tb_store *s = tb_xcalloc(1, sizeof *s);
    s->path = choose_path(o ? o->path : NULL);
    s->read_only = o && o->read_only;
    s->pid = getpid();
    s->tail = &s->head;
    s->reported = tb_map_new();
    tbi_owner_self(&s->self);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->work, NULL);
    pthread_cond_init(&s->room, NULL);
    pthread_cond_init(&s->finished, NULL);
    for (int i = 0; i < TBI_READERS; i++)
        pthread_mutex_init(&s->readers[i].lock, NULL);
    return s;
}

static void destroy(tb_store *s)
{
    for (int i = 0; i < TBI_READERS; i++) {
        tbi_db_close(&s->readers[i].cache);
        tbi_db_close(&s->readers[i].runs);
        pthread_mutex_destroy(&s->readers[i].lock);
    }
    tbi_db_close(&s->cache);
    tbi_db_close(&s->runs);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->work);
    pthread_cond_destroy(&s->room);
    pthread_cond_destroy(&s->finished);
    tb_map_free(&s->reported);
    free(s->touched);
    free(s->path);
    free(s);
}

tb_store *tb_store_open(const tb_store_options *o, tb_err *err)
{
    tb_store *s = make(o);
    tb_status st = settle_path(s, err);
    if (st == TB_OK)
        st = open_on_full_disk(s, err);
    if (st == TB_OK) {
        s->cap = o && o->cap_bytes ? o->cap_bytes : default_cap(s);
        st = tbi_writer_start(s, err);
    }
    if (st == TB_OK)
        return s;
    destroy(s);
    return NULL;
}

void tb_store_close(tb_store **sp)
{
    tb_store *s = *sp;
    *sp = NULL;
    if (!s || !tbi_usable(s))
        return; /* in a forked child the handles are the parent's: closing them would drop its locks
                 */
    tbi_writer_stop(s);
    destroy(s);
}

const char *tb_store_path(const tb_store *s)
{
    return s->path;
}
