/* test_guidance.c - guidance and step caching: the formulas against float64
 * (tests/make_sampling_golden.py), the nodes, and whole runs by graphs.
 */
#include "golden.h"
#include "graph_help.h"
#include "models/guidance.h"
#include "models/reuse.h"

enum { N = 12 };

/* --------------------------------------------------------------------------------- the formulas */

static const json_t *golden_cases(json_t **root)
{
    tb_err err = TB_ERR_INIT;
    char *path = golden_path("sampling", GOLDEN_OWN, ".json");
    *root = tb_json_load(path, 1 << 22, &err);
    free(path);
    REQUIRE(*root);
    const json_t *list = json_object_get(*root, "guidance");
    CHECK_INT(json_array_size(list), 6);
    return list;
}

static double number(const json_t *object, const char *name)
{
    return json_number_value(json_object_get(object, name));
}

static void read_f32(const json_t *object, const char *name, float out[N])
{
    const json_t *a = json_object_get(object, name);
    REQUIRE(json_array_size(a) == N);
    for (int i = 0; i < N; i++)
        out[i] = (float)json_number_value(json_array_get(a, (size_t)i));
}

static void near(const json_t *object, const char *name, const float *got)
{
    float want[N];
    read_f32(object, name, want);
    for (int i = 0; i < N; i++)
        CHECK_NEAR(got[i], want[i], 2e-6 * (1 + fabs((double)want[i])));
}

static void check_apg(const json_t *c, const char *kind, const float *cond, const float *uncond)
{
    const json_t *want = json_object_get(c, kind);
    float x[N], average[N], sum[N], v[N];
    read_f32(c, "x", x);
    read_f32(c, "average", average);
    const tb_apg p = { number(c, "cfg"), number(c, "eta"), number(c, "norm"),
                       number(c, "momentum") };
    tb_guidance_apg(&p, strcmp(kind, "flow") == 0 ? TB_FLOW : TB_BETAS,
                    (tb_noise_level){ number(want, "alpha"), number(want, "sigma") }, cond, uncond,
                    x, N, average, sum, v);
    near(want, "velocity", v);
    near(want, "average", sum);
}

TEST(guidance_is_the_formulas)
{
    json_t *root;
    const json_t *list = golden_cases(&root);
    for (size_t k = 0; k < json_array_size(list); k++) {
        const json_t *c = json_array_get(list, k);
        float cond[N], uncond[N], v[N];
        read_f32(c, "cond", cond);
        read_f32(c, "uncond", uncond);
        tb_guidance_cfg(cond, uncond, N, number(c, "cfg"), 1, v);
        near(c, "plain", v);
        tb_guidance_rescale(cond, N, number(c, "phi"), v);
        near(c, "rescaled", v);
        tb_guidance_cfg(cond, uncond, N, number(c, "cfg"), tb_guidance_scale(cond, uncond, N), v);
        near(c, "star", v);
        check_apg(c, "flow", cond, uncond);
        check_apg(c, "betas", cond, uncond);
    }
    json_decref(root);
}

/* k = 0.3 / 0.1, mean|v| = 1.3: a step of 0.2 adds 3 * 0.2 / 1.3. */
TEST(step_caching_sums_up_estimated_changes)
{
    const float x0[2] = { 0, 0 }, x1[2] = { 0.1f, -0.1f }, x2[2] = { 0.3f, -0.3f },
                x3[2] = { 0.3f, -0.2f }, v0[2] = { 1, -1 }, v1[2] = { 1.3f, -1.3f };
    tb_reuse r = { .rate = -1, .next = -1 };
    tb_reuse_computed(&r, x0, v0, NULL, NULL, 2);
    tb_reuse_predict(&r, x0, x1, 2);
    CHECK(r.next < 0);
    tb_reuse_computed(&r, x1, v1, x0, v0, 2);
    tb_reuse_predict(&r, x1, x2, 2);
    CHECK_NEAR(r.next, 3 * 0.2 / 1.3, 1e-6);
    tb_reuse_reused(&r);
    tb_reuse_predict(&r, x2, x3, 2);
    CHECK_NEAR(r.change, 3 * 0.2 / 1.3, 1e-6);
    CHECK_NEAR(r.next, 3 * 0.25 / 1.3, 1e-6);
    CHECK_NEAR(r.worst, 3 * 0.2 / 1.3, 1e-6);
    CHECK_INT(r.computed, 2);
    CHECK_INT(r.reused, 1);
}

