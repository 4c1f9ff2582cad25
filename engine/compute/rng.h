/* rng.h - counter-based random numbers: a value depends on (seed, index) only.
 *
 * Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) and
 * Box-Muller. The bytes do not change with threads or tiles; they are not torch's.
 */
#pragma once

#include <stdint.h>

/* out[i] = the (first + i)-th standard normal of `seed`. */
void tb_rng_normal(float *out, int64_t n, uint64_t seed, uint64_t first);
