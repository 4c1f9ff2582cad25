/* web.h - HTTP and WebSocket on the engine's loop: routes, bodies, replies, pushes.
 *
 * Audience: the files of server/ that answer. libwebsockets stays behind this header.
 *
 * Threads:  everything on the loop thread; tb_web_work takes slow work off it.
 * Memory:   a request lives until it is replied to, and a little longer when its client has gone:
 *           reply exactly once, always. Text returned by getters is borrowed from the request.
 * Safety:   Host, Origin, token, size caps and header limits are checked before a handler is called
 *           (reliability.md P18); answers carry CSP, nosniff and no-referrer.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/err.h"
#include "base/json.h"

typedef struct tb_web tb_web;
typedef struct tb_request tb_request;
typedef struct tb_socket tb_socket;

/* -------------------------------------------------------------------------------------- routes */

enum { TB_GET = 1 << 0, TB_POST = 1 << 1, TB_PUT = 1 << 2, TB_DELETE = 1 << 3, TB_PATCH = 1 << 4 };

enum {
    TB_ROUTE_API = 1 << 0,       /* answers under /api too */
    TB_ROUTE_MULTIPART = 1 << 1, /* the body is a form with files, streamed to temporary files */
    TB_ROUTE_FILE = 1 << 2,      /* the body as it is, streamed to one temporary file */
    TB_ROUTE_BODY_OPTIONAL = 1 << 3, /* no Content-Length means no body, instead of 411 */
};

typedef struct tb_route {
    unsigned methods; /* GET answers HEAD too */
    const char *path; /* "/history"; a last segment "*" takes all that is left, slashes included */
    unsigned flags;
    size_t body_cap; /* bytes; more is answered with 413 before it is read. 0: no body is read */
    void (*handle)(void *ctx, tb_request *q);
} tb_route;

typedef struct tb_endpoint { /* a WebSocket */
    const char *path;        /* "/ws"; also below /api */
    const char *protocol;    /* sub-protocol, or NULL for clients that name none */
    void (*opened)(void *ctx, tb_socket *s, const char *query); /* query as sent, "" without */
    void (*text)(void *ctx, tb_socket *s, const char *text, size_t n); /* one whole message */
    void (*closed)(void *ctx, tb_socket *s);
} tb_endpoint;

typedef struct tb_web_options {
    const char *address; /* NULL: 127.0.0.1 */
    int port;            /* 0: any free one */
    const char *token;   /* asked of everyone when not NULL: ?token=, cookie, or Bearer */
    const char *const *allow_hosts; /* further Host names, ends with NULL; may be NULL */
    const char *cors_origin;        /* NULL: none; "*" or one origin */
    const char *web_dir;            /* serve the editor from this folder; NULL: the embedded one */
    const char *temp_dir;           /* where uploads are written while they arrive */
    int idle_s; /* seconds a client may be silent while it sends a request; 0: 10 */
    void *ctx;  /* for all handlers */
} tb_web_options;

/* Routes and endpoints end with { 0 } and are borrowed. TB_EIO when the port is taken, with what to
 * do. */
tb_web *tb_web_listen(uv_loop_t *loop, const tb_web_options *o, const tb_route *routes,
                      const tb_endpoint *endpoints, tb_err *err);
/* Does only this machine reach it? */
bool tb_web_is_loopback(const char *address);
int tb_web_port(const tb_web *w);
/* Waits for the replies that handlers owe, closes all connections and frees. */
void tb_web_close(tb_web **w);

/* ------------------------------------------------------------------------------------- request */

const char *tb_request_method(const tb_request *q); /* "GET" */
const char *tb_request_path(const tb_request *q);   /* decoded, without /api and query */
const char *tb_request_rest(const tb_request *q);   /* what "*" stands for, decoded; "" */
/* Decoded value of ?name=value; NULL when it is not there. */
const char *tb_request_query(tb_request *q, const char *name);
int64_t tb_request_query_int(tb_request *q, const char *name, int64_t missing);
const char *tb_request_header(tb_request *q, const char *name); /* standard names; NULL */
const char *tb_request_body(const tb_request *q, size_t *n);    /* always terminated */
/* The body as JSON, whatever its Content-Type says; an empty body is {}. NULL: it has been replied
 * to with 400. New reference. */
json_t *tb_request_json(tb_request *q);

/* A part of a form: a field has `value`; a file has `path` of a temporary file, which the handler
 * may rename away, and the client's `filename` (checked: no slash, no control characters). */
typedef struct tb_part {
    const char *name, *value, *filename, *path;
    uint64_t bytes;
} tb_part;
const tb_part *tb_request_part(const tb_request *q, const char *name); /* NULL: none */
/* TB_ROUTE_FILE: the temporary file with the body; may be renamed away. */
const char *tb_request_file(const tb_request *q);

/* --------------------------------------------------------------------------------------- reply */

/* One more header of the answer; before it is replied. Replaces our own Cache-Control. */
void tb_reply_header(tb_request *q, const char *name, const char *value);
/* Content-Disposition with a file's name; before it is replied. */
void tb_reply_name(tb_request *q, const char *name);
void tb_reply_json_take(tb_request *q, int status, json_t *j);
void tb_reply_json_text_take(tb_request *q, char *text); /* 200, written already; malloc'ed */
void tb_reply_text(tb_request *q, int status, const char *text); /* text/plain */
void tb_reply_empty(tb_request *q, int status);
/* Bytes; etag may be NULL. Copies. */
void tb_reply_bytes(tb_request *q, const char *mime, const char *etag, const void *data, size_t n);
/* A file, with ETag, Range (206, 416) and HEAD. name: for Content-Disposition, or NULL. mime NULL:
 * by extension; HTML, JS, CSS, SVG and XML become application/octet-stream. */
void tb_reply_file(tb_request *q, const char *path, const char *mime, const char *name);
/* An open regular file, consumed, as a file of that name: the type follows from it. etag: quoted.
 */
void tb_reply_fd_take(tb_request *q, int fd, const char *etag, const char *name);
/* {"error": {"code", "message", "at"}} with the HTTP status that fits err. */
void tb_reply_error(tb_request *q, const tb_err *err);

/* Slow work: `work` runs on libuv's pool, then `after` on the loop, where it replies. The request
 * stays valid until then. */
void tb_web_work(tb_request *q, void (*work)(void *arg), void (*after)(tb_request *q, void *arg),
                 void *arg);
/* The answer is made on the pool: `make` gives JSON for a 200, or NULL with err, and frees arg. */
void tb_reply_made(tb_request *q, json_t *(*make)(void *arg, tb_err *err), void *arg);

/* --------------------------------------------------------------------------------------- socket */

void *tb_socket_data(const tb_socket *s);
void tb_socket_set_data(tb_socket *s, void *data);
/* Queue a text frame. A client whose queue holds more than 4 MiB of them is dropped. */
void tb_socket_text(tb_socket *s, const char *text, size_t n);
void tb_socket_json_take(tb_socket *s, json_t *j);
/* Queue a binary frame; a frame of the same `slot` that was not sent yet is replaced, so that a
 * slow client sees the newest preview. */
void tb_socket_binary(tb_socket *s, const char *slot, const void *data, size_t n);
/* At once; what is queued is lost. */
void tb_socket_close(tb_socket *s);
/* With a close frame behind what is queued; nothing more is sent or heard. */
void tb_socket_end(tb_socket *s);
