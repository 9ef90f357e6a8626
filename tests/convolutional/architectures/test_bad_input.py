"""Bad calls of the page's functions end in a sentence, whatever the fault."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.convolutional.architectures import scratch
from tests.feedforward.bad_input import (
    Call,
    Choice,
    Floats,
    Given,
    Number,
    Whole,
    Wholes,
    not_described,
    refuses,
)

RNG = Given(numpy_generator(0))
MAPS = Floats("N", "C", "L", skip=("axis", "reverse"))
PAIR = Floats("N", "C", "L")
SMALL = {"alpha": Given(0.1), "beta": Given(0.75), "k": Given(1.0)}
SIZE = Wholes(2, skip=("alone",))
SIZES = {"in_channels": Whole(), "out_channels": Whole()}
BRANCHES = "ch1x1", "ch3x3red", "ch3x3", "ch5x5red", "ch5x5", "pool_proj"
CALLS = [
    Call(scratch.local_response_norm, input=MAPS, size=Whole(), **SMALL),
    Call(
        scratch.local_response_norm,
        input=Given(np.ones((1, 2, 3))),
        size=Given(2),
        alpha=Number(),
        beta=Number(),
        k=Given(4.0),
    ),
    Call(
        scratch.local_response_norm_backward,
        dy=PAIR,
        input=PAIR,
        size=Whole(),
        **SMALL,
    ),
    Call(
        scratch.across_channels,
        x=Floats("N", "C", skip=("axis", "reverse")),
        size=Whole(),
        transposed=Choice(True, False),
    ),
    Call(
        scratch.MiniAlexNet,
        classes=Whole(),
        in_channels=Whole(),
        width=Whole(),
        p=Number(0, 1),
        rng=RNG,
    ),
    Call(scratch.VGGBlock, **SIZES, convs=Whole(), rng=RNG),
    Call(
        scratch.Inception,
        in_channels=Whole(),
        **{name: Whole() for name in BRANCHES},
        rng=RNG,
    ),
    Call(
        scratch.BasicBlock,
        **SIZES,
        stride=Whole(),
        residual=Choice(True, False),
        rng=RNG,
    ),
    Call(scratch.projection, **SIZES, stride=Whole(), rng=RNG),
    Call(
        scratch.Bottleneck,
        in_channels=Whole(),
        width=Whole(),
        stride=Whole(),
        rng=RNG,
    ),
    Call(
        scratch.ResNetSmall,
        blocks=Whole(),
        width=Whole(),
        classes=Whole(),
        in_channels=Whole(),
        residual=Choice(True, False),
        rng=RNG,
    ),
    Call(scratch.draw_paths, count=Whole(), p=Number(0, 1), rng=RNG),
    Call(scratch.FractalBlock, **SIZES, columns=Given(2), p=Number(0, 1), rng=RNG),
    Call(
        scratch.DenseLayer,
        in_channels=Whole(),
        growth=Whole(),
        bn_size=Whole(),
        rng=RNG,
    ),
    Call(
        scratch.DenseBlock,
        in_channels=Whole(),
        growth=Whole(),
        layers=Whole(),
        bn_size=Whole(),
        rng=RNG,
    ),
    Call(scratch.Transition, **SIZES, rng=RNG),
    Call(
        scratch.occlusion_map,
        predict=Given(lambda x: x.sum(axis=(1, 2, 3))),
        image=Floats("C", 9, 8, skip=("axis", "reverse")),
        size=SIZE,
        stride=Whole(),
        fill=Number(),
    ),
]


@pytest.mark.parametrize("call", CALLS, ids=str)
@given(data=st.data())
def test_a_bad_call_ends_in_a_sentence(call, data):
    refuses(data.draw(call.bad()))


def test_every_function_is_described():
    assert not_described(scratch, CALLS) == {"join"}  # below


X = np.ones((1, 3, 4))
BAD_CALLS = [
    (lambda: scratch.join([X, X], [True]), "join: 2 outputs need"),
    (lambda: scratch.join([X], [False]), "join: 1 outputs need"),
    (lambda: scratch.occlusion_map(lambda x: x, X, 2), "predict must give a score"),
    (lambda: scratch.occlusion_map(np.sum, X, 5), "output_size: the kernel"),
    (lambda: scratch.VGGBlock(1, 1, rng=0), "rng must be"),
    (lambda: scratch.FractalBlock(1, 1, 0, rng=RNG.value), "columns must be"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD_CALLS)
def test_other_bad_calls_get_a_sentence(call, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        call()
