/* test_store_damage.c - P3, P5, P12: flipped bits, lost files, foreign and newer files.
 *
 * Whatever happened on disk, a value is the same, a miss or a refusal; never other bytes, never a
 * crash.
 */
#include "store_help.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/wait.h>

#define KEYS  24
#define FLIPS 200

static atomic_int lines;
static char last_line[1024];

static void count_lines(void *ctx, tb_log_level level, const char *line)
{
    (void)ctx;
    if (level >= TB_LOG_WARN) {
        atomic_fetch_add(&lines, 1);
        snprintf(last_line, sizeof last_line, "%s", line);
    }
}

static tb_value *value_of(uint64_t n)
{
    if (n % 6 == 5) { /* nothing but the row's own hash protects this one */
        char text[6001];
        memset(text, 'a' + (int)n, sizeof text - 1);
        text[sizeof text - 1] = 0;
        return tb_value_string(text);
    }
    return st_tensor(n, n % 6 == 0 ? 20000 : 10 + 100 * n);
}

static void fill(tb_store *s)
{
    tb_err err = TB_ERR_INIT;
    uint64_t run = 0;
    CHECK_OK(tb_store_run_begin(s, "t", "{}", &run, &err));
    for (uint64_t n = 0; n < KEYS; n++) {
        const tb_key key = st_key(n), second = st_key(1000 + n);
        const tb_store_put_args args = {
            .key = key, .content_key = st_key(2000 + n), .type = "t", .signature = "t"
        };
        CHECK_OK(st_put_args(s, &args, value_of(n), &err));
        tb_store_alias(s, &second, &key, run);
        tb_store_run_node(s, run, "n", "t", &key, "stored", 1);
    }
    CHECK_OK(tb_store_flush(s, &err));
}

/* --------------------------------------------------------------------------------------- T-flip */

typedef struct image {
    char *name; /* relative */
    char *bytes;
    size_t size;
} image;

typedef struct snapshot {
    image *files;
    size_t count, cap;
} snapshot;

static void snap(snapshot *s, const char *root, const char *rel)
{
    char *dir = *rel ? tb_fs_join(root, rel) : tb_xstrdup(root);
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));) {
        const size_t len = strlen(e->d_name);
        if (e->d_name[0] == '.' || (len > 4 && strcmp(e->d_name + len - 4, "-shm") == 0) ||
            strcmp(e->d_name, "ballast") == 0)
            continue;
        char *name = *rel ? tb_xasprintf("%s/%s", rel, e->d_name) : tb_xstrdup(e->d_name);
        char *path = tb_fs_join(root, name);
        if (tb_fs_is_dir(path)) {
            snap(s, root, name);
        } else {
            image im = { tb_xstrdup(name), NULL, 0 };
            REQUIRE(tb_fs_read(path, (size_t)1 << 30, &im.bytes, &im.size, NULL) == TB_OK);
            TB_GROW(s->files, s->cap, s->count + 1);
            s->files[s->count++] = im;
        }
        free(path);
        free(name);
    }
    if (d)
        closedir(d);
    free(dir);
}

static void restore(const snapshot *s, const char *root)
{
    for (size_t i = 0; i < s->count; i++) {
        char *path = tb_fs_join(root, s->files[i].name);
        REQUIRE(tb_fs_write(path, s->files[i].bytes, s->files[i].size, false, NULL) == TB_OK);
        free(path);
    }
}

static void free_snapshot(snapshot *s)
{
    for (size_t i = 0; i < s->count; i++) {
        free(s->files[i].name);
        free(s->files[i].bytes);
    }
    free(s->files);
}

/* Half of them in cache.db or its log; the others in any file. A third in the first 512 bytes. */
static const image *choose(const snapshot *s)
{
    const bool cache = st_random() % 2 == 0;
    for (;;) {
        const image *im = &s->files[st_random() % s->count];
        if (im->size && (!cache || (strncmp(im->name, "cache.db", 8) == 0 && im->size > 65536)))
            return im;
    }
}

