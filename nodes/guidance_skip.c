/* guidance_skip.c - skip-layer guidance: away from the answer of a weakened model, v + s (c - k).
 *
 * As ComfyUI's SkipLayerGuidanceDiT, after Stability's for SD3: the third pass leaves blocks out
 * and is otherwise that of the prompt. Linear in the answers, so velocities and clean estimates
 * agree.
 */
#include "compute/tensor.h"
#include "models/guidance.h"
#include "node.h"

typedef struct params {
    const tb_value *velocity, *cond, *skip;
    double scale, rescale;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, velocity, "VELOCITY", 0, "The guided answer."),
    TB_IN_PORT(params, cond, "VELOCITY", 0, "The model's answer to the prompt."),
    TB_IN_PORT(params, skip, "VELOCITY", 0,
               "Its answer without some blocks, by dit_step's skip_blocks."),
    TB_IN_FLOAT(params, scale, 3, 0, 100, "", "How strongly it is left; 0: not at all."),
    TB_IN_FLOAT(params, rescale, 0, 0, 1, "", "As guidance's."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "velocity", .type = "VELOCITY", .shape = "C,T,H,W", .doc = "The guided answer." },
    { 0 },
};

static tb_status plan(tb_job *job, const void *vp, tb_err *err)
{
    (void)vp;
    (void)err;
    tb_shape shape;
    if (tb_job_plan_shape(job, "velocity", &shape))
        tb_job_plan_output(job, 0, TB_F32, &shape);
    return TB_OK;
}

static const tb_tensor *answer(const tb_value *v, const char *name, const tb_tensor *like,
                               tb_err *err)
{
    const tb_tensor *t = tb_value_kind(v) == TB_TENSOR ? tb_value_as_tensor(v) : NULL;
    if (t && tb_tensor_dtype(t) == TB_F32 &&
        (!like || tb_shape_eq(tb_tensor_shape(t), tb_tensor_shape(like))))
        return t;
    tb_err_set(err, TB_EINVAL, "%s must be an F32 tensor of the answers' shape; take it from %s",
               name, like ? "dit_step" : "guidance or dit_step");
    return NULL;
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    const tb_tensor *v = answer(p->velocity, "velocity", NULL, err);
    const tb_tensor *c = v ? answer(p->cond, "cond", v, err) : NULL;
    const tb_tensor *k = c ? answer(p->skip, "skip", v, err) : NULL;
    tb_tensor *out = k ? tb_tensor_new(TB_F32, tb_tensor_shape(v), err) : NULL;
    if (!out)
        return err->status;
    const float *x = tb_tensor_f32(v), *with = tb_tensor_f32(c), *without = tb_tensor_f32(k);
    float *y = tb_tensor_f32_mut(out);
    const int64_t n = tb_tensor_count(v);
    for (int64_t i = 0; i < n; i++)
        y[i] = (float)((double)x[i] + p->scale * ((double)with[i] - (double)without[i]));
    if (p->rescale > 0)
        tb_guidance_rescale(with, n, p->rescale, y);
    tb_job_set_take(job, 0, tb_value_tensor_take(out));
    return TB_OK;
}

const tb_node_def tb_node_guidance_skip = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "guidance_skip",
    .title = "Guidance (skip-layer)",
    .category = "sampling",
    .doc = "Moves the answer away from that of the model without some of its blocks.",
    .flags = TB_NODE_FORGET,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .plan = plan,
    .run = run,
    .example =
        "local m = tb.load_model {}\n"
        "local function velocity(skip)\n"
        "  return tb.dit_step {\n"
        "    model = m.model, skip_blocks = skip, sigmas = tb.schedule { steps = 2 },\n"
        "    latent = tb.noise_init { model = m.model, size = \"32x32\", frames = 1 },\n"
        "    conditioning = tb.text_encode { clip = m.clip, text = \"a red ball\" },\n"
        "  }\n"
        "end\n"
        "local v = velocity(\"\")\n"
        "return tb.guidance_skip { velocity = v, cond = v, skip = velocity(\"1\"), scale = 2 }",
};
