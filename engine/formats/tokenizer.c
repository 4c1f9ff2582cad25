/* tokenizer.c - opening a tokenizer, and the way of a text through it. */
#include "formats/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "formats/safetensors.h"
#include "formats/tokenizer_parts.h"
#include "formats/tokenizer_utf8.h"

#define MAX_FILE (256u << 20)
#define MARK     "\xe2\x96\x81" /* U+2581 */

/* -------------------------------------------------------------------------------------- opening */

tb_status tbi_tokenizer_add_piece(tb_tokenizer *t, int32_t id, const char *text, size_t len,
                                  double score, tbi_piece_kind kind, tb_err *err)
{
    if (memchr(text, 0, len))
        return tb_err_set(err, TB_EFORMAT, "'%s' is damaged: piece %d holds a 0 byte", t->path,
                          (int)id);
    if (id >= t->count) {
        TB_GROW(t->pieces, t->cap, (size_t)id + 1);
        memset(t->pieces + t->count, 0, (size_t)(id + 1 - t->count) * sizeof *t->pieces);
        t->count = id + 1;
    }
    free(t->pieces[id].text);
    t->pieces[id] = (tbi_piece){ tb_xstrndup(text, len), len, score, kind };
    return TB_OK;
}

/* "<0x41>" spells the byte 0x41. */
static void find_bytes(tb_tokenizer *t)
{
    for (int i = 0; i < 256; i++)
        t->byte_ids[i] = -1;
    for (int32_t id = 0; id < t->count; id++) {
        const tbi_piece *p = &t->pieces[id];
        if (p->len != 6 || strncmp(p->text, "<0x", 3) != 0 || p->text[5] != '>')
            continue;
        char *end;
        const unsigned long v = strtoul(p->text + 3, &end, 16);
        if (end == p->text + 5)
            t->byte_ids[v & 0xff] = id;
    }
}

static tb_status finish(tb_tokenizer *t, tb_err *err)
{
    find_bytes(t);
    return tbi_unigram_prepare(t, err);
}

static tb_status read_bytes(tb_tokenizer *t, const char *data, size_t size, tb_err *err)
{
    size_t at = 0;
    while (at < size && strchr(" \t\r\n", data[at]) && data[at])
        at++;
    const bool json = strcmp(tb_fs_extension(t->path), "json") == 0;
    if (json || (at < size && data[at] == '{'))
        TB_TRY(tbi_tokenizer_read_json(t, data, size, err));
    else
        TB_TRY(tbi_tokenizer_read_model(t, data, size, err));
    return finish(t, err);
}

/* A weights file may carry the SentencePiece model as the tensor "spiece_model". */
static tb_status read_weights(tb_tokenizer *t, tb_err *err)
{
    tb_safetensors *f = tb_safetensors_open(t->path, err);
    tb_tensor *bytes = f ? tb_safetensors_get(f, "spiece_model", err) : NULL;
    tb_status st = err ? err->status : TB_ENOTFOUND;
    if (bytes)
        st = read_bytes(t, tb_tensor_data(bytes), tb_tensor_bytes(bytes), err);
    tb_tensor_unref(&bytes);
    tb_safetensors_close(&f);
    return st;
}

static tb_status read_file(tb_tokenizer *t, tb_err *err)
{
    char *data = NULL;
    size_t size = 0;
    if (strcmp(tb_fs_extension(t->path), "safetensors") == 0)
        return read_weights(t, err);
    if (strcmp(tb_fs_extension(t->path), "gguf") == 0) {
        TB_TRY(tbi_tokenizer_read_gguf(t, err));
        return finish(t, err);
    }
    TB_TRY(tb_fs_read(t->path, MAX_FILE, &data, &size, err));
    const tb_status st = read_bytes(t, data, size, err);
    free(data);
    return st;
}

char *tb_tokenizer_file(const char *path, tb_err *err)
{
    static const char *const usual[] = { "tokenizer.json", "spiece.model", "tokenizer.model" };
    if (!tb_fs_is_dir(path))
        return tb_xstrdup(path);
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++) {
        char *file = tb_fs_join(path, usual[i]);
        if (tb_fs_is_file(file))
            return file;
        free(file);
    }
    tb_err_set(err, TB_ENOTFOUND,
               "'%s' holds no tokenizer: tokenizer.json or spiece.model was looked for", path);
    return NULL;
}

bool tb_tokenizer_carried(const char *file)
{
    return strcmp(tb_fs_extension(file), "gguf") == 0 && tbi_tokenizer_in_gguf(file);
}

tb_tokenizer *tb_tokenizer_open(const char *path, tb_err *err)
{
    char *file = tb_tokenizer_file(path, err);
    if (!file)
        return NULL;
    tb_tokenizer *t = tb_xcalloc(1, sizeof *t);
    t->path = file;
    t->mark = tb_xstrdup(MARK);
    t->locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    if (read_file(t, err) != TB_OK)
        tb_tokenizer_close(&t);
    return t;
}

void tb_tokenizer_close(tb_tokenizer **tp)
{
    tb_tokenizer *t = *tp;
    *tp = NULL;
    if (!t)
        return;
    for (int32_t i = 0; i < t->count; i++)
        free(t->pieces[i].text);
    for (int i = 0; i < t->step_count; i++)
        tbi_step_clear(&t->steps[i]);
    for (int i = 0; i < t->added_count; i++)
        free(t->added[i].text);
    if (t->locale)
        freelocale(t->locale);
    free(t->pieces);
    free(t->sorted);
    free(t->steps);
    free(t->added);
    free(t->head);
    free(t->tail);
    free(t->mark);
    free(t->path);
    free(t);
}

