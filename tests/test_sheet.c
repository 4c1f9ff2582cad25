/* test_sheet.c - frames laid out for people: which are chosen, where they stand, when they are
 * seen.
 */
#include <unistd.h>

#include "base/fs.h"
#include "formats/media.h"
#include "formats/sheet.h"
#include "test.h"

/* Frame i of n is grey of level (i + 1) / n. */
static tb_tensor *greys(int64_t n, int64_t h, int64_t w)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *t = tb_tensor_new(TB_F32, &TB_SHAPE(n, h, w, 3), &err);
    REQUIRE(t);
    for (int64_t i = 0; i < tb_tensor_count(t); i++)
        tb_tensor_f32_mut(t)[i] = (float)(i / (h * w * 3) + 1) / (float)n;
    return t;
}

/* The red of a pixel. */
static double pixel(const tb_tensor *t, int64_t frame, int64_t y, int64_t x)
{
    return (double)tb_tensor_f32(
        t)[((frame * tb_tensor_dim(t, 1) + y) * tb_tensor_dim(t, 2) + x) * 3];
}

static void check_size(const tb_tensor *t, int64_t frames, int64_t height, int64_t width)
{
    REQUIRE(t);
    CHECK_INT(tb_tensor_dim(t, 0), frames);
    CHECK_INT(tb_tensor_dim(t, 1), height);
    CHECK_INT(tb_tensor_dim(t, 2), width);
}

TEST(frames_are_spread_from_first_to_last)
{
    static const int64_t want[] = { 0, 4, 8, 12, 16 };
    for (int i = 0; i < 5; i++)
        CHECK_INT(tb_media_spread(17, 5, i), want[i]);
    for (int i = 0; i < 7; i++)
        CHECK_INT(tb_media_spread(7, 7, i), i);
    CHECK_INT(tb_media_spread(17, 1, 0), 0);
}

/* Of a file, where only the chosen ones are held. */
TEST(chosen_frames_are_read_from_a_file)
{
    tb_err err = TB_ERR_INIT;
    char path[60];
    tb_tensor *all = greys(9, 16, 32);
    tb_tensor *file =
        tb_media_encode(all, &(tb_media_options){ .format = "mp4", .fps = 8 }, NULL, &err);
    REQUIRE(file);
    snprintf(path, sizeof path, "/tmp/tubelet-test-sheet-%d.mp4", (int)getpid());
    CHECK_OK(tb_fs_write(path, tb_tensor_data(file), tb_tensor_bytes(file), false, &err));
    tb_tensor *some = tb_media_read_spread(path, 3, NULL, &err);
    check_size(some, 3, 16, 32);
    for (int i = 0; i < 3; i++)
        CHECK_NEAR(pixel(some, i, 8, 8), (4 * i + 1) / 9.0, 0.02);
    tb_tensor *many = tb_media_read_spread(path, 50, NULL, &err);
    check_size(many, 9, 16, 32);
    CHECK(!tb_media_read_spread("/nowhere.mp4", 3, NULL, &err));
    CHECK(strstr(err.message, "/nowhere.mp4"));
    unlink(path);
    tb_tensor_unref(&many);
    tb_tensor_unref(&some);
    tb_tensor_unref(&file);
    tb_tensor_unref(&all);
}

TEST(small_pictures_are_enlarged_by_whole_factors)
{
    CHECK_INT(tb_sheet_factor(64, 64, 256), 4);
    CHECK_INT(tb_sheet_factor(96, 64, 256), 3);
    CHECK_INT(tb_sheet_factor(64, 255, 256), 2);
    CHECK_INT(tb_sheet_factor(256, 10, 256), 1);
    CHECK_INT(tb_sheet_factor(832, 480, 256), 1);
    tb_err err = TB_ERR_INIT;
    tb_tensor *t = greys(1, 2, 2);
    tb_tensor_f32_mut(t)[0] = 0.25f; /* the red of the first pixel */
    tb_tensor *large = tb_sheet_scaled(t, 3, &err), *half = tb_sheet_scaled(t, 0.5, &err),
              *least = tb_sheet_scaled(t, 0.01, &err);
    check_size(large, 1, 6, 6);
    for (int i = 0; i < 36; i++)
        CHECK_NEAR(pixel(large, 0, i / 6, i % 6), i / 6 < 3 && i % 6 < 3 ? 0.25 : 1, 0);
    check_size(half, 1, 1, 1);
    CHECK_NEAR(pixel(half, 0, 0, 0), 3.25 / 4, 1e-6); /* the mean of the four */
    check_size(least, 1, 1, 1);
    tb_tensor_unref(&t);
    tb_tensor_unref(&large);
    tb_tensor_unref(&half);
    tb_tensor_unref(&least);
}

