/* sampler_step.c - one step of a sampler: from a state and the model's answer to the next state.
 *
 * The step is a pure function of its inputs. What multistep samplers read of the steps before
 * travels in the latent: clean estimates (x0, x0_1), the model's answers (slope_1 ..), UniPC's
 * corrected state (hat), the running sum of guidance_apg, the accounts of step caching. So every
 * stored step has all that the next one needs.
 */
#include "base/log.h"
#include "graph/records.h"
#include "models/reuse.h"
#include "models/samplers.h"
#include "node.h"

typedef struct params {
    const char *sampler;
    const tb_value *latent, *velocity, *previous, *sigmas, *conditioning, *average, *cond, *uncond;
    int64_t step, stage, seed;
    double eta, reuse;
    const char *variance;
} params;

static const tb_input_def inputs[] = {
    TB_IN_COMBO(params, sampler, "euler", TB_SAMPLERS, "The rule."),
    TB_IN_PORT(params, latent, "LATENT", 0, "The state the model was evaluated at."),
    TB_IN_PORT(params, velocity, "VELOCITY", 0, "The model's answer, guided."),
    TB_IN_PORT(params, previous, "LATENT", TB_IN_OPTIONAL,
               "Second stages of heun and dpmpp_sde: the state that the step began at."),
    TB_IN_PORT(params, sigmas, "SIGMAS", 0, "The schedule."),
    TB_IN_PORT(params, conditioning, "CONDITIONING", TB_IN_OPTIONAL,
               "Its known frames are kept, at the noise of each level."),
    TB_IN_INT(params, step, 0, 0, 1000000, "", "Index into the schedule, from 0."),
    TB_IN_INT(params, stage, 0, 0, 2, "",
              "Which half of a step of two: 1 the second of heun, 2 the second of dpmpp_sde."),
    TB_IN_INT(params, seed, 0, 0, INT64_MAX, "",
              "Fresh noise of samplers that draw it; joins the latent's seed."),
    TB_IN_FLOAT(params, eta, -1, -1, 1, "",
                "Share of fresh noise, 0 none; -1: as usual, 0 for ddim, 1 for euler_ancestral and "
                "the sde samplers."),
    TB_IN_COMBO(params, variance, "fixed_small", "fixed_small|fixed_large",
                "ddpm: the posterior's variance."),
    TB_IN_PORT(params, average, "VELOCITY", TB_IN_OPTIONAL,
               "guidance_apg's running sum, kept for the next step."),
    TB_IN_PORT(params, cond, "VELOCITY", TB_IN_OPTIONAL,
               "Step caching: the model's answer to the prompt, kept for later steps."),
    TB_IN_PORT(params, uncond, "VELOCITY", TB_IN_OPTIONAL,
               "Step caching: its answer to the negative prompt."),
    TB_IN_FLOAT(params, reuse, 0, 0, 10, "",
                "Step caching: the threshold that dit_step was given in this step."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "latent",
      .type = "LATENT",
      .shape = "C,T,H,W",
      .doc = "The next state, with its clean estimate." },
    { 0 },
};

static tb_status plan(tb_job *job, const void *vp, tb_err *err)
{
    (void)vp;
    (void)err;
    tb_shape shape;
    if (tb_job_plan_shape(job, "latent", &shape))
        tb_job_plan_output(job, 0, TB_F32, &shape);
    return TB_OK;
}

/* What the step reads and makes. */
typedef struct work {
    tb_schedule schedule;
    tb_step step;
    tb_known known;
    const tb_tensor *samples, *noise;
    tb_tensor *fresh, *fresh_2, *x, *x0, *hat;
} work;

static const char *const slope_names[] = { "slope_1", "slope_2", "slope_3" };

static const float *data(const tb_tensor *t)
{
    return t ? tb_tensor_f32(t) : NULL;
}

