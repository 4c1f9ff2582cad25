/* test_web_guard.c - who is served and what is refused: Host, Origin, token, paths, limits, slow
 * and vanishing clients, and noise (reliability.md P18). */
#include "web_routes.h"

#include <time.h>

static int ask(client *c, const char *method, const char *path, const char *headers)
{
    char head[1000];
    snprintf(head, sizeof head, "%s %s HTTP/1.1\r\n%s", method, path, headers);
    return once(c, head, strcmp(method, "POST") == 0 ? "{}" : NULL);
}

/* The status of one request on a connection of its own. */
static int status_of(const char *method, const char *path, const char *headers)
{
    client c;
    const int status = ask(&c, method, path, headers);
    client_close(&c);
    return status;
}

TEST(hosts_are_names_of_this_machine)
{
    static const struct {
        const char *host;
        int status;
    } rows[] = {
        { "localhost", 200 },          { "LocalHost:80", 200 },       { "127.0.0.1:9", 200 },
        { "[::1]:8188", 200 },         { "studio.lan", 200 },         { "studio.lan:8188", 200 },
        { "evil.example", 403 },       { "localhost.evil.com", 403 }, { "127.0.0.1.evil.com", 403 },
        { "evil.com:127.0.0.1", 403 }, { "10.0.0.7", 403 },           { "localhost:x", 403 },
        { "localhost@evil.com", 403 },
    };
    const char *allowed[] = { "studio.lan", NULL };
    char head[200];
    client c;
    start_with(&(tb_web_options){ .allow_hosts = allowed });
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(head, sizeof head, "Host: %s\r\n", rows[i].host);
        CHECK_INT(status_of("GET", "/echo", head), rows[i].status);
        CHECK_INT(status_of("POST", "/json", head), rows[i].status);
        REQUIRE(client_open(&c, port));
        CHECK_INT(client_upgrade(&c, "/ws", head), rows[i].status == 200 ? 101 : 403);
        client_close(&c);
    }
    REQUIRE(client_open(&c, port));
    client_send(&c, "GET /echo HTTP/1.1\r\n\r\n", 22);
    CHECK_INT(client_read(&c, true), 403);
    CHECK_STR(c.body.s,
              "{\"error\":{\"code\":\"forbidden\",\"message\":\"the Host header is not a name of "
              "this server: use localhost, or start it with --allow-host NAME\",\"at\":null}}");
    client_close(&c);
    stop();
}

TEST(origins_are_this_server)
{
    static const struct {
        const char *origin;
        int status;
    } rows[] = {
        { "http://localhost:8188", 200 },
        { "http://localhost", 200 },
        { "https://localhost:8188", 200 },
        { "http://LOCALHOST:8188", 200 },
        { "http://localhost:9999", 403 },
        { "http://127.0.0.1:8188", 403 },
        { "http://evil.example", 403 },
        { "null", 403 },
        { "file://", 403 },
        { "http://localhost:8188.evil.com", 403 },
        { "http://localhost.evil.com", 403 },
        { "localhost:8188", 403 },
        { "http://localhost:8188@evil.com", 403 },
    };
    char head[200];
    client c;
    start();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(head, sizeof head, "Host: localhost:8188\r\nOrigin: %s\r\n", rows[i].origin);
        CHECK_INT(status_of("GET", "/echo", head), rows[i].status);
        REQUIRE(client_open(&c, port));
        CHECK_INT(client_upgrade(&c, "/ws", head), rows[i].status == 200 ? 101 : 403);
        client_close(&c);
    }
    /* a page elsewhere may send a form without asking first */
    CHECK_INT(
        status_of("POST", "/json", "Origin: http://evil.example\r\nContent-Type: text/plain\r\n"),
        403);
    CHECK_INT(status_of("OPTIONS", "/json", "Origin: http://evil.example\r\n"), 403);
    stop();
}

