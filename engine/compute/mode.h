/* mode.h - how the large linears of a transformer multiply: in f32, or, when the user asks for it,
 * in int8 (W8A8).
 *
 * Audience: run/, models/ and the command line.
 * Threads:  the mode of a tb_compute is set once, before anything is opened with it.
 */
#pragma once

#include <stdbool.h>

#include "compute/compute.h"

typedef enum tb_mode { TB_MODE_F32, TB_MODE_INT8 } tb_mode;

/* "f32" or "int8"; NULL and "" mean f32. TB_EINVAL names both. */
tb_status tb_mode_parse(const char *text, tb_mode *mode, tb_err *err);
/* The numeric class of results computed so: "cpu-f32/avx512/1", "cpu-int8/avx512/1". Results of
 * different classes have different keys. Static string. */
const char *tb_mode_class(tb_mode mode);
/* The mode of such a class, also of another machine's: its text up to the first '/'. false: it is
 * no class known here. */
bool tb_mode_of_class(const char *text, tb_mode *mode);
const char *tb_mode_name(tb_mode mode); /* as tb_mode_parse reads it; static string */

/* Models that are opened with this tb_compute take the mode: a new one is in TB_MODE_F32. */
void tb_compute_set_mode(tb_compute *c, tb_mode mode);
tb_mode tb_compute_mode(const tb_compute *c);
/* The kernels that int8 would run on here: "vnni", "avx2" or "plain". */
const char *tb_compute_int8_kernels(const tb_compute *c);
