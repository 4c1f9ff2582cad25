/* test_script.c - Lua graphs become documents, composites expand, errors point at the user's line.
 */
#include "test.h"

#include "graph/program.h"
#include "script/script.h"

static json_t *need(json_t *answer, const tb_err *err)
{
    if (!answer)
        fprintf(stderr, "%s: %s\n", err->origin, err->message);
    REQUIRE(answer);
    return answer;
}

static tb_script *start(void)
{
    tb_err err = TB_ERR_INIT;
    tb_script *s = tb_script_start(&err);
    if (!s)
        fprintf(stderr, "%s\n", err.message);
    REQUIRE(s);
    return s;
}

static tb_script *load(const char *path)
{
    tb_err err = TB_ERR_INIT;
    tb_script *s = start();
    json_decref(need(tb_script_load(s, path, &err), &err));
    return s;
}

static json_t *parse(const char *text)
{
    json_t *j = json_loads(text, JSON_DECODE_ANY, NULL);
    REQUIRE(j);
    return j;
}

/* The JSON at a path "a.b.0.c", printed. */
static void check_json(int line, json_t *root, const char *path, const char *want)
{
    char part[128];
    json_t *j = root;
    for (const char *p = path; *p;) {
        const size_t n = strcspn(p, ".");
        snprintf(part, sizeof part, "%.*s", (int)n, p);
        j = json_is_array(j) ? json_array_get(j, (size_t)atoi(part)) : json_object_get(j, part);
        p += n + (p[n] == '.');
    }
    char *got = json_dumps(j, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);
    if (strcmp(got ? got : "none", want) != 0) {
        fprintf(stderr, "line %d: %s is\n  %s\nwanted\n  %s\n", line, path, got, want);
        tb_test_failures++;
    }
    free(got);
}
#define CHECK_JSON(root, path, want) check_json(__LINE__, root, path, want)

/* Loads source text as graphs/x.lua, builds it without parameters, and checks the one-line error.
 */
static void check_error(int line, const char *source, const char *want)
{
    tb_err err = TB_ERR_INIT;
    tb_script *s = start();
    json_t *sources =
        json_pack("{sss{ss}}", "main", "graphs/x.lua", "files", "graphs/x.lua", source);
    json_t *built = NULL;
    if (tb_script_load_sources(s, sources, &err) == TB_OK)
        built = tb_script_build(s, NULL, &err);
    char got[1200];
    tb_err_text(&err, NULL, got, sizeof got);
    if (built || strcmp(got, want) != 0) {
        fprintf(stderr, "line %d: got\n  %s\nwanted\n  %s\n", line, got, want);
        tb_test_failures++;
    }
    json_decref(built);
    json_decref(sources);
    tb_script_stop(&s);
}
#define CHECK_ERROR(source, want) check_error(__LINE__, source, want)

#define HEAD "local tb = require 'tubelet'\n"
#define SINK                                                                                     \
    "tb.node { name = 'sink', inputs = { latent = 'LATENT', gain = tb.float { default = 1 } }, " \
    "outputs = {}, run = print }\n"
#define PAIR                                                                                       \
    "tb.node { name = 'pair', inputs = {}, outputs = { a = 'LATENT', b = 'LATENT' }, run = print " \
    "}\n"
#define BUILD(body) HEAD SINK PAIR "return tb.graph { build = function(p)\n" body "\nend }\n"

TEST(load_answers_parameters_in_order)
{
    tb_err err = TB_ERR_INIT;
    tb_script *s = start();
    json_t *a = need(tb_script_load(s, "tests/lua/basic.lua", &err), &err);
    CHECK_JSON(a, "doc", "\"A graph for tests.\"");
    CHECK_JSON(a, "params.0",
               "{\"default\":\"a ball\",\"doc\":\"What to "
               "show.\",\"name\":\"prompt\",\"type\":\"STRING\"}");
    CHECK_JSON(a, "params.1", "{\"default\":1,\"min\":0,\"name\":\"seed\",\"type\":\"INT\"}");
    CHECK_JSON(a, "params.3",
               "{\"default\":4.0,\"max\":30,\"min\":0,\"name\":\"cfg\",\"type\":\"FLOAT\"}");
    CHECK_JSON(a, "params.4.choices", "[\"fast\",\"slow\"]");
    CHECK_JSON(a, "params.6",
               "{\"default\":\"out.mp4\",\"name\":\"out\",\"path\":true,\"type\":\"STRING\"}");
    CHECK_JSON(a, "params.7",
               "{\"name\":\"model\",\"optional\":true,\"path\":true,\"type\":\"STRING\"}");
    json_decref(a);
    tb_script_stop(&s);
}

