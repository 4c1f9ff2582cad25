/* test_editor_runs.c - the editor's API on runs, their steps, results and events, over HTTP and
 * WebSocket against a real server with the bundled model. */
#include <unistd.h>

#include "editor_help.h"
#include "script/script.h"

static serving v;

static json_t *plan_of(json_t *document)
{
    return call_take(&v, "POST", "plan", json_pack("{sO}", "document", document));
}

static json_t *run_path(const char *id, const char *rest)
{
    char path[200];
    snprintf(path, sizeof path, "runs/%s%s", id, rest);
    return get(&v, path);
}

static json_t *post_to(const char *id, const char *rest, const char *body)
{
    char path[200];
    snprintf(path, sizeof path, "runs/%s%s", id, rest);
    return call_text(&v, "POST", path, body);
}

/* ----------------------------------------------------------------------------------------- runs */

TEST(a_run_is_told_of_as_it_was)
{
    char id[64];
    json_t *document = sampling(&v, "a red ball", 3, "first.png");
    json_object_set_new(document, "view", json_pack("{s{sb}}", "folded", "s", 1));
    post_run(&v, document, "First", id);
    json_t *r = wait_run(&v, id);
    CHECK_STR(text_at(r, "state"), "done");
    CHECK_STR(text_at(r, "title"), "First");
    CHECK_STR(text_at(r, "outputs.0.filename"), "first.png");
    CHECK_STR(text_at(r, "outputs.0.node"), "o");
    CHECK_STR(text_at(r, "outputs.0.kind"), "image");
    CHECK_STR(text_at(r, "outputs.0.url"), "/view?filename=first.png&subfolder=&type=output");
    CHECK(number_at(r, "created_ms") <= number_at(r, "started_ms"));
    CHECK(number_at(r, "started_ms") <= number_at(r, "ended_ms"));
    CHECK(number_at(r, "nodes_run") > 0);
    CHECK_INT(number_at(r, "nodes_total"), number_at(r, "nodes_run"));
    CHECK_INT(number_at(r, "document.graph.s._meta.pos.0"), 100);
    CHECK_STR(text_at(r, "document.graph.s._meta.title"), "Denoise");
    CHECK(json_is_true(at(r, "document.view.folded.s")));
    CHECK(at(r, "expanded.s/step_00/cond"));
    CHECK(json_array_size(at(r, "nodes")) > 3);
    json_t *plan = plan_of(document);
    CHECK_INT(number_at(plan, "summary.run"), 0);
    CHECK_INT(number_at(plan, "summary.cached"), 1);
    json_decref(plan);
    json_decref(r);
    json_decref(document);
}

/* The very bytes, in ranges, also when a later run has written over the file. */
TEST(the_file_of_a_run_stays)
{
    char id[64];
    json_t *document = sampling(&v, "a blue box", 2, "over.png");
    post_run(&v, document, "One", id);
    json_t *r = wait_run(&v, id);
    json_decref(document);
    document = sampling(&v, "a green box", 2, "over.png");
    post_run(&v, document, "Two", id);
    json_decref(wait_run(&v, id));
    json_decref(document);
    const char *url = text_at(r, "outputs.0.result_url");
    REQUIRE(strncmp(url, "/api/tubelet/", 13) == 0);
    CHECK_INT(client_call(&v.c, "GET", url, NULL), 200);
    CHECK_STR(client_header(&v.c, "Content-Type"), "image/png");
    CHECK_STR(client_header(&v.c, "Accept-Ranges"), "bytes");
    CHECK(strstr(client_header(&v.c, "Cache-Control"), "immutable"));
    CHECK(v.c.body.len > 60 && memcmp(v.c.body.s, "\x89PNG", 4) == 0);
    char head[400], etag[200], want[64];
    snprintf(etag, sizeof etag, "%s", client_header(&v.c, "ETag"));
    snprintf(want, sizeof want, "bytes 1-3/%zu", v.c.body.len);
    snprintf(head, sizeof head, "GET %s HTTP/1.1\r\nRange: bytes=1-3\r\n", url);
    CHECK(client_request(&v.c, head, NULL, 0));
    CHECK_INT(client_read(&v.c, true), 206);
    CHECK_STR(client_header(&v.c, "Content-Range"), want);
    CHECK(v.c.body.len == 3 && memcmp(v.c.body.s, "PNG", 3) == 0);
    snprintf(head, sizeof head, "GET %s HTTP/1.1\r\nIf-None-Match: %s\r\n", url, etag);
    CHECK(client_request(&v.c, head, NULL, 0));
    CHECK_INT(client_read(&v.c, true), 304);
    char wrong[300];
    snprintf(wrong, sizeof wrong, "results/%s/file?output=7", text_at(r, "outputs.0.key"));
    CHECK_REFUSED(&v, "GET", wrong, NULL, 404, "not_found",
                  "the result has no file at output 7, index 0");
    json_decref(r);
}

