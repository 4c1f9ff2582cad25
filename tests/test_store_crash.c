/* test_store_crash.c - P1, P4, P7: what was reported stored survives kill -9 at any instant.
 *
 * The child tells each answer through a pipe; the parent kills it, opens the store and looks for
 * everything that was ever told.
 */
#include "store_help.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#define KILLS 200
#define READY UINT64_C(0) /* told before the first result */
#define BURST 20000       /* more than one child can tell */

/* Every fifth is a file of its own, the others lie in cache.db. */
static tb_value *value_of(uint64_t n)
{
    if (n % 7 == 3)
        return tb_value_string("a text");
    return st_tensor(n, n % 5 == 0 ? 17000 + n % 20000 : n % 4000);
}

/* --------------------------------------------------------------------------------------- T-kill */

typedef struct ack {
    int fd;
    uint64_t n;
} ack;

static void tell(void *ctx, tb_status st, const tb_err *err)
{
    ack *a = ctx;
    if (st != TB_OK)
        fprintf(stderr, "put %llu: %s\n", (unsigned long long)a->n, err->message);
    const uint64_t word = st == TB_OK ? a->n : UINT64_MAX;
    if (write(a->fd, &word, sizeof word) != sizeof word)
        _exit(3);
    free(a);
}

static void child_stores(const char *dir, int fd, uint64_t first)
{
    tb_err err = TB_ERR_INIT;
    uint64_t run = 0;
    tb_store *s = st_open(dir);
    if (tb_store_run_begin(s, "kill", "{\"graph\":1}", &run, &err) != TB_OK)
        _exit(4);
    const uint64_t ready = READY;
    if (write(fd, &ready, sizeof ready) != sizeof ready)
        _exit(5);
    for (uint64_t n = first;; n++) {
        char node[32];
        ack *a = tb_xcalloc(1, sizeof *a);
        *a = (ack){ fd, n };
        tb_value *v = st_one(value_of(n));
        const tb_store_put_args args = {
            .key = st_key(n), .type = "kill", .cost_ms = 1, .run = run
        };
        snprintf(node, sizeof node, "%llu", (unsigned long long)n);
        tb_store_put(s, &args, &v, 1, tell, a);
        tb_store_run_node(s, run, node, "kill", &args.key, "stored", 1);
        tb_value_unref(&v);
        if (n % 16 == 0)
            tb_store_flush(s, NULL);
    }
}

static void sleep_ms(double ms)
{
    const struct timespec t = { (time_t)(ms / 1e3), (long)(ms * 1e6) % 1000000000 };
    nanosleep(&t, NULL);
}

/* The numbers told before the child died. Every second dies so long after its start, which may be
 * while it opens the store; the others so long after they began to store. */
static size_t kill_one(const char *dir, uint64_t first, double ms, bool ready, uint64_t *told)
{
    int fd[2];
    REQUIRE(pipe(fd) == 0);
    const pid_t pid = fork();
    if (pid == 0) {
        close(fd[0]);
        child_stores(dir, fd[1], first);
        _exit(0);
    }
    close(fd[1]);
    size_t n = 0;
    uint64_t word;
    if (ready)
        CHECK(read(fd[0], &word, sizeof word) == sizeof word && word == READY);
    sleep_ms(ms);
    kill(pid, SIGKILL);
    while (n < BURST && read(fd[0], &word, sizeof word) == sizeof word) {
        CHECK(word != UINT64_MAX);
        if (word != READY)
            told[n++] = word;
    }
    close(fd[0]);
    int status = 0;
    waitpid(pid, &status, 0);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return n;
}

/* A journal row says stored: then it is. */
static void check_journal(tb_store *s)
{
    tb_err err = TB_ERR_INIT;
    tb_run_info *list = NULL;
    int count = 0;
    CHECK_OK(tb_store_runs(s, 1, &list, &count, &err));
    if (count) {
        CHECK_STR(list[0].status, "interrupted");
        json_t *nodes = tb_store_run_nodes(s, list[0].id, &err), *row;
        size_t i;
        json_array_foreach(nodes, i, row)
        {
            const uint64_t n = strtoull(json_string_value(json_object_get(row, "node")), NULL, 10);
            CHECK_INT(st_compare(s, n, value_of(n)), ST_SAME);
        }
        json_decref(nodes);
    }
    for (int i = 0; i < count; i++)
        tb_run_info_clear(&list[i]);
    free(list);
}