TEST(build_makes_a_document)
{
    tb_err err = TB_ERR_INIT;
    tb_script *s = load("tests/lua/basic.lua");
    json_t *params = parse("{\"steps\": \"3\", \"cfg\": 5}");
    json_t *d = need(tb_script_build(s, params, &err), &err);
    CHECK_JSON(d, "targets", "[\"t_sink\",\"second\"]");
    CHECK_JSON(d, "graph.t_source.inputs", "{\"seed\":1}");
    CHECK_JSON(d, "graph.t_source._meta",
               "{\"origin\":\"tests/lua/basic.lua:43\",\"title\":\"noise\"}");
    CHECK_JSON(d, "graph.t_source_2.inputs", "{\"seed\":2}");
    CHECK_JSON(d, "graph.t_chain.inputs", "{\"gain\":5.0,\"latent\":[\"t_source\",0],\"n\":3}");
    CHECK_JSON(d, "graph.t_sink.inputs",
               "{\"gain\":5,\"latent\":[\"t_chain\",0],\"list\":{\"__value__\":[1,2.5,\"x\"]},"
               "\"model\":[\"t_pair\",0]}");
    CHECK_JSON(d, "graph.second.inputs",
               "{\"gain\":5.0,\"latent\":[\"t_source_2\",0],\"model\":[\"t_pair\",0]}");
    CHECK_JSON(d, "graph.t_pair.inputs", "{}");
    json_decref(params);
    json_decref(d);
    tb_script_stop(&s);
}

TEST(expand_puts_ids_below_the_node)
{
    tb_err err = TB_ERR_INIT;
    tb_script *s = load("tests/lua/basic.lua");
    json_t *inputs = parse("{\"latent\": [\"far/away\", 3], \"gain\": 2}");
    json_t *e = need(tb_script_expand(s, "t_chain", "a/chain", inputs, &err), &err);
    CHECK_INT(json_object_size(json_object_get(e, "graph")), 2);
    CHECK_JSON(e, "graph.a/chain/part_1/t_step.inputs", "{\"latent\":[\"far/away\",3]}");
    CHECK_JSON(e, "graph.a/chain/part_1/t_step._meta", "{\"origin\":\"tests/lua/helper.lua:1\"}");
    CHECK_JSON(e, "graph.a/chain/part_2/t_step.inputs",
               "{\"latent\":[\"a/chain/part_1/t_step\",0]}");
    CHECK_JSON(e, "outputs", "[[\"a/chain/part_2/t_step\",0],2.0]");
    json_decref(inputs);
    json_decref(e);
    tb_script_stop(&s);
}

TEST(sources_are_enough_to_build_again)
{
    tb_err err = TB_ERR_INIT;
    tb_script *s = load("tests/lua/basic.lua"), *t = start();
    json_t *sources = tb_script_sources(s);
    CHECK_JSON(sources, "main", "\"tests/lua/basic.lua\"");
    CHECK_INT(json_object_size(json_object_get(sources, "files")), 2);
    CHECK(!tb_script_sources(t));
    CHECK_OK(tb_script_load_sources(t, sources, &err));
    json_t *a = tb_script_build(s, NULL, &err), *b = tb_script_build(t, NULL, &err);
    CHECK(a && json_equal(a, b));
    json_decref(sources);
    json_decref(a);
    json_decref(b);
    tb_script_stop(&s);
    tb_script_stop(&t);
}

