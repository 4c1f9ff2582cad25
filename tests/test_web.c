/* test_web.c - HTTP as it should be: routes, methods, bodies, files, forms. */
#include "web_routes.h"

/* ---------------------------------------------------------------------------------------- tests */

TEST(routes_answer_by_method_and_path)
{
    client c;
    start();
    REQUIRE(client_open(&c, port));
    CHECK_INT(client_call(&c, "GET", "/echo?x=a%26b%20c&n=7", NULL), 200);
    CHECK_STR(c.body.s,
              "{\"method\":\"GET\",\"path\":\"/echo\",\"rest\":\"\",\"n\":7,\"x\":\"a&b c\"}");
    CHECK_INT(client_call(&c, "GET", "/api/echo", NULL), 200);
    CHECK_STR(c.body.s,
              "{\"method\":\"GET\",\"path\":\"/echo\",\"rest\":\"\",\"n\":-1,\"x\":null}");
    CHECK_INT(client_call(&c, "GET", "/echo/a/b%20c", NULL), 200);
    CHECK_STR(
        c.body.s,
        "{\"method\":\"GET\",\"path\":\"/echo/a/b c\",\"rest\":\"a/b c\",\"n\":-1,\"x\":null}");
    CHECK_INT(client_call(&c, "GET", "/echo/fixed", NULL), 200);
    CHECK(strstr(c.body.s, "\"rest\":\"\""));
    CHECK_INT(client_call(&c, "DELETE", "/echo", NULL), 200);
    CHECK_INT(client_call(&c, "POST", "/echo", "{}"), 405);
    client_close(&c);
    stop();
}

TEST(unknown_paths_and_methods_are_refused)
{
    client c;
    start();
    REQUIRE(client_open(&c, port));
    CHECK_INT(client_call(&c, "GET", "/nowhere", NULL), 404);
    CHECK_STR(c.body.s, "404: Not Found");
    CHECK_INT(client_call(&c, "GET", "/api/file", NULL), 404);
    CHECK_INT(client_call(&c, "GET", "/json", NULL), 405);
    CHECK_STR(client_header(&c, "Allow"), "OPTIONS, POST");
    CHECK_INT(client_call(&c, "OPTIONS", "/json", NULL), 200);
    CHECK_INT(client_call(&c, "HEAD", "/echo", NULL), 200);
    CHECK(client_header(&c, "Content-Length") && atoi(client_header(&c, "Content-Length")) > 10);
    CHECK_INT(client_call(&c, "GET", "/fail", NULL), 404);
    CHECK_STR(c.body.s, "{\"error\":{\"code\":\"not_found\",\"message\":\"no such thing\",\"at\":{"
                        "\"node\":\"n1\",\"input\":\"seed\",\"origin\":\"a.lua:3\"}}}");
    client_close(&c);
    stop();
}

TEST(bodies_have_a_length_a_cap_and_a_form)
{
    client c;
    char big[1200];
    start();
    CHECK_INT(once(&c, "POST /json HTTP/1.1\r\n", "{\"a\": 5.0}"), 200);
    CHECK_STR(c.body.s, "{\"a\":5.0}");
    CHECK_INT(client_call(&c, "POST", "/json", ""), 200);
    CHECK_STR(c.body.s, "{}");
    CHECK_INT(client_call(&c, "POST", "/json", "{\"a\":1,\"a\":2}"), 400);
    CHECK_INT(client_call(&c, "POST", "/json", "{nonsense"), 400);
    CHECK(strstr(c.body.s, "{\"error\":{\"code\":"));
    client_close(&c);
    CHECK_INT(once(&c, "POST /json HTTP/1.1\r\n", NULL), 411);
    CHECK_STR(c.body.s, "{\"error\":{\"code\":\"length_required\",\"message\":\"send a "
                        "Content-Length\",\"at\":null}}");
    client_close(&c);
    CHECK_INT(once(&c, "POST /stop HTTP/1.1\r\n", NULL), 200);
    CHECK_STR(client_header(&c, "Connection"),
              "close"); /* what follows would be taken for a body */
    CHECK(client_ended(&c));
    client_close(&c);
    CHECK_INT(once(&c, "POST /stop HTTP/1.1\r\nContent-Length: 0\r\n", NULL), 200);
    CHECK_INT(client_call(&c, "GET", "/echo", NULL), 200);
    client_close(&c);
    CHECK_INT(once(&c, "POST /json HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", NULL), 411);
    CHECK(client_ended(&c));
    client_close(&c);
    memset(big, ' ', sizeof big - 1);
    big[sizeof big - 1] = 0;
    CHECK_INT(once(&c, "POST /json HTTP/1.1\r\n", big), 413);
    CHECK_STR(c.body.s, "{\"error\":{\"code\":\"limit\",\"message\":\"the body has 1199 bytes, at "
                        "most 1000 are taken here\",\"at\":null}}");
    CHECK(client_ended(&c));
    client_close(&c);
    stop();
}

