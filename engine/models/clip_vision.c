/* clip_vision.c - the forward pass of CLIP's vision tower, after modeling_clip.py of transformers
 * and wan/modules/clip.py of the Wan2.1 repository. */
#include "models/clip_vision.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "formats/media.h"
#include "models/tensor_ops.h"

enum part { NORM1, QKV, Q, K, V, O, NORM2, UP, DOWN, PARTS };

/* How a family of files names its tensors: what stands before "weight" and "bias". Parts lie below
 * LAYERS + index; NULL: not in this family. */
typedef struct naming {
    const char *class_token, *positions, *patch, *norm, *layers, *part[PARTS];
    bool wan;
} naming;

static const naming naming_tab[] = {
    { "vision_model.embeddings.class_embedding",
      "vision_model.embeddings.position_embedding.weight",
      "vision_model.embeddings.patch_embedding.weight",
      "vision_model.pre_layrnorm.",
      "vision_model.encoder.layers.",
      { ".layer_norm1.", NULL, ".self_attn.q_proj.", ".self_attn.k_proj.", ".self_attn.v_proj.",
        ".self_attn.out_proj.", ".layer_norm2.", ".mlp.fc1.", ".mlp.fc2." },
      false },
    { "visual.cls_embedding",
      "visual.pos_embedding",
      "visual.patch_embedding.weight",
      "visual.pre_norm.",
      "visual.transformer.",
      { ".norm1.", ".attn.to_qkv.", NULL, NULL, NULL, ".attn.proj.", ".norm2.", ".mlp.0.",
        ".mlp.2." },
      true },
    { "visual.class_embedding",
      "visual.positional_embedding",
      "visual.conv1.weight",
      "visual.ln_pre.",
      "visual.transformer.resblocks.",
      { ".ln_1.", ".attn.in_proj_", NULL, NULL, NULL, ".attn.out_proj.", ".ln_2.", ".mlp.c_fc.",
        ".mlp.c_proj." },
      false },
};

typedef struct layer {
    tb_tensor *weight[PARTS], *bias[PARTS]; /* as in the file; those of norms f32 */
} layer;

struct tb_clip_vision {
    tb_clip_vision_config k;
    tb_tensor *class_token, *positions; /* f32 */
    tb_tensor *patch;                   /* [dim][3 * patch * patch], as in the file */
    tb_tensor *norm_weight, *norm_bias; /* f32 [dim] */
    layer *layers;                      /* all but the last */
};

/* ------------------------------------------------------------------------------- configuration */

static const naming *find_naming(const tb_weights *w)
{
    for (size_t i = 0; i < sizeof naming_tab / sizeof *naming_tab; i++)
        if (tb_weights_has(w, naming_tab[i].class_token) &&
            tb_weights_has(w, naming_tab[i].positions))
            return &naming_tab[i];
    return NULL;
}

bool tb_clip_vision_is(const tb_weights *w)
{
    return find_naming(w) != NULL;
}

static const char *part_name(const naming *n, int64_t i, enum part p, const char *what, char *buf,
                             size_t size)
{
    snprintf(buf, size, "%s%lld%s%s", n->layers, (long long)i, n->part[p], what);
    return buf;
}

static bool has_layer(const tb_weights *w, const naming *n, int64_t i)
{
    char name[128];
    return tb_weights_has(w, part_name(n, i, UP, "weight", name, sizeof name));
}

/* Original Wan folders have the transformer's config.json beside the tower's file. */
static const json_t *clip_config(const tb_weights *w)
{
    const json_t *root = tb_weights_config(w), *vision = json_object_get(root, "vision_config");
    const char *type = json_string_value(json_object_get(root, "model_type"));
    return vision ? vision : type && tb_str_starts(type, "clip") ? root : NULL;
}

static double config_number(const json_t *config, const char *key, double otherwise)
{
    const json_t *v = json_object_get(config, key);
    return json_is_number(v) ? json_number_value(v) : otherwise;
}

/* What OpenAI published, ViT-L/14 at most, has the quick form; LAION's ViT-H, G and Wan's the
 * exact one. */
