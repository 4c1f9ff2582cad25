/* dit_step.c - one evaluation of the diffusion transformer.
 *
 * Models with more input than output channels also see which latents are known: mask channels (one
 * for each video frame under a latent frame where these differ and it has as many, else all equal),
 * then the known latents (zero elsewhere unless the conditioning keeps them).
 *
 * Wan's models predict the velocity of a flow. On a schedule of betas the state is brought into the
 * flow's scale and the answer into the noise: with k = alpha + sigma, x / k is the flow's state at
 * s = sigma / k, and eps = x / k + (1 - s) v.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "graph/records.h"
#include "models/models.h"
#include "models/samplers.h"
#include "node.h"

typedef struct params {
    const tb_value *model, *latent, *conditioning, *known, *sigmas;
    int64_t step, stage;
    const char *skip_blocks;
    double reuse;
    const char *pass, *residual;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, model, "MODEL", 0, "The transformer."),
    TB_IN_PORT(params, latent, "LATENT", 0, "The state to evaluate at."),
    TB_IN_PORT(params, conditioning, "CONDITIONING", 0, "Text, and known frames."),
    TB_IN_PORT(
        params, known, "CONDITIONING", TB_IN_OPTIONAL,
        "Take known frames from here instead, and image features where the conditioning has none "
        "(the negative pass uses those of the positive one)."),
    TB_IN_PORT(params, sigmas, "SIGMAS", 0, "The schedule."),
    TB_IN_INT(params, step, 0, 0, 1000000, "", "Index into the schedule, from 0."),
    TB_IN_INT(params, stage, 0, 0, 2, "",
              "Second evaluations: 1 at the next level (heun), 2 half way to it (dpmpp_sde)."),
    TB_IN_STRING(params, skip_blocks, "", 0,
                 "Transformer blocks to leave out, as 9,10 or 3-5 (skip-layer guidance)."),
    TB_IN_FLOAT(params, reuse, 0, 0, 10, "",
                "Step caching: the latent's cached answer is given while the estimated relative L1 "
                "change since it was computed is below this; 0: the model is always asked."),
    TB_IN_COMBO(params, pass, "cond", "cond|uncond", "Step caching: which of the cached answers."),
    TB_IN_COMBO(params, residual, "none", "none|state",
                "Step caching: what is added to the cached answer; state: how far the latent moved "
                "since, as EasyCache does."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "velocity", .type = "VELOCITY", .shape = "C,T,H,W", .doc = "The model's answer." },
    { 0 },
};

static tb_status check_latent(const params *p, const tb_shape *s, tb_err *err)
{
    const int64_t channels = tb_record_int(p->model, "latent_channels", 0);
    if (channels < 1)
        return tb_err_set(
            err, TB_EINVAL,
            "the model has no transformer: give load_model the path of one as 'transformer'");
    if (s->n != 4 || s->d[0] != channels)
        return tb_err_set(
            err, TB_EINVAL,
            "the model wants latents of %lld channels, got %lld; take the latent from noise_init "
            "with this model or from its VAE",
            (long long)channels, (long long)s->d[0]);
    if (s->d[2] % 2 || s->d[3] % 2)
        return tb_err_set(
            err, TB_EINVAL,
            "the latent must have an even number of rows and columns, got %lldx%lld (width x "
            "height): make width and height of the video multiples of %d pixels",
            (long long)s->d[3], (long long)s->d[2], channels == 48 ? 32 : 16);
    return TB_OK;
}

/* "9,10" or "3-5": bit i for block i. */
static tb_status parse_skip(const char *text, int64_t layers, uint64_t *skip, tb_err *err)
{
    *skip = 0;
    for (const char *c = text; *c;) {
        char *end;
        const long first = strtol(c, &end, 10);
        const bool digit = *c >= '0' && *c <= '9', range = digit && *end == '-';
        const char *second = range ? end + 1 : c;
        const long last = strtol(second, &end, 10);
        if (!digit || *second < '0' || *second > '9' || (*end && *end != ',') || last < first ||
            last > 63 || (*end && !end[1]))
            return tb_err_set(err, TB_EINVAL,
                              "skip_blocks must be numbers of blocks 0..63 like 9,10 or 3-5, got "
                              "'%s'",
                              text);
        if (layers > 0 && last >= layers)
            return tb_err_set(err, TB_EINVAL,
                              "skip_blocks names block %ld, the model has blocks 0..%lld", last,
                              (long long)layers - 1);
        for (long i = first; i <= last; i++)
            *skip |= UINT64_C(1) << i;
        c = *end ? end + 1 : end;
    }
    return TB_OK;
}

