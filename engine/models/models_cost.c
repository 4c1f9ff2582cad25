/* models_cost.c - floating-point operations of the parts, and the rate of this machine. */
#include "models/models_cost.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

double tb_model_dit_flop(const tb_dit_sizes *s, int64_t f, int64_t h, int64_t w)
{
    const double n = (double)(f * (h / 2) * (w / 2)), d = (double)s->dim,
                 text = (double)s->text_len;
    const double image = (double)tb_wan_dit_image_rows(s->image_dim, s->image_rows);
    const double self = 4 * n * d * d + 2 * n * n * d;
    const double cross = 2 * n * d * d + 2 * n * (text + image) * d;
    const double block = self + cross + 2 * n * d * (double)s->ffn_dim;
    const double ends = 4 * n * d * (double)(s->in_channels + s->latent_channels);
    return 2 * ((double)s->layers * block + ends);
}

double tb_model_text_flop(const tb_umt5_config *k, int64_t tokens)
{
    const double n = (double)tokens, d = (double)k->dim, inner = (double)(k->heads * k->d_kv);
    return 2 * (double)k->layers * n * (4 * d * inner + 2 * n * inner + 3 * d * (double)k->d_ff);
}

double tb_model_image_flop(const tb_clip_vision_config *k)
{
    const double n = (double)k->tokens, d = (double)k->dim;
    const double block = n * (4 * d * d + 2 * n * d + 2 * d * (double)k->ffn_dim);
    return 2 * ((double)(k->layers - 1) * block + 3 * n * d * (double)(k->patch * k->patch));
}

/* ----------------------------------------------------------------------------------------- VAE */

static const char *half_of(bool encode)
{
    return encode ? "encoder." : "decoder.";
}

/* The number of a tensor's block along the scales, or -1: "decoder.upsamples.3....": 3. */
static int64_t block_of(const char *name, bool encode)
{
    static const char *const along[2][2] = { { "upsamples.", "up_blocks." },
                                             { "downsamples.", "down_blocks." } };
    if (!tb_str_starts(name, half_of(encode)))
        return -1;
    name += strlen(half_of(encode));
    for (int i = 0; i < 2; i++)
        if (tb_str_starts(name, along[encode][i]))
            return strtol(name + strlen(along[encode][i]), NULL, 10);
    return -1;
}

/* Steps of scale in blocks below `block`, or in all of them. */
static int steps_below(const tb_weights *w, bool encode, int64_t block, const char *suffix)
{
    int n = 0;
    for (int i = 0; i < tb_weights_count(w); i++) {
        const int64_t at = block_of(tb_weights_name(w, i), encode);
        n += at >= 0 && at < block && tb_str_ends(tb_weights_name(w, i), suffix);
    }
    return n;
}

static const char space_step[] = ".resample.1.weight", time_step[] = ".time_conv.weight";

/* How many steps of scale lie between the half's first convolution and the output of this one. */
static void steps_before(const tb_weights *w, bool encode, const char *name, int *space, int *time)
{
    const int64_t block = block_of(name, encode);
    const bool last = strstr(name, ".head.") || strstr(name, ".norm_out.") ||
                      strstr(name, ".conv_out.") || (encode && strstr(name, ".mid"));
    const int64_t until = block >= 0 ? block : last ? INT64_MAX : 0;
    const bool moves = tb_str_ends(name, space_step), times = tb_str_ends(name, time_step);
    *space = steps_below(w, encode, until, space_step) + (moves || (times && encode));
    *time = steps_below(w, encode, until, time_step) + (times && encode);
    if (moves && !encode) /* in time first */
        *time = steps_below(w, encode, block + 1, time_step);
}

/* Positions of a convolution's output in a video whose latent is [f][h][w]. */
static double positions_of(const tb_weights *w, bool encode, const char *name, int64_t f, int64_t h,
                           int64_t width)
{
    int space, time;
    steps_before(w, encode, name, &space, &time);
    if (encode) {
        space = steps_below(w, encode, INT64_MAX, space_step) - space;
        time = steps_below(w, encode, INT64_MAX, time_step) - time;
    }
    const double frames = (double)(((f - 1) << time) + 1);
    return frames * (double)(h << space) * (double)(width << space);
}

/* One head over the cells of a frame, at the scale of the latent. */
static double attention_flop(const tb_tensor *qkv, int64_t f, int64_t h, int64_t width)
{
    const double cells = (double)(h * width);
    return 4 * (double)f * cells * cells * (double)tb_tensor_dim(qkv, 1);
}

double tb_model_vae_flop(const tb_weights *w, bool encode, int64_t f, int64_t h, int64_t width)
{
    double sum = 0;
    for (int i = 0; i < tb_weights_count(w); i++) {
        const char *name = tb_weights_name(w, i);
        const tb_tensor *t = tb_weights_at(w, i);
        if (!tb_str_starts(name, half_of(encode)) || tb_tensor_shape(t)->n < 4 ||
            !tb_str_ends(name, ".weight"))
            continue;
        sum += 2 * (double)tb_tensor_count(t) * positions_of(w, encode, name, f, h, width);
        if (strstr(name, "to_qkv"))
            sum += attention_flop(t, f, h, width);
    }
    return sum;
}

