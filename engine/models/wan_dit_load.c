/* wan_dit_load.c - the Wan transformer's tensors under their original and their diffusers names. */
#include "models/wan_dit_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { ORIGINAL, DIFFUSERS };

typedef struct loader {
    tb_compute *c;
    const tb_weights *w;
    tb_wan_dit *m;
    int naming;
    int block; /* -1: names stand alone; else below blocks.<block> */
    tb_err *err;
} loader;

typedef const char *const pair[2]; /* original, diffusers */

static pair PATCH = { "patch_embedding", "patch_embedding" };
static pair TEXT_0 = { "text_embedding.0", "condition_embedder.text_embedder.linear_1" };
static pair TEXT_2 = { "text_embedding.2", "condition_embedder.text_embedder.linear_2" };
static pair TIME_0 = { "time_embedding.0", "condition_embedder.time_embedder.linear_1" };
static pair TIME_2 = { "time_embedding.2", "condition_embedder.time_embedder.linear_2" };
static pair TIME_PROJ = { "time_projection.1", "condition_embedder.time_proj" };
static pair IMAGE_0 = { "img_emb.proj.0", "condition_embedder.image_embedder.norm1" };
static pair IMAGE_1 = { "img_emb.proj.1", "condition_embedder.image_embedder.ff.net.0.proj" };
static pair IMAGE_3 = { "img_emb.proj.3", "condition_embedder.image_embedder.ff.net.2" };
static pair IMAGE_4 = { "img_emb.proj.4", "condition_embedder.image_embedder.norm2" };
static pair IMAGE_POS = { "img_emb.emb_pos", "condition_embedder.image_embedder.pos_embed" };
static pair HEAD = { "head.head", "proj_out" };
static pair HEAD_MODULATION = { "head.modulation", "scale_shift_table" };
static pair MODULATION = { "modulation", "scale_shift_table" };
static pair SELF_Q = { "self_attn.q", "attn1.to_q" };
static pair SELF_K = { "self_attn.k", "attn1.to_k" };
static pair SELF_V = { "self_attn.v", "attn1.to_v" };
static pair SELF_O = { "self_attn.o", "attn1.to_out.0" };
static pair SELF_NORM_Q = { "self_attn.norm_q", "attn1.norm_q" };
static pair SELF_NORM_K = { "self_attn.norm_k", "attn1.norm_k" };
static pair NORM_3 = { "norm3", "norm2" };
static pair CROSS_Q = { "cross_attn.q", "attn2.to_q" };
static pair CROSS_K = { "cross_attn.k", "attn2.to_k" };
static pair CROSS_V = { "cross_attn.v", "attn2.to_v" };
static pair CROSS_O = { "cross_attn.o", "attn2.to_out.0" };
static pair CROSS_NORM_Q = { "cross_attn.norm_q", "attn2.norm_q" };
static pair CROSS_NORM_K = { "cross_attn.norm_k", "attn2.norm_k" };
static pair IMAGE_K = { "cross_attn.k_img", "attn2.add_k_proj" };
static pair IMAGE_V = { "cross_attn.v_img", "attn2.add_v_proj" };
static pair IMAGE_NORM_K = { "cross_attn.norm_k_img", "attn2.norm_added_k" };
static pair FFN_0 = { "ffn.0", "ffn.net.0.proj" };
static pair FFN_2 = { "ffn.2", "ffn.net.2" };

#define NAME_SIZE 128

static const char *full_name(const loader *l, pair name, const char *tail, char buf[NAME_SIZE])
{
    if (l->block < 0)
        snprintf(buf, NAME_SIZE, "%s%s", name[l->naming], tail);
    else
        snprintf(buf, NAME_SIZE, "blocks.%d.%s%s", l->block, name[l->naming], tail);
    return buf;
}

static const tb_tensor *peek(const loader *l, pair name, const char *tail)
{
    char buf[NAME_SIZE];
    full_name(l, name, tail, buf);
    return tb_weights_has(l->w, buf) ? tb_weights_get(l->w, buf, NULL) : NULL;
}

