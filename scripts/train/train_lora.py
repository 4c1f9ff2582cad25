"""Trains a LoRA that teaches a finished model a shape it has never seen, and writes it in the public format.

    python3 train_lora.py --model examples/tiny --minutes 12 --out examples/tiny/lora/star.safetensors

The model's own weights stay as they are: each linear layer of its attentions and feed-forwards gets
scale * B A x beside W x (Hu et al. 2021), and flow matching trains A and B alone, on clips of the new shape
and, so that nothing else changes, on ordinary ones. Everything is read from the model's folder; a fourth of
the time goes into rendering and encoding. The loss on clips kept apart is printed before and after."""
import argparse
import json
import os
import time
import numpy as np
import torch
import torch.nn as nn
import tensors
import latents
import masks
import sample
import text
import train_dit
import train_text
import world
from clock import Clock

LENGTHS = {1: 0.1, 3: 0.2, 5: 0.5, 9: 0.2}  # latent frames, share of the steps
LAYERS = {"self_attn": "qkvo", "cross_attn": "qkvo", "ffn": "02"}


def config_of(*parts):
    with open(os.path.join(*parts)) as f:
        return json.load(f)


class Model:
    """Transformer, text encoder, VAE and tokenizer of a folder, frozen."""

    def __init__(self, folder):
        self.dit, self.encoder, self.vae, mean, std = sample.load_folder(folder)
        for network in (self.dit, self.encoder, self.vae):
            network.requires_grad_(False)
        self.mean, self.std = mean.view(-1, 1, 1, 1), std.view(-1, 1, 1, 1)
        self.tokenizer = text.Tokenizer()
        pieces = config_of(folder, "tokenizer", "tokenizer.json")["model"]["vocab"]
        self.tokenizer.ids = {piece: i for i, (piece, _) in enumerate(pieces)}

    def latent(self, clip):
        """Normalised, [16, t, h, w], of a uint8 clip."""
        return (latents.encode(self.vae, clip[None])[0] - self.mean) / self.std

    def loss(self, rng, z, objects, captions, care):
        """As train_dit.flow_loss; cells with objects weigh 1 + care."""
        features = self.encoder(*train_text.tokens(self.tokenizer, captions))
        known = np.stack([masks.known(rng, *z.shape[2:]) for _ in captions])
        known, objects = (torch.from_numpy(m)[:, None] for m in (known, objects))
        weight = 1 + care * objects.float()
        return train_dit.flow_loss(self.dit, features, torch.from_numpy(z), known, weight)[0]


# ----------------------------------------------------------------------------------------- LoRA


class Adapted(nn.Module):
    """A frozen linear layer and the low-rank change beside it, which begins as none."""

    def __init__(self, linear, rank, alpha):
        super().__init__()
        self.linear, self.scale = linear, alpha / rank
        self.down = nn.Parameter(torch.randn(rank, linear.in_features) / linear.in_features**0.5)
        self.up = nn.Parameter(torch.zeros(linear.out_features, rank))

    def forward(self, x):
        return self.linear(x) + nn.functional.linear(
            nn.functional.linear(x, self.down), self.up * self.scale
        )


def adapt(dit, rank, alpha):
    """Puts a change beside each linear layer of the blocks: {public name: Adapted}."""
    found = {}
    for i, block in enumerate(dit.blocks):
        for owner, layers in LAYERS.items():
            for layer in layers:
                adapted = Adapted(getattr(getattr(block, owner), layer), rank, alpha)
                setattr(getattr(block, owner), layer, adapted)
                found[f"diffusion_model.blocks.{i}.{owner}.{layer}"] = adapted
    return found


def write(adapted, a):
    found = {}
    for name, layer in adapted.items():
        found[name + ".lora_A.weight"] = layer.down.half()
        found[name + ".lora_B.weight"] = layer.up.half()
        found[name + ".alpha"] = torch.tensor(a.alpha).half()
    os.makedirs(os.path.dirname(a.out) or ".", exist_ok=True)
    tensors.write(a.out, found, dict(format="pt", subject=a.shape, rank=a.rank))


# --------------------------------------------------------------------------------------- clips


def draw_scene(rng, shape, share):
    """A scene whose first object has the new shape, or with the rest of the chance an ordinary one."""
    scene = world.training_scene(rng)
    if rng.random() < share:
        scene["objects"][0]["shape"] = shape
    return scene