TEST(what_was_told_survives_kill)
{
    char *dir = st_folder();
    const int kills = st_times(KILLS);
    uint64_t *told = NULL;
    size_t all = 0, cap = 0, lost = 0;
    for (int i = 0; i < kills; i++) {
        TB_GROW(told, cap, all + BURST);
        const uint64_t first = (uint64_t)(i + 1) * 10000 - (i % 3 ? 0 : 9990); /* some again */
        const size_t n =
            kill_one(dir, first, 2 + (double)(st_random() % 58000) / 1e3, i % 2, told + all);
        tb_store *s = st_open(dir);
        for (size_t k = all; k < all + n; k++)
            lost += st_compare(s, told[k], value_of(told[k])) != ST_SAME;
        check_journal(s);
        tb_store_close(&s);
        all += n;
    }
    tb_store *s = st_open(dir);
    for (size_t k = 0; k < all; k++)
        lost += st_compare(s, told[k], value_of(told[k])) != ST_SAME;
    int code = -1;
    tb_err err = TB_ERR_INIT;
    CHECK_OK(tb_store_verify(s, &code, NULL, NULL, NULL, &err));
    CHECK_INT(code, 0);
    CHECK_INT(lost, 0);
    CHECK(all > (size_t)kills / 8); /* else the kills came before there was anything to lose */
    printf("     %d kills, %zu results told\n", kills, all);
    tb_store_close(&s);
    st_remove(dir);
    free(told);
    free(dir);
}

/* -------------------------------------------------------------------------------------- T-sites */

static void child_at_site(const char *dir, const char *site, int fd)
{
    setenv("TUBELET_ABORT_AT", site, 1);
    tb_store *s = st_open(dir);
    for (uint64_t n = 5; n <= 15; n += 5) {
        ack *a = tb_xcalloc(1, sizeof *a);
        *a = (ack){ fd, n };
        tb_value *v = st_one(value_of(n));
        tb_store_put(s, &(tb_store_put_args){ .key = st_key(n), .type = "site" }, &v, 1, tell, a);
        tb_value_unref(&v);
        tb_store_flush(s, NULL);
    }
    tb_store_gc(s, 0, NULL, NULL);
    tb_store_close(&s);
    _exit(42);
}

static void damage(const char *dir)
{
    char *path = tb_fs_join(dir, "cache.db");
    FILE *f = fopen(path, "r+b");
    REQUIRE(f);
    fwrite("no database at all", 1, 18, f);
    fclose(f);
    free(path);
}

static int files_in(const char *dir, const char *name)
{
    char *path = tb_fs_join(dir, name);
    DIR *d = opendir(path);
    int n = 0;
    for (struct dirent *e; d && (e = readdir(d));)
        n += e->d_name[0] != '.';
    if (d)
        closedir(d);
    free(path);
    return n;
}

static void prepare_for(const char *site, const char *dir)
{
    if (strncmp(site, "create-", 7) == 0)
        return;
    tb_store *s = st_open(dir);
    for (uint64_t n = 100; n < 110; n++)
        REQUIRE(st_put(s, n, value_of(n), NULL) == TB_OK);
    tb_store_close(&s);
    if (strcmp(site, "set-aside") == 0)
        damage(dir);
}

static void after_site(const char *site, const char *dir, const uint64_t *told, size_t n)
{
    const bool gone = strncmp(site, "gc-", 3) == 0 || strcmp(site, "set-aside") == 0;
    tb_store *s = st_open(dir);
    tb_err err = TB_ERR_INIT;
    for (size_t i = 0; i < n; i++) {
        const st_found f = st_compare(s, told[i], value_of(told[i]));
        CHECK(f == ST_SAME || (gone && f == ST_MISS));
    }
    for (uint64_t k = 100; k < 110; k++)
        CHECK(st_compare(s, k, value_of(k)) != ST_OTHER);
    for (uint64_t k = 5; k <= 15; k += 5) {
        CHECK_OK(st_put(s, k, value_of(k), &err));
        CHECK_INT(st_compare(s, k, value_of(k)), ST_SAME);
    }
    int code = -1;
    CHECK_OK(tb_store_verify(s, &code, NULL, NULL, NULL, &err));
    CHECK_INT(code, 0);
    CHECK_INT(files_in(dir, "tmp"), 0);
    tb_store_close(&s);
}

