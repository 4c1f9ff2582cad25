/* paths.h - the guard before files that are named by strangers. */
#pragma once

#include <stdbool.h>

#include "base/err.h"

/* The real path of `name` below `root`, and of nothing else: no "..", no absolute path, no link
 * that leads out. A new string, or NULL with TB_EINVAL or TB_ENOTFOUND. must_exist: the file itself
 * is there. */
char *tbs_path_below(const char *root, const char *name, bool must_exist, tb_err *err);
