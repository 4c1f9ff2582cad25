/* add_noise.c - the state that sampling starts from.
 *
 * A clean latent is mixed with its noise for the level of the step to come: alpha x + sigma noise.
 * Pure noise, and the state of a run that stopped on the way, pass as they are.
 */
#include <string.h>

#include "graph/records.h"
#include "models/samplers.h"
#include "node.h"

/* Pure noise may start only where hardly any signal is expected. */
#define SIGNAL_IN_NOISE 0.05

typedef struct params {
    const tb_value *latent, *sigmas, *conditioning;
    int64_t step;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, latent, "LATENT", 0, "Clean samples with noise, or a state to go on from."),
    TB_IN_PORT(params, sigmas, "SIGMAS", 0, "The schedule that will run."),
    TB_IN_PORT(params, conditioning, "CONDITIONING", TB_IN_OPTIONAL,
               "Its known frames are set in the state, too."),
    TB_IN_INT(params, step, 0, 0, 1000000, "",
              "The step to start with, an index into the schedule."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "latent",
      .type = "LATENT",
      .shape = "C,T,H,W",
      .doc = "The state before that step." },
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

static tb_status mix(const tb_tensor *clean, const tb_tensor *noise, tb_noise_level l,
                     bool is_clean, tb_tensor **out, tb_err *err)
{
    *out = tb_tensor_new(TB_F32, tb_tensor_shape(clean), err);
    if (!*out)
        return TB_ENOMEM;
    float *y = tb_tensor_f32_mut(*out);
    if (!is_clean) {
        memcpy(y, tb_tensor_f32(clean), tb_tensor_bytes(clean));
        return TB_OK;
    }
    const float *x = tb_tensor_f32(clean), *z = tb_tensor_f32(noise);
    for (int64_t i = 0; i < tb_tensor_count(clean); i++)
        y[i] = (float)(l.alpha * (double)x[i] + l.sigma * (double)z[i]);
    return TB_OK;
}

static tb_status check(const tb_value *latent, const tb_tensor *noise, const tb_known *k,
                       double alpha, tb_err *err)
{
    const char *state = tb_record_text(latent, "state", "partial");
    const bool clean = strcmp(state, "clean") == 0;
    if (!noise && (clean || (k->known && k->hold)))
        return tb_err_set(
            err, TB_EINVAL,
            "the latent has no noise to start from; pass it through noise_init's latent input");
    if (strcmp(state, "noise") == 0 && alpha > SIGNAL_IN_NOISE)
        return tb_err_set(
            err, TB_EINVAL,
            "a schedule that starts below full noise (denoise or start_step) needs a start "
            "latent; give one to noise_init");
    return TB_OK;
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    tb_sigmas s;
    tb_known k;
    const tb_tensor *noise, *x = tb_record_f32(p->latent, "the latent", "samples", 4, err);
    tb_tensor *y = NULL;
    if (!x)
        return TB_EINVAL;
    const tb_shape *shape = tb_tensor_shape(x);
    TB_TRY(tb_record_f32_like(p->latent, "the latent", "noise", shape, &noise, err));
    TB_TRY(tb_sigmas_read(p->sigmas, &s, err));
    TB_TRY(tb_conditioning_known(p->conditioning, shape, &k, err));
    const tb_schedule table = {
        s.betas ? TB_BETAS : TB_FLOW, s.steps, s.sigma, s.timestep, s.beta, NULL
    };
    if (p->step >= s.steps)
        return tb_err_set(err, TB_EINVAL, "step must be 0..%d with this schedule, got %lld",
                          s.steps - 1, (long long)p->step);
    const tb_noise_level level = tb_schedule_level(&table, (int)p->step);
    TB_TRY(check(p->latent, noise, &k, level.alpha, err));
    const bool clean = strcmp(tb_record_text(p->latent, "state", "partial"), "clean") == 0;
    TB_TRY(mix(x, noise, level, clean, &y, err));
    if (k.known && k.hold)
        tb_sampler_hold(k.known, k.mask, level, tb_tensor_f32(noise), shape->d[0],
                        shape->d[1] * shape->d[2] * shape->d[3], tb_tensor_f32_mut(y));
    tb_value *latent = tb_record_copy(p->latent);
    if (clean)
        tb_latent_forget(latent);
    tb_record_set_take(latent, "samples", tb_value_tensor_take(y));
    tb_record_set_take(latent, "state", tb_value_string("partial"));
    tb_job_set_take(job, 0, latent);
    return TB_OK;
}

const tb_node_def tb_node_add_noise = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "add_noise",
    .title = "Add noise",
    .category = "sampling",
    .doc = "Brings a latent to the noise level of a schedule's first step, or a later one.",
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .plan = plan,
    .run = run,
    .example = "local m = tb.load_model {}\n"
               "local x = tb.noise_init { model = m.model, size = \"32x32\", frames = 1 }\n"
               "return tb.add_noise { latent = x, sigmas = tb.schedule { steps = 2 } }",
};
