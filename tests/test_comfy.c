/* test_comfy.c - ComfyUI's routes over HTTP: prompts, errors to the letter, queue and history. */
#include <time.h>

#include "base/log.h"
#include "comfy_bench.h"
#include "formats/media.h"

static bench b;
static client c;

/* POST /prompt with these nodes; the answer. */
static json_t *post(int status, const char *nodes)
{
    char *body = tb_xasprintf("{'prompt':{%s}}", nodes);
    json_t *j = ask(&c, status, "POST", "/prompt", body);
    free(body);
    return j;
}

static void expect(const char *nodes, const char *const *want, int n)
{
    json_t *j = post(400, nodes);
    for (int i = 0; i < n; i++) {
        const char *path = want[2 * i];
        if (strcmp(at(j, path), want[2 * i + 1]) != 0)
            fprintf(stderr, "%s of %s\n", path, c.body.s);
        CHECK_STR(at(j, path), want[2 * i + 1]);
    }
    json_decref(j);
}

#define EXPECT(nodes, ...)                                             \
    do {                                                               \
        static const char *const want_[] = { __VA_ARGS__ };            \
        expect(nodes, want_, (int)(sizeof want_ / sizeof *want_ / 2)); \
    } while (0)

TEST(prompt_errors_have_comfyuis_words)
{
    json_t *j = ask(&c, 400, "POST", "/prompt", "{}");
    CHECK_STR(at(j, "error"), "{\"type\":\"no_prompt\",\"message\":\"No prompt provided\","
                              "\"details\":\"No prompt provided\",\"extra_info\":{}}");
    CHECK_STR(at(j, "node_errors"), "{}");
    json_decref(j);
    EXPECT("'1':{'inputs':{}}", "error.type", "invalid_prompt", "error.message",
           "Cannot execute because a node is missing the class_type property.", "error.details",
           "Node ID '#1'", "node_errors", "{}");
    EXPECT("'7':{'class_type':'t_numb','inputs':{},'_meta':{'title':'Mine'}}", "error.type",
           "invalid_prompt", "error.message", "Cannot execute because node t_numb does not exist.",
           "error.details", "Node ID '#7'", "error.extra_info.node_title", "Mine",
           "error.extra_info.hint", "Did you mean 't_num'?");
    EXPECT("'1':{'class_type':'Nope'},'2':{'class_type':'Gone','_meta':{'pack':'p'}},"
           "'3':{'class_type':'Off','_meta':{'mode':'mute'}}",
           "error.message", "Cannot execute because node Nope does not exist.",
           "error.extra_info.missing.1.class_type", "Gone", "error.extra_info.missing.1.pack", "p",
           "error.extra_info.missing.2", "(none)");
    EXPECT("'1':{'class_type':'t_num','inputs':{}}", "error.type", "prompt_no_outputs",
           "error.message", "Prompt has no outputs", "error.details", "");
    EXPECT("'1':5", "error.type", "invalid_prompt");
    j = ask(&c, 400, "POST", "/prompt",
            "{'prompt':{'1':{'class_type':'t_end','inputs':{}}},"
            "'partial_execution_targets':[]}");
    CHECK_STR(at(j, "error.type"), "prompt_no_outputs");
    json_decref(j);
    json_decref(ask(&c, 400, "POST", "/prompt", "{'prompt':"));
    json_decref(ask(&c, 400, "POST", "/prompt", "{'prompt':[]}"));
    json_decref(ask(&c, 400, "POST", "/prompt", "[1]"));
}

