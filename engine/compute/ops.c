/* ops.c - norms, activations and layouts: rows spread over the pool when there are enough numbers.
 */
#include <assert.h>

#include "compute/compute_internal.h"

/* Fewer numbers than this are done by the calling thread: waking the pool costs more. */
enum { NUMBERS_PER_PIECE = 2048, PIECES_MOST = 64 };

/* Any of the operations below; each uses what it needs. */
typedef struct op {
    const tbi_kernels *k;
    void (*run)(const struct op *o, tbi_span rows);
    const float *x, *a, *b;
    float *y;
    int64_t rows, pieces, dim, ldx, ldy, stride;
    float s;
    tb_act act;
    bool flag;
} op;

static void piece(void *ctx, int64_t i, int worker)
{
    (void)worker;
    const op *o = ctx;
    o->run(o, tbi_cut(o->rows, o->pieces, i));
}

static void spread(tb_compute *c, op *o, int64_t numbers_a_row)
{
    o->k = c->k;
    o->pieces = tbi_min(tbi_min(o->rows, PIECES_MOST), o->rows * numbers_a_row / NUMBERS_PER_PIECE);
    if (o->pieces > 1)
        tb_parallel(c, o->pieces, piece, o);
    else if (o->rows > 0)
        o->run(o, (tbi_span){ 0, o->rows });
}

static void layernorm_rows(const op *o, tbi_span rows)
{
    for (int64_t r = rows.from; r < rows.from + rows.count; r++) {
        const float *scale = o->a ? o->a + r * o->stride : NULL,
                    *shift = o->b ? o->b + r * o->stride : NULL;
        o->k->layernorm(o->x + r * o->dim, o->dim, o->s, scale, o->flag, shift, o->y + r * o->dim);
    }
}

void tb_layernorm_modulate(tb_compute *c, const float *x, int64_t rows, int64_t dim, float eps,
                           const float *shift, const float *scale, int64_t mod_stride, float *y)
{
    op o = { .run = layernorm_rows,
             .x = x,
             .a = scale,
             .b = shift,
             .y = y,
             .rows = rows,
             .dim = dim,
             .stride = mod_stride,
             .s = eps,
             .flag = true };
    spread(c, &o, dim);
}

void tb_layernorm(tb_compute *c, const float *x, int64_t rows, int64_t dim, float eps,
                  const float *weight, const float *bias, float *y)
{
    op o = { .run = layernorm_rows,
             .x = x,
             .a = weight,
             .b = bias,
             .y = y,
             .rows = rows,
             .dim = dim,
             .s = eps };
    spread(c, &o, dim);
}

static void rmsnorm_rows(const op *o, tbi_span rows)
{
    for (int64_t r = rows.from; r < rows.from + rows.count; r++)
        o->k->rmsnorm(o->x + r * o->ldx, o->dim, o->s, o->a, o->y + r * o->ldy);
}

void tb_rmsnorm(tb_compute *c, const float *x, int64_t rows, int64_t dim, int64_t ldx, float eps,
                const float *weight, float *y, int64_t ldy)
{
    op o = { .run = rmsnorm_rows,
             .x = x,
             .a = weight,
             .y = y,
             .rows = rows,
             .dim = dim,
             .ldx = ldx,
             .ldy = ldy,
             .s = eps };
    spread(c, &o, dim);
}

/* Elementwise operations treat runs of RUN numbers as rows. */
enum { RUN = 1024 };

static int64_t runs_of(int64_t n)
{
    return tbi_ceil_div(n, RUN);
}

/* The numbers of `rows` runs: first and count. */
static tbi_span numbers(const op *o, tbi_span rows)
{
    const int64_t from = rows.from * RUN;
    return (tbi_span){ from, tbi_min(rows.count * RUN, o->dim - from) };
}

static void activate_rows(const op *o, tbi_span rows)
{
    const tbi_span n = numbers(o, rows);
    o->k->activate(o->act, o->x + n.from, n.count, o->y + n.from);
}

void tb_activate(tb_compute *c, tb_act act, const float *x, int64_t n, float *y)
{
    op o = { .run = activate_rows, .x = x, .y = y, .rows = runs_of(n), .dim = n, .act = act };
    spread(c, &o, RUN);
}

