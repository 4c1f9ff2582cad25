/* samplers.h - noise schedules and the update rules of samplers, without any model.
 *
 * Schedules and coefficients are computed in double; states are f32. Sources: samplers.md; Lipman et al.
 * 2210.02747 (flow matching), Karras et al. 2206.00364 (Heun), Song et al. 2010.02502 (DDIM), Lu et al.
 * 2211.01095 (DPM-Solver++), Zhao et al. 2302.04867 (UniPC).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* flow: x = (1-s) x0 + s eps, the model gives v = eps - x0; betas: x = sqrt(a) x0 + sqrt(1-a) eps, it gives eps. */
typedef enum tb_parameterisation { TB_FLOW, TB_BETAS } tb_parameterisation;

/* scheduler names, as in the COMBO of nodes/schedule.c */
#define TB_SCHEDULERS "flow|flow_unipc|flow_diffusers|flow_diffusers_euler|ddpm_linear|ddpm_cosine"
#define TB_SAMPLERS "euler|heun|ddim|ddpm|dpmpp_2m|unipc"

typedef struct tb_schedule {
    tb_parameterisation kind;
    int steps;
    double *sigma;     /* flow: [steps+1], float32-rounded, last is 0. betas: alpha_bar [steps+1] in order of sampling, last is 1 */
    double *timestep;  /* [steps]: what the model is told */
    double *beta;      /* betas: respaced beta [steps] in order of sampling; flow: NULL */
} tb_schedule;

tb_status tb_schedule_make(const char *scheduler, int steps, double shift, tb_schedule *s, tb_err *err);
void tb_schedule_clear(tb_schedule *s);

/* What a step starts from and leaves behind. Arrays of n f32. */
typedef struct tb_sampler_state {
    float *x;    /* the latent */
    float *x0;   /* the estimate of the clean latent at the step that made it (multistep history) */
    float *hat;  /* UniPC: the corrected latent that step started from; Heun: base and slope, see samplers.c */
} tb_sampler_state;
