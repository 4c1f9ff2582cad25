/* run.c - one run from submission to its end: validate, prepare, schedule, journal. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "run/run_internal.h"

void tbi_push(tbi_stack *s, int node)
{
    TB_GROW(s->items, s->cap, s->count + 1);
    s->items[s->count++] = node;
}

/* -------------------------------------------------------------------------------------- events */

void tbi_run_event(tb_run *r, tb_event ev)
{
    if (r->o.on_event)
        r->o.on_event(r->o.ctx, r, &ev);
}

void tbi_node_event(tb_run *r, tb_event_kind kind, int node, double ms)
{
    const tb_type *t = r->program->nodes[node].type;
    tb_event ev = {
        .kind = kind, .node = tb_program_id(r->program, node), .type = t->def->name, .ms = ms
    };
    if ((kind == TB_EV_FINISHED || kind == TB_EV_CACHED) && r->nodes[node].out) {
        ev.outputs = r->nodes[node].out;
        ev.output_count = t->output_count;
    }
    tbi_run_event(r, ev);
}

/* What the plan found in memory, and trivial nodes that it has run already, are told of like the
 * others, so many at a time that the loop comes round; then the run begins. */
static void tell_planned(void *arg)
{
    tb_run *r = arg;
    const double until = tb_clock_seconds() + TBI_TURN_S;
    while (r->plan_told < r->plan_count && tb_clock_seconds() < until) {
        const int node = r->plan[r->plan_told++].node;
        if (r->nodes[node].state == TBI_DONE)
            tbi_node_event(r, r->nodes[node].recalled ? TB_EV_CACHED : TB_EV_FINISHED, node, 0);
    }
    if (r->plan_told < r->plan_count)
        tbi_post(r->engine, tell_planned, r);
    else
        tbi_engine_prepared(r->engine, r);
}

void tbi_run_fail(tb_run *r, int node, const tb_err *cause)
{
    tb_err err = *cause;
    if (node < 0 && err.node[0]) /* planning names the node in the error only */
        node = tb_graph_find(r->program->graph, err.node);
    if (node >= 0)
        tb_err_where(&err, tb_program_id(r->program, node), NULL,
                     tb_program_origin(r->program, node));
    const char *type = node >= 0 ? r->program->nodes[node].type->def->name : NULL;
    atomic_store(&r->cancel, true);
    if (r->err.status != TB_OK)
        return;
    r->err = err;
    snprintf(r->err_type, sizeof r->err_type, "%s", type ? type : "");
    if (err.status != TB_ECANCELED)
        tbi_run_event(r, (tb_event){ .kind = TB_EV_FAILED,
                                     .node = node >= 0 ? tb_program_id(r->program, node) : NULL,
                                     .type = type,
                                     .status = err.status,
                                     .err = &r->err });
}

/* ---------------------------------------------------------------------------------- submission */

static tb_status open_script(tb_run *r, const json_t *sources, tb_err *err)
{
    r->script = r->own_script = tb_script_start(err);
    if (!r->script)
        return err->status;
    return json_is_object(sources) ? tb_script_load_sources(r->script, sources, err) : TB_OK;
}

static tb_status load_types(tb_run *r, const json_t *graph, const json_t *sources, tb_err *err)
{
    if (r->o.types)
        return TB_OK;
    if (!r->script && (json_is_object(sources) || !tb_types_know_all(r->engine->types, graph)))
        TB_TRY(open_script(r, sources, err));
    if (!r->script)
        return TB_OK;
    json_t *types = tb_script_types(r->script, err);
    if (!types)
        return err->status;
    r->own_types = tb_engine_types_with(r->engine, types, err);
    json_decref(types);
    return r->own_types ? TB_OK : err->status;
}

static bool is_output(const tb_program *p, int n)
{
    const tb_pnode *node = &p->nodes[n];
    return node->type && node->type->def->flags & TB_NODE_TARGET && !node->muted && !node->alias;
}

