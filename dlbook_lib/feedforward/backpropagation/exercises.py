"""The lower rungs of the ladder: from one product to a trained network."""

import numpy as np

from dlbook_lib.common.exercises import Checker
from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.output_units.scratch import cross_entropy_in_one_buffer


def solve_multiply_backward(dy, a, b):
    """Gradients (...) of a cost with respect to both factors of y = a b."""
    return dy * b, dy * a


def solve_add_backward(dy, input, bias):
    """Gradients (N, D) and (D,) with respect to the terms of y = input + bias."""
    return dy, dy.sum(axis=0)


def solve_chain(a, b, c):
    """The cost (ab − c)² and its derivatives with respect to a, b and c."""
    gap = a * b - c
    dgap = 2 * gap
    return gap**2, dgap * b, dgap * a, -dgap


def solve_bend_backward(dy, y, bend):
    """Gradient (...) of the input of relu or sigmoid, from the output y alone."""
    return dy * (y > 0) if bend == "relu" else dy * y * (1 - y)


def solve_linear_backward(dy, input, weight, bias):
    """Gradients (N, in), (out, in), (out,) for scores input @ weight.T + bias."""
    return dy @ weight, dy.T @ input, dy.sum(axis=0)


def solve_two_layers(input, target, weight1, bias1, weight2, bias2):
    """Mean cross-entropy of a ReLU network with two layers, and its four gradients."""
    hidden = np.maximum(input @ weight1.T + bias1, 0)  # (N, width)
    logits = hidden @ weight2.T + bias2  # (N, classes)
    loss, dlogits = cross_entropy_in_one_buffer(logits, target)
    dhidden, dweight2, dbias2 = solve_linear_backward(dlogits, hidden, weight2, bias2)
    dscores = solve_bend_backward(dhidden, hidden, "relu")
    _, dweight1, dbias1 = solve_linear_backward(dscores, input, weight1, bias1)
    return loss, [dweight1, dbias1, dweight2, dbias2]


def solve_descend(two_layers, input, target, parameters, lr):
    """The loss before one step of gradient descent, and the new parameters."""
    loss, gradients = two_layers(input, target, *parameters)
    pairs = zip(parameters, gradients, strict=True)
    return loss, [p - lr * g for p, g in pairs]


