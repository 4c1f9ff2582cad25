/* bench_linear.c - linear layers at the shapes of the bundled model and of Wan-1.3B, weights of
 * each kind, beside OpenBLAS f32 and torch; see bench.h.
 *
 * usage: bench_linear [threads [name]]   (1; TUBELET_CPU=plain|avx2|avx512 forces a kernel set)
 */
#include "bench.h"

typedef struct linear_run {
    tb_linear *l;
    float *x, *y;
    int64_t rows;
} linear_run;

static void run_linear(void *ctx)
{
    const linear_run *r = ctx;
    tb_linear_run(bench.c, r->l, r->x, r->rows, tb_linear_in(r->l), r->y, tb_linear_out(r->l),
                  NULL);
}

static void bench_linear(bench_kind kind, int64_t m, int64_t n, int64_t k)
{
    linear_run r = { bench_layer(kind, n, k), bench_numbers(m * k), bench_numbers(m * n), m };
    char name[80], item[80];
    snprintf(name, sizeof name, "linear %s M %lld N %lld K %lld", bench_kind_name[kind],
             (long long)m, (long long)n, (long long)k);
    snprintf(item, sizeof item, "linear %lld %lld %lld", (long long)m, (long long)n, (long long)k);
    bench_report(name, run_linear, &r, m > 1000 ? item : NULL);
    tb_linear_free(&r.l);
    free(r.x);
    free(r.y);
}

int main(int argc, char **argv)
{
    static const int64_t shapes[][3] = {
        { 1280, 1536, 1536 }, { 1280, 4608, 1536 }, { 1280, 8960, 1536 }, { 1280, 1536, 8960 },
        { 80, 576, 192 },     { 80, 192, 768 },     { 1, 9216, 1536 },
    };
    bench_start(argc, argv);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int kind = BENCH_F32; kind <= BENCH_INT8; kind++)
            bench_linear((bench_kind)kind, shapes[i][0], shapes[i][1], shapes[i][2]);
    tb_compute_free(&bench.c);
    return 0;
}
