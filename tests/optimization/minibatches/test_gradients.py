"""Batches as DataLoader makes them; gradients of few examples against those of all."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, TensorDataset

from dlbook_lib.common.rng import numpy_generator, torch_generator
from dlbook_lib.optimization.minibatches import pytorch as twin
from dlbook_lib.optimization.minibatches import scratch
from tests.optimization.minibatches.test_losses import close, kinds, seeds


def problem(n=12, d=3, seed=0, dtype="f8"):
    rng = numpy_generator(seed)
    x = rng.normal(size=(n, d)).astype(dtype)
    y = np.where(x[:, 0] + rng.normal(size=n) > 0, 1.0, -1.0).astype(dtype)
    params = [rng.normal(size=d).astype(dtype), np.asarray(rng.normal(), dtype)]
    return params, x, y


def to_torch(params, *arrays):
    return [torch.tensor(p) for p in params], *map(torch.tensor, arrays)


# ---- batches -------------------------------------------------------------------------


@given(st.integers(0, 9), st.integers(1, 10), st.booleans(), st.booleans(), seeds)
def test_batches_are_those_of_dataloader(n, size, drop_last, ordered, seed):
    rng = numpy_generator(seed)
    x, y = rng.normal(size=(n, 2)), np.arange(n)
    sampler = rng.permutation(n) if ordered else None
    ours = list(scratch.minibatches([x, y], size, False, sampler, drop_last))
    data = TensorDataset(torch.tensor(x), torch.tensor(y))
    order = None if sampler is None else sampler.tolist()
    told = list(DataLoader(data, size, sampler=order, drop_last=drop_last))
    arrays = torch.tensor(x), torch.tensor(y)
    again = list(twin.minibatches(arrays, size, False, sampler, drop_last))
    assert len(ours) == len(told) == len(again)
    for batch, *others in zip(ours, told, again, strict=True):
        assert type(batch) is tuple
        for other in others:
            for a, b in zip(batch, other, strict=True):
                np.testing.assert_array_equal(a, b)
    assert len(ours) == (n // size if drop_last else -(-n // size))


@given(st.integers(1, 9), st.integers(1, 10), st.booleans())
def test_a_shuffled_epoch_has_each_example_once(n, size, drop_last):
    y = np.arange(n)
    kept = n - n % size if drop_last else n
    for module, make, rng in (
        (scratch, np.asarray, numpy_generator(1)),
        (twin, torch.tensor, torch_generator(1)),
    ):
        batches = module.minibatches([make(y)], size, True, None, drop_last, rng=rng)
        seen = [i for (batch,) in batches for i in batch.tolist()]
        assert len(seen) == len(set(seen)) == kept


def test_shuffling_differs_between_epochs_and_repeats_with_the_seed():
    y, rng = np.arange(50), numpy_generator(0)
    one, two = ([*scratch.minibatches([y], 50, True, rng=rng)] for _ in range(2))
    again = [*scratch.minibatches([y], 50, True, rng=numpy_generator(0))]
    assert (one[0][0] != two[0][0]).any()
    np.testing.assert_array_equal(one[0][0], again[0][0])


def test_a_sampler_may_repeat_and_leave_out():
    y = np.arange(5) * 10
    batches = [b.tolist() for (b,) in scratch.minibatches([y], 2, sampler=[4, 4, 0])]
    assert batches == [[40, 40], [0]]
    assert list(scratch.minibatches([y], 2, sampler=np.zeros(0, int))) == []


def test_sorted_order():
    y = np.array([2, 0, 1, 0, 2])
    order = scratch.sorted_order(y)
    np.testing.assert_array_equal(order, [1, 3, 2, 0, 4])
    np.testing.assert_array_equal(order, twin.sorted_order(torch.tensor(y)))
    (batch,) = next(scratch.minibatches([y], 2, sampler=order))
    np.testing.assert_array_equal(batch, [0, 0])


# ---- training ------------------------------------------------------------------------


@given(seeds, st.integers(1, 12), st.booleans(), st.booleans(), kinds)
def test_training_twins(seed, size, drop_last, ordered, dtype):
    params, x, y = problem(seed=seed, dtype=dtype)
    before = [p.copy() for p in params]
    sampler = scratch.sorted_order(y) if ordered else None
    how = {"lr": 0.3, "epochs": 2, "batch_size": size, "shuffle": False}
    how |= {"sampler": sampler, "drop_last": drop_last}
    objective = scratch.linear_objective
    found, losses = scratch.sgd_train(objective, params, x, y, **how)
    told, theirs = twin.sgd_train(twin.linear_objective, *to_torch(params, x, y), **how)
    low = dtype == "f4"
    for p, t in zip(found, told, strict=True):
        close(p, t, low)
    np.testing.assert_allclose(losses, theirs, rtol=1e-4 if low else 1e-10)
    for p, b in zip(params, before, strict=True):
        np.testing.assert_array_equal(p, b)


def test_a_batch_of_all_is_gradient_descent():
    params, x, y = problem()
    how = {"lr": 0.2, "epochs": 1, "batch_size": 99, "rng": numpy_generator(0)}
    found, _ = scratch.sgd_train(scratch.linear_objective, params, x, y, **how)
    full = scratch.full_gradient(scratch.linear_objective, params, x, y)
    for p, q, g in zip(found, params, full, strict=True):
        np.testing.assert_allclose(p, q - 0.2 * g, rtol=1e-12)


def test_margins_grow_on_when_no_error_is_left():
    rng = numpy_generator(0)
    x = rng.normal(size=(40, 2)) + np.repeat([[3.0, 3.0], [-3.0, -3.0]], 20, axis=0)
    y = np.repeat([1.0, -1.0], 20)
    params, smallest = [np.array([1.0, -0.5]), np.array(0.0)], []
    for _ in range(4):
        how = {"lr": 0.5, "epochs": 20, "batch_size": 8, "rng": rng}
        params, _ = scratch.sgd_train(scratch.linear_objective, params, x, y, **how)
        m = scratch.margin(x @ params[0] + params[1], y)
        assert scratch.zero_one_loss(m) == 0
        smallest.append(m.min())
    assert (np.diff(smallest) > 0).all()


def test_a_sorted_stream_forgets_the_first_class():
    _, x, y = problem(400)
    start = [np.zeros(3), np.array(0.0)]
    how = {"lr": 0.5, "epochs": 1, "batch_size": 4}
    train = partial(scratch.sgd_train, scratch.linear_objective, start, x, y, **how)
    errors = {}
    for name, (params, _) in {
        "sorted": train(shuffle=False, sampler=scratch.sorted_order(y)),
        "shuffled": train(rng=numpy_generator(0)),
    }.items():
        m = scratch.margin(x @ params[0] + params[1], y)
        errors[name] = scratch.zero_one_loss(m[y == -1])  # the first class
    assert errors["sorted"] > errors["shuffled"] + 0.1


def test_copies_tell_nothing_new():
    params, x, y = problem()
    more = scratch.repeat_examples([x, y], 10)
    assert [len(a) for a in more] == [120, 120]
    told = twin.repeat_examples([torch.tensor(x), torch.tensor(y)], 10)
    for a, t in zip(more, told, strict=True):
        close(a, t)
    objective = scratch.linear_objective
    once = scratch.full_gradient(objective, params, x, y)
    tenfold = scratch.full_gradient(objective, params, *more)
    for g, h in zip(once, tenfold, strict=True):
        np.testing.assert_allclose(g, h, rtol=1e-12)
    # one pass over the copies is ten passes over the data, at the price of one gradient
    how = {"lr": 0.1, "batch_size": 3, "shuffle": False}
    many, _ = scratch.sgd_train(objective, params, x, y, epochs=10, **how)
    one, _ = scratch.sgd_train(objective, params, *more, epochs=1, **how)
    for p, q in zip(many, one, strict=True):
        np.testing.assert_array_equal(p, q)


# ---- gradients -----------------------------------------------------------------------


@given(seeds, st.sampled_from(sorted(scratch.SURROGATES)), st.integers(1, 13), kinds)
def test_the_full_gradient_is_the_mean_of_all(seed, loss, size, dtype):
    params, x, y = problem(seed=seed, dtype=dtype)
    objective = partial(scratch.linear_objective, loss=loss)
    each = scratch.per_example_gradients(objective, params, x, y)
    rows = scratch.linear_gradients_by_rows(params, x, y, loss)
    full = scratch.full_gradient(objective, params, x, y, size)
    at_once = objective(params, x, y)[1]
    low = dtype == "f4"
    for e, r, f, a in zip(each, rows, full, at_once, strict=True):
        close(e, r, low)
        close(f, a, low)
        np.testing.assert_allclose(e.mean(axis=0), f, rtol=1e-4, atol=1e-6)
        assert e.dtype == f.dtype == dtype
        if not low:
            np.testing.assert_allclose(e.mean(axis=0), f, rtol=1e-10, atol=1e-12)
    told = partial(twin.linear_objective, loss=loss)
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
    error = scratch.standard_error(g, n)
    variance = sum(np.var(g[:, j]) for j in range(size))
    np.testing.assert_allclose(error, np.sqrt(variance / n), rtol=1e-12)
    np.testing.assert_allclose(twin.standard_error(torch.tensor(g), n), error)
    half = scratch.standard_error(g, 4 * n)
    np.testing.assert_allclose(half, error / 2, rtol=1e-12)
    if n <= count:
        once = scratch.standard_error(g, n, False)
        np.testing.assert_allclose(twin.standard_error(torch.tensor(g), n, False), once)
        assert scratch.standard_error(g, count, False) == 0
        assert scratch.standard_error(g, 1, False) == scratch.standard_error(g, 1)


@pytest.mark.parametrize("replace", [True, False])
def test_the_noise_that_is_measured_is_the_standard_error(replace):
    rng = numpy_generator(0)
    g = rng.normal(size=(60, 2)) ** 3
    for n in (1, 6, 48):
        told = scratch.standard_error(g, n, replace)
        found = scratch.gradient_noise(g, n, 1000, replace, rng=rng)
        assert abs(found / told - 1) < 0.1
        generator = torch_generator(n)
        theirs = twin.gradient_noise(torch.tensor(g), n, 1000, replace, rng=generator)
        assert abs(theirs / told - 1) < 0.1


@pytest.fixture
def same_batches(monkeypatch):
    """The twin draws the batches that scratch draws."""

    def drawn(*args, rng):
        rows = scratch.random_batches(*args, rng=numpy_generator(7))
        return (torch.tensor(row) for row in rows)

    monkeypatch.setattr(twin, "random_batches", drawn)
    return {"rng": numpy_generator(7)}


def test_noise_twins(same_batches):
    g = numpy_generator(0).normal(size=(20, 3))
    ours = scratch.gradient_noise(g, 5, 30, **same_batches)
    np.testing.assert_allclose(
        twin.gradient_noise(torch.tensor(g), 5, 30, rng=None), ours, rtol=1e-10
    )


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4), st.booleans())
def test_random_batches(count, n, draws, replace):
    n = n if replace else min(n, count)
    for module, rng in ((scratch, numpy_generator(0)), (twin, torch_generator(0))):
        rows = list(module.random_batches(count, n, draws, replace, rng=rng))
        assert len(rows) == draws
        for row in np.asarray([np.asarray(r) for r in rows]):
            assert row.shape == (n,)
            assert 0 <= row.min() <= row.max() < count
            assert replace or len(set(row.tolist())) == n


@given(seeds, kinds)
def test_logistic_hessians(seed, dtype):
    params, x, y = problem(3, seed=seed, dtype=dtype)
    ours = scratch.logistic_hessians(params, x, y)
    close(ours, twin.logistic_hessians(*to_torch(params, x, y)), dtype == "f4")
    point = torch.tensor(np.r_[params[0], params[1]].astype(float))

    def cost(row, sign, point):
        return twin.logistic_loss(sign * (row @ point[:-1] + point[-1]))

    for row, sign, h in zip(torch.tensor(x).double(), y.tolist(), ours, strict=True):
        told = torch.autograd.functional.hessian(partial(cost, row, sign), point)
        np.testing.assert_allclose(h, told, atol=1e-6 if dtype == "f4" else 1e-10)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("damping", [0.0, 0.1])
def test_newton_noise_twins(same_batches, known, damping):
    params, x, y = problem(60)
    g = np.column_stack(scratch.linear_gradients_by_rows(params, x, y))
    h = scratch.logistic_hessians(params, x, y)
    h = h.mean(axis=0, keepdims=True) if known else h
    ours = scratch.newton_noise(g, h, 20, 15, damping, **same_batches)
    arrays = torch.tensor(g), torch.tensor(h)
    told = twin.newton_noise(*arrays, 20, 15, damping, rng=None)
    np.testing.assert_allclose(ours, told, rtol=1e-9)
    # the formula, batch by batch
    ridge = damping * np.eye(4)
    full = g.mean(axis=0)
    step = np.linalg.inv(h.mean(axis=0) + ridge) @ full
    errors = []
    for row in scratch.random_batches(60, 20, 15, rng=numpy_generator(7)):
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
        found[kappa] = scratch.newton_noise(g, h, 50, 200, rng=numpy_generator(1))
    assert found[1.0][0] == found[100.0][0] == pytest.approx(found[1.0][1])
    assert found[100.0][1] > 4 * found[100.0][0]
    more = scratch.newton_noise(g, h, 5000, 200, rng=numpy_generator(2))
    assert 7 < found[100.0][1] / more[1] < 14  # a hundredfold batch, a tenth the error
