/* store_internal.h - shared by the files of engine/store only.
 *
 * Threads: tb_store.cache and .runs belong to the writer thread once it runs; readers[] have a lock
 * each; the queue is guarded by `lock`. No SQLite handle is used in a forked child (`pid` tells).
 * Damage:  a row of `result` and `alias` carries a hash over itself, because SQLite checks
 * structure only; a blob is named by its hash. What does not fit its hash is a miss.
 */
#pragma once

#include <pthread.h>
#include <sqlite3.h>
#include <sys/types.h>

#include "base/map.h"
#include "store/store.h"

#define TBI_CACHE_VERSION 1
#define TBI_RUNS_VERSION  2          /* 2: prompt */
#define TBI_CACHE_APP_ID  0x74626361 /* "tbca" */
#define TBI_RUNS_APP_ID   0x74627275 /* "tbru" */
#define TBI_INLINE_MAX    ((size_t)64 << 10)
#define TBI_BLOB_MAX      ((size_t)4 << 30)
#define TBI_QUEUE_BYTES   ((uint64_t)256 << 20)
#define TBI_QUEUE_OPS     65536
#define TBI_BATCH_BYTES                                                       \
    ((uint64_t)64 << 20) /* about: what is queued behind waits for its commit \
                          */
#define TBI_BATCH_OPS     2048
#define TBI_READERS       4
#define TBI_ROW_OVERHEAD  512 /* what a result without blobs counts against the cap */
#define TBI_BALLAST_BYTES ((off_t)4 << 20)

/* In debug builds TUBELET_ABORT_AT=site kills the process there, as a power switch would. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
void tbi_site(const char *name);
#define TBI_SITE(name) tbi_site(name)
#else
#define TBI_SITE(name) ((void)0)
#endif

/* ---------------------------------------------------- connections (store_db.c) */

#define TBI_RUN_COLUMNS "SELECT id,status,started_ms,ended_ms,title,error,pid,pid_start,boot"

#define TBI_PROMPT_COLUMNS                                                                     \
    "SELECT id,state,number,numbered,client,title,created_ms,started_ms,ended_ms,run,request," \
    "result FROM prompt "

#define TBI_LIST_COLUMNS \
    "SELECT key,type,bytes,cost_ms,created_ms,used_ms,pinned FROM result ORDER BY "

