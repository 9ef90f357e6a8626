"""Pooling: values and gradients equal torch's, for every option; the twins agree."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch.nn import functional as F

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.convolutional.pooling import pytorch, scratch

small = st.integers(1, 3)
pairs = st.one_of(small, st.tuples(small, small))


def compare(name, theirs, x, *options, rtol=1e-10):
    """Value and gradient; of a pair, the first is the value."""
    f, f_backward = getattr(scratch, name), getattr(scratch, f"{name}_backward")
    t = torch.tensor(x, requires_grad=True)
    expected, y = theirs(t, *options), f(x, *options)
    if isinstance(y, tuple):
        np.testing.assert_array_equal(y[1], expected[1])
        expected, y = expected[0], y[0]
    assert y.dtype == x.dtype
    np.testing.assert_allclose(y, expected.detach(), rtol=rtol, atol=rtol)
    dy = numpy_generator(1).normal(size=y.shape).astype(x.dtype)
    expected.backward(torch.tensor(dy))
    dx = f_backward(dy, x, *options)
    assert dx.dtype == x.dtype
    np.testing.assert_allclose(dx, t.grad, rtol=rtol, atol=rtol)


@st.composite
def images(draw, low=(1, 1), ties=True, empty=True):
    rng = numpy_generator(draw(st.integers(0, 999)))
    lead = draw(st.sampled_from([(2,), (1, 2), (3, 1)] + [(0, 2)] * empty))
    size = [n + draw(st.integers(0, 4)) for n in low]
    x = rng.normal(size=(*lead, *size))
    if ties and draw(st.booleans()):
        x = x.round()
    if draw(st.booleans()):  # not contiguous
        x = np.asfortranarray(x)
    return x.astype(draw(st.sampled_from(["f8", "f4"])))


@st.composite
def windows(draw):
    """Kernel, stride, padding (at most half), dilation."""
    kernel, dilation = (draw(small), draw(small)), (draw(small), draw(small))
    stride = draw(st.one_of(st.none(), pairs))
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    return kernel, stride, padding, dilation


def tolerance(x):
    return 1e-10 if x.dtype == "f8" else 1e-5


@given(windows(), st.booleans(), st.booleans(), st.data())
def test_max_pooling_equals_torch(window, ceil_mode, indices, data):
    kernel, _, _, dilation = window
    low = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    x = data.draw(images(low))
    options = *window, ceil_mode, indices
    compare("max_pool2d", F.max_pool2d, x, *options, rtol=tolerance(x))
    compare("max_pool2d", pytorch.max_pool2d, x, *options, rtol=tolerance(x))
    plan = scratch.pool_plan(x, *window, ceil_mode)
    assert plan == pytorch.pool_plan(torch.tensor(x), *window, ceil_mode)


def test_max_pooling_of_infinities_and_nan_equals_torch():
    x = numpy_generator(0).normal(size=(2, 3, 6, 6))
    x[0, 0, 2, 2] = np.nan
    x[0, 1] = -np.inf
    x[1, 1, 3, :] = np.inf
    for options in [(2,), (3, 2, 1), (3, 1, 1, 2, True)]:
        compare("max_pool2d", F.max_pool2d, x, *options)
        y, at = scratch.max_pool2d(x, *options, return_indices=True)
        expected = F.max_pool2d(torch.tensor(x), *options, return_indices=True)
        np.testing.assert_array_equal(y, expected[0])
        np.testing.assert_array_equal(at, expected[1])


@given(windows(), st.booleans(), st.booleans(), st.data())
def test_average_pooling_equals_torch(window, ceil_mode, count, data):
    kernel, stride, padding, _ = window
    x = data.draw(images(kernel))
    divisor = data.draw(st.sampled_from([None, 3]))
    options = kernel, stride, padding, ceil_mode, count, divisor
    compare("avg_pool2d", F.avg_pool2d, x, *options, rtol=tolerance(x))


@given(windows(), st.booleans(), st.sampled_from([1, 2, 3.0, 2.5]), st.data())
def test_norm_pooling_equals_torch(window, ceil_mode, p, data):
    kernel, stride, _, _ = window
    x = abs(data.draw(images(kernel, ties=False, empty=False))) + 0.1
    options = float(p), kernel, stride, ceil_mode
    compare("lp_pool2d", F.lp_pool2d, x.astype("f8"), *options)
    signed = data.draw(images(kernel, ties=False, empty=False)).astype("f8")
    compare("lp_pool2d", F.lp_pool2d, signed, 2.0, kernel, stride, ceil_mode)


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_a_window_of_zeros_has_gradient_0_as_in_torch(p, dtype):
    x = np.array([[[0.0, 0.0, 1.0, 2.0], [0.0, 0.0, 3.0, 0.0]]], dtype)
    compare("lp_pool2d", F.lp_pool2d, x, p, 2, rtol=1e-6)


@pytest.mark.parametrize(
    ("shape", "kernel", "stride", "padding"),
    [((2, 1, 1, 3), 2, None, 0), ((1, 2, 2), 3, 2, 0), ((2, 2, 1, 5), 4, 3, 1)],
)
def test_ceil_mode_takes_a_window_larger_than_the_image(shape, kernel, stride, padding):
    x = numpy_generator(0).normal(size=shape)
    compare("max_pool2d", F.max_pool2d, x, kernel, stride, padding, 1, True)
    for count in (True, False):
        options = kernel, stride, padding, True, count
        compare("avg_pool2d", F.avg_pool2d, x, *options)


@given(images(), st.one_of(small, st.tuples(small, small), st.just((None, 2))))
def test_adaptive_and_global_pooling_equal_torch(x, output_size):
    rtol = tolerance(x)
    if x.size:
        args = output_size, True
        compare("adaptive_max_pool2d", F.adaptive_max_pool2d, x, *args, rtol=rtol)
        compare("global_max_pool2d", pytorch.global_max_pool2d, x, rtol=rtol)
    compare("adaptive_avg_pool2d", F.adaptive_avg_pool2d, x, output_size, rtol=rtol)
    compare("global_avg_pool2d", pytorch.global_avg_pool2d, x, rtol=rtol)
    plan = scratch.adaptive_plan(x, output_size)
    assert plan == pytorch.adaptive_plan(torch.tensor(x), output_size)


@given(windows(), st.booleans(), st.data())
def test_unpooling_equals_torch(window, exact, data):
    kernel, stride, padding, _ = window
    strides = kernel if stride is None else scratch.as_sizes(stride, "stride")
    assume(all(s >= k for s, k in zip(strides, kernel, strict=True)))  # no winner twice
    x = data.draw(images(kernel, ties=False, empty=False))
    y, at = scratch.max_pool2d(x, kernel, stride, padding, return_indices=True)
    shape = x.shape[-2:]
    t = torch.tensor(y, requires_grad=True)
    options = kernel, stride, padding, shape
    expected = F.max_unpool2d(t, torch.tensor(at), *options)
    back = scratch.max_unpool2d(y, at, *options)
    np.testing.assert_array_equal(back, expected.detach())
    dy = numpy_generator(1).normal(size=back.shape).astype(y.dtype)
    expected.backward(torch.tensor(dy))
    found = scratch.max_unpool2d_backward(dy, y, at, *options)
    np.testing.assert_array_equal(found, t.grad)


@given(images(low=(2, 2)))
def test_halves_equal_torch(x):
    t = torch.tensor(x, requires_grad=True)
    y, pull = scratch.max_pool2d_by_halves(x)
    twin, twin_pull = pytorch.max_pool2d_by_halves(t)
    dy = numpy_generator(1).normal(size=y.shape).astype(x.dtype)
    expected = F.max_pool2d(t, 2)
    expected.backward(torch.tensor(dy))
    for found in (y, twin.detach()):
        np.testing.assert_array_equal(found, expected.detach())
    for dx in (pull(dy), twin_pull(torch.tensor(dy))):
        np.testing.assert_array_equal(dx, t.grad)
        assert str(dx.dtype).endswith(str(x.dtype))


def test_halves_keep_nan():
    x = np.array([[[np.nan, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, np.nan]]])
    for found in (
        scratch.max_pool2d_by_halves(x)[0],
        pytorch.max_pool2d_by_halves(torch.tensor(x))[0],
    ):
        np.testing.assert_array_equal(found, F.max_pool2d(torch.tensor(x), 2))


@given(windows(), st.booleans(), st.data())
def test_stochastic_pooling_agrees_with_its_twin(window, training, data):
    kernel, stride, _, _ = window
    x = np.maximum(data.draw(images(kernel)), 0).astype("f8")
    noise = None
    if training:
        shape = scratch.stochastic_pool2d(x, kernel, stride).shape
        noise = numpy_generator(2).uniform(size=shape)

    def twin(t, kernel, stride, noise):
        noise = None if noise is None else torch.tensor(noise)
        return pytorch.stochastic_pool2d(t, kernel, stride, noise)

    compare("stochastic_pool2d", twin, x, kernel, stride, noise)


@pytest.mark.parametrize("size", range(1, 12))
def test_adaptive_windows_agree_with_their_twin(size):
    for places in range(1, size + 3):
        ours = scratch.adaptive_windows(size, places)
        assert ours == pytorch.adaptive_windows(size, places)
