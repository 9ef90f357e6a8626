"""Pooling that can be differentiated any number of times, for Tensors.

An average is linear in its input, and so is a maximum whose winners are known: close
by, they stay the same. The gradient of such an operation is its transpose, and the
gradient of that is the operation again.

Each name is that of a function in `scratch` or `other_axes`, on a `Tensor` (N, C, ...)
or (C, ...) instead of an array: the pair there gives the gradient, what stands here
gives the gradient's gradient.
"""

import numpy as np

from dlbook_lib.convolutional.convolution.scratch import as_sizes, taps
from dlbook_lib.convolutional.pooling import other_axes, scratch
from dlbook_lib.feedforward.autodiff import operations
from dlbook_lib.feedforward.autodiff.engine import fused, primitive, raw, register


def linear_map(f, f_backward, again=None):
    """Make an operation of any order of a function that is linear in its input.

    Parameters
    ----------
    f : callable
        ``y = f(x, ...)``, arrays (...) in, array (...) out.
    f_backward : callable
        ``dx = f_backward(dy, x, ...)``, its transpose. It may look at what `x` is, but
        changes in `x` so small that it stays the same linear map count for nothing.
    again : callable, optional
        ``dy = again(dx, x, ...)`` sends a small change of `x` through the map that it
        is at `x`. Without it, it is `f` itself.

    Returns
    -------
    callable
        Takes the arguments of `f` in their places, the first one a Tensor (...).

    >>> from dlbook_lib.feedforward.autodiff.engine import grad, tensor
    >>> double = linear_map(lambda x: 2 * x, lambda dy, x: 2 * dy)
    >>> x = tensor([3.0], requires_grad=True)
    >>> (slope,) = grad((double(x) ** 2).sum(), x, create_graph=True)
    >>> slope.tolist(), grad(slope.sum(), x)[0].tolist()
    ([24.0], [8.0])
    """
    again = again or (lambda dx, _x, *options: f(dx, *options))
    up = primitive(f, lambda g, _y, x, *options: down(g, raw(x), *options))
    down = primitive(
        f_backward,
        lambda g, _y, _dy, x, *options: forth(g, x, *options),
        None,
    )
    forth = primitive(
        again,
        lambda g, _y, _dx, x, *options: down(g, x, *options),
        None,
        name=f.__name__,
    )
    return register(f, f_backward, reference=up)


def _max_pool2d_again(
    dx,
    x,
    kernel_size,
    stride=None,
    padding=0,
    dilation=1,
    ceil_mode=False,
    return_indices=False,
):
    """What stands in `dx` (N, C, H, W) where the maxima of `x` stand."""
    options = kernel_size, stride, padding, dilation, ceil_mode
    return scratch._gather(dx, scratch.max_pool2d(x, *options, True)[1])


def _adaptive_max_pool2d_again(dx, x, output_size, return_indices=False):
    """The same for windows that are cut to size."""
    return scratch._gather(dx, scratch.adaptive_max_pool2d(x, output_size, True)[1])


def _max_pool1d_again(
    dx, x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False
):
    """The same for series (N, C, L), which are images of one row."""
    sizes = other_axes.flat_sizes(kernel_size, stride, padding, dilation)
    rows = other_axes.as_rows(dx), other_axes.as_rows(x)
    return _max_pool2d_again(*rows, *sizes, ceil_mode)[..., 0, :]


def _max_pool3d_again(
    dx, x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False
):
    """The same for volumes (N, C, D, H, W): of each slice, then along the slices."""
    options = kernel_size, stride, (padding, dilation), (ceil_mode,)
    y, outer, inner, _ = other_axes.pooled_twice(scratch.max_pool2d, x, *options)
    first = _max_pool2d_again(other_axes.as_slices(dx), *inner)
    return _max_pool2d_again(first.reshape(outer[0].shape), *outer).reshape(y.shape)


