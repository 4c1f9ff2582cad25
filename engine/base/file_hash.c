/* file_hash.c - files through SHA-256 and SHA-1, a block at a time. */
#include "base/file_hash.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha1.h>
#include <nettle/sha2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

enum { BLOCK = 1 << 20 };

typedef struct hashing {
    tb_file_hash_kind kind;
    struct sha256_ctx sha256;
    struct sha1_ctx sha1;
} hashing;

static void begin(hashing *h, tb_file_hash_kind kind, long long size)
{
    char head[40];
    h->kind = kind;
    sha256_init(&h->sha256);
    sha1_init(&h->sha1);
    if (kind == TB_FILE_GIT_BLOB) /* with the 0 behind the number */
        sha1_update(&h->sha1, (size_t)snprintf(head, sizeof head, "blob %lld", size) + 1,
                    (const uint8_t *)head);
}

static void add(hashing *h, const uint8_t *p, size_t n)
{
    if (h->kind == TB_FILE_SHA256)
        sha256_update(&h->sha256, n, p);
    else
        sha1_update(&h->sha1, n, p);
}

static void end(hashing *h, char hex[TB_FILE_HEX])
{
    uint8_t digest[SHA256_DIGEST_SIZE];
    const int n = h->kind == TB_FILE_SHA256 ? SHA256_DIGEST_SIZE : SHA1_DIGEST_SIZE;
    if (h->kind == TB_FILE_SHA256)
        sha256_digest(&h->sha256, SHA256_DIGEST_SIZE, digest);
    else
        sha1_digest(&h->sha1, SHA1_DIGEST_SIZE, digest);
    for (int i = 0; i < n; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

static tb_status read_all(int fd, const char *path, hashing *h,
                          void (*progress)(void *ctx, size_t bytes), void *ctx, tb_err *err)
{
    uint8_t *block = tb_xcalloc(BLOCK, 1);
    ssize_t n;
    while ((n = read(fd, block, BLOCK)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break;
        add(h, block, (size_t)n);
        if (progress)
            progress(ctx, (size_t)n);
    }
    const int e = errno;
    free(block);
    return n < 0 ? tb_err_errno(err, e, "cannot read '%s'", path) : TB_OK;
}

tb_status tb_file_hash(const char *path, tb_file_hash_kind kind, char hex[TB_FILE_HEX],
                       void (*progress)(void *ctx, size_t bytes), void *ctx, tb_err *err)
{
    struct stat st = { 0 };
    hashing h;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    hex[0] = 0;
    if (fd < 0 || fstat(fd, &st) != 0) {
        const int e = errno;
        if (fd >= 0)
            close(fd);
        return tb_err_errno(err, e, "cannot open '%s'", path);
    }
    begin(&h, kind, (long long)st.st_size);
    const tb_status status = read_all(fd, path, &h, progress, ctx, err);
    close(fd);
    if (status == TB_OK)
        end(&h, hex);
    return status;
}
