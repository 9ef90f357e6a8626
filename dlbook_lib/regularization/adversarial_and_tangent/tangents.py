"""Directions along which a class stays the same, in NumPy: the tangents of a manifold.

They are known (a picture that moves or turns) or learned from examples. A distance that
ignores them, and penalties that make a model ignore them (tangent prop), or ignore
small steps in any direction (double backprop). As in `scratch`, functions that are
trained take a `Tensor` (N, ...) and may use parameters.
"""

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    check_finite,
    check_in,
    check_number,
    check_positive,
    check_same_shape,
    require,
)
from dlbook_lib.feedforward.autodiff.engine import Tensor, grad
from dlbook_lib.regularization.adversarial_and_tangent.scratch import total_loss
from dlbook_lib.regularization.augmentation_and_noise.scratch import gaussian_blur
from dlbook_lib.regularization.norm_penalties.projections import length

# ---- tangents of pictures ------------------------------------------------------------


def image_slopes(images, sigma=0.0):
    """How images change per pixel to the right and down; 0 lies beyond the border.

    Parameters
    ----------
    images : array_like (..., H, W)
    sigma : float
        Width, in pixels, of a Gaussian that smooths them first; 0 does nothing.

    Returns
    -------
    right, down : ndarray (..., H, W)
        Half the difference of the two neighbours.

    >>> image_slopes([[0.0, 1.0, 4.0]])
    (array([[ 0.5,  2. , -0.5]]), array([[0., 0., 0.]]))
    """
    images = as_float(images, "images", empty=True)
    require(images.ndim > 1, f"images {images.shape} are none; pass (..., H, W)")
    check_positive(sigma, "sigma", zero=True)
    if sigma:
        images = gaussian_blur(images, sigma)
    x = np.pad(images, [(0, 0)] * (images.ndim - 2) + [(1, 1), (1, 1)])
    right = x[..., 1:-1, 2:] - x[..., 1:-1, :-2]
    down = x[..., 2:, 1:-1] - x[..., :-2, 1:-1]
    return right / 2, down / 2


MOTIONS = {
    "right": lambda u, v: (1 + 0 * u, 0 * v),
    "down": lambda u, v: (0 * u, 1 + 0 * v),
    "rotation": lambda u, v: (v, -u),
    "scale": lambda u, v: (u, v),
    "stretch": lambda u, v: (u, -v),
    "shear": lambda u, v: (v, u),
}
"""Which way, to the right and down, each point moves that lies (u, v) off the centre.

Counter-clockwise as seen for the rotation, per radian; `stretch` widens and flattens,
`shear` does the same along the diagonals.
"""


def tangent_vectors(images, kinds=(*MOTIONS, "thickness"), sigma=0.9):
    r"""How each picture changes at first if it is moved, turned, widened or thickened.

    A picture whose points move by :math:`(a,b)` changes by
    :math:`-a\,\partial_uI-b\,\partial_vI`; a thicker one by
    :math:`(\partial_uI)^2+(\partial_vI)^2`.

    Parameters
    ----------
    images : array_like (N, H, W)
    kinds : sequence of str
        K keys of `MOTIONS`, or "thickness".
    sigma : float
        As in `image_slopes`: pictures of pixels have derivatives only if smoothed.

    Returns
    -------
    ndarray (N, K, H, W)
        Per pixel for "right" and "down", per radian for "rotation", else per unit.

    Source: Simard, LeCun, Denker and Victorri (1998).

    >>> row = [[[0.0, 1.0, 4.0, 9.0, 16.0]]]
    >>> tangent_vectors(row, ("right", "scale"), sigma=0.0)[0, :, 0, 1:4]
    array([[-2., -4., -6.],
           [ 2., -0., -6.]])
    """
    images = as_float(images, "images", ndim=3, empty=True)
    is_list = isinstance(kinds, (tuple, list)) and len(kinds) > 0
    require(is_list, f"kinds must be a list of names, not {kinds!r}; try ('right',)")
    for kind in kinds:
        check_in(kind, "kinds", (*MOTIONS, "thickness"))
    slope_u, slope_v = image_slopes(images, sigma)
    height, width = images.shape[1:]
    v, u = np.mgrid[:height, :width].astype(images.dtype)
    u, v = u - (width - 1) / 2, v - (height - 1) / 2
    found = np.empty((len(images), len(kinds), height, width), images.dtype)
    for k, kind in enumerate(kinds):
        if kind == "thickness":
            found[:, k] = slope_u**2 + slope_v**2
        else:
            right, down = MOTIONS[kind](u, v)
            found[:, k] = -right * slope_u - down * slope_v
    return found


