"""Second derivatives through convolutions equal torch's, for every option."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from dlbook_lib.common.rng import numpy_generator, torch_generator
from dlbook_lib.convolutional.pooling import second_derivatives as pooling
from dlbook_lib.convolutional.strides_and_gradients import (
    layers,
    layers_pytorch,
    pytorch,
    scratch,
    transposed_pytorch,
)
from dlbook_lib.convolutional.strides_and_gradients import second_derivatives as twice
from dlbook_lib.feedforward.autodiff.engine import grad, tensor
from tests.convolutional.twice import functions_agree_twice, modules_agree_twice
from tests.feedforward.twice import leaves

small = st.integers(1, 2)


def third(y, leaves, penalty):
    """Gradients of the squared length of the gradient of a gradient penalty."""
    for _ in range(2):
        y = sum((g * g).sum() for g in penalty(y, leaves, create_graph=True))
    return penalty(y, leaves)


def same(ours, theirs, tolerance=1e-10):
    theirs = theirs.detach().numpy()
    scale = max(1.0, abs(theirs).max(initial=0))
    np.testing.assert_allclose(ours.data / scale, theirs / scale, 0, tolerance)


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
    conv = twice.conv2d

    def ours(x, w, b, w2, b2):
        return conv(conv(x, w, b, *options).tanh(), w2, b2, (1, 2), (1, 0)).tanh()

    def theirs(x, w, b, w2, b2):
        h = F.conv2d(x, w, b, *options).tanh()
        return F.conv2d(h, w2, b2, (1, 2), (1, 0)).tanh()

    functions_agree_twice(ours, theirs, arrays)


@pytest.mark.parametrize("name", ["conv1d", "conv_nd"])
@given(options_of(1), st.booleans(), st.integers(0, 99))
def test_series_equal_torch(name, drawn, with_bias, seed):
    kernel, size, options = drawn
    groups, rng = options[-1], numpy_generator(seed)
    shapes = [(2, 2 * groups, *size), (3 * groups, 2, *kernel), (3 * groups,)]
    arrays = [rng.normal(size=s) for s in shapes[: 2 + with_bias]]
    bias = [] if with_bias else [None]
    functions_agree_twice(
        lambda *a: getattr(twice, name)(*a, *bias, *options).sin(),
        lambda *a: F.conv1d(*a, *bias, *options).sin(),
        arrays,
    )


@given(options_of(2), st.integers(0, 99))
def test_third_derivatives_equal_torch(drawn, seed):
    kernel, size, options = drawn
    rng = numpy_generator(seed)
    groups = options[-1]
    shapes = [(2, groups, *size), (groups, 1, *kernel)]
    (x, w), (a, b) = leaves([rng.normal(size=s) for s in shapes])
    y = twice.conv2d(x, w, None, *options).sin().sum()
    z = F.conv2d(a, b, None, *options).sin().sum()
    found, expected = third(y, [x, w], grad), third(z, [a, b], torch.autograd.grad)
    for ours, theirs in zip(found, expected, strict=True):
        same(ours, theirs)


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
    ours = getattr(twice, name)
    functions_agree_twice(
        lambda *a: ours(*a, *options).tanh(),
        lambda *a: getattr(F, name)(*a, *options).tanh(),
        [rng.normal(size=s) for s in shapes],
    )


@given(st.sampled_from(sorted(scratch.PAD_MODES)), st.tuples(*[st.integers(0, 2)] * 4))
def test_padding_equals_torch(mode, around):
    x = numpy_generator(0).normal(size=(2, 2, 3, 4))
    value = [1.5] if mode == "constant" else []
    functions_agree_twice(
        lambda x: twice.pad(x.sin(), around, mode, *value),
        lambda x: F.pad(x.sin(), around, mode, *value),
        [x],
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
def test_a_layer_equals_its_twin(options):
    ours = layers.Conv2d(4, 8, (2, 3), **options, rng=numpy_generator(0))
    twin = layers_pytorch.Conv2d(4, 8, (2, 3), **options, rng=torch_generator(0))
    modules_agree_twice(ours, twin, numpy_generator(1).normal(size=(2, 4, 6, 7)))


OTHERS = [
    ("Conv1d", {"stride": 2, "padding": 1, "groups": 2}),
    ("Conv1d", {"padding": "same", "padding_mode": "reflect", "bias": False}),
    ("Conv3d", {"padding": (1, 0, 2), "dilation": (1, 2, 1)}),
    ("ConvTranspose1d", {"stride": 3, "padding": 1, "output_padding": 2}),
    ("ConvTranspose2d", {"stride": (2, 1), "groups": 2, "dilation": 2}),
    ("ConvTranspose2d", {"padding": 1, "bias": False}),
    ("ConvTranspose3d", {"stride": 2, "output_padding": 1}),
]


@pytest.mark.parametrize(("name", "options"), OTHERS)
@pytest.mark.parametrize("lead", [(), (2,)])
def test_other_layers_equal_their_twins(name, options, lead):
    ours = getattr(layers, name)(2, 4, 3, **options, rng=numpy_generator(0))
    twin = getattr(layers_pytorch, name)(2, 4, 3, **options, rng=torch_generator(0))
    size = (*lead, 2, *[3, 5, 4][: int(name[-2])])
    modules_agree_twice(ours, twin, numpy_generator(1).normal(size=size))


@pytest.mark.parametrize("n", [0, 2])
@pytest.mark.parametrize("bias", [False, True])
def test_a_layer_without_sharing_equals_its_twin(n, bias):
    sizes = 2, 3, (5, 6), (2, 3), (1, 2), bias
    ours = layers.LocallyConnected2d(*sizes, rng=numpy_generator(0))
    twin = layers_pytorch.LocallyConnected2d(*sizes, rng=torch_generator(0))
    modules_agree_twice(ours, twin, numpy_generator(1).normal(size=(n, 2, 5, 6)))


@given(st.lists(st.integers(1, 2), min_size=8, max_size=8), st.sampled_from([(), (2,)]))
def test_windows_as_columns_and_back_equal_torch(drawn, lead):

    options = (drawn[:2], drawn[2:4], [drawn[6] - 1, drawn[7] - 1], drawn[4:6])
    options = [tuple(each) for each in options]
    x = numpy_generator(0).normal(size=(*lead, 2, 4, 5))
    functions_agree_twice(
        lambda x: twice.unfold(x.sin(), *options).tanh(),
        lambda x: F.unfold(x.sin(), *options).tanh(),
        [x],
    )
    functions_agree_twice(
        lambda x: twice.fold(x.sin(), (4, 5), *options).tanh(),
        lambda x: F.fold(x.sin(), (4, 5), *options).tanh(),
        [scratch.unfold(x, *options)],
    )


def test_three_axes_equal_torch():
    rng = numpy_generator(0)
    shapes = [(2, 2, 3, 2, 4), (4, 1, 2, 2, 2), (4,)]
    arrays = [rng.normal(size=s) for s in shapes]
    options = (1, 1, 2), 1, 1, 2
    functions_agree_twice(
        lambda *a: twice.conv3d(*a, *options).tanh(),
        lambda *a: F.conv3d(*a, *options).tanh(),
        arrays,
    )
    arrays[1] = rng.normal(size=(2, 2, 2, 2, 2))
    functions_agree_twice(
        lambda *a: twice.conv_transpose3d(*a, 2, 1, 1, 2).tanh(),
        lambda *a: F.conv_transpose3d(*a, 2, 1, 1, 2).tanh(),
        arrays,
    )


@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d"])
def test_gradient_penalty_of_a_network_with_pooling_equals_torch(name):
    rng = numpy_generator(0)
    shapes = [(2, 1, 9, 9), (3, 1, 3, 3), (3,), (4, 3, 2, 2), (4,)]
    pool, their_pool = getattr(pooling, name), getattr(F, name)
    conv = twice.conv2d_by_rows

    def ours(x, w, b, w2, b2):
        h = pool(conv(x, w, b, 1, 1).tanh(), 3, 2, 1)
        return conv(h, w2, b2, 1, 0, 2).tanh()

    def theirs(x, w, b, w2, b2):
        h = their_pool(F.conv2d(x, w, b, 1, 1).tanh(), 3, 2, 1)
        return F.conv2d(h, w2, b2, 1, 0, 2).tanh()

    functions_agree_twice(ours, theirs, [rng.normal(size=s) for s in shapes])


def test_float32_stays_float32():
    rng = numpy_generator(0)
    x, w, b = (
        tensor(rng.normal(size=s).astype("f4"), requires_grad=True)
        for s in ((2, 2, 5, 5), (4, 1, 3, 3), (4,))
    )
    y = twice.conv2d(x, w, b, 2, 1, 1, 2).tanh()
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
    y = twice.conv_of_tensors(*map(tensor, (x, w, b)), *options)
    np.testing.assert_allclose(y.data, scratch.conv2d(x, w, b, *options), rtol=1e-12)
    twin = pytorch.conv_nd(*map(torch.tensor, (x, w, b)), *options)
    same(y, twin)
    options = 2, 1, 1, 2, 2
    y = twice.conv_transpose_of_tensors(*map(tensor, (x, w[:4], b[:4])), *options)
    twin = transposed_pytorch.conv_transpose_nd(
        *map(torch.tensor, (x, w[:4], b[:4])), *options
    )
    same(y, twin)
