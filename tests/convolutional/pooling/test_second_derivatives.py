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
from tests.convolutional.twice import functions_agree_twice

small = st.integers(1, 3)
pair = st.tuples(small, small)


def compare(name, theirs, x, *options):
    """The operation of a sine, so that there is something to differentiate twice."""
    ours = getattr(twice, name)
    functions_agree_twice(
        lambda x: ours(x.sin(), *options), lambda x: theirs(x.sin(), *options), [x]
    )


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


@pytest.mark.parametrize("name", ["max_pool2d", "adaptive_max_pool2d"])
def test_indices_of_tensors_are_whole_numbers_beside_them(name):
    x = numpy_generator(0).normal(size=(2, 1, 4, 6))
    t = tensor(x, requires_grad=True)
    y, at = getattr(twice, name)(t, 2, return_indices=True)
    wanted = getattr(scratch, name)(x, 2, return_indices=True)
    for found, expected in zip((y.data, at), wanted, strict=True):
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == expected.dtype
    y.sum().backward()
    assert t.grad.data.sum() == y.data.size
    with pytest.raises(ValueError, match="return_indices must be"):
        getattr(twice, name)(t, 2, return_indices=2)


@given(pair, st.one_of(st.none(), pair), st.booleans(), st.booleans(), st.data())
def test_through_average_pooling(kernel, stride, ceil_mode, count, data):
    padding = tuple(data.draw(st.integers(0, k // 2)) for k in kernel)
    divisor = data.draw(st.sampled_from([None, 3]))
    options = kernel, stride, padding, ceil_mode, count, divisor
    compare("avg_pool2d", F.avg_pool2d, data.draw(images(kernel)), *options)


@given(images((2, 3)), st.one_of(small, pair))
def test_through_adaptive_and_global_pooling(x, output_size):
    compare("adaptive_avg_pool2d", F.adaptive_avg_pool2d, x, output_size)
    compare("global_avg_pool2d", pytorch.global_avg_pool2d, x)
    if x.size:
        compare("adaptive_max_pool2d", F.adaptive_max_pool2d, x, output_size)
        compare("global_max_pool2d", pytorch.global_max_pool2d, x)


@given(images((2, 3)))
def test_through_halves(x):
    compare("max_pool2d_by_halves", lambda x: F.max_pool2d(x, 2), x)


@given(pair, st.one_of(st.none(), pair), st.sampled_from([1.0, 2.0, 3.0, 2.5]))
def test_through_norms(kernel, stride, p):
    x = numpy_generator(0).uniform(0.2, 1.4, (2, 2, 5, 4))
    x[0, 0] = 0  # norms that have a kink here
    compare("lp_pool2d", F.lp_pool2d, x, p, kernel, stride)


@given(pair, st.one_of(st.none(), pair), st.booleans(), st.integers(0, 99))
def test_through_draws_and_weighted_means(kernel, stride, drawn, seed):
    rng = numpy_generator(seed)
    x = np.maximum(rng.normal(size=(2, 2, 4, 5)), 0)  # some windows hold only zeros
    noise = rng.uniform(size=scratch.stochastic_pool2d(x, kernel, stride).shape)
    noise = noise if drawn else None
    functions_agree_twice(
        lambda x: twice.stochastic_pool2d(x, kernel, stride, noise).sin(),
        lambda x: pytorch.stochastic_pool2d(
            x, kernel, stride, None if noise is None else torch.tensor(noise)
        ).sin(),
        [x],
    )


def test_through_unpooling():
    x = numpy_generator(0).normal(size=(2, 3, 4, 6))
    y, at = scratch.max_pool2d(x, 2, return_indices=True)
    functions_agree_twice(
        lambda y: twice.max_unpool2d(y.sin(), at, 2),
        lambda y: F.max_unpool2d(y.sin(), torch.tensor(at), 2),
        [y],
    )


@pytest.mark.parametrize("ndim", [1, 3])
@settings(max_examples=10)
@given(data=st.data())
def test_along_one_and_three_axes(ndim, data):
    draw, several = data.draw, lambda s: tuple(data.draw(s) for _ in range(ndim))
    kernel, stride = several(small), several(small)
    padding, dilation = (
        tuple(draw(st.integers(0, k // 2)) for k in kernel),
        several(st.integers(1, 2)),
    )
    size = [
        d * (k - 1) + 1 + draw(small) for k, d in zip(kernel, dilation, strict=True)
    ]
    lead = draw(st.sampled_from([(2,), (1, 2), (2, 1)]))
    x = numpy_generator(draw(st.integers(0, 99))).normal(size=(*lead, *size))
    ceil_mode, count = draw(st.booleans()), draw(st.booleans())
    name = f"max_pool{ndim}d"
    compare(name, getattr(F, name), x, kernel, stride, padding, dilation, ceil_mode)
    compare(name, getattr(F, name), x, kernel)
    name = f"avg_pool{ndim}d"
    compare(name, getattr(F, name), x, kernel, stride, padding, ceil_mode, count)


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
