"""Normalisation in NumPy: naive formulas, gradients, running state, edges, layouts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.autodiff.engine import grad, register, tensor
from dlbook_lib.optimization.batch_normalization import scratch
from dlbook_lib.optimization.batch_normalization import second_derivatives as twice
from dlbook_lib.optimization.batch_normalization.scratch import (
    affine,
    batch_norm,
    batch_norm_backward,
    batch_norm_by_channel,
    channelwise,
    group_norm,
    instance_norm,
    layer_norm,
    standardize,
    standardize_backward,
    track_,
)


@pytest.fixture(autouse=True)
def no_warning():
    with np.errstate(all="raise", under="ignore"):
        yield


def cases(rng, shape, weighted=True):
    """Every operation with its arguments, for an input (N, C, ...)."""
    x = rng.normal(size=shape) * 3 + 1
    c = shape[1]
    w, b = (rng.normal(size=c) if weighted else None for _ in range(2))
    stats = rng.normal(size=c), rng.uniform(0.5, 2, c)
    lw, lb = (rng.normal(size=shape[1:]) if weighted else None for _ in range(2))
    yield "batch_norm", (x, None, None, w, b, True, 0.1, 1e-3)
    yield "batch_norm", (x, *stats, w, b, False, 0.1, 1e-3)
    yield "instance_norm", (x, *stats, w, b, False, 0.1, 1e-3)
    yield "layer_norm", (x, shape[1:], lw, lb, 1e-3)
    yield "group_norm", (x, 2, w, b, 1e-3)
    yield "affine", (x, w, b)
    yield "standardize", (x, (0, -1), 1e-3)
    if len(shape) > 2:
        yield "instance_norm", (x, None, None, w, b, True, 0.1, 1e-3)


SHAPES = [(5, 4), (3, 4, 2), (2, 4, 3, 2), (2, 2, 2, 1, 3)]
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)


def steps(f, args, i):
    """Complex-step derivatives of a projection by `dy` along random directions."""
    rng = numpy_generator(5)
    y = f(*args)
    dy, along = rng.normal(size=y.shape), rng.normal(size=args[i].shape)
    moved = [*args[:i], args[i] + 1e-30j * along, *args[i + 1 :]]
    return dy, along, (dy * f(*moved)).imag.sum() / 1e-30


@shapes
@pytest.mark.parametrize("weighted", [True, False])
def test_gradients_are_those_of_a_complex_step(shape, weighted):
    for name, args in cases(numpy_generator(1), shape, weighted):
        f, f_backward = getattr(scratch, name), getattr(scratch, f"{name}_backward")
        for i, x in enumerate(args):
            in_place = i in (1, 2) and name in ("batch_norm", "instance_norm")
            if isinstance(x, np.ndarray) and not in_place:
                dy, along, slope = steps(f, args, i)
                found = f_backward(dy, *args)
                found = found if isinstance(found, tuple) else (found,)
                assert found[i].shape == x.shape
                assert abs((found[i] * along).sum() - slope) < 1e-10, (name, i)


@shapes
def test_on_the_engine_the_gradients_are_the_same(shape):
    for name, args in cases(numpy_generator(2), shape):
        f, f_backward = getattr(scratch, name), getattr(scratch, f"{name}_backward")
        state = (1, 2) if name in ("batch_norm", "instance_norm") else ()
        tensors = [
            tensor(x, requires_grad=True)
            if isinstance(x, np.ndarray) and i not in state
            else x
            for i, x in enumerate(args)
        ]
        y = register(f, f_backward)(*tensors)
        dy = numpy_generator(3).normal(size=y.shape)
        y.backward(dy)
        expected = f_backward(dy, *args)
        expected = expected if isinstance(expected, tuple) else (expected,)
        for t, g in zip(tensors, expected, strict=False):
            if hasattr(t, "grad"):
                np.testing.assert_array_equal(t.grad.data, g)


@given(
    st.lists(st.integers(2, 4), min_size=2, max_size=5),
    st.integers(0, 99),
    st.sampled_from([1e-5, 0.1]),
)
def test_each_norm_is_its_naive_formula(shape, seed, eps):
    shape[1] *= 2
    rng = numpy_generator(seed)
    x = rng.normal(size=shape)
    n, c = shape[:2]

    def plain(part):
        return (part - part.mean()) / (((part - part.mean()) ** 2).mean() + eps) ** 0.5

    batch = np.stack([plain(x[:, j]) for j in range(c)], 1)
    layer = np.stack([plain(x[i]) for i in range(n)])
    halves = [[plain(x[i, : c // 2]), plain(x[i, c // 2 :])] for i in range(n)]
    group = np.stack([np.concatenate(parts) for parts in halves])
    close = {"rtol": 0, "atol": 1e-12}
    got = batch_norm(x, None, None, training=True, eps=eps)
    np.testing.assert_allclose(got, batch, **close)
    got = layer_norm(x, tuple(shape[1:]), eps=eps)
    np.testing.assert_allclose(got, layer, **close)
    np.testing.assert_allclose(group_norm(x, 2, eps=eps), group, **close)
    if len(shape) > 2:
        each = [np.stack([plain(x[i, j]) for j in range(c)]) for i in range(n)]
        np.testing.assert_allclose(instance_norm(x, eps=eps), np.stack(each), **close)


def test_the_gradient_has_no_part_that_shifts_or_stretches():
    rng = numpy_generator(0)
    x, dy = rng.normal(size=(2, 50, 3))
    dx = standardize_backward(dy, x, 0, 1e-12)
    assert abs(dx.sum(axis=0)).max() < 1e-12
    assert abs((dx * x).sum(axis=0)).max() < 1e-9


def test_the_bias_before_it_and_the_scale_of_the_weight_do_not_matter():
    rng = numpy_generator(0)
    x, w = rng.normal(size=(20, 4)), rng.normal(size=(3, 4))
    y = batch_norm(x @ w.T, None, None, training=True, eps=1e-12)
    again = batch_norm(7 * x @ w.T + 5, None, None, training=True, eps=1e-12)
    np.testing.assert_allclose(y, again, atol=1e-9)


def test_running_statistics_by_hand():
    mean, var = np.array([10.0]), np.array([4.0])
    batch_norm(np.array([[0.0], [2.0]]), mean, var, training=True, momentum=0.25)
    np.testing.assert_allclose(mean, 0.75 * 10 + 0.25 * 1)
    np.testing.assert_allclose(var, 0.75 * 4 + 0.25 * 2)  # 2 is the unbiased one


def test_the_backward_half_leaves_the_running_statistics_alone():
    x, dy = numpy_generator(0).normal(size=(2, 6, 3))
    mean, var = np.zeros(3), np.ones(3)
    batch_norm_backward(dy, x, mean, var, None, None, True)
    assert not mean.any()
    assert (var == 1).all()


def test_bad_weights_do_not_move_the_running_statistics():
    mean = np.zeros(3)
    with pytest.raises(ValueError, match="channelwise: bias has shape"):
        batch_norm(np.ones((4, 3)), mean, np.ones(3), np.ones(3), np.ones(2), True)
    assert not mean.any()


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_where_all_numbers_are_equal_the_answer_is_the_bias(dtype):
    x, b = np.full((6, 3, 4), 7.0, dtype), np.arange(3, dtype=dtype)
    w, d = np.ones(3, dtype), np.ones_like(x)
    for f in (
        lambda: batch_norm(x, None, None, w, b, True),
        lambda: instance_norm(x, None, None, w, b),
        lambda: group_norm(x, 3, w, b),
        lambda: batch_norm_by_channel(x, w, b)[0],
    ):
        np.testing.assert_array_equal(f(), np.broadcast_to(b[:, None], x.shape))
    assert not batch_norm_backward(d, x, None, None, w, b, True)[0].any()
    assert not layer_norm(x[..., :1], (1,)).any()


def test_float32_stays_float32():
    for shape in SHAPES:
        for name, args in cases(numpy_generator(1), shape):
            args = [a.astype("f4") if isinstance(a, np.ndarray) else a for a in args]
            y = getattr(scratch, name)(*args)
            found = getattr(scratch, f"{name}_backward")(y, *args)
            found = found if isinstance(found, tuple) else (found,)
            results = [y, *(g for g in found if g is not None)]
            assert {r.dtype for r in results} == {np.dtype("f4")}, name
    x, w = np.ones((5, 3), "f4"), np.ones(3, "f4")
    y, pull = batch_norm_by_channel(x, w, w)
    assert {r.dtype for r in (y, *pull(x))} == {np.dtype("f4")}


def test_a_float64_eps_does_not_promote():
    """A NumPy scalar has a precision of its own; a Python number has none."""
    x, w, eps = np.eye(4, 3, dtype="f4"), np.ones(3, "f4"), np.float64(1e-3)
    for training in (True, False):
        args = x, w, w, w, w, training, 0.1, eps
        dx, _, _, *rest = batch_norm_backward(x, *args)
        assert {a.dtype for a in (batch_norm(*args), dx, *rest)} == {np.dtype("f4")}
        t = tensor(x, requires_grad=True)
        y = twice.batch_norm(t, *args[1:])
        (slope,) = grad((y * y).sum(), [t], create_graph=True)
        (bend,) = grad((slope * slope).sum(), [t])
        assert bend.dtype == slope.dtype == "f4"
    assert layer_norm(x, (3,), w, w, eps).dtype == "f4"


@pytest.mark.parametrize("x", [1e30, np.inf, np.nan])
def test_what_overflows_does_so_without_a_warning(x):
    x = np.array([[x], [-x]], "f4")
    y = standardize(x, 0)
    assert y.shape == standardize_backward(np.ones_like(x), x, 0).shape == (2, 1)
    assert not y.any() if np.isfinite(x).all() else np.isnan(y).any()
    one = np.ones(1, "f4")
    by_channel, pull = batch_norm_by_channel(x, one, 0 * one)
    np.testing.assert_array_equal(by_channel, y)
    pull(np.ones_like(x))
    y, pull = batch_norm_by_channel(np.abs(x) + one, one, one)
    assert pull(np.ones_like(x))[0].shape == y.shape


LAYOUTS = {
    "C": lambda x: x,
    "batch last": lambda x: np.moveaxis(
        np.ascontiguousarray(np.moveaxis(x, 0, -1)), -1, 0
    ),
    "channels last": lambda x: np.moveaxis(
        np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1
    ),
    "strided": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("other", LAYOUTS.values(), ids=LAYOUTS)
@shapes
def test_channel_by_channel_gives_the_same(layout, other, shape):
    rng = numpy_generator(0)
    w, b = rng.normal(size=(2, shape[1]))
    far = channelwise(np.resize([0.0, 5.0], shape[1]), np.empty(shape))
    x, dy = layout(rng.normal(size=shape) + far), other(rng.normal(size=shape))
    y, pull = batch_norm_by_channel(x, w, b, 1e-3)
    expected = batch_norm(x, None, None, w, b, True, eps=1e-3)
    np.testing.assert_allclose(y, expected, atol=1e-12)
    dx, _, _, *rest = batch_norm_backward(dy, x, None, None, w, b, True, eps=1e-3)
    for found, wanted in zip(pull(dy), (dx, *rest), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-12)


@pytest.mark.parametrize("mean", [0.0, 0.9, -1.1, 30.0, 1e4])
def test_channel_by_channel_is_as_good_in_float32(mean):
    """Near the mean by the mean square, far from it centred first."""
    rng = numpy_generator(0)
    x = (rng.normal(size=(16, 4, 14, 14)) + mean).astype("f4")
    dy, (w, b) = rng.normal(size=x.shape).astype("f4"), np.ones((2, 4), "f4")
    y, pull = batch_norm_by_channel(x, w, b)
    exact = x.astype(float), None, None, w, b, True
    assert abs(y - batch_norm(*exact)).max() < 3e-6 + 2e-7 * abs(mean)  # mean rounded
    dx, _, _, *rest = batch_norm_backward(dy.astype(float), *exact)
    dinput, *sums = pull(dy)
    assert abs(dinput - dx).max() < 3e-6 + 2e-8 * abs(mean)
    assert abs(np.subtract(sums, rest)).max() < 1e-4 + 1.5e-5 * abs(mean)


def test_channel_by_channel_is_as_good_on_a_million_numbers():
    """One long sum in float32 is wrong in its sixth digit."""
    rng, one = numpy_generator(0), np.ones(1, "f4")
    x = rng.exponential(size=(20, 1, 224, 224)).astype("f4")
    for far in (0, 1):
        y, pull = batch_norm_by_channel(x + one * far, one, one)
        exact = batch_norm((x + one * far).astype(float), None, None, training=True)
        assert abs(y - 1 - exact).max() < 5e-6
        _, dweight, dbias = pull(y)
        assert abs(dweight / (y * exact).sum() - 1) < 2e-6
        assert abs(dbias / y.sum(dtype=float) - 1) < 2e-6


def test_empty_batches():
    for shape in ((0, 4), (0, 4, 2), (3, 4, 0)):
        x, w, mean = np.zeros(shape), np.ones(4), np.ones(4)
        for training in (True, False):
            args = (x, mean, mean.copy(), w, w, training)
            assert batch_norm(*args).shape == shape
            dx, _, _, dw, db = batch_norm_backward(x, *args)
            assert dx.shape == shape
            assert not dw.any()
            assert not db.any()
        assert (mean == 1).all()
        assert group_norm(x, 2).shape == layer_norm(x, shape[1:]).shape == shape
        assert affine(x, w).shape == shape
    assert instance_norm(np.zeros((0, 4, 2))).shape == (0, 4, 2)


def test_an_average_over_instances():
    x = numpy_generator(0).normal(size=(3, 2, 5))
    mean, var = np.zeros(2), np.zeros(2)
    track_(mean, var, x, 2, 1.0)
    np.testing.assert_allclose(mean, x.mean(axis=(0, 2)))
    np.testing.assert_allclose(var, x.var(axis=2, ddof=1).mean(axis=0))
