"""Convolution that can be differentiated any number of times, for Tensors.

A convolution is linear in its input and linear in its kernel. So are its two gradients,
and the rule of each of the three operations is one of the other two: nothing new is
needed for the gradient of a gradient, or for the gradient of that.
"""

import numpy as np

from dlbook_lib.feedforward.autodiff import operations  # noqa: F401
from dlbook_lib.feedforward.autodiff.engine import primitive


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


def _bordered(x, around):
    return np.pad(x, [(0, 0), (0, 0), *around])


def _inner(x, around):
    ends = zip(around, x.shape[2:], strict=True)
    return x[(..., *(slice(low, n - high) for (low, high), n in ends))]


bordered = primitive(
    _bordered, lambda g, _y, _x, around: inner(g, around), name="bordered"
)
"""A Tensor (N, C, ...) with zeros around its last axes, as pairs of counts say."""

inner = primitive(_inner, lambda g, _y, _x, around: bordered(g, around), name="inner")
"""What lies inside of such a border."""
