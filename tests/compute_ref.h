/* compute_ref.h - what the tests of compute/ share: numbers, every kernel set, naive double
 * references. */
#pragma once

#include "compute/compute_internal.h"
#include "compute/cpu/cpu.h"
#include "compute/rng.h"
#include "compute/tensor.h"
#include "test.h"

static const char *const set_names[] = { "plain", "avx2", "avx512" };

/* A compute of each set this processor has, with 1 and 2 threads; calls fn for each. */
static inline void for_each_compute(void (*fn)(tb_compute *c))
{
    for (int s = 0; s < 3; s++) {
        const tbi_kernels *k = tbi_cpu_kernels_named(set_names[s]);
        for (int threads = 1; k && threads <= 2; threads++) {
            tb_err err = TB_ERR_INIT;
            tb_compute *c = tbi_compute_new_with(k, threads, &err);
            REQUIRE(c);
            fn(c);
            tb_compute_free(&c);
        }
    }
}

/* n standard normals; freed by free(). Different `seed`, different numbers. */
static inline float *normals(int64_t n, uint64_t seed)
{
    float *p = malloc((size_t)(n > 0 ? n : 1) * sizeof *p);
    REQUIRE(p);
    tb_rng_normal(p, n, seed, 0);
    return p;
}

static inline tb_tensor *normal_tensor(const tb_shape *shape, uint64_t seed)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *t = tb_tensor_new(TB_F32, shape, &err);
    REQUIRE(t);
    tb_rng_normal(tb_tensor_f32_mut(t), tb_tensor_count(t), seed, 0);
    return t;
}

static inline double ref_act(tb_act act, double x)
{
    switch (act) {
    case TB_ACT_GELU_TANH:
        return 0.5 * x * (1 + tanh(sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
    case TB_ACT_GELU_ERF: return 0.5 * x * erfc(-x / sqrt(2));
    case TB_ACT_GELU_QUICK: return x / (1 + exp(-1.702 * x));
    case TB_ACT_SILU: return x / (1 + exp(-x));
    case TB_ACT_NONE: break;
    }
    return x;
}
