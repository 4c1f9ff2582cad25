/* queue_internal.h - what the files of the queue share. */
#pragma once

#include <pthread.h>

#include "base/map.h"
#include "server/queue.h"

/* What a worker found in the plan of a run. */
typedef struct tbs_look {
    json_t *cached;          /* ids of nodes of the prompt's graph that will not run, for they or
                                what they feed is stored */
    tb_map *held;            /* the same */
    json_t *plan, *expanded; /* of tb_prompt */
    json_t *trivial;         /* keys of its trivial nodes */
} tbs_look;

typedef struct tbs_entry {
    tb_prompt p; /* first: a tb_prompt of the queue is an entry */
    tb_queue *queue;
    uint64_t age;
    tb_queue_added_fn added; /* while it is being added */
    void *added_ctx;
    tb_err write_err; /* of the worker that writes its row */
    tbs_look look;    /* the worker's, until the run is planned */
    bool resumed;     /* it ran when the last server died: goes before all others */
    bool interrupted;
    tb_map *ran;            /* ids of p.executed */
    char *current;          /* node that was started last, as the run calls it; NULL: none */
    struct tbs_entry *next; /* among the pending ones, and the rows to be written */
    struct tbs_entry *next_running; /* among those that run */
} tbs_entry;

typedef struct tbs_listener {
    tb_queue_fn fn;
    void *ctx;
} tbs_listener;

struct tb_queue {
    tb_engine *engine;
    tb_store *store;
    tb_queue_hooks hooks;
    tbs_listener *listeners;
    size_t listener_count, listener_cap;
    tbs_entry *first;                  /* pending, in order */
    tbs_entry *running;                /* in the order they began */
    tbs_entry *writing, **writing_end; /* rows to be written, in order; the first one is */
    uv_work_t write;
    double counter; /* number of the next prompt that brings none */
    uint64_t age;
    pthread_mutex_t look; /* guards `seen` */
    tb_map *seen;         /* keys of trivial nodes that have run; NULL: none */
    uv_timer_t kick;      /* starts the next one, not before the caller has answered */
    bool started, closing;
};

/* queue.c */
void tbs_queue_tell(tb_queue *q, tb_queue_event_kind kind, tbs_entry *e, const tb_event *event);
void tbs_entry_free(tbs_entry **e);
/* The row of a new one is written, or write_err says why not. */
void tbs_queue_added(tb_queue *q, tbs_entry *e);
/* Start the next prompt soon, if there is room for it. */
void tbs_queue_kick(tb_queue *q);

/* queue_run.c */
bool tbs_queue_has_room(const tb_queue *q);
void tbs_queue_run_next(tb_queue *q);
void tbs_queue_ended(tb_queue *q, tbs_entry *e); /* its row says so */

/* queue_write.c: the entry's row, new or that of its end, is written on a worker; then its
 * addition, or its end, goes on. */
void tbs_queue_write(tb_queue *q, tbs_entry *e);

/* queue_rows.c: prompts as rows of the store; request: with what was asked for, which never
 * changes. Cleared by the caller. */
tb_prompt_row tbs_row_of(const tb_prompt *p, bool request);
/* A damaged row becomes a prompt without a graph that has FAILED with a sentence. */
void tbs_prompt_from_row(tb_prompt *p, const tb_prompt_row *r);
void tbs_prompt_clear(tb_prompt *p);

/* queue_messages.c: what history and clients are told */
void tbs_message_start(tb_prompt *p);
void tbs_message_cached(tb_prompt *p);
void tbs_message_end(const tbs_entry *e, tb_prompt *p);

/* queue_look.c: on a worker */
tbs_look tbs_look_at(tb_queue *q, const tb_prompt *p, const tb_run *run);
void tbs_look_clear(tbs_look *l);
/* The prompt has ended well: its trivial nodes are known. */
void tbs_queue_remember(tb_queue *q, const tbs_look *l);
