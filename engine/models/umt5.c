/* umt5.c - the UMT5 encoder's forward pass, after wan/modules/t5.py of the Wan2.1 repository. */
#include "models/umt5.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

enum part { NORM1, Q, K, V, O, BIAS, NORM2, GATE, UP, DOWN, PARTS };

/* How a family of files names its tensors: LAYERS + index + PART. */
typedef struct naming {
    const char *embedding, *final, *layers, *part[PARTS];
} naming;

static const naming naming_tab[] = {
    { "token_embedding.weight",
      "norm.weight",
      "blocks.",
      { ".norm1.weight", ".attn.q.weight", ".attn.k.weight", ".attn.v.weight", ".attn.o.weight",
        ".pos_embedding.embedding.weight", ".norm2.weight", ".ffn.gate.0.weight", ".ffn.fc1.weight",
        ".ffn.fc2.weight" } },
#define HF(embedding)                                                                      \
    {                                                                                      \
        embedding, "encoder.final_layer_norm.weight", "encoder.block.",                    \
        {                                                                                  \
            ".layer.0.layer_norm.weight", ".layer.0.SelfAttention.q.weight",               \
                ".layer.0.SelfAttention.k.weight", ".layer.0.SelfAttention.v.weight",      \
                ".layer.0.SelfAttention.o.weight",                                         \
                ".layer.0.SelfAttention.relative_attention_bias.weight",                   \
                ".layer.1.layer_norm.weight", ".layer.1.DenseReluDense.wi_0.weight",       \
                ".layer.1.DenseReluDense.wi_1.weight", ".layer.1.DenseReluDense.wo.weight" \
        }                                                                                  \
    }
    HF("shared.weight"),
    HF("encoder.embed_tokens.weight"),
#undef HF
    { "token_embd.weight",
      "enc.output_norm.weight",
      "enc.blk.",
      { ".attn_norm.weight", ".attn_q.weight", ".attn_k.weight", ".attn_v.weight", ".attn_o.weight",
        ".attn_rel_b.weight", ".ffn_norm.weight", ".ffn_gate.weight", ".ffn_up.weight",
        ".ffn_down.weight" } },
};

typedef struct layer {
    tb_tensor *norm1, *norm2; /* f32 [dim] */
    tb_tensor *bias;          /* f32 [buckets][heads] */
    tb_tensor *weight[PARTS]; /* as in the file; those of Q to O and GATE to DOWN */
    tb_linear *qkv, *o, *gate, *up, *down;
} layer;

struct tb_umt5 {
    tb_umt5_config k;
    const naming *names;
    tb_tensor *embedding; /* [vocab][dim], as in the file */
    tb_tensor *final;     /* f32 [dim] */
    layer *layers;
    bool resident;
};

/* ------------------------------------------------------------------------------- configuration */

static const naming *find_naming(const tb_weights *w)
{
    for (size_t i = 0; i < sizeof naming_tab / sizeof *naming_tab; i++)
        if (tb_weights_has(w, naming_tab[i].embedding) && tb_weights_has(w, naming_tab[i].final))
            return &naming_tab[i];
    return NULL;
}

static const char *part_name(const naming *n, int64_t i, enum part p, char *buf, size_t size)
{
    snprintf(buf, size, "%s%lld%s", n->layers, (long long)i, n->part[p]);
    return buf;
}

/* In an original Wan folder the config.json beside the encoder is the transformer's. */
static double config_number(const tb_weights *w, const char *key, double otherwise)
{
    const json_t *config = tb_weights_config(w);
    const char *of = json_string_value(json_object_get(config, "_class_name"));
    const json_t *v = of && tb_str_starts(of, "Wan") ? NULL : json_object_get(config, key);
    return json_is_number(v) ? json_number_value(v) : otherwise;
}

static const tb_tensor *layer0(const tb_weights *w, const naming *n, enum part p, tb_err *err)
{
    char name[128];
    return tb_weights_want(w, part_name(n, 0, p, name, sizeof name), &TB_SHAPE(-1, -1), err);
}

