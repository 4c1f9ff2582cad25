/* paths.c - which files a run may touch: where a user's path leads, and a server's guard before it.
 *
 * A path may name a folder, "input:photo.png" (base/folders.h); what it stands for is guarded
 * alike.
 *
 * With a guard a path is followed through all its links first, so that neither "..", nor a link,
 * nor an absolute path leads out of the folders that are allowed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include "run/run_internal.h"

/* ------------------------------------------------------------------------------------ set up */

static char *absolute(const char *cwd, const char *path)
{
    return tb_fs_join(cwd, path);
}

void tbi_paths_set(tbi_paths *p, const tb_run_options *o, const char *cwd)
{
    p->write_root = o->write_root ? absolute(cwd, o->write_root) : NULL;
    if (!o->read_roots)
        return;
    int n = 0;
    while (o->read_roots[n])
        n++;
    p->read_roots = tb_xcalloc((size_t)n + 1, sizeof *p->read_roots);
    for (int i = 0; i < n; i++)
        p->read_roots[i] = absolute(cwd, o->read_roots[i]);
}

void tbi_paths_clear(tbi_paths *p)
{
    for (char **root = p->read_roots; root && *root; root++)
        free(*root);
    free(p->read_roots);
    free(p->write_root);
    *p = (tbi_paths){ 0 };
}

/* ------------------------------------------------------------------------------------- below */

/* Both without links. */
static bool is_below(const char *root, const char *path)
{
    const size_t n = strlen(root);
    return strcmp(root, "/") == 0 ||
           (strncmp(root, path, n) == 0 && (path[n] == '/' || path[n] == 0));
}

static bool is_below_real(const char *root, const char *path)
{
    char *real = realpath(root, NULL);
    const bool below = real && is_below(real, path);
    free(real);
    return below;
}

static bool climbs(const char *path)
{
    for (const char *p = path; (p = strstr(p, "..")) != NULL; p += 2)
        if ((p == path || p[-1] == '/') && (p[2] == '/' || p[2] == 0))
            return true;
    return false;
}

/* ----------------------------------------------------------------------------------- reading */

static bool may_read(const tbi_paths *p, const char *real)
{
    for (char **root = p->read_roots; *root; root++)
        if (is_below_real(*root, real))
            return true;
    return false;
}

static tb_status refuse_read(const tbi_paths *p, const char *path, bool outside, tb_err *err)
{
    tb_str roots = TB_STR_INIT;
    for (char **root = p->read_roots; *root; root++)
        tb_str_addf(&roots, "%s'%s'", root == p->read_roots ? "" : root[1] ? ", " : " or ", *root);
    if (!*p->read_roots)
        tb_str_add(&roots, "no folder");
    const tb_status st =
        outside ? tb_err_set(err, TB_EINVAL, "'%s' may not be read: files are read below %s only",
                             path, roots.s)
                : tb_err_set(err, TB_ENOTFOUND, "there is no file '%s' below %s", path, roots.s);
    tb_str_free(&roots);
    return st;
}

/* NULL: the path names no folder. */
static char *named(const tb_job *job, const char *path)
{
    char *where = tb_folders_named(job->run->engine->folders, job->run->cwd, path);
    char *full = where ? tb_fs_join(job->run->cwd, where) : NULL;
    free(where);
    return full;
}

/* The path below a folder, followed through its links; NULL unless it may be read. */
static char *readable(const tbi_paths *p, const char *dir, const char *path, bool *outside)
{
    char *full = tb_fs_join(dir, path), *real = realpath(full, NULL);
    free(full);
    if (real && may_read(p, real))
        return real;
    *outside |= real != NULL;
    free(real);
    return NULL;
}

/* NULL: not found, or outside; told of `asked`. */
static char *guarded(const tb_run *r, const char *path, const char *asked, tb_err *err)
{
    const tbi_paths *p = &r->paths;
    bool outside = *path == '/' || climbs(path);
    char *found = readable(p, r->cwd, path, &outside);
    for (char **root = p->read_roots; *root && !found; root++)
        found = readable(p, *root, path, &outside);
    if (!found)
        refuse_read(p, asked, outside, err);
    return found;
}

char *tb_job_path(const tb_job *job, const char *path, tb_err *err)
{
    const tb_run *r = job->run;
    char *where = named(job, path), *found;
    found = r->paths.read_roots ? guarded(r, where ? where : path, path, err)
            : where             ? tb_xstrdup(where)
                                : tb_fs_join(r->cwd, path);
    free(where);
    return found;
}

char *tb_job_model_path(const tb_job *job, const char *path)
{
    char *where = named(job, path);
    return where ? where : tb_fs_join(job->run->cwd, path);
}

/* ----------------------------------------------------------------------------------- writing */

/* The folder of a file that may not be there yet, nor its folder: what of it is there must lie
 * below the root, and the rest must go down. A link in the file's own place is replaced, not
 * followed. */
static bool may_write(const char *root, const char *full)
{
    char *dir = tb_fs_dirname(full), *real;
    while (!(real = realpath(dir, NULL)) && (errno == ENOENT || errno == ENOTDIR) &&
           strchr(dir, '/')) {
        char *up = tb_fs_dirname(dir);
        free(dir);
        dir = up;
    }
    const bool below = real && is_below_real(root, real) && !climbs(full + strlen(dir));
    free(dir);
    free(real);
    return below;
}

char *tb_job_target_path(const tb_job *job, const char *path, tb_err *err)
{
    const char *root = job->run->paths.write_root;
    char *full = named(job, path);
    if (!full && tb_folders_leaves(path)) {
        tb_err_set(err, TB_EINVAL, "path must stay inside the %.*s folder, got '%s'",
                   (int)strcspn(path, ":"), path, strchr(path, ':') + 1);
        return NULL;
    }
    if (full && root && tb_str_starts(path, "temp:"))
        root = tb_folders_temp(job->run->engine->folders);
    if (!full)
        full = tb_fs_join(root ? root : job->run->cwd, path);
    if (!root || may_write(root, full))
        return full;
    free(full);
    tb_err_set(err, TB_EINVAL, "'%s' may not be written: files are written below '%s' only", path,
               root);
    return NULL;
}

const char *tb_job_session(const tb_job *job)
{
    return tb_folders_session(job->run->engine->folders);
}
