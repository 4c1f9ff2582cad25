/* samplers.c - one step of each sampler.
 *
 * All rules are linear in a handful of arrays, so each computes its coefficients in double and
 * hands them to `combine`. lambda = ln(alpha / sigma) is half the log signal-to-noise ratio; it is
 * -inf at pure noise and +inf at the clean end, and those two are branches below, never arithmetic.
 */
#include "models/samplers.h"

#include <math.h>
#include <string.h>

#define MAX_TERMS 4

typedef struct term {
    double weight;
    const float *x;
} term;

typedef struct sum {
    term terms[MAX_TERMS];
    int count;
} sum;

static void add(sum *s, double weight, const float *x)
{
    s->terms[s->count++] = (term){ weight, x };
}

static void combine(const sum *s, int64_t n, float *out)
{
    for (int64_t j = 0; j < n; j++) {
        double v = 0;
        for (int k = 0; k < s->count; k++)
            v += s->terms[k].weight * (double)s->terms[k].x[j];
        out[j] = (float)v;
    }
}

/* ------------------------------------------------------------------------------------- levels */

static bool clean(tb_noise_level l)
{
    return l.sigma <= 0;
}

static bool pure(tb_noise_level l)
{
    return l.alpha <= 0;
}

static double lambda(tb_noise_level l)
{
    return log(l.alpha / l.sigma);
}

/* exp(-(lambda(to) - lambda(from))) - 1; -1 when either end is infinite. */
static double decay(tb_noise_level from, tb_noise_level to)
{
    return clean(to) || pure(from) ? -1 : expm1(lambda(from) - lambda(to));
}

/* x0 and eps as combinations of x and the model's output. */
static void clean_estimate(const tb_step *p, float *x0)
{
    const tb_noise_level l = tb_schedule_level(p->schedule, p->index);
    sum s = { 0 };
    add(&s, p->schedule->kind == TB_FLOW ? 1 : 1 / l.alpha, p->x);
    add(&s, p->schedule->kind == TB_FLOW ? -l.sigma : -l.sigma / l.alpha, p->model);
    combine(&s, p->n, x0);
    if (p->clip)
        for (int64_t j = 0; j < p->n; j++)
            x0[j] = fminf(fmaxf(x0[j], -1), 1);
}

/* ---------------------------------------------------------------------------------- the rules */

/* The ODE in coordinates where the model's output is the slope: flow is there already (dx/dsigma =
 * v); betas become y = x / alpha over s = sigma / alpha, with dy/ds = eps. */
typedef struct ode_point {
    double scale; /* y = scale * x */
    double s;
} ode_point;

static ode_point ode_at(const tb_schedule *s, int i)
{
    const tb_noise_level l = tb_schedule_level(s, i);
    return s->kind == TB_FLOW ? (ode_point){ 1, l.sigma }
                              : (ode_point){ 1 / l.alpha, l.sigma / l.alpha };
}

static void euler(const tb_step *p, float *x)
{
    const ode_point a = ode_at(p->schedule, p->index), b = ode_at(p->schedule, p->index + 1);
    sum s = { 0 };
    add(&s, a.scale / b.scale, p->x);
    add(&s, (b.s - a.s) / b.scale, p->model);
    combine(&s, p->n, x);
}

/* base + ds (d1 + d2) / 2, where stage 0 left x = base + ds d1. */
static void heun_second(const tb_step *p, float *x)
{
    const ode_point a = ode_at(p->schedule, p->index), b = ode_at(p->schedule, p->index + 1);
    sum s = { 0 };
    add(&s, 0.5 * a.scale / b.scale, p->base);
    add(&s, 0.5, p->x);
    add(&s, 0.5 * (b.s - a.s) / b.scale, p->model);
    combine(&s, p->n, x);
}

/* Fresh noise of a DDIM step: eta sigma' sqrt(1 - exp(2 (lambda - lambda'))), which is equation 16
 * of 2010.02502 for betas and its like for flow. */
static double fresh_noise(double eta, tb_noise_level from, tb_noise_level to)
{
    if (clean(to))
        return 0;
    const double keep = 1 + decay(from, to);
    return eta * to.sigma * sqrt(1 - keep * keep);
}

