"""plain_t2v.py FOLDER - cut the input channels for known latents off a copied model: the shape of Wan2.1 T2V.

The transformer reads its 16 noisy channels alone then, as the bundled one does where nothing is known.
"""
import glob
import json
import sys

CHANNELS = 16


def cut(data, entry):
    """The first CHANNELS input channels of a weight [out, in, 1, 2, 2]."""
    rows, columns = entry["shape"][:2]
    row = len(data) // rows
    kept = row * CHANNELS // columns
    entry["shape"][1] = CHANNELS
    return b"".join(data[i * row : i * row + kept] for i in range(rows))


def main(folder):
    path = glob.glob(folder + "/transformer/*.safetensors")[0]
    with open(path, "rb") as f:
        header = json.loads(f.read(int.from_bytes(f.read(8), "little")))
        body = f.read()
    parts, at = [], 0
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        first, end = entry["data_offsets"]
        data = body[first:end]
        if name == "patch_embedding.weight":
            data = cut(data, entry)
        entry["data_offsets"] = [at, at + len(data)]
        at += len(data)
        parts.append(data)
    text = json.dumps(header).encode()
    with open(path, "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text + b"".join(parts))
    path = folder + "/transformer/config.json"
    with open(path) as f:
        config = json.load(f)
    config["in_channels"] = CHANNELS
    with open(path, "w") as f:
        json.dump(config, f)


main(sys.argv[1])
