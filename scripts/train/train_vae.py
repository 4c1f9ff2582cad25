"""Trains the causal video VAE on windows of the synthetic world.

    python3 train_vae.py --minutes 50 --out vae.pt
    python3 train_vae.py --minutes 20 --start vae.pt --out decoder.pt --decoder   # latents stay as they are

Goes on from --out when that exists, until --minutes in all. One thread; the next batch is rendered
beside the step."""
import argparse
import math
import os
import queue
import threading
import numpy as np
import torch
import torch.nn.functional as F
import latents
import optim
import wan
import world
from clock import Clock

# frames, side of the window (0: whole frames), clips a batch
SHAPES = [
    (1, 64, 16),
    (9, 32, 8),
    (9, 48, 4),
    (17, 32, 5),
    (17, 48, 2),
    (33, 32, 3),
    (9, 0, 1),
    (17, 0, 1),
]
IMAGES, CLIPS = SHAPES[:1], SHAPES[1:]
CARE = 4  # further weight of pixels of objects


def window(rng, height, width, side):
    """A random window, half of the time over the middle, where the object is."""
    rows, columns = min(side or height, height), min(side or width, width)
    place = lambda room: int(rng.integers(room + 1))
    top, left = (place(n) for n in (height - rows, width - columns))
    if rng.random() < 0.5:
        top, left = (height - rows) // 2, (width - columns) // 2
    return top, left, rows, columns


def render(rng, frames, height, width, side):
    """(a clip's window, where objects are seen in it)."""
    scene, where = world.training_scene(rng), window(rng, height, width, side)
    clip = world.clip(scene, frames, height, width, window=where)
    return clip, world.shown(scene, clip, height, width, where)


def batch(rng, frames, side, count):
    """([count, 3, frames, rows, columns] in -1..1, weights [count, 1, frames, rows, columns] of the pixels);
    all of one size. Objects are small, and what they are shows in few pixels."""
    height, width = world.CLIP_SIZES[rng.integers(len(world.CLIP_SIZES))]
    side = min(side, height, width) if side else 0
    clips, shown = zip(*(render(rng, frames, height, width, side) for _ in range(count)))
    weight = 1 + CARE * torch.from_numpy(np.stack(shown))[:, None].float()
    return latents.pixels(clips), weight / weight.mean()


class Renderer(threading.Thread):
    """Renders batches ahead; the renderer leaves Python's lock while it works."""

    def __init__(self, shapes):
        super().__init__(daemon=True)
        self.shapes, self.ready, self.over = shapes, queue.Queue(4), False

    def run(self):
        rng = np.random.default_rng()
        while not self.over:
            self.ready.put(batch(rng, *self.shapes[rng.integers(len(self.shapes))]))

    def end(self):
        """Waits for the thread, if it was started: Python aborts when it exits under one that is in torch."""
        self.over = True
        while self.is_alive():
            while not self.ready.empty():
                self.ready.get()
            self.join(0.05)


def differences(x, of=torch.sub):
    """Of neighbours: across, down, in time."""
    across, down = of(x[..., 1:], x[..., :-1]), of(x[..., 1:, :], x[..., :-1, :])
    return across, down, of(x[:, :, 1:], x[:, :, :-1])


def energy(x, side):
    """Mean squared gradient of side x side pixels."""
    across, down = x[..., :-1, 1:] - x[..., :-1, :-1], x[..., 1:, :-1] - x[..., :-1, :-1]
    squares = (across.square() + down.square()).mean(1)
    return F.avg_pool2d(squares.flatten(0, 1)[:, None], side)


def blur(y, x):
    """How much less sharp y is, or more, than x: place by place, where faint edges count as much as strong ones,
    and over wider places in all."""
    faint = lambda z: (energy(z, 4) + 1e-4).sqrt()
    wide = energy(x, 12)
    return F.l1_loss(faint(y), faint(x)) + 0.3 * F.l1_loss(energy(y, 12), wide) / (
        wide.mean() + 1e-3
    )


def distance(y, x, weight):
    """(loss, mean squared error) of a reconstruction. Edges count on their own, and how sharp each place
    is, else they blur. All is measured in the clip's own contrast: what happens at night and in fog is
    to be seen as well."""
    contrast = x.std((1, 2, 3, 4), keepdim=True) + 0.05
    p, q = y / contrast, x / contrast
    apart = zip(differences(p), differences(q), differences(weight, torch.maximum))
    edges = sum(((a - b).abs() * w).mean() for a, b, w in apart if a.numel())
    pixels = 0.3 * ((p - q).square() + (p - q).abs()) * weight
    return pixels.mean() + 0.5 * edges + blur(p, q), F.mse_loss(y, x).item()