int64_t tb_tokenizer_size(const tb_tokenizer *t)
{
    return t->count;
}

const char *tb_tokenizer_piece(const tb_tokenizer *t, int32_t id)
{
    return id >= 0 && id < t->count ? t->pieces[id].text : NULL;
}

/* ------------------------------------------------------------------------------------- encoding */

/* One word or text without blanks: marks it and cuts it before every mark. */
static void encode_marked(const tb_tokenizer *t, const char *s, size_t n, tbi_ids *ids)
{
    const size_t k = strlen(t->mark);
    size_t from = 0;
    for (size_t i = 1; t->split_marks && i + k <= n; i++) {
        if (memcmp(s + i, t->mark, k) != 0)
            continue;
        tbi_unigram_segment(t, s + from, i - from, ids);
        from = i;
    }
    tbi_unigram_segment(t, s + from, n - from, ids);
}

/* Metaspace: blanks become marks, and one is put in front. */
static void encode_word(const tb_tokenizer *t, const char *s, size_t n, bool first, tbi_ids *ids)
{
    if (!n)
        return;
    if (!t->metaspace) {
        tbi_unigram_segment(t, s, n, ids);
        return;
    }
    const bool wanted =
        t->prepend == TBI_PREPEND_ALWAYS || (t->prepend == TBI_PREPEND_FIRST && first);
    tb_str b = TB_STR_INIT;
    if (wanted && *s != ' ' && strncmp(s, t->mark, strlen(t->mark)) != 0)
        tb_str_add(&b, t->mark);
    for (size_t i = 0; i < n; i++)
        if (s[i] == ' ')
            tb_str_add(&b, t->mark);
        else
            tb_str_addn(&b, s + i, 1);
    encode_marked(t, b.s, b.len, ids);
    tb_str_free(&b);
}

static void encode_words(const tb_tokenizer *t, const char *s, size_t n, bool first, tbi_ids *ids)
{
    size_t from = 0;
    for (size_t i = 0; i < n;) {
        uint32_t c = 0;
        const int len = tb_utf8_decode(s + i, n - i, &c);
        if (tb_utf8_is_space(c)) {
            encode_word(t, s + from, i - from, first && !from, ids);
            from = i + (size_t)len;
        }
        i += (size_t)len;
    }
    encode_word(t, s + from, n - from, first && !from, ids);
}

/* A stretch of text between added tokens. */
static void encode_stretch(const tb_tokenizer *t, const char *s, size_t n, bool first, tbi_ids *ids)
{
    tb_str b = TB_STR_INIT;
    tbi_tokenizer_normalise(t, s, n, &b);
    if (b.len && t->split_spaces)
        encode_words(t, b.s, b.len, first, ids);
    else if (b.len)
        encode_word(t, b.s, b.len, first, ids);
    tb_str_free(&b);
}

/* The longest added token that starts s, or NULL. */
static const tbi_added *added_at(const tb_tokenizer *t, const char *s)
{
    const tbi_added *best = NULL;
    for (int i = 0; i < t->added_count; i++)
        if (strncmp(s, t->added[i].text, t->added[i].len) == 0 &&
            (!best || t->added[i].len > best->len))
            best = &t->added[i];
    return best;
}

static size_t space_at(const char *s)
{
    uint32_t c = 0;
    const int len = *s ? tb_utf8_decode(s, strlen(s), &c) : 0;
    return len && tb_utf8_is_space(c) ? (size_t)len : 0;
}

/* Bytes of white space at the end of s[0..n). */
static size_t trailing_space(const char *s, size_t n)
{
    size_t end = 0;
    for (size_t i = 0; i < n;) {
        uint32_t c = 0;
        const int len = tb_utf8_decode(s + i, n - i, &c);
        i += len ? (size_t)len : 1;
        if (!len || !tb_utf8_is_space(c))
            end = i;
    }
    return n - end;
}

static void encode_text(const tb_tokenizer *t, const char *text, tbi_ids *ids)
{
    size_t from = 0, i = 0;
    while (text[i]) {
        const tbi_added *a = added_at(t, text + i);
        if (!a) {
            i++;
            continue;
        }
        const size_t n = i - from;
        encode_stretch(t, text + from, n - (a->swallow_left ? trailing_space(text + from, n) : 0),
                       !from, ids);
        tbi_ids_add(ids, a->id);
        i += a->len;
        for (size_t k; a->swallow_right && (k = space_at(text + i));)
            i += k;
        from = i;
    }
    encode_stretch(t, text + from, i - from, !from, ids);
}

static void add_all(tbi_ids *ids, const int32_t *items, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        tbi_ids_add(ids, items[i]);
}

tb_status tb_tokenizer_encode(const tb_tokenizer *t, const char *text, int64_t max, int32_t **ids,
                              int64_t *count, tb_err *err)
{
    const int64_t special = t->head_count + t->tail_count;
    if (max > 0 && max < special)
        return tb_err_set(err, TB_EINVAL,
                          "at least %lld tokens are needed for the special ones, got %lld",
                          (long long)special, (long long)max);
    tbi_ids body = { 0 }, all = { 0 };
    encode_text(t, text, &body);
    if (max > 0 && body.count > max - special)
        body.count = max - special;
    add_all(&all, t->head, t->head_count);
    add_all(&all, body.items, body.count);
    add_all(&all, t->tail, t->tail_count);
    free(body.items);
    *ids = all.items;
    *count = all.count;
    return TB_OK;
}
