/* test_editor_graphs.c - the editor's API on graphs: reading, saving, building, opening, checking
 * and planning them, over HTTP against a real server. */
#include <stdatomic.h>
#include <unistd.h>

#include "editor_help.h"
#include "formats/media.h"
#include "script/script.h"

static serving v;

static const char by_hand[] = "local tb = require 'tubelet'\n"
                              "return tb.graph {\n"
                              "  doc = 'By hand.',\n"
                              "  params = { text = tb.string { default = 'a' },\n"
                              "             n = tb.int { default = 2, min = 1, max = 9 } },\n"
                              "  build = function(p)\n"
                              "    return tb.constant_string { id = 'j', value = p.text }\n"
                              "  end,\n"
                              "}\n";

static json_t *parse(const char *text)
{
    json_error_t e;
    json_t *j = json_loads(text, 0, &e);
    if (!j)
        fprintf(stderr, "%s in %s\n", e.text, text);
    REQUIRE(j);
    return j;
}

#define JOINED                                                                            \
    "{\"graph\":{\"a\":{\"class_type\":\"constant_string\",\"inputs\":{\"value\":\"x\"}," \
    "\"_meta\":{\"pos\":[1,2],\"title\":\"A\",\"mode\":\"mute\"}},"                       \
    "\"b\":{\"class_type\":\"constant_int\",\"inputs\":{\"value\":2},"                    \
    "\"_meta\":{\"size\":[200,90.5],\"colour\":\"red\"}}},"                               \
    "\"targets\":[\"b\"],"                                                                \
    "\"view\":{\"groups\":[{\"id\":\"g\",\"title\":\"G\",\"box\":[0,0,5,5]}],"            \
    "\"folded\":{\"b\":true}}}"

/* ----------------------------------------------------------------------------------------- info */

TEST(the_server_says_what_it_is)
{
    json_t *j = get(&v, "info");
    CHECK_STATUS(&v, 200);
    CHECK(strstr(text_at(j, "roots.graphs"), "/graphs"));
    CHECK(strstr(text_at(j, "store.path"), "/store"));
    CHECK(number_at(j, "memory.limit") > 0 && number_at(j, "memory.available") > 0);
    CHECK_INT(number_at(j, "threads"), 1);
    CHECK_INT(number_at(j, "upload_cap"), 100 << 20);
    json_decref(j);
    j = get(&v, "nodes");
    bool found = false;
    size_t i;
    json_t *type;
    json_array_foreach(at(j, "nodes"), i, type) found |=
        strcmp(text_at(type, "name"), "sample") == 0;
    CHECK(found);
    json_decref(j);
    CHECK_REFUSED(&v, "GET", "results/00/nothing", NULL, 404, "not_found",
                  "there is no GET /api/tubelet/results/00/nothing");
}

/* --------------------------------------------------------------------------------------- graphs */

TEST(graphs_are_listed_and_read)
{
    put_file(&v, "graphs/hand.lua", by_hand);
    put_file(&v, "graphs/deep/plain.json",
             "{\"a\":{\"class_type\":\"constant_int\",\"inputs\":{}}}");
    put_file(&v, "graphs/notes.txt", "no graph");
    put_file(&v, "graphs/.hidden.lua", "no graph");
    json_t *j = get(&v, "graphs");
    CHECK_INT(json_array_size(at(j, "graphs")), 2);
    CHECK_STR(text_at(j, "graphs.0.path"), "deep/plain.json");
    CHECK_STR(text_at(j, "graphs.1.path"), "hand.lua");
    CHECK_STR(text_at(j, "graphs.1.kind"), "lua");
    CHECK_INT(number_at(j, "graphs.1.bytes"), strlen(by_hand));
    json_decref(j);
    j = get(&v, "graphs/hand.lua");
    CHECK_STATUS(&v, 200);
    CHECK_STR(text_at(j, "doc"), "By hand.");
    CHECK_STR(text_at(j, "params.1.name"), "n");
    CHECK_INT(number_at(j, "values.n"), 2);
    CHECK_STR(text_at(j, "source"), by_hand);
    CHECK_STR(text_at(j, "document.graph.j.inputs.value"), "a");
    CHECK_STR(text_at(j, "document.graph.j._meta.origin"), "hand.lua:7");
    CHECK_STR(text_at(j, "document.targets.0"), "j");
    CHECK(!at(j, "document.script"));
    CHECK(json_is_false(at(j, "saved")));
    json_decref(j);
    j = get(&v, "graphs/deep/plain.json");
    CHECK_STR(text_at(j, "document.graph.a.class_type"), "constant_int");
    CHECK(json_is_true(at(j, "saved")));
    json_decref(j);
}

