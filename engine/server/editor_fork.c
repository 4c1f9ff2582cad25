/* editor_fork.c - the stored denoising steps of a run, and its graph cut in two at one of them.
 *
 * `sample` counts its steps on the whole schedule (scripts/lib/sample.lua), so the first half of a
 * cut node has the keys of the steps that were taken: it comes from the store.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "graph/records.h"
#include "server/editor_internal.h"

/* ---------------------------------------------------------------------------------------- steps */

typedef struct step {
    json_t *json; /* {scope, step, steps, node, key, ms, sigma, timestep} */
    const char *scope;
    int64_t number;
} step;

typedef struct steps {
    tb_store *store;
    step *items;
    int count;
    size_t cap;
    json_t *seen; /* by node id */
} steps;

/* "<scope>/step_NN/step" */
static bool parse_step(const char *node, char **scope, int64_t *number)
{
    static const char name[] = "/step_";
    const char *last = strrchr(node, '/'), *at = NULL;
    for (const char *p = node; (p = strstr(p, name)); p++)
        at = p;
    if (!last || !at || strcmp(last, "/step") != 0)
        return false;
    char *end;
    *number = strtoll(at + sizeof name - 1, &end, 10);
    if (end != last || end == at + sizeof name - 1)
        return false;
    *scope = tb_xstrndup(node, (size_t)(at - node));
    return true;
}

/* How many steps the sampler would take in all, as its schedule says. */
static int64_t whole(const json_t *expanded, const char *scope, int64_t at_least)
{
    char *id = tb_xasprintf("%s/sigmas", scope);
    const json_t *n =
        json_object_get(json_object_get(json_object_get(expanded, id), "inputs"), "steps");
    free(id);
    return json_is_integer(n) ? json_integer_value(n) : at_least;
}

static void add_step(steps *s, const json_t *expanded, const char *node, const tb_key *key)
{
    char hex[TB_KEY_HEX], *scope;
    int64_t number;
    tb_result_info info;
    if (json_object_get(s->seen, node) || !tb_store_has(s->store, key, &info) ||
        !parse_step(node, &scope, &number))
        return;
    json_object_set_new(s->seen, node, json_true());
    json_t *j = json_pack("{ss sI sI ss ss sf}", "scope", scope, "step", (json_int_t)number,
                          "steps", (json_int_t)whole(expanded, scope, number + 1), "node", node,
                          "key", tb_key_hex(key, hex), "ms", info.cost_ms);
    free(scope);
    if (!j)
        return;
    TB_GROW(s->items, s->cap, s->count + 1);
    s->items[s->count++] = (step){ j, json_string_value(json_object_get(j, "scope")), number };
}

/* What the run wrote down: also right when its files have changed since. */
static void add_journal(steps *s, const json_t *expanded, const json_t *rows)
{
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        tb_key key;
        const char *type = json_string_value(json_object_get(row, "type"));
        const char *hex = json_string_value(json_object_get(row, "key"));
        if (type && strcmp(type, "sampler_step") == 0 && hex && tb_key_parse(&key, hex))
            add_step(s, expanded, json_string_value(json_object_get(row, "node")), &key);
    }
}

/* Steps behind a stored result, which the run did not have to look at. */
static void add_planned(steps *s, const json_t *expanded, const tb_run *plan)
{
    const char *id;
    json_t *node;
    json_object_foreach((json_t *)(uintptr_t)expanded, id, node)
    {
        tb_key key;
        const char *type = json_string_value(json_object_get(node, "class_type"));
        if (type && strcmp(type, "sampler_step") == 0 && tb_run_key(plan, id, &key))
            add_step(s, expanded, id, &key);
    }
}

/* The schedule that a step reads; NULL: this plan did not make it. */
static const tb_value *schedule_of(const tb_run *plan, const json_t *inputs)
{
    const json_t *link = json_object_get(inputs, "sigmas");
    int count = 0;
    tb_value *const *out =
        tb_json_is_link(link)
            ? tb_run_outputs(plan, json_string_value(json_array_get(link, 0)), &count)
            : NULL;
    const int slot = (int)json_integer_value(json_array_get(link, 1));
    return out && slot >= 0 && slot < count && tb_list_count(out[slot]) > 0
               ? tb_list_at(out[slot], 0)
               : NULL;
}

