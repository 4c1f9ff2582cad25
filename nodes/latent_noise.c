/* latent_noise.c - the noise that a given latent will be mixed with.
 *
 * An empty latent takes the channels and the scale of the model. The state of a run that stopped on
 * the way keeps its own noise when none is to be added; a clean latent then goes without (its noise
 * is zero). Multistep samplers begin anew: what they remember is left behind.
 */
#include <string.h>

#include "graph/records.h"
#include "node.h"

typedef struct params {
    const tb_value *model, *latent;
    int64_t seed;
    bool add;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, model, "MODEL", 0, "The model that will denoise it."),
    TB_IN_PORT(params, latent, "LATENT", 0, "What is to be denoised."),
    TB_IN_INT(params, seed, 0, 0, INT64_MAX, "", "Same seed, same noise."),
    TB_IN_BOOL(params, add, true, "Draw new noise; else go on with what is there."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "latent", .type = "LATENT", .shape = "C,T,H,W", .doc = "Samples and their noise." },
    { 0 },
};

/* Wan2.2's 48-channel latents cover 16 pixels, all others 8. */
static tb_shape shape_for(const tb_value *model, const tb_value *latent, const tb_shape *given)
{
    const int64_t channels = tb_record_int(model, "latent_channels", 0);
    const int64_t stride = channels == 48 ? 16 : 8;
    const int64_t w = tb_record_int(latent, "width", 0), h = tb_record_int(latent, "height", 0);
    if (!tb_record_flag(latent, "empty", false) || channels < 1 || channels > 1024 || w < stride ||
        h < stride || w > 65536 || h > 65536)
        return *given;
    return TB_SHAPE(channels, given->d[1], h / stride, w / stride);
}

static tb_status plan(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    tb_shape shape;
    (void)err;
    if (!tb_job_plan_shape(job, "latent", &shape) || !p->model || !p->latent)
        return TB_OK;
    shape = shape_for(p->model, p->latent, &shape);
    tb_job_plan_output(job, 0, TB_F32, &shape);
    return TB_OK;
}

static tb_tensor *zeros(const tb_shape *shape, tb_err *err)
{
    tb_tensor *t = tb_tensor_new(TB_F32, shape, err);
    if (t)
        memset(tb_tensor_f32_mut(t), 0, tb_tensor_bytes(t));
    return t;
}

/* Latents of a batch draw one after the other, so that no two are alike. */
static tb_status draw(tb_job *job, const tb_shape *shape, const params *p, tb_tensor **noise,
                      tb_err *err)
{
    *noise = tb_tensor_new(TB_F32, shape, err);
    if (!*noise)
        return TB_ENOMEM;
    const int64_t plane = shape->d[2] * shape->d[3], planes = shape->d[0] * shape->d[1];
    const uint64_t first =
        (uint64_t)tb_record_int(p->latent, "index", 0) * (uint64_t)(plane * planes);
    float *x = tb_tensor_f32_mut(*noise);
    tb_status st = TB_OK;
    for (int64_t i = 0; i < planes && st == TB_OK; i++) {
        tb_rng_normal(x + i * plane, plane, (uint64_t)p->seed, first + (uint64_t)(i * plane));
        st = tb_job_check(job, err);
    }
    if (st != TB_OK)
        tb_tensor_unref(noise);
    return st;
}

static tb_status with_noise(tb_job *job, const params *p, const tb_tensor *given, tb_err *err)
{
    const tb_shape shape = shape_for(p->model, p->latent, tb_tensor_shape(given));
    tb_tensor *noise = NULL, *samples = NULL;
    if (tb_shape_eq(&shape, tb_tensor_shape(given)))
        samples = tb_tensor_ref((tb_tensor *)(uintptr_t)given);
    else
        samples = zeros(&shape, err);
    if (!samples)
        return TB_ENOMEM;
    tb_status st = TB_OK;
    if (p->add)
        st = draw(job, &shape, p, &noise, err);
    else if (!(noise = zeros(&shape, err)))
        st = TB_ENOMEM;
    if (st != TB_OK) {
        tb_tensor_unref(&samples);
        return st;
    }
    tb_value *latent = tb_record_copy(p->latent);
    tb_record_set_take(latent, "samples", tb_value_tensor_take(samples));
    tb_record_set_take(latent, "noise", tb_value_tensor_take(noise));
    tb_record_set_take(latent, "seed", tb_value_int(p->seed));
    tb_record_set_take(latent, "state", tb_value_string("clean"));
    tb_record_set_take(latent, "empty", tb_value_bool(false));
    tb_latent_forget(latent);
    tb_job_set_take(job, 0, latent);
    return TB_OK;
}

/* A state to go on from as it is. */
static void pass(tb_job *job, const params *p)
{
    tb_value *latent = tb_record_copy(p->latent);
    tb_latent_forget(latent);
    tb_job_set_take(job, 0, latent);
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    const tb_tensor *given = tb_record_f32(p->latent, "the latent", "samples", 4, err);
    if (!given)
        return TB_EINVAL;
    const char *state = tb_record_text(p->latent, "state", "partial");
    const bool on_the_way = tb_record_tensor(p->latent, "noise") && strcmp(state, "partial") == 0;
    if (strcmp(state, "noise") != 0 && (p->add || !on_the_way))
        return with_noise(job, p, given, err);
    pass(job, p);
    return TB_OK;
}

const tb_node_def tb_node_latent_noise = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "latent_noise",
    .title = "Noise for a latent",
    .category = "latent",
    .doc = "Draws the noise that a latent will be mixed with.",
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .plan = plan,
    .run = run,
    .example = "local m = tb.load_model {}\n"
               "local x = tb.empty_latent { width = 32, height = 32, frames = 1 }\n"
               "return tb.latent_noise { model = m.model, latent = x, seed = 7 }",
};
