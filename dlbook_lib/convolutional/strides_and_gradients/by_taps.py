"""The three operations of a convolution, one tap of the kernel after the other.

They work along any number of axes and in groups of channels: for each tap, what it sees
at all places is one view of the padded input, and its part of the sum one product of
matrices. The second of them is a transposed convolution as well.
"""

import numpy as np

from dlbook_lib.convolutional.convolution.scratch import taps


def correlate_by_taps(x, weight, places, stride, dilation, groups=1):
    """The forward map, groups side by side.

    Parameters
    ----------
    x : ndarray (N, C, ...)
        Already padded.
    weight : ndarray (F, C / groups, ...)
    places : tuple of int
        How many there are along each axis.
    stride, dilation : tuple of int
    groups : int

    Returns
    -------
    ndarray (N, F, places)

    >>> x, weight = np.arange(4.0).reshape(1, 1, 4), np.array([[[1.0, 10.0]]])
    >>> correlate_by_taps(x, weight, (3,), (1,), (1,)).ravel()
    array([10., 21., 32.])
    """
    f, c, *kernel = weight.shape
    w = weight.reshape(groups, f // groups, c, *kernel)
    x = x.swapaxes(0, 1).reshape(groups, c, len(x), *x.shape[2:])
    shape = groups, f // groups, x.shape[2] * np.prod(places)
    y = np.zeros(shape, np.result_type(x, w))
    for tap, seen in taps(tuple(kernel), places, stride, dilation):
        y += w[(..., *tap)] @ x[seen].reshape(groups, c, -1)
    return y.reshape(f, x.shape[2], *places).swapaxes(0, 1)


def to_input_by_taps(dy, weight, size, stride, dilation, groups=1):
    """Its transpose: each number spread out over what the kernel has seen.

    Parameters
    ----------
    dy : ndarray (N, F, places)
    weight : ndarray (F, C / groups, ...)
    size : tuple of int
        Of the padded input.
    stride, dilation : tuple of int
    groups : int

    Returns
    -------
    ndarray (N, C, size)

    >>> dy, weight = np.array([[[1.0, 2.0]]]), np.array([[[1.0, 10.0]]])
    >>> to_input_by_taps(dy, weight, (3,), (1,), (1,)).ravel()
    array([ 1., 12., 20.])
    """
    f, c, *kernel = weight.shape
    w = weight.reshape(groups, f // groups, c, *kernel)
    n, places = len(dy), dy.shape[2:]
    dy = dy.swapaxes(0, 1).reshape(groups, f // groups, -1)
    dx = np.zeros((groups, c, n, *size), np.result_type(dy, w))
    for tap, seen in taps(tuple(kernel), places, stride, dilation):
        part = w[(..., *tap)].swapaxes(1, 2) @ dy
        dx[seen] += part.reshape(groups, c, n, *places)
    return dx.reshape(groups * c, n, *size).swapaxes(0, 1)


def to_weight_by_taps(dy, x, kernel, stride, dilation, groups=1):
    """The kernel's gradient: what each tap sees against `dy`.

    Parameters
    ----------
    dy : ndarray (N, F, places)
    x : ndarray (N, C, ...)
        Already padded.
    kernel, stride, dilation : tuple of int
    groups : int

    Returns
    -------
    ndarray (F, C / groups, kernel)

    >>> x, dy = np.arange(4.0).reshape(1, 1, 4), np.ones((1, 1, 3))
    >>> to_weight_by_taps(dy, x, (2,), (1,), (1,)).ravel()
    array([3., 6.])
    """
    (n, f, *places), c = dy.shape, x.shape[1] // groups
    dy = dy.swapaxes(0, 1).reshape(groups, f // groups, -1)
    x = x.swapaxes(0, 1).reshape(groups, c, n, *x.shape[2:])
    dw = np.zeros((groups, f // groups, c, *kernel), np.result_type(dy, x))
    for tap, seen in taps(tuple(kernel), tuple(places), stride, dilation):
        dw[(..., *tap)] = dy @ x[seen].reshape(groups, c, -1).swapaxes(1, 2)
    return dw.reshape(f, c, *kernel)


def with_border(x, around):
    """`x` (N, C, ...) with zeros before and after along its last axes.

    >>> with_border(np.ones((1, 1, 2)), [(0, 1)])
    array([[[1., 1., 0.]]])
    """
    return np.pad(x, [(0, 0), (0, 0), *around])


def without_border(x, around):
    """What lies inside of such a border of (N, C, ...), as a view.

    >>> without_border(np.arange(4.0).reshape(1, 1, 4), [(1, 2)])
    array([[[1.]]])
    """
    ends = zip(around, x.shape[2:], strict=True)
    return x[(..., *(slice(low, n - high) for (low, high), n in ends))]
