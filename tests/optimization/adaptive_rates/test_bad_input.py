"""Bad calls of the page's functions end in a sentence, whatever the fault."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.feedforward.autodiff.modules import Parameter
from dlbook_lib.optimization.adaptive_rates import scratch
from dlbook_lib.optimization.adaptive_rates.scratch import (
    Adadelta,
    Adagrad,
    Adam,
    AdamInPlace,
    AdamW,
    DeltaBarDelta,
    RMSprop,
    RMSPropNesterov,
    clip_grad_norm_,
    clip_grad_value_,
    with_grads,
)
from tests.feedforward.bad_input import (
    Call,
    Choice,
    Floats,
    Given,
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
FRACTION = Number(0.0, 1.0)
FLAG = Choice(True, False)
USUAL = {"params": PARAMS, "lr": RATE, "eps": RATE}
MORE = {"weight_decay": RATE, "maximize": FLAG}


class Betas(Given):
    """A pair of decays below 1."""

    def __init__(self):
        super().__init__((0.9, 0.99))

    def faults(self, value, axes, others):
        yield "None", None
        yield "one number", 0.9
        yield "a string", "ab"
        yield "one too many", (0.9, 0.99, 0.999)
        for wrong in (1, -0.1, float("nan"), "0.9", None, True, np.ones(2)):
            yield f"the first {wrong}", (wrong, 0.9)
            yield f"the second {wrong}", [0.9, wrong]


class Leaves(Given):
    """Parameters, and things that are none."""

    def __init__(self):
        super().__init__([Parameter(np.zeros(2))])

    def faults(self, value, axes, others):
        yield "None", None
        yield "a number", 3.0
        yield "a string", "w"
        yield "arrays", [np.zeros(2)]
        yield "an array", np.zeros(2)
        yield "None in the list", [*value, None]


CALLS = [
    Call(
        DeltaBarDelta,
        params=PARAMS,
        lr=RATE,
        kappa=RATE,
        phi=FRACTION,
        theta=FRACTION,
    ),
    Call(Adagrad, **USUAL, lr_decay=RATE, initial_accumulator_value=RATE, **MORE),
    Call(RMSprop, **USUAL, alpha=FRACTION, momentum=RATE, centered=FLAG, **MORE),
    Call(RMSPropNesterov, **USUAL, alpha=FRACTION, momentum=RATE),
    Call(Adadelta, **USUAL, rho=FRACTION, **MORE),
    Call(Adam, **USUAL, betas=Betas(), amsgrad=FLAG, **MORE),
    Call(AdamInPlace, **USUAL, betas=Betas(), amsgrad=FLAG, **MORE),
    Call(AdamW, **USUAL, betas=Betas(), amsgrad=FLAG, **MORE),
    Call(clip_grad_value_, parameters=Leaves(), clip_value=RATE),
    Call(
        clip_grad_norm_,
        parameters=Leaves(),
        max_norm=RATE,
        norm_type=Positive(),
        error_if_nonfinite=FLAG,
    ),
    Call(with_grads, parameters=Leaves()),
]


@pytest.mark.parametrize("call", CALLS, ids=str)
@given(data=st.data())
def test_a_bad_call_ends_in_a_sentence(call, data):
    refuses(data.draw(call.bad()))


def test_every_function_is_described():
    assert not_described(scratch, CALLS) == set()