/* id, text; prepared on first use and kept */
#define TBI_SQL_LIST(X)                                                                           \
    X(TBI_Q_META, "SELECT value FROM meta WHERE name=?1")                                         \
    X(TBI_Q_META_SET, "INSERT INTO meta VALUES(?1,?2) ON CONFLICT(name) DO UPDATE SET value=?2")  \
    X(TBI_Q_RESULT,                                                                               \
      "SELECT id,key,type,manifest,bytes,cost_ms,created_ms,used_ms,pinned,checksum "             \
      "FROM result WHERE key=?1")                                                                 \
    X(TBI_Q_RESULT_NEW,                                                                           \
      "INSERT INTO result(key,type,manifest,bytes,cost_ms,created_ms,used_ms,used,"               \
      "pinned,keep,run,checksum) VALUES(?1,?2,?3,?4,?5,?6,?6,?7,0,?8,?9,?10)")                    \
    X(TBI_Q_RESULT_DROP, "DELETE FROM result WHERE id=?1")                                        \
    X(TBI_Q_RESULT_TOUCH, "UPDATE result SET used=?2,used_ms=?3 WHERE key=?1")                    \
    X(TBI_Q_RESULT_PIN, "UPDATE result SET pinned=?2 WHERE key=?1")                               \
    X(TBI_Q_RESULT_SIZE, "SELECT length(CAST(manifest AS BLOB)) FROM result WHERE id=?1")         \
    X(TBI_Q_BLOB_USERS, "SELECT result FROM result_blob WHERE digest=?1")                         \
    X(TBI_Q_LINK_NEW, "INSERT OR IGNORE INTO result_blob VALUES(?1,?2)")                          \
    X(TBI_Q_LINKS, "SELECT digest FROM result_blob WHERE result=?1")                              \
    X(TBI_Q_LINKED, "SELECT 1 FROM result_blob WHERE digest=?1 LIMIT 1")                          \
    X(TBI_Q_BLOB, "SELECT size,data FROM blob WHERE digest=?1")                                   \
    X(TBI_Q_BLOB_SIZE, "SELECT size,data IS NULL FROM blob WHERE digest=?1")                      \
    X(TBI_Q_BLOB_NEW, "INSERT INTO blob(digest,size,data) VALUES(?1,?2,?3)")                      \
    X(TBI_Q_BLOB_DROP, "DELETE FROM blob WHERE digest=?1")                                        \
    X(TBI_Q_ALIAS, "SELECT target,checksum FROM alias WHERE kind=?1 AND key=?2")                  \
    X(TBI_Q_ALIAS_SET, "INSERT OR REPLACE INTO alias VALUES(?1,?2,?3,?4)")                        \
    X(TBI_Q_COST, "SELECT mean_ms FROM cost WHERE signature=?1")                                  \
    X(TBI_Q_COST_ADD, "INSERT INTO cost VALUES(?1,1,?2) ON CONFLICT(signature) DO UPDATE SET "    \
                      "n=n+1, mean_ms=mean_ms+(?2-mean_ms)/min(n+1,16)")                          \
    X(TBI_Q_FILE, "SELECT size,mtime_ns,inode,device,digest,checksum FROM file WHERE path=?1")    \
    X(TBI_Q_FILE_SET, "INSERT OR REPLACE INTO file VALUES(?1,?2,?3,?4,?5,?6,?7)")                 \
    X(TBI_Q_BY_PREFIX, "SELECT key FROM result WHERE key BETWEEN ?1 AND ?2 UNION "                \
                       "SELECT key FROM alias WHERE kind=0 AND key BETWEEN ?1 AND ?2 LIMIT 100")  \
    X(TBI_Q_TOTAL,                                                                                \
      "SELECT (SELECT total(size) FROM blob)+(SELECT total(length(CAST(manifest AS BLOB))+512) "  \
      "FROM result)")                                                                             \
    X(TBI_Q_COUNTS, "SELECT (SELECT count(*) FROM result),(SELECT count(*) FROM blob),"           \
                    "(SELECT count(*) FROM result WHERE pinned)")                                 \
    X(TBI_Q_LIST_USED, TBI_LIST_COLUMNS "used DESC LIMIT ?1")                                     \
    X(TBI_Q_LIST_CREATED, TBI_LIST_COLUMNS "created_ms DESC, id DESC LIMIT ?1")                   \
    X(TBI_Q_LIST_BYTES, TBI_LIST_COLUMNS "bytes DESC, id LIMIT ?1")                               \
    X(TBI_Q_LIST_COST, TBI_LIST_COLUMNS "cost_ms DESC, id LIMIT ?1")                              \
    X(TBI_Q_ALL_KEYS, "SELECT key FROM result ORDER BY id")                                       \
    X(TBI_Q_ALL_BLOBS, "SELECT digest FROM blob UNION SELECT digest FROM result_blob")            \
    X(TBI_Q_INTEGRITY, "PRAGMA integrity_check(1)")                                               \
    X(TBI_Q_QUICK, "PRAGMA quick_check(1)")                                                       \
    X(TBI_Q_LIVE_KEY, "INSERT OR IGNORE INTO temp.live_key VALUES(?1)")                           \
    X(TBI_Q_LIVE_RUN, "INSERT OR IGNORE INTO temp.live_run VALUES(?1)")                           \
    X(TBI_Q_EVICT,                                                                                \
      "SELECT id FROM result WHERE pinned=0 AND run NOT IN (SELECT id FROM live_run) "            \
      "AND key NOT IN (SELECT key FROM live_key) "                                                \
      "ORDER BY keep, (?1-used+1)*(bytes+4096.0)/(cost_ms+1) DESC LIMIT ?2")                      \
    X(TBI_Q_RUN_NEW,                                                                              \
      "INSERT INTO run(status,started_ms,ended_ms,title,document,pid,pid_start,boot) "            \
      "VALUES('running',?1,0,?2,?3,?4,?5,?6)")                                                    \
    X(TBI_Q_RUN_END,                                                                              \
      "UPDATE run SET status=?2,error=?3,ended_ms=?4 WHERE id=?1 AND status='running'")           \
    X(TBI_Q_RUN_STATUS, "SELECT status FROM run WHERE id=?1")                                     \
    X(TBI_Q_RUN_LIST, TBI_RUN_COLUMNS ",NULL FROM run ORDER BY id DESC LIMIT ?1")                 \
    X(TBI_Q_RUN_OPEN, TBI_RUN_COLUMNS ",document FROM run WHERE status<>'done' ORDER BY id DESC") \
    X(TBI_Q_RUN_GET, TBI_RUN_COLUMNS ",document FROM run WHERE id=?1")                            \
    X(TBI_Q_RUN_COUNT, "SELECT count(*) FROM run")                                                \
    X(TBI_Q_NODE_SET,                                                                             \
      "INSERT INTO run_node VALUES(?1,?2,?3,?4,?5,?6,?7) ON CONFLICT(run,node) DO "               \
      "UPDATE SET type=?3,key=?4,state=?5,ms=?6,updated_ms=?7 WHERE state='claimed'")             \
    X(TBI_Q_NODES, "SELECT node,type,key,state,ms FROM run_node WHERE run=?1 "                    \
                   "ORDER BY updated_ms,node")                                                    \
    X(TBI_Q_NODE_COUNT,                                                                           \
      "SELECT count(*),total(state='cached'),total(state='stored') FROM run_node "                \
      "WHERE run=?1")                                                                             \
    X(TBI_Q_RUN_LIVE, "SELECT id,pid,pid_start,boot FROM run WHERE status='running'")             \
    X(TBI_Q_NODE_KEYS, "SELECT key FROM run_node WHERE run=?1 AND key IS NOT NULL")               \
    X(TBI_Q_PROMPT_ADD,                                                                           \
      "INSERT OR REPLACE INTO prompt(id,state,number,numbered,client,title,created_ms,"           \
      "started_ms,ended_ms,run,place,request,result) VALUES(?1,?2,?3,?4,?5,?6,?7,0,0,0,0,?8,"     \
      "NULL)")                                                                                    \
    X(TBI_Q_PROMPT_SET,                                                                           \
      "UPDATE prompt SET state=?2,started_ms=?3,ended_ms=?4,run=?5,result=?6,place=CASE WHEN ?4 " \
      "THEN (SELECT coalesce(max(place),0)+1 FROM prompt) ELSE 0 END WHERE id=?1")                \
    X(TBI_Q_PROMPT_PRUNE, "DELETE FROM prompt WHERE place>0 AND place<="                          \
                          "(SELECT max(place) FROM prompt)-?1")                                   \
    X(TBI_Q_PROMPT_LIVE, TBI_PROMPT_COLUMNS "WHERE place=0 ORDER BY age")                         \
    X(TBI_Q_PROMPT_PAST, TBI_PROMPT_COLUMNS "WHERE place>0 ORDER BY place LIMIT ?1 OFFSET ?2")    \
    X(TBI_Q_PROMPT_GET, TBI_PROMPT_COLUMNS "WHERE id=?1")                                         \
    X(TBI_Q_PROMPT_COUNT, "SELECT count(*) FROM prompt WHERE place>0")                            \
    X(TBI_Q_PROMPT_DROP, "DELETE FROM prompt WHERE id=?1 AND (place>0)=?2")                       \
    X(TBI_Q_PROMPT_CLEAR, "DELETE FROM prompt WHERE (place>0)=?1")                                \
    X(TBI_Q_RUN_PRUNE, "DELETE FROM run WHERE (status<>'running' OR boot<>?2) AND id NOT IN "     \
                       "(SELECT id FROM run ORDER BY id DESC LIMIT ?1)")

