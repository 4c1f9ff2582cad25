/* weights_names.c - what to say when a tensor is not there. */
#include "formats/weights_names.h"

#include <limits.h>
#include <stddef.h>

#include "base/str.h"

tb_status tbi_missing_tensor(const char *file, const char *name, const void *container, int count,
                             tbi_name_at at, tb_err *err)
{
    const char *near = NULL;
    int best = INT_MAX;
    for (int i = 0; i < count; i++) {
        const int d = tb_str_distance(name, at(container, i));
        if (d < best) {
            best = d;
            near = at(container, i);
        }
    }
    if (!near)
        return tb_err_set(err, TB_ENOTFOUND, "'%s' has no tensor '%.120s': it holds no tensors",
                          file, name);
    return tb_err_set(err, TB_ENOTFOUND,
                      "'%s' has no tensor '%.120s'; the nearest name it has is '%.120s'", file,
                      name, near);
}
