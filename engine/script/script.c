/* script.c - the engine's side of the Lua child: requests, deadlines, and what the user loaded.
 *
 * The child has no files: this side reads them, keeps their texts (a run can be continued without
 * the file), and starts a new child from the texts when the old one had to be killed.
 */
#include "script/script.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "script/process.h"
#include "script/wire.h"

#define MAX_SOURCE       (1u << 20)
#define EVALUATE_SECONDS 5
#define RUN_SECONDS      60
#define MAX_PRINTED      200 /* lines a request may print */

/* lock: all fields; a call holds it from its first to its last message. */
struct tb_script {
    pthread_mutex_t lock;
    tbi_process process;
    char *main;      /* the loaded graph; NULL: none */
    json_t *files;   /* { name: text }, filled while loading */
    bool read_files; /* modules that are not in `files` may be read from the disk */
};

/* ----------------------------------------------------------------------------------- modules */

/* "a.b/c" -> "a/b/c.lua": letters, digits, _ and - only, so neither ".." nor "/x" can be said. */
static char *module_path(const char *name)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    char *path = tb_xasprintf("%s.lua", name);
    for (char *p = path; p < path + strlen(name);) {
        const size_t n = strspn(p, plain);
        p += n;
        const bool end = p == path + strlen(name);
        if (n == 0 || !(end || *p == '.' || *p == '/')) {
            free(path);
            return NULL;
        }
        if (!end)
            *p++ = '/';
    }
    return path;
}

/* Does the file, with all symbolic links followed, lie below dir? */
static bool is_below(const char *dir, const char *file)
{
    char *d = realpath(dir, NULL), *f = realpath(file, NULL);
    const size_t n = d ? strlen(d) : 0;
    const bool below = d && f && strncmp(d, f, n) == 0 && (f[n] == '/' || strcmp(d, "/") == 0);
    free(d);
    free(f);
    return below;
}

static tb_status read_module(tb_script *s, const char *name, const char *dir, const char *path,
                             tb_err *err)
{
    char *text = NULL;
    size_t n = 0;
    if (!s->read_files || !tb_fs_is_file(path))
        return tb_err_set(err, TB_ENOTFOUND,
                          "module '%s' is not shipped with tubelet, and there is no %s", name,
                          path);
    if (!is_below(dir, path))
        return tb_err_set(err, TB_EINVAL,
                          "module '%s' lies outside the graph's folder, behind a link", name);
    TB_TRY(tb_fs_read(path, MAX_SOURCE, &text, &n, err));
    json_t *j = json_stringn(text, n);
    free(text);
    if (!j)
        return tb_err_set(err, TB_EFORMAT, "%s is not text in UTF-8", path);
    json_object_set_new(s->files, path, j);
    return TB_OK;
}

/* { name, text }, or { missing: sentence }. */
static json_t *answer_need(tb_script *s, const char *name)
{
    tb_err err = TB_ERR_INIT;
    char *relative = module_path(name), *dir = tb_fs_dirname(s->main ? s->main : ".");
    char *path =
        relative ? strcmp(dir, ".") == 0 ? tb_xstrdup(relative) : tb_fs_join(dir, relative) : NULL;
    if (!path)
        tb_err_set(&err, TB_EINVAL, "a module is named by letters, digits and dots, got '%.80s'",
                   name);
    else if (!s->main)
        tb_err_set(&err, TB_EINVAL, "module '%s' is not shipped with tubelet", name);
    else if (!json_object_get(s->files, path))
        read_module(s, name, dir, path, &err);
    json_t *answer = err.status == TB_OK ? json_pack("{sssO}", "name", path, "text",
                                                     json_object_get(s->files, path))
                                         : json_pack("{ss}", "missing", err.message);
    free(relative);
    free(dir);
    free(path);
    return answer;
}

/* ---------------------------------------------------------------------------------- requests */

