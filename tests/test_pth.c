/* test_pth.c - PyTorch's files: what torch itself wrote is read, and what is no plain weights is
 * refused by name. */
#include <unistd.h>

#include "containers.h"
#include "formats/pickle.h"
#include "formats/weights.h"

#define GOLDEN "tests/golden/" /* made by tests/golden_pth.py */

static char dir[64], path[96];

static void use_dir(void)
{
    snprintf(dir, sizeof dir, "/tmp/tubelet-test-XXXXXX");
    REQUIRE(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/x.pth", dir);
}

static void remove_dir(void)
{
    unlink(path);
    CHECK_INT(rmdir(dir), 0);
}

/* The message behind "'PATH'", or "(accepted)". */
static const char *refusal_of_file(const char *file)
{
    static char text[900];
    tb_err err = TB_ERR_INIT;
    tb_weights *w = tb_weights_open(file, &err);
    const char *at = strstr(err.message, file);
    snprintf(text, sizeof text, "%s", w ? "(accepted)" : at ? at + strlen(file) + 1 : err.message);
    tb_weights_close(&w);
    return text;
}

static const char *refusal_of(const tb_str *s)
{
    write_bytes(path, s->s, s->len);
    return refusal_of_file(path);
}

/* ------------------------------------------------------------------------------------- torch's */

static void check_values(const tb_weights *w, const char *name, const tb_shape *shape,
                         const double *want)
{
    tb_err err = TB_ERR_INIT;
    const tb_tensor *t = tb_weights_get(w, name, &err);
    if (!t)
        fprintf(stderr, "%s\n", err.message);
    REQUIRE(t);
    CHECK(tb_shape_eq(tb_tensor_shape(t), shape));
    tb_tensor *f = tb_tensor_to_f32(t, &err);
    for (int64_t i = 0; i < tb_tensor_count(f); i++)
        if ((double)tb_tensor_f32(f)[i] != (double)(float)want[i]) {
            fprintf(stderr, "%s[%d] is %g, wanted %g\n", name, (int)i, (double)tb_tensor_f32(f)[i],
                    want[i]);
            tb_test_failures++;
        }
    tb_tensor_unref(&f);
}

TEST(what_torch_saved_is_read)
{
    static const double ramp[] = { 0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11,
                                   12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23 };
    tb_err err = TB_ERR_INIT;
    tb_weights *w = tb_weights_open(GOLDEN "torch_plain.pth", &err);
    if (!w)
        fprintf(stderr, "%s\n", err.message);
    REQUIRE(w);
    CHECK_INT(tb_weights_count(w), 18);
    check_values(w, "f32", &TB_SHAPE(2, 3), ramp);
    /* the bfloat16 next to 3e38 */
    check_values(w, "bf16", &TB_SHAPE(3), (const double[]){ 1, -2.5, 0x1.c4p127 });
    check_values(w, "f16", &TB_SHAPE(2), (const double[]){ 0.5, 65504 });
    check_values(w, "f64", &TB_SHAPE(1), (const double[]){ 0.1 });
    check_values(w, "i64", &TB_SHAPE(1, 2), (const double[]){ -1, 0x1p40 });
    check_values(w, "u8", &TB_SHAPE(2), (const double[]){ 0, 255 });
    check_values(w, "i8", &TB_SHAPE(2), (const double[]){ -128, 127 });
    check_values(w, "i16", &TB_SHAPE(1), (const double[]){ -3 });
    check_values(w, "i32", &TB_SHAPE(1), (const double[]){ -4 });
    check_values(w, "flag", &TB_SHAPE(2), (const double[]){ 1, 0 });
    check_values(w, "scalar", &(tb_shape){ .n = 0 }, (const double[]){ 7 });
    check_values(w, "empty", &TB_SHAPE(0, 4), NULL);
    check_values(w, "kernel", &TB_SHAPE(2, 3, 1, 2, 2), ramp);
    check_values(w, "first", &TB_SHAPE(4), ramp);
    check_values(w, "last", &TB_SHAPE(2, 2), ramp + 8);
    check_values(w, "one_row", &TB_SHAPE(1, 3), ramp + 6);
    check_values(w, "parameter", &TB_SHAPE(2), (const double[]){ 1, 1 });
    check_values(w, "blocks.0.weight", &TB_SHAPE(2, 2), (const double[]){ 3, 3, 3, 3 });
    tb_weights_close(&w);
    w = tb_weights_open(GOLDEN "torch_nested.pth", &err);
    REQUIRE(w);
    CHECK_INT(tb_weights_count(w), 2);
    check_values(w, "weight", &TB_SHAPE(2, 3), ramp);
    check_values(w, "bias", &TB_SHAPE(2), (const double[]){ 1, 1 });
    tb_weights_close(&w);
}

TEST(numbers_stored_in_another_order_are_put_right)
{
    tb_err err = TB_ERR_INIT;
    double ramp[24];
    for (int i = 0; i < 24; i++)
        ramp[i] = i;
    tb_weights *w = tb_weights_open(GOLDEN "torch_strided.pth", &err);
    if (!w)
        fprintf(stderr, "%s\n", err.message);
    REQUIRE(w);
    check_values(w, "t", &TB_SHAPE(3, 2), (const double[]){ 0, 3, 1, 4, 2, 5 });
    check_values(w, "every_other", &TB_SHAPE(3), (const double[]){ 2, 6, 10 });
    check_values(w, "channels_last", &TB_SHAPE(1, 2, 3, 2, 2), ramp);
    tb_weights_close(&w);
}

TEST(what_torch_saved_otherwise_says_what_to_do)
{
    CHECK_STR(refusal_of_file(GOLDEN "torch_legacy.pth"),
              " is in PyTorch's format from before version 1.6, which is not read; save it again "
              "with a newer one: torch.save(torch.load(FILE), FILE)");
    CHECK_STR(refusal_of_file(GOLDEN "torch_class.pth"),
              " is refused: its pickle wants to call torch.optim.sgd.SGD; tubelet reads weights "
              "and runs nothing");
}

/* ------------------------------------------------------------------------------------- pickles */

static const float six[] = { 1, 2, 3, 4, 5, 6 };

/* A file around a pickle's bytes and one storage of six floats. */
static tb_str around(const char *pickle, size_t n)
{
    tb_str s = TB_STR_INIT;
    const zip_entry e[] = { { "m/data.pkl", pickle, n, 0 },
                            { "m/data/0", six, sizeof six, 0 },
                            { "m/version", "3\n", 2, 0 } };
    zip_build(&s, e, 3, false);
    return s;
}

static const char *pickle_refusal(const char *pickle, size_t n)
{
    tb_str s = around(pickle, n);
    const char *text = refusal_of(&s);
    tb_str_free(&s);
    return text;
}

#define PICKLE(text) text, sizeof text - 1

TEST(a_pickle_that_calls_is_refused_by_name)
{
    static const struct {
        const char *pickle;
        size_t n;
        const char *name;
    } cases[] = {
        { PICKLE("\x80\x02"
                 "cos\nsystem\nX\x04\0\0\0true\x85R."),
          "os.system" },
        { PICKLE("\x80\x02"
                 "cposix\nsystem\n."),
          "posix.system" },
        { PICKLE("\x80\x02"
                 "c__builtin__\neval\nX\x01\0\0\0"
                 "1\x85R."),
          "__builtin__.eval" },
        { PICKLE("\x80\x02"
                 "ctorch.storage\n_load_from_bytes\n."),
          "torch.storage._load_from_bytes" },
        { PICKLE("\x80\x02"
                 "c__torch__.Model\nModel\n."),
          "__torch__.Model.Model" },
        { PICKLE("\x80\x02"
                 "ccollections\nOrderedDict.__init__\n."),
          "collections.OrderedDict.__init__" },
        { PICKLE("\x80\x02"
                 "ctorch\n\n."),
          "torch." },
    };
    use_dir();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char want[300];
        snprintf(want, sizeof want,
                 " is refused: its pickle wants to call %s; tubelet reads weights and runs nothing",
                 cases[i].name);
        CHECK_STR(pickle_refusal(cases[i].pickle, cases[i].n), want);
    }
    remove_dir();
}

