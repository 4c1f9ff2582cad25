/* test_umt5_golden.c - the text encoder against the original implementation, layer by layer.
 *
 * Wanted: relative error <= 3e-5. Both are f32; only the order of the sums differs (float64 against
 * the reference: 2e-5 of the largest value).
 */
#include "golden.h"
#include "models/umt5.h"

#define TOLERANCE 3e-5

typedef struct mids {
    const tb_safetensors *io;
    int set, seen;
} mids;

static void check_mid(void *ctx, int layer, const float *x)
{
    mids *m = ctx;
    char what[64];
    tb_tensor *want = golden_f32(m->io, "mid.%d.block%d", m->set, layer);
    snprintf(what, sizeof what, "mid.%d.block%d", m->set, layer);
    golden_near(what, x, want, TOLERANCE);
    tb_tensor_unref(&want);
    m->seen++;
}

/* The ids of a set up to the first padding. */
static int64_t read_ids(const tb_safetensors *io, int set, int32_t *ids, int64_t max)
{
    tb_tensor *t = golden_f32(io, "ids.%d", set), *mask = golden_f32(io, "mask.%d", set);
    int64_t n = 0;
    for (; n < tb_tensor_count(t) && n < max && tb_tensor_f32(mask)[n] > 0; n++)
        ids[n] = (int32_t)tb_tensor_f32(t)[n];
    tb_tensor_unref(&t);
    tb_tensor_unref(&mask);
    return n;
}

static void check_set(tb_compute *c, const tb_umt5 *m, const tb_safetensors *io, int set)
{
    tb_err err = TB_ERR_INIT;
    int32_t ids[1024];
    char what[64];
    const int64_t n = read_ids(io, set, ids, 1024);
    mids mid = { .io = io, .set = set };
    tb_tensor *want = golden_f32(io, "out.%d", set);
    tb_tensor *out = tb_tensor_new(TB_F32, tb_tensor_shape(want), &err);
    REQUIRE(out && tb_tensor_dim(want, 0) == n);
    CHECK_OK(tb_umt5_run(m, c, ids, n, tb_tensor_f32_mut(out), NULL, check_mid, &mid, &err));
    CHECK_INT(mid.seen, tb_umt5_config_of(m)->layers);
    snprintf(what, sizeof what, "out.%d", set);
    golden_near(what, tb_tensor_f32(out), want, TOLERANCE);
    tb_tensor_unref(&out);
    tb_tensor_unref(&want);
}

static void check_weights(char letter, const char *tail, size_t resident)
{
    tb_err err = TB_ERR_INIT;
    char *path = golden_path("umt5", letter, tail),
         *io_path = golden_path("umt5", letter, "_io.safetensors");
    tb_safetensors *io = golden_open(io_path);
    tb_compute *c = tb_compute_new(2, &err);
    tb_weights *w = c ? tb_weights_open(path, &err) : NULL;
    tb_umt5 *m = w ? tb_umt5_open_within(c, w, resident, &err) : NULL;
    if (!m)
        fprintf(stderr, "%s\n", err.message);
    REQUIRE(m);
    tb_weights_close(&w);
    CHECK((tb_umt5_bytes(m) > 0) == (resident > 0));
    check_set(c, m, io, 0);
    check_set(c, m, io, 1);
    tb_umt5_close(&m);
    tb_compute_free(&c);
    tb_safetensors_close(&io);
    free(path);
    free(io_path);
}

static void check_all(char letter)
{
    check_weights(letter, "_orig.safetensors", TB_UMT5_RESIDENT);
    check_weights(letter, "_hf.safetensors", TB_UMT5_RESIDENT);
    check_weights(letter, "_hf.safetensors", 0); /* layer by layer */
}

TEST(both_namings_give_the_reference_values)
{
    golden_each("umt5", "_io.safetensors", check_all);
}

static void check_buckets(char letter)
{
    char *path = golden_path("umt5", letter, "_io.safetensors");
    tb_safetensors *io = golden_open(path);
    tb_tensor *rel = golden_f32(io, "bucket.rel"), *out = golden_f32(io, "bucket.out");
    for (int64_t i = 0; i < tb_tensor_count(rel); i++)
        CHECK_INT(tb_umt5_bucket((int64_t)tb_tensor_f32(rel)[i], 32, 128), tb_tensor_f32(out)[i]);
    CHECK(tb_tensor_count(rel) > 100);
    tb_tensor_unref(&rel);
    tb_tensor_unref(&out);
    tb_safetensors_close(&io);
    free(path);
}

TEST(buckets_equal_the_reference)
{
    golden_each("umt5", "_io.safetensors", check_buckets);
}

static void check_refusals(char letter)
{
    tb_err err = TB_ERR_INIT;
    char want[160], *path = golden_path("umt5", letter, "_hf.safetensors");
    tb_compute *c = tb_compute_new(1, &err);
    tb_weights *w = tb_weights_open(path, &err);
    tb_umt5 *m = tb_umt5_open(c, w, &err);
    REQUIRE(m);
    const tb_umt5_config *k = tb_umt5_config_of(m);
    float *out = tb_xcalloc(2 * (size_t)k->dim, sizeof *out);
    const int32_t beyond[] = { 5, (int32_t)k->vocab };
    const size_t mark = tb_scratch_mark(c);
    CHECK_INT(tb_umt5_run(m, c, beyond, 2, out, NULL, NULL, NULL, &err), TB_EINVAL);
    snprintf(want, sizeof want,
             "token %d is outside the text encoder's vocabulary of %d: the tokenizer belongs to "
             "another model",
             beyond[1], beyond[1]);
    CHECK_STR(err.message, want);
    err = TB_ERR_INIT;
    CHECK_INT(tb_umt5_run(m, c, beyond, 0, out, NULL, NULL, NULL, &err), TB_EINVAL);
    CHECK_STR(err.message, "a text of no tokens cannot be encoded");
    err = TB_ERR_INIT;
    atomic_bool cancel = true;
    CHECK_INT(tb_umt5_run(m, c, beyond, 1, out, &cancel, NULL, NULL, &err), TB_ECANCELED);
    CHECK_STR(err.message, "canceled in layer 0 of the text encoder");
    CHECK_INT(tb_scratch_mark(c), mark);
    free(out);
    tb_umt5_close(&m);
    tb_weights_close(&w);
    tb_compute_free(&c);
    free(path);
}

TEST(what_cannot_be_encoded_says_why)
{
    golden_each("umt5", "_io.safetensors", check_refusals);
}

TEST(another_model_is_refused)
{
    tb_err err = TB_ERR_INIT;
    tb_umt5_config k;
    tb_weights *w = tb_weights_open("examples/tiny/transformer", &err);
    REQUIRE(w);
    CHECK_INT(tb_umt5_read_config(w, &k, &err), TB_EFORMAT);
    CHECK_STR(err.message, "'examples/tiny/transformer' is no UMT5 text encoder: it has neither "
                           "token_embedding.weight nor shared.weight with their final norm");
    tb_weights_close(&w);
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(both_namings_give_the_reference_values),
        TEST_CASE(buckets_equal_the_reference),
        TEST_CASE(what_cannot_be_encoded_says_why),
        TEST_CASE(another_model_is_refused),
    };
    return tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
}
