"""Pooling along one and three axes, and the layers: equal to torch's."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.convolutional.pooling import layers, other_axes
from dlbook_lib.feedforward.autodiff.engine import tensor
from tests.convolutional.twice import modules_agree_twice
from tests.feedforward.bad_input import (
    Call,
    Floats,
    Given,
    Positive,
    Whole,
    not_described,
    refuses,
)

small = st.integers(1, 3)


def compare(name, x, *options):
    t = torch.tensor(x, requires_grad=True)
    expected, y = getattr(F, name)(t, *options), getattr(other_axes, name)(x, *options)
    assert y.dtype == x.dtype
    tol = 1e-10 if x.dtype == "f8" else 1e-5
    np.testing.assert_allclose(y, expected.detach(), atol=tol)
    dy = numpy_generator(1).normal(size=y.shape).astype(x.dtype)
    expected.backward(torch.tensor(dy))
    dx = getattr(other_axes, f"{name}_backward")(dy, x, *options)
    assert dx.dtype == x.dtype
    np.testing.assert_allclose(dx, t.grad, atol=tol)


@pytest.mark.parametrize("ndim", [1, 3])
@given(data=st.data())
def test_one_and_three_axes_equal_torch(ndim, data):
    draw, several = data.draw, lambda s: tuple(data.draw(s) for _ in range(ndim))
    kernel, stride = several(small), several(small)
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    size = [2 * k - 1 + draw(st.integers(0, 2)) for k in kernel]
    lead = draw(st.sampled_from([(2,), (2, 3)]))
    x = numpy_generator(draw(st.integers(0, 99))).normal(size=(*lead, *size))
    if draw(st.booleans()):
        x = x.round()  # ties
    x = x.astype(draw(st.sampled_from(["f8", "f4"])))
    ceil_mode, count = draw(st.booleans()), draw(st.booleans())
    compare(f"max_pool{ndim}d", x, kernel, stride, padding, 1, ceil_mode)
    compare(f"avg_pool{ndim}d", x, kernel, stride, padding, ceil_mode, count)
    compare(f"max_pool{ndim}d", x, kernel, None, 0, draw(st.sampled_from([1, 2])))


LAYERS = [
    ("MaxPool1d", (3, 2, 1)),
    ("MaxPool2d", (2,)),
    ("MaxPool2d", ((2, 3), 1, 1, 2)),
    ("MaxPool3d", (2,)),
    ("AvgPool1d", (2,)),
    ("AvgPool2d", (3, 2, 1, True, False)),
    ("AvgPool3d", (2, 1)),
    ("LPPool2d", (2.0, 2)),
    ("AdaptiveAvgPool2d", ((None, 3),)),
    ("AdaptiveMaxPool2d", (2,)),
]


@pytest.mark.parametrize(("name", "options"), LAYERS)
@pytest.mark.parametrize("lead", [(3,), (2, 3)])
def test_layers_equal_torchs_and_can_be_differentiated_twice(name, options, lead):
    ndim = int(name[-2])
    x = numpy_generator(0).normal(size=(*lead, *[6, 7, 5][:ndim]))
    ours, twin = getattr(layers, name)(*options), getattr(nn, name)(*options)
    modules_agree_twice(ours, twin, x)


@pytest.mark.parametrize("kernel", [2, (3, 2)])
def test_unpooling_layer_puts_back_what_the_pooling_layer_took(kernel):
    x = numpy_generator(0).normal(size=(2, 3, 6, 8))
    ours, t = tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, at = layers.MaxPool2d(kernel, return_indices=True)(ours)
    back = layers.MaxUnpool2d(kernel)(y, at)
    found = nn.MaxPool2d(kernel, return_indices=True)(t)
    expected = nn.MaxUnpool2d(kernel)(*found)
    np.testing.assert_array_equal(back.data, expected.detach())
    (back * back).sum().backward()
    expected.square().sum().backward()
    np.testing.assert_allclose(ours.grad.data, t.grad, atol=1e-12)


SKIP = ("axis", "reverse", "the first axis is missing", "one axis more")
SERIES, VOLUME = Floats("N", 2, 6, skip=SKIP), Floats("N", 2, 4, 4, 4, skip=SKIP)
SIZES = {"kernel_size": Given(2), "stride": Whole(skip=("None",))}
CALLS = []
for kind in ("max", "avg"):
    for ndim, x, dy in ((1, SERIES, (3,)), (3, VOLUME, (2, 2, 2))):
        f = getattr(other_axes, f"{kind}_pool{ndim}d")
        f_backward = getattr(other_axes, f"{kind}_pool{ndim}d_backward")
        layer = getattr(layers, f"{kind.title()}Pool{ndim}d")
        CALLS += [
            Call(f, input=x, **SIZES),
            Call(f_backward, dy=Floats("N", 2, *dy), input=x, kernel_size=Given(2)),
            Call(layer, **SIZES, padding=Whole(0)),
        ]
CALLS += [
    Call(layers.MaxPool2d, **SIZES, padding=Whole(0)),
    Call(layers.AvgPool2d, **SIZES, padding=Whole(0)),
    Call(layers.LPPool2d, norm_type=Positive(), kernel_size=Whole()),
    Call(layers.AdaptiveAvgPool2d, output_size=Whole(skip=("None",))),
    Call(layers.AdaptiveMaxPool2d, output_size=Whole(skip=("None",))),
    Call(layers.MaxUnpool2d, kernel_size=Whole(), padding=Whole(0)),
]


@pytest.mark.parametrize("call", CALLS, ids=str)
@given(data=st.data())
def test_a_bad_call_ends_in_a_sentence(call, data):
    refuses(data.draw(call.bad()))


def test_every_function_is_described():
    inherit = {f"{kind}Pool{n}d" for kind in ("Max", "Avg") for n in (1, 3)}
    assert not_described(layers, CALLS) <= inherit | {"AdaptiveMaxPool2d"}
    parts = {"flat_sizes", "as_rows", "as_slices"}
    halves = {"pooled_twice", "pooled_twice_backward"}
    assert not_described(other_axes, CALLS) == parts | halves
