/* test_safetensors.c - files of tensors: what is read back, what is refused and how, and gathered
 * weights. */
#include <dirent.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include "formats/safetensors.h"
#include "formats/weights.h"
#include "test.h"

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

/* Writes a file of this header (its length in front) and `bytes` zeros of data. */
static char *with_header(const char *header, size_t bytes)
{
    tb_str s = TB_STR_INIT;
    const uint64_t n = strlen(header);
    tb_err err = TB_ERR_INIT;
    char *path = in_dir("h.safetensors");
    tb_str_addn(&s, &n, 8);
    tb_str_add(&s, header);
    for (size_t i = 0; i < bytes; i++)
        tb_str_addn(&s, "", 1);
    CHECK_OK(tb_fs_write(path, s.s, s.len, false, &err));
    tb_str_free(&s);
    return path;
}

/* The message a file is refused with, the folder's name cut out. */
static const char *refusal(const char *path)
{
    static char text[900];
    tb_err err = TB_ERR_INIT;
    tb_safetensors *f = tb_safetensors_open(path, &err);
    if (f) {
        tb_safetensors_close(&f);
        return "(accepted)";
    }
    char *at = strstr(err.message, dir);
    snprintf(text, sizeof text, "%.*s%s", at ? (int)(at - err.message) : 0, err.message,
             at ? at + strlen(dir) + 1 : err.message);
    return text;
}

static const char *header_refusal(const char *header, size_t bytes)
{
    char *path = with_header(header, bytes);
    const char *text = refusal(path);
    free(path);
    return text;
}

static tb_tensor *ramp(int64_t rows, int64_t cols)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *t = tb_tensor_new(TB_F32, &TB_SHAPE(rows, cols), &err);
    float *p = tb_tensor_f32_mut(t);
    for (int64_t i = 0; i < rows * cols; i++)
        p[i] = (float)i;
    return t;
}

/* Writes tensors "NAME.a" [2,3] and "NAME.b" [4,1] to DIR/file. */
static char *write_pair(const char *file, const char *name)
{
    tb_err err = TB_ERR_INIT;
    char a[64], b[64], *path = in_dir(file);
    snprintf(a, sizeof a, "%s.a", name);
    snprintf(b, sizeof b, "%s.b", name);
    tb_tensor *ta = ramp(2, 3), *tb = ramp(4, 1);
    json_t *meta = json_pack("{s:s}", "format", "pt");
    CHECK_OK(tb_safetensors_write(path, 2, (const char *[]){ a, b },
                                  (const tb_tensor *[]){ ta, tb }, meta, &err));
    json_decref(meta);
    tb_tensor_unref(&ta);
    tb_tensor_unref(&tb);
    return path;
}

/* --------------------------------------------------------------------------------- safetensors */

TEST(what_was_written_is_read_back)
{
    tb_err err = TB_ERR_INIT;
    char *path = write_pair("x.safetensors", "x");
    tb_safetensors *f = tb_safetensors_open(path, &err);
    REQUIRE(f);
    CHECK_INT(tb_safetensors_count(f), 2);
    CHECK_STR(tb_safetensors_name(f, 1), "x.b");
    CHECK_STR(json_string_value(json_object_get(tb_safetensors_metadata(f), "format")), "pt");
    tb_tensor *t = tb_safetensors_get(f, "x.a", &err);
    REQUIRE(t);
    tb_safetensors_close(&f);
    CHECK(tb_shape_eq(tb_tensor_shape(t), &TB_SHAPE(2, 3)));
    CHECK_NEAR(tb_tensor_f32(t)[5], 5, 0); /* the mapping outlives the reader */
    tb_tensor_unref(&t);
    free(path);
    remove_dir();
}

TEST(data_at_odd_offsets_is_readable)
{
    tb_err err = TB_ERR_INIT;
    char *path =
        with_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]} }", 8);
    tb_safetensors *f = tb_safetensors_open(path, &err);
    REQUIRE(f);
    tb_tensor *t = tb_safetensors_get(f, "a", &err);
    REQUIRE(t);
    CHECK_INT((uintptr_t)tb_tensor_data(t) % 4, 0);
    CHECK_NEAR(tb_tensor_f32(t)[1], 0, 0);
    tb_tensor_unref(&t);
    tb_safetensors_close(&f);
    free(path);
    remove_dir();
}

