/* test_graph.c - documents, validation, expansion and keys. */
#include "base/mem.h"
#include "graph/program.h"
#include "test.h"

/* ------------------------------------------------------------------------------- nodes to test
 * with */

typedef struct number_params {
    int64_t value;
    double scale;
    const char *mode;
    bool on;
} number_params;

static const tb_input_def number_in[] = {
    TB_IN_INT(number_params, value, 3, 1, 10, "", "A number."),
    TB_IN_FLOAT(number_params, scale, 1, 0, 2, "", "A factor."),
    TB_IN_COMBO(number_params, mode, "up", "up|down", "Which way."),
    TB_IN_BOOL(number_params, on, true, "Whether."),
    { 0 },
};
static const tb_output_def number_out[] = { { .name = "number", .type = "INT" }, { 0 } };

typedef struct join_params {
    const tb_value *a, *b;
    const char *path;
} join_params;

static const tb_input_def join_in[] = {
    TB_IN_PORT(join_params, a, "INT,IMAGE", 0, "First."),
    TB_IN_PORT(join_params, b, "LATENT", TB_IN_OPTIONAL, "Second."),
    TB_IN_STRING(join_params, path, "x.png", TB_IN_KEY_EXT | TB_IN_UNKEYED, "Where to."),
    { 0 },
};
static const tb_output_def join_out[] = { { .name = "image", .type = "IMAGE" }, { 0 } };

static const tb_node_def number_def = { .abi = TB_NODE_ABI,
                                        .version = 1,
                                        .name = "t_number",
                                        .params_size = sizeof(number_params),
                                        .inputs = number_in,
                                        .outputs = number_out };
static const tb_node_def join_def = { .abi = TB_NODE_ABI,
                                      .version = 1,
                                      .name = "t_join",
                                      .flags = TB_NODE_NUMERIC,
                                      .params_size = sizeof(join_params),
                                      .inputs = join_in,
                                      .outputs = join_out };
static const tb_node_def linear_def = { .abi = TB_NODE_ABI,
                                        .version = 1,
                                        .name = "t_linear",
                                        .flags = TB_NODE_NUMERIC | TB_NODE_LINEARS,
                                        .params_size = sizeof(join_params),
                                        .inputs = join_in,
                                        .outputs = join_out };
static const tb_node_def *const defs[] = { &number_def, &join_def, &linear_def, NULL };

static tb_types *types(void)
{
    static const char box[] = "[{\"name\":\"t_box\",\"kind\":\"composite\",\"version\":\"v1\","
                              "\"inputs\":[{\"name\":\"n\","
                              "\"type\":\"INT\",\"literal\":true,\"default\":2}],\"outputs\":[{"
                              "\"name\":\"out\",\"type\":\"INT\"}]}]";
    tb_err err = TB_ERR_INIT;
    tb_types *t = tb_types_new();
    tb_types_add_defs(t, defs);
    json_t *j = tb_json_parse(box, strlen(box), "types", &err);
    REQUIRE(tb_types_add(t, j, &err) == TB_OK);
    json_decref(j);
    return t;
}

static bool lenient; /* how documents are checked */

