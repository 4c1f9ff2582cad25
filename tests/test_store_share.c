/* test_store_share.c - P7 to P10: several processes, twins, the cap, a full disk. */
#include "store_help.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "store/store_internal.h"

static tb_value *value_of(uint64_t n)
{
    return st_tensor(n, n % 4 == 0 ? 20000 : n % 3000);
}

/* ---------------------------------------------------------------------------------------- T-two */

/* One process of several: stores and reads the same keys as the others, in its own order. */
static int share(const char *dir, int who, int keys, bool evict)
{
    tb_store *s = st_open(dir);
    int wrong = 0;
    for (int i = 0; i < keys; i++) {
        const uint64_t n = (uint64_t)((i * 7 + who * 13) % keys);
        tb_err err = TB_ERR_INIT;
        if (st_put(s, n, value_of(n), &err) != TB_OK) {
            fprintf(stderr, "process %d, key %llu: %s\n", who, (unsigned long long)n, err.message);
            wrong++;
        }
        const st_found f = st_compare(s, n, value_of(n));
        wrong += f == ST_OTHER || (f == ST_MISS && !evict);
        if (evict && i % 20 == 19)
            wrong += tb_store_gc(s, (uint64_t)200000, NULL, &err) != TB_OK;
    }
    tb_store_close(&s);
    return wrong;
}

static void share_with(int processes, int keys, bool evict)
{
    char *dir = st_folder();
    pid_t pid[8];
    fflush(stdout);
    for (int i = 0; i < processes; i++) {
        pid[i] = fork();
        if (pid[i] == 0)
            _exit(share(dir, i, keys, evict) ? 1 : 0);
    }
    for (int i = 0; i < processes; i++) {
        int status = -1;
        waitpid(pid[i], &status, 0);
        CHECK_INT(status, 0);
    }
    tb_store *s = st_open(dir);
    tb_store_stats stat;
    tb_err err = TB_ERR_INIT;
    int code = -1;
    for (uint64_t n = 0; n < (uint64_t)keys; n++) {
        const st_found f = st_compare(s, n, value_of(n));
        CHECK(f == ST_SAME || (evict && f == ST_MISS));
    }
    CHECK_OK(tb_store_verify(s, &code, NULL, NULL, NULL, &err));
    CHECK_INT(code, 0);
    CHECK_OK(tb_store_stat(s, &stat, &err));
    if (!evict)
        CHECK_INT(stat.results, keys);
    tb_store_close(&s);
    st_remove(dir);
    free(dir);
}

TEST(two_processes_share_a_store)
{
    share_with(2, 120, false);
}

TEST(four_processes_share_a_store)
{
    share_with(4, 60, false);
}

TEST(processes_share_a_store_while_one_evicts)
{
    share_with(3, 60, true);
}

/* --------------------------------------------------------------------------------------- T-twin */

TEST(twins_agree_or_are_told)
{
    char *dir = st_folder();
    pid_t pid[4];
    fflush(stdout);
    for (int i = 0; i < 4; i++) {
        pid[i] = fork();
        if (pid[i] == 0) {
            tb_store *s = st_open(dir);
            const tb_status st = st_put(s, 1, st_tensor((uint64_t)i, 20000), NULL);
            tb_store_close(&s);
            _exit(st == TB_OK ? 10 : st == TB_EINTERNAL ? 11 : 12);
        }
    }
    int kept = 0, told = 0, winner = -1;
    for (int i = 0; i < 4; i++) {
        int status = -1;
        waitpid(pid[i], &status, 0);
        kept += WEXITSTATUS(status) == 10;
        told += WEXITSTATUS(status) == 11;
        if (WEXITSTATUS(status) == 10)
            winner = i;
    }
    CHECK_INT(kept, 1);
    CHECK_INT(told, 3);
    tb_store *s = st_open(dir);
    CHECK_INT(st_compare(s, 1, st_tensor((uint64_t)winner, 20000)), ST_SAME);
    tb_store_close(&s);
    st_remove(dir);
    free(dir);
}

/* -------------------------------------------------------------------------------------- T-evict */

