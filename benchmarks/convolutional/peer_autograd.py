"""HIPS/autograd's side: SciPy's convolution, which it wraps, and NumPy's own words."""

import autograd.numpy as np
from autograd import value_and_grad
from autograd.scipy.signal import convolve

from benchmarks import peer_autograd
from benchmarks.convolutional import inputs


def correlated(arguments, padding=inputs.PADDING):
    x, weight, bias = arguments
    around = padding, padding
    x = np.pad(x, ((0, 0), (0, 0), around, around), "constant")
    flipped = weight[:, :, ::-1, ::-1]
    axes, dot_axes = ([2, 3], [2, 3]), ([1], [1])
    y = convolve(x, flipped, axes=axes, dot_axes=dot_axes, mode="valid")
    return y + np.reshape(bias, (1, -1, 1, 1))


def conv(batch=64, channels=32, filters=64, side=28):
    *given, dy = inputs.conv(batch, channels, filters, side)
    return peer_autograd.step(correlated, given, dy)


def pooled(arguments):
    (x,) = arguments
    n, c, h, w = x.shape
    return np.max(np.reshape(x, (n, c, h // 2, 2, w // 2, 2)), axis=(3, 5))


def max_pool(batch=64):
    x, dy = inputs.max_pool(batch)
    return peer_autograd.step(pooled, (x,), dy)


def mean_loss(params, x, labels):
    for i, padding in (0, 2), (2, 0):
        x = correlated((x, params[i], params[i + 1]), padding)
        x = pooled((np.maximum(x, 0),))
    x = np.reshape(x, (len(x), -1))
    for i in 4, 6, 8:
        x = np.dot(x, params[i].T) + params[i + 1]
        x = np.maximum(x, 0) if i < 8 else x
    x = x - np.max(x, axis=1, keepdims=True)
    right = x[np.arange(len(labels)), labels]
    return np.mean(np.log(np.sum(np.exp(x), axis=1)) - right)


def lenet(batch=128):
    images, labels, params = inputs.lenet(batch)
    gradient = value_and_grad(lambda p: mean_loss(p, images, labels))

    def step():
        loss, grads = gradient(params)
        for parameter, g in zip(params, grads):  # noqa: B905
            parameter -= inputs.LR * g
        return loss, *params[1::2]

    return step