/* What the model was told in a step, and how much noise is left after it: of a flow sigma, of betas
 * the root of 1 - alpha_bar. false: not known by this plan. */
static bool add_level(json_t *j, const tb_run *plan, const json_t *expanded)
{
    const char *node = json_string_value(json_object_get(j, "node"));
    const json_t *inputs = json_object_get(json_object_get(expanded, node), "inputs");
    const tb_value *schedule = schedule_of(plan, inputs);
    const int64_t at = json_integer_value(json_object_get(inputs, "step"));
    tb_sigmas s;
    tb_err ignored = TB_ERR_INIT;
    if (!schedule || tb_sigmas_read(schedule, &s, &ignored) != TB_OK || at < 0 || at >= s.steps) {
        tb_err_clear(&ignored);
        return false;
    }
    const double left = s.betas ? sqrt(fmax(0, 1 - s.sigma[at + 1])) : s.sigma[at + 1];
    json_object_set_new(j, "sigma", json_real(left));
    json_object_set_new(j, "timestep", json_real(s.timestep[at]));
    return true;
}

static bool add_levels(steps *s, const tb_run *plan, const json_t *expanded)
{
    bool all = true;
    for (int i = 0; i < s->count; i++)
        all = add_level(s->items[i].json, plan, expanded) && all;
    return all;
}

static int by_scope(const void *a, const void *b)
{
    const step *x = a, *y = b;
    const int c = strcmp(x->scope, y->scope);
    return c ? c : (x->number > y->number) - (x->number < y->number);
}

static json_t *list_take(steps *s)
{
    json_t *list = json_array();
    if (s->count)
        qsort(s->items, (size_t)s->count, sizeof *s->items, by_scope);
    for (int i = 0; i < s->count; i++)
        json_array_append_new(list, s->items[i].json);
    free(s->items);
    json_decref(s->seen);
    return list;
}

/* NULL: the graph cannot be planned any more. */
static tb_run *plan_again(tbs_task *t, const tbs_world *w, const json_t *document, bool no_cache)
{
    tb_err_list errors = { 0 };
    tb_err ignored = TB_ERR_INIT;
    tb_run *plan = tbs_document_plan(t->server, w, document, NULL, no_cache, &errors, &ignored);
    tb_err_list_free(&errors);
    tb_err_clear(&ignored);
    return plan;
}

/* A plan ends at stored results, before the schedule; one that does without them comes to it. */
static void find_levels(tbs_task *t, const tbs_world *w, const json_t *document, steps *s,
                        const tb_run *plan, const json_t *expanded)
{
    if (add_levels(s, plan, expanded))
        return;
    tb_run *whole = plan_again(t, w, document, true);
    if (whole)
        add_levels(s, whole, expanded);
    tb_run_drop(&whole);
}

static void find_steps(tbs_task *t)
{
    tbs_run_task *r = (tbs_run_task *)t;
    steps s = { .store = tb_engine_store(t->server->engine) };
    tb_err ignored = TB_ERR_INIT; /* a graph that cannot be planned any more has its journal */
    tbs_world w = { 0 };
    if (!s.store || !tbs_run_task_find(r))
        return;
    s.seen = json_object();
    tb_run *plan = NULL;
    if (tbs_world_open(&w, t, r->document, &ignored) == TB_OK)
        plan = plan_again(t, &w, r->document, false);
    json_t *expanded = plan ? tb_run_expanded(plan) : NULL;
    json_t *rows = r->run_id ? tb_store_run_nodes(s.store, r->run_id, &t->err) : NULL;
    add_journal(&s, expanded, rows);
    if (plan) {
        add_planned(&s, expanded, plan);
        find_levels(t, &w, r->document, &s, plan, expanded);
    }
    t->answer = json_pack("{so}", "steps", list_take(&s));
    json_decref(rows);
    json_decref(expanded);
    tb_run_drop(&plan);
    tbs_world_close(&w);
}

void tbs_get_steps(void *ctx, tb_request *q, const char *id)
{
    tbs_task_run(q, &tbs_run_task_new(ctx, q, id, false, find_steps)->t);
}

/* ----------------------------------------------------------------------------------------- fork */

/* Sampling nodes that take a part of their steps, and what to say to each half. */
typedef struct cutter {
    const char *type, *latent, *start, *end;
    const char *first_name, *first_value, *second_name, *second_value; /* or NULL */
} cutter;