TEST(opcodes_that_make_objects_are_unknown)
{
    static const uint8_t opcodes[] = { 0x81, 0x92, 0x93, 'i', 'o', 0x82, 'P', 'V', 'I', 'L', 0x95 };
    use_dir();
    for (size_t i = 0; i < sizeof opcodes; i++) {
        const char pickle[] = { (char)0x80, 2, ')', ')', (char)opcodes[i], '.' };
        char want[300];
        snprintf(want, sizeof want,
                 " cannot be read: its pickle uses the opcode 0x%02x, which torch.save does not "
                 "write in protocol 2; save it again with torch.save, or convert it to "
                 ".safetensors",
                 (unsigned)opcodes[i]);
        CHECK_STR(pickle_refusal(pickle, sizeof pickle), want);
    }
    CHECK(strstr(pickle_refusal(PICKLE("\x80\x04.")), "uses the opcode 0x80"));
    remove_dir();
}

TEST(pickles_that_make_no_sense_are_refused)
{
    static const struct {
        const char *pickle;
        size_t n;
        const char *want;
    } cases[] = {
        { PICKLE(""), " is damaged: its pickle is cut short at byte 0" },
        { PICKLE("\x80\x02"), " is damaged: its pickle is cut short at byte 2" },
        { PICKLE("\x80\x02."), " is damaged: its pickle takes a value where none is at byte 3" },
        { PICKLE("(."), " is damaged: its pickle takes a value where none is at byte 2" },
        { PICKLE("X\xff\xff\xff\xff"), " is damaged: its pickle is cut short at byte 5" },
        { PICKLE("X\x01\0\0\0\0."),
          " is damaged: its pickle has a text that is too long or holds a zero byte at byte 6" },
        { PICKLE("h\x05"), " is damaged: its pickle uses a value that it has not noted at byte 2" },
        { PICKLE("Nr\xff\xff\xff\x7f"),
          " is damaged: its pickle notes a value under a number that cannot be at byte 6" },
        { PICKLE("q\0"),
          " is damaged: its pickle notes a value under a number that cannot be at byte 2" },
        { PICKLE("(q\0h\0"),
          " is damaged: its pickle uses a value that it has not noted at byte 5" },
        { PICKLE("t"), " is damaged: its pickle looks for a mark where none is at byte 1" },
        { PICKLE("}(Nu"), " is damaged: its pickle has a key without value at byte 4" },
        { PICKLE("N(NNu"), " is damaged: its pickle fills a container where none is at byte 5" },
        { PICKLE("(NNu"), " is damaged: its pickle fills a container where none is at byte 4" },
        { PICKLE("((e"), " is damaged: its pickle fills a container where none is at byte 3" },
        { PICKLE("NNa"), " is damaged: its pickle fills a container where none is at byte 3" },
        { PICKLE("NNb"), " is damaged: its pickle fills a container where none is at byte 3" },
        { PICKLE("N)R"), " is damaged: its pickle calls what is no function at byte 3" },
        { PICKLE("ctorch\nFloatStorage\n)R"),
          " is damaged: its pickle calls what is no function at byte 22" },
        { PICKLE("\x8a\x09"),
          " is damaged: its pickle has a whole number of more than 64 bits at byte 2" },
        { PICKLE("cabc"), " is damaged: its pickle has a name without end at byte 1" },
        { PICKLE("ccollections\nOrderedDict\nN\x85R"),
          " is damaged or of a newer PyTorch: its pickle gives OrderedDict arguments that are not "
          "known" },
        { PICKLE("ctorch._utils\n_rebuild_tensor_v2\n)R"),
          " is damaged or of a newer PyTorch: its pickle gives _rebuild_tensor arguments that are "
          "not known" },
        { PICKLE("N\x85Q"), " is damaged or of a newer PyTorch: its pickle gives a storage "
                            "arguments that are not known" },
        { PICKLE("}."), " holds no weights: a dictionary of tensors was looked for, also below "
                        "'state_dict' and 'model'" },
        { PICKLE("N."), " holds no weights: a dictionary of tensors was looked for, also below "
                        "'state_dict' and 'model'" },
        /* a dictionary that holds itself */
        { PICKLE("}q\0X\x05\0\0\0modelh\0s."),
          " holds no weights: a dictionary of tensors was looked for, also below 'state_dict' and "
          "'model'" },
    };
    use_dir();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_STR(pickle_refusal(cases[i].pickle, cases[i].n), cases[i].want);
    remove_dir();
}

