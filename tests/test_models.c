/* test_models.c - finding models, their sizes, what is open, and prompts before the tokenizer. */
#include <unistd.h>

#include "base/str.h"
#include "compute/mode.h"
#include "golden.h"
#include "models/models.h"
#include "models/umt5_prompt.h"

#define TINY "examples/tiny"

static char dir[64];

static char *in_dir(const char *name)
{
    if (!*dir) {
        snprintf(dir, sizeof dir, "/tmp/tubelet-test-XXXXXX");
        REQUIRE(mkdtemp(dir));
    }
    return tb_fs_join(dir, name);
}

static void remove_dir(void)
{
    char cmd[96];
    snprintf(cmd, sizeof cmd, "rm -r '%s'", dir);
    if (*dir)
        CHECK_INT(system(cmd), 0);
    *dir = 0;
}

/* A file of the project under another name in the scratch folder. */
static void put(const char *name, const char *source)
{
    tb_err err = TB_ERR_INIT;
    char *to = in_dir(name), *data = NULL;
    size_t n = 0;
    CHECK_OK(tb_fs_read(source, 64u << 20, &data, &n, &err));
    CHECK_OK(tb_fs_write(to, data, n, false, &err));
    free(data);
    free(to);
}

static void put_text(const char *name, const char *text)
{
    tb_err err = TB_ERR_INIT;
    char *to = in_dir(name);
    CHECK_OK(tb_fs_write(to, text, strlen(text), false, &err));
    free(to);
}

/* The message that probing DIR/name gives, from the folder's name on. */
static const char *refusal(const char *name)
{
    static char text[900];
    tb_err err = TB_ERR_INIT;
    tb_model_info info;
    char *path = in_dir(name);
    if (tb_model_probe(*name ? path : dir, &info, &err) == TB_OK)
        tb_model_info_clear(&info);
    const char *at = strstr(err.message, dir);
    snprintf(text, sizeof text, "%s", at ? at + strlen(dir) : err.message);
    free(path);
    return text;
}

/* ------------------------------------------------------------------------------------- probing */

TEST(the_bundled_model_has_all_parts)
{
    tb_err err = TB_ERR_INIT;
    tb_model_info info;
    CHECK_OK(tb_model_probe(TINY, &info, &err));
    CHECK_STR(info.transformer, TINY "/transformer");
    CHECK_STR(info.vae, TINY "/vae");
    CHECK_STR(info.text_encoder, TINY "/text_encoder");
    CHECK_STR(info.tokenizer, TINY "/tokenizer");
    CHECK_STR(info.family, "Wan T2V and I2V");
    CHECK_NEAR(info.shift, 3, 0);
    CHECK_NEAR(info.guidance, 3, 0);
    tb_model_info_clear(&info);
    CHECK(!info.vae);
}

TEST(sizes_come_from_names_and_shapes)
{
    tb_err err = TB_ERR_INIT;
    tb_dit_sizes d = { 0 };
    tb_vae_sizes v = { 0 };
    tb_umt5_config t = { 0 };
    tb_weights *w = tb_weights_open(TINY "/transformer", &err);
    CHECK_OK(tb_model_dit_sizes(w, &d, &err));
    CHECK_INT(tb_model_recognise(w), TB_HAS_TRANSFORMER);
    tb_weights_close(&w);
    CHECK_INT(d.in_channels, 36);
    CHECK_INT(d.latent_channels, 16);
    CHECK_INT(d.text_dim, 128);
    CHECK_INT(d.text_len, 32);
    CHECK_INT(d.dim, 192);
    CHECK_INT(d.ffn_dim, 768);
    CHECK_INT(d.heads, 6);
    CHECK_INT(d.layers, 8);
    CHECK(d.weight_bytes > 10000000 && d.weight_bytes < 11000000); /* matrices stay f16 */
    w = tb_weights_open(TINY "/vae", &err);
    CHECK_OK(tb_model_vae_sizes(w, &v, &err));
    CHECK_INT(tb_model_recognise(w), TB_HAS_VAE);
    tb_weights_close(&w);
    CHECK_INT(v.z, 16);
    CHECK_INT(v.stride_t, 4);
    CHECK_INT(v.stride_hw, 8);
    CHECK_INT(v.patch, 2);
    CHECK_INT(v.dim, 32);
    CHECK_INT(v.dec_dim, 32);
    CHECK(v.weight_bytes > 10000000 && v.weight_bytes < 11000000);
    w = tb_weights_open(TINY "/text_encoder", &err);
    CHECK_OK(tb_umt5_read_config(w, &t, &err));
    CHECK_INT(tb_model_recognise(w), TB_HAS_TEXT_ENCODER);
    tb_weights_close(&w);
    CHECK_INT(t.dim, 128);
    CHECK_INT(t.layers, 3);
}

