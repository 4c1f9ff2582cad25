/* bench_compute.c - GFLOP/s of the operations beside OpenBLAS alone, in one process.
 *
 * usage: bench_compute [threads]   (1 by default; TUBELET_CPU=plain|avx2|avx512 forces a kernel
 * set)
 *
 * Speeds are GFLOP per second of one core, best of several rounds: with one thread by the CPU time
 * of the process, which other programs disturb little; with more by the wall clock times the
 * threads (the clock of a process lags behind its other threads), which wants an idle machine.
 * OpenBLAS always runs on one thread. `ratio` is our speed over OpenBLAS's at the same matrix
 * sizes. Only products count as operations: norms, softmax and gathering are time, not work.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "compute/compute.h"
#include "compute/cpu/blas.h"
#include "compute/rng.h"
#include "compute/tensor.h"

static tb_compute *comp;
static const tbi_blas *blas;
static int threads;

static void die(const tb_err *err)
{
    fprintf(stderr, "bench_compute: %s\n", err->message);
    exit(1);
}

static float *numbers(int64_t n)
{
    float *p = aligned_alloc(64, (size_t)(n + 64) / 16 * 64);
    if (!p)
        exit(1);
    tb_rng_normal(p, n < 4096 ? n : 4096, 1, 0);
    for (int64_t i = 4096; i < n; i++)
        p[i] = p[i - 4096];
    return p;
}

typedef struct timing {
    double core, wall; /* seconds */
} timing;

static timing now(int on_threads)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    const double cpu = (double)t.tv_sec + (double)t.tv_nsec * 1e-9, wall = tb_clock_seconds();
    return (timing){ on_threads > 1 ? wall * on_threads : cpu, wall };
}

/* The fastest calls: at least 5 rounds and 0.3 s, a round of several calls when one is short. */
static timing best(int on_threads, void (*run)(void *ctx), void *ctx)
{
    timing least = { 1e30, 1e30 };
    run(ctx);
    timing from = now(on_threads);
    run(ctx);
    const double once = now(on_threads).wall - from.wall, start = from.wall;
    const int calls = once < 1e-3 ? (int)(1e-3 / once) + 1 : 1;
    for (int round = 0; round < 5 || now(on_threads).wall - start < 0.3; round++) {
        from = now(on_threads);
        for (int i = 0; i < calls; i++)
            run(ctx);
        const timing to = now(on_threads);
        least.core = fmin(least.core, (to.core - from.core) / calls);
        least.wall = fmin(least.wall, (to.wall - from.wall) / calls);
    }
    return least;
}

/* ------------------------------------------------------------------------------- the yardstick */

typedef struct product {
    int64_t m, n, k;
    float *a, *b, *c;
} product;

static void blas_run(void *ctx)
{
    const product *p = ctx;
    blas->sgemm(TBI_BLAS_ROW_MAJOR, TBI_BLAS_NO_TRANS, TBI_BLAS_TRANS, (int)p->m, (int)p->n,
                (int)p->k, 1, p->a, (int)p->k, p->b, (int)p->k, 0, p->c, (int)p->n);
}

static double blas_seconds(int64_t m, int64_t n, int64_t k)
{
    product p = { m, n, k, numbers(m * k), numbers(n * k), numbers(m * n) };
    const double s = best(1, blas_run, &p).core;
    free(p.a);
    free(p.b);
    free(p.c);
    return s;
}

static void report(const char *name, double flop, timing ours, double theirs)
{
    printf("%-44s %9.1f us %7.1f GFLOP/s, OpenBLAS %7.1f, ratio %5.2f\n", name, ours.wall * 1e6,
           flop / ours.core / 1e9, flop / theirs / 1e9, theirs / ours.core);
}

/* ------------------------------------------------------------------------------------- linears */

typedef struct linear_run {
    tb_linear *l;
    float *x, *y;
    int64_t rows;
} linear_run;

static tb_linear *make_linear(int64_t out, int64_t in)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *w = tb_tensor_new_zero(TB_F32, &TB_SHAPE(out, in), &err),
              *b = tb_tensor_new_zero(TB_F32, &TB_SHAPE(out), &err);
    if (!w || !b)
        die(&err);
    tb_rng_normal(tb_tensor_f32_mut(w), out * in, 2, 0);
    for (int64_t i = 0; i < out * in; i++)
        tb_tensor_f32_mut(w)[i] /= sqrtf((float)in);
    tb_linear *l = tb_linear_new(comp, w, b, &err);
    if (!l)
        die(&err);
    tb_tensor_unref(&w);
    tb_tensor_unref(&b);
    return l;
}

