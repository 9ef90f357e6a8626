"""MyGrad's side: a function in NumPy's own words."""

from functools import partial

import mygrad

from benchmarks import peer_mygrad
from benchmarks.applications import inputs, plain


def attention(length=128, batch=16):
    *given, dy = inputs.attention(length, batch)
    return peer_mygrad.step(partial(plain.attention, mygrad), given, dy)