TEST(cors_lets_one_site_in)
{
    client c;
    start_with(&(tb_web_options){ .cors_origin = "http://studio.example" });
    CHECK_INT(ask(&c, "OPTIONS", "/json", "Origin: http://studio.example\r\n"), 200);
    CHECK_STR(client_header(&c, "Access-Control-Allow-Origin"), "http://studio.example");
    CHECK_STR(client_header(&c, "Access-Control-Allow-Methods"),
              "POST, GET, DELETE, PUT, OPTIONS, PATCH");
    CHECK_STR(client_header(&c, "Access-Control-Allow-Headers"), "Content-Type, Authorization");
    client_close(&c);
    CHECK_INT(status_of("POST", "/json", "Origin: http://studio.example\r\n"), 200);
    CHECK_INT(status_of("POST", "/json", "Origin: http://other.example\r\n"), 403);
    stop();
    start_with(&(tb_web_options){ .cors_origin = "*" });
    CHECK_INT(ask(&c, "GET", "/echo", "Origin: http://other.example\r\n"), 200);
    CHECK_STR(client_header(&c, "Access-Control-Allow-Origin"), "*");
    client_close(&c);
    CHECK_INT(status_of("GET", "/echo", "Origin: http://a.example\r\nHost: evil.example\r\n"), 403);
    stop();
}

TEST(a_token_is_asked_of_everyone)
{
    client c;
    char head[300], cookie[1024];
    start_with(&(tb_web_options){ .token = "secret" });
    CHECK_INT(ask(&c, "GET", "/echo", ""), 401);
    CHECK_STR(client_header(&c, "WWW-Authenticate"), "Bearer");
    client_close(&c);
    CHECK_INT(status_of("POST", "/json", ""), 401);
    CHECK_INT(status_of("GET", "/", ""), 401);
    CHECK_INT(status_of("GET", "/echo?token=secre", ""), 401);
    CHECK_INT(status_of("GET", "/echo?token=secret1", ""), 401);
    CHECK_INT(status_of("GET", "/echo?token=", ""), 401);
    CHECK_INT(status_of("GET", "/echo", "Authorization: Bearer wrong!\r\n"), 401);
    CHECK_INT(status_of("GET", "/echo", "Authorization: Bearer secret\r\n"), 200);
    CHECK_INT(ask(&c, "GET", "/echo?token=secret", ""), 200);
    snprintf(cookie, sizeof cookie, "%s", client_header(&c, "Set-Cookie"));
    snprintf(head, sizeof head, "tubelet_token_%d=secret; Path=/; HttpOnly; SameSite=Strict", port);
    CHECK_STR(cookie, head);
    client_close(&c);
    snprintf(head, sizeof head, "Cookie: a=b; tubelet_token_%d=secret; c=d\r\n", port);
    CHECK_INT(status_of("GET", "/echo", head), 200);
    REQUIRE(client_open(&c, port));
    CHECK_INT(client_upgrade(&c, "/ws", head), 101);
    client_close(&c);
    snprintf(head, sizeof head, "Cookie: tubelet_token_%d=secrets\r\n", port);
    CHECK_INT(status_of("GET", "/echo", head), 401);
    REQUIRE(client_open(&c, port));
    CHECK_INT(client_upgrade(&c, "/ws", ""), 401);
    client_close(&c);
    REQUIRE(client_open(&c, port));
    CHECK_INT(client_upgrade(&c, "/ws?token=secret", ""), 101);
    client_close(&c);
    CHECK_INT(status_of("GET", "/echo?token=secret", "Host: evil.example\r\n"), 403);
    stop();
}

