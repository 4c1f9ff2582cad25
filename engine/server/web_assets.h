/* web_assets.h - the editor's files in the program: a table that the build writes
 * (scripts/embed_web.cmake).
 */
#pragma once

typedef struct tb_web_asset {
    const char *path, *mime;         /* "/app.js" */
    const char *etag;                /* of the plain file, without quotes */
    const unsigned char *gzip, *end; /* compressed */
} tb_web_asset;

/* Ends with { 0 }; empty in a build without the editor. */
extern const tb_web_asset tb_web_assets[];
