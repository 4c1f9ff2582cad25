/* web_feed.c - between a client's socket and libwebsockets: one request at a time.
 *
 * The library gets one end of a pair of sockets. What the client sends waits in its own socket
 * until the answer before it is out, so the library never sees two requests at once (it loses the
 * body of the second, or turns in circles over its bytes), and it sees heads only as web_head.c
 * writes them.
 */
#include "server/web_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"

enum { FEED_STEPS = 16 }; /* pieces moved before the loop serves others */

typedef enum web_feed_state {
    FEED_HEAD, /* collects the head of a request */
    FEED_BODY, /* passes so many bytes */
    FEED_WAIT, /* the request is passed; nothing is read until it is answered */
    FEED_PASS, /* a WebSocket */
    FEED_DROP, /* the answer stands; what still comes is read, or the client would see a reset */
} web_feed_state;

struct web_feed {
    tb_web *web;
    web_conn *conn; /* NULL: the library has closed its end */
    web_feed_state state;
    int client, library;
    uv_poll_t client_poll, library_poll;
    uv_timer_t timer; /* from the library's end on */
    int handles;      /* that are not closed yet */
    tb_str in;        /* from the client, not looked at */
    tb_str up, down;  /* to be written to the library, to the client */
    size_t up_at, down_at;
    uint64_t body_left;
    char *refusal; /* the answer of our own that follows the library's */
    bool client_ended, library_ended, told_end, closing;
    web_feed *prev, *next;
};

/* ---------------------------------------------------------------------------------------- ending
 */

static void free_feed(uv_handle_t *handle)
{
    web_feed *f = handle->data;
    if (--f->handles)
        return;
    f->web->connections--;
    if (f->prev)
        f->prev->next = f->next;
    else
        f->web->feeds = f->next;
    if (f->next)
        f->next->prev = f->prev;
    tb_str_free(&f->in);
    tb_str_free(&f->up);
    tb_str_free(&f->down);
    free(f->refusal);
    free(f);
}

void tbs_web_feed_close(web_feed *f)
{
    if (f->closing)
        return;
    f->closing = true;
    if (f->conn)
        f->conn->feed = NULL;
    f->conn = NULL;
    uv_close((uv_handle_t *)&f->client_poll, free_feed);
    uv_close((uv_handle_t *)&f->library_poll, free_feed);
    uv_close((uv_handle_t *)&f->timer, free_feed);
    close(f->client);
    close(f->library);
}

static void on_timer(uv_timer_t *timer)
{
    tbs_web_feed_close(timer->data);
}

static void close_in(web_feed *f, int seconds)
{
    const uint64_t ms = (uint64_t)seconds * 1000;
    uv_timer_start(&f->timer, on_timer, ms, ms);
}

/* ---------------------------------------------------------------------------------------- moving
 */

