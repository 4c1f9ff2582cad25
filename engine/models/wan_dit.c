/* wan_dit.c - the forward pass of the Wan transformer.
 *
 * All inputs of a pack stand one after another as rows [tokens][dim]. Products run over all rows at
 * once; attention runs inside each input. Modulation differs where timesteps differ, so the rows
 * are cut into segments of equal timestep: one per input, or, with a timestep per token, one per
 * run of equal ones. Residual stream, norms, modulation and softmax are f32.
 */
#include "models/wan_dit_internal.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

typedef struct segment {
    int64_t first, rows;
    float t;
} segment;

typedef struct pack {
    tb_wan_dit *m;
    tb_compute *c;
    int count;
    const tb_wan_dit_input *in;
    int64_t tokens[DIT_PACK], first[DIT_PACK]; /* rows of input i: first .. first + tokens - 1 */
    dit_text text[DIT_PACK];
    const float *cos_sin[DIT_PACK];
    int64_t rows;

    segment *segments;
    int64_t segment_count;

    float *x;    /* [rows][dim]: residual stream */
    float *z;    /* [rows][dim]: normalised */
    float *wide; /* [rows][max(3 dim, ffn)]: q k v; hidden; patches; head output */
    float *a;    /* [rows][dim]: attention output */
    float *e;    /* [segments][dim]: time embedding */
    float *e6;   /* [segments][6][dim]: its projection */
    float *mod;  /* [segments][6][dim]: of the present block */
} pack;

/* ------------------------------------------------------------------------------------- inputs */

static tb_status check_input(const tb_wan_dit *m, const tb_wan_dit_input *in, tb_err *err)
{
    const tb_wan_dit_config *k = &m->k;
    const long long tokens = (long long)(in->f * (in->h / 2) * (in->w / 2));
    if (in->f < 1 || in->h < 2 || in->w < 2 || in->h % 2 || in->w % 2)
        return tb_err_set(
            err, TB_EINVAL,
            "the latent must have an even number of rows and columns, got %lld frames of "
            "%lldx%lld (width x height); choose a size that is a multiple of twice the VAE's "
            "stride",
            (long long)in->f, (long long)in->w, (long long)in->h);
    if (in->text_rows < 0 || in->text_rows > k->text_len)
        return tb_err_set(err, TB_EINVAL,
                          "a text may have 0..%lld tokens with this model, got %lld",
                          (long long)k->text_len, (long long)in->text_rows);
    if (in->t_count != 1 && in->t_count != tokens)
        return tb_err_set(err, TB_EINVAL,
                          "timesteps must be 1 or one for each of %lld tokens, got %lld", tokens,
                          (long long)in->t_count);
    if (k->image_dim && !in->image)
        return tb_err_set(
            err, TB_EINVAL,
            "this image-to-video model wants CLIP image features of width %lld, got none: encode "
            "the picture with clip_vision_encode and join it with condition_image",
            (long long)k->image_dim);
    if (!k->image_dim && in->image)
        return tb_err_set(err, TB_EINVAL, "this model takes no CLIP image features");
    if (k->image_rows && in->image_rows > k->image_rows)
        return tb_err_set(err, TB_EINVAL,
                          "this model takes at most %lld rows of CLIP image features, got %lld",
                          (long long)k->image_rows, (long long)in->image_rows);
    return TB_OK;
}

static tb_status lay_out(pack *p, tb_err *err)
{
    for (int i = 0; i < p->count; i++) {
        const tb_wan_dit_input *in = &p->in[i];
        TB_TRY(check_input(p->m, in, err));
        p->first[i] = p->rows;
        p->tokens[i] = in->f * (in->h / 2) * (in->w / 2);
        p->rows += p->tokens[i];
    }
    for (int i = 0; i < p->count; i++) {
        const tb_wan_dit_input *in = &p->in[i];
        TB_TRY(tbi_wan_dit_text(p->m, p->c, in, &p->text[i], err));
        p->cos_sin[i] = tbi_wan_dit_rope(p->m, in->f, in->h / 2, in->w / 2, err);
        if (!p->cos_sin[i])
            return TB_ENOMEM;
    }
    return TB_OK;
}

