/* samplers.c - one step of each sampler: the interface, and the rules of Wan2.1's schedulers.
 *
 * Those that draw noise are in samplers_sde.c, those that extrapolate slopes in samplers_slopes.c.
 */
#include "models/samplers_internal.h"

#include <math.h>
#include <string.h>

/* The level of the state that the model was asked at. */
static tb_noise_level evaluated(const tb_step *p)
{
    if (p->stage == TB_STAGE_MIDDLE)
        return tb_schedule_middle(p->schedule, p->index);
    return tbi_step_level(p, p->index + p->stage);
}

/* x0 as a combination of x and the model's output. */
static void clean_estimate(const tb_step *p, float *x0)
{
    const tb_noise_level l = evaluated(p);
    tbi_sum s = { 0 };
    tbi_sum_add(&s, p->schedule->kind == TB_FLOW ? 1 : 1 / l.alpha, p->x);
    tbi_sum_add(&s, p->schedule->kind == TB_FLOW ? -l.sigma : -l.sigma / l.alpha, p->model);
    tbi_sum_into(&s, p->n, x0);
    if (p->clip)
        for (int64_t j = 0; j < p->n; j++)
            x0[j] = fminf(fmaxf(x0[j], -1), 1);
}

/* ---------------------------------------------------------------------------------- the rules */

static void euler(const tb_step *p, float *x)
{
    const tbi_ode_point a = tbi_ode_at(p->schedule, p->index),
                        b = tbi_ode_at(p->schedule, p->index + 1);
    tbi_sum s = { 0 };
    tbi_sum_add(&s, a.scale / b.scale, p->x);
    tbi_sum_add(&s, (b.s - a.s) / b.scale, p->model);
    tbi_sum_into(&s, p->n, x);
}

/* base + ds (d1 + d2) / 2, where stage 0 left x = base + ds d1. */
static void heun_second(const tb_step *p, float *x)
{
    const tbi_ode_point a = tbi_ode_at(p->schedule, p->index),
                        b = tbi_ode_at(p->schedule, p->index + 1);
    tbi_sum s = { 0 };
    tbi_sum_add(&s, 0.5 * a.scale / b.scale, p->base);
    tbi_sum_add(&s, 0.5, p->x);
    tbi_sum_add(&s, 0.5 * (b.s - a.s) / b.scale, p->model);
    tbi_sum_into(&s, p->n, x);
}

/* Fresh noise of a DDIM step: eta sigma' sqrt(1 - exp(2 (lambda - lambda'))), which is equation 16
 * of 2010.02502 for betas and its like for flow. */
static double fresh_noise(double eta, tb_noise_level from, tb_noise_level to)
{
    if (tbi_clean(to))
        return 0;
    const double keep = 1 + tbi_decay(from, to);
    return eta * to.sigma * sqrt(1 - keep * keep);
}

/* alpha' x0 + sqrt(sigma'^2 - s^2) eps + s z with eps = (x - alpha x0) / sigma. */
static void ddim(const tb_step *p, double eta, const float *x0, float *x)
{
    const tb_noise_level a = tb_schedule_level(p->schedule, p->index);
    const tb_noise_level b = tb_schedule_level(p->schedule, p->index + 1);
    const double fresh = fresh_noise(eta, a, b);
    const double eps = sqrt(fmax(b.sigma * b.sigma - fresh * fresh, 0)) / a.sigma;
    tbi_sum s = { 0 };
    tbi_sum_add(&s, b.alpha - eps * a.alpha, x0);
    tbi_sum_add(&s, eps, p->x);
    if (fresh > 0)
        tbi_sum_add(&s, fresh, p->noise);
    tbi_sum_into(&s, p->n, x);
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
    tbi_sum s = { 0 };
    tbi_sum_add(&s, q.of_x0, x0);
    tbi_sum_add(&s, q.of_x, p->x);
    tbi_sum_into(&s, p->n, x);
    if (tb_sampler_wants_noise(TB_DDPM, 1, p->schedule, p->index))
        add_posterior_noise(p, &q, x);
}

/* (lambda_before - lambda_from) / (lambda_to - lambda_from): where the older estimate lies in units
 * of this step. 0 when it does not count: there is none, the step ends clean, or it stems from pure
 * noise. */
static double history_ratio(tb_noise_level before, tb_noise_level from, tb_noise_level to)
{
    if (tbi_clean(to) || tbi_pure(before) || tbi_pure(from))
        return 0;
    return (tbi_lambda(before) - tbi_lambda(from)) / (tbi_lambda(to) - tbi_lambda(from));
}

/* The exponential step of DPM-Solver++(2M) and of UniPC's predictor, which agree at order 2:
 * x' = (sigma'/sigma) x - alpha' E (m + (m1 - m) / (2 r)). */
