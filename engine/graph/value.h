/* value.h - what travels along the links of a graph.
 *
 * A value is a number, a text, a tensor, a record of named values (a LATENT is {samples, noise,
 * mask...}) or a reference to a model on disk. Values are immutable and refcounted.
 *
 * Memory:  constructors give one reference; arguments named `_take` are consumed.
 * Threads: the count is atomic; a value may be read from any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/json.h"
#include "compute/tensor.h"

typedef enum tb_kind {
    TB_NONE,
    TB_BOOLEAN,
    TB_INT,
    TB_FLOAT,
    TB_STRING,
    TB_TENSOR,
    TB_RECORD,
    TB_LIST
} tb_kind;

typedef struct tb_value tb_value;

tb_value *tb_value_none(void);
tb_value *tb_value_bool(bool b);
tb_value *tb_value_int(int64_t i);
/* An INT up to 2^64-1, as seeds may be. Whoever reads it as int64_t has its bits: 2^64-1 is -1. */
tb_value *tb_value_uint(uint64_t u);
/* Is it above INT64_MAX? */
bool tb_value_is_unsigned(const tb_value *v);
tb_value *tb_value_float(double f);
tb_value *tb_value_string(const char *s);
tb_value *tb_value_tensor_take(tb_tensor *t);
/* An empty record; filled with tb_record_set before it is shared. */
tb_value *tb_value_record(void);
/* What stands for a value that must not be used: a node that would read it does not run, and gives
 * the same in its turn. message: why, for the user; NULL: nothing is said. A record of one field.
 */
tb_value *tb_value_blocked(const char *message);
bool tb_value_is_blocked(const tb_value *v);
/* NULL: nothing is to be said. Borrowed. */
const char *tb_value_blocked_message(const tb_value *v);
/* A list as one value (an input marked TB_IN_LIST receives one). */
tb_value *tb_value_list(void);

tb_value *tb_value_ref(const tb_value *v);
void tb_value_unref(tb_value **v);

tb_kind tb_value_kind(const tb_value *v);
bool tb_value_as_bool(const tb_value *v);          /* asserted kind */
int64_t tb_value_as_int(const tb_value *v);        /* INT or BOOLEAN */
double tb_value_as_float(const tb_value *v);       /* INT or FLOAT */
const char *tb_value_as_string(const tb_value *v); /* borrowed */
const tb_tensor *tb_value_as_tensor(const tb_value *v);

/* Records: fields keep their order. The field is borrowed; NULL when it is not there or v is no
 * record. */
void tb_record_set_take(tb_value *record, const char *name, tb_value *v);
const tb_value *tb_record_get(const tb_value *record, const char *name);
/* The tensor of that field, borrowed; NULL when it is not there or no tensor. */
const tb_tensor *tb_record_tensor(const tb_value *record, const char *name);
/* A copy that shares all fields, to be changed with tb_record_set_take. */
tb_value *tb_record_copy(const tb_value *record);
int tb_record_count(const tb_value *record);
const char *tb_record_name(const tb_value *record, int i);
const tb_value *tb_record_at(const tb_value *record, int i);

void tb_list_append_take(tb_value *list, tb_value *v);
int tb_list_count(const tb_value *list);
const tb_value *tb_list_at(const tb_value *list, int i);

/* The f32 tensor of this shape (-1: any size) in v, or in field `field` of the record v. Borrowed.
 * NULL when it is something else, saying "<what>, got ..."; what: "image must be f32
 * [frames,height,width,3]". */
const tb_tensor *tb_value_want(const tb_value *v, const char *field, const tb_shape *shape,
                               const char *what, tb_err *err);
/* A record like the first, whose main tensor and the tensors of the same shape have gone through
 * fn; scalars and texts are kept, other tensors left out. With several records fn gets one tensor
 * of each, and what not all have is left out. All must have the tensor `main`. NULL on error. */
typedef tb_tensor *(*tb_tensor_fn)(void *ctx, const tb_tensor *const *in, int n, tb_err *err);
tb_value *tb_record_map(const tb_value *const *records, int n, const char *main, tb_tensor_fn fn,
                        void *ctx, tb_err *err);
/* A FILE: record { name, bytes }. */
tb_value *tb_value_file_take(const char *name, tb_tensor *bytes);

/* Bytes of all tensors inside. */
size_t tb_value_bytes(const tb_value *v);

/* Scalars, strings, lists and records of them from JSON and back; tensors become what `put` returns
 * for them (store: a blob reference) and are read back through `get`. NULL callbacks refuse
 * tensors. */
typedef json_t *(*tb_tensor_put)(void *ctx, const tb_tensor *t, tb_err *err);
typedef tb_tensor *(*tb_tensor_get)(void *ctx, const json_t *ref, tb_err *err);
json_t *tb_value_to_json(const tb_value *v, tb_tensor_put put, void *ctx, tb_err *err);
tb_value *tb_value_from_json(const json_t *j, tb_tensor_get get, void *ctx, tb_err *err);
