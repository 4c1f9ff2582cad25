/* store.h - results, blobs and runs on disk: what is never computed twice and never lost.
 *
 * A folder: cache.db (results and small blobs; WAL, synchronous NORMAL), runs.db (runs and their
 * journal; FULL), objects/ab/<digest> (large blobs, one file each). Specs: reliability.md 2 to 4.
 *
 * Threads: every call is thread-safe. Reads run on the caller's thread (a worker, or the loop for
 *          index lookups); all writes go through one writer thread.
 * Promises: P1-P14 of reliability.md. A result is a hit only when all its blobs are there and hash
 * right.
 */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"
#include "graph/value.h"

typedef struct tb_store tb_store;

typedef struct tb_store_options {
    const char *path;   /* folder; NULL: $TUBELET_STORE, else $XDG_CACHE_HOME/tubelet */
    uint64_t cap_bytes; /* 0: 10 GiB or 10 % of free space, the smaller */
    bool read_only;     /* for listing while another process writes */
} tb_store_options;

/* Makes the folder if needed, migrates an older one, refuses a foreign or newer one unharmed, sets
 * a damaged cache.db aside. */
tb_store *tb_store_open(const tb_store_options *o, tb_err *err);
/* Waits for pending writes, then closes. */
void tb_store_close(tb_store **s);
const char *tb_store_path(const tb_store *s);
/* Is there a store in this folder (NULL: the default one)? Opens and makes nothing. */
bool tb_store_exists(const char *path);

/* ---------------------------------------------------------------------------------- results */

typedef struct tb_result_info {
    tb_key key;
    char type[64];  /* node type */
    uint64_t bytes; /* of all blobs */
    double cost_ms; /* what computing it took */
    int64_t created_ms, used_ms;
    bool pinned;
} tb_result_info;

/* Index only: is it there? Microseconds. false also when the store fails (a miss). info may be
 * NULL; its key is the one the result was stored under, also when it was asked for by a second key.
 */
bool tb_store_has(tb_store *s, const tb_key *key, tb_result_info *info);

/* The outputs of a node: *outputs becomes an array of *count LIST values, one per output slot, each
 * with its elements. TB_ENOTFOUND: a miss (also when a blob is gone or damaged: dropped,
 * quarantined and reported once through tb_log). Tensors are mapped or read, and verified. Caller
 * unrefs all, frees array. */
tb_status tb_store_get(tb_store *s, const tb_key *key, tb_value ***outputs, int *count,
                       tb_err *err);

typedef struct tb_store_put_args {
    tb_key key;
    tb_key content_key; /* the second name; all zero: none */
    const char *type;
    double cost_ms;
    const char *signature; /* type + shapes, for cost prediction; NULL: none */
    uint64_t run;          /* run this belongs to: never evicted while it lives; 0: none */
    bool keep;             /* eviction comes last (denoising steps of live runs, pins) */
} tb_store_put_args;

/* Queue a result for the writer; values are referenced until written. done(ctx, status, err) is
 * called on the writer thread after the commit (or failure); may be NULL. Blocks only when more
 * than ~256 MiB are queued. `done` must not wait for the store. Idempotent: the first writer of a
 * key wins; other bytes raise TB_EINTERNAL "non-deterministic node". */
void tb_store_put(tb_store *s, const tb_store_put_args *a, tb_value *const *outputs, int count,
                  void (*done)(void *ctx, tb_status st, const tb_err *err), void *ctx);

/* The key stored under a content key; false: none. */
bool tb_store_find_content(tb_store *s, const tb_key *content_key, tb_key *key);
/* Give a stored result a second key: cheap, no blobs copied. */
void tb_store_alias(tb_store *s, const tb_key *new_key, const tb_key *existing, uint64_t run);

/* Average cost_ms of earlier results with this signature, the last 16 or so weighing most; < 0:
 * never seen. */
double tb_store_predict_ms(tb_store *s, const char *signature);
/* Queued: a result that is not kept cost this much. */
void tb_store_note_cost(tb_store *s, const char *signature, double ms);

/* Wait until everything queued so far is committed. Also tells the first failure, since the last
 * flush, of a write that had no `done` and no waiting caller. */
tb_status tb_store_flush(tb_store *s, tb_err *err);

/* ------------------------------------------------------------------------------ files, meta */

/* Digest of a file's content, remembered by path, size, mtime and inode (so an 11 GB model is
 * hashed once). */
tb_status tb_store_file_digest(tb_store *s, const char *path, tb_digest *d, tb_err *err);

/* ------------------------------------------------------------------------------------- runs */

/* new -> running -> done | failed | canceled; only forward. */
typedef struct tb_run_info {
    uint64_t id;
    char status[16]; /* "running", "done", "failed", "canceled", "interrupted" (running, but its
                        owner died) */
    int64_t started_ms, ended_ms;
    int nodes_total, nodes_done, nodes_cached;
    char *title;    /* owned: graph file or first words */
    char *document; /* owned: the canonical bytes needed to run it again (JSON); NULL in listings */
    char *error;    /* owned; NULL */
} tb_run_info;
void tb_run_info_clear(tb_run_info *r);

