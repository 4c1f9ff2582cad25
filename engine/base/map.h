/* map.h - a hash map from strings to numbers (indices into somebody's array).
 *
 * Memory: keys are copied. Order of insertion is not kept.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef struct tb_map tb_map;

tb_map *tb_map_new(void);
void tb_map_free(tb_map **m);
/* Insert or replace. */
void tb_map_set(tb_map *m, const char *key, int64_t value);
/* The value, or -1 when the key is not there. */
int64_t tb_map_get(const tb_map *m, const char *key);
size_t tb_map_count(const tb_map *m);
