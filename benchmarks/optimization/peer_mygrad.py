"""MyGrad's side: its own layers."""

from mygrad.nnet.layers import batchnorm

from benchmarks import peer_mygrad
from benchmarks.optimization import inputs


def batch_norm(batch=64, channels=32):
    x, dy, weight, bias = inputs.batch_norm(batch, channels)

    def normalized(x, weight, bias):
        return batchnorm(x, gamma=weight, beta=bias, eps=inputs.EPS)

    return peer_mygrad.step(normalized, (x, weight, bias), dy)
