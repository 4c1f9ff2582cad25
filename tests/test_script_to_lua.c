/* test_script_to_lua.c - documents written as Lua come back as the same documents, and the same
 * text. */
#include "test.h"

#include "script/script.h"

static const char document[] =
    "{\"graph\": {\"late\": {\"class_type\": \"sampler_step\", \"inputs\": {\"latent\": [\"3\", 0],"
    "   \"velocity\": [\"3\", 0], \"sigmas\": [\"m\", 1], \"step\": 5, \"eta\": 5.0}},"
    " \"3\": {\"class_type\": \"noise_init\", \"inputs\": {\"seed\": 7, \"size\": "
    "\"64x64\\n\\\"\\\\\\u0001\\u00e9\","
    "   \"model\": [\"m\", 0]}, \"_meta\": {\"title\": \"noise\", \"pos\": [10, 2.5], \"mode\": "
    "\"mute\", \"size\": [200, 90], \"collapsed\": true, \"colour\": \"red\"}},"
    " \"m\": {\"class_type\": \"load_model\", \"inputs\": {\"path\": \"\"}},"
    " \"a/b c\": {\"class_type\": \"guidance\", \"inputs\": {\"cond\": [\"late\", 0], \"cfg\": "
    "0.1}},"
    " \"s\": {\"class_type\": \"sample\", \"inputs\": {\"latent\": [\"a/b c\", 0], \"steps\": -3,"
    "   \"denoise\": 1e-7, \"sampler\": {\"__value__\": [1, 2.0, [true, null], {\"end\": \"x\", "
    "\"k\": []}]}}},"
    " \"t\": {\"class_type\": \"sampler_step\", \"inputs\": {\"latent\": [\"s\", 0]},"
    "   \"_meta\": {\"pos\": [-1, 0]}}},"
    " \"targets\": [\"s\", \"t\"],"
    " \"view\": {\"groups\": [{\"id\": \"g\", \"title\": \"All\", \"box\": [0, 0, 9, 9]}],"
    "   \"folded\": {\"s\": true, \"a/b c\": false}, \"scale\": 1.5}}";

static const char text[] =
    "local tb = require \"tubelet\"\n"
    "\n"
    "return tb.graph {\n"
    "  doc = \"All there is.\",\n"
    "  build = function()\n"
    "    local n = {}\n"
    "    n.m = tb.load_model { id = \"m\", path = \"\" }\n"
    "    n[\"3\"] = tb.noise_init { id = \"3\", title = \"noise\", meta = { mode = \"mute\" },"
    " model = n.m.model, seed = 7, size = \"64x64\\n\\\"\\\\\\001\xc3\xa9\" }\n"
    "    n.late = tb.sampler_step { id = \"late\", latent = n[\"3\"], sigmas = n.m.clip, velocity "
    "= n[\"3\"],"
    " eta = 5.0, step = 5 }\n"
    "    n[\"a/b c\"] = tb.guidance { id = \"a/b c\", cond = n.late, cfg = 0.1 }\n"
    "    n.s = tb.sample { id = \"s\", latent = n[\"a/b c\"], denoise = 1e-07,"
    " sampler = { 1, 2.0, { true, tb.null }, { [\"end\"] = \"x\", k = {} } }, steps = -3 }\n"
    "    n.t = tb.sampler_step { id = \"t\", latent = n.s[1] }\n"
    "    return { n.s, n.t }\n"
    "  end,\n"
    "  view = {\n"
    "    nodes = {\n"
    "      [\"3\"] = { collapsed = true, colour = \"red\", pos = { 10, 2.5 }, size = { 200, 90 } "
    "},\n"
    "      t = { pos = { -1, 0 } },\n"
    "    },\n"
    "    folded = {\n"
    "      [\"a/b c\"] = false,\n"
    "      s = true,\n"
    "    },\n"
    "    groups = {\n"
    "      { box = { 0, 0, 9, 9 }, id = \"g\", title = \"All\" },\n"
    "    },\n"
    "    scale = 1.5,\n"
    "  },\n"
    "}\n";

static json_t *evaluate(const char *source)
{
    tb_err err = TB_ERR_INIT;
    tb_script *s = tb_script_start(&err);
    REQUIRE(s);
    json_t *sources = json_pack("{sss{ss}}", "main", "saved.lua", "files", "saved.lua", source);
    CHECK_OK(tb_script_load_sources(s, sources, &err));
    json_t *built = tb_script_build(s, NULL, &err);
    if (!built)
        fprintf(stderr, "%s: %s\n", err.origin, err.message);
    REQUIRE(built);
    json_decref(sources);
    tb_script_stop(&s);
    return built;
}

/* What a script adds: where each node was made. */
static void drop_origins(json_t *graph)
{
    const char *id;
    json_t *node;
    json_object_foreach(graph, id, node)
    {
        json_t *meta = json_object_get(node, "_meta");
        json_object_del(meta, "origin");
        if (meta && json_object_size(meta) == 0)
            json_object_del(node, "_meta");
    }
}

TEST(document_to_lua_and_back)
{
    tb_err err = TB_ERR_INIT;
    json_t *d = json_loads(document, 0, NULL);
    REQUIRE(d);
    char *lua = tb_script_to_lua(d, "All there is.", &err);
    CHECK_STR(lua, text);
    json_t *again = evaluate(lua ? lua : "");
    char *lua2 = tb_script_to_lua(again, "All there is.", &err);
    CHECK_STR(lua2, text);
    drop_origins(json_object_get(again, "graph"));
    CHECK(json_equal(d, again));
    free(lua);
    free(lua2);
    json_decref(d);
    json_decref(again);
}

