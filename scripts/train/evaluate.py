"""Measures a trained model by pixels: what it shows, how sharply, and how far from the renderer.

    python3 evaluate.py --folder examples/tiny --tubelet build/release/tubelet
    python3 evaluate.py --dit dit.pt --vae vae.pt --parts prompts vae

Parts: prompts (held-out captions, judged by synthesis), vae (PSNR on fresh clips), camera (checker lines
of orbit shots against the true camera), frechet (distance to rendered clips over steps and guidance).
The first is sampled through the engine, the second (or a folder alone) by sample.py. Whatever is done is
kept beside --out, in a folder of its name: the same command goes on where it stopped. The whole grid is
    --frechet-steps 10 20 50 --frechet-cfg 1 2 3 4 5 6 7 8
"""
import argparse
import hashlib
import json
import os
import shutil
import sys
import numpy as np
import judge
import measure
import sampling
import world
from pictures import png

PARTS = ["prompts", "vae", "camera", "frechet"]
AT_ONCE = 8  # clips sampled between two savings
SAMPLES = 24  # prompts of which frames are kept
WITHIN = 1.5  # pixels


# ------------------------------------------------------------------------------ what is kept


def read_json(path, default):
    if not os.path.exists(path):
        return default
    with open(path) as f:
        return json.load(f)


def write_json(path, what):
    with open(path + ".part", "w") as f:
        json.dump(what, f, indent=1)
    os.replace(path + ".part", path)


def grow(path, count, make):
    """The rows of a JSON file, made `AT_ONCE` at a time by make(first, last) until there are `count`."""
    rows = read_json(path, [])
    while len(rows) < count:
        rows += make(len(rows), min(count, len(rows) + AT_ONCE))
        write_json(path, rows)
        print(f"{os.path.basename(path)}: {len(rows)} of {count}", flush=True)
    return rows[:count]


# ------------------------------------------------------------------------------ held-out prompts


