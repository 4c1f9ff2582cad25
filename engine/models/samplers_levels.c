/* samplers_levels.c - noise levels as ComfyUI's schedulers space them (comfy/samplers.py).
 *
 * They choose from a table of 1000 levels, or between its ends; 0 follows. Of a flow these are
 * S(1/1000) .. S(1) with S(t) = k t / (1 + (k-1) t), of betas s = sigma / alpha of each training
 * step. Sources: Karras et al. 2206.00364 (karras), Sabour et al. 2404.14507 appendix (kl_optimal),
 * Lee et al. 2407.12173 (beta), Movie Gen 2410.13720 (linear_quadratic), Song et al. 2010.02502
 * (ddim_uniform).
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "models/samplers_internal.h"

#define LEVELS 1000

static double shifted(double k, double t)
{
    return k * t / (1 + (k - 1) * t);
}

/* What the rules choose from. */
typedef struct table {
    double shift;
    const double *log_s; /* betas: ln s, rising [LEVELS]; flow: NULL */
    double low, high;    /* the ends */
} table;

static double level(const table *t, int i)
{
    return t->log_s ? exp(t->log_s[i]) : shifted(t->shift, (double)(i + 1) / LEVELS);
}

/* The level at a model time: of a flow 0..1, of betas a training step, between two of them in
 * logarithms. */
static double level_at(const table *t, double time)
{
    if (!t->log_s)
        return shifted(t->shift, time);
    const int i = (int)fmin(floor(time), LEVELS - 2);
    return exp(t->log_s[i] + (time - i) * (t->log_s[i + 1] - t->log_s[i]));
}

/* ----------------------------------------------------------------------------------- the rules */

static void simple(const table *t, int n, double *sigma)
{
    for (int i = 0; i < n; i++)
        sigma[i] = level(t, LEVELS - 1 - (int)(i * ((double)LEVELS / n)));
}

/* Every so many levels, leaving out the lowest. ComfyUI takes more steps than asked for where n
 * does not divide 1000; here n are spread over the same range. */
static void ddim_uniform(const table *t, int n, double *sigma)
{
    for (int i = 0; i < n; i++)
        sigma[i] = level(t, (int)((int64_t)(n - 1 - i) * LEVELS / n) + (n < LEVELS));
}

/* Equal parts of model time from the upper end towards the lower one. Of a flow the lower level is
 * taken for a time, and so shifted twice. */
static void linear(const table *t, int n, int parts, double *sigma)
{
    const double from = t->log_s ? LEVELS - 1 : t->high, to = t->log_s ? 0 : t->low;
    for (int i = 0; i < n; i++)
        sigma[i] = level_at(t, from + (parts ? (to - from) * i / parts : 0));
}

static void normal(const table *t, int n, double *sigma)
{
    linear(t, n, n - 1, sigma);
}

static void sgm_uniform(const table *t, int n, double *sigma)
{
    linear(t, n, n, sigma);
}

/* The i-th of n points from 0 to 1. */
static double part(int i, int n)
{
    return n > 1 ? (double)i / (n - 1) : 0;
}

static void karras(const table *t, int n, double *sigma)
{
    const double rho = 7, low = pow(t->low, 1 / rho), high = pow(t->high, 1 / rho);
    for (int i = 0; i < n; i++)
        sigma[i] = pow(high + part(i, n) * (low - high), rho);
}

static void exponential(const table *t, int n, double *sigma)
{
    const double low = log(t->low), high = log(t->high);
    for (int i = 0; i < n; i++)
        sigma[i] = exp(high + part(i, n) * (low - high));
}

static void kl_optimal(const table *t, int n, double *sigma)
{
    for (int i = 0; i < n; i++)
        sigma[i] = tan(part(i, n) * atan(t->low) + (1 - part(i, n)) * atan(t->high));
}