TEST(node_errors_have_comfyuis_words)
{
#define NUM(v) "'1':{'class_type':'t_num','inputs':{'value':" v "}},"
#define END    "'2':{'class_type':'t_end','inputs':{'value':['1',0]}}"
#define FIRST  "node_errors.1.errors.0."
    EXPECT(NUM("-1") END, "error.type", "prompt_outputs_failed_validation", "error.message",
           "Prompt outputs failed validation", "error.details", "", FIRST "type",
           "value_smaller_than_min", FIRST "message", "Value -1 smaller than min of 0",
           FIRST "details", "value", FIRST "extra_info.received_value", "-1",
           FIRST "extra_info.input_config.0", "INT", "node_errors.1.dependent_outputs", "[\"2\"]",
           "node_errors.1.class_type", "t_num");
    EXPECT(NUM("100001.5") END, FIRST "type", "value_bigger_than_max", FIRST "message",
           "Value 100001 bigger than max of 100000", FIRST "extra_info.received_value", "100001.5");
    EXPECT(NUM("'abc'") END, FIRST "type", "invalid_input_type", FIRST "message",
           "Failed to convert an input value to a INT value", FIRST "extra_info.input_name",
           "value");
    EXPECT(NUM("[1]") END, FIRST "type", "bad_linked_input", FIRST "message",
           "Bad linked input, must be a length-2 list of [node_id, slot_index]", FIRST "details",
           "value", FIRST "extra_info.received_value", "[1]");
    EXPECT(NUM("['9',0]") END, FIRST "type", "exception_during_inner_validation", FIRST "message",
           "Exception when validating inner node");
    EXPECT(NUM("1") "'2':{'class_type':'t_end','inputs':{'value':['1',3]}}",
           "node_errors.2.errors.0.type", "exception_during_validation", "error.details",
           "Exception when validating node: value is linked to output 3 of node '1' (t_num), which "
           "has 1 output");
    EXPECT(NUM("1") "'2':{'class_type':'t_show','inputs':{'image':['1',0]}}",
           "node_errors.2.errors.0.type", "return_type_mismatch", "node_errors.2.errors.0.message",
           "Return type mismatch between linked nodes", "node_errors.2.errors.0.details",
           "image, received_type(INT) mismatch input_type(IMAGE)",
           "node_errors.2.errors.0.extra_info.received_type", "INT",
           "node_errors.2.errors.0.extra_info.linked_node", "[\"1\",0]", "error.details",
           "Return type mismatch between linked nodes: image, received_type(INT) mismatch "
           "input_type(IMAGE)");
    EXPECT("'2':{'class_type':'t_show','inputs':{}}", "node_errors.2.errors.0.type",
           "required_input_missing", "node_errors.2.errors.0.message", "Required input is missing",
           "node_errors.2.errors.0.details", "image", "error.details",
           "Required input is missing: image");
#define PICK(i)                                                \
    "'1':{'class_type':'t_pick','inputs':{'text':'x'," i "}}," \
    "'2':{'class_type':'t_end','inputs':{'value':1,'path':['1',0]}}"
    EXPECT(PICK("'colour':'PINK'"), FIRST "type", "value_not_in_list", FIRST "message",
           "Value not in list", FIRST "details", "colour: 'PINK' not in ['RED', 'GREEN', 'BLUE']",
           FIRST "extra_info.input_config.0", "[\"RED\",\"GREEN\",\"BLUE\"]");
    EXPECT(PICK("'scale':2"), FIRST "message", "Value 2.0 bigger than max of 1.0");
    EXPECT(PICK("'scale':-0.25"), FIRST "message", "Value -0.25 smaller than min of 0.0");
    EXPECT("'1':{'class_type':'t_num','inputs':{'value':['3',0]}},"
           "'3':{'class_type':'t_num','inputs':{'value':['1',0]}}," END,
           FIRST "type", "dependency_cycle", FIRST "message", "Dependency cycle detected",
           FIRST "details", "1 (t_num) -> 3 (t_num) -> 1 (t_num)");
}

TEST(invalid_outputs_are_dropped_and_the_others_run)
{
    json_t *j = post(200, "'1':{'class_type':'t_end','inputs':{'value':3,'path':'good.txt'}},"
                          "'2':{'class_type':'t_num','inputs':{'value':-5}},"
                          "'3':{'class_type':'t_end','inputs':{'value':['2',0]}},"
                          "'4':{'class_type':'t_end','inputs':{'value':['2',0]}}");
    CHECK_STR(at(j, "node_errors.2.dependent_outputs"), "[\"3\",\"4\"]");
    CHECK_STR(at(j, "node_errors.2.errors.0.type"), "value_smaller_than_min");
    json_t *h = history_of(&c, at(j, "prompt_id"));
    CHECK_STR(at(h, "status.status_str"), "success");
    CHECK_STR(at(h, "prompt.4"), "[\"1\"]");
    CHECK_STR(at(h, "prompt.2.3.class_type"), "t_end");
    CHECK_STR(at(h, "outputs"), "{\"1\":{\"images\":[{\"filename\":\"good.txt\",\"subfolder\":\"\","
                                "\"type\":\"output\"}]}}");
    CHECK_STR(at(h, "meta.1"), "{\"node_id\":\"1\",\"display_node\":\"1\",\"parent_node\":null,"
                               "\"real_node_id\":\"1\"}");
    json_decref(h);
    json_decref(j);
}

