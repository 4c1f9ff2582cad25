/* test_run_soak.c - many submissions, plans among them, canceled at random from both sides: each
 * ends once, and nothing leaks or hangs.
 *
 * TUBELET_SOAK sets their number (200).
 */
#include <pthread.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "node.h"
#include "test.h"
#include "tubelet.h"

/* --------------------------------------------------------------------------------------- nodes */

typedef struct work_params {
    const tb_value *a, *b;
    int64_t ms, seed;
    bool fail;
} work_params;

static const tb_input_def work_in[] = {
    TB_IN_PORT(work_params, a, "*", TB_IN_OPTIONAL, "First."),
    TB_IN_PORT(work_params, b, "*", TB_IN_OPTIONAL, "Second."),
    TB_IN_INT(work_params, ms, 0, 0, 1000, "ms", "How long."),
    TB_IN_INT(work_params, seed, 0, 0, INT64_MAX, "", "Another, another result."),
    TB_IN_BOOL(work_params, fail, false, "Whether to fail."),
    { 0 },
};
static const tb_output_def work_out[] = { { .name = "x", .type = "*" }, { 0 } };

static tb_status work_run(tb_job *job, const void *vp, tb_err *err)
{
    const work_params *p = vp;
    for (int64_t i = 0; i < p->ms; i++) {
        TB_TRY(tb_job_check(job, err));
        tb_job_progress(job, (double)i / (double)p->ms);
        usleep(1000);
    }
    if (p->fail)
        return tb_err_set(err, TB_EINVAL, "asked to fail");
    tb_tensor *t = tb_tensor_new_zero(TB_F32, &TB_SHAPE(1 + p->seed % 5000), err);
    if (!t)
        return err->status;
    tb_job_set_take(job, 0, tb_value_tensor_take(t));
    return TB_OK;
}

/* Answers with two nodes of its own, whose ids no other has. */
static tb_status expand_run(tb_job *job, const void *vp, tb_err *err)
{
    static atomic_int calls;
    const work_params *p = vp;
    char one[40], two[40];
    (void)err;
    const int call = atomic_fetch_add(&calls, 1);
    snprintf(one, sizeof one, "grown/%d/1", call);
    snprintf(two, sizeof two, "grown/%d/2", call);
    tb_job_expand_take(job,
                       json_pack("{s{sss{sI}}s{sss{s[si]sI}}}", one, "class_type", "t_worker",
                                 "inputs", "seed", (json_int_t)p->seed, two, "class_type", "t_io",
                                 "inputs", "a", one, 0, "seed", (json_int_t)p->seed),
                       json_pack("[[si]]", two, 0));
    return TB_OK;
}

#define NODE(n, f, r)                                                        \
    static const tb_node_def n##_def = { .abi = TB_NODE_ABI,                 \
                                         .version = 1,                       \
                                         .name = #n,                         \
                                         .flags = (f),                       \
                                         .params_size = sizeof(work_params), \
                                         .inputs = work_in,                  \
                                         .outputs = work_out,                \
                                         .run = (r) }
NODE(t_worker, 0, work_run);
NODE(t_inline, TB_NODE_INLINE, work_run);
NODE(t_io, TB_NODE_IO, work_run);
NODE(t_kept, TB_NODE_KEEP, work_run);
NODE(t_impure, TB_NODE_IMPURE, work_run);
NODE(t_expand, 0, expand_run);
static const tb_node_def *const defs[] = { &t_worker_def, &t_inline_def, &t_io_def, &t_kept_def,
                                           &t_impure_def, &t_expand_def, NULL };

/* ----------------------------------------------------------------------------------- submissions
 */

static uint32_t random_state = 12345;

static int pick(int n)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (int)((random_state >> 8) % (uint32_t)n);
}

/* 1..12 nodes, each linked to earlier ones; few seeds, so that results are found again. */
static json_t *document(void)
{
    static const char *const types[] = { "t_worker", "t_inline", "t_io", "t_kept", "t_impure" };
    json_t *graph = json_object();
    const int n = 1 + pick(12);
    char id[20], from[20];
    for (int i = 0; i < n; i++) {
        json_t *in = json_pack("{sisI}", "ms", pick(3), "seed", (json_int_t)pick(4));
        for (int k = 0; k < 2 && i > 0; k++) {
            snprintf(from, sizeof from, "n%d", pick(i));
            json_object_set_new(in, k ? "b" : "a", json_pack("[si]", from, 0));
        }
        if (pick(60) == 0)
            json_object_set_new(in, "fail", json_true());
        snprintf(id, sizeof id, "n%d", i);
        json_object_set_new(graph, id,
                            json_pack("{ssso}", "class_type",
                                      pick(12) ? types[pick(5)] : "t_expand", "inputs", in));
    }
    return json_pack("{soss}", "graph", graph, "until", id);
}

enum { MAX_LIVE = 12 };

/* lock: runs; a run that has ended is not canceled any more. */
static struct {
    pthread_mutex_t lock;
    tb_run *runs[MAX_LIVE];
    atomic_bool stop;
} live = { .lock = PTHREAD_MUTEX_INITIALIZER };

