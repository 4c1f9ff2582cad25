/* test_samplers_golden.c - schedules and update rules against Wan's, diffusers' and DiT's
 * schedulers.
 *
 * The files hold every state and every model output, so each step is replayed from the reference
 * state (a step's own error) and from our own (the whole run).
 */
#include "golden.h"
#include "models/samplers.h"

#define TOL      3e-5
#define MAX_RUN  64
#define MAX_NAME 128

static float *copy_of(const tb_tensor *t)
{
    float *x = tb_xcalloc((size_t)tb_tensor_count(t), sizeof *x);
    memcpy(x, tb_tensor_f32(t), tb_tensor_bytes(t));
    return x;
}

/* ------------------------------------------------------------------------------ flow matching */

typedef struct flow_case {
    const char *file_name, *scheduler;
    tb_sampler sampler;
} flow_case;

static const flow_case flow_cases[] = {
    { "wan_unipc", "flow_unipc", TB_UNIPC },
    { "wan_dpmpp", "flow_dpmpp", TB_DPMPP_2M },
    { "diffusers_unipc", "flow_diffusers", TB_UNIPC },
    { "diffusers_fm_euler", "flow_diffusers_euler", TB_EULER },
    { "diffusers_fm_heun", "flow_diffusers_euler", TB_HEUN },
};

/* The history of a run, as the nodes keep it: the state after each step. */
typedef struct run {
    tb_schedule s;
    tb_sampler sampler;
    int64_t n;
    float *x[MAX_RUN], *x0[MAX_RUN], *hat[MAX_RUN];
} run;

static void run_free(run *r)
{
    for (int i = 0; i < MAX_RUN; i++) {
        free(r->x[i]);
        free(r->x0[i]);
        free(r->hat[i]);
    }
    tb_schedule_clear(&r->s);
}

/* State i+1 from state i (in calls of the model, not steps). */
static void advance(run *r, int call, int step, int stage, const float *v)
{
    const size_t n = (size_t)r->n;
    tb_err err = TB_ERR_INIT;
    r->x[call + 1] = tb_xcalloc(n, sizeof(float));
    r->x0[call + 1] = tb_xcalloc(n, sizeof(float));
    r->hat[call + 1] = tb_xcalloc(n, sizeof(float));
    const tb_step p = { .schedule = &r->s,
                        .index = step,
                        .stage = stage,
                        .sampler = r->sampler,
                        .n = r->n,
                        .x = r->x[call],
                        .model = v,
                        .base = stage ? r->x[call - 1] : NULL,
                        .x0_1 = step > 0 ? r->x0[call] : NULL,
                        .x0_2 = step > 1 ? r->x0[call - 1] : NULL,
                        .hat = step > 0 ? r->hat[call] : NULL };
    const tb_step_result out = { r->x[call + 1], r->x0[call + 1], r->hat[call + 1] };
    CHECK_OK(tb_sampler_step(&p, &out, &err));
}

static void check_flow_tables(const tb_safetensors *f, const char *name, const run *r)
{
    tb_tensor *sigmas = golden_f32(f, "%s.sigmas", name),
              *times = golden_f32(f, "%s.timesteps", name);
    const bool heun = r->sampler == TB_HEUN;
    for (int64_t k = 0; k < tb_tensor_count(times); k++) {
        const int64_t i = heun ? (k + 1) / 2 : k;
        CHECK_NEAR(r->s.timestep[i], tb_tensor_f32(times)[k], 0);
        CHECK_NEAR(r->s.sigma[i], tb_tensor_f32(sigmas)[k], 0);
    }
    CHECK_NEAR(r->s.sigma[r->s.steps], 0, 0);
    tb_tensor_unref(&sigmas);
    tb_tensor_unref(&times);
}

static void replay_flow(const tb_safetensors *f, const flow_case *c, int steps, double shift)
{
    char name[MAX_NAME], what[MAX_NAME + 16];
    snprintf(name, sizeof name, "%s.n%d_s%g", c->file_name, steps, shift);
    tb_err err = TB_ERR_INIT;
    run r = { .sampler = c->sampler };
    CHECK_OK(tb_schedule_make(c->scheduler, steps, shift, &r.s, &err));
    check_flow_tables(f, name, &r);
    tb_tensor *start = golden_f32(f, "%s.x.0", name);
    r.n = tb_tensor_count(start);
    r.x[0] = copy_of(start);
    tb_tensor_unref(&start);
    for (int call = 0, step = 0; step < steps; step++) {
        for (int stage = 0; stage < tb_sampler_stages(c->sampler, &r.s, step); stage++, call++) {
            tb_tensor *v = golden_f32(f, "%s.v.%d", name, call);
            tb_tensor *want = golden_f32(f, "%s.x.%d", name, call + 1);
            advance(&r, call, step, stage, tb_tensor_f32(v));
            snprintf(what, sizeof what, "%s.x.%d", name, call + 1);
            golden_near(what, r.x[call + 1], want, TOL);
            tb_tensor_unref(&v);
            tb_tensor_unref(&want);
        }
    }
    run_free(&r);
}

