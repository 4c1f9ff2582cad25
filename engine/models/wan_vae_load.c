/* wan_vae_load.c - the autoencoder's tensors, original and diffusers names, Wan2.1 and Wan2.2.
 *
 * The structure is read off the tensors that are there: which block of which level is a residual
 * block, which a resampling one, and whether it resamples time. Only the latents' mean and
 * deviation come from elsewhere.
 */
#include "models/wan_vae_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define NAME_SIZE 128

typedef struct loader {
    tb_compute *c;
    const tb_weights *w;
    tb_wan_vae *m;
    vae_half *half;
    bool encoder, diffusers;
    bool nested;                 /* blocks are named by level and place */
    bool levels;                 /* Wan2.2: shortcuts around levels */
    int64_t channels;            /* of the last operation */
    bool times;                  /* the last resampling block resamples time, too */
    const tb_weights_lack *lack; /* only looking: told what is not there, nothing is loaded */
    tb_err *err;
} loader;

/* Wan2.1 (z = 16) and Wan2.2 (z = 48), from the public models' configuration. */
static const float mean_16[] = { -0.7571f, -0.7089f, -0.9113f, 0.1075f,  -0.1745f, 0.9653f,
                                 -0.1517f, 1.5508f,  0.4134f,  -0.0715f, 0.5517f,  -0.3632f,
                                 -0.1922f, -0.9497f, 0.2503f,  -0.2921f };
static const float std_16[] = { 2.8184f, 1.4541f, 2.3275f, 2.6558f, 1.2196f, 1.7708f,
                                2.6052f, 2.0743f, 3.2687f, 2.1526f, 2.8652f, 1.5579f,
                                1.6382f, 1.1253f, 2.8251f, 1.9160f };
static const float mean_48[] = {
    -0.2289f, -0.0052f, -0.1323f, -0.2339f, -0.2799f, 0.0174f,  0.1838f,  0.1557f,
    -0.1382f, 0.0542f,  0.2813f,  0.0891f,  0.1570f,  -0.0098f, 0.0375f,  -0.1825f,
    -0.2246f, -0.1207f, -0.0698f, 0.5109f,  0.2665f,  -0.2108f, -0.2158f, 0.2502f,
    -0.2055f, -0.0322f, 0.1109f,  0.1567f,  -0.0729f, 0.0899f,  -0.2799f, -0.1230f,
    -0.0313f, -0.1649f, 0.0117f,  0.0723f,  -0.2839f, -0.2083f, -0.0520f, 0.3748f,
    0.0152f,  0.1957f,  0.1433f,  -0.2944f, 0.3573f,  -0.0548f, -0.1681f, -0.0667f,
};
static const float std_48[] = {
    0.4765f, 1.0364f, 0.4514f, 1.1677f, 0.5313f, 0.4990f, 0.4818f, 0.5013f, 0.8158f, 1.0344f,
    0.5894f, 1.0901f, 0.6885f, 0.6165f, 0.8454f, 0.4978f, 0.5759f, 0.3523f, 0.7135f, 0.6804f,
    0.5833f, 1.4146f, 0.8986f, 0.5659f, 0.7069f, 0.5338f, 0.4889f, 0.4917f, 0.4069f, 0.4999f,
    0.6866f, 0.4093f, 0.5709f, 0.6065f, 0.6415f, 0.4944f, 0.5726f, 1.2042f, 0.5458f, 1.6887f,
    0.3971f, 1.0600f, 0.3943f, 0.5537f, 0.5444f, 0.4089f, 0.7468f, 0.7744f,
};

/* -------------------------------------------------------------------------------- one tensor */

static const char *side(const loader *l)
{
    return l->encoder ? "encoder" : "decoder";
}

static bool has(const loader *l, const char *prefix, const char *tail)
{
    char buf[3 * NAME_SIZE];
    snprintf(buf, sizeof buf, "%s.%s", prefix, tail);
    return tb_weights_has(l->w, buf);
}

static const tb_tensor *get(const loader *l, const char *prefix, const char *tail)
{
    char buf[3 * NAME_SIZE];
    snprintf(buf, sizeof buf, "%s.%s", prefix, tail);
    return tb_weights_get(l->w, buf, l->err);
}

