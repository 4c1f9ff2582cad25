/* editor_internal.h - what the files of the editor's side share: routes below /api/tubelet/.
 *
 * Handlers run on the loop; what reads files, the store, media or scripts is a task that runs on a
 * worker. A task sees no request: what it needs of one is copied or borrowed before.
 */
#pragma once

#include <pthread.h>

#include "server/server_internal.h"

/* ---------------------------------------------------------------------------------------- tasks */

typedef struct tbs_task tbs_task;
struct tbs_task {
    tb_server *server;
    const tb_types *types;     /* what documents may use, */
    tb_script *library;        /* and who expands it */
    void (*work)(tbs_task *t); /* on a worker: sets answer, or err */
    void (*reply)(tb_request *q,
                  tbs_task *t); /* on the loop, when err is not set; NULL: answer as JSON */
    void (*clear)(tbs_task *t); /* frees what a longer struct holds; NULL: nothing */
    const char *body;           /* borrowed from the request; NULL: none is read */
    size_t body_bytes;
    json_t *in;     /* the body, an object; parsed on the worker */
    json_t *answer; /* consumed */
    json_t *errors; /* all that is wrong with a graph: goes beside err */
    int status;     /* of err, where its code is ours */
    const char *code;
    tb_err err;
    char *text; /* the answer, written on the worker */
};

