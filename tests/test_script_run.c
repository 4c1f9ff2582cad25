/* test_script_run.c - nodes written in Lua: values cross both ways, tensors by shared memory. */
#include "test.h"

#include <pthread.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "script/script.h"

static tb_script *load(void)
{
    tb_err err = TB_ERR_INIT;
    tb_script *s = tb_script_start(&err);
    REQUIRE(s);
    json_t *answer = tb_script_load(s, "tests/lua/nodes.lua", &err);
    if (!answer)
        fprintf(stderr, "%s: %s\n", err.origin, err.message);
    REQUIRE(answer);
    json_decref(answer);
    return s;
}

static tb_value *tensor23(void)
{
    tb_tensor *t = tb_tensor_new(TB_F32, &TB_SHAPE(2, 3), NULL);
    for (int i = 0; i < 6; i++)
        tb_tensor_f32_mut(t)[i] = (float)(i + 1);
    return tb_value_tensor_take(t);
}

static tb_value *record1(const char *name, tb_value *v)
{
    tb_value *r = tb_value_record();
    tb_record_set_take(r, name, v);
    return r;
}

/* Runs and consumes the inputs. */
static tb_status run(tb_script *s, const char *type, tb_value *inputs, tb_value **outputs,
                     int count, tb_err *err)
{
    const tb_status st = tb_script_run_node(s, type, inputs, outputs, count, NULL, err);
    tb_value_unref(&inputs);
    return st;
}

TEST(records_and_tensors_cross)
{
    tb_err err = TB_ERR_INIT;
    tb_script *s = load();
    tb_value *latent = record1("samples", tensor23()), *out[2];
    tb_record_set_take(latent, "seed", tb_value_int(5));
    tb_value *inputs = record1("latent", latent);
    tb_record_set_take(inputs, "gain", tb_value_float(1.5));
    CHECK_OK(run(s, "arithmetic", inputs, out, 2, &err));
    REQUIRE(out[0] && out[1]);
    const tb_tensor *t = tb_record_tensor(out[0], "samples");
    REQUIRE(t && tb_shape_eq(tb_tensor_shape(t), &TB_SHAPE(2, 3)));
    for (int i = 0; i < 6; i++)
        CHECK_NEAR(tb_tensor_f32(t)[i], 3 * (i + 1) - 1, 0);
    CHECK_INT(tb_value_kind(tb_record_get(out[0], "seed")), TB_INT);
    CHECK_STR(tb_value_as_string(tb_record_get(out[0], "state")), "partial");
    CHECK_NEAR(tb_value_as_float(out[1]), 9.5, 1e-6);
    tb_value_unref(&out[0]);
    tb_value_unref(&out[1]);
    tb_script_stop(&s);
}

TEST(slices_joins_and_statistics)
{
    tb_err err = TB_ERR_INIT;
    tb_script *s = load();
    tb_value *out[3];
    CHECK_OK(run(s, "shapes", record1("t", tensor23()), out, 3, &err));
    REQUIRE(out[0] && out[1] && out[2]);
    static const float cut[] = { 2, 3, 5, 6 }, joined[] = { 1, 2, 3, 2, 3, 4, 5, 6, 5, 6 };
    CHECK(tb_shape_eq(tb_tensor_shape(tb_value_as_tensor(out[0])), &TB_SHAPE(2, 2)));
    CHECK(memcmp(tb_tensor_f32(tb_value_as_tensor(out[0])), cut, sizeof cut) == 0);
    CHECK(memcmp(tb_tensor_f32(tb_value_as_tensor(out[1])), joined, sizeof joined) == 0);
    CHECK_STR(tb_value_as_string(out[2]), "2x5 min 1 max 6 std 1.7078");
    for (int i = 0; i < 3; i++)
        tb_value_unref(&out[i]);
    tb_script_stop(&s);
}

