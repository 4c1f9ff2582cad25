/* test_preview.c - pictures of values: which can be seen, which frame, how large, and their
 * colours. */
#include <unistd.h>

#include "base/fs.h"
#include "formats/media.h"
#include "models/latent_rgb.h"
#include "server/preview.h"
#include "test.h"
#include "tubelet.h"

/* ------------------------------------------------------------------------------------- values */

static tb_tensor *filled(const tb_shape *shape, float v)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *t = tb_tensor_new(TB_F32, shape, &err);
    REQUIRE(t);
    for (int64_t i = 0; i < tb_tensor_count(t); i++)
        tb_tensor_f32_mut(t)[i] = v;
    return t;
}

/* f32 [n,h,w,3]: frame i is all red of level (i + 1) / n. */
static tb_tensor *reds(int64_t n, int64_t h, int64_t w)
{
    tb_tensor *t = filled(&TB_SHAPE(n, h, w, 3), 0);
    for (int64_t i = 0; i < n * h * w; i++)
        tb_tensor_f32_mut(t)[3 * i] = (float)(i / (h * w) + 1) / (float)n;
    return t;
}

static tb_value *list_of(tb_value *v)
{
    tb_value *list = tb_value_list();
    tb_list_append_take(list, v);
    return list;
}

static tb_value *tensor_list(tb_tensor *t)
{
    return list_of(tb_value_tensor_take(t));
}

static tb_value *latent(tb_tensor *samples, const char *state)
{
    tb_value *r = tb_value_record();
    tb_record_set_take(r, "samples", tb_value_tensor_take(samples));
    tb_record_set_take(r, "state", tb_value_string(state));
    return r;
}

/* A map under which channel 0 is red, channel 1 green, and blue is always on. */
static tb_value *plain_map(void)
{
    tb_value *list = tb_value_list();
    static const double n[] = { 1, 0, 0, 0, 1, 0, 0, 0, 1 };
    for (int i = 0; i < 9; i++)
        tb_list_append_take(list, tb_value_float(n[i]));
    return list;
}

/* ------------------------------------------------------------------------------------- pictures */

typedef struct picture {
    int64_t frames, height, width;
    float rgb[3]; /* in the middle */
} picture;

static tb_tensor *decode_all(const tb_tensor *bytes, const char *format)
{
    tb_err err = TB_ERR_INIT;
    char path[60];
    snprintf(path, sizeof path, "/tmp/tubelet-test-preview-%d.%s", (int)getpid(), format);
    REQUIRE(tb_fs_write(path, tb_tensor_data(bytes), tb_tensor_bytes(bytes), false, &err) == TB_OK);
    tb_tensor *t = tb_media_read(path, 0, 0, NULL, NULL, &err);
    CHECK_STR(err.message, "");
    unlink(path);
    REQUIRE(t);
    return t;
}

static picture decode(const tb_tensor *bytes, const char *format)
{
    tb_tensor *t = decode_all(bytes, format);
    picture p = { tb_tensor_dim(t, 0), tb_tensor_dim(t, 1), tb_tensor_dim(t, 2), { 0 } };
    const float *at = tb_tensor_f32(t) + (p.height / 2 * p.width + p.width / 2) * 3;
    memcpy(p.rgb, at, sizeof p.rgb);
    tb_tensor_unref(&t);
    return p;
}

static picture show(tb_value *out, int64_t frame, int max_side)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *bytes = tb_preview_encode(
        &out, 1, &(tb_preview_options){ .frame = frame, .max_side = max_side, .format = "png" },
        &err);
    CHECK_STR(err.message, "");
    REQUIRE(bytes);
    const picture p = decode(bytes, "png");
    tb_tensor_unref(&bytes);
    return p;
}

static void check_colour(const picture *p, double r, double g, double b)
{
    CHECK_NEAR(p->rgb[0], r, 0.012);
    CHECK_NEAR(p->rgb[1], g, 0.012);
    CHECK_NEAR(p->rgb[2], b, 0.012);
}

static void check_refused(tb_value *out, int64_t frame, const char *format, const char *message)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *bytes =
        tb_preview_encode(&out, 1, &(tb_preview_options){ .frame = frame, .format = format }, &err);
    CHECK(!bytes);
    CHECK_STR(err.message, message);
}

