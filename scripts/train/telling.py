"""What a scene shows and what a caption says of it, as questions with numbered answers: the second task of the
transformer, and the one by which the text encoder learns to read."""
import torch
import torch.nn.functional as F
import judge
import world

NONE = "none"
SHAPES = world.SHAPES + world.EXTRA_SHAPES
OF_OBJECTS = dict(judge.OF_OBJECTS, shape=SHAPES)
# which object, 0 the first, stands where
PLACES = {
    "left of": dict(left=0, right=1),
    "right of": dict(left=1, right=0),
    "behind": dict(left=0, right=1, back=0, front=1),
    "in front of": dict(left=0, right=1, back=1, front=0),
}
SIDES, DEPTHS = ["left", "right"], ["back", "front"]
QUESTIONS = {
    **OF_OBJECTS,
    **judge.OF_SCENES,
    "motion": world.MOTIONS,
    "relation": judge.OF_SCENES["relation"] + [NONE],
    **{k + "2": v + [NONE] for k, v in OF_OBJECTS.items()},
}
AT_PLACES = {
    f"{k} {place}": QUESTIONS[k] + [NONE]
    for place in SIDES + DEPTHS
    for k in ("size", "colour", "shape", "motion")
}
QUESTIONS |= AT_PLACES
UNTOLD = -100  # the answer that cross_entropy passes over


def answer(scene, question):
    """(in words, the attributes of the scene that it follows from)."""
    if question not in AT_PLACES:
        has = question in judge.attributes(scene)
        return (judge.value(scene, question), {question}) if has else (NONE, set())
    key, place = question.split()
    which = PLACES.get(scene["relation"], {}).get(place)
    if which is None:
        return NONE, {"relation"} if scene["relation"] else set()
    if key == "motion" and which:
        return "stays still", {"relation"}
    key += "2" * which
    return judge.value(scene, key), {"relation", key}


def answers(scene, mentioned=None):
    """An index for each of QUESTIONS; UNTOLD where a caption does not mention what it follows from."""
    found = []
    for question, options in QUESTIONS.items():
        words, needed = answer(scene, question)
        told = mentioned is None or needed <= mentioned
        found.append(options.index(words) if told else UNTOLD)
    return found


class Teller(torch.nn.Module):
    """Answers all questions from features. Not exported.

    Of the transformer's middle tokens, it brings the words to them early (a supervised form of representation
    alignment, Yu et al. 2024)."""

    def __init__(self, dim):
        super().__init__()
        self.norm = torch.nn.LayerNorm(dim)
        self.answers = torch.nn.Linear(dim, sum(map(len, QUESTIONS.values())))

    def told(self, features):
        """Logits [n,options] of each question; features [n,dim]."""
        return self.answers(self.norm(features)).split([len(v) for v in QUESTIONS.values()], 1)

    def loss(self, features, rows):
        """Mean cross-entropy over everything asked; rows [n] of answers()."""
        want = torch.tensor(rows)
        parts = zip(self.told(features), want.unbind(1))
        total = sum(F.cross_entropy(logits, w, reduction="sum") for logits, w in parts)
        return total / (want != UNTOLD).sum().clamp(min=1)
