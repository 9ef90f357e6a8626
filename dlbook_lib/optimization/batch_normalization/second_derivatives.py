"""Normalisation that can be differentiated any number of times, for Tensors.

Each name is that of a function in `scratch`, on a Tensor (N, C, ...) instead of an
array: the pair there gives the gradient, the definition here the gradient's gradient.
"""

from dlbook_lib.feedforward.autodiff import operations
from dlbook_lib.feedforward.autodiff.engine import fused, raw, register
from dlbook_lib.optimization.batch_normalization import scratch


def _standardized(input, dim, eps):
    """`scratch.standardize` of a Tensor or array (...)."""
    if not raw(input).size:  # there is no mean of nothing
        return input * 1.0
    centred = input - operations.mean(input, dim, keepdim=True)
    var = operations.mean(centred * centred, dim, keepdim=True)
    return centred / operations.sqrt(var + float(eps))


def _by_channel(x, input):
    """The numbers `x` (C,) as (C, 1, …, 1), to go with `input` (N, C, ...)."""
    return operations.reshape(x, -1, *(1 for _ in input.shape[2:]))


def _affine(input, weight, bias):
    """`scratch.affine` of Tensors (N, C, ...) and (C,)."""
    y = input if weight is None else input * _by_channel(weight, input)
    return y if bias is None else y + _by_channel(bias, y)


def _batch_norm(
    input,
    running_mean,
    running_var,
    weight=None,
    bias=None,
    training=False,
    momentum=0.1,
    eps=1e-5,
):
    """The definition of `batch_norm`; running statistics (C,) are not moved here."""
    if training:
        dim = (0, *range(2, input.ndim))
        return _affine(_standardized(input, dim, eps), weight, bias)
    mean = scratch.channelwise(running_mean, raw(input))
    scale = (scratch.channelwise(running_var, raw(input)) + float(eps)) ** -0.5
    return _affine((input - mean) * scale, weight, bias)


def _instance_norm(
    input,
    running_mean=None,
    running_var=None,
    weight=None,
    bias=None,
    use_input_stats=True,
    momentum=0.1,
    eps=1e-5,
):
    """The definition of `instance_norm`, for (N, C, ...)."""
    if not use_input_stats:
        stats = running_mean, running_var
        return _batch_norm(input, *stats, weight, bias, False, momentum, eps)
    dim = tuple(range(2, input.ndim))
    return _affine(_standardized(input, dim, eps), weight, bias)


def _layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """The definition of `layer_norm`, for (..., *normalized_shape)."""
    y = _standardized(input, tuple(range(-len(normalized_shape), 0)), eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def _group_norm(input, num_groups, weight=None, bias=None, eps=1e-5):
    """The definition of `group_norm`, for (N, C, ...)."""
    n, channels, *places = input.shape
    shape = n, num_groups, channels // num_groups, *places
    groups = operations.reshape(input, shape)
    y = _standardized(groups, tuple(range(2, len(shape))), eps)
    return _affine(operations.reshape(y, input.shape), weight, bias)


def _batch_norm_by_channel(input, weight, bias, eps=1e-5):
    """The definition of `batch_norm_by_channel`, for (N, C, ...)."""
    return _batch_norm(input, None, None, weight, bias, training=True, eps=eps)


batch_norm = register(scratch.batch_norm, scratch.batch_norm_backward, _batch_norm)
instance_norm = register(
    scratch.instance_norm, scratch.instance_norm_backward, _instance_norm
)
layer_norm = register(scratch.layer_norm, scratch.layer_norm_backward, _layer_norm)
group_norm = register(scratch.group_norm, scratch.group_norm_backward, _group_norm)
batch_norm_by_channel = fused(scratch.batch_norm_by_channel, _batch_norm_by_channel)