/* A task of `size` bytes that begins with a tbs_task, zeroed. body: the request's is read. */
void *tbs_task_new(size_t size, tb_server *s, tb_request *q, bool body, void (*work)(tbs_task *t));
/* Runs it, replies, frees it. */
void tbs_task_run(tb_request *q, tbs_task *t);
/* err with a code of the API in place of a status: 409 "changed". */
void tbs_task_conflict(tbs_task *t, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Fields of the body, or of any object; the wrong type is an error. NULL: not there. */
json_t *tbs_field(const json_t *object, const char *name, json_type type, tb_err *err);

/* ----------------------------------------------------------------------------------------- JSON */

/* Text that may have been cut inside a character: other bytes than UTF-8 become '?'. */
json_t *tbs_text_json(const char *text);
/* {node, input, origin, type, message, text, reason}; type may be NULL. */
json_t *tbs_error_json(const tb_err *err, const char *type);
json_t *tbs_errors_json(const tb_err_list *errors);
json_t *tbs_summary_json(const tb_server *s, const tb_plan_summary *p);

/* ------------------------------------------------------------------------------------ documents */

/* What is needed to check, plan and expand a document: the shared library, or a script of its own
 * when it brings node types. Worker. */
typedef struct tbs_world {
    tb_script *script;
    const tb_types *types;
    tb_script *own_script;
    tb_types *own_types;
} tbs_world;
tb_status tbs_world_open(tbs_world *w, const tbs_task *t, const json_t *document, tb_err *err);
void tbs_world_close(tbs_world *w);

/* The field "document" of a body, checked for its shape. Borrowed. */
json_t *tbs_document_of(const json_t *in, tb_err *err);
/* The document in any JSON, a ComfyUI workflow's too; *from: "document", "api", "workflow".
 * Sentences of what had no place go to the list. New reference. */
json_t *tbs_document_read(const tbs_task *t, json_t *j, const char *what, const char **from,
                          json_t *warnings, tb_err *err);
/* Leaves out targets that are just the output nodes, and a script that the graph does not need. */
void tbs_document_trim(json_t *document, const tb_types *shared);
/* All errors of a document; the count. Worker. */
int tbs_document_check(const json_t *document, const tb_types *types, tb_err_list *errors);
/* The plan of a document. Worker; drop it before the world. */
tb_run *tbs_document_plan(tb_server *s, const tbs_world *w, const json_t *document,
                          const char *until, bool no_cache, tb_err_list *errors, tb_err *err);
/* Ids of the nodes a run of it is for. New reference. */
json_t *tbs_document_outputs(const json_t *document, const tb_types *types);

/* ---------------------------------------------------------------------------------------- graphs
 */

/* A Lua graph: { doc, params, values, document }, and "errors" with document null when it cannot be
 * built with these params. text NULL: the file `name`. modules: `require` finds files beside it.
 * Worker. */
json_t *tbs_lua_build(const tbs_task *t, const char *name, const char *text, bool modules,
                      const json_t *params, tb_err *err);
/* A document as Lua source; refused when it needs its own script. Freed by free(). Worker. */
char *tbs_document_to_lua(const tbs_task *t, const json_t *document, const char *doc, tb_err *err);
/* Digest of a file's content as an etag. Worker. */
tb_status tbs_etag(const char *path, char etag[TB_DIGEST_HEX], tb_err *err);
bool tbs_is_graph_name(const char *name);
/* All graph files, and folders that may hold some, below the graphs folder; each list is cut at
 * some length. Worker. */
struct stat;
typedef void (*tbs_visit_fn)(void *ctx, const char *path, const struct stat *st);
void tbs_graphs_walk(const tb_server *s, tbs_visit_fn visit, void *ctx);

/* ------------------------------------------------------------------------------------------ runs
 */

/* What listings say of a prompt, without what only the store knows. Any thread. New reference. */
json_t *tbs_run_json(const tb_prompt *p);
/* The same of a live prompt, with what its run has told so far. Loop. */
json_t *tbs_live_json(tb_server *s, const tb_prompt *p);
void tbs_run_set_counts(json_t *run, int total, int cached, int ran);
/* Adds counts and the keys of delivering nodes from the journal. Worker. */
void tbs_run_enrich(const tbs_task *t, json_t *run, uint64_t run_id);
/* The running prompt and the pending ones, in order. Loop. New reference. */
json_t *tbs_queue_json(tb_server *s);
/* A delivered file as the API tells of it; entry is {"filename", "subfolder", "type"}, consumed. */
json_t *tbs_file_json_take(const char *node, json_t *entry, bool animated);
/* Its bytes are in the store under this key. */
void tbs_file_set_key(json_t *file, const char *hex);

/* A task on one run. */
typedef struct tbs_run_task {
    tbs_task t;
    char *id;
    json_t *run; /* NULL until found, when it is of the past */
    uint64_t run_id;
    json_t *document, *extra_data, *outputs;
    char *title;
    bool front, no_cache;
} tbs_run_task;
tbs_run_task *tbs_run_task_new(tb_server *s, tb_request *q, const char *id, bool body,
                               void (*work)(tbs_task *t));
void tbs_run_task_clear(tbs_task *t);
/* Worker: live or past. false: err says there is none. */
bool tbs_run_task_find(tbs_run_task *r);

/* --------------------------------------------------------------------------------------- handlers
 */

void tbs_get_info(void *ctx, tb_request *q);
void tbs_get_examples(void *ctx, tb_request *q);
void tbs_get_nodes(void *ctx, tb_request *q);
void tbs_get_graphs(void *ctx, tb_request *q);
void tbs_get_graph(void *ctx, tb_request *q);
void tbs_put_graph(void *ctx, tb_request *q);
void tbs_post_build(void *ctx, tb_request *q);
void tbs_post_lua(void *ctx, tb_request *q);
void tbs_post_open(void *ctx, tb_request *q);
void tbs_post_check(void *ctx, tb_request *q);
void tbs_post_plan(void *ctx, tb_request *q);
void tbs_get_runs(void *ctx, tb_request *q);
void tbs_post_runs(void *ctx, tb_request *q);
void tbs_get_run(void *ctx, tb_request *q); /* and /steps */
void tbs_get_steps(void *ctx, tb_request *q, const char *id);
void tbs_post_run(void *ctx, tb_request *q); /* /fork, /cancel, /retry */
void tbs_post_fork(void *ctx, tb_request *q, const char *id);
void tbs_delete_run(void *ctx, tb_request *q);
void tbs_get_results(void *ctx, tb_request *q);
void tbs_get_result(void *ctx, tb_request *q);  /* and /preview, /file */
void tbs_post_result(void *ctx, tb_request *q); /* /pin */
void tbs_delete_result(void *ctx, tb_request *q);
void tbs_post_gc(void *ctx, tb_request *q);

/* ----------------------------------------------------------------------------------------- state
 */

struct tbs_editor {
    pthread_mutex_t saving; /* from looking at a file's etag to its replacement */
    struct tbs_events *events;
    struct tbs_watch *watch;
};

void tbs_events_open(tb_server *s);
void tbs_events_close(tb_server *s);
/* Send to all clients of the editor, with the next seq. Loop. */
void tbs_events_send_take(tb_server *s, const char *type, json_t *fields);
void tbs_watch_open(tb_server *s);
void tbs_watch_close(tb_server *s);
