/* samplers_internal.h - what the files of the samplers share.
 *
 * All rules are linear in a handful of arrays, so each computes its coefficients in double and
 * hands them to a sum. lambda = ln(alpha / sigma) is half the log signal-to-noise ratio; it is -inf
 * at pure noise and +inf at the clean end, and those two are branches, never arithmetic.
 */
#pragma once

#include "models/samplers.h"

/* A weighted sum of arrays of n f32. */
enum { TBI_MOST_TERMS = 6 };
typedef struct tbi_sum {
    struct {
        double weight;
        const float *x;
    } terms[TBI_MOST_TERMS];
    int count;
} tbi_sum;
void tbi_sum_add(tbi_sum *s, double weight, const float *x);
void tbi_sum_into(const tbi_sum *s, int64_t n, float *out);

bool tbi_clean(tb_noise_level l);
bool tbi_pure(tb_noise_level l);
double tbi_lambda(tb_noise_level l);
/* exp(-(lambda(to) - lambda(from))) - 1; -1 when either end is infinite. */
double tbi_decay(tb_noise_level from, tb_noise_level to);

/* The level of index i as the step's rule counts it: the SDE rules of DPM-Solver++ need a finite
 * lambda and begin a little below pure noise (tb_schedule_middle). */
tb_noise_level tbi_step_level(const tb_step *p, int i);

/* The ODE in coordinates where the model's output is the slope: flow is there already (dx/dsigma =
 * v); betas become y = x / alpha over s = sigma / alpha, with dy/ds = eps. */
typedef struct tbi_ode_point {
    double scale; /* y = scale * x */
    double s;
} tbi_ode_point;
tbi_ode_point tbi_ode_at(const tb_schedule *s, int i);

/* The rules of samplers_sde.c and samplers_slopes.c: x0 is the clean estimate of this step, x the
 * result; [n] each. */
void tbi_step_euler_ancestral(const tb_step *p, const float *x0, float *x);
void tbi_step_dpmpp_sde(const tb_step *p, const float *x0, float *x);
void tbi_step_multistep_sde(const tb_step *p, const float *x0, float *x);
void tbi_step_lcm(const tb_step *p, const float *x0, float *x);
void tbi_step_res(const tb_step *p, const float *x0, float *x);
void tbi_step_slopes(const tb_step *p, float *x);

/* beta of training step t of `train_steps`, linear (Ho et al.) or cosine. */
double tbi_train_beta(bool cosine, int train_steps, int t);