typedef enum tbi_sql {
#define X(id, text) id,
    TBI_SQL_LIST(X)
#undef X
        TBI_SQL_COUNT
} tbi_sql;

typedef struct tbi_db {
    sqlite3 *db;
    const char *store; /* folder, for messages; borrowed */
    const char *file;  /* "cache.db" or "runs.db" */
    bool failed;       /* the running transaction cannot go on; set by tbi_db_error */
    bool damaged;      /* SQLite found the file malformed */
    sqlite3_stmt *st[TBI_SQL_COUNT];
} tbi_db;

tb_status tbi_db_open(tbi_db *d, const char *store, const char *file, bool read_only, tb_err *err);
void tbi_db_close(tbi_db *d);
tb_status tbi_db_exec(tbi_db *d, const char *sql, tb_err *err);
/* Prepared, reset, no bindings; NULL with an error. */
sqlite3_stmt *tbi_db_stmt(tbi_db *d, tbi_sql id, tb_err *err);
/* Step a statement that gives no rows, and reset it. */
tb_status tbi_db_run(tbi_db *d, sqlite3_stmt *st, tb_err *err);
/* One row? *row says so; after the last one, or an error, the statement is reset. */
tb_status tbi_db_row(tbi_db *d, sqlite3_stmt *st, bool *row, tb_err *err);
/* What SQLite's code means for the user; sets d->failed, and d->damaged where the file is
 * malformed. */