static void run_linear(void *ctx)
{
    const linear_run *r = ctx;
    tb_linear_run(comp, r->l, r->x, r->rows, tb_linear_in(r->l), r->y, tb_linear_out(r->l), NULL);
}

static void bench_linear(int64_t m, int64_t n, int64_t k)
{
    linear_run r = { make_linear(n, k), numbers(m * k), numbers(m * n), m };
    char name[80];
    snprintf(name, sizeof name, "linear M %lld N %lld K %lld", (long long)m, (long long)n,
             (long long)k);
    report(name, 2.0 * (double)(m * n * k), best(threads, run_linear, &r), blas_seconds(m, n, k));
    tb_linear_free(&r.l);
    free(r.x);
    free(r.y);
}

/* ----------------------------------------------------------------------------------- attention */

typedef struct attention_run {
    tb_attention a;
    float *qkv, *out;
} attention_run;

static void run_attention(void *ctx)
{
    const attention_run *r = ctx;
    const int64_t width = r->a.heads * r->a.d;
    tb_attention_run(comp, &r->a, r->qkv, r->qkv + width, r->qkv + 2 * width, r->out);
}

static double attention_flop(const tb_attention *a)
{
    return 4.0 * (double)(a->nq * a->nk * a->heads * a->d);
}

/* OpenBLAS at the two products of a head, without softmax. */
static double attention_blas_seconds(const tb_attention *a)
{
    return (double)a->heads * (blas_seconds(a->nq, a->nk, a->d) + blas_seconds(a->nq, a->d, a->nk));
}

static void bench_attention(int64_t n, int64_t heads, int64_t d)
{
    const int64_t width = heads * d;
    attention_run r = { .a = { .nq = n,
                               .nk = n,
                               .heads = heads,
                               .d = d,
                               .ldq = 3 * width,
                               .ldk = 3 * width,
                               .ldv = 3 * width,
                               .ldo = width,
                               .scale = 1 / sqrtf((float)d) },
                        .qkv = numbers(3 * n * width),
                        .out = numbers(n * width) };
    char name[80];
    snprintf(name, sizeof name, "attention %lld x %lld, %lld tokens", (long long)heads,
             (long long)d, (long long)n);
    report(name, attention_flop(&r.a), best(threads, run_attention, &r),
           attention_blas_seconds(&r.a));
    free(r.qkv);
    free(r.out);
}

/* ---------------------------------------------------------------- a block of the bundled model */

typedef struct dit {
    int64_t tokens, text, dim, heads, ffn;
    tb_linear *qkv, *o, *cross_q, *cross_o, *up, *down;
    float *x, *z, *wide, *ones, *mod, *rope, *cross_kv, *out;
} dit;

/* The stages of models/wan_dit.c, on random numbers. */
static void run_dit_block(void *ctx)
{
    const dit *m = ctx;
    const int64_t n = m->tokens, w = m->dim, d = w / m->heads;
    const tb_epilogue gated = { .gate = m->mod, .residual = m->x }, add = { .residual = m->x },
                      gelu = { .act = TB_ACT_GELU_TANH };
    tb_attention a = { .nq = n,
                       .nk = n,
                       .heads = m->heads,
                       .d = d,
                       .ldq = 3 * w,
                       .ldk = 3 * w,
                       .ldv = 3 * w,
                       .ldo = w,
                       .scale = 1 / sqrtf((float)d) };
    tb_layernorm_modulate(comp, m->x, n, w, 1e-6f, m->mod, m->mod, 0, m->z);
    tb_linear_run(comp, m->qkv, m->z, n, w, m->wide, 3 * w, NULL);
    for (int i = 0; i < 2; i++) {
        tb_rmsnorm(comp, m->wide + i * w, n, w, 3 * w, 1e-6f, m->ones, m->wide + i * w, 3 * w);
        tb_rope(comp, m->wide + i * w, n, 3 * w, m->heads, d, m->rope);
    }
    tb_attention_run(comp, &a, m->wide, m->wide + w, m->wide + 2 * w, m->out);
    tb_linear_run(comp, m->o, m->out, n, w, m->x, w, &gated);

    tb_layernorm(comp, m->x, n, w, 1e-6f, m->ones, m->mod, m->z);
    tb_linear_run(comp, m->cross_q, m->z, n, w, m->wide, w, NULL);
    tb_rmsnorm(comp, m->wide, n, w, w, 1e-6f, m->ones, m->wide, w);
    a.nk = m->text;
    a.ldq = w;
    a.ldk = a.ldv = 2 * w;
    tb_attention_run(comp, &a, m->wide, m->cross_kv, m->cross_kv + w, m->out);
    tb_linear_run(comp, m->cross_o, m->out, n, w, m->x, w, &add);

    tb_layernorm_modulate(comp, m->x, n, w, 1e-6f, m->mod, m->mod, 0, m->z);
    tb_linear_run(comp, m->up, m->z, n, w, m->wide, m->ffn, &gelu);
    tb_linear_run(comp, m->down, m->wide, n, m->ffn, m->x, w, &gated);
}