static void check_vae(char letter, const char *stem, const char *tail, int z, int stride_hw)
{
    tb_err err = TB_ERR_INIT;
    tb_vae_sizes v = { 0 };
    char *path = golden_path(stem, letter, tail);
    tb_weights *w = tb_weights_open(path, &err);
    CHECK_OK(tb_model_vae_sizes(w, &v, &err));
    CHECK_INT(v.z, z);
    CHECK_INT(v.stride_t, 4);
    CHECK_INT(v.stride_hw, stride_hw);
    tb_weights_close(&w);
    free(path);
}

TEST(both_vaes_in_both_namings_give_their_sizes)
{
    static const char *const tails[] = { "_decoder_orig.safetensors",
                                         "_decoder_diffusers.safetensors",
                                         "_encoder_orig.safetensors",
                                         "_encoder_diffusers.safetensors" };
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        check_vae('a', "vae", tails[i], 16, 8);
        check_vae('a', "vae22", tails[i], 8, 16);
    }
}

static const char *family_of(const char *stem, const char *tail)
{
    tb_err err = TB_ERR_INIT;
    tb_dit_sizes d = { 0 };
    char *path = golden_path(stem, 'a', tail);
    tb_weights *w = tb_weights_open(path, &err);
    CHECK_OK(tb_model_dit_sizes(w, &d, &err));
    tb_weights_close(&w);
    free(path);
    return tb_model_family(&d);
}

TEST(families_are_told_apart)
{
    CHECK_STR(family_of("dit_t2v", "_orig.safetensors"), "Wan T2V");
    CHECK_STR(family_of("dit_t2v", "_diffusers.safetensors"), "Wan T2V");
    CHECK_STR(family_of("dit_i2v", "_orig.safetensors"), "Wan2.1 I2V");
    CHECK_STR(family_of("dit_i2v", "_diffusers.safetensors"), "Wan2.1 I2V");
}

/* As in an original Wan folder, with the weights converted. */
TEST(loose_files_are_recognised_by_their_tensors)
{
    tb_err err = TB_ERR_INIT;
    tb_model_info info;
    put("diffusion_pytorch_model.safetensors", TINY "/transformer/model.safetensors");
    put("Wan2.1_VAE.safetensors", TINY "/vae/model.safetensors");
    put("models_t5.safetensors", TINY "/text_encoder/model.safetensors");
    put("google/umt5-xxl/tokenizer.json", TINY "/tokenizer/tokenizer.json");
    put_text("notes.pth", "PK");
    CHECK_OK(tb_model_probe(dir, &info, &err));
    CHECK_STR(tb_fs_basename(info.transformer), "diffusion_pytorch_model.safetensors");
    CHECK_STR(tb_fs_basename(info.vae), "Wan2.1_VAE.safetensors");
    CHECK_STR(tb_fs_basename(info.text_encoder), "models_t5.safetensors");
    CHECK(tb_str_ends(info.tokenizer, "/google/umt5-xxl"));
    CHECK_STR(tb_fs_basename(info.unreadable), "notes.pth");
    tb_model_info_clear(&info);
    char *file = in_dir("Wan2.1_VAE.safetensors");
    CHECK_OK(tb_model_probe(file, &info, &err));
    CHECK(!info.transformer && !info.text_encoder && !info.tokenizer);
    CHECK_STR(info.vae, file);
    tb_model_info_clear(&info);
    free(file);
    put("second.safetensors", TINY "/vae/model.safetensors");
    CHECK(strstr(refusal(""), "second.safetensors': name the one to use"));
    remove_dir();
}