/* The transformer's, and what it reads: the state and, for models that take them, known latents. */
static size_t bytes_of(const tb_job *job, const params *p, const tb_shape *s)
{
    const int64_t channels = tb_record_int(p->model, "in_channels", 0);
    const int64_t read = channels > s->d[0] ? channels : s->d[0];
    return tb_bytes_of_dit(job, p->model, s) +
           (size_t)(read * s->d[1] * s->d[2] * s->d[3]) * sizeof(float);
}

/* Small evaluations run together (NaViT's packing): up to 4096 tokens of 16 channels, beyond which
 * the products of matrices gain nothing. */
enum { PACK_LIMIT = 4096 * 4 * 16 };

static tb_status plan(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    tb_shape shape;
    uint64_t skip;
    if (tb_job_plan_known(job, "skip_blocks"))
        TB_TRY(parse_skip(p->skip_blocks, tb_record_int(p->model, "layers", 0), &skip, err));
    if (!tb_job_plan_shape(job, "latent", &shape))
        return TB_OK;
    if (p->model) {
        TB_TRY(check_latent(p, &shape, err));
        tb_shape pair = shape; /* with and without the prompt */
        pair.d[1] *= 2 * tb_shape_count(&shape) <= PACK_LIMIT ? 2 : 1;
        tb_job_plan_scratch(job, bytes_of(job, p, &pair));
        tb_job_plan_work(job, tb_flop_of_dit(job, p->model, &shape));
    }
    tb_job_plan_output(job, 0, TB_F32, &shape);
    return TB_OK;
}

/* Everything one evaluation reads. Buffers are NULL where not wanted. */
typedef struct eval {
    const tb_value *model; /* the expert for this timestep */
    const tb_wan_dit_config *k;
    tb_shape shape;
    const float *x;
    const tb_tensor *text, *image;
    tb_known known;
    bool betas;
    double flow_scale, flow_sigma; /* of betas: 1 / (alpha + sigma), sigma / (alpha + sigma) */
    float t;
    float *scaled; /* the state in the model's scale, with known frames where it wants them clean */
    float *extra;
    float *times; /* one for each token */
    uint64_t skip;
    tb_tensor *out;
    bool reused; /* out is the cached answer */
} eval;

static int64_t cells_of(const eval *e)
{
    return e->shape.d[1] * e->shape.d[2] * e->shape.d[3];
}

static float *buffer(int64_t n, tb_err *err)
{
    float *x = tb_mem_alloc((size_t)n * sizeof *x);
    if (!x)
        tb_err_set(err, TB_ENOMEM, "no memory for the model's input (%zu bytes)",
                   (size_t)n * sizeof *x);
    return x;
}

/* [mask channels][cells] of the mask, then [C][cells] of known latents. */
static tb_status build_extra(eval *e, tb_err *err)
{
    const int64_t channels = e->shape.d[0], cells = cells_of(e);
    const int64_t masks = e->k->in_dim - e->k->out_dim - channels;
    if (masks < 0)
        return tb_err_set(err, TB_EINVAL,
                          "the model has %lld extra input channels, too few for known latents",
                          (long long)(e->k->in_dim - e->k->out_dim));
    float *at = e->extra = buffer((masks + channels) * cells, err);
    if (!at)
        return TB_ENOMEM;
    const bool each = e->known.mask_frames && e->known.stride == masks;
    for (int64_t c = 0; c < masks; c++, at += cells)
        memcpy(at, each ? e->known.mask_frames + c * cells : e->known.mask,
               (size_t)cells * sizeof *at);
    for (int64_t i = 0; i < channels * cells; i++)
        at[i] = e->known.keep ? e->known.known[i] : e->known.known[i] * e->known.mask[i % cells];
    return TB_OK;
}

