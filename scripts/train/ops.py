"""Operations of the transformer's blocks: in plain torch, and fused in C for training in bf16.

Both forms are the same maths; the fused ones are taken under autocast, where torch's own take more time
than the matrix products."""
import ctypes
import torch
import torch.nn.functional as F
from build import library

_C = library("ops")


def call(name, *args):
    """Tensors are passed as addresses (None as NULL), floats as floats, the rest as 64-bit integers."""
    kinds = {float: ctypes.c_float, int: ctypes.c_int64, type(None): ctypes.c_void_p}
    address = lambda x: ctypes.c_void_p(x.data_ptr())
    getattr(_C, name)(*[address(x) if torch.is_tensor(x) else kinds[type(x)](x) for x in args])


def fused():
    return torch.is_autocast_cpu_enabled()


class Gelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        x = x.contiguous()
        y = torch.empty_like(x)
        call("gelu", x, y, x.numel())
        ctx.save_for_backward(x)
        return y

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        dx, dy = torch.empty_like(x), dy.contiguous()
        call("gelu_backward", x, dy, dx, x.numel())
        return dx


class Modulate(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, shift, scale):
        x, shift, scale = x.contiguous(), shift.contiguous(), scale.contiguous()
        y, stats = torch.empty_like(x, dtype=torch.bfloat16), torch.empty(*x.shape[:2], 2)
        call("modulate", x, shift, scale, y, stats, *x.shape)
        ctx.save_for_backward(x, scale, stats)
        return y

    @staticmethod
    def backward(ctx, dy):
        x, scale, stats = ctx.saved_tensors
        dx, dy = torch.empty_like(x), dy.contiguous()
        dshift, dscale = torch.zeros_like(scale), torch.zeros_like(scale)
        call("modulate_backward", x, scale, stats, dy, dx, dshift, dscale, *x.shape)
        return dx, dshift, dscale


class Rotate(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, turn, heads, factor):
        x = x.contiguous()
        (b, n, dim), d = x.shape, x.shape[2] // heads
        y, stats = x.new_empty(b, heads, n, d), torch.empty(b, n)
        call("rotate", x, weight, turn, y, stats, factor, b, n, heads, d)
        ctx.save_for_backward(x, weight, turn, stats)
        ctx.factor, ctx.sizes = factor, (b, n, heads, d)
        return y

    @staticmethod
    def backward(ctx, dy):
        x, weight, turn, stats = ctx.saved_tensors
        dx, dw, dy = torch.empty_like(x), torch.zeros_like(weight), dy.contiguous()
        room = torch.empty_like(weight)
        call("rotate_backward", x, weight, turn, stats, dy, dx, dw, room, ctx.factor, *ctx.sizes)
        return dx, dw, None, None, None


class Gated(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, y, gate):
        x, y = x.contiguous(), y.contiguous()
        gate = None if gate is None else gate.contiguous()
        out = torch.empty_like(x)
        call("gated", x, y, gate, out, *x.shape)
        ctx.save_for_backward(y, gate)
        return out

    @staticmethod
    def backward(ctx, d):
        y, gate = ctx.saved_tensors
        d, dy = d.contiguous(), torch.empty_like(y)
        dgate = None if gate is None else torch.zeros_like(gate)
        call("gated_backward", d, y, gate, dy, dgate, *d.shape)
        return d, dy, dgate


def gelu(x):
    return Gelu.apply(x) if fused() else F.gelu(x, approximate="tanh")


def modulate(x, shift, scale):
    """Layer norm of x [b,n,c] without weights, times 1 + scale, plus shift, both [b,c]."""
    if fused():
        return Modulate.apply(x.float(), shift.float(), scale.float())
    return F.layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + scale[:, None]) + shift[:, None]


def rotate(x, weight, angle, heads, factor=1.0):
    """Root mean square norm of x [b,n,c], then pairs (x[2i], x[2i+1]) of each head turned by angle
    [n,d/2] (None: not), times factor: [b,heads,n,d]."""
    if fused():
        turn = None if angle is None else torch.stack([angle.cos(), angle.sin()], -1).contiguous()
        return Rotate.apply(x.bfloat16(), weight, turn, heads, factor)
    x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * weight * factor
    x = x.unflatten(2, (heads, -1)).transpose(1, 2)
    if angle is None:
        return x
    c, s, a, b = angle.cos(), angle.sin(), x[..., 0::2], x[..., 1::2]
    return torch.stack([a * c - b * s, a * s + b * c], -1).flatten(-2)


def gated(x, y, gate=None):
    """x + gate y; x, y [b,n,c], gate [b,c] or None for 1."""
    if fused():
        return Gated.apply(x.float(), y.bfloat16(), None if gate is None else gate.float())
    return x + (y if gate is None else gate[:, None] * y)
