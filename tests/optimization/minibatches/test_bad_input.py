"""Bad calls of the page's functions end in a sentence, whatever the fault."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.optimization.minibatches import gradients, scratch
from dlbook_lib.optimization.minibatches.gradients import (
    full_gradient,
    gradient_noise,
    linear_gradients_by_rows,
    logistic_hessians,
    newton_noise,
    per_example_gradients,
    random_batches,
    solved,
    standard_error,
)
from dlbook_lib.optimization.minibatches.scratch import (
    SURROGATES,
    Memorizer,
    linear_objective,
    margin,
    margin_backward,
    minibatches,
    repeat_examples,
    sgd_train,
    sorted_order,
    zero_one_loss,
)
from tests.feedforward.bad_input import (
    Call,
    Choice,
    Floats,
    Given,
    Labels,
    Number,
    Positive,
    Reduction,
    Several,
    Whole,
    not_described,
    refuses,
)


def generator():
    return numpy_generator(0)


RNG = Given(generator())
SIGNS = Floats(..., low=1.0, high=1.0)
EACH = Floats(..., skip=("axis", "axes"))
PARAMS = Several(Floats("D"), Floats())
DATA = {
    "params": PARAMS,
    "input": Floats("N", "D"),
    "target": Floats("N", low=1.0, high=1.0),
}
LOSS = Choice(*SURROGATES)
OBJECTIVE = {"objective": Given(linear_objective), **DATA}
ROWS = Floats("N", "P", skip=("axis 0 is", "axis 1 is", "reverse", "length 1"))

CALLS = [
    Call(margin, input=Floats(...), target=SIGNS),
    Call(margin_backward, dy=Floats(...), input=Floats(...), target=SIGNS),
    *[Call(f, input=EACH, reduction=Reduction()) for f, _ in SURROGATES.values()],
    *[
        Call(f, dy=Floats(...), input=Floats(...), reduction=Given("none"))
        for _, f in SURROGATES.values()
    ],
    *[
        Call(f, dy=Number(), input=EACH, reduction=Reduction("mean", "sum"))
        for _, f in SURROGATES.values()
    ],
    Call(Memorizer, input=Floats("N", "D"), target=Floats("N")),
    Call(
        Memorizer(np.eye(2), np.ones(2)),
        input=Floats("N", 2, skip=("axis", "axes in")),
    ),
    Call(linear_objective, **DATA, loss=LOSS),
    Call(linear_gradients_by_rows, **DATA, loss=LOSS),
    Call(logistic_hessians, **DATA),
    Call(
        minibatches,
        arrays=Given([np.ones((5, 2)), np.ones(5)]),
        batch_size=Whole(),
        sampler=Labels("M", classes=5, optional=True, skip=("axis 0",)),
        drop_last=Choice(True, False, skip=("None",)),
    ),
    Call(
        minibatches,
        arrays=Given([np.ones((5, 2)), np.ones(5)]),
        shuffle=Choice(True, False, skip=("None",)),
        rng=RNG,
    ),
    Call(repeat_examples, arrays=Given([np.ones(3)]), times=Whole()),
    Call(sgd_train, **OBJECTIVE, lr=Positive(), epochs=Whole(), rng=RNG),
    Call(
        sgd_train,
        objective=Given(linear_objective),
        params=Given([np.ones(2), np.array(0.0)]),
        input=Given(np.ones((3, 2))),
        target=Given(np.ones(3)),
        lr=Positive(),
        epochs=Whole(),
        batch_size=Whole(),
        shuffle=Choice(True, False, skip=("None",)),
        drop_last=Choice(True, False, skip=("None",)),
        rng=RNG,
    ),
    Call(per_example_gradients, **OBJECTIVE),
    Call(full_gradient, **OBJECTIVE, batch_size=Whole()),
    Call(
        standard_error, gradients=ROWS, n=Whole(), replace=Choice(True, skip=("None",))
    ),
    Call(gradient_noise, gradients=ROWS, n=Whole(), draws=Whole(), rng=RNG),
    Call(random_batches, count=Whole(), n=Whole(), draws=Whole(), rng=RNG),
    Call(
        solved,
        hessian=Floats("P", "P", skip=("reverse", "axes")),
        gradient=Floats("P"),
    ),
    Call(
        newton_noise,
        gradients=Floats("N", "P"),
        hessians=Floats("N", "P", "P", skip=("axis 0 has",)),
        n=Whole(),
        draws=Whole(),
        damping=Positive(),
        rng=RNG,
    ),
]


@pytest.mark.parametrize("call", CALLS, ids=str)
@given(data=st.data())
def test_a_bad_call_ends_in_a_sentence(call, data):
    refuses(data.draw(call.bad()))


def test_every_function_is_described():
    assert not_described(gradients, CALLS) == set()
    assert not_described(scratch, CALLS) == {"sorted_order"}  # below


X, Y = np.ones((3, 2)), np.ones(3)
START = [np.ones(2), np.array(0.0)]
BAD_CALLS = [
    (lambda: margin(Y, 0 * Y), "margin: target must hold only -1.0 and 1.0"),
    (lambda: zero_one_loss(Y[:0]), "zero_one_loss: there is no mean of an empty batch"),
    (lambda: linear_objective(START, X, Y * 0.5), "margin: target must hold only"),
    (lambda: linear_objective([X[0], Y], X, Y), "linear_objective: the bias must be"),
    (lambda: sorted_order(X), r"sorted_order: target must be \(N,\)"),
    (lambda: minibatches(X), "minibatches: arrays must be a list of arrays"),
    (lambda: minibatches([]), "minibatches: arrays must be a list of arrays"),
    (lambda: minibatches([X, Y[:2]]), r"minibatches: arrays have \[2, 3\] examples"),
    (lambda: minibatches([X], 1, True), "minibatches: rng must be"),
    (
        lambda: minibatches([X], 1, True, [0, 1], rng=generator()),
        "minibatches: sampler and shuffle exclude each other",
    ),
    (
        lambda: minibatches([X], 1, sampler=[3]),
        "holds 3 but there are examples 0 to 2",
    ),
    (
        lambda: sgd_train(None, START, X, Y, lr=1.0, epochs=1),
        "sgd_train: objective is None, no function",
    ),
    (
        lambda: sgd_train(linear_objective, START, X, Y, lr=1.0, epochs=1),
        "minibatches: rng must be",
    ),
    (
        lambda: per_example_gradients(linear_objective, START, X[:0], Y[:0]),
        "per_example_gradients: there are no examples",
    ),
    (
        lambda: full_gradient(linear_objective, START, X[:0], Y[:0]),
        "full_gradient: there are no examples",
    ),
    (lambda: standard_error(X, 4, False), "standard_error: n is 4, but there are 3"),
    (
        lambda: random_batches(3, 4, 1, False, rng=generator()),
        "random_batches: n is 4, but there are 3",
    ),
    (
        lambda: newton_noise(X, np.ones((2, 2, 2)), 1, rng=generator()),
        "newton_noise: hessians .* do not fit",
    ),
    (
        lambda: newton_noise(X, np.ones((3, 2, 2)), 1, rng=generator()),
        "newton_noise: a Hessian is singular",
    ),
    (
        lambda: newton_noise(X, np.ones((3, 2, 2)), 2, rng=generator()),
        "solved: the Hessian of a batch is singular",
    ),
]


@pytest.mark.parametrize(("call", "sentence"), BAD_CALLS)
def test_other_bad_calls_get_a_sentence(call, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        call()
