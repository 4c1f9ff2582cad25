/* guidance.c - classifier-free guidance and what is made of it. */
#include "models/guidance.h"

#include <math.h>

static double dot(const float *a, const float *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

double tb_guidance_scale(const float *cond, const float *uncond, int64_t n)
{
    return dot(cond, uncond, n) / (dot(uncond, uncond, n) + 1e-8);
}

void tb_guidance_cfg(const float *cond, const float *uncond, int64_t n, double cfg, double scale,
                     float *out)
{
    for (int64_t i = 0; i < n; i++) {
        const double u = scale * (double)uncond[i];
        out[i] = (float)(u + cfg * ((double)cond[i] - u));
    }
}

static double deviation(const float *x, int64_t n)
{
    double sum = 0, square = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i];
    const double mean = sum / (double)n;
    for (int64_t i = 0; i < n; i++)
        square += ((double)x[i] - mean) * ((double)x[i] - mean);
    return sqrt(square / (double)n);
}

void tb_guidance_rescale(const float *cond, int64_t n, double phi, float *v)
{
    const double from = deviation(v, n);
    const double k = from > 0 ? phi * deviation(cond, n) / from + 1 - phi : 1;
    for (int64_t i = 0; i < n; i++)
        v[i] = (float)(k * (double)v[i]);
}

void tb_guidance_apg(const tb_apg *p, tb_parameterisation kind, tb_noise_level level,
                     const float *cond, const float *uncond, const float *x, int64_t n,
                     const float *average, float *new_average, float *out)
{
    const double alpha = kind == TB_FLOW ? 1 : level.alpha, slope = level.sigma / alpha;
    double square = 0, along = 0, estimate = 0;
    for (int64_t i = 0; i < n; i++) {
        const double d = -slope * ((double)cond[i] - (double)uncond[i]) +
                         (average ? p->momentum * (double)average[i] : 0);
        const double x0 = ((double)x[i] - level.sigma * (double)cond[i]) / alpha;
        new_average[i] = (float)d;
        square += d * d;
        along += d * x0;
        estimate += x0 * x0;
    }
    const double length = sqrt(square);
    const double shorten = p->norm > 0 && length > p->norm ? p->norm / length : 1;
    const double weaken = estimate > 0 ? (1 - p->eta) * along / estimate : 0;
    for (int64_t i = 0; i < n; i++) {
        const double d = -slope * ((double)cond[i] - (double)uncond[i]) +
                         (average ? p->momentum * (double)average[i] : 0);
        const double x0 = ((double)x[i] - level.sigma * (double)cond[i]) / alpha;
        out[i] = (float)((double)cond[i] - (p->cfg - 1) * shorten * (d - weaken * x0) / slope);
    }
}
