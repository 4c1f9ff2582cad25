/* samplers_parts.c - sums, levels and coordinates that the rules of the samplers are made of. */
#include "models/samplers_internal.h"

#include <assert.h>
#include <math.h>

/* How far below pure noise a rule begins that needs a finite lambda, in unshifted time: ComfyUI's
 * offset_first_sigma_for_snr. */
#define BELOW_PURE 1e-4

void tbi_sum_add(tbi_sum *s, double weight, const float *x)
{
    assert(s->count < TBI_MOST_TERMS);
    s->terms[s->count].weight = weight;
    s->terms[s->count++].x = x;
}

void tbi_sum_into(const tbi_sum *s, int64_t n, float *out)
{
    for (int64_t j = 0; j < n; j++) {
        double v = 0;
        for (int k = 0; k < s->count; k++)
            v += s->terms[k].weight * (double)s->terms[k].x[j];
        out[j] = (float)v;
    }
}

bool tbi_clean(tb_noise_level l)
{
    return l.sigma <= 0;
}

bool tbi_pure(tb_noise_level l)
{
    return l.alpha <= 0;
}

double tbi_lambda(tb_noise_level l)
{
    return log(l.alpha / l.sigma);
}

double tbi_decay(tb_noise_level from, tb_noise_level to)
{
    return tbi_clean(to) || tbi_pure(from) ? -1 : expm1(tbi_lambda(from) - tbi_lambda(to));
}

/* Betas never reach pure noise. */
static tb_noise_level finite_level(const tb_schedule *s, int i)
{
    const tb_noise_level l = tb_schedule_level(s, i);
    if (!tbi_pure(l))
        return l;
    const double k = s->shift > 0 ? s->shift : 1;
    const double alpha = BELOW_PURE / (1 + (k - 1) * (1 - BELOW_PURE));
    return (tb_noise_level){ alpha, 1 - alpha };
}

tb_noise_level tbi_step_level(const tb_step *p, int i)
{
    switch (p->sampler) {
    case TB_DPMPP_SDE:
    case TB_DPMPP_2M_SDE:
    case TB_DPMPP_3M_SDE: return finite_level(p->schedule, i);
    case TB_EULER:
    case TB_HEUN:
    case TB_DDIM:
    case TB_DDPM:
    case TB_DPMPP_2M:
    case TB_UNIPC:
    case TB_EULER_ANCESTRAL:
    case TB_LCM:
    case TB_RES_MULTISTEP:
    case TB_DEIS:
    case TB_IPNDM: break;
    }
    return tb_schedule_level(p->schedule, i);
}

tb_noise_level tb_schedule_middle(const tb_schedule *s, int i)
{
    const double a = tbi_lambda(finite_level(s, i)), b = tbi_lambda(tb_schedule_level(s, i + 1));
    const double ratio = exp(-(a + b) / 2); /* sigma / alpha */
    if (s->kind == TB_FLOW)
        return (tb_noise_level){ 1 / (1 + ratio), ratio / (1 + ratio) };
    const double alpha = 1 / hypot(1, ratio);
    return (tb_noise_level){ alpha, ratio * alpha };
}

tb_noise_level tb_schedule_stage(const tb_schedule *s, int i, int stage)
{
    return stage == TB_STAGE_MIDDLE ? tb_schedule_middle(s, i) : tb_schedule_level(s, i + stage);
}

tbi_ode_point tbi_ode_at(const tb_schedule *s, int i)
{
    const tb_noise_level l = tb_schedule_level(s, i);
    return s->kind == TB_FLOW ? (tbi_ode_point){ 1, l.sigma }
                              : (tbi_ode_point){ 1 / l.alpha, l.sigma / l.alpha };
}