TEST(nothing_wrong_is_queued)
{
    json_t *j =
        call_text(&v, "POST", "runs",
                  "{\"document\":{\"graph\":{\"a\":{\"class_type\":\"save_image\",\"inputs\":{}},"
                  "\"b\":{\"class_type\":\"no_such\",\"inputs\":{}}}}}");
    CHECK_STATUS(&v, 400);
    CHECK_INT(json_array_size(at(j, "errors")), 2);
    CHECK_STR(text_at(j, "errors.0.node"), "a");
    CHECK_STR(text_at(j, "errors.0.input"), "images");
    json_decref(j);
    CHECK_REFUSED(
        &v, "POST", "runs",
        "{\"document\":{\"graph\":{\"a\":{\"class_type\":\"constant_int\",\"inputs\":{}}}}}", 400,
        "bad_input",
        "the graph has no output node; add one (mux, save_image, ...) or run until a node");
}

TEST(a_failed_run_says_where)
{
    char id[64];
    json_t *document = sampling(&v, "a red ball", 2, "fail.png");
    json_object_set_new(at(document, "graph.m.inputs"), "path", json_string("no/such/model"));
    post_run(&v, document, "Fails", id);
    json_t *r = wait_run(&v, id);
    CHECK_STR(text_at(r, "state"), "failed");
    CHECK_STR(text_at(r, "error.node"), "m");
    CHECK_STR(text_at(r, "error.type"), "load_model");
    CHECK(strstr(text_at(r, "error.message"), "no/such/model"));
    CHECK(json_is_null(at(r, "expanded")));
    json_decref(r);
    json_decref(document);
}

/* A run that nobody waits for: many steps, each of them large. */
static json_t *long_run(const char *out)
{
    json_t *document = sampling(&v, "a long walk", 1000, out);
    json_object_set_new(at(document, "graph.x.inputs"), "size", json_string("256x256"));
    return document;
}

TEST(runs_are_canceled_retried_and_forgotten)
{
    char first[64], second[64];
    json_t *document = long_run("long.png");
    post_run(&v, document, "Long", first);
    post_run(&v, document, "Waits", second);
    json_t *j = get(&v, "runs");
    CHECK_STR(text_at(j, "runs.0.prompt_id"), first);
    CHECK_STR(text_at(j, "runs.1.prompt_id"), second);
    CHECK_STR(text_at(j, "runs.1.state"), "pending");
    CHECK_INT(number_at(j, "runs.1.position"), 1);
    json_decref(j);
    char path[100];
    snprintf(path, sizeof path, "runs/%s", second);
    CHECK_REFUSED(&v, "DELETE", path, NULL, 409, "busy",
                  "the run is still pending; cancel it first");
    j = plan_of(document); /* while another one runs */
    CHECK_STATUS(&v, 200);
    CHECK(number_at(j, "summary.nodes") > 0);
    json_decref(j);
    j = post_to(second, "/cancel", "{}");
    CHECK(json_is_true(at(j, "canceled")));
    json_decref(j);
    j = post_to(first, "/cancel", NULL);
    CHECK(json_is_true(at(j, "canceled")));
    json_decref(j);
    j = wait_run(&v, first);
    CHECK_STR(text_at(j, "state"), "canceled");
    json_decref(j);
    j = post_to(first, "/cancel", "{}");
    CHECK(json_is_false(at(j, "canceled")));
    json_decref(j);
    j = post_to(first, "/retry", "{}");
    CHECK_STATUS(&v, 200);
    CHECK(strcmp(text_at(j, "prompt_id"), first) != 0);
    json_t *canceled = post_to(text_at(j, "prompt_id"), "/cancel", "{}");
    CHECK(json_is_true(at(canceled, "canceled")));
    json_decref(canceled);
    char gone[64]; /* it was pending still, and then there is nothing left of it, or runs */
    snprintf(gone, sizeof gone, "%s", text_at(j, "prompt_id"));
    json_decref(run_path(gone, ""));
    if (v.c.status == 200)
        json_decref(wait_run(&v, gone));
    json_decref(j);
    snprintf(path, sizeof path, "runs/%s", first);
    json_decref(call_text(&v, "DELETE", path, NULL));
    CHECK_STATUS(&v, 204);
    json_decref(call_text(&v, "DELETE", path, NULL));
    CHECK_STATUS(&v, 404);
    json_decref(run_path(first, ""));
    CHECK_STATUS(&v, 404);
    json_decref(post_to("nobody", "/retry", "{}"));
    CHECK_STATUS(&v, 404);
    json_decref(document);
}

