"""Which latents are given: none, or those of the abilities, image to video, extension, joins, inpainting,
outpainting, and random ones as in masked autoencoders (He et al. 2021, VideoMAE)."""
import numpy as np

KINDS = {  # share of the clips
    "none": 0.62,
    "first": 0.1,
    "leading": 0.05,
    "trailing": 0.05,
    "ends": 0.05,
    "box": 0.05,
    "frame": 0.04,
    "random": 0.04,
}


def box(rng, rows, columns):
    """A box of cells, at least 2 and at most three quarters of each side."""
    sides = [int(rng.integers(2, max(3, n * 3 // 4 + 1))) for n in (rows, columns)]
    places = [int(rng.integers(n - s + 1)) for n, s in zip((rows, columns), sides)]
    m = np.zeros((rows, columns), np.float32)
    m[places[0] : places[0] + sides[0], places[1] : places[1] + sides[1]] = 1
    return m


def known(rng, frames, rows, columns):
    """float32 [frames, rows, columns] of latent cells, 1 where given."""
    m = np.zeros((frames, rows, columns), np.float32)
    kind = list(KINDS)[rng.choice(len(KINDS), p=list(KINDS.values()))]
    if frames == 1 and kind not in ("box", "frame", "random"):
        return m
    count = int(rng.integers(1, max(2, frames * 3 // 4 + 1)))
    if kind == "first":
        m[0] = 1
    elif kind == "leading":
        m[:count] = 1
    elif kind == "trailing":
        m[-count:] = 1
    elif kind == "ends":
        lead = int(rng.integers(1, max(2, frames // 2)))
        m[:lead], m[-max(1, min(lead, frames - lead - 1)) :] = 1, 1
    elif kind == "box":  # something is put into a clip
        m[:] = 1 - box(rng, rows, columns)
    elif kind == "frame":  # a clip is made larger
        m[:] = box(rng, rows, columns)
    elif kind == "random":  # tubelets of 2x2 cells
        keep = rng.random((frames, rows // 2, columns // 2)) < rng.uniform(0.1, 0.5)
        m[:] = keep.repeat(2, 1).repeat(2, 2)
    return m
