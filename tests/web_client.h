/* web_client.h - a small blocking HTTP and WebSocket client for tests, and a thread that runs the
 * loop a server lives on.
 *
 * The client works on bytes, so that tests can send what no library would. Every read ends after
 * CLIENT_TIMEOUT_S. Text it returns is valid until the next call on the same client.
 */
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdint.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include <uv.h>

#include "base/str.h"
#include "test.h"

enum { CLIENT_TIMEOUT_S = 60 };

typedef struct client {
    int fd, port;
    tb_str in;   /* received, not consumed */
    int status;  /* of the last answer; 0: the connection ended before one */
    tb_str head; /* its status line and headers */
    tb_str body;
} client;

static inline bool client_open(client *c, int port)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    const struct timeval limit = { .tv_sec = CLIENT_TIMEOUT_S };
    *c = (client){ .port = port };
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    return connect(c->fd, (struct sockaddr *)&a, sizeof a) == 0;
}

static inline void client_close(client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    tb_str_free(&c->in);
    tb_str_free(&c->head);
    tb_str_free(&c->body);
}

static inline bool client_send(client *c, const void *data, size_t n)
{
    const char *p = data;
    while (n) {
        const ssize_t k = send(c->fd, p, n, MSG_NOSIGNAL);
        if (k <= 0)
            return false;
        p += k;
        n -= (size_t)k;
    }
    return true;
}

/* More bytes into `in`; false at the end of the connection or after the time. */
static inline bool client_more(client *c)
{
    char buf[16384];
    const ssize_t n = recv(c->fd, buf, sizeof buf, 0);
    if (n <= 0)
        return false;
    tb_str_addn(&c->in, buf, (size_t)n);
    return true;
}

static inline void client_consume(client *c, size_t n)
{
    c->in.len -= n;
    memmove(c->in.s, c->in.s + n, c->in.len);
    c->in.s[c->in.len] = 0;
}

/* Has the server closed? Waits for it. */
static inline bool client_ended(client *c)
{
    while (client_more(c))
        ;
    return errno != EAGAIN && errno != EWOULDBLOCK;
}

/* The value of a header of the last answer, or NULL. */
static inline const char *client_header(const client *c, const char *name)
{
    static _Thread_local char value[1024];
    const size_t n = strlen(name);
    for (const char *p = c->head.s ? strstr(c->head.s, "\r\n") : NULL; p; p = strstr(p, "\r\n")) {
        p += 2;
        if (strncasecmp(p, name, n) != 0 || p[n] != ':')
            continue;
        p += n + 1 + strspn(p + n + 1, " ");
        snprintf(value, sizeof value, "%.*s", (int)strcspn(p, "\r\n"), p);
        return value;
    }
    return NULL;
}

/* Reads one answer (has_body false: to HEAD). Its status, or 0. */
static inline int client_read(client *c, bool has_body)
{
    char *end;
    c->status = 0;
    tb_str_clear(&c->head);
    tb_str_clear(&c->body);
    while (!c->in.s || !(end = strstr(c->in.s, "\r\n\r\n")))
        if (!client_more(c))
            return 0;
    tb_str_addn(&c->head, c->in.s, (size_t)(end - c->in.s) + 2);
    client_consume(c, (size_t)(end - c->in.s) + 4);
    c->status = atoi(c->head.s + strcspn(c->head.s, " "));
    const char *length = client_header(c, "Content-Length");
    const size_t n = length && has_body ? strtoul(length, NULL, 10) : 0;
    while (c->in.len < n)
        if (!client_more(c))
            return c->status = 0;
    tb_str_addn(&c->body, n ? c->in.s : "", n);
    if (n)
        client_consume(c, n);
    return c->status;
}

/* Sends head (lines ending in \r\n, without the empty one) with a Host header, and a body. */
static inline bool client_request(client *c, const char *head, const void *body, size_t n)
{
    tb_str b = TB_STR_INIT;
    tb_str_add(&b, head);
    if (!strcasestr(head, "\r\nHost:"))
        tb_str_addf(&b, "Host: 127.0.0.1:%d\r\n", c->port);
    if (body && !strcasestr(head, "\r\nContent-Length:"))
        tb_str_addf(&b, "Content-Length: %zu\r\n", n);
    tb_str_add(&b, "\r\n");
    if (body)
        tb_str_addn(&b, body, n);
    const bool ok = client_send(c, b.s, b.len);
    tb_str_free(&b);
    return ok;
}

/* "GET", "/path" on a connection that is kept; json may be NULL. The status. */
static inline int client_call(client *c, const char *method, const char *path, const char *json)
{
    char head[4096];
    snprintf(head, sizeof head, "%s %s HTTP/1.1\r\n%s", method, path,
             json ? "Content-Type: application/json\r\n" : "");
    if (!client_request(c, head, json, json ? strlen(json) : 0))
        return 0;
    return client_read(c, strcmp(method, "HEAD") != 0);
}

