"""Winograd's convolution: the transforms, the direct numbers, gradients, memory."""

import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.convolutional.fast_and_biological_kernels import (
    second_derivatives,
    winograd,
    winograd_pytorch,
)
from dlbook_lib.feedforward.autodiff.engine import tensor
from tests.structure.test_twins import differences

close = {"rtol": 1e-10, "atol": 1e-10}
NAMES = "winograd_conv2d", "winograd_conv2d_by_rows"
names = pytest.mark.parametrize("name", NAMES)
SIZES = [(m, r) for m in range(1, 7) for r in range(1, 6) if 1 < m + r - 1 <= 8]


@pytest.fixture(autouse=True)
def no_warning():
    with np.errstate(all="raise", under="ignore"):
        yield


@pytest.mark.parametrize(("tile", "taps"), SIZES)
def test_the_transforms_are_exact_and_those_of_the_twin(tile, taps):
    at, g, bt = winograd.winograd_transforms(tile, taps)
    rng = numpy_generator(0)
    k, d = rng.normal(size=taps), rng.normal(size=tile + taps - 1)
    wanted = np.correlate(d, k)
    np.testing.assert_allclose(at @ ((g @ k) * (bt @ d)), wanted, **close)
    theirs = winograd_pytorch.winograd_transforms(tile, taps)
    for a, b in zip((at, g, bt), theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-14)


def test_f_4_3_is_that_of_the_paper():
    at, g, bt = winograd.winograd_transforms(4)
    assert at[1].tolist() == [0, 1, -1, 2, -2, 0]
    assert (g[0] * 4).tolist() == [1, 0, 0]
    assert bt[0].tolist() == [4, 0, -5, 0, 1, 0]
    assert bt[-1].tolist() == [0, 4, 0, -5, 0, 1]
    counts = {m: winograd.winograd_multiplies(m) for m in (2, 4)}
    assert counts[2]["direct"] / counts[2]["winograd"] == 2.25
    assert counts[4]["direct"] / counts[4]["winograd"] == 4
    assert counts[4] == winograd_pytorch.winograd_multiplies(4)


@names
@given(data=st.data())
def test_values_and_gradients_are_those_of_torch(name, data):
    draw = data.draw
    f, f_backward = getattr(winograd, name), getattr(winograd, f"{name}_backward")
    tile, k = draw(st.sampled_from([(2, 3), (4, 3), (3, 2), (2, 5), (1, 3), (2, 1)]))
    padding = draw(st.sampled_from([0, 1, (0, 2), "valid"] + ["same"] * (k % 2)))
    small = st.integers(1, 3)
    n, c, few = draw(st.integers(0, 3)), draw(small), draw(small)
    size = [k + draw(st.integers(0, 6)) for _ in range(2)]
    dtype, rng = draw(st.sampled_from("fd")), numpy_generator(draw(st.integers(0, 99)))
    tol = {"d": close, "f": {"rtol": 1e-3, "atol": 1e-3}}[dtype]
    x = rng.normal(size=(n, c, *size)).astype(dtype)[..., ::-1]
    w = rng.normal(size=(few, c, k, k)).astype(dtype)
    b = draw(st.sampled_from([None, rng.normal(size=few).astype(dtype)]))
    arrays = [x.copy(), w, b]
    tensors = [
        None if a is None else torch.tensor(a, requires_grad=True) for a in arrays
    ]
    wanted = torch.nn.functional.conv2d(*tensors, padding=padding)
    y = f(x, w, b, padding, tile)
    assert y.dtype == x.dtype
    np.testing.assert_allclose(y, wanted.detach(), **tol)
    if n:
        twin = getattr(winograd_pytorch, name)(*tensors, padding, tile)
        np.testing.assert_allclose(twin.detach(), y, **tol)
    dy = rng.normal(size=y.shape).astype(dtype)
    wanted.backward(torch.tensor(dy))
    found = f_backward(dy, x, w, b, padding, tile)
    for ours, t in zip(found, tensors, strict=True):
        assert (ours is None) == (t is None)
        if t is not None:
            assert ours.dtype == dy.dtype
            np.testing.assert_allclose(ours, t.grad, **tol)


@names
def test_on_the_engine_the_gradients_are_the_same(name):
    f_backward = getattr(winograd, f"{name}_backward")
    rng = numpy_generator(0)
    arrays = [rng.normal(size=s) for s in [(2, 3, 5, 6), (4, 3, 3, 3), (4,)]]
    tensors = [tensor(a, requires_grad=True) for a in arrays]
    y = getattr(second_derivatives, name)(*tensors, 1, 2)
    dy = rng.normal(size=y.shape)
    y.backward(dy)
    for t, wanted in zip(tensors, f_backward(dy, *arrays, 1, 2), strict=True):
        np.testing.assert_array_equal(t.grad.data, wanted)


