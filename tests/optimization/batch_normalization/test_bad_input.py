"""Bad calls of the page's functions end in a sentence, whatever the fault."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.optimization.batch_normalization import scratch
from dlbook_lib.optimization.batch_normalization.scratch import (
    affine,
    affine_backward,
    batch_norm,
    batch_norm_backward,
    batch_norm_by_channel,
    batch_norm_by_channel_backward,
    channelwise,
    group_norm,
    group_norm_backward,
    instance_norm,
    instance_norm_backward,
    layer_norm,
    layer_norm_backward,
    standardize,
    standardize_backward,
    track_,
)
from tests.feedforward.bad_input import (
    Call,
    Choice,
    Dim,
    Floats,
    Given,
    Number,
    Positive,
    not_described,
    refuses,
)

EPS, SHARE = Positive(), Number(0.0, 1.0)
FLAG = Choice(True, False)
LENGTH = ("axis 0 has length", "axis 2 has length", "axis 0 is one", "axis 2 is one")
INPUT = Floats("N", "C", "L", skip=(*LENGTH, "last axis", "at the end"))
DY = Floats("N", "C", "L")
WEIGHT = Floats("C", optional=True)
STATS = {"running_mean": Floats("C"), "running_var": Floats("C", low=0.5, high=1.5)}
for each in STATS.values():
    each.skip = ("too", "NaN")
STATE = {"weight": WEIGHT, "bias": WEIGHT}
BATCH = {**STATS, **STATE, "training": FLAG, "momentum": Given(0.1), "eps": EPS}
OWN = {**STATS, **STATE, "use_input_stats": FLAG, "momentum": Given(0.1), "eps": EPS}
LAYER = {"normalized_shape": Given((4,)), "weight": Floats(4, optional=True)}
LAYER |= {"bias": Floats(4, optional=True), "eps": EPS}
GROUP = {"num_groups": Given(2), "weight": Floats(4, optional=True)}
GROUP |= {"bias": Floats(4, optional=True), "eps": EPS}
FOUR = Floats("N", 4, "L", skip=(*LENGTH, "last axis", "at the end"))
FIXED = {"weight": Floats("C"), "mean": Floats("C"), "inv_std": Floats("C")}
CALLS = [
    Call(standardize, input=Floats(...), dim=Dim(skip=("list",)), eps=EPS),
    Call(standardize_backward, dy=DY, input=DY, dim=Given((0, 2)), eps=EPS),
    Call(channelwise, x=Floats("C"), input=INPUT, name=Given("x")),
    Call(affine, input=INPUT, **STATE),
    Call(affine_backward, dy=DY, input=DY, **STATE),
    Call(
        track_,
        **STATS,
        input=INPUT,
        dim=Given((0, 2)),
        momentum=SHARE,
    ),
    Call(batch_norm, input=INPUT, **BATCH),
    Call(batch_norm_backward, dy=DY, input=DY, **(BATCH | {"training": Given(False)})),
    Call(layer_norm, input=Floats(..., 4), **LAYER),
    Call(layer_norm_backward, dy=Floats(..., 4), input=Floats(..., 4), **LAYER),
    Call(group_norm, input=FOUR, **GROUP),
    Call(group_norm_backward, dy=Floats("N", 4), input=Floats("N", 4), **GROUP),
    Call(instance_norm, input=INPUT, **OWN),
    Call(
        instance_norm_backward,
        dy=DY,
        input=DY,
        **(OWN | {"use_input_stats": Given(False)}),
    ),
    Call(batch_norm_by_channel, input=INPUT, weight=WEIGHT, bias=WEIGHT, eps=EPS),
    Call(batch_norm_by_channel_backward, dy=DY, input=DY, **FIXED),
]


@pytest.mark.parametrize("call", CALLS, ids=str)
@given(data=st.data())
def test_a_bad_call_ends_in_a_sentence(call, data):
    refuses(data.draw(call.bad()))


def test_every_function_is_described():
    assert not_described(scratch, CALLS) == set()


X = np.ones((4, 3))
BAD_CALLS = [
    (lambda: batch_norm(X, None, None), "channelwise: running_mean must hold"),
    (lambda: batch_norm(X[0], None, None, training=True), "batch_norm: input"),
    (lambda: batch_norm(X, [0.0] * 3, X[0], training=True), "track_: running_mean is"),
    (lambda: track_(X[0], X[0], X[:1], 0), "track_: one number has no variance"),
    (lambda: track_(X[0], X[0], X, 2), "track_: dim must lie between -2 and 1"),
    (lambda: layer_norm(X, 3), "layer_norm: normalized_shape must be a tuple"),
    (lambda: layer_norm(X, (4,)), "layer_norm: input .* does not end in"),
    (lambda: layer_norm(X, ()), "layer_norm: normalized_shape must be a tuple"),
    (lambda: group_norm(X, 2), "group_norm: input .* divisible"),
    (lambda: instance_norm(X), "instance_norm: input .* more than one place"),
    (lambda: standardize(X, 0, eps=0.0), "standardize: eps must be a number above 0"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD_CALLS)
def test_other_bad_calls_get_a_sentence(call, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        call()
