"""Convolution: the two halves agree with each other and with torch."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.convolutional.convolution import pytorch, scratch

FORMS = ["conv2d_loops", "conv2d_toeplitz", "conv2d_im2col", "conv2d_by_rows"]
lengths = st.integers(1, 3)


@st.composite
def layers(draw, ndim, dtype=float):
    rng = numpy_generator(draw(st.integers(0, 999)))
    n, c, f = (draw(lengths) for _ in range(3))
    kernel = [draw(lengths) for _ in range(ndim)]
    size = [k + draw(st.integers(0, 3)) for k in kernel]
    lead = draw(st.sampled_from([(), (0,), (n,)]))
    shapes = [(*lead, c, *size), (f, c, *kernel), (f,)][: 2 + draw(st.booleans())]
    return [rng.normal(size=s).astype(dtype) for s in shapes]


def compare(f, f_backward, theirs, arrays, rtol=1e-10):
    tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
    expected = theirs(*tensors)
    y = f(*arrays)
    assert y.dtype == arrays[0].dtype
    np.testing.assert_allclose(y, expected.detach(), rtol=rtol, atol=rtol)
    dy = numpy_generator(1).normal(size=y.shape).astype(y.dtype)
    expected.backward(torch.tensor(dy))
    for ours, t in zip(f_backward(dy, *arrays), tensors, strict=False):
        np.testing.assert_allclose(ours, t.grad, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("ndim", [1, 2, 3])
@given(data=st.data())
def test_equal_to_torch(ndim, data):
    name, dtype = f"conv{ndim}d", data.draw(st.sampled_from(["f8", "f4"]))
    arrays = data.draw(layers(ndim, dtype))
    pair = getattr(scratch, name), getattr(scratch, f"{name}_backward")
    rtol = 1e-10 if dtype == "f8" else 1e-4
    compare(*pair, getattr(F, name), arrays, rtol)
    compare(scratch.conv_nd, scratch.conv_nd_backward, pytorch.conv_nd, arrays, rtol)


@given(layers(2))
def test_rows_equal_torch(arrays):
    if arrays[0].ndim == 4:
        pair = scratch.conv2d_by_rows, scratch.conv2d_by_rows_backward
        compare(*pair, F.conv2d, arrays)


@pytest.mark.parametrize("name", FORMS)
@given(arrays=layers(2))
def test_forms_agree_with_their_twins(name, arrays):
    if arrays[0].ndim == 4 and len(arrays[0]):
        twin = getattr(pytorch, name)(*map(torch.tensor, arrays))
        ours = getattr(scratch, name)(*arrays)
        np.testing.assert_allclose(ours, twin, rtol=1e-10, atol=1e-10)
        assert scratch.conv_shape(*arrays) == tuple(twin.shape)
        assert pytorch.conv_shape(*map(torch.tensor, arrays[:2])) == tuple(twin.shape)


@given(st.lists(st.tuples(lengths, lengths), min_size=1, max_size=3))
def test_true_convolution_agrees_with_its_twin(sizes):
    rng = numpy_generator(0)
    sizes = [(n + k, k) for n, k in sizes]
    arrays = [rng.normal(size=s) for s in zip(*sizes, strict=True)]
    for mode in ("full", "same", "valid"):
        tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
        twin = pytorch.convolve(*tensors, mode)
        y = scratch.convolve(*arrays, mode)
        np.testing.assert_allclose(y, twin.detach(), atol=1e-12)
        twin.backward(torch.tensor(y))
        found = scratch.convolve_backward(y, *arrays, mode)
        for ours, t in zip(found, tensors, strict=True):
            np.testing.assert_allclose(ours, t.grad, atol=1e-10)


def test_small_things_agree_with_their_twins():
    x = numpy_generator(0).normal(size=(2, 3, 4, 5))
    t = torch.tensor(x)
    np.testing.assert_array_equal(scratch.im2col(x, (2, 3)), pytorch.im2col(t, (2, 3)))
    np.testing.assert_array_equal(scratch.batch_last(x), pytorch.batch_last(t))
    np.testing.assert_array_equal(scratch.edge_detector(x), pytorch.edge_detector(t))
    w = x[:, :, :2, :3]
    matrix = pytorch.toeplitz_matrix(torch.tensor(w), (4, 5))
    np.testing.assert_array_equal(scratch.toeplitz_matrix(w, (4, 5)), matrix)
    assert scratch.edge_counts(3, 4) == pytorch.edge_counts(3, 4)
    assert scratch.as_sizes(3, "k") == pytorch.as_sizes(3, "k") == (3, 3)
    arguments = (2, 3), (4, 2), (1, 2), 2
    assert scratch.taps(*arguments) == pytorch.taps(*arguments)
