/* wan_vae_stream.c - one chunk of frames through the operations of a half.
 *
 * Every causal convolution keeps its last two input frames, so chunks of any length give what the
 * whole sequence would. Four buffers rotate: the activation, up to two intermediates, and a level's
 * input.
 */
#include "models/wan_vae_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { BUFFERS = 4 };

/* One pass from some operation on. */
typedef struct pass {
    vae_stream *s;
    float *buffer[BUFFERS];
    vae_act x, level; /* level.x NULL: not inside one */
} pass;

static int64_t positions(const vae_act *a)
{
    return a->t * a->h * a->w;
}

/* A buffer that is neither the activation, nor the level's input, nor `other`. */
static float *spare(const pass *p, const float *other)
{
    for (int i = 0; i < BUFFERS; i++)
        if (p->buffer[i] != p->x.x && p->buffer[i] != p->level.x && p->buffer[i] != other)
            return p->buffer[i];
    return NULL;
}

/* ------------------------------------------------------------------------------------- caches */

static vae_cache *cache_of(const pass *p, const vae_op *op, int slot)
{
    return &p->s->caches[2 * (op - p->s->half->ops) + slot];
}

static tb_status cache_room(vae_cache *k, int64_t floats, tb_err *err)
{
    if (k->frames)
        return TB_OK;
    k->frames = tb_mem_alloc((size_t)floats * sizeof *k->frames);
    if (k->frames)
        return TB_OK;
    return tb_err_set(err, TB_ENOMEM,
                      "no memory for the VAE's cached frames (%zu bytes more); choose a smaller "
                      "size or decode in "
                      "tiles",
                      (size_t)floats * sizeof *k->frames);
}

/* The last two frames of what has been seen: [cache ; x]. */
static void keep_past(vae_cache *k, const float *x, int64_t t, int64_t frame)
{
    const size_t bytes = (size_t)frame * sizeof *x;
    if (t > 1) {
        memcpy(k->frames, x + (t - 2) * frame, 2 * bytes);
    } else {
        if (k->filled)
            memcpy(k->frames, k->frames + frame, bytes);
        else
            memset(k->frames, 0, bytes);
        memcpy(k->frames + frame, x, bytes);
    }
    k->filled = true;
}

/* y = conv(x) + residual, with memory of earlier chunks. pad: of rows and columns. */
static tb_status causal(const pass *p, const vae_op *op, int slot, const tb_conv *conv, int pad,
                        const vae_act *in, const float *residual, float *y, tb_err *err)
{
    vae_cache *k = cache_of(p, op, slot);
    const int64_t frame = in->h * in->w * tb_conv_in(conv);
    TB_TRY(cache_room(k, 2 * frame, err));
    const tb_conv_args a = { .t = in->t,
                             .h = in->h,
                             .w = in->w,
                             .past = k->filled ? k->frames : NULL,
                             .pad_before = pad,
                             .pad_after = pad,
                             .residual = residual };
    tb_conv_run(p->s->c, conv, &a, in->x, y);
    keep_past(k, in->x, in->t, frame);
    return TB_OK;
}

/* --------------------------------------------------------------------------------- operations */

static tb_status run_conv(pass *p, const vae_op *op, tb_err *err)
{
    vae_act in = p->x;
    float *b = spare(p, NULL), *y = spare(p, b);
    if (op->norm_1) {
        tb_channel_norm(p->s->c, in.x, positions(&in), op->in, op->norm_1, true, b);
        in.x = b;
    }
    TB_TRY(causal(p, op, 0, op->conv_1, 1, &in, NULL, y, err));
    p->x.x = y;
    p->x.c = op->out;
    return TB_OK;
}

static tb_status run_residual(pass *p, const vae_op *op, tb_err *err)
{
    const int64_t n = positions(&p->x);
    float *b = spare(p, NULL), *h = spare(p, b);
    vae_act in = p->x;
    tb_channel_norm(p->s->c, p->x.x, n, op->in, op->norm_1, true, b);
    in.x = b;
    TB_TRY(causal(p, op, 0, op->conv_1, 1, &in, NULL, h, err));
    tb_channel_norm(p->s->c, h, n, op->out, op->norm_2, true, h);
    const float *shortcut = p->x.x;
    if (op->linear_1) {
        tb_linear_run(p->s->c, op->linear_1, p->x.x, n, op->in, b, op->out, NULL);
        shortcut = b;
    }
    in.x = h;
    TB_TRY(causal(p, op, 1, op->conv_2, 1, &in, shortcut, b, err));
    p->x.x = b;
    p->x.c = op->out;
    return TB_OK;
}