/* Waits for the commit (FULL): after it, the run can be resumed. */
tb_status tb_store_run_begin(tb_store *s, const char *title, const char *document, uint64_t *run,
                             tb_err *err);
/* Queued. state: "claimed", "stored", "cached", "failed". */
void tb_store_run_node(tb_store *s, uint64_t run, const char *node, const char *type,
                       const tb_key *key, const char *state, double ms);
tb_status tb_store_run_end(tb_store *s, uint64_t run, const char *status, const char *error,
                           tb_err *err);
/* Newest first; *list is an array of *count, each cleared by the caller, then freed. */
tb_status tb_store_runs(tb_store *s, int limit, tb_run_info **list, int *count, tb_err *err);
/* One run with its document; id 0: the newest that can be resumed: not done, and nobody works on
 * it. TB_ENOTFOUND. */
tb_status tb_store_run_get(tb_store *s, uint64_t id, tb_run_info *info, tb_err *err);
/* Journal rows of a run as JSON: [{node, type, key, state, ms}]. New reference. */
json_t *tb_store_run_nodes(tb_store *s, uint64_t id, tb_err *err);

/* ------------------------------------------------------------------------------------- prompts */

/* A row of the server's queue and history, in runs.db; server/queue.h gives it its meaning. */
typedef struct tb_prompt_row {
    char *id, *client_id, *title;   /* client_id, title: may be NULL */
    char state[16];                 /* "pending", "running", "done", "failed", "canceled" */
    double number;                  /* its place in the queue */
    bool numbered;                  /* the number was the client's */
    int64_t created_ms, started_ms; /* Unix time; 0: not yet */
    int64_t ended_ms;               /* not 0: it belongs to the history */
    uint64_t run;                   /* the run it became; 0: none yet */
    char *request, *result;         /* JSON; result NULL: none yet */
} tb_prompt_row;
void tb_prompt_row_clear(tb_prompt_row *r);
/* For an array of count rows, which is freed too. */
void tb_prompt_rows_free(tb_prompt_row **rows, int count);

/* A new row, the youngest; takes the place of one with the same id. Waits for the commit. */
tb_status tb_store_prompt_add(tb_store *s, const tb_prompt_row *r, tb_err *err);
/* State, times, run and result of a row that is there. wait: for the commit; else queued. With
 * ended_ms it enters the history, which keeps the 10,000 newest. */
tb_status tb_store_prompt_set(tb_store *s, const tb_prompt_row *r, bool wait, tb_err *err);
/* Delete a row of the history, or else of the queue; id NULL: all of them. Queued. */
void tb_store_prompt_remove(tb_store *s, const char *id, bool history);
/* What has not ended, oldest first. *rows is an array of *count. */
tb_status tb_store_prompts(tb_store *s, tb_prompt_row **rows, int *count, tb_err *err);
/* History in the order of ending, from offset on; limit < 0: all. */
tb_status tb_store_prompt_history(tb_store *s, int64_t limit, int64_t offset, tb_prompt_row **rows,
                                  int *count, tb_err *err);
tb_status tb_store_prompt_history_count(tb_store *s, int64_t *count, tb_err *err);
/* TB_ENOTFOUND: there is none. */
tb_status tb_store_prompt_get(tb_store *s, const char *id, tb_prompt_row *r, tb_err *err);

/* ----------------------------------------------------------------------------- housekeeping */

/* order: "used", "created", "bytes", "cost". */
tb_status tb_store_list(tb_store *s, const char *order, int limit, tb_result_info **list,
                        int *count, tb_err *err);
/* Every key that starts with this hex prefix must be one; TB_EINVAL when several do. */
tb_status tb_store_key_of_prefix(tb_store *s, const char *hex, tb_key *key, tb_err *err);
tb_status tb_store_pin(tb_store *s, const tb_key *key, bool pinned, tb_err *err);
/* Delete one result, pinned or not, with the blobs that only it used. TB_ENOTFOUND. */
tb_status tb_store_drop(tb_store *s, const tb_key *key, tb_err *err);

typedef struct tb_store_stats {
    uint64_t results, blobs, bytes, cap_bytes, pinned, runs;
} tb_store_stats;
tb_status tb_store_stat(tb_store *s, tb_store_stats *st, tb_err *err);

/* Evict down to `target_bytes` (UINT64_MAX: to the cap), sweep stray files. *freed may be NULL. */
tb_status tb_store_gc(tb_store *s, uint64_t target_bytes, uint64_t *freed, tb_err *err);

/* integrity_check and re-hash of everything; what is damaged is dropped, so that a second look is
 * sound. Counts go to the pointers (may be NULL). Exit codes of `tubelet cache verify`: 0 sound, 1
 * corrupt, 2 missing, 3 unreadable. */
tb_status tb_store_verify(tb_store *s, int *exit_code, uint64_t *checked, uint64_t *corrupt,
                          uint64_t *missing, tb_err *err);
