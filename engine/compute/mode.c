/* mode.c - the modes, their names and classes. */
#include "compute/mode.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "compute/compute_internal.h"
#include "compute/cpu/cpu.h"

static const char *const names[] = { [TB_MODE_F32] = "f32", [TB_MODE_INT8] = "int8" };
enum { MODES = sizeof names / sizeof *names };

static char classes[MODES][96];

static void make_classes(void)
{
    const tbi_kernels *k = tbi_cpu_kernels(NULL);
    for (int i = 0; i < MODES; i++)
        snprintf(classes[i], sizeof classes[i], "cpu-%s/%s/%d", names[i], k ? k->name : "none",
                 TBI_KERNELS_VERSION);
}

const char *tb_mode_class(tb_mode mode)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_classes);
    return classes[mode];
}

bool tb_mode_of_class(const char *text, tb_mode *mode)
{
    char head[32];
    for (int i = 0; text && i < MODES; i++) {
        snprintf(head, sizeof head, "cpu-%s/", names[i]);
        if (strncmp(text, head, strlen(head)) == 0) {
            *mode = (tb_mode)i;
            return true;
        }
    }
    return false;
}

const char *tb_mode_name(tb_mode mode)
{
    return names[mode];
}

const char *tb_compute_class(void)
{
    return tb_mode_class(TB_MODE_F32);
}

tb_status tb_mode_parse(const char *text, tb_mode *mode, tb_err *err)
{
    for (int i = 0; i < MODES; i++)
        if (strcmp(text && *text ? text : names[TB_MODE_F32], names[i]) == 0) {
            *mode = (tb_mode)i;
            return TB_OK;
        }
    return tb_err_set(err, TB_EINVAL, "compute must be f32 or int8, got '%s'", text);
}

void tb_compute_set_mode(tb_compute *c, tb_mode mode)
{
    c->mode = mode;
}

tb_mode tb_compute_mode(const tb_compute *c)
{
    return c->mode;
}

const char *tb_compute_int8_kernels(const tb_compute *c)
{
    return tbi_cpu_int8(c->k)->name;
}
