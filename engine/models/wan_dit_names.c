/* wan_dit_names.c - names of the Wan transformer's modules, and one spelling for all of them. */
#include "models/wan_dit_names.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

static const char *const names[DIT_NAMES][2] = {
#define X(id, original, diffusers) [id] = { original, diffusers },
    DIT_NAME_LIST(X)
#undef X
};

const char *tbi_dit_name(dit_name name, dit_naming naming)
{
    return names[name][naming];
}

/* "attn1.to_q" against "attn1_to_q". */
static bool same_flat(const char *name, const char *flat)
{
    for (; *name && *flat; name++, flat++)
        if ((*name == '.' ? '_' : *name) != *flat)
            return false;
    return !*name && !*flat;
}

static void flatten(char *s)
{
    for (; *s; s++)
        *s = *s == '.' ? '_' : *s;
}

/* Where the name goes on behind "blocks_12_"; its beginning when it does not begin so. */
static char *below_block(char *flat)
{
    static const char blocks[] = "blocks_";
    if (!tb_str_starts(flat, blocks))
        return flat;
    char *at = flat + strlen(blocks);
    const size_t digits = strspn(at, "0123456789");
    return digits && at[digits] == '_' ? at + digits + 1 : flat;
}

char *tbi_dit_flat_name(const char *name, size_t n, char flat[DIT_NAME_SIZE])
{
    snprintf(flat, DIT_NAME_SIZE, "%.*s", (int)(n < DIT_NAME_SIZE ? n : DIT_NAME_SIZE), name);
    flatten(flat);
    char *rest = below_block(flat);
    const int from = rest == flat ? 0 : DIT_MODULATION,
              to = rest == flat ? DIT_MODULATION : DIT_NAMES;
    for (int i = from; i < to; i++)
        if (same_flat(names[i][DIT_DIFFUSERS], rest)) {
            snprintf(rest, (size_t)(flat + DIT_NAME_SIZE - rest), "%s", names[i][DIT_ORIGINAL]);
            flatten(rest);
            break;
        }
    return flat;
}

bool tbi_dit_flat_module(const char *tensor, char flat[DIT_NAME_SIZE])
{
    static const char weight[] = ".weight", bias[] = ".bias";
    const bool is_bias = tb_str_ends(tensor, bias);
    const size_t tail = is_bias ? strlen(bias) : tb_str_ends(tensor, weight) ? strlen(weight) : 0;
    tbi_dit_flat_name(tensor, strlen(tensor) - tail, flat);
    return is_bias;
}
