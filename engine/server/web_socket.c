/* web_socket.c - WebSockets: whole messages in, queued frames out. */
#include "server/web_internal.h"

#include <string.h>

#include "base/mem.h"

/* Is `name` in a list of sub-protocols, separated by commas? */
static bool listed(const char *protocols, const char *name)
{
    const size_t n = strlen(name);
    for (const char *p = protocols; *p;) {
        p += strspn(p, ", \t");
        const size_t len = strcspn(p, ", \t");
        if (len == n && strncmp(p, name, n) == 0)
            return true;
        p += len;
    }
    return false;
}

const tb_endpoint *tbs_web_socket_endpoint(const tb_web *w, const char *path, const char *protocols)
{
    for (const tb_endpoint *e = w->endpoints; e && e->path; e++) {
        const bool here = strcmp(path, e->path) == 0 ||
                          (strncmp(path, "/api/", 5) == 0 && strcmp(path + 4, e->path) == 0);
        if (here && (!e->protocol || listed(protocols, e->protocol)))
            return e;
    }
    return NULL;
}

/* ------------------------------------------------------------------------------------- outgoing */

static void free_frame(web_frame *f)
{
    free(f->slot);
    free(f);
}

static web_frame *pop(tb_socket *s)
{
    web_frame *f = s->first;
    s->first = f->next;
    if (!s->first)
        s->last = NULL;
    if (!f->slot)
        s->texts -= f->n;
    return f;
}

static void push(tb_socket *s, const char *slot, const void *data, size_t n)
{
    web_frame *f = tb_xcalloc(1, sizeof *f + LWS_PRE + n);
    f->slot = slot ? tb_xstrdup(slot) : NULL;
    f->n = n;
    memcpy(f->data + LWS_PRE, data, n);
    if (s->last)
        s->last->next = f;
    else
        s->first = f;
    s->last = f;
    lws_callback_on_writable(s->conn->wsi);
}

/* Takes an unsent frame of this slot out of the queue. */
static void drop_slot(tb_socket *s, const char *slot)
{
    web_frame *before = NULL;
    for (web_frame *f = s->first; f; before = f, f = f->next) {
        if (!f->slot || strcmp(f->slot, slot) != 0)
            continue;
        if (before)
            before->next = f->next;
        else
            s->first = f->next;
        if (s->last == f)
            s->last = before;
        free_frame(f);
        return;
    }
}

static int write_frames(tb_socket *s)
{
    struct lws *wsi = s->conn->wsi;
    while (s->first && !lws_send_pipe_choked(wsi)) {
        web_frame *f = pop(s);
        const int n =
            lws_write(wsi, f->data + LWS_PRE, f->n, f->slot ? LWS_WRITE_BINARY : LWS_WRITE_TEXT);
        free_frame(f);
        if (n < 0)
            return -1;
    }
    if (s->first)
        lws_callback_on_writable(wsi);
    else if (s->ending) /* an error here would count as a broken connection: no close frame */
        lws_set_timer_usecs(wsi, 1);
    return 0;
}

static int say_goodbye(tb_socket *s)
{
    if (!s->ending || s->first)
        return 0;
    lws_close_reason(s->conn->wsi, LWS_CLOSE_STATUS_NORMAL, NULL, 0);
    return -1;
}

void *tb_socket_data(const tb_socket *s)
{
    return s->data;
}

void tb_socket_set_data(tb_socket *s, void *data)
{
    s->data = data;
}

void tb_socket_close(tb_socket *s)
{
    if (s->dropped)
        return;
    s->dropped = true;
    lws_set_timeout(s->conn->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
}

void tb_socket_end(tb_socket *s)
{
    if (s->dropped)
        return;
    s->dropped = s->ending = true;
    lws_callback_on_writable(s->conn->wsi);
}

void tb_socket_text(tb_socket *s, const char *text, size_t n)
{
    if (s->dropped)
        return;
    if (s->texts > WEB_MAX_QUEUED) {
        tb_socket_close(s);
        return;
    }
    s->texts += n;
    push(s, NULL, text, n);
}

void tb_socket_json_take(tb_socket *s, json_t *j)
{
    char *text = j ? json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    json_decref(j);
    if (text)
        tb_socket_text(s, text, strlen(text));
    free(text);
}

void tb_socket_binary(tb_socket *s, const char *slot, const void *data, size_t n)
{
    if (s->dropped)
        return;
    drop_slot(s, slot);
    push(s, slot, data, n);
}

/* ------------------------------------------------------------------------------------- incoming */

static int open_socket(web_conn *c)
{
    if (!c->endpoint)
        return -1;
    tb_socket *s = tb_xcalloc(1, sizeof *s);
    s->conn = c;
    s->endpoint = c->endpoint;
    c->socket = s;
    s->endpoint->opened(c->web->o.ctx, s, c->query);
    return 0;
}

static void close_socket(web_conn *c)
{
    tb_socket *s = c->socket;
    c->socket = NULL;
    if (!s)
        return;
    s->dropped = true;
    s->endpoint->closed(c->web->o.ctx, s);
    while (s->first)
        free_frame(pop(s));
    tb_str_free(&s->message);
    free(s);
}

static int receive(tb_socket *s, const char *in, size_t n)
{
    struct lws *wsi = s->conn->wsi;
    if (lws_is_first_fragment(wsi))
        tb_str_clear(&s->message);
    if (s->message.len + n > WEB_MAX_MESSAGE) {
        lws_close_reason(wsi, LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE, NULL, 0);
        return -1;
    }
    tb_str_addn(&s->message, in, n);
    if (lws_is_final_fragment(wsi) && !lws_frame_is_binary(wsi) && !s->dropped)
        s->endpoint->text(s->conn->web->o.ctx, s, s->message.s ? s->message.s : "", s->message.len);
    return 0;
}

int tbs_web_socket_callback(web_conn *c, enum lws_callback_reasons reason, void *in, size_t n)
{
    if (reason == LWS_CALLBACK_ESTABLISHED)
        return open_socket(c);
    if (!c->socket)
        return 0;
    if (reason == LWS_CALLBACK_RECEIVE)
        return receive(c->socket, in, n);
    if (reason == LWS_CALLBACK_SERVER_WRITEABLE)
        return write_frames(c->socket);
    if (reason == LWS_CALLBACK_TIMER)
        return say_goodbye(c->socket);
    close_socket(c);
    return 0;
}
