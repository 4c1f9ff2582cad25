/* load_tensor.c - a tensor by name from a safetensors file, as whatever port it is wanted for. */
#include <stdlib.h>
#include <string.h>

#include "formats/safetensors.h"
#include "node.h"

typedef struct params {
    const char *path, *name, *as;
} params;

static const tb_input_def inputs[] = {
    TB_IN_STRING(params, path, NULL, TB_IN_FILE, "A safetensors file."),
    TB_IN_STRING(params, name, "", 0, "The tensor's name; empty: the only one there is."),
    TB_IN_COMBO(params, as, "TENSOR", "TENSOR|LATENT|IMAGE|CONDITIONING|MASK", "What it is to be."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "value", .type = "*", .doc = "The tensor, or a record with it." },
    { 0 },
};

/* How each kind holds its tensor. rank 0: any. */
typedef struct layout {
    const char *as, *field, *want;
    tb_shape shape;
} layout;

static const layout layouts[] = {
    { "LATENT",
      "samples",
      "a LATENT must be [channels,frames,height,width]",
      { 4, { -1, -1, -1, -1 } } },
    { "IMAGE", NULL, "an IMAGE must be [frames,height,width,3]", { 4, { -1, -1, -1, 3 } } },
    { "CONDITIONING", "text", "a CONDITIONING must be [tokens,dim]", { 2, { -1, -1 } } },
    { "MASK", NULL, "a MASK must be [frames,height,width]", { 3, { -1, -1, -1 } } },
};

static const layout *layout_of(const char *as)
{
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
        if (strcmp(layouts[i].as, as) == 0)
            return &layouts[i];
    return NULL;
}

static tb_tensor *find(const tb_safetensors *f, const params *p, tb_err *err)
{
    if (*p->name)
        return tb_safetensors_get(f, p->name, err);
    const int n = tb_safetensors_count(f);
    if (n == 1)
        return tb_safetensors_tensor(f, 0, err);
    tb_err_set(err, TB_EINVAL, "name must say which of the %d tensors of '%s' is wanted%s%s%s", n,
               p->path, n ? ", e.g. '" : "", n ? tb_safetensors_name(f, 0) : "", n ? "'" : "");
    return NULL;
}

static tb_tensor *load(tb_job *job, const params *p, tb_err *err)
{
    char *path = tb_job_path(job, p->path, err);
    tb_safetensors *f = path ? tb_safetensors_open(path, err) : NULL;
    tb_tensor *t = f ? find(f, p, err) : NULL;
    tb_safetensors_close(&f);
    free(path);
    return t;
}

/* The tensor as the port needs it, f32 unless any tensor will do. Consumes t. */
static tb_value *wrap_take(tb_tensor *t, const layout *l, tb_err *err)
{
    if (!l)
        return tb_value_tensor_take(t);
    tb_tensor *f = tb_tensor_to_f32(t, err);
    tb_tensor_unref(&t);
    if (!f)
        return NULL;
    tb_value *v = tb_value_tensor_take(f);
    if (!tb_value_want(v, NULL, &l->shape, l->want, err)) {
        tb_value_unref(&v);
        return NULL;
    }
    if (!l->field)
        return v;
    tb_value *record = tb_value_record();
    tb_record_set_take(record, l->field, v);
    return record;
}

static tb_status plan(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    if (!tb_job_plan_known(job, "path") || !tb_job_plan_known(job, "name"))
        return TB_OK;
    tb_tensor *t = load(job, p, err);
    if (!t)
        return err->status;
    tb_job_plan_output(job, 0, layout_of(p->as) ? TB_F32 : tb_tensor_dtype(t), tb_tensor_shape(t));
    tb_tensor_unref(&t);
    return TB_OK;
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    tb_tensor *t = load(job, p, err);
    tb_value *v = t ? wrap_take(t, layout_of(p->as), err) : NULL;
    if (!v)
        return err->status;
    tb_job_set_take(job, 0, v);
    return TB_OK;
}

const tb_node_def tb_node_load_tensor = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "load_tensor",
    .title = "Load tensor",
    .category = "tensor",
    .doc = "Read a tensor by name from a safetensors file.",
    .flags = TB_NODE_IO,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .plan = plan,
    .run = run,
    .example = "return tb.load_tensor {\n"
               "  path = \"examples/tiny/vae/model.safetensors\",\n"
               "  name = \"encoder.conv1.bias\",\n"
               "}",
};
