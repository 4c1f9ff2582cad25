/* schedule_manual.c - the noise levels of a run, one by one. */
#include <math.h>
#include <stdlib.h>

#include "node.h"

enum { MOST = 1001 };

typedef struct params {
    const char *levels;
} params;

static const tb_input_def inputs[] = {
    TB_IN_STRING(params, levels, "1,0", 0,
                 "Numbers 1 (all noise) to 0 (none) and commas; steps lead from each to the next."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "sigmas", .type = "SIGMAS", .doc = "Noise levels, timesteps and their kind." },
    { 0 },
};

static tb_status parse(const char *text, double *levels, int *count, tb_err *err)
{
    const char *c = text;
    *count = 0;
    for (;;) {
        char *end;
        const double v = strtod(c, &end);
        if (end == c || !isfinite(v) || v < 0 || v > 1)
            return tb_err_set(err, TB_EINVAL,
                              "levels must be numbers 0..1 like 1,0.9,0.5,0, got '%.200s'", text);
        if (*count == MOST)
            return tb_err_set(err, TB_ELIMIT, "levels must be at most %d numbers", MOST);
        if (*count && !(v < levels[*count - 1]))
            return tb_err_set(err, TB_EINVAL,
                              "each of the levels must be below the one before, got '%.200s'",
                              text);
        levels[(*count)++] = v;
        while (*end == ' ')
            end++;
        if (!*end)
            break;
        if (*end != ',')
            return tb_err_set(err, TB_EINVAL,
                              "levels must be numbers 0..1 like 1,0.9,0.5,0, got '%.200s'", text);
        c = end + 1;
    }
    if (*count < 2)
        return tb_err_set(err, TB_EINVAL, "levels must be two numbers or more, got '%.200s'", text);
    return TB_OK;
}

static tb_status plan(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    double levels[MOST];
    int count;
    return tb_job_plan_known(job, "levels") ? parse(p->levels, levels, &count, err) : TB_OK;
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    double levels[MOST];
    int count;
    TB_TRY(parse(p->levels, levels, &count, err));
    tb_tensor *sigmas = tb_tensor_new(TB_F64, &TB_SHAPE(count), err);
    tb_tensor *times = tb_tensor_new(TB_F64, &TB_SHAPE(count - 1), err);
    if (!sigmas || !times) {
        tb_tensor_unref(&sigmas);
        tb_tensor_unref(&times);
        return TB_ENOMEM;
    }
    double *s = tb_tensor_data_mut(sigmas), *t = tb_tensor_data_mut(times);
    for (int i = 0; i < count; i++)
        s[i] = levels[i];
    for (int i = 0; i < count - 1; i++)
        t[i] = 1000 * levels[i];
    tb_value *record = tb_value_record();
    tb_record_set_take(record, "kind", tb_value_string("flow"));
    tb_record_set_take(record, "shift", tb_value_float(1));
    tb_record_set_take(record, "sigmas", tb_value_tensor_take(sigmas));
    tb_record_set_take(record, "timesteps", tb_value_tensor_take(times));
    tb_job_set_take(job, 0, record);
    return TB_OK;
}

const tb_node_def tb_node_schedule_manual = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "schedule_manual",
    .title = "Schedule (by hand)",
    .category = "sampling",
    .doc = "Noise levels of a run, given one by one.",
    .flags = TB_NODE_INLINE | TB_NODE_FORGET,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .plan = plan,
    .run = run,
    .example = "return tb.schedule_manual { levels = \"1,0.9,0.6,0\" }",
};