static tb_status scale_state(eval *e, tb_err *err)
{
    const int64_t n = e->shape.d[0] * cells_of(e);
    e->scaled = buffer(n, err);
    if (!e->scaled)
        return TB_ENOMEM;
    for (int64_t i = 0; i < n; i++)
        e->scaled[i] = (float)((double)e->x[i] * e->flow_scale);
    return TB_OK;
}

/* Wan2.2 TI2V: known latents stand in the state itself, without noise, and their tokens have time
 * 0. */
static tb_status set_clean(eval *e, tb_err *err)
{
    const int64_t cells = cells_of(e), f = e->shape.d[1], h = e->shape.d[2], w = e->shape.d[3];
    e->times = buffer(cells / 4, err);
    if (!e->times)
        return TB_ENOMEM;
    for (int64_t i = 0; i < e->shape.d[0] * cells; i++) {
        const float m = e->known.mask[i % cells];
        e->scaled[i] = e->scaled[i] * (1 - m) + e->known.known[i] * m;
    }
    float *t = e->times;
    for (int64_t i = 0; i < f; i++)
        for (int64_t y = 0; y < h; y += 2)
            for (int64_t x = 0; x < w; x += 2)
                *t++ = (1 - e->known.mask[(i * h + y) * w + x]) * e->t;
    return TB_OK;
}

static tb_status prepare(eval *e, tb_err *err)
{
    TB_TRY(scale_state(e, err));
    if (!e->known.known)
        return TB_OK;
    if (e->k->in_dim > e->k->out_dim)
        return build_extra(e, err);
    return e->k->out_dim == 48 ? set_clean(e, err) : TB_OK;
}

/* A text encoder that came without its transformer (ComfyUI's loaders) does not know how much of a
 * prompt that one reads. */
static int64_t text_rows(const params *p, const eval *e)
{
    const int64_t rows = tb_tensor_dim(e->text, 0), most = e->k->text_len;
    if (rows <= most)
        return rows;
    if (p->step == 0)
        tb_log(TB_LOG_WARN, "the prompt has %lld tokens; the model reads the first %lld",
               (long long)rows, (long long)most);
    return most;
}

static tb_wan_dit_input input_of(const params *p, const eval *e)
{
    return (tb_wan_dit_input){
        .f = e->shape.d[1],
        .h = e->shape.d[2],
        .w = e->shape.d[3],
        .x = e->scaled,
        .extra = e->extra,
        .t = e->times ? e->times : &e->t,
        .t_count = e->times ? cells_of(e) / 4 : 1,
        .text = tb_tensor_f32(e->text),
        .text_rows = text_rows(p, e),
        .image = e->image ? tb_tensor_f32(e->image) : NULL,
        .image_rows = e->image ? tb_tensor_dim(e->image, 0) : 0,
        .skip = e->skip,
    };
}

static tb_status read_conditioning(const params *p, eval *e, tb_err *err)
{
    e->text = tb_record_f32(p->conditioning, "the conditioning", "text", 2, err);
    if (!e->text)
        return TB_EINVAL;
    const tb_value *known = p->known ? p->known : p->conditioning;
    TB_TRY(tb_record_f32_like(p->conditioning, "the conditioning", "image", NULL, &e->image, err));
    if (!e->image)
        TB_TRY(tb_record_f32_like(known, "the conditioning", "image", NULL, &e->image, err));
    return tb_conditioning_known(known, &e->shape, &e->known, err);
}