static tb_status read_act(const tb_weights *w, const naming *n, tb_clip_vision_config *k,
                          tb_err *err)
{
    static const struct {
        const char *name;
        tb_act act;
    } acts[] = { { "gelu", TB_ACT_GELU_ERF },
                 { "quick_gelu", TB_ACT_GELU_QUICK },
                 { "gelu_new", TB_ACT_GELU_TANH },
                 { "gelu_pytorch_tanh", TB_ACT_GELU_TANH } };
    const char *name = json_string_value(json_object_get(clip_config(w), "hidden_act"));
    k->act = n->wan || k->dim > 1024 ? TB_ACT_GELU_ERF : TB_ACT_GELU_QUICK;
    if (!name)
        return TB_OK;
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++)
        if (strcmp(acts[i].name, name) == 0) {
            k->act = acts[i].act;
            return TB_OK;
        }
    return tb_err_set(err, TB_EFORMAT,
                      "hidden_act in the config of '%s' must be gelu, quick_gelu, gelu_new or "
                      "gelu_pytorch_tanh, got '%.40s'",
                      tb_weights_path(w), name);
}

static tb_status check_config(const tb_weights *w, const tb_clip_vision_config *k, tb_err *err)
{
    if (k->dim < 1 || k->ffn_dim < 1 || k->patch < 1 || k->patch > 1024 || k->heads < 1 ||
        k->dim % k->heads)
        return tb_err_set(err, TB_EFORMAT,
                          "'%s' is no CLIP vision encoder: %lld numbers a token cannot be shared "
                          "by %lld heads",
                          tb_weights_path(w), (long long)k->dim, (long long)k->heads);
    if (k->tokens < 2 || k->tokens > 1 << 20 ||
        k->tokens != (k->image / k->patch) * (k->image / k->patch) + 1)
        return tb_err_set(err, TB_EFORMAT,
                          "'%s' is no CLIP vision encoder: %lld positions are no square of patches "
                          "and a class token",
                          tb_weights_path(w), (long long)k->tokens);
    if (k->layers < 2 || !(k->eps > 0))
        return tb_err_set(err, TB_EFORMAT,
                          "'%s' is no CLIP vision encoder: it has %lld blocks, 2 or more are "
                          "wanted, and an epsilon of %g",
                          tb_weights_path(w), (long long)k->layers, (double)k->eps);
    return TB_OK;
}

/* Of the packed weights of a block: what has 16 bits stays so. */
static int64_t packed_bytes(const tb_weights *w, const naming *n, int64_t i)
{
    int64_t bytes = 0;
    char name[128];
    for (int p = QKV; p < PARTS; p++) {
        if (!n->part[p] || p == NORM2)
            continue;
        part_name(n, i, (enum part)p, "weight", name, sizeof name);
        const tb_tensor *t = tb_weights_has(w, name) ? tb_weights_get(w, name, NULL) : NULL;
        bytes += t ? tb_tensor_count(t) * tb_linear_number_bytes(t) : 0;
    }
    return bytes;
}

tb_status tb_clip_vision_read_config(const tb_weights *w, tb_clip_vision_config *k, tb_err *err)
{
    char name[128];
    const naming *n = find_naming(w);
    if (!n)
        return tb_err_set(err, TB_EFORMAT,
                          "'%s' is no CLIP vision encoder: it has none of "
                          "vision_model.embeddings.class_embedding, visual.cls_embedding and "
                          "visual.class_embedding",
                          tb_weights_path(w));
    const tb_tensor *patch = tb_weights_want(w, n->patch, &TB_SHAPE(-1, 3, -1, -1), err);
    const tb_tensor *positions = patch ? tb_weights_get(w, n->positions, err) : NULL;
    part_name(n, 0, UP, "weight", name, sizeof name);
    const tb_tensor *up = positions ? tb_weights_want(w, name, &TB_SHAPE(-1, -1), err) : NULL;
    if (!up)
        return TB_EFORMAT;
    const json_t *config = clip_config(w);
    *k = (tb_clip_vision_config){ .dim = tb_tensor_dim(patch, 0),
                                  .patch = tb_tensor_dim(patch, 3),
                                  .tokens = tb_tensor_dim(positions, -2),
                                  .ffn_dim = tb_tensor_dim(up, 0) };
    const int64_t usual = k->dim >= 1024 ? 16 : k->dim >= 64 ? k->dim / 64 : 1;
    k->heads = (int64_t)config_number(config, "num_attention_heads", (double)usual);
    k->eps = (float)config_number(config, "layer_norm_eps", 1e-5);
    k->image = (int64_t)lround(sqrt((double)(k->tokens - 1))) * k->patch;
    for (; k->layers < 1000 && has_layer(w, n, k->layers); k->layers++) {
        const int64_t bytes = packed_bytes(w, n, k->layers);
        k->layer_bytes = bytes > k->layer_bytes ? bytes : k->layer_bytes;
    }
    TB_TRY(read_act(w, n, k, err));
    return check_config(w, k, err);
}

