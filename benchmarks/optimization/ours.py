"""The library's side: from scratch, in NumPy."""

import numpy as np

from benchmarks.optimization import inputs


def stepped(name, parameters):
    """A step of one of the two optimizers, on arrays whose gradients stay the same."""
    from dlbook_lib.feedforward.autodiff.modules import Parameter
    from dlbook_lib.optimization.adaptive_rates import scratch

    params, grads = inputs.adam(parameters)
    params = [Parameter(p) for p in params]
    for p, g in zip(params, grads, strict=True):
        p.grad = g
    optimizer = getattr(scratch, name)(params, **inputs.ADAM)

    def step():
        optimizer.step()
        return [p.data for p in params]

    return step


def adam(parameters=1_000_000):
    return stepped("AdamInPlace", parameters)


def adam_readable(parameters=1_000_000):
    return stepped("Adam", parameters)


def batch_norm(batch=64, channels=32):
    from dlbook_lib.convolutional.convolution.scratch import batch_last
    from dlbook_lib.optimization.batch_normalization.scratch import (
        batch_norm_by_channel,
    )

    x, dy, weight, bias = inputs.batch_norm(batch, channels)
    x, dy = (np.moveaxis(batch_last(a), -1, 0) for a in (x, dy))

    def step():
        y, pull = batch_norm_by_channel(x, weight, bias, inputs.EPS)
        return y, *pull(dy)

    return step


def batch_norm_readable(batch=64, channels=32):
    from dlbook_lib.optimization.batch_normalization import scratch

    x, dy, weight, bias = inputs.batch_norm(batch, channels)
    settings = None, None, weight, bias, True, 0.1, inputs.EPS

    def step():
        y = scratch.batch_norm(x, *settings)
        dx, _, _, dweight, dbias = scratch.batch_norm_backward(dy, x, *settings)
        return y, dx, dweight, dbias

    return step
