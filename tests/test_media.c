/* test_media.c - pictures and videos: what is written is read back, and strange files give
 * sentences. */
#include <unistd.h>

#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include "formats/media.h"
#include "test.h"

static char *folder;

static char *in_folder(const char *name)
{
    return tb_fs_join(folder, name);
}

/* A disc of one colour moves over a field of another. */
static tb_tensor *moving_disc(int64_t n, int64_t h, int64_t w)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *t = tb_tensor_new(TB_F32, &TB_SHAPE(n, h, w, 3), &err);
    REQUIRE(t);
    float *p = tb_tensor_f32_mut(t);
    for (int64_t f = 0; f < n; f++)
        for (int64_t y = 0; y < h; y++)
            for (int64_t x = 0; x < w; x++, p += 3) {
                const int64_t dx = x - w / 4 - f, dy = y - h / 2;
                const bool inside = dx * dx + dy * dy < h * h / 16;
                p[0] = inside ? 0.9F : 0.1F;
                p[1] = inside ? 0.15F : 0.6F;
                p[2] = inside ? 0.1F : 0.2F;
            }
    return t;
}

/* The file with texts inside; consumes both. */
static tb_tensor *with_texts_take(tb_tensor *file, const char *format, json_t *texts, tb_err *err)
{
    tb_tensor *with = file ? tb_media_embed(file, format, texts, err) : NULL;
    tb_tensor_unref(&file);
    json_decref(texts);
    return with;
}

static tb_status save(const tb_tensor *images, const char *path, const char *graph, int quality,
                      tb_err *err)
{
    const tb_media_options o = { .format = tb_media_format_of(path), .fps = 8, .quality = quality };
    tb_tensor *file = tb_media_encode(images, &o, NULL, err);
    if (file && graph)
        file = with_texts_take(file, o.format, json_pack("{ss}", "prompt", graph), err);
    if (!file)
        return err->status;
    const tb_status st = tb_fs_write(path, tb_tensor_data(file), tb_tensor_bytes(file), false, err);
    tb_tensor_unref(&file);
    return st;
}

static double mean_difference(const tb_tensor *a, const tb_tensor *b)
{
    if (!tb_shape_eq(tb_tensor_shape(a), tb_tensor_shape(b)))
        return HUGE_VAL;
    double sum = 0;
    for (int64_t i = 0; i < tb_tensor_count(a); i++)
        sum += fabs((double)tb_tensor_f32(a)[i] - (double)tb_tensor_f32(b)[i]);
    return sum / (double)tb_tensor_count(a);
}

/* Writes, probes, reads back; checks size, rate, graph, and that the pixels are near. */
static void round_trip(const char *name, int64_t frames, double tolerance, const char *graph)
{
    tb_err err = TB_ERR_INIT;
    tb_media_info info = { 0 };
    double fps = -1;
    char *path = in_folder(name);
    tb_tensor *images = moving_disc(frames, 48, 64);
    CHECK_OK(save(images, path, graph, 0, &err));
    CHECK_OK(tb_media_probe(path, &info, &err));
    CHECK_INT(info.frames, frames);
    CHECK_INT(info.width, 64);
    CHECK_INT(info.height, 48);
    CHECK_STR(json_string_value(json_object_get(info.texts, "prompt")), graph);
    tb_tensor *back = tb_media_read(path, 0, 0, &fps, NULL, &err);
    if (!back)
        fprintf(stderr, "%s\n", err.message);
    REQUIRE(back);
    CHECK_NEAR(fps, frames > 1 ? 8 : 0, 1e-9);
    CHECK_NEAR(info.fps, fps, 0);
    CHECK_NEAR(mean_difference(images, back), 0, tolerance);
    json_decref(info.texts);
    free(path);
    tb_tensor_unref(&images);
    tb_tensor_unref(&back);
}

#define GRAPH "{\"1\":{\"class_type\":\"mux\",\"inputs\":{\"text\":\"a \\\"ball\\\"; = # \\n\"}}}"

TEST(mp4_is_read_back)
{
    round_trip("a.mp4", 17, 0.012, GRAPH);
}

TEST(webm_is_read_back)
{
    round_trip("a.webm", 17, 0.012, GRAPH);
}

TEST(gif_is_read_back)
{
    round_trip("a.gif", 17, 0.003, GRAPH);
}

TEST(png_is_read_back)
{
    round_trip("a.png", 1, 0.003, GRAPH);
    round_trip("b.png", 1, 0.003,
               "{\"text\":\"ein gr\xc3\xbc"
               "ner Ball \xe7\x90\x83\"}");
}

