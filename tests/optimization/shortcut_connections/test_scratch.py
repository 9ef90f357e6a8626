"""Shortcuts in NumPy: gradients, the engine, limits of the gates, depth, edges."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.autodiff.engine import register, tensor
from dlbook_lib.feedforward.autodiff.modules import Sequential
from dlbook_lib.optimization.shortcut_connections import scratch
from dlbook_lib.optimization.shortcut_connections.layers import (
    DenseBlock,
    GatedSkipLayer,
    HighwayLayer,
    ResidualBlock,
)
from dlbook_lib.optimization.shortcut_connections.scratch import (
    dense_block,
    dense_block_backward,
    gated_skip,
    highway,
    residual,
)


@pytest.fixture(autouse=True)
def no_warning():
    with np.errstate(all="raise", under="ignore"):
        yield


def cases(rng, batch=(3,), n=4, width=5, out=2):
    """Every pair with its arguments, which are all arrays."""

    def draw(*shape):
        return rng.normal(size=shape)

    x = draw(*batch, n)
    yield "residual", (x, draw(width, n), draw(width), draw(n, width), draw(n))
    branch = draw(width, n), draw(width), draw(out, width), draw(out)
    yield "residual", (x, *branch, draw(out, n))
    yield "highway", (x, draw(n, n), draw(n), draw(n, n), draw(n))
    gates = draw(out, width), draw(out)
    earlier = draw(*batch, width)
    yield "gated_skip", (x, earlier, draw(out, n), draw(out, width), *gates)
    yield "dense_layer", (x, draw(out, n), draw(out))


NAMES = ["residual", "projection", "highway", "gated_skip", "dense_layer"]
places = pytest.mark.parametrize("place", range(5), ids=NAMES)


@places
@given(
    st.lists(st.integers(1, 3), max_size=2).map(tuple),
    *[st.integers(1, 4)] * 3,
    st.integers(0, 99),
)
def test_gradients_are_those_of_a_complex_step(place, batch, n, width, out, seed):
    rng = numpy_generator(seed)
    name, args = list(cases(rng, batch, n, width, out))[place]
    f = getattr(scratch, name)
    dy = rng.normal(size=f(*args).shape)
    found = getattr(scratch, f"{name}_backward")(dy, *args)
    for i, (x, dx) in enumerate(zip(args, found, strict=False)):
        along = rng.normal(size=x.shape)
        moved = f(*args[:i], x + 1e-30j * along, *args[i + 1 :])
        assert dx.shape == x.shape
        slope = (dy * moved).imag.sum() / 1e-30
        assert abs((dx * along).sum() - slope) < 1e-10 * (1 + abs(slope))


@places
def test_on_the_engine_the_gradients_are_the_same(place):
    name, args = list(cases(numpy_generator(0)))[place]
    f, f_backward = getattr(scratch, name), getattr(scratch, f"{name}_backward")
    tensors = [tensor(x, requires_grad=True) for x in args]
    y = register(f, f_backward)(*tensors)
    dy = numpy_generator(1).normal(size=y.shape)
    y.backward(dy)
    for t, g in zip(tensors, f_backward(dy, *args), strict=False):
        np.testing.assert_array_equal(t.grad.data, g)


def blocks(rng, dtype="f8", batch=(6,)):
    x = rng.normal(size=(*batch, 3)).astype(dtype)
    widths = range(3, 3 + 4 * 2, 2)
    weights = [rng.normal(size=(2, w)).astype(dtype) for w in widths]
    return x, weights, [rng.normal(size=2).astype(dtype) for _ in weights]


def test_a_dense_block_is_its_definition():
    x, weights, biases = blocks(numpy_generator(0))
    seen = [x]
    for w, b in zip(weights, biases, strict=True):
        seen.append(np.maximum(np.concatenate(seen, axis=1) @ w.T + b, 0))
    y = dense_block(x, weights, biases)
    np.testing.assert_allclose(y, np.concatenate(seen, axis=1), atol=1e-12)
    assert y.shape == (6, 3 + 4 * 2)


def test_gradients_of_a_dense_block():
    rng = numpy_generator(0)
    x, weights, biases = blocks(rng)
    dy = rng.normal(size=(6, 11))
    dx, dweights, dbiases = dense_block_backward(dy, x, weights, biases)
    along = rng.normal(size=x.shape)
    slope = (dy * dense_block(x + 1e-30j * along, weights, biases)).imag.sum() / 1e-30
    assert abs((dx * along).sum() - slope) < 1e-10
    for name, parameters, found in (
        ("weights", weights, dweights),
        ("biases", biases, dbiases),
    ):
        for i, p in enumerate(parameters):
            along = rng.normal(size=p.shape)
            moved = [*parameters[:i], p + 1e-30j * along, *parameters[i + 1 :]]
            both = {"weights": weights, "biases": biases} | {name: moved}
            slope = (dy * dense_block(x, **both)).imag.sum() / 1e-30
            assert abs((found[i] * along).sum() - slope) < 1e-10


def test_open_and_closed_gates_give_one_path():
    rng = numpy_generator(0)
    x, past, w, v = (rng.normal(size=s) for s in ((5, 4), (5, 3), (4, 4), (4, 3)))
    shut, opened = np.full(4, -1e4), np.full(4, 1e4)
    np.testing.assert_array_equal(highway(x, w, shut, 0 * w, shut), x)
    b = np.zeros(4)
    layer = np.maximum(x @ w.T, 0)
    np.testing.assert_allclose(highway(x, w, b, 0 * w, opened), layer, atol=1e-12)
    near, far = (gated_skip(x, past, w, v, 0 * v, b) for b in (opened, shut))
    np.testing.assert_allclose(near, layer, atol=1e-12)
    np.testing.assert_allclose(far, np.maximum(past @ v.T, 0), atol=1e-12)


def test_the_two_gated_forms_are_two_functions():
    rng = numpy_generator(0)
    x, w, b = (rng.normal(size=s) for s in ((5, 4), (4, 4), 4))
    outside = highway(x, w, 0 * b, w, b)
    inside = gated_skip(x, x, w, np.eye(4), w, b)
    assert (outside < 0).any()
    assert (inside >= 0).all()


def test_a_gradient_passes_fifty_residual_blocks_and_not_fifty_plain_layers():
    rng = numpy_generator(0)
    net = Sequential(
        *(ResidualBlock(8, 8, zero_start=True, rng=rng) for _ in range(50))
    )
    x = tensor(rng.normal(size=(4, 8)), requires_grad=True)
    net(x).backward(np.ones((4, 8)))
    np.testing.assert_array_equal(x.grad.data, 1)
    plain = [block.linear1 for block in net]
    h = x = tensor(rng.normal(size=(4, 8)), requires_grad=True)
    for layer in plain:
        h = layer(h).relu()
    h.backward(np.ones((4, 8)))
    assert abs(x.grad.data).max() < 1e-10


def test_float32_stays_float32():
    for name, args in cases(numpy_generator(0)):
        args = [a.astype("f4") for a in args]
        y = getattr(scratch, name)(*args)
        found = getattr(scratch, f"{name}_backward")(y, *args)
        assert {r.dtype for r in (y, *found) if r is not None} == {np.dtype("f4")}
    x, weights, biases = blocks(numpy_generator(0), "f4")
    y = dense_block(x, weights, biases)
    dx, dweights, dbiases = dense_block_backward(y, x, weights, biases)
    assert {r.dtype for r in (y, dx, *dweights, *dbiases)} == {np.dtype("f4")}
    rng = numpy_generator(0)
    options = {"rng": rng, "dtype": "f4"}
    for layer in (
        ResidualBlock(3, 5, 2, True, **options),
        HighwayLayer(3, **options),
        DenseBlock(3, 2, 2, **options),
    ):
        assert layer(x).dtype == "f4"


def test_empty_batches():
    for batch in ((0,), (2, 0)):
        for name, args in cases(numpy_generator(0), batch):
            y = getattr(scratch, name)(*args)
            found = getattr(scratch, f"{name}_backward")(y, *args)
            assert y.shape[:-1] == batch
            assert found[0].shape == args[0].shape
            assert not any(g.any() for g in found if g is not None)
        x, weights, biases = blocks(numpy_generator(0), batch=batch)
        assert dense_block(x, weights, biases).shape == (*batch, 11)


def test_extreme_scores_give_finite_values():
    x, w, b = np.array([[1e4, -1e4]]), 1e4 * np.eye(2), np.zeros(2)
    for y in (highway(x, w, b, w, b), gated_skip(x, x, w, w, w, b)):
        assert np.isfinite(y).all()
    assert np.isfinite(scratch.highway_backward(x, x, w, b, w, b)[0]).all()


def test_by_hand():
    w, zero = np.array([[1.0]]), np.zeros(1)
    y = residual([[2.0]], w, zero, 3 * w, zero + 1, 10 * w)
    np.testing.assert_array_equal(y, [[10 * 2 + 3 * 2 + 1]])


def test_modules_start_as_they_are_asked_to():
    rng = numpy_generator(0)
    block = ResidualBlock(4, 6, 3, rng=rng)
    assert list(block.state_dict()) == [
        "linear1.weight",
        "linear1.bias",
        "linear2.weight",
        "linear2.bias",
        "projection.weight",
    ]
    assert (HighwayLayer(3, -1.5, rng=rng).gate.bias.data == -1.5).all()
    layer = GatedSkipLayer(3, 2, 4, rng=rng)
    assert layer.skip.bias is layer.linear.bias is None
