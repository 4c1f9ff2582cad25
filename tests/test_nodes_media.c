/* test_nodes_media.c - the nodes that read and write files: what they give, and for each input the
 * sentence that a wrong value earns.
 */
#include "base/str.h"
#include "formats/media.h"
#include "formats/safetensors.h"
#include "models/latent_file.h"
#include "node_run.h"

static char *in_folder(const char *name)
{
    return tb_fs_join(folder, name);
}

TEST(mux_writes_a_video_with_its_graph)
{
    tb_err err = TB_ERR_INIT;
    tb_media_info info = { 0 };
    outcome o = right("mux", "'video':['red',0],'path':'sub/a.mp4'");
    char *path = in_folder("sub/a.mp4");
    CHECK_INT(o.delivered, 1);
    CHECK_STR(o.path, path);
    CHECK_STR(o.kind, "video");
    CHECK_OK(tb_media_probe(path, &info, &err));
    CHECK_INT(info.frames, 2);
    CHECK_NEAR(info.fps, 8, 0);
    const char *graph = json_string_value(json_object_get(info.texts, "prompt"));
    REQUIRE(graph);
    CHECK(strstr(graph, "\"class_type\"") && strstr(graph, "sub/a.mp4"));
    tb_tensor *back = tb_media_read(path, 0, 0, NULL, NULL, &err);
    REQUIRE(back);
    CHECK_NEAR(tb_tensor_f32(back)[0], 1, 0.03);
    CHECK_NEAR(tb_tensor_f32(back)[1], 0, 0.03);
    tb_tensor_unref(&back);
    json_decref(info.texts);
    free(path);
    outcome_clear(&o);
}

TEST(mux_takes_the_rate_of_a_video)
{
    static const char *const names[] = { "v.webm", "v.gif", "v.mp4" };
    for (int i = 0; i < 3; i++) {
        tb_err err = TB_ERR_INIT;
        tb_media_info info = { 0 };
        char *inputs = tb_xasprintf("'video':['video',0],'path':'%s','fps':0", names[i]);
        outcome o = right("mux", inputs);
        char *path = in_folder(names[i]);
        CHECK_STR(o.kind, i == 1 ? "animation" : "video");
        CHECK_OK(tb_media_probe(path, &info, &err));
        CHECK_NEAR(info.fps, 12, 0.01);
        CHECK(info.texts);
        json_decref(info.texts);
        free(inputs);
        free(path);
        outcome_clear(&o);
    }
}

TEST(mux_numbers_png_frames)
{
    outcome o = right("mux", "'video':['red',0],'path':'f.png'");
    char *one = in_folder("f_00001.png"), *two = in_folder("f_00002.png");
    CHECK_INT(o.delivered, 2);
    CHECK(tb_fs_is_file(one) && tb_fs_is_file(two));
    free(one);
    free(two);
    outcome_clear(&o);
    o = right("mux", "'video':['red',0],'path':'g%03d.png'");
    one = in_folder("g002.png");
    CHECK(tb_fs_is_file(one));
    free(one);
    outcome_clear(&o);
}

/* A list of videos becomes a file each. */
TEST(mux_numbers_the_elements_of_a_list)
{
    outcome o = right("mux", "'video':['list',0],'path':'l.gif'");
    char *two = in_folder("l_00002.gif");
    CHECK_INT(o.delivered, 2);
    CHECK(tb_fs_is_file(two));
    free(two);
    outcome_clear(&o);
}

TEST(mux_tells_what_is_wrong)
{
    wrong("mux", "'video':['latent',0]",
          "video must be IMAGE,VIDEO, got LATENT from output 'latent' of node 'latent' (t_latent)");
    wrong("mux", "'video':['flat',0]",
          "video must be IMAGE or VIDEO, f32 [frames,height,width,3], got F32 [4,4]");
    wrong("mux", "'video':['record',0]",
          "video must be IMAGE or VIDEO, f32 [frames,height,width,3], got a record without it");
    wrong("mux", "'video':['red',0],'path':'a.avi'",
          "path must end in .mp4, .webm, .gif, .webp or .png, got 'a.avi'");
    wrong("mux", "'video':['red',0],'path':'a'",
          "path must end in .mp4, .webm, .gif, .webp or .png, got 'a'");
    wrong("mux", "'video':['red',0],'fps':0",
          "fps must be more than 0 for frames without a rate of their own, got 0");
    wrong("mux", "'video':['red',0],'fps':2000", "fps must be 0..1000, got 2000");
    wrong("mux", "'video':['red',0],'format':'avi'",
          "format must be one of auto|mp4|webm|gif|webp|png|apng, got 'avi'");
    wrong("mux", "'video':['red',0],'format':'gif','path':'a.mp4'",
          "path must end in .gif as format is gif, got 'a.mp4'");
    wrong("mux", "'video':['red',0],'quality':101", "quality must be 0..100, got 101");
}