TEST(the_history_is_read_in_pages)
{
    char path[100];
    json_t *all = get(&v, "runs?limit=1000");
    const size_t n = json_array_size(at(all, "runs"));
    CHECK(n >= 5 && json_is_false(at(all, "more")));
    json_t *page = get(&v, "runs?limit=2");
    CHECK_INT(json_array_size(at(page, "runs")), 2);
    CHECK(json_is_true(at(page, "more")));
    snprintf(path, sizeof path, "runs?limit=1000&before=%lld", number_at(page, "runs.1.ended_ms"));
    json_t *rest = get(&v, path);
    CHECK_INT(json_array_size(at(rest, "runs")), n - 2);
    CHECK_STR(text_at(rest, "runs.0.prompt_id"), text_at(all, "runs.2.prompt_id"));
    json_decref(rest);
    json_decref(page);
    json_decref(all);
    CHECK_REFUSED(&v, "GET", "runs?limit=0", NULL, 400, "bad_input",
                  "limit must be 1..1000, got 0");
}

/* ------------------------------------------------------------------------------- steps and forks
 */

static int count_states(const json_t *plan, const char *type, const char *state)
{
    size_t i;
    int n = 0;
    json_t *row;
    json_array_foreach(at(plan, "nodes"), i, row) n +=
        strcmp(text_at(row, "type"), type) == 0 && strcmp(text_at(row, "state"), state) == 0;
    return n;
}

/* A run of 5 steps is branched after 3: the first half is there, two steps will run. */
TEST(a_run_is_branched_at_a_step)
{
    char id[64];
    json_t *document = sampling(&v, "a branch", 5, "branch.png");
    post_run(&v, document, "Whole", id);
    json_decref(wait_run(&v, id));
    json_t *steps = run_path(id, "/steps");
    CHECK_INT(json_array_size(at(steps, "steps")), 5);
    CHECK_STR(text_at(steps, "steps.3.scope"), "s");
    CHECK_STR(text_at(steps, "steps.3.node"), "s/step_03/step");
    CHECK_INT(number_at(steps, "steps.3.step"), 3);
    CHECK_INT(number_at(steps, "steps.3.steps"), 5);
    CHECK_INT(strlen(text_at(steps, "steps.3.key")), 64);
    CHECK_NEAR(real_at(steps, "steps.0.timestep"), 1000, 1e-6);
    CHECK_NEAR(real_at(steps, "steps.3.sigma"), 3 * 0.2 / (1 + 2 * 0.2), 1e-6);
    CHECK(real_at(steps, "steps.2.sigma") > real_at(steps, "steps.3.sigma"));
    CHECK(real_at(steps, "steps.4.sigma") == 0);

    json_t *j = post_to(id, "/fork", "{\"scope\":\"s\",\"step\":3}");
    CHECK_STATUS(&v, 200);
    CHECK_STR(text_at(j, "first"), "s");
    CHECK_STR(text_at(j, "second"), "s_2");
    CHECK_INT(number_at(j, "document.graph.s.inputs.end_step"), 3);
    CHECK_INT(number_at(j, "document.graph.s_2.inputs.start_step"), 3);
    CHECK_STR(text_at(j, "document.graph.s_2.inputs.latent.0"), "s");
    CHECK_STR(text_at(j, "document.graph.d.inputs.latent.0"), "s_2");
    CHECK_STR(text_at(j, "document.graph.s_2._meta.title"), "Denoise, branch");
    CHECK(number_at(j, "document.graph.s_2._meta.pos.0") > 300);
    CHECK_INT(number_at(j, "document.graph.s_2._meta.pos.1"), 40);
    json_t *plan = plan_of(at(j, "document"));
    CHECK_INT(count_states(plan, "sampler_step", "cached"), 1);
    CHECK_INT(count_states(plan, "sampler_step", "run"), 2);
    CHECK_INT(count_states(plan, "dit_step", "run"), 2);
    json_decref(plan);

    /* the unchanged branch ends where the run did */
    char branch[64];
    json_object_set_new(at(j, "document.graph.o.inputs"), "path", json_string("branch_2.png"));
    post_run(&v, at(j, "document"), "Branch", branch);
    json_t *r = wait_run(&v, branch);
    CHECK_STR(text_at(r, "state"), "done");
    json_decref(r);
    json_t *again = run_path(branch, "/steps");
    CHECK_INT(json_array_size(at(again, "steps")), 5);
    CHECK_STR(text_at(again, "steps.2.node"), "s/step_02/step");
    CHECK_STR(text_at(again, "steps.2.key"), text_at(steps, "steps.2.key"));
    CHECK_STR(text_at(again, "steps.3.scope"), "s_2");
    CHECK_INT(number_at(again, "steps.3.step"), 3);
    json_decref(again);
    json_decref(j);
    json_decref(steps);
    json_decref(document);
}

