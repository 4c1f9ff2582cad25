/* run_internal.h - what the files of run/ share.
 *
 * Threads: tb_engine and tb_run belong to the loop thread; a tb_job belongs to whoever executes it.
 * A mutex guards the mailbox and the compute queue.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/map.h"
#include "compute/mode.h"
#include "graph/program.h"
#include "node.h"
#include "tubelet.h"

/* -------------------------------------------------------------------------------------- engine */

typedef struct tbi_letter { /* something to do on another thread */
    void (*fn)(void *arg);
    void *arg;
    struct tbi_letter *next;
} tbi_letter;

typedef struct tbi_mailbox {
    tbi_letter *first, **end;
} tbi_mailbox;

typedef struct tbi_memory tbi_memory; /* memory.c */

struct tb_engine {
    uv_loop_t loop;
    uv_async_t wake;
    pthread_mutex_t lock; /* guards inbox, work, stopping */
    pthread_cond_t work_there;
    tbi_mailbox inbox; /* for the loop */
    tbi_mailbox work;  /* for the compute worker: one thread, one job at a time */
    bool stopping;
    bool worker_started;
    pthread_t worker;

    tb_store *store;
    bool own_store;
    tb_types *types;
    tb_folders *folders;
    const tb_node_def *const *own_nodes;
    tbi_memory *memory; /* results between runs; NULL: none */
    int threads;
    tb_mode mode;
    tb_numeric numeric; /* its classes */
    size_t memory_limit;
    pthread_mutex_t compute_lock; /* guards the making of what follows */
    tb_compute *compute;
    double rate;  /* operations a second, for plans; 0: not measured yet */
    void *shared; /* tb_job_shared */
    void (*drop_shared)(void *);
    bool unload;  /* drop it when a run is over and no other computes */
    bool tainted; /* drop it before anything computes again: a file was cut off while it was read */

    int runs_at_once;
    int computing;        /* jobs that the compute worker has */
    tb_run *first, *last; /* in order of submission; the first `runs_at_once` may be active */
    tb_run *plans;        /* those that only plan: they wait for nobody */
};

/* While nothing computes. Loop thread. */
void tbi_engine_drop_models(tb_engine *e);
/* Run fn(arg) on the loop thread soon. Any thread. */
void tbi_post(tb_engine *e, void (*fn)(void *arg), void *arg);
/* Run fn(arg) on the compute worker. Loop thread. */
void tbi_compute(tb_engine *e, void (*fn)(void *arg), void *arg);
/* Run fn(arg) on libuv's pool, then after(arg) on the loop. Loop thread. */
void tbi_pool(tb_engine *e, void (*fn)(void *arg), void (*after)(void *arg), void *arg);
void tbi_engine_add(tb_engine *e, tb_run *r);      /* start the run, or queue it */
void tbi_engine_prepared(tb_engine *e, tb_run *r); /* it begins when its turn has come */
void tbi_engine_done(tb_engine *e, tb_run *r);     /* it is over: free it, start the next */

/* ----------------------------------------------------------------------------------------- run */

#define TBI_TURN_S 0.004 /* work that can be cut gives the loop a turn after so many seconds */

typedef enum tbi_state {
    TBI_IDLE,     /* nobody asks for it (yet, or any more) */
    TBI_WAITING,  /* asked for; some inputs are missing */
    TBI_READY,    /* in a ready stack */
    TBI_RUNNING,  /* computing, loading or expanding somewhere */
    TBI_DONE,     /* outputs are held */
    TBI_EXPANDED, /* its alias says where its outputs are */
} tbi_state;

typedef struct tbi_node {
    tbi_state state;
    tb_value **out;  /* LIST per output while held */
    int missing;     /* inputs asked for that are not there */
    int readers;     /* consumers that asked and have not finished */
    uint64_t asked;  /* bit k: input k was asked for */
    uint64_t wanted; /* lazy inputs that a node in Lua asked for */
    int *waiters;    /* nodes to tell when this one is done */
    int waiter_count;
    size_t waiter_cap;
    int redirected; /* 1 + the expanded node it was last turned away from */
    bool target, delivered;
    bool stored;         /* as the plan found it */
    bool load;           /* stored: waits only for what its delivery needs, then loads */
    bool recalled;       /* its outputs come from the engine's memory */
    bool no_load;        /* a stored result turned out to be unusable: compute */
    tb_shape shape;      /* of the main output, from plan(); n = -1: unknown */
    size_t plan_bytes;   /* all outputs, from plan() */
    size_t plan_scratch; /* while running, from plan() */
    double plan_flop;    /* operations, from plan(); 0: not known */
} tbi_node;

enum { TBI_INLINE, TBI_COMPUTE, TBI_IO, TBI_CLASSES };

typedef struct tbi_stack {
    int *items;
    int count;
    size_t cap;
} tbi_stack;
void tbi_push(tbi_stack *s, int node);

