"""The twins agree to 1e-10 in float64, and with torch's own where it has the thing."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import softshrink

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.regularization.norm_penalties import projections, scratch
from dlbook_lib.regularization.norm_penalties import projections_pytorch as balls
from dlbook_lib.regularization.norm_penalties import pytorch as twin

few = settings(max_examples=25)
seeds = st.integers(0, 10_000)
shapes = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple)
amount = st.sampled_from([0.0, 0.1, 0.7, 2.0])


def same(ours, theirs, atol=1e-10, rtol=1e-10):
    theirs = theirs.detach().numpy()
    assert np.shape(ours) == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol)


def gradient(f, dy, z):
    z = torch.tensor(z, requires_grad=True)
    return torch.autograd.grad(f(z), z, torch.as_tensor(dy, dtype=z.dtype))[0]


def compare(name, z, dy=None, theirs=None, close=(), **options):
    """Value and gradient of ours against the twin, or against `theirs`."""
    ours, copy = (scratch, twin) if name in vars(twin) else (projections, balls)
    f = partial(getattr(ours, name), **options)
    theirs = theirs or partial(getattr(copy, name), **options)
    dy = (
        np.cos(np.arange(z.size)).reshape(z.shape).astype(z.dtype) if dy is None else dy
    )
    same(f(z), theirs(torch.tensor(z)), **dict(close))
    f_backward = partial(getattr(ours, f"{name}_backward"), **options)
    same(f_backward(dy, z), gradient(theirs, dy, z), **dict(close))


def numbers(seed, shape, kinks=False):
    """With a row of 0; with `kinks` also entries of 0 and ties.

    A length that is a radius but for rounding has two gradients, so ties are for maps
    that look at each entry alone.
    """
    z = 2 * numpy_generator(seed).normal(size=shape)
    z[0] *= seed % 2
    return z.round(1) if kinks else z


FLOAT32 = {"rtol": 1e-5, "atol": 1e-6}
TORCH = {
    "l1_penalty": lambda z, alpha: alpha * torch.linalg.vector_norm(z, 1),
    "l2_penalty": lambda z, alpha: alpha / 2 * torch.linalg.vector_norm(z) ** 2,
}


@given(seeds, shapes, amount, st.data())
def test_penalties(seed, shape, alpha, data):
    z = numbers(seed, shape)
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    for name in ("l1_penalty", "l2_penalty"):
        for theirs in (None, partial(TORCH[name], alpha=alpha)):
            compare(name, z, 1.5, theirs, alpha=alpha)
            low = z.astype("f4")
            compare(name, low, 1.5, theirs, FLOAT32, alpha=alpha)
    norms = partial(torch.linalg.vector_norm, dim=dim)
    compare("group_penalty", z, 1.5, alpha=alpha, dim=dim)
    compare("group_penalty", z, 1.5, lambda z: norms(z).sum(), dim=dim)
    close = {"rtol": 1e-4, "atol": 1e-5}
    compare("group_penalty", z.astype("f4"), 1.5, None, close, alpha=alpha, dim=dim)


@given(seeds, shapes, amount, st.data())
def test_maps(seed, shape, amount, data):
    z, ties = numbers(seed, shape), numbers(seed, shape, kinks=True)
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    for dtype, close in (("f8", {}), ("f4", {"rtol": 1e-4, "atol": 1e-5})):
        a, b = z.astype(dtype), ties.astype(dtype)
        for theirs in (None, partial(softshrink, lambd=amount)):
            compare("soft_threshold", b, None, theirs, threshold=amount)
        compare("l2_shrink", b, close=close, threshold=amount)
        compare("group_soft_threshold", a, close=close, threshold=amount, dim=dim)
        compare("project_l2", a, close=close, radius=amount)
        compare("project_l2", a, close=close, radius=amount, dim=dim)
        compare("project_l1", a, close=close, radius=amount)
    compare("soft_threshold", ties, threshold=abs(numbers(seed + 1, shape, kinks=True)))


@given(seeds, st.lists(st.integers(1, 3), min_size=2, max_size=4), amount)
def test_max_norm(seed, shape, maxnorm):
    weight = numbers(seed, shape)
    compare("max_norm", weight, maxnorm=maxnorm)
    renorm = partial(torch.renorm, p=2, dim=0, maxnorm=maxnorm)
    close = {"rtol": 1e-5, "atol": 1e-5}
    same(projections.max_norm(weight, maxnorm), renorm(torch.tensor(weight)), **close)
    dy = np.cos(np.arange(weight.size)).reshape(shape)
    ours = projections.max_norm_backward(dy, weight, maxnorm)
    same(ours, gradient(renorm, dy, weight), **close)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("dtype", "huge"), [("f4", 1e30), ("f8", 1e250)])
def test_lengths_of_huge_and_tiny_numbers(dtype, huge, sign):
    z = np.array([[3, -4, 0], [0, 0, 0]], dtype) * np.dtype(dtype).type(huge**sign)
    close = {"rtol": 1e-6, "atol": 0}
    for dim in (None, 0, 1):
        same(projections.length(z, dim), balls.length(torch.tensor(z), dim), **close)
    same(
        scratch.group_penalty_backward(1.0, z),
        gradient(twin.group_penalty, 1.0, z),
        **close,
    )
    same(projections.project_l2(z, 1.0, 1), balls.project_l2(torch.tensor(z), 1.0, 1))
    same(projections.project_l1(z, 1.0), balls.project_l1(torch.tensor(z), 1.0))


def test_numbers_that_are_none():
    z = np.array([np.nan, np.inf, -np.inf, 0.0])
    with np.errstate(all="raise"):
        for threshold in (0.0, 1.0):
            compare("soft_threshold", z, threshold=threshold)
            theirs = partial(softshrink, lambd=threshold)
            compare("soft_threshold", z, theirs=theirs, threshold=threshold)
        for name in ("l1_penalty", "l2_penalty"):
            compare(name, z[1:], 1.0)
            assert np.isnan(getattr(scratch, name)(z))
            assert np.isnan(getattr(scratch, f"{name}_backward")(1.0, z)[0])
    for numbers_ in (z[:2], z[1:]):
        same(projections.length(numbers_), balls.length(torch.tensor(numbers_)))


@few
@given(seeds, st.integers(1, 9), st.integers(1, 5), st.integers(1, 3))
def test_regressions(seed, n, d, out):
    rng = numpy_generator(seed)
    x, y = rng.normal(size=(n, d)), rng.normal(size=(n, out))
    tensors = torch.tensor(x), torch.tensor(y)
    for a, b in zip(scratch.moments(x, y), twin.moments(*tensors), strict=True):
        same(a, b)
    for name in ("ridge", "lasso_cd"):
        ours, theirs = getattr(scratch, name), getattr(twin, name)
        same(ours(x, y, 0.1), theirs(*tensors, 0.1), atol=1e-9)
    for name in ("Ridge", "Lasso"):
        ours = getattr(scratch, name)(0.2).fit(x, y)
        theirs = getattr(twin, name)(0.2).fit(*tensors)
        same(ours.weight, theirs.weight, atol=1e-9)
        same(ours.bias, theirs.bias, atol=1e-9)
        same(ours.predict(x), theirs.predict(tensors[0]), atol=1e-9)


@given(seeds, st.integers(1, 4), amount)
def test_quadratic_model(seed, d, alpha):
    rng = numpy_generator(seed)
    a, optimum = rng.normal(size=(d + 2, d)), rng.normal(size=d)
    hessian, alpha = a.T @ a, alpha + 0.01
    tensors = torch.tensor(hessian), torch.tensor(optimum)
    ours = scratch.l2_solution(hessian, optimum, alpha)
    same(ours, twin.l2_solution(*tensors, alpha), atol=1e-8)
    eigenvalue = np.linalg.eigvalsh(hessian)
    same(
        scratch.shrinkage(eigenvalue, alpha),
        twin.shrinkage(torch.tensor(eigenvalue), alpha),
    )


@pytest.mark.parametrize(("dtype", "close"), [("f8", {}), ("f4", FLOAT32)])
def test_fifty_decay_steps_equal_those_of_torch(dtype, close):
    rng = numpy_generator(0)
    w, pulls = rng.normal(size=(3, 4)), rng.normal(size=(50, 3, 4))
    w, pulls = w.astype(dtype), pulls.astype(dtype)
    theirs = torch.nn.Parameter(torch.tensor(w))
    twins = torch.tensor(w)
    optimizer = torch.optim.SGD([theirs], lr=0.1, weight_decay=0.3)
    for pull in pulls:
        w = scratch.decay_step(w, pull, lr=0.1, alpha=0.3)
        twins = twin.decay_step(twins, torch.tensor(pull), lr=0.1, alpha=0.3)
        theirs.grad = torch.tensor(pull)
        optimizer.step()
        same(w, theirs, **close)
        same(w, twins, **close)


@pytest.mark.parametrize("penalty", scratch.PENALTIES)
def test_steps_and_costs_with_each_penalty(penalty):
    w, pull = numpy_generator(0).normal(size=(2, 3, 4))
    ours, theirs = w, torch.tensor(w)
    options = {"lr": 0.1, "alpha": 0.7, "penalty": penalty}
    for _ in range(50):
        ours = scratch.proximal_step(ours, pull, **options)
        theirs = twin.proximal_step(theirs, torch.tensor(pull), **options)
        same(ours, theirs)
    total = scratch.penalized(lambda w, b: ((w * b).sum(), [b, w]), [0.3, 0.0], penalty)
    cost, gradients = total(w, pull)
    leaves = [torch.tensor(a, requires_grad=True) for a in (w, pull)]
    total = twin.penalized(lambda w, b: (w * b).sum(), [0.3, 0.0], penalty)
    found = total(*leaves)
    same(cost, found)
    for a, b in zip(gradients, torch.autograd.grad(found, leaves), strict=True):
        same(a, b)


def test_one_step_of_a_network_with_decay_on_weights_alone():
    """Parameter groups of torch, against alphas of which one is 0."""
    w, b, x = (numpy_generator(i).normal(size=s) for i, s in enumerate([(2, 3), 2, 3]))
    layer = torch.nn.Linear(3, 2).double()
    layer.load_state_dict({"weight": torch.tensor(w), "bias": torch.tensor(b)})
    groups = [{"params": [layer.weight], "weight_decay": 0.5}, {"params": [layer.bias]}]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    layer(torch.tensor(x)).square().sum().backward()
    optimizer.step()

    def objective(w, b):
        y = w @ x + b
        return (y**2).sum(), [np.outer(2 * y, x), 2 * y]

    _, (dw, db) = scratch.penalized(objective, [0.5, 0.0])(w, b)
    same(w - 0.1 * dw, layer.weight)
    same(b - 0.1 * db, layer.bias)