TEST(a_sheet_has_a_row_for_each_video)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *rows[] = { greys(3, 4, 5), greys(2, 6, 4) };
    tb_tensor *t = tb_sheet_rows(rows, 2, &err);
    check_size(t, 1, 4 + 2 + 6, 15);
    for (int i = 0; i < 3; i++) {
        CHECK_NEAR(pixel(t, 0, 0, 5 * i), (i + 1) / 3.0, 1e-6);
        CHECK_NEAR(pixel(t, 0, 3, 5 * i + 4), (i + 1) / 3.0, 1e-6);
    }
    CHECK_NEAR(pixel(t, 0, 5, 0), 0.1, 1e-6); /* the gap */
    CHECK_NEAR(pixel(t, 0, 6, 3), 0.5, 1e-6);
    CHECK_NEAR(pixel(t, 0, 11, 7), 1, 1e-6);
    CHECK_NEAR(pixel(t, 0, 6, 8), 0.1, 1e-6); /* the second row is shorter */
    tb_tensor_unref(&t);
    tb_tensor_unref(&rows[0]);
    tb_tensor_unref(&rows[1]);
}

TEST(a_grid_is_read_like_a_page)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *all = greys(5, 2, 3), *t = tb_sheet_grid(all, 3, &err);
    check_size(t, 1, 4, 9);
    for (int i = 0; i < 5; i++)
        CHECK_NEAR(pixel(t, 0, i / 3 * 2 + 1, i % 3 * 3 + 2), (i + 1) / 5.0, 1e-6);
    CHECK_NEAR(pixel(t, 0, 3, 8), 0.1, 1e-6);
    tb_tensor_unref(&t);
    t = tb_sheet_grid(all, 9, &err);
    check_size(t, 1, 2, 15);
    tb_tensor_unref(&t);
    t = tb_sheet_grid(all, 4, &err); /* three and two, not four and one */
    check_size(t, 1, 4, 9);
    tb_tensor_unref(&t);
    tb_tensor_unref(&all);
}

/* 4 frames at 4 a second beside 4 at 8: the second is over after half of the time, and waits. */
TEST(videos_beside_each_other_keep_their_time)
{
    tb_err err = TB_ERR_INIT;
    double rate = 0;
    tb_tensor *videos[] = { greys(4, 2, 2), greys(4, 4, 3), greys(1, 2, 2) };
    const double fps[] = { 4, 8, 0 };
    tb_tensor *t = tb_sheet_beside(videos, fps, 3, 50, &rate, &err);
    check_size(t, 8, 4, 2 + 2 + 3 + 2 + 2);
    CHECK_NEAR(rate, 8, 0);
    for (int f = 0; f < 8; f++) {
        CHECK_NEAR(pixel(t, f, 1, 0), (f / 2 + 1) / 4.0, 1e-6);
        CHECK_NEAR(pixel(t, f, 0, 4), (f < 3 ? f + 1 : 4) / 4.0, 1e-6);
        CHECK_NEAR(pixel(t, f, 2, 10), 1, 1e-6);  /* a picture */
        CHECK_NEAR(pixel(t, f, 0, 0), 0.1, 1e-6); /* the lower one stands in the middle */
    }
    tb_tensor_unref(&t);
    t = tb_sheet_beside(videos, fps, 1, 2, &rate, &err); /* at most 2 a second */
    check_size(t, 2, 2, 2);
    CHECK_NEAR(rate, 2, 0);
    CHECK_NEAR(pixel(t, 1, 0, 0), 0.75, 1e-6);
    tb_tensor_unref(&t);
    t = tb_sheet_beside(videos + 2, fps + 2, 1, 50, &rate, &err);
    check_size(t, 1, 2, 2);
    CHECK_NEAR(rate, 1, 0);
    tb_tensor_unref(&t);
    for (int i = 0; i < 3; i++)
        tb_tensor_unref(&videos[i]);
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(frames_are_spread_from_first_to_last),
        TEST_CASE(chosen_frames_are_read_from_a_file),
        TEST_CASE(small_pictures_are_enlarged_by_whole_factors),
        TEST_CASE(a_sheet_has_a_row_for_each_video),
        TEST_CASE(a_grid_is_read_like_a_page),
        TEST_CASE(videos_beside_each_other_keep_their_time),
    };
    return tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
}
