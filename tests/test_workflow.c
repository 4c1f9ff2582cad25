/* test_workflow.c - workflows as ComfyUI's editor saves them, as documents: values by name, links
 * through everything that only passes them on, subgraphs, modes; and sentences for what is broken.
 */
#include "base/mem.h"
#include "graph/graph.h"
#include "graph/program.h"
#include "graph/workflow.h"
#include "script/script.h"
#include "test.h"

static tb_types *types;

/* Node types in C, and those of scripts/lib. */
static void load_types(void)
{
    tb_err err = TB_ERR_INIT;
    tb_script *s = tb_script_start(&err);
    REQUIRE(s);
    json_t *array = tb_script_types(s, &err);
    REQUIRE(array);
    types = tb_types_new();
    REQUIRE(tb_types_add(types, array, &err) == TB_OK);
    json_decref(array);
    tb_script_stop(&s);
}

static json_t *load(const char *name)
{
    tb_err err = TB_ERR_INIT;
    char *path = tb_xasprintf("tests/workflows/%s", name);
    json_t *j = tb_json_load(path, 1 << 20, &err);
    REQUIRE(j);
    free(path);
    return j;
}

static json_t *convert(const json_t *workflow, json_t *warnings)
{
    tb_err err = TB_ERR_INIT;
    CHECK(tb_is_workflow(workflow));
    json_t *d = tb_workflow_to_document(types, workflow, warnings, &err);
    CHECK_STR(err.message, "");
    REQUIRE(d);
    return d;
}

/* The graph checked as it would be before a run: no error. */
static void check_runs(const json_t *document)
{
    tb_err err = TB_ERR_INIT;
    tb_err_list errors = { 0 };
    char text[1400];
    tb_graph *g = tb_graph_new();
    CHECK(tb_graph_read(g, json_object_get(document, "graph"), &err) == TB_OK);
    tb_program *p = tb_program_new(g, types);
    tb_program_check(p, &errors);
    for (int i = 0; i < errors.count; i++)
        CHECK_STR(tb_err_text(&errors.items[i], errors.types[i], text, sizeof text), "");
    tb_err_list_free(&errors);
    tb_program_free(&p);
}

/* An input of a node as text; "none" when it is not set. */
static void check_input(const json_t *document, const char *id, const char *input, const char *want)
{
    const json_t *node = json_object_get(json_object_get(document, "graph"), id);
    const json_t *v = json_object_get(json_object_get(node, "inputs"), input);
    char *got = v ? tb_json_canonical(v) : tb_xstrdup("none");
    if (strcmp(got, want) != 0)
        fprintf(stderr, "%s.%s: ", id, input);
    CHECK_STR(got, want);
    free(got);
}

static const char *meta_of(const json_t *document, const char *id, const char *field)
{
    const json_t *node = json_object_get(json_object_get(document, "graph"), id);
    const char *s = json_string_value(json_object_get(json_object_get(node, "_meta"), field));
    return s ? s : "none";
}

TEST(values_get_the_names_of_inputs)
{
    json_t *w = load("wan_t2v.json"), *warnings = json_array(), *d = convert(w, warnings);
    check_runs(d);
    CHECK_INT(json_array_size(warnings), 0);
    CHECK_INT(json_object_size(json_object_get(d, "graph")), 11); /* the note is left out */
    check_input(d, "3", "seed", "82628696717253");
    check_input(d, "3", "steps", "4"); /* "randomize" stands before it */
    check_input(d, "3", "cfg", "3");
    check_input(d, "3", "sampler_name", "\"uni_pc\"");
    check_input(d, "3", "scheduler", "\"simple\"");
    check_input(d, "3", "denoise", "1");
    check_input(d, "3", "model", "[\"48\",0]");
    check_input(d, "3", "latent_image", "[\"40\",0]");
    check_input(d, "8", "vae", "[\"39\",0]");
    check_input(d, "49", "fps", "8");
    check_input(d, "49", "audio", "none");
    check_input(d, "50", "filename_prefix", "\"video/ComfyUI\"");
    json_decref(d);
    json_decref(warnings);
    json_decref(w);
}

TEST(the_drawing_is_kept)
{
    json_t *w = load("wan_t2v.json"), *d = convert(w, NULL);
    const json_t *groups = json_object_get(json_object_get(d, "view"), "groups");
    char *group = tb_json_canonical(json_array_get(groups, 0));
    const json_t *node = json_object_get(json_object_get(d, "graph"), "3");
    char *pos = tb_json_canonical(json_object_get(json_object_get(node, "_meta"), "pos"));
    char *size = tb_json_canonical(json_object_get(json_object_get(node, "_meta"), "size"));
    CHECK_STR(pos, "[863.0,187.0]");
    CHECK_STR(size, "[315.0,262.0]");
    CHECK_STR(meta_of(d, "6", "title"), "CLIP Text Encode (Positive Prompt)");
    CHECK_STR(meta_of(d, "6", "colour"), "#232");
    CHECK_INT(json_array_size(groups), 2);
    CHECK_STR(group, "{\"box\":[-10.0,-10.0,420.0,430.0],\"colour\":\"#3f789e\",\"id\":\"g1\","
                     "\"title\":\"Step1 - Load models\"}");
    free(group);
    free(pos);
    free(size);
    json_decref(d);
    json_decref(w);
}

