"""Gradient descent in PyTorch: torch's own, but for what it lacks."""

import torch
from torch.optim import SGD, Optimizer

__all__ = [
    "SGD",
    "Optimizer",
    "as_parameter",
    "linear_decay",
    "set_grads",
    "step_decay",
]


def as_parameter(p):
    """As in scratch: a leaf (...) around the same memory, of a tensor or an array."""
    return p if isinstance(p, torch.Tensor) else torch.from_numpy(p).requires_grad_()


def set_grads(optimizer, grads):
    """As in scratch: a gradient (...) or None for each parameter."""
    params = [p for group in optimizer.param_groups for p in group["params"]]
    for p, g in zip(params, grads, strict=True):
        p.grad = None if g is None else torch.as_tensor(g)


def linear_decay(k, lr, end_lr, total_iters):
    """As in scratch: a tensor (...) of float64."""
    alpha = torch.as_tensor(k, dtype=torch.float64).clamp(max=total_iters) / total_iters
    return torch.lerp(torch.full_like(alpha, lr), torch.full_like(alpha, end_lr), alpha)


def step_decay(k, lr, step_size, gamma=0.1, min_lr=0.0):
    """As in scratch: a tensor (...) of float64."""
    steps = torch.as_tensor(k).div(step_size, rounding_mode="floor")
    return (lr * gamma ** steps.double()).clamp(min=min_lr)
