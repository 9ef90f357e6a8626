"""LeNet-5's layers and loss, to be differentiated any number of times, for Tensors.

Each name is that of a function in `scratch`, on Tensors instead of arrays: the pair
there gives the gradient, the definition here the gradient's gradient.
"""

import numpy as np

from dlbook_lib.convolutional.lenet import scratch
from dlbook_lib.convolutional.lenet.arguments import connections
from dlbook_lib.convolutional.strides_and_gradients.second_derivatives import (
    conv_of_tensors,
)
from dlbook_lib.feedforward.autodiff import operations
from dlbook_lib.feedforward.autodiff.engine import register


def _scaled_tanh(input):
    """The definition of `scaled_tanh`, for (...)."""
    return operations.tanh(input * (2 / 3)) * 1.7159


def _subsample2d(input, weight, bias):
    """The definition of `subsample2d`, from (N, C, H, W) to (N, C, H / 2, W / 2)."""
    rows = input[:, :, ::2] + input[:, :, 1::2]
    sums = rows[..., ::2] + rows[..., 1::2]
    return weight[:, None, None] * sums + bias[:, None, None]


def _partial_conv2d(input, weight, bias, table):
    """The definition of `partial_conv2d`: kernels (connections, kH, kW) are put to
    their places among (F, C, kH, kW) by a matrix of zeros and ones."""
    outputs, inputs = connections(table)
    count, f, c = len(outputs), len(table), input.shape[1]
    places = np.zeros((f, c, count), weight.dtype)
    places[outputs, inputs, range(count)] = 1
    dense = operations.matmul(places.reshape(-1, count), weight.reshape(count, -1))
    return conv_of_tensors(input, dense.reshape(f, c, *weight.shape[1:]), bias)


def _rbf(input, weight):
    """The definition of `rbf`, from (N, D) and (C, D) to (N, C)."""
    apart = input[:, None] - weight
    return operations.sum(apart * apart, 2)


def _rbf_loss(input, target, j=0.1):
    """The definition of `rbf_loss`, from distances (N, C)."""
    far = np.full((len(input), 1), j, input.dtype)
    near = operations.logsumexp(-operations.cat([input, far], 1), 1)
    right = operations.gather(input, 1, np.asarray(target)[:, None])
    return operations.mean(right[:, 0] + near)


scaled_tanh = register(scratch.scaled_tanh, scratch.scaled_tanh_backward, _scaled_tanh)
subsample2d = register(scratch.subsample2d, scratch.subsample2d_backward, _subsample2d)
partial_conv2d = register(
    scratch.partial_conv2d, scratch.partial_conv2d_backward, _partial_conv2d
)
rbf = register(scratch.rbf, scratch.rbf_backward, _rbf)
rbf_loss = register(scratch.rbf_loss, scratch.rbf_loss_backward, _rbf_loss)
