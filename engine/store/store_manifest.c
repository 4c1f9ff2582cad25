/* store_manifest.c - values as text that names blobs.
 *
 * {"outputs":[[element, ...], ...]}: one list per output slot, values as in value.h, a tensor as
 * {"$tensor":{"blob":hex,"dtype":"F32","shape":[...]}}. Equal values give equal text.
 */
#include "store/store_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"

static void add_blob(tbi_blob_list *l, const tbi_blob *b)
{
    for (size_t i = 0; i < l->count; i++)
        if (tb_digest_eq(&l->items[i].digest, &b->digest))
            return;
    TB_GROW(l->items, l->cap, l->count + 1);
    l->items[l->count++] = *b;
}

static json_t *put_tensor(void *ctx, const tb_tensor *t, tb_err *err)
{
    const size_t size = tb_tensor_bytes(t);
    if (size > TBI_BLOB_MAX) {
        tb_err_set(err, TB_ELIMIT,
                   "a tensor of %zu bytes is too large to be stored; at most 4 GiB are", size);
        return NULL;
    }
    const tbi_blob b = { tb_digest_of(tb_tensor_data(t), size), tb_tensor_data(t), size };
    char hex[TB_DIGEST_HEX];
    json_t *shape = json_array();
    for (int i = 0; i < tb_tensor_shape(t)->n; i++)
        json_array_append_new(shape, json_integer(tb_tensor_shape(t)->d[i]));
    add_blob(ctx, &b);
    return json_pack("{ss,ss,so}", "blob", tb_digest_hex(&b.digest, hex), "dtype",
                     tb_dtype_name(tb_tensor_dtype(t)), "shape", shape);
}

char *tbi_manifest_write(tb_value *const *outputs, int count, tbi_blob_list *blobs, tb_err *err)
{
    json_t *all = json_array();
    for (int i = 0; i < count; i++) {
        json_t *j = tb_value_to_json(outputs[i], put_tensor, blobs, err);
        if (!j) {
            tb_err_set(err, TB_EINVAL, "output %d cannot be stored", i);
            json_decref(all);
            return NULL;
        }
        json_array_append_new(all, j);
    }
    json_t *root = json_pack("{so}", "outputs", all);
    char *text = tb_json_canonical(root);
    json_decref(root);
    return text;
}

typedef struct reading {
    tb_store *s;
    tb_digest *bad;
} reading;

static bool read_shape(const json_t *j, tb_shape *shape)
{
    if (!json_is_array(j) || json_array_size(j) > TB_MAX_DIMS)
        return false;
    *shape = (tb_shape){ .n = (int)json_array_size(j) };
    for (int i = 0; i < shape->n; i++) {
        const json_t *d = json_array_get(j, (size_t)i);
        if (!json_is_integer(d))
            return false;
        shape->d[i] = json_integer_value(d);
    }
    return true;
}

static tb_tensor *get_tensor(void *ctx, const json_t *ref, tb_err *err)
{
    const reading *r = ctx;
    const char *hex = json_string_value(json_object_get(ref, "blob"));
    const char *name = json_string_value(json_object_get(ref, "dtype"));
    const int dtype = name ? tb_dtype_parse(name) : -1;
    tb_digest d;
    tb_shape shape;
    tb_tensor *t = NULL;
    if (!hex || !tb_digest_parse(&d, hex) || dtype < 0 ||
        !read_shape(json_object_get(ref, "shape"), &shape)) {
        tb_err_set(err, TB_EFORMAT, "a stored tensor is malformed");
        return NULL;
    }
    if (tbi_blob_load(r->s, &d, (tb_dtype)dtype, &shape, &t, err) != TB_OK)
        *r->bad = d;
    return t;
}

static void drop(tb_value ***outputs, int *count)
{
    for (int i = 0; i < *count; i++)
        tb_value_unref(&(*outputs)[i]);
    free(*outputs);
    *outputs = NULL;
    *count = 0;
}

tb_status tbi_manifest_read(tb_store *s, const char *text, tb_value ***outputs, int *count,
                            tb_digest *bad, tb_err *err)
{
    tb_err own = TB_ERR_INIT;
    reading r = { s, bad };
    json_t *root = tb_json_parse(text, strlen(text), "a stored result", &own);
    const json_t *all = json_object_get(root, "outputs");
    const int n = (int)json_array_size(all);
    *bad = (tb_digest){ 0 };
    *outputs = tb_xcalloc((size_t)n, sizeof **outputs);
    *count = 0;
    while (*count < n) {
        tb_value *v = tb_value_from_json(json_array_get(all, (size_t)*count), get_tensor, &r, &own);
        if (v)
            (*outputs)[(*count)++] = v;
        if (!v || tb_value_kind(v) != TB_LIST) {
            tb_err_set(&own, TB_EFORMAT, "a stored result is malformed");
            break;
        }
    }
    if (!json_is_array(all))
        tb_err_set(&own, TB_EFORMAT, "a stored result is malformed");
    json_decref(root);
    if (own.status == TB_OK)
        return TB_OK;
    drop(outputs, count);
    return tb_err_set(err, own.status, "%s", own.message);
}
