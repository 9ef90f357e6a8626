"""Bad calls of the page's functions end in a sentence, whatever the fault."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.feedforward.linear_models import scratch
from dlbook_lib.feedforward.linear_models.scratch import (
    LinearRegression,
    LogisticRegression,
    and_of_halfplanes,
    binary_cross_entropy_with_logits,
    binary_cross_entropy_with_logits_backward,
    gradient_descent,
    linear,
    linear_backward,
    mse_loss,
    mse_loss_backward,
    normal_equations,
    numeric_gradient,
    quadratic_features,
    sigmoid,
    sigmoid_backward,
)
from tests.feedforward.bad_input import (
    Call,
    Floats,
    Given,
    Number,
    Positive,
    Probabilities,
    Reduction,
    Several,
    Whole,
    not_described,
    refuses,
)

X = np.array([[0.0, 1.0, 0.5], [1.0, 0.0, 0.5], [2.0, 1.0, 1.5], [3.0, -1.0, 0.0]])
REGRESSION, CLASSES = LinearRegression(), LogisticRegression()
REGRESSION.fit_gd(X, X[:, :2], lr=0.1, steps=1)
CLASSES.fit(X, np.array([[0.0], [0.0], [1.0], [1.0]]), lr=0.1, steps=1)

WEIGHT, BIAS = Floats("out", "in"), Floats("out", optional=True)
SCORES, TARGETS, LABELS = Floats(...), Floats(...), Probabilities(...)
COLUMNS = Floats(9, 2, skip=("axis 1",))  # one more or less would do as well
ONE, EACH = Reduction("mean", "sum"), Reduction("none")
LR, STEPS, DY = Positive(), Whole(), Number()
MSE = {"input": SCORES, "target": TARGETS}
BCE = {"input": SCORES, "target": LABELS}
CALLS = [
    Call(linear, input=Floats(..., "in"), weight=WEIGHT, bias=BIAS),
    Call(
        linear_backward,
        dy=Floats(..., "out"),
        input=Floats(..., "in"),
        weight=WEIGHT,
        bias=BIAS,
    ),
    Call(mse_loss, **MSE, reduction=Reduction()),
    Call(mse_loss_backward, dy=DY, **MSE, reduction=ONE),
    Call(mse_loss_backward, dy=Floats(...), **MSE, reduction=EACH),
    Call(sigmoid, input=SCORES),
    Call(sigmoid_backward, dy=Floats(...), input=SCORES),
    Call(binary_cross_entropy_with_logits, **BCE, reduction=Reduction()),
    Call(binary_cross_entropy_with_logits_backward, dy=DY, **BCE, reduction=ONE),
    Call(
        binary_cross_entropy_with_logits_backward,
        dy=Floats(...),
        **BCE,
        reduction=EACH,
    ),
    Call(
        numeric_gradient,
        f=Given(lambda x: (x**2).sum()),
        x=Floats(..., dtype="f8"),
        eps=Positive(),
    ),
    Call(
        gradient_descent,
        objective=Given(lambda x, y: ((x**2).sum() + y.sum(), [2 * x, 1 + 0 * y])),
        params=Several(Floats("N"), Floats(2, "M"), skip=("too", "ax")),
        lr=LR,
        steps=STEPS,
    ),
    Call(
        normal_equations,
        columns=COLUMNS,
        target=Floats(9, "out"),
    ),
    Call(LinearRegression().fit_normal, input=COLUMNS, target=Floats(9, "out")),
    Call(
        LinearRegression().fit_gd,
        input=Floats("N", "in"),
        target=Floats("N", "out"),
        lr=Number(1e-6, 1e-3, skip=("too high",)),
        steps=STEPS,
    ),
    Call(REGRESSION.predict, input=Floats(..., 3)),
    Call(
        LogisticRegression().fit,
        input=Floats("N", "in"),
        target=Probabilities("N", 1),
        lr=LR,
        steps=STEPS,
        weight_decay=Positive(zero=True),
    ),
    Call(CLASSES.probability, input=Floats(..., 3)),
    Call(CLASSES.predict, input=Floats(..., 3)),
    Call(quadratic_features, input=Floats("N", "in")),
    Call(
        and_of_halfplanes,
        input=Floats("N", "in"),
        weight=Floats("out", "in"),
        bias=Floats("out"),
    ),
]


@pytest.mark.parametrize("call", CALLS, ids=str)
@given(data=st.data())
def test_a_bad_call_ends_in_a_sentence(call, data):
    refuses(data.draw(call.bad()))


def test_every_function_is_described():
    assert not_described(scratch, CALLS) == set()
