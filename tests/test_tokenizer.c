/* test_tokenizer.c - ids of both file forms against SentencePiece's, the bundled tokenizer, what is
 * refused. */
#include <unistd.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "formats/tokenizer.h"
#include "formats/tokenizer_utf8.h"
#include "test.h"

#define BUNDLED "examples/tiny/tokenizer"

static char *golden(const char *name)
{
    const char *dir = getenv("TUBELET_GOLDEN");
    return tb_fs_join(dir && *dir ? dir : "tests/golden", name);
}

static tb_tokenizer *open_golden(const char *name)
{
    tb_err err = TB_ERR_INIT;
    char *path = golden(name);
    tb_tokenizer *t = tb_tokenizer_open(path, &err);
    if (!t)
        fprintf(stderr, "%s\n", err.message);
    REQUIRE(t);
    free(path);
    return t;
}

/* The ids of a text as "4 20 1". */
static char *ids_text(const tb_tokenizer *t, const char *text, int64_t max)
{
    tb_err err = TB_ERR_INIT;
    int32_t *ids = NULL;
    int64_t n = 0;
    tb_str b = TB_STR_INIT;
    CHECK_OK(tb_tokenizer_encode(t, text, max, &ids, &n, &err));
    for (int64_t i = 0; i < n; i++)
        tb_str_addf(&b, i ? " %d" : "%d", (int)ids[i]);
    free(ids);
    return tb_str_take(&b);
}

/* The pieces of a text, joined by '|'. */
static char *pieces_text(const tb_tokenizer *t, const char *text)
{
    tb_err err = TB_ERR_INIT;
    int32_t *ids = NULL;
    int64_t n = 0;
    tb_str b = TB_STR_INIT;
    CHECK_OK(tb_tokenizer_encode(t, text, 0, &ids, &n, &err));
    for (int64_t i = 0; i < n; i++)
        tb_str_addf(&b, i ? "|%s" : "%s", tb_tokenizer_piece(t, ids[i]));
    free(ids);
    return tb_str_take(&b);
}

#define CHECK_TEXT(call, want) \
    do {                       \
        char *got_ = (call);   \
        CHECK_STR(got_, want); \
        free(got_);            \
    } while (0)

static void check_cases(const char *tokenizer)
{
    tb_err err = TB_ERR_INIT;
    tb_tokenizer *t = open_golden(tokenizer);
    char *path = golden("seed_tok_unigram_tiny_a.cases.json");
    json_t *root = tb_json_load(path, 1 << 20, &err), *c;
    REQUIRE(root);
    size_t i;
    json_array_foreach(json_object_get(root, "cases"), i, c)
    {
        const json_t *ids = json_object_get(c, "ids");
        tb_str want = TB_STR_INIT;
        for (size_t k = 0; k < json_array_size(ids); k++)
            tb_str_addf(&want, k ? " %d" : "%d", (int)json_integer_value(json_array_get(ids, k)));
        CHECK_TEXT(ids_text(t, json_string_value(json_object_get(c, "text")), 0), want.s);
        tb_str_free(&want);
    }
    CHECK_INT(i, 10);
    json_decref(root);
    free(path);
    tb_tokenizer_close(&t);
}

TEST(tokenizer_json_gives_the_reference_ids)
{
    check_cases("seed_tok_unigram_tiny_a.tokenizer.json");
}

TEST(sentencepiece_model_gives_the_reference_ids)
{
    check_cases("seed_tok_unigram_tiny_a.model");
}

TEST(truncation_keeps_the_end_token)
{
    tb_err err = TB_ERR_INIT;
    int32_t *ids = NULL;
    int64_t n = 0;
    tb_tokenizer *t = open_golden("seed_tok_unigram_tiny_a.tokenizer.json");
    CHECK_TEXT(ids_text(t, "the cat watches a train", 4), "3 38 73 1");
    CHECK_TEXT(ids_text(t, "the cat watches a train", 1), "1");
    CHECK_TEXT(ids_text(t, "the cat", 3), "3 38 1");
    tb_tokenizer_close(&t);
    t = tb_tokenizer_open(BUNDLED, &err);
    REQUIRE(t);
    CHECK_INT(tb_tokenizer_size(t), 157);
    CHECK(!tb_tokenizer_piece(t, 157) && !tb_tokenizer_piece(t, -1));
    CHECK_OK(tb_tokenizer_encode(t, "a", 1, &ids, &n, &err));
    CHECK_INT(n, 1);
    free(ids);
    tb_tokenizer_close(&t);
}

