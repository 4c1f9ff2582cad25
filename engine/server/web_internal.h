/* web_internal.h - what the files of the web layer share: connections, requests, sockets.
 *
 * A connection (web_conn) belongs to one socket of libwebsockets and holds the request that is
 * being read or answered, or the WebSocket it became. A request outlives its connection when the
 * client goes away before the reply: then `conn` is NULL and replying frees it.
 */
#pragma once

#include <libwebsockets.h>

#include "base/str.h"
#include "server/web.h"

enum {
    WEB_MAX_CONNECTIONS = 64,
    WEB_MAX_HEADERS = 16384,  /* bytes of one request's line and headers */
    WEB_MAX_MESSAGE = 65536,  /* bytes of one WebSocket message from a client */
    WEB_MAX_QUEUED = 4 << 20, /* bytes of text frames waiting for a slow client */
    WEB_MAX_IGNORED = 65536,  /* bytes of a body that no route wants, read and dropped */
    WEB_MAX_FIELD = 65536,    /* bytes of a form's field that is not a file */
    WEB_MAX_PARTS = 64,       /* parts of one form */
    WEB_MAX_PROTOCOLS = 7,    /* WebSocket sub-protocols, and the one without name */
    WEB_CHUNK = 32768,        /* bytes of a file or body written at once */
    WEB_IDLE_S = 10,          /* default of tb_web_options.idle_s */
    WEB_SLOW_GRACE_S = 20,    /* after that a body has to come with WEB_SLOW_RATE on average */
    WEB_SLOW_RATE = 1024,     /* bytes a second */
    WEB_STALLED_S = 30,       /* a client that takes no byte of its answer */
    WEB_KEEPALIVE_S = 30,     /* an idle connection between requests */
    WEB_LINGER_S = 5,         /* a refused body is read and dropped for so long */
};

/* Request headers that are kept; order as in tbs_web_header_names. */
typedef enum web_header {
    WEB_ACCEPT,
    WEB_ACCEPT_ENCODING,
    WEB_AUTHORIZATION,
    WEB_CONNECTION,
    WEB_CONTENT_LENGTH,
    WEB_CONTENT_TYPE,
    WEB_COOKIE,
    WEB_EXPECT,
    WEB_HOST,
    WEB_IF_NONE_MATCH,
    WEB_IF_RANGE,
    WEB_ORIGIN,
    WEB_RANGE,
    WEB_TRANSFER_ENCODING,
    WEB_USER_AGENT,
    WEB_HEADER_COUNT
} web_header;

typedef struct web_feed web_feed; /* web_feed.c */

typedef struct web_conn {
    tb_web *web;
    struct lws *wsi;
    web_feed *feed; /* NULL: the client has gone */
    tb_request *request;
    tb_socket *socket;
    const tb_endpoint *endpoint; /* of an upgrade that was let through */
    char *query;                 /* the upgrade's */
    double linger_until;         /* > 0: answered early; what still comes is dropped */
} web_conn;

/* What a client asked, before a route is known. */
typedef struct web_ask {
    char *path;  /* decoded */
    char **args; /* decoded "name=value", one an element */
    int arg_count;
    char *headers[WEB_HEADER_COUNT]; /* NULL: not sent */
} web_ask;

typedef struct web_form web_form; /* web_form.c */

typedef enum web_sink { WEB_DROP, WEB_MEMORY, WEB_FILE, WEB_FORM } web_sink;

typedef struct web_body {
    web_sink sink;
    uint64_t length, received;
    double started;
    tb_str bytes; /* WEB_MEMORY */
    int fd;       /* WEB_FILE; -1: none */
    char *path;
    web_form *form;
    tb_err err; /* why it could not be kept; the rest is dropped */
} web_body;

typedef struct web_answer {
    tb_str extra; /* header lines of the handler */
    tb_str head;  /* status line and headers; empty: not replied yet */
    bool head_sent, close;
    bool set_cookie;
    tb_str bytes; /* the body, or */
    int fd;       /* a file; -1: none */
    uint64_t at, left;
} web_answer;

struct tb_request {
    tb_web *web;
    web_conn *conn; /* NULL: the client has gone */
    const tb_route *route;
    const char *method;
    bool head;               /* HEAD: headers only */
    bool handled;            /* the handler was called */
    bool body_unread;        /* refused before its body came */
    const char *path, *rest; /* into ask.path */
    web_ask ask;
    web_body body;
    web_answer answer;
    tb_request *prev, *next;
};

typedef struct web_frame {
    struct web_frame *next;
    char *slot; /* NULL: text */
    size_t n;
    unsigned char data[]; /* LWS_PRE bytes for the library, then n */
} web_frame;

struct tb_socket {
    web_conn *conn;
    const tb_endpoint *endpoint;
    void *data;
    web_frame *first, *last;
    size_t texts; /* bytes of text frames queued */
    tb_str message;
    bool ending;  /* closed when what is queued has been sent */
    bool dropped; /* to be closed as soon as the loop gets to it */
};