static char *flip_one(const snapshot *s, const char *root)
{
    const image *im = choose(s);
    const size_t range = st_random() % 3 == 0 && im->size > 512 ? 512 : im->size;
    const size_t at = st_random() % range;
    const int bit = (int)(st_random() % 8);
    char *path = tb_fs_join(root, im->name);
    const char byte = (char)(im->bytes[at] ^ (1 << bit));
    const int fd = open(path, O_WRONLY | O_CLOEXEC); /* in place: whoever has it open sees it */
    REQUIRE(fd >= 0 && pwrite(fd, &byte, 1, (off_t)at) == 1);
    close(fd);
    free(path);
    return tb_xasprintf("%s, byte %zu, bit %d", im->name, at, bit);
}

typedef struct outcome {
    int same, miss, other, refused, stuck;
} outcome;

static void read_all(tb_store *s, outcome *o)
{
    tb_key found;
    for (uint64_t n = 0; n < KEYS; n++) {
        const tb_key content = st_key(2000 + n), key = st_key(n);
        const st_found f[2] = { st_compare(s, n, value_of(n)),
                                st_compare(s, 1000 + n, value_of(n)) };
        for (int i = 0; i < 2; i++) {
            o->same += f[i] == ST_SAME;
            o->miss += f[i] == ST_MISS;
            o->other += f[i] == ST_OTHER;
        }
        if (tb_store_find_content(s, &content, &found))
            o->other += !tb_key_eq(&found, &key);
    }
}

static void list_all(tb_store *s)
{
    tb_run_info *runs = NULL;
    tb_result_info *results = NULL;
    int count = 0;
    if (tb_store_runs(s, 10, &runs, &count, NULL) == TB_OK)
        for (int i = 0; i < count; i++)
            tb_run_info_clear(&runs[i]);
    free(runs);
    tb_store_list(s, "used", 100, &results, &count, NULL);
    free(results);
    json_decref(tb_store_run_nodes(s, 1, NULL));
    tb_store_verify(s, NULL, NULL, NULL, NULL, NULL);
}

static int store_missing(tb_store *s)
{
    int failed = 0;
    for (uint64_t n = 0; n < KEYS; n++)
        failed +=
            st_put(s, n, value_of(n), NULL) != TB_OK || st_compare(s, n, value_of(n)) != ST_SAME;
    return failed;
}

/* After damage was met, storing again works, at the latest when the store was opened again. */
static void live_with(const char *dir, outcome *o)
{
    const tb_store_options options = { .path = dir, .cap_bytes = 1 << 30 };
    tb_err err = TB_ERR_INIT;
    tb_store *s = tb_store_open(&options, &err);
    if (!s) {
        o->refused++;
        CHECK(err.message[0]);
        return;
    }
    read_all(s, o);
    list_all(s);
    if (store_missing(s)) {
        tb_store_close(&s);
        s = tb_store_open(&options, &err);
        REQUIRE(s);
        o->stuck += store_missing(s) != 0;
    }
    read_all(s, o);
    tb_store_close(&s);
}