/* As an original Wan repository saved by an old PyTorch: only the transformer can be read. */
TEST(a_pth_part_is_named_with_what_to_do)
{
    tb_err err = TB_ERR_INIT;
    put("diffusion_pytorch_model.safetensors", TINY "/transformer/model.safetensors");
    put_text("Wan2.1_VAE.pth", "\x80\x02");
    put_text("models_t5_umt5-xxl-enc-bf16.pth", "PK");
    put_text("models_clip_open-clip.pth", "PK");
    json_t *o = tb_model_describe(dir, &err), *parts = json_object_get(o, "parts");
    REQUIRE(o);
    const char *vae = json_string_value(json_object_get(json_object_get(parts, "vae"), "error"));
    const char *text =
        json_string_value(json_object_get(json_object_get(parts, "text_encoder"), "error"));
    CHECK(vae && strstr(vae, "/Wan2.1_VAE.pth' is in PyTorch's format from before version 1.6, "
                             "which is not read; save it again"));
    CHECK(text && strstr(text, "/models_t5_umt5-xxl-enc-bf16.pth' is not a PyTorch file"));
    const char *image =
        json_string_value(json_object_get(json_object_get(parts, "image_encoder"), "error"));
    CHECK(image && strstr(image, "/models_clip_open-clip.pth' is not a PyTorch file"));
    CHECK_STR(json_string_value(json_array_get(json_object_get(o, "missing"), 0)), "tokenizer");
    json_decref(o);
    remove_dir();
}

/* The weights of a golden file, whose names begin with "w.", in a file of the scratch folder. */
static void put_golden(const char *name, const char *golden, const char *config)
{
    enum { MOST = 128 };
    tb_err err = TB_ERR_INIT;
    const char *names[MOST];
    const tb_tensor *tensors[MOST];
    int n = 0;
    tb_safetensors *f = golden_open(golden);
    for (int i = 0; i < tb_safetensors_count(f); i++) {
        const char *full = tb_safetensors_name(f, i);
        if (!tb_str_starts(full, "w."))
            continue;
        REQUIRE(n < MOST);
        names[n] = full + 2;
        tensors[n++] = tb_safetensors_tensor(f, i, &err);
    }
    put_text("image_encoder/config.json", config);
    char *to = in_dir(name);
    CHECK_OK(tb_safetensors_write(to, n, names, tensors, NULL, &err));
    while (n > 0) {
        tb_tensor *t = (tb_tensor *)(uintptr_t)tensors[--n];
        tb_tensor_unref(&t);
    }
    tb_safetensors_close(&f);
    free(to);
}

/* Of an image-to-video model of Wan2.1 in diffusers' layout. */
TEST(an_image_encoder_is_a_part_of_a_model)
{
    tb_err err = TB_ERR_INIT;
    tb_model_info info;
    tb_model_sizes s;
    put("transformer/model.safetensors", "tests/golden/dit_i2v_a_diffusers.safetensors");
    put_text("transformer/config.json", "{\"num_attention_heads\": 2, \"text_len\": 16}");
    json_t *o = tb_model_describe(dir, &err);
    REQUIRE(o);
    CHECK_STR(json_string_value(json_array_get(json_object_get(o, "missing"), 2)), "image_encoder");
    json_decref(o);
    put_golden("image_encoder/model.safetensors", "tests/golden/seed_wanclip_a.safetensors",
               "{\"model_type\": \"clip_vision_model\", \"num_attention_heads\": 3}");
    CHECK_OK(tb_model_probe(dir, &info, &err));
    CHECK(!info.image_unused);
    CHECK(tb_str_ends(info.image_encoder, "/image_encoder"));
    CHECK_INT(tb_model_read_sizes(&info, &s, &err), TB_EINVAL);
    CHECK(strstr(err.message, "the transformer wants image features of 32 numbers, the image "
                              "encoder '"));
    CHECK(strstr(err.message, "/image_encoder' gives 48: they belong to different models"));
    tb_model_info_clear(&info);
    o = tb_model_describe(dir, &err);
    json_t *part = json_object_get(json_object_get(o, "parts"), "image_encoder");
    CHECK_INT(json_integer_value(json_object_get(json_object_get(part, "sizes"), "tokens")), 17);
    CHECK_INT(json_integer_value(json_object_get(json_object_get(part, "sizes"), "heads")), 3);
    CHECK(json_integer_value(json_object_get(part, "memory_bytes")) > 0);
    CHECK(!json_object_get(part, "error"));
    json_decref(o);
    char *file = in_dir("image_encoder/model.safetensors");
    CHECK_OK(tb_model_probe(file, &info, &err));
    CHECK(info.image_encoder && !info.transformer && !info.text_encoder);
    tb_model_info_clear(&info);
    tb_weights *w = tb_weights_open(file, &err);
    CHECK_INT(tb_model_recognise(w), TB_HAS_IMAGE_ENCODER);
    tb_weights_close(&w);
    free(file);
    remove_dir();
}

