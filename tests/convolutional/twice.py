"""Derivatives of functions and of Modules with the same weights, as torch's: the first,
by the backward functions, and the second, by the definitions."""

import numpy as np
import torch

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.autodiff.engine import grad
from tests.feedforward.twice import leaves, same_twice


def functions_agree_twice(ours, theirs, arrays, tolerance=1e-10):
    """For functions of arrays (...), with respect to all that are not None."""
    a, b = leaves(arrays)
    y, z = ours(*a), theirs(*b)
    pairs = [each for each in zip(a, b, strict=True) if each[0] is not None]
    same_once(y, z, *zip(*pairs, strict=True), tolerance)
    same_twice(y, z, a, b, tolerance)


def modules_agree_twice(ours, twin, x, *others, tolerance=1e-10):
    """For Modules, with respect to the input `x` (...) and all parameters; `others`
    are handed to both as they are."""
    ours.load_state_dict(twin.state_dict())
    (a,), (b,) = leaves([x])
    mine, other = [a, *ours.parameters()], [b, *twin.parameters()]
    y, z = ours(a, *others), twin(b, *others)
    same_once(y, z, mine, other, tolerance)
    same_twice(y, z, mine, other, tolerance)


def same_once(y, z, ours, theirs, tolerance):
    """First derivatives of `y` and `z` (...), without a graph of the backward pass."""
    dy = numpy_generator(2).normal(size=y.shape)
    found = grad(y, ours, dy, retain_graph=True)
    expected = torch.autograd.grad(z, theirs, torch.tensor(dy), retain_graph=True)
    for g, h in zip(found, expected, strict=True):
        scale = max(1.0, abs(g.data).max(initial=0))
        np.testing.assert_allclose(g.data / scale, h / scale, rtol=0, atol=tolerance)
