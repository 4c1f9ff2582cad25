/* bench_together.c - several runs one by one, and side by side with their steps evaluated together.
 *
 * usage: bench_together [runs [SIZE [frames [threads]]]]   (4 32x32 9 1)
 *
 * TUBELET_BIN has to name the program, which the scripts of the runs are started with.
 *
 * Each run samples the bundled model from its own seed, 12 steps with guidance, and decodes,
 * without a store. Medians of five, in turn; the CPU time of the process, and the wall clock, which
 * means something on an idle machine only.
 */
#include "bench.h"
#include "tubelet.h"

static json_t *document(const char *size, int frames, int seed)
{
    json_t *graph = json_pack(
        "{s{sss{ss}} s{sss{s[si]s[si]sssisi}} s{sss{s[si]ss}} s{sss{s[si]ss}}"
        " s{sss{s[si]s[si]s[si]s[si]sisf}} s{sss{s[si]s[si]}}}",
        "m", "class_type", "load_model", "inputs", "path", "examples/tiny", /* */
        "x", "class_type", "noise_init", "inputs", "model", "m", 0, "vae", "m", 2, "size", size,
        "frames", frames, "seed", seed,                                                   /* */
        "p", "class_type", "text_encode", "inputs", "clip", "m", 1, "text", "a red ball", /* */
        "n", "class_type", "text_encode", "inputs", "clip", "m", 1, "text", "",           /* */
        "s", "class_type", "sample", "inputs", "model", "m", 0, "latent", "x", 0, "positive", "p",
        0, "negative", "n", 0, "steps", 12, "cfg", 3.0, /* */
        "end", "class_type", "vae_decode", "inputs", "vae", "m", 2, "latent", "s", 0);
    return json_pack("{soss}", "graph", graph, "until", "end");
}

typedef struct work {
    tb_engine *engine;
    json_t *documents[64];
    int count;
} work;

static void on_event(void *ctx, tb_run *run, const tb_event *ev)
{
    (void)ctx;
    (void)run;
    if (ev->kind == TB_EV_END && ev->status != TB_OK)
        bench_die(ev->err);
}

static void run_all(void *ctx)
{
    const work *w = ctx;
    tb_err err = TB_ERR_INIT;
    for (int i = 0; i < w->count; i++)
        if (!tb_engine_submit(
                w->engine, &(tb_run_options){ .document = w->documents[i], .on_event = on_event },
                NULL, &err))
            bench_die(&err);
    uv_run(tb_engine_loop(w->engine), UV_RUN_DEFAULT);
}

int main(int argc, char **argv)
{
    const int runs = argc > 1 ? atoi(argv[1]) : 4, frames = argc > 3 ? atoi(argv[3]) : 9,
              threads = argc > 4 ? atoi(argv[4]) : 1;
    const char *size = argc > 2 ? argv[2] : "32x32";
    double core[2][BENCH_ROUNDS], wall[2][BENCH_ROUNDS];
    tb_err err = TB_ERR_INIT;
    work w[2] = { { .count = runs }, { .count = runs } };
    if (runs < 1 || runs > 64)
        return 2;
    for (int k = 0; k < 2; k++) {
        w[k].engine = tb_engine_new(&(tb_engine_options){ .no_store = true,
                                                          .threads = threads,
                                                          .runs_at_once = k ? runs : 1 },
                                    &err);
        if (!w[k].engine)
            bench_die(&err);
        for (int i = 0; i < runs; i++)
            w[k].documents[i] = document(size, frames, i);
        run_all(&w[k]);
    }
    for (int i = 0; i < BENCH_ROUNDS; i++)
        for (int k = 0; k < 2; k++) {
            const bench_timing t = bench_calls(1, run_all, &w[k]);
            core[k][i] = t.core;
            wall[k][i] = t.wall;
        }
    printf(
        "%d runs of %s, %d frames, %d threads: one by one %.2f s (CPU %.2f), side by side %.2f s "
        "(CPU %.2f), gain %.2f (CPU %.2f)\n",
        runs, size, frames, threads, bench_median(wall[0]), bench_median(core[0]),
        bench_median(wall[1]), bench_median(core[1]), bench_median(wall[0]) / bench_median(wall[1]),
        bench_median(core[0]) / bench_median(core[1]));
    for (int k = 0; k < 2; k++) {
        tb_engine_free(&w[k].engine);
        for (int i = 0; i < runs; i++)
            json_decref(w[k].documents[i]);
    }
    return 0;
}