TEST(files_have_tags_and_ranges)
{
    static const struct {
        const char *range;
        int status;
        const char *content_range, *body;
    } rows[] = {
        { "bytes=0-0", 206, "bytes 0-0/10", "0" },
        { "bytes=2-5", 206, "bytes 2-5/10", "2345" },
        { "bytes=8-", 206, "bytes 8-9/10", "89" },
        { "bytes=8-100", 206, "bytes 8-9/10", "89" },
        { "bytes=-3", 206, "bytes 7-9/10", "789" },
        { "bytes=-30", 206, "bytes 0-9/10", "0123456789" },
        { "bytes=10-", 416, "bytes */10", "" },
        { "bytes=-0", 416, "bytes */10", "" },
        { "bytes=5-2", 200, NULL, "0123456789" },
        { "bytes=0-1,4-5", 200, NULL, "0123456789" },
        { "bytes=99999999999999999999-", 200, NULL, "0123456789" },
        { "bytes=", 200, NULL, "0123456789" },
        { "items=0-1", 200, NULL, "0123456789" },
    };
    client c;
    char head[1300], etag[1024];
    start();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(head, sizeof head, "GET /file HTTP/1.1\r\nRange: %s\r\n", rows[i].range);
        CHECK_INT(once(&c, head, NULL), rows[i].status);
        CHECK_STR(c.body.s, rows[i].body);
        CHECK_STR(client_header(&c, "Content-Range"),
                  rows[i].content_range ? rows[i].content_range : "(null)");
        CHECK_STR(client_header(&c, "Accept-Ranges"), "bytes");
        client_close(&c);
    }
    CHECK_INT(once(&c, "HEAD /file HTTP/1.1\r\nRange: bytes=2-5\r\n", NULL), 206);
    CHECK_STR(client_header(&c, "Content-Length"), "4");
    CHECK_STR(client_header(&c, "Content-Disposition"), "filename=\"ten.txt\"");
    CHECK_STR(client_header(&c, "Content-Type"), "text/plain; charset=utf-8");
    snprintf(etag, sizeof etag, "%s", client_header(&c, "ETag"));
    client_close(&c);
    snprintf(head, sizeof head, "GET /file HTTP/1.1\r\nIf-None-Match: \"x\", W/%s\r\n", etag);
    CHECK_INT(once(&c, head, NULL), 304);
    CHECK(!client_header(&c, "Content-Length"));
    client_close(&c);
    snprintf(head, sizeof head, "GET /file HTTP/1.1\r\nRange: bytes=1-1\r\nIf-Range: %s\r\n", etag);
    CHECK_INT(once(&c, head, NULL), 206);
    client_close(&c);
    CHECK_INT(once(&c, "GET /file HTTP/1.1\r\nRange: bytes=1-1\r\nIf-Range: \"old\"\r\n", NULL),
              200);
    client_close(&c);
    stop();
}

TEST(large_files_arrive_whole)
{
    client c;
    tb_err err = TB_ERR_INIT;
    const size_t n = 5000000;
    char path[300], *data = malloc(n);
    for (size_t i = 0; i < n; i++)
        data[i] = (char)(i * 2654435761u >> 13);
    snprintf(path, sizeof path, "%s/big", scratch);
    CHECK_OK(tb_fs_write(path, data, n, false, &err));
    start();
    CHECK_INT(once(&c, "GET /big HTTP/1.1\r\n", NULL), 200);
    CHECK_INT(c.body.len, n);
    CHECK(c.body.len == n && memcmp(c.body.s, data, n) == 0);
    CHECK_STR(client_header(&c, "Content-Type"), "application/octet-stream");
    CHECK_INT(client_call(&c, "GET", "/big", NULL), 200);
    CHECK_INT(c.body.len, n);
    client_close(&c);
    stop();
    free(data);
}

