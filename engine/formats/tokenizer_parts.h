/* tokenizer_parts.h - what a tokenizer is made of, shared by its readers and its encoder. For
 * formats/ only. */
#pragma once

#include <locale.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"
#include "base/str.h"
#include "formats/tokenizer.h"

typedef enum tbi_piece_kind {
    TBI_PIECE_NORMAL,
    TBI_PIECE_USER,  /* always wins over normal pieces of the same text */
    TBI_PIECE_BYTE,  /* "<0x41>": stands for a byte of an unknown character */
    TBI_PIECE_HIDDEN /* never matched in text: unknown, control, unused */
} tbi_piece_kind;

typedef struct tbi_piece {
    char *text; /* NULL: no such id */
    size_t len;
    double score;
    tbi_piece_kind kind;
} tbi_piece;

/* ------------------------------------------------------------------------------- normalisation */

/* SentencePiece's precompiled map: longest key at a position -> replacement. The blob: bytes of the
 * trie as u32, the trie, the replacements. */
typedef struct tbi_charsmap {
    uint32_t *units; /* darts-clone double array */
    size_t unit_count;
    char *strings; /* 0-terminated replacements, one after another; the last byte is 0 */
    size_t string_bytes;
} tbi_charsmap;

typedef enum tbi_step_kind {
    TBI_STEP_CHARSMAP,
    TBI_STEP_LOWERCASE,
    TBI_STEP_STRIP,          /* white space at the ends */
    TBI_STEP_REPLACE,        /* `pattern` by `content` */
    TBI_STEP_REPLACE_BLANKS, /* two or more blanks by `content` */
    TBI_STEP_REPLACE_SPACES, /* a run of white space by `content` */
    TBI_STEP_PREPEND         /* `content` in front, unless the text is empty */
} tbi_step_kind;

typedef struct tbi_step {
    tbi_step_kind kind;
    tbi_charsmap map;
    bool left, right; /* STRIP: which ends */
    bool blanks;      /* STRIP: U+0020 only */
    char *pattern, *content;
} tbi_step;

typedef enum tbi_prepend { TBI_PREPEND_NEVER, TBI_PREPEND_FIRST, TBI_PREPEND_ALWAYS } tbi_prepend;

typedef struct tbi_added {
    char *text;
    size_t len;
    int32_t id;
    bool swallow_left, swallow_right; /* white space beside it */
} tbi_added;

struct tb_tokenizer {
    char *path;
    tbi_piece *pieces; /* by id */
    int32_t count;
    size_t cap;
    int32_t *sorted; /* ids of the pieces that are matched in text, in byte order */
    int32_t sorted_count;
    double unknown_score; /* lowest score of a normal piece, less 10 */
    double highest;       /* highest score of a normal piece */
    int32_t unknown;
    bool byte_fallback;
    int32_t byte_ids[256]; /* -1: no such piece */
    bool wide; /* path scores are kept in double (HF) rather than float (SentencePiece) */

    tbi_step *steps;
    int step_count;
    size_t step_cap;
    locale_t locale; /* for lower case; 0: ASCII only */

    bool split_spaces; /* HF WhitespaceSplit: words before anything else */
    bool metaspace;    /* blanks become `mark` */
    bool split_marks;  /* a piece never crosses the start of a word */
    tbi_prepend prepend;
    char *mark; /* U+2581 */

    tbi_added *added; /* found in the raw text first */
    int added_count;
    size_t added_cap;
    int32_t *head, *tail; /* special tokens around the text */
    int head_count, tail_count;
};

/* Readers fill an empty tokenizer; `data` has `size` bytes and a 0 behind them. */
tb_status tbi_tokenizer_read_json(tb_tokenizer *t, const char *data, size_t size, tb_err *err);
tb_status tbi_tokenizer_read_model(tb_tokenizer *t, const char *data, size_t size, tb_err *err);
/* The metadata of the GGUF file at t->path, as llama.cpp writes it for T5. */
tb_status tbi_tokenizer_read_gguf(tb_tokenizer *t, tb_err *err);
/* Does the GGUF file carry a tokenizer? */
bool tbi_tokenizer_in_gguf(const char *path);

/* What a SentencePiece model says besides its pieces. */
typedef struct tbi_spm_options {
    uint64_t model_type;  /* 1: Unigram, 2: BPE */
    int64_t unknown, end; /* ids; end < 0: none */
    bool suffix, prefix, trim, escape;
    const void *map; /* precompiled characters; borrowed */
    size_t map_size;
} tbi_spm_options;
/* Called once all pieces are there. TB_EFORMAT. */
tb_status tbi_tokenizer_use_options(tb_tokenizer *t, const tbi_spm_options *o, tb_err *err);
/* Of SentencePiece's number of a piece's type; GGUF's is the same. */
tbi_piece_kind tbi_piece_kind_of(uint64_t type);

/* Give a piece its id; refuses an id that is taken, and texts with a 0 byte. */
tb_status tbi_tokenizer_add_piece(tb_tokenizer *t, int32_t id, const char *text, size_t len,
                                  double score, tbi_piece_kind kind, tb_err *err);
/* A new, empty step at the end. */
tbi_step *tbi_tokenizer_add_step(tb_tokenizer *t, tbi_step_kind kind);
/* Checks and copies a blob; TB_EFORMAT. */
tb_status tbi_charsmap_read(tbi_charsmap *map, const void *blob, size_t size, const char *path,
                            tb_err *err);
void tbi_step_clear(tbi_step *s);

/* `text` of n bytes through all steps, appended to out; invalid bytes become U+FFFD. */
void tbi_tokenizer_normalise(const tb_tokenizer *t, const char *text, size_t n, tb_str *out);

typedef struct tbi_ids {
    int32_t *items;
    int64_t count;
    size_t cap;
} tbi_ids;
void tbi_ids_add(tbi_ids *ids, int32_t id);

/* Sort the pieces for matching; called once all are there. TB_EFORMAT when nothing could be
 * matched. */
tb_status tbi_unigram_prepare(tb_tokenizer *t, tb_err *err);
/* The best segmentation of valid UTF-8, appended to ids. */
void tbi_unigram_segment(const tb_tokenizer *t, const char *text, size_t n, tbi_ids *ids);
