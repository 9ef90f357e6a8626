"""Worked solutions of the page's exercises, and the checkers that compare with them."""

import math

import numpy as np

from dlbook_lib.common.exercises import Checker
from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.cost_functions.scratch import pinball_loss

LATE = np.array([0.0, 1, 1, 2, 2, 3, 4, 6, 35])  # minutes, the opening's nine mornings


def solve_best_constant(y, quantile):
    """The smallest constant of least mean pinball loss for outcomes `y` (N,)."""
    costs = [pinball_loss(np.full_like(y, c), y, quantile) for c in np.sort(y)]
    near = np.isclose(costs, min(costs), rtol=1e-12, atol=1e-15)
    return np.sort(y)[np.argmax(near)]


def constant_cases():
    """The nine mornings, an even number of outcomes, and many."""
    rng = numpy_generator(0)
    return [
        (LATE, 0.5),
        (LATE, 0.9),
        (np.array([4.0, 1.0, 3.0, 2.0]), 0.5),
        (rng.exponential(size=101), 0.25),
    ]


check_best_constant = Checker(solve_best_constant, constant_cases)


def solve_coin_cost(heads, tails, p):
    """Mean negative log-likelihood, nats a toss, of a coin with probability `p`."""
    return -(heads * math.log(p) + tails * math.log(1 - p)) / (heads + tails)


check_coin_cost = Checker(
    solve_coin_cost, [(7, 3, 0.7), (7, 3, 0.5), (0, 4, 0.1), (5, 0, 0.99)]
)


def solve_order(demand, under, over):
    """The smallest past demand that would have cost least on average; `demand` (N,)."""
    return solve_best_constant(np.asarray(demand, dtype=float), under / (under + over))


check_order = Checker(
    solve_order,
    [
        (np.array([10.0, 20, 30, 40, 50]), 1.0, 1.0),
        (np.array([10.0, 20, 30, 40, 50]), 3.0, 1.0),
        (np.array([50.0, 10, 40, 20, 30]), 0.2, 0.8),
        (LATE, 9.0, 1.0),
    ],
)


def solve_log_variance_backward(gap, s):
    """Slope of the Gaussian cost in log-variances `s` (N,), for errors `gap` (N,)."""
    return (1 - gap**2 * np.exp(-s)) / 2


def log_variance_cases():
    """The place where it vanishes, then random ones."""
    rng = numpy_generator(1)
    return [
        (np.array([2.0]), np.array([math.log(4.0)])),
        (rng.normal(size=5), rng.normal(size=5)),
        (np.zeros(3), np.array([-5.0, 0.0, 5.0])),
    ]


check_log_variance_backward = Checker(solve_log_variance_backward, log_variance_cases)


def solve_log_cosh(input, target):
    """The loss log cosh of the errors (N,), and its gradient in `input` (N,)."""
    gap = input - target
    size = np.abs(gap)
    return size + np.log1p(np.exp(-2 * size)) - math.log(2), np.tanh(gap)


check_log_cosh = Checker(
    solve_log_cosh,
    [
        (np.array([0.0, 0.5, -2.0]), np.array([0.0, 1.0, 1.0])),
        (np.array([1e4, -1e4, 20.0]), np.zeros(3)),
    ],
)


def solve_plateau(start, end, lr):
    """The time from score `start` down to `end` under half the squared error."""

    def antiderivative(z):
        return 3 * z + math.exp(z) - 3 * math.exp(-z) - math.exp(-2 * z) / 2

    return (antiderivative(start) - antiderivative(end)) / (2 * lr)


check_plateau = Checker(
    solve_plateau, [(4.0, -math.log(9.0), 0.15), (6.0, 0.0, 0.15), (1.0, -1.0, 0.005)]
)


def solve_expectile(y, tau):
    """The constant of least squared error if errors above 0 weigh `tau`; `y` (N,)."""
    answer = y.mean()
    for _ in range(1000):
        weight = np.where(y > answer, tau, 1 - tau)
        answer = (weight * y).sum() / weight.sum()
    return answer


def expectile_cases():
    """The nine mornings, and a lopsided sample."""
    rng = numpy_generator(2)
    return [(LATE, 0.5), (LATE, 0.9), (rng.exponential(size=60), 0.2)]


check_expectile = Checker(solve_expectile, expectile_cases, rtol=1e-6)


def solve_geometric_median(points):
    """The place (d,) of least mean distance to the points (N, d)."""
    place = points.mean(axis=0)
    for _ in range(5000):
        weight = 1 / np.linalg.norm(points - place, axis=1)
        place = weight @ points / weight.sum()
    return place


def point_cases():
    """A right triangle, a lopsided cloud, and points in space."""
    rng = numpy_generator(3)
    return [
        (np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]),),
        (rng.exponential(size=(20, 2)),),
        (rng.normal(size=(15, 3)),),
    ]


check_geometric_median = Checker(
    solve_geometric_median, point_cases, rtol=1e-5, atol=1e-6
)
