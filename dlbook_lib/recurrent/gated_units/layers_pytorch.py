"""Modules in PyTorch: torch's own gated units where it has them."""

import torch
from torch import nn
from torch.nn.utils.rnn import (
    PackedSequence,
    pack_padded_sequence,
    pad_packed_sequence,
)

from dlbook_lib.recurrent.gated_units.pytorch import gru_cell, lstm_cell, ugrnn_cell
from dlbook_lib.recurrent.unfolding.layers_pytorch import RNNCellBase, _drawn

__all__ = [
    "GRU",
    "LSTM",
    "UGRNN",
    "GRUCell",
    "LSTMCell",
    "UGRNNCell",
    "param_ratio",
    "set_forget_bias",
]


class UGRNNCell(RNNCellBase):
    """As in scratch: (N, D) to (N, H)."""

    gates = 2

    def forward(self, input, hx=None):
        """As in scratch: the next state (N, H)."""
        hx = self.start(input) if hx is None else hx
        return ugrnn_cell(input, hx, *self.weights())


class GRUCell(RNNCellBase):
    """As in scratch: (N, D) to (N, H); torch's own has no option `reset`."""

    gates = 3

    def __init__(
        self,
        input_size,
        hidden_size,
        bias=True,
        *,
        reset="after",
        rng,
        dtype=float,
    ):
        super().__init__(input_size, hidden_size, bias, rng=rng, dtype=dtype)
        self.reset = reset

    def forward(self, input, hx=None):
        """As in scratch: the next state (N, H)."""
        hx = self.start(input) if hx is None else hx
        return gru_cell(input, hx, *self.weights(), self.reset)


class LSTMCell(RNNCellBase):
    """As in scratch: (N, D) to (N, H) twice; torch has no peepholes."""

    def __init__(
        self,
        input_size,
        hidden_size,
        bias=True,
        *,
        peephole=False,
        forget=True,
        forget_bias=None,
        rng,
        dtype=float,
    ):
        self.gates, self.forget = 4 if forget else 3, forget
        super().__init__(input_size, hidden_size, bias, rng=rng, dtype=dtype)
        self.register_parameter("peephole", None)
        if peephole:
            start = self.weight_hh.new_empty(self.gates - 1, hidden_size)
            bound = hidden_size**-0.5
            nn.init.uniform_(start, -bound, bound, generator=rng)
            self.peephole = nn.Parameter(start)
        if forget_bias is not None:
            set_forget_bias(self, forget_bias)

    def forward(self, input, hx=None):
        """As in scratch: the next h and c (N, H)."""
        hx = (self.start(input),) * 2 if hx is None else hx
        h, c = lstm_cell(input, hx, *self.weights(), self.peephole, self.forget)
        return h, c


class GRU(nn.GRU):
    """As in scratch; torch's own, started by a `torch.Generator`: (T, N, D)."""

    def __init__(
        self,
        input_size,
        hidden_size,
        num_layers=1,
        bias=True,
        batch_first=False,
        dropout=0.0,
        bidirectional=False,
        *,
        rng,
        dtype=float,
    ):
        options = num_layers, bias, batch_first, dropout, bidirectional
        super().__init__(input_size, hidden_size, *options, dtype=dtype)
        _drawn(self, hidden_size**-0.5, rng)


class LSTM(nn.LSTM):
    """As in scratch; torch's own, started by a `torch.Generator`: (T, N, D)."""

    def __init__(
        self,
        input_size,
        hidden_size,
        num_layers=1,
        bias=True,
        batch_first=False,
        dropout=0.0,
        bidirectional=False,
        proj_size=0,
        *,
        forget_bias=None,
        rng,
        dtype=float,
    ):
        options = num_layers, bias, batch_first, dropout, bidirectional, proj_size
        super().__init__(input_size, hidden_size, *options, dtype=dtype)
        _drawn(self, hidden_size**-0.5, rng)
        if forget_bias is not None:
            set_forget_bias(self, forget_bias)


