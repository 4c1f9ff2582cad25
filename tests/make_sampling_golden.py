#!/usr/bin/env python3
"""Writes tests/golden/sampling_a.json: samplers, schedules and guidance in float64.

    python3 tests/make_sampling_golden.py > tests/golden/sampling_a.json

The rules are written here as their sources state them (ComfyUI's comfy/k_diffusion/sampling.py and
comfy/samplers.py, the papers for guidance): denoised estimates, Karras's sigma = sigma / alpha for betas, raw
sigma for flow. The engine computes with (alpha, sigma) levels and lambda instead, so that one does not
repeat the mistakes of the other. No library but Python's own.
"""
import json
import math

N = 6  # numbers in a state


# ------------------------------------------------------------------------------------------ random numbers

class Lcg:
    """Numbers that look random, the same everywhere."""

    def __init__(self, seed):
        self.state = seed

    def uniform(self):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return ((self.state >> 11) + 0.5) / 2**53

    def normal(self, n=N):
        return [math.sqrt(-2 * math.log(self.uniform())) * math.cos(2 * math.pi * self.uniform()) for _ in range(n)]


def f32(x):
    """To the nearest float32: what the engine is given."""
    import struct
    return struct.unpack("f", struct.pack("f", x))[0]


def mix(*terms):
    """Weighted sum of lists: mix((w, list), ...)."""
    return [sum(w * v[i] for w, v in terms) for i in range(len(terms[0][1]))]


# ------------------------------------------------------------------------------------------------ schedules

def shifted(k, t):
    return k * t / (1 + (k - 1) * t)


def betas_table(cosine):
    """sigma / alpha of 1000 training steps."""
    def bar(t):
        return math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2
    prod, out = 1.0, []
    for t in range(1000):
        b = min(1 - bar((t + 1) / 1000) / bar(t / 1000), 0.999) if cosine else 1e-4 + (0.02 - 1e-4) * t / 999
        prod *= 1 - b
        out.append(math.sqrt((1 - prod) / prod))
    return out


def beta_quantiles(ps, a=0.6, grid=400000):
    """Quantiles of beta(a, a): its density summed over t = sin^2(u), where it has no poles."""
    density = [(math.sin(u) * math.cos(u)) ** (2 * a - 1) if 0 < k < grid else 0.0
               for k, u in ((k, k * math.pi / 2 / grid) for k in range(grid + 1))]
    total, cdf = 0.0, [0.0]
    for k in range(grid):
        total += density[k] + density[k + 1]
        cdf.append(total)
    out = []
    for p in ps:
        low, high = 0, grid
        while high - low > 1:
            mid = (low + high) // 2
            low, high = (mid, high) if cdf[mid] < p * total else (low, mid)
        share = (p * total - cdf[low]) / (cdf[high] - cdf[low]) if p > 0 else 0.0
        out.append(math.sin((low + share) * math.pi / 2 / grid) ** 2)
    return out


def levels(name, n, sigmas, at, time_low, time_high, flow):
    """n sigmas as ComfyUI's schedulers give them, without the 0 that follows."""
    low, high = sigmas[0], sigmas[-1]
    ramp = [i / (n - 1) if n > 1 else 0.0 for i in range(n)]
    if name == "simple":
        return [sigmas[-(1 + int(i * (len(sigmas) / n)))] for i in range(n)]
    if name == "ddim_uniform":
        stride = 1000 // n
        return [sigmas[1 + i * stride] for i in range(n)][::-1]
    if name == "normal":
        return [at(time_high + (time_low - time_high) * r) for r in ramp]
    if name == "sgm_uniform":
        return [at(time_high + (time_low - time_high) * i / n) for i in range(n)]
    if name == "karras":
        return [(high ** (1 / 7) + r * (low ** (1 / 7) - high ** (1 / 7))) ** 7 for r in ramp]
    if name == "exponential":
        return [math.exp(math.log(high) + r * (math.log(low) - math.log(high))) for r in ramp]
    if name == "kl_optimal":
        return [math.tan(r * math.atan(low) + (1 - r) * math.atan(high)) for r in ramp]
    if name == "beta":
        return [sigmas[round(q * 999)] for q in beta_quantiles([1 - i / n for i in range(n)])]
    assert name == "linear_quadratic" and flow
    half, threshold = n // 2, 0.025
    rest = n - half
    diff = half - threshold * n
    quad, lin = diff / (half * rest**2), threshold / half - 2 * diff / rest**2
    first = [i * threshold / half for i in range(half)]
    return [1 - x for x in first + [quad * i**2 + lin * i + quad * half**2 for i in range(half, n)]]


NAMES = ["simple", "normal", "sgm_uniform", "beta", "karras", "exponential", "kl_optimal", "linear_quadratic",
         "ddim_uniform"]