/* Files of a folder that is served, and nothing above it. */
TEST(paths_do_not_lead_out)
{
    static const char *const out[] = { "/../ten.txt",      "/..%2ften.txt",
                                       "/%2e%2e/ten.txt",  "/%2e%2e%2ften.txt",
                                       "/a/../../ten.txt", "//../ten.txt",
                                       "/..%5cten.txt",    "/link",
                                       "/dir/ten.txt",     "/index.html/../../ten.txt" };
    char dir[300], path[400], target[400];
    tb_err err = TB_ERR_INIT;
    snprintf(dir, sizeof dir, "%s/web", scratch);
    snprintf(path, sizeof path, "%s/index.html", dir);
    CHECK_OK(tb_fs_write(path, "<p>page", 7, false, &err));
    snprintf(path, sizeof path, "%s/link", dir);
    snprintf(target, sizeof target, "%s/ten.txt", scratch);
    CHECK_INT(symlink(target, path), 0);
    snprintf(path, sizeof path, "%s/dir", dir);
    CHECK_INT(symlink(scratch, path), 0);
    start_with(&(tb_web_options){ .web_dir = dir });
    client c;
    CHECK_INT(ask(&c, "GET", "/", ""), 200);
    CHECK_STR(c.body.s, "<p>page");
    CHECK_STR(client_header(&c, "Content-Type"), "text/html; charset=utf-8");
    client_close(&c);
    for (size_t i = 0; i < sizeof out / sizeof *out; i++) {
        ask(&c, "GET", out[i], "");
        CHECK(c.status != 200 && !(c.body.s && strstr(c.body.s, "0123456789")));
        if (c.status == 200)
            fprintf(stderr, "%s is served\n", out[i]);
        client_close(&c);
    }
    CHECK(status_of("GET", "/index.html%00.png", "") != 200);
    CHECK_INT(status_of("GET", "/echo/%ff", ""), 400);
    CHECK_INT(status_of("GET", "/echo?x=%ff", ""), 400);
    CHECK_INT(ask(&c, "GET", "/echo/a%0ab", ""), 403);
    CHECK_STR(client_header(&c, "X-Content-Type-Options"),
              "nosniff"); /* the library's own answer */
    client_close(&c);
    stop();
}

/* --------------------------------------------------------------------------------------- limits */

TEST(large_headers_are_refused)
{
    client c;
    tb_str b = TB_STR_INIT;
    start();
    tb_str_add(&b, "GET /echo HTTP/1.1\r\nHost: localhost\r\nCookie: ");
    for (int i = 0; i < 40000; i++)
        tb_str_add(&b, "x");
    tb_str_add(&b, "\r\n\r\n");
    REQUIRE(client_open(&c, port));
    client_send(&c, b.s, b.len);
    CHECK_INT(client_read(&c, true), 431);
    CHECK(client_ended(&c));
    client_close(&c);
    CHECK_INT(status_of("GET", "/echo", ""), 200);
    tb_str_free(&b);
    stop();
}

TEST(the_65th_client_is_turned_away)
{
    client all[64], c;
    start();
    for (int i = 0; i < 64; i++) {
        REQUIRE(client_open(&all[i], port));
        CHECK_INT(client_call(&all[i], "GET", "/echo", NULL), 200);
    }
    REQUIRE(client_open(&c, port));
    CHECK_INT(client_read(&c, true), 503);
    client_close(&c);
    client_close(&all[7]);
    for (int i = 0, status = 0; i < 50 && status != 200; i++) {
        usleep(10 * 1000);
        REQUIRE(client_open(&all[7], port));
        status = client_call(&all[7], "GET", "/echo", NULL);
        if (status != 200 && i < 49)
            client_close(&all[7]);
        else
            CHECK_INT(status, 200);
    }
    for (int i = 0; i < 64; i++)
        client_close(&all[i]);
    stop();
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Silent in each phase of a request: the connection ends soon after the limit of one second. */
TEST(silent_clients_are_dropped)
{
    static const char *const begun[] = {
        "",
        "GET /ec",
        "GET /echo HTTP/1.1\r\nHost: local",
        "POST /json HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{",
    };
    client c[4];
    start_with(&(tb_web_options){ .idle_s = 1 });
    const double began = seconds();
    for (int i = 0; i < 4; i++) {
        REQUIRE(client_open(&c[i], port));
        client_send(&c[i], begun[i], strlen(begun[i]));
    }
    for (int i = 0; i < 4; i++) {
        CHECK(client_ended(&c[i]));
        client_close(&c[i]);
    }
    CHECK(seconds() - began < 6);
    CHECK_INT(status_of("GET", "/echo", ""), 200);
    stop();
}

static double processor_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Behind a download that is not read, more requests: they wait, and nobody turns in circles. */
TEST(a_client_that_only_sends_costs_nothing)
{
    client c;
    tb_err err = TB_ERR_INIT;
    tb_str b = TB_STR_INIT;
    const size_t n = 20 << 20;
    char path[300], *data = calloc(n, 1);
    snprintf(path, sizeof path, "%s/big", scratch);
    CHECK_OK(tb_fs_write(path, data, n, false, &err));
    free(data);
    start();
    for (int i = 0; i < 300; i++)
        tb_str_add(&b, "GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n");
    REQUIRE(client_open(&c, port));
    client_send(&c, b.s, b.len);
    CHECK_INT(status_of("GET", "/echo", ""), 200);
    usleep(200 * 1000); /* until its socket is full */
    const double before = processor_seconds();
    usleep(500 * 1000);
    CHECK(processor_seconds() - before < 0.2);
    CHECK_INT(status_of("GET", "/echo", ""), 200);
    client_close(&c);
    stop();
    unlink(path);
    tb_str_free(&b);
}

/* ------------------------------------------------------------------------------ those who leave */

TEST(clients_may_leave_at_any_time)
{
    static const char *const asked[] = {
        "GET /late HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "POST /form HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; "
        "boundary=B\r\n"
        "Content-Length: 1000\r\n\r\n--B\r\nContent-Disposition: form-data; name=\"image\"; "
        "filename=\"a\"\r\n\r\nabc",
        "POST /raw HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nabc",
        "POST /json HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{",
        "GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /ws HTTP/1.1\r\nHost: loc",
    };
    start();
    for (int round = 0; round < 20; round++)
        for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
            const struct linger hard = { .l_onoff = 1 };
            client c;
            REQUIRE(client_open(&c, port));
            client_send(&c, asked[i], strlen(asked[i]));
            if (round % 2)
                setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
            usleep((useconds_t)(round % 5) * 700);
            client_close(&c);
        }
    CHECK_INT(status_of("GET", "/echo", ""), 200);
    usleep(150 * 1000);
    stop();
    CHECK_INT(uploads_left(), 0);
}

