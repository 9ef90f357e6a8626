"""Steps, symmetries, random and repeated matrices, curvature and slices of a loss."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.autodiff.engine import Tensor
from dlbook_lib.feedforward.autodiff.modules import (
    CrossEntropyLoss,
    Linear,
    MSELoss,
    Parameter,
    ReLU,
    Sequential,
    Tanh,
)
from dlbook_lib.feedforward.autodiff.scratch import hessian, hvp
from dlbook_lib.optimization.loss_landscapes.scratch import (
    clip_norm,
    descent_path,
    equivalent_settings,
    filter_normalized,
    hessian_eigenvalues,
    hessian_product,
    inexact_gradient,
    loss_along,
    loss_plane,
    path_length,
    permute_units,
    power_from_eigenvalues,
    power_norms,
    rescale_units,
    saddle_statistics,
    sharpness,
    step_limit,
    taylor_step,
)
from dlbook_lib.optimization.loss_landscapes.surfaces import LANDSCAPES

SEEDS = st.integers(0, 10**6)


def small_net(rng, dtype=float, middle=Tanh):
    options = {"rng": rng, "dtype": dtype}
    return Sequential(Linear(2, 3, **options), middle(), Linear(3, 2, **options))


def data(rng, dtype=float):
    return rng.normal(size=(7, 2)).astype(dtype), rng.integers(2, size=7)


# ---- steps ---------------------------------------------------------------------------


@given(SEEDS, st.floats(1e-3, 1))
def test_on_a_quadratic_the_two_terms_are_the_whole_change(seed, lr):
    rng = numpy_generator(seed)
    H = rng.normal(size=(4, 4))
    H, x, b = H + H.T, rng.normal(size=4), rng.normal(size=4)

    def f(x):
        return x @ H @ x / 2 + b @ x

    g = H @ x + b
    slope, curvature = taylor_step(g, H @ g, lr)
    np.testing.assert_allclose(slope + curvature, f(x - lr * g) - f(x), 1e-9, 1e-9)
    assert slope <= 0


def test_elsewhere_they_are_the_change_to_second_order():
    surface = LANDSCAPES["beale"]
    x = np.array([1.0, 1.5])
    g = surface.gradient(x)
    errors = []
    for lr in (1e-4, 1e-5):
        change = surface(x - lr * g) - surface(x)
        errors.append(abs(change - sum(taylor_step(g, surface.hessian(x) @ g, lr))))
    assert 500 < errors[0] / errors[1] < 2000


def test_gradient_norm_rises_while_the_loss_falls():
    """Ill-conditioning: the steep direction grows until it eats the progress."""
    surface = LANDSCAPES["ravine"]
    path = descent_path(surface.gradient, [20.0, 1.0], lr=0.0202, steps=10)
    assert (np.diff(surface(path)) < 0).all()
    assert (np.diff(np.linalg.norm(surface.gradient(path), axis=1)) > 0).all()


@given(SEEDS, st.floats(0.01, 10))
def test_clipping_keeps_the_direction(seed, max_norm):
    g = numpy_generator(seed).normal(size=(2, 3))
    clipped = clip_norm(g, max_norm)
    cosine = (clipped * g).sum() / np.linalg.norm(g) / np.linalg.norm(clipped)
    np.testing.assert_allclose(cosine, 1, 1e-12)
    norm = min(max_norm, np.linalg.norm(g))
    np.testing.assert_allclose(np.linalg.norm(clipped), norm, 1e-12)
    assert not clip_norm(np.zeros(3), max_norm).any()


def test_a_path_by_hand_and_one_that_blows_up():
    path = descent_path(lambda x: x, np.array([1.0, 2.0]), lr=3.0, steps=1100)
    np.testing.assert_allclose(path[2], [4.0, 8.0])
    assert len(path) == 1101
    assert not np.isfinite(path[1050:]).any()
    assert path_length(path[:2])[0] == pytest.approx(3 * 5**0.5)
    assert path_length(path[:1]) == (0.0, 0.0)


def test_a_bias_moves_the_end_and_noise_spreads_it():
    curvature, b, sigma, lr = np.array([1.0, 4.0]), np.array([0.1, -0.4]), 0.5, 0.1

    def exact(x):
        return curvature * x

    rng = numpy_generator(0)
    biased = inexact_gradient(exact, bias=b, rng=rng)
    end = descent_path(biased, [3.0, 3.0], lr=lr, steps=400)[-1]
    np.testing.assert_allclose(end, -b / curvature, 1e-9)
    noisy = inexact_gradient(exact, noise=sigma, rng=rng)
    ends = descent_path(noisy, [0.0, 0.0], lr=lr, steps=20_000)[200:]
    wanted = lr * sigma**2 / (curvature * (2 - lr * curvature))
    np.testing.assert_allclose(ends.var(axis=0), wanted, 0.1)
    assert (abs(ends.mean(axis=0)) < 0.02).all()
    one = inexact_gradient(exact, bias=0.5, rng=rng)(np.ones(2))
    np.testing.assert_array_equal(one, curvature + 0.5)


# ---- symmetries ----------------------------------------------------------------------


@given(SEEDS, st.integers(1, 6))
def test_permuted_and_rescaled_networks_are_the_same(seed, n):
    rng = numpy_generator(seed)
    layers = rng.normal(size=(n, 3)), rng.normal(size=n), rng.normal(size=(2, n))
    x = rng.normal(size=(5, 3))

    def f(weight, bias, out):
        return np.maximum(x @ weight.T + bias, 0) @ out.T

    y = f(*layers)
    np.testing.assert_allclose(f(*permute_units(*layers, rng.permutation(n))), y, 1e-12)
    factor = np.exp(rng.normal(size=n))
    other = rescale_units(*layers, factor)
    np.testing.assert_allclose(f(*other), y, 1e-9, 1e-12)
    np.testing.assert_allclose(other[0], np.diag(factor) @ layers[0], 1e-12)


def test_how_many_settings():
    assert equivalent_settings(3) == 6
    assert equivalent_settings(4, 3) == 24**3


# ---- matrices ------------------------------------------------------------------------


def test_minima_are_rare():
    rng = numpy_generator(0)
    shares = [saddle_statistics(n, 40_000, rng=rng) for n in (1, 2, 3, 4)]
    wanted = [0.5, (2 - 2**0.5) / 4, 0.0249, 0.0030]
    errors = 4 * np.sqrt(np.array(wanted) / 40_000)
    assert (abs(np.array(shares) - wanted) < errors).all()
    assert saddle_statistics(200, 60, rng=rng) == 0


@given(SEEDS, st.integers(1, 5), st.integers(1, 6))
def test_powers(seed, n, t):
    W = numpy_generator(seed).normal(size=(n, n))
    power = np.linalg.matrix_power(W, t)
    norms = power_norms(W, t)
    assert norms.shape == (t + 1,)
    assert norms[0] == 1
    np.testing.assert_allclose(norms[-1], np.linalg.norm(power, 2), 1e-8)
    if np.linalg.cond(np.linalg.eig(W)[1]) < 1e4:
        np.testing.assert_allclose(power_from_eigenvalues(W, t), power, 1e-8, 1e-8)


def test_powers_at_the_limits():
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    np.testing.assert_allclose(power_norms(turn, 50), 1)  # |λ| = 1, λ ≠ 1
    np.testing.assert_allclose(power_from_eigenvalues(turn, 4), np.eye(2), atol=1e-12)
    with np.errstate(all="raise", under="ignore"):
        norms = power_norms(4 * np.eye(3), 600)
        assert norms[500] == 4.0**500
        assert norms[-1] == np.inf
        assert power_norms(np.eye(2) / 4, 600)[-1] == 0
    nilpotent = np.array([[0.0, 1.0], [0.0, 0.0]])
    assert power_norms(nilpotent, 3).tolist() == [1, 1, 0, 0]
    with pytest.raises(ValueError, match="too few eigenvectors"):
        power_from_eigenvalues(nilpotent, 2)
    assert power_norms(np.eye(2, dtype="f4"), 3).dtype == np.float32
    assert power_from_eigenvalues(np.eye(2, dtype="f4"), 3).dtype == np.float32


# ---- curvature -----------------------------------------------------------------------


def loss_at(net, x, y, loss=None):
    """The same loss as a function of all parameters in a row."""
    loss = loss or CrossEntropyLoss()
    shapes = [p.shape for p in net.parameters()]

    def f(theta):
        parts, at = [], 0
        for shape in shapes:
            size = int(np.prod(shape))
            parts.append(theta[at : at + size].reshape(*shape))
            at += size
        hidden = (x @ parts[0].T + parts[1]).tanh()
        return loss(hidden @ parts[2].T + parts[3], y)

    return f


def test_products_are_those_of_the_hessian():
    rng = numpy_generator(0)
    net, (x, y) = small_net(rng), data(rng)
    f = loss_at(net, Tensor(x), y)
    theta = np.concatenate([p.data.ravel() for p in net.parameters()])
    H = hessian(f, theta)
    product = hessian_product(CrossEntropyLoss()(net(x), y), list(net.parameters()))
    v = rng.normal(size=len(theta))
    np.testing.assert_allclose(product(v), H @ v, 1e-10, 1e-12)
    np.testing.assert_allclose(product(v), hvp(f, theta, v)[1], 1e-10, 1e-12)
    np.testing.assert_allclose(product(2 * v), 2 * H @ v, 1e-10, 1e-12)  # again
    wanted = np.linalg.eigvalsh(H)
    found = hessian_eigenvalues(product, len(v), 100, rng=rng)
    np.testing.assert_allclose(found[[0, -1]], wanted[[0, -1]], 1e-9, 1e-12)
    loss = CrossEntropyLoss()(net(x), y)
    top = sharpness(loss, list(net.parameters()), 12, rng=rng)
    np.testing.assert_allclose(top, wanted[-1], 1e-6)


def test_parameters_the_loss_does_not_bend_in_count_as_flat():
    w, v, u = (Parameter(np.array([1.0, 2.0])) for _ in range(3))
    loss = (w**2).sum() + v.sum()
    product = hessian_product(loss, [w, v, u])
    np.testing.assert_array_equal(product(np.ones(6)), [2, 2, 0, 0, 0, 0])
    assert not hessian_product(v.sum(), [v])(np.ones(2)).any()
    assert sharpness(v.sum(), [v], rng=numpy_generator(0)) == 0
    assert w.grad is None


def test_divergence_starts_at_the_predicted_rate():
    rng = numpy_generator(0)
    x, y = rng.normal(size=(30, 3)), rng.normal(size=(30, 1))

    def loss_after(share):
        net = Linear(3, 1, rng=numpy_generator(1))
        loss = MSELoss()
        params = list(net.parameters())
        limit = step_limit(sharpness(loss(net(x), y), params, rng=rng))
        for _ in range(300):
            net.zero_grad()
            loss(net(x), y).backward()
            for p in params:
                p.data[...] -= share * limit * p.grad.data
        return float(loss(net(x), y).data)

    assert loss_after(0.98) < 2 < 1e3 < loss_after(1.02)
    assert step_limit(0.0) == step_limit(-2.0) == np.inf


def test_eigenvalues_of_a_large_matrix_from_few_products():
    rng = numpy_generator(3)
    Q, _ = np.linalg.qr(rng.normal(size=(200, 200)))
    values = np.concatenate([rng.uniform(-1, 1, 198), [-3.0, 5.0]])
    calls = []

    def product(v):
        calls.append(v)
        return Q @ (values * (Q.T @ v))

    found = hessian_eigenvalues(product, 200, rng=rng)
    np.testing.assert_allclose(found[[0, -1]], [-3, 5], 1e-8)
    assert len(calls) == 30


# ---- slices --------------------------------------------------------------------------


@given(SEEDS)
def test_filters_get_the_length_of_the_parameters(seed):
    rng = numpy_generator(seed)
    shapes = [(4, 3, 2, 2), (4,), (5, 4), ()]
    params, direction = ([rng.normal(size=s) for s in shapes] for _ in range(2))
    params[2][0], direction[2][1] = 0, 0
    found = filter_normalized(direction, params)
    for i in range(4):
        d, p = found[0][i], params[0][i]
        np.testing.assert_allclose(np.linalg.norm(d), np.linalg.norm(p), 1e-12)
        cosine = (d * direction[0][i]).sum() / np.linalg.norm(direction[0][i])
        np.testing.assert_allclose(cosine, np.linalg.norm(p), 1e-12)
    assert not found[1].any()
    assert not found[2][:2].any()
    assert found[3] == 0


def test_slices_do_not_depend_on_the_scale_of_rectifier_units():
    rng = numpy_generator(0)
    net, (x, y) = small_net(rng, middle=ReLU), data(rng)
    for p in list(net.parameters())[1::2]:
        p.data[...] = 0
    params = list(net.parameters())
    noise = [rng.normal(size=p.shape) for p in params]
    at = np.linspace(-1, 1, 5)

    def closure():
        return CrossEntropyLoss()(net(x), y)

    first = loss_along(closure, params, filter_normalized(noise, params), at)
    params[0].data[...] *= 10.0
    params[2].data[...] /= 10.0
    again = loss_along(closure, params, filter_normalized(noise, params), at)
    np.testing.assert_allclose(first, again, 1e-10)
    assert abs(loss_along(closure, params, noise, at) - first).max() > 0.1


@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_slices_are_the_loss_at_other_parameters(dtype):
    rng = numpy_generator(0)
    net, (x, y) = small_net(rng, dtype), data(rng, dtype)
    params = list(net.parameters())
    before = [p.data.copy() for p in params]
    d, e = ([rng.normal(size=p.shape).astype(dtype) for p in params] for _ in range(2))
    at = np.array([-1.0, 0.0, 0.5], dtype)

    def closure():
        return CrossEntropyLoss()(net(x), y)

    plane = loss_plane(closure, params, d, e, at)
    line = loss_along(closure, params, d, at)
    assert plane.dtype == line.dtype == dtype
    np.testing.assert_array_equal(plane[1], line)
    np.testing.assert_allclose(line[1], closure().data, 1e-6)
    for p, home in zip(params, before, strict=True):
        np.testing.assert_array_equal(p.data, home)
        assert p.data.dtype == dtype
        assert p.grad is None
    for i, (j, k) in enumerate([(0, 2), (2, 1)]):
        other = small_net(numpy_generator(i), dtype)
        moved = [
            b + at[k] * u + at[j] * v for b, u, v in zip(before, d, e, strict=True)
        ]
        other.load_state_dict(dict(zip(other.state_dict(), moved, strict=True)))
        np.testing.assert_allclose(
            plane[j, k], CrossEntropyLoss()(other(x), y).data, 1e-5
        )
    assert loss_along(closure, params, d, at.astype("f8")).dtype == dtype


def test_a_closure_that_fails_leaves_everything_in_its_place():
    w = np.ones(2)

    def fails():
        raise KeyError("no data")

    for f in (loss_along, loss_plane):
        directions = [[np.ones(2)]] * (1 if f is loss_along else 2)
        with pytest.raises(KeyError):
            f(fails, [w], *directions, np.array([3.0]))
        assert w.tolist() == [1, 1]


def test_float32_stays_float32():
    rng, one = numpy_generator(0), np.float32(1)
    g = np.array([3.0, 4.0], "f4")
    assert clip_norm(g, 1.0).dtype == clip_norm(g, 9.0).dtype == np.float32
    estimate = inexact_gradient(lambda x: x, bias=0.1, noise=0.2, rng=rng)
    path = descent_path(estimate, g, lr=0.1, steps=3, max_norm=1.0)
    assert path.dtype == np.float32
    layers = np.ones((2, 3), "f4"), g, np.ones((1, 2), "f4")
    for f in (lambda *a: permute_units(*a, [1, 0]), lambda *a: rescale_units(*a, g)):
        assert {a.dtype for a in f(*layers)} == {np.dtype("f4")}
    (d,) = filter_normalized([np.ones((2, 2), "f4")], [np.ones((2, 2), "f4") * one])
    assert d.dtype == np.float32
    net, (x, y) = small_net(rng, "f4"), data(rng, "f4")
    params = list(net.parameters())
    product = hessian_product(CrossEntropyLoss()(net(x), y), params)
    n = sum(p.numel() for p in params)
    assert product(np.ones(n, "f4")).dtype == np.float32
    top = sharpness(CrossEntropyLoss()(net(x), y), params, rng=rng)
    double = small_net(rng)
    double.load_state_dict(net.state_dict())
    loss = CrossEntropyLoss()(double(x.astype("f8")), y)
    wanted = sharpness(loss, list(double.parameters()), rng=rng)
    np.testing.assert_allclose(top, wanted, 1e-4)
