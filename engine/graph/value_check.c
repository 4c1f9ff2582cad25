/* value_check.c - take values apart with a sentence for the user, and map over the tensors of
 * records. */
#include <stdio.h>
#include <string.h>

#include "graph/value.h"

static const char *kind_text(const tb_value *v, char *buf, size_t n)
{
    char shape[100];
    if (!v)
        return "nothing";
    switch (tb_value_kind(v)) {
    case TB_NONE: return "nothing";
    case TB_BOOLEAN: return "a boolean";
    case TB_INT:
    case TB_FLOAT: return "a number";
    case TB_STRING: return "a text";
    case TB_RECORD: return "a record without it";
    case TB_LIST: return "a list";
    case TB_TENSOR: break;
    }
    const tb_tensor *t = tb_value_as_tensor(v);
    snprintf(buf, n, "%s %s", tb_dtype_name(tb_tensor_dtype(t)),
             tb_shape_text(tb_tensor_shape(t), shape, sizeof shape));
    return buf;
}

static bool fits(const tb_tensor *t, const tb_shape *want)
{
    const tb_shape *s = tb_tensor_shape(t);
    if (tb_tensor_dtype(t) != TB_F32 || s->n != want->n)
        return false;
    for (int i = 0; i < want->n; i++)
        if (s->d[i] < 1 || (want->d[i] >= 0 && s->d[i] != want->d[i]))
            return false;
    return true;
}

const tb_tensor *tb_value_want(const tb_value *v, const char *field, const tb_shape *shape,
                               const char *what, tb_err *err)
{
    char buf[160];
    const tb_value *inner = v && field ? tb_record_get(v, field) : v;
    if (inner && tb_value_kind(inner) == TB_TENSOR && fits(tb_value_as_tensor(inner), shape))
        return tb_value_as_tensor(inner);
    tb_err_set(err, TB_EINVAL, "%s, got %s", what, kind_text(inner ? inner : v, buf, sizeof buf));
    return NULL;
}

/* Field `name` of every record, each of the shape of its record's main tensor. */
static bool gather(const tb_value *const *records, int n, const char *main, const char *name,
                   const tb_tensor **in)
{
    for (int i = 0; i < n; i++) {
        in[i] = tb_record_tensor(records[i], name);
        if (!in[i] || !tb_shape_eq(tb_tensor_shape(in[i]),
                                   tb_tensor_shape(tb_record_tensor(records[i], main))))
            return false;
    }
    return true;
}

tb_value *tb_record_map(const tb_value *const *records, int n, const char *main, tb_tensor_fn fn,
                        void *ctx, tb_err *err)
{
    enum { MAX_RECORDS = 8 };
    const tb_tensor *in[MAX_RECORDS];
    if (n < 1 || n > MAX_RECORDS) {
        tb_err_set(err, TB_EINTERNAL, "%d records at once", n);
        return NULL;
    }
    tb_value *out = tb_value_record();
    for (int i = 0; i < tb_record_count(records[0]); i++) {
        const char *name = tb_record_name(records[0], i);
        const tb_value *v = tb_record_at(records[0], i);
        if (tb_value_kind(v) != TB_TENSOR) {
            tb_record_set_take(out, name, tb_value_ref(v));
        } else if (gather(records, n, main, name, in)) {
            tb_tensor *t = fn(ctx, in, n, err);
            if (!t) {
                tb_value_unref(&out);
                return NULL;
            }
            tb_record_set_take(out, name, tb_value_tensor_take(t));
        }
    }
    return out;
}

tb_value *tb_value_file_take(const char *name, tb_tensor *bytes)
{
    tb_value *file = tb_value_record();
    tb_record_set_take(file, "name", tb_value_string(name));
    tb_record_set_take(file, "bytes", tb_value_tensor_take(bytes));
    return file;
}
