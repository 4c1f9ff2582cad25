/* gemm.c - the general product: both operands are activations, so B is packed on the way. */
#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "compute/compute_internal.h"

enum { K_BLOCK = 2048, ROWS = 112 };

typedef struct gemm_job {
    tb_compute *c;
    bool trans_b;
    int64_t m, n, k;
    float alpha, beta;
    const float *a, *b;
    int64_t lda, ldb;
    float *out;
    int64_t ldc;
    int64_t panels, row_blocks;
} gemm_job;

/* panel[k][nr] of columns col.. of op(B), from depth.from. */
static void pack(const gemm_job *j, int64_t col, int64_t cols, tbi_span depth, float *panel)
{
    if (j->trans_b)
        j->c->k->pack_rows(j->b + col * j->ldb + depth.from, j->ldb, cols, depth.count, panel);
    else
        j->c->k->pack_cols(j->b + depth.from * j->ldb + col, j->ldb, cols, depth.count, panel);
}

static void store_rows(const gemm_job *j, const float *acc, tbi_span rows, int64_t col,
                       int64_t cols)
{
    const tbi_kernels *k = j->c->k;
    for (int64_t r = 0; r < rows.count; r++) {
        float *y = j->out + (rows.from + r) * j->ldc + col;
        if (j->beta == 0) {
            k->scale(j->alpha, acc + r * k->nr, cols, y);
        } else {
            k->scale(j->beta, y, cols, y);
            k->axpy(j->alpha, acc + r * k->nr, cols, y);
        }
    }
}

static void gemm_piece(void *ctx, int64_t i, int worker)
{
    const gemm_job *j = ctx;
    const tbi_kernels *k = j->c->k;
    const tbi_span rows = tbi_cut(j->m, j->row_blocks, i / j->panels);
    const int64_t col = i % j->panels * k->nr, cols = tbi_min(k->nr, j->n - col);
    const int64_t tiles = tbi_ceil_div(rows.count, k->mr), k_blocks = tbi_ceil_div(j->k, K_BLOCK);
    float *acc = tbi_worker_scratch(j->c, worker), *panel = acc + ROWS * TBI_MAX_NR;
    for (int64_t kb = 0; kb < k_blocks; kb++) {
        const tbi_span depth = tbi_cut(j->k, k_blocks, kb);
        pack(j, col, cols, depth, panel);
        for (int64_t t = 0; t < tiles; t++) {
            const tbi_span span = tbi_cut(rows.count, tiles, t);
            const tbi_tile tile = {
                .rows = (int)span.count,
                .cols = (int)cols,
                .a = j->a + (rows.from + span.from) * j->lda,
                .lda = j->lda,
                .seg = &depth.from,
                .segs = 1,
                .k_seg = depth.count,
                .panel = panel,
                .ahead = panel,
                .acc = acc + span.from * k->nr,
                .ld_acc = k->nr,
                .first = kb == 0,
            };
            k->tile(&tile);
        }
    }
    store_rows(j, acc, rows, col, cols);
}

void tb_gemm(tb_compute *c, bool trans_b, int64_t m, int64_t n, int64_t k, float alpha,
             const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *out,
             int64_t ldc)
{
    assert(m >= 0 && n >= 0 && k >= 1 && lda >= k && ldb >= (trans_b ? k : n) && ldc >= n);
    gemm_job j = { .c = c,
                   .trans_b = trans_b,
                   .m = m,
                   .n = n,
                   .k = k,
                   .alpha = alpha,
                   .beta = beta,
                   .a = a,
                   .b = b,
                   .lda = lda,
                   .ldb = ldb,
                   .out = out,
                   .ldc = ldc };
    j.panels = tbi_ceil_div(n, c->k->nr);
    j.row_blocks = tbi_ceil_div(m, ROWS);
    tbi_tell(c, m, n, k, 1);
    tb_parallel(c, j.panels * j.row_blocks, gemm_piece, &j);
}

double tb_compute_rate(tb_compute *c, int64_t n)
{
    enum { RUNS = 4 };
    const size_t bytes = 3 * (size_t)(n * n) * sizeof(float);
    float *x = tb_mem_alloc(bytes);
    double best = 0;
    if (!x)
        return 0;
    memset(x, 0, bytes);
    for (int i = 0; i < RUNS; i++) {
        const double start = tb_clock_seconds();
        tb_gemm(c, true, n, n, n, 1, x, n, x + n * n, n, 0, x + 2 * n * n, n);
        const double t = tb_clock_seconds() - start;
        best = i == 0 || t < best ? t : best;
    }
    tb_mem_free(x);
    return best > 0 ? 2.0 * (double)(n * n * n) / best : 0;
}
