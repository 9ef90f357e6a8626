"""Losses in PyTorch: most are PyTorch's own, and autograd is the backward of each."""

import math
from itertools import pairwise

import torch
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    gaussian_nll_loss,
    huber_loss,
    l1_loss,
    mse_loss,
    nll_loss,
    poisson_nll_loss,
    relu,
)

__all__ = [
    "LOSSES",
    "best_function_on_grid",
    "gaussian_nll_loss",
    "half_squared_norm",
    "huber_loss",
    "l1_loss",
    "laplace_nll_loss",
    "loss_from_distribution",
    "nll_loss",
    "pinball_loss",
    "poisson_nll_loss",
    "total_cost",
]


def pinball_loss(input, target, quantile=0.5, reduction="mean"):
    """As in scratch, for tensors (...); `relu` makes the slope 0 at an error of 0."""
    gap = target - input
    loss = quantile * relu(gap) + (1 - quantile) * relu(-gap)
    return {"mean": loss.mean, "sum": loss.sum, "none": loss.clone}[reduction]()


def laplace_nll_loss(input, target, scale, full=False, eps=1e-6, reduction="mean"):
    """As in scratch, for tensors (...); `scale` is of any shape that broadcasts."""
    scale = torch.as_tensor(scale, dtype=input.dtype, device=input.device).clone()
    if scale.shape == input.shape[:-1] and scale.dim():
        scale = scale.unsqueeze(-1)
    with torch.no_grad():  # the slope does not see the clamp
        scale.clamp_(min=eps)
    loss = torch.log(scale) + (input - target).abs() / scale
    loss = loss + math.log(2) if full else loss
    return {"mean": loss.mean, "sum": loss.sum, "none": loss.clone}[reduction]()


LOSSES = {
    "gaussian": mse_loss,
    "laplace": l1_loss,
    "bernoulli": binary_cross_entropy_with_logits,
    "categorical": nll_loss,
    "poisson": poisson_nll_loss,
}


def loss_from_distribution(name):
    """As in scratch, but the loss alone, for tensors (...): autograd has the rest."""
    return LOSSES[name]


def best_function_on_grid(loss, x, y, edges, values):
    """As in scratch: the best of `values` (V,) in each of the K cells, (K,)."""
    best = []
    for low, high in pairwise(edges):
        here = y[(low <= x) & (x < high)]
        tried, seen = torch.meshgrid(values, here, indexing="ij")  # (V, points) each
        best.append(values[loss(tried, seen, reduction="none").sum(dim=1).argmin()])
    return torch.stack(best)


def half_squared_norm(*params):
    """As in scratch, but the value alone, for tensors (...)."""
    return sum(p.square().sum() for p in params) / 2


def total_cost(objective, omega=half_squared_norm, alpha=0.0):
    """As in scratch, but ``objective(*params)`` and `omega` give a value alone, ()."""
    return lambda *params: objective(*params) + alpha * omega(*params)