TEST(a_missing_name_suggests_the_nearest)
{
    tb_err err = TB_ERR_INIT;
    char want[300], *path = write_pair("x.safetensors", "block");
    tb_safetensors *f = tb_safetensors_open(path, &err);
    REQUIRE(f);
    CHECK(!tb_safetensors_get(f, "blok.b", &err));
    CHECK_INT(err.status, TB_ENOTFOUND);
    snprintf(want, sizeof want, "'%s' has no tensor 'blok.b'; the nearest name it has is 'block.b'",
             path);
    CHECK_STR(err.message, want);
    tb_safetensors_close(&f);
    free(path);
    remove_dir();
}

TEST(files_that_are_not_there_or_no_files)
{
    tb_err err = TB_ERR_INIT;
    char *path = in_dir("absent.safetensors");
    CHECK_STR(refusal(path), "cannot open 'absent.safetensors': No such file or directory");
    CHECK(!tb_safetensors_open(dir, &err));
    CHECK(strstr(err.message, "is not a regular file"));
    free(path);
    remove_dir();
}

TEST(preambles_are_checked)
{
    tb_err err = TB_ERR_INIT;
    char *path = in_dir("x.safetensors");
    CHECK_OK(tb_fs_write(path, "1234", 4, false, &err));
    CHECK_STR(refusal(path),
              "'x.safetensors' is not a safetensors file: it has 4 bytes, fewer than 8");
    CHECK_OK(tb_fs_write(path, "\x09\0\0\0\0\0\0\0{}", 10, false, &err));
    CHECK_STR(refusal(path),
              "'x.safetensors' is cut short: its header is 9 bytes long, but 2 follow");
    CHECK_OK(tb_fs_write(path, "\0\0\0\0\0\0\0\x80{}", 10, false, &err));
    CHECK_STR(refusal(path), "'x.safetensors' is not a safetensors file: its header would be "
                             "9223372036854775808 bytes long, at most 100000000 are accepted");
    free(path);
    remove_dir();
}

TEST(headers_are_checked)
{
    static const struct {
        const char *header;
        size_t bytes;
        const char *want;
    } cases[] = {
        { "[]", 0, "the header of 'h.safetensors' must be a JSON object" },
        { "{} ", 0, "(accepted)" },
        { "{}", 4,
          "'h.safetensors' is damaged: its tensors take 0 bytes, but 4 bytes of data are there" },
        { "{\"__metadata__\":{\"a\":1}}", 0,
          "'h.safetensors' is damaged: its __metadata__ must be an object of texts" },
        { "{\"a\":3}", 0, "'h.safetensors' is damaged: tensor 'a' is not described by an object" },
        { "{\"a\":{\"dtype\":\"F4\",\"shape\":[],\"data_offsets\":[0,1]}}", 1,
          "'h.safetensors': tensor 'a' has the dtype F4, which is not supported; convert the "
          "file to "
          "F32, F16, BF16, F8_E4M3 or F8_E5M2" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4,
          "'h.safetensors' is damaged: tensor 'a' has more than 8 dimensions" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4,
          "'h.safetensors' is damaged: tensor 'a' has a dimension that is no whole number >= 0" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1.0],\"data_offsets\":[0,4]}}", 4,
          "'h.safetensors' is damaged: tensor 'a' has a dimension that is no whole number >= 0" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4,
          "'h.safetensors' is damaged: tensor 'a' has no data_offsets of two whole numbers" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 4,
          "'h.safetensors' is damaged: tensor 'a' has data_offsets that run backwards" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 4,
          "'h.safetensors' is cut short: tensor 'a' ends at byte 8 of the data, which has 4" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4,
          "'h.safetensors' is damaged: tensor 'a' of shape [2] and dtype F32 needs 8 bytes, its "
          "data_offsets span 4" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387905,4],\"data_offsets\":[0,16]}}",
          16, "'h.safetensors' is damaged: tensor 'a' has a shape whose size overflows" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,0]}}", 0,
          "'h.safetensors' is damaged: tensor 'a' has a shape whose size overflows" },
        { "{\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]},"
          "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[2,4]}}",
          4, "'h.safetensors' is damaged: tensor 'b' shares bytes with another" },
        { "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
          "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[2,4]}}",
          4, "'h.safetensors' is damaged: tensor 'b' follows a gap that belongs to no tensor" },
        { "{\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
          "\"a\":{\"dtype\":\"U8\",\"shape\":[0,7],\"data_offsets\":[0,0]}}",
          2, "(accepted)" },
        { "{\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]},"
          "\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}",
          1,
          "the header of 'h.safetensors' is not valid JSON: duplicate object key near '\"a\"' at "
          "line 1, "
          "column 55" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_STR(header_refusal(cases[i].header, cases[i].bytes), cases[i].want);
    remove_dir();
}