static tb_status check_config(const tb_weights *w, const tb_umt5_config *k, int64_t inner,
                              tb_err *err)
{
    if (k->vocab < 1 || k->dim < 1 || k->d_ff < 1 || k->heads < 1 || inner < 1 ||
        inner % k->heads || k->buckets < 4 || k->buckets % 4)
        return tb_err_set(err, TB_EFORMAT,
                          "'%s' is no UMT5 encoder: %lld numbers of attention cannot be shared by "
                          "%lld heads with %lld position buckets",
                          tb_weights_path(w), (long long)inner, (long long)k->heads,
                          (long long)k->buckets);
    if (k->max_distance <= k->buckets / 4 || k->max_distance > 1 << 20 || !(k->eps > 0))
        return tb_err_set(err, TB_EFORMAT,
                          "the config of '%s' must have relative_attention_max_distance above %lld "
                          "and a positive layer_norm_epsilon",
                          tb_weights_path(w), (long long)k->buckets / 4);
    return TB_OK;
}

/* Of the packed weights of a layer: what has 16 bits stays so. */
static int64_t packed_bytes(const tb_weights *w, const naming *n, int64_t i)
{
    int64_t bytes = 0;
    char name[128];
    for (int p = Q; p <= DOWN; p++) {
        part_name(n, i, (enum part)p, name, sizeof name);
        const tb_tensor *t = tb_weights_has(w, name) ? tb_weights_get(w, name, NULL) : NULL;
        if (!t || p == BIAS || p == NORM2)
            continue;
        bytes += tb_tensor_count(t) * tb_linear_number_bytes(t);
    }
    return bytes;
}

tb_status tb_umt5_read_config(const tb_weights *w, tb_umt5_config *k, tb_err *err)
{
    char name[128];
    const naming *n = find_naming(w);
    if (!n)
        return tb_err_set(err, TB_EFORMAT,
                          "'%s' is no UMT5 text encoder: it has neither token_embedding.weight nor "
                          "shared.weight with their final norm",
                          tb_weights_path(w));
    const tb_tensor *e = tb_weights_want(w, n->embedding, &TB_SHAPE(-1, -1), err);
    const tb_tensor *q = layer0(w, n, Q, err), *gate = layer0(w, n, GATE, err),
                    *bias = layer0(w, n, BIAS, err);
    if (!e || !q || !gate || !bias)
        return TB_EFORMAT;
    *k = (tb_umt5_config){ .vocab = tb_tensor_dim(e, 0),
                           .dim = tb_tensor_dim(e, 1),
                           .buckets = tb_tensor_dim(bias, 0),
                           .heads = tb_tensor_dim(bias, 1),
                           .d_ff = tb_tensor_dim(gate, 0) };
    for (; tb_weights_has(w, part_name(n, k->layers, Q, name, sizeof name)); k->layers++) {
        const int64_t bytes = packed_bytes(w, n, k->layers);
        k->layer_bytes = bytes > k->layer_bytes ? bytes : k->layer_bytes;
    }
    k->max_distance = (int64_t)config_number(w, "relative_attention_max_distance", 128);
    k->eps = (float)config_number(w, "layer_norm_epsilon", 1e-6);
    TB_TRY(check_config(w, k, tb_tensor_dim(q, 0), err));
    k->d_kv = tb_tensor_dim(q, 0) / k->heads;
    return TB_OK;
}

/* ------------------------------------------------------------------------------------- weights */

static tb_shape part_shape(const tb_umt5_config *k, enum part p)
{
    const int64_t inner = k->heads * k->d_kv;
    switch (p) {
    case Q:
    case K:
    case V: return TB_SHAPE(inner, k->dim);
    case O: return TB_SHAPE(k->dim, inner);
    case BIAS: return TB_SHAPE(k->buckets, k->heads);
    case GATE:
    case UP: return TB_SHAPE(k->d_ff, k->dim);
    case DOWN: return TB_SHAPE(k->dim, k->d_ff);
    case NORM1:
    case NORM2:
    case PARTS: break;
    }
    return TB_SHAPE(k->dim);
}

static tb_status find_layer(tb_umt5 *m, const tb_weights *w, int64_t i, tb_err *err)
{
    layer *l = &m->layers[i];
    char name[128];
    for (int p = 0; p < PARTS; p++) {
        const tb_shape shape = part_shape(&m->k, (enum part)p);
        part_name(m->names, i, (enum part)p, name, sizeof name);
        tb_tensor **f32 = p == NORM1 ? &l->norm1 : p == NORM2 ? &l->norm2 : &l->bias;
        if (p == NORM1 || p == NORM2 || p == BIAS) {
            *f32 = tb_weights_want_f32(w, name, &shape, err);
            if (!*f32)
                return TB_EFORMAT;
            continue;
        }
        const tb_tensor *t = tb_weights_want(w, name, &shape, err);
        if (!t)
            return TB_EFORMAT;
        l->weight[p] = tb_tensor_ref(t);
    }
    return TB_OK;
}

