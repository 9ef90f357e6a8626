"""Dropout and DropConnect against torch and their own definitions."""

import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

from dlbook_lib.common.rng import numpy_generator, torch_generator
from dlbook_lib.feedforward.autodiff.engine import grad, register, tensor
from dlbook_lib.feedforward.autodiff.modules import Linear, ReLU, Sequential
from dlbook_lib.feedforward.linear_models.scratch import linear, numeric_gradient
from dlbook_lib.regularization.dropout import pytorch as twin
from dlbook_lib.regularization.dropout import scratch

MASKS = ["dropout_mask", "dropout_mask_from_bytes"]
RATES = [0.0, 0.1, 0.25, 0.3, 0.5, 0.8, 0.999, 1.0]


def same(ours, theirs, tolerance=1e-10):
    theirs = theirs.detach().numpy()
    assert np.shape(ours) == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


# ---- masks -------------------------------------------------------------------------


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("p", RATES)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_masks_drop_at_their_rate(name, p, dtype):
    n = 200_000
    spread = (p * (1 - p) / n) ** 0.5
    mask = getattr(scratch, name)((n,), p, rng=numpy_generator(3), dtype=dtype)
    assert mask.dtype == dtype
    values = np.unique(mask)
    scale = np.dtype(dtype).type(1 / (1 - p)) if p < 1 else 0
    assert set(values) == ({0, scale} if p else {1})
    assert abs((mask == 0).mean() - p) <= 5 * spread
    kind = {"f4": torch.float32, "f8": torch.float64}[dtype]
    theirs = getattr(twin, name)((n,), p, rng=torch_generator(3), dtype=kind)
    assert theirs.dtype == kind
    np.testing.assert_array_equal(theirs.unique(), values)
    assert abs((theirs == 0).double().mean() - p) <= 5 * spread


class EveryByte(np.random.Generator):
    """A generator that draws each byte once, and for the ties an even grid."""

    def __init__(self, ties):
        super().__init__(np.random.SFC64(0))
        self.ties = ties

    def integers(self, *_, size, **__):
        return np.arange(256, dtype=np.uint8).repeat(self.ties).view(np.uint64)[:size]

    def random(self, n):
        assert n == self.ties
        return (np.arange(n) + 0.5) / n


@given(st.integers(0, 64 * 256))
def test_the_rate_of_the_fast_mask_is_exact_over_all_bytes(k):
    p, ties = k / (64 * 256), 64
    mask = scratch.dropout_mask_from_bytes((256 * ties,), p, rng=EveryByte(ties))
    assert (mask == 0).sum() == k


@pytest.mark.parametrize("generator", [np.random.MT19937, np.random.SFC64])
def test_the_fast_mask_takes_any_bit_generator(generator):
    rng = np.random.Generator(generator(0))
    mask = scratch.dropout_mask_from_bytes((8, 20_000), 0.5, rng=rng)
    np.testing.assert_allclose((mask == 0).mean(axis=1), 0.5, atol=0.02)
    mask = mask.reshape(-1, 8)  # the eight bytes of a word are independent
    np.testing.assert_allclose((mask == 0).mean(axis=0), 0.5, atol=0.02)
    assert abs(np.corrcoef(mask.T) - np.eye(8)).max() < 0.04


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (7,), (3, 5, 2)])
def test_masks_of_every_shape(name, shape):
    rng = numpy_generator(0)
    assert getattr(scratch, name)(shape, 0.3, rng=rng).shape == shape
    assert getattr(twin, name)(shape, 0.3, rng=torch_generator(0)).shape == shape