TEST(jpeg_is_read_back)
{
    round_trip("a.jpg", 1, 0.012, GRAPH);
}

TEST(webp_is_read_back)
{
    round_trip("a.webp", 1, 0.012, GRAPH);
}


TEST(animated_webp_is_written_whole)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *images = moving_disc(5, 32, 32);
    const tb_media_options o = { .format = "webp", .fps = 8 };
    tb_tensor *file = with_texts_take(tb_media_encode(images, &o, NULL, &err), "webp",
                                      json_pack("{ss}", "prompt", GRAPH), &err);
    REQUIRE(file);
    const uint8_t *b = tb_tensor_u8(file);
    int frames = 0;
    for (size_t i = 12; i + 8 <= tb_tensor_bytes(file);) {
        frames += memcmp(b + i, "ANMF", 4) == 0;
        const size_t n = b[i + 4] | (size_t)b[i + 5] << 8 | (size_t)b[i + 6] << 16;
        i += 8 + n + (n & 1);
    }
    CHECK_INT(frames, 5);
    tb_tensor_unref(&file);
    tb_tensor_unref(&images);
}

static tb_tensor *half_through(void)
{
    tb_err err = TB_ERR_INIT;
    const float pixels[] = { 1, 0, 0, 1, 0, 1, 0, 0, 0, 0, 1, 0.6F };
    tb_tensor *t = tb_tensor_new(TB_F32, &TB_SHAPE(1, 1, 3, 4), &err);
    REQUIRE(t);
    memcpy(tb_tensor_f32_mut(t), pixels, sizeof pixels);
    return t;
}

TEST(alpha_is_read_back)
{
    static const char *const names[] = { "alpha.png", "alpha.webp" };
    tb_tensor *t = half_through();
    for (int i = 0; i < 2; i++) {
        tb_err err = TB_ERR_INIT;
        bool has_alpha = false;
        char *path = in_folder(names[i]);
        CHECK_OK(save(t, path, GRAPH, 100, &err));
        tb_tensor *rgba = tb_media_read_rgba(path, &has_alpha, NULL, &err);
        tb_tensor *rgb = tb_media_read(path, 0, 0, NULL, NULL, &err);
        REQUIRE(rgba && rgb);
        CHECK(has_alpha);
        CHECK_INT(tb_tensor_dim(rgba, 3), 4);
        CHECK_INT(tb_tensor_dim(rgb, 3), 3);
        CHECK_NEAR(tb_tensor_f32(rgba)[3], 1, 0);
        CHECK_NEAR(tb_tensor_f32(rgba)[7], 0, 0);
        CHECK_NEAR(tb_tensor_f32(rgba)[11], 0.6, 1e-6);
        for (int x = 0; x < 3 && i == 0; x++) /* not mixed with anything */
            for (int c = 0; c < 3; c++)
                CHECK_NEAR(tb_tensor_f32(rgb)[3 * x + c], c == x, 0);
        tb_tensor_unref(&rgba);
        tb_tensor_unref(&rgb);
        free(path);
    }
    tb_tensor_unref(&t);
}

TEST(pictures_without_alpha_are_opaque)
{
    static const char *const names[] = { "o.png", "o.webp", "o.jpg", "o.gif" };
    tb_tensor *t = moving_disc(1, 8, 8);
    for (int i = 0; i < 4; i++) {
        tb_err err = TB_ERR_INIT;
        bool has_alpha = true;
        char *path = in_folder(names[i]);
        CHECK_OK(save(t, path, NULL, 100, &err));
        tb_tensor *rgba = tb_media_read_rgba(path, &has_alpha, NULL, &err);
        REQUIRE(rgba);
        CHECK(!has_alpha);
        for (int64_t k = 3; k < tb_tensor_count(rgba); k += 4)
            CHECK_NEAR(tb_tensor_f32(rgba)[k], 1, 0);
        tb_tensor_unref(&rgba);
        free(path);
    }
    tb_tensor_unref(&t);
}

TEST(alpha_needs_a_format_that_holds_it)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *t = half_through();
    CHECK(!tb_media_encode(t, &(tb_media_options){ .format = "jpg" }, NULL, &err));
    CHECK_STR(err.message, "pictures must be f32 [frames,height,width,3], got F32 [1,1,3,4]");
    tb_tensor_unref(&t);
}

