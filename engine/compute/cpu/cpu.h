/* cpu.h - which kernels and which OpenBLAS core type this processor gets. */
#pragma once

#include "base/err.h"
#include "compute/cpu/int8.h"
#include "compute/cpu/kernels.h"

/* The best set this processor runs, or the one TUBELET_CPU (plain, avx2, avx512) names. NULL with
 * TB_EINVAL when that is no such set or the processor lacks it. */
const tbi_kernels *tbi_cpu_kernels(tb_err *err);
/* A set by name; NULL when unknown or not runnable here. */
const tbi_kernels *tbi_cpu_kernels_named(const char *name);

/* The int8 set that goes with an f32 set, the best this processor runs. */
const tbi_int8_kernels *tbi_cpu_int8(const tbi_kernels *k);
/* "plain", "avx2" or "vnni"; NULL when unknown or not runnable here. */
const tbi_int8_kernels *tbi_cpu_int8_named(const char *name);

/* The core type OpenBLAS should take: the user's OPENBLAS_CORETYPE, else by cpuid "SkylakeX" or
 * "Haswell", else "" (leave it to OpenBLAS). Debian 12's OpenBLAS 0.3.21 takes processors newer
 * than itself for Prescott, five times slower. */
const char *tbi_cpu_blas_core(void);
