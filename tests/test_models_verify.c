/* test_models_verify.c - what `tubelet model verify` finds: in sound files, damaged ones,
 * incomplete ones, and beside them. */
#include <unistd.h>

#include "base/file_hash.h"
#include "base/str.h"
#include "containers.h"
#include "formats/safetensors.h"
#include "models/models.h"

#define TINY "examples/tiny"

static char dir[64];

static char *in_dir(const char *name)
{
    if (!*dir) {
        snprintf(dir, sizeof dir, "/tmp/tubelet-test-XXXXXX");
        REQUIRE(mkdtemp(dir));
    }
    return *name ? tb_fs_join(dir, name) : tb_xstrdup(dir);
}

static void remove_dir(void)
{
    char cmd[96];
    snprintf(cmd, sizeof cmd, "rm -r '%s'", dir);
    if (*dir)
        CHECK_INT(system(cmd), 0);
    *dir = 0;
}

static void put(const char *name, const void *data, size_t n)
{
    tb_err err = TB_ERR_INIT;
    char *path = in_dir(name);
    CHECK_OK(tb_fs_write(path, data, n, false, &err));
    free(path);
}

static void put_text(const char *name, const char *text)
{
    put(name, text, strlen(text));
}

static char *get(const char *path, size_t *n)
{
    tb_err err = TB_ERR_INIT;
    char *data = NULL;
    CHECK_OK(tb_fs_read(path, 64u << 20, &data, n, &err));
    REQUIRE(data);
    return data;
}

/* A file of the project, cut to `size` bytes (0: whole), with one bit of the byte `flip` from its
 * end turned (0: none). */
static void put_copy(const char *name, const char *source, size_t size, size_t flip)
{
    size_t n = 0;
    char *data = get(source, &n);
    if (flip)
        data[n - flip] = (char)(data[n - flip] ^ 1);
    put(name, data, size ? size : n);
    free(data);
}

/* As a line of sha256sum. */
static char *hash_of(const char *path, tb_file_hash_kind kind)
{
    tb_err err = TB_ERR_INIT;
    char hex[TB_FILE_HEX] = "";
    CHECK_OK(tb_file_hash(path, kind, hex, NULL, NULL, &err));
    return tb_xstrdup(hex);
}

static json_t *verify(const char *name)
{
    tb_err err = TB_ERR_INIT;
    char *path = in_dir(name);
    json_t *o = tb_model_verify(path, NULL, &err);
    CHECK_STR(err.message, "");
    REQUIRE(o);
    free(path);
    return o;
}

static int problems(const json_t *o)
{
    return (int)json_array_size(json_object_get(o, "problems"));
}

/* A problem with DIR for the scratch folder; "": there are not so many. */
static const char *problem(const json_t *o, int i)
{
    static char text[1000];
    const char *p = json_string_value(json_array_get(json_object_get(o, "problems"), (size_t)i)),
               *at;
    tb_str s = TB_STR_INIT;
    for (p = p ? p : ""; (at = *dir ? strstr(p, dir) : NULL); p = at + strlen(dir)) {
        tb_str_addn(&s, p, (size_t)(at - p));
        tb_str_add(&s, "DIR");
    }
    tb_str_add(&s, p);
    snprintf(text, sizeof text, "%s", s.s);
    tb_str_free(&s);
    return text;
}

/* What the row of a file says. */
static const json_t *row(const json_t *o, const char *name)
{
    json_t *files = json_object_get(o, "files"), *r;
    size_t i;
    json_array_foreach(files, i, r)
    {
        if (tb_str_ends(json_string_value(json_object_get(r, "path")), name))
            return r;
    }
    REQUIRE(!"there is a row of that file");
    return NULL;
}

static const char *content(const json_t *o, const char *name)
{
    return json_string_value(json_object_get(row(o, name), "content"));
}

/* ------------------------------------------------------------------------------------- hashes */

