/* latent_start.c - a latent whose first frames are known.
 *
 * The frames go into an empty latent of that size; the record carries them (known,
 * mask) to condition_start, which gives them to the model and the sampler.
 */
#include <string.h>

#include "graph/records.h"
#include "node.h"

typedef struct params {
    const tb_value *latent, *start;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, latent, "LATENT", 0, "An empty latent; sets the number of frames."),
    TB_IN_PORT(params, start, "LATENT", 0, "Known latents of the first frames, from vae_encode."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "latent", .type = "LATENT", .shape = "C,T,H,W", .doc = "Known frames, then zeros." },
    { 0 },
};

static tb_shape shape_of(const tb_shape *latent, const tb_shape *start)
{
    tb_shape s = *start;
    s.d[1] = latent->d[1];
    return s;
}

static tb_status plan(tb_job *job, const void *vp, tb_err *err)
{
    tb_shape latent, start;
    (void)vp;
    (void)err;
    if (!tb_job_plan_shape(job, "latent", &latent) || !tb_job_plan_shape(job, "start", &start) ||
        latent.n != 4 || start.n != 4)
        return TB_OK;
    const tb_shape s = shape_of(&latent, &start);
    tb_job_plan_output(job, 0, TB_F32, &s);
    return TB_OK;
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    const tb_tensor *latent = tb_record_f32(p->latent, "the latent", "samples", 4, err);
    const tb_tensor *start = tb_record_f32(p->start, "the start", "samples", 4, err);
    if (!latent || !start)
        return TB_EINVAL;
    const tb_shape s = shape_of(tb_tensor_shape(latent), tb_tensor_shape(start));
    const int64_t plane = s.d[2] * s.d[3], have = tb_tensor_dim(start, 1);
    const int64_t known = have < s.d[1] ? have : s.d[1];
    tb_tensor *samples = tb_tensor_new(TB_F32, &s, err);
    tb_tensor *mask =
        samples ? tb_tensor_new(TB_F32, &TB_SHAPE(s.d[1], s.d[2], s.d[3]), err) : NULL;
    if (!mask) {
        tb_tensor_unref(&samples);
        return TB_ENOMEM;
    }
    memset(tb_tensor_f32_mut(samples), 0, tb_tensor_bytes(samples));
    for (int64_t c = 0; c < s.d[0]; c++)
        memcpy(tb_tensor_f32_mut(samples) + c * s.d[1] * plane,
               tb_tensor_f32(start) + c * have * plane, (size_t)(known * plane) * sizeof(float));
    for (int64_t i = 0; i < s.d[1] * plane; i++)
        tb_tensor_f32_mut(mask)[i] = i < known * plane ? 1 : 0;
    tb_value *record = tb_record_copy(p->latent);
    tb_record_set_take(record, "known", tb_value_tensor_take(tb_tensor_ref(samples)));
    tb_record_set_take(record, "samples", tb_value_tensor_take(samples));
    tb_record_set_take(record, "mask", tb_value_tensor_take(mask));
    tb_record_set_take(record, "empty", tb_value_bool(false));
    tb_job_set_take(job, 0, record);
    return TB_OK;
}

const tb_node_def tb_node_latent_start = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "latent_start",
    .title = "Latent with known start",
    .category = "latent",
    .doc = "Puts known latents before an empty one.",
    .flags = TB_NODE_FORGET,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .plan = plan,
    .run = run,
    .example =
        "local m = tb.load_model {}\n"
        "local picture = tb.load_image { path = \"docs/frames.png\", width = 32, height = 32 }\n"
        "return tb.latent_start {\n"
        "  latent = tb.empty_latent { width = 32, height = 32, frames = 5 },\n"
        "  start = tb.vae_encode { vae = m.vae, image = picture },\n"
        "}",
};
