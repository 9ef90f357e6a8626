"""Each checker passes its own solution and refuses wrong ones."""

import itertools

import numpy as np
import pytest

from dlbook_lib.common.exercises import ExerciseError
from dlbook_lib.feedforward.xor import exercises
from dlbook_lib.feedforward.xor.exercises import (
    solve_balance,
    solve_cross_entropy_step,
    solve_parity,
)
from dlbook_lib.feedforward.xor.scratch import two_layer, two_layer_backward

ONES = np.ones((2, 2))
HINGES = np.array([0.0, -1.0])


def balance_only_the_weight(weight1, bias1, weight2, bias2):
    scale = np.sqrt(np.linalg.norm(weight2, axis=0) / np.linalg.norm(weight1, axis=1))
    return weight1 * scale[:, None], bias1 * scale, weight2 / scale, bias2


def balance_but_not_the_bias(weight1, bias1, weight2, bias2):
    new = solve_balance(weight1, bias1, weight2, bias2)
    return new[0], bias1, new[2], new[3]


def parity_with_double_units(n):
    weight1, bias1, weight2, bias2 = solve_parity(n)
    double = [np.concatenate([a, a]) for a in (weight1, bias1)]
    return *double, np.concatenate([weight2, weight2], axis=1) / 2, bias2


def parity_of_two_for_all(n):
    weight2 = np.zeros((1, n))
    weight2[0, :2] = 1.0, -2.0
    return np.ones((n, n)), -np.arange(n, dtype=float), weight2, np.zeros(1)


def count_through_the_origin(n):
    return {1: 2, 2: 6, 3: 30}[n]


def squared_error_step(parameters, input, target, lr):
    dy = 2 * (two_layer(input, *parameters) - target) / len(input)
    _, *grads = two_layer_backward(dy, input, *parameters)
    return [p - lr * g for p, g in zip(parameters, grads, strict=True)]


def uphill(parameters, input, target, lr):
    return solve_cross_entropy_step(parameters, input, target, -lr)


def summed(parameters, input, target, lr):
    return solve_cross_entropy_step(parameters, input, target, lr * len(input))


def with_the_new_output_layer(parameters, input, target, lr):
    _, _, *late = solve_cross_entropy_step(parameters, input, target, lr)
    early = [*parameters[:2], *late]
    return [*solve_cross_entropy_step(early, input, target, lr)[:2], *late]


WRONG = {
    "check_nand": [
        lambda: ([1.0, 1.0], -1.5),
        lambda: ([-1.0, -1.0], 0.5),
        lambda: ([-1.0, -1.0], 2.0 + 1e-9),
        lambda: ([-1.0], 1.5),
    ],
    "check_leaky_relu_backward": [
        lambda dy, input, negative_slope=0.01: dy * (input > 0),
        lambda dy, input, negative_slope=0.01: dy * np.where(input > 0, 1, 0.01),
        lambda dy, input, negative_slope=0.01: (
            dy * np.where(input >= 0, 1, negative_slope)
        ),
        lambda dy, input, negative_slope=0.01: np.where(input > 0, dy, negative_slope),
    ],
    "check_xnor": [
        lambda: (ONES, HINGES, np.array([[1.0, -2.0]]), np.zeros(1)),
        lambda: (ONES, HINGES, np.array([[-1.0, 2.0]]), np.zeros(1)),
        lambda: (ONES, np.zeros(2), np.array([[-1.0, 2.0]]), np.ones(1)),
        lambda: (ONES, HINGES, np.array([-1.0, 2.0]), np.ones(1)),
    ],
    "check_count_separable": [
        lambda n: 2 ** (2**n),
        lambda n: 2 ** (2**n) - 2,
        lambda n: 14,
        count_through_the_origin,
    ],
    "check_cross_entropy_step": [
        squared_error_step,
        uphill,
        summed,
        with_the_new_output_layer,
    ],
    "check_loss_floor": [
        lambda hidden, target: np.mean(
            (hidden @ np.linalg.lstsq(hidden, target)[0] - target) ** 2
        ),
        lambda hidden, target: np.var(target),
        lambda hidden, target: exercises.solve_loss_floor(hidden, target) * len(hidden),
    ],
    "check_parity": [
        lambda n: solve_parity(2),
        parity_with_double_units,
        parity_of_two_for_all,
        lambda n: (*solve_parity(n)[:3], np.ones(1)),
    ],
    "check_born_dead": [
        lambda inputs: 0.5,
        lambda inputs: 2.0 ** -(inputs + 1),
        lambda inputs: 0.5 ** (2**inputs),
        lambda inputs: 2 * exercises.solve_born_dead(inputs),
    ],
    "check_balance": [
        lambda *net: net,
        balance_only_the_weight,
        balance_but_not_the_bias,
        lambda weight1, bias1, weight2, bias2: (
            weight1 / np.linalg.norm(weight1, axis=1, keepdims=True),
            bias1,
            weight2,
            bias2,
        ),
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


def test_born_dead_is_what_counting_finds():
    rng = np.random.default_rng(0)
    for inputs in (1, 2, 3):
        cube = np.array(list(itertools.product([0.0, 1.0], repeat=inputs)))
        weight = rng.uniform(-1, 1, (200_000, inputs))
        score = weight @ cube.T + rng.uniform(-1, 1, (200_000, 1))  # (units, corners)
        share = (score <= 0).all(axis=1).mean()
        assert abs(share - exercises.solve_born_dead(inputs)) < 0.005
