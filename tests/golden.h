/* golden.h - reference files: where they are, which sets there are, their tensors as f32.
 *
 * The folder is TUBELET_GOLDEN, or tests/golden. A set is a letter: every
 * dit_t2v_<letter>_io.safetensors there is tested, so that other sets can be dropped in.
 */
#pragma once

#include <dirent.h>

#include "base/err.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "compute/tensor.h"
#include "formats/safetensors.h"
#include "test.h"

static inline const char *golden_dir(void)
{
    const char *dir = getenv("TUBELET_GOLDEN");
    return dir && *dir ? dir : "tests/golden";
}

/* In place of a letter: the project's own set, wherever TUBELET_GOLDEN points. For tests that need
 * some sound file, not a reference to match. */
#define GOLDEN_OWN '-'

/* "<dir>/<stem>_<letter><tail>"; freed by free(). */
static inline char *golden_path(const char *stem, char letter, const char *tail)
{
    if (letter == GOLDEN_OWN)
        return tb_xasprintf("tests/golden/%s_a%s", stem, tail);
    return tb_xasprintf("%s/%s_%c%s", golden_dir(), stem, letter, tail);
}

/* Call fn for every set of `stem`; fails when there is none. */
static inline void golden_each(const char *stem, const char *tail, void (*fn)(char letter))
{
    int found = 0;
    for (char c = 'a'; c <= 'z'; c++) {
        char *path = golden_path(stem, c, tail);
        if (tb_fs_is_file(path)) {
            found++;
            fn(c);
        }
        free(path);
    }
    if (!found) {
        fprintf(stderr, "no %s_<letter>%s in %s\n", stem, tail, golden_dir());
        tb_test_failures++;
    }
}

static inline tb_safetensors *golden_open(const char *path)
{
    tb_err err = TB_ERR_INIT;
    tb_safetensors *f = tb_safetensors_open(path, &err);
    if (!f)
        fprintf(stderr, "%s\n", err.message);
    REQUIRE(f);
    return f;
}

static inline bool golden_has(const tb_safetensors *f, const char *name)
{
    for (int i = 0; i < tb_safetensors_count(f); i++)
        if (strcmp(tb_safetensors_name(f, i), name) == 0)
            return true;
    return false;
}

/* A tensor by printf-name, of any dtype as f32. New reference. */
__attribute__((format(printf, 2, 3))) static inline tb_tensor *golden_f32(const tb_safetensors *f,
                                                                          const char *fmt, ...)
{
    char name[160];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    tb_err err = TB_ERR_INIT;
    tb_tensor *raw = tb_safetensors_get(f, name, &err);
    if (!raw)
        fprintf(stderr, "%s\n", err.message);
    REQUIRE(raw);
    tb_tensor *t = tb_tensor_to_f32(raw, &err);
    REQUIRE(t);
    tb_tensor_unref(&raw);
    return t;
}

/* The model's configuration in the file's metadata. New reference; NULL when there is none. */
static inline json_t *golden_config(const tb_safetensors *f)
{
    const json_t *meta = tb_safetensors_metadata(f);
    const char *text = meta ? json_string_value(json_object_get(meta, "config")) : NULL;
    tb_err err = TB_ERR_INIT;
    return text ? tb_json_parse(text, strlen(text), "config", &err) : NULL;
}

/* ||got - want|| / ||want|| must stay within tol; prints the name and both. */
static inline void golden_near(const char *what, const float *got, const tb_tensor *want,
                               double tol)
{
    const double r = tb_test_relative(got, tb_tensor_f32(want), tb_tensor_count(want));
    if (!(r <= tol)) {
        fprintf(stderr, "%s: relative error %.3g, wanted at most %.3g\n", what, r, tol);
        tb_test_failures++;
    }
}
