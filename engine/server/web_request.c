/* web_request.c - one request: its route, and what handlers read of it. */
#include "server/web_internal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

tb_request *tbs_web_request_new(web_conn *c, const char *method, const char *path, size_t n)
{
    tb_request *q = tb_xcalloc(1, sizeof *q);
    tb_web *w = c->web;
    q->web = w;
    q->conn = c;
    q->method = method;
    q->head = strcmp(method, "HEAD") == 0;
    q->body.fd = q->answer.fd = -1;
    tbs_web_ask_read(&q->ask, c->wsi, path, n);
    q->path = q->ask.path;
    q->rest = "";
    q->next = w->requests;
    if (w->requests)
        w->requests->prev = q;
    w->requests = q;
    c->request = q;
    return q;
}

void tbs_web_request_free(tb_request *q)
{
    if (q->conn)
        q->conn->request = NULL;
    if (q->prev)
        q->prev->next = q->next;
    else
        q->web->requests = q->next;
    if (q->next)
        q->next->prev = q->prev;
    tbs_web_ask_free(&q->ask);
    tbs_web_body_free(&q->body);
    if (q->answer.fd >= 0)
        close(q->answer.fd);
    tb_str_free(&q->answer.extra);
    tb_str_free(&q->answer.head);
    tb_str_free(&q->answer.bytes);
    free(q);
}

/* -------------------------------------------------------------------------------------- routes */

/* How well a pattern fits: -1 not, else what of it was matched literally; *rest: for "*". */
static int fit(const char *pattern, const char *path, const char **rest)
{
    const size_t n = strlen(pattern);
    if (n >= 2 && strcmp(pattern + n - 2, "/*") == 0) {
        if (strncmp(pattern, path, n - 1) != 0 || !path[n - 1])
            return -1;
        *rest = path + n - 1;
        return (int)n - 1;
    }
    *rest = "";
    return strcmp(pattern, path) == 0 ? (int)n + 1 : -1;
}

static int fit_route(const tb_route *r, const char *path, const char **start, const char **rest)
{
    *start = path;
    const int as_is = fit(r->path, path, rest);
    if (as_is >= 0 || !(r->flags & TB_ROUTE_API) || strncmp(path, "/api/", 5) != 0)
        return as_is;
    *start = path + 4;
    return fit(r->path, path + 4, rest);
}

/* The best fitting path that knows the method; literal paths go before "*". */
int tbs_web_request_route(tb_request *q, unsigned method, unsigned *allowed)
{
    int best = -1, best_path = -1;
    *allowed = 0;
    for (const tb_route *r = q->web->routes; r && r->path; r++) {
        const char *start, *rest;
        const int score = fit_route(r, q->ask.path, &start, &rest);
        if (score < 0 || score < best_path)
            continue;
        if (score > best_path)
            *allowed = 0;
        best_path = score;
        *allowed |= r->methods;
        if (!(r->methods & method) || score <= best)
            continue;
        best = score;
        q->route = r;
        q->path = start;
        q->rest = rest;
    }
    if (best_path < 0)
        return 404;
    if (best < best_path) {
        q->route = NULL;
        return 405;
    }
    return 0;
}

/* ------------------------------------------------------------------------------------- getters */

const char *tb_request_method(const tb_request *q)
{
    return q->method;
}

const char *tb_request_path(const tb_request *q)
{
    return q->path;
}

const char *tb_request_rest(const tb_request *q)
{
    return q->rest;
}

const char *tb_request_query(tb_request *q, const char *name)
{
    return tbs_web_ask_arg(&q->ask, name);
}

int64_t tb_request_query_int(tb_request *q, const char *name, int64_t missing)
{
    const char *text = tbs_web_ask_arg(&q->ask, name);
    char *end;
    if (!text || !*text)
        return missing;
    const long long v = strtoll(text, &end, 10);
    return *end ? missing : v;
}

const char *tb_request_header(tb_request *q, const char *name)
{
    for (int i = 0; i < WEB_HEADER_COUNT; i++)
        if (strcasecmp(tbs_web_header_names[i], name) == 0)
            return q->ask.headers[i];
    return NULL;
}

const char *tb_request_body(const tb_request *q, size_t *n)
{
    *n = q->body.bytes.len;
    return q->body.bytes.s ? q->body.bytes.s : "";
}

json_t *tb_request_json(tb_request *q)
{
    size_t n;
    const char *text = tb_request_body(q, &n);
    tb_err err = TB_ERR_INIT;
    if (!text[strspn(text, " \t\r\n")] && strlen(text) == n)
        return json_object();
    json_t *j = tb_json_parse(text, n, "the body", &err);
    if (!j)
        tb_reply_error(q, &err);
    return j;
}

const tb_part *tb_request_part(const tb_request *q, const char *name)
{
    return q->body.form ? tbs_web_form_part(q->body.form, name) : NULL;
}

const char *tb_request_file(const tb_request *q)
{
    return q->body.path;
}

/* ------------------------------------------------------------------------------------ slow work */

typedef struct slow_work {
    uv_work_t uv;
    tb_request *q;
    void (*work)(void *arg);
    void (*after)(tb_request *q, void *arg);
    void *arg;
} slow_work;

static void slow_run(uv_work_t *uv)
{
    slow_work *s = uv->data;
    s->work(s->arg);
}

static void slow_after(uv_work_t *uv, int status)
{
    slow_work *s = uv->data;
    (void)status; /* never canceled */
    s->after(s->q, s->arg);
    free(s);
}

void tb_web_work(tb_request *q, void (*work)(void *arg), void (*after)(tb_request *q, void *arg),
                 void *arg)
{
    slow_work *s = tb_xcalloc(1, sizeof *s);
    *s = (slow_work){ .q = q, .work = work, .after = after, .arg = arg };
    s->uv.data = s;
    uv_queue_work(q->web->loop, &s->uv, slow_run, slow_after);
}

/* ------------------------------------------------------------------- answers made off the loop */

typedef struct made {
    json_t *(*make)(void *arg, tb_err *err);
    void *arg;
    char *text; /* NULL: err */
    tb_err err;
} made;

static void make_answer(void *arg)
{
    made *m = arg;
    json_t *j = m->make(m->arg, &m->err);
    m->text = j ? json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    m->text = tb_json_long_ints_take(m->text);
    if (j && !m->text)
        tb_err_set(&m->err, TB_EINTERNAL, "the answer holds text that is not UTF-8");
    json_decref(j);
}

static void send_answer(tb_request *q, void *arg)
{
    made *m = arg;
    if (m->text)
        tb_reply_json_text_take(q, m->text);
    else
        tb_reply_error(q, &m->err);
    free(m);
}

void tb_reply_made(tb_request *q, json_t *(*make)(void *arg, tb_err *err), void *arg)
{
    made *m = tb_xcalloc(1, sizeof *m);
    *m = (made){ .make = make, .arg = arg };
    tb_web_work(q, make_answer, send_answer, m);
}
