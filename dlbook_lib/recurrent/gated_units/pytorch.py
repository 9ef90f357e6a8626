"""Gated cells in PyTorch: torch's own where it has them, and the UGRNN, peepholes and
other placements, which it has not."""

import torch
from torch.nn.functional import linear

__all__ = [
    "direct_path",
    "gate",
    "gate_scores",
    "gru",
    "gru_cell",
    "gru_gates",
    "lstm",
    "lstm_cell",
    "lstm_gates",
    "over_time",
    "quote_tracker",
    "track_quotes",
    "ugrnn",
    "ugrnn_cell",
]


def gate_scores(input, hx, w_ih, w_hh, b_ih=None, b_hh=None, gates=1):
    """As in scratch: two lists of tensors (N, H)."""
    both = linear(input, w_ih, b_ih), linear(hx, w_hh, b_hh)
    return [list(scores.chunk(gates, dim=-1)) for scores in both]


def gate(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """As in scratch: (N, H)."""
    return torch.sigmoid(linear(input, w_ih, b_ih) + linear(hx, w_hh, b_hh))


def ugrnn_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """As in scratch: the next state (N, H)."""
    scores = linear(input, w_ih, b_ih) + linear(hx, w_hh, b_hh)
    u, s = scores.chunk(2, dim=-1)
    return torch.lerp(torch.tanh(s), hx, torch.sigmoid(u))


def gru_gates(input, hx, w_ih, w_hh, b_ih=None, b_hh=None, reset="after"):
    """As in scratch: r, u and n (N, H)."""
    args = input, hx, w_ih, w_hh, b_ih, b_hh
    (ri, ui, ni), (rh, uh, nh) = gate_scores(*args, gates=3)
    r, u = torch.sigmoid(ri + rh), torch.sigmoid(ui + uh)
    if reset == "before":
        b_last = None if b_hh is None else b_hh.chunk(3)[2]
        return r, u, torch.tanh(ni + linear(r * hx, w_hh.chunk(3)[2], b_last))
    return r, u, torch.tanh(ni + r * nh)


def gru_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None, reset="after"):
    """As in scratch: torch's own (N, H), or the paper's with ``reset="before"``."""
    if reset == "after" and input.ndim == 2:
        return torch.gru_cell(input, hx, w_ih, w_hh, b_ih, b_hh)
    _, u, n = gru_gates(input, hx, w_ih, w_hh, b_ih, b_hh, reset)
    return u * hx + (1 - u) * n


def lstm_gates(input, hx, w_ih, w_hh, b_ih=None, b_hh=None, peephole=None, forget=True):
    """As in scratch: i, f, g, o and the next c (N, H)."""
    (h, c), gates = hx, 4 if forget else 3
    look_i, *look_f, look_o = (0.0,) * (gates - 1) if peephole is None else peephole
    scores = linear(input, w_ih, b_ih) + linear(h, w_hh, b_hh)
    i, *f, g, o = scores.chunk(gates, dim=-1)
    i, g = torch.sigmoid(i + look_i * c), torch.tanh(g)
    f = torch.sigmoid(f[0] + look_f[0] * c) if forget else torch.ones_like(c)
    c = f * c + i * g
    return i, f, g, torch.sigmoid(o + look_o * c), c


def lstm_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None, peephole=None, forget=True):
    """As in scratch: h and c (2, N, H), torch's own where it has the cell."""
    if peephole is None and forget and input.ndim == 2:
        return torch.stack(torch.lstm_cell(input, tuple(hx), w_ih, w_hh, b_ih, b_hh))
    args = input, hx, w_ih, w_hh, b_ih, b_hh
    _, _, _, o, c = lstm_gates(*args, peephole, forget)
    return torch.stack([o * torch.tanh(c), c])


def over_time(cell, input, hx, *parameters):
    """As in scratch: (T, N, H), or (T, 2, N, H) for an LSTM."""
    states = []
    for x in input:
        hx = cell(x, hx, *parameters)
        states.append(hx)
    return torch.stack(states)


def ugrnn(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """As in scratch: (T, N, H)."""
    return over_time(ugrnn_cell, input, hx, w_ih, w_hh, b_ih, b_hh)


def gru(input, hx, w_ih, w_hh, b_ih=None, b_hh=None, reset="after"):
    """As in scratch: (T, N, H)."""
    return over_time(gru_cell, input, hx, w_ih, w_hh, b_ih, b_hh, reset)


def lstm(input, hx, w_ih, w_hh, b_ih=None, b_hh=None, peephole=None, forget=True):
    """As in scratch: (T, 2, N, H)."""
    args = w_ih, w_hh, b_ih, b_hh, peephole, forget
    return over_time(lstm_cell, input, hx, *args)


def direct_path(f):
    """As in scratch: (T, ...) to (T + 1, ...)."""
    ends = torch.cat([torch.ones_like(f[:1]), f.flip(0)])
    return ends.cumprod(dim=0).flip(0)


def quote_tracker(strength=20.0):
    """As in scratch: weights (2, 1) and biases (2,), in float64."""
    k = float(strength)
    found = {
        "w_ih": [[-2 * k], [0.0]],
        "w_hh": [[0.0], [-k]],
        "b_ih": [k, 0.0],
        "b_hh": [0.0, 0.0],
    }
    return {key: torch.tensor(w, dtype=torch.float64) for key, w in found.items()}


def track_quotes(text, strength=20.0):
    """As in scratch: a tensor of bool (T,)."""
    marks = [[float(letter == '"')] for letter in text]
    start = torch.tensor([-1.0], dtype=torch.float64)
    marks = torch.tensor(marks, dtype=torch.float64)
    return ugrnn(marks, start, **quote_tracker(strength))[:, 0] > 0