/* What this process has computed: others on the machine do not count. */
static double busy_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

TEST(a_graph_full_of_errors_is_answered_soon)
{
    tb_str s = TB_STR_INIT;
    const double start = busy_seconds();
    tb_str_add(&s, "{\"prompt\":{\"x\":{\"class_type\":\"t_num\",\"inputs\":{\"value\":-1}}");
    for (int i = 0; i < 3000; i++)
        tb_str_addf(&s,
                    ",\"a%d\":{\"class_type\":\"t_num\",\"inputs\":{\"value\":[\"b%d\",0]}},"
                    "\"b%d\":{\"class_type\":\"t_num\",\"inputs\":{\"value\":[\"a%d\",0]}},"
                    "\"o%d\":{\"class_type\":\"t_end\",\"inputs\":{\"value\":[\"%s%d\",0]}}",
                    i, i, i, i, i, i % 2 ? "a" : "x\",0],\"path\":[\"a", i);
    tb_str_add(&s, "}}");
    CHECK_INT(client_call(&c, "POST", "/prompt", s.s), 400);
    CHECK(strstr(c.body.s, "prompt_outputs_failed_validation"));
    CHECK(busy_seconds() - start < 20);
    tb_str_free(&s);
}

TEST(literals_are_converted_and_undeclared_ones_dropped)
{
    json_t *j = post(200, "'1':{'class_type':'t_num','inputs':{'value':'41','extra':'x'}},"
                          "'2':{'class_type':'t_end','inputs':{'value':['1',0],'path':'n.txt'}}");
    json_decref(history_of(&c, at(j, "prompt_id")));
    json_decref(j);
    CHECK_INT(client_call(&c, "GET", "/view?filename=n.txt", NULL), 200);
    CHECK_STR(c.body.s, "42\n");
    CHECK_STR(client_header(&c, "Content-Disposition"), "filename=\"n.txt\"");
    j = post(200, "'1':{'class_type':'t_end','inputs':{'value':7.9,'path':'f.txt'}}");
    json_decref(history_of(&c, at(j, "prompt_id")));
    json_decref(j);
    CHECK_INT(client_call(&c, "GET", "/api/view?filename=f.txt%20[output]&type=input", NULL), 200);
    CHECK_STR(c.body.s, "7\n");
    /* nothing of 2^64-1 is lost, here or in the history: tests/clients/semantics.test.js */
    j = post(400, "'1':{'class_type':'t_end','inputs':{'value':18446744073709551615}}");
    CHECK_STR(at(j, "node_errors.1.errors.0.message"),
              "Value 18446744073709551615 bigger than max of 1000000");
    json_decref(j);
}

TEST(view_refuses_what_is_not_ours)
{
    static const struct {
        const char *query;
        int status;
    } tab[] = { { "", 404 },
                { "?filename=", 400 },
                { "?filename=none.txt", 404 },
                { "?filename=/etc/passwd", 400 },
                { "?filename=../store/runs.db", 400 },
                { "?filename=runs.db&subfolder=../store", 403 },
                { "?filename=x&type=etc", 400 } };
    for (size_t i = 0; i < sizeof tab / sizeof *tab; i++) {
        char path[200];
        snprintf(path, sizeof path, "/view%s", tab[i].query);
        CHECK_INT(client_call(&c, "GET", path, NULL), tab[i].status);
    }
}

