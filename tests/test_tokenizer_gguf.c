/* test_tokenizer_gguf.c - the tokenizer in a GGUF file of a text encoder gives the ids of the
 * SentencePiece model that it was made from. */
#include <unistd.h>

#include "base/json.h"
#include "containers.h"
#include "formats/tokenizer_parts.h"

#define GOLDEN "tests/golden/seed_tok_unigram_tiny_a"
#define KEY(k) "tokenizer.ggml." k

static char dir[64], path[96];

static void use_dir(void)
{
    snprintf(dir, sizeof dir, "/tmp/tubelet-test-XXXXXX");
    REQUIRE(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/t.gguf", dir);
}

static void remove_dir(void)
{
    unlink(path);
    CHECK_INT(rmdir(dir), 0);
}

static tb_tokenizer *open_model(void)
{
    tb_err err = TB_ERR_INIT;
    tb_tokenizer *t = tb_tokenizer_open(GOLDEN ".model", &err);
    REQUIRE(t);
    return t;
}

static void put_array(tb_str *s, const char *key, uint32_t type, uint64_t count)
{
    gguf_key(s, key, GGUF_ARRAY);
    put_le(s, type, 4);
    put_le(s, count, 8);
}

/* SentencePiece's number of a kind; hidden ones are control pieces here. */
static uint64_t type_of(tbi_piece_kind kind)
{
    return kind == TBI_PIECE_NORMAL ? 1
           : kind == TBI_PIECE_USER ? 4
           : kind == TBI_PIECE_BYTE ? 6
                                    : 3;
}

static void put_map(tb_str *s, const tb_tokenizer *t)
{
    for (int i = 0; i < t->step_count; i++) {
        const tbi_charsmap *m = &t->steps[i].map;
        if (t->steps[i].kind != TBI_STEP_CHARSMAP)
            continue;
        put_array(s, KEY("precompiled_charsmap"), 0, 4 + 4 * m->unit_count + m->string_bytes);
        put_le(s, 4 * m->unit_count, 4);
        for (size_t k = 0; k < m->unit_count; k++)
            put_le(s, m->units[k], 4);
        tb_str_addn(s, m->strings, m->string_bytes);
    }
}

/* The metadata that llama.cpp's converter writes for T5. `scores` of them, for lists that are too
 * short. */
static tb_str metadata(const tb_tokenizer *t, const char *model, int scores)
{
    bool map = false;
    tb_str s = TB_STR_INIT;
    for (int i = 0; i < t->step_count; i++)
        map |= t->steps[i].kind == TBI_STEP_CHARSMAP;
    tb_str_add(&s, "GGUF");
    put_le(&s, 3, 4);
    put_le(&s, 0, 8);
    put_le(&s, map ? 7 : 6, 8);
    gguf_key(&s, KEY("model"), GGUF_STRING);
    gguf_text(&s, model);
    put_array(&s, KEY("tokens"), GGUF_STRING, (uint64_t)t->count);
    for (int i = 0; i < t->count; i++)
        gguf_text(&s, t->pieces[i].text);
    put_array(&s, KEY("scores"), 6, (uint64_t)scores);
    for (int i = 0; i < scores; i++) {
        const float score = (float)t->pieces[i].score;
        tb_str_addn(&s, &score, 4);
    }
    put_array(&s, KEY("token_type"), GGUF_I32, (uint64_t)t->count);
    for (int i = 0; i < t->count; i++)
        put_le(&s, type_of(t->pieces[i].kind), 4);
    gguf_key(&s, KEY("unknown_token_id"), GGUF_U32);
    put_le(&s, (uint64_t)t->unknown, 4);
    gguf_key(&s, KEY("eos_token_id"), GGUF_U32);
    put_le(&s, (uint64_t)t->tail[0], 4);
    put_map(&s, t);
    return s;
}

static void write_from(const char *model, int scores)
{
    tb_tokenizer *t = open_model();
    tb_str s = metadata(t, model, scores < 0 ? t->count : scores);
    write_bytes(path, s.s, s.len);
    tb_str_free(&s);
    tb_tokenizer_close(&t);
}

TEST(it_gives_the_reference_ids)
{
    tb_err err = TB_ERR_INIT;
    use_dir();
    write_from("t5", -1);
    CHECK(tb_tokenizer_carried(path));
    tb_tokenizer *t = tb_tokenizer_open(path, &err);
    if (!t)
        fprintf(stderr, "%s\n", err.message);
    REQUIRE(t);
    json_t *root = tb_json_load(GOLDEN ".cases.json", 1 << 20, &err), *c;
    size_t i;
    json_array_foreach(json_object_get(root, "cases"), i, c)
    {
        const json_t *want = json_object_get(c, "ids");
        int32_t *ids = NULL;
        int64_t n = 0;
        CHECK_OK(tb_tokenizer_encode(t, json_string_value(json_object_get(c, "text")), 0, &ids, &n,
                                     &err));
        CHECK_INT(n, json_array_size(want));
        for (int64_t k = 0; k < n && k < (int64_t)json_array_size(want); k++)
            CHECK_INT(ids[k], json_integer_value(json_array_get(want, (size_t)k)));
        free(ids);
    }
    CHECK(i > 5);
    json_decref(root);
    tb_tokenizer_close(&t);
    remove_dir();
}

static const char *refusal(void)
{
    static tb_err err;
    tb_err_clear(&err);
    tb_tokenizer *t = tb_tokenizer_open(path, &err);
    const char *text = t ? "(accepted)" : err.message + strlen(path) + 2;
    tb_tokenizer_close(&t);
    return text;
}

TEST(what_is_no_tokenizer_of_t5_says_so)
{
    use_dir();
    write_from("llama", -1);
    CHECK_STR(refusal(), " carries a 'llama' tokenizer; one of the kind 't5' is needed");
    write_from("t5", 3);
    CHECK_STR(refusal(), " carries no whole tokenizer: its list of scores is missing or of another "
                         "length; give load_model a tokenizer.json or spiece.model as 'tokenizer'");
    tb_str s = TB_STR_INIT;
    gguf_build(&s, "wan", NULL, 0);
    write_bytes(path, s.s, s.len);
    CHECK(!tb_tokenizer_carried(path));
    CHECK_STR(refusal(), " carries no tokenizer; one of the kind 't5' is needed");
    tb_str_free(&s);
    remove_dir();
}

TEST(damaged_metadata_never_crashes)
{
    const char *env = getenv("TUBELET_SEED");
    uint64_t state = env ? strtoull(env, NULL, 10) : 20251123;
    tb_err err = TB_ERR_INIT;
    char *good = NULL;
    size_t size = 0;
    use_dir();
    write_from("t5", -1);
    CHECK_OK(tb_fs_read(path, 16 << 20, &good, &size, &err));
    printf("TUBELET_SEED=%llu\n", (unsigned long long)state);
    for (int i = 0; i < 100; i++) {
        char *data = tb_xcalloc(size, 1);
        memcpy(data, good, size);
        write_bytes(path, data, damage_bytes(data, size, &state));
        refusal();
        free(data);
    }
    free(good);
    remove_dir();
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(it_gives_the_reference_ids),
        TEST_CASE(what_is_no_tokenizer_of_t5_says_so),
        TEST_CASE(damaged_metadata_never_crashes),
    };
    return tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
}
