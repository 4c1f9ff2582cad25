/* linear.c - dense layers over packed panels.
 *
 * Work is cut into (block of rows) x (group of panels). Inside a piece, k is walked in blocks that
 * keep a panel's part in the second-level cache; partial sums rest in the worker's scratch, which
 * changes no bytes. Weights of 16 bits stay so in memory: a panel's part is expanded to f32, which
 * is exact, once for the rows of the piece.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "compute/cpu/int8.h"
#include "compute/linear_internal.h"

enum {
    K_BLOCK = 2048,      /* rows of a panel used at once: 256 KiB of it at 32 columns */
    K_BLOCK_16 = 1024,   /* and when it has to be expanded */
    ROWS_LARGE = 112,    /* rows of a piece when there is work for many pieces */
    ROWS_LARGE_16 = 224, /* expanding is shared by more of them */
    ROWS_SMALL = 42,     /* and when there is not */
    PIECES_WANTED = 32,
    GROUP_WHEN_DEEP = 8,                /* panels of a piece when k takes several blocks */
    EXPANDED = K_BLOCK_16 * TBI_MAX_NR, /* floats at the end of a worker's scratch */
};

/* Pages of 2 MiB, where the system has them: fewer faults while weights are packed, fewer misses
 * when they are read. */
static void use_huge_pages(void *data, size_t bytes)
{
    const uintptr_t huge = (uintptr_t)2 << 20, from = ((uintptr_t)data + huge - 1) / huge * huge,
                    to = ((uintptr_t)data + bytes) / huge * huge;
    if (to > from)
        madvise((char *)data + (from - (uintptr_t)data), to - from, MADV_HUGEPAGE);
}

bool tbi_panels_init(tbi_panels *p, const tbi_kernels *k, tb_dtype dtype, int64_t out, int64_t in,
                     tb_err *err)
{
    const size_t panel = (size_t)(in * k->nr) * tb_dtype_size(dtype);
    *p = (tbi_panels){ .in = in, .out = out, .count = tbi_ceil_div(out, k->nr), .dtype = dtype };
    p->bytes = (size_t)p->count * panel;
    p->data = tb_mem_alloc(p->bytes);
    if (!p->data) {
        tb_err_set(err, TB_ENOMEM,
                   "no memory for a weight of [%lld,%lld] (%zu bytes); close other programs",
                   (long long)out, (long long)in, p->bytes);
        return false;
    }
    use_huge_pages(p->data, p->bytes);
    if (out % k->nr)
        memset((char *)p->data + p->bytes - panel, 0, panel);
    return true;
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
    const void *rows;
} fill_job;

static void fill_piece(void *ctx, int64_t i, int worker)
{
    (void)worker;
    const fill_job *j = ctx;
    const int64_t nr = j->k->nr, in = j->p->in, panel = j->at / nr + i;
    const int64_t from = panel * nr > j->at ? panel * nr : j->at;
    const int64_t cols = tbi_min((panel + 1) * nr, j->at + j->count) - from;
    const int64_t row = (from - j->at) * in, to = panel * in * nr;
    if (j->p->dtype != TB_F32)
        j->k->pack_rows_16((const uint16_t *)j->rows + row, in, cols, in,
                           (uint16_t *)j->p->data + to + from % nr);
    else if (from == panel * nr)
        j->k->pack_rows((const float *)j->rows + row, in, cols, in, (float *)j->p->data + to);
    else
        j->k->transpose((const float *)j->rows + row, in, cols, in,
                        (float *)j->p->data + to + from % nr, nr);
}

void tbi_panels_fill(const tbi_panels *p, tb_compute *c, int64_t at, int64_t count,
                     const void *rows)
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

bool tbi_stays(const tb_tensor *t)
{
    const tb_dtype d = tb_tensor_dtype(t);
    return (d == TB_F16 || d == TB_BF16) && !tb_tensor_scale(t);
}

int64_t tb_linear_number_bytes(const tb_tensor *weight)
{
    return tbi_stays(weight) ? 2 : 4;
}