static void check_refused(const char *json, const char *want)
{
    tb_err err = TB_ERR_INIT;
    char got[1200];
    json_t *d = json_pack("{so}", "graph", json_loads(json, 0, NULL));
    char *lua = tb_script_to_lua(d, NULL, &err);
    CHECK(!lua);
    CHECK_STR(tb_err_text(&err, NULL, got, sizeof got), want);
    free(lua);
    json_decref(d);
}

TEST(documents_without_a_script)
{
    check_refused("{}", "the document has no nodes");
    check_refused("{\"a\": {\"inputs\": {}}}", "node 'a': the node has no class_type");
    check_refused("{\"a\": {\"class_type\": \"x\", \"inputs\": {\"i\": [\"b\", 0]}}}",
                  "node 'a': input 'i' is linked to node 'b', which is not there");
    check_refused("{\"a\": {\"class_type\": \"x\", \"inputs\": {\"i\": [\"b\", 0]}},"
                  " \"b\": {\"class_type\": \"x\", \"inputs\": {\"j\": [\"a\", 0]}}}",
                  "node 'b': input 'j' closes a circle with node 'a', which no script can make");
    check_refused("{\"a\": {\"class_type\": \"x\", \"inputs\": {\"i\": {}}}}",
                  "node 'a': an empty object cannot be written as Lua, where it is a list");
    check_refused("{\"a\": {\"class_type\": \"x\", \"inputs\": {\"i\": [1, 2, 3]}}}",
                  "node 'a': a literal list is written { \"__value__\": [...] }");
}

static json_t *built_with(const char *view)
{
    char source[600];
    snprintf(source, sizeof source,
             "local tb = require 'tubelet'\n"
             "return tb.graph { build = function()\n"
             "  return tb.load_model { id = 'm', meta = { pos = { 1, 2 } } }\n"
             "end, view = %s }",
             view);
    return evaluate(source);
}

/* What a node says of itself wins; rows of nodes that are gone, and fields that are none of the
 * view's, are dropped; nothing changes how the graph runs. */
TEST(views_are_spread_over_the_nodes)
{
    json_t *d = built_with("{ nodes = { m = { pos = { 9, 9 }, pinned = true, mode = 'mute' },"
                           "            gone = { pos = { 0, 0 } } } }");
    json_t *meta = json_object_get(json_object_get(json_object_get(d, "graph"), "m"), "_meta");
    json_t *want = json_loads("{\"pos\": [1, 2], \"pinned\": true}", 0, NULL);
    json_object_del(meta, "origin");
    CHECK(json_equal(meta, want));
    CHECK(!json_object_get(d, "view"));
    CHECK_INT(json_object_size(json_object_get(d, "graph")), 1);
    json_decref(want);
    json_decref(d);
    d = built_with("{}");
    CHECK(!json_object_get(d, "view"));
    json_decref(d);
}

TEST(empty_parts_of_a_view_are_left_out)
{
    tb_err err = TB_ERR_INIT;
    json_t *d = json_loads("{\"graph\": {\"m\": {\"class_type\": \"load_model\"}},"
                           " \"view\": {\"folded\": {}, \"nodes\": {\"x\": 1},"
                           " \"groups\": [{\"style\": {}}]}}",
                           0, NULL);
    char *lua = tb_script_to_lua(d, NULL, &err);
    CHECK_STR(lua, "local tb = require \"tubelet\"\n\nreturn tb.graph {\n"
                   "  build = function()\n    local n = {}\n"
                   "    n.m = tb.load_model { id = \"m\" }\n  end,\n}\n");
    free(lua);
    json_decref(d);
}

/* 20,000 nodes in a chain, listed backwards: neither recursion nor quadratic time. */
TEST(long_chains)
{
    enum { N = 20000 };
    tb_err err = TB_ERR_INIT;
    json_t *d = json_object(), *whole = json_pack("{so}", "graph", d);
    for (int i = 0; i < N; i++) {
        char id[16], src[16];
        snprintf(id, sizeof id, "n%d", i);
        snprintf(src, sizeof src, "n%d", i + 1);
        json_t *inputs = i + 1 < N ? json_pack("{s[si]}", "latent", src, 0) : json_object();
        json_object_set_new(d, id,
                            json_pack("{ssso}", "class_type", "sampler_step", "inputs", inputs));
    }
    char *lua = tb_script_to_lua(whole, NULL, &err);
    REQUIRE(lua);
    CHECK(strstr(lua, "n.n0 = ") > strstr(lua, "n.n19999 = "));
    free(lua);
    json_decref(whole);
}

static const struct tb_test tests[] = {
    TEST_CASE(document_to_lua_and_back),
    TEST_CASE(documents_without_a_script),
    TEST_CASE(views_are_spread_over_the_nodes),
    TEST_CASE(empty_parts_of_a_view_are_left_out),
    TEST_CASE(long_chains),
};

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "__lua") == 0)
        tb_script_child_main(TB_SCRIPT_CHILD_FD);
    setenv("TUBELET_BIN", "/proc/self/exe", 1);
    return tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
}