/* ------------------------------------------------------------------------------------- weights */

static tb_shape part_shape(const tb_clip_vision_config *k, enum part p)
{
    switch (p) {
    case QKV: return TB_SHAPE(3 * k->dim, k->dim);
    case Q:
    case K:
    case V:
    case O: return TB_SHAPE(k->dim, k->dim);
    case UP: return TB_SHAPE(k->ffn_dim, k->dim);
    case DOWN: return TB_SHAPE(k->dim, k->ffn_dim);
    case NORM1:
    case NORM2:
    case PARTS: break;
    }
    return TB_SHAPE(k->dim);
}

static tb_status find_part(const tb_clip_vision_config *k, const tb_weights *w, const naming *n,
                           int64_t i, enum part p, layer *l, tb_err *err)
{
    const tb_shape shape = part_shape(k, p), bias = TB_SHAPE(shape.d[0]);
    char name[128];
    part_name(n, i, p, "weight", name, sizeof name);
    if (p == NORM1 || p == NORM2) {
        l->weight[p] = tb_weights_want_f32(w, name, &shape, err);
    } else {
        const tb_tensor *t = tb_weights_want(w, name, &shape, err);
        l->weight[p] = t ? tb_tensor_ref(t) : NULL;
    }
    part_name(n, i, p, "bias", name, sizeof name);
    l->bias[p] = l->weight[p] ? tb_weights_want_f32(w, name, &bias, err) : NULL;
    return l->bias[p] ? TB_OK : TB_EFORMAT;
}

static tb_status find_outside(tb_clip_vision *m, const tb_weights *w, const naming *n, tb_err *err)
{
    const tb_clip_vision_config *k = &m->k;
    const tb_tensor *patch = tb_weights_get(w, n->patch, err);
    char name[128];
    m->patch = tb_tensor_view(patch, &TB_SHAPE(k->dim, 3 * k->patch * k->patch), err);
    m->class_token = tb_weights_want_f32(w, n->class_token, &TB_SHAPE(k->dim), err);
    m->positions = tb_weights_want_f32(w, n->positions, &TB_SHAPE(k->tokens, k->dim), err);
    snprintf(name, sizeof name, "%sweight", n->norm);
    m->norm_weight = tb_weights_want_f32(w, name, &TB_SHAPE(k->dim), err);
    snprintf(name, sizeof name, "%sbias", n->norm);
    m->norm_bias = m->norm_weight ? tb_weights_want_f32(w, name, &TB_SHAPE(k->dim), err) : NULL;
    return m->patch && m->class_token && m->positions && m->norm_bias ? TB_OK : TB_EFORMAT;
}

static tb_status load(tb_clip_vision *m, const tb_weights *w, tb_err *err)
{
    TB_TRY(tb_clip_vision_read_config(w, &m->k, err));
    const naming *n = find_naming(w);
    m->layers = tb_xcalloc((size_t)m->k.layers, sizeof *m->layers);
    TB_TRY(find_outside(m, w, n, err));
    for (int64_t i = 0; i < m->k.layers - 1; i++)
        for (int p = 0; p < PARTS; p++)
            if (n->part[p])
                TB_TRY(find_part(&m->k, w, n, i, (enum part)p, &m->layers[i], err));
    return TB_OK;
}

