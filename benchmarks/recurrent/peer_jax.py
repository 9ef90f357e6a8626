"""JAX's side: one step scanned over time, compiled."""

import jax
import jax.numpy as jnp

from benchmarks import peer_jax
from benchmarks.recurrent import inputs


def rnn_step(h, x, w_ih, w_hh, b_ih, b_hh):
    h = jnp.tanh(x @ w_ih.T + b_ih + h @ w_hh.T + b_hh)
    return h, h


def gru_step(h, x, w_ih, w_hh, b_ih, b_hh):
    a, b = (jnp.split(s, 3, 1) for s in (x @ w_ih.T + b_ih, h @ w_hh.T + b_hh))
    r, u = jax.nn.sigmoid(a[0] + b[0]), jax.nn.sigmoid(a[1] + b[1])
    n = jnp.tanh(a[2] + r * b[2])
    h = n + u * (h - n)
    return h, h


def lstm_step(state, x, w_ih, w_hh, b_ih, b_hh):
    h, c = state
    i, f, g, o = jnp.split(x @ w_ih.T + b_ih + h @ w_hh.T + b_hh, 4, 1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (h, c), h


def layer(kind, one_step, states, **size):
    x, dy, params = inputs.sequences(kind, **size)

    def run(x, *params):
        start = jnp.zeros(x.shape[1:], x.dtype)
        start = start if states == 1 else (start,) * states
        return jax.lax.scan(lambda h, x: one_step(h, x, *params), start, x)[1]

    return peer_jax.step(peer_jax.value_and_pull(run), dy, x, *params)


def rnn(**size):
    return layer("rnn", rnn_step, 1, **size)


def gru(**size):
    return layer("gru", gru_step, 1, **size)


def lstm(**size):
    return layer("lstm", lstm_step, 2, **size)
