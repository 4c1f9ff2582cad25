/* cpu.c - cpuid, and the choice of kernels. */
#include "compute/cpu/cpu.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool has_avx512(void)
{
#ifdef __x86_64__
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
#else
    return false;
#endif
}

static bool has_avx2(void)
{
#ifdef __x86_64__
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("f16c");
#else
    return false;
#endif
}

const tbi_kernels *tbi_cpu_kernels_named(const char *name)
{
#ifdef __x86_64__
    if (strcmp(name, "avx512") == 0)
        return has_avx512() ? &tbi_kernels_avx512 : NULL;
    if (strcmp(name, "avx2") == 0)
        return has_avx2() ? &tbi_kernels_avx2 : NULL;
#endif
    return strcmp(name, "plain") == 0 ? &tbi_kernels_plain : NULL;
}

static const tbi_kernels *best(void)
{
    const tbi_kernels *k = tbi_cpu_kernels_named("avx512");
    if (!k)
        k = tbi_cpu_kernels_named("avx2");
    return k ? k : &tbi_kernels_plain;
}

const tbi_kernels *tbi_cpu_kernels(tb_err *err)
{
    const char *wanted = getenv("TUBELET_CPU");
    if (!wanted || !*wanted)
        return best();
    const tbi_kernels *k = tbi_cpu_kernels_named(wanted);
    if (!k)
        tb_err_set(err, TB_EINVAL,
                   "TUBELET_CPU must be plain, avx2 or avx512 and this processor must have it (the "
                   "best here is "
                   "%s), got '%s'",
                   best()->name, wanted);
    return k;
}

const tbi_int8_kernels *tbi_cpu_int8_named(const char *name)
{
#ifdef __x86_64__
    if (strcmp(name, "vnni") == 0)
        return has_avx512() && __builtin_cpu_supports("avx512vnni") ? &tbi_int8_vnni : NULL;
    if (strcmp(name, "avx2") == 0)
        return has_avx2() ? &tbi_int8_avx2 : NULL;
#endif
    return strcmp(name, "plain") == 0 ? &tbi_int8_plain : NULL;
}

const tbi_int8_kernels *tbi_cpu_int8(const tbi_kernels *k)
{
    const tbi_int8_kernels *best = NULL;
    if (strcmp(k->name, "avx512") == 0)
        best = tbi_cpu_int8_named("vnni");
    if (!best && strcmp(k->name, "plain") != 0)
        best = tbi_cpu_int8_named("avx2");
    return best ? best : &tbi_int8_plain;
}

const char *tbi_cpu_blas_core(void)
{
    const char *user = getenv("OPENBLAS_CORETYPE");
    if (user && *user)
        return user;
    return has_avx512() ? "SkylakeX" : has_avx2() ? "Haswell" : "";
}