tb_clip_vision *tb_clip_vision_open(const tb_weights *w, tb_err *err)
{
    tb_clip_vision *m = tb_xcalloc(1, sizeof *m);
    if (load(m, w, err) != TB_OK)
        tb_clip_vision_close(&m);
    return m;
}

void tb_clip_vision_close(tb_clip_vision **mp)
{
    tb_clip_vision *m = *mp;
    *mp = NULL;
    if (!m)
        return;
    for (int64_t i = 0; m->layers && i < m->k.layers; i++)
        for (int p = 0; p < PARTS; p++) {
            tb_tensor_unref(&m->layers[i].weight[p]);
            tb_tensor_unref(&m->layers[i].bias[p]);
        }
    free(m->layers);
    tb_tensor_unref(&m->class_token);
    tb_tensor_unref(&m->positions);
    tb_tensor_unref(&m->patch);
    tb_tensor_unref(&m->norm_weight);
    tb_tensor_unref(&m->norm_bias);
    free(m);
}

const tb_clip_vision_config *tb_clip_vision_config_of(const tb_clip_vision *m)
{
    return &m->k;
}

static void look(const tb_weights *w, const char *name, const tb_shape *shape,
                 const tb_weights_lack *lack)
{
    tb_err why = TB_ERR_INIT;
    if (!tb_weights_want(w, name, shape, &why))
        lack->say(lack->ctx, why.message);
}

static void look_outside(const tb_weights *w, const naming *n, const tb_clip_vision_config *k,
                         const tb_weights_lack *lack)
{
    char name[128];
    look(w, n->class_token, &TB_SHAPE(k->dim), lack);
    look(w, n->positions, &TB_SHAPE(k->tokens, k->dim), lack);
    snprintf(name, sizeof name, "%sweight", n->norm);
    look(w, name, &TB_SHAPE(k->dim), lack);
    snprintf(name, sizeof name, "%sbias", n->norm);
    look(w, name, &TB_SHAPE(k->dim), lack);
}

void tb_clip_vision_check(const tb_weights *w, const tb_weights_lack *lack)
{
    tb_clip_vision_config k;
    tb_err err = TB_ERR_INIT;
    char name[128];
    if (tb_clip_vision_read_config(w, &k, &err) != TB_OK) {
        lack->say(lack->ctx, err.message);
        return;
    }
    const naming *n = find_naming(w);
    const int64_t there = tb_weights_blocks(w, n->layers),
                  told = (int64_t)config_number(clip_config(w), "num_hidden_layers", 0),
                  layers = told > there && told < 1000 ? told : there;
    look_outside(w, n, &k, lack);
    for (int64_t i = 0; i < layers - 1; i++)
        for (int p = 0; p < PARTS; p++) {
            const tb_shape shape = part_shape(&k, (enum part)p), bias = TB_SHAPE(shape.d[0]);
            if (!n->part[p])
                continue;
            look(w, part_name(n, i, (enum part)p, "weight", name, sizeof name), &shape, lack);
            look(w, part_name(n, i, (enum part)p, "bias", name, sizeof name), &bias, lack);
        }
}

/* -------------------------------------------------------------------------------------- memory */

static int64_t layer_numbers(const tb_clip_vision_config *k)
{
    return 4 * k->dim * k->dim + 2 * k->ffn_dim * k->dim;
}

size_t tb_clip_vision_weights(const tb_clip_vision_config *k)
{
    return k->layer_bytes > 0 ? (size_t)k->layer_bytes : (size_t)layer_numbers(k) * sizeof(float);
}

size_t tb_clip_vision_memory(const tb_clip_vision_config *k)
{
    /* a weight that is not packed as it is passes through f32 */
    const bool passes = k->layer_bytes <= 0 || k->layer_bytes > 2 * layer_numbers(k);
    const int64_t row = 6 * k->dim + k->ffn_dim + 3 * k->patch * k->patch;
    const int64_t pixels = 3 * k->image * k->image;
    return tb_clip_vision_weights(k) +
           (size_t)(k->tokens * row + pixels + (passes ? k->ffn_dim * k->dim : 0)) * sizeof(float);
}

/* -------------------------------------------------------------------------------------- picture */

