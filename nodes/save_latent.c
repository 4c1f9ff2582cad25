/* save_latent.c - latents as a .latent file of ComfyUI's. */
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "formats/safetensors.h"
#include "graph/records.h"
#include "models/latent_file.h"
#include "node.h"

typedef struct params {
    const tb_value *latents;
    const char *path;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, latents, "LATENT", TB_IN_LIST, "One, or a list of one size: a batch."),
    TB_IN_STRING(params, path, "out.latent", TB_IN_KEY_EXT | TB_IN_UNKEYED,
                 "Where to write: .latent."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "file", .type = "FILE", .doc = "The file in memory." },
    { 0 },
};

static tb_status check_path(const char *path, tb_err *err)
{
    if (strcmp(tb_fs_extension(path), "latent") == 0)
        return TB_OK;
    return tb_err_set(err, TB_EINVAL, "path must end in .latent, got '%s'", path);
}

static tb_status plan(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    if (!tb_job_plan_known(job, "path"))
        return TB_OK;
    TB_TRY(check_path(p->path, err));
    return tb_job_check_target(job, p->path, err);
}

/* Element i of the list, checked against the shape of the first. */
static const tb_tensor *samples_of(const tb_value *list, int i, tb_err *err)
{
    const tb_tensor *first = tb_record_f32(tb_list_at(list, 0), "latents", "samples", 4, err);
    const tb_tensor *t =
        first ? tb_record_f32(tb_list_at(list, i), "latents", "samples", 4, err) : NULL;
    char a[100], b[100];
    if (!t || tb_shape_eq(tb_tensor_shape(first), tb_tensor_shape(t)))
        return t;
    tb_err_set(err, TB_EINVAL, "latents of a batch must have one size, got %s after %s",
               tb_shape_text(tb_tensor_shape(t), b, sizeof b),
               tb_shape_text(tb_tensor_shape(first), a, sizeof a));
    return NULL;
}

/* [B,C,T,H,W], in the file's scale. */
static tb_tensor *stack(const tb_value *list, tb_err *err)
{
    const int count = tb_list_count(list);
    const tb_tensor *first = samples_of(list, 0, err);
    if (!first)
        return NULL;
    const int64_t *d = tb_tensor_shape(first)->d, each = tb_tensor_count(first);
    tb_tensor *all = tb_tensor_new(TB_F32, &TB_SHAPE(count, d[0], d[1], d[2], d[3]), err);
    for (int i = 0; all && i < count; i++) {
        const tb_tensor *t = samples_of(list, i, err);
        if (!t) {
            tb_tensor_unref(&all);
            return NULL;
        }
        float *to = tb_tensor_f32_mut(all) + i * each;
        memcpy(to, tb_tensor_f32(t), (size_t)each * sizeof *to);
        tb_latent_to_file(to, d[0], d[1] * d[2] * d[3]);
    }
    return all;
}

static tb_tensor *encode(const tb_value *list, const tb_tensor *all, tb_err *err)
{
    static const char *const names[] = { TB_LATENT_TENSOR, TB_LATENT_VERSION };
    const char *state = tb_record_text(tb_list_at(list, 0), "state", NULL);
    tb_tensor *version = tb_tensor_new(TB_F32, &TB_SHAPE(0), err), *file = NULL;
    const tb_tensor *const tensors[] = { all, version };
    json_t *texts = state ? json_pack("{ss}", "state", state) : NULL; /* ours; others ignore it */
    char *data = NULL;
    size_t size = 0;
    if (version && tb_safetensors_encode(2, names, tensors, texts, &data, &size, err) == TB_OK &&
        (file = tb_tensor_new(TB_U8, &TB_SHAPE((int64_t)size), err)))
        memcpy(tb_tensor_data_mut(file), data, size);
    free(data);
    json_decref(texts);
    tb_tensor_unref(&version);
    return file;
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    TB_TRY(check_path(p->path, err));
    tb_tensor *all = stack(p->latents, err), *file = all ? encode(p->latents, all, err) : NULL;
    tb_tensor_unref(&all);
    if (!file)
        return err->status;
    tb_job_set_take(job, 0, tb_value_file_take("latents.latent", file));
    return TB_OK;
}

static tb_status deliver(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    return tb_job_deliver_files(job, 0, p->path, "tensors", err);
}

const tb_node_def tb_node_save_latent = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "save_latent",
    .title = "Save latent",
    .category = "latent",
    .doc = "Write latents to a file that ComfyUI reads, in the scale of the VAE.",
    .flags = TB_NODE_IO | TB_NODE_TARGET,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .plan = plan,
    .run = run,
    .deliver = deliver,
    .example = "local x = tb.empty_latent { width = 32, height = 32, frames = 1 }\n"
               "return tb.save_latent { latents = x, path = \"out.latent\" }",
};