typedef struct tbi_plan_row {
    int node;
    char state;      /* 'c' cached, 'r' will run, 'u' hangs on data of the run */
    double seconds;  /* < 0: not known */
    uint64_t wanted; /* inputs it asks for, as far as that is known */
} tbi_plan_row;

typedef struct tbi_paths { /* a server's guard; NULL: no limit */
    char *write_root;
    char **read_roots; /* ends with NULL */
} tbi_paths;

struct tb_run {
    tb_engine *engine;
    tb_run *next;
    tb_run_options o; /* the pointers in it are not used after submission; copies follow */
    char *title, *until, *cwd;
    tbi_paths paths;
    json_t *metadata;           /* JSON texts by key, as they are embedded in files; or NULL */
    json_t *graph, *target_ids; /* as submitted, for resuming; ids may be NULL */
    tb_script *script, *own_script;
    tb_types *own_types;
    tb_program *program;
    tbi_node *nodes; /* parallel to the program's */
    size_t node_cap;
    int node_count;
    uint64_t id;

    tbi_stack targets;
    int targets_left;
    tbi_stack ready[TBI_CLASSES];
    int in_flight[TBI_CLASSES];
    tbi_stack asking; /* scratch of ask() */
    tb_job *jobs;     /* running now */
    int pending;      /* jobs, deliveries and expansions under way */

    tb_map *noted; /* signatures whose cost was told to the store */
    tbi_plan_row *plan;
    int plan_count, plan_told;
    size_t plan_cap;
    tbi_stack spare; /* nodes outside the plan whose results are there */
    tb_plan_summary summary;

    atomic_bool cancel;
    bool started, waiting; /* prepared or being so; prepared, until its turn comes */
    bool scheduled, ending, store_warned;
    tb_err err; /* the first failure */
    char err_type[64];
    int found; /* nodes that were to run, but whose work on the same bytes was found in the store */
};

void tbi_run_start(tb_run *r); /* prepare on the pool, then schedule */
void tbi_run_free(tb_run *r);
void tbi_run_event(tb_run *r, tb_event ev);
void tbi_node_event(tb_run *r, tb_event_kind kind, int node, double ms);
/* A failure: the first one is the run's; nothing new is started after it. node < 0: of no node. */
void tbi_run_fail(tb_run *r, int node, const tb_err *err);
/* Over, well or not: journal, TB_EV_END, the next run. */
void tbi_run_end(tb_run *r);
/* Give new program nodes their state. */
void tbi_run_sync(tb_run *r);

/* prepare.c: on the pool, before anything runs, and for expansions during the run */
tb_status tbi_prepare(tb_run *r, tb_err *err);
/* The answer of the script for a composite; new reference. Blocks; any thread. */
json_t *tbi_expansion(tb_run *r, const char *type, const char *id, const json_t *inputs,
                      tb_err *err);
tb_status tbi_splice(tb_run *r, int node, const json_t *answer, tb_err *err);
/* The nodes that an expanded target stands for become targets: the producers of its outputs, or,
 * without outputs, the output nodes inside. Those that are not targets yet go onto the stack. */
void tbi_add_targets(tb_run *r, int node, tbi_stack *targets);
tb_status tbi_make_keys(tb_run *r, tb_err *err);

/* paths.c */
void tbi_paths_set(tbi_paths *p, const tb_run_options *o, const char *cwd);
void tbi_paths_clear(tbi_paths *p);

/* plan.c: what is cached, what will run, for how long, with how much memory */
tb_status tbi_plan(tb_run *r, tb_err *err);
/* Type, sizes and models of a node, under which its cost is remembered. */
void tbi_signature(const tb_run *r, int node, char *buf, size_t n);
bool tbi_is_stored(const tb_run *r, int node);
/* Numbers in its main output; 0: not known. */
int64_t tbi_main_numbers(const tb_run *r, int node);
/* Are the transformers it is going to use those of the runs from `others` up to it? */
bool tbi_uses_same_models(const tb_run *r, const tb_run *others);
/* Which inputs does the node want, from the values known? */
uint64_t tbi_wanted_inputs(const tb_pnode *n, const tb_value *const *values);

/* calls.c: composites over lists. Inputs are gathered. */
/* How often it is expanded: as often as its longest literal has elements. */
int tbi_expansion_count(const tb_job *j);
/* Is its one expansion kept from being made by a literal that is blocked? */
bool tbi_expansion_is_blocked(const tb_job *j);
/* What the script will be asked, a list of expansions. Loop: the program belongs to it. */
json_t *tbi_expansion_request(const tb_job *j);
/* All that j->request asks for as one answer; NULL with j->err. Worker. */
json_t *tbi_expand_all_calls(tb_job *j);

/* demand.c: on the loop */
int tbi_class_of(const tb_pnode *n);
/* The values of inputs that are there already (literals, and of those in `of` what producers have
 * made), scalars converted, for need(); tbi_free_values. Any thread that may read the run. */
