/* open.c - from a file name to a graph document. */
#include "cli/open.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/set.h"
#include "formats/media.h"
#include "graph/document.h"
#include "graph/workflow.h"

enum { MAX_GRAPH_BYTES = 64 << 20 };

/* ----------------------------------------------------------------- JSON and what media carries */

static tb_status add_script_types(cli_source *s, tb_err *err);

/* What ComfyUI's editor saves goes by the tables of the nodes, those in Lua as well. */
static json_t *convert_workflow(cli_source *s, const json_t *workflow, tb_err *err)
{
    json_t *warnings = json_array(), *document = NULL, *text;
    size_t i;
    s->types = tb_types_new();
    if (add_script_types(s, err) == TB_OK)
        document = tb_workflow_to_document(s->types, workflow, warnings, err);
    json_array_foreach(warnings, i, text) fprintf(stderr, "warning: %s\n", json_string_value(text));
    if (!document)
        tb_err_prefix(err, "%s: ", s->path);
    json_decref(warnings);
    return document;
}

static tb_status take_json(cli_source *s, json_t *j, tb_err *err)
{
    s->document = !j                  ? NULL
                  : tb_is_workflow(j) ? convert_workflow(s, j, err)
                                      : tb_document_read(j, s->path, NULL, err);
    json_decref(j);
    return s->document ? TB_OK : err->status;
}

static tb_status open_json(cli_source *s, tb_err *err)
{
    return take_json(s, tb_json_load(s->path, MAX_GRAPH_BYTES, err), err);
}

static json_t *parse_text(const cli_source *s, const json_t *text, tb_err *err)
{
    return tb_json_parse(json_string_value(text), json_string_length(text), s->path, err);
}

/* The graph as it ran, with the groups it was drawn with, else the drawing. */
static tb_status take_texts(cli_source *s, const json_t *texts, tb_err *err)
{
    const json_t *prompt = json_object_get(texts, "prompt"), *view = json_object_get(texts, "view"),
                 *graph = prompt ? prompt : json_object_get(texts, "workflow");
    if (!graph)
        return tb_err_set(err, TB_ENOTFOUND,
                          "%s carries no graph; only videos and pictures made by tubelet do",
                          s->path);
    TB_TRY(take_json(s, parse_text(s, graph, err), err));
    json_t *seen = prompt && view ? parse_text(s, view, NULL) : NULL;
    if (json_is_object(seen))
        json_object_set(s->document, "view", seen);
    json_decref(seen);
    return TB_OK;
}

static tb_status open_media(cli_source *s, tb_err *err)
{
    tb_media_info info = { 0 };
    TB_TRY(tb_media_probe(s->path, &info, err));
    const tb_status st = take_texts(s, info.texts, err);
    json_decref(info.texts);
    return st;
}

/* -------------------------------------------------------------------- a graph's own parameters */

static const char *keep(cli_source *s, char *text)
{
    s->texts = tb_xrealloc(s->texts, (size_t)s->text_count + 1, sizeof *s->texts);
    s->texts[s->text_count] = text;
    return s->texts[s->text_count++];
}

static char *literal_text(const json_t *v)
{
    return json_is_string(v) ? tb_xasprintf("\"%s\"", json_string_value(v)) : tb_json_canonical(v);
}

static void add_range(tb_str *t, const json_t *lo, const json_t *hi)
{
    char *a = json_is_number(lo) ? tb_json_canonical(lo) : NULL;
    char *b = json_is_number(hi) ? tb_json_canonical(hi) : NULL;
    if (a && b)
        tb_str_addf(t, "%s..%s", a, b);
    else if (a)
        tb_str_addf(t, "at least %s", a);
    else if (b)
        tb_str_addf(t, "at most %s", b);
    free(a);
    free(b);
}

/* "What to show. [at least 1; default 20]" */
static char *param_doc(const json_t *p)
{
    tb_str range = TB_STR_INIT, text = TB_STR_INIT;
    const char *doc = json_string_value(json_object_get(p, "doc"));
    const json_t *def = json_object_get(p, "default");
    add_range(&range, json_object_get(p, "min"), json_object_get(p, "max"));
    if (def && !json_is_null(def)) {
        char *d = literal_text(def);
        tb_str_addf(&range, "%sdefault %s", range.len ? "; " : "", d);
        free(d);
    } else if (json_is_true(json_object_get(p, "required"))) {
        tb_str_addf(&range, "%srequired", range.len ? "; " : "");
    }
    tb_str_addf(&text, "%s%s", doc ? doc : "", doc && *doc && range.len ? " " : "");
    if (range.len)
        tb_str_addf(&text, "[%s]", range.s);
    tb_str_free(&range);
    return tb_str_take(&text);
}

static char *param_choices(const json_t *p)
{
    const json_t *list = json_object_get(p, "choices");
    tb_str t = TB_STR_INIT;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *c = json_string_value(json_array_get(list, i));
        tb_str_addf(&t, "%s%s", i ? "|" : "", c ? c : "");
    }
    if (t.len)
        return tb_str_take(&t);
    tb_str_free(&t);
    return NULL;
}

static cli_option option_of(cli_source *s, const json_t *p)
{
    const char *name = json_string_value(json_object_get(p, "name"));
    const char *type = json_string_value(json_object_get(p, "type"));
    const bool toggle = type && strcmp(type, "BOOLEAN") == 0;
    char *choices = param_choices(p);
    return (cli_option){
        .name = keep(s, tb_xstrdup(name ? name : "?")),
        .value = toggle ? NULL : keep(s, tb_xstrdup(type ? type : "VALUE")),
        .doc = keep(s, param_doc(p)),
        .choices = choices ? keep(s, choices) : NULL,
        .toggle = toggle,
    };
}

