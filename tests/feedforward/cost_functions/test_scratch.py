"""The losses in NumPy: values, gradients by complex step, precision, extremes."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.cost_functions.scratch import (
    LOSSES,
    best_function_on_grid,
    gaussian_nll_loss,
    gaussian_nll_loss_backward,
    half_squared_norm,
    huber_loss,
    huber_loss_backward,
    l1_loss,
    l1_loss_backward,
    laplace_nll_loss,
    laplace_nll_loss_backward,
    loss_from_distribution,
    nll_loss,
    nll_loss_backward,
    pinball_loss,
    pinball_loss_backward,
    poisson_nll_loss,
    poisson_nll_loss_backward,
    total_cost,
)
from dlbook_lib.feedforward.linear_models.scratch import (
    gradient_descent,
    mse_loss,
    numeric_gradient,
)

REDUCTIONS = st.sampled_from(["mean", "sum", "none"])
SHAPES = st.lists(st.integers(1, 3), min_size=1, max_size=3).map(tuple)


@pytest.fixture(autouse=True)
def loud():
    with np.errstate(all="raise"):
        yield


# What comes after input and target, how many of the arguments get a gradient, and
# whether a scale is among them.
CASES = {
    "l1": (l1_loss, l1_loss_backward, {}),
    "huber": (huber_loss, huber_loss_backward, {"delta": 0.7}),
    "pinball": (pinball_loss, pinball_loss_backward, {"quantile": 0.9}),
    "gaussian": (gaussian_nll_loss, gaussian_nll_loss_backward, {"full": True}),
    "laplace": (laplace_nll_loss, laplace_nll_loss_backward, {"full": True}),
    "poisson": (poisson_nll_loss, poisson_nll_loss_backward, {}),
    "rate": (
        poisson_nll_loss,
        poisson_nll_loss_backward,
        {"log_input": False, "full": True, "eps": 0.1},
    ),
}


def arguments(name, shape, seed, scale_shape=None):
    """Input, target and, for a loss that has one, a scale."""
    rng = numpy_generator(seed)
    input, target = rng.normal(size=shape), rng.normal(size=shape)
    if name in ("poisson", "rate"):
        target = rng.poisson(2.0, size=shape).astype(float)
    if name == "rate":
        input = np.exp(input)
    if name in ("gaussian", "laplace"):
        return [input, target, rng.uniform(0.3, 2, scale_shape or shape)]
    return [input, target]


def slopes(cost, arrays, which):
    """The gradient with respect to one of the arrays, one complex step a number."""
    gradient = np.empty(arrays[which].shape)
    for index in np.ndindex(gradient.shape):
        shifted = [a.copy() for a in arrays]
        shifted[which] = shifted[which].astype(complex)
        shifted[which][index] += 1e-30j
        gradient[index] = cost(*shifted).imag / 1e-30
    return gradient


def check_gradients(name, arrays, options, reduction, seed):
    loss, backward, _ = CASES[name]
    options = options | {"reduction": reduction}
    value = loss(*arrays, **options)
    dy = numpy_generator(seed).normal(size=np.shape(value))
    found = backward(dy, *arrays, **options)
    found = found if isinstance(found, tuple) else (found,)
    for which, gradient in zip((0, 2), found, strict=False):
        assert gradient.shape == arrays[which].shape
        expected = slopes(lambda *a: (dy * loss(*a, **options)).sum(), arrays, which)
        np.testing.assert_allclose(gradient, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", CASES)
@given(SHAPES, REDUCTIONS, st.integers(0, 99))
def test_gradients_are_those_of_a_complex_step(name, shape, reduction, seed):
    arrays = arguments(name, shape, seed)
    check_gradients(name, arrays, CASES[name][2], reduction, seed)


@pytest.mark.parametrize("name", ["gaussian", "laplace"])
@pytest.mark.parametrize("scale", [(2, 3, 1), (2, 1, 4), (1, 3, 4), (2, 3)])
def test_a_shared_scale_gets_the_sum_of_the_gradients(name, scale):
    arrays = arguments(name, (2, 3, 4), 0, scale)
    check_gradients(name, arrays, {}, "mean", 0)
    arrays[2] = np.full_like(arrays[2], 0.5)
    together = CASES[name][0](*arrays, reduction="none")
    one = CASES[name][0](*arrays[:2], 0.5, reduction="none")
    np.testing.assert_array_equal(together, one)
    _, dscale = CASES[name][1](1.0, *arrays[:2], 0.5, reduction="sum")
    each = CASES[name][1](1.0, *arrays, reduction="sum")[1]
    assert dscale == pytest.approx(each.sum())


@given(
    st.sampled_from([(4,), (3, 4), (2, 4, 3), (2, 4, 1, 2)]),
    st.booleans(),
    REDUCTIONS,
    st.integers(0, 99),
)
def test_nll_loss_and_its_gradient(shape, weighted, reduction, seed):
    rng = numpy_generator(seed)
    input = rng.normal(size=shape)
    places = shape[:-1] if len(shape) == 1 else (shape[0], *shape[2:])
    target = np.asarray(rng.integers(4, size=places))
    target[rng.random(places) < 0.2] = -100
    target.flat[0] = 2
    weight = rng.uniform(0.2, 2, 4) if weighted else None
    value = nll_loss(input, target, weight, reduction=reduction)
    assert np.shape(value) == (places if reduction == "none" else ())
    dy = rng.normal(size=np.shape(value))
    got = nll_loss_backward(dy, input, target, weight, reduction=reduction)
    expected = numeric_gradient(
        lambda z: (dy * nll_loss(z, target, weight, reduction=reduction)).sum(), input
    )
    np.testing.assert_allclose(got, expected, atol=1e-8)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_float32_stays_float32(name, reduction):
    loss, backward, options = CASES[name]
    options = options | {"reduction": reduction}
    arrays = [a.astype("f4") for a in arguments(name, (3, 2), 0)]
    value = loss(*arrays, **options)
    gradients = backward(np.ones_like(value) if value.ndim else 1.0, *arrays, **options)
    for part in (value, *np.atleast_1d(gradients)):
        assert np.asarray(part).dtype == np.float32
    if name in ("gaussian", "laplace"):
        assert loss(*arrays[:2], 0.5, **options).dtype == np.float32


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_nll_loss_stays_float32(reduction):
    input, target = np.full((2, 3), -1, "f4"), np.array([0, -100])
    value = nll_loss(input, target, reduction=reduction)
    assert value.dtype == np.float32
    dy = np.ones_like(value) if value.ndim else 1.0
    assert nll_loss_backward(dy, input, target, reduction=reduction).dtype == "f4"
    weighted = nll_loss(input, target, np.ones(3, "f4"), reduction=reduction)
    assert weighted.dtype == np.float32


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_extreme_errors_stay_finite(dtype):
    far = np.array([1e4, -1e4, 1e30, 0.0], dtype)
    zero = np.zeros(4, dtype)
    for loss in (l1_loss, huber_loss, pinball_loss):
        assert np.isfinite(loss(far, zero, reduction="none")).all()
    for backward in (l1_loss_backward, huber_loss_backward, pinball_loss_backward):
        assert np.isfinite(backward(1.0, far, zero)).all()
    assert np.isfinite(laplace_nll_loss(far, zero, np.ones_like(far)))
    logs = np.array([-1e4, 80.0], dtype)
    counts = np.array([3.0, 3.0], dtype)
    assert np.isfinite(poisson_nll_loss(logs, counts, reduction="none")).all()
    assert np.isinf(poisson_nll_loss(np.array([1e4], dtype), counts[:1]))
    assert np.isinf(poisson_nll_loss_backward(1.0, np.array([1e4], dtype), counts[:1]))


def test_nan_shows_and_does_not_vanish():
    bad, good = np.array([np.nan, 1.0]), np.ones(2)
    for loss in (l1_loss, huber_loss, pinball_loss):
        assert np.isnan(loss(bad, good, reduction="none")).tolist() == [True, False]
    assert np.isnan(gaussian_nll_loss(good, good, bad))


def test_a_place_that_is_ignored_may_hold_minus_infinity():
    log_p = np.array([[-np.inf, 0.0], [-np.inf, 0.0]])
    assert nll_loss(log_p, np.array([-100, 1])) == 0
    assert nll_loss(log_p, np.array([-100, -100]), reduction="sum") == 0
    nothing = nll_loss_backward(1.0, log_p, np.array([-100, -100]), reduction="sum")
    assert not nothing.any()
    assert nll_loss(log_p, np.array([0, 1]), reduction="none")[0] == np.inf


def test_the_mean_of_nll_loss_divides_by_the_weights_that_count():
    log_p = np.log(np.array([[0.5, 0.5], [0.25, 0.75], [0.5, 0.5]]))
    weight = np.array([1.0, 3.0])
    got = nll_loss(log_p, np.array([0, 1, -1]), weight, ignore_index=-1)
    assert got == pytest.approx(-(np.log(0.5) + 3 * np.log(0.75)) / 4)


def test_a_variance_below_eps_counts_as_eps_but_keeps_its_slope():
    gap, zero = np.array([1.0]), np.zeros(1)
    loss = gaussian_nll_loss(gap, zero, zero, eps=1e-3)
    assert loss == gaussian_nll_loss(gap, zero, np.array([1e-3]), eps=1e-3)
    _, dvar = gaussian_nll_loss_backward(1.0, gap, zero, zero, eps=1e-3)
    assert dvar == pytest.approx((1e3 - 1e6) / 2)


SCIPY = {
    "gaussian": lambda f, y: scipy.stats.norm.logpdf(y, f),
    "laplace": lambda f, y: scipy.stats.laplace.logpdf(y, f),
    "bernoulli": lambda f, y: scipy.stats.bernoulli.logpmf(y, 1 / (1 + np.exp(-f))),
    "poisson": lambda f, y: scipy.stats.poisson.logpmf(y, np.exp(f)),
}


@pytest.mark.parametrize("name", SCIPY)
def test_each_loss_is_the_log_likelihood_of_its_distribution(name):
    loss, _ = loss_from_distribution(name)
    factor = 0.5 if name == "gaussian" else 1.0
    f, y = np.linspace(-2, 2, 9), np.ones(9)
    gap = -SCIPY[name](f, y) - factor * loss(f, y, reduction="none")
    np.testing.assert_allclose(gap, gap[0], atol=1e-12)  # one constant


def test_full_losses_are_the_log_likelihood():
    f, y, s = np.array([0.3, -1.0]), np.array([1.0, 2.0]), np.array([0.5, 2.0])
    gaussian = gaussian_nll_loss(f, y, s, full=True, reduction="none")
    np.testing.assert_allclose(gaussian, -scipy.stats.norm.logpdf(y, f, s**0.5))
    laplace = laplace_nll_loss(f, y, s, full=True, reduction="none")
    np.testing.assert_allclose(laplace, -scipy.stats.laplace.logpdf(y, f, s))
    counts = np.array([30.0, 40.0])
    poisson = poisson_nll_loss(f, counts, full=True, reduction="none")
    exact = -scipy.stats.poisson.logpmf(counts, np.exp(f))
    np.testing.assert_allclose(poisson, exact, atol=0.003)  # Stirling is off by 1/12y


def test_the_table_has_a_pair_for_each_distribution():
    assert list(LOSSES) == [
        "gaussian",
        "laplace",
        "bernoulli",
        "categorical",
        "poisson",
    ]
    for loss, backward in LOSSES.values():
        assert backward.__name__ == f"{loss.__name__}_backward"


@given(st.integers(0, 99))
def test_the_best_function_is_the_statistic_of_each_cell(seed):
    rng = numpy_generator(seed)
    x, y = rng.uniform(0, 1, 61), rng.integers(0, 9, 61).astype(float)
    edges, values = np.array([0.0, 0.5, 1.0]), np.linspace(0, 8, 801)
    cells = [y[(a <= x) & (x < b)] for a, b in ((0, 0.5), (0.5, 1))]
    mean = best_function_on_grid(mse_loss, x, y, edges, values)
    np.testing.assert_allclose(mean, [c.mean() for c in cells], atol=0.0051)
    middle = best_function_on_grid(l1_loss, x, y, edges, values)
    for best, cell in zip(middle, cells, strict=True):
        assert (cell < best).sum() <= len(cell) / 2 <= (cell <= best).sum()


@given(st.sampled_from([0.1, 0.25, 0.5, 0.9]), st.integers(0, 99))
def test_the_pinball_loss_is_least_at_the_quantile(quantile, seed):
    y = numpy_generator(seed).normal(size=50)
    at = np.quantile(y, quantile, method="inverted_cdf")
    best = pinball_loss(np.full(50, at), y, quantile)
    for other in (at - 0.1, at + 0.1, *y):
        assert pinball_loss(np.full(50, other), y, quantile) >= best - 1e-15


def test_half_the_absolute_error_is_the_pinball_loss_at_one_half():
    f, y = numpy_generator(0).normal(size=(2, 20))
    assert pinball_loss(f, y) == pytest.approx(l1_loss(f, y) / 2)


def test_total_cost_adds_a_penalty_and_its_gradients():
    def bowl(w, b):
        return ((w - 1) ** 2).sum() + b**2, [2 * (w - 1), 2 * b]

    w, b = np.array([2.0, 3.0]), np.array(1.0)
    cost, gradients = total_cost(bowl, alpha=0.5)(w, b)
    assert cost == bowl(w, b)[0] + 0.25 * ((w**2).sum() + b**2)
    np.testing.assert_allclose(gradients[0], 2 * (w - 1) + 0.5 * w)
    twice = total_cost(total_cost(bowl, alpha=0.3), alpha=0.2)
    assert twice(w, b)[0] == pytest.approx(cost)
    (w, b), _ = gradient_descent(total_cost(bowl, alpha=2.0), [w, b], lr=0.1, steps=99)
    np.testing.assert_allclose(w, 0.5)
    assert half_squared_norm(w)[1][0] is w
