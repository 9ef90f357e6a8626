"""Reference solutions and checkers: the upper rungs, from one rule to a trained net."""

import numpy as np

from dlbook_lib.common.exercises import Checker, difference
from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.autodiff.engine import grad, register
from dlbook_lib.feedforward.autodiff.modules import (
    SGD,
    Linear,
    Module,
    Sequential,
    Tanh,
)
from dlbook_lib.feedforward.autodiff.operations import (
    Tensor,
    exp,
    mse_loss,
    relu,
    tanh,
)
from dlbook_lib.feedforward.autodiff.scratch import Scalar


def solve_divide(a, b):
    """The node a / b of a scalar graph, with its two local derivatives."""
    value = a.value / b.value
    return Scalar(value, "÷", (a, b), (1 / b.value, -value / b.value))


def compare_node(got, expected, a, b):
    """None if the node has the value and the parents' slopes, else what differs."""
    if not isinstance(got, Scalar):
        return f"it is {type(got).__name__}, not a Scalar"
    if fault := difference(got.value, expected.value):
        return f"its value: {fault}"
    if len(got.parents) != len(expected.parents):
        return f"it has {len(got.parents)} parents, not {len(expected.parents)}"
    return difference(got.local, expected.local)


check_divide = Checker(
    solve_divide,
    [(Scalar(3.0), Scalar(2.0)), (Scalar(-1.0), Scalar(4.0)), (Scalar(0), Scalar(-3))],
    compare=compare_node,
)


def solve_order(parents):
    """Names with parents before children; `parents` maps each name to its parents."""
    missing = {name: len(set(given)) for name, given in parents.items()}
    children = {name: [] for name in parents}
    for name, given in parents.items():
        for parent in set(given):
            children[parent].append(name)
    ready = [name for name, count in missing.items() if count == 0]
    order = []
    while ready:
        order.append(ready.pop())
        for child in children[order[-1]]:
            missing[child] -= 1
            if missing[child] == 0:
                ready.append(child)
    return order


def compare_order(got, expected, parents):
    """None if it is a topological order, else the first fault."""
    got = list(got)
    if sorted(got) != sorted(expected):
        return f"it has {len(got)} names, {len(set(got))} different, not {len(parents)}"
    place = {name: i for i, name in enumerate(got)}
    for name, given in parents.items():
        for parent in given:
            if place[parent] > place[name]:
                return f"{name} comes before its parent {parent}"


def order_cases():
    """A diamond, a square of one number, a late-listed parent, and a deep chain."""
    chain = {f"n{i}": [f"n{i - 1}"] if i else [] for i in range(3000)}
    return [
        ({"x": [], "a": ["x"], "b": ["x", "a"], "y": ["a", "b"]},),
        ({"y": ["s", "x"], "s": ["x", "x"], "x": []},),
        ({"y": ["u", "v"], "v": ["u"], "u": ["x"], "x": [], "z": []},),
        (dict(reversed(chain.items())),),
    ]


check_order = Checker(solve_order, order_cases, compare=compare_order)


def solve_backward(order, edges):
    """Derivative of the last name of `order` with respect to each name."""
    grads = dict.fromkeys(order, 0.0)
    grads[order[-1]] = 1.0
    for name in reversed(order):
        for parent, slope in edges.get(name, []):
            grads[parent] += grads[name] * slope
    return grads


def backward_cases():
    """A chain, a number used twice, a diamond with a tail, and a bystander."""
    return [
        (["x", "y"], {"y": [("x", 3.0)]}),
        (["x", "y"], {"y": [("x", 3.0), ("x", 3.0)]}),
        (
            ["x", "a", "b", "c", "y"],
            {
                "a": [("x", 2.0)],
                "b": [("x", -1.0), ("a", 5.0)],
                "c": [("a", 0.5), ("b", 3.0)],
                "y": [("c", 4.0), ("x", 1.0)],
            },
        ),
        (["x", "z", "y"], {"z": [("x", 2.0)], "y": [("x", 7.0)]}),
    ]