static int post_form(client *c, const char *boundary, const char *body)
{
    char head[300];
    snprintf(head, sizeof head,
             "POST /form HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=%s\r\n", boundary);
    const int status = once(c, head, body);
    return status;
}

#define FILE_PART                                                                \
    "--B\r\nContent-Disposition: form-data; name=\"image\"; filename=\"%s\"\r\n" \
    "Content-Type: image/png\r\n\r\n%s\r\n"
#define NOTE_PART "--B\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\n%s\r\n"

TEST(forms_stream_their_files)
{
    client c;
    char body[2000];
    start();
    snprintf(body, sizeof body, NOTE_PART FILE_PART "--B--\r\n", "hello\r\n--A", "a b.png",
             "PNG\r\n--");
    CHECK_INT(post_form(&c, "B", body), 200);
    CHECK_STR(c.body.s,
              "{\"filename\":\"a b.png\",\"bytes\":7,\"there\":7,\"note\":\"hello\\r\\n--A\"}");
    client_close(&c);
    CHECK_INT(post_form(&c, "\"B\"", body), 200);
    client_close(&c);
    snprintf(body, sizeof body, FILE_PART "--B--", "e.png", "");
    CHECK_INT(post_form(&c, "B", body), 200);
    CHECK_STR(c.body.s, "{\"filename\":\"e.png\",\"bytes\":0,\"there\":0,\"note\":null}");
    client_close(&c);
    static const char *const names[] = { "x\xff/", "../x.png",   "a/b.png",
                                         "..",     "a\\\\b.png", "a\tb.png" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(body, sizeof body, FILE_PART "--B--\r\n", names[i], "x");
        CHECK_INT(post_form(&c, "B", body), 400);
        client_close(&c);
    }
    CHECK_INT(post_form(&c, "B", "--B\r\nContent-Disposition: form-data; name=\"image\"\r\n\r\nx"),
              400);
    CHECK(strstr(c.body.s, "the form ends before its last delimiter"));
    client_close(&c);
    CHECK_INT(post_form(&c, "B", "--B\r\n\r\nx\r\n--B--"), 400);
    CHECK(strstr(c.body.s, "a part of the form has no name"));
    client_close(&c);
    CHECK_INT(once(&c, "POST /form HTTP/1.1\r\nContent-Type: text/plain\r\n", "x"), 400);
    CHECK(
        strstr(c.body.s, "the body has to be multipart/form-data with a boundary, got text/plain"));
    client_close(&c);
    stop();
    CHECK_INT(uploads_left(), 0);
}

/* The delimiter may be cut anywhere by the network. */
TEST(forms_may_come_in_any_pieces)
{
    char body[600], head[200];
    snprintf(body, sizeof body, NOTE_PART FILE_PART "--B--\r\n", "n", "f.png", "0123456789");
    start();
    for (size_t step = 1; step < 40; step += 3) {
        client c;
        REQUIRE(client_open(&c, port));
        snprintf(head, sizeof head,
                 "POST /form HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=B\r\n"
                 "Content-Length: %zu\r\n",
                 strlen(body));
        client_request(&c, head, NULL, 0);
        for (size_t at = 0; at < strlen(body); at += step) {
            usleep(step < 8 ? 200 : 2000);
            client_send(&c, body + at, strlen(body) - at < step ? strlen(body) - at : step);
        }
        CHECK_INT(client_read(&c, true), 200);
        CHECK_STR(c.body.s, "{\"filename\":\"f.png\",\"bytes\":10,\"there\":10,\"note\":\"n\"}");
        client_close(&c);
    }
    stop();
}

TEST(raw_bodies_stream_to_a_file)
{
    client c;
    const size_t n = 2500000;
    char *body = calloc(1, n);
    start();
    REQUIRE(client_open(&c, port));
    CHECK(client_request(&c, "POST /raw HTTP/1.1\r\nExpect: 100-continue\r\n", body, n));
    CHECK_INT(client_read(&c, false), 100);
    CHECK_INT(client_read(&c, true), 200);
    CHECK_STR(c.body.s, "{\"bytes\":2500000}");
    CHECK_INT(client_call(&c, "POST", "/raw", ""), 200);
    CHECK_STR(c.body.s, "{\"bytes\":0}");
    client_close(&c);
    stop();
    CHECK_INT(uploads_left(), 0);
    free(body);
}

