/* web_body.c - where the body of a request goes: memory, one temporary file, a form, or nowhere. */
#include "server/web_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"

int tbs_web_temp_file(const char *dir, char **path, tb_err *err)
{
    *path = NULL;
    if (tb_fs_mkdirs(dir, err) != TB_OK)
        return -1;
    char *name = tb_xasprintf("%s/upload-XXXXXX", dir);
    const int fd = mkostemp(name, O_CLOEXEC);
    if (fd < 0) {
        tb_err_errno(err, errno, "cannot make a temporary file in %s", dir);
        free(name);
        return -1;
    }
    *path = name;
    return fd;
}

void tbs_web_body_begin(web_body *b, const tb_request *q, uint64_t length)
{
    const unsigned flags = q->route ? q->route->flags : 0;
    const char *dir = q->web->o.temp_dir ? q->web->o.temp_dir : "/tmp";
    b->length = length;
    b->started = tbs_web_now();
    if (!q->route || !q->route->body_cap)
        b->sink = WEB_DROP;
    else if (flags & TB_ROUTE_MULTIPART) {
        b->sink = WEB_FORM;
        b->form = tbs_web_form_new(q->ask.headers[WEB_CONTENT_TYPE], dir, &b->err);
    } else if (flags & TB_ROUTE_FILE) {
        b->sink = WEB_FILE;
        b->fd = tbs_web_temp_file(dir, &b->path, &b->err);
    } else {
        b->sink = WEB_MEMORY;
        tb_str_add(&b->bytes, "");
    }
}

tb_status tbs_web_write_all(int fd, const char *p, size_t n, tb_err *err)
{
    while (n) {
        const ssize_t k = write(fd, p, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return tb_err_errno(err, errno, "cannot write the upload");
        p += k;
        n -= (size_t)k;
    }
    return TB_OK;
}

void tbs_web_body_add(web_body *b, const void *data, size_t n)
{
    b->received += n;
    if (b->err.status != TB_OK)
        return;
    if (b->sink == WEB_MEMORY)
        tb_str_addn(&b->bytes, data, n);
    else if (b->sink == WEB_FILE)
        tbs_web_write_all(b->fd, data, n, &b->err);
    else if (b->sink == WEB_FORM)
        tbs_web_form_add(b->form, data, n, &b->err);
}

void tbs_web_body_end(web_body *b)
{
    if (b->fd >= 0)
        close(b->fd);
    b->fd = -1;
    if (b->sink == WEB_FORM && b->err.status == TB_OK)
        tbs_web_form_end(b->form, &b->err);
}

void tbs_web_body_free(web_body *b)
{
    if (b->fd >= 0)
        close(b->fd);
    if (b->path)
        unlink(b->path);
    free(b->path);
    tb_str_free(&b->bytes);
    tbs_web_form_free(&b->form);
    *b = (web_body){ .fd = -1 };
}
