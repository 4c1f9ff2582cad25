"""Training one model with several processes on one machine: each makes the gradient of a batch of its own,
and all take the same step, along the mean of them."""
import torch
import torch.multiprocessing as mp

PATIENCE = 300  # seconds until a process that waits takes the others for dead


class Team:
    """Made before the processes are, with the parameters of their common model. Rank 0 leads."""

    def __init__(self, size, parameters):
        self.size, self.rank, self.parameters = size, 0, [p for p in parameters if p.requires_grad]
        total = sum(p.numel() for p in self.parameters)
        self.gradients = torch.zeros(size, total).share_memory_()
        self.numbers = torch.zeros(size, 2, dtype=torch.float64).share_memory_()
        self.gate = mp.get_context("fork").Barrier(size)

    def start(self, work):
        """Runs work(rank) in size - 1 further processes and, as rank 0, in this one."""
        context = mp.get_context("fork")
        others = [
            context.Process(target=self.enter, args=(work, r), daemon=True)
            for r in range(1, self.size)
        ]
        for p in others:
            p.start()
        self.enter(work, 0)
        for p in others:
            p.join()

    def enter(self, work, rank):
        self.rank = rank
        work(rank)

    def share(self, count, order):
        """Replaces all gradients by their mean. Gives the sum of `count` over the team, and rank 0's
        `order`: what it decides for all."""
        if self.size == 1:
            return count, order
        zero = [p.grad if p.grad is not None else torch.zeros_like(p) for p in self.parameters]
        torch.cat([g.flatten() for g in zero], out=self.gradients[self.rank])
        self.numbers[self.rank, 0], self.numbers[self.rank, 1] = count, order
        self.gate.wait(PATIENCE)
        mean, sums = self.gradients.mean(0), (
            int(self.numbers[:, 0].sum()),
            float(self.numbers[0, 1]),
        )
        self.gate.wait(PATIENCE)  # all have read
        for p, g in zip(self.parameters, mean.split([p.numel() for p in self.parameters])):
            p.grad = g.view_as(p)
        return sums