def test_the_fast_mask_needs_little_beside_the_mask():
    tracemalloc.start()
    mask = scratch.dropout_mask_from_bytes(
        (1000, 1000), rng=numpy_generator(0), dtype="f4"
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert mask.nbytes == 4_000_000
    assert peak < 7_000_000  # a byte drawn and a byte decided for each unit


# ---- dropout -----------------------------------------------------------------------


@given(
    array_shapes(min_dims=0, max_side=4),
    st.sampled_from(RATES),
    st.sampled_from([("f8", 1e-10), ("f4", 1e-6)]),
    st.integers(0, 99),
)
def test_value_and_gradient_are_torchs_for_the_same_mask(shape, p, kind, seed):
    dtype, tolerance = kind
    rng = numpy_generator(seed)
    x, dy = rng.normal(size=(2, *shape)).astype(dtype)
    leaf = torch.tensor(x, requires_grad=True)
    torch.manual_seed(seed)
    y = torch.nn.functional.dropout(leaf, p, training=True)
    torch.manual_seed(seed)
    mask = torch.nn.functional.dropout(torch.ones_like(leaf), p).numpy()
    ours, dx = scratch.masked(x, mask), scratch.masked_backward(dy, x, mask)
    assert ours.dtype == dx.dtype == dtype
    same(ours, y, tolerance)
    same(ours, twin.masked(leaf, torch.tensor(mask)), tolerance)
    same(dx, *torch.autograd.grad(y, leaf, torch.tensor(dy)), tolerance)
    if p < 1:  # torch's scale is ours
        values = np.unique(mask)
        allowed = np.array([0, 1 / (1 - p)], dtype)
        assert np.isclose(values[:, None], allowed, rtol=1e-6).any(axis=1).all()


@pytest.mark.parametrize("draw", MASKS)
@pytest.mark.parametrize("p", RATES)
def test_dropout_is_the_drawn_mask_times_the_input(draw, p):
    draw = getattr(scratch, draw)
    x = numpy_generator(0).normal(size=(6, 5))
    mask = draw((6, 5), p, rng=numpy_generator(1))
    y = scratch.dropout(x, p, rng=numpy_generator(1), draw=draw)
    np.testing.assert_array_equal(y, x * mask)
    assert scratch.dropout(x, p, False, rng=numpy_generator(1)) is x
    t = torch.tensor(x)
    assert twin.dropout(t, p, False, rng=torch_generator(1)) is t
    theirs = twin.dropout(t, p, rng=torch_generator(1))
    drawn = twin.dropout_mask((6, 5), p, rng=torch_generator(1))
    torch.testing.assert_close(theirs, t * drawn)


def test_odd_numbers_come_out_as_in_torch():
    x = np.array([np.nan, np.inf, -np.inf, 1e300, 0.0])
    for p in (0.0, 1.0):
        with np.errstate(all="raise"):
            y = scratch.dropout(x, p, rng=numpy_generator(0))
        same(y, torch.nn.functional.dropout(torch.tensor(x), p))
    assert scratch.dropout(x[:0], rng=numpy_generator(0)).shape == (0,)
    z = scratch.dropout(x[3:] + 1j, rng=numpy_generator(0))  # for a complex step
    assert z.dtype == complex
    view = np.ones((4, 6))[::2, ::3]
    assert scratch.dropout(view, rng=numpy_generator(0)).shape == (2, 2)


def test_the_backward_halves_pass_a_numeric_check():
    rng = numpy_generator(0)
    x, mask, dy = rng.normal(size=(3, 4, 3))
    mask = (mask > 0) * 2.0
    numeric = numeric_gradient(lambda z: (dy * scratch.masked(z, mask)).sum(), x)
    np.testing.assert_allclose(scratch.masked_backward(dy, x, mask), numeric, atol=1e-7)


def test_registered_operations_give_the_same_gradients():
    rng = numpy_generator(0)
    x, mask, dy = rng.normal(size=(3, 4, 3))
    leaf = tensor(x, requires_grad=True)
    (found,) = grad(scratch.masked_units(leaf, mask), leaf, [dy])
    np.testing.assert_array_equal(found.data, scratch.masked_backward(dy, x, mask))
    y = scratch.dropout(leaf, 0.5, rng=numpy_generator(2)) ** 2
    (slope,) = grad(y.sum(), leaf, create_graph=True)
    (bend,) = grad(slope.sum(), leaf)
    drawn = scratch.dropout_mask(x.shape, 0.5, rng=numpy_generator(2))
    np.testing.assert_allclose(bend.data, 2 * drawn**2)

    weight, bias = rng.normal(size=(2, 3)), rng.normal(size=2)
    each, dy = rng.normal(size=(4, 2, 3)), rng.normal(size=(4, 2))
    leaves = [tensor(a, requires_grad=True) for a in (x, weight, bias)]
    f = register(scratch.masked_linear, scratch.masked_linear_backward)
    found = grad(f(*leaves[:2], each, leaves[2]), leaves, [dy])
    dx, dw, _, db = scratch.masked_linear_backward(dy, x, weight, each, bias)
    for a, b in zip(found, (dx, dw, db), strict=True):
        np.testing.assert_array_equal(a.data, b)


@pytest.mark.parametrize("p", RATES)
def test_the_layer_goes_by_training_as_torchs_does(p):
    ours, theirs = scratch.Dropout(p, rng=numpy_generator(0)), torch.nn.Dropout(p)
    copy = twin.Dropout(p, rng=torch_generator(0))
    assert repr(ours) == repr(copy) == f"Dropout(p={p})"
    assert ours.training is copy.training is theirs.training is True
    x = np.ones((300, 300))
    for y in (ours(x), copy(torch.tensor(x)).numpy(), theirs(torch.tensor(x)).numpy()):
        assert abs((y == 0).mean() - p) < 0.01
        assert abs(y[y > 0] * (1 - p) - 1).max(initial=0) < 1e-9
    assert ours.eval()(x) is x
    net = Sequential(Linear(3, 4, rng=numpy_generator(0)), ReLU(), ours)
    assert list(net.state_dict()) == ["0.weight", "0.bias"]
    assert net.train()[2].training
    assert not net.eval()[2].training


def test_bad_rates_are_refused_where_torch_refuses_them():
    for p in (-0.1, 1.1):
        with pytest.raises(ValueError, match="p must be a number from 0 to 1"):
            scratch.Dropout(p, rng=numpy_generator(0))
        with pytest.raises(ValueError, match="dropout probability"):
            torch.nn.Dropout(p)


# ---- DropConnect -------------------------------------------------------------------


@given(
    st.lists(st.integers(0, 3), max_size=2).map(tuple),
    st.booleans(),
    st.booleans(),
    st.sampled_from([("f8", 1e-10), ("f4", 1e-5)]),
    st.integers(0, 99),
)
def test_masked_linear(batch, each, has_bias, kind, seed):
    dtype, tolerance = kind
    rng = numpy_generator(seed)
    shapes = (*batch, 3), (2, 3), (*(batch if each else ()), 2, 3), (2,), (*batch, 2)
    x, w, mask, b, dy = (rng.normal(size=s).astype(dtype) for s in shapes)
    bias = b if has_bias else None
    leaves = [torch.tensor(a, requires_grad=True) for a in (x, w, b)]
    theirs = twin.masked_linear(
        *leaves[:2], torch.tensor(mask), leaves[2] if has_bias else None
    )
    ours = scratch.masked_linear(x, w, mask, bias)
    assert ours.dtype == dtype
    same(ours, theirs, tolerance)
    found = scratch.masked_linear_backward(dy, x, w, mask, bias)
    assert found[2] is None
    expected = torch.autograd.grad(theirs, leaves, torch.tensor(dy), allow_unused=True)
    for a, e in zip((*found[:2], found[3]), expected, strict=True):
        assert (a is None) == (e is None)
        if a is not None:
            assert a.dtype == dtype
            same(a, e, tolerance)


def test_masked_linear_row_by_row():
    rng = numpy_generator(0)
    x, w, b = rng.normal(size=(5, 3)), rng.normal(size=(2, 3)), rng.normal(size=2)
    mask = rng.normal(size=(5, 2, 3))
    naive = [(w * m) @ row + b for row, m in zip(x, mask, strict=True)]
    np.testing.assert_allclose(scratch.masked_linear(x, w, mask, b), naive)


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_drop_connect_in_training_and_in_use(p):
    rng = numpy_generator(0)
    x, w, b = rng.normal(size=(4, 3)), rng.normal(size=(2, 3)), rng.normal(size=2)
    mask = scratch.dropout_mask((4, 2, 3), p, rng=numpy_generator(1))
    y = scratch.drop_connect(x, w, b, p, rng=numpy_generator(1))
    np.testing.assert_array_equal(y, scratch.masked_linear(x, w, mask, b))
    plain = linear(x, w, b)
    y = scratch.drop_connect(x, w, b, p, False, rng=numpy_generator(1))
    np.testing.assert_allclose(y, plain)
    layer = Linear(3, 2, rng=numpy_generator(0))
    ours = scratch.DropConnect(layer, p, rng=numpy_generator(1))
    assert list(ours.state_dict()) == ["linear.weight", "linear.bias"]
    theirs = twin.DropConnect(torch.nn.Linear(3, 2).double(), p, rng=torch_generator(0))
    theirs.load_state_dict({k: torch.tensor(v) for k, v in ours.state_dict().items()})
    t = torch.tensor(x)
    assert theirs(t).shape == (4, 2)
    same(ours.eval()(x).data, theirs.eval()(t))
    if p == 0:
        same(ours.train()(x).data, theirs.train()(t))
    if p == 1:
        same(np.tile(layer.bias.data, (4, 1)), theirs.train()(t))
    ours.train()(x).sum().backward()
    assert layer.weight.grad.shape == (2, 3)


def test_drop_connect_draws_nothing_in_use():
    rng, x, w = numpy_generator(0), np.ones((4, 3)), np.ones((2, 3))
    scratch.drop_connect(x.tolist(), w, [0.0, 1.0], training=False, rng=rng)
    assert rng.random() == numpy_generator(0).random()
    with pytest.raises(ValueError, match="p must be a number from 0 to 1, not 7"):
        scratch.drop_connect(x, w, p=7, training=False, rng=rng)


def test_drop_connect_on_average_is_the_plain_layer():
    w, x = numpy_generator(0).normal(size=(2, 3)), np.ones((40_000, 3))
    y = scratch.drop_connect(x, w, p=0.3, rng=numpy_generator(1))
    assert scratch.drop_connect(x[:0], w, p=0.3, rng=numpy_generator(1)).shape == (0, 2)
    spread = (0.3 / 0.7 * (w**2).sum(axis=1)) ** 0.5
    np.testing.assert_allclose(y.mean(axis=0), w.sum(axis=1), atol=0.05)
    np.testing.assert_allclose(y.std(axis=0), spread, rtol=0.03)
    t = torch.ones(40_000, 3, dtype=torch.float64)
    y = twin.drop_connect(t, torch.tensor(w), p=0.3, rng=torch_generator(1)).numpy()
    np.testing.assert_allclose(y.mean(axis=0), w.sum(axis=1), atol=0.05)
    np.testing.assert_allclose(y.std(axis=0), spread, rtol=0.03)
