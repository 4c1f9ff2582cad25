/* bench_model.c - a model's whole passes beside OpenBLAS alone at the same products, in one
 * process; see bench.h.
 *
 * usage: bench_model [threads [folder [frames [size]]]]   (1, examples/tiny, 17, 64)
 *
 * The bundled model at 17x64x64 is what the project promises about: the transformer at 0.6 or more,
 * the decoder at 0.5 or more.
 */
#include "bench.h"
#include "models/wan_dit.h"
#include "models/wan_vae.h"

static tb_weights *open_part(const char *folder, const char *part)
{
    tb_err err = TB_ERR_INIT;
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, part);
    tb_weights *w = tb_weights_open(path, &err);
    if (!w)
        bench_die(&err);
    return w;
}

static void check(tb_status st, const tb_err *err)
{
    if (st != TB_OK)
        bench_die(err);
}

typedef struct dit_pass {
    tb_wan_dit *m;
    tb_wan_dit_input in[2];
    int count;
    float *out[2];
} dit_pass;

static void run_dit(void *ctx)
{
    tb_err err = TB_ERR_INIT;
    const dit_pass *p = ctx;
    check(tb_wan_dit_run(p->m, bench.c, p->count, p->in, p->out, NULL, NULL, NULL, &err), &err);
}

/* A prompt of twelve tokens, alone and with an empty one as under guidance. */
static void bench_dit(const char *folder, int64_t f, int64_t side)
{
    tb_err err = TB_ERR_INIT;
    tb_weights *w = open_part(folder, "transformer");
    dit_pass p = { .m = tb_wan_dit_open(bench.c, w, &err) };
    if (!p.m)
        bench_die(&err);
    const tb_wan_dit_config *k = tb_wan_dit_config_of(p.m);
    const int64_t n = k->out_dim * f * side * side;
    float *x = bench_numbers(n), *text = bench_numbers(12 * k->text_dim);
    static const float t = 500;
    for (int i = 0; i < 2; i++) {
        p.in[i] = (tb_wan_dit_input){ .f = f,
                                      .h = side,
                                      .w = side,
                                      .x = x,
                                      .t = &t,
                                      .t_count = 1,
                                      .text = text,
                                      .text_rows = i == 0 ? 12 : 1 };
        p.out[i] = bench_numbers(n);
    }
    char name[64];
    for (p.count = 1; p.count <= 2; p.count++) {
        snprintf(name, sizeof name, "transformer, %d x %lld tokens", p.count,
                 (long long)(f * side * side / 4));
        run_dit(&p);
        bench_report(name, run_dit, &p);
    }
    tb_wan_dit_close(&p.m);
    tb_weights_close(&w);
    free(x);
    free(text);
    free(p.out[0]);
    free(p.out[1]);
}

typedef struct vae_pass {
    tb_wan_vae *m;
    float *latent, *pixels;
    int64_t f, side, frames, size;
} vae_pass;

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
    tb_err err = TB_ERR_INIT;
    const vae_pass *p = ctx;
    check(
        tb_wan_vae_decode(p->m, bench.c, p->latent, p->f, p->side, p->side, drop, NULL, NULL, &err),
        &err);
}

static void run_encode(void *ctx)
{
    tb_err err = TB_ERR_INIT;
    const vae_pass *p = ctx;
    check(tb_wan_vae_encode(p->m, bench.c, p->pixels, p->frames, p->size, p->size, p->latent, NULL,
                            &err),
          &err);
}

int main(int argc, char **argv)
{
    tb_err err = TB_ERR_INIT;
    const char *folder = argc > 2 ? argv[2] : "examples/tiny";
    const int64_t frames = argc > 3 ? atoi(argv[3]) : 17, size = argc > 4 ? atoi(argv[4]) : 64;
    bench_start(argc, argv);
    tb_weights *w = open_part(folder, "vae");
    vae_pass p = { .m = tb_wan_vae_open(bench.c, w, &err), .frames = frames, .size = size };
    if (!p.m)
        bench_die(&err);
    const tb_wan_vae_config *k = tb_wan_vae_config_of(p.m);
    p.f = (frames - 1) / k->stride_t + 1;
    p.side = size / k->stride_hw;
    p.latent = bench_numbers(k->z * p.f * p.side * p.side);
    p.pixels = bench_numbers(frames * size * size * 3);
    bench_dit(folder, p.f, p.side);
    bench_report("decode", run_decode, &p);
    bench_report("encode", run_encode, &p);
    tb_wan_vae_close(&p.m);
    tb_weights_close(&w);
    free(p.latent);
    free(p.pixels);
    tb_compute_free(&bench.c);
    return 0;
}