/* Runs of equal timesteps; writes them when `out` is given. */
static int64_t cut_segments(const pack *p, segment *out)
{
    int64_t n = 0;
    float last = 0;
    for (int i = 0; i < p->count; i++) {
        const tb_wan_dit_input *in = &p->in[i];
        for (int64_t j = 0; j < in->t_count; j++) {
            const int64_t rows = in->t_count == 1 ? p->tokens[i] : 1;
            if (n == 0 || in->t[j] != last) {
                if (out)
                    out[n] = (segment){ p->first[i] + j, 0, in->t[j] };
                last = in->t[j];
                n++;
            }
            if (out)
                out[n - 1].rows += rows;
        }
    }
    return n;
}

static int64_t wide_columns(const tb_wan_dit_config *k)
{
    const int64_t a = k->ffn_dim > 3 * k->dim ? k->ffn_dim : 3 * k->dim;
    return a > 4 * k->in_dim ? a : 4 * k->in_dim;
}

static tb_status reserve(pack *p, tb_err *err)
{
    const int64_t d = p->m->k.dim, n = p->segment_count = cut_segments(p, NULL);
    const size_t segment_floats = ((size_t)n * sizeof(segment) + sizeof(float) - 1) / sizeof(float);
    const struct {
        float **at;
        int64_t count;
    } want[] = { { &p->x, p->rows * d }, { &p->z, p->rows * d },
                 { &p->a, p->rows * d }, { &p->wide, p->rows * wide_columns(&p->m->k) },
                 { &p->e, n * d },       { &p->e6, n * 6 * d },
                 { &p->mod, n * 6 * d } };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        if (!(*want[i].at = tb_scratch(p->c, (size_t)want[i].count, err)))
            return TB_ENOMEM;
    p->segments = (segment *)(void *)tb_scratch(p->c, segment_floats, err);
    if (!p->segments)
        return TB_ENOMEM;
    cut_segments(p, p->segments);
    return TB_OK;
}

int64_t tb_wan_dit_image_rows(int64_t image_dim, int64_t image_rows)
{
    return image_dim < 1 ? 0 : image_rows > 0 ? image_rows : 257;
}

size_t tb_wan_dit_scratch(const tb_wan_dit_config *k, int64_t f, int64_t h, int64_t w)
{
    const int64_t rows = f * (h / 2) * (w / 2), d = k->dim;
    const int64_t pass = rows * (3 * d + wide_columns(k)) + 13 * d;
    const int64_t text = k->text_len * (k->text_dim + 2 * d + 2 * d * k->layers);
    const int64_t image = tb_wan_dit_image_rows(k->image_dim, k->image_rows) *
                          (2 * k->image_dim + d + 2 * d * k->layers);
    const int64_t angles = k->heads > 0 ? rows * (d / k->heads) : 0;
    return (size_t)(pass + text + image + angles) * sizeof(float);
}

/* ------------------------------------------------------------------- patches in, patches out */

/* One channel plane [h][w] into its 4 columns of the patch rows. */
static void gather(const float *plane, int64_t h, int64_t w, int64_t columns, float *rows)
{
    for (int64_t y = 0; y < h / 2; y++)
        for (int64_t x = 0; x < w / 2; x++, rows += columns) {
            const float *at = plane + 2 * y * w + 2 * x;
            rows[0] = at[0];
            rows[1] = at[1];
            rows[2] = at[w];
            rows[3] = at[w + 1];
        }
}