static float normalised(float x, int channel)
{
    static const float mean[] = { 0.48145466f, 0.4578275f, 0.40821073f },
                       deviation[] = { 0.26862954f, 0.26130258f, 0.27577711f };
    const float in = x > 0 ? x < 1 ? x : 1 : 0; /* of a NaN: 0 */
    return (rintf(255 * in) / 255 - mean[channel]) / deviation[channel];
}

tb_status tb_clip_vision_pixels(const tb_tensor *image, bool crop, int64_t size, float *out,
                                tb_err *err)
{
    tb_tensor *first =
        tb_tensor_dim(image, 0) > 1 ? tb_tensor_ring(image, 0, 0, 1, err) : tb_tensor_ref(image);
    tb_tensor *fit =
        first ? tb_media_fit(first, size, size, crop ? "crop" : "stretch", "bicubic", err) : NULL;
    tb_tensor_unref(&first);
    if (!fit)
        return TB_ENOMEM;
    const float *x = tb_tensor_f32(fit);
    for (int64_t i = 0; i < size * size; i++)
        for (int ch = 0; ch < 3; ch++)
            out[ch * size * size + i] = normalised(x[3 * i + ch], ch);
    tb_tensor_unref(&fit);
    return TB_OK;
}

/* ------------------------------------------------------------------------------------- forward */

typedef struct buffers {
    float *x;       /* [tokens][dim]: the residual stream */
    float *z;       /* [tokens][dim]: normed, then what attention gives */
    float *wide;    /* [tokens][3 * dim or ffn_dim] */
    float *patches; /* [tokens - 1][3 * patch * patch] */
} buffers;

static tb_status reserve(tb_compute *c, const tb_clip_vision_config *k, buffers *b, tb_err *err)
{
    const int64_t n = k->tokens, wide = k->ffn_dim > 3 * k->dim ? k->ffn_dim : 3 * k->dim;
    float **const part[] = { &b->x, &b->z, &b->wide, &b->patches };
    const int64_t size[] = { n * k->dim, n * k->dim, n * wide, n * 3 * k->patch * k->patch };
    for (size_t i = 0; i < sizeof part / sizeof *part; i++)
        if (!(*part[i] = tb_scratch(c, (size_t)size[i], err)))
            return TB_ENOMEM;
    return TB_OK;
}

/* Rows of patches, each (channel, row, column). */
static void gather(const tb_clip_vision_config *k, const float *pixels, float *rows)
{
    const int64_t side = k->image / k->patch, p = k->patch;
    for (int64_t y = 0; y < side; y++)
        for (int64_t x = 0; x < side; x++)
            for (int64_t ch = 0; ch < 3; ch++)
                for (int64_t dy = 0; dy < p; dy++, rows += p)
                    memcpy(rows, pixels + (ch * k->image + y * p + dy) * k->image + x * p,
                           (size_t)p * sizeof *rows);
}

/* The class token and a token a patch, with their positions, normed. */
static tb_status embed(const tb_clip_vision *m, tb_compute *c, const float *pixels,
                       const buffers *b, tb_err *err)
{
    const tb_clip_vision_config *k = &m->k;
    tb_linear *patch = tb_linear_new(c, m->patch, NULL, err);
    if (!patch)
        return TB_ENOMEM;
    gather(k, pixels, b->patches);
    tb_linear_run(c, patch, b->patches, k->tokens - 1, 3 * k->patch * k->patch, b->x + k->dim,
                  k->dim, NULL);
    tb_linear_free(&patch);
    memcpy(b->x, tb_tensor_f32(m->class_token), (size_t)k->dim * sizeof *b->x);
    tb_axpy(c, 1, tb_tensor_f32(m->positions), k->tokens * k->dim, b->x);
    tb_layernorm(c, b->x, k->tokens, k->dim, k->eps, tb_tensor_f32(m->norm_weight),
                 tb_tensor_f32(m->norm_bias), b->x);
    return TB_OK;
}

/* The linears of a block on their way through it. */
typedef struct packed {
    tb_linear *qkv, *o, *up, *down;
} packed;

static void drop(packed *p)
{
    tb_linear_free(&p->qkv);
    tb_linear_free(&p->o);
    tb_linear_free(&p->up);
    tb_linear_free(&p->down);
}

