/* bench_models.c - the bundled model's transformer and VAE beside OpenBLAS alone, in one process.
 *
 * usage: bench_models [MODEL [FRAMES WIDTH HEIGHT]]   (examples/tiny 17 64 64)
 *
 * Products are counted analytically, and OpenBLAS multiplies matrices of the same sizes, each as
 * often as the model does. Everything runs on one thread and is timed by the CPU time of the
 * process, which other programs disturb little; figures are medians of five, ours and OpenBLAS's in
 * turn. `ratio` is our rate over OpenBLAS's: what norms, softmax, activations, gathering and small
 * sizes leave of it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "compute/cpu/blas.h"
#include "compute/rng.h"
#include "models/wan_dit.h"
#include "models/wan_vae_internal.h"

enum { ROUNDS = 5, PRODUCTS = 256 };

static tb_compute *comp;
static const tbi_blas *blas;

static void die(const tb_err *err)
{
    fprintf(stderr, "bench_models: %s\n", err->message);
    exit(1);
}

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static float *numbers(int64_t n)
{
    float *x = tb_mem_alloc((size_t)n * sizeof *x);
    if (!x)
        exit(1);
    tb_rng_normal(x, n, 1, 0);
    return x;
}

/* ----------------------------------------------------------------------------------- products */

typedef struct product {
    int64_t m, n, k, times;
} product;

typedef struct products {
    product p[PRODUCTS];
    int count;
    double flop;
} products;

static void count_product(products *s, int64_t m, int64_t n, int64_t k, int64_t times)
{
    s->flop += 2.0 * (double)m * (double)n * (double)k * (double)times;
    for (int i = 0; i < s->count; i++)
        if (s->p[i].m == m && s->p[i].n == n && s->p[i].k == k) {
            s->p[i].times += times;
            return;
        }
    if (s->count < PRODUCTS)
        s->p[s->count++] = (product){ m, n, k, times };
}

static double blas_once(const products *s, const float *a, const float *b, float *c)
{
    const double start = cpu_seconds();
    for (int i = 0; i < s->count; i++)
        for (int64_t t = 0; t < s->p[i].times; t++)
            blas->sgemm(TBI_BLAS_ROW_MAJOR, TBI_BLAS_NO_TRANS, TBI_BLAS_TRANS, (int)s->p[i].m,
                        (int)s->p[i].n, (int)s->p[i].k, 1, a, (int)s->p[i].k, b, (int)s->p[i].k, 0,
                        c, (int)s->p[i].n);
    return cpu_seconds() - start;
}

/* --------------------------------------------------------------------------------- measurement */

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *x)
{
    qsort(x, ROUNDS, sizeof *x, by_size);
    return x[ROUNDS / 2];
}

static void compare(const char *name, const products *s, void (*run)(void *ctx), void *ctx)
{
    int64_t a = 1, b = 1, c = 1;
    for (int i = 0; i < s->count; i++) {
        const product *p = &s->p[i];
        a = p->m * p->k > a ? p->m * p->k : a;
        b = p->n * p->k > b ? p->n * p->k : b;
        c = p->m * p->n > c ? p->m * p->n : c;
    }
    float *x = numbers(a), *w = numbers(b), *y = numbers(c);
    double ours[ROUNDS], theirs[ROUNDS];
    run(ctx);
    blas_once(s, x, w, y);
    for (int i = 0; i < ROUNDS; i++) {
        const double start = cpu_seconds();
        run(ctx);
        ours[i] = cpu_seconds() - start;
        theirs[i] = blas_once(s, x, w, y);
    }
    const double o = median(ours), t = median(theirs);
    printf("%-28s %7.2f GFLOP %8.1f ms %7.1f GFLOP/s, OpenBLAS %7.1f, ratio %5.2f\n", name,
           s->flop / 1e9, o * 1e3, s->flop / o / 1e9, s->flop / t / 1e9, t / o);
    tb_mem_free(x);
    tb_mem_free(w);
    tb_mem_free(y);
}

/* -------------------------------------------------------------------------------- transformer */

typedef struct dit_run {
    tb_wan_dit *m;
    int count;
    tb_wan_dit_input in[2];
    float *out[2];
} dit_run;

static void run_dit(void *ctx)
{
    dit_run *r = ctx;
    tb_err err = TB_ERR_INIT;
    if (tb_wan_dit_run(r->m, comp, r->count, r->in, r->out, NULL, NULL, NULL, &err) != TB_OK)
        die(&err);
}

