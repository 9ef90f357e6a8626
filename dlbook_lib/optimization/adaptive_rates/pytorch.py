"""Adaptive learning rates in PyTorch: torch's own, but for two that it lacks."""

import torch
from torch.nn.utils import clip_grad_norm_, clip_grad_value_
from torch.optim import LBFGS, Adadelta, Adagrad, Adam, AdamW, Optimizer, RMSprop

from dlbook_lib.optimization.momentum.pytorch import Momentum, Nesterov

__all__ = [
    "LBFGS",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamInPlace",
    "AdamW",
    "DeltaBarDelta",
    "RMSPropNesterov",
    "RMSprop",
    "clip_grad_norm_",
    "clip_grad_value_",
    "with_grads",
]

AdamInPlace = Adam
"""Torch's own is one method, however it is computed."""


class DeltaBarDelta(Momentum):
    """As in scratch: a rate for every entry of the parameters (...)."""

    def __init__(self, params, lr=1e-2, kappa=1e-3, phi=0.1, theta=0.7):
        options = {"lr": lr, "kappa": kappa, "phi": phi, "theta": theta}
        Optimizer.__init__(self, params, options)

    def _change(self, g, state, *, lr, kappa, phi, theta, **_):
        if not state:
            state.update(rate=torch.full_like(g, lr), average=torch.zeros_like(g))
        agree = state["average"] * g
        up, down = state["rate"] + kappa, state["rate"] * (1 - phi)
        rate = torch.where(agree > 0, up, torch.where(agree < 0, down, state["rate"]))
        state["rate"].copy_(rate)
        state["average"].lerp_(g, 1 - theta)
        return rate * g


class RMSPropNesterov(Nesterov):
    """As in scratch: mean squares and velocities (...), with a look-ahead."""

    def __init__(self, params, lr=1e-2, alpha=0.99, eps=1e-8, momentum=0.9):
        options = {"lr": lr, "alpha": alpha, "eps": eps, "momentum": momentum}
        Optimizer.__init__(self, params, options)

    def _change(self, g, state, *, lr, alpha, eps, momentum, **_):
        if not state:
            state.update(square_avg=torch.zeros_like(g), velocity=torch.zeros_like(g))
        r = state["square_avg"].mul_(alpha).addcmul_(g, g, value=1 - alpha)
        v = state["velocity"].mul_(momentum)
        return -v.addcdiv_(g, r.sqrt().add_(eps), value=-lr)


def with_grads(parameters):
    """As in scratch: those parameters (...) that have a gradient."""
    single = isinstance(parameters, torch.Tensor)
    return [p for p in ([parameters] if single else parameters) if p.grad is not None]
