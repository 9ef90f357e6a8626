"""The library's side: from scratch, in NumPy."""

import numpy as np

from benchmarks.convolutional import inputs


def max_pool(batch=64):
    from dlbook_lib.convolutional.convolution.scratch import batch_last
    from dlbook_lib.convolutional.pooling import scratch

    x, dy = inputs.max_pool(batch)
    x, dy = (np.moveaxis(batch_last(each), -1, 0) for each in (x, dy))

    def step():
        y = scratch.max_pool2d_by_halves(x)
        return y, scratch.max_pool2d_by_halves_backward(dy, x)

    return step


def max_pool_readable(batch=64):
    from dlbook_lib.convolutional.pooling.scratch import (
        max_pool2d,
        max_pool2d_backward,
    )

    x, dy = inputs.max_pool(batch)
    return lambda: (max_pool2d(x, 2), max_pool2d_backward(dy, x, 2))
