/* bench_block.c - a transformer block of the bundled model and of Wan-1.3B, with weights of each
 * kind, beside OpenBLAS at the products it consists of, and torch; see bench.h.
 *
 * usage: bench_block [threads [name]]
 */
#include "bench.h"

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
    for (int i = 0; i < 2; i++)
        tb_rmsnorm_rope(bench.c, m->wide + i * w, n, 3 * w, m->heads, d, 1e-6f, m->ones, m->rope);
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

static void bench_dit_block(bench_kind kind, int64_t tokens, int64_t text, int64_t dim,
                            int64_t heads, int64_t ffn)
{
    dit m = { .tokens = tokens,
              .text = text,
              .dim = dim,
              .heads = heads,
              .ffn = ffn,
              .qkv = bench_layer(kind, 3 * dim, dim),
              .o = bench_layer(kind, dim, dim),
              .cross_q = bench_layer(kind, dim, dim),
              .cross_o = bench_layer(kind, dim, dim),
              .up = bench_layer(kind, ffn, dim),
              .down = bench_layer(kind, dim, ffn),
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
    char name[80], item[80];
    snprintf(name, sizeof name, "block %s, %lld tokens, %lld, ffn %lld", bench_kind_name[kind],
             (long long)tokens, (long long)dim, (long long)ffn);
    snprintf(item, sizeof item, "block %lld %lld %lld %lld %lld", (long long)tokens,
             (long long)text, (long long)dim, (long long)heads, (long long)ffn);
    bench_report(name, run_dit_block, &m, tokens > 1000 ? item : NULL);
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

int main(int argc, char **argv)
{
    bench_start(argc, argv);
    for (int kind = BENCH_F32; kind <= BENCH_INT8; kind++)
        bench_dit_block((bench_kind)kind, 80, 33, 192, 6, 768);
    for (int kind = BENCH_F32; kind <= BENCH_INT8; kind++)
        bench_dit_block((bench_kind)kind, 1280, 512, 1536, 12, 8960);
    tb_compute_free(&bench.c);
    return 0;
}
