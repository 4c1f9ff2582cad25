/* samplers_schedule.c - tables of noise levels and timesteps.
 *
 * Operation orders are those of the reference schedulers: a float32 sigma or a truncated timestep
 * one unit off is a different schedule.
 */
#include "models/samplers_internal.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define TRAIN_STEPS 1000

static double shifted(double k, double s)
{
    return k * s / (1 + (k - 1) * s);
}

typedef struct flow_kind {
    const char *name;
    double first;   /* unshifted sigma of step 0 */
    double end;     /* where equal parts would arrive after the last step */
    bool truncated; /* timesteps are integers */
    bool below_one; /* sigma 1 is lowered by 1e-6, so that its logarithm is finite */
} flow_kind;

static const flow_kind flow_tab[] = {
    { "flow", 1, 0, false, false },
    { "flow_dpmpp", 1, 0, true, false },
    /* float32(1 - 1/1000), as the reference computes it */
    { "flow_unipc", (double)0.999f, 0, true, false },
    { "flow_diffusers", 1, 0.001, true, true },
};

/* The arrays while they are filled; the schedule shows them read-only. */
typedef struct table {
    double *sigma, *timestep, *beta;
} table;

static table allocate(tb_schedule *s, tb_parameterisation kind, int steps)
{
    const size_t n = (size_t)steps;
    double *own = tb_xcalloc(3 * n + 1, sizeof *own);
    const table t = { own, own + n + 1, own + 2 * n + 1 };
    *s = (tb_schedule){ .kind = kind,
                        .steps = steps,
                        .sigma = t.sigma,
                        .timestep = t.timestep,
                        .beta = kind == TB_BETAS ? t.beta : NULL,
                        .own = own };
    return t;
}

static void make_flow(const flow_kind *k, int steps, double shift, tb_schedule *s)
{
    const table tab = allocate(s, TB_FLOW, steps);
    s->shift = shift;
    const double part = (k->end - k->first) / steps;
    for (int i = 0; i < steps; i++) {
        double sigma = shifted(shift, k->first + i * part);
        if (k->below_one && fabs(sigma - 1) < 1e-6)
            sigma -= 1e-6;
        tab.sigma[i] = (double)(float)sigma;
        tab.timestep[i] = k->truncated ? trunc(1000 * sigma) : (double)(float)(1000 * tab.sigma[i]);
    }
}

/* The lower end is shifted twice: once as the scheduler's sigma_min (in float32 there), once with
 * all others. */
static void make_diffusers_euler(int steps, double shift, tb_schedule *s)
{
    const table tab = allocate(s, TB_FLOW, steps);
    s->shift = shift;
    const float k = (float)shift, last = 0.001f;
    const double low = (double)(k * last / (1 + (k - 1) * last)) * TRAIN_STEPS;
    const double part = steps > 1 ? (low - TRAIN_STEPS) / (steps - 1) : 0;
    for (int i = 0; i < steps; i++) {
        const double at = i > 0 && i == steps - 1 ? low : TRAIN_STEPS + i * part;
        const float sigma = (float)shifted(shift, at / TRAIN_STEPS);
        tab.sigma[i] = (double)sigma;
        tab.timestep[i] = (double)(sigma * 1000.0f);
    }
}

static double cosine_bar(double u)
{
    const double c = cos((u + 0.008) / 1.008 * 3.14159265358979323846 / 2);
    return c * c;
}

double tbi_train_beta(bool cosine, int train_steps, int t)
{
    if (cosine) {
        const double n = train_steps;
        return fmin(1 - cosine_bar((t + 1) / n) / cosine_bar(t / n), 0.999);
    }
    const double scale = 1000.0 / train_steps, low = scale * 0.0001, high = scale * 0.02;
    return train_steps > 1 ? low + t * ((high - low) / (train_steps - 1)) : low;
}

/* Which training steps are kept: equal strides, ends included, halves to even. */
static int *respaced(int train_steps, int steps)
{
    int *kept = tb_xcalloc((size_t)steps, sizeof *kept);
    const double stride = steps > 1 ? (double)(train_steps - 1) / (steps - 1) : 1;
    double at = 0;
    for (int j = 0; j < steps; j++, at += stride)
        kept[j] = (int)nearbyint(at);
    return kept;
}

