/* media_bytes.h - integers in the byte orders of media files, read from bytes and appended to a
 * text. */
#pragma once

#include <stdint.h>

#include "base/str.h"

static inline uint32_t tbi_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline uint32_t tbi_le32(const uint8_t *p)
{
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static inline int tbi_be16(const uint8_t *p)
{
    return p[0] << 8 | p[1];
}

static inline int tbi_le16(const uint8_t *p)
{
    return p[1] << 8 | p[0];
}

/* The n lowest bytes of v, n <= 8. */
static inline void tbi_add_be(tb_str *b, uint64_t v, int n)
{
    for (int i = n - 1; i >= 0; i--) {
        const uint8_t byte = (uint8_t)(v >> 8 * i);
        tb_str_addn(b, &byte, 1);
    }
}

static inline void tbi_add_le(tb_str *b, uint64_t v, int n)
{
    for (int i = 0; i < n; i++) {
        const uint8_t byte = (uint8_t)(v >> 8 * i);
        tb_str_addn(b, &byte, 1);
    }
}

static inline void tbi_put_be(uint8_t *p, uint64_t v, int n)
{
    for (int i = 0; i < n; i++)
        p[i] = (uint8_t)(v >> 8 * (n - 1 - i));
}
