/* test_queue.c - prompts run in order, survive the death of their server, and are remembered. */
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "base/str.h"
#include "node.h"
#include "server/queue.h"
#include "store_help.h"

/* ------------------------------------------------------------------------------ nodes for it */

typedef struct step_params {
    int64_t value, ms;
    const char *fail;
} step_params;

static const tb_input_def step_in[] = {
    TB_IN_INT(step_params, value, 0, INT64_MIN, INT64_MAX, "", "Handed on, plus one."),
    TB_IN_INT(step_params, ms, 0, 0, 60000, "ms", "How long it takes."),
    TB_IN_STRING(step_params, fail, "", 0, "Fails with this."),
    { 0 },
};
static const tb_output_def step_out[] = { { .name = "value", .type = "INT" }, { 0 } };

/* Answers with two nodes that need each other. */
static void tie_knot(tb_job *job)
{
    json_t *graph =
        json_pack("{s{sss{s[si]}}s{sss{s[si]}}}", "1/a", "class_type", "t_step", "inputs", "value",
                  "1/b", 0, "1/b", "class_type", "t_step", "inputs", "value", "1/a", 0);
    tb_job_expand_take(job, graph, json_pack("[[si]]", "1/a", 0));
}

/* While it stands no step ends but by being canceled. */
static atomic_bool steps_held;

static tb_status step_run(tb_job *job, const void *vp, tb_err *err)
{
    const step_params *p = vp;
    if (strcmp(p->fail, "knot") == 0) {
        tie_knot(job);
        return TB_OK;
    }
    if (*p->fail)
        return tb_err_set(err, TB_EINVAL, "%s", p->fail);
    for (int64_t i = 0; i < p->ms || steps_held; i++) {
        TB_TRY(tb_job_check(job, err));
        usleep(1000);
    }
    tb_job_set_take(job, 0, tb_value_int(p->value + 1));
    return TB_OK;
}

static tb_status end_deliver(tb_job *job, const void *vp, tb_err *err)
{
    (void)vp;
    (void)err;
    tb_job_delivered(job, "/out/a.mp4", "video");
    return TB_OK;
}

static const tb_node_def step_def = { .abi = TB_NODE_ABI,
                                      .version = 1,
                                      .name = "t_step",
                                      .flags = TB_NODE_KEEP,
                                      .params_size = sizeof(step_params),
                                      .inputs = step_in,
                                      .outputs = step_out,
                                      .run = step_run };
static const tb_node_def end_def = { .abi = TB_NODE_ABI,
                                     .version = 1,
                                     .name = "t_end",
                                     .flags = TB_NODE_KEEP | TB_NODE_TARGET,
                                     .params_size = sizeof(step_params),
                                     .inputs = step_in,
                                     .outputs = step_out,
                                     .run = step_run,
                                     .deliver = end_deliver };
static const tb_node_def *const defs[] = { &step_def, &end_def, NULL };

/* ------------------------------------------------------------------------------------- harness */

typedef struct bench {
    tb_store *store;
    tb_engine *engine;
    tb_queue *queue;
    tb_str log;      /* what listeners were told */
    int stop_after;  /* prompts that ended before the loop stops; 0: runs until all is done */
    const char *cut; /* a node: when it starts, do `at_cut` */
    void (*at_cut)(struct bench *b);
} bench;

static void on_queue(void *ctx, tb_queue_event_kind kind, tb_prompt *p, const tb_event *ev)
{
    bench *b = ctx;
    static const char *const names[] = { "added", "removed", "started", "run", "ended" };
    if (kind != TB_QUEUE_RUN)
        tb_str_addf(&b->log, "%s %s\n", names[kind], p->id);
    else if (ev->kind == TB_EV_STARTED && b->cut && strcmp(ev->node, b->cut) == 0)
        b->at_cut(b);
    if (kind == TB_QUEUE_ENDED && b->stop_after && --b->stop_after == 0)
        uv_stop(tb_engine_loop(b->engine));
}

static json_t *file_entry(void *ctx, const char *path)
{
    (void)ctx;
    return json_pack("{ssssss}", "filename", tb_fs_basename(path), "subfolder", "", "type",
                     "output");
}

