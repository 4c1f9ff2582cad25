/* bench.h - what the benchmarks of compute/ share: times, and the references beside them.
 *
 * Every figure is a median of five rounds in which ours and the references take turns. `core` is
 * the CPU time of the whole process, which other programs disturb little: with one thread it gives
 * GFLOP per CPU-second, with more it also counts what waiting threads burn. `wall` means something
 * on an idle machine only. OpenBLAS runs on one thread with the core type that cpuid asks for,
 * whatever the environment says. Ratios are reference time over ours: above 1 is faster. Only
 * products count as operations: norms, softmax and gathering are time, not work.
 *
 * torch is asked when the item has a name in reference_torch.py and a Python has it:
 * TUBELET_TORCH_PYTHON, else /usr/bin/python3. It runs on one thread and answers with its own CPU
 * time.
 */
#pragma once

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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

enum { BENCH_PRODUCTS = 256, BENCH_ROUNDS = 5 };

static struct {
    tb_compute *c;
    const tbi_blas *blas;
    int threads;
    const char *only;                       /* names that hold this, NULL: all */
    bench_product products[BENCH_PRODUCTS]; /* of the last run that was asked for them */
    int count;
} bench;

static inline void bench_die(const tb_err *err)
{
    fprintf(stderr, "bench: %s\n", err->message);
    exit(1);
}

/* Threads from the first argument, 1 without; the second names what to run, all without. A core
 * type in the environment may be a wrong one: cpuid decides. */
static inline void bench_start(int argc, char **argv)
{
    tb_err err = TB_ERR_INIT;
    unsetenv("OPENBLAS_CORETYPE");
    unsetenv("OPENBLAS_L2_SIZE");
    bench.threads = argc > 1 ? atoi(argv[1]) : 1;
    bench.only = argc > 2 ? argv[2] : NULL;
    bench.c = tb_compute_new(bench.threads, &err);
    bench.blas = bench.c ? tbi_blas_open(&err) : NULL;
    if (!bench.blas)
        bench_die(&err);
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("class %s, %d threads; OpenBLAS core %s, %s\n", tb_compute_class(), bench.threads,
           bench.blas->core, bench.blas->config);
    if (strcmp(bench.blas->core, "Prescott") == 0)
        exit(1);
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

static inline bench_timing bench_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (bench_timing){ (double)t.tv_sec + (double)t.tv_nsec * 1e-9, tb_clock_seconds() };
}

static inline bench_timing bench_calls(int calls, void (*run)(void *ctx), void *ctx)
{
    const bench_timing from = bench_now();
    for (int i = 0; i < calls; i++)
        run(ctx);
    const bench_timing to = bench_now();
    return (bench_timing){ (to.core - from.core) / calls, (to.wall - from.wall) / calls };
}

/* So many calls make a round of about 20 ms; the first call is not counted. */
static inline int bench_warm(void (*run)(void *ctx), void *ctx)
{
    run(ctx);
    const double once = bench_calls(1, run, ctx).wall;
    return once < 20e-3 ? (int)(20e-3 / once) + 1 : 1;
}

