"""Layers that convolve in PyTorch: torch's own, started by a `torch.Generator`."""

import torch
from torch import nn

from dlbook_lib.convolutional.convolution.pytorch import as_sizes
from dlbook_lib.convolutional.strides_and_gradients.pytorch import (
    locally_connected2d,
    output_size,
)


class _Convolution:
    """The start of torch's convolutions with `weight` (out, in / groups, …)."""

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
        dtype=float,
    ):
        options = stride, padding, dilation, groups, bias, padding_mode
        sizes = in_channels, out_channels, kernel_size
        super().__init__(*sizes, *options, dtype=dtype)
        _draw(self, rng)


def _draw(layer, rng):
    """Draw `weight` (first, second, …) and `bias`, with all but the first summed."""
    bound = layer.weight[0].numel() ** -0.5
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -bound, bound, generator=rng)


class Conv1d(_Convolution, nn.Conv1d):
    """As in scratch; `weight` (out, in / groups, k)."""


class Conv2d(_Convolution, nn.Conv2d):
    """As in scratch; `weight` (out, in / groups, kH, kW)."""


class Conv3d(_Convolution, nn.Conv3d):
    """As in scratch; `weight` (out, in / groups, kD, kH, kW)."""


class _Transposed:
    """The start of those with `weight` (in, out / groups, …)."""

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        output_padding=0,
        groups=1,
        bias=True,
        dilation=1,
        *,
        rng,
        dtype=float,
    ):
        options = stride, padding, output_padding, groups, bias, dilation
        sizes = in_channels, out_channels, kernel_size
        super().__init__(*sizes, *options, dtype=dtype)
        _draw(self, rng)


class ConvTranspose1d(_Transposed, nn.ConvTranspose1d):
    """As in scratch; `weight` (in, out / groups, k)."""


class ConvTranspose2d(_Transposed, nn.ConvTranspose2d):
    """As in scratch; `weight` (in, out / groups, kH, kW)."""


class ConvTranspose3d(_Transposed, nn.ConvTranspose3d):
    """As in scratch; `weight` (in, out / groups, kD, kH, kW)."""


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