/* Keys and values of the text are kept between steps and not counted. */
static products dit_products(const tb_wan_dit_config *k, int64_t tokens, int64_t text, int inputs)
{
    products s = { 0 };
    const int64_t d = k->dim, rows = tokens * inputs, hd = d / k->heads, l = k->layers;
    count_product(&s, rows, d, 4 * k->in_dim, 1);
    count_product(&s, 1, d, k->freq_dim, 1);
    count_product(&s, 1, d, d, 1);
    count_product(&s, 1, 6 * d, d, 1);
    count_product(&s, rows, 3 * d, d, l);
    count_product(&s, rows, d, d, 3 * l);
    count_product(&s, rows, k->ffn_dim, d, l);
    count_product(&s, rows, d, k->ffn_dim, l);
    count_product(&s, tokens, tokens, hd, l * k->heads * inputs);
    count_product(&s, tokens, hd, tokens, l * k->heads * inputs);
    count_product(&s, tokens, text, hd, l * k->heads * inputs);
    count_product(&s, tokens, hd, text, l * k->heads * inputs);
    count_product(&s, rows, 4 * k->out_dim, d, 1);
    return s;
}

static void bench_dit(tb_wan_dit *m, int64_t f, int64_t h, int64_t w)
{
    enum { TEXT = 12 };
    const tb_wan_dit_config *k = tb_wan_dit_config_of(m);
    const float t = 500;
    dit_run r = { .m = m };
    float *x = numbers(k->out_dim * f * h * w), *text = numbers(2 * TEXT * k->text_dim);
    for (int i = 0; i < 2; i++) {
        r.in[i] = (tb_wan_dit_input){ .f = f,
                                      .h = h,
                                      .w = w,
                                      .x = x,
                                      .t = &t,
                                      .t_count = 1,
                                      .text = text + i * TEXT * k->text_dim,
                                      .text_rows = TEXT };
        r.out[i] = numbers(k->out_dim * f * h * w);
    }
    for (r.count = 1; r.count <= 2; r.count++) {
        const products s = dit_products(k, f * (h / 2) * (w / 2), TEXT + 1, r.count);
        compare(r.count == 1 ? "transformer, one pass" : "transformer, both packed", &s, run_dit,
                &r);
    }
    tb_mem_free(x);
    tb_mem_free(text);
    tb_mem_free(r.out[0]);
    tb_mem_free(r.out[1]);
}

/* ---------------------------------------------------------------------------------------- VAE */

typedef struct vae_run {
    tb_wan_vae *m;
    float *latent, *pixels;
    int64_t f, h, w; /* of the latent */
} vae_run;

static tb_status drop(void *ctx, int64_t first, int64_t count, const float *pixels, tb_err *err)
{
    (void)ctx;
    (void)first;
    (void)count;
    (void)pixels;
    (void)err;
    return TB_OK;
}

static void run_decode(void *ctx)
{
    const vae_run *r = ctx;
    tb_err err = TB_ERR_INIT;
    if (tb_wan_vae_decode(r->m, comp, r->latent, r->f, r->h, r->w, drop, NULL, NULL, &err) != TB_OK)
        die(&err);
}

static void run_encode(void *ctx)
{
    const vae_run *r = ctx;
    const tb_wan_vae_config *k = &r->m->k;
    tb_err err = TB_ERR_INIT;
    if (tb_wan_vae_encode(r->m, comp, r->pixels, (r->f - 1) * k->stride_t + 1, r->h * k->stride_hw,
                          r->w * k->stride_hw, r->latent, NULL, &err) != TB_OK)
        die(&err);
}

/* Taps of a causal kernel: on the first frame alone, the earlier ones meet no frame. */
static int64_t time_taps(const tb_conv *conv, bool first)
{
    return first ? 1 : tb_conv_kt(conv);
}

