/* test_node_text.c - load_model and text_encode as a graph runs them: values, keys, messages. */
#include <unistd.h>

#include "base/str.h"
#include "golden.h"
#include "tubelet.h"

#define PROMPT "a large red ball bounces on the grass by day"

static char dir[64];

static char *in_dir(const char *name)
{
    if (!*dir) {
        snprintf(dir, sizeof dir, "/tmp/tubelet-test-XXXXXX");
        REQUIRE(mkdtemp(dir));
    }
    return tb_fs_join(dir, name);
}

/* Runs a command of the given words; none holds a quote. */
static void shell(const char *program, const char *a, const char *b)
{
    char *cmd = tb_xasprintf("%s '%s' '%s'", program, a, b);
    CHECK_INT(system(cmd), 0);
    free(cmd);
}

static void remove_dir(void)
{
    shell("rm -r", "--", dir);
    *dir = 0;
}

/* What one run of the graph { m: load_model, e: text_encode } left behind. */
typedef struct outcome {
    tb_status status;
    char text[1200];   /* the error as the user reads it */
    char input[64];    /* and the input it names */
    bool cached;       /* e came from the store */
    tb_tensor *result; /* features, owned */
} outcome;

static void on_event(void *ctx, tb_run *run, const tb_event *ev)
{
    outcome *o = ctx;
    int count = 0;
    if (ev->kind == TB_EV_CACHED && strcmp(ev->node, "e") == 0)
        o->cached = true;
    if (ev->kind != TB_EV_END)
        return;
    o->status = ev->status;
    if (ev->err) {
        tb_err_text(ev->err, NULL, o->text, sizeof o->text);
        snprintf(o->input, sizeof o->input, "%s", ev->err->input);
    }
    tb_value *const *out = tb_run_outputs(run, "e", &count);
    if (out && count == 1 && tb_list_count(out[0]) == 1) {
        const tb_tensor *t = tb_record_tensor(tb_list_at(out[0], 0), "text");
        o->result = t ? tb_tensor_ref(t) : NULL;
    }
}

/* `model`: the inputs of load_model as JSON. The store lies in the scratch folder. */
static outcome encode(const char *model, const char *prompt)
{
    outcome o = { 0 };
    tb_err err = TB_ERR_INIT;
    tb_err_list errors = { 0 };
    char *store = in_dir("store");
    json_t *doc = json_pack(
        "{s:{s:{s:s,s:o},s:{s:s,s:{s:[s,i],s:s}}},s:[s]}", "graph", "m", "class_type", "load_model",
        "inputs", tb_json_parse(model, strlen(model), "inputs", &err), "e", "class_type",
        "text_encode", "inputs", "clip", "m", 1, "text", prompt, "targets", "e");
    REQUIRE(doc);
    tb_engine *engine =
        tb_engine_new(&(tb_engine_options){ .store_path = store, .threads = 2 }, &err);
    REQUIRE(engine);
    const tb_run_options options = { .document = doc, .on_event = on_event, .ctx = &o };
    if (tb_engine_submit(engine, &options, &errors, &err))
        uv_run(tb_engine_loop(engine), UV_RUN_DEFAULT);
    else {
        o.status = err.status;
        tb_err_text(&err, NULL, o.text, sizeof o.text);
        snprintf(o.input, sizeof o.input, "%s", err.input);
    }
    tb_err_list_free(&errors);
    tb_engine_free(&engine);
    json_decref(doc);
    free(store);
    return o;
}

static void clear(outcome *o)
{
    tb_tensor_unref(&o->result);
}

TEST(a_prompt_becomes_the_reference_features)
{
    char *path = tb_xstrdup("tests/golden/tiny_reference.safetensors");
    tb_safetensors *ref = golden_open(path);
    tb_tensor *want = golden_f32(ref, "text");
    outcome o = encode("{}", "  " PROMPT "\n");
    CHECK_STR(o.text, "");
    REQUIRE(o.result);
    const int64_t width = tb_tensor_dim(want, 2);
    CHECK(tb_shape_eq(tb_tensor_shape(o.result), &TB_SHAPE(11, width)));
    CHECK(tb_test_relative(tb_tensor_f32(o.result), tb_tensor_f32(want), 11 * width) <= 3e-5);
    clear(&o);
    tb_tensor_unref(&want);
    tb_safetensors_close(&ref);
    free(path);
    remove_dir();
}

TEST(a_long_prompt_is_cut_to_the_models_length)
{
    outcome o = encode("{}", PROMPT " " PROMPT " " PROMPT " " PROMPT " " PROMPT);
    REQUIRE(o.result);
    CHECK_INT(tb_tensor_dim(o.result, 0), 32);
    clear(&o);
    remove_dir();
}

