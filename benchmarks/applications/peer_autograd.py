"""HIPS/autograd's side: a function in NumPy's own words."""

import autograd.numpy as np
from autograd import make_vjp

from benchmarks.applications import inputs, plain


def attention(length=128, batch=16):
    *given, dy = inputs.attention(length, batch)

    def step():
        pull, y = make_vjp(lambda each: plain.attention(np, *each))(tuple(given))
        return [y, *pull(dy)]

    return step
