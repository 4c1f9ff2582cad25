/* web.c - the listening socket, and libwebsockets on the engine's loop.
 *
 * We accept connections ourselves and hand them to the library: so a taken port is an error with
 * errno, port 0 is known at once, and too many clients are turned away before they cost anything.
 */
#include "server/web_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"

double tbs_web_now(void)
{
    return tb_clock_seconds();
}

/* ------------------------------------------------------------------------------------ listening */

typedef union address {
    struct sockaddr any;
    struct sockaddr_in in4;
    struct sockaddr_in6 in6;
} address;

static tb_status parse_address(const char *text, int port, address *a, tb_err *err)
{
    if (strcasecmp(text, "localhost") == 0)
        text = "127.0.0.1";
    memset(a, 0, sizeof *a);
    if (port < 0 || port > 65535)
        return tb_err_set(err, TB_EINVAL, "a port is 0..65535, got %d", port);
    if (inet_pton(AF_INET, text, &a->in4.sin_addr) == 1) {
        a->in4.sin_family = AF_INET;
        a->in4.sin_port = htons((uint16_t)port);
        return TB_OK;
    }
    if (inet_pton(AF_INET6, text, &a->in6.sin6_addr) == 1) {
        a->in6.sin6_family = AF_INET6;
        a->in6.sin6_port = htons((uint16_t)port);
        return TB_OK;
    }
    return tb_err_set(
        err, TB_EINVAL,
        "'%s' is no address to listen on: 127.0.0.1 for this machine, 0.0.0.0 for all "
        "that reach it",
        text);
}

static tb_status listen_error(const char *text, int port, tb_err *err)
{
    if (errno == EADDRINUSE)
        return tb_err_set(
            err, TB_EIO,
            "port %d is taken, perhaps by another tubelet: stop that program, or choose "
            "another port (--port 0 finds a free one)",
            port);
    if (errno == EADDRNOTAVAIL)
        return tb_err_set(err, TB_EINVAL, "%s is no address of this machine", text);
    return tb_err_errno(err, errno, "cannot listen on %s port %d", text, port);
}

static tb_status open_listener(tb_web *w, const char *text, int port, tb_err *err)
{
    address a;
    socklen_t n = sizeof a;
    const int on = 1;
    TB_TRY(parse_address(text, port, &a, err));
    const int fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return tb_err_errno(err, errno, "cannot make a socket");
    w->listen_fd = fd;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, &a.any, sizeof a) != 0 || listen(fd, WEB_MAX_CONNECTIONS) != 0 ||
        getsockname(fd, &a.any, &n) != 0)
        return listen_error(text, port, err);
    w->port = ntohs(a.any.sa_family == AF_INET ? a.in4.sin_port : a.in6.sin6_port);
    return TB_OK;
}