static const cutter cutters[] = {
    { .type = "sample", .latent = "latent", .start = "start_step", .end = "end_step" },
    { .type = "KSamplerAdvanced",
      .latent = "latent_image",
      .start = "start_at_step",
      .end = "end_at_step",
      .first_name = "return_with_leftover_noise",
      .first_value = "enable",
      .second_name = "add_noise",
      .second_value = "disable" },
};

static const cutter *cutter_of(const char *type)
{
    for (size_t i = 0; type && i < sizeof cutters / sizeof *cutters; i++)
        if (strcmp(cutters[i].type, type) == 0)
            return &cutters[i];
    return NULL;
}

/* The input as it is, else its default. -1: it is linked. */
static int64_t number_of(const tb_types *types, const json_t *node, const char *name)
{
    const tb_type *t = tb_types_find(types, json_string_value(json_object_get(node, "class_type")));
    const json_t *v = json_object_get(json_object_get(node, "inputs"), name);
    const int i = t ? tb_type_input(t, name) : -1;
    if (v)
        return json_is_integer(v) ? json_integer_value(v) : -1;
    return i >= 0 ? t->def->inputs[i].i_default : -1;
}

static tb_status check_range(const tb_types *types, const json_t *node, const cutter *c, int64_t at,
                             tb_err *err)
{
    const int64_t all = number_of(types, node, "steps"), start = number_of(types, node, c->start);
    int64_t end = number_of(types, node, c->end);
    if (all < 0 || start < 0 || end < 0)
        return tb_err_set(err, TB_EINVAL,
                          "its steps, %s and %s must be numbers, not links, to be cut in two",
                          c->start, c->end);
    end = end == 0 || end > all ? all : end;
    if (end - start < 2)
        return tb_err_set(err, TB_EINVAL, "it takes one step, which cannot be cut in two");
    if (at <= start || at >= end)
        return tb_err_set(err, TB_EINVAL, "step must be %lld..%lld, got %lld", (long long)start + 1,
                          (long long)end - 1, (long long)at);
    return TB_OK;
}

static char *free_id(const json_t *graph, const char *id)
{
    for (int n = 2;; n++) {
        char *other = tb_xasprintf("%s_%d", id, n);
        if (!json_object_get(graph, other))
            return other;
        free(other);
    }
}

/* To the right of the first, and told apart by its title. */
static void place_second(json_t *node)
{
    json_t *meta = json_object_get(node, "_meta");
    const json_t *pos = json_object_get(meta, "pos"), *size = json_object_get(meta, "size");
    const double width =
        json_array_size(size) == 2 ? json_number_value(json_array_get(size, 0)) : 240;
    const char *title = json_string_value(json_object_get(meta, "title"));
    if (title)
        json_object_set_new(meta, "title", json_sprintf("%s, branch", title));
    if (json_array_size(pos) == 2)
        json_object_set_new(meta, "pos",
                            json_pack("[fO]",
                                      json_number_value(json_array_get(pos, 0)) + width + 60,
                                      json_array_get(pos, 1)));
}

static void set_number(json_t *node, const char *name, int64_t n)
{
    json_object_set_new(json_object_get(node, "inputs"), name, json_integer(n));
}

static void set_text(json_t *node, const char *name, const char *text)
{
    if (name)
        json_object_set_new(json_object_get(node, "inputs"), name, json_string(text));
}

/* All that read the old output read the second half's. */
static void turn_readers(json_t *graph, const char *from, const char *to)
{
    const char *id, *name;
    json_t *node, *v;
    json_object_foreach(graph, id, node)
    {
        json_object_foreach(json_object_get(node, "inputs"), name, v)
        {
            if (tb_json_is_link(v) && strcmp(id, to) != 0 &&
                strcmp(json_string_value(json_array_get(v, 0)), from) == 0)
                json_array_set_new(v, 0, json_string(to));
        }
    }
}

static void turn_targets(json_t *targets, const char *from, const char *to)
{
    size_t i;
    json_t *t;
    json_array_foreach(targets, i, t)
    {
        if (json_is_string(t) && strcmp(json_string_value(t), from) == 0)
            json_array_set_new(targets, i, json_string(to));
    }
}