tb_status tb_schedule_make_betas(bool cosine, int train_steps, int steps, tb_schedule *s,
                                 tb_err *err)
{
    *s = (tb_schedule){ 0 };
    if (steps < 1 || steps > train_steps)
        return tb_err_set(err, TB_EINVAL, "steps must be 1..%d with a ddpm schedule, got %d",
                          train_steps, steps);
    const table tab = allocate(s, TB_BETAS, steps);
    int *kept = respaced(train_steps, steps);
    double bar = 1, bar_before = 1, kept_bar = 1;
    for (int t = 0, j = 0; t < train_steps && j < steps; t++) {
        bar *= 1 - tbi_train_beta(cosine, train_steps, t);
        if (t != kept[j])
            continue;
        const int i = steps - 1 - j++;
        tab.beta[i] = 1 - bar / bar_before;
        tab.sigma[i] = kept_bar *= 1 - s->beta[i];
        tab.timestep[i] = t;
        bar_before = bar;
    }
    tab.sigma[steps] = 1;
    free(kept);
    return TB_OK;
}

tb_status tb_schedule_make(const char *scheduler, int steps, double shift, tb_schedule *s,
                           tb_err *err)
{
    *s = (tb_schedule){ 0 };
    if (steps < 1)
        return tb_err_set(err, TB_EINVAL, "steps must be at least 1, got %d", steps);
    if (strcmp(scheduler, "ddpm_linear") == 0 || strcmp(scheduler, "ddpm_cosine") == 0)
        return tb_schedule_make_betas(strcmp(scheduler, "ddpm_cosine") == 0, TRAIN_STEPS, steps, s,
                                      err);
    if (!(shift > 0))
        return tb_err_set(err, TB_EINVAL, "shift must be above 0, got %g", shift);
    if (strcmp(scheduler, "flow_diffusers_euler") == 0) {
        make_diffusers_euler(steps, shift, s);
        return TB_OK;
    }
    for (size_t k = 0; k < sizeof flow_tab / sizeof *flow_tab; k++)
        if (strcmp(scheduler, flow_tab[k].name) == 0) {
            make_flow(&flow_tab[k], steps, shift, s);
            return TB_OK;
        }
    return tb_err_set(err, TB_EINVAL, "scheduler must be one of %s, got '%s'", TB_SCHEDULERS,
                      scheduler);
}

void tb_schedule_cut(tb_schedule *s, int first, int last)
{
    assert(0 <= first && first < last && last <= s->steps);
    s->sigma += first;
    s->timestep += first;
    if (s->beta)
        s->beta += first;
    s->steps = last - first;
}

void tb_schedule_clear(tb_schedule *s)
{
    free(s->own);
    *s = (tb_schedule){ 0 };
}

tb_noise_level tb_schedule_level(const tb_schedule *s, int i)
{
    const double v = s->sigma[i];
    return s->kind == TB_FLOW ? (tb_noise_level){ 1 - v, v }
                              : (tb_noise_level){ sqrt(v), sqrt(1 - v) };
}

static double posterior_variance(const tb_schedule *s, int i)
{
    return s->beta[i] * (1 - s->sigma[i + 1]) / (1 - s->sigma[i]);
}

tb_posterior tb_schedule_posterior(const tb_schedule *s, int i)
{
    const double bar = s->sigma[i], bar_next = s->sigma[i + 1], beta = s->beta[i];
    const bool last = bar_next >= 1;
    const double clipped = last && i > 0 ? posterior_variance(s, i - 1) : posterior_variance(s, i);
    return (tb_posterior){
        .of_x0 = beta * sqrt(bar_next) / (1 - bar),
        .of_x = (1 - bar_next) * sqrt(1 - beta) / (1 - bar),
        .variance = posterior_variance(s, i),
        .log_small = log(clipped),
        .log_large = log(last ? clipped : beta),
    };
}
