/* tokenizer_utf8.h - UTF-8, one character at a time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the character at s, which has n > 0 bytes left; 0 when it is not valid UTF-8 (overlong
 * forms, surrogates and values beyond U+10FFFF included). *code may be NULL. */
int tb_utf8_decode(const char *s, size_t n, uint32_t *code);
/* Writes 1..4 bytes; returns how many. */
int tb_utf8_encode(uint32_t code, char out[4]);
/* Unicode White_Space. */
bool tb_utf8_is_space(uint32_t code);
