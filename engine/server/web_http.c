/* web_http.c - the life of one HTTP request: checked, routed, read, handled, answered. */
#include "server/web_internal.h"

#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/mem.h"

static const struct {
    unsigned bit;
    const char *name;
} methods[] = {
    { TB_GET, "GET" },     { TB_POST, "POST" },     { 0, "OPTIONS" }, { TB_PUT, "PUT" },
    { TB_PATCH, "PATCH" }, { TB_DELETE, "DELETE" }, { 0, "CONNECT" }, { TB_GET, "HEAD" },
};

/* ------------------------------------------------------------------------------------- refusals */

static bool parse_length(const char *text, uint64_t *length)
{
    *length = 0;
    if (!*text || strlen(text) > 18)
        return false;
    for (const char *p = text; *p; p++) {
        if (*p < '0' || *p > '9')
            return false;
        *length = *length * 10 + (uint64_t)(*p - '0');
    }
    return true;
}

/* The body is not wanted: answer at once, then close, or the client's next bytes are body. */
static void leave_body(tb_request *q)
{
    const char *text = q->ask.headers[WEB_CONTENT_LENGTH];
    uint64_t length = 0;
    q->body_unread |= text && parse_length(text, &length) && length > 0;
    if (q->ask.headers[WEB_TRANSFER_ENCODING] || (text && strcmp(text, "0") != 0))
        q->answer.close = true;
}

static int refuse(tb_request *q, int status, const char *code, const char *message)
{
    leave_body(q);
    if (status == 401)
        tb_reply_header(q, "WWW-Authenticate", "Bearer");
    tbs_web_reply_refuse(q, status, code, message);
    return 0;
}

static int not_found(tb_request *q)
{
    leave_body(q);
    tb_reply_text(q, 404, "404: Not Found");
    return 0;
}

static void allow(tb_request *q, unsigned allowed)
{
    tb_str b = TB_STR_INIT;
    tb_str_add(&b, "OPTIONS");
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (methods[i].bit & allowed)
            tb_str_addf(&b, ", %s", methods[i].name);
    tb_reply_header(q, "Allow", b.s);
    tb_str_free(&b);
}

/* ----------------------------------------------------------------------------------------- body */

/* true: go on, with *length bytes to come. false: it has been answered. */
static bool check_length(tb_request *q, uint64_t *length)
{
    const char *text = q->ask.headers[WEB_CONTENT_LENGTH];
    const unsigned with_body = TB_POST | TB_PUT | TB_PATCH;
    const tb_route *r = q->route;
    *length = 0;
    if (q->ask.headers[WEB_TRANSFER_ENCODING]) {
        refuse(q, 411, "length_required", "send a Content-Length; chunked bodies are not read");
        return false;
    }
    if (!text) {
        if (!(r->methods & with_body) || !r->body_cap || (r->flags & TB_ROUTE_BODY_OPTIONAL) ||
            strcmp(q->method, "DELETE") == 0 || strcmp(q->method, "GET") == 0 || q->head)
            return true;
        refuse(q, 411, "length_required", "send a Content-Length");
        return false;
    }
    if (!parse_length(text, length)) {
        refuse(q, 400, "bad_input", "the Content-Length is not a number");
        return false;
    }
    const uint64_t cap = r->body_cap ? r->body_cap : WEB_MAX_IGNORED;
    if (*length > cap) {
        char message[160];
        snprintf(message, sizeof message, "the body has %llu bytes, at most %llu are taken here",
                 (unsigned long long)*length, (unsigned long long)cap);
        refuse(q, 413, "limit", message);
        return false;
    }
    return true;
}

static void dispatch(tb_request *q)
{
    q->handled = true;
    lws_set_timeout(q->conn->wsi, NO_PENDING_TIMEOUT, 0);
    if (q->body.err.status != TB_OK)
        tb_reply_error(q, &q->body.err);
    else
        q->route->handle(q->web->o.ctx, q);
}

static int begin_body(tb_request *q, uint64_t length)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    const char *expect = q->ask.headers[WEB_EXPECT];
    unsigned char buf[LWS_PRE + sizeof go_on];
    tbs_web_body_begin(&q->body, q, length);
    if (!expect || strcasecmp(expect, "100-continue") != 0)
        return 0;
    memcpy(buf + LWS_PRE, go_on, sizeof go_on - 1);
    return lws_write(q->conn->wsi, buf + LWS_PRE, sizeof go_on - 1, LWS_WRITE_HTTP_HEADERS) < 0 ? -1
                                                                                                : 0;
}

/* A body has to come at a pace, or somebody holds connections open with drops. */
static bool too_slow(const web_body *b)
{
    const double s = tbs_web_now() - b->started;
    return s > WEB_SLOW_GRACE_S && (double)b->received < (s - WEB_SLOW_GRACE_S) * WEB_SLOW_RATE;
}

static int on_body(web_conn *c, const void *data, size_t n)
{
    tb_request *q = c->request;
    if (!q)
        return c->linger_until > 0 && tbs_web_now() > c->linger_until ? -1 : 0;
    if (q->handled || q->answer.head.len)
        return 0;
    tbs_web_body_add(&q->body, data, n);
    return too_slow(&q->body) ? -1 : 0;
}

