/* test_run.c - the scheduler, with nodes made for it: order, lists, laziness, expansion, errors,
 * memory. */
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "node.h"
#include "test.h"
#include "tubelet.h"

static _Atomic int runs; /* how often t_add and t_slow ran in the last submission */

/* ------------------------------------------------------------------------------- nodes to test
 * with */

typedef struct add_params {
    int64_t a, b;
} add_params;

static const tb_input_def add_in[] = {
    TB_IN_INT(add_params, a, 0, INT64_MIN, INT64_MAX, "", "First."),
    TB_IN_INT(add_params, b, 1, INT64_MIN, INT64_MAX, "", "Second."),
    { 0 },
};
static const tb_output_def int_out[] = { { .name = "sum", .type = "INT" }, { 0 } };

static tb_status add_run(tb_job *job, const void *vp, tb_err *err)
{
    const add_params *p = vp;
    if (p->a == -13)
        return tb_err_set(err, TB_EINVAL, "a must not be -13");
    runs++;
    tb_job_set_take(job, 0, tb_value_int(p->a + p->b));
    return TB_OK;
}

static const tb_node_def add_def = { .abi = TB_NODE_ABI,
                                     .version = 1,
                                     .name = "t_add",
                                     .params_size = sizeof(add_params),
                                     .inputs = add_in,
                                     .outputs = int_out,
                                     .run = add_run };
static const tb_node_def inline_def = { .abi = TB_NODE_ABI,
                                        .version = 1,
                                        .name = "t_inline",
                                        .flags = TB_NODE_INLINE,
                                        .params_size = sizeof(add_params),
                                        .inputs = add_in,
                                        .outputs = int_out,
                                        .run = add_run };
static const tb_node_def io_def = { .abi = TB_NODE_ABI,
                                    .version = 1,
                                    .name = "t_io",
                                    .flags = TB_NODE_IO,
                                    .params_size = sizeof(add_params),
                                    .inputs = add_in,
                                    .outputs = int_out,
                                    .run = add_run };

/* Counts to n as a list. */
static tb_status count_run(tb_job *job, const void *vp, tb_err *err)
{
    const add_params *p = vp;
    (void)err;
    for (int64_t i = 0; i < p->a; i++)
        tb_job_set_take(job, 0, tb_value_int(i));
    return TB_OK;
}
static const tb_output_def list_out[] = { { .name = "numbers", .type = "INT", .is_list = true },
                                          { 0 } };
static const tb_node_def count_def = { .abi = TB_NODE_ABI,
                                       .version = 1,
                                       .name = "t_count",
                                       .params_size = sizeof(add_params),
                                       .inputs = add_in,
                                       .outputs = list_out,
                                       .run = count_run };

typedef struct total_params {
    const tb_value *all;
} total_params;
static const tb_input_def total_in[] = {
    TB_IN_PORT(total_params, all, "INT", TB_IN_LIST, "Numbers."), { 0 }
};
static tb_status total_run(tb_job *job, const void *vp, tb_err *err)
{
    const total_params *p = vp;
    int64_t sum = 0;
    (void)err;
    for (int i = 0; i < tb_list_count(p->all); i++)
        sum += tb_value_as_int(tb_list_at(p->all, i));
    tb_job_set_take(job, 0, tb_value_int(sum));
    return TB_OK;
}
static const tb_node_def total_def = { .abi = TB_NODE_ABI,
                                       .version = 1,
                                       .name = "t_total",
                                       .params_size = sizeof(total_params),
                                       .inputs = total_in,
                                       .outputs = int_out,
                                       .run = total_run };

typedef struct pick_params {
    bool which;
    const tb_value *yes, *no;
} pick_params;
static const tb_input_def pick_in[] = {
    TB_IN_BOOL(pick_params, which, true, "Which."),
    TB_IN_PORT(pick_params, yes, "*", TB_IN_LAZY, "If so."),
    TB_IN_PORT(pick_params, no, "*", TB_IN_LAZY, "If not."),
    { 0 },
};
static const tb_output_def any_out[] = { { .name = "value", .type = "*" }, { 0 } };
static uint64_t pick_need(const void *vp, uint64_t have)
{
    const pick_params *p = vp;
    return have & 1 ? (p->which ? 2 : 4) : 0;
}
static tb_status pick_run(tb_job *job, const void *vp, tb_err *err)
{
    const pick_params *p = vp;
    (void)err;
    tb_job_set_take(job, 0, tb_value_ref(p->which ? p->yes : p->no));
    return TB_OK;
}
static const tb_node_def pick_def = { .abi = TB_NODE_ABI,
                                      .version = 1,
                                      .name = "t_pick",
                                      .params_size = sizeof(pick_params),
                                      .inputs = pick_in,
                                      .outputs = any_out,
                                      .need = pick_need,
                                      .run = pick_run };

