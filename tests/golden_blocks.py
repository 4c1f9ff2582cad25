"""Blocks of GGML's quantised kinds and what they mean, for test_weight_types.c.

    python3 tests/golden_blocks.py          # writes tests/golden/ggml_blocks.safetensors

Random bytes with sane scales, read by loops that walk the block as GGML's own row functions do: two
or four outputs for each byte, running pointers, scale tables unpacked first. The engine computes
every element from its index instead, so a slip in one is no slip in the other. float32 throughout.
"""

import json
import pathlib
import struct

import numpy as np

f32 = np.float32
LEVELS = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113]


def half(b, at):
    return f32(np.frombuffer(bytes(b[at:at + 2]), np.float16)[0])


def signed(byte):
    return byte - 256 if byte > 127 else byte


def q4(b, head, level):
    y = [f32(0)] * 32
    for j in range(16):
        y[j] = level(b[head + j] & 15)
        y[j + 16] = level(b[head + j] >> 4)
    return y


def q4_0(b):
    d = half(b, 0)
    return q4(b, 2, lambda q: d * f32(q - 8))


def q4_1(b):
    d, m = half(b, 0), half(b, 2)
    return q4(b, 4, lambda q: d * f32(q) + m)


def q5(b, head):
    qh = struct.unpack_from("<I", bytes(b), head)[0]
    y = [0] * 32
    for j in range(16):
        y[j] = (b[head + 4 + j] & 15) | ((qh >> j) << 4) & 16
        y[j + 16] = (b[head + 4 + j] >> 4) | (qh >> (j + 12)) & 16
    return y


def q5_0(b):
    d = half(b, 0)
    return [d * f32(q - 16) for q in q5(b, 2)]


def q5_1(b):
    d, m = half(b, 0), half(b, 2)
    return [d * f32(q) + m for q in q5(b, 4)]


def q8_0(b):
    d = half(b, 0)
    return [d * f32(signed(q)) for q in b[2:34]]


def iq4_nl(b):
    d = half(b, 0)
    return q4(b, 2, lambda q: d * f32(LEVELS[q]))


def q2_k(b):
    scales, q, d, dmin = b[0:16], b[16:80], half(b, 80), half(b, 82)
    y, at = [], 0
    for n in (0, 32):
        for shift in (0, 2, 4, 6):
            for part in (0, 16):
                dl, ml = d * f32(scales[at] & 15), dmin * f32(scales[at] >> 4)
                at += 1
                y += [dl * f32((q[n + part + l] >> shift) & 3) - ml for l in range(16)]
    return y


def q3_k(b):
    hmask, q, packed, d = b[0:32], b[32:96], b[96:108], half(b, 108)
    a0, a1, tmp = struct.unpack("<III", bytes(packed))
    k1, k2 = 0x03030303, 0x0F0F0F0F
    words = [a0 & k2 | (tmp & k1) << 4, a1 & k2 | (tmp >> 2 & k1) << 4,
             a0 >> 4 & k2 | (tmp >> 4 & k1) << 4, a1 >> 4 & k2 | (tmp >> 6 & k1) << 4]
    scales = struct.pack("<IIII", *words)
    y, at, bit = [], 0, 1
    for n in (0, 32):
        for shift in (0, 2, 4, 6):
            for part in (0, 16):
                dl = d * f32(scales[at] - 32)
                at += 1
                for l in range(part, part + 16):
                    y.append(dl * f32(((q[n + l] >> shift) & 3) - (0 if hmask[l] & bit else 4)))
            bit <<= 1
    return y


def scale_min_k4(j, q):
    if j < 4:
        return q[j] & 63, q[j + 4] & 63
    return (q[j + 4] & 0xF) | ((q[j - 4] >> 6) << 4), (q[j + 4] >> 4) | ((q[j] >> 6) << 4)


