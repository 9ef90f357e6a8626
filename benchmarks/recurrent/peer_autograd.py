"""HIPS/autograd's side: layers in NumPy's own words."""

import autograd.numpy as np
from autograd import make_vjp

from benchmarks.recurrent import inputs, plain


def layer(kind, **size):
    x, dy, params = inputs.sequences(kind, **size)
    states = getattr(plain, kind)

    def step():
        pull, y = make_vjp(lambda given: np.stack(states(np, *given)))((x, *params))
        return [y, *pull(dy)]

    return step


def rnn(**size):
    return layer("rnn", **size)


def gru(**size):
    return layer("gru", **size)


def lstm(**size):
    return layer("lstm", **size)
