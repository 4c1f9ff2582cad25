/* tubelet.h - the engine for those who embed it: the command line, the server, Lua.
 *
 * An engine owns a libuv loop, a store, a compute worker and a cache of opened models. Graphs are
 * submitted and run in order, one by one or some side by side; those that are only to be planned
 * start at once. What happens is told
 * by events on the loop thread.
 *
 *     tb_engine *e = tb_engine_new(&(tb_engine_options){ 0 }, &err);
 *     tb_run *r = tb_engine_submit(e, &(tb_run_options){ .document = doc, .on_event = show },
 * &err); uv_run(tb_engine_loop(e), UV_RUN_DEFAULT); tb_engine_free(&e);
 *
 * Threads: all calls are made on the loop thread, except tb_run_cancel (any thread, also a signal
 * handler's async), and tb_engine_make and tb_engine_plan with what they give.
 */
#pragma once

#include <uv.h>

#include "base/err.h"
#include "base/folders.h"
#include "base/json.h"
#include "graph/graph.h"
#include "graph/types.h"
#include "script/script.h"
#include "store/store.h"

typedef struct tb_engine tb_engine;
typedef struct tb_run tb_run;

typedef struct tb_engine_options {
    const char *store_path; /* NULL: the default (store.h) */
    bool no_store;          /* keep nothing on disk */
    int threads;            /* compute threads; 0: all cores */
    const char *compute;    /* how transformers multiply: "f32" (NULL), or "int8", faster and less
                               exact, whose results are stored apart */
    int runs_at_once;       /* so many runs side by side, in order of submission, when they use the
                               same models and fit into memory: their steps that are ready are
                               evaluated together (NaViT packing); 0: 1 */
    size_t memory_limit;    /* bytes; 0: 90 % of what the machine has available */
    tb_store *store;        /* an opened store to use (borrowed); overrides store_path */
    size_t memory_cache;    /* bytes of results kept in memory between runs, for those that are not
                               worth a disk: a server's; 0: none */
    const tb_node_def *const
        *nodes; /* the embedder's own nodes, ends with NULL; borrowed; may be NULL */
} tb_engine_options;

tb_engine *tb_engine_new(const tb_engine_options *o, tb_err *err);
/* Stops what runs, waits, closes everything. */
void tb_engine_free(tb_engine **e);
uv_loop_t *tb_engine_loop(tb_engine *e);
tb_store *tb_engine_store(tb_engine *e);           /* NULL with no_store */
size_t tb_engine_memory_limit(const tb_engine *e); /* bytes; 0: none */
int tb_engine_threads(const tb_engine *e);         /* of the compute worker */
int tb_engine_runs_at_once(const tb_engine *e);    /* at least 1 */
const char *tb_engine_class(const tb_engine *e);   /* the numeric class; static string */
const tb_types *tb_engine_types(tb_engine *e);
/* The same, with those a script defines (tb_script_types), for tb_run_options.types. Any thread.
 * NULL on error; freed by tb_types_free. */
tb_types *tb_engine_types_with(const tb_engine *e, const json_t *defined, tb_err *err);
/* Give memory back: results kept between runs at once, opened models when no run uses them. */
void tb_engine_release(tb_engine *e, bool results, bool models);
/* Where paths like "input:photo.png" lead. To be set up before the first run; at first it knows the
 * bundled model alone, as "tubelet-tiny". Borrowed. */
tb_folders *tb_engine_folders(tb_engine *e);

/* ------------------------------------------------------------------------------------- running */

typedef enum tb_event_kind {
    TB_EV_PLANNED,   /* plan is known: counts and estimates in `plan` */
    TB_EV_CACHED,    /* node: its result was there already; `outputs` */
    TB_EV_STARTED,   /* node: begins to compute; not told of trivial ones */
    TB_EV_PROGRESS,  /* node: share 0..1, risen since it was told last; at most once a turn of the
                        loop */
    TB_EV_FINISHED,  /* node: computed; ms, `outputs` */
    TB_EV_DELIVERED, /* node: a file was written: path, file_kind */
    TB_EV_FAILED,    /* node: err; dependents are dropped */
    TB_EV_STORED,    /* node: committed to the store */
    TB_EV_BLOCKED,   /* node: an input was blocked, so it did not run for it; text: why */
    TB_EV_WARNING,   /* text: e.g. the store is full, the run goes on uncached */
    TB_EV_END,       /* the run is over: status and err; the tb_run is freed after this call */
} tb_event_kind;

typedef struct tb_plan_summary {
    int nodes_total, nodes_cached, nodes_run, nodes_unknown; /* unknown: hangs on data of the run */
    double seconds;                                          /* predicted; < 0: nothing is known */
    bool seconds_complete; /* every node to run has a known cost */
    size_t peak_bytes;     /* tensors and scratch held at once, as planned */
} tb_plan_summary;

