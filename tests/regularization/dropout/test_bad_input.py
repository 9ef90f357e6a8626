"""Bad calls of the page's functions end in a sentence, whatever the fault."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.autodiff.modules import Linear
from dlbook_lib.regularization.dropout import ensembles, scratch
from dlbook_lib.regularization.dropout.ensembles import (
    Bagging,
    adaboost_score,
    adaboost_stumps,
    all_masks,
    arithmetic_mean,
    bootstrap,
    ensemble_mse,
    fit_stump,
    geometric_mean,
    majority_vote,
    mask_ensemble,
    mask_probability,
    stump,
)
from dlbook_lib.regularization.dropout.scratch import (
    DropConnect,
    Dropout,
    drop_connect,
    dropout,
    dropout_mask,
    dropout_mask_from_bytes,
    masked,
    masked_backward,
    masked_linear,
    masked_linear_backward,
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

RNG = Given(numpy_generator(0))
P = Number(0.0, 1.0)
X = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0], [3.0, 1.0]])
Y = np.array([1.0, -1.0, 1.0, 1.0])
LAYER = Linear(3, 2, rng=numpy_generator(0))
STUMPS = [(0.5, 1, 1.0, -1.0, 0.2)]


def mean(input, target):
    return lambda new: np.full(len(new), target.mean())


LINEAR = {
    "input": Floats(..., "in"),
    "weight": Floats("out", "in"),
    "mask": Floats("out", "in"),
    "bias": Floats("out", optional=True),
}
CONNECT = {key: LINEAR[key] for key in ("input", "weight", "bias")}
EACH = Floats(..., skip=("axis", "axes"))
COLUMNS = Floats("N", 3, skip=("axis 1 is", "reverse"))
CALLS = [
    Call(dropout_mask, shape=Given((2, 3)), p=P, rng=RNG),
    Call(dropout_mask_from_bytes, shape=Given((2, 3)), p=P, rng=RNG),
    Call(masked, input=Floats(...), mask=Floats(...)),
    Call(masked_backward, dy=Floats(...), input=Floats(...), mask=Floats(...)),
    Call(dropout, input=EACH, p=P, rng=RNG),
    Call(Dropout, p=P, rng=RNG),
    Call(Dropout(0.3, rng=numpy_generator(0)).forward, input=EACH),
    Call(masked_linear, **LINEAR),
    Call(masked_linear_backward, dy=Floats(..., "out"), **LINEAR),
    Call(drop_connect, **CONNECT, p=P, rng=RNG),
    Call(DropConnect, linear=Given(LAYER), p=P, rng=RNG),
    Call(all_masks, n=Whole()),
    Call(mask_probability, mask=Given(all_masks(3)), p=P),
    Call(mask_ensemble, predict=Given(np.cos), input=EACH, p=P),
    Call(
        arithmetic_mean,
        output=Floats("M", "C", skip=("last axis", "axis 1", "at the end")),
        probability=Floats("M"),
    ),
    Call(
        geometric_mean,
        output=Floats(
            "M", "C", low=0.1, high=1.0, skip=("high", "NaN", "axis 1", "at the end")
        ),
        probability=Floats("M", low=0.0, high=1.0, skip=("too", "NaN")),
    ),
    Call(
        ensemble_mse,
        v=Given(1.0),
        c=Number(0.0, 1.0, skip=("array", "too low")),
        k=Whole(),
    ),
    Call(ensemble_mse, v=Positive(zero=True), c=Given(0), k=Whole()),
    Call(majority_vote, scores=Floats("k", "N", "C")),
    Call(bootstrap, n=Whole(), k=Whole(), rng=RNG),
    Call(Bagging, fit_member=Given(mean), k=Whole(), rng=RNG),
    Call(stump, input=COLUMNS, feature=Given(2), threshold=Number(), sign=Number()),
    Call(adaboost_stumps, input=Given(X), target=Given(Y), rounds=Whole()),
    Call(adaboost_score, input=COLUMNS, stumps=Given(STUMPS)),
    Call(
        fit_stump,
        input=Floats("N", "D"),
        target=Floats("N", low=1.0, high=1.0),
        weight=Floats("N"),
    ),
]


@pytest.mark.parametrize("call", CALLS, ids=str)
@given(data=st.data())
def test_a_bad_call_ends_in_a_sentence(call, data):
    refuses(data.draw(call.bad()))


def test_every_function_is_described():
    assert not_described(scratch, CALLS) == set()
    assert not_described(ensembles, CALLS) == set()


ONE = np.ones(3)
BAD_CALLS = [
    (lambda: dropout(ONE, 0.5, rng=None), "rng must be a numpy.random.Generator"),
    (lambda: dropout(ONE, 2.0, False, rng=None), "dropout: p must be a number from 0"),
    (lambda: all_masks(30), r"all_masks: n is 30, so there are 2\*\*30 masks"),
    (lambda: mask_probability([0.3]), "mask_probability: mask must hold only 0 and 1"),
    (lambda: mask_ensemble(np.cos, 1.0), "mask_ensemble: input has no dimensions"),
    (lambda: geometric_mean([[-1.0, 2.0]], [1.0]), "geometric_mean: output holds -1"),
    (lambda: ensemble_mse(1.0, 1.5, 3), "ensemble_mse: c must be a number from"),
    (lambda: ensemble_mse(1.0, -0.6, 3), "c must be a number from -0.5 to 1.0, not"),
    (lambda: dropout_mask((-1,), rng=RNG.value), "each size in shape must be a whole"),
    (lambda: dropout_mask("ab", rng=RNG.value), "each size in shape must be a whole"),
    (lambda: dropout_mask_from_bytes((-1,), rng=RNG.value), "each size in shape must"),
    (lambda: dropout_mask(3, rng=RNG.value, dtype=int), "dtype must be floating, not"),
    (lambda: dropout_mask_from_bytes(3, rng=RNG.value, dtype="i4"), "dtype must be f"),
    (lambda: mask_ensemble(None, ONE), "predict must be a function, not None"),
    (
        lambda: Bagging(lambda x, y: None, rng=RNG.value).fit(X, Y),
        "fit_member must return a function, not None",
    ),
    (lambda: dropout(ONE, rng=RNG.value, draw="bytes"), "draw must be a function"),
    (lambda: DropConnect(None, rng=RNG.value), "linear must be a Linear, not None"),
    (lambda: bootstrap(3, 2, rng=0), "bootstrap: rng must be a numpy.random.Gener"),
    (lambda: Bagging("mean", rng=RNG.value), "fit_member must be a function, not 'm"),
    (lambda: Bagging(mean, rng=RNG.value).predict(X), "no members yet; call fit fir"),
    (lambda: Bagging(mean, rng=RNG.value).vote(X), "no members yet; call fit first"),
    (
        lambda: Bagging(mean, rng=RNG.value).fit(X, Y, [0, 1, 2]),
        "Bagging.fit: rows must have 2 dimensions",
    ),
    (lambda: arithmetic_mean(X, ["a"]), "probability must hold floating-point"),
    (lambda: fit_stump(X, 2 * Y, ONE), "fit_stump: "),
    (lambda: fit_stump(X, 2 * Y, abs(Y)), "fit_stump: target must hold only"),
    (lambda: adaboost_stumps(X, 0 * Y), "fit_stump: target must hold only"),
    (lambda: adaboost_stumps(X, Y[:3]), "fit_stump: target has shape"),
    (lambda: adaboost_stumps(X * np.nan, Y), "fit_stump: input is NaN"),
    (lambda: stump(X, 2, 0.0, 1.0), "stump: feature must be a column"),
    (lambda: stump(X, -1, 0.0, 1.0), "stump: feature must be a column"),
    (
        lambda: Bagging(mean, rng=numpy_generator(0)).fit(X, Y[:2]),
        "Bagging.fit: input and target are not examples",
    ),
    (
        lambda: Bagging(mean, rng=numpy_generator(0)).fit(X, Y, [[9]]),
        "Bagging.fit: rows holds label 9",
    ),
]


@pytest.mark.parametrize(("call", "sentence"), BAD_CALLS)
def test_other_bad_calls_get_a_sentence(call, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        call()
