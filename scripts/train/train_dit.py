"""Trains the video diffusion transformer and its text encoder by flow matching on latents.

    python3 train_dit.py encode --vae vae.pt --clips 2500 --seed 1 --out latents1.npz
    python3 train_dit.py train --latents latents*.npz --minutes 60 --out dit.pt
"""
import argparse
import copy
import json
import time
import numpy as np
import torch
import text
import wan
import world
from clock import Clock

# frames, height, width and how often: squares, wide, tall, short, a single image
BUCKETS = [
    (17, 64, 64, 0.5),
    (17, 64, 96, 0.15),
    (17, 96, 64, 0.15),
    (9, 64, 64, 0.1),
    (1, 64, 64, 0.1),
]
TEXT_LENGTH = 32


def encode(a):
    saved = torch.load(a.vae)
    vae = wan.VAE(**saved["config"])
    vae.load_state_dict(saved["model"])
    rng, start = np.random.default_rng(a.seed), time.time()
    names = [str(b) for b in range(len(BUCKETS))]
    latents, scenes = {b: [] for b in names}, {b: [] for b in names}
    with torch.no_grad():
        for i in range(a.clips):
            b = rng.choice(len(BUCKETS), p=[k[3] for k in BUCKETS])
            scene = world.training_scene(rng)
            clip = torch.from_numpy(world.clip(scene, *BUCKETS[b][:3]))
            x = clip.permute(3, 0, 1, 2)[None].float() / 127.5 - 1
            latents[str(b)].append(vae.encode(x)[0][0].half().numpy())
            scenes[str(b)].append(scene)
            if i % 200 == 199:
                print(i + 1, f"{time.time() - start:.0f}s", flush=True)
    arrays = {"z" + b: np.stack(v) for b, v in latents.items() if v}
    np.savez(a.out, scenes=json.dumps(scenes), **arrays)


def load_latents(paths):
    """(latents [n,16,t,h,w] by bucket, their scenes, mean [16], standard deviation [16])."""
    z, scenes = {}, {}
    for path in paths:
        f = np.load(path)
        words = json.loads(str(f["scenes"]))
        for b in range(len(BUCKETS)):
            if f"z{b}" in f:
                z[b] = np.concatenate([z[b], f[f"z{b}"]]) if b in z else f[f"z{b}"]
                scenes.setdefault(b, []).extend(words[str(b)])
    rows = [v.astype(np.float32).transpose(0, 2, 3, 4, 1).reshape(-1, 16) for v in z.values()]
    every = np.concatenate(rows)
    return z, scenes, torch.tensor(every.mean(0)), torch.tensor(every.std(0))


