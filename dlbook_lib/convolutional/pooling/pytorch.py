"""Pooling in PyTorch: mostly torch's own; autograd derives the backward halves."""

import torch
from torch.nn import functional as F
from torch.nn.functional import (
    adaptive_avg_pool2d,
    avg_pool2d,
    lp_pool2d,
    max_unpool2d,
)

from dlbook_lib.convolutional.convolution.pytorch import as_sizes, taps

__all__ = [
    "adaptive_avg_pool2d",
    "adaptive_max_pool2d",
    "adaptive_plan",
    "adaptive_windows",
    "avg_pool2d",
    "global_avg_pool2d",
    "global_max_pool2d",
    "lp_pool2d",
    "max_pool2d",
    "max_pool2d_by_halves",
    "max_unpool2d",
    "pool_plan",
    "stochastic_pool2d",
]


def pool_plan(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """As in scratch, for images (N, C, H, W)."""
    kernel, padding = as_sizes(kernel_size, ""), as_sizes(padding, "")
    stride = kernel if stride is None else as_sizes(stride, "")
    dilation, places, around = as_sizes(dilation, ""), [], []
    sizes = zip(input.shape[-2:], kernel, stride, padding, dilation, strict=True)
    for n, k, s, p, d in sizes:
        span = d * (k - 1) + 1
        count = (n + 2 * p - span + (s - 1) * ceil_mode) // s + 1
        count -= ceil_mode and (count - 1) * s >= n + p
        places.append(count)
        around.append((p, max(0, (count - 1) * s + span - n - p)))
    return kernel, stride, dilation, tuple(places), around


def max_pool2d(
    input,
    kernel_size,
    stride=None,
    padding=0,
    dilation=1,
    ceil_mode=False,
    return_indices=False,
):
    """As in scratch: torch's own, (N, C, H, W) to (N, C, OH, OW)."""
    options = kernel_size, stride, padding, dilation, ceil_mode, return_indices
    return F.max_pool2d(input, *options)


def max_pool2d_by_halves(input):
    """As in scratch: (N, C, H // 2, W // 2) and `pull`."""
    h, w = (n // 2 * 2 for n in input.shape[-2:])
    left, right = input[..., :h, :w:2], input[..., :h, 1:w:2]
    # in a tie the first takes all; NaN stays
    row = torch.where(left >= right, left, torch.maximum(left, right))
    top, bottom = row[..., ::2, :], row[..., 1::2, :]
    y = torch.where(top >= bottom, top, torch.maximum(top, bottom))
    return y, lambda dy: torch.autograd.grad(y, input, dy)[0]


def adaptive_windows(size, places):
    """As in scratch: slices, of shape (places,)."""
    ends = range(places)
    return [slice(i * size // places, -(-(i + 1) * size // places)) for i in ends]


def adaptive_plan(input, output_size):
    """As in scratch: slices of shape (OH,) and (OW,)."""
    given, sizes = as_sizes(output_size, ""), input.shape[-2:]
    places = [n if m is None else m for n, m in zip(sizes, given, strict=True)]
    return tuple(map(adaptive_windows, sizes, places))


def adaptive_max_pool2d(input, output_size, return_indices=False):
    """As in scratch: torch's own, (N, C, H, W) to (N, C, OH, OW)."""
    return F.adaptive_max_pool2d(input, output_size, return_indices)


def global_avg_pool2d(input):
    """As in scratch: (N, C, H, W) to (N, C, 1, 1)."""
    return input.mean(dim=(-2, -1), keepdim=True)


def global_max_pool2d(input):
    """As in scratch: (N, C, H, W) to (N, C, 1, 1)."""
    return adaptive_max_pool2d(input, 1)


def stochastic_pool2d(input, kernel_size, stride=None, noise=None):
    """As in scratch: (N, C, H, W) to (N, C, OH, OW)."""
    kernel, stride, _, places, _ = pool_plan(input, kernel_size, stride)
    window = torch.stack([input[seen] for _, seen in taps(kernel, places, stride)])
    total = window.sum(dim=0)
    if noise is None:
        return window.square().sum(dim=0) / torch.where(total == 0, 1, total)
    below = window.detach().cumsum(dim=0) <= noise * total.detach()
    drawn = below.sum(dim=0).clamp(max=len(window) - 1)
    return window.gather(0, drawn[None])[0]