TEST(save_image_writes_one_or_numbers_several)
{
    outcome o = right("save_image", "'images':['small',0],'path':'s.png'");
    char *path = in_folder("s.png");
    CHECK_STR(o.path, path);
    CHECK_STR(o.kind, "image");
    free(path);
    outcome_clear(&o);
    o = right("save_image", "'images':['red',0],'path':'t.jpg','quality':80");
    path = in_folder("t_00002.jpg");
    CHECK_STR(o.path, path);
    CHECK_INT(o.delivered, 2);
    free(path);
    outcome_clear(&o);
    wrong("save_image", "'images':['text',0]",
          "images must be IMAGE f32 [frames,height,width,3], got a text");
    wrong("save_image", "'images':['small',0],'path':'s.gif'",
          "path must end in .png, .jpg or .webp, got 's.gif'");
    wrong("save_image", "'images':['small',0],'quality':-1", "quality must be 0..100, got -1");
}

TEST(a_file_that_cannot_be_written_is_told)
{
    char *blocker = in_folder("blocker"), want[400];
    tb_err err = TB_ERR_INIT;
    CHECK_OK(tb_fs_write(blocker, "x", 1, false, &err));
    snprintf(want, sizeof want, "'%s' must be a folder, but a file is there", blocker);
    wrong("save_image", "'images':['small',0],'path':'blocker/s.png'", want);
    free(blocker);
}

static void write_picture(const char *name, int64_t frames)
{
    tb_err err = TB_ERR_INIT;
    char *path = in_folder(name);
    tb_tensor *t = plain(frames, 20, 30, 0, 1, 0);
    const tb_media_options o = { .format = tb_media_format_of(name), .fps = 10 };
    tb_tensor *file = tb_media_encode(t, &o, NULL, &err);
    REQUIRE(file);
    CHECK_OK(tb_fs_write(path, tb_tensor_data(file), tb_tensor_bytes(file), false, &err));
    tb_tensor_unref(&t);
    tb_tensor_unref(&file);
    free(path);
}

TEST(load_mask_takes_a_channel)
{
    char *path = in_folder("through.png");
    tb_err err = TB_ERR_INIT;
    const float pixels[] = { 1, 0, 0, 1, 0, 1, 0, 0.2F };
    tb_tensor *t = tb_tensor_new(TB_F32, &TB_SHAPE(1, 1, 2, 4), &err);
    memcpy(tb_tensor_f32_mut(t), pixels, sizeof pixels);
    tb_tensor *file = tb_media_encode(t, &(tb_media_options){ .format = "png" }, NULL, &err);
    REQUIRE(file);
    CHECK_OK(tb_fs_write(path, tb_tensor_data(file), tb_tensor_bytes(file), false, &err));
    outcome o = right("load_mask", "'path':'through.png','small':true");
    check_shape(first(&o, 0), NULL, "[1,1,2]");
    CHECK_NEAR(at(first(&o, 0), NULL, 0), 0, 0);
    CHECK_NEAR(at(first(&o, 0), NULL, 1), 0.8, 1e-6);
    outcome_clear(&o);
    o = right("load_mask", "'path':'through.png','channel':'green'");
    CHECK_NEAR(at(first(&o, 0), NULL, 1), 1, 0);
    outcome_clear(&o);
    write_picture("green.png", 1);
    o = right("load_mask", "'path':'green.png','small':true");
    check_shape(first(&o, 0), NULL, "[1,64,64]");
    CHECK_NEAR(at(first(&o, 0), NULL, 0), 0, 0);
    outcome_clear(&o);
    o = right("load_mask", "'path':'green.png'");
    check_shape(first(&o, 0), NULL, "[1,20,30]");
    CHECK_NEAR(at(first(&o, 0), NULL, 0), 0, 0);
    outcome_clear(&o);
    wrong("load_mask", "'path':'green.png','channel':'x'",
          "channel must be one of alpha|red|green|blue, got 'x'");
    tb_tensor_unref(&t);
    tb_tensor_unref(&file);
    free(path);
}