static bench open_bench_of(const char *dir, int runs_at_once)
{
    tb_err err = TB_ERR_INIT;
    bench b = { .store = st_open(dir) };
    b.engine = tb_engine_new(
        &(tb_engine_options){
            .store = b.store, .threads = 1, .runs_at_once = runs_at_once, .nodes = defs },
        &err);
    REQUIRE(b.engine);
    b.queue = tb_queue_new(b.engine, &err);
    if (!b.queue)
        fprintf(stderr, "%s\n", err.message);
    REQUIRE(b.queue);
    tb_queue_set_hooks(b.queue, &(tb_queue_hooks){ .file = file_entry });
    return b;
}

static bench open_bench(const char *dir)
{
    return open_bench_of(dir, 1);
}

/* A prepare hook: no run is made before the gate opens. */
static void wait_at_gate(void *gate, const tb_prompt *p, tb_run_options *o)
{
    (void)p;
    (void)o;
    uv_sem_wait(gate);
}

/* The first prompt is started and stays without its run: the gate is closed. */
static void start_up_to(bench *b, uv_sem_t *gate)
{
    REQUIRE(uv_sem_init(gate, 0) == 0);
    tb_queue_set_hooks(
        b->queue, &(tb_queue_hooks){ .prepare = wait_at_gate, .file = file_entry, .ctx = gate });
    tb_queue_listen(b->queue, on_queue, b);
    tb_queue_start(b->queue);
    while (!tb_queue_running(b->queue, 0))
        uv_run(tb_engine_loop(b->engine), UV_RUN_NOWAIT);
}

static void close_bench(bench *b)
{
    tb_queue_free(&b->queue);
    tb_engine_free(&b->engine);
    tb_store_close(&b->store);
    tb_str_free(&b->log);
}

static void run_all(bench *b)
{
    tb_queue_listen(b->queue, on_queue, b);
    tb_queue_start(b->queue);
    uv_run(tb_engine_loop(b->engine), UV_RUN_DEFAULT);
}

