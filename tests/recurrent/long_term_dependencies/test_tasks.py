"""What the tasks ask for, and that the same seed asks the same."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.recurrent.long_term_dependencies.tasks import (
    adding_problem,
    copy_problem,
    lagged,
    mackey_glass,
)


@given(st.integers(2, 20), st.integers(1, 5), st.integers(0, 99))
def test_two_marked_numbers_are_to_be_added(steps, count, seed):
    x, y = adding_problem(steps, count, rng=numpy_generator(seed))
    assert x.shape == (steps, count, 2)
    assert y.shape == (count, 1)
    number, mark = x[..., 0], x[..., 1]
    assert set(np.unique(mark)) <= {0, 1}
    np.testing.assert_array_equal(mark[: steps // 2].sum(axis=0), 1)
    np.testing.assert_array_equal(mark[steps // 2 :].sum(axis=0), 1)
    np.testing.assert_allclose((number * mark).sum(axis=0), y[:, 0], rtol=1e-12)
    again = adding_problem(steps, count, rng=numpy_generator(seed))
    np.testing.assert_array_equal(x, again[0])


def test_who_always_says_1_errs_by_a_sixth():
    _, y = adding_problem(10, 50_000, rng=numpy_generator(0))
    assert ((y - 1) ** 2).mean() == pytest.approx(1 / 6, rel=0.02)
    x, y = adding_problem(10, 3, rng=numpy_generator(0), dtype="float32")
    assert (x.dtype, y.dtype) == ("f4", "f4")


@given(st.integers(0, 9), st.integers(1, 4), st.integers(1, 5), st.integers(1, 6))
def test_what_was_said_is_to_be_said_again(delay, count, length, symbols):
    x, y = copy_problem(delay, count, length, symbols, rng=numpy_generator(0))
    assert x.shape == y.shape == (2 * length + delay, count)
    np.testing.assert_array_equal(x[:length], y[-length:])
    assert x[:length].max() < symbols
    assert (x[length:-length] == symbols).all()
    assert (x[-length] == symbols + 1).all() or length == 0
    assert (x[-length + 1 :] == symbols).all() or length == 1
    assert (y[:-length] == symbols).all()


def test_the_series_solves_its_equation_to_second_order():
    fine = mackey_glass(200, dt=1 / 80, every=80, washout=0)
    errors = [
        abs(mackey_glass(200, dt=1 / n, every=n, washout=0) - fine).max()
        for n in (5, 10, 20)
    ]
    for coarse, finer in pairwise(errors):
        assert 3.5 < coarse / finer < 4.6
    x = mackey_glass(40_000, every=1, washout=200)  # dt = 0.1, tau is 170 steps
    change = (x[171:-1] - x[169:-3]) / 0.2
    late = x[:-172]
    expected = 0.2 * late / (1 + late**10) - 0.1 * x[170:-2]
    assert abs(change - expected).max() < 1e-3


def test_the_series_is_chaotic_and_its_washout_is_what_comes_first():
    x = mackey_glass(600, washout=0)
    np.testing.assert_array_equal(mackey_glass(500, washout=100), x[100:])
    other = mackey_glass(3000, start=1.2 + 1e-5, washout=0)
    apart = abs(other - mackey_glass(3000, washout=0))
    assert apart[:50].max() < 1e-4
    assert apart[2000:].max() > 0.1
    calm = mackey_glass(3000, tau=3.0, washout=2000)  # a fixed point at 1
    assert abs(calm - 1).max() < 1e-6
    assert 0.2 < x.std() < 0.25
    assert 0.2 < x.min() < x.max() < 1.4


def test_windows_stand_beside_what_comes_next():
    columns, target = lagged(np.arange(6.0), 3)
    np.testing.assert_array_equal(columns, [[0, 1, 2], [1, 2, 3], [2, 3, 4]])
    np.testing.assert_array_equal(target, [[3], [4], [5]])
    series = np.arange(6.0)
    lagged(series, 2)[0][:] = 9
    np.testing.assert_array_equal(series, np.arange(6))


RNG = numpy_generator(0)
BAD_CALLS = [
    (lambda: adding_problem(1, 2, rng=RNG), "adding_problem: steps must be at least 2"),
    (lambda: adding_problem(4, 0, rng=RNG), "adding_problem: count must be"),
    (lambda: adding_problem(4, 2, rng=0), "adding_problem: rng must be"),
    (lambda: copy_problem(-1, 2, rng=RNG), "copy_problem: delay must be"),
    (lambda: copy_problem(1, 2, 0, rng=RNG), "copy_problem: length must be"),
    (lambda: copy_problem(1, 2, rng=None), "copy_problem: rng must be"),
    (lambda: mackey_glass(0), "mackey_glass: steps must be"),
    (lambda: mackey_glass(5, every=0.5), "mackey_glass: every must be"),
    (lambda: mackey_glass(5, dt=0.3), "mackey_glass: tau 17.0 must be a whole number"),
    (lambda: mackey_glass(5, dt=40.0), "mackey_glass: tau 17.0 must be a whole number"),
    (lambda: mackey_glass(5, start=-1.0), "mackey_glass: start must be"),
    (lambda: mackey_glass(5, tau=float("nan")), "mackey_glass: tau must be"),
    (lambda: lagged(np.ones(3), 3), "lagged: order 3 must be below"),
    (lambda: lagged(np.ones((3, 1)), 1), "lagged: series must have 1 dim"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD_CALLS)
def test_bad_calls_get_a_sentence(call, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        call()
