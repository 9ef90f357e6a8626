"""Response normalisation that can be differentiated any number of times, for Tensors.

The pair in `scratch` gives the gradient, the definition here the gradient's gradient.
"""

from dlbook_lib.convolutional.architectures import scratch
from dlbook_lib.convolutional.pooling.second_derivatives import linear_map
from dlbook_lib.feedforward.autodiff.engine import register


def _across_channels_backward(dy, _x, size):
    """Sums of the channels (N, C, ...) on the other side."""
    return scratch.across_channels(dy, size, transposed=True)


across_channels = linear_map(scratch.across_channels, _across_channels_backward)


def _local_response_norm(input, size, alpha=1e-4, beta=0.75, k=1.0):
    """The definition of `local_response_norm`, for (N, C, ...)."""
    mean_square = across_channels(input * input, size) * (1 / size)
    return input * (k + alpha * mean_square) ** -beta


local_response_norm = register(
    scratch.local_response_norm,
    scratch.local_response_norm_backward,
    _local_response_norm,
)