/* A .latent file with these samples; `version`: as ComfyUI marks it since latents have one scale.
 */
static void write_latent(const char *name, const tb_shape *shape, const float *x, bool version)
{
    static const char *const names[] = { "latent_tensor", "latent_format_version_0" };
    tb_err err = TB_ERR_INIT;
    char *path = in_folder(name);
    tb_tensor *t = tb_tensor_new(TB_F32, shape, &err);
    tb_tensor *mark = tb_tensor_new(TB_F32, &TB_SHAPE(0), &err);
    REQUIRE(t && mark);
    memcpy(tb_tensor_f32_mut(t), x, tb_tensor_bytes(t));
    const tb_tensor *const tensors[] = { t, mark };
    CHECK_OK(tb_safetensors_write(path, version ? 2 : 1, names, tensors, NULL, &err));
    tb_tensor_unref(&t);
    tb_tensor_unref(&mark);
    free(path);
}

/* ComfyUI's are in the scale of the VAE: mean -0.7571 and deviation 2.8184 in Wan2.1's channel 0.
 */
TEST(load_latent_reads_comfyuis_files)
{
    char want[400];
    float x[2 * 16 * 2] = { [0] = -0.7571F + 2.8184F, [1] = -0.7571F };
    write_latent("wan.latent", &TB_SHAPE(2, 16, 1, 2, 1), x, true);
    outcome o = right("load_latent", "'path':'wan.latent'");
    CHECK_INT(tb_list_count(o.outputs[0]), 2);
    check_shape(first(&o, 0), "samples", "[16,1,2,1]");
    CHECK_NEAR(at(first(&o, 0), "samples", 0), 1, 1e-6);
    CHECK_NEAR(at(first(&o, 0), "samples", 1), 0, 1e-6);
    CHECK_NEAR(at(first(&o, 0), "samples", 2), 0.7089 / 1.4541, 1e-6);
    CHECK_NEAR(at(tb_list_at(o.outputs[0], 1), "samples", 0), 0, 0); /* all zero: empty */
    outcome_clear(&o);
    write_latent("old.latent", &TB_SHAPE(1, 4, 4, 2), x, false);
    o = right("load_latent", "'path':'old.latent'");
    check_shape(first(&o, 0), "samples", "[4,1,4,2]");
    CHECK_NEAR(at(first(&o, 0), "samples", 0), (double)x[0] / 0.18215, 1e-5);
    outcome_clear(&o);
    write_latent("flat.latent", &TB_SHAPE(4, 4), x, true);
    wrong("load_latent", "'path':'flat.latent'",
          "'flat.latent' must hold latents [batch,channels,frames,height,width], got [4,4]");
    snprintf(want, sizeof want, "cannot open '%s/none.latent': No such file or directory", folder);
    wrong("load_latent", "'path':'none.latent'", want);
}

TEST(latents_in_files_have_the_scale_of_the_vae)
{
    float x[16 * 2] = { 1, 0 };
    tb_latent_to_file(x, 16, 2);
    CHECK_NEAR(x[0], -0.7571 + 2.8184, 1e-6);
    CHECK_NEAR(x[1], -0.7571, 1e-6);
    tb_latent_from_file(x, 16, 2);
    CHECK_NEAR(x[0], 1, 1e-6);
    CHECK_NEAR(x[31], 0, 1e-6);
    float other[4] = { 1, 2, 3, 4 };
    tb_latent_to_file(other, 4, 1);
    CHECK_NEAR(other[3], 4, 0);
}