/* "<scheduler>.n<steps>_s<shift>.x.0"; false when the name has another form. */
static bool parse_flow_case(const char *name, const flow_case *c, int *steps, double *shift)
{
    char text[MAX_NAME];
    const size_t stem = strlen(c->file_name);
    if (strncmp(name, c->file_name, stem) != 0 || strncmp(name + stem, ".n", 2) != 0)
        return false;
    snprintf(text, sizeof text, "%s", name + stem + 2);
    char *tail = strstr(text, ".x.0"), *s = strstr(text, "_s");
    if (!tail || tail[4] || !s)
        return false;
    *tail = 0;
    *steps = atoi(text);
    *shift = atof(s + 2);
    return *steps > 0;
}

static void flow_set(char letter)
{
    char *path = golden_path("samplers_flow", letter, ".safetensors");
    tb_safetensors *f = golden_open(path);
    int replayed = 0, steps = 0;
    double shift = 0;
    for (int i = 0; i < tb_safetensors_count(f); i++)
        for (size_t c = 0; c < sizeof flow_cases / sizeof *flow_cases; c++)
            if (parse_flow_case(tb_safetensors_name(f, i), &flow_cases[c], &steps, &shift)) {
                replay_flow(f, &flow_cases[c], steps, shift);
                replayed++;
            }
    CHECK(replayed >= 5);
    tb_safetensors_close(&f);
    free(path);
}

TEST(flow_runs_match)
{
    golden_each("samplers_flow", ".safetensors", flow_set);
}

/* ----------------------------------------------------------------------------------- betas */

typedef struct beta_case {
    char name[96];
    bool cosine, clip;
    int train_steps;
    tb_variance variance;
    tb_schedule s;
} beta_case;

static void near_table(const tb_safetensors *f, const beta_case *c, const char *table,
                       double (*value)(const tb_schedule *s, int i))
{
    char name[160];
    tb_err err = TB_ERR_INIT;
    snprintf(name, sizeof name, "%s.%s", c->name, table);
    tb_tensor *t = tb_safetensors_get(f, name, &err);
    REQUIRE(t && tb_tensor_dtype(t) == TB_F64);
    const double *want = tb_tensor_data(t);
    for (int j = 0; j < c->s.steps; j++) {
        const double got = value(&c->s, c->s.steps - 1 - j);
        if (!(fabs(got - want[j]) <= 1e-12 * fabs(want[j]) + 1e-18)) {
            fprintf(stderr, "%s[%d] is %.17g, wanted %.17g\n", name, j, got, want[j]);
            tb_test_failures++;
        }
    }
    tb_tensor_unref(&t);
}

static double of_bar(const tb_schedule *s, int i)
{
    return s->sigma[i];
}
static double of_beta(const tb_schedule *s, int i)
{
    return s->beta[i];
}
static double of_x0(const tb_schedule *s, int i)
{
    return tb_schedule_posterior(s, i).of_x0;
}
static double of_x(const tb_schedule *s, int i)
{
    return tb_schedule_posterior(s, i).of_x;
}
static double of_variance(const tb_schedule *s, int i)
{
    return tb_schedule_posterior(s, i).variance;
}
static double of_log(const tb_schedule *s, int i)
{
    return tb_schedule_posterior(s, i).log_small;
}

static void check_beta_tables(const tb_safetensors *f, const beta_case *c)
{
    near_table(f, c, "alphas_cumprod", of_bar);
    near_table(f, c, "betas", of_beta);
    near_table(f, c, "posterior_mean_coef1", of_x0);
    near_table(f, c, "posterior_mean_coef2", of_x);
    near_table(f, c, "posterior_variance", of_variance);
    near_table(f, c, "posterior_log_variance_clipped", of_log);
    tb_tensor *map = golden_f32(f, "%s.timestep_map", c->name);
    for (int j = 0; j < c->s.steps; j++)
        CHECK_NEAR(c->s.timestep[c->s.steps - 1 - j], tb_tensor_f32(map)[j], 0);
    tb_tensor_unref(&map);
}