static void mul_rows(const op *o, tbi_span rows)
{
    const tbi_span n = numbers(o, rows);
    o->k->mul(o->a + n.from, o->b + n.from, n.count, o->y + n.from);
}

void tb_mul(tb_compute *c, const float *a, const float *b, int64_t n, float *y)
{
    op o = { .run = mul_rows, .a = a, .b = b, .y = y, .rows = runs_of(n), .dim = n };
    spread(c, &o, RUN);
}

static void axpy_rows(const op *o, tbi_span rows)
{
    const tbi_span n = numbers(o, rows);
    o->k->axpy(o->s, o->x + n.from, n.count, o->y + n.from);
}

void tb_axpy(tb_compute *c, float s, const float *x, int64_t n, float *y)
{
    op o = { .run = axpy_rows, .x = x, .y = y, .rows = runs_of(n), .dim = n, .s = s };
    spread(c, &o, RUN);
}

/* stride: heads */
static void rope_rows(const op *o, tbi_span rows)
{
    for (int64_t r = rows.from; r < rows.from + rows.count; r++) {
        for (int64_t h = 0; h < o->stride; h++)
            o->k->rotate(o->y + r * o->ldy + h * o->dim, o->a + r * o->dim, o->dim / 2);
    }
}

void tb_rope(tb_compute *c, float *x, int64_t rows, int64_t ldx, int64_t heads, int64_t d,
             const float *cos_sin)
{
    assert(d % 2 == 0);
    op o = {
        .run = rope_rows, .a = cos_sin, .y = x, .rows = rows, .dim = d, .ldy = ldx, .stride = heads
    };
    spread(c, &o, heads * d);
}

/* a: angles, b: weight */
static void rmsnorm_rope_rows(const op *o, tbi_span rows)
{
    for (int64_t r = rows.from; r < rows.from + rows.count; r++) {
        float *y = o->y + r * o->ldy;
        o->k->rmsnorm(y, o->stride * o->dim, o->s, o->b, y);
        for (int64_t h = 0; h < o->stride; h++)
            o->k->rotate(y + h * o->dim, o->a + r * o->dim, o->dim / 2);
    }
}

void tb_rmsnorm_rope(tb_compute *c, float *x, int64_t rows, int64_t ldx, int64_t heads, int64_t d,
                     float eps, const float *weight, const float *cos_sin)
{
    assert(d % 2 == 0);
    op o = { .run = rmsnorm_rope_rows,
             .a = cos_sin,
             .b = weight,
             .y = x,
             .rows = rows,
             .dim = d,
             .ldy = ldx,
             .stride = heads,
             .s = eps };
    spread(c, &o, heads * d);
}

static void channel_norm_rows(const op *o, tbi_span rows)
{
    for (int64_t r = rows.from; r < rows.from + rows.count; r++)
        o->k->channel_norm(o->x + r * o->dim, o->dim, o->a, o->flag, o->y + r * o->dim);
}

void tb_channel_norm(tb_compute *c, const float *x, int64_t positions, int64_t channels,
                     const float *gamma, bool silu, float *y)
{
    op o = { .run = channel_norm_rows,
             .x = x,
             .a = gamma,
             .y = y,
             .rows = positions,
             .dim = channels,
             .flag = silu };
    spread(c, &o, channels);
}

/* x [channels][positions] to y [positions][channels] for a span of positions; stride: positions. */
static void to_last_rows(const op *o, tbi_span rows)
{
    o->k->transpose(o->x + rows.from, o->stride, o->dim, rows.count, o->y + rows.from * o->dim,
                    o->dim);
}

void tb_to_channels_last(tb_compute *c, const float *x, int64_t channels, int64_t positions,
                         float *y)
{
    op o = {
        .run = to_last_rows, .x = x, .y = y, .rows = positions, .dim = channels, .stride = positions
    };
    spread(c, &o, channels);
}

static void from_last_rows(const op *o, tbi_span rows)
{
    o->k->transpose(o->x + rows.from * o->dim, o->dim, rows.count, o->dim, o->y + rows.from,
                    o->stride);
}

void tb_from_channels_last(tb_compute *c, const float *x, int64_t channels, int64_t positions,
                           float *y)
{
    op o = { .run = from_last_rows,
             .x = x,
             .y = y,
             .rows = positions,
             .dim = channels,
             .stride = positions };
    spread(c, &o, channels);
}
