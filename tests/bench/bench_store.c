/* bench_store.c - what the store costs: opening, rows a second, lookups, blobs.
 *
 * bench_store [folder]; the folder decides the disk. Prints one line a figure.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "store/store.h"

#define NODES 20000

static tb_key key_of(uint64_t n)
{
    tb_hasher h;
    tb_hasher_init(&h);
    tb_hasher_u64(&h, n);
    return tb_hasher_done(&h);
}

static tb_store *open_at(const char *path)
{
    tb_err err = TB_ERR_INIT;
    tb_store *s =
        tb_store_open(&(tb_store_options){ .path = path, .cap_bytes = UINT64_C(8) << 30 }, &err);
    if (!s) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
    return s;
}

static void opening(const char *path, const char *what)
{
    double start = tb_clock_seconds();
    tb_store *s = open_at(path);
    const double open_ms = 1e3 * (tb_clock_seconds() - start);
    start = tb_clock_seconds();
    tb_store_close(&s);
    printf("open, %-28s %8.2f ms, close %.2f ms\n", what, open_ms,
           1e3 * (tb_clock_seconds() - start));
}

/* As the engine does for a trivial node: one result, two journal rows. */
static void trivial_nodes(tb_store *s)
{
    uint64_t run = 0;
    tb_err err = TB_ERR_INIT;
    if (tb_store_run_begin(s, "bench", "{}", &run, &err) != TB_OK)
        exit(1);
    const double start = tb_clock_seconds();
    for (uint64_t i = 0; i < NODES; i++) {
        char name[32];
        const tb_store_put_args args = { .key = key_of(i),
                                         .content_key = key_of(i + (UINT64_C(1) << 40)),
                                         .type = "math_number",
                                         .cost_ms = 0.01,
                                         .signature = "math_number",
                                         .run = run };
        tb_value *v = tb_value_list();
        snprintf(name, sizeof name, "node_%llu", (unsigned long long)i);
        tb_list_append_take(v, tb_value_int((int64_t)i));
        tb_store_run_node(s, run, name, args.type, &args.key, "claimed", 0);
        tb_store_put(s, &args, &v, 1, NULL, NULL);
        tb_store_run_node(s, run, name, args.type, &args.key, "stored", 0.01);
        tb_value_unref(&v);
    }
    const double queued = tb_clock_seconds() - start;
    tb_store_flush(s, &err);
    const double seconds = tb_clock_seconds() - start;
    printf(
        "trivial nodes stored              %8.0f nodes/s, %.0f rows/s (queueing %.2f us a node)\n",
        NODES / seconds, 3 * NODES / seconds, 1e6 * queued / NODES);
    tb_store_run_end(s, run, "done", NULL, &err);
}

static void lookups(tb_store *s)
{
    int found = 0;
    double start = tb_clock_seconds();
    for (uint64_t i = 0; i < NODES; i++) {
        const tb_key k = key_of(i);
        found += tb_store_has(s, &k, NULL);
    }
    printf("has, there                        %8.2f us (%d found)\n",
           1e6 * (tb_clock_seconds() - start) / NODES, found);
    start = tb_clock_seconds();
    for (uint64_t i = 0; i < NODES; i++) {
        const tb_key k = key_of(i + (UINT64_C(1) << 50));
        found += tb_store_has(s, &k, NULL);
    }
    printf("has, not there                    %8.2f us\n",
           1e6 * (tb_clock_seconds() - start) / NODES);
    start = tb_clock_seconds();
    for (uint64_t i = 0; i < NODES; i++) {
        const tb_key k = key_of(i);
        tb_value **out = NULL;
        int count = 0;
        if (tb_store_get(s, &k, &out, &count, NULL) != TB_OK)
            exit(1);
        for (int j = 0; j < count; j++)
            tb_value_unref(&out[j]);
        free(out);
    }
    printf("get, a number                     %8.2f us\n",
           1e6 * (tb_clock_seconds() - start) / NODES);
}

static void blobs(tb_store *s, size_t bytes, int n)
{
    const uint64_t base = (UINT64_C(1) << 41) + bytes;
    tb_err err = TB_ERR_INIT;
    double start = tb_clock_seconds();
    double making = 0;
    for (int i = 0; i < n; i++) {
        const double t = tb_clock_seconds();
        tb_tensor *x = tb_tensor_new(TB_U8, &TB_SHAPE((int64_t)bytes), NULL);
        memset(tb_tensor_data_mut(x), i, bytes);
        memcpy(tb_tensor_data_mut(x), &i, sizeof i);
        tb_value *v = tb_value_list();
        tb_list_append_take(v, tb_value_tensor_take(x));
        making += tb_clock_seconds() - t;
        tb_store_put(s, &(tb_store_put_args){ .key = key_of(base + (uint64_t)i), .type = "blob" },
                     &v, 1, NULL, NULL);
        tb_value_unref(&v);
    }
    if (tb_store_flush(s, &err) != TB_OK)
        fprintf(stderr, "%s\n", err.message);
    const double write_s = tb_clock_seconds() - start - making;
    start = tb_clock_seconds();
    for (int i = 0; i < n; i++) {
        const tb_key k = key_of(base + (uint64_t)i);
        tb_value **out = NULL;
        int count = 0;
        if (tb_store_get(s, &k, &out, &count, NULL) != TB_OK)
            exit(1);
        tb_value_unref(&out[0]);
        free(out);
    }
    const double read_s = tb_clock_seconds() - start, mb = (double)bytes * n / 1e6;
    printf("blobs of %6zu KiB                %8.0f MB/s written, %.0f MB/s read and verified\n",
           bytes >> 10, mb / write_s, mb / read_s);
}

static void remove_tree(const char *path)
{
    char *command = tb_xasprintf("rm -rf '%s'", path);
    if (system(command) != 0)
        fprintf(stderr, "cannot remove '%s'\n", path);
    free(command);
}

int main(int argc, char **argv)
{
    char *path = tb_xasprintf("%s/tubelet-bench-XXXXXX", argc > 1 ? argv[1] : "/tmp");
    if (!mkdtemp(path))
        return 1;
    opening(path, "a new store");
    opening(path, "an empty store");
    tb_store *s = open_at(path);
    trivial_nodes(s);
    lookups(s);
    blobs(s, (size_t)16 << 10, 2000);
    blobs(s, (size_t)64 << 10, 1000);
    blobs(s, (size_t)1 << 20, 200);
    blobs(s, (size_t)16 << 20, 40);
    tb_store_close(&s);
    opening(path, "20,000 results, 1 GB");
    remove_tree(path);
    free(path);
    return 0;
}