/* The targets asked for, by id; without any, every output node. */
static tb_status find_targets(tb_run *r, const json_t *ids, tb_err *err)
{
    const tb_program *p = r->program;
    size_t i;
    json_t *id;
    if (r->until) {
        const int at = tb_graph_find(p->graph, r->until);
        if (at < 0)
            return tb_err_set(err, TB_ENOTFOUND, "there is no node '%s' to run until", r->until);
        tbi_push(&r->targets, at);
        return TB_OK;
    }
    json_array_foreach(ids, i, id)
    {
        const char *name = json_is_string(id) ? json_string_value(id) : "";
        const int at = tb_graph_find(p->graph, name);
        if (at < 0)
            return tb_err_set(err, TB_ENOTFOUND, "the target node '%s' is not in the graph", name);
        if (!p->nodes[at].muted)
            tbi_push(&r->targets, at);
    }
    if (json_array_size(ids) == 0)
        for (int n = 0; n < p->count; n++)
            if (is_output(p, n))
                tbi_push(&r->targets, n);
    if (r->targets.count == 0)
        return tb_err_set(
            err, TB_EINVAL,
            "the graph has no output node; add one (mux, save_image, ...) or name a node "
            "to run until");
    return TB_OK;
}

static tb_status first_of(const tb_err_list *errors, tb_err *err)
{
    if (err)
        *err = errors->items[0];
    return errors->items[0].status;
}

/* Errors of what no target needs are no errors; those that are left. */
static int spare_unneeded(tb_run *r, const json_t *ids, tb_err_list *errors)
{
    tb_err ignored = TB_ERR_INIT;
    int left = errors->count;
    if (find_targets(r, ids, &ignored) == TB_OK)
        left = tb_program_spare(r->program, r->targets.items, r->targets.count, errors);
    r->targets.count = 0;
    return left;
}

static tb_status compile(tb_run *r, const json_t *graph, const json_t *ids, tb_err_list *errors,
                         tb_err *err)
{
    const tb_types *types = tb_run_types(r);
    tb_graph *g = tb_graph_new();
    const tb_status st = tb_graph_read(g, graph, err);
    r->program = tb_program_new(g, types);
    if (st != TB_OK) {
        tb_err_list_add(errors, err, NULL);
        return st;
    }
    uint64_t nonce = 0;
    uv_random(NULL, NULL, &nonce, sizeof nonce, 0, NULL);
    r->program->nonce = nonce;
    r->program->lenient = r->o.lenient;
    if (tb_program_check(r->program, errors) && spare_unneeded(r, ids, errors))
        return first_of(errors, err);
    return TB_OK;
}

static char *current_dir(void)
{
    char buf[4096];
    return tb_xstrdup(getcwd(buf, sizeof buf) ? buf : ".");
}

static tb_status set_up(tb_run *r, const tb_run_options *o, tb_err_list *errors, tb_err *err)
{
    json_t *graph = json_object_get(o->document, "graph"),
           *ids = json_object_get(o->document, "targets");
    const char *cwd = json_string_value(json_object_get(o->document, "cwd"));
    const char *until = json_string_value(json_object_get(o->document, "until"));
    r->title = tb_xstrdup(o->title ? o->title : "graph");
    r->cwd = o->cwd ? tb_xstrdup(o->cwd) : cwd ? tb_xstrdup(cwd) : current_dir();
    tbi_paths_set(&r->paths, o, r->cwd);
    r->until = o->until ? tb_xstrdup(o->until) : until ? tb_xstrdup(until) : NULL;
    r->graph = json_incref(graph);
    r->target_ids = json_incref(ids);
    r->script = o->script;
    r->o.lenient |= json_is_true(json_object_get(o->document, "lenient"));
    TB_TRY(load_types(r, graph, json_object_get(o->document, "script"), err));
    TB_TRY(compile(r, graph, ids, errors, err));
    TB_TRY(find_targets(r, ids, err));
    tbi_run_sync(r);
    return TB_OK;
}

