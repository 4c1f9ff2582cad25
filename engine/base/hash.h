/* hash.h - names for content.
 *
 * tb_key:    SHA-256 of a node's canonical ingredients (FIPS 180-4, through libnettle).
 * tb_digest: XXH3-128 of bulk bytes: blobs and model files (libxxhash).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <nettle/sha2.h>

typedef struct tb_key {
    uint8_t b[32];
} tb_key;

typedef struct tb_digest {
    uint8_t b[16]; /* big-endian canonical form */
} tb_digest;

typedef struct tb_hasher {
    struct sha256_ctx ctx;
} tb_hasher;

void tb_hasher_init(tb_hasher *h);
/* Every field is length-prefixed, so ("ab","c") and ("a","bc") differ. */
void tb_hasher_bytes(tb_hasher *h, const void *p, size_t n);
void tb_hasher_str(tb_hasher *h, const char *s);
void tb_hasher_u64(tb_hasher *h, uint64_t v);
tb_key tb_hasher_done(tb_hasher *h);

bool tb_key_eq(const tb_key *a, const tb_key *b);
#define TB_KEY_HEX 65
char *tb_key_hex(const tb_key *k, char out[TB_KEY_HEX]);
bool tb_key_parse(tb_key *k, const char *hex64); /* false unless exactly 64 hex digits */

tb_digest tb_digest_of(const void *p, size_t n);
bool tb_digest_eq(const tb_digest *a, const tb_digest *b);
#define TB_DIGEST_HEX 33
char *tb_digest_hex(const tb_digest *d, char out[TB_DIGEST_HEX]);
bool tb_digest_parse(tb_digest *d, const char *hex32);
