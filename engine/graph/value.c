/* value.c - immutable, refcounted values: scalars, strings, tensors, records, lists. */
#include "graph/value.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct tb_value {
    atomic_int refs;
    tb_kind kind;
    bool is_unsigned; /* an INT above INT64_MAX: u.i has its bits */
    union {
        bool b;
        int64_t i;
        double f;
        char *s;
        tb_tensor *t;
    } u;
    /* records and lists */
    tb_value **items;
    char **names; /* records only */
    int count;
    size_t cap, names_cap;
};

static tb_value *make(tb_kind kind)
{
    tb_value *v = tb_xcalloc(1, sizeof *v);
    atomic_init(&v->refs, 1);
    v->kind = kind;
    return v;
}

tb_value *tb_value_none(void)
{
    return make(TB_NONE);
}

tb_value *tb_value_bool(bool b)
{
    tb_value *v = make(TB_BOOLEAN);
    v->u.b = b;
    return v;
}

tb_value *tb_value_int(int64_t i)
{
    tb_value *v = make(TB_INT);
    v->u.i = i;
    return v;
}

tb_value *tb_value_uint(uint64_t u)
{
    tb_value *v = tb_value_int((int64_t)u);
    v->is_unsigned = u > INT64_MAX;
    return v;
}

bool tb_value_is_unsigned(const tb_value *v)
{
    return v->is_unsigned;
}

tb_value *tb_value_float(double f)
{
    tb_value *v = make(TB_FLOAT);
    v->u.f = f;
    return v;
}

tb_value *tb_value_string(const char *s)
{
    tb_value *v = make(TB_STRING);
    v->u.s = tb_xstrdup(s);
    return v;
}

tb_value *tb_value_tensor_take(tb_tensor *t)
{
    assert(t);
    tb_value *v = make(TB_TENSOR);
    v->u.t = t;
    return v;
}

tb_value *tb_value_record(void)
{
    return make(TB_RECORD);
}

tb_value *tb_value_list(void)
{
    return make(TB_LIST);
}

tb_value *tb_value_ref(const tb_value *v)
{
    tb_value *m = (tb_value *)(uintptr_t)v; /* the count is not part of the value */
    atomic_fetch_add(&m->refs, 1);
    return m;
}

void tb_value_unref(tb_value **vp)
{
    tb_value *v = *vp;
    *vp = NULL;
    if (!v || atomic_fetch_sub(&v->refs, 1) != 1)
        return;
    if (v->kind == TB_STRING)
        free(v->u.s);
    else if (v->kind == TB_TENSOR)
        tb_tensor_unref(&v->u.t);
    for (int i = 0; i < v->count; i++) {
        tb_value_unref(&v->items[i]);
        if (v->names)
            free(v->names[i]);
    }
    free(v->items);
    free(v->names);
    free(v);
}

tb_kind tb_value_kind(const tb_value *v)
{
    return v->kind;
}

bool tb_value_as_bool(const tb_value *v)
{
    assert(v->kind == TB_BOOLEAN);
    return v->u.b;
}

int64_t tb_value_as_int(const tb_value *v)
{
    assert(v->kind == TB_INT || v->kind == TB_BOOLEAN);
    return v->kind == TB_INT ? v->u.i : v->u.b;
}

double tb_value_as_float(const tb_value *v)
{
    assert(v->kind == TB_INT || v->kind == TB_FLOAT);
    if (v->is_unsigned)
        return (double)(uint64_t)v->u.i;
    return v->kind == TB_INT ? (double)v->u.i : v->u.f;
}

const char *tb_value_as_string(const tb_value *v)
{
    assert(v->kind == TB_STRING);
    return v->u.s;
}

const tb_tensor *tb_value_as_tensor(const tb_value *v)
{
    assert(v->kind == TB_TENSOR);
    return v->u.t;
}

#define BLOCKED "$blocked"

