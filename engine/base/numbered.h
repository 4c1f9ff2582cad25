/* numbered.h - files that are numbered on: "video/clip_#####_.mp4" is the first of clip_00001_.mp4,
 * clip_00002_.mp4, ... behind the highest there is.
 *
 * Threads: any; two that ask at once, also in two processes, get two names.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* Does the file's name (not its folder's) hold a run of '#'? */
bool tb_numbered(const char *pattern);

/* The name to write `data` to, freed by free(): an empty file of that name was made, to be
 * replaced. *held: a file of this pattern holds these very bytes; *path is the newest such, and
 * nothing was made. Names that differ from the pattern only behind the number, or in its length,
 * are numbered with it. Makes missing folders. */
tb_status tb_numbered_claim(const char *pattern, const void *data, size_t size, char **path,
                            bool *held, tb_err *err);
