"""Checks scripts/train/report.py on made-up results: python3 check_report.py"""
import json
import os
import sys
import tempfile
import xml.etree.ElementTree as xml

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../scripts/train"))
import report  # noqa: E402


def expect(condition, what):
    if not condition:
        sys.exit(what)


def model(dim, layers):
    return dict(dim=dim, layers=layers, ffn=4 * dim, text_dim=64, samples=1000)


def frechet(distances):
    cells = [dict(steps=s, cfg=3.0, distance=d) for s, d in distances.items()]
    return dict(clips=20, shape=[17, 64, 64], floor=0.1, cells=cells)


def check_scaling():
    # 10 M matrix parameters seen by 80 tokens are 1.6 Gflops; attention over 80 tokens adds a little
    cost = report.gflops(dict(dim=256, layers=12, ffn=1024, text_dim=64))
    expect(
        1.4 < cost < 2.0, f"a forward pass of 9.4 M block parameters on 80 tokens: {cost} Gflops"
    )
    results = [
        dict(model=model(192, 8), frechet=frechet({20: 1.0, 50: 0.5})),
        dict(model=model(96, 4), frechet=frechet({20: 4.0})),
    ]
    rows = report.scaling_table(results)
    expect([r[1:3] for r in rows] == [(4.0, 96), (1.0, 192)], f"scaling table: {rows}")
    expect(rows[0][0] < rows[1][0], "the larger model costs less")


def check_page():
    accuracy = {
        "all": {"colour": [199, 200], "motion": [90, 100]},
        "full captions": {"colour": [100, 100]},
    }
    sharpness = dict(all=0.9, median=0.8)
    prompts = dict(clips=200, accuracy=accuracy, motions={"spins": [1, 2]}, sharpness=sharpness)
    results = dict(model=model(96, 4), prompts=prompts, frechet=frechet({20: 4.0}))
    with tempfile.TemporaryDirectory() as folder:
        path = lambda name: os.path.join(folder, name)
        with open(path("evaluation.json"), "w") as f:
            json.dump(results, f)
        with open(path("transformer.log"), "w") as f:
            f.write(
                "0.5 min seen 100 loss 1.25\nnot a line of figures\n3.0 min seen 700 loss 0.50\n"
            )
        sys.argv = ["report.py", "--work", folder, "--out", path("report.md")]
        report.main()
        with open(path("report.md")) as f:
            page = f.read()
        expect("| colour | 0.995 | 200 | 0.99 | yes | 1.00 |" in page, page)
        expect("| motion | 0.900 | 100 | 0.97 | **no** |  |" in page, page)
        expect("0.900; of the median clip 0.800 (wanted 0.85, met: **no**)" in page, page)
        expect(
            report.read_log(path("transformer.log"), "loss") == [(0.5, 1.25), (3.0, 0.5)], "curve"
        )
        xml.parse(path("curve_transformer.svg"))


if __name__ == "__main__":
    check_scaling()
    check_page()
    print("ok   report")
