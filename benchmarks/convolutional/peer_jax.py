"""JAX's side, compiled."""

import jax
import jax.numpy as jnp
from jax import lax

from benchmarks import peer_jax
from benchmarks.convolutional import inputs


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
    right = jnp.take_along_axis(jax.nn.log_softmax(x), labels[:, None], 1)
    return -right.mean()


def lenet(batch=128):
    images, labels, params = inputs.lenet(batch)

    def trained(params):
        loss, grads = jax.value_and_grad(mean_loss)(params, images, labels)
        return loss, jax.tree.map(lambda p, g: p - inputs.LR * g, params, grads)

    state, compiled = [list(map(jnp.asarray, params))], jax.jit(trained)

    def step():
        loss, state[0] = jax.block_until_ready(compiled(state[0]))
        return loss, *state[0][1::2]

    return step
