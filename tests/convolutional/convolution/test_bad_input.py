"""Bad calls of the page's functions end in a sentence, whatever the fault."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.convolutional.convolution import scratch
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

FREE = ("axis 2", "axis 3", "axis 4", "the first axis is missing")
SHAPES = {"conv1d": 1, "conv2d": 2, "conv3d": 3, "conv_nd": 2, "conv2d_by_rows": 2}
SIZES, KERNEL, PLACES = (7, 7, 7), (3, 4, 2), (5, 4, 6)


def arguments(ndim, skip=()):
    return {
        "input": Floats("N", 5, *SIZES[:ndim], skip=skip),
        "weight": Floats(6, 5, *KERNEL[:ndim], skip=skip[:-1]),
        "bias": Floats(6, optional=True),
    }


CALLS = [
    Call(getattr(scratch, name), **arguments(ndim, FREE))
    for name, ndim in (SHAPES | {"conv_shape": 3}).items()
]
CALLS += [
    Call(
        getattr(scratch, f"{name}_backward"),
        dy=Floats("N", 6, *PLACES[:ndim]),
        **arguments(ndim),
    )
    for name, ndim in SHAPES.items()
]
CALLS += [
    Call(getattr(scratch, f"conv2d_{form}"), **arguments(2, (*FREE[:3], "none")))
    for form in ("loops", "toeplitz", "im2col")
]
MODE = Choice("full", "same", "valid")
LENGTHS = ("axis 0", "axis 1", "the axes in reverse")
PAIR = {
    "input": Floats(6, 7, skip=LENGTHS),
    "kernel": Floats(3, 4, skip=LENGTHS),
}
CALLS += [
    Call(scratch.convolve, **PAIR, mode=MODE),
    Call(
        scratch.convolve_backward,
        dy=Floats(8, 10),
        **PAIR,
        mode=Given("full"),
    ),
    Call(
        scratch.toeplitz_matrix,
        weight=Floats("F", "C", 1, 1, skip=FREE),
        size=Wholes(2, skip=("alone",)),
    ),
    Call(
        scratch.im2col,
        input=Floats("N", "C", 4, 5, skip=("axis 2", "axis 3", "reverse")),
        kernel_size=Wholes(2, skip=("alone",)),
    ),
    Call(scratch.batch_last, x=Floats("N", ..., skip=("axis",))),
    Call(scratch.edge_detector, image=Floats(..., 5, skip=("axis", "reverse"))),
    Call(scratch.edge_counts, height=Whole(), width=Whole()),
    Call(scratch.as_sizes, value=Wholes(2, skip=("alone",)), name=Given("size")),
    Call(
        scratch.taps,
        kernel_size=Wholes(2, skip=("alone",)),
        output_size=Wholes(2, skip=("alone",)),
        stride=Whole(),
        dilation=Whole(),
    ),
]


@pytest.mark.parametrize("call", CALLS, ids=str)
@given(data=st.data())
def test_a_bad_call_ends_in_a_sentence(call, data):
    refuses(data.draw(call.bad()))


def test_every_function_is_described():
    assert not_described(scratch, CALLS) == set()


X, W = np.ones((2, 3, 4, 4)), np.ones((5, 3, 2, 2))
BAD_CALLS = [
    (lambda: scratch.conv2d(X, W[:, :1]), "conv_shape: input has 3 channels but .* 1"),
    (lambda: scratch.conv2d(X, np.ones((5, 3, 5, 1))), "kernel is larger .* smaller"),
    (lambda: scratch.conv2d(X[0], W[0]), "conv2d: weight must have 4 dimensions"),
    (lambda: scratch.conv2d(X, W, np.ones(4)), r"conv_shape: bias has shape \(4,\)"),
    (lambda: scratch.conv2d(X.astype(int), W), "conv_shape: input must hold floating"),
    (lambda: scratch.conv2d(X, W[:0]), "conv2d: weight is empty"),
    (lambda: scratch.conv2d_loops(X[0], W), "conv2d_loops: input must have 4"),
    (lambda: scratch.im2col(X, 5), "im2col: kernel_size .* larger"),
    (lambda: scratch.im2col(X, 0), "as_sizes: kernel_size must be .* not 0"),
    (lambda: scratch.im2col(X, "2"), "as_sizes: kernel_size must be"),
    (lambda: scratch.toeplitz_matrix(W, (1, 4)), "kernel is larger"),
    (lambda: scratch.convolve(np.ones(2), np.ones(3), "valid"), "convolve: the kernel"),
    (lambda: scratch.convolve(np.ones(0), np.ones(3)), "convolve: input is empty"),
    (lambda: scratch.edge_detector(np.ones((3, 1))), "edge_detector: .* neighbours"),
    (lambda: scratch.conv2d_backward(X, X, W), "conv_nd_backward: dy has shape"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD_CALLS)
def test_other_bad_calls_get_a_sentence(call, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        call()
