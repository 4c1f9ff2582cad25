/* fs.h - files: read whole, written beside and renamed, and where things live. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* The whole file, with a 0 behind it; freed by free(). Refuses files over max_bytes. */
tb_status tb_fs_read(const char *path, size_t max_bytes, char **data, size_t *size, tb_err *err);

/* Write to a temporary file in the same folder, then rename over `path`: readers see the old file
 * or the new one, never half. Makes missing parent folders. `sync`: fsync the file and its folder.
 */
tb_status tb_fs_write(const char *path, const void *data, size_t size, bool sync, tb_err *err);

/* The whole file, mapped read-only (an empty file maps to NULL and 0). */
tb_status tb_fs_map(const char *path, char **data, size_t *size, tb_err *err);
void tb_fs_unmap(char *data, size_t size);

/* mkdir -p. */
tb_status tb_fs_mkdirs(const char *path, tb_err *err);

bool tb_fs_is_file(const char *path);
bool tb_fs_is_dir(const char *path);

/* Each of these gives a new string; freed by free(). */
char *tb_fs_join(const char *dir, const char *name); /* name alone if it is absolute */
char *tb_fs_dirname(const char *path);
const char *tb_fs_basename(const char *path);  /* points into path */
const char *tb_fs_extension(const char *path); /* "mp4", or ""; points into path */
char *tb_fs_cache_dir(void);                   /* $XDG_CACHE_HOME/tubelet or ~/.cache/tubelet */
char *tb_fs_exe_dir(void);                     /* the folder of the running program */
