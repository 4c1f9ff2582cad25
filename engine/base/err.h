/* err.h - how a failure travels from where it is found to the user who can mend it.
 *
 * Audience: everybody.
 * Memory:   tb_err is a plain value owned by the caller; setting it never allocates.
 * Threads:  a tb_err belongs to one thread at a time.
 *
 * A fallible call returns tb_status and takes `tb_err *err` last (NULL: the text is not wanted).
 * The first message wins, so that cleanup code cannot hide the cause. The layer that knows adds the
 * place: a node writes the sentence only, the scheduler adds node and origin.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>

/* code, exit code of the program, name, what it means */
#define TB_STATUS_LIST(X)                                                         \
    X(TB_OK, 0, "ok", "done")                                                     \
    X(TB_EUSAGE, 2, "usage", "the command line was not understood")               \
    X(TB_EINVAL, 20, "bad_input", "a graph, a value or an option is wrong")       \
    X(TB_ENOTFOUND, 20, "not_found", "a file, node, tensor or name is not there") \
    X(TB_EFORMAT, 20, "bad_file", "a file is damaged or of another kind")         \
    X(TB_ESCRIPT, 20, "script", "a Lua script failed")                            \
    X(TB_ELIMIT, 30, "limit", "a limit on time, size or memory was reached")      \
    X(TB_ENOMEM, 30, "no_memory", "memory ran out")                               \
    X(TB_EFULL, 30, "disk_full", "the disk is full")                              \
    X(TB_EIO, 1, "io", "reading or writing failed")                               \
    X(TB_ESTORE, 40, "store", "the store cannot be used")                         \
    X(TB_ECANCELED, 130, "canceled", "stopped on request")                        \
    X(TB_EINTERNAL, 1, "internal", "a fault of tubelet itself")

typedef enum tb_status {
#define X(code, exit_code, name, text) code,
    TB_STATUS_LIST(X)
#undef X
} tb_status;

typedef struct tb_err {
    tb_status status;
    char node[160];     /* node id, or "" */
    char input[64];     /* input name, or "" */
    char origin[256];   /* "file:line" of the script line that made the node, or "" */
    const char *reason; /* of a graph's error, for programs: "value_not_in_list", ... as in
                           comfyui-api.md 3.2; static; NULL: none */
    char message[800];  /* one sentence without newline: what was wanted, what was found, what to do
                         */
} tb_err;

#define TB_ERR_INIT ((tb_err){ .status = TB_OK })

/* Return from the calling function with the status of a failed call. For functions that hold
 * nothing. */
#define TB_TRY(call)                      \
    do {                                  \
        tb_status tb_try_status = (call); \
        if (tb_try_status != TB_OK)       \
            return tb_try_status;         \
    } while (0)

/* Go to the cleanup label with `st` set. For functions that hold something. */
#define TB_TRY_GOTO(st, label, call) \
    do {                             \
        (st) = (call);               \
        if ((st) != TB_OK)           \
            goto label;              \
    } while (0)

/* Set status and message (control characters become blanks) unless err already holds one. Returns
 * `status`, so `return tb_err_set(...)`. */
tb_status tb_err_set(tb_err *err, tb_status status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
tb_status tb_err_setv(tb_err *err, tb_status status, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));

/* The same for a failed system call: appends strerror(errnum); ENOSPC and EDQUOT become TB_EFULL,
 * EFBIG TB_ELIMIT, ENOENT TB_ENOTFOUND, everything else TB_EIO. */
tb_status tb_err_errno(tb_err *err, int errnum, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Put words in front of the message, e.g. the file that was being read. */
void tb_err_prefix(tb_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Name the place, where it is not named yet. Any argument may be NULL. */
void tb_err_where(tb_err *err, const char *node, const char *input, const char *origin);

/* Say the reason in the word that programs know, where an error is set and has none yet. `reason`
 * must be static. */
void tb_err_reason(tb_err *err, const char *reason);

/* The whole sentence for the user, without newline: "graphs/t2v.lua:14: node 'k1' (sampler): steps
 * ...". `type` is the node's type, or NULL. Writes at most n bytes, always terminated; returns buf.
 */
char *tb_err_text(const tb_err *err, const char *type, char *buf, unsigned long n);

void tb_err_clear(tb_err *err);
int tb_status_exit_code(tb_status status);
const char *tb_status_name(tb_status status);