def schedule_cases():
    out = []
    for shift in (1.0, 3.0, 8.0):
        table = [shifted(shift, (i + 1) / 1000) for i in range(1000)]
        for name in NAMES:
            for n in (4, 20):
                out.append({"name": name, "of": "flow", "shift": shift,
                            "sigma": levels(name, n, table, lambda t: shifted(shift, t), table[0], 1.0, True)})
    for of in ("ddpm_linear", "ddpm_cosine"):
        table = betas_table(of == "ddpm_cosine")
        logs = [math.log(s) for s in table]

        def at(t):
            i = min(int(t), 998)
            return math.exp(logs[i] + (t - i) * (logs[i + 1] - logs[i]))
        for name in NAMES:
            if name == "linear_quadratic":
                continue
            for n in (4, 20):
                out.append({"name": name, "of": of, "shift": 0.0,
                            "sigma": levels(name, n, table, at, 0, 999, False)})
    return out


# ------------------------------------------------------------------------------------------------- samplers

def ancestral(a, b, eta):
    up = min(b, eta * (b**2 * (a**2 - b**2) / a**2) ** 0.5) if eta else 0.0
    return (b**2 - up**2) ** 0.5, up


def logit_lambda(s, flow):
    return math.log((1 - s) / s) if flow else -math.log(s)


def sigma_of_lambda(l, flow):
    return 1 / (1 + math.exp(l)) if flow else math.exp(-l)


class Run:
    """A run in ComfyUI's terms. x is the flow's state, or Karras's x / alpha. `model` gives velocity or noise."""

    def __init__(self, flow, sigmas, shift, x, seed, eta):
        self.flow, self.sigmas, self.x, self.eta = flow, list(sigmas), x, eta
        self.first = shifted(shift, 1 - 1e-4) if flow else None
        self.rng = Lcg(seed)
        self.old, self.ds, self.calls = [], [], []

    def lam(self, s):
        return logit_lambda(s, self.flow)

    def alpha(self, s):
        return 1 - s if self.flow else 1.0

    def model(self, x, sigma):
        """An answer, and the estimate: x - sigma * answer in both families."""
        answer = [f32(math.sin(2 * v + 3 * sigma) + 0.3 * v) for v in x]
        return answer, [v - sigma * a for v, a in zip(x, answer)]

    def noise(self):
        return [f32(v) for v in self.rng.normal()]

    def call(self, stage, answer, x0, **noises):
        self.calls.append({"stage": stage, "model": answer, "x0": x0, **noises})

    def done(self):
        self.calls[-1]["x"] = self.x


def euler_ancestral(r, i, a, b):
    d, x0 = r.model(r.x, a)
    z = r.noise()
    r.call(0, d, x0, noise=z)
    if b == 0:
        r.x = x0
    elif r.flow:
        down = b * (1 + (b / a - 1) * r.eta)
        renoise = (b**2 - down**2 * (1 - b) ** 2 / (1 - down) ** 2) ** 0.5
        r.x = mix((down / a, r.x), (1 - down / a, x0))
        r.x = mix(((1 - b) / (1 - down), r.x), (renoise, z))
    else:
        down, up = ancestral(a, b, r.eta)
        slope = [(x - m) / a for x, m in zip(r.x, x0)]
        r.x = mix((1, r.x), (down - a, slope), (up, z))
    r.done()


def dpmpp_sde(r, i, a, b):
    if i == 0 and r.flow and a >= 1:
        a = r.first
    d, x0 = r.model(r.x, a)
    if b == 0:
        r.call(0, d, x0, noise=r.noise())
        r.x = x0
        return r.done()
    z1, z2 = r.noise(), r.noise()
    ls, lt = r.lam(a), r.lam(b)
    lm = ls + 0.5 * (lt - ls)
    mid = sigma_of_lambda(lm, r.flow)
    start = r.x
    r.call(0, d, x0, noise=z1)

    def leap(to, l_to, estimate, z):
        sd, su = ancestral(math.exp(-ls), math.exp(-l_to), r.eta)
        h = -math.log(sd) - ls
        return mix((r.alpha(to) / r.alpha(a) * math.exp(-h), start), (-r.alpha(to) * math.expm1(-h), estimate),
                   (r.alpha(to) * su, z))
    r.x = leap(mid, lm, x0, z1)
    r.done()
    d2, m2 = r.model(r.x, mid)
    # A Brownian path over sigma, of variance 1 over the whole interval.
    whole = mix((math.sqrt((a - mid) / (a - b)), z1), (math.sqrt((mid - b) / (a - b)), z2))
    r.call(2, d2, m2, noise=z1, noise_2=z2)
    r.x = leap(b, lt, m2, whole)
    r.done()


