"""The numbers that all sides start from: the same arrays in float32, by NumPy alone."""

from itertools import pairwise

import numpy as np

SIZES = 784, 256, 256, 10  # of the MLP
SMALL = 20, 64, 64, 1  # of the one whose Hessian is multiplied
LR = 1e-2


def layers(rng, sizes):
    """Weights (out, in) and biases (out,) of an MLP, one after the other.

    Biases start at 0: what they are after a step shows how the step changed them.
    """
    arrays = []
    for fan_in, fan_out in pairwise(sizes):
        bound = fan_in**-0.5
        arrays.append(rng.uniform(-bound, bound, (fan_out, fan_in)))
        arrays.append(np.zeros(fan_out))
    return [array.astype("f4") for array in arrays]


def mlp(batch=128):
    """Images (batch, 784), labels (batch,), and the parameters of the MLP."""
    rng = np.random.default_rng(0)
    images = rng.random((batch, SIZES[0]), dtype="f4")
    return images, rng.integers(SIZES[-1], size=batch), layers(rng, SIZES)


def cross_entropy(batch=256, classes=10_000):
    """Logits (batch, classes) and labels (batch,)."""
    rng = np.random.default_rng(1)
    logits = rng.standard_normal((batch, classes), dtype="f4")
    return logits, rng.integers(classes, size=batch)


def chain():
    """Where the chain starts, its factor and its summand; arrays of one number."""
    return [np.array([value], "f4") for value in (0.5, 0.99, 0.01)]


def hvp(batch=32):
    """Inputs, targets (batch, 1), parameters, and a direction to multiply with."""
    rng = np.random.default_rng(2)
    x = rng.standard_normal((batch, SMALL[0]), dtype="f4")
    y = rng.standard_normal((batch, SMALL[-1]), dtype="f4")
    params = layers(rng, SMALL)
    return x, y, params, [rng.standard_normal(p.shape, dtype="f4") for p in params]


def xor_step(stack, examples, inputs, width):
    """A batch, its targets, and the parameters of a stack of two-layer networks."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal((examples, inputs), dtype="f4")
    y = rng.standard_normal((examples, 1), dtype="f4")
    sizes = inputs, width, 1
    nets = zip(*(layers(rng, sizes) for _ in range(stack)), strict=True)
    return x, y, [np.stack(arrays) for arrays in nets]
