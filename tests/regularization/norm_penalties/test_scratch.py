"""Norm penalties in NumPy: gradients, optimality, other libraries, precision."""

import warnings
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn import linear_model

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.autodiff.engine import register, tensor
from dlbook_lib.feedforward.backpropagation.scratch import complex_step_jacobian
from dlbook_lib.feedforward.linear_models.scratch import (
    gradient_descent,
    mse_loss,
    numeric_gradient,
)
from dlbook_lib.regularization.norm_penalties.projections import (
    length,
    max_norm,
    max_norm_backward,
    project_l1,
    project_l1_backward,
    project_l2,
    project_l2_backward,
)
from dlbook_lib.regularization.norm_penalties.scratch import (
    PENALTIES,
    Lasso,
    Ridge,
    decay_step,
    group_penalty,
    group_penalty_backward,
    group_soft_threshold,
    group_soft_threshold_backward,
    l1_penalty,
    l1_penalty_backward,
    l2_penalty,
    l2_penalty_backward,
    l2_shrink,
    l2_shrink_backward,
    l2_solution,
    lasso_cd,
    penalized,
    proximal_step,
    ridge,
    shrinkage,
    soft_threshold,
    soft_threshold_backward,
)

seeds = st.integers(0, 10_000)
VALUES = {
    "l2": (l2_penalty, l2_penalty_backward, {"alpha": 0.3}),
    "l1": (l1_penalty, l1_penalty_backward, {"alpha": 0.3}),
    "group": (group_penalty, group_penalty_backward, {"alpha": 0.3}),
    "group, 0": (group_penalty, group_penalty_backward, {"alpha": 0.3, "dim": 0}),
}
MAPS = {
    "soft": (soft_threshold, soft_threshold_backward, {"threshold": 0.4}),
    "group": (
        group_soft_threshold,
        group_soft_threshold_backward,
        {"threshold": 0.9, "dim": 0},
    ),
    "shrink": (l2_shrink, l2_shrink_backward, {"threshold": 0.4}),
    "ball": (project_l2, project_l2_backward, {"radius": 1.5}),
    "balls": (project_l2, project_l2_backward, {"radius": 1.5, "dim": -1}),
    "diamond": (project_l1, project_l1_backward, {"radius": 3.0}),
    "max_norm": (max_norm, max_norm_backward, {"maxnorm": 1.5}),
}
values = pytest.mark.parametrize(
    ("f", "f_backward", "options"), VALUES.values(), ids=VALUES
)
maps = pytest.mark.parametrize(("f", "f_backward", "options"), MAPS.values(), ids=MAPS)


def regression(seed=0, n=40, d=8, out=2):
    rng = numpy_generator(seed)
    x = rng.normal(size=(n, d))
    weight = rng.normal(size=(d, out)) * (rng.random((d, 1)) < 0.5)
    return x, x @ weight + 0.1 * rng.normal(size=(n, out))


# ---- gradients, engine ---------------------------------------------------------------


@values
@given(seed=seeds)
def test_gradients_of_penalties(f, f_backward, options, seed):
    w = numpy_generator(seed).normal(size=(3, 4))
    w += 0.01 * np.sign(w)  # away from the kink
    expected = numeric_gradient(partial(f, **options), w)
    np.testing.assert_allclose(f_backward(2.0, w, **options), 2 * expected, atol=1e-7)


@maps
@given(seed=seeds, size=st.sampled_from([0.1, 1.0, 10.0]))
def test_gradients_of_maps(f, f_backward, options, seed, size):
    z, dy = numpy_generator(seed).normal(size=(2, 3, 4))
    z *= size
    expected = numeric_gradient(lambda z: (dy * f(z, **options)).sum(), z)
    np.testing.assert_allclose(f_backward(dy, z, **options), expected, atol=1e-6)


@maps
def test_registered_maps_give_the_same_gradient(f, f_backward, options):
    z, dy = numpy_generator(1).normal(size=(2, 3, 4))
    x = tensor(z, requires_grad=True)
    y = register(f, f_backward)(x, **options)
    y.backward(dy)
    np.testing.assert_array_equal(y.data, f(z, **options))
    np.testing.assert_array_equal(x.grad.data, f_backward(dy, z, **options))