/* Too many clients: say so, without a connection of the library's. */
static void turn_away(int fd)
{
    static const char busy[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n"
                               "Retry-After: 5\r\nConnection: close\r\n\r\n";
    const ssize_t n = send(fd, busy, sizeof busy - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)n; /* a courtesy */
    close(fd);
}

static void adopt(tb_web *w, int fd)
{
    const int on = 1;
    int library;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    web_feed *f = tbs_web_feed_new(w, fd, &library);
    if (!f) {
        turn_away(fd);
        return;
    }
    struct lws *wsi = lws_adopt_socket_vhost(w->vhost, library); /* closes it when it fails */
    if (!wsi) {
        tbs_web_feed_close(f);
        return;
    }
    web_conn *c = tb_xcalloc(1, sizeof *c);
    c->web = w;
    c->wsi = wsi;
    c->feed = f;
    lws_set_opaque_user_data(wsi, c);
    w->conns++;
    tbs_web_feed_start(f, c);
}

static void on_connection(uv_poll_t *handle, int status, int events)
{
    tb_web *w = handle->data;
    (void)status;
    (void)events;
    for (int i = 0; i < 16; i++) {
        const int fd = accept4(w->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
            return;
        if (w->connections < WEB_MAX_CONNECTIONS)
            adopt(w, fd);
        else
            turn_away(fd);
    }
}

static tb_status start_listener(tb_web *w, tb_err *err)
{
    uv_poll_t *p = tb_xcalloc(1, sizeof *p);
    const int e = uv_poll_init(w->loop, p, w->listen_fd);
    if (e) {
        free(p);
        return tb_err_errno(err, -e, "cannot watch the listening socket");
    }
    p->data = w;
    w->listener = p;
    uv_poll_start(p, UV_READABLE, on_connection);
    return TB_OK;
}

/* ---------------------------------------------------------------------------------- connections */

/* 0: the upgrade goes on; 1: it has been refused. */
static int confirm_upgrade(web_conn *c, const char *to)
{
    web_ask a;
    bool by_query;
    int status = 400;
    char uri[WEB_MAX_HEADERS], protocols[256] = "";
    if (lws_hdr_copy(c->wsi, uri, sizeof uri, WSI_TOKEN_GET_URI) <= 0)
        return -1;
    lws_hdr_copy(c->wsi, protocols, sizeof protocols, WSI_TOKEN_PROTOCOL);
    tbs_web_ask_read(&a, c->wsi, uri, strlen(uri));
    const char *why = tbs_web_guard(c->web, &a, &by_query, &status);
    if (!why && strcasecmp(to, "websocket") != 0) {
        status = 400;
        why = "only WebSocket is spoken besides HTTP/1.1";
    }
    c->endpoint = why ? NULL : tbs_web_socket_endpoint(c->web, a.path, protocols);
    if (!why && !c->endpoint) {
        status = 404;
        why = "no WebSocket is served at this address for that sub-protocol";
    }
    free(c->query);
    c->query = tbs_web_ask_query(&a);
    tbs_web_ask_free(&a);
    if (!why)
        return 0;
    tbs_web_reply_at_once(c->wsi, status, status == 404 ? "not_found" : "refused", why);
    return 1;
}

static void forget(web_conn *c)
{
    tbs_web_http_gone(c);
    c->web->conns--;
    if (c->feed)
        tbs_web_feed_orphan(c->feed);
    lws_set_opaque_user_data(c->wsi, NULL);
    free(c->query);
    free(c);
}

/* All that the library tells us. Most reasons are of no interest. */
static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t n)
{
    web_conn *c = wsi ? lws_get_opaque_user_data(wsi) : NULL;
    (void)user;
    if (!c)
        return 0;
    switch ((int)reason) {
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE: return confirm_upgrade(c, in);
    case LWS_CALLBACK_HTTP:
    case LWS_CALLBACK_HTTP_BODY:
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
    case LWS_CALLBACK_HTTP_WRITEABLE: return tbs_web_http_callback(c, reason, in, n);
    case LWS_CALLBACK_ESTABLISHED:
    case LWS_CALLBACK_RECEIVE:
    case LWS_CALLBACK_SERVER_WRITEABLE:
    case LWS_CALLBACK_TIMER:
    case LWS_CALLBACK_CLOSED: return tbs_web_socket_callback(c, reason, in, n);
    case LWS_CALLBACK_CLOSED_HTTP: tbs_web_http_gone(c); return 0;
    case LWS_CALLBACK_WSI_DESTROY: forget(c); return 0;
    default: return 0;
    }
}

/* -------------------------------------------------------------------------------------- library */

static void log_line(int level, const char *line)
{
    (void)level;
    tb_log(TB_LOG_DEBUG, "libwebsockets: %.*s", (int)strcspn(line, "\n"), line);
}

/* The first speaks HTTP, and WebSocket with clients that name no sub-protocol. */
static void name_protocols(tb_web *w)
{
    int n = 0;
    w->protocols[n++] = (struct lws_protocols){ .name = "tubelet", .callback = callback };
    for (const tb_endpoint *e = w->endpoints; e && e->path && n < WEB_MAX_PROTOCOLS; e++)
        if (e->protocol)
            w->protocols[n++] = (struct lws_protocols){ .name = e->protocol, .callback = callback };
    w->protocols[n] = (struct lws_protocols){ 0 };
}

static tb_status start_library(tb_web *w, tb_err *err)
{
    static const lws_retry_bo_t idle = { .secs_since_valid_ping = 30,
                                         .secs_since_valid_hangup = 60 };
    void *loops[] = { w->loop };
    lws_set_log_level(LLL_ERR | LLL_WARN, log_line);
    name_protocols(w);
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
                   LWS_SERVER_OPTION_DISABLE_IPV6 | LWS_SERVER_OPTION_VALIDATE_UTF8,
        .foreign_loops = loops,
        .pcontext = &w->context,
        .protocols = w->protocols,
        .vhost_name = "tubelet",
        .headers = &tbs_web_library_headers,
        .fd_limit_per_thread = WEB_MAX_CONNECTIONS + 16,
        .max_http_header_data = WEB_MAX_HEADERS,
        .max_http_header_pool = WEB_MAX_CONNECTIONS,
        .pt_serv_buf_size = WEB_CHUNK,
        .timeout_secs = (unsigned)w->o.idle_s,
        .timeout_secs_ah_idle = (unsigned)w->o.idle_s,
        .keepalive_timeout = WEB_KEEPALIVE_S,
        .retry_and_idle_policy = &idle,
    };
    w->context = lws_create_context(&info);
    if (!w->context)
        return tb_err_set(err, TB_EIO,
                          "libwebsockets cannot use the event loop: install the package "
                          "libwebsockets-evlib-uv");
    w->vhost = lws_create_vhost(w->context, &info);
    if (!w->vhost)
        return tb_err_set(err, TB_EINTERNAL, "libwebsockets made no virtual host");
    return TB_OK;
}

