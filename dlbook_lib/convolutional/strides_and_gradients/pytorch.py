"""Strides and padding in PyTorch: torch's own; autograd derives the gradients."""

import torch
from torch.nn.functional import (
    conv1d,
    conv2d,
    conv3d,
    fold,
    pad,
    unfold,
)

from dlbook_lib.convolutional.convolution.pytorch import as_sizes, taps

__all__ = [
    "conv1d",
    "conv2d",
    "conv2d_by_rows",
    "conv3d",
    "conv_nd",
    "conv_plan",
    "fold",
    "locally_connected2d",
    "output_size",
    "pad",
    "unfold",
]


def output_size(input_size, kernel_size, stride=1, padding=0, dilation=1):
    """As in scratch: an int, or a tuple of the shape of `input_size`."""
    several = isinstance(input_size, (tuple, list))
    ndim = len(input_size) if several else 1
    options = input_size, kernel_size, stride, padding, dilation
    each = zip(*(as_sizes(n, "", ndim) for n in options), strict=True)
    places = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in each]
    return tuple(places) if several else places[0]


def conv_plan(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """As in scratch, for arrays (N, C, ...) and (F, C / groups, ...)."""
    ndim = weight.ndim - 2
    size, kernel = tuple(input.shape[-ndim:]), tuple(weight.shape[2:])
    stride, dilation = as_sizes(stride, "", ndim), as_sizes(dilation, "", ndim)
    spans = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    if padding == "same":
        around = [(span // 2, span - span // 2) for span in spans]
        return stride, dilation, around, size
    padding = as_sizes(0 if padding == "valid" else padding, "", ndim)
    places = output_size(size, kernel, stride, padding, dilation)
    return stride, dilation, [(p, p) for p in padding], places


def conv_nd(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """As in scratch: torch's function for the axes of `weight` (F, C, ...)."""
    f = (conv1d, conv2d, conv3d)[weight.ndim - 3]
    return f(input, weight, bias, stride, padding, dilation, groups)


def conv2d_by_rows(input, weight, bias=None, stride=1, padding=0, dilation=1):
    """As in scratch: torch's `conv2d` on (N, C, H, W) with the channels last in memory,
    the order that its own kernels like best."""
    x = (
        input.contiguous(memory_format=torch.channels_last)
        if input.ndim == 4
        else input
    )
    return conv2d(x, weight, bias, stride, padding, dilation)


def locally_connected2d(input, weight, bias=None, stride=1):
    """As in scratch: (N, C, H, W) and (F, C, kH, kW, OH, OW) to (N, F, OH, OW)."""
    y = 0
    for (i, j), seen in taps(weight.shape[2:4], weight.shape[4:], stride):
        y = y + torch.einsum("fchw,nchw->nfhw", weight[:, :, i, j], input[seen])
    return y if bias is None else y + bias
