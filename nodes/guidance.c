/* guidance.c - classifier-free guidance (arXiv 2207.12598): v = u + cfg (c - u).
 *
 * With star the negative answer is scaled first to come near the other one (CFG-Zero*, 2503.18886);
 * rescale takes the result back to the deviation of the prompt's answer (2305.08891).
 */
#include "models/guidance.h"
#include "compute/tensor.h"
#include "node.h"

typedef struct params {
    const tb_value *cond, *uncond;
    double cfg, rescale;
    bool star;
} params;

enum { COND, UNCOND, CFG, RESCALE, STAR };

static const tb_input_def inputs[] = {
    [COND] = TB_IN_PORT(params, cond, "VELOCITY", 0, "The model's answer to the prompt."),
    [UNCOND] = TB_IN_PORT(params, uncond, "VELOCITY", TB_IN_OPTIONAL | TB_IN_LAZY,
                          "Its answer to the negative prompt; not computed when cfg is 1."),
    [CFG] =
        TB_IN_FLOAT(params, cfg, 3, 0, 100, "", "How strongly the prompt counts; 1: no guidance."),
    [RESCALE] =
        TB_IN_FLOAT(params, rescale, 0, 0, 1, "",
                    "Against too much contrast at a high cfg: how far the answer's deviation "
                    "goes back to the prompt's."),
    [STAR] = TB_IN_BOOL(params, star, false,
                        "Scales the negative answer to fit the other one best (CFG-Zero*)."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "velocity", .type = "VELOCITY", .shape = "C,T,H,W", .doc = "The guided answer." },
    { 0 },
};

static uint64_t need(const void *vp, uint64_t have)
{
    const params *p = vp;
    return have & UINT64_C(1) << CFG && (p->cfg < 1 || p->cfg > 1) ? UINT64_C(1) << UNCOND : 0;
}

static tb_status plan(tb_job *job, const void *vp, tb_err *err)
{
    (void)vp;
    (void)err;
    tb_shape shape;
    if (tb_job_plan_shape(job, "cond", &shape))
        tb_job_plan_output(job, 0, TB_F32, &shape);
    return TB_OK;
}

static const tb_tensor *f32_of(const tb_value *v)
{
    const tb_tensor *t = v && tb_value_kind(v) == TB_TENSOR ? tb_value_as_tensor(v) : NULL;
    return t && tb_tensor_dtype(t) == TB_F32 ? t : NULL;
}

/* Plain guidance stays in single precision: its bytes are those of earlier versions. */
static void combine(const params *p, const float *c, const float *u, int64_t n, float *v)
{
    const float k = (float)p->cfg;
    if (p->star)
        tb_guidance_cfg(c, u, n, p->cfg, tb_guidance_scale(c, u, n), v);
    else
        for (int64_t i = 0; i < n; i++)
            v[i] = u[i] + k * (c[i] - u[i]);
    if (p->rescale > 0)
        tb_guidance_rescale(c, n, p->rescale, v);
}

static tb_status guide(tb_job *job, const tb_tensor *cond, const tb_tensor *uncond, const params *p,
                       tb_err *err)
{
    char a[128], b[128];
    if (!tb_shape_eq(tb_tensor_shape(cond), tb_tensor_shape(uncond)))
        return tb_err_set(err, TB_EINVAL, "cond and uncond must have one shape, got %s and %s",
                          tb_shape_text(tb_tensor_shape(cond), a, sizeof a),
                          tb_shape_text(tb_tensor_shape(uncond), b, sizeof b));
    tb_tensor *out = tb_tensor_new(TB_F32, tb_tensor_shape(cond), err);
    if (!out)
        return TB_ENOMEM;
    combine(p, tb_tensor_f32(cond), tb_tensor_f32(uncond), tb_tensor_count(cond),
            tb_tensor_f32_mut(out));
    tb_job_set_take(job, 0, tb_value_tensor_take(out));
    return TB_OK;
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    const tb_tensor *cond = f32_of(p->cond), *uncond = f32_of(p->uncond);
    if (!cond || (p->uncond && !uncond))
        return tb_err_set(err, TB_EINVAL,
                          "cond and uncond must be F32 tensors; take them from dit_step");
    if (p->cfg >= 1 && p->cfg <= 1) {
        tb_job_set_take(job, 0, tb_value_ref(p->cond));
        return TB_OK;
    }
    if (!uncond)
        return tb_err_set(err, TB_EINVAL,
                          "cfg %g needs uncond, the answer to the negative prompt; connect it "
                          "or set cfg to 1",
                          p->cfg);
    return guide(job, cond, uncond, p, err);
}

const tb_node_def tb_node_guidance = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "guidance",
    .title = "Guidance",
    .category = "sampling",
    .doc = "Moves the model's answer away from the negative prompt.",
    .flags = TB_NODE_FORGET,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .plan = plan,
    .run = run,
    .need = need,
    .example =
        "local m = tb.load_model {}\n"
        "local x = tb.noise_init { model = m.model, size = \"32x32\", frames = 1 }\n"
        "local sigmas = tb.schedule { steps = 2 }\n"
        "local function velocity(text)\n"
        "  local prompt = tb.text_encode { clip = m.clip, text = text }\n"
        "  return tb.dit_step { model = m.model, latent = x, conditioning = prompt, sigmas = "
        "sigmas }\n"
        "end\n"
        "return tb.guidance { cond = velocity(\"a red ball\"), uncond = velocity(\"\"), cfg = 4 }",
};