static void look(const tb_weights *w, const char *name, const tb_shape *shape,
                 const tb_weights_lack *lack)
{
    tb_err why = TB_ERR_INIT;
    if (!tb_weights_want(w, name, shape, &why))
        lack->say(lack->ctx, why.message);
}

void tb_umt5_check(const tb_weights *w, const tb_weights_lack *lack)
{
    tb_err err = TB_ERR_INIT;
    tb_umt5_config k;
    char name[128];
    if (tb_umt5_read_config(w, &k, &err) != TB_OK) {
        lack->say(lack->ctx, err.message);
        return;
    }
    const naming *n = find_naming(w);
    const int64_t there = tb_weights_blocks(w, n->layers),
                  told = (int64_t)config_number(w, "num_layers", 0),
                  layers = told > there && told < 1000 ? told : there;
    look(w, n->final, &TB_SHAPE(k.dim), lack);
    for (int64_t i = 0; i < layers; i++)
        for (int p = 0; p < PARTS; p++) {
            const tb_shape shape = part_shape(&k, (enum part)p);
            look(w, part_name(n, i, (enum part)p, name, sizeof name), &shape, lack);
        }
}

static void unload_layer(layer *l)
{
    tb_linear_free(&l->qkv);
    tb_linear_free(&l->o);
    tb_linear_free(&l->gate);
    tb_linear_free(&l->up);
    tb_linear_free(&l->down);
}

static tb_status load_layer(layer *l, tb_compute *c, tb_err *err)
{
    const tb_tensor *qkv[] = { l->weight[Q], l->weight[K], l->weight[V] };
    l->qkv = tb_linear_join(c, 3, qkv, NULL, err);
    l->o = tb_linear_new(c, l->weight[O], NULL, err);
    l->gate = tb_linear_new(c, l->weight[GATE], NULL, err);
    l->up = tb_linear_new(c, l->weight[UP], NULL, err);
    l->down = tb_linear_new(c, l->weight[DOWN], NULL, err);
    if (l->qkv && l->o && l->gate && l->up && l->down)
        return TB_OK;
    unload_layer(l);
    return TB_ENOMEM;
}

static size_t layer_bytes(const tb_umt5_config *k)
{
    const int64_t inner = k->heads * k->d_kv;
    return k->layer_bytes > 0 ? (size_t)k->layer_bytes
                              : (size_t)(4 * inner * k->dim + 3 * k->d_ff * k->dim) * sizeof(float);
}

/* A weight that is not packed as it is passes through f32. */
static size_t passing_bytes(const tb_umt5_config *k)
{
    const int64_t numbers = 4 * k->heads * k->d_kv * k->dim + 3 * k->d_ff * k->dim;
    const bool packed_as_is = k->layer_bytes > 0 && k->layer_bytes <= 2 * numbers;
    return packed_as_is ? 0 : (size_t)(k->d_ff * k->dim) * sizeof(float);
}

static bool fits(const tb_umt5_config *k, size_t resident)
{
    return layer_bytes(k) <= resident / (size_t)k->layers;
}

static tb_status load(tb_umt5 *m, tb_compute *c, const tb_weights *w, size_t resident, tb_err *err)
{
    TB_TRY(tb_umt5_read_config(w, &m->k, err));
    m->names = find_naming(w);
    m->layers = tb_xcalloc((size_t)m->k.layers, sizeof *m->layers);
    m->resident = fits(&m->k, resident);
    m->embedding = tb_tensor_ref(tb_weights_get(w, m->names->embedding, err));
    m->final = tb_weights_want_f32(w, m->names->final, &TB_SHAPE(m->k.dim), err);
    if (!m->final)
        return TB_EFORMAT;
    for (int64_t i = 0; i < m->k.layers; i++) {
        TB_TRY(find_layer(m, w, i, err));
        if (m->resident)
            TB_TRY(load_layer(&m->layers[i], c, err));
    }
    return TB_OK;
}

tb_umt5 *tb_umt5_open_within(tb_compute *c, const tb_weights *w, size_t resident_bytes, tb_err *err)
{
    tb_umt5 *m = tb_xcalloc(1, sizeof *m);
    if (load(m, c, w, resident_bytes, err) != TB_OK)
        tb_umt5_close(&m);
    return m;
}

tb_umt5 *tb_umt5_open(tb_compute *c, const tb_weights *w, tb_err *err)
{
    return tb_umt5_open_within(c, w, TB_UMT5_RESIDENT, err);
}