/* a! by answering with a smaller problem: a loop that depends on data. */
static tb_status sum_down_run(tb_job *job, const void *vp, tb_err *err)
{
    const add_params *p = vp;
    (void)err;
    char id[64], inner[80];
    if (p->a <= 0) {
        tb_job_set_take(job, 0, tb_value_int(p->b));
        return TB_OK;
    }
    snprintf(id, sizeof id, "down_%lld", (long long)p->a);
    snprintf(inner, sizeof inner, "%s/sum", id);
    tb_job_expand_take(job,
                       json_pack("{s{sss{sIsI}}s{sss{sIs[si]}}}", inner, "class_type", "t_add",
                                 "inputs", "a", (json_int_t)p->b, "b", (json_int_t)p->a, id,
                                 "class_type", "t_sum_down", "inputs", "a", (json_int_t)p->a - 1,
                                 "b", inner, 0),
                       json_pack("[[si]]", id, 0));
    return TB_OK;
}
static const tb_node_def sum_down_def = { .abi = TB_NODE_ABI,
                                          .version = 1,
                                          .name = "t_sum_down",
                                          .params_size = sizeof(add_params),
                                          .inputs = add_in,
                                          .outputs = int_out,
                                          .run = sum_down_run };

/* A tensor of a kilobytes that takes b milliseconds. */
static tb_status slow_plan(tb_job *job, const void *vp, tb_err *err)
{
    const add_params *p = vp;
    const tb_shape shape = TB_SHAPE(256, p->a);
    (void)err;
    tb_job_plan_output(job, 0, TB_F32, &shape);
    return TB_OK;
}
static tb_status slow_run(tb_job *job, const void *vp, tb_err *err)
{
    const add_params *p = vp;
    const tb_shape shape = TB_SHAPE(256, p->a);
    for (int64_t ms = 0; ms < p->b; ms++) {
        TB_TRY(tb_job_check(job, err));
        tb_job_progress(job, (double)ms / (double)p->b);
        usleep(1000);
    }
    tb_tensor *t = tb_tensor_new_zero(TB_F32, &shape, err);
    if (!t)
        return err->status;
    runs++;
    tb_job_set_take(job, 0, tb_value_tensor_take(t));
    return TB_OK;
}
static const tb_output_def tensor_out[] = { { .name = "tensor", .type = "TENSOR" }, { 0 } };
static const tb_node_def slow_def = { .abi = TB_NODE_ABI,
                                      .version = 1,
                                      .name = "t_slow",
                                      .params_size = sizeof(add_params),
                                      .inputs = add_in,
                                      .outputs = tensor_out,
                                      .plan = slow_plan,
                                      .run = slow_run };

typedef struct pass_params {
    const tb_value *x;
    int64_t ms;
} pass_params;
static const tb_input_def pass_in[] = {
    TB_IN_PORT(pass_params, x, "TENSOR", 0, "In."),
    TB_IN_INT(pass_params, ms, 1, 0, 10000, "ms", "How long."),
    { 0 },
};
static tb_status pass_plan(tb_job *job, const void *vp, tb_err *err)
{
    tb_shape s;
    (void)vp, (void)err;
    if (tb_job_plan_shape(job, "x", &s))
        tb_job_plan_output(job, 0, TB_F32, &s);
    return TB_OK;
}
static tb_status pass_run(tb_job *job, const void *vp, tb_err *err)
{
    const pass_params *p = vp;
    const tb_tensor *x = tb_value_as_tensor(p->x);
    usleep((useconds_t)p->ms * 1000);
    runs++;
    tb_tensor *t = tb_tensor_new(TB_F32, tb_tensor_shape(x), err);
    if (!t)
        return err->status;
    memcpy(tb_tensor_data_mut(t), tb_tensor_data(x), tb_tensor_bytes(x));
    tb_job_set_take(job, 0, tb_value_tensor_take(t));
    return TB_OK;
}
static const tb_node_def pass_def = { .abi = TB_NODE_ABI,
                                      .version = 1,
                                      .name = "t_pass",
                                      .params_size = sizeof(pass_params),
                                      .inputs = pass_in,
                                      .outputs = tensor_out,
                                      .plan = pass_plan,
                                      .run = pass_run };