TEST(queue_can_be_seen_and_edited)
{
    json_t *j = ask(&c, 200, "POST", "/prompt",
                    "{'prompt':{'1':{'class_type':'t_num','inputs':{'value':1,'ms':20000}},"
                    "'2':{'class_type':'t_end','inputs':{'value':['1',0]}}},'client_id':'me',"
                    "'prompt_id':'slow','extra_data':{'auth_token_comfy_org':'s','x':1}}");
    CHECK_STR(at(j, "prompt_id"), "slow");
    json_decref(j);
    for (int i = 0; i < 3; i++) {
        char body[200];
        snprintf(body, sizeof body,
                 "{'prompt':{'1':{'class_type':'t_end','inputs':{'value':%d}}},'prompt_id':'p%d'"
                 "%s}",
                 i, i, i == 2 ? ",'number':0.5" : "");
        json_decref(ask(&c, 200, "POST", "/api/prompt", body));
    }
    j = ask(&c, 200, "GET", "/prompt", NULL);
    CHECK_STR(at(j, "exec_info.queue_remaining"), "4");
    json_decref(j);
    j = ask(&c, 200, "GET", "/queue", NULL);
    CHECK_STR(at(j, "queue_running.0.1"), "slow");
    CHECK_STR(at(j, "queue_running.0.3.x"), "1");
    CHECK_STR(at(j, "queue_running.0.3.client_id"), "me");
    CHECK(strtoll(at(j, "queue_running.0.3.create_time"), NULL, 10) > 1500000000000);
    CHECK_STR(at(j, "queue_running.0.4"), "[\"2\"]");
    CHECK_STR(at(j, "queue_pending.0.1"), "p2");
    CHECK_STR(at(j, "queue_pending.0.0"), "0.5");
    CHECK_STR(at(j, "queue_pending.1.1"), "p0");
    json_decref(j);
    json_decref(ask(&c, 200, "POST", "/queue", "{'delete':['p0','none']}"));
    j = ask(&c, 200, "GET", "/queue", NULL);
    CHECK_STR(at(j, "queue_pending.1.1"), "p1");
    json_decref(j);
    json_decref(ask(&c, 200, "POST", "/interrupt", "{'prompt_id':'p1'}"));
    json_decref(ask(&c, 200, "POST", "/queue", "{'clear':true}"));
    json_decref(ask(&c, 200, "POST", "/interrupt", ""));
    j = history_of(&c, "slow");
    CHECK_STR(at(j, "status.status_str"), "error");
    CHECK_STR(at(j, "status.completed"), "false");
    CHECK_STR(at(j, "status.messages.2.0"), "execution_interrupted");
    CHECK_STR(at(j, "status.messages.2.1.node_id"), "1");
    CHECK_STR(at(j, "status.messages.2.1.node_type"), "t_num");
    json_decref(j);
    json_decref(ask(&c, 200, "POST", "/history", "{'delete':['slow']}"));
    for (int i = 0; i < 6000; i++) {
        j = ask(&c, 200, "GET", "/history/slow", NULL);
        const bool gone = json_object_size(j) == 0;
        json_decref(j);
        if (gone)
            break;
        usleep(10000);
    }
    j = ask(&c, 200, "GET", "/history/slow", NULL);
    CHECK_STR(at(j, ""), "{}");
    json_decref(j);
}

TEST(uploads_are_kept_under_free_names)
{
    static const char *const want[] = { "a.png", "a.png", "a (1).png" };
    static const char *const content[] = { "one", "one", "two" };
    for (int i = 0; i < 3; i++) {
        char *body =
            tb_xasprintf("--B\r\nContent-Disposition: form-data; name=\"image\"; "
                         "filename=\"a.png\"\r\nContent-Type: image/png\r\n\r\n%s\r\n--B\r\n"
                         "Content-Disposition: form-data; name=\"subfolder\"\r\n\r\nsub\r\n"
                         "--B--\r\n",
                         content[i]);
        CHECK(client_request(&c,
                             "POST /upload/image HTTP/1.1\r\n"
                             "Content-Type: multipart/form-data; boundary=B\r\n",
                             body, strlen(body)));
        CHECK_INT(client_read(&c, true), 200);
        json_t *j = json_loads(c.body.s, 0, NULL);
        CHECK_STR(at(j, "name"), want[i]);
        CHECK_STR(at(j, "subfolder"), "sub");
        CHECK_STR(at(j, "type"), "input");
        json_decref(j);
        free(body);
    }
    CHECK_INT(client_call(&c, "GET", "/view?type=input&subfolder=sub&filename=a%20(1).png", NULL),
              200);
    CHECK_STR(c.body.s, "two");
}

