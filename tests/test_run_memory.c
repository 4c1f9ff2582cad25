/* test_run_memory.c - results kept in memory between runs: what is found again, what is not, and
 * what goes first. */
#include "base/mem.h"
#include "base/str.h"
#include "node.h"
#include "run/run_internal.h"
#include "test.h"

static _Atomic int runs; /* of t_text and t_clock */

typedef struct text_params {
    int64_t bytes;
    const char *name;
} text_params;
static const tb_input_def text_in[] = {
    TB_IN_INT(text_params, bytes, 1, 0, 1 << 20, "bytes", "How many."),
    TB_IN_STRING(text_params, name, "", 0, "Anything."),
    { 0 },
};
static const tb_output_def text_out[] = { { .name = "text", .type = "STRING" }, { 0 } };

static tb_status text_run(tb_job *job, const void *vp, tb_err *err)
{
    const text_params *p = vp;
    char *s = tb_xcalloc(1, (size_t)p->bytes + 1);
    if (strcmp(p->name, "fail") == 0) {
        free(s);
        return tb_err_set(err, TB_EINVAL, "asked to fail");
    }
    runs++;
    memset(s, 'x', (size_t)p->bytes);
    tb_job_set_take(job, 0, tb_value_string(s));
    free(s);
    return TB_OK;
}

#define NODE(n, f)                                                           \
    static const tb_node_def n##_def = { .abi = TB_NODE_ABI,                 \
                                         .version = 1,                       \
                                         .name = #n,                         \
                                         .flags = (f),                       \
                                         .params_size = sizeof(text_params), \
                                         .inputs = text_in,                  \
                                         .outputs = text_out,                \
                                         .run = text_run }
NODE(t_text, 0);
NODE(t_inline, TB_NODE_INLINE);
NODE(t_clock, TB_NODE_IMPURE);
NODE(t_forget, TB_NODE_FORGET);
static const tb_node_def *const defs[] = { &t_text_def, &t_inline_def, &t_clock_def, &t_forget_def,
                                           NULL };

/* ------------------------------------------------------------------------------------- harness */

typedef struct outcome {
    int cached, finished, plan_rows, rows_cached;
    tb_plan_summary plan;
    tb_status status;
} outcome;

static void on_event(void *ctx, tb_run *run, const tb_event *ev)
{
    outcome *o = ctx;
    o->cached += ev->kind == TB_EV_CACHED && ev->output_count == 1;
    o->finished += ev->kind == TB_EV_FINISHED && ev->output_count == 1;
    if (ev->kind == TB_EV_END)
        o->status = ev->status;
    if (ev->kind != TB_EV_PLANNED)
        return;
    o->plan = *ev->plan;
    json_t *rows = tb_run_plan(run), *row;
    size_t i;
    o->plan_rows = (int)json_array_size(rows);
    json_array_foreach(rows, i, row) o->rows_cached +=
        strcmp(json_string_value(json_object_get(row, "state")), "cached") == 0;
    json_decref(rows);
}

static tb_engine *new_engine(size_t cache)
{
    tb_err err = TB_ERR_INIT;
    tb_engine *e = tb_engine_new(
        &(tb_engine_options){ .no_store = true, .memory_cache = cache, .nodes = defs }, &err);
    REQUIRE(e);
    return e;
}

