"""Wrong answers that each checker has to refuse; `tests/structure` tries them."""

import numpy as np

from dlbook_lib.feedforward.depth_and_width.exercises import (
    solve_half_rise,
    solve_lunch,
    solve_shallow_teeth,
    solve_staircase,
    solve_tilt,
    solve_widest,
)
from dlbook_lib.feedforward.depth_and_width.scratch import bump_network, sawtooth


def not_through_the_point(angle, gain, point):
    return solve_tilt(angle, gain, point)[0], 0.0


def bias_with_the_wrong_sign(angle, gain, point):
    weight, bias = solve_tilt(angle, gain, point)
    return weight, -bias


def in_degrees(angle, gain, point):
    return solve_tilt(np.radians(angle), gain, point)


def two_units_an_edge(edges, heights):
    net = bump_network(edges, heights)
    return net.weights, net.biases


def without_the_last_step(edges, heights):
    weights, biases = solve_staircase(edges, heights)
    weights[1][0, -1] = 0
    return weights, biases


def heights_for_changes(edges, heights):
    weights, biases = solve_staircase(edges, heights)
    weights[1][0, :-1] = heights
    return weights, biases


def deep_teeth(depth):
    net = sawtooth(depth)
    return net.weights, net.biases


def teeth_that_all_turn_down(depth):
    weights, biases = solve_shallow_teeth(depth)
    weights[1] = -np.abs(weights[1])
    return weights, biases


def teeth_with_equal_turns(depth):
    weights, biases = solve_shallow_teeth(depth)
    weights[1][0, 0] *= 2
    return weights, biases


def product_of_all(net, x):
    weight, bias = net.weights[0], net.biases[0]
    for w, b in zip(net.weights[1:], net.biases[1:], strict=True):
        weight, bias = w @ weight, w @ bias + b
    return weight, bias


def value_and_no_slope(net, x):
    return np.zeros((len(net.biases[-1]), len(x))), net(x)


def bent_at_the_end_as_well(net, x):
    weight, bias = product_of_all(net, x)
    on = net(x) > 0
    return weight * on[:, None], bias * on


def over_all_points(learner, bits, known):
    return solve_lunch(learner, bits, [])


WRONG = {
    "check_tilt": [not_through_the_point, bias_with_the_wrong_sign, in_degrees],
    "check_strip": [
        lambda w, b1, b2: abs(b1 - b2),
        lambda w, b1, b2: (b1 - b2) / np.linalg.norm(w) ** 2,
        lambda w, b1, b2: abs(b1 + b2) / np.linalg.norm(w),
    ],
    "check_widest": [
        lambda inputs, outputs, depth, budget: budget // (inputs + outputs),
        lambda inputs, outputs, depth, budget: (
            solve_widest(inputs, outputs, depth, budget) + 1
        ),
        lambda inputs, outputs, depth, budget: (
            solve_widest(inputs, outputs, depth - 1, budget) if depth > 1 else 96
        ),
    ],
    "check_half_rise": [
        lambda strength, start, lr: solve_half_rise(strength, start, 1.0),
        lambda strength, start, lr: 2 * solve_half_rise(strength, start, lr),
        lambda strength, start, lr: np.log(2) / lr,
        lambda strength, start, lr: np.log(strength / start) / (2 * strength * lr),
    ],
    "check_staircase": [two_units_an_edge, without_the_last_step, heights_for_changes],
    "check_equal_area": [
        lambda sides: 1.0,
        lambda sides: np.pi / (sides * np.tan(np.pi / sides)),
        lambda sides: np.cos(np.pi / sides),
    ],
    "check_shallow_teeth": [
        deep_teeth,
        teeth_that_all_turn_down,
        teeth_with_equal_turns,
    ],
    "check_local_map": [product_of_all, value_and_no_slope, bent_at_the_end_as_well],
    "check_lunch": [
        lambda learner, bits, known: 0.5,
        over_all_points,
        lambda learner, bits, known: 1 - solve_lunch(learner, bits, known),
    ],
}
