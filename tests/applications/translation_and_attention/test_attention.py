"""Attention against torch, its twin, naive loops, complex steps and the engine."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.applications.translation_and_attention import pytorch as twin
from dlbook_lib.applications.translation_and_attention import scratch
from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.autodiff.engine import register, tensor

CLOSE = {"f8": {"rtol": 0, "atol": 1e-10}, "f4": {"rtol": 1.3e-6, "atol": 3e-5}}
dtypes = st.sampled_from(["f8", "f4"])


@pytest.fixture(autouse=True)
def no_warning():
    with np.errstate(all="raise", under="ignore"):
        yield


def draw_mask(draw, rng, shape, dtype):
    """No mask, one of booleans, or one of floats, which may be broadcast."""
    kind = draw(st.sampled_from(["none", "bool", "float", "hidden"]))
    shape = list(shape)
    for i in range(len(shape)):
        if draw(st.booleans()):
            shape[i] = 1
    shape = shape[draw(st.integers(0, len(shape) - 2)) :]
    if kind == "none":
        return None
    if kind == "bool":
        return rng.random(shape) < 0.6
    mask = rng.normal(size=shape).astype(dtype)
    return np.where(rng.random(shape) < 0.4, -np.inf, mask) if kind[0] == "h" else mask


@st.composite
def calls(draw):
    """Arguments of scaled_dot_product_attention; wholly masked rows among them."""
    rng, dtype = numpy_generator(draw(st.integers(0, 999))), draw(dtypes)
    batch = draw(st.lists(st.integers(0, 3), max_size=2))
    length, source, e, ev = draw(st.tuples(*[st.integers(1, 5)] * 4))
    if draw(st.integers(0, 9)) == 0:
        source = 0
    # large scores only where float32 is not asked for small differences
    size = draw(st.sampled_from([0.0, 1.0, 30.0 if dtype == "f8" else 2.0]))
    shapes = (length, e), (source, e), (source, ev)
    arrays = [(rng.normal(size=(*batch, *s)) * size).astype(dtype) for s in shapes]
    if draw(st.booleans()):  # not contiguous
        arrays = [np.asfortranarray(x) for x in arrays]
    causal = draw(st.booleans())
    mask = None if causal else draw_mask(draw, rng, (*batch, length, source), dtype)
    scales = [None, 1.0, 0.3] if causal else [None, 1.0, 0.3, 0.0, -0.5]
    scale = draw(st.sampled_from(scales))  # torch scales -inf, too
    return (*arrays, mask, 0.0, causal, scale), dtype


def as_torch(x, grad=True):
    if not isinstance(x, np.ndarray):
        return x
    return torch.tensor(x, requires_grad=grad and x.dtype.kind == "f")


def compared(f, f_backward, theirs, args, dtype, rng):
    """Value and all gradients against torch's."""
    close, tensors = CLOSE[dtype], [as_torch(x) for x in args]
    expected = theirs(*tensors)
    got = f(*args)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, expected.detach(), **close)
    dy = rng.normal(size=got.shape).astype(dtype)
    wanted = [
        i
        for i, t in enumerate(tensors)
        if isinstance(t, torch.Tensor) and t.requires_grad
    ]
    grads = torch.autograd.grad(
        expected, [tensors[i] for i in wanted], torch.tensor(dy), allow_unused=True
    )
    found = f_backward(dy, *args)
    found = found if isinstance(found, tuple) else (found,)
    for i, g in zip(wanted, grads, strict=True):
        assert found[i].dtype == dtype, i
        g = torch.zeros(args[i].shape) if g is None else g
        scale = max(1, float(abs(g).max()) if g.numel() else 1)
        np.testing.assert_allclose(
            found[i], g, rtol=close["rtol"], atol=close["atol"] * scale
        )
    assert all(g is None for i, g in enumerate(found) if i not in wanted)


@given(calls())
def test_scaled_attention_is_that_of_torch(call):
    args, dtype = call
    names = "query", "key", "value", "attn_mask", "dropout_p", "is_causal", "scale"

    def theirs(*given):
        return twin.scaled_dot_product_attention(**dict(zip(names, given, strict=True)))

    compared(
        scratch.scaled_dot_product_attention,
        scratch.scaled_dot_product_attention_backward,
        theirs,
        args,
        dtype,
        numpy_generator(1),
    )


