/* test_levels.c - ComfyUI's schedulers on a shifted flow. The numbers were computed apart from the
 * engine, in double, from the rules as ComfyUI states them; the quantiles of the beta distribution
 * by numeric integration (its median, 1/2, falls between two levels: half to even).
 */
#include "models/samplers.h"
#include "test.h"

static void check_levels(const char *name, const double want[6])
{
    tb_err err = TB_ERR_INIT;
    tb_schedule s;
    REQUIRE(tb_schedule_make_levels(name, 6, 8, &s, &err) == TB_OK);
    CHECK_INT(s.steps, 6);
    CHECK(s.kind == TB_FLOW);
    for (int i = 0; i < 6; i++) {
        CHECK_NEAR(s.sigma[i], want[i], 1e-7);
        CHECK_NEAR(s.timestep[i], 1000 * want[i], 1e-4);
    }
    CHECK_NEAR(s.sigma[6], 0, 0);
    tb_schedule_clear(&s);
}

TEST(six_steps_at_shift_8)
{
    check_levels("simple",
                 (double[]){ 1, 0.975723896, 0.941259481, 0.888888889, 0.800479329, 0.615952052 });
    check_levels("normal",
                 (double[]){ 1, 0.969988284, 0.924013083, 0.844723071, 0.675333117, 0.0602069614 });
    check_levels("sgm_uniform",
                 (double[]){ 1, 0.975836296, 0.941834061, 0.890448514, 0.803771361, 0.626430334 });
    check_levels("beta",
                 (double[]){ 1, 0.987640907, 0.95473251, 0.889283359, 0.753069577, 0.447688564 });
    check_levels("karras", (double[]){ 1, 0.479188357, 0.210595536, 0.0829476969, 0.0283079014,
                                       0.00794438928 });
    check_levels("exponential", (double[]){ 1, 0.380199992, 0.144552034, 0.0549586821, 0.0208952905,
                                            0.00794438928 });
    check_levels("kl_optimal",
                 (double[]){ 1, 0.728972874, 0.513534623, 0.33019766, 0.164905899, 0.00794438928 });
    check_levels("linear_quadratic",
                 (double[]){ 1, 0.991666667, 0.983333333, 0.975, 0.861111111, 0.536111111 });
}

/* Every rule, from one step to as many as there are levels: from near 1 down to 0, never up. */
TEST(levels_fall)
{
    static const char *const names[] = { "simple",     "normal",           "sgm_uniform",
                                         "beta",       "karras",           "exponential",
                                         "kl_optimal", "linear_quadratic", "ddim_uniform" };
    static const int counts[] = { 1, 2, 3, 20, 100, 500, 1000 };
    tb_err err = TB_ERR_INIT;
    tb_schedule s;
    for (size_t k = 0; k < 9; k++)
        for (size_t c = 0; c < 7; c++) {
            REQUIRE(tb_schedule_make_levels(names[k], counts[c], 3, &s, &err) == TB_OK);
            if (k < 8) /* ddim_uniform begins 1000 / steps levels below */
                CHECK_NEAR(s.sigma[0], 1, 1e-6);
            for (int i = 0; i < s.steps; i++)
                if (!(s.sigma[i + 1] < s.sigma[i])) {
                    fprintf(stderr, "%s, %d steps: level %d is not below the one before\n",
                            names[k], counts[c], i + 1);
                    tb_test_failures++;
                    break;
                }
            tb_schedule_clear(&s);
        }
}

TEST(wrong_schedules_are_refused)
{
    tb_err err = TB_ERR_INIT;
    tb_schedule s;
    CHECK(tb_schedule_make_levels("simple", 1001, 3, &s, &err) == TB_EINVAL);
    CHECK_STR(err.message, "steps / denoise must be 1..1000, got 1001");
    tb_err_clear(&err);
    CHECK(tb_schedule_make_levels("simple", 5, 0, &s, &err) == TB_EINVAL);
    CHECK_STR(err.message, "shift must be above 0, got 0");
    tb_err_clear(&err);
    CHECK(tb_schedule_make_levels("uniform", 5, 3, &s, &err) == TB_EINVAL);
    CHECK_STR(err.message, "scheduler must be one of " TB_LEVELS ", got 'uniform'");
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(six_steps_at_shift_8),
        TEST_CASE(levels_fall),
        TEST_CASE(wrong_schedules_are_refused),
    };
    return tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
}