static void count_op(products *s, const vae_op *op, bool first, vae_act *x)
{
    int64_t n = x->t * x->h * x->w;
    switch (op->kind) {
    case VAE_LINEAR: count_product(s, n, op->out, op->in, 1); break;
    case VAE_CONV:
        count_product(s, n, op->out, 9 * time_taps(op->conv_1, first) * op->in, 1);
        break;
    case VAE_RESIDUAL:
        count_product(s, n, op->out, 9 * time_taps(op->conv_1, first) * op->in, 1);
        count_product(s, n, op->out, 9 * time_taps(op->conv_2, first) * op->out, 1);
        if (op->linear_1)
            count_product(s, n, op->out, op->in, 1);
        break;
    case VAE_ATTENTION:
        count_product(s, n, 3 * op->in, op->in, 1);
        count_product(s, n, op->in, op->in, 1);
        count_product(s, x->h * x->w, x->h * x->w, op->in, x->t);
        count_product(s, x->h * x->w, op->in, x->h * x->w, x->t);
        break;
    case VAE_UP:
        if (op->conv_2 && !first) {
            count_product(s, n, 2 * op->in, 3 * op->in, 1);
            x->t *= 2;
        }
        x->h *= 2;
        x->w *= 2;
        n = x->t * x->h * x->w;
        count_product(s, n, op->out, 9 * op->in, 1);
        break;
    case VAE_DOWN:
        x->h /= 2;
        x->w /= 2;
        count_product(s, x->t * x->h * x->w, op->out, 9 * op->in, 1);
        if (op->conv_2 && !first) {
            x->t /= 2;
            count_product(s, x->t * x->h * x->w, op->out, 3 * op->out, 1);
        }
        break;
    case VAE_ENTER:
    case VAE_LEAVE: break;
    }
}

/* Of a video whose first chunk is one frame, and the other `rest` frames a second one. */
static products vae_products(const vae_half *half, int64_t rest, int64_t h, int64_t w)
{
    products s = { 0 };
    for (int part = 0; part < (rest ? 2 : 1); part++) {
        vae_act x = { .t = part ? rest : 1, .h = h, .w = w };
        for (int i = 0; i < half->count; i++)
            count_op(&s, &half->ops[i], part == 0, &x);
    }
    return s;
}

static void bench_vae(tb_wan_vae *m, int64_t f, int64_t h, int64_t w)
{
    const int64_t side = m->k.stride_hw, finest = side / m->k.patch, rest = (f - 1) * m->k.stride_t;
    vae_run r = {
        m, numbers(m->k.z * f * h * w), numbers((rest + 1) * h * side * w * side * 3), f, h, w
    };
    const products decode = vae_products(&m->decoder, f - 1, h, w),
                   encode = vae_products(&m->encoder, rest, h * finest, w * finest);
    compare("VAE decode", &decode, run_decode, &r);
    compare("VAE encode", &encode, run_encode, &r);
    tb_mem_free(r.latent);
    tb_mem_free(r.pixels);
}

/* --------------------------------------------------------------------------------------- main */

static tb_weights *open_part(const char *model, const char *part)
{
    tb_err err = TB_ERR_INIT;
    char *path = tb_xasprintf("%s/%s", model, part);
    tb_weights *w = tb_weights_open(path, &err);
    if (!w)
        die(&err);
    free(path);
    return w;
}

int main(int argc, char **argv)
{
    const char *model = argc > 1 ? argv[1] : "examples/tiny";
    const int64_t frames = argc > 2 ? atoll(argv[2]) : 17;
    const int64_t width = argc > 3 ? atoll(argv[3]) : 64, height = argc > 4 ? atoll(argv[4]) : 64;
    tb_err err = TB_ERR_INIT;
    comp = tb_compute_new(1, &err);
    blas = comp ? tbi_blas_open(&err) : NULL;
    if (!blas)
        die(&err);
    tb_weights *dit_weights = open_part(model, "transformer"),
               *vae_weights = open_part(model, "vae");
    tb_wan_dit *dit = tb_wan_dit_open(comp, dit_weights, &err);
    tb_wan_vae *vae = dit ? tb_wan_vae_open(comp, vae_weights, &err) : NULL;
    if (!vae)
        die(&err);
    const int64_t f = (frames - 1) / vae->k.stride_t + 1;
    const int64_t h = height / vae->k.stride_hw, w = width / vae->k.stride_hw;
    printf("%s, %lldx%lldx%lld, kernels %s, OpenBLAS core %s, one thread, medians of %d\n", model,
           (long long)frames, (long long)width, (long long)height, tb_compute_class(), blas->core,
           ROUNDS);
    bench_dit(dit, f, h, w);
    bench_vae(vae, f, h, w);
    tb_wan_dit_close(&dit);
    tb_wan_vae_close(&vae);
    tb_weights_close(&dit_weights);
    tb_weights_close(&vae_weights);
    tb_compute_free(&comp);
    return 0;
}
