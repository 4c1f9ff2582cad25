/* bench_attention.c - attention at the shapes of the bundled model and of Wan-1.3B beside OpenBLAS
 * at the two products it consists of, and torch; see bench.h.
 *
 * usage: bench_attention [threads [name]]
 */
#include "bench.h"

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
    char name[80], item[80];
    snprintf(name, sizeof name, "attention %lld x %lld, %lld tokens", (long long)heads,
             (long long)d, (long long)n);
    snprintf(item, sizeof item, "attention %lld %lld %lld", (long long)heads, (long long)d,
             (long long)n);
    bench_report(name, run_attention, &r, n > 1000 ? item : NULL);
    free(r.qkv);
    free(r.out);
}

int main(int argc, char **argv)
{
    bench_start(argc, argv);
    bench_attention(80, 6, 32);
    bench_attention(1280, 12, 128);
    bench_attention(4096, 12, 128);
    tb_compute_free(&bench.c);
    return 0;
}
