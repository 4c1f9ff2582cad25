/* linear.c - dense layers over packed panels, and the general product.
 *
 * Work is cut into (block of rows) x (group of panels). Inside a piece, k is walked in blocks that
 * keep a panel's part in the second-level cache; partial sums rest in the worker's scratch, which
 * changes no bytes.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "compute/compute_internal.h"
#include "compute/tensor.h"

struct tb_linear {
    tbi_panels panels;
    float *bias; /* [out] or NULL */
};

enum {
    K_BLOCK = 2048,   /* rows of a panel used at once: 256 KiB of it at 32 columns */
    ROWS_LARGE = 112, /* rows of a piece when there is work for many pieces */
    ROWS_SMALL = 42,  /* and when there is not */
    PIECES_WANTED = 32,
    GROUP_WHEN_DEEP = 8, /* panels of a piece when k takes several blocks */
};

bool tbi_panels_init(tbi_panels *p, const tbi_kernels *k, int64_t out, int64_t in, tb_err *err)
{
    *p = (tbi_panels){ .in = in, .out = out, .count = tbi_ceil_div(out, k->nr) };
    p->bytes = (size_t)(p->count * in * k->nr) * sizeof(float);
    p->data = tb_mem_alloc(p->bytes);
    if (!p->data)
        tb_err_set(err, TB_ENOMEM,
                   "no memory for a weight of [%lld,%lld] (%zu bytes); close other programs",
                   (long long)out, (long long)in, p->bytes);
    return p->data != NULL;
}

void tbi_panels_fini(tbi_panels *p)
{
    tb_mem_free(p->data);
    p->data = NULL;
}

/* Rows of a weight on their way into panels. */
typedef struct fill_job {
    const tbi_panels *p;
    const tbi_kernels *k;
    int64_t at, count;
    const float *rows;
} fill_job;

static void fill_piece(void *ctx, int64_t i, int worker)
{
    (void)worker;
    const fill_job *j = ctx;
    const int64_t nr = j->k->nr, in = j->p->in, panel = j->at / nr + i;
    const int64_t from = panel * nr > j->at ? panel * nr : j->at;
    const int64_t cols = tbi_min((panel + 1) * nr, j->at + j->count) - from;
    const float *rows = j->rows + (from - j->at) * in;
    float *to = j->p->data + panel * in * nr;
    if (from == panel * nr)
        j->k->pack_rows(rows, in, cols, in, to);
    else
        j->k->transpose(rows, in, cols, in, to + from % nr, nr);
}

void tbi_panels_fill(const tbi_panels *p, tb_compute *c, int64_t at, int64_t count,
                     const float *rows)
{
    fill_job j = { .p = p, .k = c->k, .at = at, .count = count, .rows = rows };
    tb_parallel(c, (at + count - 1) / c->k->nr - at / c->k->nr + 1, fill_piece, &j);
}

static tb_status check_shapes(int count, const tb_tensor *const *weights,
                              const tb_tensor *const *biases, tb_err *err)
{
    const int64_t in = tb_tensor_dim(weights[0], 1);
    for (int i = 0; i < count; i++) {
        const tb_tensor *b = biases ? biases[i] : NULL;
        char text[128];
        if (tb_tensor_shape(weights[i])->n != 2 || tb_tensor_dim(weights[i], 1) != in ||
            tb_tensor_count(weights[i]) < 1)
            return tb_err_set(err, TB_EFORMAT,
                              "a linear layer wants a weight of [out,%lld], got %s", (long long)in,
                              tb_shape_text(tb_tensor_shape(weights[i]), text, sizeof text));
        if (b && tb_tensor_count(b) != tb_tensor_dim(weights[i], 0))
            return tb_err_set(err, TB_EFORMAT,
                              "a linear layer with %lld outputs wants as many biases, got %s",
                              (long long)tb_tensor_dim(weights[i], 0),
                              tb_shape_text(tb_tensor_shape(b), text, sizeof text));
    }
    return TB_OK;
}

/* Elements on their way to f32. */
typedef struct read_job {
    const tb_tensor *t;
    float *out;
} read_job;

