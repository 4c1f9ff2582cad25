/* test_store.c - results, second keys, files and runs as the engine uses them. */
#include "store_help.h"

#include <fcntl.h>

static tb_value *everything(void)
{
    tb_value *r = tb_value_record(), *list = tb_value_list();
    tb_record_set_take(r, "samples", st_tensor(1, 300000)); /* a file */
    tb_record_set_take(r, "small", st_tensor(2, 7));        /* inline */
    tb_record_set_take(r, "again", st_tensor(2, 7));        /* the same bytes */
    tb_record_set_take(r, "empty", st_tensor(3, 0));
    tb_record_set_take(r, "fps", tb_value_float(0.1));
    tb_record_set_take(r, "one", tb_value_float(1.0));
    tb_record_set_take(r, "n", tb_value_int(INT64_MIN));
    tb_record_set_take(r, "yes", tb_value_bool(true));
    tb_record_set_take(r, "text", tb_value_string("line\n\"quoted\" \xc3\xa4"));
    tb_record_set_take(r, "none", tb_value_none());
    tb_list_append_take(list, tb_value_int(1));
    tb_list_append_take(list, tb_value_list());
    tb_list_append_take(list, tb_value_record());
    tb_record_set_take(r, "list", list);
    return r;
}

TEST(value_comes_back_the_same)
{
    char *dir = st_folder();
    tb_err err = TB_ERR_INIT;
    tb_store *s = st_open(dir);
    CHECK_INT(st_compare(s, 1, everything()), ST_MISS);
    CHECK_OK(st_put(s, 1, everything(), &err));
    CHECK_INT(st_compare(s, 1, everything()), ST_SAME);
    tb_store_close(&s);
    s = st_open(dir);
    CHECK_INT(st_compare(s, 1, everything()), ST_SAME);
    CHECK_INT(st_compare(s, 1, tb_value_int(3)), ST_OTHER);
    tb_result_info info;
    const tb_key key = st_key(1);
    CHECK(tb_store_has(s, &key, &info));
    CHECK_STR(info.type, "test");
    CHECK_INT(info.bytes, 300000 * 4 + 28);
    CHECK_NEAR(info.cost_ms, 1, 0);
    CHECK(!info.pinned);
    tb_store_close(&s);
    st_remove(dir);
    free(dir);
}

TEST(tensors_are_aligned_and_outlive_the_store)
{
    char *dir = st_folder();
    tb_store *s = st_open(dir);
    tb_value *outputs[2] = { st_one(st_tensor(1, 50)), st_one(st_tensor(2, 40000)) }, **got = NULL;
    const tb_store_put_args args = { .key = st_key(1), .type = "two" };
    int count = 0;
    tb_err err = TB_ERR_INIT;
    tb_store_put(s, &args, outputs, 2, NULL, NULL);
    CHECK_OK(tb_store_flush(s, &err));
    CHECK_OK(tb_store_get(s, &args.key, &got, &count, &err));
    tb_store_close(&s);
    CHECK_INT(count, 2);
    for (int i = 0; i < count; i++) {
        CHECK_INT((uintptr_t)tb_tensor_data(tb_value_as_tensor(tb_list_at(got[i], 0))) % 64, 0);
        CHECK(st_equal(got[i], outputs[i]));
        tb_value_unref(&got[i]);
        tb_value_unref(&outputs[i]);
    }
    free(got);
    st_remove(dir);
    free(dir);
}

TEST(first_writer_wins)
{
    char *dir = st_folder();
    tb_store *s = st_open(dir);
    tb_err err = TB_ERR_INIT;
    CHECK_OK(st_put(s, 1, st_tensor(1, 100), &err));
    CHECK_OK(st_put(s, 1, st_tensor(1, 100), &err));
    CHECK_INT(st_put(s, 1, st_tensor(2, 100), &err), TB_EINTERNAL);
    CHECK_STR(err.message,
              "non-deterministic node: 'test' gave other bytes for key 7c9fa136d441 than before; "
              "the first result is kept");
    CHECK_INT(st_compare(s, 1, st_tensor(1, 100)), ST_SAME);
    tb_store_close(&s);
    st_remove(dir);
    free(dir);
}

