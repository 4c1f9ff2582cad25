/* test_run_pack.c - ready calls of one type run together: how many, over lists, and when one of
 * them fails. */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "node.h"
#include "test.h"
#include "tubelet.h"

static _Atomic int largest, calls_made; /* of the last run */

typedef struct params {
    int64_t a, b;
} params;

static const tb_input_def inputs[] = {
    TB_IN_INT(params, a, 0, INT64_MIN, INT64_MAX, "", "First."),
    TB_IN_INT(params, b, 1, INT64_MIN, INT64_MAX, "", "Second."),
    { 0 },
};
static const tb_output_def outputs[] = { { .name = "sum", .type = "INT" }, { 0 } };
static const tb_output_def list_outputs[] = { { .name = "numbers", .type = "INT", .is_list = true },
                                              { 0 } };

static tb_status add(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    if (p->a == -13)
        return tb_err_set(err, TB_EINVAL, "a must not be -13");
    calls_made++;
    tb_job_set_take(job, 0, tb_value_int(p->a + p->b));
    return TB_OK;
}

static tb_status count(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    (void)err;
    for (int64_t i = 0; i < p->a; i++)
        tb_job_set_take(job, 0, tb_value_int(i));
    return TB_OK;
}

/* Ten numbers for each; three calls are within the limit. */
static tb_status plan_ten(tb_job *job, const void *vp, tb_err *err)
{
    (void)vp;
    (void)err;
    tb_job_plan_output(job, 0, TB_F32, &(tb_shape){ .n = 1, .d = { 10 } });
    return TB_OK;
}

static void add_all(tb_call *calls, int n)
{
    largest = n > largest ? n : largest;
    for (int i = 0; i < n; i++)
        calls[i].status = add(calls[i].job, calls[i].params, calls[i].err);
}

#define NODE(id, outs, fn)                                                                         \
    .abi = TB_NODE_ABI, .version = 1, .name = id, .params_size = sizeof(params), .inputs = inputs, \
    .outputs = outs, .run = fn
static const tb_node_def add_def = { NODE("t_add", outputs, add) };
static const tb_node_def count_def = { NODE("t_count", list_outputs, count) };
static const tb_node_def pack_def = { NODE("t_pack", outputs, add), .plan = plan_ten,
                                      .run_pack = add_all, .pack_limit = 35 };
static const tb_node_def *const defs[] = { &add_def, &count_def, &pack_def, NULL };

typedef struct outcome {
    int finished;
    int64_t value; /* of the target's last element */
    char error[1300];
} outcome;

static void on_event(void *ctx, tb_run *run, const tb_event *ev)
{
    outcome *o = ctx;
    int n = 0;
    o->finished += ev->kind == TB_EV_FINISHED;
    if (ev->kind != TB_EV_END)
        return;
    if (ev->err)
        tb_err_text(ev->err, ev->type && *ev->type ? ev->type : NULL, o->error, sizeof o->error);
    tb_value *const *out = tb_run_outputs(run, "end", &n);
    if (out && n && tb_list_count(out[0]))
        o->value = tb_value_as_int(tb_list_at(out[0], tb_list_count(out[0]) - 1));
}

/* Until the node `end`. */
static outcome run(const char *text)
{
    tb_err err = TB_ERR_INIT;
    outcome o = { 0 };
    largest = calls_made = 0;
    char *s = tb_xasprintf("{\"graph\":%s}", text);
    for (char *c = s; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    json_t *doc = tb_json_parse(s, strlen(s), "document", &err);
    REQUIRE(doc);
    tb_engine *e = tb_engine_new(&(tb_engine_options){ .no_store = true, .nodes = defs }, &err);
    REQUIRE(e);
    const tb_run_options options = {
        .document = doc, .until = "end", .on_event = on_event, .ctx = &o
    };
    REQUIRE(tb_engine_submit(e, &options, NULL, &err));
    uv_run(tb_engine_loop(e), UV_RUN_DEFAULT);
    tb_engine_free(&e);
    json_decref(doc);
    free(s);
    return o;
}

TEST(as_many_as_the_limit_allows)
{
    const outcome o = run("{'z':{'class_type':'t_add','inputs':{'a':0,'b':0}},"
                          "'p1':{'class_type':'t_pack','inputs':{'a':1,'b':['z',0]}},"
                          "'p2':{'class_type':'t_pack','inputs':{'a':2,'b':['z',0]}},"
                          "'p3':{'class_type':'t_pack','inputs':{'a':3,'b':['z',0]}},"
                          "'p4':{'class_type':'t_pack','inputs':{'a':4,'b':['z',0]}},"
                          "'s1':{'class_type':'t_add','inputs':{'a':['p1',0],'b':['p2',0]}},"
                          "'s2':{'class_type':'t_add','inputs':{'a':['p3',0],'b':['p4',0]}},"
                          "'end':{'class_type':'t_add','inputs':{'a':['s1',0],'b':['s2',0]}}}");
    CHECK_STR(o.error, "");
    CHECK_INT(o.value, 10);
    CHECK_INT(o.finished, 8);
    CHECK_INT(calls_made, 8);
    CHECK_INT(largest, 3);
}

TEST(those_over_lists_are_called_one_by_one)
{
    const outcome o = run("{'z':{'class_type':'t_add','inputs':{'a':0,'b':0}},"
                          "'n':{'class_type':'t_count','inputs':{'a':5,'b':['z',0]}},"
                          "'p1':{'class_type':'t_pack','inputs':{'a':['n',0],'b':10}},"
                          "'p2':{'class_type':'t_pack','inputs':{'a':['n',0],'b':20}},"
                          "'end':{'class_type':'t_add','inputs':{'a':['p1',0],'b':['p2',0]}}}");
    CHECK_STR(o.error, "");
    CHECK_INT(o.value, 38);
    CHECK_INT(calls_made, 1 + 5 + 5 + 5);
    CHECK_INT(largest, 0);
}

TEST(one_of_them_may_fail)
{
    const outcome o = run("{'z':{'class_type':'t_add','inputs':{'a':0,'b':0}},"
                          "'good':{'class_type':'t_pack','inputs':{'a':1,'b':['z',0]}},"
                          "'bad':{'class_type':'t_pack','inputs':{'a':-13,'b':['z',0]}},"
                          "'end':{'class_type':'t_add','inputs':{'a':['good',0],'b':['bad',0]}}}");
    CHECK_STR(o.error, "node 'bad' (t_pack): a must not be -13");
    CHECK_INT(largest, 2);
    CHECK_INT(o.finished, 2); /* z and the good one */
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(as_many_as_the_limit_allows),
        TEST_CASE(those_over_lists_are_called_one_by_one),
        TEST_CASE(one_of_them_may_fail),
    };
    return tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
}
