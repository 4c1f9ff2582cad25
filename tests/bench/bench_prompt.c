/* bench_prompt.c - a chain of 300 trivial nodes through /prompt with a client at /ws: from the
 * request to the last frame, and the text that came; beside the bars. Medians of nine.
 *
 * The first prompt of each row has a value nothing has seen; the cached one repeats it.
 */
#include "../comfy_bench.h"

enum { CHAIN = 300, ROUNDS = 9 };

static bench b;
static client http, watcher;

typedef struct measure {
    double seconds;
    size_t bytes;
    int finished;
} measure;

/* 299 nodes of a type and an output. Freed by free(). */
static char *chain(const char *type, int value, const char *id)
{
    tb_str s = TB_STR_INIT;
    tb_str_addf(&s, "{\"client_id\":\"bench\",\"prompt_id\":\"%s\",\"prompt\":{", id);
    for (int i = 1; i < CHAIN; i++) {
        tb_str_addf(&s, "\"%d\":{\"class_type\":\"%s\",\"inputs\":{\"value\":", i, type);
        if (i == 1)
            tb_str_addf(&s, "%d}},", value);
        else
            tb_str_addf(&s, "[\"%d\",0]}},", i - 1);
    }
    tb_str_addf(&s, "\"%d\":{\"class_type\":\"t_end\",\"inputs\":{\"value\":[\"%d\",0]}}}}", CHAIN,
                CHAIN - 1);
    return tb_str_take(&s);
}

static bool is_end(json_t *j)
{
    const json_t *node = json_object_get(json_object_get(j, "data"), "node");
    return strcmp(at(j, "type"), "executing") == 0 && json_is_null(node);
}

static measure run(const char *type, int value, int round)
{
    measure m = { 0 };
    char id[64];
    snprintf(id, sizeof id, "%s-%d-%d", type, value, round);
    char *body = chain(type, value, id);
    const double start = tb_clock_seconds();
    REQUIRE(client_call(&http, "POST", "/prompt", body) == 200);
    for (bool end = false; !end;) {
        REQUIRE(client_read_frame(&watcher) == FRAME_TEXT);
        m.bytes += watcher.body.len;
        json_t *j = json_loads(watcher.body.s, 0, NULL), *state;
        const char *node;
        end = is_end(j);
        json_object_foreach(json_object_get(json_object_get(j, "data"), "nodes"), node, state)
            m.finished += json_is_object(state) && strcmp(at(state, "state"), "finished") == 0;
        json_decref(j);
    }
    m.seconds = tb_clock_seconds() - start;
    free(body);
    return m;
}

static int by_seconds(const void *x, const void *y)
{
    const measure *a = x, *c = y;
    return a->seconds < c->seconds ? -1 : a->seconds > c->seconds;
}

static void row(const char *what, measure *m, double bar)
{
    qsort(m, ROUNDS, sizeof *m, by_seconds);
    const measure *mid = &m[ROUNDS / 2];
    printf("%-36s %7.1f ms  %5.2f of the bar of %3.0f ms  %6.1f kB  %4.2f of 200 kB  %d nodes "
           "finished\n",
           what, 1000 * mid->seconds, mid->seconds / bar, 1000 * bar, (double)mid->bytes / 1000,
           (double)mid->bytes / 200e3, mid->finished);
}

static void rows(const char *type, const char *what)
{
    measure fresh[ROUNDS], cached[ROUNDS];
    char text[64];
    for (int i = 0; i < ROUNDS; i++) {
        fresh[i] = run(type, 10 * i, 0);
        cached[i] = run(type, 10 * i, 1);
    }
    snprintf(text, sizeof text, "%s, new", what);
    row(text, fresh, 0.3);
    snprintf(text, sizeof text, "%s, all cached", what);
    row(text, cached, 0.1);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "__lua") == 0)
        tb_script_child_main(TB_SCRIPT_CHILD_FD);
    bench_start(&b, st_folder());
    REQUIRE(client_open(&http, b.port) && client_open(&watcher, b.port));
    REQUIRE(client_upgrade(&watcher, "/ws?clientId=bench", "") == 101);
    run("t_inline", 1, 9); /* opens what is opened once */
    rows("t_inline", "on the loop");
    rows("t_quick", "on the worker, kept in memory");
    rows("t_num", "on the worker, stored");
    client_close(&http);
    client_close(&watcher);
    bench_end(&b);
    return 0;
}
