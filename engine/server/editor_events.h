/* editor_events.h - the state behind the editor's WebSocket: its clients, and what they know.
 *
 * Threads: the loop thread; `lines` is guarded by `lock`, for anybody logs.
 */
#pragma once

#include "server/editor_internal.h"

typedef struct tbs_client {
    tb_socket *socket;
    struct tbs_client *next;
} tbs_client;

/* A prompt that runs. */
struct tbs_live {
    bool planned;
    tb_plan_summary summary;
    json_t *nodes, *changed; /* id -> {state, share?, ms?}: all, and since the last frame */
    json_t *files;           /* delivered */
};

struct tbs_events {
    tbs_client *clients;
    char server_id[20]; /* another one when the server was restarted */
    json_int_t seq;     /* of the last frame */
    uv_timer_t *timer;  /* runs while something has changed */
    bool queue_changed;

    struct tbs_previews *previews;

    pthread_mutex_t lock;
    json_t *lines; /* logged and not told yet */
    uv_async_t *wake;
};

/* Pictures of finished nodes, one encoded at a time, the newest of each node of the graph. */
void tbs_previews_offer(tb_server *s, const tb_prompt *p, const tb_event *e);
/* Waits for the picture that is being made. */
void tbs_previews_close(tb_server *s);
