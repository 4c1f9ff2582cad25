"""Trains the text encoder to read captions, before the transformer: it stays as it is from then on.

    python3 train_text.py --minutes 4 --out text.pt

Large video models come with a text encoder that knows from much text which adjective belongs to which noun. Here it
learns that from captions alone: to answer all questions of telling.py from the mean over the words, and to
tell of each word to which object it belongs and where that stands. It reads of stars, which no clip shows.
Goes on from --out when that exists."""
import argparse
import os
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import captions
import judge
import telling
import text
import wan
import world
from clock import Clock

BATCH = 96
TEXT_LENGTH = 32
SHAPES = tuple(world.SHAPES * 2 + world.EXTRA_SHAPES)


def tokens(tokenizer, rows):
    """(ids, mask) [n, TEXT_LENGTH] of captions."""
    rows = [tokenizer(c)[:TEXT_LENGTH] for c in rows]
    ids = torch.zeros(len(rows), TEXT_LENGTH, dtype=torch.long)
    for row, r in zip(ids, rows):
        row[: len(r)] = torch.tensor(r)
    mask = torch.arange(ids.shape[1])[None] < torch.tensor([len(r) for r in rows])[:, None]
    return ids, mask


def roles(marked, scene, mentioned):
    """Of each token: its object (0 none, 1, 2), that one's side and depth (0 unknown or none, 1, 2)."""
    places = telling.PLACES[scene["relation"]] if "relation" in mentioned else {}
    rows = []
    for word in marked.replace(",", " ,").split():
        thing = captions.MARKS.find(word[-1])
        at = [p for p, which in places.items() if which == thing]
        side, depth = (
            next((names.index(p) + 1 for p in at if p in names), 0)
            for names in (telling.SIDES, telling.DEPTHS)
        )
        rows.append((thing + 1, side, depth))
    rows = rows[: TEXT_LENGTH - 1] + [(0, 0, 0)]
    return rows + [(telling.UNTOLD,) * 3] * (TEXT_LENGTH - len(rows))


class Reader(nn.Module):
    """The text encoder, and what it is trained by: answers from the mean of the words, roles from each word."""

    def __init__(self, vocab):
        super().__init__()
        self.encoder, self.teller = wan.TextEncoder(vocab), telling.Teller(wan.TEXT_DIM)
        self.roles = nn.Sequential(nn.LayerNorm(wan.TEXT_DIM), nn.Linear(wan.TEXT_DIM, 9))

    def mean(self, ids, mask):
        features = self.encoder(ids, mask)
        return features, features.sum(1) / mask.sum(1, keepdim=True)

    def loss(self, tokenizer, rng, scenes):
        told = [captions.describe_marked(s, rng) for s in scenes]
        ids, mask = tokens(tokenizer, [captions.unmarked(c) for c, _ in told])
        features, mean = self.mean(ids, mask)
        rows = [telling.answers(s, mentioned) for s, (_, mentioned) in zip(scenes, told)]
        want = torch.tensor([roles(c, s, mentioned) for s, (c, mentioned) in zip(scenes, told)])
        logits = self.roles(features).unflatten(2, (3, 3)).flatten(0, 2)
        return self.teller.loss(mean, rows) + 3 * F.cross_entropy(logits, want.flatten())

    def accuracy(self, tokenizer, scenes):
        """Share of right answers to each question on full captions of these scenes."""
        ids, mask = tokens(tokenizer, [world.full_caption(s) for s in scenes])
        with torch.no_grad():
            told = self.teller.told(self.mean(ids, mask)[1])
        want = torch.tensor([telling.answers(s) for s in scenes]).unbind(1)
        shares = [(t.argmax(1) == w).float().mean().item() for t, w in zip(told, want)]
        return dict(zip(telling.QUESTIONS, shares))


def optimiser_of(reader, rate):
    """Positions have few and large weights: they move ten times as fast."""
    named = list(reader.named_parameters())
    part = lambda where: [p for n, p in named if ("relative_attention_bias" in n) == where]
    groups = [dict(params=part(w), lr=rate * k, pace=k) for w, k in ((True, 10), (False, 1))]
    return torch.optim.Adam(groups, betas=(0.9, 0.98))


def train(a):
    torch.set_num_threads(1)
    rng, tokenizer = np.random.default_rng(), text.Tokenizer()
    saved = torch.load(a.out) if os.path.exists(a.out) else {}
    reader, clock = Reader(len(tokenizer)), Clock(a.minutes, 60, saved.get("minutes", 0.0))
    optimiser, step, losses = optimiser_of(reader, a.lr), 0, []
    if saved:
        reader.load_state_dict(saved["reader"])
        optimiser.load_state_dict(saved["optimiser"])

    def save():
        state = dict(reader=reader.state_dict(), encoder=reader.encoder.state_dict())
        state |= dict(optimiser=optimiser.state_dict(), minutes=clock.minutes())
        torch.save(state, a.out + ".part")
        os.replace(a.out + ".part", a.out)

    while clock.done() < 1:
        for g in optimiser.param_groups:
            g["lr"] = g["pace"] * clock.rate(a.lr, step, 20)
        loss = reader.loss(
            tokenizer, rng, [world.training_scene(rng, SHAPES) for _ in range(BATCH)]
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
        step += 1
        if step % 50 == 0:
            recent = np.mean(losses[-50:])
            print(f"{clock.minutes():.1f} min step {step} loss {recent:.4f}", flush=True)
        if clock.save_is_due():
            save()
    if step or not saved:
        save()
    scenes = [judge.held_out_scene(rng) for _ in range(500)]
    for question, share in reader.accuracy(tokenizer, scenes).items():
        print(f"{question:14} {share:.3f}")


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--minutes", type=float, default=4)
    ap.add_argument("--lr", type=float, default=2e-3)
    ap.add_argument("--out", default="text.pt")
    train(ap.parse_args())


if __name__ == "__main__":
    main()
