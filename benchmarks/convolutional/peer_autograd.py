"""HIPS/autograd's side: SciPy's convolution, which it wraps, and NumPy's own words."""

from functools import partial

import autograd.numpy as np
from autograd.scipy.signal import convolve

from benchmarks import peer_autograd
from benchmarks.convolutional import inputs
from benchmarks.feedforward.peer_autograd import mean_cross_entropy


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
    return mean_cross_entropy(x, labels)


def lenet(batch=128):
    images, labels, params = inputs.lenet(batch)
    cost = partial(mean_loss, x=images, labels=labels)
    return peer_autograd.descent(cost, params, inputs.LR)
