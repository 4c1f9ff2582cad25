/* test_graph_fuzz.c - damaged documents: read, checked and keyed, or refused, never a crash.
 *
 * TUBELET_SEED repeats a run, TUBELET_FUZZ multiplies the rounds.
 */
#include <time.h>

#include "base/fs.h"
#include "base/mem.h"
#include "graph/program.h"
#include "test.h"

static uint64_t state;

static uint64_t draw(uint64_t below)
{
    state =
        state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407); /* Knuth's MMIX */
    return (state >> 33) % below;
}

static const char document[] =
    "{\"m\":{\"class_type\":\"load_model\",\"inputs\":{\"path\":\"\"}},"
    "\"n\":{\"class_type\":\"noise_init\",\"inputs\":{\"model\":[\"m\",0],\"size\":\"64x64\","
    "\"seed\":7}},"
    "\"p\":{\"class_type\":\"text_encode\",\"inputs\":{\"clip\":[\"m\",1],\"text\":\"a red "
    "ball\"}},"
    "\"s\":{\"class_type\":\"schedule\",\"inputs\":{\"model\":[\"m\",0],\"steps\":4,\"shift\":3.0}}"
    ","
    "\"d\":{\"class_type\":\"dit_step\",\"inputs\":{\"model\":[\"m\",0],\"latent\":[\"n\",0],"
    "\"conditioning\":[\"p\",0],\"sigmas\":[\"s\",0],\"step\":0}},"
    "\"x\":{\"class_type\":\"sampler_step\",\"inputs\":{\"latent\":[\"n\",0],\"velocity\":[\"d\",0]"
    ","
    "\"sigmas\":[\"s\",0],\"step\":0},\"_meta\":{\"origin\":\"g.lua:9\",\"mode\":\"run\"}},"
    "\"v\":{\"class_type\":\"vae_decode\",\"inputs\":{\"vae\":[\"m\",2],\"latent\":[\"x\",0]}},"
    "\"o\":{\"class_type\":\"mux\",\"inputs\":{\"video\":[\"v\",0],\"path\":\"o.mp4\",\"fps\":8}}}";

/* Values that sit badly anywhere. */
static const char *const odd[] = {
    "null",
    "[]",
    "{}",
    "-1",
    "1e999",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551616",
    "[\"n\",0]",
    "[\"n\",-1]",
    "[\"n\",4294967296]",
    "[\"x\",0]",
    "[\"\",0]",
    "[[[[]]]]",
    "{\"__value__\":[1,{}]}",
    "{\"$tensor\":1}",
    "{\"$record\":[[1]]}",
    "{\"$float\":\"x\"}",
    "\"mute\"",
    "\"bypass\"",
    "true",
    "\"\\u0000\"",
};

/* Text with a few bytes or values replaced. Freed by free(). */
static char *damage(size_t *n)
{
    char *text = tb_xcalloc(sizeof document + 400, 1);
    memcpy(text, document, sizeof document);
    *n = sizeof document - 1;
    for (uint64_t hits = 1 + draw(5); hits; hits--) {
        const size_t at = draw(*n);
        const char *with = odd[draw(sizeof odd / sizeof *odd)];
        const char *end = strpbrk(text + at, ",}]");
        switch (draw(3)) {
        case 0: text[at] = (char)draw(256); break;
        case 1: text[at] = "{}[]\",:0"[draw(8)]; break;
        default: { /* from `at` to the next delimiter */
            const size_t old = end ? (size_t)(end - text) - at : 0, k = strlen(with);
            memmove(text + at + k, text + at + old, *n - at - old + 1);
            memcpy(text + at, with, k);
            *n += k - old;
        }
        }
    }
    return text;
}

static int compile(const json_t *j)
{
    tb_err err = TB_ERR_INIT;
    tb_err_list errors = { 0 };
    tb_types *types = tb_types_new();
    tb_graph *g = tb_graph_new();
    const tb_status st = tb_graph_read(g, j, &err);
    tb_program *p = tb_program_new(g, types);
    int sound = 0;
    if (st != TB_OK)
        CHECK(*err.message);
    else if (tb_program_check(p, &errors) == 0)
        sound = tb_program_keys(p, &(tb_numeric){ "c", "l" }, NULL, NULL, &err) == TB_OK;
    for (int i = 0; i < errors.count; i++)
        CHECK(*errors.items[i].message && !strpbrk(errors.items[i].message, "\n"));
    tb_err_list_free(&errors);
    tb_program_free(&p);
    tb_types_free(&types);
    return sound;
}

TEST(damaged_documents_are_refused_or_sound)
{
    const char *seed = getenv("TUBELET_SEED"), *times = getenv("TUBELET_FUZZ");
    const int rounds = 3000 * (times ? atoi(times) : 1);
    int parsed = 0, sound = 0;
    state = seed ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);
    printf("TUBELET_SEED=%llu\n", (unsigned long long)state);
    for (int i = 0; i < rounds; i++) {
        size_t n;
        tb_err err = TB_ERR_INIT;
        char *text = damage(&n);
        json_t *j = tb_json_parse(text, n, "the document", &err);
        if (j) {
            parsed++;
            sound += compile(j);
        } else {
            CHECK(strstr(err.message, "the document is not valid JSON"));
        }
        json_decref(j);
        free(text);
    }
    CHECK(parsed > rounds / 20 && sound > 0 && sound < parsed);
}

TEST(the_undamaged_document_is_sound)
{
    tb_err err = TB_ERR_INIT;
    json_t *j = tb_json_parse(document, sizeof document - 1, "the document", &err);
    REQUIRE(j);
    CHECK_INT(compile(j), 1);
    json_decref(j);
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(damaged_documents_are_refused_or_sound),
        TEST_CASE(the_undamaged_document_is_sound),
    };
    return tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
}
