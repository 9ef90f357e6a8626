"""Layers with shortcuts in PyTorch, started by a `torch.Generator`."""

from torch import nn

from dlbook_lib.optimization.shortcut_connections.pytorch import (
    dense_layer,
    gated_skip,
    highway,
    residual,
)


def _linear(in_features, out_features, bias=True, *, rng, dtype=float):
    """A linear layer whose start comes from `rng`, within torch's own bounds."""
    layer = nn.utils.skip_init(
        nn.Linear, in_features, out_features, bias=bias, dtype=dtype
    )
    for parameter in layer.parameters():
        bound = in_features**-0.5
        nn.init.uniform_(parameter, -bound, bound, generator=rng)
    return layer


class ResidualBlock(nn.Module):
    """As in scratch: (..., in_features) to (..., out_features)."""

    def __init__(
        self,
        in_features,
        width,
        out_features=None,
        zero_start=False,
        *,
        rng,
        dtype=float,
    ):
        super().__init__()
        out = in_features if out_features is None else out_features
        self.linear1 = _linear(in_features, width, rng=rng, dtype=dtype)
        self.linear2 = _linear(width, out, rng=rng, dtype=dtype)
        self.projection = None
        if out != in_features:
            self.projection = _linear(in_features, out, False, rng=rng, dtype=dtype)
        if zero_start:
            for parameter in self.linear2.parameters():
                nn.init.zeros_(parameter)

    def forward(self, input):
        """As in scratch: (..., out_features)."""
        one, two, short = self.linear1, self.linear2, self.projection
        short = None if short is None else short.weight
        return residual(input, one.weight, one.bias, two.weight, two.bias, short)


class HighwayLayer(nn.Module):
    """As in scratch: (..., features) to (..., features)."""

    def __init__(self, features, gate_bias=-2.0, *, rng, dtype=float):
        super().__init__()
        self.linear = _linear(features, features, rng=rng, dtype=dtype)
        self.gate = _linear(features, features, rng=rng, dtype=dtype)
        nn.init.constant_(self.gate.bias, gate_bias)

    def forward(self, input):
        """As in scratch: (..., features)."""
        layer, gate = self.linear, self.gate
        return highway(input, layer.weight, layer.bias, gate.weight, gate.bias)


class GatedSkipLayer(nn.Module):
    """As in scratch: (..., in) and (..., skipped) to (..., out)."""

    def __init__(self, in_features, skip_features, out_features, *, rng, dtype=float):
        super().__init__()
        self.linear = _linear(in_features, out_features, False, rng=rng, dtype=dtype)
        self.skip = _linear(skip_features, out_features, False, rng=rng, dtype=dtype)
        self.gate = _linear(skip_features, out_features, rng=rng, dtype=dtype)

    def forward(self, input, earlier):
        """As in scratch: (..., out)."""
        weights = self.linear.weight, self.skip.weight
        return gated_skip(input, earlier, *weights, self.gate.weight, self.gate.bias)


class DenseBlock(nn.Module):
    """As in scratch: (..., in_features) to (..., in_features + layers · growth)."""

    def __init__(self, in_features, growth, layers, *, rng, dtype=float):
        super().__init__()
        for i in range(layers):
            seen = in_features + i * growth
            self.add_module(str(i), _linear(seen, growth, rng=rng, dtype=dtype))

    def forward(self, input):
        """As in scratch: (..., in_features + layers · growth)."""
        for layer in self.children():
            input = dense_layer(input, layer.weight, layer.bias)
        return input
