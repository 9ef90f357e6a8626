"""Worked solutions of the page's exercises, and the checkers that compare with them."""

import numpy as np

from dlbook_lib.common.exercises import Checker, difference
from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.hidden_units.scratch import (
    gelu,
    hardtanh_backward,
    maxout,
    tanh,
)
from dlbook_lib.feedforward.linear_models.scratch import linear, sigmoid
from dlbook_lib.feedforward.xor.scratch import relu


def solve_sleeping_rate(w):
    """The learning rate above which the first step from `w` > 1 ends below 0."""
    return w / (5 * (w - 1))


check_sleeping_rate = Checker(solve_sleeping_rate, [(5.0,), (2.0,), (1.25,)])


def solve_relu6_backward(dy, input):
    """Gradient (...) with respect to the input of min(max(0, z), 6)."""
    return hardtanh_backward(dy, input, 0.0, 6.0)


check_relu6_backward = Checker(
    solve_relu6_backward,
    [
        (np.ones(3), np.array([-1.0, 3.0, 7.0])),
        (np.array([2.0, 3.0, 5.0, 7.0]), np.array([0.0, 6.0, 5.999, 1e-3])),
        (np.full((2, 2), -2.0), np.array([[-3.0, 0.5], [5.0, 60.0]])),
    ],
)


def solve_softsign(input):
    """Value and slope (...) of z / (1 + |z|)."""
    below = 1 + np.abs(input)
    return input / below, 1 / below**2


check_softsign = Checker(
    solve_softsign,
    [
        (np.array([0.0, 1.0, 3.0]),),
        (np.array([[-1.0, -9.0], [0.5, 1e4]]),),
    ],
)


def solve_hat():
    """Rows (w, b, v) of three ReLUs that add up to a hat on [0, 2]; (3, 3)."""
    return np.array([[1.0, 0.0, 1.0], [1.0, -1.0, -2.0], [1.0, -2.0, 1.0]])


def compare_hat(got, expected):
    """None if the three units draw the hat, else where they do not."""
    if np.shape(got) != (3, 3):
        return f"it has shape {np.shape(got)}, not (3, 3)"
    x = np.linspace(-2, 4, 61)
    (w, b, v), wanted = np.transpose(got), np.maximum(0, 1 - np.abs(x - 1))
    outputs = relu(x[:, None] * w + b) @ v
    for i in np.flatnonzero(np.abs(outputs - wanted) > 1e-9)[:1]:
        return f"at x = {x[i]:g} the sum is {outputs[i]:g}, not {wanted[i]:g}"


check_hat = Checker(solve_hat, [()], compare=compare_hat)


def solve_as_maxout(weight, bias):
    """Weight (2 · units, in) and bias (2 · units,) of a maxout layer that is a ReLU."""
    rows = np.stack([weight, np.zeros_like(weight)], axis=1)  # (units, 2, in)
    starts = np.stack([bias, np.zeros_like(bias)], axis=1)
    return rows.reshape(-1, weight.shape[1]), starts.ravel()


def compare_as_maxout(got, expected, weight, bias):
    """None if maxout on the new layer is a ReLU on the old one, else why not."""
    shape = (2 * len(weight), weight.shape[1])
    if np.shape(got[0]) != shape or np.shape(got[1]) != shape[:1]:
        return f"its shapes are {np.shape(got[0])}, {np.shape(got[1])}, not {shape}"
    x = numpy_generator(1).normal(size=(20, weight.shape[1]))
    wanted = relu(linear(x, weight, bias))
    found = maxout(linear(x, np.asarray(got[0]), np.asarray(got[1])), 2)
    return difference(found, wanted)


def as_maxout_cases():
    """Layers of two sizes."""
    rng = numpy_generator(0)
    return [(rng.normal(size=s), rng.normal(size=s[0])) for s in ((1, 2), (3, 4))]


check_as_maxout = Checker(solve_as_maxout, as_maxout_cases, compare=compare_as_maxout)


