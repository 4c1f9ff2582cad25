/* linear_int8.c - linears in int8: weights with a scale for each output, made once; activations
 * with a scale for each row, made at each call (W8A8, as in LLM.int8() without its outliers, arXiv
 * 2208.07339).
 *
 *   w[o][k] ~ wq[o][k] * ws[o], ws = max|w[o]| / 127;   x[r][k] ~ xq[r][k] * xs[r] alike
 *   y[r][o] = act((sum_k xq wq) * xs[r] * ws[o] + b[o]) ...
 *
 * Quantised rows rest in a buffer of the tb_compute; more rows than fit go in several turns. What a
 * row gives depends on that row alone.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "compute/cpu/cpu.h"
#include "compute/linear_internal.h"
#include "compute/tensor_numbers.h"

enum {
    ROWS_MOST = 112,
    BLOCK_BYTES =
        512 * 1024,      /* rows of a piece: they rest in the second-level cache beside a panel */
    ROWS_QUANTISED = 16, /* in one piece of the first stage */
    PIECES_WANTED = 32,
};

/* ------------------------------------------------------------------------------------- weights */

void tbi_int8_free(tbi_int8 **wp)
{
    tbi_int8 *w = *wp;
    *wp = NULL;
    if (!w)
        return;
    tb_mem_free(w->panels);
    tb_mem_free(w->scale);
    tb_mem_free(w->minus);
    free(w);
}

typedef struct fill_job {
    tbi_int8 *w;
    tb_compute *c;
    int count;
    const tb_tensor *const *weights;
} fill_job;

/* Output `o` of the joined weights as f32. */
static void row_of(const fill_job *j, int64_t o, float *to)
{
    int i = 0;
    for (; o >= tb_tensor_dim(j->weights[i], 0); i++)
        o -= tb_tensor_dim(j->weights[i], 0);
    const tb_tensor *t = j->weights[i];
    const int64_t in = j->w->in, whole = tbi_stays(t) ? in / j->c->k->nr * j->c->k->nr : 0;
    const char *row = (const char *)tb_tensor_data(t) + (whole ? o * in * 2 : 0);
    if (whole && tb_tensor_dtype(t) == TB_F16)
        j->c->k->expand_f16((const void *)row, whole, to);
    else if (whole)
        j->c->k->expand_bf16((const void *)row, whole, to);
    tb_tensor_read_f32(t, o * in + whole, in - whole, to + whole);
}

/* Panel i: each of its outputs quantised, then laid between the others. */
static void fill_piece(void *ctx, int64_t i, int worker)
{
    const fill_job *j = ctx;
    tbi_int8 *w = j->w;
    float *row = tbi_worker_scratch(j->c, worker);
    uint8_t *q = (uint8_t *)(row + w->row);
    int8_t *panel = w->panels + i * w->row * TBI_INT8_NR;
    memset(panel, 0, (size_t)(w->row * TBI_INT8_NR));
    for (int64_t c = 0; c < TBI_INT8_NR && i * TBI_INT8_NR + c < w->out; c++) {
        const int64_t o = i * TBI_INT8_NR + c;
        int32_t sum = 0;
        row_of(j, o, row);
        j->c->k->quantise(row, w->in, q, &w->scale[o]);
        memset(q + w->in, 128, (size_t)(w->row - w->in));
        for (int64_t k = 0; k < w->row; k++)
            sum += q[k] - 128;
        for (int64_t k = 0; k < w->row; k += 4) {
            uint32_t four;
            memcpy(&four, q + k, sizeof four);
            four ^= 0x80808080u; /* takes the 128 off each */
            memcpy(panel + k * TBI_INT8_NR + 4 * c, &four, sizeof four);
        }
        w->minus[o] = 128 * sum;
    }
}

static bool reserve(tbi_int8 *w)
{
    const size_t columns = (size_t)w->count * TBI_INT8_NR;
    w->panels = tb_mem_alloc((size_t)w->row * columns);
    w->scale = tb_mem_alloc(columns * sizeof *w->scale);
    w->minus = tb_mem_alloc(columns * sizeof *w->minus);
    if (!w->panels || !w->scale || !w->minus)
        return false;
    w->bytes = columns * ((size_t)w->row + sizeof *w->scale + sizeof *w->minus);
    memset(w->scale, 0, columns * sizeof *w->scale);
    memset(w->minus, 0, columns * sizeof *w->minus);
    return true;
}

