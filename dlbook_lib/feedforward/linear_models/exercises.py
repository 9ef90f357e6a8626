"""Reference solutions of the page's exercises, each with a checker of the reader's."""

import math

import numpy as np

from dlbook_lib.common.exercises import Checker, difference
from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.linear_models.scratch import (
    and_of_halfplanes,
    linear,
    normal_equations,
    sigmoid,
)


def solve_prediction_at_4(size):
    """The least-squares line's value at 4 mm, if the seventh tumour has `size` mm.

    The other six have 1 to 6 mm, and the largest three of them are malignant.
    """
    sizes = np.array([1, 2, 3, 4, 5, 6, size], dtype=float)
    columns = np.stack([sizes, np.ones(7)], axis=1)  # (7, 2)
    labels = np.array([[0], [0], [0], [1], [1], [1], [1]], dtype=float)
    slope, intercept = normal_equations(columns, labels).ravel()
    return 4 * slope + intercept


check_prediction_at_4 = Checker(
    solve_prediction_at_4, [(7.0,), (21.0,), (35 / 3,), (1000.0,)]
)


def solve_number_of_terms(features, degree):
    """How many monomials of `features` variables have degree 1 to `degree`."""
    return math.comb(features + degree, degree) - 1


check_number_of_terms = Checker(
    solve_number_of_terms, [(2, 2), (1, 5), (3, 3), (30, 2), (784, 3)]
)


def solve_log_sigmoid(z):
    """The logarithm of the sigmoid of `z` (...), finite for every finite z."""
    return np.minimum(z, 0) - np.log1p(np.exp(-np.abs(z)))


check_log_sigmoid = Checker(
    solve_log_sigmoid,
    [
        (np.array([-1.0, 0.0, 2.0]),),
        (np.array([-800.0, 800.0]),),
        (np.array([40.0]),),
        (np.array([-1e4, 1e4]),),
    ],
    atol=0,
)


def solve_largest_lr(input):
    """The learning rate at which descent of the mean squared error stops converging.

    `input` is (N, in); the model has a bias.
    """
    columns = np.concatenate([input, np.ones_like(input[:, :1])], axis=1)
    hessian = 2 / len(input) * columns.T @ columns  # (in + 1, in + 1)
    return 2 / np.linalg.eigvalsh(hessian)[-1]


def _inputs():
    rng = numpy_generator(1)
    sizes = np.array([[1.0], [2.0], [3.0], [4.0], [5.0], [6.0], [21.0]])
    return [(sizes,), (rng.normal(size=(40, 3)) * [1, 5, 0.2] + 2,)]


check_largest_lr = Checker(solve_largest_lr, _inputs)


def solve_complex_step_gradient(f, x):
    """The gradient of `f` at `x` (...), from one complex evaluation a number."""
    gradient = np.empty_like(x)
    for index in np.ndindex(x.shape):
        shifted = x.astype(complex)
        shifted[index] += 1e-30j
        gradient[index] = f(shifted).imag / 1e-30
    return gradient


def cubes(x):
    """The sum of the cubes of `x` (...)."""
    return (x**3).sum()


def softplus_of_products(x):
    """The sum of the softplus of the products of neighbours in `x` (n,)."""
    return np.log1p(np.exp(x[1:] * x[:-1])).sum()


check_complex_step_gradient = Checker(
    solve_complex_step_gradient,
    [
        (cubes, np.array([1.0, -2.0, 30.0])),
        (softplus_of_products, np.array([0.5, -1.5, 2.0, 1.0])),
        (cubes, np.array([[1.0, 2.0], [3.0, 4.0]])),
    ],
    rtol=1e-14,
)


def solve_weighted_gradient(logits, target, pos_weight):
    """Gradient of the mean cross-entropy where class 1 counts `pos_weight` times.

    `logits`, `target` and the answer are (N, 1).
    """
    p = sigmoid(logits)
    return ((1 - target) * p - pos_weight * target * (1 - p)) / len(logits)


def _logits():
    rng = numpy_generator(2)
    logits = rng.normal(size=(6, 1), scale=3)
    target = np.array([[1.0], [0.0], [0.0], [1.0], [1.0], [0.0]])
    return [(logits, target, 1.0), (logits, target, 5.0), (-logits, target, 0.25)]


check_weighted_gradient = Checker(solve_weighted_gradient, _logits)


def solve_ridge(columns, target, alpha):
    """The weights (D, out) of least mean squared error plus half `alpha` times norm².

    `columns` is (N, D) and `target` (N, out).
    """
    n, d = columns.shape
    left = 2 / n * columns.T @ columns + alpha * np.eye(d)
    return np.linalg.solve(left, 2 / n * columns.T @ target)


def _ridge_cases():
    rng = numpy_generator(3)
    x, y = rng.normal(size=(20, 3)), rng.normal(size=(20, 1))
    repeated = np.concatenate([x, x[:, :1]], axis=1)
    return [(x, y, 0.1), (repeated, y, 0.1), (x, y, 10.0)]


check_ridge = Checker(solve_ridge, _ridge_cases)


def solve_polygon(sides):
    """Half-planes (`sides`, 2) and biases (`sides`,) of a regular polygon round 0.

    Every side touches the circle of radius 1 from outside.
    """
    angle = 2 * np.pi * np.arange(sides) / sides
    weight = -np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return weight, np.ones(sides)


def _same_region(got, expected, sides):
    """None if the half-planes cut out a regular polygon with this inner circle."""
    weight, bias = (np.asarray(part, dtype=float) for part in got)
    if fault := difference((weight.shape, bias.shape), ((sides, 2), (sides,))):
        return f"the shapes of weight and bias are wrong: {fault}"
    distance = bias / np.linalg.norm(weight, axis=1)
    if not np.allclose(distance, 1):
        return (
            f"a side has distance {distance[np.argmax(abs(distance - 1))]:.3g} from 0"
        )
    if not and_of_halfplanes(np.zeros((1, 2)), weight, bias)[0]:
        return "the centre is outside"
    angle = np.sort(np.arctan2(weight[:, 1], weight[:, 0]))
    gaps = np.diff(angle, append=angle[0] + 2 * np.pi)
    return None if np.allclose(gaps, 2 * np.pi / sides) else "its corners differ"


check_polygon = Checker(solve_polygon, [(3,), (4,), (7,)], compare=_same_region)


def solve_newton_step(input, target, weight, bias):
    """Weight (1, in) and bias (1,) after one Newton step on the mean cross-entropy.

    `input` is (N, in) and `target` (N, 1).
    """
    columns = np.concatenate([input, np.ones_like(input[:, :1])], axis=1)
    p = sigmoid(linear(input, weight, bias))  # (N, 1)
    gradient = columns.T @ (p - target)  # (in + 1, 1)
    hessian = columns.T @ (columns * p * (1 - p))
    step = np.linalg.solve(hessian, gradient)[:, 0]
    return weight - step[:-1], bias - step[-1:]


def _newton_cases():
    rng = numpy_generator(4)
    x = rng.normal(size=(30, 2))
    y = (x.sum(axis=1, keepdims=True) + rng.normal(size=(30, 1)) > 0.5).astype(float)
    start = np.zeros((1, 2)), np.zeros(1)
    return [(x, y, *start), (x, y, np.array([[0.5, -0.2]]), np.array([0.3]))]


check_newton_step = Checker(solve_newton_step, _newton_cases)
