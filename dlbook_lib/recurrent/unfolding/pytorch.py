"""Sequences in PyTorch: windows of time, and a state."""

import torch
from torch.nn.functional import conv1d, linear

__all__ = [
    "add_binary",
    "as_values",
    "binary_adder",
    "channels_first",
    "check_cell",
    "gradient_by_lag",
    "rnn_cell",
    "state_slope",
    "time_delay",
    "unroll",
]


def channels_first(input, weight, dilation):
    """As in scratch: (T, N, in) to (N, in, T)."""
    return input.permute(1, 2, 0)


def time_delay(input, weight, bias=None, dilation=1):
    """As in scratch: (T, N, in) to (T - (k - 1) dilation, N, out)."""
    x = channels_first(input, weight, dilation)
    return conv1d(x, weight, bias, dilation=dilation).permute(2, 0, 1)


def as_values(x, name, ndim=None):
    """As in scratch, but it checks nothing: the tensor (...) as it is."""
    return x


def check_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None, gates=1):
    """As in scratch, but it checks nothing: torch's own errors say (N, D), (N, H)."""
    return [input, hx, w_ih, w_hh, b_ih, b_hh]


def rnn_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None, nonlinearity="tanh"):
    """As in scratch: (N, D) and (N, H) to (N, H)."""
    a = linear(input, w_ih, b_ih) + linear(hx, w_hh, b_hh)
    return getattr(torch, nonlinearity)(a)


def state_slope(h, nonlinearity="tanh"):
    """As in scratch: (...) to (...)."""
    return 1 - h * h if nonlinearity == "tanh" else (h > 0).to(h.dtype)


def unroll(cell, input, hx=None):
    """As in scratch: (T, N, D) to T tensors (N, H)."""
    states = []
    for x in input:
        hx = cell(x, hx)
        states.append(hx)
    return states


def binary_adder(dtype=float):
    """As in scratch: weights (3, 2), (3, 3), biases (3,), output (1, 3)."""
    rows = {
        "w_ih": [[1, 1]] * 3,
        "w_hh": [[0, 1, -1]] * 3,
        "b_ih": [0, -1, -2],
        "b_hh": [0, 0, 0],
        "weight": [[1, -2, 2]],
    }
    kind = torch.float64 if dtype is float else dtype
    return {name: torch.tensor(row, dtype=kind) for name, row in rows.items()}


def add_binary(a, b):
    """As in scratch: two ints to an int, with no arrays of shape (N,)."""
    net, h, total = binary_adder(), torch.zeros(3, dtype=torch.float64), 0
    weight = net.pop("weight")
    for t in range(max(a.bit_length(), b.bit_length()) + 1):
        bits = torch.tensor([a >> t & 1, b >> t & 1], dtype=torch.float64)
        h = rnn_cell(bits, h, **net, nonlinearity="relu")
        total += int(linear(h, weight)[0]) << t
    return total


def gradient_by_lag(states, w_ih, w_hh, nonlinearity="tanh"):
    """As in scratch: states (T, H) to norms (T,)."""
    norms, chain = [], torch.eye(states.shape[1]).to(states)
    for d in state_slope(states, nonlinearity).flip(0):
        chain = chain * d
        norms.append((chain @ w_ih).norm())
        chain = chain @ w_hh
    return torch.stack(norms)
