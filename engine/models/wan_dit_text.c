/* wan_dit_text.c - what depends on the prompt or on the grid alone, computed once and kept: keys
 * and values of the cross attention for every layer, and rotary angles. */
#include "models/wan_dit_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* Texts that the present run does not use are dropped beyond this many, or this many bytes. */
enum { KEPT_TEXTS = 8 };
#define KEPT_BYTES ((size_t)1 << 30)

static tb_digest digest_of(const tb_wan_dit *m, const tb_wan_dit_input *in)
{
    tb_digest parts[2] = {
        tb_digest_of(in->text, (size_t)(in->text_rows * m->k.text_dim) * sizeof(float)),
        tb_digest_of(in->image,
                     in->image ? (size_t)(in->image_rows * m->k.image_dim) * sizeof(float) : 0),
    };
    return tb_digest_of(parts, sizeof parts);
}

/* T = W2 gelu(W1 c + b1) + b2 for the given rows and, if there is padding, one row of zeros. */
static float *embed_text(const tb_wan_dit *m, tb_compute *c, const tb_wan_dit_input *in,
                         int64_t rows, tb_err *err)
{
    const int64_t d = m->k.dim, td = m->k.text_dim;
    float *x = tb_scratch(c, (size_t)(rows * td), err);
    float *hidden = tb_scratch(c, (size_t)(rows * d), err),
          *y = tb_scratch(c, (size_t)(rows * d), err);
    if (!x || !hidden || !y)
        return NULL;
    memset(x, 0, (size_t)(rows * td) * sizeof *x);
    memcpy(x, in->text, (size_t)(in->text_rows * td) * sizeof *x);
    tb_linear_run(c, m->text_0, x, rows, td, hidden, d, &(tb_epilogue){ .act = TB_ACT_GELU_TANH });
    tb_linear_run(c, m->text_2, hidden, rows, d, y, d, NULL);
    return y;
}

/* I = LN2(W2 gelu_erf(W1 LN1(c) + b1) + b2); these two norms have eps 1e-5. */
static float *embed_image(const tb_wan_dit *m, tb_compute *c, const tb_wan_dit_input *in,
                          tb_err *err)
{
    const int64_t rows = in->image_rows, id = m->k.image_dim, d = m->k.dim;
    float *x = tb_scratch(c, (size_t)(rows * id), err),
          *hidden = tb_scratch(c, (size_t)(rows * id), err);
    float *y = tb_scratch(c, (size_t)(rows * d), err);
    if (!x || !hidden || !y)
        return NULL;
    memcpy(x, in->image, (size_t)(rows * id) * sizeof *x);
    if (m->image_pos)
        tb_axpy(c, 1, m->image_pos, rows * id, x);
    tb_layernorm(c, x, rows, id, 1e-5f, m->image_norm_in.weight, m->image_norm_in.bias, x);
    tb_linear_run(c, m->image_1, x, rows, id, hidden, id, &(tb_epilogue){ .act = TB_ACT_GELU_ERF });
    tb_linear_run(c, m->image_3, hidden, rows, id, y, d, NULL);
    tb_layernorm(c, y, rows, d, 1e-5f, m->image_norm_out.weight, m->image_norm_out.bias, y);
    return y;
}

static void keys_and_values(const tb_wan_dit *m, tb_compute *c, const tb_linear *kv,
                            const float *norm_k, const float *rows, int64_t count, float *out)
{
    const int64_t d = m->k.dim;
    tb_linear_run(c, kv, rows, count, d, out, 2 * d, NULL);
    tb_rmsnorm(c, out, count, d, 2 * d, m->k.eps, norm_k, out, 2 * d);
}

static tb_status fill(const tb_wan_dit *m, tb_compute *c, const tb_wan_dit_input *in, dit_text *t,
                      tb_err *err)
{
    const int64_t d = m->k.dim;
    const size_t mark = tb_scratch_mark(c);
    const float *text = embed_text(m, c, in, t->rows, err);
    const float *image = text && t->image_rows ? embed_image(m, c, in, err) : NULL;
    const bool ok = text && (image || !t->image_rows);
    for (int64_t i = 0; ok && i < m->k.layers; i++) {
        const dit_block *b = &m->blocks[i];
        float *kv = t->kv + i * (t->rows + t->image_rows) * 2 * d;
        keys_and_values(m, c, b->cross_kv, b->cross_norm_k, text, t->rows, kv);
        if (image)
            keys_and_values(m, c, b->image_kv, b->image_norm_k, image, t->image_rows,
                            kv + t->rows * 2 * d);
    }
    tb_scratch_release(c, mark);
    return ok ? TB_OK : TB_ENOMEM;
}