void tb_umt5_close(tb_umt5 **mp)
{
    tb_umt5 *m = *mp;
    *mp = NULL;
    if (!m)
        return;
    for (int64_t i = 0; m->layers && i < m->k.layers; i++) {
        layer *l = &m->layers[i];
        unload_layer(l);
        tb_tensor_unref(&l->norm1);
        tb_tensor_unref(&l->norm2);
        tb_tensor_unref(&l->bias);
        for (int p = 0; p < PARTS; p++)
            tb_tensor_unref(&l->weight[p]);
    }
    tb_tensor_unref(&m->embedding);
    tb_tensor_unref(&m->final);
    free(m->layers);
    free(m);
}

const tb_umt5_config *tb_umt5_config_of(const tb_umt5 *m)
{
    return &m->k;
}

size_t tb_umt5_bytes(const tb_umt5 *m)
{
    size_t n = 0;
    for (int64_t i = 0; m->resident && i < m->k.layers; i++) {
        const layer *l = &m->layers[i];
        n += tb_linear_bytes(l->qkv) + tb_linear_bytes(l->o) + tb_linear_bytes(l->gate) +
             tb_linear_bytes(l->up) + tb_linear_bytes(l->down);
    }
    return n;
}

size_t tb_umt5_weights(const tb_umt5_config *k)
{
    const size_t layers = k->layers > 0 && fits(k, TB_UMT5_RESIDENT) ? (size_t)k->layers : 1;
    return layers * layer_bytes(k);
}

size_t tb_umt5_memory(const tb_umt5_config *k, int64_t tokens)
{
    const int64_t inner = k->heads * k->d_kv;
    const int64_t row = 2 * k->dim + 4 * inner + 2 * k->d_ff + 2 * k->heads;
    return tb_umt5_weights(k) + passing_bytes(k) + (size_t)(tokens * row) * sizeof(float);
}

/* ---------------------------------------------------------------------------------- positions */

int tb_umt5_bucket(int64_t rel, int64_t buckets, int64_t max_distance)
{
    const int64_t half = buckets / 2, exact = half / 2, a = rel < 0 ? -rel : rel;
    int64_t b = a;
    if (a >= exact) {
        /* in float32, as the reference, whose thresholds depend on it */
        const float share =
            logf((float)a / (float)exact) / (float)log((double)max_distance / (double)exact);
        b = exact + (int64_t)(share * (float)(half - exact));
        b = b < half - 1 ? b : half - 1;
    }
    return (int)(b + (rel > 0 ? half : 0));
}

/* bias[h][r + n - 1] = table[bucket(r)][h] for r = key - query. */
static void fill_bias(const tb_umt5_config *k, const tb_tensor *table, int64_t n, float *bias)
{
    const float *t = tb_tensor_f32(table);
    for (int64_t r = 1 - n; r < n; r++) {
        const int b = tb_umt5_bucket(r, k->buckets, k->max_distance);
        for (int64_t h = 0; h < k->heads; h++)
            bias[h * (2 * n - 1) + r + n - 1] = t[b * k->heads + h];
    }
}

/* ------------------------------------------------------------------------------------- forward */

typedef struct buffers {
    float *x;    /* [n][dim]: the residual stream */
    float *z;    /* [n][dim]: normed */
    float *qkv;  /* [n][3*inner] */
    float *att;  /* [n][inner] */
    float *gate; /* [n][d_ff] */
    float *up;   /* [n][d_ff] */
    float *bias; /* [heads][2n-1] */
} buffers;

static tb_status reserve(tb_compute *c, const tb_umt5_config *k, int64_t n, buffers *b, tb_err *err)
{
    const int64_t inner = k->heads * k->d_kv;
    float **const part[] = { &b->x, &b->z, &b->qkv, &b->att, &b->gate, &b->up, &b->bias };
    const int64_t size[] = { n * k->dim,  n * k->dim,  n * 3 * inner,         n * inner,
                             n * k->d_ff, n * k->d_ff, k->heads * (2 * n - 1) };
    for (size_t i = 0; i < sizeof part / sizeof *part; i++) {
        *part[i] = tb_scratch(c, (size_t)size[i], err);
        if (!*part[i])
            return TB_ENOMEM;
    }
    return TB_OK;
}

/* x[i] = embedding[ids[i]]; only the rows wanted are read and converted. */
static tb_status embed(const tb_umt5 *m, const int32_t *ids, int64_t n, float *x, tb_err *err)
{
    for (int64_t i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= m->k.vocab)
            return tb_err_set(err, TB_EINVAL,
                              "token %d is outside the text encoder's vocabulary of %lld: the "
                              "tokenizer belongs to another model",
                              (int)ids[i], (long long)m->k.vocab);
        tb_tensor_read_f32(m->embedding, ids[i] * m->k.dim, m->k.dim, x + i * m->k.dim);
    }
    return TB_OK;
}

