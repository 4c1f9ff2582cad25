/* test_comfy_ws.c - what clients of /ws are told, in which order, and who is told it. */
#include "comfy_bench.h"

static bench b;
static client http;

/* A client that has read its first status frame. */
static client watch(const char *id)
{
    client w;
    char path[200];
    snprintf(path, sizeof path, "/ws?clientId=%s", id);
    REQUIRE(client_open(&w, b.port));
    CHECK_INT(client_upgrade(&w, path, ""), 101);
    CHECK_INT(client_read_frame(&w), FRAME_TEXT);
    json_t *j = json_loads(w.body.s, 0, NULL);
    CHECK_STR(at(j, "type"), "status");
    CHECK_STR(at(j, "data.sid"), id);
    CHECK_STR(at(j, "data.status.exec_info.queue_remaining"), "0");
    json_decref(j);
    return w;
}

static void post_as(const char *client_id, const char *prompt_id, const char *nodes)
{
    char *body = client_id ? tb_xasprintf("{'prompt':{%s},'prompt_id':'%s','client_id':'%s'}",
                                          nodes, prompt_id, client_id)
                           : tb_xasprintf("{'prompt':{%s},'prompt_id':'%s'}", nodes, prompt_id);
    json_decref(ask(&http, 200, "POST", "/prompt", body));
    free(body);
}

static json_t *next_frame(client *w)
{
    const int kind = client_read_frame(w);
    REQUIRE(kind == FRAME_TEXT);
    json_t *j = json_loads(w->body.s, 0, NULL);
    REQUIRE(j);
    return j;
}

/* What a test compares: "type node" for those of nodes, "status n" for status, and for
 * progress_state the finished ones. */
static void add_line(tb_str *lines, json_t *j)
{
    const char *type = json_string_value(json_object_get(j, "type"));
    json_t *data = json_object_get(j, "data"), *node, *state;
    const char *id;
    if (strcmp(type, "status") != 0)
        CHECK(json_object_get(data, "prompt_id"));
    if (strcmp(type, "progress_state") == 0) {
        json_object_foreach(json_object_get(data, "nodes"), id, state)
        {
            if (strcmp(at(state, "state"), "finished") == 0)
                tb_str_addf(lines, "finished %s\n", id);
        }
        return;
    }
    if (strcmp(type, "progress") == 0)
        return;
    tb_str_addf(lines, "%s", type);
    if (strcmp(type, "status") == 0)
        tb_str_addf(lines, " %s", at(data, "status.exec_info.queue_remaining"));
    else if ((node = json_object_get(data, "node")) || (node = json_object_get(data, "nodes")))
        tb_str_addf(lines, " %s", at(node, ""));
    tb_str_add(lines, "\n");
}

static bool is_end(json_t *j)
{
    return strcmp(at(j, "type"), "executing") == 0 &&
           json_is_null(json_object_get(json_object_get(j, "data"), "node"));
}

/* Everything up to the executing of no node. Freed by free(). States come with what else changes
 * in 50 ms: where among the nodes is the machine's affair, so they stand before the end they have
 * to come before. */
static char *story(client *w)
{
    tb_str lines = TB_STR_INIT, states = TB_STR_INIT;
    for (bool end = false; !end;) {
        json_t *j = next_frame(w);
        const char *type = json_string_value(json_object_get(j, "type"));
        end = is_end(j);
        if (strcmp(type, "execution_success") == 0) {
            tb_str_add(&lines, states.s ? states.s : "");
            tb_str_free(&states);
        }
        add_line(strcmp(type, "progress_state") == 0 ? &states : &lines, j);
        json_decref(j);
    }
    tb_str_add(&lines, states.s ? states.s : "");
    tb_str_free(&states);
    return tb_str_take(&lines);
}

#define CHAIN(v)                                           \
    "'1':{'class_type':'t_num','inputs':{'value':" v "}}," \
    "'2':{'class_type':'t_end','inputs':{'value':['1',0]}}"