tb_run *tb_engine_make(tb_engine *e, const tb_run_options *o, tb_err_list *errors, tb_err *err)
{
    tb_err_list own = { 0 };
    tb_err local = TB_ERR_INIT;
    tb_run *r = tb_xcalloc(1, sizeof *r);
    r->engine = e;
    r->o = *o;
    if (set_up(r, o, errors ? errors : &own, &local) != TB_OK) {
        if (errors && errors->count == 0)
            tb_err_list_add(errors, &local, NULL);
        if (err && err->status == TB_OK)
            *err = local;
        tbi_run_free(r);
        r = NULL;
    }
    tb_err_list_free(&own);
    return r;
}

tb_run *tb_engine_submit(tb_engine *e, const tb_run_options *o, tb_err_list *errors, tb_err *err)
{
    tb_run *r = tb_engine_make(e, o, errors, err);
    if (r)
        tbi_engine_add(e, r);
    return r;
}

void tb_engine_add_take(tb_engine *e, tb_run *run)
{
    tbi_engine_add(e, run);
}

tb_run *tb_engine_plan(tb_engine *e, const tb_run_options *o, tb_err_list *errors, tb_err *err)
{
    tb_err own = TB_ERR_INIT;
    tb_run_options options = *o;
    options.plan_only = true;
    options.on_event = NULL;
    tb_run *r = tb_engine_make(e, &options, errors, err);
    if (!r || tbi_prepare(r, &own) == TB_OK)
        return r;
    const int at = tb_graph_find(r->program->graph, own.node);
    if (at >= 0)
        tb_err_where(&own, NULL, NULL, tb_program_origin(r->program, at));
    if (errors)
        tb_err_list_add(errors, &own, at >= 0 ? r->program->nodes[at].type->def->name : NULL);
    if (err && err->status == TB_OK)
        *err = own;
    tbi_run_free(r);
    return NULL;
}

void tb_run_drop(tb_run **r)
{
    if (*r)
        tbi_run_free(*r);
    *r = NULL;
}

void tbi_run_sync(tb_run *r)
{
    const int count = r->program->count;
    TB_GROW(r->nodes, r->node_cap, count + 1);
    for (int i = r->node_count; i < count; i++)
        r->nodes[i] = (tbi_node){ .shape = { .n = -1 } };
    r->node_count = count;
}

/* ----------------------------------------------------------------------------- start and end */

typedef struct preparation {
    tb_run *run;
    tb_err err;
} preparation;

/* What a later `resume` needs, without the Lua file. Asks the script, which may be busy: not on the
 * loop. */
static json_t *stored_document(const tb_run *r)
{
    json_t *sources = r->script ? tb_script_sources(r->script) : NULL;
    json_t *d = json_pack("{sOssss}", "graph", r->graph, "cwd", r->cwd, "class",
                          tb_engine_class(r->engine));
    if (r->target_ids)
        json_object_set(d, "targets", r->target_ids);
    if (r->until)
        json_object_set_new(d, "until", json_string(r->until));
    if (r->o.lenient)
        json_object_set_new(d, "lenient", json_true());
    if (json_object_get(r->o.document, "view"))
        json_object_set(d, "view", json_object_get(r->o.document, "view"));
    json_object_set_new(d, "script", sources ? sources : json_null());
    return d;
}

static void journal_begin(tb_run *r, tb_err *err)
{
    tb_store *s = r->engine->store;
    json_t *document = stored_document(r);
    char *text = tb_json_canonical(document), note[64];
    if (tb_store_run_begin(s, r->title, text, &r->id, err) == TB_OK && r->o.resume) {
        snprintf(note, sizeof note, "continued as run %llu", (unsigned long long)r->id);
        tb_store_run_end(s, r->o.resume, "canceled", note, NULL);
    }
    free(text);
    json_decref(document);
}

static json_t *json_text(const json_t *v)
{
    char *text = tb_json_long_ints_take(
        json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17)));
    json_t *s = text ? json_string(text) : json_null();
    free(text);
    return s;
}