/* The bytes of a PNG of one row; with a graph inside where it has no alpha. */
static tb_tensor *row_png(const float *pixels, int width, int channels)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *t = tb_tensor_new(TB_F32, &TB_SHAPE(1, 1, width, channels), &err);
    json_t *texts = json_pack("{ss}", "prompt", "{}");
    REQUIRE(t);
    memcpy(tb_tensor_f32_mut(t), pixels, tb_tensor_bytes(t));
    tb_tensor *png = tb_media_encode(t, &(tb_media_options){ .format = "png" }, NULL, &err);
    tb_tensor *file = channels == 3 ? tb_media_embed(png, "png", texts, &err) : tb_tensor_ref(png);
    REQUIRE(file);
    tb_tensor_unref(&t);
    tb_tensor_unref(&png);
    json_decref(texts);
    return file;
}

static void upload_take(const char *route, const char *name, const char *ref, tb_tensor *file,
                        int status)
{
    tb_str body = TB_STR_INIT;
    tb_str_addf(&body,
                "--B\r\nContent-Disposition: form-data; name=\"original_ref\"\r\n\r\n%s\r\n--B\r\n"
                "Content-Disposition: form-data; name=\"image\"; filename=\"%s\"\r\n"
                "Content-Type: image/png\r\n\r\n",
                ref, name);
    tb_str_addn(&body, tb_tensor_data(file), tb_tensor_bytes(file));
    tb_str_add(&body, "\r\n--B--\r\n");
    char *head = tb_xasprintf("POST %s HTTP/1.1\r\n"
                              "Content-Type: multipart/form-data; boundary=B\r\n",
                              route);
    CHECK(client_request(&c, head, body.s, body.len));
    CHECK_INT(client_read(&c, true), status);
    tb_tensor_unref(&file);
    tb_str_free(&body);
    free(head);
}

/* What /view answers, as pixels; *has_alpha and *texts (a new reference) may be NULL. */
static tb_tensor *viewed(const char *query, bool *has_alpha, json_t **texts)
{
    char path[] = "/tmp/tb_view_XXXXXX";
    tb_err err = TB_ERR_INIT;
    bool found;
    tb_media_info info = { 0 };
    CHECK_INT(client_call(&c, "GET", query, NULL), 200);
    close(mkstemp(path));
    CHECK_OK(tb_fs_write(path, c.body.s, c.body.len, false, &err));
    tb_tensor *t = tb_media_read_rgba(path, has_alpha ? has_alpha : &found, NULL, &err);
    REQUIRE(t);
    CHECK_OK(tb_media_probe(path, &info, &err));
    if (texts)
        *texts = json_incref(info.texts);
    json_decref(info.texts);
    unlink(path);
    return t;
}

static void check_row(const char *query, const float *want, int n, bool with_alpha)
{
    bool has_alpha = false;
    tb_tensor *t = viewed(query, &has_alpha, NULL);
    CHECK_INT(tb_tensor_count(t), n);
    CHECK_INT(has_alpha, with_alpha);
    for (int i = 0; i < n && i < tb_tensor_count(t); i++)
        CHECK_NEAR(tb_tensor_f32(t)[i], want[i], 1e-6);
    tb_tensor_unref(&t);
}

TEST(a_mask_replaces_the_alpha_of_its_picture)
{
    const float picture[] = { 1, 0, 0, 0, 1, 0 }, mask[] = { 0, 0, 0, 0.2F, 0, 0, 0, 1 },
                whole[] = { 1, 0, 0, 0.2F, 0, 1, 0, 1 }, colours[] = { 1, 0, 0, 1, 0, 1, 0, 1 },
                alpha[] = { 0, 0, 0, 0.2F, 0, 0, 0, 1 };
    const char *ref = "{\"filename\":\"row.png\",\"type\":\"input\"}";
    json_t *texts = NULL;
    upload_take("/upload/image", "row.png", "", row_png(picture, 2, 3), 200);
    upload_take("/upload/mask", "clip.png", ref, row_png(mask, 2, 4), 200);
    json_t *j = json_loads(c.body.s, 0, NULL);
    CHECK_STR(at(j, "name"), "clip.png");
    json_decref(j);
    check_row("/view?type=input&filename=clip.png", whole, 8, true);
    check_row("/view?type=input&filename=clip.png&channel=rgb", colours, 8, false);
    check_row("/view?type=input&filename=clip.png&channel=a", alpha, 8, true);
    tb_tensor *t = viewed("/view?type=input&filename=clip.png", NULL, &texts);
    CHECK_STR(json_string_value(json_object_get(texts, "prompt")), "{}");
    json_decref(texts);
    tb_tensor_unref(&t);
    bool has_alpha = false;
    t = viewed("/view?type=input&filename=clip.png&preview=webp;90", &has_alpha, NULL);
    CHECK(has_alpha);
    tb_tensor_unref(&t);
    t = viewed("/view?type=input&filename=clip.png&preview=jpeg", &has_alpha, NULL);
    CHECK(!has_alpha);
    tb_tensor_unref(&t);
}

