/* conv.c - causal convolution over channels-last video as an implicit product.
 *
 * The kernel's row of kw taps is one run of kw * in numbers in a channels-last row, so an output
 * position is a row of a product whose k dimension is kt * kh such runs ("segments"), each found at
 * a fixed offset from the position. A piece is a block of rows and columns of one output frame: its
 * input is gathered once, with zero borders and upsampling, into a slab in the worker's scratch;
 * all panels of outputs then read the slab.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "compute/compute_internal.h"
#include "compute/tensor.h"

struct tb_conv {
    tbi_panels panels; /* in: kt*kh*kw*channels, ordered [kt][kh][kw][channels] */
    float *bias;       /* [out] or NULL */
    int64_t in;
    int kt, kh, kw;
};

enum {
    COLUMNS_MOST = 112,
    POSITIONS = 512,          /* of a piece at most */
    SLAB_FLOATS = 160 * 1024, /* 640 KiB: rests in the second-level cache beside a panel */
    PANEL_FLOATS =
        64 * 1024, /* k is walked in groups of segments of at most this much of a panel */
    PIECES_WANTED = 16,
    SEGMENTS_MOST = 64,
};

/* [out][in][taps] to [out][taps][in]. */
static void reorder(const float *w, int64_t out, int64_t in, int64_t taps, float *to)
{
    for (int64_t o = 0; o < out; o++) {
        for (int64_t i = 0; i < in; i++) {
            for (int64_t t = 0; t < taps; t++)
                to[(o * taps + t) * in + i] = w[(o * in + i) * taps + t];
        }
    }
}

static tb_status fill(tb_conv *v, tb_compute *c, const tb_tensor *weight, const tb_tensor *bias,
                      tb_err *err)
{
    const int64_t out = tb_tensor_dim(weight, 0), taps = (int64_t)v->kt * v->kh * v->kw;
    tb_status st = TB_ENOMEM;
    tb_tensor *w = NULL, *b = NULL, *ordered = NULL;
    if (!tbi_panels_init(&v->panels, c->k, TB_F32, out, taps * v->in, err))
        goto done;
    w = tbi_to_f32(c, weight, err);
    ordered = tb_tensor_new(TB_F32, &TB_SHAPE(out, taps * v->in), err);
    if (!w || !ordered)
        goto done;
    reorder(tb_tensor_f32(w), out, v->in, taps, tb_tensor_f32_mut(ordered));
    tbi_panels_fill(&v->panels, c, 0, out, tb_tensor_f32(ordered));
    if (bias) {
        b = tb_tensor_to_f32(bias, err);
        if (!b)
            goto done;
        v->bias = tb_xcalloc((size_t)out, sizeof *v->bias);
        memcpy(v->bias, tb_tensor_f32(b), (size_t)out * sizeof *v->bias);
    }
    tb_tensor_forget(weight);
    st = TB_OK;
done:
    tb_tensor_unref(&w);
    tb_tensor_unref(&b);
    tb_tensor_unref(&ordered);
    return st;
}

static tb_status check_shapes(const tb_tensor *weight, const tb_tensor *bias, tb_err *err)
{
    const tb_shape *s = tb_tensor_shape(weight);
    const int64_t depth = s->n == 5 ? s->d[2] : 1;
    char text[128];
    if ((s->n != 4 && s->n != 5) || tb_tensor_count(weight) < 1 ||
        depth * tb_tensor_dim(weight, -2) > SEGMENTS_MOST)
        return tb_err_set(
            err, TB_EFORMAT,
            "a convolution wants a weight of [out,in,kt,kh,kw] or [out,in,kh,kw] with kt * kh at "
            "most %d, got %s",
            SEGMENTS_MOST, tb_shape_text(s, text, sizeof text));
    if (bias && tb_tensor_count(bias) != s->d[0])
        return tb_err_set(
            err, TB_EFORMAT, "a convolution with %lld outputs wants as many biases, got %s",
            (long long)s->d[0], tb_shape_text(tb_tensor_shape(bias), text, sizeof text));
    return TB_OK;
}

