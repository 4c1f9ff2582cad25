/* models_sizes.c - what tensor names and shapes say about a part, without reading a weight. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "models/models.h"
#include "models/models_cost.h"
#include "models/wan_dit_names.h"

#define TEXT_LEN_DEFAULT 512 /* every public Wan model */

static bool has_any(const tb_weights *w, const char *a, const char *b)
{
    return tb_weights_has(w, a) || tb_weights_has(w, b);
}

/* Under the original name or the diffusers one; the error names the original. */
static const tb_tensor *either(const tb_weights *w, const char *a, const char *b, tb_err *err)
{
    return tb_weights_get(w, tb_weights_has(w, b) ? b : a, err);
}

/* Only 3D convolutions: Stable Diffusion's image VAEs use some of the same names. */
static bool is_video_conv(const tb_weights *w, const char *name)
{
    return tb_weights_has(w, name) && tb_tensor_shape(tb_weights_get(w, name, NULL))->n == 5;
}

unsigned tb_model_recognise(const tb_weights *w)
{
    static const char *const vae[] = { "decoder.conv1.weight", "decoder.conv_in.weight",
                                       "encoder.conv1.weight", "encoder.conv_in.weight" };
    unsigned parts = 0;
    if (is_video_conv(w, "patch_embedding.weight"))
        parts |= TB_HAS_TRANSFORMER;
    for (size_t i = 0; i < sizeof vae / sizeof *vae; i++)
        if (is_video_conv(w, vae[i]))
            parts |= TB_HAS_VAE;
    if (tb_clip_vision_is(w))
        parts |= TB_HAS_IMAGE_ENCODER;
    /* OpenCLIP's text tower has the first name too */
    if (!tb_weights_has(w, "ln_final.weight") &&
        (has_any(w, "token_embedding.weight", "token_embd.weight") ||
         has_any(w, "shared.weight", "encoder.embed_tokens.weight")))
        parts |= TB_HAS_TEXT_ENCODER;
    if (tb_weights_has(w, "spiece_model"))
        parts |= TB_HAS_TOKENIZER;
    return parts;
}

/* --------------------------------------------------------------------------------- transformer */

/* The linears of the blocks, but for keys and values of text and image (wan_dit_load.c). */
static bool in_int8(const char *name, const tb_tensor *t)
{
    static const char *const exact[] = { "_cross_attn_k", "_cross_attn_v", "_cross_attn_k_img",
                                         "_cross_attn_v_img" };
    char flat[DIT_NAME_SIZE];
    if (!tb_str_starts(name, "blocks.") || tb_tensor_shape(t)->n != 2 ||
        tbi_dit_flat_module(name, flat))
        return false;
    for (size_t i = 0; i < sizeof exact / sizeof *exact; i++)
        if (tb_str_ends(flat, exact[i]))
            return false;
    return true;
}

/* Matrices may stay in 16 bits; all else becomes f32. */
int64_t tb_model_dit_bytes(const tb_weights *w, bool int8, bool merged)
{
    int64_t n = 0;
    for (int i = 0; i < tb_weights_count(w); i++) {
        const tb_tensor *t = tb_weights_at(w, i);
        const bool matrix = tb_tensor_shape(t)->n > 1 && tb_tensor_dim(t, 0) > 1;
        if (int8 && in_int8(tb_weights_name(w, i), t)) /* a scale and a sum for each output */
            n += tb_tensor_count(t) + 8 * tb_tensor_dim(t, 0);
        else
            n += tb_tensor_count(t) * (matrix && !merged ? tb_linear_number_bytes(t) : 4);
    }
    return n;
}

static int64_t config_int(const tb_weights *w, const char *a, const char *b, int64_t otherwise)
{
    const json_t *v = json_object_get(tb_weights_config(w), a);
    if (!json_is_integer(v))
        v = json_object_get(tb_weights_config(w), b);
    return json_is_integer(v) ? json_integer_value(v) : otherwise;
}

static int64_t rows_of(const tb_weights *w, const char *a, const char *b)
{
    const char *name = tb_weights_has(w, a) ? a : b;
    return tb_weights_has(w, name) ? tb_tensor_dim(tb_weights_get(w, name, NULL), 0) : 0;
}

static int64_t count_blocks(const tb_weights *w)
{
    char a[64], b[64];
    for (int64_t n = 0;; n++) {
        snprintf(a, sizeof a, "blocks.%lld.self_attn.q.weight", (long long)n);
        snprintf(b, sizeof b, "blocks.%lld.attn1.to_q.weight", (long long)n);
        if (!has_any(w, a, b))
            return n;
    }
}

/* What memory is planned with; nothing here is refused. */
static void read_widths(const tb_weights *w, tb_dit_sizes *s)
{
    s->dim = rows_of(w, "patch_embedding.weight", "patch_embedding.weight");
    s->ffn_dim = rows_of(w, "blocks.0.ffn.0.weight", "blocks.0.ffn.net.0.proj.weight");
    s->heads = config_int(w, "num_heads", "num_attention_heads", s->dim / 128);
    s->layers = count_blocks(w);
    s->weight_bytes = tb_model_dit_bytes(w, false, false);
    s->int8_bytes = tb_model_dit_bytes(w, true, false);
}