@names
@pytest.mark.parametrize("limit", [1, 2**13])
def test_a_task_in_parts_gives_the_same(name, limit, monkeypatch):
    rng = numpy_generator(0)
    arrays = [rng.normal(size=s) for s in [(5, 3, 9, 8), (4, 3, 3, 3), (4,)]]
    f, f_backward = getattr(winograd, name), getattr(winograd, f"{name}_backward")
    y = f(*arrays, 1)
    wanted = y, *f_backward(y, *arrays, 1)
    monkeypatch.setattr(winograd, "COLUMN_BYTES", limit)
    monkeypatch.setattr(winograd, "TILE_BYTES", limit)
    found = f(*arrays, 1), *f_backward(y, *arrays, 1)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, **close)


@pytest.mark.parametrize(("tile", "error"), [(2, 2e-6), (4, 3e-5)])
def test_the_error_in_float32(tile, error):
    rng = numpy_generator(0)
    x, w = rng.normal(size=(1, 256, 12, 12)), rng.normal(size=(32, 256, 3, 3))
    exact = torch.conv2d(torch.tensor(x), torch.tensor(w)).numpy()
    for name in NAMES:
        y = getattr(winograd, name)(x.astype("f4"), w.astype("f4"), tile=tile)
        assert abs(y - exact).max() < error * abs(exact).max()


def test_the_buffers_stay_small(monkeypatch):
    x, w = np.zeros((4, 16, 32, 32), "f4"), np.zeros((16, 16, 3, 3), "f4")
    monkeypatch.setattr(winograd, "TILE_BYTES", 2**18)
    tracemalloc.start()
    y = winograd.winograd_conv2d_by_rows(x, w, None, 1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    winograd.winograd_conv2d_by_rows_backward(y, x, w, None, 1)
    back = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * x.nbytes + y.nbytes + 5 * 2**18
    assert back < 6 * x.nbytes + y.nbytes + 6 * 2**18


def test_the_parts_are_those_of_the_twin():
    rng = numpy_generator(0)
    at, _, bt = winograd.winograd_transforms(2)
    x = rng.normal(size=(3, 6, 10, 2))
    v = winograd.spread(x, bt, 3, 2)
    theirs = winograd_pytorch.spread(*map(torch.tensor, (x, bt)), 3, 2)
    np.testing.assert_allclose(v, theirs, **close)
    y, z = np.zeros((3, 4, 6, 2)), torch.zeros(3, 4, 6, 2, dtype=torch.float64)
    winograd.gather(v, at, y, 2)
    winograd_pytorch.gather(theirs, torch.tensor(at), z, 2)
    np.testing.assert_allclose(y, z, **close)
    out, room = np.empty((4, 10, 2)), np.empty((10, 2))
    winograd.combine(bt, x[0, :4], out, room)
    np.testing.assert_allclose(out, np.einsum("ij,j...->i...", bt, x[0, :4]), **close)
    again = torch.empty(4, 10, 2, dtype=torch.float64)
    winograd_pytorch.combine(torch.tensor(bt), torch.tensor(x[0, :4]), again, None)
    np.testing.assert_allclose(out, again, **close)
    images, w = rng.normal(size=(2, 3, 7, 6)), np.ones((5, 3, 3, 3))
    plan = winograd.tile_plan(images, w, None, "same", 4)
    other = winograd_pytorch.tile_plan(
        torch.tensor(images), torch.tensor(w), None, "same", 4
    )
    assert plan[:4] == other[:4]
    few = winograd_pytorch.rows_at_once(other, torch.tensor(w))
    assert winograd.rows_at_once(plan, w) == few
    np.testing.assert_array_equal(
        winograd.padded_batch_last(images, plan[3]),
        winograd_pytorch.padded_batch_last(torch.tensor(images), plan[3]),
    )


@names
def test_lists_are_arrays(name):
    f, f_backward = getattr(winograd, name), getattr(winograd, f"{name}_backward")
    arrays = np.ones((2, 1, 4, 4)), np.ones((1, 1, 3, 3)), np.ones(1)
    lists = [a.tolist() for a in arrays]
    y = f(*lists)
    np.testing.assert_array_equal(y, f(*arrays))
    for a, b in zip(f_backward(y, *lists), f_backward(y, *arrays), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_twins_have_the_same_names():
    assert not list(differences(winograd, winograd_pytorch))


def test_a_kernel_from_torch_will_do():
    x, weight = np.ones((1, 2, 5, 5)), torch.ones(1, 2, 3, 3, dtype=torch.float64)
    for f in (winograd.winograd_conv2d, winograd.winograd_conv2d_by_rows):
        np.testing.assert_allclose(f(x, weight), np.full((1, 1, 3, 3), 18.0))
