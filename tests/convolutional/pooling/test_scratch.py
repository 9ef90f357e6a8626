"""Pooling in NumPy: worked examples, numeric gradients, statistics, memory order."""

import numpy as np
import pytest

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.convolutional.convolution.scratch import batch_last
from dlbook_lib.convolutional.pooling import scratch, second_derivatives
from dlbook_lib.convolutional.pooling.scratch import (
    adaptive_avg_pool2d,
    avg_pool2d,
    global_avg_pool2d,
    lp_pool2d,
    max_pool2d,
    max_pool2d_backward,
    max_pool2d_by_halves,
    max_unpool2d,
    stochastic_pool2d,
)
from dlbook_lib.feedforward.autodiff.engine import tensor
from dlbook_lib.feedforward.linear_models.scratch import numeric_gradient

RNG = numpy_generator(0)
X = RNG.normal(size=(2, 2, 5, 6))
POOLED, AT = max_pool2d(X, 2, return_indices=True)
CASES = {
    "max_pool2d": (X, (3, 2, 1, 1, True)),
    "avg_pool2d": (X, ((2, 3), 2, 1, True, False)),
    "lp_pool2d": (abs(X) + 0.1, (3.0, 2, 1)),
    "adaptive_avg_pool2d": (X, ((3, 4),)),
    "adaptive_max_pool2d": (X, ((3, 4),)),
    "global_avg_pool2d": (X, ()),
    "global_max_pool2d": (X, ()),
    "max_unpool2d": (POOLED, (AT, 2, None, 0, (5, 6))),
    "stochastic_pool2d": (abs(X), (2,)),
}


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_numeric_and_registered_ones(name):
    x, options = CASES[name]
    f, f_backward = getattr(scratch, name), getattr(scratch, f"{name}_backward")
    y = f(x, *options)
    dy = numpy_generator(1).normal(size=y.shape)
    found = f_backward(dy, x, *options)
    numeric = numeric_gradient(lambda z: (dy * f(z, *options)).sum(), x)
    np.testing.assert_allclose(found, numeric, atol=1e-6)
    t = tensor(x, requires_grad=True)
    getattr(second_derivatives, name)(t, *options).backward(dy)
    np.testing.assert_allclose(t.grad.data, found, rtol=1e-12)


def test_a_worked_example_with_stride_2():
    x = np.array([[[1.0, 3, 2, 1], [4, 6, 5, 0], [7, 2, 9, 8], [1, 0, 3, 4]]])
    np.testing.assert_array_equal(max_pool2d(x, 2), [[[6, 5], [7, 9]]])
    np.testing.assert_array_equal(avg_pool2d(x, 2), [[[3.5, 2], [2.5, 6]]])
    np.testing.assert_array_equal(max_pool2d(x, 3, 1), [[[9, 9], [9, 9]]])
    np.testing.assert_allclose(lp_pool2d(x, 1, 2), [[[14, 8], [10, 24]]])


def test_overlapping_windows_add_their_gradients_up_at_one_winner():
    x = np.zeros((1, 3, 3))
    x[0, 1, 1] = 1
    dx = max_pool2d_backward(np.ones((1, 2, 2)), x, 2, 1)
    np.testing.assert_array_equal(dx[0], [[0, 0, 0], [0, 4, 0], [0, 0, 0]])


def test_in_a_tie_the_first_wins():
    dy, x = np.ones((1, 1, 1)), np.zeros((1, 2, 2))
    for dx in (max_pool2d_backward(dy, x, 2), max_pool2d_by_halves(x)[1](dy)):
        np.testing.assert_array_equal(dx[0], [[1, 0], [0, 0]])


@pytest.mark.parametrize("shape", [(2, 3, 8, 6), (1, 1, 2, 2), (0, 2, 4, 4), (3, 7, 5)])
def test_halves_are_the_pooling_of_2_by_2_in_any_memory_order(shape):
    x = numpy_generator(0).normal(size=shape).round(0)
    last = np.moveaxis(batch_last(x), -1, 0)
    for a in (x, last, np.asfortranarray(x)):
        y, pull = max_pool2d_by_halves(a)
        np.testing.assert_array_equal(y, max_pool2d(x, 2))
        dy = np.cos(np.arange(y.size)).reshape(y.shape)
        np.testing.assert_array_equal(pull(dy), max_pool2d_backward(dy, x, 2))
        np.testing.assert_array_equal(pull(dy), pull(dy))
    if last.ndim == 4 and last.size > 24:
        halves, _ = max_pool2d_by_halves(last)
        assert np.moveaxis(halves, 0, -1).flags.c_contiguous


def test_unpooling_undoes_pooling_at_the_winners():
    y, at = max_pool2d(X, 2, return_indices=True)
    back = max_unpool2d(y, at, 2, output_size=X.shape)
    assert ((back == X) | (back == 0)).all()
    np.testing.assert_array_equal((back != 0).sum(), y.size)


def test_a_large_norm_comes_near_the_maximum():
    x = abs(X)
    np.testing.assert_allclose(lp_pool2d(x, 200.0, 2), max_pool2d(x, 2), rtol=0.01)


def test_global_and_adaptive_means_are_those_of_everything():
    np.testing.assert_allclose(global_avg_pool2d(X)[..., 0, 0], X.mean(axis=(2, 3)))
    np.testing.assert_allclose(adaptive_avg_pool2d(X, (None, 3)), avg_pool2d(X, (1, 2)))


def test_stochastic_pooling_draws_as_often_as_it_should():
    x = np.tile(np.array([[1.0, 2.0], [0.0, 5.0]]), (1, 1, 200, 200))
    noise = numpy_generator(0).uniform(size=(1, 1, 200, 200))
    y = stochastic_pool2d(x, 2, noise=noise)
    shares = [(y == a).mean() for a in (0, 1, 2, 5)]
    np.testing.assert_allclose(shares, [0, 1 / 8, 2 / 8, 5 / 8], atol=0.01)
    np.testing.assert_allclose(stochastic_pool2d(x, 2), np.full_like(y, 30 / 8))
    assert abs(y.mean() - 30 / 8) < 0.03
    np.testing.assert_array_equal(stochastic_pool2d(0 * x, 2, noise=noise), 0 * y)


def test_float32_stays_float32_and_an_empty_batch_stays_empty():
    for name, (x, options) in CASES.items():
        f, f_backward = getattr(scratch, name), getattr(scratch, f"{name}_backward")
        y = f(x.astype("f4"), *options)
        assert y.dtype == f_backward(y, x.astype("f4"), *options).dtype == "float32"
        if name != "max_unpool2d":
            nothing = f(x[:0], *options)
            assert nothing.shape == (0, *y.shape[1:])
            assert f_backward(nothing, x[:0], *options).shape == (0, *x.shape[1:])


def test_invariance_to_a_shift_that_stays_in_the_window():
    x = np.zeros((1, 8, 8))
    x[0, 2, 4] = 1
    y = max_pool2d(x, 2)
    np.testing.assert_array_equal(max_pool2d(np.roll(x, 1, axis=2), 2), y)
    assert (max_pool2d(np.roll(x, -1, axis=2), 2) != y).any()