/* Rows [tokens][in_dim * 4], channel-major inside a patch; absent channels are zero. */
static void patchify(const tb_wan_dit_config *k, const tb_wan_dit_input *in, float *rows)
{
    const int64_t columns = 4 * k->in_dim, plane = in->h * in->w, tokens = plane / 4;
    if (!in->extra && k->in_dim > k->out_dim)
        memset(rows, 0, (size_t)(in->f * tokens * columns) * sizeof *rows);
    for (int64_t ch = 0; ch < k->in_dim; ch++) {
        const bool noisy = ch < k->out_dim;
        const float *video = noisy       ? in->x + ch * in->f * plane
                             : in->extra ? in->extra + (ch - k->out_dim) * in->f * plane
                                         : NULL;
        for (int64_t i = 0; video && i < in->f; i++)
            gather(video + i * plane, in->h, in->w, columns, rows + i * tokens * columns + 4 * ch);
    }
}

/* Rows [tokens][2][2][out_dim], channel-minor inside a patch, to [out_dim][f][h][w]. */
static void unpatchify(const tb_wan_dit_config *k, const tb_wan_dit_input *in, const float *rows,
                       float *out)
{
    const int64_t plane = in->h * in->w, n = k->out_dim;
    for (int64_t i = 0; i < in->f; i++)
        for (int64_t y = 0; y < in->h / 2; y++)
            for (int64_t x = 0; x < in->w / 2; x++, rows += 4 * n)
                for (int64_t ch = 0; ch < n; ch++) {
                    float *at = out + (ch * in->f + i) * plane + 2 * y * in->w + 2 * x;
                    at[0] = rows[ch];
                    at[1] = rows[n + ch];
                    at[in->w] = rows[2 * n + ch];
                    at[in->w + 1] = rows[3 * n + ch];
                }
}

static void embed_patches(pack *p)
{
    const tb_wan_dit_config *k = &p->m->k;
    const int64_t columns = 4 * k->in_dim;
    for (int i = 0; i < p->count; i++)
        patchify(k, &p->in[i], p->wide + p->first[i] * columns);
    tb_linear_run(p->c, p->m->patch, p->wide, p->rows, columns, p->x, k->dim, NULL);
}

/* --------------------------------------------------------------------------------------- time */

/* [cos, sin](t 10000^(-j/half)), cosines first. */
static void sinusoid(float t, int64_t freq_dim, float *out)
{
    const int64_t half = freq_dim / 2;
    for (int64_t j = 0; j < half; j++) {
        const double angle = (double)t * pow(10000, -(double)j / (double)half);
        out[j] = (float)cos(angle);
        out[half + j] = (float)sin(angle);
    }
}

/* e = W2 silu(W1 s + b1) + b2; e6 = Wt silu(e) + bt. */
static tb_status embed_time(pack *p, tb_err *err)
{
    const tb_wan_dit *m = p->m;
    const int64_t d = m->k.dim, fd = m->k.freq_dim, n = p->segment_count;
    const size_t mark = tb_scratch_mark(p->c);
    float *s = tb_scratch(p->c, (size_t)(n * fd), err),
          *hidden = tb_scratch(p->c, (size_t)(n * d), err);
    if (s && hidden) {
        for (int64_t i = 0; i < n; i++)
            sinusoid(p->segments[i].t, fd, s + i * fd);
        tb_linear_run(p->c, m->time_0, s, n, fd, hidden, d, &(tb_epilogue){ .act = TB_ACT_SILU });
        tb_linear_run(p->c, m->time_2, hidden, n, d, p->e, d, NULL);
        tb_activate(p->c, TB_ACT_SILU, p->e, n * d, hidden);
        tb_linear_run(p->c, m->time_proj, hidden, n, d, p->e6, 6 * d, NULL);
    }
    tb_scratch_release(p->c, mark);
    return s && hidden ? TB_OK : TB_ENOMEM;
}

/* -------------------------------------------------------------------------------------- block */

static void add_rows(const float *a, const float *b, int64_t n, float *out)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = a[i] + b[i];
}

/* z = LN(x) (1 + scale) + shift with the given rows of the modulation. */
static void modulated_norm(pack *p, const float *mod, int64_t mod_rows, int shift, int scale)
{
    const int64_t d = p->m->k.dim;
    for (int64_t i = 0; i < p->segment_count; i++) {
        const segment *s = &p->segments[i];
        const float *m = mod + i * mod_rows * d;
        tb_layernorm_modulate(p->c, p->x + s->first * d, s->rows, d, p->m->k.eps, m + shift * d,
                              m + scale * d, 0, p->z + s->first * d);
    }
}