TEST(hashes_are_those_of_sha256sum_and_git)
{
    put_text("abc", "abc");
    put_text("hello", "hello\n");
    char *abc = in_dir("abc"), *hello = in_dir("hello");
    char *a = hash_of(abc, TB_FILE_SHA256), *b = hash_of(hello, TB_FILE_GIT_BLOB);
    CHECK_STR(a, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK_STR(b, "ce013625030ba8dba906f756967f9e9ca394464a");
    free(a), free(b), free(abc), free(hello);
    remove_dir();
}

/* -------------------------------------------------------------------------------- sound models */

static void on_progress(void *ctx, const char *file, int64_t done, int64_t total)
{
    int64_t *last = ctx;
    CHECK(file && done > *last && done <= total);
    *last = done;
}

TEST(the_bundled_model_is_sound)
{
    tb_err err = TB_ERR_INIT;
    int64_t done = 0;
    const tb_model_watch watch = { on_progress, &done };
    json_t *o = tb_model_verify(TINY, &watch, &err);
    REQUIRE(o);
    CHECK_STR(problem(o, 0), "");
    CHECK_STR(json_string_value(json_object_get(o, "family")), "Wan T2V and I2V");
    CHECK_INT(json_array_size(json_object_get(o, "missing")), 0);
    CHECK_INT(json_object_size(json_object_get(o, "parts")), 4);
    CHECK_INT(json_array_size(json_object_get(o, "files")), 10);
    const json_t *r = row(o, "transformer/model.safetensors");
    CHECK_INT(json_integer_value(json_object_get(r, "tensors")), 231);
    CHECK_INT(json_array_size(json_object_get(r, "bad")), 0);
    CHECK_STR(content(o, "transformer/model.safetensors"), "unknown");
    char *sha256 = hash_of(TINY "/transformer/model.safetensors", TB_FILE_SHA256);
    CHECK_STR(json_string_value(json_object_get(r, "sha256")), sha256);
    CHECK(done > 30000000);
    free(sha256);
    json_decref(o);
}

static void count_lacks(void *ctx, const char *sentence)
{
    fprintf(stderr, "%s\n", sentence);
    ++*(int *)ctx;
}

/* What small models do not tell by their shapes. */
static const char small_config[] = "{\"num_heads\":2,\"latents_mean\":[0,0,0,0,0,0,0,0],"
                                   "\"latents_std\":[1,1,1,1,1,1,1,1]}";

/* Loading asks for the very names that looking asks for. */
TEST(nothing_is_missing_in_models_that_open)
{
    static const struct {
        const char *path;
        void (*check)(const tb_weights *w, const tb_weights_lack *lack);
    } cases[] = {
#define G(name) "tests/golden/" name ".safetensors"
        { G("dit_i2v_a_diffusers"), tb_wan_dit_check },
        { G("dit_i2v_a_orig"), tb_wan_dit_check },
        { G("dit_ti2v_a_diffusers"), tb_wan_dit_check },
        { G("dit_ti2v_a_orig"), tb_wan_dit_check },
        { G("umt5_a_hf"), tb_umt5_check },
        { G("umt5_a_orig"), tb_umt5_check },
        { G("vae_a_decoder_diffusers"), tb_wan_vae_check },
        { G("vae_a_decoder_orig"), tb_wan_vae_check },
        { G("vae_a_encoder_diffusers"), tb_wan_vae_check },
        { G("vae_a_encoder_orig"), tb_wan_vae_check },
        { G("vae22_a_decoder_diffusers"), tb_wan_vae_check },
        { G("vae22_a_decoder_orig"), tb_wan_vae_check },
        { G("vae22_a_encoder_diffusers"), tb_wan_vae_check },
        { G("vae22_a_encoder_orig"), tb_wan_vae_check },
#undef G
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tb_err err = TB_ERR_INIT;
        int count = 0;
        put_copy("model.safetensors", cases[i].path, 0, 0);
        put_text("config.json", small_config);
        tb_weights *w = tb_weights_open(dir, &err);
        REQUIRE(w);
        cases[i].check(w, &(tb_weights_lack){ count_lacks, &count });
        CHECK_INT(count, 0);
        tb_weights_close(&w);
    }
    remove_dir();
}

/* ------------------------------------------------------------------------------------- numbers */

/* Six numbers of a kind, the fourth and fifth with these bits. */
static tb_tensor *six(tb_dtype dtype, uint32_t one, uint32_t fourth, uint32_t fifth)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *t = tb_tensor_new(dtype, &TB_SHAPE(2, 3), &err);
    REQUIRE(t);
    const size_t size = tb_dtype_size(dtype);
    for (size_t i = 0; i < 6; i++)
        memcpy((char *)tb_tensor_data_mut(t) + i * size,
               i == 3   ? &fourth
               : i == 4 ? &fifth
                        : &one,
               size);
    return t;
}