/* Owned f32 copy of `count` numbers. */
static tb_status load_vector(loader *l, pair name, const char *tail, int64_t count, float **out)
{
    char buf[NAME_SIZE];
    const tb_tensor *t =
        tb_weights_want(l->w, full_name(l, name, tail, buf), &TB_SHAPE(count), l->err);
    if (!t)
        return l->err->status;
    tb_tensor *f = tb_tensor_to_f32(t, l->err);
    if (!f)
        return l->err->status;
    *out = tb_mem_alloc(tb_tensor_bytes(f));
    if (*out) {
        memcpy(*out, tb_tensor_f32(f), tb_tensor_bytes(f));
        l->m->bytes += tb_tensor_bytes(f);
    }
    tb_tensor_unref(&f);
    return *out ? TB_OK : tb_err_set(l->err, TB_ENOMEM, "no memory for the weights of %s", buf);
}

static tb_status load_affine(loader *l, pair name, int64_t count, dit_affine *out)
{
    TB_TRY(load_vector(l, name, ".weight", count, &out->weight));
    return load_vector(l, name, ".bias", count, &out->bias);
}

/* One linear layer from `count` of them with the same inputs, each [out][in]. */
static tb_status load_join(loader *l, int count, const pair *const *names, int64_t out, int64_t in,
                           tb_linear **linear)
{
    enum { MOST = 3 };
    tb_tensor *views[MOST] = { 0 };
    const tb_tensor *weights[MOST], *biases[MOST];
    tb_status st = TB_OK;
    for (int i = 0; i < count && st == TB_OK; i++) {
        char buf[NAME_SIZE];
        const tb_tensor *w = tb_weights_want(l->w, full_name(l, *names[i], ".weight", buf),
                                             &TB_SHAPE(out, in), l->err);
        biases[i] =
            w ? tb_weights_want(l->w, full_name(l, *names[i], ".bias", buf), &TB_SHAPE(out), l->err)
              : NULL;
        views[i] = biases[i] ? tb_tensor_view(w, &TB_SHAPE(out, in), l->err) : NULL;
        weights[i] = views[i];
        st = views[i] ? TB_OK : l->err->status;
    }
    if (st == TB_OK) {
        *linear = tb_linear_join(l->c, count, weights, biases, l->err);
        st = *linear ? TB_OK : l->err->status;
        l->m->bytes += *linear ? tb_linear_bytes(*linear) : 0;
    }
    for (int i = 0; i < count; i++)
        tb_tensor_unref(&views[i]);
    return st;
}

static tb_status load_linear(loader *l, const pair *name, int64_t out, int64_t in,
                             tb_linear **linear)
{
    return load_join(l, 1, (const pair *const[]){ name }, out, in, linear);
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
    for (at.block = 0; peek(&at, SELF_Q, ".weight"); at.block++)
        ;
    return at.block;
}

/* What the shapes say. The patch kernel is [dim][in][1][2][2], also when its rank was lost on the
 * way. */
static void infer_config(const loader *l, tb_wan_dit_config *k)
{
    loader block = *l;
    block.block = 0;
    const tb_tensor *patch = peek(l, PATCH, ".weight");
    k->dim = dim_of(peek(l, HEAD_MODULATION, ""), -1);
    k->in_dim = patch && k->dim > 0 ? tb_tensor_count(patch) / (4 * k->dim) : 0;
    k->out_dim = dim_of(peek(l, HEAD, ".weight"), 0) / 4;
    k->ffn_dim = dim_of(peek(&block, FFN_0, ".weight"), 0);
    k->text_dim = dim_of(peek(l, TEXT_0, ".weight"), -1);
    k->freq_dim = dim_of(peek(l, TIME_0, ".weight"), -1);
    k->image_dim = dim_of(peek(l, IMAGE_1, ".weight"), -1);
    k->layers = count_blocks(l);
    k->heads = k->dim % 128 == 0 ? k->dim / 128 : 0;
    k->text_len = 512;
    k->eps = 1e-6f;
}

