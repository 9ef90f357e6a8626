"""Shortcuts that can be differentiated any number of times, for Tensors.

Each name is that of a function in `scratch`, on Tensors instead of arrays: the pair
there gives the gradient, the definition here the gradient's gradient.
"""

from dlbook_lib.feedforward.autodiff import operations
from dlbook_lib.feedforward.autodiff.engine import register
from dlbook_lib.optimization.shortcut_connections import scratch


def _residual(input, weight1, bias1, weight2, bias2, projection=None):
    """The definition of `residual`, from (..., in) to (..., out)."""
    hidden = operations.relu(operations.linear(input, weight1, bias1))
    short = input if projection is None else operations.linear(input, projection)
    return short + operations.linear(hidden, weight2, bias2)


def _highway(input, weight, bias, gate_weight, gate_bias):
    """The definition of `highway`, for (..., features)."""
    h = operations.relu(operations.linear(input, weight, bias))
    t = operations.sigmoid(operations.linear(input, gate_weight, gate_bias))
    return t * h + (1 - t) * input


def _gated_skip(input, earlier, weight, skip_weight, gate_weight, gate_bias):
    """The definition of `gated_skip`, of (..., in) and (..., skipped)."""
    near = operations.linear(input, weight)
    far = operations.linear(earlier, skip_weight)
    g = operations.sigmoid(operations.linear(earlier, gate_weight, gate_bias))
    return operations.relu(g * near + (1 - g) * far)


def _dense_layer(input, weight, bias):
    """The definition of `dense_layer`, from (..., in) to (..., in + growth)."""
    new = operations.relu(operations.linear(input, weight, bias))
    return operations.cat([input, new], dim=-1)


residual = register(scratch.residual, scratch.residual_backward, _residual)
highway = register(scratch.highway, scratch.highway_backward, _highway)
gated_skip = register(scratch.gated_skip, scratch.gated_skip_backward, _gated_skip)
dense_layer = register(scratch.dense_layer, scratch.dense_layer_backward, _dense_layer)