static tb_status read_time(const params *p, eval *e, tb_err *err)
{
    tb_sigmas s;
    TB_TRY(tb_sigmas_read(p->sigmas, &s, err));
    const bool middle = p->stage == TB_STAGE_MIDDLE;
    const int64_t at = p->step + (p->stage == TB_STAGE_NEXT);
    if (at >= s.steps)
        return tb_err_set(err, TB_EINVAL, "step must be 0..%d with this schedule, got %lld",
                          s.steps - 1, (long long)at);
    const tb_schedule table = {
        s.betas ? TB_BETAS : TB_FLOW, s.steps, s.sigma, s.timestep, s.beta, NULL, s.shift
    };
    if (middle && tb_schedule_level(&table, (int)at + 1).sigma <= 0)
        return tb_err_set(err, TB_EINVAL,
                          "step %lld ends clean and has no middle; ask for it at stage 0",
                          (long long)at);
    const tb_noise_level l = tb_schedule_stage(&table, (int)p->step, (int)p->stage);
    e->betas = s.betas;
    e->flow_scale = s.betas ? 1 / (l.alpha + l.sigma) : 1;
    e->flow_sigma = s.betas ? l.sigma / (l.alpha + l.sigma) : l.sigma;
    e->t = (float)(s.betas || middle ? 1000 * e->flow_sigma : s.timestep[at]);
    return TB_OK;
}

/* Of a model with two (nodes/experts.c), the expert for that timestep. */
static const tb_value *expert_at(const tb_value *model, double t)
{
    const tb_value *low = tb_record_get(model, "low");
    return low && t < 1000 * tb_record_number(model, "boundary", 0) ? low : model;
}

/* The transformer, with what load_lora put into its record. */
static tb_wan_dit *find_dit(tb_job *job, tb_compute *c, const tb_value *model, tb_err *err)
{
    const tb_value *list = tb_record_get(model, "loras");
    const int count = list && tb_value_kind(list) == TB_LIST ? tb_list_count(list) : 0;
    tb_lora_file *loras = tb_xcalloc((size_t)count + 1, sizeof *loras);
    for (int i = 0; i < count; i++)
        loras[i] = (tb_lora_file){ tb_record_text(tb_list_at(list, i), "path", ""),
                                   tb_record_number(tb_list_at(list, i), "strength", 0) };
    tb_wan_dit *dit = tb_models_dit(tb_job_models(job), c, tb_record_text(model, "path", ""),
                                    tb_part_id(model), loras, count, err);
    free(loras);
    return dit;
}

static tb_status check_conditioning(const eval *e, tb_err *err)
{
    if (tb_tensor_dim(e->text, 1) != e->k->text_dim)
        return tb_err_set(
            err, TB_EINVAL,
            "the model wants text of width %lld, got %lld; encode it with the model's own text "
            "encoder",
            (long long)e->k->text_dim, (long long)tb_tensor_dim(e->text, 1));
    if (e->image &&
        (tb_tensor_shape(e->image)->n != 2 || tb_tensor_dim(e->image, 1) != e->k->image_dim))
        return tb_err_set(err, TB_EINVAL, "the model wants image features of width %lld, got %lld",
                          (long long)e->k->image_dim, (long long)tb_tensor_dim(e->image, -1));
    return TB_OK;
}

/* eps = x / k + (1 - s) v. */
static void to_noise(const eval *e, float *v)
{
    for (int64_t i = 0; i < e->shape.d[0] * cells_of(e); i++)
        v[i] = (float)((double)e->x[i] * e->flow_scale + (1 - e->flow_sigma) * (double)v[i]);
}

/* ------------------------------------------------------------------------------- calls together */

/* The cached answer where it serves: sampler_step, which accounts for it, decides in the same way.
 */
