/* guidance_apg.c - adaptive projected guidance (arXiv 2410.02416): high guidance without too much
 * colour.
 *
 * The difference that the prompt makes to the clean estimate is summed up over steps with a
 * (negative) momentum, shortened to a norm, and its part along the estimate weakened. The sum
 * travels in the latent: sampler_step keeps it.
 */
#include "graph/records.h"
#include "models/guidance.h"
#include "node.h"

typedef struct params {
    const tb_value *cond, *uncond, *latent, *sigmas;
    int64_t step, stage;
    double cfg, eta, norm_threshold, momentum, rescale;
    bool channels;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, cond, "VELOCITY", 0, "The model's answer to the prompt."),
    TB_IN_PORT(params, uncond, "VELOCITY", 0, "Its answer to the negative prompt."),
    TB_IN_PORT(params, latent, "LATENT", 0, "The state that the model was evaluated at."),
    TB_IN_PORT(params, sigmas, "SIGMAS", 0, "The schedule."),
    TB_IN_INT(params, step, 0, 0, 1000000, "", "Index into the schedule, from 0."),
    TB_IN_INT(params, stage, 0, 0, 2, "", "As dit_step's."),
    TB_IN_FLOAT(params, cfg, 3, 0, 100, "", "How strongly the prompt counts; 1: no guidance."),
    TB_IN_FLOAT(params, eta, 0, -10, 10, "",
                "Share that is kept of the part along the estimate, which makes colours strong; 1: "
                "as plain guidance."),
    TB_IN_FLOAT(params, norm_threshold, 0, 0, 1e9, "",
                "Longest difference, in the L2 norm over the whole latent; 0: any."),
    TB_IN_FLOAT(params, momentum, -0.5, -5, 1, "",
                "Weight of the differences of the steps before; negative turns away from them."),
    TB_IN_FLOAT(params, rescale, 0, 0, 1, "", "As guidance's."),
    TB_IN_BOOL(params, channels, false,
               "Norm and projection for each channel, and the difference counts cfg times instead "
               "of cfg - 1, as ComfyUI has it."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "velocity", .type = "VELOCITY", .shape = "C,T,H,W", .doc = "The guided answer." },
    { .name = "average",
      .type = "VELOCITY",
      .shape = "C,T,H,W",
      .doc = "The running sum, for sampler_step." },
    { 0 },
};

static tb_status plan(tb_job *job, const void *vp, tb_err *err)
{
    (void)vp;
    (void)err;
    tb_shape shape;
    if (tb_job_plan_shape(job, "latent", &shape)) {
        tb_job_plan_output(job, 0, TB_F32, &shape);
        tb_job_plan_output(job, 1, TB_F32, &shape);
    }
    return TB_OK;
}

/* What the rule reads. */
typedef struct work {
    const tb_tensor *x, *average;
    const float *cond, *uncond;
    tb_parameterisation kind;
    tb_noise_level level;
} work;

static tb_status read_answer(const tb_value *v, const char *name, const tb_shape *shape,
                             const float **out, tb_err *err)
{
    char want[128];
    const tb_tensor *t = tb_value_kind(v) == TB_TENSOR ? tb_value_as_tensor(v) : NULL;
    if (!t || tb_tensor_dtype(t) != TB_F32 || !tb_shape_eq(tb_tensor_shape(t), shape))
        return tb_err_set(err, TB_EINVAL,
                          "%s must be an F32 tensor of the latent's shape %s; take it from "
                          "dit_step",
                          name, tb_shape_text(shape, want, sizeof want));
    *out = tb_tensor_f32(t);
    return TB_OK;
}

static tb_status read_level(const params *p, work *w, tb_err *err)
{
    tb_sigmas s;
    TB_TRY(tb_sigmas_read(p->sigmas, &s, err));
    const tb_schedule table = {
        s.betas ? TB_BETAS : TB_FLOW, s.steps, s.sigma, s.timestep, s.beta, NULL, s.shift
    };
    const int64_t last = p->step + (p->stage > 0);
    if (last >= s.steps)
        return tb_err_set(err, TB_EINVAL, "step must be 0..%d with this schedule, got %lld",
                          s.steps - 1, (long long)last);
    w->kind = table.kind;
    w->level = tb_schedule_stage(&table, (int)p->step, (int)p->stage);
    if (!(w->level.sigma > 0))
        return tb_err_set(err, TB_EINVAL, "step %lld has no noise left to guide",
                          (long long)p->step);
    return TB_OK;
}

static tb_status read_inputs(const params *p, work *w, tb_err *err)
{
    w->x = tb_record_f32(p->latent, "the latent", "samples", 4, err);
    if (!w->x)
        return TB_EINVAL;
    const tb_shape *shape = tb_tensor_shape(w->x);
    TB_TRY(read_answer(p->cond, "cond", shape, &w->cond, err));
    TB_TRY(read_answer(p->uncond, "uncond", shape, &w->uncond, err));
    TB_TRY(
        tb_record_f32_like(p->latent, "the latent", "guidance_average", shape, &w->average, err));
    return read_level(p, w, err);
}

static void apply(const params *p, const work *w, float *sum, float *v)
{
    const tb_apg rule = { p->cfg + p->channels, p->eta, p->norm_threshold, p->momentum };
    const int64_t n = tb_tensor_count(w->x), part = p->channels ? n / tb_tensor_dim(w->x, 0) : n;
    for (int64_t at = 0; at < n; at += part)
        tb_guidance_apg(&rule, w->kind, w->level, w->cond + at, w->uncond + at,
                        tb_tensor_f32(w->x) + at, part,
                        w->average ? tb_tensor_f32(w->average) + at : NULL, sum + at, v + at);
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    work w = { 0 };
    TB_TRY(read_inputs(p, &w, err));
    const tb_shape *shape = tb_tensor_shape(w.x);
    tb_tensor *v = tb_tensor_new(TB_F32, shape, err), *sum = NULL;
    if (v)
        sum = tb_tensor_new(TB_F32, shape, err);
    if (!sum) {
        tb_tensor_unref(&v);
        return TB_ENOMEM;
    }
    apply(p, &w, tb_tensor_f32_mut(sum), tb_tensor_f32_mut(v));
    if (p->rescale > 0)
        tb_guidance_rescale(w.cond, tb_tensor_count(w.x), p->rescale, tb_tensor_f32_mut(v));
    tb_job_set_take(job, 0, tb_value_tensor_take(v));
    tb_job_set_take(job, 1, tb_value_tensor_take(sum));
    return TB_OK;
}

const tb_node_def tb_node_guidance_apg = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "guidance_apg",
    .title = "Guidance (APG)",
    .category = "sampling",
    .doc = "Adaptive projected guidance: a high cfg without oversaturation.",
    .flags = TB_NODE_FORGET,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .plan = plan,
    .run = run,
    .example =
        "local m = tb.load_model {}\n"
        "local x = tb.noise_init { model = m.model, size = \"32x32\", frames = 1 }\n"
        "local sigmas = tb.schedule { steps = 2 }\n"
        "local function velocity(text)\n"
        "  local prompt = tb.text_encode { clip = m.clip, text = text }\n"
        "  return tb.dit_step { model = m.model, latent = x, conditioning = prompt, sigmas = "
        "sigmas }\n"
        "end\n"
        "return tb.guidance_apg { cond = velocity(\"a red ball\"), uncond = velocity(\"\"), latent "
        "= x,\n"
        "                         sigmas = sigmas, cfg = 8 }",
};