static void multistep(const tb_step *p, const float *x_from, const float *x0, float *x)
{
    const tb_noise_level a = tb_schedule_level(p->schedule, p->index);
    const tb_noise_level b = tb_schedule_level(p->schedule, p->index + 1);
    const double e = b.alpha * tbi_decay(a, b);
    double r = 0;
    if (p->x0_1 && p->index > 0)
        r = history_ratio(tb_schedule_level(p->schedule, p->index - 1), a, b);
    const double older = r != 0 ? 0.5 / r : 0;
    tbi_sum s = { 0 };
    tbi_sum_add(&s, b.sigma / a.sigma, x_from);
    tbi_sum_add(&s, -e * (1 - older), x0);
    if (older != 0)
        tbi_sum_add(&s, -e * older, p->x0_1);
    tbi_sum_into(&s, p->n, x);
}

/* UniPC's corrector, B(h) = bh2 (2302.04867, section 3.3), for the interval that ended at this
 * step: the new estimate m joins the older ones. Weights solve rho1 + rho2 = b1, r rho1 + rho2 =
 * b2. */
static void correct(const tb_step *p, const float *x0, float *hat)
{
    const int i = p->index;
    const tb_noise_level a = tb_schedule_level(p->schedule, i - 1),
                         b = tb_schedule_level(p->schedule, i);
    const double big_b = tbi_decay(a, b), e = b.alpha * big_b;
    double rho_new = 0.5, older = 0;
    if (p->x0_2 && i > 1 && !tbi_pure(a)) {
        const double h = tbi_lambda(b) - tbi_lambda(a), phi = big_b / -h - 1;
        const double b1 = phi / big_b, b2 = 2 * (phi / -h - 0.5) / big_b;
        const double r = history_ratio(tb_schedule_level(p->schedule, i - 2), a, b);
        const double rho_old = r != 0 ? (b1 - b2) / (1 - r) : 0;
        rho_new = b1 - rho_old;
        older = r != 0 ? rho_old / r : 0;
    }
    tbi_sum s = { 0 };
    tbi_sum_add(&s, b.sigma / a.sigma, p->hat);
    tbi_sum_add(&s, -e * (1 - rho_new - older), p->x0_1);
    tbi_sum_add(&s, -e * rho_new, x0);
    if (older != 0)
        tbi_sum_add(&s, -e * older, p->x0_2);
    tbi_sum_into(&s, p->n, hat);
}

/* The last step ends at m whatever it starts from, so it is not corrected. */
static void unipc(const tb_step *p, const tb_step_result *out)
{
    const bool last = tbi_clean(tb_schedule_level(p->schedule, p->index + 1));
    if (p->x0_1 && p->index > 0 && !last)
        correct(p, out->x0, out->hat);
    else
        memcpy(out->hat, p->x, (size_t)p->n * sizeof *p->x);
    multistep(p, out->hat, out->x0, out->x);
}

/* ---------------------------------------------------------------------------------- interface */

/* What each rule reads and how often it asks the model. */
typedef struct traits {
    const char *name;
    int second;    /* stage of its second evaluation, 0: it has one */
    int estimates; /* of steps before it */
    int slopes;
    bool draws, by_eta; /* fresh noise: always, or by the share that eta is */
    double eta;         /* the usual one */
    bool own_x0;        /* goes by the clean estimate */
} traits;

static const traits trait_tab[] = {
    [TB_EULER] = { .name = "euler" },
    [TB_HEUN] = { .name = "heun", .second = TB_STAGE_NEXT },
    [TB_DDIM] = { .name = "ddim", .by_eta = true, .own_x0 = true },
    [TB_DDPM] = { .name = "ddpm", .draws = true, .own_x0 = true },
    [TB_DPMPP_2M] = { .name = "dpmpp_2m", .estimates = 1, .own_x0 = true },
    [TB_UNIPC] = { .name = "unipc", .estimates = 2, .own_x0 = true },
    [TB_EULER_ANCESTRAL] = { .name = "euler_ancestral", .by_eta = true, .eta = 1, .own_x0 = true },
    [TB_DPMPP_SDE] = { .name = "dpmpp_sde",
                       .second = TB_STAGE_MIDDLE,
                       .by_eta = true,
                       .eta = 1,
                       .own_x0 = true },
    [TB_DPMPP_2M_SDE] = { .name = "dpmpp_2m_sde",
                          .estimates = 1,
                          .by_eta = true,
                          .eta = 1,
                          .own_x0 = true },
    [TB_DPMPP_3M_SDE] = { .name = "dpmpp_3m_sde",
                          .estimates = 2,
                          .by_eta = true,
                          .eta = 1,
                          .own_x0 = true },
    [TB_LCM] = { .name = "lcm", .draws = true, .own_x0 = true },
    [TB_RES_MULTISTEP] = { .name = "res_multistep", .estimates = 1, .own_x0 = true },
    [TB_DEIS] = { .name = "deis", .slopes = 2 },
    [TB_IPNDM] = { .name = "ipndm", .slopes = 3 },
};