static tb_status read_config(const loader *l, const json_t *config, tb_wan_dit_config *k)
{
    infer_config(l, k);
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
    TB_TRY(load_linear(l, &PATCH, d, 4 * k->in_dim, &m->patch));
    TB_TRY(load_linear(l, &TEXT_0, d, k->text_dim, &m->text_0));
    TB_TRY(load_linear(l, &TEXT_2, d, d, &m->text_2));
    TB_TRY(load_linear(l, &TIME_0, d, k->freq_dim, &m->time_0));
    TB_TRY(load_linear(l, &TIME_2, d, d, &m->time_2));
    TB_TRY(load_linear(l, &TIME_PROJ, 6 * d, d, &m->time_proj));
    TB_TRY(load_linear(l, &HEAD, 4 * k->out_dim, d, &m->head));
    return load_vector(l, HEAD_MODULATION, "", 2 * d, &m->head_modulation);
}

static tb_status load_image_embedding(loader *l)
{
    tb_wan_dit *m = l->m;
    const int64_t in = m->k.image_dim, d = m->k.dim;
    TB_TRY(load_affine(l, IMAGE_0, in, &m->image_norm_in));
    TB_TRY(load_linear(l, &IMAGE_1, in, in, &m->image_1));
    TB_TRY(load_linear(l, &IMAGE_3, d, in, &m->image_3));
    TB_TRY(load_affine(l, IMAGE_4, d, &m->image_norm_out));
    const tb_tensor *pos = peek(l, IMAGE_POS, "");
    if (!pos)
        return TB_OK;
    m->image_pos_rows = tb_tensor_count(pos) / in;
    return load_vector(l, IMAGE_POS, "", m->image_pos_rows * in, &m->image_pos);
}

static tb_status load_block(loader *l, dit_block *b)
{
    const int64_t d = l->m->k.dim, ffn = l->m->k.ffn_dim;
    TB_TRY(load_vector(l, MODULATION, "", 6 * d, &b->modulation));
    TB_TRY(load_join(l, 3, (const pair *const[]){ &SELF_Q, &SELF_K, &SELF_V }, d, d, &b->qkv));
    TB_TRY(load_linear(l, &SELF_O, d, d, &b->o));
    TB_TRY(load_vector(l, SELF_NORM_Q, ".weight", d, &b->norm_q));
    TB_TRY(load_vector(l, SELF_NORM_K, ".weight", d, &b->norm_k));
    TB_TRY(load_affine(l, NORM_3, d, &b->norm3));
    TB_TRY(load_linear(l, &CROSS_Q, d, d, &b->cross_q));
    TB_TRY(load_join(l, 2, (const pair *const[]){ &CROSS_K, &CROSS_V }, d, d, &b->cross_kv));
    TB_TRY(load_linear(l, &CROSS_O, d, d, &b->cross_o));
    TB_TRY(load_vector(l, CROSS_NORM_Q, ".weight", d, &b->cross_norm_q));
    TB_TRY(load_vector(l, CROSS_NORM_K, ".weight", d, &b->cross_norm_k));
    TB_TRY(load_linear(l, &FFN_0, ffn, d, &b->ffn_0));
    TB_TRY(load_linear(l, &FFN_2, d, ffn, &b->ffn_2));
    if (!l->m->k.image_dim)
        return TB_OK;
    TB_TRY(load_join(l, 2, (const pair *const[]){ &IMAGE_K, &IMAGE_V }, d, d, &b->image_kv));
    return load_vector(l, IMAGE_NORM_K, ".weight", d, &b->image_norm_k);
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

tb_wan_dit *tb_wan_dit_open_config(tb_compute *c, const tb_weights *w, const json_t *config,
                                   tb_err *err)
{
    tb_err own = TB_ERR_INIT;
    tb_wan_dit *m = tb_xcalloc(1, sizeof *m);
    loader l = { .c = c, .w = w, .m = m, .block = -1, .err = err ? err : &own };
    l.naming = tb_weights_has(w, "blocks.0.attn1.to_q.weight") ? DIFFUSERS : ORIGINAL;
    if (load_all(&l, config) != TB_OK)
        tb_wan_dit_close(&m);
    return m;
}

tb_wan_dit *tb_wan_dit_open(tb_compute *c, const tb_weights *w, tb_err *err)
{
    return tb_wan_dit_open_config(c, w, tb_weights_config(w), err);
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
