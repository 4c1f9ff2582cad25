/* test_runs_at_once.c - runs side by side: which may be, whose steps are evaluated together, and
 * that each gives what it gives alone. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "node.h"
#include "test.h"
#include "tubelet.h"

/* ------------------------------------------------------------------------------------ the nodes */

static atomic_bool gate;             /* opened by the second run */
static atomic_int together, largest; /* packs of more than one; calls of the largest */

typedef struct params {
    int64_t a, b;
    const tb_value *model;
} params;

static const tb_input_def numbers[] = {
    TB_IN_INT(params, a, 0, INT64_MIN, INT64_MAX, "", "First."),
    TB_IN_INT(params, b, 0, INT64_MIN, INT64_MAX, "", "Second."),
    { 0 },
};
static const tb_input_def with_model[] = {
    TB_IN_INT(params, a, 0, INT64_MIN, INT64_MAX, "", "First."),
    TB_IN_INT(params, b, 0, INT64_MIN, INT64_MAX, "", "Second."),
    TB_IN_PORT(params, model, "MODEL", 0, "Whatever it is."),
    { 0 },
};
static const tb_output_def sum[] = { { .name = "sum", .type = "INT" }, { 0 } };
static const tb_output_def model[] = { { .name = "model", .type = "MODEL" }, { 0 } };

static tb_status add(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    (void)err;
    tb_job_set_take(job, 0, tb_value_int(p->a + p->b));
    return TB_OK;
}

/* Keeps the compute worker until the other run is there. */
static tb_status wait_for_gate(tb_job *job, const void *vp, tb_err *err)
{
    for (int i = 0; i < 60000 && !atomic_load(&gate); i++)
        usleep(1000);
    return atomic_load(&gate) ? add(job, vp, err)
                              : tb_err_set(err, TB_EINTERNAL, "the other run did not begin");
}

static tb_status open_gate(tb_job *job, const void *vp, tb_err *err)
{
    atomic_store(&gate, true);
    return add(job, vp, err);
}

static tb_status plan_ten(tb_job *job, const void *vp, tb_err *err)
{
    (void)vp;
    (void)err;
    tb_job_plan_output(job, 0, TB_F32, &(tb_shape){ .n = 1, .d = { 10 } });
    return TB_OK;
}

static void add_all(tb_call *calls, int n)
{
    together += n > 1;
    largest = n > largest ? n : largest;
    for (int i = 0; i < n; i++)
        calls[i].status = add(calls[i].job, calls[i].params, calls[i].err);
}

#define NODE(id, ins, outs, fn)                                                                 \
    .abi = TB_NODE_ABI, .version = 1, .name = id, .params_size = sizeof(params), .inputs = ins, \
    .outputs = outs, .run = fn
static const tb_node_def add_def = { NODE("t_add", numbers, sum, add) };
static const tb_node_def wait_def = { NODE("t_wait", numbers, sum, wait_for_gate) };
static const tb_node_def open_def = { NODE("t_open", numbers, sum, open_gate),
                                      .flags = TB_NODE_IO };
static const tb_node_def model_def = { NODE("t_model", numbers, model, add),
                                       .flags = TB_NODE_INLINE };
static const tb_node_def pack_def = { NODE("t_pack", with_model, sum, add), .plan = plan_ten,
                                      .run_pack = add_all, .pack_limit = 35 };
static const tb_node_def *const defs[] = { &add_def,   &wait_def, &open_def,
                                           &model_def, &pack_def, NULL };

/* ------------------------------------------------------------------------------------- the runs */

typedef struct side {
    tb_run *run;
    const char *cancel_at; /* canceled when this node starts; NULL: never */
    int64_t *clock;        /* counts the events of all */
    int64_t first, last;   /* when its first node started, and when it ended; 0: never */
    tb_status status;
    tb_value *value; /* of the node `end` */
    char error[1300];
} side;

static void on_event(void *ctx, tb_run *run, const tb_event *ev)
{
    side *s = ctx;
    int n = 0;
    ++*s->clock;
    if (!s->first && ev->kind == TB_EV_STARTED)
        s->first = *s->clock;
    if (ev->kind == TB_EV_STARTED && s->cancel_at && strcmp(ev->node, s->cancel_at) == 0)
        tb_run_cancel(run);
    if (ev->kind != TB_EV_END)
        return;
    s->last = *s->clock;
    s->status = ev->status;
    if (ev->err)
        tb_err_text(ev->err, NULL, s->error, sizeof s->error);
    tb_value *const *out = tb_run_outputs(run, "end", &n);
    if (out && n && tb_list_count(out[0]))
        s->value = tb_value_ref(tb_list_at(out[0], 0));
}

