/* process.c - start and end of the Lua child. */
#include "script/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "script/script.h"

/* Own group: Ctrl+C goes to the engine, which ends the child itself. Signals as in a fresh program.
 */
static int set_attributes(posix_spawnattr_t *a)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int e = posix_spawnattr_setflags(a, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                            POSIX_SPAWN_SETSIGDEF);
    e = e ? e : posix_spawnattr_setpgroup(a, 0);
    e = e ? e : posix_spawnattr_setsigmask(a, &none);
    return e ? e : posix_spawnattr_setsigdefault(a, &all);
}

/* 0, 1: /dev/null. 2: ours, for what the system prints about a dying process. 3: the socket. */
static int set_files(posix_spawn_file_actions_t *f, int sock)
{
    int e = posix_spawn_file_actions_addopen(f, 0, "/dev/null", O_RDONLY, 0);
    e = e ? e : posix_spawn_file_actions_addopen(f, 1, "/dev/null", O_WRONLY, 0);
    e = e ? e : posix_spawn_file_actions_adddup2(f, sock, TB_SCRIPT_CHILD_FD);
    return e ? e : posix_spawn_file_actions_addclosefrom_np(f, TB_SCRIPT_CHILD_FD + 1);
}

/* Only what the dynamic linker and the sanitizers read. */
static void fill_environment(char *env[4])
{
    static const char *const names[] = { "LD_LIBRARY_PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS" };
    int n = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *v = getenv(names[i]);
        if (v)
            env[n++] = tb_xasprintf("%s=%s", names[i], v);
    }
    env[n] = NULL;
}

static int spawn(pid_t *pid, int sock)
{
    const char *other = getenv("TUBELET_BIN");
    const char *program = other && *other ? other : "/proc/self/exe";
    char name[] = "tubelet", mode[] = "__lua";
    char *const argv[] = { name, mode, NULL };
    char *env[4];
    posix_spawnattr_t a;
    posix_spawn_file_actions_t f;
    posix_spawnattr_init(&a);
    posix_spawn_file_actions_init(&f);
    fill_environment(env);
    int e = set_attributes(&a);
    e = e ? e : set_files(&f, sock);
    e = e ? e : posix_spawn(pid, program, &f, &a, argv, env);
    posix_spawn_file_actions_destroy(&f);
    posix_spawnattr_destroy(&a);
    for (char **v = env; *v; v++)
        free(*v);
    return e;
}

tb_status tbi_process_start(tbi_process *p, tb_err *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return tb_err_errno(err, errno, "cannot make a socket for the Lua process");
    const int e = spawn(&p->pid, pair[1]);
    close(pair[1]);
    if (e) {
        close(pair[0]);
        *p = (tbi_process){ .sock = -1 };
        return tb_err_errno(err, e, "cannot start the Lua process");
    }
    p->sock = pair[0];
    return TB_OK;
}

void tbi_process_stop(tbi_process *p)
{
    if (p->sock >= 0)
        close(p->sock);
    if (p->pid > 0) {
        kill(p->pid, SIGKILL);
        while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    *p = (tbi_process){ .sock = -1 };
}
