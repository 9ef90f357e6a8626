"""Modules in PyTorch: windows of time, cells with a state, and their patterns."""

import torch
from torch import nn

from dlbook_lib.recurrent.unfolding.pytorch import time_delay, unroll

__all__ = [
    "PATTERNS",
    "TDNN",
    "RNNCell",
    "RNNCellBase",
    "TimeDelay",
    "VanillaRNN",
]


def _drawn(module, bound, rng):
    """The module, with parameters (...) drawn by `rng` uniformly from ± bound."""
    for parameter in module.parameters():
        nn.init.uniform_(parameter, -bound, bound, generator=rng)
    return module


def _linear(in_features, out_features, bias=True, *, rng, dtype=float):
    """A `torch.nn.Linear`, (out, in), started by `rng`."""
    layer = nn.Linear(in_features, out_features, bias, dtype=dtype)
    return _drawn(layer, in_features**-0.5, rng)


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
        dtype=float,
    ):
        super().__init__()
        self.kernel_size, self.dilation = kernel_size, dilation
        options = {"generator": rng, "dtype": dtype}
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

    def __init__(self, sizes, kernel_sizes, dilations=None, *, rng, dtype=float):
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


class RNNCellBase(nn.Module):
    """As in scratch: four parameters with `gates` blocks of H rows."""

    gates = 1

    def __init__(self, input_size, hidden_size, bias=True, *, rng, dtype=float):
        super().__init__()
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        rows, bound = self.gates * hidden_size, hidden_size**-0.5
        shapes = {"weight_ih": (rows, input_size), "weight_hh": (rows, hidden_size)}
        shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        options = {"generator": rng, "dtype": dtype}
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
        dtype=float,
    ):
        super().__init__(input_size, hidden_size, bias, nonlinearity, dtype=dtype)
        _drawn(self, hidden_size**-0.5, rng)


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
        dtype=float,
    ):
        super().__init__()
        self.pattern = pattern
        self.cell = RNNCell(input_size, hidden_size, rng=rng, dtype=dtype)
        self.output = _linear(hidden_size, output_size, rng=rng, dtype=dtype)

    def forward(self, input, steps=1):
        """As in scratch: `input` (T, N, in), or (N, in) with "one to many"."""
        inputs = [input] if self.pattern == "one to many" else list(input)
        if self.pattern in ("one to many", "encoder first"):
            inputs += [torch.zeros_like(inputs[0])] * (steps - 1)
        states = unroll(self.cell, inputs)
        kept = {"many to one": 1, "encoder first": steps}.get(self.pattern, len(states))
        output = self.output(torch.stack(states[-kept:]))
        return output[0] if self.pattern == "many to one" else output
