/* bench_whole.c - a whole step of a transformer, and a whole decode, against the sum of the matrix
 * work they consist of; see bench.h.
 *
 * usage: bench_whole TRANSFORMER VAE [threads [tokens [side]]]   (1 thread, 1280 tokens, 256
 * pixels)
 *
 * The files are those of make_checkpoint or published ones. The parts are the same linears,
 * attentions and convolutions, each called alone at the same shapes, with weights that come from
 * memory as in the model. `share` is the time of the parts over that of the whole: what is left of
 * it goes into norms, rotation, modulation, patches, copies and waiting. Each figure is a median of
 * five, parts and whole in turn; wall clock: only on an idle machine.
 */
#include "bench.h"
#include "models/wan_dit.h"
#include "models/wan_vae_internal.h"

enum { SETS = 8 }; /* of a block's weights: more than the caches hold */

static void report(const char *name, void (*whole)(void *ctx), void (*parts)(void *ctx), void *ctx)
{
    double core[2][BENCH_ROUNDS], wall[2][BENCH_ROUNDS];
    whole(ctx);
    parts(ctx);
    for (int i = 0; i < BENCH_ROUNDS; i++)
        for (int k = 0; k < 2; k++) {
            const bench_timing t = bench_calls(1, k ? parts : whole, ctx);
            core[k][i] = t.core;
            wall[k][i] = t.wall;
        }
    printf("%-40s whole %8.2f s (CPU %8.2f), parts %8.2f s (CPU %8.2f), share %.3f (CPU %.3f)\n",
           name, bench_median(wall[0]), bench_median(core[0]), bench_median(wall[1]),
           bench_median(core[1]), bench_median(wall[1]) / bench_median(wall[0]),
           bench_median(core[1]) / bench_median(core[0]));
}

/* -------------------------------------------------------------------------------- transformer */

typedef struct block {
    tb_linear *qkv, *square[3], *up, *down;
} block;

typedef struct step {
    tb_wan_dit *m;
    const tb_wan_dit_config *k;
    tb_wan_dit_input in;
    float *answer;
    block sets[SETS];
    int64_t tokens, text;
    float *x, *y, *wide, *text_kv;
} step;

static void run_step(void *ctx)
{
    step *s = ctx;
    tb_err err = TB_ERR_INIT;
    if (tb_wan_dit_run(s->m, bench.c, 1, &s->in, &s->answer, NULL, NULL, NULL, &err) != TB_OK)
        bench_die(&err);
}

static void run_step_parts(void *ctx)
{
    const step *s = ctx;
    const int64_t n = s->tokens, w = s->k->dim, d = w / s->k->heads;
    tb_attention self = { .nq = n,
                          .nk = n,
                          .heads = s->k->heads,
                          .d = d,
                          .ldq = 3 * w,
                          .ldk = 3 * w,
                          .ldv = 3 * w,
                          .ldo = w,
                          .scale = 1 / sqrtf((float)d) };
    tb_attention cross = self;
    cross.nk = s->text;
    cross.ldq = w;
    cross.ldk = cross.ldv = 2 * w;
    for (int64_t i = 0; i < s->k->layers; i++) {
        const block *b = &s->sets[i % SETS];
        tb_linear_run(bench.c, b->qkv, s->x, n, w, s->wide, 3 * w, NULL);
        tb_attention_run(bench.c, &self, s->wide, s->wide + w, s->wide + 2 * w, s->y);
        tb_linear_run(bench.c, b->square[0], s->x, n, w, s->y, w, NULL);
        tb_linear_run(bench.c, b->square[1], s->x, n, w, s->y, w, NULL);
        tb_attention_run(bench.c, &cross, s->x, s->text_kv, s->text_kv + w, s->y);
        tb_linear_run(bench.c, b->square[2], s->x, n, w, s->y, w, NULL);
        tb_linear_run(bench.c, b->up, s->x, n, w, s->wide, s->k->ffn_dim,
                      &(tb_epilogue){ .act = TB_ACT_GELU_TANH });
        tb_linear_run(bench.c, b->down, s->wide, n, s->k->ffn_dim, s->y, w, NULL);
    }
}