static void check_params(int line, tb_script *s, const char *params, const char *want)
{
    tb_err err = TB_ERR_INIT;
    json_t *p = parse(params), *d = tb_script_build(s, p, &err);
    if (d || strcmp(err.message, want) != 0) {
        fprintf(stderr, "line %d: got\n  %s\nwanted\n  %s\n", line, err.message, want);
        tb_test_failures++;
    }
    json_decref(p);
    json_decref(d);
}

TEST(parameters_are_checked)
{
    tb_script *s = load("tests/lua/basic.lua");
    check_params(__LINE__, s, "{\"steps\":\"abc\"}", "steps must be an integer, got 'abc'");
    check_params(__LINE__, s, "{\"steps\":0}", "steps must be 1..1000, got 0");
    check_params(__LINE__, s, "{\"steps\":\"1001\"}", "steps must be 1..1000, got 1001");
    check_params(__LINE__, s, "{\"steps\":2.5}", "steps must be an integer, got 2.5");
    check_params(__LINE__, s, "{\"seed\":-1}", "seed must be at least 0, got -1");
    check_params(__LINE__, s, "{\"cfg\":\"x\"}", "cfg must be a number, got 'x'");
    check_params(__LINE__, s, "{\"cfg\":31}", "cfg must be 0..30, got 31.0");
    check_params(__LINE__, s, "{\"mode\":\"odd\"}", "mode must be one of fast, slow, got 'odd'");
    check_params(__LINE__, s, "{\"loud\":\"maybe\"}", "loud must be true or false, got 'maybe'");
    check_params(__LINE__, s, "{\"prompt\":5}", "prompt must be text, got 5");
    check_params(__LINE__, s, "{\"stepz\":5}",
                 "the graph has no parameter 'stepz'; it has prompt, seed, steps, cfg, mode, loud, "
                 "out, model");
    tb_script_stop(&s);
}

TEST(errors_name_the_line)
{
    CHECK_ERROR(HEAD "x = = 1", "graphs/x.lua:2: unexpected symbol near '='");
    CHECK_ERROR(HEAD "return 5",
                "graphs/x.lua must return tb.graph { build = function(p) ... end }, got number");
    CHECK_ERROR(HEAD "\nrequire 'nothing'", "graphs/x.lua:3: module 'nothing' is not shipped with "
                                            "tubelet, and there is no graphs/nothing.lua");
    CHECK_ERROR(HEAD "require '../x'",
                "graphs/x.lua:2: a module is named by letters, digits and dots, got '../x'");
    CHECK_ERROR(BUILD("local x = nil\nreturn x.y"),
                "graphs/x.lua:6: attempt to index a nil value (local 'x')");
    CHECK_ERROR(BUILD("error('steps must be even')"), "graphs/x.lua:5: steps must be even");
    CHECK_ERROR(BUILD("error({})"),
                "graphs/x.lua:5: the script raised a table instead of a message");
    CHECK_ERROR(BUILD("tb.sonk {}"),
                "graphs/x.lua:5: tubelet has no node 'sonk'; did you mean 'sink'?");
    CHECK_ERROR(
        BUILD("tb.sink { latnet = 1 }"),
        "graphs/x.lua:5: sink has no input 'latnet'; did you mean 'latent'? It takes gain, latent");
    CHECK_ERROR(BUILD("tb.sink { 5 }"),
                "graphs/x.lua:5: inputs of sink are named: tb.sink { gain = ... }");
    CHECK_ERROR(BUILD("tb.sink(5)"),
                "graphs/x.lua:5: tb.sink takes one table: tb.sink { ... }, got number");
    CHECK_ERROR(BUILD("tb.sink { gain = 0/0 }"),
                "graphs/x.lua:5: input 'gain' of tb.sink must be a finite number, got nan");
    CHECK_ERROR(BUILD("tb.sink { gain = print }"),
                "graphs/x.lua:5: input 'gain' of tb.sink cannot be a function");
    CHECK_ERROR(BUILD("tb.sink { gain = '\\xff' }"),
                "graphs/x.lua:5: input 'gain' of tb.sink must be text in UTF-8, got other bytes");
    CHECK_ERROR(BUILD("tb.sink { latent = tb.pair {} }"),
                "graphs/x.lua:5: input 'latent' of tb.sink: node 'pair' (pair) has the outputs a, "
                "b; name one of them");
    CHECK_ERROR(BUILD("tb.sink { latent = tb.pair {}.c }"),
                "graphs/x.lua:5: node 'pair' (pair) has no output 'c'; it has a, b");
    CHECK_ERROR(BUILD("tb.sink { latent = tb.sink {} }"),
                "graphs/x.lua:5: input 'latent' of tb.sink: node 'sink' (sink) has no output");
    CHECK_ERROR(BUILD("tb.sink { id = 'a' }\ntb.sink { id = 'a' }"),
                "graphs/x.lua:6: there is a node with the id 'a' already");
    CHECK_ERROR(BUILD("return 5"),
                "graphs/x.lua:4: build must return the nodes the graph is for, got a number");
    CHECK_ERROR(HEAD "tb.sample {}",
                "graphs/x.lua:2: tb.sample makes a node: call it inside build or expand");
    CHECK_ERROR(HEAD "tb.graph { bild = 1 }",
                "graphs/x.lua:2: tb.graph has no field 'bild'; it takes doc, params, build, view");
    CHECK_ERROR(HEAD "tb.int { default = 'x' }",
                "graphs/x.lua:2: default must be an integer, got 'x'");
    CHECK_ERROR(HEAD "tb.node { name = 'sample', run = print }",
                "graphs/x.lua:2: there is a node 'sample' already; choose another name");
}

