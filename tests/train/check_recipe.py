"""Checks of the training recipe that need PyTorch: fused operations, the optimiser, masks, resuming."""
import os
import sys
import tempfile
import warnings
import numpy as np
import torch

warnings.simplefilter("ignore")
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../scripts/train"))
import captions  # noqa: E402
import judge  # noqa: E402
import masks  # noqa: E402
import ops  # noqa: E402
import optim  # noqa: E402
import team  # noqa: E402
import telling  # noqa: E402
import text  # noqa: E402
import train_text  # noqa: E402
import wan  # noqa: E402
import world  # noqa: E402


def gradients(model, inputs, weight, fused):
    """(output, gradients by name), in plain f32 or in bf16 with the fused operations."""
    model.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=fused):
        y = model(*inputs).float()
    (y * weight).sum().backward()
    return y.detach(), {n: p.grad.clone() for n, p in model.named_parameters()}


def apart(a, b):
    return float((a - b).norm() / (b.norm() + 1e-9))


def check_fused_operations():
    """Within bf16's rounding: outputs 1 %, gradients 5 %."""
    model = wan.DiT(dim=64, layers=2, heads=2, ffn=256, text_dim=32)
    torch.nn.init.normal_(model.head.head.weight, std=0.05)
    inputs = torch.randn(3, 36, 3, 8, 6), torch.rand(3) * 1000, torch.randn(3, 32, 32)
    weight = torch.randn(3, 16, 3, 8, 6)
    plain, want = gradients(model, inputs, weight, False)
    fused, got = gradients(model, inputs, weight, True)
    assert apart(fused, plain) < 0.01, apart(fused, plain)
    # a key's bias moves all scores alike: its gradient is rounding alone
    names = [n for n in want if not n.endswith("attn.k.bias")]
    worst = max(names, key=lambda n: apart(got[n], want[n]))
    assert apart(got[worst], want[worst]) < 0.05, (worst, apart(got[worst], want[worst]))


def check_gelu_far_out():
    """Large numbers of both signs, where an exponential overflows."""
    x = torch.linspace(-60, 60, 1001).bfloat16().requires_grad_()
    y = ops.Gelu.apply(x)
    y.sum().backward()
    z = x.detach().float().requires_grad_()
    want = torch.nn.functional.gelu(z, approximate="tanh")
    want.sum().backward()
    assert torch.allclose(y.float(), want, rtol=0.01, atol=0.01)
    assert torch.allclose(x.grad.float(), z.grad, rtol=0.01, atol=0.01)


def check_orthogonal():
    """All singular values near 1, for tall and for wide matrices."""
    for shape in ((2, 48, 16), (2, 16, 48)):
        s = torch.linalg.svd(optim.orthogonal(torch.randn(*shape))).S
        assert 0.6 < s.min() and s.max() < 1.3, s


def check_optimiser_resumes():
    """A run that is stopped and loaded takes the same steps as one that is not."""

    def run(layer, optimiser, steps):
        for i in range(steps):
            x = torch.full((1, 8), float(optimiser.steps + 1))
            layer(x).pow(2).sum().backward()
            optimiser.step(1.0)

    def make():
        torch.manual_seed(3)
        layer = torch.nn.Linear(8, 8)
        return layer, optim.Optimiser(layer.named_parameters(), lambda n, p: p.dim() == 2)

    whole, o = make()
    run(whole, o, 6)
    first, o1 = make()
    run(first, o1, 3)
    with tempfile.TemporaryFile() as f:
        torch.save(dict(weights=first.state_dict(), optimiser=o1.state()), f)
        f.seek(0)
        saved = torch.load(f)
    second, o2 = make()
    second.load_state_dict(saved["weights"])
    o2.load(saved["optimiser"])
    run(second, o2, 3)
    assert torch.equal(whole.weight, second.weight)
    assert torch.equal(o.average["weight"], o2.average["weight"])


