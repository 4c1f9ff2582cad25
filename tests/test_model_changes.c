/* test_model_changes.c - model files that change on disk while an engine lives: between runs,
 * during one, and cut off below its mapping; and that stored text needs no text encoder. */
#include <fcntl.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/guard.h"
#include "formats/weights.h"
#include "graph_help.h"

static char dir[64];

static void shell(const char *program, const char *a, const char *b)
{
    char *cmd = tb_xasprintf("%s '%s' '%s'", program, a, b);
    CHECK_INT(system(cmd), 0);
    free(cmd);
}

static char *file_in_dir(void)
{
    return tb_fs_join(dir, "tiny/text_encoder/model.safetensors");
}

/* 64 numbers near the end of the file become `byte`s; its time is set to `seconds`. */
static void write_over(const char *file, int byte, off_t from_end, size_t count, time_t seconds)
{
    char *bytes = tb_xcalloc(count, 1);
    struct stat st;
    memset(bytes, byte, count);
    const int fd = open(file, O_WRONLY);
    REQUIRE(fd >= 0 && fstat(fd, &st) == 0);
    CHECK_INT(pwrite(fd, bytes, count, st.st_size - from_end), (ssize_t)count);
    const struct timespec times[2] = { { .tv_sec = seconds }, { .tv_sec = seconds } };
    CHECK_INT(futimens(fd, times), 0);
    close(fd);
    free(bytes);
}

static void change_in_place(void)
{
    char *file = file_in_dir();
    write_over(file, 0x3c, 4096, 256, 1000000002);
    free(file);
}

/* A file of another content, the same size and the same time takes its place. */
static void change_by_rename(void)
{
    char *file = file_in_dir(), *other = tb_fs_join(dir, "other");
    shell("cp", file, other);
    write_over(other, 0x3a, 4096, 256, 1000000000);
    CHECK_INT(rename(other, file), 0);
    free(other);
    free(file);
}

/* ---------------------------------------------------- a node that does something while it runs */

static void (*act)(void);

static tb_status act_run(tb_job *job, const void *vp, tb_err *err)
{
    if (act)
        act();
    return same_run(job, vp, err);
}

/* Reads a file's last number after the file was cut. */
static tb_status cut_run(tb_job *job, const void *vp, tb_err *err)
{
    char *file = file_in_dir();
    tb_weights *w = tb_weights_open(file, err);
    REQUIRE(w);
    float sum = 0;
    CHECK_INT(truncate(file, 8192), 0);
    for (int i = 0; i < tb_weights_count(w); i++) {
        const tb_tensor *t = tb_weights_at(w, i);
        float last;
        tb_tensor_read_f32(t, tb_tensor_count(t) - 1, 1, &last);
        sum += last;
    }
    CHECK(isfinite(sum));
    tb_weights_close(&w);
    free(file);
    return same_run(job, vp, err);
}

static const tb_node_def act_def = { .abi = TB_NODE_ABI,
                                     .version = 1,
                                     .name = "t_act",
                                     .title = "Act",
                                     .category = "test",
                                     .doc = "Does what the test wants, and hands on.",
                                     .flags = TB_NODE_FORGET,
                                     .params_size = sizeof(same_params),
                                     .inputs = same_in,
                                     .outputs = given_out,
                                     .run = act_run };
static const tb_node_def cut_def = { .abi = TB_NODE_ABI,
                                     .version = 1,
                                     .name = "t_cut",
                                     .title = "Cut",
                                     .category = "test",
                                     .doc = "Reads a file that becomes shorter.",
                                     .params_size = sizeof(same_params),
                                     .inputs = same_in,
                                     .outputs = given_out,
                                     .run = cut_run };
static const tb_node_def *const change_defs[] = { &act_def, &cut_def, NULL };

/* One engine with a store for the whole test, and a copy of the bundled model. */
static tb_engine *start(void)
{
    tb_err err = TB_ERR_INIT;
    tb_engine *before = engine;
    snprintf(dir, sizeof dir, "/tmp/tubelet-test-XXXXXX");
    REQUIRE(mkdtemp(dir));
    char *tiny = tb_fs_join(dir, "tiny");
    shell("cp -r", "examples/tiny", tiny);
    char *file = file_in_dir(); /* digests are remembered of files that have settled */
    shell("touch -d", "@1000000000", file);
    free(file);
    free(tiny);
    char *store = tb_fs_join(dir, "store");
    engine = tb_engine_new(
        &(tb_engine_options){ .store_path = store, .threads = 1, .nodes = change_defs }, &err);
    REQUIRE(engine);
    free(store);
    act = NULL;
    return before;
}

static void stop(tb_engine *before)
{
    tb_engine_free(&engine);
    engine = before;
    shell("rm -r", "--", dir);
}

static outcome run_model(const char *nodes, const char *target)
{
    char *all =
        tb_xasprintf("'m':{'class_type':'load_model','inputs':{'path':'%s/tiny'}},%s", dir, nodes);
    const outcome o = run(all, target);
    free(all);
    return o;
}

