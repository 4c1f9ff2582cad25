"""Judges clips by synthesis: which rendering of the world is nearest?

For each attribute that a caption told, the scene is rendered with every value of it, over many phases,
and the value of the nearest rendering is what the clip shows. What the caption left open is found first.

    python3 judge.py --self-test 300    (rendered clips with noise, blurred a little: all must be told)
"""
import argparse
import copy
import time
import numpy as np
import world

SIZES, LENGTHS = world.CLIP_SIZES, world.CLIP_LENGTHS
OF_OBJECTS = {"size": list(world.SIZES), "colour": list(world.COLOURS), "shape": world.SHAPES}
OF_SCENES = {
    "ground": list(world.GROUNDS),
    "sky": list(world.SKIES),
    "camera": world.CAMERAS,
    "relation": list(world.RELATIONS),
}
ORDER = "camera ground sky relation motion colour colour2 shape shape2 size size2".split()
# what is open is found in this order, the values of one group together: what fills the picture first
GROUPS = [("ground",), ("sky",), ("relation",), ("motion", "size"), ("colour",), ("shape", "size")]
GROUPS += [("colour2",), ("shape2", "size2")]
IN_TIME = {"motion", "camera"}  # not to be told from one frame
# the phase of the best rendering differs with these
TURNS = {"motion", "shape", "shape2", "relation"}
COUPLED = {"motion": ["size"], "shape": ["size"], "shape2": ["size2"], "size": ["motion"]}
COARSE_PHASES = (np.arange(12) + 0.5) / 12
SAME = 8 * 12.0  # renderings that differ by less (root of the sum of squares) count as the same


# ------------------------------------------------------------------------------ scenes


def slot(scene, key):
    """(the dict that holds `key`, its name there): colour2 is the colour of the second object."""
    if key.rstrip("2") in OF_OBJECTS:
        return scene["objects"][key.endswith("2")], key.rstrip("2")
    return scene, key


def value(scene, key):
    holder, name = slot(scene, key)
    return holder[name]


def with_value(scene, key, new):
    changed = copy.deepcopy(scene)
    holder, name = slot(changed, key)
    holder[name] = new
    return changed


def options(scene, key):
    """All values of an attribute in such a scene."""
    if key == "motion":
        return world.IN_PLACE if len(scene["objects"]) == 2 else world.MOTIONS
    return OF_OBJECTS.get(key.rstrip("2")) or OF_SCENES[key]


def attributes(scene):
    """Names of all attributes a scene has, but for the count of its objects."""
    two = len(scene["objects"]) == 2
    return [k for k in ORDER if two or not (k.endswith("2") or k == "relation")]


def name_of(scene):
    """Something to look renderings up by."""
    return tuple(value(scene, k) for k in attributes(scene)) + (round(scene["phase"], 4),)


# ------------------------------------------------------------------------------ distance


def soften(clip):
    """float32 [frames, height, width, 3], blurred by about a pixel: soft pictures have soft edges."""
    x = clip.astype(np.float32)
    for axis in (1, 2):
        for _ in range(2):
            ends = [(0, 0)] * 4
            ends[axis] = (1, 1)
            y = np.pad(x, ends, mode="edge")
            n = x.shape[axis]
            part = lambda i: y[:, i : i + n] if axis == 1 else y[:, :, i : i + n]
            x = 0.25 * (part(0) + part(2)) + 0.5 * part(1)
    return x


def halve(clip):
    """Means of 2x2 pixels."""
    f, h, w, c = clip.shape
    return clip.reshape(f, h // 2, 2, w // 2, 2, c).astype(np.float32).mean((2, 4))


SHIFTS = [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0)]