/* Weights of one 16-bit kind stay what they are; all others become f32. */
static tb_dtype panel_dtype(int count, const tb_tensor *const *weights)
{
    const tb_dtype first = tb_tensor_dtype(weights[0]);
    for (int i = 0; i < count; i++)
        if (!tbi_stays(weights[i]) || tb_tensor_dtype(weights[i]) != first)
            return TB_F32;
    return first;
}

/* Part `at`.. of a layer from one weight of any dtype. */
static tb_status fill(tb_linear *l, tb_compute *c, int64_t at, const tb_tensor *weight, tb_err *err)
{
    tb_tensor *w = l->panels.dtype == TB_F32 ? tbi_to_f32(c, weight, err) : tb_tensor_ref(weight);
    if (!w)
        return TB_ENOMEM;
    tbi_panels_fill(&l->panels, c, at, tb_tensor_dim(w, 0), tb_tensor_data(w));
    tb_tensor_unref(&w);
    return TB_OK;
}

static tb_status fill_biases(tb_linear *l, int count, const tb_tensor *const *weights,
                             const tb_tensor *const *biases, tb_err *err)
{
    int64_t at = 0;
    for (int i = 0; biases && i < count; at += tb_tensor_dim(weights[i++], 0)) {
        tb_tensor *b = biases[i] ? tb_tensor_to_f32(biases[i], err) : NULL;
        if (biases[i] && !b)
            return TB_ENOMEM;
        if (b && !l->bias)
            l->bias = tb_xcalloc((size_t)l->out, sizeof *l->bias);
        if (b)
            memcpy(l->bias + at, tb_tensor_f32(b), tb_tensor_bytes(b));
        tb_tensor_unref(&b);
    }
    return TB_OK;
}

static tb_status fill_panels(tb_linear *l, tb_compute *c, int count,
                             const tb_tensor *const *weights, tb_err *err)
{
    if (!tbi_panels_init(&l->panels, c->k, panel_dtype(count, weights), l->out, l->in, err))
        return TB_ENOMEM;
    int64_t at = 0;
    for (int i = 0; i < count; i++) {
        TB_TRY(fill(l, c, at, weights[i], err));
        at += tb_tensor_dim(weights[i], 0);
    }
    return TB_OK;
}

static tb_linear *join(tb_compute *c, int count, const tb_tensor *const *weights,
                       const tb_tensor *const *biases, bool int8, tb_err *err)
{
    if (check_shapes(count, weights, biases, err) != TB_OK)
        return NULL;
    tb_linear *l = tb_xcalloc(1, sizeof *l);
    l->in = tb_tensor_dim(weights[0], 1);
    for (int i = 0; i < count; i++)
        l->out += tb_tensor_dim(weights[i], 0);
    tb_status st = fill_biases(l, count, weights, biases, err);
    if (st == TB_OK && int8 && l->in <= TBI_INT8_K_MOST)
        st = (l->int8 = tbi_int8_new(c, count, weights, l->out, l->in, err)) ? TB_OK : TB_ENOMEM;
    else if (st == TB_OK)
        st = fill_panels(l, c, count, weights, err);
    for (int i = 0; i < count; i++)
        tb_tensor_forget(weights[i]); /* all that will be read is in the panels */
    if (st != TB_OK)
        tb_linear_free(&l);
    return l;
}

tb_linear *tb_linear_join(tb_compute *c, int count, const tb_tensor *const *weights,
                          const tb_tensor *const *biases, tb_err *err)
{
    return join(c, count, weights, biases, false, err);
}

tb_linear *tb_linear_join_int8(tb_compute *c, int count, const tb_tensor *const *weights,
                               const tb_tensor *const *biases, tb_err *err)
{
    return join(c, count, weights, biases, true, err);
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
    tbi_int8_free(&l->int8);
    free(l->bias);
    free(l);
}

int64_t tb_linear_in(const tb_linear *l)
{
    return l->in;
}

int64_t tb_linear_out(const tb_linear *l)
{
    return l->out;
}

size_t tb_linear_bytes(const tb_linear *l)
{
    return l->panels.bytes + (l->int8 ? l->int8->bytes : 0) +
           (l->bias ? (size_t)l->out * sizeof(float) : 0);
}