tb_status tbi_db_error(tbi_db *d, int code, tb_err *err);
/* BEGIN IMMEDIATE, waiting for other processes as long as it takes within 60 s. */
tb_status tbi_db_begin(tbi_db *d, tb_err *err);
tb_status tbi_db_commit(tbi_db *d, tb_err *err);
void tbi_db_rollback(tbi_db *d);
tb_status tbi_full(const char *store, tb_err *err);

void tbi_bind_key(sqlite3_stmt *st, int at, const tb_key *k);
void tbi_bind_digest(sqlite3_stmt *st, int at, const tb_digest *d);
void tbi_bind_text(sqlite3_stmt *st, int at,
                   const char *s); /* NULL stays NULL; s lives until the step */
bool tbi_column_key(sqlite3_stmt *st, int at, tb_key *k);
bool tbi_column_digest(sqlite3_stmt *st, int at, tb_digest *d);

/* ---------------------------------------------------- the store itself */

/* Who runs: a process is the same one only if all three agree. */
typedef struct tbi_owner {
    int64_t pid, start; /* start: field 22 of /proc/PID/stat, clock ticks since boot */
    char boot[40];
} tbi_owner;
void tbi_owner_self(tbi_owner *o);
bool tbi_owner_alive(const tbi_owner *o);

typedef struct tbi_reader {
    pthread_mutex_t lock;
    tbi_db cache, runs;
} tbi_reader;

typedef struct tbi_op tbi_op;

typedef enum tbi_where { TBI_IN_CACHE, TBI_IN_RUNS, TBI_ALONE } tbi_where;

typedef struct tbi_op_class {
    tbi_where where;
    /* Writer thread, outside any transaction: hashing and blob files. May be NULL. */
    tb_status (*prepare)(tb_store *s, tbi_op *op, tb_err *err);
    /* Inside the transaction (alone: without one). Called again when the transaction is retried. */
    tb_status (*apply)(tb_store *s, tbi_op *op, tb_err *err);
    /* Writer thread, after the commit or failure: callbacks; frees what the op holds, not the op.
     */
    void (*finish)(tb_store *s, tbi_op *op);
} tbi_op_class;

/* A write in the queue; the first member of each kind's own struct. */
struct tbi_op {
    const tbi_op_class *class;
    tbi_op *next;
    uint64_t bytes;    /* counted against TBI_QUEUE_BYTES */
    uint64_t incoming; /* set by prepare: new bytes in the store */
    tb_status status;
    tb_err *err;   /* only after a failure */
    bool skip;     /* prepare failed */
    bool waited;   /* the submitter waits and frees */
    bool answered; /* a callback tells of a failure */
    bool finished;
};

typedef struct tbi_blob {
    tb_digest digest;
    const void *data; /* borrowed */
    size_t size;
} tbi_blob;

