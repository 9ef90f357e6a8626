"""Gated cells that can be differentiated twice, for Tensors.

Each name is that of a function in `scratch`, on Tensors (N, D) and (N, H) instead of
arrays. The pair there gives values and gradients; what stands here is the definition in
operations on Tensors, and serves where the gradient is differentiated again. The
layers unroll the same definitions, as functions of a tuple of states.
"""

from dlbook_lib.feedforward.autodiff.engine import register
from dlbook_lib.feedforward.autodiff.operations import linear, sigmoid, stack, tanh
from dlbook_lib.recurrent.gated_units import scratch


def _blocks(scores, count):
    """The scores (N, count · H) of each gate."""
    n = scores.shape[-1] // count
    return [scores[..., k * n : (k + 1) * n] for k in range(count)]


def _ugrnn_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    u, s = _blocks(linear(input, w_ih, b_ih) + linear(hx, w_hh, b_hh), 2)
    u = sigmoid(u)
    return u * hx + (1 - u) * tanh(s)


def _gru_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None, reset="after"):
    r, u, n = _blocks(linear(input, w_ih, b_ih), 3)
    rh, uh, nh = _blocks(linear(hx, w_hh, b_hh), 3)
    r, u = sigmoid(r + rh), sigmoid(u + uh)
    if reset == "before":
        k = 2 * hx.shape[-1]
        nh = linear(r * hx, w_hh[k:], None if b_hh is None else b_hh[k:])
    else:
        nh = r * nh
    return u * hx + (1 - u) * tanh(n + nh)


def _lstm_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None, peephole=None, forget=True):
    (h, c), count = hx, 4 if forget else 3
    scores = linear(input, w_ih, b_ih) + linear(h, w_hh, b_hh)
    i, *f, g, o = _blocks(scores, count)
    look = [0.0] * 3 if peephole is None else peephole
    kept = sigmoid(f[0] + look[1] * c) * c if forget else c
    c = kept + sigmoid(i + look[0] * c) * tanh(g)
    return stack([sigmoid(o + look[-1] * c) * tanh(c), c])


ugrnn_cell = register(scratch.ugrnn_cell, scratch.ugrnn_cell_backward, _ugrnn_cell)
gru_cell = register(scratch.gru_cell, scratch.gru_cell_backward, _gru_cell)
lstm_cell = register(scratch.lstm_cell, scratch.lstm_cell_backward, _lstm_cell)


def ugrnn_step(input, states, *weights):
    """The next states of a `UGRNN` layer, as `RNNBase` asks: a tuple of one (N, H)."""
    return (_ugrnn_cell(input, *states, *weights),)


def gru_step(input, states, *weights):
    """The next states of a `GRU` layer: a tuple of one Tensor (N, H)."""
    return (_gru_cell(input, *states, *weights),)


def lstm_step(input, states, *weights):
    """The next states of an `LSTM` layer: h and c, (N, H) both.

    A weight (P, H) after the others is what h goes through, and makes it (N, P).
    """
    *weights, w_hr = weights if len(weights) % 2 else (*weights, None)
    h, c = _lstm_cell(input, states, *weights)
    return (h if w_hr is None else linear(h, w_hr)), c
