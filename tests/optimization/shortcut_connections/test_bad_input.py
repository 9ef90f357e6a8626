"""Bad calls of the page's functions end in a sentence, whatever the fault."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.optimization.shortcut_connections import layers, scratch
from dlbook_lib.optimization.shortcut_connections.layers import (
    DenseBlock,
    GatedSkipLayer,
    HighwayLayer,
    ResidualBlock,
)
from dlbook_lib.optimization.shortcut_connections.scratch import (
    dense_block,
    dense_block_backward,
    dense_layer,
    dense_layer_backward,
    gated_skip,
    gated_skip_backward,
    highway,
    highway_backward,
    residual,
    residual_backward,
)
from tests.feedforward.bad_input import (
    Call,
    Choice,
    Floats,
    Given,
    Number,
    Several,
    Whole,
    not_described,
    refuses,
)

RNG = Given(numpy_generator(0))
INPUT = Floats(..., "in")
RESIDUAL = {
    "input": INPUT,
    "weight1": Floats("width", "in"),
    "bias1": Floats("width", optional=True),
    "weight2": Floats("in", "width"),
    "bias2": Floats("in", optional=True),
}
PROJECTED = RESIDUAL | {"weight2": Floats("out", "width"), "bias2": Floats("out")}
PROJECTED |= {"projection": Floats("out", "in")}
for kind in (PROJECTED["bias2"], PROJECTED["projection"]):
    kind.skip = ("None",)
SQUARE, VECTOR = Floats("in", "in"), Floats("in", optional=True)
HIGHWAY = {"weight": SQUARE, "bias": VECTOR, "gate_weight": SQUARE, "gate_bias": VECTOR}
GATED = {
    "input": INPUT,
    "earlier": Floats(..., "past"),
    "weight": Floats("out", "in"),
    "skip_weight": Floats("out", "past"),
    "gate_weight": Floats("out", "past"),
    "gate_bias": Floats("out", optional=True),
}
DENSE = {"weight": Floats("growth", "in"), "bias": Floats("growth", optional=True)}
WEIGHTS = Several(Floats(2, 3), Floats(2, 5))
BIASES = Several(Floats(2), Floats(2))
BLOCK = {"input": Floats(..., 3), "weights": WEIGHTS, "biases": BIASES}
SIZES = {"in_features": Whole(), "skip_features": Whole(), "out_features": Whole()}
CALLS = [
    Call(residual, **RESIDUAL),
    Call(residual, **PROJECTED),
    Call(residual_backward, dy=INPUT, **RESIDUAL),
    Call(residual_backward, dy=Floats(..., "out"), **PROJECTED),
    Call(highway, input=INPUT, **HIGHWAY),
    Call(highway_backward, dy=INPUT, input=INPUT, **HIGHWAY),
    Call(gated_skip, **GATED),
    Call(gated_skip_backward, dy=Floats(..., "out"), **GATED),
    Call(dense_layer, input=INPUT, **DENSE),
    Call(
        dense_layer_backward,
        dy=Floats(..., 5),
        input=Floats(..., 3),
        weight=Floats(2, 3),
        bias=Floats(2, optional=True),
    ),
    Call(dense_block, **BLOCK),
    Call(dense_block_backward, dy=Floats(..., 7), **BLOCK),
    Call(
        ResidualBlock,
        in_features=Whole(),
        width=Whole(),
        out_features=Whole(skip=("None",)),
        zero_start=Choice(True, False),
        rng=RNG,
    ),
    Call(HighwayLayer, features=Whole(), gate_bias=Number(), rng=RNG),
    Call(GatedSkipLayer, **SIZES, rng=RNG),
    Call(DenseBlock, in_features=Whole(), growth=Whole(), layers=Whole(), rng=RNG),
]


@pytest.mark.parametrize("call", CALLS, ids=str)
@given(data=st.data())
def test_a_bad_call_ends_in_a_sentence(call, data):
    refuses(data.draw(call.bad()))


@pytest.mark.parametrize("module", [scratch, layers], ids=["scratch", "layers"])
def test_every_function_is_described(module):
    assert not_described(module, CALLS) == set()


X, W, B = np.ones((2, 3)), np.ones((3, 3)), np.ones(3)
BAD_CALLS = [
    (lambda: residual(X, W, B, W[:2], B[:2]), "residual: shortcut has shape .* branch"),
    (lambda: highway(X, W[:2], B[:2], W, B), "highway: input has shape .* layer"),
    (lambda: gated_skip(X, X, W, W[:2], W, B), "gated_skip: near has shape .* far"),
    (lambda: dense_block(X, [W], []), "dense_block: biases must be 1 arrays"),
    (lambda: dense_block(X, [W, W], [B, B]), "linear: "),
    (lambda: HighwayLayer(3, rng=0), "Linear: rng must be"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD_CALLS)
def test_other_bad_calls_get_a_sentence(call, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        call()
