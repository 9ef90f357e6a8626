"""HIPS/autograd's side: layers in NumPy's own words."""

import autograd.numpy as np

from benchmarks import peer_autograd
from benchmarks.recurrent import inputs, plain


def layer(kind, **size):
    x, dy, params = inputs.sequences(kind, **size)
    states = getattr(plain, kind)

    def stacked(given):
        return np.stack(states(np, *given))

    return peer_autograd.step(stacked, (x, *params), dy)


def rnn(**size):
    return layer("rnn", **size)


def gru(**size):
    return layer("gru", **size)


def lstm(**size):
    return layer("lstm", **size)
