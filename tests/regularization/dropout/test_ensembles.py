"""Bagging and boosting against their definitions, scikit-learn and their twins."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator, torch_generator
from dlbook_lib.regularization.dropout import ensembles
from dlbook_lib.regularization.dropout import ensembles_pytorch as twin


def test_error_of_a_mean_of_correlated_models():
    assert ensembles.ensemble_mse(1.0, 0.5, 10) == pytest.approx(0.55)
    assert ensembles.ensemble_mse(1.0, 0.0, 10) == pytest.approx(0.1)
    assert ensembles.ensemble_mse(1.0, 1.0, 10) == pytest.approx(1.0)
    assert twin.ensemble_mse(1.0, 0.5, 10) == ensembles.ensemble_mse(1.0, 0.5, 10)
    covariance = np.full((10, 10), 0.5) + 0.5 * np.eye(10)
    errors = numpy_generator(0).multivariate_normal(np.zeros(10), covariance, 100_000)
    assert (errors.mean(axis=1) ** 2).mean() == pytest.approx(0.55, rel=0.02)


def test_a_resample_holds_632_of_1000_examples():
    for rows in (
        ensembles.bootstrap(1000, 50, rng=numpy_generator(0)),
        twin.bootstrap(1000, 50, rng=torch_generator(0)).numpy(),
    ):
        assert rows.shape == (50, 1000)
        assert (rows.min(), rows.max()) == (0, 999)
        share = np.mean([len(set(row)) for row in rows.tolist()]) / 1000
        assert share == pytest.approx(1 - 1 / np.e, abs=0.005)


def nearest(input, target):
    """One-nearest-neighbour scores: which class the closest example has."""
    scores = np.eye(3)[target]
    return lambda new: scores[
        np.square(new[:, None] - input).sum(axis=-1).argmin(axis=1)
    ]


def nearest_torch(input, target):
    scores = torch.eye(3, dtype=torch.float64)[target]
    return lambda new: scores[(new[:, None] - input).square().sum(dim=-1).argmin(dim=1)]


def test_bagging_is_the_mean_of_its_members():
    rng = numpy_generator(0)
    x, y, new = (
        rng.normal(size=(30, 2)),
        rng.integers(3, size=30),
        rng.normal(size=(9, 2)),
    )
    ours = ensembles.Bagging(nearest, 7, rng=rng).fit(x, y)
    each = [nearest(x[r], y[r])(new) for r in ours.rows]
    np.testing.assert_allclose(ours.predict(new), sum(each) / 7)
    counts = np.array([[e.argmax(1)[i] for e in each] for i in range(9)])
    for vote, row in zip(ours.vote(new), counts, strict=True):
        assert (row == vote).sum() == max((row == c).sum() for c in range(3))
    theirs = twin.Bagging(nearest_torch, 7, rng=torch_generator(0))
    theirs.fit(torch.tensor(x), torch.tensor(y), torch.tensor(ours.rows))
    t = torch.tensor(new)
    np.testing.assert_allclose(ours.predict(new), theirs.predict(t), atol=1e-10)
    np.testing.assert_array_equal(ours.vote(new), theirs.vote(t))
    drawn = twin.Bagging(nearest_torch, 4, rng=torch_generator(0))
    assert drawn.fit(torch.tensor(x), torch.tensor(y)).rows.shape == (4, 30)


def test_the_mean_is_never_worse_than_its_members_on_average():
    rng = numpy_generator(0)
    x = rng.uniform(-1, 1, size=(40, 1))
    y = np.sin(4 * x[:, 0]) + 0.3 * rng.normal(size=40)

    def cubic(input, target):
        coefficients = np.polyfit(input[:, 0], target, 7)
        return lambda new: np.polyval(coefficients, new[:, 0])

    bag = ensembles.Bagging(cubic, 20, rng=rng).fit(x, y)
    each = [np.mean((member(x) - y) ** 2) for member in bag.members]
    assert np.mean((bag.predict(x) - y) ** 2) <= np.mean(each)


# ---- stumps ------------------------------------------------------------------------


def best_by_trying(input, target, weight):
    """The least error over every feature, cut and sign."""
    least = np.inf
    for j in range(input.shape[1]):
        for t in [-np.inf, *input[:, j]]:
            for sign in (-1.0, 1.0):
                said = np.where(input[:, j] > t, sign, -sign)
                least = min(least, weight[said != target].sum())
    return least


@given(
    st.integers(1, 12),
    st.integers(1, 3),
    st.sampled_from(["normal", "whole"]),
    st.integers(0, 999),
)
def test_a_stump_is_the_best_there_is(n, d, kind, seed):
    rng = numpy_generator(seed)
    x = rng.normal(size=(n, d))
    x = x.round() if kind == "whole" else x  # with ties
    y, w = np.sign(rng.normal(size=n)), rng.dirichlet(np.ones(n))
    feature, threshold, sign, error = ensembles.fit_stump(x, y, w)
    assert error == pytest.approx(best_by_trying(x, y, w), abs=1e-12)
    wrong = ensembles.stump(x, feature, threshold, sign) != y
    assert w[wrong].sum() == pytest.approx(error, abs=1e-12)
    theirs = twin.fit_stump(*map(torch.tensor, (x, y, w)))
    assert theirs == pytest.approx((feature, threshold, sign, error), abs=1e-10)


def test_a_stump_between_neighbouring_floats():
    x = 1 + 2.0**-52 * np.array([[0.0], [1.0], [2.0]])  # half way rounds up
    y = np.array([-1.0, -1.0, 1.0])
    assert ensembles.fit_stump(x, y, np.full(3, 1 / 3))[3] == 0
    assert twin.fit_stump(*map(torch.tensor, (x, y, np.full(3, 1 / 3))))[3] == 0


def rings(seed=0, n=120):
    rng = numpy_generator(seed)
    x = rng.normal(size=(n, 3))
    return x, np.where((x**2).sum(axis=1) > 2, 1.0, -1.0)


def test_boosting_by_its_definition_and_its_twin():
    x, y = rings()
    stumps = ensembles.adaboost_stumps(x, y, 25)
    weight = np.full(len(y), 1 / len(y))
    for alpha, *cut, error in stumps:
        said = ensembles.stump(x, *cut)
        assert error == pytest.approx(weight[said != y].sum(), abs=1e-12)
        assert error == pytest.approx(best_by_trying(x, y, weight), abs=1e-12)
        assert alpha == pytest.approx(0.5 * np.log((1 - error) / error))
        weight = weight * np.where(said == y, error / (1 - error), 1.0)
        weight /= weight.sum()
        assert weight[said != y].sum() == pytest.approx(0.5)  # chance from now on
    theirs = twin.adaboost_stumps(torch.tensor(x), torch.tensor(y), 25)
    np.testing.assert_allclose(stumps, theirs, rtol=1e-10, atol=1e-10)
    score = ensembles.adaboost_score(x, stumps)
    np.testing.assert_allclose(
        score, twin.adaboost_score(torch.tensor(x), theirs), atol=1e-10
    )


def test_training_error_goes_to_zero_below_its_bound():
    x, y = rings()
    stumps = ensembles.adaboost_stumps(x, y, 200)
    errors = [s[-1] for s in stumps]
    bound = np.cumprod([2 * (e * (1 - e)) ** 0.5 for e in errors])
    for t in (1, 5, 20, 100, len(stumps)):
        wrong = np.mean(np.sign(ensembles.adaboost_score(x, stumps[:t])) != y)
        assert wrong <= bound[t - 1]
    assert wrong == 0


def test_it_ends_with_a_perfect_stump_and_with_chance():
    x = np.array([[0.0], [1.0], [2.0]])
    for module, array in ((ensembles, np.array), (twin, torch.tensor)):
        perfect = module.adaboost_stumps(array(x), array([-1.0, 1.0, 1.0]), 9)
        assert len(perfect) == 1
        assert 0 < perfect[0][0] < 20
        assert perfect[0][1:] == (0, 0.5, 1.0, 0.0)
        alike = module.adaboost_stumps(array(0 * x[:2]), array([-1.0, 1.0]), 9)
        assert alike == []
        assert module.adaboost_score(array(x), alike).tolist() == [0, 0, 0]


def test_float32_stays_float32():
    x, y = (a.astype("f4") for a in rings())
    stumps = ensembles.adaboost_stumps(x, y, 5)
    assert ensembles.adaboost_score(x, stumps).dtype == np.float32
    assert ensembles.stump(x, *stumps[0][1:4]).dtype == np.float32