TEST(broken_graphs_are_shown_with_what_is_wrong)
{
    put_file(&v, "graphs/broken.lua",
             "local tb = require 'tubelet'\n\nreturn tb.graph { build = 5 }");
    json_t *j = get(&v, "graphs/broken.lua");
    CHECK_STATUS(&v, 200);
    CHECK(json_is_null(at(j, "document")));
    CHECK_STR(text_at(j, "errors.0.text"),
              "broken.lua:3: tb.graph needs build, a function that makes the nodes");
    CHECK(json_is_false(at(j, "saved")));
    json_decref(j);
    put_file(&v, "graphs/no.json", "{\"a\":");
    j = get(&v, "graphs/no.json");
    CHECK(strstr(text_at(j, "errors.0.message"), "no.json is not valid JSON"));
    json_decref(j);
    unlink("graphs/broken.lua");
}

TEST(only_graphs_below_the_folder_are_read)
{
    char *link = tb_xasprintf("%s/graphs/out.lua", v.dir);
    put_file(&v, "outside.lua", by_hand);
    char *target = tb_xasprintf("%s/outside.lua", v.dir);
    CHECK(symlink(target, link) == 0);
    static const char *const names[] = { "graphs/out.lua", "graphs/%2e%2e/outside.lua",
                                         "graphs/..%2foutside.lua", "graphs//etc/x.lua" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        json_t *j = get(&v, names[i]);
        if (v.c.status < 400)
            fprintf(stderr, "%s: %d\n", names[i], v.c.status);
        CHECK(v.c.status >= 400);
        json_decref(j);
    }
    json_t *j = call_text(&v, "PUT", "graphs/out.lua", "{\"document\":" JOINED ",\"etag\":\"x\"}");
    CHECK(v.c.status >= 400);
    json_decref(j);
    CHECK_REFUSED(&v, "GET", "graphs/notes.txt", NULL, 400, "bad_input",
                  "a graph is a .lua or .json file, got 'notes.txt'");
    j = get(&v, "graphs/missing.lua");
    CHECK_STATUS(&v, 404);
    json_decref(j);
    unlink(link);
    free(link);
    free(target);
}

static json_t *save(const char *path, const char *document, const char *etag)
{
    json_t *body = json_pack("{so ss*}", "document", parse(document), "etag", etag);
    return call_take(&v, "PUT", path, body);
}

TEST(a_saved_graph_is_the_same_graph)
{
    json_t *saved = save("graphs/new/saved.lua", JOINED, NULL);
    CHECK_STATUS(&v, 200);
    json_t *j = get(&v, "graphs/new/saved.lua");
    CHECK_STR(text_at(j, "etag"), text_at(saved, "etag"));
    CHECK(json_is_true(at(j, "saved")));
    json_t *graph = at(j, "document.graph"), *node, *want = parse(JOINED);
    const char *id;
    json_object_foreach(graph, id, node) json_object_del(json_object_get(node, "_meta"), "origin");
    if (!json_equal(at(j, "document"), want)) {
        char *text = tb_json_pretty(at(j, "document"));
        fprintf(stderr, "%s\n", text);
        free(text);
    }
    CHECK(json_equal(at(j, "document"), want));
    json_decref(want);
    json_decref(saved);
    json_decref(j);
}

TEST(nothing_is_saved_over_what_was_not_seen)
{
    json_t *first = save("graphs/mine.lua", JOINED, NULL);
    CHECK_STATUS(&v, 200);
    CHECK_REFUSED(&v, "PUT", "graphs/mine.lua", "{\"document\":" JOINED "}", 409, "exists",
                  "there is a file mine.lua already");
    put_file(&v, "graphs/mine.lua", by_hand);
    json_t *j = save("graphs/mine.lua", JOINED, text_at(first, "etag"));
    CHECK_STATUS(&v, 409);
    CHECK_STR(text_at(j, "error.code"), "changed");
    json_decref(j);
    j = get(&v, "graphs/mine.lua");
    CHECK_STR(text_at(j, "source"), by_hand);
    json_t *again = save("graphs/mine.lua", JOINED, text_at(j, "etag"));
    CHECK_STATUS(&v, 200);
    CHECK_STR(text_at(again, "etag"), text_at(first, "etag"));
    json_decref(again);
    json_decref(j);
    j = save("graphs/gone.lua", JOINED, "0123");
    CHECK_STATUS(&v, 409);
    CHECK_STR(text_at(j, "error.message"), "gone.lua is no longer there");
    json_decref(j);
    json_decref(first);
}

