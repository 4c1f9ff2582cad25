/* tensor_blocks.h - GGML's quantised blocks to f32. For compute/ only. */
#pragma once

#include "compute/tensor.h"

/* One block of tb_dtype_size bytes -> out [tb_dtype_block]. Any alignment. */
typedef void (*tbi_block_decode)(const uint8_t *block, float *out);

/* NULL for dtypes whose elements stand alone. */
tbi_block_decode tbi_block_decoder(tb_dtype dtype);
