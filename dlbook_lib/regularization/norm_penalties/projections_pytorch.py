"""Constraints on norms in PyTorch; the twin of `projections`."""

import torch
from torch.linalg import vector_norm
from torch.nn.functional import relu


def length(input, dim=None):
    """As in scratch, of a tensor (...); the scale is a constant to autograd."""
    every = tuple(range(input.ndim)) if dim is None else dim
    largest = input.detach().abs().amax(every, keepdim=True)
    largest = torch.where((largest > 0) & largest.isfinite(), largest, 1)
    return largest * vector_norm(input / largest, dim=dim, keepdim=True)


def project_l2(input, radius, dim=None):
    """As in scratch, of a tensor (...)."""
    norm = length(input, dim)
    outside = norm > radius
    scale = radius / torch.where(outside, norm, 1)  # 1: no gradient of a length of 0
    return torch.where(outside, scale * input, input)


def project_l1(input, radius):
    """As in scratch, of a tensor (...)."""
    size = input.abs()
    if size.sum() <= radius:
        return input.clone()
    below = size.max() - size
    ranked = below[below <= radius].sort().values
    level = radius + ranked.cumsum(0)
    rank = torch.arange(1, len(ranked) + 1, dtype=input.dtype, device=input.device)
    kept = (rank * ranked <= level).nonzero()[-1]
    return input.sign() * relu(level[kept] / rank[kept] - below)


def max_norm(weight, maxnorm):
    """As in scratch, of a tensor (out, in) or (F, C, ...)."""
    return project_l2(weight.flatten(1), maxnorm, dim=1).view_as(weight)