/* -------------------------------------------------------------------------------- this machine */

static double rate_of_machine(tb_err *err)
{
    tb_compute *c = tb_compute_new(0, err);
    const double rate = c ? tb_compute_rate(c, 768) : 0;
    tb_compute_free(&c);
    return rate;
}

/* ---------------------------------------------------------------------------------- the answer */

static tb_status check_video(const tb_model_sizes *s, const tb_model_video *v, tb_err *err)
{
    const int64_t grid = s->vae.stride_hw * 2, t = s->vae.stride_t;
    if (!s->dit.dim || !s->vae.z)
        return tb_err_set(err, TB_EINVAL,
                          "a video takes a transformer and a VAE; name a model that has both");
    if (v->width < grid || v->height < grid || v->width % grid || v->height % grid)
        return tb_err_set(err, TB_EINVAL,
                          "width and height must be multiples of %lld, got %lldx%lld",
                          (long long)grid, (long long)v->width, (long long)v->height);
    if (v->frames < 1 || (v->frames - 1) % t)
        return tb_err_set(err, TB_EINVAL, "frames must be %lldk + 1, got %lld", (long long)t,
                          (long long)v->frames);
    return TB_OK;
}

typedef struct answer {
    json_t *parts;
    double rate, flop;
    size_t peak;
} answer;

static void add(answer *a, const char *part, double flop, size_t bytes)
{
    a->flop += flop;
    a->peak = bytes > a->peak ? bytes : a->peak;
    json_object_set_new(a->parts, part,
                        json_pack("{s:f,s:f,s:I}", "flop", flop, "seconds",
                                  a->rate > 0 ? flop / a->rate : 0.0, "memory_bytes",
                                  (json_int_t)bytes));
}

static tb_status add_vae(answer *a, const tb_model_info *info, const tb_vae_sizes *s, int64_t f,
                         int64_t h, int64_t w, tb_err *err)
{
    const tb_wan_vae_config k = { .stride_t = s->stride_t,
                                  .stride_hw = s->stride_hw,
                                  .patch = s->patch,
                                  .dim = s->dim,
                                  .dec_dim = s->dec_dim };
    tb_weights *weights = tb_weights_open(info->vae, err);
    if (!weights)
        return err->status;
    add(a, "vae", tb_model_vae_flop(weights, false, f, h, w),
        (size_t)s->weight_bytes + tb_wan_vae_scratch(&k, false, f, h, w));
    tb_weights_close(&weights);
    return TB_OK;
}

static void add_transformer(answer *a, const tb_dit_sizes *s, const tb_model_video *v, int64_t f,
                            int64_t h, int64_t w)
{
    const tb_wan_dit_config k = tb_model_dit_config(s);
    const double calls = (double)v->steps * (v->guided ? 2 : 1);
    add(a, "transformer", calls * tb_model_dit_flop(s, f, h, w),
        (size_t)s->weight_bytes + tb_wan_dit_scratch(&k, f, h, w));
}

static tb_status add_parts(answer *a, const tb_model_info *info, const tb_model_sizes *s,
                           const tb_model_video *v, tb_err *err)
{
    const int64_t f = (v->frames - 1) / s->vae.stride_t + 1, h = v->height / s->vae.stride_hw,
                  w = v->width / s->vae.stride_hw, texts = v->guided ? 2 : 1;
    if (info->text_encoder)
        add(a, "text_encoder", (double)texts * tb_model_text_flop(&s->text, s->dit.text_len),
            tb_umt5_memory(&s->text, s->dit.text_len));
    if (info->image_encoder && !info->image_unused)
        add(a, "image_encoder", tb_model_image_flop(&s->image), tb_clip_vision_memory(&s->image));
    add_transformer(a, &s->dit, v, f, h, w);
    return add_vae(a, info, &s->vae, f, h, w, err);
}

static json_t *cost_of(const tb_model_info *info, const tb_model_video *v, tb_err *err)
{
    tb_model_sizes s;
    if (tb_model_read_sizes(info, &s, err) != TB_OK || check_video(&s, v, err) != TB_OK)
        return NULL;
    answer a = { .parts = json_object(), .rate = rate_of_machine(err) };
    if (a.rate <= 0 || add_parts(&a, info, &s, v, err) != TB_OK) {
        json_decref(a.parts);
        return NULL;
    }
    return json_pack("{s:I,s:I,s:I,s:I,s:b,s:f,s:o,s:f,s:I}", "width", (json_int_t)v->width,
                     "height", (json_int_t)v->height, "frames", (json_int_t)v->frames, "steps",
                     (json_int_t)v->steps, "guided", v->guided, "flop_per_second", a.rate, "parts",
                     a.parts, "seconds", a.flop / a.rate, "peak_bytes", (json_int_t)a.peak);
}

json_t *tb_model_cost(const char *path, const tb_model_video *v, tb_err *err)
{
    tb_model_info info;
    if (tb_model_probe(path, &info, err) != TB_OK)
        return NULL;
    json_t *cost = cost_of(&info, v, err);
    tb_model_info_clear(&info);
    return cost;
}
