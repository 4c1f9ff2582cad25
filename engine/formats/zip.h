/* zip.h - the directory of a zip file whose entries are stored as they are. For formats/ only.
 *
 * What torch.save writes: no compression, no encryption, zip64 where sizes ask for it. Names and
 * places come from the central directory; an entry's own header is only passed over. Checksums are
 * not computed: that would read the whole file.
 * Source: PKWARE's APPNOTE 6.3.10, sections 4.3 to 4.5.
 */
#pragma once

#include "base/map.h"
#include "formats/mapped.h"

typedef struct tbi_zip_entry {
    char *name;
    size_t at, size; /* of its bytes in the file; inside it */
} tbi_zip_entry;

typedef struct tbi_zip {
    tbi_zip_entry *entries;
    int count;
    size_t cap;
    tb_map *by_name; /* index of an entry */
} tbi_zip;

bool tbi_zip_is(const uint8_t *bytes, size_t n);
/* TB_EFORMAT with a sentence about `path`. *zip needs tbi_zip_fini in any case. */
tb_status tbi_zip_read(const tbi_mapped *m, const char *path, tbi_zip *zip, tb_err *err);
void tbi_zip_fini(tbi_zip *zip);
/* Borrowed; NULL: there is none of that name. */
const tbi_zip_entry *tbi_zip_find(const tbi_zip *zip, const char *name);
