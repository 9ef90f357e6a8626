"""Strides and gradients in NumPy: identities, numeric gradients, shapes."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.convolutional.convolution import scratch as plain
from dlbook_lib.convolutional.strides_and_gradients import (
    layers,
    scratch,
    second_derivatives,
    transposed,
)
from dlbook_lib.convolutional.strides_and_gradients.scratch import (
    conv1d,
    conv2d,
    fold,
    locally_connected2d,
    output_size,
    pad,
    unfold,
)
from dlbook_lib.feedforward.autodiff import operations  # noqa: F401
from dlbook_lib.feedforward.autodiff.engine import tensor

small = st.integers(1, 3)
RNG = numpy_generator(0)
X, W, B = (
    RNG.normal(size=(2, 4, 6, 5)),
    RNG.normal(size=(6, 2, 3, 2)),
    RNG.normal(size=6),
)
CASES = {
    "conv1d": ([X[0], W[..., 0], B], (2, 1, 1, 2)),
    "conv2d": ([X, W, B], ((2, 1), (1, 0), 2, 2)),
    "conv_nd": ([X[0], W, B], (1, "same", (1, 2), 2)),
    "conv_transpose1d": ([X[0, :, :6], W[:4, :, 0], B[:4]], (3, 1, 2, 2)),
    "conv_transpose2d": ([X, W[:4], B[:4]], (2, 1, 1, 2, 2)),
    "conv_transpose_nd": ([X, W[:4], B[:4]], (2, (1, 0), 1, 2)),
    "unfold": ([X], ((3, 2), 1, 1, 2)),
    "fold": ([unfold(X, 2)], ((6, 5), 2)),
    "locally_connected2d": (
        [X, RNG.normal(size=(3, 4, 2, 2, 3, 2)), RNG.normal(size=(3, 3, 2))],
        (2,),
    ),
    "pad": ([X], ((2, 1, 0, 3), "reflect")),
}


def rescaled(name):
    """A pair and its good call, with a channel axis that fits conv1d."""
    module = transposed if "transpose" in name else scratch
    pair = getattr(module, name), getattr(module, f"{name}_backward")
    arrays, options = CASES[name]
    if name in ("conv1d", "conv_transpose1d"):
        arrays = [X[:, :, :, 0], *arrays[1:]]
    return *pair, arrays, options


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_those_of_a_complex_step(name):
    f, f_backward, arrays, options = rescaled(name)
    dy = numpy_generator(1).normal(size=f(*arrays, *options).shape)
    found = f_backward(dy, *arrays, *options)
    found = found if isinstance(found, tuple) else (found,)
    for i, gradient in enumerate(found):
        assert gradient.shape == arrays[i].shape
        way = numpy_generator(i).normal(size=gradient.shape)
        step = [*arrays[:i], arrays[i] + 1e-30j * way, *arrays[i + 1 :]]
        expected = (dy * f(*step, *options).imag).sum() / 1e-30
        np.testing.assert_allclose((gradient * way).sum(), expected, rtol=1e-10)


@pytest.mark.parametrize("name", CASES)
def test_registered_it_gives_the_same_gradients(name):
    _, f_backward, arrays, options = rescaled(name)
    tensors = [tensor(a, requires_grad=True) for a in arrays]
    y = getattr(second_derivatives, name)(*tensors, *options)
    dy = numpy_generator(1).normal(size=y.shape)
    y.backward(dy)
    found = f_backward(dy, *arrays, *options)
    for t, g in zip(
        tensors, found if isinstance(found, tuple) else (found,), strict=True
    ):
        np.testing.assert_allclose(t.grad.data, g, rtol=1e-12)


def test_without_options_it_is_the_plain_convolution():
    w = RNG.normal(size=(3, 4, 2, 3))
    np.testing.assert_allclose(conv2d(X, w, B[:3]), plain.conv2d(X, w, B[:3]), 1e-12)


@given(small, small)
def test_a_stride_drops_places(s, t):
    w = RNG.normal(size=(3, 4, 2, 3))
    np.testing.assert_allclose(
        conv2d(X, w, stride=(s, t)), conv2d(X, w)[:, :, ::s, ::t]
    )


def test_dilation_is_a_kernel_with_holes_and_depthwise_one_kernel_a_channel():
    w = RNG.normal(size=(3, 4, 2, 2))
    holes = np.zeros((3, 4, 3, 4))
    holes[:, :, ::2, ::3] = w
    np.testing.assert_allclose(conv2d(X, w, dilation=(2, 3)), conv2d(X, holes))
    deep = RNG.normal(size=(4, 1, 3, 3))
    alone = [conv2d(X[:, [c]], deep[[c]]) for c in range(4)]
    np.testing.assert_allclose(conv2d(X, deep, groups=4), np.concatenate(alone, 1))


def test_valid_same_and_full_widths():
    x, w = np.ones((1, 1, 10)), np.ones((1, 1, 4))
    sizes = [conv1d(x, w, padding=p).shape[-1] for p in ("valid", "same", 3)]
    assert sizes == [7, 10, 13]


def test_the_sizes_of_alexnet():
    sizes = [224, output_size(224, 11, 4, 2)]
    for k, s, p in [(3, 2, 0), (5, 1, 2), (3, 2, 0), (3, 1, 1), (3, 2, 0)]:
        sizes.append(output_size(sizes[-1], k, s, p))
    assert sizes == [224, 55, 27, 27, 13, 13, 6]


@given(small, st.integers(0, 1), small, st.integers(0, 99))
def test_transposed_is_the_matrix_transposed(stride, padding, dilation, seed):
    rng = numpy_generator(seed)
    x, w = rng.normal(size=(2, 3, 8, 9)), rng.normal(size=(4, 3, 3, 2))
    ax = conv2d(x, w, None, stride, padding, dilation)
    y = rng.normal(size=ax.shape)
    extra = [
        n + 2 * padding - dilation * (k - 1) - 1 - (m - 1) * stride
        for n, k, m in zip((8, 9), (3, 2), ax.shape[2:], strict=True)
    ]
    back = transposed.conv_transpose2d(
        y, w, None, stride, padding, tuple(extra), 1, dilation
    )
    np.testing.assert_allclose((ax * y).sum(), (x * back).sum(), rtol=1e-10)


def test_shared_kernels_are_a_special_case_of_local_ones():
    w = RNG.normal(size=(3, 4, 2, 2))
    y = conv2d(X, w, stride=(2, 1))
    local = np.broadcast_to(w[..., None, None], (*w.shape, *y.shape[2:]))
    np.testing.assert_allclose(locally_connected2d(X, local, None, (2, 1)), y)


def test_unfold_then_fold_counts_how_often_each_pixel_is_used():
    ones = np.ones((1, 4, 4))
    used = fold(unfold(ones, 3, padding=1), (4, 4), 3, padding=1)[0]
    np.testing.assert_array_equal(used[0], [4, 6, 6, 4])
    np.testing.assert_array_equal(used[1], [6, 9, 9, 6])
    assert unfold(np.zeros((0, 2, 4, 4)), 2).shape == (0, 8, 9)


def test_length_one_and_a_stride_beyond_the_kernel():
    one = np.full((1, 1, 1, 1), 2.0)
    assert conv2d(one, one, stride=5, padding=3).shape == (1, 1, 2, 2)
    np.testing.assert_array_equal(pad([3.0], (2, 1), "replicate"), [3.0] * 4)
    x = np.arange(10.0).reshape(1, 1, 10)
    np.testing.assert_array_equal(conv1d(x, one[0], stride=4), [[[0, 8, 16]]])


def test_a_layer_without_bias_and_in_float32():
    rng = numpy_generator(0)
    layer = layers.Conv2d(4, 2, 3, bias=False, rng=rng, dtype="float32")
    y = layer(X.astype("f4"))
    assert y.dtype == "float32"
    assert list(layer.state_dict()) == ["weight"]


def test_no_buffer_is_larger_than_input_or_output():
    x, w = np.ones((20, 16, 40, 40), "f4"), np.ones((16, 16, 5, 5), "f4")
    dy = conv2d(x, w, padding=2)
    tracemalloc.start()
    conv2d(x, w, padding=2)
    forward = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    scratch.conv2d_backward(dy, x, w, padding=2)
    backward = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert forward < 5 * x.nbytes  # padded, one view, output, one product
    assert backward < 6 * x.nbytes
    assert 25 * x.nbytes > 5 * forward  # the columns of im2col
