/* kernels_avx2.c - the kernels for avx2; compiled with its flags, called only where cpuid has it.
 */
#include "compute/cpu/kernels.h"

#ifdef __x86_64__
#include "compute/cpu/vec_avx2.h"

#define KERNELS      tbi_kernels_avx2
#define KERNELS_NAME "avx2"
#include "compute/cpu/kernels_body.h"
#endif
