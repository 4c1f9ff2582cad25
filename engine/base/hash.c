/* hash.c - SHA-256 keys and XXH3-128 digests. */
#include "base/hash.h"

#include <string.h>
#include <xxhash.h>

void tb_hasher_init(tb_hasher *h)
{
    sha256_init(&h->ctx);
}

void tb_hasher_u64(tb_hasher *h, uint64_t v)
{
    uint8_t le[8];
    for (int i = 0; i < 8; i++)
        le[i] = (uint8_t)(v >> (8 * i));
    sha256_update(&h->ctx, sizeof le, le);
}

void tb_hasher_bytes(tb_hasher *h, const void *p, size_t n)
{
    tb_hasher_u64(h, n);
    if (n)
        sha256_update(&h->ctx, n, p);
}

void tb_hasher_str(tb_hasher *h, const char *s)
{
    tb_hasher_bytes(h, s, strlen(s));
}

tb_key tb_hasher_done(tb_hasher *h)
{
    tb_key k;
    sha256_digest(&h->ctx, sizeof k.b, k.b);
    return k;
}

bool tb_key_eq(const tb_key *a, const tb_key *b)
{
    return memcmp(a->b, b->b, sizeof a->b) == 0;
}

static char *to_hex(const uint8_t *b, size_t n, char *out)
{
    static const char digit[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digit[b[i] >> 4];
        out[2 * i + 1] = digit[b[i] & 15];
    }
    out[2 * n] = 0;
    return out;
}

static int nibble(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

static bool from_hex(const char *hex, uint8_t *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const int hi = nibble(hex[2 * i]), lo = hi < 0 ? -1 : nibble(hex[2 * i + 1]);
        if (lo < 0)
            return false;
        b[i] = (uint8_t)(hi << 4 | lo);
    }
    return hex[2 * n] == 0;
}

char *tb_key_hex(const tb_key *k, char out[TB_KEY_HEX])
{
    return to_hex(k->b, sizeof k->b, out);
}

bool tb_key_parse(tb_key *k, const char *hex64)
{
    return from_hex(hex64, k->b, sizeof k->b);
}

tb_digest tb_digest_of(const void *p, size_t n)
{
    XXH128_canonical_t c;
    XXH128_canonicalFromHash(&c, XXH3_128bits(p, n));
    tb_digest d;
    memcpy(d.b, c.digest, sizeof d.b);
    return d;
}

bool tb_digest_eq(const tb_digest *a, const tb_digest *b)
{
    return memcmp(a->b, b->b, sizeof a->b) == 0;
}

char *tb_digest_hex(const tb_digest *d, char out[TB_DIGEST_HEX])
{
    return to_hex(d->b, sizeof d->b, out);
}

bool tb_digest_parse(tb_digest *d, const char *hex32)
{
    return from_hex(hex32, d->b, sizeof d->b);
}