tb_value **tbi_known_values(const tb_run *r, int node, uint64_t of);
void tbi_free_values(tb_value **values, int count);
/* Serve everything in r->asking, and what that asks for in turn. */
void tbi_serve(tb_run *r);
/* The same, up to that time of tb_clock_seconds. false: something is left. */
bool tbi_serve_until(tb_run *r, double until);
/* The node has looked at its inputs and wants these lazy ones too. */
void tbi_want_more(tb_run *r, int node, uint64_t wanted);
/* Let go of the outputs a node holds. */
void tbi_free_outputs(tb_run *r, int node);
/* The node is through with its inputs: producers nobody else reads let go of their outputs. */
void tbi_release_inputs(tb_run *r, int node);
/* The node has its outputs. */
void tbi_tell_waiters(tb_run *r, int node);
/* The node was expanded: its waiters turn to what its outputs stand for. */
void tbi_redirect_waiters(tb_run *r, int node);

/* keep.c */
/* Queue the outputs of a finished job for the store, if keeping them is worth it. Loop thread. */
void tbi_run_keep(tb_run *r, const tb_job *j);
/* A stored result into the job's outputs; TB_ENOTFOUND: a miss. Worker. */
tb_status tbi_load(tb_job *j, const tb_key *key);
/* The same work on the same bytes was done before, in another graph: load it. Worker. */
bool tbi_found_by_content(tb_job *j);

/* memory.c: any thread. cap 0: NULL, which all take for a memory that holds nothing. */
tbi_memory *tbi_memory_new(size_t cap);
void tbi_memory_free(tbi_memory **m);
void tbi_memory_clear(tbi_memory *m);
void tbi_memory_put(tbi_memory *m, const tb_key *key, tb_value *const *out, int count);
/* A new array of new references, if the key is there with so many outputs; else NULL. */
tb_value **tbi_memory_get(tbi_memory *m, const tb_key *key, int count);
/* Give the node its outputs from memory, if they are there: it is done then. */
bool tbi_recall(tb_run *r, int node);
/* Is it there? Changes nothing. */
bool tbi_is_remembered(const tb_run *r, int node);
/* Keep the outputs the node holds. */
void tbi_remember(tb_run *r, int node);

/* schedule.c: on the loop */
void tbi_schedule_begin(tb_run *r);
void tbi_schedule(tb_run *r);
/* Give the compute worker its next jobs, of whichever run, if it has none. */
void tbi_dispatch_compute(tb_engine *e);
void tbi_start_load(tb_run *r, int node);
/* The node has its outputs: deliver them, let go of its inputs, tell who waits. */
void tbi_node_done(tb_run *r, int node);
void tbi_finish_if_over(tb_run *r);

/* ----------------------------------------------------------------------------------------- job */

typedef enum tbi_job_kind {
    TBI_JOB_PLAN,
    TBI_JOB_RUN,
    TBI_JOB_LOAD,
    TBI_JOB_DELIVER,
    TBI_JOB_EXPAND
} tbi_job_kind;

typedef struct tbi_file { /* a file that was delivered */
    char *path, *kind;
    struct tbi_file *next;
} tbi_file;

struct tb_job {
    tb_run *run;
    int node;
    tbi_job_kind kind;
    int class; /* TBI_INLINE, ... */
    const tb_type *type;
    const tb_pnode *pnode;
    tb_value **inputs;       /* payload of each input: a LIST of elements, or NULL. References. */
    tb_value **out;          /* LIST per output */
    const tb_value **values; /* of the current call, per input */
    tb_value **converted;    /* scalars of the current call */
    void *params;
    uint64_t need; /* a node in Lua has not run: it wants these lazy inputs first */
    json_t *expand_graph, *expand_outputs; /* the node answered with a subgraph */
    char *id;                              /* composites: what the script is asked to expand, ... */
    json_t *request;                       /* with which inputs, */
    json_t *answer;                        /* and what it answers */
    char *blocked;                         /* why a call was not made; NULL: none, or silently */
    tb_status status;
    tb_err err;
    bool cut_off; /* a file became shorter while it ran */
    double ms;
    int64_t numbers;      /* in the main output, as planned; 0: not known */
    _Atomic double share; /* progress; written by the worker */
    double told;          /* share told last */
    tbi_file *files;
    tb_key content_key, found_key;
    bool content_hit;
    tb_job *next; /* in run->jobs */
};

tb_job *tbi_job_new(tb_run *r, int node, tbi_job_kind kind);
void tbi_job_free(tb_job *j);
/* Take references to everything the node reads; all inputs asked for must be done. */
void tbi_job_gather(tb_job *j);
/* Call the node for each element of the longest list. */
void tbi_job_execute(tb_job *j);
/* Call the node once for all of these jobs of one type; jobs over lists come after, one by one. */
void tbi_job_execute_pack(tb_job *const *jobs, int count);
/* Values and params of call c; unbind before the next. */
tb_status tbi_job_bind(tb_job *j, int64_t c, tb_err *err);
void tbi_job_unbind(tb_job *j);
/* Write the node's finished outputs to where the user wants them. */
void tbi_job_deliver(tb_job *j);