TEST(special_tokens_in_a_text_are_found_first)
{
    tb_tokenizer *t = open_golden("seed_tok_unigram_tiny_a.tokenizer.json");
    CHECK_TEXT(pieces_text(t, "the</s>cat"),
               "▁the|</s>|c|a|t|</s>"); /* scheme "first": no second mark */
    CHECK_TEXT(pieces_text(t, "<pad>"), "<pad>|</s>");
    tb_tokenizer_close(&t);
    t = open_golden("seed_tok_unigram_tiny_a.model");
    CHECK_TEXT(pieces_text(t, "</s>"), "▁|<unk>|s|<unk>|</s>"); /* plain text to SentencePiece */
    tb_tokenizer_close(&t);
}

TEST(invalid_bytes_are_unknown_characters)
{
    tb_tokenizer *t = open_golden("seed_tok_unigram_tiny_a.tokenizer.json");
    CHECK_TEXT(pieces_text(t, "the\xff\xc0\xaf\xed\xa0\x80 cat"), "▁the|<unk>|▁cat|</s>");
    tb_tokenizer_close(&t);
}

/* Wanted values: train/text.py of the bundled model's recipe. */
TEST(bundled_tokenizer_reads_captions_as_in_training)
{
    tb_err err = TB_ERR_INIT;
    tb_tokenizer *t = tb_tokenizer_open(BUNDLED, &err);
    REQUIRE(t);
    CHECK_TEXT(
        pieces_text(t, "A large red ball bounces on the grass by day, the camera is still"),
        "▁a|▁large|▁red|▁ball|▁bounces|▁on|▁the|▁grass|▁by|▁day|,|▁the|▁camera|▁is|▁still|</s>");
    CHECK_TEXT(pieces_text(t, ""), "</s>");
    CHECK_TEXT(pieces_text(t, "xyz"), "▁|x|y|z|</s>");
    CHECK_TEXT(pieces_text(t, "\u00c9t\u00c9"), "▁|<unk>|t|<unk>|</s>");
    tb_tokenizer_close(&t);
}

/* -------------------------------------------------------------------------------- small files */

/* A tokenizer.json with these parts and the pieces ▁ a b ▁a ab <0xC3> <0xA9>, <unk> = 0. */
static tb_tokenizer *made(const char *normalizer, const char *pre, const char *extra, tb_err *err)
{
    char dir[] = "/tmp/tubelet-test-XXXXXX";
    REQUIRE(mkdtemp(dir));
    char *path = tb_fs_join(dir, "tokenizer.json");
    char *text =
        tb_xasprintf("{\"normalizer\":%s,\"pre_tokenizer\":%s,\"model\":{\"unk_id\":0,\"vocab\":"
                     "[[\"<unk>\",0],[\"▁\",-1],[\"a\",-2],[\"b\",-2],[\"▁a\",-1],[\"ab\",-1],"
                     "[\"<0xC3>\",-9],[\"<0xA9>\",-9]]%s}}",
                     normalizer, pre, extra);
    REQUIRE(tb_fs_write(path, text, strlen(text), false, err) == TB_OK);
    tb_tokenizer *t = tb_tokenizer_open(dir, err);
    unlink(path);
    rmdir(dir);
    free(path);
    free(text);
    return t;
}

#define META "{\"type\":\"Metaspace\",\"replacement\":\"▁\""

