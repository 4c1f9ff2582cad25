/* weights_names.c - what to say when a tensor is not there. */
#include "formats/weights_names.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/str.h"

/* "blocks.1.fnn" against "blocks.1.ffn": other letters, the same digits in the same order. */
static bool same_digits(const char *a, const char *b)
{
    static const char digits[] = "0123456789";
    for (;; a++, b++) {
        a += strcspn(a, digits);
        b += strcspn(b, digits);
        if (*a != *b)
            return false;
        if (!*a)
            return true;
    }
}

/* Of two names as near, the one with the same numbers: a tensor of another block is there for its
 * own sake, a misspelt one is what was meant. */
tb_status tbi_missing_tensor(const char *file, const char *name, const void *container, int count,
                             tbi_name_at at, tb_err *err)
{
    const char *near = NULL;
    int best = INT_MAX;
    for (int i = 0; i < count; i++) {
        const char *other = at(container, i);
        const int d = tb_str_distance(name, other);
        if (d < best || (d == best && same_digits(name, other) && !same_digits(name, near))) {
            best = d;
            near = other;
        }
    }
    if (!near)
        return tb_err_set(err, TB_ENOTFOUND, "'%s' has no tensor '%.120s': it holds no tensors",
                          file, name);
    return tb_err_set(err, TB_ENOTFOUND,
                      "'%s' has no tensor '%.120s'; the nearest name it has is '%.120s'", file,
                      name, near);
}
