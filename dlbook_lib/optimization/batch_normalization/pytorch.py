"""Normalisation in PyTorch: torch's own, and the parts that torch keeps to itself."""

import torch
from torch.nn.functional import batch_norm, group_norm, instance_norm, layer_norm

__all__ = [
    "affine",
    "batch_norm",
    "batch_norm_by_channel",
    "channelwise",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "standardize",
    "track_",
]


def standardize(input, dim, eps=1e-5):
    """As in scratch; `input` (...)."""
    var, mean = torch.var_mean(input, dim, correction=0, keepdim=True)
    return (input - mean) / (var + eps).sqrt()


def channelwise(x, input, name="weight"):
    """As in scratch: (C,) to (C, 1, …, 1); torch's own errors do not use the name."""
    return x.view(-1, *(1 for _ in input.shape[2:]))


def affine(input, weight=None, bias=None):
    """As in scratch; `input` (N, C, ...)."""
    y = input if weight is None else input * channelwise(weight, input)
    return y if bias is None else y + channelwise(bias, input)


@torch.no_grad()
def track_(running_mean, running_var, input, dim, momentum=0.1):
    """As in scratch; `input` (N, C, ...)."""
    rest = (0, *range(2, input.ndim))
    var, mean = torch.var_mean(input, dim, correction=1, keepdim=True)
    running_mean.lerp_(mean.mean(rest), momentum)
    running_var.lerp_(var.mean(rest), momentum)


def batch_norm_by_channel(input, weight, bias, eps=1e-5):
    """As in scratch, by torch's kernels: (N, C, ...) and `pull`."""
    y, *saved = torch.native_batch_norm(input, weight, bias, None, None, True, 0.0, eps)
    return y, lambda dy: torch.ops.aten.native_batch_norm_backward(
        dy, input, weight, None, None, *saved, True, eps, [True, True, True]
    )