TEST(numbers_that_are_not_finite_are_found_in_every_kind)
{
    static const char *const names[] = { "f32", "f16", "bf16", "f8", "fine", "zero" };
    tb_err err = TB_ERR_INIT;
    tb_tensor *t[] = { six(TB_F32, 0x3f800000, 0x7fc00000, 0xff800000),
                       six(TB_F16, 0x3c00, 0x7e00, 0x7e01),
                       six(TB_BF16, 0x3f80, 0x7f80, 0xff80),
                       six(TB_F8_E4M3, 0x38, 0x7f, 0x38),
                       six(TB_F16, 0x3c00, 0x7bff, 0xfbff), /* the largest there are */
                       six(TB_BF16, 0, 0x8000, 0) };
    char *path = in_dir("model.safetensors");
    CHECK_OK(tb_safetensors_write(path, 6, names, (const tb_tensor *const *)t, NULL, &err));
    json_t *o = verify("model.safetensors"), *one;
    const json_t *bad = json_object_get(row(o, "model.safetensors"), "bad");
    static const int nan[] = { 1, 2, 0, 1 }, inf[] = { 1, 0, 2, 0 };
    size_t i;
    CHECK_INT(json_array_size(bad), 4);
    json_array_foreach(bad, i, one)
    {
        int k = 0;
        while (strcmp(names[k], json_string_value(json_object_get(one, "tensor"))) != 0)
            k++;
        REQUIRE(k < 4);
        CHECK_INT(json_integer_value(json_object_get(one, "nan")), nan[k]);
        CHECK_INT(json_integer_value(json_object_get(one, "inf")), inf[k]);
    }
    CHECK_INT(problems(o), 4);
    CHECK(strstr(problem(o, 0), "1 NaN and 1 infinite of 6 numbers: the file is damaged, or was "
                                "made so; download it again"));
    const json_t *zero = json_object_get(row(o, "model.safetensors"), "zero");
    CHECK_INT(json_array_size(zero), 1);
    CHECK_STR(json_string_value(json_array_get(zero, 0)), "zero");
    json_decref(o);
    for (i = 0; i < 6; i++)
        tb_tensor_unref(&t[i]);
    free(path);
    remove_dir();
}

/* Large enough for several threads and blocks: the last number of all. */
TEST(the_last_number_of_a_large_tensor_counts)
{
    enum { N = 300001 };
    tb_err err = TB_ERR_INIT;
    static const char *const names[] = { "w" };
    tb_tensor *t = tb_tensor_new_zero(TB_F32, &TB_SHAPE(N), &err);
    tb_tensor_f32_mut(t)[N - 1] = NAN;
    char *path = in_dir("model.safetensors");
    CHECK_OK(tb_safetensors_write(path, 1, names, (const tb_tensor *const[]){ t }, NULL, &err));
    json_t *o = verify("model.safetensors");
    CHECK_INT(problems(o), 1);
    CHECK(strstr(problem(o, 0), "tensor 'w' has 1 NaN and 0 infinite of 300001 numbers"));
    json_decref(o);
    tb_tensor_unref(&t);
    free(path);
    remove_dir();
}

TEST(gguf_and_pytorch_files_are_read_too)
{
    float x[64] = { 1, 2, INFINITY };
    tb_str s = TB_STR_INIT;
    gguf_build(&s, "wan",
               &(stored){ .name = "w", .shape = TB_SHAPE(2, 32), .data = x, .bytes = sizeof x }, 1);
    put("w.gguf", s.s, s.len);
    tb_str_free(&s);
    put_copy("plain.pth", "tests/golden/torch_plain.pth", 0, 0);
    json_t *o = verify("");
    CHECK_INT(problems(o), 1);
    CHECK(strstr(problem(o, 0), "w.gguf': tensor 'w' has 0 NaN and 1 infinite of 64 numbers"));
    CHECK(json_integer_value(json_object_get(row(o, "plain.pth"), "tensors")) > 0);
    json_decref(o);
    remove_dir();
}

