"""PyTorch's side, eager, as its documentation would write it."""

import torch
from torch.nn import functional as F

from benchmarks.optimization import inputs


def adam(parameters=1_000_000):
    params, grads = (list(map(torch.tensor, a)) for a in inputs.adam(parameters))
    for p, g in zip(params, grads, strict=True):
        p.requires_grad_().grad = g
    optimizer = torch.optim.Adam(params, **inputs.ADAM)
    changed = [p.detach() for p in params]

    def step():
        optimizer.step()
        return changed

    return step


adam_readable = adam


def batch_norm(batch=64, channels=32):
    x, dy, weight, bias = map(torch.tensor, inputs.batch_norm(batch, channels))
    given = [each.requires_grad_() for each in (x, weight, bias)]

    def step():
        y = F.batch_norm(x, None, None, weight, bias, True, 0.1, inputs.EPS)
        return y.detach(), *torch.autograd.grad(y, given, dy)

    return step


batch_norm_readable = batch_norm
