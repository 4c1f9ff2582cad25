/* node.h - how to write a node: one static table in one file under nodes/.
 *
 * Audience: node authors. nodes/math_number.c is the smallest example, nodes/noise_init.c a usual
 * one.
 *
 * A node declares its inputs (each a literal or a link), its outputs, and functions:
 *   plan (optional)  before any work: shapes and memory of the outputs, errors that need no data.
 * Must answer at once. Ports and linked scalars hold their value only where it is known already (a
 * model's reference); else the port is NULL and the scalar its default: ask tb_job_plan_known. run
 * worker thread: computes. Inputs are read-only; outputs are set once. need (optional)  which lazy
 * inputs are wanted, from what is known. deliver          (optional) writes a finished, possibly
 * cached, result to the outside: a file. Runs after every run of the graph, also when the result
 * came from the store. fingerprint      (optional) adds the content behind an input (a model
 * folder) to the key. The sentence of an error says what was wanted and what was found; the engine
 * adds node, input and line.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"
#include "compute/compute.h"
#include "compute/rng.h"
#include "compute/tensor.h"
#include "graph/value.h"

#define TB_NODE_ABI 1

typedef struct tb_job tb_job; /* one call of one node */

/* ----------------------------------------------------------------------------- inputs, outputs */

/* Port types: "INT" "FLOAT" "STRING" "BOOLEAN" "COMBO" "MODEL" "CLIP" "VAE" "CLIP_VISION"
 * "CLIP_VISION_OUTPUT" "CONDITIONING" "LATENT" "IMAGE" "MASK" "VIDEO" "SIGMAS" "VELOCITY" "TENSOR"
 * "FILE", "*" for any, "A,B" for either. LATENT record { samples f32 [C,T,H,W]; noise, x0, ... as
 * samplers need } CONDITIONING  record { text f32 [tokens,dim]; known f32 [C,T,H,W]; mask f32
 * [T,H,W]; ... } IMAGE         f32 [frames,H,W,3], 0..1 MASK  f32 [frames,H,W], 0..1 VIDEO record {
 * images IMAGE; fps FLOAT } MODEL, CLIP, VAE record { kind, path, id, sizes }: a reference, weights
 * are opened when used FILE record { name STRING; bytes u8 [n] } or a LIST of them */

enum {
    TB_IN_OPTIONAL = 1 << 0,  /* a port that may be left unconnected: its field is NULL then */
    TB_IN_LAZY = 1 << 1,      /* only evaluated when need() asks for it; NULL until then */
    TB_IN_LIST = 1 << 2,      /* receives all elements of a list at once, as a LIST value */
    TB_IN_FILE = 1 << 3,      /* STRING naming a file: its content enters the key, not its name */
    TB_IN_UNKEYED = 1 << 4,   /* does not change the result (where to deliver it): not in the key */
    TB_IN_KEY_EXT = 1 << 5,   /* only the file name's extension enters the key */
    TB_IN_MULTILINE = 1 << 6, /* a hint for forms */
    TB_IN_LITERAL = 1 << 7,   /* must be known before the run: no link (composites) */
    TB_IN_UPLOAD = 1 << 8,    /* a file of the user's: forms offer to upload one */
    TB_IN_SEED = 1 << 9,      /* forms offer to change it after each run (control_after_generate) */
    TB_IN_ADVANCED = 1 << 10, /* rarely changed: forms show it apart from the others */
    TB_IN_RESOLVED = 1 << 11, /* composites: expanded after the composite it is linked to, and given
                                 what that one answers, a table of links and values too */
};

typedef struct tb_input_def {
    const char *name;
    const char *type;
    unsigned flags;
    size_t offset; /* into the params struct */
    /* INT/FLOAT: default and inclusive range. BOOLEAN: default in i_default. */
    int64_t i_default, i_min, i_max;
    double f_default, f_min, f_max;
    const char *s_default; /* STRING, COMBO; NULL: required */
    const char *choices;   /* COMBO: "euler|heun|ddim" */
    const char *files;     /* COMBO: the kind of files it offers (base/folders.h), not choices */
    const char *unit;      /* "pixels", "" */
    const char *doc;       /* one sentence */
    bool required;         /* a literal without default */
} tb_input_def;

