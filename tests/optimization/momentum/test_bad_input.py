"""Bad calls of the page's functions end in a sentence, whatever the fault."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.optimization.momentum import scratch
from dlbook_lib.optimization.momentum.scratch import (
    SGD,
    EMAMomentum,
    Momentum,
    Nesterov,
    average_lr,
)
from tests.feedforward.bad_input import (
    Call,
    Choice,
    Floats,
    Number,
    Positive,
    Several,
    not_described,
    refuses,
)

PARAMS = Several(
    Floats(3, skip=("axis", "axes")),
    Floats("n", "m", skip=("axis", "axes")),
    skip=("one too",),
)
RATE = Positive(zero=True)
CALLS = [
    Call(
        SGD,
        params=PARAMS,
        lr=RATE,
        momentum=RATE,
        dampening=Number(0.0, 1.0),
        weight_decay=RATE,
        maximize=Choice(True, False),
    ),
    Call(SGD, params=PARAMS, momentum=Positive(), nesterov=Choice(True)),
    Call(Momentum, params=PARAMS, lr=RATE, momentum=RATE),
    Call(EMAMomentum, params=PARAMS, lr=RATE, momentum=Number(0.0, 0.95)),
    Call(Nesterov, params=PARAMS, lr=RATE, momentum=RATE),
    Call(average_lr, lr=RATE, momentum=Number(0.0, 0.95)),
]


@pytest.mark.parametrize("call", CALLS, ids=str)
@given(data=st.data())
def test_a_bad_call_ends_in_a_sentence(call, data):
    refuses(data.draw(call.bad()))


def test_every_function_is_described():
    assert not_described(scratch, CALLS) == set()


W = np.zeros(2)
BAD_CALLS = [
    (lambda: SGD([W], nesterov=True), "SGD: nesterov needs momentum"),
    (lambda: SGD([W], 0.1, 0.9, 0.5, 0, True), "SGD: nesterov needs momentum"),
    (lambda: EMAMomentum([W], momentum=1), "EMAMomentum: momentum must be below 1"),
    (lambda: average_lr(0.1, 1), "average_lr: momentum must be below 1"),
    (lambda: Nesterov([W]).step(None), "Nesterov.step: closure must compute"),
    (lambda: Momentum([{"params": W, "dampening": 1}]), "must be 'params', 'lr' or"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD_CALLS)
def test_other_bad_calls_get_a_sentence(call, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        call()
