/* wan_dit_load.c - the Wan transformer's tensors under their original and their diffusers names. */
#include "models/wan_dit_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "compute/mode.h"
#include "models/wan_dit_names.h"

typedef struct loader {
    tb_compute *c;
    const tb_weights *w;
    tb_wan_dit *m;
    dit_naming naming;
    int block; /* -1: names stand alone; else below blocks.<block> */
    const tb_lora_use *loras;
    int lora_count;
    const tb_weights_lack *lack; /* only looking: told what is not there, nothing is loaded */
    tb_err *err;
} loader;

static const char *full_name(const loader *l, dit_name name, const char *tail,
                             char buf[DIT_NAME_SIZE])
{
    if (l->block < 0)
        snprintf(buf, DIT_NAME_SIZE, "%s%s", tbi_dit_name(name, l->naming), tail);
    else
        snprintf(buf, DIT_NAME_SIZE, "blocks.%d.%s%s", l->block, tbi_dit_name(name, l->naming),
                 tail);
    return buf;
}

static const tb_tensor *peek(const loader *l, dit_name name, const char *tail)
{
    char buf[DIT_NAME_SIZE];
    full_name(l, name, tail, buf);
    return tb_weights_has(l->w, buf) ? tb_weights_get(l->w, buf, NULL) : NULL;
}

/* A tensor of that shape with the LoRAs merged in. New reference. */
static tb_tensor *take(loader *l, dit_name name, const char *tail, const tb_shape *shape)
{
    char buf[DIT_NAME_SIZE];
    const tb_tensor *t = tb_weights_want(l->w, full_name(l, name, tail, buf), shape, l->err);
    tb_tensor *own = t ? tb_tensor_view(t, shape, l->err) : NULL;
    if (own && tb_lora_merge(l->loras, l->lora_count, l->c, buf, &own, l->err) != TB_OK)
        tb_tensor_unref(&own);
    return own;
}

static tb_status look(const loader *l, dit_name name, const char *tail, const tb_shape *shape)
{
    char buf[DIT_NAME_SIZE];
    tb_err why = TB_ERR_INIT;
    if (!tb_weights_want(l->w, full_name(l, name, tail, buf), shape, &why))
        l->lack->say(l->lack->ctx, why.message);
    return TB_OK;
}

/* Owned f32 copy of `count` numbers. */
static tb_status load_vector(loader *l, dit_name name, const char *tail, int64_t count, float **out)
{
    if (l->lack)
        return look(l, name, tail, &TB_SHAPE(count));
    tb_tensor *t = take(l, name, tail, &TB_SHAPE(count));
    tb_tensor *f = t ? tb_tensor_to_f32(t, l->err) : NULL;
    tb_tensor_unref(&t);
    if (!f)
        return l->err->status;
    *out = tb_mem_alloc(tb_tensor_bytes(f));
    if (*out) {
        memcpy(*out, tb_tensor_f32(f), tb_tensor_bytes(f));
        l->m->bytes += tb_tensor_bytes(f);
    }
    tb_tensor_unref(&f);
    return *out ? TB_OK
                : tb_err_set(l->err, TB_ENOMEM, "no memory for the weights of %s",
                             tbi_dit_name(name, l->naming));
}

static tb_status load_affine(loader *l, dit_name name, int64_t count, dit_affine *out)
{
    TB_TRY(load_vector(l, name, ".weight", count, &out->weight));
    return load_vector(l, name, ".bias", count, &out->bias);
}

/* The layers of the blocks, when the user asks for it. Keys and values of the text are made once a
 * prompt and stay exact. */
static bool in_int8(const loader *l, dit_name first)
{
    return tb_compute_mode(l->c) == TB_MODE_INT8 && l->block >= 0 && first != DIT_CROSS_K &&
           first != DIT_IMAGE_K;
}

static tb_status look_at_join(const loader *l, int count, const dit_name *names, int64_t out,
                              int64_t in)
{
    for (int i = 0; i < count; i++) {
        look(l, names[i], ".weight", &TB_SHAPE(out, in));
        look(l, names[i], ".bias", &TB_SHAPE(out));
    }
    return TB_OK;
}

