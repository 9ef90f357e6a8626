"""Strides and gradients: values and gradients equal torch's, for every option."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from dlbook_lib.common.rng import numpy_generator, torch_generator
from dlbook_lib.convolutional.strides_and_gradients import (
    layers,
    layers_pytorch,
    pytorch,
    scratch,
    transposed,
    transposed_pytorch,
)

small = st.integers(1, 3)


def compare(name, theirs, arrays, *options, rtol=1e-10):
    module = transposed if "transpose" in name else scratch
    f, f_backward = getattr(module, name), getattr(module, f"{name}_backward")
    tensors = [a is not None and torch.tensor(a, requires_grad=True) for a in arrays]
    tensors = [t if t is not False else None for t in tensors]
    expected = theirs(*tensors, *options)
    y = f(*arrays, *options)
    assert y.dtype == arrays[0].dtype
    np.testing.assert_allclose(y, expected.detach(), rtol=rtol, atol=rtol)
    dy = numpy_generator(1).normal(size=y.shape).astype(y.dtype)
    expected.backward(torch.tensor(dy))
    found = f_backward(dy, *arrays, *options)
    found = found if isinstance(found, tuple) else (found,)
    for ours, t in zip(found, tensors, strict=True):
        if t is None:
            assert ours is None
        else:
            assert ours.dtype == dy.dtype
            np.testing.assert_allclose(ours, t.grad, rtol=rtol, atol=rtol)


def draw_arrays(draw, ndim, shape, weight_shape, out):
    rng, dtype = numpy_generator(draw(st.integers(0, 99))), draw(st.sampled_from("fd"))
    shapes = [shape, weight_shape, (out,)]
    arrays = [rng.normal(size=s).astype(dtype) for s in shapes]
    if draw(st.booleans()):
        arrays[2] = None
    if draw(st.booleans()):  # not contiguous
        arrays[0] = np.repeat(arrays[0], 2, axis=-1)[..., ::2]
    return arrays, {"d": 1e-10, "f": 1e-4}[dtype]


@pytest.mark.parametrize("ndim", [1, 2])
@given(data=st.data())
def test_convolution_equals_torch_with_all_options(ndim, data):
    draw = data.draw
    each = st.one_of(small, st.tuples(*[small] * ndim))
    groups, c, f = draw(small), draw(small), draw(small)
    kernel, dilation = [draw(small) for _ in range(ndim)], draw(each)
    span = [
        d * (k - 1) + 1
        for d, k in zip(scratch.as_sizes(dilation, "", ndim), kernel, strict=True)
    ]
    padding = draw(st.sampled_from([0, 1, 2, "same", "valid", (2, 0)[:ndim]]))
    stride = 1 if padding == "same" else draw(each)
    size = [n + draw(st.integers(0, 4)) for n in span]
    lead = draw(st.sampled_from([(), (0,), (1,), (3,)]))
    arrays, rtol = draw_arrays(
        draw,
        ndim,
        (*lead, c * groups, *size),
        (f * groups, c, *kernel),
        f * groups,
    )
    options = stride, padding, dilation, groups
    compare(f"conv{ndim}d", getattr(F, f"conv{ndim}d"), arrays, *options, rtol=rtol)
    compare("conv_nd", pytorch.conv_nd, arrays, *options, rtol=rtol)
    tensors = [torch.tensor(a) for a in arrays[:2]]
    plan = scratch.conv_plan(*arrays, *options)
    assert plan == pytorch.conv_plan(*tensors, None, *options)


@pytest.mark.parametrize("ndim", [1, 2])
@given(data=st.data())
def test_transposed_convolution_equals_torch_with_all_options(ndim, data):
    draw = data.draw
    each = st.one_of(small, st.tuples(*[small] * ndim))
    groups, c, f = draw(small), draw(small), draw(small)
    kernel, stride, dilation = (
        [draw(small) for _ in range(ndim)],
        draw(each),
        draw(each),
    )
    most = [
        max(s, d)
        for s, d in zip(
            scratch.as_sizes(stride, "", ndim),
            scratch.as_sizes(dilation, "", ndim),
            strict=True,
        )
    ]
    extra = tuple(draw(st.integers(0, n - 1)) for n in most)
    size = [draw(st.integers(1, 4)) for _ in range(ndim)]
    lead = draw(st.sampled_from([(), (0,), (1,), (3,)]))
    arrays, rtol = draw_arrays(
        draw,
        ndim,
        (*lead, c * groups, *size),
        (c * groups, f, *kernel),
        f * groups,
    )
    options = [stride, draw(st.integers(0, 2)), extra, groups, dilation]
    full = transposed.transpose_plan(*arrays, stride, 0, extra, groups, dilation)[3]
    if min(full) <= 2 * options[1]:
        options[1] = 0
    name = f"conv_transpose{ndim}d"
    compare(name, getattr(F, name), arrays, *options, rtol=rtol)
    compare(
        "conv_transpose_nd",
        transposed_pytorch.conv_transpose_nd,
        arrays,
        *options,
        rtol=rtol,
    )
    tensors = [torch.tensor(a) for a in arrays[:2]]
    plan = transposed.transpose_plan(*arrays, *options)
    assert plan == transposed_pytorch.transpose_plan(*tensors, None, *options)


@pytest.mark.parametrize("name", ["conv2d", "conv_nd", "conv2d_by_rows"])
@pytest.mark.parametrize("dilation", [1, (3, 1)])
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_an_even_kernel_that_keeps_the_size_has_more_padding_at_the_end(name, dilation):
    rng = numpy_generator(0)
    arrays = [rng.normal(size=s) for s in ((2, 2, 5, 6), (3, 2, 2, 4), (3,))]
    compare(name, F.conv2d, arrays, 1, "same", dilation)
    plan = scratch.conv_plan(*arrays, 1, "same", dilation)
    assert plan == pytorch.conv_plan(*map(torch.tensor, arrays), 1, "same", dilation)
    assert plan[2] == [(0, 1) if dilation == 1 else (1, 2), (1, 2)]


@given(st.data())
def test_fold_and_unfold_equal_torch(data):
    draw = data.draw
    kernel, dilation, padding, stride = (
        (draw(small), draw(small)),
        draw(small),
        draw(st.integers(0, 2)),
        (draw(small), draw(small)),
    )
    size = tuple(dilation * (k - 1) + 1 + draw(st.integers(0, 3)) for k in kernel)
    lead = draw(st.sampled_from([(), (1,), (2,)]))
    x = numpy_generator(0).normal(size=(*lead, 2, *size))
    options = kernel, dilation, padding, stride
    compare("unfold", F.unfold, [x], *options)
    compare("fold", F.fold, [scratch.unfold(x, *options)], size, *options)


@given(st.data())
def test_padding_equals_torch(data):
    mode = data.draw(st.sampled_from(sorted(scratch.PAD_MODES)))
    amount = st.integers(0, 2)
    around = tuple(data.draw(amount) for _ in range(4))
    x = numpy_generator(0).normal(size=(data.draw(small), 2, 3, 4))
    value = data.draw(st.sampled_from([None, 1.5])) if mode == "constant" else None
    compare("pad", F.pad, [x], around, mode, value)
    compare("pad", F.pad, [x[0]], around[:2], mode, value)


@given(st.data())
def test_locally_connected_agrees_with_its_twin(data):
    draw, rng = data.draw, numpy_generator(data.draw(st.integers(0, 99)))
    kernel, places, stride = (
        (draw(small), draw(small)),
        (draw(small), draw(small)),
        (draw(small), draw(small)),
    )
    size = [(n - 1) * s + k for n, s, k in zip(places, stride, kernel, strict=True)]
    f, c = draw(small), draw(small)
    shapes = [(2, c, *size), (f, c, *kernel, *places), (f, *places)]
    arrays = [rng.normal(size=s) for s in shapes]
    if draw(st.booleans()):
        arrays[2] = None
    compare("locally_connected2d", pytorch.locally_connected2d, arrays, stride)


LAYERS = [
    {},
    {"padding": "same", "dilation": 2},
    {"padding": "same", "padding_mode": "circular", "bias": False},
    {"padding": (1, 2), "padding_mode": "reflect", "stride": 2},
    {"padding": 1, "padding_mode": "replicate", "stride": (3, 4), "groups": 2},
    {"groups": 4},
]


@pytest.mark.parametrize("options", LAYERS)
def test_modules_load_each_others_weights_and_agree(options):
    ours = layers.Conv2d(4, 8, (2, 3), **options, rng=numpy_generator(0))
    twin = layers_pytorch.Conv2d(4, 8, (2, 3), **options, rng=torch_generator(0))
    ours.load_state_dict(twin.state_dict())
    x = numpy_generator(1).normal(size=(2, 4, 6, 7))
    y, expected = ours(x), twin(torch.tensor(x))
    np.testing.assert_allclose(y.data, expected.detach(), atol=1e-12)
    (y * y).sum().backward()
    expected.square().sum().backward()
    for p, q in zip(ours.parameters(), twin.parameters(), strict=True):
        np.testing.assert_allclose(p.grad.data, q.grad, atol=1e-9)
    bound = (8 * 3 // options.get("groups", 1)) ** -0.5
    start = layers.Conv2d(4, 8, (2, 3), **options, rng=numpy_generator(0)).weight.data
    assert 0.7 * bound < abs(start).max() <= bound


def test_locally_connected_modules_agree():
    sizes = 2, 3, (5, 6), 2, (1, 2)
    ours = layers.LocallyConnected2d(*sizes, rng=numpy_generator(0))
    twin = layers_pytorch.LocallyConnected2d(*sizes, rng=torch_generator(0))
    ours.load_state_dict({k: v.numpy() for k, v in twin.state_dict().items()})
    for array in layers.LocallyConnected2d(*sizes, rng=numpy_generator(0)).parameters():
        assert 0.9 * 8**-0.5 < abs(array.data).max() <= 8**-0.5
    x = numpy_generator(1).normal(size=(2, 2, 5, 6))
    y, expected = ours(x), twin(torch.tensor(x))
    np.testing.assert_allclose(y.data, expected.detach(), atol=1e-12)
    y.sum().backward()
    expected.sum().backward()
    np.testing.assert_allclose(ours.weight.grad.data, twin.weight.grad, atol=1e-12)


@given(st.integers(1, 30), small, small, st.integers(0, 2), small)
def test_the_size_formula_is_that_of_its_twin(n, k, s, p, d):
    if d * (k - 1) < n + 2 * p:
        places = scratch.output_size((n, n + 1), k, (s, 1), p, d)
        assert places == pytorch.output_size((n, n + 1), k, (s, 1), p, d)
        assert pytorch.output_size(n, k, s, p, d) == places[0]
