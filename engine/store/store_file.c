/* store_file.c - digests of files, remembered, so that an 11 GB model is hashed once.
 *
 * A file is the same while path, size, mtime, inode and device are. One changed within the last two
 * seconds is not remembered: it could change again within the same tick of its clock.
 */
#include "store/store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/clock.h"
#include "base/mem.h"

#define CHUNK     ((size_t)1 << 20)
#define SETTLE_NS INT64_C(2000000000)

typedef struct stamp {
    int64_t size, mtime_ns, inode, device;
} stamp;

typedef struct file_op {
    tbi_op op;
    char *path; /* owned */
    stamp at;
    tb_digest digest;
} file_op;

static stamp stamp_of(const struct stat *sb)
{
    return (stamp){ sb->st_size, (int64_t)sb->st_mtim.tv_sec * 1000000000 + sb->st_mtim.tv_nsec,
                    (int64_t)sb->st_ino, (int64_t)sb->st_dev };
}

static bool same_stamp(const stamp *a, const stamp *b)
{
    return a->size == b->size && a->mtime_ns == b->mtime_ns && a->inode == b->inode &&
           a->device == b->device;
}

static tb_digest checksum(const char *path, const stamp *at, const tb_digest *d)
{
    struct {
        tb_digest path, digest;
        stamp at;
    } all;
    memset(&all, 0, sizeof all);
    all.path = tb_digest_of(path, strlen(path));
    all.digest = *d;
    all.at = *at;
    return tb_digest_of(&all, sizeof all);
}

static bool recall(tb_store *s, const char *path, const stamp *at, tb_digest *d)
{
    tbi_reader *r = tbi_reader_take(s, NULL);
    if (!r)
        return false;
    sqlite3_stmt *q = tbi_db_stmt(&r->cache, TBI_Q_FILE, NULL);
    bool found = false, row = false;
    if (q) {
        tbi_bind_text(q, 1, path);
        tb_digest sum;
        if (tbi_db_row(&r->cache, q, &row, NULL) == TB_OK && row) {
            const stamp was = { sqlite3_column_int64(q, 0), sqlite3_column_int64(q, 1),
                                sqlite3_column_int64(q, 2), sqlite3_column_int64(q, 3) };
            found =
                same_stamp(&was, at) && tbi_column_digest(q, 4, d) && tbi_column_digest(q, 5, &sum);
            const tb_digest want = found ? checksum(path, at, d) : (tb_digest){ 0 };
            found = found && tb_digest_eq(&want, &sum);
        }
        sqlite3_reset(q);
    }
    tbi_reader_note(s, r);
    tbi_reader_give(r);
    return found;
}

static int hash_fd(int fd, tb_digest *d)
{
    XXH3_state_t *state = XXH3_createState();
    char *buf = tb_xcalloc(CHUNK, 1);
    ssize_t n = 0;
    XXH3_128bits_reset(state);
    while ((n = read(fd, buf, CHUNK)) > 0 || (n < 0 && errno == EINTR))
        if (n > 0)
            XXH3_128bits_update(state, buf, (size_t)n);
    const int e = n < 0 ? errno : 0;
    XXH128_canonical_t c;
    XXH128_canonicalFromHash(&c, XXH3_128bits_digest(state));
    memcpy(d->b, c.digest, sizeof d->b);
    XXH3_freeState(state);
    free(buf);
    return e;
}

static tb_status file_apply(tb_store *s, tbi_op *op, tb_err *err)
{
    const file_op *f = (file_op *)op;
    const tb_digest sum = checksum(f->path, &f->at, &f->digest);
    sqlite3_stmt *q = tbi_db_stmt(&s->cache, TBI_Q_FILE_SET, err);
    if (!q)
        return TB_ESTORE;
    tbi_bind_text(q, 1, f->path);
    sqlite3_bind_int64(q, 2, f->at.size);
    sqlite3_bind_int64(q, 3, f->at.mtime_ns);
    sqlite3_bind_int64(q, 4, f->at.inode);
    sqlite3_bind_int64(q, 5, f->at.device);
    tbi_bind_digest(q, 6, &f->digest);
    tbi_bind_digest(q, 7, &sum);
    return tbi_db_run(&s->cache, q, err);
}

static void file_finish(tb_store *s, tbi_op *op)
{
    (void)s;
    free(((file_op *)op)->path);
}

static const tbi_op_class file_class = { TBI_IN_CACHE, NULL, file_apply, file_finish };

static void remember(tb_store *s, const char *path, const stamp *at, const tb_digest *d)
{
    if (s->read_only || tb_clock_wall_ms() * 1000000 - at->mtime_ns < SETTLE_NS)
        return;
    file_op *f = tb_xcalloc(1, sizeof *f);
    f->op.class = &file_class;
    f->op.answered = true; /* forgotten digests are computed again */
    f->path = tb_xstrdup(path);
    f->at = *at;
    f->digest = *d;
    tbi_submit(s, &f->op);
}

static tb_status digest_of(tb_store *s, const char *real, int fd, tb_digest *d, tb_err *err)
{
    struct stat sb;
    if (fstat(fd, &sb) != 0)
        return tb_err_errno(err, errno, "cannot read '%s'", real);
    if (!S_ISREG(sb.st_mode))
        return tb_err_set(err, TB_EINVAL, "'%s' is not a regular file", real);
    const stamp before = stamp_of(&sb);
    if (recall(s, real, &before, d))
        return TB_OK;
    const int e = hash_fd(fd, d);
    if (e || fstat(fd, &sb) != 0)
        return tb_err_errno(err, e ? e : errno, "cannot read '%s'", real);
    const stamp after = stamp_of(&sb);
    if (!same_stamp(&before, &after))
        return tb_err_set(err, TB_EIO,
                          "'%s' was changed while it was being read; try again when it is complete",
                          real);
    remember(s, real, &after, d);
    return TB_OK;
}

tb_status tb_store_file_digest(tb_store *s, const char *path, tb_digest *d, tb_err *err)
{
    char *real = realpath(path, NULL);
    if (!real)
        return tb_err_errno(err, errno, "cannot open '%s'", path);
    const int fd = open(real, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    const tb_status st = fd < 0 ? tb_err_errno(err, errno, "cannot open '%s'", path)
                                : digest_of(s, real, fd, d, err);
    if (fd >= 0)
        close(fd);
    free(real);
    return st;
}
