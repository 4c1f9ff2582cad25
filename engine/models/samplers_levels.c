/* samplers_levels.c - noise levels as ComfyUI's schedulers space them.
 *
 * They choose from a table of 1000 levels of a shifted flow, S(1/1000) .. S(1) with
 * S(t) = k t / (1 + (k-1) t), or between its ends; 0 follows. Sources: Karras et al. 2206.00364
 * (karras), Sabour et al. 2404.14507 appendix (kl_optimal), Lee et al. 2407.12173 (beta), Movie Gen
 * 2410.13720 (linear_quadratic).
 */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "models/samplers.h"

#define LEVELS 1000

static double shifted(double k, double t)
{
    return k * t / (1 + (k - 1) * t);
}

/* What the rules read: the shift, and the ends of the table. */
typedef struct flow {
    double shift, low; /* the high end is 1 */
} flow;

static double level(const flow *f, int i)
{
    return shifted(f->shift, (double)(i + 1) / LEVELS);
}

/* ----------------------------------------------------------------------------------- the rules */

static void simple(const flow *f, int n, double *sigma)
{
    for (int i = 0; i < n; i++)
        sigma[i] = level(f, LEVELS - 1 - (int)(i * ((double)LEVELS / n)));
}

/* Equal parts from 1 to `end`, shifted as if they were times of the table. */
static void linear(const flow *f, int n, int parts, double *sigma)
{
    for (int i = 0; i < n; i++)
        sigma[i] = shifted(f->shift, 1 + (parts ? (f->low - 1) * i / parts : 0));
}

static void normal(const flow *f, int n, double *sigma)
{
    linear(f, n, n - 1, sigma);
}

static void sgm_uniform(const flow *f, int n, double *sigma)
{
    linear(f, n, n, sigma);
}

static void karras(const flow *f, int n, double *sigma)
{
    const double rho = 7, low = pow(f->low, 1 / rho);
    for (int i = 0; i < n; i++)
        sigma[i] = pow(1 + (n > 1 ? (double)i / (n - 1) : 0) * (low - 1), rho);
}

static void exponential(const flow *f, int n, double *sigma)
{
    for (int i = 0; i < n; i++)
        sigma[i] = exp(log(f->low) * (n > 1 ? (double)i / (n - 1) : 0));
}

static void kl_optimal(const flow *f, int n, double *sigma)
{
    for (int i = 0; i < n; i++) {
        const double part = n > 1 ? (double)i / (n - 1) : 0;
        sigma[i] = tan(part * atan(f->low) + (1 - part) * atan(1));
    }
}

/* A straight line over the first half of the steps down to 1 - 0.025, then a parabola to 0. */
static void linear_quadratic(const flow *f, int n, double *sigma)
{
    const double threshold = 0.025;
    const int first = n / 2, rest = n - first;
    (void)f;
    if (n == 1) {
        sigma[0] = 1;
        return;
    }
    const double diff = first - threshold * n;
    const double square = diff / ((double)first * rest * rest);
    const double slope = threshold / first - 2 * diff / ((double)rest * rest);
    for (int i = 0; i < n; i++)
        sigma[i] = i < first ? 1 - i * threshold / first
                             : 1 - (square * i * i + slope * i + square * first * first);
}

/* ---------------------------------------------------------------------- beta(0.6, 0.6) quantiles
 */

#define SHAPE 0.6

/* Continued fraction of the incomplete beta function for x < 1/2, DLMF 8.17.22, by Lentz. */
static double beta_fraction(double x)
{
    const double a = SHAPE, b = SHAPE;
    double c = 1, d = 1 / (1 - (a + b) * x / (a + 1)), f = d;
    for (int m = 1; m < 200; m++) {
        const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        d = 1 / (1 + even * d);
        c = 1 + even / c;
        f *= c * d;
        d = 1 / (1 + odd * d);
        c = 1 + odd / c;
        f *= c * d;
        if (fabs(c * d - 1) < 1e-15)
            break;
    }
    return f;
}

/* The distribution function; symmetric around 1/2. */
static double beta_cdf(double x)
{
    if (x > 0.5)
        return 1 - beta_cdf(1 - x);
    if (x <= 0)
        return 0;
    const double log_b = 2 * lgamma(SHAPE) - lgamma(2 * SHAPE);
    return exp(SHAPE * log(x) + SHAPE * log1p(-x) - log_b) * beta_fraction(x) / SHAPE;
}

static double beta_quantile(double p)
{
    double low = 0, high = 1;
    for (int i = 0; i < 100; i++) {
        const double mid = (low + high) / 2;
        if (beta_cdf(mid) < p)
            low = mid;
        else
            high = mid;
    }
    return (low + high) / 2;
}

/* Many steps would meet one level twice: ComfyUI then takes fewer steps, here the next level below
 * is taken, so that there are as many as asked for while the table lasts. */
static void beta(const flow *f, int n, double *sigma)
{
    int last = LEVELS;
    for (int i = 0; i < n; i++) {
        int at = (int)nearbyint(beta_quantile(1 - (double)i / n) * (LEVELS - 1));
        at = at < last ? at : last - 1;
        at = at < n - 1 - i ? n - 1 - i : at; /* room for those that follow */
        sigma[i] = level(f, last = at);
    }
}

/* ----------------------------------------------------------------------------------- the schedule
 */

typedef struct rule {
    const char *name;
    void (*fill)(const flow *f, int n, double *sigma);
} rule;

static const rule rules[] = {
    { "simple", simple },           { "normal", normal },
    { "sgm_uniform", sgm_uniform }, { "beta", beta },
    { "karras", karras },           { "exponential", exponential },
    { "kl_optimal", kl_optimal },   { "linear_quadratic", linear_quadratic },
};

static void make(const rule *r, int steps, double shift, tb_schedule *s)
{
    const flow f = { shift, level(&(flow){ .shift = shift }, 0) };
    double *own = tb_xcalloc(2 * (size_t)steps + 1, sizeof *own), *timestep = own + steps + 1;
    r->fill(&f, steps, own);
    for (int i = 0; i < steps; i++) {
        own[i] = (double)(float)own[i];
        timestep[i] = (double)(float)(1000 * own[i]);
    }
    *s = (tb_schedule){
        .kind = TB_FLOW, .steps = steps, .sigma = own, .timestep = timestep, .own = own
    };
}

tb_status tb_schedule_make_levels(const char *name, int steps, double shift, tb_schedule *s,
                                  tb_err *err)
{
    *s = (tb_schedule){ 0 };
    if (steps < 1 || steps > LEVELS)
        return tb_err_set(err, TB_EINVAL, "steps / denoise must be 1..%d, got %d", LEVELS, steps);
    if (!(shift > 0))
        return tb_err_set(err, TB_EINVAL, "shift must be above 0, got %g", shift);
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (strcmp(name, rules[i].name) == 0) {
            make(&rules[i], steps, shift, s);
            return TB_OK;
        }
    return tb_err_set(err, TB_EINVAL, "scheduler must be one of %s, got '%s'", TB_LEVELS, name);
}
