/* editor_info.c - what is being served: the program, its store and folders, all node types, the
 * graphs that come with it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "script/lua_lib.h"
#include "server/editor_internal.h"

/* Bytes the system can still give, page cache included; 0: unknown. */
static int64_t available_memory(void)
{
    char line[128];
    long long kib = 0;
    FILE *f = fopen("/proc/meminfo", "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "MemAvailable: %lld", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return kib * 1024;
}

static json_t *store_json(tb_store *store, tb_err *err)
{
    tb_store_stats st = { 0 };
    if (!store)
        return json_null();
    if (tb_store_stat(store, &st, err) != TB_OK)
        return NULL;
    return json_pack("{ss sI sI sI}", "path", tb_store_path(store), "bytes", (json_int_t)st.bytes,
                     "cap", (json_int_t)st.cap_bytes, "results", (json_int_t)st.results);
}

static json_t *roots_json(const tb_server *s)
{
    char *models = tb_fs_join(s->base_dir, "models");
    json_t *list = json_pack("[s]", models);
    for (int i = 0; s->o.models_dirs && s->o.models_dirs[i]; i++)
        json_array_append_new(list, json_string(s->o.models_dirs[i]));
    free(models);
    return json_pack("{ss ss ss ss so}", "graphs", s->graphs_dir, "input", s->input_dir, "output",
                     s->output_dir, "temp", s->temp_dir, "models", list);
}

static void info(tbs_task *t)
{
    const tb_server *s = t->server;
    json_t *store = store_json(tb_engine_store(s->engine), &t->err);
    if (!store)
        return;
    t->answer = json_pack(
        "{ss ss si s{sI sI} so so sI}", "version", TUBELET_VERSION, "numeric_class",
        tb_engine_class(s->engine), "threads", tb_engine_threads(s->engine), "memory", "limit",
        (json_int_t)tb_engine_memory_limit(s->engine), "available", (json_int_t)available_memory(),
        "store", store, "roots", roots_json(s), "upload_cap", (json_int_t)s->upload_cap);
}

void tbs_get_info(void *ctx, tb_request *q)
{
    tbs_task_run(q, tbs_task_new(sizeof(tbs_task), ctx, q, false, info));
}

static void nodes(tbs_task *t)
{
    json_t *list = json_array();
    for (int i = 0; i < tb_types_count(t->types); i++)
        json_array_append_new(list, tb_type_to_json(tb_types_at(t->types, i)));
    t->answer = json_pack("{so}", "nodes", list);
}

void tbs_get_nodes(void *ctx, tb_request *q)
{
    tbs_task_run(q, tbs_task_new(sizeof(tbs_task), ctx, q, false, nodes));
}

void tbs_get_examples(void *ctx, tb_request *q)
{
    json_t *list = json_array();
    (void)ctx;
    for (const struct tb_lua_file *f = tb_lua_graphs; f->name; f++) {
        char *name = tb_xasprintf("%s.lua", f->name);
        json_array_append_new(list,
                              json_pack("{ss ss%}", "name", name, "source", f->text, f->size));
        free(name);
    }
    tb_reply_json_take(q, 200, json_pack("{so}", "examples", list));
}
