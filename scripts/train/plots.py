"""Line plots as SVG files, without a library."""
import math

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 560, 320, 62, 16, 34, 46
COLOURS = ["#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#8c564b", "#7f7f7f"]


class Axis:
    """Maps values to pixels and chooses where to write numbers."""

    def __init__(self, values, first, last, log):
        low, high = min(values), max(values)
        if log:
            low, high = low * 0.9, high * 1.1
        elif low == high:
            low, high = low - 1, high + 1
        self.place = math.log if log else float
        self.low, self.high, self.log = low, high, log
        self.first, self.last = first, last

    def __call__(self, value):
        a, b = self.place(self.low), self.place(self.high)
        return self.first + (self.place(value) - a) / (b - a) * (self.last - self.first)

    def ticks(self):
        if self.log:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            found = [m * 10.0**d for d in decades for m in (1, 2, 3, 5, 7)]
        else:
            rough = (self.high - self.low) / 5
            unit = 10 ** math.floor(math.log10(rough))
            step = next(unit * m for m in (1, 2, 5, 10) if unit * m >= rough)
            found = [step * i for i in range(math.ceil(self.low / step), int(self.high / step) + 2)]
        return [v for v in found if self.low <= v <= self.high]


def text(x, y, what, anchor="middle", extra=""):
    what = what.replace("&", "&amp;").replace("<", "&lt;")
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{extra}>{what}</text>'


def grid(x, y, right, bottom):
    rows = []
    for v in x.ticks():
        rows.append(f'<path d="M{x(v):.1f} {TOP}V{bottom}" stroke="#ddd"/>')
        rows.append(text(x(v), bottom + 16, f"{v:g}"))
    for v in y.ticks():
        rows.append(f'<path d="M{LEFT} {y(v):.1f}H{right}" stroke="#ddd"/>')
        rows.append(text(LEFT - 6, y(v) + 4, f"{v:g}", "end"))
    return rows


def line(name, points, i, x, y, right, dots):
    colour = COLOURS[i % len(COLOURS)]
    path = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in points)
    rows = [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>']
    if dots:
        rows += [
            f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="3" fill="{colour}"/>' for a, b in points
        ]
    rows.append(text(right - 4, TOP + 14 + 15 * i, name, "end", f' fill="{colour}"'))
    return rows


def plot(path, title, labels, series, log_x=False, log_y=False, dots=False):
    """Writes lines {name: [(x, y), ...]} with `labels` of both axes; without points, nothing."""
    points = [p for rows in series.values() for p in rows]
    if not points:
        return False
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    x = Axis([p[0] for p in points], LEFT, right, log_x)
    y = Axis([p[1] for p in points], bottom, TOP, log_y)
    rows = grid(x, y, right, bottom)
    for i, (name, at) in enumerate(series.items()):
        rows += line(name, at, i, x, y, right, dots)
    rows += [
        text(WIDTH / 2, 20, title, extra=' font-size="14"'),
        text((LEFT + right) / 2, HEIGHT - 8, labels[0]),
        text(14, HEIGHT / 2, labels[1], extra=f' transform="rotate(-90 14 {HEIGHT / 2})"'),
    ]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}"'
    head += ' font-family="sans-serif" font-size="11">\n<rect width="100%" height="100%" fill="#fff"/>\n'
    with open(path, "w") as f:
        f.write(head + "\n".join(rows) + "\n</svg>\n")
    return True