static const char ksampler[] =
    "{\"document\":{\"graph\":{"
    "\"1\":{\"class_type\":\"UNETLoader\",\"inputs\":{\"unet_name\":\"tubelet-tiny\"}},"
    "\"2\":{\"class_type\":\"CLIPLoader\",\"inputs\":{\"clip_name\":\"tubelet-tiny\"}},"
    "\"3\":{\"class_type\":\"CLIPTextEncode\",\"inputs\":{\"clip\":[\"2\",0],\"text\":\"a red "
    "ball\"}},"
    "\"4\":{\"class_type\":\"EmptyHunyuanLatentVideo\",\"inputs\":{\"width\":32,\"height\":32,"
    "\"length\":1}},"
    "\"5\":{\"class_type\":\"KSampler\",\"inputs\":{\"model\":[\"1\",0],\"positive\":[\"3\",0],"
    "\"negative\":[\"3\",0],\"latent_image\":[\"4\",0],\"seed\":7,\"steps\":4,\"cfg\":1.0,"
    "\"sampler_name\":\"euler\",\"scheduler\":\"simple\"%s}}}},\"until\":\"5\"}";

static void run_ksampler(const char *more, char id[64])
{
    char body[1500];
    snprintf(body, sizeof body, ksampler, more);
    json_t *j = call_text(&v, "POST", "runs", body);
    CHECK_STATUS(&v, 200);
    snprintf(id, 64, "%s", text_at(j, "prompt_id"));
    json_decref(j);
    j = wait_run(&v, id);
    CHECK_STR(text_at(j, "error.text"), "");
    json_decref(j);
}

/* ComfyUI's sampler as well: its halves are those of its advanced form. */
TEST(a_ksampler_is_branched)
{
    char id[64], path[100];
    run_ksampler("", id);
    json_t *steps = run_path(id, "/steps");
    CHECK_INT(json_array_size(at(steps, "steps")), 4);
    snprintf(path, sizeof path, "{\"scope\":\"%s\",\"step\":2}", text_at(steps, "steps.1.scope"));
    json_t *j = post_to(id, "/fork", path);
    CHECK_STR(text_at(j, "first"), "5");
    CHECK_STR(text_at(j, "document.graph.5_2.class_type"), "KSamplerAdvanced");
    CHECK_INT(number_at(j, "document.graph.5_2.inputs.noise_seed"), 7);
    json_t *plan = call_take(&v, "POST", "plan",
                             json_pack("{sOss}", "document", at(j, "document"), "until", "5_2"));
    CHECK_INT(json_array_size(at(plan, "errors")), 0);
    CHECK_INT(count_states(plan, "sampler_step", "cached"), 1);
    CHECK_INT(count_states(plan, "sampler_step", "run"), 2);
    json_decref(plan);
    json_decref(j);
    json_decref(steps);
    run_ksampler(",\"denoise\":0.5", id);
    snprintf(path, sizeof path, "runs/%s/fork", id);
    CHECK_REFUSED(&v, "POST", path, "{\"scope\":\"5\",\"step\":2}", 400, "bad_input",
                  "a KSampler with denoise below 1 cannot be cut in two; use a sample node");
}

