/* web_guard.c - who is served: Host, Origin and token (reliability.md P18, web-editor.md 2.1).
 *
 * Host keeps rebound names out: a page of another site whose name suddenly points here still sends
 * its own name. Origin keeps other sites' scripts and forms out. The token is for everybody beyond
 * this machine.
 */
#include "server/web_internal.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

/* "name:port" -> length of the name without port; brackets of IPv6 stay. */
static size_t name_length(const char *host)
{
    const char *end = host[0] == '[' ? strchr(host, ']') : NULL;
    if (end)
        return (size_t)(end - host) + 1;
    return strcspn(host, ":");
}

static bool same_name(const char *host, size_t n, const char *name)
{
    return strlen(name) == n && strncasecmp(host, name, n) == 0;
}

bool tb_web_is_loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0 ||
           strcasecmp(address, "localhost") == 0;
}

/* An address instead of a name: it cannot be rebound. */
static bool is_address(const char *host, size_t n)
{
    char text[64];
    struct in6_addr in6;
    struct in_addr in4;
    if (n >= sizeof text)
        return false;
    if (host[0] == '[' && n > 2) {
        memcpy(text, host + 1, n - 2);
        text[n - 2] = 0;
        return inet_pton(AF_INET6, text, &in6) == 1;
    }
    memcpy(text, host, n);
    text[n] = 0;
    return inet_pton(AF_INET, text, &in4) == 1;
}

static bool host_allowed(const tb_web *w, const char *host)
{
    const size_t n = name_length(host);
    if (host[n] && (host[n] != ':' || host[n + 1 + strspn(host + n + 1, "0123456789")]))
        return false;
    if (same_name(host, n, "localhost") || same_name(host, n, "127.0.0.1") ||
        same_name(host, n, "[::1]"))
        return true;
    if (w->o.address && same_name(host, n, w->o.address))
        return true;
    if (w->beyond && is_address(host, n))
        return true;
    for (const char *const *a = w->o.allow_hosts; a && *a; a++)
        if (same_name(host, n, *a))
            return true;
    return false;
}

/* Same name, and the same port where the origin names one (comfyui-api.md 0). */
static bool origin_allowed(const tb_web *w, const char *origin, const char *host)
{
    if (w->o.cors_origin &&
        (strcmp(w->o.cors_origin, "*") == 0 || strcasecmp(w->o.cors_origin, origin) == 0))
        return true;
    const char *site = strstr(origin, "://");
    if (!site ||
        (strncasecmp(origin, "http://", 7) != 0 && strncasecmp(origin, "https://", 8) != 0))
        return false;
    site += 3;
    const size_t n = name_length(site);
    if (n != name_length(host) || strncasecmp(site, host, n) != 0)
        return false;
    return !site[n] || strcmp(site + n, host + n) == 0;
}

const char *tbs_web_guard_site(const tb_web *w, const web_ask *a)
{
    const char *host = a->headers[WEB_HOST], *origin = a->headers[WEB_ORIGIN];
    if (!host || !host_allowed(w, host))
        return "the Host header is not a name of this server: use localhost, or start it with "
               "--allow-host NAME";
    if (origin && !origin_allowed(w, origin, host))
        return "requests from other sites are refused: the Origin header is not this server, and "
               "--cors does not name it";
    return NULL;
}

/* Takes as long for any guess of the right length. */
static bool same_secret(const char *got, size_t n, const char *want)
{
    unsigned char diff = 0;
    if (n != strlen(want))
        return false;
    for (size_t i = 0; i < n; i++)
        diff |= (unsigned char)(got[i] ^ want[i]);
    return !diff;
}

static bool cookie_has(const char *cookies, const char *name, const char *token)
{
    const size_t n = strlen(name);
    for (const char *p = cookies; *p;) {
        p += strspn(p, "; ");
        const size_t len = strcspn(p, ";");
        if (len > n && strncmp(p, name, n) == 0 && p[n] == '=' &&
            same_secret(p + n + 1, len - n - 1, token))
            return true;
        p += len;
    }
    return false;
}

static bool has_token(const tb_web *w, const web_ask *a, bool *by_query)
{
    const char *token = w->o.token, *arg = tbs_web_ask_arg(a, "token");
    const char *bearer = a->headers[WEB_AUTHORIZATION], *cookies = a->headers[WEB_COOKIE];
    if (arg && same_secret(arg, strlen(arg), token))
        return *by_query = true;
    if (bearer && strncasecmp(bearer, "Bearer ", 7) == 0 &&
        same_secret(bearer + 7, strlen(bearer + 7), token))
        return true;
    return cookies && cookie_has(cookies, w->token_cookie, token);
}

const char *tbs_web_guard(const tb_web *w, const web_ask *a, bool *by_query, int *status)
{
    *by_query = false;
    *status = 403;
    const char *why = tbs_web_guard_site(w, a);
    if (why)
        return why;
    if (w->o.token && !has_token(w, a, by_query)) {
        *status = 401;
        return "a token is needed: open the address that tubelet serve printed, or send "
               "Authorization: Bearer TOKEN";
    }
    return NULL;
}
