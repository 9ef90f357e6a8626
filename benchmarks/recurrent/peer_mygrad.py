"""mygrad's side: layers in NumPy's own words."""

import mygrad

from benchmarks.recurrent import inputs, plain


def layer(kind, **size):
    x, dy, params = inputs.sequences(kind, **size)
    states = getattr(plain, kind)

    def step():
        given = [mygrad.tensor(each) for each in (x, *params)]
        y = mygrad.stack(states(mygrad, *given))
        y.backward(dy)
        return [y.data] + [each.grad for each in given]

    return step


def rnn(**size):
    return layer("rnn", **size)


def gru(**size):
    return layer("gru", **size)


def lstm(**size):
    return layer("lstm", **size)
