"""The video encoder whose features the Frechet distance is taken on, trained on the world itself.

Tubelets of 4x8x8 pixels and a small transformer (as ViViT, arXiv 2103.15691) learn to tell the
attributes of rendered clips, some of them noisy or blurred. Features are the layer before the answers.

    python3 features.py --minutes 10 --out features.pt      (goes on from --out when that exists)
"""
import argparse
import math
import os
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import judge
import latents
import telling
import world
from clock import Clock
from sampling import alike

# frames, height, width and how often
BUCKETS = [
    (17, 64, 64, 0.5),
    (9, 64, 96, 0.15),
    (9, 96, 64, 0.15),
    (33, 64, 64, 0.1),
    (1, 64, 64, 0.1),
]
HEADS = {k: v for k, v in telling.QUESTIONS.items() if k not in telling.AT_PLACES}


def labels(scene):
    """The index of each head's answer."""
    return {k: v.index(telling.answer(scene, k)[0]) for k, v in HEADS.items()}


def waves(n, dim):
    """Positions 0..n-1 as sines and cosines [n, dim]."""
    rate = torch.exp(torch.arange(0, dim, 2) * (-math.log(200.0) / dim))
    angle = torch.arange(n)[:, None] * rate
    return torch.cat([angle.sin(), angle.cos()], 1)


class Encoder(nn.Module):
    """Clips [n, 3, frames, height, width] in -1..1, frames = 4k + 1, to features [n, dim]."""

    def __init__(self, dim=96, layers=4, heads=4):
        super().__init__()
        self.config = dict(dim=dim, layers=layers, heads=heads)
        self.embed = nn.Conv3d(3, dim, (4, 8, 8), (4, 8, 8))
        block = nn.TransformerEncoderLayer(
            dim, heads, 3 * dim, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(block, layers)
        self.last = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, dim), nn.GELU())
        self.answers = nn.ModuleDict({k: nn.Linear(dim, len(v)) for k, v in HEADS.items()})

    def forward(self, x):
        first = x[:, :, :1].expand(-1, -1, 3, -1, -1)
        x = self.embed(torch.cat([first, x], 2))
        n, dim, t, h, w = x.shape
        part = dim // 3
        where = torch.cat(
            [
                waves(t, part)[:, None, None].expand(t, h, w, part),
                waves(h, part)[None, :, None].expand(t, h, w, part),
                waves(w, part)[None, None].expand(t, h, w, part),
            ],
            3,
        )
        x = x.flatten(2).transpose(1, 2) + where.reshape(1, t * h * w, dim)
        return self.last(self.blocks(x).mean(1))

    def told(self, features):
        return {k: head(features) for k, head in self.answers.items()}


def worn(x):
    """Half of a batch blurred or noisy, as generated clips may be."""
    kind = torch.rand(len(x), 1, 1, 1, 1)
    soft = F.avg_pool3d(F.pad(x, (1, 1, 1, 1, 0, 0), mode="replicate"), (1, 3, 3), 1)
    noisy = x + torch.randn_like(x) * 0.1 * torch.rand_like(kind)
    return torch.where(kind < 0.25, soft, torch.where(kind < 0.5, noisy, x))


def batch(rng, size, draw=world.random_scene):
    """(clips, {head: answers})."""
    frames, height, width, _ = BUCKETS[rng.choice(len(BUCKETS), p=[b[3] for b in BUCKETS])]
    scenes = [draw(rng) for _ in range(size)]
    x = latents.pixels([world.clip(s, frames, height, width) for s in scenes])
    rows = [labels(s) for s in scenes]
    return x, {k: torch.tensor([r[k] for r in rows]) for k in HEADS}


def accuracy(model, seed=1, batches=16):
    """Share of right answers on held-out scenes, by head."""
    rng, right = np.random.default_rng(seed), {k: [] for k in HEADS}
    with torch.no_grad():
        for _ in range(batches):
            x, want = batch(rng, 16, judge.held_out_scene)
            for k, logits in model.told(model(x)).items():
                right[k] += (logits.argmax(1) == want[k]).tolist()
    return {k: float(np.mean(v)) for k, v in right.items()}


class Trainer:
    """The encoder and its optimiser; goes on from `path` when that exists."""

    def __init__(self, path, rate):
        saved = torch.load(path) if os.path.exists(path) else {}
        self.path, self.minutes, self.steps = path, saved.get("minutes", 0.0), saved.get("steps", 0)
        self.model = Encoder(**saved.get("config", {}))
        parameters = self.model.parameters()
        self.optimiser = torch.optim.AdamW(parameters, rate, betas=(0.9, 0.98), weight_decay=0.02)
        if saved:
            self.model.load_state_dict(saved["model"])
            self.optimiser.load_state_dict(saved["optimiser"])

    def step(self, rng, rate):
        """One step on rendered clips; the mean loss of all answers."""
        for g in self.optimiser.param_groups:
            g["lr"] = rate
        x, want = batch(rng, 16, world.training_scene)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            told = self.model.told(self.model(worn(x)))
        told = {k: logits.float() for k, logits in told.items()}
        loss = sum(F.cross_entropy(told[k], want[k]) for k in HEADS) / len(HEADS)
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.steps += 1
        return loss.item()

    def save(self, minutes, **notes):
        state = dict(model=self.model.state_dict(), optimiser=self.optimiser.state_dict())
        state |= dict(config=self.model.config, minutes=minutes, steps=self.steps, **notes)
        torch.save(state, self.path + ".part")
        os.replace(self.path + ".part", self.path)


def train(a):
    torch.set_num_threads(1)
    rng, trainer, losses = np.random.default_rng(), Trainer(a.out, a.lr), []
    clock = Clock(a.minutes, 120, trainer.minutes)
    if clock.done() >= 1:
        return
    while clock.done() < 1:
        losses.append(trainer.step(rng, clock.rate(a.lr, trainer.steps, 100)))
        if trainer.steps % 100 == 0:
            recent = np.mean(losses[-100:])
            print(f"{clock.minutes():.1f} min step {trainer.steps} loss {recent:.3f}", flush=True)
        if clock.save_is_due():
            trainer.save(clock.minutes())
    shares = accuracy(trainer.model.eval())
    trainer.save(clock.minutes(), accuracy=shares)
    for head, share in shares.items():
        print(f"{head:10} {share:.3f}")


def load(path):
    saved = torch.load(path)
    model = Encoder(**saved["config"])
    model.load_state_dict(saved["model"])
    return model.eval()


def extract(model, clips, size=16):
    """Features [n, dim] of uint8 clips of any shapes, in their order."""
    out = np.empty((len(clips), model.config["dim"]), np.float32)
    for part in alike([c.shape for c in clips], size):
        with torch.no_grad():
            out[part] = model(latents.pixels([clips[i] for i in part])).numpy()
    return out


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--minutes", type=float, default=10)
    ap.add_argument("--lr", type=float, default=1.5e-3)
    ap.add_argument("--out", default="features.pt")
    train(ap.parse_args())


if __name__ == "__main__":
    main()
