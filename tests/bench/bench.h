/* bench.h - what the benchmarks share: times, and OpenBLAS at the same products as the yardstick.
 *
 * Speeds are GFLOP per second of one core, best of several rounds: with one thread by the CPU time
 * of the process, which other programs disturb little; with more by the wall clock times the
 * threads (the clock of a process lags behind its other threads), which wants an idle machine.
 * OpenBLAS always runs on one thread. `ratio` is our speed over OpenBLAS's at the same matrix
 * sizes. Only products count as operations: norms, softmax and gathering are time, not work.
 */
#pragma once

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "compute/compute_internal.h"
#include "compute/cpu/blas.h"
#include "compute/rng.h"

typedef struct bench_timing {
    double core, wall; /* seconds */
} bench_timing;

typedef struct bench_product {
    int64_t m, n, k, times;
} bench_product;

enum { BENCH_PRODUCTS = 256 };

static struct {
    tb_compute *c;
    const tbi_blas *blas;
    int threads;
    bench_product products[BENCH_PRODUCTS]; /* of the last run that was asked for them */
    int count;
} bench;

static inline void bench_die(const tb_err *err)
{
    fprintf(stderr, "bench: %s\n", err->message);
    exit(1);
}

/* Threads from the first argument, 1 without. */
static inline void bench_start(int argc, char **argv)
{
    tb_err err = TB_ERR_INIT;
    bench.threads = argc > 1 ? atoi(argv[1]) : 1;
    bench.c = tb_compute_new(bench.threads, &err);
    bench.blas = bench.c ? tbi_blas_open(&err) : NULL;
    if (!bench.blas)
        bench_die(&err);
    printf("class %s, %d threads; OpenBLAS core %s, %s\n", tb_compute_class(), bench.threads,
           bench.blas->core, bench.blas->config);
}

/* n numbers like a normal's; freed by free(). */
static inline float *bench_numbers(int64_t n)
{
    float *p = aligned_alloc(64, (size_t)(n + 64) / 16 * 64);
    if (!p)
        exit(1);
    tb_rng_normal(p, n < 4096 ? n : 4096, 1, 0);
    for (int64_t i = 4096; i < n; i++)
        p[i] = p[i - 4096];
    return p;
}

static inline bench_timing bench_now(int threads)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    const double cpu = (double)t.tv_sec + (double)t.tv_nsec * 1e-9, wall = tb_clock_seconds();
    return (bench_timing){ threads > 1 ? wall * threads : cpu, wall };
}

/* The fastest calls: at least 5 rounds and 0.3 s, a round of several calls when one is short. */
static inline bench_timing bench_best(int threads, void (*run)(void *ctx), void *ctx)
{
    bench_timing least = { 1e30, 1e30 };
    run(ctx);
    bench_timing from = bench_now(threads);
    run(ctx);
    const double once = bench_now(threads).wall - from.wall, start = from.wall;
    const int calls = once < 1e-3 ? (int)(1e-3 / once) + 1 : 1;
    for (int round = 0; round < 5 || bench_now(threads).wall - start < 0.3; round++) {
        from = bench_now(threads);
        for (int i = 0; i < calls; i++)
            run(ctx);
        const bench_timing to = bench_now(threads);
        least.core = fmin(least.core, (to.core - from.core) / calls);
        least.wall = fmin(least.wall, (to.wall - from.wall) / calls);
    }
    return least;
}

static inline void bench_note(void *ctx, int64_t m, int64_t n, int64_t k, int64_t times)
{
    (void)ctx;
    for (int i = 0; i < bench.count; i++) {
        bench_product *p = &bench.products[i];
        if (p->m == m && p->n == n && p->k == k) {
            p->times += times;
            return;
        }
    }
    if (bench.count == BENCH_PRODUCTS)
        exit(1);
    bench.products[bench.count++] = (bench_product){ m, n, k, times };
}

typedef struct bench_operands {
    const bench_product *p;
    float *a, *b, *c;
} bench_operands;

static inline void bench_sgemm(void *ctx)
{
    const bench_operands *o = ctx;
    const bench_product *p = o->p;
    bench.blas->sgemm(TBI_BLAS_ROW_MAJOR, TBI_BLAS_NO_TRANS, TBI_BLAS_TRANS, (int)p->m, (int)p->n,
                      (int)p->k, 1, o->a, (int)p->k, o->b, (int)p->k, 0, o->c, (int)p->n);
}

static inline double bench_sgemm_seconds(const bench_product *p)
{
    bench_operands o = { p, bench_numbers(p->m * p->k), bench_numbers(p->n * p->k),
                         bench_numbers(p->m * p->n) };
    const double s = bench_best(1, bench_sgemm, &o).core;
    free(o.a);
    free(o.b);
    free(o.c);
    return s;
}

/* One line: run's time, its speed, and that of OpenBLAS at the products it consists of. */
static inline void bench_report(const char *name, void (*run)(void *ctx), void *ctx)
{
    bench.count = 0;
    bench.c->product = bench_note;
    run(ctx);
    bench.c->product = NULL;
    double flop = 0, theirs = 0;
    for (int i = 0; i < bench.count; i++) {
        const bench_product *p = &bench.products[i];
        flop += 2.0 * (double)(p->m * p->n * p->k) * (double)p->times;
        theirs += bench_sgemm_seconds(p) * (double)p->times;
    }
    const bench_timing ours = bench_best(bench.threads, run, ctx);
    printf("%-44s %9.1f us %7.1f GFLOP/s, OpenBLAS %7.1f, ratio %5.2f\n", name, ours.wall * 1e6,
           flop / ours.core / 1e9, flop / theirs / 1e9, theirs / ours.core);
}