/* --------------------------------------------------------------------------------------- tests */

TEST(an_image_is_shown_as_it_is_or_smaller)
{
    tb_value *v = tensor_list(reds(5, 30, 60));
    CHECK(tb_preview_possible(&v, 1));
    CHECK_INT(tb_preview_frames(&v, 1), 5);
    picture p = show(v, -1, 0);
    CHECK(p.height == 30 && p.width == 60 && p.frames == 1);
    check_colour(&p, 3 / 5.0, 0, 0); /* the middle one */
    p = show(v, 0, 20);
    CHECK(p.height == 10 && p.width == 20);
    check_colour(&p, 1 / 5.0, 0, 0);
    p = show(v, 4, 1000);
    CHECK_INT(p.width, 60); /* never enlarged */
    check_colour(&p, 1, 0, 0);
    check_refused(v, 5, "png", "frame must be 0..4, got 5");
    check_refused(v, -3, "png", "frame must be 0..4, got -3");
    check_refused(v, -2, "png", "only webp and gif show all frames at once, got format 'png'");
    tb_value_unref(&v);
}

TEST(a_large_image_is_512_pixels_at_most)
{
    tb_value *v = tensor_list(reds(1, 16, 1024));
    const picture p = show(v, -1, 0);
    CHECK(p.width == 512 && p.height == 8);
    tb_value_unref(&v);
}

TEST(masks_and_videos_are_seen)
{
    tb_value *mask = tensor_list(filled(&TB_SHAPE(2, 8, 8), 0.5f));
    CHECK_INT(tb_preview_frames(&mask, 1), 2);
    picture p = show(mask, 1, 0);
    check_colour(&p, 0.5, 0.5, 0.5);
    tb_value_unref(&mask);
    tb_value *r = tb_value_record();
    tb_record_set_take(r, "images", tb_value_tensor_take(reds(3, 8, 8)));
    tb_record_set_take(r, "fps", tb_value_float(12));
    tb_value *video = list_of(r);
    CHECK_INT(tb_preview_frames(&video, 1), 3);
    p = show(video, 2, 0);
    check_colour(&p, 1, 0, 0);
    tb_value_unref(&video);
}

TEST(a_latent_is_shown_by_its_own_map)
{
    tb_tensor *t = filled(&TB_SHAPE(2, 3, 4, 6), -1);
    for (int i = 0; i < 24; i++)
        tb_tensor_f32_mut(t)[24 + i] = 0.5f; /* channel 0, frame 1 */
    tb_value *r = latent(t, "clean");
    tb_value *v = list_of(tb_value_ref(r));
    CHECK(!tb_preview_possible(&v, 1)); /* no public model has 2 channels */
    check_refused(v, -1, "png", "there is nothing to see in this result");
    tb_record_set_take(r, "latent_rgb", plain_map());
    CHECK(tb_preview_possible(&v, 1));
    CHECK_INT(tb_preview_frames(&v, 1), 3);
    picture p = show(v, 1, 0);
    CHECK(p.height == 32 && p.width == 48); /* 8 pixels a cell */
    check_colour(&p, 0.75, 0, 1);
    p = show(v, 0, 24);
    CHECK(p.height == 16 && p.width == 24);
    check_colour(&p, 0, 0, 1);
    tb_value_unref(&v);
    tb_value_unref(&r);
}

TEST(what_the_step_predicts_is_shown_while_noise_is_left)
{
    for (int partial = 0; partial < 2; partial++) {
        tb_value *r = latent(filled(&TB_SHAPE(2, 1, 4, 4), -1), partial ? "partial" : "clean");
        tb_record_set_take(r, "latent_rgb", plain_map());
        tb_record_set_take(r, "x0", tb_value_tensor_take(filled(&TB_SHAPE(2, 1, 4, 4), 1)));
        tb_value *v = list_of(r);
        const picture p = show(v, 0, 0);
        check_colour(&p, partial, partial, 1);
        tb_value_unref(&v);
    }
}

