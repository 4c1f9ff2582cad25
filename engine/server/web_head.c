/* web_head.c - the head of one request, read strictly and written anew for libwebsockets.
 *
 * The library takes a header whose name merely begins a standard one for half of a longer name, and
 * swallows the next line with it (which may be Origin or Content-Length); it splits a query at ';'
 * and makes a blank of '+' in a path. So it is given only what it and we read, in plain form.
 */
#include "server/web_internal.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* What is passed on; a name marked here may come once only. */
static const struct {
    const char *name;
    bool once;
} known[] = {
    { "Accept", false },
    { "Accept-Encoding", false },
    { "Authorization", true },
    { "Connection", false },
    { "Content-Length", true },
    { "Content-Type", true },
    { "Cookie", false },
    { "Expect", true },
    { "Host", true },
    { "If-None-Match", false },
    { "If-Range", true },
    { "Origin", true },
    { "Range", true },
    { "Sec-WebSocket-Key", true },
    { "Sec-WebSocket-Protocol", false },
    { "Sec-WebSocket-Version", true },
    { "Transfer-Encoding", false },
    { "Upgrade", true },
    { "User-Agent", false },
};

enum { KNOWN = sizeof known / sizeof *known };

typedef struct line {
    const char *s;
    size_t n;
} line;

static bool refuse(web_head *h, int status, const char *why)
{
    h->status = status;
    h->why = why;
    return false;
}

/* RFC 9110 5.6.2 */
static bool is_token(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] <= ' ' || (unsigned char)s[i] >= 127 ||
            strchr("\"(),/:;<=>?@[\\]{}", s[i]))
            return false;
    return n > 0;
}

static bool is_value(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (((unsigned char)s[i] < ' ' && s[i] != '\t') || s[i] == 127)
            return false;
    return true;
}

static bool same(const char *s, size_t n, const char *name)
{
    return strlen(name) == n && strncasecmp(s, name, n) == 0;
}

/* The next line without its end; false: it is not there yet. */
static bool next_line(const char **at, const char *end, line *l)
{
    const char *nl = memchr(*at, '\n', (size_t)(end - *at));
    if (!nl)
        return false;
    *l = (line){ *at, (size_t)(nl - *at) };
    if (l->n && l->s[l->n - 1] == '\r')
        l->n--;
    *at = nl + 1;
    return true;
}

/* ---------------------------------------------------------------------------------- first line */

static bool known_method(const char *s, size_t n)
{
    static const char *const names[] = {
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i]) == n && memcmp(s, names[i], n) == 0)
            return true;
    return false;
}

static void add_target(tb_str *b, const char *s, size_t n)
{
    bool query = false;
    for (size_t i = 0; i < n; i++) {
        query |= s[i] == '?';
        if ((!query && s[i] == '+') || (query && s[i] == ';'))
            tb_str_addf(b, "%%%02X", (unsigned char)s[i]);
        else
            tb_str_addn(b, s + i, 1);
    }
}

/* Each '%' begins a byte, which is not zero. */
static bool is_encoded(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (s[i] == '%' && (n - i < 3 || !isxdigit((unsigned char)s[i + 1]) ||
                            !isxdigit((unsigned char)s[i + 2]) || memcmp(s + i, "%00", 3) == 0))
            return false;
    return true;
}