/* What was read from 8 bits is written as the same 8 bits. */
TEST(eight_bits_survive)
{
    tb_err err = TB_ERR_INIT;
    char *path = in_folder("grey.png");
    tb_tensor *t = tb_tensor_new(TB_F32, &TB_SHAPE(1, 16, 16, 3), &err);
    for (int i = 0; i < 256 * 3; i++)
        tb_tensor_f32_mut(t)[i] = (float)(i / 3) / 255.0F;
    CHECK_OK(save(t, path, NULL, 0, &err));
    tb_tensor *back = tb_media_read(path, 0, 0, NULL, NULL, &err);
    REQUIRE(back);
    for (int i = 0; i < 256; i++)
        CHECK_INT(lrintf(tb_tensor_f32(back)[3 * i] * 255), i);
    tb_tensor_unref(&t);
    tb_tensor_unref(&back);
    free(path);
}

TEST(values_out_of_range_are_clamped)
{
    tb_err err = TB_ERR_INIT;
    char *path = in_folder("clamp.png");
    const float wild[] = { -1, 2, NAN, INFINITY, -INFINITY, 0.5F };
    tb_tensor *t = tb_tensor_new(TB_F32, &TB_SHAPE(1, 1, 2, 3), &err);
    memcpy(tb_tensor_f32_mut(t), wild, sizeof wild);
    CHECK_OK(save(t, path, NULL, 0, &err));
    tb_tensor *back = tb_media_read(path, 0, 0, NULL, NULL, &err);
    REQUIRE(back);
    const int want[] = { 0, 255, 0, 255, 0, 127 };
    for (int i = 0; i < 6; i++)
        CHECK_INT(lrintf(tb_tensor_f32(back)[i] * 255), want[i]);
    tb_tensor_unref(&t);
    tb_tensor_unref(&back);
    free(path);
}

TEST(same_frames_give_the_same_bytes)
{
    static const char *const names[] = { "mp4", "webm", "gif", "webp", "png", "jpg" };
    tb_tensor *five = moving_disc(5, 48, 64), *one = moving_disc(1, 48, 64);
    for (int i = 0; i < 6; i++) {
        tb_err err = TB_ERR_INIT;
        const tb_media_options o = { .format = names[i], .fps = 8 };
        tb_tensor *a = tb_media_encode(i < 4 ? five : one, &o, NULL, &err);
        tb_tensor *b = tb_media_encode(i < 4 ? five : one, &o, NULL, &err);
        REQUIRE(a && b);
        CHECK_INT(tb_tensor_bytes(a), tb_tensor_bytes(b));
        CHECK(memcmp(tb_tensor_data(a), tb_tensor_data(b), tb_tensor_bytes(a)) == 0);
        tb_tensor_unref(&a);
        tb_tensor_unref(&b);
    }
    tb_tensor_unref(&five);
    tb_tensor_unref(&one);
}

static size_t find_bytes(const tb_tensor *file, const char *what)
{
    const uint8_t *b = tb_tensor_u8(file);
    const size_t n = strlen(what);
    for (size_t i = 0; i + n <= tb_tensor_bytes(file); i++)
        if (memcmp(b + i, what, n) == 0)
            return i;
    return SIZE_MAX;
}

