/* web_reply.c - answers: status line, headers, and bodies that are written as the client takes
 * them. */
#include "server/web_internal.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

/* web-editor.md 2.6. The library's own set would block video. */
#define POLICY                                                                       \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: " \
    "blob:; media-src 'self' blob:; connect-src 'self'; font-src 'self'; "           \
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

static const char security_headers[] = "Content-Security-Policy: " POLICY "\r\n"
                                       "X-Content-Type-Options: nosniff\r\n"
                                       "Referrer-Policy: no-referrer\r\n";

static const struct lws_protocol_vhost_options no_referrer = { NULL, NULL,
                                                               "referrer-policy:", "no-referrer" };
static const struct lws_protocol_vhost_options no_sniff = { &no_referrer, NULL,
                                                            "x-content-type-options:", "nosniff" };
const struct lws_protocol_vhost_options tbs_web_library_headers = {
    &no_sniff, NULL, "content-security-policy:", POLICY
};

static const struct {
    int status;
    const char *text;
} reasons[] = {
    { 200, "OK" },
    { 201, "Created" },
    { 204, "No Content" },
    { 206, "Partial Content" },
    { 304, "Not Modified" },
    { 400, "Bad Request" },
    { 401, "Unauthorized" },
    { 403, "Forbidden" },
    { 404, "Not Found" },
    { 405, "Method Not Allowed" },
    { 406, "Not Acceptable" },
    { 408, "Request Timeout" },
    { 409, "Conflict" },
    { 411, "Length Required" },
    { 413, "Content Too Large" },
    { 416, "Range Not Satisfiable" },
    { 422, "Unprocessable Content" },
    { 431, "Request Header Fields Too Large" },
    { 500, "Internal Server Error" },
    { 503, "Service Unavailable" },
    { 507, "Insufficient Storage" },
};

static const char *reason(int status)
{
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reasons[i].status == status)
            return reasons[i].text;
    return "Answer";
}

static void add_date(tb_str *b)
{
    char text[64];
    struct tm tm;
    const time_t now = time(NULL);
    gmtime_r(&now, &tm);
    if (strftime(text, sizeof text, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm))
        tb_str_add(b, text);
}

static void add_cors(tb_str *b, const tb_web *w)
{
    if (!w->o.cors_origin)
        return;
    tb_str_addf(b,
                "Access-Control-Allow-Origin: %s\r\n"
                "Access-Control-Allow-Methods: POST, GET, DELETE, PUT, OPTIONS, PATCH\r\n"
                "Access-Control-Allow-Headers: Content-Type, Authorization\r\n"
                "Access-Control-Allow-Credentials: true\r\n"
                "Vary: Origin\r\n",
                w->o.cors_origin);
}

void tb_reply_header(tb_request *q, const char *name, const char *value)
{
    tb_str_addf(&q->answer.extra, "%s: ", name);
    for (const char *p = value; *p; p++)
        if ((unsigned char)*p >= ' ' && *p != 127)
            tb_str_addn(&q->answer.extra, p, 1);
    tb_str_add(&q->answer.extra, "\r\n");
}

void tbs_web_reply_start(tb_request *q, int status, const char *mime, uint64_t length)
{
    web_answer *a = &q->answer;
    const char *extra = a->extra.s ? a->extra.s : "";
    if (!q->conn) {
        tbs_web_request_free(q);
        return;
    }
    tb_str_addf(&a->head, "HTTP/1.1 %d %s\r\n", status, reason(status));
    add_date(&a->head);
    if (mime)
        tb_str_addf(&a->head, "Content-Type: %s\r\n", mime);
    if (status != 204 && status != 304)
        tb_str_addf(&a->head, "Content-Length: %llu\r\n", (unsigned long long)length);
    tb_str_add(&a->head, security_headers);
    add_cors(&a->head, q->web);
    if (!strcasestr(extra, "Cache-Control:"))
        tb_str_add(&a->head, "Cache-Control: no-cache\r\n");
    if (a->set_cookie)
        tb_str_addf(&a->head, "Set-Cookie: %s=%s; Path=/; HttpOnly; SameSite=Strict\r\n",
                    q->web->token_cookie, q->web->o.token);
    tb_str_add(&a->head, extra);
    tb_str_add(&a->head, a->close ? "Connection: close\r\n\r\n" : "Connection: keep-alive\r\n\r\n");
    lws_set_timeout(q->conn->wsi, PENDING_TIMEOUT_HTTP_CONTENT, WEB_STALLED_S);
    lws_callback_on_writable(q->conn->wsi);
}

/* ----------------------------------------------------------------------------- kinds of answers */

static void reply_memory(tb_request *q, int status, const char *mime, const void *data, size_t n)
{
    tb_str_addn(&q->answer.bytes, data, n);
    q->answer.left = q->head ? 0 : n;
    tbs_web_reply_start(q, status, mime, n);
}

void tb_reply_json_text_take(tb_request *q, char *text)
{
    const size_t n = strlen(text);
    tb_str_free(&q->answer.bytes);
    q->answer.bytes = (tb_str){ .s = text, .len = n, .cap = n + 1 };
    q->answer.left = q->head ? 0 : n;
    tbs_web_reply_start(q, 200, "application/json; charset=utf-8", n);
}

void tb_reply_json_take(tb_request *q, int status, json_t *j)
{
    char *text = j ? json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    text = tb_json_long_ints_take(text);
    json_decref(j);
    if (text)
        reply_memory(q, status, "application/json; charset=utf-8", text, strlen(text));
    else
        tb_reply_text(q, 500, "The answer holds text that is not UTF-8");
    free(text);
}