TEST(subgraphs_are_spread_out)
{
    json_t *w = load("wan22_subgraph.json"), *d = convert(w, NULL);
    check_runs(d);
    check_input(d, "108", "video", "[\"130:117\",0]");
    check_input(d, "130:107", "clip", "[\"130:105\",0]");
    check_input(d, "130:107", "text", "\"a large red ball bounces on the grass by day\"");
    check_input(d, "130:128", "width", "64"); /* a proxy of the use */
    check_input(d, "130:128", "length", "5");
    check_input(d, "130:128", "batch_size", "1"); /* the node's own */
    check_input(d, "130:122", "unet_name", "\"wan2.1_tiny_fp16.safetensors\"");
    check_input(d, "130:110", "noise_seed", "1234");
    check_input(d, "130:110", "steps", "4");
    check_input(d, "130:111", "latent_image", "[\"130:110\",0]");
    check_input(d, "130:111", "return_with_leftover_noise", "\"disable\"");
    CHECK(!json_object_get(json_object_get(d, "graph"), "130"));
    json_decref(d);
    json_decref(w);
}

TEST(links_pass_through_reroutes_primitives_and_bypassed_nodes)
{
    json_t *w = load("routed.json"), *d = convert(w, NULL);
    check_runs(d);
    check_input(d, "15", "vae", "[\"3\",0]");    /* two reroutes */
    check_input(d, "14", "seed", "4242");        /* a primitive */
    check_input(d, "14", "model", "[\"11\",0]"); /* bypassed here as there */
    check_input(d, "11", "model", "[\"1\",0]");  /* an unknown bypassed node, Get and Set */
    check_input(d, "17", "fps", "8");            /* values by name */
    check_input(d, "2", "device", "none");       /* an older file has fewer values */
    CHECK_STR(meta_of(d, "11", "mode"), "bypass");
    CHECK_STR(meta_of(d, "16", "mode"), "mute");
    CHECK_STR(meta_of(d, "20", "mode"), "mute"); /* unknown, and kept as it was */
    CHECK_STR(meta_of(d, "12", "mode"), "bypass");
    json_decref(d);
    json_decref(w);
}

/* A copy of the whole graph that is bypassed has nothing to pass on, and asks for nothing. */
TEST(a_bypassed_copy_counts_for_nothing)
{
    json_t *w = load("two_copies.json"), *d = convert(w, NULL);
    json_t *graph = json_object_get(d, "graph");
    CHECK(!json_object_get(graph, "302")); /* of the editor alone */
    json_object_del(graph, "301");         /* unfinished, and needed by nothing */
    check_runs(d);
    CHECK_STR(meta_of(d, "204", "mode"), "bypass");
    check_input(d, "209", "start_image", "[\"214\",0]");
    json_decref(d);
    json_decref(w);
}

/* ----------------------------------------------------------------------------- what is broken */

