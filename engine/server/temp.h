/* temp.h - the temp folder: emptied when a server starts, if it is ours and nobody else's. */
#pragma once

/* Marks the folder as ours and locks it; what an earlier server left there goes, unless another
 * server uses it now. A folder that was not made by a server keeps what it holds. -1: not locked.
 */
int tbs_temp_open(const char *dir);
void tbs_temp_close(int lock);
