/* guidance.h - how the model's answers with and without the prompt become one.
 *
 * Answers are velocities (flow) or noise (betas), n f32 each. Sums are in double, one after the
 * other, so bytes do not change with threads. Sources: Ho and Salimans 2207.12598 (classifier-free
 * guidance), Lin et al. 2305.08891 section 3.4 (rescale), Fan et al. 2503.18886 (CFG-Zero*), Sadat
 * et al. 2410.02416 (adaptive projected guidance). Threads: pure functions.
 */
#pragma once

#include "models/samplers.h"

/* s* = <cond, uncond> / (|uncond|^2 + 1e-8): the scale at which the negative answer comes nearest
 * to the other one (2503.18886, equation 7). */
double tb_guidance_scale(const float *cond, const float *uncond, int64_t n);
/* out = s u + cfg (c - s u). out may be an input. */
void tb_guidance_cfg(const float *cond, const float *uncond, int64_t n, double cfg, double scale,
                     float *out);
/* v = phi v std(cond) / std(v) + (1 - phi) v, with the deviations over all numbers. */
void tb_guidance_rescale(const float *cond, int64_t n, double phi, float *v);

/* Adaptive projected guidance works on clean estimates D = (x - sigma answer) / alpha', with alpha'
 * 1 for flow: D = D_c + (cfg - 1) d, where d is the running sum of D_c - D_u, shortened to a norm,
 * and its part along D_c weakened. eta = 1 without norm and momentum is plain guidance. */
typedef struct tb_apg {
    double cfg;
    double eta;      /* share of the part along the estimate that is kept: 0..1 */
    double norm;     /* longest d, in the L2 norm over the whole latent; 0: any */
    double momentum; /* of the running sum, usually negative; 0: none */
} tb_apg;
/* average: the running sum of the step before, NULL: none; new_average: that of this one. Both
 * [n]; out may be an input of answers. */
void tb_guidance_apg(const tb_apg *p, tb_parameterisation kind, tb_noise_level level,
                     const float *cond, const float *uncond, const float *x, int64_t n,
                     const float *average, float *new_average, float *out);
