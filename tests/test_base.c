/* test_base.c - errors, strings, hashes, maps, files, tensors and values. */
#include <errno.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "compute/tensor.h"
#include "graph/value.h"
#include "test.h"

TEST(first_error_wins_and_names_its_place)
{
    tb_err err = TB_ERR_INIT;
    char buf[400];
    tb_err_set(&err, TB_EINVAL, "steps must be 1..1000, got %d", 0);
    tb_err_set(&err, TB_EIO, "later");
    tb_err_where(&err, "k1", "steps", "graphs/t2v.lua:14");
    CHECK_STR(tb_err_text(&err, "sampler", buf, sizeof buf),
              "graphs/t2v.lua:14: node 'k1' (sampler): steps must be 1..1000, got 0");
    CHECK_INT(tb_status_exit_code(err.status), 20);
}

TEST(a_message_is_one_plain_line)
{
    tb_err err = TB_ERR_INIT;
    char buf[400];
    tb_err_set(&err, TB_EINVAL, "no node '%s'", "a\nb\033[31m");
    tb_err_where(&err, "n\r1", NULL, "g.lua:1\t");
    CHECK_STR(tb_err_text(&err, NULL, buf, sizeof buf), "g.lua:1 : node 'n 1': no node 'a b [31m'");
}

TEST(disk_full_has_its_own_status)
{
    tb_err err = TB_ERR_INIT;
    CHECK_INT(tb_err_errno(&err, ENOSPC, "cannot write 'x'"), TB_EFULL);
    CHECK_STR(err.message, "cannot write 'x': No space left on device");
}