/* ------------------------------------------------------------------------------------- tensors */

static const char *tensor_refusal(const char *key, int64_t elements, int64_t offset,
                                  const tb_shape *shape, const tb_shape *stride)
{
    tb_str p = TB_STR_INIT;
    tb_str_addn(&p, "\x80\x02}(", 4);
    pickle_text(&p, "t");
    pickle_tensor(&p, "FloatStorage", key, elements, offset, shape, stride);
    tb_str_add(&p, "u.");
    const char *text = pickle_refusal(p.s, p.len);
    tb_str_free(&p);
    return text;
}

TEST(tensors_stay_inside_their_storage)
{
    static const char *const known = " is damaged or of a newer PyTorch: its pickle gives "
                                     "_rebuild_tensor arguments that are not known";
    use_dir();
    CHECK_STR(tensor_refusal("0", 6, 0, &TB_SHAPE(2, 3), &TB_SHAPE(3, 1)), "(accepted)");
    CHECK_STR(tensor_refusal("0", 6, 0, &TB_SHAPE(1, 6), &TB_SHAPE(99, 1)), "(accepted)");
    CHECK_STR(tensor_refusal("0", 6, 1, &TB_SHAPE(2, 3), &TB_SHAPE(3, 1)),
              ": tensor 't' goes beyond its storage; the file is damaged");
    CHECK_STR(tensor_refusal("0", 7, 0, &TB_SHAPE(2, 3), &TB_SHAPE(3, 1)),
              ": tensor 't' wants more bytes than are stored; the file is damaged");
    CHECK_STR(tensor_refusal("1", 6, 0, &TB_SHAPE(2, 3), &TB_SHAPE(3, 1)),
              ": tensor 't' has no data in the file; the file is damaged");
    CHECK_STR(tensor_refusal("../data.pkl", 6, 0, &TB_SHAPE(2, 3), &TB_SHAPE(3, 1)),
              ": tensor 't' has no data in the file; the file is damaged");
    CHECK_STR(tensor_refusal("0", 6, 0, &TB_SHAPE(3, 2), &TB_SHAPE(1, 3)), "(accepted)");
    CHECK_STR(tensor_refusal("0", 6, 0, &TB_SHAPE(3, 2), &TB_SHAPE(2, 2)),
              ": tensor 't' goes beyond its storage; the file is damaged");
    CHECK_STR(tensor_refusal("0", 6, 0, &TB_SHAPE(1 << 30, 1 << 30), &TB_SHAPE(0, 0)),
              ": tensor 't' has more numbers than its storage; the file is damaged");
    CHECK_STR(tensor_refusal("0", 6, 0, &TB_SHAPE(2, 2), &TB_SHAPE(INT64_MAX, INT64_MAX)),
              ": tensor 't' has a shape whose size overflows; the file is damaged");
    CHECK_STR(tensor_refusal("0", 6, 0, &TB_SHAPE(INT64_MAX, 3), &TB_SHAPE(3, 1)),
              ": tensor 't' has a shape whose size overflows; the file is damaged");
    CHECK_STR(tensor_refusal("0", INT64_MAX, 0, &TB_SHAPE(2, 3), &TB_SHAPE(3, 1)),
              ": tensor 't' has a shape whose size overflows; the file is damaged");
    CHECK_STR(tensor_refusal("0", 6, INT64_MAX, &TB_SHAPE(2, 3), &TB_SHAPE(3, 1)),
              ": tensor 't' has a shape whose size overflows; the file is damaged");
    CHECK_STR(tensor_refusal("0", 6, -1, &TB_SHAPE(2, 3), &TB_SHAPE(3, 1)), known);
    CHECK_STR(tensor_refusal("0", -6, 0, &TB_SHAPE(2, 3), &TB_SHAPE(3, 1)),
              " is damaged or of a newer PyTorch: its pickle gives a storage arguments that are "
              "not known");
    CHECK_STR(tensor_refusal("0", 6, 0, &TB_SHAPE(2, -3), &TB_SHAPE(3, 1)), known);
    CHECK_STR(tensor_refusal("0", 6, 0, &TB_SHAPE(2, 3), &TB_SHAPE(1)), known);
    CHECK_STR(tensor_refusal("0", 6, 0, &TB_SHAPE(1, 1, 1, 1, 1, 1, 1, 1), &TB_SHAPE(1)), known);
    remove_dir();
}

