/* tokenizer_gguf.c - a Unigram tokenizer from the metadata of a GGUF file.
 *
 * Keys: tokenizer.ggml.model is "t5"; tokens, scores, token_type (SentencePiece's numbers),
 * precompiled_charsmap, add_space_prefix, remove_extra_whitespaces, unknown_token_id, eos_token_id,
 * add_eos_token (gguf-py/gguf/constants.py of ggml-org/llama.cpp). That unknown characters become
 * bytes is not written down: pieces of type byte are there for nothing else.
 */
#include <stdlib.h>
#include <string.h>

#include "formats/gguf.h"
#include "formats/tokenizer_parts.h"

#define KEY(name)  "tokenizer.ggml." name
#define MAX_PIECES 4000000

static tb_status no_list(const tb_tokenizer *t, const char *what, tb_err *err)
{
    return tb_err_set(err, TB_EFORMAT,
                      "'%s' carries no whole tokenizer: its list of %s is missing or of another "
                      "length; give load_model a tokenizer.json or spiece.model as 'tokenizer'",
                      t->path, what);
}

static double float_at(const uint8_t *p)
{
    const uint32_t u = (uint32_t)tbi_le(p, 4);
    float f;
    memcpy(&f, &u, sizeof f);
    return (double)f;
}

static tb_status read_pieces(tb_tokenizer *t, const tbi_gguf *f, tb_err *err)
{
    tbi_gguf_array tokens, scores, types;
    if (!tbi_gguf_array_of(f, KEY("tokens"), TBI_GGUF_STRING, &tokens) || !tokens.count ||
        tokens.count > MAX_PIECES)
        return no_list(t, "tokens", err);
    if (!tbi_gguf_array_of(f, KEY("scores"), TBI_GGUF_F32, &scores) || scores.count != tokens.count)
        return no_list(t, "scores", err);
    if (!tbi_gguf_array_of(f, KEY("token_type"), TBI_GGUF_I32, &types) ||
        types.count != tokens.count)
        return no_list(t, "token types", err);
    const uint8_t *text = tokens.bytes;
    for (uint64_t i = 0; i < tokens.count; i++) {
        const size_t n = (size_t)tbi_le(text, 8);
        const tbi_piece_kind kind = tbi_piece_kind_of(tbi_le(types.bytes + 4 * i, 4));
        TB_TRY(tbi_tokenizer_add_piece(t, (int32_t)i, (const char *)text + 8, n,
                                       float_at(scores.bytes + 4 * i), kind, err));
        t->byte_fallback |= kind == TBI_PIECE_BYTE;
        text += 8 + n;
    }
    return TB_OK;
}

static tb_status read_options(tb_tokenizer *t, const tbi_gguf *f, tb_err *err)
{
    tbi_gguf_array map;
    tbi_spm_options o = { .model_type = 1, .escape = true };
    o.prefix = tbi_gguf_number(f, KEY("add_space_prefix"), 1);
    o.trim = tbi_gguf_number(f, KEY("remove_extra_whitespaces"), 1);
    o.unknown = tbi_gguf_number(f, KEY("unknown_token_id"), 2);
    o.end = tbi_gguf_number(f, KEY("add_eos_token"), 1) ? tbi_gguf_number(f, KEY("eos_token_id"), 1)
                                                        : -1;
    if (tbi_gguf_array_of(f, KEY("precompiled_charsmap"), TBI_GGUF_U8, &map)) {
        o.map = map.bytes;
        o.map_size = (size_t)map.count;
    }
    return tbi_tokenizer_use_options(t, &o, err);
}

static tb_status read_all(tb_tokenizer *t, const tbi_gguf *f, tb_err *err)
{
    char *model = tbi_gguf_text(f, KEY("model"));
    tb_status st = TB_OK;
    if (!model || strcmp(model, "t5") != 0)
        st = tb_err_set(err, TB_EFORMAT,
                        "'%s' carries %s%.40s%s tokenizer; one of the kind 't5' is needed", t->path,
                        model ? "a '" : "no", model ? model : "", model ? "'" : "");
    free(model);
    TB_TRY(st);
    TB_TRY(read_pieces(t, f, err));
    return read_options(t, f, err);
}

tb_status tbi_tokenizer_read_gguf(tb_tokenizer *t, tb_err *err)
{
    tbi_gguf *f = tbi_gguf_open(t->path, err);
    const tb_status st = f ? read_all(t, f, err) : TB_EFORMAT;
    tbi_gguf_close(&f);
    return st;
}

bool tbi_tokenizer_in_gguf(const char *path)
{
    tbi_gguf *f = tbi_gguf_open(path, NULL);
    tbi_gguf_array tokens;
    const bool has = f && tbi_gguf_array_of(f, KEY("tokens"), TBI_GGUF_STRING, &tokens);
    tbi_gguf_close(&f);
    return has;
}
