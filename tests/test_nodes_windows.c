/* test_nodes_windows.c - the nodes behind long videos and loops: windows of latents, of known
 * frames and of velocities, and the composite that samples in them.
 */
#include "graph_help.h"

/* Element (c, t, cell) is 100 c + 10 t, plus `more`. */
static tb_tensor *steps_of(const tb_shape *shape, float more)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *t = tb_tensor_new(TB_F32, shape, &err);
    REQUIRE(t);
    const int64_t plane = shape->d[2] * shape->d[3], frames = shape->d[1];
    for (int64_t i = 0; i < tb_tensor_count(t); i++)
        tb_tensor_f32_mut(t)[i] =
            (float)(i / plane / frames * 100 + i / plane % frames * 10) + more;
    return t;
}

static tb_value *latent_of(const tb_shape *shape)
{
    tb_value *v = tb_value_record();
    tb_record_set_take(v, "samples", tb_value_tensor_take(steps_of(shape, 0)));
    tb_record_set_take(v, "noise", tb_value_tensor_take(steps_of(shape, 5)));
    tb_record_set_take(v, "state", tb_value_string("noise"));
    return v;
}

static tb_value *velocity_of(int64_t frames, float value)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *t = tb_tensor_new(TB_F32, &TB_SHAPE(2, frames, 2, 2), &err);
    REQUIRE(t);
    for (int64_t i = 0; i < tb_tensor_count(t); i++)
        tb_tensor_f32_mut(t)[i] = value;
    return tb_value_tensor_take(t);
}

#define GIVEN(id) "'" id "':{'class_type':'t_given','inputs':{'name':'" id "'}},"

/* The first cell of each frame of a channel. */
static void check_frames(const tb_tensor *t, int64_t channel, const float *want, int n)
{
    const int64_t plane = tb_tensor_dim(t, 2) * tb_tensor_dim(t, 3);
    CHECK_INT(tb_tensor_dim(t, 1), n);
    for (int i = 0; i < n; i++)
        CHECK_NEAR(tb_tensor_f32(t)[(channel * n + i) * plane], want[i], 1e-6);
}

/* --------------------------------------------------------------------------------- the windows */

#define WINDOW(inputs) \
    GIVEN("x")         \
    "'w':{'class_type':'latent_window','inputs':{'latent':['x',0]," inputs "}}"

TEST(a_window_runs_over_the_end)
{
    give_take("x", latent_of(&TB_SHAPE(2, 4, 2, 2)));
    outcome o = run(WINDOW("'start':3,'count':3"), "w");
    check_frames(samples_of(&o), 0, (const float[]){ 30, 0, 10 }, 3);
    check_frames(samples_of(&o), 1, (const float[]){ 130, 100, 110 }, 3);
    check_frames(tb_record_tensor(o.value, "noise"), 0, (const float[]){ 35, 5, 15 }, 3);
    CHECK_STR(tb_value_as_string(tb_record_get(o.value, "state")), "noise");
    tb_value_unref(&o.value);
    o = run(WINDOW("'start':-5,'count':6"), "w");
    check_frames(samples_of(&o), 0, (const float[]){ 30, 0, 10, 20, 30, 0 }, 6);
    tb_value_unref(&o.value);
    expect_error(WINDOW("'count':0"), "w", "node 'w': count must be 1..1000000, got 0");
    forget_given();
}

static tb_value *knowing(void)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *mask = tb_tensor_new_zero(TB_F32, &TB_SHAPE(4, 2, 2), &err);
    REQUIRE(mask);
    tb_tensor_f32_mut(mask)[0] = 1; /* of frame 0 */
    tb_value *v = tb_value_record();
    tb_record_set_take(v, "text", velocity_of(1, 0));
    tb_record_set_take(v, "known", tb_value_tensor_take(steps_of(&TB_SHAPE(2, 4, 2, 2), 0)));
    tb_record_set_take(v, "mask", tb_value_tensor_take(mask));
    tb_record_set_take(v, "hold", tb_value_bool(true));
    return v;
}

#define KNOWN  \
    GIVEN("c") \
    "'w':{'class_type':'condition_window','inputs':{'conditioning':['c',0],'start':3,'count':2}}"

