"""The video encoder whose features the Frechet distance is taken on, trained on the world itself.

Tubelets of 4x8x8 pixels and a small transformer (as ViViT, arXiv 2103.15691) learn to tell the
attributes of rendered clips, some of them noisy or blurred. Features are the layer before the answers.

    python3 features.py --minutes 10 --out features.pt
"""
import argparse
import math
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import judge
import world
from clock import Clock

# frames, height, width and how often
BUCKETS = [
    (17, 64, 64, 0.5),
    (9, 64, 96, 0.15),
    (9, 96, 64, 0.15),
    (33, 64, 64, 0.1),
    (1, 64, 64, 0.1),
]
NONE = "none"
HEADS = {
    **{k: v for k, v in judge.OF_OBJECTS.items()},
    **{k + "2": v + [NONE] for k, v in judge.OF_OBJECTS.items()},
    **{k: v for k, v in judge.OF_SCENES.items()},
    "relation": judge.OF_SCENES["relation"] + [NONE],
    "motion": world.MOTIONS,
}


def labels(scene):
    """The index of each head's answer."""
    has = set(judge.attributes(scene))
    return {k: v.index(judge.value(scene, k) if k in has else NONE) for k, v in HEADS.items()}


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


def tensor(clips):
    """uint8 clips of one shape [n, f, h, w, 3] to the encoder's input."""
    return torch.from_numpy(np.stack(clips)).permute(0, 4, 1, 2, 3).float() / 127.5 - 1


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
    x = tensor([world.clip(s, frames, height, width) for s in scenes])
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


def train(a):
    torch.manual_seed(a.seed)
    torch.set_num_threads(1)
    rng, model = np.random.default_rng(a.seed), Encoder()
    optimiser = torch.optim.AdamW(model.parameters(), a.lr, betas=(0.9, 0.98), weight_decay=0.02)
    clock, step, losses = Clock(a.minutes, 120), 0, []
    while clock.done() < 1:
        for g in optimiser.param_groups:
            g["lr"] = clock.rate(a.lr, step, 100)
        x, want = batch(rng, 16, world.training_scene)
        told = model.told(model(worn(x)))
        loss = sum(F.cross_entropy(told[k], want[k]) for k in HEADS) / len(HEADS)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        losses.append(loss.item())
        step += 1
        if step % 100 == 0:
            print(f"{step} {clock.seconds():.0f}s loss {np.mean(losses[-100:]):.3f}", flush=True)
        if clock.save_is_due():
            save(model, a.out)
    save(model.eval(), a.out, accuracy=accuracy(model))


def save(model, path, **notes):
    torch.save(dict(model=model.state_dict(), config=model.config, **notes), path)


def load(path):
    saved = torch.load(path)
    model = Encoder(**saved["config"])
    model.load_state_dict(saved["model"])
    return model.eval()


def extract(model, clips, size=16):
    """Features [n, dim] of uint8 clips of any shapes, in their order."""
    out = np.empty((len(clips), model.config["dim"]), np.float32)
    for shape in {c.shape for c in clips}:
        at = [i for i, c in enumerate(clips) if c.shape == shape]
        for i in range(0, len(at), size):
            part = at[i : i + size]
            with torch.no_grad():
                out[part] = model(tensor([clips[j] for j in part])).numpy()
    return out


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--minutes", type=float, default=10)
    ap.add_argument("--lr", type=float, default=1.5e-3)
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--out", default="features.pt")
    a = ap.parse_args()
    train(a)
    for head, share in torch.load(a.out)["accuracy"].items():
        print(f"{head:10} {share:.3f}")


if __name__ == "__main__":
    main()
