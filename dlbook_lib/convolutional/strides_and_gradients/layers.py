"""Layers that convolve, as `torch.nn` has them; they can be differentiated twice.

`Conv1d` and `Conv3d` are `Conv2d` with another number of axes; the transposed layers
hold the weight of the convolution that they transpose.
"""

import numpy as np

from dlbook_lib.common.checks import check_in, check_positive, check_rng, require
from dlbook_lib.convolutional.convolution.scratch import as_sizes
from dlbook_lib.convolutional.strides_and_gradients import second_derivatives as tensors
from dlbook_lib.convolutional.strides_and_gradients.arguments import check_dtype
from dlbook_lib.convolutional.strides_and_gradients.scratch import (
    PAD_MODES,
    conv_plan,
    output_size,
)
from dlbook_lib.convolutional.strides_and_gradients.transposed import transpose_plan
from dlbook_lib.feedforward.autodiff.modules import Module, Parameter


def _probe(channels, ndim, dtype):
    """An image (C, ...) of no memory on which any kernel has room, to try options."""
    return np.broadcast_to(
        np.zeros((), dtype), (channels, *(2**15 for _ in range(ndim)))
    )


def _draw(layer, shape, bias, fan_in, rng, dtype=float):
    """Start `weight` of a `shape`, and `bias` of one unless it is None."""
    bound = fan_in**-0.5
    layer.weight = Parameter(rng.uniform(-bound, bound, shape).astype(dtype))
    layer.bias = None
    if bias is not None:
        layer.bias = Parameter(rng.uniform(-bound, bound, bias).astype(dtype))


