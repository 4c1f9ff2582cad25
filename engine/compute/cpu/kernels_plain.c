/* kernels_plain.c - the kernels in plain C: the reference of the others, and every other
 * processor's set. */
#include "compute/cpu/kernels.h"

#include "compute/cpu/vec_plain.h"

#define KERNELS      tbi_kernels_plain
#define KERNELS_NAME "plain"
#include "compute/cpu/kernels_body.h"