TEST(known_frames_follow_their_window)
{
    give_take("c", knowing());
    outcome o = run(KNOWN, "w");
    REQUIRE(o.value);
    check_frames(tb_record_tensor(o.value, "known"), 0, (const float[]){ 30, 0 }, 2);
    const tb_tensor *mask = tb_record_tensor(o.value, "mask");
    CHECK(tb_shape_eq(tb_tensor_shape(mask), &TB_SHAPE(2, 2, 2)));
    CHECK_NEAR(tb_tensor_f32(mask)[0], 0, 0);
    CHECK_NEAR(tb_tensor_f32(mask)[4], 1, 0);
    CHECK(tb_value_as_bool(tb_record_get(o.value, "hold")));
    tb_value_unref(&o.value);

    tb_value *plain = tb_value_record();
    tb_record_set_take(plain, "text", velocity_of(1, 0));
    give_take("c", plain);
    o = run(KNOWN, "w");
    CHECK(o.value == plain);
    tb_value_unref(&o.value);

    tb_value *broken = tb_value_record();
    tb_record_set_take(broken, "known", tb_value_bool(true));
    give_take("c", broken);
    expect_error(
        KNOWN, "w",
        "node 'w': 'known' of the conditioning must have 4 dimensions; take it from condition");
    give_take("c", tb_value_int(3));
    expect_error(KNOWN, "w", "node 'w': conditioning must be one that text_encode gives");
    forget_given();
}

/* ------------------------------------------------------------------------------ the velocities */

#define BLEND(inputs)                                                  \
    GIVEN("x")                                                         \
    GIVEN("v")                                                         \
    GIVEN("w")                                                         \
    "'n':{'class_type':'velocity_window','inputs':{'latent':['x',0],'" \
    "window':['w',0]," inputs "}}"

static void check_blend(const char *nodes, const float *want, int n)
{
    outcome o = run(nodes, "n");
    CHECK_STR(o.error, "");
    REQUIRE(o.value);
    check_frames(tb_value_as_tensor(o.value), 0, want, n);
    check_frames(tb_value_as_tensor(o.value), 1, want, n);
    tb_value_unref(&o.value);
}

TEST(windows_fade_into_each_other)
{
    give_take("x", latent_of(&TB_SHAPE(2, 6, 2, 2)));
    give_take("v", velocity_of(6, 1));
    give_take("w", velocity_of(4, 5));
    check_blend(BLEND("'start':1"), (const float[]){ 0, 5, 5, 5, 5, 0 }, 6);
    check_blend(BLEND("'velocity':['v',0],'start':2,'fade_in':3"),
                (const float[]){ 1, 1, 2, 3, 4, 5 }, 6);
    check_blend(BLEND("'velocity':['v',0],'start':4,'fade_in':1,'fade_out':1"),
                (const float[]){ 5, 3, 1, 1, 3, 5 }, 6);
    check_blend(BLEND("'velocity':['v',0],'start':-2"), (const float[]){ 5, 5, 1, 1, 5, 5 }, 6);
    forget_given();
}

/* Equal answers stay what they are however they overlap: weights add up to one. */
TEST(equal_windows_change_nothing)
{
    give_take("x", latent_of(&TB_SHAPE(2, 6, 2, 2)));
    give_take("v", velocity_of(6, 5));
    give_take("w", velocity_of(4, 5));
    for (int fade = 0; fade < 5; fade++) {
        char *nodes =
            tb_xasprintf(BLEND("'velocity':['v',0],'start':%d,'fade_in':%d,'fade_out':%d"), fade,
                         fade, 4 - fade);
        check_blend(nodes, (const float[]){ 5, 5, 5, 5, 5, 5 }, 6);
        free(nodes);
    }
    forget_given();
}

TEST(windows_that_do_not_fit_are_refused)
{
    give_take("x", latent_of(&TB_SHAPE(2, 3, 2, 2)));
    give_take("v", velocity_of(2, 1));
    give_take("w", velocity_of(4, 5));
    expect_error(
        BLEND("'start':1"), "n",
        "node 'n': window must be a part of the latent's frames, [2,3,2,2], got [2,4,2,2]");
    give_take("w", velocity_of(1, 5));
    expect_error(BLEND("'velocity':['v',0]"), "n",
                 "node 'n': velocity must be VELOCITY f32 of the latent's size, got F32 [2,2,2,2]");
    give_take("w", tb_value_string("a"));
    expect_error(
        BLEND("'start':1"), "n",
        "node 'n': window must be VELOCITY f32 [channels,frames,height,width], got a text");
    forget_given();
}

/* ------------------------------------------------------------------------------------ sampling */

#define MODEL "'m':{'class_type':'load_model','inputs':{'path':'examples/tiny'}},"
#define NOISE(frames)                                                                          \
    "'x':{'class_type':'noise_init','inputs':{'model':['m',0],'size':'32x32','frames':" frames \
    ",'seed':3}},"
#define TEXT(id, text) \
    "'" id "':{'class_type':'text_encode','inputs':{'clip':['m',1],'text':'" text "'}},"