/* Operations and OpenBLAS's seconds of a block's products. */
static double dit_products(const dit *m, double *theirs)
{
    const int64_t n = m->tokens, w = m->dim, d = w / m->heads;
    const int64_t p[][4] = { { n, 3 * w, w, 1 },          { n, w, w, 3 },
                             { n, m->ffn, w, 1 },         { n, w, m->ffn, 1 },
                             { n, n, d, m->heads },       { n, d, n, m->heads },
                             { n, m->text, d, m->heads }, { n, d, m->text, m->heads } };
    double flop = 0;
    *theirs = 0;
    for (size_t i = 0; i < sizeof p / sizeof *p; i++) {
        flop += 2.0 * (double)(p[i][0] * p[i][1] * p[i][2] * p[i][3]);
        *theirs += (double)p[i][3] * blas_seconds(p[i][0], p[i][1], p[i][2]);
    }
    return flop;
}

static void bench_dit_block(const char *name, int64_t tokens, int64_t text, int64_t dim,
                            int64_t heads, int64_t ffn)
{
    dit m = { .tokens = tokens,
              .text = text,
              .dim = dim,
              .heads = heads,
              .ffn = ffn,
              .qkv = make_linear(3 * dim, dim),
              .o = make_linear(dim, dim),
              .cross_q = make_linear(dim, dim),
              .cross_o = make_linear(dim, dim),
              .up = make_linear(ffn, dim),
              .down = make_linear(dim, ffn),
              .x = numbers(tokens * dim),
              .z = numbers(tokens * dim),
              .wide = numbers(tokens * (3 * dim > ffn ? 3 * dim : ffn)),
              .ones = numbers(dim),
              .mod = numbers(dim),
              .rope = numbers(tokens * dim / heads),
              .cross_kv = numbers(2 * text * dim),
              .out = numbers(tokens * dim) };
    for (int64_t i = 0; i < dim; i++) {
        m.ones[i] = 1;
        m.mod[i] *= 0.01f;
    }
    double theirs;
    const double flop = dit_products(&m, &theirs);
    report(name, flop, best(threads, run_dit_block, &m), theirs);
    tb_linear_free(&m.qkv);
    tb_linear_free(&m.o);
    tb_linear_free(&m.cross_q);
    tb_linear_free(&m.cross_o);
    tb_linear_free(&m.up);
    tb_linear_free(&m.down);
    float *all[] = { m.x, m.z, m.wide, m.ones, m.mod, m.rope, m.cross_kv, m.out };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

/* --------------------------------------------------------------------------------- convolution */

typedef struct conv_run {
    tb_conv *v;
    tb_conv_args a;
    float *x, *y, *gamma;
    bool norm;
} conv_run;

static void run_conv(void *ctx)
{
    const conv_run *r = ctx;
    if (r->norm)
        tb_channel_norm(comp, r->x, r->a.t * r->a.h * r->a.w, tb_conv_in(r->v), r->gamma, true,
                        r->y);
    tb_conv_run(comp, r->v, &r->a, r->norm ? r->y : r->x, r->norm ? r->x : r->y);
}

/* 3x3x3 (kt = 3) or 3x3 with upsampling (kt = 1); with `norm`, in = out and each call is a norm, a
 * SiLU and the convolution, as in a residual block. */
static void bench_conv(int64_t in, int64_t out, int64_t kt, int64_t t, int64_t size, bool norm)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *w = tb_tensor_new_zero(TB_F32, &TB_SHAPE(out, in, kt, 3, 3), &err);
    if (!w)
        die(&err);
    tb_rng_normal(tb_tensor_f32_mut(w), tb_tensor_count(w), 3, 0);
    const int64_t up = kt == 1 ? 2 : 1, most = in > out ? in : out;
    conv_run r = {
        .v = tb_conv_new(comp, w, NULL, &err),
        .norm = norm,
        .x = numbers(t * size * size * up * up * most),
        .y = numbers(t * size * size * up * up * most),
        .gamma = numbers(in),
        .a = { .t = t, .h = size, .w = size, .pad_before = 1, .pad_after = 1, .upsample2 = up == 2 }
    };
    if (!r.v)
        die(&err);
    float *past = numbers(2 * size * size * in);
    r.a.past = kt > 1 ? past : NULL;
    char name[80];
    snprintf(name, sizeof name, "%sconv %lldx3x3 %lld to %lld, %lld x %lld^2%s",
             norm ? "norm + " : "", (long long)kt, (long long)in, (long long)out, (long long)t,
             (long long)size, up == 2 ? " up" : "");
    const int64_t positions = t * size * size * up * up;
    const double flop = 2.0 * (double)(positions * in * out * kt * 9);
    report(name, flop, best(threads, run_conv, &r), blas_seconds(positions, out, in * kt * 9));
    tb_conv_free(&r.v);
    tb_tensor_unref(&w);
    free(past);
    free(r.x);
    free(r.y);
    free(r.gamma);
}