static json_t *document(const char *text)
{
    tb_err err = TB_ERR_INIT;
    char *s = tb_xasprintf("{\"graph\":{%s}}", text);
    for (char *c = s; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    json_t *doc = tb_json_parse(s, strlen(s), "document", &err);
    REQUIRE(doc);
    free(s);
    return doc;
}

/* Both until their node `end`, on one engine. */
static void run_two(const tb_engine_options *o, const char *a, const char *b, side *x, side *y)
{
    tb_err err = TB_ERR_INIT;
    int64_t clock = 0;
    side *sides[] = { x, y };
    json_t *docs[] = { document(a), document(b) };
    gate = false;
    together = largest = 0;
    tb_engine *e = tb_engine_new(o, &err);
    REQUIRE(e);
    for (int i = 0; i < 2; i++) {
        sides[i]->clock = &clock;
        sides[i]->run = tb_engine_submit(
            e,
            &(tb_run_options){
                .document = docs[i], .until = "end", .on_event = on_event, .ctx = sides[i] },
            NULL, &err);
        if (!sides[i]->run)
            fprintf(stderr, "%s\n", err.message);
        REQUIRE(sides[i]->run);
    }
    uv_run(tb_engine_loop(e), UV_RUN_DEFAULT);
    tb_engine_free(&e);
    for (int i = 0; i < 2; i++)
        json_decref(docs[i]);
}

static int64_t number(side *s)
{
    const int64_t n = s->value ? tb_value_as_int(s->value) : -1;
    tb_value_unref(&s->value);
    return n;
}

/* Three steps, which begin when the first node has run. */
#define CHAIN(first, model, from)                                                 \
    "'m':{'class_type':'t_model','inputs':{'a':" model "}},"                      \
    "'w':{'class_type':'" first "','inputs':{'a':" from "}},"                     \
    "'p1':{'class_type':'t_pack','inputs':{'model':['m',0],'a':['w',0],'b':1}},"  \
    "'p2':{'class_type':'t_pack','inputs':{'model':['m',0],'a':['p1',0],'b':1}}," \
    "'end':{'class_type':'t_pack','inputs':{'model':['m',0],'a':['p2',0],'b':1}}"

#define ENGINE .no_store = true, .nodes = defs

TEST(steps_of_two_runs_are_evaluated_together)
{
    side x = { 0 }, y = { 0 };
    run_two(&(tb_engine_options){ ENGINE, .runs_at_once = 2 }, CHAIN("t_wait", "7", "10"),
            CHAIN("t_open", "7", "20"), &x, &y);
    CHECK_STR(x.error, "");
    CHECK_STR(y.error, "");
    CHECK_INT(number(&x), 13);
    CHECK_INT(number(&y), 23);
    CHECK_INT(together, 3);
    CHECK_INT(largest, 2);
}

TEST(they_run_one_by_one_unless_asked)
{
    side x = { 0 }, y = { 0 };
    run_two(&(tb_engine_options){ ENGINE }, CHAIN("t_add", "7", "10"), CHAIN("t_add", "7", "20"),
            &x, &y);
    CHECK_INT(number(&x), 13);
    CHECK_INT(number(&y), 23);
    CHECK(x.last < y.first);
    CHECK_INT(together, 0);
}

TEST(a_run_with_another_model_waits_its_turn)
{
    side x = { 0 }, y = { 0 };
    run_two(&(tb_engine_options){ ENGINE, .runs_at_once = 2 }, CHAIN("t_add", "7", "10"),
            CHAIN("t_add", "8", "20"), &x, &y);
    CHECK_INT(number(&x), 13);
    CHECK_INT(number(&y), 23);
    CHECK(x.last < y.first);
}

/* Each holds the outputs of two steps at once: 80 bytes. */
TEST(a_run_that_does_not_fit_beside_waits_its_turn)
{
    side x = { 0 }, y = { 0 };
    run_two(&(tb_engine_options){ ENGINE, .runs_at_once = 2, .memory_limit = 120 },
            CHAIN("t_add", "7", "10"), CHAIN("t_add", "7", "20"), &x, &y);
    CHECK_STR(x.error, "");
    CHECK_INT(number(&x), 13);
    CHECK_INT(number(&y), 23);
    CHECK(x.last < y.first);
}

TEST(stopping_one_leaves_the_other)
{
    side x = { .cancel_at = "p2" }, y = { 0 };
    run_two(&(tb_engine_options){ ENGINE, .runs_at_once = 2 }, CHAIN("t_wait", "7", "10"),
            CHAIN("t_open", "7", "20"), &x, &y);
    CHECK_INT(x.status, TB_ECANCELED);
    CHECK_STR(y.error, "");
    CHECK_INT(number(&x), -1);
    CHECK_INT(number(&y), 23);
}

/* ------------------------------------------------------------------------------ the bundled model
 */

/* Two steps from noise, at a size and a number of frames. */
#define STEP(id, x, k)                                                          \
    "'" id "':{'class_type':'dit_step','inputs':{'model':['m',0],'latent':['" x \
    "',0],'conditioning':['c',0],'sigmas':['s',0],'step':" k "}},"
#define MOVE(id, x, v, k)                                                             \
    "'" id "':{'class_type':'sampler_step','inputs':{'sampler':'euler','latent':['" x \
    "',0],'velocity':['" v "',0],'sigmas':['s',0],'step':" k "}}"
#define VIDEO(first, size, frames, text)                                                   \
    "'m':{'class_type':'load_model','inputs':{'path':'examples/tiny'}},"                   \
    "'w':{'class_type':'" first "','inputs':{'a':5}},"                                     \
    "'c':{'class_type':'text_encode','inputs':{'clip':['m',1],'text':'" text "'}},"        \
    "'x':{'class_type':'noise_init','inputs':{'model':['m',0],'vae':['m',2],'size':'" size \
    "','frames':" frames ",'seed':['w',0]}},"                                              \
    "'s':{'class_type':'schedule','inputs':{'steps':2,'shift':3}}," STEP("v0", "x", "0")   \
        MOVE("y", "x", "v0", "0") "," STEP("v1", "y", "1") MOVE("end", "y", "v1", "1")

static const char first_alone[] = VIDEO("t_add", "64x64", "9", "a red ball"),
                  second_alone[] = VIDEO("t_add", "96x64", "5", "a blue cube"),
                  first[] = VIDEO("t_wait", "64x64", "9", "a red ball"),
                  second[] = VIDEO("t_open", "96x64", "5", "a blue cube");

static const tb_tensor *samples(const side *s)
{
    const tb_tensor *t = s->value ? tb_record_tensor(s->value, "samples") : NULL;
    if (!t)
        fprintf(stderr, "%s\n", s->error);
    REQUIRE(t);
    return t;
}

static void check_same(side *a, side *b)
{
    const tb_tensor *x = samples(a), *y = samples(b);
    CHECK(tb_shape_eq(tb_tensor_shape(x), tb_tensor_shape(y)));
    CHECK(memcmp(tb_tensor_f32(x), tb_tensor_f32(y), tb_tensor_bytes(x)) == 0);
    tb_value_unref(&a->value);
    tb_value_unref(&b->value);
}

/* Of other sizes, lengths and texts: the rows of a product and the queries of attention do not
 * depend on their neighbours, so that the bytes are the same. */
TEST(videos_made_side_by_side_have_the_bytes_of_those_made_alone)
{
    side a = { 0 }, b = { 0 }, x = { 0 }, y = { 0 };
    run_two(&(tb_engine_options){ ENGINE }, first_alone, second_alone, &a, &b);
    run_two(&(tb_engine_options){ ENGINE, .runs_at_once = 2 }, first, second, &x, &y);
    CHECK(y.first < x.last);
    check_same(&a, &x);
    check_same(&b, &y);
}

TEST(a_step_shared_with_a_stopped_run_is_finished)
{
    side a = { 0 }, b = { 0 }, x = { .cancel_at = "v1" }, y = { 0 };
    run_two(&(tb_engine_options){ ENGINE }, first_alone, second_alone, &a, &b);
    run_two(&(tb_engine_options){ ENGINE, .runs_at_once = 2 }, first, second, &x, &y);
    CHECK_INT(x.status, TB_ECANCELED);
    check_same(&b, &y);
    tb_value_unref(&a.value);
    tb_value_unref(&x.value);
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(steps_of_two_runs_are_evaluated_together),
        TEST_CASE(they_run_one_by_one_unless_asked),
        TEST_CASE(a_run_with_another_model_waits_its_turn),
        TEST_CASE(a_run_that_does_not_fit_beside_waits_its_turn),
        TEST_CASE(stopping_one_leaves_the_other),
        TEST_CASE(videos_made_side_by_side_have_the_bytes_of_those_made_alone),
        TEST_CASE(a_step_shared_with_a_stopped_run_is_finished),
    };
    return tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
}
