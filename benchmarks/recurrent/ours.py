"""The library's side: from scratch, in NumPy."""

import numpy as np

from benchmarks.recurrent import inputs


def layer(module, kind, **size):
    """A step through the module, as torch's side has it."""
    from dlbook_lib.feedforward.autodiff.engine import Tensor, grad

    x, dy, params = inputs.sequences(kind, **size)
    width = x.shape[-1]
    net = module(width, width, rng=np.random.default_rng(0), dtype="float32")
    net.load_state_dict(dict(zip(net.state_dict(), params, strict=True)))
    x = Tensor(x, requires_grad=True)
    given = [x, *net.parameters()]

    def step():
        y, _ = net(x)
        return y.data, *(g.data for g in grad(y, given, dy))

    return step


def rnn(**size):
    from dlbook_lib.recurrent.backpropagation_through_time.layers import RNN

    return layer(RNN, "rnn", **size)


def gru(**size):
    from dlbook_lib.recurrent.gated_units.layers import GRU

    return layer(GRU, "gru", **size)


def lstm(**size):
    from dlbook_lib.recurrent.gated_units.layers import LSTM

    return layer(LSTM, "lstm", **size)


def rnn_readable(**size):
    from dlbook_lib.recurrent.backpropagation_through_time import scratch

    x, dy, params = inputs.sequences("rnn", **size)
    h = np.zeros_like(dy[0])

    def step():
        dx, _, *dparams = scratch.rnn_backward(dy, x, h, *params)
        return scratch.rnn(x, h, *params), dx, *dparams

    return step


def gru_readable(**size):
    from dlbook_lib.recurrent.gated_units import scratch

    x, dy, params = inputs.sequences("gru", **size)
    h = np.zeros_like(dy[0])

    def step():
        dx, _, *dparams = scratch.gru_backward(dy, x, h, *params)[:6]
        return scratch.gru(x, h, *params), dx, *dparams

    return step


def lstm_readable(**size):
    from dlbook_lib.recurrent.gated_units import scratch

    x, dy, params = inputs.sequences("lstm", **size)
    h = np.zeros((2, *dy[0].shape), x.dtype)
    both = np.stack([dy, np.zeros_like(dy)], axis=1)

    def step():
        dx, _, *dparams = scratch.lstm_backward(both, x, h, *params)[:6]
        return scratch.lstm(x, h, *params)[:, 0], dx, *dparams

    return step