/* ----------------------------------------------------------------------------------- structure */

TEST(a_file_that_is_cut_short_is_named)
{
    put_copy("vae/model.safetensors", TINY "/vae/model.safetensors", 4000000, 0);
    put_copy("text_encoder/model.safetensors", TINY "/text_encoder/model.safetensors", 0, 0);
    put_text("text_encoder/config.json", "{ \"num_layers\": ");
    put_text("transformer/model.safetensors", "version https://git-lfs.github.com/spec/v1\noid "
                                              "sha256:00\nsize 9\n");
    json_t *o = verify("");
    int cut = 0, pointer = 0, config = 0;
    for (int i = 0; i < problems(o); i++) {
        cut += strstr(problem(o, i), "'DIR/vae/model.safetensors' is cut short: tensor '") != NULL;
        pointer +=
            strcmp(problem(o, i), "'DIR/transformer/model.safetensors' is a pointer of Git "
                                  "LFS, not the file itself: fetch it with 'git lfs pull'") == 0;
        config += strstr(problem(o, i), "DIR/text_encoder/config.json") != NULL;
    }
    CHECK_INT(cut, 1);
    CHECK_INT(pointer, 1);
    CHECK(config > 0);
    CHECK(json_is_null(json_object_get(row(o, "text_encoder/model.safetensors"), "error")));
    json_decref(o);
    remove_dir();
}

TEST(every_shard_of_an_index_is_looked_for)
{
    put_copy("model-00001-of-00003.safetensors", TINY "/text_encoder/model.safetensors", 0, 0);
    put_copy("model-00002-of-00003.safetensors", TINY "/text_encoder/model.safetensors", 0, 0);
    put_text("model.safetensors.index.json",
             "{\"weight_map\":{\"shared.weight\":\"model-00001-of-00003.safetensors\","
             "\"not.there\":\"model-00002-of-00003.safetensors\","
             "\"lost.1\":\"model-00003-of-00003.safetensors\","
             "\"lost.2\":\"model-00003-of-00003.safetensors\","
             "\"out\":\"../model.safetensors\"}}");
    char *whole = in_dir("model.safetensors.index.json");
    for (int i = 0; i < 2; i++) { /* the folder, and the index alone */
        json_t *o = verify(i ? "model.safetensors.index.json" : "");
        CHECK_INT(json_array_size(json_object_get(o, "files")), 3);
        CHECK_INT(problems(o), 3);
        CHECK_STR(
            problem(o, 0),
            "'DIR/model-00002-of-00003.safetensors' does not hold the tensor 'not.there', which "
            "'DIR/model.safetensors.index.json' says is there; download both again");
        CHECK_STR(problem(o, 1), "'DIR/model-00003-of-00003.safetensors' is missing: "
                                 "'DIR/model.safetensors.index.json' names it; download it");
        CHECK_STR(problem(o, 2), "'DIR/model.safetensors.index.json' must name its shards by plain "
                                 "file names, got '../model.safetensors'");
        json_decref(o);
    }
    free(whole);
    remove_dir();
}

TEST(what_is_no_model_is_refused)
{
    tb_err err = TB_ERR_INIT;
    put_text("readme.txt", "x");
    put_text("config.json", "{}");
    CHECK(!tb_model_verify(dir, NULL, &err));
    CHECK(strstr(err.message, "holds no weights: .safetensors, .gguf, .pth or .bin files were"));
    err = TB_ERR_INIT;
    CHECK(!tb_model_verify("/nowhere/at/all", NULL, &err));
    CHECK_INT(err.status, TB_ENOTFOUND);
    CHECK_STR(err.message, "there is no model '/nowhere/at/all': neither a folder nor a file of "
                           "that name");
    remove_dir();
}

/* ------------------------------------------------------------------------------ missing tensors */

