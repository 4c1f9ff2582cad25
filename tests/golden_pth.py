"""Files of torch.save for test_pth.c, written by torch itself.

    python3 tests/golden_pth.py          # writes tests/golden/torch_*.pth, with torch 1.13
"""

import collections
import pathlib

import torch

OUT = pathlib.Path(__file__).parent / "golden"


def main():
    base = torch.arange(12.0)
    plain = collections.OrderedDict(
        f32=torch.arange(6.0).reshape(2, 3),
        bf16=torch.tensor([1.0, -2.5, 3e38], dtype=torch.bfloat16),
        f16=torch.tensor([0.5, 65504.0], dtype=torch.float16),
        f64=torch.tensor([0.1], dtype=torch.float64),
        i64=torch.tensor([[-1, 2**40]]),
        u8=torch.tensor([0, 255], dtype=torch.uint8),
        i8=torch.tensor([-128, 127], dtype=torch.int8),
        i16=torch.tensor([-3], dtype=torch.int16),
        i32=torch.tensor([-4], dtype=torch.int32),
        flag=torch.tensor([True, False]),
        scalar=torch.tensor(7.0),
        empty=torch.zeros(0, 4),
        kernel=torch.arange(24.0).reshape(2, 3, 1, 2, 2),
        first=base[:4],  # three tensors of one storage
        last=base[8:].reshape(2, 2),
        one_row=base.reshape(4, 3)[2:3],
        parameter=torch.nn.Parameter(torch.ones(2)),
    )
    plain["model.diffusion_model.blocks.0.weight"] = torch.full((2, 2), 3.0)
    torch.save(plain, OUT / "torch_plain.pth")
    layer = torch.nn.Linear(3, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.arange(6.0).reshape(2, 3))
        layer.bias.fill_(1)
    nested = {"epoch": 3, "rate": 0.5, "note": None, "list": [1, "two", (3, [])], "big": 2**70 % 2**62,
              "negative": -(2**40), "size": torch.Size([1, 2]), "state_dict": layer.state_dict()}
    torch.save(nested, OUT / "torch_nested.pth")
    kernel = torch.arange(24.0).reshape(1, 2, 3, 2, 2)
    torch.save({"t": torch.arange(6.0).reshape(2, 3).t(), "every_other": base[::2].half()[1::2],
                "channels_last": kernel.contiguous(memory_format=torch.channels_last_3d)},
               OUT / "torch_strided.pth")
    torch.save(plain, OUT / "torch_legacy.pth", _use_new_zipfile_serialization=False)
    torch.save({"a": torch.ones(1), "opt": torch.optim.SGD([torch.ones(1)], 0.1).__class__},
               OUT / "torch_class.pth")


main()
