"""Samples clips from a trained model with plain Euler steps.

    python3 sample.py --sheet sheet.png --prompt "a large red ball bounces on the grass by day" ...
    python3 sample.py --reference reference.safetensors    (everything of one run, to compare with;
                                                            with --known 1, of one that goes on)
"""
import argparse
import json
import os
import numpy as np
import torch
import latents
import tensors
import text
import train_text
import wan
import world
from pictures import png


def networks(transformer, text_encoder, vae, weights):
    """The three networks of these configurations, with the three tables of weights, in f32."""
    made = wan.DiT(**transformer), wan.TextEncoder(**text_encoder), wan.VAE(**vae)
    for module, table in zip(made, weights):
        module.load_state_dict(
            {k: torch.as_tensor(w).half().float() for k, w in table.items()}
        )  # as exported
    return [m.eval() for m in made]


def load(dit, vae):
    """(transformer, text encoder, VAE, mean, standard deviation) of two checkpoints."""
    d, v = torch.load(dit), torch.load(vae)
    width = d["encoder"]["shared.weight"].shape
    transformer = dict(d["config"], text_dim=width[1])
    weights = d["model"], d["encoder"], v["model"]
    return *networks(transformer, dict(vocab=width[0]), v["config"], weights), d["mean"], d["std"]


def load_folder(path):
    """The same of an exported folder."""
    read = lambda part: json.load(open(os.path.join(path, part, "config.json")))
    t, e, v = read("transformer"), read("text_encoder"), read("vae")
    heads, size = t["num_attention_heads"], t["attention_head_dim"]
    transformer = dict(dim=heads * size, layers=t["num_layers"], heads=heads, ffn=t["ffn_dim"])
    transformer |= dict(text_dim=t["text_dim"])
    encoder = dict(vocab=e["vocab_size"], dim=e["d_model"], layers=e["num_layers"])
    encoder |= dict(heads=e["num_heads"], d_kv=e["d_kv"], d_ff=e["d_ff"])
    codec = dict(dim=v["base_dim"], dec_dim=v["decoder_base_dim"], z_dim=v["z_dim"])
    files = [
        os.path.join(path, p, "model.safetensors") for p in ("transformer", "text_encoder", "vae")
    ]
    made = networks(transformer, encoder, codec, [tensors.read(f) for f in files])
    return *made, torch.tensor(v["latents_mean"]), torch.tensor(v["latents_std"])


def sigmas(steps, shift):
    s = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    return (shift * s / (1 + (shift - 1) * s)).float()


def features(encoder, prompts):
    ids, mask = train_text.tokens(text.Tokenizer(), prompts)
    return ids, encoder(ids, mask)


def noise_of(seed, n, shape):
    return torch.randn(n, 16, *shape, generator=torch.Generator().manual_seed(seed))


def sample(model, encoder, prompts, noise, steps=20, cfg=3.0, shift=3.0, given=None):
    """Latents [n,16,t,h,w] and all states, from the noise; given: (mask [t], known [16,t,h,w])."""
    n, x, shape = len(prompts), noise, noise.shape[2:]
    mask = torch.zeros(1, 1, shape[0], 1, 1) if given is None else given[0].reshape(1, 1, -1, 1, 1)
    known = torch.zeros(1, 16, *shape) if given is None else mask * given[1][None]
    extra = torch.cat([mask.expand(n, 4, -1, *shape[1:]), known.expand(n, -1, -1, -1, -1)], 1)
    guided = cfg != 1
    ids, both = features(encoder, list(prompts) + [""] * n * guided)
    s, states = sigmas(steps, shift), [x]
    for a, b in zip(s[:-1], s[1:]):
        inp = torch.cat([x, extra], 1)
        inp = torch.cat([inp, inp]) if guided else inp
        v = model(inp, torch.full((len(inp),), float(a) * 1000), both)
        cond, uncond = v[:n], v[-n:]
        x = x + (b - a) * (uncond + cfg * (cond - uncond))
        x = x * (1 - mask) + ((1 - b) * known + b * states[0]) * mask
        states.append(x)
    return x, states, ids, both


def write_sheet(path, video):
    """A row for each clip, about eight frames each, twice the size."""
    pixels = ((video.permute(0, 2, 3, 4, 1) + 1) * 127.5).round().byte().numpy()
    frames = pixels[:, :: max(1, pixels.shape[1] // 8)]
    rows = np.concatenate([np.concatenate(list(f), 1) for f in frames])
    png(path, np.ascontiguousarray(rows.repeat(2, 0).repeat(2, 1)))


def write_reference(path, a, states, ids, features, video, given):
    steps = {f"latent.{i}": s for i, s in enumerate(states)}
    schedule = sigmas(a.steps, a.shift)
    found = dict(ids=ids.int(), text=features, sigmas=schedule, video=video, **steps)
    if given:
        found |= dict(mask=given[0], known=given[0].view(1, -1, 1, 1) * given[1])
    meta = dict(prompt=a.prompt[0], steps=a.steps, cfg=a.cfg, shift=a.shift, sampler="euler")
    tensors.write(path, found, meta)


def given_frames(codec, mean, std, a, shape):
    """(mask [t], known [16,t,h,w]): the first a.known latent frames of a rendered clip."""
    scene = world.random_scene(np.random.default_rng(a.seed))
    clip = world.clip(scene, 4 * shape[0] - 3, 8 * shape[1], 8 * shape[2])
    axes = (1, -1, 1, 1, 1)
    z = (codec.encode(latents.pixels([clip]))[0] - mean.view(axes)) / std.view(axes)
    return (torch.arange(shape[0]) < a.known).float(), z[0]


def arguments():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--dit", default="dit.pt")
    ap.add_argument("--vae", default="vae.pt")
    ap.add_argument("--folder", help="an exported model instead of the two checkpoints")
    ap.add_argument("--prompt", nargs="+", default=["a large red ball bounces on the grass by day"])
    ap.add_argument("--frames", type=int, default=17)
    ap.add_argument("--size", default="64x64", help="width x height")
    ap.add_argument("--steps", type=int, default=20)
    ap.add_argument("--cfg", type=float, default=3.0)
    ap.add_argument("--shift", type=float, default=3.0)
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument(
        "--known", type=int, default=0, help="latent frames given, from a rendered clip"
    )
    ap.add_argument("--sheet", help="write frames of every prompt to this PNG")
    ap.add_argument(
        "--reference", help="write the first prompt's whole run to this safetensors file"
    )
    return ap.parse_args()


def main():
    a = arguments()
    width, height = map(int, a.size.split("x"))
    shape = ((a.frames - 1) // 4 + 1, height // 8, width // 8)
    model, encoder, codec, mean, std = load_folder(a.folder) if a.folder else load(a.dit, a.vae)
    prompts = a.prompt[:1] if a.reference else a.prompt
    axes = (1, -1, 1, 1, 1)
    with torch.no_grad():
        given = given_frames(codec, mean, std, a, shape) if a.known else None
        noise = noise_of(a.seed, len(prompts), shape)
        x, states, ids, both = sample(
            model, encoder, prompts, noise, a.steps, a.cfg, a.shift, given
        )
        video = codec.decode(x * std.view(axes) + mean.view(axes)).clamp(-1, 1)
    if a.reference:
        write_reference(a.reference, a, states, ids, both, video, given)
    if a.sheet:
        write_sheet(a.sheet, video)


if __name__ == "__main__":
    main()