static tb_status read_velocity(const params *p, work *w, tb_err *err)
{
    char got[128], want[128];
    const tb_value *v = p->velocity;
    const tb_tensor *t = tb_value_kind(v) == TB_TENSOR ? tb_value_as_tensor(v) : NULL;
    if (!t || tb_tensor_dtype(t) != TB_F32)
        return tb_err_set(err, TB_EINVAL,
                          "velocity must be an F32 tensor; take it from dit_step or guidance");
    if (!tb_shape_eq(tb_tensor_shape(t), tb_tensor_shape(w->samples)))
        return tb_err_set(err, TB_EINVAL, "velocity must have the latent's shape %s, got %s",
                          tb_shape_text(tb_tensor_shape(w->samples), want, sizeof want),
                          tb_shape_text(tb_tensor_shape(t), got, sizeof got));
    w->step.model = tb_tensor_f32(t);
    return TB_OK;
}

/* Fields of the latent, where the rule uses them: a step that has none of them begins anew. */
static tb_status read_history(const params *p, work *w, tb_err *err)
{
    const tb_shape *s = tb_tensor_shape(w->samples);
    const int estimates = tb_sampler_estimates(w->step.sampler);
    const tb_tensor *x0_1, *x0_2, *hat, *base, *slope;
    TB_TRY(tb_record_f32_like(p->previous, "the previous latent", "samples", s, &base, err));
    w->step.base = data(base);
    if (p->step == 0 || p->stage)
        return TB_OK;
    TB_TRY(tb_record_f32_like(p->latent, "the latent", "x0", s, &x0_1, err));
    TB_TRY(tb_record_f32_like(p->latent, "the latent", "x0_1", s, &x0_2, err));
    TB_TRY(tb_record_f32_like(p->latent, "the latent", "hat", s, &hat, err));
    for (int k = 0; k < tb_sampler_slopes(w->step.sampler); k++) {
        TB_TRY(tb_record_f32_like(p->latent, "the latent", slope_names[k], s, &slope, err));
        w->step.slope[k] = data(slope);
    }
    if (estimates == 0 || (w->step.sampler == TB_UNIPC && !hat))
        return TB_OK;
    w->step.x0_1 = data(x0_1);
    w->step.hat = data(hat);
    if (estimates > 1 && p->step > 1 && x0_1)
        w->step.x0_2 = data(x0_2);
    return TB_OK;
}

static tb_status read_inputs(const params *p, work *w, tb_err *err)
{
    tb_sigmas s;
    w->samples = tb_record_f32(p->latent, "the latent", "samples", 4, err);
    if (!w->samples)
        return TB_EINVAL;
    const tb_shape *shape = tb_tensor_shape(w->samples);
    TB_TRY(tb_sampler_parse(p->sampler, &w->step.sampler, err));
    TB_TRY(tb_sigmas_read(p->sigmas, &s, err));
    w->schedule = (tb_schedule){
        s.betas ? TB_BETAS : TB_FLOW, s.steps, s.sigma, s.timestep, s.beta, NULL, s.shift
    };
    if (p->step >= s.steps)
        return tb_err_set(err, TB_EINVAL, "step must be 0..%d with this schedule, got %lld",
                          s.steps - 1, (long long)p->step);
    TB_TRY(read_velocity(p, w, err));
    TB_TRY(read_history(p, w, err));
    TB_TRY(tb_record_f32_like(p->latent, "the latent", "noise", shape, &w->noise, err));
    TB_TRY(tb_conditioning_known(p->conditioning, shape, &w->known, err));
    if (w->known.known && w->known.hold && !w->noise)
        return tb_err_set(err, TB_EINVAL,
                          "known frames need the latent's noise; start from noise_init");
    return TB_OK;
}

/* Indices behind those of the start noise, so that one seed never draws a number twice; second
 * halves of steps draw from far behind. */
static tb_status draw(const params *p, const work *w, uint64_t first, tb_tensor **fresh,
                      tb_err *err)
{
    *fresh = tb_tensor_new(TB_F32, tb_tensor_shape(w->samples), err);
    if (!*fresh)
        return TB_ENOMEM;
    const uint64_t n = (uint64_t)tb_tensor_count(w->samples);
    const uint64_t seed = (uint64_t)tb_record_int(p->latent, "seed", 0) + (uint64_t)p->seed;
    tb_rng_normal(tb_tensor_f32_mut(*fresh), (int64_t)n, seed, first + ((uint64_t)p->step + 1) * n);
    return TB_OK;
}