/* A straight line over the first half of the steps down to 1 - 0.025, then a parabola to 0. */
static void linear_quadratic(const table *t, int n, double *sigma)
{
    const double threshold = 0.025;
    const int first = n / 2, rest = n - first;
    (void)t;
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

/* ---------------------------------------------------------------------- beta(0.6, 0.6) */

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
static void beta(const table *t, int n, double *sigma)
{
    int last = LEVELS;
    for (int i = 0; i < n; i++) {
        int at = (int)nearbyint(beta_quantile(1 - (double)i / n) * (LEVELS - 1));
        at = at < last ? at : last - 1;
        at = at < n - 1 - i ? n - 1 - i : at; /* room for those that follow */
        sigma[i] = level(t, last = at);
    }
}

/* ----------------------------------------------------------------------------- the schedule */

typedef struct rule {
    const char *name;
    void (*fill)(const table *t, int n, double *sigma);
} rule;

static const rule rules[] = {
    { "simple", simple },
    { "normal", normal },
    { "sgm_uniform", sgm_uniform },
    { "beta", beta },
    { "karras", karras },
    { "exponential", exponential },
    { "kl_optimal", kl_optimal },
    { "linear_quadratic", linear_quadratic },
    { "ddim_uniform", ddim_uniform },
};

static const rule *find(const char *name)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (strcmp(name, rules[i].name) == 0)
            return &rules[i];
    return NULL;
}

bool tb_schedule_is_levels(const char *name)
{
    return find(name) != NULL;
}

static tb_status check(const char *name, int steps, tb_err *err)
{
    if (steps < 1 || steps > LEVELS)
        return tb_err_set(err, TB_EINVAL, "steps / denoise must be 1..%d, got %d", LEVELS, steps);
    if (!find(name))
        return tb_err_set(err, TB_EINVAL, "scheduler must be one of %s, got '%s'", TB_LEVELS, name);
    return TB_OK;
}

tb_status tb_schedule_make_levels(const char *name, int steps, double shift, tb_schedule *s,
                                  tb_err *err)
{
    *s = (tb_schedule){ 0 };
    TB_TRY(check(name, steps, err));
    if (!(shift > 0))
        return tb_err_set(err, TB_EINVAL, "shift must be above 0, got %g", shift);
    const table t = { .shift = shift, .low = shifted(shift, 1.0 / LEVELS), .high = 1 };
    double *own = tb_xcalloc(2 * (size_t)steps + 1, sizeof *own), *timestep = own + steps + 1;
    find(name)->fill(&t, steps, own);
    for (int i = 0; i < steps; i++) {
        own[i] = (double)(float)own[i];
        timestep[i] = (double)(float)(1000 * own[i]);
    }
    *s = (tb_schedule){ .kind = TB_FLOW,
                        .steps = steps,
                        .sigma = own,
                        .timestep = timestep,
                        .own = own,
                        .shift = shift };
    return TB_OK;
}

/* The training step whose level is nearest in logarithms. */
static int nearest(const double *log_s, double want)
{
    int best = 0;
    for (int i = 1; i < LEVELS; i++)
        if (fabs(log_s[i] - want) < fabs(log_s[best] - want))
            best = i;
    return best;
}

tb_status tb_schedule_make_beta_levels(const char *name, bool cosine, int steps, tb_schedule *s,
                                       tb_err *err)
{
    double log_s[LEVELS], bar = 1;
    *s = (tb_schedule){ 0 };
    TB_TRY(check(name, steps, err));
    if (find(name)->fill == linear_quadratic)
        return tb_err_set(err, TB_EINVAL,
                          "linear_quadratic is laid out for flows; choose another scheduler for "
                          "levels of betas");
    for (int i = 0; i < LEVELS; i++) {
        bar *= 1 - tbi_train_beta(cosine, LEVELS, i);
        log_s[i] = 0.5 * log((1 - bar) / bar);
    }
    const table t = { .log_s = log_s, .low = exp(log_s[0]), .high = exp(log_s[LEVELS - 1]) };
    const size_t n = (size_t)steps;
    double *own = tb_xcalloc(3 * n + 1, sizeof *own), *times = own + n + 1, *betas = times + n;
    find(name)->fill(&t, steps, own);
    for (int i = 0; i < steps; i++) {
        times[i] = nearest(log_s, log(own[i]));
        own[i] = 1 / (1 + own[i] * own[i]);
    }
    own[steps] = 1;
    for (int i = 0; i < steps; i++)
        betas[i] = 1 - own[i] / own[i + 1];
    *s = (tb_schedule){
        .kind = TB_BETAS, .steps = steps, .sigma = own, .timestep = times, .beta = betas, .own = own
    };
    return TB_OK;
}