static tb_status pack(const layer *l, tb_compute *c, packed *p, tb_err *err)
{
    const tb_tensor *weights[] = { l->weight[Q], l->weight[K], l->weight[V] },
                    *biases[] = { l->bias[Q], l->bias[K], l->bias[V] };
    p->qkv = l->weight[QKV] ? tb_linear_new(c, l->weight[QKV], l->bias[QKV], err)
                            : tb_linear_join(c, 3, weights, biases, err);
    p->o = tb_linear_new(c, l->weight[O], l->bias[O], err);
    p->up = tb_linear_new(c, l->weight[UP], l->bias[UP], err);
    p->down = tb_linear_new(c, l->weight[DOWN], l->bias[DOWN], err);
    return p->qkv && p->o && p->up && p->down ? TB_OK : TB_ENOMEM;
}

static void run_layer(const tb_clip_vision_config *k, tb_compute *c, const layer *l,
                      const packed *p, const buffers *b)
{
    const int64_t n = k->tokens, d = k->dim, ff = k->ffn_dim, head = d / k->heads;
    const tb_epilogue add = { .residual = b->x }, act = { .act = k->act };
    const tb_attention a = { .nq = n,
                             .nk = n,
                             .heads = k->heads,
                             .d = head,
                             .ldq = 3 * d,
                             .ldk = 3 * d,
                             .ldv = 3 * d,
                             .ldo = d,
                             .scale = 1 / sqrtf((float)head) };
    tb_layernorm(c, b->x, n, d, k->eps, tb_tensor_f32(l->weight[NORM1]),
                 tb_tensor_f32(l->bias[NORM1]), b->z);
    tb_linear_run(c, p->qkv, b->z, n, d, b->wide, 3 * d, NULL);
    tb_attention_run(c, &a, b->wide, b->wide + d, b->wide + 2 * d, b->z);
    tb_linear_run(c, p->o, b->z, n, d, b->x, d, &add);
    tb_layernorm(c, b->x, n, d, k->eps, tb_tensor_f32(l->weight[NORM2]),
                 tb_tensor_f32(l->bias[NORM2]), b->z);
    tb_linear_run(c, p->up, b->z, n, d, b->wide, ff, &act);
    tb_linear_run(c, p->down, b->wide, n, ff, b->x, d, &add);
}

/* Packing let a block's pages go; some were mapped again around those of the next. */
static void forget_pages(const tb_clip_vision *m)
{
    for (int64_t i = 0; i < m->k.layers - 1; i++)
        for (int p = 0; p < PARTS; p++)
            if (m->layers[i].weight[p])
                tb_tensor_forget(m->layers[i].weight[p]);
    tb_tensor_forget(m->patch);
}

static tb_status run_layers(const tb_clip_vision *m, tb_compute *c, const buffers *b,
                            const atomic_bool *cancel, tb_err *err)
{
    for (int64_t i = 0; i < m->k.layers - 1; i++) {
        packed p = { 0 };
        if (cancel && atomic_load(cancel))
            return tb_err_set(err, TB_ECANCELED, "canceled in block %lld of the image encoder",
                              (long long)i);
        const tb_status st = pack(&m->layers[i], c, &p, err);
        if (st == TB_OK)
            run_layer(&m->k, c, &m->layers[i], &p, b);
        drop(&p);
        TB_TRY(st);
    }
    return TB_OK;
}

tb_status tb_clip_vision_run(const tb_clip_vision *m, tb_compute *c, const float *pixels,
                             float *out, const atomic_bool *cancel, tb_err *err)
{
    buffers b = { 0 };
    const size_t mark = tb_scratch_mark(c);
    tb_status st = reserve(c, &m->k, &b, err);
    if (st == TB_OK)
        st = embed(m, c, pixels, &b, err);
    if (st == TB_OK)
        st = run_layers(m, c, &b, cancel, err);
    forget_pages(m);
    if (st == TB_OK)
        memcpy(out, b.x, (size_t)(m->k.tokens * m->k.dim) * sizeof *out);
    tb_scratch_release(c, mark);
    return st;
}
