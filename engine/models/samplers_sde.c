/* samplers_sde.c - the samplers that mix fresh noise into each step.
 *
 * Forms are those of ComfyUI's comfy/k_diffusion/sampling.py: for flow its rectified-flow ("RF",
 * CONST) forms, for betas k-diffusion's. What differs: there a Brownian tree gives the noise of
 * dpmpp_sde, here each half of a step has its own normal numbers, which add up to that of the whole
 * step with the tree's variances, not with its bytes.
 */
#include "models/samplers_internal.h"

#include <math.h>

/* Karras et al.'s coordinates, in which noise has variance s^2. */
static double ratio(tb_noise_level l)
{
    return l.sigma / l.alpha;
}

/* A step from s to s' as one to a lower level without noise (down) and noise back up (up). */
typedef struct split {
    double down, up;
} split;

static split ancestral(double from, double to, double eta)
{
    const double up = fmin(to, eta * sqrt(to * to * (from * from - to * to)) / from);
    return (split){ sqrt(to * to - up * up), up };
}

/* alpha' (x / alpha d/s + (1 - d/s) x0 + u z), the noise added by the caller. */
static void add_ancestral(tbi_sum *s, tb_noise_level a, tb_noise_level b, split to, const float *x,
                          const float *x0)
{
    const double keep = to.down / ratio(a);
    tbi_sum_add(s, b.alpha / a.alpha * keep, x);
    tbi_sum_add(s, b.alpha * (1 - keep), x0);
}

/* sample_euler_ancestral_RF: down to sigma' (1 + (sigma'/sigma - 1) eta), then scaled and noised so
 * that signal and noise are those of the next level. */
static void rectified_flow(const tb_step *p, double eta, const float *x0, tbi_sum *s)
{
    const double a = p->schedule->sigma[p->index], b = p->schedule->sigma[p->index + 1];
    const double down = b * (1 + (b / a - 1) * eta);
    const double scale = (1 - b) / (1 - down), keep = down / a;
    tbi_sum_add(s, scale * keep, p->x);
    tbi_sum_add(s, scale * (1 - keep), x0);
    if (eta > 0)
        tbi_sum_add(s, sqrt(fmax(b * b - down * down * scale * scale, 0)), p->noise);
}

void tbi_step_euler_ancestral(const tb_step *p, const float *x0, float *x)
{
    const double eta = tb_sampler_eta(p->sampler, p->eta);
    const tb_noise_level a = tb_schedule_level(p->schedule, p->index);
    const tb_noise_level b = tb_schedule_level(p->schedule, p->index + 1);
    tbi_sum s = { 0 };
    if (tbi_clean(b)) {
        tbi_sum_add(&s, 1, x0);
    } else if (p->schedule->kind == TB_FLOW) {
        rectified_flow(p, eta, x0, &s);
    } else {
        const split to = ancestral(ratio(a), ratio(b), eta);
        add_ancestral(&s, a, b, to, p->x, x0);
        if (to.up > 0)
            tbi_sum_add(&s, b.alpha * to.up, p->noise);
    }
    tbi_sum_into(&s, p->n, x);
}

/* The noise of a whole step, of variance 1, from those of its halves: a Brownian path over sigma
 * (flow) or sigma / alpha (betas), as ComfyUI runs its tree. */
static void add_both_halves(tbi_sum *s, const tb_step *p, tb_noise_level a, tb_noise_level middle,
                            tb_noise_level b, double weight)
{
    const bool flow = p->schedule->kind == TB_FLOW;
    const double from = flow ? a.sigma : ratio(a), to = flow ? b.sigma : ratio(b);
    const double half = ((flow ? middle.sigma : ratio(middle)) - to) / (from - to);
    tbi_sum_add(s, weight * sqrt(1 - half), p->noise);
    tbi_sum_add(s, weight * sqrt(half), p->noise_2);
}

/* Two evaluations: an ancestral step to half way, then one over the whole step by the estimate
 * found there (r = 1/2). */