static vae_op *add_op(loader *l, vae_kind kind)
{
    vae_half *h = l->half;
    TB_GROW(h->ops, h->cap, h->count + 1);
    h->ops[h->count] = (vae_op){ .kind = kind, .in = l->channels, .out = l->channels };
    return &h->ops[h->count++];
}

/* The failure itself; only looking, it is told, and what follows can still be looked at. */
static tb_status failed(const loader *l)
{
    if (!l->lack)
        return l->err->status;
    l->lack->say(l->lack->ctx, l->err->message);
    *l->err = TB_ERR_INIT;
    return TB_OK;
}

/* A norm's gamma, which must have as many numbers as there are channels. */
static tb_status load_norm(loader *l, const char *prefix, const char *tail, int64_t channels,
                           float **out)
{
    const tb_tensor *t = get(l, prefix, tail);
    if (!t)
        return failed(l);
    char text[128];
    if (tb_tensor_count(t) != channels) {
        tb_err_set(l->err, TB_EFORMAT, "%s.%s of %s wants %lld numbers, the file has %s", prefix,
                   tail, tb_weights_path(l->w), (long long)channels,
                   tb_shape_text(tb_tensor_shape(t), text, sizeof text));
        return failed(l);
    }
    if (l->lack)
        return TB_OK;
    tb_tensor *f = tb_tensor_to_f32(t, l->err);
    if (!f)
        return l->err->status;
    *out = tb_xcalloc((size_t)channels, sizeof **out);
    memcpy(*out, tb_tensor_f32(f), tb_tensor_bytes(f));
    l->m->bytes += tb_tensor_bytes(f);
    tb_tensor_unref(&f);
    return TB_OK;
}

static tb_status check_inputs(const loader *l, const char *prefix, const tb_tensor *w, int64_t in)
{
    if (tb_tensor_dim(w, 1) == in)
        return TB_OK;
    char text[128];
    return tb_err_set(
        l->err, TB_EFORMAT, "%s.weight of %s wants %lld input channels, the file has %s", prefix,
        tb_weights_path(l->w), (long long)in, tb_shape_text(tb_tensor_shape(w), text, sizeof text));
}

/* A layer's weight, whose first dimension goes to *out (NULL: not wanted), and its bias. Only
 * looking, a bias may stay NULL; without a weight nothing that follows is known. */
static tb_status find_layer(loader *l, const char *prefix, int64_t in, const tb_tensor **w,
                            const tb_tensor **b, int64_t *out)
{
    *w = get(l, prefix, "weight");
    if (!*w)
        return l->err->status;
    if (out)
        *out = tb_tensor_dim(*w, 0);
    if (check_inputs(l, prefix, *w, in) != TB_OK)
        TB_TRY(failed(l));
    *b = get(l, prefix, "bias");
    return *b ? TB_OK : failed(l);
}

static tb_status load_conv(loader *l, const char *prefix, int64_t in, tb_conv **conv, int64_t *out)
{
    const tb_tensor *w, *b;
    TB_TRY(find_layer(l, prefix, in, &w, &b, out));
    if (l->lack)
        return TB_OK;
    *conv = tb_conv_new(l->c, w, b, l->err);
    l->m->bytes += (size_t)tb_tensor_count(w) * sizeof(float);
    return *conv ? TB_OK : l->err->status;
}

/* A 1x1 or 1x1x1 convolution is a linear layer. */
static tb_status load_linear(loader *l, const char *prefix, int64_t in, tb_linear **linear,
                             int64_t *out)
{
    const tb_tensor *w, *b;
    TB_TRY(find_layer(l, prefix, in, &w, &b, out));
    if (l->lack)
        return TB_OK;
    tb_tensor *flat = tb_tensor_view(w, &TB_SHAPE(tb_tensor_dim(w, 0), in), l->err);
    *linear = flat ? tb_linear_new(l->c, flat, b, l->err) : NULL;
    tb_tensor_unref(&flat);
    if (!*linear)
        return l->err->status;
    l->m->bytes += tb_linear_bytes(*linear);
    return TB_OK;
}

/* ------------------------------------------------------------------------------------- blocks */

