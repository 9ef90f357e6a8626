"""PyTorch's side, eager, as its documentation would write it."""

import torch
from torch.nn import functional as F

from benchmarks.regularization import inputs


def dropout(units=1_000_000):
    x, dy = map(torch.tensor, inputs.dropout(units))
    x.requires_grad_()

    def step():
        y = F.dropout(x, inputs.P)
        (dx,) = torch.autograd.grad(y, x, dy)
        return y.numel(), dx.numel()

    return step


dropout_readable = dropout
