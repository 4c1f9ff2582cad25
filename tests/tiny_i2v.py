"""A Wan2.1 image-to-video model of random weights in the bundled model's size, for test_image_features.sh.

    python3 tests/tiny_i2v.py ROOT OUT

OUT becomes a diffusers folder: the reference set's transformer with an image branch, made to read the bundled text
encoder; an image encoder; the other parts linked. Beside it OUT/wan_clip.safetensors, the same image encoder under the
names of Wan's own file, and OUT/first_last/, a transformer with positions for the features of two images.
Only the standard library.
"""

import json
import os
import random
import struct
import sys

DIM, FFN, LAYERS, PATCH, SIDE = 32, 64, 3, 7, 4


def read(path):
    data = open(path, "rb").read()
    size = struct.unpack_from("<Q", data)[0]
    header = json.loads(data[8 : 8 + size])
    header.pop("__metadata__", None)
    at = 8 + size
    return {
        name: (t["shape"], data[at + t["data_offsets"][0] : at + t["data_offsets"][1]])
        for name, t in header.items()
    }


def write(path, tensors):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    header, at = {}, 0
    for name, (shape, raw) in tensors.items():
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + len(raw)]}
        at += len(raw)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(raw for _, raw in tensors.values()))


def numbers(*shape, scale=0.2, around=0.0):
    count = 1
    for n in shape:
        count *= n
    return list(shape), struct.pack(
        f"<{count}f", *(random.gauss(around, scale) for _ in range(count))
    )


def image_encoder():
    """Under Hugging Face's names, and under Wan's."""
    tokens = SIDE * SIDE + 1
    both = [
        ("embeddings.class_embedding", "cls_embedding", numbers(DIM)),
        ("embeddings.position_embedding.weight", "pos_embedding", numbers(tokens, DIM)),
        (
            "embeddings.patch_embedding.weight",
            "patch_embedding.weight",
            numbers(DIM, 3, PATCH, PATCH),
        ),
        ("pre_layrnorm.weight", "pre_norm.weight", numbers(DIM, around=1.0)),
        ("pre_layrnorm.bias", "pre_norm.bias", numbers(DIM)),
    ]
    hf = {f"vision_model.{a}": t for a, _, t in both}
    wan = {f"visual.{b}": t for _, b, t in both}
    wan["visual.cls_embedding"] = [1, 1, DIM], wan["visual.cls_embedding"][1]
    for i in range(LAYERS):
        a, b = f"vision_model.encoder.layers.{i}.", f"visual.transformer.{i}."
        for ours, theirs, out, size in [
            ("layer_norm1", "norm1", DIM, 0),
            ("layer_norm2", "norm2", DIM, 0),
            ("self_attn.out_proj", "attn.proj", DIM, DIM),
            ("mlp.fc1", "mlp.0", FFN, DIM),
            ("mlp.fc2", "mlp.2", DIM, FFN),
        ]:
            weight = numbers(out, size) if size else numbers(out, around=1.0)
            hf[a + ours + ".weight"] = wan[b + theirs + ".weight"] = weight
            hf[a + ours + ".bias"] = wan[b + theirs + ".bias"] = numbers(out)
        for kind, shape in (("weight", [DIM, DIM]), ("bias", [DIM])):
            parts = [numbers(*shape)[1] for _ in range(3)]
            for letter, raw in zip("qkv", parts):
                hf[f"{a}self_attn.{letter}_proj.{kind}"] = shape, raw
            wan[f"{b}attn.to_qkv.{kind}"] = [3 * DIM] + shape[1:], b"".join(parts)
    return hf, wan


def main():
    root, out = sys.argv[1:]
    random.seed(1)
    tiny = os.path.join(root, "examples/tiny")
    transformer = read(os.path.join(root, "tests/golden/dit_i2v_a_diffusers.safetensors"))
    transformer["condition_embedder.text_embedder.linear_1.weight"] = numbers(48, 128)
    hf, wan = image_encoder()
    config = {"num_attention_heads": 2, "text_len": 32}
    both = dict(transformer)
    both["condition_embedder.image_embedder.pos_embed"] = numbers(
        1, 2 * (SIDE * SIDE + 1), DIM, scale=1.0
    )
    for folder, tensors in (("transformer", transformer), ("first_last", both)):
        write(f"{out}/{folder}/model.safetensors", tensors)
        json.dump(config, open(f"{out}/{folder}/config.json", "w"))
    write(f"{out}/image_encoder/model.safetensors", hf)
    config = {"model_type": "clip_vision_model", "hidden_act": "gelu", "num_attention_heads": 1}
    json.dump(config, open(f"{out}/image_encoder/config.json", "w"))
    write(f"{out}/wan_clip.safetensors", wan)
    for part in ("vae", "text_encoder", "tokenizer", "scheduler"):
        os.symlink(os.path.join(tiny, part), os.path.join(out, part))


main()
