"""Measures of clips that need no judge: PSNR, sharpness, Frechet distance, agreement with the true camera.

Clips are uint8 [frames, height, width, 3]. Numpy alone.
"""
import math
import numpy as np
import world

LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def psnr(a, b):
    """Decibels between two clips of one shape, of 255."""
    error = np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2)
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def luma(clip):
    """float32 [frames, height, width] in 0..255."""
    return clip.astype(np.float32) @ LUMA


def gradient_energy(clip):
    """Mean squared difference of neighbouring pixels, across and down: how sharp the edges are."""
    y = luma(clip)
    return float((np.diff(y, axis=1) ** 2).mean() + (np.diff(y, axis=2) ** 2).mean())


# ------------------------------------------------------------------------------ Frechet distance


def moments(features):
    """(mean [d], covariance [d, d]) of features [n, d], in float64."""
    x = np.asarray(features, np.float64)
    return x.mean(0), np.cov(x, rowvar=False).reshape(x.shape[1], x.shape[1])


def square_root(s):
    """Of a symmetric positive semi-definite matrix; rounding below zero is cut off."""
    values, vectors = np.linalg.eigh((s + s.T) / 2)
    return (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T


def frechet(mu1, s1, mu2, s2):
    """Squared Frechet distance of two normal distributions: |mu1 - mu2|^2 + tr(S1 + S2 - 2 (S1 S2)^1/2).

    The trace of (S1 S2)^1/2 is that of (R S2 R)^1/2 with R = S1^1/2, which is symmetric.
    """
    r = square_root(np.asarray(s1, np.float64))
    cross = square_root(r @ np.asarray(s2, np.float64) @ r)
    distance = np.sum((np.asarray(mu1, np.float64) - mu2) ** 2)
    return float(distance + np.trace(s1) + np.trace(s2) - 2 * np.trace(cross))


# ------------------------------------------------------------------------------ the true camera


class View:
    """Projects the ground (the plane y = 0) into one frame, in pixels."""

    def __init__(self, eye, look, fov, height, width):
        self.eye = np.asarray(eye, np.float64)
        forward = np.asarray(look, np.float64) - self.eye
        self.forward = forward / np.linalg.norm(forward)
        right = np.cross(self.forward, [0.0, 1.0, 0.0])
        self.right = right / np.linalg.norm(right)
        self.up = np.cross(self.right, self.forward)
        self.focal = min(width, height) / 2 / math.tan(fov / 2)
        self.middle = np.array([width / 2, height / 2])

    def project(self, xz):
        """World [..., 2] (x and z) to pixels [..., 2] (column and row, centres at .5); NaN when behind."""
        ray = np.stack([xz[..., 0], np.zeros(xz.shape[:-1]), xz[..., 1]], -1) - self.eye
        depth = ray @ self.forward
        depth = np.where(depth > 0.2, depth, np.nan)[..., None]
        plane = np.stack([ray @ self.right, -(ray @ self.up)], -1)
        return self.middle + self.focal * plane / depth


REACH = 6  # metres around the origin whose lines are looked at
ALONG = np.linspace(0.2, 0.8, 7)  # where one edge of a checker is looked at, clear of its corners


def checker_edges():
    """(points [n, 7, 2] on the edges of all checkers near the origin, directions across [n, 1, 2])."""
    line, cell = (
        g.ravel() for g in np.meshgrid(np.arange(-REACH, REACH + 1.0), np.arange(-REACH, REACH))
    )
    along = cell[:, None] + ALONG
    u, one = np.broadcast_to(line[:, None], along.shape), np.ones((len(line), 1, 1))
    points = np.concatenate([np.stack([u, along], 2), np.stack([along, u], 2)])
    return points, np.concatenate([one * (1.0, 0.0), one * (0.0, 1.0)])


POINTS, ACROSS = checker_edges()
WINDOW = 4.0  # pixels to each side in which an edge is looked for
ROOM = 7.0  # pixels from an edge to the next line, at least
TAPS = np.arange(-WINDOW - 0.75, WINDOW + 0.76, 0.25)


def bilinear(image, xy):
    """Values of image [h, w] at pixels xy [..., 2]; NaN outside."""
    h, w = image.shape
    x, y = xy[..., 0] - 0.5, xy[..., 1] - 0.5
    inside = (x >= 0) & (y >= 0) & (x <= w - 1) & (y <= h - 1)
    x, y = np.where(inside, x, 0), np.where(inside, y, 0)
    i, j = np.minimum(y.astype(int), h - 2), np.minimum(x.astype(int), w - 2)
    a, b = y - i, x - j
    top = image[i, j] * (1 - b) + image[i, j + 1] * b
    low = image[i + 1, j] * (1 - b) + image[i + 1, j + 1] * b
    return np.where(inside, top * (1 - a) + low * a, np.nan)


def edge_probes(view):
    """Where to look: (pixels [n, 7, taps, 2], polarity [n]) of the edges whose surroundings are wide enough."""
    at, beside, other = (view.project(POINTS + side * ACROSS) for side in (0, 1, -1))
    tangent = at[:, -1:] - at[:, :1]
    normal = np.stack([-tangent[..., 1], tangent[..., 0]], 2)
    normal /= np.linalg.norm(normal, axis=2, keepdims=True) + 1e-9
    side = np.sum((beside - at) * normal, 2)
    room = np.minimum(np.abs(side), np.abs(np.sum((other - at) * normal, 2))).min(1)
    light = np.floor(POINTS[:, 3] + 0.5 * ACROSS[:, 0]).sum(1).astype(int) & 1
    polarity = np.where(light, 1, -1) * np.sign(side[:, 3])
    good = np.nan_to_num(room) >= ROOM
    return at[good][:, :, None] + TAPS[:, None] * normal[good][:, :, None], polarity[good]


def edge_offsets(image, probes, polarity):
    """Pixels from each edge to the steepest rise of its polarity near it; NaN where there is none."""
    profile = bilinear(image, probes).mean(1)
    slope = (profile[:, 6:] - profile[:, :-6]) * polarity[:, None]  # over a pixel and a half
    slope = np.where(np.isnan(slope).any(1, keepdims=True), -np.inf, slope)
    best = slope[:, 1:-1].argmax(1) + 1
    rows = np.arange(len(slope))
    with np.errstate(invalid="ignore"):
        a, b, c = slope[rows, best - 1], slope[rows, best], slope[rows, best + 1]
        bend = a - 2 * b + c
        shift = np.where(bend < 0, 0.5 * (a - c) / np.where(bend < 0, bend, 1), 0)
    found = np.isfinite(b) & (b > 1)
    return np.where(found, TAPS[3:-3][best] + 0.25 * np.clip(shift, -1, 1), np.nan)


def frame_offset(image, true, view):
    """Median distance in pixels of a frame's checker edges from the true lines; NaN with none to see.

    Only edges are asked about that the rendering itself shows within half a pixel: not those below
    the object or its shadow. An edge that the frame does not show counts as the whole window.
    """
    probes, polarity = edge_probes(view)
    seen = np.abs(edge_offsets(true, probes, polarity)) < 0.5
    if seen.sum() < 4:
        return math.nan
    found = np.abs(edge_offsets(image, probes[seen], polarity[seen]))
    return float(np.median(np.nan_to_num(found, nan=WINDOW)))


def camera_offsets(clip, scene):
    """Of every frame: median distance in pixels between its checker edges and the true camera's lines."""
    frames, height, width = clip.shape[:3]
    true, seen = luma(world.clip(scene, frames, height, width)), luma(clip)
    views = [View(*world.camera(scene, f), height, width) for f in range(frames)]
    return [frame_offset(s, t, v) for s, t, v in zip(seen, true, views)]
