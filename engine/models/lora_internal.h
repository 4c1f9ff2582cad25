/* lora_internal.h - what the files of LoRAs share: a file, taken apart. */
#pragma once

#include "base/map.h"
#include "models/lora.h"
#include "models/wan_dit_names.h"

typedef enum lora_part {
    LORA_DOWN,
    LORA_UP,
    LORA_UP_BIAS,
    LORA_ALPHA,
    LORA_DIFF,
    LORA_DIFF_BIAS,
    LORA_PARTS
} lora_part;

typedef struct lora_target {
    char *name, *flat;
    tb_tensor *part[LORA_PARTS]; /* over the mapped file; NULL: not there */
    double alpha;                /* NAN: none, the scale is 1 */
} lora_target;

struct tb_lora {
    char *path;
    lora_target *targets;
    int count;
    size_t cap;
    tb_map *by_flat;
    int left_out;
    double alpha;   /* of targets without their own; NAN: none */
    bool rank_root; /* rsLoRA: alpha is divided by the root of the rank */
};
