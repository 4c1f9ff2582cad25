/* weights_scale.h - the factors that files of scaled fp8 weights carry beside them. For formats/
 * only.
 *
 * ComfyUI's forms: "X.scale_weight" (and the marker "scaled_fp8"), newer "X.weight_scale" with
 * "X.comfy_quant", a JSON text that names the format; the factors are for "X.weight", one for all
 * or one for each row. "X.scale_input" and "X.input_scale" are for multiplying in fp8, which is not
 * done here.
 */
#pragma once

#include "compute/tensor.h"

typedef struct tbi_named {
    char *name;
    tb_tensor *tensor;
} tbi_named;

/* Is it one of those that say nothing we need? */
bool tbi_weights_is_marker(const char *name);
/* Give every weight its factors and take those out of the array, whose length becomes less.
 * TB_EFORMAT when a factor has no weight, does not fit it, or belongs to another quantisation. */
tb_status tbi_weights_apply_scales(const char *path, tbi_named *items, int *count, tb_err *err);