/* Fails to compile when the field has another C type. */
#define TB_FIELD(T, f, ctype) (offsetof(T, f) * sizeof(char[_Generic(((T *)0)->f, ctype : 1)]))

#define TB_IN_INT(T, f, def, lo, hi, u, text)                                             \
    {                                                                                     \
        .name = #f, .type = "INT", .offset = TB_FIELD(T, f, int64_t), .i_default = (def), \
        .i_min = (lo), .i_max = (hi), .unit = (u), .doc = (text)                          \
    }
#define TB_IN_FLOAT(T, f, def, lo, hi, u, text)                                            \
    {                                                                                      \
        .name = #f, .type = "FLOAT", .offset = TB_FIELD(T, f, double), .f_default = (def), \
        .f_min = (lo), .f_max = (hi), .unit = (u), .doc = (text)                           \
    }
#define TB_IN_BOOL(T, f, def, text)                                                        \
    {                                                                                      \
        .name = #f, .type = "BOOLEAN", .offset = TB_FIELD(T, f, bool), .i_default = (def), \
        .doc = (text)                                                                      \
    }
/* def = NULL: required. fl: flags. Field: const char *, valid while plan/run runs. */
#define TB_IN_STRING(T, f, def, fl, text)                                                    \
    {                                                                                        \
        .name = #f, .type = "STRING", .flags = (fl), .offset = TB_FIELD(T, f, const char *), \
        .s_default = (def), .required = (def) == NULL, .doc = (text)                         \
    }
#define TB_IN_COMBO(T, f, def, list, text)                                                       \
    {                                                                                            \
        .name = #f, .type = "COMBO", .offset = TB_FIELD(T, f, const char *), .s_default = (def), \
        .choices = (list), .doc = (text)                                                         \
    }
/* A linked value. Field: const tb_value *, borrowed. Required unless TB_IN_OPTIONAL. */
#define TB_IN_PORT(T, f, port_type, fl, text)                     \
    {                                                             \
        .name = #f, .type = (port_type), .flags = (fl),           \
        .offset = TB_FIELD(T, f, const tb_value *), .doc = (text) \
    }

typedef struct tb_output_def {
    const char *name;
    const char *type;
    bool is_list;      /* gives many values; what follows is called once for each */
    const char *shape; /* "C,T,H,W", for the reference page */
    const char *doc;
} tb_output_def;

/* ------------------------------------------------------------------------------- the definition */

enum {
    TB_NODE_INLINE =
        1 << 0, /* trivial: run on the loop thread, microseconds only; also while planning */
    TB_NODE_IO = 1 << 1, /* files and codecs: run on the pool for them, not on the compute worker */
    TB_NODE_NUMERIC = 1 << 2, /* bytes depend on kernels: the numeric class enters the key */
    TB_NODE_IMPURE = 1 << 3,  /* reads a clock or a network: keyed by run, never shared */
    TB_NODE_TARGET = 1 << 4,  /* an output node: what a run is for */
    TB_NODE_KEEP = 1 << 5,    /* always stored (every denoising step) */
    TB_NODE_FORGET = 1 << 6,  /* never stored: cheaper to make than to read; run while planning if
                                 its  inputs are known */
    TB_NODE_LINEARS = 1 << 7, /* bytes depend on --compute as well, which enters the key */
    TB_NODE_BLOCKED = 1 << 8, /* runs with blocked values too: it passes elements of lists on */
};

enum { TB_PACK_CALLS = 16 };

/* One of several calls that run together. The node sets status, and err when it is not TB_OK. */
typedef struct tb_call {
    tb_job *job;
    const void *params;
    tb_status status;
    tb_err *err;
} tb_call;

