"""Starting weights in NumPy: exact bounds, orthogonality, moments in their bands.

The mean square of M draws of standard deviation s lies within 5 standard errors of s²:
5 s² √(2/M) for normal numbers, 5 s² √(4/(5M)) for even ones.
"""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.autodiff.engine import raw
from dlbook_lib.feedforward.autodiff.modules import Linear, ReLU, Sequential, Tanh
from dlbook_lib.optimization.initialization.scratch import (
    calculate_gain,
    fan_in_and_fan_out,
    fill_,
    kaiming_normal_,
    kaiming_uniform_,
    lsuv_,
    normal_,
    orthogonal_,
    sparse_,
    uniform_,
    xavier_normal_,
    xavier_uniform_,
)

SHAPES = [(100, 400), (400, 100), (20, 30, 5, 5), (60, 20, 9), (8, 16, 3, 3, 3)]
# name: what to call, and the square of the standard deviation from (m, n)
STARTS = {
    "xavier": (xavier_uniform_, xavier_normal_, {}, lambda m, n: 2 / (m + n)),
    "xavier, tanh": (
        xavier_uniform_,
        xavier_normal_,
        {"gain": 5 / 3},
        lambda m, n: 50 / 9 / (m + n),
    ),
    "kaiming": (kaiming_uniform_, kaiming_normal_, {}, lambda m, _n: 2 / m),
    "kaiming, fan_out": (
        kaiming_uniform_,
        kaiming_normal_,
        {"mode": "fan_out"},
        lambda _m, n: 2 / n,
    ),
    "kaiming, leaky": (
        kaiming_uniform_,
        kaiming_normal_,
        {"a": 0.5},
        lambda m, _n: 1.6 / m,
    ),
    "kaiming, torch's": (
        kaiming_uniform_,
        kaiming_normal_,
        {"a": 5**0.5},
        lambda m, _n: 1 / (3 * m),
    ),
    "kaiming, linear": (
        kaiming_uniform_,
        kaiming_normal_,
        {"nonlinearity": "linear"},
        lambda m, _n: 1 / m,
    ),
}
starts = pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)


def check_moments(x, mean, std, kurtosis):
    """The mean and the spread lie within 5 standard errors; kurtosis 3 is normal."""
    x = x.ravel() - mean
    assert abs(x.mean()) < 5 * std / x.size**0.5
    error = std**2 * ((kurtosis - 1) / x.size) ** 0.5
    assert abs((x * x).mean() - std**2) < 5 * error


@shapes
@starts
def test_variance_and_bound_are_those_of_the_rule(start, shape):
    even, normal, options, variance = start
    fan_out, fan_in = (n * np.prod(shape[2:], dtype=int) for n in shape[:2])
    std = variance(fan_in, fan_out) ** 0.5
    x = even(np.empty(shape), **options, rng=numpy_generator(0))
    check_moments(x, 0, std, 1.8)
    bound = 3**0.5 * std
    # of M even draws the largest is below 1 − 20/M of the bound by chance e⁻²⁰
    assert (1 - 20 / x.size) * bound < abs(x).max() <= bound
    check_moments(normal(np.empty(shape), **options, rng=numpy_generator(0)), 0, std, 3)


def test_even_and_normal_numbers_have_the_moments_they_are_asked_for():
    x = uniform_(np.empty(10_000), -1.0, 3.0, rng=numpy_generator(0))
    check_moments(x, 1, 4 / 12**0.5, 1.8)
    assert -1 <= x.min() < -0.99
    assert 2.99 < x.max() < 3
    check_moments(
        normal_(np.empty(10_000), -2, 0.5, rng=numpy_generator(0)), -2, 0.5, 3
    )


def test_the_number_in_even_and_normal_starts_means_two_things():
    std = uniform_(np.empty(10_000), -0.07, 0.07, rng=numpy_generator(0)).std()
    assert abs(std - 0.0404) < 0.001


@given(
    st.lists(st.integers(1, 6), min_size=2, max_size=4),
    st.sampled_from([1, 0.5, 3.0]),
    st.integers(0, 99),
)
def test_the_shorter_sides_of_an_orthogonal_start_are_orthonormal(shape, gain, seed):
    x = orthogonal_(np.empty(shape), gain, rng=numpy_generator(seed))
    flat = x.reshape(len(x), -1)
    flat = flat if len(flat) <= len(flat[0]) else flat.T
    np.testing.assert_allclose(flat @ flat.T, gain**2 * np.eye(len(flat)), atol=1e-12)


def test_orthogonal_starts_are_even_over_directions_and_signs():
    rng = numpy_generator(0)
    x = np.stack([orthogonal_(np.empty((3, 3)), rng=rng) for _ in range(2000)])
    # an entry has mean 0 and variance 1/3; without the signs the diagonal has one sign
    assert abs(x.mean(axis=0)).max() < 5 * (1 / 3 / 2000) ** 0.5
    assert abs((x * x).mean(axis=0) - 1 / 3).max() < 5 * (4 / 45 / 2000) ** 0.5
    assert abs((np.linalg.det(x) > 0).mean() - 0.5) < 5 * 0.5 / 2000**0.5


