"""Verdicts: right, wrong, not attempted, and stable whatever the candidate does."""

import re

import numpy as np
import pytest
import torch

from dlbook_lib.common.exercises import Checker, ExerciseError, difference


def solve_softmax(x):
    """Exponentials that sum to 1."""
    e = np.exp(x - x.max())
    return e / e.sum()


CASES = [(np.array([0.0, 1.0]),), (np.array([1000.0, 0.0]),)]
check = Checker(solve_softmax, CASES)


@pytest.fixture
def verdict(capsys):
    """What calling a checker prints."""

    def verdict(candidate, checker=check):
        assert checker(candidate) is None
        return capsys.readouterr().out

    return verdict


def overflowing(x):
    with np.errstate(all="ignore"):
        return np.exp(x) / np.exp(x).sum()


def test_a_right_answer_passes(verdict):
    check.verify(solve_softmax)
    assert verdict(solve_softmax) == "softmax: correct, all 2 cases agree.\n"


def test_a_wrong_answer_names_its_first_wrong_case(verdict):
    said = verdict(overflowing)
    assert said.splitlines() == [
        "softmax: not yet. Case 2 of 2 differs.",
        "  x        = array([1000.,    0.])",
        "  got      = array([nan,  0.])",
        "  expected = array([1., 0.])",
        "  because it is NaN or infinite, first at index 0",
    ]
    with pytest.raises(ExerciseError, match="Case 2 of 2 differs"):
        check.verify(overflowing)


def empty(x): ...


def ellipsis(x):
    return ...


def unwritten(x):
    raise NotImplementedError


@pytest.mark.parametrize("stub", [empty, ellipsis, unwritten])
def test_a_stub_is_not_attempted(verdict, stub):
    assert verdict(stub) == (
        f"softmax: not attempted yet; write {stub.__name__}, then run "
        "this cell again.\n"
    )
    with pytest.raises(ExerciseError, match="not attempted"):
        check.verify(stub)


def test_nothing_on_a_later_case_is_a_wrong_answer(verdict):
    said = verdict(lambda x: solve_softmax(x) if x[0] == 0 else None)
    assert "Case 2 of 2 differs" in said
    assert "because it is something else" in said


def test_an_error_is_part_of_the_verdict_and_stable(verdict):
    def fails(x):
        raise ValueError(f"cannot use {object()}")

    said = verdict(fails)
    assert "because it raised ValueError: cannot use <object object at 0x…>" in said
    assert said == verdict(fails)


def test_wrong_number_of_arguments(verdict):
    assert "because it raised TypeError: " in verdict(lambda: 1)


def test_not_a_function(verdict):
    assert "not a function; pass the function's name" in verdict(np.ones(2))
    with pytest.raises(ExerciseError, match="not a function"):
        check.verify(None)


def test_changing_the_arguments_harms_nobody(verdict):
    def in_place(x):
        x -= x.max()
        np.exp(x, out=x)
        x /= x.sum()
        return x

    check.verify(in_place)
    check.verify(in_place)
    assert CASES[1][0].tolist() == [1000.0, 0.0]

    def doubles(x):
        x *= 2
        return x

    assert "x        = array([0., 1.])" in verdict(doubles)


def test_generators_give_both_the_same_numbers():
    def solve_draw(rng):
        return rng.normal(size=3)

    cases = [(np.random.default_rng(0),)]
    Checker(solve_draw, cases).verify(lambda rng: rng.normal(size=3))


def test_cases_may_be_a_function():
    asked = []

    def cases():
        asked.append(1)
        yield (np.ones(3),)

    checker = Checker(solve_softmax, cases)
    checker.verify(solve_softmax)
    checker.verify(solve_softmax)
    assert len(asked) == 2


def test_a_checker_without_cases_is_a_mistake():
    with pytest.raises(ValueError, match="has no cases"):
        Checker(solve_softmax, []).verify(solve_softmax)


def test_own_comparison(verdict):
    def sums_to_one(got, expected, x):
        return None if got.sum() == 1 and len(got) == len(x) else "the sum is not 1"

    checker = Checker(solve_softmax, CASES, compare=sums_to_one)
    assert "correct" in verdict(lambda x: np.ones(2) / 2, checker)
    assert "because the sum is not 1" in verdict(lambda x: np.ones(2), checker)
    assert "because comparing it raised AttributeError" in verdict(
        lambda x: None if x[0] else 3, checker
    )


def test_long_arrays_are_printed_short(verdict):
    checker = Checker(solve_softmax, [(np.linspace(0, 1, 10_000),)])
    assert len(verdict(lambda x: x, checker)) < 600


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (2, 2.0),
        ([1.0, 2.0], np.array([1.0, 2.0])),
        (np.float64(np.nan), np.nan),
        (torch.ones(2, requires_grad=True), np.ones(2)),
        ([1.0, (2.0, 3.0)], (1.0, [2.0, 3.0])),
        ({"a": np.ones(2)}, {"a": [1.0, 1.0]}),
        ("relu", "relu"),
        (True, np.True_),
        (1e-13, 0.0),
    ],
)
def test_what_is_the_same(got, expected):
    assert difference(got, expected) is None


@pytest.mark.parametrize(
    ("got", "expected", "sentence"),
    [
        (np.ones((2, 1)), np.ones(2), r"its shape is \(2, 1\), not \(2,\)"),
        (np.array([1.0, 2.5]), np.array([1.0, 2.0]), "by up to 0.5, first at index 1"),
        (np.eye(2), np.zeros((2, 2)), "by up to 1, first at index 0, 0"),
        (np.uint8(1), np.uint8(3), "by up to 2"),
        (1.0, 1.0 + 1e-3j, "by up to 0.001"),
        (None, 1.0, "something else"),
        ("tanh", "relu", "something else"),
        (np.inf, 1.0, "NaN or infinite"),
        (1.0, (1.0, 2.0), "no tuple of 2"),
        ((1.0, 2.0), (1.0, 3.0), "item 1: it differs"),
        ({"a": 1}, {"a": 1, "b": 2}, "no dict with the keys a, b"),
        ({"a": 1}, {"a": 2}, "item a: it differs"),
    ],
)
def test_what_differs(got, expected, sentence):
    assert re.search(sentence, difference(got, expected))
