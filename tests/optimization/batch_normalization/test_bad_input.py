"""Bad calls of the page's functions end in a sentence, whatever the fault."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.optimization.batch_normalization import scratch
from dlbook_lib.optimization.batch_normalization.scratch import (
    BatchNorm1d,
    BatchNorm2d,
    GroupNorm,
    InstanceNorm1d,
    InstanceNorm2d,
    LayerNorm,
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
    Whole,
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
SIZES = {"num_features": Whole(), "eps": EPS, "momentum": Number(0, 1, skip=("None",))}
FLAGS = {"affine": FLAG, "track_running_stats": FLAG}
FIXED = {"weight": Floats("C"), "mean": Floats("C"), "inv_std": Floats("C")}
IMAGE = Floats("N", 3, "H", "W", skip=("length 1", "one longer"))
IMAGE.skip = (*(f"axis {i} " for i in (0, 2, 3)),)
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
    Call(BatchNorm1d, **SIZES, **FLAGS),
    Call(BatchNorm2d, **SIZES, **FLAGS),
    Call(InstanceNorm1d, **SIZES, **FLAGS),
    Call(InstanceNorm2d, **SIZES, **FLAGS),
    Call(
        LayerNorm, normalized_shape=Whole(), eps=EPS, elementwise_affine=FLAG, bias=FLAG
    ),
    Call(GroupNorm, num_groups=Given(1), num_channels=Whole(), eps=EPS, affine=FLAG),
    Call(BatchNorm2d(3).forward, input=IMAGE),
    Call(
        GroupNorm(1, 3).forward,
        input=Floats("N", 3, "L", skip=(*LENGTH, "last axis", "at the end")),
    ),
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
    (lambda: BatchNorm1d(3)(X[:1]), "batch_norm: input .* larger batch, or eval"),
    (lambda: BatchNorm1d(3)(X[None, None]), "BatchNorm1d.forward: input .* 2 or 3 dim"),
    (lambda: BatchNorm2d(3)(X), "BatchNorm1d.forward: input .* 4 dimensions"),
    (lambda: BatchNorm1d(2)(X), "BatchNorm1d.forward: input .* with 2 channels"),
    (lambda: batch_norm(X, [0.0] * 3, X[0], training=True), "track_: running_mean is"),
    (lambda: layer_norm(X, 3), "layer_norm: normalized_shape must be a tuple"),
    (lambda: layer_norm(X, (4,)), "layer_norm: input .* does not end in"),
    (lambda: layer_norm(X, ()), "layer_norm: normalized_shape must be a tuple"),
    (lambda: group_norm(X, 2), "group_norm: input .* divisible"),
    (lambda: GroupNorm(2, 3), "GroupNorm: num_channels must be divisible"),
    (lambda: instance_norm(X), "instance_norm: input .* more than one place"),
    (lambda: standardize(X, 0, eps=0.0), "standardize: eps must be a number above 0"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD_CALLS)
def test_other_bad_calls_get_a_sentence(call, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        call()
