"""Dropout and DropConnect in PyTorch; `rng` is a `torch.Generator`.

`torch.nn.functional.dropout` takes no generator, so it is written here; a test holds it
against torch's own.
"""

import torch
from torch import nn
from torch.nn.functional import linear


def dropout_mask(shape, p=0.5, *, rng, dtype=float):
    """As in scratch: of the given shape, 0 or 1 / (1 - p)."""
    drawn = torch.rand(shape, generator=rng, device=rng.device, dtype=torch.float64)
    kind = torch.float64 if dtype is float else dtype
    return (drawn >= p).to(kind) * (1 / (1 - p) if p < 1 else 0.0)


def dropout_mask_from_bytes(shape, p=0.5, *, rng, dtype=float):
    """As in scratch: of the given shape, from a byte for each unit."""
    kind, where = torch.float64 if dtype is float else dtype, rng.device
    byte = torch.empty(shape, dtype=torch.uint8, device=where)
    byte.random_(0, 256, generator=rng)
    edge, rest = divmod(256 * float(p), 1)
    keep = byte.short() >= int(edge)
    if rest:
        ties = byte.short() == int(edge)
        drawn = torch.rand(
            int(ties.sum()), generator=rng, device=where, dtype=torch.float64
        )
        keep[ties] = drawn >= rest
    return keep.to(kind) * (1 / (1 - p) if p < 1 else 0.0)


def masked(input, mask):
    """As in scratch: (...) times (...)."""
    return input * mask


def dropout(input, p=0.5, training=True, *, rng, draw=dropout_mask):
    """As in scratch: (...) to (...)."""
    if not 0 <= p <= 1:
        raise ValueError(f"dropout: p must be between 0 and 1, not {p}")
    if not training:
        return input
    mask = draw(input.shape, p, rng=rng, dtype=input.dtype)
    return masked(input, mask.to(input.device))


class Dropout(nn.Module):
    """As in scratch: (...) to (...)."""

    def __init__(self, p=0.5, *, rng, draw=dropout_mask):
        super().__init__()
        self.p, self.rng, self.draw = p, rng, draw

    def forward(self, input):
        """As in scratch: outputs (...)."""
        return dropout(input, self.p, self.training, rng=self.rng, draw=self.draw)

    def extra_repr(self):
        """As in scratch."""
        return f"p={self.p}"


def masked_linear(input, weight, mask, bias=None):
    """As in scratch: (..., in) to (..., out)."""
    if mask.ndim == 2:
        return linear(input, weight * mask, bias)
    scores = torch.einsum("...oi,...i->...o", weight * mask, input)
    return scores if bias is None else scores + bias


def drop_connect(input, weight, bias=None, p=0.5, training=True, *, rng):
    """As in scratch: (..., in) to (..., out)."""
    if not training:
        return linear(input, weight, bias)
    shape = (*input.shape[:-1], *weight.shape)
    mask = dropout_mask(shape, p, rng=rng, dtype=weight.dtype)
    return masked_linear(input, weight, mask.to(weight.device), bias)


class DropConnect(nn.Module):
    """As in scratch: (..., in) to (..., out)."""

    def __init__(self, linear, p=0.5, *, rng):
        super().__init__()
        self.linear, self.p, self.rng = linear, p, rng

    def forward(self, input):
        """As in scratch: outputs (..., out)."""
        weight, bias = self.linear.weight, self.linear.bias
        return drop_connect(input, weight, bias, self.p, self.training, rng=self.rng)
