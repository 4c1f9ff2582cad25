/* file_hash.h - the names by which others know the content of a file.
 *
 * SHA-256: sha256sum, Git LFS. Git's blob id: SHA-1 of "blob SIZE\0" and the content (Pro
 * Git, 10.2).
 *
 * Threads: any.
 */
#pragma once

#include <stddef.h>

#include "base/err.h"

typedef enum tb_file_hash_kind { TB_FILE_SHA256, TB_FILE_GIT_BLOB } tb_file_hash_kind;

enum { TB_FILE_HEX = 65 }; /* 64 or 40 digits and the 0 */

/* The hash in lower-case hex, read in blocks; progress(ctx, bytes) is called behind each, NULL: no.
 */
tb_status tb_file_hash(const char *path, tb_file_hash_kind kind, char hex[TB_FILE_HEX],
                       void (*progress)(void *ctx, size_t bytes), void *ctx, tb_err *err);