def solve_train(two_layers, input, target, width, rng):
    """Four trained arrays whose mean cross-entropy on the digits is below 0.1 nats."""
    classes = target.max() + 1
    near, far = input.shape[1] ** -0.5, width**-0.5
    parameters = [
        rng.uniform(-near, near, (width, input.shape[1])),
        np.zeros(width),
        rng.uniform(-far, far, (classes, width)),
        np.zeros(classes),
    ]
    for _ in range(15):
        order = rng.permutation(len(input))
        for batch in np.array_split(order, len(input) // 25):
            _, parameters = solve_descend(
                two_layers, input[batch], target[batch], parameters, lr=0.3
            )
    return parameters


def solve_count_paths(sizes):
    """How many paths lead from one input to one output of a network of these sizes."""
    paths = 1
    for width in sizes[1:-1]:
        paths *= width
    return paths


def solve_shared_backward(dy, x, w):
    """Gradient of a cost with respect to w, used in both layers of y = w relu(w x)."""
    hidden = np.maximum(w * x, 0)
    return dy * hidden + dy * w * (hidden > 0) * x


def solve_best_step(order, eps):
    """The step that minimises h**order + eps / h, in units of the argument."""
    return (eps / order) ** (1 / (order + 1))


def numbers(*shape, seed):
    """Normal numbers of a shape, the same each time."""
    return numpy_generator(seed).normal(size=shape)


def bend_cases():
    """Both bends; the kink of the ReLU is at an output of 0."""
    dy, s = numbers(2, 3, 4, seed=0)
    return [
        (np.array([2.0, 2.0, 2.0]), np.array([0.0, 0.5, 3.0]), "relu"),
        (np.array([2.0, 2.0, 2.0]), np.array([0.1, 0.5, 0.8]), "sigmoid"),
        (dy, np.maximum(s, 0), "relu"),
        (dy, 1 / (1 + np.exp(-s)), "sigmoid"),
    ]


def linear_cases():
    """One example, a batch, and one output."""
    return [
        tuple(numbers(*shape, seed=i) for i, shape in enumerate(shapes))
        for shapes in (
            ((1, 2), (1, 3), (2, 3), (2,)),
            ((5, 4), (5, 3), (4, 3), (4,)),
            ((6, 1), (6, 6), (1, 6), (1,)),
        )
    ]


def network(sizes, seed):
    """Four arrays of a network of two layers."""
    a, b, c = sizes
    shapes = ((b, a), (b,), (c, b), (c,))
    return [numbers(*shape, seed=seed + i) for i, shape in enumerate(shapes)]


def two_layers_cases():
    """Three small networks, one of them wide."""
    return [
        (numbers(n, sizes[0], seed=9), np.arange(n) % sizes[2], *network(sizes, seed=1))
        for n, sizes in ((1, (2, 2, 2)), (5, (3, 4, 3)), (8, (2, 20, 4)))
    ]


def descend_cases():
    """Two networks, two rates."""
    cases = []
    for lr, (input, target, *net) in zip((0.1, 1.0), two_layers_cases(), strict=False):
        cases.append((solve_two_layers, input, target, net, lr))
    return cases


def train_cases():
    """600 real digits of 8 by 8 pixels, and ten classes."""
    from dlbook_lib.common import data

    images, labels = data.digits()
    input = images[:600].reshape(600, 64) / 16
    return [(solve_two_layers, input, labels[:600], 32, numpy_generator(0))]


def compare_train(got, expected, two_layers, input, target, width, rng):
    """None if four arrays of the right shapes reach 0.1 nats on these digits."""
    wanted = [p.shape for p in expected]
    if [np.shape(p) for p in got] != wanted:
        return f"its shapes are {[np.shape(p) for p in got]}, not {wanted}"
    loss, _ = solve_two_layers(input, target, *got)
    if not loss < 0.1:
        return f"its cross-entropy is {loss:.3f} nats per example, not below 0.1"


check_multiply_backward = Checker(
    solve_multiply_backward,
    [(1.0, 3.0, 5.0), (-2.0, 3.0, -0.5), tuple(numbers(3, 2, 4, seed=0))],
)
check_add_backward = Checker(
    solve_add_backward,
    [
        (np.ones((3, 2)), np.zeros((3, 2)), np.zeros(2)),
        (numbers(5, 3, seed=0), numbers(5, 3, seed=1), numbers(3, seed=2)),
        (numbers(4, 4, seed=0), numbers(4, 4, seed=1), numbers(4, seed=2)),
    ],
)
check_chain = Checker(solve_chain, [(3.0, 2.0, 5.0), (1.0, -1.0, 2.0), (0.5, 4.0, 2.0)])
check_bend_backward = Checker(solve_bend_backward, bend_cases)
check_linear_backward = Checker(solve_linear_backward, linear_cases)
check_two_layers = Checker(solve_two_layers, two_layers_cases)
check_descend = Checker(solve_descend, descend_cases)
check_train = Checker(solve_train, train_cases, compare=compare_train)
check_count_paths = Checker(
    solve_count_paths,
    [([1, 2, 1],), ([5, 4],), ([3, 2, 2, 2, 7],), ([9, 256, 256, 10],)],
)
check_shared_backward = Checker(
    solve_shared_backward, [(1.0, 3.0, 2.0), (-2.0, 0.5, 0.25), (1.0, -1.0, 2.0)]
)
check_best_step = Checker(solve_best_step, [(1, 2.2e-16), (2, 2.2e-16), (2, 1.2e-7)])
