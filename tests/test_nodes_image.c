/* test_nodes_image.c - pictures in a conditioning: features of one or two, masks of single video
 * frames, and what a model says it takes. */
#include "graph/records.h"
#include "graph_help.h"

static tb_value *features(int64_t rows, int64_t dim, float first)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *t = tb_tensor_new(TB_F32, &TB_SHAPE(rows, dim), &err);
    REQUIRE(t);
    for (int64_t i = 0; i < rows * dim; i++)
        tb_tensor_f32_mut(t)[i] = first + (float)i;
    tb_value *r = tb_value_record();
    tb_record_set_take(r, "features", tb_value_tensor_take(t));
    return r;
}

#define GIVEN(name) "'" name "':{'class_type':'t_given','inputs':{'name':'" name "'}},"
#define JOIN                                                       \
    GIVEN("c")                                                     \
    GIVEN("a")                                                     \
    GIVEN("b")                                                     \
    "'j':{'class_type':'condition_image','inputs':{'conditioning'" \
    ":['c',0],'start':['a',0],'end':['b',0]}}"

static void give_conditioning(void)
{
    tb_value *c = tb_value_record();
    tb_record_set_take(c, "seen", tb_value_string("text"));
    give_take("c", c);
}

static void check_rows(const outcome *o, int64_t rows, float last)
{
    const tb_tensor *t = o->value ? tb_record_tensor(o->value, "image") : NULL;
    CHECK_STR(o->error, "");
    REQUIRE(t && tb_tensor_shape(t)->n == 2);
    CHECK_INT(tb_tensor_dim(t, 0), rows);
    CHECK_NEAR(tb_tensor_f32(t)[tb_tensor_count(t) - 1], last, 0);
    CHECK_STR(tb_record_text(o->value, "seen", ""), "text");
}

TEST(features_of_two_pictures_follow_each_other)
{
    give_conditioning();
    give_take("a", features(2, 3, 0));
    give_take("b", features(2, 3, 10));
    outcome o = run(JOIN, "j");
    check_rows(&o, 4, 15);
    tb_value_unref(&o.value);
    give_take("b", tb_value_record()); /* of a model that needs none */
    o = run(JOIN, "j");
    check_rows(&o, 2, 5);
    tb_value_unref(&o.value);
    give_take("a", tb_value_record());
    o = run(JOIN, "j");
    CHECK(o.value && !tb_record_get(o.value, "image"));
    tb_value_unref(&o.value);
    forget_given();
}

TEST(features_that_do_not_fit_are_refused)
{
    give_conditioning();
    give_take("a", features(2, 3, 0));
    give_take("b", features(2, 4, 0));
    expect_error(JOIN, "j",
                 "node 'j': start and end must be features of one width, got 3 "
                 "and 4: encode both pictures with the same image encoder");
    give_take("b", tb_value_int(1));
    expect_error(JOIN, "j",
                 "node 'j': image features must be a record, as "
                 "clip_vision_encode gives it");
    tb_value *odd = tb_value_record();
    tb_record_set_take(odd, "features", tb_value_string("no"));
    give_take("b", odd);
    expect_error(JOIN, "j", "node 'j': the output of clip_vision_encode has no tensor 'features'");
    forget_given();
}

TEST(another_thing_is_no_image_encoder)
{
    give_conditioning();
    expect_error(GIVEN("c") "'e':{'class_type':'clip_vision_encode','inputs':{'clip_vision':"
                            "['c',0],'image':['c',0]}}",
                 "e",
                 "node 'e': clip_vision must be the image encoder that "
                 "load_model gives as 'clip_vision'");
    forget_given();
}

/* ------------------------------------------------------------------------ single video frames */

static void give_latent(int64_t frames)
{
    tb_err err = TB_ERR_INIT;
    tb_value *latent = tb_value_record();
    tb_tensor *t = tb_tensor_new_zero(TB_F32, &TB_SHAPE(2, frames, 2, 2), &err);
    REQUIRE(t);
    tb_record_set_take(latent, "samples", tb_value_tensor_take(t));
    give_take("x", latent);
}

static void give_mask(int64_t frames, int64_t known, int64_t last)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *t = tb_tensor_new_zero(TB_F32, &TB_SHAPE(frames, 1, 1), &err);
    REQUIRE(t);
    for (int64_t i = 0; i < frames; i++)
        tb_tensor_f32_mut(t)[i] = i < known || i >= frames - last ? 1 : 0;
    give_take("m", tb_value_tensor_take(t));
}

