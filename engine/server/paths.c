/* paths.c - files by a client's names: below our folders, whatever the name says. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include "server/server_internal.h"

/* Only plain names, one after the other: nothing that climbs, starts anew, or hides. */
static tb_status check_name(const char *name, tb_err *err)
{
    if (!*name)
        return tb_err_set(err, TB_EINVAL, "a file has to be named");
    if (*name == '/')
        return tb_err_set(err, TB_EINVAL, "'%s' is an absolute path; name a file below the folder",
                          name);
    for (const char *p = name; *p;) {
        const size_t n = strcspn(p, "/");
        if (n == 2 && strncmp(p, "..", 2) == 0)
            return tb_err_set(err, TB_EINVAL, "'%s' leads out of its folder", name);
        p += n + strspn(p + n, "/");
    }
    for (const char *p = name; *p; p++)
        if ((unsigned char)*p < ' ' || *p == '\\' || *p == 127)
            return tb_err_set(err, TB_EINVAL, "'%s' has a backslash or a control character", name);
    return TB_OK;
}

/* Both without links. */
static bool is_below(const char *root, const char *path)
{
    const size_t n = strlen(root);
    return strcmp(root, "/") == 0 || (strncmp(root, path, n) == 0 && (path[n] == '/' || !path[n]));
}

static tb_status lost(int errnum, const char *name, tb_err *err)
{
    if (errnum == ENOENT || errnum == ENOTDIR)
        return tb_err_set(err, TB_ENOTFOUND, "there is no file '%s'", name);
    if (errnum == ELOOP || errnum == ENAMETOOLONG)
        return tb_err_set(err, TB_EINVAL, "'%.200s' is no name of a file", name);
    return tb_err_errno(err, errnum, "cannot reach '%s'", name);
}

/* The real path of what is there of `path`, with the rest behind it as it is. NULL: errno. */
static char *real_as_far(const char *path)
{
    char *head = tb_xstrdup(path);
    for (;;) {
        char *real = realpath(head, NULL);
        if (real) {
            char *whole = tb_xasprintf("%s%s", real, path + strlen(head));
            free(real);
            free(head);
            return whole;
        }
        char *slash = strrchr(head, '/');
        if ((errno != ENOENT && errno != ENOTDIR) || !slash || slash == head) {
            free(head);
            return NULL;
        }
        *slash = 0;
    }
}

char *tbs_path_below(const char *root, const char *name, bool must_exist, tb_err *err)
{
    if (check_name(name, err) != TB_OK)
        return NULL;
    char *real_root = realpath(root, NULL), *path = tb_fs_join(root, name);
    char *real = !real_root ? NULL : must_exist ? realpath(path, NULL) : real_as_far(path);
    if (!real) {
        lost(errno, name, err);
    } else if (!is_below(real_root, real)) {
        tb_err_set(err, TB_EINVAL, "'%s' leads out of its folder, behind a link", name);
        free(real);
        real = NULL;
    }
    free(real_root);
    free(path);
    return real;
}

static const char *folder_of(const tb_server *s, const char *type)
{
    if (strcmp(type, "input") == 0)
        return s->input_dir;
    if (strcmp(type, "output") == 0)
        return s->output_dir;
    return strcmp(type, "temp") == 0 ? s->temp_dir : NULL;
}

char *tbs_file_path(const tb_server *s, const char *type, const char *subfolder, const char *name,
                    bool must_exist, tb_err *err)
{
    const char *root = folder_of(s, type);
    if (!root) {
        tb_err_set(err, TB_EINVAL, "the type has to be input, output or temp, got '%s'", type);
        return NULL;
    }
    if (check_name(name, err) != TB_OK)
        return NULL;
    if (!subfolder || !*subfolder)
        return tbs_path_below(root, name, must_exist, err);
    char *whole = tb_xasprintf("%s/%s", subfolder, name);
    char *path = tbs_path_below(root, whole, must_exist, err);
    free(whole);
    return path;
}

json_t *tbs_file_entry(const tb_server *s, const char *path)
{
    static const char *const types[] = { "output", "temp", "input" };
    json_t *entry = NULL;
    char *real = real_as_far(path);
    for (int i = 0; real && !entry && i < 3; i++) {
        const char *root = folder_of(s, types[i]), *rest = real + strlen(root) + 1;
        if (!is_below(root, real) || strlen(real) <= strlen(root) + 1)
            continue;
        const char *slash = strrchr(rest, '/');
        entry = json_pack("{s:s, s:s%, s:s}", "filename", slash ? slash + 1 : rest, "subfolder",
                          rest, slash ? (size_t)(slash - rest) : (size_t)0, "type", types[i]);
    }
    free(real);
    return entry;
}
