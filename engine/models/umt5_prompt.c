/* umt5_prompt.c - what Wan does to a prompt before it is tokenised.
 *
 * The reference also runs ftfy where it is installed (mojibake, curly quotes); that is left out.
 */
#include "models/umt5_prompt.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "formats/tokenizer_utf8.h"

/* The entities people write; all of them end in ';'. */
static const struct {
    const char *name;
    uint32_t code;
} entity_tab[] = {
    { "amp", '&' },      { "lt", '<' },       { "gt", '>' },       { "quot", '"' },
    { "apos", '\'' },    { "nbsp", 0xa0 },    { "copy", 0xa9 },    { "reg", 0xae },
    { "deg", 0xb0 },     { "middot", 0xb7 },  { "times", 0xd7 },   { "eacute", 0xe9 },
    { "egrave", 0xe8 },  { "agrave", 0xe0 },  { "ccedil", 0xe7 },  { "auml", 0xe4 },
    { "ouml", 0xf6 },    { "uuml", 0xfc },    { "szlig", 0xdf },   { "ntilde", 0xf1 },
    { "ndash", 0x2013 }, { "mdash", 0x2014 }, { "lsquo", 0x2018 }, { "rsquo", 0x2019 },
    { "ldquo", 0x201c }, { "rdquo", 0x201d }, { "bull", 0x2022 },  { "hellip", 0x2026 },
    { "euro", 0x20ac },  { "trade", 0x2122 }, { "laquo", 0xab },   { "raquo", 0xbb },
};

/* "#233;" or "#xE9;" behind an '&'. Returns the length, 0 if it is none. */
static size_t numeric_entity(const char *s, uint32_t *code)
{
    if (*s != '#')
        return 0;
    const bool hex = s[1] == 'x' || s[1] == 'X';
    const char *digits = s + 1 + hex;
    char *end;
    const unsigned long v =
        isxdigit((unsigned char)*digits) ? strtoul(digits, &end, hex ? 16 : 10) : 0;
    if (v == 0 || *end != ';' || v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
        return 0;
    *code = (uint32_t)v;
    return (size_t)(end - s) + 1;
}

/* The entity behind an '&'. Returns its length with the ';', 0 if it is none. */
static size_t entity_at(const char *s, uint32_t *code)
{
    for (size_t i = 0; i < sizeof entity_tab / sizeof *entity_tab; i++) {
        const size_t n = strlen(entity_tab[i].name);
        if (strncmp(s, entity_tab[i].name, n) == 0 && s[n] == ';') {
            *code = entity_tab[i].code;
            return n + 1;
        }
    }
    return numeric_entity(s, code);
}

static char *unescape(const char *s)
{
    tb_str out = TB_STR_INIT;
    while (*s) {
        uint32_t code = 0;
        char buf[4];
        const size_t n = *s == '&' ? entity_at(s + 1, &code) : 0;
        if (n)
            tb_str_addn(&out, buf, (size_t)tb_utf8_encode(code, buf));
        else
            tb_str_addn(&out, s, 1);
        s += n + 1;
    }
    return tb_str_take(&out);
}

static char *collapse_spaces(const char *s)
{
    const size_t n = strlen(s);
    tb_str out = TB_STR_INIT;
    bool pending = false;
    for (size_t i = 0; i < n;) {
        uint32_t c = 0;
        const int decoded = tb_utf8_decode(s + i, n - i, &c), len = decoded ? decoded : 1;
        if (decoded && tb_utf8_is_space(c)) {
            pending = out.len > 0;
        } else {
            tb_str_add(&out, pending ? " " : "");
            tb_str_addn(&out, s + i, (size_t)len);
            pending = false;
        }
        i += (size_t)len;
    }
    return tb_str_take(&out);
}

char *tb_umt5_clean_prompt(const char *text)
{
    char *once = unescape(text), *twice = unescape(once), *clean = collapse_spaces(twice);
    free(once);
    free(twice);
    return clean;
}
