"""The kernel with scores as keys × queries: equal to the readable one, and small."""

import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.applications.translation_and_attention import tiled
from dlbook_lib.applications.translation_and_attention.scratch import (
    scaled_dot_product_attention,
    scaled_dot_product_attention_backward,
)
from dlbook_lib.applications.translation_and_attention.tiled import (
    attention_keys_by_queries,
    tiles,
)
from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.autodiff.engine import fused, tensor


@pytest.fixture(autouse=True)
def no_warning():
    with np.errstate(all="raise", under="ignore"):
        yield


@given(st.data())
def test_it_is_the_readable_attention_and_torchs(data):
    draw = data.draw
    rng = numpy_generator(draw(st.integers(0, 999)))
    dtype = draw(st.sampled_from(["f8", "f4"]))
    batch = draw(st.lists(st.integers(0, 3), max_size=2))
    length, source, e, ev = draw(st.tuples(*[st.integers(1, 6)] * 4))
    if draw(st.integers(0, 9)) == 0:
        source = 0
    size = draw(st.sampled_from([0.0, 1.0, 40.0 if dtype == "f8" else 4.0]))
    shapes = (length, e), (source, e), (source, ev)
    x = [(rng.normal(size=(*batch, *s)) * size).astype(dtype) for s in shapes]
    if draw(st.booleans()):
        x = [np.asfortranarray(each) for each in x]
    causal = draw(st.booleans())
    scales = [None, 1.0, 0.3] if causal else [None, 0.0, -2.0]
    scale = draw(st.sampled_from(scales))  # torch scales -inf, too
    budget = draw(st.sampled_from([1, 7, 20, 2**17]))
    was = tiled.tiles.__defaults__
    tiled.tiles.__defaults__ = (budget,)  # many tiles, though all is small
    try:
        y, pull = attention_keys_by_queries(*x, causal, scale)
    finally:
        tiled.tiles.__defaults__ = was
    expected = scaled_dot_product_attention(*x, is_causal=causal, scale=scale)
    close = (
        {"rtol": 0, "atol": 1e-10} if dtype == "f8" else {"rtol": 1e-4, "atol": 1e-4}
    )
    assert y.dtype == dtype
    np.testing.assert_allclose(y, expected, **close)
    dy = rng.normal(size=y.shape).astype(dtype)
    wanted = scaled_dot_product_attention_backward(
        dy, *x, is_causal=causal, scale=scale
    )[:3]
    found, again = pull(dy), pull(dy)  # it changes nothing that it needs
    ts = [torch.tensor(each, requires_grad=True) for each in x]
    theirs = torch.nn.functional.scaled_dot_product_attention(
        *ts, is_causal=causal, scale=scale
    )
    np.testing.assert_allclose(y, theirs.detach(), **close)
    of_torch = torch.autograd.grad(theirs, ts, torch.tensor(dy))
    for g, same, w, t in zip(found, again, wanted, of_torch, strict=True):
        assert g.dtype == dtype
        np.testing.assert_array_equal(g, same)
        top = max(1, abs(w).max(initial=0))
        np.testing.assert_allclose(g, w, rtol=close["rtol"], atol=close["atol"] * top)
        np.testing.assert_allclose(g, t, rtol=close["rtol"], atol=close["atol"] * top)


@given(*[st.integers(0, 12)] * 3, st.integers(1, 60))
def test_tiles_cover_everything_once_and_fit(groups, length, source, budget):
    count = np.zeros((groups, length), int)
    for i, j in tiles(groups, length, source, budget):
        count[i, j] += 1
        g, t = count[i, j].shape
        assert g * t * source <= budget or g * t == 1
        assert i.stop <= groups
        assert j.stop <= length
    assert (count == 1).all()


@pytest.mark.parametrize("batch", [(), (0,), (2,)])
@pytest.mark.parametrize("lengths", [(0, 3), (3, 0), (0, 0), (5, 2), (2, 5)])
@pytest.mark.parametrize("sizes", [(0, 2), (2, 0), (2, 3)])
def test_lengths_and_sizes_of_nothing(batch, lengths, sizes):
    shapes = [(*batch, n, e) for n in lengths for e in sizes]
    q, dy, k, v = map(numpy_generator(0).normal, [0] * 4, [1] * 4, shapes)
    for causal in (False, True):
        same_as_the_readable([q, k, v], dy, causal)


@given(*[st.integers(1, 4)] * 4, st.booleans(), st.booleans())
def test_exponentials_and_columns(g, n, source, first, causal, bounded):
    rng = numpy_generator(n)
    q, k = rng.normal(size=(g, n, 3)), rng.normal(size=(g, source, 3))
    got = tiled._exponentials(q, k, first, causal, bounded)
    scores = np.einsum("gte,gse->gst", q, k)
    if causal:
        for t in range(n):
            scores[:, first + t + 1 :, t] = -np.inf
    if not bounded:
        scores -= scores.max(1, keepdims=True)
    np.testing.assert_allclose(got, np.exp(scores), atol=1e-13)
    wide = tiled._with_column(q, q[..., 0])
    np.testing.assert_array_equal(wide[..., [3]], q[..., :1])
    np.testing.assert_array_equal(wide[..., :3], q)


