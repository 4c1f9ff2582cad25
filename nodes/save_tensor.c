/* save_tensor.c - any value as the tensors of a safetensors file. */
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "formats/safetensors.h"
#include "node.h"

typedef struct params {
    const tb_value *value;
    const char *path, *name;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, value, "*", 0, "A tensor, a number, or a record or list with some inside."),
    TB_IN_STRING(params, path, "out.safetensors", TB_IN_KEY_EXT | TB_IN_UNKEYED,
                 "Where to write: .safetensors."),
    TB_IN_STRING(params, name, "tensor", 0,
                 "Its name in the file; parts are called name.field and name.0."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "file", .type = "FILE", .doc = "The file in memory." },
    { 0 },
};

/* The tensors found so far, and texts as metadata. */
typedef struct entries {
    char **names;
    tb_tensor **tensors;
    int count;
    size_t cap_names, cap_tensors;
    json_t *texts;
} entries;

static void add_take(entries *e, const char *name, tb_tensor *t)
{
    TB_GROW(e->names, e->cap_names, e->count + 1);
    TB_GROW(e->tensors, e->cap_tensors, e->count + 1);
    e->names[e->count] = tb_xstrdup(name);
    e->tensors[e->count++] = t;
}

static void entries_free(entries *e)
{
    for (int i = 0; i < e->count; i++) {
        free(e->names[i]);
        tb_tensor_unref(&e->tensors[i]);
    }
    free(e->names);
    free(e->tensors);
    json_decref(e->texts);
}

static tb_status add_scalar(entries *e, const char *name, tb_dtype dtype, const void *value,
                            tb_err *err)
{
    tb_tensor *t = tb_tensor_new(dtype, &(tb_shape){ 0 }, err);
    if (!t)
        return TB_ENOMEM;
    memcpy(tb_tensor_data_mut(t), value, tb_dtype_size(dtype));
    add_take(e, name, t);
    return TB_OK;
}

static tb_status add_value(entries *e, const char *name, const tb_value *v, tb_err *err);

static tb_status add_items(entries *e, const char *name, const tb_value *v, tb_err *err)
{
    const bool list = tb_value_kind(v) == TB_LIST;
    const int n = list ? tb_list_count(v) : tb_record_count(v);
    tb_status st = TB_OK;
    for (int i = 0; i < n && st == TB_OK; i++) {
        char *part = list ? tb_xasprintf("%s.%d", name, i)
                          : tb_xasprintf("%s.%s", name, tb_record_name(v, i));
        st = add_value(e, part, list ? tb_list_at(v, i) : tb_record_at(v, i), err);
        free(part);
    }
    return st;
}

static tb_status add_value(entries *e, const char *name, const tb_value *v, tb_err *err)
{
    switch (tb_value_kind(v)) {
    case TB_NONE: return TB_OK;
    case TB_TENSOR: add_take(e, name, tb_tensor_ref(tb_value_as_tensor(v))); return TB_OK;
    case TB_INT: return add_scalar(e, name, TB_I64, &(int64_t){ tb_value_as_int(v) }, err);
    case TB_FLOAT: return add_scalar(e, name, TB_F64, &(double){ tb_value_as_float(v) }, err);
    case TB_BOOLEAN: return add_scalar(e, name, TB_BOOL, &(bool){ tb_value_as_bool(v) }, err);
    case TB_STRING:
        json_object_set_new(e->texts, name, json_string(tb_value_as_string(v)));
        return TB_OK;
    case TB_RECORD:
    case TB_LIST: break;
    }
    return add_items(e, name, v, err);
}

static tb_status check_path(const char *path, tb_err *err)
{
    const char *extension = tb_fs_extension(path); /* .latent is ComfyUI's for the same format */
    if (strcmp(extension, "safetensors") == 0 || strcmp(extension, "latent") == 0)
        return TB_OK;
    return tb_err_set(err, TB_EINVAL, "path must end in .safetensors, got '%s'", path);
}

static tb_status plan(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    if (!tb_job_plan_known(job, "path"))
        return TB_OK;
    TB_TRY(check_path(p->path, err));
    return tb_job_check_target(job, p->path, err);
}

static tb_tensor *encode(const entries *e, tb_err *err)
{
    char *data = NULL;
    size_t size = 0;
    const char *const *names = (const char *const *)(const void *)e->names;
    const tb_tensor *const *tensors = (const tb_tensor *const *)(const void *)e->tensors;
    const json_t *texts = json_object_size(e->texts) ? e->texts : NULL;
    if (tb_safetensors_encode(e->count, names, tensors, texts, &data, &size, err) != TB_OK)
        return NULL;
    tb_tensor *t = tb_tensor_new(TB_U8, &TB_SHAPE((int64_t)size), err);
    if (t)
        memcpy(tb_tensor_data_mut(t), data, size);
    free(data);
    return t;
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    entries e = { .texts = json_object() };
    tb_tensor *file = NULL;
    tb_status st = check_path(p->path, err);
    if (st == TB_OK && !*p->name)
        st = tb_err_set(err, TB_EINVAL, "name must not be empty");
    if (st == TB_OK)
        st = add_value(&e, p->name, p->value, err);
    if (st == TB_OK && !e.count)
        st = tb_err_set(err, TB_EINVAL, "value must hold at least one tensor or number, got none");
    if (st == TB_OK && !(file = encode(&e, err)))
        st = err->status;
    if (file)
        tb_job_set_take(job, 0, tb_value_file_take("tensors.safetensors", file));
    entries_free(&e);
    return st;
}

static tb_status deliver(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    return tb_job_deliver_files(job, 0, p->path, "tensors", err);
}

const tb_node_def tb_node_save_tensor = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "save_tensor",
    .title = "Save tensor",
    .category = "tensor",
    .doc = "Write the tensors of a value to a safetensors file.",
    .flags = TB_NODE_IO | TB_NODE_TARGET,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .plan = plan,
    .run = run,
    .deliver = deliver,
    .example = "local m = tb.load_model {}\n"
               "local x = tb.noise_init { model = m.model, size = \"32x32\", frames = 1 }\n"
               "return tb.save_tensor { value = x, path = \"out.safetensors\", name = \"noise\" }",
};
