/* bench_run.c - nodes a second through validate, plan and run: trivial nodes on the loop, on the
 * worker, and with a store. Medians of five.
 *
 *     bench_run [nodes]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "node.h"
#include "tubelet.h"

typedef struct add_params {
    int64_t a, b;
} add_params;

static const tb_input_def add_in[] = {
    TB_IN_INT(add_params, a, 0, INT64_MIN, INT64_MAX, "", "First."),
    TB_IN_INT(add_params, b, 1, INT64_MIN, INT64_MAX, "", "Second."),
    { 0 },
};
static const tb_output_def add_out[] = { { .name = "sum", .type = "INT" }, { 0 } };

static tb_status add_run(tb_job *job, const void *vp, tb_err *err)
{
    const add_params *p = vp;
    (void)err;
    tb_job_set_take(job, 0, tb_value_int(p->a + p->b));
    return TB_OK;
}

#define NODE(n, f)                                                          \
    static const tb_node_def n##_def = { .abi = TB_NODE_ABI,                \
                                         .version = 1,                      \
                                         .name = #n,                        \
                                         .flags = (f),                      \
                                         .params_size = sizeof(add_params), \
                                         .inputs = add_in,                  \
                                         .outputs = add_out,                \
                                         .run = add_run }
NODE(b_inline, TB_NODE_INLINE);
NODE(b_worker, 0);
NODE(b_kept, TB_NODE_KEEP);
static const tb_node_def *const defs[] = { &b_inline_def, &b_worker_def, &b_kept_def, NULL };

static json_t *chain(const char *type, int n, json_int_t seed)
{
    json_t *graph = json_object();
    char id[32], before[32] = "";
    for (int i = 0; i < n; i++) {
        snprintf(id, sizeof id, "n%d", i);
        json_t *node = i ? json_pack("{sss{s[si]}}", "class_type", type, "inputs", "a", before, 0)
                         : json_pack("{sss{sI}}", "class_type", type, "inputs", "a", seed);
        json_object_set_new(graph, id, node);
        strcpy(before, id);
    }
    return json_pack("{soss}", "graph", graph, "until", before);
}

static void on_event(void *ctx, tb_run *run, const tb_event *ev)
{
    (void)run;
    if (ev->kind == TB_EV_END && ev->status != TB_OK) {
        fprintf(stderr, "%s\n", ev->err->message);
        exit(1);
    }
    if (ev->kind == TB_EV_END)
        *(bool *)ctx = true;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double measure(const char *type, int n, const char *store)
{
    double seconds[5];
    for (int i = 0; i < 5; i++) {
        tb_err err = TB_ERR_INIT;
        bool over = false;
        tb_engine *e = tb_engine_new(
            &(tb_engine_options){ .no_store = !store, .store_path = store, .nodes = defs }, &err);
        if (!e) {
            fprintf(stderr, "%s\n", err.message);
            exit(1);
        }
        json_t *doc = chain(type, n, tb_clock_wall_ms() * 1000000);
        const double start = tb_clock_seconds();
        tb_engine_submit(e,
                         &(tb_run_options){ .document = doc, .on_event = on_event, .ctx = &over },
                         NULL, &err);
        uv_run(tb_engine_loop(e), UV_RUN_DEFAULT);
        seconds[i] = tb_clock_seconds() - start;
        json_decref(doc);
        tb_engine_free(&e);
        if (!over)
            exit(1);
    }
    qsort(seconds, 5, sizeof *seconds, by_size);
    return n / seconds[2];
}

int main(int argc, char **argv)
{
    const int n = argc > 1 ? atoi(argv[1]) : 100000;
    char dir[] = "/tmp/tubelet-bench-XXXXXX", cmd[80];
    if (!mkdtemp(dir))
        return 1;
    const double in = measure("b_inline", n, NULL), worker = measure("b_worker", n, NULL),
                 stored = measure("b_kept", n < 10000 ? n : 10000, dir);
    printf("%-44s %10s %8s\n", "a chain of trivial nodes", "nodes/s", "of bar");
    printf("%-44s %10.0f %7.2fx\n", "on the loop, no store (bar 50,000)", in, in / 50000);
    printf("%-44s %10.0f\n", "over the worker, one after another (no bar)", worker);
    printf("%-44s %10.0f %7.2fx\n", "the same, all stored (bar 2,000)", stored, stored / 2000);
    snprintf(cmd, sizeof cmd, "rm -r %s", dir);
    return system(cmd) != 0;
}