static void cut(json_t *document, const char *id, const char *second, const cutter *c, int64_t at)
{
    json_t *graph = json_object_get(document, "graph"), *first = json_object_get(graph, id);
    json_t *half = json_deep_copy(first);
    turn_readers(graph, id, second);
    turn_targets(json_object_get(document, "targets"), id, second);
    set_number(first, c->end, at);
    set_text(first, c->first_name, c->first_value);
    set_number(half, c->start, at);
    set_text(half, c->second_name, c->second_value);
    json_object_set_new(json_object_get(half, "inputs"), c->latent, json_pack("[si]", id, 0));
    place_second(half);
    json_object_set_new(graph, second, half);
}

/* KSampler takes all its steps; KSamplerAdvanced takes the very same ones, and a part of them. */
static tb_status allow_parts(json_t *node, tb_err *err)
{
    json_t *inputs = json_object_get(node, "inputs"), *seed = json_object_get(inputs, "seed");
    const json_t *denoise = json_object_get(inputs, "denoise");
    const char *type = json_string_value(json_object_get(node, "class_type"));
    if (!type || strcmp(type, "KSampler") != 0)
        return TB_OK;
    if (denoise && !(json_is_number(denoise) && json_number_value(denoise) >= 1))
        return tb_err_set(
            err, TB_EINVAL,
            "a KSampler with denoise below 1 cannot be cut in two; use a sample node");
    json_object_set_new(node, "class_type", json_string("KSamplerAdvanced"));
    if (seed)
        json_object_set(inputs, "noise_seed", seed);
    json_object_del(inputs, "seed");
    json_object_del(inputs, "denoise");
    return TB_OK;
}

/* The node of the graph that `scope` stands in: itself, or what it was expanded from. */
static char *sampling_node(const json_t *graph, const char *scope)
{
    char *id = tb_xstrdup(scope);
    for (char *end; !json_object_get(graph, id) && (end = strrchr(id, '/'));)
        *end = 0;
    return id;
}

static tb_status cut_node(const tb_types *types, json_t *document, const char *id, int64_t at,
                          char **second, tb_err *err)
{
    json_t *graph = json_object_get(document, "graph"), *node = json_object_get(graph, id);
    TB_TRY(allow_parts(node, err));
    const char *type = json_string_value(json_object_get(node, "class_type"));
    const cutter *c = cutter_of(type);
    if (!c)
        return tb_err_set(err, TB_EINVAL,
                          "'%s' takes all its steps; a run can be branched at sample, KSampler or "
                          "KSamplerAdvanced",
                          type ? type : "?");
    TB_TRY(check_range(types, node, c, at, err));
    *second = free_id(graph, id);
    cut(document, id, *second, c, at);
    return TB_OK;
}

static json_t *fork_document(const tb_types *types, json_t *document, const char *scope, int64_t at,
                             tb_err *err)
{
    const json_t *graph = json_object_get(document, "graph");
    char *id = sampling_node(graph, scope), *second = NULL;
    json_t *answer = NULL;
    if (!json_object_get(graph, id))
        tb_err_set(err, TB_ENOTFOUND, "the run's graph has no node '%s'", scope);
    else if (cut_node(types, document, id, at, &second, err) == TB_OK)
        answer = json_pack("{sO ss ss}", "document", document, "first", id, "second", second);
    else
        tb_err_where(err, id, NULL, NULL);
    free(id);
    free(second);
    return answer;
}

static void fork_run(tbs_task *t)
{
    tbs_run_task *r = (tbs_run_task *)t;
    const json_t *scope = tbs_field(t->in, "scope", JSON_STRING, &t->err);
    const json_t *at = tbs_field(t->in, "step", JSON_INTEGER, &t->err);
    if (!scope || !at)
        tb_err_set(
            &t->err, TB_EINVAL,
            "the body must say {\"scope\": the sampling node, \"step\": after how many steps}");
    if (t->err.status != TB_OK || !tbs_run_task_find(r))
        return;
    json_t *document = json_deep_copy(r->document);
    json_object_del(document, "until");
    t->answer = fork_document(t->types, document, json_string_value(scope), json_integer_value(at),
                              &t->err);
    json_decref(document);
}

void tbs_post_fork(void *ctx, tb_request *q, const char *id)
{
    tbs_task_run(q, &tbs_run_task_new(ctx, q, id, true, fork_run)->t);
}