@given(st.integers(1, 12), st.integers(1, 6), st.floats(0, 1), st.integers(0, 99))
def test_each_column_of_a_sparse_start_has_its_zeros(rows, columns, sparsity, seed):
    x = sparse_(np.empty((rows, columns)), sparsity, rng=numpy_generator(seed))
    zeros = int(np.ceil(sparsity * rows))
    np.testing.assert_array_equal((x == 0).sum(axis=0), zeros)


def test_the_rest_of_a_sparse_start_is_normal_and_lies_anywhere():
    x = sparse_(np.empty((100, 200)), 0.9, 0.5, rng=numpy_generator(0))
    check_moments(x[x != 0], 0, 0.5, 3)
    share = (x != 0).mean(axis=1)  # of a row; 0.1 on average
    assert abs(share - 0.1).max() < 5 * (0.09 / 200) ** 0.5


def test_a_transposed_weight_gives_each_unit_k_inputs():
    weight = np.empty((7, 20))
    sparse_(weight.T, 1 - 15 / 20, rng=numpy_generator(0))
    np.testing.assert_array_equal((weight != 0).sum(axis=1), 15)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_arrays_are_filled_where_they_are_whatever_their_precision_and_layout(dtype):
    fills = [uniform_, normal_, xavier_uniform_, xavier_normal_, kaiming_uniform_]
    fills += [kaiming_normal_, orthogonal_]
    for f in [*fills, lambda x, rng: sparse_(x, 0.5, rng=rng)]:
        whole = np.full((6, 8), np.nan, dtype)
        part = whole[::2, 1::3].T
        assert f(part, rng=numpy_generator(0)) is part
        wanted = f(np.empty(part.shape), rng=numpy_generator(0)).astype(dtype)
        np.testing.assert_array_equal(whole[::2, 1::3].T, wanted)
        assert np.isnan(whole).sum() == 48 - part.size


def test_fans_by_hand():
    assert fan_in_and_fan_out(np.zeros((2, 3))) == (3, 2)
    assert fan_in_and_fan_out(np.zeros((64, 32, 3, 3))) == (288, 576)
    np.testing.assert_array_equal(fill_(np.ones((2, 2)), np.zeros), np.zeros((2, 2)))


def signal_power(draw, activation, depth=30, width=256):
    rng = numpy_generator(1)
    h = rng.normal(size=(64, width))
    before = (h * h).mean()
    for _ in range(depth):
        h = activation(h @ draw(np.empty((width, width)), rng=rng).T)
    return (h * h).mean() / before


def test_a_signal_keeps_its_power_under_the_rule_for_its_activation():
    assert 0.5 < signal_power(xavier_uniform_, lambda s: s) < 2
    assert abs(signal_power(orthogonal_, lambda s: s) - 1) < 1e-12
    assert 0.2 < signal_power(kaiming_normal_, lambda s: np.maximum(s, 0)) < 5
    assert signal_power(xavier_normal_, lambda s: np.maximum(s, 0)) < 1e-6


@pytest.mark.parametrize("activation", [ReLU, Tanh])
def test_lsuv_gives_every_layer_variance_one(activation):
    rng = numpy_generator(0)
    sizes = [20, 30, 30, 30, 5]
    layers = []
    for n, units in pairwise(sizes):
        layers += [Linear(n, units, rng=rng), activation()]
    model = Sequential(*layers[:-1])
    x = 7 * rng.normal(size=(100, 20)) + 3
    assert lsuv_(model, x, tol=1e-6, rng=rng) is model
    for layer in model:
        x = raw(layer(x))
        if isinstance(layer, Linear):
            assert abs(x.var() - 1) < 1e-6
            w = layer.weight.data
            w = w if len(w) <= len(w[0]) else w.T
            gram = w @ w.T
            np.testing.assert_allclose(gram, gram[0, 0] * np.eye(len(gram)), atol=1e-12)
            assert not layer.bias.data.any()


def test_lsuv_leaves_a_layer_alone_that_is_near_enough():
    rng = numpy_generator(0)
    x = rng.normal(size=(1000, 8))
    model = lsuv_([Linear(8, 8, rng=rng)], x, tol=0.5, rng=rng)
    w = model[0].weight.data
    np.testing.assert_allclose(w @ w.T, np.eye(8), atol=1e-12)


def test_gains_by_hand():
    assert calculate_gain("relu") == calculate_gain("leaky_relu", 0) == 2**0.5
    assert calculate_gain("conv_transpose2d") == calculate_gain("sigmoid") == 1
    assert calculate_gain("selu") == 0.75