enum { READ_PIECE = 1 << 16 }; /* elements; a multiple of every block */

static void read_piece(void *ctx, int64_t i, int worker)
{
    (void)worker;
    const read_job *j = ctx;
    const int64_t from = i * READ_PIECE;
    tb_tensor_read_f32(j->t, from, tbi_min(READ_PIECE, tb_tensor_count(j->t) - from),
                       j->out + from);
}

tb_tensor *tbi_to_f32(tb_compute *c, const tb_tensor *t, tb_err *err)
{
    if (tb_tensor_dtype(t) == TB_F32)
        return tb_tensor_ref(t);
    tb_tensor *r = tb_tensor_new(TB_F32, tb_tensor_shape(t), err);
    if (!r)
        return NULL;
    read_job j = { t, tb_tensor_f32_mut(r) };
    tb_parallel(c, tbi_ceil_div(tb_tensor_count(t), READ_PIECE), read_piece, &j);
    return r;
}

/* Part `at`.. of a layer from one weight and bias of any dtype. */
static tb_status fill(tb_linear *l, tb_compute *c, int64_t at, const tb_tensor *weight,
                      const tb_tensor *bias, tb_err *err)
{
    tb_tensor *w = tbi_to_f32(c, weight, err);
    if (!w)
        return TB_ENOMEM;
    tbi_panels_fill(&l->panels, c, at, tb_tensor_dim(w, 0), tb_tensor_f32(w));
    tb_tensor_unref(&w);
    if (!bias)
        return TB_OK;
    tb_tensor *b = tb_tensor_to_f32(bias, err);
    if (!b)
        return TB_ENOMEM;
    memcpy(l->bias + at, tb_tensor_f32(b), tb_tensor_bytes(b));
    tb_tensor_unref(&b);
    return TB_OK;
}

tb_linear *tb_linear_join(tb_compute *c, int count, const tb_tensor *const *weights,
                          const tb_tensor *const *biases, tb_err *err)
{
    if (check_shapes(count, weights, biases, err) != TB_OK)
        return NULL;
    int64_t out = 0;
    bool any_bias = false;
    for (int i = 0; i < count; i++) {
        out += tb_tensor_dim(weights[i], 0);
        any_bias |= biases && biases[i];
    }
    tb_linear *l = tb_xcalloc(1, sizeof *l);
    tb_status st = tbi_panels_init(&l->panels, c->k, out, tb_tensor_dim(weights[0], 1), err)
                       ? TB_OK
                       : TB_ENOMEM;
    if (any_bias)
        l->bias = tb_xcalloc((size_t)out, sizeof *l->bias);
    int64_t at = 0;
    for (int i = 0; i < count && st == TB_OK; i++) {
        st = fill(l, c, at, weights[i], biases ? biases[i] : NULL, err);
        at += tb_tensor_dim(weights[i], 0);
    }
    if (st != TB_OK)
        tb_linear_free(&l);
    return l;
}

tb_linear *tb_linear_new(tb_compute *c, const tb_tensor *weight, const tb_tensor *bias, tb_err *err)
{
    return tb_linear_join(c, 1, &weight, &bias, err);
}

void tb_linear_free(tb_linear **lp)
{
    tb_linear *l = *lp;
    *lp = NULL;
    if (!l)
        return;
    tbi_panels_fini(&l->panels);
    free(l->bias);
    free(l);
}

int64_t tb_linear_in(const tb_linear *l)
{
    return l->panels.in;
}

int64_t tb_linear_out(const tb_linear *l)
{
    return l->panels.out;
}

size_t tb_linear_bytes(const tb_linear *l)
{
    return l->panels.bytes + (l->bias ? (size_t)l->panels.out * sizeof(float) : 0);
}

/* One call of tb_linear_run. */
typedef struct linear_job {
    tb_compute *c;
    const tb_linear *l;
    const float *x;
    float *y;
    int64_t rows, ldx, ldy;
    tb_epilogue e;
    int64_t row_blocks, groups, k_blocks;
} linear_job;