/* The program of a document written with single quotes; REQUIREs that reading works. */
static tb_program *program(const tb_types *t, const char *text, tb_err_list *errors)
{
    tb_err err = TB_ERR_INIT;
    char *s = tb_xstrdup(text);
    for (char *c = s; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    json_t *j = tb_json_parse(s, strlen(s), "graph", &err);
    REQUIRE(j);
    tb_graph *g = tb_graph_new();
    if (tb_graph_read(g, j, &err) != TB_OK)
        tb_err_list_add(errors, &err, NULL);
    tb_program *p = tb_program_new(g, t);
    p->lenient = lenient;
    tb_program_check(p, errors);
    json_decref(j);
    free(s);
    return p;
}

/* All errors of a document, one a line. */
static void check_errors(const char *text, const char *want)
{
    tb_types *t = types();
    tb_err_list errors = { 0 };
    tb_program *p = program(t, text, &errors);
    char got[4000] = "", line[1300];
    for (int i = 0; i < errors.count; i++) {
        const char *type = errors.types[i][0] ? errors.types[i] : NULL;
        strncat(got, tb_err_text(&errors.items[i], type, line, sizeof line),
                sizeof got - strlen(got) - 2);
        strcat(got, "\n");
    }
    CHECK_STR(got, want);
    tb_err_list_free(&errors);
    tb_program_free(&p);
    tb_types_free(&t);
}

TEST(all_errors_are_reported_at_once_with_their_place)
{
    check_errors(
        "{'a':{'class_type':'t_number','inputs':{'value':0,'scale':'x','mode':'left','on':7},"
        "'_meta':{'origin':'g.lua:3'}},"
        "'b':{'class_type':'t_numbr','inputs':{}}}",
        "g.lua:3: node 'a' (t_number): value must be 1..10, got 0\n"
        "g.lua:3: node 'a' (t_number): scale must be a number, got 'x'\n"
        "g.lua:3: node 'a' (t_number): mode must be one of up|down, got 'left'\n"
        "g.lua:3: node 'a' (t_number): on must be true or false, got 7\n"
        "node 'b': unknown node type 't_numbr'; did you mean 't_number'?\n");
}

TEST(links_are_checked)
{
    check_errors(
        "{'n':{'class_type':'t_number','inputs':{}},"
        "'j':{'class_type':'t_join','inputs':{'a':['n',1],'b':['n',0]}},"
        "'k':{'class_type':'t_join','inputs':{'a':['x',0],'c':1}},"
        "'l':{'class_type':'t_join','inputs':{'a':5,'b':5}}, 'm':{'class_type':'t_join'}}",
        "node 'j' (t_join): a is linked to output 1 of node 'n' (t_number), which has 1 output\n"
        "node 'j' (t_join): b must be LATENT, got INT from output 'number' of node 'n' (t_number)\n"
        "node 'k' (t_join): a is linked to node 'x', which is not in the graph\n"
        "node 'k' (t_join): there is no input 'c'; did you mean 'a'?\n"
        "node 'l' (t_join): b must be linked to an output of type LATENT, got a value\n"
        "node 'm' (t_join): a is not connected; link it to an output of type INT,IMAGE\n");
}

/* "node.input reason" of all errors of a document, one a line. */
static void check_reasons(const char *text, const char *want)
{
    tb_types *t = types();
    tb_err_list errors = { 0 };
    tb_program *p = program(t, text, &errors);
    char got[4000] = "";
    for (int i = 0; i < errors.count; i++) {
        const tb_err *e = &errors.items[i];
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s.%s %s\n", e->node, e->input,
                 e->reason ? e->reason : "?");
    }
    CHECK_STR(got, want);
    tb_err_list_free(&errors);
    tb_program_free(&p);
    tb_types_free(&t);
}