#define SAMPLE(type, more)                                                                       \
    MODEL NOISE("9") TEXT("c", "a red ball")                                                     \
        TEXT("d", "a blue cube") "'n':{'class_type':'" type                                      \
                                 "','inputs':{'model':['m',0],'latent':['x',0]," more            \
                                 ",'steps':2,'cfg':1.0}},'t':{'class_type':'t_same','inputs':{'" \
                                 "value':['n',0]}}"

static outcome sampled(const char *nodes)
{
    outcome o = run(nodes, "t");
    CHECK_STR(o.error, "");
    samples_of(&o);
    return o;
}

/* The largest difference of a frame. */
static double differs(const outcome *a, const outcome *b, int64_t frame)
{
    const tb_tensor *s = samples_of(a), *t = samples_of(b);
    const int64_t plane = tb_tensor_dim(s, 2) * tb_tensor_dim(s, 3), frames = tb_tensor_dim(s, 1);
    double most = 0;
    REQUIRE(tb_shape_eq(tb_tensor_shape(s), tb_tensor_shape(t)));
    for (int64_t i = 0; i < tb_tensor_count(s); i++)
        if (i / plane % frames == frame)
            most = fmax(most, fabs((double)(tb_tensor_f32(s)[i] - tb_tensor_f32(t)[i])));
    return most;
}

static void check_one_window(const char *sampler)
{
    char *alone = tb_xasprintf(SAMPLE("sample", "'positive':['c',0],'sampler':'%s'"), sampler);
    char *windows = tb_xasprintf(
        SAMPLE("sample_windows", "'positive':['c',0],'sampler':'%s','length':3,'window':5"),
        sampler);
    outcome a = sampled(alone), b = sampled(windows);
    for (int i = 0; i < 3; i++)
        CHECK_NEAR(differs(&a, &b, i), 0, 0);
    tb_value_unref(&a.value);
    tb_value_unref(&b.value);
    free(alone);
    free(windows);
}

TEST(one_window_is_an_ordinary_run)
{
    check_one_window("euler");
    check_one_window("heun");
    check_one_window("unipc");
}

/* Windows [0,2) and [1,3): in the frame both see, both prompts count; beyond it only one does. */
TEST(each_window_follows_its_prompt)
{
#define TWO "'length':3,'window':2,'overlap':1,'positive':['c',0]"
    outcome one = sampled(SAMPLE("sample_windows", TWO));
    outcome same = sampled(SAMPLE("sample_windows", TWO ",'positive_2':['c',0]"));
    outcome two = sampled(SAMPLE("sample_windows", TWO ",'positive_2':['d',0]"));
    for (int i = 0; i < 3; i++)
        CHECK_NEAR(differs(&one, &same, i), 0, 0);
    CHECK(differs(&one, &two, 1) > 1e-3);
    CHECK(differs(&one, &two, 2) > differs(&one, &two, 0));
    tb_value_unref(&one.value);
    tb_value_unref(&same.value);
    tb_value_unref(&two.value);
}

TEST(a_ring_has_windows_over_its_end)
{
    outcome line =
        sampled(SAMPLE("sample_windows", "'positive':['c',0],'length':3,'window':2,'overlap':1"));
    outcome ring = sampled(SAMPLE(
        "sample_windows", "'positive':['c',0],'length':3,'window':2,'overlap':1,'ring':true"));
    CHECK(differs(&line, &ring, 0) > 1e-4);
    tb_value_unref(&line.value);
    tb_value_unref(&ring.value);
}

TEST(windows_that_cannot_be_are_refused)
{
    expect_error(SAMPLE("sample_windows", "'positive':['c',0],'length':3,'window':2,'overlap':2"),
                 "t", "node 'n': overlap must be below the window's 2 latent frames, got 2");
    expect_error(SAMPLE("sample_windows", "'positive':['c',0],'length':4,'window':2,'overlap':1"),
                 "t",
                 "node 'n/step_00/window_01/latent': windows are laid out for 4 latent frames, the "
                 "latent has 3; set length to that");
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(a_window_runs_over_the_end),          TEST_CASE(known_frames_follow_their_window),
        TEST_CASE(windows_fade_into_each_other),        TEST_CASE(equal_windows_change_nothing),
        TEST_CASE(windows_that_do_not_fit_are_refused), TEST_CASE(one_window_is_an_ordinary_run),
        TEST_CASE(each_window_follows_its_prompt),      TEST_CASE(a_ring_has_windows_over_its_end),
        TEST_CASE(windows_that_cannot_be_are_refused),
    };
    return run_with_engine(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
}
