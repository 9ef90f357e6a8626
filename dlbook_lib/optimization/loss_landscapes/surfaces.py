"""Surfaces over the plane, small enough to plot, each with a hazard of its own.

A `Landscape` has a height, a gradient and a Hessian at every point, or at many points
at once; `LANDSCAPES` holds them by name.
"""

import numpy as np

from dlbook_lib.common.checks import as_float, require
from dlbook_lib.feedforward.linear_models.scratch import sigmoid


class Landscape:
    """A surface over the plane, with its derivatives written by hand.

    Parameters
    ----------
    value, slopes, curvatures : callable
        Of the coordinates x, y, both (...): the height (...), the pair of its first
        derivatives, and the three second ones, by xx, xy and yy.
    start : (float, float)
        Where a walk begins that meets the hazard.
    minima : tuple of (float, float)
        The lowest points that are known; empty where there is none.

    >>> valley = LANDSCAPES["rosenbrock"]
    >>> valley(np.array([-1.0, 1.0])), valley.gradient(np.array([-1.0, 1.0]))
    (np.float64(4.0), array([-4.,  0.]))
    """

    def __init__(self, value, slopes, curvatures, start, minima=()):
        for name, f in [
            ("value", value),
            ("slopes", slopes),
            ("curvatures", curvatures),
        ]:
            sentence = f"{name} must be a function of x and y, not {f!r}"
            require(callable(f), sentence, TypeError)
        self.value, self.slopes, self.curvatures = value, slopes, curvatures
        self.start, self.minima = start, minima

    def coordinates(self, point):
        """x (...) and y (...) of points (..., 2)."""
        point = as_float(point, "point", empty=True)
        require(
            point.ndim and point.shape[-1] == 2,
            f"point must be (..., 2), x and y in the last axis, not {point.shape}",
        )
        return point[..., 0], point[..., 1]

    def __call__(self, point):
        """Heights (...) at points (..., 2)."""
        return self.value(*self.coordinates(point))

    def gradient(self, point):
        """Gradients (..., 2) at points (..., 2)."""
        x, y = self.coordinates(point)
        return np.stack(np.broadcast_arrays(*self.slopes(x, y)), axis=-1)

    def hessian(self, point):
        """Hessians (..., 2, 2) at points (..., 2)."""
        x, y = self.coordinates(point)
        xx, xy, yy, _ = np.broadcast_arrays(*self.curvatures(x, y), x)
        rows = np.stack([xx, xy], axis=-1), np.stack([xy, yy], axis=-1)
        return np.stack(rows, axis=-2).astype(x.dtype, copy=False)


def _plateau_slopes(x, y):
    """Of one sigmoid unit's squared error, by weight x (...) and bias y (...)."""
    u, v = sigmoid(x + y), sigmoid(y - x)
    up, down = -u * sigmoid(-x - y) ** 2, v**2 * sigmoid(x - y)
    return up - down, up + down


def _plateau_curvatures(x, y):
    """The second derivatives of the same, at x (...) and y (...)."""
    u, v = sigmoid(x + y), sigmoid(y - x)
    up = u * sigmoid(-x - y) ** 2 * (3 * u - 1)
    down = v**2 * sigmoid(x - y) * (2 - 3 * v)
    return up + down, up - down, up + down


def _cliff_slopes(x, y):
    """Of a gentle bowl with a wall at x = 1, at x (...) and y (...)."""
    above, below = sigmoid(20 * (x - 1)), sigmoid(20 * (1 - x))
    return x / 10 + 200 * above * below, y / 10


def _cliff_curvatures(x, y):
    """The second derivatives of the same, at x (...) and y (...)."""
    above, below = sigmoid(20 * (x - 1)), sigmoid(20 * (1 - x))
    return 0.1 + 4000 * above * below * (below - above), 0.0, 0.1


def _ridge(x, y):
    """The height at x (...) and y (...) of a wall across the way down."""
    return 4 * np.exp(-2 * (x - 1.5) ** 2 - y**2 / 2)


def _beale_slopes(x, y):
    """Of Beale's sum of three squares, at x (...) and y (...)."""
    a, b, c = (t - x + x * y**k for k, t in enumerate((1.5, 2.25, 2.625), 1))
    by_x = a * (y - 1) + b * (y**2 - 1) + c * (y**3 - 1)
    return 2 * by_x, 2 * x * (a + 2 * b * y + 3 * c * y**2)


def _beale_curvatures(x, y):
    """The second derivatives of the same, at x (...) and y (...)."""
    a, b, c = (t - x + x * y**k for k, t in enumerate((1.5, 2.25, 2.625), 1))
    xx = (y - 1) ** 2 + (y**2 - 1) ** 2 + (y**3 - 1) ** 2
    by_y = x * (1 + 4 * y**2 + 9 * y**4) + 2 * b + 6 * c * y
    xy = a + 2 * b * y + 3 * c * y**2
    xy = xy + x * (y - 1 + 2 * y * (y**2 - 1) + 3 * y**2 * (y**3 - 1))
    return 2 * xx, 2 * xy, 2 * x * by_y