/* One linear layer from `count` of them with the same inputs, each [out][in]. */
static tb_status load_join(loader *l, int count, const dit_name *names, int64_t out, int64_t in,
                           tb_linear **linear)
{
    enum { MOST = 3 };
    tb_tensor *weights[MOST] = { 0 }, *biases[MOST] = { 0 };
    bool all = true;
    if (l->lack)
        return look_at_join(l, count, names, out, in);
    for (int i = 0; i < count && all; i++) {
        weights[i] = take(l, names[i], ".weight", &TB_SHAPE(out, in));
        biases[i] = weights[i] ? take(l, names[i], ".bias", &TB_SHAPE(out)) : NULL;
        all = biases[i] != NULL;
    }
    if (all) {
        *linear = (in_int8(l, names[0]) ? tb_linear_join_int8 : tb_linear_join)(
            l->c, count, (const tb_tensor *const *)weights, (const tb_tensor *const *)biases,
            l->err);
        l->m->bytes += *linear ? tb_linear_bytes(*linear) : 0;
    }
    for (int i = 0; i < count; i++) {
        tb_tensor_unref(&weights[i]);
        tb_tensor_unref(&biases[i]);
    }
    return *linear ? TB_OK : l->err->status;
}

static tb_status load_linear(loader *l, dit_name name, int64_t out, int64_t in, tb_linear **linear)
{
    return load_join(l, 1, &name, out, in, linear);
}

/* ------------------------------------------------------------------------------ configuration */

static void read_int(const json_t *config, const char *a, const char *b, int64_t *out)
{
    const json_t *v = json_object_get(config, a);
    if (!v && b)
        v = json_object_get(config, b);
    if (json_is_integer(v) && json_integer_value(v) > 0)
        *out = json_integer_value(v);
}

static int64_t dim_of(const tb_tensor *t, int i)
{
    return t ? tb_tensor_dim(t, i) : 0;
}

static int64_t count_blocks(const loader *l)
{
    loader at = *l;
    for (at.block = 0; peek(&at, DIT_SELF_Q, ".weight"); at.block++)
        ;
    return at.block;
}

/* Those that names or the configuration tell of, also behind one that is not there. */
static int64_t count_blocks_wanted(const loader *l, const json_t *config)
{
    const int64_t there = tb_weights_blocks(l->w, "blocks."),
                  told = json_integer_value(json_object_get(config, "num_layers"));
    return told > there && told < 1000 ? told : there;
}

/* What the shapes say. The patch kernel is [dim][in][1][2][2], also when its rank was lost on the
 * way. */
static void infer_config(const loader *l, tb_wan_dit_config *k)
{
    loader block = *l;
    block.block = 0;
    const tb_tensor *patch = peek(l, DIT_PATCH, ".weight");
    k->dim = dim_of(peek(l, DIT_HEAD_MODULATION, ""), -1);
    k->in_dim = patch && k->dim > 0 ? tb_tensor_count(patch) / (4 * k->dim) : 0;
    k->out_dim = dim_of(peek(l, DIT_HEAD, ".weight"), 0) / 4;
    k->ffn_dim = dim_of(peek(&block, DIT_FFN_0, ".weight"), 0);
    k->text_dim = dim_of(peek(l, DIT_TEXT_0, ".weight"), -1);
    k->freq_dim = dim_of(peek(l, DIT_TIME_0, ".weight"), -1);
    k->image_dim = dim_of(peek(l, DIT_IMAGE_1, ".weight"), -1);
    k->layers = count_blocks(l);
    k->heads = k->dim % 128 == 0 ? k->dim / 128 : 0;
    k->text_len = 512;
    k->eps = 1e-6f;
}

static tb_status read_config(const loader *l, const json_t *config, tb_wan_dit_config *k)
{
    infer_config(l, k);
    if (l->lack)
        k->layers = count_blocks_wanted(l, config);
    read_int(config, "num_heads", "num_attention_heads", &k->heads);
    read_int(config, "text_len", "text_length", &k->text_len);
    const json_t *eps = json_object_get(config, "eps");
    if (json_is_number(eps))
        k->eps = (float)json_number_value(eps);
    if (k->dim < 1 || k->layers < 1 || k->in_dim < 1 || k->out_dim < 1 || k->ffn_dim < 1 ||
        k->text_dim < 1 || k->freq_dim < 2 || k->freq_dim % 2)
        return tb_err_set(
            l->err, TB_EFORMAT,
            "%s is no Wan transformer: its patch, head, text, time or block tensors are "
            "missing; give the folder or file of a Wan2.1 or Wan2.2 transformer",
            tb_weights_path(l->w));
    if (k->heads < 1 || k->dim % k->heads || k->dim / k->heads % 2)
        return tb_err_set(
            l->err, TB_EFORMAT,
            "%s has width %lld and %lld heads, which do not fit; put num_heads into its "
            "config.json",
            tb_weights_path(l->w), (long long)k->dim, (long long)k->heads);
    if (k->in_dim < k->out_dim)
        return tb_err_set(
            l->err, TB_EFORMAT,
            "%s takes %lld channels and gives %lld; a Wan transformer takes at least what "
            "it gives",
            tb_weights_path(l->w), (long long)k->in_dim, (long long)k->out_dim);
    return TB_OK;
}