static json_t *json(const char *quoted)
{
    char *text = tb_xstrdup(quoted);
    for (char *c = text; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    json_t *j = json_loads(text, JSON_DECODE_ANY, NULL);
    REQUIRE(j);
    free(text);
    return j;
}

typedef struct addition {
    tb_prompt *p;
    bool over;
} addition;

static void on_added(void *ctx, tb_prompt *p, const tb_err *err)
{
    addition *a = ctx;
    a->p = p;
    a->over = true;
    if (!p)
        fprintf(stderr, "%s\n", err->message);
}

/* A prompt of one chain: "1" -> "2" (the output); `value` tells it from others. */
static tb_status begin_add(bench *b, const char *id, int value, int ms, tb_prompt_request r,
                           addition *a, tb_err *err)
{
    json_t *graph =
        json_pack("{s{sss{sisi}}s{sss{s[si]si}}}", "1", "class_type", "t_step", "inputs", "value",
                  value, "ms", ms, "2", "class_type", "t_end", "inputs", "value", "1", 0, "ms", ms);
    json_t *document = json_pack("{sOs[s]}", "graph", graph, "targets", "2");
    json_t *outputs = json("['2']");
    r.id = id;
    r.graph = graph;
    r.document = document;
    r.outputs = outputs;
    const tb_status st = tb_queue_add(b->queue, &r, on_added, a, err);
    json_decref(graph);
    json_decref(document);
    json_decref(outputs);
    return st;
}

/* Waits until it is durable. */
static tb_prompt *try_add(bench *b, const char *id, int value, int ms, tb_prompt_request r,
                          tb_err *err)
{
    addition a = { 0 };
    if (begin_add(b, id, value, ms, r, &a, err) != TB_OK)
        return NULL;
    while (!a.over)
        uv_run(tb_engine_loop(b->engine), UV_RUN_ONCE);
    return a.p;
}

static tb_prompt *add(bench *b, const char *id, int value, int ms, tb_prompt_request r)
{
    tb_err err = TB_ERR_INIT;
    tb_prompt *p = try_add(b, id, value, ms, r, &err);
    if (!p)
        fprintf(stderr, "%s\n", err.message);
    REQUIRE(p);
    return p;
}

static void sql(const char *dir, const char *text)
{
    char *path = tb_fs_join(dir, "runs.db");
    sqlite3 *db = NULL;
    CHECK_INT(sqlite3_open(path, &db), SQLITE_OK);
    CHECK_INT(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    free(path);
}

/* --------------------------------------------------------------------------------------- tests */

TEST(prompts_run_by_number_then_by_age)
{
    char *dir = st_folder();
    tb_err err = TB_ERR_INIT;
    bench b = open_bench(dir);
    CHECK_NEAR(add(&b, "first", 10, 0, (tb_prompt_request){ 0 })->number, 0, 0);
    CHECK_NEAR(add(&b, "second", 20, 0, (tb_prompt_request){ 0 })->number, 1, 0);
    CHECK_NEAR(add(&b, "front", 30, 0, (tb_prompt_request){ .front = true })->number, -2, 0);
    add(&b, "half", 40, 0, (tb_prompt_request){ .numbered = true, .number = 0.5 });
    add(&b, "also-half", 50, 0, (tb_prompt_request){ .numbered = true, .number = 0.5 });
    CHECK_INT(tb_queue_remaining(b.queue), 5);
    CHECK_STR(tb_queue_pending(b.queue, 0)->id, "front");
    CHECK(!try_add(&b, "half", 1, 0, (tb_prompt_request){ 0 }, &err));
    CHECK_STR(err.message, "the prompt 'half' is in the queue already");
    run_all(&b);
    CHECK_STR(b.log.s, "started front\nended front\nstarted first\nended first\nstarted half\n"
                       "ended half\nstarted also-half\nended also-half\nstarted second\nended "
                       "second\n");
    CHECK_INT(tb_queue_remaining(b.queue), 0);
    close_bench(&b);
    st_remove(dir);
    free(dir);
}

TEST(history_is_comfyuis_and_in_order_of_ending)
{
    char *dir = st_folder();
    tb_err err = TB_ERR_INIT;
    bench b = open_bench(dir);
    add(&b, "a", 1, 0, (tb_prompt_request){ 0 });
    add(&b, "b", 1, 0, (tb_prompt_request){ .numbered = true, .number = 5 });
    run_all(&b);
    json_t *h = tb_queue_history(b.queue, -1, -1, &err), *e = json_object_get(h, "a");
    CHECK_INT(json_object_size(h), 2);
    CHECK_STR(json_object_iter_key(json_object_iter(h)), "a");
    CHECK(json_is_integer(json_array_get(json_object_get(e, "prompt"), 0)));
    CHECK(json_is_real(json_array_get(json_object_get(json_object_get(h, "b"), "prompt"), 0)));
    json_t *want = json("{'2':{'images':[{'filename':'a.mp4','subfolder':'','type':'output'}],"
                        "'animated':[true]}}");
    CHECK(json_equal(json_object_get(e, "outputs"), want));
    CHECK(json_equal(json_object_get(json_object_get(h, "b"), "outputs"), want));
    const json_t *status = json_object_get(e, "status");
    CHECK_STR(json_string_value(json_object_get(status, "status_str")), "success");
    CHECK(json_is_true(json_object_get(status, "completed")));
    const json_t *messages = json_object_get(status, "messages");
    static const char *const names[] = { "execution_start", "execution_cached",
                                         "execution_success" };
    CHECK_INT(json_array_size(messages), 3);
    for (size_t i = 0; i < 3; i++)
        CHECK_STR(json_string_value(json_array_get(json_array_get(messages, i), 0)), names[i]);
    json_decref(want);
    json_decref(h);
    h = tb_queue_history(b.queue, 1, -1, &err);
    CHECK(json_object_size(h) == 1 && json_object_get(h, "b"));
    json_decref(h);
    h = tb_queue_history(b.queue, 1, 0, &err);
    CHECK(json_object_size(h) == 1 && json_object_get(h, "a"));
    json_decref(h);
    h = tb_queue_history(b.queue, -1, 7, &err);
    CHECK_INT(json_object_size(h), 0);
    json_decref(h);
    tb_queue_history_remove(b.queue, "a");
    CHECK_OK(tb_store_flush(b.store, &err));
    h = tb_queue_history_of(b.queue, "a", &err);
    CHECK_INT(json_object_size(h), 0);
    json_decref(h);
    close_bench(&b);
    st_remove(dir);
    free(dir);
}

TEST(cached_and_executed_nodes_are_told_apart)
{
    char *dir = st_folder();
    tb_err err = TB_ERR_INIT;
    bench b = open_bench(dir);
    add(&b, "new", 7, 0, (tb_prompt_request){ 0 });
    add(&b, "again", 7, 0, (tb_prompt_request){ 0 });
    run_all(&b);
    tb_prompt *p = tb_queue_past(b.queue, "new", &err);
    REQUIRE(p);
    CHECK_INT(json_array_size(p->cached), 0);
    CHECK_INT(json_array_size(p->executed), 2);
    tb_prompt_free(&p);
    p = tb_queue_past(b.queue, "again", &err);
    REQUIRE(p);
    CHECK_INT(json_array_size(p->cached), 2);
    CHECK_INT(json_array_size(p->executed), 0);
    tb_prompt_free(&p);
    tb_prompt **list;
    int count;
    CHECK_OK(tb_queue_past_list(b.queue, 10, 0, &list, &count, &err));
    CHECK_INT(count, 2);
    CHECK_STR(list[0]->id, "again");
    tb_prompts_free(&list, count);
    CHECK_OK(tb_queue_past_list(b.queue, 10, 1, &list, &count, &err));
    CHECK_INT(count, 1);
    CHECK_STR(list[0]->id, "new");
    tb_prompts_free(&list, count);
    close_bench(&b);
    st_remove(dir);
    free(dir);
}

TEST(history_keeps_the_newest_10000)
{
    char *dir = st_folder();
    tb_err err = TB_ERR_INIT;
    int64_t count = 0;
    bench b = open_bench(dir);
    sql(dir,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<10004) INSERT INTO "
        "prompt(id,state,number,numbered,created_ms,started_ms,ended_ms,run,place,request) "
        "SELECT 'old'||i,'done',i,0,1,1,1,0,i,'{}' FROM n");
    add(&b, "new", 1, 0, (tb_prompt_request){ 0 });
    run_all(&b);
    CHECK_OK(tb_store_prompt_history_count(b.store, &count, &err));
    CHECK_INT(count, 10000);
    json_t *h = tb_queue_history(b.queue, 1, -1, &err);
    CHECK(json_object_get(h, "new"));
    json_decref(h);
    h = tb_queue_history_of(b.queue, "old5", &err);
    CHECK_INT(json_object_size(h), 0);
    json_decref(h);
    h = tb_queue_history_of(b.queue, "old6", &err);
    CHECK_INT(json_object_size(h), 1);
    json_decref(h);
    close_bench(&b);
    st_remove(dir);
    free(dir);
}

static void interrupt(bench *b)
{
    CHECK(!tb_queue_interrupt(b->queue, "another"));
    CHECK(tb_queue_interrupt(b->queue, NULL));
    b->cut = NULL;
}

TEST(an_interrupted_prompt_is_canceled_and_the_next_runs)
{
    char *dir = st_folder();
    tb_err err = TB_ERR_INIT;
    bench b = open_bench(dir);
    add(&b, "slow", 1, 5000, (tb_prompt_request){ 0 });
    add(&b, "next", 2, 0, (tb_prompt_request){ 0 });
    b.cut = "1";
    b.at_cut = interrupt;
    run_all(&b);
    tb_prompt *p = tb_queue_past(b.queue, "slow", &err);
    CHECK_STR(tb_prompt_state_name(p->state), "canceled");
    const json_t *last = json_array_get(p->messages, json_array_size(p->messages) - 1);
    CHECK_STR(json_string_value(json_array_get(last, 0)), "execution_interrupted");
    CHECK_STR(json_string_value(json_object_get(json_array_get(last, 1), "node_id")), "1");
    tb_prompt_free(&p);
    p = tb_queue_past(b.queue, "next", &err);
    CHECK_STR(tb_prompt_state_name(p->state), "done");
    tb_prompt_free(&p);
    close_bench(&b);
    st_remove(dir);
    free(dir);
}

/* Runs a graph whose node 1 fails before node 2 ends; its history's status. New reference. */
static json_t *status_of_failure(const char *text)
{
    char *dir = st_folder();
    tb_err err = TB_ERR_INIT;
    bench b = open_bench(dir);
    json_t *graph = json(text), *outputs = json("['2']");
    json_t *document = json_pack("{sO}", "graph", graph);
    const tb_prompt_request r = {
        .id = "f", .graph = graph, .document = document, .outputs = outputs
    };
    addition a = { 0 };
    CHECK_INT(tb_queue_add(b.queue, &r, on_added, &a, &err), TB_OK);
    run_all(&b);
    json_t *h = tb_queue_history_of(b.queue, "f", &err);
    json_t *status = json_incref(json_object_get(json_object_get(h, "f"), "status"));
    json_decref(h);
    json_decref(graph);
    json_decref(document);
    json_decref(outputs);
    close_bench(&b);
    st_remove(dir);
    free(dir);
    return status;
}

static const json_t *last_message(const json_t *status)
{
    const json_t *messages = json_object_get(status, "messages");
    return json_array_get(messages, json_array_size(messages) - 1);
}

/* Two prompts under way, whose steps do not end; one waits. */
static void two_under_way(bench *b, const char *dir)
{
    *b = open_bench_of(dir, 2);
    steps_held = true;
    add(b, "a", 1, 0, (tb_prompt_request){ 0 });
    add(b, "b", 2, 0, (tb_prompt_request){ 0 });
    add(b, "c", 3, 0, (tb_prompt_request){ 0 });
    tb_queue_listen(b->queue, on_queue, b);
    tb_queue_start(b->queue);
    const tb_prompt *second;
    while (!(second = tb_queue_running(b->queue, 1)) || !second->run_id)
        uv_run(tb_engine_loop(b->engine), UV_RUN_ONCE);
    CHECK_STR(tb_queue_running(b->queue, 0)->id, "a");
    CHECK_STR(second->id, "b");
    CHECK(!tb_queue_running(b->queue, 2));
    CHECK_INT(tb_queue_remaining(b->queue), 3);
    CHECK(tb_queue_find(b->queue, "b") == second);
}

static json_t *outcome_of(bench *b, const char *id)
{
    json_t *h = tb_queue_history_of(b->queue, id, NULL);
    json_t *messages =
        json_object_get(json_object_get(json_object_get(h, id), "status"), "messages");
    json_t *last = json_array_get(messages, json_array_size(messages) - 1);
    json_t *name = json_incref(json_array_get(last, 0));
    json_decref(h);
    return name;
}

static void check_outcome(bench *b, const char *id, const char *want)
{
    json_t *name = outcome_of(b, id);
    CHECK_STR(json_string_value(name), want);
    json_decref(name);
}

TEST(prompts_run_side_by_side)
{
    char *dir = st_folder();
    bench b;
    two_under_way(&b, dir);
    steps_held = false;
    uv_run(tb_engine_loop(b.engine), UV_RUN_DEFAULT);
    CHECK_INT(tb_queue_remaining(b.queue), 0);
    CHECK(strncmp(b.log.s, "started a\nstarted b\n", 20) == 0);
    for (int i = 0; i < 3; i++)
        check_outcome(&b, (const char *[]){ "a", "b", "c" }[i], "execution_success");
    close_bench(&b);
    st_remove(dir);
    free(dir);
}

TEST(one_of_two_is_interrupted_or_all)
{
    char *dir = st_folder();
    bench b;
    two_under_way(&b, dir);
    b.stop_after = 1;
    CHECK(tb_queue_interrupt(b.queue, "a"));
    CHECK(!tb_queue_interrupt(b.queue, "c"));
    uv_run(tb_engine_loop(b.engine), UV_RUN_DEFAULT);
    check_outcome(&b, "a", "execution_interrupted");
    CHECK_STR(tb_queue_running(b.queue, 0)->id, "b");
    b.stop_after = 2;
    while (!tb_queue_running(b.queue, 1))
        uv_run(tb_engine_loop(b.engine), UV_RUN_ONCE);
    CHECK(tb_queue_interrupt(b.queue, NULL));
    uv_run(tb_engine_loop(b.engine), UV_RUN_DEFAULT);
    check_outcome(&b, "b", "execution_interrupted");
    check_outcome(&b, "c", "execution_interrupted");
    steps_held = false;
    close_bench(&b);
    st_remove(dir);
    free(dir);
}

/* Both go on with the next server, before the one that waited. */
TEST(two_that_a_stopped_server_left_are_continued)
{
    char *dir = st_folder();
    bench b;
    two_under_way(&b, dir);
    close_bench(&b);
    steps_held = false;
    b = open_bench_of(dir, 2);
    CHECK_STR(tb_queue_pending(b.queue, 0)->id, "a");
    CHECK_STR(tb_queue_pending(b.queue, 1)->id, "b");
    run_all(&b);
    for (int i = 0; i < 3; i++)
        check_outcome(&b, (const char *[]){ "a", "b", "c" }[i], "execution_success");
    close_bench(&b);
    st_remove(dir);
    free(dir);
}

TEST(a_circle_made_during_the_run_is_told_of_the_node_that_made_it)
{
    json_t *status = status_of_failure("{'1':{'class_type':'t_step','inputs':{'fail':'knot'}},"
                                       "'2':{'class_type':'t_end','inputs':{'value':['1',0]}}}");
    const json_t *data = json_array_get(last_message(status), 1);
    CHECK_STR(json_string_value(json_object_get(data, "node_id")), "1");
    CHECK_STR(json_string_value(json_object_get(data, "exception_type")),
              "graph.DependencyCycleError");
    json_decref(status);
}

TEST(a_failed_prompt_says_where_and_why)
{
    json_t *status =
        status_of_failure("{'1':{'class_type':'t_step','inputs':{'fail':'no luck','value':3}},"
                          "'2':{'class_type':'t_end','inputs':{'value':['1',0]}}}");
    CHECK_STR(json_string_value(json_object_get(status, "status_str")), "error");
    const json_t *last = last_message(status), *data = json_array_get(last, 1);
    CHECK_STR(json_string_value(json_array_get(last, 0)), "execution_error");
    CHECK_STR(json_string_value(json_object_get(data, "node_id")), "1");
    CHECK_STR(json_string_value(json_object_get(data, "node_type")), "t_step");
    CHECK_STR(json_string_value(json_object_get(data, "exception_message")), "no luck\n");
    CHECK_STR(json_string_value(json_object_get(data, "exception_type")), "ValueError");
    json_t *inputs = json("{'fail':['no luck'],'value':[3]}");
    CHECK(json_equal(json_object_get(data, "current_inputs"), inputs));
    json_decref(inputs);
    json_decref(status);
}

TEST(additions_arrive_in_order_and_twice_is_refused)
{
    char *dir = st_folder();
    tb_err err = TB_ERR_INIT;
    bench b = open_bench(dir);
    addition a[3] = { 0 };
    tb_queue_listen(b.queue, on_queue, &b);
    CHECK_INT(begin_add(&b, "x", 1, 0, (tb_prompt_request){ 0 }, &a[0], &err), TB_OK);
    CHECK_INT(begin_add(&b, "y", 2, 0, (tb_prompt_request){ 0 }, &a[1], &err), TB_OK);
    CHECK_INT(begin_add(&b, "x", 3, 0, (tb_prompt_request){ 0 }, &a[2], &err), TB_EINVAL);
    CHECK_STR(err.message, "the prompt 'x' is in the queue already");
    CHECK(!a[0].over); /* not before it is durable */
    CHECK_INT(tb_queue_remaining(b.queue), 0);
    close_bench(&b); /* waits for what is under way */
    CHECK(a[0].over && a[1].over && !a[2].over);
    b = open_bench(dir);
    CHECK_INT(tb_queue_remaining(b.queue), 2);
    CHECK_STR(tb_queue_pending(b.queue, 1)->id, "y");
    close_bench(&b);
    st_remove(dir);
    free(dir);
}

TEST(a_prompt_is_stopped_before_its_run_is_made)
{
    char *dir = st_folder();
    uv_sem_t gate;
    bench b = open_bench(dir);
    add(&b, "a", 1, 0, (tb_prompt_request){ 0 });
    start_up_to(&b, &gate);
    CHECK(!tb_queue_running(b.queue, 0)->run);
    CHECK(tb_queue_interrupt(b.queue, "a"));
    uv_sem_post(&gate);
    uv_run(tb_engine_loop(b.engine), UV_RUN_DEFAULT);
    CHECK_STR(b.log.s, "started a\nended a\n");
    json_t *h = tb_queue_history_of(b.queue, "a", NULL);
    const json_t *status = json_object_get(json_object_get(h, "a"), "status");
    const json_t *last = json_array_get(json_object_get(status, "messages"), 1);
    CHECK_STR(json_string_value(json_array_get(last, 0)), "execution_interrupted");
    json_decref(h);
    close_bench(&b);
    uv_sem_destroy(&gate);
    st_remove(dir);
    free(dir);
}

TEST(removed_prompts_never_run)
{
    char *dir = st_folder();
    bench b = open_bench(dir);
    add(&b, "a", 1, 0, (tb_prompt_request){ 0 });
    add(&b, "b", 2, 0, (tb_prompt_request){ 0 });
    CHECK(tb_queue_remove(b.queue, "a"));
    CHECK(!tb_queue_remove(b.queue, "a"));
    close_bench(&b);
    b = open_bench(dir);
    CHECK_INT(tb_queue_remaining(b.queue), 1);
    CHECK_STR(tb_queue_pending(b.queue, 0)->id, "b");
    tb_queue_clear(b.queue);
    run_all(&b);
    CHECK(!b.log.s);
    close_bench(&b);
    st_remove(dir);
    free(dir);
}

/* ------------------------------------------------------------------------- death of the server */

static void die(bench *b)
{
    tb_store_flush(b->store, NULL);
    kill(getpid(), SIGKILL);
}

static void add_five(bench *b)
{
    for (int i = 1; i <= 5; i++) {
        char id[16];
        snprintf(id, sizeof id, "p%d", i);
        add(b, id, 1000 * i, 0, (tb_prompt_request){ .front = i == 5, .client_id = "me" });
    }
}

static const char six_in_order[] = "started runs\nended runs\nstarted p5\nended p5\n"
                                   "started p1\nended p1\nstarted p2\nended p2\n"
                                   "started p3\nended p3\nstarted p4\nended p4\n";

/* All six end, and the one that ran does not start over. */
static void expect_six(const char *dir)
{
    tb_err err = TB_ERR_INIT;
    bench b = open_bench(dir);
    CHECK_INT(tb_queue_remaining(b.queue), 6);
    CHECK_STR(tb_queue_pending(b.queue, 1)->client_id, "me");
    run_all(&b);
    CHECK_STR(b.log.s, six_in_order);
    tb_prompt *p = tb_queue_past(b.queue, "runs", &err);
    REQUIRE(p);
    CHECK_STR(tb_prompt_state_name(p->state), "done");
    CHECK_INT(json_array_size(p->cached), 1);
    CHECK_STR(json_string_value(json_array_get(p->cached, 0)), "1");
    tb_prompt_free(&p);
    tb_run_info *runs = NULL;
    int count = 0, open_runs = 0;
    CHECK_OK(tb_store_runs(b.store, 0, &runs, &count, &err));
    for (int i = 0; i < count; i++) {
        open_runs += strcmp(runs[i].status, "running") == 0;
        open_runs += strcmp(runs[i].status, "interrupted") == 0;
        tb_run_info_clear(&runs[i]);
    }
    free(runs);
    CHECK_INT(open_runs, 0);
    close_bench(&b);
}

TEST(a_killed_server_is_continued)
{
    char *dir = st_folder();
    const pid_t pid = fork();
    if (pid == 0) {
        uv_sem_t gate;
        bench b = open_bench(dir);
        add(&b, "runs", 100, 20, (tb_prompt_request){ 0 });
        start_up_to(&b, &gate);
        CHECK(tb_queue_remove(b.queue, "runs") == false);
        add_five(&b);
        b.cut = "2";
        b.at_cut = die;
        uv_sem_post(&gate);
        uv_run(tb_engine_loop(b.engine), UV_RUN_DEFAULT);
        _exit(1);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    expect_six(dir);
    st_remove(dir);
    free(dir);
}

static void leave(bench *b)
{
    steps_held = true;
    tb_store_flush(b->store, NULL);
    uv_stop(tb_engine_loop(b->engine));
}

TEST(a_stopped_server_is_continued)
{
    char *dir = st_folder();
    bench b = open_bench(dir);
    add(&b, "runs", 100, 20, (tb_prompt_request){ .numbered = true, .number = -100 });
    add_five(&b);
    b.cut = "2";
    b.at_cut = leave;
    run_all(&b);
    close_bench(&b);
    steps_held = false;
    expect_six(dir);
    st_remove(dir);
    free(dir);
}

/* -------------------------------------------------------------------------------------- damage */

TEST(damaged_rows_fail_with_a_sentence)
{
    char *dir = st_folder();
    tb_err err = TB_ERR_INIT;
    bench b = open_bench(dir);
    add(&b, "cut", 1, 0, (tb_prompt_request){ 0 });
    add(&b, "type", 2, 0, (tb_prompt_request){ 0 });
    add(&b, "blob", 3, 0, (tb_prompt_request){ 0 });
    add(&b, "state", 4, 0, (tb_prompt_request){ 0 });
    add(&b, "graph", 5, 0, (tb_prompt_request){ 0 });
    close_bench(&b);
    sql(dir, "UPDATE prompt SET request=substr(request,1,20) WHERE id='cut';"
             "UPDATE prompt SET request='[1,2]', title=NULL WHERE id='type';"
             "UPDATE prompt SET request=x'00ff00', number='x' WHERE id='blob';"
             "UPDATE prompt SET state='wrong', run=-1 WHERE id='state';"
             "UPDATE prompt SET request='{\"document\":{\"graph\":{\"1\":7}}}' WHERE id='graph'");
    b = open_bench(dir);
    run_all(&b);
    static const char *const ids[] = { "cut", "type", "blob", "graph" };
    for (int i = 0; i < 4; i++) {
        tb_prompt *p = tb_queue_past(b.queue, ids[i], &err);
        REQUIRE(p);
        CHECK_STR(tb_prompt_state_name(p->state), "failed");
        if (i < 3)
            CHECK_STR(p->err.message,
                      "the stored prompt is damaged and cannot be run; queue it again");
        CHECK(p->err.message[0]);
        tb_prompt_free(&p);
    }
    sql(dir, "UPDATE prompt SET result='{\"ui\":3,\"messages\":{},\"error\":[]}' WHERE id='cut'");
    json_t *h = tb_queue_history(b.queue, -1, -1, &err);
    CHECK_INT(json_object_size(h), 5);
    json_decref(h);
    close_bench(&b);
    st_remove(dir);
    free(dir);
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(prompts_run_by_number_then_by_age),
        TEST_CASE(history_is_comfyuis_and_in_order_of_ending),
        TEST_CASE(history_keeps_the_newest_10000),
        TEST_CASE(cached_and_executed_nodes_are_told_apart),
        TEST_CASE(an_interrupted_prompt_is_canceled_and_the_next_runs),
        TEST_CASE(prompts_run_side_by_side),
        TEST_CASE(one_of_two_is_interrupted_or_all),
        TEST_CASE(two_that_a_stopped_server_left_are_continued),
        TEST_CASE(a_circle_made_during_the_run_is_told_of_the_node_that_made_it),
        TEST_CASE(a_failed_prompt_says_where_and_why),
        TEST_CASE(additions_arrive_in_order_and_twice_is_refused),
        TEST_CASE(a_prompt_is_stopped_before_its_run_is_made),
        TEST_CASE(removed_prompts_never_run),
        TEST_CASE(a_killed_server_is_continued),
        TEST_CASE(a_stopped_server_is_continued),
        TEST_CASE(damaged_rows_fail_with_a_sentence),
    };
    return tb_test_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