/* ----------------------------------------------------------------------------------- WebSocket */

/* Asks for an upgrade; `more`: further header lines, or "". The status; 101 when it is one. */
static inline int client_upgrade(client *c, const char *path, const char *more)
{
    char head[4096];
    snprintf(head, sizeof head,
             "GET %s HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s",
             path, more);
    if (!client_request(c, head, NULL, 0))
        return 0;
    return client_read(c, true);
}

enum { FRAME_MORE = 0, FRAME_TEXT = 1, FRAME_BINARY = 2, FRAME_CLOSE = 8, FRAME_PING = 9 };

/* One frame of a client; `last` false: a fragment follows. */
static inline bool client_send_frame(client *c, int kind, bool last, const void *data, size_t n)
{
    static const unsigned char mask[4] = { 1, 2, 3, 4 };
    unsigned char head[14] = { (unsigned char)(kind | (last ? 0x80 : 0)) };
    size_t k = 2;
    if (n < 126) {
        head[1] = (unsigned char)(0x80 | n);
    } else if (n < 65536) {
        head[1] = 0x80 | 126;
        head[k++] = (unsigned char)(n >> 8);
        head[k++] = (unsigned char)n;
    } else {
        head[1] = 0x80 | 127;
        for (int s = 56; s >= 0; s -= 8)
            head[k++] = (unsigned char)(n >> s);
    }
    memcpy(head + k, mask, 4);
    unsigned char *masked = malloc(n + 1);
    for (size_t i = 0; i < n; i++)
        masked[i] = ((const unsigned char *)data)[i] ^ mask[i % 4];
    const bool ok = client_send(c, head, k + 4) && client_send(c, masked, n);
    free(masked);
    return ok;
}

static inline bool client_send_text(client *c, const char *text)
{
    return client_send_frame(c, FRAME_TEXT, true, text, strlen(text));
}

/* The next frame into `body`: its kind, or -1 at the end. Server frames are never fragmented here.
 */
static inline int client_read_frame(client *c)
{
    size_t head = 2, n;
    tb_str_clear(&c->body);
    while (c->in.len < 2)
        if (!client_more(c))
            return -1;
    const unsigned char *p = (const unsigned char *)c->in.s;
    const int kind = p[0] & 15;
    n = p[1] & 127;
    head += n == 126 ? 2 : n == 127 ? 8 : 0;
    while (c->in.len < head)
        if (!client_more(c))
            return -1;
    p = (const unsigned char *)c->in.s;
    if (head > 2)
        n = 0;
    for (size_t i = 2; i < head; i++)
        n = n << 8 | p[i];
    while (c->in.len < head + n)
        if (!client_more(c))
            return -1;
    tb_str_addn(&c->body, c->in.s + head, n);
    client_consume(c, head + n);
    return kind;
}

/* --------------------------------------------------------------------------- the server's loop */

typedef struct loop_thread {
    uv_loop_t *loop;
    pthread_t thread;
    uv_async_t call;
    void (*fn)(void *arg);
    void *arg;
    bool stop;
    sem_t done;
} loop_thread;

static inline void loop_call_here(uv_async_t *a)
{
    loop_thread *t = a->data;
    if (t->fn)
        t->fn(t->arg);
    t->fn = NULL;
    if (t->stop)
        uv_close((uv_handle_t *)&t->call, NULL);
    sem_post(&t->done);
}

static inline void *loop_run(void *arg)
{
    loop_thread *t = arg;
    while (!uv_is_closing((uv_handle_t *)&t->call))
        uv_run(t->loop, UV_RUN_ONCE);
    uv_run(t->loop, UV_RUN_NOWAIT);
    return NULL;
}

/* From here on the loop belongs to the thread. */
static inline void loop_start(loop_thread *t, uv_loop_t *loop)
{
    *t = (loop_thread){ .loop = loop };
    sem_init(&t->done, 0, 0);
    uv_async_init(loop, &t->call, loop_call_here);
    t->call.data = t;
    pthread_create(&t->thread, NULL, loop_run, t);
}

/* Runs fn on the loop and waits for it. */
static inline void loop_call(loop_thread *t, void (*fn)(void *arg), void *arg)
{
    t->fn = fn;
    t->arg = arg;
    uv_async_send(&t->call);
    sem_wait(&t->done);
}

static inline void loop_stop(loop_thread *t)
{
    t->stop = true;
    loop_call(t, NULL, NULL);
    pthread_join(t->thread, NULL);
    sem_destroy(&t->done);
}