/* JSON: a graph alone is written in API format. */
TEST(graphs_are_saved_as_json_by_name)
{
    json_decref(save("graphs/a.json",
                     "{\"graph\":{\"a\":{\"class_type\":\"constant_int\"}},\"view\":{}}", NULL));
    json_t *j = get(&v, "graphs/a.json");
    CHECK_STR(text_at(j, "source"),
              "{\n  \"a\": {\n    \"class_type\": \"constant_int\"\n  }\n}\n");
    json_decref(j);
    json_decref(save("graphs/b.json", JOINED, NULL));
    j = get(&v, "graphs/b.json");
    CHECK_STR(text_at(j, "document.view.groups.0.title"), "G");
    json_decref(j);
}

static void *save_once(void *arg)
{
    serving mine = v;
    int *status = arg;
    REQUIRE(client_open(&mine.c, v.port));
    json_decref(call_text(&mine, "PUT", "graphs/race.lua", "{\"document\":" JOINED "}"));
    *status = mine.c.status;
    client_close(&mine.c);
    return NULL;
}

TEST(of_saves_at_once_one_wins)
{
    enum { N = 8 };
    pthread_t threads[N];
    int status[N], saved = 0, refused = 0;
    for (int i = 0; i < N; i++)
        pthread_create(&threads[i], NULL, save_once, &status[i]);
    for (int i = 0; i < N; i++) {
        pthread_join(threads[i], NULL);
        saved += status[i] == 200;
        refused += status[i] == 409;
    }
    CHECK_INT(saved, 1);
    CHECK_INT(refused, N - 1);
}

/* -------------------------------------------------------------------------------- build and open
 */

TEST(a_graph_is_shown_before_its_files_are_named)
{
    put_file(
        &v, "graphs/wants.lua",
        "local tb = require 'tubelet'\nreturn tb.graph {\n"
        "  params = { image = tb.path { doc = 'The picture.' }, n = tb.int { default = 3 } },\n"
        "  build = function(p)\n    return tb.save_image { images = tb.load_image { "
        "path = p.image, width = p.n }, path = 'x.png' }\n  end }\n");
    json_t *j = get(&v, "graphs/wants.lua");
    CHECK_STR(text_at(j, "document.graph.load_image.inputs.path"), "");
    CHECK_INT(number_at(j, "document.graph.load_image.inputs.width"), 3);
    CHECK(json_is_null(at(j, "values.image")));
    CHECK_INT(json_array_size(at(j, "errors")), 0);
    json_t *body = json_pack("{sO}", "document", at(j, "document"));
    json_decref(j);
    j = call_take(&v, "POST", "plan", body);
    CHECK_INT(json_array_size(at(j, "errors")), 1);
    CHECK_STR(text_at(j, "errors.0.node"), "load_image");
    CHECK_STR(text_at(j, "errors.0.input"), "path");
    CHECK_STR(text_at(j, "errors.0.message"), "no file is named; give one");
    json_decref(j);
    j = call_text(&v, "POST", "build", "{\"path\":\"wants.lua\",\"params\":{\"n\":5}}");
    CHECK_INT(number_at(j, "document.graph.load_image.inputs.width"), 5);
    json_decref(j);
    unlink("graphs/wants.lua");
}

TEST(parameters_change_the_graph)
{
    put_file(&v, "graphs/hand.lua", by_hand);
    json_t *j =
        call_text(&v, "POST", "build", "{\"path\":\"hand.lua\",\"params\":{\"text\":\"z\"}}");
    CHECK_STR(text_at(j, "document.graph.j.inputs.value"), "z");
    CHECK_STR(text_at(j, "values.text"), "z");
    CHECK_INT(number_at(j, "values.n"), 2);
    json_decref(j);
    j = call_text(
        &v, "POST", "build",
        "{\"source\":\"local tb = require 'tubelet'\\nreturn tb.graph { build = function()"
        "\\n  tb.constant_int { valu = 1 }\\nend }\"}");
    CHECK_STATUS(&v, 400);
    CHECK_STR(text_at(j, "errors.0.origin"), "source.lua:3");
    json_decref(j);
    CHECK_REFUSED(&v, "POST", "build", "{\"path\":\"hand.lua\",\"params\":{\"n\":10}}", 400,
                  "script", "n must be 1..9, got 10");
    CHECK_REFUSED(&v, "POST", "build", "{}", 400, "bad_input",
                  "the body must have 'path', a graph's file, or 'source', its text");
    CHECK_REFUSED(&v, "POST", "build", "{\"path\":5}", 400, "bad_input", "'path' must be text");
}