def multistep_sde(order):
    def step(r, i, a, b):
        if i == 0 and r.flow and a >= 1:
            r.sigmas[0] = a = r.first
        d, m = r.model(r.x, a)
        z = r.noise()
        r.call(0, d, m, noise=z)
        if b == 0:
            r.x = m
        else:
            h = r.lam(b) - r.lam(a)
            g = h * (r.eta + 1)
            x = mix((b / a * math.exp(-h * r.eta), r.x), (r.alpha(b) * -math.expm1(-g), m))
            if r.old:
                h1 = r.lam(a) - r.lam(r.sigmas[i - 1])
            phi_2 = math.expm1(-g) / g + 1
            phi_3 = phi_2 / g - 0.5
            if order == 2 and r.old:
                x = mix((1, x), (0.5 * r.alpha(b) * -math.expm1(-g) * (h / h1), mix((1, m), (-1, r.old[0]))))
            elif order == 3 and len(r.old) > 1:
                h2 = r.lam(r.sigmas[i - 1]) - r.lam(r.sigmas[i - 2])
                r0, r1 = h1 / h, h2 / h
                d10 = mix((1 / r0, m), (-1 / r0, r.old[0]))
                d11 = mix((1 / r1, r.old[0]), (-1 / r1, r.old[1]))
                diff = mix((1, d10), (-1, d11))
                d1 = mix((1, d10), (r0 / (r0 + r1), diff))
                d2 = mix((1 / (r0 + r1), diff))
                x = mix((1, x), (r.alpha(b) * phi_2, d1), (-r.alpha(b) * phi_3, d2))
            elif order == 3 and r.old:
                x = mix((1, x), (r.alpha(b) * phi_2 * h / h1, mix((1, m), (-1, r.old[0]))))
            if r.eta > 0:
                x = mix((1, x), (b * math.sqrt(-math.expm1(-2 * h * r.eta)), z))
            r.x = x
        r.old = [m] + r.old
        r.done()
    return step


def lcm(r, i, a, b):
    d, m = r.model(r.x, a)
    z = r.noise()
    r.call(0, d, m, noise=z)
    r.x = m if b == 0 else mix((r.alpha(b), m), (b, z))
    r.done()


def res_multistep(r, i, a, b):
    d, m = r.model(r.x, a)
    r.call(0, d, m)
    if b == 0 or not r.old:
        r.x = mix((1, r.x), (b - a, [(x - y) / a for x, y in zip(r.x, m)]))
    else:
        h = math.log(a) - math.log(b)
        c2 = (-math.log(r.sigmas[i - 1]) + math.log(a)) / h
        phi_1 = math.expm1(-h) / -h
        phi_2 = (phi_1 - 1) / -h
        b1, b2 = phi_1 - phi_2 / c2, phi_2 / c2
        r.x = mix((math.exp(-h), r.x), (h * b1, m), (h * b2, r.old[0]))
    r.old = [m]
    r.done()


def ipndm(r, i, a, b):
    d, m = r.model(r.x, a)
    r.call(0, d, m)
    cur = [(x - y) / a for x, y in zip(r.x, m)]
    p = r.ds
    if b == 0:
        r.x = m
    elif len(p) == 0:
        r.x = mix((1, r.x), (b - a, cur))
    elif len(p) == 1:
        r.x = mix((1, r.x), ((b - a) / 2, mix((3, cur), (-1, p[0]))))
    elif len(p) == 2:
        r.x = mix((1, r.x), ((b - a) / 12, mix((23, cur), (-16, p[0]), (5, p[1]))))
    else:
        r.x = mix((1, r.x), ((b - a) / 24, mix((55, cur), (-59, p[0]), (37, p[1]), (-9, p[2]))))
    r.ds = [cur] + p[:2]
    r.done()


def deis(r, i, a, b):
    d, m = r.model(r.x, a)
    r.call(0, d, m)
    cur = [(x - y) / a for x, y in zip(r.x, m)]
    past = [cur] + r.ds
    if b == 0 or len(past) == 1:
        r.x = mix((1, r.x), (b - a, cur))
    else:
        # EDM's sigma as the time t of a variance-preserving schedule, and the integral over t of
        # d sigma / dt times Lagrange's polynomials in t, by many midpoints.
        low, high = math.log(0.002**2 + 1), math.log(80**2 + 1)
        slope = 2 * (low / 1e-3 - high) / (1e-3 - 1)
        start = high - 0.5 * slope
        time = lambda s: (math.sqrt(start**2 + 2 * slope * math.log(s * s + 1)) - start) / slope
        ts = [time(r.sigmas[i - k]) for k in range(len(past))]
        t0, t1, parts = time(a), time(b), 40000
        weights = [0.0] * len(past)
        for k in range(parts):
            t = t0 + (t1 - t0) * (k + 0.5) / parts
            e = math.exp(0.5 * slope * t * t + start * t)
            ds = e * (slope * t + start) / (2 * math.sqrt(e - 1)) * (t1 - t0) / parts
            for j in range(len(past)):
                poly = 1.0
                for q in range(len(past)):
                    if q != j:
                        poly *= (t - ts[q]) / (ts[j] - ts[q])
                weights[j] += ds * poly
        r.x = mix((1, r.x), *zip(weights, past))
    r.ds = [cur] + r.ds[:1]
    r.done()


