/* bench_chain.c - what a chain of trivial nodes costs a server: how long submitting it holds the
 * loop, the first run, and the second, which is all cached. Medians of nine, milliseconds.
 *
 *     TUBELET_BIN=build/release/tubelet TUBELET_MODEL=examples/tiny bench_chain [nodes]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tubelet.h"

enum { ROUNDS = 9 };

static void die(const tb_err *err)
{
    fprintf(stderr, "%s\n", err->message);
    exit(1);
}

/* A composite beside the chain: types that only the script child knows. */
static void add_composite(json_t *graph)
{
    json_object_set_new(graph, "m", json_pack("{sss{}}", "class_type", "load_model", "inputs"));
    json_object_set_new(
        graph, "x",
        json_pack("{sss{s[si]}}", "class_type", "noise_init", "inputs", "model", "m", 0));
    json_object_set_new(
        graph, "t",
        json_pack("{sss{s[si]}}", "class_type", "text_encode", "inputs", "clip", "m", 1));
    json_object_set_new(graph, "s",
                        json_pack("{sss{s[si]s[si]s[si]}}", "class_type", "sample", "inputs",
                                  "model", "m", 0, "latent", "x", 0, "positive", "t", 0));
}

/* Numbers added up, the first of them `seed`. */
static json_t *chain(int n, json_int_t seed, bool composite)
{
    json_t *graph = json_object();
    char id[32], before[32] = "";
    for (int i = 0; i < n; i++) {
        snprintf(id, sizeof id, "n%d", i);
        json_t *node =
            i ? json_pack("{sss{s[si]si}}", "class_type", "math_number", "inputs", "a", before, 0,
                          "b", 1)
              : json_pack("{sss{sI}}", "class_type", "constant_int", "inputs", "value", seed);
        json_object_set_new(graph, id, node);
        strcpy(before, id);
    }
    if (composite)
        add_composite(graph);
    return json_pack("{soss}", "graph", graph, "until", before);
}

typedef struct outcome {
    int cached, finished;
    double ended;
} outcome;

static void on_event(void *ctx, tb_run *run, const tb_event *ev)
{
    outcome *o = ctx;
    (void)run;
    o->cached += ev->kind == TB_EV_CACHED;
    o->finished += ev->kind == TB_EV_FINISHED;
    if (ev->kind != TB_EV_END)
        return;
    o->ended = tb_clock_seconds();
    if (ev->status != TB_OK)
        die(ev->err);
}

typedef struct times {
    double submit[ROUNDS], first[ROUNDS], again[ROUNDS];
} times;

static double run(tb_engine *e, json_t *doc, outcome *o, double *submit_ms)
{
    tb_err err = TB_ERR_INIT;
    *o = (outcome){ 0 };
    const double start = tb_clock_seconds();
    if (!tb_engine_submit(e, &(tb_run_options){ .document = doc, .on_event = on_event, .ctx = o },
                          NULL, &err))
        die(&err);
    *submit_ms = 1000 * (tb_clock_seconds() - start);
    uv_run(tb_engine_loop(e), UV_RUN_DEFAULT);
    return 1000 * (o->ended - start);
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *ms)
{
    qsort(ms, ROUNDS, sizeof *ms, by_size);
    return ms[ROUNDS / 2];
}

static void measure(int n, bool composite, const char *store, const char *name)
{
    tb_err err = TB_ERR_INIT;
    tb_engine *e = tb_engine_new(
        &(tb_engine_options){ .no_store = !store, .store_path = store, .memory_cache = 256 << 20 },
        &err);
    if (!e)
        die(&err);
    times t;
    outcome first = { 0 }, again = { 0 };
    for (int i = 0; i < ROUNDS; i++) {
        double ignored;
        json_t *doc = chain(n, tb_clock_wall_ms() % 1000000 * 1000 + i, composite);
        t.first[i] = run(e, doc, &first, &t.submit[i]);
        t.again[i] = run(e, doc, &again, &ignored);
        json_decref(doc);
    }
    tb_engine_free(&e);
    printf("%-32s %9.2f %9.2f %9.2f %9d %9d\n", name, median(t.submit), median(t.first),
           median(t.again), again.cached, again.finished);
}

int main(int argc, char **argv)
{
    const int n = argc > 1 ? atoi(argv[1]) : 300;
    char name[40], dir[] = "/tmp/tubelet-bench-XXXXXX", cmd[80];
    if (!mkdtemp(dir))
        return 1;
    snprintf(name, sizeof name, "%d nodes", n);
    printf("%-32s %9s %9s %9s %9s %9s\n", "a chain of trivial nodes, ms", "submit", "first",
           "again", "cached", "run again");
    measure(n, false, NULL, name);
    measure(n, false, dir, "the same with a store");
    measure(n, true, NULL, "the same and a composite");
    measure(100000, false, NULL, "100000 nodes");
    snprintf(cmd, sizeof cmd, "rm -r %s", dir);
    return system(cmd) != 0;
}
