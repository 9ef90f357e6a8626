"""Bad calls of the page's functions end in a sentence, whatever the fault."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.convolutional.strides_and_gradients import (
    layers,
    scratch,
    transposed,
)
from dlbook_lib.convolutional.strides_and_gradients import second_derivatives as twice
from tests.feedforward.bad_input import (
    Call,
    Choice,
    Floats,
    Given,
    Whole,
    Wholes,
    not_described,
    refuses,
)

FREE = ("axis 2", "axis 3", "the first axis is missing")
PAIR = ("alone",)
RNG = Given(numpy_generator(0))


def arguments(ndim, weight, skip=FREE):
    return {
        "input": Floats("N", 5, *(7, 7)[:ndim], skip=(*skip, "reverse")),
        "weight": Floats(*weight, *(3, 4)[:ndim], skip=skip[:2]),
        "bias": Floats(6, optional=True),
    }


OPTIONS = {"stride": Whole(), "padding": Whole(0), "dilation": Given(1)}
CALLS = []
for name, ndim in {"conv1d": 1, "conv2d": 2, "conv_nd": 2, "conv2d_by_rows": 2}.items():
    f, f_backward = getattr(scratch, name), getattr(scratch, f"{name}_backward")
    CALLS += [
        Call(f, **arguments(ndim, (6, 5)), **OPTIONS),
        Call(
            f_backward, dy=Floats("N", 6, *(5, 4)[:ndim]), **arguments(ndim, (6, 5), ())
        ),
    ]
for name, ndim in {"1d": 1, "2d": 2, "_nd": 2}.items():
    f = getattr(transposed, f"conv_transpose{name}")
    f_backward = getattr(transposed, f"conv_transpose{name}_backward")
    CALLS += [
        Call(f, **arguments(ndim, (5, 6)), stride=Whole()),
        Call(
            f_backward,
            dy=Floats("N", 6, *(9, 10)[:ndim]),
            **arguments(ndim, (5, 6), ()),
        ),
    ]
VOLUME_SKIP = (*FREE, "axis 4", "reverse")
VOLUME = {
    "input": Floats("N", 2, 3, 3, 3, skip=VOLUME_SKIP),
    "bias": Floats(3, optional=True),
}
DIRECT = VOLUME | {"weight": Floats(3, 2, 2, 2, 2, skip=VOLUME_SKIP)}
TRANSPOSED = VOLUME | {"weight": Floats(2, 3, 2, 2, 2, skip=VOLUME_SKIP)}
CALLS += [
    Call(scratch.conv3d, **DIRECT),
    Call(scratch.conv3d_backward, dy=Floats("N", 3, 2, 2, 2), **DIRECT),
    Call(transposed.conv_transpose3d, **TRANSPOSED),
    Call(
        transposed.conv_transpose3d_backward, dy=Floats("N", 3, 4, 4, 4), **TRANSPOSED
    ),
]
LOCAL = {
    "input": Floats("N", 5, 8, 7),
    "weight": Floats(6, 5, 3, 4, 6, 4),
    "bias": Floats(6, 6, 4, optional=True),
}
IMAGE = Floats("N", "C", 6, 7, skip=("axis", "reverse"))
CALLS += [
    Call(scratch.conv_plan, **arguments(2, (6, 5)), **OPTIONS, groups=Given(1)),
    Call(transposed.transpose_plan, **arguments(2, (5, 6)), dilation=Whole()),
    Call(twice.conv_of_tensors, **arguments(2, (6, 5)), **OPTIONS),
    Call(twice.conv_transpose_of_tensors, **arguments(2, (5, 6)), stride=Whole()),
    Call(scratch.locally_connected2d, **LOCAL),
    Call(scratch.locally_connected2d_backward, dy=Floats("N", 6, 6, 4), **LOCAL),
    Call(scratch.unfold, input=IMAGE, kernel_size=Wholes(2, skip=PAIR), stride=Whole()),
    Call(
        scratch.unfold_backward,
        dy=Floats("N", 8, 30),
        input=Floats("N", 2, 6, 7),
        kernel_size=Given(2),
    ),
    Call(
        scratch.fold,
        input=Floats("N", 8, 30, skip=("the first",)),
        output_size=Given((6, 7)),
        kernel_size=Given(2),
    ),
    Call(
        scratch.fold_backward,
        dy=Floats("N", 2, 6, 7),
        input=Floats("N", 8, 30),
        output_size=Given((6, 7)),
        kernel_size=Given(2),
    ),
    Call(
        scratch.pad,
        input=Floats("N", "C", skip=("axis", "reverse")),
        pad=Wholes(2, low=0),
        mode=Choice("constant", "replicate"),
    ),
    Call(
        scratch.pad_backward,
        dy=Floats(3, 9),
        input=Floats(3, 4),
        pad=Given((2, 3)),
        mode=Choice("constant", "replicate", "reflect", "circular"),
    ),
    Call(
        scratch.output_size, input_size=Given(30), kernel_size=Whole(), stride=Whole()
    ),
]


@pytest.mark.parametrize("call", CALLS, ids=str)
@given(data=st.data())
def test_a_bad_call_ends_in_a_sentence(call, data):
    refuses(data.draw(call.bad()))


def test_every_function_is_described():
    own = not_described(scratch, CALLS) | not_described(transposed, CALLS)
    assert own == set()


X, W = np.ones((2, 4, 6, 6)), np.ones((6, 2, 3, 3))
BAD_CALLS = [
    (
        lambda: scratch.conv2d(X, W),
        "check_operands: input has 4 channels but weight .* 2",
    ),
    (lambda: scratch.conv1d(X, W, None, 1, 0, 1, 2), "conv1d: weight must have 3"),
    (lambda: scratch.conv2d(X[0], W[0]), "conv2d: weight must have 4"),
    (lambda: scratch.conv2d(X, W, groups=3), "check_operands: input has 4 channels"),
    (lambda: scratch.conv2d(X, W[:5], groups=2), "check_operands: 5 kernels cannot"),
    (
        lambda: scratch.conv2d(X, W, groups=2.0),
        "check_operands: groups must be a whole",
    ),
    (lambda: scratch.conv2d(X, W, None, 2, "same", 1, 2), "same. wants stride 1"),
    (lambda: scratch.conv2d(X, W, None, 1, "full", 1, 2), "padding must be 'same'"),
    (lambda: scratch.conv2d(X, W, None, 1, 0, 3, 2), "output_size: the kernel spans 7"),
    (lambda: scratch.conv2d(X, W, None, 1, -1, 1, 2), "as_sizes: padding must be"),
    (lambda: scratch.conv2d(X, W, None, (1, 2, 3), 0, 1, 2), "as_sizes: stride must"),
    (
        lambda: transposed.conv_transpose2d(X, W[:4], None, 1, 0, 1),
        "output_padding .* below",
    ),
    (
        lambda: transposed.conv_transpose2d(X, W[:4], None, 1, 4),
        "padding .* leaves nothing",
    ),
    (
        lambda: transposed.conv_transpose2d(X, W),
        "input has 4 channels but weight expects 6",
    ),
    (lambda: scratch.pad(X, (6, 0), "reflect"), "pad: pad .* asks for more"),
    (lambda: scratch.pad(X, (7, 0), "circular"), "pad: pad .* asks for more"),
    (lambda: scratch.pad(X, (1,)), "pad: pad must be pairs"),
    (lambda: scratch.pad(X, (1, 1), "replicate", 0.0), "value goes with mode='const"),
    (lambda: scratch.pad(X, (1, 1), value="0"), "pad: value must be a number"),
    (lambda: scratch.fold(X[0], 6, 5), "fold: input .* does not hold windows"),
    (lambda: layers.Conv2d(4, 6, 3, groups=4, rng=RNG.value), "groups must div"),
    (lambda: layers.Conv2d(4, 6, 3, rng=0), "Conv2d: rng must be"),
    (lambda: layers.LocallyConnected2d(4, 6, 5, 3, rng=0), "rng must be"),
    (lambda: scratch.output_size(4, 5), "output_size: the kernel spans 5"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD_CALLS)
def test_other_bad_calls_get_a_sentence(call, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        call()