def whole_loss(model, x, weight, kl_weight):
    """Of encoder and decoder: reconstruction, and divergence from a standard normal."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mean, log_var = (y.float() for y in model.encode(x))
        y = model.decode(mean + torch.randn_like(mean) * (0.5 * log_var).exp()).float()
    kl = 0.5 * (mean.pow(2) + log_var.exp() - 1 - log_var).mean()
    loss, mse = distance(y, x, weight)
    return loss + kl_weight * kl, mse


def decoder_loss(model, x, weight, noise):
    """Of the decoder alone, from latents with up to `noise` of their deviation added: what the
    transformer makes is never exact, and a decoder that knows it draws sharper."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        with torch.no_grad():
            mean = model.encode(x)[0].float()
        level = noise * torch.rand(len(x), 1, 1, 1, 1) * (torch.rand(len(x), 1, 1, 1, 1) < 0.7)
        deviation = mean.std((0, 2, 3, 4), keepdim=True)
        y = model.decode(mean + level * deviation * torch.randn_like(mean)).float()
    return distance(y, x, weight)


def is_matrix(name, p):
    return p.dim() > 2 and p.flatten(1).shape[1] >= 32 and p.shape[0] >= 32


class Trainer:
    def __init__(self, a):
        self.a, path = a, a.out if os.path.exists(a.out) else a.start
        saved = torch.load(path) if path else {}
        self.config = saved.get("config", dict(dim=a.dim, dec_dim=a.dec_dim, z_dim=16))
        self.model = wan.VAE(**self.config)
        if saved:
            self.model.load_state_dict(saved.get("weights", saved["model"]))
        if a.decoder:
            self.model.encoder.requires_grad_(False)
            self.model.conv1.requires_grad_(False)
        named = self.model.named_parameters()
        self.optimiser = optim.Optimiser(named, is_matrix, a.lr, a.lr / 4, 0.998)
        if path == a.out:
            self.optimiser.load(saved["optimiser"])
        self.before = saved["minutes"] if path == a.out else 0.0

    def loss(self, x, weight):
        if self.a.decoder:
            return decoder_loss(self.model, x, weight, self.a.noise)
        return whole_loss(self.model, x, weight, self.a.kl)

    def save(self, minutes):
        weights = self.model.state_dict()
        state = dict(model={**weights, **self.optimiser.average}, weights=weights)
        state |= dict(config=self.config, decoder=self.a.decoder, minutes=minutes)
        state |= dict(optimiser=self.optimiser.state())
        torch.save(state, self.a.out + ".part")
        os.replace(self.a.out + ".part", self.a.out)


def train(a):
    torch.set_num_threads(1)
    trainer = Trainer(a)
    clock, step, shown = Clock(a.minutes, 120, trainer.before), 0, []
    clips, images = Renderer(SHAPES if a.images else CLIPS), Renderer(IMAGES)
    clips.start()
    if clock.done() < a.images:
        images.start()
    while clock.done() < 1:
        x, weight = (images if clock.done() < a.images else clips).ready.get()
        loss, mse = trainer.loss(x, weight)
        loss.backward()
        step += 1
        trainer.optimiser.step(clock.rate(1.0, step, 50))
        shown.append(mse)
        if step % 100 == 0:
            psnr = -10 * math.log10(np.mean(shown[-100:]) / 4)
            print(f"{clock.minutes():.1f} min step {step} psnr {psnr:.2f}", flush=True)
        if clock.save_is_due():
            trainer.save(clock.minutes())
    trainer.save(clock.minutes())
    clips.end()
    images.end()


def arguments():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--minutes", type=float, default=50)
    ap.add_argument("--out", default="vae.pt")
    ap.add_argument("--start", help="weights to begin with when --out does not exist yet")
    ap.add_argument(
        "--lr", type=float, default=0.01, help="of matrices; a quarter of it for the rest"
    )
    ap.add_argument("--kl", type=float, default=3e-4)
    ap.add_argument("--dim", type=int, default=32)
    ap.add_argument("--dec-dim", type=int, default=48)
    ap.add_argument(
        "--images", type=float, default=0.2, help="share of time on single frames first"
    )
    ap.add_argument(
        "--noise", type=float, default=0.25, help="with --decoder: most of it, in deviations"
    )
    ap.add_argument("--decoder", action="store_true", help="train the decoder alone")
    return ap.parse_args()


if __name__ == "__main__":
    train(arguments())
