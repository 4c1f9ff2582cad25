/* blas.c - OPENBLAS_CORETYPE is read by the library's constructor, so it is set before dlopen. */
#include "compute/cpu/blas.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "compute/cpu/cpu.h"

static struct {
    pthread_once_t once;
    tbi_blas blas;
    tb_err err;
} lib = { .once = PTHREAD_ONCE_INIT };

void tbi_blas_prepare(void)
{
    const char *core = tbi_cpu_blas_core();
    if (*core)
        setenv("OPENBLAS_CORETYPE", core, 0);
    setenv("OPENBLAS_NUM_THREADS", "1", 1); /* the pool owns the cores */
}

/* dlsym gives an object pointer; ISO C has no cast from there to a function. */
static bool find(void *handle, const char *name, void *fn_out)
{
    void *at = dlsym(handle, name);
    memcpy(fn_out, &at, sizeof at);
    return at != NULL;
}

static void open_library(void)
{
    tbi_blas_prepare();
    const char *wanted = getenv("TUBELET_OPENBLAS"),
               *name = wanted && *wanted ? wanted : "libopenblas.so.0";
    void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        tb_err_set(&lib.err, TB_ENOTFOUND,
                   "OpenBLAS (%s) was not found; install it, on Debian and Ubuntu: apt install "
                   "libopenblas0-pthread",
                   name);
        return;
    }
    char *(*corename)(void) = NULL, *(*config)(void) = NULL;
    void (*set_threads)(int) = NULL;
    if (!find(handle, "cblas_sgemm", &lib.blas.sgemm) ||
        !find(handle, "openblas_get_corename", &corename) ||
        !find(handle, "openblas_get_config", &config) ||
        !find(handle, "openblas_set_num_threads", &set_threads)) {
        tb_err_set(&lib.err, TB_EFORMAT,
                   "%s lacks cblas_sgemm or the openblas_ functions; install the package "
                   "libopenblas0-pthread",
                   name);
        return;
    }
    set_threads(1);
    lib.blas.core = corename();
    lib.blas.config = config();
}

const tbi_blas *tbi_blas_open(tb_err *err)
{
    pthread_once(&lib.once, open_library);
    if (lib.err.status != TB_OK) {
        tb_err_set(err, lib.err.status, "%s", lib.err.message);
        return NULL;
    }
    return &lib.blas;
}
