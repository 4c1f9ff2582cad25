/* graph.c - `tubelet graph`: a graph in another form: API JSON, Lua, Graphviz, a picture. */
#include <stdlib.h>
#include <string.h>

#include "cli/open.h"
#include "cli/session.h"
#include "cli/view.h"
#include "tubelet.h"

/* ------------------------------------------------------------------------------- --expanded */

typedef struct expansion {
    json_t *graph;
    bool ended;
    tb_err err;
} expansion;

static void on_event(void *ctx, tb_run *run, const tb_event *ev)
{
    expansion *x = ctx;
    if (ev->kind == TB_EV_PLANNED)
        x->graph = tb_run_expanded(run);
    if ((ev->kind == TB_EV_FAILED || ev->kind == TB_EV_END) && ev->err && x->err.status == TB_OK)
        x->err = *ev->err;
    x->ended |= ev->kind == TB_EV_END;
}

static void print_list(const tb_err_list *list)
{
    char text[1400];
    for (int i = 0; i < list->count; i++)
        fprintf(stderr, "%s\n",
                tb_err_text(&list->items[i], *list->types[i] ? list->types[i] : NULL, text,
                            sizeof text));
}

/* Composites become their nodes, by planning without a store. */
static int expand(cli_source *s)
{
    expansion x = { .err = TB_ERR_INIT };
    tb_err_list errors = { 0 };
    tb_engine *e = tb_engine_new(&(tb_engine_options){ .no_store = true }, &x.err);
    tb_run *run = !e ? NULL
                     : tb_engine_submit(e,
                                        &(tb_run_options){ .document = s->document,
                                                           .script = s->script,
                                                           .title = s->path,
                                                           .plan_only = true,
                                                           .on_event = on_event,
                                                           .ctx = &x },
                                        &errors, &x.err);
    while (run && !x.ended && uv_run(tb_engine_loop(e), UV_RUN_ONCE))
        ;
    print_list(&errors);
    const int code = x.graph        ? 0
                     : errors.count ? tb_status_exit_code(x.err.status)
                                    : cli_fail(&x.err);
    if (x.graph)
        json_object_set_new(s->document, "graph", x.graph);
    tb_err_list_free(&errors);
    tb_engine_free(&e);
    return code;
}

/* ----------------------------------------------------------------------------------- the forms */

/* The plain API format, unless the graph needs node types of its script: then the whole document.
 */
static int as_json(cli_source *s, const tb_types *own)
{
    json_t *graph = json_object_get(s->document, "graph");
    cli_print_json(tb_types_know_all(own, graph) ? graph : s->document);
    return 0;
}

static int as_lua(const cli_source *s)
{
    tb_err err = TB_ERR_INIT;
    char *text =
        tb_script_to_lua(s->document, json_string_value(json_object_get(s->info, "doc")), &err);
    if (!text)
        return cli_fail(&err);
    fputs(text, stdout);
    free(text);
    return 0;
}

/* Types that need no script of the user: those in C and those of the library. */
static tb_types *library_types(tb_err *err)
{
    tb_types *types = tb_types_new();
    tb_script *script = tb_script_start(err);
    json_t *array = script ? tb_script_types(script, err) : NULL;
    if (!array || tb_types_add(types, array, err) != TB_OK)
        tb_types_free(&types);
    json_decref(array);
    tb_script_stop(&script);
    return types;
}

static int draw(cli_source *s, const cli_args *args, bool svg)
{
    tb_err err = TB_ERR_INIT;
    int64_t depth = cli_flag(args, "expanded") ? 2 : 1;
    if (cli_int(args, "depth", 1, 100, &depth, &err) != TB_OK)
        return cli_usage(args->command, &err);
    const tb_types *types = cli_source_types(s, &err);
    if (!types)
        return cli_fail(&err);
    cli_view *v = cli_view_new(json_object_get(s->document, "graph"), types, (int)depth);
    if (svg) {
        cli_view_layout(v);
        cli_view_svg(v);
    } else {
        cli_view_dot(v);
    }
    cli_view_free(&v);
    return 0;
}

static int print_as(cli_source *s, const cli_args *args)
{
    const char *form = cli_text(args, "as");
    tb_err err = TB_ERR_INIT;
    if (form && strcmp(form, "lua") == 0)
        return as_lua(s);
    if (form && strcmp(form, "json") != 0)
        return draw(s, args, strcmp(form, "svg") == 0);
    tb_types *own = library_types(&err);
    const int code = own ? as_json(s, own) : cli_fail(&err);
    tb_types_free(&own);
    return code;
}

static int run(cli_args *args)
{
    cli_source source;
    int code = cli_source_prepare(&source, args);
    if (code < 0) {
        code = cli_flag(args, "expanded") ? expand(&source) : 0;
        code = code ? code : print_as(&source, args);
    }
    cli_source_close(&source);
    return code;
}

static const cli_option options[] = {
    { "as", "FORM", "The form to print.", .choices = "json|lua|dot|svg" },
    { "expanded", NULL, "Show what composites expand to." },
    { "depth", "N", "dot, svg: fold ids with more than N parts (default 1; 2 with --expanded)." },
    CLI_GRAPH_OPTIONS,
    { 0 },
};

const cli_command cli_graph = {
    .name = "graph",
    .operands = "FILE",
    .summary = "Print a graph as API JSON, Lua, Graphviz or an SVG picture",
    .detail = "FILE is a Lua graph, JSON of ours or of ComfyUI, or a video or PNG made by tubelet.",
    .options = options,
    .examples = { "tubelet graph out.mp4 --as lua > again.lua",
                  "tubelet graph graphs/text_to_video.lua --as svg > graph.svg" },
    .max_operands = 1,
    .takes_graph = true,
    .run = run,
};