static inline int bench_order(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static inline double bench_median(const double *values)
{
    double v[BENCH_ROUNDS];
    memcpy(v, values, sizeof v);
    qsort(v, BENCH_ROUNDS, sizeof *v, bench_order);
    return v[BENCH_ROUNDS / 2];
}

/* The median time of a call, alone. */
static inline bench_timing bench_alone(void (*run)(void *ctx), void *ctx)
{
    double core[BENCH_ROUNDS], wall[BENCH_ROUNDS];
    const int calls = bench_warm(run, ctx);
    for (int i = 0; i < BENCH_ROUNDS; i++) {
        const bench_timing t = bench_calls(calls, run, ctx);
        core[i] = t.core;
        wall[i] = t.wall;
    }
    return (bench_timing){ bench_median(core), bench_median(wall) };
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

/* All products of an item on OpenBLAS, each as often as it occurs. */
typedef struct bench_operands {
    float *a, *b, *c;
} bench_operands;

static inline bench_operands bench_operands_new(void)
{
    int64_t a = 1, b = 1, c = 1;
    for (int i = 0; i < bench.count; i++) {
        const bench_product *p = &bench.products[i];
        a = p->m * p->k > a ? p->m * p->k : a;
        b = p->n * p->k > b ? p->n * p->k : b;
        c = p->m * p->n > c ? p->m * p->n : c;
    }
    return (bench_operands){ bench_numbers(a), bench_numbers(b), bench_numbers(c) };
}

static inline void bench_sgemm(void *ctx)
{
    const bench_operands *o = ctx;
    for (int i = 0; i < bench.count; i++) {
        const bench_product *p = &bench.products[i];
        for (int64_t n = 0; n < p->times; n++)
            bench.blas->sgemm(TBI_BLAS_ROW_MAJOR, TBI_BLAS_NO_TRANS, TBI_BLAS_TRANS, (int)p->m,
                              (int)p->n, (int)p->k, 1, o->a, (int)p->k, o->b, (int)p->k, 0, o->c,
                              (int)p->n);
    }
}

/* ------------------------------------------------------------------------------------- torch */

/* CPU seconds of one call of the item in torch; 0 when it cannot be asked. */
static inline double bench_torch(const char *item)
{
    static FILE *to, *from;
    static bool tried;
    char line[256];
    if (!tried) {
        const char *python = getenv("TUBELET_TORCH_PYTHON");
        int in[2], out[2];
        tried = true;
        if (pipe(in) || pipe(out))
            return 0;
        if (fork() == 0) {
            dup2(in[0], 0);
            dup2(out[1], 1);
            close(in[1]);
            close(out[0]);
            setenv("OPENBLAS_CORETYPE", bench.blas->core, 1);
            python = python && *python ? python : "/usr/bin/python3";
            execl(python, python, "tests/bench/reference_torch.py", (char *)NULL);
            _exit(1);
        }
        close(in[0]);
        close(out[1]);
        signal(SIGPIPE, SIG_IGN);
        to = fdopen(in[1], "w");
        from = fdopen(out[0], "r");
        printf("torch: %s", from && fgets(line, sizeof line, from) ? line : "not there\n");
    }
    if (!to || !from || fprintf(to, "%s\n", item) < 0 || fflush(to) != 0 ||
        !fgets(line, sizeof line, from))
        return 0;
    return atof(line);
}

/* ------------------------------------------------------------------------------------ a report */

/* One line: run's time, its speed, and those of OpenBLAS at the products it consists of and of
 * torch at `item` (NULL: not asked). */
static inline void bench_report(const char *name, void (*run)(void *ctx), void *ctx,
                                const char *item)
{
    double core[BENCH_ROUNDS], wall[BENCH_ROUNDS], blas[BENCH_ROUNDS], torch[BENCH_ROUNDS];
    if (bench.only && !strstr(name, bench.only))
        return;
    bench.count = 0;
    bench.c->product = bench_note;
    run(ctx);
    bench.c->product = NULL;
    double flop = 0;
    for (int i = 0; i < bench.count; i++)
        flop += 2.0 * (double)bench.products[i].m * (double)bench.products[i].n *
                (double)bench.products[i].k * (double)bench.products[i].times;
    bench_operands o = bench_operands_new();
    const int calls = bench_warm(run, ctx), blas_calls = bench_warm(bench_sgemm, &o);
    for (int i = 0; i < BENCH_ROUNDS; i++) {
        const bench_timing t = bench_calls(calls, run, ctx);
        core[i] = t.core;
        wall[i] = t.wall;
        blas[i] = bench_calls(blas_calls, bench_sgemm, &o).core;
        torch[i] = item ? bench_torch(item) : 0;
    }
    free(o.a);
    free(o.b);
    free(o.c);
    const double ours = bench_median(core), theirs = bench_median(blas);
    printf("%-46s %9.2f ms %9.2f CPU ms %7.1f GFLOP/s | OpenBLAS %6.1f ratio %5.2f", name,
           bench_median(wall) * 1e3, ours * 1e3, flop / ours / 1e9, flop / theirs / 1e9,
           theirs / ours);
    if (torch[0] > 0)
        printf(" | torch %9.2f ms, ours/torch %5.2f", bench_median(torch) * 1e3,
               ours / bench_median(torch));
    putchar('\n');
}

/* ------------------------------------------------------------------------------------- layers */

/* A linear layer of random weights of that dtype (f32, f16, bf16), or in int8. */
typedef enum bench_kind { BENCH_F32, BENCH_F16, BENCH_BF16, BENCH_INT8 } bench_kind;

static const char *const bench_kind_name[] = { "f32", "f16", "bf16", "int8" };

static inline tb_tensor *bench_weight(bench_kind kind, int64_t out, int64_t in)
{
    static const tb_dtype dtype[] = { TB_F32, TB_F16, TB_BF16, TB_F32 };
    tb_err err = TB_ERR_INIT;
    tb_tensor *w = tb_tensor_new(dtype[kind], &TB_SHAPE(out, in), &err);
    if (!w)
        bench_die(&err);
    void *data = tb_tensor_data_mut(w);
    if (dtype[kind] == TB_F32) {
        tb_rng_normal(data, out * in, 2, 0);
        for (int64_t i = 0; i < out * in; i++)
            ((float *)data)[i] /= sqrtf((float)in);
        return w;
    }
    /* Small numbers of either sign: exponents of 2^-6 to 2^-5, any mantissa. */
    const uint16_t one = kind == BENCH_F16 ? 9 << 10 : 121 << 7,
                   mantissa = kind == BENCH_F16 ? 0x3ff : 0x7f;
    uint32_t seed = 1;
    for (int64_t i = 0; i < out * in; i++) {
        seed = seed * 1664525u + 1013904223u;
        ((uint16_t *)data)[i] = (uint16_t)((seed >> 31 << 15) | one | (seed >> 8 & mantissa));
    }
    return w;
}

static inline tb_linear *bench_layer(bench_kind kind, int64_t out, int64_t in)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *w = bench_weight(kind, out, in);
    tb_tensor *b = tb_tensor_new_zero(TB_F32, &TB_SHAPE(out), &err);
    const tb_tensor *cw = w, *cb = b;
    tb_linear *l = !b                   ? NULL
                   : kind == BENCH_INT8 ? tb_linear_join_int8(bench.c, 1, &cw, &cb, &err)
                                        : tb_linear_new(bench.c, w, b, &err);
    if (!l)
        bench_die(&err);
    tb_tensor_unref(&w);
    tb_tensor_unref(&b);
    return l;
}