TEST(every_error_has_a_place_and_a_reason)
{
    check_reasons("{'a':{'class_type':'t_number','inputs':{'value':0,'scale':9,'mode':'left',"
                  "'on':7}},"
                  "'b':{'class_type':'t_number','inputs':{'value':'x','scale':-1,'mode':[]}}}",
                  "b.mode bad_linked_input\na.value value_smaller_than_min\na.scale "
                  "value_bigger_than_max\na.mode value_not_in_list\na.on invalid_input_type\n"
                  "b.value invalid_input_type\nb.scale value_smaller_than_min\n");
    check_reasons("{'n':{'class_type':'t_number','inputs':{}},'b':{'class_type':'no','inputs':{}},"
                  "'j':{'class_type':'t_join','inputs':{'a':['n',1],'b':['n',0]}},"
                  "'k':{'class_type':'t_join','inputs':{'a':['x',0],'c':1}},"
                  "'l':{'class_type':'t_join','inputs':{'a':5,'b':5}},'m':{'class_type':'t_join'},"
                  "'o':{'class_type':'t_number','_meta':{'mode':'mute'}},"
                  "'p':{'class_type':'t_join','inputs':{'a':['o',0]}},"
                  "'q':{'class_type':'t_join','inputs':{},'_meta':{'mode':'bypass'}},"
                  "'r':{'class_type':'t_join','inputs':{'a':['q',0]}}}",
                  "b. missing_node_type\nj.a exception_during_validation\nj.b "
                  "return_type_mismatch\nk.a exception_during_validation\nk.c "
                  "exception_during_validation\nl.b bad_linked_input\nm.a "
                  "required_input_missing\np.a required_input_missing\nr.a "
                  "required_input_missing\n");
    check_reasons("{'a':{'class_type':'t_join','inputs':{'a':['b',0]}},"
                  "'b':{'class_type':'t_join','inputs':{'a':['a',0]}}}",
                  "a. dependency_cycle\n");
    check_reasons("{'a':{'inputs':{}}}", "a. missing_node_type\n");
}

TEST(lenient_graphs_are_taken_as_comfyui_takes_them)
{
    static const char text[] =
        "{'a':{'class_type':'t_number','inputs':{'value':2.9,'scale':' 1.5 ','on':'no','new':3}},"
        "'b':{'class_type':'t_number','inputs':{'value':' 7','scale':true,'on':0.0}},"
        "'c':{'class_type':'t_join','inputs':{'a':['a',0],'path':2.5}},"
        "'d':{'class_type':'t_join','inputs':{'a':['a',0],'path':5.0}},"
        "'e':{'class_type':'t_join','inputs':{'a':['a',0],'path':true}},"
        "'f':{'class_type':'t_number','inputs':{'value':true,'scale':0.1}}}";
    tb_types *t = types();
    tb_err_list errors = { 0 };
    lenient = true;
    tb_program *p = program(t, text, &errors);
    for (int i = 0; i < errors.count; i++)
        CHECK_STR(errors.items[i].message, "");
    const tb_arg *a = p->nodes[0].args, *b = p->nodes[1].args;
    CHECK_INT(tb_value_as_int(a[0].literal), 2);
    CHECK_NEAR(tb_value_as_float(a[1].literal), 1.5, 0);
    CHECK(tb_value_as_bool(a[3].literal));
    CHECK_INT(tb_value_as_int(b[0].literal), 7);
    CHECK_NEAR(tb_value_as_float(b[1].literal), 1, 0);
    CHECK(!tb_value_as_bool(b[3].literal));
    CHECK_STR(tb_value_as_string(p->nodes[2].args[2].literal), "2.5");
    CHECK_STR(tb_value_as_string(p->nodes[3].args[2].literal), "5.0");
    CHECK_STR(tb_value_as_string(p->nodes[4].args[2].literal), "True");
    CHECK_INT(tb_value_as_int(p->nodes[5].args[0].literal), 1);
    tb_err_list_free(&errors);
    tb_program_free(&p);
    tb_types_free(&t);
    /* what Python refuses, and links that nothing declares, stay errors */
    check_reasons(
        "{'a':{'class_type':'t_number','inputs':{'value':'two','scale':{},'mode':'left'}},"
        "'b':{'class_type':'t_number','inputs':{'value':10.9,'new':['a',0]}},"
        "'c':{'class_type':'t_number','inputs':{'value':11.1}}}",
        "a.value invalid_input_type\na.scale invalid_input_type\na.mode "
        "value_not_in_list\nb.new exception_during_validation\nc.value "
        "value_bigger_than_max\n");
    lenient = false;
    check_reasons(text, "a.value invalid_input_type\na.scale invalid_input_type\n"
                        "a.on invalid_input_type\na.new exception_during_validation\n"
                        "b.scale invalid_input_type\nb.on invalid_input_type\n"
                        "e.path invalid_input_type\nf.value invalid_input_type\n");
}

