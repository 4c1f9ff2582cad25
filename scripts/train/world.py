"""A captioned synthetic world: random scenes, their captions, their rendered clips (uint8 RGB).

A scene is a dict of plain words, as captions use them: objects (one or two of size, colour, shape),
motion (of the first), relation (of the first to the second, or None), ground, sky, camera, and
phase, a number in 0..1 for what no caption tells. Sixteen frames are one unit of time."""
import ctypes
import hashlib
import math
import numpy as np
from build import library
from captions import describe, full_caption  # noqa: F401 (part of this module's face)

UNIT = 16  # frames
# what is trained and measured: height and width, frames
CLIP_SIZES = [(64, 64), (64, 96), (96, 64), (64, 128), (80, 48), (96, 96)]
CLIP_LENGTHS = [1, 9, 17, 33]

COLOURS = {
    "red": (0.9, 0.12, 0.1),
    "green": (0.1, 0.75, 0.2),
    "blue": (0.12, 0.25, 0.95),
    "yellow": (0.95, 0.85, 0.1),
    "purple": (0.6, 0.15, 0.8),
    "orange": (1.0, 0.5, 0.05),
    "white": (0.95, 0.95, 0.95),
}
SHAPES = ["ball", "cube", "cylinder", "cone"]
EXTRA_SHAPES = ["star"]  # rendered, and never part of a random scene
SIZES = {"small": 0.6, "large": 0.95}
GROUNDS = {
    "grass": ((0.25, 0.5, 0.18), (0.32, 0.6, 0.24)),
    "sand": ((0.76, 0.66, 0.42), (0.84, 0.74, 0.5)),
    "snow": ((0.82, 0.86, 0.9), (0.92, 0.94, 0.97)),
    "stone": ((0.35, 0.35, 0.37), (0.45, 0.45, 0.47)),
}
# horizon, zenith, light
DAY = np.array((0.75, 0.86, 0.95, 0.3, 0.55, 0.9, 1.0))
SUNSET = np.array((0.98, 0.6, 0.35, 0.45, 0.3, 0.5, 0.8))
NIGHT = np.array((0.1, 0.12, 0.22, 0.02, 0.02, 0.08, 0.7))
FOG = np.array((0.72, 0.74, 0.76, 0.66, 0.68, 0.7, 0.85))
SKIES = {  # passed through evenly within one unit of time
    "by day": (DAY,),
    "at sunset": (SUNSET,),
    "at night": (NIGHT,),
    "in the fog": (FOG,),
    "as night falls": (DAY, SUNSET, NIGHT),
    "as the sun rises": (NIGHT, SUNSET, DAY),
}
CLEAR_AIR, FOGGY_AIR = 0.04, 0.1  # haze for each metre
IN_PLACE = ["bounces", "spins", "stays still", "grows", "shrinks"]
MOTIONS = ["moves left", "moves right", "comes closer", "moves away", "circles", "falls"] + IN_PLACE
CAMERAS = ["", "orbits left", "orbits right", "zooms in", "zooms out", "pans left", "pans right"]
CAMERAS += ["cranes up", "cranes down"]
# where the two objects stand, (x, z) of the first, then of the second
RELATIONS = {
    "left of": ((-1.0, 0.0), (1.0, 0.0)),
    "right of": ((1.0, 0.0), (-1.0, 0.0)),
    "behind": ((-0.5, -2.2), (0.4, 0.6)),
    "in front of": ((-0.4, 0.8), (0.6, -2.0)),
}


class Object(ctypes.Structure):
    _fields_ = [
        ("shape", ctypes.c_int32),
        ("centre", ctypes.c_float * 3),
        ("radius", ctypes.c_float),
        ("yaw", ctypes.c_float),
        ("colour", ctypes.c_float * 3),
    ]


class Frame(ctypes.Structure):
    _fields_ = [
        ("count", ctypes.c_int32),
        ("object", Object * 2),
        ("ground", ctypes.c_float * 3 * 2),
        ("sky", ctypes.c_float * 3 * 2),
        ("light", ctypes.c_float),
        ("haze", ctypes.c_float),
        ("eye", ctypes.c_float * 3),
        ("look", ctypes.c_float * 3),
        ("fov", ctypes.c_float),
    ]


def random_scene(rng, shapes=tuple(SHAPES)):
    """Draws what one clip shows."""
    pick = lambda options: options[rng.integers(len(options))]
    thing = lambda: dict(size=pick(list(SIZES)), colour=pick(list(COLOURS)), shape=pick(shapes))
    objects = [thing()]
    if rng.random() < 0.4:
        objects.append(thing())
        while all(objects[0][k] == objects[1][k] for k in ("colour", "shape")):
            objects[1] = thing()
    two = len(objects) == 2
    return dict(
        objects=objects,
        motion=pick(IN_PLACE if two else MOTIONS),
        relation=pick(list(RELATIONS)) if two else None,
        ground=pick(list(GROUNDS)),
        sky=pick(list(SKIES)),
        camera=pick(CAMERAS[1:]) if rng.random() < 0.5 else "",
        phase=float(rng.random()),
    )


def held_out(scene):
    """One scene in 25, by what it shows, is kept for evaluation and never trained on."""
    shown = full_caption(scene).encode()
    return hashlib.sha256(shown).digest()[0] < 256 / 25


def training_scene(rng, shapes=tuple(SHAPES)):
    scene = random_scene(rng, shapes)
    while held_out(scene):
        scene = random_scene(rng, shapes)
    return scene


