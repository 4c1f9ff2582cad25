/* node_files.c - deliver: the files of an output to where the user wants them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/numbered.h"
#include "base/str.h"
#include "formats/media.h"
#include "formats/safetensors.h"
#include "graph/records.h"
#include "node.h"

/* FILE records below v, in order, appended to `files` (borrowed). */
static void collect(const tb_value *v, tb_value *files)
{
    if (tb_record_tensor(v, "bytes"))
        tb_list_append_take(files, tb_value_ref(v));
    for (int i = 0; tb_value_kind(v) == TB_LIST && i < tb_list_count(v); i++)
        collect(tb_list_at(v, i), files);
}

/* The first "%d" or "%05d" of a path; *len: its length. NULL: there is none. */
static const char *find_number(const char *path, size_t *len)
{
    for (const char *p = path; (p = strchr(p, '%')) != NULL; p++) {
        const size_t digits = strspn(p + 1, "0123456789");
        if (digits <= 2 && p[1 + digits] == 'd') {
            *len = digits + 2;
            return p;
        }
    }
    return NULL;
}

/* New string: the path with the number where it says, else "_00001" before the extension. */
static char *numbered(const char *path, int number)
{
    tb_str s = TB_STR_INIT;
    size_t len = 0;
    const char *at = find_number(path, &len), *extension = tb_fs_extension(path);
    if (at) {
        tb_str_addn(&s, path, (size_t)(at - path));
        tb_str_addf(&s, "%0*d", atoi(at + 1), number);
        tb_str_add(&s, at + len);
    } else {
        const size_t stem = (size_t)(extension - path) - (*extension ? 1 : 0);
        tb_str_addn(&s, path, stem);
        tb_str_addf(&s, "_%05d%s", number, path + stem);
    }
    return tb_str_take(&s);
}

/* What %words% of a path stand for. */
typedef struct word {
    const char *name;
    int64_t value;
    int digits;
} word;

enum { WORDS = 9 };

static void fill_words(word words[WORDS], const tb_value *file, int number)
{
    const time_t now = time(NULL);
    struct tm tm;
    localtime_r(&now, &tm);
    const word all[WORDS] = { { "%year%", tm.tm_year + 1900, 4 },
                              { "%month%", tm.tm_mon + 1, 2 },
                              { "%day%", tm.tm_mday, 2 },
                              { "%hour%", tm.tm_hour, 2 },
                              { "%minute%", tm.tm_min, 2 },
                              { "%second%", tm.tm_sec, 2 },
                              { "%width%", tb_record_int(file, "width", 0), 1 },
                              { "%height%", tb_record_int(file, "height", 0), 1 },
                              { "%batch_num%", number - 1, 1 } };
    memcpy(words, all, sizeof all);
}

/* New string: the path of file `number` (from 1) with the words replaced. */
static char *spelled(const tb_job *job, const char *path, const tb_value *file, int number)
{
    static const char session[] = "%session%";
    word words[WORDS];
    tb_str s = TB_STR_INIT;
    fill_words(words, file, number);
    while (*path) {
        int i = 0;
        while (i < WORDS && !tb_str_starts(path, words[i].name))
            i++;
        if (i < WORDS)
            tb_str_addf(&s, "%0*lld", words[i].digits, (long long)words[i].value);
        else if (tb_str_starts(path, session))
            tb_str_add(&s, tb_job_session(job));
        else
            tb_str_addn(&s, path, 1);
        path += i < WORDS                      ? strlen(words[i].name)
                : tb_str_starts(path, session) ? strlen(session)
                                               : 1;
    }
    return tb_str_take(&s);
}

static tb_status write_bytes(const char *path, const tb_tensor *bytes, tb_err *err)
{
    return tb_fs_write(path, tb_tensor_data(bytes), tb_tensor_bytes(bytes), false, err);
}