/* Nothing of it ran: every step comes from the store. */
TEST(steps_are_found_behind_cached_results)
{
    char id[64];
    json_t *document = sampling(&v, "a branch", 5, "cached.png");
    post_run(&v, document, "Again", id);
    json_t *r = wait_run(&v, id);
    CHECK_INT(number_at(r, "nodes_run"), 0);
    json_decref(r);
    json_t *steps = run_path(id, "/steps");
    CHECK_INT(json_array_size(at(steps, "steps")), 5);
    CHECK(real_at(steps, "steps.0.sigma") > real_at(steps, "steps.3.sigma"));
    json_decref(steps);
    json_decref(document);
}

TEST(cuts_that_cannot_be_are_refused)
{
    char id[64], path[100];
    json_t *document = sampling(&v, "a branch", 5, "branch.png");
    post_run(&v, document, "Whole", id);
    json_decref(wait_run(&v, id));
    snprintf(path, sizeof path, "runs/%s/fork", id);
    CHECK_REFUSED(&v, "POST", path, "{\"scope\":\"s\",\"step\":5}", 400, "bad_input",
                  "step must be 1..4, got 5");
    CHECK_REFUSED(&v, "POST", path, "{\"scope\":\"s\",\"step\":0}", 400, "bad_input",
                  "step must be 1..4, got 0");
    CHECK_REFUSED(&v, "POST", path, "{\"scope\":\"d\",\"step\":1}", 400, "bad_input",
                  "'vae_decode' takes all its steps; a run can be branched at sample, KSampler or "
                  "KSamplerAdvanced");
    CHECK_REFUSED(&v, "POST", path, "{\"scope\":\"z\",\"step\":1}", 404, "not_found",
                  "the run's graph has no node 'z'");
    CHECK_REFUSED(
        &v, "POST", path, "{}", 400, "bad_input",
        "the body must say {\"scope\": the sampling node, \"step\": after how many steps}");
    json_decref(document);
}

/* ---------------------------------------------------------------------------------------- store */

TEST(results_are_listed_shown_and_dropped)
{
    char path[200], key[80];
    json_t *list = get(&v, "results?order=created&limit=500");
    CHECK(number_at(list, "stats.results") > 10 && number_at(list, "stats.bytes") > 0);
    size_t i;
    json_t *r;
    *key = 0;
    json_array_foreach(at(list, "results"), i,
                       r) if (strcmp(text_at(r, "type"), "sampler_step") == 0)
        snprintf(key, sizeof key, "%s", text_at(r, "key"));
    REQUIRE(*key);
    json_decref(list);
    snprintf(path, sizeof path, "results/%s", key);
    r = get(&v, path);
    CHECK_STR(text_at(r, "outputs.0.name"), "latent");
    CHECK_STR(text_at(r, "outputs.0.kind"), "record");
    CHECK_STR(text_at(r, "outputs.0.dtype"), "F32");
    CHECK(json_is_true(at(r, "viewable")));
    CHECK_INT(number_at(r, "frames"), 1);
    json_decref(r);

    snprintf(path, sizeof path, "/api/tubelet/results/%s/preview?size=64", key);
    CHECK_INT(client_call(&v.c, "GET", path, NULL), 200);
    CHECK_STR(client_header(&v.c, "Content-Type"), "image/jpeg");
    CHECK(memcmp(v.c.body.s, "\xff\xd8", 2) == 0);
    snprintf(path, sizeof path, "/api/tubelet/results/%s/preview?frame=-2&format=gif", key);
    CHECK_INT(client_call(&v.c, "GET", path, NULL), 200);
    CHECK_STR(client_header(&v.c, "Content-Type"), "image/gif");
    CHECK(memcmp(v.c.body.s, "GIF89a", 6) == 0);
    snprintf(path, sizeof path, "/api/tubelet/results/%s/preview?columns=4&rows=2&format=png", key);
    CHECK_INT(client_call(&v.c, "GET", path, NULL), 200);
    CHECK_STR(client_header(&v.c, "Content-Type"), "image/png");
    CHECK(memcmp(v.c.body.s, "\x89PNG", 4) == 0);
    snprintf(path, sizeof path, "/api/tubelet/results/%s/preview?format=png", key);
    CHECK_INT(client_call(&v.c, "GET", path, NULL), 200);
    char head[400];
    snprintf(head, sizeof head, "GET %s HTTP/1.1\r\nIf-None-Match: %s\r\n", path,
             client_header(&v.c, "ETag"));
    CHECK(client_request(&v.c, head, NULL, 0));
    CHECK_INT(client_read(&v.c, true), 304);
    snprintf(path, sizeof path, "results/%s/preview?format=bmp", key);
    CHECK_REFUSED(&v, "GET", path, NULL, 400, "bad_input",
                  "format must be jpg, png, webp or gif, got 'bmp'");
    snprintf(path, sizeof path, "results/%s/preview?columns=65", key);
    CHECK_REFUSED(&v, "GET", path, NULL, 400, "bad_input", "columns must be 0..64, got 65");
    snprintf(path, sizeof path, "results/%s/preview?frame=99", key);
    json_decref(get(&v, path));
    CHECK(v.c.status >= 400);
    snprintf(path, sizeof path, "results/%s/preview?size=9999", key);
    CHECK_REFUSED(&v, "GET", path, NULL, 400, "bad_input", "size must be 0..4096 pixels, got 9999");

    snprintf(path, sizeof path, "results/%s/pin", key);
    r = call_text(&v, "POST", path, "{\"pinned\":true}");
    CHECK(json_is_true(at(r, "pinned")));
    json_decref(r);
    CHECK_REFUSED(&v, "POST", path, "{}", 400, "bad_input",
                  "the body must say {\"pinned\": true} or false");
    snprintf(path, sizeof path, "results/%s", key);
    json_decref(call_text(&v, "DELETE", path, NULL));
    CHECK_STATUS(&v, 204);
    json_decref(call_text(&v, "DELETE", path, NULL));
    CHECK_STATUS(&v, 404);
    json_decref(get(&v, path));
    CHECK_STATUS(&v, 404);
}