static outcome run_options(tb_engine *e, const char *text, const char *until, bool plan_only,
                           bool no_cache)
{
    tb_err err = TB_ERR_INIT;
    outcome o = { 0 };
    char *s = tb_xasprintf("{\"graph\":%s}", text);
    for (char *c = s; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    json_t *doc = tb_json_parse(s, strlen(s), "document", &err);
    REQUIRE(doc);
    runs = 0;
    REQUIRE(tb_engine_submit(e,
                             &(tb_run_options){ .document = doc,
                                                .until = until,
                                                .plan_only = plan_only,
                                                .no_cache = no_cache,
                                                .on_event = on_event,
                                                .ctx = &o },
                             NULL, &err));
    uv_run(tb_engine_loop(e), UV_RUN_DEFAULT);
    json_decref(doc);
    free(s);
    return o;
}

static outcome run(tb_engine *e, const char *text, const char *until)
{
    return run_options(e, text, until, false, false);
}

/* --------------------------------------------------------------------------------------- tests */

TEST(a_chain_is_all_cached_the_second_time)
{
    tb_engine *e = new_engine(16 << 20);
    tb_str s = TB_STR_INIT;
    tb_str_add(&s, "{'n0':{'class_type':'constant_int','inputs':{'value':7}}");
    for (int i = 1; i < 300; i++)
        tb_str_addf(&s, ",'n%d':{'class_type':'math_number','inputs':{'a':['n%d',0],'b':1}}", i,
                    i - 1);
    tb_str_add(&s, "}");
    outcome o = run(e, s.s, "n299");
    CHECK_INT(o.finished, 300);
    CHECK_INT(o.cached, 0);
    CHECK_INT(o.plan.nodes_run, 300);
    o = run(e, s.s, "n299");
    CHECK_INT(o.finished, 0);
    CHECK_INT(o.cached, 300);
    CHECK_INT(o.plan.nodes_cached, 300);
    CHECK_INT(o.plan.nodes_run, 0);
    CHECK_INT(o.rows_cached, 300);
    tb_engine_free(&e);
    tb_str_free(&s);
}

#define THREE                                                          \
    "{'a':{'class_type':'t_text','inputs':{'bytes':3}},"               \
    "'b':{'class_type':'t_text','inputs':{'bytes':5,'name':['a',0]}}," \
    "'c':{'class_type':'t_text','inputs':{'bytes':%d,'name':['b',0]}}}"

TEST(only_what_changed_runs)
{
    tb_engine *e = new_engine(16 << 20);
    char doc[400];
    snprintf(doc, sizeof doc, THREE, 8);
    run(e, doc, "c");
    CHECK_INT(runs, 3);
    run_options(e, doc, "c", false, true);
    CHECK_INT(runs, 3); /* no_cache */
    snprintf(doc, sizeof doc, THREE, 9);
    const outcome o = run(e, doc, "c");
    CHECK_INT(runs, 1);
    CHECK_INT(o.cached, 2);
    CHECK_INT(o.finished, 1);
    tb_engine_release(e, true, true);
    run(e, doc, "c");
    CHECK_INT(runs, 3);
    tb_engine_free(&e);
}

TEST(without_a_memory_all_runs_again)
{
    tb_engine *e = new_engine(0);
    char doc[400];
    snprintf(doc, sizeof doc, THREE, 8);
    run(e, doc, "c");
    run(e, doc, "c");
    CHECK_INT(runs, 3);
    tb_engine_free(&e);
}

TEST(what_is_not_pure_or_not_worth_it_is_not_kept)
{
    static const char text[] =
        "{'clock':{'class_type':'t_clock'},'f':{'class_type':'t_forget','inputs':{'bytes':2}},"
        "'x':{'class_type':'t_text','inputs':{'name':['clock',0]}},"
        "'y':{'class_type':'t_text','inputs':{'name':['f',0]}},"
        "'big':{'class_type':'t_text','inputs':{'bytes':1000000}},"
        "'bad':{'class_type':'t_text','inputs':{'name':'fail'}}}";
    tb_engine *e = new_engine(1 << 20);
    for (int i = 0; i < 2; i++) {
        run(e, text, "x");
        CHECK_INT(runs, 2);
        run(e, text, "big"); /* more than a quarter of the memory */
        CHECK_INT(runs, 1);
        CHECK_INT(run(e, text, "bad").status, TB_EINVAL);
    }
    run(e, text, "y");
    CHECK_INT(runs, 2);
    run(e, text, "y");
    CHECK_INT(runs, 0); /* nobody needs f */
    tb_engine_free(&e);
}

TEST(a_plan_remembers_nothing)
{
    static const char text[] = "{'a':{'class_type':'t_inline','inputs':{'bytes':4}}}";
    tb_engine *e = new_engine(1 << 20);
    run_options(e, text, "a", true, false);
    outcome o = run(e, text, "a");
    CHECK_INT(o.finished, 1);
    o = run_options(e, text, "a", true, false);
    CHECK_INT(o.rows_cached, 1);
    CHECK_INT(o.cached, 0);
    tb_engine_free(&e);
}

static tb_key key_of(int i)
{
    tb_hasher h;
    tb_hasher_init(&h);
    tb_hasher_u64(&h, (uint64_t)i);
    return tb_hasher_done(&h);
}

static bool holds(tbi_memory *m, int i)
{
    const tb_key k = key_of(i);
    tb_value **out = tbi_memory_get(m, &k, 1);
    if (out)
        tb_value_unref(&out[0]);
    free(out);
    return out != NULL;
}

TEST(what_was_used_longest_ago_goes_first)
{
    tbi_memory *m = tbi_memory_new(100 * 1000);
    tb_value *v = tb_value_list();
    tb_list_append_take(v, tb_value_int(1));
    for (int i = 0; i < 2000; i++) {
        const tb_key k = key_of(i);
        tbi_memory_put(m, &k, &v, 1);
        CHECK(holds(m, 0)); /* used again and again */
    }
    CHECK(holds(m, 1999) && holds(m, 1900) && !holds(m, 1) && !holds(m, 1000));
    tbi_memory_clear(m);
    CHECK(!holds(m, 0));
    tbi_memory_free(&m);
    m = tbi_memory_new(100 << 20); /* the table grows */
    for (int i = 0; i < 5000; i++) {
        const tb_key k = key_of(i);
        tbi_memory_put(m, &k, &v, 1);
    }
    for (int i = 0; i < 5000; i++)
        CHECK(holds(m, i));
    const tb_key k = key_of(3);
    CHECK(!tbi_memory_get(m, &k, 2)); /* another version's: so many outputs it has not */
    tbi_memory_free(&m);
    tb_value_unref(&v);
    CHECK(!tbi_memory_new(0));
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(a_chain_is_all_cached_the_second_time),
        TEST_CASE(only_what_changed_runs),
        TEST_CASE(without_a_memory_all_runs_again),
        TEST_CASE(what_is_not_pure_or_not_worth_it_is_not_kept),
        TEST_CASE(a_plan_remembers_nothing),
        TEST_CASE(what_was_used_longest_ago_goes_first),
    };
    return tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
}
