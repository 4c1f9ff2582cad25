/* pickle.h - the pickles of torch.save, read as data: a machine that knows containers, numbers,
 * texts and tensors, and calls nothing. For formats/ only.
 *
 * Protocol 2, the opcodes that torch.save writes. Of names, only those that describe tensors are
 * known: collections.OrderedDict, torch's storages and dtypes, torch.Size, and torch._utils'
 * _rebuild_tensor_v2, _rebuild_tensor_v3 and _rebuild_parameter, which become values of kind
 * TENSOR. Whatever else a pickle wants to call is refused by name.
 *
 * Memory:  a tbi_pickle owns all its values; containers may hold each other.
 * Errors:  TB_EFORMAT with one sentence that begins with the file's path.
 * Source:  pickletools of Python 3, torch/serialization.py and torch/_utils.py.
 */
#pragma once

#include "compute/tensor.h"

typedef enum tbi_pickle_kind {
    PICKLE_NONE,
    PICKLE_BOOL,
    PICKLE_INT,
    PICKLE_FLOAT, /* without its number */
    PICKLE_TEXT,
    PICKLE_TUPLE,
    PICKLE_LIST,
    PICKLE_DICT,
    PICKLE_NAME, /* something that could be called; of pickle.c alone */
    PICKLE_STORAGE,
    PICKLE_TENSOR,
    PICKLE_MARK, /* on the stack alone */
} tbi_pickle_kind;

typedef struct tbi_pickle_value {
    tbi_pickle_kind kind;
    int64_t number;  /* INT, BOOL; STORAGE: elements; TENSOR: its offset there, in elements */
    char *text;      /* TEXT; STORAGE: its key */
    tb_dtype dtype;  /* STORAGE, TENSOR */
    const void *of;  /* NAME: what it stands for */
    tb_shape shape;  /* TENSOR */
    tb_shape stride; /* TENSOR, in elements */
    struct tbi_pickle_value **items; /* TUPLE, LIST; DICT: key, value, key, ...; TENSOR: storage */
    int64_t count;
    size_t cap;
} tbi_pickle_value;

typedef struct tbi_pickle tbi_pickle;
/* `path` for messages; the bytes are needed during the call only. */
tbi_pickle *tbi_pickle_read(const uint8_t *bytes, size_t n, const char *path, tb_err *err);
void tbi_pickle_free(tbi_pickle **p);
/* Borrowed. */
const tbi_pickle_value *tbi_pickle_root(const tbi_pickle *p);
/* The value under a text key of a DICT; NULL: none, or no DICT. */
const tbi_pickle_value *tbi_pickle_get(const tbi_pickle_value *dict, const char *key);
