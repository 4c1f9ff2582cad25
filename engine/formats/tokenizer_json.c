/* tokenizer_json.c - reading Hugging Face's tokenizer.json where its model is a Unigram one. */
#include <nettle/base64.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "formats/tokenizer_parts.h"

#define MAX_PIECES 4000000
#define MAX_STEPS  64

static const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static tb_status unsupported(const tb_tokenizer *t, const char *part, const char *type, tb_err *err)
{
    return tb_err_set(err, TB_EFORMAT, "'%s': %s '%.60s' is not supported", t->path, part, type);
}

static tb_status malformed(const tb_tokenizer *t, const char *part, tb_err *err)
{
    return tb_err_set(err, TB_EFORMAT, "'%s' is damaged: its %s cannot be read", t->path, part);
}

/* --------------------------------------------------------------------------------- normalizers */

static tb_status read_charsmap(tb_tokenizer *t, const json_t *n, tb_err *err)
{
    const json_t *v = json_object_get(n, "precompiled_charsmap");
    if (!json_string_length(v)) /* an empty map changes nothing */
        return TB_OK;
    struct base64_decode_ctx ctx;
    size_t size = BASE64_DECODE_LENGTH(json_string_length(v));
    uint8_t *blob = tb_xcalloc(size, 1);
    base64_decode_init(&ctx);
    tb_status st;
    if (!base64_decode_update(&ctx, &size, blob, json_string_length(v), json_string_value(v)) ||
        !base64_decode_final(&ctx))
        st = malformed(t, "character map", err);
    else
        st = tbi_charsmap_read(&tbi_tokenizer_add_step(t, TBI_STEP_CHARSMAP)->map, blob, size,
                               t->path, err);
    free(blob);
    return st;
}

static tb_status read_replace(tb_tokenizer *t, const json_t *n, tb_err *err)
{
    const json_t *pattern = json_object_get(n, "pattern");
    const char *regex = text_of(pattern, "Regex"), *text = text_of(pattern, "String");
    tbi_step_kind kind = TBI_STEP_REPLACE;
    if (*regex && strcmp(regex, " {2,}") == 0)
        kind = TBI_STEP_REPLACE_BLANKS;
    else if (*regex && strcmp(regex, "\\s+") == 0)
        kind = TBI_STEP_REPLACE_SPACES;
    else if (*regex || !*text)
        return unsupported(t, "the normalizer Replace with the pattern", regex, err);
    tbi_step *s = tbi_tokenizer_add_step(t, kind);
    s->pattern = tb_xstrdup(text);
    s->content = tb_xstrdup(text_of(n, "content"));
    return TB_OK;
}

static tb_status read_normalizer(tb_tokenizer *t, const json_t *n, tb_err *err)
{
    const char *type = text_of(n, "type");
    if (t->step_count >= MAX_STEPS)
        return malformed(t, "list of normalizers", err);
    if (strcmp(type, "Precompiled") == 0)
        return read_charsmap(t, n, err);
    if (strcmp(type, "Replace") == 0)
        return read_replace(t, n, err);
    if (strcmp(type, "Lowercase") == 0) {
        tbi_tokenizer_add_step(t, TBI_STEP_LOWERCASE);
        return TB_OK;
    }
    if (strcmp(type, "Strip") == 0) {
        tbi_step *s = tbi_tokenizer_add_step(t, TBI_STEP_STRIP);
        s->left = json_is_true(json_object_get(n, "strip_left"));
        s->right = json_is_true(json_object_get(n, "strip_right"));
        return TB_OK;
    }
    if (strcmp(type, "Prepend") == 0) {
        tbi_tokenizer_add_step(t, TBI_STEP_PREPEND)->content = tb_xstrdup(text_of(n, "prepend"));
        return TB_OK;
    }
    return unsupported(t, "the normalizer", type, err);
}

/* One part, or a Sequence of parts; a Sequence within a Sequence is not one of the known types. */
static tb_status read_parts(tb_tokenizer *t, const json_t *v, const char *list,
                            tb_status (*read)(tb_tokenizer *, const json_t *, tb_err *),
                            tb_err *err)
{
    if (!v || json_is_null(v))
        return TB_OK;
    if (strcmp(text_of(v, "type"), "Sequence") != 0)
        return read(t, v, err);
    size_t i;
    json_t *part;
    json_array_foreach(json_object_get(v, list), i, part)
    {
        TB_TRY(read(t, part, err));
    }
    return TB_OK;
}