TEST(keys_that_are_none_are_refused)
{
    CHECK_REFUSED(&v, "GET", "results/abc", NULL, 400, "bad_input",
                  "a key has 64 hexadecimal digits, got 'abc'");
    char path[100];
    snprintf(path, sizeof path, "results/%064d", 7);
    CHECK_REFUSED(&v, "GET", path, NULL, 404, "not_found",
                  "there is no result 000000000000 in the store; it was evicted");
    CHECK_REFUSED(&v, "GET", "results?order=size", NULL, 400, "bad_input",
                  "results are listed by used, created, bytes or cost, not by 'size'");
}

TEST(the_store_is_emptied_on_request)
{
    CHECK_REFUSED(&v, "POST", "gc", "{\"bytes\":-1}", 400, "bad_input", "bytes must be 0 or more");
    json_t *j = call_text(&v, "POST", "gc", "{\"bytes\":0}");
    CHECK(number_at(j, "freed") > 0);
    json_decref(j);
    j = get(&v, "results");
    CHECK_INT(number_at(j, "stats.results"), number_at(j, "stats.pinned"));
    json_decref(j);
}

/* --------------------------------------------------------------------------------------- events */

typedef struct watch {
    client c;
    json_int_t seq;
    int previews;
    json_t *last; /* the frame read last */
} watch;

static void watch_open(watch *w)
{
    *w = (watch){ 0 };
    REQUIRE(client_open(&w->c, v.port));
    CHECK_INT(client_upgrade(&w->c, "/api/tubelet/events", "Sec-WebSocket-Protocol: events\r\n"),
              101);
}

static void check_preview(watch *w)
{
    const unsigned char *b = (const unsigned char *)w->c.body.s;
    const size_t id = w->c.body.len > 8 ? (size_t)(b[2] << 8 | b[3]) : 0;
    CHECK(id > 0 && w->c.body.len > 8 + id + 2);
    CHECK_INT(b[0], 1);
    CHECK_INT(b[1], 1);
    CHECK(b[8 + id] == 0xff && b[9 + id] == 0xd8);
    w->previews++;
}

/* The next text frame; its seq follows the one before. */
static const json_t *watch_next(watch *w)
{
    int kind;
    while ((kind = client_read_frame(&w->c)) == FRAME_BINARY)
        check_preview(w);
    REQUIRE(kind == FRAME_TEXT);
    json_decref(w->last);
    w->last = json_loadb(w->c.body.s, w->c.body.len, 0, NULL);
    REQUIRE(w->last);
    const json_int_t seq = json_integer_value(at(w->last, "seq"));
    if (w->seq)
        CHECK_INT(seq, w->seq + 1);
    w->seq = seq;
    return w->last;
}