TEST(documents_become_lua)
{
    json_t *j = call_text(&v, "POST", "lua", "{\"doc\":\"D\",\"document\":" JOINED "}");
    CHECK(strstr(text_at(j, "source"), "doc = \"D\""));
    CHECK(strstr(text_at(j, "source"), "a = { pos = { 1, 2 } }"));
    json_decref(j);
    CHECK_REFUSED(&v, "POST", "lua",
                  "{\"document\":{\"graph\":{\"a\":{\"class_type\":\"my_own\"}},\"script\":{}}}",
                  400, "bad_input",
                  "'my_own' is defined by the graph's own script, which a saved Lua file does not "
                  "have; save as .json, which keeps it");
}

static json_t *open_bytes(const char *name, const void *data, size_t n)
{
    char head[300];
    snprintf(head, sizeof head, "POST /api/tubelet/open?name=%s HTTP/1.1\r\n", name);
    CHECK(client_request(&v.c, head, data, n));
    client_read(&v.c, true);
    json_t *answer = json_loadb(v.c.body.s, v.c.body.len, 0, NULL);
    const int status = v.c.status;
    reopen_if_over(&v);
    v.c.status = status;
    return answer;
}

static json_t *open_text(const char *name, const char *text)
{
    return open_bytes(name, text, strlen(text));
}

TEST(every_example_is_a_graph_without_a_fault)
{
    json_t *j = get(&v, "examples"), *example;
    size_t i;
    CHECK_STATUS(&v, 200);
    CHECK(json_array_size(at(j, "examples")) >= 3);
    json_array_foreach(at(j, "examples"), i, example)
    {
        json_t *opened = open_text(text_at(example, "name"), text_at(example, "source"));
        CHECK_STR(text_at(opened, "from"), "lua");
        CHECK(json_object_size(at(opened, "document.graph")) > 1 ||
              strstr(text_at(opened, "errors.0.message"), "has no default"));
        json_decref(opened);
    }
    json_decref(j);
}

TEST(any_file_is_opened_by_what_is_in_it)
{
    json_t *j = open_text("x.lua", by_hand);
    CHECK_STR(text_at(j, "from"), "lua");
    CHECK_STR(text_at(j, "name"), "x.lua");
    CHECK_STR(text_at(j, "params.0.name"), "text");
    json_decref(j);
    j = open_text("x.json", "\n{\"1\":{\"class_type\":\"KSamplr\",\"inputs\":{}}}");
    CHECK_STR(text_at(j, "from"), "api");
    CHECK_STR(text_at(j, "warnings.0"), "node '1' is a 'KSamplr', which tubelet does not have");
    json_decref(j);
    j = open_text("x.json", "{\"prompt\":{\"1\":{\"class_type\":\"mux\",\"inputs\":{}}}}");
    CHECK_STR(text_at(j, "document.graph.1.class_type"), "mux");
    CHECK_INT(json_array_size(at(j, "warnings")), 0);
    json_decref(j);
    j = open_text("x", JOINED);
    CHECK_STR(text_at(j, "from"), "document");
    CHECK_STR(text_at(j, "document.view.groups.0.id"), "g");
    json_decref(j);
}

/* As ComfyUI's editor saves it: widget values by place. */
TEST(workflows_are_opened_and_listed)
{
    static const char workflow[] =
        "{\"version\":0.4,\"last_node_id\":1,\"last_link_id\":0,\"links\":[],\"groups\":[],"
        "\"nodes\":[{\"id\":1,\"type\":\"EmptyHunyuanLatentVideo\",\"pos\":[10,20],"
        "\"size\":[200,100],\"mode\":0,\"inputs\":[],\"outputs\":[],"
        "\"widgets_values\":[64,32,5,1]}]}";
    json_t *j = open_text("w.json", workflow);
    CHECK_STR(text_at(j, "from"), "workflow");
    CHECK_INT(number_at(j, "document.graph.1.inputs.width"), 64);
    CHECK_INT(number_at(j, "document.graph.1._meta.pos.1"), 20);
    json_decref(j);
    put_file(&v, "graphs/w.json", workflow);
    j = get(&v, "graphs/w.json");
    CHECK_INT(number_at(j, "document.graph.1.inputs.height"), 32);
    CHECK(json_is_false(at(j, "saved")));
    json_decref(j);
}