def tangent_distance(input, other, tangents=None, other_tangents=None, ridge=0.0):
    r"""Distance of two planes, each through an example and along its tangents.

    .. math:: \min_{\mathbf a,\mathbf b}\lVert\mathbf x+T_x\mathbf a-\mathbf y
        -T_y\mathbf b\rVert

    Parameters
    ----------
    input, other : array_like (...)
        Pictures are to be smoothed by as much as their tangents were: only then is a
        small move a step along a tangent.
    tangents : array_like (K, ...), optional
        Of `input`; with those of one example only, the distance is one-sided.
    other_tangents : array_like (L, ...), optional
    ridge : float
        With it, the squared distance plus ``ridge`` times
        :math:`\lVert\mathbf a\rVert^2+\lVert\mathbf b\rVert^2` is least: points
        do not run off along planes that are nearly parallel.

    Returns
    -------
    float
        Of the points found. Tangents that depend on each other do no harm: least
        squares then takes the shortest of many solutions.

    Source: Simard, LeCun and Denker (1993); Goodfellow, Bengio and Courville (2016),
    section 7.14.

    >>> x, y, along = [0.0, 2.0], [3.0, 0.0], [[1.0, 0.0]]
    >>> round(tangent_distance(x, y), 4), round(tangent_distance(x, y, along), 4)
    (3.6056, 2.0)
    """
    input, other = as_float(input, "input"), as_float(other, "other")
    check_same_shape(input=input, other=other)
    check_number(ridge, "ridge", 0)
    ways = np.zeros((0, input.size), np.result_type(input, other))
    for given, sign, name in (
        (tangents, 1, "tangents"),
        (other_tangents, -1, "other_tangents"),
    ):
        if given is not None:
            given = as_float(given, name, ndim=input.ndim + 1)
            check_same_shape(input=input, **{f"{name}[0]": given[0]})
            ways = np.concatenate([ways, sign * given.reshape(len(given), -1)])
    gap, spring = (input - other).reshape(-1), ridge**0.5 * np.eye(len(ways))
    wide = np.concatenate([ways.T, spring.astype(ways.dtype)])
    goal = np.concatenate([gap, np.zeros(len(ways), gap.dtype)])
    steps = np.linalg.lstsq(wide, -goal)[0]
    return length(gap + steps @ ways).item()


def flat_planes(input, tangents=None):
    """Examples (N, ...) as (N, n) and their tangents (N, K, ...) as (N, K, n).

    >>> [a.shape for a in flat_planes(np.ones((5, 2, 2)))]
    [(5, 4), (5, 0, 4)]
    """
    input = as_float(input, "input", empty=True)
    require(input.ndim > 1, f"input {input.shape} is no batch; pass (N, ...)")
    flat = input.reshape(len(input), int(np.prod(input.shape[1:])))
    if tangents is None:
        return flat, np.zeros((len(flat), 0, flat.shape[1]), flat.dtype)
    tangents = as_float(tangents, "tangents", ndim=input.ndim + 1, empty=True)
    wanted = len(input), *input.shape[1:]
    require(
        (len(tangents), *tangents.shape[2:]) == wanted,
        f"tangents have shape {tangents.shape} but the examples {input.shape}; pass "
        "(N, K, ...), K tangents for each",
    )
    return flat, tangents.reshape(*tangents.shape[:2], flat.shape[1])


