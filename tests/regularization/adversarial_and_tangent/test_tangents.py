"""Tangents of pictures, distances of planes, tangent prop and double backprop."""

import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.autodiff import operations as op
from dlbook_lib.feedforward.autodiff.engine import Tensor, register, tensor
from dlbook_lib.feedforward.autodiff.modules import Linear, Sequential, Tanh
from dlbook_lib.feedforward.autodiff.scratch import jacobian
from dlbook_lib.feedforward.linear_models.scratch import numeric_gradient
from dlbook_lib.regularization.adversarial_and_tangent import scratch, tangents
from dlbook_lib.regularization.adversarial_and_tangent import tangents_pytorch as twin
from dlbook_lib.regularization.augmentation_and_noise.scratch import (
    rotate,
    scale,
    shift,
)


def same(ours, theirs, tolerance=1e-10):
    theirs = np.asarray(theirs.detach() if hasattr(theirs, "detach") else theirs)
    ours = ours.data if isinstance(ours, Tensor) else ours
    assert np.shape(ours) == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


def nets(seed=0, sizes=(4, 5, 3), dtype="f8"):
    a, b, c = sizes
    rng = numpy_generator(seed)
    ours = Sequential(Linear(a, b, rng=rng), Tanh(), Linear(b, c, rng=rng))
    for p in ours.parameters():
        p.data = (2 * p.data).astype(dtype)
    torches = torch.nn.Linear(a, b), torch.nn.Tanh(), torch.nn.Linear(b, c)
    theirs = torch.nn.Sequential(*torches).to(torch.tensor(p.data).dtype)
    state = {k: torch.tensor(v) for k, v in ours.state_dict().items()}
    theirs.load_state_dict(state)
    return ours, theirs


def same_gradients(ours, theirs, tolerance=1e-10):
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        found = np.zeros_like(p.data) if p.grad is None else p.grad
        same(found, torch.zeros_like(q) if q.grad is None else q.grad, tolerance)


# ---- tangents of pictures ----------------------------------------------------------


def blobs(size=41, seed=0, dtype="f8"):
    """Smooth pictures that are 0 near the border."""
    rng = numpy_generator(seed)
    v, u = np.mgrid[:size, :size] - (size - 1) / 2
    found = np.zeros((3, size, size))
    for image in found:
        for _ in range(3):
            a, b = rng.uniform(-5, 5, 2)
            w, h = rng.uniform(3.0, 5.0, 2)
            image += np.exp(-(((u - a) / w) ** 2 + ((v - b) / h) ** 2) / 2)
    return found.astype(dtype)


def derivative(move, images, step):
    return (move(images, step) - move(images, -step)) / (2 * step)


MOVES = {
    "right": (lambda x, t: shift(x, right=t), 1.0),
    "down": (lambda x, t: shift(x, down=t), 1.0),
    "rotation": (rotate, 0.1),
    "scale": (lambda x, t: scale(x, np.exp(t)), 0.1),
}


@pytest.mark.parametrize("kind", MOVES)
def test_tangents_are_derivatives_of_the_moves(kind):
    images, (move, step) = blobs(), MOVES[kind]
    ours = tangents.tangent_vectors(images, (kind,), 0.0)[:, 0]
    expected = derivative(move, images, step)
    assert abs(ours).max() > 0.1
    np.testing.assert_allclose(ours, expected, atol=0.05 * abs(expected).max())


def test_stretch_and_shear_are_squeezes_along_axes_and_diagonals():
    v, u = np.mgrid[:41, :41] - 20.0

    def picture(t, kind):  # inverse map, of a blob in the middle
        a, b = (
            (u * np.exp(-t), v * np.exp(t))
            if kind == "stretch"
            else (u * np.cosh(t) - v * np.sinh(t), v * np.cosh(t) - u * np.sinh(t))
        )
        return np.exp(-((a / 5) ** 2 + (b / 4) ** 2 + a * b / 50) / 2)

    for kind in ("stretch", "shear"):
        expected = (picture(1e-4, kind) - picture(-1e-4, kind)) / 2e-4
        ours = tangents.tangent_vectors(picture(0, kind)[None], (kind,), 0.0)[0, 0]
        np.testing.assert_allclose(ours, expected, atol=0.03 * abs(expected).max())


def test_thickness_adds_ink_at_the_edges_on_either_side():
    bar = np.zeros((1, 9, 9))
    bar[0, :, 4] = 1.0
    thicker = tangents.tangent_vectors(bar, ("thickness",), 0.0)[0, 0]
    np.testing.assert_allclose(thicker[4], [0, 0, 0, 0.25, 0, 0.25, 0, 0, 0])


