"""Each checker passes its own solution and refuses wrong ones."""

import numpy as np
import pytest
from scipy.stats import nbinom

from dlbook_lib.common.exercises import ExerciseError
from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.linear_models.scratch import numeric_gradient, sigmoid
from dlbook_lib.feedforward.output_units import exercises as sheet
from dlbook_lib.feedforward.output_units.scratch import cross_entropy, softmax


def naive_softmax_at(logits, temperature):
    with np.errstate(all="ignore"):
        weights = np.exp(logits / temperature)
        return weights / weights.sum(axis=-1, keepdims=True)


def naive_two_class_logit(logits):
    with np.errstate(all="ignore"):
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        return np.log(p[:, 1] / p[:, 0])


def poisson(log_rate, target, size):
    rate = np.exp(log_rate)
    return np.mean(rate - target * log_rate), (rate - target) / target.size


WRONG = {
    "check_two_class_logit": [
        lambda logits: logits[:, 0] - logits[:, 1],
        lambda logits: logits[:, 1],
        lambda logits: softmax(logits, 1)[:, 1],
        naive_two_class_logit,
    ],
    "check_softmax_at": [
        naive_softmax_at,
        lambda logits, temperature: softmax(logits * temperature, -1),
        lambda logits, temperature: softmax(logits, -1) / temperature,
        lambda logits, temperature: softmax(logits / temperature, 0),
    ],
    "check_gate_gradient": [
        lambda dy, first, second, logit: dy * (first - second),
        lambda dy, first, second, logit: dy * sigmoid(logit) * sigmoid(-logit),
        lambda dy, first, second, logit: (
            -sheet.solve_gate_gradient(dy, first, second, logit)
        ),
    ],
    "check_smoothing_floor": [
        lambda classes, eps: 0.0,
        lambda classes, eps: -np.log(1 - eps),
        lambda classes, eps: (
            -(1 - eps) * np.log(1 - eps) - eps * np.log(eps / (classes - 1))
        ),
    ],
    "check_double_softmax_floor": [
        lambda classes: 0.0,
        lambda classes: np.log(classes),
        lambda classes: np.log(np.e + classes) - 1,
    ],
    "check_constant_a": [
        lambda residuals: 1 / np.mean(residuals**2),
        lambda residuals: np.log(np.expm1(np.mean(residuals**2))),
        lambda residuals: np.log(np.expm1(1 / np.var(residuals, ddof=1))),
        lambda residuals: -np.log(np.mean(residuals**2)),
    ],
    "check_exponential_head": [
        lambda output, target: (np.mean((output - target) ** 2), 2 * (output - target)),
        lambda output, target: (
            sheet.solve_exponential_head(output, target)[0],
            np.exp(output) * target - 1,
        ),
        lambda output, target: (
            sheet.solve_exponential_head(output, target)[0],
            -sheet.solve_exponential_head(output, target)[1],
        ),
    ],
    "check_negative_binomial_nll": [
        poisson,
        lambda log_rate, target, size: (
            sheet.solve_negative_binomial_nll(log_rate, target, size)[0],
            (np.exp(log_rate) - target) / target.size,
        ),
        lambda log_rate, target, size: sheet.solve_negative_binomial_nll(
            np.exp(log_rate), target, size
        ),
    ],
    "check_mixture_moments": [
        lambda shares, mean, scale: (mean.mean(axis=1), mean.var(axis=1)),
        lambda shares, mean, scale: (
            sheet.solve_mixture_moments(shares, mean, scale)[0],
            sheet.solve_mixture_moments(shares, mean, 0 * scale)[1],
        ),
        lambda shares, mean, scale: sheet.solve_mixture_moments(
            shares, mean, np.sqrt(scale)
        ),
    ],
}


def test_every_checker_has_its_wrong_answers():
    assert {name for name in vars(sheet) if name.startswith("check_")} == WRONG.keys()


@pytest.mark.parametrize("name", WRONG)
def test_reference_passes(name):
    checker = getattr(sheet, name)
    checker.verify(checker.reference)


@pytest.mark.parametrize(
    ("name", "candidate"), [(n, f) for n, each in WRONG.items() for f in each]
)
def test_wrong_answers_fail(name, candidate):
    with pytest.raises(ExerciseError):
        getattr(sheet, name).verify(candidate)


def test_floors_are_reached_by_the_library():
    sure = 800.0 * np.eye(10)[:1]
    p = softmax(sure, 1)
    floor = sheet.solve_double_softmax_floor(10)
    assert abs(cross_entropy(p, np.array([0])) - floor) < 1e-12
    smooth = np.full((1, 10), np.log(0.01))
    smooth[0, 3] = np.log(0.91)
    loss = cross_entropy(smooth, np.array([3]), label_smoothing=0.1)
    assert abs(loss - sheet.solve_smoothing_floor(10, 0.1)) < 1e-12


def test_negative_binomial_is_scipys_and_has_its_gradient():
    z, y, r = np.array([0.3, 1.2]), np.array([2.0, 0.0]), 4.0
    loss, gradient = sheet.solve_negative_binomial_nll(z, y, r)
    p = r / (r + np.exp(z))
    assert abs(loss + nbinom.logpmf(y, r, p).mean()) < 1e-12
    wanted = numeric_gradient(
        lambda z: sheet.solve_negative_binomial_nll(z, y, r)[0], z
    )
    np.testing.assert_allclose(gradient, wanted, atol=1e-8)


def test_moments_are_those_of_samples():
    (shares, mean, scale), _ = sheet.draw_mixtures()
    rng = numpy_generator(0)
    part = rng.choice(4, 200_000, p=shares[0])
    sample = mean[0][part] + scale[0][part][:, None] * rng.normal(size=(200_000, 2))
    centre, variance = sheet.solve_mixture_moments(shares, mean, scale)
    np.testing.assert_allclose(centre[0], sample.mean(axis=0), atol=0.02)
    np.testing.assert_allclose(variance[0], sample.var(axis=0), rtol=0.02)
