/* load_lora.c - a LoRA for a diffusion transformer, by name and strength.
 *
 * Only headers are read here: does the file fit the transformer? Weights are merged when the node
 * that computes with the transformer opens it. For that MODEL has
 *
 *     loras LIST of { path STRING; strength FLOAT }
 *
 * in the order of the nodes, and an id that stands for the transformer and all of them. A model of
 * two experts (nodes/experts.c) has both for each.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "graph/records.h"
#include "models/models.h"
#include "node.h"

typedef struct params {
    const tb_value *model;
    const char *path, *expert;
    double strength;
} params;

/* The path says nothing about content: fingerprint puts that into the key. */
static const tb_input_def inputs[] = {
    TB_IN_PORT(params, model, "MODEL", 0, "The diffusion transformer."),
    TB_IN_STRING(params, path, NULL, TB_IN_UNKEYED,
                 "A .safetensors file: lora_A and lora_B, or lora_down and lora_up."),
    TB_IN_FLOAT(params, strength, 1, -100, 100, "",
                "How much of it is added; 0 leaves the model as it is."),
    TB_IN_COMBO(params, expert, "both", "both|high|low",
                "Of a model with two experts: the one it is for."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "model", .type = "MODEL", .doc = "The same transformer with the LoRA." },
    { 0 },
};

static tb_status fingerprint(tb_job *job, const void *vp, tb_hasher *h, tb_err *err)
{
    const params *p = vp;
    tb_digest d;
    char *path = tb_job_model_path(job, p->path);
    const tb_status st = tb_job_file_digest(job, path, &d, err);
    free(path);
    if (st != TB_OK)
        tb_err_where(err, NULL, "path", NULL);
    else
        tb_hasher_bytes(h, d.b, sizeof d.b);
    return st;
}

/* ------------------------------------------------------------------------------------ the check */

static void tell_left_out(const tb_lora *l, const tb_lora_fit *fit, const char *given)
{
    if (fit->unmatched)
        tb_log(TB_LOG_WARN,
               "'%s': %d of its %d targets are not in this transformer and left out, the first is "
               "'%.120s'",
               given, fit->unmatched, fit->matched + fit->unmatched, fit->first);
    if (tb_lora_left_out(l))
        tb_log(TB_LOG_WARN,
               "'%s' also changes a text encoder, which is not supported: those %d tensors are "
               "left out",
               given, tb_lora_left_out(l));
}

/* What the transformer takes with LoRAs, in f32 and in int8. */
typedef struct sizes {
    int64_t f32, int8;
} sizes;

static tb_status check(const params *p, const tb_value *model, const char *path, sizes *bytes,
                       tb_err *err)
{
    tb_lora_fit fit;
    tb_lora *l = tb_lora_open(path, err);
    tb_weights *w = l ? tb_weights_open(tb_record_text(model, "path", ""), err) : NULL;
    const tb_status st = w ? tb_lora_fit_to(l, w, &fit, err) : err->status;
    if (st == TB_OK)
        *bytes = (sizes){ tb_model_dit_bytes(w, false, true), tb_model_dit_bytes(w, true, true) };
    if (st == TB_OK)
        tell_left_out(l, &fit, p->path);
    else
        tb_err_where(err, NULL, "path", NULL);
    tb_weights_close(&w);
    tb_lora_close(&l);
    return st;
}

/* ------------------------------------------------------------------------------------------ run */

static tb_status merged_id(tb_job *job, const params *p, const tb_value *model, const char *path,
                           char id[TB_KEY_HEX], tb_err *err)
{
    tb_hasher h;
    tb_digest d;
    uint64_t strength;
    TB_TRY(tb_job_file_digest(job, path, &d, err));
    memcpy(&strength, &p->strength, sizeof strength);
    tb_hasher_init(&h);
    tb_hasher_str(&h, "lora");
    tb_hasher_str(&h, tb_record_text(model, "id", ""));
    tb_hasher_bytes(&h, d.b, sizeof d.b);
    tb_hasher_u64(&h, strength);
    const tb_key k = tb_hasher_done(&h);
    tb_key_hex(&k, id);
    return TB_OK;
}

/* The LoRAs so far and this one. */
static tb_value *with_lora(const tb_value *loras, const char *path, double strength)
{
    tb_value *list = tb_value_list(), *one = tb_value_record();
    for (int i = 0; loras && tb_value_kind(loras) == TB_LIST && i < tb_list_count(loras); i++)
        tb_list_append_take(list, tb_value_ref(tb_list_at(loras, i)));
    tb_record_set_take(one, "path", tb_value_string(path));
    tb_record_set_take(one, "strength", tb_value_float(strength));
    tb_list_append_take(list, one);
    return list;
}

/* The transformer of a MODEL with the LoRA. New reference; NULL on error. */
static tb_value *merged(tb_job *job, const params *p, const tb_value *model, const char *path,
                        tb_err *err)
{
    char id[TB_KEY_HEX];
    sizes bytes;
    if (check(p, model, path, &bytes, err) != TB_OK ||
        merged_id(job, p, model, path, id, err) != TB_OK)
        return NULL;
    tb_value *m = tb_record_copy(model);
    tb_record_set_take(m, "id", tb_value_string(id));
    tb_record_set_take(m, "weight_bytes", tb_value_int(bytes.f32));
    tb_record_set_take(m, "int8_bytes", tb_value_int(bytes.int8));
    tb_record_set_take(m, "loras", with_lora(tb_record_get(model, "loras"), path, p->strength));
    return m;
}

static tb_status add(tb_job *job, const params *p, const char *path, tb_err *err)
{
    const tb_value *low = tb_record_get(p->model, "low");
    const bool to_low = low && strcmp(p->expert, "high") != 0;
    const bool to_high = !low || strcmp(p->expert, "low") != 0;
    tb_value *model = to_high ? merged(job, p, p->model, path, err) : tb_record_copy(p->model);
    tb_value *second = model && to_low ? merged(job, p, low, path, err) : NULL;
    if (!model || (to_low && !second)) {
        tb_value_unref(&model);
        return err->status;
    }
    if (second)
        tb_record_set_take(model, "low", second);
    tb_job_set_take(job, 0, model);
    return TB_OK;
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    if (!*tb_record_text(p->model, "path", ""))
        return tb_err_set(
            err, TB_EINVAL,
            "the model has no transformer: give load_model the path of one as 'transformer'");
    if (p->strength == 0) {
        tb_job_set_take(job, 0, tb_value_ref(p->model));
        return TB_OK;
    }
    char *path = tb_job_model_path(job, p->path);
    const tb_status st = add(job, p, path, err);
    free(path);
    return st;
}

const tb_node_def tb_node_load_lora = {
    .abi = TB_NODE_ABI,
    .version = 2,
    .name = "load_lora",
    .title = "Load LoRA",
    .category = "model",
    .doc = "Adds a LoRA to a diffusion transformer; several in a row add up.",
    .flags = TB_NODE_IO | TB_NODE_FORGET,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .run = run,
    .fingerprint = fingerprint,
    .example = "return tb.load_lora {\n"
               "  model = tb.load_model {}.model,\n"
               "  path = \"examples/tiny/lora/star.safetensors\",\n"
               "  strength = 0.8,\n"
               "}",
};