/* torch 2's form for dtypes without a storage of their own. */
TEST(tensors_of_newer_dtypes_are_read)
{
    tb_err err = TB_ERR_INIT;
    tb_str p = TB_STR_INIT;
    tb_str_addn(&p, "\x80\x02}(", 4);
    pickle_text(&p, "t");
    tb_str_add(&p, "ctorch._utils\n_rebuild_tensor_v3\n((");
    pickle_text(&p, "storage");
    tb_str_add(&p, "ctorch.storage\nUntypedStorage\n");
    pickle_text(&p, "0");
    pickle_text(&p, "cpu");
    pickle_int(&p, 24);
    tb_str_add(&p, "tQ");
    pickle_int(&p, 3); /* of bytes 00 00 80 3f, ...: 0x3f */
    pickle_dims(&p, &TB_SHAPE(1));
    pickle_dims(&p, &TB_SHAPE(1));
    tb_str_addn(&p, "\x89", 1);
    tb_str_add(&p, "ccollections\nOrderedDict\n)Rctorch\nfloat8_e4m3fn\ntRu.");
    use_dir();
    tb_str s = around(p.s, p.len);
    write_bytes(path, s.s, s.len);
    tb_weights *w = tb_weights_open(path, &err);
    if (!w)
        fprintf(stderr, "%s\n", err.message);
    REQUIRE(w);
    check_values(w, "t", &TB_SHAPE(1), (const double[]){ 1.875 });
    tb_weights_close(&w);
    tb_str_free(&p);
    tb_str_free(&s);
    remove_dir();
}

