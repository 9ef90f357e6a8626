"""mygrad's side: its own layers."""

import mygrad
from mygrad.nnet.layers import batchnorm

from benchmarks.optimization import inputs


def batch_norm(batch=64, channels=32):
    x, dy, weight, bias = inputs.batch_norm(batch, channels)

    def step():
        given = [mygrad.tensor(each) for each in (x, weight, bias)]
        y = batchnorm(given[0], gamma=given[1], beta=given[2], eps=inputs.EPS)
        y.backward(dy)
        return [y.data] + [each.grad for each in given]

    return step
