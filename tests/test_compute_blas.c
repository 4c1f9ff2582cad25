/* test_compute_blas.c - OpenBLAS comes with the right core type. Each test is a child process of
 * its own, because the library reads its environment once. */
#include <sys/wait.h>
#include <unistd.h>

#include "compute/cpu/blas.h"
#include "compute_ref.h"

/* Runs check in a child that starts with these settings; fails if the child does. */
static void in_child(const char *core, const char *library, void (*check)(tb_compute *c))
{
    fflush(NULL);
    const pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
        tb_test_failures = 0;
        unsetenv("OPENBLAS_CORETYPE");
        if (core)
            setenv("OPENBLAS_CORETYPE", core, 1);
        if (library)
            setenv("TUBELET_OPENBLAS", library, 1);
        tb_err err = TB_ERR_INIT;
        tb_compute *c = tb_compute_new(2, &err);
        REQUIRE(c);
        check(c);
        tb_compute_free(&c);
        _exit(tb_test_failures != 0);
    }
    int status = -1;
    REQUIRE(waitpid(pid, &status, 0) == pid);
    CHECK_INT(status, 0);
}

static bool is_x86_with_avx2(void)
{
    return tbi_cpu_kernels_named("avx2") != NULL;
}

static void core_by_cpuid(tb_compute *c)
{
    const char *want = tbi_cpu_kernels_named("avx512") ? "SkylakeX" : "Haswell";
    CHECK_STR(tb_compute_blas_core(c), want);
    CHECK(strstr(tb_compute_blas_config(c), "OpenBLAS"));
}

TEST(core_type_follows_cpuid)
{
    if (is_x86_with_avx2())
        in_child(NULL, NULL, core_by_cpuid);
}

static void core_of_the_user(tb_compute *c)
{
    CHECK_STR(tb_compute_blas_core(c), "Sandybridge");
    CHECK(!strstr(tb_compute_class(), "Sandybridge")); /* no result rests on OpenBLAS */
}

TEST(the_users_core_type_stays)
{
    if (is_x86_with_avx2())
        in_child("Sandybridge", NULL, core_of_the_user);
}

static void library_missing(tb_compute *c)
{
    tb_err err = TB_ERR_INIT;
    CHECK_INT(tb_compute_blas(c, &err), TB_ENOTFOUND);
    CHECK_STR(err.message,
              "OpenBLAS (libnowhere.so.0) was not found; install it, on Debian and Ubuntu: apt "
              "install libopenblas0-pthread");
    CHECK(!tb_compute_blas_core(c));
    CHECK(!tb_compute_blas_config(c));
}

TEST(a_missing_library_names_its_package)
{
    in_child(NULL, "libnowhere.so.0", library_missing);
}

static void library_is_another(tb_compute *c)
{
    tb_err err = TB_ERR_INIT;
    CHECK(tb_compute_blas(c, &err) != TB_OK);
    CHECK_STR(err.message,
              "libm.so.6 lacks cblas_sgemm or the openblas_ functions; install the package "
              "libopenblas0-pthread");
}

TEST(another_library_is_refused)
{
    in_child(NULL, "libm.so.6", library_is_another);
}

/* The chosen core type computes right on this processor, and our product agrees with it. */
static void products_agree(tb_compute *c)
{
    const int sizes[][3] = { { 1, 1, 1 }, { 80, 192, 192 }, { 13, 33, 65 }, { 200, 300, 700 } };
    const tbi_blas *b = tbi_blas_open(NULL);
    REQUIRE(b);
    for (int i = 0; i < 4; i++) {
        const int m = sizes[i][0], n = sizes[i][1], k = sizes[i][2];
        float *x = normals(m * k, 1), *w = normals(n * k, 2), *ours = normals(m * n, 3),
              *theirs = normals(m * n, 4);
        b->sgemm(TBI_BLAS_ROW_MAJOR, TBI_BLAS_NO_TRANS, TBI_BLAS_TRANS, m, n, k, 1, x, k, w, k, 0,
                 theirs, n);
        tb_gemm(c, true, m, n, k, 1, x, k, w, k, 0, ours, n);
        CHECK_NEAR(tb_test_relative(ours, theirs, m * n), 0, 2e-6);
        free(x);
        free(w);
        free(ours);
        free(theirs);
    }
}

TEST(our_product_agrees_with_openblas)
{
    in_child(NULL, NULL, products_agree);
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(core_type_follows_cpuid),
        TEST_CASE(the_users_core_type_stays),
        TEST_CASE(a_missing_library_names_its_package),
        TEST_CASE(another_library_is_refused),
        TEST_CASE(our_product_agrees_with_openblas),
    };
    return tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
}
