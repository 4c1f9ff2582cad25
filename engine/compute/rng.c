/* rng.c - Philox4x32-10 and Box-Muller. */
#include "compute/rng.h"

#include <math.h>

typedef struct block {
    uint32_t v[4];
} block;

/* Salmon et al. 2011, table 2: multipliers and Weyl constants of Philox4x32. */
static block philox(uint64_t counter, uint64_t key)
{
    block c = { { (uint32_t)counter, (uint32_t)(counter >> 32), 0, 0 } };
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
        const uint64_t a = UINT64_C(0xD2511F53) * c.v[0], b = UINT64_C(0xCD9E8D57) * c.v[2];
        c = (block){ { (uint32_t)(b >> 32) ^ c.v[1] ^ k0, (uint32_t)b,
                       (uint32_t)(a >> 32) ^ c.v[3] ^ k1, (uint32_t)a } };
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return c;
}

/* Two normals from two uniforms; the first is in (0,1], so its logarithm is finite. */
static void box_muller(uint32_t a, uint32_t b, float out[2])
{
    const double u = ((double)a + 1) * 0x1p-32,
                 angle = 2 * 3.14159265358979323846 * (double)b * 0x1p-32;
    const double r = sqrt(-2 * log(u));
    out[0] = (float)(r * cos(angle));
    out[1] = (float)(r * sin(angle));
}

void tb_rng_normal(float *out, int64_t n, uint64_t seed, uint64_t first)
{
    float four[4];
    uint64_t made = UINT64_MAX;
    for (int64_t i = 0; i < n; i++) {
        const uint64_t at = first + (uint64_t)i;
        if (at / 4 != made) {
            const block c = philox(made = at / 4, seed);
            box_muller(c.v[0], c.v[1], four);
            box_muller(c.v[2], c.v[3], four + 2);
        }
        out[i] = four[at % 4];
    }
}