@values
def test_registered_penalties_give_the_same_gradient(f, f_backward, options):
    w = numpy_generator(1).normal(size=(3, 4))
    x = tensor(w, requires_grad=True)
    register(f, f_backward)(x, **options).backward(np.array(3.0))
    np.testing.assert_array_equal(x.grad.data, f_backward(3.0, w, **options))


@pytest.mark.parametrize("name", ["soft", "group", "shrink", "ball", "balls"])
def test_complex_steps(name):
    f, f_backward, options = MAPS[name]
    z = numpy_generator(2).normal(size=(2, 3))
    jacobian = complex_step_jacobian(partial(f, **options), z).reshape(6, 6)
    for row, dy in zip(jacobian, np.eye(6), strict=True):
        found = f_backward(dy.reshape(2, 3), z, **options).ravel()
        np.testing.assert_allclose(found, row, atol=1e-12)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", [*VALUES, *MAPS])
def test_precision_stays(name, dtype):
    f, f_backward, options = (VALUES | MAPS)[name]
    z = numpy_generator(3).normal(size=(3, 4)).astype(dtype)
    y = f(z, **options)
    dy = 1.0 if name in VALUES and np.ndim(y) == 0 else y
    assert y.dtype == f_backward(dy, z, **options).dtype == dtype
    if "threshold" in options:
        several = {**options, "threshold": np.full((3, 4), 0.2)}
        assert name != "soft" or f(z, **several).dtype == dtype


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_solvers_keep_precision(dtype):
    x, y = (a.astype(dtype) for a in regression())
    for solve in (ridge, lasso_cd):
        assert solve(x, y, 0.1).dtype == dtype
        close = {"rtol": 1e-3, "atol": 1e-4} if dtype == "f4" else {}
        np.testing.assert_allclose(solve(x, y, 0.1), solve(*regression(), 0.1), **close)
    for model in (Ridge(0.1).fit(x, y), Lasso(0.1).fit(x, y)):
        assert model.weight.dtype == model.bias.dtype == model.predict(x).dtype == dtype
    w = x[0]
    assert l2_solution(x.T @ x, w, 0.1).dtype == shrinkage(w**2, 0.1).dtype == dtype
    assert decay_step(w, w, lr=0.1, alpha=1).dtype == dtype
    for penalty in PENALTIES:
        assert proximal_step(w, w, lr=0.1, alpha=1, penalty=penalty).dtype == dtype
    total = penalized(lambda w: (dtype and w.sum(), [w]), [0.1])
    assert [a.dtype for a in (total(w)[0], total(w)[1][0])] == [dtype, dtype]


# ---- edge cases ----------------------------------------------------------------------


def test_subgradients_at_0_are_0():
    with np.errstate(all="raise"):
        for name in VALUES:
            f, f_backward, options = VALUES[name]
            assert f(np.zeros((2, 3)), **options) == 0
            assert not f_backward(1.0, np.zeros((2, 3)), **options).any()
        for f, f_backward, options in MAPS.values():
            zeros = np.zeros((2, 3))
            assert not f(zeros, **options).any()
            assert np.isfinite(f_backward(zeros + 1, zeros, **options)).all()


@maps
@pytest.mark.parametrize("bound", [0, 0.0, np.inf])
def test_bounds_of_0_and_infinity(f, f_backward, options, bound):
    name = next(iter(options))
    bound = float(bound) if f is soft_threshold else bound
    z = np.array([[1.0, -2.0, 0.0], [0.0, 0.0, 0.0]])
    pulls = name == "threshold"
    expected = z if pulls == (bound == 0) else 0 * z
    with np.errstate(all="raise", under="ignore"):
        y = f(z, **(options | {name: bound}))
        dz = f_backward(z + 1, z, **(options | {name: bound}))
    np.testing.assert_array_equal(y, expected)
    assert np.isfinite(dz).all()