TEST(a_cycle_is_named)
{
    check_errors("{'a':{'class_type':'t_join','inputs':{'a':['b',0]}},"
                 "'b':{'class_type':'t_join','inputs':{'a':['a',0]}}}",
                 "node 'a' (t_join): the links form a cycle: a -> b -> a; remove one of them\n");
}

TEST(muted_and_bypassed_nodes_are_resolved)
{
    check_errors("{'n':{'class_type':'t_number','inputs':{},'_meta':{'mode':'mute'}},"
                 "'j':{'class_type':'t_join','inputs':{'a':['n',0]}}}",
                 "node 'j' (t_join): a is linked to node 'n', which is muted; unmute it or mute "
                 "this node too\n");
    /* nothing of a bypassed node counts but its links */
    check_errors("{'n':{'class_type':'t_number','inputs':{'value':'x'},'_meta':{'mode':'bypass'}}}",
                 "");
    check_errors("{'n':{'class_type':'t_number','inputs':{},'_meta':{'mode':'bypass'}},"
                 "'j':{'class_type':'t_join','inputs':{'a':['n',0]}}}",
                 "node 'j' (t_join): a is linked to node 'n', which is bypassed and has no linked "
                 "input to stand for it; bypass this node too, or link it elsewhere\n");
    check_errors("{'n':{'class_type':'t_number','inputs':{},'_meta':{'mode':'bypass'}},"
                 "'j':{'class_type':'t_join','inputs':{'a':['n',0]},'_meta':{'mode':'bypass'}}}",
                 "");
    /* of an unknown type: its only link is passed on */
    check_errors("{'n':{'class_type':'t_number'},"
                 "'x':{'class_type':'no','inputs':{'i':['n',0],'k':3},'_meta':{'mode':'bypass'}},"
                 "'m':{'class_type':'no','inputs':{},'_meta':{'mode':'mute'}},"
                 "'j':{'class_type':'t_join','inputs':{'a':['x',0]}}}",
                 "");
    check_errors("{'x':{'class_type':'no','_meta':{'mode':'bypass'}},"
                 "'m':{'class_type':'no','_meta':{'mode':'mute'}},"
                 "'j':{'class_type':'t_join','inputs':{'a':['x',0]}},"
                 "'k':{'class_type':'t_join','inputs':{'a':['m',0]}}}",
                 "node 'j' (t_join): a is linked to node 'x', which is bypassed and of a type that "
                 "is not known; link it elsewhere\n"
                 "node 'k' (t_join): a is linked to node 'm', which is muted; unmute it or mute "
                 "this node too\n");
    tb_types *t = types();
    tb_err_list errors = { 0 };
    tb_program *p =
        program(t,
                "{'n':{'class_type':'t_number','inputs':{}},"
                "'p':{'class_type':'t_join','inputs':{'a':['n',0]}},"
                "'q':{'class_type':'t_join','inputs':{'a':['p',0]},'_meta':{'mode':'bypass'}},"
                "'r':{'class_type':'t_join','inputs':{'a':['q',0]}}}",
                &errors);
    CHECK_INT(errors.count, 0);
    CHECK_STR(tb_program_id(p, tb_program_resolve(p, 2, 0).src), "p");
    tb_program_free(&p);
    tb_types_free(&t);
}

TEST(malformed_documents_are_refused)
{
    check_errors("[]", "a graph must be an object of nodes by id, as \"Export (API)\" writes it\n");
    check_errors(
        "{'a':{'inputs':{}}}",
        "node 'a': a node must be an object with \"class_type\" (text) and \"inputs\" (object)\n");
    check_errors("{'a':{'class_type':'t_number','inputs':{'value':[1,2,3]}}}",
                 "node 'a': input 'value' must be a value or a link [\"node id\", output]; a list "
                 "of values is "
                 "written {\"__value__\": [...]}\n");
}

