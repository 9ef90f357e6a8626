"""Worked solutions of the page's exercises, and the checkers that compare with them."""

import itertools
import math

import numpy as np

from dlbook_lib.common.exercises import Checker
from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.linear_models.scratch import (
    binary_cross_entropy_with_logits_backward,
)
from dlbook_lib.feedforward.xor.scratch import (
    ThresholdUnit,
    TwoLayerNet,
    relu,
    two_layer,
    two_layer_backward,
)

CORNERS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])


def solve_nand():
    """Weight (2,) and bias of a threshold unit that answers NOT (a AND b)."""
    return np.array([-1.0, -1.0]), 1.5


def compare_nand(got, expected):
    """None if the unit has the truth table of NAND, else what it answers."""
    answers = ThresholdUnit(*got)(CORNERS)
    wanted = ThresholdUnit(*expected)(CORNERS)
    if not np.array_equal(answers, wanted):
        return f"on 00, 01, 10, 11 it answers {answers}, not {wanted}"


def solve_leaky_relu_backward(dy, input, negative_slope=0.01):
    """Gradient (...) with respect to the input of max(s, 0) + slope · min(s, 0)."""
    return dy * np.where(input > 0, 1.0, negative_slope)


def leaky_cases():
    """A kink, both signs, and another slope."""
    rng = numpy_generator(0)
    dy, s = rng.normal(size=(2, 3, 4))
    return [
        (np.array([2.0, 2.0, 2.0]), np.array([-1.0, 0.0, 1.0])),
        (dy, s),
        (dy, s, 0.2),
    ]


def solve_xnor():
    """Weights of a two-layer network that answers 1 where both bits agree, else 0."""
    weight1, bias1 = np.ones((2, 2)), np.array([0.0, -1.0])
    return weight1, bias1, np.array([[-1.0, 2.0]]), np.array([1.0])


def compare_xnor(got, expected):
    """None if the network has the truth table of XNOR, else its outputs."""
    outputs = two_layer(CORNERS, *got)
    wanted = two_layer(CORNERS, *expected)
    if outputs.shape != wanted.shape or not np.allclose(outputs, wanted, atol=1e-9):
        return f"on 00, 01, 10, 11 it gives {outputs.ravel()}, not {wanted.ravel()}"


def solve_count_separable(n):
    """How many of the truth tables of `n` bits one threshold unit can compute."""
    from scipy.optimize import linprog

    bits = np.array(list(itertools.product([0.0, 1.0], repeat=n)))
    columns = np.column_stack([bits, np.ones(len(bits))])
    count = 0
    for table in itertools.product([-1.0, 1.0], repeat=len(bits)):
        rows = -np.array(table)[:, None] * columns
        goal, margin = np.zeros(n + 1), -np.ones(len(bits))
        count += linprog(goal, rows, margin, bounds=(None, None)).status == 0
    return count


def solve_cross_entropy_step(parameters, input, target, lr):
    """The four arrays after one step down the mean cross-entropy of the logits."""
    logits = two_layer(input, *parameters)
    dy = binary_cross_entropy_with_logits_backward(1.0, logits, target)
    _, *grads = two_layer_backward(dy, input, *parameters)
    return [p - lr * g for p, g in zip(parameters, grads, strict=True)]


def cross_entropy_cases():
    """XOR and a larger batch, from two starts."""
    rng = numpy_generator(0)
    xor = np.array([[0.0], [1.0], [1.0], [0.0]])
    x, y = rng.normal(size=(7, 3)), rng.integers(2, size=(7, 1)).astype(float)
    small, large = TwoLayerNet(2, 3, rng=rng), TwoLayerNet(3, 5, rng=rng)
    return [(small.parameters(), CORNERS, xor, 0.5), (large.parameters(), x, y, 0.1)]


def solve_loss_floor(hidden, target):
    """Least mean squared error of any output layer on features (N, width)."""
    columns = np.column_stack([hidden, np.ones(len(hidden))])
    weights = np.linalg.lstsq(columns, target, rcond=None)[0]
    return np.mean((columns @ weights - target) ** 2)


def loss_floor_cases():
    """The four plateaus of XOR, then random features."""
    xor = np.array([[0.0], [1.0], [1.0], [0.0]])
    total = CORNERS.sum(axis=1, keepdims=True)
    corner = relu(CORNERS @ [[-1.0], [-1.0]] + 1)
    rng = numpy_generator(0)
    return [
        (np.hstack([total, relu(total - 1)]), xor),
        (np.zeros((4, 2)), xor),
        (corner, xor),
        (CORNERS, xor),
        (relu(rng.normal(size=(30, 4))), rng.normal(size=(30, 1))),
    ]


def solve_parity(n):
    """Weights of a network with `n` hidden units that gives the parity of `n` bits."""
    turns = np.where(np.arange(n) % 2 == 0, 2.0, -2.0)  # each unit turns the slope
    turns[0] = 1.0
    return np.ones((n, n)), -np.arange(n, dtype=float), turns[None, :], np.zeros(1)


def compare_parity(got, expected, n):
    """None if the network gives the parity of `n` bits with `n` units, else why not."""
    if np.shape(got[0]) != (n, n):
        return f"weight1 has shape {np.shape(got[0])}, not {(n, n)}"
    bits = np.array(list(itertools.product([0.0, 1.0], repeat=n)))
    wrong = np.abs(two_layer(bits, *got)[:, 0] - bits.sum(axis=1) % 2) > 1e-9
    if wrong.any():
        return f"{wrong.sum()} of {len(bits)} rows are wrong, first {bits[wrong][0]}"


def solve_born_dead(inputs):
    """Chance that a unit starts dead on all corners of the cube {0, 1}^`inputs`."""
    return sum(
        math.comb(inputs, k) / 2**inputs / math.factorial(k + 1) / 2
        for k in range(inputs + 1)
    )


def solve_balance(weight1, bias1, weight2, bias2):
    """The same function with each unit's incoming norm equal to its outgoing norm."""
    into = np.sqrt((weight1**2).sum(axis=1) + bias1**2)  # (width,)
    out = np.sqrt((weight2**2).sum(axis=0))  # (width,)
    scale = np.sqrt(out / into)
    return weight1 * scale[:, None], bias1 * scale, weight2 / scale, bias2


def balance_cases():
    """Networks of three widths, one with two outputs."""
    nets = [(2, 1, 1), (2, 4, 1), (3, 5, 2)]
    return [
        tuple(TwoLayerNet(*sizes, rng=numpy_generator(i)).parameters())
        for i, sizes in enumerate(nets)
    ]


check_nand = Checker(solve_nand, [()], compare=compare_nand)
check_leaky_relu_backward = Checker(solve_leaky_relu_backward, leaky_cases)
check_xnor = Checker(solve_xnor, [()], compare=compare_xnor)
check_count_separable = Checker(solve_count_separable, [(1,), (2,), (3,)])
check_cross_entropy_step = Checker(solve_cross_entropy_step, cross_entropy_cases)
check_loss_floor = Checker(solve_loss_floor, loss_floor_cases)
check_parity = Checker(solve_parity, [(2,), (3,), (6,)], compare=compare_parity)
check_born_dead = Checker(solve_born_dead, [(1,), (2,), (5,)])
check_balance = Checker(solve_balance, balance_cases)