#define ENCODE(clip, text) \
    "'e':{'class_type':'text_encode','inputs':{'clip':[" clip "],'text':'" text "'}}"
#define ACT "'a':{'class_type':'t_act','inputs':{'value':['m',1]}},"

/* The sum of a prompt's features. */
static double encoded(void)
{
    double sum = 0;
    outcome o = run_model(ENCODE("'m',1", "a red ball"), "e");
    CHECK_STR(o.error, "");
    const tb_tensor *t = o.value ? tb_record_tensor(o.value, "text") : NULL;
    REQUIRE(t);
    for (int64_t i = 0; i < tb_tensor_count(t); i++)
        sum += fabs((double)tb_tensor_f32(t)[i]);
    tb_value_unref(&o.value);
    return sum;
}

TEST(an_open_model_is_not_used_for_new_content)
{
    tb_engine *before = start();
    const double first = encoded();
    CHECK(encoded() == first);
    change_in_place();
    const double second = encoded();
    CHECK(second != first);
    change_by_rename();
    const double third = encoded();
    CHECK(third != first && third != second);
    stop(before);
}

static void check_during(void (*change)(void))
{
    char want[300];
    tb_engine *before = start();
    const double first = encoded();
    act = change;
    outcome o = run_model(ACT ENCODE("'a',0", "another ball"), "e");
    snprintf(want, sizeof want,
             "'%s/tiny/text_encoder' was changed on disk after this run had begun with it; run it "
             "again when the file is complete",
             dir);
    CHECK_INT(o.status, TB_EIO);
    if (!strstr(o.error, want))
        CHECK_STR(o.error, want);
    CHECK(!o.value);
    tb_value_unref(&o.value);
    act = NULL;
    CHECK(encoded() != first);
    stop(before);
}

TEST(a_change_during_a_run_ends_it)
{
    check_during(change_in_place);
    check_during(change_by_rename);
}

TEST(a_file_cut_off_below_its_mapping_is_an_error)
{
    char want[300], path[300];
    tb_engine *before = start();
    const uint64_t faults = tb_guard_faults();
    outcome o = run_model("'c':{'class_type':'t_cut','inputs':{'value':['m',1]}}", "c");
    snprintf(want, sizeof want,
             "'%s/tiny/text_encoder/model.safetensors' became shorter while it was being read; run "
             "it again when the file is complete",
             dir);
    CHECK_INT(o.status, TB_EIO);
    if (!strstr(o.error, want))
        CHECK_STR(o.error, want);
    CHECK(!o.value);
    CHECK(tb_guard_faults() > faults);
    CHECK(strstr(tb_guard_path(path, sizeof path), "model.safetensors"));
    tb_value_unref(&o.value);
    outcome next = run_model(ENCODE("'m',1", "a red ball"), "e"); /* the engine lives */
    CHECK(next.status != TB_OK);
    CHECK(strstr(next.error, "model.safetensors"));
    tb_value_unref(&next.value);
    stop(before);
}

/* ----------------------------------------------------------------------------------------- text */

#define STEP(text, seed)                                                                          \
    "'s':{'class_type':'schedule','inputs':{'steps':1}},"                                         \
    "'x':{'class_type':'noise_init','inputs':{'model':['m',0],'vae':['m',2],"                     \
    "'size':'32x32','frames':1,'seed':" seed "}}," ENCODE(                                        \
        "'m',1", text) ","                                                                        \
                       "'v':{'class_type':'dit_step','inputs':{'model':['m',0],'latent':['x',0]," \
                       "'conditioning':['e',0],'sigmas':['s',0],'step':0}}"

static bool all_finite(const outcome *o)
{
    const tb_tensor *t = o->value ? tb_value_as_tensor(o->value) : NULL;
    bool finite = t != NULL;
    for (int64_t i = 0; finite && i < tb_tensor_count(t); i++)
        finite = isfinite(tb_tensor_f32(t)[i]);
    return finite;
}

static bool step_is_finite(const char *nodes)
{
    outcome o = run_model(nodes, "v");
    CHECK_STR(o.error, "");
    const bool finite = all_finite(&o);
    tb_value_unref(&o.value);
    return finite;
}

/* The weights become NaN without a trace in size, time or inode: whoever read them would show it.
 */
TEST(stored_text_needs_no_weights_of_its_encoder)
{
    enum { RUINED = 1000000 };
    tb_engine *before = start();
    CHECK(step_is_finite(STEP("a red ball", "1")));
    char *file = file_in_dir();
    write_over(file, 0xff, RUINED, RUINED, 1000000000);
    free(file);
    tb_engine_release(engine, true, true); /* nor is it open in memory */
    CHECK(step_is_finite(STEP("a red ball", "2")));
    CHECK(!step_is_finite(STEP("a blue ball", "2")));
    stop(before);
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(an_open_model_is_not_used_for_new_content),
        TEST_CASE(a_change_during_a_run_ends_it),
        TEST_CASE(a_file_cut_off_below_its_mapping_is_an_error),
        TEST_CASE(stored_text_needs_no_weights_of_its_encoder),
    };
    return run_with_engine(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
}