static void fail_of_lack(void *ctx, const char *sentence)
{
    (void)ctx;
    fprintf(stderr, "%s\n", sentence);
    CHECK(!"nothing is missing");
}

/* As in an original Wan folder: its blocks are not the encoder's. */
TEST(the_transformers_config_beside_a_text_encoder_is_not_its_own)
{
    tb_err err = TB_ERR_INIT;
    const tb_weights_lack lack = { fail_of_lack, NULL };
    put("models_t5.safetensors", TINY "/text_encoder/model.safetensors");
    put_text("config.json", "{\"_class_name\": \"WanModel\", \"num_layers\": 40}");
    char *file = in_dir("models_t5.safetensors");
    tb_weights *w = tb_weights_open(file, &err);
    REQUIRE(w);
    tb_umt5_check(w, &lack);
    tb_weights_close(&w);
    free(file);
    remove_dir();
}

TEST(what_is_no_model_says_what_was_wanted)
{
    CHECK_STR(refusal("absent"), "/absent': neither a folder nor a file of that name");
    CHECK_STR(refusal(""),
              "' is no model: a diffusers folder (transformer/, vae/, text_encoder/, tokenizer/), "
              "an original Wan folder or a .safetensors, .gguf or .pth file is needed");
    put_text("Wan2.1_VAE.pth", "PK");
    CHECK_STR(refusal(""), "/Wan2.1_VAE.pth' is not a PyTorch file: neither a zip file nor a "
                           "pickle begins there");
    CHECK_STR(refusal("Wan2.1_VAE.pth"), "/Wan2.1_VAE.pth' is not a PyTorch file: neither a zip "
                                         "file nor a pickle begins there");
    put_text("transformer/readme", "");
    CHECK_STR(refusal(""),
              "/transformer' holds no weights: a .safetensors, .gguf, .pth or .bin file or a "
              "*.index.json was looked for");
    remove_dir();
}

TEST(a_description_names_parts_and_what_is_missing)
{
    tb_err err = TB_ERR_INIT;
    json_t *o = tb_model_describe(TINY, &err), *part;
    REQUIRE(o);
    part = json_object_get(json_object_get(o, "parts"), "transformer");
    CHECK_INT(json_array_size(json_object_get(o, "missing")), 0);
    CHECK(json_integer_value(json_object_get(part, "parameters")) > 5000000);
    CHECK_INT(json_integer_value(json_object_get(json_object_get(part, "sizes"), "text_len")), 32);
    CHECK(json_object_get(json_object_get(part, "dtypes"), "F16"));
    part = json_object_get(json_object_get(o, "parts"), "tokenizer");
    CHECK_INT(json_integer_value(json_object_get(part, "pieces")), 157);
    json_decref(o);
    put("vae/model.safetensors", TINY "/vae/model.safetensors");
    put_text("text_encoder/model.safetensors", "");
    o = tb_model_describe(dir, &err);
    REQUIRE(o);
    CHECK_STR(json_string_value(json_array_get(json_object_get(o, "missing"), 0)), "transformer");
    part = json_object_get(json_object_get(o, "parts"), "text_encoder");
    CHECK(
        strstr(json_string_value(json_object_get(part, "error")), "it has 0 bytes, fewer than 8"));
    json_decref(o);
    remove_dir();
}

TEST(a_part_lists_the_files_that_make_it)
{
    tb_err err = TB_ERR_INIT;
    char **files = NULL;
    int count = 0;
    CHECK_OK(tb_model_part_files(TINY "/vae", &files, &count, &err));
    CHECK_INT(count, 2);
    CHECK_STR(files[0], TINY "/vae/model.safetensors");
    CHECK_STR(files[1], TINY "/vae/config.json");
    for (int i = 0; i < count; i++)
        free(files[i]);
    free(files);
    CHECK_INT(tb_model_part_files("tests", &files, &count, &err), TB_ENOTFOUND);
    CHECK_INT(count, 0);
}

