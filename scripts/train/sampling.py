"""Clips from a trained model: through the engine, as users get them, or through the reference sampler.

Both kinds of sampler have clips(jobs, steps, cfg) and through_vae(clips), with uint8 clips
[frames, height, width, 3]. A job is a dict of prompt, seed, frames, height, width.
"""
import json
import os
import subprocess
import sys
import tempfile
import numpy as np
import tensors

AT_ONCE = 16  # clips in one run of the engine
BATCH = 48  # clips at once in PyTorch


def to_bytes(x):
    """Colours 0..1 to uint8."""
    return np.rint(np.clip(x, 0, 1) * 255).astype(np.uint8)


def only(table):
    (value,) = table.values()
    return value


def node(kind, **inputs):
    return {"class_type": kind, "inputs": inputs}


def pieces(rows, size):
    return [rows[i : i + size] for i in range(0, len(rows), size)]


def alike(keys, size):
    """Places of keys, at most `size` together, and those all of one key."""
    places = {}
    for i, key in enumerate(keys):
        places.setdefault(key, []).append(i)
    return [part for rows in places.values() for part in pieces(rows, size)]


class Engine:
    """The program `tubelet` and an exported model folder."""

    def __init__(self, program, model, threads=1):
        self.program, self.model = os.path.abspath(program), os.path.abspath(model)
        self.threads = threads

    def run(self, graph, inputs=()):
        """Runs a graph that saves tensors 0, 1, ...; `inputs` are clips it loads as in0, in1, ..."""
        with tempfile.TemporaryDirectory() as folder:
            for i, clip in enumerate(inputs):
                tensors.write(f"{folder}/in{i}.safetensors", dict(tensor=clip / np.float32(255)))
            with open(f"{folder}/graph.json", "w") as f:
                json.dump(graph, f)
            command = [self.program, "run", "graph.json", "--no-store"]
            command += ["--threads", str(self.threads)]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
            if done.returncode:
                sys.exit(f"{self.program} failed:\n{done.stderr[-2000:]}")
            count = sum(n["class_type"] == "save_tensor" for n in graph.values())
            return [to_bytes(only(tensors.read(f"{folder}/{i}.safetensors"))) for i in range(count)]

    def graph(self):
        return {"m": node("load_model", path=self.model)}

    def sampling_graph(self, jobs, steps, cfg):
        g = self.graph()
        g["negative"] = node("text_encode", clip=["m", 1], text="")
        for i, job in enumerate(jobs):
            size = f"{job['width']}x{job['height']}"
            g[f"noise{i}"] = node(
                "noise_init", model=["m", 0], size=size, frames=job["frames"], seed=job["seed"]
            )
            g[f"text{i}"] = node("text_encode", clip=["m", 1], text=job["prompt"])
            g[f"latent{i}"] = node(
                "sample",
                model=["m", 0],
                latent=[f"noise{i}", 0],
                positive=[f"text{i}", 0],
                negative=["negative", 0],
                steps=steps,
                cfg=cfg,
            )
            g[f"video{i}"] = node("vae_decode", vae=["m", 2], latent=[f"latent{i}", 0])
            g[f"save{i}"] = node("save_tensor", value=[f"video{i}", 0], path=f"{i}.safetensors")
        return g

    def clips(self, jobs, steps, cfg):
        parts = pieces(jobs, AT_ONCE)
        return [c for part in parts for c in self.run(self.sampling_graph(part, steps, cfg))]

    def through_vae(self, clips):
        made = []
        for part in pieces(clips, AT_ONCE):
            g = self.graph()
            for i in range(len(part)):
                g[f"in{i}"] = node("load_tensor", path=f"in{i}.safetensors", **{"as": "IMAGE"})
                g[f"latent{i}"] = node("vae_encode", vae=["m", 2], image=[f"in{i}", 0])
                g[f"out{i}"] = node("vae_decode", vae=["m", 2], latent=[f"latent{i}", 0])
                g[f"save{i}"] = node("save_tensor", value=[f"out{i}", 0], path=f"{i}.safetensors")
            made += self.run(g, part)
        return made


class Reference:
    """An exported folder, or two checkpoints, and the Euler sampler of sample.py, in PyTorch."""

    def __init__(self, folder, dit, vae, threads=1):
        import torch
        import latents
        import sample

        torch.set_num_threads(threads)
        self.torch, self.sampler, self.to_tensor = torch, sample, latents.pixels
        loaded = sample.load_folder(folder) if folder else sample.load(dit, vae)
        self.model, self.encoder, self.codec, mean, std = loaded
        self.mean, self.std = mean.view(1, -1, 1, 1, 1), std.view(1, -1, 1, 1, 1)

    def pixels(self, video):
        """[3, f, h, w] in -1..1 to a clip."""
        return to_bytes((video.permute(1, 2, 3, 0).numpy() + 1) / 2)

    def batch(self, jobs, steps, cfg):
        """Clips of jobs of one shape, at once; each has the noise of its own seed."""
        job = jobs[0]
        shape = ((job["frames"] - 1) // 4 + 1, job["height"] // 8, job["width"] // 8)
        noise = self.torch.cat([self.sampler.noise_of(j["seed"], 1, shape) for j in jobs])
        with self.torch.no_grad(), self.torch.autocast("cpu", dtype=self.torch.bfloat16):
            prompts = [j["prompt"] for j in jobs]
            x = self.sampler.sample(self.model, self.encoder, prompts, noise, steps, cfg)[0].float()
            return [self.pixels(v) for v in self.codec.decode(x * self.std + self.mean).float()]

    def clips(self, jobs, steps, cfg):
        made = [None] * len(jobs)
        for part in alike([(j["frames"], j["height"], j["width"]) for j in jobs], BATCH):
            for i, clip in zip(part, self.batch([jobs[i] for i in part], steps, cfg)):
                made[i] = clip
        return made

    def through_vae(self, clips):
        made = []
        for clip in clips:
            x = self.to_tensor([clip])
            with self.torch.no_grad():
                made.append(self.pixels(self.codec.decode(self.codec.encode(x)[0])[0]))
        return made
