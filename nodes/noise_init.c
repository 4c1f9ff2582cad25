/* noise_init.c - the latent a run starts from: noise, alone or beside a given latent.
 *
 * The generator is counter-based: a value depends on (seed, index) only, so the bytes do not change
 * with the number of threads or the tile size.
 */
#include "base/str.h"
#include "graph/records.h"
#include "node.h"

typedef struct params {
    const tb_value *model, *vae, *latent;
    const char *size;
    int64_t frames, seed;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, model, "MODEL", 0, "The model that will denoise it; sets the channels."),
    TB_IN_PORT(params, vae, "VAE", TB_IN_OPTIONAL,
               "Sets how many pixels and frames a latent covers; without it those of Wan's VAEs."),
    TB_IN_PORT(params, latent, "LATENT", TB_IN_OPTIONAL,
               "A latent to start from (video to video); size and frames are then its own."),
    TB_IN_STRING(params, size, "64x64", 0, "Width x height in pixels."),
    TB_IN_INT(params, frames, 17, 1, 100000, "frames", "Video frames, 4k + 1."),
    TB_IN_INT(params, seed, 0, 0, INT64_MAX, "", "Same seed, same noise."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "latent", .type = "LATENT", .shape = "C,T,H,W", .doc = "Samples and their noise." },
    { 0 },
};

typedef struct strides {
    int64_t time, space;
} strides;

/* Wan2.2's 48-channel latents cover 16 pixels, all others 8. */
static strides strides_of(const params *p)
{
    const int64_t channels = tb_record_int(p->model, "latent_channels", 0);
    const strides usual = { 4, channels == 48 ? 16 : 8 };
    const strides own = { tb_record_int(p->vae, "stride_t", 0),
                          tb_record_int(p->vae, "stride_hw", 0) };
    return p->vae && own.time > 0 && own.space > 0 ? own : usual;
}

static tb_status check_vae(const params *p, int64_t channels, tb_err *err)
{
    const int64_t z = p->vae ? tb_record_int(p->vae, "z", 0) : channels;
    if (z == channels)
        return TB_OK;
    return tb_err_set(
        err, TB_EINVAL,
        "model and VAE must belong together: the model has %lld latent channels, the VAE %lld",
        (long long)channels, (long long)z);
}

static tb_status latent_shape(const params *p, tb_shape *shape, tb_err *err)
{
    int64_t width = 0, height = 0;
    const int64_t channels = tb_record_int(p->model, "latent_channels", 0);
    if (channels < 1)
        return tb_err_set(err, TB_EINVAL,
                          "the model has no transformer that could denoise a latent: give "
                          "load_model the path of one as 'transformer'");
    TB_TRY(check_vae(p, channels, err));
    if (!tb_str_size(p->size, &width, &height))
        return tb_err_set(err, TB_EINVAL, "size must be WIDTHxHEIGHT like 64x64, got '%s'",
                          p->size);
    const strides s = strides_of(p);
    const int64_t cell = 2 * s.space;
    if (width < cell || height < cell || width > 65536 || height > 65536 || width % cell ||
        height % cell)
        return tb_err_set(
            err, TB_EINVAL,
            "width and height must be multiples of %lld up to 65536 with this model, got %s",
            (long long)cell, p->size);
    if ((p->frames - 1) % s.time)
        return tb_err_set(err, TB_EINVAL,
                          "frames must be %lldk + 1 with this model (1, %lld, %lld, ...), got %lld",
                          (long long)s.time, (long long)s.time + 1, 2 * (long long)s.time + 1,
                          (long long)p->frames);
    *shape = TB_SHAPE(channels, (p->frames - 1) / s.time + 1, height / s.space, width / s.space);
    return TB_OK;
}

static tb_status plan(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    tb_shape shape;
    if (tb_job_plan_shape(job, "latent", &shape)) {
        tb_job_plan_output(job, 0, TB_F32, &shape);
        return TB_OK;
    }
    /* `latent` may be connected without being known yet. */
    if (!p->model || !tb_job_plan_known(job, "size") || !tb_job_plan_known(job, "frames"))
        return TB_OK;
    TB_TRY(latent_shape(p, &shape, err));
    tb_job_plan_output(job, 0, TB_F32, &shape);
    return TB_OK;
}

static tb_status draw(tb_job *job, const tb_shape *shape, int64_t seed, tb_tensor **noise,
                      tb_err *err)
{
    *noise = tb_tensor_new(TB_F32, shape, err);
    if (!*noise)
        return TB_ENOMEM;
    const int64_t plane = shape->d[2] * shape->d[3], planes = shape->d[0] * shape->d[1];
    float *x = tb_tensor_f32_mut(*noise);
    tb_status st = TB_OK;
    for (int64_t i = 0; i < planes && st == TB_OK; i++) {
        tb_rng_normal(x + i * plane, plane, (uint64_t)seed, (uint64_t)(i * plane));
        st = tb_job_check(job, err);
    }
    if (st != TB_OK)
        tb_tensor_unref(noise);
    return st;
}

/* How the latent looks (load_model.c) travels with it. */
static void set_rgb(tb_value *latent, const params *p)
{
    const tb_value *const from[] = { p->latent, p->vae, p->model };
    for (size_t i = 0; i < sizeof from / sizeof *from; i++) {
        const tb_value *rgb = from[i] ? tb_record_get(from[i], "latent_rgb") : NULL;
        if (!rgb)
            continue;
        tb_record_set_take(latent, "latent_rgb", tb_value_ref(rgb));
        return;
    }
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    const tb_tensor *given = NULL;
    tb_tensor *noise = NULL;
    tb_shape shape;
    if (p->latent) {
        given = tb_record_f32(p->latent, "the latent", "samples", 4, err);
        if (!given)
            return TB_EINVAL;
        shape = *tb_tensor_shape(given);
    } else {
        TB_TRY(latent_shape(p, &shape, err));
    }
    TB_TRY(draw(job, &shape, p->seed, &noise, err));
    tb_value *latent = tb_value_record();
    tb_record_set_take(latent, "samples",
                       tb_value_tensor_take(tb_tensor_ref(given ? given : noise)));
    tb_record_set_take(latent, "noise", tb_value_tensor_take(noise));
    tb_record_set_take(latent, "seed", tb_value_int(p->seed));
    tb_record_set_take(latent, "state", tb_value_string(given ? "clean" : "noise"));
    set_rgb(latent, p);
    tb_job_set_take(job, 0, latent);
    return TB_OK;
}

const tb_node_def tb_node_noise_init = {
    .abi = TB_NODE_ABI,
    .version = 2,
    .name = "noise_init",
    .title = "Noise",
    .category = "latent",
    .doc = "Draws the noise a video starts from.",
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .plan = plan,
    .run = run,
    .example = "local m = tb.load_model {}\n"
               "return tb.noise_init { model = m.model, size = \"32x32\", frames = 1, seed = 7 }",
};
