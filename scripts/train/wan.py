"""Wan-architecture models at any size, in plain PyTorch: causal 3D VAE, text encoder and the
video diffusion transformer.

Parameter names follow the public Wan2.1 and UMT5 checkpoints, so that what is trained here loads
wherever those load. Tensors are [batch, channels, frames, height, width]."""
import math
import torch
import torch.nn as nn
import torch.nn.functional as F
import ops


# ------------------------------------------------------------------------------- causal 3D VAE


class CausalConv3d(nn.Conv3d):
    """Conv3d that sees no later frame: all temporal padding stands before the first frame."""

    def __init__(self, cin, cout, kernel, padding=0):
        super().__init__(cin, cout, kernel)
        p = (padding,) * 3 if isinstance(padding, int) else padding
        self.pads = (p[2], p[2], p[1], p[1], 2 * p[0], 0)

    def forward(self, x):
        return super().forward(F.pad(x, self.pads))


class RMSNormChannels(nn.Module):
    def __init__(self, dim, dims):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(dim, *([1] * dims)))

    def forward(self, x):
        return x * (x.pow(2).mean(1, keepdim=True) + 1e-12).rsqrt() * self.gamma


class ResidualBlock(nn.Module):
    def __init__(self, cin, cout):
        super().__init__()
        self.residual = nn.Sequential(
            RMSNormChannels(cin, 3),
            nn.SiLU(),
            CausalConv3d(cin, cout, 3, 1),
            RMSNormChannels(cout, 3),
            nn.SiLU(),
            nn.Identity(),
            CausalConv3d(cout, cout, 3, 1),
        )
        self.shortcut = CausalConv3d(cin, cout, 1) if cin != cout else nn.Identity()

    def forward(self, x):
        return self.shortcut(x) + self.residual(x)


class AttentionBlock(nn.Module):
    """Single-head attention over the pixels of each frame."""

    def __init__(self, dim):
        super().__init__()
        self.norm, self.to_qkv, self.proj = (
            RMSNormChannels(dim, 2),
            nn.Conv2d(dim, 3 * dim, 1),
            nn.Conv2d(dim, dim, 1),
        )
        nn.init.zeros_(self.proj.weight)

    def forward(self, x):
        b, c, t, h, w = x.shape
        y = x.transpose(1, 2).reshape(b * t, c, h, w)
        q, k, v = self.to_qkv(self.norm(y)).reshape(b * t, 3, c, h * w).unbind(1)
        a = torch.softmax(q.transpose(1, 2) @ k / math.sqrt(c), -1)
        y = self.proj((v @ a.transpose(1, 2)).reshape(b * t, c, h, w))
        return x + y.reshape(b, t, c, h, w).transpose(1, 2)


def per_frame(module, x):
    b, c, t, h, w = x.shape
    y = module(x.transpose(1, 2).reshape(b * t, c, h, w))
    return y.reshape(b, t, *y.shape[1:]).transpose(1, 2)


class Downsample(nn.Module):
    """Halves height and width; with `time`, also turns 1+2k frames into 1+k."""

    def __init__(self, dim, time):
        super().__init__()
        self.resample = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(dim, dim, 3, stride=2))
        if time:
            self.time_conv = nn.Conv3d(dim, dim, (3, 1, 1), stride=(2, 1, 1))

    def forward(self, x):
        x = per_frame(self.resample, x)
        if hasattr(self, "time_conv") and x.shape[2] > 1:
            x = torch.cat([x[:, :, :1], self.time_conv(x)], 2)
        return x


class Upsample(nn.Module):
    """Doubles height and width; with `time`, also turns 1+k frames into 1+2k."""

    def __init__(self, dim, time):
        super().__init__()
        self.resample = nn.Sequential(
            nn.Upsample(scale_factor=(2.0, 2.0), mode="nearest"), nn.Conv2d(dim, dim, 3, padding=1)
        )
        if time:
            self.time_conv = CausalConv3d(dim, dim * 2, (3, 1, 1), (1, 0, 0))

    def forward(self, x):
        if hasattr(self, "time_conv") and x.shape[2] > 1:
            b, c, t, h, w = x.shape
            y = self.time_conv(x[:, :, 1:]).reshape(b, 2, c, t - 1, h, w)
            x = torch.cat(
                [x[:, :, :1], y.permute(0, 2, 3, 1, 4, 5).reshape(b, c, 2 * (t - 1), h, w)], 2
            )
        return per_frame(self.resample, x)