static tb_status load_residual(loader *l, const char *prefix)
{
    static const char *const names[2][5] = {
        { "residual.0.gamma", "residual.2", "residual.3.gamma", "residual.6", "shortcut" },
        { "norm1.gamma", "conv1", "norm2.gamma", "conv2", "conv_shortcut" },
    };
    const char *const *n = names[l->diffusers];
    char conv_1[2 * NAME_SIZE], conv_2[2 * NAME_SIZE], shortcut[2 * NAME_SIZE];
    snprintf(conv_1, sizeof conv_1, "%s.%s", prefix, n[1]);
    snprintf(conv_2, sizeof conv_2, "%s.%s", prefix, n[3]);
    snprintf(shortcut, sizeof shortcut, "%s.%s", prefix, n[4]);
    vae_op *op = add_op(l, VAE_RESIDUAL);
    TB_TRY(load_norm(l, prefix, n[0], op->in, &op->norm_1));
    TB_TRY(load_conv(l, conv_1, op->in, &op->conv_1, &op->out));
    TB_TRY(load_norm(l, prefix, n[2], op->out, &op->norm_2));
    TB_TRY(load_conv(l, conv_2, op->out, &op->conv_2, NULL));
    if (op->in != op->out)
        TB_TRY(load_linear(l, shortcut, op->in, &op->linear_1, NULL));
    l->channels = op->out;
    return TB_OK;
}

static tb_status load_attention(loader *l, const char *prefix)
{
    char qkv[2 * NAME_SIZE], proj[2 * NAME_SIZE];
    snprintf(qkv, sizeof qkv, "%s.to_qkv", prefix);
    snprintf(proj, sizeof proj, "%s.proj", prefix);
    vae_op *op = add_op(l, VAE_ATTENTION);
    TB_TRY(load_norm(l, prefix, "norm.gamma", op->in, &op->norm_1));
    TB_TRY(load_linear(l, qkv, op->in, &op->linear_1, NULL));
    return load_linear(l, proj, op->in, &op->linear_2, NULL);
}

static tb_status load_resample(loader *l, const char *prefix)
{
    char space[2 * NAME_SIZE], time[2 * NAME_SIZE];
    snprintf(space, sizeof space, "%s.resample.1", prefix);
    snprintf(time, sizeof time, "%s.time_conv", prefix);
    vae_op *op = add_op(l, l->encoder ? VAE_DOWN : VAE_UP);
    TB_TRY(load_conv(l, space, op->in, &op->conv_1, &op->out));
    l->channels = op->out;
    l->times = has(l, time, "weight");
    if (l->times)
        TB_TRY(load_conv(l, time, l->encoder ? op->out : op->in, &op->conv_2, NULL));
    return TB_OK;
}

/* The name of block j, or of the resampling block behind j - 1 others, of a level. */
static const char *block_name(const loader *l, int level, int j, bool resample, char buf[NAME_SIZE])
{
    const char *original = l->encoder ? "downsamples" : "upsamples";
    const char *blocks = l->encoder ? "down_blocks" : "up_blocks";
    const char *sampler = l->encoder ? "downsampler" : l->levels ? "upsampler" : "upsamplers.0";
    if (!l->nested)
        snprintf(buf, NAME_SIZE, "%s.%s.%d", side(l), l->diffusers ? blocks : original, j);
    else if (!l->diffusers)
        snprintf(buf, NAME_SIZE, "%s.%s.%d.%s.%d", side(l), original, level, original, j);
    else if (resample)
        snprintf(buf, NAME_SIZE, "%s.%s.%d.%s", side(l), blocks, level, sampler);
    else
        snprintf(buf, NAME_SIZE, "%s.%s.%d.resnets.%d", side(l), blocks, level, j);
    return buf;
}

static bool is_residual(const loader *l, int level, int j)
{
    char name[NAME_SIZE];
    return has(l, block_name(l, level, j, false, name),
               l->diffusers ? "conv1.weight" : "residual.2.weight");
}

/* Residual and resampling blocks of one level; without nesting, all blocks there are. */
static tb_status load_blocks(loader *l, int level, vae_op *leave)
{
    char name[NAME_SIZE];
    for (int j = 0;; j++) {
        if (is_residual(l, level, j)) {
            TB_TRY(load_residual(l, block_name(l, level, j, false, name)));
            continue;
        }
        if (!has(l, block_name(l, level, j, true, name), "resample.1.weight"))
            return TB_OK;
        TB_TRY(load_resample(l, name));
        leave->space = 2;
        leave->time = l->times ? 2 : 1;
        if (l->nested)
            return TB_OK;
    }
}

