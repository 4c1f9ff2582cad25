/* web_bytes.c - the kernel's count of bytes. A file of its own: its tcp_info is Linux's, which the
 * C library's header (in uv.h) knows only the older half of. */
#include "server/web_bytes.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

uint64_t tbs_web_bytes_read(int fd)
{
    struct tcp_info before = { 0 }, after = { 0 };
    int waiting = 0;
    do { /* again when some arrived in between */
        socklen_t n = sizeof before, m = sizeof after;
        if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &before, &n) != 0 ||
            ioctl(fd, FIONREAD, &waiting) != 0 ||
            getsockopt(fd, IPPROTO_TCP, TCP_INFO, &after, &m) != 0)
            return 0;
    } while (before.tcpi_bytes_received != after.tcpi_bytes_received);
    return after.tcpi_bytes_received - (uint64_t)waiting;
}