static void abort_at(const char *site)
{
    char *dir = st_folder();
    int fd[2];
    prepare_for(site, dir);
    REQUIRE(pipe(fd) == 0);
    const pid_t pid = fork();
    if (pid == 0)
        child_at_site(dir, site, fd[1]);
    close(fd[1]);
    uint64_t told[16];
    size_t n = 0;
    while (n < 16 && read(fd[0], &told[n], sizeof told[0]) == sizeof told[0])
        n++;
    close(fd[0]);
    int status = 0;
    waitpid(pid, &status, 0);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
        fprintf(stderr, "site %s was not reached (status %d)\n", site, status);
        tb_test_failures++;
    }
    after_site(site, dir, told, n);
    st_remove(dir);
    free(dir);
}

TEST(every_site_may_be_the_last)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    static const char *const sites[] = {
        "create-before-sync", "create-before-rename", "create-after-rename", "set-aside",
        "blob-before-write",  "blob-before-rename",   "blob-after-rename",   "blob-before-row",
        "before-commit",      "after-commit",         "gc-before-commit",    "gc-before-unlink"
    };
    tb_log_set_level(TB_LOG_WARN + 1);
    for (size_t i = 0; i < sizeof sites / sizeof sites[0]; i++)
        for (int again = 0; again < 3; again++)
            abort_at(sites[i]);
    tb_log_set_level(TB_LOG_WARN);
#else
    (void)abort_at;
    printf("     skipped: the sites are in debug builds only\n");
#endif
}

/* ------------------------------------------------------------------------------------- owners */

TEST(run_of_a_dead_process_is_interrupted)
{
    char *dir = st_folder();
    int fd[2];
    char c;
    REQUIRE(pipe(fd) == 0);
    const pid_t pid = fork();
    if (pid == 0) {
        uint64_t run;
        tb_store *s = st_open(dir);
        if (tb_store_run_begin(s, "t", "{\"a\":2}", &run, NULL) != TB_OK ||
            write(fd[1], "x", 1) != 1)
            _exit(1);
        pause();
        _exit(0);
    }
    REQUIRE(read(fd[0], &c, 1) == 1);
    tb_store *s = st_open(dir);
    tb_err err = TB_ERR_INIT;
    tb_run_info info;
    CHECK_OK(tb_store_run_get(s, 1, &info, &err));
    CHECK_STR(info.status, "running");
    tb_run_info_clear(&info);
    CHECK_INT(tb_store_run_get(s, 0, &info, NULL), TB_ENOTFOUND); /* somebody works on it */
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    CHECK_OK(tb_store_run_get(s, 0, &info, &err));
    CHECK_STR(info.status, "interrupted");
    CHECK_STR(info.document, "{\"a\":2}");
    tb_run_info_clear(&info);
    tb_store_close(&s);
    close(fd[0]);
    close(fd[1]);
    st_remove(dir);
    free(dir);
}

TEST(handle_does_not_work_across_fork)
{
    char *dir = st_folder();
    tb_store *s = st_open(dir);
    CHECK_INT(st_put(s, 1, tb_value_int(1), NULL), TB_OK);
    const pid_t pid = fork();
    if (pid == 0) {
        tb_err err = TB_ERR_INIT;
        const tb_key key = st_key(1);
        const bool refused =
            !tb_store_has(s, &key, NULL) && st_put(s, 2, tb_value_int(1), &err) == TB_EINTERNAL &&
            strcmp(err.message,
                   "a store cannot be used in a forked process; open it again there") == 0;
        tb_store_close(&s);
        _exit(refused && !s ? 0 : 1);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    CHECK_INT(status, 0);
    CHECK_INT(st_compare(s, 1, tb_value_int(1)), ST_SAME);
    tb_store_close(&s);
    st_remove(dir);
    free(dir);
}

static const struct tb_test tests[] = {
    TEST_CASE(what_was_told_survives_kill),
    TEST_CASE(every_site_may_be_the_last),
    TEST_CASE(run_of_a_dead_process_is_interrupted),
    TEST_CASE(handle_does_not_work_across_fork),
};

int main(int argc, char **argv)
{
    return tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof tests[0]));
}