TEST(parts_of_a_tokenizer_do_what_they_say)
{
    static const struct {
        const char *normalizer, *pre, *extra, *text, *want;
    } cases[] = {
        { "null", "null", "", "ab a", "ab|<unk>|a" },
        { "null", META "}", "", "a ab", "▁a|▁|ab" },
        { "null", META ",\"add_prefix_space\":false}", "", "a a", "a|▁a" },
        { "null", META ",\"prepend_scheme\":\"never\"}", "", "ab", "ab" },
        { "null", META "}", "", " a  b ", "▁a|▁|▁|b|▁" },
        { "null",
          "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"WhitespaceSplit\"}," META "}]}",
          "", " a\u3000ab\t", "▁a|▁|ab" },
        { "{\"type\":\"Lowercase\"}", META "}", "", "AB\u0130", "▁|ab|<unk>" },
        { "{\"type\":\"Strip\",\"strip_left\":true,\"strip_right\":true}", "null", "",
          "\u00a0 ab \n", "ab" },
        { "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"\\\\s+\"},\"content\":\"b\"}", "null", "",
          "a \t\u2003a", "ab|a" },
        { "{\"type\":\"Replace\",\"pattern\":{\"String\":\"xx\"},\"content\":\"ab\"}", "null", "",
          "xxxxa", "ab|ab|a" },
        { "{\"type\":\"Prepend\",\"prepend\":\"a\"}", "null", "", "b", "ab" },
        { "{\"type\":\"Sequence\",\"normalizers\":[]}", "null", "", "\u00e9", "<unk>" },
        { "null", "null", ",\"byte_fallback\":true", "a\u00e9", "a|<0xC3>|<0xA9>" },
        { "null", "null", ",\"byte_fallback\":true", "\u00e8", "<unk>" },
        { "null", "null", "", "\u00e9\u00e8b", "<unk>|b" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tb_err err = TB_ERR_INIT;
        tb_tokenizer *t = made(cases[i].normalizer, cases[i].pre, cases[i].extra, &err);
        CHECK_STR(err.message, "");
        REQUIRE(t);
        CHECK_TEXT(pieces_text(t, cases[i].text), cases[i].want);
        tb_tokenizer_close(&t);
    }
}

/* The message a tokenizer.json of this text is refused with; the file's name is cut off. */
static const char *refusal(const char *text, size_t n)
{
    static char message[800];
    tb_err err = TB_ERR_INIT;
    char path[] = "/tmp/tubelet-test-XXXXXX";
    const int fd = mkstemp(path);
    REQUIRE(fd >= 0 && write(fd, text, n) == (ssize_t)n);
    close(fd);
    tb_tokenizer *t = tb_tokenizer_open(path, &err);
    unlink(path);
    const char *at = strstr(err.message, path);
    snprintf(message, sizeof message, "%s",
             t    ? "(accepted)"
             : at ? at + strlen(path) + 1
                  : err.message);
    tb_tokenizer_close(&t);
    return message;
}

#define VOCAB "\"vocab\":[[\"<unk>\",0],[\"a\",-1]]"

TEST(damaged_or_foreign_files_are_refused)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        { "{\"model\":{\"type\":\"BPE\",\"vocab\":{},\"merges\":[]}}",
          ": tokenizer model BPE is not supported; a Unigram model is needed" },
        { "{\"model\":{\"vocab\":{},\"merges\":[]}}",
          ": tokenizer model BPE is not supported; a Unigram model is needed" },
        { "{}", " is damaged: its model cannot be read" },
        { "{\"model\":{\"vocab\":[]}}", " is damaged: unk_id is not the id of a piece" },
        { "{\"model\":{\"vocab\":[[\"a\"]]}}",
          " is damaged: entry 0 of the vocabulary is not [piece, score]" },
        { "{\"model\":{\"unk_id\":2," VOCAB "}}", " is damaged: unk_id is not the id of a piece" },
        { "{\"normalizer\":{\"type\":\"NFC\"},\"model\":{\"unk_id\":0," VOCAB "}}",
          ": the normalizer 'NFC' is not supported" },
        { "{\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"a+\"}},\"model\":{\"unk_"
          "id\":0," VOCAB "}}",
          ": the normalizer Replace with the pattern 'a+' is not supported" },
        { "{\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"AAAA\"},\"model\":{"
          "\"unk_id\":0," VOCAB "}}",
          " is damaged: its character map has no valid trie" },
        { "{\"pre_tokenizer\":{\"type\":\"ByteLevel\"},\"model\":{\"unk_id\":0," VOCAB "}}",
          ": the pre_tokenizer 'ByteLevel' is not supported" },
        { "{\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{"
          "\"id\":\"x\"}}]},"
          "\"model\":{\"unk_id\":0," VOCAB "}}",
          " is damaged: the post_processor names no ids of 'x'" },
        { "{\"added_tokens\":[{\"id\":-1,\"content\":\"x\"}],\"model\":{\"unk_id\":0," VOCAB "}}",
          " is damaged: its list of added_tokens cannot be read" },
        { "hello", " is not a SentencePiece model: its list of pieces cannot be read" },
        { "", " is not a SentencePiece model: its list of pieces cannot be read" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_STR(refusal(cases[i].text, strlen(cases[i].text)), cases[i].want);
    tb_err err = TB_ERR_INIT;
    CHECK(!tb_tokenizer_open("tests", &err));
    CHECK_STR(err.message,
              "'tests' holds no tokenizer: tokenizer.json or spiece.model was looked for");
}

static uint64_t next(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

/* Damage that keeps most of the file: what still opens must still cut a text without a crash. */
static void fuzz(const char *name, int rounds, uint64_t state)
{
    tb_err err = TB_ERR_INIT;
    char *path = golden(name), *good = NULL, bad[] = "/tmp/tubelet-test-XXXXXX";
    size_t size = 0;
    CHECK_OK(tb_fs_read(path, 1 << 20, &good, &size, &err));
    const int fd = mkstemp(bad);
    REQUIRE(fd >= 0);
    for (int i = 0; i < rounds; i++) {
        char *data = tb_xcalloc(size, 1);
        memcpy(data, good, size);
        for (uint64_t k = 1 + next(&state) % 6; k; k--)
            data[next(&state) % (k % 2 ? 6000 : size)] = (char)next(&state);
        const size_t n = i % 8 ? size : next(&state) % size;
        REQUIRE(ftruncate(fd, 0) == 0 && pwrite(fd, data, n, 0) == (ssize_t)n);
        free(data);
        err = TB_ERR_INIT;
        tb_tokenizer *t = tb_tokenizer_open(bad, &err);
        CHECK(t || *err.message);
        if (t)
            free(ids_text(t, "Blue \ufb02ag \xff the cat\u0301 <pad> zebra  42", 0));
        tb_tokenizer_close(&t);
    }
    close(fd);
    unlink(bad);
    free(good);
    free(path);
}

TEST(damaged_tokenizers_never_crash)
{
    const char *env = getenv("TUBELET_SEED");
    const uint64_t seed = env ? strtoull(env, NULL, 10) : 20250602;
    const char *times = getenv("TUBELET_FUZZ"); /* makes the loops so many times as long */
    const int n = times && atoi(times) > 0 ? atoi(times) : 1;
    printf("TUBELET_SEED=%llu\n", (unsigned long long)seed);
    fuzz("seed_tok_unigram_tiny_a.model", 1000 * n, seed);
    fuzz("seed_tok_unigram_tiny_a.tokenizer.json", 150 * n, seed);
}

TEST(utf8_is_decoded_strictly)
{
    uint32_t c = 0;
    char out[4];
    CHECK_INT(tb_utf8_decode("\xf0\x9f\x99\x82", 4, &c), 4);
    CHECK_INT(c, 0x1f642);
    CHECK_INT(tb_utf8_decode("\xf0\x9f\x99\x82", 3, &c), 0);
    CHECK_INT(tb_utf8_decode("\xe0\x80\xaf", 3, &c), 0);
    CHECK_INT(tb_utf8_decode("\xf4\x90\x80\x80", 4, &c), 0);
    for (uint32_t v = 1; v < 0x110000; v += 97) {
        if (v >= 0xd800 && v < 0xe000)
            continue;
        const int n = tb_utf8_encode(v, out);
        CHECK_INT(tb_utf8_decode(out, (size_t)n, &c), n);
        CHECK_INT(c, v);
    }
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(tokenizer_json_gives_the_reference_ids),
        TEST_CASE(sentencepiece_model_gives_the_reference_ids),
        TEST_CASE(truncation_keeps_the_end_token),
        TEST_CASE(special_tokens_in_a_text_are_found_first),
        TEST_CASE(invalid_bytes_are_unknown_characters),
        TEST_CASE(bundled_tokenizer_reads_captions_as_in_training),
        TEST_CASE(parts_of_a_tokenizer_do_what_they_say),
        TEST_CASE(damaged_or_foreign_files_are_refused),
        TEST_CASE(damaged_tokenizers_never_crash),
        TEST_CASE(utf8_is_decoded_strictly),
    };
    return tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
}