@pytest.mark.parametrize("scale", [1.0, -1e3])
@pytest.mark.parametrize("size", [1e2, 1e4])
def test_scores_that_would_overflow(size, scale):
    """e^1e4 is infinite, so here the largest is subtracted."""
    rng = numpy_generator(0)
    x = (rng.normal(size=(3, 2, 5, 3)) * (size / abs(scale)) ** 0.5).astype("f4")
    y, pull = attention_keys_by_queries(*x, True, scale)
    expected = scaled_dot_product_attention(*x, is_causal=True, scale=scale)
    np.testing.assert_allclose(y, expected, rtol=1e-2, atol=size**0.5 * 1e-4)
    assert all(np.isfinite(g).all() for g in pull(np.ones_like(y)))


def same_as_the_readable(x, dy, causal=False):
    """Value and gradients, in the same precision."""
    y, pull = attention_keys_by_queries(*x, causal)
    expected = scaled_dot_product_attention(*x, is_causal=causal)
    wanted = scaled_dot_product_attention_backward(dy, *x, is_causal=causal)
    for found, right in zip((y, *pull(dy)), (expected, *wanted), strict=False):
        assert found.dtype == right.dtype
        rough = {2: 1e-2, 4: 1e-4, 8: 1e-10}[min(each.itemsize for each in x)]
        top = np.max(abs(right), initial=0, where=np.isfinite(right))
        np.testing.assert_allclose(found, right, rtol=rough, atol=rough * top)


@pytest.mark.parametrize("kinds", ["448", "484", "488", "844", "848", "884", "222"])
def test_the_widest_precision_wins(kinds):
    """Half precision overflows long before e^40."""
    rng = numpy_generator(0)
    x = [2 * rng.normal(size=(1, 300, 8)).astype(f"f{kind}") for kind in kinds]
    same_as_the_readable(x, np.ones((1, 300, 8), np.result_type(*x)))


@pytest.mark.parametrize("size", [1e30, 1e-30])
def test_values_of_any_size(size):
    q = np.full((1, 4, 4), 4.3, "f4")  # scores of 37
    same_as_the_readable([q, q, size * q], np.ones((1, 4, 4), "f4"))
    same_as_the_readable([q, -q, size * q], np.ones((1, 4, 4), "f4"))
    q *= 1.3  # scores of -62, whose weights add up to 1e-27
    same_as_the_readable([q, -q, q], np.full((1, 4, 4), 1e15, "f4"))


@pytest.mark.parametrize("where", range(3))
@pytest.mark.parametrize("number", [np.inf, -np.inf, np.nan])
def test_nan_and_infinity_go_where_they_go_in_the_readable_one(number, where):
    x = list(numpy_generator(0).normal(size=(3, 1, 4, 2)))
    x[1][0, :, 1] = 1.0, 2.0, 0.5, 3.0  # all scores of an infinite query have its sign
    x[where][0, 2, 1] = number
    with np.errstate(all="ignore"):
        for causal in (False, True):
            same_as_the_readable(x, np.ones((1, 4, 2)), causal)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("where", range(3))
@pytest.mark.parametrize("size", [1, 30])
def test_a_complex_step_gives_the_gradient(size, where):
    rng = numpy_generator(0)
    x = list(rng.normal(size=(3, 1, 4, 2)) * size)
    y, pull = attention_keys_by_queries(*x, True)
    dy, along = rng.normal(size=(2, *y.shape))
    slope = (pull(dy)[where] * along).sum()
    x[where] = x[where] + 1e-30j * along
    moved, _ = attention_keys_by_queries(*x, True)
    assert abs((moved.imag * dy).sum() / 1e-30 - slope) < 1e-10 * max(1, abs(slope))


def test_on_the_engine():
    x = [
        tensor(a, requires_grad=True) for a in numpy_generator(0).normal(size=(3, 4, 2))
    ]
    y = fused(attention_keys_by_queries)(*x, is_causal=True)
    dy = numpy_generator(1).normal(size=y.shape)
    y.backward(dy)
    _, pull = attention_keys_by_queries(*(t.data for t in x), is_causal=True)
    for t, g in zip(x, pull(dy), strict=True):
        np.testing.assert_array_equal(t.grad.data, g)


def peak(length, width=16):
    """Bytes that a forward and a backward pass hold at most, above their inputs."""
    q, k, v, dy = np.ones((4, 2, length, width), "f4")
    tracemalloc.start()
    _, pull = attention_keys_by_queries(q, k, v)
    pull(dy)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most


def test_memory_grows_with_the_length_not_its_square():
    outputs = 4 * 2 * 4 * 1024 * 16  # y and three gradients of 1024 keys, in bytes
    small, large = peak(1024), peak(4096)
    assert small < 1.5 * outputs + 2 * 4 * 2**17  # and two tiles
    assert large < 5 * small