TEST(public_latents_have_maps)
{
    for (int64_t z = 16; z <= 48; z += 32) {
        const tb_latent_rgb *m = tb_latent_rgb_public(z);
        REQUIRE(m);
        tb_value *v = list_of(latent(filled(&TB_SHAPE(z, 1, 2, 2), 1), "clean"));
        double want[3];
        for (int k = 0; k < 3; k++) {
            double sum = (double)m->bias[k];
            for (int64_t c = 0; c < z; c++)
                sum += (double)m->factors[c][k];
            want[k] = fmin(1, fmax(0, (sum + 1) / 2));
        }
        const picture p = show(v, 0, 0);
        check_colour(&p, want[0], want[1], want[2]);
        tb_value_unref(&v);
    }
    CHECK(!tb_latent_rgb_public(2));
}

TEST(maps_are_read_from_a_config)
{
    tb_err err = TB_ERR_INIT;
    static const char text[] =
        "{\"latent_rgb_factors\":[[1,2,3],[4,5,6.5]],\"latent_rgb_bias\":[7,8,9]}";
    json_t *j = tb_json_parse(text, sizeof text - 1, "config", &err);
    const tb_latent_rgb m = tb_latent_rgb_read(j, 2);
    CHECK_INT(m.channels, 2);
    CHECK_NEAR(m.factors[1][2], 6.5, 0);
    CHECK_NEAR(m.bias[0], 7, 0);
    CHECK_INT(tb_latent_rgb_read(j, 3).channels, 0);
    CHECK_INT(tb_latent_rgb_read(NULL, 2).channels, 0);
    json_decref(j);
}

/* The preview of vae_encode's latent beside the picture that went in, 8 x 8. */
typedef struct pair {
    tb_tensor *shown, *picture;
    char error[900];
} pair;

static void on_event(void *ctx, tb_run *run, const tb_event *ev)
{
    pair *p = ctx;
    tb_err err = TB_ERR_INIT;
    (void)run;
    if (ev->kind == TB_EV_END && ev->err)
        snprintf(p->error, sizeof p->error, "%s", ev->err->message);
    if (ev->kind != TB_EV_FINISHED)
        return;
    tb_tensor **at = strcmp(ev->node, "z") == 0       ? &p->shown
                     : strcmp(ev->node, "small") == 0 ? &p->picture
                                                      : NULL;
    if (at)
        *at = tb_preview_encode(ev->outputs, ev->output_count,
                                &(tb_preview_options){ .frame = 0, .max_side = 8, .format = "png" },
                                &err);
}

TEST(the_bundled_models_latents_look_like_their_pictures)
{
    static const char text[] =
        "{\"graph\":{\"m\":{\"class_type\":\"load_model\"},"
        "\"i\":{\"class_type\":\"load_image\",\"inputs\":{\"path\":\"docs/frames.png\","
        "\"width\":64,\"height\":64}},"
        "\"z\":{\"class_type\":\"vae_encode\",\"inputs\":{\"vae\":[\"m\",2],\"image\":[\"i\",0]}},"
        "\"small\":{\"class_type\":\"image_resize\",\"inputs\":{\"image\":[\"i\",0],\"width\":8,"
        "\"height\":8,\"filter\":\"area\"}}},\"targets\":[\"z\",\"small\"]}";
    tb_err err = TB_ERR_INIT;
    pair p = { 0 };
    tb_engine *e = tb_engine_new(&(tb_engine_options){ .no_store = true }, &err);
    json_t *doc = tb_json_parse(text, sizeof text - 1, "document", &err);
    REQUIRE(e && doc);
    REQUIRE(tb_engine_submit(
        e, &(tb_run_options){ .document = doc, .on_event = on_event, .ctx = &p }, NULL, &err));
    uv_run(tb_engine_loop(e), UV_RUN_DEFAULT);
    CHECK_STR(p.error, "");
    REQUIRE(p.shown && p.picture);
    tb_tensor *shown = decode_all(p.shown, "png"), *small = decode_all(p.picture, "png");
    CHECK_INT(tb_tensor_count(shown), 8 * 8 * 3);
    CHECK_INT(tb_tensor_count(small), 8 * 8 * 3);
    double sum = 0;
    for (int i = 0; i < 8 * 8 * 3; i++)
        sum += pow((double)(tb_tensor_f32(shown)[i] - tb_tensor_f32(small)[i]), 2);
    const double psnr = 10 * log10(8 * 8 * 3 / sum);
    CHECK(psnr > 17); /* 18.4 here, 23 over clips of the model itself */
    tb_tensor_unref(&shown);
    tb_tensor_unref(&small);
    tb_tensor_unref(&p.shown);
    tb_tensor_unref(&p.picture);
    json_decref(doc);
    tb_engine_free(&e);
}

