"""Second derivatives of an operation or a network, held against torch's.

a, b = leaves([x, weight])
same_twice(f(*a), torch_f(*b), a, b)
"""

import numpy as np
import torch

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.autodiff.engine import grad, tensor


def leaves(arrays):
    """The arrays (...) as leaves of the engine and of torch; None stays None."""
    ours = [None if a is None else tensor(a, requires_grad=True) for a in arrays]
    theirs = [
        None if a is None else torch.tensor(a, requires_grad=True) for a in arrays
    ]
    return ours, theirs


def same_twice(y, z, ours, theirs, tolerance=1e-10):
    """Two derivatives of Σ d (y² + y), some d, for outputs `y` and torch's `z` (...).

    Compared are the gradient, the product of the Hessian with a vector, and the
    gradient of a gradient penalty, with respect to leaves (...) of both sides.
    """
    pairs = [p for p in zip(ours, theirs, strict=True) if p[0] is not None]
    ours, theirs = zip(*pairs, strict=True)
    rng = numpy_generator(1)
    d = rng.normal(size=y.shape).astype(y.dtype)
    along = [rng.normal(size=t.shape).astype(t.dtype) for t in ours]
    _same([y], [z], tolerance)
    slopes = grad(((y * y + y) * d).sum(), ours, create_graph=True)
    told = torch.autograd.grad(
        ((z * z + z) * torch.tensor(d)).sum(), theirs, create_graph=True
    )
    _same(slopes, told, tolerance)
    both = zip(slopes, along, strict=True), zip(told, along, strict=True)
    product = sum((g * v).sum() for g, v in both[0])
    expected = sum((g * torch.tensor(v)).sum() for g, v in both[1])
    penalty, theirs_too = (sum((g * g).sum() for g in each) for each in (slopes, told))
    for mine, other in ((product, expected), (penalty, theirs_too)):
        found = grad(mine, ours, retain_graph=True, allow_unused=True)
        wanted = torch.autograd.grad(
            other, theirs, retain_graph=True, allow_unused=True
        )
        _same(found, wanted, tolerance)


def _same(found, wanted, tolerance):
    """Equal to the precision of the largest number; None is as good as zeros."""
    for ours, theirs in zip(found, wanted, strict=True):
        if theirs is None:
            assert ours is None or not ours.data.any()
            continue
        expected = theirs.detach().numpy()
        got = np.zeros_like(expected) if ours is None else ours.data
        assert got.shape == expected.shape
        assert got.dtype == expected.dtype
        scale = max(1.0, abs(expected).max(initial=0.0))
        np.testing.assert_allclose(got / scale, expected / scale, 0, tolerance)
