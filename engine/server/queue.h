/* queue.h - prompts: what clients asked for, in the order it will run, kept on disk.
 *
 * A prompt is a graph with where it came from; it runs as a tb_run. Queue and history are rows of
 * runs.db: they survive kill -9, and on start prompts that were running go on from the steps they
 * had reached, before the others. ComfyUI's routes, its WebSocket and the editor all look at this.
 *
 * Threads: the loop thread, which never waits here: graphs are compiled, looked at and written on
 * workers.
 * Order:   by number, then by age.
 */
#pragma once

#include "tubelet.h"

typedef struct tb_queue tb_queue;

typedef enum tb_prompt_state {
    TB_PROMPT_PENDING,
    TB_PROMPT_RUNNING,
    TB_PROMPT_DONE,
    TB_PROMPT_FAILED,
    TB_PROMPT_CANCELED,
} tb_prompt_state;

/* What a client asked for; borrowed. */
typedef struct tb_prompt_request {
    json_t *graph;      /* as sent, API format; nodes of outputs that failed validation included */
    json_t *document;   /* what is run: { graph, targets, script, cwd } (tubelet.h) */
    json_t *extra_data; /* as sent, client_id added, secrets removed; or NULL */
    json_t *outputs;    /* ids of the output nodes to execute */
    const char *id;     /* NULL: a new UUID */
    const char *client_id; /* NULL: none */
    const char *title;     /* for listings; NULL: from the graph */
    bool numbered, front;  /* numbered: `number` was given; front: before all others */
    double number;
    bool no_cache;
} tb_prompt_request;

/* One prompt. Readable by everybody on the loop; written by the queue. */
typedef struct tb_prompt {
    char *id, *client_id, *title; /* client_id may be NULL */
    double number;
    bool numbered; /* the number was the client's: echoed as a float */
    bool no_cache;
    tb_prompt_state state;
    json_t *graph, *document, *extra_data, *outputs;
    int64_t created_ms, started_ms, ended_ms; /* Unix time; 0: not yet */
    uint64_t run_id;                          /* the store's; 0: not yet */
    tb_run *run;                              /* while it runs; NULL while it is being made */
    json_t *ui;       /* display id -> UI object (comfyui-api.md 2.6), as files are delivered */
    json_t *messages; /* history: [[event, data], ...] */
    json_t *cached, *executed;     /* ids of nodes of `graph`: served from cache; really run */
    struct tbs_progress *progress; /* comfy_progress.c's, while it runs */
    struct tbs_live *live;         /* editor_events.c's, while it runs */
    /* While TB_EV_PLANNED is told: the plan's rows (tb_run_plan), and the nodes of the expanded
     * graph as id -> [type, node of `graph`]; that one is NULL for graphs too large to look at. */
    json_t *plan, *expanded;
    tb_err err; /* FAILED */
} tb_prompt;

typedef enum tb_queue_event_kind {
    TB_QUEUE_ADDED,
    TB_QUEUE_REMOVED, /* deleted while pending */
    TB_QUEUE_STARTED,
    TB_QUEUE_RUN,   /* `event` of its run */
    TB_QUEUE_ENDED, /* its history entry exists */
} tb_queue_event_kind;

typedef void (*tb_queue_fn)(void *ctx, tb_queue_event_kind kind, tb_prompt *p,
                            const tb_event *event);

/* What the server knows and the queue does not. Each may be NULL. */
typedef struct tb_queue_hooks {
    /* Before a run is made, on a worker: fill in script, cwd and roots. What o points to has to
     * live until the run ends. */
    void (*prepare)(void *ctx, const tb_prompt *p, tb_run_options *o);
    /* A delivered file as {"filename", "subfolder", "type"}; NULL: outside of all folders. */
    json_t *(*file)(void *ctx, const char *path);
    void *ctx;
} tb_queue_hooks;

/* Reads what an earlier server left; nothing runs until tb_queue_start. */
tb_queue *tb_queue_new(tb_engine *e, tb_err *err);
void tb_queue_set_hooks(tb_queue *q, const tb_queue_hooks *h);
void tb_queue_start(tb_queue *q);
/* Stops what runs and waits for it, and for additions under way; it will go on with the next
 * server, as will the pending ones. Listeners are not told. */
void tb_queue_free(tb_queue **q);
/* Listeners are called in the order they came. */
void tb_queue_listen(tb_queue *q, tb_queue_fn fn, void *ctx);

/* The prompt is durable and has its place; or NULL, and why. Borrowed. */
typedef void (*tb_queue_added_fn)(void *ctx, tb_prompt *p, const tb_err *err);
/* Numbered at once; told when it is durable, in the order of these calls. On an error `added` is
 * not called. */
tb_status tb_queue_add(tb_queue *q, const tb_prompt_request *r, tb_queue_added_fn added, void *ctx,
                       tb_err *err);
/* A pending or running prompt; NULL: none. Borrowed. */
tb_prompt *tb_queue_find(const tb_queue *q, const char *id);
/* Pending prompts in order; then NULL. */
tb_prompt *tb_queue_pending(const tb_queue *q, int i);
/* Those that run, in the order they began: as many at once as the engine takes
 * (tb_engine_options.runs_at_once); then NULL. */
tb_prompt *tb_queue_running(const tb_queue *q, int i);
int tb_queue_remaining(const tb_queue *q);         /* pending and running */
bool tb_queue_remove(tb_queue *q, const char *id); /* a pending one */
void tb_queue_clear(tb_queue *q);
/* Stop a running prompt; id NULL: all that run. false: it does not run, or none does. */
bool tb_queue_interrupt(tb_queue *q, const char *id);

/* Any thread: history, oldest first: an object of entries by prompt_id (comfyui-api.md 2.5). limit
 * < 0: all; offset counts from the oldest; offset < 0 with a limit: the last ones. New reference.
 */
json_t *tb_queue_history(tb_queue *q, int64_t limit, int64_t offset, tb_err *err);
/* { id: entry } or {}. */
json_t *tb_queue_history_of(tb_queue *q, const char *id, tb_err *err);
void tb_queue_history_remove(tb_queue *q, const char *id); /* NULL: all */

/* A prompt as it was asked for, whatever its state, from the store: what a worker looks at instead
 * of a live one. TB_ENOTFOUND. Any thread. The caller frees it. */
tb_prompt *tb_queue_stored(tb_queue *q, const char *id, tb_err *err);
/* A prompt of the history; TB_ENOTFOUND when there is none. Any thread, as the list. The caller
 * frees it. */
tb_prompt *tb_queue_past(tb_queue *q, const char *id, tb_err *err);
/* At most `limit` of them (< 0: all), newest first, leaving out the `skip` newest. *list is an
 * array of *count; free with tb_prompts_free. */
tb_status tb_queue_past_list(tb_queue *q, int64_t limit, int64_t skip, tb_prompt ***list,
                             int *count, tb_err *err);
void tb_prompt_free(tb_prompt **p);
void tb_prompts_free(tb_prompt ***list, int count);
/* "pending", "running", "done", "failed", "canceled" */
const char *tb_prompt_state_name(tb_prompt_state state);

/* Large things are freed on a worker. */
void tbs_queue_free_later(tb_queue *q, void (*free_it)(void *thing), void *thing);

/* Was this node of its own graph among the cached ones? Of a prompt that runs. */
bool tb_prompt_is_cached(const tb_prompt *p, const char *node);
/* The node of the prompt's own graph that stands for this one: "sample" for
 * "sample/step_03/cond". Borrowed from the prompt. */
const char *tb_prompt_display_node(const tb_prompt *p, const char *node);