static tb_status reuse(const params *p, eval *e, tb_err *err)
{
    tb_cached c;
    TB_TRY(tb_latent_cached(p->latent, &e->shape, &c, err));
    const tb_tensor *v = p->pass[0] == 'c' ? c.cond : c.uncond;
    if (!v || !tb_cached_serves(&c, p->reuse))
        return TB_OK;
    e->out = tb_tensor_new(TB_F32, &e->shape, err);
    if (!e->out)
        return TB_ENOMEM;
    const float *from = tb_tensor_f32(v), *state = tb_tensor_f32(c.state);
    const float k = p->residual[0] == 's' ? 1 : 0;
    for (int64_t i = 0; i < e->shape.d[0] * cells_of(e); i++)
        tb_tensor_f32_mut(e->out)[i] = from[i] + k * (e->x[i] - state[i]);
    e->reused = true;
    tb_log(TB_LOG_INFO,
           "step %lld: the model's answer (%s) is reused at an estimated relative L1 change of "
           "%.4g, below %g",
           (long long)p->step, p->pass, c.next, p->reuse);
    return TB_OK;
}

/* What a call reads, without the model; the answer itself where it is cached. */
static tb_status read_inputs(const params *p, eval *e, tb_err *err)
{
    const tb_tensor *samples = tb_record_f32(p->latent, "the latent", "samples", 4, err);
    if (!samples)
        return TB_EINVAL;
    e->shape = *tb_tensor_shape(samples);
    e->x = tb_tensor_f32(samples);
    TB_TRY(check_latent(p, &e->shape, err));
    TB_TRY(read_conditioning(p, e, err));
    TB_TRY(read_time(p, e, err));
    e->model = expert_at(p->model, (double)e->t);
    return p->reuse > 0 ? reuse(p, e, err) : TB_OK;
}

/* It in the model's form, and where the answer goes. */
static tb_status make_ready(tb_wan_dit *dit, const params *p, eval *e, tb_err *err)
{
    e->k = tb_wan_dit_config_of(dit);
    TB_TRY(parse_skip(p->skip_blocks, e->k->layers, &e->skip, err));
    if (!e->k->image_dim) /* a model that reads none, as in ComfyUI */
        e->image = NULL;
    TB_TRY(check_conditioning(e, err));
    TB_TRY(prepare(e, err));
    e->out = tb_tensor_new(TB_F32, &e->shape, err);
    return e->out ? TB_OK : TB_ENOMEM;
}

static void finish(const tb_call *call, eval *e)
{
    if (call->status == TB_OK) {
        if (e->betas && !e->reused)
            to_noise(e, tb_tensor_f32_mut(e->out));
        tb_job_set_take(call->job, 0, tb_value_tensor_take(e->out));
        e->out = NULL;
    }
    tb_tensor_unref(&e->out);
    tb_mem_free(e->scaled);
    tb_mem_free(e->extra);
    tb_mem_free(e->times);
}

/* Calls of one transformer; those that fail, or have their answer, drop out. */
typedef struct group {
    tb_call *calls[TB_PACK_CALLS];
    eval evals[TB_PACK_CALLS];
    int count;
    atomic_bool cancel; /* all of them are to stop, seen after a block: of calls of several runs */
} group;

static void drop_done(group *g)
{
    int n = 0;
    for (int i = 0; i < g->count; i++) {
        if (g->calls[i]->status != TB_OK || g->evals[i].reused) {
            finish(g->calls[i], &g->evals[i]);
            continue;
        }
        g->calls[n] = g->calls[i];
        g->evals[n++] = g->evals[i];
    }
    g->count = n;
}

static void fail_all(group *g, tb_status st, const tb_err *err)
{
    for (int i = 0; i < g->count; i++) {
        g->calls[i]->status = st;
        *g->calls[i]->err = *err;
    }
    drop_done(g);
}

static void after_block(void *ctx, double share)
{
    group *g = ctx;
    bool cancel = true;
    for (int i = 0; i < g->count; i++) {
        tb_job_progress(g->calls[i]->job, share);
        cancel &= tb_job_canceled(g->calls[i]->job);
    }
    atomic_store(&g->cancel, cancel);
}