TEST(the_server_may_stop_at_any_time)
{
    for (int i = 0; i < 6; i++) {
        client idle, late, body, ws;
        start();
        REQUIRE(client_open(&idle, port) && client_open(&late, port) && client_open(&body, port) &&
                client_open(&ws, port));
        CHECK_INT(client_call(&idle, "GET", "/echo", NULL), 200);
        client_request(&late, "GET /late HTTP/1.1\r\n", NULL, 0);
        client_request(&body, "POST /raw HTTP/1.1\r\nContent-Length: 1000\r\n", "abc", 3);
        CHECK_INT(client_upgrade(&ws, "/ws", ""), 101);
        usleep((useconds_t)i * 10 * 1000);
        stop();
        client_close(&idle);
        client_close(&late);
        client_close(&body);
        client_close(&ws);
    }
    CHECK_INT(uploads_left(), 0);
}

/* ---------------------------------------------------------------------------------------- noise */

static uint64_t rng;

static unsigned rnd(unsigned n)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (unsigned)(rng >> 33) % n;
}

static const char *const seeds[] = {
    "GET /echo?x=1&n=2 HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n",
    "GET /file HTTP/1.1\r\nHost: localhost\r\nRange: bytes=2-5\r\nIf-None-Match: \"a\", "
    "W/\"b\"\r\n\r\n",
    "POST /json HTTP/1.1\r\nHost: localhost\r\nContent-Length: 13\r\n\r\n{\"a\": [1, 2]}",
    "POST /form HTTP/1.1\r\nHost: localhost\r\nContent-Length: 141\r\n"
    "Content-Type: multipart/form-data; boundary=\"B\"\r\n\r\n--B\r\nContent-Disposition: "
    "form-data; "
    "name=\"image\"; filename=\"a.png\"\r\n\r\nabc\r\n--B\r\nContent-Disposition: form-data; "
    "name=note\r\n\r\nx\r\n--B--\r\n",
    "POST /raw HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
    "GET /ws?clientId=1 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: "
    "Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    "\x81\x85\x01\x02\x03\x04igohn\x89\x80\x01\x02\x03\x04\x88\x80\x01\x02\x03\x04",
    "OPTIONS /json HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n\r\n",
    "GET /late HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "DELETE /echo HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n",
};