typedef struct soak {
    tb_engine *e;
    int wanted, submitted, ended, live;
    int of_status[TB_EINTERNAL + 1];
} soak;

typedef struct submission {
    soak *s;
    int slot, ends, cancel_at; /* cancel_at: an event kind, or -1 */
} submission;

static void feed(soak *s);

static void on_event(void *ctx, tb_run *run, const tb_event *ev)
{
    submission *u = ctx;
    soak *s = u->s;
    if ((int)ev->kind == u->cancel_at)
        tb_run_cancel(run);
    if (ev->kind != TB_EV_END)
        return;
    CHECK_INT(++u->ends, 1);
    s->ended++;
    s->live--;
    s->of_status[ev->status]++;
    pthread_mutex_lock(&live.lock);
    live.runs[u->slot] = NULL;
    pthread_mutex_unlock(&live.lock);
    free(u);
    feed(s);
}

static int free_slot(void)
{
    for (int i = 0; i < MAX_LIVE; i++)
        if (!live.runs[i])
            return i;
    return -1;
}

static void submit_one(soak *s)
{
    static const int kinds[] = { TB_EV_PLANNED, TB_EV_STARTED, TB_EV_FINISHED, TB_EV_STORED };
    tb_err err = TB_ERR_INIT;
    submission *u = tb_xcalloc(1, sizeof *u);
    json_t *doc = document();
    *u = (submission){ .s = s, .cancel_at = pick(8) ? -1 : kinds[pick(4)] };
    pthread_mutex_lock(&live.lock);
    u->slot = free_slot();
    tb_run *r = tb_engine_submit(s->e,
                                 &(tb_run_options){ .document = doc,
                                                    .plan_only = pick(4) == 0,
                                                    .no_cache = pick(10) == 0,
                                                    .on_event = on_event,
                                                    .ctx = u },
                                 NULL, &err);
    REQUIRE(r && u->slot >= 0);
    live.runs[u->slot] = r;
    pthread_mutex_unlock(&live.lock);
    json_decref(doc);
    s->submitted++;
    s->live++;
    if (pick(20) == 0)
        tb_run_cancel(r);
}

static void feed(soak *s)
{
    while (s->submitted < s->wanted && s->live < MAX_LIVE)
        submit_one(s);
}

static void *cancel_some(void *arg)
{
    (void)arg;
    for (unsigned i = 0; !atomic_load(&live.stop); i++) {
        usleep(15000);
        pthread_mutex_lock(&live.lock);
        tb_run *r = live.runs[i * 7 % MAX_LIVE];
        if (r)
            tb_run_cancel(r);
        pthread_mutex_unlock(&live.lock);
    }
    return NULL;
}

static void on_stuck(uv_timer_t *t)
{
    const soak *s = t->data;
    fprintf(stderr, "stuck: %d of %d runs ended\n", s->ended, s->submitted);
    exit(1);
}

TEST(every_run_ends_once)
{
    char dir[] = "/tmp/tubelet-test-XXXXXX", cmd[80];
    tb_err err = TB_ERR_INIT;
    const char *count = getenv("TUBELET_SOAK");
    soak s = { .wanted = count ? atoi(count) : 200 };
    pthread_t thread;
    uv_timer_t stuck = { .data = &s };
    REQUIRE(mkdtemp(dir));
    s.e = tb_engine_new(
        &(tb_engine_options){ .store_path = dir, .memory_cache = 1 << 16, .nodes = defs }, &err);
    REQUIRE(s.e);
    const size_t before = tb_mem_used();
    uv_timer_init(tb_engine_loop(s.e), &stuck);
    uv_timer_start(&stuck, on_stuck, 120000 + (uint64_t)s.wanted * 100, 0);
    uv_unref((uv_handle_t *)&stuck);
    REQUIRE(pthread_create(&thread, NULL, cancel_some, NULL) == 0);
    feed(&s);
    uv_run(tb_engine_loop(s.e), UV_RUN_DEFAULT);
    atomic_store(&live.stop, true);
    pthread_join(thread, NULL);
    CHECK_INT(s.ended, s.wanted);
    CHECK(s.of_status[TB_OK] > 0 && s.of_status[TB_ECANCELED] > 0 && s.of_status[TB_EINVAL] > 0);
    CHECK_INT(s.of_status[TB_OK] + s.of_status[TB_ECANCELED] + s.of_status[TB_EINVAL], s.wanted);
    tb_engine_release(s.e, true, true);
    CHECK_INT(tb_mem_used(), before);
    uv_close((uv_handle_t *)&stuck, NULL);
    tb_engine_free(&s.e);
    snprintf(cmd, sizeof cmd, "rm -r %s", dir);
    CHECK_INT(system(cmd), 0);
    printf("%d runs: %d done, %d canceled, %d failed\n", s.ended, s.of_status[TB_OK],
           s.of_status[TB_ECANCELED], s.of_status[TB_EINVAL]);
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = { TEST_CASE(every_run_ends_once) };
    return tb_test_main(argc, argv, tests, 1);
}