/* ------------------------------------------------------------------------------------ the nodes */

static tb_tensor *waves(const tb_shape *shape, float step)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *t = tb_tensor_new(TB_F32, shape, &err);
    REQUIRE(t);
    for (int64_t i = 0; i < tb_tensor_count(t); i++)
        tb_tensor_f32_mut(t)[i] = 1.4f * sinf(step * (float)i + step);
    return t;
}

static tb_value *velocity(float step)
{
    return tb_value_tensor_take(waves(&TB_SHAPE(2, 1, 2, 2), step));
}

#define GIVEN(id) "'" id "':{'class_type':'t_given','inputs':{'name':'" id "'}},"
#define SIGMAS    "'s':{'class_type':'schedule','inputs':{'steps':4,'shift':3}}"
#define APG(options)                                                                           \
    GIVEN("c")                                                                                 \
    GIVEN("u")                                                                                 \
    GIVEN("l")                                                                                 \
    "'g':{'class_type':'guidance_apg','inputs':{'cond':['c',0],'uncond':['u',0],'latent':['l'" \
    ",0],'sigmas':['s',0]," options "}}," SIGMAS
#define CFG(options) \
    GIVEN("c")       \
    GIVEN("u")       \
    "'g':{'class_type':'guidance','inputs':{'cond':['c',0],'uncond':['u',0]," options "}}"

static void give_answers(void)
{
    tb_value *latent = tb_value_record();
    tb_record_set_take(latent, "samples", velocity(0.4f));
    tb_record_set_take(latent, "state", tb_value_string("noise"));
    give_take("c", velocity(1.1f));
    give_take("u", velocity(2.3f));
    give_take("l", latent);
}

static const float *answer_of(const outcome *o)
{
    if (!o->value)
        fprintf(stderr, "%s\n", o->error);
    REQUIRE(o->value && tb_value_kind(o->value) == TB_TENSOR);
    return tb_tensor_f32(tb_value_as_tensor(o->value));
}

/* With its whole difference kept, APG is plain guidance; CFG-Zero*'s negative answer is the
 * projection of the other. */
TEST(guidance_nodes_agree)
{
    give_answers();
    outcome plain = run(CFG("'cfg':4.0"), "g"),
            apg = run(APG("'cfg':4.0,'eta':1.0,'momentum':0.0,'step':1"), "g"),
            comfy = run(APG("'cfg':3.0,'eta':1.0,'momentum':0.0,'step':1,'channels':true"), "g"),
            star = run(CFG("'cfg':0.0,'star':true"), "g"),
            skip = run(GIVEN("c") GIVEN("u") "'g':{'class_type':'guidance_skip','inputs':{"
                                             "'velocity':['u',0],'cond':['c',0],'skip':['u',0],"
                                             "'scale':4.0}}",
                       "g"),
            flat = run(CFG("'cfg':4.0,'rescale':1.0"), "g");
    tb_tensor *c = waves(&TB_SHAPE(2, 1, 2, 2), 1.1f), *u = waves(&TB_SHAPE(2, 1, 2, 2), 2.3f);
    double cu = 0, uu = 0;
    for (int i = 0; i < 8; i++) {
        cu += (double)tb_tensor_f32(c)[i] * (double)tb_tensor_f32(u)[i];
        uu += (double)tb_tensor_f32(u)[i] * (double)tb_tensor_f32(u)[i];
    }
    for (int i = 0; i < 8; i++) {
        const double v = (double)tb_tensor_f32(u)[i] +
                         4 * ((double)tb_tensor_f32(c)[i] - (double)tb_tensor_f32(u)[i]);
        CHECK_NEAR(answer_of(&plain)[i], v, 1e-5);
        CHECK_NEAR(answer_of(&apg)[i], v, 1e-5);
        CHECK_NEAR(answer_of(&comfy)[i], v, 1e-5); /* one more than its cfg */
        CHECK_NEAR(answer_of(&skip)[i], v, 1e-5);
        CHECK_NEAR(answer_of(&star)[i], cu / uu * (double)tb_tensor_f32(u)[i], 1e-6);
        CHECK(fabs((double)answer_of(&flat)[i]) < fabs(v) + 1e-6);
    }
    tb_tensor_unref(&c);
    tb_tensor_unref(&u);
    tb_value_unref(&plain.value);
    tb_value_unref(&apg.value);
    tb_value_unref(&comfy.value);
    tb_value_unref(&skip.value);
    tb_value_unref(&star.value);
    tb_value_unref(&flat.value);
    forget_given();
}

