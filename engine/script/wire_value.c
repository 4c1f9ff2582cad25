/* wire_value.c - values between the processes; tensors as sealed memory files.
 *
 * A memory file is sealed against writing and resizing before it is sent, and the receiver insists
 * on it: without the seals the other end could shrink the file under our mapping (SIGBUS) or change
 * the bytes of a published tensor.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "script/wire.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static tb_status write_all(int fd, const char *p, size_t n, tb_err *err)
{
    while (n) {
        const ssize_t put = write(fd, p, n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return tb_err_errno(err, errno, "cannot share %zu bytes of a tensor", n);
        p += put;
        n -= (size_t)put;
    }
    return TB_OK;
}

static json_t *shape_to_json(const tb_shape *s)
{
    json_t *a = json_array();
    for (int i = 0; i < s->n; i++)
        json_array_append_new(a, json_integer(s->d[i]));
    return a;
}

static json_t *put_tensor(void *ctx, const tb_tensor *t, tb_err *err)
{
    tbi_fds *fds = ctx;
    if (fds->count == TBI_WIRE_MAX_FDS) {
        tb_err_set(err, TB_ELIMIT, "a Lua node can take and give at most %d tensors",
                   TBI_WIRE_MAX_FDS);
        return NULL;
    }
    const int fd = memfd_create("tubelet-tensor", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) {
        tb_err_errno(err, errno, "cannot share a tensor of %zu bytes", tb_tensor_bytes(t));
        return NULL;
    }
    if (write_all(fd, tb_tensor_data(t), tb_tensor_bytes(t), err) != TB_OK ||
        fcntl(fd, F_ADD_SEALS, SEALS) != 0) {
        tb_err_set(err, TB_EIO, "cannot seal a shared tensor");
        close(fd);
        return NULL;
    }
    fds->fd[fds->count] = fd;
    return json_pack("{siss*so}", "fd", fds->count++, "dtype", tb_dtype_name(tb_tensor_dtype(t)),
                     "shape", shape_to_json(tb_tensor_shape(t)));
}

json_t *tbi_wire_put_value(const tb_value *v, tbi_fds *fds, tb_err *err)
{
    return tb_value_to_json(v, put_tensor, fds, err);
}

typedef struct mapping {
    void *p;
    size_t n;
} mapping;

static void unmap(void *owner)
{
    mapping *m = owner;
    munmap(m->p, m->n);
    free(m);
}

static bool shape_from_json(const json_t *a, tb_shape *s)
{
    if (!json_is_array(a) || json_array_size(a) > TB_MAX_DIMS)
        return false;
    s->n = (int)json_array_size(a);
    for (int i = 0; i < s->n; i++)
        s->d[i] = json_integer_value(json_array_get(a, (size_t)i));
    return tb_shape_count(s) >= 0;
}

static bool sealed_with(int fd, size_t bytes)
{
    struct stat st;
    const int seals = fcntl(fd, F_GET_SEALS);
    return seals >= 0 && (seals & SEALS) == SEALS && fstat(fd, &st) == 0 &&
           st.st_size == (off_t)bytes;
}

static tb_tensor *get_tensor(void *ctx, const json_t *ref, tb_err *err)
{
    const tbi_fds *fds = ctx;
    const json_int_t at = json_integer_value(json_object_get(ref, "fd"));
    const char *name = json_string_value(json_object_get(ref, "dtype"));
    const int dtype = name ? tb_dtype_parse(name) : -1;
    tb_shape shape = { 0 };
    size_t bytes = 0;
    if (dtype < 0 || at < 0 || at >= fds->count ||
        !shape_from_json(json_object_get(ref, "shape"), &shape) ||
        !tb_mul_size((size_t)tb_shape_count(&shape), tb_dtype_size((tb_dtype)dtype), &bytes) ||
        !sealed_with(fds->fd[at], bytes)) {
        tb_err_set(err, TB_EFORMAT, "the Lua process sent a malformed tensor");
        return NULL;
    }
    if (bytes == 0)
        return tb_tensor_new((tb_dtype)dtype, &shape, err);
    void *p = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fds->fd[at], 0);
    if (p == MAP_FAILED) {
        tb_err_errno(err, errno, "cannot map a tensor of %zu bytes", bytes);
        return NULL;
    }
    mapping *m = tb_xcalloc(1, sizeof *m);
    *m = (mapping){ .p = p, .n = bytes };
    tb_tensor *t = tb_tensor_wrap((tb_dtype)dtype, &shape, p, unmap, m, err);
    if (!t)
        unmap(m);
    return t;
}

tb_value *tbi_wire_get_value(const json_t *j, const tbi_fds *fds, tb_err *err)
{
    return tb_value_from_json(j, get_tensor, (void *)(uintptr_t)fds, err);
}
