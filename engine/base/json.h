/* json.h - what we add to jansson: errors as sentences, and one canonical text per value. */
#pragma once

#include <jansson.h>

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