TEST(wrong_guidance_is_refused)
{
    give_answers();
    expect_error(APG("'step':4"), "g", "node 'g': step must be 0..3 with this schedule, got 4");
    expect_error(CFG("'rescale':1.5"), "g", "node 'g': rescale must be 0..1, got 1.5");
    give_take("u", tb_value_string("less"));
    expect_error(APG("'step':0"), "g",
                 "node 'g': uncond must be an F32 tensor of the latent's shape [2,1,2,2]; take it "
                 "from dit_step");
    forget_given();
}

/* ------------------------------------------------------------------------------------ whole runs
 */

#define MODEL "'m':{'class_type':'load_model','inputs':{'path':'examples/tiny'}},"

static void give_run(void)
{
    tb_value *latent = tb_value_record(), *positive = tb_value_record(),
             *negative = tb_value_record();
    tb_tensor *noise = waves(&TB_SHAPE(16, 1, 2, 2), 3.7f);
    tb_record_set_take(latent, "noise", tb_value_tensor_take(tb_tensor_ref(noise)));
    tb_record_set_take(latent, "samples", tb_value_tensor_take(noise));
    tb_record_set_take(latent, "state", tb_value_string("noise"));
    tb_record_set_take(positive, "text", tb_value_tensor_take(waves(&TB_SHAPE(2, 128), 0.9f)));
    tb_record_set_take(negative, "text", tb_value_tensor_take(waves(&TB_SHAPE(1, 128), 0.3f)));
    give_take("l", latent);
    give_take("p", positive);
    give_take("n", negative);
}

static char *part(const char *id, const char *from, int first, int stop, const char *options)
{
    return tb_xasprintf("'%s':{'class_type':'sample','inputs':{'model':['m',0],'latent':['%s',0],"
                        "'positive':['p',0],'negative':['n',0],'steps':8,'shift':3,'start_step':%d,"
                        "'end_step':%d,%s}},",
                        id, from, first, stop, options);
}

/* Eight steps at once (cut 0), or cut in two. */
static outcome run_parts(int cut, const char *options)
{
    give_run();
    char *first = part("a", "l", 0, cut ? cut : 1, options);
    char *last = part("z", cut ? "a" : "l", cut, 8, options);
    char *graph = tb_xasprintf(
        MODEL GIVEN("l") GIVEN("p")
            GIVEN("n") "%s%s'k':{'class_type':'constant_float','inputs':{'value':0.5}},"
                       "'r':{'class_type':'t_same','inputs':{'value':['z',0]}}",
        cut ? first : "", last);
    outcome o = run(graph, "r");
    free(first);
    free(last);
    free(graph);
    return o;
}

static double distance(const outcome *a, const outcome *b)
{
    const tb_tensor *x = samples_of(a), *y = samples_of(b);
    return tb_test_relative(tb_tensor_f32(x), tb_tensor_f32(y), tb_tensor_count(y));
}

