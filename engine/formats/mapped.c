/* mapped.c - a file mapped read-only, kept while anything points into it. */
#include "formats/mapped.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/guard.h"
#include "base/mem.h"

void tbi_mapped_unref(void *owner)
{
    tbi_mapped *m = owner;
    if (!m || atomic_fetch_sub(&m->refs, 1) != 1)
        return;
    tb_guard_drop(m->base);
    if (m->size)
        munmap((void *)(uintptr_t)m->base, m->size);
    free(m);
}

static tbi_mapped *map_fd(int fd, const char *path, tb_err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        tb_err_errno(err, errno, "cannot read '%s'", path);
        return NULL;
    }
    if (!S_ISREG(st.st_mode)) {
        tb_err_set(err, TB_EINVAL, "'%s' is not a regular file", path);
        return NULL;
    }
    void *base = NULL;
    if (st.st_size > 0)
        base = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (base == MAP_FAILED) {
        tb_err_errno(err, errno, "cannot map '%s' into memory", path);
        return NULL;
    }
    tbi_mapped *m = tb_xcalloc(1, sizeof *m);
    atomic_init(&m->refs, 1);
    m->base = base;
    m->size = (size_t)st.st_size;
    tb_guard_watch(m->base, m->size, path);
    return m;
}

tbi_mapped *tbi_mapped_open(const char *path, tb_err *err)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        tb_err_errno(err, errno, "cannot open '%s'", path);
        return NULL;
    }
    tbi_mapped *m = map_fd(fd, path, err);
    close(fd);
    return m;
}

tb_tensor *tbi_mapped_tensor(tbi_mapped *m, size_t at, tb_dtype dtype, const tb_shape *shape,
                             tb_err *err)
{
    const uint8_t *data = m->base + at;
    const size_t align = tb_dtype_block(dtype) == 1 ? tb_dtype_size(dtype) : 1;
    tb_tensor *t;
    if ((uintptr_t)data % align == 0) {
        atomic_fetch_add(&m->refs, 1);
        t = tb_tensor_wrap(dtype, shape, data, tbi_mapped_unref, m, err);
        if (t)
            tb_tensor_set_mapped(t);
        else
            tbi_mapped_unref(m);
    } else {
        t = tb_tensor_new(dtype, shape, err);
        if (t)
            memcpy(tb_tensor_data_mut(t), data, tb_tensor_bytes(t));
    }
    assert(!t || (at <= m->size && tb_tensor_bytes(t) <= m->size - at));
    return t;
}
