"""Strides and padding in PyTorch: torch's own; autograd derives the gradients."""

import torch
from torch import nn
from torch.nn.functional import (
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
    fold,
    pad,
    unfold,
)

from dlbook_lib.convolutional.convolution.pytorch import as_sizes, taps

__all__ = [
    "Conv2d",
    "LocallyConnected2d",
    "conv1d",
    "conv2d",
    "conv2d_by_rows",
    "conv_nd",
    "conv_of_tensors",
    "conv_plan",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose_nd",
    "conv_transpose_of_tensors",
    "fold",
    "locally_connected2d",
    "output_size",
    "pad",
    "transpose_plan",
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


def conv_of_tensors(
    input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1
):
    """As in scratch: `conv_nd` of (N, C, ...), which torch can differentiate again."""
    return conv_nd(input, weight, bias, stride, padding, dilation, groups)


def conv2d_by_rows(input, weight, bias=None, stride=1, padding=0, dilation=1):
    """As in scratch: torch's `conv2d` on (N, C, H, W) with the channels last in memory,
    the order that its own kernels like best."""
    x = (
        input.contiguous(memory_format=torch.channels_last)
        if input.ndim == 4
        else input
    )
    return conv2d(x, weight, bias, stride, padding, dilation)


def transpose_plan(
    input,
    weight,
    bias=None,
    stride=1,
    padding=0,
    output_padding=0,
    groups=1,
    dilation=1,
):
    """As in scratch, for arrays (N, C, ...) and (C, F / groups, ...)."""
    ndim = weight.ndim - 2
    options = stride, dilation, padding, output_padding
    stride, dilation, padding, extra = (as_sizes(n, "", ndim) for n in options)
    places, kernel = input.shape[-ndim:], weight.shape[2:]
    each = zip(places, kernel, stride, dilation, extra, strict=True)
    size = tuple((n - 1) * s + d * (k - 1) + 1 + e for n, k, s, d, e in each)
    return stride, dilation, [(p, p) for p in padding], size


def conv_transpose_nd(
    input,
    weight,
    bias=None,
    stride=1,
    padding=0,
    output_padding=0,
    groups=1,
    dilation=1,
):
    """As in scratch: torch's function for the axes of `weight` (C, F / groups, ...)."""
    transposes = conv_transpose1d, conv_transpose2d, conv_transpose3d
    options = stride, padding, output_padding, groups, dilation
    return transposes[weight.ndim - 3](input, weight, bias, *options)


def conv_transpose_of_tensors(
    input,
    weight,
    bias=None,
    stride=1,
    padding=0,
    output_padding=0,
    groups=1,
    dilation=1,
):
    """As in scratch: `conv_transpose_nd` of (N, C, ...)."""
    options = stride, padding, output_padding, groups, dilation
    return conv_transpose_nd(input, weight, bias, *options)


def locally_connected2d(input, weight, bias=None, stride=1):
    """As in scratch: (N, C, H, W) and (F, C, kH, kW, OH, OW) to (N, F, OH, OW)."""
    y = 0
    for (i, j), seen in taps(weight.shape[2:4], weight.shape[4:], stride):
        y = y + torch.einsum("fchw,nchw->nfhw", weight[:, :, i, j], input[seen])
    return y if bias is None else y + bias


class Conv2d(nn.Conv2d):
    """As in scratch; torch's own, started by a `torch.Generator`; (out, in, …)."""

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        dilation=1,
        groups=1,
        bias=True,
        padding_mode="zeros",
        *,
        rng,
        dtype="float64",
    ):
        options = stride, padding, dilation, groups, bias, padding_mode
        sizes = in_channels, out_channels, kernel_size
        super().__init__(*sizes, *options, dtype=getattr(torch, dtype))
        bound = self.weight[0].numel() ** -0.5
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound, generator=rng)


class LocallyConnected2d(nn.Module):
    """As in scratch: `weight` (out, in, kH, kW, OH, OW), `bias` (out, OH, OW)."""

    def __init__(
        self,
        in_channels,
        out_channels,
        input_size,
        kernel_size,
        stride=1,
        bias=True,
        *,
        rng,
    ):
        super().__init__()
        self.stride, kernel = stride, as_sizes(kernel_size, "kernel_size")
        places = output_size(as_sizes(input_size, "input_size"), kernel, stride)
        shape = out_channels, in_channels, *kernel, *places
        self.weight = nn.Parameter(torch.empty(shape, dtype=torch.float64))
        self.bias = None
        if bias:
            start = torch.empty((out_channels, *places), dtype=torch.float64)
            self.bias = nn.Parameter(start)
        bound = (in_channels * kernel[0] * kernel[1]) ** -0.5
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound, generator=rng)

    def forward(self, input):
        """As in scratch: outputs (N, out, OH, OW)."""
        return locally_connected2d(input, self.weight, self.bias, self.stride)
