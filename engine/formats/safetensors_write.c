/* safetensors_write.c - writing: header, padding, the tensors one after another. */
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "formats/safetensors.h"

#define ALIGN 64u /* the data starts at a multiple of this, so that mapped tensors are aligned */

static json_t *describe(const tb_tensor *t, size_t begin)
{
    json_t *shape = json_array();
    for (int i = 0; i < tb_tensor_shape(t)->n; i++)
        json_array_append_new(shape, json_integer(tb_tensor_dim(t, i)));
    return json_pack("{s:s, s:o, s:[I,I]}", "dtype", tb_dtype_name(tb_tensor_dtype(t)), "shape",
                     shape, "data_offsets", (json_int_t)begin,
                     (json_int_t)(begin + tb_tensor_bytes(t)));
}

static tb_status add_tensor(json_t *header, const char *name, const tb_tensor *t, size_t begin,
                            tb_err *err)
{
    if (strcmp(name, "__metadata__") == 0 || json_object_get(header, name))
        return tb_err_set(err, TB_EINVAL,
                          "a safetensors file cannot hold two entries named '%.120s'", name);
    if (json_object_set_new(header, name, describe(t, begin)) != 0)
        return tb_err_set(err, TB_EINVAL, "tensor name '%.120s' is not valid UTF-8", name);
    return TB_OK;
}

/* The header as text, and the bytes of data behind it. */
static tb_status make_header(int count, const char *const *names, const tb_tensor *const *tensors,
                             const json_t *metadata, char **text, size_t *data_bytes, tb_err *err)
{
    tb_status st = TB_OK;
    size_t at = 0;
    json_t *header = json_object();
    if (metadata)
        json_object_set_new(header, "__metadata__", json_deep_copy(metadata));
    for (int i = 0; i < count && st == TB_OK; i++) {
        st = add_tensor(header, names[i], tensors[i], at, err);
        at += tb_tensor_bytes(tensors[i]);
    }
    if (st == TB_OK)
        *text = json_dumps(header, JSON_COMPACT);
    *data_bytes = at;
    json_decref(header);
    return st;
}

/* Length, text and padding: *size bytes, data follows. Freed by free(). */
static char *make_head(const char *text, size_t *size)
{
    const size_t used = strlen(text);
    *size = (8 + used + ALIGN - 1) / ALIGN * ALIGN;
    char *head = tb_xcalloc(*size, 1);
    for (int i = 0; i < 8; i++)
        head[i] = (char)((uint64_t)(*size - 8) >> (8 * i) & 0xff);
    memcpy(head + 8, text, used);
    memset(head + 8 + used, ' ', *size - 8 - used);
    return head;
}

/* The header of a file in memory, and where its data begins. New reference; NULL: it is none. */
static json_t *read_head(const char *data, size_t n, size_t *data_at)
{
    uint64_t length = 0;
    for (int i = 7; i >= 0 && n >= 8; i--)
        length = length << 8 | (unsigned char)data[i];
    if (n < 8 || length > n - 8)
        return NULL;
    *data_at = 8 + (size_t)length;
    return tb_json_parse(data + 8, (size_t)length, "the header", NULL);
}

tb_tensor *tb_safetensors_embed(const tb_tensor *file, const json_t *texts, tb_err *err)
{
    const char *bytes = tb_tensor_data(file);
    size_t data_at = 0, head_size;
    json_t *header = read_head(bytes, tb_tensor_bytes(file), &data_at);
    if (!header) {
        tb_err_set(err, TB_EFORMAT, "the file is no safetensors file");
        return NULL;
    }
    json_t *metadata = json_object(), *all = json_object();
    json_object_update(metadata, json_object_get(header, "__metadata__"));
    json_object_update(metadata, (json_t *)(uintptr_t)texts);
    json_object_set_new(all, "__metadata__", metadata);
    json_object_update_missing(all, header);
    char *text = json_dumps(all, JSON_COMPACT), *head = make_head(text, &head_size);
    const size_t rest = tb_tensor_bytes(file) - data_at;
    tb_tensor *t = tb_tensor_new(TB_U8, &TB_SHAPE((int64_t)(head_size + rest)), err);
    if (t) {
        memcpy(tb_tensor_data_mut(t), head, head_size);
        memcpy((char *)tb_tensor_data_mut(t) + head_size, bytes + data_at, rest);
    }
    free(head);
    free(text);
    json_decref(all);
    json_decref(header);
    return t;
}

tb_status tb_safetensors_encode(int count, const char *const *names,
                                const tb_tensor *const *tensors, const json_t *metadata,
                                char **data, size_t *size, tb_err *err)
{
    char *text = NULL;
    size_t bytes = 0;
    TB_TRY(make_header(count, names, tensors, metadata, &text, &bytes, err));
    size_t head;
    char *begin = make_head(text, &head), *out = malloc(head + bytes);
    free(text);
    if (!out) {
        free(begin);
        return tb_err_set(err, TB_ENOMEM, "no memory to write %zu bytes of tensors", head + bytes);
    }
    memcpy(out, begin, head);
    free(begin);
    char *p = out + head;
    for (int i = 0; i < count; i++) {
        memcpy(p, tb_tensor_data(tensors[i]), tb_tensor_bytes(tensors[i]));
        p += tb_tensor_bytes(tensors[i]);
    }
    *data = out;
    *size = head + bytes;
    return TB_OK;
}

tb_status tb_safetensors_write(const char *path, int count, const char *const *names,
                               const tb_tensor *const *tensors, const json_t *metadata, tb_err *err)
{
    char *data = NULL;
    size_t size = 0;
    TB_TRY(tb_safetensors_encode(count, names, tensors, metadata, &data, &size, err));
    const tb_status st = tb_fs_write(path, data, size, false, err);
    free(data);
    return st;
}
