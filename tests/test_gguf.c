/* test_gguf.c - GGUF files: what is read, and how what is not is refused. */
#include <unistd.h>

#include "containers.h"
#include "formats/weights.h"

static char dir[64], path[96];

static void use_dir(void)
{
    snprintf(dir, sizeof dir, "/tmp/tubelet-test-XXXXXX");
    REQUIRE(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/x.gguf", dir);
}

static void remove_dir(void)
{
    unlink(path);
    CHECK_INT(rmdir(dir), 0);
}

static tb_weights *open_bytes(const tb_str *s, tb_err *err)
{
    write_bytes(path, s->s, s->len);
    return tb_weights_open(path, err);
}

/* The message, the path cut out; "(accepted)" where there is none. */
static const char *refusal_of(const tb_str *s)
{
    static char text[900];
    tb_err err = TB_ERR_INIT;
    tb_weights *w = open_bytes(s, &err);
    const char *at = strstr(err.message, path);
    snprintf(text, sizeof text, "%s",
             w                                                 ? "(accepted)"
             : at == err.message + 1 && err.message[0] == '\'' ? at + strlen(path) + 1
                                                               : err.message);
    tb_weights_close(&w);
    return text;
}

/* --------------------------------------------------------------------------------------- sound */

static const float six[] = { 1, 2, 3, 4, 5, 6 };

TEST(shapes_are_turned_round_and_names_lose_prefixes)
{
    tb_err err = TB_ERR_INIT;
    tb_str s = TB_STR_INIT;
    uint8_t blocks[2 * 18] = { 0 };
    blocks[1] = 0x3c; /* d = 1 */
    blocks[2] = 0x9a; /* element 0: 10 - 8, element 16: 9 - 8 */
    const stored t[] = {
        { "model.diffusion_model.a", TB_SHAPE(2, 3), TB_F32, six, sizeof six, { 0 } },
        { "b.weight", TB_SHAPE(2, 32), TB_Q4_0, blocks, sizeof blocks, TB_SHAPE(16, 4, 1, 1, 1) },
        { "one", { .n = 0 }, TB_F32, six, 4, { 0 } },
        { "five", TB_SHAPE(1, 3, 1, 2, 1), TB_F32, six, sizeof six, { 0 } },
    };
    use_dir();
    gguf_build(&s, "wan", t, 4);
    tb_weights *w = open_bytes(&s, &err);
    REQUIRE(w);
    const tb_tensor *a = tb_weights_want(w, "a", &TB_SHAPE(2, 3), &err);
    CHECK(a && tb_tensor_f32(a)[5] == 6);
    const tb_tensor *b = tb_weights_get(w, "b.weight", &err);
    CHECK(b && tb_shape_eq(tb_tensor_shape(b), &TB_SHAPE(16, 4, 1, 1, 1)));
    CHECK_INT(tb_tensor_dtype(b), TB_Q4_0);
    float x[17];
    tb_tensor_read_f32(b, 0, 17, x);
    CHECK_NEAR(x[0], 2, 0);
    CHECK_NEAR(x[16], 1, 0);
    CHECK_NEAR(x[1], -8, 0);
    CHECK_INT(tb_tensor_count(tb_weights_get(w, "one", &err)), 1);
    CHECK(tb_weights_want(w, "five", &TB_SHAPE(1, 3, 1, 2, 1), &err));
    CHECK_INT(err.status, TB_OK);
    tb_weights_close(&w);
    tb_str_free(&s);
    remove_dir();
}

/* The bytes decide, not the name. */
TEST(a_gguf_file_of_another_name_is_read)
{
    tb_err err = TB_ERR_INIT;
    tb_str s = TB_STR_INIT;
    const stored t = { "a", TB_SHAPE(6), TB_F32, six, sizeof six, { 0 } };
    use_dir();
    snprintf(path, sizeof path, "%s/x.safetensors", dir);
    gguf_build(&s, "wan", &t, 1);
    tb_weights *w = open_bytes(&s, &err);
    CHECK(w && tb_weights_has(w, "a"));
    tb_weights_close(&w);
    tb_str_free(&s);
    remove_dir();
}

/* -------------------------------------------------------------------------------------- broken */

/* Preamble; the caller goes on with keys and infos. */
static tb_str preamble(uint32_t version, uint64_t tensors, uint64_t values)
{
    tb_str s = TB_STR_INIT;
    tb_str_add(&s, "GGUF");
    put_le(&s, version, 4);
    put_le(&s, tensors, 8);
    put_le(&s, values, 8);
    return s;
}

static void check_refused(tb_str *s_take, const char *want)
{
    CHECK_STR(refusal_of(s_take), want);
    tb_str_free(s_take);
}

TEST(preambles_are_checked)
{
    use_dir();
    tb_str s = TB_STR_INIT;
    tb_str_add(&s, "GG");
    check_refused(&s, " is not a GGUF file: it does not begin with the letters GGUF");
    tb_str_add(&s, "GGUF");
    check_refused(&s, " is cut short or damaged: its preamble goes beyond its end");
    s = preamble(1, 0, 0);
    check_refused(&s, " is a GGUF file of version 1; 2 and 3 can be read");
    s = preamble(4, 0, 0);
    check_refused(&s, " is a GGUF file of version 4; 2 and 3 can be read");
    s = preamble(3u << 24, 0, 0);
    check_refused(&s, " is a big-endian GGUF file, which is not supported; take the little-endian "
                      "one");
    s = preamble(2, 0, 0);
    check_refused(&s, "(accepted)");
    s = preamble(3, UINT64_MAX, 0);
    check_refused(&s, " is cut short or damaged: a tensor's name goes beyond its end");
    s = preamble(3, 0, UINT64_MAX);
    check_refused(&s, " is cut short or damaged: a key of its metadata goes beyond its end");
    remove_dir();
}

TEST(metadata_is_checked)
{
    use_dir();
    tb_str s = preamble(3, 0, 1);
    gguf_key(&s, "k", 77);
    check_refused(&s, " is damaged: its metadata has a value of type 77, 0 to 12 are known");
    s = preamble(3, 0, 1);
    gguf_key(&s, "k", GGUF_STRING);
    put_le(&s, UINT64_MAX, 8);
    check_refused(&s, " is cut short or damaged: a text of its metadata goes beyond its end");
    s = preamble(3, 0, 1);
    gguf_key(&s, "k", GGUF_ARRAY);
    put_le(&s, 6, 4);
    put_le(&s, UINT64_MAX / 4 + 2, 8); /* times 4: 4 bytes */
    put_le(&s, 0, 8);
    check_refused(&s, " is cut short or damaged: an array of its metadata goes beyond its end");
    s = preamble(3, 0, 1);
    gguf_key(&s, "k", GGUF_ARRAY);
    for (int i = 0; i < 9; i++) {
        put_le(&s, GGUF_ARRAY, 4);
        put_le(&s, 1, 8);
    }
    check_refused(&s, " is damaged: arrays of its metadata lie in 4 others");
    s = preamble(3, 0, 1);
    put_le(&s, 5000, 8);
    check_refused(&s, " is damaged: a key of its metadata has 5000 bytes, 1 to 1024 are accepted");
    s = preamble(3, 0, 1);
    put_le(&s, 3, 8);
    tb_str_addn(&s, "a\0b", 3);
    check_refused(&s, " is damaged: a key of its metadata holds a zero byte");
    s = preamble(3, 0, 2);
    for (int i = 0; i < 2; i++) {
        gguf_key(&s, "k", GGUF_U32);
        put_le(&s, 0, 4);
    }
    check_refused(&s, " is damaged: its metadata has 'k' twice");
    s = preamble(3, 0, 1);
    gguf_key(&s, "general.alignment", GGUF_U32);
    put_le(&s, 24, 4);
    check_refused(&s, " is damaged: general.alignment must be a power of two of type u32, got 24");
    s = preamble(3, 0, 1);
    gguf_key(&s, "split.count", GGUF_U16);
    put_le(&s, 3, 2);
    check_refused(&s, " is one of 3 parts of a GGUF file; join them first (llama-gguf-split "
                      "--merge)");
    remove_dir();
}

/* One tensor info and `bytes` of data behind it. */
static const char *tensor_refusal(const char *name, const tb_shape *shape, uint32_t type,
                                  uint64_t at, size_t bytes)
{
    tb_str s = preamble(3, 1, 0);
    gguf_info(&s, name, shape, type, at);
    put_pad(&s, 32);
    for (size_t i = 0; i < bytes; i++)
        put_le(&s, 0, 1);
    const char *text = refusal_of(&s);
    tb_str_free(&s);
    return text;
}

TEST(tensors_are_checked)
{
    static const struct {
        tb_shape shape;
        uint32_t type;
        uint64_t at;
        size_t bytes;
        const char *want;
    } cases[] = {
        { { 1, { 8 } }, 0, 0, 32, "(accepted)" },
        { { 1, { 8 } },
          0,
          0,
          31,
          " is cut short: tensor 't' takes 32 bytes from byte 0 of the data, which has 31" },
        { { 1, { 8 } },
          0,
          32,
          32,
          " is cut short: tensor 't' takes 32 bytes from byte 32 of the data, which has 32" },
        { { 1, { 8 } },
          0,
          8,
          64,
          " is damaged: tensor 't' begins at byte 8 of the data, which is no multiple of 32" },
        { { 1, { 8 } },
          0,
          UINT64_MAX - 31,
          64,
          " is cut short: tensor 't' takes 32 bytes from byte 18446744073709551584 of the data, "
          "which has 64" },
        { { 2, { INT64_MAX, 2 } },
          0,
          0,
          64,
          " is damaged: tensor 't' has a shape whose size overflows" },
        { { 2, { 1 << 30, INT64_C(1) << 32 } },
          0,
          0,
          64,
          " is damaged: tensor 't' has a shape whose size overflows" },
        { { 1, { -1 } }, 0, 0, 64, " is damaged: tensor 't' has a shape whose size overflows" },
        { { 2, { 32, 16 } },
          2,
          0,
          288,
          " is damaged: tensor 't' of shape [32,16] and kind Q4_0 has rows that are no whole "
          "blocks of 32" },
        { { 1, { 128 } },
          12,
          0,
          144,
          " is damaged: tensor 't' of shape [128] and kind Q4_K has rows that are no whole blocks "
          "of 256" },
        { { 1, { 256 } },
          16,
          0,
          66,
          ": tensor 't' is of the kind IQ2_XXS (16), which is not supported; take the file in "
          "Q8_0, Q6_K, Q5_K, Q4_K, Q3_K, Q2_K, Q4_0, Q5_0, IQ4_NL, IQ4_XS, F16 or BF16" },
        { { 1, { 256 } },
          4000000000,
          0,
          66,
          ": tensor 't' is of the kind of a newer GGML (4000000000), which is not supported; take "
          "the file in Q8_0, Q6_K, Q5_K, Q4_K, Q3_K, Q2_K, Q4_0, Q5_0, IQ4_NL, IQ4_XS, F16 or "
          "BF16" },
    };
    use_dir();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_STR(tensor_refusal("t", &cases[i].shape, cases[i].type, cases[i].at, cases[i].bytes),
                  cases[i].want);
    CHECK_STR(tensor_refusal("", &TB_SHAPE(8), 0, 0, 32),
              " is damaged: a tensor's name has 0 bytes, 1 to 1024 are accepted");
    tb_str s = preamble(3, 1, 0);
    gguf_text(&s, "t");
    put_le(&s, 9, 4);
    check_refused(&s, " is damaged: tensor 't' has more than 8 dimensions");
    remove_dir();
}

TEST(tensors_that_collide_are_refused)
{
    use_dir();
    tb_str s = preamble(3, 2, 0);
    gguf_info(&s, "a", &TB_SHAPE(16), 0, 0);
    gguf_info(&s, "b", &TB_SHAPE(8), 0, 32);
    put_pad(&s, 32);
    for (int i = 0; i < 64; i++)
        put_le(&s, 0, 1);
    check_refused(&s, " is damaged: tensor 'b' shares bytes with another");
    s = preamble(3, 2, 0);
    gguf_info(&s, "a", &TB_SHAPE(8), 0, 0);
    gguf_info(&s, "a", &TB_SHAPE(8), 0, 32);
    check_refused(&s, " is damaged: tensor 'a' is there twice");
    remove_dir();
}

TEST(an_original_shape_must_be_the_tensors_own)
{
    tb_str s = TB_STR_INIT;
    stored t = { "a", TB_SHAPE(2, 3), TB_F32, six, sizeof six, TB_SHAPE(3, 3) };
    use_dir();
    gguf_build(&s, "wan", &t, 1);
    check_refused(&s, " is damaged: tensor 'a' has an original shape (comfy.gguf.orig_shape....) "
                      "that is not its own");
    t.orig = TB_SHAPE(-2, -3);
    gguf_build(&s, "wan", &t, 1);
    CHECK(strstr(refusal_of(&s), "that is not its own"));
    tb_str_free(&s);
    remove_dir();
}

/* ---------------------------------------------------------------------------------------- fuzz */

TEST(damaged_files_never_crash)
{
    const char *times = getenv("TUBELET_FUZZ"), *env = getenv("TUBELET_SEED");
    const int rounds = 4000 * (times && atoi(times) > 0 ? atoi(times) : 1);
    uint64_t state = env ? strtoull(env, NULL, 10) : 20251123, accepted = 0;
    tb_str s = TB_STR_INIT;
    uint8_t blocks[210] = { 1, 2, 3 };
    const stored t[] = {
        { "a.weight", TB_SHAPE(2, 3), TB_F32, six, sizeof six, { 0 } },
        { "b", TB_SHAPE(256), TB_Q6_K, blocks, sizeof blocks, TB_SHAPE(16, 16) },
        { "c", TB_SHAPE(1, 32), TB_Q8_0, blocks, 34, { 0 } },
    };
    use_dir();
    gguf_build(&s, "wan", t, 3);
    printf("TUBELET_SEED=%llu\n", (unsigned long long)state);
    for (int i = 0; i < rounds; i++) {
        char *data = tb_xcalloc(s.len, 1);
        memcpy(data, s.s, s.len);
        write_bytes(path, data, damage_bytes(data, s.len, &state));
        accepted += read_all(path);
        free(data);
    }
    CHECK(accepted > 100 && accepted + 100 < (uint64_t)rounds);
    tb_str_free(&s);
    remove_dir();
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(shapes_are_turned_round_and_names_lose_prefixes),
        TEST_CASE(a_gguf_file_of_another_name_is_read),
        TEST_CASE(preambles_are_checked),
        TEST_CASE(metadata_is_checked),
        TEST_CASE(tensors_are_checked),
        TEST_CASE(tensors_that_collide_are_refused),
        TEST_CASE(an_original_shape_must_be_the_tensors_own),
        TEST_CASE(damaged_files_never_crash),
    };
    return tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
}
