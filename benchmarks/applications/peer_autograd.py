"""HIPS/autograd's side: a function in NumPy's own words."""

import autograd.numpy as np

from benchmarks import peer_autograd
from benchmarks.applications import inputs, plain


def attention(length=128, batch=16):
    *given, dy = inputs.attention(length, batch)
    return peer_autograd.step(lambda each: plain.attention(np, *each), given, dy)