static tb_key key_in(const char *text, const char *node, tb_numeric numeric)
{
    tb_types *t = types();
    tb_err_list errors = { 0 };
    tb_err err = TB_ERR_INIT;
    tb_program *p = program(t, text, &errors);
    CHECK_INT(errors.count, 0);
    CHECK_OK(tb_program_keys(p, &numeric, NULL, NULL, &err));
    const tb_key k = p->nodes[tb_graph_find(p->graph, node)].key;
    tb_program_free(&p);
    tb_types_free(&t);
    return k;
}

static tb_key key_of(const char *text, const char *node, const char *kernels)
{
    return key_in(text, node, (tb_numeric){ kernels, "l" });
}

static bool same(tb_key a, tb_key b)
{
    return tb_key_eq(&a, &b);
}

#define JOIN(n, j)                               \
    "{'n':{'class_type':'t_number','inputs':{" n \
    "}},'j':{'class_type':'t_join','inputs':{'a':['n',0]" j "}}}"

/* How large linears multiply changes what they give, and nothing before them. */
TEST(the_compute_mode_enters_where_linears_are)
{
    static const char text[] = "{'n':{'class_type':'t_number','inputs':{}},"
                               "'j':{'class_type':'t_join','inputs':{'a':['n',0]}},"
                               "'l':{'class_type':'t_linear','inputs':{'a':['j',0]}},"
                               "'k':{'class_type':'t_join','inputs':{'a':['l',0]}}}";
    const tb_numeric f32 = { "c", "f32" }, int8 = { "c", "int8" };
    CHECK(same(key_in(text, "j", f32), key_in(text, "j", int8)));
    CHECK(!same(key_in(text, "l", f32), key_in(text, "l", int8)));
    CHECK(!same(key_in(text, "k", f32), key_in(text, "k", int8)));
}

TEST(keys_hang_on_what_makes_the_result_and_on_nothing_else)
{
    const tb_key base = key_of(JOIN("'value':5", ""), "j", "c");
    CHECK(same(
        base,
        key_of("{'other':{'class_type':'t_number','inputs':{'value':5.0,'scale':1}},"
               "'j2':{'class_type':'t_join','inputs':{'a':['other',0]},'_meta':{'title':'x'}}}",
               "j2", "c")));
    CHECK(same(base, key_of(JOIN("'value':5", ",'path':'/else/where.PNG'"), "j", "c")));
    CHECK(!same(base, key_of(JOIN("'value':5", ",'path':'x.gif'"), "j", "c")));
    CHECK(!same(base, key_of(JOIN("'value':6", ""), "j", "c")));
    CHECK(!same(base, key_of(JOIN("'value':5,'mode':'down'", ""), "j", "c")));
    CHECK(!same(base, key_of(JOIN("'value':5", ""), "j", "d")));
    CHECK(same(key_of(JOIN("", ""), "n", "c"), key_of(JOIN("", ""), "n", "d")));
}

TEST(composites_are_spliced_and_their_links_followed)
{
    tb_types *t = types();
    tb_err_list errors = { 0 };
    tb_err err = TB_ERR_INIT;
    tb_program *p = program(t,
                            "{'box':{'class_type':'t_box','inputs':{}},"
                            "'j':{'class_type':'t_join','inputs':{'a':['box',0]}}}",
                            &errors);
    CHECK(tb_program_expandable(p, 0));
    json_t *inputs = tb_program_inputs(p, 0, NULL);
    CHECK_INT(json_integer_value(json_object_get(inputs, "n")), 2);
    json_decref(inputs);
    json_t *answer = json_pack("{s{s{sss{si}}}s[[si]]}", "graph", "box/inner", "class_type",
                               "t_number", "inputs", "value", 4, "outputs", "box/inner", 0);
    CHECK_OK(tb_program_splice(p, 0, answer, &err));
    json_decref(answer);
    CHECK_INT(tb_program_check(p, &errors), 0);
    const tb_arg a = tb_program_resolve(p, 0, 0);
    CHECK_STR(tb_program_id(p, a.src), "box/inner");
    json_t *bad = json_pack("{s{}s[]}", "graph", "outputs");
    CHECK_INT(tb_program_splice(p, 0, bad, &err), TB_ESCRIPT);
    CHECK_STR(err.message,
              "the expansion of 'box' must give one link or value for each of its 1 outputs");
    json_decref(bad);
    tb_program_free(&p);
    tb_types_free(&t);
}