TEST(save_latent_writes_comfyuis_files)
{
    tb_err err = TB_ERR_INIT;
    outcome o = right("save_latent", "'latents':['latent',0],'path':'s.latent'");
    CHECK_STR(o.kind, "tensors");
    tb_safetensors *f = tb_safetensors_open(o.path, &err);
    REQUIRE(f);
    tb_tensor *mark = tb_safetensors_get(f, "latent_format_version_0", &err);
    REQUIRE(mark);
    CHECK_INT(tb_tensor_count(mark), 0);
    tb_tensor *t = tb_safetensors_get(f, "latent_tensor", &err);
    REQUIRE(t);
    CHECK_INT(tb_tensor_shape(t)->n, 5);
    CHECK_INT(tb_tensor_dim(t, 0), 1);
    tb_tensor_unref(&t);
    tb_tensor_unref(&mark);
    tb_safetensors_close(&f);
    outcome_clear(&o);
    wrong("save_latent", "'latents':['latent',0],'path':'s.png'",
          "path must end in .latent, got 's.png'");
}

TEST(load_image_reads_and_resizes)
{
    char want[400];
    write_picture("green.png", 1);
    outcome o = right("load_image", "'path':'green.png'");
    check_shape(first(&o, 0), NULL, "[1,20,30,3]");
    CHECK_NEAR(at(first(&o, 0), NULL, 1), 1, 0);
    outcome_clear(&o);
    o = right("load_image", "'path':'green.png','width':16,'height':16");
    check_shape(first(&o, 0), NULL, "[1,16,16,3]");
    outcome_clear(&o);
    wrong("load_image", "", "path (STRING) is missing; give it a value");
    snprintf(want, sizeof want, "cannot open '%s/none.png': No such file or directory", folder);
    wrong("load_image", "'path':'none.png'", want);
    wrong("load_image", "'path':'green.png','width':-1", "width must be 0..16384, got -1");
    wrong("load_image", "'path':'green.png','height':99999", "height must be 0..16384, got 99999");
    wrong("load_image", "'path':'green.png','fit':'no'",
          "fit must be one of crop|pad|stretch, got 'no'");
    wrong("load_image", "'path':'green.png','filter':'no'",
          "filter must be one of nearest|area|bilinear|bicubic|lanczos, got 'no'");
}

TEST(load_video_reads_a_range)
{
    char want[400];
    write_picture("green.gif", 5);
    outcome o = right("load_video", "'path':'green.gif','first':1,'frames':3,'height':10");
    check_shape(first(&o, 0), NULL, "[3,10,15,3]");
    check_shape(first(&o, 1), "images", "[3,10,15,3]");
    CHECK_NEAR(tb_value_as_float(first(&o, 2)), 10, 0);
    outcome_clear(&o);
    snprintf(want, sizeof want, "first must be 0..4 for the 5 frames of '%s/green.gif', got 5",
             folder);
    wrong("load_video", "'path':'green.gif','first':5", want);
    wrong("load_video", "'path':'green.gif','first':-1", "first must be 0..1000000, got -1");
    wrong("load_video", "'path':'green.gif','frames':-1", "frames must be 0..1000000, got -1");
    wrong("load_video", "'path':'green.gif','least':-1", "least must be 0..1000000, got -1");
    snprintf(want, sizeof want, "a video of at least 4 frames is wanted, '%s/green.gif' has 3",
             folder);
    wrong("load_video", "'path':'green.gif','frames':3,'least':4", want);
    wrong("load_video", "'path':'green.gif','first':2,'least':4", want);
    o = right("load_video", "'path':'green.gif','first':1,'least':4");
    check_shape(first(&o, 0), NULL, "[4,20,30,3]");
    outcome_clear(&o);
    wrong("load_video", "'path':'green.gif','width':-1", "width must be 0..16384, got -1");
    wrong("load_video", "'path':'green.gif','height':-1", "height must be 0..16384, got -1");
    wrong("load_video", "'path':'green.gif','fit':''",
          "fit must be one of crop|pad|stretch, got ''");
    wrong("load_video", "'path':'green.gif','filter':'no'",
          "filter must be one of nearest|area|bilinear|bicubic|lanczos, got 'no'");
    char *path = in_folder("words.mp4");
    tb_err err = TB_ERR_INIT;
    CHECK_OK(tb_fs_write(path, "hello", 5, false, &err));
    snprintf(want, sizeof want,
             "'%s' is damaged or is no picture or video that can be read (PNG, JPEG, WebP, BMP, "
             "GIF, MP4, "
             "MOV, WebM, MKV, AVI)",
             path);
    wrong("load_video", "'path':'words.mp4'", want);
    free(path);
}