@given(st.data())
def test_the_parts_are_those_of_the_twin(data):
    draw = data.draw
    rng, dtype = numpy_generator(draw(st.integers(0, 999))), draw(dtypes)
    batch = draw(st.lists(st.integers(0, 3), max_size=2))
    length, source, dq, dk, a = draw(st.tuples(*[st.integers(1, 4)] * 5))

    def array(*shape):
        return rng.normal(size=shape).astype(dtype)

    mask = draw_mask(draw, rng, (*batch, length, source), dtype)
    scores, value = array(*batch, length, source), array(*batch, source, dk)
    q, k = array(*batch, length, dq), array(*batch, source, dk)
    same = array(*batch, source, dq)
    cases = {
        "masked_softmax": (scores, mask),
        "attend": (scores, value, mask),
        "dot_product_attention": (q, same, value, mask),
        "additive_scores": (q, k, array(a, dq), array(a, dk), array(a)),
    }
    for name, args in cases.items():
        f, f_backward = getattr(scratch, name), getattr(scratch, f"{name}_backward")
        compared(f, f_backward, getattr(twin, name), args, dtype, rng)
    masked = scratch.apply_mask(scores, mask)
    expected = twin.apply_mask(as_torch(scores, False), as_torch(mask, False))
    np.testing.assert_array_equal(masked, expected)
    if mask is not None:
        ours = scratch.summed_to(scores, mask.shape)
        np.testing.assert_allclose(
            ours, twin.summed_to(torch.tensor(scores), mask.shape), atol=1e-5
        )


def test_masks():
    for n, m in (3, None), (2, 4), (4, 2), (1, 1), (2, 0):
        np.testing.assert_array_equal(scratch.causal_mask(n, m), twin.causal_mask(n, m))
        expected = [[i <= t for i in range(n if m is None else m)] for t in range(n)]
        np.testing.assert_array_equal(scratch.causal_mask(n, m), expected)
    for size in (None, 5):
        ours = scratch.padding_mask([3, 0, 2], size)
        np.testing.assert_array_equal(ours, twin.padding_mask([3, 0, 2], size))
        np.testing.assert_array_equal((~ours).sum(1), [3, 0, 2])
    for side in scratch, twin:
        assert side.padding_mask(np.zeros(0, int)).shape == (0, 0)
    assert scratch.padding_mask([0, 0]).shape == (2, 0)


def test_the_causal_option_is_the_causal_mask():
    rng = numpy_generator(0)
    q, k, v = rng.normal(size=(3, 2, 4, 3))
    whole = scratch.scaled_dot_product_attention(q, k, v, is_causal=True)
    mask = scratch.causal_mask(4)
    masked = scratch.scaled_dot_product_attention(q, k, v, mask)
    np.testing.assert_array_equal(whole, masked)
    k[:, 2:] = v[:, 2:] = 7.0  # the future changes nothing
    after = scratch.scaled_dot_product_attention(q, k, v, is_causal=True)
    np.testing.assert_array_equal(after[:, :2], whole[:, :2])
    assert (after[:, 2:] != whole[:, 2:]).any()


def test_padding_counts_for_nothing():
    rng = numpy_generator(0)
    q, k, v = rng.normal(size=(3, 2, 4, 3))
    mask = ~scratch.padding_mask([4, 2])[:, None]
    got = scratch.scaled_dot_product_attention(q, k, v, mask)
    alone = scratch.scaled_dot_product_attention(q[1], k[1, :2], v[1, :2])
    np.testing.assert_allclose(got[1], alone, atol=1e-15)


def naive(q, k, v, score):
    """The definition, number by number."""
    out = np.zeros((len(q), v.shape[1]))
    for t in range(len(q)):
        powers = [np.exp(score(q[t], k[i])) for i in range(len(k))]
        for i in range(len(k)):
            out[t] += powers[i] / sum(powers) * v[i]
    return out


def test_each_attention_is_its_formula():
    rng = numpy_generator(3)
    q, k = rng.normal(size=(3, 4)), rng.normal(size=(5, 4))
    v, w, u, a = (rng.normal(size=s) for s in ((5, 2), (6, 4), (6, 4), 6))
    close = {"rtol": 0, "atol": 1e-14}
    np.testing.assert_allclose(
        scratch.scaled_dot_product_attention(q, k, v),
        naive(q, k, v, lambda x, y: x @ y / 4**0.5),
        **close,
    )
    np.testing.assert_allclose(
        scratch.dot_product_attention(q, k, v), naive(q, k, v, np.dot), **close
    )
    np.testing.assert_allclose(
        scratch.attend(scratch.additive_scores(q, k, w, u, a), v),
        naive(q, k, v, lambda x, y: a @ np.tanh(w @ x + u @ y)),
        **close,
    )