TEST(files_without_a_graph_say_so)
{
    static const struct {
        const char *name, *text, *message;
    } bad[] = {
        { "e", "", "e is empty" },
        { "n.json", "{\"a\":1}",
          "n.json is no graph: 'a' has no \"class_type\"; a graph in API format is {\"id\": "
          "{\"class_type\": ..., \"inputs\": {...}}}" },
        { "t.txt", "hello", "'=' expected near <eof>" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        json_t *j = open_text(bad[i].name, bad[i].text);
        CHECK_STATUS(&v, 400);
        if (i < 2)
            CHECK_STR(text_at(j, "error.message"), bad[i].message);
        json_decref(j);
    }
    json_t *j = open_bytes("x.png", "\x89PNG\r\n\x1a\n\0\0\0\0garbage", 19);
    CHECK_STATUS(&v, 400);
    json_decref(j);
    j = open_bytes("..%2f..%2fb.bin", "\0\1\2\3", 4);
    CHECK_STATUS(&v, 400);
    json_decref(j);
}

/* Opens a picture that carries these texts. */
static json_t *open_picture_take(json_t *texts)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *pixel = tb_tensor_new_zero(TB_F32, &TB_SHAPE(1, 2, 2, 3), &err);
    tb_tensor *png = tb_media_encode(pixel, &(tb_media_options){ .format = "png" }, NULL, &err);
    REQUIRE(png);
    tb_tensor *file = tb_media_embed(png, "png", texts, &err);
    REQUIRE(file);
    json_t *j = open_bytes("p.png", tb_tensor_data(file), tb_tensor_bytes(file));
    tb_tensor_unref(&file);
    tb_tensor_unref(&png);
    tb_tensor_unref(&pixel);
    json_decref(texts);
    return j;
}

#define PLAIN  "{\"1\":{\"class_type\":\"constant_int\",\"inputs\":{}}}"
#define PLACED "{\"1\":{\"class_type\":\"constant_int\",\"_meta\":{\"pos\":[1,2]}}}"
#define DRAWN                                                                               \
    "{\"version\":0.4,\"links\":[],\"groups\":[],\"nodes\":[{\"id\":7,\"type\":\"constant_" \
    "int\",\"pos\":[10,20],\"mode\":0,\"widgets_values\":[5]}]}"

TEST(pictures_give_the_graph_that_made_them)
{
    json_t *j = open_picture_take(json_pack("{ss}", "prompt", PLAIN));
    CHECK_STR(text_at(j, "from"), "media");
    CHECK_STR(text_at(j, "document.graph.1.class_type"), "constant_int");
    json_decref(j);
    j = open_picture_take(json_object());
    CHECK_STATUS(&v, 404);
    CHECK_STR(
        text_at(j, "error.message"),
        "p.png carries no graph; only videos, pictures and latents made by tubelet or ComfyUI do");
    json_decref(j);
}

TEST(the_graph_with_places_is_preferred)
{
    json_t *j = open_picture_take(json_pack("{ssss}", "prompt", PLAIN, "workflow", DRAWN));
    CHECK_INT(number_at(j, "document.graph.7._meta.pos.1"), 20);
    CHECK_INT(number_at(j, "document.graph.7.inputs.value"), 5);
    json_decref(j);
    j = open_picture_take(json_pack("{ssssss}", "prompt", PLACED, "workflow", DRAWN, "view",
                                    "{\"groups\":[{\"id\":\"g\"}]}"));
    CHECK_INT(number_at(j, "document.graph.1._meta.pos.1"), 2);
    CHECK_STR(text_at(j, "document.view.groups.0.id"), "g");
    json_decref(j);
    j = open_picture_take(json_pack("{ssss}", "prompt", PLAIN, "workflow", "{\"nodes\":7"));
    CHECK_STR(text_at(j, "document.graph.1.class_type"), "constant_int");
    json_decref(j);
    j = open_picture_take(json_pack("{ssss}", "prompt", "{", "workflow", DRAWN));
    CHECK_INT(number_at(j, "document.graph.7._meta.pos.1"), 20);
    json_decref(j);
}

