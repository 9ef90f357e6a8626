"""Second derivatives through convolutions equal torch's, for every option."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from dlbook_lib.common.rng import numpy_generator, torch_generator
from dlbook_lib.convolutional.pooling import second_derivatives as pooling
from dlbook_lib.convolutional.strides_and_gradients import pytorch, scratch
from dlbook_lib.feedforward.autodiff.engine import grad, register, tensor

small = st.integers(1, 2)


def same(ours, theirs, rtol=1e-10):
    theirs = theirs.detach()
    assert ours.shape == tuple(theirs.shape)
    scale = max(1.0, abs(ours.data).max(initial=0))
    np.testing.assert_allclose(ours.data / scale, theirs / scale, rtol=0, atol=rtol)


def compare(ours, theirs, arrays, order=2, rtol=1e-10):
    """The gradient of a gradient penalty, the squared length of the gradient."""
    a = [tensor(v, requires_grad=True) for v in arrays]
    b = [torch.tensor(v, requires_grad=True) for v in arrays]
    y, z = ours(*a), theirs(*b)
    same(y, z, rtol)
    y, z = (y * y).sum(), (z * z).sum()
    for _ in range(order - 1):
        slopes = grad(y, a, create_graph=True)
        expected = torch.autograd.grad(z, b, create_graph=True)
        for g, h in zip(slopes, expected, strict=True):
            same(g, h, rtol)
        y, z = (sum((g * g).sum() for g in each) for each in (slopes, expected))
    slopes = grad(y, a, allow_unused=True)
    expected = torch.autograd.grad(z, b, allow_unused=True)
    for g, h in zip(slopes, expected, strict=True):
        if h is None:
            assert g is None or not g.data.any()
        else:
            same(tensor(np.zeros(h.shape)) if g is None else g, h, rtol)


def op(name, reference=scratch.conv_of_tensors):
    f, f_backward = getattr(scratch, name), getattr(scratch, f"{name}_backward")
    return register(f, f_backward, reference)


@st.composite
def options_of(draw, ndim):
    """Kernel, a size that it fits into, and (stride, padding, dilation, groups)."""
    each = st.one_of(small, st.tuples(*[st.integers(1, 3)] * ndim))
    kernel, dilation = [draw(st.integers(1, 3)) for _ in range(ndim)], draw(each)
    padding = draw(st.sampled_from([0, 1, "same", "valid", (2, 0)[:ndim]]))
    stride = 1 if padding == "same" else draw(each)
    both = zip(scratch.as_sizes(dilation, "", ndim), kernel, strict=True)
    size = [d * (k - 1) + 1 + draw(st.integers(0, 3)) for d, k in both]
    return kernel, size, (stride, padding, dilation, draw(small))


@given(
    options_of(2), st.sampled_from([(), (1,), (2,), (0,)]), small, st.integers(0, 99)
)
def test_gradient_penalty_through_two_layers_equals_torch(first, lead, c, seed):
    kernel, size, options = first
    groups, rng = options[-1], numpy_generator(seed)
    shapes = [
        (*lead, c * groups, *size),
        (2 * groups, c, *kernel),
        (2 * groups,),
        (3, 2 * groups, 2, 1),
        (3,),
    ]
    arrays = [rng.normal(size=s) for s in shapes]
    conv = op("conv2d")

    def ours(x, w, b, w2, b2):
        return conv(conv(x, w, b, *options).tanh(), w2, b2, (1, 2), (1, 0)).tanh()

    def theirs(x, w, b, w2, b2):
        h = F.conv2d(x, w, b, *options).tanh()
        return F.conv2d(h, w2, b2, (1, 2), (1, 0)).tanh()

    compare(ours, theirs, arrays)


@pytest.mark.parametrize("name", ["conv1d", "conv_nd"])
@settings(max_examples=10)
@given(options_of(1), st.booleans(), st.integers(0, 99))
def test_series_equal_torch(name, drawn, with_bias, seed):
    kernel, size, options = drawn
    groups, rng = options[-1], numpy_generator(seed)
    shapes = [(2, 2 * groups, *size), (3 * groups, 2, *kernel), (3 * groups,)]
    arrays = [rng.normal(size=s) for s in shapes[: 2 + with_bias]]
    bias = [] if with_bias else [None]
    compare(
        lambda *a: op(name)(*a, *bias, *options).sin(),
        lambda *a: F.conv1d(*a, *bias, *options).sin(),
        arrays,
    )


@settings(max_examples=10)
@given(options_of(2), st.integers(0, 99))
def test_third_derivatives_equal_torch(drawn, seed):
    kernel, size, options = drawn
    rng = numpy_generator(seed)
    groups = options[-1]
    shapes = [(2, groups, *size), (groups, 1, *kernel)]
    compare(
        lambda x, w: op("conv2d")(x, w, None, *options).sin(),
        lambda x, w: F.conv2d(x, w, None, *options).sin(),
        [rng.normal(size=s) for s in shapes],
        order=3,
    )


@settings(max_examples=12)
@given(st.integers(1, 2), st.data())
def test_transposed_convolution_equals_torch(ndim, data):
    draw, rng = data.draw, numpy_generator(data.draw(st.integers(0, 99)))
    each = st.one_of(small, st.tuples(*[st.integers(1, 3)] * ndim))
    stride, dilation, groups = draw(each), draw(each), draw(small)
    pairs = (scratch.as_sizes(n, "", ndim) for n in (stride, dilation))
    extra = tuple(draw(st.integers(0, max(p) - 1)) for p in zip(*pairs, strict=True))
    options = stride, draw(st.integers(0, 1)), extra, groups, dilation
    lead = draw(st.sampled_from([(), (2,)]))
    size, kernel = ([draw(st.integers(2, 3)) for _ in range(ndim)] for _ in "ab")
    shapes = [(*lead, 2 * groups, *size), (2 * groups, 3, *kernel), (3 * groups,)]
    name = f"conv_transpose{ndim}d"
    ours = op(name, scratch.conv_transpose_of_tensors)
    compare(
        lambda *a: ours(*a, *options).tanh(),
        lambda *a: getattr(F, name)(*a, *options).tanh(),
        [rng.normal(size=s) for s in shapes],
    )


@settings(max_examples=10)
@given(st.sampled_from(sorted(scratch.PAD_MODES)), st.tuples(*[st.integers(0, 2)] * 4))
def test_padding_equals_torch(mode, around):
    x = numpy_generator(0).normal(size=(2, 2, 3, 4))
    value = [1.5] if mode == "constant" else []
    compare(
        lambda x: scratch.padded(x.sin(), around, mode, *value),
        lambda x: F.pad(x.sin(), around, mode, *value),
        [x],
        order=3,
    )


LAYERS = [
    {},
    {"padding": "same", "dilation": 2},
    {"padding": "same", "padding_mode": "circular", "bias": False},
    {"padding": (1, 2), "padding_mode": "reflect", "stride": 2},
    {"padding": 1, "padding_mode": "replicate", "stride": (3, 4), "groups": 2},
    {"groups": 4, "stride": 2},
]


@pytest.mark.parametrize("options", LAYERS)
def test_gradient_penalty_of_a_layer_equals_that_of_its_twin(options):
    ours = scratch.Conv2d(4, 8, (2, 3), **options, rng=numpy_generator(0))
    twin = pytorch.Conv2d(4, 8, (2, 3), **options, rng=torch_generator(0))
    ours.load_state_dict(twin.state_dict())
    array = numpy_generator(1).normal(size=(2, 4, 6, 7))
    x, t = tensor(array, requires_grad=True), torch.tensor(array, requires_grad=True)
    y, z = ours(x).tanh(), twin(t).tanh()
    (slope,) = grad((y * y).sum(), x, create_graph=True)
    (expected,) = torch.autograd.grad((z * z).sum(), t, create_graph=True)
    same(slope, expected)
    (slope * slope).sum().backward()
    expected.square().sum().backward()
    same(x.grad, t.grad)
    for p, q in zip(ours.parameters(), twin.parameters(), strict=True):
        same(p.grad, q.grad)


@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d"])
def test_gradient_penalty_of_a_network_with_pooling_equals_torch(name):
    rng = numpy_generator(0)
    shapes = [(2, 1, 9, 9), (3, 1, 3, 3), (3,), (4, 3, 2, 2), (4,)]
    pool, their_pool = getattr(pooling, name), getattr(F, name)
    conv = op("conv2d_by_rows")

    def ours(x, w, b, w2, b2):
        h = pool(conv(x, w, b, 1, 1).tanh(), 3, 2, 1)
        return conv(h, w2, b2, 1, 0, 2).tanh()

    def theirs(x, w, b, w2, b2):
        h = their_pool(F.conv2d(x, w, b, 1, 1).tanh(), 3, 2, 1)
        return F.conv2d(h, w2, b2, 1, 0, 2).tanh()

    compare(ours, theirs, [rng.normal(size=s) for s in shapes])


def test_float32_stays_float32():
    rng = numpy_generator(0)
    x, w, b = (
        tensor(rng.normal(size=s).astype("f4"), requires_grad=True)
        for s in ((2, 2, 5, 5), (4, 1, 3, 3), (4,))
    )
    y = op("conv2d")(x, w, b, 2, 1, 1, 2).tanh()
    (slope,) = grad((y * y).sum(), x, create_graph=True)
    found = grad((slope * slope).sum(), [x, w, b])
    assert {g.dtype for g in (slope, *found)} == {np.dtype("f4")}


def test_the_reference_is_the_convolution():
    rng = numpy_generator(0)
    x, w, b = (
        rng.normal(size=(2, 4, 6, 5)),
        rng.normal(size=(6, 2, 3, 2)),
        rng.normal(size=6),
    )
    options = (2, 1), (1, 0), 2, 2
    y = scratch.conv_of_tensors(*map(tensor, (x, w, b)), *options)
    np.testing.assert_allclose(y.data, scratch.conv2d(x, w, b, *options), rtol=1e-12)
    twin = pytorch.conv_of_tensors(*map(torch.tensor, (x, w, b)), *options)
    same(y, twin)
    options = 2, 1, 1, 2, 2
    y = scratch.conv_transpose_of_tensors(*map(tensor, (x, w[:4], b[:4])), *options)
    twin = pytorch.conv_transpose_of_tensors(
        *map(torch.tensor, (x, w[:4], b[:4])), *options
    )
    same(y, twin)