void tbi_step_dpmpp_sde(const tb_step *p, const float *x0, float *x)
{
    const double eta = tb_sampler_eta(p->sampler, p->eta);
    const tb_noise_level a = tbi_step_level(p, p->index), b = tbi_step_level(p, p->index + 1);
    tbi_sum s = { 0 };
    if (tbi_clean(b)) {
        tbi_sum_add(&s, 1, x0);
        tbi_sum_into(&s, p->n, x);
        return;
    }
    const tb_noise_level middle = tb_schedule_middle(p->schedule, p->index);
    const tb_noise_level end = p->stage ? b : middle;
    const split to = ancestral(ratio(a), ratio(end), eta);
    add_ancestral(&s, a, end, to, p->stage ? p->base : p->x, x0);
    if (to.up > 0 && p->stage)
        add_both_halves(&s, p, a, middle, b, end.alpha * to.up);
    else if (to.up > 0)
        tbi_sum_add(&s, end.alpha * to.up, p->noise);
    tbi_sum_into(&s, p->n, x);
}

/* Where the estimates of the steps before lie, in units of this step. */
typedef struct past {
    int count;
    double r0, r1; /* lambda distance of i-1 from i, of i-2 from i-1 */
} past;

static past past_of(const tb_step *p, double h)
{
    past q = { 0 };
    if (!p->x0_1 || p->index < 1)
        return q;
    const double l0 = tbi_lambda(tbi_step_level(p, p->index));
    const double l1 = tbi_lambda(tbi_step_level(p, p->index - 1));
    q.count = 1;
    q.r0 = (l0 - l1) / h;
    if (!p->x0_2 || p->index < 2)
        return q;
    q.count = 2;
    q.r1 = (l1 - tbi_lambda(tbi_step_level(p, p->index - 2))) / h;
    return q;
}

/* Weights of x0_1 and x0_2 beside that of x0, which gets what they lose: 2M in its midpoint form,
 * 3M in the exponential form. g is h (1 + eta). */
static void weigh_past(const tb_step *p, const past *q, double g, double w[2])
{
    const double phi_2 = expm1(-g) / g + 1, phi_3 = phi_2 / g - 0.5;
    w[0] = w[1] = 0;
    if (q->count == 0)
        return;
    if (p->sampler == TB_DPMPP_2M_SDE) {
        w[0] = 0.5 * expm1(-g) / q->r0;
        return;
    }
    if (q->count == 1) {
        w[0] = -phi_2 / q->r0;
        return;
    }
    /* d1 = a (x0 - x0_1) - b (x0_1 - x0_2) and d2 likewise, from divided differences. */
    const double sum = q->r0 + q->r1, first = 1 / q->r0, second = 1 / q->r1;
    const double a1 = first + first * q->r0 / sum, b1 = second * q->r0 / sum;
    const double a2 = first / sum, b2 = second / sum;
    const double near = phi_2 * a1 - phi_3 * a2, far = -phi_2 * b1 + phi_3 * b2;
    w[0] = -near + far;
    w[1] = -far;
}

void tbi_step_multistep_sde(const tb_step *p, const float *x0, float *x)
{
    const double eta = tb_sampler_eta(p->sampler, p->eta);
    const tb_noise_level a = tbi_step_level(p, p->index), b = tbi_step_level(p, p->index + 1);
    tbi_sum s = { 0 };
    if (tbi_clean(b)) {
        tbi_sum_add(&s, 1, x0);
        tbi_sum_into(&s, p->n, x);
        return;
    }
    const double h = tbi_lambda(b) - tbi_lambda(a), g = h * (1 + eta);
    const past q = past_of(p, h);
    double w[2];
    weigh_past(p, &q, g, w);
    tbi_sum_add(&s, b.sigma / a.sigma * exp(-h * eta), p->x);
    tbi_sum_add(&s, b.alpha * (-expm1(-g) - w[0] - w[1]), x0);
    if (q.count > 0)
        tbi_sum_add(&s, b.alpha * w[0], p->x0_1);
    if (q.count > 1 && p->sampler == TB_DPMPP_3M_SDE)
        tbi_sum_add(&s, b.alpha * w[1], p->x0_2);
    if (eta > 0)
        tbi_sum_add(&s, b.sigma * sqrt(-expm1(-2 * h * eta)), p->noise);
    tbi_sum_into(&s, p->n, x);
}

/* The clean estimate, noised anew to the next level. */
void tbi_step_lcm(const tb_step *p, const float *x0, float *x)
{
    const tb_noise_level b = tb_schedule_level(p->schedule, p->index + 1);
    tbi_sum s = { 0 };
    tbi_sum_add(&s, b.alpha, x0);
    if (!tbi_clean(b))
        tbi_sum_add(&s, b.sigma, p->noise);
    tbi_sum_into(&s, p->n, x);
}