def shape_of(i):
    """(frames, height, width) of the i-th clip: all sizes at all lengths within 24."""
    return (judge.LENGTHS[(i + i // 12) % 4],) + judge.SIZES[i % 6]


def job_of(caption, seed, shape):
    frames, height, width = shape
    return dict(prompt=caption, seed=seed, frames=frames, height=height, width=width)


def prompt(seed, i):
    """(scene, caption, what it tells): full captions and partial ones in turn."""
    rng = np.random.default_rng([seed, i])
    scene = judge.held_out_scene(rng)
    if (i // 24 + i) % 2:
        return (scene, *world.describe(scene, rng))
    return scene, world.full_caption(scene), set(judge.attributes(scene)) | {"count"}


def prompt_rows(sampler, a, first, last):
    prompts = [prompt(a.seed, i) for i in range(first, last)]
    jobs = [job_of(p[1], i, shape_of(i)) for i, p in zip(range(first, last), prompts)]
    rows = []
    for i, clip, (scene, caption, told) in zip(
        range(first, last), sampler.clips(jobs, a.steps, a.cfg), prompts
    ):
        verdicts, nearest = judge.judge(clip, scene, told)
        rendered = world.clip(nearest, *shape_of(i))
        energy = [measure.gradient_energy(c) for c in (clip, rendered)]
        if i < SAMPLES:
            write_strips(os.path.join(a.keep, f"sample{i:03}.png"), [clip, rendered])
        row = dict(i=i, caption=caption, full=(i // 24 + i) % 2 == 0, shape=shape_of(i))
        rows.append(dict(row, verdicts=verdicts, energy=energy, nearest=nearest))
    return rows


def write_strips(path, clips, columns=9, scale=2):
    """A row of evenly spaced frames for each clip."""
    frames = len(clips[0])
    at = np.unique(np.linspace(0, frames - 1, columns).round().astype(int))
    rows = np.concatenate([np.concatenate(list(c[at]), 1) for c in clips])
    png(path, rows.repeat(scale, 0).repeat(scale, 1))


def shares(rows):
    """{attribute: [right, asked]} of rows of verdicts."""
    found = {}
    for row in rows:
        for key, (told, seen) in row["verdicts"].items():
            right, asked = found.get(key, (0, 0))
            found[key] = (right + (told == seen), asked + 1)
    return found


def prompts_summary(rows):
    moving = [r for r in rows if r["shape"][0] > 1]
    groups = {
        "all": rows,
        "full captions": [r for r in rows if r["full"]],
        "partial captions": [r for r in rows if not r["full"]],
        **{f"{f} frames": [r for r in rows if r["shape"][0] == f] for f in judge.LENGTHS},
        **{f"{w}x{h}": [r for r in rows if r["shape"][1:] == [h, w]] for h, w in judge.SIZES},
    }
    motions = {m: shares([r for r in moving if told(r, "motion") == m]) for m in world.MOTIONS}
    return dict(
        clips=len(rows),
        accuracy={g: shares(part) for g, part in groups.items()},
        motions={m: s["motion"] for m, s in motions.items() if "motion" in s},
        sharpness=sharpness(rows),
    )


def sharpness(rows):
    """Gradient energy made over wanted: {"all": of all pictures together, "median": of one clip}."""
    energy = np.array([r["energy"] for r in rows])
    together = energy.sum(0)
    return dict(all=together[0] / together[1], median=float(np.median(energy[:, 0] / energy[:, 1])))


def told(row, key):
    return row["verdicts"].get(key, (None, None))[0]


# ------------------------------------------------------------------------------ the VAE, the camera


def vae_rows(sampler, a, first, last):
    rows = []
    for i in range(first, last):
        rng = np.random.default_rng([a.seed, 1000000 + i])
        rows.append(world.clip(judge.held_out_scene(rng), *shape_of(i)))
    back = sampler.through_vae(rows)
    return [
        dict(
            shape=shape_of(i),
            psnr=measure.psnr(c, b),
            energy=[measure.gradient_energy(b), measure.gradient_energy(c)],
        )
        for i, c, b in zip(range(first, last), rows, back)
    ]


def vae_summary(rows):
    by_shape = {}
    for row in sorted(rows, key=lambda r: r["shape"]):
        by_shape.setdefault("x".join(map(str, row["shape"])), []).append(row["psnr"])
    means = {k: float(np.mean(v)) for k, v in by_shape.items()}
    return dict(clips=len(rows), psnr=means, worst=min(means.values()), sharpness=sharpness(rows))


def camera_rows(sampler, a, first, last):
    scenes, shapes = [], []
    for i in range(first, last):
        scene = judge.held_out_scene(np.random.default_rng([a.seed, 2000000 + i]))
        scenes.append(dict(scene, camera=("orbits left", "orbits right")[i % 2]))
        shapes.append(((17, 33)[i // 6 % 2],) + judge.SIZES[i % 6])
    jobs = [
        job_of(world.full_caption(s), i, shape)
        for i, s, shape in zip(range(first, last), scenes, shapes)
    ]
    rows = []
    for scene, shape, clip in zip(scenes, shapes, sampler.clips(jobs, a.steps, a.cfg)):
        nearest = judge.judge(clip, scene, set(judge.attributes(scene)))[1]
        offsets = measure.camera_offsets(clip, dict(nearest, camera=scene["camera"]))
        still = measure.camera_offsets(clip, dict(nearest, camera=""))
        rows.append(
            dict(shape=shape, caption=world.full_caption(scene), offsets=offsets, still=still)
        )
    return rows


def camera_summary(rows):
    def within(key):
        offsets = np.array([v for r in rows for v in r[key]], float)
        offsets = offsets[np.isfinite(offsets)]
        return float(np.mean(offsets <= WITHIN)), len(offsets), float(np.median(offsets))

    share, frames, median = within("offsets")
    return dict(
        clips=len(rows), frames=frames, share=share, median=median, still=within("still")[0]
    )


# ------------------------------------------------------------------------------ Frechet distance


def frechet_scene(a, stream, i):
    return judge.held_out_scene(np.random.default_rng([a.seed, 3000000 + stream, i]))


def grow_features(path, count, encoder, make):
    """Features [count, dim] of clips, kept in a .npy file that grows."""
    import features

    rows = np.load(path) if os.path.exists(path) else np.empty((0, encoder.config["dim"]), "f4")
    while len(rows) < count:
        clips = make(len(rows), min(count, len(rows) + 64))
        rows = np.concatenate([rows, features.extract(encoder, clips)])
        np.save(path + ".part.npy", rows)
        os.replace(path + ".part.npy", path)
        print(f"{os.path.basename(path)}: {len(rows)} of {count}", flush=True)
    return rows[:count]


def frechet_part(sampler, a):
    """One cell for each number of steps and guidance; 'floor' is rendered against rendered."""
    import features
    import torch

    torch.set_num_threads(a.threads)
    encoder, shape = features.load(a.features), tuple(a.frechet_shape)
    kept = lambda name: os.path.join(a.keep, f"{digest(a.features)}_{name}.npy")

    def rendered(stream):
        make = lambda i, j: [world.clip(frechet_scene(a, stream, k), *shape) for k in range(i, j)]
        path = kept(f"rendered{stream}")
        return measure.moments(grow_features(path, a.frechet_clips, encoder, make))

    def generated(steps, cfg):
        def make(first, last):
            jobs = []
            for k in range(first, last):
                caption = world.full_caption(frechet_scene(a, 2, k))
                jobs.append(job_of(caption, k, shape))
            return sampler.clips(jobs, steps, cfg)

        path = kept(f"steps{steps}_cfg{cfg:g}")
        return measure.moments(grow_features(path, a.frechet_clips, encoder, make))

    true, cells = rendered(0), []
    floor = measure.frechet(*true, *rendered(1))
    for steps in a.frechet_steps:
        for cfg in a.frechet_cfg:
            distance = measure.frechet(*true, *generated(steps, cfg))
            cells.append(dict(steps=steps, cfg=cfg, distance=distance))
            print(f"Frechet distance at {steps} steps, cfg {cfg:g}: {distance:.3f}", flush=True)
    return dict(clips=a.frechet_clips, shape=list(shape), floor=floor, cells=cells)


# ------------------------------------------------------------------------------ all of it


def run_part(part, sampler, a):
    if part == "frechet":
        return frechet_part(sampler, a)
    count, make, summary = {
        "prompts": (a.prompts, prompt_rows, prompts_summary),
        "vae": (a.vae_clips, vae_rows, vae_summary),
        "camera": (a.camera_clips, camera_rows, camera_summary),
    }[part]
    path = os.path.join(a.keep, part + ".json")
    rows = grow(path, count, lambda first, last: make(sampler, a, first, last))
    return summary(json.loads(json.dumps(rows)))


def sampler_of(a):
    if a.tubelet:
        return sampling.Engine(a.tubelet, a.folder, a.threads)
    return sampling.Reference(a.folder, a.dit, a.vae, a.threads)


def source_of(a):
    """What results are made of; those of another model or setting do not go with them."""
    parts = ("transformer", "text_encoder", "vae")
    files = [os.path.join(a.folder, p, "model.safetensors") for p in parts] if a.folder else []
    files = files or [a.dit, a.vae]
    for f in files + ([a.features] if "frechet" in a.parts else []):
        if not os.path.exists(f):
            sys.exit(f"evaluate.py: {f} does not exist; see --folder, --dit, --vae and --features")
    settings = dict(steps=a.steps, cfg=a.cfg, seed=a.seed, frechet_shape=a.frechet_shape)
    return dict(files=[digest(f) for f in files], engine=bool(a.tubelet), **settings)


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()[:16]


def model_of(a):
    """The transformer's shape, and how many samples it was trained for, where that is known."""
    if a.folder:
        with open(os.path.join(a.folder, "transformer", "config.json")) as f:
            c = json.load(f)
        heads, size = c["num_attention_heads"], c["attention_head_dim"]
        shape = dict(layers=c["num_layers"], heads=heads, ffn=c["ffn_dim"])
        return dict(shape, dim=heads * size, text_dim=c["text_dim"])
    import torch

    saved = torch.load(a.dit)
    text_dim = saved["encoder"]["shared.weight"].shape[1]
    return dict(saved["config"], text_dim=text_dim, samples=saved.get("seen"))


def arguments():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--folder", help="an exported model")
    ap.add_argument("--tubelet", help="sample through this program; wants --folder")
    ap.add_argument("--dit", default="dit.pt", help="without --folder")
    ap.add_argument("--vae", default="vae.pt", help="without --folder")
    ap.add_argument("--out", default="evaluation.json")
    ap.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    ap.add_argument("--prompts", type=int, default=200)
    ap.add_argument("--vae-clips", type=int, default=96)
    ap.add_argument("--camera-clips", type=int, default=24)
    ap.add_argument("--steps", type=int, default=20)
    ap.add_argument("--cfg", type=float, default=3.0)
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--threads", type=int, default=1)
    ap.add_argument("--features", default="features.pt", help="encoder made by features.py")
    ap.add_argument("--frechet-clips", type=int, default=2000)
    ap.add_argument("--frechet-shape", type=int, nargs=3, default=[17, 64, 64])
    ap.add_argument("--frechet-steps", type=int, nargs="+", default=[20])
    ap.add_argument("--frechet-cfg", type=float, nargs="+", default=[3.0])
    a = ap.parse_args()
    if a.tubelet and not a.folder:
        ap.error("--tubelet samples from an exported model; name it with --folder")
    return a


def main():
    a = arguments()
    source = source_of(a)
    a.keep = os.path.splitext(a.out)[0]
    os.makedirs(a.keep, exist_ok=True)
    mark = os.path.join(a.keep, "source.json")
    if read_json(mark, source) != source:
        print(f"{a.keep}: made with another model or other settings; beginning anew", flush=True)
        shutil.rmtree(a.keep)
        os.makedirs(a.keep)
    write_json(mark, source)
    results = read_json(a.out, {})
    results = results if results.get("source") == source else dict(source=source, model=model_of(a))
    sampler = sampler_of(a)
    for part in a.parts:
        results[part] = run_part(part, sampler, a)
        write_json(a.out, results)
    print_table(results)


def print_table(results):
    if "prompts" in results:
        for key, (right, asked) in results["prompts"]["accuracy"]["all"].items():
            print(f"{key:10} {right / asked:.3f}  ({right} of {asked})")
        print(f"sharpness  {results['prompts']['sharpness']['all']:.3f}")
    if "vae" in results:
        print(f"VAE PSNR   {results['vae']['worst']:.2f} dB at the worst size and length")
    if "camera" in results:
        c = results["camera"]
        print(f"camera     {c['share']:.3f} of {c['frames']} frames within {WITHIN} px", end="")
        print(f" ({c['still']:.3f} if it were still)")
    if "frechet" in results:
        print(f"Frechet    {min(c['distance'] for c in results['frechet']['cells']):.3f} at best")


if __name__ == "__main__":
    main()
