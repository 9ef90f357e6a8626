"""PyTorch's side, eager, as its documentation would write it."""

import torch
from torch.nn import functional as F

from benchmarks.applications import inputs


def attention(length=128, batch=16):
    *given, dy = map(torch.tensor, inputs.attention(length, batch))
    for each in given:
        each.requires_grad_()

    def step():
        y = F.scaled_dot_product_attention(*given)
        return y.detach(), *torch.autograd.grad(y, given, dy)

    return step


attention_readable = attention