/* ------------------------------------------------------------------------------ pre-tokenizers */

static tb_status read_scheme(tb_tokenizer *t, const json_t *p, tb_err *err)
{
    const char *scheme = text_of(p, "prepend_scheme");
    const json_t *old = json_object_get(p, "add_prefix_space"); /* files before the schemes */
    if (strcmp(scheme, "always") == 0)
        t->prepend = TBI_PREPEND_ALWAYS;
    else if (strcmp(scheme, "first") == 0)
        t->prepend = TBI_PREPEND_FIRST;
    else if (strcmp(scheme, "never") == 0)
        t->prepend = TBI_PREPEND_NEVER;
    else if (!*scheme)
        t->prepend = json_is_false(old) ? TBI_PREPEND_NEVER : TBI_PREPEND_ALWAYS;
    else
        return unsupported(t, "the prepend_scheme", scheme, err);
    return TB_OK;
}

static tb_status read_pretokenizer(tb_tokenizer *t, const json_t *p, tb_err *err)
{
    const char *type = text_of(p, "type"), *mark = text_of(p, "replacement");
    if (strcmp(type, "WhitespaceSplit") == 0 && !t->metaspace) {
        t->split_spaces = true;
        return TB_OK;
    }
    if (strcmp(type, "Metaspace") != 0)
        return unsupported(t, "the pre_tokenizer", type, err);
    t->metaspace = true;
    t->split_marks = !json_is_false(json_object_get(p, "split"));
    if (*mark) {
        free(t->mark);
        t->mark = tb_xstrdup(mark);
    }
    return read_scheme(t, p, err);
}

/* ------------------------------------------------------------------------------ post-processor */

static tb_status add_special(tb_tokenizer *t, const json_t *table, const char *name, int32_t **ids,
                             int *count, tb_err *err)
{
    const json_t *list = json_object_get(json_object_get(table, name), "ids");
    if (!json_array_size(list) || json_array_size(list) > 8)
        return tb_err_set(err, TB_EFORMAT,
                          "'%s' is damaged: the post_processor names no ids of '%.60s'", t->path,
                          name);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_int_t id = json_integer_value(json_array_get(list, i));
        if (!json_is_integer(json_array_get(list, i)) || id < 0 || id >= t->count)
            return tb_err_set(err, TB_EFORMAT, "'%s' is damaged: the token '%.60s' has no valid id",
                              t->path, name);
        *ids = tb_xrealloc(*ids, (size_t)*count + 1, sizeof **ids);
        (*ids)[(*count)++] = (int32_t)id;
    }
    return TB_OK;
}

static tb_status read_post(tb_tokenizer *t, const json_t *p, tb_err *err)
{
    if (strcmp(text_of(p, "type"), "TemplateProcessing") != 0)
        return unsupported(t, "the post_processor", text_of(p, "type"), err);
    const json_t *table = json_object_get(p, "special_tokens"),
                 *single = json_object_get(p, "single");
    bool behind = false;
    if (json_array_size(single) > 64)
        return malformed(t, "post_processor", err);
    for (size_t i = 0; i < json_array_size(single); i++) {
        const json_t *part = json_array_get(single, i),
                     *special = json_object_get(part, "SpecialToken");
        if (!special)
            behind |= json_object_get(part, "Sequence") != NULL;
        else if (behind)
            TB_TRY(add_special(t, table, text_of(special, "id"), &t->tail, &t->tail_count, err));
        else
            TB_TRY(add_special(t, table, text_of(special, "id"), &t->head, &t->head_count, err));
    }
    return TB_OK;
}

/* --------------------------------------------------------------------------------------- model */