TEST(a_moved_model_keeps_its_results_and_a_changed_one_loses_them)
{
    outcome o = encode("{}", PROMPT);
    CHECK(!o.cached && o.result);
    clear(&o);
    char *copy = in_dir("moved");
    shell("cp -r", getenv("TUBELET_MODEL"), copy);
    free(copy);
    char *moved = tb_xasprintf("{\"path\":\"%s/moved\"}", dir);
    o = encode(moved, PROMPT);
    CHECK(o.cached && o.result);
    clear(&o);
    o = encode(moved, "another " PROMPT);
    CHECK(!o.cached && o.result);
    clear(&o);
    char *config = in_dir("moved/text_encoder/config.json");
    tb_err err = TB_ERR_INIT;
    CHECK_OK(tb_fs_write(config, "{\"layer_norm_epsilon\":1e-5}", 27, false, &err));
    o = encode(moved, PROMPT);
    CHECK(!o.cached && o.result);
    clear(&o);
    free(config);
    free(moved);
    remove_dir();
}

TEST(parts_can_be_named_one_by_one)
{
    char *model =
        tb_xasprintf("{\"text_encoder\":\"%s/text_encoder\",\"tokenizer\":\"%s/tokenizer\"}",
                     getenv("TUBELET_MODEL"), getenv("TUBELET_MODEL"));
    outcome o = encode(model, PROMPT);
    CHECK_STR(o.text, "");
    CHECK(o.result);
    clear(&o);
    free(model);
    remove_dir();
}

/* The message for these inputs, which names `input`; the folder of the bundled model is written as
 * MODEL. */
static const char *refusal(const char *inputs, const char *input)
{
    static char text[1300];
    const char *tiny = getenv("TUBELET_MODEL");
    outcome o = encode(inputs, "x");
    CHECK(o.status != TB_OK);
    CHECK_STR(o.input, input);
    char *at = strstr(o.text, tiny);
    if (at)
        snprintf(text, sizeof text, "%.*sMODEL%s", (int)(at - o.text), o.text, at + strlen(tiny));
    else
        snprintf(text, sizeof text, "%s", o.text);
    clear(&o);
    return text;
}

TEST(inputs_that_name_no_part_are_refused)
{
    char cwd[512];
    REQUIRE(getcwd(cwd, sizeof cwd));
    char *absent = tb_xasprintf(
        "node 'm': there is no model '%s/absent': neither a folder nor a file of that name", cwd);
    CHECK_STR(refusal("{\"path\":\"absent\"}", "path"), absent);
    CHECK_STR(refusal("{\"transformer\":\"absent\"}", "transformer"), absent);
    CHECK_STR(refusal("{\"transformer\":\"examples/tiny/vae\"}", "transformer"),
              "node 'm': 'examples/tiny/vae' holds no diffusion transformer");
    CHECK_STR(refusal("{\"vae\":\"examples/tiny/transformer\"}", "vae"),
              "node 'm': 'examples/tiny/transformer' holds no VAE");
    CHECK_STR(refusal("{\"text_encoder\":\"examples/tiny/vae\"}", "text_encoder"),
              "node 'm': 'examples/tiny/vae' holds no text encoder");
    CHECK_STR(
        refusal("{\"tokenizer\":\"examples/tiny/vae\"}", "tokenizer"),
        "node 'm': 'MODEL/vae' holds no tokenizer: tokenizer.json or spiece.model was looked for");
    CHECK_STR(
        refusal("{\"vae\":\"examples/tiny/vae\"}", ""),
        "node 'e': the model has no tokenizer: give load_model the path of one as 'tokenizer'");
    CHECK_STR(refusal("{\"path\":\"examples/tiny\",\"transformer\":"
                      "\"tests/golden/dit_t2v_a_orig.safetensors\"}",
                      ""),
              "node 'm': the transformer wants text features of 40 numbers, the text encoder "
              "'MODEL/text_encoder' gives 128: they belong to different models");
    free(absent);
    remove_dir();
}

TEST(another_port_than_clip_is_refused)
{
    outcome o = encode("{}", PROMPT);
    clear(&o);
    tb_err err = TB_ERR_INIT;
    tb_err_list errors = { 0 };
    char text[600];
    json_t *doc = json_pack("{s:{s:{s:s,s:{}},s:{s:s,s:{s:[s,i],s:s}}},s:[s]}", "graph", "m",
                            "class_type", "load_model", "inputs", "e", "class_type", "text_encode",
                            "inputs", "clip", "m", 0, "text", "x", "targets", "e");
    tb_engine *engine = tb_engine_new(&(tb_engine_options){ .no_store = true, .threads = 1 }, &err);
    REQUIRE(engine && doc);
    CHECK(!tb_engine_submit(engine, &(tb_run_options){ .document = doc }, &errors, &err));
    CHECK(strstr(tb_err_text(&err, NULL, text, sizeof text), "CLIP"));
    tb_err_list_free(&errors);
    tb_engine_free(&engine);
    json_decref(doc);
    remove_dir();
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(a_prompt_becomes_the_reference_features),
        TEST_CASE(a_long_prompt_is_cut_to_the_models_length),
        TEST_CASE(a_moved_model_keeps_its_results_and_a_changed_one_loses_them),
        TEST_CASE(parts_can_be_named_one_by_one),
        TEST_CASE(inputs_that_name_no_part_are_refused),
        TEST_CASE(another_port_than_clip_is_refused),
    };
    char *tiny = realpath("examples/tiny", NULL);
    REQUIRE(tiny && setenv("TUBELET_MODEL", tiny, 1) == 0);
    free(tiny);
    return tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
}