def _layer(x, lengths, h, weights, reverse):
    """States (T, N, H) of one layer; sequences that have ended keep theirs."""
    states = [None] * len(x)
    for t in reversed(range(len(x))) if reverse else range(len(x)):
        runs = (t < lengths.to(x.device))[:, None]
        h = torch.where(runs, ugrnn_cell(x[t], h, *weights), h)
        states[t] = h * runs
    return torch.stack(states), h


def _layers(net, x, lengths, hx):
    """Output (T, N, H) and ends (L, N, H) of all layers of a `UGRNN`."""
    ways, ends = 1 + net.bidirectional, []
    for layer in range(net.num_layers):
        outputs = []
        for k in range(layer * ways, (layer + 1) * ways):
            h = x.new_zeros(x.shape[1], net.hidden_size) if hx is None else hx[k]
            weights = [getattr(net, name) for name in net.names[k]]
            y, h = _layer(x, lengths, h, weights, reverse=k % ways == 1)
            outputs.append(y)
            ends.append(h)
        x = torch.cat(outputs, dim=-1)
        if net.training and net.dropout and layer < net.num_layers - 1:
            drawn = torch.rand(x.shape, generator=net.rng, device=net.rng.device)
            kept = drawn.to(x.device) >= net.dropout
            x = x * kept / (1 - net.dropout if net.dropout < 1 else 1)
    return x, torch.stack(ends)


class UGRNN(nn.Module):
    """As in scratch: (T, N, D), spelled like torch's recurrent layers."""

    def __init__(
        self,
        input_size,
        hidden_size,
        num_layers=1,
        bias=True,
        batch_first=False,
        dropout=0.0,
        bidirectional=False,
        *,
        rng,
        dtype=float,
    ):
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        self.num_layers, self.batch_first = num_layers, batch_first
        self.bidirectional, self.dropout, self.rng = bidirectional, dropout, rng
        ways, self.names = ("", "_reverse")[: 1 + bidirectional], []
        for end in [f"l{k}{way}" for k in range(num_layers) for way in ways]:
            wide = input_size if end.startswith("l0") else hidden_size * len(ways)
            shapes = {"weight_ih": (2 * hidden_size, wide)}
            shapes["weight_hh"] = 2 * hidden_size, hidden_size
            for name in ("bias_ih", "bias_hh") if bias else ():
                shapes[name] = (2 * hidden_size,)
            self.names.append([f"{name}_{end}" for name in shapes])
            for name, shape in shapes.items():
                start = torch.empty(shape, dtype=dtype)
                bound = hidden_size**-0.5
                nn.init.uniform_(start, -bound, bound, generator=rng)
                self.register_parameter(f"{name}_{end}", nn.Parameter(start))

    def forward(self, input, hx=None):
        """As in scratch: (T, N, D), (T, D) or a PackedSequence."""
        if isinstance(input, PackedSequence):
            order, back = input.sorted_indices, input.unsorted_indices
            x, lengths = pad_packed_sequence(
                input._replace(sorted_indices=None, unsorted_indices=None)
            )
            hx = hx if hx is None or order is None else hx[:, order]
            output, h = _layers(self, x, lengths, hx)
            data = pack_padded_sequence(output, lengths).data
            return input._replace(data=data), h if back is None else h[:, back]
        one, turned = input.ndim == 2, input.ndim == 3 and self.batch_first
        x = input[:, None] if one else input.transpose(0, 1) if turned else input
        hx = hx[:, None] if one and hx is not None else hx
        lengths = torch.full(x.shape[1:2], len(x), device=x.device)
        output, h = _layers(self, x, lengths, hx)
        if one:
            return output[:, 0], h[:, 0]
        return output.transpose(0, 1) if turned else output, h


def param_ratio(*modules):
    """As in scratch; no tensors (N, D)."""
    counts = [sum(p.numel() for p in module.parameters()) for module in modules]
    return [count / counts[0] for count in counts]


@torch.no_grad()
def set_forget_bias(module, value=1.0):
    """As in scratch, for the biases (4 H,) of torch's modules."""
    h = module.hidden_size
    for name, bias in module.named_parameters():
        if name.startswith("bias"):
            bias[h : 2 * h] = value if "ih" in name else 0