static json_t *texts_of_output(const char *name)
{
    tb_err err = TB_ERR_INIT;
    tb_media_info info = { 0 };
    char *path = tb_xasprintf("%s/output/%s", v.dir, name);
    CHECK_OK(tb_media_probe(path, &info, &err));
    free(path);
    return info.texts;
}

static void put_picture(const char *name)
{
    char *text = NULL, *path = tb_xasprintf("input/%s", name);
    char *full = tb_fs_join(v.dir, path);
    size_t n = 0;
    tb_err err = TB_ERR_INIT;
    CHECK_OK(tb_fs_read("docs/frames.png", 64 << 20, &text, &n, &err));
    CHECK_OK(tb_fs_write(full, text, n, false, &err));
    free(text);
    free(full);
    free(path);
}

#define SAVED(name)                                                                \
    "\"1\":{\"class_type\":\"load_image\",\"inputs\":{\"path\":\"input:in.png\","  \
    "\"width\":8,\"height\":8}},\"2\":{\"class_type\":\"save_image\",\"inputs\":{" \
    "\"images\":[\"1\",0],\"path\":\"" name "\"}}"

TEST(files_carry_what_a_client_sends_along)
{
    put_picture("in.png");
    client_call(
        &v.c, "POST", "/prompt",
        "{\"prompt\":{" SAVED(
            "sent.png") "},\"extra_data\":{\"extra_pnginfo\":{"
                        "\"workflow\":{\"id\":\"w\",\"z\":0.5,\"a\":[1]},\"prompt\":\"mine\"}}}");
    json_t *j = json_loadb(v.c.body.s, v.c.body.len, 0, NULL);
    json_decref(wait_run(&v, text_at(j, "prompt_id")));
    json_decref(j);
    json_t *texts = texts_of_output("sent.png");
    CHECK_STR(json_string_value(json_object_get(texts, "workflow")),
              "{\"id\":\"w\",\"z\":0.5,\"a\":[1]}");
    CHECK(strstr(json_string_value(json_object_get(texts, "prompt")), "load_image"));
    json_decref(texts);
}

TEST(files_of_the_editor_carry_its_view)
{
    char id[64];
    put_picture("in.png");
    json_t *document = json_loads(
        "{\"graph\":{" SAVED("seen.png") "},\"view\":{\"groups\":[{\"id\":\"g\"}]}}", 0, NULL);
    post_run(&v, document, "x", id);
    json_decref(document);
    json_decref(wait_run(&v, id));
    json_t *texts = texts_of_output("seen.png");
    CHECK_STR(json_string_value(json_object_get(texts, "view")), "{\"groups\":[{\"id\":\"g\"}]}");
    CHECK(!json_object_get(texts, "workflow"));
    json_decref(texts);
}

/* ------------------------------------------------------------------------------- check and plan */

TEST(all_errors_are_told_at_once)
{
    json_t *j = call_text(&v, "POST", "check",
                          "{\"document\":{\"graph\":{"
                          "\"a\":{\"class_type\":\"math_numbr\",\"inputs\":{}},"
                          "\"b\":{\"class_type\":\"sample\",\"inputs\":{\"steps\":0}}}}}");
    CHECK_STATUS(&v, 200);
    CHECK(json_array_size(at(j, "errors")) >= 3);
    CHECK_STR(text_at(j, "errors.0.node"), "a");
    CHECK(strstr(text_at(j, "errors.0.message"), "math_number"));
    json_decref(j);
    j = call_text(&v, "POST", "check", "{\"document\":" JOINED "}");
    CHECK_INT(json_array_size(at(j, "errors")), 0);
    json_decref(j);
    j = call_text(&v, "POST", "check", "{\"document\":{\"graph\":{\"a\":[1,2]}}}");
    CHECK_INT(json_array_size(at(j, "errors")), 1);
    json_decref(j);
}