/* ------------------------------------------------------------------------------- the library */

static json_t *expand_sample(tb_script *s, const char *more)
{
    tb_err err = TB_ERR_INIT;
    json_t *inputs =
        parse("{\"model\": [\"m\", 0], \"latent\": [\"x\", 0], \"positive\": [\"p\", 0],"
              " \"negative\": [\"q\", 0], \"steps\": 4}");
    json_t *extra = parse(more);
    json_object_update(inputs, extra);
    json_t *e = tb_script_expand(s, "sample", "sample", inputs, &err);
    if (!e)
        fprintf(stderr, "%s\n", err.message);
    REQUIRE(e);
    json_decref(inputs);
    json_decref(extra);
    return e;
}

static void check_size(int line, tb_script *s, const char *more, int want)
{
    json_t *e = expand_sample(s, more);
    const int got = (int)json_object_size(json_object_get(e, "graph"));
    if (got != want) {
        fprintf(stderr, "line %d: %s expands to %d nodes, wanted %d\n", line, more, got, want);
        tb_test_failures++;
    }
    json_decref(e);
}

TEST(sample_makes_a_node_for_each_step)
{
    tb_script *s = start();
    json_t *e = expand_sample(s, "{}");
    CHECK_JSON(e, "outputs", "[[\"sample/step_03/step\",0]]");
    CHECK_JSON(e, "graph.sample/start.inputs",
               "{\"conditioning\":[\"p\",0],\"latent\":[\"x\",0],\"sigmas\":[\"sample/"
               "sigmas\",0],\"step\":0}");
    CHECK_JSON(
        e, "graph.sample/step_01/cond.inputs",
        "{\"conditioning\":[\"p\",0],\"latent\":[\"sample/step_00/step\",0],\"model\":[\"m\",0],"
        "\"sigmas\":[\"sample/sigmas\",0],\"stage\":0,\"step\":1}");
    CHECK_JSON(e, "graph.sample/step_01/uncond.inputs.known", "[\"p\",0]");
    CHECK_JSON(e, "graph.sample/step_01/guidance.inputs",
               "{\"cfg\":3.0,\"cond\":[\"sample/step_01/cond\",0],\"uncond\":[\"sample/step_01/"
               "uncond\",0]}");
    CHECK_JSON(e, "graph.sample/step_01/step.inputs.velocity", "[\"sample/step_01/guidance\",0]");
    CHECK_JSON(e, "graph.sample/step_01/step.inputs.previous", "none");
    json_decref(e);
    check_size(__LINE__, s, "{}", 2 + 4 * 4);
    check_size(__LINE__, s, "{\"cfg\": 1}", 2 + 4 * 2);
    check_size(__LINE__, s, "{\"negative\": null}", 2 + 4 * 2);
    check_size(__LINE__, s, "{\"start_step\": 1, \"end_step\": 3}", 2 + 2 * 4);
    check_size(__LINE__, s, "{\"sampler\": \"heun\"}", 2 + 3 * 8 + 4);
    check_size(__LINE__, s, "{\"sampler\": \"heun\", \"end_step\": 3}", 2 + 3 * 8);
    check_size(__LINE__, s, "{\"steps\": 1000}", 2 + 1000 * 4);
    tb_script_stop(&s);
}

