"""Fast convolutions in NumPy are the direct one; gradients of the whole package."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.convolutional.convolution.scratch import convolve, convolve_backward
from dlbook_lib.convolutional.fast_and_biological_kernels import (
    cells,
    features,
    scratch,
    second_derivatives,
)
from dlbook_lib.convolutional.strides_and_gradients.scratch import (
    conv2d,
    conv2d_backward,
)
from dlbook_lib.feedforward.autodiff.engine import tensor
from dlbook_lib.feedforward.linear_models.scratch import numeric_gradient

close = {"rtol": 1e-10, "atol": 1e-10}
MODES = st.sampled_from(["full", "same", "valid"])


@pytest.fixture(autouse=True)
def no_warning():
    with np.errstate(all="raise", under="ignore"):
        yield


@given(st.data(), MODES, st.integers(0, 99))
def test_fourier_convolution_is_the_direct_one(data, mode, seed):
    rng = numpy_generator(seed)
    sizes = st.lists(st.integers(1, 9), min_size=1, max_size=3)
    kernel = data.draw(sizes)
    extra = 0 if mode == "valid" else -3
    shape = [max(1, k + data.draw(st.integers(extra, 6))) for k in kernel]
    x, k = rng.normal(size=shape), rng.normal(size=kernel)
    y = convolve(x, k, mode)
    np.testing.assert_allclose(scratch.fft_convolve(x, k, mode), y, **close)
    dy = rng.normal(size=y.shape)
    found = scratch.fft_convolve_backward(dy, x, k, mode)
    for ours, theirs in zip(found, convolve_backward(dy, x, k, mode), strict=True):
        np.testing.assert_allclose(ours, theirs, **close)


@given(st.data(), st.integers(0, 99))
def test_fourier_convolution_of_images_is_the_direct_one(data, seed):
    draw, rng = data.draw, numpy_generator(seed)
    small = st.integers(1, 4)
    n, c, f, kh, kw = draw(st.integers(0, 3)), *(draw(small) for _ in range(4))
    full = kh - 1, kw - 1
    padding = draw(st.sampled_from([0, 1, (2, 0), "same", "valid", full]))
    x = rng.normal(size=(n, c, kh + draw(small), kw + draw(small)))[:, :, ::-1]
    w, b = rng.normal(size=(f, c, kh, kw)), rng.normal(size=f)
    b = draw(st.sampled_from([None, b]))
    y = conv2d(x, w, b, 1, padding)
    np.testing.assert_allclose(scratch.fft_conv2d(x, w, b, padding), y, **close)
    dy = rng.normal(size=y.shape)
    wanted = conv2d_backward(dy, x, w, b, 1, padding)
    found = scratch.fft_conv2d_backward(dy, x, w, b, padding)
    for ours, theirs in zip(found, wanted, strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            np.testing.assert_allclose(ours, theirs, **close)


@pytest.mark.parametrize("longest", [(9, 2, 3), (2, 9, 3), (2, 3, 9)])
def test_a_task_in_parts_gives_the_same(longest, monkeypatch):
    n, f, c = longest
    rng = numpy_generator(0)
    x, w = rng.normal(size=(n, c, 8, 7)), rng.normal(size=(f, c, 3, 2))
    monkeypatch.setattr(scratch, "COLUMN_BYTES", 2**11)
    np.testing.assert_allclose(scratch.fft_conv2d(x, w), conv2d(x, w), **close)


def test_large_tasks_stay_below_their_memory(monkeypatch):
    x, w = np.zeros((8, 32, 16, 16), "f4"), np.zeros((32, 32, 5, 5), "f4")
    monkeypatch.setattr(scratch, "COLUMN_BYTES", 2**19)
    tracemalloc.start()
    scratch.fft_conv2d(x, w)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 2**19


def test_fast_lengths_have_small_factors_only():
    fast = [2**a * 3**b * 5**c for a in range(8) for b in range(6) for c in range(5)]
    for n in range(1, 200):
        assert scratch.fast_length(n) == min(m for m in fast if m >= n)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 99))
def test_separable_kernels_by_their_singular_values(height, width, seed):
    rng = numpy_generator(seed)
    kernel = rng.normal(size=(height, width))
    most = min(height, width)
    s = np.linalg.svd(kernel, compute_uv=False)
    x = rng.normal(size=(2, 3, 9, 8))
    for rank in range(1, most + 1):
        u, v = scratch.separable_factors(kernel, rank)
        left = ((u.T @ v - kernel) ** 2).sum()
        np.testing.assert_allclose(left, (s[rank:] ** 2).sum(), **close)
        assert scratch.separable_rank(u.T @ v, 1e-12) == rank
        direct = conv2d(x.reshape(6, 1, 9, 8), (u.T @ v)[None, None])
        y = scratch.separable_conv2d(x, u, v)
        np.testing.assert_allclose(y.reshape(direct.shape), direct, **close)


def test_separable_multiplies_and_ranks():
    assert scratch.separable_multiplies(7) == {"direct": 49, "separable": 14}
    assert scratch.separable_multiplies((3, 5, 2), 2)["separable"] == 20
    assert scratch.separable_rank(np.zeros((3, 3))) == 0
    assert scratch.separable_rank(np.outer([1.0, 2, 1], [1.0, 0, -1])) == 1
    assert scratch.separable_rank(np.eye(3) + np.ones((3, 3)), tol=0.5) == 1


PARAMS = (0.7, 0.05, 0.12, 1.1, 0.4, 0.3, -0.2, 0.6)


def cases(rng):
    """Every differentiable pair with its arguments, all of them arrays."""
    yield (
        "separable_conv2d",
        tuple(map(rng.normal, [0] * 3, [1] * 3, [(2, 6, 5), (2, 3), (2, 2)])),
    )
    yield "fft_convolve", (rng.normal(size=(4, 5)), rng.normal(size=(2, 3)))
    yield (
        "fft_conv2d",
        (
            rng.normal(size=(2, 3, 5, 4)),
            rng.normal(size=(2, 3, 2, 3)),
            rng.normal(size=2),
        ),
    )
    x, y = rng.normal(size=(2, 3, 4))
    yield "gabor", (x, y, *map(np.array, PARAMS))
    image, weights = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 3, 4))
    yield "simple_cell", (image, weights[0])
    yield "complex_cell", (image, *weights)
    yield "triangle", (rng.normal(size=(3, 5)),)


NAMES = [name for name, _ in cases(numpy_generator(0))]
places = pytest.mark.parametrize("place", range(len(NAMES)), ids=NAMES)


def pair(name):
    module = next(m for m in (scratch, cells, features) if hasattr(m, name))
    return getattr(module, name), getattr(module, f"{name}_backward")


@places
def test_gradients_are_numeric_ones(place):
    rng = numpy_generator(3)
    name, args = list(cases(rng))[place]
    f, f_backward = pair(name)
    dy = rng.normal(size=np.shape(f(*args)))
    found = f_backward(dy, *args)
    found = found if isinstance(found, tuple) else (found,)
    for i, (x, dx) in enumerate(zip(args, found, strict=True)):

        def cost(a, i=i):
            return float((dy * f(*args[:i], a, *args[i + 1 :])).sum())

        assert np.shape(dx) == x.shape
        wanted = numeric_gradient(cost, x.copy())
        np.testing.assert_allclose(dx, wanted, rtol=1e-6, atol=1e-7)


@places
def test_on_the_engine_the_gradients_are_the_same(place):
    rng = numpy_generator(4)
    name, args = list(cases(rng))[place]
    _, f_backward = pair(name)
    tensors = [tensor(x, requires_grad=True) for x in args]
    y = getattr(second_derivatives, name)(*tensors)
    dy = rng.normal(size=y.shape)
    y.backward(dy)
    found = f_backward(dy, *args)
    found = found if isinstance(found, tuple) else (found,)
    for x, dx in zip(tensors, found, strict=True):
        np.testing.assert_array_equal(x.grad.data, dx)


@places
def test_float32_stays_float32(place):
    name, args = list(cases(numpy_generator(0)))[place]
    f, f_backward = pair(name)
    few = [x.astype("f4") for x in args]
    y = f(*few)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, f(*args), rtol=1e-4, atol=1e-4)
    found = f_backward(np.ones_like(y), *few)
    found = found if isinstance(found, tuple) else (found,)
    assert {dx.dtype for dx in found} == {np.dtype("f4")}


@places
def test_an_empty_batch_is_answered(place):
    name, args = list(cases(numpy_generator(0)))[place]
    if name in ("fft_convolve", "gabor"):
        return
    f, f_backward = pair(name)
    y = f(args[0][:0], *args[1:])
    assert y.size == 0
    found = f_backward(y, args[0][:0], *args[1:])
    first = found[0] if isinstance(found, tuple) else found
    assert first.shape == args[0][:0].shape
