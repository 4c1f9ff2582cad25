/* editor_task.c - a request's slow work: on a worker, with its body and its answer as JSON. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "server/editor_internal.h"

enum { MAX_DEPTH = 64 }; /* of objects and lists in a body */

void *tbs_task_new(size_t size, tb_server *s, tb_request *q, bool body, void (*work)(tbs_task *t))
{
    tbs_task *t = tb_xcalloc(1, size);
    t->server = s;
    t->work = work;
    if (body)
        t->body = tb_request_body(q, &t->body_bytes);
    return t;
}

void tbs_task_conflict(tbs_task *t, const char *code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    tb_err_setv(&t->err, TB_EINVAL, fmt, ap);
    va_end(ap);
    t->status = 409;
    t->code = code;
}

json_t *tbs_field(const json_t *object, const char *name, json_type type, tb_err *err)
{
    static const char *const names[] = { "an object", "a list",    "text",     "an integer",
                                         "a number",  "a boolean", "a boolean" };
    json_t *v = json_object_get(object, name);
    if (!v || json_is_null(v))
        return NULL;
    const bool same = json_typeof(v) == type || (type == JSON_TRUE && json_is_boolean(v)) ||
                      (type == JSON_REAL && json_is_number(v));
    if (same)
        return v;
    tb_err_set(err, TB_EINVAL, "'%s' must be %s", name, names[type]);
    return NULL;
}

/* How deep brackets stand in one another, outside of texts. */
static int depth_of(const char *text, size_t n)
{
    int depth = 0, most = 0;
    bool quoted = false;
    for (size_t i = 0; i < n; i++) {
        if (quoted && text[i] == '\\')
            i++;
        else if (text[i] == '"')
            quoted = !quoted;
        else if (!quoted && (text[i] == '{' || text[i] == '['))
            most = ++depth > most ? depth : most;
        else if (!quoted && (text[i] == '}' || text[i] == ']'))
            depth--;
    }
    return most;
}

static void read_body(tbs_task *t)
{
    if (t->body_bytes == 0) {
        t->in = json_object();
        return;
    }
    if (depth_of(t->body, t->body_bytes) > MAX_DEPTH)
        tb_err_set(&t->err, TB_EFORMAT, "the body nests objects and lists deeper than %d",
                   MAX_DEPTH);
    else
        t->in = tb_json_parse(t->body, t->body_bytes, "the body", &t->err);
    if (t->in && !json_is_object(t->in))
        tb_err_set(&t->err, TB_EFORMAT, "the body must be a JSON object");
}

static void do_work(void *arg)
{
    tbs_task *t = arg;
    t->types = tbs_types(t->server, &t->err);
    t->library = tbs_library_script(t->server);
    if (t->body && t->err.status == TB_OK)
        read_body(t);
    if (t->err.status == TB_OK)
        t->work(t);
    if (t->err.status == TB_OK && !t->reply && t->answer)
        t->text = tb_json_long_ints_take(json_dumps(t->answer, JSON_COMPACT));
    if (!t->reply) {
        json_decref(t->answer);
        t->answer = NULL;
    }
    json_decref(t->in); /* large documents are freed here, not on the loop */
    t->in = NULL;
}

static void reply_errors(tb_request *q, const tbs_task *t)
{
    json_t *e = json_pack("{ssso}", "code", t->code ? t->code : tb_status_name(t->err.status),
                          "message", tbs_text_json(t->err.message));
    json_t *answer = json_pack("{so}", "error", e);
    json_object_set_new(e, "at", tbs_error_json(&t->err, NULL));
    if (t->errors)
        json_object_set(answer, "errors", t->errors);
    tb_reply_json_take(q, t->status ? t->status : 400, answer);
}

static void after_work(tb_request *q, void *arg)
{
    tbs_task *t = arg;
    if (t->err.status != TB_OK && (t->errors || t->code))
        reply_errors(q, t);
    else if (t->err.status != TB_OK)
        tb_reply_error(q, &t->err);
    else if (t->reply)
        t->reply(q, t);
    else if (t->text)
        tb_reply_json_text_take(q, t->text);
    else
        tb_reply_empty(q, 204);
    if (t->clear)
        t->clear(t);
    json_decref(t->answer);
    json_decref(t->errors);
    free(t);
}

void tbs_task_run(tb_request *q, tbs_task *t)
{
    tb_web_work(q, do_work, after_work, t);
}

/* ----------------------------------------------------------------------------------------- JSON */

json_t *tbs_text_json(const char *text)
{
    json_t *v = json_string(text);
    if (v)
        return v;
    char *plain = tb_xstrdup(text);
    for (char *c = plain; *c; c++)
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    v = json_string(plain);
    free(plain);
    return v;
}

static void put_text(json_t *o, const char *name, const char *text)
{
    if (text && *text)
        json_object_set_new(o, name, tbs_text_json(text));
}

json_t *tbs_error_json(const tb_err *err, const char *type)
{
    char text[1400];
    json_t *o = json_object();
    put_text(o, "node", err->node);
    put_text(o, "input", err->input);
    put_text(o, "origin", err->origin);
    put_text(o, "type", type);
    put_text(o, "message", err->message);
    put_text(o, "text", tb_err_text(err, type && *type ? type : NULL, text, sizeof text));
    put_text(o, "reason", err->reason);
    return o;
}

json_t *tbs_errors_json(const tb_err_list *errors)
{
    json_t *list = json_array();
    for (int i = 0; i < errors->count; i++)
        json_array_append_new(list, tbs_error_json(&errors->items[i], errors->types[i]));
    return list;
}

json_t *tbs_summary_json(const tb_server *s, const tb_plan_summary *p)
{
    json_t *o = json_pack("{si si si si}", "nodes", p->nodes_total, "cached", p->nodes_cached,
                          "run", p->nodes_run, "unknown", p->nodes_unknown);
    json_object_set_new(o, "seconds", p->seconds < 0 ? json_null() : json_real(p->seconds));
    json_object_set_new(o, "seconds_complete", json_boolean(p->seconds_complete));
    json_object_set_new(o, "peak_bytes", json_integer((json_int_t)p->peak_bytes));
    json_object_set_new(o, "memory_limit",
                        json_integer((json_int_t)tb_engine_memory_limit(s->engine)));
    return o;
}
