"""Bad calls of the page's functions end in a sentence, whatever the fault."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.autodiff.modules import Linear, Sequential
from dlbook_lib.optimization.initialization import scratch
from dlbook_lib.optimization.initialization.scratch import (
    calculate_gain,
    fan_in_and_fan_out,
    fill_,
    kaiming_normal_,
    kaiming_uniform_,
    lsuv_,
    normal_,
    orthogonal_,
    sparse_,
    uniform_,
    xavier_normal_,
    xavier_uniform_,
)
from tests.feedforward.bad_input import (
    Call,
    Choice,
    Floats,
    Given,
    Number,
    Positive,
    Whole,
    not_described,
    refuses,
)

RNG = Given(numpy_generator(0))
ANY, WEIGHT = Floats(...), Floats("out", "in", skip=("one axis more", "reverse"))
GAIN = Positive(zero=True)
LOWER, UPPER = Number(-2.0, -0.5, skip=("too",)), Number(0.5, 2.0, skip=("too",))
MODE = Choice("fan_in", "fan_out")
BEFORE = Choice("linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu", "selu")
HE = {"tensor": WEIGHT, "a": Number(), "mode": MODE, "nonlinearity": BEFORE}
for part in ("None", "one axis"):
    HE["a"].skip += (part,)  # None is a slope of 0.01
MODEL = Sequential(Linear(4, 3, rng=numpy_generator(0)))
CALLS = [
    Call(calculate_gain, nonlinearity=BEFORE, param=Number(skip=("None",))),
    Call(fan_in_and_fan_out, tensor=WEIGHT),
    Call(fill_, tensor=ANY, draw=Given(np.zeros)),
    Call(uniform_, tensor=ANY, a=LOWER, b=UPPER, rng=RNG),
    Call(normal_, tensor=ANY, mean=Number(), std=GAIN, rng=RNG),
    Call(xavier_uniform_, tensor=WEIGHT, gain=GAIN, rng=RNG),
    Call(xavier_normal_, tensor=WEIGHT, gain=GAIN, rng=RNG),
    Call(kaiming_uniform_, **HE, rng=RNG),
    Call(kaiming_normal_, **HE, rng=RNG),
    Call(orthogonal_, tensor=WEIGHT, gain=GAIN, rng=RNG),
    Call(
        sparse_,
        tensor=Floats("out", "in"),
        sparsity=Number(0.0, 1.0),
        std=GAIN,
        rng=RNG,
    ),
    Call(
        lsuv_,
        model=Given(MODEL),
        input=Floats("N", 4, skip=("one axis more",)),
        tol=Positive(),
        max_iter=Whole(),
        rng=RNG,
    ),
]


@pytest.mark.parametrize("call", CALLS, ids=str)
@given(data=st.data())
def test_a_bad_call_ends_in_a_sentence(call, data):
    refuses(data.draw(call.bad()))


def test_every_function_is_described():
    assert not_described(scratch, CALLS) == set()


W, RAND = np.ones((3, 4)), numpy_generator(0)
FROZEN = np.ones((3, 4))
FROZEN.flags.writeable = False
BAD_CALLS = [
    (lambda: uniform_(W, 1.0, 0.0, rng=RAND), "uniform_: b must be a number from 1.0"),
    (lambda: uniform_(W, rng=0), "uniform_: rng must be a numpy.random.Generator"),
    (lambda: normal_(W, rng=None), "normal_: rng must be a numpy.random.Generator"),
    (lambda: uniform_([0.5], rng=RAND), "fill_: tensor must be a NumPy array"),
    (lambda: normal_(np.ones(0), rng=RAND), "fill_: tensor is empty"),
    (lambda: normal_(W * 1j, rng=RAND), "fill_: tensor must hold real numbers"),
    (lambda: normal_(FROZEN, rng=RAND), "fill_: tensor must not be written to"),
    (
        lambda: xavier_normal_(W[0], rng=RAND),
        "fan_in_and_fan_out: tensor must have two",
    ),
    (lambda: kaiming_normal_(np.ones((3, 0)), rng=RAND), "fan_in.*: tensor is empty"),
    (lambda: sparse_(W, float("nan"), rng=RAND), "sparse_: sparsity must be a number"),
    (lambda: lsuv_(MODEL, np.zeros((5, 4)), rng=RAND), "lsuv_: layer 0 gives the same"),
    (lambda: lsuv_(MODEL[0], W, rng=RAND), "lsuv_: model must be a list of layers"),
    (lambda: lsuv_(MODEL, W * np.nan, rng=RAND), "lsuv_: input is NaN"),
    *[
        (lambda f=f: f(MODEL[0].weight, rng=RAND), "not Parameter; .* pass weight.data")
        for f in (uniform_, xavier_normal_, kaiming_uniform_, orthogonal_)
    ],
    (lambda: sparse_(MODEL[0].weight, 0.5, rng=RAND), "not Parameter; .* weight.data"),
    (lambda: orthogonal_([[1.0, 2.0]], rng=RAND), "fill_: tensor must be a NumPy"),
    (lambda: orthogonal_(W, rng="0"), "normal_: rng must be a numpy.random.Generator"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD_CALLS)
def test_other_bad_calls_get_a_sentence(call, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        call()
