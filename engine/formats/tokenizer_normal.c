/* tokenizer_normal.c - what happens to a text before it is cut into pieces. */
#include <stdlib.h>
#include <string.h>
#include <wctype.h>

#include "base/mem.h"
#include "formats/tokenizer_parts.h"
#include "formats/tokenizer_utf8.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* ------------------------------------------------------------------------------------ charsmap */

tb_status tbi_charsmap_read(tbi_charsmap *map, const void *blob, size_t size, const char *path,
                            tb_err *err)
{
    uint32_t trie = 0;
    if (size >= 4)
        memcpy(&trie, blob, 4);
    if (size < 4 || trie < 4 || trie % 4 || trie > size - 4)
        return tb_err_set(err, TB_EFORMAT, "'%s' is damaged: its character map has no valid trie",
                          path);
    const char *strings = (const char *)blob + 4 + trie;
    const size_t string_bytes = size - 4 - trie;
    if (!string_bytes || strings[string_bytes - 1])
        return tb_err_set(err, TB_EFORMAT, "'%s' is damaged: its character map does not end in a 0",
                          path);
    map->unit_count = trie / 4;
    map->units = tb_xcalloc(map->unit_count, 4);
    memcpy(map->units, (const char *)blob + 4, trie);
    map->string_bytes = string_bytes;
    map->strings = tb_xcalloc(string_bytes, 1);
    memcpy(map->strings, strings, string_bytes);
    return TB_OK;
}

static size_t unit_offset(uint32_t u)
{
    return (size_t)(u >> 10) << ((u & 0x200) >> 6);
}

/* Length of the longest key that starts s (0: none) and its replacement. */
static size_t longest_key(const tbi_charsmap *m, const char *s, size_t n, const char **replacement)
{
    size_t found = 0, pos = unit_offset(m->units[0]);
    for (size_t i = 0; i < n; i++) {
        pos ^= (uint8_t)s[i];
        if (pos >= m->unit_count)
            break;
        const uint32_t u = m->units[pos];
        if ((u & 0x800000ff) != (uint8_t)s[i])
            break;
        pos ^= unit_offset(u);
        if (pos >= m->unit_count)
            break;
        const size_t at = m->units[pos] & 0x7fffffff;
        if ((u & 0x100) && at < m->string_bytes) {
            found = i + 1;
            *replacement = m->strings + at;
        }
    }
    return found;
}

/* One character of s, valid or not; returns the bytes it took. */
static size_t copy_char(const char *s, size_t n, tb_str *out)
{
    const int len = tb_utf8_decode(s, n, NULL);
    tb_str_addn(out, len ? s : REPLACEMENT, len ? (size_t)len : 3);
    return len ? (size_t)len : 1;
}

static void apply_charsmap(const tbi_charsmap *m, const char *s, size_t n, tb_str *out)
{
    for (size_t i = 0; i < n;) {
        const char *replacement = NULL;
        const size_t key = longest_key(m, s + i, n - i, &replacement);
        if (key)
            tb_str_add(out, replacement);
        i += key ? key : copy_char(s + i, n - i, out);
    }
}

/* A map of a damaged file may replace by anything: what comes out is made valid again. */
static void sanitise(tb_str *b)
{
    tb_str out = TB_STR_INIT;
    for (size_t i = 0; i < b->len;)
        i += copy_char(b->s + i, b->len - i, &out);
    tb_str_free(b);
    *b = out;
}

/* --------------------------------------------------------------------------------- other steps */

static void lowercase(const tb_tokenizer *t, const char *s, size_t n, tb_str *out)
{
    for (size_t i = 0; i < n;) {
        uint32_t c = 0;
        char buf[4];
        const int len = tb_utf8_decode(s + i, n - i, &c);
        if (c == 0x130) /* the one character whose lower case is two: i and a dot above */
            tb_str_add(out, "i\xcc\x87");
        else if (c < 0x80 || !t->locale)
            tb_str_addn(out, buf, (size_t)tb_utf8_encode(c >= 'A' && c <= 'Z' ? c + 32 : c, buf));
        else
            tb_str_addn(out, buf,
                        (size_t)tb_utf8_encode((uint32_t)towlower_l((wint_t)c, t->locale), buf));
        i += (size_t)len;
    }
}

