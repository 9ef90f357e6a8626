"""Worked solutions of the page's exercises, and the checkers that compare with them."""

import numpy as np
from scipy.special import gammaln

from dlbook_lib.common.exercises import Checker
from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.linear_models.scratch import sigmoid
from dlbook_lib.feedforward.output_units.scratch import softmax


def solve_two_class_logit(logits):
    """One logit (N,) whose sigmoid is the probability of class 1 of logits (N, 2)."""
    return logits[:, 1] - logits[:, 0]


def solve_softmax_at(logits, temperature):
    """Softmax along the last axis of logits (..., C) at a temperature above 0."""
    return softmax(logits / temperature, dim=-1)


def solve_gate_gradient(dy, first, second, logit):
    """Gradient (...) by the logit of a gate that mixes two values."""
    share = sigmoid(logit)  # y = share · first + (1 − share) · second
    return dy * (first - second) * share * (1 - share)


def solve_smoothing_floor(classes, eps):
    """The least cross-entropy that labels smoothed by `eps` allow, in nats."""
    wrong = eps / classes
    right = 1 - eps + wrong
    return -right * np.log(right) - (classes - 1) * wrong * np.log(wrong)


def solve_double_softmax_floor(classes):
    """The least cross-entropy of a network that ends in a softmax already, in nats."""
    return np.log(np.e + classes - 1) - 1


def solve_constant_a(residuals):
    """The constant `a` whose softplus is the best precision for residuals (N,)."""
    return np.log(np.expm1(1 / np.mean(residuals**2)))


def solve_exponential_head(output, target):
    """Mean loss and gradient (N, D) of waiting times under the rate exp(output)."""
    rate = np.exp(output)
    return np.mean(rate * target - output), (rate * target - 1) / target.size


def solve_negative_binomial_nll(log_rate, target, size):
    """Mean loss and gradient (N,) of counts whose variance is λ + λ²/size."""
    rate = np.exp(log_rate)
    known = gammaln(target + size) - gammaln(size) - gammaln(target + 1)
    log_p = known + target * log_rate + size * np.log(size)
    log_p -= (target + size) * np.log(size + rate)
    return -log_p.mean(), size * (rate - target) / (size + rate) / target.size


def solve_mixture_moments(shares, mean, scale):
    """Mean (N, D) and variance (N, D) of mixtures (N, K), (N, K, D), (N, K)."""
    shares = shares[..., None]
    centre = (shares * mean).sum(axis=1)
    spread = (shares * (mean - centre[:, None]) ** 2).sum(axis=1)
    return centre, spread + (shares[..., 0] * scale**2).sum(axis=1, keepdims=True)


def draw_logits():
    """Three rows, and three far from zero."""
    z = numpy_generator(0).normal(size=(3, 2))
    return [(z,), (z + 1000.0,), (500 * z,)]


def draw_temperatures():
    """Warm, cold, and so cold that a naive exponential overflows."""
    z = numpy_generator(1).normal(size=(2, 4))
    return [(z, 1.0), (z, 5.0), (z, 0.001), (z[0], 0.5)]


def draw_gates():
    """A batch of gates, some shut."""
    dy, first, second, logit = numpy_generator(2).normal(size=(4, 3, 2))
    return [(dy, first, second, logit), (dy, first, second, 400 * logit)]


def draw_waits():
    """Outputs and waiting times, one column and two."""
    rng = numpy_generator(3)
    return [(rng.normal(size=shape), rng.exponential(size=shape)) for shape in SHAPES]


SHAPES = (5, 1), (4, 2)


def draw_counts():
    """Counts, a few of them zero, for two sizes."""
    rng = numpy_generator(4)
    z, y = rng.normal(size=6), rng.poisson(3.0, 6).astype(float)
    return [(z, y, 2.0), (z, y, 50.0), (z, 0 * y, 0.5)]


def draw_mixtures():
    """Shares, means and scales of three mixtures, and of one with a sure component."""
    rng = numpy_generator(5)
    pi, mean = softmax(rng.normal(size=(3, 4)), 1), rng.normal(size=(3, 4, 2))
    sure = np.array([[0.0, 1.0]])
    return [
        (pi, mean, rng.uniform(0.5, 2, (3, 4))),
        (sure, np.array([[[9.0], [1.0]]]), np.array([[1.0, 3.0]])),
    ]


check_two_class_logit = Checker(solve_two_class_logit, draw_logits)
check_softmax_at = Checker(solve_softmax_at, draw_temperatures)
check_gate_gradient = Checker(solve_gate_gradient, draw_gates)
check_smoothing_floor = Checker(solve_smoothing_floor, [(2, 0.1), (10, 0.1), (10, 0.9)])
check_double_softmax_floor = Checker(
    solve_double_softmax_floor, [(2,), (10,), (1000,)], rtol=1e-6
)
check_constant_a = Checker(
    solve_constant_a,
    [(np.array([1.0, -1.0]),), (np.array([3.0, 0.5, -2.0]),), (np.array([0.2, -0.1]),)],
    rtol=1e-6,
)
check_exponential_head = Checker(solve_exponential_head, draw_waits)
check_negative_binomial_nll = Checker(
    solve_negative_binomial_nll, draw_counts, rtol=1e-6
)
check_mixture_moments = Checker(solve_mixture_moments, draw_mixtures)
