"""Bad calls of what stands in scratch.py, one fault each, end in a sentence."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.feedforward.autodiff import scratch
from dlbook_lib.feedforward.autodiff.scratch import (
    Dual,
    Scalar,
    conjugate_gradient,
    evaluate,
    hessian,
    hvp,
    jacobian,
    lanczos,
    parents_first,
    recursive_derivative,
    scalar_backward,
    symbolic_grad,
)
from tests.feedforward.bad_input import (
    Call,
    Floats,
    Given,
    Number,
    Positive,
    Whole,
    not_described,
    refuses,
)

NODE = Scalar(1.0) * 2.0


def cubes(x):
    return (x * x * x).sum()


def doubled(v):
    return 2.0 * v


CALLS = [
    Call(Scalar, value=Number()),
    Call(Dual, value=Floats(...), tangent=Floats("K", ...)),
    Call(jacobian, func=Given(cubes), inputs=Floats(...)),
    Call(hessian, func=Given(cubes), inputs=Floats(...)),
    Call(hvp, func=Given(cubes), inputs=Floats(...), v=Floats(...)),
    Call(
        conjugate_gradient,
        product=Given(doubled),
        b=Floats("n"),
        steps=Whole(),
        tol=Positive(),
    ),
    Call(
        lanczos,
        product=Given(doubled),
        start=Floats(20, skip=("axis 0",)),
        steps=Whole(),
    ),
]


@pytest.mark.parametrize("call", CALLS, ids=str)
@given(data=st.data())
def test_a_bad_call_ends_in_a_sentence(call, data):
    refuses(data.draw(call.bad()))


SENTENCES = [
    (lambda: parents_first(3.0), ValueError, "parents_first: output 3.0 is no node"),
    (lambda: scalar_backward(None), ValueError, "parents_first: output None is no"),
    (
        lambda: recursive_derivative(NODE, 1.0),
        TypeError,
        "recursive_derivative: 1.0 is no Scalar",
    ),
    (
        lambda: Scalar(1.0, "+", (NODE,), ()),
        ValueError,
        "Scalar: give each parent its local derivative",
    ),
    (lambda: NODE * "2", TypeError, "Scalar: '2' is not one real number"),
    (lambda: evaluate("y", {"x": 1.0}), ValueError, "evaluate: the variable must be"),
    (lambda: evaluate(("/", 1.0, "x"), {"x": 1.0}), ValueError, "the operation must"),
    (lambda: evaluate(("+", "x"), {"x": 1.0}), ValueError, "'+' takes 2 operands"),
    (lambda: evaluate(("sin", "x", "x"), {"x": 1.0}), ValueError, "'sin' takes 1"),
    (lambda: evaluate(None, {}), TypeError, "None is not one real number"),
    (lambda: symbolic_grad(("*", "x", "x", "x"), "x"), ValueError, "'*' takes 2"),
    (lambda: symbolic_grad(("tan", "x"), "x"), ValueError, "the operation must be"),
    (lambda: symbolic_grad("x", 3), TypeError, "symbolic_grad: name must be a string"),
    (
        lambda: jacobian(lambda x: x.data, [1.0]),
        TypeError,
        "func returns a ndarray, not a Tensor",
    ),
    (lambda: hessian(lambda x: x, [1.0, 2.0]), ValueError, "only a number has a Hess"),
    (
        lambda: hessian(lambda x: 1.0, [1.0, 2.0]),
        TypeError,
        "func returns a float, no T",
    ),
    (lambda: hvp(cubes, [1.0, 2.0]), ValueError, "hvp: v is missing"),
    (lambda: hvp(lambda x: x, [1.0, 2.0], [1.0, 1.0]), ValueError, "only a number"),
    (
        lambda: conjugate_gradient(lambda v: -v, np.ones(3), steps=3),
        ValueError,
        "conjugate_gradient: A is not positive definite: v·Av = -3",
    ),
    (
        lambda: conjugate_gradient(lambda v: v[:2], np.ones(3), steps=3),
        ValueError,
        "vector has shape (3,) but product has shape (2,)",
    ),
    (
        lambda: conjugate_gradient(doubled, np.array([1.0, np.nan]), steps=3),
        ValueError,
        "b is NaN or infinite in 1 of 2 places",
    ),
    (lambda: lanczos(doubled, np.zeros(3), 2), ValueError, "start is the zero vector"),
    (lambda: lanczos(doubled, np.ones(3), 4), ValueError, "only 3 directions"),
    (lambda: lanczos(lambda v: v[:1], np.ones(3), 2), ValueError, "has shape (3,) but"),
]


@pytest.mark.parametrize(("call", "error", "sentence"), SENTENCES)
def test_these_end_in_a_sentence_too(call, error, sentence):
    with pytest.raises(error, match=re.escape(sentence)):
        call()


def test_every_function_is_described():
    by_hand = {
        "evaluate",
        "parents_first",
        "recursive_derivative",
        "scalar_backward",
        "symbolic_grad",
    }
    assert not_described(scratch, CALLS) == by_hand
