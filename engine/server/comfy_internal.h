/* comfy_internal.h - what the files of ComfyUI's side of the server share.
 *
 * Shapes and names are ComfyUI's (comfyui-api.md); the numbers of its sections stand in the files.
 */
#pragma once

#include "base/map.h"
#include "base/str.h"
#include "server/server_internal.h"

typedef struct tbs_client {
    tb_socket *socket;
    char *id;            /* NULL: a newer socket has taken it over */
    bool spoke;          /* its first message has come: only that one may set flags */
    bool previews_named; /* supports_preview_metadata */
    bool progress_full;  /* wants whole states, not what changed */
    bool logs;           /* has subscribed to what is logged */
    struct tbs_client *next;
} tbs_client;

typedef struct tbs_progress tbs_progress;
typedef struct tbs_preview_job tbs_preview_job;

typedef struct tbs_comfy {
    tb_server *server;
    tbs_client *clients;
    uv_timer_t later;               /* frames that are sent in one */
    tbs_preview_job *seen;          /* a preview that is being made; NULL: none */
    json_t *logs;                   /* the newest lines: [{"t", "m"}] */
    bool free_results, free_models; /* asked for while a prompt ran */
} tbs_comfy;

/* comfy_ws.c */

/* Which clients a frame of a prompt is for. */
typedef enum tbs_reach {
    TBS_OWNER,        /* the client that posted it; nobody when it named none */
    TBS_OWNER_OR_ALL, /* the same, but everybody when it named none */
} tbs_reach;
bool tbs_client_reached(const tbs_client *c, const tb_prompt *p, tbs_reach reach);
bool tbs_anyone_reached(const tbs_comfy *c, const tb_prompt *p, tbs_reach reach);
/* {"type", "data"} to those; consumes data. */
void tbs_comfy_send(tbs_comfy *c, const tb_prompt *p, tbs_reach reach, const char *type,
                    json_t *data_take);
void tbs_comfy_send_status(tbs_comfy *c);
json_t *tbs_comfy_features(const tb_server *s);

/* comfy_events.c */
void tbs_comfy_on_queue(void *ctx, tb_queue_event_kind kind, tb_prompt *p, const tb_event *ev);
void tbs_comfy_on_later(uv_timer_t *t);

/* comfy_progress.c: of a prompt that runs, p->progress */
tbs_progress *tbs_progress_new(void);
void tbs_progress_free(tbs_progress **g);
/* The node of its own graph that it has come to; NULL: none yet. */
const char *tbs_progress_current(const tb_prompt *p);
/* The node whose files are told together; NULL: none waits. Borrowed from the prompt. */
const char **tbs_progress_delivered(const tb_prompt *p);
void tbs_progress_planned(tb_prompt *p);
bool tbs_progress_begun(const tb_prompt *p, const char *node);
/* true: the first time of this id. */
bool tbs_progress_start(tbs_comfy *c, tb_prompt *p, const char *node);
void tbs_progress_share(tbs_comfy *c, tb_prompt *p, const char *node, double share);
void tbs_progress_finish(tbs_comfy *c, tb_prompt *p, const char *node);
void tbs_progress_finish_all(tbs_comfy *c, tb_prompt *p);
/* Send what waits. */
void tbs_progress_flush(tbs_comfy *c, tb_prompt *p);

/* comfy_rest.c */
/* Memory is given back between prompts. */
void tbs_comfy_free_asked(tb_server *s);
/* What Python's `if` makes of it. NULL: false. */
bool tbs_is_truthy(const json_t *v);
/* What Python's int() makes of a text; false: it is none. */
bool tbs_query_integer(const char *text, int64_t *v);

/* comfy_preview.c */
void tbs_preview_node(tbs_comfy *c, tb_prompt *p, const tb_event *ev);
void tbs_preview_abandon(tbs_comfy *c);

/* comfy_check.c: what is wrong with a prompt, and what of it can run (section 3) */
typedef struct tbs_verdict {
    json_t *error;       /* NULL: it can run, at least in part */
    json_t *node_errors; /* {} or more, also when it can run */
    json_t *outputs;     /* ids of the output nodes that will run */
    json_t *graph;       /* what they need */
} tbs_verdict;
/* only: limits the outputs to these ids; NULL: all. refused: what tbs_validate gave, or NULL. */
void tbs_check_prompt(const tb_types *types, json_t *graph, const json_t *only,
                      const json_t *refused, tbs_verdict *v);
void tbs_verdict_clear(tbs_verdict *v);
json_t *tbs_prompt_error(const char *type, const char *message, const char *details);

/* comfy_validate.c */
/* Is there a node with a `validate` of its own? */
bool tbs_wants_validation(const tb_types *types, const json_t *graph);
/* What these say: { id: [{ "reason", "input", "message" }] } of nodes that are refused. Waits for
 * Lua: on a worker, while nobody else holds the graph. NULL on error. New reference. */
json_t *tbs_validate(tb_server *s, const tb_types *types, const json_t *graph, tb_err *err);

/* comfy_needs.c: what nodes of a graph need */
typedef struct tbs_needs tbs_needs;
tbs_needs *tbs_needs_new(const json_t *graph);
void tbs_needs_free(tbs_needs **n);
/* Those of `outputs` that need one of these nodes, or are one. New reference. */
json_t *tbs_needs_affected(tbs_needs *n, const char *const *nodes, int count,
                           const json_t *outputs);
/* The part of the graph that these ids need, in its own order. New reference. */
json_t *tbs_needs_part(tbs_needs *n, const json_t *ids);
/* A way from a node back to itself: its ids, the first one again at the end. New reference; NULL
 * when there is none. */
json_t *tbs_needs_cycle(tbs_needs *n, const char *node);

/* comfy_errors.c: one error of the engine's check as one of node_errors (3.2). New reference. */
json_t *tbs_node_error(const tb_types *types, const json_t *graph, tbs_needs *needs,
                       const tb_err *err);

/* comfy_info.c */
/* [type, options]; a COMBO has its choices in place of the type. New references. */
json_t *tbs_input_config(const tb_types *types, const tb_input_def *in);
/* The largest number an INT takes: 2^64-1 for a seed. New reference. */
json_t *tbs_highest(const tb_input_def *in);
json_t *tbs_object_info(const tb_types *types, const tb_type *t);

/* comfy_upload.c: answers an upload with the file at `path` in place of the form's; it may be
 * renamed away. */
void tbs_upload_reply(const tb_server *s, tb_request *q, const char *path);
/* comfy_view.c */
/* The picture at `path`, which is consumed, in another format: "webp", "png" or "jpg". */
void tbs_reply_picture(tb_request *q, char *path_take, const char *format, int quality);
/* "name.png [output]" names its folder itself. Takes the suffix off; NULL: there is
 * none. Static string. */
const char *tbs_type_in_name(char *name);