typedef struct call {
    json_t *request; /* consumed */
    const tbi_fds *fds_in;
    tbi_fds *fds_out; /* may be NULL */
    tbi_patience patience;
} call;

static json_t *failed(const json_t *e, tb_err *err)
{
    const char *message = json_string_value(json_object_get(e, "message"));
    const json_int_t status = json_integer_value(json_object_get(e, "status"));
    tb_err_set(err, status > TB_OK && status <= TB_EINTERNAL ? (tb_status)status : TB_ESCRIPT, "%s",
               message ? message : "the Lua process failed without a reason");
    tb_err_where(err, NULL, NULL, json_string_value(json_object_get(e, "origin")));
    return NULL;
}

/* Serve what the child asks for until it answers. *alive turns false when it is of no more use. */
static json_t *converse(tb_script *s, const call *c, bool *alive, tb_err *err)
{
    tbi_fds fds = { 0 };
    int printed = 0;
    for (;;) {
        json_t *m = tbi_wire_receive(s->process.sock, &fds, &c->patience, err);
        const json_t *need = json_object_get(m, "need"), *text = json_object_get(m, "print"),
                     *error = json_object_get(m, "error");
        *alive = m && !json_is_true(json_object_get(error, "fatal"));
        if (text || need)
            tbi_fds_close(&fds);
        if (json_is_string(text) && printed++ < MAX_PRINTED)
            tb_log(TB_LOG_WARN, "%s", json_string_value(text));
        json_t *reply = json_is_string(need) ? answer_need(s, json_string_value(need)) : NULL;
        if (reply && tbi_wire_send(s->process.sock, reply, NULL, &c->patience, err) != TB_OK)
            *alive = false;
        json_decref(reply);
        if ((text || reply) && *alive) {
            json_decref(m);
            continue;
        }
        json_t *ok = json_incref(json_object_get(m, "ok"));
        if (ok && c->fds_out)
            *c->fds_out = fds;
        else
            tbi_fds_close(&fds);
        if (error)
            failed(error, err);
        else if (m && !ok)
            tb_err_set(err, TB_EIO, "the Lua process sent a malformed message");
        json_decref(m);
        return ok;
    }
}

/* The child did not answer: in words of the user. */
static void explain(const call *c, double seconds, tb_err *err)
{
    if (!err || err->status == TB_ECANCELED)
        return;
    if (err->status == TB_ELIMIT && c->patience.deadline <= tb_clock_seconds()) {
        tb_err_clear(err);
        tb_err_set(err, TB_ELIMIT, "the script did not answer within %.0f s and was stopped",
                   seconds);
    } else if (err->status == TB_EIO) {
        tb_err_clear(err);
        tb_err_set(err, TB_ESCRIPT, "the script's process died; it used too much memory or time");
    }
}

static json_t *exchange(tb_script *s, call c, tb_err *err)
{
    const double seconds = c.patience.deadline;
    tb_err own = TB_ERR_INIT;
    bool alive = true;
    json_t *ok = NULL;
    c.patience.deadline = tb_clock_seconds() + seconds;
    /* A child that could not start has told why, so its answer is read also when sending fails. */
    const tb_status sent = tbi_wire_send(s->process.sock, c.request, c.fds_in, &c.patience, &own);
    json_decref(c.request);
    if (sent == TB_OK || sent == TB_EIO) {
        own = TB_ERR_INIT;
        ok = converse(s, &c, &alive, &own);
    } else {
        alive = sent != TB_ECANCELED && sent != TB_ELIMIT;
    }
    if (!alive) {
        explain(&c, seconds, &own);
        tbi_process_stop(&s->process);
    }
    if (!ok) {
        tb_err_set(err, own.status, "%s", own.message);
        tb_err_where(err, NULL, NULL, own.origin);
    }
    return ok;
}

static json_t *load_main(tb_script *s, tb_err *err)
{
    json_t *request = json_pack("{sssssO}", "op", "load", "name", s->main, "text",
                                json_object_get(s->files, s->main));
    return exchange(s, (call){ .request = request, .patience.deadline = EVALUATE_SECONDS }, err);
}