tb_value *tb_value_blocked(const char *message)
{
    tb_value *v = tb_value_record();
    tb_record_set_take(v, BLOCKED, tb_value_string(message ? message : ""));
    return v;
}

bool tb_value_is_blocked(const tb_value *v)
{
    return v->kind == TB_RECORD && v->count == 1 && strcmp(v->names[0], BLOCKED) == 0 &&
           v->items[0]->kind == TB_STRING;
}

const char *tb_value_blocked_message(const tb_value *v)
{
    const char *message = v->items[0]->u.s;
    return *message ? message : NULL;
}

static int find(const tb_value *record, const char *name)
{
    for (int i = 0; i < record->count; i++)
        if (strcmp(record->names[i], name) == 0)
            return i;
    return -1;
}

void tb_record_set_take(tb_value *record, const char *name, tb_value *v)
{
    assert(record->kind == TB_RECORD && v);
    const int at = find(record, name);
    if (at >= 0) {
        tb_value_unref(&record->items[at]);
        record->items[at] = v;
        return;
    }
    TB_GROW(record->names, record->names_cap, record->count + 1);
    record->names[record->count] = tb_xstrdup(name);
    TB_GROW(record->items, record->cap, record->count + 1);
    record->items[record->count++] = v;
}

const tb_value *tb_record_get(const tb_value *record, const char *name)
{
    if (!record || record->kind != TB_RECORD)
        return NULL;
    const int at = find(record, name);
    return at < 0 ? NULL : record->items[at];
}

const tb_tensor *tb_record_tensor(const tb_value *record, const char *name)
{
    const tb_value *v = tb_record_get(record, name);
    return v && v->kind == TB_TENSOR ? v->u.t : NULL;
}

tb_value *tb_record_copy(const tb_value *record)
{
    tb_value *copy = tb_value_record();
    for (int i = 0; i < record->count; i++)
        tb_record_set_take(copy, record->names[i], tb_value_ref(record->items[i]));
    return copy;
}

int tb_record_count(const tb_value *record)
{
    return record->count;
}

const char *tb_record_name(const tb_value *record, int i)
{
    return record->names[i];
}

const tb_value *tb_record_at(const tb_value *record, int i)
{
    return record->items[i];
}

void tb_list_append_take(tb_value *list, tb_value *v)
{
    assert(list->kind == TB_LIST && v);
    TB_GROW(list->items, list->cap, list->count + 1);
    list->items[list->count++] = v;
}

int tb_list_count(const tb_value *list)
{
    assert(list->kind == TB_LIST);
    return list->count;
}

const tb_value *tb_list_at(const tb_value *list, int i)
{
    assert(list->kind == TB_LIST && i >= 0 && i < list->count);
    return list->items[i];
}

size_t tb_value_bytes(const tb_value *v)
{
    size_t n = v->kind == TB_TENSOR ? tb_tensor_bytes(v->u.t) : 0;
    for (int i = 0; i < v->count; i++)
        n += tb_value_bytes(v->items[i]);
    return n;
}

/* JSON: scalars and strings as they are, lists as arrays, records as {"$record": [[name, value],
 * ...]} (an object would lose nothing but the order), tensors as whatever `put` makes of them under
 * "$tensor". */
static json_t *items_to_json(const tb_value *v, tb_tensor_put put, void *ctx, tb_err *err)
{
    json_t *array = json_array();
    for (int i = 0; i < v->count; i++) {
        json_t *item = tb_value_to_json(v->items[i], put, ctx, err);
        if (!item) {
            json_decref(array);
            return NULL;
        }
        if (v->kind == TB_RECORD)
            item = json_pack("[so]", v->names[i], item);
        json_array_append_new(array, item);
    }
    return v->kind == TB_LIST ? array : json_pack("{so}", "$record", array);
}

