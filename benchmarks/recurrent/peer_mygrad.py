"""MyGrad's side: layers in NumPy's own words."""

import mygrad

from benchmarks import peer_mygrad
from benchmarks.recurrent import inputs, plain


def layer(kind, **size):
    x, dy, params = inputs.sequences(kind, **size)
    states = getattr(plain, kind)

    def stacked(*given):
        return mygrad.stack(states(mygrad, *given))

    return peer_mygrad.step(stacked, (x, *params), dy)


def rnn(**size):
    return layer("rnn", **size)


def gru(**size):
    return layer("gru", **size)


def lstm(**size):
    return layer("lstm", **size)