def _lp_pool2d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """The definition of `lp_pool2d`, from operations on Tensors (N, C, H, W); flat
    where it is 0, as its gradient is."""
    mean = avg_pool2d(input**norm_type, kernel_size, stride, 0, ceil_mode)
    total, flat = mean * float(np.prod(as_sizes(kernel_size, ""))), mean == 0
    root = operations.where(flat, 1.0, total) ** (1 / norm_type)
    return operations.where(flat, 0.0, root)


def _stochastic_pool2d(input, kernel_size, stride=None, noise=None):
    """The definition of `stochastic_pool2d`, from (N, C, H, W) to (N, C, OH, OW)."""
    kernel, stride, _, places, _ = scratch.pool_plan(raw(input), kernel_size, stride)
    window = [input[seen] for _, seen in taps(kernel, places, stride)]
    window = operations.stack(window)
    if noise is not None:
        return operations.gather(window, 0, scratch._drawn(raw(window), noise))[0]
    total = operations.sum(window, 0)
    squares = operations.sum(window * window, 0)
    return squares / operations.where(total == 0, 1.0, total)


_max_pool2d = linear_map(
    scratch.max_pool2d, scratch.max_pool2d_backward, _max_pool2d_again
)
_adaptive_max_pool2d = linear_map(
    scratch.adaptive_max_pool2d,
    scratch.adaptive_max_pool2d_backward,
    _adaptive_max_pool2d_again,
)


def max_pool2d(
    input,
    kernel_size,
    stride=None,
    padding=0,
    dilation=1,
    ceil_mode=False,
    return_indices=False,
):
    """`max_pool2d` of a Tensor (N, C, H, W); the indices are an array of ints."""
    options = kernel_size, stride, padding, dilation, ceil_mode
    if not return_indices:
        return _max_pool2d(input, *options, return_indices)
    at = scratch.max_pool2d(raw(input), *options, return_indices)[1]
    return _max_pool2d(input, *options), at


def adaptive_max_pool2d(input, output_size, return_indices=False):
    """The same for `adaptive_max_pool2d`, of a Tensor (N, C, H, W)."""
    if not return_indices:
        return _adaptive_max_pool2d(input, output_size, return_indices)
    at = scratch.adaptive_max_pool2d(raw(input), output_size, return_indices)[1]
    return _adaptive_max_pool2d(input, output_size), at


max_pool2d_by_halves = fused(
    scratch.max_pool2d_by_halves, lambda input: max_pool2d(input, 2)
)
global_max_pool2d = linear_map(
    scratch.global_max_pool2d,
    scratch.global_max_pool2d_backward,
    lambda dx, x: _adaptive_max_pool2d_again(dx, x, 1),
)
avg_pool2d = linear_map(scratch.avg_pool2d, scratch.avg_pool2d_backward)
adaptive_avg_pool2d = linear_map(
    scratch.adaptive_avg_pool2d, scratch.adaptive_avg_pool2d_backward
)
global_avg_pool2d = linear_map(
    scratch.global_avg_pool2d, scratch.global_avg_pool2d_backward
)
max_unpool2d = linear_map(scratch.max_unpool2d, scratch.max_unpool2d_backward)
lp_pool2d = register(scratch.lp_pool2d, scratch.lp_pool2d_backward, _lp_pool2d)
stochastic_pool2d = register(
    scratch.stochastic_pool2d,
    scratch.stochastic_pool2d_backward,
    reference=_stochastic_pool2d,
)
max_pool1d = linear_map(
    other_axes.max_pool1d, other_axes.max_pool1d_backward, _max_pool1d_again
)
max_pool3d = linear_map(
    other_axes.max_pool3d, other_axes.max_pool3d_backward, _max_pool3d_again
)
avg_pool1d = linear_map(other_axes.avg_pool1d, other_axes.avg_pool1d_backward)
avg_pool3d = linear_map(other_axes.avg_pool3d, other_axes.avg_pool3d_backward)
