/* err.c - status codes, messages and the sentence a user reads. */
#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct {
    int exit_code;
    const char *name;
} status_tab[] = {
#define X(code, exit_code, name, text) [code] = { exit_code, name },
    TB_STATUS_LIST(X)
#undef X
};

/* One line that no terminal obeys: names and texts in a message come from anywhere. */
static void make_plain(char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            *s = ' ';
}

tb_status tb_err_setv(tb_err *err, tb_status status, const char *fmt, va_list ap)
{
    if (!err || err->status != TB_OK)
        return status;
    err->status = status;
    vsnprintf(err->message, sizeof err->message, fmt, ap);
    make_plain(err->message);
    return status;
}

tb_status tb_err_set(tb_err *err, tb_status status, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    tb_err_setv(err, status, fmt, ap);
    va_end(ap);
    return status;
}

tb_status tb_err_errno(tb_err *err, int errnum, const char *fmt, ...)
{
    const tb_status status = errnum == ENOSPC || errnum == EDQUOT ? TB_EFULL
                             : errnum == EFBIG                    ? TB_ELIMIT
                             : errnum == ENOENT                   ? TB_ENOTFOUND
                                                                  : TB_EIO;
    char text[600];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return tb_err_set(err, status, "%s: %s", text, strerror(errnum));
}

void tb_err_prefix(tb_err *err, const char *fmt, ...)
{
    if (!err || err->status == TB_OK)
        return;
    char text[sizeof err->message];
    va_list ap;
    va_start(ap, fmt);
    const int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof text)
        snprintf(text + n, sizeof text - (size_t)n, "%s", err->message);
    memcpy(err->message, text, sizeof text);
    make_plain(err->message);
}

static void fill(char *dst, size_t n, const char *src)
{
    if (src && !*dst) {
        snprintf(dst, n, "%s", src);
        make_plain(dst);
    }
}

void tb_err_where(tb_err *err, const char *node, const char *input, const char *origin)
{
    if (!err)
        return;
    fill(err->node, sizeof err->node, node);
    fill(err->input, sizeof err->input, input);
    fill(err->origin, sizeof err->origin, origin);
}

void tb_err_reason(tb_err *err, const char *reason)
{
    if (err && err->status != TB_OK && !err->reason)
        err->reason = reason;
}

char *tb_err_text(const tb_err *err, const char *type, char *buf, unsigned long n)
{
    char node[300] = "";
    if (*err->node && type)
        snprintf(node, sizeof node, "node '%s' (%s): ", err->node, type);
    else if (*err->node)
        snprintf(node, sizeof node, "node '%s': ", err->node);
    snprintf(buf, n, "%s%s%s%s", err->origin, *err->origin ? ": " : "", node, err->message);
    return buf;
}

void tb_err_clear(tb_err *err)
{
    if (err)
        *err = TB_ERR_INIT;
}

int tb_status_exit_code(tb_status status)
{
    return status_tab[status].exit_code;
}

const char *tb_status_name(tb_status status)
{
    return status_tab[status].name;
}
