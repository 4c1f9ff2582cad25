"""A captioned synthetic world: random scenes, their captions, their rendered clips (uint8 RGB)."""
import ctypes
import math
import os
import subprocess
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.join(HERE, "..", "..", "build", "train")  # where the compiled renderer is kept

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
SIZES = {"small": 0.5, "large": 0.9}
GROUNDS = {
    "grass": ((0.25, 0.5, 0.18), (0.32, 0.6, 0.24)),
    "sand": ((0.76, 0.66, 0.42), (0.84, 0.74, 0.5)),
    "snow": ((0.82, 0.86, 0.9), (0.92, 0.94, 0.97)),
    "stone": ((0.35, 0.35, 0.37), (0.45, 0.45, 0.47)),
}
SKIES = {
    "by day": (((0.75, 0.86, 0.95), (0.3, 0.55, 0.9)), 1.0),
    "at sunset": (((0.98, 0.6, 0.35), (0.45, 0.3, 0.5)), 0.8),
    "at night": (((0.1, 0.12, 0.22), (0.02, 0.02, 0.08)), 0.45),
}
MOTIONS = {
    "moves left": ["moves left", "goes to the left", "rolls to the left"],
    "moves right": ["moves right", "goes to the right", "rolls to the right"],
    "comes closer": ["comes closer", "moves toward the camera"],
    "moves away": ["moves away", "goes into the distance"],
    "bounces": ["bounces", "jumps up and down"],
    "spins": ["spins", "turns around"],
    "stays still": ["stays still", "rests"],
}
CAMERAS = {
    "": [""],
    "orbits left": ["the camera orbits left", "camera circling left"],
    "orbits right": ["the camera orbits right", "camera circling right"],
    "zooms in": ["the camera zooms in", "slow zoom in"],
    "zooms out": ["the camera zooms out", "slow zoom out"],
}


class Frame(ctypes.Structure):
    _fields_ = [
        ("shape", ctypes.c_int32),
        ("centre", ctypes.c_float * 3),
        ("radius", ctypes.c_float),
        ("yaw", ctypes.c_float),
        ("colour", ctypes.c_float * 3),
        ("ground", ctypes.c_float * 3 * 2),
        ("sky", ctypes.c_float * 3 * 2),
        ("light", ctypes.c_float),
        ("eye", ctypes.c_float * 3),
        ("look", ctypes.c_float * 3),
        ("fov", ctypes.c_float),
    ]


def _library():
    so, src = os.path.join(BUILD, "libworld.so"), os.path.join(HERE, "world.c")
    os.makedirs(BUILD, exist_ok=True)
    if not os.path.exists(so) or os.path.getmtime(so) < os.path.getmtime(src):
        subprocess.check_call(
            ["cc", "-O3", "-march=native", "-ffast-math", "-shared", "-fPIC", "-o", so, src, "-lm"]
        )
    return ctypes.CDLL(so)


def random_scene(rng):
    """Draws the parameters of one clip: a dict of plain words, as the caption uses them."""
    pick = lambda options: options[rng.integers(len(options))]
    camera = pick(list(CAMERAS)) if rng.random() < 0.5 else ""
    return dict(
        size=pick(list(SIZES)),
        colour=pick(list(COLOURS)),
        shape=pick(SHAPES),
        motion=pick(list(MOTIONS)),
        ground=pick(list(GROUNDS)),
        sky=pick(list(SKIES)),
        camera=camera,
        phase=float(rng.random()),
    )


def caption(scene, rng):
    """One English caption; parts are left out at random, so that short prompts work too."""
    pick = lambda options: options[rng.integers(len(options))]
    text = (
        "a "
        + (scene["size"] + " " if rng.random() < 0.7 else "")
        + scene["colour"]
        + " "
        + scene["shape"]
    )
    text += " " + pick(MOTIONS[scene["motion"]])
    if rng.random() < 0.8:
        text += " on the " + scene["ground"]
    if rng.random() < 0.8:
        text += " " + scene["sky"]
    if scene["camera"]:
        text += ", " + pick(CAMERAS[scene["camera"]])
    return text


def clip(scene, frames, height, width):
    """Renders a scene: uint8 array [frames, height, width, 3]; 16 frames are one unit of time."""
    rows = (Frame * frames)()
    for f in range(frames):
        t, r, m = f / 16, SIZES[scene["size"]], scene["motion"]
        x = {"moves left": 1.6 - 3.2 * t, "moves right": -1.6 + 3.2 * t}.get(m, 0.0)
        z = {"comes closer": -4 + 5 * t, "moves away": 1.2 - 5.2 * t}.get(m, 0.0)
        y = r + (1.3 * abs(math.sin(math.pi * (2 * t + scene["phase"]))) if m == "bounces" else 0)
        if scene["shape"] == "cube":
            y -= 0.18 * r
        yaw = 0.5 + (2 * math.pi * t if m == "spins" else 0) + 6 * scene["phase"]
        azimuth = {"orbits left": 0.6 - 1.2 * t, "orbits right": -0.6 + 1.2 * t}.get(
            scene["camera"], 0.0
        )
        distance = {"zooms in": 7 - 3.2 * t, "zooms out": 3.8 + 3.2 * t}.get(scene["camera"], 5.0)
        a, (sky, light) = rows[f], SKIES[scene["sky"]]
        a.shape, a.radius, a.yaw, a.light, a.fov = SHAPES.index(scene["shape"]), r, yaw, light, 0.8
        a.centre[:] = (x, y, z)
        a.colour[:] = COLOURS[scene["colour"]]
        for i in range(2):
            a.ground[i][:] = GROUNDS[scene["ground"]][i]
            a.sky[i][:] = sky[i]
        a.eye[:] = (distance * math.sin(azimuth), 1.7, distance * math.cos(azimuth))
        a.look[:] = (0, 0.8, 0)
    out = np.empty((frames, height, width, 3), np.uint8)
    _LIB.render(rows, frames, height, width, out.ctypes.data_as(ctypes.c_void_p))
    return out


_LIB = _library()