static const char *const pieces[] = { "\r\n",
                                      "\r\n\r\n",
                                      ":",
                                      " ",
                                      "%00",
                                      "%2e%2e/",
                                      "\"",
                                      "--B",
                                      "bytes=",
                                      "Transfer-Encoding: chunked\r\n",
                                      "Upgrade: h2c\r\n",
                                      "Content-Length: 0\r\n",
                                      "Content-Length: -1\r\n",
                                      "Content-Length: 99999999999999999999\r\n",
                                      "Connection: close\r\n",
                                      "&",
                                      ";",
                                      "?",
                                      "\xff\xfe",
                                      "HTTP/1.1" };

/* Flip, drop, double, insert or cut a few bytes; now and then a second request behind it. */
static void mutate(tb_str *b)
{
    const char *seed = seeds[rnd(sizeof seeds / sizeof *seeds)];
    tb_str_clear(b);
    tb_str_add(b, seed);
    if (rnd(3) == 0)
        tb_str_add(b, seeds[rnd(sizeof seeds / sizeof *seeds)]);
    for (unsigned k = rnd(5); k > 0 && b->len > 4; k--) {
        const size_t at = rnd((unsigned)b->len);
        const char *piece = pieces[rnd(sizeof pieces / sizeof *pieces)];
        tb_str tail = TB_STR_INIT;
        switch (rnd(5)) {
        case 0: b->s[at] = (char)rnd(256); break;
        case 1: memmove(b->s + at, b->s + at + 1, b->len - at), b->len--; break;
        case 2: b->len = at + 1; break;
        default:
            tb_str_addn(&tail, b->s + at, b->len - at);
            b->len = at;
            tb_str_add(b, piece);
            tb_str_addn(b, tail.s, tail.len);
            tb_str_free(&tail);
        }
        b->s[b->len] = 0;
    }
}

static void one_noise(const tb_str *b)
{
    char sink[4096];
    client c;
    REQUIRE(client_open(&c, port));
    const size_t cut = rnd(2) ? b->len : rnd((unsigned)b->len + 1);
    client_send(&c, b->s, cut);
    if (cut < b->len) {
        usleep(rnd(500));
        client_send(&c, b->s + cut, b->len - cut);
    }
    if (rnd(2))
        shutdown(c.fd, SHUT_WR);
    const struct timeval limit = { .tv_usec = 3000 };
    setsockopt(c.fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    while (recv(c.fd, sink, sizeof sink, 0) > 0)
        ;
    client_close(&c);
}

/* Whatever comes, the next plain request is answered. TUBELET_FUZZ_SECONDS: for so long; the seed
 * is printed, TUBELET_SEED repeats it. */
TEST(noise_is_survived)
{
    const char *text = getenv("TUBELET_FUZZ_SECONDS"), *seed = getenv("TUBELET_SEED");
    const double until = seconds() + (text ? atof(text) : 3);
    tb_str b = TB_STR_INIT;
    int n = 0;
    rng = seed ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL) * 2654435761u + 1;
    const unsigned long long first = rng;
    start_with(&(tb_web_options){ .idle_s = 2 });
    for (; seconds() < until && !tb_test_failures; n++) {
        mutate(&b);
        one_noise(&b);
        if (n % 50 == 0)
            CHECK_INT(status_of("GET", "/echo", ""), 200);
    }
    CHECK_INT(status_of("POST", "/json", ""), 200);
    printf("     %d requests, TUBELET_SEED=%llu\n", n, first);
    if (tb_test_failures)
        fprintf(stderr, "the last request was:\n%s\n", b.s ? b.s : "");
    stop();
    tb_str_free(&b);
    CHECK_INT(uploads_left(), 0);
}

/* clang-format off */
static const struct tb_test tests[] = {
    TEST_CASE(hosts_are_names_of_this_machine),
    TEST_CASE(origins_are_this_server),
    TEST_CASE(cors_lets_one_site_in),
    TEST_CASE(a_token_is_asked_of_everyone),
    TEST_CASE(paths_do_not_lead_out),
    TEST_CASE(large_headers_are_refused),
    TEST_CASE(the_65th_client_is_turned_away),
    TEST_CASE(silent_clients_are_dropped),
    TEST_CASE(a_client_that_only_sends_costs_nothing),
    TEST_CASE(clients_may_leave_at_any_time),
    TEST_CASE(the_server_may_stop_at_any_time),
    TEST_CASE(noise_is_survived),
};
/* clang-format on */

int main(int argc, char **argv)
{
    return web_test_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
