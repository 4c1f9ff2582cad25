/* bench_compute.c - GFLOP/s of the operations beside OpenBLAS alone, in one process; see bench.h.
 *
 * usage: bench_compute [threads]   (1 by default; TUBELET_CPU=plain|avx2|avx512 forces a kernel
 * set)
 */
#include "bench.h"
#include "compute/tensor.h"

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
        bench_die(&err);
    tb_rng_normal(tb_tensor_f32_mut(w), out * in, 2, 0);
    for (int64_t i = 0; i < out * in; i++)
        tb_tensor_f32_mut(w)[i] /= sqrtf((float)in);
    tb_linear *l = tb_linear_new(bench.c, w, b, &err);
    if (!l)
        bench_die(&err);
    tb_tensor_unref(&w);
    tb_tensor_unref(&b);
    return l;
}

static void run_linear(void *ctx)
{
    const linear_run *r = ctx;
    tb_linear_run(bench.c, r->l, r->x, r->rows, tb_linear_in(r->l), r->y, tb_linear_out(r->l),
                  NULL);
}

static void bench_linear(int64_t m, int64_t n, int64_t k)
{
    linear_run r = { make_linear(n, k), bench_numbers(m * k), bench_numbers(m * n), m };
    char name[80];
    snprintf(name, sizeof name, "linear M %lld N %lld K %lld", (long long)m, (long long)n,
             (long long)k);
    bench_report(name, run_linear, &r);
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
    tb_attention_run(bench.c, &r->a, r->qkv, r->qkv + width, r->qkv + 2 * width, r->out);
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
                        .qkv = bench_numbers(3 * n * width),
                        .out = bench_numbers(n * width) };
    char name[80];
    snprintf(name, sizeof name, "attention %lld x %lld, %lld tokens", (long long)heads,
             (long long)d, (long long)n);
    bench_report(name, run_attention, &r);
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
    tb_layernorm_modulate(bench.c, m->x, n, w, 1e-6f, m->mod, m->mod, 0, m->z);
    tb_linear_run(bench.c, m->qkv, m->z, n, w, m->wide, 3 * w, NULL);
    for (int i = 0; i < 2; i++) {
        tb_rmsnorm(bench.c, m->wide + i * w, n, w, 3 * w, 1e-6f, m->ones, m->wide + i * w, 3 * w);
        tb_rope(bench.c, m->wide + i * w, n, 3 * w, m->heads, d, m->rope);
    }
    tb_attention_run(bench.c, &a, m->wide, m->wide + w, m->wide + 2 * w, m->out);
    tb_linear_run(bench.c, m->o, m->out, n, w, m->x, w, &gated);

    tb_layernorm(bench.c, m->x, n, w, 1e-6f, m->ones, m->mod, m->z);
    tb_linear_run(bench.c, m->cross_q, m->z, n, w, m->wide, w, NULL);
    tb_rmsnorm(bench.c, m->wide, n, w, w, 1e-6f, m->ones, m->wide, w);
    a.nk = m->text;
    a.ldq = w;
    a.ldk = a.ldv = 2 * w;
    tb_attention_run(bench.c, &a, m->wide, m->cross_kv, m->cross_kv + w, m->out);
    tb_linear_run(bench.c, m->cross_o, m->out, n, w, m->x, w, &add);

    tb_layernorm_modulate(bench.c, m->x, n, w, 1e-6f, m->mod, m->mod, 0, m->z);
    tb_linear_run(bench.c, m->up, m->z, n, w, m->wide, m->ffn, &gelu);
    tb_linear_run(bench.c, m->down, m->wide, n, m->ffn, m->x, w, &gated);
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
              .x = bench_numbers(tokens * dim),
              .z = bench_numbers(tokens * dim),
              .wide = bench_numbers(tokens * (3 * dim > ffn ? 3 * dim : ffn)),
              .ones = bench_numbers(dim),
              .mod = bench_numbers(dim),
              .rope = bench_numbers(tokens * dim / heads),
              .cross_kv = bench_numbers(2 * text * dim),
              .out = bench_numbers(tokens * dim) };
    for (int64_t i = 0; i < dim; i++) {
        m.ones[i] = 1;
        m.mod[i] *= 0.01f;
    }
    bench_report(name, run_dit_block, &m);
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
        tb_channel_norm(bench.c, r->x, r->a.t * r->a.h * r->a.w, tb_conv_in(r->v), r->gamma, true,
                        r->y);
    tb_conv_run(bench.c, r->v, &r->a, r->norm ? r->y : r->x, r->norm ? r->x : r->y);
}

/* 3x3x3 (kt = 3) or 3x3 with upsampling (kt = 1); with `norm`, in = out and each call is a norm, a
 * SiLU and the convolution, as in a residual block. */
static void bench_conv(int64_t in, int64_t out, int64_t kt, int64_t t, int64_t size, bool norm)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *w = tb_tensor_new_zero(TB_F32, &TB_SHAPE(out, in, kt, 3, 3), &err);
    if (!w)
        bench_die(&err);
    tb_rng_normal(tb_tensor_f32_mut(w), tb_tensor_count(w), 3, 0);
    const int64_t up = kt == 1 ? 2 : 1, most = in > out ? in : out;
    conv_run r = {
        .v = tb_conv_new(bench.c, w, NULL, &err),
        .norm = norm,
        .x = bench_numbers(t * size * size * up * up * most),
        .y = bench_numbers(t * size * size * up * up * most),
        .gamma = bench_numbers(in),
        .a = { .t = t, .h = size, .w = size, .pad_before = 1, .pad_after = 1, .upsample2 = up == 2 }
    };
    if (!r.v)
        bench_die(&err);
    float *past = bench_numbers(2 * size * size * in);
    r.a.past = kt > 1 ? past : NULL;
    char name[80];
    snprintf(name, sizeof name, "%sconv %lldx3x3 %lld to %lld, %lld x %lld^2%s",
             norm ? "norm + " : "", (long long)kt, (long long)in, (long long)out, (long long)t,
             (long long)size, up == 2 ? " up" : "");
    bench_report(name, run_conv, &r);
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
        tb_parallel(bench.c, 16, nothing, NULL);
}

static void run_gelu(void *ctx)
{
    float *x = ctx;
    tb_activate(bench.c, TB_ACT_GELU_TANH, x, 1 << 16, x + (1 << 16));
}

int main(int argc, char **argv)
{
    bench_start(argc, argv);
    printf("tb_parallel of 16 empty pieces: %.2f us\n",
           bench_best(bench.threads, run_parallel, NULL).wall * 1e3);
    float *x = bench_numbers(2 << 16);
    printf("gelu_tanh: %.2f ns a number\n",
           bench_best(bench.threads, run_gelu, x).wall * 1e9 / (1 << 16));
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
    tb_compute_free(&bench.c);
    return 0;
}
