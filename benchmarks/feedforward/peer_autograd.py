"""HIPS/autograd's side: functions in NumPy's own words, differentiated to any order."""

import autograd.numpy as np
from autograd import grad, value_and_grad

from benchmarks import peer_autograd
from benchmarks.feedforward import inputs


def mean_cross_entropy(logits, labels):
    shifted = logits - np.max(logits, axis=1, keepdims=True)
    right = shifted[np.arange(len(labels)), labels]
    return np.mean(np.log(np.sum(np.exp(shifted), axis=1)) - right)


def forward(params, x, activation):
    """Output of an MLP; `params` holds weights and biases in turn."""
    for weight, bias in zip(params[:-2:2], params[1:-2:2]):  # noqa: B905
        x = activation(np.dot(x, weight.T) + bias)
    return np.dot(x, params[-2].T) + params[-1]


def mlp(batch=128):
    images, labels, params = inputs.mlp(batch)

    def cost(params):
        scores = forward(params, images, lambda s: np.maximum(s, 0))
        return mean_cross_entropy(scores, labels)

    return peer_autograd.descent(cost, params, inputs.LR)


def cross_entropy(batch=256, classes=10_000):
    logits, labels = inputs.cross_entropy(batch, classes)
    gradient = value_and_grad(lambda z: mean_cross_entropy(z, labels))
    return lambda: gradient(logits)


def chain(length):
    def end(numbers):
        x, factor, summand = numbers
        for _ in range(length // 2):
            x = x * factor + summand
        return np.sum(x)

    gradient, start = grad(end), inputs.chain()
    return lambda: gradient(start)


def hvp(batch=32):
    x, y, params, direction = inputs.hvp(batch)
    gradient = grad(lambda p: np.mean((forward(p, x, np.tanh) - y) ** 2))

    def slope(p):
        pairs = zip(gradient(p), direction)  # noqa: B905
        return sum(np.sum(g * v) for g, v in pairs)

    product = grad(slope)
    return lambda: product(params)
