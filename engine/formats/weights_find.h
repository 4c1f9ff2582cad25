/* weights_find.h - which files a weights path means. For formats/ only. */
#pragma once

#include "base/err.h"

/* PATH may be a file, an index of shards or a folder. *files becomes an array of *count owned
 * strings; the order of shards is that of their names. The containers themselves are not opened. */
tb_status tbi_weights_files(const char *path, char ***files, int *count, tb_err *err);
/* The folder that config.json is looked for in. Freed by free(). */
char *tbi_weights_folder(const char *path);