/* A stored file gets the graph of the run that delivers it. */
TEST(texts_are_put_into_finished_files)
{
    static const struct {
        const char *name, *format;
        int64_t frames;
    } files[] = {
        { "e.mp4", "mp4", 9 },   { "e.webm", "webm", 9 }, { "e.gif", "gif", 9 },
        { "e.webp", "webp", 1 }, { "e.png", "png", 1 },   { "e.jpg", "jpg", 1 },
        { "a.png", "apng", 9 },
    };
    tb_str graph = TB_STR_INIT;
    tb_str_add(&graph, "{\"text\":\"");
    for (int i = 0; i < 20000; i++)
        tb_str_add(&graph, "ball ");
    tb_str_add(&graph, "\"}");
    json_t *texts =
        json_pack("{ss ss ss ss ss}", "prompt", graph.s, "workflow", "{\"a\":\"gr\xc3\xbcn\"}",
                  "other", "[]", "bad:key", "x", "view", "{}");
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        tb_err err = TB_ERR_INIT;
        tb_media_info info = { 0 };
        char *path = in_folder(files[i].name);
        tb_tensor *images = moving_disc(files[i].frames, 32, 32);
        const tb_media_options o = { .format = files[i].format, .fps = 8 };
        tb_tensor *plain = tb_media_encode(images, &o, NULL, &err);
        REQUIRE(plain);
        tb_tensor *file = tb_media_embed(plain, files[i].format, texts, &err);
        REQUIRE(file);
        CHECK_OK(tb_fs_write(path, tb_tensor_data(plain), tb_tensor_bytes(plain), false, &err));
        tb_tensor *before = tb_media_read(path, 0, 0, NULL, NULL, &err);
        CHECK_OK(tb_fs_write(path, tb_tensor_data(file), tb_tensor_bytes(file), false, &err));
        tb_tensor *after = tb_media_read(path, 0, 0, NULL, NULL, &err);
        CHECK_OK(tb_media_probe(path, &info, &err));
        CHECK_INT((int64_t)json_object_size(info.texts), 3); /* the keys that are read */
        CHECK_STR(json_string_value(json_object_get(info.texts, "prompt")), graph.s);
        CHECK_STR(json_string_value(json_object_get(info.texts, "workflow")),
                  "{\"a\":\"gr\xc3\xbcn\"}");
        CHECK_STR(json_string_value(json_object_get(info.texts, "view")), "{}");
        CHECK(find_bytes(file, "other") < SIZE_MAX || i == 1);
        CHECK(find_bytes(file, "bad:key") == SIZE_MAX);
        REQUIRE(before && after);
        CHECK_INT(tb_tensor_dim(after, 0), files[i].frames);
        CHECK_INT(tb_tensor_bytes(before), tb_tensor_bytes(after));
        CHECK(memcmp(tb_tensor_f32(before), tb_tensor_f32(after), tb_tensor_bytes(before)) == 0);
        tb_tensor_unref(&images);
        tb_tensor_unref(&plain);
        tb_tensor_unref(&file);
        tb_tensor_unref(&before);
        tb_tensor_unref(&after);
        json_decref(info.texts);
        free(path);
    }
    json_decref(texts);
    tb_str_free(&graph);
}

TEST(a_graph_is_not_put_into_what_is_no_file)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *zeros = tb_tensor_new_zero(TB_U8, &TB_SHAPE(7), &err);
    json_t *texts = json_pack("{ss}", "prompt", GRAPH);
    CHECK(!tb_media_embed(zeros, "mp4", texts, &err));
    CHECK_STR(err.message, "the graph cannot be put into these 7 bytes of mp4");
    tb_err_clear(&err);
    CHECK(!tb_media_embed(zeros, "webm", texts, &err));
    CHECK_STR(err.message,
              "cannot put the graph into the WebM file: Invalid data found when processing input");
    json_decref(texts);
    tb_tensor_unref(&zeros);
}

/* Browsers begin to play before the end has arrived only if the index stands first. */
TEST(mp4_has_its_index_in_front)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *images = moving_disc(9, 64, 64);
    const tb_media_options o = { .format = "mp4", .fps = 8 };
    tb_tensor *file = tb_media_encode(images, &o, NULL, &err);
    REQUIRE(file);
    CHECK(find_bytes(file, "moov") < find_bytes(file, "mdat"));
    CHECK(find_bytes(file, "mdat") != SIZE_MAX);
    CHECK(find_bytes(file, "avc1") != SIZE_MAX);
    tb_tensor_unref(&images);
    tb_tensor_unref(&file);
}

TEST(odd_sizes_are_padded_only_where_they_must)
{
    static const struct {
        const char *name;
        int w, h;
    } want[] = { { "odd.mp4", 34, 18 }, { "odd.webm", 33, 17 }, { "odd.gif", 33, 17 } };
    tb_tensor *images = moving_disc(3, 17, 33);
    for (int i = 0; i < 3; i++) {
        tb_err err = TB_ERR_INIT;
        char *path = in_folder(want[i].name);
        CHECK_OK(save(images, path, NULL, 0, &err));
        tb_tensor *back = tb_media_read(path, 0, 0, NULL, NULL, &err);
        REQUIRE(back);
        CHECK_INT(tb_tensor_dim(back, 0), 3);
        CHECK_INT(tb_tensor_dim(back, 1), want[i].h);
        CHECK_INT(tb_tensor_dim(back, 2), want[i].w);
        tb_tensor_unref(&back);
        free(path);
    }
    tb_tensor_unref(&images);
}