def tangent_distances_by_gram(
    input, other, tangents=None, other_tangents=None, ridge=1e-6
):
    r"""`tangent_distance` of all pairs, from inner products alone.

    The K + L normal equations of a pair need only inner products of tangents and
    differences. Those within an example are taken once, not for each pair.

    Parameters
    ----------
    input : array_like (M, ...)
    other : array_like (N, ...)
    tangents : array_like (M, K, ...), optional
    other_tangents : array_like (N, L, ...), optional
    ridge : float
        Above 0: it keeps the equations solvable if tangents depend on each other.

    Returns
    -------
    ndarray (M, N)
        Exact to half of the digits only where the distance is nearly 0.

    >>> along = [[[1.0, 0.0]]]
    >>> tangent_distances_by_gram([[0.0, 2.0]], [[3.0, 0.0]], along).round(4)
    array([[2.]])
    """
    x, tx = flat_planes(input, tangents)
    y, ty = flat_planes(other, other_tangents)
    require(
        np.shape(input)[1:] == np.shape(other)[1:],
        f"input has examples {np.shape(input)[1:]} but other {np.shape(other)[1:]}",
    )
    check_positive(ridge, "ridge")
    within, other_within = tx @ tx.mT, ty @ ty.mT
    distance = np.empty((len(x), len(y)), np.result_type(x, y))
    rows = min(4096, 2**22 // max(1, x.shape[1]) + 1)  # so that no array is large
    for i in range(len(x)):
        for j in range(0, len(y), rows):
            some = slice(j, j + rows)
            pairs = x[i], tx[i], within[i], y[some], ty[some], other_within[some]
            distance[i, some] = _from_one_plane(*pairs, float(ridge))
    return distance


def _from_one_plane(x, tx, within, y, ty, other_within, ridge):
    """Distances (N,) of `x` (n,) from `y` (N, n): inner products, then equations."""
    gap, k, kl = x - y, len(tx), len(tx) + ty.shape[1]
    gram = np.empty((len(gap), kl, kl), gap.dtype)
    gram[:, :k, :k], gram[:, k:, k:] = within, other_within
    gram[:, k:, :k] = -(ty @ tx.T)
    gram[:, :k, k:] = gram[:, k:, :k].mT
    sides = gap @ tx.T, -(ty @ gap[..., None])[..., 0]
    h = np.concatenate(sides, axis=1)[..., None]  # (N, K + L, 1)
    steps = -np.linalg.solve(gram + ridge * np.eye(kl, dtype=gap.dtype), h)
    change = (steps * (gram @ steps + 2 * h)).sum(axis=(1, 2))
    return np.sqrt(np.maximum((gap * gap).sum(axis=1) + change, 0))


# ---- penalties along directions ------------------------------------------------------


def directional_derivative(f, input, v):
    r"""How outputs change along a direction, :math:`J\mathbf v`, example by example.

    A backward pass gives :math:`J^{\mathsf T}\mathbf u`, which is linear in
    :math:`\mathbf u`. The derivative of its product with :math:`\mathbf v`, with
    respect to :math:`\mathbf u`, is :math:`J\mathbf v`: two passes, however many
    outputs and inputs there are.

    Parameters
    ----------
    f : callable
        From a `Tensor` (N, ...) to a `Tensor` (N, ...).
    input, v : array_like (N, ...)

    Returns
    -------
    Tensor (N, ...)
        Of the shape of the outputs, to be differentiated with respect to parameters.

    Raises
    ------
    RuntimeError
        If `f` does not depend on its input, or has an operation that cannot be
        differentiated twice.

    Source: Townsend (2017), for the derivative of a backward pass.

    >>> directional_derivative(lambda x: x * x, [[1.0, 3.0]], [[1.0, 10.0]]).tolist()
    [[2.0, 60.0]]
    """
    input, v = as_float(input, "input"), as_float(v, "v")
    check_same_shape(input=input, v=v)
    require(callable(f), f"f must be a function, not {f!r}", TypeError)
    x = Tensor(input, requires_grad=True)
    y = f(x)
    kind = type(y).__name__
    require(isinstance(y, Tensor), f"f returns a {kind}, not a Tensor", TypeError)
    u = Tensor(np.zeros_like(y.data), requires_grad=True)
    (pulled,) = grad(y, x, u, create_graph=True)
    (pushed,) = grad(pulled, u, v.astype(x.dtype), create_graph=True)
    return pushed


def tangent_prop_penalty(f, input, tangents):
    r"""How much the outputs change along known tangents,
    :math:`\sum_i\lVert J\mathbf v^{(i)}\rVert^2`.

    Parameters
    ----------
    f : callable
        From a `Tensor` (N, ...) to a `Tensor` (N, ...).
    input : array_like (N, ...)
    tangents : array_like (N, K, ...)
        K for each example, as `tangent_vectors` gives them.

    Returns
    -------
    Tensor
        A number, the mean over the examples. Its gradient takes second derivatives of
        `f`. Those of rectifiers are 0: they can lower it by smaller weights or by
        switching off, and not by saturating, as sigmoid and tanh can.

    Source: Simard, Victorri, LeCun and Denker (1992); Goodfellow, Bengio and Courville
    (2016), equation 7.67.

    >>> def f(x):
    ...     return (x * x).sum(1)
    >>> tangent_prop_penalty(f, [[1.0, 3.0]], [[[0.0, 1.0], [3.0, -1.0]]]).item()
    36.0
    """
    input = as_float(input, "input")
    require(input.ndim, "input has no dimensions; pass a batch of examples (N, ...)")
    tangents = as_float(tangents, "tangents", ndim=input.ndim + 1)
    require(
        (len(tangents), *tangents.shape[2:]) == input.shape,
        f"tangents have shape {tangents.shape} but input {input.shape}; pass "
        "(N, K, ...), K tangents for each example",
    )
    again = np.repeat(input, tangents.shape[1], axis=0)  # (N K, ...)
    change = directional_derivative(f, again, tangents.reshape(again.shape))
    return (change * change).sum() / len(input)


def double_backprop_penalty(losses, input):
    r"""How steep the loss is in the input, :math:`\lVert\nabla_{\mathbf x}J\rVert^2`.

    For small steps this is adversarial training in the Euclidean norm: the worst step
    of length :math:`\epsilon` raises J by :math:`\epsilon\lVert\nabla_{\mathbf x}J
    \rVert`.

    Parameters
    ----------
    losses : callable
        From a `Tensor` (N, ...) to a `Tensor` (N,).
    input : array_like (N, ...)

    Returns
    -------
    Tensor
        A number, the mean over the examples.

    Source: Drucker and LeCun (1992).

    >>> double_backprop_penalty(lambda x: (x * x).sum(1), [[1.0, 3.0]]).item()
    40.0
    """
    input = as_float(input, "input")
    require(input.ndim, "input has no dimensions; pass a batch of examples (N, ...)")
    x = Tensor(input, requires_grad=True)
    (slope,) = grad(total_loss(losses, x), x, create_graph=True)
    return (slope * slope).sum() / len(input)


# ---- tangents that are learned -------------------------------------------------------


def local_directions(points):
    r"""Along which directions points spread around their mean, and how much.

    Parameters
    ----------
    points : array_like (M, n)
        Neighbours of each other.

    Returns
    -------
    directions : ndarray (min(M, n), n)
        Orthonormal, the most important one first; each may have either sign.
    share : ndarray (min(M, n),)
        Of the variance, so that they add up to 1. Near a manifold of d dimensions all
        but d are nearly 0.

    >>> directions, share = local_directions([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]])
    >>> share.round(12)
    array([1., 0.])
    """
    points = as_float(points, "points", ndim=2)
    check_finite(points, "points")
    _, spread, directions = np.linalg.svd(
        points - points.mean(axis=0), full_matrices=False
    )
    same = f"all {len(points)} points are the same; pass different ones"
    require(spread[0] > 0, same)
    share = (spread / spread[0]) ** 2  # without the scale, whose square may overflow
    return directions, share / share.sum()


def manifold_tangents(encode, input, k):
    r"""The k directions in which a code changes fastest, for each example.

    They are the top right singular vectors of :math:`\partial\mathbf h/\partial\mathbf
    x`. An encoder that has learned where the data lie answers to steps along them, and
    to no others.

    Parameters
    ----------
    encode : callable
        From a `Tensor` (N, ...) to codes, a `Tensor` (N, H).
    input : array_like (N, ...)
    k : int
        At most H, and at most the size of an example.

    Returns
    -------
    tangents : ndarray (N, k, ...)
        Orthonormal, for `tangent_prop_penalty`; each may have either sign.
    values : ndarray (N, k)
        The singular values.

    Source: Rifai et al. (2011); Goodfellow, Bengio and Courville (2016), section
    7.14.

    >>> weight = np.array([[2.0, 0.0], [0.0, 0.1]])
    >>> tangents, values = manifold_tangents(lambda x: x @ weight, [[1.0, 1.0]], 1)
    >>> abs(tangents), values
    (array([[[1., 0.]]]), array([[2.]]))
    """
    input = as_float(input, "input")
    require(input.ndim > 1, f"input {input.shape} is no batch; pass (N, ...)")
    check_positive(k, "k", integer=True)
    require(callable(encode), f"encode must be a function, not {encode!r}", TypeError)
    x = Tensor(input, requires_grad=True)
    code = encode(x)
    kind = type(code).__name__
    require(isinstance(code, Tensor), f"encode returns a {kind}, no Tensor", TypeError)
    require(code.ndim == 2, f"encode returns {code.shape}; it should be (N, H)")
    most = min(code.shape[1], input[0].size)
    require(k <= most, f"k is {k} but there are only {most} directions")
    rows = [
        grad(code[:, j].sum(), x, retain_graph=True)[0].data
        for j in range(code.shape[1])
    ]
    jacobian = np.stack(rows, axis=1).reshape(*code.shape, input[0].size)
    check_finite(jacobian, "the Jacobian")
    _, values, directions = np.linalg.svd(jacobian, full_matrices=False)
    return directions[:, :k].reshape(len(input), k, *input.shape[1:]), values[:, :k]