static tb_status run_attention(pass *p, const vae_op *op)
{
    const int64_t c = op->in, plane = p->x.h * p->x.w;
    float *b = spare(p, NULL), *qkv = spare(p, b);
    tb_channel_norm(p->s->c, p->x.x, positions(&p->x), c, op->norm_1, false, b);
    tb_linear_run(p->s->c, op->linear_1, b, positions(&p->x), c, qkv, 3 * c, NULL);
    const tb_attention a = { .nq = plane,
                             .nk = plane,
                             .heads = 1,
                             .d = c,
                             .ldq = 3 * c,
                             .ldk = 3 * c,
                             .ldv = 3 * c,
                             .ldo = c,
                             .scale = (float)(1 / sqrt((double)c)) };
    for (int64_t i = 0; i < p->x.t; i++) {
        const float *q = qkv + i * plane * 3 * c;
        tb_attention_run(p->s->c, &a, q, q + c, q + 2 * c, b + i * plane * c);
    }
    tb_linear_run(p->s->c, op->linear_2, b, positions(&p->x), c, qkv, c,
                  &(tb_epilogue){ .residual = p->x.x });
    p->x.x = qkv;
    return TB_OK;
}

/* Halves the frames x of a chunk; x has room for one frame in front, where the last one of the
 * chunk before goes: out_k = b + W0 s_(2k-2) + W1 s_(2k-1) + W2 s_2k. The very first frame passes
 * as it is. */
static tb_status halve_frames(pass *p, const vae_op *op, float *y, tb_err *err)
{
    const int64_t t = p->x.t, frame = p->x.h * p->x.w * op->out;
    float *x = p->x.x, *before = x - frame;
    vae_cache *k = cache_of(p, op, 1);
    TB_TRY(cache_room(k, frame, err));
    if (p->s->first) {
        memcpy(y, x, (size_t)(t * frame) * sizeof *y);
    } else {
        memcpy(before, k->frames, (size_t)frame * sizeof *x);
        const tb_conv_args a = {
            .t = t - 1, .h = p->x.h, .w = p->x.w, .past = before, .stride_t = 2
        };
        tb_conv_run(p->s->c, op->conv_2, &a, x + frame, y);
        p->x.t = t / 2;
    }
    memcpy(k->frames, x + (t - 1) * frame, (size_t)frame * sizeof *x);
    p->x.x = y;
    return TB_OK;
}

static tb_status run_down(pass *p, const vae_op *op, tb_err *err)
{
    float *b = spare(p, NULL), *y = spare(p, b);
    const tb_conv_args a = {
        .t = p->x.t, .h = p->x.h, .w = p->x.w, .stride_hw = 2, .pad_after = 1
    };
    float *halved = op->conv_2 ? b + p->x.h / 2 * (p->x.w / 2) * op->out : b;
    tb_conv_run(p->s->c, op->conv_1, &a, p->x.x, halved);
    p->x = (vae_act){ halved, p->x.t, p->x.h / 2, p->x.w / 2, op->out };
    return op->conv_2 ? halve_frames(p, op, y, err) : TB_OK;
}

/* [t][plane][2c] to [2t][plane][c]: the first half of the channels is the earlier frame. */
static void interleave(const float *x, int64_t t, int64_t plane, int64_t c, float *y)
{
    for (int64_t i = 0; i < t; i++)
        for (int64_t j = 0; j < plane; j++)
            for (int64_t half = 0; half < 2; half++)
                memcpy(y + ((2 * i + half) * plane + j) * c, x + ((i * plane + j) * 2 + half) * c,
                       (size_t)c * sizeof *y);
}

/* The first frame passes; later ones are doubled by a causal convolution that has never seen it. */
static tb_status run_up(pass *p, const vae_op *op, tb_err *err)
{
    float *b = spare(p, NULL), *h = spare(p, b);
    if (op->conv_2 && !p->s->first) {
        TB_TRY(causal(p, op, 1, op->conv_2, 0, &p->x, NULL, b, err));
        interleave(b, p->x.t, p->x.h * p->x.w, op->in, h);
        p->x.x = h;
        p->x.t *= 2;
    }
    const tb_conv_args a = {
        .t = p->x.t, .h = p->x.h, .w = p->x.w, .pad_before = 1, .pad_after = 1, .upsample2 = true
    };
    tb_conv_run(p->s->c, op->conv_1, &a, p->x.x, b);
    p->x = (vae_act){ b, p->x.t, 2 * p->x.h, 2 * p->x.w, op->out };
    return TB_OK;
}

