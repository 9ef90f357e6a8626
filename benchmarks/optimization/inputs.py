"""The numbers that all sides start from: the same arrays in float32, by NumPy alone."""

import numpy as np

ADAM = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8}
TENSORS = 16
EPS = 1e-5


def adam(parameters):
    """Parameters and their gradients, each a list of as many arrays.

    Parameters start at 0: what they are after a step is what the step has done.
    """
    shape = TENSORS, parameters // TENSORS
    grads = np.random.default_rng(0).standard_normal(shape, dtype="f4")
    return list(np.zeros(shape, "f4")), list(grads)


def batch_norm(batch, channels):
    """Images and a gradient of the same shape (N, C, 28, 28), weight and bias (C,)."""
    rng = np.random.default_rng(1)
    x, dy = rng.standard_normal((2, batch, channels, 28, 28), dtype="f4")
    weight, bias = rng.standard_normal((2, channels), dtype="f4")
    return x, dy, weight, bias