/* -------------------------------------------------------------------------------------- others */

static void nothing(void *ctx, int64_t i, int worker)
{
    (void)ctx;
    (void)i;
    (void)worker;
}

static void run_parallel(void *ctx)
{
    (void)ctx;
    for (int i = 0; i < 1000; i++)
        tb_parallel(comp, 16, nothing, NULL);
}

static void run_gelu(void *ctx)
{
    float *x = ctx;
    tb_activate(comp, TB_ACT_GELU_TANH, x, 1 << 16, x + (1 << 16));
}

int main(int argc, char **argv)
{
    tb_err err = TB_ERR_INIT;
    threads = argc > 1 ? atoi(argv[1]) : 1;
    comp = tb_compute_new(threads, &err);
    blas = comp ? tbi_blas_open(&err) : NULL;
    if (!blas)
        die(&err);
    printf("class %s, %d threads; OpenBLAS core %s, %s\n", tb_compute_class(), threads, blas->core,
           blas->config);
    printf("tb_parallel of 16 empty pieces: %.2f us\n",
           best(threads, run_parallel, NULL).wall * 1e3);
    float *x = numbers(2 << 16);
    printf("gelu_tanh: %.2f ns a number\n", best(threads, run_gelu, x).wall * 1e9 / (1 << 16));
    free(x);

    bench_linear(80, 192, 192);
    bench_linear(80, 576, 192);
    bench_linear(80, 768, 192);
    bench_linear(80, 192, 768);
    bench_attention(80, 6, 32);
    bench_dit_block("bundled DiT block (80 tokens, 192, ffn 768)", 80, 33, 192, 6, 768);

    bench_conv(64, 64, 3, 1, 8, true);
    bench_conv(64, 64, 3, 2, 16, true);
    bench_conv(64, 64, 1, 4, 16, false);
    bench_conv(64, 64, 3, 4, 32, true);
    bench_conv(32, 32, 3, 4, 32, true);
    bench_conv(32, 12, 3, 4, 32, false);
    bench_conv(48, 48, 3, 4, 64, true);

    bench_linear(1280, 1536, 1536);
    bench_linear(1280, 8960, 1536);
    bench_linear(1280, 1536, 8960);
    bench_attention(1280, 12, 128);
    bench_dit_block("Wan-1.3B block (1280 tokens, 1536, ffn 8960)", 1280, 512, 1536, 12, 8960);
    bench_conv(384, 384, 3, 4, 32, false);
    bench_conv(192, 192, 3, 2, 64, false);
    bench_conv(96, 96, 3, 2, 128, false);
    tb_compute_free(&comp);
    return 0;
}
