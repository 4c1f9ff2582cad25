/* test_plan_memory.c - the peak a plan tells: of a model as large as Wan2.1's, from its sizes
 * alone, and of the bundled one beside what a run of it really takes; and the time of what was
 * never run before. */
#include "compute/compute.h"
#include "graph_help.h"
#include "models/wan_vae.h"

/* -------------------------------------------------- nodes of the test: a large model, a gauge */

static const tb_input_def no_in[] = { { 0 } };
static const tb_output_def large_out[] = {
    { .name = "model", .type = "MODEL", .doc = "The transformer." },
    { .name = "clip", .type = "CLIP", .doc = "The text encoder." },
    { .name = "vae", .type = "VAE", .doc = "The autoencoder." },
    { 0 },
};

typedef struct field {
    const char *name;
    int64_t value;
} field;

static void set_record(tb_job *job, int slot, const char *kind, const field *sizes)
{
    tb_value *r = tb_value_record();
    tb_record_set_take(r, "kind", tb_value_string(kind));
    tb_record_set_take(r, "path", tb_value_string("nowhere"));
    tb_record_set_take(r, "id", tb_value_string(kind));
    for (const field *s = sizes; s->name; s++)
        tb_record_set_take(r, s->name, tb_value_int(s->value));
    tb_job_set_take(job, slot, r);
}

/* Wan2.1 T2V 1.3B with UMT5-XXL and the 16-channel VAE. */
static tb_status large_run(tb_job *job, const void *vp, tb_err *err)
{
    static const field dit[] = { { "latent_channels", 16 },
                                 { "in_channels", 16 },
                                 { "text_dim", 4096 },
                                 { "text_len", 512 },
                                 { "dim", 1536 },
                                 { "ffn_dim", 8960 },
                                 { "heads", 12 },
                                 { "layers", 30 },
                                 { "weight_bytes", INT64_C(4) * 1418996800 },
                                 { "int8_bytes", 1607000000 },
                                 { 0 } };
    static const field text[] = { { "text_dim", 4096 },
                                  { "text_len", 512 },
                                  { "ffn_dim", 10240 },
                                  { "heads", 64 },
                                  { "head_dim", 64 },
                                  { "layers", 24 },
                                  { "layer_bytes",
                                    2 * (4 * 4096 * 4096 + 3 * INT64_C(10240) * 4096) },
                                  { 0 } };
    static const field vae[] = { { "z", 16 },
                                 { "stride_t", 4 },
                                 { "stride_hw", 8 },
                                 { "patch", 1 },
                                 { "dim", 96 },
                                 { "dec_dim", 96 },
                                 { "weight_bytes", INT64_C(4) * 126892531 },
                                 { 0 } };
    (void)vp, (void)err;
    set_record(job, 0, "model", dit);
    set_record(job, 1, "clip", text);
    set_record(job, 2, "vae", vae);
    return TB_OK;
}

static size_t scratch; /* the most that was held at once before t_gauge ran */

static tb_status gauge_run(tb_job *job, const void *vp, tb_err *err)
{
    tb_compute *c = tb_job_compute(job, err);
    if (!c)
        return err->status;
    scratch = tb_scratch_peak(c);
    return same_run(job, vp, err);
}

static const tb_node_def large_def = { .abi = TB_NODE_ABI,
                                       .version = 1,
                                       .name = "t_large",
                                       .title = "Large",
                                       .category = "test",
                                       .doc = "Names a large model that is not there.",
                                       .flags = TB_NODE_INLINE,
                                       .inputs = no_in,
                                       .outputs = large_out,
                                       .run = large_run };
static const tb_node_def gauge_def = { .abi = TB_NODE_ABI,
                                       .version = 1,
                                       .name = "t_gauge",
                                       .title = "Gauge",
                                       .category = "test",
                                       .doc = "Reads the scratch.",
                                       .params_size = sizeof(same_params),
                                       .inputs = same_in,
                                       .outputs = given_out,
                                       .run = gauge_run };
static const tb_node_def *const memory_defs[] = { &large_def, &gauge_def, NULL };

static const char *compute; /* of engines made from now on; NULL: f32 */

static tb_engine *engine_within(size_t limit)
{
    tb_err err = TB_ERR_INIT;
    tb_engine *e = tb_engine_new(&(tb_engine_options){ .no_store = true,
                                                       .threads = 1,
                                                       .memory_limit = limit,
                                                       .nodes = memory_defs,
                                                       .compute = compute },
                                 &err);
    REQUIRE(e);
    return e;
}

