"""JAX's side, compiled."""

import jax
import jax.numpy as jnp

from benchmarks import peer_jax
from benchmarks.optimization import inputs


def adam(parameters=1_000_000):
    params, grads = inputs.adam(parameters)
    lr, (one, two), eps = inputs.ADAM.values()

    def change(p, g, s, r, t):
        s, r = one * s + (1 - one) * g, two * r + (1 - two) * g * g
        root = jnp.sqrt(r / (1 - two**t))
        return p - lr * s / (1 - one**t) / (root + eps), s, r

    def stepped(params, s, r, t):
        changed = [change(*each, t) for each in zip(params, grads, s, r)]  # noqa: B905
        return *map(list, zip(*changed)), t + 1  # noqa: B905

    zeros = [jnp.zeros_like(p) for p in params]
    state = [params, zeros, [jnp.zeros_like(p) for p in params], jnp.float32(1)]
    compiled = jax.jit(stepped, donate_argnums=(0, 1, 2))

    def step():
        state[:] = jax.block_until_ready(compiled(*state))
        return state[0]

    return step


def normalized(x, weight, bias):
    gap = x - x.mean((0, 2, 3), keepdims=True)
    var = (gap**2).mean((0, 2, 3), keepdims=True)
    scale = weight[:, None, None] / jnp.sqrt(var + inputs.EPS)
    return gap * scale + bias[:, None, None]


def batch_norm(batch=64, channels=32):
    x, dy, weight, bias = inputs.batch_norm(batch, channels)
    return peer_jax.step(peer_jax.value_and_pull(normalized), dy, x, weight, bias)