class Sight:
    """The clip as renderings are held against it: some of its frames, at full or half size."""

    def __init__(self, clip, every, half):
        self.shape, self.every, self.half = clip.shape[:3], every, half
        shown = halve(clip[::every]) if half else clip[::every]
        self.pixels = np.pad(soften(shown), ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
        self.seen = {}

    def render(self, scene, only=None):
        frames, height, width = self.shape
        scale = 2 if self.half else 1
        return world.clip(scene, frames, height // scale, width // scale, self.every, only)

    def distance(self, scene, only=None):
        """Mean squared difference; each frame may be a pixel off."""
        key = name_of(scene) + (only,)
        if key not in self.seen:
            self.seen[key] = self.compare(soften(self.render(scene, only)))
        return self.seen[key]

    def compare(self, rendered):
        h, w = rendered.shape[1:3]
        best = None
        for dy, dx in SHIFTS[:1] if self.half else SHIFTS:
            d = self.pixels[:, 1 + dy : 1 + dy + h, 1 + dx : 1 + dx + w] - rendered
            frames = np.einsum("fhwc,fhwc->f", d, d)
            best = frames if best is None else np.minimum(best, frames)
        return float(best.mean()) / (h * w * 3)


# ------------------------------------------------------------------------------ the search


class Judge:
    """Finds what a clip shows, starting from what its caption says it shows."""

    def __init__(self, clip, scene, mentioned):
        frames = len(clip)
        self.clip, self.single = clip, frames == 1
        self.coarse = Sight(clip, max(1, (frames - 1) // 4), half=True)
        self.fine = Sight(clip, max(1, (frames - 1) // 8), half=False)
        self.open = [k for k in attributes(scene) if k not in mentioned]
        self.asked = [k for k in attributes(scene) if k in mentioned]
        if self.single:
            self.asked = [k for k in self.asked if k not in IN_TIME]
        # nothing is known but what the caption told
        self.scene = dict(scene, phase=0.5)
        for key in self.open:
            self.scene = with_value(self.scene, key, options(scene, key)[0])
        self.found = self.scene

    def sweep(self, scene, phases=COARSE_PHASES):
        """The scene at the best of some phases, seen coarsely."""
        return min((dict(scene, phase=float(p)) for p in phases), key=self.coarse.distance)

    def refine(self, scene, sight, steps):
        """The scene with its phase moved to a minimum nearby."""
        for step in steps:
            near = [scene["phase"] + d for d in (0, -step, step)]
            near = [dict(scene, phase=min(1.0, max(0.0, p))) for p in near]
            scene = min(near, key=sight.distance)
        return scene

    def settle(self, scene, turns):
        """The scene at its best phase: swept if `turns`, else from the phase it has."""
        if turns:
            scene = self.sweep(scene)
        return self.refine(scene, self.coarse, (1 / 24, 1 / 48))

    def choose(self, scene, *keys):
        """The scene with the values of `keys`, together, that look nearest coarsely."""
        tried = [scene]
        for key in keys:
            tried = [with_value(s, key, v) for s in tried for v in options(s, key)]
        turned = (self.settle(s, not TURNS.isdisjoint(keys)) for s in tried)
        return min(turned, key=self.coarse.distance)

    def start(self):
        """What the caption says, and the nearest of what it leaves open."""
        scene = self.open_start()
        groups = [[k for k in g if k in self.open] for g in GROUPS]
        for _ in range(3):
            before = name_of(scene)
            for group in filter(None, groups):
                scene = self.choose(scene, *group)
            if name_of(scene)[:-1] == before[:-1]:
                break
        return self.refine(scene, self.fine, (1 / 64, 1 / 128))

    def open_start(self):
        """A first guess: ground and sky, then the object's motion and colour together."""
        scene = self.scene
        for key in ("ground", "sky"):
            if key in self.open:
                scene = self.choose(scene, key)
        guesses = [scene]
        for key in ("motion", "colour", "colour2"):
            if key in self.open:
                guesses = [with_value(s, key, v) for s in guesses for v in options(s, key)]
        few = COARSE_PHASES[::3] if len(guesses) > 1 else COARSE_PHASES
        return self.settle(
            min((self.sweep(s, few) for s in guesses), key=self.coarse.distance), False
        )

    def candidates(self, scene, key):
        """One settled scene for each value of `key`, the nearest first."""
        found = []
        for v in options(scene, key):
            s = with_value(scene, key, v)
            if v != value(scene, key):
                s = self.settle(s, True) if key in TURNS else s
                for other in set(COUPLED.get(key, [])) & set(self.open):
                    s = self.choose(s, other)
            found.append(s)
        return sorted(found, key=self.coarse.distance)

    def nearest(self, scene, key):
        """(the nearest scene, its rival with the prompted value): equal when the prompt is met."""
        prompted = value(self.scene, key)
        rows = self.candidates(scene, key)
        mine = [s for s in rows if value(s, key) == prompted]
        rivals = [s for s in rows if value(s, key) != prompted][:2]
        steps = (1 / 64, 1 / 128) if key in TURNS else ()
        close = [self.refine(s, self.fine, steps) for s in mine + rivals]
        return min(close, key=self.fine.distance), close[0]

    def alike(self, a, b, only=None):
        """Whether two scenes (of the second perhaps one object only) give the same pixels at this size
        and length, but for what noise hides."""
        shape = self.clip.shape[:3]
        difference = world.clip(a, *shape).astype(np.float64) - world.clip(b, *shape, only=only)
        return np.sqrt(np.sum(difference**2)) < SAME

    def verdicts(self):
        """{attribute: the value seen}; the prompted value where it gives the same pixels."""
        scene, seen = self.start(), {}
        for _ in range(2):
            changed = scene
            for key in self.asked:
                best, prompted = self.nearest(changed, key)
                if value(best, key) != value(prompted, key) and self.alike(best, prompted):
                    best = prompted
                seen[key] = value(best, key)
                if self.fine.distance(best) < self.fine.distance(changed):
                    changed = best
            if name_of(changed)[:-1] == name_of(scene)[:-1]:
                break
            scene = changed
        self.found = changed
        seen["count"] = self.count(changed)
        return seen

    # -------------------------------------------------------------------------- one object or two

    def count(self, scene):
        both = self.fine.distance(scene)
        if len(scene["objects"]) == 1:
            return 2 if self.fine.distance(self.with_second(scene)) < both else 1
        nearer = [i for i in (0, 1) if self.fine.distance(scene, only=i) < both]
        return 2 if all(self.alike(scene, scene, only=i) for i in nearer) else 1

    def with_second(self, scene):
        """The nearest scene with a second object beside the one there is."""
        first, guesses = scene["objects"][0], []
        motion = scene["motion"] if scene["motion"] in world.IN_PLACE else "stays still"
        for relation in world.RELATIONS:
            for colour in world.COLOURS:
                second = dict(size="small", colour=colour, shape="ball")
                guesses.append(
                    dict(scene, objects=[first, second], motion=motion, relation=relation)
                )
        best = min(guesses, key=self.coarse.distance)
        for key in ("shape2", "size2"):
            best = self.choose(best, key)
        return best


def judge(clip, scene, mentioned):
    """({attribute: (prompted, seen)} of all that the caption told, the nearest scene)."""
    j = Judge(clip, scene, mentioned)
    seen = j.verdicts()
    count = len(scene["objects"])
    return {k: (count if k == "count" else value(scene, k), v) for k, v in seen.items()}, j.found


# ------------------------------------------------------------------------------ self-test


def worn(clip, rng, sigma=12.0):
    """A rendered clip blurred a little and with noise, as uint8."""
    x = clip.astype(np.float32)
    for axis in (1, 2):
        x = 0.7 * x + 0.15 * (np.roll(x, 1, axis) + np.roll(x, -1, axis))
    return np.clip(np.rint(x + rng.normal(0, sigma, x.shape)), 0, 255).astype(np.uint8)


def held_out_scene(rng):
    scene = world.random_scene(rng)
    while not world.held_out(scene):
        scene = world.random_scene(rng)
    return scene


def self_test(clips, seed):
    """Number of attributes that were told wrongly."""
    rng, wrong, asked, begin = np.random.default_rng(seed), 0, 0, time.time()
    slowest = 0.0
    for i in range(clips):
        scene = held_out_scene(rng)
        caption, mentioned = world.describe(scene, rng)
        (height, width), frames = SIZES[i % 6], LENGTHS[(i + i // 12) % 4]
        clip, at = worn(world.clip(scene, frames, height, width), rng), time.time()
        seen, _ = judge(clip, scene, mentioned)
        slowest = max(slowest, time.time() - at)
        asked += len(seen)
        for key, (told, found) in seen.items():
            if told != found:
                wrong += 1
                print(
                    f"{i}: {frames}x{height}x{width}: {key} is {told}, seen {found}: {caption} | {scene}"
                )
    took = (time.time() - begin) / max(1, clips)
    print(
        f"{asked - wrong} of {asked} attributes of {clips} clips; {took:.2f} s a clip, at most {slowest:.1f} s"
    )
    return wrong


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--self-test", type=int, metavar="CLIPS", required=True)
    ap.add_argument("--seed", type=int, default=0)
    a = ap.parse_args()
    raise SystemExit(1 if self_test(a.self_test, a.seed) else 0)


if __name__ == "__main__":
    main()
