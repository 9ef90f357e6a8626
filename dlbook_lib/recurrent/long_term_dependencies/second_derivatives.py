"""Leaks and skips that can be differentiated twice, for Tensors.

Each name is that of a function in `scratch`, on Tensors (T, N, D) instead of arrays.
The pair there gives values and gradients; what stands here is the definition in
operations on Tensors, and serves where the gradient is differentiated again.
"""

from dlbook_lib.feedforward.autodiff import operations
from dlbook_lib.feedforward.autodiff.engine import raw, register
from dlbook_lib.feedforward.autodiff.operations import linear, stack
from dlbook_lib.recurrent.long_term_dependencies import scratch


def _bent(a, nonlinearity):
    return a if nonlinearity == "linear" else getattr(operations, nonlinearity)(a)


def leaky_step(input, states, w_ih, w_hh, *rest, nonlinearity="tanh"):
    """The next states of a layer, as `RNNBase` asks: a tuple of one Tensor (N, H).

    >>> import numpy as np
    >>> x, h, w = np.ones((1, 1)), np.full((1, 1), 3.0), np.eye(1)
    >>> leaky_step(x, (h,), w, 0 * w, np.array([0.5]), nonlinearity="linear")
    (array([[2.]]),)
    """
    (hx,), (*biases, alpha) = states, rest
    b_ih, b_hh = biases or (None, None)
    v = _bent(linear(input, w_ih, b_ih) + linear(hx, w_hh, b_hh), nonlinearity)
    return (alpha * hx + (1 - alpha) * v,)


def _leaky_rnn(input, hx, w_ih, w_hh, alpha, b_ih=None, b_hh=None, nonlinearity="tanh"):
    biases, outputs = () if b_ih is None else (b_ih, b_hh), []
    for t, x in enumerate(input):
        weights = w_ih, w_hh, *biases, alpha if raw(alpha).ndim == 1 else alpha[t]
        (hx,) = leaky_step(x, (hx,), *weights, nonlinearity=nonlinearity)
        outputs.append(hx)
    return stack(outputs)


def _skip_rnn(input, hx, w_ih, w_hh, w_skip, b_ih=None, b_hh=None, nonlinearity="tanh"):
    states = list(hx)
    for x in input:
        a = linear(x, w_ih, b_ih) + linear(states[-len(hx)], w_skip, b_hh)
        a = a if w_hh is None else a + linear(states[-1], w_hh)
        states.append(_bent(a, nonlinearity))
    return stack(states[len(hx) :])


leaky_rnn = register(scratch.leaky_rnn, scratch.leaky_rnn_backward, _leaky_rnn)
skip_rnn = register(scratch.skip_rnn, scratch.skip_rnn_backward, _skip_rnn)
