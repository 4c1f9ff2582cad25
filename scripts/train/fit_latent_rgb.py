"""Fits the linear map that shows a latent without decoding it, and writes it into the VAE's config.json.

    python3 fit_latent_rgb.py --tubelet build/release/tubelet --model examples/tiny

The engine samples clips, decodes them and averages the pixels of each latent cell; least squares over
all cells give latent_rgb_factors and latent_rgb_bias. Every fourth clip is left out of the fit and says
how good it is. Needs Python alone.
"""
import argparse
import json
import math
import os
import struct
import subprocess
import tempfile
from array import array

SIDE, FRAMES, STEPS, STRIDE, STRIDE_T = 64, 17, 12, 8, 4
COLOURS = ["red", "green", "blue", "yellow", "purple", "orange", "white"]
SHAPES = ["ball", "cube", "cylinder", "cone"]
GROUNDS = ["grass", "sand", "snow", "stone"]
SKIES = ["by day", "at sunset", "at night"]
MOTIONS = ["bounces", "moves left", "comes closer", "spins", "stays still"]


def prompt(i):
    pick = lambda options: options[i % len(options)]
    thing = f"a {pick(['large', 'small'])} {pick(COLOURS)} {pick(SHAPES)}"
    return f"{thing} {pick(MOTIONS)} on the {GROUNDS[i // 3 % 4]} {pick(SKIES)}"


def node(kind, **inputs):
    return {"class_type": kind, "inputs": inputs}


def graph(clips, model):
    cells = SIDE // STRIDE
    g = {
        "m": node("load_model", path=os.path.abspath(model)),
        "negative": node("text_encode", clip=["m", 1], text=""),
    }
    for i in range(clips):
        g |= {
            f"noise{i}": node(
                "noise_init", model=["m", 0], size=f"{SIDE}x{SIDE}", frames=FRAMES, seed=i
            ),
            f"text{i}": node("text_encode", clip=["m", 1], text=prompt(i)),
            f"latent{i}": node(
                "sample",
                model=["m", 0],
                latent=[f"noise{i}", 0],
                positive=[f"text{i}", 0],
                negative=["negative", 0],
                steps=STEPS,
            ),
            f"video{i}": node("vae_decode", vae=["m", 2], latent=[f"latent{i}", 0]),
            f"small{i}": node(
                "image_resize", image=[f"video{i}", 0], width=cells, height=cells, filter="area"
            ),
            f"save_latent{i}": node(
                "save_tensor", value=[f"latent{i}", 0], path=f"latent{i}.safetensors"
            ),
            f"save_small{i}": node(
                "save_tensor", value=[f"small{i}", 0], path=f"small{i}.safetensors"
            ),
        }
    return g


def read_tensor(path, wanted):
    """(shape, floats) of the one tensor whose name ends so."""
    with open(path, "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        data = f.read()
    name = next(n for n in header if n.endswith(wanted))
    begin, end = header[name]["data_offsets"]
    return header[name]["shape"], array("f", data[begin:end])


def rows(folder, i):
    """Of one clip: (latent values and a 1, mean colour -1..1) of every cell."""
    (c, t, h, w), x = read_tensor(f"{folder}/latent{i}.safetensors", "samples")
    _, rgb = read_tensor(f"{folder}/small{i}.safetensors", "tensor")
    plane = h * w
    for f in range(t):
        frames = range(max(0, STRIDE_T * f - STRIDE_T + 1), STRIDE_T * f + 1)
        for p in range(plane):
            colour = [
                2 * sum(rgb[(k * plane + p) * 3 + j] for k in frames) / len(frames) - 1
                for j in range(3)
            ]
            yield [x[(k * t + f) * plane + p] for k in range(c)] + [1.0], colour


def solve(a, b):
    """x with a x = b, by elimination; a [n][n], b [n][m]."""
    n = len(a)
    m = [list(a[i]) + list(b[i]) for i in range(n)]
    for i in range(n):
        pivot = max(range(i, n), key=lambda r: abs(m[r][i]))
        m[i], m[pivot] = m[pivot], m[i]
        for r in range(n):
            if r != i:
                q = m[r][i] / m[i][i]
                m[r] = [u - q * v for u, v in zip(m[r], m[i])]
    return [[v / m[i][i] for v in m[i][n:]] for i in range(n)]


def fit(samples):
    n = len(samples[0][0])
    a, b = [[0.0] * n for _ in range(n)], [[0.0] * 3 for _ in range(n)]
    for x, y in samples:
        for i in range(n):
            for j in range(n):
                a[i][j] += x[i] * x[j]
            for j in range(3):
                b[i][j] += x[i] * y[j]
    return [[round(v, 4) for v in row] for row in solve(a, b)]


def psnr(samples, weights):
    """Of colours 0..1."""
    error = count = 0
    for x, y in samples:
        for j in range(3):
            v = sum(x[i] * weights[i][j] for i in range(len(x)))
            error += ((min(1, max(-1, v)) - y[j]) / 2) ** 2
            count += 1
    return 10 * math.log10(count / error)


def arguments():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--tubelet", default="build/release/tubelet")
    ap.add_argument("--model", default="examples/tiny")
    ap.add_argument("--clips", type=int, default=32)
    return ap.parse_args()


def main():
    a = arguments()
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/graph.json", "w") as f:
            json.dump(graph(a.clips, a.model), f)
        program = os.path.abspath(a.tubelet)
        subprocess.run(
            [program, "run", "graph.json", "--store", f"{folder}/store"], cwd=folder, check=True
        )
        clips = [list(rows(folder, i)) for i in range(a.clips)]
    held_out = [s for i in range(3, a.clips, 4) for s in clips[i]]
    known = [s for i in range(a.clips) if i % 4 != 3 for s in clips[i]]
    weights = fit(known)
    print(
        f"PSNR: {psnr(known, weights):.1f} dB, on clips left out {psnr(held_out, weights):.1f} dB"
    )
    path = os.path.join(a.model, "vae", "config.json")
    with open(path) as f:
        config = json.load(f)
    config["latent_rgb_factors"], config["latent_rgb_bias"] = weights[:-1], weights[-1]
    with open(path, "w") as f:
        json.dump(config, f, indent=1)


if __name__ == "__main__":
    main()