extern const tb_node_def tb_node_constant_boolean; /* trivial: it runs while planning */
static const tb_node_def *const defs[] = {
    &add_def,  &inline_def, &io_def,   &count_def,    &total_def,
    &pick_def, &pass_def,   &slow_def, &sum_down_def, &tb_node_constant_boolean,
    NULL
};

/* ------------------------------------------------------------------------------------- harness */

typedef struct outcome {
    int started, finished, cached, ended, stored, failed;
    int64_t seen; /* sum of the first numbers in the outputs of FINISHED and CACHED */
    double share;
    tb_status status;
    char error[1300];
    int64_t value; /* of the watched node, when it is a number */
    const char *watch;
    bool cancel_on_start;
    tb_plan_summary plan;
} outcome;

static int64_t first_number(const tb_event *ev)
{
    if (!ev->output_count || !tb_list_count(ev->outputs[0]))
        return 0;
    const tb_value *v = tb_list_at(ev->outputs[0], 0);
    return tb_value_kind(v) == TB_INT ? tb_value_as_int(v) : 0;
}

static void on_event(void *ctx, tb_run *run, const tb_event *ev)
{
    outcome *o = ctx;
    int count = 0;
    o->started += ev->kind == TB_EV_STARTED;
    o->finished += ev->kind == TB_EV_FINISHED;
    o->cached += ev->kind == TB_EV_CACHED;
    o->stored += ev->kind == TB_EV_STORED;
    o->failed += ev->kind == TB_EV_FAILED;
    o->seen += first_number(ev);
    if (ev->kind == TB_EV_PLANNED)
        o->plan = *ev->plan;
    if (ev->kind == TB_EV_PROGRESS)
        o->share = ev->share;
    if (ev->kind == TB_EV_STARTED && o->cancel_on_start)
        tb_run_cancel(run);
    if (ev->kind != TB_EV_END)
        return;
    o->ended++;
    o->status = ev->status;
    if (ev->err)
        tb_err_text(ev->err, ev->type && *ev->type ? ev->type : NULL, o->error, sizeof o->error);
    tb_value *const *out = o->watch ? tb_run_outputs(run, o->watch, &count) : NULL;
    if (out && count && tb_list_count(out[0]) && tb_value_kind(tb_list_at(out[0], 0)) == TB_INT)
        o->value = tb_value_as_int(tb_list_at(out[0], 0));
}

static tb_engine *new_engine(const char *store, size_t memory)
{
    tb_err err = TB_ERR_INIT;
    tb_engine *e = tb_engine_new(
        &(tb_engine_options){
            .no_store = !store, .store_path = store, .memory_limit = memory, .nodes = defs },
        &err);
    if (!e)
        fprintf(stderr, "%s\n", err.message);
    REQUIRE(e);
    return e;
}

