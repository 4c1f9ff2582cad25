/* kernels_avx512.c - the kernels for avx512; compiled with its flags, called only where cpuid has
 * it. */
#include "compute/cpu/kernels.h"

#ifdef __x86_64__
#include "compute/cpu/vec_avx512.h"

#define KERNELS      tbi_kernels_avx512
#define KERNELS_NAME "avx512"
#include "compute/cpu/kernels_body.h"
#endif