TEST(masks_that_do_not_fit_are_refused)
{
    const float picture[] = { 1, 0, 0, 0, 1, 0 }, mask[] = { 0, 0, 0, 1 };
    upload_take("/upload/image", "row.png", "", row_png(picture, 2, 3), 200);
    upload_take("/upload/mask", "m.png", "{\"filename\":\"row.png [input]\"}", row_png(mask, 1, 4),
                400);
    json_t *j = json_loads(c.body.s, 0, NULL);
    CHECK_STR(at(j, "error.message"), "the mask must be 2x1 pixels as its picture, got 1x1");
    json_decref(j);
    upload_take("/upload/mask", "m.png", "{\"filename\":\"../row.png\"}", row_png(mask, 1, 4), 400);
    upload_take("/upload/mask", "m.png", "{\"filename\":\"none.png\"}", row_png(mask, 1, 4), 400);
    upload_take("/upload/mask", "m.png", "no json", row_png(mask, 1, 4), 400);
}

TEST(object_info_keeps_the_order_of_declaration)
{
    json_t *j = ask(&c, 200, "GET", "/object_info/t_pick", NULL);
    CHECK_STR(at(j, "t_pick.input_order.required"), "[\"colour\",\"text\",\"scale\",\"flag\"]");
    CHECK_STR(at(j, "t_pick.input.required.colour"),
              "[[\"RED\",\"GREEN\",\"BLUE\"],{\"default\":\"RED\",\"tooltip\":\"Which.\"}]");
    CHECK_STR(at(j, "t_pick.input.required.scale.1.max"), "1.0");
    CHECK_STR(at(j, "t_pick.output"), "[\"STRING\"]");
    CHECK_STR(at(j, "t_pick.output_node"), "false");
    json_decref(j);
    j = ask(&c, 200, "GET", "/api/object_info/none", NULL);
    CHECK_STR(at(j, ""), "{}");
    json_decref(j);
    j = ask(&c, 200, "GET", "/object_info", NULL);
    CHECK(json_object_size(j) > 30);
    json_decref(j);
    j = ask(&c, 200, "GET", "/system_stats", NULL);
    CHECK_STR(at(j, "devices.0.type"), "cpu");
    CHECK_STR(at(j, "devices.0.index"), "null");
    json_decref(j);
    j = ask(&c, 200, "GET", "/features", NULL);
    CHECK_STR(at(j, "supports_preview_metadata"), "true");
    CHECK_STR(at(j, "max_upload_size"), "104857600");
    json_decref(j);
}