class AvgDown(nn.Module):
    """Parameter-free shortcut: space-to-depth in (time, height, width), mean of channel groups."""

    def __init__(self, cin, cout, ft, fs):
        super().__init__()
        self.cout, self.ft, self.fs = cout, ft, fs

    def forward(self, x):
        ft, fs = self.ft, self.fs
        x = F.pad(x, (0, 0, 0, 0, -x.shape[2] % ft, 0))
        b, c, t, h, w = x.shape
        x = x.reshape(b, c, t // ft, ft, h // fs, fs, w // fs, fs).permute(0, 1, 3, 5, 7, 2, 4, 6)
        return x.reshape(b, self.cout, -1, t // ft, h // fs, w // fs).mean(2)


class DupUp(nn.Module):
    """Parameter-free shortcut: repeated channels, depth-to-space; drops the first ft-1 frames."""

    def __init__(self, cin, cout, ft, fs):
        super().__init__()
        self.cout, self.ft, self.fs, self.times = cout, ft, fs, cout * ft * fs * fs // cin

    def forward(self, x):
        ft, fs, (b, c, t, h, w) = self.ft, self.fs, x.shape
        x = x.repeat_interleave(self.times, 1).reshape(b, self.cout, ft, fs, fs, t, h, w)
        x = x.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(b, self.cout, t * ft, h * fs, w * fs)
        return x[:, :, ft - 1 :]


class DownLevel(nn.Module):
    def __init__(self, cin, cout, blocks, time, last):
        super().__init__()
        self.shortcut = AvgDown(cin, cout, 2 if time else 1, 1 if last else 2)
        layers = [ResidualBlock(cin if i == 0 else cout, cout) for i in range(blocks)]
        self.downsamples = nn.Sequential(*layers, *([] if last else [Downsample(cout, time)]))

    def forward(self, x):
        return self.downsamples(x) + self.shortcut(x)


class UpLevel(nn.Module):
    def __init__(self, cin, cout, blocks, time, last):
        super().__init__()
        layers = [ResidualBlock(cin if i == 0 else cout, cout) for i in range(blocks + 1)]
        self.upsamples = nn.Sequential(*layers, *([] if last else [Upsample(cout, time)]))
        if not last:
            self.shortcut = DupUp(cin, cout, 2 if time else 1, 2)

    def forward(self, x):
        y = self.upsamples(x)
        return y + self.shortcut(x) if hasattr(self, "shortcut") else y


class Encoder(nn.Module):
    def __init__(self, cin, dim, z, mult, blocks, time):
        super().__init__()
        dims, last = [dim * m for m in [1] + mult], len(mult) - 1
        self.conv1 = CausalConv3d(cin, dims[0], 3, 1)
        self.downsamples = nn.Sequential(
            *[
                DownLevel(a, b, blocks, i < last and time[i], i == last)
                for i, (a, b) in enumerate(zip(dims[:-1], dims[1:]))
            ]
        )
        b = dims[-1]
        self.middle = nn.Sequential(ResidualBlock(b, b), AttentionBlock(b), ResidualBlock(b, b))
        self.head = nn.Sequential(RMSNormChannels(b, 3), nn.SiLU(), CausalConv3d(b, z, 3, 1))

    def forward(self, x):
        return self.head(self.middle(self.downsamples(self.conv1(x))))


class Decoder(nn.Module):
    def __init__(self, cout, dim, z, mult, blocks, time):
        super().__init__()
        dims, last = [dim * m for m in [mult[-1]] + mult[::-1]], len(mult) - 1
        self.conv1 = CausalConv3d(z, dims[0], 3, 1)
        self.middle = nn.Sequential(
            ResidualBlock(dims[0], dims[0]),
            AttentionBlock(dims[0]),
            ResidualBlock(dims[0], dims[0]),
        )
        self.upsamples = nn.Sequential(
            *[
                UpLevel(a, b, blocks, i < last and time[i], i == last)
                for i, (a, b) in enumerate(zip(dims[:-1], dims[1:]))
            ]
        )
        self.head = nn.Sequential(
            RMSNormChannels(dims[-1], 3), nn.SiLU(), CausalConv3d(dims[-1], cout, 3, 1)
        )

    def forward(self, z):
        return self.head(self.upsamples(self.middle(self.conv1(z))))


class VAE(nn.Module):
    """The Wan2.2 VAE at any size: video [b,3,1+4k,h,w] in -1..1 to latents [b,z,1+k,h/8,w/8] and
    back (a 2x2 pixel patch, then one halving for each multiplier but the last)."""

    def __init__(self, dim=48, dec_dim=48, z_dim=16, mult=(1, 2, 2), blocks=1, time=(True, True)):
        super().__init__()
        mult, time = list(mult), list(time)
        self.encoder = Encoder(12, dim, 2 * z_dim, mult, blocks, time)
        self.decoder = Decoder(12, dec_dim, z_dim, mult, blocks, time[::-1])
        self.conv1, self.conv2 = CausalConv3d(2 * z_dim, 2 * z_dim, 1), CausalConv3d(
            z_dim, z_dim, 1
        )

    def encode(self, x):
        b, c, t, h, w = x.shape
        x = (
            x.reshape(b, c, t, h // 2, 2, w // 2, 2)
            .permute(0, 1, 6, 4, 2, 3, 5)
            .reshape(b, 4 * c, t, h // 2, w // 2)
        )
        mean, log_var = self.conv1(self.encoder(x)).chunk(2, 1)
        return mean, log_var.clamp(-30, 20)

    def decode(self, z):
        y = self.decoder(self.conv2(z))
        b, c, t, h, w = y.shape
        return (
            y.reshape(b, c // 4, 2, 2, t, h, w)
            .permute(0, 1, 4, 5, 3, 6, 2)
            .reshape(b, c // 4, t, 2 * h, 2 * w)
        )


# ------------------------------------------------------------------------- text encoder (UMT5)


class T5Norm(nn.Module):
    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(dim)), eps

    def forward(self, x):
        return self.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)


class T5Attention(nn.Module):
    def __init__(self, dim, heads, d_kv, buckets):
        super().__init__()
        self.heads, self.d_kv, self.buckets = heads, d_kv, buckets
        self.q, self.k, self.v = (nn.Linear(dim, heads * d_kv, bias=False) for _ in range(3))
        self.o = nn.Linear(heads * d_kv, dim, bias=False)
        self.relative_attention_bias = nn.Embedding(buckets, heads)

    def lean(self):
        """Begins with heads that look to near words, by turns before and after, as ALiBi's (Press et al. 2022).
        From small random numbers it takes very long until words know their neighbours."""
        half, heads = self.buckets // 2, torch.arange(self.heads)
        slope = torch.where(heads < self.heads // 2, 1.0, 0.3)
        near = -torch.arange(half)[:, None] * slope
        after = (heads % 2 == 0) * -3.0  # what even heads give words after their own
        bias = torch.cat([near + (-3.0 - after), near + after])
        torch.nn.init.normal_(self.relative_attention_bias.weight, std=0.1)
        self.relative_attention_bias.weight.data += bias

    def bias(self, n):
        """Bidirectional log-spaced buckets of key minus query position, up to distance 128."""
        d = torch.arange(n)[None, :] - torch.arange(n)[:, None]
        half = self.buckets // 2
        exact = half // 2
        far = (
            exact
            + (
                torch.log(d.abs().clamp(min=1).float() / exact)
                / math.log(128 / exact)
                * (half - exact)
            ).long()
        )
        bucket = (d > 0).long() * half + torch.where(
            d.abs() < exact, d.abs(), far.clamp(max=half - 1)
        )
        return self.relative_attention_bias(bucket).permute(2, 0, 1)

    def forward(self, x, mask):
        b, n, _ = x.shape
        q, k, v = (
            f(x).reshape(b, n, self.heads, self.d_kv).transpose(1, 2)
            for f in (self.q, self.k, self.v)
        )
        a = q @ k.transpose(2, 3) + self.bias(n) + (~mask)[:, None, None, :] * -1e9
        return self.o((torch.softmax(a, -1) @ v).transpose(1, 2).reshape(b, n, -1))


class T5SelfLayer(nn.Module):
    def __init__(self, dim, heads, d_kv, buckets):
        super().__init__()
        self.SelfAttention, self.layer_norm = T5Attention(dim, heads, d_kv, buckets), T5Norm(dim)


class T5FeedForward(nn.Module):
    def __init__(self, dim, d_ff):
        super().__init__()
        self.wi_0, self.wi_1, self.wo = (
            nn.Linear(*s, bias=False) for s in ((dim, d_ff), (dim, d_ff), (d_ff, dim))
        )


class T5FFLayer(nn.Module):
    def __init__(self, dim, d_ff):
        super().__init__()
        self.DenseReluDense, self.layer_norm = T5FeedForward(dim, d_ff), T5Norm(dim)


class T5Block(nn.Module):
    def __init__(self, dim, heads, d_kv, d_ff, buckets):
        super().__init__()
        self.layer = nn.ModuleList([T5SelfLayer(dim, heads, d_kv, buckets), T5FFLayer(dim, d_ff)])

    def forward(self, x, mask):
        a, f = self.layer
        x = x + a.SelfAttention(a.layer_norm(x), mask)
        y, m = f.layer_norm(x), f.DenseReluDense
        return x + m.wo(F.gelu(m.wi_0(y), approximate="tanh") * m.wi_1(y))


TEXT_DIM = 128


class TextEncoder(nn.Module):
    """Token ids [b,n] and mask [b,n] to features [b,n,dim], zero where masked."""

    def __init__(self, vocab, dim=TEXT_DIM, layers=3, heads=4, d_kv=32, d_ff=256, buckets=32):
        super().__init__()
        self.shared, self.encoder = nn.Embedding(vocab, dim), nn.Module()
        self.encoder.block = nn.ModuleList(
            [T5Block(dim, heads, d_kv, d_ff, buckets) for _ in range(layers)]
        )
        self.encoder.final_layer_norm = T5Norm(dim)
        for name, p in self.named_parameters():
            if p.dim() == 2:
                nn.init.normal_(
                    p, std=dim**-0.5 if "SelfAttention.q" not in name else (dim * d_kv) ** -0.5
                )
        for block in self.encoder.block:
            block.layer[0].SelfAttention.lean()

    def forward(self, ids, mask):
        x = self.shared(ids)
        for block in self.encoder.block:
            x = block(x, mask)
        return self.encoder.final_layer_norm(x) * mask[..., None]


# ----------------------------------------------------------------------- diffusion transformer


class RMSNorm(nn.Module):
    """The weight alone: the norm is part of ops.rotate."""

    def __init__(self, dim):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))


def rope_table(d, grid, theta=10000.0):
    """Angles [t*h*w, d/2]: d/2 - 2*(d//6) pairs turn with the frame, d//6 with row and column."""
    parts = [d // 2 - 2 * (d // 6), d // 6, d // 6]
    axes = torch.meshgrid(*[torch.arange(n).float() for n in grid], indexing="ij")
    rows = [
        a.reshape(-1, 1) * theta ** (-torch.arange(p).float() / p)[None]
        for a, p in zip(axes, parts)
    ]
    return torch.cat(rows, 1)


class Attention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads, self.factor = heads, (dim // heads) ** -0.5
        self.q, self.k, self.v, self.o = (nn.Linear(dim, dim) for _ in range(4))
        self.norm_q, self.norm_k = RMSNorm(dim), RMSNorm(dim)

    def forward(self, x, context=None, angle=None):
        kv = x if context is None else context
        q = ops.rotate(self.q(x), self.norm_q.weight, angle, self.heads, self.factor)
        k = ops.rotate(self.k(kv), self.norm_k.weight, angle, self.heads)
        v = self.v(kv).unflatten(2, (self.heads, -1)).transpose(1, 2)
        y = torch.softmax(q @ k.transpose(2, 3), -1) @ v
        return self.o(y.transpose(1, 2).flatten(2))


class FeedForward(nn.Sequential):
    def __init__(self, dim, ffn):
        super().__init__(nn.Linear(dim, ffn), nn.GELU("tanh"), nn.Linear(ffn, dim))

    def forward(self, x):
        return self[2](ops.gelu(self[0](x)))


class Block(nn.Module):
    def __init__(self, dim, ffn, heads):
        super().__init__()
        self.self_attn, self.cross_attn = Attention(dim, heads), Attention(dim, heads)
        self.norm3, self.ffn = nn.LayerNorm(dim, eps=1e-6), FeedForward(dim, ffn)
        self.modulation = nn.Parameter(torch.randn(1, 6, dim) / dim**0.5)

    def forward(self, x, e, context, angle):
        s1, c1, g1, s2, c2, g2 = (self.modulation + e).unbind(1)
        x = ops.gated(x, self.self_attn(ops.modulate(x, s1, c1), angle=angle), g1)
        n = self.norm3
        y = ops.modulate(x, n.bias.expand(len(x), -1), n.weight.expand(len(x), -1) - 1)
        x = ops.gated(x, self.cross_attn(y, context))
        return ops.gated(x, self.ffn(ops.modulate(x, s2, c2)), g2)


class Head(nn.Module):
    def __init__(self, dim, out):
        super().__init__()
        self.head, self.modulation = nn.Linear(dim, out), nn.Parameter(
            torch.randn(1, 2, dim) / dim**0.5
        )
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x, e):
        shift, scale = (self.modulation + e[:, None]).unbind(1)
        return self.head(ops.modulate(x, shift, scale))


class DiT(nn.Module):
    """Velocity of the flow at latents x [b,in,t,h,w], time [b] 0..1000, text [b,n,text_dim]."""

    def __init__(
        self,
        dim=192,
        layers=8,
        heads=6,
        ffn=768,
        in_dim=36,
        out_dim=16,
        text_dim=TEXT_DIM,
        freq_dim=256,
    ):
        super().__init__()
        self.heads, self.dim, self.out_dim, self.freq_dim = heads, dim, out_dim, freq_dim
        self.patch_embedding = nn.Conv3d(in_dim, dim, (1, 2, 2), (1, 2, 2))
        self.text_embedding = nn.Sequential(
            nn.Linear(text_dim, dim), nn.GELU("tanh"), nn.Linear(dim, dim)
        )
        self.time_embedding = nn.Sequential(
            nn.Linear(freq_dim, dim), nn.SiLU(), nn.Linear(dim, dim)
        )
        self.time_projection = nn.Sequential(nn.SiLU(), nn.Linear(dim, 6 * dim))
        self.blocks = nn.ModuleList([Block(dim, ffn, heads) for _ in range(layers)])
        self.head = Head(dim, out_dim * 4)

    def forward(self, x, time, text, tap=None):
        """With `tap`, also the mean of the tokens behind so many blocks, [b,dim]."""
        b, _, t, h, w = x.shape
        grid = (t, h // 2, w // 2)
        tokens = self.patch_embedding(x).flatten(2).transpose(1, 2)
        half = self.freq_dim // 2
        phase = time[:, None].float() * 10000 ** (-torch.arange(half).float() / half)[None]
        e = self.time_embedding(torch.cat([phase.cos(), phase.sin()], 1)).float()
        e6 = self.time_projection(e).float().unflatten(1, (6, self.dim))
        context, angle = self.text_embedding(text), rope_table(self.dim // self.heads, grid)
        for i, block in enumerate(self.blocks):
            tokens = block(tokens, e6, context, angle)
            if i + 1 == tap:
                told = tokens.mean(1)
        y = self.head(tokens, e).reshape(b, *grid, 1, 2, 2, self.out_dim)
        y = y.permute(0, 7, 1, 4, 2, 5, 3, 6).reshape(b, self.out_dim, t, h, w)
        return y if tap is None else (y, told)
