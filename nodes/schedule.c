/* schedule.c - the noise levels and timesteps of a run, whole or in part. */
#include <math.h>
#include <string.h>

#include "graph/records.h"
#include "models/samplers.h"
#include "node.h"

#define USUAL_SHIFT 3.0

typedef struct params {
    const tb_value *model;
    const char *scheduler, *levels_of;
    int64_t steps;
    double shift, denoise;
    int64_t start_step, end_step;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, model, "MODEL", TB_IN_OPTIONAL, "Tells the shift where that is 0."),
    TB_IN_COMBO(params, scheduler, "flow", TB_SCHEDULERS "|" TB_LEVELS,
                "How noise levels are spaced."),
    TB_IN_COMBO(params, levels_of, "flow", "flow|ddpm_linear|ddpm_cosine",
                "What simple, normal, karras and the others after ddpm_cosine choose from."),
    TB_IN_INT(params, steps, 20, 1, 1000, "steps", "Steps from noise to video."),
    TB_IN_FLOAT(params, shift, 0, 0, 100, "",
                "Moves steps towards the noisy end (flow); 0: as the model advises, else 3."),
    TB_IN_FLOAT(params, denoise, 1, 0.001, 1, "",
                "1: from pure noise; less: only the last part of a finer schedule."),
    TB_IN_INT(params, start_step, 0, 0, 999, "steps", "Leave out the steps before this one."),
    TB_IN_INT(params, end_step, 0, 0, 1000, "steps", "Stop before this step; 0: go to the end."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "sigmas", .type = "SIGMAS", .doc = "Noise levels, timesteps and their kind." },
    { 0 },
};

static double shift_of(const params *p)
{
    const double advised = tb_record_number(p->model, "shift", 0);
    return p->shift > 0 ? p->shift : advised > 0 ? advised : USUAL_SHIFT;
}

static tb_status check(const params *p, tb_err *err)
{
    if (p->end_step > p->steps)
        return tb_err_set(err, TB_EINVAL, "end_step must be at most steps (%lld), got %lld",
                          (long long)p->steps, (long long)p->end_step);
    const int64_t end = p->end_step ? p->end_step : p->steps;
    if (p->start_step >= end)
        return tb_err_set(err, TB_EINVAL,
                          "start_step must be below %lld, where the steps end, got %lld",
                          (long long)end, (long long)p->start_step);
    return TB_OK;
}

/* Levels as ComfyUI names them, of a flow or of betas; or a scheduler with levels of its own. */
static tb_status make_whole(const params *p, int steps, tb_schedule *s, tb_err *err)
{
    const bool flow = strcmp(p->levels_of, "flow") == 0;
    *s = (tb_schedule){ 0 };
    if (!tb_schedule_is_levels(p->scheduler) && !flow)
        return tb_err_set(err, TB_EINVAL,
                          "scheduler '%s' has levels of its own; set levels_of to flow, or choose "
                          "one of %s",
                          p->scheduler, TB_LEVELS);
    if (!tb_schedule_is_levels(p->scheduler))
        return tb_schedule_make(p->scheduler, steps, shift_of(p), s, err);
    if (flow)
        return tb_schedule_make_levels(p->scheduler, steps, shift_of(p), s, err);
    return tb_schedule_make_beta_levels(p->scheduler, strcmp(p->levels_of, "ddpm_cosine") == 0,
                                        steps, s, err);
}

/* denoise d: the last `steps` of floor(steps / d), as ComfyUI counts. */
static tb_status make(const params *p, tb_schedule *s, tb_err *err)
{
    TB_TRY(check(p, err));
    const double whole = floor((double)p->steps / p->denoise);
    if (whole > 1e6)
        return tb_err_set(err, TB_EINVAL, "steps / denoise must be at most 1000000, got %g", whole);
    TB_TRY(make_whole(p, (int)whole, s, err));
    const int skipped = s->steps - (int)p->steps;
    const int end = p->end_step ? (int)p->end_step : (int)p->steps;
    tb_schedule_cut(s, skipped + (int)p->start_step, skipped + end);
    return TB_OK;
}

static tb_status set_table(tb_value *record, const char *name, const double *x, int64_t n,
                           tb_err *err)
{
    tb_tensor *t = tb_tensor_new(TB_F64, &TB_SHAPE(n), err);
    if (!t)
        return TB_ENOMEM;
    double *out = tb_tensor_data_mut(t);
    for (int64_t i = 0; i < n; i++)
        out[i] = x[i];
    tb_record_set_take(record, name, tb_value_tensor_take(t));
    return TB_OK;
}

static tb_status fill(tb_value *record, const tb_schedule *s, tb_err *err)
{
    tb_record_set_take(record, "kind", tb_value_string(s->kind == TB_BETAS ? "betas" : "flow"));
    if (s->kind == TB_FLOW)
        tb_record_set_take(record, "shift", tb_value_float(s->shift));
    TB_TRY(set_table(record, "sigmas", s->sigma, s->steps + 1, err));
    TB_TRY(set_table(record, "timesteps", s->timestep, s->steps, err));
    return s->beta ? set_table(record, "betas", s->beta, s->steps, err) : TB_OK;
}

static tb_status plan(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    return tb_job_plan_known(job, "steps") && tb_job_plan_known(job, "start_step") &&
                   tb_job_plan_known(job, "end_step")
               ? check(p, err)
               : TB_OK;
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    tb_schedule s;
    tb_value *record = tb_value_record();
    tb_status st = make(vp, &s, err);
    if (st == TB_OK)
        st = fill(record, &s, err);
    tb_schedule_clear(&s);
    if (st == TB_OK)
        tb_job_set_take(job, 0, record);
    else
        tb_value_unref(&record);
    return st;
}

const tb_node_def tb_node_schedule = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "schedule",
    .title = "Schedule",
    .category = "sampling",
    .doc = "Noise levels and timesteps of a run.",
    .flags = TB_NODE_INLINE | TB_NODE_FORGET,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .plan = plan,
    .run = run,
    .example = "return tb.schedule { scheduler = \"flow\", steps = 4, shift = 3 }",
};