TEST(second_keys_lead_to_the_result)
{
    char *dir = st_folder();
    tb_store *s = st_open(dir);
    tb_err err = TB_ERR_INIT;
    const tb_key key = st_key(1), content = st_key(1001), other = st_key(2), third = st_key(3),
                 none = st_key(9);
    tb_key found;
    CHECK(!tb_store_find_content(s, &content, &found));
    CHECK_OK(st_put_args(s, &(tb_store_put_args){ .key = key, .content_key = content, .type = "t" },
                         st_tensor(5, 10), &err));
    CHECK(tb_store_find_content(s, &content, &found) && tb_key_eq(&found, &key));
    CHECK(!tb_store_has(s, &content, NULL));
    tb_store_alias(s, &other, &key, 0);
    tb_store_alias(s, &third, &other, 0);
    tb_store_alias(s, &none, &content, 0);
    CHECK_OK(tb_store_flush(s, &err));
    CHECK_INT(st_compare(s, 2, st_tensor(5, 10)), ST_SAME);
    CHECK_INT(st_compare(s, 3, st_tensor(5, 10)), ST_SAME);
    CHECK(!tb_store_has(s, &none, NULL));
    CHECK_OK(st_put(s, 2, st_tensor(5, 10), &err));
    CHECK_INT(st_put(s, 2, st_tensor(6, 10), &err), TB_EINTERNAL);
    tb_store_close(&s);
    st_remove(dir);
    free(dir);
}

TEST(costs_are_remembered_by_signature)
{
    char *dir = st_folder();
    tb_store *s = st_open(dir);
    tb_err err = TB_ERR_INIT;
    CHECK(tb_store_predict_ms(s, "blur [4,4]") < 0);
    for (uint64_t i = 0; i < 3; i++)
        CHECK_OK(st_put_args(s,
                             &(tb_store_put_args){ .key = st_key(i),
                                                   .type = "blur",
                                                   .cost_ms = 10.0 * (double)(i + 1),
                                                   .signature = "blur [4,4]" },
                             tb_value_int((int64_t)i), &err));
    CHECK_NEAR(tb_store_predict_ms(s, "blur [4,4]"), 20, 1e-9);
    CHECK(tb_store_predict_ms(s, "blur [8,8]") < 0);
    tb_store_close(&s);
    st_remove(dir);
    free(dir);
}

TEST(unstorable_values_are_refused)
{
    char *dir = st_folder();
    tb_store *s = st_open(dir);
    tb_err err = TB_ERR_INIT;
    CHECK_INT(st_put(s, 1, tb_value_string("\xff"), &err), TB_EINVAL);
    CHECK_STR(err.message, "a text is not valid UTF-8");
    CHECK_OK(st_put(s, 2, tb_value_int(1), &err));
    tb_store_close(&s);
    st_remove(dir);
    free(dir);
}

TEST(runs_are_journaled)
{
    char *dir = st_folder();
    tb_store *s = st_open(dir);
    tb_err err = TB_ERR_INIT;
    uint64_t a = 0, b = 0;
    const tb_key key = st_key(4);
    tb_run_info info, *list = NULL;
    int count = 0;
    CHECK_INT(tb_store_run_get(s, 0, &info, &err), TB_ENOTFOUND);
    CHECK_STR(err.message, "there is no unfinished run");
    err = TB_ERR_INIT;
    CHECK_OK(tb_store_run_begin(s, "a.lua", "{\"x\":1}", &a, &err));
    CHECK_OK(tb_store_run_begin(s, "b.lua", "{}", &b, &err));
    CHECK(b > a && a > 0);
    tb_store_run_node(s, a, "k1", "sample", &key, "claimed", 0);
    tb_store_run_node(s, a, "k1", "sample", &key, "stored", 12.5);
    tb_store_run_node(s, a, "k1", "sample", &key, "claimed", 0); /* only forward */
    tb_store_run_node(s, a, "k2", "noise", NULL, "cached", 0);
    tb_store_run_node(s, a, "k3", "noise", NULL, "claimed", 0);
    CHECK_OK(tb_store_run_end(s, b, "done", NULL, &err));
    CHECK_OK(tb_store_run_end(s, a, "failed", "it broke", &err));
    CHECK_OK(tb_store_runs(s, 10, &list, &count, &err));
    CHECK_INT(count, 2);
    CHECK_INT(list[0].id, b);
    CHECK_STR(list[0].status, "done");
    CHECK(!list[0].document);
    CHECK_STR(list[1].status, "failed");
    CHECK_STR(list[1].error, "it broke");
    CHECK_INT(list[1].nodes_total, 3);
    CHECK_INT(list[1].nodes_done, 2);
    CHECK_INT(list[1].nodes_cached, 1);
    for (int i = 0; i < count; i++)
        tb_run_info_clear(&list[i]);
    free(list);
    CHECK_OK(tb_store_run_get(s, 0, &info, &err));
    CHECK_INT(info.id, a);
    CHECK_STR(info.document, "{\"x\":1}");
    tb_run_info_clear(&info);
    json_t *nodes = tb_store_run_nodes(s, a, &err);
    CHECK_INT(json_array_size(nodes), 3);
    const json_t *k1 = json_array_get(nodes, 0);
    char hex[TB_KEY_HEX];
    CHECK_STR(json_string_value(json_object_get(k1, "state")), "stored");
    CHECK_STR(json_string_value(json_object_get(k1, "key")), tb_key_hex(&key, hex));
    CHECK_NEAR(json_real_value(json_object_get(k1, "ms")), 12.5, 0);
    json_decref(nodes);
    tb_store_close(&s);
    st_remove(dir);
    free(dir);
}

