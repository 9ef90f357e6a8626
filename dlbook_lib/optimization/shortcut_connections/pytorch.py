"""Shortcuts in PyTorch; autograd derives every backward half."""

import torch
from torch.nn.functional import linear, relu

__all__ = [
    "dense_block",
    "dense_layer",
    "gated_skip",
    "highway",
    "residual",
]


def residual(input, weight1, bias1, weight2, bias2, projection=None):
    """As in scratch: (..., in) to (..., out)."""
    branch = linear(relu(linear(input, weight1, bias1)), weight2, bias2)
    return (input if projection is None else linear(input, projection)) + branch


def highway(input, weight, bias, gate_weight, gate_bias):
    """As in scratch: (..., features) to (..., features)."""
    t = torch.sigmoid(linear(input, gate_weight, gate_bias))
    return t * relu(linear(input, weight, bias)) + (1 - t) * input


def gated_skip(input, earlier, weight, skip_weight, gate_weight, gate_bias):
    """As in scratch: (..., in) and (..., skipped) to (..., out)."""
    g = torch.sigmoid(linear(earlier, gate_weight, gate_bias))
    return relu(g * linear(input, weight) + (1 - g) * linear(earlier, skip_weight))


def dense_layer(input, weight, bias):
    """As in scratch: (..., in) to (..., in + growth)."""
    return torch.cat([input, relu(linear(input, weight, bias))], dim=-1)


def dense_block(input, weights, biases):
    """As in scratch: (..., in) to (..., in + L · growth)."""
    for weight, bias in zip(weights, biases, strict=True):
        input = dense_layer(input, weight, bias)
    return input
