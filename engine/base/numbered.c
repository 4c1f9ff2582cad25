/* numbered.c - the next name of a numbered file. */
#include "base/numbered.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"

#define MAX_NUMBER 999999999

/* dir/prefix#####suffix */
typedef struct pattern {
    char *dir, *prefix;
    const char *suffix; /* into the pattern's text */
    int digits;
} pattern;

static bool parse(const char *text, pattern *p)
{
    const char *name = tb_fs_basename(text), *at = strchr(name, '#');
    if (!at)
        return false;
    const size_t digits = strspn(at, "#");
    *p = (pattern){ .dir = tb_fs_dirname(text),
                    .prefix = tb_xstrndup(name, (size_t)(at - name)),
                    .suffix = at + digits,
                    .digits = digits < 9 ? (int)digits : 9 };
    return true;
}

static void pattern_clear(pattern *p)
{
    free(p->dir);
    free(p->prefix);
}

bool tb_numbered(const char *text)
{
    return strchr(tb_fs_basename(text), '#') != NULL;
}

static char *path_of(const pattern *p, long number)
{
    char *name = tb_xasprintf("%s%0*ld%s", p->prefix, p->digits, number, p->suffix);
    char *path = tb_fs_join(p->dir, name);
    free(name);
    return path;
}

/* The number in a name of this pattern, -1: it is another. *rest: what stands behind it. */
static long number_in(const pattern *p, const char *name, const char **rest)
{
    const size_t n = strlen(p->prefix);
    if (strncmp(name, p->prefix, n) != 0 || name[n] < '0' || name[n] > '9')
        return -1;
    char *end;
    errno = 0;
    const long number = strtol(name + n, &end, 10);
    *rest = end;
    return errno || number > MAX_NUMBER ? -1 : number;
}

static bool holds(const char *path, const void *data, size_t size)
{
    struct stat st;
    char *have = NULL;
    size_t n = 0;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode) || (size_t)st.st_size != size)
        return false;
    if (tb_fs_map(path, &have, &n, NULL) != TB_OK)
        return false;
    const bool same = n == size && (n == 0 || memcmp(have, data, n) == 0);
    tb_fs_unmap(have, n);
    return same;
}

/* What is in the folder: the highest number, and the lowest above `after` that holds the bytes. */
typedef struct found {
    long highest, same;
    char *path; /* of `same`; NULL: none */
} found;

static found look(const pattern *p, const void *data, size_t size, long after)
{
    found f = { after, MAX_NUMBER + 1L, NULL };
    DIR *d = opendir(p->dir);
    const struct dirent *e;
    while (d && (e = readdir(d)) != NULL) {
        const char *rest = "";
        const long number = number_in(p, e->d_name, &rest);
        f.highest = number > f.highest ? number : f.highest;
        if (number <= after || number >= f.same || strcmp(rest, p->suffix) != 0)
            continue;
        char *path = tb_fs_join(p->dir, e->d_name);
        const bool same = holds(path, data, size);
        char *drop = same ? f.path : path;
        if (same) {
            f.same = number;
            f.path = path;
        }
        free(drop);
    }
    if (d)
        closedir(d);
    return f;
}

/* Make an empty file under the first free number from `number` on. */
static tb_status create(const pattern *p, long *number, char **path, tb_err *err)
{
    TB_TRY(tb_fs_mkdirs(p->dir, err));
    for (; *number <= MAX_NUMBER; ++*number) {
        *path = path_of(p, *number);
        const int fd = open(*path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0) {
            close(fd);
            return TB_OK;
        }
        const int e = errno;
        if (e != EEXIST)
            tb_err_errno(err, e, "cannot write '%s'", *path);
        free(*path);
        *path = NULL;
        if (e != EEXIST)
            return err ? err->status : TB_EIO;
    }
    return tb_err_set(err, TB_ELIMIT, "there is no number left for files '%s...' in '%s'",
                      p->prefix, p->dir);
}

tb_status tb_numbered_claim(const char *text, const void *data, size_t size, long *number,
                            char **path, bool *held, tb_err *err)
{
    pattern p;
    *path = NULL;
    *held = false;
    if (!parse(text, &p))
        return tb_err_set(err, TB_EINVAL, "the name of '%s' must hold '#' for a number", text);
    const found f = look(&p, data, size, *number);
    *held = f.path != NULL;
    *path = f.path;
    *number = f.path ? f.same : f.highest + 1;
    const tb_status st = f.path ? TB_OK : create(&p, number, path, err);
    pattern_clear(&p);
    return st;
}
