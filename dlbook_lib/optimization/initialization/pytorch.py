"""Starting weights in PyTorch: torch's own, with `rng` in the place of `generator`."""

from math import ceil

import torch
from torch import nn
from torch.nn.init import calculate_gain

__all__ = [
    "calculate_gain",
    "fan_in_and_fan_out",
    "fill_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "lsuv_",
    "normal_",
    "orthogonal_",
    "sparse_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
]


def fan_in_and_fan_out(tensor):
    """As in scratch; `tensor` (out, in, ...)."""
    receptive = tensor[0, 0].numel()
    return tensor.size(1) * receptive, tensor.size(0) * receptive


def fill_(tensor, draw):
    """As in scratch; `tensor` (...) may be a parameter."""
    with torch.no_grad():
        return tensor.copy_(draw(tensor.shape))


def uniform_(tensor, a=0.0, b=1.0, *, rng):
    """As in scratch, `tensor` (...); `rng` is a `torch.Generator` here and below."""
    return nn.init.uniform_(tensor, a, b, generator=rng)


def normal_(tensor, mean=0.0, std=1.0, *, rng):
    """As in scratch; `tensor` (...)."""
    return nn.init.normal_(tensor, mean, std, generator=rng)


def xavier_uniform_(tensor, gain=1.0, *, rng):
    """As in scratch; `tensor` (out, in, ...)."""
    return nn.init.xavier_uniform_(tensor, gain, generator=rng)


def xavier_normal_(tensor, gain=1.0, *, rng):
    """As in scratch; `tensor` (out, in, ...)."""
    return nn.init.xavier_normal_(tensor, gain, generator=rng)


def kaiming_normal_(tensor, a=0, mode="fan_in", nonlinearity="leaky_relu", *, rng):
    """As in scratch; `tensor` (out, in, ...)."""
    return nn.init.kaiming_normal_(tensor, a, mode, nonlinearity, generator=rng)


def kaiming_uniform_(tensor, a=0, mode="fan_in", nonlinearity="leaky_relu", *, rng):
    """As in scratch; `tensor` (out, in, ...)."""
    return nn.init.kaiming_uniform_(tensor, a, mode, nonlinearity, generator=rng)


def orthogonal_(tensor, gain=1, *, rng):
    """As in scratch; `tensor` (out, in, ...)."""
    return nn.init.orthogonal_(tensor, gain, generator=rng)


def sparse_(tensor, sparsity, std=0.01, *, rng):
    """As in scratch; `tensor` (out, in). torch's own permutes by the global state."""
    rows, columns = tensor.shape
    with torch.no_grad():
        normal_(tensor, 0.0, std, rng=rng)
        for column in range(columns):
            order = torch.randperm(rows, generator=rng, device=tensor.device)
            tensor[order[: ceil(sparsity * rows)], column] = 0
    return tensor


@torch.no_grad()
def lsuv_(model, input, tol=0.1, max_iter=10, *, rng):
    """As in scratch; `input` (N, ...)."""
    output = input
    for layer in model:
        weight, bias = (getattr(layer, name, None) for name in ("weight", "bias"))
        if weight is not None and weight.ndim >= 2:
            orthogonal_(weight, rng=rng)
            if bias is not None:
                bias.zero_()
            for _ in range(max_iter):
                variance = layer(output).var(correction=0)
                if abs(variance - 1) <= tol:
                    break
                weight /= variance.sqrt()
        output = layer(output)
    return model