def solve_gain(f):
    """1 / E[f(z)²] for a standard normal z, by a sum over a fine grid."""
    z = np.linspace(-10, 10, 20_001)
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    return 1 / np.sum(f(z) ** 2 * density * (z[1] - z[0]))


check_gain = Checker(solve_gain, [(relu,), (tanh,), (gelu,), (np.cos,)], rtol=1e-4)


def solve_factors(weight, rank):
    """The factors (out, rank) and (rank, in) whose product is nearest to `weight`."""
    u, s, v = np.linalg.svd(weight, full_matrices=False)
    return u[:, :rank] * s[:rank], v[:rank]


def compare_factors(got, expected, weight, rank):
    """None if the factors have the right shapes and the least error, else why not."""
    left, right = np.asarray(got[0]), np.asarray(got[1])
    shapes = (len(weight), rank), (rank, weight.shape[1])
    if (left.shape, right.shape) != shapes:
        return f"the shapes are {left.shape}, {right.shape}, not {shapes}"
    error = np.sum((left @ right - weight) ** 2)
    least = np.sum((expected[0] @ expected[1] - weight) ** 2)
    if not error <= least * (1 + 1e-9) + 1e-18:
        return f"the squared error is {error:.6g}, but {least:.6g} is possible"


def factors_cases():
    """A wide, a tall and a square matrix."""
    rng = numpy_generator(0)
    return [(rng.normal(size=s), q) for s, q in (((3, 5), 1), ((6, 4), 2), ((4, 4), 3))]


check_factors = Checker(solve_factors, factors_cases, compare=compare_factors)


def solve_with_tanh(weights, biases):
    """Weights (out, in) and biases (out,) of the tanh network that a sigmoid one is."""
    new = [], []
    for layer, (w, b) in enumerate(zip(weights, biases, strict=True)):
        if layer:  # what comes from below was h = (1 + t) / 2 and is now t
            w, b = w / 2, b + w.sum(axis=1) / 2
        if layer < len(weights) - 1:  # tanh is to see half of the score
            w, b = w / 2, b / 2
        new[0].append(w)
        new[1].append(b)
    return new


def run_single(input, weights, biases, f):
    """Outputs (N, out) of one network with activation `f`."""
    for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        input = linear(f(input) if layer else input, np.asarray(weight), bias)
    return input


def compare_with_tanh(got, expected, weights, biases):
    """None if the tanh network computes what the sigmoid network does."""
    x = numpy_generator(1).normal(size=(20, weights[0].shape[1]))
    wanted = run_single(x, weights, biases, sigmoid)
    return difference(run_single(x, *got, tanh), wanted, atol=1e-9)


def with_tanh_cases():
    """Networks of one, two and four layers."""
    rng, cases = numpy_generator(0), []
    for sizes in ([2, 3], [2, 4, 1], [3, 5, 4, 5, 2]):
        shapes = list(zip(sizes[1:], sizes[:-1], strict=True))
        weights = [rng.normal(size=s) for s in shapes]
        cases.append((weights, [rng.normal(size=s[0]) for s in shapes]))
    return cases


check_with_tanh = Checker(solve_with_tanh, with_tanh_cases, compare=compare_with_tanh)


def solve_glu_backward(dy, input):
    """Gradient (..., 2m) of a · σ(b), a and b the halves of `input`."""
    a, b = np.split(input, 2, axis=-1)
    return np.concatenate([dy * sigmoid(b), dy * a * sigmoid(b) * sigmoid(-b)], axis=-1)


def glu_cases():
    """A vector, a batch and a batch of batches."""
    rng = numpy_generator(0)
    shapes = (1,), (3, 2), (2, 3, 4)
    return [(rng.normal(size=s), rng.normal(size=(*s[:-1], 2 * s[-1]))) for s in shapes]


check_glu_backward = Checker(solve_glu_backward, glu_cases)
