/* embed.c - the engine inside another program: a Lua graph is built and run, its events are
 * printed.
 *
 *     cmake --build --preset release --target embed
 *     build/release/embed graphs/text_to_video.lua "a small blue cube spins on the sand by day"
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tubelet.h"

static int fail(const tb_err *err)
{
    char text[1024];
    fprintf(stderr, "%s\n", tb_err_text(err, NULL, text, sizeof text));
    return tb_status_exit_code(err->status);
}

/* Loop thread. `ctx` is the status that main returns. */
static void on_event(void *ctx, tb_run *run, const tb_event *ev)
{
    (void)run;
    switch (ev->kind) {
    case TB_EV_PLANNED:
        printf("%d of %d nodes will run\n", ev->plan->nodes_run, ev->plan->nodes_total);
        break;
    case TB_EV_FINISHED: printf("%s: %.0f ms\n", ev->node, ev->ms); break;
    case TB_EV_DELIVERED: printf("wrote %s\n", ev->path); break;
    case TB_EV_END: *(int *)ctx = ev->status == TB_OK ? 0 : fail(ev->err); break;
    case TB_EV_CACHED:
    case TB_EV_STARTED:
    case TB_EV_PROGRESS:
    case TB_EV_FAILED:
    case TB_EV_STORED:
    case TB_EV_BLOCKED:
    case TB_EV_WARNING: break;
    }
}

/* The document of a graph with this prompt: { graph, targets, script }. NULL on error. */
static json_t *build(tb_script *script, const char *path, const char *prompt, tb_err *err)
{
    json_t *info = tb_script_load(script, path, err);
    if (!info)
        return NULL;
    json_decref(info); /* its parameters: name, type, default, range */
    json_t *params = prompt ? json_pack("{s:s}", "prompt", prompt) : json_object();
    json_t *document = tb_script_build(script, params, err);
    json_decref(params);
    if (document)
        json_object_set_new(document, "script", tb_script_sources(script));
    return document;
}

static int run(json_t *document, tb_script *script)
{
    int result = 0;
    tb_err err = TB_ERR_INIT;
    tb_err_list errors = { 0 };
    tb_engine *engine = tb_engine_new(&(tb_engine_options){ 0 }, &err);
    if (!engine)
        return fail(&err);
    const tb_run_options options = {
        .document = document, .script = script, .on_event = on_event, .ctx = &result
    };
    if (tb_engine_submit(engine, &options, &errors, &err))
        uv_run(tb_engine_loop(engine), UV_RUN_DEFAULT);
    else
        result = fail(&err);
    tb_err_list_free(&errors);
    tb_engine_free(&engine);
    return result;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "__lua") == 0) /* scripts run in a child of this program */
        tb_script_child_main(TB_SCRIPT_CHILD_FD);
    if (argc < 2) {
        fprintf(stderr, "usage: embed GRAPH.lua [PROMPT]\n");
        return tb_status_exit_code(TB_EUSAGE);
    }
    tb_err err = TB_ERR_INIT;
    tb_script *script = tb_script_start(&err);
    json_t *document = script ? build(script, argv[1], argc > 2 ? argv[2] : NULL, &err) : NULL;
    const int result = document ? run(document, script) : fail(&err);
    json_decref(document);
    tb_script_stop(&script);
    return result;
}
