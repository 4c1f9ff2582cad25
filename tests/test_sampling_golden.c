/* test_sampling_golden.c - samplers and schedules that Wan2.1 does not have, against formulas
 * written out in float64 (tests/make_sampling_golden.py, which says where they stem from).
 *
 * The states there are Karras's for betas (x / alpha); here they are x. Each call is replayed from
 * the reference's state, and the whole run from our own.
 */
#include "base/json.h"
#include "golden.h"
#include "models/samplers.h"

#define TOL 2e-6
enum { MOST = 64, MOST_CALLS = 20 };

static json_t *golden;

static double number(const json_t *object, const char *name)
{
    return json_number_value(json_object_get(object, name));
}

static const char *text(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

/* An array of numbers, each times k. */
static int read_f32(const json_t *object, const char *name, double k, float out[MOST])
{
    const json_t *a = json_object_get(object, name);
    const int n = (int)json_array_size(a);
    REQUIRE(n <= MOST);
    for (int i = 0; i < n; i++)
        out[i] = (float)(k * json_number_value(json_array_get(a, (size_t)i)));
    return n;
}

static tb_schedule schedule_of(const json_t *c, const char *name, int steps)
{
    tb_err err = TB_ERR_INIT;
    tb_schedule s;
    if (strcmp(text(c, "of"), "flow") == 0)
        CHECK_OK(tb_schedule_make_levels(name, steps, number(c, "shift"), &s, &err));
    else
        CHECK_OK(tb_schedule_make_beta_levels(name, strcmp(text(c, "of"), "ddpm_cosine") == 0,
                                              steps, &s, &err));
    return s;
}

/* ------------------------------------------------------------------------------------ schedules */

TEST(schedules_are_the_formulas)
{
    const json_t *list = json_object_get(golden, "schedules");
    CHECK(json_array_size(list) == 3 * 9 * 2 + 2 * 8 * 2);
    for (size_t k = 0; k < json_array_size(list); k++) {
        const json_t *c = json_array_get(list, k), *want = json_object_get(c, "sigma");
        const int n = (int)json_array_size(want), before = tb_test_failures;
        tb_schedule s = schedule_of(c, text(c, "name"), n);
        CHECK_INT(s.steps, n);
        for (int i = 0; i < n; i++) {
            const tb_noise_level l = tb_schedule_level(&s, i);
            const double got = s.kind == TB_FLOW ? l.sigma : l.sigma / l.alpha;
            const double sigma = json_number_value(json_array_get(want, (size_t)i));
            CHECK_NEAR(got, sigma, s.kind == TB_FLOW ? 6e-8 : 1e-7 * sigma);
        }
        CHECK_NEAR(tb_schedule_level(&s, n).sigma, 0, 0);
        if (tb_test_failures > before)
            fprintf(stderr, "%s of %s, %d steps\n", text(c, "name"), text(c, "of"), n);
        tb_schedule_clear(&s);
    }
}

TEST(levels_of_betas_are_consistent)
{
    tb_err err = TB_ERR_INIT;
    tb_schedule s;
    REQUIRE(tb_schedule_make_beta_levels("karras", false, 10, &s, &err) == TB_OK);
    double bar = 1;
    for (int i = 9; i >= 0; i--) {
        bar *= 1 - s.beta[i];
        CHECK_NEAR(bar, s.sigma[i], 1e-12);
        CHECK(i == 9 || s.timestep[i] >= s.timestep[i + 1]);
    }
    CHECK_NEAR(s.timestep[0], 999, 0);
    CHECK_NEAR(s.timestep[9], 0, 0);
    tb_schedule_clear(&s);
    CHECK(tb_schedule_make_beta_levels("linear_quadratic", false, 10, &s, &err) == TB_EINVAL);
    CHECK_STR(err.message, "linear_quadratic is laid out for flows; choose another scheduler for "
                           "levels of betas");
}

/* ------------------------------------------------------------------------------------- samplers */

typedef struct call {
    int step, stage, n;
    float start[MOST]; /* the state that the step began at */
    float x[MOST], model[MOST], noise[MOST], noise_2[MOST], want[MOST], x0[MOST];
} call;

typedef struct run {
    tb_schedule s;
    tb_sampler sampler;
    double eta;
    call calls[MOST_CALLS];
    int count;
} run;

static double alpha(const run *r, tb_noise_level l)
{
    return r->s.kind == TB_FLOW ? 1 : l.alpha;
}

static void read_run(const json_t *c, run *r)
{
    tb_err err = TB_ERR_INIT;
    const json_t *calls = json_object_get(c, "calls");
    r->s = schedule_of(c, text(c, "scheduler"), 8);
    r->eta = number(c, "eta");
    CHECK_OK(tb_sampler_parse(text(c, "sampler"), &r->sampler, &err));
    r->count = (int)json_array_size(calls);
    REQUIRE(r->count <= MOST_CALLS);
    for (int k = 0, step = 0; k < r->count; k++) {
        const json_t *j = json_array_get(calls, (size_t)k);
        const call *before = k ? &r->calls[k - 1] : NULL;
        call *at = &r->calls[k];
        *at = (call){ .step = step, .stage = (int)number(j, "stage") };
        const tb_step p = {
            .schedule = &r->s, .index = step, .stage = at->stage, .sampler = r->sampler
        };
        at->n = read_f32(j, "x", alpha(r, tb_sampler_reached(&p)), at->want);
        REQUIRE(at->n > 0);
        read_f32(j, "model", 1, at->model);
        read_f32(j, "x0", 1, at->x0);
        read_f32(j, "noise", 1, at->noise);
        read_f32(j, "noise_2", 1, at->noise_2);
        if (before)
            memcpy(at->x, before->want, sizeof at->x);
        else
            read_f32(c, "start", alpha(r, tb_schedule_level(&r->s, 0)), at->x);
        memcpy(at->start, at->stage ? before->start : at->x, sizeof at->x);
        step += at->stage || tb_sampler_stages(r->sampler, &r->s, step) == 1;
    }
}

static const call *of_step(const run *r, int step)
{
    for (int k = 0; k < r->count; k++)
        if (r->calls[k].step == step)
            return &r->calls[k];
    return NULL;
}

static void replay(const run *r, const call *at)
{
    tb_err err = TB_ERR_INIT;
    float x[MOST], x0[MOST], hat[MOST];
    tb_step p = { .schedule = &r->s,
                  .index = at->step,
                  .stage = at->stage,
                  .sampler = r->sampler,
                  .n = at->n,
                  .x = at->x,
                  .model = at->model,
                  .base = at->stage ? at->start : NULL,
                  .noise = at->noise,
                  .noise_2 = at->noise_2,
                  .eta = r->eta };
    if (tb_sampler_estimates(r->sampler) > 0 && at->step > 0)
        p.x0_1 = of_step(r, at->step - 1)->x0;
    if (tb_sampler_estimates(r->sampler) > 1 && at->step > 1)
        p.x0_2 = of_step(r, at->step - 2)->x0;
    for (int k = 0; k < tb_sampler_slopes(r->sampler) && k < at->step; k++)
        p.slope[k] = of_step(r, at->step - 1 - k)->model;
    CHECK_OK(tb_sampler_step(&p, &(tb_step_result){ x, x0, hat }, &err));
    for (int i = 0; i < at->n; i++) {
        CHECK_NEAR(x[i], at->want[i], TOL * (1 + fabs((double)at->want[i])));
        CHECK_NEAR(x0[i], at->x0[i], 1e-5 * (1 + fabs((double)at->x0[i])));
    }
}

TEST(samplers_are_the_formulas)
{
    const json_t *list = json_object_get(golden, "samplers");
    CHECK(json_array_size(list) == 2 * (4 * 3 + 4));
    for (size_t k = 0; k < json_array_size(list); k++) {
        const json_t *c = json_array_get(list, k);
        const int before = tb_test_failures;
        run r;
        read_run(c, &r);
        for (int i = 0; i < r.count; i++)
            replay(&r, &r.calls[i]);
        if (tb_test_failures > before)
            fprintf(stderr, "%s of %s, eta %g\n", text(c, "sampler"), text(c, "of"), r.eta);
        tb_schedule_clear(&r.s);
    }
}

/* Rules that ask for what they are not given say so. */
TEST(steps_that_lack_something_are_refused)
{
    tb_err err = TB_ERR_INIT;
    tb_schedule s;
    float x[1] = { 0 }, out[1], x0[1];
    REQUIRE(tb_schedule_make_levels("simple", 4, 3, &s, &err) == TB_OK);
    tb_step p = { .schedule = &s, .n = 1, .x = x, .model = x, .eta = -1 };
    const tb_step_result both = { out, x0, NULL }, bare = { out, NULL, NULL };
    p.sampler = TB_DPMPP_3M_SDE;
    CHECK(tb_sampler_step(&p, &both, &err) == TB_EINVAL);
    CHECK_STR(err.message, "dpmpp_3m_sde draws noise at step 0 and was given none");
    tb_err_clear(&err);
    p.sampler = TB_DPMPP_SDE, p.stage = TB_STAGE_MIDDLE, p.noise = x, p.base = x;
    CHECK(tb_sampler_step(&p, &both, &err) == TB_EINVAL);
    CHECK_STR(err.message, "dpmpp_sde draws noise at step 0 and was given none");
    tb_err_clear(&err);
    p.stage = TB_STAGE_NEXT;
    CHECK(tb_sampler_step(&p, &both, &err) == TB_EINVAL);
    CHECK_STR(err.message, "step 0 of dpmpp_sde has no stage 1");
    tb_err_clear(&err);
    p.sampler = TB_LCM, p.stage = 0;
    CHECK(tb_sampler_step(&p, &bare, &err) == TB_EINVAL);
    CHECK_STR(err.message, "lcm needs room for the clean estimate");
    tb_err_clear(&err);
    p.sampler = TB_IPNDM;
    CHECK_OK(tb_sampler_step(&p, &bare, &err));
    tb_schedule_clear(&s);
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(schedules_are_the_formulas),
        TEST_CASE(levels_of_betas_are_consistent),
        TEST_CASE(samplers_are_the_formulas),
        TEST_CASE(steps_that_lack_something_are_refused),
    };
    tb_err err = TB_ERR_INIT;
    char *path = golden_path("sampling", GOLDEN_OWN, ".json");
    golden = tb_json_load(path, 1 << 22, &err);
    free(path);
    if (!golden)
        fprintf(stderr, "%s\n", err.message);
    REQUIRE(golden);
    const int failed = tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
    json_decref(golden);
    return failed;
}
