"""The numbers that all sides start from: the same arrays in float32, by NumPy alone."""

import numpy as np

PADDING = 1
LR = 1e-2


def conv(batch, channels, filters, side):
    """Images (N, C, H, H), kernels (F, C, 3, 3), biases, a gradient (N, F, H, H)."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, channels, side, side), dtype="f4")
    weight = rng.standard_normal((filters, channels, 3, 3), dtype="f4") / channels
    bias = rng.standard_normal(filters, dtype="f4")
    dy = rng.standard_normal((batch, filters, side, side), dtype="f4")
    return x, weight, bias, dy


def max_pool(batch, channels=32, side=28):
    """Images (N, C, H, H) and a gradient (N, C, H / 2, H / 2)."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((batch, channels, side, side), dtype="f4")
    return x, rng.standard_normal((batch, channels, side // 2, side // 2), dtype="f4")


def lenet(batch):
    """Images (N, 1, 28, 28), labels (N,), and weight and bias of each layer in turn.

    Biases start at 0: what they are after a step shows how the step changed them.
    """
    rng = np.random.default_rng(2)
    images = rng.random((batch, 1, 28, 28), dtype="f4")
    shapes = (6, 1, 5, 5), (16, 6, 5, 5), (120, 400), (84, 120), (10, 84)
    params = []
    for shape in shapes:
        bound = np.prod(shape[1:]) ** -0.5
        weight = rng.uniform(-bound, bound, shape).astype("f4")
        params += [weight, np.zeros(shape[0], "f4")]
    return images, rng.integers(10, size=batch), params