TEST(a_range_of_frames_is_read)
{
    tb_err err = TB_ERR_INIT;
    char *path = in_folder("range.gif"), want[200];
    tb_tensor *images = moving_disc(9, 16, 16);
    CHECK_OK(save(images, path, NULL, 0, &err));
    tb_tensor *all = tb_media_read(path, 0, 0, NULL, NULL, &err);
    tb_tensor *some = tb_media_read(path, 3, 4, NULL, NULL, &err);
    REQUIRE(all && some);
    CHECK_INT(tb_tensor_dim(some, 0), 4);
    CHECK(memcmp(tb_tensor_f32(some), tb_tensor_f32(all) + 3 * 16 * 16 * 3,
                 tb_tensor_bytes(some)) == 0);
    CHECK(!tb_media_read(path, 9, 0, NULL, NULL, &err));
    snprintf(want, sizeof want, "'%s' has no frame 9; it ends before", path);
    CHECK_STR(err.message, want);
    tb_tensor_unref(&all);
    tb_tensor_unref(&some);
    tb_tensor_unref(&images);
    free(path);
}

TEST(quality_changes_the_size)
{
    static const char *const names[] = { "mp4", "webm", "webp", "jpg" };
    tb_tensor *images = moving_disc(1, 96, 96);
    for (int i = 0; i < 4; i++) {
        size_t bytes[2] = { 0 };
        for (int q = 0; q < 2; q++) {
            tb_err err = TB_ERR_INIT;
            const tb_media_options o = { .format = names[i], .fps = 8, .quality = q ? 95 : 10 };
            tb_tensor *file = tb_media_encode(images, &o, NULL, &err);
            REQUIRE(file);
            bytes[q] = tb_tensor_bytes(file);
            tb_tensor_unref(&file);
        }
        CHECK(bytes[0] < bytes[1]);
    }
    tb_tensor_unref(&images);
}

static void rejects(const tb_tensor *images, tb_media_options o, const char *want)
{
    tb_err err = TB_ERR_INIT;
    CHECK(!tb_media_encode(images, &o, NULL, &err));
    CHECK_STR(err.message, want);
}

TEST(wrong_options_are_told)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *images = moving_disc(2, 8, 8);
    tb_tensor *flat = tb_tensor_new_zero(TB_F32, &TB_SHAPE(8, 8, 3), &err);
    tb_tensor *long_one = tb_tensor_new_zero(TB_F32, &TB_SHAPE(1, 1, 16385, 3), &err);
    rejects(images, (tb_media_options){ .format = "mpg", .fps = 8 },
            "format must be mp4, webm, gif, webp, png or jpg, got 'mpg'");
    rejects(images, (tb_media_options){ .format = "mp4", .fps = 0 },
            "fps must be 0.01..1000, got 0");
    rejects(images, (tb_media_options){ .format = "mp4", .fps = NAN },
            "fps must be 0.01..1000, got nan");
    rejects(images, (tb_media_options){ .format = "mp4", .fps = 8, .quality = 101 },
            "quality must be 0..100, got 101");
    rejects(images, (tb_media_options){ .format = "png" },
            "a png file holds one picture, got 2 frames");
    rejects(flat, (tb_media_options){ .format = "png" },
            "pictures must be f32 [frames,height,width,3], got F32 [8,8,3]");
    rejects(long_one, (tb_media_options){ .format = "png" },
            "the sides of a picture must be 1..16384 pixels, got 16385x1");
    tb_tensor_unref(&images);
    tb_tensor_unref(&flat);
    tb_tensor_unref(&long_one);
}

TEST(a_cancelled_call_stops)
{
    tb_err err = TB_ERR_INIT;
    atomic_bool cancel = true;
    tb_tensor *images = moving_disc(3, 16, 16);
    const tb_media_options o = { .format = "mp4", .fps = 8 };
    CHECK(!tb_media_encode(images, &o, &cancel, &err));
    CHECK_INT(err.status, TB_ECANCELED);
    tb_err_clear(&err);
    char *path = in_folder("cancel.gif");
    CHECK_OK(save(images, path, NULL, 0, &err));
    CHECK(!tb_media_read(path, 0, 0, NULL, &cancel, &err));
    CHECK_INT(err.status, TB_ECANCELED);
    tb_tensor_unref(&images);
    free(path);
}

/* -------------------------------------------------------------------------- files of strangers */

