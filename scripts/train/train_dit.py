"""Trains the video diffusion transformer by flow matching on latents.

    python3 train_dit.py --latents latents --text text.pt --minutes 60 --out dit.pt

Goes on from --out when that exists, the optimiser's state included, until --minutes in all; latents
written meanwhile are taken up. The rate stays level and falls over the last part (--cool) of the time given."""
import argparse
import os
import numpy as np
import torch
import masks
import optim
import telling
import text
import wan
import world
from clock import Clock
from latents import Latents
from team import Team
from train_text import tokens

# latent frames from the clip's start (0: a window of 5 from its middle), share of the steps
LENGTHS = {1: 0.2, 3: 0.22, 5: 0.36, 9: 0.14, 0: 0.08}
TOKENS = 5120  # of a step


def is_matrix(name, p):
    """The matrices of the blocks; embeddings, the head and norms are Adam's."""
    return p.dim() == 2 and "blocks." in name


def flow_loss(model, features, x0, known, weight, tap=None):
    """Flow matching (Lipman et al. 2022): mean squared error of the velocity noise - x0 at
    (1 - s) x0 + s noise, over latents that are not given. x0 [n,16,t,h,w], known [n,1,t,h,w] 0 or 1,
    weight [n,1,t,h,w] of each cell.
    """
    # what is shown is decided at high noise
    sigma = torch.sigmoid(1.2 * torch.randn(len(x0)) + 0.8)
    s, noise = sigma.view(-1, 1, 1, 1, 1), torch.randn_like(x0)
    x = torch.cat([(1 - s) * x0 + s * noise, known.expand(-1, 4, -1, -1, -1), known * x0], 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        v, middle = (
            model(x, sigma * 1000, features, tap)
            if tap
            else (model(x, sigma * 1000, features), None)
        )
    wanted = ((1 - known) * weight).expand_as(x0)
    return ((v.float() - (noise - x0)) ** 2 * wanted).sum() / wanted.sum().clamp(min=1), middle


class Trainer:
    """The two networks, their optimiser and what is saved of them."""

    def __init__(self, a, data):
        saved = torch.load(a.out) if os.path.exists(a.out) else {}
        shape = dict(dim=a.dim, layers=a.layers, heads=a.heads, ffn=4 * a.dim)
        self.config, self.out = saved.get("config", shape), a.out
        self.mean, self.std = (saved["mean"], saved["std"]) if saved else data.moments()
        self.tokenizer = text.Tokenizer()
        self.encoder = wan.TextEncoder(len(self.tokenizer)).requires_grad_(False)
        self.encoder.load_state_dict((saved or torch.load(a.text))["encoder"])
        self.model = wan.DiT(**self.config)
        torch.nn.init.zeros_(self.model.time_projection[1].weight)
        if a.start and not saved:
            self.begin_with(torch.load(a.start)["model"])
        self.teller, self.tell = telling.Teller(self.config["dim"]), a.tell
        self.parts = torch.nn.ModuleDict(dict(model=self.model, teller=self.teller))
        if saved:
            self.parts.load_state_dict(saved["weights"])
        named = list(self.parts.named_parameters())
        self.optimiser = optim.Optimiser(named, is_matrix, a.lr, a.lr / 10, 0.998)
        self.seen, self.before = saved.get("seen", 0), saved.get("minutes", 0.0)
        if saved:
            self.optimiser.load(saved["optimiser"])

    def begin_with(self, weights):
        """Takes over the weights of another transformer where names and shapes are the same."""
        own = self.model.state_dict()
        own.update({k: w for k, w in weights.items() if k in own and own[k].shape == w.shape})
        self.model.load_state_dict(own)

    def loss(self, rng, z, objects, scenes, care):
        shape = (1, -1, 1, 1, 1)
        x0 = (torch.from_numpy(z).float() - self.mean.view(shape)) / self.std.view(shape)
        captions = ["" if rng.random() < 0.1 else world.describe(s, rng)[0] for s in scenes]
        features = self.encoder(*tokens(self.tokenizer, captions))
        known = np.stack([masks.known(rng, *x0.shape[2:]) for _ in scenes])
        known = torch.from_numpy(known)[:, None]
        weight = 1 + care * torch.from_numpy(objects)[:, None].float()
        tap = len(self.model.blocks) * 5 // 8 if self.tell else None
        loss, middle = flow_loss(self.model, features, x0, known, weight, tap)
        if not self.tell:
            return loss, 0 * loss
        rows = [telling.answers(s) for s in scenes]
        return loss, self.tell * self.teller.loss(middle.float(), rows)

    def save(self, minutes):
        mean = {k: self.optimiser.average.get(k, w) for k, w in self.parts.state_dict().items()}
        model = {k[len("model.") :]: w for k, w in mean.items() if k.startswith("model.")}
        state = dict(config=self.config, mean=self.mean, std=self.std, seen=self.seen)
        state |= dict(model=model, encoder=self.encoder.state_dict(), minutes=minutes)
        state |= dict(weights=self.parts.state_dict(), optimiser=self.optimiser.state())
        torch.save(state, self.out + ".part")
        os.replace(self.out + ".part", self.out)


def batch(rng, data):
    frames = list(LENGTHS)[rng.choice(len(LENGTHS), p=list(LENGTHS.values()))]
    first = 0 if frames else int(rng.integers(1, 5))
    return data.draw(rng, first, frames or 5, TOKENS)


def rate(a, trainer, clock, step):
    """Share of the full rates: warm-up, level, falling at the end; below 0 when the training is over."""
    done = max(clock.done(), trainer.seen / a.samples if a.samples else 0)
    return min(1, (step + 1) / 100, max(0.02, (1 - done) / a.cool)) if done < 1 else -1.0


def work(a, trainer, data, team, rank):
    """One process of the team; rank 0 keeps the time, writes the log and the checkpoints."""
    torch.manual_seed(int.from_bytes(os.urandom(4), "little"))
    rng, clock, step, losses = np.random.default_rng(), Clock(a.minutes, 180, trainer.before), 0, []
    while True:
        share = rate(a, trainer, clock, step)
        z, objects, scenes = batch(rng, data)
        loss, told = trainer.loss(rng, z, objects, scenes, a.care * max(0, share))
        (loss + told).backward()
        count, share = team.share(len(z), share)
        if share < 0:
            break
        trainer.optimiser.step(share)
        losses.append(loss.item())
        step, trainer.seen = step + 1, trainer.seen + count
        if step % 50 == 0 and rank == 0:
            recent = np.mean(losses[-200:])
            print(f"{clock.minutes():.1f} min seen {trainer.seen} loss {recent:.4f}", flush=True)
        if clock.save_is_due():
            data.look()
            if rank == 0:
                trainer.save(clock.minutes())
    if rank == 0:
        trainer.save(clock.minutes())


def train(a):
    torch.set_num_threads(1)
    data = Latents(a.latents)
    trainer = Trainer(a, data)
    team = Team(a.workers, trainer.parts.parameters())
    team.start(lambda rank: work(a, trainer, data, team, rank))


def arguments():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--latents", default="latents", help="folder of latents.py")
    ap.add_argument("--text", default="text.pt", help="text encoder made by train_text.py")
    ap.add_argument("--minutes", type=float, default=60)
    ap.add_argument(
        "--samples", type=int, default=0, help="stop after so many; 0: by the time alone"
    )
    ap.add_argument("--cool", type=float, default=0.3, help="last share, over which the rate falls")
    ap.add_argument(
        "--lr", type=float, default=0.02, help="of matrices; a tenth of it for the rest"
    )
    ap.add_argument("--tell", type=float, default=0.3, help="weight of telling what a clip shows")
    ap.add_argument(
        "--care",
        type=float,
        default=4,
        help="further weight of cells with objects; falls with the rate",
    )
    ap.add_argument("--workers", type=int, default=1, help="processes, one thread each")
    ap.add_argument("--dim", type=int, default=192)
    ap.add_argument("--layers", type=int, default=8)
    ap.add_argument("--heads", type=int, default=6)
    ap.add_argument("--out", default="dit.pt")
    ap.add_argument("--start", help="weights to begin with when --out does not exist yet")
    return ap.parse_args()


if __name__ == "__main__":
    train(arguments())