static void run_layer(const tb_umt5_config *k, tb_compute *c, const layer *l, int64_t n,
                      const buffers *b)
{
    const int64_t dim = k->dim, inner = k->heads * k->d_kv, ff = k->d_ff;
    const tb_epilogue add = { .residual = b->x }, gelu = { .act = TB_ACT_GELU_TANH };
    const tb_attention a = {
        .nq = n,
        .nk = n,
        .heads = k->heads,
        .d = k->d_kv,
        .ldq = 3 * inner,
        .ldk = 3 * inner,
        .ldv = 3 * inner,
        .ldo = inner,
        .scale = 1, /* T5 folds 1/sqrt(d) into its weights */
        .bias_rel = b->bias,
        .bias_nmax = n,
    };
    fill_bias(k, l->bias, n, b->bias);
    tb_rmsnorm(c, b->x, n, dim, dim, k->eps, tb_tensor_f32(l->norm1), b->z, dim);
    tb_linear_run(c, l->qkv, b->z, n, dim, b->qkv, 3 * inner, NULL);
    tb_attention_run(c, &a, b->qkv, b->qkv + inner, b->qkv + 2 * inner, b->att);
    tb_linear_run(c, l->o, b->att, n, inner, b->x, dim, &add);
    tb_rmsnorm(c, b->x, n, dim, dim, k->eps, tb_tensor_f32(l->norm2), b->z, dim);
    tb_linear_run(c, l->gate, b->z, n, dim, b->gate, ff, &gelu);
    tb_linear_run(c, l->up, b->z, n, dim, b->up, ff, NULL);
    tb_mul(c, b->gate, b->up, n * ff, b->gate);
    tb_linear_run(c, l->down, b->gate, n, ff, b->x, dim, &add);
}

/* A layer that is not kept is converted for this call. */
static tb_status use_layer(const tb_umt5 *m, tb_compute *c, int64_t i, int64_t n, const buffers *b,
                           tb_err *err)
{
    layer l = m->layers[i];
    if (!m->resident)
        TB_TRY(load_layer(&l, c, err));
    run_layer(&m->k, c, &l, n, b);
    if (!m->resident)
        unload_layer(&l);
    return TB_OK;
}

/* Packing let a layer's pages go; some were mapped again around those of the next. */
static void forget_pages(const tb_umt5 *m)
{
    for (int64_t i = 0; !m->resident && i < m->k.layers; i++)
        for (int p = 0; p < PARTS; p++)
            if (m->layers[i].weight[p])
                tb_tensor_forget(m->layers[i].weight[p]);
    tb_tensor_forget(m->embedding);
}

static tb_status run_layers(const tb_umt5 *m, tb_compute *c, int64_t n, const buffers *b,
                            const atomic_bool *cancel,
                            void (*probe)(void *ctx, int layer, const float *x), void *ctx,
                            tb_err *err)
{
    for (int64_t i = 0; i < m->k.layers; i++) {
        if (cancel && atomic_load(cancel))
            return tb_err_set(err, TB_ECANCELED, "canceled in layer %lld of the text encoder",
                              (long long)i);
        TB_TRY(use_layer(m, c, i, n, b, err));
        if (probe)
            probe(ctx, (int)i, b->x);
    }
    return TB_OK;
}

tb_status tb_umt5_run(const tb_umt5 *m, tb_compute *c, const int32_t *ids, int64_t n, float *out,
                      const atomic_bool *cancel,
                      void (*probe)(void *ctx, int layer, const float *x), void *ctx, tb_err *err)
{
    buffers b = { 0 };
    if (n < 1)
        return tb_err_set(err, TB_EINVAL, "a text of no tokens cannot be encoded");
    const size_t mark = tb_scratch_mark(c);
    tb_status st = reserve(c, &m->k, n, &b, err);
    if (st == TB_OK)
        st = embed(m, ids, n, b.x, err);
    if (st == TB_OK)
        st = run_layers(m, c, n, &b, cancel, probe, ctx, err);
    forget_pages(m);
    if (st == TB_OK)
        tb_rmsnorm(c, b.x, n, m->k.dim, m->k.dim, m->k.eps, tb_tensor_f32(m->final), out, m->k.dim);
    tb_scratch_release(c, mark);
    return st;
}