static void free_options(tb_web *w)
{
    free((char *)(uintptr_t)w->o.address);
    free((char *)(uintptr_t)w->o.token);
    free((char *)(uintptr_t)w->o.cors_origin);
    free((char *)(uintptr_t)w->o.web_dir);
    free((char *)(uintptr_t)w->o.temp_dir);
    for (const char *const *p = w->o.allow_hosts; p && *p; p++)
        free((char *)(uintptr_t)*p);
    free((void *)(uintptr_t)w->o.allow_hosts);
}

static char *copy(const char *text)
{
    return text ? tb_xstrdup(text) : NULL;
}

static void copy_options(tb_web *w, const tb_web_options *o)
{
    size_t n = 0;
    while (o->allow_hosts && o->allow_hosts[n])
        n++;
    char **hosts = tb_xcalloc(n + 1, sizeof *hosts);
    for (size_t i = 0; i < n; i++)
        hosts[i] = tb_xstrdup(o->allow_hosts[i]);
    w->o = *o;
    w->o.address = tb_xstrdup(o->address ? o->address : "127.0.0.1");
    w->o.token = copy(o->token);
    w->o.allow_hosts = (const char *const *)hosts;
    w->o.cors_origin = copy(o->cors_origin);
    w->o.web_dir = copy(o->web_dir);
    w->o.temp_dir = copy(o->temp_dir);
    w->o.idle_s = o->idle_s > 0 ? o->idle_s : WEB_IDLE_S;
    w->beyond = !tb_web_is_loopback(w->o.address);
}

static tb_status check_web_dir(const tb_web *w, tb_err *err)
{
    char *page = w->o.web_dir ? tb_fs_join(w->o.web_dir, "index.html") : NULL;
    const bool there = !page || tb_fs_is_file(page);
    free(page);
    return there ? TB_OK
                 : tb_err_set(err, TB_ENOTFOUND,
                              "there is no index.html in %s: build the editor into it with 'node "
                              "web/build.mjs DIR'",
                              w->o.web_dir);
}

tb_web *tb_web_listen(uv_loop_t *loop, const tb_web_options *o, const tb_route *routes,
                      const tb_endpoint *endpoints, tb_err *err)
{
    tb_web *w = tb_xcalloc(1, sizeof *w);
    w->loop = loop;
    w->listen_fd = -1;
    w->routes = routes;
    w->endpoints = endpoints;
    copy_options(w, o);
    if (check_web_dir(w, err) != TB_OK || open_listener(w, w->o.address, o->port, err) != TB_OK ||
        start_library(w, err) != TB_OK || start_listener(w, err) != TB_OK) {
        tb_web_close(&w);
        return NULL;
    }
    w->token_cookie = tb_xasprintf("tubelet_token_%d", w->port);
    return w;
}

int tb_web_port(const tb_web *w)
{
    return w->port;
}

static void free_handle(uv_handle_t *h)
{
    free(h);
}

/* Takes two calls: the first closes connections and handles, which needs turns of the loop (two for
 * a handle that closes another); the second frees, and sets w->context to NULL. */
static void stop_library(tb_web *w)
{
    for (int call = 0; w->context && call < 3; call++) {
        lws_context_destroy(w->context);
        for (int i = 0; i < 8 || (w->conns > 0 && i < 1000); i++)
            uv_run(w->loop, UV_RUN_NOWAIT);
    }
}

static bool owes_replies(const tb_web *w)
{
    for (const tb_request *q = w->requests; q; q = q->next)
        if (q->handled && !q->answer.head.len)
            return true;
    return false;
}

void tb_web_close(tb_web **wp)
{
    tb_web *w = *wp;
    *wp = NULL;
    if (!w)
        return;
    if (w->listener) {
        uv_poll_stop(w->listener);
        uv_close((uv_handle_t *)w->listener, free_handle);
    }
    if (w->listen_fd >= 0)
        close(w->listen_fd);
    while (owes_replies(w))
        uv_run(w->loop, UV_RUN_ONCE);
    stop_library(w);
    tbs_web_feeds_close(w);
    while (w->requests)
        tbs_web_request_free(w->requests);
    free_options(w);
    free(w->token_cookie);
    free(w);
}