#define CAP ((uint64_t)4 << 20)

static uint64_t bytes_in(tb_store *s)
{
    tb_store_stats stat;
    tb_err err = TB_ERR_INIT;
    CHECK_OK(tb_store_stat(s, &stat, &err));
    return stat.bytes;
}

TEST(store_stays_below_its_cap)
{
    char *dir = st_folder();
    tb_store *s = st_open_cap(dir, CAP);
    tb_err err = TB_ERR_INIT;
    const tb_key pinned = st_key(0);
    CHECK_OK(st_put(s, 0, st_tensor(0, 25000), &err));
    CHECK_OK(tb_store_pin(s, &pinned, true, &err));
    for (uint64_t n = 1; n < 150; n++) { /* 15 MB */
        CHECK_OK(st_put(s, n, st_tensor(n, n % 2 ? 25000 : 10000), &err));
        CHECK(bytes_in(s) <= CAP);
    }
    CHECK(bytes_in(s) > CAP / 2);
    CHECK_INT(st_compare(s, 0, st_tensor(0, 25000)), ST_SAME);
    CHECK_INT(st_compare(s, 149, st_tensor(149, 25000)), ST_SAME);
    CHECK_INT(st_compare(s, 1, st_tensor(1, 25000)), ST_MISS);
    uint64_t freed = 0;
    int code = -1;
    CHECK_OK(tb_store_gc(s, 0, &freed, &err));
    CHECK(freed > 0);
    CHECK(bytes_in(s) < 110000);
    CHECK_INT(st_compare(s, 0, st_tensor(0, 25000)), ST_SAME);
    CHECK_OK(tb_store_verify(s, &code, NULL, NULL, NULL, &err));
    CHECK_INT(code, 0);
    tb_store_close(&s);
    st_remove(dir);
    free(dir);
}

TEST(cheap_and_unused_leave_first)
{
    char *dir = st_folder();
    tb_store *s = st_open_cap(dir, CAP);
    tb_err err = TB_ERR_INIT;
    for (uint64_t n = 0; n < 30;
         n++) { /* all the same size; 5 was expensive, 6 is kept, 7 is read often */
        const tb_store_put_args args = {
            .key = st_key(n), .type = "t", .cost_ms = n == 5 ? 60000 : 1, .keep = n == 6
        };
        CHECK_OK(st_put_args(s, &args, st_tensor(n, 25000), &err));
    }
    CHECK_INT(st_compare(s, 7, st_tensor(7, 25000)), ST_SAME);
    CHECK_OK(tb_store_flush(s, &err));
    CHECK_OK(tb_store_gc(s, 420000, NULL, &err));
    CHECK_INT(st_compare(s, 5, st_tensor(5, 25000)), ST_SAME);
    CHECK_INT(st_compare(s, 6, st_tensor(6, 25000)), ST_SAME);
    CHECK_INT(st_compare(s, 7, st_tensor(7, 25000)), ST_SAME);
    CHECK_INT(st_compare(s, 8, st_tensor(8, 25000)), ST_MISS);
    CHECK_INT(st_compare(s, 28, st_tensor(28, 25000)), ST_MISS);
    tb_store_close(&s);
    st_remove(dir);
    free(dir);
}