static tb_status draw_fresh(const params *p, work *w, tb_err *err)
{
    if (!tb_sampler_wants_noise(w->step.sampler, p->eta, &w->schedule, (int)p->step))
        return TB_OK;
    TB_TRY(draw(p, w, 0, &w->fresh, err));
    return p->stage == TB_STAGE_MIDDLE ? draw(p, w, UINT64_C(1) << 62, &w->fresh_2, err) : TB_OK;
}

static tb_status make_step(const params *p, work *w, tb_err *err)
{
    const tb_shape *shape = tb_tensor_shape(w->samples);
    TB_TRY(draw_fresh(p, w, err));
    w->x = tb_tensor_new(TB_F32, shape, err);
    w->x0 = w->x ? tb_tensor_new(TB_F32, shape, err) : NULL;
    if (w->x0 && w->step.sampler == TB_UNIPC)
        w->hat = tb_tensor_new(TB_F32, shape, err);
    if (!w->x0 || (w->step.sampler == TB_UNIPC && !w->hat))
        return TB_ENOMEM;
    w->step.schedule = &w->schedule;
    w->step.index = (int)p->step;
    w->step.stage = (int)p->stage;
    w->step.n = tb_tensor_count(w->samples);
    w->step.x = tb_tensor_f32(w->samples);
    w->step.noise = data(w->fresh);
    w->step.noise_2 = data(w->fresh_2);
    w->step.eta = p->eta;
    w->step.variance = p->variance[6] == 'l' ? TB_FIXED_LARGE : TB_FIXED_SMALL;
    const tb_step_result out = { tb_tensor_f32_mut(w->x), tb_tensor_f32_mut(w->x0),
                                 w->hat ? tb_tensor_f32_mut(w->hat) : NULL };
    TB_TRY(tb_sampler_step(&w->step, &out, err));
    if (w->known.known && w->known.hold)
        tb_sampler_hold(w->known.known, w->known.mask, tb_sampler_reached(&w->step),
                        tb_tensor_f32(w->noise), shape->d[0],
                        shape->d[1] * shape->d[2] * shape->d[3], out.x);
    return TB_OK;
}

static void set_tensor(tb_value *record, const char *name, tb_tensor **t)
{
    tb_record_set_take(record, name, *t ? tb_value_tensor_take(*t) : tb_value_none());
    *t = NULL;
}

/* Moves a remembered field on by one step. */
static void pass_on(tb_value *to, const char *name, const tb_value *from, const char *newer)
{
    const tb_value *v = from ? tb_record_get(from, newer) : NULL;
    if (v)
        tb_record_set_take(to, name, tb_value_ref(v));
}

static void pass_value(tb_value *to, const char *name, const tb_value *v)
{
    if (v)
        tb_record_set_take(to, name, tb_value_ref(v));
}

/* What later steps may reuse, or, after the last one, what came of it. */
static tb_value *cache_record(const params *p, const tb_reuse *r, bool reused, bool clean)
{
    const tb_value *old = tb_record_get(p->latent, "cache");
    tb_value *v = tb_value_record();
    const struct {
        const char *name;
        double value;
    } numbers[] = { { "rate", r->rate },
                    { "norm", r->norm },
                    { "change", r->change },
                    { "next", r->next },
                    { "worst", r->worst } };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        tb_record_set_take(v, numbers[i].name, tb_value_float(numbers[i].value));
    tb_record_set_take(v, "computed", tb_value_int(r->computed));
    tb_record_set_take(v, "reused", tb_value_int(r->reused));
    if (clean)
        return v;
    pass_value(v, "state", tb_record_get(reused ? old : p->latent, reused ? "state" : "samples"));
    pass_value(v, "cond", reused ? tb_record_get(old, "cond") : p->cond);
    pass_value(v, "uncond", reused ? tb_record_get(old, "uncond") : p->uncond);
    return v;
}

