"""Bad calls of the page's functions end in a sentence, whatever the fault."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.convolutional.pooling import scratch
from tests.feedforward.bad_input import (
    Call,
    Floats,
    Given,
    Labels,
    Positive,
    Whole,
    Wholes,
    not_described,
    refuses,
)

ANY = ("axis 0", "axis 1", "axis 2", "axis 3", "reverse", "is missing")
IMAGE = Floats("N", "C", 9, 8, skip=ANY)
FIXED = Floats("N", "C", 6, 8, skip=("one longer",))
SIZE = Wholes(2, skip=("alone", "None"))
STRIDE = Whole(skip=("None",))
HALF = Floats("N", "C", 3, 4)
KERNEL = Wholes(2, skip=("alone",))
POSITIVE = Floats("N", "C", 9, 8, low=0, high=2, skip=(*ANY, "too", "NaN"))


CALLS = [
    Call(scratch.pool_plan, input=IMAGE, kernel_size=KERNEL, stride=STRIDE),
    Call(scratch.max_pool2d, input=IMAGE, kernel_size=KERNEL, stride=STRIDE),
    Call(scratch.max_pool2d_backward, dy=HALF, input=FIXED, kernel_size=Given(2)),
    Call(scratch.max_pool2d_by_halves, input=IMAGE),
    Call(
        scratch.max_pool2d_by_halves_backward,
        dy=Floats(2, 3, 3, 4),
        shape=Given((2, 3, 6, 8)),
        left=Given(np.ones((3, 2, 3, 4, 2), bool)),
        top=Given(np.ones((3, 3, 4, 2), bool)),
    ),
    Call(scratch.avg_pool2d, input=IMAGE, kernel_size=KERNEL, stride=STRIDE),
    Call(scratch.avg_pool2d_backward, dy=HALF, input=FIXED, kernel_size=Given(2)),
    Call(
        scratch.lp_pool2d,
        input=POSITIVE,
        norm_type=Positive(),
        kernel_size=KERNEL,
    ),
    Call(
        scratch.lp_pool2d_backward,
        dy=HALF,
        input=FIXED,
        norm_type=Given(2),
        kernel_size=Given(2),
    ),
    Call(scratch.adaptive_windows, size=Whole(), places=Whole()),
    Call(scratch.adaptive_plan, input=IMAGE, output_size=SIZE),
    Call(scratch.adaptive_avg_pool2d, input=IMAGE, output_size=SIZE),
    Call(scratch.adaptive_max_pool2d, input=IMAGE, output_size=SIZE),
    Call(scratch.global_avg_pool2d, input=IMAGE),
    Call(scratch.global_max_pool2d, input=IMAGE),
    Call(
        scratch.max_unpool2d,
        input=HALF,
        indices=Labels("N", "C", 3, 4, classes=48),
        kernel_size=Given(2),
    ),
    Call(
        scratch.max_unpool2d_backward,
        dy=FIXED,
        input=HALF,
        indices=Labels("N", "C", 3, 4, classes=48),
        kernel_size=Given(2),
    ),
    Call(
        scratch.stochastic_pool2d,
        input=Floats("N", "C", 6, 8, low=0, skip=("one longer",)),
        kernel_size=Given(2),
        noise=Floats("N", "C", 3, 4, low=0, high=1, optional=True),
    ),
    Call(
        scratch.stochastic_pool2d_backward,
        dy=HALF,
        input=Floats("N", "C", 6, 8, low=0, skip=("one longer",)),
        kernel_size=Given(2),
    ),
]
for kind in ("avg", "max"):
    adaptive = getattr(scratch, f"adaptive_{kind}_pool2d_backward")
    everything = getattr(scratch, f"global_{kind}_pool2d_backward")
    free = Floats("N", "C", 6, 8, skip=("axis 2", "axis 3"))
    CALLS += [
        Call(adaptive, dy=HALF, input=free, output_size=Given((3, 4))),
        Call(everything, dy=Floats("N", "C", 1, 1), input=free),
    ]


@pytest.mark.parametrize("call", CALLS, ids=str)
@given(data=st.data())
def test_a_bad_call_ends_in_a_sentence(call, data):
    refuses(data.draw(call.bad()))


def test_every_function_is_described():
    assert not_described(scratch, CALLS) == set()


X = np.ones((2, 3, 4, 4))
BAD_CALLS = [
    (lambda: scratch.max_pool2d(X, 5), "pool_plan: a window of 5 does not fit"),
    (lambda: scratch.max_pool2d(X, 2, padding=2), "pool_plan: a window of 2 .* half"),
    (lambda: scratch.max_pool2d(X, 0), "as_sizes: kernel_size must be"),
    (lambda: scratch.max_pool2d(X, 2, 0), "as_sizes: stride must be"),
    (lambda: scratch.max_pool2d(X, 2, dilation=4), "pool_plan: a window of 5"),
    (lambda: scratch.max_pool2d(X, 2, ceil_mode=1), "pool_plan: ceil_mode must be"),
    (lambda: scratch.max_pool2d(X, 2, return_indices=2), "return_indices must be"),
    (lambda: scratch.max_pool2d(X[:, :, :0], 2), "input size must be"),
    (
        lambda: scratch.max_pool2d(X[..., :1, :1], 2, 1, 1, 3),
        "pool_plan: a window of 4|max_pool2d: a window .* only padding",
    ),
    (lambda: scratch.avg_pool2d(X, 2, divisor_override=0), "divisor_override a whole"),
    (lambda: scratch.avg_pool2d(X, 2, count_include_pad=2), "count_include_pad must"),
    (lambda: scratch.lp_pool2d(X, 0, 2), "lp_pool2d: norm_type must be"),
    (lambda: scratch.adaptive_avg_pool2d(X, 0), "as_sizes: output_size must be"),
    (lambda: scratch.adaptive_max_pool2d(X, (1, 2, 3)), "as_sizes: output_size must"),
    (
        lambda: scratch.max_unpool2d(X, np.full(X.shape, 64), 2),
        "max_unpool2d: indices holds label 64",
    ),
    (lambda: scratch.stochastic_pool2d(-X, 2), "stochastic_pool2d: input must lie"),
    (lambda: scratch.stochastic_pool2d(X, 2, noise=X), "noise has shape"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD_CALLS)
def test_other_bad_calls_get_a_sentence(call, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        call()