LANDSCAPES = {
    "bowl": Landscape(
        lambda x, y: (x**2 + y**2) / 2,
        lambda x, y: (x, y),
        lambda x, y: (1.0, 0.0, 1.0),
        start=(2.0, 1.0),
        minima=((0.0, 0.0),),
    ),
    "ravine": Landscape(  # condition number 100
        lambda x, y: (x**2 + 100 * y**2) / 2,
        lambda x, y: (x, 100 * y),
        lambda x, y: (1.0, 0.0, 100.0),
        start=(2.0, 1.0),
        minima=((0.0, 0.0),),
    ),
    "rosenbrock": Landscape(
        lambda x, y: (1 - x) ** 2 + 100 * (y - x**2) ** 2,
        lambda x, y: (2 * (x - 1) - 400 * x * (y - x**2), 200 * (y - x**2)),
        lambda x, y: (2 - 400 * (y - 3 * x**2), -400 * x, 200.0),
        start=(-1.2, 1.0),
        minima=((1.0, 1.0),),
    ),
    "saddle": Landscape(
        lambda x, y: x**2 - y**2,
        lambda x, y: (2 * x, -2 * y),
        lambda x, y: (2.0, 0.0, -2.0),
        start=(1.0, 1e-3),
    ),
    "monkey_saddle": Landscape(  # three ways down; its Hessian vanishes at 0
        lambda x, y: x**3 - 3 * x * y**2,
        lambda x, y: (3 * (x**2 - y**2), -6 * x * y),
        lambda x, y: (6 * x, -6 * y, -6 * x),
        start=(1.0, 1e-3),
    ),
    "two_layers": Landscape(  # a linear network of two weights, to be 1 together
        lambda x, y: (x * y - 1) ** 2 / 2,
        lambda x, y: ((x * y - 1) * y, (x * y - 1) * x),
        lambda x, y: (y**2, 2 * x * y - 1, x**2),
        start=(0.1, -0.1),
        minima=((1.0, 1.0), (-1.0, -1.0), (2.0, 0.5)),
    ),
    "plateau": Landscape(  # σ(wx + b) is to be 1 at x = 1, and 0 at x = -1
        lambda x, y: ((sigmoid(x + y) - 1) ** 2 + sigmoid(y - x) ** 2) / 2,
        _plateau_slopes,
        _plateau_curvatures,
        start=(-6.0, 0.5),
    ),
    "cliff": Landscape(
        lambda x, y: (x**2 + y**2) / 20 + 10 * sigmoid(20 * (x - 1)),
        _cliff_slopes,
        _cliff_curvatures,
        start=(1.4, 1.0),
        minima=((0.0, 0.0),),  # to eight digits
    ),
    "ridge": Landscape(  # the straight way from the start is blocked
        lambda x, y: (x**2 + y**2) / 10 + _ridge(x, y),
        lambda x, y: (
            x / 5 - 4 * (x - 1.5) * _ridge(x, y),
            y / 5 - y * _ridge(x, y),
        ),
        lambda x, y: (
            0.2 + (16 * (x - 1.5) ** 2 - 4) * _ridge(x, y),
            4 * (x - 1.5) * y * _ridge(x, y),
            0.2 + (y**2 - 1) * _ridge(x, y),
        ),
        start=(3.0, 0.1),
    ),
    "beale": Landscape(  # a plateau, a narrow valley and steep corners
        lambda x, y: sum(
            (t - x + x * y**k) ** 2 for k, t in enumerate((1.5, 2.25, 2.625), 1)
        ),
        _beale_slopes,
        _beale_curvatures,
        start=(1.0, 1.5),
        minima=((3.0, 0.5),),
    ),
    "himmelblau": Landscape(  # four minima, equally good
        lambda x, y: (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2,
        lambda x, y: (
            4 * x * (x**2 + y - 11) + 2 * (x + y**2 - 7),
            2 * (x**2 + y - 11) + 4 * y * (x + y**2 - 7),
        ),
        lambda x, y: (12 * x**2 + 4 * y - 42, 4 * (x + y), 12 * y**2 + 4 * x - 26),
        start=(0.0, 0.0),
        minima=((3.0, 2.0),),
    ),
    "rastrigin": Landscape(  # a bowl with a minimum near every whole number
        lambda x, y: (
            20 + x**2 + y**2 - 10 * (np.cos(2 * np.pi * x) + np.cos(2 * np.pi * y))
        ),
        lambda x, y: tuple(2 * z + 20 * np.pi * np.sin(2 * np.pi * z) for z in (x, y)),
        lambda x, y: (
            2 + 40 * np.pi**2 * np.cos(2 * np.pi * x),
            0.0,
            2 + 40 * np.pi**2 * np.cos(2 * np.pi * y),
        ),
        start=(2.2, -1.8),
        minima=((0.0, 0.0),),
    ),
}
"""Surfaces by name. Rosenbrock 1960; Beale 1958; Himmelblau 1972; Rastrigin 1974."""
