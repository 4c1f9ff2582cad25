/* test_run_paths.c - a server's guard: what a run may read and write, and where relative paths
 * lead. */
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "formats/media.h"
#include "node.h"
#include "test.h"
#include "tubelet.h"

/* ------------------------------------------------------------------- a node that reads and writes
 */

typedef struct copy_params {
    const char *from, *to;
} copy_params;

static const tb_input_def copy_in[] = {
    TB_IN_STRING(copy_params, from, "", TB_IN_FILE, "The file to read; empty: nothing."),
    TB_IN_STRING(copy_params, to, "", TB_IN_UNKEYED, "Where to write."),
    { 0 },
};
static const tb_output_def copy_out[] = { { .name = "file", .type = "FILE" }, { 0 } };

static tb_status copy_plan(tb_job *job, const void *vp, tb_err *err)
{
    const copy_params *p = vp;
    return *p->to ? tb_job_check_target(job, p->to, err) : TB_OK;
}

static tb_status copy_run(tb_job *job, const void *vp, tb_err *err)
{
    const copy_params *p = vp;
    char *path = tb_job_path(job, p->from, err), *text = NULL;
    size_t n = 0;
    tb_status st = path ? tb_fs_read(path, 1000, &text, &n, err) : err->status;
    tb_tensor *t = st == TB_OK ? tb_tensor_new(TB_U8, &TB_SHAPE((int64_t)n), err) : NULL;
    if (t) {
        memcpy(tb_tensor_data_mut(t), text, n);
        tb_job_set_take(job, 0, tb_value_file_take("x.txt", t));
    }
    free(path);
    free(text);
    return t ? TB_OK : err->status;
}

static tb_status copy_deliver(tb_job *job, const void *vp, tb_err *err)
{
    const copy_params *p = vp;
    return *p->to ? tb_job_deliver_files(job, 0, p->to, "text", err) : TB_OK;
}

static const tb_node_def copy_def = { .abi = TB_NODE_ABI,
                                      .version = 1,
                                      .name = "t_copy",
                                      .flags = TB_NODE_IO | TB_NODE_TARGET,
                                      .params_size = sizeof(copy_params),
                                      .inputs = copy_in,
                                      .outputs = copy_out,
                                      .plan = copy_plan,
                                      .run = copy_run,
                                      .deliver = copy_deliver };
static const tb_node_def *const defs[] = { &copy_def, NULL };

/* ------------------------------------------------------------------------------------- harness */

/* base/{graphs,input,output}, base/secret.txt, links that lead out, and a file of each name. */
static char base[4096];

static char *in_base(const char *name)
{
    return tb_fs_join(base, name);
}

static void put(const char *name, const char *text)
{
    tb_err err = TB_ERR_INIT;
    char *path = in_base(name);
    REQUIRE(tb_fs_write(path, text, strlen(text), false, &err) == TB_OK);
    free(path);
}

static void link_to(const char *name, const char *target)
{
    char *path = in_base(name), *full = in_base(target);
    REQUIRE(symlink(full, path) == 0);
    free(path);
    free(full);
}

static void make_tree(void)
{
    char dir[] = "/tmp/tubelet-test-XXXXXX";
    REQUIRE(mkdtemp(dir));
    REQUIRE(realpath(dir, base));
    put("graphs/a.txt", "graph");
    put("input/a.txt", "input");
    put("input/b.txt", "only input");
    put("output/c.txt", "only output");
    put("output-other/d.txt", "a neighbour");
    put("secret.txt", "secret");
    link_to("input/leak.txt", "secret.txt");
    link_to("input/inside.txt", "output/c.txt");
    link_to("output/away", "output-other");
}

typedef struct outcome {
    tb_status status;
    char error[900], delivered[4200];
} outcome;