static tb_value *file_of(const char *format, int64_t frames)
{
    tb_err err = TB_ERR_INIT;
    char name[20];
    tb_tensor *images = reds(frames, 32, 32);
    tb_tensor *bytes =
        tb_media_encode(images, &(tb_media_options){ .format = format, .fps = 8 }, NULL, &err);
    CHECK_STR(err.message, "");
    tb_tensor_unref(&images);
    snprintf(name, sizeof name, "x.%s", format);
    return tb_value_file_take(name, bytes);
}

TEST(files_are_decoded_in_memory)
{
    static const char *const formats[] = { "mp4", "webm", "gif", "png", "jpg", "webp" };
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        const int64_t frames = i < 3 ? 5 : 1;
        tb_value *v = list_of(list_of(file_of(formats[i], frames)));
        CHECK(tb_preview_possible(&v, 1));
        CHECK_INT(tb_preview_frames(&v, 1), frames);
        const picture p = show(v, frames - 1, 16);
        CHECK(p.width == 16 && p.height == 16 && p.rgb[0] > 0.9f && p.rgb[1] < 0.1f);
        tb_value_unref(&v);
    }
    tb_value *damaged = list_of(tb_value_file_take("x.mp4", filled(&TB_SHAPE(4), 1)));
    CHECK(!tb_preview_possible(&damaged, 1)); /* bytes are u8 */
    tb_value_unref(&damaged);
}

TEST(all_frames_make_an_animation)
{
    tb_err err = TB_ERR_INIT;
    tb_value *v = tensor_list(reds(6, 16, 16));
    const tb_preview_options all = { .frame = -2, .format = "webp" },
                             one = { .frame = 0, .format = "webp" };
    tb_tensor *many = tb_preview_encode(&v, 1, &all, &err),
              *still = tb_preview_encode(&v, 1, &one, &err);
    REQUIRE(many && still);
    const char *bytes = tb_tensor_data(many);
    CHECK(memcmp(bytes, "RIFF", 4) == 0 && memcmp(bytes + 8, "WEBP", 4) == 0);
    int frames = 0;
    for (size_t i = 12; i + 4 <= tb_tensor_bytes(many); i++)
        frames += memcmp(bytes + i, "ANMF", 4) == 0;
    CHECK_INT(frames, 6);
    tb_tensor_unref(&many);
    tb_tensor_unref(&still);
    tb_value_unref(&v);
}

/* What a value is as a picture of that format. */
static tb_tensor *encoded(tb_value *v, const tb_preview_options *o)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *bytes = tb_preview_encode(&v, 1, o, &err);
    CHECK_STR(err.message, "");
    REQUIRE(bytes);
    tb_tensor *t = decode_all(bytes, o->format);
    tb_tensor_unref(&bytes);
    return t;
}

/* Six frames are a page of 2 x 2: the first, the second, the fourth, the last. From a tensor as
 * from a file. */
TEST(a_contact_sheet_shows_frames_from_first_to_last)
{
    static const double want[] = { 1 / 6.0, 2 / 6.0, 4 / 6.0, 1 };
    tb_value *values[] = { tensor_list(reds(6, 32, 32)), list_of(file_of("gif", 6)) };
    for (int k = 0; k < 2; k++) {
        tb_tensor *t = encoded(
            values[k], &(tb_preview_options){
                           .frame = -1, .columns = 2, .rows = 2, .min_side = 64, .format = "png" });
        CHECK_INT(tb_tensor_dim(t, 1), 128);
        CHECK_INT(tb_tensor_dim(t, 2), 128);
        for (int i = 0; i < 4; i++)
            CHECK_NEAR(tb_tensor_f32(t)[((i / 2 * 64 + 32) * 128 + i % 2 * 64 + 32) * 3], want[i],
                       0.012);
        tb_tensor_unref(&t);
        tb_value_unref(&values[k]);
    }
}