static json_t *parse(const char *text)
{
    tb_err err = TB_ERR_INIT;
    char *copy = tb_xstrdup(text);
    for (char *c = copy; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    json_t *j = tb_json_parse(copy, strlen(copy), "workflow", &err);
    CHECK_STR(err.message, "");
    free(copy);
    return j;
}

static void refused(const char *text, const char *sentence)
{
    tb_err err = TB_ERR_INIT;
    json_t *w = parse(text), *d = tb_workflow_to_document(types, w, NULL, &err);
    CHECK(!d);
    CHECK_STR(err.message, sentence);
    json_decref(d);
    json_decref(w);
}

#define DECODE(link) \
    "{'id':8,'type':'VAEDecode','inputs':[{'name':'samples','type':'LATENT','link':" link "}]}"

TEST(broken_workflows_are_refused_in_a_sentence)
{
    refused("{'nodes':[]}", "the workflow holds no node that could run");
    refused("{'nodes':[{'type':'VAEDecode'}]}",
            "the workflow's node number 1 has no id or no type");
    refused("{'nodes':[3,'x']}", "the workflow's node number 1 has no id or no type");
    refused("{'nodes':[{'id':1,'type':'Note'},{'id':1,'type':'Note'}]}",
            "the workflow has two nodes with the id 1");
    refused("{'nodes':[" DECODE("7") "],'links':[]}",
            "node 8 (VAEDecode): the workflow's link 7 is not in its table of links; open and save "
            "it with ComfyUI again");
    refused("{'nodes':[" DECODE("7") "],'links':[[7,99,0,8,0,'LATENT']]}",
            "node 8 (VAEDecode): the workflow's link 7 comes from node 99, which is not there");
    refused("{'nodes':[" DECODE("7") ",{'id':1,'type':'Reroute','title':'r','inputs':[{'link':2}]},"
                                     "{'id':2,'type':'Reroute','inputs':[{'link':1}]}],"
                                     "'links':[[7,1,0,8,0,'*'],[1,1,0,2,0,'*'],[2,2,0,1,0,'*']]}",
            "node 8 (VAEDecode): its links go round in a circle of nodes that only pass them on "
            "(Reroute, Get, Set, subgraphs)");
    refused("{'nodes':[{'id':1,'type':'a'}],'definitions':{'subgraphs':[{'id':'a','nodes':[{'id':2,"
            "'type':'a'}]}]}}",
            "the workflow's subgraphs are nested more than 16 deep, or one holds itself");
}

TEST(an_unknown_type_is_named_with_its_title)
{
    tb_err_list errors = { 0 };
    tb_err err = TB_ERR_INIT;
    char text[1400];
    json_t *w = parse("{'nodes':[{'id':12,'type':'KSamplr','title':'Refine','widgets_values':[1,2],"
                      "'properties':{'cnr_id':'comfyui-x'},"
                      "'inputs':[{'name':'seed','widget':{'name':'seed'},'link':null}]}]}");
    json_t *d = convert(w, NULL);
    check_input(d, "12", "seed", "1");
    tb_graph *g = tb_graph_new();
    CHECK(tb_graph_read(g, json_object_get(d, "graph"), &err) == TB_OK);
    tb_program *p = tb_program_new(g, types);
    CHECK_INT(tb_program_check(p, &errors), 1);
    CHECK_STR(tb_err_text(&errors.items[0], NULL, text, sizeof text),
              "node '12': unknown node type 'KSamplr' (titled 'Refine', from the node pack "
              "'comfyui-x'); did you mean 'KSampler'?");
    tb_err_list_free(&errors);
    tb_program_free(&p);
    json_decref(d);
    json_decref(w);
}

TEST(values_without_a_widget_are_told)
{
    json_t *w = parse("{'nodes':[{'id':5,'type':'VAELoader','title':'v','widgets_values':['a','b',"
                      "3]}]}");
    json_t *warnings = json_array(), *d = convert(w, warnings);
    CHECK_INT(json_array_size(warnings), 1);
    CHECK_STR(json_string_value(json_array_get(warnings, 0)),
              "node 5 'v' (VAELoader): 2 of its values are of widgets that tubelet's node does not "
              "have");
    json_decref(d);
    json_decref(warnings);
    json_decref(w);
}

/* --------------------------------------------------------------------------------------- fuzzing
 */

static uint64_t state = 1;

static uint32_t draw(uint32_t n)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % n;
}

static json_t *anything(void)
{
    switch (draw(9)) {
    case 0: return json_null();
    case 1: return json_true();
    case 2: return json_integer((json_int_t)draw(140));
    case 3: return json_integer(-(json_int_t)draw(30));
    case 4: return json_real(1e300);
    case 5: return json_string(draw(2) ? "Reroute" : "SetNode");
    case 6: return json_array();
    case 7: return json_pack("[iii]", 1, 2, 3);
    default: return json_pack("{si}", "0", 1);
    }
}

/* Changes about one value in `rate`. */
static void mutate(json_t *j, uint32_t rate)
{
    const char *name;
    json_t *v;
    void *tmp;
    for (size_t i = 0; i < json_array_size(j); i++) {
        if (!draw(rate))
            json_array_set_new(j, i, anything());
        else
            mutate(json_array_get(j, i), rate);
    }
    if (json_is_array(j) && json_array_size(j) && !draw(rate))
        json_array_remove(j, draw((uint32_t)json_array_size(j)));
    json_object_foreach_safe(j, tmp, name, v)
    {
        if (!draw(rate))
            json_object_set_new(j, name, anything());
        else if (!draw(rate))
            json_object_del(j, name);
        else
            mutate(v, rate);
    }
}

TEST(mutated_workflows_never_crash)
{
    static const char *const files[] = { "wan_t2v.json", "wan_i2v.json", "wan22_subgraph.json",
                                         "routed.json" };
    int converted = 0, refusals = 0;
    for (int round = 0; round < 1200; round++) {
        tb_err err = TB_ERR_INIT;
        json_t *original = load(files[round % 4]), *w = json_deep_copy(original);
        json_t *warnings = json_array();
        mutate(w, round % 3 ? 200 : 40);
        json_t *d = tb_workflow_to_document(types, w, warnings, &err);
        CHECK(d ? err.status == TB_OK : err.status != TB_OK && *err.message);
        converted += d != NULL;
        refusals += d == NULL;
        json_decref(d);
        json_decref(warnings);
        json_decref(w);
        json_decref(original);
    }
    CHECK(converted > 100 && refusals > 100); /* both ways are taken */
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(values_get_the_names_of_inputs),
        TEST_CASE(the_drawing_is_kept),
        TEST_CASE(subgraphs_are_spread_out),
        TEST_CASE(links_pass_through_reroutes_primitives_and_bypassed_nodes),
        TEST_CASE(a_bypassed_copy_counts_for_nothing),
        TEST_CASE(broken_workflows_are_refused_in_a_sentence),
        TEST_CASE(an_unknown_type_is_named_with_its_title),
        TEST_CASE(values_without_a_widget_are_told),
        TEST_CASE(mutated_workflows_never_crash),
    };
    load_types();
    const int failed = tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
    tb_types_free(&types);
    return failed;
}