@given(
    st.integers(0, 99),
    st.sampled_from([(0, 4, 5), (2, 4, 5), (1, 1, 1), (3, 1, 6)]),
    st.sampled_from([0.0, 0.9, 2.0]),
    st.sampled_from(["f4", "f8"]),
)
def test_slopes_and_tangents_agree_with_their_twins(seed, shape, sigma, dtype):
    images = numpy_generator(seed).normal(size=shape).astype(dtype)
    t, tolerance = torch.tensor(images), {"f4": 1e-5, "f8": 1e-10}[dtype]
    for a, b in zip(
        tangents.image_slopes(images, sigma), twin.image_slopes(t, sigma), strict=True
    ):
        assert a.dtype == dtype
        same(a, b, tolerance)
    ours = tangents.tangent_vectors(images, sigma=sigma)
    assert ours.dtype == dtype
    same(ours, twin.tangent_vectors(t, sigma=sigma), tolerance)
    some = tangents.tangent_vectors(images, ["shear", "right"], sigma)
    kinds = [*tangents.MOTIONS, "thickness"]
    np.testing.assert_array_equal(
        some, ours[:, [kinds.index("shear"), kinds.index("right")]]
    )


def test_slopes_of_a_ramp():
    right, down = tangents.image_slopes(
        np.add.outer(10.0 * np.arange(5), np.arange(5.0))
    )
    np.testing.assert_array_equal(right[1:-1, 1:-1], 1.0)
    np.testing.assert_array_equal(down[1:-1, 1:-1], 10.0)


# ---- distances ---------------------------------------------------------------------


def planes(seed, k, l, shape=(3, 4), m=1, n=1):
    rng = numpy_generator(seed)
    x, y = rng.normal(size=(m, *shape)), rng.normal(size=(n, *shape))
    tx, ty = rng.normal(size=(m, k, *shape)), rng.normal(size=(n, l, *shape))
    return x, y, tx if k else None, ty if l else None


def of(arrays, i, j):
    x, y, tx, ty = arrays
    return x[i], y[j], None if tx is None else tx[i], None if ty is None else ty[j]


def torches(arrays):
    return [None if a is None else torch.tensor(a) for a in arrays]


@given(
    st.integers(0, 99),
    st.integers(0, 3),
    st.integers(0, 3),
    st.sampled_from([0.0, 0.1, 5.0]),
)
def test_tangent_distance_agrees_with_its_twin_and_is_least(seed, k, l, ridge):
    arrays = of(planes(seed, k, l), 0, 0)
    distance = tangents.tangent_distance(*arrays, ridge=ridge)
    np.testing.assert_allclose(
        distance, twin.tangent_distance(*torches(arrays), ridge=ridge), rtol=1e-9
    )
    x, y, tx, ty = arrays
    assert distance <= np.linalg.norm(x - y) + 1e-12
    if ridge == 0:
        rng = numpy_generator(0)
        for _ in range(20):
            a = 0 if tx is None else np.tensordot(rng.normal(size=k), tx, 1)
            b = 0 if ty is None else np.tensordot(rng.normal(size=l), ty, 1)
            assert np.linalg.norm(x + a - y - b) >= distance - 1e-12
        moved = y if ty is None else y + np.tensordot(rng.normal(size=l), ty, 1)
        again = tangents.tangent_distance(x, moved, tx, ty)
        np.testing.assert_allclose(again, distance, rtol=1e-9)  # along the plane


def test_ridge_is_the_minimum_of_distance_and_spring():
    x, y, tx, ty = of(planes(0, 2, 1), 0, 0)
    ways = np.concatenate([tx, -ty]).reshape(3, -1)

    def cost(c, ridge):
        return (((x - y).ravel() + c @ ways) ** 2).sum() + ridge * (c**2).sum()

    for ridge in (0.1, 10.0):
        gram = ways @ ways.T + ridge * np.eye(3)
        c = -np.linalg.solve(gram, ways @ (x - y).ravel())
        slope = numeric_gradient(lambda c, r=ridge: cost(c, r), c)
        np.testing.assert_allclose(slope, 0, atol=1e-6)
        expected = np.linalg.norm((x - y).ravel() + c @ ways)
        distance = tangents.tangent_distance(x, y, tx, ty, ridge)
        np.testing.assert_allclose(distance, expected)
    far = tangents.tangent_distance(x, y, tx, ty, 1e12)
    np.testing.assert_allclose(far, np.linalg.norm(x - y))


