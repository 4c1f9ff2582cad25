/* vae_encode.c - images or a video to a latent. */
#include "base/mem.h"
#include "graph/records.h"
#include "models/models.h"
#include "node.h"

typedef struct params {
    const tb_value *vae, *image;
    bool trim;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, vae, "VAE", 0, "The autoencoder."),
    TB_IN_PORT(params, image, "IMAGE", 0, "One image, or 4k + 1 frames."),
    TB_IN_BOOL(params, trim, false, "Leave out frames at the end until 4k + 1 are left."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "latent",
      .type = "LATENT",
      .shape = "C,T,H,W",
      .doc = "Clean samples; noise_init adds noise." },
    { 0 },
};

typedef struct video {
    int64_t frames, height, width;
} video;

/* Latent shape and the frames used of images [N,H,W,3]. */
static tb_status measure(const params *p, const tb_shape *image, video *v, tb_shape *latent,
                         tb_err *err)
{
    char text[128];
    const int64_t z = tb_record_int(p->vae, "z", 0), t = tb_record_int(p->vae, "stride_t", 0);
    const int64_t s = tb_record_int(p->vae, "stride_hw", 0);
    if (z < 1 || t < 1 || s < 1)
        return tb_err_set(err, TB_EINVAL,
                          "the model has no VAE: give load_model the path of one as 'vae'");
    if (image->n != 4 || image->d[3] != 3 || image->d[0] < 1)
        return tb_err_set(err, TB_EINVAL, "image must be [frames,height,width,3], got %s",
                          tb_shape_text(image, text, sizeof text));
    *v = (video){ p->trim ? image->d[0] - (image->d[0] - 1) % t : image->d[0], image->d[1],
                  image->d[2] };
    if ((v->frames - 1) % t)
        return tb_err_set(
            err, TB_EINVAL,
            "the number of frames must be %lldk + 1 (1, %lld, %lld, ...), got %lld; set trim or "
            "cut the video",
            (long long)t, (long long)t + 1, 2 * (long long)t + 1, (long long)v->frames);
    if (v->height < s || v->width < s || v->height % s || v->width % s)
        return tb_err_set(
            err, TB_EINVAL,
            "width and height must be multiples of %lld pixels, got %lldx%lld; resize the image",
            (long long)s, (long long)v->width, (long long)v->height);
    *latent = TB_SHAPE(z, (v->frames - 1) / t + 1, v->height / s, v->width / s);
    return TB_OK;
}

/* The VAE's, and the pixels in its scale. */
static size_t bytes_of(const params *p, const video *v, const tb_shape *latent)
{
    return tb_bytes_of_vae(p->vae, true, latent) +
           (size_t)(v->frames * v->height * v->width * 3) * sizeof(float);
}

static tb_status plan(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    tb_shape image, latent;
    video v;
    if (!p->vae || !tb_job_plan_shape(job, "image", &image) || !tb_job_plan_known(job, "trim"))
        return TB_OK;
    TB_TRY(measure(p, &image, &v, &latent, err));
    tb_job_plan_output(job, 0, TB_F32, &latent);
    tb_job_plan_scratch(job, bytes_of(p, &v, &latent));
    tb_job_plan_work(job, tb_flop_of_vae(p->vae, true, &latent));
    return TB_OK;
}

/* 0..1 to -1..1. */
static float *to_signed(const float *x, int64_t n, tb_err *err)
{
    float *y = tb_mem_alloc((size_t)n * sizeof *y);
    if (!y)
        tb_err_set(err, TB_ENOMEM, "no memory for the pixels (%zu bytes)", (size_t)n * sizeof *y);
    for (int64_t i = 0; y && i < n; i++)
        y[i] = 2 * x[i] - 1;
    return y;
}

static tb_status encode(tb_job *job, const params *p, const float *image, const video *v,
                        tb_tensor *out, tb_err *err)
{
    tb_compute *c = tb_job_compute(job, err);
    if (!c)
        return err->status;
    tb_job_make_room(job, p->vae, bytes_of(p, v, tb_tensor_shape(out)));
    tb_wan_vae *vae = tb_models_vae(tb_job_models(job), c, tb_record_text(p->vae, "path", ""),
                                    tb_record_text(p->vae, "id", ""), err);
    if (!vae)
        return err->status;
    const tb_wan_vae_config *k = tb_wan_vae_config_of(vae);
    if (k->z != tb_tensor_dim(out, 0) || k->stride_hw != v->height / tb_tensor_dim(out, 2))
        return tb_err_set(err, TB_EINVAL,
                          "the VAE's weights are not those it was described by; load it again");
    float *pixels = to_signed(image, v->frames * v->height * v->width * 3, err);
    if (!pixels)
        return TB_ENOMEM;
    const tb_status st = tb_wan_vae_encode(vae, c, pixels, v->frames, v->height, v->width,
                                           tb_tensor_f32_mut(out), tb_job_cancel_flag(job), err);
    tb_mem_free(pixels);
    return st;
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    const tb_tensor *image =
        tb_value_kind(p->image) == TB_TENSOR ? tb_value_as_tensor(p->image) : NULL;
    tb_shape shape;
    video v;
    if (!image || tb_tensor_dtype(image) != TB_F32)
        return tb_err_set(err, TB_EINVAL, "image must be an F32 tensor [frames,height,width,3]");
    TB_TRY(measure(p, tb_tensor_shape(image), &v, &shape, err));
    tb_tensor *samples = tb_tensor_new(TB_F32, &shape, err);
    if (!samples)
        return TB_ENOMEM;
    const tb_status st = encode(job, p, tb_tensor_f32(image), &v, samples, err);
    if (st != TB_OK) {
        tb_tensor_unref(&samples);
        return st;
    }
    tb_value *latent = tb_value_record();
    tb_record_set_take(latent, "samples", tb_value_tensor_take(samples));
    tb_record_set_take(latent, "state", tb_value_string("clean"));
    if (tb_record_get(p->vae, "latent_rgb"))
        tb_record_set_take(latent, "latent_rgb", tb_value_ref(tb_record_get(p->vae, "latent_rgb")));
    tb_job_set_take(job, 0, latent);
    return TB_OK;
}

const tb_node_def tb_node_vae_encode = {
    .abi = TB_NODE_ABI,
    .version = 2,
    .name = "vae_encode",
    .title = "VAE encode",
    .category = "latent",
    .doc = "Turns images into a latent.",
    .flags = TB_NODE_NUMERIC,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .plan = plan,
    .run = run,
    .example =
        "local m = tb.load_model {}\n"
        "local picture = tb.load_image { path = \"docs/frames.png\", width = 32, height = 32 }\n"
        "return tb.vae_encode { vae = m.vae, image = picture }",
};