/* A child with everything loaded that was: a new one if the old one had to go. */
static tb_status revive(tb_script *s, tb_err *err)
{
    if (s->process.sock >= 0)
        return TB_OK;
    TB_TRY(tbi_process_start(&s->process, err));
    if (!s->main)
        return TB_OK;
    json_t *answer = load_main(s, err);
    const bool loaded = answer != NULL;
    json_decref(answer);
    return loaded ? TB_OK : TB_ESCRIPT;
}

/* One request under the lock. Consumes c.request. */
static json_t *ask(tb_script *s, call c, tb_err *err)
{
    tb_err own = TB_ERR_INIT;
    json_t *answer = NULL;
    pthread_mutex_lock(&s->lock);
    if (revive(s, &own) == TB_OK)
        answer = exchange(s, c, &own);
    else
        json_decref(c.request);
    pthread_mutex_unlock(&s->lock);
    if (!answer && err && err->status == TB_OK)
        *err = own;
    return answer;
}

/* ---------------------------------------------------------------------------- start and stop */

tb_script *tb_script_start(tb_err *err)
{
    tb_script *s = tb_xcalloc(1, sizeof *s);
    pthread_mutex_init(&s->lock, NULL);
    s->files = json_object();
    s->process.sock = -1;
    if (tbi_process_start(&s->process, err) != TB_OK)
        tb_script_stop(&s);
    return s;
}

