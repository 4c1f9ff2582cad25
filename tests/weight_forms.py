"""A safetensors file as the other forms that weights are published in, for test_weight_forms.sh.

    python3 tests/weight_forms.py gguf IN OUT      # tensors as they are; an encoder under llama.cpp's names
    python3 tests/weight_forms.py pth IN OUT       # as torch.save writes it, by Python's own pickler

Only the standard library; bytes are copied, so that a model runs from each to the same bytes.
"""

import io
import json
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict

LLAMA = {
    "shared": "token_embd", "encoder.final_layer_norm": "enc.output_norm", "encoder.block.": "enc.blk.",
    "layer.0.SelfAttention.q": "attn_q", "layer.0.SelfAttention.k": "attn_k",
    "layer.0.SelfAttention.v": "attn_v", "layer.0.SelfAttention.o": "attn_o",
    "layer.0.SelfAttention.relative_attention_bias": "attn_rel_b", "layer.0.layer_norm": "attn_norm",
    "layer.1.DenseReluDense.wi_0": "ffn_gate", "layer.1.DenseReluDense.wi_1": "ffn_up",
    "layer.1.DenseReluDense.wo": "ffn_down", "layer.1.layer_norm": "ffn_norm",
}


def read(path):
    data = open(path, "rb").read()
    size = struct.unpack_from("<Q", data)[0]
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    return OrderedDict((name, (t["dtype"], t["shape"], data[8 + size + t["data_offsets"][0]:8 + size + t["data_offsets"][1]]))
                       for name, t in header.items())


def text(s):
    return struct.pack("<Q", len(s.encode())) + s.encode()


def llama_name(name):
    for theirs, ours in LLAMA.items():
        name = name.replace(theirs, ours)
    return name


def gguf(tensors):
    encoder = "shared.weight" in tensors
    infos, data = b"", b""
    for name, (dtype, shape, raw) in tensors.items():
        infos += text(llama_name(name) if encoder else name) + struct.pack("<I", len(shape))
        infos += b"".join(struct.pack("<Q", d) for d in reversed(shape))
        infos += struct.pack("<IQ", {"F32": 0, "F16": 1, "BF16": 30}[dtype], len(data))
        data += raw + bytes(-len(raw) % 32)
    arch = text("general.architecture") + struct.pack("<I", 8) + text("t5encoder" if encoder else "wan")
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), 1) + arch + infos
    return head + bytes(-len(head) % 32) + data


class Storage:
    def __init__(self, kind, key, count):
        self.id = ("storage", kind, key, "cpu", count)


class Tensor:
    def __init__(self, rebuild, *args):
        self.reduced = (rebuild, args)

    def __reduce__(self):
        return self.reduced


class Pickler(pickle.Pickler):
    def persistent_id(self, value):
        return value.id if isinstance(value, Storage) else None


def stand_ins():
    """torch's names, so that the pickler writes them; nothing of torch is there."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in ("FloatStorage", "HalfStorage", "BFloat16Storage"):
        setattr(torch, name, type(name, (), {"__module__": "torch"}))

    def rebuild():
        pass

    rebuild.__module__, rebuild.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = rebuild
    sys.modules.update({"torch": torch, "torch._utils": utils})
    return torch, rebuild


def pth(tensors):
    torch, rebuild = stand_ins()
    kinds = {"F32": torch.FloatStorage, "F16": torch.HalfStorage, "BF16": torch.BFloat16Storage}
    state, out, packed = OrderedDict(), io.BytesIO(), io.BytesIO()
    for i, (name, (dtype, shape, _)) in enumerate(tensors.items()):
        stride = [1] * len(shape)
        for d in range(len(shape) - 2, -1, -1):
            stride[d] = stride[d + 1] * shape[d + 1]
        count = stride[0] * shape[0] if shape else 1
        state[name] = Tensor(rebuild, Storage(kinds[dtype], str(i), count), 0, tuple(shape), tuple(stride), False,
                             OrderedDict())
    Pickler(out, 2).dump(state)
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as z:
        z.writestr("archive/data.pkl", out.getvalue())
        for i, (_, _, raw) in enumerate(tensors.values()):
            z.writestr(f"archive/data/{i}", raw)
        z.writestr("archive/version", "3\n")
    return packed.getvalue()


form, source, target = sys.argv[1:]
open(target, "wb").write({"gguf": gguf, "pth": pth}[form](read(source)))