TEST(live_runs_are_protected_and_the_cap_holds)
{
    char *dir = st_folder();
    tb_store *s = st_open_cap(dir, CAP);
    tb_err err = TB_ERR_INIT;
    uint64_t run = 0, made = 0;
    tb_status st = TB_OK;
    CHECK_OK(st_put(s, 1000, st_tensor(1000, 25000), &err));
    CHECK_OK(st_put(s, 1001, st_tensor(1001, 25000), &err));
    CHECK_OK(tb_store_run_begin(s, "t", "{}", &run, &err));
    const tb_key used = st_key(1000);
    tb_store_run_node(s, run, "a", "t", &used, "cached", 0);
    CHECK_OK(tb_store_flush(s, &err));
    for (made = 0; made < 60 && st == TB_OK; made++)
        st = st_put_args(s, &(tb_store_put_args){ .key = st_key(made), .type = "t", .run = run },
                         st_tensor(made, 25000), &err);
    CHECK_INT(st, TB_EFULL);
    CHECK(strstr(
        err.message,
        "' holds 3.9 MiB of at most 4.0 MiB, all pinned or in use, and 98 KiB more do not fit; "
        "unpin results, or free disk space: the store takes at most a tenth of what is free"));
    err = TB_ERR_INIT;
    CHECK(bytes_in(s) <= CAP);
    for (uint64_t n = 0; n + 1 < made; n++)
        CHECK_INT(st_compare(s, n, st_tensor(n, 25000)), ST_SAME);
    CHECK_INT(st_compare(s, 1000, st_tensor(1000, 25000)), ST_SAME);
    CHECK_INT(st_compare(s, 1001, st_tensor(1001, 25000)), ST_MISS);
    CHECK_OK(tb_store_run_end(s, run, "done", NULL, &err));
    CHECK_OK(st_put(s, 500, st_tensor(500, 25000), &err));
    tb_store_close(&s);
    st_remove(dir);
    free(dir);
}

/* --------------------------------------------------------------------------------------- T-full */

/* A disk of 16 MB that nobody else sees: a tmpfs in a mount namespace of this process. */
static bool small_disk(const char *dir)
{
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return false;
    return mount("tmpfs", dir, "tmpfs", 0, "size=16m") == 0;
}

/* To the last byte. */
static void fill_up(const char *root)
{
    char *path = tb_fs_join(root, "filler"), block[4096] = { 1 };
    const int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    while (write(fd, block, sizeof block) > 0) {}
    CHECK_INT(errno, ENOSPC);
    close(fd);
    free(path);
}

static int fill_disk(const char *root, bool real)
{
    char *dir = tb_fs_join(root, "store");
    tb_store *s = st_open_cap(dir, UINT64_C(1) << 30);
    tb_err err = TB_ERR_INIT;
    uint64_t run = 0, n = 0;
    tb_status st = TB_OK;
    tb_log_set_level(TB_LOG_WARN + 1);
    tb_test_failures = 0;
    CHECK_OK(tb_store_run_begin(s, "t", "{}", &run, &err));
    const size_t count = real ? 60000 : 1200000; /* floats: beyond what is left */
    for (n = 0; n < 200 && st == TB_OK; n++) {
        const uint64_t big = n % 3 == 0; /* both kinds of blobs */
        st = st_put_args(s, &(tb_store_put_args){ .key = st_key(n), .type = "t", .run = run },
                         st_tensor(n, big || !real ? count : 15000), &err);
    }
    CHECK_INT(st, TB_EFULL);
    char *want = tb_xasprintf(
        "the disk that holds the store '%s' is full; free some space, or set TUBELET_STORE to a "
        "folder on another disk",
        tb_store_path(s));
    CHECK_STR(err.message, want);
    err = TB_ERR_INIT;
    for (uint64_t k = 0; k + 1 < n; k++)
        CHECK_INT(st_compare(s, k, st_tensor(k, k % 3 == 0 || !real ? count : 15000)), ST_SAME);
    for (int i = 0; i < 50; i++) { /* the journal goes on, in the space of the ballast */
        char name[32];
        snprintf(name, sizeof name, "node_%d", i);
        tb_store_run_node(s, run, name, "t", NULL, "stored", 1);
    }
    CHECK_OK(tb_store_run_end(s, run, "failed", "disk full", &err));
    for (uint64_t k = 1000; k < 1010; k++) /* the run is over: older results make room */
        CHECK_OK(st_put(s, k, st_tensor(k, real ? 60000 : 1000), &err));
    CHECK_INT(st_compare(s, 1009, st_tensor(1009, real ? 60000 : 1000)), ST_SAME);
    tb_store_close(&s);
    s = st_open_cap(dir, UINT64_C(1) << 30);
    int code = -1;
    CHECK_OK(tb_store_verify(s, &code, NULL, NULL, NULL, &err));
    CHECK_INT(code, 0);
    tb_store_close(&s);
    char *ballast = tb_fs_join(dir, "ballast");
    const bool spare = access(ballast, F_OK) == 0;
    free(ballast);
    if (real && !spare) /* the room for it had not come back yet: then the store may not open */
        printf("     the ballast is spent: opening on a full disk is not tried this time\n");
    if (real && spare) {
        fill_up(root);
        s = st_open_cap(dir, UINT64_C(1) << 30);
        CHECK_INT(st_compare(s, 1009, st_tensor(1009, 60000)), ST_SAME);
        tb_store_close(&s);
    }
    free(want);
    free(dir);
    return tb_test_failures;
}