TEST(sample_gives_histories_to_those_that_read_them)
{
    tb_script *s = start();
    json_t *e = expand_sample(s, "{\"sampler\": \"unipc\"}");
    CHECK_JSON(e, "graph.sample/step_02/step.inputs.previous", "none"); /* it is in the latent */
    json_decref(e);
    e = expand_sample(s, "{\"sampler\": \"heun\"}");
    CHECK_JSON(e, "graph.sample/step_01/mid.inputs.latent", "[\"sample/step_00/step\",0]");
    CHECK_JSON(e, "graph.sample/step_01/cond_2.inputs.latent", "[\"sample/step_01/mid\",0]");
    CHECK_JSON(e, "graph.sample/step_01/step.inputs.previous", "[\"sample/step_00/step\",0]");
    CHECK_JSON(e, "graph.sample/step_01/step.inputs.stage", "1");
    json_decref(e);
    tb_script_stop(&s);
}

/* So that a run cut in two finds the steps of the whole. */
TEST(sample_takes_the_steps_of_the_whole_schedule)
{
    tb_script *s = start();
    json_t *e = expand_sample(s, "{\"start_step\": 2, \"end_step\": 3}");
    CHECK_JSON(e, "graph.sample/sigmas.inputs.steps", "4");
    CHECK_JSON(e, "graph.sample/sigmas.inputs.end_step", "none");
    CHECK_JSON(e, "graph.sample/start.inputs.step", "2");
    CHECK_JSON(e, "graph.sample/step_02/cond.inputs.step", "2");
    CHECK_JSON(e, "graph.sample/step_02/step.inputs.step", "2");
    CHECK_JSON(e, "graph.sample/step_03/step.inputs", "none");
    json_decref(e);
    tb_script_stop(&s);
}

TEST(sample_refuses_ranges_without_a_step)
{
    tb_err err = TB_ERR_INIT;
    tb_script *s = start();
    json_t *inputs = parse("{\"steps\": 4, \"start_step\": 4}");
    CHECK(!tb_script_expand(s, "sample", "sample", inputs, &err));
    CHECK_STR(err.message, "start_step must be below the last step, 4, got 4");
    json_decref(inputs);
    inputs = parse("{\"steps\": 4, \"end_step\": 5}");
    err = TB_ERR_INIT;
    CHECK(!tb_script_expand(s, "sample", "sample", inputs, &err));
    CHECK_STR(err.message, "end_step must be at most steps, 4, got 5");
    json_decref(inputs);
    tb_script_stop(&s);
}

TEST(modules_of_the_library)
{
    CHECK_ERROR("error(table.concat(require('prompt_grid')('a {red|} {b|c}'), ';'))",
                "graphs/x.lua:1: a red b;a red c;a  b;a  c");
    CHECK_ERROR("require('prompt_grid')('a {b')",
                "graphs/x.lua:1: the braces of the template do not match at 'a {b'");
    CHECK_ERROR("error(require('camera').zooms_in('a ball'))",
                "graphs/x.lua:1: a ball, the camera zooms in");
}

/* ------------------------------------------------------------------------------ shipped graphs */