/* In the decoder the last level, which does not resample, has no shortcut. */
static tb_status load_level(loader *l, int level)
{
    vae_op leave = { .kind = VAE_LEAVE, .in = l->channels, .time = 1, .space = 1 };
    const int enter = l->half->count;
    if (l->levels)
        add_op(l, VAE_ENTER);
    TB_TRY(load_blocks(l, level, &leave));
    leave.out = l->channels;
    if (!l->levels)
        return TB_OK;
    if (!l->encoder && leave.space == 1) {
        memmove(&l->half->ops[enter], &l->half->ops[enter + 1],
                (size_t)(l->half->count - enter - 1) * sizeof *l->half->ops);
        l->half->count--;
        return TB_OK;
    }
    const int64_t cells = leave.time * leave.space * leave.space;
    if (l->encoder ? leave.in * cells % leave.out : leave.out * cells % leave.in)
        return tb_err_set(l->err, TB_EFORMAT,
                          "level %d of the %s of %s goes from %lld to %lld channels, "
                          "which its shortcut cannot",
                          level, side(l), tb_weights_path(l->w), (long long)leave.in,
                          (long long)leave.out);
    *add_op(l, VAE_LEAVE) = leave;
    return TB_OK;
}

static tb_status load_levels(loader *l)
{
    TB_TRY(load_level(l, 0));
    for (int level = 1; l->nested && is_residual(l, level, 0); level++)
        TB_TRY(load_level(l, level));
    return TB_OK;
}

static tb_status load_middle(loader *l)
{
    char name[NAME_SIZE];
    snprintf(name, sizeof name, "%s.%s", side(l),
             l->diffusers ? "mid_block.resnets.0" : "middle.0");
    TB_TRY(load_residual(l, name));
    snprintf(name, sizeof name, "%s.%s", side(l),
             l->diffusers ? "mid_block.attentions.0" : "middle.1");
    TB_TRY(load_attention(l, name));
    snprintf(name, sizeof name, "%s.%s", side(l),
             l->diffusers ? "mid_block.resnets.1" : "middle.2");
    return load_residual(l, name);
}

/* -------------------------------------------------------------------------------- the halves */

static tb_status load_entry(loader *l)
{
    char name[NAME_SIZE];
    snprintf(name, sizeof name, "%s.%s", side(l), l->diffusers ? "conv_in" : "conv1");
    vae_op *op = add_op(l, VAE_CONV);
    const tb_tensor *w = get(l, name, "weight");
    if (!w)
        return l->err->status;
    if (l->encoder)
        op->in = tb_tensor_dim(w, 1);
    TB_TRY(load_conv(l, name, op->in, &op->conv_1, &op->out));
    l->channels = op->out;
    return TB_OK;
}

static tb_status load_head(loader *l)
{
    char norm[NAME_SIZE], conv[NAME_SIZE];
    snprintf(norm, sizeof norm, "%s.%s", side(l), l->diffusers ? "norm_out" : "head.0");
    snprintf(conv, sizeof conv, "%s.%s", side(l), l->diffusers ? "conv_out" : "head.2");
    vae_op *op = add_op(l, VAE_CONV);
    TB_TRY(load_norm(l, norm, "gamma", op->in, &op->norm_1));
    TB_TRY(load_conv(l, conv, op->in, &op->conv_1, &op->out));
    l->channels = op->out;
    return TB_OK;
}

static tb_status load_pointwise(loader *l, const char *name)
{
    const tb_tensor *w = get(l, name, "weight");
    if (!w)
        return l->err->status;
    vae_op *op = add_op(l, VAE_LINEAR);
    op->in = tb_tensor_dim(w, 1);
    TB_TRY(load_linear(l, name, op->in, &op->linear_1, &op->out));
    l->channels = op->out;
    return TB_OK;
}