/* The accounts of step caching after this step. */
static tb_status keep_cache(const params *p, const work *w, bool clean, tb_value *latent,
                            tb_err *err)
{
    const tb_shape *shape = tb_tensor_shape(w->samples);
    const tb_tensor *v = tb_value_kind(p->cond) == TB_TENSOR ? tb_value_as_tensor(p->cond) : NULL;
    tb_cached c;
    if (!v || tb_tensor_dtype(v) != TB_F32 || !tb_shape_eq(tb_tensor_shape(v), shape))
        return tb_err_set(
            err, TB_EINVAL,
            "cond must be an F32 tensor of the latent's shape; take it from dit_step");
    TB_TRY(tb_latent_cached(p->latent, shape, &c, err));
    tb_reuse r = { c.rate, c.norm, c.change, c.next, c.worst, c.computed, c.reused };
    const bool reused = tb_cached_serves(&c, p->reuse);
    if (reused)
        tb_reuse_reused(&r);
    else
        tb_reuse_computed(&r, w->step.x, tb_tensor_f32(v), data(c.state), data(c.cond), w->step.n);
    tb_reuse_predict(&r, w->step.x, tb_tensor_f32(w->x), w->step.n);
    tb_record_set_take(latent, "cache", cache_record(p, &r, reused, clean));
    if (clean && r.reused > 0)
        tb_log(TB_LOG_WARN,
               "step caching: %lld of %lld steps reused the model's answer, accepting an estimated "
               "relative L1 change of up to %.3g",
               (long long)r.reused, (long long)(r.reused + r.computed), r.worst);
    return TB_OK;
}

/* What the steps to come read, and nothing that an earlier run left. */
static void remember(const params *p, work *w, tb_value *latent)
{
    const int slopes = tb_sampler_slopes(w->step.sampler);
    tb_latent_forget(latent);
    set_tensor(latent, "x0", &w->x0);
    if (w->hat)
        set_tensor(latent, "hat", &w->hat);
    if (tb_sampler_estimates(w->step.sampler) > 1 && w->step.x0_1)
        pass_on(latent, "x0_1", p->latent, "x0");
    if (slopes > 0)
        tb_record_set_take(latent, slope_names[0], tb_value_ref(p->velocity));
    for (int k = 1; k < slopes && w->step.slope[k - 1]; k++)
        pass_on(latent, slope_names[k], p->latent, slope_names[k - 1]);
    pass_value(latent, "guidance_average", p->average);
}

/* A copy of the latent, so that what others put there travels on. */
static tb_status publish(tb_job *job, const params *p, work *w, tb_err *err)
{
    const bool clean = tb_schedule_level(&w->schedule, (int)p->step + 1).sigma <= 0;
    tb_value *latent = tb_record_copy(p->latent);
    remember(p, w, latent);
    const tb_status st = p->cond ? keep_cache(p, w, clean, latent, err) : TB_OK;
    if (st != TB_OK) {
        tb_value_unref(&latent);
        return st;
    }
    set_tensor(latent, "samples", &w->x);
    tb_record_set_take(latent, "state", tb_value_string(clean ? "clean" : "partial"));
    tb_job_set_take(job, 0, latent);
    return TB_OK;
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    work w = { 0 };
    tb_status st = read_inputs(p, &w, err);
    if (st == TB_OK)
        st = make_step(p, &w, err);
    if (st == TB_OK)
        st = publish(job, p, &w, err);
    tb_tensor_unref(&w.fresh);
    tb_tensor_unref(&w.fresh_2);
    tb_tensor_unref(&w.x);
    tb_tensor_unref(&w.x0);
    tb_tensor_unref(&w.hat);
    return st;
}

const tb_node_def tb_node_sampler_step = {
    .abi = TB_NODE_ABI,
    .version = 2,
    .name = "sampler_step",
    .title = "Sampler step",
    .category = "sampling",
    .doc = "Takes one denoising step.",
    .flags = TB_NODE_KEEP,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .plan = plan,
    .run = run,
    .example = "local m = tb.load_model {}\n"
               "local x = tb.noise_init { model = m.model, size = \"32x32\", frames = 1 }\n"
               "local prompt = tb.text_encode { clip = m.clip, text = \"a red ball\" }\n"
               "local sigmas = tb.schedule { steps = 2 }\n"
               "local v = tb.dit_step { model = m.model, latent = x, conditioning = prompt, sigmas "
               "= sigmas }\n"
               "return tb.sampler_step { sampler = \"euler\", latent = x, velocity = v, sigmas = "
               "sigmas, step = 0 }",
};
