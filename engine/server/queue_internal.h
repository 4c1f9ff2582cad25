/* queue_internal.h - what the files of the queue share. */
#pragma once

#include "base/map.h"
#include "server/queue.h"

typedef struct tbs_entry {
    tb_prompt p; /* first: a tb_prompt of the queue is an entry */
    uint64_t age;
    bool resumed; /* it ran when the last server died: goes before all others */
    bool interrupted;
    tb_map *ran;   /* ids of p.executed */
    tb_map *held;  /* ids of p.cached */
    char *current; /* node that was started last, as the run calls it; NULL: none */
    /* Its own script, where the document brings one; the pool's while `loading`. */
    tb_queue *queue;
    tb_script *script;
    tb_types *types;
    uv_work_t load;
    tb_err load_err;
    bool loading;
    struct tbs_entry *next;
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
    tbs_entry *first; /* pending, in order */
    tbs_entry *running;
    double counter; /* number of the next prompt that brings none */
    uint64_t age;
    tb_map *seen;          /* keys of trivial nodes that have run; NULL: none */
    tb_script *old_script; /* of the run that ended last, which may still look at them */
    tb_types *old_types;
    uv_timer_t kick; /* starts the next one, not before the caller has answered */
    bool started, closing;
};

/* queue.c */
void tbs_queue_tell(tb_queue *q, tb_queue_event_kind kind, tbs_entry *e, const tb_event *event);
void tbs_entry_free(tbs_entry **e);
/* Start the next prompt soon, if none runs. */
void tbs_queue_kick(tb_queue *q);

/* queue_run.c */
void tbs_queue_run_next(tb_queue *q);
/* The script of the running prompt is there, or load_err says why not. */
void tbs_queue_loaded(tb_queue *q, tbs_entry *e);

/* queue_script.c */
bool tbs_queue_has_script(const tbs_entry *e);
void tbs_queue_load_script(tb_queue *q, tbs_entry *e);
void tbs_queue_retire_script(tbs_entry *e); /* the entry is freed */
void tbs_queue_drop_script(tb_queue *q);    /* its run is gone too */

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

/* queue_cached.c: ids of nodes of the prompt's graph that will not run, for they or what they feed
 * is stored. New reference. */
json_t *tbs_cached_nodes(const tb_queue *q, const tb_prompt *p);
/* The prompt has ended well: its trivial nodes are known. */
void tbs_queue_remember(tb_queue *q, const tb_prompt *p);