/* Each step from the reference's state: the first one of a cosine schedule multiplies by 2e4. */
static void replay_betas(const tb_safetensors *f, const beta_case *c, const char *rule,
                         tb_sampler sampler, double eta)
{
    char name[160], what[200];
    snprintf(name, sizeof name, "%s.%s", c->name, rule);
    snprintf(what, sizeof what, "%s.model.%d", name, c->s.steps - 1);
    if (!golden_has(f, what))
        return;
    tb_tensor *x = golden_f32(f, "%s.x.start", name);
    const int64_t n = tb_tensor_count(x);
    float *got = tb_xcalloc((size_t)n, sizeof *got), *x0 = tb_xcalloc((size_t)n, sizeof *x0);
    for (int i = 0; i < c->s.steps; i++) {
        const int j = c->s.steps - 1 - i;
        tb_err err = TB_ERR_INIT;
        tb_tensor *model = golden_f32(f, "%s.model.%d", name, j),
                  *z = golden_f32(f, "%s.noise.%d", name, j);
        tb_tensor *want = golden_f32(f, "%s.x.%d", name, j),
                  *want_x0 = golden_f32(f, "%s.pred_x0.%d", name, j);
        const tb_step p = { .schedule = &c->s,
                            .index = i,
                            .sampler = sampler,
                            .n = n,
                            .x = tb_tensor_f32(x),
                            .model = tb_tensor_f32(model),
                            .noise = tb_tensor_f32(z),
                            .eta = eta,
                            .variance = c->variance,
                            .log_range =
                                c->variance == TB_LEARNED_RANGE ? tb_tensor_f32(model) + n : NULL,
                            .clip = c->clip };
        CHECK_OK(tb_sampler_step(&p, &(tb_step_result){ got, x0, NULL }, &err));
        const double tol = c->cosine && i == 0 ? 1e-3 : TOL;
        snprintf(what, sizeof what, "%s.x.%d", name, j);
        golden_near(what, got, want, tol);
        snprintf(what, sizeof what, "%s.pred_x0.%d", name, j);
        golden_near(what, x0, want_x0, tol);
        tb_tensor_unref(&x);
        x = want;
        tb_tensor_unref(&model);
        tb_tensor_unref(&z);
        tb_tensor_unref(&want_x0);
    }
    tb_tensor_unref(&x);
    free(got);
    free(x0);
}

/* "<schedule>_T<T>_r<respacing>_<variance>_<clip>"; false when the name has another form. */
static bool parse_beta_case(const char *name, beta_case *c)
{
    const char *end = strstr(name, ".betas"), *t = strstr(name, "_T");
    if (!end || end[6] || !t)
        return false;
    *c = (beta_case){ .cosine = strncmp(name, "squaredcos", 10) == 0,
                      .train_steps = atoi(t + 2),
                      .clip = !strstr(name, "noclip"),
                      .variance = strstr(name, "learned_range") ? TB_LEARNED_RANGE
                                  : strstr(name, "fixed_large") ? TB_FIXED_LARGE
                                                                : TB_FIXED_SMALL };
    snprintf(c->name, sizeof c->name, "%.*s", (int)(end - name), name);
    return true;
}

static void beta_set(char letter)
{
    char *path = golden_path("samplers_ddpm", letter, ".safetensors");
    tb_safetensors *f = golden_open(path);
    int replayed = 0;
    for (int i = 0; i < tb_safetensors_count(f); i++) {
        beta_case c;
        if (!parse_beta_case(tb_safetensors_name(f, i), &c))
            continue;
        tb_err err = TB_ERR_INIT;
        const int steps = (int)tb_shape_count(tb_safetensors_shape(f, i));
        CHECK_OK(tb_schedule_make_betas(c.cosine, c.train_steps, steps, &c.s, &err));
        check_beta_tables(f, &c);
        replay_betas(f, &c, "ddpm", TB_DDPM, 0);
        replay_betas(f, &c, "ddim_eta0", TB_DDIM, 0);
        replay_betas(f, &c, "ddim_eta0.7", TB_DDIM, 0.7);
        tb_schedule_clear(&c.s);
        replayed++;
    }
    CHECK(replayed >= 3);
    tb_safetensors_close(&f);
    free(path);
}

TEST(ddpm_runs_match)
{
    golden_each("samplers_ddpm", ".safetensors", beta_set);
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(flow_runs_match),
        TEST_CASE(ddpm_runs_match),
    };
    return tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
}
