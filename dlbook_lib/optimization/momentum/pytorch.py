"""Momentum in PyTorch: torch's own form, and the two others as its optimizers."""

import torch
from torch.optim import SGD, Optimizer

__all__ = ["SGD", "EMAMomentum", "Momentum", "Nesterov", "average_lr"]


class Momentum(Optimizer):
    """As in scratch: velocities (...) with the learning rate in them."""

    def __init__(self, params, lr=1e-3, momentum=0.9):
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure=None):
        """As in scratch: change every parameter (...) that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.sub_(self._change(p.grad, self.state[p], **group))
        return loss

    def _change(self, g, state, *, lr, momentum, **_):
        if not state:
            state["velocity"] = torch.zeros_like(g)
        return -state["velocity"].mul_(momentum).sub_(g, alpha=lr)


class EMAMomentum(Momentum):
    """As in scratch: averages (...) of the gradients."""

    def _change(self, g, state, *, lr, momentum, **_):
        if not state:
            state["average"] = torch.zeros_like(g)
        return lr * state["average"].lerp_(g, 1 - momentum)


def average_lr(lr, momentum):
    """As in scratch: a number, of shape ()."""
    return lr / (1 - momentum)


class Nesterov(Momentum):
    """As in scratch: velocities (...) and the gradient after the look-ahead."""

    def step(self, closure):
        """As in scratch: `closure` is called at the look-ahead."""
        homes = []
        with torch.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    homes.append((p, p.clone()))
                    if self.state[p]:
                        p.add_(self.state[p]["velocity"], alpha=group["momentum"])
        loss = closure()
        with torch.no_grad():
            for p, home in homes:
                p.copy_(home)
        super().step()
        return loss