TEST(sha256_matches_fips_180_4)
{
    /* "abc" behind its 8-byte length, as every field is; checked with sha256sum. */
    tb_hasher h;
    char hex[TB_KEY_HEX];
    tb_hasher_init(&h);
    sha256_update(&h.ctx, 3, (const uint8_t *)"abc");
    tb_key k = tb_hasher_done(&h), back;
    CHECK_STR(tb_key_hex(&k, hex),
              "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(tb_key_parse(&back, hex) && tb_key_eq(&k, &back));
    CHECK(!tb_key_parse(&back, "ba78"));
}

TEST(hashed_fields_do_not_run_together)
{
    tb_hasher a, b;
    tb_hasher_init(&a);
    tb_hasher_init(&b);
    tb_hasher_str(&a, "ab");
    tb_hasher_str(&a, "c");
    tb_hasher_str(&b, "a");
    tb_hasher_str(&b, "bc");
    const tb_key ka = tb_hasher_done(&a), kb = tb_hasher_done(&b);
    CHECK(!tb_key_eq(&ka, &kb));
}

TEST(map_finds_ten_thousand_names)
{
    tb_map *m = tb_map_new();
    char name[32];
    for (int i = 0; i < 10000; i++) {
        snprintf(name, sizeof name, "n%d", i);
        tb_map_set(m, name, i);
    }
    CHECK_INT(tb_map_count(m), 10000);
    CHECK_INT(tb_map_get(m, "n7777"), 7777);
    CHECK_INT(tb_map_get(m, "absent"), -1);
    tb_map_free(&m);
}

TEST(distance_counts_edits)
{
    CHECK_INT(tb_str_distance("smaple", "sample"), 1);
    CHECK_INT(tb_str_distance("noise", "noise_init"), 5);
    CHECK_INT(tb_str_distance("", "abc"), 3);
}

TEST(sizes_are_width_x_height_and_nothing_else)
{
    static const char *const wrong[] = { "", "x", "832", "832x", "x480", "832x480 ", "832X480" };
    int64_t w = 0, h = 0;
    CHECK(tb_str_size("832x480", &w, &h) && w == 832 && h == 480);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK(!tb_str_size(wrong[i], &w, &h));
    CHECK(w == 832 && h == 480);
}

TEST(json_keeps_integers_and_reals_apart)
{
    tb_err err = TB_ERR_INIT;
    json_t *v = tb_json_parse("{\"b\":5.0,\"a\":5}", 15, "test", &err);
    REQUIRE(v);
    char *text = tb_json_canonical(v);
    CHECK_STR(text, "{\"a\":5,\"b\":5.0}");
    free(text);
    json_decref(v);
    CHECK(!tb_json_parse("{", 1, "the input", &err));
    CHECK(strstr(err.message, "the input is not valid JSON"));
}

TEST(integers_beyond_63_bits_come_and_go_whole)
{
    static const char in[] = "{\"a\":18446744073709551615,\"b\":[-9223372036854775809,7],"
                             "\"t\":\"18446744073709551616 \\\"$int\\\":\",\"r\":1e300}";
    tb_err err = TB_ERR_INIT;
    json_t *v = tb_json_parse(in, strlen(in), "test", &err);
    CHECK_STR(tb_json_long_int(json_object_get(v, "a")), "18446744073709551615");
    CHECK(!tb_json_long_int(json_object_get(v, "r")));
    CHECK(!tb_json_long_int(json_object_get(v, "t")));
    char *text = tb_json_long_ints_take(json_dumps(v, JSON_COMPACT));
    CHECK(strstr(text, "\"a\":18446744073709551615,\"b\":[-9223372036854775809,7]"));
    CHECK(strstr(text, "\"t\":\"18446744073709551616 \\\"$int\\\":\""));
    free(text);
    text = tb_json_pretty(v);
    CHECK(strstr(text, "\"a\": 18446744073709551615,"));
    free(text);
    json_decref(v);
    v = tb_json_of_uint64(UINT64_MAX);
    tb_value *u = tb_value_from_json(v, NULL, NULL, &err);
    CHECK(u && tb_value_is_unsigned(u) && tb_value_as_int(u) == -1);
    json_t *back = tb_value_to_json(u, NULL, NULL, &err);
    CHECK(json_equal(back, v));
    json_decref(back);
    json_decref(v);
    tb_value_unref(&u);
    v = tb_json_parse("[1e999]", 7, "test", &err);
    CHECK(!v && err.status == TB_EFORMAT);
}

TEST(a_failed_write_leaves_the_old_file)
{
    tb_err err = TB_ERR_INIT;
    char dir[] = "/tmp/tubelet-test-XXXXXX", *text = NULL;
    size_t n = 0;
    REQUIRE(mkdtemp(dir));
    char *path = tb_fs_join(dir, "a/b/file");
    CHECK_OK(tb_fs_write(path, "one", 3, true, &err));
    CHECK_OK(tb_fs_write(path, "two", 3, false, &err));
    CHECK_OK(tb_fs_read(path, 100, &text, &n, &err));
    CHECK_STR(text, "two");
    free(text);
    CHECK_INT(tb_fs_read(path, 2, &text, &n, &err), TB_ELIMIT);
    free(path);
    char cmd[64];
    snprintf(cmd, sizeof cmd, "rm -r %s", dir);
    CHECK_INT(system(cmd), 0);
}

TEST(tensors_convert_and_count)
{
    tb_err err = TB_ERR_INIT;
    static const uint16_t half[] = { 0x3c00, 0xc000, 0x0001, 0x7c00 }; /* 1, -2, 2^-24, inf */
    const tb_shape shape = TB_SHAPE(2, 2);
    tb_tensor *h = tb_tensor_wrap(TB_F16, &shape, half, NULL, NULL, &err);
    tb_tensor *f = tb_tensor_to_f32(h, &err);
    CHECK_NEAR(tb_tensor_f32(f)[0], 1, 0);
    CHECK_NEAR(tb_tensor_f32(f)[1], -2, 0);
    CHECK_NEAR(tb_tensor_f32(f)[2], 0x1p-24, 0);
    CHECK(isinf(tb_tensor_f32(f)[3]));
    CHECK_INT(tb_tensor_dim(f, -1), 2);
    const size_t held = tb_mem_used();
    CHECK(held > 0);
    tb_tensor_unref(&f);
    tb_tensor_unref(&h);
    CHECK(tb_mem_used() < held);
    const tb_shape huge = TB_SHAPE(INT64_MAX, 4);
    CHECK(!tb_tensor_new(TB_F32, &huge, &err));
    CHECK_INT(err.status, TB_EINVAL);
}

TEST(refused_memory_is_an_error_with_its_size)
{
    tb_err err = TB_ERR_INIT;
    const tb_shape shape = TB_SHAPE(10);
    tb_mem_fail_on(1);
    CHECK(!tb_tensor_new(TB_F32, &shape, &err));
    CHECK_INT(err.status, TB_ENOMEM);
    CHECK(strstr(err.message, "[10] (40 bytes)"));
}

static json_t *put_count(void *ctx, const tb_tensor *t, tb_err *err)
{
    (void)ctx, (void)err;
    return json_integer(tb_tensor_count(t));
}

static tb_tensor *get_zeros(void *ctx, const json_t *ref, tb_err *err)
{
    (void)ctx;
    const tb_shape shape = TB_SHAPE(json_integer_value(ref));
    return tb_tensor_new_zero(TB_F32, &shape, err);
}

TEST(values_survive_json)
{
    tb_err err = TB_ERR_INIT;
    const tb_shape shape = TB_SHAPE(3);
    tb_value *r = tb_value_record(), *l = tb_value_list();
    tb_record_set_take(r, "samples",
                       tb_value_tensor_take(tb_tensor_new_zero(TB_F32, &shape, &err)));
    tb_list_append_take(l, tb_value_int(1));
    tb_list_append_take(l, tb_value_float(1));
    tb_list_append_take(l, tb_value_float(HUGE_VAL));
    tb_record_set_take(r, "list", l);
    json_t *j = tb_value_to_json(r, put_count, NULL, &err);
    REQUIRE(j);
    tb_value *back = tb_value_from_json(j, get_zeros, NULL, &err);
    REQUIRE(back);
    CHECK_INT(tb_tensor_count(tb_record_tensor(back, "samples")), 3);
    const tb_value *bl = tb_record_get(back, "list");
    CHECK_INT(tb_value_kind(tb_list_at(bl, 0)), TB_INT);
    CHECK_INT(tb_value_kind(tb_list_at(bl, 1)), TB_FLOAT);
    CHECK(isinf(tb_value_as_float(tb_list_at(bl, 2))));
    CHECK_INT(tb_value_bytes(back), 12);
    json_decref(j);
    tb_value_unref(&back);
    tb_value_unref(&r);
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(first_error_wins_and_names_its_place),
        TEST_CASE(a_message_is_one_plain_line),
        TEST_CASE(disk_full_has_its_own_status),
        TEST_CASE(sha256_matches_fips_180_4),
        TEST_CASE(hashed_fields_do_not_run_together),
        TEST_CASE(map_finds_ten_thousand_names),
        TEST_CASE(distance_counts_edits),
        TEST_CASE(sizes_are_width_x_height_and_nothing_else),
        TEST_CASE(json_keeps_integers_and_reals_apart),
        TEST_CASE(integers_beyond_63_bits_come_and_go_whole),
        TEST_CASE(a_failed_write_leaves_the_old_file),
        TEST_CASE(tensors_convert_and_count),
        TEST_CASE(refused_memory_is_an_error_with_its_size),
        TEST_CASE(values_survive_json),
    };
    return tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
}
