/* test_folders.c - files of the user by kind and name, and files that are numbered on. */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/folders.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/numbered.h"
#include "test.h"

static char *base;

static char *below(const char *name)
{
    return tb_fs_join(base, name);
}

static void put(const char *name, const char *text)
{
    tb_err err = TB_ERR_INIT;
    char *path = below(name);
    REQUIRE(tb_fs_write(path, text, strlen(text), false, &err) == TB_OK);
    free(path);
}

static void check_path_take(char *got, const char *want)
{
    char *full = want ? below(want) : NULL;
    CHECK_STR(got ? got : "none", full ? full : "none");
    free(full);
    free(got);
}

static tb_folders *folders(void)
{
    tb_folders *f = tb_folders_new();
    char *models = below("models"), *more = below("more"), *in = below("in"), *out = below("out");
    tb_folders_add_root(f, models);
    tb_folders_add_root(f, more);
    tb_folders_set(f, "input", in);
    tb_folders_set(f, "output", out);
    free(models);
    free(more);
    free(in);
    free(out);
    return f;
}

TEST(models_are_listed_and_found_in_comfyuis_folders)
{
    put("models/unet/a.safetensors", "x");
    put("models/unet/notes.txt", "x");
    put("models/unet/sub/b.gguf", "x");
    put("more/diffusion_models/a.safetensors", "y"); /* hidden by the root before */
    put("more/diffusion_models/c.safetensors", "x");
    put("more/diffusion_models/folder/config.json", "{}");
    put("more/diffusion_models/folder/model.safetensors", "x");
    tb_folders *f = folders();
    tb_folders_add_model(f, "unet", "named", "/somewhere");
    json_t *names = tb_folders_names(f, "diffusion_models");
    char *text = json_dumps(names, JSON_COMPACT);
    CHECK_STR(text, "[\"a.safetensors\",\"c.safetensors\",\"folder\",\"sub/b.gguf\",\"named\"]");
    free(text);
    json_decref(names);
    tb_err err = TB_ERR_INIT;
    check_path_take(tb_folders_find(f, "unet", "a.safetensors", &err), "models/unet/a.safetensors");
    check_path_take(tb_folders_find(f, "unet", "sub/b.gguf", &err), "models/unet/sub/b.gguf");
    check_path_take(tb_folders_find(f, "unet", "named", &err), "/somewhere");
    check_path_take(tb_folders_named(f, "/cwd", "diffusion_models:folder"),
                    "more/diffusion_models/folder");
    CHECK_STR(err.message, "");
    CHECK(!tb_folders_find(f, "vae", "v.safetensors", &err));
    char *want =
        tb_xasprintf("there is no 'v.safetensors' in %s/models/vae, %s/more/vae; nothing is "
                     "there",
                     base, base);
    CHECK_STR(err.message, want);
    free(want);
    CHECK_STR(tb_folders_kind_of("clip"), "text_encoders");
    CHECK(!tb_folders_kind_of("nothing"));
    tb_folders_free(&f);
}

TEST(names_never_leave_their_folder)
{
    static const char *const out[] = { "output:../x",      "output:/etc/passwd",
                                       "output:a/../../x", "output:",
                                       "vae:..",           "input:a/..",
                                       "temp:/tmp/../x" };
    tb_folders *f = folders();
    for (size_t i = 0; i < sizeof out / sizeof *out; i++) {
        CHECK(tb_folders_leaves(out[i]));
        CHECK(!tb_folders_named(f, "/cwd", out[i]));
    }
    CHECK(!tb_folders_leaves("output:a..b/c"));
    CHECK(!tb_folders_leaves("C:../x")); /* a plain path */
    CHECK(!tb_folders_named(f, "/cwd", "plain.png"));
    put("in/p.png", "x");
    tb_err err = TB_ERR_INIT;
    CHECK(!tb_folders_find(f, "input", "../in/p.png", &err));
    check_path_take(tb_folders_named(f, "/cwd", "input:p.png"), "in/p.png");
    check_path_take(tb_folders_named(f, "/cwd", "input:p.png [output]"), "out/p.png");
    check_path_take(tb_folders_named(f, "/cwd", "output:new/x.mp4"), "out/new/x.mp4");
    tb_folders_free(&f);
}

static char *claim(const char *pattern, const char *text, long *number, bool *held)
{
    tb_err err = TB_ERR_INIT;
    char *full = below(pattern), *path = NULL;
    CHECK(tb_numbered_claim(full, text, strlen(text), number, &path, held, &err) == TB_OK);
    CHECK_STR(err.message, "");
    if (!*held)
        CHECK(tb_fs_write(path, text, strlen(text), false, &err) == TB_OK);
    free(full);
    return path;
}

TEST(files_are_numbered_on)
{
    bool held;
    long n = 0;
    check_path_take(claim("n/a_#####_.png", "one", &n, &held), "n/a_00001_.png");
    CHECK(!held);
    n = 0;
    check_path_take(claim("n/a_#####_.png", "two", &n, &held), "n/a_00002_.png");
    n = 0;
    check_path_take(claim("n/a_#####_.png", "one", &n, &held), "n/a_00001_.png"); /* told again */
    CHECK(held);
    check_path_take(claim("n/a_#####_.png", "one", &n, &held), "n/a_00003_.png"); /* in one batch */
    CHECK(!held);
    CHECK_INT(n, 3);
    put("n/a_00041_.mp4", "x"); /* another ending counts as well */
    n = 0;
    check_path_take(claim("n/a_##.png", "new", &n, &held), "n/a_42.png");
    put("n/a_x_00077.png", "x"); /* another name does not */
    n = 0;
    check_path_take(claim("n/a_#####_.png", "newer", &n, &held), "n/a_00043_.png");
    CHECK(tb_numbered("a/b_#.png"));
    CHECK(!tb_numbered("a#/b.png"));
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(models_are_listed_and_found_in_comfyuis_folders),
        TEST_CASE(names_never_leave_their_folder),
        TEST_CASE(files_are_numbered_on),
    };
    char name[] = "/tmp/test_folders_XXXXXX";
    base = mkdtemp(name);
    REQUIRE(base);
    const int failed = tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
    char *command = tb_xasprintf("rm -rf '%s'", base);
    if (system(command) != 0)
        fprintf(stderr, "cannot remove %s\n", base);
    free(command);
    return failed;
}
