/* temp.c - emptying the temp folder without ever removing what a user put into a folder of that
 * name. */
#include "server/temp.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"

static const char marker[] = ".tubelet-temp";

/* Links are removed, not followed. */
static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    if (at->level > 0 && strcmp(path + at->base, marker) != 0 && remove(path) != 0)
        tb_log(TB_LOG_WARN, "%s could not be removed", path);
    return 0;
}

int tbs_temp_open(const char *dir)
{
    char *path = tb_fs_join(dir, marker);
    const bool ours = access(path, F_OK) == 0;
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    free(path);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0) {
        tbs_temp_close(fd);
        return -1;
    }
    if (ours)
        nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    return fd;
}

void tbs_temp_close(int lock)
{
    if (lock >= 0)
        close(lock);
}
