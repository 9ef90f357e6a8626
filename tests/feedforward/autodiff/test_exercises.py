"""Each checker passes its own solution and refuses wrong ones."""

import numpy as np
import pytest

from dlbook_lib.common.exercises import ExerciseError
from dlbook_lib.feedforward.autodiff import exercises
from dlbook_lib.feedforward.autodiff.engine import grad, register
from dlbook_lib.feedforward.autodiff.exercises import (
    solve_checkpointed,
    solve_order,
    solve_train,
    train_cases,
)
from dlbook_lib.feedforward.autodiff.modules import SGD, Linear, Module
from dlbook_lib.feedforward.autodiff.operations import exp, mse_loss, relu, tanh
from dlbook_lib.feedforward.autodiff.scratch import Scalar


def recursive_order(parents):
    order = []

    def visit(name):
        for parent in parents[name]:
            visit(parent)
        if name not in order:
            order.append(name)

    for name in parents:
        visit(name)
    return order


def without_accumulation(order, edges):
    grads = dict.fromkeys(order, 0.0)
    grads[order[-1]] = 1.0
    for name in reversed(order):
        for parent, slope in edges.get(name, []):
            grads[parent] = grads[name] * slope
    return grads


def forwards(order, edges):
    grads = dict.fromkeys(order, 0.0)
    grads[order[-1]] = 1.0
    for name in order:
        for parent, slope in edges.get(name, []):
            grads[parent] += grads[name] * slope
    return grads


def only_what_is_reached(order, edges):
    grads = {order[-1]: 1.0}
    for name in reversed(order):
        for parent, slope in edges.get(name, []):
            grads[parent] = grads.get(parent, 0.0) + grads.get(name, 0.0) * slope
    return grads


def leading_axes_only(gradient, shape):
    return gradient.sum(axis=tuple(range(gradient.ndim - len(shape))))


def averaged(gradient, shape):
    summed = exercises.solve_sum_to(gradient, shape)
    return summed * summed.size / gradient.size


def squared_relu_with(backward, reference):
    def make():
        return register(lambda x: np.maximum(x, 0) ** 2, backward, reference)

    return make


def residual_with(forward, swapped=False, listed=False):
    def make(features, width, rng):
        class Residual(Module):
            def __init__(self):
                super().__init__()
                if listed:
                    self.layers = [
                        Linear(features, width, rng=rng),
                        Linear(width, features, rng=rng),
                    ]
                elif swapped:
                    self.outer = Linear(width, features, rng=rng)
                    self.inner = Linear(features, width, rng=rng)
                else:
                    self.inner = Linear(features, width, rng=rng)
                    self.outer = Linear(width, features, rng=rng)

        Residual.forward = forward
        return Residual()

    return make


def plain(self, input):
    return self.outer(tanh(self.inner(input)))


def skipped(self, input):
    return input + self.outer(tanh(self.inner(input)))


def bent_by_relu(self, input):
    return input + self.outer(relu(self.inner(input)))


def train_without_zero_grad(net, input, target, lr, steps):
    optimizer, losses = SGD(net.parameters(), lr=lr), []
    for _ in range(steps):
        loss = mse_loss(net(input), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def losses_after_the_step(net, input, target, lr, steps):
    losses = solve_train(net, input, target, lr, steps)
    return [*losses[1:], mse_loss(net(input), target).item()]


def summed_loss(net, input, target, lr, steps):
    return solve_train(net, input, target, lr * target.numel(), steps)


def gradient_only(f, parameters, vectors):
    return [g.numpy() for g in grad(f(*parameters), parameters)]


def blocks_only(f, parameters, vectors):
    slopes = grad(f(*parameters), parameters, create_graph=True)
    found = []
    for p, g, v in zip(parameters, slopes, vectors, strict=True):
        product = (
            grad(g, p, v, retain_graph=True, allow_unused=True)[0]
            if g.requires_grad
            else None
        )
        found.append(np.zeros(p.shape) if product is None else product.numpy())
    return found


def unused_is_an_error(f, parameters, vectors):
    slopes = grad(f(*parameters), parameters, create_graph=True)
    inner = sum((g * v).sum() for g, v in zip(slopes, vectors, strict=True))
    return [product.numpy() for product in grad(inner, parameters)]


def everything_kept(layers, input, dy, every):
    return solve_checkpointed(layers, input, dy, 1)[0], len(layers)


def nothing_recomputed(layers, input, dy, every):
    _, most = solve_checkpointed(layers, input, dy, every)
    for _, f_backward in reversed(layers):
        dy = f_backward(dy, input)
    return dy, most


def kept_too_long(layers, input, dy, every):
    segments = -(-len(layers) // every)
    return solve_checkpointed(layers, input, dy, every)[0], segments + every


WRONG = {
    "check_divide": [
        lambda a, b: a * b,
        lambda a, b: Scalar(a.value / b.value, "÷", (a, b), (1.0, 1.0)),
        lambda a, b: Scalar(
            a.value / b.value, "÷", (a, b), (1 / b.value, a.value / b.value**2)
        ),
        lambda a, b: a.value / b.value,
    ],
    "check_order": [
        lambda parents: sorted(parents),
        lambda parents: list(parents),
        lambda parents: solve_order(parents)[::-1],
        lambda parents: [n for n in solve_order(parents) if parents[n]],
        recursive_order,
    ],
    "check_backward": [without_accumulation, forwards, only_what_is_reached],
    "check_sum_to": [
        lambda gradient, shape: gradient.sum(axis=0),
        leading_axes_only,
        averaged,
        lambda gradient, shape: np.broadcast_to(gradient.sum(), shape),
    ],
    "check_logsumexp_rule": [
        lambda g, y, x: exp(x - y),
        lambda g, y, x: g * exp(x) / exp(x).sum(),
        lambda g, y, x: g * np.exp(x - y),
        lambda g, y, x: g * (x - y),
    ],
    "check_squared_relu": [
        squared_relu_with(lambda dy, x: 2 * np.maximum(x, 0), lambda x: relu(x) ** 2),
        squared_relu_with(lambda dy, x: dy * 2 * np.maximum(x, 0), None),
        squared_relu_with(lambda dy, x: dy * 2 * x, lambda x: relu(x) ** 2),
        squared_relu_with(lambda dy, x: dy * 2 * np.maximum(x, 0), relu),
    ],
    "check_residual": [
        residual_with(plain),
        residual_with(bent_by_relu),
        residual_with(skipped, swapped=True),
        residual_with(skipped, listed=True),
    ],
    "check_train": [train_without_zero_grad, losses_after_the_step, summed_loss],
    "check_hvp": [gradient_only, blocks_only, unused_is_an_error],
    "check_checkpointed": [everything_kept, nothing_recomputed, kept_too_long],
}


def test_every_checker_passes_its_solution_and_refuses_the_wrong_ones():
    checkers = {n: c for n, c in vars(exercises).items() if n.startswith("check_")}
    assert checkers.keys() == WRONG.keys()
    for name, checker in checkers.items():
        checker.verify(checker.reference)
        for candidate in WRONG[name]:
            with pytest.raises(ExerciseError):
                checker.verify(candidate)


def test_the_training_loop_reaches_the_loss_that_the_page_states():
    losses = solve_train(*train_cases()[0])
    assert losses[-1] < 0.001