tb_conv *tb_conv_new(tb_compute *c, const tb_tensor *weight, const tb_tensor *bias, tb_err *err)
{
    if (check_shapes(weight, bias, err) != TB_OK)
        return NULL;
    tb_conv *v = tb_xcalloc(1, sizeof *v);
    v->in = tb_tensor_dim(weight, 1);
    v->kt = tb_tensor_shape(weight)->n == 5 ? (int)tb_tensor_dim(weight, 2) : 1;
    v->kh = (int)tb_tensor_dim(weight, -2);
    v->kw = (int)tb_tensor_dim(weight, -1);
    if (fill(v, c, weight, bias, err) != TB_OK)
        tb_conv_free(&v);
    return v;
}

void tb_conv_free(tb_conv **vp)
{
    tb_conv *v = *vp;
    *vp = NULL;
    if (!v)
        return;
    tbi_panels_fini(&v->panels);
    free(v->bias);
    free(v);
}

int64_t tb_conv_in(const tb_conv *k)
{
    return k->in;
}

int64_t tb_conv_out(const tb_conv *k)
{
    return k->panels.out;
}

int tb_conv_kt(const tb_conv *k)
{
    return k->kt;
}

/* One call of tb_conv_run. */
typedef struct conv_job {
    tb_compute *c;
    const tb_conv *v;
    tb_conv_args a; /* strides at least 1 */
    const float *x;
    float *y;
    int64_t h_out, w_out;
    int64_t row_blocks, column_blocks, groups; /* groups of panels */
} conv_job;

/* What a piece computes, and the slab it reads: [frames][rows][columns][in] of the (upsampled,
 * bordered) input. */
typedef struct conv_block {
    int64_t frame;
    tbi_span rows, columns, panels; /* of the output */
    int64_t slab_rows, slab_columns;
    int first_tap; /* frames before it are the zeros before the video and are left out */
    float *slab, *acc;
} conv_block;

/* The input frame under time tap `tap` of an output frame; NULL: zeros. */
static const float *frame_at(const conv_job *j, int64_t frame, int tap)
{
    const int64_t t = frame * j->a.stride_t + tap - (j->v->kt - 1),
                  size = j->a.h * j->a.w * j->v->in;
    if (t >= 0)
        return j->x + t * size;
    return j->a.past ? j->a.past + (t + j->v->kt - 1) * size : NULL;
}

/* `count` columns from `from` (both in the upsampled row) of an input row, zero outside. */
static void gather_row(const conv_job *j, const float *row, int64_t from, int64_t count, float *to)
{
    const int64_t in = j->v->in, up = j->a.upsample2 ? 2 : 1, width = j->a.w * up;
    const int64_t left = from < 0 ? tbi_min(-from, count) : 0;
    const int64_t end = from + count > width ? (width > from ? width - from : 0) : count;
    memset(to, 0, (size_t)(left * in) * sizeof *to);
    if (up == 1 && end > left) {
        memcpy(to + left * in, row + (from + left) * in, (size_t)((end - left) * in) * sizeof *to);
    } else {
        for (int64_t i = left; i < end; i++)
            memcpy(to + i * in, row + (from + i) / 2 * in, (size_t)in * sizeof *to);
    }
    const int64_t zeros_from = end > left ? end : left;
    memset(to + zeros_from * in, 0, (size_t)((count - zeros_from) * in) * sizeof *to);
}

static void gather(const conv_job *j, const conv_block *b)
{
    const int64_t up = j->a.upsample2 ? 2 : 1, stride = j->a.stride_hw,
                  row_size = b->slab_columns * j->v->in;
    const int64_t top = b->rows.from * stride - j->a.pad_before,
                  left = b->columns.from * stride - j->a.pad_before;
    float *to = b->slab;
    for (int tap = b->first_tap; tap < j->v->kt; tap++) {
        const float *frame = frame_at(j, b->frame, tap);
        for (int64_t r = 0; r < b->slab_rows; r++, to += row_size) {
            const int64_t at = top + r;
            if (at < 0 || at >= j->a.h * up)
                memset(to, 0, (size_t)row_size * sizeof *to);
            else
                gather_row(j, frame + at / up * j->a.w * j->v->in, left, b->slab_columns, to);
        }
    }
}