/* with_log: as a killed process leaves it, with everything still in the WAL */
static char *make_store(bool with_log)
{
    char *dir = st_folder();
    const pid_t pid = fork();
    if (pid == 0) {
        tb_test_failures = 0;
        tb_store *s = st_open(dir);
        fill(s);
        if (!with_log)
            tb_store_close(&s);
        _exit(tb_test_failures);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    CHECK_INT(status, 0);
    return dir;
}

static void flip_many(bool with_log, int n, outcome *o)
{
    char *made = make_store(with_log), *dir = st_folder();
    snapshot s = { 0 };
    snap(&s, made, "");
    for (int i = 0; i < n; i++) {
        const outcome before = *o;
        st_remove(dir);
        restore(&s, dir);
        char *what = flip_one(&s, dir);
        live_with(dir, o);
        if (o->other > before.other || o->stuck > before.stuck)
            fprintf(stderr, "flip %d: %s\n", i, what);
        free(what);
    }
    free_snapshot(&s);
    st_remove(made);
    st_remove(dir);
    free(made);
    free(dir);
}

/* The bit flips below an open handle, which may have read the page before or not. */
static void flip_below(const snapshot *s, const char *dir, outcome *o)
{
    const tb_store_options options = { .path = dir, .cap_bytes = 1 << 30 };
    tb_store *store = st_open(dir);
    const tb_key key = st_key(st_random() % KEYS);
    tb_store_has(store, &key, NULL);
    char *what = flip_one(s, dir);
    read_all(store, o);
    store_missing(store);
    read_all(store, o);
    tb_store_close(&store);
    for (int i = 0; i < 2 && (store = tb_store_open(&options, NULL));
         i++) { /* a refusal: runs.db */
        const int missing = store_missing(store);
        o->stuck += i == 1 && missing;
        read_all(store, o);
        tb_store_close(&store);
    }
    if (o->other || o->stuck)
        fprintf(stderr, "flip %s\n", what);
    free(what);
}

TEST(bit_flipped_below_an_open_store_never_gives_other_bytes)
{
    outcome o = { 0 };
    char *made = make_store(false), *dir = st_folder();
    snapshot s = { 0 };
    tb_log_set_sink(count_lines, NULL);
    snap(&s, made, "");
    for (int i = 0; i < st_times(60); i++) {
        st_remove(dir);
        restore(&s, dir);
        flip_below(&s, dir, &o);
    }
    tb_log_set_sink(NULL, NULL);
    CHECK_INT(o.other, 0);
    CHECK_INT(o.stuck, 0);
    free_snapshot(&s);
    st_remove(made);
    st_remove(dir);
    free(made);
    free(dir);
}

TEST(one_flipped_bit_never_gives_other_bytes)
{
    outcome o = { 0 };
    tb_log_set_sink(count_lines, NULL);
    flip_many(false, st_times(FLIPS / 2), &o);
    flip_many(true, st_times(FLIPS / 2), &o);
    tb_log_set_sink(NULL, NULL);
    printf("     %d flips: %d reads the same, %d misses, %d stores refused\n", st_times(FLIPS),
           o.same, o.miss, o.refused);
    CHECK_INT(o.other, 0);
    CHECK_INT(o.stuck, 0);
    CHECK(o.same > 0 && o.miss > 0);
}

/* SQLite sees nothing wrong with another letter in a text. */
TEST(changed_letter_in_a_row_is_a_miss)
{
    char *dir = make_store(false), *path = tb_fs_join(dir, "cache.db"), *bytes = NULL;
    size_t size = 0;
    REQUIRE(tb_fs_read(path, (size_t)1 << 30, &bytes, &size, NULL) == TB_OK);
    char *text = memmem(bytes, size, "ffffffffffffffff", 16); /* value 5 */
    REQUIRE(text);
    text[8] ^= 1;
    REQUIRE(tb_fs_write(path, bytes, size, false, NULL) == TB_OK);
    tb_store *s = st_open(dir);
    const tb_key key = st_key(5);
    int code = -1;
    CHECK(!tb_store_has(s, &key, NULL));
    CHECK_INT(tb_store_verify(s, &code, NULL, NULL, NULL, NULL), TB_OK);
    CHECK_INT(code, 1);
    CHECK_INT(st_compare(s, 5, value_of(5)), ST_MISS);
    CHECK_INT(st_put(s, 5, value_of(5), NULL), TB_OK);
    CHECK_INT(st_compare(s, 5, value_of(5)), ST_SAME);
    tb_store_close(&s);
    st_remove(dir);
    free(bytes);
    free(path);
    free(dir);
}

/* ------------------------------------------------------------------------------ lost and broken */

static char *object_of(const char *dir, uint64_t n)
{
    char hex[TB_DIGEST_HEX];
    tb_value *v = value_of(n);
    const tb_tensor *t = tb_value_as_tensor(v);
    const tb_digest d = tb_digest_of(tb_tensor_data(t), tb_tensor_bytes(t));
    tb_value_unref(&v);
    tb_digest_hex(&d, hex);
    return tb_xasprintf("%s/objects/%.2s/%s", dir, hex, hex);
}

static void break_and_read(const char *what, void (*damage)(const char *path))
{
    char *dir = st_folder();
    tb_store *s = st_open(dir);
    tb_err err = TB_ERR_INIT;
    fill(s);
    char *path = object_of(dir, 6), *name = tb_xstrdup(tb_fs_basename(path));
    char *want = tb_xasprintf("stored bytes %.12s are %s; the result is dropped and computed again",
                              name, what);
    const tb_key key = st_key(6);
    int code = -1;
    damage(path);
    atomic_store(&lines, 0);
    tb_log_set_sink(count_lines, NULL);
    CHECK(tb_store_has(s, &key, NULL));
    CHECK_INT(st_compare(s, 6, value_of(6)), ST_MISS);
    CHECK_INT(st_compare(s, 6, value_of(6)), ST_MISS);
    CHECK_OK(tb_store_flush(s, &err));
    CHECK_INT(atomic_load(&lines), 1);
    CHECK_STR(last_line, want);
    tb_log_set_sink(NULL, NULL);
    CHECK(!tb_store_has(s, &key, NULL));
    CHECK_OK(st_put(s, 6, value_of(6), &err));
    CHECK_INT(st_compare(s, 6, value_of(6)), ST_SAME);
    CHECK_OK(tb_store_verify(s, &code, NULL, NULL, NULL, &err));
    CHECK_INT(code, 0);
    tb_store_close(&s);
    st_remove(dir);
    free(want);
    free(name);
    free(path);
    free(dir);
}

static void remove_it(const char *path)
{
    REQUIRE(unlink(path) == 0);
}

static void shorten_it(const char *path)
{
    REQUIRE(truncate(path, 70000) == 0);
}

static void flip_it(const char *path)
{
    FILE *f = fopen(path, "r+b");
    REQUIRE(f);
    const int c = fgetc(f);
    rewind(f);
    fputc(c ^ 1, f);
    fclose(f);
}

TEST(lost_blob_is_a_miss_and_stored_again)
{
    break_and_read("gone", remove_it);
}

TEST(shortened_blob_is_a_miss_and_stored_again)
{
    break_and_read("damaged", shorten_it);
}

TEST(changed_blob_is_a_miss_and_stored_again)
{
    break_and_read("damaged", flip_it);
}

TEST(verify_counts_and_mends)
{
    char *dir = st_folder();
    tb_store *s = st_open(dir);
    tb_err err = TB_ERR_INIT;
    fill(s);
    char *gone = object_of(dir, 6), *flipped = object_of(dir, 12);
    int code = -1;
    uint64_t checked = 0, corrupt = 0, missing = 0;
    CHECK_OK(tb_store_verify(s, &code, &checked, &corrupt, &missing, &err));
    CHECK_INT(code, 0);
    CHECK_INT(checked, KEYS + KEYS - KEYS / 6); /* rows, and blobs of those that are tensors */
    tb_log_set_sink(count_lines, NULL);
    remove_it(gone);
    CHECK_OK(tb_store_verify(s, &code, NULL, &corrupt, &missing, &err));
    CHECK_INT(code, 2);
    CHECK_INT(missing, 1);
    flip_it(flipped);
    CHECK_OK(tb_store_verify(s, &code, NULL, &corrupt, &missing, &err));
    CHECK_INT(code, 1);
    CHECK_INT(corrupt, 1);
    CHECK_INT(missing, 0);
    CHECK_OK(tb_store_verify(s, &code, NULL, NULL, NULL, &err));
    CHECK_INT(code, 0);
    tb_log_set_sink(NULL, NULL);
    tb_store_close(&s);
    st_remove(dir);
    free(gone);
    free(flipped);
    free(dir);
}

TEST(no_memory_is_an_error_not_a_miss)
{
    char *dir = st_folder();
    tb_store *s = st_open(dir);
    tb_err err = TB_ERR_INIT;
    tb_value **out = NULL;
    int count = 0;
    const tb_key key = st_key(1);
    CHECK_OK(st_put(s, 1, st_tensor(1, 100), &err));
    tb_mem_fail_on(1);
    CHECK_INT(tb_store_get(s, &key, &out, &count, &err), TB_ENOMEM);
    CHECK_STR(err.message, "no memory to read 400 bytes from the store");
    tb_mem_fail_on(0);
    CHECK_INT(st_compare(s, 1, st_tensor(1, 100)), ST_SAME);
    tb_store_close(&s);
    st_remove(dir);
    free(dir);
}

/* ------------------------------------------------------------------------------------ T-migrate */

static void sql(const char *dir, const char *file, const char *text)
{
    char *path = tb_fs_join(dir, file);
    sqlite3 *db = NULL;
    REQUIRE(sqlite3_open(path, &db) == SQLITE_OK);
    REQUIRE(sqlite3_exec(db, text, NULL, NULL, NULL) == SQLITE_OK);
    sqlite3_close(db);
    free(path);
}

/* The store in dir is refused with a sentence that holds `text`, and all files stay as they are. */
static void refused_unharmed(const char *dir, const char *text)
{
    snapshot before = { 0 }, after = { 0 };
    tb_err err = TB_ERR_INIT;
    snap(&before, dir, "");
    tb_store *s = tb_store_open(&(tb_store_options){ .path = dir }, &err);
    CHECK(!s);
    tb_store_close(&s);
    CHECK_INT(err.status, TB_ESTORE);
    if (!strstr(err.message, text)) {
        fprintf(stderr, "got: %s\nwanted: %s\n", err.message, text);
        tb_test_failures++;
    }
    char *lock = tb_fs_join(dir, "lock");
    unlink(lock);
    free(lock);
    snap(&after, dir, "");
    size_t found = 0;
    for (size_t i = 0; i < before.count; i++)
        for (size_t j = 0; j < after.count; j++)
            found += strcmp(before.files[i].name, after.files[j].name) == 0 &&
                     before.files[i].size == after.files[j].size &&
                     memcmp(before.files[i].bytes, after.files[j].bytes, after.files[j].size) == 0;
    const size_t locks = before.count - after.count; /* the lock file, where there was one */
    CHECK(locks <= 1);
    CHECK_INT(found, after.count);
    free_snapshot(&before);
    free_snapshot(&after);
}

TEST(newer_store_is_refused_unharmed)
{
    static const char *const files[] = { "cache.db", "runs.db" };
    for (int i = 0; i < 2; i++) {
        char *dir = make_store(false);
        sql(dir, files[i], "PRAGMA user_version=9");
        char *want = tb_xasprintf(
            "/%s' was written by a newer tubelet (format 9, this one knows %d); use that version, "
            "or another folder with TUBELET_STORE",
            files[i], i + 1);
        refused_unharmed(dir, want);
        sql(dir, files[i], i ? "PRAGMA user_version=2" : "PRAGMA user_version=1");
        tb_store *s = st_open(dir);
        CHECK_INT(st_compare(s, 6, value_of(6)), ST_SAME);
        tb_store_close(&s);
        st_remove(dir);
        free(want);
        free(dir);
    }
}

TEST(foreign_files_are_refused_unharmed)
{
    static const char want[] =
        "cache.db' is not a store of tubelet but another program's file; it was left as it is, "
        "choose another folder with TUBELET_STORE";
    char *dir = st_folder(), *text = tb_fs_join(dir, "cache.db");
    sql(dir, "cache.db", "CREATE TABLE bookmarks(url TEXT); PRAGMA journal_mode=WAL");
    refused_unharmed(dir, want);
    unlink(text);
    REQUIRE(tb_fs_write(text, "just a text of somebody", 23, false, NULL) == TB_OK);
    refused_unharmed(dir, want);
    st_remove(dir);
    free(text);
    free(dir);
}

TEST(damaged_journal_stops_with_a_message)
{
    char *dir = make_store(false), *runs = tb_fs_join(dir, "runs.db");
    FILE *f = fopen(runs, "r+b");
    REQUIRE(f);
    fputs("no database", f);
    fclose(f);
    refused_unharmed(dir,
                     "/runs.db' is damaged; move it away to go on without the history of runs");
    unlink(runs);
    tb_store *s = st_open(dir);
    CHECK_INT(st_compare(s, 6, value_of(6)), ST_SAME);
    tb_store_close(&s);
    st_remove(dir);
    free(runs);
    free(dir);
}

static int count_aside(const char *dir)
{
    DIR *d = opendir(dir);
    int n = 0;
    for (struct dirent *e; d && (e = readdir(d));)
        n += strncmp(e->d_name, "cache.db.damaged-", 17) == 0;
    if (d)
        closedir(d);
    return n;
}

TEST(damaged_cache_is_set_aside)
{
    char *dir = make_store(false), *cache = tb_fs_join(dir, "cache.db");
    FILE *f = fopen(cache, "r+b");
    REQUIRE(f);
    fputs("no database", f);
    fclose(f);
    atomic_store(&lines, 0);
    tb_log_set_sink(count_lines, NULL);
    tb_store *s = st_open(dir);
    tb_log_set_sink(NULL, NULL);
    CHECK_INT(atomic_load(&lines), 1);
    CHECK(strstr(last_line, "was damaged; it is kept as"));
    CHECK_INT(count_aside(dir), 1);
    CHECK_INT(st_compare(s, 6, value_of(6)), ST_MISS);
    CHECK_INT(st_put(s, 6, value_of(6), NULL), TB_OK);
    CHECK_INT(st_compare(s, 6, value_of(6)), ST_SAME);
    tb_run_info info;
    tb_err err = TB_ERR_INIT;
    CHECK_OK(tb_store_run_get(s, 1, &info, &err)); /* the journal is another file */
    tb_run_info_clear(&info);
    tb_store_close(&s);
    st_remove(dir);
    free(cache);
    free(dir);
}

TEST(missing_table_is_damage)
{
    char *dir = make_store(false);
    sql(dir, "cache.db", "DROP TABLE blob");
    tb_log_set_sink(count_lines, NULL);
    tb_store *s = st_open(dir);
    CHECK_INT(st_compare(s, 6, value_of(6)), ST_MISS);
    tb_store_close(&s);
    s = st_open(dir);
    CHECK_INT(count_aside(dir), 1);
    CHECK_INT(st_put(s, 6, value_of(6), NULL), TB_OK);
    CHECK_INT(st_compare(s, 6, value_of(6)), ST_SAME);
    tb_store_close(&s);
    tb_log_set_sink(NULL, NULL);
    st_remove(dir);
    free(dir);
}

static const struct tb_test tests[] = {
    TEST_CASE(one_flipped_bit_never_gives_other_bytes),
    TEST_CASE(bit_flipped_below_an_open_store_never_gives_other_bytes),
    TEST_CASE(changed_letter_in_a_row_is_a_miss),
    TEST_CASE(lost_blob_is_a_miss_and_stored_again),
    TEST_CASE(shortened_blob_is_a_miss_and_stored_again),
    TEST_CASE(changed_blob_is_a_miss_and_stored_again),
    TEST_CASE(verify_counts_and_mends),
    TEST_CASE(no_memory_is_an_error_not_a_miss),
    TEST_CASE(newer_store_is_refused_unharmed),
    TEST_CASE(foreign_files_are_refused_unharmed),
    TEST_CASE(damaged_journal_stops_with_a_message),
    TEST_CASE(damaged_cache_is_set_aside),
    TEST_CASE(missing_table_is_damage),
};

int main(int argc, char **argv)
{
    return tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof tests[0]));
}