/* Each option changes the run, and a run cut in two is the whole run, to the byte. */
TEST(guided_runs_go_on_from_any_step)
{
    static const char *const options[] = {
        "'guidance':'apg','apg_norm':3.0,'cfg':6",
        "'guidance':'cfg_zero_star','zero_init':1,'guidance_rescale':['k',0]",
        "'slg_blocks':'1-2','slg_start':0.2,'slg_end':0.8",
        "'cache':0.5,'sampler':'unipc'",
    };
    static const int cuts[] = { 5, 2, 4, 5 };
    outcome plain = run_parts(0, "'cfg':3");
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        outcome whole = run_parts(0, options[i]), cut = run_parts(cuts[i], options[i]);
        const tb_tensor *x = samples_of(&whole), *y = samples_of(&cut);
        CHECK(memcmp(tb_tensor_f32(x), tb_tensor_f32(y), tb_tensor_bytes(x)) == 0);
        if (!(distance(&whole, &plain) > 1e-4)) {
            fprintf(stderr, "%s changes nothing\n", options[i]);
            tb_test_failures++;
        }
        tb_value_unref(&whole.value);
        tb_value_unref(&cut.value);
    }
    tb_value_unref(&plain.value);
    forget_given();
}

/* The step's record says what was accepted. */
TEST(step_caching_tells_what_it_did)
{
    outcome off = run_parts(0, "'cfg':3"), never = run_parts(0, "'cfg':3,'cache':1e-9"),
            some = run_parts(0, "'cfg':3,'cache':0.5");
    const tb_tensor *x = samples_of(&off), *y = samples_of(&never);
    CHECK(memcmp(tb_tensor_f32(x), tb_tensor_f32(y), tb_tensor_bytes(x)) == 0);
    CHECK(!tb_record_get(off.value, "cache"));
    const tb_value *none = tb_record_get(never.value, "cache"),
                   *cache = tb_record_get(some.value, "cache");
    REQUIRE(none && cache);
    CHECK_INT(tb_value_as_int(tb_record_get(none, "computed")), 8);
    CHECK_INT(tb_value_as_int(tb_record_get(none, "reused")), 0);
    const int64_t computed = tb_value_as_int(tb_record_get(cache, "computed"));
    const int64_t reused = tb_value_as_int(tb_record_get(cache, "reused"));
    CHECK_INT(computed + reused, 8);
    CHECK(reused > 0);
    CHECK(tb_value_as_float(tb_record_get(cache, "worst")) > 0);
    CHECK(tb_value_as_float(tb_record_get(cache, "worst")) < 0.5);
    CHECK(!tb_record_get(cache, "state"));
    tb_value_unref(&off.value);
    tb_value_unref(&never.value);
    tb_value_unref(&some.value);
    forget_given();
}

static void expect_end(const char *options, const char *want)
{
    outcome o = run_parts(0, options);
    const size_t have = strlen(o.error), tail = strlen(want);
    if (have < tail || strcmp(o.error + have - tail, want) != 0) {
        fprintf(stderr, "%s gives\n  %s\nwanted at its end\n  %s\n", options, o.error, want);
        tb_test_failures++;
    }
    tb_value_unref(&o.value);
}

TEST(wrong_options_are_refused)
{
    expect_end("'slg_blocks':'1,'",
               "skip_blocks must be numbers of blocks 0..63 like 9,10 or 3-5, got '1,'");
    expect_end("'slg_blocks':'5-3'",
               "skip_blocks must be numbers of blocks 0..63 like 9,10 or 3-5, got '5-3'");
    expect_end("'slg_blocks':'60'", "skip_blocks names block 60, the model has blocks 0..7");
    expect_end(
        "'cache':0.1,'sampler':'heun'",
        "cache is for samplers that ask the model once in a step, heun asks twice; set cache "
        "to 0 or choose another sampler");
    expect_end("'levels_of':'ddpm_cosine','scheduler':'linear_quadratic'",
               "linear_quadratic is laid out for flows; choose another scheduler for levels of "
               "betas");
    expect_end("'levels_of':'ddpm_cosine'",
               "scheduler 'flow' has levels of its own; set levels_of to flow, or choose one of "
               "simple|normal|sgm_uniform|beta|karras|exponential|kl_optimal|linear_quadratic|"
               "ddim_uniform");
    forget_given();
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(guidance_is_the_formulas),
        TEST_CASE(step_caching_sums_up_estimated_changes),
        TEST_CASE(guidance_nodes_agree),
        TEST_CASE(wrong_guidance_is_refused),
        TEST_CASE(guided_runs_go_on_from_any_step),
        TEST_CASE(step_caching_tells_what_it_did),
        TEST_CASE(wrong_options_are_refused),
    };
    return run_with_engine(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
}