check_backward = Checker(solve_backward, backward_cases)


def solve_sum_to(gradient, shape):
    """The gradient (...) of a broadcast result, summed to the argument's `shape`."""
    lead = gradient.ndim - len(shape)
    stretched = [i + lead for i, n in enumerate(shape) if n == 1]
    axes = (*range(lead), *stretched)
    return gradient.sum(axis=axes, keepdims=True).reshape(shape)


def sum_to_cases():
    """A bias, a column, a number, nothing to do, an axis of 1 that stays, rank 3."""
    rng = numpy_generator(0)
    pairs = [
        ((4, 3), (3,)),
        ((4, 3), (4, 1)),
        ((4, 3), ()),
        ((4, 3), (4, 3)),
        ((4, 1), (1, 1)),
        ((2, 4, 3), (4, 1)),
        ((3, 3), (3,)),
    ]
    return [(rng.normal(size=large), small) for large, small in pairs]


check_sum_to = Checker(solve_sum_to, sum_to_cases)


def solve_logsumexp_rule(g, y, x):
    """Gradient (N, C) of log(sum(exp(x))) along the last axis; `g` and `y` (N, 1)."""
    return g * exp(x - y)


def logsumexp_cases():
    """Arrays, large scores, and Tensors, whose use has to be recorded."""
    rng = numpy_generator(0)
    x, g = rng.normal(size=(3, 4)), rng.normal(size=(3, 1))
    cases = []
    for scores in (x, x + 800):
        top = scores.max(axis=1, keepdims=True)
        y = top + np.log(np.exp(scores - top).sum(axis=1, keepdims=True))
        cases.append((g, y, scores))
    return [*cases, tuple(Tensor(a, requires_grad=True) for a in cases[0])]


def compare_logsumexp(got, expected, g, y, x):
    """None if the rule is right, on Tensors too, else what is wrong."""
    if isinstance(x, Tensor):
        if not (isinstance(got, Tensor) and got.requires_grad):
            return "on Tensors nothing was recorded; use the operations, not np"
        got, expected = got.data, expected.data
    return difference(got, expected)


check_logsumexp_rule = Checker(
    solve_logsumexp_rule, logsumexp_cases, compare=compare_logsumexp
)


def solve_squared_relu():
    """The square of the ReLU (...) as an operation with derivatives of any order."""

    def squared_relu(x):
        return np.maximum(x, 0) ** 2

    def squared_relu_backward(dy, x):
        return dy * 2 * np.maximum(x, 0)

    def reference(x):
        return relu(x) * relu(x)

    return register(squared_relu, squared_relu_backward, reference=reference)


def compare_operation(got, expected):
    """None if two operations agree in value, slope and second slope."""
    names = ("value", "gradient", "second derivative")
    rows = []
    for operation in (got, expected):
        x = Tensor([-2.0, -0.5, 0.5, 3.0], requires_grad=True)
        y = operation(x)
        (slope,) = grad(y, x, np.array([1.0, 2.0, 3.0, 4.0]), retain_graph=True)
        (again,) = grad(y, x, np.ones(4), create_graph=True)
        (second,) = grad((again * again).sum(), x)
        rows.append([y.data, slope.data, second.data])
    for name, a, b in zip(names, *rows, strict=True):
        if fault := difference(a, b):
            return f"its {name}: {fault}"


check_squared_relu = Checker(solve_squared_relu, [()], compare=compare_operation)


def solve_residual(features, width, rng):
    """A Module that adds a small network to its input, (N, features) both."""

    class Residual(Module):
        def __init__(self):
            super().__init__()
            self.inner = Linear(features, width, rng=rng)
            self.outer = Linear(width, features, rng=rng)

        def forward(self, input):
            return input + self.outer(tanh(self.inner(input)))

    return Residual()


