/* web_ask.c - the request line and headers, copied out of libwebsockets while it holds them. */
#include "server/web_internal.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"

const char *const tbs_web_header_names[WEB_HEADER_COUNT] = {
    "Accept",         "Accept-Encoding",   "Authorization", "Connection",
    "Content-Length", "Content-Type",      "Cookie",        "Expect",
    "Host",           "If-None-Match",     "If-Range",      "Origin",
    "Range",          "Transfer-Encoding", "User-Agent",
};

static const enum lws_token_indexes tokens[WEB_HEADER_COUNT] = {
    WSI_TOKEN_HTTP_ACCEPT,
    WSI_TOKEN_HTTP_ACCEPT_ENCODING,
    WSI_TOKEN_HTTP_AUTHORIZATION,
    WSI_TOKEN_CONNECTION,
    WSI_TOKEN_HTTP_CONTENT_LENGTH,
    WSI_TOKEN_HTTP_CONTENT_TYPE,
    WSI_TOKEN_HTTP_COOKIE,
    WSI_TOKEN_HTTP_EXPECT,
    WSI_TOKEN_HOST,
    WSI_TOKEN_HTTP_IF_NONE_MATCH,
    WSI_TOKEN_HTTP_IF_RANGE,
    WSI_TOKEN_ORIGIN,
    WSI_TOKEN_HTTP_RANGE,
    WSI_TOKEN_HTTP_TRANSFER_ENCODING,
    WSI_TOKEN_HTTP_USER_AGENT,
};

static char *copy_header(struct lws *wsi, enum lws_token_indexes token)
{
    const int n = lws_hdr_total_length(wsi, token);
    if (n <= 0)
        return NULL;
    char *text = tb_xcalloc((size_t)n + 1, 1);
    if (lws_hdr_copy(wsi, text, n + 1, token) < 0)
        text[0] = 0;
    return text;
}

/* The query's fragments are decoded already, each on its own, so a decoded '&' does not split. */
static void copy_args(web_ask *a, struct lws *wsi)
{
    int cap = 0;
    const int total = lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_URI_ARGS);
    for (int i = 0; total > 0; i++) {
        char *text = tb_xcalloc((size_t)total + 1, 1);
        if (lws_hdr_copy_fragment(wsi, text, total + 1, WSI_TOKEN_HTTP_URI_ARGS, i) < 0) {
            free(text);
            return;
        }
        TB_GROW(a->args, cap, a->arg_count + 1);
        a->args[a->arg_count++] = text;
    }
}

void tbs_web_ask_read(web_ask *a, struct lws *wsi, const char *path, size_t n)
{
    *a = (web_ask){ .path = tb_xstrndup(path, n) };
    for (int i = 0; i < WEB_HEADER_COUNT; i++)
        a->headers[i] = copy_header(wsi, tokens[i]);
    copy_args(a, wsi);
}

void tbs_web_ask_free(web_ask *a)
{
    free(a->path);
    for (int i = 0; i < WEB_HEADER_COUNT; i++)
        free(a->headers[i]);
    for (int i = 0; i < a->arg_count; i++)
        free(a->args[i]);
    free(a->args);
    *a = (web_ask){ 0 };
}

const char *tbs_web_ask_arg(const web_ask *a, const char *name)
{
    const size_t n = strlen(name);
    for (int i = 0; i < a->arg_count; i++) {
        const char *arg = a->args[i];
        if (strncmp(arg, name, n) == 0 && (arg[n] == '=' || !arg[n]))
            return arg[n] ? arg + n + 1 : arg + n;
    }
    return NULL;
}

bool tbs_web_is_utf8(const char *text)
{
    json_t *j = json_string(text);
    json_decref(j);
    return j != NULL;
}

bool tbs_web_ask_is_text(const web_ask *a)
{
    bool text = tbs_web_is_utf8(a->path);
    for (int i = 0; i < a->arg_count && text; i++)
        text = tbs_web_is_utf8(a->args[i]);
    return text;
}

char *tbs_web_ask_query(const web_ask *a)
{
    tb_str b = TB_STR_INIT;
    tb_str_add(&b, "");
    for (int i = 0; i < a->arg_count; i++) {
        if (i)
            tb_str_add(&b, "&");
        for (const char *p = a->args[i]; *p; p++) {
            if (strchr("%&+;#", *p) || (unsigned char)*p <= ' ')
                tb_str_addf(&b, "%%%02X", (unsigned char)*p);
            else
                tb_str_addn(&b, p, 1);
        }
    }
    return tb_str_take(&b);
}
