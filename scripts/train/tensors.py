"""Safetensors files, read and written."""
import json
import os
import struct
import numpy as np

KINDS = {"F32": np.float32, "F16": np.float16, "I32": np.int32}


def read(path):
    """All tensors of a file {name: array}, as f32."""
    with open(path, "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        data = f.read()
    header.pop("__metadata__", None)
    tensors = {}
    for name, t in header.items():
        rows = np.frombuffer(data[slice(*t["data_offsets"])], KINDS[t["dtype"]])
        tensors[name] = rows.reshape(t["shape"]).astype(np.float32)
    return tensors


def write(path, tensors, meta=None):
    """One file, all of it or none; tensors {name: array or torch tensor}."""
    names = {np.dtype(kind): name for name, kind in KINDS.items()}
    header, at = {"__metadata__": {k: str(v) for k, v in meta.items()}} if meta else {}, 0
    arrays = {
        k: np.ascontiguousarray(getattr(t, "detach", lambda: t)()) for k, t in tensors.items()
    }
    for name, x in arrays.items():
        span = [at, at + x.nbytes]
        header[name] = dict(dtype=names[x.dtype], shape=list(x.shape), data_offsets=span)
        at += x.nbytes
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    with open(path + ".part", "wb") as f:
        f.write(struct.pack("<Q", len(head)) + head)
        for x in arrays.values():
            f.write(x.tobytes())
    os.replace(path + ".part", path)
