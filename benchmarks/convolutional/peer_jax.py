"""JAX's side, compiled."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from benchmarks import peer_jax
from benchmarks.convolutional import inputs
from benchmarks.feedforward.peer_jax import mean_cross_entropy


def correlated(x, weight, bias, padding=inputs.PADDING):
    y = lax.conv(x, weight, (1, 1), "VALID" if not padding else "SAME")
    return y + bias[:, None, None]


def conv(batch=64, channels=32, filters=64, side=28):
    *given, dy = inputs.conv(batch, channels, filters, side)
    return peer_jax.step(peer_jax.value_and_pull(correlated), dy, *given)


def conv_winograd(batch=8, channels=256, filters=256, side=28):
    return conv(batch, channels, filters, side)


def pooled(x):
    window = 1, 1, 2, 2
    return lax.reduce_window(x, -jnp.inf, lax.max, window, window, "VALID")


def max_pool(batch=64):
    x, dy = inputs.max_pool(batch)
    return peer_jax.step(peer_jax.value_and_pull(pooled), dy, x)


def mean_loss(params, x, labels):
    for i, padding in (0, 2), (2, 0):
        x = pooled(jax.nn.relu(correlated(x, params[i], params[i + 1], padding)))
    x = x.reshape(len(x), -1)
    for i in 4, 6, 8:
        x = x @ params[i].T + params[i + 1]
        x = jax.nn.relu(x) if i < 8 else x
    return mean_cross_entropy(x, labels)


def lenet(batch=128):
    images, labels, params = inputs.lenet(batch)
    cost = partial(mean_loss, x=images, labels=labels)
    return peer_jax.descent(cost, params, inputs.LR)