tb_status tb_sampler_parse(const char *name, tb_sampler *sampler, tb_err *err)
{
    for (size_t k = 0; k < sizeof trait_tab / sizeof *trait_tab; k++)
        if (strcmp(name, trait_tab[k].name) == 0) {
            *sampler = (tb_sampler)k;
            return TB_OK;
        }
    return tb_err_set(err, TB_EINVAL, "sampler must be one of %s, got '%s'", TB_SAMPLERS, name);
}

int tb_sampler_stages(tb_sampler sampler, const tb_schedule *s, int i)
{
    return trait_tab[sampler].second && !tbi_clean(tb_schedule_level(s, i + 1)) ? 2 : 1;
}

int tb_sampler_stage(tb_sampler sampler, int evaluation)
{
    return evaluation ? trait_tab[sampler].second : TB_STAGE_FIRST;
}

int tb_sampler_estimates(tb_sampler sampler)
{
    return trait_tab[sampler].estimates;
}

int tb_sampler_slopes(tb_sampler sampler)
{
    return trait_tab[sampler].slopes;
}

double tb_sampler_eta(tb_sampler sampler, double eta)
{
    return eta < 0 ? trait_tab[sampler].eta : eta;
}

bool tb_sampler_wants_noise(tb_sampler sampler, double eta, const tb_schedule *s, int i)
{
    const traits *t = &trait_tab[sampler];
    return (t->draws || (t->by_eta && tb_sampler_eta(sampler, eta) > 0)) &&
           !tbi_clean(tb_schedule_level(s, i + 1));
}

static tb_status check_stage(const tb_step *p, const traits *t, tb_err *err)
{
    const bool two = tb_sampler_stages(p->sampler, p->schedule, p->index) == 2;
    if (p->stage && !(two && p->stage == t->second))
        return tb_err_set(err, TB_EINVAL, "step %d of %s has no stage %d", p->index, t->name,
                          p->stage);
    if (p->stage && !p->base)
        return tb_err_set(err, TB_EINVAL,
                          "the second stage of %s needs the state before the first one", t->name);
    if (tb_sampler_wants_noise(p->sampler, p->eta, p->schedule, p->index) &&
        (!p->noise || (p->stage == TB_STAGE_MIDDLE && !p->noise_2)))
        return tb_err_set(err, TB_EINVAL, "%s draws noise at step %d and was given none", t->name,
                          p->index);
    return TB_OK;
}

static tb_status check(const tb_step *p, const tb_step_result *out, tb_err *err)
{
    const traits *t = &trait_tab[p->sampler];
    if (p->index < 0 || p->index >= p->schedule->steps)
        return tb_err_set(err, TB_EINVAL, "step must be 0..%d with this schedule, got %d",
                          p->schedule->steps - 1, p->index);
    TB_TRY(check_stage(p, t, err));
    if (p->sampler == TB_DDPM && p->variance == TB_LEARNED_RANGE && !p->log_range)
        return tb_err_set(err, TB_EINVAL,
                          "a learned variance needs the second half of the model's output");
    if (p->sampler == TB_UNIPC && (!out->x0 || !out->hat || (p->x0_1 && !p->hat)))
        return tb_err_set(err, TB_EINVAL,
                          "unipc needs the corrected state (hat) beside the clean estimate");
    if (t->own_x0 && !out->x0)
        return tb_err_set(err, TB_EINVAL, "%s needs room for the clean estimate", t->name);
    return TB_OK;
}

tb_noise_level tb_sampler_reached(const tb_step *p)
{
    const bool half = trait_tab[p->sampler].second == TB_STAGE_MIDDLE && !p->stage &&
                      tb_sampler_stages(p->sampler, p->schedule, p->index) == 2;
    return half ? tb_schedule_middle(p->schedule, p->index)
                : tb_schedule_level(p->schedule, p->index + 1);
}

tb_status tb_sampler_step(const tb_step *p, const tb_step_result *out, tb_err *err)
{
    TB_TRY(check(p, out, err));
    if (out->x0)
        clean_estimate(p, out->x0);
    switch (p->sampler) {
    case TB_EULER: euler(p, out->x); break;
    case TB_HEUN: p->stage ? heun_second(p, out->x) : euler(p, out->x); break;
    case TB_DDIM: ddim(p, tb_sampler_eta(p->sampler, p->eta), out->x0, out->x); break;
    case TB_DDPM: ddpm(p, out->x0, out->x); break;
    case TB_DPMPP_2M: multistep(p, p->x, out->x0, out->x); break;
    case TB_UNIPC: unipc(p, out); break;
    case TB_EULER_ANCESTRAL: tbi_step_euler_ancestral(p, out->x0, out->x); break;
    case TB_DPMPP_SDE: tbi_step_dpmpp_sde(p, out->x0, out->x); break;
    case TB_DPMPP_2M_SDE:
    case TB_DPMPP_3M_SDE: tbi_step_multistep_sde(p, out->x0, out->x); break;
    case TB_LCM: tbi_step_lcm(p, out->x0, out->x); break;
    case TB_RES_MULTISTEP: tbi_step_res(p, out->x0, out->x); break;
    case TB_DEIS:
    case TB_IPNDM: tbi_step_slopes(p, out->x); break;
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
