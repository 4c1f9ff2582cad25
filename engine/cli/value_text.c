/* value_text.c - a value as one line: numbers and texts in full, tensors by dtype and shape,
 * records as { name = value, ... }, lists as [a, b].
 */
#include <stdlib.h>

#include "base/str.h"
#include "cli/session.h"

static void add_value(tb_str *out, const tb_value *v);

static void add_tensor(tb_str *out, const tb_tensor *t)
{
    char shape[96];
    tb_str_addf(out, "%s %s", tb_dtype_name(tb_tensor_dtype(t)),
                tb_shape_text(tb_tensor_shape(t), shape, sizeof shape));
}

static void add_record(tb_str *out, const tb_value *v)
{
    tb_str_add(out, "{");
    for (int i = 0; i < tb_record_count(v); i++) {
        tb_str_addf(out, "%s%s = ", i ? ", " : " ", tb_record_name(v, i));
        add_value(out, tb_record_at(v, i));
    }
    tb_str_add(out, " }");
}

static void add_list(tb_str *out, const tb_value *v)
{
    tb_str_add(out, "[");
    for (int i = 0; i < tb_list_count(v); i++) {
        tb_str_add(out, i ? ", " : "");
        add_value(out, tb_list_at(v, i));
    }
    tb_str_add(out, "]");
}

static void add_scalar(tb_str *out, const tb_value *v)
{
    tb_err err = TB_ERR_INIT;
    json_t *j = tb_value_to_json(v, NULL, NULL, &err);
    char *text = tb_json_long_ints_take(j ? tb_json_canonical(j) : NULL);
    tb_str_add(out, text ? text : err.message);
    free(text);
    json_decref(j);
}

static void add_value(tb_str *out, const tb_value *v)
{
    switch (tb_value_kind(v)) {
    case TB_TENSOR: add_tensor(out, tb_value_as_tensor(v)); break;
    case TB_RECORD: add_record(out, v); break;
    case TB_LIST: add_list(out, v); break;
    case TB_NONE:
    case TB_BOOLEAN:
    case TB_INT:
    case TB_FLOAT:
    case TB_STRING: add_scalar(out, v); break;
    }
}

char *cli_value_text(const tb_value *v)
{
    tb_str out = TB_STR_INIT;
    add_value(&out, v);
    return tb_str_take(&out);
}
