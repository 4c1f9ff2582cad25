/* models_scan.h - one file read whole: is its structure sound, are its numbers finite, what is its
 * hash? For models/ only.
 *
 * The hash is made in a thread of its own beside the pool that looks at the numbers, so that the
 * file comes from the disk once. Mapped pages are given back behind the reader.
 */
#pragma once

#include <pthread.h>

#include "models/models.h"

typedef struct tbi_scan {
    tb_compute *c;
    float *blocks; /* one for each thread of c */
    const tb_model_watch *watch;
    pthread_mutex_t lock; /* of the three below, and of calling watch */
    const char *file;
    int64_t done, total;
} tbi_scan;

/* total: bytes that all files together will have read, for the watch; NULL: nobody watches. */
tb_status tbi_scan_init(tbi_scan *s, const tb_model_watch *watch, int64_t total, tb_err *err);
void tbi_scan_fini(tbi_scan *s);
/* A text for JSON; of one that is not valid UTF-8, what is not ASCII becomes '?'. New reference. */
json_t *tbi_scan_text(const char *text);
/* Fills "tensors", "error", "bad", "zero" and "sha256" of tb_model_verify's row. names: an object
 * that gets the name of every tensor; NULL: not wanted. weights: false for other files, whose
 * numbers are not looked at. An error is that of hashing: the file cannot be read. */
tb_status tbi_scan_file(tbi_scan *s, const char *file, bool weights, json_t *row, json_t *names,
                        tb_err *err);