/* Names, links and literals against the node types; composites once expanded as well. */
static void check_program(const char *path, tb_script *s, const json_t *document)
{
    tb_err err = TB_ERR_INIT;
    tb_types *types = tb_types_new();
    json_t *more = need(tb_script_types(s, &err), &err);
    CHECK_OK(tb_types_add(types, more, &err));
    tb_graph *g = tb_graph_new();
    CHECK_OK(tb_graph_read(g, document, &err));
    tb_program *p = tb_program_new(g, types);
    tb_err_list errors = { 0 };
    tb_program_check(p, &errors);
    for (int i = 0; i < p->count && !errors.count; i++) {
        if (p->nodes[i].type->kind != TB_COMPOSITE)
            continue;
        json_t *inputs = tb_program_inputs(p, i, NULL);
        json_t *answer = need(
            tb_script_expand(s, p->nodes[i].type->def->name, tb_program_id(p, i), inputs, &err),
            &err);
        CHECK_OK(tb_program_splice(p, i, answer, &err));
        tb_program_check(p, &errors);
        json_decref(inputs);
        json_decref(answer);
    }
    for (int i = 0; i < errors.count; i++)
        fprintf(stderr, "%s: node '%s' (%s): %s\n", path, errors.items[i].node, errors.types[i],
                errors.items[i].message);
    CHECK_INT(errors.count, 0);
    tb_err_list_free(&errors);
    tb_program_free(&p);
    tb_types_free(&types);
    json_decref(more);
}

static void check_graph_file(const char *path, const char *params)
{
    tb_err err = TB_ERR_INIT;
    tb_script *s = load(path);
    json_t *given = parse(params), *d = need(tb_script_build(s, given, &err), &err);
    CHECK_INT(json_array_size(json_object_get(d, "targets")), 1);
    check_program(path, s, json_object_get(d, "graph"));
    json_decref(given);
    json_decref(d);
    tb_script_stop(&s);
}

TEST(shipped_graphs_are_valid)
{
    check_graph_file("graphs/text_to_video.lua", "{\"steps\": 3}");
    check_graph_file("graphs/text_to_video.lua", "{\"cfg\": 1}");
    check_graph_file("graphs/image_to_video.lua", "{\"image\": \"tests/golden/x.png\"}");
    check_graph_file("examples/custom_node.lua", "{}");
}

TEST(pairs_have_an_order)
{
    CHECK_ERROR("local t, s = { 7, 8, zeta = 1, alpha = 2, [0.5] = 3, beta = 4 }, ''\n"
                "for k, v in pairs(t) do s = s .. k .. '=' .. v .. ' ' t.beta = nil end\nerror(s)",
                "graphs/x.lua:3: 1=7 2=8 0.5=3 alpha=2 zeta=1 ");
    CHECK_ERROR("local s = '' for k, v in pairs({ 5, 6, a = 7 }) do s = s .. k end error(s)",
                "graphs/x.lua:1: 12a");
    CHECK_ERROR("pairs(nil)",
                "graphs/x.lua:1: bad argument #1 to 'pairs' (table expected, got nil)");
}

static const struct tb_test tests[] = {
    TEST_CASE(load_answers_parameters_in_order),
    TEST_CASE(build_makes_a_document),
    TEST_CASE(expand_puts_ids_below_the_node),
    TEST_CASE(sources_are_enough_to_build_again),
    TEST_CASE(parameters_are_checked),
    TEST_CASE(errors_name_the_line),
    TEST_CASE(sample_makes_a_node_for_each_step),
    TEST_CASE(sample_gives_histories_to_those_that_read_them),
    TEST_CASE(sample_takes_the_steps_of_the_whole_schedule),
    TEST_CASE(sample_refuses_ranges_without_a_step),
    TEST_CASE(modules_of_the_library),
    TEST_CASE(shipped_graphs_are_valid),
    TEST_CASE(pairs_have_an_order),
};

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "__lua") == 0)
        tb_script_child_main(TB_SCRIPT_CHILD_FD);
    setenv("TUBELET_BIN", "/proc/self/exe", 1);
    return tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
}