static tb_status open_lua(cli_source *s, tb_err *err)
{
    s->script = tb_script_start(err);
    if (!s->script)
        return err->status;
    s->info = tb_script_load(s->script, s->path, err);
    if (!s->info)
        return err->status;
    const json_t *params = json_object_get(s->info, "params");
    const size_t n = json_array_size(params);
    s->options = tb_xcalloc(n + 1, sizeof *s->options);
    for (size_t i = 0; i < n; i++)
        s->options[i] = option_of(s, json_array_get(params, i));
    return TB_OK;
}

tb_status cli_source_open(cli_source *s, const char *path, tb_err *err)
{
    *s = (cli_source){ .path = path };
    const char *ext = tb_fs_extension(path);
    if (!tb_fs_is_file(path))
        return tb_err_set(
            err, TB_ENOTFOUND,
            tb_fs_is_dir(path)
                ? "%s is a folder; name a graph: a .lua or .json file, or a video made by tubelet"
                : "there is no file %s; name a graph: a .lua or .json file, or a video made by "
                  "tubelet",
            path);
    if (strcmp(ext, "lua") == 0)
        return open_lua(s, err);
    if (strcmp(ext, "json") == 0)
        return open_json(s, err);
    return open_media(s, err);
}

/* --------------------------------------------------------------------------------- the document */

/* "--param name=value" and "--name value" become one object; the script checks and converts. */
static tb_status collect_params(const cli_source *s, const cli_args *args, json_t *params,
                                tb_err *err)
{
    for (int i = 0; i < args->given_count; i++) {
        const cli_given *g = &args->given[i];
        if (strcmp(g->option->name, "param") == 0) {
            const size_t n = strcspn(g->value, "=");
            if (!n || !g->value[n])
                return tb_err_set(err, TB_EUSAGE, "--param must be NAME=VALUE, got '%s'", g->value);
            char *name = tb_xstrndup(g->value, n);
            json_object_set_new(params, name, json_string(g->value + n + 1));
            free(name);
        }
        for (const cli_option *o = s->options; o && o->name; o++)
            if (g->option == o)
                json_object_set_new(params, o->name, json_string(g->value));
    }
    if (!s->info && json_object_size(params))
        return tb_err_set(err, TB_EUSAGE,
                          "%s has no parameters; change an input with --set NODE.INPUT=VALUE",
                          s->path);
    return TB_OK;
}

static tb_status build_lua(cli_source *s, const json_t *params, tb_err *err)
{
    s->document = tb_script_build(s->script, params, err);
    if (!s->document)
        return err->status;
    json_t *sources = tb_script_sources(s->script);
    json_object_set_new(s->document, "script", sources ? sources : json_null());
    return TB_OK;
}

tb_status cli_source_build(cli_source *s, const cli_args *args, tb_err *err)
{
    json_t *params = json_object();
    tb_status st = collect_params(s, args, params, err);
    if (st == TB_OK && s->info)
        st = build_lua(s, params, err);
    json_decref(params);
    for (int i = 0; st == TB_OK && i < args->given_count; i++)
        if (strcmp(args->given[i].option->name, "set") == 0)
            st = cli_set(s, args->given[i].value, err);
    return st;
}

void cli_source_close(cli_source *s)
{
    tb_types_free(&s->types);
    tb_script_stop(&s->script);
    json_decref(s->info);
    json_decref(s->document);
    for (int i = 0; i < s->text_count; i++)
        free(s->texts[i]);
    free(s->texts);
    free(s->options);
    *s = (cli_source){ 0 };
}

/* --------------------------------------------------------------------------------------- types */

static tb_status add_script_types(cli_source *s, tb_err *err)
{
    const json_t *sources = json_object_get(s->document, "script");
    if (!s->script) {
        s->script = tb_script_start(err);
        if (!s->script)
            return err->status;
        if (json_is_object(sources))
            TB_TRY(tb_script_load_sources(s->script, sources, err));
    }
    json_t *array = tb_script_types(s->script, err);
    const tb_status st = array ? tb_types_add(s->types, array, err) : err->status;
    json_decref(array);
    return st;
}

const tb_types *cli_source_types(cli_source *s, tb_err *err)
{
    if (s->types)
        return s->types;
    s->types = tb_types_new();
    if (!tb_types_know_all(s->types, json_object_get(s->document, "graph")) &&
        add_script_types(s, err) != TB_OK)
        tb_types_free(&s->types);
    return s->types;
}

/* ----------------------------------------------------------------------------- the usual start */

static void show_help(const cli_source *s, const cli_args *args)
{
    char title[300];
    const char *doc = json_string_value(json_object_get(s->info, "doc"));
    if (doc && *doc)
        printf("%s: %s\n\n", s->path, doc);
    snprintf(title, sizeof title, "Parameters of %s", s->path);
    cli_print_help(stdout, args->command, s->options, title);
}

int cli_source_prepare(cli_source *s, cli_args *args)
{
    tb_err err = TB_ERR_INIT;
    *s = (cli_source){ 0 };
    if (!args->operand_count) {
        tb_err_set(&err, TB_EUSAGE,
                   "name a graph: a .lua or .json file, or a video made by tubelet");
        return cli_usage(args->command, &err);
    }
    if (cli_source_open(s, args->operands[0], &err) != TB_OK)
        return cli_fail(&err);
    if (cli_parse_rest(args, s->options, &err) != TB_OK)
        return cli_usage(args->command, &err);
    if (args->help) {
        show_help(s, args);
        return 0;
    }
    if (cli_source_build(s, args, &err) != TB_OK)
        return err.status == TB_EUSAGE ? cli_usage(args->command, &err) : cli_fail(&err);
    return -1;
}