/* alpha' x0 + sqrt(sigma'^2 - s^2) eps + s z with eps = (x - alpha x0) / sigma. */
static void ddim(const tb_step *p, double eta, const float *x0, float *x)
{
    const tb_noise_level a = tb_schedule_level(p->schedule, p->index);
    const tb_noise_level b = tb_schedule_level(p->schedule, p->index + 1);
    const double fresh = fresh_noise(eta, a, b);
    const double eps = sqrt(fmax(b.sigma * b.sigma - fresh * fresh, 0)) / a.sigma;
    sum s = { 0 };
    add(&s, b.alpha - eps * a.alpha, x0);
    add(&s, eps, p->x);
    if (fresh > 0)
        add(&s, fresh, p->noise);
    combine(&s, p->n, x);
}

static void add_posterior_noise(const tb_step *p, const tb_posterior *q, float *x)
{
    for (int64_t j = 0; j < p->n; j++) {
        double log_variance = p->variance == TB_FIXED_LARGE ? q->log_large : q->log_small;
        if (p->variance == TB_LEARNED_RANGE) {
            const double f = ((double)p->log_range[j] + 1) / 2;
            log_variance = f * log(p->schedule->beta[p->index]) + (1 - f) * q->log_small;
        }
        x[j] += (float)(exp(0.5 * log_variance) * (double)p->noise[j]);
    }
}

static void ddpm(const tb_step *p, const float *x0, float *x)
{
    if (p->schedule->kind == TB_FLOW) {
        ddim(p, 1, x0, x);
        return;
    }
    const tb_posterior q = tb_schedule_posterior(p->schedule, p->index);
    sum s = { 0 };
    add(&s, q.of_x0, x0);
    add(&s, q.of_x, p->x);
    combine(&s, p->n, x);
    if (tb_sampler_wants_noise(TB_DDPM, 1, p->schedule, p->index))
        add_posterior_noise(p, &q, x);
}

/* (lambda(before) - lambda(from)) / (lambda(to) - lambda(from)): where the older estimate lies in
 * units of this step. 0 when it does not count: there is none, the step ends clean, or it stems
 * from pure noise. */
static double history_ratio(tb_noise_level before, tb_noise_level from, tb_noise_level to)
{
    if (clean(to) || pure(before) || pure(from))
        return 0;
    return (lambda(before) - lambda(from)) / (lambda(to) - lambda(from));
}

/* The exponential step of DPM-Solver++(2M) and of UniPC's predictor, which agree at order 2:
 * x' = (sigma'/sigma) x - alpha' E (m + (m1 - m) / (2 r)). */
static void multistep(const tb_step *p, const float *x_from, const float *x0, float *x)
{
    const tb_noise_level a = tb_schedule_level(p->schedule, p->index);
    const tb_noise_level b = tb_schedule_level(p->schedule, p->index + 1);
    const double e = b.alpha * decay(a, b);
    double r = 0;
    if (p->x0_1 && p->index > 0)
        r = history_ratio(tb_schedule_level(p->schedule, p->index - 1), a, b);
    const double older = r != 0 ? 0.5 / r : 0;
    sum s = { 0 };
    add(&s, b.sigma / a.sigma, x_from);
    add(&s, -e * (1 - older), x0);
    if (older != 0)
        add(&s, -e * older, p->x0_1);
    combine(&s, p->n, x);
}

/* UniPC's corrector, B(h) = bh2 (2302.04867, section 3.3), for the interval that ended at this
 * step: the new estimate m joins the older ones. Weights solve rho1 + rho2 = b1, r rho1 + rho2 =
 * b2. */
static void correct(const tb_step *p, const float *x0, float *hat)
{
    const int i = p->index;
    const tb_noise_level a = tb_schedule_level(p->schedule, i - 1),
                         b = tb_schedule_level(p->schedule, i);
    const double big_b = decay(a, b), e = b.alpha * big_b;
    double rho_new = 0.5, older = 0;
    if (p->x0_2 && i > 1 && !pure(a)) {
        const double h = lambda(b) - lambda(a), phi = big_b / -h - 1;
        const double b1 = phi / big_b, b2 = 2 * (phi / -h - 0.5) / big_b;
        const double r = history_ratio(tb_schedule_level(p->schedule, i - 2), a, b);
        const double rho_old = r != 0 ? (b1 - b2) / (1 - r) : 0;
        rho_new = b1 - rho_old;
        older = r != 0 ? rho_old / r : 0;
    }
    sum s = { 0 };
    add(&s, b.sigma / a.sigma, p->hat);
    add(&s, -e * (1 - rho_new - older), p->x0_1);
    add(&s, -e * rho_new, x0);
    if (older != 0)
        add(&s, -e * older, p->x0_2);
    combine(&s, p->n, hat);
}

