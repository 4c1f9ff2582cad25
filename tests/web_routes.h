/* web_routes.h - a web server of a few routes that the tests of the web layer share. */
#pragma once

#include <dirent.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "server/web.h"
#include "web_client.h"

/* ------------------------------------------------------------------------------------- handlers */

static char scratch[256];

static void echo(void *ctx, tb_request *q)
{
    const char *x = tb_request_query(q, "x");
    (void)ctx;
    json_t *j = json_object();
    json_object_set_new(j, "method", json_string(tb_request_method(q)));
    json_object_set_new(j, "path", json_string(tb_request_path(q)));
    json_object_set_new(j, "rest", json_string(tb_request_rest(q)));
    json_object_set_new(j, "n", json_integer(tb_request_query_int(q, "n", -1)));
    json_object_set_new(j, "x", x ? json_string(x) : json_null());
    tb_reply_json_take(q, 200, j);
}

static void json(void *ctx, tb_request *q)
{
    (void)ctx;
    json_t *j = tb_request_json(q);
    if (j)
        tb_reply_json_take(q, 200, j);
}

static void file(void *ctx, tb_request *q)
{
    char path[512];
    (void)ctx;
    snprintf(path, sizeof path, "%s/ten.txt", scratch);
    tb_reply_file(q, path, NULL, "ten.txt");
}

static void big(void *ctx, tb_request *q)
{
    char path[512];
    (void)ctx;
    snprintf(path, sizeof path, "%s/big", scratch);
    tb_reply_file(q, path, NULL, NULL);
}

static void form(void *ctx, tb_request *q)
{
    (void)ctx;
    const tb_part *image = tb_request_part(q, "image"), *note = tb_request_part(q, "note");
    if (!image || !image->path) {
        tb_reply_empty(q, 400);
        return;
    }
    json_t *j = json_object();
    struct stat st;
    json_object_set_new(j, "filename", json_string(image->filename));
    json_object_set_new(j, "bytes", json_integer((json_int_t)image->bytes));
    json_object_set_new(j, "there", json_integer(stat(image->path, &st) == 0 ? st.st_size : -1));
    json_object_set_new(j, "note", note ? json_string(note->value) : json_null());
    tb_reply_json_take(q, 200, j);
}

static void raw(void *ctx, tb_request *q)
{
    struct stat st;
    (void)ctx;
    json_t *j = json_object();
    json_object_set_new(j, "bytes", json_integer(stat(tb_request_file(q), &st) ? -1 : st.st_size));
    tb_reply_json_take(q, 200, j);
}

static void nap(void *arg)
{
    (void)arg;
    usleep(100 * 1000);
}

static void awake(tb_request *q, void *arg)
{
    tb_reply_text(q, 200, arg);
}

static char late_text[] = "late";

static void late(void *ctx, tb_request *q)
{
    (void)ctx;
    tb_web_work(q, nap, awake, late_text);
}

static void fail(void *ctx, tb_request *q)
{
    (void)ctx;
    tb_err err = TB_ERR_INIT;
    tb_err_set(&err, TB_ENOTFOUND, "no such thing");
    tb_err_where(&err, "n1", "seed", "a.lua:3");
    tb_reply_error(q, &err);
}

static const tb_route routes[] = {
    { TB_GET | TB_DELETE, "/echo", TB_ROUTE_API, 0, echo },
    { TB_GET, "/echo/*", TB_ROUTE_API, 0, echo },
    { TB_GET, "/echo/fixed", TB_ROUTE_API, 0, echo },
    { TB_POST, "/json", TB_ROUTE_API, 1000, json },
    { TB_POST, "/stop", TB_ROUTE_API | TB_ROUTE_BODY_OPTIONAL, 1000, json },
    { TB_GET, "/file", 0, 0, file },
    { TB_GET, "/big", 0, 0, big },
    { TB_POST, "/form", TB_ROUTE_MULTIPART, 100000, form },
    { TB_POST, "/raw", TB_ROUTE_FILE, 3000000, raw },
    { TB_GET, "/late", 0, 0, late },
    { TB_GET, "/fail", 0, 0, fail },
    { 0 },
};

/* -------------------------------------------------------------------------------------- sockets */

static int sockets_open;

static void opened(void *ctx, tb_socket *s, const char *query)
{
    (void)ctx;
    sockets_open++;
    json_t *j = json_object();
    json_object_set_new(j, "query", json_string(query));
    tb_socket_json_take(s, j);
}

/* "flood N": N text frames; "slots": 3 binary frames of one slot, 1 of another; else an echo. */
static void heard(void *ctx, tb_socket *s, const char *text, size_t n)
{
    (void)ctx;
    if (strncmp(text, "flood ", 6) == 0) {
        for (int i = atoi(text + 6); i > 0; i--)
            tb_socket_text(s, "x", 1);
    } else if (strncmp(text, "slots", 5) == 0) {
        tb_socket_binary(s, "a", "a1", 2);
        tb_socket_binary(s, "b", "b1", 2);
        tb_socket_binary(s, "a", "a2", 2);
        tb_socket_binary(s, "a", "a3", 2);
    } else {
        tb_socket_text(s, text, n);
    }
}

static void left(void *ctx, tb_socket *s)
{
    (void)ctx;
    (void)s;
    sockets_open--;
}

static const tb_endpoint endpoints[] = {
    { "/ws", NULL, opened, heard, left },
    { "/events", "events", opened, heard, left },
    { 0 },
};

/* --------------------------------------------------------------------------------------- server */

static uv_loop_t loop;
static loop_thread thread;
static tb_web *web;
static int port;

static void start_with(const tb_web_options *more)
{
    tb_err err = TB_ERR_INIT;
    tb_web_options o = *more;
    o.temp_dir = scratch;
    uv_loop_init(&loop);
    web = tb_web_listen(&loop, &o, routes, endpoints, &err);
    if (!web)
        fprintf(stderr, "%s\n", err.message);
    REQUIRE(web);
    port = tb_web_port(web);
    loop_start(&thread, &loop);
}

static inline void start(void)
{
    start_with(&(tb_web_options){ 0 });
}

static void close_web(void *arg)
{
    (void)arg;
    tb_web_close(&web);
}

static void stop(void)
{
    loop_call(&thread, close_web, NULL);
    loop_stop(&thread);
    CHECK_INT(uv_loop_close(&loop), 0);
    CHECK_INT(sockets_open, 0);
}

/* Temporary files of uploads that are still in the scratch folder. */
static inline int uploads_left(void)
{
    int n = 0;
    DIR *d = opendir(scratch);
    for (const struct dirent *e; d && (e = readdir(d));)
        n += strncmp(e->d_name, "upload-", 7) == 0;
    if (d)
        closedir(d);
    return n;
}

/* One request on a connection of its own; head as client_request wants it. */
static inline int once(client *c, const char *head, const char *body)
{
    REQUIRE(client_open(c, port));
    client_request(c, head, body, body ? strlen(body) : 0);
    return client_read(c, strncmp(head, "HEAD", 4) != 0);
}

/* A scratch folder with ten.txt, then the tests. */
static inline int web_test_main(int argc, char **argv, const struct tb_test *tests, int n)
{
    tb_err err = TB_ERR_INIT;
    char text[512];
    snprintf(scratch, sizeof scratch, "/tmp/tubelet_web_%d", getpid());
    snprintf(text, sizeof text, "%s/ten.txt", scratch);
    tb_fs_write(text, "0123456789", 10, false, &err);
    const int failed = tb_test_main(argc, argv, tests, n);
    snprintf(text, sizeof text, "rm -rf %s", scratch);
    return system(text) || failed;
}