TEST(jobs_list_what_waits_runs_and_was)
{
    static const char nodes[] = "'1':{'class_type':'t_end','inputs':{'value':5,'path':'job.mp4'}}";
    json_t *j = post(200, nodes);
    char id[64];
    snprintf(id, sizeof id, "%.63s", at(j, "prompt_id"));
    json_decref(j);
    json_decref(history_of(&c, id));
    j = ask(&c, 200, "GET", "/api/jobs?status=completed&limit=1", NULL);
    CHECK_STR(at(j, "jobs.0.id"), id);
    CHECK_STR(at(j, "jobs.0.status"), "completed");
    CHECK_STR(at(j, "jobs.0.preview_output"),
              "{\"filename\":\"job.mp4\",\"subfolder\":\"\",\"type\":\"output\",\"nodeId\":\"1\","
              "\"mediaType\":\"images\"}");
    CHECK_STR(at(j, "pagination.limit"), "1");
    json_decref(j);
    char path[128];
    snprintf(path, sizeof path, "/api/jobs/%s", id);
    j = ask(&c, 200, "GET", path, NULL);
    CHECK_STR(at(j, "workflow.prompt.1.class_type"), "t_end");
    CHECK_STR(at(j, "outputs.1.animated"), "[true]");
    CHECK_STR(at(j, "execution_status.status_str"), "success");
    json_decref(j);
    j = ask(&c, 404, "GET", "/api/jobs/none", NULL);
    CHECK_STR(at(j, "error"), "Job not found");
    json_decref(j);
    json_decref(ask(&c, 400, "GET", "/api/jobs?status=odd", NULL));
    json_decref(ask(&c, 400, "GET", "/api/jobs?limit=0", NULL));
    json_decref(ask(&c, 200, "POST", "/prompt",
                    "{'prompt':{'1':{'class_type':'t_num','inputs':{'value':31,'ms':20000}},"
                    "'2':{'class_type':'t_end','inputs':{'value':['1',0]}}},'prompt_id':'long'}"));
    j = ask(&c, 200, "GET", "/api/jobs?status=pending,in_progress", NULL);
    CHECK_STR(at(j, "jobs.0.id"), "long");
    json_decref(j);
    for (int i = 0; i < 1000; i++) {
        j = ask(&c, 200, "POST", "/api/jobs/long/cancel", "");
        const bool canceled = json_is_true(json_object_get(j, "cancelled"));
        json_decref(j);
        if (canceled)
            break;
    }
    j = history_of(&c, "long");
    json_decref(j);
    j = ask(&c, 200, "GET", "/api/jobs?status=cancelled", NULL);
    CHECK_STR(at(j, "jobs.0.id"), "long");
    json_decref(j);
    json_decref(ask(&c, 400, "POST", "/api/jobs/cancel", "{'job_ids':[1]}"));
    j = ask(&c, 200, "POST", "/api/jobs/cancel", "{'job_ids':['long']}");
    CHECK_STR(at(j, "cancelled"), "false");
    json_decref(j);
}

TEST(the_file_of_comfyuis_editor_is_a_prompt_too)
{
    json_t *j = ask(
        &c, 200, "POST", "/prompt",
        "{'prompt':{'version':0.4,'last_node_id':2,'last_link_id':1,'links':[[1,1,0,2,0,'INT']],"
        "'groups':[],'nodes':[{'id':1,'type':'t_num','pos':[0,0],'size':[1,1],'flags':{},'order':0,"
        "'mode':0,'inputs':[],'outputs':[{'name':'value','type':'INT','links':[1]}],"
        "'widgets_values':[70,0,'']},{'id':2,'type':'t_end','pos':[0,0],'size':[1,1],'flags':{},"
        "'order':1,'mode':0,'inputs':[{'name':'value','type':'INT','link':1,'widget':{'name':"
        "'value'}}],'outputs':[],'widgets_values':[0,'ui.txt']}]}}");
    json_t *h = history_of(&c, at(j, "prompt_id"));
    CHECK_STR(at(h, "status.status_str"), "success");
    CHECK_STR(at(h, "prompt.3.extra_pnginfo.workflow.last_node_id"), "2");
    json_decref(h);
    json_decref(j);
    CHECK_INT(client_call(&c, "GET", "/view?filename=ui.txt", NULL), 200);
    CHECK_STR(c.body.s, "71\n");
}

TEST(small_routes_answer)
{
    static const struct {
        const char *path;
        int status;
    } tab[] = { { "/models", 200 },
                { "/models/vae", 200 },
                { "/models/nothing", 404 },
                { "/embeddings", 200 },
                { "/experiment/models", 200 },
                { "/experiment/models/vae", 200 },
                { "/view_metadata/vae?filename=none.safetensors", 404 },
                { "/extensions", 200 },
                { "/users", 200 },
                { "/i18n", 200 },
                { "/workflow_templates", 200 },
                { "/internal/folder_paths", 200 },
                { "/internal/files/output", 200 },
                { "/internal/files/etc", 400 } };
    for (size_t i = 0; i < sizeof tab / sizeof *tab; i++)
        json_decref(ask(&c, tab[i].status, "GET", tab[i].path, NULL));
    json_decref(ask(&c, 200, "POST", "/free", "{'unload_models':true}"));
}

/* What is logged arrives on the loop a turn later. */
TEST(logged_lines_are_kept)
{
    const char *seen = "";
    json_t *j = NULL;
    tb_log(TB_LOG_WARN, "a line for the terminal");
    for (int i = 0; i < 6000 && !strstr(seen, "terminal"); i++) {
        json_decref(j);
        usleep(5000);
        j = ask(&c, 200, "GET", "/internal/logs/raw", NULL);
        seen = at(j, "entries");
    }
    CHECK(strstr(seen, "\"m\":\"a line for the terminal\\n\""));
    CHECK_STR(at(j, "size.cols"), "80");
    json_decref(j);
    CHECK_INT(client_call(&c, "GET", "/internal/logs", NULL), 200);
    CHECK(strstr(c.body.s, " - a line for the terminal\\n"));
    json_decref(
        ask(&c, 200, "PATCH", "/internal/logs/subscribe", "{'clientId':'none','enabled':true}"));
}

