"""Each checker passes its own solution and refuses wrong ones."""

import itertools

import numpy as np
import pytest

from dlbook_lib.common.exercises import ExerciseError
from dlbook_lib.feedforward.backpropagation import exercises
from dlbook_lib.feedforward.backpropagation.exercises import (
    solve_descend,
    solve_linear_backward,
    solve_train,
    solve_two_layers,
)


def two_layers_without_the_bend(input, target, weight1, bias1, weight2, bias2):
    loss, grads = solve_two_layers(input, target, weight1, bias1, weight2, bias2)
    hidden = np.maximum(input @ weight1.T + bias1, 0)
    logits = hidden @ weight2.T + bias2
    dlogits = exercises.cross_entropy_in_one_buffer(logits, target)[1]
    dscores = dlogits @ weight2
    return loss, [dscores.T @ input, dscores.sum(axis=0), *grads[2:]]


def two_layers_summed(input, target, *net):
    loss, grads = solve_two_layers(input, target, *net)
    return loss * len(input), [g * len(input) for g in grads]


def two_layers_in_reverse(input, target, *net):
    loss, grads = solve_two_layers(input, target, *net)
    return loss, grads[::-1]


def descend_in_place_first(two_layers, input, target, parameters, lr):
    _, new = solve_descend(two_layers, input, target, parameters, lr)
    return two_layers(input, target, *new)[0], new


def train_not_at_all(two_layers, input, target, width, rng):
    return [np.zeros((width, 64)), np.zeros(width), np.zeros((10, width)), np.zeros(10)]


def train_one_epoch(two_layers, input, target, width, rng):
    net = [rng.normal(size=(width, 64)) / 8, np.zeros(width)]
    net += [rng.normal(size=(10, width)) / 8, np.zeros(10)]
    return solve_descend(two_layers, input, target, net, 0.3)[1]


def train_narrow(two_layers, input, target, width, rng):
    return solve_train(two_layers, input, target, width // 2, rng)


WRONG = {
    "check_multiply_backward": [
        lambda dy, a, b: (dy * a, dy * b),
        lambda dy, a, b: (b, a),
        lambda dy, a, b: (dy, dy),
        lambda dy, a, b: dy * a * b,
    ],
    "check_add_backward": [
        lambda dy, input, bias: (dy, dy),
        lambda dy, input, bias: (dy, dy.sum(axis=1)),
        lambda dy, input, bias: (dy, dy.mean(axis=0)),
        lambda dy, input, bias: (dy * input, dy.sum(axis=0)),
    ],
    "check_chain": [
        lambda a, b, c: ((a * b - c) ** 2, 2 * b, 2 * a, -2),
        lambda a, b, c: ((a * b - c) ** 2, *(2 * (a * b - c) * np.array([a, b, -1]))),
        lambda a, b, c: ((a * b - c) ** 2, *(2 * (a * b - c) * np.array([b, a, 1]))),
        lambda a, b, c: ((a * b - c) ** 2, *((a * b - c) * np.array([b, a, -1]))),
    ],
    "check_bend_backward": [
        lambda dy, y, bend: dy * (y > 0),
        lambda dy, y, bend: dy * y * (1 - y),
        lambda dy, y, bend: (
            dy * (y >= 0)
            if bend == "relu"
            else exercises.solve_bend_backward(dy, y, "")
        ),
        lambda dy, y, bend: (
            dy * (y > 0)
            if bend == "relu"
            else dy / (1 + np.exp(-y)) * (1 - 1 / (1 + np.exp(-y)))
        ),
    ],
    "check_linear_backward": [
        lambda dy, x, w, b: (dy @ w, x.T @ dy, dy.sum(axis=0)),
        lambda dy, x, w, b: (dy @ w, dy.T @ x, dy.mean(axis=0)),
        lambda dy, x, w, b: (dy @ w, dy.T @ x / len(x), dy.sum(axis=0) / len(x)),
        lambda dy, x, w, b: solve_linear_backward(dy, x, w, b)[1:],
    ],
    "check_two_layers": [
        two_layers_without_the_bend,
        two_layers_summed,
        two_layers_in_reverse,
    ],
    "check_descend": [
        lambda f, x, y, net, lr: solve_descend(f, x, y, net, -lr),
        lambda f, x, y, net, lr: solve_descend(f, x, y, net, 0.1),
        descend_in_place_first,
        lambda f, x, y, net, lr: solve_descend(f, x, y, net, lr)[::-1],
    ],
    "check_train": [train_not_at_all, train_one_epoch, train_narrow],
    "check_count_paths": [
        lambda sizes: int(np.prod(sizes)),
        lambda sizes: sum(sizes[1:-1]),
        lambda sizes: 2 ** (len(sizes) - 2),
        lambda sizes: sum(a * b for a, b in itertools.pairwise(sizes)),
    ],
    "check_shared_backward": [
        lambda dy, x, w: dy * max(w * x, 0),
        lambda dy, x, w: dy * w * (w * x > 0) * x,
        lambda dy, x, w: dy * 2 * w * x,
        lambda dy, x, w: max(w * x, 0) + w * (w * x > 0) * x,
    ],
    "check_best_step": [
        lambda order, eps: eps ** (1 / order),
        lambda order, eps: eps**0.5,
        lambda order, eps: eps ** (1 / 3),
        lambda order, eps: (eps * order) ** (1 / (order + 1)),
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


def test_paths_are_those_that_a_walk_finds():
    sizes = [3, 4, 2, 5, 2]

    def walk(layer):
        return 1 if layer == len(sizes) - 2 else sizes[layer + 1] * walk(layer + 1)

    assert exercises.solve_count_paths(sizes) == walk(0)


@pytest.mark.parametrize("order", [1, 2])
def test_the_best_step_is_the_bottom_of_the_v(order):
    steps = np.geomspace(1e-12, 1, 2001)
    error = steps**order + 1e-10 / steps
    found = steps[np.argmin(error)]
    assert abs(found / exercises.solve_best_step(order, 1e-10) - 1) < 0.02


@pytest.mark.parametrize("seed", range(3))
def test_the_last_rung_does_not_hang_on_the_start(seed):
    ((two_layers, input, target, width, _),) = exercises.train_cases()
    rng = np.random.default_rng(seed)
    net = solve_train(two_layers, input, target, width, rng)
    assert two_layers(input, target, *net)[0] < 0.06
