r"""Constraints on norms, in NumPy: the nearest point of a ball, and its gradient.

A penalty pulls at weights always; a projection only brings back those that have left
the ball :math:`\lVert\mathbf w\rVert\le k`. The radius is data: no gradient is given
for it.
"""

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    check_dim,
    check_finite,
    check_positive,
    check_same_shape,
    require,
)


def length(input, dim=None):
    r"""Euclidean length :math:`\lVert\mathbf x\rVert_2` along `dim`, or of everything.

    Parameters
    ----------
    input : array_like (...)
    dim : int, optional

    Returns
    -------
    ndarray (..., 1, ...)
        As many dimensions as `input`, those that are summed over of length 1.

    The entries are divided by the largest before they are squared, so the squares
    neither overflow nor vanish; those of ``torch.linalg.vector_norm`` do, beyond
    lengths of about 1e±19 in float32 and 1e±154 in float64.

    >>> length([[3e200, 4e200], [0.0, 0.0]], dim=1)
    array([[5.e+200],
           [0.e+000]])
    """
    input = as_float(input, "input", empty=True)
    if dim is not None:
        check_dim(dim, input)
    largest = np.abs(input).max(axis=dim, keepdims=True, initial=0)
    largest = np.where((largest > 0) & (largest < np.inf), largest, 1)
    unit = input / largest
    return largest * np.sqrt((unit * unit).sum(axis=dim, keepdims=True))


def project_l2(input, radius, dim=None):
    r"""Nearest point of a ball, :math:`\mathbf x\cdot\min(1,k/\lVert\mathbf x\rVert)`.

    Parameters
    ----------
    input : array_like (...)
    radius : float
        :math:`k`, 0 or more.
    dim : int, optional
        Vectors along this axis go each to their own ball; without it, all entries are
        one vector.

    Returns
    -------
    ndarray (...)

    Raises
    ------
    ValueError
        If `input` is not finite: a run that has blown up cannot be brought back.

    Source: Goodfellow, Bengio and Courville (2016), section 7.2.

    >>> project_l2([[3.0, 4.0], [0.3, 0.4]], 1.0, dim=1)
    array([[0.6, 0.8],
           [0.3, 0.4]])
    """
    input = as_float(input, "input")
    check_finite(input, "input")
    check_positive(radius, "radius", zero=True)
    norm = length(input, dim)
    radius = norm.dtype.type(min(radius, np.finfo(norm.dtype).max))
    return input * (radius / np.maximum(norm, radius or 1))


def project_l2_backward(dy, input, radius, dim=None):
    r"""Gradient of `project_l2` with respect to `input` (...).

    Inside the ball it is `dy`; outside, :math:`k/\lVert\mathbf x\rVert` times the part
    of `dy` along the surface, for moving further out changes nothing.

    >>> project_l2_backward([1.0, 1.0], [0.0, 4.0], 2.0)
    array([0.5, 0. ])
    """
    dy = as_float(dy, "dy")
    project_l2(input, radius, dim)  # checks them
    input, norm = np.asarray(input), length(input, dim)
    check_same_shape(dy=dy, input=input)
    radius = norm.dtype.type(min(radius, np.finfo(norm.dtype).max))
    far = np.maximum(norm, radius or 1)
    unit = input / far
    along = dy - unit * (unit * dy).sum(axis=dim, keepdims=True)
    return np.where(norm > radius, radius / far * along, dy)


def project_l1(input, radius):
    r"""The nearest point of the diamond :math:`\lVert\mathbf x\rVert_1\le k`, exactly.

    It is a soft threshold, by what makes the result as long as allowed. A sort finds
    how many entries stay above it, in :math:`O(D\log D)`.

    Parameters
    ----------
    input : array_like (...)
        All entries are one vector.
    radius : float
        :math:`k`, 0 or more.

    Returns
    -------
    ndarray (...)

    Raises
    ------
    ValueError
        If `input` is not finite.

    Source: Duchi, Shalev-Shwartz, Singer and Chandra (2008), figure 1.

    >>> project_l1([3.0, -2.0, 0.5], 2.0)
    array([ 1.5, -0.5,  0. ])
    """
    input = as_float(input, "input")
    check_finite(input, "input")
    check_positive(radius, "radius", zero=True)
    size = np.abs(input)
    with np.errstate(over="ignore"):
        inside = float(size.sum()) <= radius
    if inside:
        return input.copy()
    # Sizes are measured down from the largest: entries far beyond the radius would
    # swallow it. What lies deeper than the radius is cut off.
    below = size.max() - size
    ranked = np.sort(below[below <= radius], axis=None)
    level = float(radius) + np.cumsum(ranked)
    rank = np.arange(1, len(ranked) + 1, dtype=input.dtype)
    kept = np.flatnonzero(rank * ranked <= level)[-1]
    return np.sign(input) * np.maximum(level[kept] / rank[kept] - below, 0)


def project_l1_backward(dy, input, radius):
    """Gradient of `project_l1` with respect to `input` (...).

    Inside it is `dy`. Outside, entries that are not 0 share the radius: `dy` without
    its part across their face of the diamond; the others get nothing.

    >>> project_l1_backward([1.0, 0.0, 0.0], [3.0, -2.0, 0.5], 2.0)
    array([0.5, 0.5, 0. ])
    """
    dy, found = as_float(dy, "dy"), project_l1(input, radius)
    check_same_shape(dy=dy, input=found)
    with np.errstate(over="ignore"):
        inside = float(np.abs(input).sum()) <= radius
    if inside:
        return dy.copy()
    side = np.sign(found)
    across = (side * dy).sum() / max(int(np.count_nonzero(side)), 1)
    return np.where(side == 0, 0, dy - side * across)


def max_norm(weight, maxnorm):
    r"""Bound the length of the weights that enter each unit by `maxnorm`.

    Parameters
    ----------
    weight : array_like (out, in) or (F, C, ...)
        A unit, or filter, is a slice along the first axis. Where conventions differ:
        texts that store (in, out) speak of columns.
    maxnorm : float
        The bound, 0 or more.

    Returns
    -------
    ndarray (out, in) or (F, C, ...)
        ``torch.renorm(weight, 2, 0, maxnorm)`` but for torch's 1e-7 beside the length.

    Source: Srebro and Shraibman (2005); Srivastava et al. (2014), section 5.1. A bound
    on the length of the whole matrix would let one unit take it all.

    >>> max_norm([[3.0, 4.0], [0.3, 0.4]], 1.0)
    array([[0.6, 0.8],
           [0.3, 0.4]])
    """
    weight = as_float(weight, "weight")
    require(weight.ndim > 1, f"weight {weight.shape} has no units; is it (out, in)?")
    rows = weight.reshape(len(weight), -1)
    return project_l2(rows, maxnorm, dim=1).reshape(weight.shape)


def max_norm_backward(dy, weight, maxnorm):
    """Gradient of `max_norm` with respect to `weight` (out, in) or (F, C, ...).

    >>> max_norm_backward([[1.0, 1.0]], [[0.0, 4.0]], 2.0)
    array([[0.5, 0. ]])
    """
    dy, weight = as_float(dy, "dy"), as_float(weight, "weight")
    max_norm(weight, maxnorm)  # checks them
    check_same_shape(dy=dy, weight=weight)
    rows = len(weight), -1
    drows = project_l2_backward(dy.reshape(rows), weight.reshape(rows), maxnorm, dim=1)
    return drows.reshape(weight.shape)
