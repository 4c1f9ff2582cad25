/* test_sample_golden.c - the composite `sample`, by graphs: the bundled model's reference runs, and
 * the order of every sampler. */
#include "golden.h"
#include "graph_help.h"

#define RUN_TOL 1e-3

static void set_take(tb_value *record, const char *name, tb_tensor *t)
{
    tb_record_set_take(record, name, tb_value_tensor_take(t));
}

/* The file has [1,...] or [2,...] batches: item i without that dimension. */
static tb_tensor *item(const tb_safetensors *io, const char *name, int i)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *all = golden_f32(io, "%s", name);
    tb_shape s = *tb_tensor_shape(all);
    memmove(s.d, s.d + 1, (size_t)--s.n * sizeof *s.d);
    tb_tensor *t = tb_tensor_new(TB_F32, &s, &err);
    REQUIRE(t);
    memcpy(tb_tensor_f32_mut(t), tb_tensor_f32(all) + i * tb_tensor_count(t), tb_tensor_bytes(t));
    tb_tensor_unref(&all);
    return t;
}

/* [t] to [t,h,w]. */
static tb_tensor *spread(const tb_tensor *frames, int64_t h, int64_t w)
{
    tb_err err = TB_ERR_INIT;
    const int64_t t = tb_tensor_count(frames);
    tb_tensor *m = tb_tensor_new(TB_F32, &TB_SHAPE(t, h, w), &err);
    REQUIRE(m);
    for (int64_t i = 0; i < t * h * w; i++)
        tb_tensor_f32_mut(m)[i] = tb_tensor_f32(frames)[i / (h * w)];
    return m;
}

static void give_run(const tb_safetensors *io)
{
    tb_tensor *start = item(io, "latent.0", 0);
    tb_value *latent = tb_value_record(), *positive = tb_value_record(),
             *negative = tb_value_record();
    set_take(latent, "noise", tb_tensor_ref(start));
    set_take(positive, "text", item(io, "text", 0));
    set_take(negative, "text", item(io, "text", 1));
    if (golden_has(io, "mask")) {
        tb_tensor *mask = golden_f32(io, "mask");
        set_take(positive, "known", golden_f32(io, "known"));
        set_take(positive, "mask", spread(mask, tb_tensor_dim(start, 2), tb_tensor_dim(start, 3)));
        tb_tensor_unref(&mask);
    }
    set_take(latent, "samples", start);
    tb_record_set_take(latent, "state", tb_value_string("noise"));
    give_take("l", latent);
    give_take("p", positive);
    give_take("n", negative);
}

#define GIVEN(id) "'" id "':{'class_type':'t_given','inputs':{'name':'" id "'}},"
#define SAMPLED(options)                                                         \
    GIVEN("l")                                                                   \
    GIVEN("p")                                                                   \
    GIVEN("n")                                                                   \
    "'m':{'class_type':'load_model','inputs':{'path':'examples/tiny'}},"         \
    "'z':{'class_type':'sample','inputs':{'model':['m',0],'latent':['l',0],'"    \
    "positive':['p',0],"                                                         \
    "'negative':['n',0]," options "}},"                                          \
    "'y':{'class_type':'vae_decode','inputs':{'vae':['m',2],'latent':['z',0]}}," \
    "'r':{'class_type':'t_same','inputs':{'value':['z',0]}}"

/* The file's video is [3,t,h,w] in -1..1. */
static void check_video(const tb_safetensors *io, const tb_tensor *image)
{
    tb_tensor *want = item(io, "video", 0);
    const int64_t n = tb_tensor_count(want) / 3;
    CHECK_INT(tb_tensor_count(image), 3 * n);
    float *got = tb_xcalloc((size_t)(3 * n), sizeof *got);
    for (int64_t i = 0; i < 3 * n; i++)
        got[i % 3 * n + i / 3] = 2 * tb_tensor_f32(image)[i] - 1;
    golden_near("video", got, want, RUN_TOL);
    free(got);
    tb_tensor_unref(&want);
}

static void check_reference(const char *file)
{
    char *path =
        tb_xasprintf("tests/golden/%s", file); /* goes with the bundled model, not with a set */
    tb_safetensors *io = golden_open(path);
    give_run(io);
    outcome o = run(SAMPLED("'steps':20,'cfg':3,'shift':3"), "y");
    CHECK_STR(o.error, "");
    if (o.value)
        check_video(io, tb_value_as_tensor(o.value));
    tb_value_unref(&o.value);
    forget_given();
    tb_safetensors_close(&io);
    free(path);
}