class Clips(latents.Latents):
    """As many clips as can be rendered and encoded in the time, at least one of each size."""

    def __init__(self, model, rng, a, seconds):
        self.z, self.objects, self.scenes = {}, {}, {}
        start = time.time()
        while time.time() - start < seconds or len(self.z) < len(latents.SIZES):
            size = latents.draw_size(rng, latents.SIZES)
            scene = draw_scene(rng, a.shape, a.share)
            clip = world.clip(scene, latents.FRAMES, *size)
            self.z.setdefault(size, []).append(model.latent(clip).numpy())
            self.objects.setdefault(size, []).append(latents.shown(scene, clip))
            self.scenes.setdefault(size, []).append(scene)
        self.z = {size: np.stack(z) for size, z in self.z.items()}
        self.objects = {size: np.stack(m) for size, m in self.objects.items()}


def keep_apart(model, a, share):
    """(latents of 17 frames of 64x64, their cells with objects, their captions), never trained on."""
    rng = np.random.default_rng(12345)
    scenes = [draw_scene(rng, a.shape, share) for _ in range(a.kept)]
    clips = [world.clip(s, 17, 64, 64) for s in scenes]
    z = np.stack([model.latent(c).numpy() for c in clips])
    objects = np.stack([latents.shown(s, c) for s, c in zip(scenes, clips)])
    return z, objects, [world.full_caption(s) for s in scenes]


def kept_loss(model, z, objects, captions):
    """The mean over ten draws of noise, levels and masks, the same ones each time."""
    torch.manual_seed(1)
    rng = np.random.default_rng(1)
    with torch.no_grad():
        return float(
            torch.stack([model.loss(rng, z, objects, captions, 0) for _ in range(10)]).mean()
        )


# -------------------------------------------------------------------------------------- training


def train(model, adapted, clips, a, clock, rng):
    parameters = [p for layer in adapted.values() for p in (layer.down, layer.up)]
    optimiser = torch.optim.AdamW(parameters, a.lr, betas=(0.9, 0.99), weight_decay=0)
    seen, step, losses = 0, 0, []
    while clock.done() < 1:
        for g in optimiser.param_groups:
            g["lr"] = clock.rate(a.lr, step, 30)
        frames = list(LENGTHS)[rng.choice(len(LENGTHS), p=list(LENGTHS.values()))]
        z, objects, scenes = clips.draw(rng, 0, frames, a.tokens)
        captions = ["" if rng.random() < 0.1 else world.describe(s, rng)[0] for s in scenes]
        loss = model.loss(rng, z, objects, captions, a.care)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        losses.append(loss.item())
        step, seen = step + 1, seen + len(z)
        if step % 100 == 0:
            print(
                f"{clock.minutes():.1f} min seen {seen} loss {np.mean(losses[-100:]):.4f}",
                flush=True,
            )
        if clock.save_is_due():
            write(adapted, a)
    return f"{step} steps, {seen} samples"


def arguments():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--model", default="examples/tiny", help="the finished model's folder")
    ap.add_argument("--out", default="star.safetensors")
    ap.add_argument("--shape", default="star", choices=world.EXTRA_SHAPES)
    ap.add_argument("--minutes", type=float, default=12)
    ap.add_argument("--rank", type=int, default=8)
    ap.add_argument("--alpha", type=float, default=8.0)
    ap.add_argument("--lr", type=float, default=3e-3)
    ap.add_argument("--tokens", type=int, default=1536, help="of a step")
    ap.add_argument("--share", type=float, default=0.75, help="of clips with the new shape")
    ap.add_argument("--care", type=float, default=4, help="further weight of cells with objects")
    ap.add_argument("--kept", type=int, default=16, help="clips kept apart to measure the loss")
    return ap.parse_args()


def main():
    a = arguments()
    torch.set_num_threads(1)
    rng, clock = np.random.default_rng(0), Clock(a.minutes, 60)
    model = Model(a.model)
    kept = {a.shape if share else "ordinary": keep_apart(model, a, share) for share in (1, 0)}
    before = {k: kept_loss(model, *v) for k, v in kept.items()}
    clips = Clips(model, rng, a, 15 * a.minutes)
    print(f"{clock.minutes():.1f} min {clips.count()} clips", flush=True)
    torch.manual_seed(0)
    adapted = adapt(model.dit, a.rank, a.alpha)
    seen = train(model, adapted, clips, a, clock, rng)
    write(adapted, a)
    for k, v in kept.items():
        print(
            f"loss on {k} clips kept apart: {before[k]:.4f} before, {kept_loss(model, *v):.4f} after"
        )
    print(f"{seen}; {a.out} has {os.path.getsize(a.out)} bytes")


if __name__ == "__main__":
    main()
