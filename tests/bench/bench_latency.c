/* bench_latency.c - how long others wait while the server is busy with large graphs: one client
 * asks GET /queue every millisecond, another one has 4,000 nodes run and 100,000 planned.
 *
 * Beside it the longest turn of the loop, without its waiting for events: by the clock, and the
 * most that it computed, which does not depend on what else the machine does. The bar is 10 ms.
 */
#include "../comfy_bench.h"

#include <stdatomic.h>
#include <time.h>

#include "base/clock.h"

enum { MOST = 200000, ROUNDS = 3 };

static bench b;
static double asked[MOST]; /* seconds that each GET /queue took */

/* ----------------------------------------------------------------------------- turns of the loop
 */

static uv_prepare_t turn;
static double turn_began, turn_cpu; /* the loop thread's, while it runs */
static double worst_turn, worst_cpu;
static uint64_t turn_idle;

static double thread_cpu(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void on_turn(uv_prepare_t *p)
{
    const double now = tb_clock_seconds(), cpu = thread_cpu();
    const uint64_t idle = uv_metrics_idle_time(p->loop);
    const double busy = now - turn_began - (double)(idle - turn_idle) / 1e9;
    if (turn_began > 0 && busy > worst_turn)
        worst_turn = busy;
    if (turn_began > 0 && cpu - turn_cpu > worst_cpu)
        worst_cpu = cpu - turn_cpu;
    turn_began = now;
    turn_cpu = cpu;
    turn_idle = idle;
}

static void watch_turns(void *arg)
{
    uv_loop_t *loop = arg;
    uv_prepare_init(loop, &turn);
    uv_prepare_start(&turn, on_turn);
    uv_unref((uv_handle_t *)&turn);
}

static void unwatch_turns(void *arg)
{
    (void)arg;
    uv_close((uv_handle_t *)&turn, NULL);
}

static void take_worst(void *arg)
{
    double *worst = arg;
    worst[0] = worst_turn;
    worst[1] = worst_cpu;
    worst_turn = worst_cpu = 0;
}

/* ------------------------------------------------------------------------------------ documents */

/* A chain of `count` nodes, the last one an output. */
static void add_chain(tb_str *s, const char *type, int count, int value)
{
    for (int i = 1; i < count; i++) {
        tb_str_addf(s, "\"%d\":{\"class_type\":\"%s\",\"inputs\":{\"value\":", i, type);
        if (i % 100 == 1) /* chains of a hundred: values stay in their range */
            tb_str_addf(s, "%d}},", value + i);
        else
            tb_str_addf(s, "[\"%d\",0]}},", i - 1);
    }
    tb_str_addf(s, "\"%d\":{\"class_type\":\"t_end\",\"inputs\":{\"value\":[\"%d\",0]}}", count,
                count - 1);
    for (int i = 100; i < count; i += 100) /* an output for each chain */
        tb_str_addf(s, ",\"e%d\":{\"class_type\":\"t_end\",\"inputs\":{\"value\":[\"%d\",0]}}", i,
                    i);
}

typedef struct job {
    const char *what, *path;
    char *body;
    enum { PLANNED, WATCHED, ASKED } runs; /* how the end of the prompt is known */
    client http, watcher;
    atomic_bool over;
} job;

/* Takes what the server tells as fast as it comes, up to the end of the prompt. */
static void await_end(const client *c)
{
    static const char end[] = "\"type\":\"executing\",\"data\":{\"node\":null";
    static char buf[sizeof end + 65536];
    size_t kept = 0;
    for (;;) {
        const ssize_t n = recv(c->fd, buf + kept, sizeof buf - kept, 0);
        REQUIRE(n > 0);
        const size_t have = kept + (size_t)n;
        if (memmem(buf, have, end, sizeof end - 1))
            return;
        kept = have < sizeof end ? have : sizeof end;
        memmove(buf, buf + have - kept, kept);
    }
}

static void *work(void *arg)
{
    job *j = arg;
    const int status = client_call(&j->http, "POST", j->path, j->body);
    if (status != 200)
        fprintf(stderr, "%s: %d %.300s\n", j->what, status, j->http.body.s ? j->http.body.s : "");
    REQUIRE(status == 200);
    if (j->runs == WATCHED)
        await_end(&j->watcher);
    while (j->runs == ASKED && !strstr(j->http.body.s, "\"queue_remaining\":0")) {
        usleep(20000);
        REQUIRE(client_call(&j->http, "GET", "/prompt", NULL) == 200);
    }
    atomic_store(&j->over, true);
    return NULL;
}

/* -------------------------------------------------------------------------------------- measure */

static int by_size(const void *x, const void *y)
{
    const double a = *(const double *)x, c = *(const double *)y;
    return a < c ? -1 : a > c;
}

static void report(const char *what, int n, double seconds)
{
    double worst[2];
    loop_call(&b.thread, take_worst, worst);
    qsort(asked, (size_t)n, sizeof *asked, by_size);
    printf("%-42s %6.0f ms, GET /queue %5d times: p50 %6.2f  p99 %6.2f  worst %6.2f ms; longest "
           "turn %6.2f ms, computing %6.2f ms\n",
           what, 1000 * seconds, n, 1000 * asked[n / 2], 1000 * asked[n * 99 / 100],
           1000 * asked[n - 1], 1000 * worst[0], 1000 * worst[1]);
    fflush(stdout);
}

static void measure(job *j)
{
    pthread_t thread;
    client c;
    int n = 0;
    REQUIRE(client_open(&c, b.port) && client_open(&j->http, b.port));
    client_call(&c, "GET", "/queue", NULL);
    const double start = tb_clock_seconds();
    atomic_store(&j->over, false);
    pthread_create(&thread, NULL, work, j);
    while (!atomic_load(&j->over) && n < MOST) {
        const double t = tb_clock_seconds();
        REQUIRE(client_call(&c, "GET", "/queue", NULL) == 200);
        asked[n++] = tb_clock_seconds() - t;
        usleep(1000);
    }
    const double seconds = tb_clock_seconds() - start;
    pthread_join(thread, NULL);
    report(j->what, n, seconds);
    client_close(&c);
    client_close(&j->http);
}

/* ----------------------------------------------------------------------------------------- rows */

/* Of more than 4,000 nodes nobody is told: it is more text than a client may leave unread. */
static void prompt_row(job *j, const char *what, const char *type, int count, int value)
{
    tb_str s = TB_STR_INIT;
    tb_str_addf(&s, "{\"client_id\":\"%s\",\"prompt\":{", count > 4000 ? "none" : "bench");
    add_chain(&s, type, count, value);
    tb_str_add(&s, "}}");
    j->what = what;
    j->path = "/prompt";
    j->runs = count > 4000 ? ASKED : WATCHED;
    j->body = tb_str_take(&s);
    measure(j);
    free(j->body);
}

static void plan_row(job *j, const char *what, int count)
{
    tb_str s = TB_STR_INIT;
    tb_str_add(&s, "{\"document\":{\"graph\":{");
    add_chain(&s, "t_quick", count, 1);
    tb_str_add(&s, "}}}");
    j->what = what;
    j->path = "/api/tubelet/plan";
    j->runs = PLANNED;
    j->body = tb_str_take(&s);
    measure(j);
    free(j->body);
}

/* The editor takes whatever it is told. */
static void *drain(void *arg)
{
    while (client_read_frame(arg) >= 0)
        ;
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "__lua") == 0)
        tb_script_child_main(TB_SCRIPT_CHILD_FD);
    static job j;
    client editor;
    pthread_t reader;
    bench_start(&b, st_folder());
    uv_loop_configure(tb_engine_loop(b.engine), UV_METRICS_IDLE_TIME);
    loop_call(&b.thread, watch_turns, tb_engine_loop(b.engine));
    REQUIRE(client_open(&j.watcher, b.port) && client_open(&editor, b.port));
    REQUIRE(client_upgrade(&j.watcher, "/ws?clientId=bench", "") == 101);
    REQUIRE(client_upgrade(&editor, "/api/tubelet/events", "Sec-WebSocket-Protocol: events\r\n") ==
            101);
    pthread_create(&reader, NULL, drain, &editor);
    prompt_row(&j, "warm up", "t_quick", 10, 1);
    for (int i = 0; i < ROUNDS; i++) {
        prompt_row(&j, "4,000 nodes, on the worker, new", "t_quick", 4000, 4000 * i);
        prompt_row(&j, "4,000 nodes, all cached", "t_quick", 4000, 4000 * i);
        prompt_row(&j, "4,000 nodes, trivial", "t_inline", 4000, 4000 * i);
    }
    plan_row(&j, "100,000 nodes, planned", 99000);
    prompt_row(&j, "40,000 nodes, trivial", "t_inline", 40000, 0);
    client_close(&j.watcher);
    shutdown(editor.fd, SHUT_RDWR);
    pthread_join(reader, NULL);
    client_close(&editor);
    loop_call(&b.thread, unwatch_turns, NULL);
    bench_end(&b);
    return 0;
}