TEST(requests_may_be_pipelined)
{
    client c;
    tb_str b = TB_STR_INIT;
    start();
    REQUIRE(client_open(&c, port));
    for (int i = 0; i < 50; i++)
        tb_str_addf(&b, "GET /echo?n=%d HTTP/1.1\r\nHost: localhost\r\n\r\n", i);
    tb_str_add(&b, "GET /late HTTP/1.1\r\nHost: localhost\r\n\r\n"
                   "GET /echo?n=7 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    client_send(&c, b.s, b.len);
    for (int i = 0; i < 50; i++) {
        char want[20];
        snprintf(want, sizeof want, "\"n\":%d,", i);
        CHECK_INT(client_read(&c, true), 200);
        CHECK(c.body.s && strstr(c.body.s, want));
    }
    CHECK_INT(client_read(&c, true), 200);
    CHECK_STR(c.body.s, "late");
    CHECK_INT(client_read(&c, true), 200);
    CHECK(c.body.s && strstr(c.body.s, "\"n\":7"));
    client_close(&c);
    tb_str_free(&b);
    stop();
}

/* libwebsockets 4.1.6, given both at once, would take the wrong bytes for the second body and never
 * come back. */
TEST(a_body_may_come_behind_another_request)
{
    static const char two[] =
        "POST /json HTTP/1.1\r\nHost: localhost\r\nContent-Length: 7\r\n\r\n{\"a\":1}"
        "POST /json HTTP/1.1\r\nHost: localhost\r\nContent-Length: 7\r\n\r\n{\"a\":2}";
    client c;
    start();
    REQUIRE(client_open(&c, port));
    client_send(&c, two, sizeof two - 1);
    CHECK_INT(client_read(&c, true), 200);
    CHECK_STR(c.body.s, "{\"a\":1}");
    CHECK_INT(client_read(&c, true), 200);
    CHECK_STR(c.body.s, "{\"a\":2}");
    for (int i = 0; i < 3; i++)
        CHECK_INT(client_call(&c, "POST", "/json", "{\"a\":3}"), 200);
    client_close(&c);
    stop();
}

/* All of it is there when it is read, in as many pieces as the loop takes in one turn, and more. */
TEST(bodies_of_any_size_arrive_whole)
{
    char *data = calloc(1200000, 1);
    client c;
    start();
    REQUIRE(client_open(&c, port));
    for (size_t n = 20000; n < 1200000; n += 97001) {
        char head[200], want[40];
        snprintf(head, sizeof head,
                 "GET /late HTTP/1.1\r\nHost: localhost\r\n\r\n"
                 "POST /raw HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n",
                 n);
        client_send(&c, head, strlen(head));
        client_send(&c, data, n);
        CHECK_INT(client_read(&c, true), 200);
        CHECK_INT(client_read(&c, true), 200);
        snprintf(want, sizeof want, "{\"bytes\":%zu}", n);
        CHECK_STR(c.body.s, want);
    }
    client_close(&c);
    stop();
    free(data);
}

/* What reverse proxies add, and names that begin those which libwebsockets knows: it would wait for
 * ever behind the latter, and swallow the line after them. */
TEST(any_header_may_stand_beside_ours)
{
    static const char *const names[] = {
        "X-Real-IP",
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-Forwarded-Host",
        "X-Forwarded-Port",
        "X-Request-ID",
        "X-Scheme",
        "Via",
        "Forwarded",
        "CF-Connecting-IP",
        "Sec-Fetch-Site",
        "Remote-User",
        "X",
        "X-Real",
        "X-Auth",
        "X-Forwarded",
        "T",
        "Content",
        "Sec-WebSocket",
        "Http2-Settings",
    };
    client c;
    start();
    REQUIRE(client_open(&c, port));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char head[300];
        snprintf(head, sizeof head,
                 "POST /json HTTP/1.1\r\n%s: some: thing\r\nHost: localhost\r\n%s: gzip\r\n"
                 "Content-Length: 7\r\n\r\n{\"a\":2}",
                 names[i], names[i]);
        client_send(&c, head, strlen(head));
        CHECK_INT(client_read(&c, true), 200);
        CHECK_STR(c.body.s, "{\"a\":2}");
        snprintf(head, sizeof head,
                 "GET /echo HTTP/1.1\r\nHost: localhost\r\n%s: 1\r\nOrigin: "
                 "http://elsewhere.example\r\n\r\n",
                 names[i]);
        client_send(&c, head, strlen(head));
        CHECK_INT(client_read(&c, true), 403);
    }
    client_close(&c);
    stop();
}

