"""The optimiser of both trainings: Muon for matrices, Adam for the rest, and averaged weights.

Muon (Jordan et al. 2024) takes the nearest semi-orthogonal matrix to the momentum as the step, found
by five Newton-Schulz steps; a convolution is a matrix [out, in x kernel]."""
import torch


def orthogonal(m, steps=5):
    """Newton-Schulz towards U V^T of each m = U S V^T; m is [n, rows, columns]."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = m.bfloat16()
    tall = x.shape[1] > x.shape[2]
    x = x.transpose(1, 2) if tall else x
    x = x / (x.float().flatten(1).norm(dim=1).view(-1, 1, 1) + 1e-7).bfloat16()
    for _ in range(steps):
        gram = x @ x.transpose(1, 2)
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return (x.transpose(1, 2) if tall else x).float()


class Optimiser:
    """`is_matrix(name, parameter)` says which parameters Muon moves, at rate `matrix`; Adam moves the
    others at rate `rest`. `average` holds the running means of all parameters, which are what is kept.
    """

    def __init__(self, named, is_matrix, matrix=0.02, rest=2e-3, decay=0.9995, weight_decay=0.0):
        self.named = [(n, p) for n, p in named if p.requires_grad]
        self.rates, self.decay, self.weight_decay = (matrix, rest), decay, weight_decay
        self.groups, others = {}, []
        for n, p in self.named:
            if is_matrix(n, p):
                self.groups.setdefault(p.flatten(1).shape, []).append(p)
            else:
                others.append(p)
        self.momentum = {s: torch.zeros(len(ps), *s) for s, ps in self.groups.items()}
        self.adam = torch.optim.Adam(others, rest, betas=(0.9, 0.98))
        self.average = {n: p.detach().clone() for n, p in self.named}
        self.steps = 0

    def step(self, share):
        """One step at `share` of the full rates, after backward(); clears the gradients."""
        torch.nn.utils.clip_grad_norm_([p for _, p in self.named], 1.0)
        with torch.no_grad():
            for shape, ps in self.groups.items():
                self.move_matrices(shape, ps, share * self.rates[0])
        for g in self.adam.param_groups:
            g["lr"] = share * self.rates[1]
        self.adam.step()
        self.steps += 1
        keep = min(self.decay, self.steps / (self.steps + 10))
        with torch.no_grad():
            for n, p in self.named:
                self.average[n].lerp_(p, 1 - keep)
                p.grad = None

    def move_matrices(self, shape, ps, rate):
        m, zero = self.momentum[shape], torch.zeros(shape)
        g = torch.stack([zero if p.grad is None else p.grad.flatten(1) for p in ps])
        m.mul_(0.95).add_(g)
        step = orthogonal(g.add_(m, alpha=0.95))  # Nesterov
        step *= max(1, shape[0] / shape[1]) ** 0.5
        for p, s in zip(ps, step):
            p.mul_(1 - rate * self.weight_decay).sub_(s.view_as(p), alpha=rate)

    def state(self):
        moments = {str(tuple(s)): m for s, m in self.momentum.items()}
        return dict(
            moments=moments, adam=self.adam.state_dict(), average=self.average, steps=self.steps
        )

    def load(self, saved):
        for s, m in self.momentum.items():
            m.copy_(saved["moments"][str(tuple(s))])
        self.adam.load_state_dict(saved["adam"])
        self.average, self.steps = saved["average"], saved["steps"]