static outcome run_within(size_t limit, const char *nodes, const char *target)
{
    tb_engine *before = engine;
    engine = engine_within(limit);
    const outcome o = run(nodes, target);
    tb_engine_free(&engine);
    engine = before;
    return o;
}

#define LARGE "'m':{'class_type':'t_large','inputs':{}},"
#define TINY  "'m':{'class_type':'load_model','inputs':{'path':'examples/tiny'}},"
#define STEPS(size, frames)                                                                \
    "'s':{'class_type':'schedule','inputs':{'steps':1}},"                                  \
    "'c':{'class_type':'text_encode','inputs':{'clip':['m',1],'text':'a red ball'}},"      \
    "'x':{'class_type':'noise_init','inputs':{'model':['m',0],'vae':['m',2],'size':'" size \
    "','frames':" frames ",'seed':3}},"                                                    \
    "'v':{'class_type':'dit_step','inputs':{'model':['m',0],'latent':['x',0],"             \
    "'conditioning':['c',0],'sigmas':['s',0],'step':0}},"                                  \
    "'y':{'class_type':'sampler_step','inputs':{'sampler':'euler','latent':['x',0],"       \
    "'velocity':['v',0],'sigmas':['s',0],'step':0}},"                                      \
    "'i':{'class_type':'vae_decode','inputs':{'vae':['m',2],'latent':['y',0]}},"           \
    "'e':{'class_type':'vae_encode','inputs':{'vae':['m',2],'image':['i',0]}},"            \
    "'n':{'class_type':'vae_decode','inputs':{'vae':['m',2],'latent':['x',0]}},"           \
    "'vg':{'class_type':'t_gauge','inputs':{'value':['v',0]}},"                            \
    "'eg':{'class_type':'t_gauge','inputs':{'value':['e',0]}}"

/* ----------------------------------------------------------------------------------------- tests
 */

/* What needs most: the transformer, with 5.7 GB of weights (1.6 in int8) and 32760 tokens of 13568
 * numbers; without it the decoder; without that the text encoder, one layer of 16-bit weights at a
 * time. */
TEST(a_large_model_is_refused_before_it_starts)
{
    static const struct {
        const char *target, *peak, *compute;
    } rows[] = { { "c", "456 MiB", NULL }, { "v", "7.2 GiB", NULL },   { "v", "3.4 GiB", "int8" },
                 { "i", "7.2 GiB", NULL }, { "i", "6.6 GiB", "int8" }, { "n", "6.6 GiB", NULL } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char want[200];
        compute = rows[i].compute;
        const outcome o = run_within((size_t)1 << 20, LARGE STEPS("832x480", "81"), rows[i].target);
        snprintf(want, sizeof want,
                 "the run needs about %s at its peak, but 1.0 MiB can be used; choose a smaller "
                 "size or fewer frames",
                 rows[i].peak);
        CHECK_STR(o.error, want);
        CHECK_INT(o.status, TB_ELIMIT);
    }
    compute = NULL;
}

typedef struct peak {
    double planned, real;
} peak;

/* Of the bundled model on 17 frames of 64x64. */
static peak measure(size_t limit, const char *target)
{
    tb_mem_peak_reset();
    outcome o = run_within(limit, TINY STEPS("64x64", "17"), target);
    CHECK_STR(o.error, "");
    tb_value_unref(&o.value);
    return (peak){ (double)o.plan.peak_bytes, (double)(tb_mem_peak() + scratch) };
}

/* With memory to spare, parts stay open that the plan does not count on; with none, they are
 * closed. The peaks of memory and of scratch need not meet, so that their sum is a bound; 4 MiB are
 * the worker's. */
TEST(the_plan_of_the_bundled_model_is_near_what_it_takes)
{
    static const char *const targets[] = { "vg", "eg" };
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        const peak spare = measure(0, targets[i]);
        CHECK(spare.real < 2 * spare.planned && spare.real > spare.planned / 2);
        const peak tight = measure((size_t)spare.planned, targets[i]);
        CHECK(tight.real < 1.25 * tight.planned + 4 * 1048576);
        CHECK(tight.real < spare.real);
    }
}

static tb_status no_frames(void *ctx, int64_t first, int64_t count, const float *pixels,
                           tb_err *err)
{
    (void)ctx, (void)first, (void)count, (void)pixels, (void)err;
    return TB_OK;
}

