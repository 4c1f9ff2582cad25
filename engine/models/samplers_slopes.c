/* samplers_slopes.c - multistep rules on the ODE itself: dy/ds is the model's answer.
 *
 * y and s are x and sigma for flow, x / alpha and sigma / alpha for betas, as in ComfyUI's
 * comfy/k_diffusion/sampling.py, whose sample_ipndm, sample_deis ('tab') and res_multistep (without
 * noise) these are.
 */
#include "models/samplers_internal.h"

#include <math.h>

/* ----------------------------------------------------------------------------------------- DEIS */

/* The time t of a level s by which DEIS extrapolates: that of EDM's variance-preserving schedule,
 * between s = 0.002 at t = 1e-3 and s = 80 at t = 1. */
static double time_of(double s)
{
    const double low = log1p(0.002 * 0.002), high = log1p(80.0 * 80.0), eps = 1e-3;
    const double slope = 2 * (low / eps - high) / (eps - 1), start = high - 0.5 * slope;
    return (sqrt(start * start + 2 * slope * log1p(s * s)) - start) / slope;
}

/* Lagrange's polynomial of point j of n in t. */
static double lagrange(const double *t, int n, int j, double at)
{
    double v = 1;
    for (int k = 0; k < n; k++)
        if (k != j)
            v *= (at - t[k]) / (t[j] - t[k]);
    return v;
}

/* Weight j of n slopes at levels s[0], s[1], ...: the integral of its polynomial from s[0] to `to`,
 * over u = ln s by Simpson's rule (ComfyUI sums 10000 rectangles, which is 1e-4 off). */
static double deis_weight(const double *s, int n, int j, double to)
{
    enum { PARTS = 512 };
    double t[3], sum = 0;
    for (int k = 0; k < n; k++)
        t[k] = time_of(s[k]);
    const double step = log(to / s[0]) / PARTS;
    for (int k = 0; k <= PARTS; k++) {
        const double at = s[0] * exp(k * step);
        const double weight = k == 0 || k == PARTS ? 1 : k % 2 ? 4 : 2;
        sum += weight * at * lagrange(t, n, j, time_of(at));
    }
    return sum * step / 3;
}

/* ---------------------------------------------------------------------------------- the weights */

/* Adams and Bashforth's, for steps of equal length. */
static const double adams[4][4] = {
    { 1 },
    { 3.0 / 2, -1.0 / 2 },
    { 23.0 / 12, -16.0 / 12, 5.0 / 12 },
    { 55.0 / 24, -59.0 / 24, 37.0 / 24, -9.0 / 24 },
};

/* Slopes that may be used: this one, and those before it as far as they are there without a gap. */
static int slopes_of(const tb_step *p)
{
    const int most = tb_sampler_slopes(p->sampler);
    int n = 0;
    while (n < most && n < p->index && p->slope[n])
        n++;
    return n + 1;
}

/* y' = y + sum of weight j times slope j; into the clean end one Euler step. */
void tbi_step_slopes(const tb_step *p, float *x)
{
    const tbi_ode_point a = tbi_ode_at(p->schedule, p->index);
    const tbi_ode_point b = tbi_ode_at(p->schedule, p->index + 1);
    const int n = b.s > 0 ? slopes_of(p) : 1;
    double levels[4];
    tbi_sum s = { 0 };
    for (int j = 0; j < n; j++)
        levels[j] = tbi_ode_at(p->schedule, p->index - j).s;
    tbi_sum_add(&s, a.scale / b.scale, p->x);
    for (int j = 0; j < n; j++) {
        const double w = p->sampler == TB_DEIS && n > 1 ? deis_weight(levels, n, j, b.s)
                                                        : (b.s - a.s) * adams[n - 1][j];
        tbi_sum_add(&s, w / b.scale, j ? p->slope[j - 1] : p->model);
    }
    tbi_sum_into(&s, p->n, x);
}

/* ------------------------------------------------------------------------------------------ RES */

/* Exponential integrator of second order in -ln s (2308.02157): y' = e^-h y + h (b1 x0 + b2 x0_1)
 * with b2 = phi2(-h) / c, c the place of the older estimate in units of h. */
void tbi_step_res(const tb_step *p, const float *x0, float *x)
{
    const tbi_ode_point a = tbi_ode_at(p->schedule, p->index);
    const tbi_ode_point b = tbi_ode_at(p->schedule, p->index + 1);
    tbi_sum s = { 0 };
    if (b.s <= 0) {
        tbi_sum_add(&s, 1 / b.scale, x0);
        tbi_sum_into(&s, p->n, x);
        return;
    }
    const double h = log(a.s / b.s), phi_1 = -expm1(-h) / h, phi_2 = (1 - phi_1) / h;
    double older = 0;
    if (p->x0_1 && p->index > 0)
        older = phi_2 * h / -log(tbi_ode_at(p->schedule, p->index - 1).s / a.s);
    tbi_sum_add(&s, a.scale / b.scale * exp(-h), p->x);
    tbi_sum_add(&s, h * (phi_1 - older) / b.scale, x0);
    if (older < 0 || older > 0)
        tbi_sum_add(&s, h * older / b.scale, p->x0_1);
    tbi_sum_into(&s, p->n, x);
}