static void refuses(const char *name, const void *bytes, size_t n, const char *want_end)
{
    tb_err err = TB_ERR_INIT;
    tb_media_info info = { 0 };
    char *path = in_folder(name);
    CHECK_OK(tb_fs_write(path, bytes, n, false, &err));
    CHECK(tb_media_probe(path, &info, &err) != TB_OK);
    char *want = tb_xasprintf("'%s' %s", path, want_end);
    CHECK_STR(err.message, want);
    tb_tensor *t = tb_media_read(path, 0, 0, NULL, NULL, &err);
    CHECK(!t);
    free(want);
    free(path);
    json_decref(info.texts);
}

#define NOT_MEDIA                                                                                  \
    "is damaged or is no picture or video that can be read (PNG, JPEG, WebP, BMP, GIF, MP4, MOV, " \
    "WebM, "                                                                                       \
    "MKV, AVI)"

TEST(what_is_no_picture_is_refused)
{
    static const char playlist[] =
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n";
    static const char concat[] = "ffconcat version 1.0\nfile /etc/passwd\n";
    refuses("empty.png", "", 0, NOT_MEDIA);
    refuses("text.mp4", "hello", 5, NOT_MEDIA);
    refuses("list.mp4", playlist, sizeof playlist - 1, NOT_MEDIA);
    refuses("concat.mp4", concat, sizeof concat - 1, NOT_MEDIA);
}

TEST(what_is_no_file_is_refused)
{
    tb_err err = TB_ERR_INIT;
    tb_media_info info;
    char *path = in_folder("none.mp4"),
         *want = tb_xasprintf("cannot open '%s': No such file or directory", path);
    CHECK_INT(tb_media_probe(path, &info, &err), TB_ENOTFOUND);
    CHECK_STR(err.message, want);
    free(want);
    tb_err_clear(&err);
    want = tb_xasprintf("'%s' is not a regular file", folder);
    CHECK_INT(tb_media_probe(folder, &info, &err), TB_EINVAL);
    CHECK_STR(err.message, want);
    free(want);
    free(path);
}

/* A file with one name must not be taken for what its name says. */
TEST(content_decides_not_the_name)
{
    tb_err err = TB_ERR_INIT;
    char *png = in_folder("c.png"), *mp4 = in_folder("really_png.mp4");
    tb_tensor *images = moving_disc(1, 8, 8);
    tb_media_info info = { 0 };
    CHECK_OK(save(images, png, NULL, 0, &err));
    REQUIRE(rename(png, mp4) == 0);
    CHECK_OK(tb_media_probe(mp4, &info, &err));
    CHECK_INT(info.width, 8);
    CHECK_NEAR(info.fps, 0, 0);
    tb_tensor_unref(&images);
    free(png);
    free(mp4);
}

static uint32_t next_random(uint32_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 17;
    *s ^= *s << 5;
    return *s;
}

/* Cut short anywhere, a file is read or refused; it never harms. */
static void read_any(const char *path)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *t = tb_media_read(path, 0, 40, NULL, NULL, &err);
    CHECK(t || err.message[0]);
    tb_tensor_unref(&t);
}

TEST(damaged_files_do_no_harm)
{
    static const char *const names[] = { "d.mp4", "d.webm", "d.gif", "d.png", "d.jpg", "d.webp" };
    uint32_t seed = 1;
    for (int i = 0; i < 6; i++) {
        tb_err err = TB_ERR_INIT;
        char *path = in_folder(names[i]), *bytes = NULL;
        size_t n = 0;
        tb_tensor *images = moving_disc(i < 3 ? 4 : 1, 24, 24);
        CHECK_OK(save(images, path, GRAPH, 0, &err));
        CHECK_OK(tb_fs_read(path, 1 << 20, &bytes, &n, &err));
        for (int k = 0; k < 60; k++) {
            const size_t cut = k % 2 ? n : next_random(&seed) % n;
            char *copy = tb_xcalloc(n, 1);
            memcpy(copy, bytes, n);
            for (int flips = 0; k % 2 && flips < 1 + k / 8; flips++)
                copy[next_random(&seed) % n] ^= (char)(1 << next_random(&seed) % 8);
            CHECK_OK(tb_fs_write(path, copy, cut, false, &err));
            read_any(path);
            free(copy);
        }
        tb_tensor_unref(&images);
        free(bytes);
        free(path);
    }
}

