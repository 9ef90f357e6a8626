"""Convolution without options that can be differentiated any number of times, for
Tensors.

Each name is that of a function in `scratch`, on Tensors instead of arrays: the pair
there gives the gradient, the definition here, a sum over taps, the gradient's gradient.
"""

from dlbook_lib.convolutional.convolution import scratch
from dlbook_lib.feedforward.autodiff import operations
from dlbook_lib.feedforward.autodiff.engine import raw, register


def _conv(input, weight, bias=None):
    """The definition of `conv_nd`, for (N, C, ...) or (C, ...) and (F, C, ...)."""
    if input.ndim < weight.ndim:
        return _conv(input[None], weight, bias)[0]
    kernel, axes, y = weight.shape[2:], "xyz"[: weight.ndim - 2], 0
    places = scratch.conv_shape(raw(input), raw(weight))[2:]
    for tap, seen in scratch.taps(kernel, places):
        part = weight[(..., *tap)], input[seen]
        y = y + operations.einsum(f"fc,nc{axes}->nf{axes}", *part)
    return y if bias is None else y + bias.reshape(-1, *(1 for _ in kernel))


def _convolve(input, kernel, mode="full"):
    """The definition of `convolve`: shifted copies of the input (...), summed."""
    sizes, y = list(zip(input.shape, kernel.shape, strict=True)), 0
    full = tuple(n + k - 1 for n, k in sizes)
    for tap, seen in scratch.taps(kernel.shape, input.shape):
        y = y + operations._put(kernel[tap] * input, seen, full)
    return y[tuple(scratch._places(n, k, mode) for n, k in sizes)]


conv_nd = register(scratch.conv_nd, scratch.conv_nd_backward, _conv)
conv1d = register(scratch.conv1d, scratch.conv1d_backward, _conv)
conv2d = register(scratch.conv2d, scratch.conv2d_backward, _conv)
conv3d = register(scratch.conv3d, scratch.conv3d_backward, _conv)
conv2d_by_rows = register(
    scratch.conv2d_by_rows, scratch.conv2d_by_rows_backward, _conv
)
convolve = register(scratch.convolve, scratch.convolve_backward, _convolve)
