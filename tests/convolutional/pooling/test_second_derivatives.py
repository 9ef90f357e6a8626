"""Second derivatives through pooling equal torch's, for every option."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.convolutional.pooling import pytorch, scratch
from dlbook_lib.convolutional.pooling import second_derivatives as twice
from dlbook_lib.feedforward.autodiff.engine import grad, register, tensor

small = st.integers(1, 3)
pair = st.tuples(small, small)


def compare(name, theirs, x, *options):
    """Value, gradient, and the gradient of a gradient penalty."""
    ours, leaf = tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y = getattr(twice, name)(ours.sin(), *options)
    expected = theirs(leaf.sin(), *options)
    np.testing.assert_allclose(y.data, expected.detach(), rtol=1e-10, atol=1e-10)
    dy = numpy_generator(1).normal(size=y.shape)
    (first,) = grad((y * y * dy).sum(), ours, create_graph=True)
    total = (expected * expected * torch.tensor(dy)).sum()
    (their_first,) = torch.autograd.grad(total, leaf, create_graph=True)
    (second,) = grad((first * first).sum(), ours)
    (their_second,) = torch.autograd.grad((their_first**2).sum(), leaf)
    for found, wanted in ((first, their_first.detach()), (second, their_second)):
        np.testing.assert_allclose(found.data, wanted, rtol=1e-10, atol=1e-10)


@st.composite
def images(draw, low):
    rng = numpy_generator(draw(st.integers(0, 999)))
    lead = draw(st.sampled_from([(2,), (1, 2), (2, 1), (0, 2)]))
    return rng.normal(size=(*lead, *(n + draw(st.integers(0, 3)) for n in low)))


@given(pair, st.one_of(st.none(), pair), pair, st.booleans(), st.data())
def test_through_max_pooling(kernel, stride, dilation, ceil_mode, data):
    padding = tuple(data.draw(st.integers(0, k // 2)) for k in kernel)
    low = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    options = kernel, stride, padding, dilation, ceil_mode
    compare("max_pool2d", F.max_pool2d, data.draw(images(low)), *options)


@given(pair, st.one_of(st.none(), pair), st.booleans(), st.booleans(), st.data())
def test_through_average_pooling(kernel, stride, ceil_mode, count, data):
    padding = tuple(data.draw(st.integers(0, k // 2)) for k in kernel)
    divisor = data.draw(st.sampled_from([None, 3]))
    options = kernel, stride, padding, ceil_mode, count, divisor
    compare("avg_pool2d", F.avg_pool2d, data.draw(images(kernel)), *options)


@settings(max_examples=15)
@given(images((2, 3)), st.one_of(small, pair))
def test_through_adaptive_and_global_pooling(x, output_size):
    compare("adaptive_avg_pool2d", F.adaptive_avg_pool2d, x, output_size)
    compare("global_avg_pool2d", pytorch.global_avg_pool2d, x)
    if x.size:
        compare("adaptive_max_pool2d", F.adaptive_max_pool2d, x, output_size)
        compare("global_max_pool2d", pytorch.global_max_pool2d, x)


@settings(max_examples=15)
@given(images((2, 3)))
def test_through_halves(x):
    compare("max_pool2d_by_halves", lambda x: F.max_pool2d(x, 2), x)


@settings(max_examples=15)
@given(pair, st.one_of(st.none(), pair), st.sampled_from([1.0, 2.0, 3.0, 2.5]))
def test_through_norms(kernel, stride, p):
    x = numpy_generator(0).uniform(0.2, 1.4, (2, 2, 5, 4))
    compare("lp_pool2d", F.lp_pool2d, x, p, kernel, stride)


def test_through_unpooling():
    x = numpy_generator(0).normal(size=(2, 3, 4, 6))
    y, at = scratch.max_pool2d(x, 2, return_indices=True)
    leaf, their_leaf = (
        tensor(y, requires_grad=True),
        torch.tensor(y, requires_grad=True),
    )
    ours = twice.max_unpool2d(leaf.sin(), at, 2)
    theirs = F.max_unpool2d(their_leaf.sin(), torch.tensor(at), 2)
    (first,) = grad((ours * ours * x).sum(), leaf, create_graph=True)
    total = (theirs * theirs * torch.tensor(x)).sum()
    (their_first,) = torch.autograd.grad(total, their_leaf, create_graph=True)
    (second,) = grad((first * first).sum(), leaf)
    (their_second,) = torch.autograd.grad((their_first**2).sum(), their_leaf)
    np.testing.assert_allclose(second.data, their_second, rtol=1e-10)


def test_the_transpose_of_a_linear_map_is_a_linear_map():
    matrix = numpy_generator(0).normal(size=(3, 4))
    f = twice.linear_map(lambda x: x @ matrix.T, lambda dy, x: dy @ matrix)
    x = tensor(np.ones((2, 4)), requires_grad=True)
    (first,) = grad((f(x) ** 3).sum(), x, create_graph=True)
    (second,) = grad((first * first).sum(), x)
    y = x.data @ matrix.T
    slope = 3 * y**2 @ matrix
    expected = (2 * slope @ matrix.T * 6 * y) @ matrix
    np.testing.assert_allclose(second.data, expected)


def test_keywords_float32_and_the_kernels_of_scratch_for_the_gradient():
    x = tensor(
        numpy_generator(0).normal(size=(2, 4, 6)).astype("f4"), requires_grad=True
    )
    y = twice.max_pool2d(x, kernel_size=3, stride=2, padding=1)
    (first,) = grad((y * y).sum(), x, create_graph=True)
    (second,) = grad((first * first).sum(), x)
    assert first.dtype == second.dtype == "float32"
    plain = register(scratch.max_pool2d, scratch.max_pool2d_backward)
    z = plain(x, 3, 2, 1)
    np.testing.assert_array_equal(grad((z * z).sum(), x)[0].data, first.data)
    with pytest.raises(RuntimeError, match="reference="):
        grad((plain(x, 3, 2, 1) ** 2).sum(), x, create_graph=True)
