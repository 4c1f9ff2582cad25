"""English captions of scenes: synonyms, several word orders, and parts left out at random."""

SIZES = {"small": ["small", "little", "tiny"], "large": ["large", "big", "huge"]}
COLOURS = {c: [c] for c in ("red", "green", "blue", "yellow", "orange", "white")}
COLOURS["purple"] = ["purple", "violet"]
SHAPES = {
    "ball": ["ball", "sphere"],
    "cube": ["cube", "box"],
    "cylinder": ["cylinder", "drum"],
    "cone": ["cone"],
    "star": ["star"],
}
SOMETHING = ["object", "thing"]
GROUNDS = {
    "grass": ["on the grass", "on grass", "on a green meadow"],
    "sand": ["on the sand", "on sand", "in the desert"],
    "snow": ["on the snow", "on snow", "in the winter"],
    "stone": ["on the stone", "on stone", "on grey pavement"],
}
SKIES = {
    "by day": ["by day", "during the day", "in daylight"],
    "at sunset": ["at sunset", "at dusk", "in the evening light"],
    "at night": ["at night", "in the dark"],
    "in the fog": ["in the fog", "in fog", "on a misty day"],
    "as night falls": ["as night falls", "as it gets dark"],
    "as the sun rises": ["as the sun rises", "as day breaks"],
}
MOTIONS = {
    "moves left": ["moves left", "goes to the left", "slides to the left"],
    "moves right": ["moves right", "goes to the right", "slides to the right"],
    "comes closer": ["comes closer", "moves toward the camera"],
    "moves away": ["moves away", "goes into the distance"],
    "bounces": ["bounces", "jumps up and down"],
    "spins": ["spins", "turns around"],
    "stays still": ["stays still", "rests"],
    "circles": ["circles", "goes round in a circle"],
    "grows": ["grows", "gets bigger"],
    "shrinks": ["shrinks", "gets smaller"],
    "falls": ["falls", "drops from the sky"],
}
CAMERAS = {
    "orbits left": ["the camera orbits left", "camera circling left"],
    "orbits right": ["the camera orbits right", "camera circling right"],
    "zooms in": ["the camera zooms in", "slow zoom in"],
    "zooms out": ["the camera zooms out", "slow zoom out"],
    "pans left": ["the camera pans left", "pan to the left"],
    "pans right": ["the camera pans right", "pan to the right"],
    "cranes up": ["the camera cranes up", "camera rising"],
    "cranes down": ["the camera cranes down", "camera sinking"],
}
RELATIONS = {
    "left of": ["left of", "to the left of"],
    "right of": ["right of", "to the right of"],
    "behind": ["behind"],
    "in front of": ["in front of"],
}
PHRASES = (SIZES, COLOURS, SHAPES, GROUNDS, SKIES, MOTIONS, CAMERAS, RELATIONS)
MARKS = "\1\2"
OPENINGS = ["a video of", "there is"]


def words():
    """Every word that a caption can hold."""
    found = set("a an and the with video of there is as that".split() + SOMETHING)
    for table in PHRASES:
        for options in table.values():
            found.update(w for phrase in options for w in phrase.split())
    return found


def join(*parts):
    return " ".join(p for p in parts if p)


def with_article(name):
    return ("an " if name[0] == "o" else "a ") + name


class Writer:
    """Chooses phrases for one caption and notes which parts of the scene it told."""

    def __init__(self, rng):
        self.rng, self.mentioned = rng, set()

    def chance(self, share):
        return self.rng.random() < share

    def pick(self, options):
        """The first, plainest phrase half of the time."""
        return options[0 if self.chance(0.5) else self.rng.integers(len(options))]

    def tell(self, key, table, value, share):
        """A phrase for `value`, or nothing with the rest of the chance."""
        if not self.chance(share):
            return ""
        self.mentioned.add(key)
        return self.pick(table[value])

    def thing(self, obj, suffix):
        size = self.tell("size" + suffix, SIZES, obj["size"], 0.6)
        colour = self.tell("colour" + suffix, COLOURS, obj["colour"], 0.92)
        shape = self.tell("shape" + suffix, SHAPES, obj["shape"], 0.92) or self.pick(SOMETHING)
        mark = MARKS[suffix == "2"]
        return " ".join(w + mark for w in with_article(join(size, colour, shape)).split())


def describe(scene, rng):
    """(caption, mentioned): one English caption, and the set of what it fixes, of size, colour, shape,
    motion, ground, sky, camera, count and, with two objects, relation, size2, colour2, shape2."""
    marked, mentioned = describe_marked(scene, rng)
    return unmarked(marked), mentioned


def unmarked(marked):
    return "".join(c for c in marked if c not in MARKS)


def describe_marked(scene, rng):
    """The same, with one of MARKS after each word of the first and of the second object's name."""
    w = Writer(rng)
    w.mentioned |= {"camera", "count"}
    first = w.thing(scene["objects"][0], "")
    motion = w.tell("motion", MOTIONS, scene["motion"], 0.92)
    second = ""
    if len(scene["objects"]) == 2:
        relation = w.tell("relation", RELATIONS, scene["relation"], 0.92)
        second = join(relation or "and", w.thing(scene["objects"][1], "2"))
    ground = w.tell("ground", GROUNDS, scene["ground"], 0.8)
    sky = w.tell("sky", SKIES, scene["sky"], 0.8)
    camera = w.pick(CAMERAS[scene["camera"]]) if scene["camera"] else ""
    return arrange(w, first, motion, second, ground, sky, camera), w.mentioned


def arrange(w, first, motion, second, ground, sky, camera):
    """The parts in one of the word orders."""
    form = w.rng.random()
    if form < 0.12:  # "at night on the sand, a red ball bounces, slow zoom in"
        lead = [p for p in (sky, ground) if p]
        start = join(*lead) + ", " if lead else ""
        return start + join(first, motion, second) + (", " + camera if camera else "")
    if form < 0.2 and camera:  # "the camera orbits left as a red ball bounces on the sand"
        return join(camera, "as", first, motion, second, ground, sky)
    if form < 0.26:  # tags
        tags = [p for p in (join(first, motion, second), ground, sky, camera) if p]
        return ", ".join(tags[i] for i in w.rng.permutation(len(tags)))
    opening = w.pick(OPENINGS) if form < 0.34 else ""
    motion = "that " + motion if motion and opening else motion
    return join(opening, first, motion, second, ground, sky) + (", " + camera if camera else "")


def full_caption(scene):
    """Every part of the scene in plain words and plain order."""
    thing = lambda o: with_article(join(o["size"], o["colour"], o["shape"]))
    objects = scene["objects"]
    second = join(scene["relation"], thing(objects[1])) if len(objects) == 2 else ""
    ground, camera = "on the " + scene["ground"], scene["camera"]
    text = join(thing(objects[0]), scene["motion"], second, ground, scene["sky"])
    return text + (", the camera " + camera if camera else "")