TEST(history_keeps_a_thousand_runs)
{
    char *dir = st_folder();
    tb_store *s = st_open(dir);
    tb_err err = TB_ERR_INIT;
    tb_store_stats stat;
    tb_run_info info;
    uint64_t run = 0, live = 0;
    CHECK_OK(tb_store_run_begin(s, "still at it", "{}", &live, &err));
    for (int i = 0; i < 1005; i++) {
        CHECK_OK(tb_store_run_begin(s, "t", "{}", &run, &err));
        tb_store_run_node(s, run, "n", "t", NULL, "stored", 1);
        CHECK_OK(tb_store_run_end(s, run, "done", NULL, &err));
    }
    CHECK_OK(tb_store_gc(s, UINT64_MAX, NULL, &err));
    CHECK_OK(tb_store_stat(s, &stat, &err));
    CHECK_INT(stat.runs, 1001);
    CHECK_OK(tb_store_run_get(s, live, &info, &err));
    tb_run_info_clear(&info);
    CHECK_INT(tb_store_run_get(s, 2, &info, NULL), TB_ENOTFOUND);
    json_t *rows = tb_store_run_nodes(s, 2, &err);
    CHECK_INT(json_array_size(rows), 0);
    json_decref(rows);
    tb_store_close(&s);
    st_remove(dir);
    free(dir);
}

TEST(runs_only_move_forward)
{
    char *dir = st_folder();
    tb_store *s = st_open(dir);
    tb_err err = TB_ERR_INIT;
    uint64_t run = 0;
    CHECK_OK(tb_store_run_begin(s, "t", "{}", &run, &err));
    CHECK_OK(tb_store_run_end(s, run, "canceled", NULL, &err));
    CHECK_OK(tb_store_run_end(s, run, "canceled", NULL, &err));
    CHECK_INT(tb_store_run_end(s, run, "done", NULL, &err), TB_EINVAL);
    CHECK_STR(err.message, "run 1 is canceled already and cannot become done");
    err = TB_ERR_INIT;
    CHECK_INT(tb_store_run_end(s, 77, "done", NULL, &err), TB_ENOTFOUND);
    CHECK_STR(err.message, "there is no run 77");
    err = TB_ERR_INIT;
    CHECK_INT(tb_store_run_end(s, run, "running", NULL, &err), TB_EINVAL);
    tb_store_close(&s);
    st_remove(dir);
    free(dir);
}

TEST(listings_prefixes_and_pins)
{
    char *dir = st_folder();
    tb_store *s = st_open(dir);
    tb_err err = TB_ERR_INIT;
    tb_result_info *list = NULL;
    tb_store_stats stat;
    tb_key key = st_key(1), found;
    int count = 0;
    char hex[TB_KEY_HEX];
    for (uint64_t i = 0; i < 20; i++)
        CHECK_OK(st_put(s, i, st_tensor(i, 10 + i), &err));
    CHECK_OK(tb_store_list(s, "bytes", 3, &list, &count, &err));
    CHECK_INT(count, 3);
    CHECK_INT(list[0].bytes, 29 * 4);
    free(list);
    CHECK_INT(tb_store_list(s, "size", 3, &list, &count, &err), TB_EINVAL);
    CHECK_STR(err.message, "results are listed by used, created, bytes or cost, not by 'size'");
    err = TB_ERR_INIT;
    tb_key_hex(&key, hex);
    hex[9] = 0;
    CHECK_OK(tb_store_key_of_prefix(s, hex, &found, &err));
    CHECK(tb_key_eq(&found, &key));
    CHECK_INT(tb_store_key_of_prefix(s, "0", &found, &err) == TB_OK, 0);
    err = TB_ERR_INIT;
    CHECK_INT(tb_store_key_of_prefix(s, "xyz", &found, &err), TB_EINVAL);
    CHECK_STR(err.message, "'xyz' is not the beginning of a key; keys are 64 digits 0-9 and a-f");
    err = TB_ERR_INIT;
    CHECK_OK(tb_store_pin(s, &key, true, &err));
    CHECK_OK(tb_store_stat(s, &stat, &err));
    CHECK_INT(stat.results, 20);
    CHECK_INT(stat.blobs, 20);
    CHECK_INT(stat.pinned, 1);
    key = st_key(99);
    CHECK_INT(tb_store_pin(s, &key, true, &err), TB_ENOTFOUND);
    tb_store_close(&s);
    st_remove(dir);
    free(dir);
}

