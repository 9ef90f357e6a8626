"""Sequences in PyTorch: torch's packing, windows of time, and a state."""

import torch
from torch import nn
from torch.nn.functional import conv1d, linear
from torch.nn.utils.rnn import (
    PackedSequence,
    pack_padded_sequence,
    pack_sequence,
    pad_packed_sequence,
    pad_sequence,
)

__all__ = [
    "PATTERNS",
    "TDNN",
    "PackedSequence",
    "RNNCell",
    "RNNCellBase",
    "TimeDelay",
    "VanillaRNN",
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
    lengths = torch.tensor([len(x) for x in sequences])
    mask = torch.arange(lengths.max()) < lengths[:, None]  # (N, T)
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
    return torch.nonzero(torch.arange(sizes[0]) < sizes[:, None], as_tuple=True)


def time_delay(input, weight, bias=None, dilation=1):
    """As in scratch: (T, N, in) to (T - (k - 1) dilation, N, out)."""
    score = conv1d(input.permute(1, 2, 0), weight, bias, dilation=dilation)
    return score.permute(2, 0, 1)


class TimeDelay(nn.Module):
    """As in scratch: `weight` (out, in, k) and `bias` (out,)."""

    def __init__(
        self,
        in_features,
        out_features,
        kernel_size,
        dilation=1,
        *,
        rng,
        dtype="float64",
    ):
        super().__init__()
        self.kernel_size, self.dilation = kernel_size, dilation
        options = {"generator": rng, "dtype": getattr(torch, dtype)}
        bound = (in_features * kernel_size) ** -0.5
        for name, shape in {
            "weight": (out_features, in_features, kernel_size),
            "bias": (out_features,),
        }.items():
            start = (2 * torch.rand(shape, **options) - 1) * bound
            setattr(self, name, nn.Parameter(start))

    def forward(self, input):
        """As in scratch: `input` (T, N, in)."""
        return time_delay(input, self.weight, self.bias, self.dilation)


class TDNN(nn.Module):
    """As in scratch: (T, N, in) to (T - receptive_field + 1, N, out)."""

    def __init__(self, sizes, kernel_sizes, dilations=None, *, rng, dtype="float64"):
        super().__init__()
        dilations = [1] * len(kernel_sizes) if dilations is None else dilations
        layers = zip(sizes[:-1], sizes[1:], kernel_sizes, dilations, strict=True)
        self.layers = nn.Sequential(
            *(TimeDelay(*layer, rng=rng, dtype=dtype) for layer in layers)
        )

    @property
    def receptive_field(self):
        """As in scratch."""
        return 1 + sum((m.kernel_size - 1) * m.dilation for m in self.layers)

    def forward(self, input):
        """As in scratch: `input` (T, N, in)."""
        first, *rest = self.layers
        score = first(input)
        for layer in rest:
            score = layer(score.tanh())
        return score


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


class RNNCellBase(nn.Module):
    """As in scratch: four parameters with `gates` blocks of H rows."""

    gates = 1

    def __init__(self, input_size, hidden_size, bias=True, *, rng, dtype="float64"):
        super().__init__()
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        rows, bound = self.gates * hidden_size, hidden_size**-0.5
        shapes = {"weight_ih": (rows, input_size), "weight_hh": (rows, hidden_size)}
        shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        options = {"generator": rng, "dtype": getattr(torch, dtype)}
        for name, shape in shapes.items():
            start = (2 * torch.rand(shape, **options) - 1) * bound
            kept = bias or name.startswith("weight")
            self.register_parameter(name, nn.Parameter(start) if kept else None)

    def start(self, input):
        """As in scratch: zeros (N, H) or (H,)."""
        return input.new_zeros(*input.shape[:-1], self.hidden_size)

    def weights(self):
        """As in scratch."""
        return self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh

    def extra_repr(self):
        """As in scratch."""
        bias = "" if self.bias else ", bias=False"
        return f"{self.input_size}, {self.hidden_size}{bias}"


class RNNCell(nn.RNNCell):
    """As in scratch; torch's own, started by a `torch.Generator`: (N, D) to (N, H)."""

    def __init__(
        self,
        input_size,
        hidden_size,
        bias=True,
        nonlinearity="tanh",
        *,
        rng,
        dtype="float64",
    ):
        kind = getattr(torch, dtype)
        super().__init__(input_size, hidden_size, bias, nonlinearity, dtype=kind)
        for parameter in self.parameters():
            nn.init.uniform_(
                parameter, -(hidden_size**-0.5), hidden_size**-0.5, generator=rng
            )


def unroll(cell, input, hx=None):
    """As in scratch: (T, N, D) to T tensors (N, H)."""
    states = []
    for x in input:
        hx = cell(x, hx)
        states.append(hx)
    return states


PATTERNS = "many to many", "many to one", "one to many", "encoder first"


class VanillaRNN(nn.Module):
    """As in scratch: (T, N, in) to (T, N, out), (N, out) or (steps, N, out)."""

    def __init__(
        self,
        input_size,
        hidden_size,
        output_size,
        pattern="many to many",
        *,
        rng,
        dtype="float64",
    ):
        super().__init__()
        self.pattern = pattern
        self.cell = RNNCell(input_size, hidden_size, rng=rng, dtype=dtype)
        self.output = nn.Linear(hidden_size, output_size, dtype=getattr(torch, dtype))
        for p in self.output.parameters():
            nn.init.uniform_(p, -(hidden_size**-0.5), hidden_size**-0.5, generator=rng)

    def forward(self, input, steps=1):
        """As in scratch: `input` (T, N, in), or (N, in) with "one to many"."""
        inputs = [input] if self.pattern == "one to many" else list(input)
        if self.pattern in ("one to many", "encoder first"):
            inputs += [torch.zeros_like(inputs[0])] * (steps - 1)
        states = unroll(self.cell, inputs)
        kept = {"many to one": 1, "encoder first": steps}.get(self.pattern, len(states))
        output = self.output(torch.stack(states[-kept:]))
        return output[0] if self.pattern == "many to one" else output


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
    norms, chain = [], torch.eye(states.shape[1], dtype=states.dtype)
    for d in state_slope(states, nonlinearity).flip(0):
        chain = chain * d
        norms.append((chain @ w_ih).norm())
        chain = chain @ w_hh
    return torch.stack(norms)