static void bench_step(const char *path, int64_t tokens)
{
    enum { FRAMES = 5, TEXT = 20 };
    const float t = 500;
    tb_err err = TB_ERR_INIT;
    step s = { .tokens = tokens };
    tb_weights *weights = tb_weights_open(path, &err);
    s.m = weights ? tb_wan_dit_open(bench.c, weights, &err) : NULL;
    if (!s.m)
        bench_die(&err);
    s.k = tb_wan_dit_config_of(s.m);
    s.text = TEXT + 1; /* the empty rows behind a text are one key that counts as many */
    const int64_t rows = 16, columns = tokens / FRAMES / rows, d = s.k->dim;
    s.tokens = FRAMES * rows * columns;
    s.in = (tb_wan_dit_input){ .f = FRAMES,
                               .h = 2 * rows,
                               .w = 2 * columns,
                               .x = bench_numbers(s.k->out_dim * FRAMES * 4 * rows * columns),
                               .t = &t,
                               .t_count = 1,
                               .text = bench_numbers(TEXT * s.k->text_dim),
                               .text_rows = TEXT };
    s.answer = bench_numbers(s.k->out_dim * FRAMES * 4 * rows * columns);
    s.x = bench_numbers(s.tokens * d);
    s.y = bench_numbers(s.tokens * d);
    s.wide = bench_numbers(s.tokens * (s.k->ffn_dim > 3 * d ? s.k->ffn_dim : 3 * d));
    s.text_kv = bench_numbers(s.text * 2 * d);
    for (int i = 0; i < SETS; i++) {
        s.sets[i].qkv = bench_layer(BENCH_F16, 3 * d, d);
        for (int k = 0; k < 3; k++)
            s.sets[i].square[k] = bench_layer(BENCH_F16, d, d);
        s.sets[i].up = bench_layer(BENCH_F16, s.k->ffn_dim, d);
        s.sets[i].down = bench_layer(BENCH_F16, d, s.k->ffn_dim);
    }
    char name[80];
    snprintf(name, sizeof name, "one evaluation, %lld tokens", (long long)s.tokens);
    report(name, run_step, run_step_parts, &s);
    tb_wan_dit_close(&s.m);
    tb_weights_close(&weights);
}

/* ---------------------------------------------------------------------------------------- VAE */

typedef struct decode {
    tb_wan_vae *m;
    float *latent, *x, *y, *past;
    int64_t f, h, w; /* of the latent */
} decode;

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
    const decode *d = ctx;
    tb_err err = TB_ERR_INIT;
    if (tb_wan_vae_decode(d->m, bench.c, d->latent, d->f, d->h, d->w, drop, NULL, NULL, &err) !=
        TB_OK)
        bench_die(&err);
}

static void run_conv(const decode *d, const tb_conv *conv, const vae_act *a, int pad, bool up)
{
    const tb_conv_args args = { .t = a->t,
                                .h = a->h,
                                .w = a->w,
                                .past = tb_conv_kt(conv) > 1 ? d->past : NULL,
                                .pad_before = pad,
                                .pad_after = pad,
                                .upsample2 = up };
    tb_conv_run(bench.c, conv, &args, d->x, d->y);
}

static void run_attention(const decode *d, const vae_op *op, const vae_act *a)
{
    const int64_t plane = a->h * a->w, c = op->in;
    const tb_attention at = { .nq = plane,
                              .nk = plane,
                              .heads = 1,
                              .d = c,
                              .ldq = 3 * c,
                              .ldk = 3 * c,
                              .ldv = 3 * c,
                              .ldo = c,
                              .scale = 1 / sqrtf((float)c) };
    tb_linear_run(bench.c, op->linear_1, d->x, a->t * plane, c, d->y, 3 * c, NULL);
    for (int64_t i = 0; i < a->t; i++)
        tb_attention_run(bench.c, &at, d->x, d->x + c, d->x + 2 * c, d->y);
    tb_linear_run(bench.c, op->linear_2, d->x, a->t * plane, c, d->y, c, NULL);
}