def test_empty_arrays():
    empty = np.ones((0, 3))
    for name in ("l1", "l2"):
        f, f_backward, options = VALUES[name]
        assert f(empty, **options) == 0
        assert f_backward(1.0, empty, **options).shape == (0, 3)
    for name in ("soft", "shrink"):
        f, f_backward, options = MAPS[name]
        assert f(empty, **options).shape == (0, 3)
        assert f_backward(empty, empty, **options).shape == (0, 3)
    assert shrinkage(np.ones(0), 1.0).shape == (0,)


@pytest.mark.parametrize(("dtype", "huge"), [("f4", 1e30), ("f8", 1e250)])
@pytest.mark.parametrize("sign", [1, -1])
def test_huge_and_tiny_numbers(dtype, huge, sign):
    x = np.array([[3, -4, 0]], dtype) * dtype_of(dtype)(huge**sign)
    with np.errstate(all="raise", under="ignore"):
        np.testing.assert_allclose(length(x), [[5 * huge**sign]], rtol=1e-6)
        np.testing.assert_allclose(
            group_penalty_backward(1.0, x), [[0.6, -0.8, 0]], rtol=1e-6
        )
        if sign > 0:
            for f in (project_l2, max_norm):
                np.testing.assert_allclose(f(x, 1.0), [[0.6, -0.8, 0]], rtol=1e-6)
            np.testing.assert_array_equal(project_l1(x, 1.0), [[0, -1, 0]])
            overflowed = l2_penalty(x)
            assert overflowed == np.inf
        else:
            np.testing.assert_array_equal(project_l1(x, 1.0), x)


@pytest.mark.parametrize(("dtype", "top"), [("f4", 3e38), ("f8", 1.5e308)])
def test_projection_onto_the_diamond_from_the_edge_of_the_numbers(dtype, top):
    x = np.array([top, -top, top / 3, 0, 0], dtype)
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(project_l1(x, 1.0), [0.5, -0.5, 0, 0, 0])
        dx = project_l1_backward(np.eye(5, dtype=dtype)[0], x, 1.0)
    np.testing.assert_array_equal(dx, [0.5, 0.5, 0, 0, 0])


def test_length_of_nothing():
    assert length(np.ones((0, 3)), 1).shape == (0, 1)
    np.testing.assert_array_equal(length(np.ones((2, 0)), 1), [[0], [0]])


def dtype_of(name):
    return np.dtype(name).type


def test_length_of_numbers_that_are_none():
    with np.errstate(all="raise"):
        assert length(np.array([np.inf, 1.0])) == np.inf
        assert np.isnan(length(np.array([np.nan, 1.0])))
    assert length(np.array(-2.0)) == 2


def test_soft_threshold_of_numbers_that_are_none():
    with np.errstate(all="raise"):
        y = soft_threshold(np.array([np.nan, np.inf, -np.inf]), 1.0)
    np.testing.assert_array_equal(y, [np.nan, np.inf, -np.inf])


def test_arrays_need_not_be_contiguous():
    z = numpy_generator(0).normal(size=(6, 8))[::2, ::-2]
    for f, f_backward, options in (VALUES | MAPS).values():
        y = f(z, **options)
        dy = z if np.ndim(y) else 1.0
        np.testing.assert_allclose(y, f(z.copy(), **options), rtol=1e-14)
        np.testing.assert_array_equal(
            f_backward(dy, z, **options), f_backward(dy, z.copy(), **options)
        )


def test_nothing_is_changed_in_place():
    z = numpy_generator(0).normal(size=(3, 4))
    kept = z.copy()
    for f, f_backward, options in (VALUES | MAPS).values():
        for y in (f(z, **options), f_backward(z, z, **options) if f in MAPPED else 0):
            assert not np.shares_memory(y, z)
    assert not np.shares_memory(project_l1(z, 1e9), z)
    x, y = regression()
    before = x.copy(), y.copy()
    lasso_cd(x, y, 0.1)
    Lasso(0.1).fit(x, y)
    np.testing.assert_array_equal(np.c_[x, y], np.c_[before])
    np.testing.assert_array_equal(z, kept)


MAPPED = [f for f, *_ in MAPS.values()]


# ---- proximal operators --------------------------------------------------------------