static void find_naming(loader *l)
{
    char buf[NAME_SIZE];
    snprintf(buf, sizeof buf, "%s.conv_in", side(l));
    l->diffusers = has(l, buf, "weight");
    l->nested = l->levels = true;
    if (is_residual(l, 0, 0)) {
        /* Only the decoder of Wan2.1 in diffusers' naming is nested without shortcuts around
         * levels. */
        snprintf(buf, sizeof buf, "%s.up_blocks.0.upsamplers.0", side(l));
        l->levels = !has(l, buf, "resample.1.weight");
    } else {
        l->nested = l->levels = false;
    }
}

/* Where the frames are settled: behind the last operation that resamples time, at the end of its
 * level. */
static void find_settled(vae_half *h)
{
    bool inside = false;
    h->settled = 0;
    for (int i = 0; i < h->count; i++) {
        const vae_op *op = &h->ops[i];
        if ((op->kind == VAE_DOWN || op->kind == VAE_UP) && op->conv_2)
            inside = true, h->settled = i + 1;
        if (op->kind == VAE_LEAVE && inside)
            inside = false, h->settled = i + 1;
    }
}

static tb_status load_half(loader *l, bool encoder)
{
    l->encoder = encoder;
    l->half = encoder ? &l->m->encoder : &l->m->decoder;
    find_naming(l);
    if (encoder) {
        TB_TRY(load_entry(l));
        TB_TRY(load_levels(l));
        TB_TRY(load_middle(l));
        TB_TRY(load_head(l));
        TB_TRY(load_pointwise(l, l->diffusers ? "quant_conv" : "conv1"));
    } else {
        TB_TRY(load_pointwise(l, l->diffusers ? "post_quant_conv" : "conv2"));
        TB_TRY(load_entry(l));
        TB_TRY(load_middle(l));
        TB_TRY(load_levels(l));
        TB_TRY(load_head(l));
    }
    find_settled(l->half);
    return TB_OK;
}

/* ------------------------------------------------------------------------------ configuration */

/* Sizes from whichever half is there; both must agree. */
static tb_status read_structure(loader *l)
{
    tb_wan_vae_config *k = &l->m->k;
    const vae_half *e = &l->m->encoder, *d = &l->m->decoder, *h = d->count ? d : e;
    const int64_t pixels = d->count ? d->ops[d->count - 1].out : e->ops[0].in;
    k->has_encoder = e->count > 0;
    k->has_decoder = d->count > 0;
    k->z = d->count ? d->ops[0].in : e->ops[e->count - 1].out / 2;
    k->patch = pixels == 12 ? 2 : 1;
    if (pixels != 3 && pixels != 12)
        return tb_err_set(l->err, TB_EFORMAT,
                          "%s works on %lld channels a pixel; a Wan VAE has 3 or 12",
                          tb_weights_path(l->w), (long long)pixels);
    if (e->count && e->ops[e->count - 1].out != 2 * k->z)
        return tb_err_set(
            l->err, TB_EFORMAT, "the encoder of %s gives %lld channels, its decoder takes %lld",
            tb_weights_path(l->w), (long long)e->ops[e->count - 1].out / 2, (long long)k->z);
    k->dim = e->count ? e->ops[0].out : 0;
    k->dec_dim = d->count ? d->ops[d->count - 1].in : 0;
    k->stride_t = k->levels = 1;
    k->stride_hw = k->patch;
    for (int i = 0; i < h->count; i++)
        if (h->ops[i].kind == VAE_DOWN || h->ops[i].kind == VAE_UP) {
            k->levels++;
            k->stride_hw *= 2;
            k->stride_t *= h->ops[i].conv_2 ? 2 : 1;
        }
    return TB_OK;
}

static bool read_numbers(const json_t *config, const char *key, int64_t n, float *out)
{
    const json_t *a = json_object_get(config, key);
    if (!json_is_array(a) || (int64_t)json_array_size(a) != n)
        return false;
    for (int64_t i = 0; i < n; i++)
        out[i] = (float)json_number_value(json_array_get(a, (size_t)i));
    return true;
}

bool tb_wan_vae_scale(int64_t z, const float **mean, const float **std)
{
    *mean = z == 16 ? mean_16 : mean_48;
    *std = z == 16 ? std_16 : std_48;
    return z == 16 || z == 48;
}