TEST(texts_are_put_into_a_file_and_its_tensors_stay)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *t = tb_tensor_new(TB_F32, &TB_SHAPE(3), &err);
    memcpy(tb_tensor_data_mut(t), (float[]){ 1, 2, 3 }, 12);
    char *data = NULL;
    size_t n = 0;
    json_t *own = json_pack("{ssss}", "state", "noise", "prompt", "old");
    CHECK_INT(tb_safetensors_encode(1, (const char *[]){ "x" }, (const tb_tensor *[]){ t }, own,
                                    &data, &n, &err),
              TB_OK);
    tb_tensor *file = tb_tensor_new(TB_U8, &TB_SHAPE((int64_t)n), &err);
    memcpy(tb_tensor_data_mut(file), data, n);
    json_t *texts = json_pack("{ssss}", "prompt", "{\"1\": {}}", "workflow", "\xc3\xa9");
    tb_tensor *with = tb_safetensors_embed(file, texts, &err);
    char *path = in_dir("texts.safetensors");
    CHECK(with);
    CHECK_INT(tb_fs_write(path, tb_tensor_data(with), tb_tensor_bytes(with), false, &err), TB_OK);
    tb_safetensors *f = tb_safetensors_open(path, &err);
    const json_t *read = f ? tb_safetensors_metadata(f) : NULL;
    CHECK_STR(json_string_value(json_object_get(read, "state")), "noise");
    CHECK_STR(json_string_value(json_object_get(read, "prompt")), "{\"1\": {}}");
    CHECK_STR(json_string_value(json_object_get(read, "workflow")), "\xc3\xa9");
    tb_tensor *x = f ? tb_safetensors_get(f, "x", &err) : NULL;
    CHECK(x && memcmp(tb_tensor_data(x), tb_tensor_data(t), 12) == 0);
    tb_tensor_unref(&x);
    tb_safetensors_close(&f);
    tb_tensor_unref(&with);
    memset(tb_tensor_data_mut(file), 0xff, 8);
    CHECK(!tb_safetensors_embed(file, texts, &err));
    CHECK_STR(err.message, "the file is no safetensors file");
    tb_tensor_unref(&file);
    tb_tensor_unref(&t);
    free(data);
    json_decref(texts);
    json_decref(own);
    free(path);
    remove_dir();
}

TEST(two_tensors_of_one_name_are_not_written)
{
    tb_err err = TB_ERR_INIT;
    char *data = NULL;
    size_t size = 0;
    tb_tensor *t = ramp(1, 1);
    CHECK_INT(tb_safetensors_encode(2, (const char *[]){ "a", "a" }, (const tb_tensor *[]){ t, t },
                                    NULL, &data, &size, &err),
              TB_EINVAL);
    CHECK_STR(err.message, "a safetensors file cannot hold two entries named 'a'");
    tb_tensor_unref(&t);
}

/* ---------------------------------------------------------------------------------------- fuzz */