def test_tangents_that_depend_on_each_other_do_no_harm():
    x, y, tx, _ = of(planes(1, 2, 0), 0, 0)
    doubled, zeros = np.concatenate([tx, 2 * tx]), np.zeros_like(tx)
    distance = tangents.tangent_distance(x, y, tx)
    for many in (doubled, np.concatenate([tx, zeros])):
        np.testing.assert_allclose(tangents.tangent_distance(x, y, many), distance)
        np.testing.assert_allclose(tangents.tangent_distance(x, y, tx, many), distance)
        twins = torches((x, y, tx, many))
        np.testing.assert_allclose(twin.tangent_distance(*twins), distance)
        close = tangents.tangent_distances_by_gram(
            x[None], y[None], many[None], tx[None]
        )
        np.testing.assert_allclose(close[0, 0], distance, rtol=1e-5)


@given(
    st.integers(0, 99),
    st.integers(0, 3),
    st.integers(0, 3),
    st.sampled_from([1e-3, 1.0]),
    st.sampled_from([(12,), (3, 4)]),
)
def test_all_pairs_by_inner_products_equal_one_by_one(seed, k, l, ridge, shape):
    arrays = planes(seed, k, l, shape, 3, 4)
    distance = tangents.tangent_distances_by_gram(*arrays, ridge=ridge)
    expected = [
        [tangents.tangent_distance(*of(arrays, i, j), ridge) for j in range(4)]
        for i in range(3)
    ]
    np.testing.assert_allclose(distance, expected, rtol=1e-9)
    same(distance, twin.tangent_distances_by_gram(*torches(arrays), ridge=ridge), 1e-9)
    small = [None if a is None else a.astype("f4") for a in arrays]
    found = tangents.tangent_distances_by_gram(*small, ridge=ridge)
    assert found.dtype == "float32"
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_all_pairs_of_many_and_of_none():
    x, y, tx, ty = planes(0, 2, 1, (3,), 1, 5000)  # more than one slice
    distance = tangents.tangent_distances_by_gram(x, y, tx, ty)
    for j in (0, 4095, 4096, 4999):
        expected = tangents.tangent_distance(*of((x, y, tx, ty), 0, j), 1e-6)
        np.testing.assert_allclose(distance[0, j], expected, atol=1e-6)
    none = tangents.tangent_distances_by_gram(x[:0], y, tx[:0], ty)
    assert none.shape == (0, 5000)
    assert tangents.tangent_distances_by_gram(x, y[:0]).shape == (1, 0)
    np.testing.assert_array_equal(tangents.tangent_distances_by_gram(x, x), 0)


def test_no_array_of_the_pairs_is_large():
    x, y, tx, ty = (a.astype("f4") for a in planes(0, 7, 7, (16,), 2, 20000))
    tracemalloc.start()
    tangents.tangent_distances_by_gram(x, y, tx, ty)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32e6


def test_a_turned_picture_is_nearer_to_itself_than_to_another():
    images = blobs(21)
    turned = rotate(images, 0.2)
    own = tangents.tangent_vectors(images)
    other = tangents.tangent_vectors(turned)
    plain = np.linalg.norm((turned - images).reshape(3, -1), axis=1)
    both = tangents.tangent_distances_by_gram(turned, images, other, own)
    assert (both.argmin(axis=1) == np.arange(3)).all()
    assert (np.diag(both) < 0.4 * plain).all()


# ---- tangent prop and double backprop ----------------------------------------------


@given(st.integers(0, 99), st.sampled_from(["f4", "f8"]))
@settings(max_examples=15)
def test_directional_derivatives_are_those_of_the_jacobian_and_of_torch(seed, dtype):
    ours, theirs = nets(seed, dtype=dtype)
    x, v = numpy_generator(seed).normal(size=(2, 5, 4)).astype(dtype)
    found = tangents.directional_derivative(ours, x, v)
    assert found.dtype == dtype
    tolerance = {"f4": 1e-5, "f8": 1e-10}[dtype]
    expected = twin.directional_derivative(theirs, torch.tensor(x), torch.tensor(v))
    same(found, expected, tolerance)
    for i in range(5):
        rows = jacobian(ours, x[i])
        np.testing.assert_allclose(found.data[i], rows @ v[i], tolerance, tolerance)