TEST(the_bundled_model_is_found_by_its_variable)
{
    tb_err err = TB_ERR_INIT;
    char *path = NULL;
    setenv("TUBELET_MODEL", "somewhere/else", 1);
    CHECK_OK(tb_model_bundled(&path, &err));
    CHECK_STR(path, "somewhere/else");
    free(path);
    unsetenv("TUBELET_MODEL");
}

/* ---------------------------------------------------------------------------------- open parts */

TEST(parts_stay_open_while_memory_allows)
{
    tb_err err = TB_ERR_INIT;
    tb_compute *c = tb_compute_new(1, &err);
    tb_models *m = tb_models_new();
    const tb_umt5 *u = tb_models_umt5(m, c, TINY "/text_encoder", "id-1", &err);
    REQUIRE(u);
    CHECK(tb_models_umt5(m, c, "elsewhere", "id-1", &err) == u); /* the id is the content */
    const size_t bytes = tb_models_bytes(m);
    CHECK(bytes > 100000);
    CHECK(tb_models_umt5(m, c, TINY "/text_encoder", "id-2", &err) &&
          tb_models_bytes(m) == 2 * bytes);
    CHECK(tb_models_umt5(m, c, TINY "/text_encoder", "id-1", &err) == u);
    CHECK(tb_models_umt5(m, c, TINY "/text_encoder", "id-3", &err) &&
          tb_models_bytes(m) == 2 * bytes);
    CHECK(tb_models_umt5(m, c, TINY "/text_encoder", "id-1", &err) ==
          u); /* id-2 was used longest ago */
    CHECK(tb_models_vae(m, c, TINY "/vae", "id-4", &err));
    CHECK(tb_models_dit(m, c, TINY "/transformer", "id-5", NULL, 0, &err));
    CHECK(tb_models_tokenizer(m, TINY "/tokenizer", "", &err));
    CHECK_STR(err.message, "");
    const size_t all = tb_models_bytes(m), more = 1000;
    tb_models_make_room(m, "id-6", SIZE_MAX); /* no budget */
    CHECK(tb_models_bytes(m) == all);
    tb_models_set_budget(m, all + more);
    tb_models_make_room(m, "id-6", more);
    CHECK(tb_models_bytes(m) == all);
    tb_models_make_room(m, "id-6", more + 1); /* id-3 was used longest ago */
    CHECK(tb_models_bytes(m) == all - bytes);
    tb_models_set_budget(m, bytes);
    tb_models_make_room(m, "id-1", bytes);
    CHECK(tb_models_bytes(m) == bytes);
    CHECK(tb_models_umt5(m, c, TINY "/text_encoder", "id-1", &err) == u);
    tb_models_make_room(m, "id-7", bytes + 1);
    CHECK_INT(tb_models_bytes(m), 0);
    tb_models_free(&m);
    tb_compute_free(&c);
}

/* Bytes of a file that are mapped and in memory. */
static long resident_bytes(const char *file)
{
    char line[4352];
    bool ours = false;
    long sum = 0, kib;
    FILE *f = fopen("/proc/self/smaps", "r");
    REQUIRE(f);
    while (fgets(line, sizeof line, f)) {
        if (strchr(line, '-') && strchr(line, '-') < strchr(line, ' '))
            ours = strstr(line, file) != NULL;
        else if (ours && sscanf(line, "Rss: %ld kB", &kib) == 1)
            sum += 1024 * kib;
    }
    fclose(f);
    return sum;
}

/* What is packed is read no more: its pages of the file go, also those of the layers of a text
 * encoder that keeps none. */
