/* weights_scale.c - scaled fp8: factors find their weights. */
#include "formats/weights_scale.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"

static const char note[] = ".comfy_quant";

bool tbi_weights_is_marker(const char *name)
{
    return strcmp(name, "scaled_fp8") == 0 || tb_str_ends(name, ".scaled_fp8") ||
           tb_str_ends(name, ".scale_input") || tb_str_ends(name, ".input_scale");
}

/* Length of X in "X.scale_weight"; 0: it is no factor. */
static size_t stem_of(const char *name)
{
    static const char *const tails[] = { ".scale_weight", ".weight_scale" };
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++)
        if (tb_str_ends(name, tails[i]))
            return strlen(name) - strlen(tails[i]);
    return 0;
}

static tb_status refuse_format(const char *path, const char *name, const char *format, tb_err *err)
{
    return tb_err_set(err, TB_EFORMAT,
                      "'%s': the weights of '%.120s' are quantised as %.60s, which is not "
                      "supported; take the model in bf16, fp16, fp8 or GGUF",
                      path, name, format);
}

/* {"format": "float8_e4m3fn", ...} */
static tb_status check_note(const char *path, const tbi_named *n, tb_err *err)
{
    json_t *o = tb_tensor_dtype(n->tensor) == TB_U8
                    ? json_loadb(tb_tensor_data(n->tensor), tb_tensor_bytes(n->tensor), 0, NULL)
                    : NULL;
    const char *format = json_string_value(json_object_get(o, "format"));
    char *stem = tb_xstrndup(n->name, strlen(n->name) - strlen(note));
    tb_status st = TB_OK;
    if (!format || (strcmp(format, "float8_e4m3fn") != 0 && strcmp(format, "float8_e5m2") != 0))
        st = refuse_format(path, stem, format ? format : "something unnamed", err);
    else if (json_is_true(json_object_get(o, "convrot")))
        st = refuse_format(path, stem, "rotated fp8 (convrot)", err);
    free(stem);
    json_decref(o);
    return st;
}

static bool is_integer(tb_dtype dtype)
{
    return dtype == TB_U8 || dtype == TB_I8 || dtype == TB_I16 || dtype == TB_I32 ||
           dtype == TB_I64 || dtype == TB_BOOL;
}

static tb_status scale(const char *path, const tbi_named *factor, tbi_named *weight, tb_err *err)
{
    if (is_integer(tb_tensor_dtype(weight->tensor)))
        return refuse_format(path, weight->name, "integers (int8, nvfp4, ...)", err);
    tb_tensor *t = tb_tensor_scaled(weight->tensor, factor->tensor, err);
    if (!t) {
        tb_err_prefix(err, "'%s': '%.120s' does not fit its weight: ", path, factor->name);
        return TB_EFORMAT;
    }
    tb_tensor_unref(&weight->tensor);
    weight->tensor = t;
    return TB_OK;
}

static tb_status apply_one(const char *path, tbi_named *items, const tb_map *by_name, int i,
                           tb_err *err)
{
    const size_t stem = stem_of(items[i].name);
    if (tb_str_ends(items[i].name, note))
        return check_note(path, &items[i], err);
    if (tb_str_ends(items[i].name, ".weight_scale_2"))
        return refuse_format(path, items[i].name, "nvfp4", err);
    if (!stem)
        return TB_OK;
    char *name = tb_xasprintf("%.*s.weight", (int)stem, items[i].name);
    const int64_t weight = tb_map_get(by_name, name);
    const tb_status st =
        weight >= 0 ? scale(path, &items[i], &items[weight], err)
                    : tb_err_set(err, TB_EFORMAT,
                                 "'%s': '%.120s' scales no weight: there is no tensor '%.120s'",
                                 path, items[i].name, name);
    free(name);
    return st;
}

tb_status tbi_weights_apply_scales(const char *path, tbi_named *items, int *count, tb_err *err)
{
    tb_map *by_name = tb_map_new();
    tb_status st = TB_OK;
    int kept = 0;
    for (int i = 0; i < *count; i++)
        tb_map_set(by_name, items[i].name, i);
    for (int i = 0; i < *count && st == TB_OK; i++)
        st = apply_one(path, items, by_name, i, err);
    tb_map_free(&by_name);
    TB_TRY(st);
    for (int i = 0; i < *count; i++) {
        if (!stem_of(items[i].name) && !tb_str_ends(items[i].name, note)) {
            items[kept++] = items[i];
            continue;
        }
        free(items[i].name);
        tb_tensor_unref(&items[i].tensor);
    }
    *count = kept;
    return TB_OK;
}