TEST(a_truncated_picture_is_told)
{
    tb_err err = TB_ERR_INIT;
    char *path = in_folder("cut.png"), *bytes = NULL, *want;
    size_t n = 0;
    tb_tensor *images = moving_disc(1, 64, 64);
    CHECK_OK(save(images, path, NULL, 0, &err));
    CHECK_OK(tb_fs_read(path, 1 << 20, &bytes, &n, &err));
    CHECK_OK(tb_fs_write(path, bytes, n / 2, false, &err));
    CHECK(!tb_media_read(path, 0, 0, NULL, NULL, &err));
    want = tb_xasprintf("'%s' is damaged: nothing in it can be decoded", path);
    CHECK_STR(err.message, want);
    tb_tensor_unref(&images);
    free(want);
    free(bytes);
    free(path);
}

/* A camera's JPEG lies on its side and says so in EXIF. */
TEST(pictures_are_turned_upright)
{
    static const uint8_t exif[] = { 0xff, 0xe1, 0, 34, 'E', 'x', 'i', 'f', 0,    0,    'M', 'M',
                                    0,    42,   0, 0,  0,   8,   0,   1,   0x01, 0x12, 0,   3,
                                    0,    0,    0, 1,  0,   6,   0,   0,   0,    0,    0,   0 };
    tb_err err = TB_ERR_INIT;
    char *path = in_folder("turned.jpg");
    tb_tensor *images = tb_tensor_new_zero(TB_F32, &TB_SHAPE(1, 16, 32, 3), &err);
    for (int i = 0; i < 16 * 32; i++)
        tb_tensor_f32_mut(images)[3 * i] = i % 32 < 16 ? 1 : 0; /* red on the left */
    const tb_media_options o = { .format = "jpg" };
    tb_tensor *file = tb_media_encode(images, &o, NULL, &err);
    REQUIRE(file);
    tb_str s = TB_STR_INIT;
    tb_str_addn(&s, tb_tensor_data(file), 2);
    tb_str_addn(&s, exif, sizeof exif);
    tb_str_addn(&s, tb_tensor_u8(file) + 2, tb_tensor_bytes(file) - 2);
    CHECK_OK(tb_fs_write(path, s.s, s.len, false, &err));
    tb_media_info info;
    CHECK_OK(tb_media_probe(path, &info, &err));
    CHECK_INT(info.width, 16);
    CHECK_INT(info.height, 32);
    tb_tensor *back = tb_media_read(path, 0, 0, NULL, NULL, &err);
    REQUIRE(back);
    CHECK_INT(tb_tensor_dim(back, 1), 32);
    CHECK(tb_tensor_f32(back)[3 * (4 * 16 + 8)] >
          0.9F); /* turned clockwise, left comes to the top */
    CHECK(tb_tensor_f32(back)[3 * (28 * 16 + 8)] < 0.1F);
    tb_str_free(&s);
    tb_tensor_unref(&back);
    tb_tensor_unref(&file);
    tb_tensor_unref(&images);
    free(path);
}

/* -------------------------------------------------------------------------------------- resize */

/* Each allocation in turn is refused: a sentence, nothing lost. */
TEST(refused_memory_is_told)
{
    tb_err err = TB_ERR_INIT;
    char *path = in_folder("memory.gif");
    tb_tensor *images = moving_disc(3, 16, 16);
    CHECK_OK(save(images, path, NULL, 0, &err));
    int failures = 0;
    for (uint64_t n = 1; n < 20; n++) {
        tb_err_clear(&err);
        tb_mem_fail_on(n);
        tb_tensor *back = tb_media_read(path, 0, 0, NULL, NULL, &err);
        tb_tensor *small = back ? tb_media_resize(back, 8, 8, "area", &err) : NULL;
        tb_tensor *one = small ? tb_tensor_new_zero(TB_F32, &TB_SHAPE(1, 8, 8, 3), &err) : NULL;
        const tb_media_options o = { .format = "png" };
        tb_tensor *file = one ? tb_media_encode(one, &o, NULL, &err) : NULL;
        tb_mem_fail_on(0);
        CHECK(file || (err.status == TB_ENOMEM && err.message[0]));
        failures += !file;
        tb_tensor_unref(&back);
        tb_tensor_unref(&small);
        tb_tensor_unref(&one);
        tb_tensor_unref(&file);
    }
    CHECK(failures >= 5);
    tb_tensor_unref(&images);
    free(path);
}

