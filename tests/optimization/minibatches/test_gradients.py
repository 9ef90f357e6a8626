"""Gradients of few examples against those of all."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator, torch_generator
from dlbook_lib.optimization.minibatches import gradients, scratch
from dlbook_lib.optimization.minibatches import gradients_pytorch as twin
from dlbook_lib.optimization.minibatches import pytorch as surrogates
from tests.optimization.minibatches.test_losses import close, kinds, seeds
from tests.optimization.minibatches.test_minibatches import problem, to_torch


@given(seeds, st.sampled_from(sorted(scratch.SURROGATES)), st.integers(1, 13), kinds)
def test_the_full_gradient_is_the_mean_of_all(seed, loss, size, dtype):
    params, x, y = problem(seed=seed, dtype=dtype)
    objective = partial(scratch.linear_objective, loss=loss)
    each = gradients.per_example_gradients(objective, params, x, y)
    rows = gradients.linear_gradients_by_rows(params, x, y, loss)
    full = gradients.full_gradient(objective, params, x, y, size)
    at_once = objective(params, x, y)[1]
    low = dtype == "f4"
    for e, r, f, a in zip(each, rows, full, at_once, strict=True):
        close(e, r, low)
        close(f, a, low)
        np.testing.assert_allclose(e.mean(axis=0), f, rtol=1e-4, atol=1e-6)
        assert e.dtype == f.dtype == dtype
        if not low:
            np.testing.assert_allclose(e.mean(axis=0), f, rtol=1e-10, atol=1e-12)
    told = partial(surrogates.linear_objective, loss=loss)
    arrays = to_torch(params, x, y)
    for ours, theirs in (
        (each, twin.per_example_gradients(told, *arrays)),
        (rows, twin.linear_gradients_by_rows(*arrays, loss)),
        (full, twin.full_gradient(told, *arrays, size)),
    ):
        for g, t in zip(ours, theirs, strict=True):
            close(g, t, low)


@given(seeds, st.integers(1, 8), st.integers(1, 3), st.integers(1, 8))
def test_standard_error(seed, count, size, n):
    g = numpy_generator(seed).normal(size=(count, size))
    error = gradients.standard_error(g, n)
    variance = sum(np.var(g[:, j]) for j in range(size))
    np.testing.assert_allclose(error, np.sqrt(variance / n), rtol=1e-12)
    np.testing.assert_allclose(twin.standard_error(torch.tensor(g), n), error)
    half = gradients.standard_error(g, 4 * n)
    np.testing.assert_allclose(half, error / 2, rtol=1e-12)
    if n <= count:
        once = gradients.standard_error(g, n, False)
        np.testing.assert_allclose(twin.standard_error(torch.tensor(g), n, False), once)
        assert gradients.standard_error(g, count, False) == 0
        assert gradients.standard_error(g, 1, False) == gradients.standard_error(g, 1)


@pytest.mark.parametrize("replace", [True, False])
def test_the_noise_that_is_measured_is_the_standard_error(replace):
    rng = numpy_generator(0)
    g = rng.normal(size=(60, 2)) ** 3
    for n in (1, 6, 48):
        told = gradients.standard_error(g, n, replace)
        found = gradients.gradient_noise(g, n, 1000, replace, rng=rng)
        assert abs(found / told - 1) < 0.1
        generator = torch_generator(n)
        theirs = twin.gradient_noise(torch.tensor(g), n, 1000, replace, rng=generator)
        assert abs(theirs / told - 1) < 0.1


@pytest.fixture
def same_batches(monkeypatch):
    """The surrogates draws the batches that scratch draws."""

    def drawn(*args, rng):
        rows = gradients.random_batches(*args, rng=numpy_generator(7))
        return (torch.tensor(row) for row in rows)

    monkeypatch.setattr(twin, "random_batches", drawn)
    return {"rng": numpy_generator(7)}


def test_noise_twins(same_batches):
    g = numpy_generator(0).normal(size=(20, 3))
    ours = gradients.gradient_noise(g, 5, 30, **same_batches)
    np.testing.assert_allclose(
        twin.gradient_noise(torch.tensor(g), 5, 30, rng=None),
        ours,
        rtol=1e-10,
    )


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4), st.booleans())
def test_random_batches(count, n, draws, replace):
    n = n if replace else min(n, count)
    for module, rng in ((gradients, numpy_generator(0)), (twin, torch_generator(0))):
        rows = list(module.random_batches(count, n, draws, replace, rng=rng))
        assert len(rows) == draws
        for row in np.asarray([np.asarray(r) for r in rows]):
            assert row.shape == (n,)
            assert 0 <= row.min() <= row.max() < count
            assert replace or len(set(row.tolist())) == n


@given(seeds, kinds)
def test_logistic_hessians(seed, dtype):
    params, x, y = problem(3, seed=seed, dtype=dtype)
    ours = gradients.logistic_hessians(params, x, y)
    close(
        ours,
        twin.logistic_hessians(*to_torch(params, x, y)),
        dtype == "f4",
    )
    point = torch.tensor(np.r_[params[0], params[1]].astype(float))

    def cost(row, sign, point):
        return surrogates.logistic_loss(sign * (row @ point[:-1] + point[-1]))

    for row, sign, h in zip(torch.tensor(x).double(), y.tolist(), ours, strict=True):
        told = torch.autograd.functional.hessian(partial(cost, row, sign), point)
        np.testing.assert_allclose(h, told, atol=1e-6 if dtype == "f4" else 1e-10)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("damping", [0.0, 0.1])
def test_newton_noise_twins(same_batches, known, damping):
    params, x, y = problem(60)
    g = np.column_stack(gradients.linear_gradients_by_rows(params, x, y))
    h = gradients.logistic_hessians(params, x, y)
    h = h.mean(axis=0, keepdims=True) if known else h
    ours = gradients.newton_noise(g, h, 20, 15, damping, **same_batches)
    arrays = torch.tensor(g), torch.tensor(h)
    told = twin.newton_noise(*arrays, 20, 15, damping, rng=None)
    np.testing.assert_allclose(ours, told, rtol=1e-9)
    # the formula, batch by batch
    ridge = damping * np.eye(4)
    full = g.mean(axis=0)
    step = np.linalg.inv(h.mean(axis=0) + ridge) @ full
    errors = []
    for row in gradients.random_batches(60, 20, 15, rng=numpy_generator(7)):
        local = h[0] if known else h[row].mean(axis=0)
        newton = np.linalg.inv(local + ridge) @ g[row].mean(axis=0)
        away = g[row].mean(axis=0) - full, newton - step
        errors.append([(away[0] ** 2).sum(), (away[1] ** 2).sum()])
    naive = np.sqrt(np.mean(errors, axis=0))
    naive /= [np.linalg.norm(full), np.linalg.norm(step)]
    np.testing.assert_allclose(ours, naive, rtol=1e-9)


def test_an_ill_conditioned_hessian_needs_more_examples():
    rng = numpy_generator(0)
    g = np.array([[1.0, 0.1]]) + rng.normal(size=(2000, 2)) * [0.5, 0.5]
    found = {}
    for kappa in (1.0, 100.0):
        h = np.diag([1.0, 1 / kappa])[None]
        found[kappa] = gradients.newton_noise(g, h, 50, 200, rng=numpy_generator(1))
    assert found[1.0][0] == found[100.0][0] == pytest.approx(found[1.0][1])
    assert found[100.0][1] > 4 * found[100.0][0]
    more = gradients.newton_noise(g, h, 5000, 200, rng=numpy_generator(2))
    assert 7 < found[100.0][1] / more[1] < 14  # a hundredfold batch, a tenth the error