typedef struct tbi_blob_list {
    tbi_blob *items;
    size_t count, cap;
} tbi_blob_list;

/* Kept in `meta`, read and written in the same transaction as the rows they describe. */
typedef struct tbi_counters {
    int64_t bytes; /* of all blobs and rows */
    int64_t used;  /* LRU clock */
} tbi_counters;

struct tb_store {
    char *path;
    bool read_only;
    pid_t pid;
    uint64_t cap;
    tbi_owner self;
    tbi_reader readers[TBI_READERS];

    /* the writer thread's, once it runs */
    tbi_db cache, runs;
    tbi_counters now;     /* as of its last commit */
    int64_t evict_again;  /* what is left is in use: no new try below this many bytes */
    double evict_tried;   /* clock of that */
    bool no_ballast;      /* make it again when there is room */
    bool new_folder;      /* objects/ got an entry that is not synced yet */
    bool dirty[256];      /* so did objects/xx */
    int sweep_at;         /* folder of objects/ to be swept next when idle; 256: none */
    tbi_blob_list doomed; /* files to unlink after the commit */

    pthread_mutex_t lock; /* guards everything below */
    pthread_cond_t work, room, finished;
    pthread_t thread;
    bool has_thread, stopping;
    tbi_op *head, **tail;
    uint64_t queued_ops, queued_bytes;
    tb_key *touched; /* results read since the last write: their LRU place */
    size_t touched_count, touched_cap;
    tb_err lost;      /* first failure of a write nobody waits for; told by the next flush */
    tb_map *reported; /* digests whose damage was logged */
};

