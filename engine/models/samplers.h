/* samplers.h - noise schedules and the update rules of samplers, without any model.
 *
 * Schedules and coefficients are computed in double; states are f32. Sources: Lipman et al.
 * 2210.02747 (flow matching), Ho et al. 2006.11239 (DDPM), Nichol and Dhariwal 2102.09672 (cosine
 * betas, learned variance), Song et al. 2010.02502 (DDIM), Karras et al. 2206.00364 (Heun), Lu et
 * al. 2211.01095 (DPM-Solver++ and its SDE forms), Zhao et al. 2302.04867 (UniPC), Zhang and Chen
 * 2204.13902 (DEIS), Liu et al. 2202.09778 and Zhang and Chen (iPNDM), Zhang et al. 2308.02157
 * (RES), Luo et al. 2310.04378 (LCM); operation orders follow Wan2.1's and diffusers' schedulers,
 * and ComfyUI's comfy/k_diffusion/sampling.py for those that Wan2.1 does not have.
 *
 * Every rule works on both families, because each only needs the level (alpha, sigma) of the state
 * x = alpha x0 + sigma eps: flow has alpha = 1 - sigma, betas alpha^2 = alpha_bar and sigma^2 = 1 -
 * alpha_bar. Threads: pure functions; nothing is shared.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* flow: the model gives v = eps - x0; betas: it gives eps. */
typedef enum tb_parameterisation { TB_FLOW, TB_BETAS } tb_parameterisation;

/* Scheduler names, as in the COMBO of nodes/schedule.c:
 *   flow                  sigma from 1 in equal parts towards 0, then shifted; t = 1000 sigma
 *   flow_dpmpp            the same with t truncated to an integer: Wan2.1's `dpm++`
 *   flow_unipc            from 0.999, t truncated: Wan2.1's default
 *   flow_diffusers        from 1 towards 0.001, t truncated: diffusers' UniPC
 *   flow_diffusers_euler  from 1 to the shifted 0.001 inclusive, shifted again: diffusers'
 * flow-match Euler, Heun ddpm_linear           1000 linear betas, respaced ddpm_cosine 1000 cosine
 * betas, respaced */
#define TB_SCHEDULERS \
    "flow|flow_dpmpp|flow_unipc|flow_diffusers|flow_diffusers_euler|ddpm_linear|ddpm_cosine"
#define TB_SAMPLERS                                                                            \
    "euler|heun|ddim|ddpm|dpmpp_2m|unipc|euler_ancestral|dpmpp_sde|dpmpp_2m_sde|dpmpp_3m_sde|" \
    "lcm|res_multistep|deis|ipndm"

/* The arrays may also be somebody else's (a stored table); then `own` is NULL. */
typedef struct tb_schedule {
    tb_parameterisation kind;
    int steps;
    /* [steps + 1] in order of sampling. flow: sigma, float32-rounded, 0 at the end of a whole
     * schedule. betas: alpha_bar, 1 at the end. */
    const double *sigma;
    const double *timestep; /* [steps]: what the model is told, 0..1000 */
    const double *beta;     /* betas: respaced beta [steps]; flow: NULL */
    double *own;
    double shift; /* flow: what bent the levels; 0: not known, counts as 1 */
} tb_schedule;

/* shift bends flow schedules (k s / (1 + (k-1) s)); betas have none. */
tb_status tb_schedule_make(const char *scheduler, int steps, double shift, tb_schedule *s,
                           tb_err *err);
/* Betas for `train_steps` training steps, respaced to `steps` of them. */
tb_status tb_schedule_make_betas(bool cosine, int train_steps, int steps, tb_schedule *s,
                                 tb_err *err);
/* Noise levels as ComfyUI's schedulers of these names space them (samplers_levels.c), 0 at the end;
 * 1..1000 steps. Of a flow, or of 1000 linear or cosine betas, where linear_quadratic is refused.
 */
#define TB_LEVELS                                                                    \
    "simple|normal|sgm_uniform|beta|karras|exponential|kl_optimal|linear_quadratic|" \
    "ddim_uniform"
tb_status tb_schedule_make_levels(const char *name, int steps, double shift, tb_schedule *s,
                                  tb_err *err);
tb_status tb_schedule_make_beta_levels(const char *name, bool cosine, int steps, tb_schedule *s,
                                       tb_err *err);
/* Is it one of TB_LEVELS? */
bool tb_schedule_is_levels(const char *name);
/* Keep steps first..last-1. 0 <= first < last <= steps (asserted). */
void tb_schedule_cut(tb_schedule *s, int first, int last);
void tb_schedule_clear(tb_schedule *s);

/* The state at index 0..steps is alpha x0 + sigma eps. */
typedef struct tb_noise_level {
    double alpha, sigma;
} tb_noise_level;
tb_noise_level tb_schedule_level(const tb_schedule *s, int i);
/* The level half way between those of steps i and i + 1 in ln(alpha / sigma), which must not end
 * clean; from pure noise, where that is infinite, as from 1e-4 of the unshifted time below it. */