typedef struct tb_node_def {
    int abi;     /* TB_NODE_ABI */
    int version; /* raise when the output bytes change */
    const char *name, *title, *category;
    const char *doc; /* first sentence: what it does */
    unsigned flags;
    size_t params_size;
    const tb_input_def *inputs;   /* ends with { 0 } */
    const tb_output_def *outputs; /* ends with { 0 }; may be NULL */
    tb_status (*plan)(tb_job *job, const void *params, tb_err *err);
    tb_status (*run)(tb_job *job, const void *params, tb_err *err);
    /* Optional, for nodes of the compute worker: several ready calls of one run at once, where that
     * is cheaper than one after the other and gives the same bytes. At most TB_PACK_CALLS run
     * together, with at most pack_limit numbers in their main outputs (from plan()) in all. */
    void (*run_pack)(tb_call *calls, int count);
    int64_t pack_limit;
    /* Bit i: input i of the table is wanted. `have`: bit i is set when input i has its value.
     * Called again after each answer until nothing new is asked for. Without it all lazy inputs are
     * wanted. */
    uint64_t (*need)(const void *params, uint64_t have);
    tb_status (*deliver)(tb_job *job, const void *params, tb_err *err);
    tb_status (*fingerprint)(tb_job *job, const void *params, tb_hasher *h, tb_err *err);
    /* Lua for the build function of a graph, where `tb` is the module: it returns this node. Shown
     * by `tubelet nodes`, run by tests/test_examples.sh. Files it reads are shipped ones, named
     * from the root of the repository. */
    const char *example;
} tb_node_def;

/* All definitions in nodes/, by name; made by CMake. Ends with NULL. */
extern const tb_node_def *const tb_node_list[];

/* --------------------------------------------------------------------------- what a job offers */

/* plan and run: set output `slot` to a value; consumes v. On list outputs each call appends. */
void tb_job_set_take(tb_job *job, int slot, tb_value *v);
/* deliver: the finished output. Borrowed. */
const tb_value *tb_job_output(const tb_job *job, int slot);
/* deliver: the finished outputs of all calls as a LIST: several when the node ran over a list.
 * Borrowed. */
const tb_value *tb_job_outputs(const tb_job *job, int slot);

/* plan: is the value of this input known (a literal, or made by a trivial node)? */
bool tb_job_plan_known(const tb_job *job, const char *input);
/* plan: shape of the main tensor behind an input port, if it is known already. */
bool tb_job_plan_shape(const tb_job *job, const char *input, tb_shape *shape);
/* plan: the shape of the main tensor of an output, its dtype, and the bytes needed while running.
 */
void tb_job_plan_output(tb_job *job, int slot, tb_dtype dtype, const tb_shape *shape);
void tb_job_plan_scratch(tb_job *job, size_t bytes);
/* plan: floating-point operations it will take, a multiplication with its addition being two. The
 * time is told from them until such a node has been timed on this machine. */
void tb_job_plan_work(tb_job *job, double flop);

bool tb_job_canceled(const tb_job *job);
/* TB_ECANCELED when the run is being stopped: TB_TRY(tb_job_check(job, err)). */
tb_status tb_job_check(const tb_job *job, tb_err *err);
/* Share of the work done, 0..1; any thread. */
void tb_job_progress(tb_job *job, double done);
/* The address of the cancel flag, for model code that polls it per block. */
const atomic_bool *tb_job_cancel_flag(const tb_job *job);

/* run on the compute worker: the kernels and the models. Loaded on first use. NULL on error. */
tb_compute *tb_job_compute(tb_job *job, tb_err *err);
struct tb_models;
struct tb_models *tb_job_models(tb_job *job);
/* Bytes that running a part takes: its weights as they are held, and the work beside them on a
 * latent [C,T,H,W], or on a text of full length. From the sizes in a record of load_model; those
 * that are missing count as 0. A plan does not know what is open already, so every node that uses a
 * part counts its weights: one such node runs at a time. */
size_t tb_bytes_of_dit(const tb_job *job, const tb_value *model, const tb_shape *latent);
size_t tb_bytes_of_umt5(const tb_value *clip);
size_t tb_bytes_of_clip_vision(const tb_value *clip_vision);
size_t tb_bytes_of_vae(const tb_value *vae, bool encode, const tb_shape *latent);
/* Operations of one evaluation of the transformer at the engine's precision, and of the VAE on a
 * latent [C,T,H,W]; for tb_job_plan_work. */
