"""mygrad's side: a function in NumPy's own words."""

import mygrad

from benchmarks.applications import inputs, plain


def attention(length=128, batch=16):
    *arrays, dy = inputs.attention(length, batch)

    def step():
        given = [mygrad.tensor(each) for each in arrays]
        y = plain.attention(mygrad, *given)
        y.backward(dy)
        return [y.data] + [each.grad for each in given]

    return step