char *tbi_path(const tb_store *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The handle may be used here: same process. */
bool tbi_usable(const tb_store *s);

/* A pair of connections for reading; NULL with an error. Give it back soon: there are TBI_READERS.
 */
tbi_reader *tbi_reader_take(tb_store *s, tb_err *err);
void tbi_reader_give(tbi_reader *r);
/* A failed read of the cache is a miss; damage is logged once and makes the next open look closer.
 */
void tbi_reader_note(tb_store *s, tbi_reader *r);
void tbi_mark_damaged(tb_store *s, const char *why);

/* ---------------------------------------------------- creation (store_schema.c) */

/* Under the folder's lock: makes what is missing, refuses foreign and newer files, sets damage
 * aside. */
tb_status tbi_schema_prepare(tb_store *s, tb_err *err);
/* Bring runs.db, opened for writing, to TBI_RUNS_VERSION: a copy beside it first, then one
 * transaction a step (store_migrate.c). */
tb_status tbi_runs_migrate(tb_store *s, tb_err *err);
extern const char tbi_prompt_schema[];
/* The name of a network file system by statfs type, or NULL. */
const char *tbi_network_fs(long type);

/* ---------------------------------------------------- queue (store_writer.c) */

tb_status tbi_writer_start(tb_store *s, tb_err *err);
void tbi_writer_stop(tb_store *s);
/* Queue; the writer frees the op. */
void tbi_submit(tb_store *s, tbi_op *op);
/* Queue and wait; frees the op. */
tb_status tbi_submit_wait(tb_store *s, tbi_op *op, tb_err *err);
void tbi_touch(tb_store *s, const tb_key *key);
tb_status tbi_counters_load(tbi_db *cache, tbi_counters *c, tb_err *err);
tb_status tbi_counters_store(tbi_db *cache, const tbi_counters *c, tb_err *err);

/* ---------------------------------------------------- blobs (store_blob.c) */

char *tbi_blob_path(const tb_store *s, const tb_digest *d);
/* Is its file there with this size? */
bool tbi_blob_present(const tb_store *s, const tb_digest *d, size_t size);
/* Beside, fsync, rename. Before any row may name it the folders are synced. */
tb_status tbi_blob_write(tb_store *s, const tbi_blob *b, tb_err *err);
tb_status tbi_blobs_sync(tb_store *s, tb_err *err);
/* The verified tensor. TB_ENOTFOUND: gone; TB_EFORMAT: damaged, quarantined and reported. */
tb_status tbi_blob_load(tb_store *s, const tb_digest *d, tb_dtype dtype, const tb_shape *shape,
                        tb_tensor **t, tb_err *err);
/* Hash what is stored under a digest; same statuses. */
tb_status tbi_blob_check(tb_store *s, const tb_digest *d, tb_err *err);
void tbi_temp_sweep(tb_store *s);

/* ---------------------------------------------------- values (store_manifest.c) */

/* The manifest of outputs: JSON text, freed by free(); lists each blob once. NULL on error. */
char *tbi_manifest_write(tb_value *const *outputs, int count, tbi_blob_list *blobs, tb_err *err);
/* TB_ENOTFOUND, TB_EFORMAT: *bad names the blob that is gone or damaged; all zero: the text itself
 * is. */
tb_status tbi_manifest_read(tb_store *s, const char *text, tb_value ***outputs, int *count,
                            tb_digest *bad, tb_err *err);

/* ---------------------------------------------------- rows (store_result.c) */

enum { TBI_ALIAS_KEY = 0, TBI_ALIAS_CONTENT = 1 };

typedef struct tbi_row {
    int64_t id;
    tb_result_info info;
    char *manifest; /* owned; NULL unless asked for */
} tbi_row;          /* info.key is the first name, also when it was found by an alias */

tb_digest tbi_row_checksum(const tb_result_info *info, const char *manifest);
tb_digest tbi_alias_checksum(int kind, const tb_key *key, const tb_key *target);
/* The row behind a key or its alias; TB_ENOTFOUND: none. *broken (may be NULL): a row is there that
 * does not fit its own hash. */
tb_status tbi_row_find(tbi_db *cache, const tb_key *key, bool manifest, tbi_row *row, bool *broken,
                       tb_err *err);
tb_status tbi_alias_find(tbi_db *cache, int kind, const tb_key *key, tb_key *target, tb_err *err);
/* Inside a transaction: delete a result and the blobs only it used. Their files go to
 * s->doomed. */
tb_status tbi_row_drop(tb_store *s, int64_t id, tb_err *err);
/* Writer, inside its transaction: one more measured cost of this signature. */
tb_status tbi_cost_add(tb_store *s, const char *signature, double ms, tb_err *err);
/* Queue: forget this result, and all others that use `blob` (NULL: the row itself is damaged). */
void tbi_forget(tb_store *s, const tb_key *key, const tb_digest *blob);

/* ---------------------------------------------------- eviction (store_gc.c) */

/* Writer thread, outside transactions. Evicts until `target` bytes remain; TB_OK also when what is
 * left is pinned or in use. */
tb_status tbi_evict(tb_store *s, int64_t target, tb_err *err);
/* Unlink files whose rows are gone, unless another process stored them again. */
tb_status tbi_unlink_doomed(tb_store *s, tb_err *err);

/* store_full.c: a disk full to the last byte. */
typedef struct tbi_ids {
    int64_t *items;
    size_t count, cap;
} tbi_ids;
/* Removes files of results; their rows are to be dropped when the store is open. */
void tbi_full_before_open(const tb_store *s, tbi_ids *gone);
/* After tbi_evict found no room to delete a row. true: results are gone. */
bool tbi_full_while_open(tb_store *s);
tb_status tbi_rows_drop(tb_store *s, const tbi_ids *ids, tb_err *err);

/* After TB_EFULL: evict for `incoming` bytes, with the ballast's space for the log that takes.
 * false: trying again is no use. The ballast itself is spent on the journal of runs only. */
bool tbi_make_room(tb_store *s, uint64_t incoming, bool journal);
/* 4 MiB of reserve, where there is room for twice that. */
void tbi_ballast_make(tb_store *s);
/* One folder of objects/; false: nothing left to sweep. */
bool tbi_sweep_step(tb_store *s);
/* Once a day: s->sweep_at = 0. */
void tbi_sweep_plan(tb_store *s);

/* Ids of runs whose owner lives. Freed by free(). */
tb_status tbi_live_runs(tbi_db *runs, int64_t **ids, size_t *count, tb_err *err);