def k45(b, ql, qh):
    d, dmin, scales = half(b, 0), half(b, 2), b[4:16]
    y, at, u1, u2 = [], 0, 1, 2
    for n in range(0, 128, 32):
        for high, u in ((False, u1), (True, u2)):
            sc, m = scale_min_k4(at, scales)
            dl, ml = d * f32(sc), dmin * f32(m)
            at += 1
            for l in range(32):
                v = ql[n + l] >> 4 if high else ql[n + l] & 15
                y.append(dl * f32(v + (16 if qh is not None and qh[l] & u else 0)) - ml)
        u1, u2 = u1 << 2, u2 << 2
    return y


def q4_k(b):
    return k45(b, b[16:144], None)


def q5_k(b):
    return k45(b, b[48:176], b[16:48])


def q6_k(b):
    d, y = half(b, 208), [f32(0)] * 256
    for n in range(2):
        ql, qh, sc = b[64 * n:], b[128 + 32 * n:], b[192 + 8 * n:]
        for l in range(32):
            i = l // 16
            four = ((ql[l] & 15) | (qh[l] & 3) << 4, (ql[l + 32] & 15) | (qh[l] >> 2 & 3) << 4,
                    (ql[l] >> 4) | (qh[l] >> 4 & 3) << 4, (ql[l + 32] >> 4) | (qh[l] >> 6 & 3) << 4)
            for k, q in enumerate(four):
                y[128 * n + 32 * k + l] = d * f32(signed(sc[i + 2 * k])) * f32(q - 32)
    return y


def iq4_xs(b):
    d, high, low, q = half(b, 0), struct.unpack_from("<H", bytes(b), 2)[0], b[4:8], b[8:]
    y = []
    for ib in range(8):
        ls = (low[ib // 2] >> 4 * (ib % 2) & 15) | (high >> 2 * ib & 3) << 4
        dl, part = d * f32(ls - 32), q[16 * ib:16 * ib + 16]
        y += [dl * f32(LEVELS[v & 15]) for v in part] + [dl * f32(LEVELS[v >> 4]) for v in part]
    return y


# name: function, bytes of a block, where halves lie in it
KINDS = {
    "Q4_0": (q4_0, 18, [0]), "Q4_1": (q4_1, 20, [0, 2]), "Q5_0": (q5_0, 22, [0]),
    "Q5_1": (q5_1, 24, [0, 2]), "Q8_0": (q8_0, 34, [0]), "Q2_K": (q2_k, 84, [80, 82]),
    "Q3_K": (q3_k, 110, [108]), "Q4_K": (q4_k, 144, [0, 2]), "Q5_K": (q5_k, 176, [0, 2]),
    "Q6_K": (q6_k, 210, [208]), "IQ4_NL": (iq4_nl, 18, [0]), "IQ4_XS": (iq4_xs, 136, [0]),
}


def main():
    rng = np.random.default_rng(1)
    header, data = {}, b""
    for name, (values, size, halves) in KINDS.items():
        blocks, numbers = b"", []
        for i in range(24 if size < 40 else 4):
            b = bytearray(rng.integers(0, 256, size, np.uint8).tobytes())
            for at in halves:
                b[at:at + 2] = np.float16(rng.normal() * 0.02).tobytes()
            if i == 1:  # a half below the normal ones
                b[halves[0]:halves[0] + 2] = b"\x05\x80"
            blocks += bytes(b)
            numbers += values(b)
        for key, dtype, count, raw in ((".bytes", "U8", len(blocks), blocks),
                                       (".values", "F32", len(numbers),
                                        np.array(numbers, f32).tobytes())):
            header[name + key] = {"dtype": dtype, "shape": [count],
                                  "data_offsets": [len(data), len(data) + len(raw)]}
            data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 8) % 64)
    out = pathlib.Path(__file__).parent / "golden" / "ggml_blocks.safetensors"
    out.write_bytes(struct.pack("<Q", len(text)) + text + data)


main()
