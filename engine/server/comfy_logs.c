/* comfy_logs.c - what the server logs, for ComfyUI's terminal: 2.16 and the event "logs" of 4. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "server/comfy_internal.h"
#include "server/comfy_routes.h"

enum { KEPT = 300, COLUMNS = 80, ROWS = 24 };

/* {"t": "2026-11-23T01:02:03.004", "m": "line\n"}, in local time. */
static json_t *entry_of(const json_t *line)
{
    const json_int_t ms = json_integer_value(json_object_get(line, "time_ms"));
    const time_t seconds = (time_t)(ms / 1000);
    const char *text = json_string_value(json_object_get(line, "text"));
    char when[40];
    struct tm tm;
    localtime_r(&seconds, &tm);
    const size_t n = strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(when + n, sizeof when - n, ".%03d", (int)(ms % 1000));
    return json_pack("{ss so}", "t", when, "m", json_sprintf("%s\n", text ? text : ""));
}

static json_t *raw_of(json_t *entries_take)
{
    return json_pack("{so s{sisi}}", "entries", entries_take, "size", "cols", COLUMNS, "rows",
                     ROWS);
}

void tbs_comfy_log(tb_server *s, const json_t *line)
{
    tbs_comfy *c = s->comfy;
    if (!c)
        return;
    json_t *entry = entry_of(line);
    json_array_append(c->logs, entry);
    if (json_array_size(c->logs) > KEPT)
        json_array_remove(c->logs, 0);
    json_t *data = raw_of(json_pack("[o]", entry));
    for (const tbs_client *k = c->clients; k; k = k->next)
        if (k->id && k->logs)
            tb_socket_json_take(k->socket, json_pack("{ss sO}", "type", "logs", "data", data));
    json_decref(data);
}

void tbs_get_logs(void *ctx, tb_request *q)
{
    const tb_server *s = ctx;
    tb_str text = TB_STR_INIT;
    size_t i;
    json_t *entry;
    json_array_foreach(s->comfy->logs, i, entry)
        tb_str_addf(&text, "%s - %s", json_string_value(json_object_get(entry, "t")),
                    json_string_value(json_object_get(entry, "m")));
    tb_reply_json_take(q, 200, json_stringn(text.len ? text.s : "", text.len));
    tb_str_free(&text);
}

void tbs_get_raw_logs(void *ctx, tb_request *q)
{
    const tb_server *s = ctx;
    tb_reply_json_take(q, 200, raw_of(json_deep_copy(s->comfy->logs)));
}

void tbs_patch_logs(void *ctx, tb_request *q)
{
    const tb_server *s = ctx;
    json_t *body = tb_request_json(q);
    const char *id = json_string_value(json_object_get(body, "clientId"));
    if (!body)
        return;
    for (tbs_client *k = s->comfy->clients; id && k; k = k->next)
        if (k->id && strcmp(k->id, id) == 0)
            k->logs = json_is_true(json_object_get(body, "enabled"));
    json_decref(body);
    tb_reply_empty(q, 200);
}
