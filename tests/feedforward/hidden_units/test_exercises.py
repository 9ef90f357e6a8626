"""Wrong answers that each checker has to refuse; `tests/structure` tries them."""

import numpy as np

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.hidden_units import exercises
from dlbook_lib.feedforward.hidden_units.scratch import gelu, tanh
from dlbook_lib.feedforward.linear_models.scratch import numeric_gradient, sigmoid

HAT = exercises.solve_hat()


def maxout_of_blocks(weight, bias):
    zeros = np.zeros_like(weight)
    return np.concatenate([weight, zeros]), np.concatenate([bias, 0 * bias])


def leave_one_factor_unscaled(weight, rank):
    u, _, v = np.linalg.svd(weight, full_matrices=False)
    return u[:, :rank], v[:rank]


def smallest_first(weight, rank):
    u, s, v = np.linalg.svd(weight, full_matrices=False)
    return u[:, -rank:] * s[-rank:], v[-rank:]


def forget_the_shift(weights, biases):
    last = len(weights) - 1
    scaled = [
        w / (2 if i else 1) / (2 if i < last else 1) for i, w in enumerate(weights)
    ]
    return scaled, [b / (2 if i < last else 1) for i, b in enumerate(biases)]


def halve_the_last_layer_too(weights, biases):
    w, b = exercises.solve_with_tanh(weights, biases)
    return [*w[:-1], w[-1] / 2], [*b[:-1], b[-1] / 2]


def glu_without_the_product_rule(dy, input):
    a, b = np.split(input, 2, axis=-1)
    return np.concatenate([dy * sigmoid(b), 0 * dy * a], axis=-1)


def glu_halves_swapped(dy, input):
    return np.roll(exercises.solve_glu_backward(dy, input), dy.shape[-1], axis=-1)


WRONG = {
    "check_sleeping_rate": [
        lambda w: 1 / 5,
        lambda w: w / (w - 1),
        lambda w: (w - 1) / (5 * w),
    ],
    "check_relu6_backward": [
        lambda dy, input: dy * (input > 0),
        lambda dy, input: dy * ((input >= 0) & (input <= 6)),
        lambda dy, input: np.clip(input, 0, 6),
        lambda dy, input: 1.0 * ((input > 0) & (input < 6)),
    ],
    "check_softsign": [
        lambda z: (z / (1 + np.abs(z)), 1 / (1 + np.abs(z))),
        lambda z: (z / (1 + z**2), 1 / (1 + z**2)),
        lambda z: z / (1 + np.abs(z)),
    ],
    "check_hat": [
        lambda: HAT * [1, 1, -1],
        lambda: HAT[:2],
        lambda: [[1.0, 0.0, 1.0], [1.0, -1.0, -1.0], [1.0, -2.0, 0.0]],
    ],
    "check_as_maxout": [
        maxout_of_blocks,
        lambda weight, bias: (weight, bias),
        lambda weight, bias: (np.repeat(weight, 2, axis=0), np.repeat(bias, 2)),
    ],
    "check_gain": [
        lambda f: 2.0,
        lambda f: 1 / exercises.solve_gain(f),
        lambda f: exercises.solve_gain(f) ** 0.5,
        lambda f: 1 / np.mean(f(numpy_generator(0).normal(size=1000)) ** 2),
    ],
    "check_factors": [
        leave_one_factor_unscaled,
        smallest_first,
        lambda weight, rank: (weight[:, :rank], np.eye(rank, weight.shape[1])),
    ],
    "check_with_tanh": [
        lambda weights, biases: (weights, biases),
        forget_the_shift,
        halve_the_last_layer_too,
    ],
    "check_glu_backward": [
        glu_without_the_product_rule,
        glu_halves_swapped,
        lambda dy, input: np.concatenate([dy, dy], axis=-1),
    ],
}


def test_known_gains():
    assert abs(exercises.solve_gain(lambda z: np.maximum(z, 0)) - 2) < 1e-6
    assert abs(exercises.solve_gain(lambda z: z) - 1) < 1e-6
    assert 2.5 < exercises.solve_gain(tanh) < 2.6
    assert 2.3 < exercises.solve_gain(gelu) < 2.4


def test_glu_has_the_slope_of_a_finite_difference():
    rng = numpy_generator(5)
    dy, z = rng.normal(size=(3, 2)), rng.normal(size=(3, 4))

    def cost(z):
        return (dy * z[:, :2] * sigmoid(z[:, 2:])).sum()

    slope = exercises.solve_glu_backward(dy, z)
    np.testing.assert_allclose(slope, numeric_gradient(cost, z), atol=1e-7)