def pairs(rng):
    """Every pair with arguments of a moderate size."""
    x = rng.normal(size=(2, 3, 4))
    y, z = rng.normal(size=(2, 5, 4)), rng.normal(size=(2, 5, 3))
    mask, allowed = rng.normal(size=(3, 5)), rng.random((2, 3, 5)) < 0.7
    scores = rng.normal(size=(2, 3, 5))
    w = [rng.normal(size=s) for s in ((4, 4), (4, 4), (4, 3), (4, 4), 12, 4)]
    yield "masked_softmax", (scores, mask)
    yield "masked_softmax", (scores, allowed)
    yield "scaled_dot_product_attention", (x, y, z, mask)
    yield "scaled_dot_product_attention", (x, y, z, allowed, 0.0, False, 2.0)
    yield "scaled_dot_product_attention", (x, y, z, None, 0.0, True)
    yield "dot_product_attention", (x, y, z, mask)
    yield "attend", (scores, z, mask)
    yield "additive_scores", (x, z, *(rng.normal(size=s) for s in ((6, 4), (6, 3), 6)))
    yield "multi_head_attention", (x, y, z, *w, 2, mask)
    yield "multi_head_attention", (x, y, z, *w[:4], None, w[5], 4, allowed[:, None])


@pytest.mark.parametrize("case", range(10))
def test_gradients_are_those_of_a_complex_step(case):
    name, args = list(pairs(numpy_generator(2)))[case]
    f, f_backward = getattr(scratch, name), getattr(scratch, f"{name}_backward")
    rng = numpy_generator(5)
    dy = rng.normal(size=f(*args).shape)
    found = f_backward(dy, *args)
    for i, x in enumerate(args):
        if isinstance(x, np.ndarray) and x.dtype == float:
            along = rng.normal(size=x.shape)
            moved = f(*args[:i], x + 1e-30j * along, *args[i + 1 :])
            slope = (dy * moved).imag.sum() / 1e-30
            assert found[i].shape == x.shape
            assert abs((found[i] * along).sum() - slope) < 1e-11, (name, i)


def test_on_the_engine_the_gradients_are_the_same():
    for name, args in pairs(numpy_generator(4)):
        f, f_backward = getattr(scratch, name), getattr(scratch, f"{name}_backward")
        tensors = [
            tensor(x, requires_grad=True)
            if isinstance(x, np.ndarray) and x.dtype == float
            else x
            for x in args
        ]
        y = register(f, f_backward)(*tensors)
        dy = numpy_generator(3).normal(size=y.shape)
        y.backward(dy)
        for t, g in zip(tensors, f_backward(dy, *args), strict=False):
            if hasattr(t, "grad"):
                np.testing.assert_array_equal(t.grad.data, g)


def test_dropout_draws_the_same_weights_forward_and_backward():
    rng = numpy_generator(0)
    q, k, v = rng.normal(size=(3, 2, 5, 5))
    kept = scratch.dropout_mask((2, 5, 5), 0.4, rng=numpy_generator(7))
    assert 0 < (kept == 0).mean() < 1

    def theirs(q, k, v):
        weights = (q @ k.transpose(-1, -2) / 5**0.5).softmax(-1)
        return (weights * torch.tensor(kept)) @ v

    def f(*args):
        return scratch.scaled_dot_product_attention(
            *args, dropout_p=0.4, rng=numpy_generator(7)
        )

    def f_backward(*args):
        return scratch.scaled_dot_product_attention_backward(
            *args, dropout_p=0.4, rng=numpy_generator(7)
        )

    compared(f, f_backward, theirs, (q, k, v), "f8", rng)


@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_extreme_scores_are_those_of_torch(dtype):
    q = np.array([[1e4, 0.0], [-1e4, 0.0]], dtype)
    k = np.array([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0]], dtype)
    v = np.eye(3, dtype=dtype)
    got = scratch.scaled_dot_product_attention(q, k, v)
    np.testing.assert_allclose(got, [[0.5, 0, 0.5], [0, 1, 0]], atol=1e-7)
    mask = np.array([[True, True, True], [False, False, False]])
    weights = scratch.masked_softmax(np.full((2, 3), 1e30, dtype), mask)
    np.testing.assert_allclose(weights, [[1 / 3] * 3, [0] * 3], rtol=1e-6)