/* The library may say this twice. */
static int on_body_end(web_conn *c)
{
    tb_request *q = c->request;
    if (!q)
        return c->linger_until > 0 ? -1 : 0;
    if (q->handled || q->answer.head.len || q->body.received < q->body.length)
        return 0;
    tbs_web_body_end(&q->body);
    dispatch(q);
    return 0;
}

/* -------------------------------------------------------------------------------------- request */

static bool plain_path(const char *path, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)path[i] < ' ' || path[i] == 127)
            return false;
    return n > 0 && path[0] == '/';
}

/* Without a route the editor's files are looked at. */
static int route(tb_request *q, unsigned method)
{
    unsigned allowed;
    const int status = tbs_web_request_route(q, method, &allowed);
    uint64_t length;
    if (status == 404)
        return method == TB_GET && tbs_web_assets_serve(q) ? 0 : not_found(q);
    if (status == 405) {
        allow(q, allowed);
        return refuse(q, 405, "bad_method", "this address does not know that method");
    }
    if (!check_length(q, &length))
        return 0;
    if (length)
        return begin_body(q, length);
    if (q->route->flags & (TB_ROUTE_MULTIPART | TB_ROUTE_FILE))
        tbs_web_body_begin(&q->body, q, 0);
    tbs_web_body_end(&q->body);
    dispatch(q);
    return 0;
}

static int options(tb_request *q)
{
    unsigned allowed = 0;
    const char *why = tbs_web_guard_site(q->web, &q->ask);
    if (why)
        return refuse(q, 403, "forbidden", why);
    tbs_web_request_route(q, 0, &allowed);
    allow(q, allowed ? allowed : TB_GET);
    leave_body(q);
    tb_reply_empty(q, 200);
    return 0;
}

static bool keeps_alive(struct lws *wsi, const web_ask *a)
{
    char version[8] = "";
    const char *connection = a->headers[WEB_CONNECTION];
    lws_hdr_copy(wsi, version, sizeof version, WSI_TOKEN_HTTP);
    if (connection && strcasestr(connection, "close"))
        return false;
    return strcmp(version, "1.0") != 0 && strcmp(version, "HTTP/1.0") != 0;
}

/* libwebsockets takes all that follows such a request for its body, whatever is answered. */
static bool has_endless_body(const tb_request *q)
{
    return !q->ask.headers[WEB_CONTENT_LENGTH] &&
           (strcmp(q->method, "POST") == 0 || strcmp(q->method, "PUT") == 0 ||
            strcmp(q->method, "PATCH") == 0);
}

static int on_http(web_conn *c, const char *path, size_t n)
{
    char *uri;
    int uri_n, status;
    const int m = lws_http_get_uri_and_method(c->wsi, &uri, &uri_n);
    if (m < 0 || (size_t)m >= sizeof methods / sizeof *methods || c->request)
        return -1;
    tb_request *q = tbs_web_request_new(c, methods[m].name, path, n);
    q->body_unread = has_endless_body(q);
    q->answer.close = q->body_unread || !keeps_alive(c->wsi, &q->ask) || !c->feed ||
                      tbs_web_feed_is_socket(c->feed);
    if (!plain_path(path, n) || !tbs_web_ask_is_text(&q->ask))
        return refuse(q, 400, "bad_input", "the address holds control characters or is not UTF-8");
    if (strcmp(q->method, "OPTIONS") == 0)
        return options(q);
    const char *why = tbs_web_guard(c->web, &q->ask, &q->answer.set_cookie, &status);
    if (why)
        return refuse(q, status, status == 401 ? "unauthorized" : "forbidden", why);
    return route(q, methods[m].bit);
}

/* ---------------------------------------------------------------------------------------- reply */

/* The answer stands; what is left of the body is read for a while, or the client would see a reset
 * instead of it. */
static int linger(web_conn *c)
{
    c->linger_until = tbs_web_now() + WEB_LINGER_S;
    shutdown(lws_get_socket_fd(c->wsi), SHUT_WR);
    lws_set_timeout(c->wsi, PENDING_TIMEOUT_USER_OK, WEB_LINGER_S);
    return 0;
}

static int on_writeable(web_conn *c)
{
    tb_request *q = c->request;
    if (!q || !q->answer.head.len)
        return 0;
    const int done = tbs_web_reply_write(q);
    if (done <= 0)
        return done;
    const bool close = q->answer.close;
    const bool unread = close && q->body_unread;
    tbs_web_request_free(q);
    if (unread)
        return linger(c);
    if (close || lws_http_transaction_completed(c->wsi))
        return -1;
    if (c->feed)
        tbs_web_feed_next(c->feed);
    return 0;
}

/* Nobody will take the answer. A request whose handler has not replied yet waits for it. */
void tbs_web_http_gone(web_conn *c)
{
    tb_request *q = c->request;
    if (!q)
        return;
    if (q->handled && !q->answer.head.len) {
        q->conn = NULL;
        c->request = NULL;
    } else {
        tbs_web_request_free(q);
    }
}

int tbs_web_http_callback(web_conn *c, enum lws_callback_reasons reason, void *in, size_t n)
{
    if (reason == LWS_CALLBACK_HTTP)
        return on_http(c, in, n);
    if (reason == LWS_CALLBACK_HTTP_BODY)
        return on_body(c, in, n);
    if (reason == LWS_CALLBACK_HTTP_BODY_COMPLETION)
        return on_body_end(c);
    return on_writeable(c);
}