class Conv2d(Module):
    r"""A convolution layer with `weight` (out, in / groups, kH, kW) and `bias` (out,).

    Both start uniform in :math:`\pm1/\sqrt{\text{in}/\text{groups}\cdot k_Hk_W}`.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, dilation : int or (int, int)
    padding : int or (int, int), or {"same", "valid"}
    groups : int
    bias : bool
    padding_mode : {"zeros", "reflect", "replicate", "circular"}
        What is put around the input, as in `pad`.
    rng : numpy.random.Generator
    dtype : dtype
        Of the parameters. Where conventions differ: torch starts with float32.

    >>> layer = Conv2d(3, 8, 3, padding="same", rng=np.random.default_rng(0))
    >>> layer(np.ones((2, 3, 5, 5))).shape, sum(p.numel() for p in layer.parameters())
    ((2, 8, 5, 5), 224)
    """

    ndim = 2  # how many axes the kernel moves along

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
        super().__init__()
        check_positive(in_channels, "in_channels", integer=True)
        check_positive(out_channels, "out_channels", integer=True)
        check_rng(rng)
        check_dtype(dtype)
        check_positive(groups, "groups", integer=True)
        require(
            in_channels % groups == 0 == out_channels % groups,
            f"groups must divide in_channels and out_channels, not {groups}, "
            f"{in_channels} and {out_channels}; try 1",
        )
        check_in(padding_mode, "padding_mode", ("zeros", *list(PAD_MODES)[1:]))
        kernel = as_sizes(kernel_size, "kernel_size", self.ndim)
        stride = as_sizes(stride, "stride", self.ndim)
        self.options = stride, padding, dilation, groups
        self.padding_mode = padding_mode
        shape = (out_channels, in_channels // groups, *kernel)
        probe = _probe(in_channels, self.ndim, dtype)
        around = conv_plan(probe, np.zeros(shape, dtype), None, *self.options)[2]
        self.around = [n for pair in reversed(around) for n in pair]
        starts = shape, out_channels if bias else None, np.prod(shape[1:])
        _draw(self, *starts, rng, dtype)

    def forward(self, input):
        """Outputs (N, out, OH, OW) for `input` (N, in, H, W)."""
        stride, padding, dilation, groups = self.options
        if self.padding_mode != "zeros":
            input = tensors.pad(input, self.around, self.padding_mode)
            padding = 0
        arguments = input, self.weight, self.bias, stride, padding, dilation
        if groups == 1 and self.ndim == 2:
            return tensors.conv2d_by_rows(*arguments)
        return tensors.conv_nd(*arguments, groups)


class Conv1d(Conv2d):
    """A convolution of series with `weight` (out, in / groups, k), else as `Conv2d`.

    >>> layer = Conv1d(3, 8, 3, stride=2, rng=np.random.default_rng(0))
    >>> layer(np.ones((2, 3, 9))).shape
    (2, 8, 4)
    """

    ndim = 1


class Conv3d(Conv2d):
    """A convolution of volumes with `weight` (out, in / groups, kD, kH, kW), else as
    `Conv2d`.

    >>> layer = Conv3d(1, 2, 3, padding="same", rng=np.random.default_rng(0))
    >>> layer(np.ones((1, 1, 3, 4, 5))).shape
    (1, 2, 3, 4, 5)
    """

    ndim = 3


class ConvTranspose2d(Module):
    r"""A transposed convolution with `weight` (in, out / groups, kH, kW) and `bias`
    (out,).

    Both start uniform in :math:`\pm1/\sqrt{\text{out}/\text{groups}\cdot k_Hk_W}`, as
    torch has it, although each output sums over the channels that come in.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, padding, output_padding, dilation : int or (int, int)
        As in `transpose_plan`.
    groups : int
    bias : bool
    rng : numpy.random.Generator
    dtype : dtype

    >>> layer = ConvTranspose2d(8, 3, 4, 2, 1, rng=np.random.default_rng(0))
    >>> layer(np.ones((2, 8, 7, 7))).shape
    (2, 3, 14, 14)
    """

    ndim = 2

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
        super().__init__()
        check_positive(in_channels, "in_channels", integer=True)
        check_positive(out_channels, "out_channels", integer=True)
        check_positive(groups, "groups", integer=True)
        check_rng(rng)
        check_dtype(dtype)
        require(
            in_channels % groups == 0 == out_channels % groups,
            f"groups must divide in_channels and out_channels, not {groups}, "
            f"{in_channels} and {out_channels}; try 1",
        )
        kernel = as_sizes(kernel_size, "kernel_size", self.ndim)
        self.options = stride, padding, output_padding, groups, dilation
        shape = (in_channels, out_channels // groups, *kernel)
        probe = _probe(in_channels, self.ndim, dtype)
        transpose_plan(probe, np.zeros(shape, dtype), None, *self.options)
        starts = shape, out_channels if bias else None, np.prod(shape[1:])
        _draw(self, *starts, rng, dtype)

    def forward(self, input):
        """Outputs (N, out, OH, OW) for `input` (N, in, H, W)."""
        arguments = input, self.weight, self.bias, *self.options
        return tensors.conv_transpose_nd(*arguments)


class ConvTranspose1d(ConvTranspose2d):
    """`ConvTranspose2d` for series, with `weight` (in, out / groups, k).

    >>> layer = ConvTranspose1d(2, 3, 4, stride=2, rng=np.random.default_rng(0))
    >>> layer(np.ones((1, 2, 5))).shape
    (1, 3, 12)
    """

    ndim = 1


class ConvTranspose3d(ConvTranspose2d):
    """`ConvTranspose2d` for volumes, with `weight` (in, out / groups, kD, kH, kW).

    >>> layer = ConvTranspose3d(2, 3, 2, stride=2, rng=np.random.default_rng(0))
    >>> layer(np.ones((1, 2, 2, 2, 2))).shape
    (1, 3, 4, 4, 4)
    """

    ndim = 3


class LocallyConnected2d(Module):
    """A layer with a kernel for each place: `weight` (out, in, kH, kW, OH, OW) and
    `bias` (out, OH, OW), started like those of `Conv2d`.

    Parameters
    ----------
    in_channels, out_channels : int
    input_size, kernel_size, stride : int or (int, int)
    bias : bool
    rng : numpy.random.Generator

    >>> layer = LocallyConnected2d(1, 2, 5, 3, rng=np.random.default_rng(0))
    >>> layer(np.ones((4, 1, 5, 5))).shape, sum(p.numel() for p in layer.parameters())
    ((4, 2, 3, 3), 180)
    """

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
        check_positive(in_channels, "in_channels", integer=True)
        check_positive(out_channels, "out_channels", integer=True)
        check_rng(rng)
        self.stride = as_sizes(stride, "stride")
        kernel = as_sizes(kernel_size, "kernel_size")
        places = output_size(as_sizes(input_size, "input_size"), kernel, self.stride)
        shape = out_channels, in_channels, *kernel, *places
        bias = (out_channels, *places) if bias else None
        _draw(self, shape, bias, in_channels * np.prod(kernel), rng)

    def forward(self, input):
        """Outputs (N, out, OH, OW) for `input` (N, in, H, W)."""
        arguments = input, self.weight, self.bias, self.stride
        return tensors.locally_connected2d(*arguments)