/* A model of one safetensors file without the tensors whose names hold one of two texts. */
static void put_without(const char *name, const char *source, const char *a, const char *b)
{
    tb_err err = TB_ERR_INIT;
    tb_safetensors *f = tb_safetensors_open(source, &err);
    REQUIRE(f);
    const int count = tb_safetensors_count(f);
    const char **names = tb_xcalloc((size_t)count, sizeof *names);
    tb_tensor **t = tb_xcalloc((size_t)count, sizeof *t);
    int n = 0;
    for (int i = 0; i < count; i++) {
        names[n] = tb_safetensors_name(f, i);
        if (!strstr(names[n], a) && !strstr(names[n], b))
            t[n++] = tb_safetensors_tensor(f, i, &err);
    }
    CHECK(n < count);
    char *path = in_dir(name), *folder = tb_fs_dirname(path);
    CHECK_OK(tb_fs_mkdirs(folder, &err));
    CHECK_OK(tb_safetensors_write(path, n, names, (const tb_tensor *const *)t, NULL, &err));
    while (n > 0)
        tb_tensor_unref(&t[--n]);
    free(t), free(names), free(path), free(folder);
    tb_safetensors_close(&f);
}

static void check_lacks(const char *part, const char *source, const char *a, const char *b,
                        int wanted, const char *first)
{
    char name[64];
    snprintf(name, sizeof name, "%s/model.safetensors", part);
    put_without(name, source, a, b);
    snprintf(name, sizeof name, "%s/config.json", part);
    put_text(name, small_config);
    json_t *o = verify("");
    const json_t *lacks =
        json_object_get(json_object_get(json_object_get(o, "parts"), part), "lacks");
    CHECK_INT(json_array_size(lacks), wanted);
    CHECK_INT(problems(o), wanted > 10 ? 11 : wanted);
    if (!strstr(problem(o, 0), first)) {
        fprintf(stderr, "%s is not in: %s\n", first, problem(o, 0));
        tb_test_failures++;
    }
    json_decref(o);
    remove_dir();
}

TEST(tensors_that_the_architecture_wants_are_named)
{
    /* in the middle, at the end of the blocks, outside of them */
    check_lacks("transformer", "tests/golden/dit_t2v_a_orig.safetensors", "blocks.0.norm3",
                "text_embedding.2.bias", 3, "has no tensor 'text_embedding.2.bias'");
    check_lacks("transformer", "tests/golden/dit_t2v_a_diffusers.safetensors",
                "blocks.1.attn1.to_v.bias", "#", 1, "has no tensor 'blocks.1.attn1.to_v.bias'");
    check_lacks("transformer", TINY "/transformer/model.safetensors", "blocks.3.", "#", 27,
                "has no tensor 'blocks.3.");
    check_lacks("text_encoder", TINY "/text_encoder/model.safetensors", "block.1.layer.0.Self", "#",
                5, "has no tensor 'encoder.block.1.layer.0.SelfAttention.q.weight'");
    /* a bias of each half, and a gamma */
    check_lacks("vae", TINY "/vae/model.safetensors", "middle.0.residual.2.bias",
                "decoder.head.0.gamma", 3, "encoder.middle.0.residual.2.bias'");
}

/* ---------------------------------------------------------------------------- what is on record */

/* A file that differs from the record by one bit of its last number but one. */
static void put_flipped(const char *name)
{
    put_copy(name, TINY "/text_encoder/model.safetensors", 0, 9);
}

TEST(sums_beside_files_tell_a_flipped_bit)
{
    char *hash = hash_of(TINY "/text_encoder/model.safetensors", TB_FILE_SHA256);
    tb_str sums = TB_STR_INIT;
    tb_str_addf(&sums, "# sums\n%s  ./a/model.safetensors\n%s *b/model.safetensors\n%s  readme\n",
                hash, hash, hash);
    put_copy("a/model.safetensors", TINY "/text_encoder/model.safetensors", 0, 0);
    put_flipped("b/model.safetensors");
    put_flipped("c/model.safetensors");
    put_text("SHA256SUMS", sums.s);
    put_text("c/model.safetensors.sha256", hash);
    json_t *o = verify("");
    CHECK_STR(content(o, "a/model.safetensors"), "matches");
    CHECK_STR(content(o, "b/model.safetensors"), "differs");
    CHECK_STR(content(o, "c/model.safetensors"), "differs");
    CHECK_INT(problems(o), 2);
    char *now = in_dir("b/model.safetensors"), *found = hash_of(now, TB_FILE_SHA256);
    char *want = tb_xasprintf("'DIR/b/model.safetensors' differs from what was published: its hash "
                              "is %s, 'DIR/SHA256SUMS' says %s: download it again",
                              found, hash);
    CHECK_STR(problem(o, 0), want);
    CHECK(strstr(problem(o, 1), "'DIR/c/model.safetensors.sha256' says "));
    json_decref(o);
    free(want), free(now), free(found), free(hash);
    tb_str_free(&sums);
    remove_dir();
}

