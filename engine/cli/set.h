/* set.h - `--set node.input=value`: change one input of a built document. */
#pragma once

#include "cli/open.h"

/* The node's id may hold dots; the last one before '=' counts. The value is read as the input's
 * type wants it. TB_EINVAL names the nearest node or input. */
tb_status cli_set(cli_source *s, const char *assignment, tb_err *err);