static void check_echo(tb_script *s, tb_value *v)
{
    tb_err err = TB_ERR_INIT;
    tb_value *out = NULL;
    json_t *want = tb_value_to_json(v, NULL, NULL, NULL);
    CHECK_OK(run(s, "echo", record1("v", v), &out, 1, &err));
    json_t *got = out ? tb_value_to_json(out, NULL, NULL, NULL) : NULL;
    CHECK(got && json_equal(got, want));
    json_decref(want);
    json_decref(got);
    tb_value_unref(&out);
}

TEST(scalars_keep_their_kind)
{
    tb_script *s = load();
    check_echo(s, tb_value_int(5));
    check_echo(s, tb_value_int(INT64_MIN));
    check_echo(s, tb_value_float(5));
    check_echo(s, tb_value_float(INFINITY));
    check_echo(s, tb_value_bool(false));
    check_echo(s, tb_value_string("text"));
    tb_value *list = tb_value_list();
    tb_list_append_take(list, tb_value_int(1));
    tb_list_append_take(list, record1("a", tb_value_string("b")));
    check_echo(s, list);
    tb_script_stop(&s);
}

static void check_failure(tb_script *s, const char *type, int count, const char *want)
{
    tb_err err = TB_ERR_INIT;
    tb_value *out[2];
    char got[1200];
    CHECK(run(s, type, record1("v", tensor23()), out, count, &err) != TB_OK);
    CHECK_STR(tb_err_text(&err, NULL, got, sizeof got), want);
    CHECK(!out[0]);
}

TEST(failures_name_the_line)
{
    tb_script *s = load();
    check_failure(s, "wrong", 1,
                  "tests/lua/nodes.lua:27: tensors of shape [2,3] and [7] cannot be combined");
    check_failure(s, "few", 2,
                  "tests/lua/nodes.lua:30: run of 'few' must return its 2 outputs, got 1 values");
    check_failure(s, "function_out", 1,
                  "tests/lua/nodes.lua:37: output 'v': a node cannot give a function");
    check_failure(s, "unheard_of", 1,
                  "no node 'unheard_of' is defined in Lua here; load the file that defines it");
    check_echo(s, tb_value_int(1));
    tb_script_stop(&s);
}

static void *raise_after_100_ms(void *flag)
{
    usleep(100000);
    atomic_store((atomic_bool *)flag, true);
    return NULL;
}

/* The child is killed; the next call has a new one that knows the same nodes. */
TEST(cancel_stops_a_node_at_once)
{
    tb_err err = TB_ERR_INIT;
    tb_script *s = load();
    tb_value *out = NULL, *inputs = tb_value_record();
    atomic_bool cancel = false;
    pthread_t t;
    REQUIRE(pthread_create(&t, NULL, raise_after_100_ms, &cancel) == 0);
    const double start = tb_clock_seconds();
    CHECK_INT(tb_script_run_node(s, "forever", inputs, &out, 1, &cancel, &err), TB_ECANCELED);
    CHECK(tb_clock_seconds() - start < 2);
    pthread_join(t, NULL);
    tb_value_unref(&inputs);
    check_echo(s, tb_value_int(1));
    tb_script_stop(&s);
}

static json_t *version_of(const char *source, const char *module)
{
    tb_err err = TB_ERR_INIT;
    tb_script *s = tb_script_start(&err);
    json_t *sources =
        json_pack("{sss{ssss}}", "main", "x.lua", "files", "x.lua", source, "m.lua", module);
    CHECK_OK(tb_script_load_sources(s, sources, &err));
    json_t *types = tb_script_types(s, &err), *version = NULL, *type;
    size_t i;
    json_array_foreach(types, i,
                       type) if (strcmp(json_string_value(json_object_get(type, "name")), "n") == 0)
        version = json_incref(json_object_get(type, "version"));
    json_decref(types);
    json_decref(sources);
    tb_script_stop(&s);
    return version;
}

