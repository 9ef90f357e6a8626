"""JAX's side: a function in NumPy's own words, compiled."""

from functools import partial

import jax.numpy as jnp

from benchmarks import peer_jax
from benchmarks.applications import inputs, plain


def attention(length=128, batch=16):
    *given, dy = inputs.attention(length, batch)
    pulled = peer_jax.value_and_pull(partial(plain.attention, jnp))
    return peer_jax.step(pulled, dy, *given)
