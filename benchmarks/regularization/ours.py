"""The library's side: from scratch, in NumPy."""

import numpy as np

from benchmarks.regularization import inputs


def dropped(units, draw, bits):
    """A step with one of the two masks; they differ, so only sizes are compared."""
    from dlbook_lib.regularization.dropout import scratch

    x, dy = inputs.dropout(units)
    rng = np.random.Generator(bits(0))

    def step():
        mask = getattr(scratch, draw)(x.shape, inputs.P, rng=rng, dtype=x.dtype)
        y = scratch.masked(x, mask)
        return y.size, scratch.masked_backward(dy, x, mask).size

    return step


def dropout(units=1_000_000):
    return dropped(units, "dropout_mask_from_bytes", np.random.SFC64)


def dropout_readable(units=1_000_000):
    return dropped(units, "dropout_mask", np.random.PCG64)