static size_t space_at(const char *s, size_t n)
{
    uint32_t c = 0;
    const int len = tb_utf8_decode(s, n, &c);
    return len && tb_utf8_is_space(c) ? (size_t)len : 0;
}

static size_t stripped_at(const tbi_step *step, const char *s, size_t n)
{
    return step->blanks ? n && *s == ' ' : n ? space_at(s, n) : 0;
}

static void strip(const tbi_step *step, const char *s, size_t n, tb_str *out)
{
    size_t from = 0, end = 0;
    while (step->left && stripped_at(step, s + from, n - from))
        from += stripped_at(step, s + from, n - from);
    for (size_t i = from; i < n;) {
        const size_t space = stripped_at(step, s + i, n - i);
        i += space ? space : (size_t)tb_utf8_decode(s + i, n - i, NULL);
        if (!space)
            end = i;
    }
    if (!step->right)
        end = n;
    if (end > from)
        tb_str_addn(out, s + from, end - from);
}

static void replace_text(const tbi_step *step, const char *s, size_t n, tb_str *out)
{
    const size_t k = strlen(step->pattern);
    for (size_t i = 0; i < n;) {
        const bool hit = k && n - i >= k && memcmp(s + i, step->pattern, k) == 0;
        if (hit)
            tb_str_add(out, step->content);
        else
            tb_str_addn(out, s + i, 1);
        i += hit ? k : 1;
    }
}

/* Runs of blanks (any white space if `all`) of at least `least` characters. */
static void replace_runs(const tbi_step *step, bool all, int least, const char *s, size_t n,
                         tb_str *out)
{
    for (size_t i = 0; i < n;) {
        size_t end = i;
        int length = 0;
        while (end < n && (all ? space_at(s + end, n - end) : s[end] == ' ')) {
            end += all ? space_at(s + end, n - end) : 1;
            length++;
        }
        if (length >= least)
            tb_str_add(out, step->content);
        else
            tb_str_addn(out, s + i, (end > i ? end : ++end) - i);
        i = end;
    }
}

static void apply(const tb_tokenizer *t, const tbi_step *step, const tb_str *in, tb_str *out)
{
    const char *s = in->s;
    const size_t n = in->len;
    switch (step->kind) {
    case TBI_STEP_CHARSMAP: apply_charsmap(&step->map, s, n, out); break;
    case TBI_STEP_LOWERCASE: lowercase(t, s, n, out); break;
    case TBI_STEP_STRIP: strip(step, s, n, out); break;
    case TBI_STEP_REPLACE: replace_text(step, s, n, out); break;
    case TBI_STEP_REPLACE_BLANKS: replace_runs(step, false, 2, s, n, out); break;
    case TBI_STEP_REPLACE_SPACES: replace_runs(step, true, 1, s, n, out); break;
    case TBI_STEP_PREPEND:
        if (n)
            tb_str_add(out, step->content);
        tb_str_addn(out, s, n);
        break;
    }
}

void tbi_tokenizer_normalise(const tb_tokenizer *t, const char *text, size_t n, tb_str *out)
{
    tb_str now = TB_STR_INIT;
    tb_str_addn(&now, text, n);
    /* A character map sees invalid bytes itself; every other step wants valid UTF-8. */
    if (!t->step_count || t->steps[0].kind != TBI_STEP_CHARSMAP)
        sanitise(&now);
    for (int i = 0; i < t->step_count && now.len; i++) {
        tb_str next = TB_STR_INIT;
        apply(t, &t->steps[i], &now, &next);
        tb_str_free(&now);
        now = next;
        if (t->steps[i].kind == TBI_STEP_CHARSMAP)
            sanitise(&now);
    }
    tb_str_addn(out, now.s, now.len);
    tb_str_free(&now);
}

tbi_step *tbi_tokenizer_add_step(tb_tokenizer *t, tbi_step_kind kind)
{
    TB_GROW(t->steps, t->step_cap, t->step_count + 1);
    t->steps[t->step_count] = (tbi_step){ .kind = kind };
    return &t->steps[t->step_count++];
}

void tbi_step_clear(tbi_step *s)
{
    free(s->map.units);
    free(s->map.strings);
    free(s->pattern);
    free(s->content);
}
