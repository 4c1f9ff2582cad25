/* models_records.h - what others have written down about the content of a file. For models/ only.
 *
 * Looked for, in this order:
 *   - the name of the blob that a link of Hugging Face's cache leads to (snapshots/X/FILE ->
 *     ../../blobs/HASH)
 *   - .cache/huggingface/download/FILE.metadata in a folder above, which a download to a folder
 *     leaves: commit, ETag, time, a line each
 *   - SHA256SUMS in the file's folder or one above, lines of sha256sum
 *   - FILE.sha256 beside the file
 * 64 hex digits are the SHA-256, 40 are Git's blob id (base/file_hash.h).
 */
#pragma once

#include "base/file_hash.h"

typedef struct tbi_record {
    char *from; /* owned: the link or file that says so */
    char hash[TB_FILE_HEX];
} tbi_record;

/* *records becomes an array of *count; tbi_records_free frees it. */
void tbi_records_find(const char *file, tbi_record **records, int *count);
void tbi_records_free(tbi_record **records, int count);