def check_team_takes_one_step():
    """Two processes with different gradients have the mean of them, and the leader's decision."""
    layer, report = torch.nn.Linear(3, 2), torch.zeros(2, 3).share_memory_()
    crew = team.Team(2, layer.parameters())

    def work(rank):
        layer.weight.grad = torch.full((2, 3), 1.0 + rank)  # the bias has none
        count, order = crew.share(10 + rank, 0.5 - rank)
        report[rank] = torch.tensor([layer.weight.grad.mean(), count, order])

    crew.start(work)
    assert torch.equal(report, torch.tensor([[1.5, 21, 0.5], [1.5, 21, 0.5]])), report


def check_masks():
    """Every kind leaves something to draw, and all kinds are drawn."""
    rng, shares = np.random.default_rng(0), []
    for _ in range(400):
        m = masks.known(rng, 5, 8, 12)
        assert m.shape == (5, 8, 12) and set(np.unique(m)) <= {0.0, 1.0}
        shares.append(m.mean())
    assert max(shares) < 1 and min(shares) == 0
    assert len(set(shares)) > 20
    assert masks.known(rng, 1, 8, 8).shape == (1, 8, 8)


def two_objects():
    thing = lambda size, colour, shape: dict(size=size, colour=colour, shape=shape)
    objects = [thing("small", "red", "cone"), thing("large", "blue", "star")]
    scene = dict(objects=objects, relation="right of", motion="grows", camera="", phase=0.3)
    return dict(scene, ground="sand", sky="by day")


def check_captions_bind_words_to_objects():
    """Of each word: its object and where that stands; nothing of an object whose place is not told."""
    scene = two_objects()
    marked = "a\1 cone\1 grows right of a\2 star\2, by day"
    told = train_text.roles(marked, scene, {"relation"})
    want = [(1, 2, 0)] * 2 + [(0, 0, 0)] * 3 + [(2, 1, 0)] * 2 + [(0, 0, 0)] * 4
    assert told[: len(want)] == want and told[len(want)][0] == telling.UNTOLD, told
    assert train_text.roles(marked, scene, set())[0] == (1, 0, 0)
    rng, tokenizer = np.random.default_rng(1), text.Tokenizer()
    for _ in range(200):
        marked, mentioned = captions.describe_marked(scene, rng)
        count = min(train_text.TEXT_LENGTH, len(tokenizer(captions.unmarked(marked))))
        rows = train_text.roles(marked, scene, mentioned)
        assert sum(r[0] != telling.UNTOLD for r in rows) == count, marked


def check_questions_follow_what_is_mentioned():
    """A scene answers all, a caption what it mentions alone."""
    scene, names = two_objects(), list(telling.QUESTIONS)
    said = lambda mentioned: dict(zip(names, telling.answers(scene, mentioned)))
    word = lambda q, mentioned=None: telling.QUESTIONS[q][said(mentioned)[q]]
    assert telling.UNTOLD not in telling.answers(scene)
    assert word("shape left") == "star" and word("shape right") == "cone"
    assert word("motion left") == "stays still" and word("motion right") == "grows"
    assert word("shape back") == telling.NONE
    assert said({"shape2"})["shape left"] == telling.UNTOLD
    assert word("shape left", {"shape2", "relation"}) == "star"


def check_text_encoder_learns_to_read():
    """In a hundred small steps it knows the sky; a word's neighbours are near from the start."""
    heads = wan.TextEncoder(10).encoder.block[0].layer[0].SelfAttention.bias(8)
    assert heads[0, 4, 3] > heads[0, 4, 5] and heads[1, 4, 5] > heads[1, 4, 3]
    rng, tokenizer = np.random.default_rng(2), text.Tokenizer()
    reader = train_text.Reader(len(tokenizer))
    optimiser = train_text.optimiser_of(reader, 2e-3)
    for _ in range(100):
        optimiser.zero_grad()
        reader.loss(tokenizer, rng, [world.training_scene(rng) for _ in range(64)]).backward()
        optimiser.step()
    scenes = [judge.held_out_scene(rng) for _ in range(60)]
    share = reader.accuracy(tokenizer, scenes)["sky"]
    assert share > 0.5, share  # one in six by chance


def main():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    for name, check in sorted(globals().items()):
        if name.startswith("check_"):
            check()
            print("ok  ", name)


if __name__ == "__main__":
    main()
