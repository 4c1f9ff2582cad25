/* latent_file.c - the scale of latents in ComfyUI's files. */
#include "models/latent_file.h"

#include "models/wan_vae.h"

static bool all_zero(const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (x[i] != 0)
            return false;
    return true;
}

static bool scaled(const float *x, int64_t channels, int64_t plane, const float **mean,
                   const float **std)
{
    return tb_wan_vae_scale(channels, mean, std) && !all_zero(x, channels * plane);
}

void tb_latent_to_file(float *x, int64_t channels, int64_t plane)
{
    const float *mean, *std;
    if (scaled(x, channels, plane, &mean, &std))
        for (int64_t i = 0; i < channels * plane; i++)
            x[i] = x[i] * std[i / plane] + mean[i / plane];
}

void tb_latent_from_file(float *x, int64_t channels, int64_t plane)
{
    const float *mean, *std;
    if (scaled(x, channels, plane, &mean, &std))
        for (int64_t i = 0; i < channels * plane; i++)
            x[i] = (x[i] - mean[i / plane]) / std[i / plane];
}