TEST(the_composite_repeats_the_reference)
{
    check_reference("tiny_reference.safetensors");
}

TEST(the_composite_keeps_known_frames)
{
    check_reference("tiny_reference_image_to_video.safetensors");
}

/* -------------------------------------------------------------------------- order of samplers */

static tb_value *sample_small(const char *sampler, int steps, const char *scheduler, int first,
                              int last)
{
    char graph[1600];
    snprintf(
        graph, sizeof graph,
        SAMPLED("'steps':%d,'cfg':1.5,'shift':3,'sampler':'%s','scheduler':'%s','start_step':%d,"
                "'end_step':%d"),
        steps, sampler, scheduler, first, last);
    outcome o = run(graph, "r");
    CHECK_STR(o.error, "");
    REQUIRE(o.value);
    return o.value;
}

/* The first frame of a run that the model was made for: elsewhere its velocity has no smooth
 * solution. */
static void give_small(void)
{
    tb_err err = TB_ERR_INIT;
    tb_safetensors *io = golden_open("tests/golden/tiny_reference.safetensors");
    tb_tensor *all = item(io, "latent.0", 0);
    const int64_t t = tb_tensor_dim(all, 1), cells = tb_tensor_dim(all, 2) * tb_tensor_dim(all, 3);
    tb_tensor *noise = tb_tensor_new(
        TB_F32, &TB_SHAPE(tb_tensor_dim(all, 0), 1, tb_tensor_dim(all, 2), tb_tensor_dim(all, 3)),
        &err);
    REQUIRE(noise);
    for (int64_t i = 0; i < tb_tensor_count(noise); i++)
        tb_tensor_f32_mut(noise)[i] = tb_tensor_f32(all)[i / cells * t * cells + i % cells];
    tb_value *latent = tb_value_record(), *positive = tb_value_record(),
             *negative = tb_value_record();
    set_take(latent, "noise", tb_tensor_ref(noise));
    set_take(latent, "samples", noise);
    tb_record_set_take(latent, "state", tb_value_string("noise"));
    set_take(positive, "text", item(io, "text", 0));
    set_take(negative, "text", item(io, "text", 1));
    give_take("l", latent);
    give_take("p", positive);
    give_take("n", negative);
    tb_tensor_unref(&all);
    tb_safetensors_close(&io);
}

static double distance(const tb_value *a, const tb_value *b)
{
    const tb_tensor *x = tb_record_tensor(a, "samples"), *y = tb_record_tensor(b, "samples");
    REQUIRE(x && y);
    return tb_test_relative(tb_tensor_f32(x), tb_tensor_f32(y), tb_tensor_count(y));
}

/* All rules solve one equation: with few steps those of second order end nearer to its solution. */
TEST(second_order_samplers_come_nearer)
{
    static const char *const second[] = { "heun", "dpmpp_2m",      "unipc",
                                          "deis", "res_multistep", "ipndm" };
    give_small();
    tb_value *truth = sample_small("euler", 60, "flow", 0, 0),
             *rough = sample_small("euler", 10, "flow", 0, 0);
    const double first_order = distance(rough, truth);
    for (size_t i = 0; i < sizeof second / sizeof *second; i++) {
        tb_value *v = sample_small(second[i], 10, "flow", 0, 0);
        const double d = distance(v, truth);
        if (!(d < first_order)) {
            fprintf(stderr, "%s ends %.3g from the solution, euler %.3g\n", second[i], d,
                    first_order);
            tb_test_failures++;
        }
        tb_value_unref(&v);
    }
    tb_value_unref(&truth);
    tb_value_unref(&rough);
    forget_given();
}

TEST(betas_end_at_the_same_place_as_flow)
{
    give_small();
    tb_value *flow = sample_small("euler", 40, "flow", 0, 0),
             *betas = sample_small("ddim", 40, "ddpm_linear", 0, 0);
    tb_value *other = sample_small("ddpm", 10, "ddpm_cosine", 0, 0);
    CHECK(distance(betas, flow) < 0.15);
    CHECK(isfinite(distance(other, flow)));
    tb_value_unref(&flow);
    tb_value_unref(&betas);
    tb_value_unref(&other);
    forget_given();
}

static tb_tensor *waves(const tb_shape *shape, float step)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *t = tb_tensor_new(TB_F32, shape, &err);
    REQUIRE(t);
    for (int64_t i = 0; i < tb_tensor_count(t); i++)
        tb_tensor_f32_mut(t)[i] = 1.4f * sinf(step * (float)i);
    return t;
}

