"""Convolution along three axes, and the layers besides `Conv2d`, as in `torch.nn`.

`Conv1d` and `Conv3d` are `Conv2d` with another number of axes; the transposed layers
hold the weight of the convolution that they transpose.
"""

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    check_in,
    check_positive,
    check_rng,
    require,
)
from dlbook_lib.convolutional.convolution.scratch import as_sizes
from dlbook_lib.convolutional.strides_and_gradients.scratch import (
    Conv2d,
    conv_nd,
    conv_nd_backward,
    conv_transpose_nd,
    conv_transpose_nd_backward,
    conv_transpose_of_tensors,
    transpose_plan,
)
from dlbook_lib.feedforward.autodiff.engine import register
from dlbook_lib.feedforward.autodiff.modules import Module, Parameter


def conv3d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Convolution of volumes, `conv_nd` along three axes: (N, C, D, H, W) to
    (N, F, OD, OH, OW).

    >>> conv3d(np.ones((1, 2, 4, 4, 4)), np.ones((3, 2, 3, 3, 3)), padding=1).shape
    (1, 3, 4, 4, 4)
    """
    as_float(weight, "weight", ndim=5)
    return conv_nd(input, weight, bias, stride, padding, dilation, groups)


def conv3d_backward(
    dy, input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1
):
    """Gradients of `conv3d`: (N, C, D, H, W), (F, C / groups, kD, kH, kW) and (F,)."""
    as_float(weight, "weight", ndim=5)
    return conv_nd_backward(dy, input, weight, bias, stride, padding, dilation, groups)


def conv_transpose3d(
    input,
    weight,
    bias=None,
    stride=1,
    padding=0,
    output_padding=0,
    groups=1,
    dilation=1,
):
    """`conv_transpose_nd` along three axes: (N, C, D, H, W) and
    (C, F / groups, kD, kH, kW) to (N, F, OD, OH, OW).

    >>> conv_transpose3d(np.ones((1, 1, 2, 2, 2)), np.ones((1, 1, 2, 2, 2))).max()
    np.float64(8.0)
    """
    as_float(weight, "weight", ndim=5)
    options = stride, padding, output_padding, groups, dilation
    return conv_transpose_nd(input, weight, bias, *options)


def conv_transpose3d_backward(
    dy,
    input,
    weight,
    bias=None,
    stride=1,
    padding=0,
    output_padding=0,
    groups=1,
    dilation=1,
):
    """Gradients of `conv_transpose3d`: (N, C, D, H, W), (C, F / groups, kD, kH, kW)
    and (F,)."""
    as_float(weight, "weight", ndim=5)
    options = stride, padding, output_padding, groups, dilation
    return conv_transpose_nd_backward(dy, input, weight, bias, *options)


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
    dtype : str

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
        dtype="float64",
    ):
        super().__init__()
        check_positive(in_channels, "in_channels", integer=True)
        check_positive(out_channels, "out_channels", integer=True)
        check_positive(groups, "groups", integer=True)
        check_rng(rng)
        check_in(dtype, "dtype", ("float64", "float32"))
        require(
            in_channels % groups == 0 == out_channels % groups,
            f"groups must divide in_channels and out_channels, not {groups}, "
            f"{in_channels} and {out_channels}; try 1",
        )
        kernel = as_sizes(kernel_size, "kernel_size", self.ndim)
        self.options = stride, padding, output_padding, groups, dilation
        shape = (in_channels, out_channels // groups, *kernel)
        probe = np.zeros((in_channels, *(99 for _ in kernel)), dtype)
        transpose_plan(probe, np.zeros(shape, dtype), None, *self.options)
        bound = np.prod(shape[1:]) ** -0.5
        self.weight = Parameter(rng.uniform(-bound, bound, shape).astype(dtype))
        self.bias = None
        if bias:
            start = rng.uniform(-bound, bound, out_channels)
            self.bias = Parameter(start.astype(dtype))

    def forward(self, input):
        """Outputs (N, out, OH, OW) for `input` (N, in, H, W)."""
        pair = conv_transpose_nd, conv_transpose_nd_backward
        layer = register(*pair, conv_transpose_of_tensors)
        return layer(input, self.weight, self.bias, *self.options)


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
