/* comfy_ws.c - the clients of /ws: who they are, and what is sent to whom. Section 4. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "server/comfy_internal.h"

/* -------------------------------------------------------------------------------------- sending */

bool tbs_client_reached(const tbs_client *c, const tb_prompt *p, tbs_reach reach)
{
    if (!c->id)
        return false;
    return p->client_id ? strcmp(c->id, p->client_id) == 0 : reach == TBS_OWNER_OR_ALL;
}

bool tbs_anyone_reached(const tbs_comfy *c, const tb_prompt *p, tbs_reach reach)
{
    for (const tbs_client *k = c->clients; k; k = k->next)
        if (tbs_client_reached(k, p, reach))
            return true;
    return false;
}

static char *frame(const char *type, json_t *data_take)
{
    json_t *j = json_pack("{ssso}", "type", type, "data", data_take);
    char *text = json_dumps(j, JSON_COMPACT | JSON_REAL_PRECISION(17));
    json_decref(j);
    return tb_json_long_ints_take(text);
}

static void send_text(const tbs_client *c, const char *text)
{
    if (text)
        tb_socket_text(c->socket, text, strlen(text));
}

void tbs_comfy_send(tbs_comfy *c, const tb_prompt *p, tbs_reach reach, const char *type,
                    json_t *data_take)
{
    char *text = frame(type, data_take);
    for (const tbs_client *k = c->clients; k; k = k->next)
        if (tbs_client_reached(k, p, reach))
            send_text(k, text);
    free(text);
}

static json_t *status_of(const tbs_comfy *c)
{
    return json_pack("{s{s{si}}}", "status", "exec_info", "queue_remaining",
                     tb_queue_remaining(c->server->queue));
}

void tbs_comfy_send_status(tbs_comfy *c)
{
    char *text = frame("status", status_of(c));
    for (const tbs_client *k = c->clients; k; k = k->next)
        if (k->id)
            send_text(k, text);
    free(text);
}

/* ------------------------------------------------------------------------------- coming, going */

/* %41 and + as in a query; freed by free(). */
static char *decoded(const char *s, size_t n)
{
    char *out = tb_xcalloc(n + 1, 1), *to = out;
    for (size_t i = 0; i < n; i++) {
        char hex[3] = { 0 };
        const bool coded = s[i] == '%' && i + 2 < n && isxdigit((unsigned char)s[i + 1]) &&
                           isxdigit((unsigned char)s[i + 2]);
        if (coded)
            memcpy(hex, s + i + 1, 2);
        *to++ = coded ? (char)strtol(hex, NULL, 16) : (char)(s[i] == '+' ? ' ' : s[i]);
        i += coded ? 2 : 0;
    }
    return out;
}

/* The value of clientId in a query, or a new id of 32 hex digits. */
static char *client_id_of(const char *query)
{
    static const char name[] = "clientId=";
    for (const char *p = query; p && *p; p = strchr(p, '&') ? strchr(p, '&') + 1 : NULL) {
        const size_t n = strcspn(p, "&");
        if (n > sizeof name - 1 && strncmp(p, name, sizeof name - 1) == 0)
            return decoded(p + sizeof name - 1, n - (sizeof name - 1));
    }
    unsigned char b[16];
    char *id = tb_xcalloc(33, 1);
    uv_random(NULL, NULL, b, sizeof b, 0, NULL);
    for (int i = 0; i < 16; i++)
        snprintf(id + 2 * i, 3, "%02x", b[i]);
    return id;
}

/* The id belongs to the newer socket; the old one is closed. */
static void take_over(tbs_comfy *c, const char *id)
{
    for (tbs_client *k = c->clients; k; k = k->next)
        if (k->id && strcmp(k->id, id) == 0) {
            free(k->id);
            k->id = NULL;
            tb_socket_end(k->socket);
        }
}

/* A client that comes back learns where its prompt is. */
static void greet(tbs_comfy *c, const tbs_client *k)
{
    const tb_prompt *p;
    json_t *data = status_of(c);
    json_object_set_new(data, "sid", json_string(k->id));
    char *text = frame("status", data);
    send_text(k, text);
    free(text);
    for (int i = 0; (p = tb_queue_running(c->server->queue, i)); i++) {
        const char *node = tbs_progress_current(p);
        if (!node || !p->client_id || strcmp(p->client_id, k->id) != 0)
            continue;
        text = frame("executing",
                     json_pack("{ssssss}", "node", node, "display_node", node, "prompt_id", p->id));
        send_text(k, text);
        free(text);
    }
}

static void opened(void *ctx, tb_socket *socket, const char *query)
{
    tbs_comfy *c = ((tb_server *)ctx)->comfy;
    if (!c)
        return;
    tbs_client *k = tb_xcalloc(1, sizeof *k);
    k->id = client_id_of(query);
    k->socket = socket;
    take_over(c, k->id);
    k->next = c->clients;
    c->clients = k;
    tb_socket_set_data(socket, k);
    greet(c, k);
}

static void text(void *ctx, tb_socket *socket, const char *body, size_t n)
{
    tb_server *s = ctx;
    tbs_client *k = s->comfy ? tb_socket_data(socket) : NULL;
    if (!k || k->spoke)
        return;
    k->spoke = true;
    json_t *j = tb_json_parse(body, n, "a message", NULL);
    const char *type = json_string_value(json_object_get(j, "type"));
    if (type && strcmp(type, "feature_flags") == 0) {
        const json_t *flags = json_object_get(j, "data");
        k->previews_named = json_is_true(json_object_get(flags, "supports_preview_metadata"));
        k->progress_full = json_is_true(json_object_get(flags, "progress_full"));
        char *answer = frame("feature_flags", tbs_comfy_features(s));
        send_text(k, answer);
        free(answer);
    }
    json_decref(j);
}

static void closed(void *ctx, tb_socket *socket)
{
    tbs_comfy *c = ((tb_server *)ctx)->comfy;
    tbs_client **at = c ? &c->clients : NULL;
    while (at && *at && (*at)->socket != socket)
        at = &(*at)->next;
    if (!at || !*at)
        return;
    tbs_client *k = *at;
    *at = k->next;
    free(k->id);
    free(k);
}

const tb_endpoint tbs_comfy_endpoint = {
    .path = "/ws", .opened = opened, .text = text, .closed = closed
};