static void store_tile(const conv_job *j, const conv_block *b, int64_t panel, int64_t row,
                       tbi_span columns, const float *acc)
{
    const int64_t nr = j->c->k->nr, out = j->v->panels.out, col = panel * nr;
    const int64_t at = ((b->frame * j->h_out + row) * j->w_out + columns.from) * out + col;
    const tbi_tile_out t = {
        .rows = columns.count,
        .cols = tbi_min(nr, out - col),
        .acc = acc,
        .ld_acc = nr,
        .bias = j->v->bias ? j->v->bias + col : NULL,
        .residual = j->a.residual ? j->a.residual + at : NULL,
        .y = j->y + at,
        .ldy = out,
    };
    j->c->k->tile_out(&t);
}

/* One panel over segments [s, s + count) for all positions of the block. Meanwhile what comes
 * behind it, the next segments or the next panel, is fetched: all weights are walked for each
 * block. */
static void panel_segments(const conv_job *j, const conv_block *b, int64_t panel,
                           const int64_t *offset, int s, int count, int segments)
{
    const tbi_kernels *k = j->c->k;
    const tbi_panels *p = &j->v->panels;
    const int64_t in = j->v->in, k_seg = j->v->kw * in, stride = j->a.stride_hw;
    const int64_t skipped = (int64_t)b->first_tap * j->v->kh * k_seg;
    const float *weights = (const float *)p->data + (panel * p->in + skipped + s * k_seg) * k->nr;
    const float *next = weights + count * k_seg * k->nr;
    const int64_t tiles = tbi_ceil_div(b->columns.count, k->mr);
    const int64_t line = TBI_LINE_BYTES / (int64_t)sizeof(float), lines = k->nr / line;
    for (int64_t i = 0; i < b->rows.count * tiles; i++) {
        const int64_t row = i / tiles;
        const tbi_span span = tbi_cut(b->columns.count, tiles, i % tiles);
        const int64_t at = row * b->columns.count + span.from;
        const tbi_tile t = {
            .rows = (int)span.count,
            .cols = (int)tbi_min(k->nr, p->out - panel * k->nr),
            .a = b->slab + (row * b->slab_columns + span.from) * stride * in,
            .lda = stride * in,
            .seg = offset + s,
            .segs = count,
            .k_seg = k_seg,
            .panel = weights,
            .ahead = i < lines ? next + i * count * k_seg * line : weights,
            .acc = count < segments ? b->acc + at * k->nr : b->acc,
            .ld_acc = k->nr,
            .first = s == 0,
        };
        k->tile(&t);
        if (s + count == segments)
            store_tile(j, b, panel, b->rows.from + row,
                       (tbi_span){ b->columns.from + span.from, span.count }, t.acc);
    }
}

static void block_products(const conv_job *j, const conv_block *b)
{
    const int kh = j->v->kh, segments = (j->v->kt - b->first_tap) * kh;
    const int64_t k_seg = j->v->kw * j->v->in;
    int64_t offset[SEGMENTS_MOST];
    for (int s = 0; s < segments; s++)
        offset[s] = (s / kh * b->slab_rows + s % kh) * b->slab_columns * j->v->in;
    const int64_t fit = PANEL_FLOATS / (k_seg * j->c->k->nr);
    const int step = (int)tbi_min(segments, fit > 1 ? fit : 1);
    for (int64_t p = 0; p < b->panels.count; p++) {
        for (int s = 0; s < segments; s += step)
            panel_segments(j, b, b->panels.from + p, offset, s, (int)tbi_min(step, segments - s),
                           segments);
    }
}

/* Time taps before this one fall on the zeros before the video. */
static int first_tap(const conv_job *j, int64_t frame)
{
    int tap = 0;
    while (!frame_at(j, frame, tap))
        tap++;
    return tap;
}