TEST(file_digests_are_those_of_the_bytes)
{
    char *dir = st_folder(), *file = tb_fs_join(dir, "model.bin");
    char *store = tb_fs_join(dir, "store");
    tb_store *s = st_open(store);
    tb_err err = TB_ERR_INIT;
    const size_t n = 3 * 1024 * 1024 + 17;
    char *bytes = tb_xcalloc(n, 1);
    for (size_t i = 0; i < n; i++)
        bytes[i] = (char)st_mix(i);
    tb_digest got, want = tb_digest_of(bytes, n);
    CHECK_OK(tb_fs_write(file, bytes, n, false, &err));
    CHECK_OK(tb_store_file_digest(s, file, &got, &err)); /* too fresh to be remembered */
    CHECK(tb_digest_eq(&got, &want));
    const struct timespec old[2] = { { 1000000000, 5 }, { 1000000000, 5 } };
    REQUIRE(utimensat(AT_FDCWD, file, old, 0) == 0);
    CHECK_OK(tb_store_file_digest(s, file, &got, &err));
    CHECK_OK(tb_store_flush(s, &err));
    /* same stamp, other bytes: what is remembered is believed, which is the point of it */
    FILE *f = fopen(file, "r+b");
    fputc('x' ^ bytes[0], f);
    fclose(f);
    REQUIRE(utimensat(AT_FDCWD, file, old, 0) == 0);
    CHECK_OK(tb_store_file_digest(s, file, &got, &err));
    CHECK(tb_digest_eq(&got, &want));
    const struct timespec newer[2] = { { 1000000001, 5 }, { 1000000001, 5 } };
    REQUIRE(utimensat(AT_FDCWD, file, newer, 0) == 0);
    CHECK_OK(tb_store_file_digest(s, file, &got, &err));
    CHECK(!tb_digest_eq(&got, &want));
    CHECK_INT(tb_store_file_digest(s, "/no/such/file", &got, &err), TB_ENOTFOUND);
    CHECK_STR(err.message, "cannot open '/no/such/file': No such file or directory");
    err = TB_ERR_INIT;
    CHECK_INT(tb_store_file_digest(s, dir, &got, &err), TB_EINVAL);
    tb_store_close(&s);
    st_remove(dir);
    free(bytes);
    free(store);
    free(file);
    free(dir);
}

TEST(read_only_lists_and_refuses_writes)
{
    char *dir = st_folder();
    tb_err err = TB_ERR_INIT;
    char *none = tb_fs_join(dir, "none");
    CHECK(!tb_store_open(&(tb_store_options){ .path = none, .read_only = true }, &err));
    CHECK_INT(err.status, TB_ENOTFOUND);
    CHECK(!tb_fs_is_dir(none));
    err = TB_ERR_INIT;
    tb_store *w = st_open(dir);
    CHECK_OK(st_put(w, 1, st_tensor(1, 40000), &err));
    tb_store *r = tb_store_open(&(tb_store_options){ .path = dir, .read_only = true }, &err);
    REQUIRE(r);
    CHECK_INT(st_compare(r, 1, st_tensor(1, 40000)), ST_SAME);
    CHECK_INT(st_put(r, 2, st_tensor(1, 4), &err), TB_ESTORE);
    CHECK(strstr(err.message, "was opened for reading only"));
    err = TB_ERR_INIT;
    CHECK_OK(tb_store_flush(r, &err));
    tb_store_close(&r);
    tb_store_close(&w);
    st_remove(dir);
    free(none);
    free(dir);
}

static const struct tb_test tests[] = {
    TEST_CASE(value_comes_back_the_same),
    TEST_CASE(tensors_are_aligned_and_outlive_the_store),
    TEST_CASE(first_writer_wins),
    TEST_CASE(second_keys_lead_to_the_result),
    TEST_CASE(costs_are_remembered_by_signature),
    TEST_CASE(unstorable_values_are_refused),
    TEST_CASE(runs_are_journaled),
    TEST_CASE(history_keeps_a_thousand_runs),
    TEST_CASE(runs_only_move_forward),
    TEST_CASE(listings_prefixes_and_pins),
    TEST_CASE(file_digests_are_those_of_the_bytes),
    TEST_CASE(read_only_lists_and_refuses_writes),
};

int main(int argc, char **argv)
{
    return tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof tests[0]));
}