static tb_status read_vocabulary(tb_tokenizer *t, const json_t *vocab, tb_err *err)
{
    size_t i;
    json_t *row;
    if (json_array_size(vocab) > MAX_PIECES)
        return tb_err_set(err, TB_ELIMIT, "'%s' has more than %d pieces", t->path, MAX_PIECES);
    json_array_foreach(vocab, i, row)
    {
        const json_t *text = json_array_get(row, 0), *score = json_array_get(row, 1);
        if (!json_is_string(text) || !json_is_number(score))
            return tb_err_set(err, TB_EFORMAT,
                              "'%s' is damaged: entry %zu of the vocabulary is not [piece, score]",
                              t->path, i);
        TB_TRY(tbi_tokenizer_add_piece(t, (int32_t)i, json_string_value(text),
                                       json_string_length(text), json_number_value(score),
                                       TBI_PIECE_NORMAL, err));
    }
    return TB_OK;
}

static const char *model_type(const json_t *m)
{
    const char *type = text_of(m, "type");
    if (*type)
        return type;
    return json_is_array(json_object_get(m, "vocab")) ? "Unigram" : "BPE";
}

static tb_status read_model(tb_tokenizer *t, const json_t *m, tb_err *err)
{
    if (!json_is_object(m))
        return malformed(t, "model", err);
    if (strcmp(model_type(m), "Unigram") != 0)
        return tb_err_set(err, TB_EFORMAT,
                          "'%s': tokenizer model %.40s is not supported; a Unigram model is needed",
                          t->path, model_type(m));
    TB_TRY(read_vocabulary(t, json_object_get(m, "vocab"), err));
    const json_t *unknown = json_object_get(m, "unk_id");
    if (!json_is_integer(unknown) || json_integer_value(unknown) < 0 ||
        json_integer_value(unknown) >= t->count)
        return tb_err_set(err, TB_EFORMAT, "'%s' is damaged: unk_id is not the id of a piece",
                          t->path);
    t->unknown = (int32_t)json_integer_value(unknown);
    t->byte_fallback = json_is_true(json_object_get(m, "byte_fallback"));
    return TB_OK;
}

/* -------------------------------------------------------------------------------- added tokens */

static tb_status add_token(tb_tokenizer *t, const json_t *a, tb_err *err)
{
    const char *text = text_of(a, "content");
    const json_t *id = json_object_get(a, "id");
    const json_int_t n = json_integer_value(id);
    if (!*text || !json_is_integer(id) || n < 0 || n >= MAX_PIECES)
        return malformed(t, "list of added_tokens", err);
    if (json_is_true(json_object_get(a, "single_word")))
        return unsupported(t, "single_word of the added token", text, err);
    if (n >= t->count || !t->pieces[n].text)
        TB_TRY(
            tbi_tokenizer_add_piece(t, (int32_t)n, text, strlen(text), 0, TBI_PIECE_HIDDEN, err));
    TB_GROW(t->added, t->added_cap, t->added_count + 1);
    t->added[t->added_count++] =
        (tbi_added){ .text = tb_xstrdup(text),
                     .len = strlen(text),
                     .id = (int32_t)n,
                     .swallow_left = json_is_true(json_object_get(a, "lstrip")),
                     .swallow_right = json_is_true(json_object_get(a, "rstrip")) };
    return TB_OK;
}

static tb_status read_added(tb_tokenizer *t, const json_t *list, tb_err *err)
{
    size_t i;
    json_t *a;
    json_array_foreach(list, i, a)
    {
        TB_TRY(add_token(t, a, err));
    }
    return TB_OK;
}

static tb_status read_root(tb_tokenizer *t, const json_t *root, tb_err *err)
{
    TB_TRY(read_model(t, json_object_get(root, "model"), err));
    TB_TRY(read_added(t, json_object_get(root, "added_tokens"), err));
    TB_TRY(read_parts(t, json_object_get(root, "normalizer"), "normalizers", read_normalizer, err));
    TB_TRY(read_parts(t, json_object_get(root, "pre_tokenizer"), "pretokenizers", read_pretokenizer,
                      err));
    return read_parts(t, json_object_get(root, "post_processor"), "processors", read_post, err);
}

tb_status tbi_tokenizer_read_json(tb_tokenizer *t, const char *data, size_t size, tb_err *err)
{
    json_t *root = tb_json_parse(data, size, t->path, err);
    if (!root)
        return TB_EFORMAT;
    t->wide = true;
    const tb_status st = read_root(t, root, err);
    json_decref(root);
    return st;
}
