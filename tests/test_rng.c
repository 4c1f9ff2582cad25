/* test_rng.c - the generator against published vectors of Philox and the statistics of a normal. */
#include <stdint.h>

#include "compute/rng.h"
#include "test.h"

/* Random123's kat_vectors, "philox4x32 10", counter 0 and key 0: 6627e8d5 e169c58d bc57ac4c
 * 9b00dbd8, put through Box-Muller here in double. */
TEST(first_numbers_are_philox_through_box_muller)
{
    const uint32_t words[4] = { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 };
    float got[4];
    tb_rng_normal(got, 4, 0, 0);
    for (int i = 0; i < 4; i += 2) {
        const double r = sqrt(-2 * log(((double)words[i] + 1) / 4294967296.0));
        const double angle = 2 * 3.14159265358979323846 * (double)words[i + 1] / 4294967296.0;
        CHECK_NEAR(got[i], r * cos(angle), 1e-6);
        CHECK_NEAR(got[i + 1], r * sin(angle), 1e-6);
    }
}

TEST(a_value_depends_on_seed_and_index_only)
{
    float whole[100], part[100];
    tb_rng_normal(whole, 100, 42, 1000);
    for (int cut = 0; cut <= 100; cut += 7) {
        tb_rng_normal(part, cut, 42, 1000);
        tb_rng_normal(part + cut, 100 - cut, 42, 1000 + (uint64_t)cut);
        CHECK(memcmp(whole, part, sizeof whole) == 0);
    }
    tb_rng_normal(part, 100, 43, 1000);
    CHECK(memcmp(whole, part, sizeof whole) != 0);
    tb_rng_normal(part, 100, 42 + (UINT64_C(1) << 32), 1000);
    CHECK(memcmp(whole, part, sizeof whole) != 0);
}

/* With n = 2^20 the standard errors of the moments are 0.001, 0.0014, 0.0024 and 0.0096; four of
 * them. */
TEST(moments_are_those_of_a_standard_normal)
{
    enum { N = 1 << 20 };
    float *x = malloc(N * sizeof *x);
    REQUIRE(x);
    tb_rng_normal(x, N, 7, 0);
    double m1 = 0, m2 = 0, m3 = 0, m4 = 0, neighbour = 0;
    for (int i = 0; i < N; i++) {
        const double v = (double)x[i];
        CHECK(isfinite(v));
        m1 += v / N;
        m2 += v * v / N;
        m3 += v * v * v / N;
        m4 += v * v * v * v / N;
        neighbour += v * (double)x[(i + 1) % N] / N;
    }
    CHECK_NEAR(m1, 0, 0.004);
    CHECK_NEAR(m2, 1, 0.0056);
    CHECK_NEAR(m3, 0, 0.01);
    CHECK_NEAR(m4, 3, 0.04);
    CHECK_NEAR(neighbour, 0, 0.004);
    free(x);
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(first_numbers_are_philox_through_box_muller),
        TEST_CASE(a_value_depends_on_seed_and_index_only),
        TEST_CASE(moments_are_those_of_a_standard_normal),
    };
    return tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
}