@given(st.integers(0, 99), st.integers(1, 3), st.sampled_from(["f4", "f8"]))
def test_tangent_prop_agrees_with_its_twin(seed, k, dtype):
    ours, theirs = nets(seed, dtype=dtype)
    rng = numpy_generator(seed)
    x, v = (
        rng.normal(size=(5, 4)).astype(dtype),
        rng.normal(size=(5, k, 4)).astype(dtype),
    )
    penalty = tangents.tangent_prop_penalty(ours, x, v)
    expected = twin.tangent_prop_penalty(theirs, torch.tensor(x), torch.tensor(v))
    tolerance = {"f4": 1e-4, "f8": 1e-10}[dtype]
    assert penalty.dtype == dtype
    same(penalty, expected, tolerance)
    penalty.backward()
    expected.backward()
    same_gradients(ours, theirs, tolerance)
    assert {p.grad.dtype for p in ours.parameters() if p.grad is not None} == {
        np.dtype(dtype)
    }


def test_tangent_prop_is_its_definition_and_its_gradient_the_numeric_one():
    net, _ = nets(3)
    rng = numpy_generator(3)
    x, v = rng.normal(size=(2, 4)), rng.normal(size=(2, 3, 4))
    rows = [jacobian(net, a) for a in x]
    expected = sum(((r @ t.T) ** 2).sum() for r, t in zip(rows, v, strict=True)) / 2
    penalty = tangents.tangent_prop_penalty(net, x, v)
    np.testing.assert_allclose(penalty.data, expected)
    penalty.backward()
    weight = next(net.parameters())
    kept = weight.data

    def moved(w):
        weight.data = w
        return tangents.tangent_prop_penalty(net, x, v).item()

    slope = numeric_gradient(moved, kept)
    weight.data = kept
    np.testing.assert_allclose(weight.grad.data, slope, atol=1e-7)


def test_tangent_prop_stills_a_network_along_the_tangent_only():
    net, _ = nets(0, (2, 8, 1))
    x = numpy_generator(0).uniform(-1, 1, (40, 2))
    along, across = np.eye(2)
    goal = x @ [[1.0], [1.0]]
    v = np.broadcast_to(along, (40, 1, 2)).copy()
    for _ in range(300):
        net.zero_grad()
        error = net(Tensor(x)) - goal
        loss = (error * error).mean() + 3 * tangents.tangent_prop_penalty(net, x, v)
        loss.backward()
        for p in net.parameters():
            if p.grad is not None:
                p.data -= 0.05 * p.grad.data
    still, free = (
        abs(tangents.directional_derivative(net, x, np.broadcast_to(w, x.shape)).data)
        for w in (along, across)
    )
    assert still.mean() < 0.3
    assert free.mean() > 0.7


@given(st.integers(0, 99), st.sampled_from(["f4", "f8"]))
def test_double_backprop_equals_torchs_create_graph(seed, dtype):
    ours, theirs = nets(seed, dtype=dtype)
    rng = numpy_generator(seed)
    x, y = rng.normal(size=(5, 4)).astype(dtype), rng.integers(3, size=5)

    def losses(x):
        return op.cross_entropy(ours(x), y, "none")

    def their_losses(x):
        return F.cross_entropy(theirs(x), torch.tensor(y), reduction="none")

    tolerance = {"f4": 1e-4, "f8": 1e-10}[dtype]
    penalty = tangents.double_backprop_penalty(losses, x)
    leaf = torch.tensor(x, requires_grad=True)
    (slope,) = torch.autograd.grad(their_losses(leaf).sum(), leaf, create_graph=True)
    expected = (slope**2).sum() / 5
    assert penalty.dtype == dtype
    same(penalty, expected, tolerance)
    same(
        penalty, twin.double_backprop_penalty(their_losses, torch.tensor(x)), tolerance
    )
    each = scratch.input_gradient(losses, x)
    same(penalty, torch.tensor((each**2).sum(axis=1).mean()), tolerance)
    penalty.backward()
    expected.backward()
    same_gradients(ours, theirs, tolerance)


def test_a_small_worst_step_raises_the_loss_by_the_length_of_the_gradient():
    net, _ = nets(1)
    x, y = numpy_generator(1).normal(size=(1, 4)), np.array([2])

    def losses(x):
        return op.cross_entropy(net(x), y, "none")

    worse = scratch.pgd(
        lambda x: scratch.input_gradient(losses, x), x, 1e-6, 1e-6, 1, "l2"
    )
    rise = losses(Tensor(worse)).item() - losses(Tensor(x)).item()
    steepness = tangents.double_backprop_penalty(losses, x).item() ** 0.5
    np.testing.assert_allclose(rise / 1e-6, steepness, rtol=1e-4)