#define KNOWN                                                                                 \
    GIVEN("c")                                                                                \
    GIVEN("x")                                                                                \
    GIVEN("m")                                                                                \
    "'k':{'class_type':'condition','inputs':{'conditioning':['c',0],'latent':['x',0],'mask':" \
    "['m',0],'frames':'all','hold':false,'keep':true}}"

/* One letter a video frame: '1' where its mask is 1; the latent's mask behind a space. */
static void check_masks(const char *want)
{
    outcome o = run(KNOWN, "k");
    const tb_tensor *each = o.value ? tb_record_tensor(o.value, "mask_frames") : NULL,
                    *mask = o.value ? tb_record_tensor(o.value, "mask") : NULL;
    tb_str got = TB_STR_INIT;
    CHECK_STR(o.error, "");
    REQUIRE(mask);
    const int64_t frames = tb_tensor_dim(mask, 0), stride = each ? tb_tensor_dim(each, 0) : 0;
    for (int64_t f = 0; f < frames; f++)
        for (int64_t s = 0; s < stride; s++)
            tb_str_add(&got, tb_tensor_f32(each)[(s * frames + f) * 4] > 0 ? "1" : "0");
    tb_str_add(&got, " ");
    for (int64_t f = 0; f < frames; f++)
        tb_str_add(&got, tb_tensor_f32(mask)[f * 4 + 3] > 0 ? "1" : "0");
    CHECK_STR(got.s, want);
    tb_str_free(&got);
    tb_value_unref(&o.value);
}

/* As WanFirstLastFrameToVideo of ComfyUI has them: the first latent frame is of one video frame and
 * has it four times, of the last one only the last video frame is known. */
TEST(a_last_picture_is_known_in_its_own_mask)
{
    give_conditioning();
    give_latent(3);
    give_mask(9, 1, 1);
    check_masks("111100000001 100");
    give_mask(9, 3, 0);
    check_masks("111111000000 100");
    give_mask(9, 5, 0); /* whole latent frames: the mask says it all */
    check_masks(" 110");
    give_mask(3, 1, 1);
    check_masks(" 101");
    forget_given();
}

/* --------------------------------------------------------------------------------------- models */

static void check_info(int64_t image_dim, int64_t in_channels, bool experts, int slot, bool want)
{
    tb_value *m = tb_value_record();
    tb_record_set_take(m, "image_dim", tb_value_int(image_dim));
    tb_record_set_take(m, "in_channels", tb_value_int(in_channels));
    tb_record_set_take(m, "latent_channels", tb_value_int(16));
    if (experts)
        tb_record_set_take(m, "low", tb_value_record());
    give_take("m", m);
    char *text = tb_xasprintf("%s'i':{'class_type':'model_info','inputs':{'model':['m',0]}},"
                              "'s':{'class_type':'t_same','inputs':{'value':['i',%d]}}",
                              GIVEN("m"), slot);
    outcome o = run(text, "s");
    REQUIRE(o.value && tb_value_kind(o.value) == TB_BOOLEAN);
    CHECK_INT(tb_value_as_bool(o.value), want);
    tb_value_unref(&o.value);
    free(text);
    forget_given();
}

TEST(a_model_tells_how_it_was_trained_on_pictures)
{
    enum { IMAGE_FEATURES = 1, GREY_FRAMES = 2 };
    check_info(1280, 36, false, IMAGE_FEATURES, true); /* Wan2.1 I2V */
    check_info(1280, 36, false, GREY_FRAMES, true);
    check_info(0, 36, true, IMAGE_FEATURES, false); /* Wan2.2 I2V A14B */
    check_info(0, 36, true, GREY_FRAMES, true);
    check_info(0, 36, false, GREY_FRAMES, false); /* the bundled model */
    check_info(0, 16, true, GREY_FRAMES, false);  /* Wan2.2 T2V A14B */
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(features_of_two_pictures_follow_each_other),
        TEST_CASE(features_that_do_not_fit_are_refused),
        TEST_CASE(another_thing_is_no_image_encoder),
        TEST_CASE(a_last_picture_is_known_in_its_own_mask),
        TEST_CASE(a_model_tells_how_it_was_trained_on_pictures),
    };
    return run_with_engine(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
}