TEST(all_frames_make_a_gif)
{
    tb_value *r = tb_value_record();
    tb_record_set_take(r, "images", tb_value_tensor_take(reds(6, 16, 24)));
    tb_record_set_take(r, "fps", tb_value_float(100));
    tb_value *v = list_of(r);
    tb_tensor *t =
        encoded(v, &(tb_preview_options){ .frame = -2, .min_side = 40, .format = "gif" });
    CHECK_INT(tb_tensor_dim(t, 0), 3); /* at most 50 a second: every other one */
    CHECK_INT(tb_tensor_dim(t, 1), 32);
    CHECK_INT(tb_tensor_dim(t, 2), 48);
    for (int i = 0; i < 3; i++)
        CHECK_NEAR(tb_tensor_f32(t)[(i * 32 + 16) * 48 * 3], (2 * i + 1) / 6.0, 0.012);
    tb_tensor_unref(&t);
    tb_value_unref(&v);
}

TEST(an_animated_webp_shows_its_first_frame_or_itself)
{
    tb_err err = TB_ERR_INIT;
    tb_value *v = list_of(file_of("webp", 4));
    CHECK_INT(tb_preview_frames(&v, 1), 1);
    const picture p = show(v, -1, 0);
    CHECK(p.width == 32 && p.rgb[0] > 0.2f && p.rgb[0] < 0.3f && p.rgb[1] < 0.05f);
    tb_tensor *all =
        tb_preview_encode(&v, 1, &(tb_preview_options){ .frame = -2, .format = "webp" }, &err);
    REQUIRE(all);
    CHECK(all == tb_record_tensor(tb_list_at(v, 0), "bytes"));
    tb_tensor_unref(&all);
    tb_value_unref(&v);
}

TEST(what_has_no_picture_has_no_preview)
{
    tb_value *none[] = { list_of(tb_value_int(3)),
                         list_of(tb_value_string("x")),
                         tb_value_list(),
                         list_of(tb_value_record()),
                         tensor_list(filled(&TB_SHAPE(16, 2, 4, 8), 0)), /* a velocity */
                         tensor_list(filled(&TB_SHAPE(4, 8), 0)) };
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        CHECK(!tb_preview_possible(&none[i], 1));
        CHECK_INT(tb_preview_frames(&none[i], 1), 0);
        tb_value_unref(&none[i]);
    }
    /* the first output that can be seen */
    tb_value *two[] = { list_of(tb_value_int(3)), tensor_list(reds(2, 4, 4)) };
    CHECK_INT(tb_preview_frames(two, 2), 2);
    tb_value_unref(&two[0]);
    tb_value_unref(&two[1]);
}

int main(int argc, char **argv)
{
    setenv("TUBELET_MODEL", "examples/tiny", 0);
    static const struct tb_test tests[] = {
        TEST_CASE(an_image_is_shown_as_it_is_or_smaller),
        TEST_CASE(a_large_image_is_512_pixels_at_most),
        TEST_CASE(masks_and_videos_are_seen),
        TEST_CASE(a_latent_is_shown_by_its_own_map),
        TEST_CASE(what_the_step_predicts_is_shown_while_noise_is_left),
        TEST_CASE(public_latents_have_maps),
        TEST_CASE(maps_are_read_from_a_config),
        TEST_CASE(the_bundled_models_latents_look_like_their_pictures),
        TEST_CASE(files_are_decoded_in_memory),
        TEST_CASE(all_frames_make_an_animation),
        TEST_CASE(a_contact_sheet_shows_frames_from_first_to_last),
        TEST_CASE(all_frames_make_a_gif),
        TEST_CASE(an_animated_webp_shows_its_first_frame_or_itself),
        TEST_CASE(what_has_no_picture_has_no_preview),
    };
    return tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
}