SAMPLERS = {"euler_ancestral": euler_ancestral, "dpmpp_sde": dpmpp_sde, "dpmpp_2m_sde": multistep_sde(2),
            "dpmpp_3m_sde": multistep_sde(3), "lcm": lcm, "res_multistep": res_multistep, "deis": deis, "ipndm": ipndm}
BY_ETA = ("euler_ancestral", "dpmpp_sde", "dpmpp_2m_sde", "dpmpp_3m_sde")


def sampler_cases():
    out = []
    flow = {"of": "flow", "shift": 3.0, "scheduler": "simple"}
    karras = {"of": "ddpm_linear", "shift": 0.0, "scheduler": "karras"}
    for name, rule in SAMPLERS.items():
        for base in (flow, karras):
            for eta in ((1.0, 0.4, 0.0) if name in BY_ETA else (0.0,)):
                is_flow = base["of"] == "flow"
                table = [shifted(3.0, (i + 1) / 1000) for i in range(1000)] if is_flow else betas_table(False)
                sigmas = levels(base["scheduler"], 8, table, None, 0, 0, is_flow) + [0.0]
                if is_flow:
                    sigmas = [f32(s) for s in sigmas]
                rng = Lcg(7)
                x = [f32(v if is_flow else v * sigmas[0]) for v in rng.normal()]
                run = Run(is_flow, sigmas, 3.0, x, 11, eta)
                start = list(x)
                for i in range(8):
                    rule(run, i, run.sigmas[i], run.sigmas[i + 1])
                out.append({"sampler": name, **base, "eta": eta, "start": start, "calls": run.calls})
    return out


# ------------------------------------------------------------------------------------------------- guidance

def dot(a, b):
    return sum(x * y for x, y in zip(a, b))


def std(v):
    mean = sum(v) / len(v)
    return math.sqrt(sum((x - mean) ** 2 for x in v) / (len(v) - 1))


def apg(cfg, eta, norm, momentum, d_cond, d_uncond, average):
    """2410.02416, algorithm 1, on clean estimates: the guided one and the running sum."""
    diff = mix((1, d_cond), (-1, d_uncond), (momentum, average))
    update = diff
    length = math.sqrt(dot(diff, diff))
    if norm > 0:
        update = mix((min(1.0, norm / length), diff))
    unit = mix((1 / math.sqrt(dot(d_cond, d_cond)), d_cond))
    parallel = mix((dot(update, unit), unit))
    orthogonal = mix((1, update), (-1, parallel))
    return mix((1, d_cond), (cfg - 1, orthogonal), ((cfg - 1) * eta, parallel)), diff


def guidance_cases():
    rng, out = Lcg(3), []
    for k in range(6):
        c, u, x, average = ([f32(v) for v in rng.normal(12)] for _ in range(4))
        cfg, phi = 1.5 + k, 0.15 * k
        plain = mix((1, u), (cfg, mix((1, c), (-1, u))))
        star = dot(c, u) / (dot(u, u) + 1e-8)
        zero = mix((star, u), (cfg, mix((1, c), (-star, u))))
        case = {"cond": c, "uncond": u, "x": x, "average": average, "cfg": cfg, "phi": phi, "plain": plain,
                "star": zero, "rescaled": mix((phi * std(c) / std(plain) + 1 - phi, plain))}
        eta, norm, momentum = 0.25 * k, (0.0, 0.7)[k % 2], -0.3 * (k % 3)
        case.update(eta=eta, norm=norm, momentum=momentum)
        # Flow: D = x - sigma v. Betas, in x rather than x / alpha: D = (x - sigma eps) / alpha.
        for name, alpha, sigma, scale in (("flow", 0.4, 0.6, 1.0), ("betas", 0.6, 0.8, 0.6)):
            estimate = lambda answer: mix((1 / scale, x), (-sigma / scale, answer))
            d, total = apg(cfg, eta, norm, momentum, estimate(c), estimate(u), average)
            case[name] = {"alpha": alpha, "sigma": sigma, "velocity": mix((1 / sigma, x), (-scale / sigma, d)),
                          "average": total}
        out.append(case)
    return out


def main():
    golden = {"schedules": schedule_cases(), "samplers": sampler_cases(), "guidance": guidance_cases()}
    print(json.dumps(golden, separators=(",", ":")).replace('{"', '\n{"'))


if __name__ == "__main__":
    main()