/* Planned scratch over what one half takes for 3 latent frames of 8x8. */
static void check_half(const tb_weights *w, bool encoding)
{
    enum { F = 3, SIDE = 8 };
    tb_err err = TB_ERR_INIT;
    tb_compute *c = tb_compute_new(1, &err);
    tb_wan_vae *m = tb_wan_vae_open(c, w, &err);
    REQUIRE(m);
    const tb_wan_vae_config *k = tb_wan_vae_config_of(m);
    const int64_t frames = (F - 1) * k->stride_t + 1, side = SIDE * k->stride_hw;
    float *latent = tb_xcalloc((size_t)(k->z * F * SIDE * SIDE), sizeof *latent);
    float *pixels = tb_xcalloc((size_t)(frames * side * side * 3), sizeof *pixels);
    const size_t before = tb_mem_used();
    tb_mem_peak_reset();
    if (encoding)
        CHECK_OK(tb_wan_vae_encode(m, c, pixels, frames, side, side, latent, NULL, &err));
    else
        CHECK_OK(tb_wan_vae_decode(m, c, latent, F, SIDE, SIDE, no_frames, NULL, NULL, &err));
    const double took = (double)(tb_mem_peak() - before + tb_scratch_peak(c));
    CHECK_NEAR((double)tb_wan_vae_scratch(k, encoding, F, SIDE, SIDE) / took, 1.1, 0.15);
    free(latent);
    free(pixels);
    tb_wan_vae_close(&m);
    tb_compute_free(&c);
}

TEST(the_scratch_of_a_vae_is_near_what_it_takes)
{
    static const struct {
        const char *path;
        bool encoder, decoder;
    } rows[] = { { "tests/golden/vae_a_decoder_orig.safetensors", false, true },
                 { "tests/golden/vae_a_encoder_orig.safetensors", true, false },
                 { "examples/tiny/vae", true, true } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        tb_err err = TB_ERR_INIT;
        tb_weights *w = tb_weights_open(rows[i].path, &err);
        REQUIRE(w);
        if (rows[i].encoder)
            check_half(w, true);
        if (rows[i].decoder)
            check_half(w, false);
        tb_weights_close(&w);
    }
}

/* Seconds of two nodes in one plan: the rate they are told by is the same. */
static void on_plan(void *ctx, tb_run *r, const tb_event *ev)
{
    double *seconds = ctx;
    if (ev->kind != TB_EV_PLANNED)
        return;
    json_t *rows = tb_run_plan(r), *row;
    size_t i;
    json_array_foreach(rows, i, row)
    {
        const char *id = json_string_value(json_object_get(row, "node"));
        for (int k = 0; k < 4; k++)
            if (strcmp(id, (const char *[]){ "v", "v2", "i", "i2" }[k]) == 0)
                seconds[k] = json_number_value(json_object_get(row, "seconds"));
    }
    json_decref(rows);
}

/* Not a bound by the clock: both times are operations over one rate, and the operations are those
 * of models_cost.h. Twice as wide and high: four times the VAE's, more of the transformer's, whose
 * attention grows with the square. */
TEST(what_was_never_run_has_a_time)
{
    static const char nodes[] = "{'graph':{" TINY STEPS(
        "64x64",
        "17") ",'x2':{'class_type':'noise_init','inputs':{"
              "'model':['m',0],'vae':['m',2],'size':'128x128','frames':17,'seed':3}},"
              "'v2':{'class_type':'dit_step','inputs':{'model':['m',0],'latent':['x2',0],"
              "'conditioning':['c',0],'sigmas':['s',0],'step':0}},"
              "'i2':{'class_type':'vae_decode','inputs':{'vae':['m',2],'latent':['x2',0]}}},"
              "'targets':['v','v2','i','i2']}";
    tb_err err = TB_ERR_INIT;
    double seconds[4] = { 0 };
    tb_engine *e = engine_within(0);
    char *text = tb_xstrdup(nodes);
    for (char *c = text; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    json_t *doc = tb_json_parse(text, strlen(text), "document", &err);
    REQUIRE(doc);
    REQUIRE(tb_engine_submit(
        e,
        &(tb_run_options){
            .document = doc, .plan_only = true, .on_event = on_plan, .ctx = seconds },
        NULL, &err));
    uv_run(tb_engine_loop(e), UV_RUN_DEFAULT);
    tb_engine_free(&e);
    for (int k = 0; k < 4; k++)
        CHECK(seconds[k] > 0);
    CHECK(seconds[1] > 4 * seconds[0] && seconds[1] < 16 * seconds[0]);
    CHECK_NEAR(seconds[3] / seconds[2], 4, 1e-6);
    json_decref(doc);
    free(text);
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(what_was_never_run_has_a_time),
        TEST_CASE(a_large_model_is_refused_before_it_starts),
        TEST_CASE(the_scratch_of_a_vae_is_near_what_it_takes),
        TEST_CASE(the_plan_of_the_bundled_model_is_near_what_it_takes),
    };
    return run_with_engine(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
}