/* 1: all is written, 0: the socket takes no more now, -1: it is gone. */
static int flush(int fd, tb_str *b, size_t *at)
{
    while (*at < b->len) {
        const ssize_t n = send(fd, b->s + *at, b->len - *at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
        *at += (size_t)n;
    }
    tb_str_clear(b);
    *at = 0;
    return 1;
}

/* 1: something was added, 0: there is nothing now, -1: the end. */
static int fill(int fd, tb_str *b)
{
    static char buf[WEB_CHUNK]; /* the loop thread's */
    ssize_t n;
    do
        n = recv(fd, buf, sizeof buf, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        tb_str_addn(b, buf, (size_t)n);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return 0;
    return n > 0 ? 1 : -1;
}

static void consume(tb_str *b, size_t n)
{
    b->len -= n;
    memmove(b->s, b->s + n, b->len);
}

/* The library ends its side, then our answer goes out. */
static void refuse(web_feed *f, const web_head *h)
{
    const char *code = h->status == 431 ? "limit" : h->status == 405 ? "bad_method" : "bad_input";
    f->refusal = tbs_web_reply_whole(h->status, code, h->why);
    f->state = FEED_DROP;
    shutdown(f->library, SHUT_WR);
}

/* false: the rest of the head is still to come. */
static bool take_head(web_feed *f)
{
    web_head h;
    const bool whole = tbs_web_head_read(f->in.s, f->in.len, &h);
    if (whole) {
        tb_str_addn(&f->up, h.text.s, h.text.len);
        consume(&f->in, h.n);
        f->body_left = h.body;
        f->state = h.upgrade ? FEED_PASS : h.body ? FEED_BODY : FEED_WAIT;
    } else if (h.status) {
        refuse(f, &h);
    }
    tb_str_free(&h.text);
    return whole || h.status;
}

/* Of what was read, that which may go to the library now. false: more has to be read. */
static bool take(web_feed *f)
{
    if (f->state == FEED_HEAD)
        return take_head(f);
    size_t n = f->in.len;
    if (f->state == FEED_BODY && n > f->body_left)
        n = (size_t)f->body_left;
    if (f->state != FEED_DROP)
        tb_str_addn(&f->up, f->in.s, n);
    consume(&f->in, n);
    if (f->state == FEED_BODY && !(f->body_left -= n))
        f->state = FEED_WAIT;
    return f->state == FEED_WAIT;
}

/* No more comes from the client, who may still wait for answers. */
static void client_ends(web_feed *f)
{
    f->client_ended = true;
    f->state = FEED_DROP;
    if (!f->library_ended)
        shutdown(f->library, SHUT_WR);
}

static void drop_up(web_feed *f)
{
    tb_str_clear(&f->up);
    f->up_at = 0;
    f->state = FEED_DROP;
}

/* From the client to the library. */
static void pump_up(web_feed *f)
{
    for (int i = 0;; i++) {
        const int flushed = flush(f->library, &f->up, &f->up_at);
        if (flushed < 0)
            drop_up(f); /* it has ended without reading on */
        if (flushed == 0 || f->state == FEED_WAIT)
            return;
        if (f->in.len && take(f))
            continue;
        if (f->up.len)
            continue;
        if (i >= FEED_STEPS) /* here, where nothing waits but what the socket will tell of */
            return;
        const int got = f->client_ended ? 0 : fill(f->client, &f->in);
        if (got == 0)
            return;
        if (got < 0)
            client_ends(f);
    }
}

static void library_ends(web_feed *f)
{
    const bool socket = f->state == FEED_PASS;
    f->library_ended = true;
    drop_up(f);
    if (f->refusal)
        tb_str_add(&f->down, f->refusal);
    close_in(f, socket ? WEB_LINGER_S : WEB_STALLED_S);
}

/* All answers are out: the client is told that no more comes. */
static void answers_end(web_feed *f)
{
    if (!f->told_end)
        close_in(f, WEB_LINGER_S);
    f->told_end = true;
    shutdown(f->client, SHUT_WR);
}

/* From the library to the client. false: there is nobody. */
static bool pump_down(web_feed *f)
{
    for (int i = 0; i < FEED_STEPS || f->library_ended; i++) {
        const size_t before = f->down_at;
        const int flushed = flush(f->client, &f->down, &f->down_at);
        if (flushed < 0)
            return false;
        if (flushed == 0 && f->library_ended && f->down_at > before)
            uv_timer_again(&f->timer);
        if (flushed == 0)
            return true;
        if (f->library_ended) {
            answers_end(f);
            return !f->client_ended;
        }
        const int got = fill(f->library, &f->down);
        if (got == 0)
            return true;
        if (got < 0)
            library_ends(f);
    }
    return true;
}

/* ---------------------------------------------------------------------------------------- events
 */

static void on_event(uv_poll_t *handle, int status, int events);

static void watch_one(uv_poll_t *p, bool in, bool out)
{
    const int events = (in ? UV_READABLE : 0) | (out ? UV_WRITABLE : 0);
    if (events)
        uv_poll_start(p, events, on_event);
    else
        uv_poll_stop(p);
}

static void watch(web_feed *f)
{
    const bool up = f->up.len > 0, down = f->down.len > 0;
    watch_one(&f->client_poll, !f->client_ended && f->state != FEED_WAIT && !up, down);
    watch_one(&f->library_poll, !f->library_ended && !down, up);
}

static void pump(web_feed *f)
{
    pump_up(f);
    if (pump_down(f))
        watch(f);
    else
        tbs_web_feed_close(f);
}

/* An error of a socket shows when it is read or written. */
static void on_event(uv_poll_t *handle, int status, int events)
{
    (void)status;
    (void)events;
    pump(handle->data);
}

void tbs_web_feed_next(web_feed *f)
{
    if (f->closing || f->state != FEED_WAIT)
        return;
    f->state = FEED_HEAD;
    pump(f);
}

void tbs_web_feeds_close(tb_web *w)
{
    for (web_feed *f = w->feeds; f; f = f->next)
        tbs_web_feed_close(f);
    while (w->feeds)
        uv_run(w->loop, UV_RUN_NOWAIT);
}

bool tbs_web_feed_is_socket(const web_feed *f)
{
    return f->state == FEED_PASS;
}

void tbs_web_feed_orphan(web_feed *f)
{
    f->conn = NULL;
}

void tbs_web_feed_start(web_feed *f, web_conn *c)
{
    f->conn = c;
    watch(f);
}

web_feed *tbs_web_feed_new(tb_web *w, int client, int *library)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
        return NULL;
    web_feed *f = tb_xcalloc(1, sizeof *f);
    *f = (web_feed){ .web = w, .client = client, .library = pair[0], .next = w->feeds };
    if (w->feeds)
        w->feeds->prev = f;
    w->feeds = f;
    w->connections++;
    f->client_poll.data = f->library_poll.data = f->timer.data = f;
    f->handles = 3;
    uv_poll_init(w->loop, &f->client_poll, f->client);
    uv_poll_init(w->loop, &f->library_poll, f->library);
    uv_timer_init(w->loop, &f->timer);
    *library = pair[1];
    return f;
}