TEST(a_chain_of_100000_nodes_is_checked_and_keyed_without_recursion)
{
    tb_types *t = types();
    tb_err err = TB_ERR_INIT;
    tb_graph *g = tb_graph_new();
    char id[32], before[32] = "";
    for (int i = 0; i < 100000; i++) {
        snprintf(id, sizeof id, "n%d", 100000 - i);
        const int at = tb_graph_add(g, id, i ? "t_join" : "t_number", NULL, NULL, &err);
        if (i)
            tb_graph_set_link(g, at, "a", before, 0);
        strcpy(before, id);
    }
    tb_program *p = tb_program_new(g, t);
    tb_err_list errors = { 0 };
    CHECK_INT(tb_program_check(p, &errors), 0);
    CHECK_OK(tb_program_keys(p, &(tb_numeric){ "c", "l" }, NULL, NULL, &err));
    CHECK(p->nodes[99999].keyed);
    tb_program_free(&p);
    tb_types_free(&t);
}

TEST(documents_survive_json)
{
    static const char text[] =
        "{\"a\":{\"class_type\":\"t_join\",\"inputs\":{\"a\":[\"b\",2],\"path\":\"x\"},"
        "\"_meta\":{\"origin\":\"f.lua:1\"}}}";
    tb_err err = TB_ERR_INIT;
    json_t *j = tb_json_parse(text, sizeof text - 1, "t", &err);
    tb_graph *g = tb_graph_new();
    CHECK_OK(tb_graph_read(g, j, &err));
    CHECK_STR(tb_graph_at(g, 0)->origin, "f.lua:1");
    json_t *back = tb_graph_to_json(g);
    CHECK(json_equal(j, back));
    json_decref(j);
    json_decref(back);
    tb_graph_free(&g);
}

TEST(types_from_a_script_survive_json)
{
    tb_types *t = types();
    const tb_type *box = tb_types_find(t, "t_box");
    REQUIRE(box);
    CHECK_INT(box->kind, TB_COMPOSITE);
    json_t *j = tb_type_to_json(box);
    const json_t *in = json_array_get(json_object_get(j, "inputs"), 0);
    CHECK_INT(json_integer_value(json_object_get(in, "default")), 2);
    CHECK(json_is_true(json_object_get(in, "literal")));
    json_decref(j);
    CHECK(tb_port_fits("INT", "FLOAT") && !tb_port_fits("FLOAT", "INT") &&
          tb_port_fits("A,B", "B,C"));
    CHECK(!tb_port_fits("LATENT", "IMAGE") && tb_port_fits("LATENT", "*"));
    tb_types_free(&t);
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(all_errors_are_reported_at_once_with_their_place),
        TEST_CASE(links_are_checked),
        TEST_CASE(every_error_has_a_place_and_a_reason),
        TEST_CASE(lenient_graphs_are_taken_as_comfyui_takes_them),
        TEST_CASE(a_cycle_is_named),
        TEST_CASE(muted_and_bypassed_nodes_are_resolved),
        TEST_CASE(malformed_documents_are_refused),
        TEST_CASE(the_compute_mode_enters_where_linears_are),
        TEST_CASE(keys_hang_on_what_makes_the_result_and_on_nothing_else),
        TEST_CASE(composites_are_spliced_and_their_links_followed),
        TEST_CASE(a_chain_of_100000_nodes_is_checked_and_keyed_without_recursion),
        TEST_CASE(documents_survive_json),
        TEST_CASE(types_from_a_script_survive_json),
    };
    return tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
}