/* Two readings of one request are how a proxy and a server come to disagree. */
TEST(heads_that_can_be_read_two_ways_are_refused)
{
    static const struct {
        const char *head;
        int status;
    } tab[] = {
        { "GET /echo HTTP/1.1\r\nHost: localhost\r\nHost: other\r\n\r\n", 400 },
        { "POST /json HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: "
          "7\r\n\r\n{}",
          400 },
        { "GET /echo HTTP/1.1\r\nHost : localhost\r\n\r\n", 400 },
        { "GET /echo HTTP/1.1\r\nHost: localhost\r\n folded: 1\r\n\r\n", 400 },
        { "GET /echo HTTP/1.1\r\nHost: localhost\r\nno colon\r\n\r\n", 400 },
        { "GET /echo HTTP/1.1\r\nHost: localhost\r\nCookie: a\rb\r\n\r\n", 400 },
        { "GET  /echo HTTP/1.1\r\nHost: localhost\r\n\r\n", 400 },
        { "GET /echo\r\nHost: localhost\r\n\r\n", 400 },
        { "GET /echo HTTP/2.0\r\nHost: localhost\r\n\r\n", 400 },
        { "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400 },
        { "GET http://localhost/echo HTTP/1.1\r\nHost: localhost\r\n\r\n", 400 },
        { "GET /echo%00 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400 },
        { "GET /echo?x=100% HTTP/1.1\r\nHost: localhost\r\n\r\n", 400 },
        { "TRACE /echo HTTP/1.1\r\nHost: localhost\r\n\r\n", 405 },
        { "\x16\x03\x01\x02 hello, TLS\n\n", 400 },
        { "\r\nGET /echo HTTP/1.1\nHost: localhost\n\n", 200 },
        { "GET /echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\nConnection: Upgrade, "
          "HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAARAAAAA\r\n\r\n",
          200 },
        { "POST /json HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: "
          "Upgrade\r\nContent-Length: 2\r\n\r\n{}",
          200 },
    };
    start();
    for (size_t i = 0; i < sizeof tab / sizeof *tab; i++) {
        client c;
        REQUIRE(client_open(&c, port));
        client_send(&c, tab[i].head, strlen(tab[i].head));
        const int status = client_read(&c, true);
        if (status != tab[i].status)
            fprintf(stderr, "%s", tab[i].head);
        CHECK_INT(status, tab[i].status);
        CHECK(strstr(client_header(&c, "Content-Security-Policy"), "default-src 'none'"));
        if (status >= 400)
            CHECK(client_ended(&c));
        client_close(&c);
    }
    stop();
}

TEST(plus_and_semicolon_are_themselves)
{
    client c;
    start();
    REQUIRE(client_open(&c, port));
    CHECK_INT(client_call(&c, "GET", "/echo?x=1;n=7", NULL), 200);
    CHECK(c.body.s && strstr(c.body.s, "\"n\":-1,\"x\":\"1;n=7\""));
    CHECK_INT(client_call(&c, "GET", "/echo?x=a+b", NULL), 200);
    CHECK(c.body.s && strstr(c.body.s, "\"x\":\"a b\""));
    CHECK_INT(client_call(&c, "GET", "/echo/a+b%20c", NULL), 200);
    CHECK(c.body.s && strstr(c.body.s, "\"rest\":\"a+b c\""));
    client_close(&c);
    stop();
}

/* It says that nothing more comes, and still reads. */
TEST(a_half_closed_client_gets_its_answers)
{
    static const char asks[] = "GET /late HTTP/1.1\r\nHost: localhost\r\n\r\n"
                               "GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n";
    client c;
    tb_err err = TB_ERR_INIT;
    char path[300], *data = calloc(5000000, 1);
    snprintf(path, sizeof path, "%s/big", scratch);
    CHECK_OK(tb_fs_write(path, data, 5000000, false, &err));
    free(data);
    start();
    REQUIRE(client_open(&c, port));
    client_send(&c, asks, sizeof asks - 1);
    shutdown(c.fd, SHUT_WR);
    CHECK_INT(client_read(&c, true), 200);
    CHECK_STR(c.body.s, "late");
    CHECK_INT(client_read(&c, true), 200);
    CHECK_INT(c.body.len, 5000000);
    CHECK(client_ended(&c));
    client_close(&c);
    stop();
}

TEST(connections_close_when_asked)
{
    client c;
    start();
    CHECK_INT(once(&c, "GET /echo HTTP/1.1\r\nConnection: close\r\n", NULL), 200);
    CHECK_STR(client_header(&c, "Connection"), "close");
    CHECK(client_ended(&c));
    client_close(&c);
    CHECK_INT(once(&c, "GET /echo HTTP/1.0\r\n", NULL), 200);
    CHECK(client_ended(&c));
    client_close(&c);
    stop();
}

TEST(every_answer_is_guarded)
{
    static const char *const paths[] = { "/", "/echo", "/nowhere", "/file", "/fail", "/json" };
    client c;
    start();
    REQUIRE(client_open(&c, port));
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        CHECK(client_call(&c, "GET", paths[i], NULL));
        CHECK(strstr(client_header(&c, "Content-Security-Policy"),
                     "default-src 'none'; script-src 'self'"));
        CHECK_STR(client_header(&c, "X-Content-Type-Options"), "nosniff");
        CHECK_STR(client_header(&c, "Referrer-Policy"), "no-referrer");
    }
    client_close(&c);
    stop();
}

TEST(a_taken_port_is_said_in_one_sentence)
{
    uv_loop_t other;
    char want[200];
    tb_err err = TB_ERR_INIT;
    start();
    uv_loop_init(&other);
    CHECK(!tb_web_listen(&other, &(tb_web_options){ .port = port }, routes, endpoints, &err));
    snprintf(
        want, sizeof want,
        "port %d is taken, perhaps by another tubelet: stop that program, or choose another port "
        "(--port 0 finds a free one)",
        port);
    CHECK_STR(err.message, want);
    err = TB_ERR_INIT;
    CHECK(!tb_web_listen(&other, &(tb_web_options){ .address = "here" }, routes, endpoints, &err));
    CHECK_STR(err.message,
              "'here' is no address to listen on: 127.0.0.1 for this machine, 0.0.0.0 for "
              "all that reach it");
    err = TB_ERR_INIT;
    CHECK(!tb_web_listen(&other, &(tb_web_options){ .web_dir = "/proc" }, routes, endpoints, &err));
    CHECK_STR(err.message, "there is no index.html in /proc: build the editor into it with 'node "
                           "web/build.mjs DIR'");
    uv_run(&other, UV_RUN_DEFAULT);
    CHECK_INT(uv_loop_close(&other), 0);
    stop();
}

/* clang-format off */
static const struct tb_test tests[] = {
    TEST_CASE(routes_answer_by_method_and_path),
    TEST_CASE(unknown_paths_and_methods_are_refused),
    TEST_CASE(bodies_have_a_length_a_cap_and_a_form),
    TEST_CASE(files_have_tags_and_ranges),
    TEST_CASE(large_files_arrive_whole),
    TEST_CASE(forms_stream_their_files),
    TEST_CASE(forms_may_come_in_any_pieces),
    TEST_CASE(raw_bodies_stream_to_a_file),
    TEST_CASE(requests_may_be_pipelined),
    TEST_CASE(a_body_may_come_behind_another_request),
    TEST_CASE(bodies_of_any_size_arrive_whole),
    TEST_CASE(any_header_may_stand_beside_ours),
    TEST_CASE(heads_that_can_be_read_two_ways_are_refused),
    TEST_CASE(plus_and_semicolon_are_themselves),
    TEST_CASE(a_half_closed_client_gets_its_answers),
    TEST_CASE(connections_close_when_asked),
    TEST_CASE(every_answer_is_guarded),
    TEST_CASE(a_taken_port_is_said_in_one_sentence),
};
/* clang-format on */

int main(int argc, char **argv)
{
    return web_test_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