@given(seed=seeds, threshold=st.floats(0, 3))
def test_proximal_maps_minimize_what_they_say(seed, threshold):
    """No point nearby is better; the problems are convex, so none anywhere is."""
    rng = numpy_generator(seed)
    z = rng.normal(size=(3, 4))
    for omega, _, proximal_map in PENALTIES.values():

        def cost(w, omega=omega):
            return ((w - z) ** 2).sum() / 2 + omega(w, threshold)

        best = proximal_map(z, threshold)
        away = [best + s * rng.normal(size=z.shape) for s in (1e-4, 1e-2, 1) * 5]
        scaled = [best * 0.999, best * 1.001, z, 0 * z]
        assert cost(best) <= min(map(cost, away + scaled)) + 1e-12


@given(seed=seeds)
def test_soft_threshold_with_one_for_each_entry(seed):
    rng = numpy_generator(seed)
    z, t = rng.normal(size=(2, 3, 4))
    t = abs(t)
    naive = np.sign(z) * np.maximum(abs(z) - t, 0)
    np.testing.assert_allclose(soft_threshold(z, t), naive, atol=1e-15)
    each = [soft_threshold(a, b) for a, b in zip(z.flat, t.flat, strict=True)]
    np.testing.assert_array_equal(soft_threshold(z, t).flat, each)
    np.testing.assert_array_equal(soft_threshold_backward(z, z, t), z * (abs(z) > t))


def test_soft_threshold_is_the_lasso_with_a_diagonal_hessian():
    rng = numpy_generator(0)
    x = np.linalg.qr(rng.normal(size=(9, 4)))[0] * np.array([1.0, 2.0, 3.0, 4.0])
    y = rng.normal(size=(9, 1))
    diagonal = (x**2).mean(axis=0)[:, None]
    optimum = ridge(x, y, 0.0)
    found = soft_threshold(optimum, 0.2 / diagonal)
    assert 0 < np.count_nonzero(found) < 4
    np.testing.assert_allclose(lasso_cd(x, y, 0.2), found, atol=1e-12)


# ---- ridge and lasso -----------------------------------------------------------------


@given(seed=seeds, n=st.integers(1, 12), d=st.integers(1, 6), out=st.integers(1, 3))
def test_ridge_equals_scikit_learn(seed, n, d, out):
    x, y = regression(seed, n, d, out)
    theirs = linear_model.Ridge(alpha=0.3 * n, fit_intercept=False).fit(x, y)
    np.testing.assert_allclose(ridge(x, y, 0.3).T, np.atleast_2d(theirs.coef_))
    theirs = linear_model.Ridge(alpha=0.3 * n).fit(x, y)
    ours = Ridge(0.3).fit(x, y)
    np.testing.assert_allclose(ours.weight, np.atleast_2d(theirs.coef_), atol=1e-10)
    np.testing.assert_allclose(ours.bias, np.atleast_1d(theirs.intercept_), atol=1e-10)
    predicted = theirs.predict(x).reshape(n, out)
    np.testing.assert_allclose(ours.predict(x), predicted, atol=1e-10)


@given(seed=seeds, n=st.integers(5, 30), d=st.integers(1, 6), out=st.integers(1, 3))
def test_lasso_equals_scikit_learn(seed, n, d, out):
    x, y = regression(seed, n, d, out)
    with warnings.catch_warnings():  # they find their own tolerance too small
        warnings.simplefilter("ignore")
        kind = partial(linear_model.Lasso, alpha=0.2, tol=1e-14, max_iter=20_000)
        plain, biased = kind(fit_intercept=False).fit(x, y), kind().fit(x, y)
    found = lasso_cd(x, y, 0.2, sweeps=20_000)
    np.testing.assert_allclose(found.T, np.atleast_2d(plain.coef_), atol=1e-8)
    ours = Lasso(0.2).fit(x, y)
    np.testing.assert_allclose(ours.weight, np.atleast_2d(biased.coef_), atol=1e-8)
    np.testing.assert_allclose(ours.bias, np.atleast_1d(biased.intercept_), atol=1e-8)