/* ------------------------------------------------------------------------------------ loading */

static tb_status load_embeddings(loader *l)
{
    tb_wan_dit *m = l->m;
    const tb_wan_dit_config *k = &m->k;
    const int64_t d = k->dim;
    TB_TRY(load_linear(l, DIT_PATCH, d, 4 * k->in_dim, &m->patch));
    TB_TRY(load_linear(l, DIT_TEXT_0, d, k->text_dim, &m->text_0));
    TB_TRY(load_linear(l, DIT_TEXT_2, d, d, &m->text_2));
    TB_TRY(load_linear(l, DIT_TIME_0, d, k->freq_dim, &m->time_0));
    TB_TRY(load_linear(l, DIT_TIME_2, d, d, &m->time_2));
    TB_TRY(load_linear(l, DIT_TIME_PROJ, 6 * d, d, &m->time_proj));
    TB_TRY(load_linear(l, DIT_HEAD, 4 * k->out_dim, d, &m->head));
    return load_vector(l, DIT_HEAD_MODULATION, "", 2 * d, &m->head_modulation);
}

static tb_status load_image_embedding(loader *l)
{
    tb_wan_dit *m = l->m;
    const int64_t in = m->k.image_dim, d = m->k.dim;
    TB_TRY(load_affine(l, DIT_IMAGE_0, in, &m->image_norm_in));
    TB_TRY(load_linear(l, DIT_IMAGE_1, in, in, &m->image_1));
    TB_TRY(load_linear(l, DIT_IMAGE_3, d, in, &m->image_3));
    TB_TRY(load_affine(l, DIT_IMAGE_4, d, &m->image_norm_out));
    const tb_tensor *pos = peek(l, DIT_IMAGE_POS, "");
    if (!pos)
        return TB_OK;
    m->k.image_rows = tb_tensor_count(pos) / in;
    return load_vector(l, DIT_IMAGE_POS, "", m->k.image_rows * in, &m->image_pos);
}

static tb_status load_block(loader *l, dit_block *b)
{
    const int64_t d = l->m->k.dim, ffn = l->m->k.ffn_dim;
    TB_TRY(load_vector(l, DIT_MODULATION, "", 6 * d, &b->modulation));
    TB_TRY(
        load_join(l, 3, (const dit_name[]){ DIT_SELF_Q, DIT_SELF_K, DIT_SELF_V }, d, d, &b->qkv));
    TB_TRY(load_linear(l, DIT_SELF_O, d, d, &b->o));
    TB_TRY(load_vector(l, DIT_SELF_NORM_Q, ".weight", d, &b->norm_q));
    TB_TRY(load_vector(l, DIT_SELF_NORM_K, ".weight", d, &b->norm_k));
    TB_TRY(load_affine(l, DIT_NORM_3, d, &b->norm3));
    TB_TRY(load_linear(l, DIT_CROSS_Q, d, d, &b->cross_q));
    TB_TRY(load_join(l, 2, (const dit_name[]){ DIT_CROSS_K, DIT_CROSS_V }, d, d, &b->cross_kv));
    TB_TRY(load_linear(l, DIT_CROSS_O, d, d, &b->cross_o));
    TB_TRY(load_vector(l, DIT_CROSS_NORM_Q, ".weight", d, &b->cross_norm_q));
    TB_TRY(load_vector(l, DIT_CROSS_NORM_K, ".weight", d, &b->cross_norm_k));
    TB_TRY(load_linear(l, DIT_FFN_0, ffn, d, &b->ffn_0));
    TB_TRY(load_linear(l, DIT_FFN_2, d, ffn, &b->ffn_2));
    if (!l->m->k.image_dim)
        return TB_OK;
    TB_TRY(load_join(l, 2, (const dit_name[]){ DIT_IMAGE_K, DIT_IMAGE_V }, d, d, &b->image_kv));
    return load_vector(l, DIT_IMAGE_NORM_K, ".weight", d, &b->image_norm_k);
}

