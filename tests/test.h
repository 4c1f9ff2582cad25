/* test.h - what every test program needs: checks that print both values, and a main.
 *
 *     TEST(hash_is_stable) { CHECK_INT(f(2), 4); }
 *     TEST_MAIN(hash_is_stable, other_test)
 *
 * A program runs all its tests, or the ones named on its command line, and fails if any check
 * failed.
 */
#pragma once

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int tb_test_failures;

#define TEST(name) static void test_##name(void)
#define CHECK(cond)                                                           \
    do {                                                                      \
        if (!(cond)) {                                                        \
            fprintf(stderr, "%s:%d: CHECK(%s)\n", __FILE__, __LINE__, #cond); \
            tb_test_failures++;                                               \
        }                                                                     \
    } while (0)
#define REQUIRE(cond)                                                           \
    do {                                                                        \
        if (!(cond)) {                                                          \
            fprintf(stderr, "%s:%d: REQUIRE(%s)\n", __FILE__, __LINE__, #cond); \
            exit(1);                                                            \
        }                                                                       \
    } while (0)
#define CHECK_INT(got, want)                                                                       \
    do {                                                                                           \
        const long long g_ = (long long)(got), w_ = (long long)(want);                             \
        if (g_ != w_) {                                                                            \
            fprintf(stderr, "%s:%d: %s is %lld, wanted %lld\n", __FILE__, __LINE__, #got, g_, w_); \
            tb_test_failures++;                                                                    \
        }                                                                                          \
    } while (0)
#define CHECK_NEAR(got, want, tol)                                                            \
    do {                                                                                      \
        const double g_ = (double)(got), w_ = (double)(want);                                 \
        if (!(fabs(g_ - w_) <= (tol))) {                                                      \
            fprintf(stderr, "%s:%d: %s is %.9g, wanted %.9g within %g\n", __FILE__, __LINE__, \
                    #got, g_, w_, (double)(tol));                                             \
            tb_test_failures++;                                                               \
        }                                                                                     \
    } while (0)
#define CHECK_STR(got, want)                                                                \
    do {                                                                                    \
        const char *g_ = (got), *w_ = (want);                                               \
        if (strcmp(g_ ? g_ : "(null)", w_) != 0) {                                          \
            fprintf(stderr, "%s:%d: %s is\n  %s\nwanted\n  %s\n", __FILE__, __LINE__, #got, \
                    g_ ? g_ : "(null)", w_);                                                \
            tb_test_failures++;                                                             \
        }                                                                                   \
    } while (0)
/* A call that must succeed; `err` is the tb_err it filled. */
#define CHECK_OK(call)                                                                  \
    do {                                                                                \
        if ((call) != TB_OK) {                                                          \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, err.message); \
            tb_test_failures++;                                                         \
        }                                                                               \
    } while (0)

/* ||got - want|| / ||want|| */
static inline double tb_test_relative(const float *got, const float *want, long n)
{
    double d = 0, r = 0;
    for (long i = 0; i < n; i++) {
        const double g = (double)got[i], w = (double)want[i];
        d += (g - w) * (g - w);
        r += w * w;
    }
    return sqrt(d) / (sqrt(r) > 0 ? sqrt(r) : 1);
}

struct tb_test {
    const char *name;
    void (*run)(void);
};

static inline int tb_test_main(int argc, char **argv, const struct tb_test *tests, int n)
{
    int ran = 0;
    for (int i = 0; i < n; i++) {
        bool wanted = argc < 2;
        for (int a = 1; a < argc; a++)
            wanted |= strcmp(argv[a], tests[i].name) == 0;
        if (!wanted)
            continue;
        const int before = tb_test_failures;
        tests[i].run();
        printf("%-4s %s\n", tb_test_failures == before ? "ok" : "FAIL", tests[i].name);
        ran++;
    }
    return tb_test_failures || !ran;
}

/* A row of a test program's table: TEST_CASE(name), */
/* clang-format off */
#define TEST_CASE(name) { #name, test_##name }
/* clang-format on */