TEST(frames_come_in_comfyuis_order)
{
    client w = watch("order");
    post_as("order", "o1", CHAIN("1"));
    char *got = story(&w);
    CHECK_STR(got, "status 1\nstatus 1\nexecution_start\nexecution_cached []\nexecuting 1\n"
                   "executing 2\nexecuted 2\nfinished 1\nfinished 2\nexecution_success\nstatus 0\n"
                   "executing null\n");
    free(got);
    json_t *h = ask(&http, 200, "GET", "/history/o1", NULL);
    CHECK_STR(at(h, "o1.status.status_str"), "success"); /* it was there before the last frame */
    json_decref(h);
    post_as("order", "o2", CHAIN("1"));
    got = story(&w);
    CHECK_STR(got, "status 1\nstatus 1\nexecution_start\nexecution_cached [\"1\",\"2\"]\n"
                   "executed 2\nfinished 2\nexecution_success\nstatus 0\nexecuting null\n");
    free(got);
    client_close(&w);
}

TEST(trivial_nodes_are_told_of_too)
{
    client w = watch("trivial");
    post_as("trivial", "t1",
            "'1':{'class_type':'t_inline','inputs':{'value':77}},"
            "'x.y z':{'class_type':'t_end','inputs':{'value':['1',0]}}");
    char *got = story(&w);
    CHECK(strstr(got, "executing 1\n") && strstr(got, "executing x.y z\n"));
    CHECK(strstr(got, "finished 1\n") && strstr(got, "executed x.y z\n"));
    free(got);
    client_close(&w);
}

TEST(frames_go_to_the_client_that_asked)
{
    client mine = watch("mine"), other = watch("other");
    post_as("mine", "i1", CHAIN("2"));
    free(story(&mine));
    post_as("other", "i2", CHAIN("3"));
    char *got = story(&other); /* nothing of the first prompt but its status */
    CHECK(
        tb_str_starts(got, "status 1\nstatus 1\nstatus 0\nstatus 1\nstatus 1\nexecution_start\n"));
    free(got);
    /* a prompt without client: states go to everybody, the rest to nobody */
    post_as(NULL, "i3", CHAIN("4"));
    tb_str seen = TB_STR_INIT;
    while (!seen.s || !strstr(seen.s, "finished 2\nstatus 0\n")) {
        json_t *j = next_frame(&other);
        add_line(&seen, j);
        json_decref(j);
    }
    CHECK_STR(seen.s, "status 1\nstatus 1\nfinished 1\nfinished 2\nstatus 0\n");
    tb_str_free(&seen);
    client_close(&mine);
    client_close(&other);
}

TEST(errors_are_told_with_node_and_inputs)
{
    client w = watch("errors");
    post_as("errors", "e1",
            "'1':{'class_type':'t_num','inputs':{'fail':'broken','value':5}},"
            "'2':{'class_type':'t_end','inputs':{'value':['1',0]}}");
    json_t *failed = NULL;
    for (bool end = false; !end;) {
        json_t *j = next_frame(&w);
        end = is_end(j);
        if (strcmp(at(j, "type"), "execution_error") == 0)
            failed = json_incref(j);
        json_decref(j);
    }
    REQUIRE(failed);
    CHECK_STR(at(failed, "data.node_id"), "1");
    CHECK_STR(at(failed, "data.node_type"), "t_num");
    CHECK_STR(at(failed, "data.exception_message"), "broken\n");
    CHECK_STR(at(failed, "data.current_inputs"), "{\"fail\":[\"broken\"],\"value\":[5]}");
    CHECK_STR(at(failed, "data.executed"), "[]");
    json_decref(failed);
    client_close(&w);
}

#define SLOW                                                        \
    "'1':{'class_type':'t_num','inputs':{'value':900,'ms':20000}}," \
    "'2':{'class_type':'t_end','inputs':{'value':['1',0]}}"

static void read_until(client *w, const char *type)
{
    for (bool there = false; !there;) {
        json_t *j = next_frame(w);
        there = strcmp(at(j, "type"), type) == 0;
        json_decref(j);
    }
}