/* x += gate * (W in + b) with the given row of the modulation. */
static void gated_product(pack *p, const tb_linear *l, const float *in, int gate)
{
    const int64_t d = p->m->k.dim, columns = tb_linear_in(l);
    for (int64_t i = 0; i < p->segment_count; i++) {
        const segment *s = &p->segments[i];
        float *x = p->x + s->first * d;
        const tb_epilogue e = { .gate = p->mod + (i * 6 + gate) * d, .residual = x };
        tb_linear_run(p->c, l, in + s->first * columns, s->rows, columns, x, d, &e);
    }
}

static tb_attention attention_shape(const pack *p, int i, int64_t ldq, int64_t ldkv)
{
    const tb_wan_dit *m = p->m;
    return (tb_attention){ .nq = p->tokens[i],
                           .nk = p->tokens[i],
                           .heads = m->k.heads,
                           .d = m->head_dim,
                           .ldq = ldq,
                           .ldk = ldkv,
                           .ldv = ldkv,
                           .ldo = m->k.dim,
                           .scale = (float)(1 / sqrt((double)m->head_dim)) };
}

static void self_attention(pack *p, const dit_block *b)
{
    const tb_wan_dit *m = p->m;
    const int64_t d = m->k.dim, ld = 3 * d;
    modulated_norm(p, p->mod, 6, 0, 1);
    tb_linear_run(p->c, b->qkv, p->z, p->rows, d, p->wide, ld, NULL);
    for (int i = 0; i < p->count; i++) {
        float *q = p->wide + p->first[i] * ld;
        const float *const weight[] = { b->norm_q, b->norm_k };
        for (int part = 0; part < 2; part++)
            tb_rmsnorm_rope(p->c, q + part * d, p->tokens[i], ld, m->k.heads, m->head_dim, m->k.eps,
                            weight[part], p->cos_sin[i]);
        const tb_attention a = attention_shape(p, i, ld, ld);
        tb_attention_run(p->c, &a, q, q + d, q + 2 * d, p->a + p->first[i] * d);
    }
    gated_product(p, b->o, p->a, 2);
}

/* Text and image are attended apart and summed. The padded text rows are one key that counts often.
 */
static void cross_attention(pack *p, const dit_block *b, int64_t layer)
{
    const tb_wan_dit *m = p->m;
    const int64_t d = m->k.dim;
    tb_layernorm(p->c, p->x, p->rows, d, m->k.eps, b->norm3.weight, b->norm3.bias, p->z);
    tb_linear_run(p->c, b->cross_q, p->z, p->rows, d, p->wide, d, NULL);
    tb_rmsnorm(p->c, p->wide, p->rows, d, d, m->k.eps, b->cross_norm_q, p->wide, d);
    for (int i = 0; i < p->count; i++) {
        const dit_text *t = &p->text[i];
        const float *q = p->wide + p->first[i] * d;
        const float *kv = t->kv + layer * (t->rows + t->image_rows) * 2 * d;
        tb_attention a = attention_shape(p, i, d, 2 * d);
        a.nk = t->rows;
        a.last_key_count = t->pad_count;
        tb_attention_run(p->c, &a, q, kv, kv + d, p->a + p->first[i] * d);
        if (!t->image_rows)
            continue;
        kv += t->rows * 2 * d;
        a.nk = t->image_rows;
        a.last_key_count = 1;
        tb_attention_run(p->c, &a, q, kv, kv + d, p->z + p->first[i] * d);
        tb_axpy(p->c, 1, p->z + p->first[i] * d, p->tokens[i] * d, p->a + p->first[i] * d);
    }
    tb_linear_run(p->c, b->cross_o, p->a, p->rows, d, p->x, d, &(tb_epilogue){ .residual = p->x });
}

