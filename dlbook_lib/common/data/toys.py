"""Toy problems in the plane and on the line, drawn afresh from a generator.

`two_moons`, `rings` and `spirals` are two classes that no straight line separates;
`curve` is a regression problem.

>>> from dlbook_lib.common.rng import numpy_generator
>>> x, y = two_moons(5, rng=numpy_generator(0))
>>> x.shape, y.shape, np.bincount(y)
((5, 2), (5,), array([3, 2]))
"""

from numbers import Integral, Real

import numpy as np


def two_moons(n, noise=0.1, *, rng):
    """Two half circles of radius 1 that reach into each other.

    Class 0 is the upper half of the circle around (0, 0); class 1 is the lower half of
    the circle around (1, 1/2). Angles are uniform.

    Parameters
    ----------
    n : int
        How many points, at least 2. Each class gets half; class 0 the odd one.
    noise : float
        Standard deviation of the normal noise on both coordinates.
    rng : numpy.random.Generator
        The same generator state gives the same points.

    Returns
    -------
    x : ndarray of float64 (n, 2)
    y : ndarray of int64 (n,)
        0 or 1, in random order.

    Raises
    ------
    TypeError
        If `n`, `noise` or `rng` is of another kind.
    ValueError
        If `n` < 2 or `noise` is negative, NaN or infinite.

    Notes
    -----
    As scikit-learn's ``make_moons``, except that there the angles are evenly spaced.
    """
    _check("two_moons", n, noise, rng)
    y = _labels(n)
    angle = rng.uniform(0, np.pi, n)
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)  # (n, 2)
    x = np.where(y[:, None] == 0, upper, [1.0, 0.5] - upper)
    return _noisy(x, y, noise, rng)


def rings(n, noise=0.05, *, rng):
    """Two circles around (0, 0): class 0 of radius 1, class 1 of radius 2.

    Angles are uniform. Parameters, returns (x (n, 2), y (n,)) and errors as for
    `two_moons`.
    """
    _check("rings", n, noise, rng)
    y = _labels(n)
    angle = rng.uniform(0, 2 * np.pi, n)
    radius = 1 + y
    x = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return _noisy(x, y, noise, rng)


def spirals(n, noise=0.1, *, rng):
    """Two spiral arms of one and a half turns, from (0, 0) out to radius 3.

    The arm of class 0 at angle t ∈ [0, 3π] has radius t/π; class 1 is the same arm
    turned by π. t² is uniform, so that points lie about evenly along the arm.
    Parameters, returns (x (n, 2), y (n,)) and errors as for `two_moons`.
    """
    _check("spirals", n, noise, rng)
    y = _labels(n)
    t = 3 * np.pi * np.sqrt(rng.uniform(0, 1, n))
    angle = t + np.pi * y
    x = t[:, None] / np.pi * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return _noisy(x, y, noise, rng)


def curve(n, noise=0.1, *, rng):
    """Points near the sine curve y = sin(πx) over −1 ≤ x ≤ 1, for regression.

    Parameters
    ----------
    n : int
        How many points, at least 2.
    noise : float
        Standard deviation of the normal noise on y.
    rng : numpy.random.Generator
        The same generator state gives the same points.

    Returns
    -------
    x : ndarray of float64 (n, 1)
        Uniform, in ascending order.
    y : ndarray of float64 (n,)

    Raises
    ------
    TypeError, ValueError
        As `two_moons`.
    """
    _check("curve", n, noise, rng)
    x = np.sort(rng.uniform(-1, 1, n))
    y = np.sin(np.pi * x) + noise * rng.standard_normal(n)
    return x[:, None], y


def _labels(n):
    return (np.arange(n) >= (n + 1) // 2).astype(np.int64)


def _noisy(x, y, noise, rng):
    order = rng.permutation(len(y))
    return (x + noise * rng.standard_normal(x.shape))[order], y[order]


def _check(name, n, noise, rng):
    if isinstance(n, bool) or not isinstance(n, Integral):
        raise TypeError(f"{name}: n must be a whole number, not {n!r}; try 200")
    if n < 2:
        raise ValueError(f"{name}: n must be at least 2, not {n}; try 200")
    if isinstance(noise, bool) or not isinstance(noise, Real):
        raise TypeError(f"{name}: noise must be a number, not {noise!r}; try 0.1")
    if not 0 <= noise < np.inf:
        raise ValueError(
            f"{name}: noise is a standard deviation, so at least 0 and finite, "
            f"not {noise}; try 0.1"
        )
    if not isinstance(rng, np.random.Generator):
        raise TypeError(
            f"{name}: rng must be a numpy.random.Generator, not {rng!r}; "
            "try rng=numpy_generator(0)"
        )
