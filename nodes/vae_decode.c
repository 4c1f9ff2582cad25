/* vae_decode.c - a latent to the frames of a video, one chunk of latent frames after another. */
#include "graph/records.h"
#include "models/models.h"
#include "node.h"

typedef struct params {
    const tb_value *vae, *latent;
    int64_t tile, overlap;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, vae, "VAE", 0, "The autoencoder."),
    TB_IN_PORT(params, latent, "LATENT", 0, "The denoised latent."),
    TB_IN_INT(params, tile, 0, 0, 65536, "pixels",
              "Decode in overlapping tiles of this size: less memory, slightly other pixels; 0: "
              "whole frames."),
    TB_IN_INT(
        params, overlap, -1, -1, 32768, "pixels",
        "How far tiles reach over each other, where they are blended; at most half a tile, -1: "
        "a quarter."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "image", .type = "IMAGE", .shape = "T,H,W,3", .doc = "Frames, 0..1." },
    { 0 },
};

static int64_t overlap_of(const params *p)
{
    return p->overlap < 0 ? p->tile / 4 : p->overlap;
}

static tb_status image_shape(const params *p, const tb_shape *latent, tb_shape *image, tb_err *err)
{
    const int64_t z = tb_record_int(p->vae, "z", 0), t = tb_record_int(p->vae, "stride_t", 0);
    const int64_t s = tb_record_int(p->vae, "stride_hw", 0);
    if (z < 1 || t < 1 || s < 1)
        return tb_err_set(err, TB_EINVAL,
                          "the model has no VAE: give load_model the path of one as 'vae'");
    if (latent->n != 4 || latent->d[0] != z)
        return tb_err_set(err, TB_EINVAL, "the VAE wants latents of %lld channels, got %lld",
                          (long long)z, (long long)latent->d[0]);
    if (p->tile && (p->tile < 4 * s || p->tile % (4 * s)))
        return tb_err_set(err, TB_EINVAL,
                          "tile must be 0 or a multiple of %lld pixels with this VAE, got %lld",
                          (long long)(4 * s), (long long)p->tile);
    if (p->tile && overlap_of(p) % s)
        return tb_err_set(err, TB_EINVAL,
                          "overlap must be -1 or a multiple of %lld pixels with this VAE, got %lld",
                          (long long)s, (long long)p->overlap);
    if (p->tile && 2 * overlap_of(p) > p->tile)
        return tb_err_set(err, TB_EINVAL, "overlap must be at most half a tile, %lld, got %lld",
                          (long long)p->tile / 2, (long long)p->overlap);
    *image = TB_SHAPE((latent->d[1] - 1) * t + 1, latent->d[2] * s, latent->d[3] * s, 3);
    return TB_OK;
}

/* The VAE's for a whole picture, or for a tile of one. */
static size_t bytes_of(const params *p, const tb_shape *latent)
{
    const int64_t stride = tb_record_int(p->vae, "stride_hw", 1);
    const int64_t tile = p->tile ? p->tile / stride : INT64_MAX;
    tb_shape part = *latent;
    for (int i = 2; i < 4; i++)
        part.d[i] = part.d[i] < tile ? part.d[i] : tile;
    return tb_bytes_of_vae(p->vae, false, &part);
}

static tb_status plan(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    tb_shape latent, image;
    if (!p->vae || !tb_job_plan_shape(job, "latent", &latent) || !tb_job_plan_known(job, "tile") ||
        !tb_job_plan_known(job, "overlap"))
        return TB_OK;
    TB_TRY(image_shape(p, &latent, &image, err));
    tb_job_plan_output(job, 0, TB_F32, &image);
    tb_job_plan_scratch(job, bytes_of(p, &latent));
    tb_job_plan_work(job, tb_flop_of_vae(p->vae, false, &latent));
    return TB_OK;
}

typedef struct target {
    tb_job *job;
    float *pixels;
    int64_t frames, frame; /* in all; numbers in one */
} target;

/* -1..1 to 0..1, cut off beyond. NaN becomes 0. */
static void to_unit(const float *x, int64_t n, float *y)
{
    for (int64_t i = 0; i < n; i++) {
        const float v = (x[i] + 1) / 2;
        y[i] = v > 0 ? (v < 1 ? v : 1) : 0;
    }
}

static tb_status take_frames(void *ctx, int64_t first, int64_t count, const float *pixels,
                             tb_err *err)
{
    const target *t = ctx;
    to_unit(pixels, count * t->frame, t->pixels + first * t->frame);
    tb_job_progress(t->job, (double)(first + count) / (double)t->frames);
    return tb_job_check(t->job, err);
}

static tb_status decode(tb_job *job, const params *p, const tb_tensor *latent, tb_tensor *image,
                        tb_err *err)
{
    tb_compute *c = tb_job_compute(job, err);
    if (!c)
        return err->status;
    tb_job_make_room(job, p->vae, bytes_of(p, tb_tensor_shape(latent)));
    tb_wan_vae *vae = tb_models_vae(tb_job_models(job), c, tb_record_text(p->vae, "path", ""),
                                    tb_record_text(p->vae, "id", ""), err);
    if (!vae)
        return err->status;
    const tb_wan_vae_config *k = tb_wan_vae_config_of(vae);
    const tb_shape *s = tb_tensor_shape(latent);
    if (k->z != s->d[0] || s->d[2] * k->stride_hw != tb_tensor_dim(image, 1))
        return tb_err_set(err, TB_EINVAL,
                          "the VAE's weights are not those it was described by; load it again");
    target t = { job, tb_tensor_f32_mut(image), tb_tensor_dim(image, 0),
                 tb_tensor_count(image) / tb_tensor_dim(image, 0) };
    if (!p->tile)
        return tb_wan_vae_decode(vae, c, tb_tensor_f32(latent), s->d[1], s->d[2], s->d[3],
                                 take_frames, &t, tb_job_cancel_flag(job), err);
    TB_TRY(tb_wan_vae_decode_tiled(vae, c, tb_tensor_f32(latent), s->d[1], s->d[2], s->d[3],
                                   p->tile, p->tile - overlap_of(p), t.pixels,
                                   tb_job_cancel_flag(job), err));
    to_unit(t.pixels, tb_tensor_count(image), t.pixels);
    return TB_OK;
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    const tb_tensor *latent = tb_record_f32(p->latent, "the latent", "samples", 4, err);
    tb_shape shape;
    if (!latent)
        return TB_EINVAL;
    TB_TRY(image_shape(p, tb_tensor_shape(latent), &shape, err));
    tb_tensor *image = tb_tensor_new(TB_F32, &shape, err);
    if (!image)
        return TB_ENOMEM;
    const tb_status st = decode(job, p, latent, image, err);
    if (st == TB_OK)
        tb_job_set_take(job, 0, tb_value_tensor_take(image));
    else
        tb_tensor_unref(&image);
    return st;
}

const tb_node_def tb_node_vae_decode = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "vae_decode",
    .title = "VAE decode",
    .category = "latent",
    .doc = "Turns a latent into frames.",
    .flags = TB_NODE_NUMERIC,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .plan = plan,
    .run = run,
    .example = "local m = tb.load_model {}\n"
               "local x = tb.noise_init { model = m.model, size = \"32x32\", frames = 1 }\n"
               "return tb.vae_decode { vae = m.vae, latent = x }",
};