static tb_status run_op(pass *p, const vae_op *op, tb_err *err)
{
    float *y;
    switch (op->kind) {
    case VAE_LINEAR:
        y = spare(p, NULL);
        tb_linear_run(p->s->c, op->linear_1, p->x.x, positions(&p->x), op->in, y, op->out, NULL);
        p->x.x = y;
        p->x.c = op->out;
        return TB_OK;
    case VAE_CONV: return run_conv(p, op, err);
    case VAE_RESIDUAL: return run_residual(p, op, err);
    case VAE_ATTENTION: return run_attention(p, op);
    case VAE_DOWN: return run_down(p, op, err);
    case VAE_UP: return run_up(p, op, err);
    case VAE_ENTER: p->level = p->x; return TB_OK;
    case VAE_LEAVE:
        if (p->s->down)
            tbi_vae_add_down(p->s->c, op, &p->level, &p->x);
        else
            tbi_vae_add_up(p->s->c, op, &p->level, p->s->first, &p->x);
        p->level.x = NULL;
        return TB_OK;
    }
    return TB_EINTERNAL;
}

/* -------------------------------------------------------------------------------------- sizes */

static int64_t largest(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* The largest buffer operations first..last-1 want; *a becomes the shape behind them. */
static int64_t buffer_floats(const vae_stream *s, int first, int last, vae_act *a)
{
    int64_t most = positions(a) * a->c;
    for (int i = first; i < last; i++) {
        const vae_op *op = &s->half->ops[i];
        const bool timed = op->conv_2 && !s->first;
        most = largest(most, positions(a) * (op->kind == VAE_ATTENTION ? 3 * op->in : op->in));
        if (op->kind == VAE_DOWN) {
            a->h /= 2;
            a->w /= 2;
            most = largest(most, (a->t + 1) * a->h * a->w * op->out);
            a->t = timed ? a->t / 2 : a->t;
        } else if (op->kind == VAE_UP) {
            most = largest(most, positions(a) * (timed ? 2 * op->in : op->in));
            a->h *= 2;
            a->w *= 2;
            a->t = timed ? 2 * a->t : a->t;
        }
        if (op->kind != VAE_ENTER && op->kind != VAE_LEAVE)
            a->c = op->out;
        most = largest(most, positions(a) * a->c);
    }
    return most;
}

/* ------------------------------------------------------------------------------------- passes */

static tb_status run_range(vae_stream *s, int first, int last, const vae_act *in, vae_act *out,
                           tb_err *err)
{
    vae_act shape = *in;
    const int64_t floats = buffer_floats(s, first, last, &shape);
    pass p = { .s = s, .x = *in };
    for (int i = 0; i < BUFFERS; i++)
        if (!(p.buffer[i] = tb_scratch(s->c, (size_t)floats, err)))
            return TB_ENOMEM;
    tb_compute_watch(s->c, s->cancel);
    tb_status st = TB_OK;
    for (int i = first; i < last && st == TB_OK; i++)
        st = s->cancel && atomic_load_explicit(s->cancel, memory_order_relaxed)
                 ? TB_ECANCELED
                 : run_op(&p, &s->half->ops[i], err);
    if (tb_compute_unwatch(s->c) || st == TB_ECANCELED)
        return tb_err_set(err, TB_ECANCELED, "canceled inside the VAE");
    *out = p.x;
    return st;
}

static tb_status run_rest(vae_stream *s, const vae_act *x, tb_err *err)
{
    vae_act out;
    const size_t mark = tb_scratch_mark(s->c);
    tb_status st = run_range(s, s->half->settled, s->half->count, x, &out, err);
    if (st == TB_OK)
        st = s->sink(s->ctx, &out, err);
    tb_scratch_release(s->c, mark);
    return st;
}

tb_status tbi_vae_stream_run(vae_stream *s, const vae_act *in, tb_err *err)
{
    const size_t mark = tb_scratch_mark(s->c);
    vae_act x = { 0 };
    tb_status st = run_range(s, 0, s->half->settled, in, &x, err);
    vae_act shape = x;
    if (st == TB_OK &&
        buffer_floats(s, s->half->settled, s->half->count, &shape) <= s->m->split_above) {
        st = run_rest(s, &x, err);
    } else {
        const int64_t frame = x.h * x.w * x.c;
        for (int64_t i = 0; st == TB_OK && i < x.t; i++)
            st = run_rest(s, &(vae_act){ x.x + i * frame, 1, x.h, x.w, x.c }, err);
    }
    tb_scratch_release(s->c, mark);
    s->first = false;
    return st;
}

void tbi_vae_stream_init(vae_stream *s, const tb_wan_vae *m, bool encoder, tb_compute *c,
                         const atomic_bool *cancel)
{
    const vae_half *half = encoder ? &m->encoder : &m->decoder;
    *s = (vae_stream){
        .m = m, .half = half, .down = encoder, .c = c, .cancel = cancel, .first = true
    };
    s->caches = tb_xcalloc(2 * (size_t)half->count, sizeof *s->caches);
}

void tbi_vae_stream_fini(vae_stream *s)
{
    for (int i = 0; i < 2 * s->half->count; i++)
        tb_mem_free(s->caches[i].frames);
    free(s->caches);
}
