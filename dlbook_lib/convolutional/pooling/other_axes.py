"""Pooling along one and three axes in NumPy; torch has the same functions.

Along one axis an image has a single row. Along three, each slice of a volume is pooled
first, and then the slices: the largest of largest numbers, or the mean of means.
"""

import numpy as np

from dlbook_lib.common.checks import as_float, require
from dlbook_lib.convolutional.convolution.scratch import as_sizes
from dlbook_lib.convolutional.pooling.scratch import (
    avg_pool2d,
    avg_pool2d_backward,
    max_pool2d,
    max_pool2d_backward,
)


def flat_sizes(kernel_size, stride, padding, dilation=1):
    """Sizes (1, k) and so on for a single row; the stride is k unless given."""
    kernel = as_sizes(kernel_size, "kernel_size", 1)
    stride = kernel if stride is None else as_sizes(stride, "stride", 1)
    padding = as_sizes(padding, "padding", 1, low=0)
    dilation = as_sizes(dilation, "dilation", 1)
    return (1, *kernel), (1, *stride), (0, *padding), (1, *dilation)


def as_rows(x, name="input"):
    """`x` (N, C, L) or (C, L) as an image of one row."""
    return as_float(x, name, ndim=(2, 3), empty=True)[..., None, :]


def max_pool1d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """`max_pool2d` of series: (N, C, L) to (N, C, places), or without N.

    >>> max_pool1d([[1.0, 3.0, 2.0, 0.0]], 2)
    array([[3., 2.]])
    """
    sizes = flat_sizes(kernel_size, stride, padding, dilation)
    return max_pool2d(as_rows(input), *sizes, ceil_mode)[..., 0, :]


def max_pool1d_backward(
    dy, input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False
):
    """Gradient of `max_pool1d`, from `dy` (N, C, places) to (N, C, L)."""
    sizes = flat_sizes(kernel_size, stride, padding, dilation)
    pair = as_rows(dy, "dy"), as_rows(input)
    return max_pool2d_backward(*pair, *sizes, ceil_mode)[..., 0, :]


def avg_pool1d(
    input,
    kernel_size,
    stride=None,
    padding=0,
    ceil_mode=False,
    count_include_pad=True,
):
    """`avg_pool2d` of series: (N, C, L) to (N, C, places), or without N.

    >>> avg_pool1d([[1.0, 3.0, 2.0, 0.0]], 2)
    array([[2., 1.]])
    """
    sizes = flat_sizes(kernel_size, stride, padding)[:3]
    return avg_pool2d(as_rows(input), *sizes, ceil_mode, count_include_pad)[..., 0, :]


def avg_pool1d_backward(
    dy,
    input,
    kernel_size,
    stride=None,
    padding=0,
    ceil_mode=False,
    count_include_pad=True,
):
    """Gradient of `avg_pool1d`, from `dy` (N, C, places) to (N, C, L)."""
    sizes = flat_sizes(kernel_size, stride, padding)[:3]
    pair = as_rows(dy, "dy"), as_rows(input)
    dx = avg_pool2d_backward(*pair, *sizes, ceil_mode, count_include_pad)
    return dx[..., 0, :]


def _deep(kernel_size, stride, *others):
    """Sizes for each slice, and those for the slices, (kD, 1) and so on."""
    kernel = as_sizes(kernel_size, "kernel_size", 3)
    stride = kernel if stride is None else as_sizes(stride, "stride", 3)
    padding = as_sizes(others[0], "padding", 3, low=0)
    dilation = as_sizes(others[1], "dilation", 3) if others[1:] else (1, 1, 1)
    sizes = kernel, stride, padding, dilation
    inner = [size[1:] for size in sizes]
    return inner, [
        (size[0], rest) for size, rest in zip(sizes, (1, 1, 0, 1), strict=True)
    ]


def as_slices(x):
    """`x` (…, D, H, W) with slices for channels, (…, H, W) with one lead axis."""
    return x.reshape(-1, *x.shape[-2:]) if x.size else x.reshape(0, *x.shape[-2:])


def pooled_twice(pool, input, kernel_size, stride, others, rest):
    """The slices (M, H, W) pooled, and (M, D, places) from them pooled along D."""
    x = as_float(input, "input", ndim=(4, 5), empty=True)
    (kernel, step, *more), (deep, deep_step, *deeper) = _deep(
        kernel_size, stride, *others
    )
    more, deeper = more[: len(others)], deeper[: len(others)]
    first = pool(as_slices(x), kernel, step, *more, *rest)
    columns = first.reshape(-1, x.shape[-3], first.shape[-2] * first.shape[-1])
    second = pool(columns, deep, deep_step, *deeper, *rest)
    shape = *x.shape[:-3], second.shape[-2], *first.shape[-2:]
    return (
        second.reshape(shape),
        (columns, deep, deep_step, *deeper, *rest),
        (as_slices(x), kernel, step, *more, *rest),
        first.shape,
    )


def pooled_twice_backward(pool_backward, dy, found, input):
    """The same in reverse, with what the forward half has found."""
    y, outer, inner, shape = found
    dy = as_float(dy, "dy", empty=True)
    require(dy.shape == y.shape, f"dy has shape {dy.shape} but the output {y.shape}")
    columns = outer[0]
    dy = dy.reshape(len(columns), y.shape[-3], columns.shape[-1])
    middle = pool_backward(dy, *outer).reshape(shape)
    return pool_backward(middle, *inner).reshape(np.shape(input))


def max_pool3d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """The largest numbers of blocks: (N, C, D, H, W) to (N, C, OD, OH, OW), or
    without N.

    >>> max_pool3d(np.arange(8.0).reshape(1, 2, 2, 2), 2)
    array([[[[7.]]]])
    """
    others = padding, dilation
    return pooled_twice(max_pool2d, input, kernel_size, stride, others, (ceil_mode,))[0]


def max_pool3d_backward(
    dy, input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False
):
    """Gradient of `max_pool3d`, from `dy` (N, C, OD, OH, OW) to (N, C, D, H, W)."""
    options = kernel_size, stride, (padding, dilation), (ceil_mode,)
    found = pooled_twice(max_pool2d, input, *options)
    return pooled_twice_backward(max_pool2d_backward, dy, found, input)


def avg_pool3d(
    input,
    kernel_size,
    stride=None,
    padding=0,
    ceil_mode=False,
    count_include_pad=True,
):
    """The means of blocks: (N, C, D, H, W) to (N, C, OD, OH, OW), or without N.

    Where conventions differ: here alone torch also refuses a kernel that is larger than
    the input without its padding.

    >>> avg_pool3d(np.arange(8.0).reshape(1, 2, 2, 2), 2)
    array([[[[3.5]]]])
    """
    rest = ceil_mode, count_include_pad
    return pooled_twice(avg_pool2d, input, kernel_size, stride, (padding,), rest)[0]


def avg_pool3d_backward(
    dy,
    input,
    kernel_size,
    stride=None,
    padding=0,
    ceil_mode=False,
    count_include_pad=True,
):
    """Gradient of `avg_pool3d`, from `dy` (N, C, OD, OH, OW) to (N, C, D, H, W)."""
    options = kernel_size, stride, (padding,), (ceil_mode, count_include_pad)
    found = pooled_twice(avg_pool2d, input, *options)
    return pooled_twice_backward(avg_pool2d_backward, dy, found, input)
