"""Windows of time and steps of a state that can be differentiated twice, for Tensors.

Each name is that of a function in `scratch`, on Tensors (T, N, in) or (N, D) instead of
arrays. The pair there gives values and gradients; what stands here is the definition in
operations on Tensors, and serves where the gradient is differentiated again.
"""

from dlbook_lib.convolutional.strides_and_gradients.second_derivatives import (
    conv_of_tensors,
)
from dlbook_lib.feedforward.autodiff import operations
from dlbook_lib.feedforward.autodiff.engine import register
from dlbook_lib.recurrent.unfolding import scratch


def _time_delay(input, weight, bias=None, dilation=1):
    x = operations.permute(input, 1, 2, 0)
    score = conv_of_tensors(x, weight, bias, dilation=dilation)
    return operations.permute(score, 2, 0, 1)


def _rnn_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None, nonlinearity="tanh"):
    a = operations.linear(input, w_ih, b_ih) + operations.linear(hx, w_hh, b_hh)
    return getattr(operations, nonlinearity)(a)


time_delay = register(scratch.time_delay, scratch.time_delay_backward, _time_delay)
rnn_cell = register(scratch.rnn_cell, scratch.rnn_cell_backward, _rnn_cell)


def rnn_step(input, states, *weights, nonlinearity="tanh"):
    """The next states of recurrent layers: a tuple of one Tensor (N, H)."""
    (hx,), weights = states, (*weights, None, None)[:4]
    return (_rnn_cell(input, hx, *weights, nonlinearity),)
