/* web_form.c - multipart/form-data (RFC 7578) as it arrives: fields to memory, files to temporary
 * files.
 *
 * `pending` holds what is not understood yet: at most one delimiter's length of a part's content,
 * or the headers of one part. It starts with the CRLF that the first delimiter may lack, so that
 * all delimiters look alike.
 */
#include "server/web_internal.h"

#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/mem.h"

enum { MAX_BOUNDARY = 200, MAX_PART_HEADERS = 8192 };

typedef enum form_state {
    FORM_CONTENT,   /* of a part, or what comes before the first */
    FORM_DELIMITER, /* just behind "\r\n--boundary" */
    FORM_HEADERS,
    FORM_DONE,
} form_state;

struct web_form {
    char *dir, *delimiter;
    size_t delimiter_n;
    form_state state;
    tb_str pending;
    tb_part parts[WEB_MAX_PARTS];
    int count;
    tb_part *part; /* being read; NULL: before the first */
    tb_str value;  /* of a field */
    int fd;        /* of a file; -1: none */
};

/* The value of `name=` in a header, unquoted; a new string, or NULL. */
static char *parameter(const char *header, const char *name)
{
    const size_t n = strlen(name);
    for (const char *p = strchr(header, ';'); p; p = strchr(p, ';')) {
        p += 1 + strspn(p + 1, " \t");
        if (strncasecmp(p, name, n) != 0 || p[n] != '=')
            continue;
        p += n + 1;
        if (*p != '"')
            return tb_xstrndup(p, strcspn(p, "; \t\r\n"));
        tb_str b = TB_STR_INIT;
        tb_str_add(&b, "");
        for (p++; *p && *p != '"' && *p != '\r' && *p != '\n'; p++) {
            if (*p == '\\' && (p[1] == '"' || p[1] == '\\'))
                p++;
            tb_str_addn(&b, p, 1);
        }
        return tb_str_take(&b);
    }
    return NULL;
}

web_form *tbs_web_form_new(const char *content_type, const char *temp_dir, tb_err *err)
{
    static const char type[] = "multipart/form-data";
    char *boundary = NULL;
    if (content_type && strncasecmp(content_type, type, sizeof type - 1) == 0)
        boundary = parameter(content_type, "boundary");
    if (!boundary || !*boundary || strlen(boundary) > MAX_BOUNDARY) {
        free(boundary);
        tb_err_set(err, TB_EINVAL, "the body has to be multipart/form-data with a boundary, got %s",
                   content_type ? content_type : "no Content-Type");
        return NULL;
    }
    web_form *f = tb_xcalloc(1, sizeof *f);
    f->dir = tb_xstrdup(temp_dir);
    f->delimiter = tb_xasprintf("\r\n--%s", boundary);
    f->delimiter_n = strlen(f->delimiter);
    f->fd = -1;
    tb_str_add(&f->pending, "\r\n");
    free(boundary);
    return f;
}

static void consume(web_form *f, size_t n)
{
    f->pending.len -= n;
    memmove(f->pending.s, f->pending.s + n, f->pending.len);
    f->pending.s[f->pending.len] = 0;
}

static tb_status content(web_form *f, const char *p, size_t n, tb_err *err)
{
    if (!f->part || !n)
        return TB_OK;
    f->part->bytes += n;
    if (f->fd >= 0)
        return tbs_web_write_all(f->fd, p, n, err);
    if (f->value.len + n > WEB_MAX_FIELD)
        return tb_err_set(err, TB_ELIMIT, "the field '%s' holds more than %d bytes", f->part->name,
                          WEB_MAX_FIELD);
    tb_str_addn(&f->value, p, n);
    return TB_OK;
}

static void finish_part(web_form *f)
{
    if (!f->part)
        return;
    if (f->fd >= 0)
        close(f->fd);
    else
        f->part->value = tb_str_take(&f->value);
    f->fd = -1;
    f->part = NULL;
}

/* Gives what surely is content, keeps what may be the start of a delimiter. false: needs more. */
static bool step_content(web_form *f, tb_err *err)
{
    const char *hit = memmem(f->pending.s, f->pending.len, f->delimiter, f->delimiter_n);
    if (hit) {
        const size_t n = (size_t)(hit - f->pending.s);
        content(f, f->pending.s, n, err);
        consume(f, n + f->delimiter_n);
        finish_part(f);
        f->state = FORM_DELIMITER;
        return true;
    }
    if (f->pending.len >= f->delimiter_n) {
        const size_t n = f->pending.len - f->delimiter_n + 1;
        content(f, f->pending.s, n, err);
        consume(f, n);
    }
    return false;
}