static void watch_close(watch *w)
{
    client_close(&w->c);
    json_decref(w->last);
}

static void add_states(json_t *states, const json_t *nodes)
{
    const char *id;
    json_t *node;
    json_object_foreach((json_t *)(uintptr_t)nodes, id, node)
        json_object_set(states, id, at(node, "state"));
}

TEST(a_run_is_followed_by_events)
{
    char id[64];
    watch w;
    watch_open(&w);
    const json_t *f = watch_next(&w);
    CHECK_STR(text_at(f, "type"), "snapshot");
    CHECK(*text_at(f, "server") && json_array_size(at(f, "running")) == 0);
    json_t *document = sampling(&v, "events", 4, "events.png"), *states = json_object();
    post_run(&v, document, "Followed", id);
    bool queued = false, planned = false, delivered = false;
    for (;;) {
        f = watch_next(&w);
        const char *type = text_at(f, "type");
        queued |= strcmp(type, "queue") == 0;
        if (strcmp(type, "planned") == 0) {
            planned = true;
            CHECK_STR(text_at(f, "prompt_id"), id);
            CHECK_STR(text_at(f, "expanded.s/step_01/cond.0"), "dit_step");
            CHECK_STR(text_at(f, "expanded.s/step_01/cond.1"), "s");
            CHECK(number_at(f, "summary.run") > 8);
        } else if (strcmp(type, "nodes") == 0) {
            add_states(states, at(f, "nodes"));
        } else if (strcmp(type, "delivered") == 0) {
            delivered = true;
            CHECK_STR(text_at(f, "file.filename"), "events.png");
            CHECK_STR(text_at(f, "file.node"), "o");
            CHECK_INT(strlen(text_at(f, "file.key")), 64);
        } else if (strcmp(type, "ended") == 0) {
            break;
        }
    }
    CHECK(queued && planned && delivered);
    CHECK_STR(text_at(f, "run.state"), "done");
    CHECK_STR(text_at(f, "run.outputs.0.filename"), "events.png");
    CHECK(number_at(f, "run.nodes_run") > 8);
    CHECK_STR(text_at(states, "s/step_03/step"), "done");
    CHECK_STR(text_at(states, "o"), "done");
    while (w.previews == 0 && client_read_frame(&w.c) == FRAME_BINARY)
        check_preview(&w);
    CHECK(w.previews > 0);
    watch_close(&w);
    json_decref(states);
    json_decref(document);
}

TEST(a_late_client_gets_a_snapshot)
{
    char id[64];
    watch w;
    json_t *document = long_run("late.png");
    post_run(&v, document, "Late", id);
    for (int i = 0; i < 6000; i++) { /* until something of it runs */
        json_t *r = run_path(id, "");
        const bool running = number_at(r, "nodes_total") > 0;
        json_decref(r);
        if (running)
            break;
        nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
    }
    watch_open(&w);
    const json_t *f = watch_next(&w);
    CHECK_STR(text_at(f, "running.0.prompt_id"), id);
    CHECK_STR(text_at(f, "queue.0.prompt_id"), id);
    CHECK(number_at(f, "running.0.summary.nodes") > 1000);
    json_decref(post_to(id, "/cancel", "{}"));
    while (strcmp(text_at(f = watch_next(&w), "type"), "ended") != 0)
        ;
    CHECK_STR(text_at(f, "run.state"), "canceled");
    watch_close(&w);
    json_decref(document);
}

TEST(failures_are_told)
{
    char id[64];
    watch w;
    watch_open(&w);
    json_t *document = sampling(&v, "a red ball", 2, "fail.png");
    json_object_set_new(at(document, "graph.m.inputs"), "path", json_string("no/such/model"));
    post_run(&v, document, "Fails", id);
    const json_t *f;
    while (strcmp(text_at(f = watch_next(&w), "type"), "failed") != 0)
        ;
    CHECK_STR(text_at(f, "error.node"), "m");
    CHECK(strstr(text_at(f, "error.text"), "node 'm' (load_model): "));
    watch_close(&w);
    json_decref(document);
}

/* Until this file is told to have another etag than this one. A look that was late may tell of the
 * old one once more. */