/* Run a document (single quotes) until `target`. */
static outcome run_in(tb_engine *e, const char *text, const char *target, outcome start)
{
    tb_err err = TB_ERR_INIT;
    outcome o = start;
    o.watch = target;
    char *s = tb_xasprintf("{\"graph\":%s}", text);
    for (char *c = s; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    json_t *doc = tb_json_parse(s, strlen(s), "document", &err);
    REQUIRE(doc);
    runs = 0;
    tb_run *r = tb_engine_submit(
        e, &(tb_run_options){ .document = doc, .until = target, .on_event = on_event, .ctx = &o },
        NULL, &err);
    if (!r) {
        o.status = err.status;
        tb_err_text(&err, NULL, o.error, sizeof o.error);
    }
    uv_run(tb_engine_loop(e), UV_RUN_DEFAULT);
    json_decref(doc);
    free(s);
    return o;
}

static outcome run(const char *text, const char *target)
{
    tb_engine *e = new_engine(NULL, 0);
    const outcome o = run_in(e, text, target, (outcome){ 0 });
    tb_engine_free(&e);
    return o;
}

/* --------------------------------------------------------------------------------------- tests */

TEST(values_travel_between_threads)
{
    const outcome o = run("{'a':{'class_type':'t_add','inputs':{'a':2,'b':3}},"
                          "'b':{'class_type':'t_io','inputs':{'a':['a',0],'b':10}},"
                          "'c':{'class_type':'t_inline','inputs':{'a':['b',0],'b':['a',0]}},"
                          "'unused':{'class_type':'t_add','inputs':{'a':-13}}}",
                          "c");
    CHECK_STR(o.error, "");
    CHECK_INT(o.value, 20);
    CHECK_INT(runs, 3);
    CHECK_INT(o.ended, 1);
}

TEST(a_finished_node_shows_its_outputs)
{
    outcome o = run("{'a':{'class_type':'t_add','inputs':{'a':2,'b':3}},"
                    "'b':{'class_type':'t_inline','inputs':{'a':['a',0],'b':10}}}",
                    "b");
    CHECK_INT(o.finished, 2);
    CHECK_INT(o.seen, 5 + 15);
    /* trivial nodes that the plan has run are told of as well */
    o = run("{'a':{'class_type':'t_inline','inputs':{'a':2,'b':3}},"
            "'b':{'class_type':'t_inline','inputs':{'a':['a',0],'b':10}}}",
            "b");
    CHECK_INT(o.finished, 2);
    CHECK_INT(o.seen, 5 + 15);
}

TEST(an_error_names_the_node_and_stops_the_run)
{
    const outcome o =
        run("{'bad':{'class_type':'t_add','inputs':{'a':-13},'_meta':{'origin':'g.lua:7'}},"
            "'c':{'class_type':'t_add','inputs':{'a':['bad',0]}}}",
            "c");
    CHECK_STR(o.error, "g.lua:7: node 'bad' (t_add): a must not be -13");
    CHECK_INT(o.status, TB_EINVAL);
    CHECK_INT(runs, 0);
}

TEST(lists_map_over_nodes_and_are_taken_whole)
{
    const outcome o = run("{'n':{'class_type':'t_count','inputs':{'a':5}},"
                          "'x':{'class_type':'t_add','inputs':{'a':['n',0],'b':100}},"
                          "'t':{'class_type':'t_total','inputs':{'all':['x',0]}}}",
                          "t");
    CHECK_STR(o.error, "");
    CHECK_INT(o.value, 510);
    CHECK_INT(runs, 5);
    const outcome empty = run("{'n':{'class_type':'t_count','inputs':{'a':0}},"
                              "'x':{'class_type':'t_add','inputs':{'a':['n',0]}},"
                              "'t':{'class_type':'t_total','inputs':{'all':['x',0]}}}",
                              "t");
    CHECK_INT(empty.value, 0);
    CHECK_INT(runs, 0);
}

TEST(lazy_inputs_run_only_when_wanted)
{
    static const char text[] =
        "{'y':{'class_type':'t_add','inputs':{'a':1}},'n':{'class_type':'t_add','inputs':{'a':-13}}"
        ","
        "'p':{'class_type':'t_pick','inputs':{'which':%s,'yes':['y',0],'no':['n',0]}},"
        "'one':{'class_type':'t_add','inputs':{'a':0,'b':1}},"
        "'w':{'class_type':'t_pick','inputs':{'yes':['one',0],'no':['one',0]}}}";
    char doc[600];
    snprintf(doc, sizeof doc, text, "true");
    outcome o = run(doc, "p");
    CHECK_INT(o.value, 2);
    CHECK_INT(runs, 1);
    snprintf(doc, sizeof doc, text, "false");
    o = run(doc, "p");
    CHECK_STR(o.error, "node 'n' (t_add): a must not be -13");
    snprintf(doc, sizeof doc, text, "['w',0]"); /* the condition is data of the run */
    o = run(doc, "p");
    CHECK_STR(o.error, "");
    CHECK_INT(o.value, 2);
    CHECK_INT(runs, 2);
}

/* It is there when the node asks for it, and so is what it then asks for. */
TEST(lazy_inputs_are_known_to_the_plan_where_a_trivial_node_tells)
{
    static const char text[] =
        "{'y':{'class_type':'t_add','inputs':{'a':1}},'n':{'class_type':'t_add','inputs':{'a':5}},"
        "'w':{'class_type':'constant_boolean','inputs':{'value':%s}},"
        "'p':{'class_type':'t_pick','inputs':{'which':['w',0],'yes':['y',0],'no':['n',0]}},"
        "'q':{'class_type':'t_pick','inputs':{'which':['w',0],'yes':['p',0],'no':['p',0]}},"
        "'s':{'class_type':'t_add','inputs':{'a':['p',0],'b':['q',0]}}}";
    char doc[700];
    snprintf(doc, sizeof doc, text, "true");
    outcome o = run(doc, "s");
    CHECK_STR(o.error, "");
    CHECK_INT(o.value, 4);
    CHECK_INT(runs, 2);
    CHECK_INT(o.plan.nodes_run, 5); /* all but n */
    snprintf(doc, sizeof doc, text, "false");
    o = run(doc, "s");
    CHECK_STR(o.error, "");
    CHECK_INT(o.value, 12);
    CHECK_INT(o.plan.nodes_run, 5); /* all but y */
}

TEST(a_node_may_answer_with_a_subgraph)
{
    const outcome o = run("{'s':{'class_type':'t_sum_down','inputs':{'a':50,'b':0}},"
                          "'c':{'class_type':'t_add','inputs':{'a':['s',0],'b':1000}}}",
                          "c");
    CHECK_STR(o.error, "");
    CHECK_INT(o.value, 50 * 51 / 2 + 1000);
    CHECK_INT(runs, 51);
}

TEST(an_expanded_node_may_be_read_twice_by_one_node)
{
    const outcome o = run("{'s':{'class_type':'t_sum_down','inputs':{'a':5,'b':0}},"
                          "'c':{'class_type':'t_add','inputs':{'a':['s',0],'b':['s',0]}},"
                          "'d':{'class_type':'t_add','inputs':{'a':['s',0],'b':['c',0]}}}",
                          "d");
    CHECK_STR(o.error, "");
    CHECK_INT(o.value, 45);
    CHECK_INT(runs, 7);
}

TEST(an_expanding_target_ends_the_run)
{
    const outcome o = run("{'s':{'class_type':'t_sum_down','inputs':{'a':3,'b':0}}}", "s");
    CHECK_STR(o.error, "");
    CHECK_INT(o.ended, 1);
    CHECK_INT(o.value, 6);
    CHECK_INT(runs, 3);
}

TEST(a_linked_number_is_checked_when_it_is_known)
{
    const outcome o = run("{'a':{'class_type':'t_slow','inputs':{'a':1,'b':0}},"
                          "'p':{'class_type':'t_pick','inputs':{'yes':['a',0],'no':['a',0]}},"
                          "'b':{'class_type':'t_add','inputs':{'a':['p',0]}}}",
                          "b");
    CHECK_STR(o.error, "node 'b' (t_add): a must be an integer, got a tensor");
}

TEST(cancel_stops_within_the_running_node)
{
    tb_engine *e = new_engine(NULL, 0);
    const double start = tb_clock_seconds();
    const outcome o = run_in(e, "{'a':{'class_type':'t_slow','inputs':{'a':1,'b':30000}}}", "a",
                             (outcome){ .cancel_on_start = true });
    CHECK_INT(o.status, TB_ECANCELED);
    CHECK(tb_clock_seconds() - start < 2);
    tb_engine_free(&e);
}

TEST(memory_is_freed_after_the_last_reader)
{
    /* 40 nodes of 1 MiB in a chain: two are alive at any time, four with the first's planning slack
     */
    tb_str s = TB_STR_INIT;
    tb_str_add(&s, "{'n0':{'class_type':'t_slow','inputs':{'a':1024,'b':0}}");
    for (int i = 1; i < 40; i++)
        tb_str_addf(&s, ",'n%d':{'class_type':'t_pass','inputs':{'x':['n%d',0],'ms':0}}", i, i - 1);
    tb_str_add(&s, "}");
    tb_mem_peak_reset();
    const size_t before = tb_mem_used();
    const outcome o = run(s.s, "n39");
    CHECK_STR(o.error, "");
    CHECK(tb_mem_peak() - before < 4u << 20);
    CHECK(o.plan.peak_bytes >= 2u << 20 && o.plan.peak_bytes < 4u << 20);
    CHECK_INT(tb_mem_used(), before);
    tb_str_free(&s);
}

TEST(what_cannot_fit_is_refused_with_the_numbers)
{
    tb_engine *e = new_engine(NULL, 1 << 20);
    const outcome o =
        run_in(e, "{'a':{'class_type':'t_slow','inputs':{'a':2048,'b':0}}}", "a", (outcome){ 0 });
    CHECK_STR(
        o.error,
        "the run needs about 2.0 MiB at its peak, but 1.0 MiB can be used; choose a smaller size "
        "or fewer frames");
    CHECK_INT(o.status, TB_ELIMIT);
    tb_engine_free(&e);
}

TEST(a_chain_of_100000_nodes_runs)
{
    tb_str s = TB_STR_INIT;
    tb_str_add(&s, "{'n0':{'class_type':'t_inline','inputs':{'a':0}}");
    for (int i = 1; i < 99999; i++)
        tb_str_addf(&s, ",'n%d':{'class_type':'t_inline','inputs':{'a':['n%d',0]}}", i, i - 1);
    tb_str_add(&s, ",'end':{'class_type':'t_add','inputs':{'a':['n99998',0]}}}");
    const outcome o = run(s.s, "end");
    CHECK_STR(o.error, "");
    CHECK_INT(o.value, 100000);
    tb_str_free(&s);
}

TEST(runs_wait_for_each_other)
{
    tb_engine *e = new_engine(NULL, 0);
    tb_err err = TB_ERR_INIT;
    outcome o[3] = { { 0 } };
    static const char text[] =
        "{\"graph\":{\"a\":{\"class_type\":\"t_slow\",\"inputs\":{\"a\":1,\"b\":5}}}}";
    json_t *doc = tb_json_parse(text, sizeof text - 1, "document", &err);
    for (int i = 0; i < 3; i++)
        REQUIRE(tb_engine_submit(
            e,
            &(tb_run_options){ .document = doc, .until = "a", .on_event = on_event, .ctx = &o[i] },
            NULL, &err));
    uv_run(tb_engine_loop(e), UV_RUN_DEFAULT);
    CHECK(o[0].ended == 1 && o[1].ended == 1 && o[2].ended == 1);
    json_decref(doc);
    tb_engine_free(&e);
}

/* Notes the order in which runs end. */
typedef struct ending {
    int *clock, at;
    tb_status status;
    int planned, other;
} ending;

static void on_ending(void *ctx, tb_run *run, const tb_event *ev)
{
    ending *e = ctx;
    (void)run;
    e->planned += ev->kind == TB_EV_PLANNED;
    e->other += ev->kind != TB_EV_PLANNED && ev->kind != TB_EV_END;
    if (ev->kind != TB_EV_END)
        return;
    e->at = ++*e->clock;
    e->status = ev->status;
}

static json_t *parse(const char *text)
{
    tb_err err = TB_ERR_INIT;
    json_t *doc = tb_json_parse(text, strlen(text), "document", &err);
    REQUIRE(doc);
    return doc;
}

static tb_run *submit(tb_engine *e, json_t *doc, const char *until, bool plan_only, ending *at)
{
    tb_err err = TB_ERR_INIT;
    tb_run *r = tb_engine_submit(e,
                                 &(tb_run_options){ .document = doc,
                                                    .until = until,
                                                    .plan_only = plan_only,
                                                    .on_event = on_ending,
                                                    .ctx = at },
                                 NULL, &err);
    REQUIRE(r);
    return r;
}

TEST(plans_do_not_wait_for_runs)
{
    tb_engine *e = new_engine(NULL, 0);
    int clock = 0;
    ending run_end = { .clock = &clock }, next = { .clock = &clock },
           plans[4] = {
               { .clock = &clock }, { .clock = &clock }, { .clock = &clock }, { .clock = &clock }
           };
    json_t *slow =
        parse("{\"graph\":{\"a\":{\"class_type\":\"t_slow\",\"inputs\":{\"a\":1,\"b\":300}}}}");
    json_t *bad = parse("{\"graph\":{\"a\":{\"class_type\":\"t_inline\",\"inputs\":{\"a\":-13}}}}");
    submit(e, slow, "a", false, &run_end);
    submit(e, slow, "a", false, &next);
    for (int i = 0; i < 3; i++)
        submit(e, slow, "a", true, &plans[i]);
    submit(e, bad, "a", true, &plans[3]);
    uv_run(tb_engine_loop(e), UV_RUN_DEFAULT);
    for (int i = 0; i < 4; i++) {
        CHECK(plans[i].at >= 1 && plans[i].at <= 4);
        CHECK_INT(plans[i].status, i < 3 ? TB_OK : TB_EINVAL);
        CHECK_INT(plans[i].planned, i < 3);
        CHECK_INT(plans[i].other, i == 3); /* FAILED */
    }
    CHECK_INT(run_end.at, 5);
    CHECK_INT(next.at, 6);
    CHECK_INT(run_end.status, TB_OK);
    json_decref(slow);
    json_decref(bad);
    tb_engine_free(&e);
}

TEST(an_engine_is_freed_with_plans_under_way)
{
    tb_engine *e = new_engine(NULL, 0);
    int clock = 0;
    ending at[3] = { { .clock = &clock }, { .clock = &clock }, { .clock = &clock } };
    json_t *slow =
        parse("{\"graph\":{\"a\":{\"class_type\":\"t_slow\",\"inputs\":{\"a\":1,\"b\":9000}}}}");
    for (int i = 0; i < 2; i++)
        submit(e, slow, "a", true, &at[i]);
    tb_run_cancel(submit(e, slow, "a", false, &at[2]));
    tb_engine_free(&e);
    CHECK_INT(clock, 3);
    CHECK_INT(at[2].status, TB_ECANCELED);
    json_decref(slow);
}

#define CHAIN                                                                                     \
    "{'a':{'class_type':'t_slow','inputs':{'a':64,'b':4}},'b':{'class_type':'t_pass','inputs':{'" \
    "x':['a',0],'ms':4}},"                                                                        \
    "'c':{'class_type':'t_pass','inputs':{'x':['b',0],'ms':%d}}}"

TEST(nothing_is_computed_twice)
{
    char dir[] = "/tmp/tubelet-test-XXXXXX", doc[600], cmd[80];
    REQUIRE(mkdtemp(dir));
    snprintf(doc, sizeof doc, CHAIN, 5);
    tb_engine *e = new_engine(dir, 0);
    outcome o = run_in(e, doc, "c", (outcome){ 0 });
    CHECK_STR(o.error, "");
    CHECK_INT(runs, 3);
    CHECK_INT(o.stored, 3);
    tb_engine_free(&e);

    e = new_engine(dir, 0); /* another process, as it were */
    o = run_in(e, doc, "c", (outcome){ 0 });
    CHECK_INT(runs, 0);
    CHECK_INT(o.cached, 1);
    CHECK_INT(o.plan.nodes_cached, 1);
    snprintf(doc, sizeof doc, CHAIN, 6); /* only the last node changes */
    o = run_in(e, doc, "c", (outcome){ 0 });
    CHECK_INT(runs, 1);
    CHECK_INT(o.plan.nodes_run, 1);
    CHECK(o.plan.seconds > 0);
    tb_engine_free(&e);
    snprintf(cmd, sizeof cmd, "rm -r %s", dir);
    CHECK_INT(system(cmd), 0);
}

TEST(an_error_stops_what_follows_and_keeps_what_was_done)
{
    static const char text[] =
        "{'a':{'class_type':'t_slow','inputs':{'a':64,'b':20}},"
        "'pick':{'class_type':'t_pick','inputs':{'yes':['a',0],'no':['a',0]}},"
        "'bad':{'class_type':'t_add','inputs':{'a':['pick',0]}},"
        "'later':{'class_type':'t_add','inputs':{'a':['bad',0]}}}";
    char dir[] = "/tmp/tubelet-test-XXXXXX", cmd[80];
    REQUIRE(mkdtemp(dir));
    tb_engine *e = new_engine(dir, 0);
    outcome o = run_in(e, text, "later", (outcome){ 0 });
    CHECK_STR(o.error, "node 'bad' (t_add): a must be an integer, got a tensor");
    CHECK_INT(o.failed, 1);
    CHECK_INT(runs, 1);
    CHECK_INT(o.stored, 1);
    o = run_in(e, text, "a", (outcome){ 0 });
    CHECK_INT(o.cached, 1);
    CHECK_INT(runs, 0);
    tb_engine_free(&e);
    snprintf(cmd, sizeof cmd, "rm -r %s", dir);
    CHECK_INT(system(cmd), 0);
}

TEST(nothing_is_started_after_an_error)
{
    /* both wait for 'bad' or stand behind it in the queue of the worker */
    static const char text[] =
        "{'bad':{'class_type':'t_add','inputs':{'a':-13}},"
        "'x':{'class_type':'t_add','inputs':{'a':1}},"
        "'sum':{'class_type':'t_add','inputs':{'a':['bad',0],'b':['x',0]}},"
        "'sum2':{'class_type':'t_add','inputs':{'a':['x',0],'b':['bad',0]}}}";
    outcome o = run(text, "sum");
    CHECK_STR(o.error, "node 'bad' (t_add): a must not be -13");
    const int first = runs;
    o = run(text, "sum2");
    CHECK_STR(o.error, "node 'bad' (t_add): a must not be -13");
    CHECK_INT(first + runs, 1); /* x comes before bad in one of them */
}

TEST(a_lenient_run_takes_what_a_strict_one_refuses)
{
    static const char text[] = "{'graph':{'a':{'class_type':'t_add','inputs':{'a':2.5,'b':'3',"
                               "'other':1}}},'until':'a','lenient':%s}";
    tb_engine *e = new_engine(NULL, 0);
    tb_err err = TB_ERR_INIT;
    for (int lenient = 0; lenient < 2; lenient++) {
        char *s = tb_xasprintf(text, lenient ? "true" : "false");
        for (char *c = s; *c; c++)
            *c = *c == '\'' ? '"' : *c;
        json_t *doc = parse(s);
        outcome o = { .watch = "a" };
        tb_run *r = tb_engine_submit(
            e, &(tb_run_options){ .document = doc, .on_event = on_event, .ctx = &o }, NULL, &err);
        CHECK((r != NULL) == lenient);
        uv_run(tb_engine_loop(e), UV_RUN_DEFAULT);
        CHECK_INT(o.value, lenient ? 5 : 0);
        json_decref(doc);
        free(s);
    }
    CHECK_STR(err.message, "a must be an integer, got 2.5");
    CHECK_STR(err.reason, "invalid_input_type");
    tb_engine_free(&e);
}

TEST(the_same_bytes_under_another_key_are_found)
{
    char dir[] = "/tmp/tubelet-test-XXXXXX", cmd[80];
    REQUIRE(mkdtemp(dir));
    tb_engine *e = new_engine(dir, 0);
    outcome o = run_in(e,
                       "{'a':{'class_type':'t_slow','inputs':{'a':64,'b':4}},"
                       "'b':{'class_type':'t_pass','inputs':{'x':['a',0],'ms':40}}}",
                       "b", (outcome){ 0 });
    CHECK_INT(runs, 2);
    /* t_slow waits longer and gives the same zeros: another key for a, the same bytes for b */
    o = run_in(e,
               "{'a':{'class_type':'t_slow','inputs':{'a':64,'b':5}},"
               "'b':{'class_type':'t_pass','inputs':{'x':['a',0],'ms':40}}}",
               "b", (outcome){ 0 });
    CHECK_STR(o.error, "");
    CHECK_INT(runs, 1);
    CHECK_INT(o.cached, 1);
    o = run_in(e,
               "{'a':{'class_type':'t_slow','inputs':{'a':64,'b':5}},"
               "'b':{'class_type':'t_pass','inputs':{'x':['a',0],'ms':40}}}",
               "b", (outcome){ 0 });
    CHECK_INT(runs, 0); /* it has the second key now */
    CHECK_INT(o.plan.nodes_cached, 1);
    tb_engine_free(&e);
    snprintf(cmd, sizeof cmd, "rm -r %s", dir);
    CHECK_INT(system(cmd), 0);
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(values_travel_between_threads),
        TEST_CASE(a_finished_node_shows_its_outputs),
        TEST_CASE(an_error_names_the_node_and_stops_the_run),
        TEST_CASE(lists_map_over_nodes_and_are_taken_whole),
        TEST_CASE(lazy_inputs_run_only_when_wanted),
        TEST_CASE(lazy_inputs_are_known_to_the_plan_where_a_trivial_node_tells),
        TEST_CASE(a_node_may_answer_with_a_subgraph),
        TEST_CASE(an_expanded_node_may_be_read_twice_by_one_node),
        TEST_CASE(an_expanding_target_ends_the_run),
        TEST_CASE(a_linked_number_is_checked_when_it_is_known),
        TEST_CASE(cancel_stops_within_the_running_node),
        TEST_CASE(memory_is_freed_after_the_last_reader),
        TEST_CASE(what_cannot_fit_is_refused_with_the_numbers),
        TEST_CASE(a_chain_of_100000_nodes_runs),
        TEST_CASE(runs_wait_for_each_other),
        TEST_CASE(plans_do_not_wait_for_runs),
        TEST_CASE(an_engine_is_freed_with_plans_under_way),
        TEST_CASE(nothing_is_computed_twice),
        TEST_CASE(an_error_stops_what_follows_and_keeps_what_was_done),
        TEST_CASE(nothing_is_started_after_an_error),
        TEST_CASE(a_lenient_run_takes_what_a_strict_one_refuses),
        TEST_CASE(the_same_bytes_under_another_key_are_found),
    };
    return tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
}
