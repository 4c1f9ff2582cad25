"""Writes a page about a training: what evaluate.py measured, curves of the logs, sample frames.

    python3 report.py --work build/train/run --out report.md
    python3 report.py --scaling small.json medium.json large.json --out report.md

--work holds evaluation.json and the logs of train.sh; pictures go beside the page. --scaling takes
evaluations of models of different sizes trained for the same number of samples.
"""
import argparse
import json
import os
import re
import plots

# what is to be reached, as issue 4 has it: shares, decibels, pixels
BARS = dict(colour=0.99, ground=0.99, sky=0.99, shape=0.97, motion=0.97, camera=0.97)
BARS |= dict(relation=0.85, count=0.85, colour2=0.85, shape2=0.85)
PSNR, SHARPNESS, CAMERA_SHARE = 32, 0.85, 0.8
LOGS = {"vae": "psnr", "decoder": "psnr", "transformer": "loss", "features": "loss"}


def table(head, rows):
    """Lines of a Markdown table."""
    return ["| " + " | ".join(map(str, r)) + " |" for r in [head, ["---"] * len(head)] + rows]


def met(value, bar):
    return "" if bar is None else "yes" if value >= bar else "**no**"


# ------------------------------------------------------------------------------ what was measured


def accuracy_lines(p):
    rows, everything = [], p["accuracy"]
    parts = [g for g in everything if g != "all" and everything[g]]
    share = lambda cell: f"{cell[0] / cell[1]:.2f}" if cell else ""
    for key, (right, asked) in everything["all"].items():
        bar = BARS.get(key)
        cells = [
            key,
            f"{right / asked:.3f}",
            asked,
            "" if bar is None else bar,
            met(right / asked, bar),
        ]
        rows.append(cells + [share(everything[g].get(key)) for g in parts])
    head = ["shown as told", "share", "asked", "wanted", "met", *parts]
    motions = [[m, f"{r / n:.2f}", n] for m, (r, n) in p["motions"].items()]
    lines = [f"## {p['clips']} prompts never trained on", ""] + table(head, rows)
    lines += ["", sharpness_line("generated", p["sharpness"]), ""]
    return lines + table(["motion", "share", "asked"], motions) + [""]


def sharpness_line(what, s):
    text = f"Gradient energy, {what} over rendered: {s['all']:.3f}; of the median clip {s['median']:.3f}"
    return text + f" (wanted {SHARPNESS}, met: {met(min(s.values()), SHARPNESS)})."


def vae_lines(v):
    rows = [[shape, f"{db:.2f}", met(db, PSNR)] for shape, db in v["psnr"].items()]
    lines = ["## The VAE on fresh clips", ""]
    lines += [sharpness_line("decoded", v["sharpness"]) + f" {v['clips']} clips.", ""]
    return lines + table(["frames x height x width", "PSNR, dB", f"{PSNR} met"], rows) + [""]


def camera_lines(c):
    share = f"{c['share']:.3f} of {c['frames']} frames of {c['clips']} orbit shots agree within 1.5 pixels"
    lines = [
        "## Checker lines against the true camera",
        "",
        f"{share} (wanted {CAMERA_SHARE}, met: ",
    ]
    lines[
        -1
    ] += (
        f"{met(c['share'], CAMERA_SHARE)}); the median is {c['median']:.2f} pixels. Held against a "
    )
    lines[-1] += f"camera that stands still, {c['still']:.3f} would."
    return lines + [""]


def frechet_lines(f):
    steps, guidance = (sorted({c[k] for c in f["cells"]}) for k in ("steps", "cfg"))
    at = {(c["steps"], c["cfg"]): f"{c['distance']:.3f}" for c in f["cells"]}
    rows = [[s] + [at.get((s, g), "") for g in guidance] for s in steps]
    shape = "x".join(map(str, f["shape"]))
    lines = [
        "## Frechet distance",
        "",
        f"Of features of {f['clips']} generated and {f['clips']} rendered",
    ]
    lines[-1] += f" clips of {shape}; rendered against rendered it is {f['floor']:.3f}."
    return lines + [""] + table(["steps", *(f"cfg {g:g}" for g in guidance)], rows) + [""]


SECTIONS = dict(prompts=accuracy_lines, vae=vae_lines, camera=camera_lines, frechet=frechet_lines)


# ------------------------------------------------------------------------------ scaling