double tb_flop_of_dit(const tb_job *job, const tb_value *model, const tb_shape *latent);
double tb_flop_of_vae(const tb_value *vae, bool encode, const tb_shape *latent);
double tb_flop_of_clip_vision(const tb_value *clip_vision); /* of a picture */
/* What tells a MODEL, CLIP, VAE or CLIP_VISION from others: the digest of its content, or where
 * there is none, its path. Borrowed from it. */
const char *tb_part_id(const tb_value *part);
/* run on the compute worker, before a part is opened: closes others, the one used longest ago
 * first, until what stays open and these bytes fit into the engine's memory limit. */
void tb_job_make_room(tb_job *job, const tb_value *part, size_t bytes);
/* After a part was used that goes on reading its files: TB_EIO when they were changed meanwhile. */
tb_status tb_job_check_part(tb_job *job, const tb_value *part, tb_err *err);
/* Do transformers multiply in int8 (compute/mode.h)? Also while planning. */
bool tb_job_in_int8(const tb_job *job);
/* What the engine may hold; 0: unlimited. */
size_t tb_job_memory_limit(const tb_job *job);
/* What tb_job_models rests on: one object an engine, made on first use and dropped with the engine.
 */
void *tb_job_shared(tb_job *job, void *(*make)(void), void (*drop)(void *));

/* What is to be embedded in files: JSON texts by key, of which "prompt" is the run's own graph.
 * NULL: nothing. Borrowed. */
const json_t *tb_job_metadata(const tb_job *job);
/* Paths given by the user, made absolute; freed by free(). A server limits them to its folders:
 * NULL then, with a sentence that names those. tb_job_path: a file to be read; relative to the
 * folder the run was started in, or to the first of the server's in which it is. All may name a
 * folder: "input:photo.png", "output:clip.mp4", "vae:wan.safetensors" (base/folders.h).
 * tb_job_target_path: a file to be written. tb_job_model_path: a model, which may be anywhere. */
char *tb_job_path(const tb_job *job, const char *path, tb_err *err);
char *tb_job_target_path(const tb_job *job, const char *path, tb_err *err);
char *tb_job_model_path(const tb_job *job, const char *path);
/* Five letters that stay as long as the program runs. Borrowed. */
const char *tb_job_session(const tb_job *job);
/* plan: could a file be written to `path`? TB_EINVAL when a folder is there or a file is where a
 * folder must be, TB_EIO when the folder may not be written: told before the work, not after. */
tb_status tb_job_check_target(tb_job *job, const char *path, tb_err *err);
/* deliver: write the FILEs of an output (of all elements, when the node ran over a list): one
 * exactly to `path`, several to "name_00001.png", ... or where the path has a %05d. A path with a
 * run of '#' in its name is numbered on from the files that are there (base/numbered.h); %year%,
 * %month%, %day%, %hour%, %minute%, %second% stand for now, %width%, %height% for those fields of
 * the FILE, %batch_num% for its place from 0, %session% for tb_job_session. The graph is
 * put into those that have a place for it. Tells the user of each, as of `kind`. */
tb_status tb_job_deliver_files(tb_job *job, int slot, const char *path, const char *kind,
                               tb_err *err);
/* deliver: tell the user of a file that was written. kind: "video", "image", "animation",
 * "tensors". */
void tb_job_delivered(tb_job *job, const char *path, const char *kind);
/* fingerprint, run: digest of a file's content, remembered by path, size and mtime. */
tb_status tb_job_file_digest(tb_job *job, const char *path, tb_digest *d, tb_err *err);

/* run: answer with a subgraph instead of outputs. `graph` is a document (graph/graph.h JSON) whose
 * ids are put below this node's; `outputs` is an array with one item per output: ["id", slot] or a
 * literal. Consumes both. */
void tb_job_expand_take(tb_job *job, json_t *graph, json_t *outputs);