tb_noise_level tb_schedule_middle(const tb_schedule *s, int i);

/* The posterior q(x_{t-1} | x_t, x0) of step i of a betas schedule: mean = x0 * of_x0 + x * of_x.
 * The small log variance is clipped: at the last step, where it would be -inf, it is that of the
 * step before. */
typedef struct tb_posterior {
    double of_x0, of_x, variance, log_small, log_large;
} tb_posterior;
tb_posterior tb_schedule_posterior(const tb_schedule *s, int i);

/* In the order of TB_SAMPLERS. */
typedef enum tb_sampler {
    TB_EULER,
    TB_HEUN,
    TB_DDIM,
    TB_DDPM,
    TB_DPMPP_2M,
    TB_UNIPC,
    TB_EULER_ANCESTRAL,
    TB_DPMPP_SDE,
    TB_DPMPP_2M_SDE,
    TB_DPMPP_3M_SDE,
    TB_LCM,
    TB_RES_MULTISTEP,
    TB_DEIS,
    TB_IPNDM,
} tb_sampler;
tb_status tb_sampler_parse(const char *name, tb_sampler *sampler, tb_err *err);
/* Where a step asks the model: at its own level, and Heun again at the next one, DPM-Solver++ SDE
 * at the one half way (tb_schedule_middle). */
enum { TB_STAGE_FIRST = 0, TB_STAGE_NEXT = 1, TB_STAGE_MIDDLE = 2 };
/* The level of the state that the model is asked at in that stage of step i. */
tb_noise_level tb_schedule_stage(const tb_schedule *s, int i, int stage);
/* Model evaluations of step i: 2 for these two except where the next level is free of noise. */
int tb_sampler_stages(tb_sampler sampler, const tb_schedule *s, int i);
/* The stage of evaluation 0 or 1 of a step. */
int tb_sampler_stage(tb_sampler sampler, int evaluation);
/* How much of the past a step reads: clean estimates (0..2) and answers of the model (0..3) of the
 * steps before it. */
int tb_sampler_estimates(tb_sampler sampler);
int tb_sampler_slopes(tb_sampler sampler);
/* Share of fresh noise: eta, or where that is negative what is usual: 0 for DDIM, 1 for others. */
double tb_sampler_eta(tb_sampler sampler, double eta);
/* Does step i draw noise? */
bool tb_sampler_wants_noise(tb_sampler sampler, double eta, const tb_schedule *s, int i);

typedef enum tb_variance { TB_FIXED_SMALL, TB_FIXED_LARGE, TB_LEARNED_RANGE } tb_variance;

/* One step from index i to i + 1, a pure function of all its fields. Arrays of n f32. */
typedef struct tb_step {
    const tb_schedule *schedule;
    int index;
    int stage; /* of a second evaluation, whose x is the first one's result */
    tb_sampler sampler;
    int64_t n;
    const float *x;
    const float *model; /* velocity (flow) or noise (betas) at x */
    const float *x0_1; /* clean estimate of step i-1 (tb_sampler_estimates); NULL: history starts */
    const float *x0_2; /* that of step i-2; NULL: none */
    const float
        *slope[3];      /* the model's answers in steps i-1, i-2, i-3 (tb_sampler_slopes) or NULL */
    const float *hat;   /* UniPC: the corrected state that step i-1 started from, NULL with x0_1 */
    const float *base;  /* second evaluation: the state that the step started from */
    const float *noise; /* standard normal, where tb_sampler_wants_noise says so */
    const float *noise_2; /* another, of the second half of a step of DPM-Solver++ SDE (stage 2) */
    double eta;           /* share of fresh noise, 0..1; negative: as usual (tb_sampler_eta) */
    tb_variance variance; /* DDPM on betas */
    const float *log_range; /* TB_LEARNED_RANGE: the model's second half, about -1..1 */
    bool clip;              /* clip clean estimates to -1..1 (pixel models) */
} tb_step;

/* Where results go; x0 and hat may be NULL when not wanted. No output may be an input. */
typedef struct tb_step_result {
    float *x;
    float *x0;  /* the clean estimate of this step */
    float *hat; /* UniPC: the corrected x */
} tb_step_result;

/* The level that the result has: of the next step, or half way of a first half. */
tb_noise_level tb_sampler_reached(const tb_step *p);
/* TB_EINVAL when something the rule needs is missing. */
tb_status tb_sampler_step(const tb_step *p, const tb_step_result *out, tb_err *err);

/* Known parts of a state hold the known latent at this level: x = x (1 - mask) + (alpha known +
 * sigma noise) mask. known, noise, x [channels][cells]; mask [cells], 0..1. */
void tb_sampler_hold(const float *known, const float *mask, tb_noise_level level,
                     const float *noise, int64_t channels, int64_t cells, float *x);