/* One latent frame of 2 x 2 cells and no guidance: little to compute. */
static void give_tiny(void)
{
    tb_value *latent = tb_value_record(), *positive = tb_value_record();
    tb_tensor *noise = waves(&TB_SHAPE(16, 1, 2, 2), 3.7f);
    set_take(latent, "noise", tb_tensor_ref(noise));
    set_take(latent, "samples", noise);
    tb_record_set_take(latent, "state", tb_value_string("noise"));
    set_take(positive, "text", waves(&TB_SHAPE(2, 128), 0.9f));
    give_take("l", latent);
    give_take("p", positive);
}

static char *part(const char *id, const char *from, const char *sampler, int first, int stop)
{
    return tb_xasprintf("'%s':{'class_type':'sample','inputs':{'model':['m',0],'latent':['%s',0],"
                        "'positive':['p',0],'cfg':1,'steps':4,'shift':3,'start_step':%d,"
                        "'end_step':%d,'sampler':%s}},",
                        id, from, first, stop, sampler);
}

/* The whole run, or each of its four steps by a node of its own. `sampler` goes on to be more
 * inputs: "'ddpm','seed':5". */
static tb_value *run_tiny(bool chain, const char *sampler)
{
    static const char *const ids[] = { "l", "a", "b", "c", "z" };
    char *nodes =
        tb_xasprintf(GIVEN("l") GIVEN("p") "'m':{'class_type':'load_model','inputs':{'path':"
                                           "'examples/tiny'}},");
    for (int i = chain ? 0 : 3; i < 4; i++) {
        char *one = part(ids[i + 1], chain ? ids[i] : "l", sampler, chain ? i : 0, i + 1);
        char *more = tb_xasprintf("%s%s", nodes, one);
        free(one);
        free(nodes);
        nodes = more;
    }
    char *graph = tb_xasprintf("%s'r':{'class_type':'t_same','inputs':{'value':['z',0]}}", nodes);
    outcome o = run(graph, "r");
    free(graph);
    free(nodes);
    CHECK_STR(o.error, "");
    REQUIRE(o.value);
    CHECK_STR(tb_value_as_string(tb_record_get(o.value, "state")), "clean");
    return o.value;
}

static bool same(const tb_value *a, const tb_value *b)
{
    const tb_tensor *x = tb_record_tensor(a, "samples"), *y = tb_record_tensor(b, "samples");
    return memcmp(tb_tensor_f32(x), tb_tensor_f32(y), tb_tensor_bytes(y)) == 0;
}

static void check_chain(const char *sampler, const char *scheduler, bool draws)
{
    char inputs[160];
    give_tiny();
    snprintf(inputs, sizeof inputs, "'%s','scheduler':'%s','seed':5", sampler, scheduler);
    tb_value *whole = run_tiny(false, inputs), *chain = run_tiny(true, inputs);
    if (!same(chain, whole)) {
        fprintf(stderr, "%s on %s: step by step %g from the whole\n", sampler, scheduler,
                distance(chain, whole));
        tb_test_failures++;
    }
    if (draws) {
        snprintf(inputs, sizeof inputs, "'%s','scheduler':'%s','seed':6", sampler, scheduler);
        tb_value *other = run_tiny(false, inputs);
        CHECK(!same(other, whole));
        tb_value_unref(&other);
    }
    tb_value_unref(&whole);
    tb_value_unref(&chain);
    forget_given();
}

/* A run that goes on from what each of its steps left is the run, to the byte: the state carries
 * the history, and fresh noise is a function of seed and step. */
TEST(a_run_goes_on_from_any_step)
{
    static const char *const even[] = { "euler", "heun", "dpmpp_2m",     "unipc",
                                        "ipndm", "deis", "res_multistep" };
    static const char *const drawing[] = { "euler_ancestral", "dpmpp_sde", "dpmpp_2m_sde",
                                           "dpmpp_3m_sde", "lcm" };
    for (size_t i = 0; i < sizeof even / sizeof *even; i++)
        check_chain(even[i], "flow", false);
    for (size_t i = 0; i < sizeof drawing / sizeof *drawing; i++)
        check_chain(drawing[i], "flow", true);
    check_chain("ddpm", "ddpm_cosine", true);
    check_chain("dpmpp_3m_sde", "ddpm_linear", true);
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(the_composite_repeats_the_reference),
        TEST_CASE(the_composite_keeps_known_frames),
        TEST_CASE(second_order_samplers_come_nearer),
        TEST_CASE(betas_end_at_the_same_place_as_flow),
        TEST_CASE(a_run_goes_on_from_any_step),
    };
    return run_with_engine(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
}