/* ----------------------------------------------------------------------------------------- zip */

static const char *zip_refusal(const zip_entry *e, int count, bool zip64)
{
    tb_str s = TB_STR_INIT;
    zip_build(&s, e, count, zip64);
    const char *text = refusal_of(&s);
    tb_str_free(&s);
    return text;
}

TEST(zip64_is_read)
{
    tb_err err = TB_ERR_INIT;
    tb_str s = TB_STR_INIT;
    const stored t[] = { { "a", TB_SHAPE(2, 3), TB_F32, six, sizeof six, { 0 } },
                         { "b", TB_SHAPE(2), TB_F32, six, 8, { 0 } } };
    use_dir();
    pth_build(&s, t, 2, true);
    write_bytes(path, s.s, s.len);
    tb_weights *w = tb_weights_open(path, &err);
    if (!w)
        fprintf(stderr, "%s\n", err.message);
    REQUIRE(w);
    check_values(w, "a", &TB_SHAPE(2, 3), (const double[]){ 1, 2, 3, 4, 5, 6 });
    check_values(w, "b", &TB_SHAPE(2), (const double[]){ 1, 2 });
    tb_weights_close(&w);
    s.len -= 22 + 20; /* end record and locator */
    CHECK_STR(refusal_of(&s),
              " is cut short or damaged: a zip file ends with a directory, and there is none");
    tb_str_free(&s);
    remove_dir();
}

TEST(zip_files_of_others_are_refused)
{
    use_dir();
    CHECK_STR(zip_refusal(&(zip_entry){ "readme.txt", "hello", 5, 0 }, 1, false),
              " is a zip file, but not one of torch.save: it holds no data.pkl");
    CHECK_STR(zip_refusal(&(zip_entry){ "m/data.pkl", "hello", 5, 8 }, 1, false),
              " holds 'm/data.pkl' compressed, where PyTorch stores it as it is; unpack it and "
              "save it again with torch.save");
    CHECK_STR(zip_refusal((const zip_entry[]){ { "a", "", 0, 0 }, { "a", "", 0, 0 } }, 2, false),
              " is damaged: it holds 'a' twice");
    CHECK_STR(zip_refusal((const zip_entry[]){ { "m/data.pkl", "N.", 2, 0 },
                                               { "m/byteorder", "big", 3, 0 } },
                          2, false),
              " was saved on a big-endian machine, which is not supported; convert it to "
              ".safetensors there");
    CHECK_STR(zip_refusal(NULL, 0, false),
              " is not a PyTorch file: neither a zip file nor a pickle begins there");
    write_bytes(path, "PK", 2);
    CHECK_STR(refusal_of_file(path),
              " is not a PyTorch file: neither a zip file nor a pickle begins there");
    write_bytes(path, "PK\3\4", 4);
    CHECK_STR(refusal_of_file(path),
              " is cut short or damaged: a zip file ends with a directory, and there is none");
    remove_dir();
}

/* A directory that lies about its entries. */
TEST(zip_directories_are_checked)
{
    tb_str s = around(PICKLE("\x80\x02}."));
    const size_t end = s.len - 22, first = (uint8_t)s.s[end + 16] | (uint8_t)s.s[end + 17] << 8;
    static const struct {
        bool of_end;
        size_t at;
        int bytes;
        const char *want;
    } cases[] = {
        { true, 16, 4, " is cut short or damaged: its directory lies beyond the end" },
        { true, 10, 1, " is cut short or damaged: its directory has fewer entries than it says" },
        { false, 0, 1, " is cut short or damaged: its directory has fewer entries than it says" },
        { false, 28, 2, " is cut short or damaged: its directory has fewer entries than it says" },
        { false, 42, 2, " is cut short or damaged: an entry is not where its directory says" },
        { false, 42, 4, " is cut short or damaged: an entry has no zip64 numbers where it should" },
    };
    use_dir();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tb_str bad = TB_STR_INIT;
        tb_str_addn(&bad, s.s, s.len);
        memset(bad.s + (cases[i].of_end ? end : first) + cases[i].at,
               cases[i].of_end && cases[i].bytes == 4 ? 0x7f : 0xff, (size_t)cases[i].bytes);
        CHECK_STR(refusal_of(&bad), cases[i].want);
        tb_str_free(&bad);
    }
    tb_str_free(&s);
    remove_dir();
}