/* The graph comes first, and nothing takes its place. */
static json_t *metadata_of(const tb_run *r)
{
    char *graph = tb_json_long_ints_take(tb_json_canonical(r->graph));
    json_t *texts = json_pack("{ss}", "prompt", graph), *more;
    const json_t *view = json_object_get(r->o.document, "view");
    const char *key;
    free(graph);
    if (json_object_size(view))
        json_object_set_new(texts, "view", json_text(view));
    json_object_foreach(r->o.embed, key, more)
    {
        if (!json_object_get(texts, key))
            json_object_set_new(texts, key, json_text(more));
    }
    return texts;
}

static void prepare(void *arg)
{
    preparation *p = arg;
    tb_run *r = p->run;
    if (tbi_prepare(r, &p->err) != TB_OK)
        return;
    if (r->o.on_plan)
        r->o.on_plan(r->o.ctx, r);
    if (r->o.plan_only)
        return;
    r->metadata = r->o.no_metadata ? NULL : metadata_of(r);
    if (r->engine->store)
        journal_begin(r, &p->err);
}

static void prepared(void *arg)
{
    preparation *p = arg;
    tb_run *r = p->run;
    const tb_err err = p->err;
    free(p);
    if (err.status != TB_OK) {
        tbi_run_fail(r, -1, &err);
        tbi_run_end(r);
        return;
    }
    tbi_run_event(r, (tb_event){ .kind = TB_EV_PLANNED, .plan = &r->summary });
    if (r->o.plan_only) {
        tbi_run_end(r);
        return;
    }
    tell_planned(r);
}

void tbi_run_start(tb_run *r)
{
    preparation *p = tb_xcalloc(1, sizeof *p);
    p->run = r;
    tbi_pool(r->engine, prepare, prepared, p);
}

static void journal_end(void *arg)
{
    tb_run *r = arg;
    char text[1200];
    const char *status = r->err.status == TB_OK          ? "done"
                         : r->err.status == TB_ECANCELED ? "canceled"
                                                         : "failed";
    if (r->id)
        tb_store_run_end(
            r->engine->store, r->id, status,
            r->err.status == TB_OK ? NULL : tb_err_text(&r->err, r->err_type, text, sizeof text),
            NULL);
    if (r->engine->store && r->scheduled)
        tb_store_flush(r->engine->store, NULL);
}

static void ended(void *arg)
{
    tb_run *r = arg;
    r->summary.nodes_cached += r->found;
    r->summary.nodes_run -= r->found;
    tbi_run_event(r, (tb_event){ .kind = TB_EV_END,
                                 .status = r->err.status,
                                 .err = r->err.status == TB_OK ? NULL : &r->err,
                                 .type = r->err_type,
                                 .plan = &r->summary });
    tbi_engine_done(r->engine, r);
}

void tbi_run_end(tb_run *r)
{
    if (r->ending)
        return;
    r->ending = true;
    tbi_pool(r->engine, journal_end, ended, r);
}

static void wake_only(void *arg)
{
    (void)arg; /* the loop looks at the cancel flag on every wake */
}

void tb_run_cancel(tb_run *r)
{
    atomic_store(&r->cancel, true);
    tbi_post(r->engine, wake_only, r);
}

void tbi_run_free(tb_run *r)
{
    for (int i = 0; i < r->node_count; i++) {
        tbi_free_outputs(r, i);
        free(r->nodes[i].waiters);
    }
    free(r->nodes);
    tb_program_free(&r->program);
    tb_script_stop(&r->own_script);
    tb_types_free(&r->own_types);
    json_decref(r->graph);
    json_decref(r->target_ids);
    for (int c = 0; c < TBI_CLASSES; c++)
        free(r->ready[c].items);
    free(r->targets.items);
    free(r->asking.items);
    free(r->plan);
    free(r->spare.items);
    tb_map_free(&r->noted);
    json_decref(r->metadata);
    free(r->title);
    free(r->until);
    free(r->cwd);
    tbi_paths_clear(&r->paths);
    free(r);
}
