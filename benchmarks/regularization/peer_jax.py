"""JAX's side, compiled."""

import jax
import jax.numpy as jnp

from benchmarks.peer_jax import value_and_pull
from benchmarks.regularization import inputs


def dropout(units=1_000_000):
    x, dy = inputs.dropout(units)

    def dropped(key, dy, x):
        kept = jax.random.bernoulli(key, 1 - inputs.P, x.shape)
        return value_and_pull(lambda x: jnp.where(kept, x / (1 - inputs.P), 0))(dy, x)

    def renewed(key, dy, x):
        key, used = jax.random.split(key)
        return key, *dropped(used, dy, x)

    state = [jax.random.key(0)]
    compiled = jax.jit(renewed)

    def once():
        state[0], y, dx = jax.block_until_ready(compiled(state[0], dy, x))
        return y.size, dx.size

    return once
