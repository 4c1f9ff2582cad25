/* web_file.c - files as answers: type, ETag, one byte range (RFC 9110 chapter 14). */
#include "server/web_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"

static const struct {
    const char *extension, *mime;
} types[] = {
    { "mp4", "video/mp4" },
    { "m4v", "video/mp4" },
    { "webm", "video/webm" },
    { "mkv", "video/x-matroska" },
    { "mov", "video/quicktime" },
    { "png", "image/png" },
    { "apng", "image/apng" },
    { "jpg", "image/jpeg" },
    { "jpeg", "image/jpeg" },
    { "webp", "image/webp" },
    { "gif", "image/gif" },
    { "bmp", "image/bmp" },
    { "avif", "image/avif" },
    { "wav", "audio/wav" },
    { "mp3", "audio/mpeg" },
    { "flac", "audio/flac" },
    { "ogg", "audio/ogg" },
    { "json", "application/json; charset=utf-8" },
    { "txt", "text/plain; charset=utf-8" },
    { "lua", "text/plain; charset=utf-8" },
    { "md", "text/plain; charset=utf-8" },
};

/* What a browser could run as a page of ours is not among them. */
const char *tbs_web_mime(const char *path)
{
    const char *extension = tb_fs_extension(path);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcasecmp(types[i].extension, extension) == 0)
            return types[i].mime;
    return "application/octet-stream";
}

/* If-None-Match: a list of tags, weak or strong, or "*". */
bool tbs_web_etag_matches(const char *header, const char *quoted)
{
    if (!header)
        return false;
    const size_t n = strlen(quoted);
    for (const char *p = header; *p;) {
        p += strspn(p, ", \t");
        if (*p == '*')
            return true;
        if (strncmp(p, "W/", 2) == 0)
            p += 2;
        if (strncmp(p, quoted, n) == 0 && (!p[n] || strchr(", \t", p[n])))
            return true;
        p += strcspn(p, ",");
    }
    return false;
}

typedef enum range_kind { RANGE_NONE, RANGE_PART, RANGE_OUTSIDE } range_kind;

static bool digits(const char **p, uint64_t *v)
{
    const char *start = *p;
    *v = 0;
    for (; **p >= '0' && **p <= '9'; (*p)++) {
        if (*v > UINT64_MAX / 10 - 1)
            return false;
        *v = *v * 10 + (uint64_t)(**p - '0');
    }
    return *p > start;
}

/* "bytes=a-b", "bytes=a-", "bytes=-n". Anything else, several ranges too, is as if not sent. */
static range_kind parse_range(const char *header, uint64_t size, uint64_t *first, uint64_t *last)
{
    uint64_t a, b;
    if (!header || strncasecmp(header, "bytes=", 6) != 0)
        return RANGE_NONE;
    const char *p = header + 6;
    if (*p == '-') {
        p++;
        if (!digits(&p, &a) || *p)
            return RANGE_NONE;
        if (!a || !size)
            return RANGE_OUTSIDE;
        *first = a < size ? size - a : 0;
        *last = size - 1;
        return RANGE_PART;
    }
    if (!digits(&p, &a) || *p++ != '-')
        return RANGE_NONE;
    if (*p ? !digits(&p, &b) || *p || b < a : (b = UINT64_MAX, false))
        return RANGE_NONE;
    if (a >= size)
        return RANGE_OUTSIDE;
    *first = a;
    *last = b < size ? b : size - 1;
    return RANGE_PART;
}

/* filename="..." with what breaks a quoted string replaced; the exact name as RFC 8187 beside. */
void tb_reply_name(tb_request *q, const char *name)
{
    tb_str b = TB_STR_INIT;
    bool plain = true;
    tb_str_add(&b, "filename=\"");
    for (const char *p = name; *p; p++) {
        const bool safe = *p >= ' ' && *p < 127 && *p != '"' && *p != '\\';
        plain = plain && safe;
        tb_str_addn(&b, safe ? p : "_", 1);
    }
    tb_str_add(&b, "\"");
    if (!plain)
        tb_str_add(&b, "; filename*=UTF-8''");
    for (const char *p = name; !plain && *p; p++) {
        if (strchr("!#$&+-.^_`|~", *p) || (*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') ||
            (*p >= 'A' && *p <= 'Z'))
            tb_str_addn(&b, p, 1);
        else
            tb_str_addf(&b, "%%%02X", (unsigned char)*p);
    }
    tb_reply_header(q, "Content-Disposition", b.s);
    tb_str_free(&b);
}

static void send_range(tb_request *q, const char *mime, uint64_t size, const char *etag)
{
    web_answer *a = &q->answer;
    const char *if_range = q->ask.headers[WEB_IF_RANGE];
    const char *header = q->ask.headers[WEB_RANGE];
    char text[96];
    uint64_t first = 0, last = size ? size - 1 : 0;
    if (if_range && strcmp(if_range, etag) != 0)
        header = NULL;
    const range_kind kind = parse_range(header, size, &first, &last);
    if (kind == RANGE_OUTSIDE) {
        snprintf(text, sizeof text, "bytes */%llu", (unsigned long long)size);
        tb_reply_header(q, "Content-Range", text);
        tbs_web_reply_start(q, 416, NULL, 0);
        return;
    }
    const uint64_t n = size ? last - first + 1 : 0;
    if (kind == RANGE_PART) {
        snprintf(text, sizeof text, "bytes %llu-%llu/%llu", (unsigned long long)first,
                 (unsigned long long)last, (unsigned long long)size);
        tb_reply_header(q, "Content-Range", text);
    }
    a->at = first;
    a->left = q->head ? 0 : n;
    tbs_web_reply_start(q, kind == RANGE_PART ? 206 : 200, mime, n);
}

static void send_file(tb_request *q, int fd, uint64_t size, const char *etag, const char *mime)
{
    q->answer.fd = fd;
    tb_reply_header(q, "ETag", etag);
    tb_reply_header(q, "Accept-Ranges", "bytes");
    if (tbs_web_etag_matches(q->ask.headers[WEB_IF_NONE_MATCH], etag))
        tbs_web_reply_start(q, 304, NULL, 0);
    else
        send_range(q, mime, size, etag);
}

void tb_reply_fd_take(tb_request *q, int fd, const char *etag, const char *name)
{
    struct stat st;
    tb_err err = TB_ERR_INIT;
    if (fstat(fd, &st) != 0) {
        tb_err_errno(&err, errno, "cannot read the file");
        close(fd);
        tb_reply_error(q, &err);
        return;
    }
    tb_reply_name(q, name);
    send_file(q, fd, (uint64_t)st.st_size, etag, tbs_web_mime(name));
}

void tb_reply_file(tb_request *q, const char *path, const char *mime, const char *name)
{
    struct stat st;
    char etag[64];
    tb_err err = TB_ERR_INIT;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        tb_err_errno(&err, fd < 0 ? errno : ENOENT, "cannot read the file");
        if (fd >= 0)
            close(fd);
        tb_reply_error(q, &err);
        return;
    }
    snprintf(etag, sizeof etag, "\"%llx-%llx%09lx\"", (unsigned long long)st.st_size,
             (unsigned long long)st.st_mtim.tv_sec, (unsigned long)st.st_mtim.tv_nsec);
    if (name)
        tb_reply_name(q, name);
    send_file(q, fd, (uint64_t)st.st_size, etag, mime ? mime : tbs_web_mime(path));
}