static tb_status load_all(loader *l, const json_t *config)
{
    tb_wan_dit *m = l->m;
    TB_TRY(read_config(l, config, &m->k));
    m->head_dim = m->k.dim / m->k.heads;
    m->blocks = tb_xcalloc((size_t)m->k.layers, sizeof *m->blocks);
    TB_TRY(load_embeddings(l));
    if (m->k.image_dim)
        TB_TRY(load_image_embedding(l));
    for (l->block = 0; l->block < (int)m->k.layers; l->block++)
        TB_TRY(load_block(l, &m->blocks[l->block]));
    return TB_OK;
}

static tb_wan_dit *open_dit(loader *l, const json_t *config)
{
    tb_wan_dit *m = l->m = tb_xcalloc(1, sizeof *m);
    l->block = -1;
    l->naming = tb_weights_has(l->w, "blocks.0.attn1.to_q.weight") ? DIT_DIFFUSERS : DIT_ORIGINAL;
    if (load_all(l, config) != TB_OK)
        tb_wan_dit_close(&m);
    return m;
}

tb_wan_dit *tb_wan_dit_open_merged(tb_compute *c, const tb_weights *w, const json_t *config,
                                   const tb_lora_use *loras, int count, tb_err *err)
{
    tb_err own = TB_ERR_INIT;
    loader l = { .c = c, .w = w, .loras = loras, .lora_count = count, .err = err ? err : &own };
    return open_dit(&l, config);
}

tb_wan_dit *tb_wan_dit_open_config(tb_compute *c, const tb_weights *w, const json_t *config,
                                   tb_err *err)
{
    return tb_wan_dit_open_merged(c, w, config, NULL, 0, err);
}

tb_wan_dit *tb_wan_dit_open(tb_compute *c, const tb_weights *w, tb_err *err)
{
    return tb_wan_dit_open_config(c, w, tb_weights_config(w), err);
}

void tb_wan_dit_check(const tb_weights *w, const tb_weights_lack *lack)
{
    tb_err err = TB_ERR_INIT;
    loader l = { .w = w, .lack = lack, .err = &err };
    tb_wan_dit *m = open_dit(&l, tb_weights_config(w));
    if (!m)
        lack->say(lack->ctx, err.message);
    tb_wan_dit_close(&m);
}

static void free_affine(dit_affine *a)
{
    tb_mem_free(a->weight);
    tb_mem_free(a->bias);
}

static void free_block(dit_block *b)
{
    tb_linear **const linears[] = { &b->qkv,     &b->o,        &b->cross_q, &b->cross_kv,
                                    &b->cross_o, &b->image_kv, &b->ffn_0,   &b->ffn_2 };
    float *const vectors[] = { b->modulation,   b->norm_q,       b->norm_k,
                               b->cross_norm_q, b->cross_norm_k, b->image_norm_k };
    for (size_t i = 0; i < sizeof linears / sizeof *linears; i++)
        tb_linear_free(linears[i]);
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
        tb_mem_free(vectors[i]);
    free_affine(&b->norm3);
}

void tb_wan_dit_close(tb_wan_dit **mp)
{
    tb_wan_dit *m = *mp;
    *mp = NULL;
    if (!m)
        return;
    tb_linear **const linears[] = { &m->patch,     &m->text_0, &m->text_2,  &m->time_0, &m->time_2,
                                    &m->time_proj, &m->head,   &m->image_1, &m->image_3 };
    for (size_t i = 0; i < sizeof linears / sizeof *linears; i++)
        tb_linear_free(linears[i]);
    free_affine(&m->image_norm_in);
    free_affine(&m->image_norm_out);
    tb_mem_free(m->image_pos);
    tb_mem_free(m->head_modulation);
    for (int64_t i = 0; m->blocks && i < m->k.layers; i++)
        free_block(&m->blocks[i]);
    free(m->blocks);
    tbi_wan_dit_drop_texts(m);
    for (int i = 0; i < DIT_PACK; i++)
        tb_mem_free(m->grids[i].cos_sin);
    free(m);
}

const tb_wan_dit_config *tb_wan_dit_config_of(const tb_wan_dit *m)
{
    return &m->k;
}

size_t tb_wan_dit_bytes(const tb_wan_dit *m)
{
    return m->bytes;
}
