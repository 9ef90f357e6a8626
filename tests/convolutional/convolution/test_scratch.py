"""Convolution in NumPy: five forms agree, gradients, precision, memory, counts."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.convolutional.convolution import scratch, second_derivatives
from dlbook_lib.convolutional.convolution.scratch import (
    batch_last,
    conv1d,
    conv1d_backward,
    conv2d,
    conv2d_backward,
    conv2d_by_rows,
    conv2d_by_rows_backward,
    conv2d_im2col,
    conv2d_loops,
    conv2d_toeplitz,
    conv3d,
    conv3d_backward,
    conv_nd,
    conv_nd_backward,
    convolve,
    convolve_backward,
    edge_counts,
    edge_detector,
    taps,
    toeplitz_matrix,
)
from dlbook_lib.feedforward.autodiff import operations  # noqa: F401
from dlbook_lib.feedforward.autodiff.engine import tensor

FORMS = [conv2d_loops, conv2d_toeplitz, conv2d_im2col, conv2d_by_rows]
PAIRS = [
    (conv1d, conv1d_backward, 1),
    (conv2d, conv2d_backward, 2),
    (conv3d, conv3d_backward, 3),
    (conv2d_by_rows, conv2d_by_rows_backward, 2),
]


@st.composite
def layers(draw, ndim=2, batch=(0, 1, 3)):
    """Arguments of a convolution: input, weight and perhaps a bias."""
    rng = numpy_generator(draw(st.integers(0, 999)))
    n, c, f = draw(st.sampled_from(batch)), *(draw(st.integers(1, 3)) for _ in "cf")
    kernel = [draw(st.integers(1, 3)) for _ in range(ndim)]
    size = [k + draw(st.integers(0, 3)) for k in kernel]
    input, weight = rng.normal(size=(n, c, *size)), rng.normal(size=(f, c, *kernel))
    return input, weight, rng.normal(size=f) if draw(st.booleans()) else None


def check_gradients(f, f_backward, arguments):
    """Each gradient against complex steps of a random projection, along any way."""
    rng = numpy_generator(9)
    dy = rng.normal(size=f(*arguments).shape)
    for i, found in enumerate(f_backward(dy, *arguments)):
        if found is None:
            continue
        for _ in range(3):
            way = rng.normal(size=found.shape)
            step = arguments[i] + 1e-30j * way
            y = f(*arguments[:i], step, *arguments[i + 1 :])
            expected = (dy * y.imag).sum() / 1e-30
            np.testing.assert_allclose((found * way).sum(), expected, atol=1e-11)


@pytest.mark.parametrize("form", FORMS)
@given(layers())
def test_all_forms_agree(form, layer):
    np.testing.assert_allclose(form(*layer), conv2d(*layer), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("f", "f_backward", "ndim"), PAIRS)
@given(data=st.data())
def test_gradients_are_those_of_a_complex_step(f, f_backward, ndim, data):
    check_gradients(f, f_backward, data.draw(layers(ndim, batch=(1, 2))))


@given(layers(), st.integers(1, 3000))
def test_rows_in_blocks_of_any_size_give_the_same(layer, budget):
    before, scratch.ROW_BYTES = scratch.ROW_BYTES, budget
    try:
        y = conv2d_by_rows(*layer)
        dy = np.cos(np.arange(y.size)).reshape(y.shape)
        found = conv2d_by_rows_backward(dy, *layer)
    finally:
        scratch.ROW_BYTES = before
    np.testing.assert_allclose(y, conv2d(*layer), atol=1e-12)
    for ours, theirs in zip(found, conv2d_backward(dy, *layer), strict=True):
        if theirs is not None:
            np.testing.assert_allclose(ours, theirs, atol=1e-12)


@given(layers(), st.integers(8, 2000))
def test_columns_in_pieces_of_any_size_give_the_same(layer, budget):
    before, scratch.COLUMN_BYTES = scratch.COLUMN_BYTES, budget
    try:
        y = conv2d_im2col(*layer)
    finally:
        scratch.COLUMN_BYTES = before
    np.testing.assert_allclose(y, conv2d(*layer), atol=1e-12)


def peak_of(f):
    """The most bytes that Python held at once during a call, beyond those before."""
    tracemalloc.start()
    f()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_no_buffer_of_columns_over_64_megabytes():
    x, w = np.ones((40, 16, 64, 64), "f4"), np.ones((2, 16, 3, 3), "f4")
    assert 40 * 16 * 9 * 62 * 62 * 4 > 1.3 * 2**26
    outputs = 40 * 2 * 62 * 62 * 4
    assert peak_of(lambda: conv2d_im2col(x, w)) < 2**26 + 4 * outputs
    long = np.ones((1, 1, 1, 2**20), "f4")  # one row whose columns are too many
    peak = peak_of(lambda: conv2d_im2col(long, np.ones((1, 1, 1, 25), "f4")))
    assert peak < 2**26 + 4 * long.nbytes
    assert peak_of(lambda: conv2d(x, w)) < 1.2 * x.nbytes + 4 * outputs
    rows = peak_of(lambda: conv2d_by_rows(x, w))
    assert rows < x.nbytes + 3 * scratch.ROW_BYTES + 2 * outputs


def test_values_by_hand():
    x, w = np.arange(12.0).reshape(1, 1, 3, 4), np.array([[[[1.0, 0], [0, -1.0]]]])
    np.testing.assert_array_equal(
        conv2d(x, w, np.array([7.0])), np.full((1, 1, 2, 3), 2)
    )
    np.testing.assert_array_equal(
        conv1d([[1.0, 2.0, 4.0, 8.0]], [[[1.0, 10.0, 100.0]]]), [[421, 842]]
    )


@given(layers())
def test_an_example_alone_is_a_batch_without_its_axis(layer):
    input, weight, bias = layer
    one = np.zeros((1, *input.shape[1:])) + input[:1].sum(axis=0)
    y = conv_nd(one, weight, bias)
    np.testing.assert_array_equal(conv_nd(one[0], weight, bias), y[0])
    alone = conv_nd_backward(y[0], one[0], weight, bias)
    batch = conv_nd_backward(y, one, weight, bias)
    np.testing.assert_array_equal(alone[0], batch[0][0])
    np.testing.assert_array_equal(alone[1], batch[1])


def test_an_empty_batch_gives_empty_outputs_and_no_gradient():
    x, w, b = np.zeros((0, 2, 4, 4)), np.ones((3, 2, 2, 2)), np.ones(3)
    for f, f_backward in [PAIRS[1][:2], PAIRS[3][:2]]:
        y = f(x, w, b)
        assert y.shape == (0, 3, 3, 3)
        dx, dw, db = f_backward(y, x, w, b)
        assert dx.shape == x.shape
        assert not dw.any()
        assert not db.any()


@given(layers())
def test_memory_order_does_not_matter(layer):
    input, weight, bias = layer
    odd = np.flip(np.asfortranarray(np.flip(input, 2)), 2)
    wide = np.repeat(weight, 2, axis=3)[..., ::2]
    for f in [conv2d, *FORMS]:
        np.testing.assert_allclose(f(odd, wide, bias), f(*layer), atol=1e-12)
    dy = np.asfortranarray(conv2d(*layer))
    for f_backward in (conv2d_backward, conv2d_by_rows_backward):
        ours = f_backward(dy, odd, wide, bias)
        for a, b in zip(ours, f_backward(dy.copy("C"), *layer), strict=True):
            if b is not None:
                np.testing.assert_allclose(a, b, atol=1e-12)


def test_float32_stays_float32():
    rng = numpy_generator(0)
    x, w, b = (rng.normal(size=s).astype("f4") for s in ((2, 3, 5, 5), (4, 3, 2, 2), 4))
    results = [f(x, w, b) for f in [conv2d, *FORMS]]
    results += conv2d_backward(results[0], x, w, b)
    results += conv2d_by_rows_backward(results[0], x, w, b)
    results += [convolve(b, b), *convolve_backward(convolve(b, b), b, b)]
    results += [edge_detector(x), toeplitz_matrix(w, (5, 5)), batch_last(x)]
    assert {r.dtype.name for r in results} == {"float32"}
    exact = conv2d(*(a.astype(float) for a in (x, w, b)))
    for y in results[:5]:
        np.testing.assert_allclose(y, exact, rtol=1e-5, atol=1e-5)


shapes = st.lists(
    st.tuples(st.integers(1, 5), st.integers(1, 4)), min_size=1, max_size=3
)


@given(shapes, st.integers(0, 99))
def test_true_convolution_commutes_and_flips_the_kernel(sizes, seed):
    rng = numpy_generator(seed)
    input, kernel = (rng.normal(size=s) for s in zip(*sizes, strict=True))
    np.testing.assert_allclose(convolve(input, kernel), convolve(kernel, input), 1e-12)
    if all(n >= k for n, k in sizes):
        valid = conv_nd(input[None, None], np.flip(kernel)[None, None])[0, 0]
        np.testing.assert_allclose(convolve(input, kernel, "valid"), valid, atol=1e-12)
    if len(sizes) == 1:
        np.testing.assert_allclose(convolve(input, kernel), np.convolve(input, kernel))


@given(shapes, st.sampled_from(["full", "same", "valid"]), st.integers(0, 99))
def test_gradients_of_true_convolution(sizes, mode, seed):
    rng = numpy_generator(seed)
    sizes = [(n + k, k) for n, k in sizes]
    input, kernel = (rng.normal(size=s) for s in zip(*sizes, strict=True))
    y, dy = (
        convolve(input, kernel, mode),
        rng.normal(size=convolve(input, kernel, mode).shape),
    )
    if mode == "same":
        assert y.shape == input.shape
    dinput, dkernel = convolve_backward(dy, input, kernel, mode)
    # Bilinear: the gradient along any direction is the value there.
    other, tap = rng.normal(size=input.shape), rng.normal(size=kernel.shape)
    for left, right in [
        ((dinput * other).sum(), (dy * convolve(other, kernel, mode)).sum()),
        ((dkernel * tap).sum(), (dy * convolve(input, tap, mode)).sum()),
    ]:
        np.testing.assert_allclose(left, right, rtol=1e-10, atol=1e-10)


def test_only_a_symmetric_kernel_makes_the_two_operations_equal():
    x = numpy_generator(0).normal(size=(6, 6))
    bell, slope = (
        np.outer([1.0, 2, 1], [1.0, 2, 1]),
        np.outer([1.0, 2, 1], [-1.0, 0, 1]),
    )
    for kernel, equal in ((bell, True), (slope, False)):
        correlated = conv2d(x[None], kernel[None, None])[0]
        assert np.allclose(convolve(x, kernel, "valid"), correlated) is equal


def test_the_edge_detector_measures_differences_and_its_costs_are_exact():
    image = numpy_generator(0).normal(size=(5, 7))
    z = edge_detector(image)
    np.testing.assert_allclose(z, conv2d(image[None], [[[[-1.0, 1.0]]]])[0])
    np.testing.assert_allclose(z, convolve(image, [[1.0, -1.0]], "valid"))
    np.testing.assert_array_equal(edge_detector(np.full((2, 3), 9.0)), np.zeros((2, 2)))
    counts = edge_counts(280, 320)
    assert counts["convolution"] == 267_960
    assert counts["dense"] == 8_003_072_000
    assert counts["dense operations"] // counts["convolution"] == 59_733
    assert counts["sparse"] == 178_640
    assert counts["subtraction"] == 89_320
    matrix = toeplitz_matrix(np.array([[[[-1.0, 1.0]]]]), (4, 5))
    small = edge_counts(4, 5)
    assert (matrix.size, (matrix != 0).sum()) == (small["dense"], small["sparse"])


@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3))
def test_a_tap_sees_the_input_shifted(k, n, s, d):
    x = np.arange((n - 1) * s + (k - 1) * d + 1)
    for (m,), seen in taps((k,), (n,), s, d):
        np.testing.assert_array_equal(x[seen], [i * s + m * d for i in range(n)])


@pytest.mark.parametrize(("f", "f_backward", "ndim"), PAIRS)
def test_registered_it_gives_the_same_gradients(f, f_backward, ndim):
    rng = numpy_generator(1)
    shapes = [(2, 3, *[5] * ndim), (4, 3, *[2] * ndim), (4,)]
    arrays = [rng.normal(size=s) for s in shapes]
    tensors = [tensor(a, requires_grad=True) for a in arrays]
    y = getattr(second_derivatives, f.__name__)(*tensors)
    dy = rng.normal(size=y.shape)
    y.backward(dy)
    for t, expected in zip(tensors, f_backward(dy, *arrays), strict=True):
        np.testing.assert_allclose(t.grad.data, expected, rtol=1e-12)


def test_what_lies_batch_last_is_not_copied():
    x = numpy_generator(0).normal(size=(9, 2, 30, 30))
    last = batch_last(x)
    np.testing.assert_array_equal(last, np.moveaxis(x, 0, -1))
    assert last.flags.c_contiguous
    assert np.shares_memory(batch_last(np.moveaxis(last, -1, 0)), last)
