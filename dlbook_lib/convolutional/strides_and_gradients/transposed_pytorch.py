"""Transposed convolution in PyTorch: torch's own."""

from torch.nn.functional import conv_transpose1d, conv_transpose2d, conv_transpose3d

from dlbook_lib.convolutional.convolution.pytorch import as_sizes

__all__ = [
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "conv_transpose_nd",
    "transpose_plan",
]


def transpose_plan(
    input,
    weight,
    bias=None,
    stride=1,
    padding=0,
    output_padding=0,
    groups=1,
    dilation=1,
):
    """As in scratch, for arrays (N, C, ...) and (C, F / groups, ...)."""
    ndim = weight.ndim - 2
    options = stride, dilation, padding, output_padding
    stride, dilation, padding, extra = (as_sizes(n, "", ndim) for n in options)
    places, kernel = input.shape[-ndim:], weight.shape[2:]
    each = zip(places, kernel, stride, dilation, extra, strict=True)
    size = tuple((n - 1) * s + d * (k - 1) + 1 + e for n, k, s, d, e in each)
    return stride, dilation, [(p, p) for p in padding], size


def conv_transpose_nd(
    input,
    weight,
    bias=None,
    stride=1,
    padding=0,
    output_padding=0,
    groups=1,
    dilation=1,
):
    """As in scratch: torch's function for the axes of `weight` (C, F / groups, ...)."""
    transposes = conv_transpose1d, conv_transpose2d, conv_transpose3d
    options = stride, padding, output_padding, groups, dilation
    return transposes[weight.ndim - 3](input, weight, bias, *options)
