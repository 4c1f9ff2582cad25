/* wire.c - framed messages over a socket pair. */
#include "script/wire.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

#define HEADER_BYTES 5
#define POLL_MS      50 /* how soon a cancel is noticed */

void tbi_fds_close(tbi_fds *fds)
{
    for (int i = 0; i < fds->count; i++)
        close(fds->fd[i]);
    fds->count = 0;
}

static tb_status gone(tb_err *err)
{
    return tb_err_set(err, TB_EIO, "the Lua process has ended");
}

static tb_status wait_for(int sock, short events, const tbi_patience *p, tb_err *err)
{
    for (;;) {
        if (p->cancel && atomic_load(p->cancel))
            return tb_err_set(err, TB_ECANCELED, "the script was stopped");
        const double left = p->deadline > 0 ? p->deadline - tb_clock_seconds() : 1;
        if (left <= 0)
            return tb_err_set(err, TB_ELIMIT, "the script took too long");
        const int ms = p->cancel || left * 1000 < POLL_MS ? POLL_MS : (int)(left * 1000) + 1;
        struct pollfd pf = { .fd = sock, .events = events };
        const int n = poll(&pf, 1, p->deadline > 0 || p->cancel ? ms : -1);
        if (n > 0)
            return TB_OK;
        if (n < 0 && errno != EINTR)
            return tb_err_errno(err, errno, "cannot wait for the Lua process");
    }
}

/* ----------------------------------------------------------------------------------- sending */

static void attach(struct msghdr *m, const tbi_fds *fds, void *control, size_t size)
{
    if (!fds || fds->count == 0)
        return;
    const size_t bytes = (size_t)fds->count * sizeof(int);
    memset(control, 0, size);
    m->msg_control = control;
    m->msg_controllen = CMSG_SPACE(bytes);
    struct cmsghdr *c = CMSG_FIRSTHDR(m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(bytes);
    memcpy(CMSG_DATA(c), fds->fd, bytes);
}

static tb_status send_bytes(int sock, const char *p, size_t n, const tbi_fds *fds,
                            const tbi_patience *patience, tb_err *err)
{
    while (n) {
        _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * TBI_WIRE_MAX_FDS)];
        struct iovec iov = { .iov_base = (void *)(uintptr_t)p, .iov_len = n };
        struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
        attach(&m, fds, control, sizeof control);
        const ssize_t put = sendmsg(sock, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (put > 0) {
            fds = NULL;
            p += put;
            n -= (size_t)put;
        } else if (put < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            TB_TRY(wait_for(sock, POLLOUT, patience, err));
        } else if (put < 0 && errno != EINTR) {
            return gone(err);
        }
    }
    return TB_OK;
}

tb_status tbi_wire_send(int sock, const json_t *message, const tbi_fds *fds,
                        const tbi_patience *patience, tb_err *err)
{
    char *text = json_dumps(message, JSON_COMPACT | JSON_REAL_PRECISION(17));
    const size_t n = text ? strlen(text) : 0;
    if (!text || n > TBI_WIRE_MAX_BYTES) {
        free(text);
        return tb_err_set(err, TB_ELIMIT, "the graph is too large to be passed on: at most %u MiB",
                          TBI_WIRE_MAX_BYTES >> 20);
    }
    const uint8_t header[HEADER_BYTES] = { (uint8_t)n, (uint8_t)(n >> 8), (uint8_t)(n >> 16),
                                           (uint8_t)(n >> 24), (uint8_t)(fds ? fds->count : 0) };
    tb_status st = send_bytes(sock, (const char *)header, sizeof header, fds, patience, err);
    if (st == TB_OK)
        st = send_bytes(sock, text, n, NULL, patience, err);
    free(text);
    return st;
}

/* --------------------------------------------------------------------------------- receiving */

static void keep_fds(struct msghdr *m, tbi_fds *fds)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        const size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        const int *got = (const int *)(const void *)CMSG_DATA(c);
        for (size_t i = 0; i < n; i++) {
            if (fds->count < TBI_WIRE_MAX_FDS)
                fds->fd[fds->count++] = got[i];
            else
                close(got[i]);
        }
    }
}

static tb_status receive_bytes(int sock, char *p, size_t n, tbi_fds *fds,
                               const tbi_patience *patience, tb_err *err)
{
    while (n) {
        TB_TRY(wait_for(sock, POLLIN, patience, err));
        _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * TBI_WIRE_MAX_FDS)];
        struct iovec iov = { .iov_base = p, .iov_len = n };
        struct msghdr m = { .msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = control,
                            .msg_controllen = sizeof control };
        const ssize_t got = recvmsg(sock, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        if (got > 0) {
            keep_fds(&m, fds);
            p += got;
            n -= (size_t)got;
        } else if (got == 0 || (errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK)) {
            return gone(err);
        }
    }
    return TB_OK;
}

static json_t *receive_message(int sock, tbi_fds *fds, const tbi_patience *patience, tb_err *err)
{
    uint8_t h[HEADER_BYTES];
    if (receive_bytes(sock, (char *)h, sizeof h, fds, patience, err) != TB_OK)
        return NULL;
    const size_t n = (size_t)h[0] | (size_t)h[1] << 8 | (size_t)h[2] << 16 | (size_t)h[3] << 24;
    if (n > TBI_WIRE_MAX_BYTES || h[4] != fds->count) {
        tb_err_set(err, TB_EIO, "the Lua process sent a malformed message");
        return NULL;
    }
    char *text = malloc(n + 1);
    json_t *v = NULL;
    if (!text)
        tb_err_set(err, TB_ENOMEM, "no memory for a message of %zu bytes", n);
    else if (receive_bytes(sock, text, n, fds, patience, err) == TB_OK)
        v = tb_json_parse(text, n, "a message of the Lua process", err);
    free(text);
    return v;
}

json_t *tbi_wire_receive(int sock, tbi_fds *fds, const tbi_patience *patience, tb_err *err)
{
    fds->count = 0;
    json_t *v = receive_message(sock, fds, patience, err);
    if (!v)
        tbi_fds_close(fds);
    return v;
}
