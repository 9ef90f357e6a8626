"""Each checker passes its own solution and refuses wrong ones."""

import math

import numpy as np
import pytest

from dlbook_lib.common.exercises import ExerciseError
from dlbook_lib.feedforward.cost_functions import exercises
from dlbook_lib.feedforward.cost_functions.exercises import (
    solve_best_constant,
    solve_coin_cost,
    solve_expectile,
    solve_log_cosh,
    solve_log_variance_backward,
    solve_order,
    solve_plateau,
)

WRONG = {
    "check_best_constant": [
        lambda y, quantile: np.quantile(y, quantile),
        lambda y, quantile: np.median(y),
        lambda y, quantile: y.mean(),
        lambda y, quantile: solve_best_constant(y, 1 - quantile),
    ],
    "check_coin_cost": [
        lambda heads, tails, p: solve_coin_cost(heads, tails, p) * (heads + tails),
        lambda heads, tails, p: -solve_coin_cost(heads, tails, p),
        lambda heads, tails, p: solve_coin_cost(tails, heads, p),
        lambda heads, tails, p: -(p**heads) * (1 - p) ** tails,
    ],
    "check_order": [
        lambda demand, under, over: demand.mean(),
        lambda demand, under, over: solve_order(demand, over, under),
        lambda demand, under, over: np.median(demand),
        lambda demand, under, over: demand.max(),
    ],
    "check_log_variance_backward": [
        lambda gap, s: 1 - gap**2 * np.exp(-s),
        lambda gap, s: (1 - gap**2 * np.exp(s)) / 2,
        lambda gap, s: -solve_log_variance_backward(gap, s),
        lambda gap, s: (1 - abs(gap) * np.exp(-s)) / 2,
    ],
    "check_log_cosh": [
        lambda input, target: (
            np.log(np.cosh(np.clip(input - target, -700, 700))),
            np.tanh(input - target),
        ),
        lambda input, target: (solve_log_cosh(input, target)[0], np.sign(input)),
        lambda input, target: (
            abs(input - target) - math.log(2),
            np.tanh(input - target),
        ),
        lambda input, target: solve_log_cosh(target, input),
    ],
    "check_plateau": [
        lambda start, end, lr: 2 * solve_plateau(start, end, lr),
        lambda start, end, lr: (start - end) / (2 * lr),
        lambda start, end, lr: (
            (start - end + math.exp(-end) - math.exp(-start)) / (2 * lr)
        ),
        lambda start, end, lr: solve_plateau(end, start, lr),
    ],
    "check_expectile": [
        lambda y, tau: y.mean(),
        lambda y, tau: np.quantile(y, tau),
        lambda y, tau: solve_expectile(y, 1 - tau),
        lambda y, tau: np.average(y, weights=np.where(y > y.mean(), tau, 1 - tau)),
    ],
    "check_geometric_median": [
        lambda points: points.mean(axis=0),
        lambda points: np.median(points, axis=0),
        lambda points: points[0] + 1e-9,
    ],
}


def test_every_checker_passes_its_solution_and_refuses_the_wrong_ones():
    checkers = {n: c for n, c in vars(exercises).items() if n.startswith("check_")}
    assert checkers.keys() == WRONG.keys()
    for name, checker in checkers.items():
        checker.verify(checker.reference)
        for candidate in WRONG[name]:
            with pytest.raises(ExerciseError):
                checker.verify(candidate)


def test_the_plateau_is_about_as_long_as_was_counted():
    assert abs(solve_plateau(4.0, -math.log(9.0), 0.15) - 469) < 1.5


def test_the_order_costs_least():
    demand = np.array([50.0, 10, 40, 20, 30])

    def cost(n):
        short, spare = np.maximum(demand - n, 0), np.maximum(n - demand, 0)
        return (0.2 * short + 0.8 * spare).sum()

    best = solve_order(demand, 0.2, 0.8)
    assert cost(best) == pytest.approx(min(cost(n) for n in demand))
