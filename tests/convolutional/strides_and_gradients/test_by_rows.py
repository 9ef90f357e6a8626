"""Convolution a few rows at a time: equal to the readable one and to torch, for every
option, with bounded memory."""

import tracemalloc
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.convolutional.convolution.scratch import batch_last
from dlbook_lib.convolutional.strides_and_gradients import (
    by_rows,
    layers,
    pytorch,
    scratch,
)
from dlbook_lib.convolutional.strides_and_gradients import second_derivatives as twice
from dlbook_lib.feedforward.autodiff.engine import tensor

small, pairs = st.integers(1, 3), st.tuples(*[st.integers(1, 3)] * 2)


@st.composite
def calls(draw, dtypes=("f8", "f4")):
    """Arrays dy, input, weight, bias, and the options stride, padding, dilation."""
    rng, dtype = (
        numpy_generator(draw(st.integers(0, 99))),
        draw(st.sampled_from(dtypes)),
    )
    c, f, kernel = draw(small), draw(small), draw(pairs)
    dilation = draw(pairs)
    padding = draw(st.sampled_from([0, 1, (2, 0), "same", "valid"]))
    stride = 1 if padding == "same" else draw(st.one_of(small, pairs))
    span = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    size = [n + draw(st.integers(0, 4)) for n in span]
    lead = draw(st.sampled_from([(), (0,), (1,), (5,)]))
    shapes = [(*lead, c, *size), (f, c, *kernel), (f,)]
    input, weight, bias = (rng.normal(size=s).astype(dtype) for s in shapes)
    if draw(st.booleans()):
        bias = None
    if lead and draw(st.booleans()):
        input = np.moveaxis(batch_last(input), -1, 0)
    options = stride, padding, dilation
    shape = scratch.conv2d(input, weight, bias, *options).shape
    return rng.normal(size=shape).astype(dtype), input, weight, bias, options


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("most", [1, 600, 2**21])
@given(call=calls())
def test_rows_equal_the_readable_convolution_and_torch(most, call):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(by_rows, "PIECE_BYTES", most)
        dy, *arrays, options = call
        y = scratch.conv2d_by_rows(*arrays, *options)
        found = scratch.conv2d_by_rows_backward(dy, *arrays, *options)
    tol = {"rtol": 1e-10, "atol": 1e-10} if dy.dtype == "f8" else {"atol": 2e-4}
    np.testing.assert_allclose(y, scratch.conv2d(*arrays, *options), **tol)
    expected = scratch.conv2d_backward(dy, *arrays, *options)
    tensors = [None if a is None else torch.tensor(a) for a in arrays]
    tensors = [None if t is None else t.requires_grad_() for t in tensors]
    for theirs in (F.conv2d, pytorch.conv2d_by_rows):
        out = theirs(*tensors, *options)
        np.testing.assert_allclose(y, out.detach(), **tol)
        grads = torch.autograd.grad(
            out, [t for t in tensors if t is not None], torch.tensor(dy)
        )
        for ours, t in zip(found, grads, strict=False):
            np.testing.assert_allclose(ours, t, **tol)
    assert y.dtype == dy.dtype
    for ours, readable in zip(found, expected, strict=True):
        assert (ours is None) == (readable is None)
        if ours is not None:
            assert ours.dtype == dy.dtype
            np.testing.assert_allclose(ours, readable, **tol)


@given(calls(("f8",)))
def test_the_registered_operation_gives_the_same_gradients(call):
    dy, *arrays, options = call
    leaves = [a if a is None else tensor(a, requires_grad=True) for a in arrays]
    twice.conv2d_by_rows(*leaves, *options).backward(dy)
    expected = scratch.conv2d_by_rows_backward(dy, *arrays, *options)
    for t, grad in zip(leaves, expected, strict=True):
        if t is not None:
            np.testing.assert_array_equal(t.grad.data, grad)


@given(st.tuples(*[st.integers(0, 6)] * 3), st.integers(-1, 100))
def test_pieces_hold_every_place_once_in_order_and_are_small(places, most):
    numbers, seen = np.arange(np.prod(places)).reshape(places), []
    for at in by_rows.pieces(places, most):
        piece = numbers[at]
        assert 0 < piece.size <= max(1, most)
        assert np.shares_memory(piece.reshape(-1), numbers)  # one run
        seen += piece.ravel().tolist()
    assert seen == numbers.ravel().tolist()


@pytest.mark.parametrize(("channels", "n"), list(product([2, 256], [4, 64])))
def test_columns_take_half_a_megabyte(channels, n):
    rng = numpy_generator(0)
    x = rng.normal(size=(channels, 9, 9, n)).astype("f4")
    weight = rng.normal(size=(2, channels, 3, 3)).astype("f4")
    dy = rng.normal(size=(2, 7, 7, n)).astype("f4")
    for f, arrays, out in [
        (by_rows.correlate_by_rows, (x, weight), dy.nbytes),
        (by_rows.to_input_by_rows, (dy, weight, (9, 9)), x.nbytes + weight.nbytes),
        (by_rows.to_weight_by_rows, (dy, x, (3, 3)), 2 * weight.nbytes),
    ]:
        tracemalloc.start()
        f(*arrays)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < out + 1.05 * 2**19 + 2**17


def test_no_copy_of_what_lies_batch_last():
    x = np.moveaxis(numpy_generator(0).normal(size=(3, 40, 40, 16)), -1, 0)
    weight = np.ones((1, 3, 3, 3))
    assert np.shares_memory(scratch._bordered_batch_last(x, [(0, 0), (0, 0)]), x)
    y = scratch.conv2d_by_rows(x, weight, np.ones(1))
    assert np.moveaxis(y, 0, -1).flags.c_contiguous


def test_the_layer_takes_rows_unless_there_are_groups(monkeypatch):
    called = []
    monkeypatch.setattr(
        twice, "conv2d_by_rows", lambda *a: called.append(a) or np.ones((1, 4, 3, 3))
    )
    for groups in (1, 2):
        layer = layers.Conv2d(4, 4, 1, groups=groups, rng=numpy_generator(0))
        layer(np.ones((1, 4, 3, 3)))
    assert len(called) == 1
