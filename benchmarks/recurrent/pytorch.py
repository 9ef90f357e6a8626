"""PyTorch's side, eager, as its documentation would write it."""

import torch
from torch import nn

from benchmarks.recurrent import inputs


def layer(kind, **size):
    x, dy, params = inputs.sequences(kind, **size)
    x, dy = torch.tensor(x, requires_grad=True), torch.tensor(dy)
    net = getattr(nn, kind.upper())(x.shape[-1], x.shape[-1])
    with torch.no_grad():
        for parameter, array in zip(net.parameters(), params, strict=True):
            parameter.copy_(torch.tensor(array))
    given = [x, *net.parameters()]

    def step():
        y, _ = net(x)
        return y.detach(), *torch.autograd.grad(y, given, dy)

    return step


def rnn(**size):
    return layer("rnn", **size)


def gru(**size):
    return layer("gru", **size)


def lstm(**size):
    return layer("lstm", **size)


rnn_readable, gru_readable, lstm_readable = rnn, gru, lstm
