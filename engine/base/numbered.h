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
 * replaced. *held: a file of this pattern and a number above *number holds these very bytes; *path
 * is the first such, and nothing was made. *number becomes the file's: called for one file of a
 * batch after the other, from 0, no file is told twice. Names that differ from the pattern only
 * behind the number, or in its length, are numbered with it. Makes missing folders. */
tb_status tb_numbered_claim(const char *pattern, const void *data, size_t size, long *number,
                            char **path, bool *held, tb_err *err);
