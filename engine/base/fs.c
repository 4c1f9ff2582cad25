/* fs.c - files: read whole, written beside and renamed, and where things live. */
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/guard.h"
#include "base/mem.h"

static tb_status read_fd(int fd, const char *path, size_t max, char **data, size_t *size,
                         tb_err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return tb_err_errno(err, errno, "cannot read '%s'", path);
    if (!S_ISREG(st.st_mode))
        return tb_err_set(err, TB_EINVAL, "'%s' is not a regular file", path);
    if ((size_t)st.st_size > max)
        return tb_err_set(err, TB_ELIMIT, "'%s' has %lld bytes; at most %zu are accepted here",
                          path, (long long)st.st_size, max);
    char *buf = tb_xcalloc((size_t)st.st_size + 1, 1);
    size_t n = 0;
    while (n < (size_t)st.st_size) {
        const ssize_t got = read(fd, buf + n, (size_t)st.st_size - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            const int e = errno;
            free(buf);
            return tb_err_errno(err, e, "cannot read '%s'", path);
        }
        if (got == 0)
            break;
        n += (size_t)got;
    }
    buf[n] = 0;
    *data = buf;
    *size = n;
    return TB_OK;
}

tb_status tb_fs_read(const char *path, size_t max_bytes, char **data, size_t *size, tb_err *err)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return tb_err_errno(err, errno, "cannot open '%s'", path);
    const tb_status st = read_fd(fd, path, max_bytes, data, size, err);
    close(fd);
    return st;
}

tb_status tb_fs_map(const char *path, char **data, size_t *size, tb_err *err)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0)
        return tb_err_errno(err, errno, "cannot open '%s'", path);
    void *p = NULL;
    int e = fstat(fd, &st) == 0 ? 0 : errno;
    if (!e && !S_ISREG(st.st_mode))
        e = EISDIR;
    if (!e && st.st_size > 0) {
        p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        e = p == MAP_FAILED ? errno : 0;
    }
    close(fd);
    if (e)
        return tb_err_errno(err, e, "cannot read '%s'", path);
    *data = p;
    *size = (size_t)st.st_size;
    tb_guard_watch(p, *size, path);
    return TB_OK;
}

void tb_fs_unmap(char *data, size_t size)
{
    tb_guard_drop(data);
    if (data)
        munmap(data, size);
}

static int write_all(int fd, const char *p, size_t n)
{
    while (n) {
        const ssize_t put = write(fd, p, n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return errno;
        p += put;
        n -= (size_t)put;
    }
    return 0;
}

static int sync_dir(const char *dir)
{
    const int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    const int e = fsync(fd) == 0 ? 0 : errno;
    close(fd);
    return e;
}

tb_status tb_fs_write(const char *path, const void *data, size_t size, bool sync, tb_err *err)
{
    char *dir = tb_fs_dirname(path), *temp = tb_xasprintf("%s.part-XXXXXX", path);
    tb_status st = tb_fs_mkdirs(dir, err);
    int fd = -1, e = 0;
    if (st != TB_OK)
        goto done;
    fd = mkostemp(temp, O_CLOEXEC);
    if (fd < 0) {
        st = tb_err_errno(err, errno, "cannot write '%s'", path);
        goto done;
    }
    e = write_all(fd, data, size);
    if (!e && fchmod(fd, 0644) != 0)
        e = errno;
    if (!e && sync && fsync(fd) != 0)
        e = errno;
    if (close(fd) != 0 && !e)
        e = errno;
    if (!e && rename(temp, path) != 0)
        e = errno;
    if (e) {
        unlink(temp);
        st = tb_err_errno(err, e, "cannot write '%s'", path);
    } else if (sync && (e = sync_dir(dir)) != 0) {
        st = tb_err_errno(err, e, "cannot sync the folder of '%s'", path);
    }
done:
    free(dir);
    free(temp);
    return st;
}

tb_status tb_fs_mkdirs(const char *path, tb_err *err)
{
    char *p = tb_xstrdup(path);
    tb_status st = TB_OK;
    for (char *s = p + 1;; s++) {
        if (*s && *s != '/')
            continue;
        const char c = *s;
        *s = 0;
        if (mkdir(p, 0777) != 0 && errno != EEXIST) {
            st = tb_err_errno(err, errno, "cannot make the folder '%s'", p);
            break;
        }
        *s = c;
        if (!c)
            break;
    }
    if (st == TB_OK && !tb_fs_is_dir(path))
        st = tb_err_set(err, TB_EINVAL, "'%s' must be a folder, but a file is there", path);
    free(p);
    return st;
}

bool tb_fs_is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

bool tb_fs_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

char *tb_fs_join(const char *dir, const char *name)
{
    if (*name == '/' || !*dir)
        return tb_xstrdup(name);
    return tb_xasprintf("%s%s%s", dir, dir[strlen(dir) - 1] == '/' ? "" : "/", name);
}

char *tb_fs_dirname(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return tb_xstrdup(".");
    return tb_xstrndup(path, slash == path ? 1 : (size_t)(slash - path));
}

const char *tb_fs_basename(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

const char *tb_fs_extension(const char *path)
{
    const char *base = tb_fs_basename(path), *dot = strrchr(base, '.');
    return dot && dot != base ? dot + 1 : base + strlen(base);
}

char *tb_fs_cache_dir(void)
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (xdg && *xdg == '/')
        return tb_xasprintf("%s/tubelet", xdg);
    return tb_xasprintf("%s/.cache/tubelet", home && *home ? home : "/tmp");
}

char *tb_fs_exe_dir(void)
{
    char buf[4096];
    const ssize_t n = readlink("/proc/self/exe", buf, sizeof buf - 1);
    if (n <= 0)
        return tb_xstrdup(".");
    buf[n] = 0;
    return tb_fs_dirname(buf);
}
