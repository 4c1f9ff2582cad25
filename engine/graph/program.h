/* program.h - a graph checked against its node types and ready to be planned and run.
 *
 * Audience: run/ and the command line. A program grows when composites or nodes expand; indices
 * stay. Threads:  one at a time.
 */
#pragma once

#include "base/hash.h"
#include "graph/graph.h"
#include "graph/types.h"
#include "graph/value.h"

/* One input of a node, in the order of its type's table. */
typedef struct tb_arg {
    tb_value *literal; /* converted to the declared type; NULL: a link, or nothing */
    int src, slot;     /* producer as written, or src = -1 */
} tb_arg;

typedef struct tb_pnode {
    const tb_type *type;
    tb_arg *args;  /* type->input_count */
    tb_arg *alias; /* type->output_count once expanded: what each output stands for; else NULL */
    bool deferred; /* a composite whose literals are known only during the run */
    bool muted;    /* taken out: never runs, is no target */
    bool keyed, impure;
    tb_key key;
} tb_pnode;

typedef struct tb_variant tb_variant; /* rest.c */

typedef struct tb_program {
    tb_graph *graph; /* owned; node i of the graph is node i here */
    const tb_types *types;
    tb_pnode *nodes; /* room for TB_GRAPH_MAX_NODES: they never move, workers may hold one */
    int count;
    uint64_t nonce;       /* enters the keys of impure nodes */
    tb_variant *variants; /* types of nodes with inputs that are not declared */
    bool lenient;         /* set before check(): as ComfyUI takes graphs (tubelet.h) */
    bool exact;           /* set before check(): links as ComfyUI takes them: an INT is no FLOAT */
} tb_program;

/* Takes the graph. Check() has to follow. */
tb_program *tb_program_new(tb_graph *g_take, const tb_types *types);
void tb_program_free(tb_program **p);

/* Compile and validate all graph nodes added since the last call: names, links, types, literals,
 * cycles. Every error goes to the list, with its reason. Returns the number of errors found. */
int tb_program_check(tb_program *p, tb_err_list *errors);

/* unneeded.c: after check() found errors. When all of them are of nodes that were drawn (not made
 * by a script), whose types are known and that none of the targets needs, the list is emptied,
 * those nodes and all others that are not needed are muted, and the log tells. Returns the errors
 * left. */
int tb_program_spare(tb_program *p, const int *targets, int count, tb_err_list *errors);

const char *tb_program_id(const tb_program *p, int i);
const char *tb_program_origin(const tb_program *p, int i);

/* What the link really points to, through expanded composites: a literal (borrowed, *src = -1), a
 * node's output, or a composite that is not expanded yet. */
tb_arg tb_program_resolve(const tb_program *p, int src, int slot);

/* A composite can be expanded when every input marked `literal` is one and none marked `resolved`
 * is linked to a composite that is not expanded. */
bool tb_program_expandable(const tb_program *p, int i);
/* The inputs as an expander wants them: { name: literal | ["id", slot] }; values[k], where given
 * and not NULL, replaces the link of input k. New reference. */
json_t *tb_program_inputs(const tb_program *p, int i, const tb_value *const *values);
/* Splice the answer of an expander { "graph", "outputs" } in place of node i; then
 * tb_program_check. */
tb_status tb_program_splice(tb_program *p, int i, const json_t *answer, tb_err *err);

/* rest.c: the type itself, or where it takes inputs that are not declared (tb_type.rest) and the
 * node has some, one that declares these too; it lives as long as the program and its graph. */
const tb_type *tb_program_variant(tb_program *p, const tb_type *t, const tb_graph_node *g);
void tb_variants_free(tb_variant **first);

/* The value of a scalar input from any scalar: converted to the declared type and checked against
 * range and choices. lenient: conversions may lose something, as Python's do. NULL with one
 * sentence and its reason on error. New reference. */
tb_value *tb_input_convert(const tb_input_def *in, const tb_value *v, bool lenient, tb_err *err);
/* The same for a value that was computed. A seed that went through Lua or a link of int64_t may
 * have become negative: then it stands for 2^64 more, its own bits. */
tb_value *tb_input_convert_computed(const tb_input_def *in, const tb_value *v, bool lenient,
                                    tb_err *err);
bool tb_input_is_scalar(const tb_input_def *in);
/* An INT of all 64 bits: 0 to 2^64-1 unless its range says otherwise. */
bool tb_input_is_seed(const tb_input_def *in);
/* May a literal stand there: a scalar, a list of them, a union with one of them, or anything? */
bool tb_input_takes_literal(const tb_input_def *in);
/* The default as a value; NULL for ports. New reference. */
tb_value *tb_input_default(const tb_input_def *in);
/* Write values (per input; NULL: nothing there) into a params struct of type->def->params_size
 * bytes. */
void tb_params_fill(const tb_type *t, const tb_value *const *values, void *params);

/* ---------------------------------------------------------------------------------------- keys */

/* Adds what stands behind the node's inputs on disk (files, models) to the hash. */
typedef tb_status (*tb_fingerprint_fn)(void *ctx, int node, tb_hasher *h, tb_err *err);

/* Numeric classes: of the kernels (TB_NODE_NUMERIC), and of how large linears multiply with them
 * (TB_NODE_LINEARS; compute/mode.h). */
typedef struct tb_numeric {
    const char *kernels, *linears;
} tb_numeric;

/* Keys of all nodes that have none yet, producers first. */
tb_status tb_program_keys(tb_program *p, const tb_numeric *numeric, tb_fingerprint_fn fingerprint,
                          void *ctx, tb_err *err);
/* The second name: the same ingredients with the digests of the inputs' bytes instead of producers'
 * keys. */
tb_key tb_content_key(const tb_pnode *n, const tb_numeric *numeric, const tb_value *const *values);