def test_ridge_has_no_gradient_left_and_the_other_pairing_has():
    x, y = regression()
    n, alpha = len(x), 0.1

    def cost(w):
        return ((x @ w - y) ** 2).sum() / (2 * n) + l2_penalty(w, alpha)

    def gradient(w):
        return x.T @ (x @ w - y) / n + l2_penalty_backward(1.0, w, alpha)

    best = ridge(x, y, alpha)
    assert np.linalg.norm(gradient(best)) < 1e-13
    assert np.linalg.norm(gradient(ridge(x, y, alpha / 2))) > 1e-2
    np.testing.assert_allclose(gradient(best + 1), numeric_gradient(cost, best + 1))
    unhalved = penalized(
        lambda w: (2 * mse_loss(x @ w, y), [2 * x.T @ (x @ w - y) * 2 / y.size]),
        [2 * alpha],
    )
    assert np.linalg.norm(unhalved(best)[1][0]) < 1e-12  # as its docstring has it


@given(seed=seeds, alpha=st.floats(0.01, 1))
def test_the_lasso_meets_its_conditions(seed, alpha):
    """The pull of the data is α where a weight is not 0, and at most α where it is."""
    x, y = regression(seed)
    w = lasso_cd(x, y, alpha, sweeps=10_000)
    pull = x.T @ (y - x @ w) / len(x)
    np.testing.assert_allclose(pull[w != 0], alpha * np.sign(w[w != 0]), atol=1e-9)
    assert (abs(pull) <= alpha + 1e-9).all()


def test_the_lasso_finds_zeros_and_the_ridge_does_not():
    rng = numpy_generator(0)
    x, weight = rng.normal(size=(200, 50)), np.zeros((50, 1))
    weight[:5] = [[2.0], [-1.0], [1.5], [1.0], [-3.0]]
    y = x @ weight + 0.1 * rng.normal(size=(200, 1))
    assert set(np.flatnonzero(lasso_cd(x, y, 0.1))) == set(range(5))
    assert np.count_nonzero(ridge(x, y, 0.1)) == 50
    most = abs(x.T @ y).max() / len(x)
    assert not lasso_cd(x, y, most).any()
    assert lasso_cd(x, y, 0.99 * most).any()


def test_lasso_with_no_penalty_or_no_column_to_speak_of():
    x, y = regression()
    np.testing.assert_allclose(lasso_cd(x, y, 0.0), ridge(x, y, 0.0), atol=1e-9)
    x[:, 3] = 0
    assert not lasso_cd(x, y, 0.0)[3].any()
    assert not lasso_cd(0 * x, y, 0.0).any()
    assert lasso_cd(x, y, 0.01, sweeps=1).shape == (8, 2)


@pytest.mark.parametrize(("solve", "model"), [(ridge, Ridge), (lasso_cd, Lasso)])
def test_the_bias_underfits_once_it_is_penalized(solve, model):
    x, y = regression()
    y += 7
    found = model(0.1).fit(x, y)
    shifted = model(0.1).fit(x - 5, y + 3)
    np.testing.assert_allclose(shifted.weight, found.weight, atol=1e-9)
    np.testing.assert_allclose(shifted.predict(x - 5), found.predict(x) + 3)
    pulled = solve(np.c_[x, np.ones(len(x))], y, 0.1)  # here it is one weight of many
    assert (pulled[-1] < found.bias - 0.05).all()


def test_proximal_and_subgradient_steps_reach_the_lasso():
    x, y = regression(out=1)
    w = subgradient = np.zeros((8, 1))
    for step in range(400):
        dw = x.T @ (x @ w - y) / len(x)
        w = proximal_step(w, dw, lr=0.3, alpha=0.3)
        ds = x.T @ (x @ subgradient - y) / len(x)
        ds = ds + l1_penalty_backward(1.0, subgradient, 0.3)
        subgradient = subgradient - 0.3 / (1 + step / 10) * ds
    best = lasso_cd(x, y, 0.3)
    np.testing.assert_allclose(w, best, atol=1e-10)
    np.testing.assert_allclose(subgradient, best, atol=0.05)
    assert 0 < np.count_nonzero(w) < 8 == np.count_nonzero(subgradient)