json_t *tb_value_to_json(const tb_value *v, tb_tensor_put put, void *ctx, tb_err *err)
{
    switch (v->kind) {
    case TB_NONE: return json_null();
    case TB_BOOLEAN: return json_boolean(v->u.b);
    case TB_INT: return v->is_unsigned ? tb_json_of_uint64((uint64_t)v->u.i) : json_integer(v->u.i);
    case TB_FLOAT: {
        json_t *j = json_real(v->u.f); /* JSON has no NaN and no infinity */
        return j ? j
                 : json_pack("{ss}", "$float",
                             v->u.f > 0   ? "inf"
                             : v->u.f < 0 ? "-inf"
                                          : "nan");
    }
    case TB_STRING: {
        json_t *j = json_string(v->u.s);
        if (!j)
            tb_err_set(err, TB_EINVAL, "a text is not valid UTF-8");
        return j;
    }
    case TB_LIST:
    case TB_RECORD: return items_to_json(v, put, ctx, err);
    case TB_TENSOR: {
        json_t *ref = put ? put(ctx, v->u.t, err) : NULL;
        if (!ref && !put)
            tb_err_set(err, TB_EINVAL, "a tensor cannot stand here");
        return ref ? json_pack("{so}", "$tensor", ref) : NULL;
    }
    }
    return NULL;
}

static tb_value *record_from_json(const json_t *rows, tb_tensor_get get, void *ctx, tb_err *err)
{
    tb_value *r = tb_value_record();
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        const char *name = json_string_value(json_array_get(row, 0));
        tb_value *item = name ? tb_value_from_json(json_array_get(row, 1), get, ctx, err) : NULL;
        if (!item) {
            tb_err_set(err, TB_EFORMAT, "a stored record is malformed");
            tb_value_unref(&r);
            return NULL;
        }
        tb_record_set_take(r, name, item);
    }
    return r;
}

static tb_value *long_int_from_json(const char *digits, tb_err *err)
{
    char *end;
    errno = 0;
    const unsigned long long u = strtoull(digits, &end, 10);
    if (*digits != '-' && errno == 0)
        return tb_value_uint(u);
    tb_err_set(err, TB_EINVAL, "%.60s has more than 64 bits", digits);
    tb_err_reason(err, *digits == '-' ? "value_smaller_than_min" : "value_bigger_than_max");
    return NULL;
}

static tb_value *object_from_json(const json_t *j, tb_tensor_get get, void *ctx, tb_err *err)
{
    const json_t *ref = json_object_get(j, "$tensor"), *rows = json_object_get(j, "$record");
    const char *f = json_string_value(json_object_get(j, "$float"));
    if (ref && get) {
        tb_tensor *t = get(ctx, ref, err);
        return t ? tb_value_tensor_take(t) : NULL;
    }
    if (json_is_array(rows))
        return record_from_json(rows, get, ctx, err);
    if (f)
        return tb_value_float(strtod(f, NULL));
    if (tb_json_long_int(j))
        return long_int_from_json(tb_json_long_int(j), err);
    tb_err_set(err, TB_EFORMAT, "a stored value is malformed");
    return NULL;
}

tb_value *tb_value_from_json(const json_t *j, tb_tensor_get get, void *ctx, tb_err *err)
{
    if (json_is_boolean(j))
        return tb_value_bool(json_is_true(j));
    if (json_is_integer(j))
        return tb_value_int(json_integer_value(j));
    if (json_is_real(j))
        return tb_value_float(json_real_value(j));
    if (json_is_string(j))
        return tb_value_string(json_string_value(j));
    if (json_is_object(j))
        return object_from_json(j, get, ctx, err);
    if (!json_is_array(j))
        return tb_value_none();
    tb_value *list = tb_value_list();
    size_t i;
    json_t *item;
    json_array_foreach(j, i, item)
    {
        tb_value *v = tb_value_from_json(item, get, ctx, err);
        if (!v) {
            tb_value_unref(&list);
            return NULL;
        }
        tb_list_append_take(list, v);
    }
    return list;
}
