"""One fault in a call, drawn at random, ends in a sentence that names the function."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.feedforward.cost_functions import scratch
from dlbook_lib.feedforward.cost_functions.scratch import (
    best_function_on_grid,
    gaussian_nll_loss,
    gaussian_nll_loss_backward,
    half_squared_norm,
    huber_loss,
    huber_loss_backward,
    l1_loss,
    l1_loss_backward,
    laplace_nll_loss,
    laplace_nll_loss_backward,
    loss_from_distribution,
    nll_loss,
    nll_loss_backward,
    pinball_loss,
    pinball_loss_backward,
    poisson_nll_loss,
    poisson_nll_loss_backward,
    total_cost,
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
    not_described,
    refuses,
)

PAIR = {"input": Floats(...), "target": Floats(...)}
MAY_BE_NAN = ("NaN",)  # a run that blows up can be looked at


def both(loss, loss_backward, dy=(...,), **arguments):
    """The descriptions of a loss and, with each sort of reduction, of its backward."""
    reduced = {"reduction": Reduction("mean", "sum")}
    each = {"reduction": Given("none")}
    return [
        Call(loss, **arguments, reduction=Reduction()),
        Call(loss_backward, dy=Number(), **arguments, **reduced),
        Call(loss_backward, dy=Floats(*dy), **arguments, **each),
    ]


SPREAD = Floats(
    ..., low=0, skip=(*MAY_BE_NAN, "the last axis", "has length 1", "() for")
)
RATES = Floats(..., low=0, skip=MAY_BE_NAN)
COUNTS = Floats(..., low=0)
CELLS = np.array([-9.0, 0.0, 9.0])
X = np.linspace(-1.0, 1.0, 6)


def square(w):
    return (w**2).sum(), [2 * w]


CALLS = [
    *both(l1_loss, l1_loss_backward, **PAIR),
    *both(huber_loss, huber_loss_backward, **PAIR, delta=Positive()),
    *both(pinball_loss, pinball_loss_backward, **PAIR, quantile=Number(0, 1)),
    *both(gaussian_nll_loss, gaussian_nll_loss_backward, **PAIR, var=SPREAD),
    *both(
        gaussian_nll_loss,
        gaussian_nll_loss_backward,
        **PAIR,
        var=Given(2.0),
        eps=Positive(),
    ),
    *both(laplace_nll_loss, laplace_nll_loss_backward, **PAIR, scale=SPREAD),
    *both(
        laplace_nll_loss,
        laplace_nll_loss_backward,
        **PAIR,
        scale=Given(2.0),
        eps=Positive(),
    ),
    *both(
        poisson_nll_loss, poisson_nll_loss_backward, input=Floats(...), target=COUNTS
    ),
    *both(
        poisson_nll_loss,
        poisson_nll_loss_backward,
        input=RATES,
        target=COUNTS,
        log_input=Given(False),
        eps=Positive(),
    ),
    *both(
        nll_loss,
        nll_loss_backward,
        dy=("N", "d"),
        input=Floats("N", "C", "d"),
        target=Labels("N", "d", classes="C"),
        weight=Floats("C", low=0, optional=True, skip=MAY_BE_NAN),
    ),
    Call(
        loss_from_distribution,
        name=Choice("gaussian", "laplace", "bernoulli", "categorical", "poisson"),
    ),
    Call(
        best_function_on_grid,
        loss=Given(l1_loss),
        x=Given(X),
        y=Floats(6),
        edges=Given(CELLS),
        values=Floats("V"),
    ),
    Call(total_cost, objective=Given(square), alpha=Positive(zero=True)),
    Call(half_squared_norm),
]


@pytest.mark.parametrize("call", CALLS[:-1], ids=str)
@given(data=st.data())
def test_a_bad_call_ends_in_a_sentence(call, data):
    refuses(data.draw(call.bad()))


def test_every_function_is_described():
    assert not_described(scratch, CALLS) == set()


NONE_COUNTS = np.array([-100, -100])
LOG_P = np.log(np.full((2, 3), 1 / 3))


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: half_squared_norm([1, 2]), TypeError, "half_squared_norm: a param"),
        (lambda: total_cost(3.0), TypeError, "total_cost: objective must be a func"),
        (lambda: total_cost(square, None), TypeError, "total_cost: omega must be a"),
        (
            lambda: total_cost(square, alpha=np.inf),
            ValueError,
            "alpha is NaN or infinite",
        ),
        (
            lambda: nll_loss(LOG_P, NONE_COUNTS),
            ValueError,
            "nll_loss: no target counts",
        ),
        (
            lambda: nll_loss(LOG_P, np.array([0, 1]), np.array([0.0, 0.0, 1.0])),
            ValueError,
            "nll_loss: no target counts",
        ),
        (
            lambda: nll_loss(LOG_P[:, :0], NONE_COUNTS, reduction="sum"),
            ValueError,
            "nll_loss: input has no classes",
        ),
        (lambda: nll_loss(np.float64(-1), 0), ValueError, "input is a single number"),
        (
            lambda: gaussian_nll_loss(X, X, np.ones((6, 1))),
            ValueError,
            r"gaussian_nll_loss: input has shape \(6,\) but var has shape \(6, 1\)",
        ),
        (lambda: gaussian_nll_loss(X, X, -1.0), ValueError, "var holds -1.0"),
        (
            lambda: best_function_on_grid(l1_loss, X, X, CELLS[:1], X),
            ValueError,
            "edges must rise",
        ),
        (
            lambda: best_function_on_grid(l1_loss, X, X, CELLS + 20, X),
            ValueError,
            "no x lies in 11.0 to 20.0",
        ),
        (
            lambda: best_function_on_grid("l1", X, X, CELLS, X),
            TypeError,
            "loss must be a function",
        ),
        (
            lambda: best_function_on_grid(l1_loss, X[:-1], X, CELLS, X),
            ValueError,
            "best_function_on_grid: x has shape",
        ),
    ],
)
def test_bad_calls_that_are_not_drawn(call, error, sentence):
    with pytest.raises(error, match=sentence):
        call()


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_a_mean_of_nothing_is_refused_and_the_rest_is_empty(reduction):
    none = np.zeros((0, 3))
    labels = np.zeros(0, int)
    calls = [
        lambda: l1_loss(none, none, reduction),
        lambda: huber_loss(none, none, reduction),
        lambda: pinball_loss(none, none, 0.3, reduction),
        lambda: gaussian_nll_loss(none, none, none, reduction=reduction),
        lambda: laplace_nll_loss(none, none, none, reduction=reduction),
        lambda: poisson_nll_loss(none, none, reduction=reduction),
        lambda: nll_loss(none, labels, reduction=reduction),
    ]
    for call in calls:
        if reduction == "mean":
            with pytest.raises(ValueError, match="no mean of an empty batch"):
                call()
        else:
            assert np.sum(call()) == 0
            assert np.shape(call())[:1] == (() if reduction == "sum" else (0,))