TEST(resize_keeps_means_and_ramps)
{
    static const char *const names[] = { "nearest", "area", "bilinear", "bicubic", "lanczos" };
    tb_err err = TB_ERR_INIT;
    tb_tensor *ramp = tb_tensor_new(TB_F32, &TB_SHAPE(2, 32, 48, 1), &err);
    for (int i = 0; i < 2 * 32 * 48; i++)
        tb_tensor_f32_mut(ramp)[i] = (float)(i % 48) / 47.0F;
    for (int i = 0; i < 5; i++) {
        tb_tensor *small = tb_media_resize(ramp, 12, 7, names[i], &err);
        tb_tensor *large = tb_media_resize(ramp, 97, 65, names[i], &err);
        REQUIRE(small && large);
        double mean = 0;
        for (int k = 0; k < tb_tensor_count(small); k++)
            mean += (double)tb_tensor_f32(small)[k] / (double)tb_tensor_count(small);
        CHECK_NEAR(mean, 0.5, 0.02);
        CHECK_NEAR(tb_tensor_f32(small)[6], (6.5 * 4 - 0.5) / 47, 0.02);
        CHECK_NEAR(tb_tensor_f32(large)[48], 0.5, 0.012);
        tb_tensor_unref(&small);
        tb_tensor_unref(&large);
    }
    tb_tensor_unref(&ramp);
}

TEST(area_averages_exactly)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *t = tb_tensor_new(TB_F32, &TB_SHAPE(1, 1, 4, 1), &err);
    for (int i = 0; i < 4; i++)
        tb_tensor_f32_mut(t)[i] = (float)i;
    tb_tensor *r = tb_media_resize(t, 3, 1, "area", &err);
    REQUIRE(r);
    CHECK_NEAR(tb_tensor_f32(r)[0], 0.25, 1e-6); /* 3/4 of 0, 1/4 of 1 */
    CHECK_NEAR(tb_tensor_f32(r)[1], 1.5, 1e-6);
    CHECK_NEAR(tb_tensor_f32(r)[2], 2.75, 1e-6);
    tb_tensor_unref(&t);
    tb_tensor_unref(&r);
}

TEST(wrong_resizes_are_told)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *t = tb_tensor_new_zero(TB_F32, &TB_SHAPE(1, 4, 4, 3), &err);
    CHECK(!tb_media_resize(t, 2, 2, "cubic", &err));
    CHECK_STR(err.message,
              "filter must be nearest, area, bilinear, bicubic or lanczos, got 'cubic'");
    tb_err_clear(&err);
    CHECK(!tb_media_resize(t, 0, 2, "area", &err));
    CHECK_STR(err.message, "cannot resize 4x4 to 0x2: sides must be 1 or more");
    tb_tensor_unref(&t);
}

static void remove_folder(void)
{
    char *command = tb_xasprintf("rm -rf '%s'", folder);
    if (system(command) != 0)
        fprintf(stderr, "cannot remove %s\n", folder);
    free(command);
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(mp4_is_read_back),
        TEST_CASE(webm_is_read_back),
        TEST_CASE(gif_is_read_back),
        TEST_CASE(png_is_read_back),
        TEST_CASE(jpeg_is_read_back),
        TEST_CASE(webp_is_read_back),
        TEST_CASE(animated_webp_is_written_whole),
        TEST_CASE(alpha_is_read_back),
        TEST_CASE(pictures_without_alpha_are_opaque),
        TEST_CASE(alpha_needs_a_format_that_holds_it),
        TEST_CASE(eight_bits_survive),
        TEST_CASE(values_out_of_range_are_clamped),
        TEST_CASE(same_frames_give_the_same_bytes),
        TEST_CASE(texts_are_put_into_finished_files),
        TEST_CASE(a_graph_is_not_put_into_what_is_no_file),
        TEST_CASE(mp4_has_its_index_in_front),
        TEST_CASE(odd_sizes_are_padded_only_where_they_must),
        TEST_CASE(a_range_of_frames_is_read),
        TEST_CASE(quality_changes_the_size),
        TEST_CASE(wrong_options_are_told),
        TEST_CASE(a_cancelled_call_stops),
        TEST_CASE(what_is_no_picture_is_refused),
        TEST_CASE(what_is_no_file_is_refused),
        TEST_CASE(content_decides_not_the_name),
        TEST_CASE(damaged_files_do_no_harm),
        TEST_CASE(a_truncated_picture_is_told),
        TEST_CASE(pictures_are_turned_upright),
        TEST_CASE(refused_memory_is_told),
        TEST_CASE(resize_keeps_means_and_ramps),
        TEST_CASE(area_averages_exactly),
        TEST_CASE(wrong_resizes_are_told),
    };
    char name[] = "/tmp/test_media_XXXXXX";
    folder = mkdtemp(name);
    REQUIRE(folder);
    const int failed = tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
    remove_folder();
    return failed;
}
