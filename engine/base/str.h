/* str.h - a growing string, and small helpers for text.
 *
 * Memory: tb_str owns its bytes; `s` is always terminated and never NULL after the first append.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct tb_str {
    char *s;
    size_t len, cap;
} tb_str;

#define TB_STR_INIT ((tb_str){ 0 })

void tb_str_add(tb_str *b, const char *text);
void tb_str_addn(tb_str *b, const void *bytes, size_t n);
void tb_str_addf(tb_str *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void tb_str_clear(tb_str *b); /* keeps the memory */
void tb_str_free(tb_str *b);
char *tb_str_take(tb_str *b); /* the caller frees; the tb_str is empty again */

bool tb_str_starts(const char *s, const char *prefix);
bool tb_str_ends(const char *s, const char *suffix);

/* WIDTHxHEIGHT as in "832x480"; false when the text is anything else. */
bool tb_str_size(const char *text, int64_t *width, int64_t *height);

/* Edit distance (insert, delete, replace, swap neighbours), to suggest the nearest name. */
int tb_str_distance(const char *a, const char *b);

/* "1.4 GiB", "312 KiB"; written to buf, which is returned. */
char *tb_str_bytes(unsigned long long bytes, char *buf, size_t n);
/* "1 h 02 min", "41 s", "0.3 s". */
char *tb_str_seconds(double seconds, char *buf, size_t n);