static tb_status read_statistics(loader *l, const json_t *config)
{
    tb_wan_vae *m = l->m;
    const int64_t z = m->k.z;
    m->k.mean = m->mean = tb_xcalloc((size_t)z, sizeof *m->mean);
    m->k.std = m->std = tb_xcalloc((size_t)z, sizeof *m->std);
    if (read_numbers(config, "latents_mean", z, m->mean) &&
        read_numbers(config, "latents_std", z, m->std)) {
        for (int64_t i = 0; i < z; i++)
            if (!(m->std[i] > 0))
                return tb_err_set(l->err, TB_EFORMAT, "latents_std of %s must be above 0, got %g",
                                  tb_weights_path(l->w), (double)m->std[i]);
        return TB_OK;
    }
    const float *mean, *std;
    if (!tb_wan_vae_scale(z, &mean, &std))
        return tb_err_set(
            l->err, TB_EFORMAT,
            "the VAE %s has %lld latent channels, whose scale is not known; put latents_mean and "
            "latents_std into its config.json",
            tb_weights_path(l->w), (long long)z);
    memcpy(m->mean, mean, (size_t)z * sizeof *m->mean);
    memcpy(m->std, std, (size_t)z * sizeof *m->std);
    return TB_OK;
}

static bool half_is_there(const tb_weights *w, bool encoder)
{
    return tb_weights_has(w, encoder ? "encoder.conv1.weight" : "decoder.conv1.weight") ||
           tb_weights_has(w, encoder ? "encoder.conv_in.weight" : "decoder.conv_in.weight");
}

static tb_status load_all(loader *l, const json_t *config)
{
    const bool encoder = half_is_there(l->w, true), decoder = half_is_there(l->w, false);
    if (!encoder && !decoder)
        return tb_err_set(
            l->err, TB_EFORMAT,
            "%s is no Wan VAE: it has neither an encoder nor a decoder; give the folder or file "
            "of a Wan2.1 or Wan2.2 VAE",
            tb_weights_path(l->w));
    if (encoder)
        TB_TRY(load_half(l, true));
    if (decoder)
        TB_TRY(load_half(l, false));
    TB_TRY(read_structure(l));
    return read_statistics(l, config);
}

tb_wan_vae *tb_wan_vae_open_config(tb_compute *c, const tb_weights *w, const json_t *config,
                                   tb_err *err)
{
    tb_err own = TB_ERR_INIT;
    tb_wan_vae *m = tb_xcalloc(1, sizeof *m);
    m->split_above = VAE_SPLIT_ABOVE;
    loader l = { .c = c, .w = w, .m = m, .err = err ? err : &own };
    if (load_all(&l, config) != TB_OK)
        tb_wan_vae_close(&m);
    return m;
}

tb_wan_vae *tb_wan_vae_open(tb_compute *c, const tb_weights *w, tb_err *err)
{
    return tb_wan_vae_open_config(c, w, tb_weights_config(w), err);
}

void tb_wan_vae_check(const tb_weights *w, const tb_weights_lack *lack)
{
    tb_err err = TB_ERR_INIT;
    tb_wan_vae *m = tb_xcalloc(1, sizeof *m);
    loader l = { .w = w, .m = m, .lack = lack, .err = &err };
    if (load_all(&l, tb_weights_config(w)) != TB_OK)
        lack->say(lack->ctx, err.message);
    tb_wan_vae_close(&m);
}

static void free_half(vae_half *h)
{
    for (int i = 0; i < h->count; i++) {
        vae_op *op = &h->ops[i];
        free(op->norm_1);
        free(op->norm_2);
        tb_conv_free(&op->conv_1);
        tb_conv_free(&op->conv_2);
        tb_linear_free(&op->linear_1);
        tb_linear_free(&op->linear_2);
    }
    free(h->ops);
}

void tb_wan_vae_close(tb_wan_vae **mp)
{
    tb_wan_vae *m = *mp;
    *mp = NULL;
    if (!m)
        return;
    free_half(&m->encoder);
    free_half(&m->decoder);
    free(m->mean);
    free(m->std);
    free(m);
}

const tb_wan_vae_config *tb_wan_vae_config_of(const tb_wan_vae *m)
{
    return &m->k;
}

size_t tb_wan_vae_bytes(const tb_wan_vae *m)
{
    return m->bytes;
}
