/* bench_conv.c - the causal convolutions of the bundled VAE and of Wan's beside OpenBLAS at the
 * same product, and torch; see bench.h.
 *
 * usage: bench_conv [threads [name]]
 */
#include "bench.h"

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
    char name[80], item[80];
    snprintf(name, sizeof name, "%sconv %lldx3x3 %lld to %lld, %lld x %lld^2%s",
             norm ? "norm + " : "", (long long)kt, (long long)in, (long long)out, (long long)t,
             (long long)size, up == 2 ? " up" : "");
    snprintf(item, sizeof item, "conv %lld %lld %lld", (long long)in, (long long)t,
             (long long)size);
    bench_report(name, run_conv, &r, in > 64 ? item : NULL);
    tb_conv_free(&r.v);
    tb_tensor_unref(&w);
    free(past);
    free(r.x);
    free(r.y);
    free(r.gamma);
}

int main(int argc, char **argv)
{
    bench_start(argc, argv);
    bench_conv(64, 64, 3, 1, 8, true);
    bench_conv(64, 64, 3, 2, 16, true);
    bench_conv(64, 64, 1, 4, 16, false);
    bench_conv(64, 64, 3, 4, 32, true);
    bench_conv(32, 32, 3, 4, 32, true);
    bench_conv(32, 12, 3, 4, 32, false);
    bench_conv(48, 48, 3, 4, 64, true);
    bench_conv(384, 384, 3, 4, 32, false);
    bench_conv(192, 192, 3, 2, 64, false);
    bench_conv(96, 96, 3, 2, 128, false);
    tb_compute_free(&bench.c);
    return 0;
}
