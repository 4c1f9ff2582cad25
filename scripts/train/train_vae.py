"""Trains the causal video VAE on random crops of the synthetic world.

    python3 train_vae.py --minutes 50 --out vae.pt
"""
import argparse
import math
import time
import numpy as np
import torch
import torch.nn.functional as F
import world
import wan
from clock import Clock

SIDE = 32  # of the crops


def batch(rng, size, frames):
    """Random crops: [size, 3, frames, SIDE, SIDE] in [-1, 1]."""
    rows = []
    for _ in range(size):
        full = int(rng.choice([64, 64, 80, 96]))
        c = world.clip(world.random_scene(rng), frames, full, full)
        # half of the crops look at the middle, where the object is
        middle, room = (full - SIDE) // 2, full - SIDE + 1
        y, x = (rng.integers(room) if rng.random() < 0.5 else middle for _ in range(2))
        rows.append(c[:, y : y + SIDE, x : x + SIDE])
    return torch.from_numpy(np.stack(rows)).permute(0, 4, 1, 2, 3).float() / 127.5 - 1


def edges(x):
    return x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :], x[:, :, 1:] - x[:, :, :-1]


def losses(model, x):
    """(reconstruction loss, divergence from a standard normal, the reconstruction itself)."""
    mean, log_var = model.encode(x)
    y = model.decode(mean + torch.randn_like(mean) * (0.5 * log_var).exp())
    sharp = sum((p - q).abs().mean() for p, q in zip(edges(y), edges(x)) if p.numel())
    kl = 0.5 * (mean.pow(2) + log_var.exp() - 1 - log_var).mean()
    return (y - x).abs().mean() + 0.5 * sharp, kl, y


def arguments():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--minutes", type=float, default=50)
    ap.add_argument("--out", default="vae.pt")
    ap.add_argument("--resume", help="go on from this file")
    ap.add_argument("--lr", type=float, default=1.5e-3)
    ap.add_argument("--dim", type=int, default=32)
    ap.add_argument(
        "--images", type=float, default=0.3, help="share of time on single frames first"
    )
    ap.add_argument("--frames", type=int, nargs="+", default=[5, 9, 9, 17], help="clip lengths")
    return ap.parse_args()


def main():
    a = arguments()
    torch.manual_seed(0)
    rng, config = np.random.default_rng(int(time.time())), dict(dim=a.dim, dec_dim=a.dim, z_dim=16)
    model = wan.VAE(**config)
    if a.resume:
        model.load_state_dict(torch.load(a.resume)["model"])
    optimiser = torch.optim.Adam(model.parameters(), a.lr, betas=(0.9, 0.99))
    lengths = [(72 // n, n) for n in a.frames]  # clips per batch, frames per clip
    clock, step = Clock(a.minutes, 120), 0
    while (done := clock.done()) < 1:
        for g in optimiser.param_groups:
            g["lr"] = clock.rate(a.lr, step, 100)
        # space first, then time: single frames cost a ninth of a clip
        single = done < a.images or step % 6 == 0
        x = batch(rng, *((32, 1) if single else lengths[rng.integers(len(lengths))]))
        recon, kl, y = losses(model, x)
        optimiser.zero_grad()
        (recon + 2e-4 * kl).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        step += 1
        if step % 50 == 1:
            psnr = -10 * math.log10(F.mse_loss(y, x).item() / 4)
            text = f"{step} {clock.seconds():.0f}s recon {recon.item():.4f} kl {kl.item():.2f}"
            print(f"{text} psnr {psnr:.2f}", flush=True)
        if clock.save_is_due():
            torch.save(dict(model=model.state_dict(), config=config), a.out)
    torch.save(dict(model=model.state_dict(), config=config), a.out)


if __name__ == "__main__":
    main()
