"""By hand, by complex step, by properties; and what is refused, in which words."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import linear_model
from sklearn.preprocessing import PolynomialFeatures

from dlbook_lib.feedforward.linear_models import scratch
from dlbook_lib.feedforward.linear_models.exercises import solve_complex_step_gradient

SIZES = np.array([[1.0], [2.0], [3.0], [4.0], [5.0], [6.0], [21.0]])
LABELS = np.array([[0.0], [0.0], [0.0], [1.0], [1.0], [1.0], [1.0]])

bce = scratch.binary_cross_entropy_with_logits
bce_backward = scratch.binary_cross_entropy_with_logits_backward
sizes = st.integers(1, 4)
numbers = st.floats(-5, 5, width=64)


def blobs(seed, n=60, d=3):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    y = (x[:, :1] + rng.normal(size=(n, 1)) > 0).astype(float)
    return x, y


@given(st.data(), sizes, sizes, sizes)
def test_linear_has_its_shape_and_its_gradients(draw, n, d, k):
    x, w, b, dy = (
        draw.draw(arrays(float, shape, elements=numbers))
        for shape in [(n, d), (k, d), (k,), (n, k)]
    )
    assert scratch.linear(x, w, b).shape == (n, k)
    grads = scratch.linear_backward(dy, x, w, b)
    for i, got in enumerate(grads):
        given_ = [x, w, b]

        def cost(v, i=i, given_=given_):
            return (dy * scratch.linear(*given_[:i], v, *given_[i + 1 :])).sum()

        wanted = solve_complex_step_gradient(cost, given_[i])
        np.testing.assert_allclose(got, wanted, rtol=1e-13, atol=1e-13)
    assert scratch.linear_backward(dy, x, w)[2] is None


LOSSES = {
    "mse": (scratch.mse_loss, scratch.mse_loss_backward),
    "bce": (bce, bce_backward),
}


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", LOSSES)
@given(st.data(), sizes, sizes)
def test_losses_have_the_gradient_of_the_complex_step(name, reduction, draw, n, k):
    loss, backward = LOSSES[name]
    s = draw.draw(arrays(float, (n, k), elements=numbers))
    y = draw.draw(arrays(float, (n, k), elements=st.floats(0, 1)))
    dy = np.full((n, k), 0.7) if reduction == "none" else 0.7
    wanted = solve_complex_step_gradient(
        lambda v: (dy * loss(v, y, reduction)).sum(), s
    )
    got = backward(dy, s, y, reduction)
    np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-13)


@given(arrays(float, 5, elements=st.floats(-30, 30)))
def test_sigmoid_has_the_gradient_of_the_complex_step(z):
    wanted = solve_complex_step_gradient(lambda v: scratch.sigmoid(v).sum(), z)
    np.testing.assert_allclose(
        scratch.sigmoid_backward(np.ones(5), z), wanted, rtol=1e-12, atol=1e-300
    )


@given(arrays(float, 4, elements=st.floats(-1e4, 1e4)))
def test_sigmoid_is_symmetric_and_within_bounds(z):
    p = scratch.sigmoid(z)
    assert ((p >= 0) & (p <= 1)).all()
    np.testing.assert_allclose(p + scratch.sigmoid(-z), 1, rtol=1e-15)


@pytest.mark.filterwarnings("error")
def test_extreme_scores_are_right_without_a_warning():
    z, y = np.array([-1e4, 1e4, -1e4, 1e4]), np.array([1.0, 0.0, 0.0, 1.0])
    np.testing.assert_array_equal(bce(z, y, "none"), [1e4, 1e4, 0, 0])
    np.testing.assert_array_equal(bce_backward(1.0, z, y, "sum"), [-1, 1, 0, 0])
    np.testing.assert_allclose(scratch.sigmoid(np.array([-700.0])), [np.exp(-700.0)])


def test_reductions_agree():
    s, y = np.array([[1.0], [3.0]]), np.array([[0.0], [1.0]])
    for loss, _ in LOSSES.values():
        each = loss(s, y, "none")
        assert each.shape == s.shape
        assert loss(s, y) == pytest.approx(each.mean())
        assert loss(s, y, reduction="sum") == pytest.approx(each.sum())


def test_precision_is_kept():
    x = np.ones((3, 2), np.float32)
    w, b, y = x[:1], x[0, :1], x[:, :1]
    s = scratch.linear(x, w, b)
    results = [
        s,
        *scratch.linear_backward(s, x, w, b),
        scratch.sigmoid(s),
        scratch.sigmoid_backward(s, s),
        scratch.quadratic_features(x),
    ]
    for loss, backward in LOSSES.values():
        results += [loss(s, y), loss(s, y, "none"), backward(1.0, s, y)]
    model = scratch.LogisticRegression()
    model.fit(x, y, lr=0.1, steps=2, weight_decay=0.1)
    results += [model.weight, model.bias, model.probability(x), model.predict(x)]
    line = scratch.LinearRegression()
    line.fit_gd(x, y, lr=0.1, steps=2)
    results += [line.weight, line.bias, line.predict(x)]
    assert {np.asarray(r).dtype for r in results} == {np.dtype(np.float32)}


def test_numeric_gradient_is_close_and_changes_nothing():
    x = np.array([[0.5, -1.0], [2.0, 0.1]])
    before = x.copy()
    got = scratch.numeric_gradient(lambda v: np.sin(v).sum(), x)
    np.testing.assert_allclose(got, np.cos(x), atol=1e-9)
    np.testing.assert_array_equal(x, before)


def test_seven_patients_by_hand():
    model = scratch.LinearRegression()
    model.fit_normal(SIZES, LABELS)
    np.testing.assert_allclose(model.weight, [[3 / 70]])
    np.testing.assert_allclose(model.bias, [11 / 35])
    np.testing.assert_allclose(model.predict(SIZES)[3], 17 / 35)


@pytest.mark.parametrize("seed", range(3))
def test_closed_form_equals_sklearn_and_descent(seed):
    x, _ = blobs(seed)
    y = x @ np.array([[1.0, -2.0], [0.5, 0.0], [3.0, 1.0]]) + [4.0, 5.0]
    model, walked = scratch.LinearRegression(), scratch.LinearRegression()
    model.fit_normal(x, y)
    known = linear_model.LinearRegression().fit(x, y)
    np.testing.assert_allclose(model.weight, known.coef_, atol=1e-10)
    np.testing.assert_allclose(model.bias, known.intercept_, atol=1e-10)
    losses = walked.fit_gd(x, y, lr=0.2, steps=500)
    np.testing.assert_allclose(walked.weight, model.weight, atol=1e-9)
    assert len(losses) == 500
    assert losses[:50] == sorted(losses[:50], reverse=True)


def test_logistic_regression_equals_sklearn():
    x, y = blobs(0)
    ours = scratch.LogisticRegression()
    ours.fit(x, y, lr=1.0, steps=2000, weight_decay=0.01)
    strength = 1 / (0.01 * len(x))
    known = linear_model.LogisticRegression(C=strength, tol=1e-10).fit(x, y[:, 0])
    np.testing.assert_allclose(ours.weight, known.coef_, atol=1e-5)
    np.testing.assert_allclose(ours.bias, known.intercept_, atol=1e-5)
    np.testing.assert_array_equal(ours.predict(x)[:, 0], known.predict(x))
    np.testing.assert_allclose(
        ours.probability(x)[:, 0], known.predict_proba(x)[:, 1], atol=1e-5
    )


def test_losses_of_a_fit_include_the_penalty():
    model, start = scratch.LogisticRegression(), np.log(2)
    first, second = model.fit(SIZES, LABELS, lr=0.1, steps=2, weight_decay=0.5)
    weight, bias = np.array([[1.5 / 7]]), np.array([0.05 / 7])  # after one step
    cost = bce(scratch.linear(SIZES, weight, bias), LABELS)
    np.testing.assert_allclose(
        [first, second], [start, cost + 0.25 * weight.item() ** 2]
    )


def test_descent_keeps_its_start_and_tells_each_loss():
    start = [np.array([4.0])]
    (end,), losses = scratch.gradient_descent(
        lambda v: (v @ v, [2 * v]), start, lr=0.25, steps=3
    )
    assert (start[0], end, losses) == ([4.0], [0.5], [16.0, 4.0, 1.0])


@given(st.integers(1, 5), st.integers(1, 4))
def test_quadratic_features_are_sklearns(d, n):
    x = np.random.default_rng(d).normal(size=(n, d))
    known = PolynomialFeatures(2, include_bias=False).fit_transform(x)
    ours = scratch.quadratic_features(x)
    np.testing.assert_allclose(np.sort(ours, axis=1), np.sort(known, axis=1))


def test_the_order_of_quadratic_features():
    got = scratch.quadratic_features(np.array([[2.0, 3.0]]))
    np.testing.assert_array_equal(got, [[4, 9, 6, 2, 3]])


@given(st.integers(1, 4), st.integers(1, 3))
def test_and_of_halfplanes_is_all(k, d):
    rng = np.random.default_rng(10 * k + d)
    x, w, b = rng.normal(size=(20, d)), rng.normal(size=(k, d)), rng.normal(size=k)
    wanted = np.array([all(w @ p + b > 0) for p in x])
    np.testing.assert_array_equal(scratch.and_of_halfplanes(x, w, b), wanted)


ONE = np.ones((2, 1))
REFUSED = [
    (scratch.linear, (np.ones((2, 3)), ONE), "linear: input has 3 features but weight"),
    (scratch.linear, (ONE, np.ones((2, 1)), np.ones(1)), "weight has 2 outputs but"),
    (scratch.linear, (np.ones(2), ONE), "linear: input has 2 features but weight"),
    (scratch.linear, (np.array(2.0), ONE), "linear: input is a single number"),
    (scratch.linear_backward, (np.ones((2, 2)), ONE, ONE[:1]), "shapes do not fit: dy"),
    (scratch.mse_loss, (ONE, np.ones(2)), "mse_loss: input has shape"),
    (scratch.mse_loss, (ONE, ONE, "avg"), "mse_loss: reduction must be"),
    (scratch.mse_loss, (ONE[:0], ONE[:0]), "no mean of an empty batch"),
    (bce, (ONE, 2 * ONE), "target must lie between 0 and 1"),
    (bce, (ONE, np.nan * ONE), "target must lie between 0 and 1"),
    (bce, (ONE, np.ones(2)), "nothing is broadcast here"),
    (scratch.numeric_gradient, (np.sum, ONE.astype("f")), "x is float32, too coarse"),
    (scratch.normal_equations, (np.ones((3, 2)), np.ones((3, 1))), "have rank 1"),
    (scratch.normal_equations, (np.nan * ONE, ONE), "columns is NaN or infinite"),
    (scratch.quadratic_features, (np.ones(3),), "input must have 2 dimensions"),
    (scratch.and_of_halfplanes, (ONE, ONE, np.ones(1)), "weight has 2 outputs"),
]


@pytest.mark.parametrize(("function", "args", "sentence"), REFUSED)
def test_bad_calls_are_told_what_is_wrong(function, args, sentence):
    with pytest.raises(ValueError, match=sentence):
        function(*args)


@pytest.mark.parametrize("lr", [0, -1.0, float("nan")])
def test_learning_rates_are_positive(lr):
    with pytest.raises(ValueError, match="lr must be a number above 0"):
        scratch.LogisticRegression().fit(SIZES, LABELS, lr=lr, steps=1)


@pytest.mark.parametrize("function", [scratch.sigmoid, scratch.quadratic_features])
def test_whole_numbers_are_refused(function):
    with pytest.raises(TypeError, match="must hold floating-point numbers, not int64"):
        function(np.array([[1, 2]]))


def test_integer_labels_are_refused():
    with pytest.raises(TypeError, match="target must hold floating-point numbers"):
        scratch.LogisticRegression().fit(SIZES, LABELS.astype(int), lr=0.1, steps=1)
