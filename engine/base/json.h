/* json.h - what we add to jansson: errors as sentences, one canonical text per value, integers of
 * more than 63 bits.
 *
 * jansson's integers are signed. One beyond them is the object {"$int": "18446744073709551615"}
 * once it is read: nothing of it is lost, and it is no text. Where it leaves, it is a number again.
 */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "base/err.h"

/* Parse a whole text; integers and reals stay apart (5 is not 5.0); duplicate keys are refused.
 * `what` names the source in the message. NULL on error. New reference. */
json_t *tb_json_parse(const char *text, size_t n, const char *what, tb_err *err);

/* The same from a file of at most max_bytes. */
json_t *tb_json_load(const char *path, size_t max_bytes, tb_err *err);

/* Sorted keys, no spaces, reals with 17 digits: equal values give equal text. Any value, also a
 * scalar. Freed by free(). */
char *tb_json_canonical(const json_t *v);

/* For people: two spaces of indent, keys in their own order. Freed by free(). */
char *tb_json_pretty(const json_t *v);

/* The digits of an integer beyond 63 bits, with their sign; borrowed. NULL: v is something else. */
const char *tb_json_long_int(const json_t *v);
/* The same of an unsigned one. New reference. */
json_t *tb_json_of_uint64(uint64_t v);

/* A text made by jansson with these integers as numbers again. Consumes text, which may be NULL.
 * Freed by free(). */
char *tb_json_long_ints_take(char *text);