/* The same source, the same version; another source, or another module it uses: another. */
TEST(versions_follow_the_source)
{
#define USER(extra)                                  \
    "local tb, m = require 'tubelet', require 'm'\n" \
    "tb.node { name = 'n', run = print }\n" extra "return tb.graph { build = print }"
    json_t *a = version_of(USER(""), "return 1"), *b = version_of(USER(""), "return 1");
    json_t *c = version_of(USER("--\n"), "return 1"), *d = version_of(USER(""), "return 2");
    CHECK(a && json_equal(a, b) && !json_equal(a, c) && !json_equal(a, d) && !json_equal(c, d));
    json_decref(a);
    json_decref(b);
    json_decref(c);
    json_decref(d);
}

/* What a function beside run answers, or the error's text. Consumes the inputs. */
static void check_hook(tb_script *s, const char *hook, const char *type, tb_value *inputs,
                       const char *want)
{
    tb_err err = TB_ERR_INIT;
    char got[1400];
    json_t *answer = tb_script_hook(s, hook, type, inputs, NULL, &err);
    char *text = answer ? tb_json_canonical(answer) : NULL;
    CHECK_STR(text ? text : tb_err_text(&err, NULL, got, sizeof got), want);
    free(text);
    json_decref(answer);
    tb_value_unref(&inputs);
}

TEST(functions_beside_run_are_asked)
{
    tb_script *s = load();
#define B(n) record1("b", tb_value_int(n))
    check_hook(s, "need", "asker", B(0), "[\"a\"]");
    check_hook(s, "need", "asker", record1("a", tensor23()), "[]");
    check_hook(s, "need", "asker", B(1),
               "tests/lua/nodes.lua:39: need of 'asker' must return names of lazy inputs, got 'b'");
    check_hook(s, "changed", "asker", B(3), "{\"value\":[1,\"x\"]}");
    check_hook(s, "changed", "asker", B(-1), "{\"always\":true}");
    check_hook(s, "validate", "asker", B(0), "{}");
    check_hook(s, "validate", "asker", B(1), "{\"input\":\"b\",\"message\":\"b is 1\"}");
    check_hook(s, "validate", "asker", B(2), "{\"input\":null,\"message\":\"\"}");
    check_hook(s, "need", "echo", B(0), "node 'echo' has no need; load the file that defines it");
    check_echo(s, tb_value_int(1));
    tb_script_stop(&s);
}

static void check_definition(const char *fields, const char *want)
{
    tb_err err = TB_ERR_INIT;
    char source[400], got[1400];
    tb_script *s = tb_script_start(&err);
    snprintf(source, sizeof source,
             "local tb = require 'tubelet'\ntb.node { name = 'n', run = print, %s }", fields);
    CHECK(!tb_script_load_text(s, "x.lua", source, strlen(source), false, &err));
    CHECK_STR(tb_err_text(&err, NULL, got, sizeof got), want);
    tb_script_stop(&s);
}

TEST(definitions_are_checked)
{
    check_definition("need = 5", "x.lua:2: need must be a function, got a number");
    check_definition("rest = 'image'",
                     "x.lua:2: a port type is written in capitals, as \"LATENT\", got 'image'");
    check_definition("rest = true", "x.lua:2: rest is the port type of inputs that are not "
                                    "declared, as \"IMAGE\", got a boolean");
    check_definition("chagned = print",
                     "x.lua:2: tb.node has no field 'chagned'; it takes name, inputs, outputs, "
                     "run, need, changed, impure, title, category, doc, example, version, target, "
                     "rest, validate");
}

static const struct tb_test tests[] = {
    TEST_CASE(functions_beside_run_are_asked), TEST_CASE(definitions_are_checked),
    TEST_CASE(records_and_tensors_cross),      TEST_CASE(slices_joins_and_statistics),
    TEST_CASE(scalars_keep_their_kind),        TEST_CASE(failures_name_the_line),
    TEST_CASE(cancel_stops_a_node_at_once),    TEST_CASE(versions_follow_the_source),
};

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "__lua") == 0)
        tb_script_child_main(TB_SCRIPT_CHILD_FD);
    setenv("TUBELET_BIN", "/proc/self/exe", 1);
    return tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
}