TEST(tensors_are_saved_and_loaded)
{
    outcome o = right("save_tensor", "'value':['record',0],'path':'r.safetensors','name':'z'");
    CHECK_STR(o.kind, "tensors");
    outcome_clear(&o);
    tb_err err = TB_ERR_INIT;
    char *path = in_folder("r.safetensors");
    tb_safetensors *f = tb_safetensors_open(path, &err);
    REQUIRE(f);
    CHECK_INT(tb_safetensors_count(f), 3);
    CHECK_STR(json_string_value(json_object_get(tb_safetensors_metadata(f), "z.state")), "clean");
    tb_safetensors_close(&f);
    free(path);
    o = right("load_tensor", "'path':'r.safetensors','name':'z.samples','as':'LATENT'");
    check_shape(first(&o, 0), "samples", "[2,3,4,4]");
    CHECK_NEAR(at(first(&o, 0), "samples", 95), 95, 0);
    outcome_clear(&o);
    o = right("load_tensor", "'path':'r.safetensors','name':'z.seed'");
    CHECK_INT(*(const int64_t *)tb_tensor_data(tb_value_as_tensor(first(&o, 0))), 7);
    outcome_clear(&o);
}

TEST(save_tensor_tells_what_is_wrong)
{
    wrong("save_tensor", "'value':['text',0]",
          "value must hold at least one tensor or number, got none");
    wrong("save_tensor", "'value':['flat',0],'path':'a.pt'",
          "path must end in .safetensors, got 'a.pt'");
    wrong("save_tensor", "'value':['flat',0],'name':''", "name must not be empty");
}

TEST(load_tensor_tells_what_is_wrong)
{
    char want[400];
    outcome o = right("save_tensor", "'value':['red',0],'path':'one.safetensors'");
    outcome_clear(&o);
    o = right("save_tensor", "'value':['record',0],'path':'three.safetensors'");
    outcome_clear(&o);
    o = right("load_tensor", "'path':'one.safetensors','as':'IMAGE'");
    check_shape(first(&o, 0), NULL, "[2,32,48,3]");
    outcome_clear(&o);
    wrong("load_tensor", "", "path (STRING) is missing; give it a value");
    snprintf(want, sizeof want, "cannot open '%s/none.safetensors': No such file or directory",
             folder);
    wrong("load_tensor", "'path':'none.safetensors'", want);
    wrong("load_tensor", "'path':'three.safetensors'",
          "name must say which of the 3 tensors of 'three.safetensors' is wanted, e.g. "
          "'tensor.samples'");
    snprintf(want, sizeof want,
             "'%s/one.safetensors' has no tensor 'tensr'; the nearest name it has is 'tensor'",
             folder);
    wrong("load_tensor", "'path':'one.safetensors','name':'tensr'", want);
    wrong("load_tensor", "'path':'one.safetensors','as':'PICTURE'",
          "as must be one of TENSOR|LATENT|IMAGE|CONDITIONING|MASK, got 'PICTURE'");
    wrong("load_tensor", "'path':'one.safetensors','as':'MASK'",
          "a MASK must be [frames,height,width], got F32 [2,32,48,3]");
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(mux_writes_a_video_with_its_graph),
        TEST_CASE(mux_takes_the_rate_of_a_video),
        TEST_CASE(mux_numbers_png_frames),
        TEST_CASE(mux_numbers_the_elements_of_a_list),
        TEST_CASE(mux_tells_what_is_wrong),
        TEST_CASE(save_image_writes_one_or_numbers_several),
        TEST_CASE(a_file_that_cannot_be_written_is_told),
        TEST_CASE(load_mask_takes_a_channel),
        TEST_CASE(load_latent_reads_comfyuis_files),
        TEST_CASE(latents_in_files_have_the_scale_of_the_vae),
        TEST_CASE(save_latent_writes_comfyuis_files),
        TEST_CASE(load_image_reads_and_resizes),
        TEST_CASE(load_video_reads_a_range),
        TEST_CASE(tensors_are_saved_and_loaded),
        TEST_CASE(save_tensor_tells_what_is_wrong),
        TEST_CASE(load_tensor_tells_what_is_wrong),
    };
    return node_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
}
