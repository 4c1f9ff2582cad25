/* library.c - the library child and its types: made ready on the pool, waited for by whoever comes
 * too early. */
#include "server/library.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"

enum { MAX_NODE_FILE = 1 << 20 };

struct tbs_library {
    uv_work_t work;
    const char *const *node_files;
    tb_engine *engine;
    uv_sem_t ready; /* open, once what follows is there; it never changes then */
    tb_script *script;
    tb_types *types; /* NULL: err */
    tb_err err;
    uv_mutex_t lock; /* of what follows */
    tb_script *validator;
    bool over; /* `work` is; the loop's */
};

/* ------------------------------------------------------------------------------------ the pool */

/* The files become modules of a graph that is empty: "nodes/NAME.lua". */
static tb_status add_file(json_t *files, tb_str *main, const char *path, tb_err *err)
{
    char *text = NULL, *key = tb_xasprintf("nodes/%s", tb_fs_basename(path));
    size_t n = 0;
    tb_status st = TB_OK;
    if (!tb_str_ends(key, ".lua"))
        st = tb_err_set(err, TB_EINVAL, "a file of nodes is a Lua file, got %s", path);
    else if (json_object_get(files, key))
        st = tb_err_set(err, TB_EINVAL, "two files of nodes are named %s", tb_fs_basename(path));
    else
        st = tb_fs_read(path, MAX_NODE_FILE, &text, &n, err);
    json_t *j = st == TB_OK ? json_stringn(text, n) : NULL;
    if (j) {
        json_object_set_new(files, key, j);
        tb_str_addf(main, "require \"%.*s\"\n", (int)strlen(key) - 4, key);
    } else if (st == TB_OK) {
        st = tb_err_set(err, TB_EFORMAT, "%s is not text in UTF-8", path);
    }
    free(text);
    free(key);
    return st;
}

static tb_status load_node_files(tb_script *script, const char *const *paths, tb_err *err)
{
    json_t *files = json_object();
    tb_str main = TB_STR_INIT;
    tb_status st = TB_OK;
    for (; paths && *paths && st == TB_OK; paths++)
        st = add_file(files, &main, *paths, err);
    if (st == TB_OK && json_object_size(files)) {
        tb_str_add(&main, "return require(\"tubelet\").graph { build = function() end }\n");
        json_object_set_new(files, "nodes.lua", json_string(main.s));
        json_t *sources = json_pack("{sssO}", "main", "nodes.lua", "files", files);
        st = tb_script_load_sources(script, sources, err);
        json_decref(sources);
    }
    json_decref(files);
    tb_str_free(&main);
    return st;
}

static void make_types(struct tbs_library *l)
{
    json_t *defined = tb_script_types(l->script, &l->err);
    if (!defined)
        return;
    l->types = tb_engine_types_with(l->engine, defined, &l->err);
    json_decref(defined);
}

static void warm_up(uv_work_t *work)
{
    struct tbs_library *l = work->data;
    l->script = tb_script_start(&l->err);
    if (l->script && load_node_files(l->script, l->node_files, &l->err) == TB_OK)
        make_types(l);
    uv_sem_post(&l->ready);
}

tb_script *tbs_library_validator(tb_server *s, tb_err *err)
{
    struct tbs_library *l = s->library;
    uv_mutex_lock(&l->lock);
    if (!l->validator) {
        l->validator = tb_script_start(err);
        if (l->validator && load_node_files(l->validator, l->node_files, err) != TB_OK)
            tb_script_stop(&l->validator);
    }
    tb_script *script = l->validator;
    uv_mutex_unlock(&l->lock);
    return script;
}

static void warmed_up(uv_work_t *work, int status)
{
    struct tbs_library *l = work->data;
    (void)status;
    l->over = true;
}

/* ------------------------------------------------------------------------------------ the loop */

void tbs_library_open(tb_server *s)
{
    struct tbs_library *l = tb_xcalloc(1, sizeof *l);
    l->engine = s->engine;
    l->node_files = s->o.node_files;
    l->work.data = l;
    uv_sem_init(&l->ready, 0);
    uv_mutex_init(&l->lock);
    uv_queue_work(tb_engine_loop(s->engine), &l->work, warm_up, warmed_up);
    s->library = l;
}

/* ----------------------------------------------------------------------------------- any thread */

static struct tbs_library *wait_for(const tb_server *s)
{
    struct tbs_library *l = s->library;
    uv_sem_wait(&l->ready);
    uv_sem_post(&l->ready); /* it stays open */
    return l;
}

tb_script *tbs_library_script(const tb_server *s)
{
    return wait_for(s)->script;
}

const tb_types *tbs_types(const tb_server *s, tb_err *err)
{
    const struct tbs_library *l = wait_for(s);
    if (!l->types)
        *err = l->err;
    return l->types;
}

/* ------------------------------------------------------------------------------------ the loop */

void tbs_library_close(tb_server *s)
{
    struct tbs_library *l = s->library;
    s->library = NULL;
    if (!l)
        return;
    while (!l->over)
        uv_run(tb_engine_loop(s->engine), UV_RUN_ONCE);
    uv_sem_destroy(&l->ready);
    uv_mutex_destroy(&l->lock);
    tb_script_stop(&l->validator);
    tb_script_stop(&l->script);
    tb_types_free(&l->types);
    free(l);
}