static uint64_t next(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static uint64_t touch(const char *path)
{
    tb_err err = TB_ERR_INIT;
    uint64_t sum = 0;
    tb_safetensors *f = tb_safetensors_open(path, &err);
    if (!f) {
        CHECK(err.status != TB_OK && *err.message);
        return 0;
    }
    for (int i = 0; i < tb_safetensors_count(f); i++) {
        tb_tensor *t = tb_safetensors_tensor(f, i, &err);
        REQUIRE(t);
        const uint8_t *p = tb_tensor_data(t);
        for (size_t k = 0; k < tb_tensor_bytes(t); k++)
            sum += p[k];
        tb_tensor_unref(&t);
    }
    tb_safetensors_close(&f);
    return sum + 1;
}

/* Damage a file in one of four ways: bits, bytes, a cut end, a digit of the header. */
static size_t damage(char *data, size_t size, uint64_t *state)
{
    const uint64_t kind = next(state) % 4, header = 8 + (uint8_t)data[0];
    const uint64_t within = next(state) % 2 && header < size ? header : size;
    if (kind == 0)
        for (uint64_t n = 1 + next(state) % 4; n; n--)
            data[next(state) % within] ^= (char)(1 << next(state) % 8);
    else if (kind == 1)
        for (uint64_t n = 1 + next(state) % 8; n; n--)
            data[next(state) % within] = (char)next(state);
    else if (kind == 2)
        return next(state) % size;
    else
        for (size_t i = next(state) % within; i < size; i++)
            if (data[i] >= '0' && data[i] <= '9') {
                data[i] = (char)('0' + next(state) % 10);
                break;
            }
    return size;
}

/* TUBELET_FUZZ=50 makes the loops 50 times as long (about a minute here). */
static int fuzz_rounds(int usual)
{
    const char *times = getenv("TUBELET_FUZZ");
    return usual * (times && atoi(times) > 0 ? atoi(times) : 1);
}

TEST(damaged_files_never_crash)
{
    const int rounds = fuzz_rounds(6000);
    tb_err err = TB_ERR_INIT;
    const char *env = getenv("TUBELET_SEED");
    uint64_t state = env ? strtoull(env, NULL, 10) : 20250601, accepted = 0;
    char *path = write_pair("seed.safetensors", "n"), *bad = in_dir("bad.safetensors"),
         *good = NULL;
    size_t size = 0;
    CHECK_OK(tb_fs_read(path, 1 << 20, &good, &size, &err));
    printf("TUBELET_SEED=%llu\n", (unsigned long long)state);
    for (int i = 0; i < rounds; i++) {
        char *data = tb_xcalloc(size, 1);
        memcpy(data, good, size);
        const size_t n = damage(data, size, &state);
        FILE *f = fopen(bad, "wb");
        REQUIRE(f && fwrite(data, 1, n, f) == n && fclose(f) == 0);
        accepted += touch(bad) != 0;
        free(data);
    }
    CHECK(accepted > 100 && accepted + 100 < (uint64_t)rounds); /* both outcomes were exercised */
    free(good);
    free(path);
    free(bad);
    remove_dir();
}

/* ------------------------------------------------------------------------------------- weights */

static void write_text(const char *name, const char *text)
{
    tb_err err = TB_ERR_INIT;
    char *path = in_dir(name);
    CHECK_OK(tb_fs_write(path, text, strlen(text), false, &err));
    free(path);
}

static const char *weights_refusal(const char *name)
{
    static char text[900];
    tb_err err = TB_ERR_INIT;
    char *path = in_dir(name);
    tb_weights *w = tb_weights_open(*name ? path : dir, &err);
    const char *at = strstr(err.message, dir);
    snprintf(text, sizeof text, "%s", w ? "(accepted)" : at ? at + strlen(dir) : err.message);
    tb_weights_close(&w);
    free(path);
    return text;
}

TEST(weights_drop_known_prefixes_and_check_shapes)
{
    tb_err err = TB_ERR_INIT;
    char want[300], *path = write_pair("dit.safetensors", "model.diffusion_model.blocks.0");
    tb_weights *w = tb_weights_open(path, &err);
    REQUIRE(w);
    CHECK(tb_weights_has(w, "blocks.0.a") &&
          !tb_weights_has(w, "model.diffusion_model.blocks.0.a"));
    CHECK(tb_weights_want(w, "blocks.0.a", &TB_SHAPE(2, -1), &err));
    CHECK(tb_weights_want(w, "blocks.0.a", &TB_SHAPE(6), &err));
    CHECK(tb_weights_want(w, "blocks.0.b", &TB_SHAPE(-1), &err));
    CHECK(tb_weights_want(w, "blocks.0.b", &TB_SHAPE(4, 1, 1, 1), &err));
    CHECK_INT(err.status, TB_OK);
    CHECK(!tb_weights_want(w, "blocks.0.a", &TB_SHAPE(3, 2), NULL));
    CHECK(!tb_weights_want(w, "blocks.0.a", &TB_SHAPE(-1, 1, 2), &err));
    snprintf(want, sizeof want,
             "'%s': tensor 'blocks.0.a' must have the shape [any,1,2], it has [2,3]", path);
    CHECK_STR(err.message, want);
    tb_weights_close(&w);
    free(path);
    remove_dir();
}

TEST(shards_are_gathered_by_their_index)
{
    tb_err err = TB_ERR_INIT;
    char *a = write_pair("m-1.safetensors", "p"), *b = write_pair("m-2.safetensors", "q");
    write_text("config.json", "{\"dim\":7}");
    write_text("m.safetensors.index.json",
               "{\"weight_map\":{\"p.a\":\"m-1.safetensors\",\"q.a\":\"m-2.safetensors\"}}");
    tb_weights *w = tb_weights_open(dir, &err);
    REQUIRE(w);
    CHECK_INT(tb_weights_count(w), 4);
    CHECK_INT(tb_weights_file_count(w), 2);
    CHECK_STR(tb_weights_file(w, 0), a);
    CHECK_INT(json_integer_value(json_object_get(tb_weights_config(w), "dim")), 7);
    tb_weights_close(&w);
    CHECK_STR(weights_refusal("m-1.safetensors"), "(accepted)");
    write_text("m.safetensors.index.json", "{\"weight_map\":{\"p.a\":\"../m-1.safetensors\"}}");
    CHECK_STR(weights_refusal(""),
              "/m.safetensors.index.json' must name its shards by plain file names, got "
              "'../m-1.safetensors'");
    write_text("m.safetensors.index.json", "{}");
    CHECK_STR(weights_refusal(""),
              "/m.safetensors.index.json' has no weight_map that names shards");
    free(a);
    free(b);
    remove_dir();
}

TEST(folders_without_one_answer_are_refused)
{
    CHECK_STR(weights_refusal(""),
              "' holds no weights: a .safetensors, .gguf, .pth or .bin file or a *.index.json was "
              "looked for");
    write_text("z.pth", "PK"); /* safetensors come first */
    free(write_pair("b.safetensors", "x"));
    CHECK_STR(weights_refusal(""), "(accepted)");
    free(write_pair("a.safetensors", "x"));
    CHECK_STR(weights_refusal(""),
              "' holds 2 files of weights and no one of them is the usual name; name one of them, "
              "e.g. 'a.safetensors'");
    free(write_pair("model.safetensors", "x"));
    CHECK_STR(weights_refusal(""), "(accepted)");
    write_text("config.json", "[1]");
    CHECK_STR(weights_refusal(""), "/config.json' must be a JSON object");
    remove_dir();
}

TEST(other_containers_are_what_they_begin_with)
{
    write_text("a.pth", "PK");
    write_text("a.gguf", "GGUF");
    CHECK_STR(weights_refusal("a.pth"),
              "/a.pth' is not a PyTorch file: neither a zip file nor a pickle begins there");
    CHECK_STR(weights_refusal("a.gguf"),
              "/a.gguf' is cut short or damaged: its preamble goes beyond its end");
    CHECK(strstr(weights_refusal(""), "' holds 2 files of weights"));
    remove_dir();
    write_text("a.sft", "GGUF");
    CHECK(strstr(weights_refusal(""), "its preamble goes beyond its end"));
    remove_dir();
}

TEST(a_folder_lists_its_weights_without_shards)
{
    static const char *const names[] = {
        "b.safetensors.index.json", "b-1-of-2.safetensors", "a.pth", "readme.md", "c.safetensors",
        "d-00001-of-00002.gguf"
    };
    tb_err err = TB_ERR_INIT;
    char **files = NULL;
    int count = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        write_text(names[i], "{}");
    CHECK_OK(tb_weights_list(dir, &files, &count, &err));
    CHECK_INT(count, 3);
    for (int i = 0; i < count; i++) {
        static const char *const want[] = { "a.pth", "b.safetensors.index.json", "c.safetensors" };
        CHECK_STR(tb_fs_basename(files[i]), i < 3 ? want[i] : "");
        free(files[i]);
    }
    free(files);
    remove_dir();
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(what_was_written_is_read_back),
        TEST_CASE(data_at_odd_offsets_is_readable),
        TEST_CASE(a_missing_name_suggests_the_nearest),
        TEST_CASE(files_that_are_not_there_or_no_files),
        TEST_CASE(preambles_are_checked),
        TEST_CASE(headers_are_checked),
        TEST_CASE(texts_are_put_into_a_file_and_its_tensors_stay),
        TEST_CASE(two_tensors_of_one_name_are_not_written),
        TEST_CASE(damaged_files_never_crash),
        TEST_CASE(weights_drop_known_prefixes_and_check_shapes),
        TEST_CASE(shards_are_gathered_by_their_index),
        TEST_CASE(folders_without_one_answer_are_refused),
        TEST_CASE(other_containers_are_what_they_begin_with),
        TEST_CASE(a_folder_lists_its_weights_without_shards),
    };
    return tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
}