static bool read_request(const line *l, web_head *h)
{
    const char *method_end = memchr(l->s, ' ', l->n);
    if (!method_end || !is_token(l->s, (size_t)(method_end - l->s)))
        return refuse(h, 400, "this is no HTTP request");
    const char *target = method_end + 1, *end = l->s + l->n;
    const char *target_end = memchr(target, ' ', (size_t)(end - target));
    if (!target_end || !same(target_end + 1, 7, "HTTP/1.") || end - target_end != 9 ||
        (end[-1] != '0' && end[-1] != '1'))
        return refuse(h, 400, "this is no request of HTTP/1.0 or 1.1");
    const size_t n = (size_t)(target_end - target);
    if (!n || target[0] != '/' || !is_value(target, n) || memchr(target, '\t', n))
        return refuse(h, 400,
                      "the address of the request does not begin with / or holds control "
                      "characters");
    if (!is_encoded(target, n))
        return refuse(h, 400, "the address of the request holds a %XX that is no byte, or zero");
    if (!known_method(l->s, (size_t)(method_end - l->s)))
        return refuse(h, 405, "this method is not known here");
    h->get = l->s[0] == 'G';
    tb_str_addn(&h->text, l->s, (size_t)(target - l->s));
    add_target(&h->text, target, n);
    tb_str_addn(&h->text, target_end, (size_t)(end - target_end));
    tb_str_add(&h->text, "\r\n");
    return true;
}

/* -------------------------------------------------------------------------------------- headers */

/* Digits only, at most 18; anything else is refused when the request is looked at, which closes. */
static uint64_t length_of(const char *s, size_t n)
{
    uint64_t length = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9' || n > 18)
            return 0;
        length = length * 10 + (uint64_t)(s[i] - '0');
    }
    return length;
}

static void add_header(web_head *h, int k, const char *value, size_t n)
{
    if (same(known[k].name, strlen(known[k].name), "Upgrade")) {
        if (!h->get || !same(value, n, "websocket"))
            return; /* as of a client that would also speak HTTP/2 */
        h->upgrade = true;
    }
    if (same(known[k].name, strlen(known[k].name), "Content-Length"))
        h->body = length_of(value, n);
    tb_str_addf(&h->text, "%s: %.*s\r\n", known[k].name, (int)n, value);
}

static bool read_header(const line *l, unsigned *seen, web_head *h)
{
    const char *colon = memchr(l->s, ':', l->n);
    const size_t n = colon ? (size_t)(colon - l->s) : 0;
    if (!is_token(l->s, n))
        return refuse(h, 400, "a line of the request's headers is no \"Name: value\"");
    const char *value = colon + 1, *end = l->s + l->n;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    if (!is_value(value, (size_t)(end - value)))
        return refuse(h, 400, "a header holds control characters");
    for (int k = 0; k < KNOWN; k++) {
        if (!same(l->s, n, known[k].name))
            continue;
        if (known[k].once && *seen & 1u << k)
            return refuse(h, 400, "a header stands twice that may stand once");
        *seen |= 1u << k;
        if (end > value)
            add_header(h, k, value, (size_t)(end - value));
    }
    return true;
}

static bool read_lines(const char *p, const char *end, web_head *h)
{
    unsigned seen = 0;
    line l;
    bool more = next_line(&p, end, &l);
    if (!more || !read_request(&l, h))
        return false;
    while ((more = next_line(&p, end, &l)) && l.n)
        if (!read_header(&l, &seen, h))
            return false;
    tb_str_add(&h->text, "\r\n");
    if (h->text.len > WEB_MAX_HEADERS)
        return refuse(h, 431, "the address and the headers are longer than 16 KiB");
    return more;
}

/* Bytes up to the end of the empty line; 0: it is not there yet. */
static size_t head_length(const char *p, size_t n)
{
    const char *at = p;
    line l;
    while (next_line(&at, p + n, &l))
        if (!l.n)
            return (size_t)(at - p);
    return 0;
}

bool tbs_web_head_read(const char *p, size_t n, web_head *h)
{
    size_t skip = 0;
    *h = (web_head){ 0 };
    while (skip < n && (p[skip] == '\r' || p[skip] == '\n')) /* RFC 9112 2.2 */
        skip++;
    const size_t length = head_length(p + skip, n - skip);
    if (!length && n > WEB_MAX_HEADERS)
        return refuse(h, 431, "the address and the headers are longer than 16 KiB");
    if (!length)
        return false;
    h->n = skip + length;
    return read_lines(p + skip, p + skip + length, h);
}