def compare_residual(got, expected, features, width, rng):
    """None if names, weights and outputs agree, else what differs."""
    if not isinstance(got, Module):
        return f"it is {type(got).__name__}, not a Module"
    if fault := difference(got.state_dict(), expected.state_dict()):
        return f"state_dict: {fault}"
    x = numpy_generator(1).normal(size=(4, features))
    if fault := difference(got(Tensor(x)).data, expected(Tensor(x)).data):
        return f"its output: {fault}"
    if len(list(got.parameters())) != 4:
        return f"it has {len(list(got.parameters()))} parameters, not 4"


check_residual = Checker(
    solve_residual,
    lambda: [(3, 5, numpy_generator(0)), (1, 2, numpy_generator(1))],
    compare=compare_residual,
)


def solve_train(net, input, target, lr, steps):
    """The losses before each step of descent on the mean squared error."""
    optimizer = SGD(net.parameters(), lr=lr)
    losses = []
    for _ in range(steps):
        loss = mse_loss(net(input), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def train_cases():
    """XOR, far enough that the loss falls below 0.001; then two outputs."""
    bits = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    xor = np.array([[0.0], [1.0], [1.0], [0.0]])
    rng = numpy_generator(0)
    small = Sequential(Linear(2, 8, rng=rng), Tanh(), Linear(8, 1, rng=rng))
    other = Sequential(Linear(2, 3, rng=rng), Tanh(), Linear(3, 2, rng=rng))
    both = np.concatenate([xor, 1 - xor], axis=1)
    return [
        (small, Tensor(bits), Tensor(xor), 0.1, 400),
        (other, Tensor(bits), Tensor(both), 0.1, 5),
    ]


check_train = Checker(solve_train, train_cases, rtol=1e-6)


def solve_hvp(f, parameters, vectors):
    """Products of the Hessian of f(*parameters) with vectors, one for each (...)."""
    slopes = grad(f(*parameters), parameters, create_graph=True)
    inner = sum((g * v).sum() for g, v in zip(slopes, vectors, strict=True))
    products = grad(inner, parameters, allow_unused=True)
    return [
        np.zeros(p.shape) if product is None else product.numpy()
        for p, product in zip(parameters, products, strict=True)
    ]


def bent(weight, bias):
    """A function of two parameters that hang together."""
    return (tanh(weight @ weight + bias) * weight).sum()


def separate(weight, bias):
    """A function that is linear in the second parameter."""
    return (weight * weight * weight).sum() + bias.sum()


def hvp_cases():
    """Parameters that hang together, and one with no second derivative."""
    rng = numpy_generator(0)
    weight, bias, v, u = (rng.normal(size=s) for s in ((3, 3), (3,), (3, 3), (3,)))
    leaves = [Tensor(weight, requires_grad=True), Tensor(bias, requires_grad=True)]
    return [(bent, leaves, [v, u]), (separate, leaves, [v, u])]


check_hvp = Checker(solve_hvp, hvp_cases)


def solve_checkpointed(layers, input, dy, every):
    """Gradient (...) of the input, and the largest number of arrays held for it."""
    kept, x = {}, input
    for i, (f, _) in enumerate(layers):
        if i % every == 0:
            kept[i] = x
        x = f(x)
    most = 0
    for start in sorted(kept, reverse=True):
        part = layers[start : start + every]
        inputs = [kept[start]]
        for f, _ in part[:-1]:
            inputs.append(f(inputs[-1]))
        most = max(most, len(kept) - 1 + len(inputs))
        for (_, f_backward), x in zip(reversed(part), reversed(inputs), strict=True):
            dy = f_backward(dy, x)
        del kept[start]
    return dy, most


def checkpointed_cases():
    """Sixteen layers in fours, a tail that is shorter, and the two extremes."""
    bend = (np.tanh, lambda dy, x: dy / np.cosh(x) ** 2)
    wave = (np.sin, lambda dy, x: dy * np.cos(x))
    x, dy = numpy_generator(0).normal(size=(2, 3))
    return [
        ([bend, wave] * 8, x, dy, 4),
        ([wave, bend] * 5, x, dy, 4),
        ([bend, wave] * 3, x, dy, 1),
        ([bend, wave] * 3, x, dy, 6),
    ]


check_checkpointed = Checker(solve_checkpointed, checkpointed_cases)
