/* document.h - the graph in any JSON that carries one, as a document.
 *
 * A document is { "graph": {id: node}, "targets"?: [id], "script"?: {...}, "view"?: {...} }.
 * Videos, pictures, requests and files hold it in other shapes too; this is the one place that
 * tells them apart.
 */
#pragma once

#include "base/json.h"

/* Reads a document, a graph in API format, or a request {"prompt": graph}. `what` names the source
 * in messages; *from (may be NULL) becomes "document" or "api". New reference; NULL on error. */
json_t *tb_document_read(json_t *j, const char *what, const char **from, tb_err *err);