static void drop(tb_wan_dit *m, int i)
{
    tb_mem_free(m->texts[i].kv);
    m->texts[i] = m->texts[--m->text_count];
}

/* Make room for one more: the least recently used go, never those of this run. */
static void make_room(tb_wan_dit *m, size_t bytes)
{
    for (;;) {
        size_t held = bytes;
        int oldest = -1;
        for (int i = 0; i < m->text_count; i++) {
            held += m->texts[i].bytes;
            if (m->texts[i].used != m->run &&
                (oldest < 0 || m->texts[i].used < m->texts[oldest].used))
                oldest = i;
        }
        if (oldest < 0 || (m->text_count < KEPT_TEXTS && held <= KEPT_BYTES))
            return;
        drop(m, oldest);
    }
}

static const dit_text *find(tb_wan_dit *m, const tb_digest *digest)
{
    for (int i = 0; i < m->text_count; i++)
        if (tb_digest_eq(&m->texts[i].digest, digest)) {
            m->texts[i].used = m->run;
            return &m->texts[i];
        }
    return NULL;
}

tb_status tbi_wan_dit_text(tb_wan_dit *m, tb_compute *c, const tb_wan_dit_input *in, dit_text *out,
                           tb_err *err)
{
    const int64_t padded = m->k.text_len - in->text_rows;
    dit_text t = { .digest = digest_of(m, in), .used = m->run };
    const dit_text *kept = find(m, &t.digest);
    if (kept) {
        *out = *kept;
        return TB_OK;
    }
    t.rows = in->text_rows + (padded > 0);
    t.pad_count = padded > 0 ? (float)padded : 1;
    t.image_rows = in->image ? in->image_rows : 0;
    t.bytes = (size_t)(m->k.layers * (t.rows + t.image_rows) * 2 * m->k.dim) * sizeof(float);
    make_room(m, t.bytes);
    t.kv = tb_mem_alloc(t.bytes);
    if (!t.kv)
        return tb_err_set(err, TB_ENOMEM, "no memory for the keys and values of a text (%zu bytes)",
                          t.bytes);
    const tb_status st = fill(m, c, in, &t, err);
    if (st != TB_OK) {
        tb_mem_free(t.kv);
        return st;
    }
    m->texts = tb_xrealloc(m->texts, (size_t)m->text_count + 1, sizeof *m->texts);
    m->texts[m->text_count++] = *out = t;
    return TB_OK;
}

void tbi_wan_dit_drop_texts(tb_wan_dit *m)
{
    while (m->text_count > 0)
        drop(m, m->text_count - 1);
    free(m->texts);
    m->texts = NULL;
}

/* ------------------------------------------------------------------------------------- angles */

/* Angles of one axis: pairs of width n turn by pos * 10000^(-2j/n). */
static float *axis(float *out, int64_t pos, int64_t width)
{
    for (int64_t j = 0; j < width / 2; j++) {
        const double angle = (double)pos * pow(10000, -2.0 * (double)j / (double)width);
        *out++ = (float)cos(angle);
        *out++ = (float)sin(angle);
    }
    return out;
}

/* Head dimension split: rows and columns get 2 floor(d/6) channels each, frames the rest. */
static void fill_angles(float *out, int64_t head_dim, int64_t f, int64_t h, int64_t w)
{
    const int64_t side = 2 * (head_dim / 6), time = head_dim - 2 * side;
    for (int64_t i = 0; i < f; i++)
        for (int64_t y = 0; y < h; y++)
            for (int64_t x = 0; x < w; x++)
                out = axis(axis(axis(out, i, time), y, side), x, side);
}

const float *tbi_wan_dit_rope(tb_wan_dit *m, int64_t f, int64_t h, int64_t w, tb_err *err)
{
    dit_grid *g = NULL;
    for (int i = 0; i < DIT_PACK; i++) {
        dit_grid *at = &m->grids[i];
        if (at->cos_sin && at->f == f && at->h == h && at->w == w) {
            at->used = m->run;
            return at->cos_sin;
        }
        if (!g || at->used < g->used)
            g = at;
    }
    const size_t bytes = (size_t)(f * h * w * m->head_dim) * sizeof(float);
    float *angles = tb_mem_alloc(bytes);
    if (!angles) {
        tb_err_set(err, TB_ENOMEM,
                   "no memory for the rotary angles of %lldx%lldx%lld tokens (%zu bytes)",
                   (long long)f, (long long)h, (long long)w, bytes);
        return NULL;
    }
    fill_angles(angles, m->head_dim, f, h, w);
    tb_mem_free(g->cos_sin);
    *g = (dit_grid){ .f = f, .h = h, .w = w, .used = m->run, .cos_sin = angles };
    return angles;
}
