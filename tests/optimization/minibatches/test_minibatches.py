"""Batches as DataLoader makes them, and descent on them."""

from functools import partial

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, TensorDataset

from dlbook_lib.common.rng import numpy_generator, torch_generator
from dlbook_lib.optimization.minibatches import gradients, scratch
from dlbook_lib.optimization.minibatches import pytorch as twin
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


def test_a_float64_rate_does_not_promote():
    how = {"lr": np.float64(0.1), "epochs": 1, "shuffle": False}
    params, x, y = problem(dtype="f4")
    found, _ = scratch.sgd_train(scratch.linear_objective, params, x, y, **how)
    assert {p.dtype for p in found} == {np.dtype("f4")}


def test_a_batch_of_all_is_gradient_descent():
    params, x, y = problem()
    how = {"lr": 0.2, "epochs": 1, "batch_size": 99, "rng": numpy_generator(0)}
    found, _ = scratch.sgd_train(scratch.linear_objective, params, x, y, **how)
    full = gradients.full_gradient(scratch.linear_objective, params, x, y)
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
    once = gradients.full_gradient(objective, params, x, y)
    tenfold = gradients.full_gradient(objective, params, *more)
    for g, h in zip(once, tenfold, strict=True):
        np.testing.assert_allclose(g, h, rtol=1e-12)
    # one pass over the copies is ten passes over the data, at the price of one gradient
    how = {"lr": 0.1, "batch_size": 3, "shuffle": False}
    many, _ = scratch.sgd_train(objective, params, x, y, epochs=10, **how)
    one, _ = scratch.sgd_train(objective, params, *more, epochs=1, **how)
    for p, q in zip(many, one, strict=True):
        np.testing.assert_array_equal(p, q)


# ---- gradients -----------------------------------------------------------------------