TEST(files_of_packed_weights_leave_memory)
{
    enum { HEADER = 128 * 1024 };
    static const int32_t ids[] = { 5, 6, 7 };
    tb_err err = TB_ERR_INIT;
    tb_compute *c = tb_compute_new(2, &err);
    tb_models *m = tb_models_new();
    REQUIRE(tb_models_dit(m, c, TINY "/transformer", "a", NULL, 0, &err));
    REQUIRE(tb_models_vae(m, c, TINY "/vae", "b", &err));
    CHECK(tb_models_bytes(m) > 10000000);
    CHECK(resident_bytes("transformer/model.safetensors") <= HEADER);
    CHECK(resident_bytes("vae/model.safetensors") <= HEADER);
    tb_weights *w = tb_weights_open(TINY "/text_encoder", &err);
    tb_umt5 *u = w ? tb_umt5_open_within(c, w, 0, &err) : NULL;
    REQUIRE(u);
    float *out = tb_xcalloc(3 * (size_t)tb_umt5_config_of(u)->dim, sizeof *out);
    CHECK_OK(tb_umt5_run(u, c, ids, 3, out, NULL, NULL, NULL, &err));
    CHECK(resident_bytes("text_encoder/model.safetensors") <= HEADER);
    tb_tensor *kept = tb_tensor_to_f32(tb_weights_get(w, "shared.weight", &err), &err);
    CHECK(kept && resident_bytes("text_encoder/model.safetensors") >= 65536); /* it would be seen */
    tb_tensor_unref(&kept);
    free(out);
    tb_umt5_close(&u);
    tb_weights_close(&w);
    tb_models_free(&m);
    tb_compute_free(&c);
}

TEST(a_part_that_cannot_be_opened_says_why)
{
    tb_err err = TB_ERR_INIT;
    tb_compute *c = tb_compute_new(1, &err);
    tb_models *m = tb_models_new();
    CHECK(!tb_models_vae(m, c, "", "", &err));
    CHECK_INT(err.status, TB_ENOTFOUND);
    CHECK_STR(err.message, "the model has no VAE: give load_model the path of one as 'vae'");
    err = TB_ERR_INIT;
    CHECK(!tb_models_umt5(m, c, TINY "/vae", "x", &err));
    CHECK_INT(err.status, TB_EFORMAT);
    CHECK(!tb_models_tokenizer(m, TINY "/vae", "x", NULL));
    CHECK_INT(tb_models_bytes(m), 0);
    tb_models_free(&m);
    tb_compute_free(&c);
}

static double told_bytes(const char *part)
{
    tb_err err = TB_ERR_INIT;
    json_t *o = tb_model_describe(TINY, &err);
    const double n = json_number_value(
        json_object_get(json_object_get(json_object_get(o, "parts"), part), "memory_bytes"));
    json_decref(o);
    return n;
}

/* Beside what is really held, which is a little more: panels are filled up with zeros. */
TEST(the_memory_told_is_what_open_parts_take)
{
    tb_err err = TB_ERR_INIT;
    tb_compute *c = tb_compute_new(1, &err);
    tb_models *m = tb_models_new();
    REQUIRE(tb_models_umt5(m, c, TINY "/text_encoder", "", &err));
    double before = 0, now = (double)tb_models_bytes(m);
    CHECK_NEAR(told_bytes("text_encoder") / now, 0.99, 0.011);
    before = now;
    REQUIRE(tb_models_dit(m, c, TINY "/transformer", "f32", NULL, 0, &err));
    now = (double)tb_models_bytes(m);
    CHECK_NEAR(told_bytes("transformer") / (now - before), 0.99, 0.02);
    before = now;
    REQUIRE(tb_models_vae(m, c, TINY "/vae", "", &err));
    now = (double)tb_models_bytes(m);
    CHECK_NEAR(told_bytes("vae") / (now - before), 0.99, 0.02);
    before = now;
    tb_compute_set_mode(c, TB_MODE_INT8);
    REQUIRE(tb_models_dit(m, c, TINY "/transformer", "int8", NULL, 0, &err));
    tb_dit_sizes d;
    tb_weights *w = tb_weights_open(TINY "/transformer", &err);
    CHECK_OK(tb_model_dit_sizes(w, &d, &err));
    CHECK_NEAR((double)d.int8_bytes / ((double)tb_models_bytes(m) - before), 0.99, 0.02);
    CHECK(d.int8_bytes < d.weight_bytes * 7 / 10);
    int64_t parameters = 0;
    for (int i = 0; i < tb_weights_count(w); i++)
        parameters += tb_tensor_count(tb_weights_at(w, i));
    CHECK_INT(tb_model_dit_bytes(w, false, true), 4 * parameters);
    CHECK(tb_model_dit_bytes(w, true, true) > d.int8_bytes);
    tb_weights_close(&w);
    tb_models_free(&m);
    tb_compute_free(&c);
}

