/* process.h - the Lua child as a process: started with one socket and nothing else, and made to
 * end. */
#pragma once

#include <sys/types.h>

#include "base/err.h"

typedef struct tbi_process {
    pid_t pid; /* 0: none */
    int sock;  /* -1: none */
} tbi_process;

/* Run the program again as `__lua` (another one if TUBELET_BIN names it: programs that embed the
 * library). */
tb_status tbi_process_start(tbi_process *p, tb_err *err);
/* Kill, wait, close. */
void tbi_process_stop(tbi_process *p);