/* The matrix work of one operation; *a becomes the shape behind it. */
static void run_op(const decode *d, const vae_op *op, bool first, vae_act *a)
{
    const int64_t n = a->t * a->h * a->w;
    if (op->kind == VAE_LINEAR)
        tb_linear_run(bench.c, op->linear_1, d->x, n, op->in, d->y, op->out, NULL);
    else if (op->kind == VAE_CONV || op->kind == VAE_RESIDUAL)
        run_conv(d, op->conv_1, a, 1, false);
    if (op->kind == VAE_RESIDUAL) {
        run_conv(d, op->conv_2, a, 1, false);
        if (op->linear_1)
            tb_linear_run(bench.c, op->linear_1, d->x, n, op->in, d->y, op->out, NULL);
    } else if (op->kind == VAE_ATTENTION) {
        run_attention(d, op, a);
    } else if (op->kind == VAE_UP) {
        if (op->conv_2 && !first) {
            run_conv(d, op->conv_2, a, 0, false);
            a->t *= 2;
        }
        run_conv(d, op->conv_1, a, 1, true);
        a->h *= 2;
        a->w *= 2;
    }
    if (op->kind != VAE_ENTER && op->kind != VAE_LEAVE)
        a->c = op->out;
}

/* In the pieces the decoder makes of a video: latent frame by latent frame, and frame by frame
 * where these are large (wan_vae_stream.c). */
static void run_decode_parts(void *ctx)
{
    const decode *d = ctx;
    const vae_half *half = &d->m->decoder;
    for (int64_t f = 0; f < d->f; f++) {
        vae_act a = { .t = 1, .h = d->h, .w = d->w, .c = d->m->k.z };
        for (int i = 0; i < half->settled; i++)
            run_op(d, &half->ops[i], f == 0, &a);
        const bool split =
            a.t * d->h * d->w * 64 * half->ops[half->count - 1].in > d->m->split_above;
        for (int64_t k = 0, n = split ? a.t : 1; k < n; k++) {
            vae_act one = a;
            one.t = split ? 1 : a.t;
            for (int i = half->settled; i < half->count; i++)
                run_op(d, &half->ops[i], f == 0, &one);
        }
    }
}

static void bench_decode(const char *path, int64_t side)
{
    enum { LATENTS = 3 };
    tb_err err = TB_ERR_INIT;
    tb_weights *weights = tb_weights_open(path, &err);
    decode d = { .m = weights ? tb_wan_vae_open(bench.c, weights, &err) : NULL, .f = LATENTS };
    if (!d.m)
        bench_die(&err);
    d.h = d.w = side / d.m->k.stride_hw;
    const int64_t most = 4 * side * side * 4 * d.m->k.dim;
    d.latent = bench_numbers(d.m->k.z * d.f * d.h * d.w);
    d.x = bench_numbers(most);
    d.y = bench_numbers(most);
    d.past = bench_numbers(most);
    char name[80];
    snprintf(name, sizeof name, "decode, %d frames of %lldx%lld", 1 + 4 * (LATENTS - 1),
             (long long)side, (long long)side);
    report(name, run_decode, run_decode_parts, &d);
    tb_wan_vae_close(&d.m);
    tb_weights_close(&weights);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: bench_whole TRANSFORMER VAE [threads [tokens [side]]]\n");
        return 2;
    }
    bench_start(argc > 3 ? 2 : 1, argc > 3 ? argv + 2 : argv);
    bench_step(argv[1], argc > 4 ? atoll(argv[4]) : 1280);
    bench_decode(argv[2], argc > 5 ? atoll(argv[5]) : 256);
    tb_compute_free(&bench.c);
    return 0;
}
