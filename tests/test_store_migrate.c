/* test_store_migrate.c - stores of earlier formats: brought to today's, also when the process dies
 * in it. */
#include <sqlite3.h>
#include <sys/wait.h>

#include "store_help.h"

/* runs.db as the first release made it, with one run. */
static const char format_1[] =
    "PRAGMA page_size=16384; PRAGMA auto_vacuum=INCREMENTAL; PRAGMA application_id=0x74627275;"
    "PRAGMA user_version=1;"
    "CREATE TABLE run(id INTEGER PRIMARY KEY AUTOINCREMENT, status TEXT NOT NULL, started_ms "
    "INTEGER NOT NULL,"
    " ended_ms INTEGER NOT NULL, title TEXT, document TEXT, error TEXT, pid INTEGER NOT NULL,"
    " pid_start INTEGER NOT NULL, boot TEXT NOT NULL);"
    "CREATE TABLE run_node(run INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE, node TEXT "
    "NOT NULL,"
    " type TEXT, key BLOB, state TEXT NOT NULL, ms REAL, updated_ms INTEGER, PRIMARY "
    "KEY(run,node)) WITHOUT ROWID;"
    "INSERT INTO run VALUES(7,'failed',1000,2000,'old','{}','no luck',1,1,'');"
    "PRAGMA journal_mode=WAL;";

static sqlite3 *open_db(const char *dir, const char *file)
{
    char *path = tb_fs_join(dir, file);
    sqlite3 *db = NULL;
    REQUIRE(sqlite3_open(path, &db) == SQLITE_OK);
    free(path);
    return db;
}

static char *old_store(void)
{
    char *dir = st_folder();
    sqlite3 *db = open_db(dir, "runs.db");
    REQUIRE(sqlite3_exec(db, format_1, NULL, NULL, NULL) == SQLITE_OK);
    sqlite3_close(db);
    return dir;
}

static int64_t number(const char *dir, const char *file, const char *sql)
{
    sqlite3 *db = open_db(dir, file);
    sqlite3_stmt *st = NULL;
    REQUIRE(sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK);
    const int64_t v = sqlite3_step(st) == SQLITE_ROW ? sqlite3_column_int64(st, 0) : -1;
    sqlite3_finalize(st);
    sqlite3_close(db);
    return v;
}

static void expect_todays(const char *dir)
{
    tb_err err = TB_ERR_INIT;
    tb_run_info run = { 0 };
    tb_store *s = st_open(dir);
    CHECK_OK(tb_store_run_get(s, 7, &run, &err));
    CHECK_STR(run.title, "old");
    CHECK_STR(run.error, "no luck");
    tb_run_info_clear(&run);
    CHECK_OK(tb_store_prompt_add(
        s,
        &(tb_prompt_row){ .id = (char[]){ "p" }, .state = "pending", .request = (char[]){ "{}" } },
        &err));
    tb_store_close(&s);
    CHECK_INT(number(dir, "runs.db", "PRAGMA user_version"), 2);
    CHECK_INT(number(dir, "runs.db", "SELECT count(*) FROM prompt"), 1);
    CHECK_INT(number(dir, "runs.db.format1", "PRAGMA user_version"), 1);
    CHECK_INT(number(dir, "runs.db.format1", "SELECT id FROM run"), 7);
}

TEST(a_store_of_format_1_gets_a_queue_and_keeps_its_runs)
{
    char *dir = old_store();
    expect_todays(dir);
    st_remove(dir);
    free(dir);
}

TEST(reading_only_changes_nothing)
{
    char *dir = old_store();
    tb_err err = TB_ERR_INIT;
    tb_run_info *runs = NULL;
    int count = 0;
    char *other = st_folder(), *from = NULL, *to = NULL;
    tb_store *s = st_open(other); /* for its cache.db */
    tb_store_close(&s);
    from = tb_fs_join(other, "cache.db");
    to = tb_fs_join(dir, "cache.db");
    CHECK_INT(rename(from, to), 0);
    s = tb_store_open(&(tb_store_options){ .path = dir, .read_only = true }, &err);
    REQUIRE(s);
    CHECK_OK(tb_store_runs(s, 0, &runs, &count, &err));
    CHECK_INT(count, 1);
    for (int i = 0; i < count; i++)
        tb_run_info_clear(&runs[i]);
    free(runs);
    tb_store_close(&s);
    CHECK_INT(number(dir, "runs.db", "PRAGMA user_version"), 1);
    st_remove(dir);
    st_remove(other);
    free(dir);
    free(other);
    free(from);
    free(to);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
TEST(a_migration_that_is_cut_off_is_done_again)
{
    static const char *const sites[] = { "migrate-after-backup", "migrate-before-commit" };
    for (int i = 0; i < 2; i++) {
        char *dir = old_store();
        const pid_t pid = fork();
        if (pid == 0) {
            setenv("TUBELET_ABORT_AT", sites[i], 1);
            st_open(dir);
            _exit(42);
        }
        int status = 0;
        waitpid(pid, &status, 0);
        CHECK(!WIFEXITED(status) || WEXITSTATUS(status) != 42);
        CHECK_INT(number(dir, "runs.db", "PRAGMA user_version"), 1);
        expect_todays(dir);
        st_remove(dir);
        free(dir);
    }
}
#endif

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(a_store_of_format_1_gets_a_queue_and_keeps_its_runs),
        TEST_CASE(reading_only_changes_nothing),
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
        TEST_CASE(a_migration_that_is_cut_off_is_done_again),
#endif
    };
    return tb_test_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