void tb_reply_text(tb_request *q, int status, const char *text)
{
    reply_memory(q, status, "text/plain; charset=utf-8", text, strlen(text));
}

void tb_reply_empty(tb_request *q, int status)
{
    reply_memory(q, status, NULL, "", 0);
}

void tb_reply_bytes(tb_request *q, const char *mime, const char *etag, const void *data, size_t n)
{
    if (etag) {
        char quoted[160];
        snprintf(quoted, sizeof quoted, "\"%s\"", etag);
        tb_reply_header(q, "ETag", quoted);
        if (tbs_web_etag_matches(q->ask.headers[WEB_IF_NONE_MATCH], quoted)) {
            tbs_web_reply_start(q, 304, NULL, 0);
            return;
        }
    }
    reply_memory(q, 200, mime, data, n);
}

/* A message may quote what a client sent, which need not be UTF-8. */
static json_t *json_text(const char *text)
{
    json_t *j = json_string(text);
    if (j)
        return j;
    char *plain = tb_xstrdup(text);
    for (char *p = plain; *p; p++)
        if (*p & 0x80)
            *p = '?';
    j = json_string(plain);
    free(plain);
    return j;
}

static json_t *error_body(const char *code, const char *message, json_t *at)
{
    return json_pack("{s:{s:s,s:o,s:o}}", "error", "code", code, "message", json_text(message),
                     "at", at);
}

void tbs_web_reply_refuse(tb_request *q, int status, const char *code, const char *message)
{
    tb_reply_json_take(q, status, error_body(code, message, json_null()));
}

static int status_of(tb_status s)
{
    switch (s) {
    case TB_OK:
    case TB_EUSAGE:
    case TB_EINVAL:
    case TB_EFORMAT:
    case TB_ESCRIPT: return 400;
    case TB_ENOTFOUND: return 404;
    case TB_ELIMIT: return 422;
    case TB_ECANCELED: return 409;
    case TB_ENOMEM:
    case TB_ESTORE: return 503;
    case TB_EFULL: return 507;
    case TB_EIO:
    case TB_EINTERNAL: return 500;
    }
    return 500;
}

void tb_reply_error(tb_request *q, const tb_err *err)
{
    json_t *at = json_object();
    if (err->node[0])
        json_object_set_new(at, "node", json_text(err->node));
    if (err->input[0])
        json_object_set_new(at, "input", json_text(err->input));
    if (err->origin[0])
        json_object_set_new(at, "origin", json_text(err->origin));
    tb_reply_json_take(q, status_of(err->status),
                       error_body(tb_status_name(err->status), err->message, at));
}

char *tbs_web_reply_whole(int status, const char *code, const char *message)
{
    tb_str b = TB_STR_INIT;
    json_t *j = error_body(code, message, json_null());
    char *body = json_dumps(j, JSON_COMPACT);
    tb_str_addf(&b,
                "HTTP/1.1 %d %s\r\nContent-Type: application/json; charset=utf-8\r\n"
                "Content-Length: %zu\r\n%sConnection: close\r\n\r\n%s",
                status, reason(status), strlen(body), security_headers, body);
    free(body);
    json_decref(j);
    return tb_str_take(&b);
}

void tbs_web_reply_at_once(struct lws *wsi, int status, const char *code, const char *message)
{
    char *text = tbs_web_reply_whole(status, code, message);
    lws_write(wsi, (unsigned char *)text, strlen(text), LWS_WRITE_HTTP_HEADERS);
    free(text);
}

/* -------------------------------------------------------------------------------------- writing */

/* The next bytes of the body; 0: the file has become shorter, or cannot be read. */
static size_t next_chunk(web_answer *a, unsigned char *to, size_t max)
{
    const size_t want = a->left < max ? (size_t)a->left : max;
    if (a->fd < 0) {
        memcpy(to, a->bytes.s + a->at, want);
        return want;
    }
    const ssize_t n = pread(a->fd, to, want, (off_t)a->at);
    return n > 0 ? (size_t)n : 0;
}

static int write_head(tb_request *q)
{
    web_answer *a = &q->answer;
    a->head_sent = true;
    if (a->fd < 0 && a->left && a->left <= WEB_CHUNK) { /* in one packet with its headers */
        tb_str_addn(&a->head, a->bytes.s + a->at, (size_t)a->left);
        a->left = 0;
    }
    const int n =
        lws_write(q->conn->wsi, (unsigned char *)a->head.s, a->head.len, LWS_WRITE_HTTP_HEADERS);
    return n < 0 ? -1 : 0;
}

static int write_chunk(tb_request *q)
{
    static unsigned char buf[LWS_PRE + WEB_CHUNK]; /* the loop thread's */
    web_answer *a = &q->answer;
    const size_t n = next_chunk(a, buf + LWS_PRE, WEB_CHUNK);
    if (!n)
        return -1;
    a->at += n;
    a->left -= n;
    return lws_write(q->conn->wsi, buf + LWS_PRE, n, LWS_WRITE_HTTP) < 0 ? -1 : 0;
}

int tbs_web_reply_write(tb_request *q)
{
    web_answer *a = &q->answer;
    struct lws *wsi = q->conn->wsi;
    if (!a->head_sent && write_head(q) < 0)
        return -1;
    for (int i = 0; i < 4 && a->left && !lws_send_pipe_choked(wsi); i++)
        if (write_chunk(q) < 0)
            return -1;
    if (!a->left && !lws_partial_buffered(wsi))
        return 1;
    lws_set_timeout(wsi, PENDING_TIMEOUT_HTTP_CONTENT, WEB_STALLED_S);
    lws_callback_on_writable(wsi);
    return 0;
}