def gflops(model, frames=17, height=64, width=64, text=32):
    """Of one forward pass of the transformer: two for each multiplication of its matrices."""
    d, ffn = model["dim"], model["ffn"]
    n = ((frames - 1) // 4 + 1) * (height // 16) * (width // 16)
    attention = n * 4 * d * d + 2 * n * n * d
    cross = n * 2 * d * d + text * 2 * d * d + 2 * n * text * d
    block = attention + cross + n * 2 * d * ffn
    ends = n * d * 4 * (36 + 16) + text * (model["text_dim"] * d + d * d) + 256 * d + 7 * d * d
    return 2 * (model["layers"] * block + ends) / 1e9


def scaling_table(results):
    """Rows (Gflops, Frechet distance, width, layers, samples) of evaluations, the smallest model first.

    The cell of every result is the one of its steps and guidance that all have in common."""
    cells = [
        {(c["steps"], c["cfg"]): c["distance"] for c in r["frechet"]["cells"]} for r in results
    ]
    common = sorted(set.intersection(*(set(c) for c in cells)))
    if not common:
        raise SystemExit("report.py: the models of --scaling have no steps and guidance in common")
    rows = []
    for r, c in zip(results, cells):
        m, (frames, height, width) = r["model"], r["frechet"]["shape"]
        cost = gflops(m, frames, height, width)
        rows.append((cost, c[common[0]], m["dim"], m["layers"], m.get("samples")))
    return sorted(rows)


def scaling_lines(results, folder):
    rows = scaling_table(results)
    points = {"trained for the same samples": [(r[0], r[1]) for r in rows]}
    labels = ("Gflops of a forward pass", "Frechet distance")
    plots.plot(
        os.path.join(folder, "scaling.svg"), "Scaling", labels, points, True, True, dots=True
    )
    cells = [[d, n, s or "", f"{g:.3f}", f"{f:.3f}"] for g, f, d, n, s in rows]
    head = ["width", "layers", "samples", "Gflops", "Frechet distance"]
    return (
        ["## Scaling", "", "![Frechet distance over Gflops](scaling.svg)", ""]
        + table(head, cells)
        + [""]
    )


# ------------------------------------------------------------------------------ curves, samples


def read_log(path, name):
    """[(minutes, value)] of the lines of a log that tell `name`."""
    with open(path, errors="replace") as f:
        found = (re.match(rf"([0-9.]+) min .*\b{name} (-?[0-9.]+)", row) for row in f)
        return [(float(m[1]), float(m[2])) for m in found if m]


def curve_lines(work, folder):
    lines = []
    for log, name in LOGS.items():
        path = os.path.join(work, log + ".log")
        points = read_log(path, name) if os.path.exists(path) else []
        picture = f"curve_{log}.svg"
        labels = ("minutes of training", name)
        if plots.plot(os.path.join(folder, picture), log, labels, {name: points}):
            lines += [f"![{name} of {log}]({picture})"]
    return ["## Curves", ""] + lines + [""] if lines else []


def sample_lines(work, folder):
    kept = os.path.join(work, "evaluation")
    names = (
        [n for n in sorted(os.listdir(kept)) if n.endswith(".png")] if os.path.isdir(kept) else []
    )
    if not names:
        return []
    with open(os.path.join(kept, "prompts.json")) as f:
        captions = {f"sample{r['i']:03}.png": r["caption"] for r in json.load(f)}
    lines = ["## Samples", "", "Each generated row stands above the nearest rendering.", ""]
    for name in names:
        link = os.path.relpath(os.path.join(kept, name), folder)
        lines += [f"*{captions.get(name, name)}*", "", f"![]({link})", ""]
    return lines


def arguments():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--work", default=".", help="where evaluation.json and the logs are")
    ap.add_argument("--out", default="report.md")
    ap.add_argument("--scaling", nargs="+", default=[], help="evaluations of several sizes")
    return ap.parse_args()


def main():
    a = arguments()
    folder = os.path.dirname(os.path.abspath(a.out))
    lines = ["# Report of a training", ""]
    path = os.path.join(a.work, "evaluation.json")
    if os.path.exists(path):
        with open(path) as f:
            results = json.load(f)
        for part, section in SECTIONS.items():
            lines += section(results[part]) if part in results else []
    if a.scaling:
        lines += scaling_lines([json.load(open(p)) for p in a.scaling], folder)
    lines += curve_lines(a.work, folder) + sample_lines(a.work, folder)
    with open(a.out + ".part", "w") as f:
        f.write("\n".join(lines).rstrip() + "\n")
    os.replace(a.out + ".part", a.out)


if __name__ == "__main__":
    main()
