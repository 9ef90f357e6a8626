"""The toy problems have the shapes, labels and geometry that they promise."""

import numpy as np
import pytest

from dlbook_lib.common import data
from dlbook_lib.common.rng import numpy_generator

CLASSES = ("two_moons", "rings", "spirals")
ALL = (*CLASSES, "curve")


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("n", [2, 7, 200])
def test_two_classes_and_the_first_gets_the_odd_one(name, n):
    x, y = getattr(data, name)(n, rng=numpy_generator(0))
    assert (x.shape, x.dtype, y.dtype) == ((n, 2), np.float64, np.int64)
    assert np.bincount(y).tolist() == [n - n // 2, n // 2]


@pytest.mark.parametrize("name", CLASSES)
def test_classes_come_in_random_order(name):
    _, y = getattr(data, name)(200, rng=numpy_generator(0))
    assert 60 < np.count_nonzero(np.diff(y)) < 140


@pytest.mark.parametrize("name", ALL)
def test_the_seed_decides(name):
    make = getattr(data, name)
    first, again, other = (make(50, rng=numpy_generator(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("name", CLASSES)
def test_noise_is_a_standard_deviation(name):
    make = getattr(data, name)
    clean, _ = make(20_000, 0.0, rng=numpy_generator(0))
    noisy, _ = make(20_000, 0.3, rng=numpy_generator(0))
    np.testing.assert_allclose((noisy - clean).std(axis=0), 0.3, rtol=0.03)


def test_moons_are_half_circles():
    x, y = data.two_moons(500, 0.0, rng=numpy_generator(0))
    upper, lower = x[y == 0], x[y == 1] - [1.0, 0.5]
    np.testing.assert_allclose(np.hypot(*upper.T), 1)
    np.testing.assert_allclose(np.hypot(*lower.T), 1)
    assert upper[:, 1].min() >= 0
    assert lower[:, 1].max() <= 0


def test_rings_have_radius_1_and_2():
    x, y = data.rings(500, 0.0, rng=numpy_generator(0))
    np.testing.assert_allclose(np.hypot(*x.T), 1 + y)


def test_spirals_have_radius_angle_over_pi():
    x, y = data.spirals(500, 0.0, rng=numpy_generator(0))
    radius = np.hypot(*x.T)
    angle = np.pi * (radius + y)
    np.testing.assert_allclose(x[:, 0], radius * np.cos(angle), atol=1e-12)
    np.testing.assert_allclose(x[:, 1], radius * np.sin(angle), atol=1e-12)
    assert 2.9 < radius.max() <= 3


def test_the_curve_is_a_sine():
    x, y = data.curve(500, 0.0, rng=numpy_generator(0))
    assert (x.shape, y.shape, y.dtype) == ((500, 1), (500,), np.float64)
    np.testing.assert_allclose(y, np.sin(np.pi * x[:, 0]))
    assert np.all(np.diff(x[:, 0]) >= 0)
    _, noisy = data.curve(20_000, 0.3, rng=numpy_generator(0))
    _, clean = data.curve(20_000, 0.0, rng=numpy_generator(0))
    np.testing.assert_allclose((noisy - clean).std(), 0.3, rtol=0.03)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    ("bad", "error", "sentence"),
    [
        ({"n": 1}, ValueError, "n must be at least 2, not 1"),
        ({"n": -4}, ValueError, "n must be at least 2, not -4"),
        ({"n": 10.0}, TypeError, "n must be a whole number, not 10.0"),
        ({"n": True}, TypeError, "n must be a whole number, not True"),
        ({"noise": -0.1}, ValueError, "noise is a standard deviation.*not -0.1"),
        ({"noise": float("nan")}, ValueError, "noise is a standard deviation.*nan"),
        ({"noise": float("inf")}, ValueError, "noise is a standard deviation.*inf"),
        ({"noise": "0.1"}, TypeError, "noise must be a number, not '0.1'"),
        (
            {"rng": 0},
            TypeError,
            "rng must be a numpy.random.Generator, not 0",
        ),
    ],
)
def test_a_sentence_for_each_mistake(name, bad, error, sentence):
    good = {"n": 10, "noise": 0.1, "rng": numpy_generator(0)}
    with pytest.raises(error, match=f"^{name}: {sentence}"):
        getattr(data, name)(**good | bad)


@pytest.mark.parametrize("name", ALL)
def test_numpy_numbers_are_numbers(name):
    make = getattr(data, name)
    x, _ = make(np.int64(10), np.float32(0.1), rng=numpy_generator(0))
    assert len(x) == 10
    assert x.dtype == np.float64
