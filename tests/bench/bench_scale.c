/* bench_scale.c - two threads against one, the cost of starting a stage, and of elementwise work.
 *
 * usage: bench_scale [threads]   (2)
 *
 * Two figures for each piece of work. "wall" is what users feel and wants an idle machine: other
 * programs on the cores, or a host that lends them to others, make it worse than it is. "work" is
 * CPU time of one thread over that of all: what sharing adds to the work itself (waiting threads
 * that spin, caches, packing done twice), with neighbours nearly left out; 1 is none, so that 2 x
 * work bounds the gain of two threads from above.
 */
#include "bench.h"

typedef struct work {
    tb_compute *c[2]; /* one thread, several */
    tb_linear *l[2];
    float *x, *y;
    int which;
} work;

enum { ROWS = 1280, WIDTH = 1536 };

static void run_linear(void *ctx)
{
    const work *w = ctx;
    tb_linear_run(w->c[w->which], w->l[w->which], w->x, ROWS, WIDTH, w->y, WIDTH, NULL);
}

static void run_attention(void *ctx)
{
    const work *w = ctx;
    const tb_attention a = { .nq = ROWS,
                             .nk = ROWS,
                             .heads = 4,
                             .d = 128,
                             .ldq = WIDTH,
                             .ldk = WIDTH,
                             .ldv = WIDTH,
                             .ldo = 512,
                             .scale = 0.09f };
    tb_attention_run(w->c[w->which], &a, w->x, w->x + 512, w->x + 1024, w->y);
}

static void run_norm(void *ctx)
{
    const work *w = ctx;
    tb_layernorm(w->c[w->which], w->x, ROWS, WIDTH, 1e-6f, w->x, w->x, w->y);
}

static void nothing(void *ctx, int64_t i, int worker)
{
    (void)ctx;
    (void)i;
    (void)worker;
}

static void run_empty(void *ctx)
{
    const work *w = ctx;
    for (int i = 0; i < 1000; i++)
        tb_parallel(w->c[w->which], 16, nothing, NULL);
}

static void run_gelu(void *ctx)
{
    const work *w = ctx;
    tb_activate(w->c[w->which], TB_ACT_GELU_TANH, w->x, 1 << 18, w->y);
}

/* Rounds of one and of several threads take turns. */
static void report(const char *name, void (*run)(void *ctx), work *w)
{
    double wall[2][BENCH_ROUNDS], core[2][BENCH_ROUNDS];
    int calls[2];
    if (bench.only && !strstr(name, bench.only))
        return;
    for (w->which = 0; w->which < 2; w->which++)
        calls[w->which] = bench_warm(run, w);
    for (int i = 0; i < BENCH_ROUNDS; i++)
        for (w->which = 0; w->which < 2; w->which++) {
            const bench_timing t = bench_calls(calls[w->which], run, w);
            wall[w->which][i] = t.wall;
            core[w->which][i] = t.core;
        }
    printf("%-28s wall %9.1f us with 1, %9.1f us with %d: %5.2f; work %5.2f\n", name,
           bench_median(wall[0]) * 1e6, bench_median(wall[1]) * 1e6, bench.threads,
           bench_median(wall[0]) / bench_median(wall[1]),
           bench_median(core[0]) / bench_median(core[1]));
}

int main(int argc, char **argv)
{
    char two[] = "2", *more[] = { argv[0], argc > 1 ? argv[1] : two, argc > 2 ? argv[2] : NULL };
    tb_err err = TB_ERR_INIT;
    bench_start(argc > 2 ? 3 : 2, more);
    work w = { .c = { tb_compute_new(1, &err), bench.c },
               .x = bench_numbers(ROWS * WIDTH),
               .y = bench_numbers(ROWS * WIDTH) };
    tb_tensor *weight = bench_weight(BENCH_F32, WIDTH, WIDTH);
    for (int i = 0; i < 2; i++)
        if (!w.c[i] || !(w.l[i] = tb_linear_new(w.c[i], weight, NULL, &err)))
            bench_die(&err);
    report("linear 1280 x 1536 x 1536", run_linear, &w);
    report("attention 4 x 128, 1280", run_attention, &w);
    report("layernorm 1280 x 1536", run_norm, &w);
    report("gelu of 262144", run_gelu, &w);
    report("1000 stages of 16 nothings", run_empty, &w);
    for (int i = 0; i < 2; i++)
        tb_linear_free(&w.l[i]);
    tb_tensor_unref(&weight);
    tb_compute_free(&w.c[0]);
    tb_compute_free(&w.c[1]);
    free(w.x);
    free(w.y);
    return 0;
}