def known_frames(rng, frames):
    """Latent frames that are given: none (text-to-video), the first or last ones, or both ends."""
    m = np.zeros(frames, np.float32)
    if frames == 1 or (kind := rng.random()) < 0.5:
        return m
    k = int(rng.integers(1, max(2, frames // 2 + 1)))
    if kind < 0.7:
        m[0] = 1
    elif kind < 0.8:
        m[:k] = 1
    elif kind < 0.9:
        m[-k:] = 1
    else:
        m[0] = m[-1] = 1
    return m


def tokens(tokenizer, captions):
    """(ids, mask) [n, TEXT_LENGTH]. As in Wan, padded rows are zero features, attended as well."""
    rows = [tokenizer(c)[:TEXT_LENGTH] for c in captions]
    ids = torch.zeros(len(rows), TEXT_LENGTH, dtype=torch.long)
    for row, r in zip(ids, rows):
        row[: len(r)] = torch.tensor(r)
    mask = torch.arange(ids.shape[1])[None] < torch.tensor([len(r) for r in rows])[:, None]
    return ids, mask


class Trainer:
    def __init__(self, a, mean, std):
        self.config = dict(dim=a.dim, layers=a.layers, heads=a.heads, ffn=4 * a.dim)
        self.tokenizer, self.mean, self.std = text.Tokenizer(), mean, std
        self.model, self.encoder = wan.DiT(**self.config), wan.TextEncoder(len(self.tokenizer))
        if a.resume:
            saved = torch.load(a.resume)
            self.model.load_state_dict(saved["model"])
            self.encoder.load_state_dict(saved["encoder"])
            self.mean, self.std = saved["mean"], saved["std"]
        self.params = list(self.model.parameters()) + list(self.encoder.parameters())
        self.optimiser = torch.optim.AdamW(self.params, a.lr, betas=(0.9, 0.99), weight_decay=0.01)
        # running averages of all weights: these are what is saved
        self.ema, self.ema_encoder = copy.deepcopy(self.model), copy.deepcopy(self.encoder)
        self.averages = list(self.ema.parameters()) + list(self.ema_encoder.parameters())

    def loss(self, rng, z, scenes):
        """Flow matching: velocity noise - x0 at (1 - s) x0 + s noise, on the frames not given."""
        shape = (1, -1, 1, 1, 1)
        x0 = (torch.from_numpy(z).float() - self.mean.view(shape)) / self.std.view(shape)
        captions = ["" if rng.random() < 0.1 else world.describe(s, rng)[0] for s in scenes]
        known = np.stack([known_frames(rng, x0.shape[2]) for _ in scenes])
        known = torch.from_numpy(known)[:, None, :, None, None]
        sigma = torch.sigmoid(torch.randn(len(scenes)) + 0.5)
        s, noise = sigma.view(-1, 1, 1, 1, 1), torch.randn_like(x0)
        x = torch.cat(
            [(1 - s) * x0 + s * noise, known.expand(-1, 4, -1, *x0.shape[3:]), known * x0], 1
        )
        v = self.model(x, sigma * 1000, self.encoder(*tokens(self.tokenizer, captions)))
        count = (1 - known).sum() * x0.shape[1] * x0.shape[3] * x0.shape[4]
        return ((v - (noise - x0)) ** 2 * (1 - known)).sum() / count.clamp(min=1)

    def step(self, loss, step):
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.params, 1.0)
        self.optimiser.step()
        decay = min(0.999, (step + 1) / (step + 10))
        with torch.no_grad():
            for average, p in zip(self.averages, self.params):
                average.lerp_(p, 1 - decay)

    def save(self, path):
        weights = dict(model=self.ema.state_dict(), encoder=self.ema_encoder.state_dict())
        torch.save(dict(config=self.config, mean=self.mean, std=self.std, **weights), path)


def train(a):
    torch.manual_seed(0)
    rng = np.random.default_rng(int(time.time()))
    z, scenes, mean, std = load_latents(a.latents)
    trainer = Trainer(a, mean, std)
    order = sorted(z)
    share = np.array([BUCKETS[b][3] for b in order])
    clock, step, losses = Clock(a.minutes, 300), 0, []
    while clock.done() < 1:
        for g in trainer.optimiser.param_groups:
            g["lr"] = clock.rate(a.lr, step, 200)
        b = order[rng.choice(len(order), p=share / share.sum())]
        pick = rng.integers(len(z[b]), size=a.batch)
        loss = trainer.loss(rng, z[b][pick], [scenes[b][i] for i in pick])
        trainer.step(loss, step)
        losses.append(loss.item())
        step += 1
        if step % 100 == 0:
            recent = np.mean(losses[-100:])
            print(
                f"{step} {clock.seconds():.0f}s seen {step * a.batch} loss {recent:.4f}", flush=True
            )
        if clock.save_is_due():
            trainer.save(a.out)
    trainer.save(a.out)


def arguments():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    sub = ap.add_subparsers(dest="job", required=True)
    e = sub.add_parser("encode", help="render clips and keep their latents")
    e.add_argument("--vae", default="vae.pt")
    e.add_argument("--clips", type=int, default=2500)
    e.add_argument("--seed", type=int, default=1)
    e.add_argument("--out", default="latents.npz")
    t = sub.add_parser("train", help="train on kept latents")
    t.add_argument("--latents", nargs="+", default=["latents.npz"])
    t.add_argument("--minutes", type=float, default=60)
    t.add_argument("--batch", type=int, default=16)
    t.add_argument("--lr", type=float, default=8e-4)
    t.add_argument("--dim", type=int, default=192)
    t.add_argument("--layers", type=int, default=8)
    t.add_argument("--heads", type=int, default=6)
    t.add_argument("--out", default="dit.pt")
    t.add_argument("--resume", help="go on from this file")
    return ap.parse_args()


if __name__ == "__main__":
    args = arguments()
    encode(args) if args.job == "encode" else train(args)