static tb_wan_dit *open_model(const group *g, tb_compute **c, tb_err *err)
{
    tb_job *job = g->calls[0]->job;
    const tb_value *model = g->evals[0].model;
    size_t bytes = 0;
    for (int i = 0; i < g->count; i++) {
        tb_shape none = g->evals[i].shape;
        none.d[1] = 0;
        bytes += bytes_of(job, g->calls[i]->params, &g->evals[i].shape);
        bytes -= i ? bytes_of(job, g->calls[i]->params, &none) : 0; /* the weights are there once */
    }
    *c = tb_job_compute(job, err);
    if (!*c)
        return NULL;
    tb_job_make_room(job, model, bytes);
    return find_dit(job, *c, model, err);
}

static const atomic_bool *cancel_of(const group *g)
{
    const atomic_bool *first = tb_job_cancel_flag(g->calls[0]->job);
    for (int i = 1; i < g->count; i++)
        if (tb_job_cancel_flag(g->calls[i]->job) != first)
            return &g->cancel;
    return first;
}

static tb_status evaluate(group *g, tb_wan_dit *dit, tb_compute *c, tb_err *err)
{
    tb_wan_dit_input in[TB_PACK_CALLS];
    float *out[TB_PACK_CALLS];
    for (int i = 0; i < g->count; i++) {
        in[i] = input_of(g->calls[i]->params, &g->evals[i]);
        out[i] = tb_tensor_f32_mut(g->evals[i].out);
    }
    return tb_wan_dit_run(dit, c, g->count, in, out, cancel_of(g), after_block, g, err);
}

static void run_group(group *g)
{
    tb_err err = TB_ERR_INIT;
    tb_compute *c = NULL;
    tb_wan_dit *dit = open_model(g, &c, &err);
    if (!dit) {
        fail_all(g, err.status, &err);
        return;
    }
    for (int i = 0; i < g->count; i++)
        g->calls[i]->status = make_ready(dit, g->calls[i]->params, &g->evals[i], g->calls[i]->err);
    drop_done(g);
    const tb_status st = g->count ? evaluate(g, dit, c, &err) : TB_OK;
    if (st != TB_OK)
        fail_all(g, st, &err);
    for (int i = 0; i < g->count; i++)
        finish(g->calls[i], &g->evals[i]);
}

/* Moves all calls of the first one's transformer into a group. */
static void take_group(group *all, group *g)
{
    const char *model = tb_part_id(all->evals[0].model);
    int left = 0;
    g->count = 0;
    for (int i = 0; i < all->count; i++) {
        group *to = strcmp(tb_part_id(all->evals[i].model), model) == 0 ? g : all;
        const int at = to == g ? g->count++ : left++;
        to->calls[at] = all->calls[i];
        to->evals[at] = all->evals[i];
    }
    all->count = left;
}

static void run_pack(tb_call *calls, int count)
{
    group *groups = tb_xcalloc(2, sizeof *groups), *all = &groups[0];
    for (int i = 0; i < count; i++) {
        all->calls[i] = &calls[i];
        calls[i].status = read_inputs(calls[i].params, &all->evals[i], calls[i].err);
    }
    all->count = count;
    drop_done(all);
    while (all->count) {
        take_group(all, &groups[1]);
        run_group(&groups[1]);
    }
    free(groups);
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    tb_call call = { job, vp, TB_OK, err };
    run_pack(&call, 1);
    return call.status;
}

const tb_node_def tb_node_dit_step = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "dit_step",
    .title = "Diffusion transformer",
    .category = "sampling",
    .doc = "Evaluates the model once.",
    .flags = TB_NODE_NUMERIC | TB_NODE_LINEARS,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .plan = plan,
    .run = run,
    .run_pack = run_pack,
    .pack_limit = PACK_LIMIT,
    .example = "local m = tb.load_model {}\n"
               "return tb.dit_step {\n"
               "  model = m.model,\n"
               "  latent = tb.noise_init { model = m.model, size = \"32x32\", frames = 1 },\n"
               "  conditioning = tb.text_encode { clip = m.clip, text = \"a red ball\" },\n"
               "  sigmas = tb.schedule { steps = 2 },\n"
               "  step = 0,\n"
               "}",
};
