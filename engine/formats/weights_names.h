/* weights_names.h - what to say when a tensor is not there. For formats/ only. */
#pragma once

#include "base/err.h"

/* Lends the i-th name of a container. */
typedef const char *(*tbi_name_at)(const void *container, int i);

/* TB_ENOTFOUND: "'FILE' has no tensor 'NAME'; the nearest name it has is 'NEAR'". Returns the
 * status. */
tb_status tbi_missing_tensor(const char *file, const char *name, const void *container, int count,
                             tbi_name_at at, tb_err *err);