/* The last step ends at m whatever it starts from, so it is not corrected. */
static void unipc(const tb_step *p, const tb_step_result *out)
{
    const bool last = clean(tb_schedule_level(p->schedule, p->index + 1));
    if (p->x0_1 && p->index > 0 && !last)
        correct(p, out->x0, out->hat);
    else
        memcpy(out->hat, p->x, (size_t)p->n * sizeof *p->x);
    multistep(p, out->hat, out->x0, out->x);
}

/* ---------------------------------------------------------------------------------- interface */

static const char *const name_tab[] = {
    [TB_EULER] = "euler", [TB_HEUN] = "heun",         [TB_DDIM] = "ddim",
    [TB_DDPM] = "ddpm",   [TB_DPMPP_2M] = "dpmpp_2m", [TB_UNIPC] = "unipc",
};

tb_status tb_sampler_parse(const char *name, tb_sampler *sampler, tb_err *err)
{
    for (size_t k = 0; k < sizeof name_tab / sizeof *name_tab; k++)
        if (strcmp(name, name_tab[k]) == 0) {
            *sampler = (tb_sampler)k;
            return TB_OK;
        }
    return tb_err_set(err, TB_EINVAL, "sampler must be one of %s, got '%s'", TB_SAMPLERS, name);
}

int tb_sampler_stages(tb_sampler sampler, const tb_schedule *s, int i)
{
    return sampler == TB_HEUN && !clean(tb_schedule_level(s, i + 1)) ? 2 : 1;
}

bool tb_sampler_wants_noise(tb_sampler sampler, double eta, const tb_schedule *s, int i)
{
    return (sampler == TB_DDPM || (sampler == TB_DDIM && eta > 0)) &&
           !clean(tb_schedule_level(s, i + 1));
}

static tb_status check(const tb_step *p, const tb_step_result *out, tb_err *err)
{
    if (p->index < 0 || p->index >= p->schedule->steps)
        return tb_err_set(err, TB_EINVAL, "step must be 0..%d with this schedule, got %d",
                          p->schedule->steps - 1, p->index);
    if (p->stage < 0 || p->stage >= tb_sampler_stages(p->sampler, p->schedule, p->index))
        return tb_err_set(err, TB_EINVAL, "step %d of %s has no stage %d", p->index,
                          name_tab[p->sampler], p->stage);
    if (p->stage == 1 && !p->base)
        return tb_err_set(err, TB_EINVAL,
                          "the second stage of heun needs the state before the first one");
    if (tb_sampler_wants_noise(p->sampler, p->eta, p->schedule, p->index) && !p->noise)
        return tb_err_set(err, TB_EINVAL, "%s draws noise at step %d and was given none",
                          name_tab[p->sampler], p->index);
    if (p->sampler == TB_DDPM && p->variance == TB_LEARNED_RANGE && !p->log_range)
        return tb_err_set(err, TB_EINVAL,
                          "a learned variance needs the second half of the model's output");
    if (p->sampler == TB_UNIPC && (!out->x0 || !out->hat || (p->x0_1 && !p->hat)))
        return tb_err_set(err, TB_EINVAL,
                          "unipc needs the corrected state (hat) beside the clean estimate");
    if (p->sampler != TB_EULER && p->sampler != TB_HEUN && !out->x0)
        return tb_err_set(err, TB_EINVAL, "%s needs room for the clean estimate",
                          name_tab[p->sampler]);
    return TB_OK;
}

tb_status tb_sampler_step(const tb_step *p, const tb_step_result *out, tb_err *err)
{
    TB_TRY(check(p, out, err));
    /* A second stage was evaluated at the next level. */
    tb_step at = *p;
    at.index += p->stage;
    if (out->x0)
        clean_estimate(&at, out->x0);
    switch (p->sampler) {
    case TB_EULER: euler(p, out->x); break;
    case TB_HEUN: p->stage ? heun_second(p, out->x) : euler(p, out->x); break;
    case TB_DDIM: ddim(p, p->eta, out->x0, out->x); break;
    case TB_DDPM: ddpm(p, out->x0, out->x); break;
    case TB_DPMPP_2M: multistep(p, p->x, out->x0, out->x); break;
    case TB_UNIPC: unipc(p, out); break;
    }
    return TB_OK;
}

void tb_sampler_hold(const float *known, const float *mask, tb_noise_level level,
                     const float *noise, int64_t channels, int64_t cells, float *x)
{
    for (int64_t i = 0; i < channels * cells; i++) {
        const double m = (double)mask[i % cells];
        const double held = level.alpha * (double)known[i] + level.sigma * (double)noise[i];
        x[i] = (float)((double)x[i] * (1 - m) + held * m);
    }
}