TEST(a_client_that_comes_back_takes_over)
{
    client w = watch("again"), w2, w3;
    post_as("again", "a1", SLOW);
    read_until(&w, "executing");
    REQUIRE(client_open(&w2, b.port));
    CHECK_INT(client_upgrade(&w2, "/api/ws?x=1&clientId=%61gain", ""), 101);
    json_t *j = next_frame(&w2);
    CHECK_STR(at(j, "data.sid"), "again");
    json_decref(j);
    j = next_frame(&w2);
    CHECK_STR(at(j, "type"), "executing");
    CHECK_STR(at(j, "data"), "{\"node\":\"1\",\"display_node\":\"1\",\"prompt_id\":\"a1\"}");
    json_decref(j);
    client_close(&w); /* the old one goes: the new one stays */
    json_decref(ask(&http, 200, "POST", "/interrupt", "{'prompt_id':'a1'}"));
    char *got = story(&w2);
    CHECK(strstr(got, "execution_interrupted\nstatus 0\nexecuting null\n"));
    free(got);
    REQUIRE(client_open(&w3, b.port));
    CHECK_INT(client_upgrade(&w3, "/ws", ""), 101);
    j = next_frame(&w3);
    CHECK_INT(strlen(at(j, "data.sid")), 32);
    json_decref(j);
    client_close(&w2);
    client_close(&w3);
}

TEST(flags_are_exchanged_once_and_ask_for_whole_states)
{
    client w = watch("flags");
    CHECK(client_send_text(&w, "{\"type\":\"feature_flags\",\"data\":{\"progress_full\":true}}"));
    json_t *j = next_frame(&w);
    CHECK_STR(at(j, "type"), "feature_flags");
    CHECK_STR(at(j, "data.supports_preview_metadata"), "true");
    json_decref(j);
    CHECK(client_send_text(&w, "{\"type\":\"feature_flags\",\"data\":{}}"));
    CHECK(client_send_text(&w, "no JSON at all"));
    post_as("flags", "f1", CHAIN("60"));
    size_t most = 0;
    for (bool end = false; !end;) {
        j = next_frame(&w);
        end = is_end(j);
        CHECK(strcmp(at(j, "type"), "feature_flags") != 0);
        const json_t *data = json_object_get(j, "data");
        const size_t n = json_object_size(json_object_get(data, "nodes"));
        if (strcmp(at(j, "type"), "progress_state") == 0) {
            CHECK(n >= most);
            most = n;
        }
        json_decref(j);
    }
    CHECK_INT(most, 2);
    client_close(&w);
}

TEST(progress_is_told_as_it_rises)
{
    client w = watch("progress");
    const double began = tb_clock_seconds();
    double last = 0;
    int told = 0;
    held_half_way = true; /* until the first half is told of */
    post_as("progress", "p1",
            "'1':{'class_type':'t_num','inputs':{'value':800,'ms':300}},"
            "'2':{'class_type':'t_end','inputs':{'value':['1',0]}}");
    for (bool end = false; !end;) {
        json_t *j = next_frame(&w), *data = json_object_get(j, "data");
        end = is_end(j);
        if (strcmp(at(j, "type"), "progress") == 0) {
            const double v = json_number_value(json_object_get(data, "value"));
            CHECK(v >= last);
            CHECK_STR(at(data, "max"), "100.0");
            CHECK_STR(at(data, "node"), "1");
            last = v;
            told++;
            held_half_way = false;
        }
        json_decref(j);
    }
    CHECK(told > 1);
    CHECK(told <= (tb_clock_seconds() - began) / 0.05 + 2); /* one in 50 ms, and the last */
    client_close(&w);
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(frames_come_in_comfyuis_order),
        TEST_CASE(trivial_nodes_are_told_of_too),
        TEST_CASE(frames_go_to_the_client_that_asked),
        TEST_CASE(errors_are_told_with_node_and_inputs),
        TEST_CASE(a_client_that_comes_back_takes_over),
        TEST_CASE(flags_are_exchanged_once_and_ask_for_whole_states),
        TEST_CASE(progress_is_told_as_it_rises),
    };
    if (argc == 2 && strcmp(argv[1], "__lua") == 0)
        tb_script_child_main(TB_SCRIPT_CHILD_FD);
    bench_start(&b, st_folder());
    REQUIRE(client_open(&http, b.port));
    const int failed = tb_test_main(argc, argv, tests, sizeof tests / sizeof *tests);
    client_close(&http);
    bench_end(&b);
    return failed;
}
