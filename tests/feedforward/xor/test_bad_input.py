"""Bad calls of the page's functions end in a sentence, whatever the fault."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.xor import scratch
from dlbook_lib.feedforward.xor.scratch import (
    KernelRidge,
    ThresholdUnit,
    TwoLayerNet,
    descend,
    loss_slice,
    relu,
    relu_backward,
    train_xor,
    two_layer,
    two_layer_backward,
    xor_from_gates,
)
from tests.feedforward.bad_input import (
    Call,
    Floats,
    Given,
    Number,
    Positive,
    Several,
    Whole,
    not_described,
    refuses,
)

RNG = Given(numpy_generator(0))
UNIT = ThresholdUnit([1.0, 1.0], -0.5)
NET = TwoLayerNet(3, 4, 2, rng=numpy_generator(0))
RIDGE = KernelRidge(gamma=1.0).fit(np.eye(3), np.ones(3))
LR = Number(1e-6, 1e-3, skip=("too high",))

STACK = {
    "weight1": Floats(..., "width", "in"),
    "bias1": Floats(..., "width"),
    "weight2": Floats(..., "out", "width"),
    "bias2": Floats(..., "out"),
}
SINGLE = [Floats(*kind.shape[1:]) for kind in STACK.values()]
INPUT, TARGET = Floats("N", "in"), Floats("N", "out")
CALLS = [
    Call(ThresholdUnit, weight=Floats("in"), bias=Number()),
    Call(UNIT, input=Floats("N", 2)),
    Call(xor_from_gates, input=Floats("N", 2)),
    Call(relu, input=Floats(...)),
    Call(relu_backward, dy=Floats(...), input=Floats(...)),
    Call(two_layer, input=INPUT, **STACK),
    Call(two_layer_backward, dy=Floats(..., "N", "out"), input=INPUT, **STACK),
    Call(
        TwoLayerNet, in_features=Whole(), width=Whole(), out_features=Whole(), rng=RNG
    ),
    Call(NET.forward, input=Floats("N", 3)),
    Call(
        descend,
        parameters=Several(*STACK.values()),
        input=INPUT,
        target=TARGET,
        lr=LR,
        steps=Whole(),
    ),
    Call(train_xor, seeds=Given([0, 1]), width=Whole(), lr=LR, steps=Whole()),
    Call(KernelRidge, alpha=Positive(), gamma=Positive()),
    Call(KernelRidge(gamma=1.0).fit, X=Floats("N", "in"), y=Floats("N")),
    Call(RIDGE.predict, X=Floats("N", 3)),
    Call(RIDGE.kernel, a=Floats("N", "in"), b=Floats("M", "in")),
    Call(
        loss_slice,
        start=Several(*SINGLE),
        end=Several(*SINGLE),
        input=INPUT,
        target=TARGET,
        t=Floats("T"),
    ),
]


@pytest.mark.parametrize("call", CALLS, ids=str)
@given(data=st.data())
def test_a_bad_call_ends_in_a_sentence(call, data):
    refuses(data.draw(call.bad()))


def test_every_function_is_described():
    assert not_described(scratch, CALLS) == set()
