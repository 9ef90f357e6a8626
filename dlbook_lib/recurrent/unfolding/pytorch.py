"""Sequences in PyTorch: torch's packing, windows of time, and a state."""

import torch
from torch.nn.functional import conv1d, linear
from torch.nn.utils.rnn import (
    PackedSequence,
    pack_padded_sequence,
    pack_sequence,
    pad_packed_sequence,
    pad_sequence,
)

__all__ = [
    "PackedSequence",
    "add_binary",
    "as_lengths",
    "as_places",
    "binary_adder",
    "check_cell",
    "gradient_by_lag",
    "masked_loss",
    "pack_padded_sequence",
    "pack_sequence",
    "packed_places",
    "pad_packed_sequence",
    "put_steps",
    "ragged_batch",
    "rnn_cell",
    "state_slope",
    "take_steps",
    "time_delay",
    "unroll",
]


def as_lengths(lengths, steps, count=None):
    """As in scratch: a tensor (N,) of whole numbers from 1 to `steps`."""
    lengths = torch.as_tensor(lengths)
    if not ((lengths >= 1) & (lengths <= steps)).all():
        raise ValueError(f"as_lengths: lengths must lie between 1 and {steps}")
    return lengths


def as_places(first, second, shape):
    """As in scratch: two tensors (K,); torch itself refuses places that are not."""
    return torch.as_tensor(first), torch.as_tensor(second)


def take_steps(input, first, second):
    """As in scratch: (A, B, ...) to (K, ...)."""
    return input[as_places(first, second, input.shape)]


def put_steps(data, first, second, shape, value=0.0):
    """As in scratch: (K, ...) to (A, B, ...)."""
    output = data.new_full((*shape, *data.shape[1:]), value)
    return output.index_put(as_places(first, second, shape), data)


def ragged_batch(sequences, batch_first=False, padding_value=0.0):
    """As in scratch, by torch's `pad_sequence`: (T, N, ...) and a mask (T, N)."""
    lengths = torch.tensor([len(x) for x in sequences], device=sequences[0].device)
    times = torch.arange(int(lengths.max()), device=lengths.device)
    mask = times < lengths[:, None]  # (N, T)
    mask = mask if batch_first else mask.T
    return pad_sequence(sequences, batch_first, padding_value), mask


def masked_loss(input, mask, reduction="mean"):
    """As in scratch; `input` and `mask` (...)."""
    if reduction == "none":
        return torch.where(mask, input, torch.zeros_like(input))
    return (torch.mean if reduction == "mean" else torch.sum)(input[mask])


def packed_places(batch_sizes):
    """As in scratch: two tensors (K,)."""
    sizes = torch.as_tensor(batch_sizes)
    return torch.nonzero(
        torch.arange(sizes[0]).to(sizes) < sizes[:, None], as_tuple=True
    )


def time_delay(input, weight, bias=None, dilation=1):
    """As in scratch: (T, N, in) to (T - (k - 1) dilation, N, out)."""
    score = conv1d(input.permute(1, 2, 0), weight, bias, dilation=dilation)
    return score.permute(2, 0, 1)


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