def test_proximal_steps_of_groups_drop_whole_inputs():
    x, y = regression(out=3)
    w = np.zeros((8, 3))  # a group is a row: all that leaves an input
    for _ in range(500):
        dw = x.T @ (x @ w - y) / len(x)
        w = proximal_step(w, dw, lr=0.3, alpha=0.5, penalty="group")
    gone = (w == 0).all(axis=1)
    assert gone.any()
    assert (w[~gone] != 0).all()
    theirs = linear_model.MultiTaskLasso(
        alpha=0.5, fit_intercept=False, tol=1e-12, max_iter=10_000
    ).fit(x, y)
    np.testing.assert_allclose(w.T, theirs.coef_, atol=1e-6)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_penalized_cost_leaves_the_bias_alone(penalty):
    w, b = numpy_generator(0).normal(size=(2, 3, 3))

    def objective(w, b):
        return (w * b).sum(), [b, w]

    cost, (dw, db) = penalized(objective, [0.5, 0], penalty)(w, b)
    omega, omega_backward, _ = PENALTIES[penalty]
    assert cost == (w * b).sum() + omega(w, 0.5)
    np.testing.assert_array_equal(dw, b + omega_backward(1.0, w, 0.5))
    np.testing.assert_array_equal(db, w)
    plain, gradients = penalized(objective, [0.0, 0.0], penalty)(w, b)
    assert plain == (w * b).sum()
    np.testing.assert_array_equal(gradients, [b, w])


# ---- the quadratic model -------------------------------------------------------------


@settings(max_examples=5)
@given(seed=seeds, alpha=st.floats(0.1, 10))
def test_descent_shrinks_each_direction_by_its_factor(seed, alpha):
    rng = numpy_generator(seed)
    q, eigenvalue = np.linalg.qr(rng.normal(size=(3, 3)))[0], rng.uniform(0.1, 5, 3)
    hessian, optimum = q @ np.diag(eigenvalue) @ q.T, rng.normal(size=3)
    found = l2_solution(hessian, optimum, alpha)
    kept = q.T @ found / (q.T @ optimum)
    np.testing.assert_allclose(kept, shrinkage(eigenvalue, alpha), rtol=1e-7)
    direct = np.linalg.solve(hessian + alpha * np.eye(3), hessian @ optimum)
    np.testing.assert_allclose(found, direct, atol=1e-10)

    def objective(w):
        return (w - optimum) @ hessian @ (w - optimum) / 2, [hessian @ (w - optimum)]

    total = penalized(objective, [alpha])
    lr = 1 / (alpha + eigenvalue.max())
    (limit,), _ = gradient_descent(total, [np.zeros(3)], lr=lr, steps=1000)
    np.testing.assert_allclose(limit, found, atol=1e-8)


def test_a_decay_step_is_a_step_down_the_penalized_cost():
    w, dw = numpy_generator(0).normal(size=(2, 5))
    expected = w - 0.1 * (dw + l2_penalty_backward(1.0, w, 0.7))
    np.testing.assert_allclose(decay_step(w, dw, lr=0.1, alpha=0.7), expected)
    first = soft_threshold(w - 0.1 * dw, 0.07)
    np.testing.assert_allclose(proximal_step(w, dw, lr=0.1, alpha=0.7), first)


# ---- projections ---------------------------------------------------------------------


@given(seed=seeds, radius=st.floats(0.01, 20))
def test_projections_are_the_nearest_points(seed, radius):
    """The way there is at an angle of 90° or more from every way on in the set."""
    rng = numpy_generator(seed)
    x = 3 * rng.normal(size=(2, 3))
    for project, norm in ((project_l2, 2), (project_l1, 1)):
        y = project(x, radius)
        assert np.linalg.norm(y.ravel(), norm) <= radius * (1 + 1e-12)
        np.testing.assert_allclose(project(y, radius), y, atol=1e-12)  # idempotent
        if np.linalg.norm(x.ravel(), norm) <= radius:
            np.testing.assert_array_equal(y, x)
        for _ in range(20):
            other = rng.normal(size=x.shape)
            other *= radius * rng.random() / np.linalg.norm(other.ravel(), norm)
            assert ((x - y) * (other - y)).sum() <= 1e-10