/* To the path itself, or where it is numbered to the next of its names. A file that holds the same
 * is told again instead: who runs a graph once more gets the files of the first time, as ComfyUI's
 * clients expect. *number: of the file before it in its batch, 0 for the first; becomes its own.
 * *written: freed by the caller. */
static tb_status write_to(const char *path, const tb_tensor *bytes, long *number, char **written,
                          tb_err *err)
{
    bool held = false;
    if (!tb_numbered(path)) {
        *written = tb_xstrdup(path);
        return write_bytes(path, bytes, err);
    }
    TB_TRY(tb_numbered_claim(path, tb_tensor_data(bytes), tb_tensor_bytes(bytes), number, written,
                             &held, err));
    const tb_status st = held ? TB_OK : write_bytes(*written, bytes, err);
    if (st != TB_OK)
        unlink(*written);
    return st;
}

/* The bytes with the graph inside, where their format has a place for it. New reference. */
static tb_tensor *with_graph(const char *name, const tb_tensor *bytes, const json_t *texts,
                             tb_err *err)
{
    const char *format = name ? tb_media_format_of(name) : NULL;
    if (texts && format)
        return tb_media_embed(bytes, format, texts, err);
    if (texts && name && strcmp(tb_fs_extension(name), "latent") == 0)
        return tb_safetensors_embed(bytes, texts, err);
    return tb_tensor_ref(bytes);
}

static tb_status write_file(tb_job *job, const tb_value *file, const char *path, long *number,
                            const char *kind, tb_err *err)
{
    const tb_value *name = tb_record_get(file, "name");
    tb_tensor *with = with_graph(name ? tb_value_as_string(name) : NULL,
                                 tb_record_tensor(file, "bytes"), tb_job_metadata(job), err);
    if (!with)
        return err->status;
    char *full = tb_job_target_path(job, path, err), *written = NULL;
    const tb_status st = full ? write_to(full, with, number, &written, err) : err->status;
    if (st == TB_OK)
        tb_job_delivered(job, written, kind);
    free(written);
    free(full);
    tb_tensor_unref(&with);
    return st;
}

/* The nearest folder above the file that is there already must take new entries. */
static tb_status check_parent(const char *full, tb_err *err)
{
    char *dir = tb_fs_dirname(full);
    while (access(dir, F_OK) != 0 && strcmp(dir, "/") != 0) {
        char *up = tb_fs_dirname(dir);
        free(dir);
        dir = up;
    }
    tb_status st = TB_OK;
    if (!tb_fs_is_dir(dir))
        st = tb_err_set(err, TB_EINVAL, "'%s' must be a folder, but a file is there", dir);
    else if (access(dir, W_OK | X_OK) != 0)
        st = tb_err_errno(err, errno, "cannot write '%s': the folder '%s'", full, dir);
    free(dir);
    return st;
}

tb_status tb_job_check_target(tb_job *job, const char *path, tb_err *err)
{
    char *full = tb_job_target_path(job, path, err);
    if (!full)
        return err->status;
    const tb_status st =
        tb_fs_is_dir(full)
            ? tb_err_set(err, TB_EINVAL, "path must name a file, but '%s' is a folder", full)
            : check_parent(full, err);
    free(full);
    return st;
}

tb_status tb_job_deliver_files(tb_job *job, int slot, const char *path, const char *kind,
                               tb_err *err)
{
    tb_value *files = tb_value_list();
    collect(tb_job_outputs(job, slot), files);
    const int count = tb_list_count(files);
    size_t len;
    long last = 0;
    const bool as_is = tb_numbered(path) || (count == 1 && !find_number(path, &len));
    tb_status st = TB_OK;
    for (int i = 0; i < count && st == TB_OK; i++) {
        char *name = as_is ? tb_xstrdup(path) : numbered(path, i + 1);
        char *full = spelled(job, name, tb_list_at(files, i), i + 1);
        st = write_file(job, tb_list_at(files, i), full, &last, kind, err);
        free(full);
        free(name);
    }
    tb_value_unref(&files);
    return st;
}