TEST(settings_and_files_of_the_front_end_are_kept)
{
    json_decref(ask(&c, 200, "POST", "/settings", "{'a':1,'b':{'c':true}}"));
    json_decref(ask(&c, 200, "POST", "/settings/a", "[2]"));
    json_t *j = ask(&c, 200, "GET", "/api/settings", NULL);
    CHECK_STR(at(j, "a"), "[2]");
    CHECK_STR(at(j, "b.c"), "true");
    json_decref(j);
    j = ask(&c, 200, "GET", "/settings/none", NULL);
    CHECK(json_is_null(j));
    json_decref(j);
    json_decref(ask(&c, 200, "POST", "/userdata/workflows%2Fone.json", "{'x':1}"));
    json_decref(ask(&c, 409, "POST", "/userdata/workflows%2Fone.json?overwrite=false", "{}"));
    j = ask(&c, 200, "GET", "/userdata?dir=workflows&recurse=true", NULL);
    CHECK_STR(at(j, ""), "[\"one.json\"]");
    json_decref(j);
    j = ask(&c, 200, "GET", "/userdata/workflows%2Fone.json", NULL);
    CHECK_STR(at(j, "x"), "1");
    json_decref(j);
    j = ask(&c, 200, "GET", "/v2/userdata", NULL);
    CHECK_STR(at(j, "0"), "{\"name\":\"workflows\",\"path\":\"workflows\",\"type\":\"directory\"}");
    json_decref(j);
    j = ask(&c, 200, "GET", "/v2/userdata?path=workflows", NULL);
    CHECK_STR(at(j, "0.path"), "workflows/one.json");
    CHECK_STR(at(j, "0.size"), "7");
    json_decref(j);
    json_decref(ask(&c, 403, "GET", "/v2/userdata?path=..", NULL));
    json_decref(ask(&c, 200, "POST", "/userdata/workflows%2Fone.json/move/two.json", ""));
    json_decref(ask(&c, 404, "GET", "/userdata/workflows%2Fone.json", NULL));
    json_decref(ask(&c, 204, "DELETE", "/userdata/two.json", NULL));
    json_decref(ask(&c, 404, "GET", "/userdata/..%2Fsettings.json", NULL));
    json_decref(ask(&c, 400, "GET", "/userdata", NULL));
    json_decref(ask(&c, 404, "GET", "/userdata?dir=none", NULL));
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(prompt_errors_have_comfyuis_words),
        TEST_CASE(node_errors_have_comfyuis_words),
        TEST_CASE(invalid_outputs_are_dropped_and_the_others_run),
        TEST_CASE(a_graph_full_of_errors_is_answered_soon),
        TEST_CASE(literals_are_converted_and_undeclared_ones_dropped),
        TEST_CASE(view_refuses_what_is_not_ours),
        TEST_CASE(queue_can_be_seen_and_edited),
        TEST_CASE(uploads_are_kept_under_free_names),
        TEST_CASE(a_mask_replaces_the_alpha_of_its_picture),
        TEST_CASE(masks_that_do_not_fit_are_refused),
        TEST_CASE(object_info_keeps_the_order_of_declaration),
        TEST_CASE(jobs_list_what_waits_runs_and_was),
        TEST_CASE(the_file_of_comfyuis_editor_is_a_prompt_too),
        TEST_CASE(small_routes_answer),
        TEST_CASE(logged_lines_are_kept),
        TEST_CASE(settings_and_files_of_the_front_end_are_kept),
    };
    if (argc == 2 && strcmp(argv[1], "__lua") == 0)
        tb_script_child_main(TB_SCRIPT_CHILD_FD);
    bench_start(&b, st_folder());
    REQUIRE(client_open(&c, b.port));
    const int failed = tb_test_main(argc, argv, tests, sizeof tests / sizeof *tests);
    client_close(&c);
    bench_end(&b);
    return failed;
}