struct tb_web {
    uv_loop_t *loop;
    struct lws_context *context; /* set to NULL by the library when all of it is gone */
    struct lws_vhost *vhost;
    uv_poll_t *listener; /* frees itself when closed */
    int listen_fd, port;
    bool beyond; /* listens to more than this machine */
    tb_web_options o;
    const tb_route *routes;
    const tb_endpoint *endpoints;
    struct lws_protocols protocols[WEB_MAX_PROTOCOLS + 1];
    char *token_cookie; /* its name */
    int connections;    /* clients */
    int conns;          /* of the library */
    web_feed *feeds;
    tb_request *requests;
};

/* web.c */
double tbs_web_now(void);

/* web_head.c: the head of a request as the library may see it. */
typedef struct web_head {
    size_t n;      /* the client's bytes */
    tb_str text;   /* what the library reads instead; the caller's */
    uint64_t body; /* bytes that follow; 0 also where their number is not understood */
    bool get, upgrade;
    int status; /* of a refusal; 0: none */
    const char *why;
} web_head;
/* true: it is whole. false: more has to come, or status and why say what is wrong. */
bool tbs_web_head_read(const char *p, size_t n, web_head *h);

/* web_feed.c: takes the client's descriptor. *library: the end for the library. NULL, with errno:
 * no descriptors are left. */
web_feed *tbs_web_feed_new(tb_web *w, int client, int *library);
void tbs_web_feed_start(web_feed *f, web_conn *c);
void tbs_web_feed_close(web_feed *f);
void tbs_web_feeds_close(tb_web *w);            /* all; they are gone when it returns */
void tbs_web_feed_orphan(web_feed *f);          /* the library has closed its end */
void tbs_web_feed_next(web_feed *f);            /* a request is answered */
bool tbs_web_feed_is_socket(const web_feed *f); /* an upgrade was asked for */

/* web_ask.c */
extern const char *const tbs_web_header_names[WEB_HEADER_COUNT];
/* path: as libwebsockets decoded it. */
void tbs_web_ask_read(web_ask *a, struct lws *wsi, const char *path, size_t n);
void tbs_web_ask_free(web_ask *a);
bool tbs_web_is_utf8(const char *text);
bool tbs_web_ask_is_text(const web_ask *a); /* path and query are UTF-8 */
const char *tbs_web_ask_arg(const web_ask *a, const char *name);
char *tbs_web_ask_query(const web_ask *a); /* encoded again; a new string */

/* web_guard.c: may this client be served? NULL: yes; else why not, and *status. *by_query: it
 * showed the token in the address. */
const char *tbs_web_guard(const tb_web *w, const web_ask *a, bool *by_query, int *status);
/* Only what protects against other sites: Host and Origin. */
const char *tbs_web_guard_site(const tb_web *w, const web_ask *a);

/* web_request.c */
tb_request *tbs_web_request_new(web_conn *c, const char *method, const char *path, size_t n);
void tbs_web_request_free(tb_request *q);
/* Finds the route. 0, or the status to answer; *allowed: methods of the path. */
int tbs_web_request_route(tb_request *q, unsigned method, unsigned *allowed);

/* web_body.c */
void tbs_web_body_begin(web_body *b, const tb_request *q, uint64_t length);
void tbs_web_body_add(web_body *b, const void *data, size_t n);
void tbs_web_body_end(web_body *b);
void tbs_web_body_free(web_body *b);
tb_status tbs_web_write_all(int fd, const char *p, size_t n, tb_err *err);
int tbs_web_temp_file(const char *dir, char **path, tb_err *err); /* descriptor, or -1 */

/* web_form.c */
web_form *tbs_web_form_new(const char *content_type, const char *temp_dir, tb_err *err);
tb_status tbs_web_form_add(web_form *f, const char *data, size_t n, tb_err *err);
tb_status tbs_web_form_end(web_form *f, tb_err *err);
const tb_part *tbs_web_form_part(const web_form *f, const char *name);
void tbs_web_form_free(web_form **f); /* removes files that nobody moved away */

/* web_reply.c */
extern const struct lws_protocol_vhost_options tbs_web_library_headers; /* of its own answers */
void tbs_web_reply_refuse(tb_request *q, int status, const char *code, const char *message);
/* The whole answer as text, where no request is made of it; the caller closes. */
char *tbs_web_reply_whole(int status, const char *code, const char *message);
void tbs_web_reply_at_once(struct lws *wsi, int status, const char *code, const char *message);
void tbs_web_reply_start(tb_request *q, int status, const char *mime, uint64_t length);
/* From HTTP_WRITEABLE. 1: all is written, 0: more to come, -1: failed. */
int tbs_web_reply_write(tb_request *q);

/* web_http.c */
int tbs_web_http_callback(web_conn *c, enum lws_callback_reasons reason, void *in, size_t n);
void tbs_web_http_gone(web_conn *c); /* the connection closes */

/* web_file.c */
const char *tbs_web_mime(const char *path);                               /* by extension */
bool tbs_web_etag_matches(const char *if_none_match, const char *quoted); /* header may be NULL */

/* web_assets.c: the editor's files. false: not one of them. */
bool tbs_web_assets_serve(tb_request *q);

/* web_socket.c */
int tbs_web_socket_callback(web_conn *c, enum lws_callback_reasons reason, void *in, size_t n);
const tb_endpoint *tbs_web_socket_endpoint(const tb_web *w, const char *path,
                                           const char *protocols);