static void store_tile(const linear_job *j, const float *acc, int64_t row, int64_t rows,
                       int64_t panel)
{
    const int nr = j->c->k->nr;
    const int64_t col = panel * nr;
    const float *gate = j->e.gate, *residual = j->e.residual;
    const tbi_tile_out t = {
        .rows = rows,
        .cols = tbi_min(nr, j->l->panels.out - col),
        .acc = acc,
        .ld_acc = nr,
        .bias = j->l->bias ? j->l->bias + col : NULL,
        .act = j->e.act,
        .gate = gate ? gate + row * j->e.gate_stride + col : NULL,
        .gate_stride = j->e.gate_stride,
        .residual = residual ? residual + row * j->ldy + col : NULL,
        .y = j->y + row * j->ldy + col,
        .ldy = j->ldy,
    };
    j->c->k->tile_out(&t);
}

/* Rows `rows` of one panel over one block of k. Meanwhile the same part of the next panel is
 * fetched: weights are too many to stay in the cache from one pass to the next. */
static void panel_block(const linear_job *j, float *acc, tbi_span rows, int64_t panel, int64_t kb)
{
    const tbi_kernels *k = j->c->k;
    const tbi_panels *p = &j->l->panels;
    const tbi_span depth = tbi_cut(p->in, j->k_blocks, kb);
    const float *b = p->data + (panel * p->in + depth.from) * k->nr;
    const float *next = panel + 1 < p->count ? b + p->in * k->nr : NULL;
    const int64_t tiles = tbi_ceil_div(rows.count, k->mr), lines = k->nr / TBI_LINE;
    for (int64_t i = 0; i < tiles; i++) {
        const tbi_span span = tbi_cut(rows.count, tiles, i);
        const int64_t row = rows.from + span.from;
        const tbi_tile t = {
            .rows = (int)span.count,
            .cols = (int)tbi_min(k->nr, p->out - panel * k->nr),
            .a = j->x + row * j->ldx,
            .lda = j->ldx,
            .seg = &depth.from,
            .segs = 1,
            .k_seg = depth.count,
            .panel = b,
            .ahead = next && i < lines ? next + i * depth.count * TBI_LINE : b,
            .acc = j->k_blocks > 1 ? acc + span.from * k->nr : acc,
            .ld_acc = k->nr,
            .first = kb == 0,
        };
        k->tile(&t);
        if (kb == j->k_blocks - 1)
            store_tile(j, t.acc, row, span.count, panel);
    }
}

static void linear_piece(void *ctx, int64_t i, int worker)
{
    const linear_job *j = ctx;
    const tbi_span rows = tbi_cut(j->rows, j->row_blocks, i / j->groups);
    const tbi_span group = tbi_cut(j->l->panels.count, j->groups, i % j->groups);
    float *acc = tbi_worker_scratch(j->c, worker);
    for (int64_t kb = 0; kb < j->k_blocks; kb++) {
        for (int64_t p = 0; p < group.count; p++)
            panel_block(j, acc + p * rows.count * j->c->k->nr, rows, group.from + p, kb);
    }
}

void tb_linear_run(tb_compute *c, const tb_linear *l, const float *x, int64_t rows, int64_t ldx,
                   float *y, int64_t ldy, const tb_epilogue *e)
{
    assert(rows >= 0 && ldx >= l->panels.in && ldy >= l->panels.out);
    if (rows == 0)
        return;
    linear_job j = { .c = c, .l = l, .x = x, .y = y, .rows = rows, .ldx = ldx, .ldy = ldy };
    if (e)
        j.e = *e;
    j.k_blocks = tbi_ceil_div(l->panels.in, K_BLOCK);
    j.groups = j.k_blocks == 1 ? l->panels.count : tbi_ceil_div(l->panels.count, GROUP_WHEN_DEEP);
    j.row_blocks = tbi_ceil_div(rows, ROWS_LARGE);
    if (j.row_blocks * j.groups < PIECES_WANTED)
        j.row_blocks = tbi_ceil_div(rows, ROWS_SMALL);
    tbi_tell(c, rows, l->panels.out, l->panels.in, 1);
    tb_parallel(c, j.row_blocks * j.groups, linear_piece, &j);
}
