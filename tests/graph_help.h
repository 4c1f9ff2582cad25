/* graph_help.h - graphs run by the engine in a test, and a node that gives prepared values to them.
 */
#pragma once

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "node.h"
#include "test.h"
#include "tubelet.h"

/* ------------------------------------------------------- a node that gives what a test prepared */

enum { GIVEN_MOST = 8 };
static struct {
    const char *name;
    tb_value *value;
} given[GIVEN_MOST];

typedef struct given_params {
    const char *name;
} given_params;

static const tb_input_def given_in[] = { TB_IN_STRING(given_params, name, NULL, 0, "Which one."),
                                         { 0 } };
static const tb_output_def given_out[] = { { .name = "value", .type = "*", .doc = "It." }, { 0 } };

static tb_status given_run(tb_job *job, const void *vp, tb_err *err)
{
    const given_params *p = vp;
    for (int i = 0; i < GIVEN_MOST; i++)
        if (given[i].name && strcmp(given[i].name, p->name) == 0) {
            tb_job_set_take(job, 0, tb_value_ref(given[i].value));
            return TB_OK;
        }
    return tb_err_set(err, TB_EINTERNAL, "the test gives no '%s'", p->name);
}

static const tb_node_def given_def = { .abi = TB_NODE_ABI,
                                       .version = 1,
                                       .name = "t_given",
                                       .title = "Given",
                                       .category = "test",
                                       .doc = "Gives a prepared value.",
                                       .params_size = sizeof(given_params),
                                       .inputs = given_in,
                                       .outputs = given_out,
                                       .run = given_run };
/* Hands on what it gets: the end of a graph whose last node is a composite. */
typedef struct same_params {
    const tb_value *value;
} same_params;

static const tb_input_def same_in[] = { TB_IN_PORT(same_params, value, "*", 0, "It."), { 0 } };

static tb_status same_run(tb_job *job, const void *vp, tb_err *err)
{
    const same_params *p = vp;
    (void)err;
    tb_job_set_take(job, 0, tb_value_ref(p->value));
    return TB_OK;
}

static const tb_node_def same_def = { .abi = TB_NODE_ABI,
                                      .version = 1,
                                      .name = "t_same",
                                      .title = "Same",
                                      .category = "test",
                                      .doc = "Hands on a value.",
                                      .params_size = sizeof(same_params),
                                      .inputs = same_in,
                                      .outputs = given_out,
                                      .run = same_run };
static const tb_node_def *const defs[] = { &given_def, &same_def, NULL };

static inline void give_take(const char *name, tb_value *v)
{
    for (int i = 0; i < GIVEN_MOST; i++)
        if (!given[i].name || strcmp(given[i].name, name) == 0) {
            tb_value_unref(&given[i].value);
            given[i].name = name;
            given[i].value = v;
            return;
        }
    REQUIRE(!"room for one more given value");
}

static inline void forget_given(void)
{
    for (int i = 0; i < GIVEN_MOST; i++) {
        tb_value_unref(&given[i].value);
        given[i].name = NULL;
    }
}

/* ------------------------------------------------------------------------------------- harness */

static tb_engine *engine;

typedef struct outcome {
    const char *watch;
    tb_status status;
    char error[1400];
    tb_value *value; /* first output of the watched node */
    tb_plan_summary plan;
} outcome;

static void on_event(void *ctx, tb_run *run, const tb_event *ev)
{
    outcome *o = ctx;
    int count = 0;
    if (ev->kind == TB_EV_PLANNED)
        o->plan = *ev->plan;
    if (ev->kind != TB_EV_END)
        return;
    o->status = ev->status;
    if (ev->err)
        tb_err_text(ev->err, NULL, o->error, sizeof o->error);
    tb_value *const *out = tb_run_outputs(run, o->watch, &count);
    if (out && count && tb_list_count(out[0]))
        o->value = tb_value_ref(tb_list_at(out[0], 0));
}

/* Nodes as JSON with single quotes, run until `target`. */
static outcome run(const char *nodes, const char *target)
{
    tb_err err = TB_ERR_INIT;
    outcome o = { .watch = target };
    char *text = tb_xasprintf("{\"graph\":{%s}}", nodes);
    for (char *c = text; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    json_t *doc = tb_json_parse(text, strlen(text), "document", &err);
    if (!doc)
        fprintf(stderr, "%s\n%s\n", err.message, text);
    REQUIRE(doc);
    if (!tb_engine_submit(
            engine,
            &(tb_run_options){ .document = doc, .until = target, .on_event = on_event, .ctx = &o },
            NULL, &err)) {
        o.status = err.status;
        tb_err_text(&err, NULL, o.error, sizeof o.error);
    }
    uv_run(tb_engine_loop(engine), UV_RUN_DEFAULT);
    json_decref(doc);
    free(text);
    return o;
}

static inline void expect_error(const char *nodes, const char *target, const char *want)
{
    outcome o = run(nodes, target);
    CHECK_STR(o.error, want);
    tb_value_unref(&o.value);
}

static inline const tb_tensor *samples_of(const outcome *o)
{
    const tb_tensor *t = o->value ? tb_record_tensor(o->value, "samples") : NULL;
    if (!t)
        fprintf(stderr, "%s\n", o->error);
    REQUIRE(t);
    return t;
}

/* main of such a test: an engine without a store around all of it. */
static int run_with_engine(int argc, char **argv, const struct tb_test *tests, int n)
{
    tb_err err = TB_ERR_INIT;
    engine = tb_engine_new(&(tb_engine_options){ .no_store = true, .nodes = defs }, &err);
    if (!engine) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    const int failed = tb_test_main(argc, argv, tests, n);
    tb_engine_free(&engine);
    return failed;
}