static void on_event(void *ctx, tb_run *run, const tb_event *ev)
{
    outcome *o = ctx;
    (void)run;
    if (ev->kind == TB_EV_DELIVERED)
        snprintf(o->delivered, sizeof o->delivered, "%s", ev->path);
    if (ev->kind != TB_EV_END)
        return;
    o->status = ev->status;
    snprintf(o->error, sizeof o->error, "%s", ev->err ? ev->err->message : "");
}

static const char *start = "graphs"; /* the folder runs are started in */

/* Runs the document (consumed) there. */
static outcome run_take(json_t *doc, bool guarded, bool no_metadata)
{
    tb_err err = TB_ERR_INIT;
    outcome o = { 0 };
    char *graphs = in_base("graphs"), *input = in_base("input"), *output = in_base("output"),
         *cwd = in_base(start);
    const char *const roots[] = { input, output, graphs, NULL };
    tb_engine *e = tb_engine_new(&(tb_engine_options){ .no_store = true, .nodes = defs }, &err);
    REQUIRE(e);
    REQUIRE(tb_engine_submit(e,
                             &(tb_run_options){ .document = doc,
                                                .cwd = cwd,
                                                .write_root = guarded ? output : NULL,
                                                .read_roots = guarded ? roots : NULL,
                                                .no_metadata = no_metadata,
                                                .on_event = on_event,
                                                .ctx = &o },
                             NULL, &err));
    uv_run(tb_engine_loop(e), UV_RUN_DEFAULT);
    json_decref(doc);
    tb_engine_free(&e);
    free(graphs);
    free(input);
    free(output);
    free(cwd);
    return o;
}

static outcome copy(const char *from, const char *to, bool guarded)
{
    return run_take(json_pack("{s{s{sss{ssss}}}}", "graph", "n", "class_type", "t_copy", "inputs",
                              "from", from, "to", to),
                    guarded, false);
}

/* The message without the test's own folder. */
static const char *shown(const outcome *o)
{
    static char text[900];
    const size_t n = strlen(base);
    char *to = text;
    for (const char *p = o->error; *p;) {
        if (strncmp(p, base, n) == 0) {
            *to++ = '~';
            p += n;
        } else {
            *to++ = *p++;
        }
    }
    *to = 0;
    return text;
}

static void check_copy(const char *from, const char *to, const char *error)
{
    const outcome o = copy(from, to, true);
    CHECK_STR(shown(&o), error);
}

static void check_file(const char *name, const char *want)
{
    tb_err err = TB_ERR_INIT;
    char *path = in_base(name), *text = NULL;
    size_t n;
    CHECK_OK(tb_fs_read(path, 1000, &text, &n, &err));
    CHECK_STR(text, want);
    unlink(path);
    free(path);
    free(text);
}

/* --------------------------------------------------------------------------------------- tests */

#define READ_REFUSED \
    "may not be read: files are read below '~/input', '~/output' or '~/graphs' only"
#define WRITE_REFUSED "may not be written: files are written below '~/output' only"

TEST(relative_paths_are_looked_for_in_order)
{
    check_copy("a.txt", "x.txt", "");
    check_file("output/x.txt", "graph");
    check_copy("b.txt", "sub/new/x.txt", "");
    check_file("output/sub/new/x.txt", "only input");
    check_copy("c.txt", "x.txt", "");
    check_file("output/x.txt", "only output");
    check_copy("../input/a.txt", "x.txt", "");
    check_file("output/x.txt", "input");
    check_copy("inside.txt", "x.txt", "");
    check_file("output/x.txt", "only output");
    check_copy("none.txt", "x.txt",
               "there is no file 'none.txt' below '~/input', '~/output' or '~/graphs'");
}

TEST(absolute_paths_may_lie_inside)
{
    char *from = in_base("input/b.txt"), *to = in_base("output/y.txt");
    check_copy(from, to, "");
    check_file("output/y.txt", "only input");
    free(from);
    free(to);
}