TEST(full_disk_is_said_and_survived)
{
    char *dir = st_folder();
    fflush(stdout);
    const pid_t pid = fork();
    if (pid == 0) {
        const bool real = small_disk(dir);
        if (!real) {
            const struct rlimit limit = { 4 << 20, 4 << 20 };
            printf("     no right to mount a tmpfs (%s): RLIMIT_FSIZE of 4 MiB instead\n",
                   strerror(errno));
            signal(SIGXFSZ, SIG_IGN);
            setrlimit(RLIMIT_FSIZE, &limit);
        }
        const int failed = fill_disk(dir, real);
        fflush(stdout);
        _exit(failed ? 1 : 0);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    CHECK_INT(status, 0);
    st_remove(dir);
    free(dir);
}

/* Full to the last byte, and the ballast is spent: while the store is open, or before. */
static void fill_without_ballast(const char *root, const char *dir, bool open)
{
    char *ballast = tb_fs_join(dir, "ballast"), *filler = tb_fs_join(root, "filler");
    tb_err err = TB_ERR_INIT;
    int code = -1;
    unlink(filler);
    tb_store *s = st_open_cap(dir, UINT64_C(1) << 30);
    const tb_key pinned = st_key(0);
    CHECK_OK(st_put(s, 0, st_tensor(0, 60000), &err));
    CHECK_OK(tb_store_pin(s, &pinned, true, &err));
    for (uint64_t n = 1; n < 40; n++)
        CHECK_OK(st_put(s, n, st_tensor(n, 60000), &err));
    if (!open)
        tb_store_close(&s);
    unlink(ballast);
    fill_up(root);
    if (!open)
        s = st_open_cap(dir, UINT64_C(1) << 30);
    for (uint64_t n = 100; n < 105; n++)
        CHECK_OK(st_put(s, n, st_tensor(n, 60000), &err));
    CHECK_INT(st_compare(s, 104, st_tensor(104, 60000)), ST_SAME);
    CHECK_INT(st_compare(s, 0, st_tensor(0, 60000)), ST_SAME);
    CHECK_OK(tb_store_verify(s, &code, NULL, NULL, NULL, &err));
    CHECK_INT(code, 0);
    tb_store_close(&s);
    free(ballast);
    free(filler);
}

static int without_ballast(const char *root)
{
    char *dir = tb_fs_join(root, "store");
    tb_log_set_level(TB_LOG_WARN + 1);
    tb_test_failures = 0;
    fill_without_ballast(root, dir, false);
    fill_without_ballast(root, dir, true);
    free(dir);
    return tb_test_failures;
}

TEST(a_full_disk_without_ballast_loses_results_only)
{
    char *dir = st_folder();
    fflush(stdout);
    const pid_t pid = fork();
    if (pid == 0) {
        if (!small_disk(dir)) {
            printf("     skipped: no right to mount a tmpfs (%s)\n", strerror(errno));
            fflush(stdout);
            _exit(0);
        }
        const int failed = without_ballast(dir);
        fflush(stdout);
        _exit(failed ? 1 : 0);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    CHECK_INT(status, 0);
    st_remove(dir);
    free(dir);
}

/* ----------------------------------------------------------------------------------- leftovers */

static char *make_stray(const char *dir, const char *name, time_t age)
{
    char *path = tb_fs_join(dir, name);
    tb_err err = TB_ERR_INIT;
    const struct timespec t[2] = { { time(NULL) - age, 0 }, { time(NULL) - age, 0 } };
    CHECK_OK(tb_fs_write(path, "left behind", 11, false, &err));
    REQUIRE(utimensat(AT_FDCWD, path, t, 0) == 0);
    return path;
}

TEST(leftovers_are_swept_when_nobody_can_need_them)
{
    char *dir = st_folder();
    tb_store *s = st_open(dir);
    tb_err err = TB_ERR_INIT;
    CHECK_OK(st_put(s, 4, value_of(4), &err)); /* a file of its own */
    char *old = make_stray(dir, "objects/ab/abcdef0123456789abcdef0123456789", 2 * 3600);
    char *young = make_stray(dir, "objects/ab/abcdef0123456789abcdef0123456780", 60);
    char *dead = make_stray(dir, "tmp/999999999.5.0", 60);
    char *live = tb_xasprintf("tmp/%d.%lld.77", getpid(), (long long)s->self.start);
    char *ours = make_stray(dir, live, 60);
    char *caught = make_stray(dir, "quarantine/abcdef0123456789abcdef0123456789", 8 * 24 * 3600);
    CHECK_OK(tb_store_gc(s, UINT64_MAX, NULL, &err));
    CHECK(!tb_fs_is_file(old));
    CHECK(tb_fs_is_file(young));
    CHECK(!tb_fs_is_file(dead));
    CHECK(tb_fs_is_file(ours));
    CHECK(!tb_fs_is_file(caught));
    CHECK_INT(st_compare(s, 4, value_of(4)), ST_SAME);
    tb_store_close(&s);
    st_remove(dir);
    free(old);
    free(young);
    free(dead);
    free(live);
    free(ours);
    free(caught);
    free(dir);
}

/* ------------------------------------------------------------------------------------- details */

TEST(network_file_systems_are_named)
{
    CHECK_STR(tbi_network_fs(0x6969), "NFS");
    CHECK_STR(tbi_network_fs((long)(int)0xff534d42), "CIFS");
    CHECK(!tbi_network_fs(0xef53));     /* ext4 */
    CHECK(!tbi_network_fs(0x01021994)); /* tmpfs */
}

typedef struct worker {
    tb_store *s;
    int wrong;
} worker;

static void *work(void *arg)
{
    worker *w = arg;
    for (uint64_t n = 0; n < 200; n++) {
        const tb_key key = st_key(n);
        tb_err err = TB_ERR_INIT;
        w->wrong += st_put(w->s, n, value_of(n), &err) != TB_OK;
        w->wrong += !tb_store_has(w->s, &key, NULL);
        w->wrong += st_compare(w->s, n, value_of(n)) != ST_SAME;
    }
    return NULL;
}

TEST(threads_share_a_handle)
{
    char *dir = st_folder();
    tb_store *s = st_open(dir);
    pthread_t t[6];
    worker w[6];
    for (int i = 0; i < 6; i++) {
        w[i] = (worker){ s, 0 };
        REQUIRE(pthread_create(&t[i], NULL, work, &w[i]) == 0);
    }
    for (int i = 0; i < 6; i++) {
        pthread_join(t[i], NULL);
        CHECK_INT(w[i].wrong, 0);
    }
    tb_store_close(&s);
    st_remove(dir);
    free(dir);
}

static const struct tb_test tests[] = {
    TEST_CASE(two_processes_share_a_store),
    TEST_CASE(four_processes_share_a_store),
    TEST_CASE(processes_share_a_store_while_one_evicts),
    TEST_CASE(twins_agree_or_are_told),
    TEST_CASE(store_stays_below_its_cap),
    TEST_CASE(cheap_and_unused_leave_first),
    TEST_CASE(live_runs_are_protected_and_the_cap_holds),
    TEST_CASE(full_disk_is_said_and_survived),
    TEST_CASE(a_full_disk_without_ballast_loses_results_only),
    TEST_CASE(leftovers_are_swept_when_nobody_can_need_them),
    TEST_CASE(network_file_systems_are_named),
    TEST_CASE(threads_share_a_handle),
};

int main(int argc, char **argv)
{
    return tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof tests[0]));
}