TEST(bodies_that_are_no_documents_are_refused)
{
    static const char no_document[] =
        "the body must have a document: {\"document\": {\"graph\": {\"id\": {\"class_type\": ..., "
        "\"inputs\": {...}}}}}";
    static const char *const routes[] = { "check", "plan", "lua", "runs" };
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        CHECK_REFUSED(&v, "POST", routes[i], "{}", 400, "bad_input", no_document);
        CHECK_REFUSED(&v, "POST", routes[i], "{\"document\":{\"graph\":[]}}", 400, "bad_input",
                      no_document);
        CHECK_REFUSED(&v, "POST", routes[i], "{\"document\":7}", 400, "bad_input",
                      "'document' must be an object");
        CHECK_REFUSED(&v, "POST", routes[i], "[1]", 400, "bad_file",
                      "the body must be a JSON object");
        json_decref(call_text(&v, "POST", routes[i], "{\"document\":"));
        CHECK_STATUS(&v, 400);
        json_decref(call_text(&v, "POST", routes[i], "{\"a\":1,\"a\":2}"));
        CHECK_STATUS(&v, 400);
        json_decref(call_text(&v, "POST", routes[i], "{\"a\":\"\xff\"}"));
        CHECK_STATUS(&v, 400);
    }
}

TEST(deep_bodies_are_refused)
{
    tb_str b = TB_STR_INIT;
    tb_str_add(&b, "{\"document\":");
    for (int i = 0; i < 100000; i++)
        tb_str_add(&b, "[");
    CHECK_REFUSED(&v, "POST", "plan", b.s, 400, "bad_file",
                  "the body nests objects and lists deeper than 64");
    tb_str_free(&b);
}

TEST(a_plan_says_what_would_run)
{
    json_t *document = sampling(&v, "a red ball", 3, "plan.png");
    json_t *j = call_take(&v, "POST", "plan", json_pack("{sO}", "document", document));
    CHECK_STATUS(&v, 200);
    CHECK_INT(json_array_size(at(j, "errors")), 0);
    CHECK_INT(number_at(j, "summary.cached"), 0);
    CHECK(number_at(j, "summary.run") >= 9);
    CHECK(number_at(j, "summary.peak_bytes") > 0 && number_at(j, "summary.memory_limit") > 0);
    CHECK(at(j, "expanded.s/step_02/step"));
    CHECK_STR(text_at(j, "nodes.0.state"), "run");
    CHECK_INT(strlen(text_at(j, "nodes.0.key")), 64);
    json_decref(j);
    j = call_take(&v, "POST", "plan", json_pack("{sOss}", "document", document, "until", "p"));
    CHECK_INT(number_at(j, "summary.run"), 2);
    json_decref(j);
    j = call_take(&v, "POST", "plan", json_pack("{sOss}", "document", document, "until", "q"));
    CHECK_STATUS(&v, 200);
    CHECK(json_is_null(at(j, "summary")));
    CHECK_STR(text_at(j, "errors.0.message"), "there is no node 'q' to run until");
    json_decref(j);
    json_decref(document);
}

/* Node types of the graph's own travel with it, and only then; nothing tells where it lay. */
TEST(graphs_with_nodes_of_their_own_are_kept_whole)
{
    put_file(&v, "graphs/deep/factor.lua", "return 2\n");
    put_file(&v, "graphs/deep/own.lua",
             "local tb = require 'tubelet'\nprint 'loading'\nlocal two = require 'factor'\n"
             "tb.composite { name = 'twice', inputs = { n = tb.int { default = two } },\n"
             "  outputs = { n = tb.port 'INT' },\n"
             "  expand = function(b, inp)\n"
             "    return tb.math_number { id = 'm', a = inp.n, b = inp.n }\n  end }\n"
             "return tb.graph { build = function() return tb.twice { id = 't', n = 4 } end }\n");
    json_t *j = get(&v, "graphs/deep/own.lua");
    json_t *document = json_incref(at(j, "document"));
    const json_t *files = at(document, "script.files");
    CHECK_STR(text_at(document, "script.main"), "deep/own.lua");
    CHECK_INT(json_object_size(files), 2);
    CHECK(json_object_get(files, "deep/own.lua") && json_object_get(files, "deep/factor.lua"));
    json_decref(j);
    j = call_take(&v, "POST", "check", json_pack("{sO}", "document", document));
    CHECK_INT(json_array_size(at(j, "errors")), 0);
    json_decref(j);
    j = call_take(&v, "POST", "plan", json_pack("{sO}", "document", document));
    CHECK_STR(text_at(j, "expanded.t/m.class_type"), "math_number");
    json_decref(j);
    j = call_take(&v, "PUT", "graphs/own2.lua", json_pack("{sO}", "document", document));
    CHECK_STATUS(&v, 400);
    CHECK_STR(text_at(j, "error.at.node"), "t");
    json_decref(j);
    j = call_take(&v, "PUT", "graphs/own2.json", json_pack("{sO}", "document", document));
    CHECK_STATUS(&v, 200);
    json_decref(j);
    j = get(&v, "graphs/own2.json");
    CHECK(json_equal(at(j, "document"), document));
    json_decref(j);
    json_decref(document);
}