/* Numbers of the positions of features of two images; 0: it has none. */
static int64_t image_positions(const tb_weights *w)
{
    static const char *const names[] = { "img_emb.emb_pos",
                                         "condition_embedder.image_embedder.pos_embed" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (tb_weights_has(w, names[i]))
            return tb_tensor_count(tb_weights_get(w, names[i], NULL));
    return 0;
}

tb_status tb_model_dit_sizes(const tb_weights *w, tb_dit_sizes *s, tb_err *err)
{
    const tb_tensor *patch = tb_weights_get(w, "patch_embedding.weight", err);
    const tb_tensor *head = either(w, "head.head.weight", "proj_out.weight", err);
    const tb_tensor *text = either(w, "text_embedding.0.weight",
                                   "condition_embedder.text_embedder.linear_1.weight", err);
    if (!patch || !head || !text)
        return TB_EFORMAT;
    *s = (tb_dit_sizes){
        .in_channels = tb_tensor_dim(patch, 1),
        .latent_channels = tb_tensor_dim(head, 0) / 4, /* a patch is 1x2x2 */
        .text_dim = tb_tensor_dim(text, 1),
        .text_len = config_int(w, "text_len", "text_length", TEXT_LEN_DEFAULT),
        .image_dim =
            rows_of(w, "img_emb.proj.0.bias", "condition_embedder.image_embedder.norm1.bias"),
    };
    s->image_rows = s->image_dim ? image_positions(w) / s->image_dim : 0;
    if (s->latent_channels < 1 || s->in_channels < s->latent_channels || s->text_len < 1)
        return tb_err_set(
            err, TB_EFORMAT, "'%s' is no Wan transformer: it takes %lld channels and gives %lld",
            tb_weights_path(w), (long long)s->in_channels, (long long)s->latent_channels);
    read_widths(w, s);
    return TB_OK;
}

tb_wan_dit_config tb_model_dit_config(const tb_dit_sizes *s)
{
    return (tb_wan_dit_config){ .dim = s->dim,
                                .ffn_dim = s->ffn_dim,
                                .heads = s->heads,
                                .layers = s->layers,
                                .in_dim = s->in_channels,
                                .out_dim = s->latent_channels,
                                .text_dim = s->text_dim,
                                .text_len = s->text_len,
                                .image_dim = s->image_dim,
                                .image_rows = s->image_rows };
}

const char *tb_model_family(const tb_dit_sizes *s)
{
    if (s->image_dim)
        return "Wan2.1 I2V";
    if (s->in_channels == s->latent_channels)
        return s->latent_channels == 48 ? "Wan2.2 TI2V" : "Wan T2V";
    /* noisy latents, 4 of mask, known latents */
    return s->in_channels == 2 * s->latent_channels + 4 ? "Wan T2V and I2V" : "Wan";
}

/* ----------------------------------------------------------------------------------------- VAE */

/* Kernels of one point are linear layers, whose 16 bits stay; those of larger ones become f32. */
static int64_t vae_bytes(const tb_weights *w)
{
    int64_t n = 0;
    for (int i = 0; i < tb_weights_count(w); i++) {
        const tb_tensor *t = tb_weights_at(w, i);
        const int64_t out = tb_tensor_dim(t, 0), in = tb_tensor_dim(t, 1);
        const bool point = tb_tensor_shape(t)->n > 1 && in > 1 && tb_tensor_count(t) == out * in;
        n += tb_tensor_count(t) * (point ? tb_linear_number_bytes(t) : 4);
    }
    return n;
}

/* Tensors of one half whose names end so: each is a step down or up. */
static int count_steps(const tb_weights *w, const char *half, const char *suffix)
{
    int n = 0;
    for (int i = 0; i < tb_weights_count(w); i++)
        n += tb_str_starts(tb_weights_name(w, i), half) &&
             tb_str_ends(tb_weights_name(w, i), suffix);
    return n;
}

/* Of a video of usual size: what attention adds hardly changes with it. */
static int64_t flop_of_cell(const tb_weights *w, bool encode, int64_t stride_t)
{
    enum { FRAMES = 6, SIDE = 64 };
    const double frames = (double)((FRAMES - 1) * stride_t + 1);
    return (int64_t)(tb_model_vae_flop(w, encode, FRAMES, SIDE, SIDE) / (frames * SIDE * SIDE));
}

tb_status tb_model_vae_sizes(const tb_weights *w, tb_vae_sizes *s, tb_err *err)
{
    const bool decoder = has_any(w, "decoder.conv1.weight", "decoder.conv_in.weight");
    const char *half = decoder ? "decoder." : "encoder.";
    /* pixels meet the VAE here: 3 channels, or 12 where 2x2 pixels are one */
    const tb_tensor *pixels =
        decoder ? either(w, "decoder.head.2.weight", "decoder.conv_out.weight", err)
                : either(w, "encoder.conv1.weight", "encoder.conv_in.weight", err);
    const tb_tensor *latent =
        decoder ? either(w, "decoder.conv1.weight", "decoder.conv_in.weight", err)
                : either(w, "encoder.head.2.weight", "encoder.conv_out.weight", err);
    if (!pixels || !latent)
        return TB_EFORMAT;
    const int64_t channels = tb_tensor_dim(pixels, decoder ? 0 : 1);
    const int space = count_steps(w, half, ".resample.1.weight"),
              time = count_steps(w, half, ".time_conv.weight");
    if ((channels != 3 && channels != 12) || space > 8 || time > 8)
        return tb_err_set(err, TB_EFORMAT,
                          "'%s' is no Wan VAE: it has %lld pixel channels and %d steps of scale",
                          tb_weights_path(w), (long long)channels, space);
    *s = (tb_vae_sizes){ .z = decoder ? tb_tensor_dim(latent, 1) : tb_tensor_dim(latent, 0) / 2,
                         .stride_t = (int64_t)1 << time,
                         .stride_hw = (int64_t)(channels == 12 ? 2 : 1) << space,
                         .patch = channels == 12 ? 2 : 1,
                         .dim = rows_of(w, "encoder.conv1.weight", "encoder.conv_in.weight"),
                         .dec_dim = decoder ? tb_tensor_dim(pixels, 1) : 0,
                         .weight_bytes = vae_bytes(w) };
    s->encode_flop = flop_of_cell(w, true, s->stride_t);
    s->decode_flop = flop_of_cell(w, false, s->stride_t);
    s->rgb = tb_latent_rgb_read(tb_weights_config(w), s->z);
    return TB_OK;
}

/* ----------------------------------------------------------------------------------- all parts */

static tb_status read_dit(const tb_weights *w, tb_model_sizes *s, tb_err *err)
{
    return tb_model_dit_sizes(w, &s->dit, err);
}

static tb_status read_vae(const tb_weights *w, tb_model_sizes *s, tb_err *err)
{
    return tb_model_vae_sizes(w, &s->vae, err);
}

static tb_status read_text(const tb_weights *w, tb_model_sizes *s, tb_err *err)
{
    return tb_umt5_read_config(w, &s->text, err);
}

static tb_status read_image(const tb_weights *w, tb_model_sizes *s, tb_err *err)
{
    return tb_clip_vision_read_config(w, &s->image, err);
}

static tb_status read_part(const char *part,
                           tb_status (*read)(const tb_weights *, tb_model_sizes *, tb_err *),
                           tb_model_sizes *s, tb_err *err)
{
    if (!part)
        return TB_OK;
    tb_weights *w = tb_weights_open(part, err);
    const tb_status st = w ? read(w, s, err) : TB_EFORMAT;
    tb_weights_close(&w);
    return st;
}

static tb_status check_together(const tb_model_info *info, const tb_model_sizes *s, tb_err *err)
{
    if (info->transformer && info->text_encoder && s->dit.text_dim != s->text.dim)
        return tb_err_set(err, TB_EINVAL,
                          "the transformer wants text features of %lld numbers, the text encoder "
                          "'%s' gives %lld: they belong to different models",
                          (long long)s->dit.text_dim, info->text_encoder, (long long)s->text.dim);
    if (info->transformer && !info->image_unused && info->image_encoder &&
        s->dit.image_dim != s->image.dim)
        return tb_err_set(err, TB_EINVAL,
                          "the transformer wants image features of %lld numbers, the image encoder "
                          "'%s' gives %lld: they belong to different models",
                          (long long)s->dit.image_dim, info->image_encoder,
                          (long long)s->image.dim);
    if (info->transformer && info->vae && s->dit.latent_channels != s->vae.z)
        return tb_err_set(err, TB_EINVAL,
                          "the transformer makes latents of %lld channels, the VAE '%s' has %lld: "
                          "they belong to different models",
                          (long long)s->dit.latent_channels, info->vae, (long long)s->vae.z);
    return TB_OK;
}

static tb_status check_experts(const char *low_noise, const tb_model_sizes *s, tb_err *err)
{
    tb_model_sizes second = { 0 };
    const tb_dit_sizes *a = &s->dit, *b = &second.dit;
    TB_TRY(read_part(low_noise, read_dit, &second, err));
    if (!low_noise || (a->latent_channels == b->latent_channels &&
                       a->in_channels == b->in_channels && a->text_dim == b->text_dim))
        return TB_OK;
    return tb_err_set(err, TB_EINVAL,
                      "the two experts do not belong together: '%s' has %lld channels, the other "
                      "transformer %lld",
                      low_noise, (long long)b->in_channels, (long long)a->in_channels);
}

tb_status tb_model_read_sizes(const tb_model_info *info, tb_model_sizes *s, tb_err *err)
{
    *s = (tb_model_sizes){ .dit.text_len = TEXT_LEN_DEFAULT };
    TB_TRY(read_part(info->transformer, read_dit, s, err));
    TB_TRY(check_experts(info->low_noise, s, err));
    TB_TRY(read_part(info->vae, read_vae, s, err));
    TB_TRY(read_part(info->text_encoder, read_text, s, err));
    TB_TRY(read_part(info->image_encoder, read_image, s, err));
    return check_together(info, s, err);
}
