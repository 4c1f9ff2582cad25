/* tokenizer_model.c - reading a SentencePiece model: a protobuf message, field by field. */
#include <string.h>

#include "base/mem.h"
#include "formats/tokenizer_parts.h"

#define MAX_PIECES 4000000

typedef struct cursor {
    const uint8_t *p, *end;
    bool bad;
} cursor;

typedef struct field {
    uint32_t number, wire;
    uint64_t value;      /* wire 0, 1 and 5 */
    const uint8_t *data; /* wire 2 */
    size_t size;
} field;

static uint64_t read_varint(cursor *c)
{
    uint64_t v = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        if (c->p == c->end)
            break;
        const uint8_t b = *c->p++;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80))
            return v;
    }
    c->bad = true;
    return 0;
}

static uint64_t read_fixed(cursor *c, size_t bytes)
{
    uint64_t v = 0;
    if ((size_t)(c->end - c->p) < bytes) {
        c->bad = true;
        return 0;
    }
    for (size_t i = 0; i < bytes; i++)
        v |= (uint64_t)*c->p++ << (8 * i);
    return v;
}

/* The next field; false at the end or at damage (c->bad). */
static bool next_field(cursor *c, field *f)
{
    if (c->p == c->end || c->bad)
        return false;
    const uint64_t key = read_varint(c);
    *f = (field){ .number = (uint32_t)(key >> 3), .wire = (uint32_t)key & 7 };
    switch (f->wire) {
    case 0: f->value = read_varint(c); break;
    case 1: f->value = read_fixed(c, 8); break;
    case 2:
        f->value = read_varint(c);
        if (c->bad || f->value > (uint64_t)(c->end - c->p)) {
            c->bad = true;
            break;
        }
        f->data = c->p;
        f->size = (size_t)f->value;
        c->p += f->size;
        break;
    case 5: f->value = read_fixed(c, 4); break;
    default: c->bad = true; break;
    }
    return !c->bad;
}

static tb_status damaged(const tb_tokenizer *t, const char *where, tb_err *err)
{
    return tb_err_set(err, TB_EFORMAT, "'%s' is not a SentencePiece model: its %s cannot be read",
                      t->path, where);
}

static double as_float(uint64_t bits)
{
    const uint32_t u = (uint32_t)bits;
    float f;
    memcpy(&f, &u, 4);
    return (double)f;
}

tbi_piece_kind tbi_piece_kind_of(uint64_t type)
{
    switch (type) {
    case 1: return TBI_PIECE_NORMAL;
    case 4: return TBI_PIECE_USER;
    case 6: return TBI_PIECE_BYTE;
    default: return TBI_PIECE_HIDDEN;
    }
}

static tb_status read_piece(tb_tokenizer *t, const field *outer, tb_err *err)
{
    cursor c = { outer->data, outer->data + outer->size, false };
    field f, text = { 0 };
    double score = 0;
    uint64_t type = 1;
    while (next_field(&c, &f)) {
        if (f.number == 1 && f.wire == 2)
            text = f;
        else if (f.number == 2 && f.wire == 5)
            score = as_float(f.value);
        else if (f.number == 3 && f.wire == 0)
            type = f.value;
    }
    if (c.bad || !text.data)
        return damaged(t, "list of pieces", err);
    if (t->count >= MAX_PIECES)
        return tb_err_set(err, TB_ELIMIT, "'%s' has more than %d pieces", t->path, MAX_PIECES);
    return tbi_tokenizer_add_piece(t, t->count, (const char *)text.data, text.size, score,
                                   tbi_piece_kind_of(type), err);
}

static tb_status read_trainer(tb_tokenizer *t, const field *outer, tbi_spm_options *o, tb_err *err)
{
    cursor c = { outer->data, outer->data + outer->size, false };
    field f;
    while (next_field(&c, &f)) {
        if (f.wire != 0)
            continue;
        switch (f.number) {
        case 3: o->model_type = f.value; break;
        case 24: o->suffix = f.value; break;
        case 35: t->byte_fallback = f.value; break;
        case 40: o->unknown = (int64_t)f.value; break;
        case 42: o->end = (int64_t)f.value; break;
        default: break;
        }
    }
    return c.bad ? damaged(t, "training options", err) : TB_OK;
}