void tbi_linear_store(const tbi_linear_job *j, const float *acc, int nr, int64_t row, int64_t rows,
                      int64_t panel)
{
    const int64_t col = panel * nr;
    const float *gate = j->e.gate, *residual = j->e.residual;
    const tbi_tile_out t = {
        .rows = rows,
        .cols = tbi_min(nr, j->l->out - col),
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

/* Part of a panel as f32 [depth][nr]: itself, or expanded at the end of the worker's scratch. */
static const float *expanded(const tbi_linear_job *j, const void *packed, int64_t depth,
                             float *scratch)
{
    const tbi_kernels *k = j->c->k;
    float *to = scratch + TBI_WORKER_FLOATS - EXPANDED;
    if (j->l->panels.dtype == TB_F32)
        return packed;
    if (j->l->panels.dtype == TB_F16)
        k->expand_f16(packed, depth * k->nr, to);
    else
        k->expand_bf16(packed, depth * k->nr, to);
    return to;
}

/* Rows `rows` of one panel over one block of k. Meanwhile the same part of the next panel is
 * fetched: weights are too many to stay in the cache from one pass to the next. */
static void panel_block(const tbi_linear_job *j, float *scratch, float *acc, tbi_span rows,
                        int64_t panel, int64_t kb)
{
    const tbi_kernels *k = j->c->k;
    const tbi_panels *p = &j->l->panels;
    const tbi_span depth = tbi_cut(p->in, j->k_blocks, kb);
    const int64_t step = p->in * k->nr, size = (int64_t)tb_dtype_size(p->dtype);
    const char *packed = (const char *)p->data + (panel * step + depth.from * k->nr) * size;
    const char *next = panel + 1 < p->count ? packed + step * size : packed;
    const float *b = expanded(j, packed, depth.count, scratch);
    const int64_t tiles = tbi_ceil_div(rows.count, k->mr);
    const int64_t lines = tbi_ceil_div(k->nr * size, TBI_LINE_BYTES);
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
            .ahead = i < lines ? next + i * depth.count * TBI_LINE_BYTES : packed,
            .acc = j->k_blocks > 1 ? acc + span.from * k->nr : acc,
            .ld_acc = k->nr,
            .first = kb == 0,
        };
        k->tile(&t);
        if (kb == j->k_blocks - 1)
            tbi_linear_store(j, t.acc, k->nr, row, span.count, panel);
    }
}

static void linear_piece(void *ctx, int64_t i, int worker)
{
    const tbi_linear_job *j = ctx;
    const tbi_span rows = tbi_cut(j->rows, j->row_blocks, i / j->groups);
    const tbi_span group = tbi_cut(j->l->panels.count, j->groups, i % j->groups);
    float *scratch = tbi_worker_scratch(j->c, worker);
    for (int64_t kb = 0; kb < j->k_blocks; kb++) {
        for (int64_t p = 0; p < group.count; p++)
            panel_block(j, scratch, scratch + p * rows.count * j->c->k->nr, rows, group.from + p,
                        kb);
    }
}

void tb_linear_run(tb_compute *c, const tb_linear *l, const float *x, int64_t rows, int64_t ldx,
                   float *y, int64_t ldy, const tb_epilogue *e)
{
    assert(rows >= 0 && ldx >= l->in && ldy >= l->out);
    if (rows == 0)
        return;
    tbi_linear_job j = { .c = c, .l = l, .x = x, .y = y, .rows = rows, .ldx = ldx, .ldy = ldy };
    if (e)
        j.e = *e;
    tbi_tell(c, rows, l->out, l->in, 1);
    if (l->int8) {
        tbi_int8_run(&j);
        return;
    }
    const bool expand = l->panels.dtype != TB_F32;
    j.k_blocks = tbi_ceil_div(l->in, expand ? K_BLOCK_16 : K_BLOCK);
    j.groups = j.k_blocks == 1 ? l->panels.count : tbi_ceil_div(l->panels.count, GROUP_WHEN_DEEP);
    j.row_blocks = tbi_ceil_div(rows, expand ? ROWS_LARGE_16 : ROWS_LARGE);
    if (j.row_blocks * j.groups < PIECES_WANTED)
        j.row_blocks = tbi_ceil_div(rows, ROWS_SMALL);
    tb_parallel(c, j.row_blocks * j.groups, linear_piece, &j);
}
