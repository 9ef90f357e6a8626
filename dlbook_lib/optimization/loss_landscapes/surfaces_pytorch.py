"""The surfaces in PyTorch: only heights are written, autograd derives the rest."""

import torch
from torch import cos, sigmoid, tanh

__all__ = ["LANDSCAPES", "Landscape"]


class Landscape:
    """As in scratch: heights (...), gradients (..., 2), Hessians (..., 2, 2)."""

    def __init__(self, value, slopes, curvatures, start, minima=()):
        self.value, self.slopes, self.curvatures = value, slopes, curvatures
        self.start, self.minima = start, minima

    def coordinates(self, point):
        """As in scratch: (..., 2) to (...) and (...)."""
        return point.unbind(-1)

    def __call__(self, point):
        """As in scratch: (..., 2) to (...)."""
        return self.value(*self.coordinates(point))

    def gradient(self, point):
        """As in scratch: (..., 2) to (..., 2)."""
        return torch.stack(self.slopes(*self.coordinates(point)), dim=-1)

    def hessian(self, point):
        """As in scratch: (..., 2) to (..., 2, 2)."""
        xx, xy, yy = self.curvatures(*self.coordinates(point))
        rows = torch.stack([xx, xy], dim=-1), torch.stack([xy, yy], dim=-1)
        return torch.stack(rows, dim=-2)


def _slopes(f):
    """The first derivatives of f(x, y), entry by entry, with their own graph."""

    def derivatives(x, y):
        x, y = (z if z.requires_grad else z.detach().requires_grad_() for z in (x, y))
        with torch.enable_grad():
            height = f(x, y).sum()
            return torch.autograd.grad(
                height, (x, y), create_graph=True, materialize_grads=True
            )

    return derivatives


def _curvatures(f):
    """The second derivatives of f(x, y), by xx, xy and yy."""
    slopes = _slopes(f)

    def derivatives(x, y):
        xx, xy = _slopes(lambda x, y: slopes(x, y)[0])(x, y)
        return xx, xy, _slopes(lambda x, y: slopes(x, y)[1])(x, y)[1]

    return derivatives


def _landscape(value, start, *minima):
    return Landscape(value, _slopes(value), _curvatures(value), start, minima)


LANDSCAPES = {
    "bowl": _landscape(lambda x, y: (x**2 + y**2) / 2, (2.0, 1.0), (0.0, 0.0)),
    "ravine": _landscape(lambda x, y: (x**2 + 100 * y**2) / 2, (2.0, 1.0), (0.0, 0.0)),
    "rosenbrock": _landscape(
        lambda x, y: (1 - x) ** 2 + 100 * (y - x**2) ** 2, (-1.2, 1.0), (1.0, 1.0)
    ),
    "saddle": _landscape(lambda x, y: x**2 - y**2, (1.0, 1e-3)),
    "monkey_saddle": _landscape(lambda x, y: x**3 - 3 * x * y**2, (1.0, 1e-3)),
    "two_layers": _landscape(
        lambda x, y: (x * y - 1) ** 2 / 2,
        (0.1, -0.1),
        (1.0, 1.0),
        (-1.0, -1.0),
        (2.0, 0.5),
    ),
    "plateau": _landscape(
        lambda x, y: ((sigmoid(x + y) - 1) ** 2 + sigmoid(y - x) ** 2) / 2,
        (-6.0, 0.5),
    ),
    "cliff": _landscape(
        lambda x, y: (x**2 + y**2) / 20 + 5 * (1 + tanh(10 * (x - 1))),
        (1.4, 1.0),
        (0.0, 0.0),
    ),
    "ridge": _landscape(
        lambda x, y: (x**2 + y**2) / 10 + 4 * torch.exp(-2 * (x - 1.5) ** 2 - y**2 / 2),
        (3.0, 0.1),
    ),
    "beale": _landscape(
        lambda x, y: (
            (1.5 - x + x * y) ** 2
            + (2.25 - x + x * y**2) ** 2
            + (2.625 - x + x * y**3) ** 2
        ),
        (1.0, 1.5),
        (3.0, 0.5),
    ),
    "himmelblau": _landscape(
        lambda x, y: (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2, (0.0, 0.0), (3.0, 2.0)
    ),
    "rastrigin": _landscape(
        lambda x, y: (
            20 + (x**2 + y**2) - 10 * (cos(2 * torch.pi * x) + cos(2 * torch.pi * y))
        ),
        (2.2, -1.8),
        (0.0, 0.0),
    ),
}
"""The surfaces of scratch, by the same names."""