/* Token ids and features of the bundled model, as its training code computed them. */
TEST(bundled_text_features_equal_the_reference)
{
    tb_err err = TB_ERR_INIT;
    char *path = tb_xstrdup("tests/golden/tiny_reference.safetensors");
    tb_safetensors *ref = golden_open(path);
    tb_compute *c = tb_compute_new(2, &err);
    tb_models *m = tb_models_new();
    const tb_umt5 *u = tb_models_umt5(m, c, TINY "/text_encoder", "", &err);
    const tb_tokenizer *t = tb_models_tokenizer(m, TINY "/tokenizer", "", &err);
    REQUIRE(u && t);
    const char *prompts[] = {
        json_string_value(json_object_get(tb_safetensors_metadata(ref), "prompt")), ""
    };
    tb_tensor *ids = golden_f32(ref, "ids"), *text = golden_f32(ref, "text");
    const int64_t width = tb_tensor_dim(text, 2);
    for (int i = 0; i < 2; i++) {
        int32_t *got = NULL;
        int64_t n = 0;
        CHECK_OK(tb_tokenizer_encode(t, prompts[i], 32, &got, &n, &err));
        float *out = tb_xcalloc((size_t)(n * width), sizeof *out);
        CHECK_OK(tb_umt5_run(u, c, got, n, out, NULL, NULL, NULL, &err));
        for (int64_t k = 0; k < 32; k++)
            CHECK_INT(k < n ? got[k] : 0, tb_tensor_f32(ids)[32 * i + k]);
        CHECK(tb_test_relative(out, tb_tensor_f32(text) + width * 32 * i, n * width) <= 3e-5);
        free(out);
        free(got);
    }
    tb_tensor_unref(&ids);
    tb_tensor_unref(&text);
    tb_models_free(&m);
    tb_compute_free(&c);
    tb_safetensors_close(&ref);
    free(path);
}

/* ------------------------------------------------------------------------------------- prompts */

TEST(prompts_are_cleaned_as_in_wan)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        { "", "" },
        { "  a\t\n b\u3000c\u00a0", "a b c" },
        { "Tom &amp; Jerry &lt;3", "Tom & Jerry <3" },
        { "&amp;amp;amp;", "&amp;" }, /* twice, not more */
        { "&amp;quot;x&amp;quot;", "\"x\"" },
        { "caf&#233; &#xE9; &#x1F642;", "caf\u00e9 \u00e9 \U0001f642" },
        { "a&nbsp;&nbsp;b", "a b" },
        { "AT&T &unknown; &#0; &#x110000; &#; &", "AT&T &unknown; &#0; &#x110000; &#; &" },
        { "\xff a", "\xff a" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *got = tb_umt5_clean_prompt(cases[i].text);
        CHECK_STR(got, cases[i].want);
        free(got);
    }
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(the_bundled_model_has_all_parts),
        TEST_CASE(sizes_come_from_names_and_shapes),
        TEST_CASE(both_vaes_in_both_namings_give_their_sizes),
        TEST_CASE(families_are_told_apart),
        TEST_CASE(loose_files_are_recognised_by_their_tensors),
        TEST_CASE(a_pth_part_is_named_with_what_to_do),
        TEST_CASE(an_image_encoder_is_a_part_of_a_model),
        TEST_CASE(the_transformers_config_beside_a_text_encoder_is_not_its_own),
        TEST_CASE(what_is_no_model_says_what_was_wanted),
        TEST_CASE(a_description_names_parts_and_what_is_missing),
        TEST_CASE(a_part_lists_the_files_that_make_it),
        TEST_CASE(the_bundled_model_is_found_by_its_variable),
        TEST_CASE(parts_stay_open_while_memory_allows),
        TEST_CASE(files_of_packed_weights_leave_memory),
        TEST_CASE(a_part_that_cannot_be_opened_says_why),
        TEST_CASE(the_memory_told_is_what_open_parts_take),
        TEST_CASE(bundled_text_features_equal_the_reference),
        TEST_CASE(prompts_are_cleaned_as_in_wan),
    };
    return tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
}
