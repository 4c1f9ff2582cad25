"""Latents of rendered clips, kept on disk for the transformer's training.

    python3 latents.py --vae vae.pt --out latents --clips 10000

Each shard holds clips of 33 frames of one size. As the VAE is causal, the first latents of such a clip
are those of the shorter clips, too; windows from the middle are what a long video is made of.
Shards are numbered; a stopped run goes on with the next one."""
import argparse
import glob
import json
import os
import time
import numpy as np
import torch
import wan
import world

SIZES = {  # height, width: share of the clips
    (64, 64): 0.31,
    (64, 96): 0.15,
    (96, 64): 0.12,
    (64, 128): 0.12,
    (80, 48): 0.16,
    (96, 96): 0.14,
}
OFTEN = {"spins": 4.0}  # motions drawn more often than others: what moves there is small
FRAMES = 33
SHARD = 100  # clips


def load_vae(path):
    return vae_of(torch.load(path))


def vae_of(saved):
    """The network of a checkpoint."""
    vae = wan.VAE(**saved["config"])
    vae.load_state_dict(saved["model"])
    return vae.eval()


def pixels(clips):
    """uint8 clips of one shape, [n, frames, h, w, 3] or a list, to f32 [n, 3, frames, h, w] in -1..1."""
    return torch.from_numpy(np.asarray(clips)).permute(0, 4, 1, 2, 3).float() / 127.5 - 1


def encode(vae, clips):
    """uint8 [n, frames, h, w, 3] to latents [n, 16, t, h/8, w/8], the means."""
    x = pixels(clips)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        return vae.encode(x)[0].float()


def draw_size(rng, sizes):
    """One of these sizes, as often as SIZES has it."""
    sizes = list(sizes)
    share = np.array([SIZES[s] for s in sizes])
    return sizes[rng.choice(len(sizes), p=share / share.sum())]


def shown(scene, clip):
    """bool [t, h/8, w/8]: the latent cells of a clip [frames, h, w, 3] in which objects are seen."""
    seen = torch.from_numpy(world.shown(scene, clip, *clip.shape[1:3])).float()[None]
    pool = torch.nn.functional.max_pool3d
    first, rest = pool(seen[:, :1], (1, 8, 8)), pool(seen[:, 1:], (4, 8, 8))
    return torch.cat([first, rest], 1)[0].bool().numpy()


def write_shard(vae, folder, number, rng):
    height, width = draw_size(rng, SIZES)
    scenes = [world.training_scene(rng) for _ in range(SHARD)]
    clips = [world.clip(s, FRAMES, height, width) for s in scenes]
    z = np.stack([encode(vae, c[None])[0].half().numpy() for c in clips])
    objects = np.stack([shown(s, c) for s, c in zip(scenes, clips)])
    path = os.path.join(folder, f"{number:05d}.npz")
    with open(path + ".part", "wb") as f:
        np.savez(f, z=z, objects=objects, scenes=json.dumps(scenes))
    os.replace(path + ".part", path)


class Latents:
    """All shards of a folder, by size; look() takes up shards written since."""

    def __init__(self, folder):
        self.folder, self.seen = folder, set()
        self.z, self.objects, self.scenes, self.often = {}, {}, {}, {}
        self.look()

    def look(self):
        for path in sorted(glob.glob(os.path.join(self.folder, "*.npz"))):
            if path in self.seen:
                continue
            shard = np.load(path)
            key = tuple(8 * n for n in shard["z"].shape[3:])
            for table, rows in ((self.z, shard["z"]), (self.objects, shard["objects"])):
                table[key] = np.concatenate([table[key], rows]) if key in table else rows
            scenes = json.loads(str(shard["scenes"]))
            self.scenes.setdefault(key, []).extend(scenes)
            self.often.setdefault(key, []).extend(OFTEN.get(s["motion"], 1.0) for s in scenes)
            self.seen.add(path)

    def count(self):
        return sum(len(s) for s in self.scenes.values())

    def moments(self):
        """(mean, standard deviation) of each channel over everything."""
        rows = [
            z.astype(np.float32).transpose(0, 2, 3, 4, 1).reshape(-1, 16) for z in self.z.values()
        ]
        every = np.concatenate(rows)
        return torch.tensor(every.mean(0)), torch.tensor(every.std(0))

    def draw(self, rng, first, frames, tokens):
        """(latents [n, 16, frames, h, w], cells with objects [n, frames, h, w], their scenes) from latent
        frame `first` on, of one size, of about `tokens` tokens in all."""
        key = draw_size(rng, [k for k in SIZES if k in self.z])
        count = max(1, min(192, tokens // (frames * key[0] * key[1] // 256)))
        share = np.array(self.often[key])
        picks = rng.choice(len(share), size=count, p=share / share.sum())
        span = slice(first, first + frames)
        scenes = [self.scenes[key][i] for i in picks]
        return self.z[key][picks, :, span], self.objects[key][picks, span], scenes


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--vae", default="vae.pt")
    ap.add_argument("--out", default="latents")
    ap.add_argument("--clips", type=int, default=10000)
    a = ap.parse_args()
    torch.set_num_threads(1)
    os.makedirs(a.out, exist_ok=True)
    vae, start = load_vae(a.vae), time.time()
    done = len(glob.glob(os.path.join(a.out, "*.npz")))
    for number in range(done, a.clips // SHARD):
        write_shard(vae, a.out, number, np.random.default_rng(1000 + number))
        print(f"{(number + 1) * SHARD} clips {time.time() - start:.0f}s", flush=True)


if __name__ == "__main__":
    main()