tbi_int8 *tbi_int8_new(tb_compute *c, int count, const tb_tensor *const *weights, int64_t out,
                       int64_t in, tb_err *err)
{
    tbi_int8 *w = tb_xcalloc(1, sizeof *w);
    *w = (tbi_int8){ .in = in,
                     .out = out,
                     .count = tbi_ceil_div(out, TBI_INT8_NR),
                     .row = tbi_ceil_div(in, TBI_INT8_ROW) * TBI_INT8_ROW };
    if (!reserve(w)) {
        tb_err_set(err, TB_ENOMEM,
                   "no memory for a weight of [%lld,%lld] in int8; close other programs",
                   (long long)out, (long long)in);
        tbi_int8_free(&w);
        return NULL;
    }
    tb_parallel(c, w->count, fill_piece, &(fill_job){ w, c, count, weights });
    return w;
}

/* ------------------------------------------------------------------------------------- product */

/* Some rows of a call: quantised first, then multiplied. */
typedef struct turn {
    const tbi_linear_job *j;
    const tbi_int8_kernels *k;
    int64_t from, rows; /* of the call */
    uint8_t *q;         /* [rows][w->row] */
    float *scale;       /* [rows] */
} turn;

static void quantise_piece(void *ctx, int64_t i, int worker)
{
    (void)worker;
    const turn *t = ctx;
    const tbi_int8 *w = t->j->l->int8;
    const int64_t to = tbi_min((i + 1) * ROWS_QUANTISED, t->rows);
    for (int64_t r = i * ROWS_QUANTISED; r < to; r++)
        t->j->c->k->quantise(t->j->x + (t->from + r) * t->j->ldx, w->in, t->q + r * w->row,
                             &t->scale[r]);
}

static void product_piece(void *ctx, int64_t i, int worker)
{
    const turn *t = ctx;
    const tbi_int8 *w = t->j->l->int8;
    const tbi_span rows = tbi_cut(t->rows, t->j->row_blocks, i / w->count);
    const int64_t panel = i % w->count, tiles = tbi_ceil_div(rows.count, t->k->mr);
    const int8_t *weights = w->panels + panel * w->row * TBI_INT8_NR;
    float *acc = tbi_worker_scratch(t->j->c, worker);
    for (int64_t n = 0; n < tiles; n++) {
        const tbi_span span = tbi_cut(rows.count, tiles, n);
        const int64_t row = rows.from + span.from;
        const tbi_int8_tile tile = {
            .rows = (int)span.count,
            .fours = tbi_ceil_div(w->in, 4),
            .a = t->q + row * w->row,
            .lda = w->row,
            .panel = weights,
            .minus = w->minus + panel * TBI_INT8_NR,
            .row_scale = t->scale + row,
            .col_scale = w->scale + panel * TBI_INT8_NR,
            .ahead = n == 0 && panel + 1 < w->count ? weights + w->row * TBI_INT8_NR : weights,
            .acc = acc,
        };
        t->k->tile(&tile);
        tbi_linear_store(t->j, acc, TBI_INT8_NR, t->from + row, span.count, panel);
    }
}

void tbi_int8_run(tbi_linear_job *j)
{
    const tbi_int8 *w = j->l->int8;
    turn t = { .j = j, .k = tbi_cpu_int8(j->c->k), .q = j->c->rows8 };
    const int64_t most = j->c->rows8_bytes / (w->row + (int64_t)sizeof(float));
    for (; t.from < j->rows; t.from += t.rows) {
        t.rows = tbi_min(most, j->rows - t.from);
        t.scale = (float *)(void *)(t.q + t.rows * w->row);
        const int64_t fit = tbi_min(ROWS_MOST, BLOCK_BYTES / w->row);
        j->row_blocks = tbi_ceil_div(t.rows, fit > t.k->mr ? fit : t.k->mr);
        tb_parallel(j->c, tbi_ceil_div(t.rows, ROWS_QUANTISED), quantise_piece, &t);
        tb_parallel(j->c, j->row_blocks * w->count, product_piece, &t);
    }
}
