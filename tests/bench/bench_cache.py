#!/usr/bin/env python3
"""What step caching costs and saves on the bundled model: steps reused, PSNR of the frames against the run
without it, and time as a share of that run's: of the whole, and of its steps after the first alone.

    TUBELET_BIN=build/release/tubelet python3 tests/bench/bench_cache.py [STEPS [SAMPLER]]

Processor time, not the clock: it says the same on a busy machine. Three prompts, pooled.
"""
import json
import math
import os
import re
import resource
import struct
import subprocess
import sys
import tempfile

GRAPH = """
local tb = require "tubelet"
return tb.graph {
  params = { prompt = tb.string { default = "" }, seed = tb.int { default = 1 }, steps = tb.int { default = 20 },
             sampler = tb.string { default = "euler" }, cache = tb.float { default = 0.0 },
             residual = tb.string { default = "none" }, out = tb.path { default = "out.safetensors" } },
  build = function(p)
    local m = tb.load_model {}
    local z = tb.sample { model = m.model, steps = p.steps, sampler = p.sampler, cfg = 4, cache = p.cache,
      cache_residual = p.residual,
      latent = tb.noise_init { model = m.model, size = "64x64", frames = 17, seed = p.seed },
      positive = tb.text_encode { clip = m.clip, text = p.prompt },
      negative = tb.text_encode { clip = m.clip, text = "" } }
    return tb.save_tensor { value = tb.vae_decode { vae = m.vae, latent = z }, path = p.out }
  end,
}
"""
PROMPTS = ["a large red ball bounces on the grass by day", "a small blue cube spins on the sand at sunset",
           "a green cone moves left on the snow by night"]


def frames(path):
    with open(path, "rb") as f:
        head = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        (one,) = [v for k, v in head.items() if k != "__metadata__"]
        first, last = one["data_offsets"]
        data = f.read()[first:last]
    return struct.unpack(f"<{len(data) // 4}f", data)


def psnr(pairs):
    errors = [(x - y) ** 2 for a, b in pairs for x, y in zip(a, b)]
    error = sum(errors) / len(errors)
    return 10 * math.log10(1 / error) if error > 0 else math.inf


def run(work, options):
    out = os.path.join(work, "out.safetensors")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([os.environ["TUBELET_BIN"], "run", os.path.join(work, "graph.lua"), "--no-store",
                           "--out", out, *options], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(done.stderr)
    told = re.search(r"(\d+) of \d+ steps reused .* of up to (\S+)", done.stderr)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return frames(out), seconds, int(told[1]) if told else 0, float(told[2]) if told else 0.0


def main():
    steps = sys.argv[1] if len(sys.argv) > 1 else "20"
    sampler = sys.argv[2] if len(sys.argv) > 2 else "euler"
    with tempfile.TemporaryDirectory() as work:
        with open(os.path.join(work, "graph.lua"), "w") as f:
            f.write(GRAPH)
        common = [["--prompt", p, "--seed", str(k + 1), "--steps", steps, "--sampler", sampler]
                  for k, p in enumerate(PROMPTS)]
        plain = [run(work, c) for c in common]
        start = sum(run(work, [*c, "--steps", "1"])[1] for c in common) / 3
        whole = sum(p[1] for p in plain) / 3
        print(f"{steps} steps of {sampler}; without: {whole:.2f} s of processor time, a single step {start:.2f} s")
        print("| residual | threshold | steps reused | largest change accepted | PSNR, dB | time, whole run | steps |")
        print("|---|---|---|---|---|---|---|")
        for residual in ("none", "state"):
            for threshold in (0.02, 0.05, 0.1, 0.2, 0.4):
                got = [run(work, c + ["--cache", str(threshold), "--residual", residual]) for c in common]
                reused, worst = sum(g[2] for g in got) / 3, max(g[3] for g in got)
                quality = psnr([(g[0], p[0]) for g, p in zip(got, plain)])
                time = sum(g[1] for g in got) / 3
                print(f"| {residual} | {threshold} | {reused:.1f} of {steps} | {worst:.3f} | {quality:.1f} | "
                      f"{time / whole:.2f} | {(time - start) / (whole - start):.2f} |", flush=True)


if __name__ == "__main__":
    main()
