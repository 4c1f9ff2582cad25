"""torch beside the benchmarks: reads items, one a line, runs each once on one thread, answers with the
CPU seconds of the thread. Started by bench.h, which chooses OpenBLAS's core type.

    linear M N K | attention HEADS DIM TOKENS | block TOKENS TEXT DIM HEADS FFN | conv CHANNELS FRAMES SIZE
"""
import sys
import time

import torch
import torch.nn.functional as F

torch.set_num_threads(1)
torch.set_grad_enabled(False)


def linear(m, n, k):
    x, layer = torch.randn(m, k), torch.nn.Linear(k, n)
    return lambda: layer(x)


def attend(q, k, v):
    return torch.softmax(q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5, -1) @ v


def attention(heads, d, tokens):
    q, k, v = (torch.randn(heads, tokens, d) for _ in range(3))
    return lambda: attend(q, k, v)


def split(x, heads):
    return x.view(x.shape[0], heads, -1).transpose(0, 1)


def rms(x, weight):
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * weight


def rope(x, turn):
    pairs = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * turn).flatten(-2)


def block(tokens, text, dim, heads, ffn):
    """A Wan block; keys and values of the text are given."""
    layer = lambda n, k: torch.nn.Linear(k, n)
    qkv, o, cq, co, up, down = (layer(3 * dim, dim), layer(dim, dim), layer(dim, dim), layer(dim, dim),
                                layer(ffn, dim), layer(dim, ffn))
    x0, ones, mod = torch.randn(tokens, dim), torch.ones(dim), 0.01 * torch.randn(6, dim)
    turn = torch.polar(torch.ones(tokens, dim // heads // 2), torch.randn(tokens, dim // heads // 2))
    kt, vt = (split(torch.randn(text, dim), heads) for _ in range(2))

    def run():
        x = x0
        z = F.layer_norm(x, (dim,), eps=1e-6) * (1 + mod[1]) + mod[0]
        q, k, v = qkv(z).split(dim, -1)
        q, k = rope(split(rms(q, ones), heads), turn), rope(split(rms(k, ones), heads), turn)
        a = attend(q, k, split(v, heads)).transpose(0, 1).reshape(tokens, dim)
        x = x + o(a) * mod[2]
        q = split(rms(cq(F.layer_norm(x, (dim,), ones, mod[0], 1e-6)), ones), heads)
        x = x + co(attend(q, kt, vt).transpose(0, 1).reshape(tokens, dim))
        z = F.layer_norm(x, (dim,), eps=1e-6) * (1 + mod[4]) + mod[3]
        return x + down(F.gelu(up(z), approximate="tanh")) * mod[5]

    return run


def conv(channels, frames, size):
    """Causal 3x3x3 over `frames` frames with the two before them."""
    x, layer = torch.randn(1, channels, frames + 2, size, size), torch.nn.Conv3d(channels, channels, 3, padding=(0, 1, 1))
    return lambda: layer(x)


items = {}
print("torch", torch.__version__, flush=True)
for line in sys.stdin:
    kind, *numbers = line.split()
    if line not in items:
        items.clear()  # one at a time is in memory
        items[line] = {"linear": linear, "attention": attention, "block": block, "conv": conv}[kind](*map(int, numbers))
        items[line]()
    start = time.thread_time()
    items[line]()
    print(time.thread_time() - start, flush=True)