/* As Hugging Face's older repositories are: pytorch_model-00001-of-00002.bin, ... */
TEST(shards_are_gathered_by_their_index)
{
    static const char index[] = "{\"weight_map\":{\"a\":\"m-1.bin\",\"b\":\"m-2.bin\"}}";
    static const char *const files[] = { "m-1.bin", "m-2.bin", "m.bin.index.json" };
    tb_err err = TB_ERR_INIT;
    char *full[3];
    use_dir();
    for (int i = 0; i < 3; i++)
        full[i] = tb_fs_join(dir, files[i]);
    for (int i = 0; i < 2; i++) {
        tb_str s = TB_STR_INIT;
        const stored t = { i ? "b" : "a", TB_SHAPE(2, 3), TB_F32, six, sizeof six, { 0 } };
        pth_build(&s, &t, 1, false);
        write_bytes(full[i], s.s, s.len);
        tb_str_free(&s);
    }
    write_bytes(full[2], index, sizeof index - 1);
    tb_weights *w = tb_weights_open(dir, &err);
    if (!w)
        fprintf(stderr, "%s\n", err.message);
    REQUIRE(w);
    CHECK_INT(tb_weights_file_count(w), 2);
    CHECK(tb_weights_has(w, "a") && tb_weights_has(w, "b"));
    tb_weights_close(&w);
    for (int i = 0; i < 3; i++) {
        unlink(full[i]);
        free(full[i]);
    }
    remove_dir();
}

/* ---------------------------------------------------------------------------------------- fuzz */

/* Half of the time in the pickle or the directory, which are a small part of the file. */
static void fuzz(const char *file, int rounds, uint64_t *state, uint64_t *accepted)
{
    tb_err err = TB_ERR_INIT;
    char *good = NULL;
    size_t size = 0;
    CHECK_OK(tb_fs_read(file, 1 << 20, &good, &size, &err));
    for (int i = 0; i < rounds; i++) {
        char *data = tb_xcalloc(size, 1);
        memcpy(data, good, size);
        const size_t pickle = 1000 < size ? 1000 : size;
        size_t n = size;
        if (i % 2)
            n = damage_bytes(data, size, state);
        else if (damage_bytes(data, pickle, state) < pickle)
            data[next_random(state) % pickle] = '.';
        write_bytes(path, data, n);
        *accepted += read_all(path);
        free(data);
    }
    free(good);
}

TEST(damaged_files_never_crash)
{
    const char *times = getenv("TUBELET_FUZZ"), *env = getenv("TUBELET_SEED");
    const int rounds = 2000 * (times && atoi(times) > 0 ? atoi(times) : 1);
    uint64_t state = env ? strtoull(env, NULL, 10) : 20251123, accepted = 0;
    use_dir();
    printf("TUBELET_SEED=%llu\n", (unsigned long long)state);
    fuzz(GOLDEN "torch_plain.pth", rounds, &state, &accepted);
    fuzz(GOLDEN "torch_nested.pth", rounds, &state, &accepted);
    fuzz(GOLDEN "torch_strided.pth", rounds, &state, &accepted);
    CHECK(accepted > 100 && accepted + 100 < 3 * (uint64_t)rounds);
    remove_dir();
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(what_torch_saved_is_read),
        TEST_CASE(numbers_stored_in_another_order_are_put_right),
        TEST_CASE(what_torch_saved_otherwise_says_what_to_do),
        TEST_CASE(a_pickle_that_calls_is_refused_by_name),
        TEST_CASE(opcodes_that_make_objects_are_unknown),
        TEST_CASE(pickles_that_make_no_sense_are_refused),
        TEST_CASE(tensors_stay_inside_their_storage),
        TEST_CASE(tensors_of_newer_dtypes_are_read),
        TEST_CASE(zip64_is_read),
        TEST_CASE(zip_files_of_others_are_refused),
        TEST_CASE(zip_directories_are_checked),
        TEST_CASE(shards_are_gathered_by_their_index),
        TEST_CASE(damaged_files_never_crash),
    };
    return tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
}
