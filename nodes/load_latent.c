/* load_latent.c - latents from a .latent file of ComfyUI's or ours. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/safetensors.h"
#include "models/latent_file.h"
#include "node.h"

typedef struct params {
    const char *path;
} params;

static const tb_input_def inputs[] = {
    TB_IN_STRING(params, path, NULL, TB_IN_FILE, "A .latent file."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "latent",
      .type = "LATENT",
      .is_list = true,
      .shape = "C,T,H,W",
      .doc = "Each latent of the batch, normalised." },
    { 0 },
};

static const float old_scale = 1.0F / 0.18215F;

/* [B,C,T,H,W]; of a batch of pictures, [B,C,H,W], T is 1. */
static bool shape_of(const tb_shape *s, int64_t *batch, tb_shape *each)
{
    if (s->n != 4 && s->n != 5)
        return false;
    *batch = s->d[0];
    *each = s->n == 5 ? TB_SHAPE(s->d[1], s->d[2], s->d[3], s->d[4])
                      : TB_SHAPE(s->d[1], 1, s->d[2], s->d[3]);
    return *batch > 0 && tb_shape_count(each) > 0;
}

typedef struct contents {
    tb_tensor *all;
    int64_t batch;
    tb_shape each;
    bool old;
    char state[16]; /* "" when the file does not say */
} contents;

static bool has(const tb_safetensors *f, const char *name)
{
    for (int i = 0; i < tb_safetensors_count(f); i++)
        if (strcmp(tb_safetensors_name(f, i), name) == 0)
            return true;
    return false;
}

static void read_state(const tb_safetensors *f, contents *c)
{
    static const char *const known[] = { "noise", "clean", "partial" };
    const char *s = json_string_value(json_object_get(tb_safetensors_metadata(f), "state"));
    for (size_t i = 0; s && i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i], s) == 0)
            snprintf(c->state, sizeof c->state, "%s", s);
}

static tb_status read_file(const tb_safetensors *f, const char *path, contents *c, tb_err *err)
{
    char text[100];
    c->all = tb_safetensors_get(f, TB_LATENT_TENSOR, err);
    if (!c->all)
        return err->status;
    c->old = !has(f, TB_LATENT_VERSION);
    read_state(f, c);
    if (shape_of(tb_tensor_shape(c->all), &c->batch, &c->each))
        return TB_OK;
    return tb_err_set(err, TB_EFORMAT,
                      "'%s' must hold latents [batch,channels,frames,height,width], got %s", path,
                      tb_shape_text(tb_tensor_shape(c->all), text, sizeof text));
}

static tb_status read_contents(const tb_job *job, const char *name, contents *c, tb_err *err)
{
    char *path = tb_job_path(job, name, err);
    tb_safetensors *f = path ? tb_safetensors_open(path, err) : NULL;
    *c = (contents){ 0 };
    const tb_status st = f ? read_file(f, name, c, err) : err->status;
    if (st != TB_OK)
        tb_tensor_unref(&c->all);
    tb_safetensors_close(&f);
    free(path);
    return st;
}

static tb_status plan(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    contents c;
    if (!tb_job_plan_known(job, "path"))
        return TB_OK;
    TB_TRY(read_contents(job, p->path, &c, err));
    tb_job_plan_output(job, 0, TB_F32, &c.each);
    tb_tensor_unref(&c.all);
    return TB_OK;
}

/* x: the whole batch as f32. */
static tb_status give(tb_job *job, const contents *c, const float *x, int64_t i, tb_err *err)
{
    const int64_t n = tb_shape_count(&c->each), channels = c->each.d[0];
    tb_tensor *t = tb_tensor_new(TB_F32, &c->each, err);
    if (!t)
        return err->status;
    float *to = tb_tensor_f32_mut(t);
    memcpy(to, x + i * n, (size_t)n * sizeof *to);
    for (int64_t k = 0; c->old && k < n; k++)
        to[k] *= old_scale;
    tb_latent_from_file(to, channels, n / channels);
    tb_value *latent = tb_value_record();
    tb_record_set_take(latent, "samples", tb_value_tensor_take(t));
    if (*c->state)
        tb_record_set_take(latent, "state", tb_value_string(c->state));
    tb_record_set_take(latent, "index", tb_value_int(i));
    tb_job_set_take(job, 0, latent);
    return TB_OK;
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    contents c;
    TB_TRY(read_contents(job, p->path, &c, err));
    tb_tensor *x = tb_tensor_to_f32(c.all, err);
    tb_status st = x ? TB_OK : err->status;
    for (int64_t i = 0; i < c.batch && st == TB_OK; i++)
        st = give(job, &c, tb_tensor_f32(x), i, err);
    tb_tensor_unref(&x);
    tb_tensor_unref(&c.all);
    return st;
}

const tb_node_def tb_node_load_latent = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "load_latent",
    .title = "Load latent",
    .category = "latent",
    .doc = "Read latents from a file of ComfyUI's or ours.",
    .flags = TB_NODE_IO,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .plan = plan,
    .run = run,
    .example = "return tb.load_latent { path = \"examples/two.latent\" }",
};
