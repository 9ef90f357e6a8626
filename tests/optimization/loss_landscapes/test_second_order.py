"""Methods of second order: exact where they should be, equal to their twins."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.autodiff.scratch import conjugate_gradient, hvp
from dlbook_lib.optimization.loss_landscapes import second_order
from dlbook_lib.optimization.loss_landscapes import second_order_pytorch as twin
from dlbook_lib.optimization.loss_landscapes.scratch import descent_path
from dlbook_lib.optimization.loss_landscapes.second_order import (
    Place,
    begin,
    bfgs,
    bfgs_update,
    cubic_minimum,
    lbfgs_direction,
    levenberg_marquardt,
    newton_direction,
    newton_step,
    nonlinear_conjugate_gradient,
    on_line,
    step_along,
    strong_wolfe,
    truncated_newton,
    value_and_gradient,
)
from dlbook_lib.optimization.loss_landscapes.surfaces import LANDSCAPES
from tests.feedforward.bad_input import (
    Call,
    Choice,
    Floats,
    Given,
    Number,
    Positive,
    Several,
    Whole,
    not_described,
    refuses,
)
from tests.structure.test_twins import differences

SEEDS = st.integers(0, 10**6)
BETAS = ["polak-ribiere", "fletcher-reeves"]


def quadratic(rng, n, kappa=20.0):
    """H, b, and the value and gradient of ½ xᵀHx − bᵀx."""
    Q, _ = np.linalg.qr(rng.normal(size=(n, n)))
    H = Q @ np.diag(np.geomspace(1, kappa, n)) @ Q.T
    b = rng.normal(size=n)
    return H, b, lambda x: (x @ H @ x / 2 - b @ x, H @ x - b)


def on(name):
    surface = LANDSCAPES[name]
    return (lambda x: (surface(x), surface.gradient(x))), np.array(surface.start)


def rosenbrock(x):
    """In n dimensions, of numbers that any library can add and multiply."""
    a, b = x[:-1], x[1:]
    return ((1 - a) ** 2 + 100 * (b - a * a) ** 2).sum()


def test_the_twins_have_the_same_names():
    assert not list(differences(second_order, twin))


# ---- Newton --------------------------------------------------------------------------


@given(SEEDS, st.integers(1, 6))
def test_one_newton_step_ends_a_quadratic(seed, n):
    rng = numpy_generator(seed)
    H, b, _ = quadratic(rng, n)
    x = rng.normal(size=n)
    np.testing.assert_allclose(H @ newton_step(x, H @ x - b, H), b, 1e-9, 1e-9)
    damped = newton_step(x, H @ x - b, H, 1e9)
    np.testing.assert_allclose(x - damped, (H @ x - b) / 1e9, 1e-6)


def test_newton_lands_on_the_saddle_and_damping_leaves_it():
    surface = LANDSCAPES["saddle"]
    x = np.array(surface.start)
    g, H = surface.gradient(x), surface.hessian(x)
    np.testing.assert_array_equal(newton_step(x, g, H), 0)
    assert abs(newton_step(x, g, H, 3.0)[1]) > abs(x[1])
    assert abs(descent_path(surface.gradient, x, lr=0.1, steps=50)[-1, 1]) > 5


@given(SEEDS)
def test_levenberg_marquardt_on_a_linear_fit_and_a_curve(seed):
    rng = numpy_generator(seed)
    A, b = rng.normal(size=(8, 3)), rng.normal(size=8)
    path = levenberg_marquardt(
        lambda x: A @ x - b, lambda x: A, np.zeros(3), steps=60, damping=1.0
    )
    np.testing.assert_allclose(path[-1], np.linalg.lstsq(A, b)[0], 1e-8, 1e-8)
    t = np.linspace(0, 1, 12)

    def residual(x):
        return x[0] * np.exp(x[1] * t) - 2 * np.exp(-1.5 * t)

    def jacobian(x):
        return np.stack([np.exp(x[1] * t), x[0] * t * np.exp(x[1] * t)], axis=1)

    path = levenberg_marquardt(residual, jacobian, rng.uniform(0, 3, 2), steps=80)
    np.testing.assert_allclose(path[-1], [2, -1.5], 1e-6)
    sizes = [residual(x) @ residual(x) for x in path]
    assert (np.diff(sizes) <= 0).all()


# ---- along a line --------------------------------------------------------------------


@given(*[st.floats(-2, 2)] * 4, st.floats(0.1, 3))
def test_the_cubic_is_met_and_is_lowest_there(p, q, r, s, width):
    def cubic(t):
        return Place(t, ((p * t + q) * t + r) * t + s, (3 * p * t + 2 * q) * t + r)

    a, b = cubic(0.5), cubic(0.5 + width)
    t = cubic_minimum(a, b, a.t, b.t)
    assert t == cubic_minimum(b, a, a.t, b.t)
    assert a.t <= t <= b.t
    if a.slope < -0.1 and b.slope > 0.1:
        np.testing.assert_allclose(cubic(t).slope, 0, atol=1e-6)
    other = twin.cubic_minimum(a, b, a.t, b.t)
    assert np.isnan(other) or other == pytest.approx(t, rel=1e-9, abs=1e-12)


WAVES = st.tuples(*[st.floats(0.1, 3)] * 3)


@given(
    WAVES,
    st.sampled_from([0.01, 0.3, 1.0, 20.0]),
    st.sampled_from([1e-6, 0.1, 0.9]),
    st.integers(0, 8) | st.just(25),
)
def test_the_search_is_torchs(waves, t, c2, max_ls):
    a, b, c = waves

    def along(t):
        value = a * np.cos(3 * t + b) + c * (t - 1) ** 2
        return Place(t, value, 2 * c * (t - 1) - 3 * a * np.sin(3 * t + b))

    start = along(0.0)
    if start.slope >= 0:
        return
    place, evaluations = strong_wolfe(along, start, t, c2=c2, max_ls=max_ls)
    other, count = twin.strong_wolfe(along, start, t, c2=c2, max_ls=max_ls)
    np.testing.assert_allclose(place[:3], other[:3], 1e-9, 1e-9)
    assert evaluations == count <= max_ls + 1
    assert place.value <= start.value
    if max_ls == 25 and c2 > 1e-3:
        assert place.value <= start.value + 1e-4 * place.t * start.slope
        assert abs(place.slope) <= -c2 * start.slope


@pytest.mark.parametrize(
    ("shift", "t", "c2", "evaluations"), [(3.4, 2.0, 0.9, 2), (0.5, 3.0, 0.1, 7)]
)
def test_a_second_place_above_the_first_does_not_end_the_growth(
    shift, t, c2, evaluations
):
    """It is flat enough, or the way goes on down behind it."""

    def along(t):
        return Place(t, np.cos(3 * t + shift) - t, -3 * np.sin(3 * t + shift) - 1)

    start, first = along(0.0), along(t)
    second = along(cubic_minimum(start, first, 1.01 * t, 10 * t))
    assert first.value < second.value < start.value + 1e-4 * second.t * start.slope
    assert first.slope < c2 * start.slope
    place, count = strong_wolfe(along, start, t, c2=c2)
    other, wanted = twin.strong_wolfe(along, start, t, c2=c2)
    np.testing.assert_allclose(place[:3], other[:3], 1e-9, 1e-9)
    assert count == wanted == evaluations
    assert place.t >= second.t
    assert abs(place.slope) <= -c2 * start.slope


def test_a_search_among_values_that_are_no_numbers():
    def along(t):
        return Place(t, np.inf, np.nan) if t > 0.1 else Place(t, -t, -1.0 + 20 * t)

    place, _ = strong_wolfe(along, along(0.0), 1.0)
    assert 0 < place.t <= 0.1


def test_a_step_that_cannot_go_down_stays():
    def objective(x):
        return float(x @ x), 2 * x

    x = np.array([1.0])
    here = on_line(objective, x, x)(0.0)
    after, place = step_along(objective, x, x, here)
    assert (after is x, place.t) == (True, 0)


# ---- methods -------------------------------------------------------------------------


@pytest.mark.parametrize("beta", BETAS)
@given(SEEDS, st.integers(1, 8))
def test_conjugate_gradients_end_a_quadratic_after_n_steps(beta, seed, n):
    H, b, objective = quadratic(numpy_generator(seed), n)
    options = {"steps": n, "beta": beta, "c2": 1e-9}
    path = nonlinear_conjugate_gradient(objective, np.zeros(n), **options)
    np.testing.assert_allclose(H @ path[-1], b, atol=1e-5 * np.linalg.norm(b))
    for k in range(1, min(n, 3) + 1):
        linear, _ = conjugate_gradient(lambda v: H @ v, b, steps=k)
        np.testing.assert_allclose(path[min(k, len(path) - 1)], linear, 1e-5, 1e-5)


def methods():
    for beta in BETAS:
        yield (
            beta,
            lambda module, f, _, x, steps, beta=beta: (
                module.nonlinear_conjugate_gradient(f, x, steps=steps, beta=beta)
            ),
        )
    yield "bfgs", lambda module, f, _, x, steps: module.bfgs(f, x, steps=steps)
    yield (
        "truncated",
        lambda module, f, product, x, steps: module.truncated_newton(
            f, product, x, steps=steps
        ),
    )
    yield (
        "damped",
        lambda module, f, product, x, steps: module.truncated_newton(
            f, product, x, steps=steps, inner=3, damping=0.1
        ),
    )


METHODS = dict(methods())
each = pytest.mark.parametrize("name", METHODS)


@each
@pytest.mark.parametrize("surface", ["rosenbrock", "beale", "himmelblau", "ravine"])
def test_they_find_a_minimum(name, surface):
    objective, x = on(surface)
    if surface == "beale" and name == "truncated":
        x = np.array([2.0, 0.5])
    product = lambda x, v: LANDSCAPES[surface].hessian(x) @ v  # noqa: E731
    path = METHODS[name](second_order, objective, product, x, 400)
    values = LANDSCAPES[surface](path)
    assert (np.diff(values) <= 0).all()
    np.testing.assert_allclose(objective(path[-1])[1], 0, atol=1e-5)
    assert values[-1] < 1e-9


@each
@pytest.mark.parametrize("seed", range(3))
def test_the_twins_take_the_same_path(name, seed):
    x = numpy_generator(seed).uniform(-1.5, 1.5, 4)
    objective, tobjective = (
        m.value_and_gradient(rosenbrock) for m in (second_order, twin)
    )

    def product(x, v):
        return hvp(rosenbrock, x, v)[1]

    def tproduct(x, v):
        return torch.autograd.functional.hvp(rosenbrock, x, v)[1]

    ours = METHODS[name](second_order, objective, product, x, 10)
    theirs = METHODS[name](twin, tobjective, tproduct, torch.tensor(x), 10)
    np.testing.assert_allclose(ours, theirs, 1e-7, 1e-8)
    np.testing.assert_allclose(ours[:4], theirs[:4], 1e-10, 1e-10)


@each
def test_float32_stays_float32(name):
    x = np.array([-1.0, 0.5, 0.2], "f4")
    objective = value_and_gradient(rosenbrock)
    path = METHODS[name](
        second_order, objective, lambda x, v: hvp(rosenbrock, x, v)[1], x, 8
    )
    assert path.dtype == np.float32
    assert len(path) == 9


@each
def test_a_start_at_the_minimum_stays_there(name):
    path = METHODS[name](second_order, on("ravine")[0], lambda x, v: v, np.zeros(2), 5)
    assert path.tolist() == [[0, 0]]


def test_truncated_newton_leaves_a_saddle():
    objective, x = on("saddle")
    path = truncated_newton(
        objective, lambda x, v: np.array([2.0, -2.0]) * v, x, steps=3
    )
    assert objective(path[-1])[0] < -1


@given(SEEDS, st.integers(2, 7))
def test_a_newton_direction_solves_or_goes_down(seed, n):
    rng = numpy_generator(seed)
    H, b, _ = quadratic(rng, n)
    d = newton_direction(lambda v: H @ v, b, steps=3 * n, tol=1e-12)
    np.testing.assert_allclose(H @ d, -b, 1e-7, 1e-7)
    saddle = H - 5 * np.eye(n)
    d = newton_direction(lambda v: saddle @ v, b, steps=n)
    assert d @ b < 0
    np.testing.assert_array_equal(newton_direction(lambda v: -v, b, steps=n), -b)
    there = twin.newton_direction(
        lambda v: torch.tensor(saddle) @ v, torch.tensor(b), steps=n
    )
    np.testing.assert_allclose(d, there, 1e-7, 1e-7)


@given(SEEDS, st.integers(1, 6), st.integers(0, 5), st.floats(0.1, 3))
def test_a_limited_memory_is_that_of_bfgs(seed, n, k, scale):
    rng = numpy_generator(seed)
    H, _, _ = quadratic(rng, n)
    g, steps = rng.normal(size=n), list(rng.normal(size=(k, n)))
    changes = [H @ s for s in steps]
    B = scale * np.eye(n)
    for s, y in zip(steps, changes, strict=True):
        before, B = B, bfgs_update(B, s, y)
        np.testing.assert_allclose(B @ y, s, 1e-8, 1e-8)
        np.testing.assert_allclose(B, B.T, 1e-8, 1e-8)
        there = [torch.tensor(a) for a in (before, s, y)]
        np.testing.assert_allclose(B, twin.bfgs_update(*there), 1e-10, 1e-10)
    assert np.linalg.eigvalsh(B).min() > 0
    d = lbfgs_direction(g, steps, changes, scale)
    np.testing.assert_allclose(d, -B @ g, 1e-7, 1e-7)
    there = [torch.tensor(g), *([torch.tensor(a) for a in x] for x in (steps, changes))]
    np.testing.assert_allclose(d, twin.lbfgs_direction(*there, scale), 1e-8, 1e-8)


def test_a_step_along_which_the_slope_falls_teaches_nothing():
    B, s = np.eye(2), np.array([1.0, 0.0])
    assert bfgs_update(B, s, -s) is B


def test_newton_and_damped_least_squares_of_the_twin():
    rng = numpy_generator(0)
    H, b, _ = quadratic(rng, 4)
    there = [torch.tensor(a) for a in (b, H @ b, H)]
    ours = newton_step(b, H @ b, H, 0.3)
    np.testing.assert_allclose(ours, twin.newton_step(*there, 0.3), 1e-10)
    ours = levenberg_marquardt(
        lambda x: x**2 - 4, lambda x: np.diag(2 * x), np.array([1.0, -5.0]), steps=9
    )
    theirs = twin.levenberg_marquardt(
        lambda x: x**2 - 4,
        lambda x: torch.diag(2 * x),
        torch.tensor([1.0, -5.0], dtype=torch.float64),
        steps=9,
    )
    np.testing.assert_allclose(ours, theirs, 1e-10)


# ---- bad input -----------------------------------------------------------------------


def bowl(x):
    return float(x @ x), 2 * x


HERE = on_line(bowl, np.ones(3), np.zeros(3))(0.0)
COUNT = {"steps": Whole(), "tol": Positive(zero=True)}
CALLS = [
    Call(
        newton_step,
        x=Floats("n"),
        g=Floats("n"),
        H=Floats("n", "n"),
        damping=Positive(zero=True),
    ),
    Call(
        levenberg_marquardt,
        residual=Given(lambda x: x),
        jacobian=Given(lambda x: np.eye(len(x))),
        x=Floats("n"),
        damping=Positive(),
        **COUNT,
    ),
    Call(
        cubic_minimum,
        a=Choice(Place(0.0, 1.0, -1.0)),
        b=Choice(Place(1.0, 2.0, 3.0)),
        low=Number(),
        high=Given(9.0),
    ),
    Call(
        strong_wolfe,
        along=Given(lambda t: Place(t, (t - 1) ** 2, 2 * (t - 1))),
        start=Choice(Place(0.0, 1.0, -2.0)),
        t=Positive(),
        c1=Number(0.0, 1.0),
        c2=Number(0.0, 1.0),
        tol=Positive(zero=True),
        max_ls=Whole(0),
    ),
    Call(on_line, objective=Given(bowl), x=Floats("n"), d=Floats("n")),
    Call(
        step_along,
        objective=Given(bowl),
        x=Floats(3),
        d=Floats(3),
        here=Choice(HERE._replace(t=0.0)),
        t=Positive(),
    ),
    Call(begin, objective=Given(bowl), x=Floats("n"), **COUNT),
    Call(value_and_gradient, func=Choice(rosenbrock)),
    Call(
        nonlinear_conjugate_gradient,
        objective=Given(bowl),
        x=Floats("n"),
        beta=Choice(*BETAS),
        c2=Number(0.0, 1.0),
        **COUNT,
    ),
    Call(newton_direction, product=Given(lambda v: v), g=Floats("n"), **COUNT),
    Call(
        truncated_newton,
        objective=Given(bowl),
        product=Given(lambda x, v: v),
        x=Floats("n"),
        inner=Whole(),
        damping=Positive(zero=True),
        **COUNT,
    ),
    Call(bfgs_update, B=Floats("n", "n"), s=Floats("n"), y=Floats("n")),
    Call(bfgs, objective=Given(bowl), x=Floats("n"), **COUNT),
    Call(
        lbfgs_direction,
        g=Floats("n"),
        steps=Several(Floats("n"), Floats("n")),
        changes=Several(Floats("n"), Floats("n")),
        scale=Number(),
    ),
]


@pytest.mark.parametrize("call", CALLS, ids=str)
@given(data=st.data())
def test_a_bad_call_ends_in_a_sentence(call, data):
    refuses(data.draw(call.bad()))


def test_every_function_is_described():
    assert not_described(second_order, CALLS) == {"Place"}


def test_float64_options_do_not_promote():
    x, some, H = np.ones(2, "f4"), np.float64(0.1), np.eye(2, dtype="f4")

    def objective(x):
        return float(x @ x), 2 * x

    def product(x, v):
        return 2 * v

    found = newton_step(x, x, H, some), lbfgs_direction(x, [x], [x], some)
    here = begin(objective, x, 1, 0.0)[1]
    path = truncated_newton(objective, product, x, steps=2, damping=some)
    place, _ = step_along(objective, x, -x, here, some)
    path2 = descent_path(lambda x: x, x, lr=some, steps=2, max_norm=some)
    assert {a.dtype for a in (*found, path, place, path2)} == {np.dtype("f4")}


def least_squares(jacobian):
    return levenberg_marquardt(lambda x: x, jacobian, np.ones(2), steps=2)


BAD_CALLS = [
    (lambda: newton_step(np.ones(2), np.ones(2), np.zeros((2, 2))), "has no inverse"),
    (lambda: strong_wolfe(lambda t: None, Place(0.0, 1.0, 1.0)), "not downhill"),
    (lambda: bfgs(lambda x: (0.0, x[:1]), np.ones(2), steps=2), "x has shape"),
    (lambda: bfgs(lambda x: x @ x, np.ones(2), steps=2), "a value and a gradient"),
    (lambda: bfgs(None, np.ones(2), steps=2), "objective must be a function, not None"),
    (lambda: newton_step(np.ones(1), np.ones(1), np.full((1, 1), np.nan)), "H is NaN"),
    (lambda: least_squares(None), "residual and jacobian must be functions"),
    (lambda: least_squares(lambda x: np.ones((3, 2))), "is .3, 2. but needs 2 rows"),
    (lambda: value_and_gradient(lambda x: 3)(np.ones(2)), "func returns 3, no Tensor"),
    (lambda: newton_direction(lambda v: v[:1], np.ones(2), steps=2), "g has shape"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD_CALLS)
def test_other_bad_calls_get_a_sentence(call, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        call()