@given(seed=seeds, d=st.integers(1, 9), radius=st.sampled_from([0.1, 1.0, 5.0]))
def test_projection_onto_the_diamond_equals_the_textbook_and_a_search(seed, d, radius):
    x = numpy_generator(seed).normal(size=d).round(1)  # ties
    y = project_l1(x, radius)
    np.testing.assert_allclose(y, duchi(x, radius), atol=1e-12)
    if abs(x).sum() > radius:
        low, high = 0.0, abs(x).max()
        for _ in range(100):
            middle = (low + high) / 2
            too_long = abs(soft_threshold(x, middle)).sum() > radius
            low, high = (middle, high) if too_long else (low, middle)
        np.testing.assert_allclose(y, soft_threshold(x, high), atol=1e-12)


def duchi(x, radius):
    """Figure 1 of the paper, in exact fractions."""
    sizes = sorted((Fraction(abs(a)) for a in x), reverse=True)
    radius = Fraction(radius)
    if sum(sizes) <= radius:
        return x
    sums = [sum(sizes[:j]) - radius for j in range(1, len(sizes) + 1)]
    theta = [s / j for j, s in enumerate(sums, 1) if sizes[j - 1] > s / j][-1]
    return np.array([np.sign(a) * float(max(Fraction(abs(a)) - theta, 0)) for a in x])


@pytest.mark.parametrize("far", [1e6, 1e15, 1e20, 1e300])
def test_projection_onto_the_diamond_from_far_away(far):
    x = np.array([far, -far, far / 2, 0.5])
    np.testing.assert_allclose(project_l1(x, 1.0), duchi(x, 1.0), atol=1e-15)
    assert abs(project_l1(x, 1.0)).sum() == 1


@pytest.mark.parametrize("norm", [1, 2])
def test_projections_equal_a_general_solver(norm):
    x = np.array([2.0, -1.0, 0.7, 0.1])
    if norm == 2:
        inside = {"type": "ineq", "fun": lambda y: 1 - (y**2).sum()}
        found = minimize(
            lambda y: ((y - x) ** 2).sum(),
            0.1 * x,
            constraints=inside,
            options={"ftol": 1e-14},
        )
        y = found.x
    else:  # y = a - b with a, b ≥ 0
        inside = {"type": "ineq", "fun": lambda ab: 1 - ab.sum()}
        found = minimize(
            lambda ab: ((ab[:4] - ab[4:] - x) ** 2).sum(),
            np.full(8, 0.05),
            bounds=[(0, None)] * 8,
            constraints=inside,
            options={"ftol": 1e-14},
        )
        y = found.x[:4] - found.x[4:]
    ours = project_l1(x, 1.0) if norm == 1 else project_l2(x, 1.0)
    np.testing.assert_allclose(ours, y, atol=1e-5)


def test_a_penalty_is_a_constraint_of_some_radius():
    x, y = regression(out=1)
    for solve, project, norm in ((ridge, project_l2, 2), (lasso_cd, project_l1, 1)):
        best = solve(x, y, 0.2)
        radius, w = np.linalg.norm(best.ravel(), norm), np.zeros_like(best)
        for _ in range(500):
            w = project(w - 0.3 * x.T @ (x @ w - y) / len(x), radius)
        np.testing.assert_allclose(w, best, atol=1e-8)


def test_max_norm_bounds_units_and_filters():
    weight = numpy_generator(0).normal(size=(4, 2, 3, 3))
    weight[0] /= 10
    found = max_norm(weight, 2.0)
    norms = np.linalg.norm(found.reshape(4, -1), axis=1)
    assert (norms <= 2 + 1e-12).all()
    np.testing.assert_array_equal(found[0], weight[0])
    for unit, before in zip(found[1:], weight[1:], strict=True):
        np.testing.assert_allclose(unit, project_l2(before, 2.0))


def test_descent_with_projection_survives_too_high_a_rate():
    x, y = regression(out=1)
    free = bound = np.zeros((8, 1))
    with np.errstate(all="ignore"):
        for _ in range(2000):
            free = free - 3.0 * x.T @ (x @ free - y) / len(x)
            step = bound - 3.0 * x.T @ (x @ bound - y) / len(x)
            bound = project_l2(step, 5.0)
    assert not np.isfinite(free).any()
    assert np.linalg.norm(bound) <= 5 + 1e-12