def test_an_operation_without_second_derivative_says_so():
    cube = register(lambda x: x**3, lambda dy, x: dy * 3 * x**2)
    with pytest.raises(RuntimeError, match="reference="):
        tangents.double_backprop_penalty(lambda x: cube(x).sum(1), np.ones((2, 3)))
    exact = register(lambda x: x**3, lambda dy, x: dy * 3 * x**2, lambda x: x * x * x)
    w = tensor(np.ones(3), requires_grad=True)
    tangents.double_backprop_penalty(
        lambda x: exact(x * w).sum(1), np.ones((2, 3))
    ).backward()
    np.testing.assert_allclose(w.grad.data, 54.0)  # of (3 x² w³)², x = w = 1


# ---- tangents that are learned -----------------------------------------------------


@given(st.integers(0, 99), st.integers(1, 3), st.sampled_from([(4,), (2, 2)]))
def test_learned_tangents_agree_with_their_twin(seed, k, shape):
    ours, theirs = nets(seed)
    x = numpy_generator(seed).normal(size=(3, *shape))
    found, values = tangents.manifold_tangents(lambda x: ours(x.reshape(-1, 4)), x, k)
    assert found.shape == (3, k, *shape)
    flat = found.reshape(3, k, -1)
    np.testing.assert_allclose(flat @ flat.mT, np.eye(k)[None].repeat(3, 0), atol=1e-12)
    expected, sizes = twin.manifold_tangents(
        lambda x: theirs(x.reshape(-1, 4)), torch.tensor(x), k
    )
    same(values, sizes)
    signs = np.sign((flat * expected.numpy().reshape(3, k, -1)).sum(axis=-1))
    signs = signs.reshape(3, k, *(1 for _ in shape))
    if values[:, -1].min() > 1e-3:
        same(found * signs, expected, 1e-6)
    rows = jacobian(ours, x[0].ravel())
    np.testing.assert_allclose(np.linalg.norm(rows @ flat[0].T, axis=0), values[0])


def test_points_of_a_circle_spread_along_their_tangent():
    angle = np.linspace(0.9, 1.1, 21)
    points = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    directions, share = tangents.local_directions(points)
    np.testing.assert_allclose(share.sum(), 1)
    assert share[0] > 0.999
    along = abs(directions[0] @ [-np.sin(1.0), np.cos(1.0), 0.0])
    np.testing.assert_allclose(along, 1, rtol=1e-6)
    theirs, their_share = twin.local_directions(torch.tensor(points))
    same(share, their_share)
    np.testing.assert_allclose(
        abs(directions[:2] @ theirs[:2].numpy().T), np.eye(2), atol=1e-9
    )
    small = tangents.local_directions(points.astype("f4"))
    assert {a.dtype for a in small} == {np.dtype("f4")}


@pytest.mark.parametrize(("dtype", "size"), [("f4", 1e30), ("f8", 1e200)])
def test_distances_of_huge_and_tiny_examples(dtype, size):
    for unit in (size, 1 / size):
        x, y = (
            np.array(a, dtype) * np.dtype(dtype).type(unit) for a in ([3, 0], [0, 4])
        )
        with np.errstate(over="ignore"):  # lstsq squares what it leaves over
            found = tangents.tangent_distance(x, y)
        assert found == pytest.approx(5 * unit, rel=1e-6)
        theirs = twin.tangent_distance(torch.tensor(x), torch.tensor(y))
        assert theirs == pytest.approx(found, rel=1e-6)


def test_distances_of_long_examples_need_little_memory():
    y = np.zeros((4000, 8000), "f4")
    tracemalloc.start()
    tangents.tangent_distances_by_gram(y[:1], y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64e6


@pytest.mark.parametrize(("dtype", "unit"), [("f4", 1e30), ("f8", 1e200)])
def test_shares_of_huge_and_tiny_spreads(dtype, unit):
    points = numpy_generator(0).normal(size=(5, 3)).astype(dtype)
    share = tangents.local_directions(points)[1]
    for size in (unit, 1 / unit):
        far = points * np.dtype(dtype).type(size)
        for found in (
            tangents.local_directions(far)[1],
            twin.local_directions(torch.tensor(far))[1],
        ):
            np.testing.assert_allclose(found, share, rtol=1e-5)