typedef struct tb_event {
    tb_event_kind kind;
    const char *node, *type;
    double share, ms;
    const char *path, *file_kind, *text;
    tb_status status;
    const tb_err *err;
    const tb_plan_summary *plan; /* PLANNED; END: as it turned out */
    tb_value *const *outputs;    /* FINISHED, CACHED: LIST values, one an output; borrowed for the
                                    call; else NULL */
    int output_count;
} tb_event;

typedef struct tb_run_options {
    json_t *document;  /* { "graph": {...}, "targets": [...], "script": sources or null, "lenient":
                          true };  borrowed; not changed while the run lives */
    tb_script *script; /* the child that built it, to expand composites; NULL: one is started if
                          needed. Borrowed. */
    const tb_types *types; /* with `script`: all the document may use, so that the script need not
                              be asked. Borrowed until the run ends. NULL: asked for. */
    const char *title;     /* for `tubelet runs` */
    const char *until;     /* stop at this node: run it and what it needs; NULL */
    const char *cwd;       /* relative paths are below it; NULL: the current folder */
    bool no_cache;         /* compute all anew (results are still stored) */
    bool lenient; /* as ComfyUI takes graphs: literals are converted to the declared type (2.7 is 2,
                     "3" is 3, 5 is a text, any text is true), those that no input declares are
                     dropped */
    /* A server's guard. Nodes write only below write_root, where relative paths lead then, and read
     * only below the read_roots (ends with NULL): relative paths are looked for in cwd and then in
     * these, in order. Links that lead out are refused. Models may be anywhere. NULL: no limit. */
    const char *write_root;
    const char *const *read_roots;
    bool no_metadata; /* nothing is put into the files that are written */
    json_t *embed;    /* an object: each value is put into those files as JSON under its key, beside
                         the graph ("prompt") and the document's "view". Borrowed until the run ends.
                         NULL: nothing more */
    bool plan_only;   /* ends after TB_EV_PLANNED */
    uint64_t resume;  /* id of a stored run that this one continues; 0: a new one */
    /* On a worker, when the plan is made and before TB_EV_PLANNED: to look at it at length. */
    void (*on_plan)(void *ctx, const tb_run *run);
    void (*on_event)(void *ctx, tb_run *run, const tb_event *ev);
    void *ctx;
} tb_run_options;

/* Validate and queue. All errors of the graph go to the list, each with node, input and origin; the
 * first also to err. NULL on error. */
tb_run *tb_engine_submit(tb_engine *e, const tb_run_options *o, tb_err_list *errors, tb_err *err);
/* The same in two steps, for a loop that serves others: a valid run, made in the calling thread,
 * which may be any; then queued, or dropped. */
tb_run *tb_engine_make(tb_engine *e, const tb_run_options *o, tb_err_list *errors, tb_err *err);
void tb_engine_add_take(tb_engine *e, tb_run *run);
/* The plan alone, made in the calling thread, which may be any: nothing is queued, no event is
 * told. The caller looks at it and drops it. NULL on error, as above. */
tb_run *tb_engine_plan(tb_engine *e, const tb_run_options *o, tb_err_list *errors, tb_err *err);
void tb_run_drop(tb_run **r);        /* of tb_engine_plan, or one that was not added */
uint64_t tb_run_id(const tb_run *r); /* the store's id; 0 without a store */
/* Stop within a part of the running node, seconds at most; a step that it shares with other runs is
 * finished. Finished nodes are kept. Any thread. */
void tb_run_cancel(tb_run *r);
/* The plan in full, after TB_EV_PLANNED: [{node, type, state: "cached"|"run"|"unknown", seconds,
 * bytes, shape, key}] in order of running. New reference. */
json_t *tb_run_plan(const tb_run *r);
/* Ids of nodes the plan does not come to, for only lazy inputs may ask for them during the run,
 * whose results are there already. New reference. */
json_t *tb_run_spare(const tb_run *r);
/* Its totals; and the key of a node, also of one the plan did not come to. false: it has none. */
void tb_run_summary(const tb_run *r, tb_plan_summary *summary);
bool tb_run_key(const tb_run *r, const char *node, tb_key *key);
/* Outputs of a finished target node in TB_EV_END, borrowed: array of *count LIST values; NULL
 * otherwise. */
tb_value *const *tb_run_outputs(const tb_run *r, const char *node, int *count);
/* The node types of this run: those of the engine, and those its script defines. Borrowed. */
const tb_types *tb_run_types(const tb_run *r);
/* Calls fn for every node of the expanded graph. */
void tb_run_each_node(const tb_run *r, void (*fn)(void *ctx, const char *id, const char *type),
                      void *ctx);
/* The expanded graph as a document. New reference. */
json_t *tb_run_expanded(const tb_run *r);
