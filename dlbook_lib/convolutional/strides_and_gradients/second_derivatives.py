"""Convolution that can be differentiated any number of times, for Tensors.

A convolution is linear in its input and linear in its kernel. So are its two gradients,
and the rule of each of the three operations is one of the other two: nothing new is
needed for the gradient of a gradient, or for the gradient of that.

Each name is that of a function in `scratch` or `transposed`, on Tensors instead of
arrays: the pair there gives the gradient, and `conv_of_tensors` or another definition
in operations on Tensors gives the gradient's gradient.
"""

import numpy as np

from dlbook_lib.convolutional.pooling.second_derivatives import linear_map
from dlbook_lib.convolutional.strides_and_gradients import scratch, transposed
from dlbook_lib.convolutional.strides_and_gradients.by_taps import (
    correlate_by_taps,
    to_input_by_taps,
    to_weight_by_taps,
    with_border,
    without_border,
)
from dlbook_lib.feedforward.autodiff import operations
from dlbook_lib.feedforward.autodiff.engine import primitive, raw, register


def three_operations(correlate, to_input, to_weight):
    """Make the three operations of a convolution differentiable, any number of times.

    Parameters
    ----------
    correlate : callable
        ``y = correlate(x, weight, places, ...)``: from (N, C, H, W) and
        (F, C / groups, kH, kW) to (N, F, places).
    to_input : callable
        ``dx = to_input(dy, weight, size, ...)``: its gradient with respect to `x`,
        (N, C, size), or a transposed convolution.
    to_weight : callable
        ``dweight = to_weight(dy, x, kernel, ...)``: its gradient with respect to
        `weight`, (F, C / groups, kernel).

    Returns
    -------
    tuple of three callables
        The same on Tensors. What stands after the sizes, such as strides, is the same
        for all three.

    >>> from dlbook_lib.feedforward.autodiff.engine import grad, tensor
    >>> def times(a, b, size):  # a kernel of one tap, at one place
    ...     return a * b
    >>> product, *_ = three_operations(times, times, times)
    >>> x, w = (tensor(n, requires_grad=True) for n in (3.0, 5.0))
    >>> (slope,) = grad(product(x, w, ()), x, create_graph=True)
    >>> slope.item(), grad(slope, w)[0].item()
    (5.0, 1.0)
    """
    forward = primitive(
        correlate,
        lambda g, _y, _x, w, _places, *how: back(g, w, _x.shape[2:], *how),
        lambda g, _y, x, _w, _places, *how: tune(g, x, _w.shape[2:], *how),
        None,
        name="correlate",
    )
    back = primitive(
        to_input,
        lambda g, _y, _dy, w, _size, *how: forward(g, w, _dy.shape[2:], *how),
        lambda g, _y, dy, _w, _size, *how: tune(dy, g, _w.shape[2:], *how),
        None,
        name="to_input",
    )
    tune = primitive(
        to_weight,
        lambda g, _y, _dy, x, _kernel, *how: forward(x, g, _dy.shape[2:], *how),
        lambda g, _y, dy, _x, _kernel, *how: back(dy, g, _x.shape[2:], *how),
        None,
        name="to_weight",
    )
    return forward, back, tune


correlate, to_input, to_weight = three_operations(
    correlate_by_taps, to_input_by_taps, to_weight_by_taps
)
bordered = primitive(
    with_border, lambda g, _y, _x, around: inner(g, around), name="bordered"
)
inner = primitive(
    without_border, lambda g, _y, _x, around: bordered(g, around), name="inner"
)


def conv_of_tensors(
    input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1
):
    """`conv_nd` of Tensors, to be differentiated any number of times.

    It is the ``reference=`` of all convolutions here: `register` takes their own
    backward halves for the gradient, and this for the gradient of the gradient.

    Parameters
    ----------
    input : Tensor (N, C, ...) or (C, ...)
    weight : Tensor (F, C / groups, ...)
    bias : Tensor (F,), optional
    stride, padding, dilation, groups
        As in `conv_plan`.

    Returns
    -------
    Tensor (N, F, ...) or (F, ...)
    """
    arrays, options = map(raw, (input, weight, bias)), (stride, padding, dilation)
    stride, dilation, around, places = scratch.conv_plan(*arrays, *options, groups)
    if np.ndim(raw(input)) <= len(places) + 1:
        arguments = input[None], weight, bias, *options, groups
        return conv_of_tensors(*arguments)[0]
    x = bordered(input, around)
    y = correlate(x, weight, places, stride, dilation, groups)
    return y if bias is None else y + bias.reshape(-1, *(1 for _ in places))


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
    """`conv_transpose_nd` of Tensors, to be differentiated any number of times.

    Parameters
    ----------
    input : Tensor (N, C, ...) or (C, ...)
    weight : Tensor (C, F / groups, ...)
    bias : Tensor (F,), optional
    stride, padding, output_padding, groups, dilation
        As in `transpose_plan`.

    Returns
    -------
    Tensor (N, F, ...) or (F, ...)
    """
    arrays = map(raw, (input, weight, bias))
    options = stride, padding, output_padding, groups, dilation
    stride, dilation, around, size = transposed.transpose_plan(*arrays, *options)
    if np.ndim(raw(input)) <= len(size) + 1:
        return conv_transpose_of_tensors(input[None], weight, bias, *options)[0]
    y = inner(to_input(input, weight, size, stride, dilation, groups), around)
    return y if bias is None else y + bias.reshape(-1, *(1 for _ in size))


def _locally_connected2d(input, weight, bias=None, stride=1):
    """The definition of `locally_connected2d`: a product of matrices at each place."""
    f, _, *kernel, height, width = weight.shape
    seen = unfold(input, tuple(kernel), 1, 0, stride)  # (N, C · kH · kW, places)
    kernels = operations.reshape(weight, f, seen.shape[1], height * width)
    y = operations.einsum("nkp,fkp->nfp", seen, kernels)
    y = operations.reshape(y, len(input), f, height, width)
    return y if bias is None else y + bias


conv_nd = register(scratch.conv_nd, scratch.conv_nd_backward, conv_of_tensors)
conv1d = register(scratch.conv1d, scratch.conv1d_backward, conv_of_tensors)
conv2d = register(scratch.conv2d, scratch.conv2d_backward, conv_of_tensors)
conv3d = register(scratch.conv3d, scratch.conv3d_backward, conv_of_tensors)
conv2d_by_rows = register(
    scratch.conv2d_by_rows, scratch.conv2d_by_rows_backward, conv_of_tensors
)
conv_transpose_nd = register(
    transposed.conv_transpose_nd,
    transposed.conv_transpose_nd_backward,
    conv_transpose_of_tensors,
)
conv_transpose1d = register(
    transposed.conv_transpose1d,
    transposed.conv_transpose1d_backward,
    conv_transpose_of_tensors,
)
conv_transpose2d = register(
    transposed.conv_transpose2d,
    transposed.conv_transpose2d_backward,
    conv_transpose_of_tensors,
)
conv_transpose3d = register(
    transposed.conv_transpose3d,
    transposed.conv_transpose3d_backward,
    conv_transpose_of_tensors,
)
locally_connected2d = register(
    scratch.locally_connected2d,
    scratch.locally_connected2d_backward,
    _locally_connected2d,
)
pad = linear_map(
    scratch.pad,
    scratch.pad_backward,  # what is put around is the same whatever the input
    lambda dx, _x, around, mode="constant", _=0: scratch.pad(dx, around, mode),
)
unfold = linear_map(scratch.unfold, scratch.unfold_backward)
fold = linear_map(scratch.fold, scratch.fold_backward)