static void feed_forward(pack *p, const dit_block *b)
{
    const tb_wan_dit_config *k = &p->m->k;
    modulated_norm(p, p->mod, 6, 3, 4);
    tb_linear_run(p->c, b->ffn_0, p->z, p->rows, k->dim, p->wide, k->ffn_dim,
                  &(tb_epilogue){ .act = TB_ACT_GELU_TANH });
    gated_product(p, b->ffn_2, p->wide, 5);
}

static void run_block(pack *p, int64_t layer)
{
    const dit_block *b = &p->m->blocks[layer];
    const int64_t n = 6 * p->m->k.dim;
    for (int64_t i = 0; i < p->segment_count; i++)
        add_rows(b->modulation, p->e6 + i * n, n, p->mod + i * n);
    self_attention(p, b);
    cross_attention(p, b, layer);
    feed_forward(p, b);
}

/* Both rows of the head's modulation get the time embedding itself, before its projection. */
static void run_head(pack *p, float *const *out)
{
    const tb_wan_dit *m = p->m;
    const int64_t d = m->k.dim, columns = 4 * m->k.out_dim;
    for (int64_t i = 0; i < p->segment_count; i++)
        for (int row = 0; row < 2; row++)
            add_rows(m->head_modulation + row * d, p->e + i * d, d, p->mod + (i * 2 + row) * d);
    modulated_norm(p, p->mod, 2, 0, 1);
    tb_linear_run(p->c, m->head, p->z, p->rows, d, p->wide, columns, NULL);
    for (int i = 0; i < p->count; i++)
        unpatchify(&m->k, &p->in[i], p->wide + p->first[i] * columns, out[i]);
}

/* ---------------------------------------------------------------------------------- interface */

typedef struct watch {
    const atomic_bool *cancel;
    void (*progress)(void *ctx, double share);
    void *ctx;
    double done, share; /* of all packs: before this one, of this one */
} watch;

static tb_status run_watched(pack *p, int64_t layer, const watch *w, tb_err *err)
{
    bool cut = w->cancel && atomic_load_explicit(w->cancel, memory_order_relaxed);
    if (!cut) {
        tb_compute_watch(p->c, w->cancel);
        run_block(p, layer);
        cut = tb_compute_unwatch(p->c);
    }
    return cut ? tb_err_set(err, TB_ECANCELED, "canceled after %lld of %lld blocks",
                            (long long)layer, (long long)p->m->k.layers)
               : TB_OK;
}

static tb_status run_blocks(pack *p, const watch *w, tb_err *err)
{
    for (int64_t i = 0; i < p->m->k.layers; i++) {
        if (i > 63 || !(p->in[0].skip >> i & 1))
            TB_TRY(run_watched(p, i, w, err));
        if (w->progress)
            w->progress(w->ctx, w->done + w->share * (double)(i + 1) / (double)p->m->k.layers);
    }
    return TB_OK;
}

static tb_status run_pack(pack *p, float *const *out, const watch *w, tb_err *err)
{
    p->m->run++;
    TB_TRY(lay_out(p, err));
    TB_TRY(reserve(p, err));
    TB_TRY(embed_time(p, err));
    embed_patches(p);
    TB_TRY(run_blocks(p, w, err));
    run_head(p, out);
    return TB_OK;
}

tb_status tb_wan_dit_run(tb_wan_dit *m, tb_compute *c, int count, const tb_wan_dit_input *in,
                         float *const *out, const atomic_bool *cancel,
                         void (*progress)(void *ctx, double share), void *ctx, tb_err *err)
{
    for (int i = 0, n; i < count; i += n) {
        for (n = 1; n < DIT_PACK && i + n < count && in[i + n].skip == in[i].skip; n++)
            ;
        pack p = { .m = m, .c = c, .count = n, .in = in + i };
        const watch w = { cancel, progress, ctx, (double)i / count, (double)n / count };
        const size_t mark = tb_scratch_mark(c);
        const tb_status st = run_pack(&p, out + i, &w, err);
        tb_scratch_release(c, mark);
        TB_TRY(st);
    }
    return TB_OK;
}