static void conv_piece(void *ctx, int64_t i, int worker)
{
    const conv_job *j = ctx;
    conv_block b = { 0 };
    b.panels = tbi_cut(j->v->panels.count, j->groups, i % j->groups);
    i /= j->groups;
    b.columns = tbi_cut(j->w_out, j->column_blocks, i % j->column_blocks);
    i /= j->column_blocks;
    b.rows = tbi_cut(j->h_out, j->row_blocks, i % j->row_blocks);
    b.frame = i / j->row_blocks;
    b.slab_rows = (b.rows.count - 1) * j->a.stride_hw + j->v->kh;
    b.slab_columns = (b.columns.count - 1) * j->a.stride_hw + j->v->kw;
    b.first_tap = first_tap(j, b.frame);
    b.acc = tbi_worker_scratch(j->c, worker);
    b.slab = b.acc + POSITIONS * TBI_MAX_NR;
    gather(j, &b);
    block_products(j, &b);
}

static int64_t slab_floats(const conv_job *j, int64_t rows, int64_t columns)
{
    const int64_t s = j->a.stride_hw;
    return j->v->kt * ((rows - 1) * s + j->v->kh) * ((columns - 1) * s + j->v->kw) * j->v->in;
}

/* Block sizes by shape alone: as many positions as keep the slab small, whole rows if they fit;
 * fewer when there would be too few pieces to share, down to two rows (gathering costs (rows + kh -
 * 1) / rows). */
static void choose_blocks(conv_job *j, int64_t t_out)
{
    const int64_t panels = j->v->panels.count;
    int64_t columns = tbi_min(j->w_out, COLUMNS_MOST), rows = 1;
    while (columns > j->c->k->mr && slab_floats(j, 1, columns) > SLAB_FLOATS)
        columns = tbi_ceil_div(columns, 2);
    while (rows < j->h_out && (rows + 1) * columns <= POSITIONS &&
           slab_floats(j, rows + 1, columns) <= SLAB_FLOATS)
        rows++;
    j->column_blocks = tbi_ceil_div(j->w_out, columns);
    while (rows > 2 &&
           t_out * j->column_blocks * tbi_ceil_div(j->h_out, rows) * panels < PIECES_WANTED)
        rows = tbi_ceil_div(rows, 2);
    j->row_blocks = tbi_ceil_div(j->h_out, rows);
    j->groups = t_out * j->column_blocks * j->row_blocks < PIECES_WANTED ? panels : 1;
}

/* The frames that see all taps count as one product, those at the start one each. */
static void tell(const conv_job *j, int64_t t_out)
{
    const int64_t depth = (int64_t)j->v->kh * j->v->kw * j->v->in, positions = j->h_out * j->w_out;
    int64_t whole = t_out;
    for (int64_t f = 0; f < t_out && first_tap(j, f) > 0; f++, whole--)
        tbi_tell(j->c, positions, j->v->panels.out, (j->v->kt - first_tap(j, f)) * depth, 1);
    tbi_tell(j->c, whole * positions, j->v->panels.out, j->v->kt * depth, whole > 0);
}

void tb_conv_run(tb_compute *c, const tb_conv *v, const tb_conv_args *a, const float *x, float *y)
{
    const int64_t up = a->upsample2 ? 2 : 1;
    conv_job j = { .c = c, .v = v, .a = *a, .x = x, .y = y };
    j.a.stride_t = a->stride_t > 0 ? a->stride_t : 1;
    j.a.stride_hw = a->stride_hw > 0 ? a->stride_hw : 1;
    assert(a->t >= 1 && a->h * up + a->pad_before + a->pad_after >= v->kh &&
           a->w * up + a->pad_before + a->pad_after >= v->kw);
    const int64_t t_out = (a->t - 1) / j.a.stride_t + 1;
    j.h_out = (a->h * up + a->pad_before + a->pad_after - v->kh) / j.a.stride_hw + 1;
    j.w_out = (a->w * up + a->pad_before + a->pad_after - v->kw) / j.a.stride_hw + 1;
    choose_blocks(&j, t_out);
    tell(&j, t_out);
    tb_parallel(c, t_out * j.row_blocks * j.column_blocks * j.groups, conv_piece, &j);
}