void tb_script_stop(tb_script **sp)
{
    tb_script *s = *sp;
    *sp = NULL;
    if (!s)
        return;
    tbi_process_stop(&s->process);
    json_decref(s->files);
    free(s->main);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* ----------------------------------------------------------------------------------- loading */

/* Loads `main` from `files` (consumed); afterwards the script holds these or, on error, none. */
static json_t *load_files(tb_script *s, const char *main, json_t *files, bool read_files,
                          tb_err *err)
{
    tb_err own = TB_ERR_INIT;
    json_t *answer = NULL;
    pthread_mutex_lock(&s->lock);
    free(s->main);
    s->main = NULL;
    json_decref(s->files);
    s->files = files;
    s->read_files = read_files;
    if (revive(s, &own) == TB_OK) {
        s->main = tb_xstrdup(main);
        answer = load_main(s, &own);
    }
    s->read_files = false;
    if (!answer) {
        free(s->main);
        s->main = NULL;
        json_object_clear(s->files);
    }
    pthread_mutex_unlock(&s->lock);
    if (!answer && err && err->status == TB_OK)
        *err = own;
    return answer;
}

json_t *tb_script_load_text(tb_script *s, const char *name, const char *text, size_t n,
                            bool modules, tb_err *err)
{
    json_t *j = json_stringn(text, n);
    if (!j) {
        tb_err_set(err, TB_EFORMAT, "%s is not text in UTF-8: a graph is Lua source", name);
        return NULL;
    }
    json_t *files = json_object();
    json_object_set_new(files, name, j);
    return load_files(s, name, files, modules, err);
}

json_t *tb_script_load(tb_script *s, const char *path, tb_err *err)
{
    char *text = NULL;
    size_t n = 0;
    if (tb_fs_read(path, MAX_SOURCE, &text, &n, err) != TB_OK)
        return NULL;
    json_t *answer = tb_script_load_text(s, path, text, n, true, err);
    free(text);
    return answer;
}

json_t *tb_script_sources(tb_script *s)
{
    pthread_mutex_lock(&s->lock);
    json_t *sources = s->main ? json_pack("{sssO}", "main", s->main, "files", s->files) : NULL;
    json_t *copy = sources ? json_deep_copy(sources) : NULL;
    json_decref(sources);
    pthread_mutex_unlock(&s->lock);
    return copy;
}

tb_status tb_script_load_sources(tb_script *s, const json_t *sources, tb_err *err)
{
    const char *main = json_string_value(json_object_get(sources, "main"));
    const json_t *files = json_object_get(sources, "files");
    if (!main || !json_is_string(json_object_get(files, main)))
        return tb_err_set(err, TB_EFORMAT, "the stored sources of a script name no main file");
    json_t *answer = load_files(s, main, json_deep_copy(files), false, err);
    if (!answer)
        return err ? err->status : TB_ESCRIPT;
    json_decref(answer);
    return TB_OK;
}

/* -------------------------------------------------------------------------------- evaluation */

json_t *tb_script_build(tb_script *s, const json_t *params, tb_err *err)
{
    json_t *given = params ? json_deep_copy(params) : json_object();
    json_t *request = json_pack("{ssso}", "op", "build", "params", given);
    return ask(s, (call){ .request = request, .patience.deadline = EVALUATE_SECONDS }, err);
}

json_t *tb_script_types(tb_script *s, tb_err *err)
{
    json_t *request = json_pack("{ss}", "op", "types");
    return ask(s, (call){ .request = request, .patience.deadline = EVALUATE_SECONDS }, err);
}

json_t *tb_script_expand(tb_script *s, const char *type, const char *node_id, const json_t *inputs,
                         tb_err *err)
{
    json_t *given = inputs ? json_deep_copy(inputs) : json_object();
    json_t *request =
        json_pack("{ssssssso}", "op", "expand", "type", type, "id", node_id, "inputs", given);
    return ask(s, (call){ .request = request, .patience.deadline = EVALUATE_SECONDS }, err);
}

static tb_status unpack_outputs(const json_t *answer, const tbi_fds *fds, tb_value **outputs,
                                int count, tb_err *err)
{
    tb_status st = TB_OK;
    if ((int)json_array_size(answer) != count)
        return tb_err_set(err, TB_ESCRIPT, "the node gave %d outputs instead of %d",
                          (int)json_array_size(answer), count);
    for (int i = 0; i < count && st == TB_OK; i++) {
        outputs[i] = tbi_wire_get_value(json_array_get(answer, (size_t)i), fds, err);
        st = outputs[i] ? TB_OK : TB_ESCRIPT;
    }
    for (int i = 0; i < count && st != TB_OK; i++)
        tb_value_unref(&outputs[i]);
    return st;
}

json_t *tb_script_hook(tb_script *s, const char *hook, const char *type, const tb_value *inputs,
                       const atomic_bool *cancel, tb_err *err)
{
    tbi_fds in = { 0 };
    json_t *record = tbi_wire_put_value(inputs, &in, err), *answer = NULL;
    if (record)
        answer = ask(
            s,
            (call){ .request = json_pack("{ssssso}", "op", hook, "type", type, "inputs", record),
                    .fds_in = &in,
                    .patience = { .deadline = EVALUATE_SECONDS, .cancel = cancel } },
            err);
    tbi_fds_close(&in);
    return answer;
}

tb_status tb_script_run_node(tb_script *s, const char *type, const tb_value *inputs,
                             tb_value **outputs, int count, const atomic_bool *cancel, tb_err *err)
{
    tbi_fds in = { 0 }, out = { 0 };
    tb_err own = TB_ERR_INIT;
    memset(outputs, 0, (size_t)count * sizeof *outputs);
    json_t *record = tbi_wire_put_value(inputs, &in, &own);
    json_t *answer = NULL;
    if (record)
        answer = ask(
            s,
            (call){ .request = json_pack("{ssssso}", "op", "run", "type", type, "inputs", record),
                    .fds_in = &in,
                    .fds_out = &out,
                    .patience = { .deadline = RUN_SECONDS, .cancel = cancel } },
            &own);
    if (answer)
        unpack_outputs(answer, &out, outputs, count, &own);
    tbi_fds_close(&in);
    tbi_fds_close(&out);
    json_decref(answer);
    if (own.status != TB_OK && err && err->status == TB_OK)
        *err = own;
    return own.status;
}