static const json_t *wait_changed(watch *w, const char *path, const char *old)
{
    const json_t *f;
    do
        f = watch_next(w);
    while (strcmp(text_at(f, "type"), "graph_changed") != 0 ||
           strcmp(text_at(f, "path"), path) != 0 || strcmp(text_at(f, "etag"), old) == 0);
    return f;
}

TEST(changed_graph_files_are_told)
{
    watch w;
    char first[64], second[64];
    watch_open(&w);
    CHECK_STR(text_at(watch_next(&w), "type"), "snapshot");
    put_file(&v, "graphs/watched.json", "{}");
    snprintf(first, sizeof first, "%s", text_at(wait_changed(&w, "watched.json", ""), "etag"));
    put_file(&v, "graphs/watched.json", "{\"a\":1}");
    snprintf(second, sizeof second, "%s", text_at(wait_changed(&w, "watched.json", first), "etag"));
    CHECK_INT(strlen(second), 32);
    put_file(&v, "graphs/new/inside.json", "{}");
    CHECK_INT(strlen(text_at(wait_changed(&w, "new/inside.json", ""), "etag")), 32);
    char *path = tb_xasprintf("%s/graphs/watched.json", v.dir);
    unlink(path);
    free(path);
    const json_t *f = wait_changed(&w, "watched.json", second);
    CHECK(json_is_null(at(f, "etag")));
    watch_close(&w);
}

TEST(what_is_logged_is_told)
{
    watch w;
    watch_open(&w);
    CHECK_STR(text_at(watch_next(&w), "type"), "snapshot");
    json_decref(call_text(&v, "POST", "build",
                          "{\"source\":\"print 'hello from Lua'\\nlocal tb = require 'tubelet'\\n"
                          "return tb.graph { build = function() tb.constant_int {} end }\"}"));
    CHECK_STATUS(&v, 200);
    const json_t *f;
    while (strcmp(text_at(f = watch_next(&w), "type"), "log") != 0)
        ;
    CHECK_STR(text_at(f, "level"), "warning");
    CHECK_STR(text_at(f, "text"), "hello from Lua");
    CHECK(number_at(f, "time_ms") > 0);
    watch_close(&w);
}

/* Documents and history are there after a restart. */
TEST(a_new_server_knows_the_runs)
{
    json_t *before = get(&v, "runs?limit=1000");
    serving_close(&v);
    serving_open(&v);
    json_t *after = get(&v, "runs?limit=1000");
    CHECK_INT(json_array_size(at(after, "runs")), json_array_size(at(before, "runs")));
    CHECK_STR(text_at(after, "runs.0.prompt_id"), text_at(before, "runs.0.prompt_id"));
    json_t *r = run_path(text_at(after, "runs.0.prompt_id"), "");
    CHECK(json_is_object(at(r, "document.graph")));
    json_decref(r);
    json_decref(before);
    json_decref(after);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "__lua") == 0)
        tb_script_child_main(TB_SCRIPT_CHILD_FD);
    setenv("TUBELET_BIN", "/proc/self/exe", 1);
    static const struct tb_test tests[] = {
        TEST_CASE(a_run_is_told_of_as_it_was),
        TEST_CASE(the_file_of_a_run_stays),
        TEST_CASE(nothing_wrong_is_queued),
        TEST_CASE(a_failed_run_says_where),
        TEST_CASE(runs_are_canceled_retried_and_forgotten),
        TEST_CASE(the_history_is_read_in_pages),
        TEST_CASE(a_run_is_branched_at_a_step),
        TEST_CASE(a_ksampler_is_branched),
        TEST_CASE(steps_are_found_behind_cached_results),
        TEST_CASE(cuts_that_cannot_be_are_refused),
        TEST_CASE(results_are_listed_shown_and_dropped),
        TEST_CASE(keys_that_are_none_are_refused),
        TEST_CASE(the_store_is_emptied_on_request),
        TEST_CASE(a_run_is_followed_by_events),
        TEST_CASE(a_late_client_gets_a_snapshot),
        TEST_CASE(failures_are_told),
        TEST_CASE(changed_graph_files_are_told),
        TEST_CASE(what_is_logged_is_told),
        TEST_CASE(a_new_server_knows_the_runs),
    };
    serving_start(&v);
    const int code = tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
    serving_stop(&v);
    return code;
}