typedef struct slow_call {
    serving v;
    const char *body;
    json_t *answer;
    atomic_bool over;
} slow_call;

static void *plan_slowly(void *arg)
{
    slow_call *s = arg;
    s->answer = call_text(&s->v, "POST", "plan", s->body);
    s->over = true;
    return NULL;
}

static char *chain(int n)
{
    tb_str b = TB_STR_INIT;
    tb_str_addf(&b, "{\"until\":\"n%d\",\"document\":{\"graph\":{", n - 1);
    for (int i = 0; i < n; i++) {
        tb_str_addf(&b, "%s\"n%d\":{\"class_type\":\"math_number\",\"inputs\":{\"b\":1,\"a\":",
                    i ? "," : "", i);
        tb_str_addf(&b, i ? "[\"n%d\",0]}}" : "1}}", i - 1);
    }
    tb_str_add(&b, "}}}");
    return tb_str_take(&b);
}

/* 100,000 nodes, and others are answered meanwhile. */
TEST(huge_graphs_are_planned)
{
    enum { N = 100000 };
    const struct timeval patience = { .tv_sec = 120 };
    char *body = chain(N);
    slow_call s = { .v = v, .body = body };
    pthread_t thread;
    int answered = 0;
    REQUIRE(client_open(&s.v.c, v.port));
    setsockopt(s.v.c.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    pthread_create(&thread, NULL, plan_slowly, &s);
    while (!s.over) {
        json_t *j = get(&v, "graphs");
        answered += v.c.status == 200 && !s.over;
        json_decref(j);
    }
    pthread_join(thread, NULL);
    CHECK_STATUS(&s.v, 200);
    CHECK(answered > 3);
    CHECK_INT(json_array_size(at(s.answer, "errors")), 0);
    CHECK_INT(number_at(s.answer, "summary.nodes"), N);
    CHECK_INT(json_object_size(at(s.answer, "expanded")), N);
    json_decref(s.answer);
    client_close(&s.v.c);
    free(body);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "__lua") == 0)
        tb_script_child_main(TB_SCRIPT_CHILD_FD);
    setenv("TUBELET_BIN", "/proc/self/exe", 1);
    static const struct tb_test tests[] = {
        TEST_CASE(the_server_says_what_it_is),
        TEST_CASE(graphs_are_listed_and_read),
        TEST_CASE(broken_graphs_are_shown_with_what_is_wrong),
        TEST_CASE(only_graphs_below_the_folder_are_read),
        TEST_CASE(a_saved_graph_is_the_same_graph),
        TEST_CASE(nothing_is_saved_over_what_was_not_seen),
        TEST_CASE(graphs_are_saved_as_json_by_name),
        TEST_CASE(of_saves_at_once_one_wins),
        TEST_CASE(a_graph_is_shown_before_its_files_are_named),
        TEST_CASE(parameters_change_the_graph),
        TEST_CASE(documents_become_lua),
        TEST_CASE(every_example_is_a_graph_without_a_fault),
        TEST_CASE(any_file_is_opened_by_what_is_in_it),
        TEST_CASE(workflows_are_opened_and_listed),
        TEST_CASE(files_without_a_graph_say_so),
        TEST_CASE(pictures_give_the_graph_that_made_them),
        TEST_CASE(the_graph_with_places_is_preferred),
        TEST_CASE(files_carry_what_a_client_sends_along),
        TEST_CASE(files_of_the_editor_carry_its_view),
        TEST_CASE(all_errors_are_told_at_once),
        TEST_CASE(bodies_that_are_no_documents_are_refused),
        TEST_CASE(deep_bodies_are_refused),
        TEST_CASE(a_plan_says_what_would_run),
        TEST_CASE(graphs_with_nodes_of_their_own_are_kept_whole),
        TEST_CASE(huge_graphs_are_planned),
    };
    serving_start(&v);
    const int code = tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
    serving_stop(&v);
    return code;
}