/* .../snapshots/X/FILE -> ../../blobs/HASH */
static void put_link(const char *blob, const char *link)
{
    char *path = in_dir(link), *target = tb_xasprintf("../../blobs/%s", blob);
    char *folder = tb_fs_dirname(path);
    CHECK(tb_fs_mkdirs(folder, NULL) == TB_OK && symlink(target, path) == 0);
    free(path), free(target), free(folder);
}

TEST(links_of_the_hub_cache_are_hashes)
{
    char name[120];
    char *hash = hash_of(TINY "/text_encoder/model.safetensors", TB_FILE_SHA256);
    char *config = hash_of(TINY "/text_encoder/config.json", TB_FILE_GIT_BLOB);
    snprintf(name, sizeof name, "blobs/%s", hash);
    put_flipped(name);
    put_link(hash, "snapshots/0123/model.safetensors");
    snprintf(name, sizeof name, "blobs/%s", config);
    put_copy(name, TINY "/text_encoder/config.json", 0, 0);
    put_link(config, "snapshots/0123/config.json");
    json_t *o = verify("snapshots/0123");
    CHECK_STR(content(o, "model.safetensors"), "differs");
    CHECK_STR(content(o, "config.json"), "matches");
    CHECK_STR(json_string_value(json_object_get(row(o, "config.json"), "git")), config);
    CHECK_INT(problems(o), 1);
    json_decref(o);
    snprintf(name, sizeof name, "blobs/%s", hash);
    put_copy(name, TINY "/text_encoder/model.safetensors", 0, 0);
    o = verify("snapshots/0123");
    CHECK_STR(content(o, "model.safetensors"), "matches");
    CHECK_INT(problems(o), 0);
    json_decref(o);
    free(hash), free(config);
    remove_dir();
}

TEST(metadata_of_a_download_to_a_folder_is_read)
{
    char *hash = hash_of(TINY "/text_encoder/model.safetensors", TB_FILE_SHA256);
    char *text = tb_xasprintf("37ec512624d61f7aa208f7ea8140a131f93afc9a\n%s\n1731000000.5\n", hash),
         *quoted = tb_xasprintf("x\n\"%s\"\n", hash);
    put_copy("text_encoder/model.safetensors", TINY "/text_encoder/model.safetensors", 0, 0);
    put_flipped("other.safetensors");
    put_flipped("odd.safetensors");
    put_text(".cache/huggingface/download/text_encoder/model.safetensors.metadata", text);
    put_text(".cache/huggingface/download/other.safetensors.metadata", quoted);
    put_text(".cache/huggingface/download/odd.safetensors.metadata", "commit\nW/\"no-hash\"\n");
    json_t *o = verify("");
    CHECK_STR(content(o, "text_encoder/model.safetensors"), "matches");
    CHECK_STR(content(o, "other.safetensors"), "differs");
    CHECK_STR(content(o, "odd.safetensors"), "unknown");
    CHECK_INT(problems(o), 1);
    json_decref(o);
    free(hash), free(text), free(quoted);
    remove_dir();
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(hashes_are_those_of_sha256sum_and_git),
        TEST_CASE(the_bundled_model_is_sound),
        TEST_CASE(nothing_is_missing_in_models_that_open),
        TEST_CASE(numbers_that_are_not_finite_are_found_in_every_kind),
        TEST_CASE(the_last_number_of_a_large_tensor_counts),
        TEST_CASE(gguf_and_pytorch_files_are_read_too),
        TEST_CASE(a_file_that_is_cut_short_is_named),
        TEST_CASE(every_shard_of_an_index_is_looked_for),
        TEST_CASE(what_is_no_model_is_refused),
        TEST_CASE(tensors_that_the_architecture_wants_are_named),
        TEST_CASE(sums_beside_files_tell_a_flipped_bit),
        TEST_CASE(links_of_the_hub_cache_are_hashes),
        TEST_CASE(metadata_of_a_download_to_a_folder_is_read),
    };
    return tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
}