TEST(nothing_outside_is_read)
{
    check_copy("../secret.txt", "x.txt", "'../secret.txt' " READ_REFUSED);
    check_copy("leak.txt", "x.txt", "'leak.txt' " READ_REFUSED);
    check_copy("/etc/passwd", "x.txt", "'/etc/passwd' " READ_REFUSED);
    check_copy("/etc/no_such_file", "x.txt", "'/etc/no_such_file' " READ_REFUSED);
    check_copy("../no_such_file", "x.txt", "'../no_such_file' " READ_REFUSED);
    check_copy("away/d.txt", "x.txt", "'away/d.txt' " READ_REFUSED);
}

TEST(the_folder_of_the_run_is_no_root_by_itself)
{
    start = ".";
    check_copy("secret.txt", "x.txt", "'secret.txt' " READ_REFUSED);
    check_copy("input/b.txt", "x.txt", "");
    check_file("output/x.txt", "only input");
    start = "graphs";
}

TEST(nothing_outside_is_written)
{
    check_copy("a.txt", "../x.txt", "'../x.txt' " WRITE_REFUSED);
    check_copy("a.txt", "/tmp/x.txt", "'/tmp/x.txt' " WRITE_REFUSED);
    check_copy("a.txt", "away/x.txt", "'away/x.txt' " WRITE_REFUSED);
    check_copy("a.txt", "away/new/x.txt", "'away/new/x.txt' " WRITE_REFUSED);
    check_copy("a.txt", "new/../../x.txt", "'new/../../x.txt' " WRITE_REFUSED);
    char *neighbour = in_base("output-other/x.txt");
    outcome o = copy("a.txt", neighbour, true);
    CHECK_INT(o.status, TB_EINVAL);
    CHECK_STR(o.delivered, "");
    free(neighbour);
    /* a link in the file's own place is replaced */
    link_to("output/link.txt", "secret.txt");
    check_copy("a.txt", "link.txt", "");
    check_file("output/link.txt", "graph");
    check_copy("a.txt", "c.txt/x.txt", "'~/output/c.txt' must be a folder, but a file is there");
}

TEST(without_a_guard_all_is_open)
{
    const outcome o = copy("../secret.txt", "../input/z.txt", false);
    CHECK_STR(o.error, "");
    check_file("input/z.txt", "secret");
    check_file("secret.txt", "secret");
    put("secret.txt", "secret");
}

TEST(the_graph_is_put_into_files_unless_refused)
{
    char here[4096];
    REQUIRE(getcwd(here, sizeof here));
    char *picture = tb_fs_join(here, "docs/frames.png"), *out = in_base("output/p.png");
    for (int no_metadata = 0; no_metadata < 2; no_metadata++) {
        tb_err err = TB_ERR_INIT;
        tb_media_info info = { 0 };
        const outcome o = run_take(json_pack("{s{s{sss{sssisi}}s{sss{s[si]ss}}}}", "graph", "i",
                                             "class_type", "load_image", "inputs", "path", picture,
                                             "width", 8, "height", 8, "s", "class_type",
                                             "save_image", "inputs", "images", "i", 0, "path", out),
                                   false, no_metadata);
        CHECK_STR(o.error, "");
        CHECK_OK(tb_media_probe(out, &info, &err));
        CHECK((info.texts == NULL) == no_metadata);
        json_decref(info.texts);
        unlink(out);
    }
    free(picture);
    free(out);
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(relative_paths_are_looked_for_in_order),
        TEST_CASE(absolute_paths_may_lie_inside),
        TEST_CASE(nothing_outside_is_read),
        TEST_CASE(the_folder_of_the_run_is_no_root_by_itself),
        TEST_CASE(nothing_outside_is_written),
        TEST_CASE(without_a_guard_all_is_open),
        TEST_CASE(the_graph_is_put_into_files_unless_refused),
    };
    make_tree();
    const int failed = tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
    char *cmd = tb_xasprintf("rm -r '%s'", base);
    const int left = system(cmd);
    free(cmd);
    return failed || left;
}
