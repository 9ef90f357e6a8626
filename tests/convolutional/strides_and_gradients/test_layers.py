"""Layers and functions besides `Conv2d`: equal to torch's, weights load unchanged."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.convolutional.strides_and_gradients import (
    layers,
    scratch,
    transposed,
)
from dlbook_lib.feedforward.autodiff.engine import tensor
from tests.feedforward.bad_input import (
    Call,
    Choice,
    Given,
    Whole,
    Wholes,
    not_described,
    refuses,
)

RNG = Given(numpy_generator(0))
small = st.integers(1, 2)


@pytest.mark.parametrize("name", ["conv3d", "conv_transpose3d"])
@given(data=st.data())
def test_three_axes_equal_torch(name, data):
    draw, rng = data.draw, numpy_generator(0)
    groups, c, f, n = (draw(small) for _ in range(4))
    kernel = [draw(small) for _ in range(3)]
    stride, padding = tuple(draw(small) for _ in range(3)), draw(st.integers(0, 1))
    transpose = name == "conv_transpose3d"
    lead = (c * groups, f) if transpose else (f * groups, c)
    options = (stride, 0, 0, groups) if transpose else (stride, padding, 1, groups)
    arrays = [
        rng.normal(size=(n, c * groups, 3, 2, 4)),
        rng.normal(size=(*lead, *kernel)),
        rng.normal(size=f * groups),
    ]
    tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
    expected = getattr(F, name)(*tensors, *options)
    module = transposed if transpose else scratch
    y = getattr(module, name)(*arrays, *options)
    np.testing.assert_allclose(y, expected.detach(), atol=1e-10)
    dy = rng.normal(size=y.shape)
    expected.backward(torch.tensor(dy))
    found = getattr(module, f"{name}_backward")(dy, *arrays, *options)
    for ours, t in zip(found, tensors, strict=True):
        np.testing.assert_allclose(ours, t.grad, atol=1e-10)


LAYERS = [
    ("Conv1d", {"stride": 2, "padding": 1, "groups": 2}),
    ("Conv1d", {"padding": "same", "padding_mode": "reflect", "bias": False}),
    ("Conv3d", {"padding": (1, 0, 2), "dilation": (1, 2, 1)}),
    ("Conv3d", {"padding": 1, "padding_mode": "circular", "groups": 4}),
    ("ConvTranspose1d", {"stride": 3, "padding": 1, "output_padding": 2}),
    ("ConvTranspose2d", {"stride": (2, 1), "groups": 2, "dilation": 2}),
    ("ConvTranspose2d", {"padding": 1, "bias": False}),
    ("ConvTranspose3d", {"stride": 2, "output_padding": 1}),
]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("name", "options"), LAYERS)
def test_layers_load_torchs_weights_and_agree(name, options, dtype):
    ndim = int(name[-2])
    twin = getattr(nn, name)(4, 8, 3, **options, dtype=getattr(torch, dtype))
    ours = getattr(layers, name)(4, 8, 3, **options, rng=RNG.value, dtype=dtype)
    start = ours.weight.data
    bound = abs(twin.weight.detach().numpy()).max()
    assert 0.85 < abs(start).max() / bound < 1.15
    ours.load_state_dict(twin.state_dict())
    x = numpy_generator(1).normal(size=(2, 4, *[5, 6, 7][:ndim])).astype(dtype)
    pixels, t = tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, expected = ours(pixels), twin(t)
    tol = 1e-10 if dtype == "float64" else 1e-4
    assert y.dtype == dtype
    np.testing.assert_allclose(y.data, expected.detach(), atol=tol)
    y.sum().backward()
    expected.sum().backward()
    np.testing.assert_allclose(pixels.grad.data, t.grad, atol=tol)
    for p, q in zip(ours.parameters(), twin.parameters(), strict=True):
        np.testing.assert_allclose(p.grad.data, q.grad, atol=tol * 100)


SERIES = {"padding": Whole(0), "stride": Whole(), "groups": Given(1), "rng": RNG}
SIZES = {"in_channels": Whole(), "out_channels": Whole(), "kernel_size": Given(2)}
TRANSPOSE = {"stride": Whole(), "rng": RNG, "dtype": Choice("float64", "float32")}
CALLS = [
    Call(
        layers.Conv2d,
        in_channels=Whole(),
        out_channels=Whole(),
        kernel_size=Wholes(2, skip=("alone",)),
        stride=Whole(),
        padding=Whole(0),
        groups=Given(1),
        padding_mode=Choice("zeros", "reflect", "replicate", "circular"),
        rng=RNG,
    ),
    Call(
        layers.LocallyConnected2d,
        in_channels=Whole(),
        out_channels=Whole(),
        input_size=Given(9),
        kernel_size=Wholes(2, skip=("alone",)),
        stride=Whole(),
        rng=RNG,
    ),
    Call(layers.Conv1d, **SIZES, **SERIES),
    Call(layers.Conv3d, **SIZES, **SERIES),
    Call(layers.ConvTranspose1d, **SIZES, **TRANSPOSE),
    Call(layers.ConvTranspose2d, **SIZES, **TRANSPOSE),
    Call(layers.ConvTranspose3d, **SIZES, **TRANSPOSE),
]


@pytest.mark.parametrize("call", CALLS, ids=str)
@given(data=st.data())
def test_a_bad_call_ends_in_a_sentence(call, data):
    refuses(data.draw(call.bad()))


def test_every_function_is_described():
    described = not_described(layers, CALLS)
    assert described <= {"Conv1d", "Conv3d", "ConvTranspose1d", "ConvTranspose3d"}


def test_groups_and_padding_are_looked_at_when_a_layer_is_built():
    with pytest.raises(ValueError, match="groups must divide"):
        layers.ConvTranspose2d(4, 6, 3, groups=4, rng=RNG.value)
    with pytest.raises(ValueError, match=r"output_padding .* must be below"):
        layers.ConvTranspose2d(4, 6, 3, output_padding=1, rng=RNG.value)


def test_a_layer_is_built_whatever_its_reach():
    rng = RNG.value
    layers.Conv3d(64, 8, 7, rng=rng)  # no probe that takes memory
    y = layers.Conv2d(1, 1, 3, dilation=200, rng=rng)(np.ones((1, 401, 402)))
    assert y.shape == (1, 1, 2)
    y = layers.ConvTranspose2d(1, 1, 3, padding=60, rng=rng)(np.ones((1, 120, 121)))
    assert y.shape == (1, 2, 3)


@pytest.mark.parametrize("dtype", [int, "float16", torch.float32, None])
def test_parameters_are_float64_or_float32(dtype):
    for kind in (layers.Conv1d, layers.ConvTranspose2d):
        with pytest.raises(TypeError, match="dtype must be float or"):
            kind(1, 1, 3, rng=RNG.value, dtype=dtype)
    assert layers.Conv2d(1, 1, 3, rng=RNG.value).weight.dtype == float