static tb_status read_normalizer(const tb_tokenizer *t, const field *outer, tbi_spm_options *o,
                                 tb_err *err)
{
    cursor c = { outer->data, outer->data + outer->size, false };
    field f;
    while (next_field(&c, &f)) {
        switch (f.number) {
        case 2:
            if (f.wire != 2)
                return damaged(t, "normaliser", err);
            o->map = f.data;
            o->map_size = f.size;
            break;
        case 3: o->prefix = f.value; break;
        case 4: o->trim = f.value; break;
        case 5: o->escape = f.value; break;
        default: break;
        }
    }
    return c.bad ? damaged(t, "normaliser", err) : TB_OK;
}

static tb_status use_normalizer(tb_tokenizer *t, const tbi_spm_options *o, tb_err *err)
{
    if (o->map_size) {
        tbi_step *s = tbi_tokenizer_add_step(t, TBI_STEP_CHARSMAP);
        TB_TRY(tbi_charsmap_read(&s->map, o->map, o->map_size, t->path, err));
    }
    if (o->trim) {
        tbi_step *s = tbi_tokenizer_add_step(t, TBI_STEP_STRIP);
        s->left = s->right = s->blanks = true;
        tbi_tokenizer_add_step(t, TBI_STEP_REPLACE_BLANKS)->content = tb_xstrdup(" ");
    }
    if (o->prefix)
        tbi_tokenizer_add_step(t, TBI_STEP_PREPEND)->content = tb_xstrdup(" ");
    t->metaspace = o->escape;
    t->prepend = TBI_PREPEND_NEVER;
    return TB_OK;
}

static tb_status use_trainer(tb_tokenizer *t, const tbi_spm_options *o, tb_err *err)
{
    if (o->model_type != 1)
        return tb_err_set(err, TB_EFORMAT,
                          "'%s': tokenizer model %s is not supported; a Unigram model is needed",
                          t->path, o->model_type == 2 ? "BPE" : "of this kind");
    if (o->suffix)
        return tb_err_set(
            err, TB_EFORMAT,
            "'%s' marks spaces behind words, which is not supported; a model that marks them "
            "in front is needed",
            t->path);
    if (o->unknown < 0 || o->unknown >= t->count)
        return tb_err_set(err, TB_EFORMAT,
                          "'%s' names %lld as its unknown piece, but has %d pieces", t->path,
                          (long long)o->unknown, (int)t->count);
    t->unknown = (int32_t)o->unknown;
    if (o->end >= 0 && o->end < t->count) {
        t->tail = tb_xcalloc(1, sizeof *t->tail);
        t->tail[0] = (int32_t)o->end;
        t->tail_count = 1;
    }
    return TB_OK;
}

tb_status tbi_tokenizer_use_options(tb_tokenizer *t, const tbi_spm_options *o, tb_err *err)
{
    TB_TRY(use_normalizer(t, o, err));
    return use_trainer(t, o, err);
}

tb_status tbi_tokenizer_read_model(tb_tokenizer *t, const char *data, size_t size, tb_err *err)
{
    const uint8_t *bytes = (const uint8_t *)data;
    cursor c = { bytes, bytes + size, false };
    /* the defaults of sentencepiece_model.proto */
    tbi_spm_options o = {
        .model_type = 1, .unknown = 0, .end = 2, .prefix = true, .trim = true, .escape = true
    };
    field f;
    while (next_field(&c, &f)) {
        if (f.wire != 2)
            continue;
        if (f.number == 1)
            TB_TRY(read_piece(t, &f, err));
        else if (f.number == 2)
            TB_TRY(read_trainer(t, &f, &o, err));
        else if (f.number == 3)
            TB_TRY(read_normalizer(t, &f, &o, err));
    }
    if (c.bad || !t->count)
        return damaged(t, "list of pieces", err);
    return tbi_tokenizer_use_options(t, &o, err);
}
