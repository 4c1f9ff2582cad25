/* schedule_levels.c - the noise levels of a run as ComfyUI's schedulers space them.
 *
 * Steps are counted as its samplers count them: denoise d keeps the last `steps` of
 * floor(steps / d); a run that stops early and may leave no noise jumps to 0 there.
 */
#include <math.h>

#include "graph/records.h"
#include "models/samplers.h"
#include "node.h"

#define WAN_SHIFT 8.0 /* what ComfyUI takes for Wan's models without ModelSamplingSD3 */

typedef struct params {
    const tb_value *model;
    const char *scheduler;
    int64_t steps;
    double denoise;
    int64_t end_step;
    bool drop;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, model, "MODEL", 0, "Tells the shift; 8 where it does not."),
    TB_IN_COMBO(params, scheduler, "simple", TB_LEVELS, "How noise levels are spaced."),
    TB_IN_INT(params, steps, 20, 1, 1000, "steps", "Steps from noise to video."),
    TB_IN_FLOAT(params, denoise, 1, 0.001, 1, "",
                "1: from pure noise; less: only the last part of a finer schedule."),
    TB_IN_INT(params, end_step, 0, 0, 1000, "steps",
              "Be free of noise after this many steps already; 0: after all."),
    TB_IN_BOOL(params, drop, false,
               "Go from the last level but one to 0 at once, as ComfyUI does with uni_pc."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "sigmas", .type = "SIGMAS", .doc = "Noise levels, timesteps and their kind." },
    { 0 },
};

static int64_t steps_of(const params *p)
{
    return p->end_step && p->end_step < p->steps ? p->end_step : p->steps;
}

static tb_status set_tables(tb_value *record, const tb_schedule *s, const params *p, tb_err *err)
{
    const int64_t n = steps_of(p), first = s->steps - p->drop - p->steps;
    tb_tensor *sigmas = tb_tensor_new(TB_F64, &TB_SHAPE(n + 1), err);
    tb_tensor *times = tb_tensor_new(TB_F64, &TB_SHAPE(n), err);
    if (!sigmas || !times) {
        tb_tensor_unref(&sigmas);
        tb_tensor_unref(&times);
        return TB_ENOMEM;
    }
    double *out = tb_tensor_data_mut(sigmas), *t = tb_tensor_data_mut(times);
    for (int64_t i = 0; i < n; i++) {
        out[i] = s->sigma[first + i];
        t[i] = s->timestep[first + i];
    }
    out[n] = 0;
    tb_record_set_take(record, "kind", tb_value_string("flow"));
    tb_record_set_take(record, "shift", tb_value_float(s->shift));
    tb_record_set_take(record, "sigmas", tb_value_tensor_take(sigmas));
    tb_record_set_take(record, "timesteps", tb_value_tensor_take(times));
    return TB_OK;
}

static tb_status make(const params *p, tb_schedule *s, tb_err *err)
{
    const double shift = tb_record_number(p->model, "shift", 0);
    const double whole =
        p->denoise > 0.9999 ? (double)p->steps : floor((double)p->steps / p->denoise);
    return tb_schedule_make_levels(p->scheduler, (int)fmin(whole + p->drop, 1e6),
                                   shift > 0 ? shift : WAN_SHIFT, s, err);
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    tb_schedule s;
    TB_TRY(make(p, &s, err));
    tb_value *record = tb_value_record();
    const tb_status st = set_tables(record, &s, p, err);
    tb_schedule_clear(&s);
    if (st == TB_OK)
        tb_job_set_take(job, 0, record);
    else
        tb_value_unref(&record);
    return st;
}

const tb_node_def tb_node_schedule_levels = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "schedule_levels",
    .title = "Schedule (ComfyUI's)",
    .category = "sampling",
    .doc = "Noise levels and timesteps of a run, spaced as ComfyUI does.",
    .flags = TB_NODE_INLINE | TB_NODE_FORGET,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .run = run,
    .example = "return tb.schedule_levels {\n"
               "  model = tb.load_model {}.model, scheduler = \"simple\", steps = 4,\n"
               "}",
};