def blend(keys, t):
    """Between the rows of `keys`, reached evenly at t = 0..1 and held after."""
    at = min(1.0, t) * (len(keys) - 1)
    i = min(int(at), len(keys) - 2) if len(keys) > 1 else 0
    return keys[0] if len(keys) == 1 else keys[i] + (keys[i + 1] - keys[i]) * (at - i)


def place(scene, t):
    """(x, height above the ground, z, scale, turn) of the first object at time t."""
    m, p = scene["motion"], scene["phase"]
    across = 1.2 + 0.4 * p - 2 * t
    x = {"moves left": across, "moves right": -across}.get(m, 0.0)
    near, far = -3.8 - 0.4 * p + 3.2 * t, 1.2 + 0.4 * p - 3.2 * t
    z = {"comes closer": near, "moves away": far}.get(m, 0.0)
    height, scale = 0.0, 1.0
    if m == "circles":
        x, z = (1.2 * f(2 * math.pi * (0.6 * t + p)) for f in (math.cos, math.sin))
    if m == "bounces":
        height = 1.2 * abs(math.sin(math.pi * (1.25 * t + p)))
    if m == "falls":
        height = max(0.0, 2.2 + 0.4 * p - 4.5 * t * t)
    if m == "grows":
        scale = min(1.35, 0.5 + 0.75 * t)
    if m == "shrinks":
        scale = max(0.3, 1.25 - 0.75 * t)
    return x, height, z, scale, 2 * math.pi * 0.75 * t if m == "spins" else 0.0


def camera(scene, frame):
    """(eye, look, field of view over the shorter side in radians) at a frame; metres, y is up."""
    t, c = frame / UNIT, scene["camera"]
    azimuth = {"orbits left": 0.6 - 1.2 * t, "orbits right": -0.6 + 1.2 * t}.get(c, 0.0)
    distance = {"zooms in": max(3.2, 6.8 - 2.6 * t), "zooms out": 3.6 + 2.6 * t}.get(c, 5.0)
    up, down = min(4.2, 0.7 + 2.2 * t), max(0.6, 3.6 - 2.2 * t)
    height = {"cranes up": up, "cranes down": down}.get(c, 1.7)
    turn = max(-0.45, 0.35 - 0.5 * t)
    turn = {"pans left": -turn, "pans right": turn}.get(c, 0.0)
    eye = np.array((distance * math.sin(azimuth), height, distance * math.cos(azimuth)))
    to = np.array((0, 0.8, 0)) - eye
    # a pan turns the view about the vertical; negative is to the right
    cos, sin = math.cos(turn), math.sin(turn)
    return eye, eye + np.array((to[0] * cos + to[2] * sin, to[1], to[2] * cos - to[0] * sin)), 0.8


def put_object(row, thing, x, height, z, scale, yaw, radius):
    r = radius * scale
    foot = {"cube": 0.82, "star": 0.809}.get(thing["shape"], 1.0)  # centre above the ground, radii
    row.shape, row.radius, row.yaw = (SHAPES + EXTRA_SHAPES).index(thing["shape"]), r, yaw
    row.centre[:] = (x, foot * r + height, z)
    row.colour[:] = COLOURS[thing["colour"]]


def put_objects(row, scene, t):
    objects, p = scene["objects"], scene["phase"]
    x, height, z, scale, turn = place(scene, t)
    row.count, share = len(objects), 1.0
    if row.count == 2:
        (x, z), (x2, z2) = RELATIONS[scene["relation"]]
        share, jitter = 0.85, 0.3 * (p - 0.5)
        x += jitter
        radius = share * SIZES[objects[1]["size"]]
        put_object(row.object[1], objects[1], x2 - jitter, 0, z2, 1, 2.1 + 4 * p, radius)
    first = objects[0]
    yaw = 0.5 + 6 * p + turn
    put_object(row.object[0], first, x, height, z, scale, yaw, share * SIZES[first["size"]])


def clip(scene, frames, height, width, every=1, only=None, window=None):
    """Renders a scene: uint8 array [frames, height, width, 3].

    Of `every` so many frames one, from the first on; `only` (0 or 1) hides the other of two objects, -1
    all of them;
    `window` (top, left, rows, columns) is the part to render."""
    times = range(0, frames, every)
    rows = (Frame * len(times))()
    for f, row in zip(times, rows):
        put_objects(row, scene, f / UNIT)
        if only is not None:
            row.object[0], row.count = row.object[max(only, 0)], int(only >= 0)
        sky = blend(SKIES[scene["sky"]], f / UNIT)
        for i in range(2):
            row.ground[i][:] = GROUNDS[scene["ground"]][i]
            row.sky[i][:] = sky[3 * i : 3 * i + 3]
        row.light, row.haze = sky[6], FOGGY_AIR if scene["sky"] == "in the fog" else CLEAR_AIR
        row.eye[:], row.look[:], row.fov = camera(scene, f)
    window = window or (0, 0, height, width)
    out = np.empty((len(times), *window[2:], 3), np.uint8)
    where = (ctypes.c_int * 4)(*window)
    _LIB.render(rows, len(times), height, width, where, out.ctypes.data_as(ctypes.c_void_p))
    return out


def shown(scene, pixels, height, width, window=None):
    """bool [frames, rows, columns]: where objects are seen in a clip, or in a window of it."""
    empty = clip(scene, len(pixels), height, width, only=-1, window=window)
    return np.abs(pixels.astype(np.int16) - empty).max(3) > 16


_LIB = library("world")
