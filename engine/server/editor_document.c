/* editor_document.c - documents as clients send them: which types they need, what is wrong with
 * them, what a run of them would do. All of it on a worker. */
#include <stdlib.h>
#include <string.h>

#include "graph/document.h"
#include "graph/program.h"
#include "graph/workflow.h"
#include "server/editor_internal.h"

json_t *tbs_document_of(const json_t *in, tb_err *err)
{
    json_t *document = tbs_field(in, "document", JSON_OBJECT, err);
    const json_t *graph = json_object_get(document, "graph");
    if (document && json_is_object(graph))
        return document;
    tb_err_set(err, TB_EINVAL,
               "the body must have a document: {\"document\": {\"graph\": {\"id\": "
               "{\"class_type\": ..., \"inputs\": {...}}}}}");
    return NULL;
}

json_t *tbs_document_read(const tbs_task *t, json_t *j, const char *what, const char **from,
                          json_t *warnings, tb_err *err)
{
    if (!tb_is_workflow(j))
        return tb_document_read(j, what, from, err);
    *from = "workflow";
    json_t *document = tb_workflow_to_document(t->types, j, warnings, err);
    if (!document)
        tb_err_prefix(err, "%s: ", what);
    return document;
}

/* ---------------------------------------------------------------------------------------- types */

tb_status tbs_world_open(tbs_world *w, const tbs_task *t, const json_t *document, tb_err *err)
{
    const json_t *sources = json_object_get(document, "script");
    *w = (tbs_world){ .script = t->library, .types = t->types };
    if (!json_is_object(sources) || tb_types_know_all(t->types, json_object_get(document, "graph")))
        return TB_OK;
    w->script = w->own_script = tb_script_start(err);
    if (!w->script)
        return err->status;
    TB_TRY(tb_script_load_sources(w->script, sources, err));
    json_t *defined = tb_script_types(w->script, err);
    if (!defined)
        return err->status;
    w->types = w->own_types = tb_types_new();
    tb_types_set_folders(w->own_types, tb_engine_folders(t->server->engine));
    const tb_status st = tb_types_add(w->own_types, defined, err);
    json_decref(defined);
    return st;
}

void tbs_world_close(tbs_world *w)
{
    tb_types_free(&w->own_types);
    tb_script_stop(&w->own_script);
    *w = (tbs_world){ 0 };
}

/* ------------------------------------------------------------------------------------- targets */

static bool is_output(const json_t *node, const tb_types *types)
{
    const char *name = json_string_value(json_object_get(node, "class_type"));
    const tb_type *t = name ? tb_types_find(types, name) : NULL;
    const char *mode = json_string_value(json_object_get(json_object_get(node, "_meta"), "mode"));
    return t && t->def->flags & TB_NODE_TARGET && !(mode && strcmp(mode, "mute") == 0);
}

json_t *tbs_document_outputs(const json_t *document, const tb_types *types)
{
    const json_t *until = json_object_get(document, "until");
    json_t *targets = json_object_get(document, "targets"), *node, *list;
    const char *id;
    if (json_is_string(until))
        return json_pack("[O]", until);
    if (json_array_size(targets) > 0)
        return json_deep_copy(targets);
    list = json_array();
    json_object_foreach(json_object_get(document, "graph"), id, node) if (is_output(node, types))
        json_array_append_new(list, json_string(id));
    return list;
}

static bool has_text(const json_t *list, const char *text)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item) if (json_is_string(item) &&
                                          strcmp(json_string_value(item), text) == 0) return true;
    return false;
}

static bool targets_are_outputs(const json_t *document, const tb_types *types)
{
    const json_t *targets = json_object_get(document, "targets");
    const char *id;
    json_t *node;
    bool any = false;
    json_object_foreach(json_object_get(document, "graph"), id, node)
    {
        const bool output = is_output(node, types);
        any |= output;
        if (output != has_text(targets, id))
            return false;
    }
    return any;
}

void tbs_document_trim(json_t *document, const tb_types *shared)
{
    const json_t *sources = json_object_get(document, "script");
    if (!json_is_object(sources) || tb_types_know_all(shared, json_object_get(document, "graph")))
        json_object_del(document, "script");
    if (targets_are_outputs(document, shared))
        json_object_del(document, "targets");
}

/* ------------------------------------------------------------------------------ check and plan */

int tbs_document_check(const json_t *document, const tb_types *types, tb_err_list *errors)
{
    tb_err err = TB_ERR_INIT;
    tb_graph *g = tb_graph_new();
    if (tb_graph_read(g, json_object_get(document, "graph"), &err) != TB_OK)
        tb_err_list_add(errors, &err, NULL);
    tb_program *p = tb_program_new(g, types);
    if (err.status == TB_OK)
        tb_program_check(p, errors);
    tb_program_free(&p);
    return errors->count;
}

tb_run *tbs_document_plan(tb_server *s, const tbs_world *w, const json_t *document,
                          const char *until, bool no_cache, tb_err_list *errors, tb_err *err)
{
    tb_run_options o = { .document = (json_t *)(uintptr_t)document, /* read only */
                         .script = w->script,
                         .types = w->types,
                         .until = until,
                         .no_cache = no_cache };
    tbs_run_options(s, &o);
    return tb_engine_plan(s->engine, &o, errors, err);
}
