/* test_run_script.c - runs that share one script child: while it is busy with a node of one, others
 * are submitted and planned all the same.
 */
#include "base/clock.h"
#include "test.h"
#include "tubelet.h"

typedef struct scene {
    tb_engine *e;
    tb_script *script;
    tb_types *types;
    tb_run *busy;
    uv_timer_t later;
    json_t *forever, *plain;
    double longest; /* seconds that a submission took */
    int plans, queued;
    tb_status busy_status;
} scene;

static json_t *parse(const char *text)
{
    tb_err err = TB_ERR_INIT;
    json_t *j = tb_json_parse(text, strlen(text), "document", &err);
    REQUIRE(j);
    return j;
}

static void on_other(void *ctx, tb_run *run, const tb_event *ev);

static tb_run *submit(scene *s, json_t *doc, bool plan_only,
                      void (*on_event)(void *, tb_run *, const tb_event *))
{
    tb_err err = TB_ERR_INIT;
    const double start = tb_clock_seconds();
    tb_run *r = tb_engine_submit(s->e,
                                 &(tb_run_options){ .document = doc,
                                                    .script = s->script,
                                                    .types = s->types,
                                                    .plan_only = plan_only,
                                                    .on_event = on_event,
                                                    .ctx = s },
                                 NULL, &err);
    CHECK_STR(err.message, "");
    const double took = tb_clock_seconds() - start;
    s->longest = took > s->longest ? took : s->longest;
    return r;
}

/* Once the plan is made, the busy run may stop; the queued one follows. */
static void on_other(void *ctx, tb_run *run, const tb_event *ev)
{
    scene *s = ctx;
    if (ev->kind != TB_EV_END)
        return;
    CHECK_INT(ev->status, TB_OK);
    if (tb_run_id(run)) {
        s->queued++;
        CHECK(!s->busy);
        return;
    }
    s->plans++;
    CHECK(s->busy != NULL);
    tb_run_cancel(s->busy);
}

static void on_later(uv_timer_t *t)
{
    scene *s = t->data;
    submit(s, s->plain, false, on_other);
    submit(s, s->plain, true, on_other);
}

static void on_busy(void *ctx, tb_run *run, const tb_event *ev)
{
    scene *s = ctx;
    if (ev->kind == TB_EV_STARTED) {
        s->busy = run;
        uv_timer_start(&s->later, on_later, 100, 0); /* the child has begun by then */
    }
    if (ev->kind != TB_EV_END)
        return;
    s->busy = NULL;
    s->busy_status = ev->status;
}

static void open_scene(scene *s, const char *store)
{
    tb_err err = TB_ERR_INIT;
    s->e = tb_engine_new(&(tb_engine_options){ .store_path = store }, &err);
    s->script = tb_script_start(&err);
    REQUIRE(s->e && s->script);
    json_t *answer = tb_script_load(s->script, "tests/lua/nodes.lua", &err);
    json_t *array = tb_script_types(s->script, &err);
    REQUIRE(answer && array);
    s->types = tb_types_new();
    REQUIRE(tb_types_add(s->types, array, &err) == TB_OK);
    json_decref(answer);
    json_decref(array);
    s->forever = parse("{\"graph\":{\"f\":{\"class_type\":\"forever\"}},\"until\":\"f\"}");
    s->plain = parse("{\"graph\":{\"n\":{\"class_type\":\"constant_int\"}},\"until\":\"n\"}");
}

TEST(a_busy_script_holds_up_no_submission)
{
    char dir[] = "/tmp/tubelet-test-XXXXXX", cmd[80];
    scene s = { 0 };
    REQUIRE(mkdtemp(dir));
    open_scene(&s, dir);
    uv_timer_init(tb_engine_loop(s.e), &s.later);
    s.later.data = &s;
    const double start = tb_clock_seconds();
    REQUIRE(submit(&s, s.forever, false, on_busy));
    uv_run(tb_engine_loop(s.e), UV_RUN_DEFAULT);
    CHECK(s.longest < 1);
    CHECK(tb_clock_seconds() - start < 10);
    CHECK_INT(s.busy_status, TB_ECANCELED);
    CHECK_INT(s.plans, 1);
    CHECK_INT(s.queued, 1);
    json_decref(s.forever);
    json_decref(s.plain);
    uv_close((uv_handle_t *)&s.later, NULL);
    tb_engine_free(&s.e);
    tb_script_stop(&s.script);
    tb_types_free(&s.types);
    snprintf(cmd, sizeof cmd, "rm -r %s", dir);
    CHECK_INT(system(cmd), 0);
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = { TEST_CASE(a_busy_script_holds_up_no_submission) };
    if (argc > 1 && strcmp(argv[1], "__lua") == 0)
        tb_script_child_main(TB_SCRIPT_CHILD_FD);
    setenv("TUBELET_BIN", "/proc/self/exe", 1);
    return tb_test_main(argc, argv, tests, 1);
}
