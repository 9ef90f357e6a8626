"""Worked solutions of the page's exercises, and the checkers that compare with them."""

import itertools
import math

import numpy as np

from dlbook_lib.common.exercises import Checker, difference
from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.depth_and_width.scratch import (
    MLP,
    bump_network,
    sawtooth,
    step,
)


def solve_tilt(angle, gain, point):
    """Weight (2,) and bias of a unit of given direction and gain through `point`."""
    weight = gain * np.array([np.cos(angle), np.sin(angle)])
    return weight, -weight @ point


def tilt_cases():
    """Along an axis, at an angle, and pointing back."""
    return [
        (0.0, 1.0, np.array([2.0, 5.0])),
        (np.pi / 3, 4.0, np.array([-1.0, 0.5])),
        (4.0, 0.5, np.array([3.0, -2.0])),
    ]


def solve_strip(w, b1, b2):
    """Distance between the hyperplanes w·x + b1 = 0 and w·x + b2 = 0, for w (in,)."""
    return abs(b1 - b2) / np.linalg.norm(w)


def solve_widest(inputs, outputs, depth, budget):
    """Largest equal width of `depth` hidden layers within `budget` parameters."""
    width = 0
    while True:
        sizes = [inputs, *[width + 1] * depth, outputs]
        if sum((n + 1) * m for n, m in itertools.pairwise(sizes)) > budget:
            return width
        width += 1


def solve_half_rise(strength, start, lr):
    """Steps until a mode of a two-layer linear network is half learned."""
    return math.log(strength / start - 1) / (2 * strength) / lr


def solve_staircase(edges, heights):
    """Weights and biases of one threshold unit per edge (K + 1,) for K heights."""
    changes = np.diff(heights, prepend=0.0, append=0.0)  # (K + 1,)
    return [np.ones((len(edges), 1)), changes[None]], [-edges, np.zeros(1)]


def staircase_cases():
    """One bump, several, and edges at uneven distances."""
    rng = numpy_generator(0)
    return [
        (np.array([0.0, 1.0]), np.array([2.0])),
        (np.linspace(-1, 1, 6), rng.normal(size=5)),
        (np.cumsum(rng.uniform(0.1, 1, 9)), rng.normal(size=8)),
    ]


def compare_staircase(got, expected, edges, heights):
    """None if the network is the row of bumps with one unit per edge, else why not."""
    net = MLP.from_arrays(*got, step)
    if net.weights[0].shape != (len(edges), 1):
        return f"its first weight is {net.weights[0].shape}, not {(len(edges), 1)}"
    x = np.linspace(edges[0] - 1, edges[-1] + 1, 301)[:, None]
    return difference(net(x), bump_network(edges, heights)(x), atol=1e-9)


def solve_equal_area(sides):
    """Distance of the sides of a regular polygon of area π from its centre."""
    return math.sqrt(math.pi / (sides * math.tan(math.pi / sides)))


def solve_shallow_teeth(depth):
    """Weights and biases of one hidden layer that equals `sawtooth` on 0 to 1."""
    units = 2**depth
    turns = 2.0 * units * (-1.0) ** np.arange(units)  # changes of slope
    turns[0] = units
    bends = np.arange(units) / units
    return [np.ones((units, 1)), turns[None]], [-bends, np.zeros(1)]


def compare_shallow_teeth(got, expected, depth):
    """None if the network is the sawtooth with 2^depth hidden units, else why not."""
    net = MLP.from_arrays(*got)
    if len(net.weights) != 2 or len(net.biases[0]) != 2**depth:
        return f"it has weights of {[w.shape for w in net.weights]}"
    x = np.linspace(0, 1, 513)[:, None]
    return difference(net(x), sawtooth(depth)(x), atol=1e-9)


def solve_local_map(net, x):
    """Weight (out, in) and bias (out,) of a ReLU network around the point x (in,)."""
    weight, bias = np.eye(len(x)), np.zeros(len(x))
    last = len(net.weights) - 1
    for k, (w, b) in enumerate(zip(net.weights, net.biases, strict=True)):
        weight, bias = w @ weight, w @ bias + b
        if k < last:
            on = weight @ x + bias > 0
            weight, bias = weight * on[:, None], bias * on
    return weight, bias


def local_map_cases():
    """Networks of one to four layers, each at a point of its own."""
    rng = numpy_generator(0)
    shapes = [[2, 3], [2, 5, 1], [3, 6, 6, 2], [2, 8, 8, 8, 1]]
    return [(MLP(shape, rng=rng), rng.normal(size=shape[0])) for shape in shapes]


def solve_lunch(learner, bits, known):
    """Mean share of right answers off `known`, over all labellings of the points."""
    points = 2**bits
    unseen = [i for i in range(points) if i not in known]
    hits = count = 0
    for labels in itertools.product([0, 1], repeat=points):
        answers = learner([labels[i] for i in known])
        hits += sum(answers[i] == labels[i] for i in unseen)
        count += len(unseen)
    return hits / count


def all_zero(labels):
    """0 for each of 8 points."""
    return [0] * 8


def first_label(labels):
    """The first known label for each of 8 points."""
    return labels[:1] * 8


def not_sure(labels):
    """2, which is never right, for the last point, and 0 for the others."""
    return [0] * 7 + [2]


check_tilt = Checker(solve_tilt, tilt_cases)
check_strip = Checker(
    solve_strip,
    [(np.array([3.0, 4.0]), 1.0, -9.0), (np.array([0.1, 0.0, 0.2]), -2.0, 3.0)],
)
check_widest = Checker(
    solve_widest, [(196, 10, 1, 20_000), (196, 10, 8, 20_000), (2, 1, 3, 100)]
)
check_half_rise = Checker(
    solve_half_rise, [(4.0, 0.001, 0.001), (2.0, 0.01, 0.05), (1.0, 1e-6, 0.2)]
)
check_staircase = Checker(solve_staircase, staircase_cases, compare=compare_staircase)
check_equal_area = Checker(solve_equal_area, [(3,), (8,), (50,)])
check_shallow_teeth = Checker(
    solve_shallow_teeth, [(1,), (3,), (6,)], compare=compare_shallow_teeth
)
check_local_map = Checker(solve_local_map, local_map_cases)
check_lunch = Checker(
    solve_lunch,
    [(first_label, 3, [0, 1, 2, 4, 7]), (all_zero, 3, [1]), (not_sure, 3, [0, 3, 5])],
)