static bool step_delimiter(web_form *f, tb_err *err)
{
    const size_t blanks = f->pending.len ? strspn(f->pending.s, " \t") : 0;
    if (f->pending.len < blanks + 2) {
        if (f->pending.len > MAX_PART_HEADERS)
            tb_err_set(err, TB_EFORMAT, "the form has a delimiter without end");
        return false;
    }
    const char *p = f->pending.s + blanks;
    if (memcmp(p, "--", 2) == 0)
        f->state = FORM_DONE;
    else if (memcmp(p, "\r\n", 2) == 0)
        f->state = FORM_HEADERS;
    else
        tb_err_set(err, TB_EFORMAT, "the form has a delimiter that is followed by other text");
    /* The line end stays: it may be that of empty headers. */
    consume(f, f->state == FORM_HEADERS ? blanks : blanks + 2);
    return true;
}

/* A client's name for a file is shown and reused: no path, nothing that is not text. */
static tb_status check_filename(const char *name, tb_err *err)
{
    if (strlen(name) > 255)
        return tb_err_set(err, TB_EINVAL, "a file name has more than 255 bytes");
    if (!tbs_web_is_utf8(name))
        return tb_err_set(err, TB_EINVAL, "a file name is not UTF-8");
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return tb_err_set(err, TB_EINVAL, "'%s' is no name for a file", name);
    for (const char *p = name; *p; p++)
        if (*p == '/' || *p == '\\' || (unsigned char)*p < ' ' || *p == 127)
            return tb_err_set(err, TB_EINVAL,
                              "the file name '%s' has a slash or a control character", name);
    return TB_OK;
}

static const char *disposition(const char *headers)
{
    static const char name[] = "\r\nContent-Disposition:";
    const char *p = strcasestr(headers, name);
    return p ? p + sizeof name - 1 : NULL;
}

static tb_status begin_part(web_form *f, char *headers, tb_err *err)
{
    const char *d = disposition(headers);
    char *line = tb_xstrndup(d ? d : "", d ? strcspn(d, "\r\n") : 0);
    char *name = parameter(line, "name"), *filename = parameter(line, "filename"), *path = NULL;
    free(line);
    if (!name)
        tb_err_set(err, TB_EFORMAT, "a part of the form has no name");
    else if (f->count == WEB_MAX_PARTS)
        tb_err_set(err, TB_ELIMIT, "the form has more than %d parts", WEB_MAX_PARTS);
    else if (filename && *filename && check_filename(filename, err) == TB_OK)
        f->fd = tbs_web_temp_file(f->dir, &path, err);
    if (err->status != TB_OK) {
        free(name);
        free(filename);
        return err->status;
    }
    f->part = &f->parts[f->count++];
    *f->part = (tb_part){ .name = name, .filename = filename, .path = path };
    tb_str_clear(&f->value);
    tb_str_add(&f->value, "");
    return TB_OK;
}

static bool step_headers(web_form *f, tb_err *err)
{
    char *end = memmem(f->pending.s, f->pending.len, "\r\n\r\n", 4);
    if (!end) {
        if (f->pending.len > MAX_PART_HEADERS)
            tb_err_set(err, TB_ELIMIT, "a part of the form has more than %d bytes of headers",
                       MAX_PART_HEADERS);
        return false;
    }
    *end = 0;
    begin_part(f, f->pending.s, err);
    consume(f, (size_t)(end - f->pending.s) + 4);
    f->state = FORM_CONTENT;
    return true;
}

tb_status tbs_web_form_add(web_form *f, const char *data, size_t n, tb_err *err)
{
    bool more = true;
    tb_str_addn(&f->pending, data, n);
    while (more && err->status == TB_OK) {
        switch (f->state) {
        case FORM_CONTENT: more = step_content(f, err); break;
        case FORM_DELIMITER: more = step_delimiter(f, err); break;
        case FORM_HEADERS: more = step_headers(f, err); break;
        case FORM_DONE:
            tb_str_clear(&f->pending);
            more = false;
            break;
        }
    }
    return err->status;
}

tb_status tbs_web_form_end(web_form *f, tb_err *err)
{
    if (f->state != FORM_DONE)
        return tb_err_set(err, TB_EFORMAT, "the form ends before its last delimiter");
    return TB_OK;
}

const tb_part *tbs_web_form_part(const web_form *f, const char *name)
{
    for (int i = 0; i < f->count; i++)
        if (strcmp(f->parts[i].name, name) == 0)
            return &f->parts[i];
    return NULL;
}

void tbs_web_form_free(web_form **fp)
{
    web_form *f = *fp;
    *fp = NULL;
    if (!f)
        return;
    if (f->fd >= 0)
        close(f->fd);
    for (int i = 0; i < f->count; i++) {
        tb_part *p = &f->parts[i];
        if (p->path)
            unlink(p->path);
        free((char *)(uintptr_t)p->name);
        free((char *)(uintptr_t)p->value);
        free((char *)(uintptr_t)p->filename);
        free((char *)(uintptr_t)p->path);
    }
    tb_str_free(&f->pending);
    tb_str_free(&f->value);
    free(f->dir);
    free(f->delimiter);
    free(f);
}
